//! One file per resource.

pub(crate) mod assets;
pub(crate) mod entity_collections;
