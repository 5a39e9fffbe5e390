//! The work of a batch, on plain threads.
//!
//! Each worker takes whatever is due: a file to send, or the poll of an asset that is not ready yet. No worker waits
//! for the platform while there are files to send. During an outage, only one file at a time is tried.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::call::wait::status_list::StatusList;
use crate::clock::later;
use crate::error::{ApiError, Error, Result};
use crate::http::cancel::CancelHandle;
use crate::http::engine::STORAGE_OPERATION;
use crate::http::session::Session;
use crate::limits::RECHECK;
use crate::sync::{Sender, lock, wait_timeout};
use crate::upload::batch::job::{Checkpoint, File, FileJob, ItemsByAsset, Pending, Stopped};
use crate::upload::batch::name_lock::NameLocks;
use crate::upload::journal::JournalFile;
use crate::upload::journal::entry::{Entry, Event, FileKey};
use crate::upload::journal::paths::Folders;
use crate::upload::journal::placement::Destination;
use crate::upload::options::BatchOptions;
use crate::upload::outcome::{UploadOutcome, UploadOutcomeKind};

/// The maximum number of consecutive polls before a file is sent, so that slow assets cannot hold up the files.
const MAX_POLLS: u32 = 16;

pub(super) struct Queue {
    pub files: VecDeque<File>,
    pub pending: Vec<Pending>,
    /// The number of polls since the last file.
    pub polled: u32,
    /// The end of the last pause, which counts as elapsed even on a test clock that does not advance.
    pub slept_until: Instant,
    /// The time before which no file is sent, because the rate limit of the batch is reached.
    pub held_until: Instant,
    /// The times at which the last files were sent, no more of them than the rate limit allows.
    pub started: VecDeque<Instant>,
    /// Whether all workers have ended.
    pub is_over: bool,
    /// The number of workers that are busy, and may add further work.
    pub busy: usize,
    /// The number of consecutive failed files.
    pub failures: u32,
    pub outage: Option<Outage>,
    pub stopped: Option<Stopped>,
}

/// An outage: no file gets through.
pub(super) struct Outage {
    pub since: Instant,
    pub tries: usize,
    /// The time of the next probe. `None` while a probe is in progress.
    pub next: Option<Instant>,
}

/// The next action of a worker.
enum Due {
    File(Box<File>),
    Poll(Box<Pending>),
    Later(Instant),
    /// Nothing is due, but a busy worker may still add work.
    Idle,
    Nothing,
}

pub(crate) struct Batch {
    pub(super) client: Session,
    pub(super) cancel: CancelHandle,
    pub(super) has_manifest: bool,
    pub(super) manifest: Mutex<Option<JournalFile>>,
    pub(super) folders: Mutex<Folders>,
    pub(super) names: NameLocks,
    /// Whether the platform was asked for its time without success. One worker asks, and the others wait.
    pub(super) asked_time_in_vain: Mutex<bool>,
    /// The ids of the assets that this run has matched with files, whether it created or found them.
    pub(super) claimed: Mutex<HashSet<String>>,
    /// The lists that show the state of many assets, or of the contents of a destination.
    pub(super) lists: Mutex<HashMap<Option<Destination>, StatusList>>,
    /// The items that were found in knowledge stores.
    pub(super) stores: Mutex<HashMap<String, ItemsByAsset>>,
    pub(super) options: BatchOptions,
    pub(super) queue: Mutex<Queue>,
    /// Notified when a worker has finished something.
    pub(super) changed: Condvar,
}

impl Batch {
    pub(crate) fn new(
        client: Session,
        files: Vec<File>,
        manifest: Option<JournalFile>,
        folders: Folders,
        names: NameLocks,
        options: BatchOptions,
        cancel: CancelHandle,
    ) -> Arc<Self> {
        let now = client.settings().clock.now();
        let queue = Queue {
            files: files.into(),
            pending: Vec::new(),
            polled: 0,
            slept_until: now,
            held_until: now,
            started: VecDeque::new(),
            is_over: false,
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
            names,
            asked_time_in_vain: Mutex::default(),
            claimed: Mutex::default(),
            lists: Mutex::default(),
            stores: Mutex::default(),
            options,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
        })
    }

    /// Performs whatever is due until nothing is left.
    pub(crate) fn work(self: &Arc<Self>, sender: &Sender<UploadOutcome>) {
        loop {
            match self.next() {
                Due::File(file) => {
                    let job = FileJob { file: *file, note: None, sender: Some(sender) };
                    self.guarded(|| self.upload(job));
                }
                Due::Poll(pending) => self.guarded(|| self.poll(*pending, sender)),
                Due::Later(until) => self.sleep(until),
                Due::Idle => drop(wait_timeout(&self.changed, self.queue(), RECHECK)),
                Due::Nothing => return,
            }
        }
    }

    /// Stops the batch at its deadline, unless it ends before.
    pub(crate) fn watch_deadline(&self, deadline: Duration) {
        let clock = &self.client.settings().clock;
        let ends_at = later(clock.now(), deadline);
        loop {
            let queue = self.queue();
            if queue.is_over || self.cancel.is_canceled() {
                return;
            }
            // This waits in real time, because a sleep on the batch's clock would advance the clock of a test.
            drop(wait_timeout(&self.changed, queue, RECHECK));
            if clock.now() >= ends_at {
                self.stop(Stopped::Deadline(deadline));
                return self.cancel.cancel();
            }
        }
    }

    /// Returns the outcome of a file that no worker has taken, after the workers have ended.
    pub(crate) fn not_started(&self) -> Option<UploadOutcome> {
        let mut queue = self.queue();
        let File { path, .. } = queue.files.pop_front().or_else(|| self.names.take_waiting())?;
        let result = Err(queue.stopped.as_ref().unwrap_or(&Stopped::Canceled).error());
        Some(UploadOutcome::not_started(path, result))
    }

    /// Releases the manifest for the next batch, after all workers have ended.
    pub(crate) fn close(&self) {
        self.queue().is_over = true;
        self.changed.notify_all();
        drop(lock(&self.manifest).take());
    }

    /// Sleeps for a part of the time until `until`.
    fn sleep(&self, until: Instant) {
        let clock = &self.client.settings().clock;
        let now = self.now();
        let slice = until.saturating_duration_since(now).min(RECHECK);
        clock.sleep(slice);
        let mut queue = self.queue();
        queue.slept_until = queue.slept_until.max(later(now, slice));
    }

    /// Returns the current time, including pauses that a test clock does not show.
    pub(super) fn now(&self) -> Instant {
        self.client.settings().clock.now().max(self.queue().slept_until)
    }

    /// Runs the work on one file. A panic, for example in a callback, ends that file but not the worker.
    fn guarded(&self, work: impl FnOnce()) {
        let _busy = WorkerGuard(self);
        // The job of the file was dropped during the panic and has sent its outcome.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    fn next(&self) -> Due {
        let now = self.now();
        let mut queue = self.queue();
        let canceled = self.cancel.is_canceled();
        if canceled {
            queue.stopped.get_or_insert(Stopped::Canceled);
        }
        // Determines whether a file may be taken now, and otherwise when.
        let (mut files, mut later) = (queue.stopped.is_none() && !queue.files.is_empty(), None);
        if files && queue.held_until > now {
            (files, later) = (false, Some(queue.held_until));
        }
        if let Some(outage) = queue.outage.as_ref().filter(|_| files) {
            // If no time is set, another worker is probing.
            files = outage.next.is_some_and(|next| next <= now);
            later = outage.next.filter(|_| !files);
        }
        let poll = queue.pending.iter().enumerate().min_by_key(|(_, pending)| pending.due);
        if let Some((place, due)) = poll.map(|(place, pending)| (place, pending.due)) {
            if canceled || (due <= now && (queue.polled < MAX_POLLS || !files)) {
                queue.busy += 1;
                queue.polled = queue.polled.saturating_add(1);
                return Due::Poll(Box::new(queue.pending.swap_remove(place)));
            }
            later = Some(later.map_or(due, |later| due.min(later)));
        }
        if files && let Some(file) = queue.files.pop_front() {
            queue.busy += 1;
            queue.polled = 0;
            if let Some(outage) = &mut queue.outage {
                outage.next = None;
            }
            return Due::File(Box::new(file));
        }
        match later {
            Some(due) => Due::Later(due),
            None if queue.busy > 0 => Due::Idle,
            None => Due::Nothing,
        }
    }

    /// Claims a slot of the rate limit for a file that is sent now, or returns the time of the next slot.
    pub(super) fn next_slot(&self) -> Option<Instant> {
        let (files, per) = self.options.rate_limit?;
        let now = self.now();
        let mut queue = self.queue();
        while queue.started.front().is_some_and(|at| later(*at, per) <= now) {
            queue.started.pop_front();
        }
        if queue.started.len() < files as usize {
            queue.started.push_back(now);
            return None;
        }
        queue.started.front().map(|at| later(*at, per))
    }

    pub(super) fn stop(&self, why: Stopped) {
        self.queue().stopped.get_or_insert(why);
    }

    /// Writes an event to the manifest. If that fails, no further file is started.
    pub(super) fn note(&self, mut line: Entry) -> Result<()> {
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

    /// Finishes a file with an error, and records the state from which a later batch can resume.
    pub(super) fn failed(&self, job: FileJob, key: &FileKey, e: Error) {
        let Checkpoint { upload, sent_at } = job.file.checkpoint.clone();
        self.failed_with(job, Entry { upload, ..Entry::new(Event::Failed, key).with_sent_at(sent_at) }, e);
    }

    /// Stops the batch if every other file would fail in the same way.
    pub(super) fn stop_if_refused(&self, e: &Error) {
        // An exhausted quota, a persistent rate limit and an invalid API key would make every other file fail as well.
        let refuses_all = |api: &&Arc<ApiError>| e.is_quota() || matches!(api.status, 401 | 429);
        if let Some(api) = e.api().filter(refuses_all).filter(|api| !is_of_storage(api)) {
            self.stop(Stopped::Refused(api.clone()));
        }
    }

    pub(super) fn failed_with(&self, job: FileJob, line: Entry, e: Error) {
        self.stop_if_refused(&e);
        let noted = if e.is_canceled() {
            // The manifest already contains the progress of the file, unless it could not be written.
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

/// Whether a refusal comes from the storage, which knows nothing about the account.
fn is_of_storage(e: &ApiError) -> bool {
    e.operation.starts_with(STORAGE_OPERATION)
}

/// Counts a worker as busy while it lives, even if the worker panics.
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
    use crate::call::wait::poll::{MAX_UNKNOWN, Pace, Poll};
    use crate::client::TwelveLabs;
    use crate::resources::assets::Asset;
    use crate::upload::batch::builder::UploadAll;
    use crate::upload::batch::job::Stage;
    use crate::upload::progress::Reporter;

    fn batch(files: usize) -> Arc<Batch> {
        let client = TwelveLabs::builder().api_key("key").base_url("http://localhost:1").build().unwrap();
        let paths = (0..files).map(|number| File::new(format!("{number}.mp4").into())).collect();
        let options = UploadAll::new(&client.0, Vec::new()).options;
        Batch::new(client.0, paths, None, Folders::default(), NameLocks::default(), options, CancelHandle::new())
    }

    /// Assets that are to be polled then.
    fn pend(batch: &Batch, count: usize, due: Instant) {
        for _ in 0..count {
            let poll = Poll::new::<Asset>("a", Pace::default(), due, MAX_UNKNOWN);
            let key = FileKey { path: "0.mp4".into(), size: 4, modified: None };
            let (file, stage) = (File::new("0.mp4".into()), Stage::Asset(poll));
            batch.queue().pending.push(Pending { file, stage, ..Pending::new(key, Reporter::new(None), due) });
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
    fn polls_take_precedence_within_limits() {
        let batch = batch(2);
        pend(&batch, MAX_POLLS as usize + 2, batch.now());
        let taken: Vec<_> = (0..MAX_POLLS + 5).map(|_| next(&batch)).collect();
        let (first, rest) = taken.split_at(MAX_POLLS as usize);
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
        batch.queue().pending[0].due = later + RECHECK;
        assert_eq!((next(&batch), batch.queue().busy), ("file", 1));
        assert!(matches!(batch.next(), Due::Later(until) if until == later));
        batch.queue().busy = 0;
        batch.cancel.cancel();
        assert_eq!([(); 3].map(|()| next(&batch)), ["poll", "poll", "idle"]);
    }

    #[test]
    fn an_outage_is_probed_with_one_file_at_a_time() {
        let batch = batch(3);
        let (now, hour) = (batch.now(), 60 * Duration::from_secs(60));
        batch.queue().outage = Some(Outage { since: now, tries: 1, next: Some(now + hour) });
        assert!(matches!(batch.next(), Due::Later(until) if until == now + hour));
        pend(&batch, 1, now + 2 * hour);
        assert!(matches!(batch.next(), Due::Later(until) if until == now + hour), "the probe is due before the poll");
        batch.queue().outage = Some(Outage { since: now, tries: 1, next: Some(now) });
        assert_eq!([(); 2].map(|()| next(&batch)), ["file", "later"], "the other files wait for the probe");
        batch.end_try();
        assert_eq!(next(&batch), "file");
    }
}
