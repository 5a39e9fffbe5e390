//! Responses: answers to questions about a knowledge store, whole or as a stream.

pub(crate) mod conversation;
pub(crate) mod stream;

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::request::Request;
#[cfg(feature = "schemars")]
use crate::call::schema;
use crate::error::{Error, FailedError, Result};
use crate::generation::{FinishReason, TokenUsage};
use crate::http::session::Session;
use crate::resources::analyze::{complete, typed};
use crate::text::printable;
use conversation::Conversation;
use stream::ResponseStream;

/// Asks questions about a knowledge store. Returned by [`TwelveLabs::responses`](crate::TwelveLabs::responses).
#[derive(Debug, Clone)]
pub struct ResponsesClient(pub(crate) Session);

impl ResponsesClient {
    /// Asks a question about a knowledge store and returns the whole response.
    ///
    /// A response can take minutes, so the default time limit is 600 s. The store needs at least one item that is
    /// ready. `send` also returns a response that failed or was truncated. Check its
    /// [`status`](ResponseObject::status), or call [`complete`](ResponseObject::complete), which turns it into an
    /// error. [`json`](CreateResponse::json) does the same and decodes the answer into your own type.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let response = client.responses().create("ks_01…", "Who is in the videos?").send()?;
    /// println!("{}", response.complete()?);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// [`conversation`](Self::conversation) asks several questions that refer to each other.
    pub fn create(&self, knowledge_store_id: impl Into<String>, input: impl Into<ResponseInput>) -> CreateResponse {
        self.request(&knowledge_store_id.into(), &input.into(), false).into()
    }

    /// Like [`create`](Self::create), but returns the response as a stream while it is being written.
    ///
    /// The call returns as soon as the response starts. [`ResponseStream`] describes the ways to read it.
    ///
    /// ```no_run
    /// use std::io::Write;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let mut stream = client.responses().create_stream("ks_01…", "Who is in the videos?").send()?;
    /// for delta in stream.text_deltas() {
    ///     print!("{}", delta?);
    ///     std::io::stdout().flush().ok();
    /// }
    /// let response = stream.finish()?;
    /// response.complete()?; // an error if the answer was truncated
    /// println!("\n{:?}", response.session_id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_stream(
        &self,
        knowledge_store_id: impl Into<String>,
        input: impl Into<ResponseInput>,
    ) -> CreateResponseStream {
        self.request(&knowledge_store_id.into(), &input.into(), true).into()
    }

    /// Starts a conversation about a knowledge store, in which each question can refer to the earlier ones.
    ///
    /// The conversation keeps the platform's session from the first answer on. An answer that fails leaves the session
    /// as it was.
    ///
    /// ```no_run
    /// use serde_json::{Value, json};
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let conversation = client.responses().conversation("ks_01…").instructions("Answer in one sentence.");
    /// println!("{}", conversation.ask("Who scores the first goal?").send()?.text());
    /// for delta in conversation.ask("And who passed the ball to her?").stream()?.text_deltas() {
    ///     print!("{}", delta?);
    /// }
    /// let names: Value = conversation.ask("List both.").json(json!({
    ///     "type": "object",
    ///     "properties": {"names": {"type": "array", "items": {"type": "string"}, "description": "Full names."}},
    /// }))?;
    /// println!("{names} {:?}", conversation.session_id());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn conversation(&self, knowledge_store_id: impl Into<String>) -> Conversation {
        Conversation::new(self, knowledge_store_id.into())
    }

    fn request(&self, knowledge_store_id: &str, input: &ResponseInput, stream: bool) -> Request {
        let mut request = self.0.post(&["responses"]).slow();
        if input.0.is_empty() {
            request.reject("input", "is empty; give a text, or a list of at least one item");
        }
        request.json("knowledge_store_id", knowledge_store_id);
        request.json("input", input);
        request.json("stream", &stream);
        request
    }
}

/// Declares one of the two requests for a response, which have the same options.
macro_rules! response_request {
    ($(#[$meta:meta])* $name:ident -> $output:ty) => {
        request! {
            $(#[$meta])*
            $name -> $output {
                /// Sets the session to continue: the [`session_id`](ResponseObject::session_id) of an earlier response.
                /// Without it, the platform starts a new session.
                json session_id: into String,
                /// Sets a system prompt for this request alone.
                json instructions: into String,
                /// Sets additional output to return with the answer.
                json include: [ResponseInclude],
                /// Sets the items and collections of the store that the question is about. The text refers to each by
                /// its place in this list, as `{{sel:0}}`, `{{sel:1}}` and so on. The platform prefers them strongly
                /// but not exclusively, and remembers them for the rest of the session.
                json selections: [ResponseSelection],
                /// Sets the form of the answer, such as a [`TextParamFormat`].
                json text: into TextParam,
            }
        }
    };
}

response_request! {
    /// The builder returned by [`ResponsesClient::create`].
    CreateResponse -> ResponseObject
}

response_request! {
    /// The builder returned by [`ResponsesClient::create_stream`].
    CreateResponseStream -> ResponseStream
}

impl CreateResponse {
    /// Sends the request with a JSON schema and decodes the text of the answer into your own type.
    ///
    /// The schema is sent as [`text`](Self::text) under the name `answer`. The platform makes all properties required,
    /// and does not support `oneOf`, `default`, `not`, `if` and `patternProperties`.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if the response failed or was canceled, [`Error::Truncated`] if it was truncated, and
    /// [`Error::InvalidOutput`] if it does not fit the type or does not say that it is complete. The last two contain
    /// the text.
    ///
    /// ```no_run
    /// use serde_json::json;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Scorers {
    ///     names: Vec<String>,
    /// }
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let scorers: Scorers = client.responses().create("ks_01…", "Who scores?").json(json!({
    ///     "type": "object",
    ///     "properties": {"names": {"type": "array", "items": {"type": "string"}}},
    /// }))?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn json<T: DeserializeOwned>(mut self, schema: impl Serialize) -> Result<T> {
        let schema = self.0.schema(&schema);
        self.text(TextParamFormat::json_schema("answer", schema)).send()?.json()
    }

    /// Like [`json`](Self::json), with a schema generated from the type. The schema contains the doc comments of its
    /// fields, so the model reads them.
    ///
    /// # Errors
    ///
    /// The same as for [`json`](Self::json).
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Summary {
    ///     /// At most ten words.
    ///     title: String,
    ///     keywords: Vec<String>,
    /// }
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let summary: Summary = client.responses().create("ks_01…", "Sum it up.").json_as()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[cfg(feature = "schemars")]
    #[cfg_attr(docsrs, doc(cfg(feature = "schemars")))]
    pub fn json_as<T: DeserializeOwned + schemars::JsonSchema>(self) -> Result<T> {
        self.json(schema::of::<T>())
    }
}

/// The input of a response: a text, which becomes a message of the user, or a list of items.
///
/// ```
/// use twelvelabs::responses::{ResponseInput, ResponseInputItem};
///
/// let short = ResponseInput::from("Who is in the videos?");
/// let long = ResponseInput::from([ResponseInputItem::user("Who is in the videos?")]);
/// assert_eq!(short, long);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResponseInput(Vec<ResponseInputItem>);

impl From<&str> for ResponseInput {
    fn from(text: &str) -> Self {
        ResponseInputItem::user(text).into()
    }
}

impl From<&String> for ResponseInput {
    fn from(text: &String) -> Self {
        ResponseInputItem::user(text).into()
    }
}

impl From<String> for ResponseInput {
    fn from(text: String) -> Self {
        ResponseInputItem::user(text).into()
    }
}

impl From<ResponseInputItem> for ResponseInput {
    fn from(item: ResponseInputItem) -> Self {
        ResponseInput(vec![item])
    }
}

impl From<Vec<ResponseInputItem>> for ResponseInput {
    fn from(items: Vec<ResponseInputItem>) -> Self {
        ResponseInput(items)
    }
}

impl<const N: usize> From<[ResponseInputItem; N]> for ResponseInput {
    fn from(items: [ResponseInputItem; N]) -> Self {
        ResponseInput(items.into())
    }
}

input! {
    /// An item of the input: its type (`message`), the role of its author (`user`), and its text of 1 to 10,000
    /// characters. [`user`](Self::user) creates one.
    ResponseInputItem(kind = "type": String, role: String, content: String) {}
}

impl ResponseInputItem {
    /// Creates a message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("message", "user", content)
    }
}

input! {
    /// A part of a knowledge store that a question is about. [`item`](Self::item) and [`collection`](Self::collection)
    /// create one.
    ///
    /// ```no_run
    /// use twelvelabs::responses::ResponseSelection;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let selections = [ResponseSelection::item("ksi_01…"), ResponseSelection::collection("ksic_01…")];
    /// let ask = client.responses().create("ks_01…", "Is {{sel:0}} one of the games in {{sel:1}}?");
    /// println!("{}", ask.selections(selections).send()?.text());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ResponseSelection(kind: ResponseSelectionKind, id: String) {}
}

impl ResponseSelection {
    /// Selects an item of the store. Its id begins with `ksi_`.
    pub fn item(id: impl Into<String>) -> Self {
        Self::new(ResponseSelectionKind::Item, id)
    }

    /// Selects all items of an item collection. Its id begins with `ksic_`.
    pub fn collection(id: impl Into<String>) -> Self {
        Self::new(ResponseSelectionKind::Collection, id)
    }
}

input! {
    /// The form of an answer.
    TextParam() {
        /// Text, or JSON that follows a schema.
        format: TextParamFormat,
    }
}

impl From<TextParamFormat> for TextParam {
    fn from(format: TextParamFormat) -> Self {
        Self::new().format(format)
    }
}

input! {
    /// The format of an answer: text, which is the platform's default, or JSON that follows a schema.
    /// [`text`](Self::text) and [`json_schema`](Self::json_schema) create one.
    TextParamFormat(kind = "type": String) {
        /// Sets the name of the schema.
        name: into String,
        /// Sets the description of the schema.
        description: into String,
        /// Sets the schema, in JSON Schema draft 2020-12.
        schema: into serde_json::Value,
        /// Reserved by the platform. It has no effect so far.
        strict: bool,
    }
}

impl TextParamFormat {
    /// Requests plain text.
    pub fn text() -> Self {
        Self::new("text")
    }

    /// Requests JSON that follows a schema with this name.
    ///
    /// ```
    /// use serde_json::json;
    /// use twelvelabs::responses::TextParamFormat;
    ///
    /// let schema = json!({"type": "object", "properties": {"title": {"type": "string"}}});
    /// let format = TextParamFormat::json_schema("summary", schema).description("What a video is about.");
    /// ```
    pub fn json_schema(name: impl Into<String>, schema: impl Into<serde_json::Value>) -> Self {
        Self::new("json_schema").name(name).schema(schema)
    }

    /// Requests JSON that follows the schema of a type, under the name `answer`. Use it with [`CreateResponseStream`],
    /// or where the answer is decoded later; [`CreateResponse::json_as`] does both steps in one.
    #[cfg(feature = "schemars")]
    #[cfg_attr(docsrs, doc(cfg(feature = "schemars")))]
    pub fn json_schema_of<T: schemars::JsonSchema>() -> Self {
        Self::json_schema("answer", schema::of::<T>())
    }
}

open_enum! {
    /// Output that a response can contain besides the answer.
    ResponseInclude {
        /// The intermediate steps: function calls, and messages about the progress.
        IntermediateOutputs = "intermediate_outputs",
    }
}

open_enum! {
    /// The kinds of [`ResponseSelection`].
    ResponseSelectionKind {
        /// An item.
        Item = "item",
        /// An item collection.
        Collection = "collection",
    }
}

open_enum! {
    /// The status of a response, or of an item of its output.
    ResponseStatus {
        /// The response or item is complete.
        Completed = "completed",
        /// The response failed. It contains no answer, or only a part of one.
        Failed = "failed",
        /// The model is still writing it.
        InProgress = "in_progress",
        /// The answer was truncated: [`ResponseObject::incomplete_details`] says why.
        Incomplete = "incomplete",
    }
}

open_enum! {
    /// The kinds of [`ResponseOutputItem`].
    ResponseOutputItemType {
        /// A text.
        Message = "message",
        /// A function call, which is an intermediate step.
        FunctionCall = "function_call",
        /// The output of a function call.
        FunctionCallOutput = "function_call_output",
    }
}

open_enum! {
    /// The part of a response to which a message belongs.
    ResponsePhase {
        /// A message about the progress.
        Commentary = "commentary",
        /// The answer.
        FinalAnswer = "final_answer",
    }
}

open_enum! {
    /// The kind of thing that a [`ResponseAnnotation`] refers to.
    ResponseAnnotationType {
        /// A video or a part of it.
        VideoCitation = "video_citation",
        /// An image.
        ImageCitation = "image_citation",
        /// An item collection.
        CollectionCitation = "collection_citation",
    }
}

/// A response: the result of [`ResponsesClient::create`], and of a [stream](ResponseStream) when it ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseObject {
    /// The id of the response.
    pub id: String,
    /// The id of the knowledge store that was asked.
    pub knowledge_store_id: Option<String>,
    /// The id of the response's session. Pass it to the next request to continue the session, or use a
    /// [`conversation`](ResponsesClient::conversation).
    pub session_id: Option<String>,
    /// Always `response`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Always `response`.
    pub object: Option<String>,
    /// The status. The text is complete only if this is [`Completed`](ResponseStatus::Completed).
    pub status: Option<ResponseStatus>,
    /// The reason why the response was truncated, if it was.
    pub incomplete_details: Option<ResponseIncompleteDetails>,
    /// The reason for a failure, if the platform gives one.
    pub error: Option<ResponseError>,
    /// The answer, with its intermediate steps if they were requested. [`text`](Self::text) returns only the answer.
    pub output: Option<Vec<ResponseOutputItem>>,
    /// The tokens that were used.
    pub usage: Option<TokenUsage>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}

impl ResponseObject {
    /// Returns the text of the answer so far, without messages about the progress. It can be incomplete:
    /// [`complete`](Self::complete) checks that.
    pub fn text(&self) -> String {
        self.output.iter().flatten().filter(|item| item.is_answer()).map(ResponseOutputItem::text).collect()
    }

    /// Decodes the text of the answer from JSON into your own type.
    ///
    /// # Errors
    ///
    /// The same as for [`CreateResponse::json`].
    ///
    /// ```no_run
    /// # fn read(response: twelvelabs::responses::ResponseObject) -> Result<(), twelvelabs::Error> {
    /// let names: Vec<String> = response.json()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        self.check()?;
        typed(Some(&self.text()), Some(&FinishReason::Stop))
    }

    /// Returns the text of the answer if the response says that it is complete.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let text = client.responses().create("ks_01…", "Who is in the videos?").send()?.complete()?;
    /// println!("{text}");
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if the response failed or was canceled, [`Error::Truncated`] if the model stopped at the token
    /// limit, and [`Error::InvalidOutput`] if there is no text or the [`status`](Self::status) does not say that
    /// the response is complete.
    pub fn complete(&self) -> Result<String> {
        self.check()?;
        complete(Some(self.text()), Some(&FinishReason::Stop))
    }

    /// Says whether the response has ended without an answer.
    pub(super) fn has_failed(&self) -> bool {
        // The platform does not document the status of a canceled response, and uses both spellings elsewhere.
        self.status.as_ref().is_some_and(|status| matches!(status.as_str(), "failed" | "cancelled" | "canceled"))
    }

    /// Says whether the response contains the reason for a failure.
    pub(super) fn has_error(&self) -> bool {
        self.error.as_ref().is_some_and(|e| e.code.is_some() || e.message.is_some())
    }

    /// Checks that the response reports itself as complete.
    fn check(&self) -> Result<()> {
        let unstated = |why: String| Err(Error::InvalidOutput { message: why, text: self.text() });
        if self.has_failed() {
            let error = self.error.clone().unwrap_or_default();
            return Err(Error::from(Box::new(FailedError {
                resource: "response".into(),
                id: self.id.clone(),
                status: self.status.as_ref().map_or_else(String::new, ToString::to_string),
                code: error.code,
                message: error.message.unwrap_or_else(|| "the platform gave no reason".into()),
                raw: serde_json::to_value(self).unwrap_or_default(),
            })));
        }
        let reason = self.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
        match (&self.status, reason.filter(|reason| !reason.is_empty())) {
            (Some(ResponseStatus::Completed), None) => Ok(()),
            (Some(ResponseStatus::Incomplete), None)
            | (Some(ResponseStatus::Incomplete | ResponseStatus::Completed), Some("max_output_tokens")) => {
                Err(Error::Truncated { text: self.text() })
            }
            (Some(ResponseStatus::Incomplete | ResponseStatus::Completed), Some(reason)) => {
                unstated(format!("the response is incomplete: `{}`", printable(reason, 100)))
            }
            (Some(status), _) => {
                let status = printable(status.as_str(), 100);
                unstated(format!("the response does not say that it is complete: its status is `{status}`"))
            }
            (None, _) => unstated("the response does not say that it is complete: it has no status".into()),
        }
    }

    fn is_truncated(&self) -> bool {
        self.status == Some(ResponseStatus::Incomplete)
    }
}

/// The reason why a response was truncated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseIncompleteDetails {
    /// The reason, such as `max_output_tokens` for the token limit.
    pub reason: Option<String>,
}

/// The reason why a response failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseError {
    /// The platform's code for the reason.
    pub code: Option<String>,
    /// The reason as text.
    pub message: Option<String>,
}

/// An item of the output of a response. Its kind determines which fields it has. `Debug` shows the output of a function
/// without the signatures of the URLs in it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseOutputItem {
    /// The id of the item.
    pub id: String,
    /// The kind of the item.
    #[serde(rename = "type")]
    pub kind: Option<ResponseOutputItemType>,
    /// The status of the item.
    pub status: Option<ResponseStatus>,
    /// The role of the author of a message: `assistant`.
    pub role: Option<String>,
    /// The part of the response to which a message belongs. A message without a phase is the answer.
    pub phase: Option<ResponsePhase>,
    /// The parts of a message.
    pub content: Option<Vec<ResponseOutputContentPart>>,
    /// The name of the called function.
    pub name: Option<String>,
    /// The id of a function call, which its output refers to.
    pub call_id: Option<String>,
    /// The arguments of a function call as JSON.
    pub arguments: Option<String>,
    /// The output of a function call.
    pub output: Option<String>,
}

masked_debug! {
    ResponseOutputItem {
        id, kind, status, role, phase, content, name, call_id, arguments: unsigned, output: unsigned,
    }
}

impl ResponseOutputItem {
    /// Returns whether this item belongs to the answer and is not an intermediate step.
    pub fn is_answer(&self) -> bool {
        matches!(self.kind, None | Some(ResponseOutputItemType::Message))
            && matches!(self.phase, None | Some(ResponsePhase::FinalAnswer))
    }

    /// Returns the text of all parts of the item.
    pub fn text(&self) -> String {
        self.content.iter().flatten().filter_map(|part| part.text.as_deref()).collect()
    }
}

/// A part of a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseOutputContentPart {
    /// The kind of part: `output_text`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The text. It can contain citation markers such as `[1]`.
    pub text: Option<String>,
    /// The citations of the markers, in order. A marker need not have one.
    pub annotations: Option<Vec<ResponseAnnotation>>,
}

/// A citation, to which a marker in the text of a part refers. `Debug` shows its URLs without their signatures.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseAnnotation {
    /// The kind of thing that is cited.
    #[serde(rename = "type")]
    pub kind: Option<ResponseAnnotationType>,
    /// The position of the marker's first character, from 0, in Unicode code points: see [`range_in`](Self::range_in).
    pub start_index: Option<u64>,
    /// The position of the marker's last character.
    pub end_index: Option<u64>,
    /// The item of the knowledge store.
    pub item_id: Option<String>,
    /// The item collection.
    pub collection_id: Option<String>,
    /// The start of the cited part in seconds. `None` if the whole video is cited.
    pub start_sec: Option<f64>,
    /// The end of the cited part in seconds.
    pub end_sec: Option<f64>,
    /// The title of the item or the collection.
    pub title: Option<String>,
    /// A signed URL of a thumbnail.
    pub thumbnail_url: Option<String>,
    /// A signed URL of an HLS manifest, to play the video.
    pub hls_url: Option<String>,
}

masked_debug! {
    ResponseAnnotation {
        kind, start_index, end_index, item_id, collection_id, start_sec, end_sec, title, thumbnail_url: masked,
        hls_url: masked,
    }
}

impl ResponseAnnotation {
    /// Returns the range of the marker in the text of its part, in bytes, so that `&text[range]` is the marker. `None`
    /// if the text is too short.
    ///
    /// ```
    /// use twelvelabs::responses::ResponseOutputContentPart;
    ///
    /// fn markers(part: &ResponseOutputContentPart) -> Vec<&str> {
    ///     let text = part.text.as_deref().unwrap_or_default();
    ///     let ranges = part.annotations.iter().flatten().filter_map(|annotation| annotation.range_in(text));
    ///     ranges.map(|range| &text[range]).collect()
    /// }
    /// ```
    pub fn range_in(&self, text: &str) -> Option<Range<usize>> {
        let [start, end] = [self.start_index?, self.end_index?].map(usize::try_from);
        let (start, end) = (start.ok()?, end.ok()?);
        let mut bounds = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        let from = bounds.nth(start)?;
        Some(from..bounds.nth(end.checked_sub(start)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_in_any_text() {
        let marker = |text: &str, start: u64, end: u64| {
            let (start_index, end_index) = (Some(start), Some(end));
            let range = ResponseAnnotation { start_index, end_index, ..Default::default() }.range_in(text);
            range.map(|range| text[range].to_string())
        };
        assert_eq!(marker("é𝄞 [1].", 3, 5).as_deref(), Some("[1]"));
        assert_eq!(marker("é𝄞[1]", 2, 4).as_deref(), Some("[1]"));
        assert_eq!(marker("[1]", 0, 0).as_deref(), Some("["));
        for (start, end) in [(0, 3), (3, 3), (2, 1), (0, u64::MAX), (u64::MAX, u64::MAX)] {
            assert_eq!(marker("[1]", start, end), None, "{start} to {end}");
        }
        assert_eq!(ResponseAnnotation::default().range_in("[1]"), None);
    }
}
