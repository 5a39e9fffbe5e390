//! A response as it is written: its events, and what they amount to.

use std::fmt;
use std::iter::FusedIterator;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::conversation::SessionSlot;
use super::{ResponseObject, ResponseOutputContentPart, ResponseOutputItem, ResponseOutputItemType, ResponseStatus};
use crate::call::json::decode;
use crate::call::request::Request;
use crate::call::stream::{Fault, Pending, ServerSentEvent, Stream};
use crate::call::{Output, sealed};
use crate::error::{Error, Result};
use crate::generation::{FinishReason, Generation};
use crate::http::error_body::ErrorBody;
use crate::resources::analyze::{broken, reported};
use crate::response::HttpResponse;
use crate::text::printable;

/// One event of a response as it is written. Heartbeats of the platform are passed over.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum ResponseStreamEvent {
    /// It begins.
    #[serde(rename = "response.created")]
    Created(ResponseStreamResponseEvent),
    /// It is being written.
    #[serde(rename = "response.in_progress")]
    InProgress(ResponseStreamResponseEvent),
    /// It is complete: nothing comes after this.
    #[serde(rename = "response.completed")]
    Completed(ResponseStreamResponseEvent),
    /// It was truncated: nothing comes after this. (The platform says so with [`Completed`](Self::Completed), too:
    /// look at the [`status`](ResponseObject::status).)
    #[serde(rename = "response.incomplete")]
    Incomplete(ResponseStreamResponseEvent),
    /// It failed: only the error with the reason comes after this.
    #[serde(rename = "response.failed")]
    Failed(ResponseStreamResponseEvent),
    /// An item of the output begins.
    #[serde(rename = "response.output_item.added")]
    OutputItemAdded(ResponseStreamOutputItemEvent),
    /// An item of the output is complete.
    #[serde(rename = "response.output_item.done")]
    OutputItemDone(ResponseStreamOutputItemEvent),
    /// A part of a message begins.
    #[serde(rename = "response.content_part.added")]
    ContentPartAdded(ResponseStreamContentPartEvent),
    /// A part of a message is complete, with its citations.
    #[serde(rename = "response.content_part.done")]
    ContentPartDone(ResponseStreamContentPartEvent),
    /// A piece of text.
    #[serde(rename = "response.output_text.delta")]
    OutputTextDelta(ResponseStreamOutputTextDeltaEvent),
    /// The text of a part is complete.
    #[serde(rename = "response.output_text.done")]
    OutputTextDone(ResponseStreamOutputTextDoneEvent),
    /// The arguments of a call of a function are complete.
    #[serde(rename = "response.function_call_arguments.done")]
    FunctionCallArgumentsDone(ResponseStreamFuncCallArgsDoneEvent),
    /// An event that this version of the crate does not know, as it came.
    #[serde(untagged, serialize_with = "as_it_came")]
    Other {
        /// Its type.
        event: String,
        /// Its data: a string if it is not JSON.
        data: Value,
    },
}

impl ResponseStreamEvent {
    /// The piece of text in it, of the answer or of a message on the way to it; empty for any event but
    /// [`OutputTextDelta`](Self::OutputTextDelta).
    #[inline]
    pub fn text(&self) -> &str {
        match self {
            Self::OutputTextDelta(event) => event.delta.as_deref().unwrap_or_default(),
            _ => "",
        }
    }

    /// Reads an event, or the error that there is in its place; nothing for a heartbeat.
    #[inline]
    fn read(stream: &Stream, sent: &ServerSentEvent) -> Result<Option<Self>> {
        let line = || sent.data.clone().into_bytes();
        let data = decode::from_json::<Value>(sent.data.as_bytes());
        let kind = data.as_ref().ok().and_then(|data| data["type"].as_str()).unwrap_or(&sent.event).to_string();
        let event = match kind.as_str() {
            "response.created" => body(data).map(Self::Created),
            "response.in_progress" => body(data).map(Self::InProgress),
            "response.completed" => body(data).map(Self::Completed),
            "response.incomplete" => body(data).map(Self::Incomplete),
            "response.failed" => body(data).map(Self::Failed),
            "response.output_item.added" => body(data).map(Self::OutputItemAdded),
            "response.output_item.done" => body(data).map(Self::OutputItemDone),
            "response.content_part.added" => body(data).map(Self::ContentPartAdded),
            "response.content_part.done" => body(data).map(Self::ContentPartDone),
            "response.output_text.delta" => body(data).map(Self::OutputTextDelta),
            "response.output_text.done" => body(data).map(Self::OutputTextDone),
            "response.function_call_arguments.done" => body(data).map(Self::FunctionCallArgumentsDone),
            "keepalive" => return Ok(None),
            "" if data.is_err() => data.map(|data| Self::Other { event: kind, data }),
            "error" | "" => return Err(reported(stream, line())),
            _ => Ok(Self::Other { event: kind, data: data.unwrap_or_else(|_| sent.data.clone().into()) }),
        };
        event.map(Some).map_err(|why| stream.malformed(&why, line()))
    }
}

fn as_it_came<S: Serializer>(_: &str, data: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    data.serialize(serializer)
}

/// Reads the fields of an event strictly, so that no text is lost, and leniently what is within them.
fn body<T: DeserializeOwned + Serialize>(data: Result<Value, String>) -> Result<T, String> {
    let data = data?;
    let Some(fields) = data.as_object() else { return Err("the data of the event is no object".into()) };
    let body: T = decode::from_value(&data)?;
    let kept = serde_json::to_value(&body).unwrap_or_default();
    let is_lost = |name: &str| name != "sequence_number" && kept.get(name).is_some_and(Value::is_null);
    match fields.iter().find(|(name, value)| !value.is_null() && is_lost(name)) {
        Some((name, _)) => Err(format!("`{name}` of the event is malformed")),
        None => Ok(body),
    }
}

/// An event about the whole response.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamResponseEvent {
    /// Its place among all events, heartbeats included.
    pub sequence_number: Option<u64>,
    /// The response as far as it has come.
    pub response: Option<ResponseObject>,
}

/// An event about an item of the output.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamOutputItemEvent {
    /// Its place among all events, heartbeats included.
    pub sequence_number: Option<u64>,
    /// The item's place in the output, from 0.
    pub output_index: Option<u64>,
    /// The item as far as it has come. Of a message, the [`phase`](ResponseOutputItem::phase) is known from the
    /// beginning.
    pub item: Option<ResponseOutputItem>,
}

/// An event about a part of a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamContentPartEvent {
    /// Its place among all events, heartbeats included.
    pub sequence_number: Option<u64>,
    /// The id of the message.
    pub item_id: Option<String>,
    /// The message's place in the output, from 0.
    pub output_index: Option<u64>,
    /// The part's place in the message, from 0.
    pub content_index: Option<u64>,
    /// The part as far as it has come. The citations come when it is done.
    pub part: Option<ResponseOutputContentPart>,
}

/// A piece of text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamOutputTextDeltaEvent {
    /// Its place among all events, heartbeats included.
    pub sequence_number: Option<u64>,
    /// The id of the message.
    pub item_id: Option<String>,
    /// The message's place in the output, from 0.
    pub output_index: Option<u64>,
    /// The part's place in the message, from 0.
    pub content_index: Option<u64>,
    /// The text, to be put after the pieces before it.
    pub delta: Option<String>,
}

/// A text that is complete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamOutputTextDoneEvent {
    /// Its place among all events, heartbeats included.
    pub sequence_number: Option<u64>,
    /// The id of the message.
    pub item_id: Option<String>,
    /// The message's place in the output, from 0.
    pub output_index: Option<u64>,
    /// The part's place in the message, from 0.
    pub content_index: Option<u64>,
    /// All of the text.
    pub text: Option<String>,
}

/// The arguments of a call of a function.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseStreamFuncCallArgsDoneEvent {
    /// Its place among all events, heartbeats included.
    pub sequence_number: Option<u64>,
    /// The id of the call's item.
    pub item_id: Option<String>,
    /// The item's place in the output, from 0.
    pub output_index: Option<u64>,
    /// The arguments, as JSON.
    pub arguments: Option<String>,
}

/// A response as it is written, see [`ResponsesClient::create_stream`](crate::responses::ResponsesClient::create_stream).
///
/// It is an iterator of events, for programs that want all of them. [`text_deltas`](Self::text_deltas) gives the pieces of
/// the answer alone, [`snapshot`](Self::snapshot) the response as far as it has come, and [`finish`](Self::finish) and
/// [`text`](Self::text) wait for the end.
///
/// # Errors
/// A stream that breaks off before the response is complete, a known event that is malformed, and a response that
/// failed are an [`Error::Stream`], which has the text of the answer so far, and then it has ended. Dropping it closes
/// the connection; what the platform has started, it may finish.
///
/// ```no_run
/// use twelvelabs::responses::ResponseStreamEvent;
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// for event in client.responses().create_stream("ks_01…", "Who is in the videos?").send()? {
///     match event? {
///         ResponseStreamEvent::OutputItemAdded(event) => eprintln!("begins: {:?}", event.item),
///         event => print!("{}", event.text()),
///     }
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[must_use = "the response comes as it is read: iterate over it, or call `.finish()` or `.text()`"]
pub struct ResponseStream {
    stream: Option<Stream>,
    pending: Pending,
    snapshot: ResponseObject,
    /// How many bytes the snapshot was made of.
    gathered: usize,
    operation: String,
    /// The error that comes after the event of a failure.
    failure: Option<Error>,
    /// What was wrong, of a stream that ended with an error.
    fault: Option<String>,
    /// Where the session of the answer goes once it is complete, if it belongs to a conversation.
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
            failure: None,
            fault: None,
            session: None,
        }))
    }
}

impl ResponseStream {
    /// The response as far as it has come. Its id is empty before the first event.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let mut stream = client.responses().create_stream("ks_01…", "Who is in the videos?").send()?;
    /// while let Some(event) = stream.next() {
    ///     event?;
    ///     println!("{} {}", stream.snapshot().id, stream.snapshot().text());
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn snapshot(&self) -> &ResponseObject {
        &self.snapshot
    }

    /// The pieces of the answer as they arrive, up to its end. Messages on the way to the answer are left out.
    #[inline]
    pub fn text_deltas(&mut self) -> impl Iterator<Item = Result<String>> + '_ {
        std::iter::from_fn(move || {
            loop {
                let event = match self.next()? {
                    Ok(ResponseStreamEvent::OutputTextDelta(event)) => event,
                    Ok(_) => continue,
                    Err(e) => return Some(Err(e)),
                };
                let Some(delta) = event.delta else { continue };
                if self.item(event.item_id.as_deref(), event.output_index).is_answer() {
                    return Some(Ok(delta));
                }
            }
        })
    }

    /// Waits for the end and gives the response.
    ///
    /// One that was truncated comes as it is, so look at its [`status`](ResponseObject::status).
    ///
    /// # Errors
    /// As for the [stream](Self), also if it has given its error before.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let response = client.responses().create_stream("ks_01…", "Who is in the videos?").send()?.finish()?;
    /// println!("{} {:?}", response.text(), response.usage);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn finish(mut self) -> Result<ResponseObject> {
        for event in &mut self {
            event?;
        }
        let message = match self.fault.take() {
            Some(fault) => fault,
            None if self.snapshot.id.is_empty() => "the stream has no response".into(),
            None => return Ok(self.snapshot),
        };
        let (text, generation) = (self.snapshot.text(), Box::new(self.generation()));
        Err(Error::Stream { operation: self.operation, message, code: None, text, generation, source: None })
    }

    /// Waits for the end and gives the text of the answer.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish), and an answer that was truncated is an [`Error::Truncated`].
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let text = client.responses().create_stream("ks_01…", "Who is in the videos?").send()?.text()?;
    /// println!("{text}");
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn text(self) -> Result<String> {
        let response = self.finish()?;
        match response.is_truncated() {
            true => Err(Error::Truncated { text: response.text() }),
            false => Ok(response.text()),
        }
    }

    /// Makes the answer a part of a conversation.
    pub(super) fn in_conversation(mut self, session: SessionSlot) -> Self {
        self.session = Some(session);
        self
    }

    /// What is known of the response besides its text.
    fn generation(&self) -> Generation {
        let ResponseObject { id, usage, .. } = &self.snapshot;
        let finish_reason = self.snapshot.is_truncated().then_some(FinishReason::Length);
        Generation { generation_id: Some(id.clone()).filter(|id| !id.is_empty()), usage: usage.clone(), finish_reason }
    }

    /// The error that the stream ends with, with the text so far.
    #[inline]
    fn ended_with(&mut self, e: Error) -> Error {
        let e = broken(self.operation.clone(), e, &self.snapshot.text(), &self.generation());
        if let Error::Stream { message, .. } = &e {
            self.fault = Some(message.clone());
        }
        e
    }

    /// Brings the snapshot up to date.
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
                    let content = self.content(event.item_id.as_deref(), event.output_index);
                    *place(content, event.content_index) = part.clone();
                }
            }
            Event::OutputTextDelta(event) => {
                if let Some(delta) = &event.delta {
                    let content = self.content(event.item_id.as_deref(), event.output_index);
                    place(content, event.content_index).text.get_or_insert_default().push_str(delta);
                }
            }
            Event::OutputTextDone(event) => {
                if event.text.is_some() {
                    let content = self.content(event.item_id.as_deref(), event.output_index);
                    place(content, event.content_index).text.clone_from(&event.text);
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

    /// The item that an event is about. One that was not announced begins here.
    #[inline]
    fn item(&mut self, id: Option<&str>, index: Option<u64>) -> &mut ResponseOutputItem {
        let output = self.snapshot.output.get_or_insert_default();
        let Some(id) = id else { return place(output, index) };
        let at = output.iter().position(|item| item.id == id).unwrap_or_else(|| {
            let kind = Some(ResponseOutputItemType::Message);
            output.push(ResponseOutputItem { id: id.into(), kind, ..Default::default() });
            output.len() - 1
        });
        &mut output[at]
    }

    fn content(&mut self, id: Option<&str>, index: Option<u64>) -> &mut Vec<ResponseOutputContentPart> {
        self.item(id, index).content.get_or_insert_default()
    }
}

/// What is at this place of a list, or at its end if it is not that long; the last without a place.
fn place<T: Default>(list: &mut Vec<T>, index: Option<u64>) -> &mut T {
    let last = list.len().saturating_sub(1);
    let at = index.map_or(last, |index| usize::try_from(index).unwrap_or(usize::MAX)).min(list.len());
    if at == list.len() {
        list.push(T::default());
    }
    &mut list[at]
}

/// The error for the event of a failure, with the platform's reason.
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
        let failure = matches!(event, ResponseStreamEvent::Failed(_)).then(|| failure(stream, &sent));
        self.apply(&event);
        match event {
            ResponseStreamEvent::Completed(ref end) => {
                let status = end.response.as_ref().and_then(|response| response.status.clone());
                self.snapshot.status = status.or(Some(ResponseStatus::Completed));
                self.stream = None;
            }
            ResponseStreamEvent::Incomplete(_) => {
                self.snapshot.status = Some(ResponseStatus::Incomplete);
                self.stream = None;
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
