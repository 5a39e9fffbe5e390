//! Indexes: collections of searchable videos.

pub(crate) mod indexed_assets;
pub(crate) mod videos;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::{Call, RequestOptions};
use crate::error::Result;
use crate::http::session::Session;
use crate::types::{DateFilter, SortBy, SortOption};
use indexed_assets::IndexedAssetsClient;
use videos::VideosClient;

/// Creates and manages indexes and the videos in them. Returned by [`TwelveLabs::indexes`](crate::TwelveLabs::indexes).
#[derive(Debug, Clone)]
pub struct IndexesClient(pub(crate) Session);

impl IndexesClient {
    /// Returns the client for the indexed assets of an index: indexing, status, metadata, embeddings and
    /// transcriptions.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let indexed = client.indexes().indexed_assets().create("65a…", "65f…").send()?;
    /// client.indexes().indexed_assets().wait_for_done("65a…", &indexed.id).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn indexed_assets(&self) -> IndexedAssetsClient {
        IndexedAssetsClient(self.0.clone())
    }

    /// Returns the client for the older endpoints of an index's videos, which the platform plans to remove. Use
    /// [`indexed_assets`](Self::indexed_assets) in new programs.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let video = client.indexes().videos().retrieve("65a…", "65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn videos(&self) -> VideosClient {
        VideosClient(self.0.clone())
    }

    /// Lists the indexes of the account.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for index in client.indexes().list().page_limit(50).model_family("marengo").send()? {
    ///     let index = index?;
    ///     println!("{} {:?} {:?}", index.id, index.index_name, index.video_count);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListIndexes {
        self.0.get(&["indexes"]).into()
    }

    /// Creates an index. Its models and their options cannot be changed later.
    ///
    /// The response contains little more than the id; [`retrieve`](Self::retrieve) returns the rest. The platform
    /// responds with a conflict (409, `index_name_already_exists`) if the name is taken. Use [`ensure`](Self::ensure)
    /// to get the existing index instead.
    ///
    /// ```no_run
    /// use twelvelabs::indexes::{IndexModelInput, ModelOption};
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let model = IndexModelInput::new("marengo3.0", [ModelOption::Visual, ModelOption::Audio]);
    /// let index = client.indexes().create("holidays", [model]).addons(["thumbnail"]).send()?;
    /// println!("{}", index.id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(
        &self,
        index_name: impl Into<String>,
        models: impl IntoIterator<Item = IndexModelInput>,
    ) -> CreateIndex {
        let mut request = self.0.post(&["indexes"]);
        request.json("index_name", &index_name.into());
        request.json("models", &models.into_iter().collect::<Vec<_>>());
        request.into()
    }

    /// Gets an index.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let index = client.indexes().retrieve("65a…").send()?;
    /// println!("{:?} videos, {:?} s", index.video_count, index.total_duration);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, index_id: &str) -> Call<Index> {
        self.0.get(&["indexes", index_id]).into()
    }

    /// Renames an index.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.indexes().update("65a…", "holidays 2026").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update(&self, index_id: &str, index_name: impl Into<String>) -> Call<()> {
        let mut request = self.0.put(&["indexes", index_id]);
        request.json("index_name", &index_name.into());
        request.into()
    }

    /// Deletes an index and all its videos permanently. The assets remain.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.indexes().delete("65a…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, index_id: &str) -> Call<()> {
        self.0.delete(&["indexes", index_id]).into()
    }

    /// Finds the index with exactly this name, or creates it.
    ///
    /// If another program creates the index at the same time, that index is returned. An existing index is returned
    /// unchanged even if it has other models, because models cannot be changed: check [`Index::models`] if that
    /// matters.
    ///
    /// ```no_run
    /// use twelvelabs::indexes::{IndexModelInput, ModelOption};
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let model = IndexModelInput::new("marengo3.0", [ModelOption::Visual, ModelOption::Audio]);
    /// let ensured = client.indexes().ensure("holidays", [model]).send()?;
    /// println!("{} {}", ensured.index.id, if ensured.created { "is new" } else { "was there" });
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn ensure(
        &self,
        index_name: impl Into<String>,
        models: impl IntoIterator<Item = IndexModelInput>,
    ) -> EnsureIndex {
        let index_name = index_name.into();
        EnsureIndex {
            indexes: self.clone(),
            create: self.create(&index_name, models),
            index_name,
            request_options: RequestOptions::new(),
        }
    }
}

/// Finds or creates an index. Nothing is sent before [`send`](EnsureIndex::send).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `.send()`"]
pub struct EnsureIndex {
    indexes: IndexesClient,
    create: CreateIndex,
    index_name: String,
    request_options: RequestOptions,
}

impl EnsureIndex {
    /// Sets the add-ons of a new index: see [`CreateIndex::addons`].
    pub fn addons(mut self, addons: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.create = self.create.addons(addons);
        self
    }

    setters! {
        /// Applies settings to every request. Additional query and body parameters are sent only with the request that
        /// creates the index.
        request_options: RequestOptions => request_options,
    }

    when_some!();

    /// Finds the index or creates it.
    ///
    /// # Errors
    ///
    /// The same as for [`Call::send`], for each of its requests. A conflict that does not concern the name is returned
    /// as an error.
    #[inline]
    pub fn send(self) -> Result<EnsuredIndex> {
        let EnsureIndex { indexes, create, index_name, request_options } = self;
        let further = request_options.without_parameters();
        // The platform's filter may be inexact. If it finds too much, the names are compared here. After a conflict it
        // is not used, because it may find too little.
        let find = |list: ListIndexes| -> Result<Option<EnsuredIndex>> {
            for index in list.page_limit(50).request_options(further.clone()).send()? {
                let index = index?;
                if index.index_name.as_deref() == Some(&index_name) {
                    return Ok(Some(EnsuredIndex { index, created: false }));
                }
            }
            Ok(None)
        };
        if let Some(found) = find(indexes.list().index_name(&index_name))? {
            return Ok(found);
        }
        match create.request_options(request_options).send() {
            Ok(created) => {
                let index = indexes.retrieve(&created.id).request_options(further).send()?;
                Ok(EnsuredIndex { index, created: true })
            }
            Err(taken) if taken.status() == Some(409) => find(indexes.list())?.ok_or(taken),
            Err(e) => Err(e),
        }
    }
}

/// The result of [`IndexesClient::ensure`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnsuredIndex {
    /// The index.
    pub index: Index,
    /// Whether this call created the index.
    pub created: bool,
}

request! {
    /// The builder returned by [`IndexesClient::list`].
    ListIndexes -> SyncPager<Index> {
        paging,
        /// Sets the field to sort by. The platform's default is the time of creation.
        query sort_by: into SortBy,
        /// Sets the sort direction. The platform's default is newest first.
        query sort_option: into SortOption,
        /// Restricts the results to indexes with this name.
        query index_name: into String,
        /// Restricts the results to indexes with these model options, separated by commas, such as `visual,audio`.
        query model_options: into String,
        /// Restricts the results to indexes with a model of this family: `marengo` or `pegasus`.
        query model_family: into String,
        /// Restricts the results to indexes created at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query created_at: into DateFilter,
        /// Restricts the results to indexes changed at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query updated_at: into DateFilter,
    }
}

request! {
    /// The builder returned by [`IndexesClient::create`].
    CreateIndex -> Index {
        /// Sets the add-ons for each video. The platform supports `thumbnail`, which requires Marengo. An add-on cannot
        /// be removed later.
        json addons: [String],
    }
}

input! {
    /// A model for a new index, with its options.
    ///
    /// ```
    /// use twelvelabs::indexes::{IndexModelInput, ModelOption};
    ///
    /// let model = IndexModelInput::new("marengo3.0", [ModelOption::Visual, ModelOption::Audio]);
    /// ```
    IndexModelInput(model_name: String, model_options: [ModelOption]) {}
}

open_enum! {
    /// The options of a model of an index.
    ModelOption {
        /// The picture.
        Visual = "visual",
        /// The sound.
        Audio = "audio",
    }
}

/// An index: a collection of videos that are searched together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Index {
    /// The id of the index.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The name of the index.
    pub index_name: Option<String>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// The time at which the platform deletes the index. Only on the free plan.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The total duration of the videos in seconds.
    pub total_duration: Option<f64>,
    /// The number of videos. The platform also returns fractions.
    pub video_count: Option<f64>,
    /// The models of the index.
    pub models: Option<Vec<IndexModel>>,
    /// The enabled add-ons.
    pub addons: Option<Vec<String>>,
}

/// A model of an index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexModel {
    /// The name, such as `marengo3.0`.
    pub model_name: Option<String>,
    /// The options of the model.
    pub model_options: Option<Vec<ModelOption>>,
    /// The enabled add-ons.
    pub addons: Option<Vec<String>>,
}

/// Declares a list of the videos of an index. It has the filters that both lists share, and additional ones whose names
/// are given in brackets. A metadata filter with the name of a parameter is sent as `user_metadata` followed by the
/// name in brackets.
macro_rules! video_filters {
    ($(#[$meta:meta])* $name:ident [$($own:literal),*] { $($more:tt)* }) => {
        request! {
            $(#[$meta])*
            $name -> SyncPager<crate::resources::indexes::indexed_assets::IndexedAsset> {
                paging,
                /// Sets the field to sort by. The platform's default is the time of creation.
                query sort_by: into crate::types::SortBy,
                /// Sets the sort direction. The platform's default is newest first.
                query sort_option: into crate::types::SortOption,
                /// Restricts the results to videos with this file name.
                query filename: into String,
                /// Restricts the results to videos of this duration, in seconds.
                query duration: into crate::types::NumberRange,
                /// Restricts the results to videos with this many frames per second.
                query fps: into crate::types::NumberRange,
                /// Restricts the results to videos of this width, in pixels.
                query width: into crate::types::NumberRange,
                /// Restricts the results to videos of this height, in pixels.
                query height: into crate::types::NumberRange,
                /// Restricts the results to videos of this size, in bytes.
                query size: into crate::types::NumberRange,
                /// Restricts the results to videos created at this time or later: an
                /// [`OffsetDateTime`](time::OffsetDateTime), or RFC 3339 text.
                query created_at: into crate::types::DateFilter,
                /// Restricts the results to videos whose metadata was changed at this time or later: an
                /// [`OffsetDateTime`](time::OffsetDateTime), or RFC 3339 text.
                query updated_at: into crate::types::DateFilter,
                $($more)*
            }
        }

        impl $name {
            /// Restricts the results to videos with this metadata: an object of names and the values that they must
            /// have, or the JSON text of one.
            ///
            /// A second call replaces the first. Null and an empty list are refused. A name that is also the name of a
            /// parameter of this list, such as `size`, is sent as `user_metadata[size]`, as the Python SDK sends it.
            pub fn user_metadata(mut self, user_metadata: impl Serialize) -> Self {
                const PARAMETERS: &[&str] = &[
                    "page",
                    "page_limit",
                    "sort_by",
                    "sort_option",
                    "filename",
                    "duration",
                    "fps",
                    "width",
                    "height",
                    "size",
                    "created_at",
                    "updated_at",
                    $($own),*
                ];
                self.0.conditions("user_metadata", &user_metadata, PARAMETERS);
                self
            }
        }
    };
}

use video_filters;
