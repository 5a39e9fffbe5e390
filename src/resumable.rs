//! What it takes to resume a chunked upload.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::Metadata;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What it takes to resume an upload. Keep it as JSON if it has to outlive the program.
///
/// An `upload_id` alone becomes one, too: the rest is asked of the platform, except for the headers of the chunks'
/// requests and the asset's id, which it gives only once, and for how the file was, which it does not know.
///
/// The JSON has the headers, which may carry a signature: keep it where you would keep the file. `Debug` shows their
/// names alone.
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
    /// The size in bytes of each chunk but the last.
    pub chunk_size: Option<u64>,
    /// Headers that belong to each chunk's request.
    #[serde(default)]
    pub upload_headers: BTreeMap<String, String>,
    /// When the session ends.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// How the file was when the upload began: another one is not resumed.
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

/// What distinguishes one version of a file from another: what the system knows about it, and a sample of its content.
///
/// Times are in nanoseconds since 1970.
///
/// Not every system can tell. On Windows, and on file systems such as FAT, a file has no number, and the time of its last
/// change may be no finer than 2 seconds. There, and for bytes in memory, only the sample notices a file that has been
/// replaced by another of the same size and time, and only if they differ in what is sampled: the first and the last
/// 64 KiB, and 4 KiB each at 14 places evenly between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileStamp {
    /// Its size in bytes.
    pub size: u64,
    /// When its content was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// When its content, its name or its permissions were changed last (on Unix).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<i64>,
    /// Its number in its file system (on Unix).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// When it was created (on systems other than Unix, where files have no numbers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// A hash of samples of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
}

impl FileStamp {
    /// Bytes in memory have nothing but a size.
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

    /// What makes `now` another file than this one, or another version of it. Nothing speaks for another version of
    /// which this one says nothing.
    pub(crate) fn difference(&self, now: &FileStamp) -> Option<String> {
        fn differ<T: PartialEq>(then: Option<T>, now: Option<T>) -> bool {
            then.is_some() && then != now
        }
        if self.size != now.size {
            return Some(format!("it had {} bytes and has {}", self.size, now.size));
        }
        if self.has_other_content(now) {
            return Some("its content is another".into());
        }
        if differ(self.modified, now.modified) {
            return Some("it was changed meanwhile".into());
        }
        if differ(self.inode, now.inode) || differ(self.created, now.created) {
            return Some("another file has taken its place".into());
        }
        differ(self.changed, now.changed).then(|| "it, its name or its permissions were changed meanwhile".into())
    }

    /// Whether both were sampled, and differ: then no time and no number can make them the same.
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
    fn each_thing_that_is_known_of_both_is_compared() {
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
            (FileStamp { modified: Some(0), ..old }, Some("it was changed meanwhile")),
            (FileStamp { inode: Some(0), ..old }, Some("another file has taken its place")),
            (FileStamp { created: Some(0), ..old }, Some("another file has taken its place")),
            (FileStamp { changed: Some(0), ..old }, Some("it, its name or its permissions were changed meanwhile")),
            (FileStamp { sample: Some(0), ..old }, Some("its content is another")),
            // Nobody has read the file for this.
            (FileStamp { sample: None, ..old }, None),
        ] {
            assert_eq!(old.difference(&now).as_deref(), expected, "{now:?}");
        }
        // A stamp of an earlier version of this crate says nothing of what it lacks.
        let older = FileStamp { changed: None, created: None, sample: None, ..old };
        assert_eq!(older.difference(&old), None);
    }
}
