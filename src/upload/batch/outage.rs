//! Handling of failed files in a batch: retries, and during an outage, probes with one file at a time.

use std::time::Duration;

use crate::clock::later;
use crate::error::Error;
use crate::text::{human, printable_path};
use crate::upload::batch::job::{FileJob, Stopped, failed_temporarily, is_shortage};
use crate::upload::batch::scheduler::{Batch, Outage};
use crate::upload::journal::entry::FileKey;

/// The number of consecutive failed files that counts as an outage, even if the platform answers other requests.
const OUTAGE: u32 = 3;
/// The number of attempts for a file that fails while others succeed.
const MAX_TRIES: u32 = 2;
/// The pauses between the probes during an outage. The last one is repeated.
const OUTAGE_PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];

impl Batch {
    /// Records that a file was sent, which ends an outage.
    pub(super) fn got_through(&self) {
        let mut queue = self.queue();
        queue.failures = 0;
        if queue.outage.take().is_some() {
            log::info!("uploads succeed again");
        }
    }

    /// Handles a temporary failure of a file: the file fails, or is retried later, or an outage begins.
    pub(super) fn failed_transiently(&self, mut job: FileJob, key: &FileKey, e: Error) {
        if !failed_temporarily(&e) || self.queue().stopped.is_some() {
            self.end_try();
            return self.failed(job, key, e);
        }
        // If too many files are open, sending one file at a time opens fewer.
        let reachable = !is_shortage(&e) && self.is_reachable();
        let now = self.now();
        let mut queue = self.queue();
        queue.failures += 1;
        let outage = !reachable || queue.failures >= OUTAGE || queue.outage.is_some();
        job.file.tries += u32::from(!outage);
        // If this is the only file left, there is no other file to wait for. If it may have arrived, it is still looked
        // for.
        let alone = queue.files.is_empty() && queue.pending.is_empty() && queue.busy <= 1 && !self.names.has_waiting();
        let alone = alone && job.file.checkpoint.sent_at.is_none();
        if !outage && (job.file.tries >= MAX_TRIES || alone) {
            drop(queue);
            return self.failed(job, key, e);
        }
        if outage {
            let outage = queue.outage.get_or_insert(Outage { since: now, tries: 0, next: Some(now) });
            let lasted = now.saturating_duration_since(outage.since);
            if lasted >= self.options.max_outage {
                let message = format!("no upload has succeeded for {}: {}", human(lasted), e.message());
                queue.stopped.get_or_insert(Stopped::Outage(message));
                drop(queue);
                return self.failed(job, key, e);
            }
            let pause = OUTAGE_PAUSES[outage.tries.min(OUTAGE_PAUSES.len() - 1)];
            outage.tries += 1;
            outage.next =
                Some(later(now, pause.max(e.retry_after().unwrap_or_default()).min(self.options.max_outage - lasted)));
            log::warn!("{e}; uploads are paused; the next attempt is in {pause:?}");
            queue.files.push_front(job.take_back());
        } else {
            log::warn!("{}: {e}; it will be retried later", printable_path(&job.file.path));
            queue.files.push_back(job.take_back());
        }
    }

    /// Sends a file once more after the others, or lets it fail. Unlike a temporary failure, this says nothing about an
    /// outage.
    pub(super) fn postpone(&self, mut job: FileJob, key: &FileKey, e: Error) {
        self.end_try();
        job.file.tries += 1;
        if job.file.tries >= MAX_TRIES || self.queue().stopped.is_some() {
            return self.failed(job, key, e);
        }
        self.queue().files.push_back(job.take_back());
    }

    /// Allows the next probe of an outage.
    pub(super) fn end_try(&self) {
        let now = self.now();
        if let Some(outage) = &mut self.queue().outage {
            outage.next.get_or_insert(now);
        }
    }

    /// Whether the platform answers a small request.
    pub(super) fn is_reachable(&self) -> bool {
        let options = self.options.request_options.without_parameters().max_retries(0).timeout(Duration::from_secs(10));
        match self.client.assets().list().page_limit(1).request_options(options).send() {
            Ok(_) => true,
            Err(e) => e.is_canceled() || e.status().is_some_and(|status| status < 500),
        }
    }
}
