//! Lenient reading of fields that a later version may write differently: an unknown form loses only that field.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// Reads a field, or returns its default if it does not have the expected type.
pub(crate) fn if_it_fits<'de, D: Deserializer<'de>, T: de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    // The value is deserialized from its text, so that the code for each type is compiled only once.
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_slice(value.to_string().as_bytes()).ok())
}

/// Reads the elements of a list that have the expected type, and skips the others.
pub(crate) fn those_that_fit<'de, D: Deserializer<'de>, T: de::DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let values: Vec<Value> = if_it_fits(deserializer)?.unwrap_or_default();
    Ok(values.iter().filter_map(|value| serde_json::from_slice(value.to_string().as_bytes()).ok()).collect())
}
