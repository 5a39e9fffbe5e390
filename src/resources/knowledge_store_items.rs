//! The items of knowledge stores: assets, processed to be searched.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::list::pager::SyncPager;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{Progressing, Waitable};
use crate::call::wait::status_list::StatusList;
use crate::http::session::Session;
use crate::resources::assets::{AssetError, AssetRef, AssetType};
use crate::types::{SortBy, SortOption};

/// Adds assets to knowledge stores and manages them there, see
/// [`TwelveLabs::knowledge_store_items`](crate::TwelveLabs::knowledge_store_items).
#[derive(Debug, Clone)]
pub struct KnowledgeStoreItemsClient(pub(crate) Session);

impl KnowledgeStoreItemsClient {
    /// Lists the items of a knowledge store, newest first.
    ///
    /// ```no_run
    /// use twelvelabs::knowledge_store_items::KnowledgeStoreItemStatus;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let status = [KnowledgeStoreItemStatus::Queued, KnowledgeStoreItemStatus::Processing];
    /// for item in client.knowledge_store_items().list("ks_069e…").status(status).send()? {
    ///     let item = item?;
    ///     println!("{} {:?}", item.id, item.status);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self, knowledge_store_id: &str) -> ListKnowledgeStoreItems {
        self.0.get(&["knowledge-stores", knowledge_store_id, "items"]).into()
    }

    /// Adds an asset to a knowledge store. The platform documents videos of up to 10 GB and images of up to 32 MB.
    ///
    /// Pass a reference to an [`Asset`](crate::assets::Asset), and its type is sent along. Of an id alone the type is
    /// not known: the platform then takes the asset for a video, and **an image fails** unless you say
    /// [`asset_type`](CreateKnowledgeStoreItem::asset_type) yourself. The asset has to be ready.
    ///
    /// The call returns before the platform has processed the item. Wait for it with
    /// [`wait_for_done`](Self::wait_for_done) before you search the store.
    ///
    /// ```no_run
    /// use twelvelabs::assets::AssetType;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let items = client.knowledge_store_items();
    /// let asset = client.assets().upload("goal.jpg").send()?;
    /// let item = items.create("ks_069e…", &asset).metadata(serde_json::json!({"round": 3})).send()?;
    /// let item = items.wait_for_done("ks_069e…", &item.id).send()?;
    ///
    /// // With an id alone, say what an image is.
    /// let item = items.create("ks_069e…", "65f…").asset_type(AssetType::Image).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, knowledge_store_id: impl AsRef<str>, asset: impl Into<AssetRef>) -> CreateKnowledgeStoreItem {
        let AssetRef { id, asset_type } = asset.into();
        let mut request = self.0.post(&["knowledge-stores", knowledge_store_id.as_ref(), "items"]);
        request.json("asset_id", &id);
        CreateKnowledgeStoreItem::from(request).when_some(asset_type, CreateKnowledgeStoreItem::asset_type)
    }

    /// Gets one item.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let item = client.knowledge_store_items().retrieve("ks_069e…", "ksi_069e…").send()?;
    /// println!("{:?} {:?}", item.status, item.system_metadata);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, knowledge_store_id: &str, item_id: &str) -> Call<KnowledgeStoreItem> {
        self.0.get(&["knowledge-stores", knowledge_store_id, "items", item_id]).into()
    }

    /// Deletes an item for good. Its asset stays.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.knowledge_store_items().delete("ks_069e…", "ksi_069e…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, knowledge_store_id: &str, item_id: &str) -> Call<()> {
        self.0.delete(&["knowledge-stores", knowledge_store_id, "items", item_id]).into()
    }

    /// Waits until an item is ready to be searched for, and returns it.
    ///
    /// One that failed is an [`Error::Failed`](crate::Error::Failed) with the platform's reason.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let item = client.knowledge_store_items().wait_for_done("ks_069e…", "ksi_069e…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, knowledge_store_id: &str, item_id: &str) -> Wait<KnowledgeStoreItem> {
        Wait::new(self.0.get(&["knowledge-stores", knowledge_store_id, "items", item_id]), item_id)
    }

    /// Waits until all of these items are done, on one thread, and gives each as soon as it is: see
    /// [`WaitAll`](crate::WaitAll).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (id, result) in client.knowledge_store_items().wait_for_all("65a…", ["65f…", "660…"]).send()? {
    ///     println!("{id}: {}", if result.is_ok() { "ready" } else { "failed" });
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_all<I: AsRef<str>>(
        &self,
        knowledge_store_id: &str,
        ids: impl IntoIterator<Item = I>,
    ) -> WaitAll<KnowledgeStoreItem> {
        WaitAll::new(&self.0, ids, |id| self.0.get(&["knowledge-stores", knowledge_store_id, "items", id]))
            .with_list(self.status_list(knowledge_store_id))
    }

    /// Says which of many items of a store are still being processed.
    pub(crate) fn status_list(&self, knowledge_store_id: &str) -> StatusList {
        let list = self.0.get(&["knowledge-stores", knowledge_store_id, "items"]);
        StatusList::by_status(list, &["queued", "pending", "processing"])
    }
}

request! {
    /// Options of [`KnowledgeStoreItemsClient::list`].
    ListKnowledgeStoreItems -> SyncPager<KnowledgeStoreItem> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
        /// What to sort by.
        query sort_by: into SortBy,
        /// The direction. The platform's default is the newest first.
        query sort_option: into SortOption,
        /// Only items in this state, or in one of these.
        query status: [KnowledgeStoreItemStatus],
    }
}

request! {
    /// Options of [`KnowledgeStoreItemsClient::create`].
    CreateKnowledgeStoreItem -> KnowledgeStoreItem {
        /// The type of the asset: a video or an image. It is known of an [`Asset`](crate::assets::Asset) that was passed
        /// to the call, and not of an id; the platform's default is `video`, with which an image fails.
        json asset_type: into AssetType,
        /// Your own metadata: strings, numbers, booleans, lists of strings. The platform documents up to 50 names of
        /// 128 characters, texts of 8,192 characters, and integers of 53 bits.
        json metadata: object,
    }
}

open_enum! {
    /// The status of an item of a knowledge store.
    KnowledgeStoreItemStatus {
        /// Waiting for its turn.
        Queued = "queued",
        /// About to start.
        Pending = "pending",
        /// In process.
        Processing = "processing",
        /// It can be searched for.
        Ready = "ready",
        /// It could not be processed.
        Failed = "failed",
    }
}

/// An asset in a knowledge store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnowledgeStoreItem {
    /// The id.
    #[serde(rename = "_id")]
    pub id: String,
    /// What it is: a video or an image.
    pub asset_type: Option<AssetType>,
    /// The asset that it was made of.
    pub asset_id: Option<String>,
    /// Its status.
    pub status: Option<KnowledgeStoreItemStatus>,
    /// What the platform read from the file.
    pub system_metadata: Option<KnowledgeStoreItemSystemMetadata>,
    /// Your own metadata.
    pub metadata: Option<Map<String, Value>>,
    /// Why it failed, if the platform says so.
    pub error: Option<AssetError>,
    /// When it was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it was last changed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

impl Waitable for KnowledgeStoreItem {
    const RESOURCE: &'static str = "knowledge store item";
    const INTERVAL: Duration = Duration::from_secs(10);

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn progressing(&self) -> Progressing {
        match &self.status {
            Some(KnowledgeStoreItemStatus::Ready) => Progressing::Done,
            Some(KnowledgeStoreItemStatus::Failed) => {
                Progressing::Failed(self.error.as_ref().and_then(|e| e.message.clone()))
            }
            _ => Progressing::Working,
        }
    }
}

/// What the platform read from the file of an item. Fields that do not apply are `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnowledgeStoreItemSystemMetadata {
    /// What it is: a video or an image.
    pub asset_type: Option<AssetType>,
    /// The file's name.
    pub filename: Option<String>,
    /// The duration of a video in seconds.
    pub duration: Option<f64>,
    /// The frames per second of a video.
    pub fps: Option<f64>,
    /// The width in pixels.
    pub width: Option<i64>,
    /// The height in pixels.
    pub height: Option<i64>,
    /// The codec.
    pub codec_name: Option<String>,
    /// The size in bytes.
    pub size: Option<u64>,
}
