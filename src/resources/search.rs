//! Search: the moments of an index that fit a text or an image.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::list::pager::{PageInfo, SyncPager};
use crate::call::request::{Paging, Request};
use crate::file::FileSource;
use crate::http::session::Session;
use crate::types::NumberRange;

/// Searches indexes, see [`TwelveLabs::search`](crate::TwelveLabs::search).
#[derive(Debug, Clone)]
pub struct SearchClient(pub(crate) Session);

impl SearchClient {
    /// Searches an index, and returns the hits of all pages one after the other.
    ///
    /// Ask with a text, with images, or with both. All settings hold for all pages, and a page that cannot be fetched
    /// is an error in the list and not its end.
    ///
    /// The Python SDK's `adjust_confidence_level`, `threshold` and `sort_option` are left out: the platform ignores
    /// them, and that SDK does not send them either. Hits come best first; their [`rank`](SearchItem::rank) says so.
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
        let mut request = self.request(index_id, search_options);
        request.paging = Paging::Token(page);
        request.into()
    }

    /// Searches an index, and returns the first page as it is. [`query`](Self::query) returns all pages.
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

    /// Gets a page of a search by its token: [`PageInfo::next_page_token`] or [`PageInfo::prev_page_token`]. The
    /// platform does not charge for it.
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

/// The request for another page of a search, with the settings of the first.
fn page(first: &Request, token: &str) -> Request {
    let mut request = first.session().get(&["search", token]);
    if let Some(include) = first.text("include_user_metadata") {
        request.query("include_user_metadata", include);
    }
    request.options = first.options.clone();
    request.options.body.clear();
    request
}

/// The options of both ways to search.
macro_rules! search {
    ($(#[$meta:meta])* $name:ident -> $($output:tt)+) => {
        request! {
            $(#[$meta])*
            $name -> $($output)+ {
                /// What to search for, as text. `<@id>` stands for the entity with that id. The documented limit is 500
                /// tokens.
                form query_text: into String,
                /// The kind of media to search with. Needed with images.
                form query_media_type: into QueryMediaType,
                /// How the text is compared with what is said. The platform's default is both ways.
                form transcription_options: [TranscriptionOption],
                /// Whether the hits are clips, which is the platform's default, or videos with their clips.
                form group_by: into GroupBy,
                /// Whether all of the search options have to fit a moment, or any of them, which is the platform's
                /// default.
                form operator: into SearchOperator,
                /// The most hits on a page: 1 to 50, 10 by default.
                form page_limit: u32,
                /// Whether the hits have the metadata of their videos.
                form include_user_metadata: bool,
                /// Only hits in videos that match this: a [`SearchFilter`], an object of your own, or the JSON text of
                /// one. A null and an empty list in it are refused, since they would be no conditions.
                form filter: filter,
            }
        }

        impl $name {
            /// An image to search with, by its public URL. The platform documents up to 10 images.
            pub fn query_media_url(self, query_media_url: impl AsRef<str>) -> Self {
                self.query_media_urls([query_media_url])
            }

            /// Several images to search with, by their public URLs.
            pub fn query_media_urls(
                mut self,
                query_media_urls: impl IntoIterator<Item = impl AsRef<str>>,
            ) -> Self {
                query_media_urls.into_iter().for_each(|url| self.0.form_url("query_media_url", url.as_ref()));
                self
            }

            /// An image to search with: a path, or any [`FileSource`]. The platform documents up to 10 images.
            pub fn query_media_file(self, query_media_file: impl Into<FileSource>) -> Self {
                self.query_media_files([query_media_file])
            }

            /// Several images to search with.
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
    /// Options of [`SearchClient::query`].
    QuerySearch -> SyncPager<SearchItem>
}

search! {
    /// Options of [`SearchClient::create`].
    CreateSearch -> SearchResults
}

request! {
    /// Options of [`SearchClient::retrieve`].
    RetrieveSearch -> SearchResults {
        /// Whether the hits have the metadata of their videos.
        query include_user_metadata: bool,
    }
}

input! {
    /// Which videos are searched, by what the platform knows of them and by your own metadata.
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
        /// Only videos with one of these ids: those of indexed assets.
        id: [String],
        /// Only videos of this duration, in seconds.
        duration: into NumberRange,
        /// Only videos of this width, in pixels.
        width: into NumberRange,
        /// Only videos of this height, in pixels.
        height: into NumberRange,
        /// Only videos of this size, in bytes.
        size: into NumberRange,
        /// Only videos of exactly this file name.
        filename: into String,
    }
}

impl SearchFilter {
    /// Only videos whose field is in this range: your own metadata, or a field that this crate does not know.
    pub fn range(self, name: &str, range: impl Into<NumberRange>) -> Self {
        self.field(name, range.into())
    }
}

open_enum! {
    /// What a search takes into account.
    SearchOption {
        /// What is seen.
        Visual = "visual",
        /// What is heard, without speech.
        Audio = "audio",
        /// What is said.
        Transcription = "transcription",
    }
}

open_enum! {
    /// How a text is compared with what is said.
    TranscriptionOption {
        /// Word by word.
        Lexical = "lexical",
        /// By meaning.
        Semantic = "semantic",
    }
}

open_enum! {
    /// The kind of media that is searched with.
    QueryMediaType {
        /// Images.
        Image = "image",
    }
}

open_enum! {
    /// What the hits of a search are.
    GroupBy {
        /// Videos, with the clips that fit.
        Video = "video",
        /// Clips.
        Clip = "clip",
    }
}

open_enum! {
    /// How several search options go together.
    SearchOperator {
        /// Any of them has to fit.
        Or = "or",
        /// All of them have to fit.
        And = "and",
    }
}

/// A page of a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchResults {
    /// The hits, best first.
    pub data: Option<Vec<SearchItem>>,
    /// Where the page stands.
    pub page_info: Option<PageInfo>,
    /// What was searched.
    pub search_pool: Option<SearchPool>,
}

/// What was searched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchPool {
    /// How many videos are in the index.
    pub total_count: Option<u64>,
    /// The duration of all its videos in seconds.
    pub total_duration: Option<f64>,
    /// The index.
    pub index_id: Option<String>,
}

/// A hit of a search: a clip, or with [`GroupBy::Video`] a video.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchItem {
    /// The start of the clip, in seconds.
    pub start: Option<f64>,
    /// Its end, in seconds.
    pub end: Option<f64>,
    /// The video that it is in: the id of an [`IndexedAsset`](crate::indexes::IndexedAsset), and not that of the asset
    /// it was made of.
    pub video_id: Option<String>,
    /// The asset that the video was made of, where the platform says so. Else
    /// [`retrieve`](crate::indexes::IndexedAssetsClient::retrieve) the indexed asset, which has its
    /// [`asset_id`](crate::indexes::IndexedAsset::asset_id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset_id: Option<String>,
    /// Its place among the hits. 1 is the best.
    pub rank: Option<i64>,
    /// An image of it, by a URL that expires.
    pub thumbnail_url: Option<String>,
    /// What is said in it.
    pub transcription: Option<String>,
    /// The video, if the hits are videos.
    pub id: Option<String>,
    /// The metadata of the video, if it was asked for.
    pub user_metadata: Option<Map<String, Value>>,
    /// The clips of the video that fit, if the hits are videos.
    pub clips: Option<Vec<SearchItem>>,
}
