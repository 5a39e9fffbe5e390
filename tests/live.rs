//! Runs one cheap pass over the platform, and prints what differs from the types of the crate and from the stand-in:
//! unknown fields, values, states and headers. CONTRIBUTING.md says how much quota it uses.
//!
//! ```sh
//! TWELVELABS_API_KEY=tlk_… cargo test --test live -- --ignored --nocapture
//! ```

use std::fmt::{Debug, Display};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use twelvelabs::analyze::VideoContext;
use twelvelabs::assets::UploadMethod;
use twelvelabs::embed::EmbedInput;
use twelvelabs::indexes::IndexModelInput;
use twelvelabs::testing::{Fault, StandIn};
use twelvelabs::{Error, Headers, HttpResponse, PageInfo, TwelveLabs};

/// A clip of 5 s with a test picture and a tone. The platform accepts no less than 4 s and 360 by 360 pixels.
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/live/clip.mp4");
const MODEL: &str = "marengo3.0";
const RATE_LIMITS: [&str; 3] = ["x-ratelimit-", "x-ratelimit-request-", "x-ratelimit-duration-"];

#[test]
#[ignore = "it needs a key and uses some quota; see CONTRIBUTING.md"]
fn the_platform_is_as_expected() {
    let differences = pass(&TwelveLabs::from_env().expect("a key in TWELVELABS_API_KEY"));
    println!("{} differences", differences.len());
    differences.iter().for_each(|difference| println!("{difference}"));
    assert!(differences.is_empty(), "the platform differs from the expectations listed above");
}

#[test]
fn the_stand_in_is_as_expected_and_nothing_is_left_there() {
    let stand_in = StandIn::start();
    assert_eq!(pass(&stand_in.client()), [""; 0]);
    assert_eq!((stand_in.asset_count(), indexes(&stand_in)), (0, 0));
    for call in ["POST /assets", "GET /assets", "POST /analyze", "POST /embed-v2", "DELETE /assets/{id}"] {
        assert!(stand_in.count(call) > 0, "{call}");
    }
}

#[test]
fn differences_are_reported() {
    let stand_in = StandIn::start();
    let analysis = json!({
        "id": "65f0", "data": "A test picture.", "finish_reason": "bored", "usage": { "output_tokens": "many", "carbon": 1 },
    });
    stand_in.answer("POST /analyze", analysis);
    let told = pass(&stand_in.client());
    for part in ["analyze: usage.carbon is not known: 1", "usage.output_tokens", "Other(\"bored\")"] {
        assert!(told.iter().any(|difference| difference.contains(part)), "{part} of {told:#?}");
    }
    assert_eq!((told.len(), stand_in.asset_count(), indexes(&stand_in)), (3, 0, 0), "{told:#?}");
}

#[test]
fn created_resources_are_deleted_whatever_fails() {
    for failing in ["GET /assets/{id}", "POST /analyze", "POST /indexes", "POST /indexes/{id}/indexed-assets"] {
        let stand_in = StandIn::start();
        stand_in.fault(failing, Fault::status(400).always());
        let told = pass(&stand_in.client());
        assert!(told.iter().any(|difference| difference.contains("400")), "{failing}: {told:#?}");
        assert_eq!((stand_in.asset_count(), indexes(&stand_in)), (0, 0), "{failing}");
    }
}

fn indexes(stand_in: &StandIn) -> usize {
    stand_in.client().indexes().list().send().unwrap().count()
}

/// The created resources. They are deleted when this is dropped, however the test ends.
struct CleanUp<'a> {
    client: &'a TwelveLabs,
    asset: Option<String>,
    index: Option<String>,
}

impl CleanUp<'_> {
    fn run(&mut self) -> Result<(), Error> {
        let index = self.index.take().map_or(Ok(()), |id| self.client.indexes().delete(&id).send());
        let asset = self.asset.take().map_or(Ok(()), |id| self.client.assets().delete(&id).force(true).send());
        index.and(asset)
    }
}

impl Drop for CleanUp<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.run() {
            eprintln!("could not be deleted, do it by hand: {e:#}");
        }
    }
}

/// Uploads a clip, retrieves it, asks about it, indexes it and deletes it. Returns the differences of each step.
fn pass(client: &TwelveLabs) -> Vec<String> {
    let mut told = Differences(Vec::new());
    let mut made = CleanUp { client, asset: None, index: None };
    let result = steps(client, &mut made, &mut told);
    told.keep("no further", result);
    told.keep("delete", made.run());
    told.0
}

/// Runs the steps. Ends early only if the asset does not become ready.
fn steps(client: &TwelveLabs, made: &mut CleanUp, told: &mut Differences) -> Result<(), Error> {
    let assets = client.assets();
    let name = format!("crate-live-check-{}", OffsetDateTime::now_utc().unix_timestamp());
    let metadata = json!({ "check": name, "take": 1 });
    let created = assets.create(UploadMethod::direct(CLIP)).filename(format!("{name}.mp4")).user_metadata(&metadata);
    let asset = created.send_raw()?;
    let id = &*made.asset.insert(asset.data.id.clone());
    told.compare("create an asset", &asset);

    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = states.clone();
    let see = move |asset: &twelvelabs::assets::Asset| seen.lock().unwrap().push(format!("{:?}", asset.status));
    let ready = assets.wait_for_done(id).callback(see).send();
    for state in states.lock().unwrap().iter() {
        told.unknown_values("wait for the asset", state);
    }
    ready?;
    let retrieved = assets.retrieve(id).send_raw();
    told.answer("retrieve the asset", retrieved);
    if let Some(list) = told.keep("list assets", assets.list().asset_ids([id]).page_limit(1).send()) {
        let data = list.items().iter().filter_map(|item| item.as_ref().ok()).collect();
        let (page, response) = (Page { data, page_info: list.page_info() }, list.response());
        told.look("list assets", &page, &response.headers, &response.body);
    }
    let transcription = assets.retrieve_transcription(id).send_raw();
    match transcription {
        Err(e) if e.status() == Some(404) => println!("a tone has no transcription: {e}"),
        transcription => told.answer("retrieve the transcription", transcription),
    }

    let question = "What does the picture show? Answer in five words.";
    let analysis = client.analyze().video(VideoContext::asset_id(id)).prompt(question).max_tokens(64).send_raw();
    told.answer("analyze", analysis);
    let embedding = client.embed().v2().create(EmbedInput::text("a test picture"), MODEL).send_raw();
    told.answer("embed a text", embedding);

    let index = client.indexes().create(&name, [IndexModelInput::new(MODEL, ["visual"])]).send_raw()?;
    let index_id = &*made.index.insert(index.data.id.clone());
    told.compare("create an index", &index);
    let videos = client.indexes().indexed_assets();
    let video = videos.create(index_id, id).send_raw()?;
    told.compare("index the asset", &video);
    videos.wait_for_done(index_id, &video.data.id).send()?;
    let indexed = videos.retrieve(index_id, &video.data.id).send_raw();
    told.answer("retrieve the indexed asset", indexed);
    let retrieved = client.indexes().retrieve(index_id).send_raw();
    told.answer("retrieve the index", retrieved);
    Ok(())
}

/// A page of a list, as received.
#[derive(Debug, Serialize)]
struct Page<'a, T> {
    data: Vec<&'a T>,
    page_info: Option<&'a PageInfo>,
}

struct Differences(Vec<String>);

impl Differences {
    fn tell(&mut self, step: &str, what: impl Display) {
        self.0.push(format!("{step}: {what}"));
    }

    /// Records an error, and continues.
    fn keep<T>(&mut self, step: &str, result: Result<T, Error>) -> Option<T> {
        result.map_err(|e| self.tell(step, format_args!("{e:#}"))).ok()
    }

    fn answer<T: Debug + Serialize>(&mut self, step: &str, answer: Result<HttpResponse<T>, Error>) {
        if let Some(answer) = self.keep(step, answer) {
            self.compare(step, &answer);
        }
    }

    fn compare<T: Debug + Serialize>(&mut self, step: &str, answer: &HttpResponse<T>) {
        self.look(step, &answer.data, &answer.headers, &answer.body);
    }

    /// Compares a response with the value that was decoded from it.
    fn look<T: Debug + Serialize>(&mut self, step: &str, data: &T, headers: &Headers, body: &[u8]) {
        println!("{step}: {}", headers.get("x-trace-id").unwrap_or("no x-trace-id"));
        match (serde_json::from_slice(body), serde_json::to_value(data)) {
            (Ok(came), Ok(kept)) => self.fields(step, "", &came, &kept),
            (came, kept) => self.tell(step, format_args!("no JSON: {:?} {:?}", came.err(), kept.err())),
        }
        self.unknown_values(step, &format!("{data:?}"));
        if headers.get("x-trace-id").is_none() {
            self.tell(step, "the header x-trace-id is missing");
        }
        if !headers.get("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
            self.tell(step, format_args!("content-type is {:?}", headers.get("content-type")));
        }
        for (name, value) in headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)) {
            let is_known = RATE_LIMITS.iter().filter_map(|family| name.strip_prefix(family));
            let is_known = is_known.into_iter().any(|name| ["limit", "remaining", "used", "reset"].contains(&name));
            if name.starts_with(RATE_LIMITS[0]) && !is_known {
                self.tell(step, format_args!("the header {name} is not known: {value}"));
            }
        }
    }

    /// Records the enum values that the crate does not know. `Debug` shows them as `Other("…")`; quotes in other texts
    /// are escaped.
    fn unknown_values(&mut self, step: &str, debug: &str) {
        for part in debug.split("Other(\"").skip(1) {
            let value = part.split("\")").next().unwrap_or_default();
            self.tell(step, format_args!("a value is not known: Other({value:?})"));
        }
    }

    fn fields(&mut self, step: &str, path: &str, came: &Value, kept: &Value) {
        match (came, kept) {
            (Value::Object(came), Value::Object(kept)) => {
                for (name, value) in came.iter().filter(|(_, value)| !value.is_null()) {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    match kept.get(name) {
                        Some(kept) if !kept.is_null() => self.fields(step, &path, value, kept),
                        _ => self.tell(step, format_args!("{path} is not known: {value}")),
                    }
                }
            }
            (Value::Array(came), Value::Array(kept)) if came.len() == kept.len() => {
                for (place, (came, kept)) in came.iter().zip(kept).enumerate() {
                    self.fields(step, &format!("{path}[{place}]"), came, kept);
                }
            }
            // A vector is kept with the precision of `f32`.
            _ if came == kept || (came.is_number() && single(came) == single(kept)) => {}
            _ if date(came).is_some_and(|came| date(kept) == Some(came)) => {}
            _ => self.tell(step, format_args!("{path} is {came}, and was kept as {kept}")),
        }
    }
}

fn single(number: &Value) -> Option<f32> {
    number.as_f64().map(|number| number as f32)
}

fn date(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()
}
