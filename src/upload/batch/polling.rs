//! Waiting for the assets of files that have arrived.

use std::time::Instant;

use crate::call::options::RequestOptions;
use crate::call::wait::poll::{Next, Poll};
use crate::error::{Error, Result};
use crate::resources::assets::{Asset, AssetStatus};
use crate::sync::Sender;
use crate::upload::batch::job::{FileJob, Pending, Stage};
use crate::upload::batch::scheduler::Batch;
use crate::upload::journal::entry::{Entry, Event, FileKey};
use crate::upload::outcome::{UploadOutcome, UploadStep};
use crate::upload::progress::{Reporter, UploadState};
use crate::upload::upload_asset::Uploaded;

impl Batch {
    /// The file arrived in an earlier batch.
    pub(super) fn wait_on(&self, job: FileJob, key: FileKey, asset_id: String, progress: Reporter) {
        let uploaded = Uploaded { asset_id, asset: None, length: None, note: None };
        self.arrived(job, key, uploaded, progress, 0);
    }

    /// The file is at the platform. What is left is to wait for the asset, and to bring it where it is to go.
    pub(super) fn arrived(&self, mut job: FileJob, key: FileKey, uploaded: Uploaded, progress: Reporter, unknown: u32) {
        let now = self.now();
        let poll = Poll::new::<Asset>(&uploaded.asset_id, self.options.pace, now, unknown);
        let Some(sender) = job.sender else { return };
        job.note = uploaded.note;
        let mut pending = Pending::new(key, progress, now);
        match uploaded.asset {
            Some(asset) => self.polled(pending, job, poll, Ok(asset)),
            None => {
                pending.stage = Stage::Asset(poll);
                pending.note = job.note.take();
                pending.file = job.take_back();
                self.poll(pending, sender);
            }
        }
    }

    /// The next step of a file at the platform.
    pub(super) fn poll(&self, mut pending: Pending, sender: &Sender<UploadOutcome>) {
        let job = pending.take_job(sender);
        match std::mem::replace(&mut pending.stage, Stage::Add) {
            Stage::Asset(poll) => {
                let options = self.poll_options(&poll);
                let answer = self.client.assets().retrieve(poll.id()).request_options(options).send();
                self.polled(pending, job, poll, answer);
            }
            Stage::Add => self.advance(pending, job),
            Stage::Await(to, poll) => self.poll_placement(pending, job, to, poll),
        }
    }

    /// The settings of a poll, which ends with the wait.
    pub(super) fn poll_options(&self, poll: &Poll) -> RequestOptions {
        let left = poll.time_left(self.now());
        let mut options = self.options.request_options.without_parameters();
        options.deadline = Some(options.deadline.map_or(left, |own| own.min(left)));
        options
    }

    /// Lets a worker take the file again when it is due.
    pub(super) fn put_back(&self, mut pending: Pending, mut job: FileJob, stage: Stage, due: Instant) {
        pending.note = job.note.take();
        pending.file = job.take_back();
        (pending.stage, pending.due) = (stage, due);
        self.queue().pending.push(pending);
    }

    fn polled(&self, pending: Pending, mut job: FileJob, mut poll: Poll, answer: Result<Asset>) {
        let (length, id) = (Some(pending.key.size), poll.id().to_string());
        let working = answer.as_ref().is_ok_and(|asset| asset.status != Some(AssetStatus::Ready));
        // An asset has to be ready before it can be added anywhere.
        let waits = self.options.wait || !self.options.destinations.is_empty();
        let next = match answer {
            Ok(asset) if !waits => Ok(Next::Done(asset)),
            Err(e) if !waits && e.status() != Some(404) => Err(e),
            answer => poll.next(answer, self.now()),
        };
        match next {
            Ok(Next::Again(due)) => {
                if working {
                    pending.progress.state(UploadState::Processing, length, &id);
                }
                self.put_back(pending, job, Stage::Asset(poll), due);
            }
            Ok(Next::Done(asset)) => {
                if asset.status == Some(AssetStatus::Ready) {
                    pending.progress.state(UploadState::Ready, length, &id);
                }
                job.file.reached.asset = Some(asset);
                self.advance(pending, job);
            }
            Err(e) => {
                // If it is at the platform, the next batch waits for it.
                let lost = matches!(e, Error::Failed(_)) || e.status() == Some(404);
                let asset_id = (!lost).then_some(id.clone());
                let placements = if lost { Vec::new() } else { job.file.reached.placements.clone() };
                let line = Entry { asset_id, placements, ..Entry::new(Event::Failed, &pending.key) };
                job.file.reached.failed_at = Some(UploadStep::Process);
                self.failed_with(job, line, if lost { e } else { e.with_asset_id(&id) });
            }
        }
    }
}
