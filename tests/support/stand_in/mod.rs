//! A small stateful stand-in for the platform, for the examples and the tests.
//!
//! It speaks HTTP on the loopback interface and keeps everything in memory; each resource is a file of its own.
//! What takes the platform time is `processing` for the first two polls and `ready` afterwards.

#![allow(dead_code)]

mod analyze;
mod assets;
mod connections;
mod embed;
mod entity_collections;
mod indexes;
mod knowledge_stores;
mod responses;
mod search;
pub mod storage;
mod tasks;
mod uploads;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mockito::{Matcher, Mock, Request, Server, ServerGuard};
use serde_json::{Value, json};

/// How many polls see something new as not ready yet.
const POLLS_UNTIL_READY: u32 = 2;

/// The answers that come in pieces: their paths and types, and what a piece ends with.
const STREAMS: [(&str, &str, &str); 2] =
    [("/analyze$", "application/x-ndjson", "\n"), ("/responses$", "text/event-stream", "\n\n")];

/// The time between two pieces of a stream.
const BETWEEN_PIECES: Duration = Duration::from_millis(20);

/// The running stand-in. It stops answering when it is dropped.
pub struct StandIn {
    server: ServerGuard,
    mocks: Vec<Mock>,
    state: Arc<Mutex<State>>,
}

impl StandIn {
    /// Starts the stand-in on a free port.
    pub fn start() -> Self {
        let mut server = Server::new();
        let state = Arc::new(Mutex::new(State::default()));
        // One mock for each HTTP method takes every path and `answer` routes. The server handles one request at a
        // time and asks for the status before the body, so the status callback does the work and leaves the body for
        // the other.
        let mut mocks: Vec<Mock> = ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .into_iter()
            .map(|method| {
                let (for_status, for_body) = (Arc::clone(&state), Arc::clone(&state));
                server
                    .mock(method, Matcher::Any)
                    .expect_at_least(0) // or it takes the first request of a stream
                    .with_header("content-type", "application/json")
                    .with_status_code_from_request(move |request| lock(&for_status).begin_answer(request))
                    .with_body_from_request(move |_| std::mem::take(&mut lock(&for_body).pending_body))
                    .create()
            })
            .collect();
        for (path, content_type, end) in STREAMS {
            let (for_status, for_body) = (Arc::clone(&state), Arc::clone(&state));
            let stream = server
                .mock("POST", Matcher::Regex(path.into()))
                .match_body(Matcher::Regex(r#""stream":true"#.into()))
                .with_header("content-type", content_type)
                .with_status_code_from_request(move |request| lock(&for_status).begin_answer(request))
                .with_chunked_body(move |writer| {
                    let body = std::mem::take(&mut lock(&for_body).pending_body);
                    for piece in String::from_utf8_lossy(&body).split_inclusive(end) {
                        writer.write_all(piece.as_bytes())?;
                        std::thread::sleep(BETWEEN_PIECES);
                    }
                    Ok(())
                });
            mocks.push(stream.create());
        }
        Self { server, mocks, state }
    }

    /// The address to use as `base_url`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// How many assets it holds.
    pub fn asset_count(&self) -> usize {
        lock(&self.state).assets.count()
    }

    /// Sets how large the chunks of new sessions are, and how many URLs come with a session.
    pub fn chunks(&self, chunk_size: u64, first_urls: u32) {
        let uploads = &mut lock(&self.state).uploads;
        (uploads.chunk_size, uploads.first_urls) = (chunk_size, first_urls);
    }

    /// The host of the presigned URLs.
    pub fn storage(&self) -> storage::Storage {
        lock(&self.state).uploads.storage.clone()
    }

    /// The ids of all sessions, oldest first.
    pub fn upload_ids(&self) -> Vec<String> {
        lock(&self.state).uploads.ids()
    }

    /// Ends a session as if its 24 hours were over.
    pub fn expire_session(&self, upload_id: &str) {
        lock(&self.state).uploads.expire(upload_id);
    }

    /// The chunks that were reported of a session, in order, repetitions included.
    pub fn reported_chunks(&self, upload_id: &str) -> Vec<u32> {
        lock(&self.state).uploads.reported(upload_id)
    }

    /// The bytes of a completed upload.
    pub fn assembled(&self, upload_id: &str) -> Option<Vec<u8>> {
        lock(&self.state).uploads.assembled(upload_id)
    }

    /// Answers the next `times` requests of this method whose path contains `path` with an error.
    pub fn fail(&self, method: &str, path: &str, times: usize, status: usize, code: &str) {
        lock(&self.state).faults.push(Fault {
            method: method.into(),
            path: path.into(),
            passed: 0,
            times,
            answer: error(status, code, "The stand-in was told to answer like this."),
        });
    }

    /// Answers every such request with an error, but for the first `passed`.
    pub fn fail_after(&self, method: &str, path: &str, passed: usize, status: usize, code: &str) {
        let mut state = lock(&self.state);
        let answer = error(status, code, "The stand-in was told to answer like this.");
        let (method, path) = (method.into(), format!("{path}$"));
        state.faults.push(Fault { method, path, passed, times: usize::MAX, answer });
    }

    /// Takes back all errors that were asked for.
    pub fn forgive(&self) {
        lock(&self.state).faults.clear();
    }

    /// Sets how many looks see a new asset as not ready yet.
    pub fn polls_until_ready(&self, polls: u32) {
        lock(&self.state).assets.polls_until_ready = polls;
    }

    /// The same for requests whose path ends with `path`.
    pub fn fail_exactly(&self, method: &str, path: &str, times: usize, status: usize, code: &str) {
        self.fail(method, &format!("{path}$"), times, status, code);
    }

    /// How many requests of this method came whose path contains `path`.
    pub fn requests(&self, method: &str, path: &str) -> usize {
        lock(&self.state).log.iter().filter(|(have, at)| have == method && at.contains(path)).count()
    }
}

/// Everything that the stand-in knows, resource by resource.
#[derive(Default)]
struct State {
    analyses: analyze::Analyses,
    assets: assets::Assets,
    connections: connections::Connections,
    entity_collections: entity_collections::EntityCollections,
    embeddings: embed::Embeddings,
    uploads: uploads::Uploads,
    indexes: indexes::Indexes,
    knowledge_stores: knowledge_stores::KnowledgeStores,
    responses: responses::Responses,
    searches: search::Searches,
    tasks: tasks::Tasks,
    created: u64,
    faults: Vec<Fault>,
    log: Vec<(String, String)>,
    pending_body: Vec<u8>,
}

struct Fault {
    method: String,
    path: String,
    /// How many requests get through before.
    passed: usize,
    times: usize,
    answer: Answer,
}

/// A status and a body.
type Answer = (usize, Vec<u8>);

impl State {
    /// Answers with the status, and keeps the body until it is asked for.
    fn begin_answer(&mut self, request: &Request) -> usize {
        let (status, body) = self.answer(request);
        self.pending_body = body;
        status
    }

    fn answer(&mut self, request: &Request) -> Answer {
        if !request.has_header("x-api-key") {
            return error(401, "api_key_invalid", "The API key is missing.");
        }
        let path = request.path().trim_start_matches("/v1.3").trim_matches('/').to_string();
        self.log.push((request.method().into(), path.clone()));
        let due = |fault: &&mut Fault| {
            fault.times > 0
                && fault.method == request.method()
                && match fault.path.strip_suffix('$') {
                    Some(end) => path.ends_with(end),
                    None => path.contains(fault.path.as_str()),
                }
        };
        if let Some(fault) = self.faults.iter_mut().find(due) {
            match fault.passed.checked_sub(1) {
                Some(left) => fault.passed = left,
                None => {
                    fault.times -= 1;
                    return fault.answer.clone();
                }
            }
        }
        let segments: Vec<String> = path.split('/').map(percent_decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        // The first resource that knows the path answers.
        let resources = [
            analyze::answer,
            uploads::answer,
            assets::answer,
            connections::answer,
            embed::answer,
            entity_collections::answer,
            indexes::answer,
            knowledge_stores::answer,
            responses::answer,
            search::answer,
            tasks::answer,
        ];
        resources.iter().find_map(|answer| answer(self, request, &segments)).unwrap_or_else(|| {
            let method = request.method();
            error(404, "endpoint_not_found", &format!("There is no {method} /{path} in the stand-in."))
        })
    }

    /// An id that no other thing has. Ids grow, so that a map keeps the order of creation.
    fn new_id(&mut self) -> String {
        self.created += 1;
        format!("65f0{:020x}", self.created)
    }
}

/// An answer with a JSON body; none for null.
fn reply(status: usize, body: &Value) -> Answer {
    (status, if body.is_null() { Vec::new() } else { body.to_string().into_bytes() })
}

/// An answer with one JSON text a line.
fn lines(status: usize, lines: &[Value]) -> Answer {
    (status, lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes())
}

/// The page that was asked for, of all items.
fn page(request: &Request, all: &[Value]) -> Answer {
    match page_of("data", request, all) {
        Ok(body) => reply(200, &body),
        Err(()) => error(400, "parameter_invalid", "page and page_limit have to be positive numbers."),
    }
}

/// The same, with the items in a field of another name.
fn page_of(field: &str, request: &Request, all: &[Value]) -> Result<Value, ()> {
    let query = query_pairs(request);
    let number = |name: &str, default: usize| match query.iter().find(|(key, _)| key == name) {
        None => Ok(default),
        Some((_, text)) => text.parse().ok().filter(|number| *number > 0).ok_or(()),
    };
    let (page, limit) = (number("page", 1)?, number("page_limit", 10)?);
    let items: Vec<&Value> = all.iter().skip((page - 1).saturating_mul(limit)).take(limit).collect();
    Ok(json!({
        field: items,
        "page_info": {
            "page": page,
            "limit_per_page": limit,
            "total_page": all.len().div_ceil(limit),
            "total_results": all.len(),
        },
    }))
}

/// The JSON body of a request, or null.
fn json_body(request: &Request) -> Value {
    request.body().ok().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(status: usize, code: &str, message: &str) -> Answer {
    reply(status, &json!({ "code": code, "message": message }))
}

fn missing(collection: &str, id: &str) -> Answer {
    error(404, "resource_not_exist", &format!("Resource with id '{id}' does not exist in collection '{collection}'"))
}

fn query_pairs(request: &Request) -> Vec<(String, String)> {
    let (_, query) = request.path_and_query().split_once('?').unwrap_or_default();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(key), percent_decoded(value))
        })
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                decoded.push(byte);
                at += 2;
            }
            (None, b'+') => decoded.push(b' '),
            (None, byte) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

struct Part {
    name: String,
    filename: Option<String>,
    content: Vec<u8>,
}

/// Reads a form body, roughly: enough for what this crate sends.
fn form_parts(request: &Request) -> Vec<Part> {
    let content_type =
        request.header("content-type").first().and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let Some((_, boundary)) = content_type.split_once("boundary=") else {
        return Vec::new();
    };
    let delimiter = format!("\r\n--{}", boundary.trim_matches('"')).into_bytes();
    let mut body = b"\r\n".to_vec();
    body.extend_from_slice(request.body().map(Vec::as_slice).unwrap_or_default());

    let mut parts = Vec::new();
    let mut rest = body.as_slice();
    while let Some(start) = find(rest, &delimiter) {
        let after = &rest[start + delimiter.len()..];
        let Some(end) = find(after, &delimiter) else {
            break;
        };
        if let Some(part) = form_part(&after[..end]) {
            parts.push(part);
        }
        rest = &after[end..];
    }
    parts
}

fn form_part(part: &[u8]) -> Option<Part> {
    let head_end = find(part, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&part[..head_end]);
    let disposition = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    Some(Part {
        name: quoted(disposition, " name=\"")?,
        filename: quoted(disposition, " filename=\""),
        content: part[head_end + 4..].to_vec(),
    })
}

fn quoted(line: &str, before: &str) -> Option<String> {
    let (_, rest) = line.split_once(before)?;
    rest.split_once('"').map(|(value, _)| value.replace("%22", "\""))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(step) = haystack.get(from..)?.iter().position(|byte| *byte == needle[0]) {
        if haystack[from + step..].starts_with(needle) {
            return Some(from + step);
        }
        from += step + 1;
    }
    None
}
