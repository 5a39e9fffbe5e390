//! What it takes to resume a chunked upload.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What it takes to go on with an upload. Keep it as JSON if it has to outlive the program.
///
/// An `upload_id` alone becomes one, too: the rest is asked of the platform, except for the headers of the chunks'
/// requests and the asset's id, which it tells only once.
///
/// ```
/// use twelvelabs::multipart_upload::ResumableUpload;
///
/// let upload = ResumableUpload::from("65f0");
/// let kept = serde_json::to_string(&upload)?;
/// assert_eq!(serde_json::from_str::<ResumableUpload>(&kept)?, upload);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResumableUpload {
    /// The id of the session.
    pub upload_id: String,
    /// The id that the asset will have.
    pub asset_id: Option<String>,
    /// The size in bytes of each chunk but the last.
    pub chunk_size: Option<u64>,
    /// Headers that belong to each chunk's request.
    #[serde(default)]
    pub upload_headers: BTreeMap<String, String>,
    /// When the session ends.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

impl From<&str> for ResumableUpload {
    fn from(upload_id: &str) -> Self {
        ResumableUpload { upload_id: upload_id.into(), ..Self::default() }
    }
}

impl From<String> for ResumableUpload {
    fn from(upload_id: String) -> Self {
        upload_id.as_str().into()
    }
}

impl From<&String> for ResumableUpload {
    fn from(upload_id: &String) -> Self {
        upload_id.as_str().into()
    }
}

impl From<&ResumableUpload> for ResumableUpload {
    fn from(upload: &ResumableUpload) -> Self {
        upload.clone()
    }
}
