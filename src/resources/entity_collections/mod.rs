//! Entity collections: groups of known people and objects to find in videos.

pub(crate) mod entities;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::http::session::Session;
use crate::types::SortOption;
use entities::EntitiesClient;

/// Creates and manages collections of entities. Returned by
/// [`TwelveLabs::entity_collections`](crate::TwelveLabs::entity_collections).
#[derive(Debug, Clone)]
pub struct EntityCollectionsClient(pub(crate) Session);

impl EntityCollectionsClient {
    /// Returns the client for the entities in the collections.
    pub fn entities(&self) -> EntitiesClient {
        EntitiesClient(self.0.clone())
    }

    /// Lists the entity collections of the account, newest first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for collection in client.entity_collections().list().name("team").send()? {
    ///     println!("{}", collection?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListEntityCollections {
        self.0.get(&["entity-collections"]).into()
    }

    /// Creates an entity collection. Choose a short name that says what it contains.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let collection = client.entity_collections().create("Players").description("Our first team").send()?;
    /// println!("{}", collection.id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, name: impl Into<String>) -> CreateEntityCollection {
        let mut request = self.0.post(&["entity-collections"]);
        request.json("name", &name.into());
        request.into()
    }

    /// Gets an entity collection. [`EntitiesClient::list`] lists its entities.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let collection = client.entity_collections().retrieve("65f…").send()?;
    /// println!("{:?} {:?}", collection.name, collection.updated_at);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, entity_collection_id: &str) -> Call<EntityCollection> {
        self.0.get(&["entity-collections", entity_collection_id]).into()
    }

    /// Updates the name or the description of an entity collection. Options that are not set keep their value.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.entity_collections().update("65f…").name("Players 2026").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update(&self, entity_collection_id: &str) -> UpdateEntityCollection {
        self.0.patch(&["entity-collections", entity_collection_id]).into()
    }

    /// Deletes an entity collection permanently.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.entity_collections().delete("65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, entity_collection_id: &str) -> Call<()> {
        self.0.delete(&["entity-collections", entity_collection_id]).into()
    }
}

request! {
    /// The builder returned by [`EntityCollectionsClient::list`].
    ListEntityCollections -> SyncPager<EntityCollection> {
        paging,
        /// Restricts the results to collections with this name.
        query name: into String,
        /// Sets the field to sort by.
        query sort_by: into EntitySortBy,
        /// Sets the sort direction. The platform's default is newest first.
        query sort_option: into SortOption,
    }
}

request! {
    /// The builder returned by [`EntityCollectionsClient::create`].
    CreateEntityCollection -> EntityCollection {
        /// Sets the description of the collection.
        json description: into String,
    }
}

request! {
    /// The builder returned by [`EntityCollectionsClient::update`].
    UpdateEntityCollection -> EntityCollection {
        /// Sets the new name.
        json name: into String,
        /// Sets the new description.
        json description: into String,
    }
}

open_enum! {
    /// The fields by which entity collections and entities can be sorted.
    EntitySortBy {
        /// The time of creation.
        CreatedAt = "created_at",
        /// The time of the last change.
        UpdatedAt = "updated_at",
        /// The name.
        Name = "name",
    }
}

/// A collection of entities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntityCollection {
    /// The id of the collection.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The name of the collection.
    pub name: Option<String>,
    /// The description of the collection.
    pub description: Option<String>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}
