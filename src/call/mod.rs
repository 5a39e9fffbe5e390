//! A typed call: how a request is put together, and what comes back.

#[macro_use]
mod macros;

pub(crate) mod decode;
pub(crate) mod events;
pub(crate) mod options;
pub(crate) mod pager;
pub(crate) mod poll;
pub(crate) mod request;
pub(crate) mod typed;
pub(crate) mod wait;

pub(crate) use options::RequestOptions;
pub(crate) use typed::{Call, CustomCall, Output, sealed};
