//! One file per resource.

pub(crate) mod assets;
pub(crate) mod indexes;
pub(crate) mod multipart_upload;
pub(crate) mod search;
pub(crate) mod tasks;
