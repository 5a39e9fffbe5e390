//! A batch of uploads on plain threads.
//!
//! Workers take what is due: a file to send, or a look at an asset that is not ready yet. So a worker never sits and
//! waits for the platform while there are files to send.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::call::RequestOptions;
use crate::call::poll::{MOST_UNKNOWN, Next, Pace, Poll};
use crate::error::{ApiError, Error, Result};
use crate::file::FileSource;
use crate::http::cancel::CancelHandle;
use crate::http::engine::STORAGE_OPERATION;
use crate::http::session::Session;
use crate::resources::assets::{Asset, AssetStatus, LOCAL_LIMIT};
use crate::resumable::ResumableUpload;
use crate::upload::chunks::{Callback, NewAsset};
use crate::upload::manifest::{Event, FileKey, Line, Manifest, path_key};
use crate::upload::no_thread;
use crate::upload::progress::{UploadProgress, UploadState};
use crate::upload::single::{Shared, UploadAsset, Uploaded};

/// How long a worker without work sleeps at the most before it looks again.
const IDLE: Duration = Duration::from_millis(20);
/// So many looks in a row, then a file again: assets that are not ready cannot keep files waiting.
const MOST_LOOKS: u32 = 16;

type FileCallback = Arc<dyn Fn(&Path, &UploadProgress) + Send + Sync>;

/// Options of [`AssetsClient::upload_all`](crate::assets::AssetsClient::upload_all).
#[must_use = "nothing is sent before `.send()`"]
pub struct UploadAll {
    client: Session,
    paths: Vec<PathBuf>,
    workers: usize,
    manifest: Option<PathBuf>,
    retry_permanent: bool,
    progress: Option<FileCallback>,
    cancel: Option<CancelHandle>,
    options: Options,
}

/// How each file is uploaded.
#[derive(Clone)]
struct Options {
    asset: NewAsset,
    threshold: u64,
    max_workers: usize,
    wait: bool,
    pace: Pace,
    request_options: RequestOptions,
}

impl UploadAll {
    pub(crate) fn new(client: &Session, paths: Vec<PathBuf>) -> Self {
        UploadAll {
            client: client.clone(),
            paths,
            workers: 4,
            manifest: None,
            retry_permanent: false,
            progress: None,
            cancel: None,
            options: Options {
                asset: NewAsset::default(),
                threshold: LOCAL_LIMIT,
                max_workers: 5,
                wait: true,
                pace: Pace::default(),
                request_options: RequestOptions::default(),
            },
        }
    }

    /// How many files are uploaded at a time: 4 by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Keeps a journal in this file, which is made if it is not there: JSON Lines, on the disk after every event.
    ///
    /// A later batch with the same manifest skips a file that is done, as long as its size and its time of change are
    /// the same; resumes a chunked upload that is still alive; waits for an asset that was not ready; tries a failed
    /// file again; and leaves alone what can never succeed, as a video that is too short. A file of up to 200 MB that
    /// was being sent when the program was killed is sent again: whether the platform had it by then is not known.
    /// Only one batch at a time may use a manifest.
    pub fn manifest(mut self, path: impl Into<PathBuf>) -> Self {
        self.manifest = Some(path.into());
        self
    }

    /// Tries again what failed for good in an earlier batch: no by default.
    pub fn retry_permanent(mut self, retry_permanent: bool) -> Self {
        self.retry_permanent = retry_permanent;
        self
    }

    /// Whether HLS streams are made of video and audio: yes by default.
    pub fn enable_hls(mut self, enable_hls: bool) -> Self {
        self.options.asset.enable_hls = Some(enable_hls);
        self
    }

    /// Whether thumbnails are made: yes by default.
    pub fn enable_thumbnail(mut self, enable_thumbnail: bool) -> Self {
        self.options.asset.enable_thumbnail = Some(enable_thumbnail);
        self
    }

    /// Your own metadata for every asset: strings, numbers, booleans, lists of strings.
    pub fn user_metadata(mut self, user_metadata: impl serde::Serialize) -> Self {
        self.options.asset.user_metadata = Some(serde_json::to_value(user_metadata).unwrap_or_default());
        self
    }

    /// The size in bytes above which a file goes in chunks: 200,000,000 by default.
    pub fn threshold(mut self, bytes: u64) -> Self {
        self.options.threshold = bytes;
        self
    }

    /// How many chunks of one file are sent at a time: 5 by default.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.options.max_workers = max_workers;
        self
    }

    /// Whether a file counts as done only when its asset is ready: yes by default.
    pub fn wait(mut self, wait: bool) -> Self {
        self.options.wait = wait;
        self
    }

    /// The time between two polls of an asset: by default 0.5 s, 1 s, 2 s and then 5 s.
    pub fn sleep_interval(mut self, sleep_interval: Duration) -> Self {
        self.options.pace.sleep_interval = Some(sleep_interval);
        self
    }

    /// The most time to wait for each asset once its file has arrived: one hour by default.
    pub fn max_wait_time(mut self, max_wait_time: Duration) -> Self {
        self.options.pace.max_wait_time = max_wait_time;
        self
    }

    /// Called with the progress of each file, by the thread that uploads it.
    pub fn progress_callback(
        mut self,
        progress_callback: impl Fn(&Path, &UploadProgress) + Send + Sync + 'static,
    ) -> Self {
        self.progress = Some(Arc::new(progress_callback));
        self
    }

    /// Lets another thread stop it. There is an outcome for every file all the same.
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.cancel = Some(cancel_handle.clone());
        self
    }

    /// Settings of each request.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.options.request_options = request_options;
        self
    }

    when_some!();

    /// Starts the workers. The outcomes come as the files are finished; a path that is given twice has one.
    ///
    /// Fails if an option suits no file or the manifest cannot be opened. What is wrong with a file is in its outcome.
    pub fn send(self) -> Result<Uploads> {
        for (name, value) in [("workers", self.workers), ("max_workers", self.options.max_workers)] {
            if value == 0 {
                return Err(Error::invalid(name, "must be at least 1"));
            }
        }
        self.options.pace.check()?;
        self.options.asset.check()?;
        let manifest = self.manifest.as_deref().map(Manifest::open).transpose()?;
        let mut seen = HashSet::new();
        let mut paths = self.paths;
        paths.retain(|path| seen.insert(path_key(path)));
        let cancel = self.cancel.unwrap_or_default().child();
        let mut options = self.options;
        options.request_options.cancel = Some(cancel.clone());
        options.request_options.patient = true;
        let (sender, outcomes) = mpsc::channel();
        let total = paths.len();
        let files = paths.into_iter().map(|path| Task { path, sender: Some(sender.clone()) }).collect();
        let workers = self.workers.min(total);
        let now = self.client.settings().clock.now();
        let batch = Arc::new(Batch {
            client: self.client,
            cancel: cancel.clone(),
            manifest: manifest.map(Mutex::new),
            retry_permanent: self.retry_permanent,
            progress: self.progress,
            options,
            queue: Mutex::new(Queue { files, looks: Vec::new(), looked: 0, slept_until: now, busy: 0, stopped: None }),
            changed: Condvar::new(),
        });
        let mut uploads = Uploads { outcomes, left: total, cancel, threads: Vec::new() };
        for _ in 0..workers {
            let worker = batch.clone();
            let thread = std::thread::Builder::new().name("twelvelabs-batch".into()).spawn(move || worker.work());
            match thread {
                Ok(thread) => uploads.threads.push(thread),
                // Fewer workers do it too, as long as there is one.
                Err(e) if uploads.threads.is_empty() => return Err(no_thread(e)),
                Err(e) => log::warn!("only {} workers: {e}", uploads.threads.len()),
            }
        }
        Ok(uploads)
    }
}

impl fmt::Debug for UploadAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadAll")
            .field("paths", &self.paths.len())
            .field("workers", &self.workers)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

/// What became of a file.
#[derive(Debug)]
#[non_exhaustive]
pub struct UploadOutcome {
    /// The file, as it was given.
    pub path: PathBuf,
    /// What was done about it.
    pub kind: UploadOutcomeKind,
    /// The asset, or why there is none.
    pub result: Result<Asset>,
    /// Why the manifest does not have this outcome, if it should: a later batch does not know of it then. No further
    /// file is begun after that.
    pub manifest_error: Option<String>,
}

/// What was done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UploadOutcomeKind {
    /// It is an asset now.
    Uploaded,
    /// An earlier batch has uploaded it.
    Skipped,
    /// It failed, now or for good in an earlier batch.
    Failed,
    /// It was not begun, because the batch was stopped, a quota is used up, or the API key is not valid.
    NotStarted,
}

/// The outcomes of a batch as they come: one for each file. Dropped before its end, it stops the batch.
pub struct Uploads {
    outcomes: Receiver<UploadOutcome>,
    left: usize,
    cancel: CancelHandle,
    threads: Vec<JoinHandle<()>>,
}

impl Iterator for Uploads {
    type Item = UploadOutcome;

    fn next(&mut self) -> Option<UploadOutcome> {
        let outcome = self.outcomes.recv().ok()?;
        self.left = self.left.saturating_sub(1);
        Some(outcome)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Uploads {}

impl Drop for Uploads {
    fn drop(&mut self) {
        self.cancel.cancel();
        for thread in self.threads.drain(..) {
            // What a callback does to it is in the outcome of its file.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploads").field("left", &self.left).finish_non_exhaustive()
    }
}

/// A file on its way. Whatever happens, it has one outcome.
struct Task {
    path: PathBuf,
    sender: Option<Sender<UploadOutcome>>,
}

impl Task {
    fn finish(mut self, kind: UploadOutcomeKind, result: Result<Asset>) {
        self.tell(kind, result, None);
    }

    /// The same for what was to be noted.
    fn finish_noted(mut self, kind: UploadOutcomeKind, result: Result<Asset>, noted: Result<()>) {
        self.tell(kind, result, noted.err().map(|e| e.to_string()));
    }

    fn tell(&mut self, kind: UploadOutcomeKind, result: Result<Asset>, manifest_error: Option<String>) {
        if let Some(sender) = self.sender.take() {
            // Nobody listens any more if the batch was dropped.
            let _ = sender.send(UploadOutcome { path: self.path.clone(), kind, result, manifest_error });
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let message = "the upload was broken off by a panic, in a callback perhaps";
        self.tell(UploadOutcomeKind::Failed, Err(Error::file(&self.path, message, None)), None);
    }
}

/// An asset that is not ready yet.
struct Look {
    task: Task,
    file: FileKey,
    poll: Poll,
    due: Instant,
    progress: Shared,
}

struct Queue {
    files: VecDeque<Task>,
    looks: Vec<Look>,
    /// How many looks were taken since the last file.
    looked: u32,
    /// A pause counts, also on a clock that does not show it.
    slept_until: Instant,
    /// How many workers are at something, and may add a look.
    busy: usize,
    stopped: Option<Stopped>,
}

/// Why no further file is begun.
enum Stopped {
    Canceled,
    Refused(Arc<ApiError>),
    Manifest(PathBuf, String),
}

impl Stopped {
    fn error(&self) -> Error {
        match self {
            Stopped::Canceled => Error::Canceled { operation: "upload_all".into(), sent: false },
            Stopped::Refused(e) => Error::from(e.clone()),
            Stopped::Manifest(path, message) => Error::file(path, message.as_str(), None),
        }
    }
}

enum Due {
    File(Task),
    NotStarted(Task, Error),
    Look(Box<Look>),
    Later(Instant),
    /// Another worker may come up with something.
    Idle,
    Nothing,
}

struct Batch {
    client: Session,
    cancel: CancelHandle,
    manifest: Option<Mutex<Manifest>>,
    retry_permanent: bool,
    progress: Option<FileCallback>,
    options: Options,
    queue: Mutex<Queue>,
    /// Told when a worker has finished something.
    changed: Condvar,
}

impl Batch {
    fn work(self: &Arc<Self>) {
        loop {
            match self.next() {
                Due::File(task) => self.guarded(|| self.upload(task)),
                Due::NotStarted(task, e) => task.finish(UploadOutcomeKind::NotStarted, Err(e)),
                Due::Look(look) => self.guarded(|| self.look(*look)),
                Due::Later(until) => self.sleep(until),
                Due::Idle => drop(self.changed.wait_timeout(self.queue(), IDLE)),
                Due::Nothing => return,
            }
        }
    }

    /// Sleeps a little of the time until then.
    fn sleep(&self, until: Instant) {
        let clock = &self.client.settings().clock;
        let now = clock.now().max(self.queue().slept_until);
        let slice = until.saturating_duration_since(now).min(IDLE);
        clock.sleep(slice);
        let mut queue = self.queue();
        queue.slept_until = queue.slept_until.max(now + slice);
    }

    /// Does something about one file. A panic, in a callback perhaps, is the end of that file and not of the worker.
    fn guarded(&self, work: impl FnOnce()) {
        let _busy = Busy(self);
        // The file's task, dropped on the way, has told of it.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Due {
        let mut queue = self.queue();
        let now = self.client.settings().clock.now().max(queue.slept_until);
        let canceled = self.cancel.is_canceled();
        if canceled {
            queue.stopped.get_or_insert(Stopped::Canceled);
        }
        if let Some(e) = queue.stopped.as_ref().map(Stopped::error) {
            if let Some(task) = queue.files.pop_front() {
                return Due::NotStarted(task, e);
            }
        }
        let next =
            queue.looks.iter().enumerate().min_by_key(|(_, look)| look.due).map(|(place, look)| (place, look.due));
        match next {
            Some((place, due)) if canceled || (due <= now && (queue.looked < MOST_LOOKS || queue.files.is_empty())) => {
                queue.busy += 1;
                queue.looked = queue.looked.saturating_add(1);
                return Due::Look(Box::new(queue.looks.swap_remove(place)));
            }
            _ => {}
        }
        if let Some(task) = queue.files.pop_front() {
            queue.busy += 1;
            queue.looked = 0;
            return Due::File(task);
        }
        match next {
            Some((_, due)) => Due::Later(due),
            None if queue.busy > 0 => Due::Idle,
            None => Due::Nothing,
        }
    }

    fn stop(&self, why: Stopped) {
        self.queue().stopped.get_or_insert(why);
    }

    /// Notes an event. If that is not possible, no further file is begun.
    fn note(&self, mut line: Line) -> Result<()> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        line.at = Some(self.client.settings().clock.utc_now());
        let noted = manifest.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
        if let Err(e) = &noted {
            log::error!("{e}");
            if let Error::File { path, message, .. } = e {
                self.stop(Stopped::Manifest(path.clone(), format!("{message}; no further file was begun")));
            }
        }
        noted
    }

    fn upload(self: &Arc<Self>, task: Task) {
        let file = match FileKey::of(&task.path) {
            Ok(file) => file,
            Err(e) => return task.finish(UploadOutcomeKind::Failed, Err(e)),
        };
        let known = self
            .manifest
            .as_ref()
            .and_then(|manifest| manifest.lock().unwrap_or_else(PoisonError::into_inner).take(&file));
        let progress = Shared::new(self.callback(&task.path, &file));
        let mut resume = None;
        if let Some(line) = known {
            match line {
                Line { event: Event::Done, asset: Some(asset), .. } if self.is_enough(&asset) => {
                    return task.finish(UploadOutcomeKind::Skipped, Ok(asset));
                }
                Line { event: Event::Done, asset: Some(asset), .. } => {
                    return self.go_on_waiting(task, file, asset.id, progress);
                }
                Line { permanent: true, code, message, .. } if !self.retry_permanent => {
                    let message = message.unwrap_or_default();
                    return task.finish(UploadOutcomeKind::Failed, Err(Error::PreviouslyFailed { code, message }));
                }
                Line { asset_id: Some(asset_id), .. } => return self.go_on_waiting(task, file, asset_id, progress),
                Line { upload, .. } => resume = upload,
            }
        }
        let result = match self.transfer(&task.path, resume.clone(), &progress) {
            // The session is gone, or was never this file's: begin anew.
            Err(e) if is_hopeless(&e) => {
                log::warn!("{}: {e}; beginning anew", task.path.display());
                resume = None;
                self.transfer(&task.path, None, &progress)
            }
            other => other,
        };
        match result {
            Ok(uploaded) => {
                let asset_id = Some(uploaded.asset_id.clone());
                // If that fails, so does the note at the end, which is told.
                let _ = self.note(Line { asset_id, ..Line::new(Event::Uploaded, &file) });
                self.arrived(task, file, uploaded, progress, MOST_UNKNOWN);
            }
            Err(Error::Upload(e)) => {
                let upload = e.resumable.then(|| e.upload.clone());
                self.failed(task, Line { upload, ..Line::new(Event::Failed, &file) }, Error::Upload(e));
            }
            Err(e) => self.failed(task, Line { upload: resume, ..Line::new(Event::Failed, &file) }, e),
        }
    }

    /// Whether an asset of an earlier batch is as far as this one wants it.
    fn is_enough(&self, asset: &Asset) -> bool {
        !self.options.wait || asset.status == Some(AssetStatus::Ready)
    }

    fn transfer(&self, path: &Path, resume: Option<ResumableUpload>, progress: &Shared) -> Result<Uploaded> {
        let options = &self.options;
        let mut upload = UploadAsset::new(&self.client, FileSource::path(path))
            .threshold(options.threshold)
            .max_workers(options.max_workers)
            .request_options(options.request_options.clone());
        upload.asset = options.asset.clone();
        upload.settings.resume = resume;
        upload.transfer(progress)
    }

    /// The progress of one file: notes a session when it begins, and tells the caller.
    fn callback(self: &Arc<Self>, path: &Path, file: &FileKey) -> Option<Callback> {
        if self.manifest.is_none() && self.progress.is_none() {
            return None;
        }
        let (batch, path, file) = (self.clone(), path.to_path_buf(), file.clone());
        let mut noted: Option<String> = None;
        Some(Box::new(move |progress: &UploadProgress| {
            if progress.upload_id() != noted.as_deref() && progress.upload.is_some() {
                noted = progress.upload_id().map(Into::into);
                let upload = progress.upload.as_deref().cloned();
                // If that fails, so does the note at the end, which is told.
                let _ = batch.note(Line { upload, ..Line::new(Event::Session, &file) });
            }
            if let Some(callback) = &batch.progress {
                callback(&path, progress);
            }
        }))
    }

    /// The file arrived in an earlier batch.
    fn go_on_waiting(&self, task: Task, file: FileKey, asset_id: String, progress: Shared) {
        let uploaded = Uploaded { asset_id, asset: None, length: None };
        self.arrived(task, file, uploaded, progress, 0);
    }

    /// The file is at the platform. What is left is to wait for the asset.
    fn arrived(&self, task: Task, file: FileKey, uploaded: Uploaded, progress: Shared, unknown: u32) {
        let now = self.now();
        let poll = Poll::new::<Asset>(&uploaded.asset_id, self.options.pace, now, unknown);
        let look = Look { task, file, poll, due: now, progress };
        match uploaded.asset {
            Some(asset) => self.polled(look, Ok(asset)),
            None => self.look(look),
        }
    }

    fn look(&self, look: Look) {
        let left = look.poll.time_left(self.now());
        let mut options = self.options.request_options.clone();
        options.deadline = Some(options.deadline.map_or(left, |own| own.min(left)));
        let answer = self.client.assets().retrieve(look.poll.id()).request_options(options).send();
        self.polled(look, answer);
    }

    fn polled(&self, mut look: Look, answer: Result<Asset>) {
        let (length, id) = (Some(look.file.size), look.poll.id().to_string());
        let working = answer.as_ref().is_ok_and(|asset| asset.status != Some(AssetStatus::Ready));
        let next = match answer {
            Ok(asset) if !self.options.wait => Ok(Next::Done(asset)),
            Err(e) if !self.options.wait && e.status() != Some(404) => Err(e),
            answer => look.poll.next(answer, self.now()),
        };
        match next {
            Ok(Next::Again(due)) => {
                if working {
                    look.progress.tell_state(UploadState::Processing, length, &id);
                }
                look.due = due;
                self.queue().looks.push(look);
            }
            Ok(Next::Done(asset)) => {
                if asset.status == Some(AssetStatus::Ready) {
                    look.progress.tell_state(UploadState::Ready, length, &id);
                }
                let noted = self.note(Line { asset: Some(asset.clone()), ..Line::new(Event::Done, &look.file) });
                look.task.finish_noted(UploadOutcomeKind::Uploaded, Ok(asset), noted);
            }
            Err(e) => {
                // If it is at the platform, the next batch goes on with the wait.
                let lost = matches!(e, Error::Failed(_)) || e.status() == Some(404);
                let asset_id = (!lost).then_some(id.clone());
                self.failed(look.task, Line { asset_id, ..Line::new(Event::Failed, &look.file) }, e.with_asset_id(&id));
            }
        }
    }

    /// The time, of which a pause is a part also on a clock that does not show it.
    fn now(&self) -> Instant {
        self.client.settings().clock.now().max(self.queue().slept_until)
    }

    /// Ends a file with an error, and notes what a later batch can go on with.
    fn failed(&self, task: Task, line: Line, e: Error) {
        // A quota or a key that is not valid: every other file would fail alike.
        if let Some(api) = e.api().filter(|api| (e.is_quota() || api.status == 401) && !is_of_storage(api)) {
            self.stop(Stopped::Refused(api.clone()));
        }
        let noted = if e.is_canceled() {
            // The manifest knows already how far it had come, unless it could not be written.
            match &self.queue().stopped {
                Some(why @ Stopped::Manifest(..)) => Err(why.error()),
                _ => Ok(()),
            }
        } else {
            let (code, message, permanent) = (e.code().map(Into::into), Some(e.message()), e.is_permanent());
            self.note(Line { code, message, permanent, ..line })
        };
        task.finish_noted(UploadOutcomeKind::Failed, Err(e), noted);
    }
}

/// Whether a refusal is the storage's, which knows nothing of the account.
fn is_of_storage(e: &ApiError) -> bool {
    e.operation.starts_with(STORAGE_OPERATION)
}

/// Whether it is pointless to go on with this session.
fn is_hopeless(e: &Error) -> bool {
    match e {
        Error::Upload(e) => !e.resumable && !matches!(*e.cause, Error::File { .. }),
        Error::InvalidArgument { argument, .. } => argument == "resume",
        _ => false,
    }
}

/// A worker at something, also if that panics.
struct Busy<'a>(&'a Batch);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.busy = queue.busy.saturating_sub(1);
        drop(queue);
        self.0.changed.notify_all();
    }
}
