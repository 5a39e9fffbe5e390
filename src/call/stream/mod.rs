//! Responses that are read as they arrive: JSON Lines and server-sent events, however their bytes are split.

mod json_lines;
mod lines;
mod sse;

use std::borrow::Cow;
use std::io::{self, Read};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::json::decode;
use crate::call::json::repair::Unread;
use crate::call::json::watch::Watch;
use crate::call::request::Request;
use crate::error::{Error, Result};
use crate::http::attempt::LiveBody;
use crate::http::failure::{Failure, FailureKind};
use crate::response::{HttpResponse, describe};
use crate::text::{excerpt, looks_like_html, printable};

pub use json_lines::JsonLines;
pub(crate) use lines::Lines;
pub(crate) use sse::Pending;
pub use sse::{Events, ServerSentEvent};

/// The number of bytes that an error shows of a response that is not a stream.
const SAMPLE: usize = 4096;
const EVENT_STREAM: &str = "text/event-stream";

/// The reason why a stream does not continue.
#[derive(Debug)]
pub(crate) enum Fault {
    Read(io::Error),
    /// The stream ended before its end.
    Truncated,
    /// A line or an event is larger than allowed.
    TooLong,
}

/// The response to a request, line by line. Dropping it closes the connection.
pub(crate) struct Stream {
    request: Request,
    response: HttpResponse<()>,
    lines: Lines<LiveBody>,
    /// The deadline and the cancel handle of the call, which also apply while a part of the stream is repaired.
    watch: Watch,
}

impl Stream {
    /// Sends a request for JSON Lines. Returns once the headers of the response have arrived.
    pub(crate) fn open(request: Request) -> Result<Self> {
        Self::receive(request, false)
    }

    /// Sends a request for server-sent events. Returns once the headers of the response have arrived.
    pub(crate) fn events(request: Request) -> Result<Self> {
        Self::receive(request.slow(), true)
    }

    fn receive(request: Request, events: bool) -> Result<Self> {
        let mut request = request.stream();
        if events {
            request.header("accept", EVENT_STREAM);
        }
        let watch = request.watch();
        let HttpResponse { data: mut body, status, headers, origin, .. } = request.run()?;
        let mut response = request.redact(HttpResponse { data: (), status, headers, body: Vec::new(), origin });
        let kind = response.headers.get("content-type").unwrap_or_default().to_ascii_lowercase();
        if kind.contains("html") || (events && !kind.is_empty() && !kind.starts_with(EVENT_STREAM)) {
            response.body = vec![0; SAMPLE];
            let length = body.read(&mut response.body).unwrap_or_default();
            response.body.truncate(length);
            let response = request.redact(response);
            let message = if looks_like_html(&response.body) {
                describe(&response)
            } else {
                format!("the response is not a stream but {}: {}", printable(&kind, 80), excerpt(&response.body))
            };
            let e = Error::Decode { operation: request.operation(), message, response: Box::new(response) };
            return Err(request.unreadable(e));
        }
        let limit = request.session().settings().max_response_size;
        Ok(Stream { request, response, lines: Lines::new(body, limit), watch })
    }

    /// The response around the stream, without a body.
    pub(crate) fn response(&self) -> &HttpResponse<()> {
        &self.response
    }

    pub(crate) fn operation(&self) -> String {
        self.request.operation()
    }

    /// Returns the next line that is not blank, without the API key.
    pub(crate) fn json_line(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.lines.json().map_err(|fault| self.failed(fault))?;
        Ok(line.map(|line| self.redact(line)))
    }

    /// Returns the next server-sent event, without the API key.
    pub(crate) fn event(&mut self, pending: &mut Pending) -> Result<Option<ServerSentEvent>> {
        let event = self.lines.event(pending).map_err(|fault| self.failed(fault))?;
        let redact = |text: String| {
            let text = self.redact(text.into_bytes());
            String::from_utf8(text).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
        };
        Ok(event.map(|event| ServerSentEvent {
            event: redact(event.event),
            data: redact(event.data),
            id: event.id.map(redact),
        }))
    }

    /// Checks the total size of the data that a caller collects from a stream, which is limited like a line.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<()> {
        if bytes as u64 > self.lines.limit() {
            return Err(self.failed(Fault::TooLong));
        }
        Ok(())
    }

    pub(crate) fn failed(&self, fault: Fault) -> Error {
        let failure = match fault {
            Fault::Read(e) => self.lines.reader().failure(e),
            Fault::Truncated => Failure::new(FailureKind::Broke, "the response ended before the end of the stream"),
            Fault::TooLong => Failure::new(FailureKind::TooLarge, ""),
        };
        self.request.failed(failure)
    }

    /// Decodes a line, or the data of an event, leniently.
    pub(crate) fn decode<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, Unread> {
        decode::from_json_watched(text, &self.watch)
    }

    /// Returns the type of an event, which is the field `type` or `event_type` of its data. `None` if there is none, or
    /// the data is not JSON.
    ///
    /// The rest of the data is only skipped, so that it is decoded once, when its type is known.
    pub(crate) fn kind_of<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow, rename = "type", alias = "event_type")]
            kind: Option<&'a str>,
        }

        if text.trim_ascii_start().starts_with(b"{")
            && let Ok(head) = serde_json::from_slice::<Head<'_>>(text)
        {
            return head.kind.map(Cow::Borrowed);
        }
        // The type contains an escape or is not a string, or something else has to be repaired.
        let data: Value = self.decode(text).ok()?;
        let kind = ["type", "event_type"].into_iter().find_map(|name| data[name].as_str())?;
        Some(Cow::Owned(kind.into()))
    }

    /// Returns the error for a line that could not be decoded.
    pub(crate) fn unread(&self, unread: Unread, line: Vec<u8>) -> Error {
        match unread {
            Unread::Malformed(why) => self.malformed(&why, line),
            Unread::Stopped(stop) => stop.error(self.operation()),
        }
    }

    /// Returns the error for a malformed line.
    pub(crate) fn malformed(&self, why: &str, line: Vec<u8>) -> Error {
        let response = self.request.redact(HttpResponse { body: line, ..self.response.clone() });
        let shown = if looks_like_html(&response.body) { describe(&response) } else { excerpt(&response.body) };
        let message = format!("line {} of the stream: {why}; it begins: {shown}", self.lines.number());
        decode::undecodable(&self.operation(), &response, message)
    }

    fn redact(&self, text: Vec<u8>) -> Vec<u8> {
        self.request.redact_data(HttpResponse { body: text, ..HttpResponse::<()>::default() }).body
    }
}
