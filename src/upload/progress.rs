//! The progress of an upload, and its result.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::resumable::ResumableUpload;
use crate::sync::lock;

/// The phase of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum UploadState {
    /// The file is being sent.
    Uploading,
    /// The file has arrived completely.
    Uploaded,
    /// The platform is processing the asset.
    Processing,
    /// The asset can be used.
    Ready,
}

names! {
    UploadState {
        Uploading = "uploading",
        Uploaded = "uploaded",
        Processing = "processing",
        Ready = "ready",
    }
}

/// The progress of an upload.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UploadProgress {
    /// The phase.
    pub state: UploadState,
    /// The number of bytes handed to the network, without those that have to be sent again. A resumed upload starts
    /// with the bytes that the platform already has.
    pub sent: u64,
    /// The size of the file in bytes, if it is known.
    pub total: Option<u64>,
    /// The number of chunks that the storage has. 0 if the file is sent in one request, and while the asset is
    /// processed.
    pub completed_chunks: u32,
    /// The total number of chunks. 0 if the file is sent in one request, and while the asset is processed.
    pub total_chunks: u32,
    /// The data needed to resume the upload, from the first event until the file has arrived. `None` if the file is
    /// sent in one request.
    pub upload: Option<Arc<ResumableUpload>>,
    /// The asset's id, once it is known.
    pub asset_id: Option<String>,
}

impl UploadProgress {
    /// Returns the progress as a percentage, from 0 to 100.
    pub fn percentage(&self) -> f64 {
        match self.total {
            Some(total) if total > 0 => (self.sent as f64 / total as f64 * 100.0).min(100.0),
            _ => 0.0,
        }
    }

    /// Returns the id of the session, for a later [`resume`](crate::multipart_upload::UploadFile::resume).
    pub fn upload_id(&self) -> Option<&str> {
        self.upload.as_ref().map(|upload| upload.upload_id.as_str())
    }
}

/// The result of a successful chunked upload.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadResult {
    /// The asset's id.
    pub asset_id: String,
    /// The asset's URL, if the platform returned one.
    pub asset_url: Option<String>,
    /// The id of the session.
    pub upload_id: String,
}

masked_debug! {
    UploadResult {
        asset_id, asset_url: masked, upload_id,
    }
}

pub(crate) type Callback = Box<dyn FnMut(&UploadProgress) + Send>;

/// The caller's callback, shared by the consecutive phases of an upload.
#[derive(Clone)]
pub(crate) struct Reporter(Option<Arc<Mutex<Reported>>>);

pub(crate) struct Reported {
    callback: Callback,
    /// The number of bytes in the last report. The length of a reader is not known before its end.
    sent: u64,
}

impl Reporter {
    pub(crate) fn new(callback: Option<Callback>) -> Self {
        Reporter(callback.map(|callback| Arc::new(Mutex::new(Reported { callback, sent: 0 }))))
    }

    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    fn report(&self, progress: impl FnOnce(u64) -> UploadProgress) {
        if let Some(reported) = &self.0 {
            let mut reported = lock(reported);
            let progress = progress(reported.sent);
            reported.sent = progress.sent;
            (reported.callback)(&progress);
        }
    }

    /// Reports that a part of the file was sent in one request.
    pub(crate) fn sending(&self, sent: u64, total: Option<u64>) {
        self.report(|_| UploadProgress::of(UploadState::Uploading, sent, total, None));
    }

    /// Reports that the file has arrived, and the state of its asset.
    pub(crate) fn state(&self, state: UploadState, length: Option<u64>, asset_id: &str) {
        self.report(|sent| {
            let total = length.unwrap_or(sent);
            UploadProgress::of(state, total, Some(total), Some(asset_id.into()))
        });
    }

    /// Returns a callback that reports the progress of a chunked upload.
    pub(crate) fn callback(&self) -> Option<Callback> {
        let reporter = self.clone();
        let report = move |progress: &UploadProgress| reporter.report(|_| progress.clone());
        self.is_some().then(|| Box::new(report) as Callback)
    }
}

impl UploadProgress {
    fn of(state: UploadState, sent: u64, total: Option<u64>, asset_id: Option<String>) -> Self {
        UploadProgress { state, sent, total, completed_chunks: 0, total_chunks: 0, upload: None, asset_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_from_0_to_100() {
        for (sent, total, percentage) in
            [(5, Some(20), 25.0), (30, Some(20), 100.0), (0, Some(0), 0.0), (5, Some(0), 0.0), (5, None, 0.0)]
        {
            let progress = UploadProgress::of(UploadState::Uploading, sent, total, None);
            assert_eq!(progress.percentage(), percentage, "{sent} of {total:?}");
        }
    }
}
