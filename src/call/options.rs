//! Settings of one call.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::call::json::encode::{to_value, unwritable};
use crate::http::cancel::CancelHandle;
use crate::http::engine::Policy;
use crate::http::retry::{RETRY_DELAY, RetryPolicy};
use crate::http::session::Session;

const MAX_RETRIES: u32 = 2;
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// In a batch, where nobody sits and waits.
const BATCH_MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// Settings of one call: `request_options` in the Python SDK.
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
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RequestOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) query: Vec<(String, Value)>,
    pub(crate) body: Vec<(String, Value)>,
    pub(crate) cancel: Option<CancelHandle>,
    /// Whether a rate limit is waited for as long as it lasts, as in a batch.
    pub(crate) waits_out_rate_limits: bool,
    /// The first fault of an argument: a call with these settings says so instead of being sent.
    pub(crate) invalid: Option<(String, String)>,
}

impl RequestOptions {
    /// No settings: the client's apply.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most time for the whole answer once the request is sent, for each attempt. For a stream, the longest
    /// silence.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The most time for the whole call: sending, all attempts and the waits between them.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How often a failed attempt is repeated; 0 for never.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = Some(max_retries);
        self
    }

    /// Lets another thread stop the call: see [`CancelHandle`].
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

    /// Sends another header, instead of the crate's own of that name.
    pub fn additional_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends another query parameter; a list repeats it. Null, an empty list and what JSON cannot write are refused
    /// when the call is sent.
    pub fn additional_query_parameter(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let value = to_value(&value).and_then(|value| match unwritable(&value) {
            Some(why) => Err(why.into()),
            None => Ok(value),
        });
        let name = name.into();
        if let Some(value) = self.checked(&name, value) {
            self.query.push((name, value));
        }
        self
    }

    /// Sends another field of the JSON body or the form. What JSON cannot write is refused when the call is sent.
    pub fn additional_body_parameter(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        if let Some(value) = self.checked(&name, to_value(&value)) {
            self.body.push((name, value));
        }
        self
    }

    when_some!();

    /// The settings of the further requests of a workflow: query and body parameters belong to the request that creates
    /// something, and nowhere else.
    pub(crate) fn without_parameters(&self) -> Self {
        RequestOptions { query: Vec::new(), body: Vec::new(), ..self.clone() }
    }

    /// How often a failed try is repeated: these settings, then the client's, then the default.
    pub(crate) fn retries(&self, session: &Session, standard: u32) -> u32 {
        self.max_retries.or(session.settings().options.max_retries).unwrap_or(standard)
    }

    /// The limits of a call: these settings, then the client's, then the defaults.
    pub(crate) fn policy(&self, session: &Session, timeout: Duration, stream: bool) -> Policy {
        let settings = &session.settings().options;
        Policy {
            timeout: self.timeout.or(settings.timeout).unwrap_or(timeout),
            stream,
            deadline: self.deadline,
            max_response_size: settings.max_response_size,
            retry: self.retry_policy(session),
        }
    }

    /// How patiently a call is retried: these settings, then the client's, then the defaults.
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
