//! A source that was inspected before it is sent: its size, and whether it is still the same file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::background::{Origin, open_nonblocking};
use super::{Content, FileSource, Once};
use crate::error::{Error, Result, is_out_of_handles};
use crate::resumable::FileStamp;

impl FileSource {
    /// Inspects the source without reading it. The source is compared with the result when it is sent.
    pub(crate) fn inspect(&self) -> Result<Inspected> {
        let label = self.label();
        let inspected =
            |content, stamp, length| Inspected { content, label: label.clone(), stamp, length, base64: false };
        let (stamp, length) = match &self.content {
            Content::Reader { length, .. } => (None, *length),
            Content::Bytes(bytes) => (Some(FileStamp::of_bytes(bytes.len() as u64)), Some(bytes.len() as u64)),
            Content::Path(path) => match stat(path)? {
                Some(_) => {
                    let stamp = stamp(&open(path)?, path)?;
                    if self.version.is_some_and(|version| version != (stamp.size, stamp.modified)) {
                        return Err(changed(path, "the file has changed since the upload began"));
                    }
                    (Some(stamp), Some(stamp.size))
                }
                // A pipe or a device has no length and cannot be read twice.
                None => {
                    let content = Content::Reader { once: Once::new(Origin::Pipe(path.clone())), length: None };
                    return Ok(inspected(content, None, None));
                }
            },
        };
        if length == Some(0) {
            return Err(Error::file(&label, "the file is empty; there is nothing to upload", None));
        }
        Ok(inspected(self.content.clone(), stamp, length))
    }
}

/// An inspected source: its length, if known, and the state of the file.
#[derive(Clone)]
pub(crate) struct Inspected {
    pub(super) content: Content,
    pub(super) label: PathBuf,
    pub(super) stamp: Option<FileStamp>,
    pub(super) length: Option<u64>,
    pub(super) base64: bool,
}

/// Returns the state of a file without opening it. `None` if it is neither a file nor a directory.
pub(crate) fn stat(path: &Path) -> Result<Option<FileStamp>> {
    let metadata = path.metadata().map_err(|e| unreadable(path, e))?;
    if metadata.is_dir() {
        return Err(Error::file(path, "this is a directory; name a file in it", None));
    }
    Ok(metadata.is_file().then(|| FileStamp::of_file(&metadata)))
}

/// Returns the state of an open file.
pub(super) fn stamp(file: &File, path: &Path) -> Result<FileStamp> {
    let metadata = file.metadata().map_err(|e| unreadable(path, e))?;
    match metadata.is_file() {
        true => Ok(FileStamp::of_file(&metadata)),
        false => Err(Error::file(path, "this is no longer a file", None)),
    }
}

pub(super) fn unreadable(path: &Path, e: io::Error) -> Error {
    // Neither `upload` nor a direct method fetches a URL.
    let is_url = path.to_str().is_some_and(|path| path.starts_with("https://") || path.starts_with("http://"));
    let message = match e.kind() {
        _ if is_url => "this is a URL, not a file; use `assets().upload_url(…)`, or `UploadMethod::url(…)`",
        _ if path.as_os_str().is_empty() => "the path of the file is empty",
        io::ErrorKind::NotFound if path.starts_with("~") => {
            "there is no such file; `~` is not expanded, so give the whole path"
        }
        io::ErrorKind::NotFound => "there is no such file",
        _ if is_out_of_handles(&e) => {
            "too many files are open; close some, raise the limit (such as `ulimit -n`), or send fewer at a time"
        }
        io::ErrorKind::PermissionDenied => "no permission to read the file",
        _ => "cannot open the file",
    };
    Error::file(path, message, Some(e))
}

fn changed(path: &Path, how: &str) -> Error {
    Error::file(path, format!("{how}; upload it again when no program is writing to it"), None)
}

pub(super) fn open(path: &Path) -> Result<File> {
    open_nonblocking(path).map_err(|e| unreadable(path, e))
}

impl Inspected {
    /// Returns this source, to be read as base64.
    pub(crate) fn base64(self) -> Self {
        Self { base64: true, ..self }
    }

    /// The size of the source in bytes, before encoding.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The number of bytes that are read from the source, after encoding.
    pub(crate) fn sent_length(&self) -> Option<u64> {
        if self.base64 { self.length?.div_ceil(3).checked_mul(4) } else { self.length }
    }

    pub(crate) fn is_replayable(&self) -> bool {
        FileSource::new(None, self.content.clone()).is_replayable()
    }

    /// The state of the file when it was inspected.
    pub(crate) fn stamp(&self) -> Option<FileStamp> {
        self.stamp
    }

    pub(super) fn open_unchanged(&self, path: &Path) -> Result<File> {
        let file = open(path)?;
        match self.is_changed(&stamp(&file, path)?) {
            true => Err(self.changed("the file has changed since the upload began")),
            false => Ok(file),
        }
    }

    /// Whether a read may return fewer bytes than requested before the end.
    pub(crate) fn may_read_short(&self) -> bool {
        matches!(self.content, Content::Reader { .. })
    }

    /// Whether a file in this state differs from the inspected one.
    fn is_changed(&self, now: &FileStamp) -> bool {
        // A new name or new permissions change the status time but not the content.
        self.stamp.is_some_and(|then| FileStamp { changed: None, ..then }.difference(now).is_some())
    }

    /// Whether the file behind this handle is still the inspected one.
    pub(super) fn check_unchanged(&self, file: &File) -> Result<()> {
        let now = stamp(file, &self.label)?;
        match self.stamp {
            Some(then) if now.size > then.size => Err(self.changed("the file grew while it was being sent")),
            Some(then) if now.size < then.size => Err(self.changed("the file shrank while it was being sent")),
            _ if self.is_changed(&now) => Err(self.changed("the file changed while it was being sent")),
            _ => Ok(()),
        }
    }

    pub(super) fn changed(&self, how: &str) -> Error {
        changed(&self.label, how)
    }

    /// Returns the name of the source for errors and progress.
    pub(crate) fn label(&self) -> &Path {
        &self.label
    }

    /// Returns an error if the path now leads to another file than the inspected one. A file that was moved or deleted
    /// is no error: the check runs after every byte was read, and the bytes are those of the inspected file.
    ///
    /// The file is opened again, because only that makes a network file system refresh its times.
    pub(crate) fn check_path(&self) -> Result<()> {
        let Content::Path(path) = &self.content else { return Ok(()) };
        match open(path).and_then(|file| stamp(&file, path)) {
            Ok(now) if self.is_changed(&now) => Err(self.changed("the file has changed since the upload began")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_files_are_named() {
        let missing = FileSource::from("no/such/file.mp4").inspect().err().unwrap();
        assert_eq!(missing.to_string(), "no/such/file.mp4: there is no such file");
        assert!(FileSource::from("src").inspect().err().unwrap().to_string().contains("a directory"));
        assert!(FileSource::bytes("a.mp4", vec![]).inspect().err().unwrap().to_string().contains("empty"));
    }

    #[test]
    fn the_reason_why_a_file_cannot_be_opened_is_reported() {
        use io::ErrorKind::{NotFound, PermissionDenied, StaleNetworkFileHandle};
        for (path, kind, expected) in [
            ("a.mp4", NotFound, "a.mp4: there is no such file"),
            ("a.mp4", PermissionDenied, "a.mp4: no permission to read the file"),
            ("a.mp4", StaleNetworkFileHandle, "a.mp4: cannot open the file"),
            ("~/a.mp4", PermissionDenied, "~/a.mp4: no permission to read the file"),
            (
                "https://h/a.mp4",
                NotFound,
                "https://h/a.mp4: this is a URL, not a file; use `assets().upload_url(…)`, or `UploadMethod::url(…)`",
            ),
        ] {
            assert_eq!(unreadable(Path::new(path), kind.into()).to_string(), expected);
        }
    }

    #[test]
    fn a_file_that_changed_since_it_was_inspected_is_not_opened() {
        let path = std::env::temp_dir().join(format!("twelvelabs-inspected-{}", std::process::id()));
        std::fs::write(&path, "12345").unwrap();
        let source = FileSource::from(&path);
        let inspected = source.inspect().unwrap();
        assert!(inspected.open().is_ok() && inspected.byte_ranges().is_ok());
        let time = path.metadata().unwrap().modified().unwrap() - std::time::Duration::from_secs(1);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        for e in [inspected.open().err(), inspected.byte_ranges().err()] {
            assert!(e.unwrap().to_string().contains("changed since the upload began"));
        }
        // Renaming a file and changing its permissions do not count as a change.
        let inspected = source.inspect().unwrap();
        std::fs::hard_link(&path, path.with_extension("link")).unwrap();
        assert!(inspected.open().is_ok() && inspected.byte_ranges().is_ok());
        std::fs::remove_file(path.with_extension("link")).unwrap();
        std::fs::remove_file(path).unwrap();
    }
}
