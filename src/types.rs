//! Types that several resources share.

use std::fmt;
use std::ops::{RangeFrom, RangeInclusive, RangeToInclusive};

use serde::de::Error as _;
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::error::{Error, Result};
use crate::text::Unsigned;

/// A filter for numbers: a single number, or a range that includes both ends.
///
/// Setters take numbers and Rust ranges: `.duration(10.0..=60.0)`, `.width(1280..)`, `.size(..=5_000_000)`,
/// `.height(720)`. A range that ends before it starts and a number that is not finite are refused before anything is
/// sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberRange(Bounds);

#[derive(Debug, Clone, PartialEq)]
enum Bounds {
    Equal(Value),
    Within { gte: Option<Value>, lte: Option<Value> },
}

impl NumberRange {
    fn within(gte: Option<Value>, lte: Option<Value>) -> Self {
        NumberRange(Bounds::Within { gte, lte })
    }
}

macro_rules! number_ranges {
    ($($number:ty)*) => {$(
        impl From<$number> for NumberRange {
            fn from(number: $number) -> Self {
                NumberRange(Bounds::Equal(number.into()))
            }
        }

        impl From<RangeInclusive<$number>> for NumberRange {
            fn from(range: RangeInclusive<$number>) -> Self {
                let (start, end) = range.into_inner();
                NumberRange::within(Some(start.into()), Some(end.into()))
            }
        }

        impl From<RangeFrom<$number>> for NumberRange {
            fn from(range: RangeFrom<$number>) -> Self {
                NumberRange::within(Some(range.start.into()), None)
            }
        }

        impl From<RangeToInclusive<$number>> for NumberRange {
            fn from(range: RangeToInclusive<$number>) -> Self {
                NumberRange::within(None, Some(range.end.into()))
            }
        }
    )*};
}

number_ranges! { f64 i32 i64 u32 u64 }

impl Serialize for NumberRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (first, last) = match &self.0 {
            Bounds::Equal(number) => (Some(number), None),
            Bounds::Within { gte, lte } => (gte.as_ref(), lte.as_ref()),
        };
        // A number that JSON cannot represent has become null.
        if [first, last].into_iter().flatten().any(Value::is_null) {
            return Err(S::Error::custom("the numbers of a filter must be finite"));
        }
        if let (Some(first), Some(last)) = (first, last)
            && first.as_f64() > last.as_f64()
        {
            let why = format!("the range from {first} to {last} is empty; put the smaller number first");
            return Err(S::Error::custom(why));
        }
        match &self.0 {
            Bounds::Equal(number) => number.serialize(serializer),
            Bounds::Within { gte, lte } => {
                let mut map = serializer.serialize_map(None)?;
                for (name, limit) in [("gte", gte), ("lte", lte)] {
                    if let Some(limit) = limit {
                        map.serialize_entry(name, limit)?;
                    }
                }
                map.end()
            }
        }
    }
}

/// A filter for dates: an [`OffsetDateTime`], or text that the platform understands, such as `2026-01-02T03:04:05Z`.
///
/// ```no_run
/// use twelvelabs::time::{Duration, OffsetDateTime};
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let yesterday = OffsetDateTime::now_utc() - Duration::DAY;
/// let new = client.indexes().list().created_at(yesterday).send()?;
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DateFilter(Option<String>);

impl From<OffsetDateTime> for DateFilter {
    fn from(at: OffsetDateTime) -> Self {
        DateFilter(at.checked_to_offset(UtcOffset::UTC).and_then(|at| at.format(&Rfc3339).ok()))
    }
}

impl From<&str> for DateFilter {
    fn from(text: &str) -> Self {
        DateFilter(Some(text.into()))
    }
}

impl From<String> for DateFilter {
    fn from(text: String) -> Self {
        DateFilter(Some(text))
    }
}

impl From<&String> for DateFilter {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl Serialize for DateFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(text) => serializer.serialize_str(text),
            None => Err(S::Error::custom("the year of a date must be between 0 and 9999")),
        }
    }
}

open_enum! {
    /// The fields by which a list can be sorted.
    SortBy {
        /// The time of creation.
        CreatedAt = "created_at",
        /// The time of the last change.
        UpdatedAt = "updated_at",
    }
}

open_enum! {
    /// The sort direction of a list.
    SortOption {
        /// Oldest first.
        Asc = "asc",
        /// Newest first.
        Desc = "desc",
    }
}

open_enum! {
    /// The status of the HLS stream of a video.
    HlsStatus {
        /// The platform is creating the stream.
        Processing = "PROCESSING",
        /// The stream is ready to play.
        Complete = "COMPLETE",
        /// The creation of the stream was canceled on request.
        Canceled = "CANCELED",
        /// The stream could not be created.
        Error = "ERROR",
    }
}

/// The HLS stream of a video that was uploaded or indexed with `enable_video_stream`. `Debug` shows its URLs without
/// their signatures.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HlsObject {
    /// The URL of the manifest.
    pub video_url: Option<String>,
    /// The URLs of thumbnails.
    pub thumbnail_urls: Option<Vec<String>>,
    /// The status of the stream.
    pub status: Option<HlsStatus>,
    /// The time at which the status last changed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

masked_debug! {
    HlsObject {
        video_url: masked, thumbnail_urls: masked, status, updated_at,
    }
}

/// The metadata that the platform read from an indexed video.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSystemMetadata {
    /// The file's name.
    pub filename: Option<String>,
    /// The duration in seconds.
    pub duration: Option<f64>,
    /// The frames per second.
    pub fps: Option<f64>,
    /// The width in pixels.
    pub width: Option<i64>,
    /// The height in pixels.
    pub height: Option<i64>,
    /// The size in bytes. The platform also returns fractions.
    pub size: Option<f64>,
}

/// The outcome for one of several files or inputs. If the platform would refuse all of them, because the key is invalid
/// or a quota is exhausted, the remaining ones are not sent and have the same error. `Debug` shows a URL without its
/// query, which may be a signature.
#[non_exhaustive]
pub struct BulkOutcome<T> {
    /// The path or name of the file, the URL, the asset or the text.
    pub source: String,
    /// The result, or the reason why there is none.
    pub result: Result<T>,
}

impl<T: fmt::Debug> fmt::Debug for BulkOutcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkOutcome").field("source", &Unsigned(&self.source)).field("result", &self.result).finish()
    }
}

/// Makes the calls one after the other, until the platform would refuse all of them.
pub(crate) fn in_bulk<T, F: FnOnce() -> Result<T>>(calls: impl Iterator<Item = (String, F)>) -> Vec<BulkOutcome<T>> {
    let mut stopped: Option<Error> = None;
    let outcome = |(source, send): (String, F)| {
        let result = match stopped.as_ref().and_then(Error::for_the_rest) {
            Some(e) => Err(e),
            None => send(),
        };
        if let Err(e) = &result {
            stopped = stopped.take().or(e.for_the_rest());
        }
        BulkOutcome { source, result }
    };
    calls.map(outcome).collect()
}

open_enum! {
    /// The aspects of a file that can be embedded.
    EmbeddingOption {
        /// The picture.
        Visual = "visual",
        /// The sound.
        Audio = "audio",
        /// The speech. Not with Marengo 3.5, whose `audio` includes speech.
        Transcription = "transcription",
        /// The text of a document.
        Text = "text",
        /// All requested aspects in one vector. Only in responses.
        Fused = "fused",
        /// The picture and the text in it, from older models.
        VisualText = "visual-text",
    }
}

open_enum! {
    /// The part of a file that one embedding covers.
    EmbeddingScope {
        /// A segment of video or audio.
        Clip = "clip",
        /// A segment of video or audio, a page of a PDF, or a chunk of a text. Only in requests.
        Local = "local",
        /// A page of a PDF, or a quarter of one. Only in responses.
        Page = "page",
        /// A chunk of a text. Only in responses.
        Chunk = "chunk",
        /// The whole file. Meant for video or audio of at most 10 to 30 seconds.
        Asset = "asset",
        /// The whole video. Only in the older calls.
        Video = "video",
    }
}

/// An embedding from the older embedding calls or from an index: of a segment of video or audio, a text or an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSegment {
    /// The vector.
    #[serde(default, deserialize_with = "optional_vector")]
    pub float: Option<Vec<f32>>,
    /// The start of the segment, in seconds.
    pub start_offset_sec: Option<f64>,
    /// The end, in seconds.
    pub end_offset_sec: Option<f64>,
    /// The embedded aspect, such as `visual-text` or `audio`.
    pub embedding_option: Option<String>,
    /// The embedded part, such as `clip` or `video`.
    pub embedding_scope: Option<String>,
}

/// Reads a vector, and refuses a number that is out of the range of `f32`, which would become infinite.
pub(crate) fn vector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    finite(Vec::deserialize(deserializer)?).ok_or_else(|| D::Error::custom(OUT_OF_RANGE))
}

/// Reads an optional [`vector`].
pub(crate) fn optional_vector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<f32>>, D::Error> {
    let vector = Option::deserialize(deserializer)?;
    vector.map(|vector| finite(vector).ok_or_else(|| D::Error::custom(OUT_OF_RANGE))).transpose()
}

const OUT_OF_RANGE: &str = "a number of the vector is out of range";

fn finite(vector: Vec<f32>) -> Option<Vec<f32>> {
    vector.iter().all(|number| number.is_finite()).then_some(vector)
}

/// A word, sentence or utterance of a transcription.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TranscriptionEntry {
    /// The start, in seconds.
    pub start: Option<f64>,
    /// The end, in seconds.
    pub end: Option<f64>,
    /// The speech.
    pub value: Option<String>,
    /// The speaker. Only in utterances.
    pub speaker: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(range: impl Into<NumberRange>) -> Result<Value, String> {
        serde_json::to_value(range.into()).map_err(|e| e.to_string())
    }

    #[test]
    fn ranges_are_serialized_for_the_platform() {
        assert_eq!(written(10.0..=60.0), Ok(json!({"gte": 10.0, "lte": 60.0})));
        assert_eq!(written(720..), Ok(json!({"gte": 720})));
        assert_eq!(written(..=u64::MAX), Ok(json!({"lte": u64::MAX})));
        assert_eq!(written(13.25), Ok(json!(13.25)));
        assert_eq!(written(5..=5), Ok(json!({"gte": 5, "lte": 5})));
    }

    #[test]
    fn dates_are_written_in_utc() {
        let at = |text: &str| OffsetDateTime::parse(text, &Rfc3339).unwrap();
        let text = |date: DateFilter| serde_json::to_value(date).map_err(|e| e.to_string());
        assert_eq!(text(at("2026-01-02T12:04:05+09:00").into()), Ok(json!("2026-01-02T03:04:05Z")));
        assert_eq!(text(at("2026-01-02T03:04:05.25Z").into()), Ok(json!("2026-01-02T03:04:05.25Z")));
        assert_eq!(text(DateFilter::from("yesterday")), Ok(json!("yesterday")));
        let first = at("0000-01-01T00:00:00+01:00");
        assert!(text(first.into()).unwrap_err().contains("year"));
    }

    #[test]
    fn empty_ranges_are_refused() {
        #[allow(clippy::reversed_empty_ranges)]
        let backwards = written(60..=10);
        assert!(backwards.unwrap_err().contains("from 60 to 10"));
        for range in [f64::NAN..=1.0, 0.0..=f64::INFINITY] {
            assert!(written(range).unwrap_err().contains("finite"));
        }
        assert!(written(f64::NAN).is_err() && written(f64::NEG_INFINITY..).is_err());
    }
}
