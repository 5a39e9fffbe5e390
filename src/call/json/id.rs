//! Ids in responses.

use serde::de::{Deserialize, Deserializer, Error};

use crate::call::encode::check_segment;

/// Decodes the id of a resource. An id that no request could name, such as an empty one, is a fault of the response: a
/// caller could neither use nor delete the resource.
pub(crate) fn usable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    match check_segment(&id) {
        Ok(()) => Ok(id),
        Err(why) => Err(D::Error::custom(format_args!("the id cannot be used: it {why}"))),
    }
}
