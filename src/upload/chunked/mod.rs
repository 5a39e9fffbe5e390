//! One file in chunks: the session with the platform, the workers that send, and the thread that reports.

pub(crate) mod builder;
pub(crate) mod open;
pub(crate) mod transfer;
mod workers;
