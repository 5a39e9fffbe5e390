//! The assets of an index.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::PARAMETERS;
use crate::call::Call;
use crate::call::list::pager::SyncPager;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{Progressing, Waitable};
use crate::call::wait::status_list::StatusList;
use crate::http::session::Session;
use crate::types::{
    DateFilter, EmbeddingOption, HlsObject, NumberRange, SortBy, SortOption, TranscriptionEntry, VideoSegment,
    VideoSystemMetadata,
};

/// Indexes assets and keeps track of them, see
/// [`IndexesClient::indexed_assets`](crate::indexes::IndexesClient::indexed_assets).
#[derive(Debug, Clone)]
pub struct IndexedAssetsClient(pub(crate) Session);

impl IndexedAssetsClient {
    /// Lists the indexed assets of an index, newest first.
    ///
    /// Ranges are written as in Rust and include both ends; a plain number asks for exactly that.
    ///
    /// ```no_run
    /// use twelvelabs::indexes::IndexedAssetStatus;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let list = client
    ///     .indexes()
    ///     .indexed_assets()
    ///     .list("65a…")
    ///     .status([IndexedAssetStatus::Ready])
    ///     .duration(10.0..=60.0)
    ///     .width(1280..)
    ///     .user_metadata(serde_json::json!({"category": "recent"}));
    /// for indexed in list.send()? {
    ///     println!("{}", indexed?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self, index_id: &str) -> ListIndexedAssets {
        self.0.get(&["indexes", index_id, "indexed-assets"]).into()
    }

    /// Indexes an asset, which has to be ready.
    ///
    /// It returns while the platform is still indexing: [`wait_for_done`](Self::wait_for_done) before you search.
    /// What the platform takes depends on the models of the index.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let indexed = client.indexes().indexed_assets().create("65a…", "65f…").enable_video_stream(true).send()?;
    /// println!("{}", indexed.id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, index_id: &str, asset_id: &str) -> CreateIndexedAsset {
        let mut request = self.0.post(&["indexes", index_id, "indexed-assets"]);
        request.json("asset_id", asset_id);
        request.into()
    }

    /// Gets one indexed asset, on request with its embeddings and its transcription.
    ///
    /// ```no_run
    /// use twelvelabs::types::EmbeddingOption;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let indexed = client
    ///     .indexes()
    ///     .indexed_assets()
    ///     .retrieve("65a…", "65f…")
    ///     .embedding_option([EmbeddingOption::Visual])
    ///     .transcription(true)
    ///     .send()?;
    /// for line in indexed.transcription.unwrap_or_default() {
    ///     println!("{:?}: {}", line.start, line.value.unwrap_or_default());
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, index_id: &str, indexed_asset_id: &str) -> RetrieveIndexedAsset {
        self.0.get(&["indexes", index_id, "indexed-assets", indexed_asset_id]).into()
    }

    /// Deletes an indexed asset, and all that its index knows of it, for good.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.indexes().indexed_assets().delete("65a…", "65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, index_id: &str, indexed_asset_id: &str) -> Call<()> {
        self.0.delete(&["indexes", index_id, "indexed-assets", indexed_asset_id]).into()
    }

    /// Changes some metadata of an indexed asset and keeps the rest. A name that is set to null is removed.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let metadata = serde_json::json!({"category": "recent", "rating": null});
    /// client.indexes().indexed_assets().update("65a…", "65f…").user_metadata(metadata).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update(&self, index_id: &str, indexed_asset_id: &str) -> UpdateIndexedAsset {
        self.0.patch(&["indexes", index_id, "indexed-assets", indexed_asset_id]).into()
    }

    /// Lists the indexed assets that were made of an asset, with the index that each is in.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for indexed in client.indexes().indexed_assets().list_by_asset("65f…").send()? {
    ///     let indexed = indexed?;
    ///     println!("{} in {:?}", indexed.id, indexed.index);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_by_asset(&self, asset_id: &str) -> ListIndexedAssetsByAsset {
        self.0.get(&["assets", asset_id, "indexed-assets"]).into()
    }

    /// Waits until an asset is indexed, and returns it.
    ///
    /// One that could not be indexed is an [`Error::Failed`](crate::Error::Failed).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let indexed = client
    ///     .indexes()
    ///     .indexed_assets()
    ///     .wait_for_done("65a…", "65f…")
    ///     .callback(|indexed| eprintln!("{:?}", indexed.status))
    ///     .send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, index_id: &str, indexed_asset_id: &str) -> Wait<IndexedAsset> {
        Wait::new(self.0.get(&["indexes", index_id, "indexed-assets", indexed_asset_id]), indexed_asset_id)
    }

    /// Waits until all of these indexed assets are done, on one thread, and gives each as soon as it is: see
    /// [`WaitAll`](crate::WaitAll).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (id, result) in client.indexes().indexed_assets().wait_for_all("65a…", ["65f…", "660…"]).send()? {
    ///     println!("{id}: {}", if result.is_ok() { "ready" } else { "failed" });
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_all<I: AsRef<str>>(
        &self,
        index_id: &str,
        ids: impl IntoIterator<Item = I>,
    ) -> WaitAll<IndexedAsset> {
        WaitAll::new(&self.0, ids, |id| self.0.get(&["indexes", index_id, "indexed-assets", id]))
            .with_list(self.status_list(index_id))
    }

    /// Says which of many indexed assets of an index are still being processed.
    pub(crate) fn status_list(&self, index_id: &str) -> StatusList {
        let list = self.0.get(&["indexes", index_id, "indexed-assets"]);
        StatusList::by_status(list, &["pending", "queued", "indexing"])
    }
}

request! {
    /// Options of [`IndexedAssetsClient::list`].
    ListIndexedAssets -> SyncPager<IndexedAsset> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
        /// What to sort by. The platform's default is the time of creation.
        query sort_by: into SortBy,
        /// The direction. The platform's default is the newest first.
        query sort_option: into SortOption,
        /// Only those in one of these states.
        query status: [IndexedAssetStatus],
        /// Only those of this file name.
        query filename: into String,
        /// Only those of this duration, in seconds.
        query duration: into NumberRange,
        /// Only those with this many frames per second.
        query fps: into NumberRange,
        /// Only those of this width, in pixels.
        query width: into NumberRange,
        /// Only those of this height, in pixels.
        query height: into NumberRange,
        /// Only those of this size, in bytes.
        query size: into NumberRange,
        /// Only those created at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query created_at: into DateFilter,
        /// Only those whose metadata was changed at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query updated_at: into DateFilter,
    }
}

impl ListIndexedAssets {
    /// Only those with this metadata: an object of names and the values that they must have, or the JSON text of one.
    ///
    /// Called again, it replaces what was asked for. Null and an empty list are refused. A name that is also the name
    /// of a parameter of this list, such as `size`, is sent as `user_metadata[size]`, as the Python SDK sends it.
    pub fn user_metadata(mut self, user_metadata: impl Serialize) -> Self {
        self.0.conditions("user_metadata", &user_metadata, &[&PARAMETERS[..], &["status"]].concat());
        self
    }
}

request! {
    /// Options of [`IndexedAssetsClient::create`].
    CreateIndexedAsset -> IndexedAsset {
        /// Whether an HLS stream is kept: see [`IndexedAsset::hls`].
        json enable_video_stream: bool,
        /// Your own metadata, to find the video by: strings, numbers, booleans, lists of strings.
        json user_metadata: object,
    }
}

request! {
    /// Options of [`IndexedAssetsClient::retrieve`].
    RetrieveIndexedAsset -> IndexedAsset {
        /// Which embeddings to return. The index needs a Marengo model.
        query embedding_option: [EmbeddingOption],
        /// Whether to return the transcription.
        query transcription: bool,
    }
}

request! {
    /// Options of [`IndexedAssetsClient::update`].
    UpdateIndexedAsset -> () {
        /// The metadata to change: strings, numbers, booleans, lists of strings, or null to remove one.
        json user_metadata: object,
    }
}

request! {
    /// Options of [`IndexedAssetsClient::list_by_asset`].
    ListIndexedAssetsByAsset -> SyncPager<IndexedAssetSummary> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
    }
}

open_enum! {
    /// The indexing status of a video.
    IndexedAssetStatus {
        /// It can be searched.
        Ready = "ready",
        /// Not started.
        Pending = "pending",
        /// Waiting for its turn.
        Queued = "queued",
        /// In progress.
        Indexing = "indexing",
        /// Checked against what the models take.
        Validating = "validating",
        /// It could not be indexed.
        Failed = "failed",
    }
}

/// A video of an index. An answer has the fields that its call is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAsset {
    /// The id, which the hits of a search call `video_id`.
    #[serde(rename = "_id")]
    pub id: String,
    /// The asset that it was made of.
    pub asset_id: Option<String>,
    /// Its status. The older endpoints of [`VideosClient`](crate::indexes::VideosClient) do not say.
    pub status: Option<IndexedAssetStatus>,
    /// When the indexing was asked for.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When its state last changed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// When it was indexed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub indexed_at: Option<OffsetDateTime>,
    /// What the platform read from the file.
    pub system_metadata: Option<VideoSystemMetadata>,
    /// Your own metadata.
    pub user_metadata: Option<Map<String, Value>>,
    /// The HLS stream, if one is kept.
    pub hls: Option<HlsObject>,
    /// The embeddings, if they were asked for.
    pub embedding: Option<IndexedAssetEmbedding>,
    /// What is said, if it was asked for.
    pub transcription: Option<Vec<TranscriptionEntry>>,
}

impl Waitable for IndexedAsset {
    const RESOURCE: &'static str = "indexed asset";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn progressing(&self) -> Progressing {
        match &self.status {
            Some(IndexedAssetStatus::Ready) => Progressing::Done,
            Some(IndexedAssetStatus::Failed) => Progressing::Failed(None),
            _ => Progressing::Working,
        }
    }
}

/// The embeddings of a video of an index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAssetEmbedding {
    /// The model that made them.
    pub model_name: Option<String>,
    /// The embeddings.
    pub video_embedding: Option<IndexedAssetVideoEmbedding>,
}

/// The embeddings of a video of an index, segment by segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAssetVideoEmbedding {
    /// One for each segment and kind.
    pub segments: Option<Vec<VideoSegment>>,
}

/// Where an asset is indexed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAssetSummary {
    /// The id of the indexed asset.
    #[serde(rename = "_id")]
    pub id: String,
    /// The index that it is in.
    pub index: Option<IndexedAssetSummaryIndex>,
}

/// The index that an asset is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAssetSummaryIndex {
    /// The id of the index.
    #[serde(rename = "_id")]
    pub id: String,
    /// Its name.
    pub name: Option<String>,
}
