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
    /// The path of the file, as given.
    pub path: PathBuf,
    /// The kind of outcome.
    pub kind: UploadOutcomeKind,
    /// The asset if every requested step is done, otherwise the error.
    pub result: Result<Asset>,
    /// The asset, if it is known, even if a later step failed.
    pub asset: Option<Asset>,
    /// The indexed asset in each [`index`](crate::assets::UploadAll::index) in which it is ready.
    pub indexed_assets: Vec<IndexedAsset>,
    /// The item in each [`knowledge_store`](crate::assets::UploadAll::knowledge_store) in which it is ready.
    pub items: Vec<KnowledgeStoreItem>,
    /// The step that failed, if one did.
    pub failed_at: Option<UploadStep>,
    /// The steps that were left out because of the kind of the file: an index accepts video and audio files, but no
    /// images or documents. The other steps are done, and the outcome is not a failure.
    pub not_applicable: Vec<UploadStep>,
    /// The error if the outcome could not be written to the manifest. A later batch does not know of this outcome, and
    /// this batch starts no further file.
    pub manifest_error: Option<String>,
    /// A remaining doubt. For example, the response to the upload was lost, and several assets could be the file.
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
            not_applicable: Vec::new(),
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

/// The kind of a file's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum UploadOutcomeKind {
    /// The file became an asset in this run.
    Uploaded,
    /// An earlier batch had uploaded the file.
    Skipped,
    /// The file failed, in this batch or permanently in an earlier one.
    Failed,
    /// The file was not started, because the batch was stopped, a quota is exhausted, the API key is invalid, or an
    /// outage lasted too long.
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

/// The summary of a batch.
#[derive(Debug, Default)]
#[must_use = "it says whether files failed"]
#[non_exhaustive]
pub struct UploadSummary {
    /// The number of files that became assets in this run.
    pub uploaded: usize,
    /// The number of files that an earlier batch had uploaded.
    pub skipped: usize,
    /// The number of files that failed, in this batch or permanently in an earlier one.
    pub failed: usize,
    /// The number of files that were not started because the batch was stopped.
    pub not_started: usize,
    /// The outcomes of files that failed, and of files whose outcome could not be written to the manifest.
    pub failures: Vec<UploadOutcome>,
    /// The reason why the batch was stopped, if it was.
    pub stopped: Option<Error>,
}

impl UploadSummary {
    /// Returns whether every file is uploaded, and the manifest, if there is one, contains all of them.
    pub fn is_complete(&self) -> bool {
        self.not_started == 0 && self.failures.is_empty()
    }
}
