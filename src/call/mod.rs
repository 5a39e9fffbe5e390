//! A typed call: how a request is put together, and what comes back.

#[macro_use]
mod macros;

mod ahead;
pub(crate) mod decode;
pub(crate) mod events;
pub(crate) mod json;
mod list;
pub(crate) mod options;
mod page;
pub(crate) mod pager;
pub(crate) mod poll;
mod repair;
pub(crate) mod request;
mod scan;
#[cfg(feature = "schemars")]
pub(crate) mod schema;
pub(crate) mod typed;
pub(crate) mod wait;
pub(crate) mod wait_all;

pub(crate) use options::RequestOptions;
pub(crate) use typed::{Call, CustomCall, Output, sealed};

/// Texts of any kind as a list.
pub(crate) fn texts(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    texts.into_iter().map(|text| text.as_ref().to_string()).collect()
}
