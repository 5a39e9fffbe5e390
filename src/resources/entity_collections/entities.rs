//! Entities: known people and objects, each with images.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::EntitySortBy;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::request::Request;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::call::{Call, texts};
use crate::http::session::Session;
use crate::types::SortOption;

/// Creates and manages the entities of a collection. Returned by
/// [`EntityCollectionsClient::entities`](crate::entity_collections::EntityCollectionsClient::entities).
#[derive(Debug, Clone)]
pub struct EntitiesClient(pub(crate) Session);

impl EntitiesClient {
    /// Lists the entities of a collection, newest first.
    ///
    /// ```no_run
    /// use twelvelabs::entity_collections::EntityStatus;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for entity in client.entity_collections().entities().list("65f…").status(EntityStatus::Ready).send()? {
    ///     println!("{:?}", entity?.name);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self, entity_collection_id: &str) -> ListEntities {
        self.0.get(&["entity-collections", entity_collection_id, "entities"]).into()
    }

    /// Creates an entity from assets that show it. One is enough, but several make it easier to recognize.
    ///
    /// The call returns before the platform has processed the entity. Call [`wait_for_done`](Self::wait_for_done)
    /// before you search for it.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let entities = client.entity_collections().entities();
    /// let entity = entities
    ///     .create("65f…", "Ana Silva", ["65a…", "65b…"])
    ///     .description("Goalkeeper")
    ///     .metadata(serde_json::json!({"number": 1, "captain": true}))
    ///     .send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(
        &self,
        entity_collection_id: &str,
        name: impl Into<String>,
        asset_ids: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> CreateEntity {
        let mut request = self.0.post(&["entity-collections", entity_collection_id, "entities"]);
        request.json("name", &name.into());
        with_assets(request, asset_ids).into()
    }

    /// Creates many entities in one call.
    ///
    /// `Ok` does not mean that all of them were created. [`errors`](BulkCreateEntityResponse::errors) lists those that
    /// were not, each with its index in the request and the reason.
    ///
    /// ```no_run
    /// use twelvelabs::entity_collections::EntityInput;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let (ana, rita) = (client.assets().retrieve("65a…").send()?, client.assets().retrieve("65b…").send()?);
    /// let players = [
    ///     EntityInput::new("Ana Silva", [ana.id]).description("Goalkeeper"),
    ///     EntityInput::new("Rita Costa", [rita.id]),
    /// ];
    /// let created = client.entity_collections().entities().create_bulk("65f…", players).send()?;
    /// for error in created.errors.unwrap_or_default() {
    ///     eprintln!("{:?}: {:?}", error.entity_name, error.error_reason);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_bulk(
        &self,
        entity_collection_id: &str,
        entities: impl IntoIterator<Item = EntityInput>,
    ) -> Call<BulkCreateEntityResponse> {
        let mut request = self.0.post(&["entity-collections", entity_collection_id, "entities", "bulk"]);
        let entities: Vec<EntityInput> = entities.into_iter().collect();
        if entities.is_empty() {
            request.reject("entities", "is empty; give at least one entity");
        }
        request.json("entities", &entities);
        request.into()
    }

    /// Gets an entity.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let entity = client.entity_collections().entities().retrieve("65f…", "661…").send()?;
    /// println!("{:?} {:?}", entity.name, entity.status);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, entity_collection_id: &str, entity_id: &str) -> Call<Entity> {
        self.0.get(&["entity-collections", entity_collection_id, "entities", entity_id]).into()
    }

    /// Updates the name, the description or the metadata of an entity. Options that are not set keep their value.
    /// Change its assets with [`create_assets`](Self::create_assets) and [`delete_assets`](Self::delete_assets).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.entity_collections().entities().update("65f…", "661…").description("Captain").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update(&self, entity_collection_id: &str, entity_id: &str) -> UpdateEntity {
        self.0.patch(&["entity-collections", entity_collection_id, "entities", entity_id]).into()
    }

    /// Deletes an entity permanently. Its assets remain.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.entity_collections().entities().delete("65f…", "661…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, entity_collection_id: &str, entity_id: &str) -> Call<()> {
        self.0.delete(&["entity-collections", entity_collection_id, "entities", entity_id]).into()
    }

    /// Adds assets to an entity, which the platform then processes again.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let entities = client.entity_collections().entities();
    /// entities.create_assets("65f…", "661…", ["65c…"]).send()?;
    /// let entity = entities.wait_for_done("65f…", "661…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_assets(
        &self,
        entity_collection_id: &str,
        entity_id: &str,
        asset_ids: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Call<Entity> {
        let path = ["entity-collections", entity_collection_id, "entities", entity_id, "assets"];
        with_assets(self.0.post(&path), asset_ids).into()
    }

    /// Removes assets from an entity, which the platform then processes again. The assets themselves remain.
    ///
    /// The platform refuses to remove the last one.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.entity_collections().entities().delete_assets("65f…", "661…", ["65c…"]).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete_assets(
        &self,
        entity_collection_id: &str,
        entity_id: &str,
        asset_ids: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Call<Entity> {
        let path = ["entity-collections", entity_collection_id, "entities", entity_id, "assets"];
        with_assets(self.0.delete(&path), asset_ids).into()
    }

    /// Lists the entities to which an asset belongs, in all collections.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for entity in client.entity_collections().entities().list_by_asset("65a…").send()? {
    ///     println!("{:?}", entity?.name);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_by_asset(&self, asset_id: &str) -> ListEntitiesByAsset {
        self.0.get(&["assets", asset_id, "entities"]).into()
    }

    /// Waits until an entity is ready for search, and returns it.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let entity = client.entity_collections().entities().wait_for_done("65f…", "661…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, entity_collection_id: &str, entity_id: &str) -> Wait<Entity> {
        Wait::new(self.0.get(&["entity-collections", entity_collection_id, "entities", entity_id]), entity_id)
    }
}

fn with_assets(mut request: Request, asset_ids: impl IntoIterator<Item = impl AsRef<str>>) -> Request {
    let asset_ids = texts(asset_ids);
    if asset_ids.is_empty() {
        request.reject("asset_ids", "is empty; give the id of at least one asset");
    }
    request.json("asset_ids", &asset_ids);
    request
}

request! {
    /// The builder returned by [`EntitiesClient::list`].
    ListEntities -> SyncPager<Entity> {
        paging,
        /// Restricts the results to entities with this name.
        query name: into String,
        /// Restricts the results to entities in this state.
        query status: into EntityStatus,
        /// Sets the field to sort by.
        query sort_by: into EntitySortBy,
        /// Sets the sort direction. The platform's default is newest first.
        query sort_option: into SortOption,
    }
}

request! {
    /// The builder returned by [`EntitiesClient::list_by_asset`].
    ListEntitiesByAsset -> SyncPager<Entity> {
        paging,
    }
}

request! {
    /// The builder returned by [`EntitiesClient::create`].
    CreateEntity -> Entity {
        /// Sets the description of the entity.
        json description: into String,
        /// Sets your own metadata: strings, numbers or booleans. Send lists and objects as strings.
        json metadata: object,
    }
}

request! {
    /// The builder returned by [`EntitiesClient::update`].
    UpdateEntity -> Entity {
        /// Sets the new name.
        json name: into String,
        /// Sets the new description.
        json description: into String,
        /// Sets your own metadata, which replaces all of the existing metadata: strings, numbers or booleans. Send
        /// lists and objects as strings.
        json metadata: object,
    }
}

input! {
    /// An entity for [`EntitiesClient::create_bulk`]: its name and the ids of its assets.
    EntityInput(name: String, asset_ids: [String]) {
        /// Sets the description of the entity.
        description: into String,
        /// Sets your own metadata: strings, numbers or booleans. Send lists and objects as strings.
        metadata: object,
    }
}

open_enum! {
    /// The status of an entity.
    EntityStatus {
        /// The entity is not ready for search yet.
        Processing = "processing",
        /// The entity is ready for search.
        Ready = "ready",
    }
}

/// A known person or object. To search for it, put its id into the text of the query in the form `<@id>`, as in
/// `<@65f…> is walking`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entity {
    /// The id of the entity.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The id of its collection.
    pub entity_collection_id: Option<String>,
    /// The name of the entity.
    pub name: Option<String>,
    /// The description of the entity.
    pub description: Option<String>,
    /// Your own metadata.
    pub metadata: Option<Map<String, Value>>,
    /// The ids of its assets.
    pub asset_ids: Option<Vec<String>>,
    /// The status of the entity.
    pub status: Option<EntityStatus>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

impl Pollable for Entity {
    const RESOURCE: &'static str = "entity";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(EntityStatus::Ready) => PollStatus::Done,
            _ => PollStatus::Working,
        }
    }
}

/// The outcome of creating many entities in one call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BulkCreateEntityResponse {
    /// The number of entities that were created.
    pub success_count: Option<u64>,
    /// The number of entities that were not created.
    pub failed_count: Option<u64>,
    /// The entities that were created, with their id, name and status.
    pub entities: Option<Vec<Entity>>,
    /// The entities that were not created, with the reasons.
    pub errors: Option<Vec<BulkCreateEntityError>>,
}

/// The reason why one of many entities was not created.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BulkCreateEntityError {
    /// The index in the request, from 0.
    pub entity_index: Option<u64>,
    /// The name in the request.
    pub entity_name: Option<String>,
    /// The reason as text.
    pub error_reason: Option<String>,
}
