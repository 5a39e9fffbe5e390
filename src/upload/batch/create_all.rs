//! Assets that exist already, brought into an index or a knowledge store: a batch without the upload.

use std::fmt;
use std::time::Duration;

use crate::call::options::RequestOptions;
use crate::error::{Error, Result};
use crate::http::cancel::CancelHandle;
use crate::http::session::Session;
use crate::resources::assets::AssetRef;
use crate::resources::indexes::indexed_assets::{IndexedAsset, IndexedAssetsClient};
use crate::resources::knowledge_store_items::{KnowledgeStoreItem, KnowledgeStoreItemsClient};
use crate::upload::batch::builder::{UploadAll, Uploads};
use crate::upload::outcome::UploadOutcome;

impl IndexedAssetsClient {
    /// Indexes many assets, and gives each indexed asset as soon as it is ready.
    ///
    /// Each asset is awaited until it is ready, looked for in the index, added if it is not there, and awaited again. So
    /// running it again adds nothing twice. To upload files as well, see
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
    /// Adds many assets to a knowledge store, and gives each item as soon as it is processed.
    ///
    /// Each asset is awaited until it is ready, looked for among the items of the store, added if it is not there, and
    /// awaited again. So running it again adds nothing twice. The type of each asset goes along. To upload files as well,
    /// see [`UploadAll::knowledge_store`](crate::assets::UploadAll::knowledge_store).
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

/// Options of [`IndexedAssetsClient::create_all`] and [`KnowledgeStoreItemsClient::create_all`].
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

    /// The number of threads: 4 by default.
    pub fn workers(self, workers: usize) -> Self {
        self.with(|batch| batch.workers(workers))
    }

    /// The time between two polls of the same thing: by default 0.5 s, 1 s, 2 s and then 5 s, or 10 s for items.
    pub fn sleep_interval(self, sleep_interval: Duration) -> Self {
        self.with(|batch| batch.sleep_interval(sleep_interval))
    }

    /// The most time to wait for each asset, and for what is made of it: one hour by default.
    pub fn max_wait_time(self, max_wait_time: Duration) -> Self {
        self.with(|batch| batch.max_wait_time(max_wait_time))
    }

    /// How long a request that fails for a passing reason is repeated: 5 minutes by default.
    pub fn max_outage(self, max_outage: Duration) -> Self {
        self.with(|batch| batch.max_outage(max_outage))
    }

    /// The most time for all of them. What is not done then is an error each.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with(|batch| batch.deadline(deadline))
    }

    /// Lets another thread stop it. There is a result for every asset all the same.
    pub fn cancel_handle(self, cancel_handle: &CancelHandle) -> Self {
        self.with(|batch| batch.cancel_handle(cancel_handle))
    }

    /// Settings of each request.
    pub fn request_options(self, request_options: RequestOptions) -> Self {
        self.with(|batch| batch.request_options(request_options))
    }

    when_some!();

    /// Starts the workers. Each asset comes once with its result, as soon as that is known.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if an option cannot be used. What is wrong with one asset is in its result.
    pub fn send(self) -> Result<CreatedAll<T>> {
        Ok(CreatedAll { outcomes: self.batch.send()?, take: self.take })
    }
}

/// The results of a [`CreateAll`] as they come, each with the id of its asset. Dropped before its end, it stops the work.
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
        let missing = || Error::Protocol {
            operation: "create_all".into(),
            message: format!("asset {id} was added, but the platform does not say as what"),
        };
        let result = outcome.result.and_then(|_| created.ok_or_else(missing));
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
