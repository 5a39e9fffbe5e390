//! Typed calls: how a request is built, and what it returns.

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

/// Collects an iterator of any kind of strings into a list.
pub(crate) fn texts(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    texts.into_iter().map(|text| text.as_ref().to_string()).collect()
}
