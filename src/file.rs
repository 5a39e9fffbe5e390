//! Where the bytes of an upload come from, and whether they can be read again.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::error::{Error, Result};
use crate::resources::assets::AssetType;

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
    Reader { once: Arc<Mutex<Once>>, length: Option<u64> },
}

struct Once {
    reader: Box<dyn Read + Send>,
    touched: bool,
}

impl FileSource {
    /// A file on disk, streamed when it is sent. The same as `FileSource::from(path)`.
    ///
    /// The request fails with [`Error::File`] if the file is missing, empty, a directory, or changes meanwhile.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::new(None, Content::Path(path.into()))
    }

    /// Bytes in memory. The name tells the platform what they are: give it the right extension.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Some(name.into()), Content::Bytes(Arc::new(bytes.into())))
    }

    /// Anything that can be read, once. Say its [`length`](FileSource::length) if you know it.
    pub fn reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        let once = Once { reader: Box::new(reader), touched: false };
        Self::new(Some(name.into()), Content::Reader { once: Arc::new(Mutex::new(once)), length: None })
    }

    /// How many bytes a reader will give: the request then announces its size instead of being sent in chunks.
    /// A reader that gives more or fewer fails the request. No effect on paths and bytes, which know their length.
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

    /// The type of asset that the MIME type stands for.
    pub(crate) fn asset_type(&self) -> Option<AssetType> {
        match self.mime_type().split('/').next()? {
            "video" => Some(AssetType::Video),
            "audio" => Some(AssetType::Audio),
            "image" => Some(AssetType::Image),
            "text" => Some(AssetType::Document),
            _ => (self.mime_type() == "application/pdf").then_some(AssetType::Document),
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
            Content::Reader { once, .. } => !once.lock().unwrap_or_else(PoisonError::into_inner).touched,
            _ => true,
        }
    }

    /// Looks at the source without reading it: what is sent later is held against this.
    pub(crate) fn inspect(&self) -> Result<Inspected> {
        let label = self.label();
        let (stamp, length) = match &self.content {
            Content::Reader { length, .. } => (None, *length),
            Content::Bytes(bytes) => (None, Some(bytes.len() as u64)),
            Content::Path(path) => {
                let file = open(path)?;
                let stamp = Stamp::of(&file, path)?;
                let length = match stamp {
                    Some(stamp) => Some(stamp.length),
                    // A pipe or a device: it has no length, and no second try.
                    None => {
                        let once = Once { reader: Box::new(file), touched: false };
                        let content = Content::Reader { once: Arc::new(Mutex::new(once)), length: None };
                        return Ok(Inspected { content, label, stamp: None, length: None, base64: false });
                    }
                };
                (stamp, length)
            }
        };
        if length == Some(0) {
            return Err(Error::file(&label, "the file is empty; there is nothing to upload", None));
        }
        Ok(Inspected { content: self.content.clone(), label, stamp, length, base64: false })
    }
}

/// A source that was looked at: its length if it has one, and how the file was.
#[derive(Clone)]
pub(crate) struct Inspected {
    content: Content,
    label: PathBuf,
    stamp: Option<Stamp>,
    length: Option<u64>,
    base64: bool,
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub length: u64,
    pub modified: Option<SystemTime>,
}

impl Stamp {
    /// `None` for what is neither a file nor a directory.
    fn of(file: &File, path: &Path) -> Result<Option<Self>> {
        let metadata = file.metadata().map_err(|e| Error::file(path, "cannot look at the file", Some(e)))?;
        if metadata.is_dir() {
            return Err(Error::file(path, "this is a directory; name a file in it", None));
        }
        Ok(metadata.is_file().then(|| Stamp { length: metadata.len(), modified: metadata.modified().ok() }))
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| {
        let message = match e.kind() {
            io::ErrorKind::NotFound => "there is no such file",
            io::ErrorKind::PermissionDenied => "no permission to read the file",
            _ => "cannot open the file",
        };
        Error::file(path, message, Some(e))
    })
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

    /// Opens the source at its start. A file that is not what it was when it was inspected is refused.
    pub(crate) fn open(&self) -> Result<SourceReader> {
        let (reader, file): (Box<dyn Read + Send>, _) = match &self.content {
            Content::Bytes(bytes) => (Box::new(io::Cursor::new(SharedBytes(bytes.clone()))), None),
            Content::Reader { once, .. } => (Box::new(OnceReader(once.clone())), None),
            Content::Path(path) => {
                let file = open(path)?;
                if Stamp::of(&file, path)? != self.stamp {
                    return Err(self.changed("changed since the upload began"));
                }
                let handle = file.try_clone().map_err(|e| Error::file(path, "cannot read the file", Some(e)))?;
                (Box::new(file), Some(handle))
            }
        };
        let encoded = self.base64.then(Encoded::default);
        Ok(SourceReader { reader, file, source: self.clone(), left: self.length, encoded })
    }

    /// Whether a read may give less than was asked for without being at the end.
    pub(crate) fn trickles(&self) -> bool {
        matches!(self.content, Content::Reader { .. })
    }

    /// Whether the file behind this handle is still what was inspected.
    fn check_unchanged(&self, file: &File) -> Result<()> {
        match (Stamp::of(file, &self.label)?, self.stamp) {
            (Some(now), Some(then)) if now.length > then.length => Err(self.changed("grew while it was being sent")),
            (Some(now), Some(then)) if now.length < then.length => Err(self.changed("shrank while it was being sent")),
            (now, then) if now != then => Err(self.changed("changed while it was being sent")),
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
    reader: Box<dyn Read + Send>,
    file: Option<File>,
    source: Inspected,
    left: Option<u64>,
    encoded: Option<Encoded>,
}

/// A block of base64 and how much of it was taken.
#[derive(Default)]
struct Encoded {
    block: String,
    taken: usize,
}

impl SourceReader {
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.encoded.as_ref().is_some_and(|encoded| encoded.taken == encoded.block.len()) {
            self.encoded = Some(Encoded { block: self.encode_block()?, taken: 0 });
        }
        let Some(encoded) = &mut self.encoded else { return self.read_plain(buffer) };
        let rest = encoded.block.as_bytes().get(encoded.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        encoded.taken += count;
        Ok(count)
    }

    fn encode_block(&mut self) -> Result<String> {
        let mut plain = vec![0; BASE64_BLOCK];
        let mut filled = 0;
        while filled < plain.len() {
            match self.read_plain(&mut plain[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(BASE64_STANDARD.encode(&plain[..filled]))
    }

    fn read_plain(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = match self.left {
            Some(0) => return self.end().map(|()| 0),
            Some(left) => buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            None => buffer.len(),
        };
        let read = loop {
            match self.reader.read(&mut buffer[..most]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::file(&self.source.label, "cannot read the file", Some(e))),
                Ok(read) => break read.min(most),
            }
        };
        match &mut self.left {
            Some(_) if read == 0 && most > 0 => Err(self.source.changed("shrank while it was being sent")),
            Some(left) => {
                *left -= read as u64;
                Ok(read)
            }
            None => Ok(read),
        }
    }

    /// The announced bytes have been read: is the source still what it was?
    fn end(&mut self) -> Result<()> {
        if let Some(file) = &self.file {
            return self.source.check_unchanged(file);
        }
        match self.reader.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.source.changed("gave more bytes than its length said")),
            Err(e) => Err(Error::file(&self.source.label, "cannot read the file", Some(e))),
        }
    }
}

/// A source of its own for reading stretches of a file, in any order.
pub(crate) struct Stretches {
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
        self.stretches()?.check_unchanged()
    }

    /// Opens the source for reading stretches. A reader cannot be.
    pub(crate) fn stretches(&self) -> Result<Stretches> {
        let file = match &self.content {
            Content::Path(path) => Some(open(path)?),
            Content::Bytes(_) => None,
            Content::Reader { .. } => {
                let message = "only a file or bytes can be uploaded in chunks; a reader goes in one request";
                return Err(Error::file(&self.label, message, None));
            }
        };
        Ok(Stretches { source: self.clone(), file })
    }
}

impl Stretches {
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

struct SharedBytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

struct OnceReader(Arc<Mutex<Once>>);

impl Read for OnceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut once = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        once.touched = true;
        once.reader.read(buffer)
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

impl From<&str> for FileSource {
    fn from(path: &str) -> Self {
        Self::path(path)
    }
}

impl From<String> for FileSource {
    fn from(path: String) -> Self {
        Self::path(path)
    }
}

impl From<&Path> for FileSource {
    fn from(path: &Path) -> Self {
        Self::path(path)
    }
}

impl From<PathBuf> for FileSource {
    fn from(path: PathBuf) -> Self {
        Self::path(path)
    }
}

impl From<&PathBuf> for FileSource {
    fn from(path: &PathBuf) -> Self {
        Self::path(path)
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
            match reader.read(&mut buffer)? {
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
        let long = FileSource::reader("a", &b"hello"[..]).length(3);
        assert!(read_all(&long).unwrap_err().to_string().contains("more bytes"));
        let short = FileSource::reader("a", &b"hello"[..]).length(9);
        assert!(read_all(&short).unwrap_err().to_string().contains("shrank"));
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
                    match reader.read(&mut buffer).unwrap() {
                        0 => break,
                        n => out.extend_from_slice(&buffer[..n]),
                    }
                }
                assert_eq!(BASE64_STANDARD.decode(&out).unwrap(), bytes);
                assert!(source.sent_length().is_none_or(|length| length == out.len() as u64));
            }
        }
    }

    #[test]
    fn bytes_can_be_read_again() {
        let bytes = FileSource::bytes("a", *b"0123456789");
        assert_eq!(read_all(&bytes).unwrap(), b"0123456789");
        assert_eq!(read_all(&bytes).unwrap(), b"0123456789");
    }
}
