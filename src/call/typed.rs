//! Typed calls: sending a request and decoding its response.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::options::RequestOptions;
use crate::call::request::Request;
use crate::call::stream::Events;
use crate::error::Result;
use crate::file::FileSource;
use crate::http::session::Session;
use crate::response::HttpResponse;
use crate::text::without_bom;

/// The output of a call: any type that can be decoded from JSON, nothing, a list, or a stream.
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
        let watch = request.watch();
        let response = request.execute()?;
        let data = request.decode(&response, &watch)?;
        Ok(response.with(data))
    }
}

/// A call that has no further options. Nothing is sent before [`send`](Call::send).
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

impl<T> Clone for Call<T> {
    fn clone(&self) -> Self {
        self.request.clone().into()
    }
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
    /// Sends the request and decodes the response.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if an argument cannot be sent,
    /// [`Error::Api`](crate::Error::Api) if the platform refuses the request, and any error of the exchange: see
    /// [`Error`](crate::Error).
    #[inline]
    pub fn send(self) -> Result<T> {
        Ok(self.send_raw()?.data)
    }

    /// Like [`send`](Call::send), but also returns the status, the headers and the raw body. The Python SDK calls it
    /// `with_raw_response`.
    ///
    /// # Errors
    ///
    /// The same as for [`send`](Call::send).
    #[inline]
    pub fn send_raw(self) -> Result<HttpResponse<T>> {
        T::receive(self.request)
    }

    /// Applies settings to this call alone.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.request.options = request_options;
        self
    }

    when_some!();
}

/// A call to an endpoint for which this crate has no method. Returned by [`TwelveLabs::call`](crate::TwelveLabs::call).
///
/// Its body is either JSON or a form. A call with both, a GET with a body, and a value that JSON cannot represent are
/// refused when the call is sent.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `.send()`"]
pub struct CustomCall(pub(crate) Request);

impl CustomCall {
    pub(crate) fn new(session: &Session, method: &str, path: &[&str]) -> Self {
        CustomCall(Request::new(session, method, path))
    }

    /// Adds a query parameter. A list repeats the name. Null and an empty list are refused: use
    /// [`when_some`](CustomCall::when_some) for an optional value.
    pub fn query(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.query(name, &value);
        self
    }

    /// Sets a field of the JSON body.
    pub fn json(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.json(name, &value);
        self
    }

    /// Adds a field of a `multipart/form-data` body. A list repeats the name.
    pub fn form(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.form(name, &value);
        self
    }

    /// Adds a file to a `multipart/form-data` body.
    pub fn file(mut self, name: &str, file: impl Into<FileSource>) -> Self {
        self.0.file(name, &file.into());
        self
    }

    /// Applies settings to this call alone.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.0.options = request_options;
        self
    }

    when_some!();

    /// Sends the request and returns the response as JSON. An empty response becomes `null`.
    ///
    /// # Errors
    ///
    /// The same as for [`Call::send`].
    pub fn send(self) -> Result<Value> {
        Ok(self.send_raw()?.data)
    }

    /// Sends the request and decodes the response into your own type.
    ///
    /// # Errors
    ///
    /// The same as for [`Call::send`]. In addition, [`Error::Decode`](crate::Error::Decode) if the response does not
    /// fit the type.
    pub fn send_as<T: DeserializeOwned + 'static>(self) -> Result<T> {
        Call::<T>::from(self.0).send()
    }

    /// Like [`send`](CustomCall::send), but also returns the status, the headers and the raw body.
    ///
    /// # Errors
    ///
    /// The same as for [`Call::send`].
    pub fn send_raw(self) -> Result<HttpResponse<Value>> {
        let watch = self.0.watch();
        let response = self.0.execute()?;
        let empty = without_bom(&response.body).iter().all(u8::is_ascii_whitespace);
        let data = if empty { Value::Null } else { self.0.decode(&response, &watch)? };
        Ok(response.with(data))
    }

    /// Sends the request and returns an iterator over the server-sent events of the response as they arrive.
    ///
    /// The call returns once the response begins. The time limit, which is 600 s by default, limits the silence between
    /// two events.
    ///
    /// # Errors
    ///
    /// The same as for [`Call::send`]. In addition, [`Error::Decode`](crate::Error::Decode) if the response is not a
    /// `text/event-stream`.
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
