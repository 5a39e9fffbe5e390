//! The chunked upload: workers that send chunks, and one thread that reports them.
//!
//! Workers take the chunks in order and read them directly from the file. The calling thread collects the finished
//! chunks, reports them in batches, requests URLs ahead of need and reports the progress. A chunk is done once the
//! platform has counted it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::call::options::RequestOptions;
use crate::clock::later;
use crate::error::{Error, Result, UploadError};
use crate::file::FileSource;
use crate::http::cancel::CancelHandle;
use crate::http::session::Session;
use crate::limits::{FOREVER, PROGRESS_TICK};
use crate::resources::multipart_upload::{CompletedChunk, UploadSessionStatus};
use crate::resumable::ResumableUpload;
use crate::sync::{RecvError, channel};
use crate::upload::chunked::open::{UploadPlan, chunk_headers, is_unknown_session, missing_chunks, not_resumable};
use crate::upload::chunked::workers::{Job, Queue, Report, by_chunk};
use crate::upload::options::{NewAsset, TransferSettings, Tuning};
use crate::upload::progress::{Callback, UploadProgress, UploadResult, UploadState};
use crate::upload::threads::no_thread;

/// The time after which finished chunks are reported even if their batch is not full.
const MAX_UNREPORTED: Duration = Duration::from_secs(5);
/// The time limit for the report of finished chunks after a cancellation.
const LAST_REPORT: Duration = Duration::from_secs(5);

/// Uploads a file.
pub(crate) fn upload(
    client: &Session,
    file: &FileSource,
    asset: NewAsset,
    settings: TransferSettings,
) -> Result<UploadResult> {
    asset.check()?;
    let source = &file.inspect()?;
    let TransferSettings { tuning, mut progress, resume, resume_anyway, journal, .. } = settings;
    for (name, value) in [("batch_size", tuning.batch_size), ("max_workers", tuning.max_workers)] {
        if value == 0 {
            return Err(Error::invalid(name, "must be at least 1"));
        }
    }
    // A source that cannot be read in chunks is refused before a session is created.
    source.byte_ranges()?;
    let deadline = tuning.options.deadline.and_then(|deadline| client.settings().clock.now().checked_add(deadline));
    let length = source.length().unwrap_or_default();
    let opened = match resume {
        Some(upload) => {
            UploadPlan::resume(client, source, upload, resume_anyway, &tuning.options.without_parameters())?
        }
        None => UploadPlan::create(client, file, source, asset, &tuning.options)?,
    };
    let tuning = Tuning { options: tuning.options.without_parameters(), ..tuning };
    let headers = chunk_headers(&opened.upload).map_err(|e| not_resumable((*opened.upload).clone(), e))?;
    if let Some(mut journal) = journal {
        journal.session(&opened.upload).map_err(|e| opened.stopped(e))?;
    }
    let job = Job {
        client,
        source,
        tuning: &tuning,
        upload: opened.upload.clone(),
        headers,
        chunk_size: opened.chunk_size,
        total_chunks: opened.total_chunks,
        length,
        deadline,
        stop: CancelHandle::new(),
        sent: AtomicU64::new(0),
        queue: Mutex::new(Queue {
            chunks: VecDeque::new(),
            urls: by_chunk(opened.urls, 1..=opened.total_chunks).collect(),
            fetching: false,
            asked_ahead: 0,
        }),
        changed: Condvar::new(),
    };
    let mut state = TransferState::new(opened.missing, opened.upload.asset_id.clone(), client.settings().clock.now());
    state.counted = opened.is_complete.then_some(opened.total_chunks);
    let result = job.send_missing(&mut state, &mut progress).and_then(|()| job.verify(&mut state, &mut progress));
    if tuning.options.cancel.as_ref().is_some_and(CancelHandle::is_canceled) {
        job.report_last(&mut state);
    }
    if result.is_ok() {
        job.report_progress(&state, &mut progress, UploadState::Uploaded);
    }
    job.outcome(state, result)
}

/// The progress, as tracked by the calling thread.
struct TransferState {
    /// The chunks that have not been reported yet.
    missing: BTreeSet<u32>,
    /// The chunks that were sent and are waiting to be reported.
    unreported: Vec<CompletedChunk>,
    last_report: Instant,
    /// The time of the next attempt to report, after the platform has failed to accept the last report.
    no_report_before: Instant,
    /// The number of completed chunks by the platform's count, if it has returned one.
    counted: Option<u32>,
    asset_id: Option<String>,
    asset_url: Option<String>,
}

/// Tells the workers to end after their current chunk when it is dropped, even if the calling thread panics.
struct StopOnDrop<'a>(&'a Job<'a>);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The work of the calling thread.
impl TransferState {
    fn new(missing: BTreeSet<u32>, asset_id: Option<String>, now: Instant) -> Self {
        TransferState {
            missing,
            unreported: Vec::new(),
            last_report: now,
            no_report_before: now,
            counted: None,
            asset_id,
            asset_url: None,
        }
    }
}

impl Job<'_> {
    /// Returns the result of the upload: the asset, or an error that contains what is needed to resume.
    fn outcome(&self, state: TransferState, result: Result<()>) -> Result<UploadResult> {
        let cause = match (result, state.asset_id.clone()) {
            (Ok(()), Some(asset_id)) => {
                let upload_id = self.upload.upload_id.clone();
                return Ok(UploadResult { asset_id, asset_url: state.asset_url, upload_id });
            }
            (Ok(()), None) => {
                let name = self.name();
                let message =
                    format!("{name} is complete, but the id of its asset is unknown; look for it in `assets().list()`");
                return Err(self.protocol(message));
            }
            (Err(cause), _) => cause,
        };
        Err(Error::from(Box::new(UploadError {
            upload: ResumableUpload { asset_id: state.asset_id, ..(*self.upload).clone() },
            missing: state.missing.into_iter().collect(),
            total_chunks: self.total_chunks,
            // A file that cannot be read at the moment has not necessarily changed, so the upload can still be resumed.
            resumable: !matches!(cause, Error::File { source: None, .. }) && !is_unknown_session(&cause),
            mismatch: false,
            cause: Box::new(cause),
        })))
    }

    fn send_missing(&self, state: &mut TransferState, progress: &mut Option<Callback>) -> Result<()> {
        let missing: u64 = state.missing.iter().map(|index| self.place(*index).1).sum();
        self.sent.store(self.length.saturating_sub(missing), Ordering::Relaxed);
        self.report_progress(state, progress, UploadState::Uploading);
        self.queue().chunks = state.missing.iter().copied().collect();
        self.stop.reset();
        let workers = self.tuning.max_workers.min(state.missing.len());
        let (sender, events) = channel(usize::MAX);
        let mut fault = None;
        std::thread::scope(|scope| {
            let _stop = StopOnDrop(self);
            for started in 0..workers {
                let sender = sender.clone();
                let worker = std::thread::Builder::new().name("twelvelabs-upload".into());
                if let Err(e) = worker.spawn_scoped(scope, move || self.work(&sender)) {
                    // If the system refuses further threads, the upload continues with fewer workers, as long as there
                    // is one.
                    match started {
                        0 => fault = Some(no_thread(e)),
                        _ => log::warn!("only {started} workers: {e}"),
                    }
                    break;
                }
            }
            drop(sender);
            loop {
                match events.recv_timeout(PROGRESS_TICK) {
                    Ok(Report::Done(chunk)) => state.unreported.push(chunk),
                    Ok(Report::Failed(e)) => drop(fault.get_or_insert(e)),
                    Err(RecvError::Timeout) => {}
                    Err(RecvError::Closed) => return,
                }
                self.report_progress(state, progress, UploadState::Uploading);
                if fault.is_some() {
                    continue;
                }
                let now = self.now();
                let full = state.unreported.len() >= self.tuning.batch_size;
                let late =
                    !state.unreported.is_empty() && now.saturating_duration_since(state.last_report) > MAX_UNREPORTED;
                let due = (full || late) && now >= state.no_report_before;
                self.fetch_ahead();
                if due && let Err(e) = self.report(state) {
                    fault = Some(e);
                    self.stop();
                }
            }
        });
        // After a cancellation this sends nothing: see `report_last`.
        let reported = self.report_rest(state);
        fault.map_or(reported, Err)
    }

    /// Reports the sent chunks, a batch at a time. A temporary failure is ignored, because the next report repeats
    /// them.
    fn report(&self, state: &mut TransferState) -> Result<()> {
        match self.report_rest(state) {
            Err(e) if e.is_retryable() => {
                log::warn!("{}: chunks could not be reported for now: {e}", self.name());
                let pause = e.retry_after().unwrap_or_default().max(MAX_UNREPORTED).min(FOREVER);
                state.no_report_before = later(self.now(), pause);
                Ok(())
            }
            other => other,
        }
    }

    fn report_rest(&self, state: &mut TransferState) -> Result<()> {
        while !state.unreported.is_empty() {
            self.report_batch(self.options(), state)?;
        }
        Ok(())
    }

    fn report_batch(&self, options: RequestOptions, state: &mut TransferState) -> Result<()> {
        let count = self.tuning.batch_size.min(state.unreported.len());
        let batch = state.unreported[..count].to_vec();
        let report = self.client.multipart_upload().report_chunk_batch(&self.upload.upload_id, batch);
        let report = report.request_options(options).send()?;
        for chunk in state.unreported.drain(..count) {
            state.missing.remove(&chunk.chunk_index);
        }
        state.last_report = self.now();
        state.counted = report.total_completed.max(state.counted);
        state.asset_id = report.asset_id.or(state.asset_id.take());
        state.asset_url = report.url.or(state.asset_url.take());
        Ok(())
    }

    /// Reports the finished chunks after a cancellation, so that they need not be sent again.
    fn report_last(&self, state: &mut TransferState) {
        while !state.unreported.is_empty() {
            let mut options = self.tuning.options.clone().deadline(LAST_REPORT).max_retries(0);
            options.cancel = None;
            if let Err(e) = self.report_batch(options, state) {
                log::debug!("{}: the last report failed: {e}", self.name());
                return;
            }
        }
    }

    /// Compares the reported chunks with the platform's count, and sends the missing ones once more.
    fn verify(&self, state: &mut TransferState, progress: &mut Option<Callback>) -> Result<()> {
        self.source.check_path()?;
        if state.counted == Some(self.total_chunks) {
            return Ok(());
        }
        state.missing = self.lacking()?;
        if !state.missing.is_empty() {
            log::warn!("{}: the platform lacks {} chunks that were reported", self.name(), state.missing.len());
            self.send_missing(state, progress)?;
            state.missing = self.lacking()?;
        }
        match state.missing.len() {
            0 => Ok(()),
            lacks => {
                let message = format!("every chunk was sent and reported, but the platform lacks {lacks} of them");
                Err(self.protocol(message))
            }
        }
    }

    /// Returns the chunks that the platform reports as missing.
    fn lacking(&self) -> Result<BTreeSet<u32>> {
        let chunks = self.client.multipart_upload().get_status(&self.upload.upload_id).page_limit(50);
        let chunks = chunks.request_options(self.options()).send()?;
        match chunks.upload_status()?.status {
            Some(UploadSessionStatus::Completed) => return Ok(BTreeSet::new()),
            Some(ended @ (UploadSessionStatus::Failed | UploadSessionStatus::Expired)) => {
                return Err(self.protocol(format!("every chunk was sent, but the session is {ended}")));
            }
            _ => {}
        }
        missing_chunks(chunks, self.total_chunks, |_| Ok(()))
    }

    fn report_progress(&self, state: &TransferState, progress: &mut Option<Callback>, stage: UploadState) {
        let Some(callback) = progress else { return };
        let open = state.missing.len().saturating_sub(state.unreported.len());
        callback(&UploadProgress {
            state: stage,
            sent: self.sent.load(Ordering::Relaxed),
            total: Some(self.length),
            completed_chunks: self.total_chunks.saturating_sub(u32::try_from(open).unwrap_or(u32::MAX)),
            total_chunks: self.total_chunks,
            upload: Some(self.upload.clone()),
            asset_id: state.asset_id.clone(),
        });
    }
}
