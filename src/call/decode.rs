//! Reading JSON: strictly first, and only if that fails without what is malformed and can be spared.

use std::any::TypeId;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::error::{Error, Result};
use crate::response::HttpResponse;
use crate::response::describe;
use crate::text::{excerpt, looks_like_html, printable};

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

/// Decodes a value leniently: a malformed optional field, or element of a list in a field, is repaired or dropped with a
/// warning; a required one, an id, or anything that lacks or holds an id is an error.
pub(crate) fn from_value<T: DeserializeOwned>(mut value: Value) -> Result<T, String> {
    let mut first: Option<String> = None;
    for _ in 0..MOST_REPAIRS {
        let e = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(decoded) => return Ok(decoded),
            Err(e) => e,
        };
        let message = format!("`{}`: {}", e.path(), e.inner());
        let path = steps(e.path());
        let inner = e.inner().to_string();
        let missing = missing_field(&inner);
        if missing.is_some_and(is_id) || !repair(&mut value, &path, missing.is_some()) {
            return Err(printable(first.as_ref().unwrap_or(&message), 400));
        }
        log::warn!("a malformed field of an answer was repaired or left out: {}", printable(&message, 200));
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

/// The field that is missing, if that is what a message says.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

/// Repairs what is at `path`, or removes the innermost field or element around it that can be removed. `incomplete`:
/// what is there lacks a required field.
fn repair(value: &mut Value, path: &[Step], incomplete: bool) -> bool {
    if at(value, path).is_some_and(|found| whole(found).is_some()) {
        // Where one item of a list has 1.0 for 1, all have.
        each_at(value, path, &|found| {
            if let Some(whole) = whole(found) {
                *found = whole.into();
            }
        });
        return true;
    }
    for end in (1..=path.len()).rev() {
        let (above, last) = (&path[..end - 1], &path[end - 1]);
        let key = path[..end].iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key) } else { None });
        let Some(ids) = key.map(|key| is_id(key)) else { return false };
        let Some(found) = at(value, &path[..end]) else { continue };
        if ids && found.is_number() {
            // An id may have been a number once.
            each_at(value, &path[..end], &|found| {
                if found.is_number() {
                    *found = Value::String(found.to_string());
                }
            });
            return true;
        }
        if holds_id(found) {
            return false;
        }
        match (last, at(value, above)) {
            (Step::Key(key), Some(Value::Object(fields))) => drop(fields.remove(key)),
            (Step::Index(index), Some(Value::Array(items))) => {
                let gone = items.remove(*index);
                // An item that cannot be without what it lacks goes with its whole list, so that it is noticed; and a
                // vector that lacks a number would be another vector.
                let vector = !items.is_empty() && items.iter().all(Value::is_number);
                if vector || (incomplete && gone.is_object()) {
                    continue;
                }
            }
            _ => continue,
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

/// Changes what is at `path` and at the same place of all other elements of the lists on the way.
fn each_at(value: &mut Value, path: &[Step], change: &impl Fn(&mut Value)) {
    match (path.split_first(), value) {
        (None, value) => change(value),
        (Some((Step::Key(key), rest)), value) => {
            if let Some(value) = value.get_mut(key.as_str()) {
                each_at(value, rest, change);
            }
        }
        (Some((Step::Index(_), rest)), Value::Array(items)) => {
            items.iter_mut().for_each(|item| each_at(item, rest, change));
        }
        _ => {}
    }
}

/// The integer that was written as `1.0`.
fn whole(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|number| value.is_f64() && number.fract() == 0.0 && number.abs() < 9e15);
    number.map(|number| number as i64)
}

fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("_id") || key.ends_with("_ids")
}

fn holds_id(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| {
            let nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            (is_id(key) && !nothing) || holds_id(value)
        }),
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

    #[test]
    fn a_whole_list_may_have_floats_for_integers_and_numbers_for_ids() {
        #[derive(Deserialize, Debug, PartialEq)]
        struct Page {
            owners: Vec<Outer>,
            asset_ids: Vec<String>,
        }
        let owners: Vec<Value> = (0..500).map(|n| serde_json::json!({"_id": n, "size": f64::from(n)})).collect();
        let page = serde_json::json!({"owners": owners, "asset_ids": (0..500).collect::<Vec<_>>()});
        let page: Page = from_value(page).unwrap();
        assert_eq!((page.owners.len(), page.asset_ids.len()), (500, 500));
        assert_eq!(page.owners[499], Outer { id: "499".into(), size: Some(499), error: None, owner: None });
        assert_eq!(page.asset_ids[499], "499");
    }

    #[test]
    fn one_malformed_element_costs_only_itself_except_in_a_vector() {
        #[derive(Deserialize, Debug, PartialEq)]
        struct Lists {
            asset_ids: Option<Vec<String>>,
            errors: Option<Vec<Inner>>,
            float: Option<Vec<f32>>,
            owners: Option<Vec<Outer>>,
        }
        let read = |json: &str| from_json::<Lists>(json.as_bytes());
        let lists = read(r#"{"asset_ids":[{},"a",5],"errors":[5,{"message":"m"}],"float":[1.0,"x",2.0]}"#).unwrap();
        assert_eq!(lists.asset_ids.unwrap(), ["a", "5"]);
        assert_eq!(lists.errors.unwrap(), [Inner { message: "m".into() }]);
        assert_eq!(lists.float, None);
        let lists = read(r#"{"asset_ids":["a"],"errors":[{"message":"m"},{"message":5}]}"#).unwrap();
        assert_eq!((lists.asset_ids.unwrap().len(), lists.errors), (1, None), "an item is not lost in silence");
        let e = read(r#"{"owners":[{"_id":"1"},{"_id":null,"size":1}]}"#).unwrap_err();
        assert!(e.contains("owners[1]._id"), "{e}");
        assert!(read(r#"{"owners":[{"_id":"1"},{"size":1}]}"#).unwrap_err().contains("missing field `_id`"));
        assert_eq!(read(r#"{"owners":[{"_id":"1"},7]}"#).unwrap().owners.unwrap().len(), 1);
        assert!(from_json::<Vec<Inner>>(br#"[{"message":"m"},5]"#).is_err(), "an answer that is a list is whole");
    }
}
