//! JSON both ways: what is sent is checked, what comes back is read strictly first, then repaired where that is safe.

pub(crate) mod decode;
pub(crate) mod encode;
mod repair;
pub(crate) mod scan;
