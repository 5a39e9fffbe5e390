//! The session of a chunked upload, either new or resumed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::call::encode::{check_header, check_segment, insert_header};
use crate::call::list::pager::SyncPager;
use crate::call::options::RequestOptions;
use crate::error::{Error, Result, UploadError};
use crate::file::{FileSource, Inspected};
use crate::http::attempt::{API_KEY_HEADER, HeaderMap};
use crate::http::engine::STORAGE_OPERATION;
use crate::http::session::Session;
use crate::resources::assets::{AssetStatus, AssetType};
use crate::resources::multipart_upload::{ChunkInfo, ChunkStatus, PresignedUrl, UploadSessionStatus};
use crate::resumable::{FileStamp, ResumableUpload};
use crate::text::printable;
use crate::upload::options::NewAsset;

/// The maximum number of chunks. A platform that announces more has made a mistake.
const MAX_CHUNKS: u32 = 1_000_000;
/// The headers that a session must not set: they belong to the connection, or must never reach the storage.
const OWN_HEADERS: [&str; 5] = [API_KEY_HEADER, "host", "content-length", "transfer-encoding", "connection"];

/// A session, and the chunks that are missing in it.
pub(crate) struct UploadPlan {
    pub upload: Arc<ResumableUpload>,
    pub chunk_size: u64,
    pub total_chunks: u32,
    pub urls: Vec<PresignedUrl>,
    pub missing: BTreeSet<u32>,
    /// Whether the platform is known to have the whole file.
    pub is_complete: bool,
}

impl UploadPlan {
    /// Returns the error for an upload that was stopped before anything was sent.
    pub(crate) fn stopped(&self, cause: Error) -> Error {
        Error::from(Box::new(UploadError {
            missing: self.missing.iter().copied().collect(),
            total_chunks: self.total_chunks,
            ..error((*self.upload).clone(), cause)
        }))
    }

    /// Creates a session.
    pub(crate) fn create(
        client: &Session,
        source: &FileSource,
        inspected: &Inspected,
        asset: NewAsset,
        options: &RequestOptions,
    ) -> Result<Self> {
        let length = inspected.length().unwrap_or_default();
        let file = fingerprint(inspected)?;
        let filename = asset.filename.unwrap_or_else(|| source.file_name());
        let file_type =
            asset.file_type.or_else(|| AssetType::from_mime_type(&source.mime_type())).unwrap_or(AssetType::Video);
        let session = client
            .multipart_upload()
            .create(&filename, file_type, length)
            .when_some(asset.enable_hls, |call, enable_hls| call.enable_hls(enable_hls))
            .when_some(asset.enable_thumbnail, |call, enable_thumbnail| call.enable_thumbnail(enable_thumbnail))
            .when_some(asset.user_metadata, |call, user_metadata| call.user_metadata(user_metadata))
            .request_options(options.clone())
            .send()?;
        let upload = ResumableUpload { file, ..ResumableUpload::from(&session) };
        let unusable = |message: String| {
            let operation = "POST /assets/multipart-uploads".into();
            not_resumable(upload.clone(), Error::Protocol { operation, message })
        };
        if let Some(Err(why)) = session.asset_id.as_deref().map(check_segment) {
            return Err(unusable(format!("the platform returned an asset id that cannot be used: it {why}")));
        }
        let Some(chunk_size) = session.chunk_size.filter(|size| *size > 0) else {
            return Err(unusable("the platform returned no chunk size".into()));
        };
        let total_chunks = count(length, chunk_size).map_err(&unusable)?;
        if let Some(given) = session.total_chunks.filter(|total| *total != total_chunks) {
            let message = format!(
                "the platform announced {given} chunks, but {length} bytes in chunks of {chunk_size} bytes make {total_chunks}"
            );
            return Err(unusable(message));
        }
        Ok(UploadPlan {
            upload: Arc::new(upload),
            chunk_size,
            total_chunks,
            urls: session.upload_urls.unwrap_or_default(),
            missing: (1..=total_chunks).collect(),
            is_complete: false,
        })
    }

    /// Retrieves the missing chunks of a session. With `anyway`, the file may have been changed or replaced since.
    pub(crate) fn resume(
        client: &Session,
        source: &Inspected,
        upload: ResumableUpload,
        anyway: bool,
        options: &RequestOptions,
    ) -> Result<Self> {
        let kept = upload.clone();
        let file = fingerprint(source)?;
        check_file(&upload, source, file, anyway)?;
        Self::inspect(client, source, file, upload, options)
            .or_else(|e| match e {
                e if is_unknown_session(&e) => Self::of_ready_asset(client, source, kept.clone(), options).ok_or(e),
                e => Err(e),
            })
            .map_err(|e| match e {
                Error::Upload(e) => Error::Upload(e),
                // An invalid session id is treated like the id of a session that has ended.
                e if is_unknown_session(&e) || matches!(e.status(), Some(400 | 414 | 422)) => not_resumable(kept, e),
                Error::InvalidArgument { .. } => not_resumable(kept, e),
                e => Error::from(Box::new(error(kept, e))),
            })
    }

    /// Returns the plan of a session that the platform no longer knows although its asset is ready: all chunks had
    /// arrived, and a crash happened before that was recorded. Starting over would upload the file a second time.
    fn of_ready_asset(
        client: &Session,
        source: &Inspected,
        upload: ResumableUpload,
        options: &RequestOptions,
    ) -> Option<Self> {
        let asset = client.assets().retrieve(upload.asset_id.as_ref()?).request_options(options.clone()).send().ok()?;
        let is_it = asset.status == Some(AssetStatus::Ready) && (asset.size.is_none() || asset.size == source.length());
        let chunk_size = upload.chunk_size.filter(|size| *size > 0)?;
        let total_chunks = count(source.length()?, chunk_size).ok()?;
        is_it.then(|| {
            let (urls, missing) = (Vec::new(), BTreeSet::new());
            UploadPlan { upload: Arc::new(upload), chunk_size, total_chunks, urls, missing, is_complete: true }
        })
    }

    fn inspect(
        client: &Session,
        source: &Inspected,
        file: Option<FileStamp>,
        mut upload: ResumableUpload,
        options: &RequestOptions,
    ) -> Result<Self> {
        let length = source.length().unwrap_or_default();
        let uploads = client.multipart_upload();
        let id = upload.upload_id.clone();
        let name = format!("upload {}", printable(&id, 100));
        let chunks = uploads.get_status(&id).page_limit(50).request_options(options.clone()).send()?;
        let status = chunks.upload_status()?;
        let kept = upload.clone();
        let other_file = |message: String| mismatch(kept.clone(), Error::file(source.label(), message, None));
        if let Some(size) = status.total_size.filter(|size| *size != length) {
            return Err(other_file(format!(
                "this file has {length} bytes, but {name} is for a file of {size} bytes; pass that file"
            )));
        }
        let protocol = |message: String| Error::Protocol { operation: name.clone(), message };
        if let Some(ended @ (UploadSessionStatus::Failed | UploadSessionStatus::Expired)) = &status.status {
            return Err(not_resumable(kept.clone(), protocol(format!("the session is {ended}"))));
        }
        let is_complete = status.status == Some(UploadSessionStatus::Completed);
        let counts = [status.chunks_completed, status.chunks_failed, status.chunks_pending];
        let counted = counts.into_iter().map(|count| count.map(u64::from)).sum::<Option<u64>>();
        let mut counted = counted.filter(|total| *total > 0);
        if upload.chunk_size.is_none() {
            let incomplete =
                uploads.list_incomplete_uploads().page_limit(50).request_options(options.clone()).send()?;
            for incomplete in incomplete {
                let incomplete = incomplete?;
                if incomplete.upload_id == id {
                    upload.chunk_size = incomplete.chunk_size;
                    upload.expires_at = incomplete.expires_at;
                    counted = incomplete.total_chunks.map(u64::from).or(counted);
                    break;
                }
            }
        }
        upload.file = file.or(upload.file);
        let Some(chunk_size) = upload.chunk_size.filter(|size| *size > 0) else {
            let why = match is_complete {
                true => "the session is already complete; look for its asset in `assets().list()`",
                false => "the session is not among the incomplete uploads, so its chunk size is unknown",
            };
            return Err(not_resumable(kept, protocol(why.into())));
        };
        let total_chunks = count(length, chunk_size).map_err(&other_file)?;
        if let Some(counted) = counted.filter(|counted| *counted != u64::from(total_chunks)) {
            return Err(other_file(format!(
                "this file would have {total_chunks} chunks of {chunk_size} bytes, but {name} has {counted} chunks"
            )));
        }
        let mut missing = missing_chunks(chunks, total_chunks, |index| {
            Err(other_file(format!("{name} has a chunk {index}, but this file has chunks 1 to {total_chunks}")))
        })?;
        if is_complete {
            missing.clear();
        }
        Ok(UploadPlan { upload: Arc::new(upload), chunk_size, total_chunks, urls: Vec::new(), missing, is_complete })
    }
}

/// Returns the chunks that the platform's list does not show as completed. `unknown` is called for a chunk number that
/// does not exist.
///
/// Reading ends once every chunk was listed, or when two consecutive pages contain no new one, so a platform that
/// announces a billion pages is not asked for all of them. A chunk that was not listed is sent again, which is
/// harmless.
pub(crate) fn missing_chunks(
    chunks: SyncPager<ChunkInfo>,
    total_chunks: u32,
    unknown: impl Fn(u32) -> Result<()>,
) -> Result<BTreeSet<u32>> {
    let mut missing: BTreeSet<u32> = (1..=total_chunks).collect();
    let (mut unseen, mut fruitless) = (missing.clone(), 0);
    for page in chunks.iter_pages() {
        let before = unseen.len();
        for chunk in page?.into_items() {
            let chunk = chunk?;
            let Some(index) = chunk.index else { continue };
            if !(1..=total_chunks).contains(&index) {
                unknown(index)?;
                continue;
            }
            unseen.remove(&index);
            if chunk.status == Some(ChunkStatus::Completed) {
                missing.remove(&index);
            }
        }
        fruitless = if unseen.len() < before { 0 } else { fruitless + 1 };
        if unseen.is_empty() || fruitless == 2 {
            break;
        }
    }
    Ok(missing)
}

fn count(length: u64, chunk_size: u64) -> Result<u32, String> {
    let chunks = u32::try_from(length.div_ceil(chunk_size)).ok().filter(|chunks| *chunks <= MAX_CHUNKS);
    chunks.ok_or_else(|| format!("{length} bytes would need more than {MAX_CHUNKS} chunks of {chunk_size} bytes"))
}

/// Returns the headers for the requests that carry the chunks.
pub(crate) fn chunk_headers(upload: &ResumableUpload) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let (name, value) = check_header("content-type", "application/octet-stream")?;
    insert_header(&mut headers, name, value)?;
    for (name, value) in &upload.upload_headers {
        let (name, value) = check_header(name, value).map_err(|e| Error::Protocol {
            operation: "POST /assets/multipart-uploads".into(),
            message: format!("the platform returned a header that cannot be sent: {e}"),
        })?;
        if OWN_HEADERS.contains(&name.as_str()) {
            log::debug!("the header {name} of the session is left out");
            continue;
        }
        insert_header(&mut headers, name, value)?;
    }
    Ok(headers)
}

/// Returns the state of the file, with a hash of samples of its content.
fn fingerprint(source: &Inspected) -> Result<Option<FileStamp>> {
    let Some(stamp) = source.stamp() else { return Ok(None) };
    Ok(Some(FileStamp { sample: Some(source.byte_ranges()?.sample()?), ..stamp }))
}

/// Returns an error if the file is known not to be the one with which the upload was started. With `anyway`, its times
/// and its inode number may differ. Its content may not, because the asset would mix two files.
fn check_file(upload: &ResumableUpload, source: &Inspected, file: Option<FileStamp>, anyway: bool) -> Result<()> {
    let Some((then, now)) = upload.file.zip(file) else { return Ok(()) };
    let Some(difference) = then.difference(&now) else { return Ok(()) };
    let advice = match then.has_other_content(&now) || then.size != now.size {
        true => "pass that file, or upload this one from the start",
        false if anyway => return Ok(()),
        false => {
            "pass that file, upload this one from the start, or set `resume_anyway(true)` if the content is the same"
        }
    };
    let message = format!("this is not the file that the upload was started with: {difference}; {advice}");
    Err(mismatch(upload.clone(), Error::file(source.label(), message, None)))
}

/// Creates the error for an upload that can be resumed.
fn error(upload: ResumableUpload, cause: Error) -> UploadError {
    UploadError {
        upload,
        missing: Vec::new(),
        total_chunks: 0,
        resumable: true,
        mismatch: false,
        cause: Box::new(cause),
    }
}

/// Creates the error for an upload that was started with another file, and can be resumed only with that file.
fn mismatch(upload: ResumableUpload, cause: Error) -> Error {
    Error::from(Box::new(UploadError { mismatch: true, ..error(upload, cause) }))
}

/// Creates the error for an upload that cannot be resumed.
pub(crate) fn not_resumable(upload: ResumableUpload, cause: Error) -> Error {
    Error::from(Box::new(UploadError { resumable: false, ..error(upload, cause) }))
}

/// Whether it is pointless to resume this session with this file.
pub(crate) fn is_hopeless(e: &Error) -> bool {
    matches!(e, Error::Upload(e) if e.mismatch || (!e.resumable && !matches!(*e.cause, Error::File { .. })))
}

/// Whether the platform no longer knows the session. A 404 or 410 from the storage is about one of its URLs and not
/// about the session.
pub(crate) fn is_unknown_session(e: &Error) -> bool {
    e.api().is_some_and(|e| matches!(e.status, 404 | 410) && !e.operation.starts_with(STORAGE_OPERATION))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use time::OffsetDateTime;

    use super::*;
    use crate::http::error_body::api_error;
    use crate::response::HttpResponse;

    fn refusal(operation: &str, status: u16) -> Error {
        let response = HttpResponse { status, ..HttpResponse::default() };
        Error::from(Box::new(api_error(operation.into(), response, OffsetDateTime::UNIX_EPOCH)))
    }

    #[test]
    fn a_session_is_unknown_if_the_platform_says_so() {
        let storage = format!("{STORAGE_OPERATION} 1 of 2 of upload u");
        for (operation, status, unknown) in [
            ("GET /assets/multipart-uploads/u", 404, true),
            ("GET /assets/multipart-uploads/u", 410, true),
            ("GET /assets/multipart-uploads/u", 500, false),
            (&storage, 404, false),
            (&storage, 500, false),
        ] {
            assert_eq!(is_unknown_session(&refusal(operation, status)), unknown, "{operation} {status}");
        }
    }

    #[test]
    fn uploads_that_cannot_be_resumed_with_a_file() {
        let (upload, cause) = (ResumableUpload::from("u"), || refusal("GET /assets/multipart-uploads/u", 410));
        let unreadable = Error::file(Path::new("a.mp4"), "cannot read the file", None);
        assert!(is_hopeless(&mismatch(upload.clone(), cause())));
        assert!(is_hopeless(&not_resumable(upload.clone(), cause())));
        assert!(!is_hopeless(&not_resumable(upload.clone(), unreadable)));
        assert!(!is_hopeless(&Error::from(Box::new(error(upload.clone(), cause())))));
        assert!(!is_hopeless(&cause()));
        // A session that was stopped before anything was sent lacks every chunk and can be resumed.
        let missing = BTreeSet::from([2, 3]);
        let (upload, urls) = (Arc::new(upload), Vec::new());
        let plan = UploadPlan { upload, chunk_size: 5, total_chunks: 3, urls, missing, is_complete: false };
        let Error::Upload(e) = plan.stopped(cause()) else { panic!("it is of an upload") };
        assert_eq!((e.missing, e.total_chunks, e.resumable), (vec![2, 3], 3, true));
    }
}
