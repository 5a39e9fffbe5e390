//! The state of a file in a batch.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::wait::poll::Poll;
use crate::error::{ApiError, Error, Result, is_out_of_handles};
use crate::resources::assets::{Asset, AssetRef};
use crate::resumable::ResumableUpload;
use crate::sync::Sender;
use crate::text::human;
use crate::upload::journal::entry::FileKey;
use crate::upload::journal::placement::{Destination, Placement};
use crate::upload::options::SentAt;
use crate::upload::outcome::{UploadOutcome, UploadOutcomeKind, UploadStep};
use crate::upload::progress::Reporter;

/// A file to be uploaded.
pub(crate) struct File {
    pub path: PathBuf,
    /// The asset, if it exists already. In that case, `path` is its id.
    pub asset: Option<AssetRef>,
    /// The number of failed attempts.
    pub tries: u32,
    /// The state that a failed attempt has left.
    pub checkpoint: Checkpoint,
    pub reached: Reached,
}

impl File {
    pub(crate) fn new(path: PathBuf) -> Self {
        File { path, asset: None, tries: 0, checkpoint: Checkpoint::default(), reached: Reached::default() }
    }

    pub(crate) fn of_asset(asset: AssetRef) -> Self {
        File { asset: Some(asset.clone()), ..File::new(asset.id.into()) }
    }
}

/// The progress of a file that has arrived at the platform.
#[derive(Default)]
pub(crate) struct Reached {
    /// The asset, once it is ready.
    pub asset: Option<Asset>,
    /// Whether this run created the asset, so that no destination can contain it yet.
    pub is_new: bool,
    pub placements: Vec<Placement>,
    /// The destinations to which the asset could not be added, with the errors.
    pub errors: Vec<(Destination, Error)>,
    /// The step that failed after the file had arrived.
    pub failed_at: Option<UploadStep>,
    /// The steps that the asset cannot go through because of its kind.
    pub not_applicable: Vec<UploadStep>,
}

/// The progress of an upload.
#[derive(Default, Clone)]
pub(crate) struct Checkpoint {
    pub upload: Option<ResumableUpload>,
    /// The time at which the file was first sent in one request whose outcome is unknown.
    pub sent_at: Option<SentAt>,
}

/// A file in progress. It yields exactly one outcome, even after a panic.
pub(crate) struct FileJob<'a> {
    pub file: File,
    pub note: Option<String>,
    pub sender: Option<&'a Sender<UploadOutcome>>,
}

impl FileJob<'_> {
    pub(crate) fn finish(self, kind: UploadOutcomeKind, result: Result<Asset>) {
        self.finish_noted(kind, result, Ok(()));
    }

    /// Finishes the file like `finish`, and adds the error if the outcome could not be written to the manifest.
    pub(crate) fn finish_noted(mut self, kind: UploadOutcomeKind, result: Result<Asset>, noted: Result<()>) {
        self.send(kind, result, noted.err().map(|e| e.to_string()));
    }

    /// Returns the file without an outcome for now.
    pub(crate) fn take_back(mut self) -> File {
        self.sender = None;
        std::mem::replace(&mut self.file, File::new(PathBuf::new()))
    }

    fn send(&mut self, kind: UploadOutcomeKind, result: Result<Asset>, manifest_error: Option<String>) {
        if let Some(sender) = self.sender.take() {
            let file = std::mem::replace(&mut self.file, File::new(PathBuf::new()));
            let (mut indexed_assets, mut items) = (Vec::new(), Vec::new());
            for placement in file.reached.placements {
                indexed_assets.extend(placement.indexed_asset);
                items.extend(placement.item);
            }
            let failed_at = result.is_err().then(|| file.reached.failed_at.unwrap_or(UploadStep::Upload));
            let not_applicable = file.reached.not_applicable;
            let asset = result.as_ref().ok().cloned().or(file.reached.asset);
            let outcome = UploadOutcome {
                path: file.path,
                kind,
                result,
                asset,
                indexed_assets,
                items,
                failed_at,
                not_applicable,
                manifest_error,
                note: self.note.take(),
            };
            // The receiver is gone if the batch was dropped.
            let _ = sender.send(outcome);
        }
    }
}

impl Drop for FileJob<'_> {
    fn drop(&mut self) {
        if self.sender.is_some() {
            let message = "the upload was interrupted by a panic, possibly in a callback";
            let e = Error::file(&self.file.path, message, None);
            self.send(UploadOutcomeKind::Failed, Err(e), None);
        }
    }
}

/// A file at the platform that has a further step.
pub(super) struct Pending {
    pub file: File,
    pub note: Option<String>,
    pub key: FileKey,
    pub stage: Stage,
    pub due: Instant,
    pub progress: Reporter,
    /// The time since which the next step has failed temporarily, and the number of failures.
    pub failing_since: Option<(Instant, u32)>,
    /// Whether a list no longer shows the asset as being processed, so that it must be retrieved.
    pub has_ended: bool,
}

/// The next step of a file at the platform.
pub(super) enum Stage {
    /// The batch waits for the asset.
    Asset(Poll),
    /// The asset is added to the destinations that lack it.
    Add,
    /// The batch waits until the asset is ready in its destinations.
    Await(Destination, Poll),
}

impl Stage {
    /// Returns the resource that the batch waits for: the asset, or its copy in a destination.
    pub(super) fn awaited(&mut self) -> Option<(Option<&Destination>, &mut Poll)> {
        match self {
            Stage::Asset(poll) => Some((None, poll)),
            Stage::Await(to, poll) => Some((Some(to), poll)),
            Stage::Add => None,
        }
    }
}

impl Pending {
    pub(super) fn new(key: FileKey, progress: Reporter, due: Instant) -> Self {
        let (file, stage) = (File::new(PathBuf::new()), Stage::Add);
        Pending { file, note: None, key, stage, due, progress, failing_since: None, has_ended: false }
    }

    /// Takes the file as a job, which yields an outcome even after a panic in a callback.
    pub(super) fn take_job<'a>(&mut self, sender: &'a Sender<UploadOutcome>) -> FileJob<'a> {
        let file = std::mem::replace(&mut self.file, File::new(PathBuf::new()));
        FileJob { file, note: self.note.take(), sender: Some(sender) }
    }
}

/// The ids of a knowledge store's items, by asset.
pub(super) type ItemsByAsset = HashMap<String, Vec<String>>;

/// Whether an error is likely to be temporary.
pub(super) fn failed_temporarily(e: &Error) -> bool {
    // A rate limit that outlasts all retries stops the batch.
    let reason = e.reason();
    reason.status() != Some(429) && reason.is_retryable()
}

/// Whether this machine has too many files open.
pub(super) fn is_shortage(e: &Error) -> bool {
    match e.reason() {
        Error::File { source: Some(e), .. } | Error::Transport { source: Some(e), .. } => is_out_of_handles(e),
        _ => false,
    }
}

/// The reason why no further file is started.
pub(crate) enum Stopped {
    Canceled,
    Refused(Arc<ApiError>),
    Manifest(PathBuf, String),
    Outage(String),
    Deadline(Duration),
}

impl Stopped {
    pub(crate) fn error(&self) -> Error {
        match self {
            Stopped::Canceled => Error::Canceled { operation: "upload_all".into(), sent: false },
            Stopped::Refused(e) => Error::from(e.clone()),
            Stopped::Manifest(path, message) => Error::file(path, message.as_str(), None),
            Stopped::Deadline(deadline) => Error::Timeout {
                operation: "upload_all".into(),
                message: format!("the deadline of the batch ({}) has passed", human(*deadline)),
                sent: false,
                source: None,
            },
            Stopped::Outage(message) => {
                Error::Transport { operation: "upload_all".into(), message: message.clone(), sent: false, source: None }
            }
        }
    }
}
