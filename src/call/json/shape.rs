//! Finds out whether a type is an object in JSON, by asking the type's decoder.

use serde::de::value::Error;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Says whether a type decodes only from an object: it is not a list, not optional and not any JSON.
pub(super) fn is_object<T: DeserializeOwned>() -> bool {
    let mut asked = false;
    // Decoding always fails, because there is no value. Only what the type asked for counts.
    let _ = <T as Deserialize>::deserialize(Probe(&mut asked));
    asked
}

/// A deserializer without a value, which records whether it is asked for an object.
struct Probe<'a>(&'a mut bool);

impl Probe<'_> {
    fn fail<V>(self, is_object: bool) -> Result<V, Error> {
        *self.0 = is_object;
        Err(de::Error::custom("there is no value"))
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.fail(false)
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.fail(true)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.fail(true)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Map, Value};

    use super::*;
    use crate::assets::Asset;

    #[test]
    fn types_say_whether_they_are_objects() {
        assert!(is_object::<Asset>() && is_object::<BTreeMap<String, u8>>() && is_object::<Map<String, Value>>());
        assert!(!is_object::<Vec<Asset>>() && !is_object::<Option<Asset>>() && !is_object::<Value>());
        assert!(!is_object::<()>() && !is_object::<String>() && !is_object::<de::IgnoredAny>());
    }
}
