//! Entity collections: known people and things, gathered to be found in videos.

pub(crate) mod entities;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::list::pager::SyncPager;
use crate::http::session::Session;
use crate::types::SortOption;
use entities::EntitiesClient;

/// Creates and manages collections of entities, see
/// [`TwelveLabs::entity_collections`](crate::TwelveLabs::entity_collections).
#[derive(Debug, Clone)]
pub struct EntityCollectionsClient(pub(crate) Session);

impl EntityCollectionsClient {
    /// The entities of the collections: the people and things themselves.
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

    /// Creates an entity collection. The name should be short and say what is in it.
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

    /// Gets one entity collection. Its entities are listed by [`EntitiesClient::list`].
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

    /// Changes the name or the description of an entity collection; what is not set stays.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.entity_collections().update("65f…").name("Players 2026").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update(&self, entity_collection_id: &str) -> UpdateEntityCollection {
        self.0.patch(&["entity-collections", entity_collection_id]).into()
    }

    /// Deletes an entity collection for good.
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
    /// Options of [`EntityCollectionsClient::list`].
    ListEntityCollections -> SyncPager<EntityCollection> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
        /// Only collections with this name.
        query name: into String,
        /// What to sort by.
        query sort_by: into EntitySortBy,
        /// The direction. The platform's default is the newest first.
        query sort_option: into SortOption,
    }
}

request! {
    /// Options of [`EntityCollectionsClient::create`].
    CreateEntityCollection -> EntityCollection {
        /// What the collection is for.
        json description: into String,
    }
}

request! {
    /// Options of [`EntityCollectionsClient::update`].
    UpdateEntityCollection -> EntityCollection {
        /// The new name.
        json name: into String,
        /// The new description.
        json description: into String,
    }
}

open_enum! {
    /// What entity collections and entities are sorted by.
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
    /// The id.
    #[serde(rename = "_id")]
    pub id: String,
    /// The name.
    pub name: Option<String>,
    /// What the collection is for.
    pub description: Option<String>,
    /// When it was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it was last changed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}
