//! Searches of knowledge stores: their options and hits.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::call::json::decode;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::request::Request;
use crate::call::texts;
use crate::error::Result;
use crate::resources::assets::AssetType;
use crate::text::Unsigned;

/// Builds the request for another page of a search, with the options of the first.
pub(super) fn page(first: &Request, token: &str) -> Request {
    // The next page of a search can be requested repeatedly, although it is a POST.
    let mut request = first.clone().idempotent();
    request.options.body.retain(|(name, _)| name != "page_token");
    request.json("page_token", token);
    request
}

request! {
    /// The builder returned by [`KnowledgeStoresClient::search`](crate::knowledge_stores::KnowledgeStoresClient::search).
    SearchKnowledgeStore -> SyncPager<SearchKnowledgeStoreHit> {
        /// Sets the items to search: a [`SearchKnowledgeStoreFilter`], or your own object. The default is all items.
        json filter: filter,
        /// Sets the options for matching items: [`SearchKnowledgeStoreOptions`], or your own object. By default, the
        /// platform matches the picture.
        json search_options: object,
        /// Sets whether a hit is a single clip (the platform's default) or a video with all its matching clips.
        json group_by: into KnowledgeStoreGroupBy,
        /// Sets the first page to fetch: the [`next_page_token`](crate::PageInfo::next_page_token) of the page before
        /// it, from the same search with the same options.
        json page_token: into String,
        /// Sets whether to return the metadata of the items with the hits.
        json include_metadata: bool,
    }
}

impl SearchKnowledgeStore {
    /// Sets the maximum number of hits on a page: 1 to 50. The platform's default is 10.
    pub fn page_size(mut self, page_size: u32) -> Self {
        if page_size == 0 {
            self.0.reject("page_size", "must be between 1 and 50, not 0");
        }
        self.0.json("page_size", &page_size);
        self
    }
}

input! {
    /// The text to search for in a knowledge store. A string can be converted into one.
    KnowledgeStoreSearchQuery(text: String) {}
}

impl From<&str> for KnowledgeStoreSearchQuery {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for KnowledgeStoreSearchQuery {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

input! {
    /// A filter of the items to search in a knowledge store. An item must meet all conditions.
    ///
    /// ```
    /// use twelvelabs::assets::AssetType;
    /// use twelvelabs::knowledge_stores::SearchKnowledgeStoreFilter;
    ///
    /// let videos = SearchKnowledgeStoreFilter::new().asset_type(AssetType::Video);
    /// let two_items = SearchKnowledgeStoreFilter::new().item_ids(["ksi_069e…", "ksi_069f…"]);
    /// ```
    SearchKnowledgeStoreFilter() {}
}

impl SearchKnowledgeStoreFilter {
    /// Restricts the results to items of this type: videos or images.
    pub fn asset_type(self, asset_type: impl Into<AssetType>) -> Self {
        self.field("asset_type", json!({"eq": asset_type.into()}))
    }

    /// Restricts the results to items of one of these types.
    pub fn asset_types(self, asset_types: impl IntoIterator<Item = impl Into<AssetType>>) -> Self {
        let types: Vec<AssetType> = asset_types.into_iter().map(Into::into).collect();
        self.field("asset_type", json!({"in": types}))
    }

    /// Restricts the results to this item.
    pub fn item_id(self, item_id: impl Into<String>) -> Self {
        self.field("item_id", json!({"eq": item_id.into()}))
    }

    /// Restricts the results to these items.
    pub fn item_ids(self, item_ids: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.field("item_id", json!({"in": texts(item_ids)}))
    }
}

open_enum! {
    /// The aspects of a video that a search of a knowledge store considers.
    VideoSearchModality {
        /// The picture.
        Visual = "visual",
        /// The sound, including speech.
        Audio = "audio",
    }
}

open_enum! {
    /// The unit of a hit in a knowledge store.
    KnowledgeStoreGroupBy {
        /// Single clips and images.
        None = "none",
        /// Items: videos with all their matching clips, and images.
        Item = "item",
    }
}

/// Options for matching the items of a knowledge store. There are none for images.
///
/// ```
/// use twelvelabs::knowledge_stores::{SearchKnowledgeStoreOptions, VideoSearchModality};
///
/// let what_is_heard = SearchKnowledgeStoreOptions::new().video([VideoSearchModality::Audio]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchKnowledgeStoreOptions {
    /// The options for matching videos. In a response, `None` if no videos were searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoSearchOptions>,
}

impl SearchKnowledgeStoreOptions {
    /// Creates options with the platform's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the aspects of videos that are searched. The platform refuses this together with a filter that excludes all
    /// videos.
    pub fn video(mut self, modalities: impl IntoIterator<Item = impl Into<VideoSearchModality>>) -> Self {
        let modalities = modalities.into_iter().map(Into::into).collect();
        self.video = Some(VideoSearchOptions { modalities: Some(modalities) });
        self
    }

    when_some!();
}

/// Options for matching videos: see [`SearchKnowledgeStoreOptions`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSearchOptions {
    /// The aspects that are searched.
    pub modalities: Option<Vec<VideoSearchModality>>,
}

/// A hit in a knowledge store. With [`KnowledgeStoreGroupBy::Item`], all hits in one item. `Debug` shows URLs without
/// their signatures.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "asset_type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SearchKnowledgeStoreHit {
    /// A hit in a video.
    Video(VideoSearchHit),
    /// An image.
    Image(ImageSearchHit),
    /// A hit of a kind that this version of the crate does not know, as received.
    #[serde(untagged)]
    Other(Value),
}

impl fmt::Debug for SearchKnowledgeStoreHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Video(hit) => f.debug_tuple("Video").field(hit).finish(),
            Self::Image(hit) => f.debug_tuple("Image").field(hit).finish(),
            Self::Other(hit) => f.debug_tuple("Other").field(&Unsigned(hit)).finish(),
        }
    }
}

impl SearchKnowledgeStoreHit {
    /// Returns the id of the [`KnowledgeStoreItem`](crate::knowledge_store_items::KnowledgeStoreItem).
    pub fn item_id(&self) -> Option<&str> {
        match self {
            Self::Video(hit) => Some(&hit.item_id),
            Self::Image(hit) => Some(&hit.item_id),
            Self::Other(hit) => hit["item_id"].as_str(),
        }
    }

    /// Returns the rank among the hits. 1 is the best.
    pub fn rank(&self) -> Option<i64> {
        match self {
            Self::Video(hit) => hit.rank,
            Self::Image(hit) => hit.rank,
            Self::Other(hit) => hit["rank"].as_i64(),
        }
    }

    /// Returns the matching clips. The list is empty if the hit is not in a video.
    pub fn matches(&self) -> &[VideoMatch] {
        match self {
            Self::Video(hit) => hit.matches.as_deref().unwrap_or_default(),
            _ => &[],
        }
    }
}

impl<'de> Deserialize<'de> for SearchKnowledgeStoreHit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hit = Value::Object(Map::deserialize(deserializer)?);
        // Each hit is decoded separately, so that a malformed field of one hit loses only that field.
        let hit = match hit["asset_type"].as_str() {
            Some("video") => decode::from_value(&hit).map(Self::Video),
            Some("image") => decode::from_value(&hit).map(Self::Image),
            _ => Ok(Self::Other(hit)),
        };
        hit.map_err(D::Error::custom)
    }
}

impl SyncPager<SearchKnowledgeStoreHit> {
    /// Returns the options of the search, including the platform's defaults.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`](crate::Error::Decode) if the response does not contain them.
    pub fn effective_search_options(&self) -> Result<SearchKnowledgeStoreOptions> {
        #[derive(Deserialize)]
        struct Page {
            effective_search_options: SearchKnowledgeStoreOptions,
        }
        Ok(self.decode_response::<Page>()?.effective_search_options)
    }
}

/// A hit in a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSearchHit {
    /// The id of the [`KnowledgeStoreItem`](crate::knowledge_store_items::KnowledgeStoreItem).
    #[serde(deserialize_with = "usable")]
    pub item_id: String,
    /// The rank among the hits. 1 is the best. A video has the rank of its best clip.
    pub rank: Option<i64>,
    /// The metadata of the item, if it was requested.
    pub metadata: Option<VideoSearchItemMetadata>,
    /// The clip. With [`KnowledgeStoreGroupBy::Item`], all matching clips of the video, best first.
    pub matches: Option<Vec<VideoMatch>>,
}

/// A matching image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageSearchHit {
    /// The id of the [`KnowledgeStoreItem`](crate::knowledge_store_items::KnowledgeStoreItem).
    #[serde(deserialize_with = "usable")]
    pub item_id: String,
    /// The rank among the hits. 1 is the best.
    pub rank: Option<i64>,
    /// The metadata of the item, if it was requested.
    pub metadata: Option<ImageSearchItemMetadata>,
}

/// A matching clip.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoMatch {
    /// The start, in seconds.
    pub start_sec: Option<f64>,
    /// The end, in seconds.
    pub end_sec: Option<f64>,
    /// The aspects that match.
    pub modalities: Option<Vec<VideoSearchModality>>,
    /// The speech in the clip, whichever aspect matches.
    pub transcription: Option<String>,
}

/// The metadata of a video in the hits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSearchItemMetadata {
    /// The metadata that the platform read from the file.
    pub system: Option<VideoSearchSystemMetadata>,
    /// Your own metadata.
    pub user: Option<Map<String, Value>>,
}

/// The metadata that the platform read from the file of a video.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSearchSystemMetadata {
    /// The duration in seconds.
    pub duration: Option<f64>,
    /// The width in pixels.
    pub width: Option<i64>,
    /// The height in pixels.
    pub height: Option<i64>,
    /// The size in bytes.
    pub size: Option<u64>,
}

/// The metadata of an image in the hits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageSearchItemMetadata {
    /// The metadata that the platform read from the file.
    pub system: Option<ImageSearchSystemMetadata>,
    /// Your own metadata.
    pub user: Option<Map<String, Value>>,
}

/// The metadata that the platform read from the file of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageSearchSystemMetadata {
    /// The width in pixels.
    pub width: Option<i64>,
    /// The height in pixels.
    pub height: Option<i64>,
    /// The size in bytes.
    pub size: Option<u64>,
}
