//! Example responses, for tests without a server.
//!
//! The response types are `#[non_exhaustive]`, so only this crate can construct them. Take one of these examples and
//! change the fields that matter to your test. All response types can also be deserialized from JSON.
//!
//! ```
//! use twelvelabs::assets::{Asset, AssetStatus};
//! use twelvelabs::testing::fixtures;
//!
//! /// The code under test.
//! fn label(asset: &Asset) -> String {
//!     match asset.status {
//!         Some(AssetStatus::Ready) => asset.filename.clone().unwrap_or_default(),
//!         _ => "not yet".into(),
//!     }
//! }
//!
//! let mut asset = fixtures::asset();
//! assert_eq!(label(&asset), "holiday.mp4");
//! asset.status = Some(AssetStatus::Processing);
//! assert_eq!(label(&asset), "not yet");
//!
//! let other: Asset = serde_json::from_value(serde_json::json!({"_id": "1", "status": "failed"}))?;
//! assert_eq!(label(&other), "not yet");
//! # Ok::<(), serde_json::Error>(())
//! ```

use time::OffsetDateTime;

use crate::assets::{Asset, AssetMethod, AssetStatus, AssetTranscription, TranscriptionStatus};
use crate::search::SearchItem;
use crate::types::TranscriptionEntry;

/// Returns an asset that is ready: the video `holiday.mp4` of 12.5 s and 1 MB.
///
/// ```
/// let asset = twelvelabs::testing::fixtures::asset();
/// assert_eq!((asset.filename.as_deref(), asset.duration), (Some("holiday.mp4"), Some(12.5)));
/// ```
pub fn asset() -> Asset {
    Asset {
        id: "65f000000000000000000001".into(),
        method: Some(AssetMethod::Direct),
        status: Some(AssetStatus::Ready),
        filename: Some("holiday.mp4".into()),
        file_type: Some("video/mp4".into()),
        created_at: OffsetDateTime::from_unix_timestamp(1_767_323_045).ok(),
        user_metadata: None,
        source: None,
        hls: None,
        thumbnail: None,
        technical_metadata: None,
        size: Some(1_000_000),
        duration: Some(12.5),
        error: None,
        url: None,
        url_expires_at: None,
    }
}

/// Returns the best hit of a search: a clip of 7.75 s in which a dog runs into the water.
///
/// ```
/// let hit = twelvelabs::testing::fixtures::search_item();
/// assert_eq!((hit.rank, hit.start, hit.end), (Some(1), Some(61.0), Some(68.75)));
/// ```
pub fn search_item() -> SearchItem {
    SearchItem {
        start: Some(61.0),
        end: Some(68.75),
        video_id: Some("65f000000000000000000002".into()),
        rank: Some(1),
        thumbnail_url: Some("https://example.com/65f000000000000000000002/61.jpg".into()),
        transcription: Some("Look, the dog runs into the water.".into()),
        ..SearchItem::default()
    }
}

/// Returns a transcription: one utterance of two sentences, with their words.
///
/// ```
/// let transcription = twelvelabs::testing::fixtures::transcription();
/// let utterances = transcription.utterances.unwrap_or_default();
/// assert_eq!(utterances[0].value.as_deref(), Some("Hello there. Welcome."));
/// ```
pub fn transcription() -> AssetTranscription {
    let entries = |entries: &[(f64, f64, &str)]| {
        Some(
            entries
                .iter()
                .map(|(start, end, value)| TranscriptionEntry {
                    start: Some(*start),
                    end: Some(*end),
                    value: Some((*value).into()),
                    speaker: None,
                })
                .collect(),
        )
    };
    AssetTranscription {
        status: Some(TranscriptionStatus::Ready),
        words: entries(&[(0.5, 0.9, "Hello"), (0.9, 1.2, "there."), (2.0, 2.6, "Welcome.")]),
        sentences: entries(&[(0.5, 1.2, "Hello there."), (2.0, 2.6, "Welcome.")]),
        utterances: entries(&[(0.5, 2.6, "Hello there. Welcome.")]),
        error: None,
    }
}
