//! The work of a batch, on plain threads.
//!
//! Workers take what is due: a file to send, or the poll of an asset that is not ready yet. So a worker never sits and
//! waits for the platform while there are files to send. When nothing gets through any more, one file at a time is tried.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::call::wait::poll::{MOST_UNKNOWN, Next, Poll};
use crate::error::{ApiError, Error, Result};
use crate::file::FileSource;
use crate::http::cancel::CancelHandle;
use crate::http::engine::STORAGE_OPERATION;
use crate::http::session::Session;
use crate::resources::assets::{Asset, AssetStatus};
use crate::resumable::ResumableUpload;
use crate::sync::{Sender, lock};
use crate::text::printable_path;
use crate::upload::batch::job::{Checkpoint, File, FileJob, Stopped};
use crate::upload::batch::name_lock::NameLocks;
use crate::upload::chunked::open::{is_hopeless, is_of};
use crate::upload::journal::JournalFile;
use crate::upload::journal::entry::{Entry, Event, FileKey};
use crate::upload::journal::paths::Folders;
use crate::upload::options::{BatchOptions, Journal};
use crate::upload::outcome::{UploadOutcome, UploadOutcomeKind};
use crate::upload::progress::{Callback, Reporter, UploadProgress, UploadState};
use crate::upload::upload_asset::{UploadAsset, Uploaded};

/// How long a worker without work sleeps at the most before it checks for some again.
const IDLE: Duration = Duration::from_millis(20);
/// So many polls in a row, then a file again: assets that are not ready cannot keep files waiting.
const MOST_POLLS: u32 = 16;
/// So many files in a row that do not get through are an outage, even if the platform answers to others.
const OUTAGE: u32 = 3;
/// How often a file is tried that does not get through while others do.
const MOST_TRIES: u32 = 2;
/// The pauses between the attempts in an outage; the last of these is checkpoint to.
const OUTAGE_PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

/// An asset that is not ready yet.
struct Pending {
    path: PathBuf,
    note: Option<String>,
    key: FileKey,
    poll: Poll,
    due: Instant,
    progress: Reporter,
}

impl Pending {
    /// Its file on the way: whatever happens from here on, in a callback perhaps, that has an outcome.
    fn take_job<'a>(&mut self, sender: &'a Sender<UploadOutcome>) -> FileJob<'a> {
        let file = File { path: std::mem::take(&mut self.path), tries: 0, checkpoint: Checkpoint::default() };
        FileJob { file, note: self.note.take(), sender: Some(sender) }
    }
}

struct Queue {
    files: VecDeque<File>,
    pending: Vec<Pending>,
    /// How many polls were taken since the last file.
    polled: u32,
    /// A pause counts, also on a clock that does not show it.
    slept_until: Instant,
    /// How many workers are at something, and may add more of it.
    busy: usize,
    /// How many files in a row did not get through.
    failures: u32,
    outage: Option<Outage>,
    stopped: Option<Stopped>,
}

/// Nothing gets through.
struct Outage {
    since: Instant,
    tries: usize,
    /// When the next file is tried; nothing while one is.
    next: Option<Instant>,
}

/// What a worker does next.
enum Due {
    File(File),
    Poll(Box<Pending>),
    Later(Instant),
    /// Another worker may come up with something.
    Idle,
    Nothing,
}

pub(crate) struct Batch {
    client: Session,
    cancel: CancelHandle,
    has_manifest: bool,
    manifest: Mutex<Option<JournalFile>>,
    folders: Mutex<Folders>,
    locks: NameLocks,
    /// The assets of this run.
    claimed: Mutex<HashSet<String>>,
    options: BatchOptions,
    queue: Mutex<Queue>,
    /// Notified when a worker has finished something.
    changed: Condvar,
}

impl Batch {
    pub(crate) fn new(
        client: Session,
        paths: Vec<PathBuf>,
        manifest: Option<JournalFile>,
        folders: Folders,
        locks: NameLocks,
        options: BatchOptions,
        cancel: CancelHandle,
    ) -> Arc<Self> {
        let queue = Queue {
            files: paths.into_iter().map(|path| File { path, tries: 0, checkpoint: Checkpoint::default() }).collect(),
            pending: Vec::new(),
            polled: 0,
            slept_until: client.settings().clock.now(),
            busy: 0,
            failures: 0,
            outage: None,
            stopped: None,
        };
        Arc::new(Batch {
            client,
            cancel,
            has_manifest: manifest.is_some(),
            manifest: Mutex::new(manifest),
            folders: Mutex::new(folders),
            locks,
            claimed: Mutex::default(),
            options,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
        })
    }

    /// Does what is due until there is nothing left.
    pub(crate) fn work(self: &Arc<Self>, sender: &Sender<UploadOutcome>) {
        loop {
            match self.next() {
                Due::File(file) => {
                    let job = FileJob { file, note: None, sender: Some(sender) };
                    self.guarded(|| self.upload(job));
                }
                Due::Poll(pending) => self.guarded(|| self.poll(*pending, sender)),
                Due::Later(until) => self.sleep(until),
                Due::Idle => drop(self.changed.wait_timeout(self.queue(), IDLE)),
                Due::Nothing => return,
            }
        }
    }

    /// The outcome of a file that no worker has taken, once they have ended.
    pub(crate) fn not_started(&self) -> Option<UploadOutcome> {
        let mut queue = self.queue();
        let File { path, .. } = queue.files.pop_front()?;
        let result = Err(queue.stopped.as_ref().unwrap_or(&Stopped::Canceled).error());
        Some(UploadOutcome { path, kind: UploadOutcomeKind::NotStarted, result, manifest_error: None, note: None })
    }

    /// Lets the next batch have the manifest.
    pub(crate) fn close_manifest(&self) {
        drop(lock(&self.manifest).take());
    }

    /// Sleeps a little of the time until then.
    fn sleep(&self, until: Instant) {
        let clock = &self.client.settings().clock;
        let now = self.now();
        let slice = until.saturating_duration_since(now).min(IDLE);
        clock.sleep(slice);
        let mut queue = self.queue();
        queue.slept_until = queue.slept_until.max(now + slice);
    }

    /// The time, of which a pause is a part also on a clock that does not show it.
    fn now(&self) -> Instant {
        self.client.settings().clock.now().max(self.queue().slept_until)
    }

    /// Does something about one file. A panic, in a callback perhaps, is the end of that file and not of the worker.
    fn guarded(&self, work: impl FnOnce()) {
        let _busy = WorkerGuard(self);
        // The file's job, dropped on the way, has sent its outcome.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn next(&self) -> Due {
        let now = self.now();
        let mut queue = self.queue();
        let canceled = self.cancel.is_canceled();
        if canceled {
            queue.stopped.get_or_insert(Stopped::Canceled);
        }
        let mut files = queue.stopped.is_none() && !queue.files.is_empty();
        let poll = queue.pending.iter().enumerate().min_by_key(|(_, pending)| pending.due);
        let poll = poll.map(|(place, pending)| (place, pending.due));
        match poll {
            Some((place, due)) if canceled || (due <= now && (queue.polled < MOST_POLLS || !files)) => {
                queue.busy += 1;
                queue.polled = queue.polled.saturating_add(1);
                return Due::Poll(Box::new(queue.pending.swap_remove(place)));
            }
            _ => {}
        }
        let mut later = poll.map(|(_, due)| due);
        if let Some(outage) = queue.outage.as_mut().filter(|_| files) {
            match outage.next {
                Some(next) if next <= now => outage.next = None,
                Some(next) => {
                    files = false;
                    later = Some(later.map_or(next, |due| due.min(next)));
                }
                // Somebody is trying.
                None => files = false,
            }
        }
        if files && let Some(file) = queue.files.pop_front() {
            queue.busy += 1;
            queue.polled = 0;
            return Due::File(file);
        }
        match later {
            Some(due) => Due::Later(due),
            None if queue.busy > 0 => Due::Idle,
            None => Due::Nothing,
        }
    }

    fn stop(&self, why: Stopped) {
        self.queue().stopped.get_or_insert(why);
    }

    /// Notes an event in the manifest. If that is not possible, no further file is started.
    fn note(&self, mut line: Entry) -> Result<()> {
        let mut manifest = lock(&self.manifest);
        let Some(manifest) = manifest.as_mut() else { return Ok(()) };
        line.at = Some(self.client.settings().clock.utc_now());
        let noted = manifest.write(&line);
        if let Err(e) = &noted {
            log::error!("{e}");
            if let Error::File { path, message, .. } = e {
                self.stop(Stopped::Manifest(path.clone(), format!("{message}; no further file was started")));
            }
        }
        noted
    }

    fn upload(self: &Arc<Self>, mut job: FileJob) {
        let lock_of_name = self.locks.of(lock(&self.folders).key(&job.file.path));
        let key = FileKey::of(&job.file.path, &self.folders);
        let (known, key) = match key.and_then(|key| Ok((self.known(&key)?, key))) {
            Ok(known) => known,
            Err(e) => return job.finish(UploadOutcomeKind::Failed, Err(e)),
        };
        let progress = Reporter::new(self.callback(&job.file.path));
        if let Some(line) = known {
            match line {
                Entry { event: Event::Done, asset: Some(asset), .. } if self.is_enough(&asset) => {
                    return job.finish(UploadOutcomeKind::Skipped, Ok(asset));
                }
                Entry { event: Event::Done, asset: Some(asset), .. } => {
                    return self.wait_on(job, key, asset.id, progress);
                }
                Entry { permanent: true, code, message, .. } if !self.options.retry_permanent => {
                    let message = message.unwrap_or_default();
                    return job.finish(UploadOutcomeKind::Failed, Err(Error::PreviouslyFailed { code, message }));
                }
                Entry { asset_id: Some(asset_id), .. } => return self.wait_on(job, key, asset_id, progress),
                Entry { upload, sent_at, .. } => {
                    let upload = upload.filter(|upload| is_of(upload, &job.file.path));
                    job.file.checkpoint = Checkpoint { upload, sent_at, is_own: false };
                }
            }
        }
        if key.size <= self.options.threshold {
            lock_of_name.wait(key.size, || self.cancel.is_canceled() || self.queue().stopped.is_some());
        }
        let since = self.client.settings().clock.utc_now();
        let result = match self.transfer(&job.file, &key, &progress) {
            // The session has ended, or was never this file's.
            Err(e) if is_hopeless(&e) => {
                log::warn!("{}: {e}; uploading from the start", printable_path(&job.file.path));
                job.file.checkpoint = Checkpoint::default();
                self.transfer(&job.file, &key, &progress)
            }
            other => other,
        };
        match result {
            Ok(uploaded) => {
                self.got_through();
                lock(&self.claimed).insert(uploaded.asset_id.clone());
                let asset_id = Some(uploaded.asset_id.clone());
                // If that fails, so does the note at the end, which is in the outcome.
                let _ = self.note(Entry { asset_id, ..Entry::new(Event::Uploaded, &key) });
                self.arrived(job, key, uploaded, progress, MOST_UNKNOWN);
            }
            Err(e) => {
                job.file.checkpoint.is_own = true;
                match &e {
                    Error::Upload(e) => job.file.checkpoint.upload = e.resumable.then(|| e.upload.clone()),
                    // The platform may have it all the same.
                    e if e.is_outcome_unknown() => {
                        job.file.checkpoint.sent_at.get_or_insert(since);
                    }
                    _ => {}
                }
                self.failed_transiently(job, &key, e);
            }
        }
    }

    /// Whether an asset of an earlier batch is as far as this one wants it.
    fn is_enough(&self, asset: &Asset) -> bool {
        !self.options.wait || asset.status == Some(AssetStatus::Ready)
    }

    /// What earlier batches knew of a file.
    fn known(&self, key: &FileKey) -> Result<Option<Entry>> {
        match lock(&self.manifest).as_mut() {
            Some(manifest) => manifest.take(key),
            None => Ok(None),
        }
    }

    /// Whether an asset is a file other than this, as far as this run and the manifest know.
    fn is_of_another(&self, asset_id: &str, path: &str) -> Result<bool> {
        if lock(&self.claimed).contains(asset_id) {
            return Ok(true);
        }
        lock(&self.manifest).as_mut().map_or(Ok(false), |manifest| manifest.has_asset_of_another(asset_id, path))
    }

    fn transfer(self: &Arc<Self>, file: &File, key: &FileKey, progress: &Reporter) -> Result<Uploaded> {
        let options = &self.options;
        let mut upload = UploadAsset::new(&self.client, FileSource::path(&file.path))
            .threshold(options.threshold)
            .max_workers(options.max_workers)
            .request_options(options.request_options.clone());
        upload.asset = options.asset.clone();
        let (batch, path) = (self.clone(), key.path.clone());
        upload.claimed = Some(Arc::new(move |asset_id| batch.is_of_another(asset_id, &path)));
        (upload.sent_at, upload.sent_by_earlier) = (file.checkpoint.sent_at, !file.checkpoint.is_own);
        if self.has_manifest {
            let note = BatchJournal { batch: self.clone(), key: key.clone(), noted: file.checkpoint.upload.clone() };
            upload.settings.journal = Some(Box::new(note));
        }
        upload.settings.resume = file.checkpoint.upload.clone();
        upload.transfer(progress)
    }

    /// The progress of one file, for the caller.
    fn callback(&self, path: &Path) -> Option<Callback> {
        let (callback, path) = (self.options.progress.clone()?, path.to_path_buf());
        Some(Box::new(move |progress: &UploadProgress| callback(&path, progress)))
    }

    /// A file has got through, and so would others.
    fn got_through(&self) {
        let mut queue = self.queue();
        queue.failures = 0;
        if queue.outage.take().is_some() {
            log::info!("files get through again");
        }
    }

    /// A file did not get through: it fails, or is tried again when others get through, or nothing does any more.
    fn failed_transiently(&self, mut job: FileJob, key: &FileKey, e: Error) {
        let passing = match e.reason() {
            Error::Api(api) => matches!(api.status, 500 | 502..=504),
            Error::Transport { .. } | Error::Timeout { .. } => true,
            _ => false,
        };
        if !passing || self.queue().stopped.is_some() {
            self.end_try();
            return self.failed(job, key, e);
        }
        let reachable = self.is_reachable();
        let now = self.now();
        let mut queue = self.queue();
        queue.failures += 1;
        let outage = !reachable || queue.failures >= OUTAGE || queue.outage.is_some();
        job.file.tries += u32::from(!outage);
        let alone = queue.files.is_empty() && queue.busy <= 1;
        if !outage && (job.file.tries >= MOST_TRIES || alone) {
            drop(queue);
            return self.failed(job, key, e);
        }
        if outage {
            let outage = queue.outage.get_or_insert(Outage { since: now, tries: 0, next: Some(now) });
            let lasted = now.saturating_duration_since(outage.since);
            if lasted >= self.options.max_outage {
                let message = format!("nothing got through for {} s: {}", lasted.as_secs(), e.message());
                queue.stopped.get_or_insert(Stopped::Outage(message));
                drop(queue);
                return self.failed(job, key, e);
            }
            let pause = OUTAGE_PAUSES[outage.tries.min(OUTAGE_PAUSES.len() - 1)];
            outage.tries += 1;
            outage.next =
                Some(now + pause.max(e.retry_after().unwrap_or_default()).min(self.options.max_outage - lasted));
            log::warn!("{e}; nothing gets through, the next try is in {pause:?}");
            queue.files.push_front(job.take_back());
        } else {
            log::warn!("{}: {e}; it is tried again later", printable_path(&job.file.path));
            queue.files.push_back(job.take_back());
        }
    }

    /// Another file may be tried in an outage.
    fn end_try(&self) {
        let now = self.now();
        if let Some(outage) = &mut self.queue().outage {
            outage.next.get_or_insert(now);
        }
    }

    /// Whether the platform answers to a small request.
    fn is_reachable(&self) -> bool {
        let options = self.options.request_options.clone().max_retries(0).timeout(Duration::from_secs(10));
        match self.client.assets().list().page_limit(1).request_options(options).send() {
            Ok(_) => true,
            Err(e) => e.is_canceled() || e.status().is_some_and(|status| status < 500),
        }
    }

    /// The file arrived in an earlier batch.
    fn wait_on(&self, job: FileJob, key: FileKey, asset_id: String, progress: Reporter) {
        let uploaded = Uploaded { asset_id, asset: None, length: None, note: None };
        self.arrived(job, key, uploaded, progress, 0);
    }

    /// The file is at the platform. What is left is to wait for the asset.
    fn arrived(&self, mut job: FileJob, key: FileKey, uploaded: Uploaded, progress: Reporter, unknown: u32) {
        let now = self.now();
        let poll = Poll::new::<Asset>(&uploaded.asset_id, self.options.pace, now, unknown);
        let Some(sender) = job.sender.take() else { return };
        let path = std::mem::take(&mut job.file.path);
        let mut pending = Pending { path, note: uploaded.note, key, poll, due: now, progress };
        match uploaded.asset {
            Some(asset) => {
                let job = pending.take_job(sender);
                self.polled(pending, job, Ok(asset));
            }
            None => self.poll(pending, sender),
        }
    }

    fn poll(&self, mut pending: Pending, sender: &Sender<UploadOutcome>) {
        let job = pending.take_job(sender);
        let left = pending.poll.time_left(self.now());
        let mut options = self.options.request_options.clone();
        options.deadline = Some(options.deadline.map_or(left, |own| own.min(left)));
        let answer = self.client.assets().retrieve(pending.poll.id()).request_options(options).send();
        self.polled(pending, job, answer);
    }

    fn polled(&self, mut pending: Pending, mut job: FileJob, answer: Result<Asset>) {
        let (length, id) = (Some(pending.key.size), pending.poll.id().to_string());
        let working = answer.as_ref().is_ok_and(|asset| asset.status != Some(AssetStatus::Ready));
        let next = match answer {
            Ok(asset) if !self.options.wait => Ok(Next::Done(asset)),
            Err(e) if !self.options.wait && e.status() != Some(404) => Err(e),
            answer => pending.poll.next(answer, self.now()),
        };
        match next {
            Ok(Next::Again(due)) => {
                if working {
                    pending.progress.state(UploadState::Processing, length, &id);
                }
                pending.note = job.note.take();
                pending.path = job.take_back().path;
                pending.due = due;
                self.queue().pending.push(pending);
            }
            Ok(Next::Done(asset)) => {
                if asset.status == Some(AssetStatus::Ready) {
                    pending.progress.state(UploadState::Ready, length, &id);
                }
                let (asset_id, done) = (Some(asset.id.clone()), Entry::new(Event::Done, &pending.key));
                let noted = self.note(Entry { asset_id, asset: Some(asset.clone()), ..done });
                job.finish_noted(UploadOutcomeKind::Uploaded, Ok(asset), noted);
            }
            Err(e) => {
                // If it is at the platform, the next batch waits for it.
                let lost = matches!(e, Error::Failed(_)) || e.status() == Some(404);
                let asset_id = (!lost).then_some(id.clone());
                let line = Entry { asset_id, ..Entry::new(Event::Failed, &pending.key) };
                self.failed_with(job, line, if lost { e } else { e.with_asset_id(&id) });
            }
        }
    }

    /// Ends a file with an error, and notes what a later batch can start from.
    fn failed(&self, job: FileJob, key: &FileKey, e: Error) {
        let Checkpoint { upload, sent_at, .. } = job.file.checkpoint.clone();
        self.failed_with(job, Entry { upload, sent_at, ..Entry::new(Event::Failed, key) }, e);
    }

    fn failed_with(&self, job: FileJob, line: Entry, e: Error) {
        // A quota, a rate limit that lasts, or a key that is not valid: every other file would fail alike.
        let refuses_all = |api: &&Arc<ApiError>| e.is_quota() || matches!(api.status, 401 | 429);
        if let Some(api) = e.api().filter(refuses_all).filter(|api| !is_of_storage(api)) {
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
            self.note(Entry { code, message, permanent, ..line })
        };
        job.finish_noted(UploadOutcomeKind::Failed, Err(e), noted);
    }
}

/// Notes how a file comes along.
struct BatchJournal {
    batch: Arc<Batch>,
    key: FileKey,
    noted: Option<ResumableUpload>,
}

impl Journal for BatchJournal {
    fn session(&mut self, upload: &ResumableUpload) -> Result<()> {
        if self.noted.as_ref() == Some(upload) {
            return Ok(());
        }
        self.batch.note(Entry { upload: Some(upload.clone()), ..Entry::new(Event::Session, &self.key) })
    }

    fn sending(&mut self, since: OffsetDateTime) -> Result<()> {
        self.batch.note(Entry { sent_at: Some(since), ..Entry::new(Event::Sending, &self.key) })
    }
}

/// Whether a refusal is the storage's, which knows nothing of the account.
fn is_of_storage(e: &ApiError) -> bool {
    e.operation.starts_with(STORAGE_OPERATION)
}

/// A worker at something, also if that panics.
struct WorkerGuard<'a>(&'a Batch);

impl Drop for WorkerGuard<'_> {
    fn drop(&mut self) {
        let now = self.0.now();
        let mut queue = self.0.queue();
        queue.busy = queue.busy.saturating_sub(1);
        if queue.busy == 0
            && let Some(outage) = &mut queue.outage
        {
            outage.next.get_or_insert(now);
        }
        drop(queue);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::wait::poll::Pace;
    use crate::client::TwelveLabs;
    use crate::upload::batch::builder::UploadAll;

    fn batch(files: usize) -> Arc<Batch> {
        let client = TwelveLabs::builder().api_key("key").base_url("http://localhost:1").build().unwrap();
        let paths: Vec<PathBuf> = (0..files).map(|number| format!("{number}.mp4").into()).collect();
        let options = UploadAll::new(&client.0, Vec::new()).options;
        Batch::new(client.0, paths, None, Folders::default(), NameLocks::default(), options, CancelHandle::new())
    }

    /// Assets that are to be polled then.
    fn pend(batch: &Batch, count: usize, due: Instant) {
        for _ in 0..count {
            let poll = Poll::new::<Asset>("a", Pace::default(), due, MOST_UNKNOWN);
            let key = FileKey { path: "0.mp4".into(), size: 4, modified: None };
            let (path, note, progress) = ("0.mp4".into(), None, Reporter::new(None));
            batch.queue().pending.push(Pending { path, note, key, poll, due, progress });
        }
    }

    fn next(batch: &Batch) -> &'static str {
        match batch.next() {
            Due::File(_) => "file",
            Due::Poll(_) => "poll",
            Due::Later(_) => "later",
            Due::Idle => "idle",
            Due::Nothing => "nothing",
        }
    }

    #[test]
    fn polls_come_first_but_not_for_ever() {
        let batch = batch(2);
        pend(&batch, MOST_POLLS as usize + 2, batch.now());
        let taken: Vec<_> = (0..MOST_POLLS + 5).map(|_| next(&batch)).collect();
        let (first, rest) = taken.split_at(MOST_POLLS as usize);
        assert!(first.iter().all(|due| *due == "poll"), "{taken:?}");
        assert_eq!(rest, ["file", "poll", "poll", "file", "idle"]);
        batch.queue().busy = 0;
        assert_eq!(next(&batch), "nothing");
    }

    #[test]
    fn a_poll_waits_until_it_is_due_unless_the_batch_is_canceled() {
        let batch = batch(1);
        let later = batch.now() + 60 * Duration::from_secs(60);
        pend(&batch, 2, later);
        batch.queue().pending[0].due = later + IDLE;
        assert_eq!((next(&batch), batch.queue().busy), ("file", 1));
        assert!(matches!(batch.next(), Due::Later(until) if until == later));
        batch.queue().busy = 0;
        batch.cancel.cancel();
        assert_eq!([(); 3].map(|()| next(&batch)), ["poll", "poll", "idle"]);
    }

    #[test]
    fn in_an_outage_one_file_at_a_time_is_tried_when_it_is_time() {
        let batch = batch(3);
        let (now, hour) = (batch.now(), 60 * Duration::from_secs(60));
        batch.queue().outage = Some(Outage { since: now, tries: 1, next: Some(now + hour) });
        assert!(matches!(batch.next(), Due::Later(until) if until == now + hour));
        pend(&batch, 1, now + 2 * hour);
        assert!(matches!(batch.next(), Due::Later(until) if until == now + hour), "the earlier of the two");
        batch.queue().outage = Some(Outage { since: now, tries: 1, next: Some(now) });
        assert_eq!([(); 2].map(|()| next(&batch)), ["file", "later"], "the others wait for the one that tries");
        batch.end_try();
        assert_eq!(next(&batch), "file");
    }
}
