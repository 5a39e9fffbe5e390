//! Faults on demand, and the requests that they affect.

use std::time::Duration;

use serde_json::Value;

use super::request::segments;

/// A failure to inject into one or more requests: see [`StandIn::fault`](super::StandIn::fault).
///
/// A fault affects only the next request, unless [`times`](Self::times), [`always`](Self::always) or
/// [`after`](Self::after) say otherwise.
///
/// ```
/// use twelvelabs::testing::{Fault, StandIn};
///
/// let stand_in = StandIn::start();
/// stand_in.fault("POST /indexes", Fault::status(429).retry_after(30).times(2));
/// stand_in.fault("GET /indexes/{id}", Fault::reset_answer().after(1));
/// stand_in.fault("GET /assets/{id}", Fault::failed("video_duration_too_short"));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a fault has no effect until it is passed to `StandIn::fault`"]
pub struct Fault {
    pub(super) kind: Kind,
    pub(super) after: usize,
    pub(super) times: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Status { status: u16, code: String, message: String, headers: Vec<(String, String)>, body: Option<Value> },
    Expired,
    WithoutHeader(String),
    Slow(Duration),
    Trickle(Duration),
    ResetRequest(u64),
    Silent(u64),
    ResetAnswer,
    NeverReady,
    Failed(String),
}

impl Fault {
    fn new(kind: Kind) -> Self {
        Fault { kind, after: 0, times: 1 }
    }

    /// Answers with this status. The request has no effect.
    pub fn status(status: u16) -> Self {
        let code = match status {
            401 => "api_key_invalid",
            402 => "plan_limit_exceeded",
            404 => "resource_not_exist",
            410 => "upload_expired",
            429 => "too_many_requests",
            500.. => "internal_server_error",
            _ => "parameter_invalid",
        };
        let message = "This fault was injected by a test.".into();
        Self::new(Kind::Status { status, code: code.into(), message, headers: Vec::new(), body: None })
    }

    /// Refuses a presigned URL as expired.
    pub fn expired_url() -> Self {
        Self::new(Kind::Expired)
    }

    /// Omits a header from the answer, such as the `ETag` of a chunk.
    pub fn without_header(name: impl Into<String>) -> Self {
        Self::new(Kind::WithoutHeader(name.into()))
    }

    /// Delays the answer by this duration, in real time.
    pub fn slow(delay: Duration) -> Self {
        Self::new(Kind::Slow(delay))
    }

    /// Sends the answer piece by piece, or a stream line by line, with this pause after each piece, in real time.
    pub fn trickle(pause: Duration) -> Self {
        Self::new(Kind::Trickle(pause))
    }

    /// Resets the connection after this many bytes of the request's body. The request has no effect.
    pub fn reset_request(bytes: u64) -> Self {
        Self::new(Kind::ResetRequest(bytes))
    }

    /// Reads this many bytes of the request's body, then stays silent until the client gives up. The request has no
    /// effect.
    pub fn silent(bytes: u64) -> Self {
        Self::new(Kind::Silent(bytes))
    }

    /// Carries out the request, and resets the connection in the middle of the answer.
    pub fn reset_answer() -> Self {
        Self::new(Kind::ResetAnswer)
    }

    /// Reports the polled resource as not ready, on [every poll](Self::always).
    pub fn never_ready() -> Self {
        Self::new(Kind::NeverReady).always()
    }

    /// Reports the polled resource as failed, on [every poll](Self::always), with this code where the platform sends
    /// one.
    pub fn failed(code: impl Into<String>) -> Self {
        Self::new(Kind::Failed(code.into())).always()
    }

    /// Sets the code in the answer of a [`status`](Self::status) fault.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        if let Kind::Status { code: have, .. } = &mut self.kind {
            *have = code.into();
        }
        self
    }

    /// Sets the message in the answer of a [`status`](Self::status) fault.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        if let Kind::Status { message: have, .. } = &mut self.kind {
            *have = message.into();
        }
        self
    }

    /// Sets the whole body of a [`status`](Self::status) fault, instead of the code and the message. Null means no
    /// body.
    pub fn body(mut self, body: Value) -> Self {
        if let Kind::Status { body: have, .. } = &mut self.kind {
            *have = Some(body);
        }
        self
    }

    /// Adds a header to the answer of a [`status`](Self::status) fault.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Kind::Status { headers, .. } = &mut self.kind {
            headers.push((name.into(), value.into()));
        }
        self
    }

    /// Sets `Retry-After` in the answer of a [`status`](Self::status) fault, in seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header("retry-after", seconds.to_string())
    }

    /// Makes the fault affect this many requests.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Makes the fault affect every request.
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// Lets this many requests succeed before the fault takes effect.
    pub fn after(mut self, requests: usize) -> Self {
        self.after = requests;
        self
    }
}

/// A method and a path pattern, in which `{…}` matches any one segment.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    text: String,
    method: String,
    segments: Vec<Option<String>>,
}

impl Endpoint {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not an endpoint; write the method and the path, such as \"GET /assets/{{id}}\"");
        let (method, path) = text.split_once(' ').ok_or_else(wrong)?;
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong());
        }
        if !path.starts_with('/') || path.contains(['?', ' ']) {
            return Err(wrong());
        }
        let segments = segments(path.strip_prefix("/v1.3").filter(|rest| rest.starts_with('/')).unwrap_or(path));
        let is_any = |segment: &String| segment.starts_with('{') && segment.ends_with('}');
        let segments = segments.into_iter().map(|segment| (!is_any(&segment)).then_some(segment)).collect();
        Ok(Endpoint { text: text.into(), method: method.into(), segments })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is(&self, method: &str, segments: &[&str]) -> bool {
        self.method == method
            && self.segments.len() == segments.len()
            && self.segments.iter().zip(segments).all(|(own, have)| own.as_ref().is_none_or(|own| own == have))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_method_and_a_path() {
        let is = |text: &str, method: &str, path: &[&str]| Endpoint::parse(text).unwrap().is(method, path);
        assert!(is("GET /assets", "GET", &["assets"]) && is("GET /v1.3/assets/", "GET", &["assets"]));
        assert!(is("PUT /storage/{upload}/4", "PUT", &["storage", "a/b", "4"]));
        assert!(!is("GET /assets", "POST", &["assets"]) && !is("GET /assets", "GET", &["assets", "1"]));
        assert!(!is("GET /assets/{id}", "GET", &["assets"]) && !is("GET /assets/1", "GET", &["assets", "2"]));
        for text in ["", "GET", "GET assets", "get /assets", "GET /assets?page=1", " /assets", "GET /a b"] {
            assert!(Endpoint::parse(text).unwrap_err().contains("GET /assets/{id}"), "{text}");
        }
    }
}
