//! Responses: answers about what is in a knowledge store, at once or as they are written.

pub(crate) mod conversation;
pub(crate) mod stream;

use std::fmt;
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
use conversation::Conversation;
use stream::ResponseStream;

/// Asks about what is in a knowledge store, see [`TwelveLabs::responses`](crate::TwelveLabs::responses).
#[derive(Debug, Clone)]
pub struct ResponsesClient(pub(crate) Session);

impl ResponsesClient {
    /// Asks about a knowledge store, and gives the response when it is complete.
    ///
    /// It may take minutes: the time limit is 600 s unless you set another. The store needs at least one item that is
    /// ready. A response that failed or was truncated comes as it is, so look at its
    /// [`status`](ResponseObject::status); [`json`](CreateResponse::json) in place of `send` makes an error of it, and
    /// of all others an answer in a type of your own.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let response = client.responses().create("ks_01…", "Who is in the videos?").send()?;
    /// println!("{}", response.text());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// [`conversation`](Self::conversation) asks several questions that refer to each other.
    pub fn create(&self, knowledge_store_id: impl Into<String>, input: impl Into<ResponseInput>) -> CreateResponse {
        self.request(&knowledge_store_id.into(), &input.into(), false).into()
    }

    /// As [`create`](Self::create), with the response in pieces as it is written.
    ///
    /// It returns as soon as the response begins. See [`ResponseStream`] for the ways to read it.
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

    /// Begins a conversation about a knowledge store: each question is answered with the ones before it in mind.
    ///
    /// The conversation keeps the session of the platform from the first answer on. An answer that failed leaves it as
    /// it was.
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
            request.reject("input", "there is none; give a text, or a list of at least one item");
        }
        request.json("knowledge_store_id", knowledge_store_id);
        request.json("input", input);
        request.json("stream", &stream);
        request
    }
}

/// The two ways to ask have the same options.
macro_rules! response_request {
    ($(#[$meta:meta])* $name:ident -> $output:ty) => {
        request! {
            $(#[$meta])*
            $name -> $output {
                /// The session to go on in: [`ResponseObject::session_id`] of an earlier response. Without it, a new one
                /// begins.
                json session_id: into String,
                /// How to answer, for this request alone: a system prompt.
                json instructions: into String,
                /// What to give besides the answer.
                json include: [ResponseInclude],
                /// The items and collections of the store to look at. The text refers to each as `{{sel:0}}`,
                /// `{{sel:1}}` and so on, by its place in this list. It is a strong preference and no wall; later
                /// requests of the session remember it.
                json selections: [ResponseSelection],
                /// The form of the answer: a [`TextParamFormat`] will do.
                json text: into TextParam,
            }
        }
    };
}

response_request! {
    /// Options of [`ResponsesClient::create`].
    CreateResponse -> ResponseObject
}

response_request! {
    /// Options of [`ResponsesClient::create_stream`].
    CreateResponseStream -> ResponseStream
}

impl CreateResponse {
    /// Sends the request with a JSON schema, and decodes the text of the answer into a type of your own.
    ///
    /// The schema is sent as the [`text`](Self::text), under the name `answer`. The platform requires all properties by
    /// itself, and knows no `oneOf`, `default`, `not`, `if` and `patternProperties`.
    ///
    /// # Errors
    /// A response that failed is an [`Error::Failed`], one that was truncated an [`Error::Truncated`], and one that does
    /// not fit the type an [`Error::InvalidOutput`]; the last two have the text.
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

    /// As [`json`](Self::json), with the schema made from the type. What doc comments say of its fields is in the schema,
    /// and so the model reads it.
    ///
    /// # Errors
    /// As [`json`](Self::json).
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

/// What is asked: a text, which becomes a message of the user, or a list of items.
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
    /// An item of what is asked: its type, `message`; the role of its author, `user`; and its text of 1 to 10,000
    /// characters. [`user`](Self::user) makes one.
    ResponseInputItem(kind = "type": String, role: String, content: String) {}
}

impl ResponseInputItem {
    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("message", "user", content)
    }
}

input! {
    /// Something in a knowledge store that a question is about: [`item`](Self::item) and
    /// [`collection`](Self::collection) make one.
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
    /// An item of the store; its id begins with `ksi_`.
    pub fn item(id: impl Into<String>) -> Self {
        Self::new(ResponseSelectionKind::Item, id)
    }

    /// All items of an item collection; its id begins with `ksic_`.
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
    /// Text, which is the platform's default, or JSON that follows a schema: [`text`](Self::text) and
    /// [`json_schema`](Self::json_schema) make one.
    TextParamFormat(kind = "type": String) {
        /// The name of the schema.
        name: into String,
        /// What it describes.
        description: into String,
        /// The schema: an object of the draft 2020-12.
        schema: into serde_json::Value,
        /// Reserved by the platform, without an effect so far.
        strict: bool,
    }
}

impl TextParamFormat {
    /// Plain text.
    pub fn text() -> Self {
        Self::new("text")
    }

    /// JSON that follows a schema, which has a name.
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

    /// JSON that follows the schema of a type, under the name `answer`: see [`CreateResponse::json_as`]. For
    /// [`CreateResponseStream`], and where the answer is decoded later.
    #[cfg(feature = "schemars")]
    #[cfg_attr(docsrs, doc(cfg(feature = "schemars")))]
    pub fn json_schema_of<T: schemars::JsonSchema>() -> Self {
        Self::json_schema("answer", schema::of::<T>())
    }
}

open_enum! {
    /// What a response can have besides the answer.
    ResponseInclude {
        /// The steps on the way to it: calls of functions, and messages about what is being done.
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
        /// It is complete.
        Completed = "completed",
        /// There is none, or only a part.
        Failed = "failed",
        /// It is being written.
        InProgress = "in_progress",
        /// It was truncated: see [`ResponseObject::incomplete_details`].
        Incomplete = "incomplete",
    }
}

open_enum! {
    /// The kinds of [`ResponseOutputItem`].
    ResponseOutputItemType {
        /// A text.
        Message = "message",
        /// A call of a function, on the way to the answer.
        FunctionCall = "function_call",
        /// What such a call gave.
        FunctionCallOutput = "function_call_output",
    }
}

open_enum! {
    /// Which part of a response a message is.
    ResponsePhase {
        /// A message about what is being done.
        Commentary = "commentary",
        /// The answer.
        FinalAnswer = "final_answer",
    }
}

open_enum! {
    /// What a [`ResponseAnnotation`] refers to.
    ResponseAnnotationType {
        /// A video, or a part of it.
        VideoCitation = "video_citation",
        /// An image.
        ImageCitation = "image_citation",
        /// An item collection.
        CollectionCitation = "collection_citation",
    }
}

/// What [`ResponsesClient::create`] gives, and a stream in the end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseObject {
    /// The id.
    pub id: String,
    /// The knowledge store it is about.
    pub knowledge_store_id: Option<String>,
    /// The session it belongs to: give it to the next request to go on.
    pub session_id: Option<String>,
    /// Always `response`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Always `response`.
    pub object: Option<String>,
    /// Its status: look at it before you take the text for complete.
    pub status: Option<ResponseStatus>,
    /// Why it was truncated, if it was.
    pub incomplete_details: Option<ResponseIncompleteDetails>,
    /// Why it failed, if it did and the platform says so.
    pub error: Option<ResponseError>,
    /// The answer, and the steps on the way to it if they were asked for. [`text`](Self::text) gives the answer alone.
    pub output: Option<Vec<ResponseOutputItem>>,
    /// The tokens that it took.
    pub usage: Option<TokenUsage>,
    /// When it was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}

impl ResponseObject {
    /// The text of the answer, as far as there is one. Messages on the way to it do not count.
    pub fn text(&self) -> String {
        self.output.iter().flatten().filter(|item| item.is_answer()).map(ResponseOutputItem::text).collect()
    }

    /// The text, decoded from JSON into a type of your own.
    ///
    /// # Errors
    /// As for [`CreateResponse::json`].
    ///
    /// ```no_run
    /// # fn read(response: twelvelabs::responses::ResponseObject) -> Result<(), twelvelabs::Error> {
    /// let names: Vec<String> = response.json()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        self.check()?;
        typed(Some(&self.text()), self.finish_reason())
    }

    /// The text of the answer, if it is all of it.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let text = client.responses().create("ks_01…", "Who is in the videos?").send()?.complete()?;
    /// println!("{text}");
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Failed`] if the response failed, [`Error::Truncated`] if the model stopped at the limit of tokens, and
    /// [`Error::InvalidOutput`] if there is no text.
    pub fn complete(&self) -> Result<String> {
        self.check()?;
        complete(Some(self.text()), self.finish_reason())
    }

    fn check(&self) -> Result<()> {
        if self.status == Some(ResponseStatus::Failed) {
            let error = self.error.clone().unwrap_or_default();
            return Err(Error::from(Box::new(FailedError {
                resource: "response".into(),
                id: self.id.clone(),
                status: ResponseStatus::Failed.to_string(),
                code: error.code,
                message: error.message.unwrap_or_else(|| "the platform gave no reason".into()),
                raw: serde_json::to_value(self).unwrap_or_default(),
            })));
        }
        Ok(())
    }

    fn finish_reason(&self) -> Option<&FinishReason> {
        self.is_truncated().then_some(&FinishReason::Length)
    }

    fn is_truncated(&self) -> bool {
        self.status == Some(ResponseStatus::Incomplete)
    }
}

/// Why a response was truncated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseIncompleteDetails {
    /// The reason, as `max_output_tokens` for the limit of tokens.
    pub reason: Option<String>,
}

/// Why a response failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseError {
    /// A code for the reason.
    pub code: Option<String>,
    /// The reason, in words.
    pub message: Option<String>,
}

/// An item of the output of a response. What it has depends on its kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseOutputItem {
    /// The id.
    pub id: String,
    /// The kind.
    #[serde(rename = "type")]
    pub kind: Option<ResponseOutputItemType>,
    /// The status.
    pub status: Option<ResponseStatus>,
    /// The role of the author of a message: `assistant`.
    pub role: Option<String>,
    /// Which part of the response a message is. One that does not say so is the answer.
    pub phase: Option<ResponsePhase>,
    /// The parts of a message.
    pub content: Option<Vec<ResponseOutputContentPart>>,
    /// The name of the function that is called.
    pub name: Option<String>,
    /// The id of a call of a function, also in its output.
    pub call_id: Option<String>,
    /// The arguments of a call, as JSON.
    pub arguments: Option<String>,
    /// What a call gave.
    pub output: Option<String>,
}

impl ResponseOutputItem {
    /// Whether it is the answer, or a part of it, and not a step on the way to it.
    pub fn is_answer(&self) -> bool {
        matches!(self.kind, None | Some(ResponseOutputItemType::Message))
            && matches!(self.phase, None | Some(ResponsePhase::FinalAnswer))
    }

    /// The text of its parts.
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
    /// The text. It may have markers of citations in it, as `[1]`.
    pub text: Option<String>,
    /// What the markers stand for, in order. A marker may be without one.
    pub annotations: Option<Vec<ResponseAnnotation>>,
}

/// A citation: what a marker in the text of a part stands for. `Debug` shows its URLs without their signatures.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseAnnotation {
    /// What it refers to.
    #[serde(rename = "type")]
    pub kind: Option<ResponseAnnotationType>,
    /// The first character of the marker, from 0. Characters are Unicode code points: see
    /// [`range_in`](Self::range_in).
    pub start_index: Option<u64>,
    /// The last character of the marker.
    pub end_index: Option<u64>,
    /// The item of the knowledge store.
    pub item_id: Option<String>,
    /// The item collection.
    pub collection_id: Option<String>,
    /// Where in the video it begins, in seconds; nothing if it is the whole video.
    pub start_sec: Option<f64>,
    /// Where in the video it ends, in seconds.
    pub end_sec: Option<f64>,
    /// The title of the item or the collection.
    pub title: Option<String>,
    /// A signed URL of a still, or of a small image.
    pub thumbnail_url: Option<String>,
    /// A signed URL to play the video: a manifest of HLS.
    pub hls_url: Option<String>,
}

impl ResponseAnnotation {
    /// Where its marker is in the text of its part, in bytes, so that `&text[range]` is the marker. Nothing if the text
    /// is shorter.
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

impl fmt::Debug for ResponseAnnotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsigned = |url: &Option<String>| url.as_ref().and_then(|url| Some(url.split('?').next()?.to_string()));
        f.debug_struct("ResponseAnnotation")
            .field("kind", &self.kind)
            .field("start_index", &self.start_index)
            .field("end_index", &self.end_index)
            .field("item_id", &self.item_id)
            .field("collection_id", &self.collection_id)
            .field("start_sec", &self.start_sec)
            .field("end_sec", &self.end_sec)
            .field("title", &self.title)
            .field("thumbnail_url", &unsigned(&self.thumbnail_url))
            .field("hls_url", &unsigned(&self.hls_url))
            .finish()
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
