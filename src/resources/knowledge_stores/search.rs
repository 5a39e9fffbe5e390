//! Searches of knowledge stores: what is asked, and the hits.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::call::json::decode;
use crate::call::list::pager::SyncPager;
use crate::call::request::Request;
use crate::call::texts;
use crate::error::Result;
use crate::resources::assets::AssetType;

/// The request for another page of a search, with the settings of the first.
pub(super) fn page(first: &Request, token: &str) -> Request {
    // To go on with a search is not another search.
    let mut request = first.clone().repeatable();
    request.options.body.retain(|(name, _)| name != "page_token");
    request.json("page_token", token);
    request
}

request! {
    /// Options of [`KnowledgeStoresClient::search`](crate::knowledge_stores::KnowledgeStoresClient::search).
    SearchKnowledgeStore -> SyncPager<SearchKnowledgeStoreHit> {
        /// Which items to search: a [`SearchKnowledgeStoreFilter`], or an object of your own. All by default.
        json filter: filter,
        /// How items are matched: [`SearchKnowledgeStoreOptions`], or an object of your own. By default what is seen.
        json search_options: object,
        /// Whether a hit is one clip, which is the platform's default, or a video with all its clips that fit.
        json group_by: into KnowledgeStoreGroupBy,
        /// The first page to fetch: the [`next_page_token`](crate::PageInfo::next_page_token) of the one before, of the
        /// same search with the same settings.
        json page_token: into String,
        /// Whether the hits have the metadata of their items.
        json include_metadata: bool,
    }
}

impl SearchKnowledgeStore {
    /// The most hits on a page: 1 to 50, 10 by default.
    pub fn page_size(mut self, page_size: u32) -> Self {
        if page_size == 0 {
            self.0.reject("page_size", "0 is not possible, the platform allows 1 to 50");
        }
        self.0.json("page_size", &page_size);
        self
    }
}

input! {
    /// What to search for in a knowledge store, as text. Text becomes one.
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
    /// Which items of a knowledge store are searched. All conditions have to hold.
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
    /// Only items of this type: videos or images.
    pub fn asset_type(self, asset_type: impl Into<AssetType>) -> Self {
        self.field("asset_type", json!({"eq": asset_type.into()}))
    }

    /// Only items of one of these types.
    pub fn asset_types(self, asset_types: impl IntoIterator<Item = impl Into<AssetType>>) -> Self {
        let types: Vec<AssetType> = asset_types.into_iter().map(Into::into).collect();
        self.field("asset_type", json!({"in": types}))
    }

    /// Only this item.
    pub fn item_id(self, item_id: impl Into<String>) -> Self {
        self.field("item_id", json!({"eq": item_id.into()}))
    }

    /// Only these items.
    pub fn item_ids(self, item_ids: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.field("item_id", json!({"in": texts(item_ids)}))
    }
}

open_enum! {
    /// What of a video a search of a knowledge store takes into account.
    VideoSearchModality {
        /// What is seen.
        Visual = "visual",
        /// What is heard, speech and all else.
        Audio = "audio",
    }
}

open_enum! {
    /// What the hits of a search of a knowledge store are.
    KnowledgeStoreGroupBy {
        /// Single clips and images.
        None = "none",
        /// Items: videos with all their clips that fit, and images.
        Item = "item",
    }
}

/// How the items of a knowledge store are matched. Images have no options.
///
/// ```
/// use twelvelabs::knowledge_stores::{SearchKnowledgeStoreOptions, VideoSearchModality};
///
/// let what_is_heard = SearchKnowledgeStoreOptions::new().video([VideoSearchModality::Audio]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchKnowledgeStoreOptions {
    /// How videos are matched. In an answer, nothing if no videos were searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoSearchOptions>,
}

impl SearchKnowledgeStoreOptions {
    /// The platform's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What of videos is searched. The platform refuses it beside a filter that lets no videos through.
    pub fn video(mut self, modalities: impl IntoIterator<Item = impl Into<VideoSearchModality>>) -> Self {
        let modalities = modalities.into_iter().map(Into::into).collect();
        self.video = Some(VideoSearchOptions { modalities: Some(modalities) });
        self
    }

    when_some!();
}

/// How videos are matched, see [`SearchKnowledgeStoreOptions`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSearchOptions {
    /// What is searched.
    pub modalities: Option<Vec<VideoSearchModality>>,
}

/// A hit in a knowledge store, or with [`KnowledgeStoreGroupBy::Item`] all hits in one item.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "asset_type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SearchKnowledgeStoreHit {
    /// In a video.
    Video(VideoSearchHit),
    /// An image.
    Image(ImageSearchHit),
    /// In something that this version of the crate does not know, as it came.
    #[serde(untagged)]
    Other(Value),
}

impl SearchKnowledgeStoreHit {
    /// The item that it is in: a [`KnowledgeStoreItem`](crate::knowledge_store_items::KnowledgeStoreItem).
    pub fn item_id(&self) -> Option<&str> {
        match self {
            Self::Video(hit) => Some(&hit.item_id),
            Self::Image(hit) => Some(&hit.item_id),
            Self::Other(hit) => hit["item_id"].as_str(),
        }
    }

    /// Its place among the hits. 1 is the best.
    pub fn rank(&self) -> Option<i64> {
        match self {
            Self::Video(hit) => hit.rank,
            Self::Image(hit) => hit.rank,
            Self::Other(hit) => hit["rank"].as_i64(),
        }
    }

    /// The clips that fit; none if it is not in a video.
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
        // By itself, so that a malformed field of a hit costs no more than that field.
        let hit = match hit["asset_type"].as_str() {
            Some("video") => decode::from_value(&hit).map(Self::Video),
            Some("image") => decode::from_value(&hit).map(Self::Image),
            _ => Ok(Self::Other(hit)),
        };
        hit.map_err(D::Error::custom)
    }
}

impl SyncPager<SearchKnowledgeStoreHit> {
    /// The options that the platform searched with, its defaults included.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`](crate::Error::Decode) if the answer does not have them.
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
    /// The item that it is in: a [`KnowledgeStoreItem`](crate::knowledge_store_items::KnowledgeStoreItem).
    pub item_id: String,
    /// Its place among the hits. 1 is the best. A video has that of its best clip.
    pub rank: Option<i64>,
    /// The metadata of the item, if it was asked for.
    pub metadata: Option<VideoSearchItemMetadata>,
    /// The clip, or with [`KnowledgeStoreGroupBy::Item`] all clips of the video that fit, best first.
    pub matches: Option<Vec<VideoMatch>>,
}

/// An image that fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageSearchHit {
    /// The item: a [`KnowledgeStoreItem`](crate::knowledge_store_items::KnowledgeStoreItem).
    pub item_id: String,
    /// Its place among the hits. 1 is the best.
    pub rank: Option<i64>,
    /// The metadata of the item, if it was asked for.
    pub metadata: Option<ImageSearchItemMetadata>,
}

/// A clip that fits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoMatch {
    /// The start, in seconds.
    pub start_sec: Option<f64>,
    /// The end, in seconds.
    pub end_sec: Option<f64>,
    /// What of it fits.
    pub modalities: Option<Vec<VideoSearchModality>>,
    /// What is said in it, whatever it is that fits.
    pub transcription: Option<String>,
}

/// The metadata of a video that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoSearchItemMetadata {
    /// What the platform read from the file.
    pub system: Option<VideoSearchSystemMetadata>,
    /// Your own.
    pub user: Option<Map<String, Value>>,
}

/// What the platform read from the file of a video that was found.
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

/// The metadata of an image that was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ImageSearchItemMetadata {
    /// What the platform read from the file.
    pub system: Option<ImageSearchSystemMetadata>,
    /// Your own.
    pub user: Option<Map<String, Value>>,
}

/// What the platform read from the file of an image that was found.
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
