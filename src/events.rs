//! Answers that are read as they arrive: JSON Lines and server-sent events, however their bytes are split.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::iter::FusedIterator;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call::{sealed, HttpResponse, Output};
use crate::decode;
use crate::error::{describe, excerpt, looks_like_html, Error, Result};
use crate::http::{self, Failure, FailureKind, LiveBody};
use crate::request::Request;

/// How much of an answer that is no stream is shown.
const SAMPLE: usize = 4096;

/// One line, without its end.
#[derive(Debug, PartialEq)]
struct Line {
    bytes: Vec<u8>,
    /// Whether it had an end: the last line of a stream may have none.
    ended: bool,
}

/// Why there is no line.
#[derive(Debug)]
enum Fault {
    Read(io::Error),
    TooLong,
}

/// The lines of a reader: each ends in CRLF, LF or CR and is given as soon as its end is there.
struct Lines<R> {
    reader: BufReader<R>,
    limit: u64,
    at_start: bool,
    after_cr: bool,
}

impl<R: Read> Lines<R> {
    fn new(reader: R, limit: u64) -> Self {
        Lines { reader: BufReader::new(reader), limit, at_start: true, after_cr: false }
    }

    fn next(&mut self) -> Result<Option<Line>, Fault> {
        let mut bytes = Vec::new();
        loop {
            let available = match self.reader.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Fault::Read(e)),
                Ok([]) => return Ok((!bytes.is_empty()).then(|| self.line(bytes, false))),
                Ok([b'\n', ..]) if self.after_cr => {
                    self.after_cr = false;
                    self.reader.consume(1);
                    continue;
                }
                Ok(available) => available,
            };
            let mut parts = available.splitn(2, |byte| matches!(byte, b'\n' | b'\r'));
            let part = parts.next().unwrap_or_default();
            let end = parts.next().and(available.get(part.len())).copied();
            bytes.extend_from_slice(part);
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.after_cr = end == Some(b'\r');
            if bytes.len() as u64 > self.limit {
                return Err(Fault::TooLong);
            }
            if end.is_some() {
                return Ok(Some(self.line(bytes, true)));
            }
        }
    }

    fn line(&mut self, mut bytes: Vec<u8>, ended: bool) -> Line {
        if std::mem::take(&mut self.at_start) && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        Line { bytes, ended }
    }
}

/// The answer to a request, line by line. The connection is closed when it is dropped.
pub(crate) struct Stream {
    request: Request,
    response: HttpResponse<()>,
    lines: Lines<LiveBody>,
    limit: u64,
    /// The number of the last line, from 1.
    number: u64,
}

impl Stream {
    /// Sends the request. It returns when the headers of the answer are there.
    fn open(request: Request, accept: &str) -> Result<Self> {
        let request = request.stream(accept);
        let mut response = request.run()?;
        let kind = response.headers.get("content-type").unwrap_or_default().to_ascii_lowercase();
        let events = accept == EVENT_STREAM;
        let mut body = std::mem::replace(&mut response.data, Box::new(io::empty()));
        let mut response = response.with(());
        if kind.contains("html") || (events && !kind.is_empty() && !kind.starts_with(EVENT_STREAM)) {
            response.body = vec![0; SAMPLE];
            let length = body.read(&mut response.body).unwrap_or_default();
            response.body.truncate(length);
            let response = request.redact(response);
            let message = if looks_like_html(&response.body) {
                describe(&response)
            } else {
                format!("the answer is not a stream but {kind}: {}", excerpt(&response.body))
            };
            return Err(Error::Decode { operation: request.operation(), message, response: Box::new(response) });
        }
        let limit = request.client().settings().max_response_size;
        Ok(Stream { request, response, lines: Lines::new(body, limit), limit, number: 0 })
    }

    /// Sends the request for an answer of JSON Lines.
    pub(crate) fn json_lines(request: Request) -> Result<Self> {
        Self::open(request, "application/x-ndjson, application/jsonl, application/json")
    }

    /// The answer around the stream, without a body.
    pub(crate) fn response(&self) -> &HttpResponse<()> {
        &self.response
    }

    pub(crate) fn operation(&self) -> String {
        self.request.operation()
    }

    /// Checks the size of what is gathered from a stream, which may be as large as a line.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<()> {
        if bytes as u64 > self.limit {
            return Err(Error::ResponseTooLarge { operation: self.operation(), limit: self.limit });
        }
        Ok(())
    }

    fn line(&mut self) -> Result<Option<Line>> {
        self.number += 1;
        self.lines.next().map_err(|fault| {
            let failure = match fault {
                Fault::Read(e) => http::read_failure(e),
                Fault::TooLong => Failure { kind: FailureKind::TooLarge, message: String::new(), source: None },
            };
            // Whatever the platform does, it has begun to answer.
            self.request.failed(failure, true)
        })
    }

    /// The next line that is not blank. One that is JSON and has no end counts as complete.
    pub(crate) fn json_line(&mut self) -> Result<Option<Vec<u8>>> {
        while let Some(line) = self.line()? {
            if line.bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if !line.ended && serde_json::from_slice::<serde::de::IgnoredAny>(&line.bytes).is_err() {
                return Err(self.cut_off());
            }
            return Ok(Some(line.bytes));
        }
        Ok(None)
    }

    /// The answer has ended, and not where it should.
    pub(crate) fn cut_off(&self) -> Error {
        let message = "the server closed the connection before the end of the stream".into();
        Error::Transport { operation: self.operation(), message, sent: true, source: None }
    }

    /// A line is not what it should be.
    pub(crate) fn malformed(&self, why: &str, line: Vec<u8>) -> Error {
        let response = self.request.redact(HttpResponse { body: line, ..self.response.clone() });
        let shown = if looks_like_html(&response.body) { describe(&response) } else { excerpt(&response.body) };
        let message = format!("line {} of the stream: {why}; it begins: {shown}", self.number);
        Error::Decode { operation: self.operation(), message, response: Box::new(response) }
    }

    /// What the server says of an error, without the key.
    pub(crate) fn redact(&self, line: Vec<u8>) -> Vec<u8> {
        self.request.redact(HttpResponse { body: line, ..self.response.clone() }).body
    }
}

/// Things that arrive one by one, each as a line of JSON. It ends with the answer, and dropping it closes the
/// connection.
///
/// A line that cannot be decoded is an error in its place and the rest follow. A connection that breaks, an answer
/// that ends within a line, and a line larger than
/// [`max_response_size`](crate::TwelveLabsBuilder::max_response_size) are one error each, and then it has ended.
///
/// ```no_run
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// for result in client.analyze_async().batches().results("68f…").send()? {
///     match result {
///         Ok(result) => println!("{} {:?}", result.task_id, result.status),
///         Err(e) => eprintln!("{e}"),
///     }
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
pub struct JsonLines<T> {
    stream: Option<Stream>,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + 'static> sealed::Sealed for JsonLines<T> {}

impl<T: DeserializeOwned + 'static> Output for JsonLines<T> {
    fn receive(request: Request) -> Result<HttpResponse<Self>> {
        let stream = Stream::json_lines(request)?;
        Ok(stream.response().clone().with(JsonLines { stream: Some(stream), item: PhantomData }))
    }
}

impl<T: DeserializeOwned + 'static> Iterator for JsonLines<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let stream = self.stream.as_mut()?;
        let item = match stream.json_line() {
            Ok(Some(line)) => {
                let html = looks_like_html(&line);
                let item = decode::from_json(&line).map_err(|why| stream.malformed(&why, line));
                if html {
                    self.stream = None;
                }
                return Some(item);
            }
            Ok(None) => None,
            Err(e) => Some(Err(e)),
        };
        self.stream = None;
        item
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for JsonLines<T> {}

impl<T> fmt::Debug for JsonLines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("ended", &self.stream.is_none()).finish_non_exhaustive()
    }
}

const EVENT_STREAM: &str = "text/event-stream";
/// The data that ends a stream.
const DONE: &str = "[DONE]";

/// One event of a stream of [`Events`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerSentEvent {
    /// The type of the event; empty if it came without one.
    pub event: String,
    /// The data, of several lines if it came in several.
    pub data: String,
    /// The id of this event, or the last one before it.
    pub id: Option<String>,
}

impl ServerSentEvent {
    /// The data as JSON.
    ///
    /// ```no_run
    /// # fn show(event: twelvelabs::ServerSentEvent) -> Result<(), twelvelabs::Error> {
    /// let data: serde_json::Value = event.json()?;
    /// println!("{}", data["delta"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        decode::from_json(self.data.as_bytes()).map_err(|message| Error::Unfit { message, text: self.data.clone() })
    }
}

/// What the lines of an event have said so far.
#[derive(Default)]
struct Pending {
    event: String,
    data: Option<String>,
    id: Option<String>,
    /// Whether an event has begun and not ended.
    open: bool,
}

impl Pending {
    /// Takes a line, and gives the event that it ends.
    fn take(&mut self, line: &[u8]) -> Option<ServerSentEvent> {
        let line = String::from_utf8_lossy(line);
        self.open = !line.is_empty() && (self.open || !line.starts_with(':'));
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return self.data.take().map(|data| ServerSentEvent { event, data, id: self.id.clone() });
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => self.event = value.into(),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.into()),
            },
            "id" if !value.contains('\0') => self.id = Some(value.into()).filter(|id: &String| !id.is_empty()),
            // A comment (which has no name), a time to reconnect after, or a field that nobody knows.
            _ => {}
        }
        None
    }
}

/// Server-sent events as they arrive, see [`CustomCall::send_events`](crate::CustomCall::send_events). It ends with
/// the answer or at the data `[DONE]`, and dropping it closes the connection.
///
/// A connection that breaks, an answer that ends within an event, and an event larger than
/// [`max_response_size`](crate::TwelveLabsBuilder::max_response_size) are one error each, and then it has ended.
pub struct Events {
    stream: Option<Stream>,
    pending: Pending,
}

impl Events {
    pub(crate) fn open(request: Request) -> Result<Self> {
        Ok(Events { stream: Some(Stream::open(request, EVENT_STREAM)?), pending: Pending::default() })
    }

    fn read(&mut self) -> Result<Option<ServerSentEvent>> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        loop {
            let line = stream.line()?;
            if let Some(event) = line.as_ref().and_then(|line| self.pending.take(&line.bytes)) {
                return Ok((event.data != DONE).then_some(event));
            }
            if line.is_none_or(|line| !line.ended) {
                let whole = !self.pending.open || self.pending.data.as_deref() == Some(DONE);
                return if whole { Ok(None) } else { Err(stream.cut_off()) };
            }
            stream.check_size(self.pending.data.as_ref().map_or(0, String::len))?;
        }
    }
}

impl Iterator for Events {
    type Item = Result<ServerSentEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.read();
        if !matches!(event, Ok(Some(_))) {
            self.stream = None;
        }
        event.transpose()
    }
}

impl FusedIterator for Events {}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("ended", &self.stream.is_none()).finish_non_exhaustive()
    }
}
