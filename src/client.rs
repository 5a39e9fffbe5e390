//! The client and its builder.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::call::CustomCall;
use crate::call::encode::check_own_header;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::http::attempt::Agent;
use crate::http::limiter::RequestRate;
use crate::http::observe::AttemptEvent;
use crate::http::session::{Options, Session};
use crate::http::url;
use crate::resources::analyze;
use crate::resources::analyze_async::AnalyzeAsyncClient;
use crate::resources::assets::AssetsClient;
use crate::resources::data_connectors::DataConnectorsClient;
use crate::resources::embed::EmbedClient;
use crate::resources::entity_collections::EntityCollectionsClient;
use crate::resources::imports::ImportsClient;
use crate::resources::indexes::IndexesClient;
use crate::resources::knowledge_store_item_collections::KnowledgeStoreItemCollectionsClient;
use crate::resources::knowledge_store_items::KnowledgeStoreItemsClient;
use crate::resources::knowledge_stores::KnowledgeStoresClient;
use crate::resources::multipart_upload::MultipartUploadClient;
use crate::resources::responses::ResponsesClient;
use crate::resources::search::SearchClient;
use crate::resources::tasks::TasksClient;

const BASE_URL: &str = "https://api.twelvelabs.io/v1.3";
const KEY_VARIABLES: [&str; 3] = ["TWELVELABS_API_KEY", "TWELVE_LABS_API_KEY", "TL_API_KEY"];

/// The client. It is cheap to clone, and all clones share the connections. Any number of threads can use it.
///
/// Calls block the calling thread and need no async runtime. In an async program, run them on a blocking thread.
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
pub struct TwelveLabs(pub(crate) Session);

impl TwelveLabs {
    /// Creates a client with this API key. The base URL comes from `TWELVELABS_BASE_URL`, if that is set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the key is empty or cannot be sent as a header, or if the base URL is invalid.
    ///
    /// ```
    /// let client = twelvelabs::TwelveLabs::new("tlk_example")?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn new(api_key: impl Into<String>) -> Result<Self> {
        Self::builder().api_key(api_key).build()
    }

    /// Creates a client with the API key from the first of these variables that is set: `TWELVELABS_API_KEY`,
    /// `TWELVE_LABS_API_KEY`, `TL_API_KEY`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if none of them is set; otherwise as [`new`](TwelveLabs::new).
    ///
    /// ```no_run
    /// let client = twelvelabs::TwelveLabs::from_env()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// Returns a builder for a client with custom settings, such as a time limit or a proxy: see [`TwelveLabsBuilder`].
    pub fn builder() -> TwelveLabsBuilder {
        TwelveLabsBuilder::default()
    }

    /// Analyzes a video or images, and returns the answer when the model has finished it.
    ///
    /// The platform accepts a video of 1 second to 1 hour, or 1 to 20 images. For longer videos and for segmentation,
    /// use [`analyze_async`](TwelveLabs::analyze_async). The call can take minutes, so its time limit is 600 s by
    /// default.
    ///
    /// To decode the answer into your own type, call [`json`](analyze::Analyze::json) instead of `send`.
    ///
    /// ```no_run
    /// use twelvelabs::analyze::VideoContext;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let answer = client.analyze().video(VideoContext::asset_id("65f…")).prompt("What happens here?").send()?;
    /// println!("{}", answer.complete()?);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn analyze(&self) -> analyze::Analyze {
        analyze::analyze(&self.0, false).into()
    }

    /// Like [`analyze`](TwelveLabs::analyze), but returns the answer piece by piece as the model writes it.
    ///
    /// The call returns as soon as the answer begins. [`AnalyzeStream`](analyze::AnalyzeStream) documents how the
    /// stream ends.
    ///
    /// ```no_run
    /// use twelvelabs::analyze::VideoContext;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let video = VideoContext::asset_id("65f…");
    /// let mut stream = client.analyze_stream().video(video).prompt("What happens here?").send()?;
    /// for event in &mut stream {
    ///     print!("{}", event?.text());
    /// }
    /// stream.text()?.complete()?; // an error if the answer was truncated
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn analyze_stream(&self) -> analyze::StreamAnalyze {
        analyze::analyze(&self.0, true).into()
    }

    /// Returns the client for analyses that run in the background: tasks and batches.
    pub fn analyze_async(&self) -> AnalyzeAsyncClient {
        AnalyzeAsyncClient(self.0.clone())
    }

    /// Returns the client for assets, the files on the platform.
    pub fn assets(&self) -> AssetsClient {
        AssetsClient(self.0.clone())
    }

    /// Returns the client for chunked uploads, for files that are too large for one request.
    pub fn multipart_upload(&self) -> MultipartUploadClient {
        MultipartUploadClient(self.0.clone())
    }

    /// Returns the client for embeddings: vectors that represent text and media.
    pub fn embed(&self) -> EmbedClient {
        EmbedClient(self.0.clone())
    }

    /// Returns the client for indexes, the collections of searchable videos.
    pub fn indexes(&self) -> IndexesClient {
        IndexesClient(self.0.clone())
    }

    /// Returns the client for searches, which find moments in an index by text or image.
    pub fn search(&self) -> SearchClient {
        SearchClient(self.0.clone())
    }

    /// Returns the client for tasks, the older way to upload and index a video in one request.
    pub fn tasks(&self) -> TasksClient {
        TasksClient(self.0.clone())
    }

    /// Returns the client for entity collections: known people and objects to search for.
    pub fn entity_collections(&self) -> EntityCollectionsClient {
        EntityCollectionsClient(self.0.clone())
    }

    /// Returns the client for knowledge stores: videos and images that can be searched and asked about together.
    pub fn knowledge_stores(&self) -> KnowledgeStoresClient {
        KnowledgeStoresClient(self.0.clone())
    }

    /// Returns the client for knowledge store items, the assets in a knowledge store.
    pub fn knowledge_store_items(&self) -> KnowledgeStoreItemsClient {
        KnowledgeStoreItemsClient(self.0.clone())
    }

    /// Returns the client for collections of knowledge store items.
    pub fn knowledge_store_item_collections(&self) -> KnowledgeStoreItemCollectionsClient {
        KnowledgeStoreItemCollectionsClient(self.0.clone())
    }

    /// Returns the client for responses, the answers to questions about a knowledge store.
    pub fn responses(&self) -> ResponsesClient {
        ResponsesClient(self.0.clone())
    }

    /// Returns the client for data connectors: connections to users' accounts at other providers, such as Google Drive.
    pub fn data_connectors(&self) -> DataConnectorsClient {
        DataConnectorsClient(self.0.clone())
    }

    /// Returns the client for imports, which create assets from the files of a connected account.
    pub fn imports(&self) -> ImportsClient {
        ImportsClient(self.0.clone())
    }

    /// Creates a request to an endpoint for which this crate has no method. Each segment of the path is encoded
    /// separately.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let indexes = client.call("GET", &["indexes"]).query("page_limit", 50).send()?;
    /// println!("{}", indexes["page_info"]["total_results"]);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn call(&self, method: &str, path: &[&str]) -> CustomCall {
        CustomCall::new(&self.0, method, path)
    }
}

impl fmt::Debug for TwelveLabs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwelveLabs").field("base_url", &self.0.public_base_url()).finish_non_exhaustive()
    }
}

/// A builder for a client with custom settings: see [`TwelveLabs::builder`].
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
#[must_use = "no client is created before `.build()`"]
pub struct TwelveLabsBuilder {
    api_key: Option<String>,
    base_url: Option<String>,
    /// The settings that the session takes as they are. `build` determines the key and the base URL.
    options: Options,
}

impl TwelveLabsBuilder {
    setters! {
        /// Sets the API key, instead of reading it from the environment.
        api_key: some into String => api_key,
        /// Sets the base of all URLs exactly as given, instead of `TWELVELABS_BASE_URL` or
        /// `https://api.twelvelabs.io/v1.3`.
        base_url: some into String => base_url,
        /// Sets the time limit for a response after its request is sent, for every call. The default is 60 s, or 600 s
        /// for calls in which the platform works before it responds. For a stream, it limits the silence between two
        /// pieces.
        timeout: some Duration => options.timeout,
        /// Sets how often a failed attempt is retried if a retry is safe. The default is 2.
        max_retries: some u32 => options.max_retries,
        /// Sets the longest pause that the platform may ask for between two attempts. The default is 60 s. If the
        /// platform asks for a longer pause, the call immediately returns an error that says when to retry.
        max_retry_after: some Duration => options.max_retry_after,
        /// Sets the maximum size of a response in bytes, after decompression. The default is 128 MiB. For a stream, it
        /// limits each line and the total text that is collected.
        max_response_size: some u64 => options.max_response_size,
    }

    /// Limits the requests per period, across all threads that use this client or a clone of it. Excess requests wait
    /// their turn. There is no limit by default.
    ///
    /// The limit counts requests to the API, including retries and the pages of lists, but not chunks sent to the
    /// storage. Set it to the limit of your account. If several programs share an account, give each a part of that
    /// limit. With or without this setting, all calls of a client pause together when the platform refuses one with 429
    /// and names a time.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let client = twelvelabs::TwelveLabs::builder()
    ///     .api_key("tlk_example")
    ///     .rate_limit(60, Duration::from_secs(60))
    ///     .build()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn rate_limit(mut self, requests: u32, per: Duration) -> Self {
        self.options.rate_limit = Some(RequestRate { requests, per });
        self
    }

    setters! {
        /// Sets a function that is called after each attempt of each request, including chunks and polls, for metrics
        /// and traces. It runs on the thread that made the attempt, so it should return quickly.
        ///
        /// ```
        /// use std::sync::Arc;
        /// use std::sync::atomic::{AtomicU64, Ordering};
        ///
        /// let retries = Arc::new(AtomicU64::new(0));
        /// let count = retries.clone();
        /// let client = twelvelabs::TwelveLabs::builder()
        ///     .api_key("tlk_example")
        ///     .observer(move |event| {
        ///         count.fetch_add(u64::from(event.retry_in.is_some()), Ordering::Relaxed);
        ///     })
        ///     .build()?;
        /// # Ok::<(), twelvelabs::Error>(())
        /// ```
        observer: some shared(Fn(&AttemptEvent) + Send + Sync) => options.observer,
    }

    /// Adds a header to every request. The headers that the client sets itself (`x-api-key`, `host`, `content-length`,
    /// `transfer-encoding`, `expect`) make [`build`](Self::build) return an error.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the source of time and randomness for retries and waits. Use it in tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.options.clock = Some(Arc::new(clock));
        self
    }

    setters! {
        /// Allows unencrypted (`http`) storage URLs for chunks although the base URL is `https`. The default is
        /// `false`.
        allow_insecure_storage: bool => options.allow_insecure_storage,
        /// Sets the proxy for all requests, including those to this machine, such as `http://proxy.example.com:3128`.
        /// Put `user:password@` before the host if the proxy requires them. With the feature `socks-proxy`, it can be
        /// `socks5://…`.
        ///
        /// Without this setting, the client reads `ALL_PROXY`, `HTTPS_PROXY` and `HTTP_PROXY`, with exceptions in
        /// `NO_PROXY`. If the configured proxy cannot be used, [`build`](Self::build) returns an error. Requests to an
        /// `https` address are encrypted from end to end, so the proxy sees neither the key nor the files.
        ///
        /// ```
        /// let client = twelvelabs::TwelveLabs::builder()
        ///     .api_key("tlk_example")
        ///     .proxy("http://proxy.example.com:3128")
        ///     .build()?;
        /// # Ok::<(), twelvelabs::Error>(())
        /// ```
        proxy: some into String => options.proxy,
        /// Trusts only these certificates, instead of the standard ones. Pass the text of a PEM file, which can contain
        /// several certificates. Use it for a proxy that decrypts connections, or for your own server.
        ///
        /// ```no_run
        /// let pem = std::fs::read("/etc/ssl/certs/our-company.pem").expect("the certificate of the company");
        /// let client = twelvelabs::TwelveLabs::builder().root_certificates(pem).build()?;
        /// # Ok::<(), twelvelabs::Error>(())
        /// ```
        root_certificates: some into Vec<u8> => options.root_certificates,
        /// Uses the settings of your own agent: its proxy, certificates and buffer sizes.
        ///
        /// The crate still makes the connections itself, so that cancellation and deadlines work and the key appears in
        /// no log. It also keeps its own time limits, redirects and error handling.
        agent: some Agent => options.agent,
    }

    when_some!();

    /// Creates the client. Settings that were not set come from the environment, then from the defaults.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if there is no API key, or if a setting cannot be used.
    pub fn build(self) -> Result<TwelveLabs> {
        self.build_with(|name| std::env::var_os(name))
    }

    fn build_with(self, variable: impl Fn(&str) -> Option<OsString>) -> Result<TwelveLabs> {
        // A variable that is not UTF-8 is an error. If it counted as unset, the key could go to a server that it is not
        // meant for.
        let variable = |name: &str| match variable(name).map(OsString::into_string).transpose() {
            Ok(value) => Ok(value.filter(|value| !value.trim().is_empty())),
            Err(_) => Err(Error::invalid(name, "is not valid UTF-8; correct this environment variable or remove it")),
        };
        let of_environment = || KEY_VARIABLES.iter().find_map(|name| variable(name).transpose()).transpose();
        let api_key = match self.api_key {
            Some(api_key) => api_key,
            None => of_environment()?.unwrap_or_default(),
        };
        let api_key = api_key.trim().to_string();
        if api_key.is_empty() {
            let [first, second, third] = KEY_VARIABLES;
            let message = format!("is missing; give an API key, or set {first} (or {second}, or {third})");
            return Err(Error::invalid("api_key", message));
        }
        if !api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid("api_key", "must not contain spaces, line breaks or non-ASCII characters"));
        }
        // Some readers of `.env` files keep the quotation marks around a value.
        if api_key.contains(['"', '\'', '`']) {
            let message = "must not contain quotation marks; remove them from the key or from the environment variable";
            return Err(Error::invalid("api_key", message));
        }
        for (name, value) in &self.options.headers {
            check_own_header(name, value)?;
        }
        if self.options.rate_limit.is_some_and(|pace| pace.requests == 0 || pace.per.is_zero()) {
            return Err(Error::invalid("rate_limit", "must allow at least one request, in a time greater than 0"));
        }
        let base_url = match self.base_url {
            Some(base_url) => base_url,
            None => variable("TWELVELABS_BASE_URL")?.unwrap_or_else(|| BASE_URL.into()),
        };
        let base_url = base_url.trim().trim_end_matches('/').to_string();
        url::check_base_url(&base_url).map_err(|why| Error::invalid("base_url", why))?;
        Ok(TwelveLabs(Session::new(Options { api_key, base_url, ..self.options })?))
    }
}

impl fmt::Debug for TwelveLabsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base_url = self.base_url.as_deref().map(|url| match url::check_base_url(url.trim()) {
            Ok(()) => url::without_password(url),
            Err(_) => "not valid".into(),
        });
        f.debug_struct("TwelveLabsBuilder").field("base_url", &base_url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_the_fallback() {
        let env = |name: &str| match name {
            "TL_API_KEY" => Some("old\n".into()),
            "TWELVE_LABS_API_KEY" => Some(" ".into()),
            "TWELVELABS_BASE_URL" => Some("http://127.0.0.1:1/v9/".into()),
            _ => None,
        };
        let client = TwelveLabs::builder().build_with(env).unwrap();
        assert_eq!(
            (client.0.settings().options.api_key.as_str(), client.0.settings().options.base_url.as_str()),
            ("old", "http://127.0.0.1:1/v9")
        );
        let client = TwelveLabs::builder().api_key("k").base_url("https://x.example").build_with(env).unwrap();
        assert_eq!(
            (client.0.settings().options.api_key.as_str(), client.0.settings().options.base_url.as_str()),
            ("k", "https://x.example")
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_variable_that_is_not_utf8_is_an_error() {
        use std::os::unix::ffi::OsStringExt;

        for name in [KEY_VARIABLES[0], "TWELVELABS_BASE_URL"] {
            let env = |asked: &str| match asked {
                asked if asked == name => Some(OsString::from_vec(vec![b'h', 0xff])),
                "TL_API_KEY" => Some("key".into()),
                _ => None,
            };
            let e = TwelveLabs::builder().build_with(env).unwrap_err().to_string();
            assert!(e.starts_with(&format!("`{name}` is not valid UTF-8")), "{e}");
        }
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
    fn calls_that_wait_for_a_model_have_a_timeout_of_600_s() {
        let session = TwelveLabs::new("tlk_secret").unwrap().0;
        for (request, seconds) in [
            (analyze::analyze(&session, false), 600),
            (analyze::analyze(&session, true), 600),
            (session.get(&["assets"]), 60),
        ] {
            assert_eq!(request.policy().timeout, Duration::from_secs(seconds), "{request:?}");
        }
    }

    #[test]
    fn clients_are_shared_between_threads() {
        fn shared<T: Send + Sync + Clone + 'static>() {}
        shared::<TwelveLabs>();
    }
}
