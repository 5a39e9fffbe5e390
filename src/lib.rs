#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[macro_use]
mod macros;

mod call;
mod cancel;
mod chunks;
mod client;
mod clock;
mod decode;
mod error;
mod events;
mod file;
mod http;
mod manifest;
mod multipart;
mod pager;
mod request;
mod resources;
mod retry;
mod subtitles;
mod types;
mod upload;
mod upload_all;
mod wait;

pub use call::{Call, CustomCall, Headers, HttpResponse, Output, RequestOptions};
pub use cancel::CancelHandle;
pub use client::{TwelveLabs, TwelveLabsBuilder};
pub use clock::Clock;
pub use error::{ApiError, ApiErrorKind, Error, FailedError, RateLimit, Result, UploadError};
pub use events::{Events, JsonLines, ServerSentEvent};
pub use file::FileSource;
pub use http::Agent;
pub use multipart::Progress;
pub use pager::{PageInfo, Pages, SyncPager};
pub use resources::analyze::*;
pub use resources::analyze_async::batches::*;
pub use resources::analyze_async::tasks::*;
pub use resources::analyze_async::*;
pub use resources::assets::*;
pub use resources::embed::*;
pub use resources::entity_collections::entities::*;
pub use resources::entity_collections::*;
pub use resources::indexes::indexed_assets::*;
pub use resources::indexes::videos::*;
pub use resources::indexes::*;
pub use resources::multipart_upload::*;
pub use resources::search::*;
pub use resources::tasks::*;
pub use subtitles::{format_timestamp, Cue, Subtitles};
pub use types::*;
pub use upload::UploadAsset;
pub use upload_all::{UploadAll, UploadOutcome, UploadOutcomeKind, Uploads};
pub use wait::Wait;
