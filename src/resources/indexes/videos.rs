//! The older endpoints for the videos of an index.

use serde::Serialize;

use super::indexed_assets::IndexedAsset;
use super::video_filters;
use crate::call::Call;
use crate::call::list::pager::SyncPager;
use crate::http::session::Session;
use crate::types::EmbeddingOption;

/// Manages the videos of an index through the platform's older endpoints. Returned by
/// [`IndexesClient::videos`](crate::indexes::IndexesClient::videos).
///
/// The platform plans to remove these endpoints. [`IndexedAssetsClient`](crate::indexes::IndexedAssetsClient) does the
/// same and more.
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

    /// Gets a video, with its embeddings and its transcription if requested.
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

    /// Deletes a video from an index permanently.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.indexes().videos().delete("65a…", "65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, index_id: &str, video_id: &str) -> Call<()> {
        self.0.delete(&["indexes", index_id, "videos", video_id]).into()
    }

    /// Updates the given metadata of a video and keeps the rest. A key that is set to null is removed.
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

video_filters! {
    /// The builder returned by [`VideosClient::list`].
    ListVideos [] {}
}

request! {
    /// The builder returned by [`VideosClient::retrieve`].
    RetrieveVideo -> IndexedAsset {
        /// Sets the embeddings to return. Requires an index with a Marengo model.
        query embedding_option: [EmbeddingOption],
        /// Sets whether to return the transcription.
        query transcription: bool,
    }
}

request! {
    /// The builder returned by [`VideosClient::update`].
    UpdateVideo -> () {
        /// Sets the metadata to change: strings, numbers, booleans or lists of strings, or null to remove a key.
        json user_metadata: object,
    }
}
