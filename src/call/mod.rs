//! A typed call: how a request is put together, and what comes back.

#[macro_use]
mod macros;

mod ahead;
pub(crate) mod decode;
pub(crate) mod events;
mod list;
pub(crate) mod options;
mod page;
pub(crate) mod pager;
pub(crate) mod poll;
mod repair;
pub(crate) mod request;
mod scan;
pub(crate) mod typed;
pub(crate) mod wait;
pub(crate) mod wait_all;

pub(crate) use options::RequestOptions;
pub(crate) use typed::{Call, CustomCall, Output, sealed};
