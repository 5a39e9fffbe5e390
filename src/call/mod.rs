//! A typed call: how a request is put together, and what comes back.

#[macro_use]
mod macros;

pub(crate) mod encode;
pub(crate) mod json;
pub(crate) mod list;
pub(crate) mod options;
pub(crate) mod request;
#[cfg(feature = "schemars")]
pub(crate) mod schema;
pub(crate) mod stream;
pub(crate) mod typed;
pub(crate) mod wait;

pub(crate) use options::RequestOptions;
pub(crate) use typed::{Call, CustomCall, Output, sealed};

/// Collects strings of any kind into a list.
pub(crate) fn texts(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    texts.into_iter().map(|text| text.as_ref().to_string()).collect()
}
