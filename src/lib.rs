// README.md links to files. Rustdoc takes the first definition of a label, so here the same links lead to modules.
#![doc = include_str!("guide/links.md")]
#![doc = include_str!("../README.md")]
#![deny(missing_debug_implementations, missing_docs)]
#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod call;
mod client;
mod clock;
mod error;
mod file;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod generation;
pub mod guide;
mod hash;
mod http;
mod limits;
mod resources;
mod response;
mod resumable;
pub mod subtitles;
mod sync;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod text;
pub mod types;
mod upload;
#[cfg(feature = "webhooks")]
#[cfg_attr(docsrs, doc(cfg(feature = "webhooks")))]
pub mod webhooks;

pub use call::list::pager::{PageInfo, Pages, SyncPager};
pub use call::options::RequestOptions;
pub use call::stream::{Events, JsonLines, ServerSentEvent};
pub use call::typed::{Call, CustomCall, Output};
pub use call::wait::all::{WaitAll, Waiting};
pub use call::wait::one::Wait;
pub use client::{TwelveLabs, TwelveLabsBuilder};
pub use clock::Clock;
pub use error::{ApiError, ApiErrorKind, Error, FailedError, RateLimit, Result, UploadError};
pub use file::FileSource;
pub use http::attempt::Agent;
pub use http::body::Progress;
pub use http::cancel::CancelHandle;
pub use http::observe::AttemptEvent;
pub use response::{Headers, HttpResponse};
pub use time;

/// Analysis: questions about a video or images, answered as a whole or as a stream.
///
/// See [the guide](crate::guide::analyze).
pub mod analyze {
    pub use crate::generation::{FinishReason, Generation, TokenUsage};
    pub use crate::resources::analyze::*;
}

/// Analysis in the background: tasks and batches.
///
/// See [the guide](crate::guide::analyze).
pub mod analyze_async {
    pub use crate::resources::analyze_async::batches::*;
    pub use crate::resources::analyze_async::tasks::*;
    pub use crate::resources::analyze_async::*;
}

/// Assets: uploading files, one or many, and managing them.
///
/// See [the guide](crate::guide::upload).
pub mod assets {
    pub use crate::resources::assets::*;
    pub use crate::resources::technical_metadata::*;
    pub use crate::upload::batch::builder::{UploadAll, Uploads};
    pub use crate::upload::outcome::{UploadOutcome, UploadOutcomeKind, UploadStep, UploadSummary};
    pub use crate::upload::progress::{UploadProgress, UploadState};
    pub use crate::upload::upload_asset::UploadAsset;
    pub use crate::upload::upload_url::UploadUrl;
}

/// Data connectors: connections to users' accounts at other providers, such as Google Drive.
///
/// See [the guide](crate::guide::imports).
pub mod data_connectors {
    pub use crate::resources::data_connectors::*;
}

/// Embeddings: vectors that represent text and media.
///
/// See [the guide](crate::guide::embeddings).
pub mod embed {
    pub use crate::resources::embed::*;
}

/// Entity collections: known people and objects to search for.
///
/// See [the guide](crate::guide::entities).
pub mod entity_collections {
    pub use crate::resources::entity_collections::entities::*;
    pub use crate::resources::entity_collections::*;
}

/// Imports: creating assets from the files of a connected account.
///
/// See [the guide](crate::guide::imports).
pub mod imports {
    pub use crate::resources::imports::*;
}

/// Indexes: collections of videos that can be searched.
///
/// See [the guide](crate::guide::search).
pub mod indexes {
    pub use crate::resources::indexes::indexed_assets::*;
    pub use crate::resources::indexes::videos::*;
    pub use crate::resources::indexes::*;
    pub use crate::upload::batch::create_all::{CreateAll, CreatedAll};
}

/// Collections of knowledge store items.
///
/// See [the guide](crate::guide::knowledge_stores).
pub mod knowledge_store_item_collections {
    pub use crate::resources::knowledge_store_item_collections::*;
}

/// Knowledge store items: assets that were added to a knowledge store.
///
/// See [the guide](crate::guide::knowledge_stores).
pub mod knowledge_store_items {
    pub use crate::resources::knowledge_store_items::*;
}

/// Knowledge stores: videos and images that can be searched and asked about together.
///
/// See [the guide](crate::guide::knowledge_stores).
pub mod knowledge_stores {
    pub use crate::resources::knowledge_stores::search::*;
    pub use crate::resources::knowledge_stores::*;
}

/// Chunked uploads, for files too large for one request.
///
/// See [the guide](crate::guide::upload).
pub mod multipart_upload {
    pub use crate::resources::multipart_upload::*;
    pub use crate::resumable::{FileStamp, ResumableUpload};
    pub use crate::upload::chunked::builder::UploadFile;
    pub use crate::upload::progress::UploadResult;
}

/// Responses: answers to questions about a knowledge store.
///
/// See [the guide](crate::guide::responses).
pub mod responses {
    pub use crate::resources::responses::conversation::*;
    pub use crate::resources::responses::stream::*;
    pub use crate::resources::responses::*;
}

/// Search: finding moments in an index by a text or an image.
///
/// See [the guide](crate::guide::search).
pub mod search {
    pub use crate::resources::search::*;
}

/// Tasks: uploading and indexing a video in one go, the older way.
///
/// See [the guide](crate::guide::search).
pub mod tasks {
    pub use crate::resources::tasks::*;
}
