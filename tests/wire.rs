//! Every call beside what the official SDK puts on the wire for it.
//!
//! A fixture holds the arguments of a call, the requests that the official SDK sent for it and the
//! answers that it was given. The same call is made here against a server that gives the same
//! answers; the requests must be the same, and nothing of the answers may be lost. Where this
//! crate differs on purpose, the fixture says so in `differs`.

mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::Serialize;
use serde_json::{json, Map, Value};
use server::{answer, client, Received, Server, Step, API_KEY};
use twelvelabs::{AssetType, Error, FileSource, Result, TwelveLabs, UploadMethod};

/// What a call gave: the decoded result as JSON, item by item for a list.
type Outcome = Vec<Result<Value>>;
type Row = fn(&TwelveLabs, &Args) -> Outcome;

/// One row for each method.
const ROWS: &[(&str, Row)] = &[
    ("assets.create", |client, _| one(client.assets().create(UploadMethod::direct(small_file())).send())),
    ("assets.delete", |client, args| {
        one(client
            .assets()
            .delete(&args.id())
            .when_some(args.get("force"), |call, value: bool| call.force(value))
            .send())
    }),
    ("assets.delete_user_metadata", |client, args| one(client.assets().delete_user_metadata(&args.id()).send())),
    ("assets.list", |client, args| {
        let pager = client
            .assets()
            .list()
            .when_some(args.get("page"), |call, value| call.page(value))
            .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
            .when_some(args.get("asset_ids"), |call, value: Vec<String>| call.asset_ids(value))
            .when_some(args.get("asset_types"), |call, value: Vec<AssetType>| call.asset_types(value))
            .when_some(args.get("filename"), |call, value: String| call.filename(value))
            .send();
        match pager {
            Ok(pager) => pager.map(|item| item.map(to_json)).collect(),
            Err(e) => vec![Err(e)],
        }
    }),
    ("assets.replace_user_metadata", |client, args| {
        one(client.assets().replace_user_metadata(&args.id(), args.value("user_metadata")).send())
    }),
    ("assets.retrieve", |client, args| one(client.assets().retrieve(&args.id()).send())),
    ("assets.retrieve_transcription", |client, args| {
        one(client
            .assets()
            .retrieve_transcription(&args.id())
            .when_some(args.get("include"), |call, value: Vec<String>| call.include(value))
            .send())
    }),
    ("assets.update_user_metadata", |client, args| {
        one(client.assets().update_user_metadata(&args.id(), args.value("user_metadata")).send())
    }),
];

/// The calls whose answers are assets, which are nothing without their id.
const WITH_ID: &[&str] = &["assets.create", "assets.list", "assets.retrieve"];

const FILE_BYTES: &[u8] = b"not really a video";

fn small_file() -> FileSource {
    FileSource::bytes("small.mp4", FILE_BYTES.to_vec())
}

fn one<T: Serialize>(result: Result<T>) -> Outcome {
    vec![result.map(to_json)]
}

fn to_json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("a result can be written as JSON")
}

/// The arguments of a call, by the names of the official SDK.
struct Args(Value);

impl Args {
    fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = self.0.get(name)?;
        Some(serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("argument {name}: {e}")))
    }

    fn value(&self, name: &str) -> Value {
        self.get(name).unwrap_or_else(|| panic!("argument {name} is missing"))
    }

    fn id(&self) -> String {
        self.get("asset_id").expect("argument asset_id")
    }
}

struct Fixture {
    label: String,
    method: String,
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
            let method = fixture["method"].as_str().expect("a method").to_string();
            let exchanges = fixture["exchanges"].as_array().expect("exchanges");
            Fixture {
                label: format!("{mode}/{method}"),
                args: Args(fixture["args"].clone()),
                differs: fixture["differs"].is_string(),
                requests: exchanges.iter().map(|exchange| exchange["request"].clone()).collect(),
                responses: exchanges.iter().map(|exchange| exchange["response"].clone()).collect(),
                method,
            }
        })
        .collect()
}

impl Fixture {
    /// Makes the call, compares its requests, and gives its outcome.
    fn play(&self) -> Outcome {
        let Some((_, row)) = ROWS.iter().find(|(method, _)| *method == self.method) else {
            panic!("{}: no row in tests/wire.rs makes this call", self.label);
        };
        let script = self.responses.iter().map(|response| {
            let status = response["status"].as_u64().and_then(|status| status.try_into().ok()).expect("a status");
            Step::Answer(answer(status, &response["body"]))
        });
        let server = Server::start(script);
        let (client, pauses) = client(&server);
        let outcome = row(&client, &self.args);
        let received = server.finish();
        assert_eq!(received.len(), self.requests.len(), "{}: number of requests", self.label);
        for (request, received) in self.requests.iter().zip(&received) {
            self.compare(request, received);
        }
        assert!(pauses.taken().is_empty(), "{}: nothing was tried again", self.label);
        outcome
    }

    fn compare(&self, expected: &Value, received: &Received) {
        let label = &self.label;
        assert_eq!(received.header("x-api-key"), Some(API_KEY), "{label}: key");
        assert_eq!(expected["method"], received.method, "{label}: method");
        assert_eq!(expected["path"], received.path, "{label}: path");
        assert_eq!(expected["query"], to_json(&received.query), "{label}: query");
        let body = &expected["body"];
        match body["kind"].as_str() {
            None => assert_eq!(received.body, b"", "{label}: body"),
            Some("json") => same(&body["json"], &received.json(), label),
            Some("multipart") => self.compare_form(body, received),
            Some(kind) => panic!("{label}: nobody compares a body of kind {kind}"),
        }
    }

    fn compare_form(&self, body: &Value, received: &Received) {
        let label = &self.label;
        let mut parts = received.parts();
        if self.method == "assets.create" {
            assert!(self.differs, "{label}: the difference is explained");
            let place = parts.iter().position(|part| part.name == "file").expect("a file");
            let file = parts.remove(place);
            assert_eq!(file.filename.as_deref(), Some("small.mp4"), "{label}: name of the file");
            assert_eq!(file.bytes, FILE_BYTES, "{label}: content of the file");
        }
        let parts: Vec<Value> =
            parts.iter().map(|part| json!({"name": part.name.clone(), "text": part.text()})).collect();
        assert_eq!(body["parts"], Value::Array(parts), "{label}: form");
    }

    /// What the outcome has to be, item by item.
    fn items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        for response in &self.responses {
            match response["body"].get("data").and_then(Value::as_array) {
                Some(data) if self.method.ends_with(".list") => items.extend(data.iter().cloned()),
                _ => items.push(response["body"].clone()),
            }
        }
        items
    }

    /// Whether the answers have assets without an id.
    fn lacks_ids(&self) -> bool {
        WITH_ID.contains(&self.method.as_str()) && self.items().iter().any(|item| item.get("_id").is_none())
    }

    /// Gives every asset of the answers a text of its own in the field `name`.
    fn number_assets(&mut self, name: &str) {
        let mut number = 0;
        self.each_asset(|asset| {
            number += 1;
            asset.insert(name.into(), format!("65f00000000000000000{number:04}").into());
        });
    }

    fn each_asset(&mut self, mut change: impl FnMut(&mut Map<String, Value>)) {
        let mut change = |asset: &mut Value| change(asset.as_object_mut().expect("an asset is an object"));
        for response in &mut self.responses {
            match response["body"].get_mut("data").and_then(Value::as_array_mut) {
                Some(data) => data.iter_mut().for_each(&mut change),
                None => change(&mut response["body"]),
            }
        }
    }

    fn check(mut self) {
        if self.lacks_ids() {
            assert!(self.differs, "{}: the difference is explained", self.label);
            // Pages that are all alike would be taken for the same page given again.
            self.number_assets("unknown_field");
            let outcome = self.play();
            assert_eq!(outcome.len(), self.items().len(), "{}: every item has its place", self.label);
            for item in outcome {
                match item {
                    Err(e @ Error::Decode { .. }) => {
                        assert!(e.to_string().contains("_id"), "{}: {e} names the id", self.label);
                    }
                    other => panic!("{}: an asset without an id is an error, not {other:?}", self.label),
                }
            }
            self.each_asset(|asset| drop(asset.remove("unknown_field")));
            self.number_assets("_id");
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

/// Compares two JSON values, except that null is the same as nothing, 10 the same as 10.0, and
/// times are the same if they are the same instant.
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
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Number(number) => json!(number.as_f64()),
        Value::String(text) => instant(text).into(),
        other => other.clone(),
    }
}

/// An RFC 3339 time in its shortest form; any other text as it is.
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
    let found: BTreeSet<&str> = fixtures.iter().map(|fixture| fixture.method.as_str()).collect();
    let rows: BTreeSet<&str> = ROWS.iter().map(|(method, _)| *method).collect();
    assert_eq!(found, rows, "every fixture has a row, and every row a fixture");
    fixtures.into_iter().for_each(Fixture::check);
}

#[test]
fn calls_with_every_argument() {
    check_all("doc");
}

#[test]
fn calls_with_the_least_arguments() {
    check_all("min");
}

#[test]
fn every_option_of_an_upload_is_a_form_part() {
    let server = Server::start([Step::Answer(answer(201, &json!({"_id": "a1"})))]);
    let (client, _) = client(&server);
    let metadata = json!({"category": "holiday", "rating": 9.3, "seen": true});
    let asset = client
        .assets()
        .create(UploadMethod::url("https://example.com/a%20b.mp4?x=1&y=é&z=--"))
        .filename("Holiday é.mp4")
        .enable_hls(true)
        .enable_thumbnail(false)
        .user_metadata(metadata.clone())
        .send()
        .unwrap();
    assert_eq!(asset.id, "a1");
    let received = server.finish();
    let parts = received[0].parts();
    let text = |name: &str| {
        let mut found = parts.iter().filter(|part| part.name == name);
        let part = found.next().unwrap_or_else(|| panic!("there is no part {name}"));
        assert!(found.next().is_none(), "there is one part {name}");
        assert_eq!(part.filename, None, "{name} is not a file");
        part.text()
    };
    assert_eq!(text("method"), "url");
    assert_eq!(text("url"), "https://example.com/a%20b.mp4?x=1&y=é&z=--");
    assert_eq!(text("filename"), "Holiday é.mp4");
    assert_eq!(text("enable_hls"), "true");
    assert_eq!(text("enable_thumbnail"), "false");
    assert_eq!(serde_json::from_str::<Value>(&text("user_metadata")).unwrap(), metadata);
    assert_eq!(parts.len(), 6);
}
