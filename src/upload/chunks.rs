//! The chunked upload: workers that send chunks, and one thread that reports them.
//!
//! Chunks are handed out in order to workers, which read them straight from the file. The calling thread takes what
//! they have done, reports it in batches, asks for URLs ahead of need and tells the progress. A chunk is done once the
//! platform has counted it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use time::OffsetDateTime;

use crate::call::options::RequestOptions;
use crate::call::request::{check_header, failed};
use crate::error::{ApiError, Error, Result, UploadError};
use crate::file::{FileSource, Inspected, Stretches, look};
use crate::http::attempt::{self, Exchange, Limits};
use crate::http::cancel::{CancelHandle, no_thread};
use crate::http::session::{API_KEY_HEADER, Session};
use crate::resources::assets::AssetType;
use crate::resources::multipart_upload::{ChunkStatus, CompletedChunk, PresignedUrl, UploadSessionStatus};
use crate::response::HttpResponse;
use crate::resumable::ResumableUpload;
use crate::text::{printable, printable_path};
use crate::upload::progress::{UploadProgress, UploadResult, UploadState};

/// The platform gives no more URLs in one answer.
const MOST_URLS: u32 = 50;
/// A URL that ends sooner is not used any more.
const URL_RESERVE: time::Duration = time::Duration::seconds(30);
/// Chunks that are done are reported after this time although their batch is not full.
const LONGEST_UNREPORTED: Duration = Duration::from_secs(5);
/// How often progress is told, and a cancellation noticed, while no chunk is completed.
const TICK: Duration = Duration::from_millis(100);
/// How long the answer to a chunk may take once the chunk is sent.
const CHUNK_ANSWER: Duration = Duration::from_secs(120);
/// What is known of a canceled upload is reported, if that takes no longer.
const LAST_REPORT: Duration = Duration::from_secs(5);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// No more than this is read of an answer of the storage.
const MOST_ANSWER: u64 = 64 << 10;
/// A session of more chunks than this is a mistake.
const MOST_CHUNKS: u32 = 1_000_000;
/// Headers that a session cannot set: they are the connection's, or must never go to the storage.
const OWN_HEADERS: [&str; 5] = [API_KEY_HEADER, "host", "content-length", "transfer-encoding", "connection"];

/// What the operation of a request to the storage begins with.
pub(crate) const PUT_CHUNK: &str = "PUT chunk";

pub(crate) type Callback = Box<dyn FnMut(&UploadProgress) + Send>;

/// Keeps what it takes to resume an upload.
pub(crate) trait Journal: Send {
    /// A session has begun, or is gone on with. Nothing is sent before this returns, nor at all if it fails.
    fn session(&mut self, upload: &ResumableUpload) -> Result<()>;
}

/// How an upload is done.
#[derive(Default)]
pub(crate) struct Settings {
    pub tuning: Tuning,
    pub progress: Option<Callback>,
    pub resume: Option<ResumableUpload>,
    /// Whether to resume although the file is another than then.
    pub resume_anyway: bool,
    pub journal: Option<Box<dyn Journal>>,
    pub cancel: Option<CancelHandle>,
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
    pub max_retries: u32,
    pub retry_delay: Duration,
    pub options: RequestOptions,
}

impl Default for Tuning {
    fn default() -> Self {
        Tuning {
            batch_size: 10,
            max_workers: 5,
            max_retries: 3,
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

/// Uploads a file. `client` can be canceled, `survivor` is the client that is still there afterwards.
pub(crate) fn upload(
    client: &Session,
    survivor: &Session,
    file: &FileSource,
    asset: NewAsset,
    settings: Settings,
) -> Result<UploadResult> {
    asset.check()?;
    let source = &file.inspect()?;
    let Settings { tuning, mut progress, resume, resume_anyway, journal, .. } = settings;
    for (name, value) in [("batch_size", tuning.batch_size), ("max_workers", tuning.max_workers)] {
        if value == 0 {
            return Err(Error::invalid(name, "must be at least 1"));
        }
    }
    // Tells at once that a source cannot be read in chunks.
    source.stretches()?;
    let length = source.length().unwrap_or_default();
    let mut begun = match resume {
        Some(upload) => {
            if !resume_anyway {
                check_file(&upload, source)?;
            }
            Begun::again(client, source, upload, length, &tuning.options)?
        }
        None => Begun::anew(client, file, asset, length, &tuning.options)?,
    };
    Arc::make_mut(&mut begun.upload).file = source.stamp();
    let headers = chunk_headers(&begun.upload).map_err(|e| gone((*begun.upload).clone(), e))?;
    if let Some(mut journal) = journal {
        journal.session(&begun.upload).map_err(|e| begun.stopped(e))?;
    }
    let job = Job {
        client,
        source,
        tuning: &tuning,
        upload: begun.upload.clone(),
        headers,
        chunk_size: begun.chunk_size,
        total_chunks: begun.total_chunks,
        length,
        sent: AtomicU64::new(0),
        shared: Mutex::new(Shared {
            queue: VecDeque::new(),
            urls: begun.urls.into_iter().filter_map(|url| Some((url.chunk_index?, url))).collect(),
            fetching: false,
            asked_ahead: 0,
            stopped: false,
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
    if client.settings().cancel.as_ref().is_some_and(CancelHandle::is_canceled) {
        job.report_last(survivor, &mut tally);
    }
    match result {
        Ok(()) => {
            job.tell(&tally, &mut progress, UploadState::Uploaded);
            let upload_id = begun.upload.upload_id.clone();
            let Some(asset_id) = tally.asset_id else {
                let name = job.name();
                let message =
                    format!("{name} is complete, but the id of its asset is unknown: look for it in `assets().list()`");
                return Err(Error::invalid("resume", message));
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

/// Whether an upload that was kept can be gone on with from this file.
pub(crate) fn is_of(upload: &ResumableUpload, path: &Path) -> bool {
    let difference = upload.file.zip(look(path).ok().flatten()).and_then(|(then, now)| then.difference(&now));
    if let Some(difference) = &difference {
        log::warn!("{}: {difference}: the upload begins anew", printable_path(path));
    }
    difference.is_none()
}

/// An error if the file is not the one that the upload was begun with, as far as that is known.
fn check_file(upload: &ResumableUpload, source: &Inspected) -> Result<()> {
    let difference = upload.file.zip(source.stamp()).and_then(|(then, now)| then.difference(&now));
    let Some(difference) = difference else { return Ok(()) };
    let message = format!(
        "this is not the file that the upload was begun with: {difference}; give that file, upload this one anew, or set \
         `resume_anyway(true)` if the content is the same"
    );
    Err(Error::from(Box::new(UploadError {
        upload: upload.clone(),
        missing: Vec::new(),
        total_chunks: 0,
        resumable: true,
        cause: Box::new(Error::file(source.label(), message, None)),
    })))
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
    /// Before anything was sent.
    fn stopped(&self, cause: Error) -> Error {
        Error::from(Box::new(UploadError {
            upload: (*self.upload).clone(),
            missing: self.missing.iter().copied().collect(),
            total_chunks: self.total_chunks,
            resumable: true,
            cause: Box::new(cause),
        }))
    }

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
        let unusable = |message: String| gone(upload.clone(), Error::invalid("upload session", message));
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
            // With an id that is none it is as with one that has ended.
            Err(e) if is_gone(&e) || matches!(e.status(), Some(400 | 414 | 422)) => return Err(gone(upload, e)),
            chunks => chunks?,
        };
        let status = chunks.upload_status()?;
        let name = printable(&id, 100);
        let refuse = |message: String| Err(Error::invalid("resume", format!("upload {name} {message}")));
        if let Some(size) = status.total_size.filter(|size| *size != length) {
            let file = printable_path(source.label());
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

/// Whether it is pointless to go on with this session.
pub(crate) fn is_hopeless(e: &Error) -> bool {
    match e {
        Error::Upload(e) => !e.resumable && !matches!(*e.cause, Error::File { .. }),
        Error::InvalidArgument { argument, .. } => argument == "resume",
        _ => false,
    }
}

/// Whether the platform no longer knows the session.
fn is_gone(e: &Error) -> bool {
    matches!(e.status(), Some(404 | 410))
}

/// One upload as the workers see it.
struct Job<'a> {
    client: &'a Session,
    source: &'a Inspected,
    tuning: &'a Tuning,
    upload: Arc<ResumableUpload>,
    headers: Vec<(String, String)>,
    chunk_size: u64,
    total_chunks: u32,
    length: u64,
    /// Bytes of the file that have arrived or are on their way.
    sent: AtomicU64,
    shared: Mutex<Shared>,
    /// Told when URLs have come or the upload stops.
    changed: Condvar,
}

struct Shared {
    /// Chunks that no worker has taken.
    queue: VecDeque<u32>,
    urls: HashMap<u32, PresignedUrl>,
    fetching: bool,
    /// The chunk for whose URL was asked last ahead of need: once is enough, its worker asks, too.
    asked_ahead: u32,
    stopped: bool,
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

enum Event {
    Done(CompletedChunk),
    Failed(Error),
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
            let mut shared = self.shared();
            shared.queue = tally.missing.iter().copied().collect();
            (shared.stopped, shared.asked_ahead) = (false, 0);
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
            // Its connections are gone: the rest is reported by the client that is still there.
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
                let pause = e.retry_after().unwrap_or_default().clamp(LONGEST_UNREPORTED, LONGEST_DELAY);
                tally.no_report_before = Instant::now() + pause;
                Ok(())
            }
            other => other,
        }
    }

    fn report_rest(&self, tally: &mut Tally) -> Result<()> {
        while !tally.unreported.is_empty() {
            self.report_batch(self.client, self.tuning.options.clone(), tally)?;
        }
        Ok(())
    }

    fn report_batch(&self, client: &Session, options: RequestOptions, tally: &mut Tally) -> Result<()> {
        let count = self.tuning.batch_size.min(tally.unreported.len());
        let batch = tally.unreported[..count].to_vec();
        let report = client.multipart_upload().report_chunk_batch(&self.upload.upload_id, batch);
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
    fn report_last(&self, survivor: &Session, tally: &mut Tally) {
        while !tally.unreported.is_empty() {
            let options = self.tuning.options.clone().deadline(LAST_REPORT).max_retries(0);
            if let Err(e) = self.report_batch(survivor, options, tally) {
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
                Err(Error::invalid("upload", message))
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
                return Err(Error::invalid("upload", format!("every chunk was sent, but the session is {ended}")));
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

/// The workers' part.
impl Job<'_> {
    fn work(&self, events: &Sender<Event>) {
        let work = || -> Result<()> {
            let mut file = self.source.stretches()?;
            while let Some(index) = self.take() {
                let done = self.send_chunk(index, &mut file)?;
                // Nobody listens any more only if the calling thread has panicked.
                let _ = events.send(Event::Done(done));
            }
            Ok(())
        };
        if let Err(e) = work() {
            // In this order: what stops the others is the fault that counts.
            let _ = events.send(Event::Failed(e));
            self.stop();
        }
    }

    /// The upload in texts.
    fn name(&self) -> String {
        format!("upload {}", printable(&self.upload.upload_id, 100))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No chunk is begun any more.
    fn stop(&self) {
        self.shared().stopped = true;
        self.changed.notify_all();
    }

    fn take(&self) -> Option<u32> {
        let mut shared = self.shared();
        if shared.stopped {
            return None;
        }
        shared.queue.pop_front()
    }

    /// Where a chunk is in the file, and its length.
    fn place(&self, index: u32) -> (u64, u64) {
        let offset = u64::from(index.saturating_sub(1)).saturating_mul(self.chunk_size);
        (offset, self.chunk_size.min(self.length.saturating_sub(offset)))
    }

    /// Sends a chunk, again to another URL if that fails.
    fn send_chunk(&self, index: u32, file: &mut Stretches) -> Result<CompletedChunk> {
        let operation = || format!("{PUT_CHUNK} {index} of {} of {}", self.total_chunks, self.name());
        let settings = self.client.settings();
        let mut attempt = 0;
        loop {
            settings.proceed(operation)?;
            let mut taken = 0;
            let e = match self.url(index) {
                Ok(url) => match self.put(index, &url, file, &mut taken, operation) {
                    Ok(etag) => return Ok(CompletedChunk::new(index, &etag, self.place(index).1)),
                    Err(e) => e,
                },
                // The platform has refused, and would refuse again.
                Err(e) if e.status().is_some() && !e.is_retryable() => return Err(e),
                Err(e) => e,
            };
            self.sent.fetch_sub(taken, Ordering::Relaxed);
            let last = attempt >= self.tuning.max_retries || self.shared().stopped;
            if last || matches!(e, Error::File { .. }) || e.is_canceled() {
                return Err(e);
            }
            let refused = matches!(e.status(), Some(403 | 410));
            let doubled = self.tuning.retry_delay.saturating_mul(2u32.saturating_pow(attempt.min(16)));
            let pause = match e.retry_after().filter(|wait| *wait <= settings.max_retry_after) {
                Some(asked) => asked,
                // A URL that has ended says nothing about the next one.
                None if refused && attempt == 0 => Duration::ZERO,
                None => doubled.min(LONGEST_DELAY),
            };
            log::warn!("{e}; sending the chunk again in {pause:?}");
            settings.pause(pause, operation)?;
            attempt += 1;
        }
    }

    /// One attempt at a chunk, which gives its `ETag`. `taken`: how many bytes were handed to the network.
    fn put(
        &self,
        index: u32,
        url: &str,
        file: &mut Stretches,
        taken: &mut u64,
        operation: impl Fn() -> String,
    ) -> Result<String> {
        let settings = self.client.settings();
        let (offset, length) = self.place(index);
        let cancel = settings.cancel.clone();
        let mut body = ChunkReader { file, offset, left: length, sent: &self.sent, taken, cancel, fault: None };
        let answer = self.tuning.options.timeout.unwrap_or(CHUNK_ANSWER).min(attempt::FOREVER);
        let exchange = Exchange {
            method: "PUT",
            url,
            headers: &self.headers,
            body: Some((&mut body, Some(length))),
            limits: Limits { answer, stream: false, total: None },
        };
        let result = attempt::send(&settings.storage, exchange);
        if let Some(fault) = body.fault {
            return Err(fault);
        }
        let fail = |failure| match &settings.cancel {
            Some(cancel) if cancel.is_canceled() => Error::Canceled { operation: operation() },
            _ => failed(failure, operation(), MOST_ANSWER, ""),
        };
        let mut response = result.map_err(fail)?;
        // Read to its end, so that the connection can be used again, unless it is far off.
        response.body = Box::new(response.body.take(MOST_ANSWER));
        let body = attempt::read_all(&mut response, MOST_ANSWER, Instant::now() + answer).map_err(fail)?;
        let response = HttpResponse { data: (), status: response.status, headers: response.headers, body };
        if !(200..300).contains(&response.status) {
            let now = settings.clock.utc_now();
            return Err(Error::from(Box::new(ApiError::new(operation(), response, now))));
        }
        match response.headers.get("etag").map(|etag| etag.trim().trim_matches('"')) {
            Some(etag) if !etag.is_empty() => Ok(etag.into()),
            _ => {
                let message = "the storage took the chunk but gave no ETag as its proof".into();
                Err(Error::Decode { operation: operation(), message, response: Box::new(response) })
            }
        }
    }

    /// A URL for a chunk that was not used before.
    fn url(&self, index: u32) -> Result<String> {
        let mut shared = self.shared();
        loop {
            match shared.urls.remove(&index) {
                Some(PresignedUrl { url: Some(url), expires_at, .. }) if !self.is_expired(expires_at) => {
                    return Ok(url);
                }
                Some(_) => {}
                None if shared.fetching => {
                    // Somebody is asking already. If that was not for this chunk, it is asked for next.
                    shared = self.changed.wait_timeout(shared, TICK).unwrap_or_else(PoisonError::into_inner).0;
                    self.client.settings().check_canceled(|| self.name())?;
                    continue;
                }
                None => {}
            }
            let count = shared.run_without_url(index);
            shared = self.fetch(shared, index, count)?;
            // What was fetched this moment is used even if this machine's clock says that it has expired.
            if let Some(PresignedUrl { url: Some(url), .. }) = shared.urls.remove(&index) {
                return Ok(url);
            }
            let message = format!("the platform gave no URL for chunk {index}");
            return Err(Error::invalid("presigned URLs", message));
        }
    }

    fn is_expired(&self, expires_at: Option<OffsetDateTime>) -> bool {
        let soon = self.client.settings().clock.utc_now().checked_add(URL_RESERVE);
        expires_at.zip(soon).is_some_and(|(expires_at, soon)| expires_at <= soon)
    }

    /// Asks for URLs before a worker has to wait for them.
    fn fetch_ahead(&self) -> Result<()> {
        let mut shared = self.shared();
        let near = shared.queue.iter().take(self.tuning.max_workers.saturating_mul(2));
        let Some(next) = near.copied().find(|index| !shared.urls.contains_key(index)) else { return Ok(()) };
        if shared.fetching || shared.stopped || shared.asked_ahead == next {
            return Ok(());
        }
        shared.asked_ahead = next;
        let count = shared.run_without_url(next);
        match self.fetch(shared, next, count) {
            // The worker that needs them asks again, and reports what is wrong if it lasts.
            Err(e) if !is_gone(&e) => log::debug!("no URLs ahead of need: {e}"),
            other => drop(other?),
        }
        Ok(())
    }

    /// Asks for the URLs of `count` chunks, without holding the lock meanwhile.
    fn fetch<'s>(
        &'s self,
        mut shared: MutexGuard<'s, Shared>,
        start: u32,
        count: u32,
    ) -> Result<MutexGuard<'s, Shared>> {
        shared.fetching = true;
        drop(shared);
        let call = self.client.multipart_upload().get_additional_presigned_urls(&self.upload.upload_id, start, count);
        let answer = call.request_options(self.tuning.options.clone()).send();
        let mut shared = self.shared();
        shared.fetching = false;
        self.changed.notify_all();
        let urls = answer?.upload_urls.unwrap_or_default();
        shared.urls.extend(urls.into_iter().filter_map(|url| Some((url.chunk_index?, url))));
        Ok(shared)
    }
}

impl Shared {
    /// How many chunks from `index` on are not begun and have no URL.
    fn run_without_url(&self, index: u32) -> u32 {
        let open = |n: &u32| self.queue.contains(n) && !self.urls.contains_key(n);
        let last = (1..MOST_URLS).take_while(|n| open(&index.saturating_add(*n))).last();
        last.unwrap_or(0) + 1
    }
}

/// Reads one chunk from the file.
struct ChunkReader<'a> {
    file: &'a mut Stretches,
    offset: u64,
    left: u64,
    sent: &'a AtomicU64,
    taken: &'a mut u64,
    cancel: Option<CancelHandle>,
    fault: Option<Error>,
}

impl ChunkReader<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.cancel.as_ref().is_some_and(CancelHandle::is_canceled) {
            return Err(Error::Canceled { operation: "upload".into() });
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(self.offset, &mut buffer[..most])?;
        self.offset += read as u64;
        self.left -= read as u64;
        if self.left == 0 {
            // Before the last bytes go, so that a chunk of a file that has changed is never complete.
            self.file.check_unchanged()?;
        }
        self.sent.fetch_add(read as u64, Ordering::Relaxed);
        *self.taken += read as u64;
        Ok(read)
    }
}

impl Read for ChunkReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill(buffer).map_err(|error| {
            self.fault = Some(error);
            io::Error::other("the chunk cannot be read")
        })
    }
}
