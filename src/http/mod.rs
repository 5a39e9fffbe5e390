//! An untyped exchange: a request out, a complete response or an error in.

pub(crate) mod attempt;
pub(crate) mod body;
pub(crate) mod cancel;
mod connection;
pub(crate) mod engine;
pub(crate) mod error_body;
pub(crate) mod failure;
pub(crate) mod limiter;
pub(crate) mod observe;
pub(crate) mod rate_limit;
pub(crate) mod redact;
pub(crate) mod retry;
pub(crate) mod session;
pub(crate) mod url;

#[cfg(any(fuzzing, test))]
pub(crate) use connection::{Head, scan};
