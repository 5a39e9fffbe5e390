//! JSON in both directions: arguments are checked before they are sent, and responses are read strictly first, then
//! repaired where that is safe.

mod candidates;
pub(crate) mod decode;
pub(crate) mod encode;
mod fault;
mod finite;
pub(crate) mod id;
pub(crate) mod repair;
pub(crate) mod scan;
mod shape;
pub(crate) mod watch;
