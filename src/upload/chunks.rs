//! The chunked upload: workers that send chunks, and one thread that reports them.
//!
//! Chunks are handed out in order to workers, which read them straight from the file. The calling thread takes what
//! they have done, reports it in batches, asks for URLs ahead of need and tells the progress. A chunk is done once the
//! platform has counted it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::call::options::RequestOptions;
use crate::call::request::check_header;
use crate::error::{Error, Result, UploadError};
use crate::file::{FileSource, Inspected};
use crate::http::attempt::FOREVER;
use crate::http::cancel::CancelHandle;
use crate::http::engine::STORAGE_OPERATION;
use crate::http::session::{API_KEY_HEADER, Session};
use crate::resources::assets::AssetType;
use crate::resources::multipart_upload::{ChunkStatus, CompletedChunk, PresignedUrl, UploadSessionStatus};
use crate::resumable::ResumableUpload;
use crate::text::printable;
use crate::upload::no_thread;
use crate::upload::progress::{UploadProgress, UploadResult, UploadState};
use crate::upload::workers::{Event, Job, Queue};

/// Chunks that are done are reported after this time although their batch is not full.
const LONGEST_UNREPORTED: Duration = Duration::from_secs(5);
/// How often progress is told, and a cancellation noticed, while no chunk is completed.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// What is known of a canceled upload is reported, if that takes no longer.
const LAST_REPORT: Duration = Duration::from_secs(5);
/// A session of more chunks than this is a mistake.
const MOST_CHUNKS: u32 = 1_000_000;
/// Headers that a session cannot set: they are the connection's, or must never go to the storage.
const OWN_HEADERS: [&str; 5] = [API_KEY_HEADER, "host", "content-length", "transfer-encoding", "connection"];

pub(crate) type Callback = Box<dyn FnMut(&UploadProgress) + Send>;

/// How an upload is done.
#[derive(Default)]
pub(crate) struct Settings {
    pub tuning: Tuning,
    pub progress: Option<Callback>,
    pub resume: Option<ResumableUpload>,
}

/// What the asset of a new session will be.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewAsset {
    pub filename: Option<String>,
    pub file_type: Option<AssetType>,
    pub enable_hls: Option<bool>,
    pub enable_thumbnail: Option<bool>,
    pub user_metadata: Option<Value>,
}

impl NewAsset {
    /// An error if it cannot be asked for.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.user_metadata {
            Some(metadata) if !metadata.is_object() => {
                Err(Error::invalid("user_metadata", "must be an object of names and values"))
            }
            _ => Ok(()),
        }
    }
}

/// The numbers among the settings.
#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    pub batch_size: usize,
    pub max_workers: usize,
    /// How often a chunk is sent again, if that was set for this upload.
    pub max_retries: Option<u32>,
    pub retry_delay: Duration,
    pub options: RequestOptions,
}

impl Tuning {
    /// A cancel handle that was given to the upload itself stays.
    pub(super) fn set_options(&mut self, options: RequestOptions) {
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

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("tuning", &self.tuning)
            .field("resume", &self.resume.as_ref().map(|upload| &upload.upload_id))
            .finish_non_exhaustive()
    }
}

/// Uploads a file.
pub(crate) fn upload(client: &Session, file: &FileSource, asset: NewAsset, settings: Settings) -> Result<UploadResult> {
    asset.check()?;
    let source = &file.inspect()?;
    let Settings { tuning, mut progress, resume, .. } = settings;
    for (name, value) in [("batch_size", tuning.batch_size), ("max_workers", tuning.max_workers)] {
        if value == 0 {
            return Err(Error::invalid(name, "must be at least 1"));
        }
    }
    // Tells at once that a source cannot be read in chunks.
    source.stretches()?;
    let length = source.length().unwrap_or_default();
    let begun = match resume {
        Some(upload) => Begun::again(client, source, upload, length, &tuning.options)?,
        None => Begun::anew(client, file, asset, length, &tuning.options)?,
    };
    let headers = chunk_headers(&begun.upload).map_err(|e| gone((*begun.upload).clone(), e))?;
    let job = Job {
        client,
        source,
        tuning: &tuning,
        upload: begun.upload.clone(),
        headers,
        chunk_size: begun.chunk_size,
        total_chunks: begun.total_chunks,
        length,
        stop: CancelHandle::new(),
        sent: AtomicU64::new(0),
        queue: Mutex::new(Queue {
            chunks: VecDeque::new(),
            urls: begun.urls.into_iter().filter_map(|url| Some((url.chunk_index?, url))).collect(),
            fetching: false,
            asked_ahead: 0,
        }),
        changed: Condvar::new(),
    };
    let mut tally = Tally {
        missing: begun.missing,
        unreported: Vec::new(),
        last_report: Instant::now(),
        no_report_before: Instant::now(),
        counted: None,
        asset_id: begun.upload.asset_id.clone(),
        asset_url: None,
    };
    let result = job.send_missing(&mut tally, &mut progress).and_then(|()| job.verify(&mut tally, &mut progress));
    if tuning.options.cancel.as_ref().is_some_and(CancelHandle::is_canceled) {
        job.report_last(&mut tally);
    }
    match result {
        Ok(()) => {
            job.tell(&tally, &mut progress, UploadState::Uploaded);
            let upload_id = begun.upload.upload_id.clone();
            let Some(asset_id) = tally.asset_id else {
                let name = job.name();
                let message =
                    format!("{name} is complete, but the id of its asset is unknown: look for it in `assets().list()`");
                return Err(job.protocol(message));
            };
            Ok(UploadResult { asset_id, asset_url: tally.asset_url, upload_id })
        }
        Err(cause) => Err(Error::from(Box::new(UploadError {
            upload: ResumableUpload { asset_id: tally.asset_id, ..(*begun.upload).clone() },
            missing: tally.missing.into_iter().collect(),
            total_chunks: begun.total_chunks,
            // A file that cannot be read for now has not changed.
            resumable: !matches!(cause, Error::File { source: None, .. }) && !is_gone(&cause),
            cause: Box::new(cause),
        }))),
    }
}

/// A session, and what is left to do in it.
struct Begun {
    upload: Arc<ResumableUpload>,
    chunk_size: u64,
    total_chunks: u32,
    urls: Vec<PresignedUrl>,
    missing: BTreeSet<u32>,
}

impl Begun {
    fn anew(
        client: &Session,
        file: &FileSource,
        asset: NewAsset,
        length: u64,
        options: &RequestOptions,
    ) -> Result<Self> {
        let filename = asset.filename.unwrap_or_else(|| file.file_name());
        let file_type = asset.file_type.or_else(|| file.asset_type()).unwrap_or(AssetType::Video);
        let session = client
            .multipart_upload()
            .create(&filename, file_type, length)
            .when_some(asset.enable_hls, |call, enable_hls| call.enable_hls(enable_hls))
            .when_some(asset.enable_thumbnail, |call, enable_thumbnail| call.enable_thumbnail(enable_thumbnail))
            .when_some(asset.user_metadata, |call, user_metadata| call.user_metadata(user_metadata))
            .request_options(options.clone())
            .send()?;
        let upload = ResumableUpload::from(&session);
        let unusable = |message: String| {
            gone(upload.clone(), Error::Protocol { operation: "POST /assets/multipart-uploads".into(), message })
        };
        let Some(chunk_size) = session.chunk_size.filter(|size| *size > 0) else {
            return Err(unusable("the platform gave no size for the chunks".into()));
        };
        let total_chunks = count(length, chunk_size).map_err(&unusable)?;
        if session.total_chunks.is_some_and(|total| total != total_chunks) {
            let told = session.total_chunks.unwrap_or_default();
            let message = format!("{length} bytes in chunks of {chunk_size} are {total_chunks} chunks, not {told}");
            return Err(unusable(message));
        }
        Ok(Begun {
            upload: Arc::new(upload),
            chunk_size,
            total_chunks,
            urls: session.upload_urls.unwrap_or_default(),
            missing: (1..=total_chunks).collect(),
        })
    }

    fn again(
        client: &Session,
        source: &Inspected,
        mut upload: ResumableUpload,
        length: u64,
        options: &RequestOptions,
    ) -> Result<Self> {
        let uploads = client.multipart_upload();
        let id = upload.upload_id.clone();
        let chunks = match uploads.get_status(&id).page_limit(50).request_options(options.clone()).send() {
            Err(e) if is_gone(&e) => return Err(gone(upload, e)),
            chunks => chunks?,
        };
        let status = chunks.upload_status()?;
        let name = printable(&id, 100);
        let refuse = |message: String| Err(Error::invalid("resume", format!("upload {name} {message}")));
        if let Some(size) = status.total_size.filter(|size| *size != length) {
            let file = source.label().display();
            return refuse(format!(
                "is of a file of {size} bytes; {file} has {length}. Give the file that it was begun with"
            ));
        }
        if let Some(ended @ (UploadSessionStatus::Failed | UploadSessionStatus::Expired)) = &status.status {
            let message = format!("upload {name} is {ended}; upload the file anew");
            return Err(gone(upload, Error::invalid("resume", message)));
        }
        let counts = [status.chunks_completed, status.chunks_failed, status.chunks_pending];
        let told_chunks = counts.into_iter().map(|count| count.map(u64::from)).sum::<Option<u64>>();
        let mut told_chunks = told_chunks.filter(|total| *total > 0);
        if upload.chunk_size.is_none() {
            for incomplete in
                uploads.list_incomplete_uploads().page_limit(50).request_options(options.clone()).send()?
            {
                let incomplete = incomplete?;
                if incomplete.upload_id == id {
                    upload.chunk_size = incomplete.chunk_size;
                    upload.expires_at = incomplete.expires_at;
                    told_chunks = incomplete.total_chunks.map(u64::from).or(told_chunks);
                    break;
                }
            }
        }
        let Some(chunk_size) = upload.chunk_size.filter(|size| *size > 0) else {
            let why = match status.status {
                Some(UploadSessionStatus::Completed) => "is complete already; look for its asset in `assets().list()`",
                _ => "is not among the incomplete uploads, so the size of its chunks is not known",
            };
            return refuse(why.into());
        };
        let total_chunks = count(length, chunk_size).map_err(|why| Error::invalid("resume", why))?;
        if let Some(told) = told_chunks.filter(|told| *told != u64::from(total_chunks)) {
            return refuse(format!("has {told} chunks; this file would have {total_chunks} of {chunk_size} bytes"));
        }
        let mut missing: BTreeSet<u32> = (1..=total_chunks).collect();
        for chunk in chunks {
            let chunk = chunk?;
            let Some(index) = chunk.index else { continue };
            if index == 0 || index > total_chunks {
                return refuse(format!("has a chunk {index}; this file has chunks 1 to {total_chunks}"));
            }
            if chunk.status == Some(ChunkStatus::Completed) {
                missing.remove(&index);
            }
        }
        if status.status == Some(UploadSessionStatus::Completed) {
            missing.clear();
        }
        Ok(Begun { upload: Arc::new(upload), chunk_size, total_chunks, urls: Vec::new(), missing })
    }
}

fn count(length: u64, chunk_size: u64) -> Result<u32, String> {
    let chunks = u32::try_from(length.div_ceil(chunk_size)).ok().filter(|chunks| *chunks <= MOST_CHUNKS);
    chunks.ok_or_else(|| format!("{length} bytes are too many chunks of {chunk_size} bytes"))
}

/// The headers of the requests that carry the chunks.
fn chunk_headers(upload: &ResumableUpload) -> Result<Vec<(String, String)>> {
    let mut headers = vec![("content-type".to_string(), "application/octet-stream".to_string())];
    for (name, value) in &upload.upload_headers {
        check_header(name, value)?;
        let name = name.to_ascii_lowercase();
        if OWN_HEADERS.contains(&name.as_str()) {
            log::debug!("the header {name} of the session is left out");
            continue;
        }
        headers.retain(|(have, _)| *have != name);
        headers.push((name, value.clone()));
    }
    Ok(headers)
}

/// An upload that cannot be gone on with.
fn gone(upload: ResumableUpload, cause: Error) -> Error {
    Error::from(Box::new(UploadError {
        upload,
        missing: Vec::new(),
        total_chunks: 0,
        resumable: false,
        cause: Box::new(cause),
    }))
}

/// Whether the platform no longer knows the session. What the storage says is about one of its URLs.
pub(super) fn is_gone(e: &Error) -> bool {
    e.api().is_some_and(|e| matches!(e.status, 404 | 410) && !e.operation.starts_with(STORAGE_OPERATION))
}

/// What has been achieved, as the calling thread keeps it.
struct Tally {
    /// Chunks that were not reported.
    missing: BTreeSet<u32>,
    /// Chunks that were sent and wait for their report.
    unreported: Vec<CompletedChunk>,
    last_report: Instant,
    /// The platform could not take the last report.
    no_report_before: Instant,
    /// How many chunks the platform says it has.
    counted: Option<u32>,
    asset_id: Option<String>,
    asset_url: Option<String>,
}

/// Lets the workers end after the chunk that they are at, whatever happens to the calling thread.
struct StopOnDrop<'a>(&'a Job<'a>);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The calling thread's part.
impl Job<'_> {
    fn send_missing(&self, tally: &mut Tally, progress: &mut Option<Callback>) -> Result<()> {
        let missing: u64 = tally.missing.iter().map(|index| self.place(*index).1).sum();
        self.sent.store(self.length.saturating_sub(missing), Ordering::Relaxed);
        self.tell(tally, progress, UploadState::Uploading);
        if tally.missing.is_empty() {
            return Ok(());
        }
        {
            let mut queue = self.queue();
            queue.chunks = tally.missing.iter().copied().collect();
            queue.asked_ahead = 0;
            self.stop.reset();
        }
        let workers = self.tuning.max_workers.min(tally.missing.len());
        let (sender, events) = mpsc::channel();
        let mut fault = None;
        std::thread::scope(|scope| {
            let _stop = StopOnDrop(self);
            for begun in 0..workers {
                let sender = sender.clone();
                let worker = std::thread::Builder::new().name("twelvelabs-upload".into());
                if let Err(e) = worker.spawn_scoped(scope, move || self.work(&sender)) {
                    // Fewer workers do it too, as long as there is one.
                    match begun {
                        0 => fault = Some(no_thread(e)),
                        _ => log::warn!("only {begun} workers: {e}"),
                    }
                    break;
                }
            }
            drop(sender);
            loop {
                match events.recv_timeout(TICK) {
                    Ok(Event::Done(chunk)) => tally.unreported.push(chunk),
                    Ok(Event::Failed(e)) => drop(fault.get_or_insert(e)),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                self.tell(tally, progress, UploadState::Uploading);
                if fault.is_some() {
                    continue;
                }
                let full = tally.unreported.len() >= self.tuning.batch_size;
                let late = !tally.unreported.is_empty() && tally.last_report.elapsed() > LONGEST_UNREPORTED;
                let due = (full || late) && Instant::now() >= tally.no_report_before;
                let fetched = self.fetch_ahead();
                let reported = if due { self.report(tally) } else { Ok(()) };
                if let Err(e) = fetched.and(reported) {
                    fault = Some(e);
                    self.stop();
                }
            }
        });
        if fault.as_ref().is_some_and(Error::is_canceled) {
            // The rest is reported without the handle.
            return fault.map_or(Ok(()), Err);
        }
        let reported = self.report_rest(tally);
        fault.map_or(reported, Err)
    }

    /// Reports what was sent, a batch at a time. A passing fault is forgiven: the next report has them, too.
    fn report(&self, tally: &mut Tally) -> Result<()> {
        match self.report_rest(tally) {
            Err(e) if e.is_retryable() => {
                log::warn!("{}: chunks could not be reported for now: {e}", self.name());
                let pause = e.retry_after().unwrap_or_default().max(LONGEST_UNREPORTED).min(FOREVER);
                tally.no_report_before = Instant::now() + pause;
                Ok(())
            }
            other => other,
        }
    }

    fn report_rest(&self, tally: &mut Tally) -> Result<()> {
        while !tally.unreported.is_empty() {
            self.report_batch(self.tuning.options.clone(), tally)?;
        }
        Ok(())
    }

    fn report_batch(&self, options: RequestOptions, tally: &mut Tally) -> Result<()> {
        let count = self.tuning.batch_size.min(tally.unreported.len());
        let batch = tally.unreported[..count].to_vec();
        let report = self.client.multipart_upload().report_chunk_batch(&self.upload.upload_id, batch);
        let report = report.request_options(options).send()?;
        for chunk in tally.unreported.drain(..count) {
            tally.missing.remove(&chunk.chunk_index);
        }
        tally.last_report = Instant::now();
        tally.counted = report.total_completed.max(tally.counted);
        tally.asset_id = report.asset_id.or(tally.asset_id.take());
        tally.asset_url = report.url.or(tally.asset_url.take());
        Ok(())
    }

    /// After a cancellation: so that what has arrived need not be sent again.
    fn report_last(&self, tally: &mut Tally) {
        while !tally.unreported.is_empty() {
            let mut options = self.tuning.options.clone().deadline(LAST_REPORT).max_retries(0);
            options.cancel = None;
            if let Err(e) = self.report_batch(options, tally) {
                log::debug!("{}: the last report failed: {e}", self.name());
                return;
            }
        }
    }

    /// Holds what was reported against what the platform has counted, and sends once more what it lacks.
    fn verify(&self, tally: &mut Tally, progress: &mut Option<Callback>) -> Result<()> {
        self.source.check_path()?;
        if tally.counted == Some(self.total_chunks) {
            return Ok(());
        }
        tally.missing = self.lacking()?;
        if !tally.missing.is_empty() {
            log::warn!("{}: the platform lacks {} chunks that were reported", self.name(), tally.missing.len());
            self.send_missing(tally, progress)?;
            tally.missing = self.lacking()?;
        }
        match tally.missing.len() {
            0 => Ok(()),
            lacks => {
                let message = format!("every chunk was sent and reported, but the platform lacks {lacks} of them");
                Err(self.protocol(message))
            }
        }
    }

    /// The chunks that the platform says it does not have.
    fn lacking(&self) -> Result<BTreeSet<u32>> {
        let chunks = self.client.multipart_upload().get_status(&self.upload.upload_id).page_limit(50);
        let chunks = chunks.request_options(self.tuning.options.clone()).send()?;
        let mut lacking: BTreeSet<u32> = (1..=self.total_chunks).collect();
        match chunks.upload_status()?.status {
            Some(UploadSessionStatus::Completed) => return Ok(BTreeSet::new()),
            Some(ended @ (UploadSessionStatus::Failed | UploadSessionStatus::Expired)) => {
                return Err(self.protocol(format!("every chunk was sent, but the session is {ended}")));
            }
            _ => {}
        }
        for chunk in chunks {
            let chunk = chunk?;
            if let (Some(index), Some(ChunkStatus::Completed)) = (chunk.index, chunk.status) {
                lacking.remove(&index);
            }
        }
        Ok(lacking)
    }

    fn tell(&self, tally: &Tally, progress: &mut Option<Callback>, state: UploadState) {
        let Some(callback) = progress else { return };
        let open = tally.missing.len().saturating_sub(tally.unreported.len());
        callback(&UploadProgress {
            state,
            sent: self.sent.load(Ordering::Relaxed),
            total: Some(self.length),
            completed_chunks: self.total_chunks.saturating_sub(u32::try_from(open).unwrap_or(u32::MAX)),
            total_chunks: self.total_chunks,
            upload: Some(self.upload.clone()),
            asset_id: tally.asset_id.clone(),
        });
    }
}
