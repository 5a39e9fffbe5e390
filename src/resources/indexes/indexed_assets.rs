//! The indexed assets of an index.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::video_filters;
use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::call::wait::status_list::StatusList;
use crate::http::session::Session;
use crate::types::{EmbeddingOption, HlsObject, TranscriptionEntry, VideoSegment, VideoSystemMetadata};

/// Indexes assets and manages the result. Returned by
/// [`IndexesClient::indexed_assets`](crate::indexes::IndexesClient::indexed_assets).
#[derive(Debug, Clone)]
pub struct IndexedAssetsClient(pub(crate) Session);

impl IndexedAssetsClient {
    /// Lists the indexed assets of an index, newest first.
    ///
    /// Filters take Rust ranges, which include both ends, or a plain number for an exact match.
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

    /// Indexes an asset, which must be ready.
    ///
    /// The call returns before the asset is indexed. Call [`wait_for_done`](Self::wait_for_done) before you search.
    /// Which assets the platform accepts depends on the models of the index.
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

    /// Gets an indexed asset, with its embeddings and its transcription if requested.
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

    /// Permanently deletes an indexed asset and everything that its index knows about it. The asset remains.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.indexes().indexed_assets().delete("65a…", "65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, index_id: &str, indexed_asset_id: &str) -> Call<()> {
        self.0.delete(&["indexes", index_id, "indexed-assets", indexed_asset_id]).into()
    }

    /// Updates the given metadata of an indexed asset and keeps the rest. A key that is set to null is removed.
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

    /// Lists the indexed assets of an asset, with the index of each.
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
    /// An asset that cannot be indexed returns an [`Error::Failed`](crate::Error::Failed).
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

    /// Waits for several indexed assets on one thread and yields each as soon as it is done. See
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

    /// Creates the list that says which of an index's indexed assets are still being processed.
    pub(crate) fn status_list(&self, index_id: &str) -> StatusList {
        let list = self.0.get(&["indexes", index_id, "indexed-assets"]);
        StatusList::by_status(list, &["pending", "queued", "indexing"])
    }
}

video_filters! {
    /// The builder returned by [`IndexedAssetsClient::list`].
    ListIndexedAssets ["status"] {
        /// Restricts the results to videos in one of these states.
        query status: [IndexedAssetStatus],
    }
}

request! {
    /// The builder returned by [`IndexedAssetsClient::create`].
    CreateIndexedAsset -> IndexedAsset {
        /// Sets whether to keep an HLS stream: see [`IndexedAsset::hls`].
        json enable_video_stream: bool,
        /// Sets your own metadata, to find the video by: strings, numbers, booleans or lists of strings.
        json user_metadata: object,
    }
}

request! {
    /// The builder returned by [`IndexedAssetsClient::retrieve`].
    RetrieveIndexedAsset -> IndexedAsset {
        /// Sets the embeddings to return. Requires an index with a Marengo model.
        query embedding_option: [EmbeddingOption],
        /// Sets whether to return the transcription.
        query transcription: bool,
    }
}

request! {
    /// The builder returned by [`IndexedAssetsClient::update`].
    UpdateIndexedAsset -> () {
        /// Sets the metadata to change: strings, numbers, booleans or lists of strings, or null to remove a key.
        json user_metadata: object,
    }
}

request! {
    /// The builder returned by [`IndexedAssetsClient::list_by_asset`].
    ListIndexedAssetsByAsset -> SyncPager<IndexedAssetSummary> {
        paging,
    }
}

open_enum! {
    /// The indexing status of a video.
    IndexedAssetStatus {
        /// The video is ready for search.
        Ready = "ready",
        /// The indexing has not started yet.
        Pending = "pending",
        /// The indexing is queued.
        Queued = "queued",
        /// The indexing is in progress.
        Indexing = "indexing",
        /// The platform is checking the video against the limits of the models.
        Validating = "validating",
        /// The video could not be indexed.
        Failed = "failed",
    }
}

/// A video of an index. Which fields are set depends on the call that returned it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAsset {
    /// The id, which is called `video_id` in the hits of a search.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The id of the asset that was indexed.
    pub asset_id: Option<String>,
    /// The status. The older endpoints of [`VideosClient`](crate::indexes::VideosClient) do not return it.
    pub status: Option<IndexedAssetStatus>,
    /// The time at which indexing was requested.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change of the status.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// The time at which the asset was indexed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub indexed_at: Option<OffsetDateTime>,
    /// The metadata that the platform read from the file.
    pub system_metadata: Option<VideoSystemMetadata>,
    /// Your own metadata.
    pub user_metadata: Option<Map<String, Value>>,
    /// The HLS stream, if there is one.
    pub hls: Option<HlsObject>,
    /// The embeddings, if they were requested.
    pub embedding: Option<IndexedAssetEmbedding>,
    /// The transcription, if it was requested.
    pub transcription: Option<Vec<TranscriptionEntry>>,
}

impl Pollable for IndexedAsset {
    const RESOURCE: &'static str = "indexed asset";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(IndexedAssetStatus::Ready) => PollStatus::Done,
            Some(IndexedAssetStatus::Failed) => PollStatus::Failed(None),
            _ => PollStatus::Working,
        }
    }
}

/// The embeddings of a video of an index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAssetEmbedding {
    /// The model that created the embeddings.
    pub model_name: Option<String>,
    /// The embeddings.
    pub video_embedding: Option<IndexedAssetVideoEmbedding>,
}

/// The embeddings of a video of an index, segment by segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAssetVideoEmbedding {
    /// The embeddings: one for each segment and kind.
    pub segments: Option<Vec<VideoSegment>>,
}

/// An index in which an asset is indexed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAssetSummary {
    /// The id of the indexed asset.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The index.
    pub index: Option<IndexedAssetSummaryIndex>,
}

/// The index of an indexed asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexedAssetSummaryIndex {
    /// The id of the index.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The name of the index.
    pub name: Option<String>,
}
