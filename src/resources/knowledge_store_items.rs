//! The items of knowledge stores: assets that the platform has processed for search.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::call::wait::status_list::StatusList;
use crate::http::session::Session;
use crate::resources::assets::{AssetError, AssetRef, AssetType};
use crate::types::{SortBy, SortOption};

/// Adds assets to knowledge stores and manages the items. Returned by
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

    /// Adds an asset to a knowledge store. The platform's documented limits are 10 GB for a video and 32 MB for an
    /// image.
    ///
    /// The asset must be ready. If you pass a reference to an [`Asset`](crate::assets::Asset), the request contains its
    /// type. An id alone has no type: the platform then assumes a video, and **an image fails** unless you set
    /// [`asset_type`](CreateKnowledgeStoreItem::asset_type).
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

    /// Gets an item.
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

    /// Deletes an item permanently. Its asset remains.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.knowledge_store_items().delete("ks_069e…", "ksi_069e…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, knowledge_store_id: &str, item_id: &str) -> Call<()> {
        self.0.delete(&["knowledge-stores", knowledge_store_id, "items", item_id]).into()
    }

    /// Waits until an item is ready for search, and returns it.
    ///
    /// An item that fails returns an [`Error::Failed`](crate::Error::Failed) with the platform's reason.
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

    /// Waits for several items on one thread and yields each as soon as it is done. See [`WaitAll`](crate::WaitAll).
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

    /// Creates the list that says which of a store's items are still being processed.
    pub(crate) fn status_list(&self, knowledge_store_id: &str) -> StatusList {
        let list = self.0.get(&["knowledge-stores", knowledge_store_id, "items"]);
        StatusList::by_status(list, &["queued", "pending", "processing"])
    }
}

request! {
    /// The builder returned by [`KnowledgeStoreItemsClient::list`].
    ListKnowledgeStoreItems -> SyncPager<KnowledgeStoreItem> {
        paging,
        /// Sets the field to sort by.
        query sort_by: into SortBy,
        /// Sets the sort direction. The platform's default is newest first.
        query sort_option: into SortOption,
        /// Restricts the results to items in one of these states.
        query status: [KnowledgeStoreItemStatus],
    }
}

request! {
    /// The builder returned by [`KnowledgeStoreItemsClient::create`].
    CreateKnowledgeStoreItem -> KnowledgeStoreItem {
        /// Sets the type of the asset: a video or an image. It is set already if an [`Asset`](crate::assets::Asset) was
        /// passed to the call. The platform's default is `video`, with which an image fails.
        json asset_type: into AssetType,
        /// Sets your own metadata: strings, numbers, booleans or lists of strings. The platform's documented limits are
        /// 50 keys of 128 characters, strings of 8,192 characters, and integers of 53 bits.
        json metadata: object,
    }
}

open_enum! {
    /// The status of an item of a knowledge store.
    KnowledgeStoreItemStatus {
        /// The item is queued.
        Queued = "queued",
        /// The platform is about to process the item.
        Pending = "pending",
        /// The platform is processing the item.
        Processing = "processing",
        /// The item is ready for search.
        Ready = "ready",
        /// The platform could not process the asset.
        Failed = "failed",
    }
}

/// An asset in a knowledge store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnowledgeStoreItem {
    /// The id of the item.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The type: a video or an image.
    pub asset_type: Option<AssetType>,
    /// The id of the asset in this item.
    pub asset_id: Option<String>,
    /// The status of the item.
    pub status: Option<KnowledgeStoreItemStatus>,
    /// The metadata that the platform read from the file.
    pub system_metadata: Option<KnowledgeStoreItemSystemMetadata>,
    /// Your own metadata.
    pub metadata: Option<Map<String, Value>>,
    /// The reason for a failure, if the platform gives one.
    pub error: Option<AssetError>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

impl Pollable for KnowledgeStoreItem {
    const RESOURCE: &'static str = "knowledge store item";
    const INTERVAL: Duration = Duration::from_secs(10);

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(KnowledgeStoreItemStatus::Ready) => PollStatus::Done,
            Some(KnowledgeStoreItemStatus::Failed) => {
                PollStatus::Failed(self.error.as_ref().and_then(|e| e.message.clone()))
            }
            _ => PollStatus::Working,
        }
    }
}

/// The metadata that the platform read from the file of an item. Fields that do not apply are `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnowledgeStoreItemSystemMetadata {
    /// The type: a video or an image.
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
