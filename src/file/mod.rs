//! The source of an upload's bytes, and whether it can be read again.

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

/// A file to upload: a path, bytes with a name, or a reader.
///
/// Paths and bytes can be sent again in a retry. A reader can be read only once, so a request is never repeated after
/// its first byte was read. The content is streamed: no copy is made in memory or on disk.
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
    /// The size and the modification time that the file must have, if a journal has recorded them.
    version: Option<(u64, Option<i64>)>,
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
    /// Creates a source from a file on disk, which is streamed when it is sent. It is equivalent to
    /// `FileSource::from(path)`.
    ///
    /// The request fails with [`Error::File`](crate::Error::File) if the file is missing or empty, is a directory, or
    /// changes while it is sent. On Unix, a pipe or a device is read like a [`reader`](Self::reader).
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(None, Content::Path(path.into()))
    }

    /// Creates a source from bytes in memory. The platform determines the file type from the extension of the name, so
    /// give the right one.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Some(name.into()), Content::Bytes(Arc::new(bytes.into())))
    }

    /// Creates a source from a reader, which is read once. Set its [`length`](FileSource::length) if you know it. An
    /// empty reader is an error.
    ///
    /// The reader runs on its own thread, up to 128 KiB ahead, so that a call can be canceled while the reader blocks.
    /// A blocked read itself cannot be interrupted: the thread lasts until the read returns, and the bytes of that read
    /// are lost. On Unix, a pipe that was given as a [`path`](Self::path) leaves no thread behind and loses no bytes. A
    /// read from a regular file cannot be canceled, even if a network file system stops responding.
    pub fn reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        let once = Once::new(Origin::Reader(Box::new(reader)));
        Self::new(Some(name.into()), Content::Reader { once, length: None })
    }

    /// Sets the number of bytes that a reader contains. The request then declares its size instead of using chunked
    /// encoding. No further bytes are read, and the request fails if the reader ends early. Has no effect on paths and
    /// bytes, whose length is known.
    pub fn length(mut self, bytes: u64) -> Self {
        if let Content::Reader { length, .. } = &mut self.content {
            *length = Some(bytes);
        }
        self
    }

    /// Sets the file name that is sent, instead of the last component of the path.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the MIME type, instead of deriving it from the extension of the name.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    when_some!();

    fn new(name: Option<String>, content: Content) -> Self {
        Self { name, content_type: None, content, version: None }
    }

    /// Makes the source refuse a file with a different size or modification time.
    pub(crate) fn version(self, size: u64, modified: Option<i64>) -> Self {
        Self { version: Some((size, modified)), ..self }
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

    /// Returns the size in bytes of a source that can be sent in chunks: an existing file, or bytes.
    pub(crate) fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Path(path) => path.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len()),
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Reader { .. } => None,
        }
    }

    /// Returns the path of a file on disk.
    pub(crate) fn as_path(&self) -> Option<&Path> {
        match &self.content {
            Content::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Returns the file name that is sent to the platform.
    pub(crate) fn label(&self) -> PathBuf {
        match &self.content {
            Content::Path(path) => path.clone(),
            _ => PathBuf::from(self.file_name()),
        }
    }

    /// Whether the bytes can still be sent from the start.
    pub(crate) fn is_replayable(&self) -> bool {
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

/// Creates a source from a file on disk, given as any type of path, by value or by reference.
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

/// Paths and bytes are compared by value. A reader equals only itself.
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
