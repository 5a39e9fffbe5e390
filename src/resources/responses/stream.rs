//! The stream of a response: its events, and the response that they add up to.

use std::borrow::Cow;
use std::fmt;
use std::iter::FusedIterator;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::conversation::SessionSlot;
use super::{ResponseObject, ResponseOutputContentPart, ResponseOutputItem, ResponseOutputItemType, ResponseStatus};
use crate::call::json::repair::Unread;
use crate::call::request::Request;
use crate::call::stream::{Fault, Pending, ServerSentEvent, Stream};
use crate::call::{Output, sealed};
use crate::error::{Error, Result};
use crate::generation::{FinishReason, Generation};
use crate::http::error_body::ErrorBody;
use crate::resources::analyze::{broken, reported};
use crate::response::HttpResponse;
use crate::text::{Unsigned, printable};

/// The maximum number of items, and parts of items, in one response. Otherwise, a stream that always adds new items
/// would grow the snapshot without any text, and take quadratic time, because each event's item is searched for.
const MAX_PLACES: usize = 10_000;

/// An event of a response that is being written. The platform's heartbeats are skipped. `Debug` shows URLs without their
/// signatures.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum ResponseStreamEvent {
    /// The response has started.
    #[serde(rename = "response.created")]
    Created(ResponseStreamResponseEvent),
    /// The response is still being written.
    #[serde(rename = "response.in_progress")]
    InProgress(ResponseStreamResponseEvent),
    /// The response has ended. This is the last event. Check the [`status`](ResponseObject::status): the platform also
    /// ends truncated responses with this event.
    #[serde(rename = "response.completed")]
    Completed(ResponseStreamResponseEvent),
    /// The response was truncated. This is the last event.
    #[serde(rename = "response.incomplete")]
    Incomplete(ResponseStreamResponseEvent),
    /// The response failed. Only the error with the reason follows.
    #[serde(rename = "response.failed")]
    Failed(ResponseStreamResponseEvent),
    /// An item of the output has started.
    #[serde(rename = "response.output_item.added")]
    OutputItemAdded(ResponseStreamOutputItemEvent),
    /// An item of the output is complete.
    #[serde(rename = "response.output_item.done")]
    OutputItemDone(ResponseStreamOutputItemEvent),
    /// A part of a message has started.
    #[serde(rename = "response.content_part.added")]
    ContentPartAdded(ResponseStreamContentPartEvent),
    /// A part of a message is complete, with its citations.
    #[serde(rename = "response.content_part.done")]
    ContentPartDone(ResponseStreamContentPartEvent),
    /// A piece of the text.
    #[serde(rename = "response.output_text.delta")]
    OutputTextDelta(ResponseStreamOutputTextDeltaEvent),
    /// The text of a part is complete.
    #[serde(rename = "response.output_text.done")]
    OutputTextDone(ResponseStreamOutputTextDoneEvent),
    /// The arguments of a function call are complete.
    #[serde(rename = "response.function_call_arguments.done")]
    FunctionCallArgumentsDone(ResponseStreamFuncCallArgsDoneEvent),
    /// An event that this version of the crate does not know, as received.
    #[serde(untagged, serialize_with = "as_it_came")]
    Other {
        /// The type of the event.
        event: String,
        /// The data of the event, as a string if it is not JSON.
        data: Value,
    },
}

impl ResponseStreamEvent {
    /// Returns the piece of text in the event, which belongs to the answer or to a message about the progress. It is
    /// empty for every event but [`OutputTextDelta`](Self::OutputTextDelta).
    #[inline]
    pub fn text(&self) -> &str {
        match self {
            Self::OutputTextDelta(event) => event.delta.as_deref().unwrap_or_default(),
            _ => "",
        }
    }

    /// Reads an event, or the error in its place. Returns nothing for a heartbeat. The data is decoded only once.
    #[inline]
    fn read(stream: &Stream, sent: &ServerSentEvent) -> Result<Option<Self>> {
        let text = sent.data.as_bytes();
        let line = || sent.data.clone().into_bytes();
        let kind = stream.kind_of(text).unwrap_or(Cow::Borrowed(&sent.event));
        let event = match &*kind {
            "response.created" => body(stream, text).map(Self::Created),
            "response.in_progress" => body(stream, text).map(Self::InProgress),
            "response.completed" => body(stream, text).map(Self::Completed),
            "response.incomplete" => body(stream, text).map(Self::Incomplete),
            "response.failed" => body(stream, text).map(Self::Failed),
            "response.output_item.added" => body(stream, text).map(Self::OutputItemAdded),
            "response.output_item.done" => body(stream, text).map(Self::OutputItemDone),
            "response.content_part.added" => body(stream, text).map(Self::ContentPartAdded),
            "response.content_part.done" => body(stream, text).map(Self::ContentPartDone),
            "response.output_text.delta" => body(stream, text).map(Self::OutputTextDelta),
            "response.output_text.done" => body(stream, text).map(Self::OutputTextDone),
            "response.function_call_arguments.done" => body(stream, text).map(Self::FunctionCallArgumentsDone),
            "keepalive" => return Ok(None),
            "" => match stream.decode::<Value>(text) {
                Ok(_) => return Err(reported(stream, line())),
                Err(unread) => Err(unread),
            },
            "error" => return Err(reported(stream, line())),
            _ => match stream.decode(text) {
                Err(Unread::Stopped(stop)) => Err(Unread::Stopped(stop)),
                data => {
                    let data = data.unwrap_or_else(|_| sent.data.clone().into());
                    Ok(Self::Other { event: kind.into_owned(), data })
                }
            },
        };
        event.map(Some).map_err(|unread| stream.unread(unread, line()))
    }
}

impl fmt::Debug for ResponseStreamEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, event): (_, &dyn fmt::Debug) = match self {
            Self::Created(event) => ("Created", event),
            Self::InProgress(event) => ("InProgress", event),
            Self::Completed(event) => ("Completed", event),
            Self::Incomplete(event) => ("Incomplete", event),
            Self::Failed(event) => ("Failed", event),
            Self::OutputItemAdded(event) => ("OutputItemAdded", event),
            Self::OutputItemDone(event) => ("OutputItemDone", event),
            Self::ContentPartAdded(event) => ("ContentPartAdded", event),
            Self::ContentPartDone(event) => ("ContentPartDone", event),
            Self::OutputTextDelta(event) => ("OutputTextDelta", event),
            Self::OutputTextDone(event) => ("OutputTextDone", event),
            Self::FunctionCallArgumentsDone(event) => ("FunctionCallArgumentsDone", event),
            Self::Other { event, data } => {
                return f.debug_struct("Other").field("event", event).field("data", &Unsigned(data)).finish();
            }
        };
        f.debug_tuple(name).field(event).finish()
    }
}

fn as_it_came<S: Serializer>(_: &str, data: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    data.serialize(serializer)
}

/// Reads the fields of an event strictly, so that no text is lost, and the values inside them leniently.
fn body<T: DeserializeOwned + Serialize>(stream: &Stream, text: &[u8]) -> Result<T, Unread> {
    // An event that needs no repair has lost nothing. A list is excluded, because it would also fit a struct.
    if text.trim_ascii_start().starts_with(b"{")
        && let Ok(body) = serde_json::from_slice(text)
    {
        return Ok(body);
    }
    let data: Value = stream.decode(text)?;
    let Some(fields) = data.as_object() else {
        return Err(String::from("the data of the event is not an object").into());
    };
    let body: T = stream.decode(data.to_string().as_bytes())?;
    let kept = serde_json::to_value(&body).unwrap_or_default();
    let is_lost = |name: &str| name != "sequence_number" && kept.get(name).is_some_and(Value::is_null);
    match fields.iter().find(|(name, value)| !value.is_null() && is_lost(name)) {
        Some((name, _)) => Err(format!("`{name}` of the event is malformed").into()),
        None => Ok(body),
    }
}

/// An event about the whole response.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamResponseEvent {
    /// The number of the event, counting heartbeats.
    pub sequence_number: Option<u64>,
    /// The response so far.
    pub response: Option<ResponseObject>,
}

/// An event about an item of the output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamOutputItemEvent {
    /// The number of the event, counting heartbeats.
    pub sequence_number: Option<u64>,
    /// The index of the item in the output, from 0.
    pub output_index: Option<u64>,
    /// The item so far. The [`phase`](ResponseOutputItem::phase) of a message is known from the beginning.
    pub item: Option<ResponseOutputItem>,
}

/// An event about a part of a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamContentPartEvent {
    /// The number of the event, counting heartbeats.
    pub sequence_number: Option<u64>,
    /// The id of the message.
    pub item_id: Option<String>,
    /// The index of the message in the output, from 0.
    pub output_index: Option<u64>,
    /// The index of the part in the message, from 0.
    pub content_index: Option<u64>,
    /// The part so far. Citations arrive with the complete part.
    pub part: Option<ResponseOutputContentPart>,
}

/// A piece of the text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamOutputTextDeltaEvent {
    /// The number of the event, counting heartbeats.
    pub sequence_number: Option<u64>,
    /// The id of the message.
    pub item_id: Option<String>,
    /// The index of the message in the output, from 0.
    pub output_index: Option<u64>,
    /// The index of the part in the message, from 0.
    pub content_index: Option<u64>,
    /// The text, to append to the earlier pieces.
    pub delta: Option<String>,
}

/// A text that is complete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamOutputTextDoneEvent {
    /// The number of the event, counting heartbeats.
    pub sequence_number: Option<u64>,
    /// The id of the message.
    pub item_id: Option<String>,
    /// The index of the message in the output, from 0.
    pub output_index: Option<u64>,
    /// The index of the part in the message, from 0.
    pub content_index: Option<u64>,
    /// The whole text.
    pub text: Option<String>,
}

/// The arguments of a function call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamFuncCallArgsDoneEvent {
    /// The number of the event, counting heartbeats.
    pub sequence_number: Option<u64>,
    /// The id of the item of the call.
    pub item_id: Option<String>,
    /// The index of the item in the output, from 0.
    pub output_index: Option<u64>,
    /// The arguments as JSON.
    pub arguments: Option<String>,
}

/// A response that arrives while it is being written. Returned by
/// [`ResponsesClient::create_stream`](crate::responses::ResponsesClient::create_stream).
///
/// The stream is an iterator of events. [`text_deltas`](Self::text_deltas) yields only the pieces of the answer,
/// [`snapshot`](Self::snapshot) returns the response so far, and [`finish`](Self::finish) and [`text`](Self::text) wait
/// for the end.
///
/// # Errors
///
/// If the stream breaks off before its end, contains a malformed event, or the response fails or is canceled, the
/// iterator yields an [`Error::Stream`] with the text of the answer so far and then ends. Dropping the stream closes
/// the connection, but the platform may still finish the response.
///
/// ```no_run
/// use twelvelabs::responses::ResponseStreamEvent;
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let mut stream = client.responses().create_stream("ks_01…", "Who is in the videos?").send()?;
/// for event in &mut stream {
///     match event? {
///         ResponseStreamEvent::OutputItemAdded(event) => eprintln!("begins: {:?}", event.item),
///         event => print!("{}", event.text()),
///     }
/// }
/// stream.finish()?.complete()?; // an error if the answer was truncated
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[must_use = "the stream is read only while it is iterated over: iterate, or call `.finish()` or `.text()`"]
pub struct ResponseStream {
    stream: Option<Stream>,
    pending: Pending,
    snapshot: ResponseObject,
    /// The number of bytes from which the snapshot was built.
    gathered: usize,
    /// The number of items and parts of items in the snapshot.
    places: usize,
    operation: String,
    /// The error to return after the event that reports a failure.
    failure: Option<Error>,
    /// The message of the error with which the stream has ended.
    fault: Option<String>,
    /// The conversation to which the response belongs: its session is stored there once the response is complete.
    session: Option<SessionSlot>,
}

impl sealed::Sealed for ResponseStream {}

impl Output for ResponseStream {
    #[inline]
    fn receive(request: Request) -> Result<HttpResponse<Self>> {
        let stream = Stream::events(request)?;
        let response = stream.response().clone();
        Ok(response.with(ResponseStream {
            operation: stream.operation(),
            stream: Some(stream),
            pending: Pending::default(),
            snapshot: ResponseObject::default(),
            gathered: 0,
            places: 0,
            failure: None,
            fault: None,
            session: None,
        }))
    }
}

impl ResponseStream {
    /// Returns the response so far. Its id is empty before the first event.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let mut stream = client.responses().create_stream("ks_01…", "Who is in the videos?").send()?;
    /// while let Some(event) = stream.next() {
    ///     event?;
    ///     println!("{} {}", stream.snapshot().id, stream.snapshot().text());
    /// }
    /// println!("{}", stream.text()?);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn snapshot(&self) -> &ResponseObject {
        &self.snapshot
    }

    /// Returns an iterator over the pieces of the answer as they arrive, without messages about the progress.
    #[inline]
    pub fn text_deltas(&mut self) -> impl Iterator<Item = Result<String>> + '_ {
        std::iter::from_fn(move || {
            loop {
                let event = match self.next()? {
                    Ok(ResponseStreamEvent::OutputTextDelta(event)) => event,
                    Ok(_) => continue,
                    Err(e) => return Some(Err(e)),
                };
                let Some(delta) = event.delta.filter(|delta| !delta.is_empty()) else { continue };
                if self.item(event.item_id.as_deref(), event.output_index).is_answer() {
                    return Some(Ok(delta));
                }
            }
        })
    }

    /// Waits for the end and returns the response.
    ///
    /// A truncated response is also returned: check its [`status`](ResponseObject::status), or call
    /// [`complete`](ResponseObject::complete).
    ///
    /// # Errors
    ///
    /// The errors of the [stream](Self), even if the iterator has already yielded its error.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let response = client.responses().create_stream("ks_01…", "Who is in the videos?").send()?.finish()?;
    /// println!("{} {:?}", response.complete()?, response.usage);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn finish(mut self) -> Result<ResponseObject> {
        for event in &mut self {
            event?;
        }
        let message = match self.fault.take() {
            Some(fault) => fault,
            None if self.snapshot.id.is_empty() => "the stream ended without a response".into(),
            None => return Ok(self.snapshot),
        };
        let (text, generation) = (self.snapshot.text(), Box::new(self.generation()));
        Err(Error::Stream { operation: self.operation, message, code: None, text, generation, source: None })
    }

    /// Waits for the end and returns the text of the answer, if it is complete.
    ///
    /// # Errors
    ///
    /// The same as for [`finish`](Self::finish) and [`ResponseObject::complete`]: a truncated answer returns an
    /// [`Error::Truncated`], and a response that does not say that it is complete returns an [`Error::InvalidOutput`].
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let text = client.responses().create_stream("ks_01…", "Who is in the videos?").send()?.text()?;
    /// println!("{text}");
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn text(self) -> Result<String> {
        self.finish()?.complete()
    }

    /// Makes the response part of a conversation.
    pub(super) fn in_conversation(mut self, session: SessionSlot) -> Self {
        self.session = Some(session);
        self
    }

    /// The details of the response besides its text.
    fn generation(&self) -> Generation {
        let ResponseObject { id, usage, .. } = &self.snapshot;
        let finish_reason = self.snapshot.is_truncated().then_some(FinishReason::Length);
        Generation { generation_id: Some(id.clone()).filter(|id| !id.is_empty()), usage: usage.clone(), finish_reason }
    }

    /// Creates the error that ends the stream, with the text so far.
    #[inline]
    fn ended_with(&mut self, e: Error) -> Error {
        let e = broken(self.operation.clone(), e, &self.snapshot.text(), &self.generation());
        if let Error::Stream { message, .. } = &e {
            self.fault = Some(message.clone());
        }
        e
    }

    /// Updates the snapshot with an event.
    #[inline]
    fn apply(&mut self, event: &ResponseStreamEvent) {
        use ResponseStreamEvent as Event;
        match event {
            Event::Created(event)
            | Event::InProgress(event)
            | Event::Completed(event)
            | Event::Incomplete(event)
            | Event::Failed(event) => {
                if let Some(response) = &event.response {
                    let gathered = self.snapshot.output.take();
                    self.snapshot = response.clone();
                    if response.output.as_ref().is_none_or(Vec::is_empty) {
                        self.snapshot.output = gathered.or(self.snapshot.output.take());
                    }
                }
            }
            Event::OutputItemAdded(event) | Event::OutputItemDone(event) => {
                if let Some(item) = &event.item {
                    *self.item(Some(&item.id), event.output_index) = item.clone();
                }
            }
            Event::ContentPartAdded(event) | Event::ContentPartDone(event) => {
                if let Some(part) = &event.part {
                    *self.part(event.item_id.as_deref(), event.output_index, event.content_index) = part.clone();
                }
            }
            Event::OutputTextDelta(event) => {
                if let Some(delta) = event.delta.as_ref().filter(|delta| !delta.is_empty()) {
                    let part = self.part(event.item_id.as_deref(), event.output_index, event.content_index);
                    part.text.get_or_insert_default().push_str(delta);
                }
            }
            Event::OutputTextDone(event) => {
                if event.text.is_some() {
                    let part = self.part(event.item_id.as_deref(), event.output_index, event.content_index);
                    part.text.clone_from(&event.text);
                }
            }
            Event::FunctionCallArgumentsDone(event) => {
                if event.arguments.is_some() {
                    let item = self.item(event.item_id.as_deref(), event.output_index);
                    item.arguments.clone_from(&event.arguments);
                }
            }
            Event::Other { .. } => {}
        }
    }

    /// Finds the item to which an event belongs.
    #[inline]
    fn item(&mut self, id: Option<&str>, index: Option<u64>) -> &mut ResponseOutputItem {
        item_of(self.snapshot.output.get_or_insert_default(), id, index, &mut self.places)
    }

    /// Finds the part of an item to which an event belongs.
    fn part(&mut self, id: Option<&str>, item: Option<u64>, part: Option<u64>) -> &mut ResponseOutputContentPart {
        let output = self.snapshot.output.get_or_insert_default();
        let item = item_of(output, id, item, &mut self.places);
        place(item.content.get_or_insert_default(), part, &mut self.places)
    }
}

/// Finds the item with this id, or at this index. An item that was not announced is created and counted.
fn item_of<'a>(
    output: &'a mut Vec<ResponseOutputItem>,
    id: Option<&str>,
    index: Option<u64>,
    count: &mut usize,
) -> &'a mut ResponseOutputItem {
    let Some(id) = id else { return place(output, index, count) };
    // An event is usually about the newest item.
    let at = output.iter().rposition(|item| item.id == id).unwrap_or_else(|| {
        let kind = Some(ResponseOutputItemType::Message);
        output.push(ResponseOutputItem { id: id.into(), kind, ..Default::default() });
        *count += 1;
        output.len() - 1
    });
    &mut output[at]
}

/// Returns the element at this index of a list, or a new one at its end if the list is shorter. Without an index,
/// returns the last element. A new element is counted.
fn place<'a, T: Default>(list: &'a mut Vec<T>, index: Option<u64>, count: &mut usize) -> &'a mut T {
    let last = list.len().saturating_sub(1);
    let at = index.map_or(last, |index| usize::try_from(index).unwrap_or(usize::MAX)).min(list.len());
    if at == list.len() {
        list.push(T::default());
        *count += 1;
    }
    &mut list[at]
}

/// Creates the error for an event that reports a failure, with the platform's reason.
fn failure(stream: &Stream, sent: &ServerSentEvent) -> Error {
    let data: Value = serde_json::from_str(&sent.data).unwrap_or_default();
    let words = [&data["response"], &data].map(|place| ErrorBody::read(place.to_string().as_bytes()));
    let words = words.into_iter().find(|words| words.message.is_some() || words.code.is_some()).unwrap_or_default();
    let message = words.message.or_else(|| words.code.clone());
    Error::Stream {
        operation: stream.operation(),
        message: message.map_or_else(
            || "the response failed, and the platform gave no reason".into(),
            |message| printable(&message, 2000),
        ),
        code: words.code.map(|code| printable(&code, 100)),
        text: String::new(),
        generation: Box::default(),
        source: None,
    }
}

impl Iterator for ResponseStream {
    type Item = Result<ResponseStreamEvent>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(e) = self.failure.take() {
            return Some(Err(e));
        }
        let stream = self.stream.as_mut()?;
        let read = loop {
            let sent = stream.event(&mut self.pending).and_then(|e| e.ok_or_else(|| stream.failed(Fault::Truncated)));
            let read = sent.and_then(|sent| Ok((ResponseStreamEvent::read(stream, &sent)?, sent)));
            match read {
                Ok((None, _)) => continue,
                Ok((Some(event), sent)) => {
                    self.gathered += match &event {
                        ResponseStreamEvent::Other { .. } => 0,
                        ResponseStreamEvent::OutputTextDelta(event) => event.delta.as_ref().map_or(0, String::len),
                        _ => sent.data.len(),
                    };
                    break stream.check_size(self.gathered).map(|()| (event, sent));
                }
                Err(e) => break Err(e),
            }
        };
        let (event, sent) = match read {
            Ok(read) => read,
            Err(e) => {
                self.stream = None;
                return Some(Err(self.ended_with(e)));
            }
        };
        let has_failed = match &event {
            ResponseStreamEvent::Failed(_) => true,
            ResponseStreamEvent::Completed(end) => end.response.as_ref().is_some_and(ResponseObject::has_failed),
            _ => false,
        };
        let failure = has_failed.then(|| failure(stream, &sent));
        self.apply(&event);
        match &event {
            ResponseStreamEvent::Completed(end) => {
                // The type of the event states that the response is complete, unless the response says otherwise.
                let response = end.response.as_ref();
                let has_error = response.is_some_and(ResponseObject::has_error);
                let status = response.and_then(|response| response.status.clone());
                self.snapshot.status = status.or((!has_error).then_some(ResponseStatus::Completed));
                self.stream = None;
            }
            ResponseStreamEvent::Incomplete(_) => {
                self.snapshot.status = Some(ResponseStatus::Incomplete);
                self.stream = None;
            }
            _ if self.places > MAX_PLACES => {
                let e = self.stream.take().map(|stream| stream.failed(Fault::TooLong));
                return e.map(|e| Err(self.ended_with(e)));
            }
            _ => {}
        }
        if let (Some(session), None, None) = (&self.session, &self.stream, &failure) {
            session.keep(&self.snapshot);
        }
        if let Some(e) = failure {
            self.stream = None;
            self.failure = Some(self.ended_with(e));
        }
        Some(Ok(event))
    }
}

impl FusedIterator for ResponseStream {}

impl fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream")
            .field("snapshot", &self.snapshot)
            .field("ended", &self.stream.is_none())
            .finish_non_exhaustive()
    }
}
