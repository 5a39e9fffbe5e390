//! A conversation about a knowledge store: questions that share one session.

use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::stream::ResponseStream;
use super::{
    CreateResponse, ResponseInclude, ResponseInput, ResponseObject, ResponseSelection, ResponseStatus, ResponsesClient,
    TextParam, TextParamFormat,
};
use crate::call::options::RequestOptions;
use crate::call::typed::Call;
use crate::error::Result;
use crate::response::HttpResponse;
use crate::sync::lock;

/// The id of a session, shared by a conversation, its questions and the streams of their answers.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionSlot(Arc<Mutex<Option<String>>>);

impl SessionSlot {
    fn get(&self) -> Option<String> {
        lock(&self.0).clone()
    }

    fn set(&self, id: &str) {
        *lock(&self.0) = Some(id.into());
    }

    /// Keeps the session of an answer. A truncated answer belongs to the conversation. One that failed or was
    /// cancelled does not, and leaves the session of the answer before it in place.
    pub(super) fn keep(&self, response: &ResponseObject) {
        let is_answer = matches!(response.status, None | Some(ResponseStatus::Completed | ResponseStatus::Incomplete));
        if let Some(id) = response.session_id.as_deref().filter(|id| is_answer && !id.is_empty()) {
            self.set(id);
        }
    }
}

/// A conversation about a knowledge store: see [`ResponsesClient::conversation`]. Clones continue the same
/// conversation.
#[derive(Debug, Clone)]
pub struct Conversation {
    client: ResponsesClient,
    knowledge_store_id: String,
    instructions: Option<String>,
    session: SessionSlot,
}

impl Conversation {
    pub(super) fn new(client: &ResponsesClient, knowledge_store_id: String) -> Self {
        let client = client.clone();
        Conversation { client, knowledge_store_id, instructions: None, session: SessionSlot::default() }
    }

    /// Sets the system prompt, which says how to answer every question. It is sent with each request.
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Resumes an earlier conversation by the id of its session, which [`session_id`](Self::session_id) returned then.
    /// The session belongs to one knowledge store.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let conversation = client.responses().conversation("ks_01…").resume("sess_01…");
    /// println!("{}", conversation.ask("And who passed the ball to her?").send()?.text());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[must_use]
    pub fn resume(self, session_id: impl Into<String>) -> Self {
        self.session.set(&session_id.into());
        self
    }

    /// Returns the id of the session, once the first answer has arrived. Store it to [`resume`](Self::resume) the
    /// conversation later.
    pub fn session_id(&self) -> Option<String> {
        self.session.get()
    }

    /// Asks a question: a text, or a list of items as in [`ResponsesClient::create`].
    ///
    /// The question continues the session as it is when the question is sent. Ask the next one once the answer has
    /// arrived: two questions sent at the same time do not know of each other.
    pub fn ask(&self, input: impl Into<ResponseInput>) -> Ask {
        let call = self.client.create(&self.knowledge_store_id, input);
        let call = call.when_some(self.instructions.as_ref(), CreateResponse::instructions);
        Ask { call, session: self.session.clone() }
    }

    when_some!();
}

/// A question of a [`Conversation`]. Nothing is sent before [`send`](Self::send), [`json`](Self::json) or
/// [`stream`](Self::stream).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `.send()`, `.json(…)` or `.stream()`"]
pub struct Ask {
    call: CreateResponse,
    session: SessionSlot,
}

impl Ask {
    /// Sets how to answer this question, instead of the [`instructions`](Conversation::instructions) of the
    /// conversation.
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.call = self.call.instructions(instructions);
        self
    }

    /// Asks for more than the answer: see [`CreateResponse::include`].
    pub fn include(mut self, include: impl IntoIterator<Item = impl Into<ResponseInclude>>) -> Self {
        self.call = self.call.include(include);
        self
    }

    /// Names the items and collections that the question is about: see [`CreateResponse::selections`].
    pub fn selections(mut self, selections: impl IntoIterator<Item = impl Into<ResponseSelection>>) -> Self {
        self.call = self.call.selections(selections);
        self
    }

    /// Sets the form of the answer: see [`CreateResponse::text`].
    pub fn text(mut self, text: impl Into<TextParam>) -> Self {
        self.call = self.call.text(text);
        self
    }

    /// Applies settings to this call alone.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.call = self.call.request_options(request_options);
        self
    }

    when_some!();

    /// Builds the call, which continues the session in its current state.
    fn in_session(self) -> (CreateResponse, SessionSlot) {
        (self.call.when_some(self.session.get(), CreateResponse::session_id), self.session)
    }

    /// Sends the question and returns the answer. Its session becomes that of the conversation, unless the answer has
    /// failed.
    ///
    /// # Errors
    ///
    /// The same as for [`CreateResponse::send`].
    pub fn send(self) -> Result<ResponseObject> {
        Ok(self.send_raw()?.data)
    }

    /// Like [`send`](Self::send), but also returns the status, the headers and the raw body.
    ///
    /// # Errors
    ///
    /// The same as for [`CreateResponse::send`].
    pub fn send_raw(self) -> Result<HttpResponse<ResponseObject>> {
        let (call, session) = self.in_session();
        let response = call.send_raw()?;
        session.keep(&response.data);
        Ok(response)
    }

    /// Sends the question with a JSON schema, and decodes the text of the answer into your own type: see
    /// [`CreateResponse::json`]. The conversation also continues after an answer that does not fit the type.
    ///
    /// # Errors
    ///
    /// The same as for [`CreateResponse::json`].
    pub fn json<T: DeserializeOwned>(mut self, schema: impl Serialize) -> Result<T> {
        let schema = self.call.0.schema(&schema);
        self.text(TextParamFormat::json_schema("answer", schema)).send()?.json()
    }

    /// Like [`json`](Self::json), with a schema generated from the type: see [`CreateResponse::json_as`].
    ///
    /// # Errors
    ///
    /// The same as for [`CreateResponse::json`].
    #[cfg(feature = "schemars")]
    #[cfg_attr(docsrs, doc(cfg(feature = "schemars")))]
    pub fn json_as<T: DeserializeOwned + schemars::JsonSchema>(self) -> Result<T> {
        self.json(crate::call::schema::of::<T>())
    }

    /// Sends the question and returns the answer as a stream of events while it is written. The conversation keeps the
    /// session once the stream has reached its end: a stream that is dropped, breaks or fails leaves it as it was.
    ///
    /// # Errors
    ///
    /// The same as for [`CreateResponseStream::send`](super::CreateResponseStream::send).
    pub fn stream(self) -> Result<ResponseStream> {
        let (mut call, session) = self.in_session();
        call.0.json("stream", &true);
        Ok(Call::<ResponseStream>::from(call.0).send()?.in_conversation(session))
    }
}
