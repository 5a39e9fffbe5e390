//! Knowledge stores: videos and images, with the information that the platform extracts from them.

pub(crate) mod search;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::http::session::Session;
use crate::types::{SortBy, SortOption};
use search::{KnowledgeStoreSearchQuery, SearchKnowledgeStore};

/// Creates, searches and manages knowledge stores. Returned by
/// [`TwelveLabs::knowledge_stores`](crate::TwelveLabs::knowledge_stores).
#[derive(Debug, Clone)]
pub struct KnowledgeStoresClient(pub(crate) Session);

impl KnowledgeStoresClient {
    /// Lists the knowledge stores of the account, newest first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for store in client.knowledge_stores().list().send()? {
    ///     let store = store?;
    ///     println!("{} {:?}: {:?} items", store.id, store.name, store.item_count);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListKnowledgeStores {
        self.0.get(&["knowledge-stores"]).into()
    }

    /// Creates a knowledge store. Add assets to it with
    /// [`KnowledgeStoreItemsClient::create`](crate::knowledge_store_items::KnowledgeStoreItemsClient::create).
    ///
    /// ```no_run
    /// use twelvelabs::knowledge_stores::IngestionConfig;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let store = client
    ///     .knowledge_stores()
    ///     .create("Matches 2026")
    ///     .ingestion_config(IngestionConfig::description("Who has the ball, and what the crowd does."))
    ///     .metadata(serde_json::json!({"league": "first", "season": 2026}))
    ///     .send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, name: impl Into<String>) -> CreateKnowledgeStore {
        let mut request = self.0.post(&["knowledge-stores"]);
        request.json("name", &name.into());
        request.into()
    }

    /// Gets a knowledge store.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let store = client.knowledge_stores().retrieve("ks_069e…").send()?;
    /// println!("{:?}: {:?} items", store.name, store.item_count);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, knowledge_store_id: &str) -> Call<KnowledgeStore> {
        self.0.get(&["knowledge-stores", knowledge_store_id]).into()
    }

    /// Updates the name, the description or the metadata of a knowledge store. Options that are not set keep their
    /// value.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.knowledge_stores().update("ks_069e…").name("Matches").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update(&self, knowledge_store_id: &str) -> UpdateKnowledgeStore {
        self.0.patch(&["knowledge-stores", knowledge_store_id]).into()
    }

    /// Deletes a knowledge store and all its items permanently. The assets remain.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.knowledge_stores().delete("ks_069e…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, knowledge_store_id: &str) -> Call<()> {
        self.0.delete(&["knowledge-stores", knowledge_store_id]).into()
    }

    /// Searches a knowledge store and returns an iterator over the hits of all pages, best first.
    ///
    /// The options apply to every page. A page that cannot be fetched is yielded as an error and does not end the list.
    /// Only items that are ready are found. The platform limits the rate of searches.
    ///
    /// ```no_run
    /// use twelvelabs::assets::AssetType;
    /// use twelvelabs::knowledge_stores::{
    ///     KnowledgeStoreGroupBy, SearchKnowledgeStoreFilter, SearchKnowledgeStoreHit, SearchKnowledgeStoreOptions,
    ///     VideoSearchModality,
    /// };
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let hits = client
    ///     .knowledge_stores()
    ///     .search("ks_069e…", "a goal in the last minute")
    ///     .filter(SearchKnowledgeStoreFilter::new().asset_type(AssetType::Video))
    ///     .search_options(
    ///         SearchKnowledgeStoreOptions::new().video([VideoSearchModality::Visual, VideoSearchModality::Audio]),
    ///     )
    ///     .group_by(KnowledgeStoreGroupBy::Item)
    ///     .send()?;
    /// for hit in hits.take(20) {
    ///     match hit? {
    ///         SearchKnowledgeStoreHit::Video(video) => {
    ///             for clip in video.matches.unwrap_or_default() {
    ///                 println!("{} from {:?} to {:?}", video.item_id, clip.start_sec, clip.end_sec);
    ///             }
    ///         }
    ///         other => println!("{}", other.item_id().unwrap_or_default()),
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn search(
        &self,
        knowledge_store_id: &str,
        query: impl Into<KnowledgeStoreSearchQuery>,
    ) -> SearchKnowledgeStore {
        let mut request = self.0.post(&["knowledge-stores", knowledge_store_id, "search"]);
        request.json("query", &query.into());
        request = request.paged_by_token(search::page);
        request.into()
    }
}

request! {
    /// The builder returned by [`KnowledgeStoresClient::list`].
    ListKnowledgeStores -> SyncPager<KnowledgeStore> {
        paging,
        /// Sets the field to sort by.
        query sort_by: into SortBy,
        /// Sets the sort direction. The platform's default is newest first.
        query sort_option: into SortOption,
    }
}

request! {
    /// The builder returned by [`KnowledgeStoresClient::create`].
    CreateKnowledgeStore -> KnowledgeStore {
        /// Sets the settings by which the platform processes the items: an [`IngestionConfig`], or your own object.
        /// They cannot be changed later.
        json ingestion_config: object,
        /// Sets the description of the knowledge store.
        json description: into String,
        /// Sets your own metadata: strings, numbers, booleans or lists of strings. The platform's documented limits are
        /// 10 keys of 128 characters, strings of 2,048 characters, and integers of 53 bits.
        json metadata: object,
    }
}

request! {
    /// The builder returned by [`KnowledgeStoresClient::update`].
    UpdateKnowledgeStore -> KnowledgeStore {
        /// Sets the new name.
        json name: into String,
        /// Sets the new description.
        json description: into String,
        /// Sets your own metadata, which replaces all of the existing metadata: strings, numbers, booleans or lists of
        /// strings.
        json metadata: object,
    }
}

open_enum! {
    /// The ways to define what the platform extracts.
    EnrichmentConfigType {
        /// A JSON schema.
        JsonSchema = "json_schema",
        /// A text.
        Description = "description",
    }
}

/// The settings by which the platform processes the items of a knowledge store.
///
/// ```
/// use serde_json::json;
/// use twelvelabs::knowledge_stores::IngestionConfig;
///
/// let in_words = IngestionConfig::description("Who has the ball, and what the crowd does.");
/// let by_schema = IngestionConfig::json_schema(json!({
///     "type": "object",
///     "properties": { "player": { "type": "string", "description": "Who has the ball." } },
/// }));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IngestionConfig {
    /// The definition of what the platform extracts.
    pub enrichment_config: Option<EnrichmentConfig>,
}

impl IngestionConfig {
    /// Extracts the properties that a JSON schema defines from each shot. The schema must be an object in which every
    /// property has a `description`. The platform supports a part of JSON Schema draft 2020-12, without `$ref`,
    /// `anyOf`, `pattern`, `default` and nullable types, and refuses everything else.
    pub fn json_schema(schema: impl Into<Value>) -> Self {
        let (kind, json_schema) = (Some(EnrichmentConfigType::JsonSchema), Some(schema.into()));
        IngestionConfig { enrichment_config: Some(EnrichmentConfig { kind, json_schema, description: None }) }
    }

    /// Extracts what a text describes. The platform turns the text into a schema.
    pub fn description(description: impl Into<String>) -> Self {
        let (kind, description) = (Some(EnrichmentConfigType::Description), Some(description.into()));
        IngestionConfig { enrichment_config: Some(EnrichmentConfig { kind, json_schema: None, description }) }
    }
}

/// The definition of what the platform extracts: see [`IngestionConfig`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnrichmentConfig {
    /// The kind of definition.
    #[serde(rename = "type")]
    pub kind: Option<EnrichmentConfigType>,
    /// The schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Value>,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A knowledge store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnowledgeStore {
    /// The id of the knowledge store.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The name of the knowledge store.
    pub name: Option<String>,
    /// The description of the knowledge store.
    pub description: Option<String>,
    /// The settings by which the platform processes the items.
    pub ingestion_config: Option<IngestionConfig>,
    /// The number of items.
    pub item_count: Option<u64>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// Your own metadata.
    pub metadata: Option<Map<String, Value>>,
}

/// Returns the id, so that calls accept `&store` as well as `&store.id`.
impl AsRef<str> for KnowledgeStore {
    fn as_ref(&self) -> &str {
        &self.id
    }
}

/// Returns the id, as `AsRef<str>` does.
impl From<&KnowledgeStore> for String {
    fn from(store: &KnowledgeStore) -> String {
        store.id.clone()
    }
}
