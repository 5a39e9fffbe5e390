//! Where the bytes of an upload come from, and whether they can be read again.

mod background;
mod inspected;
mod mime;
mod ranges;
mod reader;

use std::fmt;
use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use self::background::Origin;
pub(crate) use self::background::{is_same, nonblocking};
pub(crate) use self::inspected::{Inspected, stat};
pub(crate) use self::mime::mime_type;
pub(crate) use self::ranges::ByteRanges;
pub(crate) use self::reader::SourceReader;

/// A file to upload: a path, bytes with a name, or anything that can be read.
///
/// Paths and bytes can be sent again after a passing fault; a reader is read once, and a request is never repeated
/// after its first byte was taken. The content is streamed: no copy is made, in memory or on disk.
///
/// ```
/// use twelvelabs::FileSource;
///
/// let path = FileSource::from("holiday.mp4");
/// let bytes = FileSource::bytes("frame.png", vec![0x89, b'P', b'N', b'G']);
/// let reader = FileSource::reader("live.mp4", std::io::empty()).length(0);
/// let typed = FileSource::from("notes").content_type("text/markdown");
/// ```
#[derive(Clone)]
pub struct FileSource {
    name: Option<String>,
    content_type: Option<String>,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Path(PathBuf),
    Bytes(Arc<Vec<u8>>),
    Reader { once: Arc<Once>, length: Option<u64> },
}

struct Once {
    origin: Mutex<Option<Origin>>,
    touched: AtomicBool,
}

impl Once {
    fn new(origin: Origin) -> Arc<Self> {
        Arc::new(Once { origin: Mutex::new(Some(origin)), touched: AtomicBool::new(false) })
    }
}

impl FileSource {
    /// A file on disk, streamed when it is sent. The same as `FileSource::from(path)`.
    ///
    /// The request fails with [`Error::File`] if the file is missing, empty, a directory, or changes meanwhile. A pipe or
    /// a device is read as a [`reader`](Self::reader) is.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(None, Content::Path(path.into()))
    }

    /// Bytes in memory. The platform goes by the extension of the name: give it the right one.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Some(name.into()), Content::Bytes(Arc::new(bytes.into())))
    }

    /// Anything that can be read, once. Say its [`length`](FileSource::length) if you know it. One that gives nothing at
    /// all is an error.
    ///
    /// It is read on a thread of its own, up to 128 KiB ahead, so that a call can be canceled while it is silent. A read
    /// itself cannot be broken off: the thread lasts until the read returns, and what that gives is lost. A pipe that was
    /// given as a [`path`](Self::path) has no such thread left, on Unix, and nothing of it is lost. A read of a file is
    /// waited for, also on a network that has gone silent.
    pub fn reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        let once = Once::new(Origin::Reader(Box::new(reader)));
        Self::new(Some(name.into()), Content::Reader { once, length: None })
    }

    /// How many bytes a reader will give: the request then announces its size instead of being sent in chunks.
    /// No more than that is read, and a reader that gives less fails the request. No effect on paths and bytes, which
    /// know their length.
    pub fn length(mut self, bytes: u64) -> Self {
        if let Content::Reader { length, .. } = &mut self.content {
            *length = Some(bytes);
        }
        self
    }

    /// The name the platform sees, instead of the last component of the path.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The MIME type, instead of the one that the name's extension stands for.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    when_some!();

    fn new(name: Option<String>, content: Content) -> Self {
        Self { name, content_type: None, content }
    }

    pub(crate) fn file_name(&self) -> String {
        match (&self.name, &self.content) {
            (Some(name), _) => name.clone(),
            (None, Content::Path(path)) => {
                path.file_name().map_or_else(|| "upload".into(), |name| name.to_string_lossy().into_owned())
            }
            (None, _) => "upload".into(),
        }
    }

    pub(crate) fn mime_type(&self) -> String {
        match &self.content_type {
            Some(content_type) => content_type.clone(),
            None => mime_type(Path::new(&self.file_name())).to_string(),
        }
    }

    /// The size in bytes of what can be sent in chunks: a file that is there, or bytes.
    pub(crate) fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Path(path) => path.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len()),
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Reader { .. } => None,
        }
    }

    /// The path of a file on disk.
    pub(crate) fn as_path(&self) -> Option<&Path> {
        match &self.content {
            Content::Path(path) => Some(path),
            _ => None,
        }
    }

    /// What a reader knows it by.
    pub(crate) fn label(&self) -> PathBuf {
        match &self.content {
            Content::Path(path) => path.clone(),
            _ => PathBuf::from(self.file_name()),
        }
    }

    /// Whether the bytes can still be sent from their start.
    pub(crate) fn is_fresh(&self) -> bool {
        match &self.content {
            Content::Reader { once, .. } => !once.touched.load(Ordering::SeqCst),
            _ => true,
        }
    }
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FileSource");
        match &self.content {
            Content::Path(path) => debug.field("path", path),
            Content::Bytes(bytes) => debug.field("bytes", &bytes.len()),
            Content::Reader { length, .. } => debug.field("reader", length),
        };
        debug.field("name", &self.file_name()).field("content_type", &self.mime_type()).finish()
    }
}

/// A file on disk: whatever becomes a path, by value or by reference.
impl<P: Into<PathBuf>> From<P> for FileSource {
    fn from(path: P) -> Self {
        Self::path(path)
    }
}

impl From<&FileSource> for FileSource {
    fn from(source: &FileSource) -> Self {
        source.clone()
    }
}

/// Paths and bytes are compared, and a reader is the same as itself alone.
impl PartialEq for FileSource {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.content, &other.content) {
            (Content::Path(a), Content::Path(b)) => a == b,
            (Content::Bytes(a), Content::Bytes(b)) => a == b,
            (Content::Reader { once: a, .. }, Content::Reader { once: b, .. }) => Arc::ptr_eq(a, b),
            _ => false,
        };
        same && self.name == other.name && self.content_type == other.content_type
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types() {
        assert_eq!(FileSource::from("a/b/Holiday.MP4").file_name(), "Holiday.MP4");
        assert_eq!(FileSource::from("a/b/Holiday.MP4").mime_type(), "video/mp4");
        assert_eq!(FileSource::bytes("x", vec![1]).mime_type(), "application/octet-stream");
        assert_eq!(FileSource::from("/").file_name(), "upload");
    }
}
