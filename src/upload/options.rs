//! The options of uploads: the asset, the way its bytes are sent, and the settings of a batch.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::call::json::encode::Metadata;
use crate::call::options::RequestOptions;
use crate::call::wait::poll::Pace;
use crate::error::{Error, Result};
use crate::http::session::Session;
use crate::resources::assets::AssetType;
use crate::resumable::ResumableUpload;
use crate::text::printable;
use crate::upload::journal::placement::Destination;
use crate::upload::progress::{Callback, UploadProgress};

/// Stores the data needed to resume an upload.
pub(crate) trait Journal: Send {
    /// Called when a session has started or is resumed. No chunk is sent before it returns, and none if it fails.
    fn session(&mut self, upload: &ResumableUpload) -> Result<()>;
    /// Called before the file is sent in one request. Nothing is sent if it fails.
    fn sending(&mut self, sent_at: SentAt) -> Result<()>;
}

/// The time at which a file was sent in one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SentAt {
    /// The time by this machine's clock, which may be set between two runs.
    pub here: OffsetDateTime,
    /// The offset of the platform's clock from this machine's at that time, if it was known.
    pub offset: Option<time::Duration>,
}

impl SentAt {
    pub(crate) fn now(client: &Session) -> Self {
        SentAt { here: client.settings().clock.utc_now(), offset: client.clock_offset() }
    }

    /// Converts the time to the platform's clock.
    pub(crate) fn at_platform(&self, client: &Session) -> OffsetDateTime {
        self.offset.map_or_else(|| client.server_time(self.here), |offset| self.here.saturating_add(offset))
    }
}

/// The settings of an upload.
#[derive(Default)]
pub(crate) struct TransferSettings {
    pub tuning: Tuning,
    pub progress: Option<Callback>,
    pub resume: Option<ResumableUpload>,
    /// Whether to resume although the file has changed since the upload began.
    pub resume_anyway: bool,
    pub journal: Option<Box<dyn Journal>>,
}

impl TransferSettings {
    /// Returns an error if the caller's upload cannot be resumed because it names no session.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(ResumableUpload { asset_id, .. }) = self.resume.as_ref().filter(|upload| upload.upload_id.is_empty())
        else {
            return Ok(());
        };
        Err(Error::invalid(
            "resume",
            match asset_id {
                Some(id) => format!(
                    "has no `upload_id`, because the file has arrived as asset {}; wait for it with `wait_for_done`",
                    printable(id, 100)
                ),
                None => {
                    "has no `upload_id`; pass the `upload` of an error or of a progress report, or an upload id".into()
                }
            },
        ))
    }
}

/// The properties of the asset of a new session.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewAsset {
    pub filename: Option<String>,
    pub file_type: Option<AssetType>,
    pub enable_hls: Option<bool>,
    pub enable_thumbnail: Option<bool>,
    pub user_metadata: Option<Metadata>,
}

impl NewAsset {
    /// Returns an error if the platform would not accept these properties.
    pub(crate) fn check(&self) -> Result<()> {
        let checked = self.user_metadata.as_ref().map_or(Ok(()), Metadata::check);
        checked.map_err(|why| Error::invalid("user_metadata", why))
    }
}

/// The numeric settings of an upload.
#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    pub batch_size: usize,
    pub max_workers: usize,
    /// The number of retries of a chunk, if it was set for this upload.
    pub max_retries: Option<u32>,
    pub retry_delay: Duration,
    pub options: RequestOptions,
}

impl Tuning {
    /// Sets the request options. A cancel handle that was given to the upload itself is kept.
    pub(crate) fn set_options(&mut self, options: RequestOptions) {
        let cancel = self.options.cancel.take();
        self.options = options;
        self.options.cancel = cancel.or(self.options.cancel.take());
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            batch_size: 10,
            max_workers: 5,
            max_retries: None,
            retry_delay: Duration::from_secs(1),
            options: RequestOptions::default(),
        }
    }
}

impl fmt::Debug for TransferSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferSettings")
            .field("tuning", &self.tuning)
            .field("resume", &self.resume.as_ref().map(|upload| &upload.upload_id))
            .finish_non_exhaustive()
    }
}

/// The callback of a batch, which also receives the path of the file.
pub(crate) type FileCallback = Arc<dyn Fn(&Path, &UploadProgress) + Send + Sync>;

/// The settings of each upload.
pub(crate) struct BatchOptions {
    pub asset: NewAsset,
    pub threshold: u64,
    pub max_workers: usize,
    pub wait: bool,
    pub pace: Pace,
    pub retry_permanent: bool,
    pub destinations: Vec<Destination>,
    /// The rate limit: a number of files per period.
    pub rate_limit: Option<(u32, Duration)>,
    pub deadline: Option<Duration>,
    pub max_outage: Duration,
    pub progress: Option<FileCallback>,
    pub request_options: RequestOptions,
}
