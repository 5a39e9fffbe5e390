//! Types that more than one resource shares.

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// What became of one of several files that were sent together.
#[derive(Debug)]
#[non_exhaustive]
pub struct BulkOutcome<T> {
    /// The file's path or name, or the URL.
    pub source: String,
    /// What it became, or why it did not.
    pub result: Result<T>,
}

open_enum! {
    /// What of a file is embedded.
    EmbeddingOption {
        /// What is seen.
        Visual = "visual",
        /// What is heard.
        Audio = "audio",
        /// What is said. Not with Marengo 3.5, whose `audio` has speech in it.
        Transcription = "transcription",
        /// What is written in a document.
        Text = "text",
        /// All that was asked for, in one vector. In answers.
        Fused = "fused",
        /// What is seen and read, from older models.
        VisualText = "visual-text",
    }
}

open_enum! {
    /// How much of a file one embedding is of.
    EmbeddingScope {
        /// A stretch of video or audio.
        Clip = "clip",
        /// A part: a stretch of video or audio, a page of a PDF, a chunk of a text. In requests.
        Local = "local",
        /// A page of a PDF, or a quarter of it. In answers.
        Page = "page",
        /// A chunk of a text. In answers.
        Chunk = "chunk",
        /// The whole file. Meant for at most 10 to 30 seconds of video or audio.
        Asset = "asset",
        /// The whole video, in the older calls.
        Video = "video",
    }
}

/// An embedding of a stretch of video or audio, or of a text or an image, as the older embedding calls and the indexes
/// give it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSegment {
    /// The vector.
    pub float: Option<Vec<f32>>,
    /// Where the stretch begins, in seconds.
    pub start_offset_sec: Option<f64>,
    /// Where it ends, in seconds.
    pub end_offset_sec: Option<f64>,
    /// What was embedded, as `visual-text` or `audio`.
    pub embedding_option: Option<String>,
    /// What the embedding is of, as `clip` or `video`.
    pub embedding_scope: Option<String>,
}
