#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[macro_use]
mod macros;

mod call;
mod client;
mod clock;
mod decode;
mod error;
mod file;
mod http;
mod multipart;
mod pager;
mod request;
mod resources;
mod retry;
mod subtitles;
mod types;
mod wait;

pub use call::{Call, CustomCall, Headers, HttpResponse, Output, RequestOptions};
pub use client::{TwelveLabs, TwelveLabsBuilder};
pub use clock::Clock;
pub use error::{ApiError, ApiErrorKind, Error, FailedError, RateLimit, Result};
pub use file::FileSource;
pub use http::Agent;
pub use multipart::Progress;
pub use pager::{PageInfo, Pages, SyncPager};
pub use resources::assets::*;
pub use resources::entity_collections::entities::*;
pub use resources::entity_collections::*;
pub use subtitles::{format_timestamp, Cue, Subtitles};
pub use types::*;
pub use wait::Wait;
