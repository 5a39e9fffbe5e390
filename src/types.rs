//! Types that more than one resource shares.

use serde::{Deserialize, Serialize};

/// An embedding of a stretch of video, as the older embedding calls and the indexes give it.
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
