//! A small stateful stand-in for the platform, for the examples and the tests.
//!
//! It speaks HTTP on the loopback interface and keeps its assets in memory. A new asset is `processing` for the first
//! two polls and `ready` afterwards.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mockito::{Matcher, Mock, Request, Server, ServerGuard};
use serde_json::{json, Value};

/// How many polls see a new asset as `processing`.
const POLLS_UNTIL_READY: u32 = 2;

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
        let mocks = ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .into_iter()
            .map(|method| {
                let (for_status, for_body) = (Arc::clone(&state), Arc::clone(&state));
                server
                    .mock(method, Matcher::Any)
                    .with_header("content-type", "application/json")
                    .with_status_code_from_request(move |request| {
                        let mut state = lock(&for_status);
                        let (status, body) = state.answer(request);
                        state.pending_body = match body {
                            Value::Null => Vec::new(),
                            body => body.to_string().into_bytes(),
                        };
                        status
                    })
                    .with_body_from_request(move |_| std::mem::take(&mut lock(&for_body).pending_body))
                    .create()
            })
            .collect();
        Self { server, mocks, state }
    }

    /// The address to use as `base_url`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// How many assets it holds.
    pub fn asset_count(&self) -> usize {
        lock(&self.state).assets.len()
    }
}

#[derive(Default)]
struct State {
    assets: BTreeMap<String, Stored>,
    created: u64,
    pending_body: Vec<u8>,
}

struct Stored {
    asset: Value,
    polls: u32,
}

type Answer = (usize, Value);

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        if !request.has_header("x-api-key") {
            return error(401, "api_key_invalid", "The API key is missing.");
        }
        let path = request.path().trim_start_matches("/v1.3").trim_matches('/');
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method(), segments.as_slice()) {
            ("POST", ["assets"]) => self.create(request),
            ("GET", ["assets"]) => self.list(request),
            ("GET", ["assets", id]) => self.retrieve(id),
            ("DELETE", ["assets", id]) => self.delete(id),
            ("GET", ["assets", id, "transcription"]) => self.transcription(id, request),
            ("PUT" | "PATCH" | "DELETE", ["assets", id, "user-metadata"]) => self.change_metadata(id, request),
            (method, _) => error(404, "endpoint_not_found", &format!("There is no {method} /{path} in the stand-in.")),
        }
    }

    fn create(&mut self, request: &Request) -> Answer {
        let parts = form_parts(request);
        let part = |name: &str| parts.iter().find(|part| part.name == name);
        let text = |name: &str| part(name).map(|part| String::from_utf8_lossy(&part.content).into_owned());

        let method = text("method").unwrap_or_default();
        let (own_name, size) = match (method.as_str(), part("file"), text("url")) {
            ("direct", Some(file), _) => (file.filename.clone(), Some(file.content.len())),
            ("url", _, Some(url)) => (url.rsplit('/').next().map(str::to_owned), None),
            ("direct", None, _) => return error(400, "parameter_invalid", "The file parameter is missing."),
            ("url", _, None) => return error(400, "parameter_invalid", "The url parameter is missing."),
            _ => return error(400, "parameter_invalid", "The method parameter has to be direct or url."),
        };
        let filename = text("filename").or(own_name).unwrap_or_default();

        self.created += 1;
        // Ids grow, so that the map keeps the order of creation.
        let id = format!("65f0{:020x}", self.created);
        let mut asset = json!({
            "_id": id,
            "method": method,
            "status": "processing",
            "filename": filename,
            "file_type": file_type(&filename),
            "created_at": "2026-01-02T03:04:05Z",
        });
        if let Some(size) = size {
            asset["size"] = json!(size);
        }
        if let Some(metadata) = text("user_metadata").and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
            asset["user_metadata"] = metadata;
        }
        self.assets.insert(id, Stored { asset: asset.clone(), polls: 0 });
        (201, asset)
    }

    fn list(&self, request: &Request) -> Answer {
        let query = query_pairs(request);
        let all = |name: &str| -> Vec<&str> {
            query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
        };
        let number = |name: &str, default: usize| -> Option<usize> {
            match all(name).first() {
                None => Some(default),
                Some(text) => text.parse().ok().filter(|number| *number > 0),
            }
        };
        let (Some(page), Some(limit)) = (number("page", 1), number("page_limit", 10)) else {
            return error(400, "parameter_invalid", "page and page_limit have to be positive numbers.");
        };
        let (ids, types, names) = (all("asset_ids"), all("asset_types"), all("filename"));

        let found: Vec<&Value> = self
            .assets
            .values()
            .rev() // newest first
            .map(|stored| &stored.asset)
            .filter(|asset| {
                let field = |name: &str| asset[name].as_str().unwrap_or_default();
                let kind = field("file_type").split('/').next().unwrap_or_default();
                (ids.is_empty() || ids.contains(&field("_id")))
                    && (types.is_empty() || types.contains(&kind))
                    && (names.is_empty()
                        || names.iter().any(|name| field("filename").to_lowercase().contains(&name.to_lowercase())))
            })
            .collect();
        let data: Vec<&Value> = found.iter().copied().skip((page - 1).saturating_mul(limit)).take(limit).collect();
        let body = json!({
            "data": data,
            "page_info": {
                "page": page,
                "limit_per_page": limit,
                "total_page": found.len().div_ceil(limit),
                "total_results": found.len(),
            },
        });
        (200, body)
    }

    fn retrieve(&mut self, id: &str) -> Answer {
        let Some(stored) = self.assets.get_mut(id) else {
            return missing(id);
        };
        if stored.polls < POLLS_UNTIL_READY {
            stored.polls += 1;
        } else {
            stored.asset["status"] = json!("ready");
            stored.asset["duration"] = json!(12.5);
        }
        (200, stored.asset.clone())
    }

    fn delete(&mut self, id: &str) -> Answer {
        match self.assets.remove(id) {
            Some(_) => (204, Value::Null),
            None => missing(id),
        }
    }

    fn change_metadata(&mut self, id: &str, request: &Request) -> Answer {
        let Some(stored) = self.assets.get_mut(id) else {
            return missing(id);
        };
        let body: Value = request.body().ok().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let metadata = &mut stored.asset["user_metadata"];
        match (request.method(), body["user_metadata"].as_object()) {
            ("DELETE", _) => *metadata = json!({}),
            (_, None) => return error(400, "parameter_invalid", "The user_metadata parameter has to be an object."),
            ("PUT", Some(new)) => *metadata = json!(new),
            (_, Some(new)) => {
                for (name, value) in new {
                    metadata[name.as_str()] = value.clone();
                }
            }
        }
        (204, Value::Null)
    }

    fn transcription(&self, id: &str, request: &Request) -> Answer {
        let Some(stored) = self.assets.get(id) else {
            return missing(id);
        };
        if stored.asset["status"] != "ready" {
            return (200, json!({ "status": "processing" }));
        }
        let mut body = json!({ "status": "ready" });
        let asked = query_pairs(request);
        let asked: Vec<&str> =
            asked.iter().filter(|(key, _)| key == "include").flat_map(|(_, value)| value.split(',')).collect();
        let asked = if asked.is_empty() { vec!["words"] } else { asked };
        let levels = [
            (
                "words",
                json!([
                    { "start": 0.5, "end": 0.9, "value": "Hello" },
                    { "start": 0.9, "end": 1.2, "value": "there." },
                    { "start": 2.0, "end": 2.6, "value": "Welcome." },
                ]),
            ),
            (
                "sentences",
                json!([
                    { "start": 0.5, "end": 1.2, "value": "Hello there." },
                    { "start": 2.0, "end": 2.6, "value": "Welcome." },
                ]),
            ),
            ("utterances", json!([{ "start": 0.5, "end": 2.6, "value": "Hello there. Welcome." }])),
        ];
        for (level, lines) in levels {
            if asked.contains(&level) {
                body[level] = lines;
            }
        }
        (200, body)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(status: usize, code: &str, message: &str) -> Answer {
    (status, json!({ "code": code, "message": message }))
}

fn missing(id: &str) -> Answer {
    error(404, "resource_not_exist", &format!("Resource with id '{id}' does not exist in collection 'assets'"))
}

fn file_type(filename: &str) -> &'static str {
    match filename.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "mp3" | "wav" | "flac" | "m4a" | "aac" | "ogg" => "audio/mpeg",
        "png" | "jpg" | "jpeg" | "webp" => "image/jpeg",
        _ => "video/mp4",
    }
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
