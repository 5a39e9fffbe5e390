//! The stream of an analysis.

use std::fmt;
use std::iter::FusedIterator;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::json::repair::Unread;
use crate::call::request::Request;
use crate::call::stream::{Fault, Stream};
use crate::call::{Output, sealed};
use crate::error::{Error, Result};
use crate::generation::{FinishReason, Generation, TokenUsage};
use crate::http::error_body::ErrorBody;
use crate::resources::analyze::{AnalyzeError, complete, failure, typed};
use crate::response::HttpResponse;
use crate::text::{Unsigned, printable};

/// An event of an analysis that is being written. `Debug` shows URLs without their signatures.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "event_type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnalyzeEvent {
    /// The analysis has started.
    StreamStart(StreamStart),
    /// A piece of the text.
    TextGeneration(TextGeneration),
    /// The analysis has ended. The [`finish_reason`](StreamEnd::finish_reason) says whether the text is complete.
    StreamEnd(StreamEnd),
    /// An event that this version of the crate does not know, as received. It is a string if it is nested too deeply to
    /// be decoded.
    #[serde(untagged)]
    Other(Value),
}

impl fmt::Debug for AnalyzeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamStart(start) => f.debug_tuple("StreamStart").field(start).finish(),
            Self::TextGeneration(piece) => f.debug_tuple("TextGeneration").field(piece).finish(),
            Self::StreamEnd(end) => f.debug_tuple("StreamEnd").field(end).finish(),
            Self::Other(data) => f.debug_tuple("Other").field(&Unsigned(data)).finish(),
        }
    }
}

impl AnalyzeEvent {
    /// Returns the piece of text in the event. It is empty for every event but
    /// [`TextGeneration`](Self::TextGeneration).
    #[inline]
    pub fn text(&self) -> &str {
        match self {
            Self::TextGeneration(piece) => &piece.text,
            _ => "",
        }
    }

    /// Adds what the event says about the whole answer.
    #[inline]
    fn add_to(&self, generation: &mut Generation) {
        let metadata = match self {
            Self::StreamStart(start) => &start.metadata,
            Self::StreamEnd(end) => {
                generation.finish_reason = end.finish_reason.clone();
                &end.metadata
            }
            _ => return,
        };
        let StreamMetadata { generation_id, usage } = metadata.clone().unwrap_or_default();
        generation.generation_id = generation_id.or(generation.generation_id.take());
        generation.usage = usage.or(generation.usage.take());
    }

    /// Reads an event, or the error that the platform sent in its place.
    #[inline]
    fn read(stream: &Stream, line: Vec<u8>, generation: &mut Generation) -> Result<Self> {
        let event = match stream.kind_of(&line).as_deref() {
            Some("stream_start") => stream.decode(&line).map(Self::StreamStart),
            Some("text_generation") => stream.decode(&line).map(Self::TextGeneration),
            Some("stream_end") => stream.decode(&line).map(Self::StreamEnd),
            // An unknown event that is nested too deeply for a value is kept as text.
            Some(other) if other != "error" => match stream.decode(&line) {
                Err(Unread::Malformed(_)) => Ok(Self::Other(String::from_utf8_lossy(&line).into())),
                data => data.map(Self::Other),
            },
            _ => match stream.decode::<Value>(&line) {
                Ok(_) => return Err(reported(stream, line)),
                Err(unread) => Err(unread),
            },
        };
        let event = match event {
            Ok(event) => event,
            Err(unread) => return Err(stream.unread(unread, line)),
        };
        event.add_to(generation);
        match &event {
            Self::StreamEnd(end) if end.is_failure() => Err(reported(stream, line)),
            _ => Ok(event),
        }
    }
}

/// The error with which the platform ends a stream.
pub(crate) fn reported(stream: &Stream, line: Vec<u8>) -> Error {
    let words = ErrorBody::read(&line);
    match words.message.or_else(|| words.code.clone()) {
        Some(message) => Error::Stream {
            operation: stream.operation(),
            message: printable(&message, 2000),
            code: words.code.map(|code| printable(&code, 100)),
            text: String::new(),
            generation: Box::default(),
            source: None,
        },
        None => stream.malformed("this is not an event", line),
    }
}

/// The start of an analysis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamStart {
    /// The details of the answer.
    pub metadata: Option<StreamMetadata>,
}

/// A piece of the text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TextGeneration {
    /// The text, to append to the earlier pieces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The end of an analysis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamEnd {
    /// The reason why the model stopped. The text is truncated if this is [`Length`](FinishReason::Length).
    pub finish_reason: Option<FinishReason>,
    /// The details of the answer, with the tokens that were used.
    pub metadata: Option<StreamMetadata>,
    /// The warning that comes with a truncated text.
    pub error: Option<AnalyzeError>,
}

impl StreamEnd {
    /// Says whether the event reports a failure.
    fn is_failure(&self) -> bool {
        failure(self.error.as_ref(), self.finish_reason.as_ref()).is_some()
    }
}

/// The details of an analysis besides its text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamMetadata {
    /// The id of the answer.
    pub generation_id: Option<String>,
    /// The tokens that were used. Only in the last event.
    pub usage: Option<TokenUsage>,
}

/// An iterator over the events of an analysis as they arrive. Returned by
/// [`TwelveLabs::analyze_stream`](crate::TwelveLabs::analyze_stream).
///
/// The last event is [`StreamEnd`](AnalyzeEvent::StreamEnd). If the platform reports an error, the stream breaks off,
/// or a line is not an event, the iterator yields an [`Error::Stream`] with the text so far and then ends. Dropping the
/// stream closes the connection.
///
/// [`text`](Self::text) returns the whole text, whether or not the events have been read.
#[must_use = "the stream is read only while it is iterated over: iterate, or call `.text()`"]
pub struct AnalyzeStream {
    stream: Option<Stream>,
    text: String,
    generation: Generation,
    /// The warning in the last event.
    warning: Option<AnalyzeError>,
    /// The operation and the message of the error with which the stream has ended.
    fault: Option<(String, String)>,
}

impl sealed::Sealed for AnalyzeStream {}

impl Output for AnalyzeStream {
    #[inline]
    fn receive(request: Request) -> Result<HttpResponse<Self>> {
        let stream = Stream::open(request)?;
        let response = stream.response().clone();
        let (text, generation) = (String::new(), Generation::default());
        Ok(response.with(AnalyzeStream { stream: Some(stream), text, generation, warning: None, fault: None }))
    }
}

impl AnalyzeStream {
    /// Waits for the end and returns the text with the details of the answer. Call [`complete`](AnalyzeText::complete)
    /// on the result to be sure that the text is complete.
    ///
    /// # Errors
    ///
    /// [`Error::Stream`], with the text so far, if the stream does not reach its end, even if the iterator has already
    /// yielded that error.
    ///
    /// ```no_run
    /// use twelvelabs::analyze::VideoContext;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let video = VideoContext::asset_id("65f…");
    /// let answer = client.analyze_stream().video(video).prompt("What happens here?").send()?.text()?;
    /// println!("{}", answer.complete()?);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn text(mut self) -> Result<AnalyzeText> {
        for event in &mut self {
            event?;
        }
        if let Some((operation, message)) = self.fault {
            let (text, generation) = (self.text, Box::new(self.generation));
            return Err(Error::Stream { operation, message, code: None, text, generation, source: None });
        }
        let Generation { generation_id, usage, finish_reason } = self.generation;
        Ok(AnalyzeText { text: self.text, finish_reason, usage, generation_id, error: self.warning })
    }
}

impl Iterator for AnalyzeStream {
    type Item = Result<AnalyzeEvent>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let stream = self.stream.as_mut()?;
        let line = stream.json_line().and_then(|line| line.ok_or_else(|| stream.failed(Fault::Truncated)));
        let event = line.and_then(|line| AnalyzeEvent::read(stream, line, &mut self.generation)).and_then(|event| {
            self.text.push_str(event.text());
            stream.check_size(self.text.len())?;
            Ok(event)
        });
        let event = event.map_err(|e| broken(stream.operation(), e, &self.text, &self.generation));
        match &event {
            Ok(AnalyzeEvent::StreamEnd(end)) => self.warning.clone_from(&end.error),
            Ok(_) => return Some(event),
            Err(Error::Stream { operation, message, .. }) => self.fault = Some((operation.clone(), message.clone())),
            // `broken` only returns errors of a stream.
            Err(_) => {}
        }
        self.stream = None;
        Some(event)
    }
}

/// Creates the error of a stream, with the text that arrived before it.
pub(crate) fn broken(operation: String, e: Error, text: &str, generation: &Generation) -> Error {
    let (message, code, source) = match e {
        Error::Stream { message, code, source, .. } => (message, code, source),
        e => {
            let message = match e {
                Error::Timeout { .. } => "the stream did not reach its end in time",
                Error::Transport { .. } => "the stream broke off before its end",
                Error::ResponseTooLarge { .. } => "the stream is larger than allowed",
                Error::Canceled { .. } => "canceled before the end of the stream",
                _ => "the stream contains a line that is not an event",
            };
            (message.into(), None, Some(Box::new(e)))
        }
    };
    Error::Stream { operation, message, code, text: text.into(), generation: Box::new(generation.clone()), source }
}

impl FusedIterator for AnalyzeStream {}

impl fmt::Debug for AnalyzeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnalyzeStream")
            .field("text", &self.text)
            .field("ended", &self.stream.is_none())
            .finish_non_exhaustive()
    }
}

/// The text of an analysis that arrived as a stream. Returned by [`AnalyzeStream::text`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeText {
    /// The text.
    pub text: String,
    /// The reason why the model stopped. [`complete`](Self::complete) returns the text only if this says that it is
    /// complete.
    pub finish_reason: Option<FinishReason>,
    /// The tokens that were used.
    pub usage: Option<TokenUsage>,
    /// The id of the answer.
    pub generation_id: Option<String>,
    /// The warning that comes with a truncated text.
    pub error: Option<AnalyzeError>,
}

impl AnalyzeText {
    /// Returns the text if it is complete.
    ///
    /// # Errors
    ///
    /// The same as for [`AnalyzeResponse::complete`](crate::analyze::AnalyzeResponse::complete).
    pub fn complete(self) -> Result<String> {
        complete(Some(self.text), self.finish_reason.as_ref())
    }

    /// Decodes the text from JSON into your own type, as [`Analyze::json`](crate::analyze::Analyze::json) does.
    ///
    /// # Errors
    ///
    /// The same as for [`AnalyzeResponse::json`](crate::analyze::AnalyzeResponse::json).
    ///
    /// ```no_run
    /// # fn read(answer: twelvelabs::analyze::AnalyzeText) -> Result<(), twelvelabs::Error> {
    /// let keywords: Vec<String> = answer.json()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        typed(Some(&self.text), self.finish_reason.as_ref())
    }
}
