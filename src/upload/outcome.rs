//! The outcome of each file of a batch, and their counts.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::resources::assets::Asset;
use crate::resources::indexes::indexed_assets::IndexedAsset;
use crate::resources::knowledge_store_items::KnowledgeStoreItem;

/// The outcome of a file.
#[derive(Debug)]
#[non_exhaustive]
pub struct UploadOutcome {
    /// The file, as it was given.
    pub path: PathBuf,
    /// What was done about it.
    pub kind: UploadOutcomeKind,
    /// The asset, once everything that was asked for is done; otherwise why it is not.
    pub result: Result<Asset>,
    /// The asset as far as it is known, also if a later step failed.
    pub asset: Option<Asset>,
    /// The indexed asset in each [`index`](crate::assets::UploadAll::index) in which it is ready.
    pub indexed_assets: Vec<IndexedAsset>,
    /// The item in each [`knowledge_store`](crate::assets::UploadAll::knowledge_store) in which it is ready.
    pub items: Vec<KnowledgeStoreItem>,
    /// The step that failed, if one did.
    pub failed_at: Option<UploadStep>,
    /// Why the manifest does not have this outcome, if it should: a later batch does not know of it then. No further
    /// file is started after that.
    pub manifest_error: Option<String>,
    /// What is not certain about it: the answer to the upload was lost, say, and several assets may be the file.
    pub note: Option<String>,
}

impl UploadOutcome {
    pub(crate) fn not_started(path: PathBuf, result: Result<Asset>) -> Self {
        UploadOutcome {
            path,
            kind: UploadOutcomeKind::NotStarted,
            result,
            asset: None,
            indexed_assets: Vec::new(),
            items: Vec::new(),
            failed_at: None,
            manifest_error: None,
            note: None,
        }
    }
}

/// A step of a file in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum UploadStep {
    /// The file is sent.
    Upload,
    /// The platform processes the asset.
    Process,
    /// The asset is indexed.
    Index,
    /// The asset is added to a knowledge store and processed there.
    KnowledgeStore,
}

names! {
    UploadStep {
        Upload = "upload",
        Process = "process",
        Index = "index",
        KnowledgeStore = "knowledge_store",
    }
}

/// What was done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum UploadOutcomeKind {
    /// It is an asset now.
    Uploaded,
    /// An earlier batch has uploaded it.
    Skipped,
    /// It failed, now or for good in an earlier batch.
    Failed,
    /// It was not started, because the batch was stopped, a quota is used up, the API key is not valid, or nothing got
    /// through for too long.
    NotStarted,
}

names! {
    UploadOutcomeKind {
        Uploaded = "uploaded",
        Skipped = "skipped",
        Failed = "failed",
        NotStarted = "not_started",
    }
}

/// The outcomes of the files of a batch, counted.
#[derive(Debug, Default)]
#[must_use = "it says whether files failed"]
#[non_exhaustive]
pub struct UploadSummary {
    /// How many files are assets now.
    pub uploaded: usize,
    /// How many an earlier batch had uploaded.
    pub skipped: usize,
    /// How many failed, now or for good in an earlier batch.
    pub failed: usize,
    /// How many were not started because the batch was stopped.
    pub not_started: usize,
    /// The outcomes of those that failed, and of those that the manifest does not have.
    pub failures: Vec<UploadOutcome>,
    /// Why the batch was stopped, if it was.
    pub stopped: Option<Error>,
}

impl UploadSummary {
    /// Whether every file is an asset now, and the manifest, if there is one, has all of them.
    pub fn is_complete(&self) -> bool {
        self.not_started == 0 && self.failures.is_empty()
    }
}
