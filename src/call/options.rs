//! Settings of one call.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::call::encode::has_null;
use crate::call::json::encode::to_value;
use crate::http::cancel::CancelHandle;
use crate::http::engine::Policy;
use crate::http::retry::{RETRY_DELAY, RetryPolicy};
use crate::http::session::Session;
use crate::text::Unsigned;

const MAX_RETRIES: u32 = 2;
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The longest `Retry-After` that a batch waits for. It is longer than for other calls, because nobody watches a batch.
const BATCH_MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Settings of one call. The Python SDK calls them `request_options`.
///
/// ```no_run
/// use std::time::Duration;
/// use twelvelabs::RequestOptions;
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let patient = RequestOptions::new().timeout(Duration::from_secs(300)).max_retries(5);
/// let asset = client.assets().retrieve("65f…").request_options(patient).send()?;
/// # Ok::<(), twelvelabs::Error>(())
/// ```
///
/// `Debug` shows the names of additional headers without their values, and URLs without their signatures.
#[derive(Clone, Default)]
#[must_use]
pub struct RequestOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: Vec<(String, Value)>,
    pub(crate) body: Vec<(String, Value)>,
    pub(crate) cancel: Option<CancelHandle>,
    /// Whether the call waits for rate limits as long as a batch does.
    pub(crate) waits_out_rate_limits: bool,
    /// The first invalid argument. A call with these settings returns it as an error and sends nothing.
    pub(crate) invalid: Option<(String, String)>,
}

impl fmt::Debug for RequestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("RequestOptions")
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("max_retries", &self.max_retries)
            .field("headers", &names)
            .field("query", &Unsigned(&self.query))
            .field("body", &Unsigned(&self.body))
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

impl RequestOptions {
    /// Creates empty settings. The client's settings apply to everything that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Limits the time for the whole response once the request is sent, for each attempt. For a stream, it limits
        /// the silence between two pieces.
        timeout: some Duration => timeout,
        /// Limits the time of the whole call, with all attempts and the pauses between them.
        deadline: some Duration => deadline,
        /// Sets how often a failed attempt is retried. 0 disables retries.
        max_retries: some u32 => max_retries,
    }

    /// Lets another thread cancel the call: see [`CancelHandle`].
    ///
    /// ```no_run
    /// use twelvelabs::{CancelHandle, RequestOptions};
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let cancel = CancelHandle::new();
    /// let options = RequestOptions::new().cancel_handle(&cancel);
    /// std::thread::spawn(move || cancel.cancel());
    /// let result = client.assets().retrieve("65f…").request_options(options).send();
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.cancel = Some(cancel_handle.clone());
        self
    }

    /// Adds a header. It replaces a header of the same name from the call or the client.
    ///
    /// The headers that belong to each request itself cannot be set, and are refused when the call is sent:
    /// `x-api-key`, `host`, `content-length`, `transfer-encoding` and `expect`.
    pub fn additional_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a query parameter. It replaces the call's own parameter of the same name. A list repeats the name, and an
    /// empty list sends nothing. Null, and values that JSON cannot represent, are refused when the call is sent.
    ///
    /// A workflow of several requests, such as an upload, sends it with the request that creates something. A wait and
    /// a list send it with each of their requests.
    pub fn additional_query_parameter(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let value = to_value(&value).and_then(|value| match has_null(&value) {
            true => Err("is null, which a query cannot contain; leave it out, or use `when_some`".into()),
            false => Ok(value),
        });
        let name = name.into();
        if let Some(value) = self.checked(&name, value) {
            self.query.push((name, value));
        }
        self
    }

    /// Adds a field to the JSON body or the form. It replaces the call's own field of the same name. In a form, a list
    /// repeats the name, an empty list sends nothing, and null is refused. Values that JSON cannot represent
    /// are refused when the call is sent.
    ///
    /// A workflow of several requests, such as an upload, sends it with the request that creates something.
    pub fn additional_body_parameter(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        if let Some(value) = self.checked(&name, to_value(&value)) {
            self.body.push((name, value));
        }
        self
    }

    when_some!();

    /// Returns the settings for the other requests of a workflow, without query and body parameters, which belong only
    /// to the request that creates something.
    pub(crate) fn without_parameters(&self) -> Self {
        RequestOptions { query: Vec::new(), body: Vec::new(), ..self.clone() }
    }

    /// Returns the number of retries: from these settings, otherwise the client's, otherwise the default.
    pub(crate) fn retries(&self, session: &Session, standard: u32) -> u32 {
        self.max_retries.or(session.settings().options.max_retries).unwrap_or(standard)
    }

    /// Returns the limits of a call: from these settings, otherwise the client's, otherwise the defaults.
    pub(crate) fn policy(&self, session: &Session, timeout: Duration, stream: bool) -> Policy {
        let settings = session.settings();
        Policy {
            timeout: self.timeout.or(settings.options.timeout).unwrap_or(timeout),
            stream,
            deadline: self.deadline,
            max_response_size: settings.max_response_size,
            retry: self.retry_policy(session),
        }
    }

    /// Returns the policy for retries: from these settings, otherwise the client's, otherwise the defaults.
    pub(crate) fn retry_policy(&self, session: &Session) -> RetryPolicy {
        let default = if self.waits_out_rate_limits { BATCH_MAX_RETRY_AFTER } else { MAX_RETRY_AFTER };
        RetryPolicy {
            max_retries: self.retries(session, MAX_RETRIES),
            delay: RETRY_DELAY,
            max_retry_after: session.settings().options.max_retry_after.unwrap_or(default),
            waits_out_rate_limits: self.waits_out_rate_limits,
        }
    }

    fn checked(&mut self, name: &str, value: Result<Value, String>) -> Option<Value> {
        value.map_err(|why| self.invalid.get_or_insert_with(|| (name.into(), why))).ok()
    }
}
