//! Reading a source from start to end, either raw or as base64.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::background::Background;
use super::inspected::Inspected;
use super::{Content, Once};
use crate::error::{Error, Result};
use crate::sync::lock;

/// The number of bytes encoded in one step: a multiple of three, so that only the last block is padded.
const BASE64_BLOCK: usize = 3 << 14;

/// A reader that returns exactly as many bytes as were declared, or an error.
pub(crate) struct SourceReader {
    reader: Opened,
    source: Inspected,
    remaining: Option<u64>,
    /// Whether no byte has been read.
    is_empty: bool,
    encoded: Option<Encoded>,
}

impl Inspected {
    /// Opens the source at its start. Refuses a file that has changed since it was inspected.
    pub(crate) fn open(&self) -> Result<SourceReader> {
        let reader = match &self.content {
            Content::Bytes(bytes) => Opened::Bytes(bytes.clone(), 0),
            Content::Reader { once, length } => Opened::Waiting(once.clone(), *length),
            Content::Path(path) => Opened::File(self.open_unchanged(path)?),
        };
        let encoded = self.base64.then(Encoded::default);
        Ok(SourceReader { reader, source: self.clone(), remaining: self.length, is_empty: true, encoded })
    }
}

enum Opened {
    File(File),
    Bytes(Arc<Vec<u8>>, usize),
    /// A reader that has not been read yet, and the number of bytes to read from it.
    Waiting(Arc<Once>, Option<u64>),
    Reader(Box<Background>),
}

/// A block of base64, and how much of it has been consumed.
#[derive(Default)]
struct Encoded {
    block: String,
    taken: usize,
}

impl SourceReader {
    /// Reads the next bytes. While a reader is silent, `proceed` is called repeatedly; if it returns an error, the read
    /// ends with that error.
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
        let most = match self.remaining {
            Some(0) => return self.end().map(|()| 0),
            Some(remaining) => buffer.len().min(usize::try_from(remaining).unwrap_or(usize::MAX)),
            None => buffer.len(),
        };
        let fail = |label: &Path, e| Error::file(label, "cannot read the file", Some(e));
        let read = loop {
            match self.reader.read(&mut buffer[..most]) {
                Err(e) => return Err(fail(&self.source.label, e)),
                Ok(Some(read)) => break read.min(most),
                Ok(None) => proceed()?,
            }
        };
        self.is_empty &= read == 0;
        match &mut self.remaining {
            Some(_) if read == 0 && most > 0 => Err(match self.reader {
                Opened::File(_) => self.source.changed("the file shrank while it was being sent"),
                _ => Error::file(&self.source.label, "the reader ended before its `length`", None),
            }),
            Some(remaining) => {
                *remaining -= read as u64;
                Ok(read)
            }
            None if self.is_empty && most > 0 => {
                Err(Error::file(&self.source.label, "the reader is empty; there is nothing to upload", None))
            }
            None => Ok(read),
        }
    }

    /// Checks that the file has not changed, after the declared bytes have been read.
    fn end(&mut self) -> Result<()> {
        match &self.reader {
            Opened::File(file) => self.source.check_unchanged(file),
            _ => Ok(()),
        }
    }
}

/// Reads once, and repeats a read that a signal interrupts. That is common on a network file system, where a read can
/// be interrupted even if the signal handler was installed with `SA_RESTART`.
pub(super) fn read_once(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Opened {
    /// Returns the bytes that were read, or `None` if none arrived for a while.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Opened::File(file) => read_once(file, buffer).map(Some),
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
                let origin = origin
                    .ok_or_else(|| io::Error::other("a reader can be read only once, and this one was already read"))?;
                *self = Opened::Reader(Box::new(Background::start(origin, *length)?));
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {

    use super::super::FileSource;
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
    fn readers_return_their_declared_length_and_only_once() {
        let source = FileSource::reader("a", &b"hello"[..]).length(5);
        assert!(source.is_replayable());
        assert_eq!(read_all(&source).unwrap(), b"hello");
        assert!(!source.is_replayable());
        let e = read_all(&source).unwrap_err();
        assert!(matches!(&e, Error::File { source: Some(e), .. } if e.to_string().contains("only once")), "{e:?}");
        let short = FileSource::reader("a", &b"hello"[..]).length(9);
        assert_eq!(read_all(&short).unwrap_err().to_string(), "a: the reader ended before its `length`");
        let empty = FileSource::reader("a", io::empty());
        assert_eq!(read_all(&empty).unwrap_err().to_string(), "a: the reader is empty; there is nothing to upload");
    }

    /// A reader that counts the bytes that were requested.
    struct Counting(Arc<std::sync::atomic::AtomicUsize>);

    impl Read for Counting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.fetch_add(buffer.len(), Ordering::SeqCst);
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }

    #[test]
    fn no_more_bytes_are_read_than_the_length() {
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
    fn a_read_of_a_silent_reader_can_be_stopped() {
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

    /// A reader that is interrupted before each read.
    struct Interrupted(bool);

    impl Read for Interrupted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = !self.0;
            if self.0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(buffer.len()) }
        }
    }

    #[test]
    fn an_interrupted_read_is_repeated() {
        let mut reader = Interrupted(false);
        assert_eq!([(); 3].map(|()| read_once(&mut reader, &mut [0; 9]).unwrap()), [9; 3]);
    }

    #[test]
    fn base64_is_padded_only_at_the_end() {
        for size in [1, 2, 3, BASE64_BLOCK - 1, BASE64_BLOCK, BASE64_BLOCK + 1, 2 * BASE64_BLOCK + 2] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let whole = FileSource::bytes("a", bytes.clone());
            // A reader without a known length that returns a few bytes at a time.
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
        assert_eq!(e.to_string(), "/dev/null: the reader is empty; there is nothing to upload");
    }

    #[test]
    fn bytes_can_be_read_again() {
        let bytes = FileSource::bytes("a", *b"0123456789");
        assert_eq!(read_all(&bytes).unwrap(), b"0123456789");
        assert_eq!(read_all(&bytes).unwrap(), b"0123456789");
    }
}
