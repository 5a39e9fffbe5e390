//! The tests of the whole crate, in one program: a module for each subject.

#[path = "../support/files.rs"]
mod files;
mod server;

mod analyze;
mod batch;
mod chunked;
mod connectors;
mod embed;
mod entities;
mod faults;
mod knowledge_stores;
mod lists;
mod lists_and_waits;
mod manifest;
mod responses;
mod search;
mod sending;
mod sources;
mod state_file;
mod streams;
mod subtitles;
mod testing;
mod waits;
#[cfg(feature = "webhooks")]
mod webhooks;
mod wire;
