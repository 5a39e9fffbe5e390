//! Chunked uploads: sessions, chunks, and the helper that does all of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::list::pager::{PageInfo, SyncPager};
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{Progressing, Waitable};
use crate::error::Result;
use crate::http::session::Session;
use crate::resources::assets::AssetType;
use crate::resumable::ResumableUpload;
use crate::text::public_url;

/// Uploads files in chunks, see [`TwelveLabs::multipart_upload`](crate::TwelveLabs::multipart_upload).
///
/// [`upload_file`](Self::upload_file) does the whole of it; the other methods are its steps.
#[derive(Debug, Clone)]
pub struct MultipartUploadClient(pub(crate) Session);

impl MultipartUploadClient {
    /// Lists the sessions that are not completed, for those that can still be resumed.
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

    /// Starts a session for a file of `total_size` bytes. It lives for 24 hours, and its `asset_id` is reserved at
    /// once.
    ///
    /// The answer says how large the chunks have to be and where the first ones go. The platform documents up to 10 GB.
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
        request.json("filename", &filename.into());
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
    #[inline]
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
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
    }
}

request! {
    /// Options of [`MultipartUploadClient::get_status`].
    GetUploadStatus -> SyncPager<ChunkInfo> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most chunks on a page: 1 to 50, 10 by default.
        query page_limit: u32,
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

/// A session of a chunked upload. `Debug` shows no signatures and no values of headers.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
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

/// Where a chunk goes. The URL is a secret while it works: `Debug` leaves its signature out.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// What an `ETag` proves: itself without quotes and without the mark of a weak one. Nothing if it is empty.
    pub(crate) fn proof_of(etag: &str) -> Option<String> {
        let proof = etag.trim().trim_start_matches("W/").trim_matches('"').trim();
        (!proof.is_empty()).then(|| proof.into())
    }

    /// The chunk with this number (from 1), its `ETag` with or without quotes, and its size in bytes.
    pub fn new(chunk_index: u32, etag: &str, chunk_size: u64) -> Self {
        let proof = Self::proof_of(etag).unwrap_or_default();
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
    /// When the session was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it changed last.
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

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresignedUrl")
            .field("chunk_index", &self.chunk_index)
            .field("url", &self.url.as_deref().map(public_url))
            .field("expires_at", &self.expires_at)
            .finish()
    }
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
    /// # Errors
    ///
    /// [`Error::Decode`](crate::Error::Decode) if the answer cannot be read as one.
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
    /// When the session was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it ends.
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
