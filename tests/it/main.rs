//! The tests of the whole crate, in one program: a module for each subject.

#[path = "../support/files.rs"]
mod files;
mod server;
#[path = "../support/stand_in/mod.rs"]
mod stand_in;

mod analyze;
mod batch;
mod cancel;
mod chunked;
mod connection;
mod embed;
mod engine;
mod entities;
mod errors;
mod faults;
mod knowledge_stores;
mod lists_and_waits;
mod observe;
mod proxies;
mod search;
mod secrets;
mod sending;
mod streams;
mod subtitles;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(feature = "webhooks")]
mod webhooks;
mod wire;
