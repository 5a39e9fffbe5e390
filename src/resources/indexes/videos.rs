//! The videos of an index by the older endpoints.

use serde::Serialize;

use super::PARAMETERS;
use super::indexed_assets::IndexedAsset;
use crate::call::Call;
use crate::call::list::pager::SyncPager;
use crate::http::session::Session;
use crate::types::{DateFilter, EmbeddingOption, NumberRange, SortBy, SortOption};

/// Manages the videos of an index by the platform's older endpoints, see
/// [`IndexesClient::videos`](crate::indexes::IndexesClient::videos).
///
/// The platform plans to remove them: [`IndexedAssetsClient`](crate::indexes::IndexedAssetsClient) has the same and
/// more.
#[derive(Debug, Clone)]
pub struct VideosClient(pub(crate) Session);

impl VideosClient {
    /// Lists the videos of an index, newest first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for video in client.indexes().videos().list("65a…").duration(10.0..=60.0).send()? {
    ///     println!("{}", video?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self, index_id: &str) -> ListVideos {
        self.0.get(&["indexes", index_id, "videos"]).into()
    }

    /// Gets one video, on request with its embeddings and its transcription.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let video = client.indexes().videos().retrieve("65a…", "65f…").transcription(true).send()?;
    /// println!("{:?}", video.system_metadata);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, index_id: &str, video_id: &str) -> RetrieveVideo {
        self.0.get(&["indexes", index_id, "videos", video_id]).into()
    }

    /// Deletes a video from an index for good.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.indexes().videos().delete("65a…", "65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, index_id: &str, video_id: &str) -> Call<()> {
        self.0.delete(&["indexes", index_id, "videos", video_id]).into()
    }

    /// Changes some metadata of a video and keeps the rest. A name that is set to null is removed.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let metadata = serde_json::json!({"category": "recent"});
    /// client.indexes().videos().update("65a…", "65f…").user_metadata(metadata).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update(&self, index_id: &str, video_id: &str) -> UpdateVideo {
        self.0.patch(&["indexes", index_id, "videos", video_id]).into()
    }
}

request! {
    /// Options of [`VideosClient::list`].
    ListVideos -> SyncPager<IndexedAsset> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
        /// What to sort by. The platform's default is the time of creation.
        query sort_by: into SortBy,
        /// The direction. The platform's default is the newest first.
        query sort_option: into SortOption,
        /// Only videos of this file name.
        query filename: into String,
        /// Only videos of this duration, in seconds.
        query duration: into NumberRange,
        /// Only videos with this many frames per second.
        query fps: into NumberRange,
        /// Only videos of this width, in pixels.
        query width: into NumberRange,
        /// Only videos of this height, in pixels.
        query height: into NumberRange,
        /// Only videos of this size, in bytes.
        query size: into NumberRange,
        /// Only videos created at this time or later: an [`OffsetDateTime`](time::OffsetDateTime), or RFC 3339 text.
        query created_at: into DateFilter,
        /// Only videos whose metadata was changed at this time or later: an
        /// [`OffsetDateTime`](time::OffsetDateTime), or RFC 3339 text.
        query updated_at: into DateFilter,
    }
}

impl ListVideos {
    /// Only videos with this metadata: an object of names and the values that they must have, or the JSON text of one.
    ///
    /// Called again, it replaces what was asked for. Null and an empty list are refused. A name that is also the name
    /// of a parameter of this list, such as `size`, is sent as `user_metadata[size]`, as the Python SDK sends it.
    pub fn user_metadata(mut self, user_metadata: impl Serialize) -> Self {
        self.0.conditions("user_metadata", &user_metadata, &PARAMETERS);
        self
    }
}

request! {
    /// Options of [`VideosClient::retrieve`].
    RetrieveVideo -> IndexedAsset {
        /// Which embeddings to return. The index needs a Marengo model.
        query embedding_option: [EmbeddingOption],
        /// Whether to return the transcription.
        query transcription: bool,
    }
}

request! {
    /// Options of [`VideosClient::update`].
    UpdateVideo -> () {
        /// The metadata to change: strings, numbers, booleans, lists of strings, or null to remove one.
        json user_metadata: object,
    }
}
