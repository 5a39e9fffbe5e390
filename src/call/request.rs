//! The untyped request as it is put together, and its encoding.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::call::json::encode::{to_object, to_value, unwritable};
use crate::call::options::RequestOptions;
use crate::clock::random_bits;
use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::attempt::{ANSWER, Failure, LiveBody};
use crate::http::body::{Part, Payload, ProgressCallback};
use crate::http::engine::{self, Plan, Target};
use crate::http::session::Session;
use crate::response::HttpResponse;
use crate::text::printable;

pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
const BOTH_BODIES: &str = "would be lost: a body is either JSON or a form, and this call already has the other";
const SLOW_TIMEOUT: Duration = Duration::from_secs(600);

/// A request as it is put together. Every fault of an argument is kept and reported when it is sent.
#[derive(Clone)]
pub struct Request {
    session: Session,
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    /// More of the query: conditions by names of the caller's own.
    conditions: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Body,
    /// The files whose base64 goes into the JSON body, each with the mark that stands for it there.
    attached: Vec<(String, FileSource)>,
    pub(crate) options: RequestOptions,
    /// The field that has the items of a page.
    pub(crate) items: &'static str,
    pub(crate) paging: Paging,
    /// Where a list goes on that was read before.
    pub(crate) from_token: Option<String>,
    invalid: Option<(String, String)>,
    one_of: Option<[&'static str; 2]>,
    slow: bool,
    repeatable: bool,
    idempotent: bool,
    stream: bool,
    size_limit: Option<(u64, &'static str)>,
    pub(crate) progress: Option<ProgressCallback>,
}

/// How the next page of a list is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Paging {
    /// By its number: the same request with another `page`.
    Number,
    /// By the token that the page before it gave: the request that this makes of the first one and the token.
    Token(fn(&Request, &str) -> Request),
}

#[derive(Clone, Debug)]
enum Body {
    None,
    Json(Map<String, Value>),
    Form(Vec<Part>),
}

impl Session {
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
}

impl Request {
    pub(crate) fn new(client: &Session, method: &str, segments: &[&str]) -> Self {
        let known = ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().find(|m| m.eq_ignore_ascii_case(method));
        let mut request = Request {
            session: client.clone(),
            method: known.unwrap_or("GET"),
            path: String::with_capacity(64),
            query: Vec::new(),
            conditions: Vec::new(),
            headers: Vec::new(),
            body: Body::None,
            attached: Vec::new(),
            options: RequestOptions::default(),
            items: "data",
            paging: Paging::Number,
            from_token: None,
            invalid: None,
            one_of: None,
            slow: false,
            repeatable: known != Some("POST"),
            idempotent: false,
            stream: false,
            size_limit: None,
            progress: None,
        };
        if known.is_none() {
            request.reject("method", "use GET, POST, PUT, PATCH or DELETE");
        }
        for segment in segments {
            if let Err(why) = check_segment(segment) {
                request.reject("id", &format!("{:?} {why}", printable(segment, 80)));
            }
            request.path.push('/');
            percent_encode(segment, &mut request.path);
        }
        request
    }

    /// Adds a custom method to the last segment of the path, such as `:authorize`.
    pub(crate) fn custom_method(mut self, name: &str) -> Self {
        self.path.push(':');
        percent_encode(name, &mut self.path);
        self
    }

    /// Gives the request a random `Idempotency-Key` when it is sent, the same on every try, unless it has one already:
    /// the platform makes one thing of all requests with the same key.
    pub(crate) fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self.repeatable = true;
        self
    }

    /// The items of a page are in this field instead of `data`.
    pub(crate) fn items(mut self, field: &'static str) -> Self {
        self.items = field;
        self
    }

    /// The platform works before it answers: give it more time.
    pub(crate) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// Doing it twice is the same as doing it once, although it is a POST.
    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// The answer is read as it arrives: its silence is limited, and not its duration.
    pub(crate) fn stream(mut self) -> Self {
        self.stream = true;
        // What is compressed arrives in blocks.
        self.header("accept-encoding", "identity");
        self
    }

    /// The documented size of a file, for the hint of a refusal.
    pub(crate) fn size_limit(mut self, bytes: u64, hint: &'static str) -> Self {
        self.size_limit = Some((bytes, hint));
        self
    }

    /// Exactly one of these two fields has to be in the form.
    pub(crate) fn one_of(mut self, names: [&'static str; 2]) -> Self {
        self.one_of = Some(names);
        self
    }

    /// Keeps the first fault of an argument.
    pub(crate) fn reject(&mut self, argument: &str, why: &str) {
        self.invalid.get_or_insert_with(|| (argument.into(), why.into()));
    }

    pub(crate) fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    pub(crate) fn query(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let value = self.value(name, value);
        if let Some(why) = unwritable(&value) {
            self.reject(name, why);
        }
        query_pairs(name, &value, &mut self.query);
    }

    /// Asks for these conditions, by their names, instead of those before. A name that is `taken` by a parameter of the
    /// list goes in brackets behind `prefix`.
    pub(crate) fn conditions(&mut self, prefix: &str, conditions: &(impl Serialize + ?Sized), taken: &[&str]) {
        let fields = self.filter(prefix, conditions);
        self.conditions.clear();
        for (name, value) in fields {
            let name = if taken.contains(&name.as_str()) { format!("{prefix}[{name}]") } else { name };
            query_pairs(&name, &value, &mut self.conditions);
        }
    }

    pub(crate) fn json(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let value = self.value(name, value);
        match &mut self.body {
            Body::Json(fields) => drop(fields.insert(name.into(), value)),
            Body::Form(_) => self.reject(name, BOTH_BODIES),
            body => *body = Body::Json(Map::from_iter([(name.to_string(), value)])),
        }
    }

    pub(crate) fn form(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let value = self.value(name, value);
        match value {
            Value::Array(items) if items.is_empty() => self.reject(name, "is an empty list; leave it out"),
            Value::Array(items) => items.iter().for_each(|item| self.part(text_part(name, item))),
            value => self.part(text_part(name, &value)),
        }
    }

    /// Refuses a link that the platform cannot follow.
    pub(crate) fn check_url(&mut self, argument: &str, url: &str) {
        let lower = url.to_ascii_lowercase();
        let web = lower.starts_with("https://") || lower.starts_with("http://");
        if !web || url.chars().any(char::is_whitespace) {
            self.reject(argument, "must be a public link that begins with http:// or https:// and has no spaces");
        }
    }

    /// A field of the form that has to be a link which the platform can follow.
    pub(crate) fn form_url(&mut self, name: &str, url: &str) {
        self.check_url(name, url);
        self.form(name, url);
    }

    /// Takes back what was set before: a setter that is called again replaces it.
    pub(crate) fn forget(&mut self, name: &str) {
        let is_same = |have: &str| have.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
        self.query.retain(|(have, _)| !is_same(have));
        if let Body::Form(parts) = &mut self.body {
            parts.retain(|part| part.name() != name);
        }
    }

    pub(crate) fn file(&mut self, name: &str, source: &FileSource) {
        self.part(Part::File { name: name.into(), source: source.clone() });
    }

    /// What to write into the JSON body where the base64 of this file goes. The file is read when the body is sent.
    pub(crate) fn attach(&mut self, source: FileSource) -> String {
        let mark = format!("base64-of-{:016x}{:016x}", random_bits(), random_bits());
        self.attached.push((mark.clone(), source));
        mark
    }

    fn part(&mut self, part: Part) {
        match &mut self.body {
            Body::Form(parts) => parts.push(part),
            Body::Json(_) => self.reject(part.name(), BOTH_BODIES),
            body => *body = Body::Form(vec![part]),
        }
    }

    /// The value of an argument as JSON.
    pub(crate) fn value(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Value {
        to_value(value).unwrap_or_else(|why| {
            self.reject(name, &why);
            Value::Null
        })
    }

    /// A value that has to be an object, or the JSON text of one.
    pub(crate) fn object(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Map<String, Value> {
        to_object(value).unwrap_or_else(|why| {
            self.reject(name, &why);
            Map::new()
        })
    }

    /// The JSON schema that an answer has to follow.
    pub(crate) fn schema(&mut self, schema: &impl Serialize) -> Value {
        let schema = self.value("schema", schema);
        if !schema.is_object() {
            self.reject("schema", "must be a JSON object, as {\"type\": \"object\", \"properties\": …}");
        }
        schema
    }

    /// An object of conditions. One that is null would be none.
    pub(crate) fn filter(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Map<String, Value> {
        let fields = self.object(name, value);
        if let Some((field, why)) = fields.iter().find_map(|(field, value)| Some((field, unwritable(value)?))) {
            self.reject(name, &format!("`{field}` {why}"));
        }
        fields
    }

    /// The value of a query parameter or of a text field of the form, if it is set.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let query = self.query.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str());
        query.or_else(|| match self.parts().find(|part| part.name() == name)? {
            Part::Text { value, .. } => Some(value.as_str()),
            Part::File { .. } => None,
        })
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        match &self.body {
            Body::Form(parts) => parts.as_slice(),
            _ => &[],
        }
        .iter()
    }

    /// The same request for another page.
    pub(crate) fn with_query(&self, name: &str, value: &str) -> Self {
        let mut request = self.clone();
        match request.query.iter_mut().find(|(have, _)| have == name) {
            Some((_, have)) => *have = value.into(),
            None => request.query.push((name.into(), value.into())),
        }
        request
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The request in an error's text, as `GET /assets/65f…`.
    pub(crate) fn operation(&self) -> String {
        // Encoded as it is, it is printable, but may be long.
        match self.path.get(200..) {
            None | Some("") => [self.method, " ", &self.path].concat(),
            Some(_) => [self.method, " ", &printable(&self.path, 200)].concat(),
        }
    }

    /// Sends the request and gives the answer, complete, if it is a success.
    pub(crate) fn execute(&self) -> Result<HttpResponse<()>> {
        Ok(self.run()?.with(()))
    }

    /// Sends the request, again where that is safe, and gives the answer if it is a success: that of a stream has
    /// its body still to be read.
    pub(crate) fn run(&self) -> Result<HttpResponse<LiveBody>> {
        self.check()?;
        let payload = self.payload()?;
        let plan = Plan {
            method: self.method,
            operation: self.operation(),
            target: Target::Api(self.url()),
            headers: self.headers(payload.as_ref())?,
            body: payload.as_ref().map(|payload| payload as &dyn engine::Body),
            idempotent: self.is_repeatable(),
            policy: self.options.policy(&self.session, if self.slow { SLOW_TIMEOUT } else { ANSWER }, self.stream),
            cancel: self.options.cancel.clone(),
            stop: None,
        };
        engine::run(&self.session, plan).map_err(|e| self.with_hint(e, payload.as_ref()))
    }

    /// Whether doing it twice is the same as doing it once.
    fn is_repeatable(&self) -> bool {
        self.repeatable || self.has_header(IDEMPOTENCY_KEY)
    }

    /// Whether all arguments can be sent.
    fn check(&self) -> Result<()> {
        if let Some((argument, why)) = self.invalid.as_ref().or(self.options.invalid.as_ref()) {
            return Err(Error::invalid(argument, why));
        }
        if self.method == "GET" && !matches!(self.body, Body::None) {
            return Err(Error::invalid(
                "method",
                "a GET request has no body; send the fields in the query, or use POST",
            ));
        }
        let Some(names) = self.one_of else { return Ok(()) };
        let given = |name: &str| {
            let extra = &self.options.body;
            self.parts().map(Part::name).chain(extra.iter().map(|(name, _)| name.as_str())).any(|have| have == name)
        };
        match names.map(given) {
            [true, true] => Err(Error::invalid(names.join(" and "), "are both given; give one of them")),
            [false, false] => Err(Error::invalid(names.join(" or "), "is missing; give one of them")),
            _ => Ok(()),
        }
    }

    fn payload(&self) -> Result<Option<Payload>> {
        let extra = &self.options.body;
        match &self.body {
            Body::None if extra.is_empty() => Ok(None),
            Body::None if self.method == "GET" => {
                Err(Error::invalid("additional_body_parameter", "a GET request has no body"))
            }
            Body::None => self.json_payload(&Map::new()).map(Some),
            Body::Json(fields) => self.json_payload(fields).map(Some),
            Body::Form(parts) => {
                let extra = extra.iter().map(|(name, value)| text_part(name, value));
                let parts: Vec<Part> = parts.iter().cloned().chain(extra).collect();
                let mut payload = Payload::form(&parts)?;
                payload.progress.clone_from(&self.progress);
                Ok(Some(payload))
            }
        }
    }

    fn json_payload(&self, fields: &Map<String, Value>) -> Result<Payload> {
        let mut fields = fields.clone();
        fields.extend(self.options.body.iter().cloned());
        Payload::json(&Value::Object(fields).to_string(), &self.attached)
    }

    fn url(&self) -> String {
        let mut url = [&self.session.settings().options.base_url, self.path.as_str()].concat();
        let mut extra = Vec::new();
        for (name, value) in &self.options.query {
            query_pairs(name, value, &mut extra);
        }
        for (n, (name, value)) in self.query.iter().chain(&self.conditions).chain(&extra).enumerate() {
            url.push(if n == 0 { '?' } else { '&' });
            percent_encode(name, &mut url);
            url.push('=');
            percent_encode(value, &mut url);
        }
        url
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers.iter().chain(&self.options.headers).any(|(have, _)| have.eq_ignore_ascii_case(name))
    }

    fn headers(&self, payload: Option<&Payload>) -> Result<Vec<(String, String)>> {
        let mut headers: Vec<(String, String)> = Vec::new();
        headers.extend(payload.and_then(|p| p.content_type.clone()).map(|value| ("content-type".into(), value)));
        if self.idempotent {
            headers.push((IDEMPOTENCY_KEY.into(), format!("{:016x}{:016x}", random_bits(), random_bits())));
        }
        let own = &self.session.settings().options.headers;
        for (name, value) in own.iter().chain(&self.headers).chain(&self.options.headers) {
            check_header(name, value)?;
            headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
            headers.push((name.to_ascii_lowercase(), value.clone()));
        }
        Ok(headers)
    }

    /// Adds what this crate knows about the way out.
    fn with_hint(&self, mut e: Error, payload: Option<&Payload>) -> Error {
        if let (Error::Api(e), Some((limit, hint))) = (&mut e, self.size_limit) {
            let over = payload.and_then(Payload::file_length).is_some_and(|length| length > limit);
            let says_so = e.status == 413 || e.code.as_deref().is_some_and(|code| code.contains("filesize"));
            if says_so || (over && matches!(e.status, 400 | 422)) {
                Arc::make_mut(e).hint = Some(hint.to_string());
            }
        }
        e
    }

    /// The error for an answer that broke off after it had started.
    pub(crate) fn failed(&self, failure: Failure) -> Error {
        let limit = self.session.settings().options.max_response_size;
        // Whatever the platform does, it has started to answer.
        engine::failed(failure, self.operation(), limit, true)
    }

    /// Takes the API key out of what the server says of an error.
    pub(crate) fn redact<T>(&self, response: HttpResponse<T>) -> HttpResponse<()> {
        self.session.redact(response)
    }

    /// The same for a part of a stream.
    pub(crate) fn redact_data(&self, mut response: HttpResponse<()>) -> HttpResponse<()> {
        self.session.redact_success(&mut response);
        response
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation())
            .field("query", &self.query)
            .field("conditions", &self.conditions)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

fn text_part(name: &str, value: &Value) -> Part {
    Part::Text { name: name.into(), value: plain(value) }
}

/// A value where there is only text: strings as they are, null as nothing, the rest as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Lists repeat the name, objects go in brackets, null is left out.
fn query_pairs(name: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| query_pairs(name, item, pairs)),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| query_pairs(&format!("{name}[{key}]"), value, pairs));
        }
        value => pairs.push((name.into(), plain(value))),
    }
}

fn check_segment(segment: &str) -> Result<(), &'static str> {
    match segment {
        "" => Err("is empty; give the id"),
        "." | ".." => Err("is not an id"),
        _ if segment.chars().any(char::is_control) => Err("contains control characters"),
        _ => Ok(()),
    }
}

pub(crate) fn check_header(name: &str, value: &str) -> Result<()> {
    let proper = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if !proper {
        return Err(Error::invalid(format!("header {name}"), "the name may only have letters, digits and hyphens"));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::invalid(
            format!("header {name}"),
            "the value must not have line breaks or control characters",
        ));
    }
    Ok(())
}

/// Encodes everything but the unreserved characters of RFC 3986.
fn percent_encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(is_plain) {
        return out.push_str(text);
    }
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            out.push(HEX[usize::from(byte >> 4)].into());
            out.push(HEX[usize::from(byte & 15)].into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error_body::api_error;
    use proptest::prelude::*;
    use serde_json::json;

    fn decode(text: &str) -> String {
        let mut bytes = text.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'%' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn any_text_is_one_segment_and_comes_back(text in ".*") {
            let mut out = String::new();
            percent_encode(&text, &mut out);
            prop_assert!(out.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(decode(&out), text);
        }
    }

    #[test]
    fn query_values() {
        let mut pairs = Vec::new();
        let value = json!({"gte": 10.0, "lte": 60});
        for (name, value) in
            [("duration", value), ("ids", json!(["a", "b"])), ("none", json!(null)), ("yes", json!(true))]
        {
            query_pairs(name, &value, &mut pairs);
        }
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["duration[gte]=10.0", "duration[lte]=60", "ids=a", "ids=b", "yes=true"]);
    }

    #[test]
    fn headers_cannot_be_injected() {
        assert!(check_header("x-a", "b").is_ok());
        for (name, value) in [("x-a", "b\r\nx: y"), ("x a", "b"), ("", "b"), ("x\n", "b")] {
            assert!(check_header(name, value).is_err());
        }
    }

    #[test]
    fn what_is_too_large_gets_a_hint() {
        let client = crate::client::TwelveLabs::builder().api_key("key").base_url("http://h").build().unwrap();
        let file = Part::File { name: "file".into(), source: FileSource::bytes("a", *b"data") };
        let payload = Payload::form(&[file]).unwrap();
        for (limit, status, code, hinted) in [
            (3, 400, "bad", true),
            (3, 422, "bad", true),
            (3, 404, "bad", false),
            (4, 400, "bad", false),
            (9, 400, "bad", false),
            (9, 413, "bad", true),
            (9, 400, "video_filesize_too_large", true),
        ] {
            let request = client.0.post(&["x"]).size_limit(limit, "it is too large");
            let body = format!("{{\"code\":\"{code}\"}}").into_bytes();
            let response = HttpResponse { status, body, ..HttpResponse::default() };
            let e = api_error("POST /x".into(), response, time::OffsetDateTime::UNIX_EPOCH);
            let e = request.with_hint(Error::from(Arc::new(e)), Some(&payload));
            assert_eq!(e.to_string().contains("it is too large"), hinted, "{limit} {status} {code}: {e}");
        }
    }

    #[test]
    fn only_what_is_the_same_twice_may_be_repeated() {
        let client = crate::client::TwelveLabs::builder().api_key("key").base_url("http://h").build().unwrap();
        let session = client.0;
        for (method, repeatable) in
            [("GET", true), ("PUT", true), ("PATCH", true), ("DELETE", true), ("POST", false), ("post", false)]
        {
            assert_eq!(Request::new(&session, method, &["x"]).is_repeatable(), repeatable, "{method}");
        }
        let keyed = RequestOptions::new().additional_header("Idempotency-Key", "k");
        let other = RequestOptions::new().additional_header("x-other", "k");
        let mut request = session.post(&["x"]);
        request.options = other;
        assert!(!request.is_repeatable());
        request.options = keyed;
        assert!(request.is_repeatable());
        assert!(format!("{request:?}").contains("POST /x"));
    }

    #[test]
    fn an_empty_list_in_a_form_is_refused() {
        let client = crate::client::TwelveLabs::builder().api_key("key").base_url("http://h").build().unwrap();
        for (list, sent) in [(&[][..], false), (&["a"], true), (&["a", "b"], true)] {
            let mut request = client.0.post(&["x"]);
            request.form("names", list);
            assert_eq!((request.check().is_ok(), request.parts().count()), (sent, list.len()));
        }
    }

    #[test]
    fn a_get_has_no_body() {
        let client = crate::client::TwelveLabs::builder().api_key("key").base_url("http://h").build().unwrap();
        let extra = || RequestOptions::new().additional_body_parameter("a", 1);
        for (method, sent) in [("GET", false), ("DELETE", true), ("POST", true)] {
            let mut request = Request::new(&client.0, method, &["x"]);
            assert!(request.payload().unwrap().is_none());
            request.options = extra();
            match request.payload() {
                Ok(payload) => assert_eq!((payload.is_some(), sent), (true, true), "{method}"),
                Err(e) => assert!(!sent && e.to_string().contains("a GET request has no body"), "{e}"),
            }
        }
    }
}
