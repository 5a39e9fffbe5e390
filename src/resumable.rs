//! The data needed to resume a chunked upload.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::Metadata;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The data needed to resume an upload. Store it as JSON to resume in another run of the program.
///
/// An `upload_id` can also be converted into one. The platform supplies the rest, except for the headers of the chunk
/// requests and the id of the asset, which it sends only once, and the state of the file, which it does not know.
///
/// The JSON contains the headers, which may include a signature, so protect it like the file itself. `Debug` shows only
/// the names of the headers.
///
/// ```
/// use twelvelabs::multipart_upload::ResumableUpload;
///
/// let upload = ResumableUpload::from("65f0");
/// let kept = serde_json::to_string(&upload)?;
/// assert_eq!(serde_json::from_str::<ResumableUpload>(&kept)?, upload);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResumableUpload {
    /// The id of the session.
    pub upload_id: String,
    /// The id that the asset will have.
    pub asset_id: Option<String>,
    /// The size in bytes of each chunk except the last.
    pub chunk_size: Option<u64>,
    /// The headers to send with each chunk.
    #[serde(default)]
    pub upload_headers: BTreeMap<String, String>,
    /// The time at which the session expires.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The state of the file when the upload began. A file in another state is not resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileStamp>,
}

impl fmt::Debug for ResumableUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumableUpload")
            .field("upload_id", &self.upload_id)
            .field("asset_id", &self.asset_id)
            .field("chunk_size", &self.chunk_size)
            .field("upload_headers", &self.upload_headers.keys().collect::<Vec<_>>())
            .field("expires_at", &self.expires_at)
            .field("file", &self.file)
            .finish()
    }
}

/// The state of a file, which distinguishes its versions: metadata from the file system, and a hash of samples of the
/// content.
///
/// Times are in nanoseconds since 1970.
///
/// The metadata is not always sufficient. On Windows, and on file systems such as FAT, a file has no inode number, and
/// its modification time may have a resolution of only 2 seconds. There, and for bytes in memory, only the samples
/// reveal a replacement of the same size and time, and only if it differs in the sampled parts: the first and the last
/// 64 KiB, and 4 KiB at each of 14 evenly spaced places between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileStamp {
    /// The size in bytes.
    pub size: u64,
    /// The time of the last change of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// The time of the last change of the content, the name or the permissions (on Unix).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<i64>,
    /// The inode number (on Unix).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// The time of creation (on systems other than Unix, where files have no inode numbers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// A hash of samples of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
}

impl FileStamp {
    /// Creates the stamp of bytes in memory, which have only a size.
    pub(crate) fn of_bytes(size: u64) -> Self {
        FileStamp { size, modified: None, changed: None, inode: None, created: None, sample: None }
    }

    pub(crate) fn of_file(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (changed, inode, created) = {
            use std::os::unix::fs::MetadataExt;
            let seconds = metadata.ctime().checked_mul(1_000_000_000);
            (seconds.and_then(|n| n.checked_add(metadata.ctime_nsec())), Some(metadata.ino()), None)
        };
        #[cfg(not(unix))]
        let (changed, inode, created) = (None, None, metadata.created().ok().and_then(nanoseconds));
        let modified = metadata.modified().ok().and_then(nanoseconds);
        FileStamp { size: metadata.len(), modified, changed, inode, created, sample: None }
    }

    /// Describes how `now` differs from this stamp, if it shows another file or another version. A value that this
    /// stamp lacks is not compared.
    pub(crate) fn difference(&self, now: &FileStamp) -> Option<String> {
        fn differ<T: PartialEq>(then: Option<T>, now: Option<T>) -> bool {
            then.is_some() && then != now
        }
        if self.size != now.size {
            return Some(format!("it had {} bytes and has {}", self.size, now.size));
        }
        if self.has_other_content(now) {
            return Some("its content is different".into());
        }
        if differ(self.modified, now.modified) {
            return Some("it has been modified since then".into());
        }
        if differ(self.inode, now.inode) || differ(self.created, now.created) {
            return Some("another file has replaced it".into());
        }
        differ(self.changed, now.changed).then(|| "the file, its name or its permissions have changed".into())
    }

    /// Whether both stamps have a sample and the samples differ. In that case the content differs, whatever the
    /// metadata says.
    pub(crate) fn has_other_content(&self, now: &FileStamp) -> bool {
        self.sample.zip(now.sample).is_some_and(|(then, now)| then != now)
    }
}

fn nanoseconds(time: SystemTime) -> Option<i64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|n| -n),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_known_of_both_stamps_is_compared() {
        let old = FileStamp {
            size: 5,
            modified: Some(1),
            changed: Some(2),
            inode: Some(3),
            created: Some(4),
            sample: Some(5),
        };
        for (now, expected) in [
            (old, None),
            (FileStamp { size: 6, ..old }, Some("it had 5 bytes and has 6")),
            (FileStamp { modified: Some(0), ..old }, Some("it has been modified since then")),
            (FileStamp { inode: Some(0), ..old }, Some("another file has replaced it")),
            (FileStamp { created: Some(0), ..old }, Some("another file has replaced it")),
            (FileStamp { changed: Some(0), ..old }, Some("the file, its name or its permissions have changed")),
            (FileStamp { sample: Some(0), ..old }, Some("its content is different")),
            // The content has not been sampled.
            (FileStamp { sample: None, ..old }, None),
        ] {
            assert_eq!(old.difference(&now).as_deref(), expected, "{now:?}");
        }
        // A stamp from an earlier version of this crate lacks some values, which are not compared.
        let older = FileStamp { changed: None, created: None, sample: None, ..old };
        assert_eq!(older.difference(&old), None);
    }
}
