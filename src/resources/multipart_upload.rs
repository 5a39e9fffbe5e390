//! Chunked uploads: the sessions, their chunks, and a helper that does it all.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::{PageInfo, SyncPager};
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::error::Result;
use crate::http::session::Session;
use crate::resources::assets::AssetType;
use crate::resumable::ResumableUpload;

/// Uploads files in chunks. Returned by [`TwelveLabs::multipart_upload`](crate::TwelveLabs::multipart_upload).
///
/// [`upload_file`](Self::upload_file) does everything. The other methods are the individual steps.
#[derive(Debug, Clone)]
pub struct MultipartUploadClient(pub(crate) Session);

impl MultipartUploadClient {
    /// Lists the sessions that are not completed, to find those that can still be resumed.
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

    /// Starts a session for a file of `total_size` bytes. A session lasts 24 hours. Its `asset_id` is reserved
    /// immediately.
    ///
    /// The response contains the chunk size and the URLs of the first chunks. The platform's documented limit is 10 GB.
    ///
    /// ```no_run
    /// use twelvelabs::assets::AssetType;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let session = client.multipart_upload().create("holiday.mp4", AssetType::Video, 104_857_600).send()?;
    /// println!("{} chunks of {} bytes", session.total_chunks.unwrap_or(0), session.chunk_size.unwrap_or(0));
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(
        &self,
        filename: impl Into<String>,
        r#type: impl Into<AssetType>,
        total_size: u64,
    ) -> CreateUploadSession {
        let mut request = self.0.post(&["assets", "multipart-uploads"]);
        let filename = filename.into();
        request.check_filename(&filename);
        request.json("filename", &filename);
        request.json("type", &r#type.into());
        request.json("total_size", &total_size);
        request.into()
    }

    /// Lists the state of each chunk of a session. Each page also contains the state of the session as a whole: see
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

    /// Reports the chunks that were sent, in any order. The platform ignores chunks that were reported before.
    ///
    /// The upload is complete when `total_completed` in the response equals `total_chunks` of the session. This POST is
    /// retried like a GET, because it is safe to repeat.
    ///
    /// ```no_run
    /// use twelvelabs::multipart_upload::CompletedChunk;
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
        let mut request = self.0.post(&["assets", "multipart-uploads", upload_id]).idempotent();
        request.json("completed_chunks", &completed_chunks.into_iter().collect::<Vec<_>>());
        request.into()
    }

    /// Requests the URLs of `count` chunks, beginning with the chunk number `start` (from 1). The platform returns at
    /// most 50 at a time.
    ///
    /// Each URL can be used once and expires after one hour.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let more = client.multipart_upload().get_additional_presigned_urls("65f…", 21, 20).send()?;
    /// println!("{} URLs", more.upload_urls.unwrap_or_default().len());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn get_additional_presigned_urls(&self, upload_id: &str, start: u32, count: u32) -> Call<PresignedUrls> {
        let mut request = self.0.post(&["assets", "multipart-uploads", upload_id, "presigned-urls"]).idempotent();
        if start == 0 || count == 0 {
            request.reject("start", "and `count` must be at least 1");
        }
        request.json("start", &start);
        request.json("count", &count);
        request.into()
    }

    /// Waits until every chunk of a session has been reported. The platform may still be processing the asset
    /// afterwards.
    ///
    /// A session that fails or expires returns an [`Error::Failed`](crate::Error::Failed).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let status = client.multipart_upload().wait_for_upload_completion("65f…").send()?;
    /// println!("{:?} chunks", status.chunks_completed);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_upload_completion(&self, upload_id: &str) -> Wait<UploadStatus> {
        let mut request = self.0.get(&["assets", "multipart-uploads", upload_id]);
        request.query("page", &1);
        Wait::new(request, upload_id)
    }
}

request! {
    /// The builder returned by [`MultipartUploadClient::create`].
    CreateUploadSession -> UploadSession {
        /// Sets whether to create an HLS stream of video and audio. The platform's default for this call is `false`.
        json enable_hls: bool,
        /// Sets whether to create thumbnails. The platform's default for this call is `false`.
        json enable_thumbnail: bool,
        /// Sets your own metadata, to find the asset by: strings, numbers, booleans or lists of strings.
        json user_metadata: object,
    }
}

request! {
    /// The builder returned by [`MultipartUploadClient::list_incomplete_uploads`].
    ListIncompleteUploads -> SyncPager<IncompleteUpload> {
        paging,
    }
}

request! {
    /// The builder returned by [`MultipartUploadClient::get_status`].
    GetUploadStatus -> SyncPager<ChunkInfo> {
        /// Sets the number of the first page to fetch, from 1.
        query page: u32,
        /// Sets the maximum number of chunks on a page: 1 to 50. The platform's default is 10.
        query page_limit: u32,
    }
}

open_enum! {
    /// The status of a session.
    UploadSessionStatus {
        /// Chunks can be sent and reported.
        Active = "active",
        /// Every chunk was reported. The platform may still be processing the asset.
        Completed = "completed",
        /// The session cannot be completed.
        Failed = "failed",
        /// The session has expired.
        Expired = "expired",
    }
}

open_enum! {
    /// The status of a chunk.
    ChunkStatus {
        /// The chunk was sent and reported.
        Completed = "completed",
        /// The chunk has not been reported yet.
        Pending = "pending",
        /// The chunk has to be sent again.
        Failed = "failed",
    }
}

/// A session of a chunked upload. `Debug` shows neither signatures nor the values of headers.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadSession {
    /// The id of the session.
    #[serde(deserialize_with = "usable")]
    pub upload_id: String,
    /// The id that the asset will have.
    pub asset_id: Option<String>,
    /// The URLs of the first chunks, which need not be all of them.
    pub upload_urls: Option<Vec<PresignedUrl>>,
    /// The headers to send with each chunk.
    pub upload_headers: Option<BTreeMap<String, String>>,
    /// The size in bytes of each chunk except the last.
    pub chunk_size: Option<u64>,
    /// The number of chunks.
    pub total_chunks: Option<u32>,
    /// The time at which the session expires.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// The URL of a chunk. Treat it as a secret until it expires; `Debug` leaves its signature out.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresignedUrl {
    /// The chunk's number, from 1.
    pub chunk_index: Option<u32>,
    /// The URL, for one PUT.
    pub url: Option<String>,
    /// The time at which the URL expires.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

masked_debug! {
    PresignedUrl {
        chunk_index, url: masked, expires_at,
    }
}

/// Further URLs for the chunks of a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresignedUrls {
    /// The id of the session.
    pub upload_id: Option<String>,
    /// The number of the first chunk.
    pub start_index: Option<u32>,
    /// The number of URLs.
    pub count: Option<u32>,
    /// The URLs.
    pub upload_urls: Option<Vec<PresignedUrl>>,
    /// The time at which the URLs were created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub generated_at: Option<OffsetDateTime>,
    /// The time at which the URLs expire.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// A chunk that was sent and must still be reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CompletedChunk {
    /// The chunk's number, from 1.
    pub chunk_index: u32,
    /// The `ETag` that the storage returned, without its quotes.
    pub proof: String,
    /// The kind of proof: `etag`.
    pub proof_type: String,
    /// The chunk's size in bytes.
    pub chunk_size: u64,
}

impl CompletedChunk {
    /// Returns the proof in an `ETag`: its value without quotes and without the `W/` of a weak one. `None` if nothing
    /// remains.
    pub(crate) fn proof_of(etag: &str) -> Option<String> {
        let proof = etag.trim().trim_start_matches("W/").trim_matches('"').trim();
        (!proof.is_empty()).then(|| proof.into())
    }

    /// Creates a report of a chunk from its number (from 1), its `ETag` with or without quotes, and its size in bytes.
    pub fn new(chunk_index: u32, etag: &str, chunk_size: u64) -> Self {
        let proof = Self::proof_of(etag).unwrap_or_default();
        CompletedChunk { chunk_index, proof, proof_type: "etag".into(), chunk_size }
    }
}

/// The platform's response to a report.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChunkReport {
    /// The asset's URL, once every chunk has been reported.
    pub url: Option<String>,
    /// The asset's id.
    pub asset_id: Option<String>,
    /// The number of chunks in the report that were new.
    pub processed_chunks: Option<u32>,
    /// The number of chunks in the report that had been reported before.
    pub duplicate_chunks: Option<u32>,
    /// The number of chunks of the session that have been reported so far.
    pub total_completed: Option<u32>,
}

masked_debug! {
    ChunkReport {
        url: masked, asset_id, processed_chunks, duplicate_chunks, total_completed,
    }
}

/// The state of a chunk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChunkInfo {
    /// The chunk's number, from 1.
    pub index: Option<u32>,
    /// The status of the chunk.
    pub status: Option<ChunkStatus>,
    /// The time at which the chunk was reported.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub uploaded_at: Option<OffsetDateTime>,
    /// The time of the last change of the status.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// The reason for a failure.
    pub error: Option<String>,
}

/// The state of a session as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadStatus {
    /// The id of the session.
    pub upload_id: Option<String>,
    /// The status of the upload session.
    pub status: Option<UploadSessionStatus>,
    /// The chunks of the first page.
    pub uploaded_chunks: Option<Vec<ChunkInfo>>,
    /// The number of chunks that were sent and reported.
    pub chunks_completed: Option<u32>,
    /// The number of chunks that have to be sent again.
    pub chunks_failed: Option<u32>,
    /// The number of chunks that were not reported.
    pub chunks_pending: Option<u32>,
    /// The position of this page among the pages of chunks.
    pub page_info: Option<PageInfo>,
    /// The file's size in bytes.
    pub total_size: Option<u64>,
    /// The number of bytes that have arrived.
    pub uploaded_size: Option<u64>,
    /// The time at which the session was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
}

impl fmt::Debug for UploadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadSession")
            .field("upload_id", &self.upload_id)
            .field("asset_id", &self.asset_id)
            .field("upload_urls", &self.upload_urls)
            .field("upload_headers", &self.upload_headers.as_ref().map(|headers| headers.keys().collect::<Vec<_>>()))
            .field("chunk_size", &self.chunk_size)
            .field("total_chunks", &self.total_chunks)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

impl Pollable for UploadStatus {
    const RESOURCE: &'static str = "upload";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(UploadSessionStatus::Completed) => PollStatus::Done,
            Some(UploadSessionStatus::Failed | UploadSessionStatus::Expired) => {
                PollStatus::Failed(self.uploaded_chunks.iter().flatten().find_map(|chunk| chunk.error.clone()))
            }
            _ => PollStatus::Working,
        }
    }
}

impl SyncPager<ChunkInfo> {
    /// Returns the state of the whole session at the time when this page was fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`](crate::Error::Decode) if the response does not contain a valid state.
    pub fn upload_status(&self) -> Result<UploadStatus> {
        self.decode_response()
    }
}

/// A session that was not completed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IncompleteUpload {
    /// The id of the session.
    #[serde(deserialize_with = "usable")]
    pub upload_id: String,
    /// The status of the upload session.
    pub status: Option<UploadSessionStatus>,
    /// The file's size in bytes.
    pub total_size: Option<u64>,
    /// The size in bytes of each chunk except the last.
    pub chunk_size: Option<u64>,
    /// The number of chunks.
    pub total_chunks: Option<u32>,
    /// The time at which the session was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time at which the session expires.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

impl From<&UploadSession> for ResumableUpload {
    fn from(session: &UploadSession) -> Self {
        ResumableUpload {
            upload_id: session.upload_id.clone(),
            asset_id: session.asset_id.clone(),
            chunk_size: session.chunk_size,
            upload_headers: session.upload_headers.clone().unwrap_or_default(),
            expires_at: session.expires_at,
            file: None,
        }
    }
}
