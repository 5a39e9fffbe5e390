//! Reading fields that a later version may write in another way: that costs no more than the field.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// A field, if it is what it is known as.
pub(crate) fn if_it_fits<'de, D: Deserializer<'de>, T: de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    // By way of its text, so that each type is read from texts alone.
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_slice(value.to_string().as_bytes()).ok())
}

/// The elements of a list that are what they are known as.
pub(crate) fn those_that_fit<'de, D: Deserializer<'de>, T: de::DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let values: Vec<Value> = if_it_fits(deserializer)?.unwrap_or_default();
    Ok(values.iter().filter_map(|value| serde_json::from_slice(value.to_string().as_bytes()).ok()).collect())
}
