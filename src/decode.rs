//! Reading JSON: strictly first, and only if that fails without what is malformed and can be spared.

use std::any::TypeId;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::call::HttpResponse;
use crate::error::{describe, excerpt, looks_like_html, printable, Error, Result};

/// How many malformed fields one answer may have.
const MOST_REPAIRS: usize = 100;

/// Decodes an answer. `Ok` means complete.
pub(crate) fn body<T: DeserializeOwned + 'static>(operation: &str, response: &HttpResponse<()>) -> Result<T> {
    let fail =
        |message: String| Error::Decode { operation: operation.into(), message, response: Box::new(response.clone()) };
    let bytes = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body);
    if looks_like_html(bytes) {
        return Err(fail(describe(response)));
    }
    let nothing = TypeId::of::<T>() == TypeId::of::<()>();
    let empty = bytes.iter().all(u8::is_ascii_whitespace);
    if empty && !nothing {
        return Err(fail(describe(response)));
    }
    from_json(if nothing { b"null" } else { bytes })
        .map_err(|why| fail(format!("{why}; the answer begins: {}", excerpt(bytes))))
}

/// Decodes one JSON text, or says what is wrong with it.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let strict = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(e) => e,
    };
    match serde_json::from_slice(bytes) {
        Ok(value) => from_value(value),
        Err(_) if std::str::from_utf8(bytes).is_err() => Err("the answer is not valid UTF-8".into()),
        Err(_) if strict.is_eof() => Err("the answer is cut off".into()),
        Err(_) => Err(format!("the answer is not JSON: {}", printable(&strict.to_string(), 200))),
    }
}

/// Decodes a value leniently: a malformed optional field is repaired or dropped with a warning; a required one, an
/// id, or anything that holds an id is an error.
pub(crate) fn from_value<T: DeserializeOwned>(mut value: Value) -> Result<T, String> {
    let mut first: Option<String> = None;
    for _ in 0..MOST_REPAIRS {
        let e = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(decoded) => return Ok(decoded),
            Err(e) => e,
        };
        let message = format!("`{}`: {}", e.path(), e.inner());
        let path = steps(e.path());
        if !repair(&mut value, &path) {
            return Err(printable(first.as_ref().unwrap_or(&message), 400));
        }
        log::warn!("a malformed field of an answer was left out: {}", printable(&message, 200));
        first.get_or_insert(message);
    }
    Err(format!("more than {MOST_REPAIRS} malformed fields, the first: {}", printable(&first.unwrap_or_default(), 300)))
}

enum Step {
    Key(String),
    Index(usize),
}

fn steps(path: &Path) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            _ => None,
        })
        .collect()
}

/// Repairs what is at `path`, or removes the innermost field around it that can be removed.
fn repair(value: &mut Value, path: &[Step]) -> bool {
    if let Some(Value::Number(number)) = at(value, path).map(|found| &*found) {
        let whole = number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < 9e15);
        if let (Some(whole), Some(place)) = (whole, at(value, path)) {
            *place = Value::from(whole as i64);
            return true;
        }
    }
    for end in (1..=path.len()).rev() {
        let Step::Key(key) = &path[end - 1] else { continue };
        let Some(Value::Object(parent)) = at(value, &path[..end - 1]) else { continue };
        match parent.get_mut(key) {
            // An id may have been a number once.
            Some(found @ Value::Number(_)) if is_id(key) => *found = Value::String(found.to_string()),
            Some(found) if holds_id(found) => return false,
            Some(_) => {
                parent.remove(key);
            }
            None => continue,
        }
        return true;
    }
    false
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()),
        Step::Index(index) => value.get_mut(*index),
    })
}

fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("_id")
}

fn holds_id(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| (is_id(key) && !value.is_null()) || holds_id(value)),
        Value::Array(items) => items.iter().any(holds_id),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Inner {
        message: String,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Outer {
        #[serde(rename = "_id")]
        id: String,
        size: Option<u64>,
        error: Option<Inner>,
        owner: Option<Box<Outer>>,
    }

    fn read(json: &str) -> Result<Outer, String> {
        from_json(json.as_bytes())
    }

    #[test]
    fn a_malformed_optional_field_does_not_lose_the_rest() {
        let outer = read(r#"{"_id":"1","size":"big","error":{"message":5}}"#).unwrap();
        assert_eq!(outer, Outer { id: "1".into(), size: None, error: None, owner: None });
        assert_eq!(read(r#"{"_id":"1","size":3.0}"#).unwrap().size, Some(3));
        assert_eq!(read(r#"{"_id":7,"size":-1}"#).unwrap().id, "7");
    }

    #[test]
    fn ids_are_never_hidden() {
        for bad in [r#"{"size":1}"#, r#"{"_id":null}"#, r#"{"_id":{}}"#, "{}", "[]", "5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(r#"{"_id":"1","owner":[{"_id":"2"}]}"#).unwrap_err().contains("owner"));
        assert!(read(r#"{"_id":"1""#).unwrap_err().contains("cut off"));
        assert!(read("no").unwrap_err().contains("not JSON"));
        assert!(from_json::<Outer>(b"{\"_id\":\"\xff\"}").unwrap_err().contains("UTF-8"));
    }

    /// The places of all values below `value`.
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
            _ => return,
        };
        for (key, value) in below {
            let at = format!("{at}/{key}");
            places(value, &at, found);
            found.push(at);
        }
    }

    /// Whether any one malformed field of the answer of a fixture, in which every optional field is set, costs at most
    /// itself. The ids are the places that are never malformed without an error.
    fn costs_at_most_itself<T: DeserializeOwned + serde::Serialize>(fixture: &str, ids: &[&str]) {
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let full = match &fixture["exchanges"][0]["response"]["body"] {
            Value::Array(lines) => &lines[0],
            body => body,
        };
        let mut found = Vec::new();
        places(full, "", &mut found);
        for place in found {
            let is_id = ids.contains(&place.as_str());
            for wrong in [Value::Null, Value::from("?"), Value::from(-2.5), Value::from(true), serde_json::json!([{}])]
            {
                let mut malformed = full.clone();
                *malformed.pointer_mut(&place).unwrap() = wrong.clone();
                let decoded: T = match from_value(malformed) {
                    Ok(decoded) => decoded,
                    Err(_) if is_id => continue,
                    Err(e) => panic!("{place} = {wrong}: {e}"),
                };
                let decoded = serde_json::to_value(decoded).unwrap();
                assert!(!is_id || decoded.pointer(&place).is_some_and(Value::is_string), "{place} = {wrong} is hidden");
                for (key, value) in full.as_object().unwrap() {
                    let touched = place.split('/').nth(1) == Some(key);
                    assert!(touched || !value.is_string() || &decoded[key] == value, "{place} = {wrong} lost {key}");
                }
            }
        }
    }

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../tests/fixtures/doc/", $name, ".json"))
        };
    }

    #[test]
    fn any_one_malformed_field_of_an_answer_costs_at_most_itself() {
        costs_at_most_itself::<crate::Asset>(fixture!("assets.retrieve"), &["/_id"]);
        costs_at_most_itself::<crate::Index>(fixture!("indexes.retrieve"), &["/_id"]);
        costs_at_most_itself::<crate::IndexedAsset>(fixture!("indexes.indexed_assets.retrieve"), &["/_id"]);
        costs_at_most_itself::<crate::VideoIndexingTask>(fixture!("tasks.retrieve"), &["/_id"]);
        costs_at_most_itself::<crate::AnalyzeResponse>(fixture!("analyze"), &[]);
        costs_at_most_itself::<crate::AnalyzeTask>(fixture!("analyze_async.tasks.retrieve"), &["/task_id"]);
        costs_at_most_itself::<crate::AnalyzeBatch>(fixture!("analyze_async.batches.retrieve"), &["/batch_id"]);
        let ids = ["/batch_id", "/items/0/task_id"];
        costs_at_most_itself::<crate::AnalyzeBatch>(fixture!("analyze_async.batches.create"), &ids);
        costs_at_most_itself::<crate::BatchResultItem>(fixture!("analyze_async.batches.results"), &["/task_id"]);
    }
}
