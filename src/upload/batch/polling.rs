//! Waiting for the assets of files that have arrived.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::call::options::RequestOptions;
use crate::call::wait::poll::{Next, Poll};
use crate::call::wait::status_list::StatusList;
use crate::clock::later;
use crate::error::{Error, Result};
use crate::resources::assets::{Asset, AssetStatus};
use crate::sync::{Sender, lock};
use crate::upload::batch::job::{FileJob, Pending, Stage};
use crate::upload::batch::scheduler::Batch;
use crate::upload::journal::entry::{Entry, Event, FileKey};
use crate::upload::journal::placement::Destination;
use crate::upload::outcome::{UploadOutcome, UploadStep};
use crate::upload::progress::{Reporter, UploadState};
use crate::upload::upload_asset::Uploaded;

impl Batch {
    /// Continues with a file that arrived in an earlier batch.
    pub(super) fn wait_on(&self, job: FileJob, key: FileKey, asset_id: String, progress: Reporter) {
        let uploaded = Uploaded { asset_id, asset: None, length: None, note: None };
        self.arrived(job, key, uploaded, progress, 0);
    }

    /// Continues with a file that has arrived: the batch waits for its asset and then adds it to its destinations.
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

    /// Performs the next step of a file that is at the platform.
    pub(super) fn poll(&self, pending: Pending, sender: &Sender<UploadOutcome>) {
        let mut pending = match self.round(pending) {
            Ok((of, round)) => return self.survey(of.as_ref(), round, sender),
            Err(pending) => *pending,
        };
        let job = pending.take_job(sender);
        match std::mem::replace(&mut pending.stage, Stage::Add) {
            Stage::Asset(poll) => {
                let options = self.poll_options(&poll);
                let response = self.client.assets().retrieve(poll.id()).request_options(options).send();
                self.polled(pending, job, poll, response);
            }
            Stage::Add => self.advance(pending, job),
            Stage::Await(to, poll) => self.poll_placement(pending, job, to, poll),
        }
    }

    /// Collects all files with the same kind of poll due soon, if one list request is cheaper than polling each of
    /// them.
    fn round(&self, mut pending: Pending) -> Result<(Option<Destination>, Vec<Pending>), Box<Pending>> {
        let now = self.now();
        let awaited = pending.stage.awaited().map(|(of, poll)| (of.cloned(), later(now, poll.interval() / 4)));
        let Some((of, until)) =
            awaited.filter(|(of, _)| !pending.has_ended && (of.is_some() || self.waits_for_assets()))
        else {
            return Err(Box::new(pending));
        };
        let mut queue = self.queue();
        let is_alike = |other: &mut Pending| {
            !other.has_ended && other.due <= until && other.stage.awaited().is_some_and(|(is, _)| is == of.as_ref())
        };
        let places: Vec<usize> =
            (0..queue.pending.len()).filter(|place| is_alike(&mut queue.pending[*place])).collect();
        if places.len() + 1 < StatusList::WORTHWHILE {
            return Err(Box::new(pending));
        }
        let mut round = vec![pending];
        round.extend(places.into_iter().rev().map(|place| queue.pending.swap_remove(place)));
        Ok((of, round))
    }

    /// Lists which of these assets are still being processed. The others are retrieved one by one.
    fn survey(&self, of: Option<&Destination>, mut round: Vec<Pending>, sender: &Sender<UploadOutcome>) {
        let mut ids = Vec::new();
        let mut options = self.options.request_options.without_parameters().max_retries(0);
        for pending in &mut round {
            if let Some((_, poll)) = pending.stage.awaited() {
                ids.push(poll.id().to_string());
                options.deadline = Some(self.poll_options(poll).deadline.unwrap_or_default());
            }
        }
        let mut list = lock(&self.lists).remove(&of.cloned()).unwrap_or_else(|| match of {
            None => self.client.assets().status_list(),
            Some(Destination::Index(index)) => self.indexes().indexed_assets().status_list(index),
            Some(Destination::KnowledgeStore(store)) => self.items().status_list(store),
        });
        let response = list.unfinished(&ids.iter().map(String::as_str).collect::<Vec<_>>(), &options);
        lock(&self.lists).insert(of.cloned(), list);
        let now = self.now();
        for mut pending in round {
            let Some((_, poll)) = pending.stage.awaited() else { continue };
            let id = poll.id().to_string();
            let status = match &response {
                Ok(unfinished) => unfinished.get(&id).map(String::as_str),
                // A temporary failure says nothing about any of the assets, and their wait time continues to run.
                Err(e) if e.is_retryable() => Some(""),
                Err(_) => None,
            };
            let due = status.map(|status| poll.seen_working(Some(status), now));
            // A panic in the progress callback of one file must not affect the others.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let job = pending.take_job(sender);
                if due.is_some() && of.is_none() {
                    pending.progress.state(UploadState::Processing, Some(pending.key.size), &id);
                }
                let stage = std::mem::replace(&mut pending.stage, Stage::Add);
                match (due, stage) {
                    (Some(Err(e)), Stage::Asset(poll)) => self.polled(pending, job, poll, Err(e)),
                    (Some(Err(e)), Stage::Await(to, _)) => self.placed(pending, job, to, Err(e)),
                    (Some(Ok(due)), stage) => self.put_back(pending, job, stage, due),
                    (_, stage) => {
                        pending.has_ended = true;
                        self.put_back_ended(pending, job, stage, now);
                    }
                }
            }));
        }
    }

    /// Returns the request options of a poll, whose time limit is the end of the wait.
    pub(super) fn poll_options(&self, poll: &Poll) -> RequestOptions {
        let remaining = poll.time_left(self.now());
        let mut options = self.options.request_options.without_parameters();
        options.deadline = Some(options.deadline.map_or(remaining, |own| own.min(remaining)));
        options
    }

    /// Queues the file again for when it is due.
    pub(super) fn put_back(&self, mut pending: Pending, job: FileJob, stage: Stage, due: Instant) {
        pending.has_ended = false;
        self.put_back_ended(pending, job, stage, due);
    }

    fn put_back_ended(&self, mut pending: Pending, mut job: FileJob, stage: Stage, due: Instant) {
        pending.note = job.note.take();
        pending.file = job.take_back();
        (pending.stage, pending.due) = (stage, due);
        self.queue().pending.push(pending);
    }

    fn polled(&self, pending: Pending, mut job: FileJob, mut poll: Poll, response: Result<Asset>) {
        let (length, id) = (Some(pending.key.size), poll.id().to_string());
        let working = response.as_ref().is_ok_and(|asset| asset.status != Some(AssetStatus::Ready));
        let waits = self.waits_for_assets();
        let next = match response {
            Ok(asset) if !waits => Ok(Next::Done(asset)),
            Err(e) if !waits && e.status() != Some(404) => Err(e),
            response => poll.next(response, self.now()),
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
                self.set_asset(&mut job, asset);
                self.advance(pending, job);
            }
            Err(e) => {
                // If the asset is still at the platform, the next batch waits for it.
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
