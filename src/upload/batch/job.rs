//! A file of a batch on its way to its outcome.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::call::wait::poll::Poll;
use crate::error::{ApiError, Error, Result};
use crate::resources::assets::Asset;
use crate::resumable::ResumableUpload;
use crate::sync::Sender;
use crate::upload::journal::entry::FileKey;
use crate::upload::options::SentAt;
use crate::upload::outcome::{UploadOutcome, UploadOutcomeKind};
use crate::upload::progress::Reporter;

/// A file to be uploaded.
pub(crate) struct File {
    pub path: PathBuf,
    /// How often it did not get through.
    pub tries: u32,
    /// What an attempt that did not get through has left.
    pub checkpoint: Checkpoint,
}

/// How far an upload has come.
#[derive(Default, Clone)]
pub(crate) struct Checkpoint {
    pub upload: Option<ResumableUpload>,
    /// When it was first sent in one request whose outcome is unknown.
    pub sent_at: Option<SentAt>,
}

/// A file on its way. Whatever happens, it has one outcome.
pub(crate) struct FileJob<'a> {
    pub file: File,
    pub note: Option<String>,
    pub sender: Option<&'a Sender<UploadOutcome>>,
}

impl FileJob<'_> {
    pub(crate) fn finish(self, kind: UploadOutcomeKind, result: Result<Asset>) {
        self.finish_noted(kind, result, Ok(()));
    }

    /// The same for what was to be noted in the manifest.
    pub(crate) fn finish_noted(mut self, kind: UploadOutcomeKind, result: Result<Asset>, noted: Result<()>) {
        self.send(kind, result, noted.err().map(|e| e.to_string()));
    }

    /// Without an outcome for now.
    pub(crate) fn take_back(mut self) -> File {
        self.sender = None;
        std::mem::replace(&mut self.file, File { path: PathBuf::new(), tries: 0, checkpoint: Checkpoint::default() })
    }

    fn send(&mut self, kind: UploadOutcomeKind, result: Result<Asset>, manifest_error: Option<String>) {
        if let Some(sender) = self.sender.take() {
            let (path, note) = (self.file.path.clone(), self.note.take());
            // Nobody listens any more if the batch was dropped.
            let _ = sender.send(UploadOutcome { path, kind, result, manifest_error, note });
        }
    }
}

impl Drop for FileJob<'_> {
    fn drop(&mut self) {
        if self.sender.is_some() {
            let message = "the upload was broken off by a panic, in a callback perhaps";
            self.send(UploadOutcomeKind::Failed, Err(Error::file(&self.file.path, message, None)), None);
        }
    }
}

/// An asset that is not ready yet.
pub(super) struct Pending {
    pub path: PathBuf,
    pub note: Option<String>,
    pub key: FileKey,
    pub poll: Poll,
    pub due: Instant,
    pub progress: Reporter,
}

impl Pending {
    /// Its file on the way: whatever happens from here on, in a callback perhaps, that has an outcome.
    pub(super) fn take_job<'a>(&mut self, sender: &'a Sender<UploadOutcome>) -> FileJob<'a> {
        let file = File { path: std::mem::take(&mut self.path), tries: 0, checkpoint: Checkpoint::default() };
        FileJob { file, note: self.note.take(), sender: Some(sender) }
    }
}

/// Why no further file is started.
pub(crate) enum Stopped {
    Canceled,
    Refused(Arc<ApiError>),
    Manifest(PathBuf, String),
    Outage(String),
}

impl Stopped {
    pub(crate) fn error(&self) -> Error {
        match self {
            Stopped::Canceled => Error::Canceled { operation: "upload_all".into(), sent: false },
            Stopped::Refused(e) => Error::from(e.clone()),
            Stopped::Manifest(path, message) => Error::file(path, message.as_str(), None),
            Stopped::Outage(message) => {
                Error::Transport { operation: "upload_all".into(), message: message.clone(), sent: false, source: None }
            }
        }
    }
}
