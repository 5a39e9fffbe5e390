//! Assets that exist already, brought into an index or a knowledge store: a batch without the upload.

use std::fmt;
use std::time::Duration;

use crate::call::options::RequestOptions;
use crate::error::{Error, Result};
use crate::http::cancel::CancelHandle;
use crate::http::session::Session;
use crate::resources::assets::{Asset, AssetRef, AssetType};
use crate::resources::indexes::indexed_assets::{IndexedAsset, IndexedAssetsClient};
use crate::resources::knowledge_store_items::{KnowledgeStoreItem, KnowledgeStoreItemsClient};
use crate::upload::batch::builder::{UploadAll, Uploads};
use crate::upload::outcome::UploadOutcome;

impl IndexedAssetsClient {
    /// Indexes many assets, and yields each indexed asset as soon as it is ready.
    ///
    /// For each asset, the call waits until the asset is ready, looks for it in the index, adds it if it is missing,
    /// and waits until it is indexed. Running the call again adds nothing twice. To upload files as well, see
    /// [`UploadAll::index`](crate::assets::UploadAll::index).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (asset_id, indexed) in client.indexes().indexed_assets().create_all("65a…", ["65f…", "660…"]).send()? {
    ///     match indexed {
    ///         Ok(indexed) => println!("{asset_id} is {} there", indexed.id),
    ///         Err(e) => eprintln!("{asset_id}: {e}"),
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_all(
        &self,
        index_id: impl Into<String>,
        assets: impl IntoIterator<Item = impl Into<AssetRef>>,
    ) -> CreateAll<IndexedAsset> {
        let take = |outcome: &mut UploadOutcome| outcome.indexed_assets.pop();
        CreateAll::new(&self.0, assets, take, |batch| batch.index(index_id))
    }
}

impl KnowledgeStoreItemsClient {
    /// Adds many assets to a knowledge store, and yields each item as soon as it is processed.
    ///
    /// For each asset, the call waits until the asset is ready, looks for it among the items of the store, adds it if
    /// it is missing, and waits until it is processed. Running the call again adds nothing twice. Each item is added
    /// with the type of its asset. To upload files as well, see
    /// [`UploadAll::knowledge_store`](crate::assets::UploadAll::knowledge_store).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (asset_id, item) in client.knowledge_store_items().create_all("ks_069e…", ["65f…", "660…"]).send()? {
    ///     match item {
    ///         Ok(item) => println!("{asset_id} is {} there", item.id),
    ///         Err(e) => eprintln!("{asset_id}: {e}"),
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_all(
        &self,
        knowledge_store_id: impl Into<String>,
        assets: impl IntoIterator<Item = impl Into<AssetRef>>,
    ) -> CreateAll<KnowledgeStoreItem> {
        let take = |outcome: &mut UploadOutcome| outcome.items.pop();
        CreateAll::new(&self.0, assets, take, |batch| batch.knowledge_store(knowledge_store_id))
    }
}

/// The builder returned by [`IndexedAssetsClient::create_all`] and [`KnowledgeStoreItemsClient::create_all`].
#[must_use = "nothing is sent before `.send()`"]
pub struct CreateAll<T> {
    batch: UploadAll,
    take: fn(&mut UploadOutcome) -> Option<T>,
}

impl<T> CreateAll<T> {
    fn new(
        client: &Session,
        assets: impl IntoIterator<Item = impl Into<AssetRef>>,
        take: fn(&mut UploadOutcome) -> Option<T>,
        to: impl FnOnce(UploadAll) -> UploadAll,
    ) -> Self {
        let batch = UploadAll::of_assets(client, assets.into_iter().map(Into::into).collect());
        CreateAll { batch: to(batch), take }
    }

    fn with(self, change: impl FnOnce(UploadAll) -> UploadAll) -> Self {
        CreateAll { batch: change(self.batch), ..self }
    }

    /// Sets the number of threads. The default is 4.
    pub fn workers(self, workers: usize) -> Self {
        self.with(|batch| batch.workers(workers))
    }

    /// Sets the time between two polls of the same resource. By default, it is 0.5 s, 1 s, 2 s and then 5 s, or 10 s
    /// for items.
    pub fn sleep_interval(self, sleep_interval: Duration) -> Self {
        self.with(|batch| batch.sleep_interval(sleep_interval))
    }

    /// Limits the wait for each asset, and for the item or indexed asset made from it. The default is one hour.
    pub fn max_wait_time(self, max_wait_time: Duration) -> Self {
        self.with(|batch| batch.max_wait_time(max_wait_time))
    }

    /// Sets how long a request that fails temporarily is retried. The default is 5 minutes.
    pub fn max_outage(self, max_outage: Duration) -> Self {
        self.with(|batch| batch.max_outage(max_outage))
    }

    /// Limits the time of the whole call. Each asset that is not done by then yields an error.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with(|batch| batch.deadline(deadline))
    }

    /// Lets another thread stop the call. Every asset still has a result.
    pub fn cancel_handle(self, cancel_handle: &CancelHandle) -> Self {
        self.with(|batch| batch.cancel_handle(cancel_handle))
    }

    /// Applies settings to each request.
    pub fn request_options(self, request_options: RequestOptions) -> Self {
        self.with(|batch| batch.request_options(request_options))
    }

    when_some!();

    /// Starts the workers. The iterator yields each asset once, as soon as its result is known.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if an option is invalid. If the index or the knowledge store does not exist, the
    /// platform's error is returned. An error of a single asset is in its result.
    pub fn send(self) -> Result<CreatedAll<T>> {
        Ok(CreatedAll { outcomes: self.batch.send()?, take: self.take })
    }
}

/// The results of a [`CreateAll`] as they become known, each with the id of its asset. Dropping it early stops the
/// work.
#[must_use = "dropping it stops the work: iterate over the results"]
pub struct CreatedAll<T> {
    outcomes: Uploads,
    take: fn(&mut UploadOutcome) -> Option<T>,
}

impl<T> Iterator for CreatedAll<T> {
    type Item = (String, Result<T>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut outcome = self.outcomes.next()?;
        let created = (self.take)(&mut outcome);
        let id = outcome.path.to_string_lossy().into_owned();
        let is_applicable = outcome.not_applicable.is_empty();
        let missing = |asset: &Asset| match asset.asset_type() {
            Some(kind) if !is_applicable => {
                let article = if kind == AssetType::Image { "an" } else { "a" };
                let message =
                    format!("{article} {kind} cannot be indexed; an index accepts only videos and audio files");
                Error::invalid("index", message)
            }
            _ => Error::Protocol {
                operation: "create_all".into(),
                message: format!("asset {id} was added, but the platform did not return the id of the new item"),
            },
        };
        let result = outcome.result.and_then(|asset| created.ok_or_else(|| missing(&asset)));
        Some((id, result))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.outcomes.size_hint()
    }
}

impl<T> ExactSizeIterator for CreatedAll<T> {}

impl<T> fmt::Debug for CreateAll<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateAll").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for CreatedAll<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedAll").field("outcomes", &self.outcomes).finish_non_exhaustive()
    }
}
