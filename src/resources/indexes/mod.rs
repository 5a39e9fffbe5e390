//! Indexes: videos made searchable.

pub(crate) mod indexed_assets;
pub(crate) mod videos;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::list::pager::SyncPager;
use crate::call::{Call, RequestOptions};
use crate::error::Result;
use crate::http::session::Session;
use crate::types::{DateFilter, SortBy, SortOption};
use indexed_assets::IndexedAssetsClient;
use videos::VideosClient;

/// Creates and manages indexes and the videos in them, see [`TwelveLabs::indexes`](crate::TwelveLabs::indexes).
#[derive(Debug, Clone)]
pub struct IndexesClient(pub(crate) Session);

impl IndexesClient {
    /// The assets of an index: indexing, their state, metadata, embeddings and transcriptions.
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

    /// The videos of an index by the platform's older endpoints, which it plans to remove: use
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
    /// The platform's answer has little more than the id: [`retrieve`](Self::retrieve) returns the rest. A name that is
    /// taken is a conflict (409, `index_name_already_exists`): [`ensure`](Self::ensure) takes that index instead.
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

    /// Gets one index.
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

    /// Gives an index another name.
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

    /// Deletes an index and all the videos in it for good.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.indexes().delete("65a…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, index_id: &str) -> Call<()> {
        self.0.delete(&["indexes", index_id]).into()
    }

    /// Finds the index of exactly this name, or creates it.
    ///
    /// If another program creates it at the same moment, that index is found. An index that exists is returned as it
    /// is, also if it has other models than these, which cannot be changed: check [`Index::models`] if that matters.
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

/// A search for an index that creates it if there is none. Nothing happens before [`send`](EnsureIndex::send).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `.send()`"]
pub struct EnsureIndex {
    indexes: IndexesClient,
    create: CreateIndex,
    index_name: String,
    request_options: RequestOptions,
}

impl EnsureIndex {
    /// The add-ons of the index if it is created, as [`CreateIndex::addons`].
    pub fn addons(mut self, addons: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.create = self.create.addons(addons);
        self
    }

    /// Settings for each of the requests.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.request_options = request_options;
        self
    }

    when_some!();

    /// Finds the index or creates it.
    ///
    /// # Errors
    ///
    /// As [`Call::send`], of any of its requests. A conflict that is about another thing than the name stays one.
    #[inline]
    pub fn send(self) -> Result<EnsuredIndex> {
        let EnsureIndex { indexes, create, index_name, request_options } = self;
        // The filter of the platform need not be exact: it may find more, and after a conflict nothing is left to it.
        let find = |list: ListIndexes| -> Result<Option<EnsuredIndex>> {
            for index in list.page_limit(50).request_options(request_options.clone()).send()? {
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
        match create.request_options(request_options.clone()).send() {
            Ok(created) => {
                let index = indexes.retrieve(&created.id).request_options(request_options).send()?;
                Ok(EnsuredIndex { index, created: true })
            }
            Err(taken) if taken.status() == Some(409) => find(indexes.list())?.ok_or(taken),
            Err(e) => Err(e),
        }
    }
}

/// What [`IndexesClient::ensure`] found or created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EnsuredIndex {
    /// The index.
    pub index: Index,
    /// Whether this call created it.
    pub created: bool,
}

request! {
    /// Options of [`IndexesClient::list`].
    ListIndexes -> SyncPager<Index> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
        /// What to sort by. The platform's default is the time of creation.
        query sort_by: into SortBy,
        /// The direction. The platform's default is the newest first.
        query sort_option: into SortOption,
        /// Only indexes of this name.
        query index_name: into String,
        /// Only indexes with these model options, separated by commas, such as `visual,audio`.
        query model_options: into String,
        /// Only indexes with a model of this family: `marengo` or `pegasus`.
        query model_family: into String,
        /// Only indexes created at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query created_at: into DateFilter,
        /// Only indexes changed at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query updated_at: into DateFilter,
    }
}

request! {
    /// Options of [`IndexesClient::create`].
    CreateIndex -> Index {
        /// What else is made of each video. The platform knows `thumbnail`, with Marengo alone. An add-on cannot be
        /// taken away later.
        json addons: [String],
    }
}

input! {
    /// A model for a new index, and what it takes into account.
    ///
    /// ```
    /// use twelvelabs::indexes::{IndexModelInput, ModelOption};
    ///
    /// let model = IndexModelInput::new("marengo3.0", [ModelOption::Visual, ModelOption::Audio]);
    /// ```
    IndexModelInput(model_name: String, model_options: [ModelOption]) {}
}

open_enum! {
    /// What a model of an index takes into account.
    ModelOption {
        /// What is seen.
        Visual = "visual",
        /// What is heard.
        Audio = "audio",
    }
}

/// An index: the videos that are searched together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Index {
    /// The id.
    #[serde(rename = "_id")]
    pub id: String,
    /// The name.
    pub index_name: Option<String>,
    /// When it was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it was last changed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// When the platform deletes it, on the free plan.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The duration of all its videos in seconds.
    pub total_duration: Option<f64>,
    /// How many videos are in it. The platform gives fractions, too.
    pub video_count: Option<f64>,
    /// Its models.
    pub models: Option<Vec<IndexModel>>,
    /// Its add-ons.
    pub addons: Option<Vec<String>>,
}

/// A model of an index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexModel {
    /// The name, such as `marengo3.0`.
    pub model_name: Option<String>,
    /// What it takes into account.
    pub model_options: Option<Vec<ModelOption>>,
    /// Its add-ons.
    pub addons: Option<Vec<String>>,
}

/// The parameters that both lists of videos have. Metadata of these names cannot be asked for by the name alone.
const PARAMETERS: [&str; 12] = [
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
];
