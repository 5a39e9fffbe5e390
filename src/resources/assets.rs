//! Assets: files uploaded to the platform, for use in its workflows.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::list::pager::SyncPager;
use crate::call::request::Request;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{Progressing, Waitable};
use crate::call::wait::status_list::StatusList;
use crate::file::FileSource;
use crate::http::body::Progress;
use crate::http::session::Session;
use crate::types::TranscriptionEntry;

/// What the platform documents for a local file in one request.
pub(crate) const LOCAL_LIMIT: u64 = 200_000_000;
const LOCAL_HINT: &str = "the platform documents 200 MB for a local video, audio file or document and 32 MB for an image; \
     give it larger ones by URL (up to 4 GB) or in chunks, with `assets().upload(…)`";
const URL_HINT: &str = "the platform documents 4 GB for a video or audio file by URL, 512 MB for a document and 32 MB \
     for an image; larger ones have to be uploaded in chunks, with `assets().upload(…)`";

/// Uploads files and keeps track of them, see [`TwelveLabs::assets`](crate::TwelveLabs::assets).
#[derive(Debug, Clone)]
pub struct AssetsClient(pub(crate) Session);

impl AssetsClient {
    /// Uploads a file, or lets the platform fetch one from a public URL.
    ///
    /// It returns while the platform is still processing the file, small ones too:
    /// [`wait_for_done`](Self::wait_for_done) before you use it. The documented limits are 200 MB for a local video,
    /// audio file or document, 32 MB for an image, and 4 GB for video and audio by URL.
    ///
    /// A file that cannot be read, is empty, or changes while it is sent is an [`Error::File`](crate::Error::File).
    ///
    /// ```no_run
    /// use twelvelabs::assets::UploadMethod;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let asset = client
    ///     .assets()
    ///     .create(UploadMethod::direct("holiday.mp4"))
    ///     .filename("Holiday 2026.mp4")
    ///     .progress_callback(|progress| eprintln!("{} bytes sent", progress.sent))
    ///     .send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, method: UploadMethod) -> CreateAsset {
        let mut request = self.0.post(&["assets"]).slow();
        match method {
            UploadMethod::Direct(file) => {
                request.form("method", "direct");
                request.file("file", &file);
                request = request.size_limit(LOCAL_LIMIT, LOCAL_HINT);
            }
            UploadMethod::Url(url) => {
                request.form("method", "url");
                request.form_url("url", &url);
                request = request.size_limit(u64::MAX, URL_HINT);
            }
        }
        request.into()
    }

    /// Lists the assets, newest first.
    ///
    /// ```no_run
    /// use twelvelabs::assets::AssetType;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for asset in client.assets().list().asset_types([AssetType::Video]).filename("holiday").send()? {
    ///     println!("{}", asset?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListAssets {
        self.0.get(&["assets"]).into()
    }

    /// Gets one asset with everything that is known about it.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let asset = client.assets().retrieve("65f…").send()?;
    /// println!("{:?} {:?}", asset.status, asset.duration);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, asset_id: &str) -> Call<Asset> {
        self.0.get(&["assets", asset_id]).into()
    }

    /// Deletes an asset for good.
    ///
    /// Fails with a conflict (409) while an index refers to it, unless [`force`](DeleteAsset::force) is set.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.assets().delete("65f…").force(true).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, asset_id: &str) -> DeleteAsset {
        self.0.delete(&["assets", asset_id]).into()
    }

    /// Gets the transcription of a video or audio asset. An asset without a transcription is a 404.
    ///
    /// The platform transcribes in the background: [`wait_for_transcription`](Self::wait_for_transcription) waits until
    /// it is done. This returns what there is; its [`status`](field@AssetTranscription::status) says how far it is.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let transcription = client.assets().retrieve_transcription("65f…").include(["utterances"]).send()?;
    /// println!("{:?}", transcription.status);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve_transcription(&self, asset_id: &str) -> RetrieveTranscription {
        self.0.get(&["assets", asset_id, "transcription"]).into()
    }

    /// Replaces all metadata of an asset. Keys that are left out are removed.
    ///
    /// Values are strings, numbers, booleans or lists of strings. Send integers beyond 53 bits as strings.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let metadata = serde_json::json!({"category": "recent", "hashtags": ["summer"]});
    /// client.assets().replace_user_metadata("65f…", metadata).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn replace_user_metadata(&self, asset_id: &str, user_metadata: impl Serialize) -> Call<()> {
        with_metadata(self.0.put(&["assets", asset_id, "user-metadata"]), &user_metadata)
    }

    /// Changes some metadata of an asset and keeps the rest.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.assets().update_user_metadata("65f…", serde_json::json!({"rating": 9.3})).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update_user_metadata(&self, asset_id: &str, user_metadata: impl Serialize) -> Call<()> {
        with_metadata(self.0.patch(&["assets", asset_id, "user-metadata"]), &user_metadata)
    }

    /// Deletes all metadata of an asset for good.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.assets().delete_user_metadata("65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete_user_metadata(&self, asset_id: &str) -> Call<()> {
        self.0.delete(&["assets", asset_id, "user-metadata"]).into()
    }

    /// Waits until an asset is ready, and returns it.
    ///
    /// A failed asset is an [`Error::Failed`](crate::Error::Failed) with the platform's reason.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let asset = client.assets().wait_for_done("65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, asset_id: &str) -> Wait<Asset> {
        Wait::new(self.0.get(&["assets", asset_id]), asset_id)
    }

    /// Waits until all of these assets are done, on one thread, and gives each as soon as it is: see
    /// [`WaitAll`](crate::WaitAll).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (id, result) in client.assets().wait_for_all(["65f…", "660…"]).send()? {
    ///     println!("{id}: {}", if result.is_ok() { "ready" } else { "failed" });
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_all<I: AsRef<str>>(&self, ids: impl IntoIterator<Item = I>) -> WaitAll<Asset> {
        WaitAll::new(&self.0, ids, |id| self.0.get(&["assets", id])).with_list(self.status_list())
    }

    /// Says which of many assets are still being processed.
    pub(crate) fn status_list(&self) -> StatusList {
        StatusList::by_ids(self.0.get(&["assets"]), "asset_ids", &["ready", "failed"])
    }

    /// Waits until the transcription of a video or audio asset is ready, and returns it.
    ///
    /// A transcription that failed is an [`Error::Failed`](crate::Error::Failed), and an asset without one a 404.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let transcription = client.assets().wait_for_transcription("65f…").include(["utterances"]).send()?;
    /// for turn in transcription.utterances.unwrap_or_default() {
    ///     println!("{:?}: {}", turn.start, turn.value.unwrap_or_default());
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_transcription(&self, asset_id: &str) -> Wait<AssetTranscription> {
        Wait::new(self.0.get(&["assets", asset_id, "transcription"]), asset_id)
    }
}

impl Wait<AssetTranscription> {
    /// Which segmentations to return. The platform's default is words.
    pub fn include(self, include: impl IntoIterator<Item = impl Into<TranscriptionInclude>>) -> Self {
        let include: Vec<TranscriptionInclude> = include.into_iter().map(Into::into).collect();
        self.with(|request| {
            request.forget("include");
            request.query("include", &include);
        })
    }
}

fn with_metadata(mut request: Request, user_metadata: &impl Serialize) -> Call<()> {
    let fields = request.object("user_metadata", user_metadata);
    request.json("user_metadata", &fields);
    request.into()
}

/// How a file gets to the platform.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum UploadMethod {
    /// Sent by this program.
    Direct(FileSource),
    /// Fetched by the platform from a public URL.
    Url(String),
}

impl UploadMethod {
    /// A file that this program sends: a path, or any [`FileSource`].
    pub fn direct(file: impl Into<FileSource>) -> Self {
        Self::Direct(file.into())
    }

    /// A file that the platform fetches: a direct link to raw media, or a VOD manifest (`.m3u8`).
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url(url.into())
    }
}

request! {
    /// Options of [`AssetsClient::create`].
    CreateAsset -> Asset {
        /// The name the platform keeps, instead of the file's.
        form filename: into String,
        /// Whether an HLS stream is made of video and audio. The platform's default is `true`.
        form enable_hls: bool,
        /// Whether thumbnails are made. The platform's default is `true`.
        form enable_thumbnail: bool,
        /// Your own metadata, to find the asset by: strings, numbers, booleans, lists of strings.
        form user_metadata: object,
    }
}

impl CreateAsset {
    /// Called as the file is sent, with the bytes so far. Starts over if the upload is repeated.
    pub fn progress_callback(mut self, progress_callback: impl FnMut(Progress) + Send + 'static) -> Self {
        self.0.progress = Some(Arc::new(Mutex::new(progress_callback)));
        self
    }
}

request! {
    /// Options of [`AssetsClient::list`].
    ListAssets -> SyncPager<Asset> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
        /// Only assets with these ids.
        query asset_ids: [String],
        /// Only assets of these types.
        query asset_types: [AssetType],
        /// Only assets whose name contains this, in upper or lower case.
        query filename: into String,
    }
}

request! {
    /// Options of [`AssetsClient::delete`].
    DeleteAsset -> () {
        /// Delete even if indexed assets refer to it.
        query force: bool,
    }
}

request! {
    /// Options of [`AssetsClient::retrieve_transcription`].
    RetrieveTranscription -> AssetTranscription {
        /// Which segmentations to return. The platform's default is words.
        query include: [TranscriptionInclude],
    }
}

open_enum! {
    /// The type of an asset, to list by.
    AssetType {
        /// An image.
        Image = "image",
        /// A video.
        Video = "video",
        /// An audio file.
        Audio = "audio",
        /// A PDF, text or Markdown file.
        Document = "document",
    }
}

open_enum! {
    /// The status of an asset.
    AssetStatus {
        /// It cannot be used yet.
        Processing = "processing",
        /// The same, in older answers.
        Waiting = "waiting",
        /// It can be used.
        Ready = "ready",
        /// The file could not be processed: see [`Asset::error`].
        Failed = "failed",
    }
}

open_enum! {
    /// How an asset came to the platform.
    AssetMethod {
        /// Sent from a program.
        Direct = "direct",
        /// Fetched from a URL.
        Url = "url",
        /// Sent in chunks.
        Multipart = "multipart",
        /// Imported through a connector.
        Connector = "connector",
    }
}

open_enum! {
    /// The status of a stream or a thumbnail.
    DerivedStatus {
        /// Not started.
        Pending = "pending",
        /// In progress.
        Processing = "processing",
        /// It can be used.
        Ready = "ready",
        /// It could not be made.
        Error = "error",
    }
}

open_enum! {
    /// The status of a transcription.
    TranscriptionStatus {
        /// Not started.
        Pending = "pending",
        /// In progress.
        Processing = "processing",
        /// It can be read.
        Ready = "ready",
        /// It could not be made.
        Failed = "failed",
    }
}

open_enum! {
    /// The segmentations of a transcription.
    TranscriptionInclude {
        /// One entry for each word.
        Words = "words",
        /// One entry for each sentence.
        Sentences = "sentences",
        /// One entry for each turn of a speaker.
        Utterances = "utterances",
    }
}

/// A file on the platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Asset {
    /// The id.
    #[serde(rename = "_id")]
    pub id: String,
    /// How it came to the platform.
    pub method: Option<AssetMethod>,
    /// Its status.
    pub status: Option<AssetStatus>,
    /// The file's name.
    pub filename: Option<String>,
    /// The file's MIME type.
    pub file_type: Option<String>,
    /// When it was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// Your own metadata.
    pub user_metadata: Option<Map<String, Value>>,
    /// Where it came from, if through a connector.
    pub source: Option<AssetSource>,
    /// The HLS stream made of it.
    pub hls: Option<AssetHls>,
    /// The thumbnail made of it.
    pub thumbnail: Option<AssetThumbnail>,
    /// What the platform read from the file.
    pub technical_metadata: Option<TechnicalMetadata>,
    /// The file's size in bytes, once it is ready.
    pub size: Option<u64>,
    /// The duration in seconds of video and audio, once it is ready.
    pub duration: Option<f64>,
    /// Why it failed.
    pub error: Option<AssetError>,
    /// A preview that expires, in older answers.
    pub url: Option<String>,
    /// When the preview expires, in older answers.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub url_expires_at: Option<OffsetDateTime>,
}

impl Asset {
    /// The type of the asset, read from its MIME type: [`file_type`](Self::file_type), or what the platform read from
    /// the file. `None` if the platform has said neither.
    ///
    /// ```no_run
    /// use twelvelabs::assets::AssetType;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let asset = client.assets().retrieve("65f…").send()?;
    /// println!("{}", asset.asset_type() == Some(AssetType::Image));
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn asset_type(&self) -> Option<AssetType> {
        let technical = self.technical_metadata.as_ref().and_then(|metadata| metadata.file_mime_type.as_deref());
        let mime_type = self.file_type.as_deref().or(technical)?;
        match mime_type.split('/').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "image" => Some(AssetType::Image),
            "video" => Some(AssetType::Video),
            "audio" => Some(AssetType::Audio),
            "document" | "application" | "text" => Some(AssetType::Document),
            _ => None,
        }
    }
}

/// An asset to add somewhere: a reference to an [`Asset`], which says its type, or an id, which does not.
///
/// ```
/// use twelvelabs::assets::{AssetRef, AssetType};
///
/// let by_id = AssetRef::from("65f…");
/// assert_eq!(by_id.asset_type, None);
/// let image = AssetRef::from("65f…").with_type(AssetType::Image);
/// assert_eq!(image.asset_type, Some(AssetType::Image));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssetRef {
    /// The id of the asset.
    pub id: String,
    /// The type of the asset, if it is known.
    pub asset_type: Option<AssetType>,
}

impl AssetRef {
    /// Sets the type, for an asset of which only the id is at hand.
    #[must_use]
    pub fn with_type(mut self, asset_type: impl Into<AssetType>) -> Self {
        self.asset_type = Some(asset_type.into());
        self
    }
}

impl From<&Asset> for AssetRef {
    fn from(asset: &Asset) -> Self {
        AssetRef { id: asset.id.clone(), asset_type: asset.asset_type() }
    }
}

impl From<Asset> for AssetRef {
    fn from(asset: Asset) -> Self {
        (&asset).into()
    }
}

impl From<String> for AssetRef {
    fn from(id: String) -> Self {
        AssetRef { id, asset_type: None }
    }
}

impl From<&String> for AssetRef {
    fn from(id: &String) -> Self {
        id.clone().into()
    }
}

impl From<&str> for AssetRef {
    fn from(id: &str) -> Self {
        id.to_owned().into()
    }
}

impl From<&&str> for AssetRef {
    fn from(id: &&str) -> Self {
        (*id).into()
    }
}

impl Waitable for Asset {
    const RESOURCE: &'static str = "asset";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn progressing(&self) -> Progressing {
        match &self.status {
            Some(AssetStatus::Ready) => Progressing::Done,
            Some(AssetStatus::Failed) => Progressing::Failed(self.error.as_ref().and_then(|e| e.message.clone())),
            _ => Progressing::Working,
        }
    }
}

/// Why an asset or a transcription failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetError {
    /// A code for the reason, where the platform gives one.
    pub code: Option<String>,
    /// The reason, as text.
    pub message: Option<String>,
}

/// Where an asset came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetSource {
    /// The kind of source, such as `connector`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What the provider says about the file.
    pub details: Option<AssetSourceDetails>,
}

/// What the provider of an imported file says about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetSourceDetails {
    /// The provider, such as `google_drive`.
    pub provider: Option<String>,
    /// The file's id there.
    pub source_id: Option<String>,
    /// The file's name there.
    pub original_filename: Option<String>,
    /// A link to the file there.
    pub source_link: Option<String>,
}

/// The HLS stream made of an asset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetHls {
    /// The URL of the manifest, once it is ready.
    pub manifest_url: Option<String>,
    /// Its status.
    pub status: Option<DerivedStatus>,
}

/// The thumbnail made of an asset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetThumbnail {
    /// The URL of the image, once it is ready.
    pub representative_url: Option<String>,
    /// Its status.
    pub status: Option<DerivedStatus>,
}

/// What is said in an asset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetTranscription {
    /// Its status.
    pub status: Option<TranscriptionStatus>,
    /// Word by word.
    pub words: Option<Vec<TranscriptionEntry>>,
    /// Sentence by sentence.
    pub sentences: Option<Vec<TranscriptionEntry>>,
    /// Speaker turn by speaker turn.
    pub utterances: Option<Vec<TranscriptionEntry>>,
    /// Why it failed.
    pub error: Option<AssetError>,
}

impl Waitable for AssetTranscription {
    const RESOURCE: &'static str = "transcription";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn progressing(&self) -> Progressing {
        match &self.status {
            Some(TranscriptionStatus::Ready) => Progressing::Done,
            Some(TranscriptionStatus::Failed) => {
                Progressing::Failed(self.error.as_ref().and_then(|e| e.message.clone()))
            }
            _ => Progressing::Working,
        }
    }
}

/// What the platform read from the file. A field that does not apply is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TechnicalMetadata {
    /// The size of the file in bytes.
    pub file_size_bytes: Option<i64>,
    /// The MIME type.
    pub file_mime_type: Option<String>,
    /// The container format.
    pub file_container_format: Option<String>,
    /// When the container was created, as the file says.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub container_creation_time: Option<OffsetDateTime>,
    /// The video streams.
    pub video_streams: Option<Vec<VideoStream>>,
    /// The video codec.
    pub video_codec: Option<String>,
    /// The video width in pixels.
    pub video_width: Option<i64>,
    /// The video height in pixels.
    pub video_height: Option<i64>,
    /// The video frames per second.
    pub video_fps: Option<f64>,
    /// The video duration in seconds.
    pub video_duration_seconds: Option<f64>,
    /// The video bitrate in bits per second.
    pub video_bitrate_bps: Option<i64>,
    /// The audio streams.
    pub audio_streams: Option<Vec<AudioStream>>,
    /// The audio codec.
    pub audio_codec: Option<String>,
    /// The audio sample rate in hertz.
    pub audio_sample_rate: Option<i64>,
    /// The number of audio channels.
    pub audio_channels: Option<i64>,
    /// The audio duration in seconds.
    pub audio_duration_seconds: Option<f64>,
    /// The timecode at the start.
    pub start_timecode: Option<String>,
    /// Where the timecode comes from.
    pub timecode_source: Option<String>,
    /// Whether the timecode drops frames.
    pub drop_frame: Option<bool>,
    /// The image width in pixels.
    pub image_width: Option<i64>,
    /// The image height in pixels.
    pub image_height: Option<i64>,
    /// The image format.
    pub image_format: Option<String>,
    /// The orientation of the image.
    pub image_orientation: Option<i64>,
    /// The image color space.
    pub image_color_space: Option<String>,
    /// Bits per color channel.
    pub image_bit_depth: Option<i64>,
    /// Whether it is HDR.
    pub is_hdr: Option<bool>,
    /// Whether it has audio.
    pub has_audio: Option<bool>,
    /// Whether it has an alpha channel.
    pub has_alpha: Option<bool>,
    /// Whether it is animated.
    pub is_animated: Option<bool>,
    /// The number of video streams.
    pub total_video_streams: Option<i64>,
    /// The number of audio streams.
    pub total_audio_streams: Option<i64>,
    /// The aspect ratio of a frame as it is stored.
    pub storage_aspect_ratio: Option<f64>,
    /// The latitude at which it was recorded, in degrees.
    pub geospatial_latitude: Option<f64>,
    /// The longitude at which it was recorded, in degrees.
    pub geospatial_longitude: Option<f64>,
    /// The altitude at which it was recorded, in metres.
    pub geospatial_altitude_meters: Option<f64>,
    /// The number of pages of the document.
    pub document_page_count: Option<i64>,
    /// The PDF version of the document.
    pub document_pdf_version: Option<String>,
    /// The width of a page in points.
    pub document_page_width_pt: Option<f64>,
    /// The height of a page in points.
    pub document_page_height_pt: Option<f64>,
    /// Whether the document is a tagged PDF.
    pub document_is_tagged: Option<bool>,
    /// Whether the document is encrypted.
    pub document_is_encrypted: Option<bool>,
    /// The document language.
    pub document_language: Option<String>,
    /// The document title.
    pub document_title: Option<String>,
    /// The document author.
    pub document_author: Option<String>,
    /// The document subject.
    pub document_subject: Option<String>,
    /// The document keywords.
    pub document_keywords: Option<String>,
    /// The program that the document was written with.
    pub document_creator_tool: Option<String>,
    /// The program that made the PDF.
    pub document_producer: Option<String>,
    /// When the document was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub document_creation_date: Option<OffsetDateTime>,
    /// When the document was last changed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub document_modification_date: Option<OffsetDateTime>,
}

/// A video stream of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoStream {
    /// The number of the stream in the file.
    pub index: Option<i64>,
    /// The codec.
    pub codec: Option<String>,
    /// The width in pixels.
    pub width: Option<i64>,
    /// The height in pixels.
    pub height: Option<i64>,
    /// The frames per second.
    pub fps: Option<f64>,
    /// The average frames per second.
    pub avg_fps: Option<f64>,
    /// The duration in seconds.
    pub duration_seconds: Option<f64>,
    /// The bitrate in bits per second.
    pub bitrate_bps: Option<i64>,
    /// The rotation in degrees.
    pub rotation: Option<i64>,
    /// The pixel aspect ratio.
    pub pixel_aspect_ratio: Option<String>,
    /// The display aspect ratio.
    pub display_aspect_ratio: Option<String>,
    /// Whether it is progressive or interlaced.
    pub scan_type: Option<String>,
    /// The pixel format.
    pub pixel_format: Option<String>,
    /// Bits per sample.
    pub bit_depth: Option<i64>,
    /// The range of the colors, such as `tv` or `pc`.
    pub color_range: Option<String>,
    /// The transfer characteristics of the colors.
    pub color_transfer: Option<String>,
    /// The color space.
    pub color_space: Option<String>,
    /// The color primaries.
    pub color_primaries: Option<String>,
}

/// An audio stream of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AudioStream {
    /// The number of the stream in the file.
    pub index: Option<i64>,
    /// The codec.
    pub codec: Option<String>,
    /// The full name of the codec.
    pub codec_long: Option<String>,
    /// The sample rate in hertz.
    pub sample_rate: Option<i64>,
    /// Bits per sample.
    pub bit_depth: Option<i64>,
    /// The number of channels.
    pub channels: Option<i64>,
    /// The channel layout.
    pub channel_layout: Option<String>,
    /// The bitrate in bits per second.
    pub bitrate_bps: Option<i64>,
    /// The language.
    pub language: Option<String>,
    /// The duration in seconds.
    pub duration_seconds: Option<f64>,
}
