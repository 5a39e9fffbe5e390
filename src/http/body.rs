//! Request bodies. A body is a list of segments, from which both its length and its bytes are derived.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::clock::random_bits;
use crate::error::{Error, Result};
use crate::file::{FileSource, Inspected, SourceReader};
use crate::http::connection;
use crate::http::engine::{Body, BodyReader};
use crate::sync::lock;
use crate::text::Unsigned;

/// The progress of a request: how much of its file was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The number of bytes of the file handed to the network. It restarts at 0 if the request is sent again.
    pub sent: u64,
    /// The size of the file in bytes, if known.
    pub total: Option<u64>,
}

pub(crate) type ProgressCallback = Arc<Mutex<dyn FnMut(Progress) + Send>>;

/// A field of a form.
#[derive(Clone)]
pub(crate) enum Part {
    Text { name: String, value: String },
    File { name: String, source: FileSource },
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Text { name, value } => (name, Unsigned(value)).fmt(f),
            Part::File { name, source } => (name, source).fmt(f),
        }
    }
}

impl Part {
    pub fn name(&self) -> &str {
        match self {
            Part::Text { name, .. } | Part::File { name, .. } => name,
        }
    }
}

/// A body that is ready to be sent, as many times as its sources can be read.
#[derive(Clone)]
pub(crate) struct Payload {
    pub content_type: Option<String>,
    pub progress: Option<ProgressCallback>,
    segments: Vec<Segment>,
}

#[derive(Clone)]
enum Segment {
    Bytes(Arc<[u8]>),
    Source(Inspected),
}

impl Payload {
    /// Creates a JSON body. Each mark in the text is replaced with the base64 of its file.
    pub(crate) fn json(text: &str, files: &[(String, FileSource)]) -> Result<Self> {
        let mut marks: Vec<(usize, &str, &FileSource)> =
            files.iter().filter_map(|(mark, file)| Some((text.find(mark.as_str())?, mark.as_str(), file))).collect();
        marks.sort_by_key(|(at, ..)| *at);
        let (mut segments, mut rest) = (Vec::new(), text);
        for (_, mark, file) in marks {
            let Some((before, after)) = rest.split_once(mark) else { continue };
            segments.push(Segment::Bytes(before.as_bytes().into()));
            segments.push(Segment::Source(file.inspect()?.base64()));
            rest = after;
        }
        segments.push(Segment::Bytes(rest.as_bytes().into()));
        Ok(Payload { content_type: Some("application/json".into()), progress: None, segments })
    }

    /// Creates a form. The files come last, whatever the order in which the parts were given.
    pub(crate) fn form(parts: &[Part]) -> Result<Self> {
        Self::form_with_boundary(parts, &format!("twelvelabs-{:016x}{:016x}", random_bits(), random_bits()))
    }

    fn form_with_boundary(parts: &[Part], boundary: &str) -> Result<Self> {
        let mut segments = Vec::new();
        let mut text = Vec::new();
        let (texts, files): (Vec<_>, Vec<_>) = parts.iter().partition(|part| matches!(part, Part::Text { .. }));
        for part in texts.into_iter().chain(files) {
            let (Part::Text { name, .. } | Part::File { name, .. }) = part;
            let name = escape(name);
            text.extend_from_slice(
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"").as_bytes(),
            );
            match part {
                Part::Text { value, .. } => {
                    text.extend_from_slice(b"\r\n\r\n");
                    text.extend_from_slice(value.as_bytes());
                }
                Part::File { source, .. } => {
                    let (filename, mime_type) = (escape(&source.file_name()), source.mime_type());
                    if filename.trim().is_empty() {
                        let message = "of the file is empty; give one with an extension, such as `video.mp4`";
                        return Err(Error::invalid("name", message));
                    }
                    if mime_type.trim().is_empty() {
                        let message = "is empty; leave it out to derive it from the name of the file";
                        return Err(Error::invalid("content_type", message));
                    }
                    if mime_type.chars().any(char::is_control) {
                        return Err(Error::invalid("content_type", "must not contain control characters"));
                    }
                    text.extend_from_slice(
                        format!("; filename=\"{filename}\"\r\nContent-Type: {mime_type}\r\n\r\n").as_bytes(),
                    );
                    segments.push(Segment::Bytes(std::mem::take(&mut text).into()));
                    segments.push(Segment::Source(source.inspect()?));
                }
            }
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        segments.push(Segment::Bytes(text.into()));
        Ok(Payload {
            content_type: Some(format!("multipart/form-data; boundary={boundary}")),
            progress: None,
            segments,
        })
    }

    /// Returns the size in bytes of the files alone.
    pub(crate) fn file_length(&self) -> Option<u64> {
        self.sources().try_fold(0u64, |sum, source| sum.checked_add(source.length()?))
    }

    fn sources(&self) -> impl Iterator<Item = &Inspected> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Source(source) => Some(source),
            Segment::Bytes(_) => None,
        })
    }
}

impl Body for Payload {
    fn length(&self) -> Option<u64> {
        self.segments.iter().try_fold(0u64, |sum, segment| match segment {
            Segment::Bytes(bytes) => sum.checked_add(bytes.len() as u64),
            Segment::Source(source) => sum.checked_add(source.sent_length()?),
        })
    }

    fn is_replayable(&self) -> bool {
        self.sources().all(Inspected::is_replayable)
    }

    fn has_file(&self) -> bool {
        self.sources().next().is_some()
    }

    fn open(&self) -> Result<Box<dyn BodyReader + '_>> {
        let segments = self.segments.iter().map(|segment| {
            Ok(match segment {
                Segment::Bytes(bytes) => Opened::Bytes(bytes.clone(), 0),
                Segment::Source(source) => {
                    Opened::Source { reader: Box::new(source.open()?), may_read_short: source.may_read_short() }
                }
            })
        });
        Ok(Box::new(PayloadReader {
            segments: segments.collect::<Result<_>>()?,
            progress: self.progress.clone(),
            sent: 0,
            total: self.file_length(),
            fault: None,
            finished_at: None,
        }))
    }
}

enum Opened {
    Bytes(Arc<[u8]>, usize),
    Source { reader: Box<SourceReader>, may_read_short: bool },
}

/// Reads the segments one after the other. If a source fails, reading ends and the error is kept in `fault`.
struct PayloadReader {
    segments: VecDeque<Opened>,
    progress: Option<ProgressCallback>,
    sent: u64,
    total: Option<u64>,
    fault: Option<Error>,
    finished_at: Option<Instant>,
}

impl PayloadReader {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        // The cancellation is noticed even while a source delivers nothing.
        let canceled = |_| Error::Canceled { operation: "upload".into(), sent: true };
        let mut proceed = || connection::check().map_err(canceled);
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(segment) = self.segments.front_mut() else { break };
            match segment {
                Opened::Bytes(bytes, at) => {
                    let count = (bytes.len() - *at).min(buffer.len() - filled);
                    buffer[filled..filled + count].copy_from_slice(&bytes[*at..*at + count]);
                    *at += count;
                    filled += count;
                    if *at == bytes.len() {
                        self.segments.pop_front();
                    }
                }
                Opened::Source { reader, may_read_short } => {
                    let count = reader.read(&mut buffer[filled..], &mut proceed)?;
                    filled += count;
                    let may_read_short = *may_read_short;
                    if count == 0 {
                        self.segments.pop_front();
                        continue;
                    }
                    self.sent += count as u64;
                    if let Some(progress) = &self.progress {
                        let mut callback = lock(progress);
                        callback(Progress { sent: self.sent, total: self.total });
                    }
                    if may_read_short {
                        break;
                    }
                }
            }
        }
        if self.segments.is_empty() {
            self.finished_at.get_or_insert_with(Instant::now);
        }
        Ok(filled)
    }
}

impl Read for PayloadReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill(buffer).map_err(|error| {
            self.fault = Some(error);
            io::Error::other("the request body cannot be read")
        })
    }
}

impl BodyReader for PayloadReader {
    fn take_fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    fn finished_at(&self) -> Option<Instant> {
        self.finished_at
    }
}

/// Escapes the name of a field or a file as browsers do, and all other control characters in the same way.
pub(crate) fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c == '"' || c.is_ascii_control() {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> Part {
        Part::Text { name: name.into(), value: value.into() }
    }

    fn read(payload: &Payload) -> Vec<u8> {
        let mut out = Vec::new();
        payload.open().unwrap().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn files_come_last_and_the_length_is_exact() {
        let file = Part::File { name: "file".into(), source: FileSource::bytes("a\"\r\nb.mp4", *b"DATA") };
        let payload = Payload::form_with_boundary(&[file, text("method", "direct")], "B").unwrap();
        let bytes = read(&payload);
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            "--B\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\ndirect\r\n\
             --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22%0D%0Ab.mp4\"\r\n\
             Content-Type: video/mp4\r\n\r\nDATA\r\n--B--\r\n"
        );
        assert_eq!(payload.length(), Some(bytes.len() as u64));
        assert_eq!(read(&payload), bytes, "a retry sends the same bytes");
    }

    proptest::proptest! {
        /// A backslash in a name is left as it is, as browsers do; parsers do not agree on what it means.
        #[test]
        fn an_independent_parser_reads_what_was_written(
            fields in proptest::collection::vec(("[^\\\\]{1,20}", ".*"), 0..5),
            filename in "[^\\\\]{1,30}",
            content in proptest::collection::vec(proptest::num::u8::ANY, 1..5000),
            step in 1usize..100,
        ) {
            let mut parts: Vec<Part> = fields.iter().map(|(name, value)| text(name, value)).collect();
            parts.push(Part::File { name: "file".into(), source: FileSource::bytes(filename.as_str(), content.clone()) });
            let payload = Payload::form(&parts).unwrap();
            let bytes = read(&payload);
            proptest::prop_assert_eq!(payload.length(), Some(bytes.len() as u64));
            let found = crate::fuzzing::form::parse(&payload.content_type.unwrap(), &bytes, step);
            let mut expected: Vec<_> =
                fields.iter().map(|(name, value)| (Some(escape(name)), None, value.clone().into_bytes())).collect();
            expected.push((Some("file".into()), Some(escape(&filename)), content));
            proptest::prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn files_in_json_are_base64_in_their_places() {
        let files = ["m1", "m2", "m3"].map(|mark| (mark.to_string(), FileSource::bytes(mark, mark.as_bytes())));
        let payload = Payload::json(r#"{"a":["m2"],"b":"m1"}"#, &files).unwrap();
        let bytes = read(&payload);
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), r#"{"a":["bTI="],"b":"bTE="}"#);
        assert_eq!((payload.length(), payload.file_length()), (Some(bytes.len() as u64), Some(4)));
        assert_eq!(read(&payload), bytes, "a retry sends the same bytes");
        assert!(Payload::json("m1", &[("m1".into(), FileSource::from("no/such/file"))]).is_err());
    }

    #[test]
    fn sources_of_unknown_length_report_none() {
        let file = Part::File { name: "file".into(), source: FileSource::reader("a", &b"x"[..]) };
        let payload = Payload::form(&[file]).unwrap();
        assert_eq!(payload.length(), None);
        assert!(payload.is_replayable());
        read(&payload);
        assert!(!payload.is_replayable());
    }

    #[test]
    fn a_body_has_ended_once_its_last_byte_is_taken() {
        let file = Part::File { name: "file".into(), source: FileSource::bytes("a", vec![7; 1000]) };
        let payload = Payload::form(&[file]).unwrap();
        let mut left = payload.length().unwrap() as usize;
        let mut reader = payload.open().unwrap();
        while left > 0 {
            assert_eq!(reader.finished_at(), None, "the body has not ended: {left} bytes remain");
            left -= reader.read(&mut [0; 100]).unwrap();
        }
        assert!(reader.finished_at().is_some());
    }

    #[test]
    fn only_sources_count_as_files() {
        let file = Part::File { name: "file".into(), source: FileSource::bytes("a", *b"x") };
        assert!(Payload::form(&[text("a", "b"), file]).unwrap().has_file());
        assert!(!Payload::form(&[text("a", "b")]).unwrap().has_file());
        assert!(!Payload::json("{}", &[]).unwrap().has_file());
    }

    #[test]
    fn bytes_of_a_reader_are_sent_before_more_are_read() {
        struct Slow(std::sync::mpsc::Receiver<()>, &'static [u8]);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.1.len() < 5 {
                    let _ = self.0.recv_timeout(std::time::Duration::from_secs(5));
                }
                let most = buffer.len().min(3);
                self.1.read(&mut buffer[..most])
            }
        }
        let (sent, first_is_sent) = std::sync::mpsc::channel();
        let source = FileSource::reader("a", Slow(first_is_sent, b"abcde")).length(5);
        let mut payload = Payload::form(&[Part::File { name: "file".into(), source }]).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let numbers = seen.clone();
        payload.progress =
            Some(Arc::new(Mutex::new(move |told: Progress| numbers.lock().unwrap().push((told.sent, told.total)))));
        let mut reader = payload.open().unwrap();
        let mut buffer = [0; 4096];
        let read = reader.read(&mut buffer).unwrap();
        assert!(buffer[..read].ends_with(b"\r\n\r\nabc"));
        sent.send(()).unwrap();
        assert_eq!((reader.read(&mut buffer).unwrap(), &buffer[..2]), (2, &b"de"[..]));
        assert_eq!(*seen.lock().unwrap(), [(3, Some(5)), (5, Some(5))]);
        assert!(reader.finished_at().is_none());
        io::copy(&mut reader, &mut io::sink()).unwrap();
        assert!(reader.finished_at().is_some());
    }

    #[test]
    fn boundaries_are_random() {
        let boundary = |_| Payload::form(&[]).unwrap().content_type;
        assert_ne!(boundary(0), boundary(1));
    }
}
