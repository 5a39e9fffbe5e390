//! Segments of a video with your own fields: their definitions, and decoding them into a type.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{SmeMediaSource, typed};
use crate::call::json::decode;
#[cfg(feature = "schemars")]
use crate::call::schema;
use crate::error::{Error, Result};
use crate::generation::FinishReason;
use crate::text::printable;

open_enum! {
    /// The format of times in an answer.
    SegmentTimeFormat {
        /// A number of seconds.
        Seconds = "seconds",
        /// Text, rounded to the second.
        HhMmSs = "hh:mm:ss",
        /// Text with milliseconds.
        HhMmSsFff = "hh:mm:ss.fff",
    }
}

open_enum! {
    /// The types of a [`SegmentField`] and of its items.
    SegmentFieldType {
        /// Text.
        String = "string",
        /// True or false.
        Boolean = "boolean",
        /// Any number.
        Number = "number",
        /// A whole number.
        Integer = "integer",
        /// A list: see [`SegmentField::items`].
        Array = "array",
        /// A time in the video: see [`SegmentField::format`].
        Timestamp = "timestamp",
        /// A list of events within the segment, whose items are objects. Requires `pegasus1.6`.
        TimeArray = "time_array",
        /// The items of a `time_array`.
        Object = "object",
    }
}

input! {
    /// A kind of segment to find in a video: its id, and a description for the model.
    SegmentDefinition(id: String, description: String) {
        /// Sets the fields to extract for each segment.
        fields: [SegmentField],
        /// Sets images that help the model to recognize such a segment, at most 4.
        media_sources: [SmeMediaSource],
        /// Sets the parts of the video to search: ranges of at least 2 s that do not overlap. Excludes a start time, an
        /// end time and limits of the duration.
        time_ranges: [AnalyzeTimeRange],
    }
}

input! {
    /// A field of each segment: its name, its type, and a description for the model.
    ///
    /// The names `start_time`, `end_time` and `metadata` are reserved by the platform.
    SegmentField(name: String, kind = "type": SegmentFieldType, description: String) {
        /// Sets the format of a `timestamp`, required for that type.
        format: into SegmentTimeFormat,
        /// Sets the allowed values, at most 100.
        enum_values = "enum": [String],
        /// Sets the items of an `array` or a `time_array`, required for these types.
        items: into SegmentFieldItems,
    }
}

input! {
    /// The items of a list: a simple type for an `array`, or `object` for a `time_array`.
    SegmentFieldItems(kind = "type": SegmentFieldType) {
        /// Sets the fields of each event of a `time_array`.
        fields: [SegmentField],
    }
}

impl From<SegmentFieldType> for SegmentFieldItems {
    fn from(kind: SegmentFieldType) -> Self {
        Self::new(kind)
    }
}

impl From<&str> for SegmentFieldItems {
    fn from(kind: &str) -> Self {
        Self::new(kind)
    }
}

input! {
    /// A part of a video, in seconds of the video's own clock. A range such as `10.0..=60.0` can be converted into one.
    AnalyzeTimeRange(start_time: f64, end_time: f64) {}
}

impl From<RangeInclusive<f64>> for AnalyzeTimeRange {
    fn from(range: RangeInclusive<f64>) -> Self {
        Self::new(*range.start(), *range.end())
    }
}

#[cfg(feature = "schemars")]
#[cfg_attr(docsrs, doc(cfg(feature = "schemars")))]
impl SegmentDefinition {
    /// Defines a kind of segment whose fields come from a struct. Read the result with
    /// [`AnalyzeTaskResult::segments`](crate::analyze_async::AnalyzeTaskResult::segments).
    ///
    /// The doc comment of each field is its description for the model. The platform refuses a field without one. A
    /// field can be a text, a number, a boolean, an enum without data, a list of these, or an `Option` of them. A list
    /// of structs becomes a `time_array`, which requires `pegasus1.6`; the platform adds `start_time` and `end_time` to
    /// each of its items, so the struct may contain them. Any other field is an error when the request is sent.
    ///
    /// ```no_run
    /// use twelvelabs::analyze::{ResponseFormat, SegmentDefinition, VideoContext};
    /// use twelvelabs::analyze_async::AnalysisMode;
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Scene {
    ///     /// Where it is set, in at most five words.
    ///     place: String,
    ///     /// The names of the people in it.
    ///     people: Vec<String>,
    /// }
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let scenes = SegmentDefinition::of::<Scene>("scenes", "From one change of place to the next.");
    /// let tasks = client.analyze_async().tasks();
    /// let task = tasks
    ///     .create()
    ///     .video(VideoContext::asset_id("65f…"))
    ///     .analysis_mode(AnalysisMode::TimeBasedMetadata)
    ///     .response_format(ResponseFormat::segment_definitions([scenes]))
    ///     .send()?;
    /// let task = tasks.wait_for_done(&task.task_id).send()?;
    /// for scene in task.result.unwrap_or_default().segments::<Scene>("scenes")? {
    ///     println!("{:.1} to {:.1} s: {}", scene.start, scene.end, scene.metadata.place);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn of<T: schemars::JsonSchema>(id: impl Into<String>, description: impl Into<String>) -> Self {
        let mut definition = Self::new(id, description);
        match fields_of(&schema::of::<T>(), Level::Segment) {
            Ok(fields) => definition.fields(fields),
            Err(why) => {
                definition.0.refuse("fields", why);
                definition
            }
        }
    }
}

/// The place where a struct is used. The platform writes the times of a segment beside its fields, and those of an
/// event among its fields.
#[cfg(feature = "schemars")]
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Segment,
    Event,
}

/// Returns the fields of a segment, or of an event of a `time_array`, according to the schema of a struct.
#[cfg(feature = "schemars")]
fn fields_of(schema: &Value, level: Level) -> Result<Vec<SegmentField>, String> {
    let Some(properties) = schema["properties"].as_object() else {
        return Err("must come from a struct with named fields".into());
    };
    let is_added = |name: &str| level == Level::Event && matches!(name, "start_time" | "end_time");
    properties
        .iter()
        .filter(|(name, _)| !is_added(name))
        .map(|(name, property)| field_of(name, property, level))
        .collect()
}

#[cfg(feature = "schemars")]
fn field_of(name: &str, property: &Value, level: Level) -> Result<SegmentField, String> {
    use SegmentFieldType as Type;
    if matches!(name, "start_time" | "end_time" | "metadata") {
        return Err(format!(
            "`{name}` is a name that the platform reserves; the times of a segment are in `Segment::start` and `Segment::end`"
        ));
    }
    // An optional enum or struct has its description beside the choice between it and null.
    let inner = without_null(property);
    let Some(description) = [property, inner].into_iter().find_map(|schema| schema["description"].as_str()) else {
        return Err(format!("`{name}` has no description, which the platform requires; write a doc comment for it"));
    };
    let (kind, values) = simple_type(inner);
    let field = |kind: Type| SegmentField::new(name, kind, description);
    let items = without_null(&inner["items"]);
    match kind {
        Some(kind) if values.is_empty() => Ok(field(kind)),
        Some(kind) => Ok(field(kind).enum_values(values)),
        None if inner["type"] != "array" && !is_list(inner) => Err(format!(
            "`{name}` has a type that a segment cannot have; use strings, numbers, booleans, enums without data and lists"
        )),
        None => match simple_type(items) {
            (Some(kind), _) => Ok(field(Type::Array).items(kind)),
            (None, _) if level == Level::Event => {
                Err(format!("`{name}` is a list of lists or structs within an event; use a list of plain values"))
            }
            (None, _) => {
                let fields = fields_of(items, Level::Event).map_err(|why| format!("`{name}`: {why}"))?;
                Ok(field(Type::TimeArray).items(SegmentFieldItems::new(Type::Object).fields(fields)))
            }
        },
    }
}

/// Removes the alternative `null` from the schema of an optional field. It is not needed, because the model may leave
/// out any field of a segment.
#[cfg(feature = "schemars")]
fn without_null(schema: &Value) -> &Value {
    let choices = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    match choices {
        [inner, null] | [null, inner] if null["type"] == "null" => inner,
        _ => schema,
    }
}

#[cfg(feature = "schemars")]
fn is_list(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "array"))
}

/// Returns the type of a schema if it is a simple one, and the values that an enum allows.
#[cfg(feature = "schemars")]
fn simple_type(schema: &Value) -> (Option<SegmentFieldType>, Vec<&str>) {
    // Variants with doc comments are written one by one, as constants.
    let constants = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    if let Some(values) = constants.map(|choice| choice["const"].as_str()).collect::<Option<Vec<_>>>()
        && !values.is_empty()
    {
        return (Some(SegmentFieldType::String), values);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str),
        kind => kind.as_str(),
    };
    let kind = kind.filter(|kind| ["string", "boolean", "number", "integer"].contains(kind));
    let values = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    (kind.map(Into::into), values.collect())
}

/// A segment of a video, with its fields in your own type.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Segment<T> {
    /// The start, in seconds.
    pub start: f64,
    /// The end, in seconds.
    pub end: f64,
    /// The fields of the segment.
    pub metadata: T,
}

/// A segment as the platform writes it.
#[derive(Deserialize)]
struct Written {
    #[serde(deserialize_with = "seconds")]
    start_time: f64,
    #[serde(deserialize_with = "seconds")]
    end_time: f64,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// Reads a time in any [`SegmentTimeFormat`]: a number of seconds, or text such as `01:02:03.500`.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let time = Value::deserialize(deserializer)?;
    let seconds = match &time {
        Value::String(text) => clock_time(text),
        time => time.as_f64(),
    };
    seconds.ok_or_else(|| D::Error::custom(format!("{} is not a time", printable(&time.to_string(), 80))))
}

fn clock_time(text: &str) -> Option<f64> {
    // `parse` takes signs, exponents and `inf`, none of which is in a time.
    let part = |text: &str| {
        let is_number =
            text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        text.parse::<f64>().ok().filter(|_| is_number)
    };
    text.split(':').try_fold(0.0, |sum, text| Some(sum * 60.0 + part(text)?))
}

/// Reads the segments of one definition from the text of an analysis.
pub(crate) fn segments<T: DeserializeOwned>(
    data: Option<&str>,
    finish_reason: Option<&FinishReason>,
    id: &str,
) -> Result<Vec<Segment<T>>> {
    let unfit = |message: String| Error::InvalidOutput { message, text: data.unwrap_or_default().into() };
    let mut kinds: BTreeMap<String, Value> = typed(data, finish_reason)?;
    let Some(segments) = kinds.remove(id) else {
        let known: Vec<String> = kinds.keys().map(|id| format!("`{}`", printable(id, 80))).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(unfit(format!("the answer has no segments `{}`; it has {known}", printable(id, 80))));
    };
    let broken = |why: String| unfit(format!("the list of segments `{}` {why}", printable(id, 80)));
    let written: Vec<Written> = decode::strictly_from_json(segments.to_string().as_bytes()).map_err(broken)?;
    written
        .into_iter()
        .enumerate()
        .map(|(number, Written { start_time, end_time, metadata })| {
            let metadata = Value::Object(metadata).to_string();
            let metadata = decode::strictly_from_json(metadata.as_bytes());
            let metadata = metadata.map_err(|why| broken(format!("`[{number}].metadata`: {why}")))?;
            Ok(Segment { start: start_time, end: end_time, metadata })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Goal {
        scorer: String,
    }

    fn read(data: Value) -> Result<Vec<Segment<Goal>>> {
        segments(Some(&data.to_string()), Some(&FinishReason::Stop), "goals")
    }

    #[test]
    fn times_are_seconds_in_every_format() {
        for (start, end) in
            [(json!(62.5), json!(3723)), (json!("00:01:02.500"), json!("01:02:03")), (json!("1:02.5"), json!("3723"))]
        {
            let data = json!({"goals": [{"start_time": start, "end_time": end, "metadata": {"scorer": "Ada"}}]});
            let expected = Segment { start: 62.5, end: 3723.0, metadata: Goal { scorer: "Ada".into() } };
            assert_eq!(read(data).unwrap(), [expected], "{start} to {end}");
        }
        for wrong in
            [json!(null), json!(true), json!(""), json!("1:"), json!("-1"), json!("inf"), json!("1e3"), json!([1])]
        {
            let data = json!({"goals": [{"start_time": wrong, "end_time": 1, "metadata": {"scorer": "Ada"}}]});
            let e = read(data).unwrap_err().to_string();
            assert!(e.contains("is not a time") && e.contains("`goals`"), "{wrong}: {e}");
        }
    }

    #[test]
    fn missing_or_mismatched_segments_are_errors() {
        let segment = json!({"start_time": 1, "end_time": 2, "metadata": {"scorer": 7}});
        for (data, says) in [
            (json!({"goals": [segment]}), "`[0].metadata`"),
            (json!({"goals": [{"start_time": 1}]}), "end_time"),
            (json!({"fouls": [], "saves": []}), "it has `fouls`, `saves`"),
            (json!({}), "it has none"),
        ] {
            let e = read(data).unwrap_err();
            assert!(matches!(&e, Error::InvalidOutput { text, .. } if !text.is_empty()), "{e:?}");
            assert!(e.to_string().contains(says), "{e}");
        }
        assert!(read(json!({"goals": []})).unwrap().is_empty());
        let cut = segments::<Goal>(Some("{\"goals\":[]}"), Some(&FinishReason::Length), "goals");
        assert!(matches!(cut, Err(Error::Truncated { .. })));
    }

    #[cfg(feature = "schemars")]
    mod definitions {
        use super::*;
        use schemars::JsonSchema;

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        enum Mood {
            Calm,
            Tense,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        enum Light {
            /// By day.
            Day,
            /// By night.
            Night,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        struct Pass {
            start_time: f64,
            end_time: f64,
            /// Who passes.
            from: String,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        struct Scene {
            /// Where it is.
            place: String,
            /// How many people there are.
            people: Option<u32>,
            /// The names.
            names: Vec<String>,
            /// The mood.
            mood: Mood,
            /// The light.
            light: Option<Light>,
            /// The passes.
            passes: Vec<Pass>,
        }

        #[test]
        fn fields_come_from_a_struct() {
            let definition = SegmentDefinition::of::<Scene>("scenes", "A scene.");
            let mut fields = definition.get("fields").unwrap().clone();
            fields.as_array_mut().unwrap().sort_by_key(|field| field["name"].to_string());
            let expected = json!([
                {"name": "light", "type": "string", "description": "The light.", "enum": ["Day", "Night"]},
                {"name": "mood", "type": "string", "description": "The mood.", "enum": ["Calm", "Tense"]},
                {"name": "names", "type": "array", "description": "The names.", "items": {"type": "string"}},
                {
                    "name": "passes", "type": "time_array", "description": "The passes.",
                    "items": {
                        "type": "object",
                        "fields": [{"name": "from", "type": "string", "description": "Who passes."}],
                    },
                },
                {"name": "people", "type": "integer", "description": "How many people there are."},
                {"name": "place", "type": "string", "description": "Where it is."},
            ]);
            assert_eq!(fields, expected);
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        struct Bare {
            place: String,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        struct Reserved {
            /// The start.
            start_time: f64,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        struct Nested {
            /// A pass.
            pass: Pass,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        struct Events {
            /// Bare things.
            bare: Vec<Bare>,
        }

        #[test]
        fn unsupported_fields_of_a_segment_are_refused() {
            for (definition, says) in [
                (SegmentDefinition::of::<Bare>("a", "b"), "`place` has no description"),
                (SegmentDefinition::of::<Reserved>("a", "b"), "`start_time` is a name that the platform reserves"),
                (SegmentDefinition::of::<Nested>("a", "b"), "`pass` has a type that a segment cannot have"),
                (SegmentDefinition::of::<Events>("a", "b"), "`bare`: `place` has no description"),
                (SegmentDefinition::of::<String>("a", "b"), "must come from a struct"),
            ] {
                let why = serde_json::to_value(&definition).unwrap_err().to_string();
                assert!(why.contains(says), "{why}");
            }
        }
    }
}
