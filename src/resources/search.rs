//! Search: the moments in the videos of an index that match a text or an image.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::list::pager::{PageInfo, SyncPager};
use crate::call::request::Request;
use crate::file::FileSource;
use crate::http::session::Session;
use crate::types::NumberRange;

/// Searches indexes. Returned by [`TwelveLabs::search`](crate::TwelveLabs::search).
#[derive(Debug, Clone)]
pub struct SearchClient(pub(crate) Session);

impl SearchClient {
    /// Searches an index and returns an iterator over the hits of all pages.
    ///
    /// Search with a text, with images, or with both. The options apply to every page. A page that cannot be fetched is
    /// yielded as an error and does not end the list.
    ///
    /// Hits are ordered by their [`rank`](SearchItem::rank), best first. The Python SDK's `adjust_confidence_level`,
    /// `threshold` and `sort_option` do not exist here, because the platform ignores them and that SDK does not send
    /// them either.
    ///
    /// ```no_run
    /// use twelvelabs::search::{SearchFilter, SearchOption};
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let hits = client
    ///     .search()
    ///     .query("65a…", [SearchOption::Visual, SearchOption::Transcription])
    ///     .query_text("a dog runs on the beach")
    ///     .filter(SearchFilter::new().duration(60..=600))
    ///     .send()?;
    /// for hit in hits.take(20) {
    ///     let hit = hit?;
    ///     println!("{:?} {:?} to {:?}", hit.video_id, hit.start, hit.end);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// With an image:
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let hits = client
    ///     .search()
    ///     .query("65a…", ["visual"])
    ///     .query_media_type("image")
    ///     .query_media_file("dog.jpg")
    ///     .send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn query(
        &self,
        index_id: &str,
        search_options: impl IntoIterator<Item = impl Into<SearchOption>>,
    ) -> QuerySearch {
        self.request(index_id, search_options).paged_by_token(page).into()
    }

    /// Searches an index and returns the first page. [`query`](Self::query) returns all pages.
    ///
    /// ```no_run
    /// use twelvelabs::search::SearchOption;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let results = client.search().create("65a…", [SearchOption::Visual]).query_text("a dog").send()?;
    /// println!("{:?}", results.search_pool);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(
        &self,
        index_id: &str,
        search_options: impl IntoIterator<Item = impl Into<SearchOption>>,
    ) -> CreateSearch {
        self.request(index_id, search_options).into()
    }

    /// Gets a page of a search by its token, which is [`PageInfo::next_page_token`] or [`PageInfo::prev_page_token`] of
    /// another page. The platform does not charge for it.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let results = client.search().retrieve("1234567890").include_user_metadata(true).send()?;
    /// println!("{} hits", results.data.unwrap_or_default().len());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, page_token: &str) -> RetrieveSearch {
        self.0.get(&["search", page_token]).into()
    }

    fn request(&self, index_id: &str, search_options: impl IntoIterator<Item = impl Into<SearchOption>>) -> Request {
        let mut request = self.0.post(&["search"]);
        request.form("index_id", index_id);
        request.form("search_options", &search_options.into_iter().map(Into::into).collect::<Vec<_>>());
        request
    }
}

/// Builds the request for another page of a search, with the options of the first.
fn page(first: &Request, token: &str) -> Request {
    let mut request = first.session().get(&["search", token]);
    if let Some(include) = first.text("include_user_metadata") {
        request.query("include_user_metadata", &include);
    }
    request.options = first.options.clone();
    request.options.body.clear();
    request
}

/// Declares one of the two requests of a search, which have the same options.
macro_rules! search {
    ($(#[$meta:meta])* $name:ident -> $($output:tt)+) => {
        request! {
            $(#[$meta])*
            $name -> $($output)+ {
                /// Sets the text to search for. `<@id>` refers to the entity with that id. The platform's documented
                /// limit is 500 tokens.
                form query_text: into String,
                /// Sets the kind of media to search with. Required with images.
                form query_media_type: into QueryMediaType,
                /// Sets the methods for comparing the text with speech. By default, the platform uses both.
                form transcription_options: [TranscriptionOption],
                /// Sets whether the hits are single clips (the platform's default) or videos with their clips.
                form group_by: into GroupBy,
                /// Sets whether a moment must match all search options, or any of them (the platform's default).
                form operator: into SearchOperator,
                /// Sets the maximum number of hits on a page: 1 to 50. The platform's default is 10.
                form page_limit: u32,
                /// Sets whether to return the metadata of the videos with the hits.
                form include_user_metadata: bool,
                /// Restricts the results to hits in videos that match this filter: a [`SearchFilter`], your own object,
                /// or the JSON text of one. A null or an empty list in it is refused, because it would select
                /// everything.
                form filter: filter,
            }
        }

        impl $name {
            /// Adds an image to search with, by its public URL. The platform's documented limit is 10 images.
            pub fn query_media_url(self, query_media_url: impl AsRef<str>) -> Self {
                self.query_media_urls([query_media_url])
            }

            /// Adds several images to search with, by their public URLs.
            pub fn query_media_urls(
                mut self,
                query_media_urls: impl IntoIterator<Item = impl AsRef<str>>,
            ) -> Self {
                query_media_urls.into_iter().for_each(|url| self.0.form_url("query_media_url", url.as_ref()));
                self
            }

            /// Adds an image to search with: a path, or any [`FileSource`]. The platform's documented limit is 10
            /// images.
            pub fn query_media_file(self, query_media_file: impl Into<FileSource>) -> Self {
                self.query_media_files([query_media_file])
            }

            /// Adds several images to search with.
            pub fn query_media_files(
                mut self,
                query_media_files: impl IntoIterator<Item = impl Into<FileSource>>,
            ) -> Self {
                query_media_files.into_iter().for_each(|file| self.0.file("query_media_file", &file.into()));
                self
            }
        }
    };
}

search! {
    /// The builder returned by [`SearchClient::query`].
    QuerySearch -> SyncPager<SearchItem>
}

search! {
    /// The builder returned by [`SearchClient::create`].
    CreateSearch -> SearchResults
}

request! {
    /// The builder returned by [`SearchClient::retrieve`].
    RetrieveSearch -> SearchResults {
        /// Sets whether to return the metadata of the videos with the hits.
        query include_user_metadata: bool,
    }
}

input! {
    /// A filter of the videos to search, by their system metadata and your own metadata.
    ///
    /// ```
    /// use twelvelabs::search::SearchFilter;
    ///
    /// let filter = SearchFilter::new()
    ///     .id(["67c…", "67d…"])
    ///     .duration(600.0..=800.0)
    ///     .width(1280..)
    ///     .field("category", "recent")
    ///     .range("rating", 7.5..);
    /// ```
    #[derive(Default)]
    SearchFilter() {
        /// Restricts the results to videos with one of these ids, which are the ids of indexed assets.
        id: [String],
        /// Restricts the results to videos of this duration, in seconds.
        duration: into NumberRange,
        /// Restricts the results to videos of this width, in pixels.
        width: into NumberRange,
        /// Restricts the results to videos of this height, in pixels.
        height: into NumberRange,
        /// Restricts the results to videos of this size, in bytes.
        size: into NumberRange,
        /// Restricts the results to videos with exactly this file name.
        filename: into String,
    }
}

impl SearchFilter {
    /// Selects videos in which this field is in this range. The field can be from your own metadata, or one that this
    /// crate does not know.
    pub fn range(self, name: &str, range: impl Into<NumberRange>) -> Self {
        self.field(name, range.into())
    }
}

open_enum! {
    /// The aspects of a video that a search considers.
    SearchOption {
        /// The picture.
        Visual = "visual",
        /// The sound, without speech.
        Audio = "audio",
        /// The speech.
        Transcription = "transcription",
    }
}

open_enum! {
    /// A method for comparing a text with speech.
    TranscriptionOption {
        /// Word by word.
        Lexical = "lexical",
        /// By meaning.
        Semantic = "semantic",
    }
}

open_enum! {
    /// The kind of media to search with.
    QueryMediaType {
        /// Images.
        Image = "image",
    }
}

open_enum! {
    /// The unit of a hit.
    GroupBy {
        /// Videos, each with its matching clips.
        Video = "video",
        /// Clips.
        Clip = "clip",
    }
}

open_enum! {
    /// The operator that combines several search options.
    SearchOperator {
        /// At least one of the search options must match.
        Or = "or",
        /// All search options must match.
        And = "and",
    }
}

/// A page of a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchResults {
    /// The hits, best first.
    pub data: Option<Vec<SearchItem>>,
    /// The position of this page.
    pub page_info: Option<PageInfo>,
    /// The set of videos that was searched.
    pub search_pool: Option<SearchPool>,
}

/// The set of videos that was searched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchPool {
    /// The number of videos in the index.
    pub total_count: Option<u64>,
    /// The total duration of the index's videos in seconds.
    pub total_duration: Option<f64>,
    /// The index.
    pub index_id: Option<String>,
}

/// A hit of a search: a clip, or with [`GroupBy::Video`] a video.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchItem {
    /// The start of the clip, in seconds.
    pub start: Option<f64>,
    /// The end of the clip, in seconds.
    pub end: Option<f64>,
    /// The id of the clip's video. It is the id of an [`IndexedAsset`](crate::indexes::IndexedAsset), not of its asset.
    pub video_id: Option<String>,
    /// The id of the video's asset, if the platform returns it. Otherwise,
    /// [`retrieve`](crate::indexes::IndexedAssetsClient::retrieve) the indexed asset for its
    /// [`asset_id`](crate::indexes::IndexedAsset::asset_id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset_id: Option<String>,
    /// The rank among the hits. 1 is the best.
    pub rank: Option<i64>,
    /// The URL of a thumbnail, which expires.
    pub thumbnail_url: Option<String>,
    /// The speech in the clip.
    pub transcription: Option<String>,
    /// The id of the video, if the hits are videos.
    pub id: Option<String>,
    /// The metadata of the video, if it was requested.
    pub user_metadata: Option<Map<String, Value>>,
    /// The matching clips of the video, if the hits are videos.
    pub clips: Option<Vec<SearchItem>>,
}

masked_debug! {
    SearchItem {
        start, end, video_id, asset_id, rank, thumbnail_url: masked, transcription, id, user_metadata, clips,
    }
}
