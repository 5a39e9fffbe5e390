//! Chunked uploads: sessions, chunks, and the helper that does all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::{Call, RequestOptions};
use crate::cancel::{CancelHandle, Working};
use crate::chunks::{self, NewAsset, Settings};
use crate::client::TwelveLabs;
use crate::error::Result;
use crate::file::FileSource;
use crate::pager::{PageInfo, SyncPager};
use crate::resources::assets::AssetType;
use crate::wait::{Progressing, Wait, Waitable};

/// Uploads files in chunks, see [`TwelveLabs::multipart_upload`].
///
/// [`upload_file`](Self::upload_file) does the whole of it; the other methods are its steps.
#[derive(Debug, Clone)]
pub struct MultipartUploadClient(pub(crate) TwelveLabs);

impl MultipartUploadClient {
    /// Lists the sessions that were begun and not completed, for those that can still be resumed.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for upload in client.multipart_upload().list_incomplete_uploads().page_limit(50).send()? {
    ///     let upload = upload?;
    ///     println!("{} {:?} of {:?} bytes", upload.upload_id, upload.status, upload.total_size);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_incomplete_uploads(&self) -> ListIncompleteUploads {
        self.0.get(&["assets", "multipart-uploads"]).into()
    }

    /// Begins a session for a file of `total_size` bytes. It lives for 24 hours, and its `asset_id` is reserved at once.
    ///
    /// The answer says how large the chunks have to be and where the first ones go. The platform documents up to 10 GB.
    ///
    /// ```no_run
    /// use twelvelabs::AssetType;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let session = client.multipart_upload().create("holiday.mp4", AssetType::Video, 104_857_600).send()?;
    /// println!("{} chunks of {} bytes", session.total_chunks.unwrap_or(0), session.chunk_size.unwrap_or(0));
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, filename: &str, r#type: impl Into<AssetType>, total_size: u64) -> CreateUploadSession {
        let mut request = self.0.post(&["assets", "multipart-uploads"]);
        request.json("filename", filename);
        request.json("type", &r#type.into());
        request.json("total_size", &total_size);
        request.into()
    }

    /// Lists the state of each chunk of a session. The state of the session as a whole is in each page's answer:
    /// [`upload_status`](SyncPager::upload_status).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let chunks = client.multipart_upload().get_status("65f…").page_limit(50).send()?;
    /// println!("{:?}", chunks.upload_status()?.status);
    /// for chunk in chunks {
    ///     let chunk = chunk?;
    ///     println!("{:?} {:?}", chunk.index, chunk.status);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn get_status(&self, upload_id: &str) -> GetUploadStatus {
        self.0.get(&["assets", "multipart-uploads", upload_id]).items("uploaded_chunks").into()
    }

    /// Reports chunks that were sent, in any order. What was reported before is ignored.
    ///
    /// The upload is complete when the answer's `total_completed` is the session's `total_chunks`. Repeated after a
    /// passing fault, since that does no harm.
    ///
    /// ```no_run
    /// use twelvelabs::CompletedChunk;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let chunk = CompletedChunk::new(1, "d41d8cd98f00b204e9800998ecf8427e", 5_242_880);
    /// let report = client.multipart_upload().report_chunk_batch("65f…", [chunk]).send()?;
    /// println!("{:?} chunks are complete", report.total_completed);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn report_chunk_batch(
        &self,
        upload_id: &str,
        completed_chunks: impl IntoIterator<Item = CompletedChunk>,
    ) -> Call<ChunkReport> {
        let mut request = self.0.post(&["assets", "multipart-uploads", upload_id]).repeatable();
        request.json("completed_chunks", &completed_chunks.into_iter().collect::<Vec<_>>());
        request.into()
    }

    /// Asks where the chunks from `start` (counted from 1) on go: at most 50 at a time.
    ///
    /// Each URL works once and for one hour.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let more = client.multipart_upload().get_additional_presigned_urls("65f…", 21, 20).send()?;
    /// println!("{} URLs", more.upload_urls.unwrap_or_default().len());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn get_additional_presigned_urls(&self, upload_id: &str, start: u32, count: u32) -> Call<PresignedUrls> {
        let mut request = self.0.post(&["assets", "multipart-uploads", upload_id, "presigned-urls"]).repeatable();
        if start == 0 || count == 0 {
            request.reject("start", "chunks are counted from 1, and at least one is asked for");
        }
        request.json("start", &start);
        request.json("count", &count);
        request.into()
    }

    /// Uploads a file in chunks, several at a time, straight from the file.
    ///
    /// A chunk that fails is sent again, each time to a new URL. A passing fault costs no more than that, and whatever
    /// else goes wrong ends in an [`Error::Upload`](crate::Error::Upload) that has what it takes to
    /// [`resume`](UploadFile::resume). The file must not change meanwhile. It does not wait until the asset is ready:
    /// [`wait_for_done`](crate::AssetsClient::wait_for_done), or [`upload`](crate::AssetsClient::upload) in place of both.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let result = client
    ///     .multipart_upload()
    ///     .upload_file("holiday.mp4")
    ///     .max_workers(8)
    ///     .progress_callback(|progress| eprintln!("{:.0} %", progress.percentage()))
    ///     .send()?;
    /// println!("{}", result.asset_id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn upload_file(&self, file: impl Into<FileSource>) -> UploadFile {
        UploadFile {
            client: self.0.clone(),
            source: file.into(),
            asset: NewAsset::default(),
            settings: Settings::default(),
        }
    }

    /// Waits until the platform has counted every chunk of a session. The asset itself may still be processing.
    ///
    /// A session that failed or expired is an [`Error::Failed`](crate::Error::Failed).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let status = client.multipart_upload().wait_for_upload_completion("65f…").send()?;
    /// println!("{:?} chunks", status.chunks_completed);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn wait_for_upload_completion(&self, upload_id: &str) -> Wait<UploadStatus> {
        let mut request = self.0.get(&["assets", "multipart-uploads", upload_id]);
        request.query("page", &1);
        Wait::new(request, upload_id)
    }
}

request! {
    /// Options of [`MultipartUploadClient::create`].
    CreateUploadSession -> UploadSession {
        /// Whether an HLS stream is made of video and audio. The platform's default here is `false`.
        json enable_hls: bool,
        /// Whether thumbnails are made. The platform's default here is `false`.
        json enable_thumbnail: bool,
        /// Your own metadata, to find the asset by: strings, numbers, booleans, lists of strings.
        json user_metadata: object,
    }
}

request! {
    /// Options of [`MultipartUploadClient::list_incomplete_uploads`].
    ListIncompleteUploads -> SyncPager<IncompleteUpload> {
        /// The page to begin with, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
    }
}

request! {
    /// Options of [`MultipartUploadClient::get_status`].
    GetUploadStatus -> SyncPager<ChunkInfo> {
        /// The page to begin with, from 1.
        query page: u32,
        /// The most chunks on a page: 1 to 50, 10 by default.
        query page_limit: u32,
    }
}

/// Options of [`MultipartUploadClient::upload_file`].
#[derive(Debug)]
#[must_use = "nothing is sent before `.send()`"]
pub struct UploadFile {
    client: TwelveLabs,
    source: FileSource,
    asset: NewAsset,
    settings: Settings,
}

impl UploadFile {
    /// The name the platform keeps, instead of the file's.
    pub fn filename(mut self, filename: impl Into<String>) -> Self {
        self.asset.filename = Some(filename.into());
        self
    }

    /// The type of the asset, instead of the one that the file's name stands for (a video if it does not tell).
    pub fn file_type(mut self, file_type: impl Into<AssetType>) -> Self {
        self.asset.file_type = Some(file_type.into());
        self
    }

    /// Whether an HLS stream is made of video and audio. The platform's default here is `false`.
    pub fn enable_hls(mut self, enable_hls: bool) -> Self {
        self.asset.enable_hls = Some(enable_hls);
        self
    }

    /// Whether thumbnails are made. The platform's default here is `false`.
    pub fn enable_thumbnail(mut self, enable_thumbnail: bool) -> Self {
        self.asset.enable_thumbnail = Some(enable_thumbnail);
        self
    }

    /// Your own metadata, to find the asset by: strings, numbers, booleans, lists of strings. A resumed upload
    /// has those that it was begun with.
    pub fn user_metadata(mut self, user_metadata: impl Serialize) -> Self {
        self.asset.user_metadata = Some(serde_json::to_value(user_metadata).unwrap_or_default());
        self
    }

    /// How many chunks are reported at a time: 10 by default.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.settings.tuning.batch_size = batch_size;
        self
    }

    /// How many chunks are sent at a time, each on a connection of its own: 5 by default.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.settings.tuning.max_workers = max_workers;
        self
    }

    /// Called on this thread with the progress, from the moment on at which the session is known.
    pub fn progress_callback(mut self, progress_callback: impl FnMut(&UploadProgress) + Send + 'static) -> Self {
        self.settings.progress = Some(Box::new(progress_callback));
        self
    }

    /// How often a chunk that fails is sent again: 3 times by default.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.settings.tuning.max_retries = max_retries;
        self
    }

    /// The pause before a chunk is sent again: 1 s by default, and twice as long each further time.
    pub fn retry_delay(mut self, retry_delay: Duration) -> Self {
        self.settings.tuning.retry_delay = retry_delay;
        self
    }

    /// Goes on with an earlier upload of the same file and sends only the chunks that the platform lacks.
    ///
    /// Takes an `upload_id`, or better the [`ResumableUpload`] that progress and errors have: it also has what the
    /// platform does not tell again. Refused if the size of the file or the number of its chunks does not match.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let result = client.multipart_upload().upload_file("holiday.mp4").resume("65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn resume(mut self, upload: impl Into<ResumableUpload>) -> Self {
        self.settings.resume = Some(upload.into());
        self
    }

    /// Lets another thread stop it. What has arrived by then can be resumed.
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.settings.cancel = Some(cancel_handle.clone());
        self
    }

    /// Settings of the requests to the platform. Those that carry the chunks go elsewhere, and only the time limit holds
    /// for them.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.settings.tuning.options = request_options;
        self
    }

    when_some!();

    /// Uploads the file.
    ///
    /// An error after the session has begun is an [`Error::Upload`](crate::Error::Upload), which carries what is
    /// needed to resume it.
    pub fn send(self) -> Result<UploadResult> {
        let working = Working::new(&self.client, self.settings.cancel.clone(), None)?;
        chunks::upload(&working.client, &self.client, &self.source, self.asset, self.settings)
    }
}

open_enum! {
    /// The status of a session.
    UploadSessionStatus {
        /// Chunks can be sent and reported.
        Active = "active",
        /// Every chunk was reported. The asset may still be processing.
        Completed = "completed",
        /// It cannot be completed.
        Failed = "failed",
        /// Its 24 hours are over.
        Expired = "expired",
    }
}

open_enum! {
    /// The status of a chunk.
    ChunkStatus {
        /// Sent and reported.
        Completed = "completed",
        /// Not reported yet.
        Pending = "pending",
        /// It has to be sent again.
        Failed = "failed",
    }
}

/// A session that was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadSession {
    /// The id of the session.
    pub upload_id: String,
    /// The id that the asset will have.
    pub asset_id: Option<String>,
    /// Where the first chunks go; perhaps not all of them.
    pub upload_urls: Option<Vec<PresignedUrl>>,
    /// Headers that belong to each chunk's request.
    pub upload_headers: Option<BTreeMap<String, String>>,
    /// The size in bytes of each chunk but the last.
    pub chunk_size: Option<u64>,
    /// How many chunks there are.
    pub total_chunks: Option<u32>,
    /// When the session ends.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// Where a chunk goes. The URL is a secret while it works.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresignedUrl {
    /// The chunk's number, from 1.
    pub chunk_index: Option<u32>,
    /// The URL, for one PUT.
    pub url: Option<String>,
    /// When the URL ends.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// More URLs for chunks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresignedUrls {
    /// The id of the session.
    pub upload_id: Option<String>,
    /// The number of the first chunk.
    pub start_index: Option<u32>,
    /// How many URLs there are.
    pub count: Option<u32>,
    /// The URLs.
    pub upload_urls: Option<Vec<PresignedUrl>>,
    /// When they were made.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub generated_at: Option<OffsetDateTime>,
    /// When they end.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A chunk that was sent, to be reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompletedChunk {
    /// The chunk's number, from 1.
    pub chunk_index: u32,
    /// What the storage answered: the `ETag` without its quotes.
    pub proof: String,
    /// What the proof is: `etag`.
    pub proof_type: String,
    /// The chunk's size in bytes.
    pub chunk_size: u64,
}

impl CompletedChunk {
    /// The chunk with this number (from 1), its `ETag` with or without quotes, and its size in bytes.
    pub fn new(chunk_index: u32, etag: &str, chunk_size: u64) -> Self {
        let proof = etag.trim().trim_start_matches("W/").trim_matches('"').into();
        CompletedChunk { chunk_index, proof, proof_type: "etag".into(), chunk_size }
    }
}

/// What the platform says to a report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChunkReport {
    /// The asset's URL, once every chunk was reported.
    pub url: Option<String>,
    /// The asset's id.
    pub asset_id: Option<String>,
    /// How many chunks of the report were new.
    pub processed_chunks: Option<u32>,
    /// How many were known already.
    pub duplicate_chunks: Option<u32>,
    /// How many chunks of the session have been reported by now.
    pub total_completed: Option<u32>,
}

/// The state of a chunk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChunkInfo {
    /// The chunk's number, from 1.
    pub index: Option<u32>,
    /// Its status.
    pub status: Option<ChunkStatus>,
    /// When it was reported.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub uploaded_at: Option<OffsetDateTime>,
    /// When its state changed last.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// Why it failed.
    pub error: Option<String>,
}

/// The state of a session as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadStatus {
    /// The id of the session.
    pub upload_id: Option<String>,
    /// Its status.
    pub status: Option<UploadSessionStatus>,
    /// The chunks of the first page.
    pub uploaded_chunks: Option<Vec<ChunkInfo>>,
    /// How many chunks were sent and reported.
    pub chunks_completed: Option<u32>,
    /// How many chunks have to be sent again.
    pub chunks_failed: Option<u32>,
    /// How many chunks were not reported.
    pub chunks_pending: Option<u32>,
    /// Where the page stands among those with the chunks.
    pub page_info: Option<PageInfo>,
    /// The file's size in bytes.
    pub total_size: Option<u64>,
    /// How many bytes have arrived.
    pub uploaded_size: Option<u64>,
    /// When the session began.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it changed last.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

impl Waitable for UploadStatus {
    const RESOURCE: &'static str = "upload";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn progressing(&self) -> Progressing {
        match &self.status {
            Some(UploadSessionStatus::Completed) => Progressing::Done,
            Some(UploadSessionStatus::Failed | UploadSessionStatus::Expired) => {
                Progressing::Failed(self.uploaded_chunks.iter().flatten().find_map(|chunk| chunk.error.clone()))
            }
            _ => Progressing::Working,
        }
    }
}

impl SyncPager<ChunkInfo> {
    /// The state of the session as a whole, as it was when this page was fetched.
    ///
    /// An error if the answer cannot be read as one.
    pub fn upload_status(&self) -> Result<UploadStatus> {
        self.decode_response()
    }
}

/// A session that was not completed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IncompleteUpload {
    /// The id of the session.
    pub upload_id: String,
    /// Its status.
    pub status: Option<UploadSessionStatus>,
    /// The file's size in bytes.
    pub total_size: Option<u64>,
    /// The size in bytes of each chunk but the last.
    pub chunk_size: Option<u64>,
    /// How many chunks there are.
    pub total_chunks: Option<u32>,
    /// When the session began.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it ends.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// What it takes to go on with an upload. Keep it as JSON if it has to outlive the program.
///
/// An `upload_id` alone becomes one, too: the rest is asked of the platform, except for the headers of the chunks'
/// requests and the asset's id, which it tells only once.
///
/// ```
/// use twelvelabs::ResumableUpload;
///
/// let upload = ResumableUpload::from("65f0");
/// let kept = serde_json::to_string(&upload)?;
/// assert_eq!(serde_json::from_str::<ResumableUpload>(&kept)?, upload);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResumableUpload {
    /// The id of the session.
    pub upload_id: String,
    /// The id that the asset will have.
    pub asset_id: Option<String>,
    /// The size in bytes of each chunk but the last.
    pub chunk_size: Option<u64>,
    /// Headers that belong to each chunk's request.
    #[serde(default)]
    pub upload_headers: BTreeMap<String, String>,
    /// When the session ends.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

impl From<&str> for ResumableUpload {
    fn from(upload_id: &str) -> Self {
        ResumableUpload { upload_id: upload_id.into(), ..Self::default() }
    }
}

impl From<String> for ResumableUpload {
    fn from(upload_id: String) -> Self {
        upload_id.as_str().into()
    }
}

impl From<&String> for ResumableUpload {
    fn from(upload_id: &String) -> Self {
        upload_id.as_str().into()
    }
}

impl From<&ResumableUpload> for ResumableUpload {
    fn from(upload: &ResumableUpload) -> Self {
        upload.clone()
    }
}

impl From<&UploadSession> for ResumableUpload {
    fn from(session: &UploadSession) -> Self {
        ResumableUpload {
            upload_id: session.upload_id.clone(),
            asset_id: session.asset_id.clone(),
            chunk_size: session.chunk_size,
            upload_headers: session.upload_headers.clone().unwrap_or_default(),
            expires_at: session.expires_at,
        }
    }
}

/// What an upload is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UploadState {
    /// The file is being sent.
    Uploading,
    /// The file has arrived completely.
    Uploaded,
    /// The platform is processing the asset.
    Processing,
    /// The asset can be used.
    Ready,
}

/// The progress of an upload.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UploadProgress {
    /// What it is busy with.
    pub state: UploadState,
    /// Bytes handed to the network, without those that have to be sent again. A resumed upload begins with what the
    /// platform has.
    pub sent: u64,
    /// The file's size in bytes, if it is known.
    pub total: Option<u64>,
    /// How many chunks the storage has; 0 if the file goes in one request, and once the asset is processed.
    pub completed_chunks: u32,
    /// How many chunks there are; 0 if the file goes in one request, and once the asset is processed.
    pub total_chunks: u32,
    /// What it takes to resume the upload, from the first event on until the file has arrived; nothing if it goes in
    /// one request.
    pub upload: Option<Arc<ResumableUpload>>,
    /// The asset's id, once it is known.
    pub asset_id: Option<String>,
}

impl UploadProgress {
    /// From 0 to 100.
    pub fn percentage(&self) -> f64 {
        match self.total {
            Some(total) if total > 0 => (self.sent as f64 / total as f64 * 100.0).min(100.0),
            _ => 0.0,
        }
    }

    /// The id of the session, for a later [`resume`](UploadFile::resume).
    pub fn upload_id(&self) -> Option<&str> {
        self.upload.as_ref().map(|upload| upload.upload_id.as_str())
    }
}

/// A chunked upload that got through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadResult {
    /// The asset's id.
    pub asset_id: String,
    /// The asset's URL, if the platform gave one.
    pub asset_url: Option<String>,
    /// The id of the session.
    pub upload_id: String,
}
