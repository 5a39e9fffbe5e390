//! A serializer that refuses numbers which are not finite. `serde_json` would write them as `null`, which changes the
//! meaning of a filter or a threshold.

use serde::ser::{self, Error as _};
use serde::{Serialize, Serializer};

/// Wraps a value, and checks its numbers while it is serialized.
pub(crate) struct Checked<'a, T: ?Sized>(pub &'a T);

impl<T: Serialize + ?Sized> Serialize for Checked<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Finite(serializer))
    }
}

/// Wraps a serializer or a part of one. It refuses numbers which are not finite and otherwise behaves like the inner
/// one.
struct Finite<S>(S);

/// Defines methods that only call the same methods of the inner serializer.
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
            return Err(S::Error::custom(format!("{number} is not finite, and JSON cannot express it")));
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

/// Implements the serializer parts that write the values of lists, maps and structs one by one.
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
    use crate::call::json::encode::to_value;

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
    fn finite_values_are_serialized_unchanged() {
        let value = everything([2.0; 6]);
        assert_eq!(to_value(&value), Ok(serde_json::to_value(&value).unwrap()));
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_at_any_depth() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in 0..6 {
                let mut at = [2.0; 6];
                at[place] = number;
                let why = to_value(&everything(at)).unwrap_err();
                assert!(why.contains("finite") && why.contains(&number.to_string()), "{place}: {why}");
            }
        }
    }
}
