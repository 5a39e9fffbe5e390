//! Waiting for the assets of files that have arrived.

use crate::call::wait::poll::{Next, Poll};
use crate::error::{Error, Result};
use crate::resources::assets::{Asset, AssetStatus};
use crate::sync::Sender;
use crate::upload::batch::job::{FileJob, Pending};
use crate::upload::batch::scheduler::Batch;
use crate::upload::journal::entry::{Entry, Event, FileKey};
use crate::upload::outcome::{UploadOutcome, UploadOutcomeKind};
use crate::upload::progress::{Reporter, UploadState};
use crate::upload::upload_asset::Uploaded;

impl Batch {
    /// The file arrived in an earlier batch.
    pub(super) fn wait_on(&self, job: FileJob, key: FileKey, asset_id: String, progress: Reporter) {
        let uploaded = Uploaded { asset_id, asset: None, length: None, note: None };
        self.arrived(job, key, uploaded, progress, 0);
    }

    /// The file is at the platform. What is left is to wait for the asset.
    pub(super) fn arrived(&self, mut job: FileJob, key: FileKey, uploaded: Uploaded, progress: Reporter, unknown: u32) {
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

    pub(super) fn poll(&self, mut pending: Pending, sender: &Sender<UploadOutcome>) {
        let job = pending.take_job(sender);
        let left = pending.poll.time_left(self.now());
        let mut options = self.options.request_options.without_parameters();
        options.deadline = Some(options.deadline.map_or(left, |own| own.min(left)));
        let answer = self.client.assets().retrieve(pending.poll.id()).request_options(options).send();
        self.polled(pending, job, answer);
    }

    pub(super) fn polled(&self, mut pending: Pending, mut job: FileJob, answer: Result<Asset>) {
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
}
