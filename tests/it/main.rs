//! The tests of the whole crate, in one program: a module for each subject.

#[path = "../support/files.rs"]
mod files;
mod server;

mod accepted;
mod analyze;
mod batch;
mod cancel;
mod chunked;
mod connection;
mod connectors;
mod conversation;
mod embed;
mod engine;
mod entities;
mod error_texts;
mod errors;
mod faults;
mod ingest;
mod knowledge_stores;
mod lists;
mod manifest;
mod observe;
mod options;
mod outage;
mod panics;
mod proxies;
mod reconcile;
mod refused;
mod responses;
mod search;
mod secrets;
mod sending;
mod sources;
mod stand_in_rules;
mod state_file;
mod streams;
mod subtitles;
mod testing;
#[cfg(feature = "rustls")]
mod tls;
mod twins;
mod upload_url;
mod wait_all;
mod waits;
#[cfg(feature = "webhooks")]
mod webhooks;
mod wire;
