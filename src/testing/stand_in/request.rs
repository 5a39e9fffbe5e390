//! The record of a request.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::body::Body;
use super::form::Part;

/// The placeholder for the API key.
const HIDDEN: &str = "(not shown)";

/// The server that received the request: the API or the storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Host {
    Api,
    Storage,
}

/// A request as received, without the value of the API key.
#[derive(Clone)]
pub struct Request {
    pub(super) host: Host,
    /// The position in the log.
    pub(super) number: usize,
    /// Whether the presigned URL is valid: issued by the storage, unused and not expired.
    pub(super) is_fresh: bool,
    method: String,
    path: String,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    length: u64,
    body: Arc<Body>,
    form: Arc<Vec<Part>>,
}

impl Request {
    pub(super) fn new(host: Host, method: &str, target: &str, mut headers: Vec<(String, String)>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // A request to a proxy contains the whole URL.
        let path = path.split_once("://").map_or(path, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
        let path = path.strip_prefix("/v1.3").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let segments = segments(path);
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name, true), decoded(value, true))
        });
        for (_, value) in headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("x-api-key")) {
            *value = HIDDEN.into();
        }
        Request {
            host,
            number: 0,
            is_fresh: false,
            method: method.into(),
            path: path.into(),
            segments,
            query: query.collect(),
            headers,
            length: 0,
            body: Arc::new(Body::new(0)),
            form: Arc::default(),
        }
    }

    pub(super) fn set_body(&mut self, length: u64, body: Body, form: Vec<Part>) {
        (self.length, self.body, self.form) = (length, Arc::new(body), Arc::new(form));
    }

    pub(super) fn shared_body(&self) -> Arc<Body> {
        self.body.clone()
    }

    /// Returns the number of bytes that the request keeps in memory.
    pub(super) fn kept(&self) -> usize {
        self.body.kept() + self.form.iter().map(|part| part.body.kept()).sum::<usize>()
    }

    /// Drops the bytes of the body, and keeps only lengths and hashes.
    pub(super) fn let_go(&mut self) {
        let part = |part: &Part| Part { body: part.body.without_bytes(), ..part.clone() };
        self.body = Arc::new(self.body.without_bytes());
        self.form = Arc::new(self.form.iter().map(part).collect());
    }

    /// Returns the segments of the path, decoded.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// Returns the method, such as `POST`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path as received, without the version: `/assets/65f…`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the names and values of the query, decoded.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// Returns the values of a query parameter, in order.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a filter of the query accepts `value`: it is one of the values of the parameter, or there are none.
    pub(super) fn admits(&self, name: &str, value: &Value) -> bool {
        let mut wanted = self.values(name).peekable();
        wanted.peek().is_none() || wanted.any(|wanted| value == wanted)
    }

    /// Whether the query sets a flag.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values(name).any(|value| value == "true")
    }

    /// Whether the request asks for the first page of a list. Only such a request counts as a poll of the resources in
    /// the list, so reading a whole list is one poll, however many pages it has.
    pub(super) fn is_first_page(&self) -> bool {
        self.values("page").all(|page| page == "1")
    }

    /// Returns the headers. The value of the API key is replaced by a placeholder.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the first value of a header. Names are case-insensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the number of bytes of the body.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the body. Empty if it is a [form](Self::form).
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Returns the body as JSON, or null if it is not JSON.
    ///
    /// ```
    /// # use twelvelabs::{indexes::IndexModelInput, testing::StandIn};
    /// let stand_in = StandIn::start();
    /// let models = [IndexModelInput::new("marengo3.0", ["visual"])];
    /// stand_in.client().indexes().create("holidays", models).send()?;
    /// assert_eq!(stand_in.requests_to("POST /indexes")[0].json()["index_name"], "holidays");
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn json(&self) -> Value {
        self.body.bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
    }

    /// Returns the parts of the body, if it is a form.
    pub fn form(&self) -> &[Part] {
        &self.form
    }

    /// Returns the first part of the form with this name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.form.iter().find(|part| part.name == name)
    }

    /// Returns whether the storage received the request. The storage is the host of presigned URLs, and must never
    /// receive the API key.
    pub fn is_to_storage(&self) -> bool {
        self.host == Host::Storage
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("headers", &self.headers)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Returns the decoded segments of a path.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.trim_matches('/').split('/').map(|segment| decoded(segment, false)).collect()
}

/// Decodes a path, or a query, in which `+` stands for a space.
fn decoded(text: &str, is_query: bool) -> String {
    let text = if is_query { text.replace('+', " ") } else { text.to_string() };
    percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_decoded_and_has_no_key() {
        let headers = vec![("X-Api-Key".into(), "tlk_secret".into()), ("A".into(), "b".into())];
        let request = Request::new(Host::Api, "GET", "http://h:1/v1.3/assets/a%2Fb+c%zz%+f?x=1+%C3%A9&y&x=%", headers);
        assert_eq!((request.path(), request.segments()), ("/assets/a%2Fb+c%zz%+f", vec!["assets", "a/b+c%zz%+f"]));
        let query: Vec<_> = request.query().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(query, [("x", "1 é"), ("y", ""), ("x", "%")]);
        assert_eq!((request.header("x-api-key"), request.header("a")), (Some(HIDDEN), Some("b")));
        assert!(!format!("{request:?}").contains("secret"));
        assert_eq!(Request::new(Host::Api, "GET", "/v1.3x", Vec::new()).path(), "/v1.3x");
    }
}
