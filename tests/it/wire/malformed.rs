//! Malformed responses: every place of every fixture is malformed in turn, and at most that place may be lost.
//!
//! Each place is replaced with null, with values of other types, and with an unknown text, which must be kept. All
//! other ids and values of the response must be in the outcome. A resource without its id is an error that names the
//! id. A response or an item that is not an object is an error, and so is a malformed field with results.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use twelvelabs::{CancelHandle, Clock, Error, RequestOptions, TwelveLabs};

use crate::server::{Server, Step, answer, answer_of_type, builder, client};
use crate::wire::{Fixture, Outcome, Results, fixtures, instant, normal, page_items};

/// The maximum number of failures to print.
const MAX_TOLD: usize = 30;
const THREADS: usize = 2;

/// The fields with the results of a call. A malformed value in one of them is an error, and no element is dropped.
const RESULTS: [&str; 26] = [
    "arguments",
    "audio_embedding",
    "clips",
    "content",
    "data",
    "document_embedding",
    "embedding",
    "embedding_uncertainty",
    "entities",
    "errors",
    "float",
    "image_embedding",
    "items",
    "matches",
    "output",
    "result",
    "segments",
    "sentences",
    "text_embedding",
    "thumbnail_urls",
    "transcription",
    "upload_urls",
    "uploaded_chunks",
    "utterances",
    "video_embedding",
    "words",
];

/// A place in a response, and the value that replaces it.
struct Case<'a> {
    fixture: &'a Fixture,
    response: usize,
    place: &'a str,
    wrong: Value,
}

fn sweep(mode: &str) {
    // The fixtures are distributed over a few threads, so that the test takes only a few seconds.
    let mut hands: [Vec<Fixture>; THREADS] = Default::default();
    // Calls of several steps are tested elsewhere.
    let fixtures = fixtures(mode).into_iter().filter(|fixture| fixture.row.only.is_none());
    fixtures.enumerate().for_each(|(n, fixture)| hands[n % THREADS].push(fixture));
    let threads = hands.map(|hand| thread::spawn(move || hand.into_iter().map(spoil).collect::<Vec<_>>()));
    let spoilt: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().expect("a sweep")).collect();
    let cases: usize = spoilt.iter().map(|(cases, _)| cases).sum();
    let failures: Vec<&String> = spoilt.iter().flat_map(|(_, failures)| failures).collect();
    let told: String = failures.iter().take(MAX_TOLD).map(|failure| format!("\n  {failure}")).collect();
    assert!(failures.is_empty(), "{} of {cases} malformed responses are misread:{told}", failures.len());
    assert!(cases > 0, "no place was found to change");
}

/// Plays a fixture with each place of its responses malformed in turn. Returns the number of cases and the failures.
fn spoil(mut fixture: Fixture) -> (usize, Vec<String>) {
    let (mut cases, mut failures) = (0, Vec::new());
    if let Some(id) = fixture.row.id.filter(|_| fixture.lacks_ids()) {
        fixture.number_items(id);
    }
    fixture.keep_one_page();
    fixture.responses.iter_mut().for_each(|response| double_lists(&mut response["body"]));
    let server = Server::start([]);
    let (client, _) = client(&server);
    let play = |responses: &[Value]| {
        // The responses to further requests: a wait gets the last response again, and any other call gets an empty
        // page.
        let more = match fixture.row.result {
            Results::Last => fixture.responses.last().cloned().unwrap_or_default(),
            _ => json!({"status": 200, "content_type": "application/json", "body": {"data": []}}),
        };
        let responses = [responses, &[more.clone(), more]].concat();
        server.rewind(fixture.script(&responses, server.port()));
        (fixture.row.call)(&client, &fixture.args)
    };
    if let Err(why) = unknown_fields_do_no_harm(&fixture, play) {
        failures.push(format!("{} with unknown fields: {why}", fixture.label));
    }
    for (response, answer) in fixture.responses.iter().enumerate().filter(|(_, answer)| !answer["body"].is_null()) {
        let mut found = Vec::new();
        places(&answer["body"], String::new(), &mut found);
        for place in &found {
            for wrong in wrong_values(answer["body"].pointer(place).expect("a place")) {
                let case = Case { fixture: &fixture, response, place, wrong };
                cases += 1;
                if let Err(why) = case.check(play(&case.responses())) {
                    failures.push(format!("{} at {place:?} = {}: {why}", fixture.label, case.wrong));
                }
            }
        }
    }
    (cases, failures)
}

impl Fixture {
    /// Keeps only the first page of a list with numbered pages, because all of them are alike.
    fn keep_one_page(&mut self) {
        let numbered = |response: &Value| response["body"]["page_info"]["page"].is_number();
        if self.row.result == Results::Each && self.responses.iter().all(numbered) {
            self.responses.truncate(1);
            for response in &mut self.responses {
                response["body"]["page_info"]["total_page"] = json!(1);
            }
        }
    }
}

/// Adds a second element to every list of one, to see that it is not lost with the first.
fn double_lists(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(double_lists),
        Value::Array(items) => {
            items.iter_mut().for_each(double_lists);
            if let [only @ (Value::Object(_) | Value::String(_))] = items.as_slice() {
                items.push(only.clone());
            }
        }
        _ => {}
    }
}

/// Adds an unknown field to every object of every response.
fn unknown_fields_do_no_harm(fixture: &Fixture, play: impl Fn(&[Value]) -> Outcome) -> Result<(), String> {
    fn add(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(add);
                fields.insert("unknown_field".into(), json!({"a": [1, null]}));
            }
            Value::Array(items) => items.iter_mut().for_each(add),
            _ => {}
        }
    }
    let mut responses = fixture.responses.clone();
    responses.iter_mut().for_each(|response| add(&mut response["body"]));
    let (kept, errors) = split(play(&responses));
    match errors.first() {
        Some(error) => Err(error.clone()),
        None => has_all(&kept, &fixture.items()),
    }
}

impl Case<'_> {
    fn responses(&self) -> Vec<Value> {
        let mut responses = self.fixture.responses.clone();
        *responses[self.response]["body"].pointer_mut(self.place).expect("a place") = self.wrong.clone();
        responses
    }

    fn check(&self, outcome: Outcome) -> Result<(), String> {
        let (kept, errors) = split(outcome);
        let (row, place) = (self.fixture.row, self.place);
        let answer = &self.fixture.responses[self.response];
        let (body, kind) = (&answer["body"], answer["content_type"].as_str().unwrap_or_default());
        let key = place.rsplit('/').next().unwrap_or_default();
        let has_failed = !errors.is_empty();
        let is_named = errors.iter().any(|error| error.contains(&format!("{key}`")));

        // The items are in a field of a page, in the lines of a stream, or the response itself.
        let page = page_items(body).filter(|_| row.result == Results::Each).map(|name| format!("/{name}"));
        let list = page.as_deref().unwrap_or_default();
        let below: Vec<&str> = match place.strip_prefix(list) {
            Some(below) if page.is_some() || body.is_array() => below.split('/').skip(1).collect(),
            _ => Vec::new(),
        };
        let item = below.first().map_or_else(String::new, |item| format!("{list}/{item}"));

        if place.is_empty() || place == list || place == item {
            // A call fails without its response, its list or its item. But a list that is null is empty, some calls
            // have no response, and a wait polls again.
            let is_empty = self.wrong.is_null() && (place == list || body.is_array());
            let has_none = row.id.is_none() && kept.iter().all(Value::is_null);
            let may_be = has_failed || is_empty || has_none || row.result == Results::Last;
            return if may_be { Ok(()) } else { Err("there is no error".into()) };
        }
        if row.id == Some(key) && place == format!("{item}/{key}") {
            let is_id = !has_failed && (self.wrong.is_number() || self.wrong.is_string());
            return match is_named {
                true => has_all(&kept, &self.without(&item)),
                false if is_id => has_all(&kept, &self.without(place)),
                false => Err(format!("no error names the id: {errors:?}")),
            };
        }
        if (place.starts_with("/page_info") || place == "/next_page_token") && page.is_some() {
            // A wrong number of pages takes one more request. An unreadable token is an error, and not the end of the
            // list.
            let has_token = !body["page_info"]["page"].is_number() && (has_failed || self.wrong.is_null());
            return if has_token { Ok(()) } else { has_all(&kept, &self.fixture.items()) };
        }
        let is_type = key == "event_type" || (kind == "text/event-stream" && place == format!("{item}/type"));
        if is_type || (["application/x-ndjson", "text/event-stream"].contains(&kind) && has_failed) {
            // An unknown event is skipped, and a stream that cannot be read any further is an error.
            return if has_failed { Ok(()) } else { has_all(&kept, &self.without(&item)) };
        }
        if is_id(key) && is_named {
            // The item that needs this id is lost with it, but an error says so.
            return if row.result == Results::Last { Ok(()) } else { has_all(&kept, &self.without(&item)) };
        }
        let is_within = row.id.is_some_and(|id| {
            place.starts_with(&format!("{item}/{id}/")) && errors.iter().any(|error| error.contains(&format!("`{id}[")))
        });
        if is_within {
            // The required field is a list, and one of its items lacks something. An error is better than fewer items.
            return Ok(());
        }
        if let Some(name) = self.result_field() {
            let is_named = errors.iter().any(|e| e.contains(&format!("{name}`")) || e.contains(&format!("{name}[")));
            let may_lack = self.wrong.is_null() && !is_item(place);
            return match is_named {
                true => Ok(()),
                false if may_lack || row.result == Results::Last => has_all(&kept, &self.without(place)),
                false => Err("a result is malformed, and no error says so".into()),
            };
        }
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        let there = body.pointer(place).and_then(Value::as_str).unwrap_or_default();
        let is_time = instant(there) != there || there.ends_with('Z');
        let is_kept = row.result != Results::Last && (page.is_none() || !item.is_empty());
        if self.wrong.is_string() && !there.is_empty() && !is_time && is_kept {
            let (mut found, text) = (BTreeMap::new(), self.wrong.to_string());
            kept.iter().for_each(|value| leaves("", value, &mut found));
            if !found.keys().any(|(_, value)| *value == text) {
                return Err("the unknown text is lost".into());
            }
        }
        has_all(&kept, &self.without(place))
    }

    /// Returns the field with a result or with ids whose value is replaced with a value of another type.
    fn result_field(&self) -> Option<&str> {
        let there = self.fixture.responses[self.response]["body"].pointer(self.place)?;
        let name = self.place.split('/').rev().find(|step| step.parse::<usize>().is_err())?;
        let is_part = name == "text" && self.place.strip_suffix("/text").is_some_and(is_item);
        // The values in a schema have no fixed type.
        let is_schema = self.place.contains("/segment_definitions/");
        let is_result = is_part || (RESULTS.contains(&name) && !is_schema) || (is_id(name) && is_item(self.place));
        let is_other = std::mem::discriminant(there) != std::mem::discriminant(&self.wrong);
        // A number in a list of ids may be an id.
        let is_id = is_id(name) && self.wrong.is_number();
        Some(name).filter(|_| is_result && is_other && !is_id)
    }

    /// Returns the items without the value at a place. The numbers of a vector are removed together.
    fn without(&self, place: &str) -> Vec<Value> {
        let mut reduced = Fixture {
            label: String::new(),
            row: self.fixture.row,
            args: crate::wire::Args(Value::Null),
            differs: false,
            requests: Vec::new(),
            responses: self.fixture.responses.clone(),
        };
        let body = &mut reduced.responses[self.response]["body"];
        match place.rsplit_once('/') {
            None => *body = Value::Null,
            Some((above, key)) => match body.pointer_mut(above) {
                Some(Value::Array(items)) if items.iter().all(Value::is_number) => items.clear(),
                Some(Value::Array(items)) => drop(items.remove(key.parse().expect("an index"))),
                Some(parent) => drop(parent.as_object_mut().expect("an object").remove(&unescaped(key))),
                None => {}
            },
        }
        reduced.items()
    }
}

fn split(outcome: Outcome) -> (Vec<Value>, Vec<String>) {
    let (mut kept, mut errors) = (Vec::new(), Vec::new());
    for item in outcome {
        match item {
            Ok(value) => kept.push(value),
            Err(e) => errors.push(e.to_string()),
        }
    }
    (kept, errors)
}

/// Checks that all expected values are there, as often and under the same names.
fn has_all(kept: &[Value], expected: &[Value]) -> Result<(), String> {
    let (mut have, mut want) = (BTreeMap::new(), BTreeMap::new());
    kept.iter().for_each(|value| leaves("", &normal(value), &mut have));
    expected.iter().for_each(|value| leaves("", &normal(value), &mut want));
    match want.iter().find(|(leaf, count)| have.get(*leaf).unwrap_or(&0) < count) {
        Some(((name, value), _)) => Err(format!("{name} {value} is lost")),
        None => Ok(()),
    }
}

fn leaves(name: &str, value: &Value, found: &mut BTreeMap<(String, String), usize>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(name, value, found)),
        Value::Array(items) => items.iter().for_each(|item| leaves(name, item, found)),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default() as f32;
            *found.entry((name.into(), number.to_string())).or_default() += 1;
        }
        other => *found.entry((name.into(), other.to_string())).or_default() += 1,
    }
}

/// Collects the places of a value and of everything below it. Elements of a list with the same fields count as one.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            let mut seen = Vec::new();
            for (n, item) in items.iter().enumerate() {
                let shape = item.as_object().map(|fields| fields.keys().collect::<Vec<_>>());
                if !seen.contains(&shape) {
                    places(item, format!("{at}/{n}"), found);
                    seen.push(shape);
                }
            }
        }
        _ => {}
    }
    found.push(at);
}

/// Returns whether a place is an element of a list.
fn is_item(place: &str) -> bool {
    place.rsplit('/').next().is_some_and(|key| key.parse::<usize>().is_ok())
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("_id") || key.ends_with("_ids")
}

/// Returns null, values of other types, and for a text an unknown text.
fn wrong_values(there: &Value) -> impl Iterator<Item = Value> + '_ {
    let kind = std::mem::discriminant(there);
    [json!(null), json!("?!"), json!(-2.5), json!(true), json!([{}]), json!({"?": 1})]
        .into_iter()
        .filter(move |wrong| there.is_string() || std::mem::discriminant(wrong) != kind)
}

#[test]
fn one_malformed_place_of_a_full_response_loses_at_most_itself() {
    sweep("doc");
}

#[test]
fn one_malformed_place_of_a_sparse_response_loses_at_most_itself() {
    sweep("min");
}

/// A clock that moves by one second each time it is read, and cancels a handle at a given time.
struct Ticking {
    start: Instant,
    looks: Arc<AtomicU64>,
    cancel: CancelHandle,
    until: u64,
}

impl Clock for Ticking {
    fn now(&self) -> Instant {
        let looks = self.looks.fetch_add(1, Ordering::SeqCst);
        if looks == self.until {
            self.cancel.cancel();
        }
        self.start + Duration::from_secs(looks)
    }
}

/// Makes a call on a [`Ticking`] clock, with a deadline in seconds and a cancellation at `until`. Returns its outcome and
/// how often the clock was read.
fn on_ticking_clock<T>(
    server: &Server,
    deadline: u64,
    until: u64,
    call: impl FnOnce(&TwelveLabs, RequestOptions) -> T,
) -> (T, u64) {
    let (looks, cancel) = (Arc::<AtomicU64>::default(), CancelHandle::new());
    let clock = Ticking { start: Instant::now(), looks: looks.clone(), cancel: cancel.clone(), until };
    let client = builder(server).clock(clock).build().unwrap();
    let options = RequestOptions::new().deadline(Duration::from_secs(deadline)).cancel_handle(&cancel);
    (call(&client, options), looks.load(Ordering::SeqCst))
}

#[test]
fn the_deadline_and_the_cancel_handle_apply_during_a_repair() {
    const WORDS: u64 = 5000;
    let words: Vec<Value> = (0..WORDS).map(|n| json!({"start": "?", "end": n})).collect();
    let body = answer(200, &json!({"_id": "1", "words": words}));
    let server = Server::start((0..3).map(|_| Step::Answer(body.clone())));
    let read = |deadline, until| {
        on_ticking_clock(&server, deadline, until, |client, options| {
            client.assets().retrieve_transcription("1").request_options(options).send()
        })
    };
    let (outcome, looks) = read(1_000_000, u64::MAX);
    assert!(outcome.unwrap().words.is_some_and(|words| words.len() as u64 == WORDS) && looks > WORDS);
    let (outcome, looks) = read(1000, u64::MAX);
    let e = outcome.unwrap_err();
    assert!(e.is_timeout() && e.to_string().contains("while its malformed response was being repaired"), "{e}");
    assert!((1000..1100).contains(&looks), "{looks}");
    let (outcome, looks) = read(1_000_000, 1000);
    assert!(outcome.unwrap_err().is_canceled() && (1000..1010).contains(&looks), "{looks}");
}

#[test]
fn the_deadline_and_the_cancel_handle_apply_while_a_stream_is_repaired() {
    type Read = fn(&TwelveLabs, RequestOptions) -> Result<usize, Error>;
    const FAULTS: usize = 5000;
    let faults = vec!["NaN"; FAULTS].join(",");
    let line = format!("{{\"event_type\":\"new\",\"task_id\":\"1\",\"list\":[{faults}]}}");
    let typed = format!("{{\"type\":\"response.created\",\"response\":{{\"id\":\"r\",\"more\":[{faults}]}}}}");
    let end = "{\"event_type\":\"stream_end\"}";
    let lines = answer_of_type(200, "application/x-ndjson", &format!("{line}\n{end}\n"));
    let events = |data: &str| {
        let end = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}";
        answer_of_type(200, "text/event-stream", &format!("data: {data}\n\n{end}\n\n"))
    };
    let respond: Read = |client, options| {
        let stream = client.responses().create_stream("k", "?").request_options(options).send()?;
        stream.collect::<Result<Vec<_>, _>>().map(|events| events.len())
    };
    let streams: [(Vec<u8>, Read); 4] = [
        (lines.clone(), |client, options| {
            let stream = client.analyze_stream().request_options(options).send()?;
            stream.collect::<Result<Vec<_>, _>>().map(|events| events.len())
        }),
        (lines, |client, options| {
            let results = client.analyze_async().batches().results("b").request_options(options).send()?;
            let results: Vec<_> = results.collect();
            // The second line is not a result, but it is an item. A stopped stream yields only its error.
            let count = results.len();
            assert!(results[0].is_ok() || count == 1, "{results:?}");
            results.into_iter().next().expect("a first line").map(|_| count)
        }),
        (events(&line), respond),
        (events(&typed), respond),
    ];
    for (n, (body, read)) in streams.into_iter().enumerate() {
        let server = Server::start((0..3).map(|_| Step::Answer(body.clone())));
        let read = |deadline, until| on_ticking_clock(&server, deadline, until, read);
        let (outcome, looks) = read(1_000_000, u64::MAX);
        assert_eq!(outcome.unwrap(), 2, "{n}");
        assert!(looks > FAULTS as u64, "{n}: {looks}");
        let (outcome, looks) = read(1000, u64::MAX);
        let e = outcome.unwrap_err();
        assert!(e.is_timeout() && (1000..1100).contains(&looks), "{n}: {e} {looks}");
        let (outcome, looks) = read(1_000_000, 1000);
        let e = outcome.unwrap_err();
        assert!(e.is_canceled() && (1000..1020).contains(&looks), "{n}: {e} {looks}");
    }
}
