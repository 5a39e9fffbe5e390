//! The steps after an asset is ready: it is added to indexes and knowledge stores, and the batch waits until it is
//! ready there.

use std::time::{Duration, Instant};

use crate::call::wait::poll::{MAX_UNKNOWN, Next, Poll, Pollable};
use crate::clock::later;
use crate::error::{Error, Result};
use crate::http::engine::pause;
use crate::http::session::Session;
use crate::resources::assets::{Asset, AssetRef, AssetType};
use crate::resources::indexes::IndexesClient;
use crate::resources::indexes::indexed_assets::IndexedAsset;
use crate::resources::knowledge_store_items::{KnowledgeStoreItem, KnowledgeStoreItemsClient};
use crate::resources::knowledge_stores::KnowledgeStoresClient;
use crate::sync::lock;
use crate::upload::batch::job::{FileJob, ItemsByAsset, Pending, Stage, failed_temporarily};
use crate::upload::batch::scheduler::Batch;
use crate::upload::journal::entry::{Entry, Event, FileKey};
use crate::upload::journal::placement::{Destination, Placement, Refusal};
use crate::upload::options::BatchOptions;
use crate::upload::outcome::{UploadOutcomeKind, UploadStep};
use crate::upload::reconcile::LATE;

/// The time limit of the check whether a destination exists.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// The next step of a file whose asset is ready.
#[derive(Debug, PartialEq)]
enum Step {
    Add(Destination),
    Await(Destination),
}

/// An asset to look for in an index or a knowledge store, without the copies that have failed there.
struct Sought<'a> {
    asset_id: &'a str,
    to: &'a Destination,
    failed_id: Option<String>,
}

impl Sought<'_> {
    fn is(&self, id: &str) -> bool {
        self.failed_id.as_deref() != Some(id)
    }
}

impl Destination {
    /// Whether the platform takes an asset of this kind here. If the kind is not known, the platform is asked.
    fn takes(&self, asset: &Asset) -> bool {
        let is_index = matches!(self, Destination::Index(_));
        !(is_index && matches!(asset.asset_type(), Some(AssetType::Image | AssetType::Document)))
    }

    fn step(&self) -> UploadStep {
        match self {
            Destination::Index(_) => UploadStep::Index,
            Destination::KnowledgeStore(_) => UploadStep::KnowledgeStore,
        }
    }
}

/// Returns an error if a destination does not exist, so that no file is uploaded in vain. Other errors are left to the
/// batch, which waits out rate limits and outages.
pub(crate) fn check_destinations(client: &Session, options: &BatchOptions) -> Result<()> {
    for to in &options.destinations {
        let options = options.request_options.without_parameters().max_retries(0).timeout(CHECK_TIMEOUT);
        let response = match to {
            Destination::Index(index) => {
                IndexesClient(client.clone()).retrieve(index).request_options(options).send().map(drop)
            }
            Destination::KnowledgeStore(store) => {
                KnowledgeStoresClient(client.clone()).retrieve(store).request_options(options).send().map(drop)
            }
        };
        match response {
            Err(e) if matches!(e.status(), Some(400 | 404 | 422)) || matches!(e, Error::InvalidArgument { .. }) => {
                return Err(e);
            }
            Err(e) => log::debug!("whether the destination exists is unknown: {e}"),
            Ok(()) => {}
        }
    }
    Ok(())
}

impl Batch {
    /// Sets the asset of a file, once no upload and no processing is left to do.
    pub(super) fn set_asset(&self, job: &mut FileJob, asset: Asset) {
        let mut steps: Vec<UploadStep> =
            self.options.destinations.iter().filter(|to| !to.takes(&asset)).map(Destination::step).collect();
        steps.dedup();
        (job.file.reached.asset, job.file.reached.not_applicable) = (Some(asset), steps);
    }

    /// Whether an earlier batch has added an asset to all destinations of this batch that take it.
    pub(super) fn is_everywhere(&self, asset: &Asset, placements: &[Placement]) -> bool {
        self.options.destinations.iter().filter(|to| to.takes(asset)).all(|to| {
            let placement = placements.iter().find(|placement| placement.to == *to);
            placement.is_some_and(|placement| placement.is_ready() || (!self.options.wait && placement.id.is_some()))
        })
    }

    fn next_step(&self, job: &FileJob) -> Option<Step> {
        let reached = &job.file.reached;
        let takes = |to: &Destination| reached.asset.as_ref().is_none_or(|asset| to.takes(asset));
        let open = |to: &&Destination| takes(to) && !reached.errors.iter().any(|(failed, _)| failed == *to);
        let placement = |to: &Destination| reached.placements.iter().find(|placement| placement.to == *to);
        let mut open = self.options.destinations.iter().filter(open);
        let is_added = |to: &Destination| placement(to).is_some_and(|placement| placement.id.is_some());
        // The asset is added to all destinations before the batch waits for any, so that the platform works in
        // parallel.
        if let Some(to) = open.clone().find(|to| !is_added(to)) {
            return Some(Step::Add(to.clone()));
        }
        let is_ready = |to: &Destination| placement(to).is_some_and(Placement::is_ready);
        open.find(|to| self.options.wait && !is_ready(to)).map(|to| Step::Await(to.clone()))
    }

    /// Performs the next step of a file whose asset is ready, or finishes the file.
    pub(super) fn advance(&self, mut pending: Pending, mut job: FileJob) {
        loop {
            match self.next_step(&job) {
                Some(Step::Add(to)) => match self.add(&pending.key, &mut job, &to) {
                    Ok(()) => pending.failing_since = None,
                    Err(e) => {
                        if let Some(due) = self.add_again(&mut pending, &e) {
                            log::warn!("{e}; it will be retried");
                            return self.put_back(pending, job, Stage::Add, due);
                        }
                        if e.status() == Some(404) && self.is_gone(&job) {
                            return self.lost(pending, job, e);
                        }
                        self.fail(&mut job, to, e);
                    }
                },
                Some(Step::Await(to)) => {
                    let Some(id) = placement(&mut job, &to).id.clone() else { continue };
                    let (pace, now) = (self.options.pace, self.now());
                    let poll = match &to {
                        Destination::Index(_) => Poll::new::<IndexedAsset>(&id, pace, now, MAX_UNKNOWN),
                        Destination::KnowledgeStore(_) => Poll::new::<KnowledgeStoreItem>(&id, pace, now, MAX_UNKNOWN),
                    };
                    return self.put_back(pending, job, Stage::Await(to, poll), now);
                }
                None => return self.end(pending, job),
            }
        }
    }

    /// Polls an indexed asset or an item of a knowledge store.
    pub(super) fn poll_placement(&self, pending: Pending, mut job: FileJob, to: Destination, mut poll: Poll) {
        let options = self.poll_options(&poll);
        let (id, now) = (poll.id().to_string(), || self.now());
        let next = match &to {
            Destination::Index(index) => {
                let response = self.indexes().indexed_assets().retrieve(index, &id).request_options(options).send();
                placed(&mut poll, response, now(), |ready| placement(&mut job, &to).indexed_asset = Some(ready))
            }
            Destination::KnowledgeStore(store) => {
                let response = self.items().retrieve(store, &id).request_options(options).send();
                placed(&mut poll, response, now(), |ready| placement(&mut job, &to).item = Some(ready))
            }
        };
        match next {
            Ok(Some(due)) => self.put_back(pending, job, Stage::Await(to, poll), due),
            Ok(None) => self.placed(pending, job, to, Ok(())),
            Err(e) => self.placed(pending, job, to, Err(e)),
        }
    }

    /// Continues with a file whose wait in a destination is over.
    pub(super) fn placed(&self, mut pending: Pending, mut job: FileJob, to: Destination, result: Result<()>) {
        match result {
            Ok(()) => {
                if self.next_step(&job).is_some() {
                    self.note_reached(&pending.key, &job);
                }
            }
            Err(e) => self.fail(&mut job, to, e),
        }
        pending.stage = Stage::Add;
        self.advance(pending, job);
    }

    /// Adds an asset to an index or a knowledge store, unless it is already there.
    fn add(&self, key: &FileKey, job: &mut FileJob, to: &Destination) -> Result<()> {
        if let Some(stopped) = &self.queue().stopped {
            return Err(stopped.error());
        }
        let Some(asset) = job.file.reached.asset.clone() else { return Ok(()) };
        let is_new = job.file.reached.is_new;
        let given_type = job.file.asset.as_ref().and_then(|asset| asset.asset_type.clone());
        let placement = placement(job, to);
        if let Some(Refusal { code, message, .. }) = placement.failed.clone().filter(|_| !self.options.retry_permanent)
        {
            return Err(Error::PreviouslyFailed { code, message });
        }
        let failed_id = placement.failed.as_ref().and_then(|failed| failed.id.clone());
        let sought = Sought { asset_id: &asset.id, to, failed_id };
        if !is_new || placement.in_flight {
            // The response of an earlier attempt was lost, and the platform may not list the addition yet.
            let may_be_late = placement.in_flight;
            if let Some(id) = self.find_placed(&sought, placement.in_flight, may_be_late)? {
                placement.set_added(id);
                return self.note_step(key, job);
            }
        }
        placement.in_flight = true;
        self.note_step(key, job)?;
        let options = self.options.request_options.without_parameters();
        let added = match to {
            Destination::Index(index) => {
                let call = self.indexes().indexed_assets().create(index, &asset.id);
                call.request_options(options).send().map(|indexed| indexed.id)
            }
            Destination::KnowledgeStore(store) => {
                let mut asset = AssetRef::from(&asset);
                // The type given by the caller takes precedence over a type the platform does not know.
                asset.asset_type = given_type.or(asset.asset_type);
                let call = self.items().create(store, asset);
                call.request_options(options).send().map(|item| item.id)
            }
        };
        let id = match added {
            Err(e) if e.is_outcome_unknown() && !e.is_canceled() => match self.find_placed(&sought, true, false) {
                Ok(Some(id)) => {
                    log::warn!("{e}; the asset exists as {id}");
                    Ok(id)
                }
                _ => return Err(e),
            },
            added => added,
        };
        let placement = self::placement(job, to);
        match id {
            Ok(id) => placement.set_added(id),
            Err(e) => {
                placement.in_flight = e.is_outcome_unknown();
                return Err(e);
            }
        }
        self.note_step(key, job)
    }

    /// Looks for an asset in an index or a knowledge store.
    ///
    /// The platform does not document what happens if an asset is added twice, so the batch looks first. For an index,
    /// it asks for the indexes of the asset, which is one request. A knowledge store cannot be filtered by asset, so
    /// all its items are listed. That is done once for all assets, unless this one `may_be_new`.
    fn find_placed(&self, sought: &Sought, may_be_new: bool, may_be_late: bool) -> Result<Option<String>> {
        let look = |may_be_new| match sought.to {
            Destination::Index(index) => self.find_indexed(sought, index),
            Destination::KnowledgeStore(store) => self.find_item(sought, store, may_be_new),
        };
        let mut found = look(may_be_new)?;
        for duration in if may_be_late { &LATE[..] } else { &[] } {
            if found.is_some() {
                break;
            }
            pause(&self.client, *duration, Some(&self.cancel), "upload_all")?;
            found = look(true)?;
        }
        Ok(found)
    }

    fn find_indexed(&self, sought: &Sought, index: &str) -> Result<Option<String>> {
        let options = self.options.request_options.without_parameters();
        let list = self.indexes().indexed_assets().list_by_asset(sought.asset_id).page_limit(50);
        for indexed in list.request_options(options).send()? {
            let indexed = indexed?;
            if sought.is(&indexed.id) && indexed.index.is_some_and(|found| found.id == index) {
                return Ok(Some(indexed.id));
            }
        }
        Ok(None)
    }

    fn find_item(&self, sought: &Sought, store: &str, may_be_new: bool) -> Result<Option<String>> {
        let mut stores = lock(&self.stores);
        if may_be_new || !stores.contains_key(store) {
            let mut items = ItemsByAsset::new();
            let options = self.options.request_options.without_parameters();
            for item in self.items().list(store).page_limit(50).request_options(options).send()? {
                let item = item?;
                items.entry(item.asset_id.unwrap_or_default()).or_default().push(item.id);
            }
            stores.insert(store.into(), items);
        }
        let items = stores.get(store).and_then(|items| items.get(sought.asset_id));
        Ok(items.and_then(|items| items.iter().find(|id| sought.is(id)).cloned()))
    }

    /// Returns the time of the next attempt to add an asset, if the failure was temporary.
    fn add_again(&self, pending: &mut Pending, e: &Error) -> Option<Instant> {
        if !failed_temporarily(e) || self.queue().stopped.is_some() {
            return None;
        }
        let now = self.now();
        let (since, tries) = pending.failing_since.unwrap_or((now, 0));
        let remaining = self
            .options
            .max_outage
            .checked_sub(now.saturating_duration_since(since))
            .filter(|remaining| !remaining.is_zero())?;
        pending.failing_since = Some((since, tries + 1));
        let pause = Duration::from_secs(1 << tries.min(3)).max(e.retry_after().unwrap_or_default());
        Some(later(now, pause.min(remaining)))
    }

    /// Whether the asset itself no longer exists.
    fn is_gone(&self, job: &FileJob) -> bool {
        let Some(asset) = &job.file.reached.asset else { return false };
        let options = self.options.request_options.without_parameters();
        let response = self.client.assets().retrieve(&asset.id).request_options(options).send();
        response.is_err_and(|e| e.status() == Some(404))
    }

    /// Finishes a file whose asset no longer exists. The next batch uploads the file again.
    fn lost(&self, pending: Pending, mut job: FileJob, e: Error) {
        job.file.reached.placements.clear();
        self.failed_with(job, Entry::new(Event::Failed, &pending.key), e);
    }

    fn fail(&self, job: &mut FileJob, to: Destination, e: Error) {
        let is_permanent = e.is_permanent() || matches!(e, Error::Failed(_));
        let placement = placement(job, &to);
        if e.status() == Some(404) {
            placement.id = None;
        }
        if is_permanent {
            let id = placement.id.take();
            placement.failed = Some(Refusal { code: e.code().map(Into::into), message: e.message(), id });
        }
        self.stop_if_refused(&e);
        job.file.reached.errors.push((to, e));
    }

    /// Finishes a file that has no further step.
    fn end(&self, pending: Pending, mut job: FileJob) {
        let Some(asset) = job.file.reached.asset.clone() else { return };
        if job.file.reached.errors.is_empty() {
            let noted = self.note(self.line(Event::Done, &pending.key, &job));
            return job.finish_noted(UploadOutcomeKind::Uploaded, Ok(asset), noted);
        }
        let (to, e) = job.file.reached.errors.swap_remove(0);
        job.file.reached.failed_at = Some(to.step());
        let line = self.line(Event::Failed, &pending.key, &job);
        self.failed_with(job, line, e);
    }

    /// Creates the manifest entry of a file whose asset is ready.
    fn line(&self, event: Event, key: &FileKey, job: &FileJob) -> Entry {
        let reached = &job.file.reached;
        let asset_id = reached.asset.as_ref().map(|asset| asset.id.clone());
        let placements = reached.placements.clone();
        Entry { asset_id, asset: reached.asset.clone(), placements, ..Entry::new(event, key) }
    }

    fn note_step(&self, key: &FileKey, job: &FileJob) -> Result<()> {
        self.note(self.line(Event::Uploaded, key, job))
    }

    /// Writes the progress of a file to the manifest. An error is ignored here, because the outcome of the file reports
    /// it.
    fn note_reached(&self, key: &FileKey, job: &FileJob) {
        let _ = self.note_step(key, job);
    }

    pub(super) fn indexes(&self) -> IndexesClient {
        IndexesClient(self.client.clone())
    }

    pub(super) fn items(&self) -> KnowledgeStoreItemsClient {
        KnowledgeStoreItemsClient(self.client.clone())
    }
}

/// Returns the record of a file in a destination.
fn placement<'a>(job: &'a mut FileJob, to: &Destination) -> &'a mut Placement {
    let placements = &mut job.file.reached.placements;
    let place = placements.iter().position(|placement| placement.to == *to).unwrap_or_else(|| {
        placements.push(Placement::new(to));
        placements.len() - 1
    });
    &mut placements[place]
}

/// Returns the time of the next poll, or `None` once it is ready.
fn placed<T: Pollable>(
    poll: &mut Poll,
    response: Result<T>,
    now: Instant,
    keep: impl FnOnce(T),
) -> Result<Option<Instant>> {
    Ok(match poll.next(response, now)? {
        Next::Again(due) => Some(due),
        Next::Done(ready) => {
            keep(ready);
            None
        }
    })
}
