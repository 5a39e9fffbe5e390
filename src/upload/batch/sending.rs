//! Sending a file of a batch, once the outcome of earlier attempts is known.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::call::wait::poll::MAX_UNKNOWN;
use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::resources::assets::{Asset, AssetRef, AssetStatus};
use crate::resumable::ResumableUpload;
use crate::sync::lock;
use crate::text::printable_path;
use crate::upload::batch::job::{Checkpoint, File, FileJob, Pending, Reached};
use crate::upload::batch::name_lock::{Name, Settled, Unsettled};
use crate::upload::batch::scheduler::Batch;
use crate::upload::chunked::open::is_hopeless;
use crate::upload::journal::entry::{Entry, Event, FileKey};
use crate::upload::options::{Journal, SentAt};
use crate::upload::outcome::UploadOutcomeKind;
use crate::upload::progress::{Callback, Reporter, UploadProgress, UploadState};
use crate::upload::reconcile::{Lost, Owner, Ownership, final_size, is_unclear, learn_clock};
use crate::upload::upload_asset::{UploadAsset, Uploaded};

/// The lock on a file's name. If it is dropped while the file is in flight, for example in a panic, the file is
/// recorded as one that may have arrived.
struct HeldName<'a> {
    batch: &'a Batch,
    name: Name,
    in_flight: Option<Unsettled>,
}

impl Drop for HeldName<'_> {
    fn drop(&mut self) {
        if let Some(unsettled) = self.in_flight.take() {
            self.batch.names.add_unsettled(&self.name, unsettled);
        }
        if let Some(next) = self.batch.names.release(&self.name) {
            self.batch.queue().files.push_front(next);
        }
    }
}

/// Records the progress of a file in the manifest.
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

    fn sending(&mut self, sent_at: SentAt) -> Result<()> {
        self.batch.note(Entry::new(Event::Sending, &self.key).with_sent_at(Some(sent_at)))
    }
}

impl Batch {
    pub(super) fn upload(self: &Arc<Self>, mut job: FileJob) {
        if let Some(AssetRef { id, .. }) = job.file.asset.clone() {
            let key = FileKey { path: id.clone(), size: 0, modified: None };
            return self.wait_on(job, key, id, Reporter::new(None));
        }
        let key = FileKey::of(&job.file.path, &self.folders);
        let (known, key) = match key.and_then(|key| Ok((self.known(&key)?, key))) {
            Ok(known) => known,
            Err(e) => return job.finish(UploadOutcomeKind::Failed, Err(e)),
        };
        let progress = Reporter::new(self.callback(&job.file.path));
        if let Some(line) = known {
            job.file.reached.placements.clone_from(&line.placements);
            match line {
                Entry { asset_id: Some(_), asset: Some(asset), .. } if self.is_enough(&asset) => {
                    let is_done = self.is_everywhere(&asset, &job.file.reached.placements);
                    self.set_asset(&mut job, asset.clone());
                    if is_done {
                        return job.finish(UploadOutcomeKind::Skipped, Ok(asset));
                    }
                    return self.advance(Pending::new(key, progress, self.now()), job);
                }
                Entry { event: Event::Done, asset: Some(asset), .. } => {
                    return self.wait_on(job, key, asset.id, progress);
                }
                Entry { permanent: true, code, message, .. } if !self.options.retry_permanent => {
                    let message = message.unwrap_or_default();
                    return job.finish(UploadOutcomeKind::Failed, Err(Error::PreviouslyFailed { code, message }));
                }
                Entry { asset_id: Some(asset_id), .. } => return self.wait_on(job, key, asset_id, progress),
                line => {
                    let sent_at = line.sent_at();
                    job.file.checkpoint = Checkpoint { upload: line.upload, sent_at };
                }
            }
        }
        self.send(job, key, progress);
    }

    /// Sends a file, once every unknown outcome under its name and size is settled.
    pub(super) fn send(self: &Arc<Self>, job: FileJob, key: FileKey, progress: Reporter) {
        let name = (FileSource::path(&job.file.path).file_name(), key.size);
        let sender = job.sender;
        // Another file with this name and size may be in flight. Then this file waits, and the worker takes other work.
        let Some(file) = self.names.hold(&name, job.take_back()) else { return };
        let mut job = FileJob { file, note: None, sender };
        let mut held = HeldName { batch: self, name, in_flight: None };
        match self.settle(&held.name, &key) {
            Ok(Some(Settled::Arrived { asset, note })) => {
                self.got_through();
                progress.state(UploadState::Uploaded, Some(key.size), &asset.id);
                let (asset_id, length) = (asset.id.clone(), Some(key.size));
                let uploaded = Uploaded { asset_id, asset: Some(*asset), length, note };
                return self.arrived(job, key, uploaded, progress, MAX_UNKNOWN);
            }
            Ok(_) => {}
            Err(e) if is_unclear(&e) => return self.postpone(job, &key, e),
            Err(e) => return self.failed_transiently(job, &key, e),
        }
        // A slot is taken only here, because a file that waits for its name, or has already arrived, needs none.
        if let Some(later) = self.next_slot() {
            let mut queue = self.queue();
            queue.held_until = queue.held_until.max(later);
            return queue.files.push_front(job.take_back());
        }
        if self.has_manifest {
            self.ask_for_time();
        }
        let sent_at = job.file.checkpoint.sent_at.unwrap_or_else(|| SentAt::now(&self.client));
        // A file in chunks is found by its session. Its name is not looked for.
        let in_flight = |checkpoint: &Checkpoint, sent_as: &str| {
            let in_one_request = key.size <= self.options.threshold && checkpoint.upload.is_none();
            in_one_request.then(|| Unsettled { file: key.clone(), sent_as: sent_as.into(), sent_at })
        };
        held.in_flight = in_flight(&job.file.checkpoint, &held.name.0);
        let result = match self.transfer(&job.file, (&key, &held.name), sent_at, &progress) {
            // The session has ended or never belonged to this file.
            Err(e) if is_hopeless(&e) => {
                log::warn!("{}: {e}; uploading from the start", printable_path(&job.file.path));
                job.file.checkpoint = Checkpoint::default();
                held.in_flight = in_flight(&job.file.checkpoint, &held.name.0);
                self.transfer(&job.file, (&key, &held.name), sent_at, &progress)
            }
            other => other,
        };
        match result {
            Ok(uploaded) => {
                self.got_through();
                lock(&self.claimed).insert(uploaded.asset_id.clone());
                job.file.reached = Reached { is_new: true, ..Reached::default() };
                let asset_id = Some(uploaded.asset_id.clone());
                // If this fails, so does the entry at the end, and the outcome reports that.
                let _ = self.note(Entry { asset_id, ..Entry::new(Event::Uploaded, &key) });
                held.in_flight = None;
                self.arrived(job, key, uploaded, progress, MAX_UNKNOWN);
            }
            Err(e) => {
                match &e {
                    Error::Upload(e) => job.file.checkpoint.upload = e.resumable.then(|| e.upload.clone()),
                    // The platform may have received the file although its response was lost.
                    e if e.is_outcome_unknown() && held.in_flight.is_some() => {
                        job.file.checkpoint.sent_at = Some(sent_at)
                    }
                    _ => held.in_flight = None,
                }
                self.failed_transiently(job, &key, e);
            }
        }
    }

    /// Asks the platform for its time if it is not known, unless an earlier request has shown that the platform does
    /// not report it.
    fn ask_for_time(&self) {
        let mut in_vain = lock(&self.asked_time_in_vain);
        if !*in_vain && self.client.clock_offset().is_none() {
            learn_clock(&self.client, &self.options.request_options);
            *in_vain = self.client.clock_offset().is_none();
        }
    }

    /// Determines which files of a name with an unknown outcome have arrived, and records the results. Returns the
    /// result for this file, if it was among them.
    pub(super) fn settle(self: &Arc<Self>, name: &Name, key: &FileKey) -> Result<Option<Settled>> {
        let mut unsettled = self.names.unsettled(name);
        if !unsettled.is_empty() {
            unsettled.sort_by_key(|unsettled| unsettled.sent_at.at_platform(&self.client));
            let owner = self.ownership(name);
            let options = &self.options.request_options;
            let names: BTreeSet<String> = unsettled.iter().map(|unsettled| unsettled.sent_as.clone()).collect();
            let mut found = Vec::new();
            for sent_as in &names {
                let (client, size) = (&self.client, Some(name.1));
                let lost = Lost { client, name: sent_as, size, owner: Some(&owner), options };
                let of_name = unsettled.extract_if(.., |unsettled| unsettled.sent_as == *sent_as);
                let of_name: Vec<Unsettled> = of_name.collect();
                let sent: Vec<SentAt> = of_name.iter().map(|unsettled| unsettled.sent_at).collect();
                found.extend(of_name.into_iter().zip(lost.settle(&sent)?));
            }
            let mut settled = Vec::new();
            for (Unsettled { file, .. }, found) in found {
                let outcome = match found {
                    Some(found) => {
                        lock(&self.claimed).insert(found.asset.id.clone());
                        let asset_id = Some(found.asset.id.clone());
                        self.note(Entry { asset_id, ..Entry::new(Event::Uploaded, &file) })?;
                        Settled::Arrived { note: found.note(), asset: Box::new(found.asset) }
                    }
                    None => {
                        if file != *key {
                            let message = Some("the file did not arrive".into());
                            self.note(Entry { message, ..Entry::new(Event::Failed, &file) })?;
                        }
                        Settled::Absent
                    }
                };
                settled.push((file, outcome));
            }
            self.names.settle(name, settled);
        }
        Ok(self.names.take_settled(name, key))
    }

    /// Whether an asset of an earlier batch is in the state that this batch waits for.
    pub(super) fn is_enough(&self, asset: &Asset) -> bool {
        !self.waits_for_assets() || asset.status == Some(AssetStatus::Ready)
    }

    /// Whether the batch waits for assets, which must be ready before they can be added to a destination.
    pub(super) fn waits_for_assets(&self) -> bool {
        self.options.wait || !self.options.destinations.is_empty()
    }

    /// Returns the records of earlier batches about a file.
    pub(super) fn known(&self, key: &FileKey) -> Result<Option<Entry>> {
        match lock(&self.manifest).as_mut() {
            Some(manifest) => manifest.take(key),
            None => Ok(None),
        }
    }

    /// Returns the function with which a file of this name and size determines the owner of an asset.
    fn ownership(self: &Arc<Self>, name: &Name) -> Ownership {
        let (batch, name) = (self.clone(), name.clone());
        Arc::new(move |asset| {
            let is_unfinished = !matches!(asset.status, Some(AssetStatus::Ready | AssetStatus::Failed));
            Ok(match batch.is_claimed(&asset.id)? {
                true => Owner::AnotherFile,
                false if is_unfinished && final_size(asset).is_none() && batch.names.has_other_size(&name) => {
                    Owner::Unclear
                }
                false => Owner::Unclaimed,
            })
        })
    }

    /// Whether an asset belongs to another file, as far as this run and the manifest know.
    pub(super) fn is_claimed(&self, asset_id: &str) -> Result<bool> {
        if lock(&self.claimed).contains(asset_id) {
            return Ok(true);
        }
        lock(&self.manifest).as_mut().map_or(Ok(false), |manifest| manifest.has_asset(asset_id))
    }

    pub(super) fn transfer(
        self: &Arc<Self>,
        file: &File,
        (key, name): (&FileKey, &Name),
        sent_at: SentAt,
        progress: &Reporter,
    ) -> Result<Uploaded> {
        let options = &self.options;
        let source = FileSource::path(&file.path).version(key.size, key.modified);
        let mut upload = UploadAsset::new(&self.client, source)
            .threshold(options.threshold)
            .max_workers(options.max_workers)
            .request_options(options.request_options.clone());
        upload.asset = options.asset.clone();
        upload.owner = Some(self.ownership(name));
        (upload.sent_at, upload.is_absent) = (Some(sent_at), true);
        if self.has_manifest {
            let note = BatchJournal { batch: self.clone(), key: key.clone(), noted: file.checkpoint.upload.clone() };
            upload.settings.journal = Some(Box::new(note));
        }
        upload.settings.resume = file.checkpoint.upload.clone();
        upload.transfer(progress)
    }

    /// Returns the progress callback for one file.
    pub(super) fn callback(&self, path: &Path) -> Option<Callback> {
        let (callback, path) = (self.options.progress.clone()?, path.to_path_buf());
        Some(Box::new(move |progress: &UploadProgress| callback(&path, progress)))
    }
}
