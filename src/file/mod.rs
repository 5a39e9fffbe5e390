//! Where the bytes of an upload come from, and whether they can be read again.

mod background;

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use self::background::{Background, Origin};
pub(crate) use self::background::{is_same, nonblocking, open_nonblocking};
use crate::error::{Error, Result};
use crate::resumable::FileStamp;
use crate::sync::lock;

/// How many bytes are encoded at once: a multiple of three, so that only the last block is padded.
const BASE64_BLOCK: usize = 3 << 14;

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
            None => mime_type(&self.file_name()).to_string(),
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

    /// Looks at the source without reading it: what is sent later is held against this.
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
                    (Some(stamp), Some(stamp.size))
                }
                // A pipe or a device: it has no length, and no second try.
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

/// A source that was inspected: its length if it has one, and how the file was.
#[derive(Clone)]
pub(crate) struct Inspected {
    content: Content,
    label: PathBuf,
    stamp: Option<FileStamp>,
    length: Option<u64>,
    base64: bool,
}

/// How a file is, without opening it. `None` for what is neither a file nor a directory.
pub(crate) fn stat(path: &Path) -> Result<Option<FileStamp>> {
    let metadata = path.metadata().map_err(|e| unreadable(path, e))?;
    if metadata.is_dir() {
        return Err(Error::file(path, "this is a directory; name a file in it", None));
    }
    Ok(metadata.is_file().then(|| FileStamp::of_file(&metadata)))
}

/// How an open file is.
fn stamp(file: &File, path: &Path) -> Result<FileStamp> {
    let metadata = file.metadata().map_err(|e| unreadable(path, e))?;
    match metadata.is_file() {
        true => Ok(FileStamp::of_file(&metadata)),
        false => Err(Error::file(path, "this is no longer a file", None)),
    }
}

fn unreadable(path: &Path, e: io::Error) -> Error {
    // Neither `upload` nor a direct method fetches anything.
    let is_url = path.to_str().is_some_and(|path| path.starts_with("https://") || path.starts_with("http://"));
    let message = match e.kind() {
        _ if is_url => "this is a URL, not a file; use `assets().upload_url(…)`, or `UploadMethod::url(…)`",
        _ if path.as_os_str().is_empty() => "the path of the file is empty",
        io::ErrorKind::NotFound if path.starts_with("~") => {
            "there is no such file; `~` is not expanded, give the whole path"
        }
        io::ErrorKind::NotFound => "there is no such file",
        io::ErrorKind::PermissionDenied => "no permission to read the file",
        _ => "cannot open the file",
    };
    Error::file(path, message, Some(e))
}

fn open(path: &Path) -> Result<File> {
    open_nonblocking(path).map_err(|e| unreadable(path, e))
}

impl Inspected {
    /// The same, to be read as base64.
    pub(crate) fn base64(self) -> Self {
        Self { base64: true, ..self }
    }

    /// The size of the source itself in bytes.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// How many bytes are read from it, encoded if it is to be.
    pub(crate) fn sent_length(&self) -> Option<u64> {
        if self.base64 { self.length?.div_ceil(3).checked_mul(4) } else { self.length }
    }

    pub(crate) fn is_fresh(&self) -> bool {
        FileSource::new(None, self.content.clone()).is_fresh()
    }

    /// How the file was when it was inspected.
    pub(crate) fn stamp(&self) -> Option<FileStamp> {
        self.stamp
    }

    /// Opens the source at its start. A file that is not what it was when it was inspected is refused.
    pub(crate) fn open(&self) -> Result<SourceReader> {
        let reader = match &self.content {
            Content::Bytes(bytes) => Opened::Bytes(bytes.clone(), 0),
            Content::Reader { once, length } => Opened::Waiting(once.clone(), *length),
            Content::Path(path) => Opened::File(self.open_unchanged(path)?),
        };
        let encoded = self.base64.then(Encoded::default);
        Ok(SourceReader { reader, source: self.clone(), left: self.length, is_empty: true, encoded })
    }

    fn open_unchanged(&self, path: &Path) -> Result<File> {
        let file = open(path)?;
        match self.is_changed(&stamp(&file, path)?) {
            true => Err(self.changed("changed since the upload began")),
            false => Ok(file),
        }
    }

    /// Whether a read may give less than was asked for without being at the end.
    pub(crate) fn trickles(&self) -> bool {
        matches!(self.content, Content::Reader { .. })
    }

    /// Whether a file that is like this is another than what was inspected.
    fn is_changed(&self, now: &FileStamp) -> bool {
        // A new name or other permissions do no harm while it is sent.
        self.stamp.is_some_and(|then| FileStamp { changed: None, ..then }.difference(now).is_some())
    }

    /// Whether the file behind this handle is still what was inspected.
    fn check_unchanged(&self, file: &File) -> Result<()> {
        let now = stamp(file, &self.label)?;
        match self.stamp {
            Some(then) if now.size > then.size => Err(self.changed("grew while it was being sent")),
            Some(then) if now.size < then.size => Err(self.changed("shrank while it was being sent")),
            _ if self.is_changed(&now) => Err(self.changed("changed while it was being sent")),
            _ => Ok(()),
        }
    }

    fn changed(&self, how: &str) -> Error {
        let message = format!("{how}; upload it again when nothing writes to it any more");
        Error::file(&self.label, message, None)
    }
}

/// Gives exactly as many bytes as were announced, or an error.
pub(crate) struct SourceReader {
    reader: Opened,
    source: Inspected,
    left: Option<u64>,
    /// Whether nothing has been read.
    is_empty: bool,
    encoded: Option<Encoded>,
}

enum Opened {
    File(File),
    Bytes(Arc<Vec<u8>>, usize),
    /// A reader that nothing was asked of, and the bytes that it is to give.
    Waiting(Arc<Once>, Option<u64>),
    Reader(Box<Background>),
}

/// A block of base64 and how much of it was taken.
#[derive(Default)]
struct Encoded {
    block: String,
    taken: usize,
}

impl SourceReader {
    /// Reads on. `proceed` is asked again and again while a reader is silent, and ends that with its error.
    pub(crate) fn read(&mut self, buffer: &mut [u8], proceed: &mut dyn FnMut() -> Result<()>) -> Result<usize> {
        if self.encoded.as_ref().is_some_and(|encoded| encoded.taken == encoded.block.len()) {
            self.encoded = Some(Encoded { block: self.encode_block(proceed)?, taken: 0 });
        }
        let Some(encoded) = &mut self.encoded else { return self.read_plain(buffer, proceed) };
        let rest = encoded.block.as_bytes().get(encoded.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        encoded.taken += count;
        Ok(count)
    }

    fn encode_block(&mut self, proceed: &mut dyn FnMut() -> Result<()>) -> Result<String> {
        let mut plain = vec![0; BASE64_BLOCK];
        let mut filled = 0;
        while filled < plain.len() {
            match self.read_plain(&mut plain[filled..], proceed)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(BASE64_STANDARD.encode(&plain[..filled]))
    }

    fn read_plain(&mut self, buffer: &mut [u8], proceed: &mut dyn FnMut() -> Result<()>) -> Result<usize> {
        let most = match self.left {
            Some(0) => return self.end().map(|()| 0),
            Some(left) => buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            None => buffer.len(),
        };
        let fail = |label: &Path, e| Error::file(label, "cannot read the file", Some(e));
        let read = loop {
            match self.reader.read(&mut buffer[..most]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(fail(&self.source.label, e)),
                Ok(Some(read)) => break read.min(most),
                Ok(None) => proceed()?,
            }
        };
        self.is_empty &= read == 0;
        match &mut self.left {
            Some(_) if read == 0 && most > 0 => Err(match self.reader {
                Opened::File(_) => self.source.changed("shrank while it was being sent"),
                _ => Error::file(&self.source.label, "it gave fewer bytes than its `length` said", None),
            }),
            Some(left) => {
                *left -= read as u64;
                Ok(read)
            }
            None if self.is_empty && most > 0 => {
                Err(Error::file(&self.source.label, "it gave no bytes; there is nothing to upload", None))
            }
            None => Ok(read),
        }
    }

    /// The announced bytes have been read: is the file still what it was?
    fn end(&mut self) -> Result<()> {
        match &self.reader {
            Opened::File(file) => self.source.check_unchanged(file),
            _ => Ok(()),
        }
    }
}

impl Opened {
    /// What has been read; nothing if nothing has come for a while.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Opened::File(file) => file.read(buffer).map(Some),
            Opened::Bytes(bytes, at) => {
                let rest = bytes.get(*at..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                *at += count;
                Ok(Some(count))
            }
            Opened::Reader(reader) => reader.read(buffer),
            Opened::Waiting(once, length) => {
                once.touched.store(true, Ordering::SeqCst);
                let origin = lock(&once.origin).take();
                let origin = origin.ok_or_else(|| io::Error::other("a reader is read once, and this one was"))?;
                *self = Opened::Reader(Box::new(Background::start(origin, *length)?));
                Ok(None)
            }
        }
    }
}

/// A source of its own for reading byte ranges of a file, in any order.
pub(crate) struct ByteRanges {
    source: Inspected,
    file: Option<File>,
}

impl Inspected {
    /// What the source is called, in errors and in progress.
    pub(crate) fn label(&self) -> &Path {
        &self.label
    }

    /// An error if the path no longer leads to the file that was inspected.
    pub(crate) fn check_path(&self) -> Result<()> {
        self.byte_ranges()?.check_unchanged()
    }

    /// Opens the source for reading byte ranges. A reader cannot be.
    pub(crate) fn byte_ranges(&self) -> Result<ByteRanges> {
        let file = match &self.content {
            Content::Path(path) => Some(self.open_unchanged(path)?),
            Content::Bytes(_) => None,
            Content::Reader { .. } => {
                let message = "only a file or bytes can be uploaded in chunks; a reader goes in one request";
                return Err(Error::file(&self.label, message, None));
            }
        };
        Ok(ByteRanges { source: self.clone(), file })
    }
}

impl ByteRanges {
    /// Reads up to `buffer.len()` bytes from `offset` on. A source that is no longer what it was is an error.
    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let read = match (&mut self.file, &self.source.content) {
            (Some(file), _) => file
                .seek(SeekFrom::Start(offset))
                .and_then(|_| file.read(buffer))
                .map_err(|e| Error::file(&self.source.label, "cannot read the file", Some(e)))?,
            (None, Content::Bytes(bytes)) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                read
            }
            (None, _) => 0,
        };
        if read == 0 && !buffer.is_empty() {
            return Err(self.source.changed("shrank while it was being sent"));
        }
        Ok(read)
    }

    /// An error if the file is no longer what it was when it was inspected.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| self.source.check_unchanged(file))
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

/// The MIME type that a file name's extension stands for.
pub(crate) fn mime_type(name: &str) -> &'static str {
    let extension = Path::new(name).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref().unwrap_or_default() {
        "mp4" | "m4v" => "video/mp4",
        "mov" | "qt" => "video/quicktime",
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "avi" => "video/x-msvideo",
        "mpg" | "mpeg" => "video/mpeg",
        "wmv" => "video/x-ms-wmv",
        "flv" => "video/x-flv",
        "ts" | "mts" | "m2ts" => "video/mp2t",
        "3gp" => "video/3gpp",
        "ogv" => "video/ogg",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "ogg" | "oga" => "audio/ogg",
        "opus" => "audio/opus",
        "wma" => "audio/x-ms-wma",
        "aif" | "aiff" => "audio/aiff",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "tif" | "tiff" => "image/tiff",
        "heic" => "image/heic",
        "avif" => "image/avif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" | "markdown" => "text/markdown",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(source: &FileSource) -> Result<Vec<u8>> {
        let mut reader = source.inspect()?.open()?;
        let mut out = Vec::new();
        let mut buffer = [0; 3];
        loop {
            match reader.read(&mut buffer, &mut || Ok(()))? {
                0 => return Ok(out),
                n => out.extend_from_slice(&buffer[..n]),
            }
        }
    }

    #[test]
    fn names_and_types() {
        assert_eq!(FileSource::from("a/b/Holiday.MP4").file_name(), "Holiday.MP4");
        assert_eq!(FileSource::from("a/b/Holiday.MP4").mime_type(), "video/mp4");
        assert_eq!(FileSource::bytes("x", vec![1]).mime_type(), "application/octet-stream");
        assert_eq!(FileSource::from("/").file_name(), "upload");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let missing = FileSource::from("no/such/file.mp4").inspect().err().unwrap();
        assert_eq!(missing.to_string(), "no/such/file.mp4: there is no such file");
        assert!(FileSource::from("src").inspect().err().unwrap().to_string().contains("a directory"));
        assert!(FileSource::bytes("a.mp4", vec![]).inspect().err().unwrap().to_string().contains("empty"));
    }

    #[test]
    fn readers_give_what_they_announced_and_only_once() {
        let source = FileSource::reader("a", &b"hello"[..]).length(5);
        assert!(source.is_fresh());
        assert_eq!(read_all(&source).unwrap(), b"hello");
        assert!(!source.is_fresh());
        let e = read_all(&source).unwrap_err();
        assert!(matches!(&e, Error::File { source: Some(e), .. } if e.to_string().contains("is read once")), "{e:?}");
        let short = FileSource::reader("a", &b"hello"[..]).length(9);
        assert_eq!(read_all(&short).unwrap_err().to_string(), "a: it gave fewer bytes than its `length` said");
        let empty = FileSource::reader("a", io::empty());
        assert_eq!(read_all(&empty).unwrap_err().to_string(), "a: it gave no bytes; there is nothing to upload");
    }

    /// Counts how many bytes were asked for.
    struct Counting(Arc<std::sync::atomic::AtomicUsize>);

    impl Read for Counting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.fetch_add(buffer.len(), Ordering::SeqCst);
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }

    #[test]
    fn no_more_is_read_than_the_length_says() {
        let asked = Arc::default();
        let source = FileSource::reader("a", Counting(Arc::clone(&asked))).length(200_001);
        assert_eq!(read_all(&source).unwrap().len(), 200_001);
        assert_eq!(asked.load(Ordering::SeqCst), 200_001);
    }

    #[test]
    fn a_reader_that_panics_or_fails_is_an_error() {
        struct Fails(bool);
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                assert!(!self.0, "on purpose");
                Err(io::Error::other("no more"))
            }
        }
        for panics in [true, false] {
            let e = read_all(&FileSource::reader("a", Fails(panics))).unwrap_err();
            let Error::File { source: Some(source), .. } = e else { panic!("{e:?}") };
            assert_eq!(source.to_string(), if panics { "the reader has panicked" } else { "no more" });
        }
    }

    #[test]
    fn a_read_of_a_silent_reader_ends_when_it_is_told_to() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        struct Silent(std::sync::mpsc::Receiver<()>);
        impl Read for Silent {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                self.0.recv().map(|()| 0).map_err(io::Error::other)
            }
        }
        let mut reader = FileSource::reader("a", Silent(receiver)).inspect().unwrap().open().unwrap();
        let mut asked = 0;
        let e = reader.read(&mut [0; 9], &mut || {
            asked += 1;
            if asked < 3 { Ok(()) } else { Err(Error::Canceled { operation: "upload".into(), sent: false }) }
        });
        assert!(e.unwrap_err().is_canceled() && asked == 3);
        drop(sender);
    }

    #[test]
    fn base64_is_padded_at_the_end_alone() {
        for size in [1, 2, 3, BASE64_BLOCK - 1, BASE64_BLOCK, BASE64_BLOCK + 1, 2 * BASE64_BLOCK + 2] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let whole = FileSource::bytes("a", bytes.clone());
            // A reader that gives a little at a time, and does not say how much there is.
            let pieces = FileSource::reader(
                "a",
                bytes.chunks(1000).fold(Box::new(io::empty()) as Box<dyn Read + Send>, |all, piece| {
                    Box::new(all.chain(io::Cursor::new(piece.to_vec())))
                }),
            );
            for source in [whole, pieces] {
                let source = source.inspect().unwrap().base64();
                let mut reader = source.open().unwrap();
                let (mut out, mut buffer) = (Vec::new(), [0; 1000]);
                loop {
                    match reader.read(&mut buffer, &mut || Ok(())).unwrap() {
                        0 => break,
                        n => out.extend_from_slice(&buffer[..n]),
                    }
                }
                assert_eq!(BASE64_STANDARD.decode(&out).unwrap(), bytes);
                assert!(source.sent_length().is_none_or(|length| length == out.len() as u64));
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_pipes_that_are_empty_are_errors() {
        let e = read_all(&FileSource::from("/dev/null")).unwrap_err();
        assert_eq!(e.to_string(), "/dev/null: it gave no bytes; there is nothing to upload");
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
        // Another name and other permissions are no change.
        let inspected = source.inspect().unwrap();
        std::fs::hard_link(&path, path.with_extension("link")).unwrap();
        assert!(inspected.open().is_ok() && inspected.byte_ranges().is_ok());
        std::fs::remove_file(path.with_extension("link")).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn bytes_can_be_read_again() {
        let bytes = FileSource::bytes("a", *b"0123456789");
        assert_eq!(read_all(&bytes).unwrap(), b"0123456789");
        assert_eq!(read_all(&bytes).unwrap(), b"0123456789");
    }
}
