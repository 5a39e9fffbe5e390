//! One file per resource.

pub(crate) mod analyze;
pub(crate) mod analyze_async;
pub(crate) mod assets;
