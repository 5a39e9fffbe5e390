//! A call: its options, sending it, and what comes back.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::Serialize;
use serde_json::Value;

use crate::decode;
use crate::error::{excerpt, Result};
use crate::events::Events;
use crate::file::FileSource;
use crate::request::Request;

/// The headers of an answer. Names are compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All headers in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        Headers(headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// An answer with all that came: what [`send_raw`](Call::send_raw) returns.
///
/// ```no_run
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let answer = client.assets().retrieve("65f…").send_raw()?;
/// println!("{} {:?}", answer.status, answer.headers.get("x-trace-id"));
/// let everything: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpResponse<T> {
    /// The decoded answer.
    pub data: T,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body as it came, decompressed.
    pub body: Vec<u8>,
}

impl<T> HttpResponse<T> {
    pub(crate) fn with<U>(self, data: U) -> HttpResponse<U> {
        HttpResponse { data, status: self.status, headers: self.headers, body: self.body }
    }
}

impl<T: fmt::Debug> fmt::Debug for HttpResponse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("data", &self.data)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &excerpt(&self.body))
            .finish()
    }
}

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

/// What a call can return: any JSON type, nothing, a list, or a stream.
pub trait Output: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn receive(request: Request) -> Result<HttpResponse<Self>>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

impl<T: DeserializeOwned + 'static> sealed::Sealed for T {}

impl<T: DeserializeOwned + 'static> Output for T {
    fn receive(request: Request) -> Result<HttpResponse<T>> {
        let response = request.execute()?;
        let data = decode::body(&request.operation(), &response)?;
        Ok(response.with(data))
    }
}

/// A call without options of its own. Nothing happens before [`send`](Call::send).
///
/// ```no_run
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let call = client.assets().retrieve("65f…");
/// let asset = call.send()?;
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[must_use = "nothing is sent before `.send()`"]
pub struct Call<T> {
    request: Request,
    output: PhantomData<fn() -> T>,
}

impl<T> From<Request> for Call<T> {
    fn from(request: Request) -> Self {
        Call { request, output: PhantomData }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.request).finish()
    }
}

impl<T: Output> Call<T> {
    /// Sends the request and decodes the answer.
    pub fn send(self) -> Result<T> {
        Ok(self.send_raw()?.data)
    }

    /// As [`send`](Call::send), with the status, the headers and the raw body: `with_raw_response` in Python.
    pub fn send_raw(self) -> Result<HttpResponse<T>> {
        T::receive(self.request)
    }

    /// Settings for this call alone.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.request.options = request_options;
        self
    }

    when_some!();
}

/// A call to an endpoint that this crate has no method for, see [`TwelveLabs::call`](crate::TwelveLabs::call).
#[derive(Debug)]
#[must_use = "nothing is sent before `.send()`"]
pub struct CustomCall(pub(crate) Request);

impl CustomCall {
    /// Adds a query parameter; a list repeats it.
    pub fn query(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.query(name, &value);
        self
    }

    /// Sets a field of the JSON body.
    pub fn json(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.json(name, &value);
        self
    }

    /// Adds a field of a `multipart/form-data` body; a list repeats it.
    pub fn form(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.form(name, &value);
        self
    }

    /// Adds a file to a `multipart/form-data` body.
    pub fn file(mut self, name: &str, file: impl Into<FileSource>) -> Self {
        self.0.file(name, &file.into());
        self
    }

    /// Settings for this call alone.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.0.options = request_options;
        self
    }

    when_some!();

    /// Sends the request. An empty answer gives `null`.
    pub fn send(self) -> Result<Value> {
        Ok(self.send_raw()?.data)
    }

    /// Sends the request and decodes the answer into a type of your own.
    pub fn send_as<T: DeserializeOwned + 'static>(self) -> Result<T> {
        Call::<T>::from(self.0).send()
    }

    /// As [`send`](CustomCall::send), with the status, the headers and the raw body.
    pub fn send_raw(self) -> Result<HttpResponse<Value>> {
        let response = self.0.execute()?;
        let empty = response.body.iter().all(u8::is_ascii_whitespace);
        let data = if empty { Value::Null } else { decode::body(&self.0.operation(), &response)? };
        Ok(response.with(data))
    }

    /// Sends the request and gives the server-sent events of the answer as they arrive.
    ///
    /// It returns once the answer begins. An answer that is no `text/event-stream` is an error. The time limit, 600 s
    /// unless you set another, is one for silence.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let call = client.call("POST", &["responses"]).json("stream", true).json("model", "…");
    /// for event in call.send_events()? {
    ///     let event = event?;
    ///     println!("{}: {}", event.event, event.data);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn send_events(self) -> Result<Events> {
        Events::open(self.0)
    }
}
