//! Failed chunked uploads.

use std::error::Error as _;
use std::fmt;

use crate::error::Error;
use crate::error::display::causes;
use crate::resumable::ResumableUpload;
use crate::text::printable;

/// A failed chunked upload. The message starts with the reason, and [`source`](std::error::Error::source) returns the
/// cause of that reason.
///
/// ```no_run
/// use twelvelabs::Error;
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// match client.multipart_upload().upload_file("holiday.mp4").send() {
///     Err(Error::Upload(e)) if e.resumable => {
///         eprintln!("{} of {} chunks are missing: {e}", e.missing.len(), e.total_chunks);
///         client.multipart_upload().upload_file("holiday.mp4").resume(&e.upload).send()?;
///     }
///     other => drop(other?),
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[non_exhaustive]
pub struct UploadError {
    /// The upload, with its `upload_id` and `asset_id`. Pass it to `resume`.
    pub upload: ResumableUpload,
    /// The numbers of the missing chunks, from 1.
    pub missing: Vec<u32>,
    /// The number of chunks of the file.
    pub total_chunks: u32,
    /// Whether the upload can be resumed. It cannot if the file has changed or the session has ended.
    pub resumable: bool,
    /// Whether the file differs from the one with which the upload began.
    pub(crate) mismatch: bool,
    /// The reason.
    pub cause: Box<Error>,
}

impl fmt::Debug for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        let (first, more) = self.missing.split_at(self.missing.len().min(SHOWN));
        f.debug_struct("UploadError")
            .field("upload", &self.upload)
            .field("missing", &format_args!("{first:?}{}", if more.is_empty() { "" } else { "…" }))
            .field("total_chunks", &self.total_chunks)
            .field("resumable", &self.resumable)
            .field("mismatch", &self.mismatch)
            .field("cause", &self.cause)
            .finish()
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missing, total) = (self.missing.len(), self.total_chunks);
        let asset = self.upload.asset_id.as_deref().map(|id| printable(id, 100));
        write!(f, "{}; ", self.cause)?;
        match (self.upload.upload_id.as_str(), asset) {
            ("", asset) => {
                let asset = asset.unwrap_or_default();
                write!(f, "the file has arrived as asset {asset}; wait for it with `wait_for_done`")?;
                return causes(f, "", "", self.cause.source());
            }
            (id, Some(asset)) => write!(f, "upload {} of asset {asset}", printable(id, 100))?,
            (id, None) => write!(f, "upload {}", printable(id, 100))?,
        }
        if total > 0 {
            write!(f, " lacks {missing} of {total} chunks and")?;
        }
        f.write_str(if self.resumable { " can be resumed" } else { " cannot be resumed; upload the file again" })?;
        causes(f, "", "", self.cause.source())
    }
}

impl std::error::Error for UploadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}
