//! JSON both ways: what is sent is checked, what comes back is read strictly first, then repaired where that is safe.

mod candidates;
pub(crate) mod decode;
pub(crate) mod encode;
mod fault;
mod finite;
pub(crate) mod repair;
pub(crate) mod scan;
mod shape;
pub(crate) mod watch;
