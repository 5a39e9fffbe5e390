//! Collections of items of a knowledge store.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::request::Request;
use crate::call::{Call, texts};
use crate::http::session::Session;
use crate::resources::knowledge_store_items::KnowledgeStoreItem;
use crate::types::SortOption;

/// Groups items of a knowledge store into named collections. Returned by
/// [`TwelveLabs::knowledge_store_item_collections`](crate::TwelveLabs::knowledge_store_item_collections).
#[derive(Debug, Clone)]
pub struct KnowledgeStoreItemCollectionsClient(pub(crate) Session);

impl KnowledgeStoreItemCollectionsClient {
    /// Lists the collections of a knowledge store, newest first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for collection in client.knowledge_store_item_collections().list("ks_069e…").sort_by("name").send()? {
    ///     let collection = collection?;
    ///     println!("{} {:?}: {:?} items", collection.id, collection.name, collection.member_count);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self, knowledge_store_id: &str) -> ListKnowledgeStoreItemCollections {
        self.0.get(&["knowledge-stores", knowledge_store_id, "item-collections"]).into()
    }

    /// Creates an empty collection. Its name must be unique in the knowledge store.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let collections = client.knowledge_store_item_collections();
    /// let finals = collections.create("ks_069e…", "Finals").description("The last match of each season").send()?;
    /// collections.add_items("ks_069e…", &finals.id, ["ksi_069e…"]).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, knowledge_store_id: &str, name: impl Into<String>) -> CreateKnowledgeStoreItemCollection {
        let mut request = self.0.post(&["knowledge-stores", knowledge_store_id, "item-collections"]);
        request.json("name", &name.into());
        request.into()
    }

    /// Gets a collection. [`list_items`](Self::list_items) lists its items.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let collection = client.knowledge_store_item_collections().retrieve("ks_069e…", "ksic_069e…").send()?;
    /// println!("{:?}: {:?} items", collection.name, collection.member_count);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, knowledge_store_id: &str, collection_id: &str) -> Call<KnowledgeStoreItemCollection> {
        self.0.get(&["knowledge-stores", knowledge_store_id, "item-collections", collection_id]).into()
    }

    /// Updates the name, the description or the metadata of a collection. Options that are not set keep their value.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.knowledge_store_item_collections().update("ks_069e…", "ksic_069e…").name("Finals 2026").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update(&self, knowledge_store_id: &str, collection_id: &str) -> UpdateKnowledgeStoreItemCollection {
        self.0.patch(&["knowledge-stores", knowledge_store_id, "item-collections", collection_id]).into()
    }

    /// Deletes a collection permanently. Its items remain in the knowledge store.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.knowledge_store_item_collections().delete("ks_069e…", "ksic_069e…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, knowledge_store_id: &str, collection_id: &str) -> Call<()> {
        self.0.delete(&["knowledge-stores", knowledge_store_id, "item-collections", collection_id]).into()
    }

    /// Lists the items of a collection.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for item in client.knowledge_store_item_collections().list_items("ks_069e…", "ksic_069e…").send()? {
    ///     println!("{}", item?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_items(&self, knowledge_store_id: &str, collection_id: &str) -> ListItemsOfCollection {
        self.0.get(&["knowledge-stores", knowledge_store_id, "item-collections", collection_id, "items"]).into()
    }

    /// Adds items of the knowledge store to a collection. The platform's documented limit is 500 items for each call.
    /// Adding an item that is already in the collection is not an error.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let collections = client.knowledge_store_item_collections();
    /// let collection = collections.add_items("ks_069e…", "ksic_069e…", ["ksi_069e…", "ksi_069f…"]).send()?;
    /// println!("{:?} items", collection.member_count);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn add_items(
        &self,
        knowledge_store_id: &str,
        collection_id: &str,
        item_ids: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Call<KnowledgeStoreItemCollection> {
        self.with_items(knowledge_store_id, collection_id, "add", item_ids).into()
    }

    /// Removes items from a collection. The platform's documented limit is 500 items for each call. Removing an item
    /// that is not in the collection is not an error. The items remain in the knowledge store.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.knowledge_store_item_collections().remove_items("ks_069e…", "ksic_069e…", ["ksi_069e…"]).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn remove_items(
        &self,
        knowledge_store_id: &str,
        collection_id: &str,
        item_ids: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Call<()> {
        self.with_items(knowledge_store_id, collection_id, "remove", item_ids).into()
    }

    fn with_items(
        &self,
        knowledge_store_id: &str,
        collection_id: &str,
        action: &str,
        item_ids: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Request {
        let path = ["knowledge-stores", knowledge_store_id, "item-collections", collection_id, "items", action];
        let mut request = self.0.post(&path).idempotent();
        let item_ids = texts(item_ids);
        if item_ids.is_empty() {
            request.reject("item_ids", "is empty; give the id of at least one item");
        }
        request.json("item_ids", &item_ids);
        request
    }
}

request! {
    /// The builder returned by [`KnowledgeStoreItemCollectionsClient::list`].
    ListKnowledgeStoreItemCollections -> SyncPager<KnowledgeStoreItemCollection> {
        paging,
        /// Sets the field to sort by.
        query sort_by: into KnowledgeStoreItemCollectionSortBy,
        /// Sets the sort direction. The platform's default is newest first.
        query sort_option: into SortOption,
    }
}

request! {
    /// The builder returned by [`KnowledgeStoreItemCollectionsClient::create`].
    CreateKnowledgeStoreItemCollection -> KnowledgeStoreItemCollection {
        /// Sets the description of the collection.
        json description: into String,
        /// Sets your own metadata: strings, numbers, booleans or lists of strings. The platform's documented limits are
        /// 10 keys of 128 characters, strings of 2,048 characters, and integers of 53 bits.
        json metadata: object,
    }
}

request! {
    /// The builder returned by [`KnowledgeStoreItemCollectionsClient::update`].
    UpdateKnowledgeStoreItemCollection -> KnowledgeStoreItemCollection {
        /// Sets the new name.
        json name: into String,
        /// Sets the new description.
        json description: into String,
        /// Sets your own metadata, which replaces all of the existing metadata: strings, numbers, booleans or lists of
        /// strings.
        json metadata: object,
    }
}

request! {
    /// The builder returned by [`KnowledgeStoreItemCollectionsClient::list_items`].
    ListItemsOfCollection -> SyncPager<KnowledgeStoreItem> {
        paging,
    }
}

open_enum! {
    /// The fields by which the collections of a knowledge store can be sorted.
    KnowledgeStoreItemCollectionSortBy {
        /// The time of creation.
        CreatedAt = "created_at",
        /// The time of the last change.
        UpdatedAt = "updated_at",
        /// The name.
        Name = "name",
    }
}

/// A collection of items of a knowledge store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnowledgeStoreItemCollection {
    /// The id of the collection.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The id of the knowledge store that contains the collection.
    pub knowledge_store_id: Option<String>,
    /// The name of the collection.
    pub name: Option<String>,
    /// The description of the collection.
    pub description: Option<String>,
    /// Your own metadata.
    pub metadata: Option<Map<String, Value>>,
    /// The number of items.
    pub member_count: Option<u64>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}
