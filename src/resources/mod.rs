//! One file per resource.

pub(crate) mod assets;
