//! Arguments as JSON: what JSON cannot write is an error that waits for the sending, and not `null`.

use serde::ser::{self, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A value as JSON. A number that JSON does not have is refused.
pub(crate) fn to_value(value: &(impl Serialize + ?Sized)) -> Result<Value, String> {
    Checked(value).serialize(serde_json::value::Serializer).map_err(|e| e.to_string())
}

/// A value that is an object, or the JSON text of one.
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

/// Why a parameter of a query would not be in the URL: the list would be that of everything.
pub(crate) fn unwritable(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => Some("is null, which a query cannot say; leave it out, or use `when_some`"),
        Value::Array(items) if items.is_empty() => Some("is an empty list; leave it out if it does not matter"),
        Value::Object(fields) if fields.is_empty() => Some("is an empty object; leave it out if it does not matter"),
        Value::Array(items) => items.iter().find_map(unwritable),
        Value::Object(fields) => fields.values().find_map(unwritable),
        _ => None,
    }
}

/// The fields of an input, and the first fault among them: an input that has one cannot be sent.
#[derive(Debug, Clone, Default, PartialEq)]
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

    /// The fields as they are sent.
    pub(crate) fn checked(&self) -> Result<&Map<String, Value>, &str> {
        self.fault.as_deref().map_or(Ok(&self.fields), Err)
    }

    fn insert(&mut self, name: &str, value: Result<Value, String>) {
        match value {
            Ok(value) => drop(self.fields.insert(name.into(), value)),
            Err(why) => self.refuse(name, why),
        }
    }

    /// Keeps why a field cannot be sent, unless another one cannot either.
    pub(crate) fn refuse(&mut self, name: &str, why: String) {
        self.fault.get_or_insert_with(|| format!("`{name}`: {why}"));
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        Fields { fields, fault: None }
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

/// Metadata as an upload keeps it until a request takes it.
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

/// A value whose numbers are checked as they are written.
struct Checked<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Checked<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Finite(serializer))
    }
}

/// A serializer, or a part of one, that refuses a number which is not finite.
struct Finite<S>(S);

/// Hands a method on to the serializer below.
macro_rules! hand_on {
    ($($method:ident($($argument:ident: $type:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $($argument: $type),*) -> Result<$ok, S::Error> {
            self.0.$method($($argument),*)
        }
    )*};
    (parts: $($method:ident($($argument:ident: $type:ty),*) -> $part:ident;)*) => {$(
        fn $method(self, $($argument: $type),*) -> Result<Self::$part, S::Error> {
            self.0.$method($($argument),*).map(Finite)
        }
    )*};
}

impl<S: Serializer> Serializer for Finite<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Finite<S::SerializeSeq>;
    type SerializeTuple = Finite<S::SerializeTuple>;
    type SerializeTupleStruct = Finite<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Finite<S::SerializeTupleVariant>;
    type SerializeMap = Finite<S::SerializeMap>;
    type SerializeStruct = Finite<S::SerializeStruct>;
    type SerializeStructVariant = Finite<S::SerializeStructVariant>;

    fn serialize_f32(self, number: f32) -> Result<S::Ok, S::Error> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<S::Ok, S::Error> {
        if !number.is_finite() {
            return Err(S::Error::custom(format!(
                "{number} is no number that JSON can write; numbers have to be finite"
            )));
        }
        self.0.serialize_f64(number)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Checked(value))
    }

    fn serialize_newtype_struct<T>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error>
    where
        T: Serialize + ?Sized,
    {
        self.0.serialize_newtype_struct(name, &Checked(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, index, variant, &Checked(value))
    }

    hand_on! {
        serialize_bool(value: bool) -> S::Ok;
        serialize_i8(value: i8) -> S::Ok;
        serialize_i16(value: i16) -> S::Ok;
        serialize_i32(value: i32) -> S::Ok;
        serialize_i64(value: i64) -> S::Ok;
        serialize_i128(value: i128) -> S::Ok;
        serialize_u8(value: u8) -> S::Ok;
        serialize_u16(value: u16) -> S::Ok;
        serialize_u32(value: u32) -> S::Ok;
        serialize_u64(value: u64) -> S::Ok;
        serialize_u128(value: u128) -> S::Ok;
        serialize_char(value: char) -> S::Ok;
        serialize_str(value: &str) -> S::Ok;
        serialize_bytes(value: &[u8]) -> S::Ok;
        serialize_none() -> S::Ok;
        serialize_unit() -> S::Ok;
        serialize_unit_struct(name: &'static str) -> S::Ok;
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> S::Ok;
    }

    hand_on! {
        parts:
        serialize_seq(length: Option<usize>) -> SerializeSeq;
        serialize_tuple(length: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, length: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> SerializeTupleVariant;
        serialize_map(length: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, length: usize) -> SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, length: usize) -> SerializeStructVariant;
    }
}

/// The parts of a serializer, each of which writes values one by one.
macro_rules! parts {
    ($($part:ident { $($method:ident($($name:ident)?);)* })*) => {$(
        impl<S: ser::$part> ser::$part for Finite<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            $(
                fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Result<(), S::Error> {
                    self.0.$method($($name,)? &Checked(value))
                }
            )*

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

parts! {
    SerializeSeq { serialize_element(); }
    SerializeTuple { serialize_element(); }
    SerializeTupleStruct { serialize_field(); }
    SerializeTupleVariant { serialize_field(); }
    SerializeMap { serialize_key(); serialize_value(); }
    SerializeStruct { serialize_field(name); }
    SerializeStructVariant { serialize_field(name); }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Serialize)]
    enum Shape {
        Unit,
        Newtype(Option<f64>),
        Tuple(f32, f32),
        Struct { at: f64 },
    }

    #[derive(Serialize)]
    struct Everything {
        list: Vec<f64>,
        pair: (u8, f64),
        map: std::collections::BTreeMap<i8, f64>,
        shapes: Vec<Shape>,
        text: &'static str,
    }

    fn everything(at: [f64; 6]) -> Everything {
        Everything {
            list: vec![1.5, at[0]],
            pair: (1, at[1]),
            map: [(-1, at[2])].into(),
            shapes: vec![
                Shape::Unit,
                Shape::Newtype(None),
                Shape::Newtype(Some(at[3])),
                Shape::Tuple(0.5, at[4] as f32),
                Shape::Struct { at: at[5] },
            ],
            text: "é",
        }
    }

    #[test]
    fn what_is_finite_is_written_as_ever() {
        let value = everything([2.0; 6]);
        assert_eq!(to_value(&value), Ok(serde_json::to_value(&value).unwrap()));
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_wherever_it_is() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in 0..6 {
                let mut at = [2.0; 6];
                at[place] = number;
                let why = to_value(&everything(at)).unwrap_err();
                assert!(why.contains("finite") && why.contains(&number.to_string()), "{place}: {why}");
            }
        }
    }

    #[test]
    fn objects_come_as_values_or_as_text() {
        let object = json!({"a": 1});
        assert_eq!(to_object(&object).map(Value::Object), Ok(object.clone()));
        assert_eq!(to_object(&object.to_string()).map(Value::Object), Ok(object));
        for other in [json!([1]), json!("[1]"), json!("{"), json!(5), json!(null)] {
            assert!(to_object(&other).unwrap_err().contains("must be an object"), "{other}");
        }
    }

    #[test]
    fn what_a_query_cannot_say() {
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
    fn fields_with_a_fault_are_not_none() {
        let (mut good, mut bad) = (Fields::default(), Fields::default());
        assert!(good.is_empty());
        good.set("a", &1);
        bad.set("a", &f64::NAN);
        assert!(!good.is_empty() && good.checked().is_ok());
        assert!(!bad.is_empty() && bad.checked().is_err());
    }
}
