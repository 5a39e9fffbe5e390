//! The untyped request under construction. [`encode`](crate::call::encode) turns it into what is sent.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::call::encode::{self, check_segment, is_same_parameter, percent_encode, plain, query_pairs, text_part};
use crate::call::json::decode;
use crate::call::json::encode::{to_object, to_value, unwritable};
use crate::call::json::watch::Watch;
use crate::call::options::RequestOptions;
use crate::clock::random_bits;
use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::attempt::{DEFAULT_TIMEOUT, HeaderMap, LiveBody};
use crate::http::body::{Part, Payload, Progress, ProgressCallback};
use crate::http::engine::{self, Plan, Policy, Target};
use crate::http::failure::Failure;
use crate::http::session::Session;
use crate::response::HttpResponse;
use crate::text::{Unsigned, printable};

pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
const BOTH_BODIES: &str = "would be lost: a body is either JSON or a form, and this call already has the other kind";
const SLOW_TIMEOUT: Duration = Duration::from_secs(600);

/// A request under construction. It keeps the first invalid argument, which becomes the error when it is sent.
#[derive(Clone)]
pub struct Request {
    session: Session,
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    /// Filters by user metadata: query parameters whose names the caller chooses.
    conditions: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Body,
    /// Files to insert into the JSON body as base64, each with the placeholder that stands for it there.
    attached: Vec<(String, FileSource)>,
    pub(crate) options: RequestOptions,
    hints: Hints,
    pub(crate) list: ListSpec,
    invalid: Option<(String, String)>,
}

/// Properties of an endpoint that decide how a request is sent.
#[derive(Clone, Default)]
struct Hints {
    /// Two fields of which the form must contain exactly one.
    one_of: Option<[&'static str; 2]>,
    /// Whether the platform can work for minutes before it answers.
    slow: bool,
    /// Whether sending it twice has the same effect as sending it once.
    idempotent: bool,
    /// Whether each call sends a random `Idempotency-Key`.
    with_idempotency_key: bool,
    /// Whether the response is read as it arrives.
    stream: bool,
    /// The documented size limit of a file, with the hint to add when the platform refuses a larger one.
    size_limit: Option<(u64, &'static str)>,
    progress: Option<ProgressCallback>,
}

/// The settings for requesting and reading the pages of a list.
#[derive(Clone)]
pub(crate) struct ListSpec {
    /// The field that contains the items of a page.
    pub(crate) items: &'static str,
    pub(crate) paging: Paging,
    /// The token at which to resume the list.
    pub(crate) from_token: Option<String>,
}

/// The method for requesting the next page of a list.
#[derive(Clone, Copy)]
pub(crate) enum Paging {
    /// The next page is requested by its number: it is the same request with another `page`.
    Number,
    /// The next page is requested by the token in the page before it. The function builds its request from the first
    /// request and the token.
    Token(fn(&Request, &str) -> Request),
}

#[derive(Clone)]
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
            hints: Hints { idempotent: known != Some("POST"), ..Hints::default() },
            list: ListSpec { items: "data", paging: Paging::Number, from_token: None },
            invalid: None,
        };
        if known.is_none() {
            request.reject("method", "must be GET, POST, PUT, PATCH or DELETE");
        }
        for segment in segments {
            if let Err(why) = check_segment(segment) {
                request.reject("id", &why);
            }
            request.path.push('/');
            percent_encode(segment, &mut request.path);
        }
        request
    }

    /// Appends a custom method, such as `:authorize`, to the last segment of the path.
    pub(crate) fn custom_method(mut self, name: &str) -> Self {
        self.path.push(':');
        percent_encode(name, &mut self.path);
        self
    }

    /// Gives the request a random `Idempotency-Key` when it is sent, unless it already has one. All attempts use the
    /// same key, so the platform creates only one resource.
    pub(crate) fn with_idempotency_key(mut self) -> Self {
        self.hints.with_idempotency_key = true;
        self.idempotent()
    }

    /// Sets the field that contains the items of a page, instead of `data`.
    pub(crate) fn items(mut self, field: &'static str) -> Self {
        self.list.items = field;
        self
    }

    /// Makes the request a list whose pages have tokens.
    pub(crate) fn paged_by_token(mut self, page: fn(&Request, &str) -> Request) -> Self {
        self.list.paging = Paging::Token(page);
        self
    }

    /// Gives the platform 10 minutes to answer, because it does the work before it answers.
    pub(crate) fn slow(mut self) -> Self {
        self.hints.slow = true;
        self
    }

    /// Marks the request as safe to repeat, although it is a POST.
    pub(crate) fn idempotent(mut self) -> Self {
        self.hints.idempotent = true;
        self
    }

    /// Reads the response as it arrives. The time limit then applies to its silence, not to its duration.
    pub(crate) fn stream(mut self) -> Self {
        self.hints.stream = true;
        // A compressed response would arrive in blocks instead of event by event.
        self.header("accept-encoding", "identity");
        self
    }

    /// Sets the documented size limit of a file, and the hint to add when the platform refuses a larger one.
    pub(crate) fn size_limit(mut self, bytes: u64, hint: &'static str) -> Self {
        self.hints.size_limit = Some((bytes, hint));
        self
    }

    /// Requires exactly one of these two fields in the form.
    pub(crate) fn one_of(mut self, names: [&'static str; 2]) -> Self {
        self.hints.one_of = Some(names);
        self
    }

    /// Sets a function that is called while the file is being sent.
    pub(crate) fn progress(mut self, callback: impl FnMut(Progress) + Send + 'static) -> Self {
        self.hints.progress = Some(Arc::new(Mutex::new(callback)));
        self
    }

    /// Records an invalid argument, unless another one was recorded before.
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

    /// Sets the filters by user metadata, and replaces earlier ones. If a parameter of the list already has a name (it
    /// is in `taken`), the filter is sent as `prefix` followed by the name in brackets.
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

    /// Refuses a URL that the platform cannot fetch.
    pub(crate) fn check_url(&mut self, argument: &str, url: &str) {
        let lower = url.to_ascii_lowercase();
        let web = lower.starts_with("https://") || lower.starts_with("http://");
        if !web || url.chars().any(char::is_whitespace) {
            self.reject(argument, "must be a public URL that begins with http:// or https:// and has no spaces");
        }
    }

    /// Refuses an empty file name: the platform derives the type of a file from the extension.
    pub(crate) fn check_filename(&mut self, filename: &str) {
        if filename.trim().is_empty() {
            self.reject("filename", "is empty; give one with an extension, such as `video.mp4`");
        }
    }

    /// Sets a field of the form to a URL that the platform fetches.
    pub(crate) fn form_url(&mut self, name: &str, url: &str) {
        self.check_url(name, url);
        self.form(name, url);
    }

    /// Removes an earlier value, so that a setter replaces it when it is called again.
    pub(crate) fn forget(&mut self, name: &str) {
        self.query.retain(|(have, _)| !is_same_parameter(have, name));
        if let Body::Form(parts) = &mut self.body {
            parts.retain(|part| part.name() != name);
        }
    }

    pub(crate) fn file(&mut self, name: &str, source: &FileSource) {
        self.part(Part::File { name: name.into(), source: source.clone() });
    }

    /// Attaches a file, and returns the placeholder for its base64 in the JSON body. The file is read while the body is
    /// sent, so it is never in memory as a whole.
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

    /// Converts an argument to JSON.
    pub(crate) fn value(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Value {
        to_value(value).unwrap_or_else(|why| {
            self.reject(name, &why);
            Value::Null
        })
    }

    /// Converts an argument that must be an object, or the JSON text of one.
    pub(crate) fn object(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Map<String, Value> {
        to_object(value).unwrap_or_else(|why| {
            self.reject(name, &why);
            Map::new()
        })
    }

    /// Converts the JSON schema of an answer.
    pub(crate) fn schema(&mut self, schema: &impl Serialize) -> Value {
        let schema = self.value("schema", schema);
        if !schema.is_object() {
            self.reject("schema", "must be a JSON object, such as {\"type\": \"object\", \"properties\": …}");
        }
        schema
    }

    /// Converts a filter. A null in it is refused, because it would select everything.
    pub(crate) fn filter(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Map<String, Value> {
        let fields = self.object(name, value);
        if let Some((field, why)) = fields.iter().find_map(|(field, value)| Some((field, unwritable(value)?))) {
            self.reject(name, &format!("`{field}` {why}"));
        }
        fields
    }

    /// Returns the value of a query parameter or of a text field of the form, as an option or the call sets it.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let option = self.options.query.iter().rfind(|(have, _)| have == name).map(|(_, value)| plain(value));
        let query = || self.query.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone());
        option.or_else(query).or_else(|| match self.parts().find(|part| part.name() == name)? {
            Part::Text { value, .. } => Some(value.clone()),
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

    /// Returns the same request with another value of a query parameter. An option for that parameter applies only to
    /// the first page.
    pub(crate) fn with_query(&self, name: &str, value: &str) -> Self {
        let mut request = self.clone();
        request.options.query.retain(|(have, _)| have != name);
        match request.query.iter_mut().find(|(have, _)| have == name) {
            Some((_, have)) => *have = value.into(),
            None => request.query.push((name.into(), value.into())),
        }
        request
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Starts to watch the deadline and the cancel handle of this call, which begins now.
    pub(crate) fn watch(&self) -> Watch {
        Watch::new(&self.session.settings().clock, self.options.deadline, self.options.cancel.clone())
    }

    /// Returns the name of the request in error messages, such as `GET /assets/65f…`.
    pub(crate) fn operation(&self) -> String {
        let mut operation = String::with_capacity(self.method.len() + 1 + self.path.len().min(200));
        operation.push_str(self.method);
        operation.push(' ');
        // The path is encoded, so it is printable, but it can be long.
        match self.path.get(200..) {
            None | Some("") => operation.push_str(&self.path),
            Some(_) => operation.push_str(&printable(&self.path, 200)),
        }
        operation
    }

    /// Sends the request and returns the whole response if it is a success.
    pub(crate) fn execute(&self) -> Result<HttpResponse<()>> {
        Ok(self.run()?.with(()))
    }

    /// Sends the request, with retries where they are safe, and returns the response if it is a success. The body of a
    /// stream has yet to be read.
    pub(crate) fn run(&self) -> Result<HttpResponse<LiveBody>> {
        self.check()?;
        let payload = self.payload()?;
        let plan = Plan {
            method: self.method,
            operation: self.operation(),
            target: Target::Api(self.url()),
            headers: self.headers(payload.as_ref())?,
            body: payload.as_ref().map(|payload| payload as &dyn engine::Body),
            idempotent: self.is_idempotent(),
            policy: self.policy(),
            cancel: self.options.cancel.clone(),
            stop: None,
        };
        engine::run(&self.session, plan).map_err(|e| self.with_hint(e, payload.as_ref()))
    }

    /// Returns the limits of this call.
    pub(crate) fn policy(&self) -> Policy {
        let timeout = if self.hints.slow { SLOW_TIMEOUT } else { DEFAULT_TIMEOUT };
        self.options.policy(&self.session, timeout, self.hints.stream)
    }

    /// Says whether sending the request twice has the same effect as sending it once.
    fn is_idempotent(&self) -> bool {
        let has_key =
            |headers: &[(String, String)]| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY));
        self.hints.idempotent || has_key(&self.headers) || has_key(&self.options.headers)
    }

    /// Checks that all arguments can be sent.
    fn check(&self) -> Result<()> {
        if let Some((argument, why)) = self.invalid.as_ref().or(self.options.invalid.as_ref()) {
            return Err(Error::invalid(argument, why));
        }
        if self.method == "GET" && !matches!(self.body, Body::None) {
            return Err(Error::invalid(
                "method",
                "must not be GET with a body; send the fields in the query, or use POST",
            ));
        }
        Ok(())
    }

    /// Checks that the form contains exactly one of two alternative fields.
    fn check_one_of(&self, parts: &[Part]) -> Result<()> {
        let Some(names) = self.hints.one_of else { return Ok(()) };
        match names.map(|name| parts.iter().any(|part| part.name() == name)) {
            [true, true] => Err(Error::invalid(names.join(" and "), "are both set; set one of them")),
            [false, false] => Err(Error::invalid(names.join(" or "), "is missing; set one of them")),
            _ => Ok(()),
        }
    }

    fn payload(&self) -> Result<Option<Payload>> {
        let extra = &self.options.body;
        let json = |fields: &Map<String, Value>| {
            let fields = encode::fields(fields, extra);
            Payload::json(&Value::Object(fields).to_string(), &self.attached).map(Some)
        };
        match &self.body {
            Body::None if self.hints.one_of.is_some() => self.check_one_of(&[]).map(|()| None),
            Body::None if extra.is_empty() => Ok(None),
            Body::None if self.method == "GET" => {
                Err(Error::invalid("additional_body_parameter", "cannot be sent: a GET request has no body"))
            }
            Body::None => json(&Map::new()),
            Body::Json(fields) => json(fields),
            Body::Form(parts) => {
                let parts = encode::parts(parts, extra)?;
                self.check_one_of(&parts)?;
                let mut payload = Payload::form(&parts)?;
                payload.progress.clone_from(&self.hints.progress);
                Ok(Some(payload))
            }
        }
    }

    fn url(&self) -> String {
        let base_url = &self.session.settings().options.base_url;
        encode::url(base_url, &self.path, self.query.iter().chain(&self.conditions), &self.options.query)
    }

    fn headers(&self, payload: Option<&Payload>) -> Result<HeaderMap> {
        let content_type = payload.and_then(|payload| payload.content_type.as_deref());
        let key = || format!("{:016x}{:016x}", random_bits(), random_bits());
        let key = self.hints.with_idempotency_key.then(key);
        let made = content_type.map(|value| ("content-type", value)).into_iter();
        let made = made.chain(key.as_deref().map(|key| (IDEMPOTENCY_KEY, key)));
        let given = self.session.settings().options.headers.iter().chain(&self.headers).chain(&self.options.headers);
        encode::headers(made.chain(given.map(|(name, value)| (name.as_str(), value.as_str()))))
    }

    /// Adds the hint about file sizes to an error that is, or may be, about the size.
    fn with_hint(&self, mut e: Error, payload: Option<&Payload>) -> Error {
        if let (Error::Api(e), Some((limit, hint))) = (&mut e, self.hints.size_limit) {
            let over = payload.and_then(Payload::file_length).is_some_and(|length| length > limit);
            let says_so = e.status == 413 || e.code.as_deref().is_some_and(|code| code.contains("filesize"));
            if says_so || (over && matches!(e.status, 400 | 422)) {
                Arc::make_mut(e).hint = Some(hint.to_string());
            }
        }
        e
    }

    /// Decodes the response to this request.
    pub(crate) fn decode<T: DeserializeOwned + 'static>(
        &self,
        response: &HttpResponse<()>,
        watch: &Watch,
    ) -> Result<T> {
        decode::body(&|| self.operation(), response, watch).map_err(|e| self.unreadable(e))
    }

    /// Notes in the error of an unreadable response that the platform may have acted.
    pub(crate) fn unreadable(&self, e: Error) -> Error {
        engine::unreadable(e, self.is_idempotent())
    }

    /// Returns the error for a response that broke off after it had started.
    pub(crate) fn failed(&self, failure: Failure) -> Error {
        let limit = self.session.settings().max_response_size;
        // The platform has acted, because its response had started.
        let Policy { timeout, deadline, .. } = self.policy();
        engine::failed(failure.with_limit(timeout, deadline), self.operation(), limit, true)
    }

    /// Redacts the API key in a response that becomes part of an error.
    pub(crate) fn redact<T>(&self, response: HttpResponse<T>) -> HttpResponse<()> {
        self.session.redact(response)
    }

    /// Redacts the API key in a part of a stream.
    pub(crate) fn redact_data(&self, mut response: HttpResponse<()>) -> HttpResponse<()> {
        self.session.redact_success(&mut response);
        response
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::None => f.write_str("None"),
            Body::Json(fields) => Unsigned(fields).fmt(f),
            Body::Form(parts) => parts.fmt(f),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation())
            .field("query", &Unsigned(&self.query))
            .field("conditions", &Unsigned(&self.conditions))
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error_body::api_error;

    #[test]
    fn a_slow_call_has_ten_minutes_unless_the_caller_says_otherwise() {
        let seconds = |request: Request| request.policy().timeout.as_secs();
        let builder = || crate::client::TwelveLabs::builder().api_key("key").base_url("http://h");
        let client = builder().build().unwrap();
        assert_eq!((seconds(client.0.post(&["x"])), seconds(client.0.post(&["x"]).slow())), (60, 600));
        let mut request = client.0.post(&["x"]).slow();
        request.options = RequestOptions::new().timeout(Duration::from_secs(7));
        assert_eq!(seconds(request), 7);
        let hasty = builder().timeout(Duration::from_secs(5)).build().unwrap();
        assert_eq!(seconds(hasty.0.post(&["x"]).slow()), 5);
    }

    #[test]
    fn a_refusal_for_size_has_a_hint() {
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
    fn only_idempotent_requests_may_be_repeated() {
        let client = crate::client::TwelveLabs::builder().api_key("key").base_url("http://h").build().unwrap();
        let session = client.0;
        for (method, repeatable) in
            [("GET", true), ("PUT", true), ("PATCH", true), ("DELETE", true), ("POST", false), ("post", false)]
        {
            assert_eq!(Request::new(&session, method, &["x"]).is_idempotent(), repeatable, "{method}");
        }
        let keyed = RequestOptions::new().additional_header("Idempotency-Key", "k");
        let other = RequestOptions::new().additional_header("x-other", "k");
        let mut request = session.post(&["x"]);
        request.options = other;
        assert!(!request.is_idempotent());
        request.options = keyed;
        assert!(request.is_idempotent());
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
