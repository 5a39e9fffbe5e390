//! The journal of uploads: a manifest for a batch, a state file for one file, and the lock that guards them.

pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod paths;
pub(crate) mod state_file;
