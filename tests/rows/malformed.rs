//! Answers in which one place is malformed, for every place of every fixture: it costs at most itself.
//!
//! A place is replaced by null, by values of other types and by a text that nobody knows. All ids and all other values
//! of the answer have to be in the outcome nevertheless. What is not whole without its id is an error that names the
//! id; so is an answer, or an item of a list, that is no object.

use std::collections::BTreeMap;

use serde_json::{json, Value};

use crate::server::{client, Server};
use crate::{fixtures, normal, page_items, Fixture, Outcome, Results};

/// How many failures are told.
const MOST_TOLD: usize = 30;

/// One place of one answer, and what is put there.
struct Case<'a> {
    fixture: &'a Fixture,
    response: usize,
    place: &'a str,
    wrong: Value,
}

fn sweep(mode: &str) {
    let (mut cases, mut failures) = (0, Vec::new());
    for mut fixture in fixtures(mode) {
        if let Some(id) = fixture.row.id.filter(|_| fixture.lacks_ids()) {
            fixture.number_items(id);
        }
        fixture.keep_one_page();
        let server = Server::start([]);
        let (client, _) = client(&server);
        let mut play = |fixture: &Fixture, responses: &[Value]| {
            // What a call asks for beyond the answers: the last again while it waits, an empty page else.
            let more = match fixture.row.result {
                Results::Last => fixture.responses.last().cloned().unwrap_or_default(),
                _ => json!({"status": 200, "content_type": "application/json", "body": {"data": []}}),
            };
            server.rewind(responses.iter().chain([&more, &more]).map(crate::step));
            (fixture.row.call)(&client, &fixture.args)
        };
        if let Err(why) = with_unknown_fields(&fixture, &mut play) {
            failures.push(format!("{} with unknown fields: {why}", fixture.label));
        }
        for response in 0..fixture.responses.len() {
            let body = &fixture.responses[response]["body"];
            if body.is_null() {
                continue;
            }
            let mut found = Vec::new();
            places(body, String::new(), &mut found);
            for place in &found {
                let there = body.pointer(place).expect("a place");
                for wrong in wrong_values(there) {
                    let case = Case { fixture: &fixture, response, place, wrong };
                    cases += 1;
                    if let Err(why) = case.check(play(&fixture, &case.responses())) {
                        failures.push(format!("{} at {place:?} = {}: {why}", fixture.label, case.wrong));
                    }
                }
            }
        }
    }
    let told = failures.iter().take(MOST_TOLD).map(|failure| format!("\n  {failure}")).collect::<String>();
    assert!(failures.is_empty(), "{} of {cases} malformed answers:{told}", failures.len());
    assert!(cases > 0, "there are places");
}

impl Fixture {
    /// The numbered pages of a list are alike: one of them will do.
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

/// A field that nobody knows, in every object of every answer, does no harm.
fn with_unknown_fields(fixture: &Fixture, play: &mut impl FnMut(&Fixture, &[Value]) -> Outcome) -> Result<(), String> {
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
    let (kept, errors) = split(play(fixture, &responses));
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
        let body = &self.fixture.responses[self.response]["body"];
        let page = page_items(body).filter(|_| self.fixture.row.result == Results::Each);
        let lines = self.fixture.responses[self.response]["content_type"] != "application/json";
        let (above, key) = self.place.rsplit_once('/').unwrap_or_default();
        // The places of the items of a list, and whether this is in one, is one, or is the id of one.
        let list = page.map_or_else(String::new, |name| format!("/{name}"));
        let depth = if page.is_some() || body.is_array() { 1 } else { 0 };
        let inside = self.place.strip_prefix(list.as_str()).unwrap_or_default();
        let level = inside.matches('/').count();
        let is_item = self.place.starts_with(&list) && level == depth;
        let is_id_of_item = self.place.starts_with(&list) && level == depth + 1 && self.fixture.row.id == Some(key);
        let item = inside.split('/').nth(1).filter(|_| depth == 1).map_or_else(String::new, |n| format!("{list}/{n}"));
        let named = |name: &str| errors.iter().any(|error| error.contains(name));

        if is_item || (page.is_some() && self.place.is_empty()) || self.place == list {
            // No answer, no list or no item: an error. A list that is null is an empty one.
            let nothing = self.wrong.is_null() && (self.place == list && page.is_some());
            let ignored = self.fixture.row.id.is_none() && kept.iter().all(Value::is_null);
            let skipped = self.fixture.row.result == Results::Last;
            return if nothing || ignored || skipped || !errors.is_empty() { Ok(()) } else { Err("no error".into()) };
        }
        if is_id_of_item && !self.wrong.is_number() && !self.wrong.is_string() {
            return if named(key) { has_all(&kept, &self.without(&item)) } else { Err(format!("{errors:?}")) };
        }
        if key == "event_type" || (lines && !errors.is_empty()) {
            // An event that nobody knows is passed over, and a stream may then be without its end.
            return has_all(&kept, &self.without(&item));
        }
        if self.place.starts_with("/page_info") && page.is_some() {
            // With a wrong number of pages more may be asked for; with no token there are no more.
            let ends = self.wrong.is_null() || !errors.is_empty();
            let only_token = body["page_info"].get("next_page_token").is_some() && ends;
            return if only_token { Ok(()) } else { has_all(&kept, &self.fixture.items()) };
        }
        match errors.first() {
            // Whatever else has an id may be lost with it, but not silently.
            Some(_) if is_id(key) && named(key) => has_all(&kept, &self.without(&item)),
            Some(_) if is_id(above.rsplit('/').next().unwrap_or_default()) => Ok(()),
            Some(error) => Err(error.clone()),
            None => has_all(&kept, &self.without(self.place)),
        }
    }

    /// The items without what is at a place; numbers of a vector count together.
    fn without(&self, place: &str) -> Vec<Value> {
        let mut reduced = Fixture {
            label: String::new(),
            row: self.fixture.row,
            args: crate::Args(Value::Null),
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

/// Whether all values of what was expected are there, as often and under the same names.
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

/// The places of a value and of all below it. Elements of a list that have the same fields are alike.
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

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("_id") || key.ends_with("_ids")
}

/// Null, values of other types, and for a text one that nobody knows.
fn wrong_values(there: &Value) -> impl Iterator<Item = Value> + '_ {
    let kind = std::mem::discriminant(there);
    [json!(null), json!("?!"), json!(-2.5), json!(true), json!([{}]), json!({"?": 1})]
        .into_iter()
        .filter(move |wrong| there.is_string() || std::mem::discriminant(wrong) != kind)
}

#[test]
fn one_malformed_place_of_a_full_answer_costs_at_most_itself() {
    sweep("doc");
}

#[test]
fn one_malformed_place_of_a_sparse_answer_costs_at_most_itself() {
    sweep("min");
}
