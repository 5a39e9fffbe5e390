//! Settings of one call.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

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

    /// Sends another header, instead of the crate's own of that name.
    pub fn additional_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends another query parameter; a list repeats it.
    pub fn additional_query_parameter(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.query.push((name.into(), serde_json::to_value(value).unwrap_or_default()));
        self
    }

    /// Sends another field of the JSON body or the form.
    pub fn additional_body_parameter(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.body.push((name.into(), serde_json::to_value(value).unwrap_or_default()));
        self
    }
}
