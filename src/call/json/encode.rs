//! Encodes arguments as JSON. A value that JSON cannot represent is kept as an error until the request is sent. It
//! never becomes `null`.

use std::fmt;

use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::call::json::finite::Checked;
use crate::text::{Unsigned, printable};

/// Converts a value to JSON, or says why that is impossible: a number is not finite, or its serializer failed.
pub(crate) fn to_value(value: &(impl Serialize + ?Sized)) -> Result<Value, String> {
    Checked(value).serialize(serde_json::value::Serializer).map_err(|e| printable(&e.to_string(), 400))
}

/// Converts a value that is an object, or the JSON text of an object.
pub(crate) fn to_object(value: &(impl Serialize + ?Sized)) -> Result<Map<String, Value>, String> {
    let value = match to_value(value)? {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        value => value,
    };
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err("must be an object of names and values, or the JSON text of one".into()),
    }
}

/// Says why a value cannot be a query parameter. Silently leaving it out could turn a filtered list into a list of
/// everything.
pub(crate) fn unwritable(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => Some("is null, which a query cannot contain; leave it out, or use `when_some`"),
        Value::Array(items) if items.is_empty() => Some("is an empty list; leave it out if it does not matter"),
        Value::Object(fields) if fields.is_empty() => Some("is an empty object; leave it out if it does not matter"),
        Value::Array(items) => items.iter().find_map(unwritable),
        Value::Object(fields) => fields.values().find_map(unwritable),
        _ => None,
    }
}

/// The fields of an input, and the first invalid one. An input with an invalid field cannot be sent.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Fields {
    fields: Map<String, Value>,
    fault: Option<String>,
}

impl Fields {
    pub(crate) fn set(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.insert(name, to_value(value));
    }

    pub(crate) fn set_object(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.insert(name, to_object(value).map(Value::Object));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.fault.is_none()
    }

    /// Returns the fields, or the reason why the first invalid one cannot be sent.
    pub(crate) fn checked(&self) -> Result<&Map<String, Value>, &str> {
        self.fault.as_deref().map_or(Ok(&self.fields), Err)
    }

    fn insert(&mut self, name: &str, value: Result<Value, String>) {
        match value {
            Ok(value) => drop(self.fields.insert(name.into(), value)),
            Err(why) => self.refuse(name, why),
        }
    }

    /// Records why a field cannot be sent, unless another field was refused before.
    pub(crate) fn refuse(&mut self, name: &str, why: String) {
        self.fault.get_or_insert_with(|| format!("`{name}`: {why}"));
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        Fields { fields, fault: None }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Some(fault) => fault.fmt(f),
            None => Unsigned(&self.fields).fmt(f),
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.checked().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Into::into)
    }
}

/// The metadata of an upload, or the reason why it cannot be sent, kept until a request uses it.
#[derive(Debug, Clone)]
pub(crate) struct Metadata(Result<Map<String, Value>, String>);

impl Metadata {
    pub(crate) fn new(metadata: &impl Serialize) -> Self {
        Metadata(to_object(metadata))
    }

    pub(crate) fn check(&self) -> Result<(), &str> {
        self.0.as_ref().map(drop).map_err(String::as_str)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_given_as_values_or_as_text() {
        let object = json!({"a": 1});
        assert_eq!(to_object(&object).map(Value::Object), Ok(object.clone()));
        assert_eq!(to_object(&object.to_string()).map(Value::Object), Ok(object));
        for other in [json!([1]), json!("[1]"), json!("{"), json!(5), json!(null)] {
            assert!(to_object(&other).unwrap_err().contains("must be an object"), "{other}");
        }
    }

    #[test]
    fn values_that_a_query_cannot_express() {
        for (value, says) in [
            (json!(null), Some("null")),
            (json!([]), Some("empty list")),
            (json!({}), Some("empty object")),
            (json!([1, []]), Some("empty list")),
            (json!({"a": {"b": null}}), Some("null")),
            (json!({"a": [1], "b": ""}), None),
            (json!(0), None),
        ] {
            let why = unwritable(&value);
            assert_eq!(why.is_some(), says.is_some(), "{value}");
            assert!(says.is_none_or(|says| why.unwrap().contains(says)), "{value}: {why:?}");
        }
    }

    #[test]
    fn invalid_fields_are_not_dropped() {
        let (mut good, mut bad) = (Fields::default(), Fields::default());
        assert!(good.is_empty());
        good.set("a", &1);
        bad.set("a", &f64::NAN);
        assert!(!good.is_empty() && good.checked().is_ok());
        assert!(!bad.is_empty() && bad.checked().is_err());
    }
}
