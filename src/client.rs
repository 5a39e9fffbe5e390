//! The client and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::call::CustomCall;
use crate::cancel::{CancelHandle, Gate};
use crate::clock::{random_bits, Clock, SystemClock};
use crate::error::{Error, Result};
use crate::http::{self, Agent};
use crate::request::{check_header, Request};
use crate::resources::analyze_async::AnalyzeAsyncClient;
use crate::resources::assets::AssetsClient;
use crate::resources::embed::EmbedClient;
use crate::resources::entity_collections::EntityCollectionsClient;
use crate::resources::indexes::IndexesClient;
use crate::resources::multipart_upload::MultipartUploadClient;
use crate::resources::search::SearchClient;
use crate::resources::tasks::TasksClient;

pub(crate) const API_KEY_HEADER: &str = "x-api-key";
const USER_AGENT: &str = concat!("twelvelabs-rust/", env!("CARGO_PKG_VERSION"));
const BASE_URL: &str = "https://api.twelvelabs.io/v1.3";
const KEY_VARIABLES: [&str; 3] = ["TWELVELABS_API_KEY", "TWELVE_LABS_API_KEY", "TL_API_KEY"];

/// The client. Cheap to clone, and every clone shares the connections; use it from as many threads as you like.
///
/// It blocks the calling thread and needs no async runtime; in one, call it where blocking is allowed.
///
/// ```no_run
/// use twelvelabs::TwelveLabs;
///
/// let client = TwelveLabs::from_env()?;
/// for asset in client.assets().list().send()? {
///     println!("{}", asset?.id);
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[derive(Clone)]
pub struct TwelveLabs(Arc<Settings>);

#[derive(Clone)]
pub(crate) struct Settings {
    pub api_key: String,
    pub base_url: String,
    pub timeout: Option<Duration>,
    pub max_retries: u32,
    pub max_retry_after: Duration,
    pub max_response_size: u64,
    pub headers: Vec<(String, String)>,
    pub clock: Arc<dyn Clock>,
    pub agent: Agent,
    /// What is given to the agent as the key: the key itself if the agent is not this crate's.
    pub key_header: String,
    /// For the hosts of presigned URLs, which never get the key.
    pub storage: Agent,
    /// Whether both agents are this crate's, and may be shut down if nobody else has them.
    pub own_agents: bool,
    pub cancel: Option<CancelHandle>,
    pub gate: Option<Arc<Gate>>,
}

impl Settings {
    /// Breaks off everything that these connections are busy with.
    pub(crate) fn shut_down(&self) {
        if self.own_agents {
            self.agent.clone().shutdown();
            self.storage.clone().shutdown();
        }
    }
}

impl TwelveLabs {
    /// A client with this API key. The base URL comes from `TWELVELABS_BASE_URL`, if that is set.
    ///
    /// Fails if the key is empty or cannot be sent as a header.
    ///
    /// ```
    /// let client = twelvelabs::TwelveLabs::new("tlk_example")?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn new(api_key: impl Into<String>) -> Result<Self> {
        Self::builder().api_key(api_key).build()
    }

    /// A client with the API key from the environment: `TWELVELABS_API_KEY`, then `TWELVE_LABS_API_KEY`, then
    /// `TL_API_KEY`. Fails if none of them is set.
    ///
    /// ```no_run
    /// let client = twelvelabs::TwelveLabs::from_env()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// A client with settings of your own, such as a time limit or a proxy: see [`TwelveLabsBuilder`].
    pub fn builder() -> TwelveLabsBuilder {
        TwelveLabsBuilder::default()
    }

    /// Analyses that run in the background: tasks and batches.
    pub fn analyze_async(&self) -> AnalyzeAsyncClient {
        AnalyzeAsyncClient(self.clone())
    }

    /// Assets: files uploaded to the platform.
    pub fn assets(&self) -> AssetsClient {
        AssetsClient(self.clone())
    }

    /// Chunked uploads, for files beyond what one request can carry.
    pub fn multipart_upload(&self) -> MultipartUploadClient {
        MultipartUploadClient(self.clone())
    }

    /// Embeddings: vectors of text and media.
    pub fn embed(&self) -> EmbedClient {
        EmbedClient(self.clone())
    }

    /// Indexes: videos made searchable.
    pub fn indexes(&self) -> IndexesClient {
        IndexesClient(self.clone())
    }

    /// Search: the moments of an index that fit a text or an image.
    pub fn search(&self) -> SearchClient {
        SearchClient(self.clone())
    }

    /// Tasks: uploading and indexing a video in one go, the older way.
    pub fn tasks(&self) -> TasksClient {
        TasksClient(self.clone())
    }

    /// Entity collections: known people and things, to be found in videos.
    pub fn entity_collections(&self) -> EntityCollectionsClient {
        EntityCollectionsClient(self.clone())
    }

    /// A request to an endpoint that this crate has no method for. Each segment of the path is encoded by itself.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let indexes = client.call("GET", &["indexes"]).query("page_limit", 50).send()?;
    /// println!("{}", indexes["page_info"]["total_results"]);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn call(&self, method: &str, path: &[&str]) -> CustomCall {
        CustomCall(Request::new(self, method, path))
    }

    pub(crate) fn get(&self, path: &[&str]) -> Request {
        Request::new(self, "GET", path)
    }

    pub(crate) fn post(&self, path: &[&str]) -> Request {
        Request::new(self, "POST", path)
    }

    pub(crate) fn put(&self, path: &[&str]) -> Request {
        Request::new(self, "PUT", path)
    }

    pub(crate) fn patch(&self, path: &[&str]) -> Request {
        Request::new(self, "PATCH", path)
    }

    pub(crate) fn delete(&self, path: &[&str]) -> Request {
        Request::new(self, "DELETE", path)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0
    }

    /// The same client, to be stopped by `cancel` and held back by `gate`.
    pub(crate) fn derived(&self, cancel: Option<CancelHandle>, gate: Option<Arc<Gate>>) -> Self {
        let mut settings = Settings::clone(&self.0);
        if cancel.is_some() && settings.own_agents {
            (settings.agent, settings.key_header, settings.storage) = make_agents(&settings.api_key);
        }
        settings.cancel = cancel.or(settings.cancel);
        settings.gate = gate.or(settings.gate);
        TwelveLabs(Arc::new(settings))
    }
}

impl fmt::Debug for TwelveLabs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwelveLabs").field("base_url", &self.0.base_url).finish_non_exhaustive()
    }
}

/// The settings of a client, see [`TwelveLabs::builder`].
///
/// ```
/// use std::time::Duration;
/// use twelvelabs::TwelveLabs;
///
/// let client = TwelveLabs::builder()
///     .api_key("tlk_example")
///     .timeout(Duration::from_secs(30))
///     .max_retries(4)
///     .build()?;
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[derive(Default)]
#[must_use = "nothing is made before `.build()`"]
pub struct TwelveLabsBuilder {
    api_key: Option<String>,
    base_url: Option<String>,
    timeout: Option<Duration>,
    max_retries: Option<u32>,
    max_retry_after: Option<Duration>,
    max_response_size: Option<u64>,
    headers: Vec<(String, String)>,
    clock: Option<Arc<dyn Clock>>,
    agent: Option<Agent>,
}

impl TwelveLabsBuilder {
    /// The API key, instead of the environment's.
    pub fn api_key(mut self, api_key: impl Into<String>) -> Self {
        self.api_key = Some(api_key.into());
        self
    }

    /// The base of all URLs, used as it is, instead of the environment's and of `https://api.twelvelabs.io/v1.3`.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// The most time for an answer once its request is sent, for every call: by default 60 s, and 600 s for the
    /// calls in which the platform works before it answers. For a stream it is the longest silence.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often a failed attempt is repeated where that is safe: 2 by default.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = Some(max_retries);
        self
    }

    /// The longest wait that the platform may ask for between two attempts: 60 s by default. A longer one ends the
    /// call at once, with an error that says when to come back.
    pub fn max_retry_after(mut self, max_retry_after: Duration) -> Self {
        self.max_retry_after = Some(max_retry_after);
        self
    }

    /// The largest answer in bytes, after decompression: 256 MiB by default. Of a stream, the largest line and the
    /// most text that is gathered.
    pub fn max_response_size(mut self, bytes: u64) -> Self {
        self.max_response_size = Some(bytes);
        self
    }

    /// A header for every request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The time and randomness of retries and waits, for tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// An agent of your own, for its proxy, certificates or connection pool. Its time limits, redirects and
    /// treatment of error statuses are replaced by this crate's for each request.
    pub fn agent(mut self, agent: Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Makes the client. What was not set comes from the environment, then from the defaults.
    pub fn build(self) -> Result<TwelveLabs> {
        self.build_with(|name| std::env::var(name).ok())
    }

    fn build_with(self, variable: impl Fn(&str) -> Option<String>) -> Result<TwelveLabs> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let api_key = self.api_key.or_else(|| KEY_VARIABLES.iter().find_map(|name| variable(name)));
        let api_key = api_key.unwrap_or_default().trim().to_string();
        if api_key.is_empty() {
            let [first, second, third] = KEY_VARIABLES;
            let message = format!("there is no API key; give one, or set {first} (or {second}, or {third})");
            return Err(Error::invalid("api_key", message));
        }
        if !api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid("api_key", "an API key has no spaces, line breaks or non-ASCII characters"));
        }
        for (name, value) in &self.headers {
            check_header(name, value)?;
        }
        let base_url = self.base_url.or_else(|| variable("TWELVELABS_BASE_URL")).unwrap_or_else(|| BASE_URL.into());
        let base_url = base_url.trim().trim_end_matches('/').to_string();
        http::check_base_url(&base_url).map_err(|why| Error::invalid("base_url", why))?;
        let own_agents = self.agent.is_none();
        let (agent, key_header, storage) = match self.agent {
            Some(agent) => (agent.clone(), api_key.clone(), agent),
            None => make_agents(&api_key),
        };
        Ok(TwelveLabs(Arc::new(Settings {
            api_key,
            base_url,
            timeout: self.timeout,
            max_retries: self.max_retries.unwrap_or(2),
            max_retry_after: self.max_retry_after.unwrap_or(Duration::from_secs(60)),
            max_response_size: self.max_response_size.unwrap_or(256 << 20),
            headers: self.headers,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            agent,
            key_header,
            storage,
            own_agents,
            cancel: None,
            gate: None,
        })))
    }
}

/// This crate's agents: the one that puts in the key, with what it is given for it, and the one for the storage.
fn make_agents(api_key: &str) -> (Agent, String, Agent) {
    let stand_in = stand_in(api_key.len());
    (http::agent(USER_AGENT, api_key, &stand_in), stand_in, http::plain_agent(USER_AGENT))
}

/// Random hexadecimal digits, as many as the key has characters.
fn stand_in(length: usize) -> String {
    std::iter::repeat_with(|| format!("{:016x}", random_bits()))
        .flat_map(|text| text.into_bytes())
        .map(char::from)
        .take(length)
        .collect()
}

impl fmt::Debug for TwelveLabsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwelveLabsBuilder").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_the_fallback() {
        let env = |name: &str| match name {
            "TL_API_KEY" => Some("old\n".to_string()),
            "TWELVE_LABS_API_KEY" => Some(" ".to_string()),
            "TWELVELABS_BASE_URL" => Some("http://127.0.0.1:1/v9/".to_string()),
            _ => None,
        };
        let client = TwelveLabs::builder().build_with(env).unwrap();
        assert_eq!((client.0.api_key.as_str(), client.0.base_url.as_str()), ("old", "http://127.0.0.1:1/v9"));
        let client = TwelveLabs::builder().api_key("k").base_url("https://x.example").build_with(env).unwrap();
        assert_eq!((client.0.api_key.as_str(), client.0.base_url.as_str()), ("k", "https://x.example"));
    }

    #[test]
    fn a_missing_key_names_the_variables() {
        let e = TwelveLabs::builder().build_with(|_| None).unwrap_err().to_string();
        assert!(KEY_VARIABLES.iter().all(|name| e.contains(name)), "{e}");
        assert!(TwelveLabs::new("").is_err());
        let e = TwelveLabs::new("sec\r\nret").unwrap_err();
        assert!(!format!("{e} {e:?}").contains("ret\""));
    }

    #[test]
    fn the_key_is_not_printed() {
        let client = TwelveLabs::new("tlk_secret").unwrap();
        let call = client.assets().list();
        assert!(!format!("{client:?} {:?} {call:?}", TwelveLabs::builder().api_key("tlk_secret")).contains("secret"));
    }

    #[test]
    fn clients_are_shared_between_threads() {
        fn shared<T: Send + Sync + Clone + 'static>() {}
        shared::<TwelveLabs>();
    }
}
