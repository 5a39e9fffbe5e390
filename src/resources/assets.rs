//! Assets: files on the platform that other calls refer to by id.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::request::Request;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::call::wait::status_list::StatusList;
use crate::file::FileSource;
use crate::http::body::Progress;
use crate::http::session::Session;
use crate::resources::technical_metadata::TechnicalMetadata;
use crate::text::Masked;
use crate::types::TranscriptionEntry;

/// The documented size limit of a local file that is sent in one request.
pub(crate) const LOCAL_LIMIT: u64 = 200_000_000;
const LOCAL_HINT: &str = "the documented limits are 200 MB for a local video, audio file or document and 32 MB for an \
     image; send larger files by URL (up to 4 GB) or in chunks, with `assets().upload(…)`";
const URL_HINT: &str = "the documented limits by URL are 4 GB for a video or audio file, 512 MB for a document and \
     32 MB for an image; larger files have to be uploaded in chunks, with `assets().upload(…)`";

/// Uploads and manages assets. Returned by [`TwelveLabs::assets`](crate::TwelveLabs::assets).
#[derive(Debug, Clone)]
pub struct AssetsClient(pub(crate) Session);

impl AssetsClient {
    /// Uploads a file, or lets the platform fetch one from a public URL.
    ///
    /// The call returns before the platform has processed the file, even a small one. Call
    /// [`wait_for_done`](Self::wait_for_done) before you use the asset. The platform's documented limits are 200 MB for
    /// a local video, audio file or document, 32 MB for an image, and 4 GB for video and audio by URL.
    ///
    /// A file that cannot be read, is empty, or changes while it is being sent returns an
    /// [`Error::File`](crate::Error::File).
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

    /// Gets an asset with all its details.
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

    /// Deletes an asset permanently.
    ///
    /// The platform responds with a conflict (409) while an index refers to the asset, unless
    /// [`force`](DeleteAsset::force) is set.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.assets().delete("65f…").force(true).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, asset_id: &str) -> DeleteAsset {
        self.0.delete(&["assets", asset_id]).into()
    }

    /// Gets the transcription of a video or audio asset. The platform answers 404 if the asset has none.
    ///
    /// The platform transcribes in the background. This call returns the current state, see
    /// [`status`](field@AssetTranscription::status); [`wait_for_transcription`](Self::wait_for_transcription) waits
    /// until the transcription is ready.
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

    /// Replaces all user metadata of an asset. Keys that are left out are removed.
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

    /// Updates the given user metadata of an asset and keeps the rest.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.assets().update_user_metadata("65f…", serde_json::json!({"rating": 9.3})).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn update_user_metadata(&self, asset_id: &str, user_metadata: impl Serialize) -> Call<()> {
        with_metadata(self.0.patch(&["assets", asset_id, "user-metadata"]), &user_metadata)
    }

    /// Deletes all user metadata of an asset permanently.
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
    /// An asset that fails returns an [`Error::Failed`](crate::Error::Failed) with the platform's reason.
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

    /// Waits for several assets on one thread and yields each as soon as it is done. See [`WaitAll`](crate::WaitAll).
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

    /// Creates the list that says which of many assets are still being processed.
    pub(crate) fn status_list(&self) -> StatusList {
        StatusList::by_ids(self.0.get(&["assets"]), "asset_ids", &["ready", "failed"])
    }

    /// Waits until the transcription of a video or audio asset is ready, and returns it.
    ///
    /// A transcription that fails returns an [`Error::Failed`](crate::Error::Failed). The platform answers 404 if the
    /// asset has none.
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
    /// Sets the segmentations to return. The platform's default is words.
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

/// The method by which a file reaches the platform. `Debug` shows a URL without its query, which may be a signature.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum UploadMethod {
    /// This program sends the file.
    Direct(FileSource),
    /// The platform fetches the file from a public URL.
    Url(String),
}

impl fmt::Debug for UploadMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(file) => f.debug_tuple("Direct").field(file).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&Masked(url)).finish(),
        }
    }
}

impl UploadMethod {
    /// Uploads a file that this program sends: a path, or any [`FileSource`].
    pub fn direct(file: impl Into<FileSource>) -> Self {
        Self::Direct(file.into())
    }

    /// Uploads a file that the platform fetches from a direct link to raw media, or to a VOD manifest (`.m3u8`).
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url(url.into())
    }
}

request! {
    /// The builder returned by [`AssetsClient::create`].
    CreateAsset -> Asset {
        /// Sets whether to create an HLS stream of video and audio. The platform's default is `true`.
        form enable_hls: bool,
        /// Sets whether to create thumbnails. The platform's default is `true`.
        form enable_thumbnail: bool,
        /// Sets your own metadata, to find the asset by: strings, numbers, booleans or lists of strings.
        form user_metadata: object,
    }
}

impl CreateAsset {
    /// Sets the name that the platform stores, instead of the file's own.
    pub fn filename(mut self, filename: impl Into<String>) -> Self {
        let filename = filename.into();
        self.0.check_filename(&filename);
        self.0.forget("filename");
        self.0.form("filename", &filename);
        self
    }

    /// Sets a function that is called with the number of bytes sent so far while the file is being sent. The count
    /// restarts if the request is retried.
    pub fn progress_callback(mut self, progress_callback: impl FnMut(Progress) + Send + 'static) -> Self {
        self.0 = self.0.progress(progress_callback);
        self
    }
}

request! {
    /// The builder returned by [`AssetsClient::list`].
    ListAssets -> SyncPager<Asset> {
        paging,
        /// Restricts the results to assets with these ids.
        query asset_ids: [String],
        /// Restricts the results to assets of these types.
        query asset_types: [AssetType],
        /// Restricts the results to assets whose name contains this text, ignoring case.
        query filename: into String,
    }
}

request! {
    /// The builder returned by [`AssetsClient::delete`].
    DeleteAsset -> () {
        /// Sets whether to delete the asset even if indexed assets refer to it.
        query force: bool,
    }
}

request! {
    /// The builder returned by [`AssetsClient::retrieve_transcription`].
    RetrieveTranscription -> AssetTranscription {
        /// Sets the segmentations to return. The platform's default is words.
        query include: [TranscriptionInclude],
    }
}

open_enum! {
    /// The type of an asset.
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
        /// The platform is still processing the asset.
        Processing = "processing",
        /// The same as `processing`, in older responses.
        Waiting = "waiting",
        /// The asset is ready for use.
        Ready = "ready",
        /// The platform could not process the file: see [`Asset::error`].
        Failed = "failed",
    }
}

open_enum! {
    /// The method by which an asset reached the platform.
    AssetMethod {
        /// Sent by a program in one request.
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
    /// The status of an HLS stream or a thumbnail.
    DerivedStatus {
        /// The platform has not started to create the stream or thumbnail yet.
        Pending = "pending",
        /// The platform is creating the stream or thumbnail.
        Processing = "processing",
        /// The stream or thumbnail is ready for use.
        Ready = "ready",
        /// The stream or thumbnail could not be created.
        Error = "error",
    }
}

open_enum! {
    /// The status of a transcription.
    TranscriptionStatus {
        /// The platform has not started the transcription yet.
        Pending = "pending",
        /// The platform is creating the transcription.
        Processing = "processing",
        /// The transcription is ready to read.
        Ready = "ready",
        /// The transcription could not be created.
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
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Asset {
    /// The id of the asset.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The method by which the asset reached the platform.
    pub method: Option<AssetMethod>,
    /// The status of the asset.
    pub status: Option<AssetStatus>,
    /// The file's name.
    pub filename: Option<String>,
    /// The file's MIME type.
    pub file_type: Option<String>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// Your own metadata.
    pub user_metadata: Option<Map<String, Value>>,
    /// The origin of an asset that was imported through a connector.
    pub source: Option<AssetSource>,
    /// The HLS stream of the asset.
    pub hls: Option<AssetHls>,
    /// The thumbnail of the asset.
    pub thumbnail: Option<AssetThumbnail>,
    /// The metadata that the platform read from the file.
    pub technical_metadata: Option<TechnicalMetadata>,
    /// The file's size in bytes, once it is ready.
    pub size: Option<u64>,
    /// The duration in seconds of video and audio, once it is ready.
    pub duration: Option<f64>,
    /// The reason for a failure.
    pub error: Option<AssetError>,
    /// The URL of a preview, which expires. Only in older responses.
    pub url: Option<String>,
    /// The time at which the preview expires. Only in older responses.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub url_expires_at: Option<OffsetDateTime>,
}

masked_debug! {
    Asset {
        id, method, status, filename, file_type, created_at, user_metadata, source, hls, thumbnail,
        technical_metadata, size, duration, error, url: masked, url_expires_at,
    }
}

impl Asset {
    /// Returns the type of the asset according to its MIME type: [`file_type`](Self::file_type), or otherwise the one
    /// in the [`technical_metadata`](Self::technical_metadata). `None` if the platform returned neither.
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
        AssetType::from_mime_type(mime_type)
    }
}

/// An asset as an argument: a reference to an [`Asset`], whose type is known, or an id, whose type is not.
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
    /// Sets the type of an asset that is given by its id.
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

impl Pollable for Asset {
    const RESOURCE: &'static str = "asset";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(AssetStatus::Ready) => PollStatus::Done,
            Some(AssetStatus::Failed) => PollStatus::Failed(self.error.as_ref().and_then(|e| e.message.clone())),
            _ => PollStatus::Working,
        }
    }
}

/// The reason why an asset or a transcription failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetError {
    /// The platform's code for the reason, if it gives one.
    pub code: Option<String>,
    /// The reason as text.
    pub message: Option<String>,
}

/// The origin of an asset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetSource {
    /// The kind of source, such as `connector`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The provider's details about the file.
    pub details: Option<AssetSourceDetails>,
}

/// The details of an imported file, as reported by its provider.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetSourceDetails {
    /// The provider, such as `google_drive`.
    pub provider: Option<String>,
    /// The file's id at the provider.
    pub source_id: Option<String>,
    /// The file's name at the provider.
    pub original_filename: Option<String>,
    /// A link to the file at the provider.
    pub source_link: Option<String>,
}

masked_debug! {
    AssetSourceDetails {
        provider, source_id, original_filename, source_link: masked,
    }
}

/// The HLS stream of an asset.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetHls {
    /// The URL of the manifest, once the stream is ready.
    pub manifest_url: Option<String>,
    /// The status of the stream.
    pub status: Option<DerivedStatus>,
}

masked_debug! {
    AssetHls {
        manifest_url: masked, status,
    }
}

/// The thumbnail of an asset.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetThumbnail {
    /// The URL of the image, once the thumbnail is ready.
    pub representative_url: Option<String>,
    /// The status of the thumbnail.
    pub status: Option<DerivedStatus>,
}

masked_debug! {
    AssetThumbnail {
        representative_url: masked, status,
    }
}

/// The transcription of an asset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssetTranscription {
    /// The status of the transcription.
    pub status: Option<TranscriptionStatus>,
    /// The words, one entry for each.
    pub words: Option<Vec<TranscriptionEntry>>,
    /// The sentences, one entry for each.
    pub sentences: Option<Vec<TranscriptionEntry>>,
    /// The turns of the speakers, one entry for each.
    pub utterances: Option<Vec<TranscriptionEntry>>,
    /// The reason for a failure.
    pub error: Option<AssetError>,
}

impl Pollable for AssetTranscription {
    const RESOURCE: &'static str = "transcription";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(TranscriptionStatus::Ready) => PollStatus::Done,
            Some(TranscriptionStatus::Failed) => {
                PollStatus::Failed(self.error.as_ref().and_then(|e| e.message.clone()))
            }
            _ => PollStatus::Working,
        }
    }
}
