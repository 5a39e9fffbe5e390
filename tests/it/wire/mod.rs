//! Compares every call with what the official SDK sends for it.
//!
//! A fixture contains the arguments of a call, the requests that the official SDK sent, and the responses it was given.
//! The same call is made here against a server that gives the same responses. The requests must be the same, and
//! nothing in the responses may be lost. Where this crate deliberately differs, the fixture explains it in `differs`.
//! The calls are in one file for each resource.

mod analyze;
mod assets;
mod data_connectors;
mod embed;
mod entity_collections;
mod imports;
mod indexes;
mod knowledge_stores;
mod malformed;
mod multipart_upload;
mod responses;
mod search;
mod tasks;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::files::sha256;
use crate::server::{API_KEY, Received, Server, Step, answer_of_type, answer_with, client};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use twelvelabs::{Error, FileSource, Result, SyncPager, TwelveLabs};

/// The outcome of a call: the decoded result as JSON, or one result for each item of a list.
type Outcome = Vec<Result<Value>>;

/// The equivalent of a method of the official SDK.
struct Row {
    /// The method, such as `indexes.indexed_assets.list`.
    method: &'static str,
    call: fn(&TwelveLabs, &Args) -> Outcome,
    /// The required field: a response or an item without it is an error.
    id: Option<&'static str>,
    result: Results,
    /// The fields of the last response that the result contains, unless it contains all of them.
    only: Option<&'static [&'static str]>,
}

/// The responses that form the outcome of a call.
#[derive(Clone, Copy, PartialEq)]
enum Results {
    /// Each response, or the items of each response that is a page.
    Each,
    /// Each response as a whole, even if it is a page.
    Whole,
    /// Only the last response.
    Last,
}

impl Row {
    const fn new(method: &'static str, call: fn(&TwelveLabs, &Args) -> Outcome) -> Self {
        Row { method, call, id: None, result: Results::Each, only: None }
    }

    /// Names the field whose absence is an error that names it.
    const fn id(mut self, name: &'static str) -> Self {
        self.id = Some(name);
        self
    }

    /// Forms the result from these fields of the last response.
    const fn only(mut self, fields: &'static [&'static str]) -> Self {
        self.result = Results::Last;
        self.only = Some(fields);
        self
    }

    /// Treats a page as one result instead of a list of items.
    const fn whole(mut self) -> Self {
        self.result = Results::Whole;
        self
    }

    /// Treats only the last response as the result.
    const fn last(mut self) -> Self {
        self.result = Results::Last;
        self
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [
        analyze::ROWS,
        assets::ROWS,
        data_connectors::ROWS,
        embed::ROWS,
        entity_collections::ROWS,
        imports::ROWS,
        indexes::ROWS,
        knowledge_stores::ROWS,
        multipart_upload::ROWS,
        responses::ROWS,
        search::ROWS,
        tasks::ROWS,
    ]
    .into_iter()
    .flatten()
}

fn one<T: Serialize>(result: Result<T>) -> Outcome {
    vec![result.map(to_json)]
}

fn list<T: Serialize + DeserializeOwned + 'static>(pager: Result<SyncPager<T>>) -> Outcome {
    match pager {
        Ok(pager) => pager.map(|item| item.map(to_json)).collect(),
        Err(e) => vec![Err(e)],
    }
}

fn to_json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("a result can be written as JSON")
}

/// The arguments of a call, under the names of the official SDK.
struct Args(Value);

impl Args {
    /// Returns an argument, if the call has it.
    fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = self.0.get(name)?;
        Some(serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("argument {name}: {e}")))
    }

    /// Returns an argument that the call requires.
    fn value<T: DeserializeOwned>(&self, name: &str) -> T {
        self.get(name).unwrap_or_else(|| panic!("argument {name} is missing"))
    }

    fn text(&self, name: &str) -> String {
        self.value(name)
    }

    /// Returns a file among the arguments, if the call has it.
    fn file(&self, name: &str) -> Option<FileSource> {
        let file = self.0.get(name)?;
        let content = BASE64_STANDARD.decode(file["base64"].as_str()?).expect("the content of a file");
        Some(FileSource::bytes(file["$file"].as_str().unwrap_or("upload"), content))
    }
}

struct Fixture {
    label: String,
    row: &'static Row,
    args: Args,
    differs: bool,
    requests: Vec<Value>,
    responses: Vec<Value>,
}

fn fixtures(mode: &str) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(mode);
    let mut files: Vec<_> = fs::read_dir(folder).expect("the fixtures").map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).expect("a fixture");
            let fixture: Value = serde_json::from_str(&text).expect("a fixture is JSON");
            let method = fixture["method"].as_str().expect("a method");
            let exchanges = fixture["exchanges"].as_array().expect("exchanges");
            let row = rows().find(|row| row.method == method);
            Fixture {
                label: format!("{mode}/{method}"),
                row: row.unwrap_or_else(|| panic!("{mode}/{method}: no row in tests/it/wire makes this call")),
                args: Args(fixture["args"].clone()),
                differs: fixture["differs"].is_string(),
                requests: exchanges.iter().map(|exchange| exchange["request"].clone()).collect(),
                responses: exchanges.iter().map(|exchange| exchange["response"].clone()).collect(),
            }
        })
        .collect()
}

/// Returns server-sent events with this data and the end marker.
fn server_sent_events(events: &[Value]) -> String {
    let event = |data: &Value| {
        let name = data["type"].as_str().map(|name| format!("event: {name}\n"));
        format!("{}data: {data}\n\n", name.unwrap_or_default())
    };
    events.iter().map(event).collect::<String>() + "data: [DONE]\n\n"
}

/// Returns the field with the items of a response that is a page of a list.
fn page_items(body: &Value) -> Option<&'static str> {
    let marks = ["page_info", "next_page_token", "effective_search_options"];
    marks.iter().find(|name| body.get(name).is_some())?;
    ["data", "uploaded_chunks"].into_iter().find(|name| body.get(name).is_some_and(Value::is_array))
}

impl Fixture {
    /// Returns the script with which a server at this port plays the recorded responses.
    fn script(&self, responses: &[Value], port: u16) -> Vec<Step> {
        let is_chunk = |request: &Value| request["path"].as_str().is_some_and(|path| path.starts_with("/_s3/"));
        let sends_chunks = self.requests.iter().any(is_chunk);
        let step = |response: &Value| {
            let status = response["status"].as_u64().and_then(|status| status.try_into().ok()).expect("a status");
            let headers: Vec<(&str, &str)> =
                response["headers"].as_object().into_iter().flatten().filter_map(text_pair).collect();
            Step::Answer(match (&response["body"], response["content_type"].as_str()) {
                (Value::Array(events), Some("text/event-stream")) => {
                    answer_of_type(status, "text/event-stream", &server_sent_events(events))
                }
                // The response has one JSON text on each line.
                (Value::Array(lines), Some(kind)) if kind != "application/json" => {
                    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
                    answer_of_type(status, kind, &lines)
                }
                // The presigned URLs lead to the same server, which also receives the chunks.
                (body, _) if sends_chunks => {
                    let body = body.to_string().replace("127.0.0.1:PORT", &format!("127.0.0.1:{port}"));
                    answer_with(status, &headers, &serde_json::from_str(&body).expect("still JSON"))
                }
                (body, _) => answer_with(status, &headers, body),
            })
        };
        responses.iter().map(step).collect()
    }

    /// Makes the call, compares its requests, and returns its outcome.
    fn play(&self) -> Outcome {
        let server = Server::start_with(|port| self.script(&self.responses, port));
        let (client, pauses) = client(&server);
        let outcome = (self.row.call)(&client, &self.args);
        let received = server.finish();
        assert_eq!(received.len(), self.requests.len(), "{}: number of requests", self.label);
        for (request, received) in self.requests.iter().zip(&received) {
            self.compare(request, received);
        }
        assert!(
            pauses.taken().is_empty() || self.row.result == Results::Last,
            "{}: no request was retried",
            self.label
        );
        outcome
    }

    fn compare(&self, expected: &Value, received: &Received) {
        let label = &self.label;
        if expected["path"].as_str().is_some_and(|path| path.starts_with("/_s3/")) {
            assert_eq!(received.header("x-api-key"), None, "{label}: the storage does not receive the key");
        } else {
            assert_eq!(received.header("x-api-key"), Some(API_KEY), "{label}: key");
        }
        for (name, value) in expected["headers"].as_object().into_iter().flatten().filter_map(text_pair) {
            assert_eq!(received.header(name), Some(value), "{label}: header {name}");
        }
        assert_eq!(expected["method"], received.method, "{label}: method");
        assert_eq!(expected["path"], received.path, "{label}: path");
        assert_eq!(expected["query"], to_json(&received.query), "{label}: query");
        let body = &expected["body"];
        match body["kind"].as_str() {
            None => assert_eq!(received.body, b"", "{label}: body"),
            Some("json") => same(&body["json"], &received.json(), label),
            Some("bytes") => {
                assert_eq!(body["content_type"].as_str(), received.header("content-type"), "{label}: type");
                assert_eq!(body["size"], received.body.len(), "{label}: size");
                assert_eq!(body["sha256"], sha256(&received.body), "{label}: content");
            }
            Some("multipart") => self.compare_form(body, received),
            Some(kind) => panic!("{label}: a body of kind {kind} is not compared"),
        }
    }

    fn compare_form(&self, body: &Value, received: &Received) {
        let parts: Vec<Value> = received
            .parts()
            .iter()
            .map(|part| match &part.filename {
                None => json!({"name": part.name, "text": part.text()}),
                Some(filename) => json!({
                    "name": part.name,
                    "filename": filename,
                    "content_type": part.content_type,
                    "size": part.bytes.len(),
                    "sha256": sha256(&part.bytes),
                }),
            })
            .collect();
        assert_eq!(body["parts"], Value::Array(parts), "{}: form", self.label);
    }

    /// Returns the expected outcome, item by item.
    fn items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        for response in &self.responses {
            let body = &response["body"];
            match (page_items(body), body) {
                (Some(name), _) if self.row.result == Results::Each => {
                    items.extend(body[name].as_array().into_iter().flatten().cloned());
                }
                (_, Value::Array(lines)) => items.extend(lines.iter().cloned()),
                _ => items.push(body.clone()),
            }
        }
        match self.row.result {
            Results::Last => {
                let mut last = items.pop();
                if let (Some(Value::Object(fields)), Some(only)) = (&mut last, self.row.only) {
                    fields.retain(|name, _| only.contains(&name.as_str()));
                }
                last.into_iter().collect()
            }
            Results::Each | Results::Whole => items,
        }
    }

    /// Returns whether an item in the responses lacks its required id.
    fn lacks_ids(&self) -> bool {
        self.row.id.is_some_and(|id| self.items().iter().any(|item| item.get(id).is_none_or(Value::is_null)))
    }

    /// Gives each item in the responses a unique text in the field `name`.
    fn number_items(&mut self, name: &str) {
        let mut number = 0;
        self.each_item(|item| {
            number += 1;
            item.insert(name.into(), format!("65f00000000000000000{number:04}").into());
        });
    }

    fn each_item(&mut self, mut change: impl FnMut(&mut Map<String, Value>)) {
        let pages = self.row.result == Results::Each;
        let mut change = |item: &mut Value| change(item.as_object_mut().expect("an item is an object"));
        for response in &mut self.responses {
            let body = &mut response["body"];
            match page_items(body).filter(|_| pages) {
                Some(name) => body[name].as_array_mut().into_iter().flatten().for_each(&mut change),
                None => match body {
                    Value::Array(lines) => lines.iter_mut().for_each(&mut change),
                    body => change(body),
                },
            }
        }
    }

    fn check(mut self) {
        if let Some(id) = self.row.id.filter(|_| self.lacks_ids()) {
            assert!(self.differs, "{}: the difference is explained", self.label);
            // Identical pages would count as the same page returned again.
            self.number_items("unknown_field");
            let outcome = self.play();
            assert_eq!(outcome.len(), self.items().len(), "{}: every item has its own result", self.label);
            for item in outcome {
                match item {
                    Err(e @ Error::Decode { .. }) => {
                        assert!(e.to_string().contains(id), "{}: {e} does not name the id", self.label);
                    }
                    other => panic!("{}: an answer without `{id}` is an error, not {other:?}", self.label),
                }
            }
            self.each_item(|item| drop(item.remove("unknown_field")));
            self.number_items(id);
        }
        let outcome = self.play();
        let expected = self.items();
        assert_eq!(outcome.len(), expected.len(), "{}: number of items", self.label);
        for (expected, item) in expected.iter().zip(outcome) {
            let item = item.unwrap_or_else(|e| panic!("{}: {e}", self.label));
            same(expected, &item, &self.label);
        }
    }
}

fn text_pair<'a>((name, value): (&'a String, &'a Value)) -> Option<(&'a str, &'a str)> {
    Some((name, value.as_str()?))
}

/// Compares two JSON values. Null equals a missing field, and 10 equals 10.0. Times are equal if they are the same
/// instant, and vectors if they are the same with the precision of `f32`.
fn same(expected: &Value, found: &Value, label: &str) {
    assert_eq!(normal(expected), normal(found), "{label}");
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), normal(value)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) if items.iter().all(Value::is_number) => {
            items.iter().map(|number| json!(number.as_f64().unwrap_or_default() as f32)).collect()
        }
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Number(number) => json!(number.as_f64()),
        Value::String(text) => instant(text).into(),
        other => other.clone(),
    }
}

/// Returns an RFC 3339 time in its shortest form, and any other text unchanged.
fn instant(text: &str) -> String {
    let shape = text.bytes().take(19).map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    let Some(local) = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00")) else {
        return text.into();
    };
    if !shape.eq(*b"0000-00-00T00:00:00") {
        return text.into();
    }
    match local.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            let dot = if fraction.is_empty() { "" } else { "." };
            format!("{whole}{dot}{fraction}Z")
        }
        None => format!("{local}Z"),
    }
}

fn check_all(mode: &str) {
    let fixtures = fixtures(mode);
    let found: BTreeSet<&str> = fixtures.iter().map(|fixture| fixture.row.method).collect();
    let rows: BTreeSet<&str> = rows().map(|row| row.method).collect();
    assert_eq!(found, rows, "every row has a fixture");
    fixtures.into_iter().for_each(Fixture::check);
}

#[test]
fn calls_with_every_argument() {
    check_all("doc");
}

#[test]
fn calls_with_the_fewest_arguments() {
    check_all("min");
}

/// The list comes from the official package: see `tests/wire/record.py`.
#[test]
fn no_method_of_the_official_sdk_is_missing() {
    let listed = include_str!("../../fixtures/methods.txt").lines().filter(|line| !line.starts_with('#'));
    let listed: BTreeSet<&str> = listed.collect();
    let rows: BTreeSet<&str> = rows().map(|row| row.method).collect();
    let missing: Vec<_> = listed.difference(&rows).collect();
    assert!(
        missing.is_empty(),
        "the official SDK has these methods, and no row in tests/it/wire calls them: {missing:?}"
    );
    let unknown: Vec<_> = rows.difference(&listed).collect();
    assert!(unknown.is_empty(), "the official SDK has no such methods: {unknown:?}");
}
