//! What can go wrong, in the words of whoever knows the reason best.

mod api;
mod display;
#[cfg(feature = "webhooks")]
mod webhook;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::generation::Generation;
use crate::response::HttpResponse;
use crate::resumable::ResumableUpload;
use crate::text::{excerpt, printable};

pub use api::{ApiError, ApiErrorKind, RateLimit};
use display::{causes, file, invalid_argument, stream, timeout, transport, wait_timeout, way_out};
#[cfg(feature = "webhooks")]
pub use webhook::WebhookError;

/// A wait longer than this is not congestion but a quota.
const QUOTA: Duration = Duration::from_secs(600);

/// What the operation of a request to the storage begins with.
pub(crate) const STORAGE_OPERATION: &str = "PUT chunk";

/// The status of what was waited for and never seen.
pub(crate) const UNKNOWN_STATUS: &str = "unknown";

/// The codes of what is wrong with a file itself.
const PERMANENT: [&str; 8] = [
    "video_resolution_too_low",
    "video_resolution_too_high",
    "video_duration_too_short",
    "video_duration_too_long",
    "video_file_broken",
    "audio_file_broken",
    "unsupported_file_type",
    "video_filesize_too_large",
];

/// What every call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call did not give what was asked for.
///
/// The text leads with the reason, in the platform's own words where it gave some, and ends with the request it
/// belongs to. The cause, where there is one below it, is in [`source`](std::error::Error::source) and not repeated;
/// `{:#}` writes all causes behind the text, on the same line.
///
/// ```
/// use twelvelabs::{Error, TwelveLabs};
///
/// let client = TwelveLabs::new("tlk_example")?;
/// match client.assets().retrieve("").send() {
///     Ok(asset) => println!("{}", asset.id),
///     Err(Error::Api(e)) if e.status == 404 => println!("no such asset: {}", e.message),
///     Err(e) if e.is_retryable() => println!("try again later: {e}"),
///     Err(e) => println!("{e}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The platform refused the request.
    #[error(transparent)]
    Api(#[from] Arc<ApiError>),

    /// Nothing moved for the time allowed, or the deadline of the call passed.
    #[error(fmt = timeout)]
    Timeout {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// What took too long, and whether the platform may have acted.
        message: String,
        /// Whether the request may have reached the platform: then it is unknown whether it acted.
        sent: bool,
        /// The fault before the deadline passed, if there was one.
        source: Option<Box<Error>>,
    },

    /// The connection could not be made or broke.
    #[error(fmt = transport)]
    Transport {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// What happened, and whether the platform may have acted.
        message: String,
        /// Whether the request may have reached the platform: then it is unknown whether it acted.
        sent: bool,
        /// What the operating system said.
        source: Option<io::Error>,
    },

    /// The answer was not what this call returns: truncated, not JSON, without an id, of another shape.
    #[error("{message} ({operation})")]
    Decode {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// What was wrong and where, with the start of the answer.
        message: String,
        /// The answer, with at most 64 KiB of its body. If it is about one item of a list, or one line of a stream,
        /// the body is that item or line.
        response: Box<HttpResponse<()>>,
    },

    /// The platform did what it should not: an inconsistent upload session, chunks that it lost, a URL that
    /// it did not give.
    #[error("{message} ({operation})")]
    Protocol {
        /// The request or the upload.
        operation: String,
        /// What the platform did.
        message: String,
    },

    /// The answer is larger than the limit, see
    /// [`max_response_size`](crate::TwelveLabsBuilder::max_response_size).
    #[error("the answer is larger than {limit} bytes; raise `max_response_size` if that is expected ({operation})")]
    ResponseTooLarge {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// The limit, in bytes after decompression.
        limit: u64,
    },

    /// The answer sends the request to another place, and the API key does not go there.
    #[error(
        "{host} redirects to {location} (status {status}), which is not followed{} ({operation})",
        way_out(operation)
    )]
    Redirect {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// The host that answered so.
        host: String,
        /// Where the server wanted it to go.
        location: String,
        /// The status of the answer.
        status: u16,
    },

    /// A file could not be read, or changed while it was being sent.
    #[error(fmt = file)]
    File {
        /// The file.
        path: PathBuf,
        /// What was wrong and what to do.
        message: String,
        /// What the operating system said.
        source: Option<io::Error>,
    },

    /// An argument cannot be sent. Nothing was.
    #[error(fmt = invalid_argument)]
    InvalidArgument {
        /// The argument's name; `a and b`, or `a or b`, if it is about two.
        argument: String,
        /// What is wrong with it and what is allowed: the rest of a sentence that begins with its name, such as `must be
        /// at least 1`, or a sentence of its own.
        message: String,
    },

    /// What was waited for ended, and not well.
    #[error(transparent)]
    Failed(#[from] Box<FailedError>),

    /// What was waited for was not done by the deadline. The work goes on at the platform.
    #[error(fmt = wait_timeout)]
    WaitTimeout {
        /// What was waited for, such as `asset`.
        resource: String,
        /// Its id.
        id: String,
        /// The last state seen, or `unknown` if no poll succeeded.
        status: String,
        /// How long it was waited for.
        waited: Duration,
        /// The fault of the last poll, if it had one.
        source: Option<Box<Error>>,
    },

    /// A chunked upload did not get through; what it takes to go on is in here.
    #[error(transparent)]
    Upload(#[from] Box<UploadError>),

    /// It was stopped through a [`CancelHandle`](crate::CancelHandle).
    #[error("canceled ({operation})")]
    Canceled {
        /// The request, such as `POST /assets`.
        operation: String,
        /// Whether the request may have reached the platform: then it is unknown whether it acted.
        sent: bool,
    },

    /// The file failed for good in an earlier run of the batch, and was not tried again.
    #[error("{}{} (in an earlier run; `retry_permanent(true)` retries it)", printable(message, 2000), code.as_ref().map(|code| format!(" [{}]", printable(code, 100))).unwrap_or_default())]
    PreviouslyFailed {
        /// The platform's code, such as `video_duration_too_short`.
        code: Option<String>,
        /// What was said then.
        message: String,
    },

    /// A stream broke off before its end, or the platform ended it with an error.
    #[error(fmt = stream)]
    Stream {
        /// The request, such as `POST /analyze`.
        operation: String,
        /// The platform's reason, or that the stream broke off.
        message: String,
        /// The platform's code for the reason, where it gave one.
        code: Option<String>,
        /// The text that had arrived.
        text: String,
        /// What had been said of the answer by then: its id, the tokens that it took, why the model stopped.
        generation: Box<Generation>,
        /// Why it broke off; nothing if the platform ended it.
        source: Option<Box<Error>>,
    },

    /// What was asked of it cannot be done in the state that it is in: a transcription that is not ready has no
    /// subtitles.
    #[error("the {resource} is `{}`: {}", printable(status, 100), printable(message, 2000))]
    NotReady {
        /// What it is, such as `transcription`.
        resource: String,
        /// Its status, such as `processing`.
        status: String,
        /// What to do, or the platform's reason if it failed.
        message: String,
    },

    /// The model stopped at the limit of tokens (`finish_reason` is `length`, or the `status` of a response
    /// `incomplete`), so its answer is not complete.
    #[error("the answer was cut off at the token limit after {} characters; ask for less, or raise `max_tokens` where there is one", text.chars().count())]
    Truncated {
        /// The answer as far as it goes.
        text: String,
    },

    /// What a model answered, or the data of an event, is not JSON or not of the type that was asked for.
    #[error("{message}{}", beginning(text))]
    InvalidOutput {
        /// What does not fit, and where.
        message: String,
        /// The text as it came; empty if there is none.
        text: String,
    },

    /// What arrived at a webhook is not to be trusted, or not understood.
    #[cfg(feature = "webhooks")]
    #[error(transparent)]
    Webhook(#[from] WebhookError),

    /// A list did not behave like one: a page that repeats, lies about its number, or never ends.
    #[error("{message} ({operation})")]
    Paging {
        /// The request, such as `GET /assets`.
        operation: String,
        /// What the server did.
        message: String,
    },
}

/// Something that was waited for and ended badly.
#[derive(Clone, thiserror::Error)]
#[error("{resource} {} ended as `{}`: {}", printable(id, 100), printable(status, 100), printable(message, 2000))]
#[non_exhaustive]
pub struct FailedError {
    /// What was waited for, such as `asset`.
    pub resource: String,
    /// Its id.
    pub id: String,
    /// The state it ended in, such as `failed` or `canceled`.
    pub status: String,
    /// The platform's code for the reason.
    pub code: Option<String>,
    /// The platform's reason.
    pub message: String,
    /// All of what the platform said about it.
    pub raw: Value,
}

impl fmt::Debug for FailedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedError")
            .field("resource", &self.resource)
            .field("id", &self.id)
            .field("status", &self.status)
            .field("code", &self.code)
            .field("message", &printable(&self.message, 2000))
            .field("raw", &excerpt(self.raw.to_string().as_bytes()))
            .finish()
    }
}

/// A chunked upload that did not get through. The text leads with the reason, and
/// [`source`](std::error::Error::source) is that reason's own cause.
///
/// ```no_run
/// use twelvelabs::Error;
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// match client.multipart_upload().upload_file("holiday.mp4").send() {
///     Err(Error::Upload(e)) if e.resumable => {
///         eprintln!("{} of {} chunks are missing: {e}", e.missing.len(), e.total_chunks);
///         client.multipart_upload().upload_file("holiday.mp4").resume(&e.upload).send()?;
///     }
///     other => drop(other?),
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[non_exhaustive]
pub struct UploadError {
    /// The upload with its `upload_id` and `asset_id`, to go on with.
    pub upload: ResumableUpload,
    /// The chunks that the platform does not have, by their number from 1.
    pub missing: Vec<u32>,
    /// How many chunks the file has.
    pub total_chunks: u32,
    /// Whether the upload can be resumed: not if the file changed or the session has ended.
    pub resumable: bool,
    /// Whether the file is not the one that the upload was started with.
    pub(crate) mismatch: bool,
    /// The reason.
    pub cause: Box<Error>,
}

impl fmt::Debug for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        let (first, more) = self.missing.split_at(self.missing.len().min(SHOWN));
        f.debug_struct("UploadError")
            .field("upload", &self.upload)
            .field("missing", &format_args!("{first:?}{}", if more.is_empty() { "" } else { "…" }))
            .field("total_chunks", &self.total_chunks)
            .field("resumable", &self.resumable)
            .field("mismatch", &self.mismatch)
            .field("cause", &self.cause)
            .finish()
    }
}

/// The beginning of a text, behind a message about it.
fn beginning(text: &str) -> String {
    match excerpt(text.as_bytes()) {
        beginning if beginning.is_empty() => beginning,
        beginning => format!("; the text begins: {beginning}"),
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missing, total) = (self.missing.len(), self.total_chunks);
        let asset = self.upload.asset_id.as_deref().map(|id| printable(id, 100));
        write!(f, "{}; ", self.cause)?;
        match (self.upload.upload_id.as_str(), asset) {
            ("", asset) => {
                write!(f, "the file has arrived as asset {}; wait for it", asset.unwrap_or_default())?;
                return causes(f, "", "", self.cause.source());
            }
            (id, Some(asset)) => write!(f, "upload {} of asset {asset}", printable(id, 100))?,
            (id, None) => write!(f, "upload {}", printable(id, 100))?,
        }
        if total > 0 {
            write!(f, " lacks {missing} of {total} chunks and")?;
        }
        f.write_str(if self.resumable { " can be resumed" } else { " cannot be resumed; upload the file again" })?;
        causes(f, "", "", self.cause.source())
    }
}

impl std::error::Error for UploadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

impl Error {
    pub(crate) fn invalid(argument: impl Into<String>, message: impl Into<String>) -> Self {
        Error::InvalidArgument { argument: printable(&argument.into(), 80), message: message.into() }
    }

    pub(crate) fn file(path: &Path, message: impl Into<String>, source: Option<io::Error>) -> Self {
        Error::File { path: path.to_path_buf(), message: message.into(), source }
    }

    /// The error itself, or what kept a chunked upload from getting through.
    pub(crate) fn reason(&self) -> &Error {
        match self {
            Error::Upload(e) => e.cause.reason(),
            other => other,
        }
    }

    /// The reason without its code and its request.
    pub(crate) fn message(&self) -> String {
        match self.reason() {
            Error::Api(e) => e.message.clone(),
            Error::Failed(e) => e.message.clone(),
            other => other.to_string(),
        }
    }

    /// The platform's refusal, if that is the reason.
    pub(crate) fn api(&self) -> Option<&Arc<ApiError>> {
        match self.reason() {
            Error::Api(e) => Some(e),
            _ => None,
        }
    }

    /// Whether it was stopped through a [`CancelHandle`](crate::CancelHandle).
    pub fn is_canceled(&self) -> bool {
        match self.reason() {
            Error::Canceled { .. } => true,
            Error::Stream { source, .. } => source.as_ref().is_some_and(|e| e.is_canceled()),
            _ => false,
        }
    }

    /// Whether the same file can never succeed, as with `video_duration_too_short`: a repetition is pointless.
    pub fn is_permanent(&self) -> bool {
        self.code().is_some_and(|code| PERMANENT.contains(&code))
    }

    /// Whether something took too long: a silent connection, a deadline, or a wait that ran out.
    pub fn is_timeout(&self) -> bool {
        match self {
            Error::Timeout { .. } | Error::WaitTimeout { .. } => true,
            Error::Api(e) => matches!(e.status, 408 | 504),
            Error::Upload(e) => e.cause.is_timeout(),
            Error::Stream { source, .. } => source.as_ref().is_some_and(|e| e.is_timeout()),
            _ => false,
        }
    }

    /// Whether the same call may succeed later without any change.
    ///
    /// It says nothing about whether a repetition is safe: a POST whose connection broke may have been carried out.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Api(e) => matches!(e.status, 408 | 429 | 500..=599) && !self.is_quota(),
            // A certificate that is not trusted, or what answers does not speak TLS.
            Error::Transport { sent: false, source: Some(e), .. } => e.kind() != io::ErrorKind::InvalidData,
            Error::Timeout { .. } | Error::Transport { .. } | Error::WaitTimeout { .. } => true,
            Error::Upload(e) => e.resumable && e.cause.is_retryable(),
            Error::Stream { source, .. } => source.as_ref().is_some_and(|e| e.is_retryable()),
            _ => false,
        }
    }

    /// Whether a quota is used up that does not come back within minutes: repeating is pointless until
    /// [`retry_after`](Error::retry_after).
    pub fn is_quota(&self) -> bool {
        let Error::Api(e) = self.reason() else { return false };
        let code = e.code.as_deref().unwrap_or_default();
        e.status == 402
            || code.contains("plan_limit")
            || code.contains("usage_limit")
            || (e.status == 429 && e.retry_after.is_some_and(|wait| wait > QUOTA))
    }

    /// How long the platform asked to wait before the next attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.reason() {
            Error::Api(e) => e.retry_after,
            Error::Timeout { source, .. } | Error::WaitTimeout { source, .. } => source.as_ref()?.retry_after(),
            _ => None,
        }
    }

    /// Whether the request may have been carried out although the call failed. So it may after most answers 5xx, which
    /// can be those of a proxy that lost the platform's.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Error::Api(e) => match e.status {
                501 => false,
                503 => !e.declined,
                status => status >= 500,
            },
            Error::Transport { sent, .. } | Error::Timeout { sent, .. } | Error::Canceled { sent, .. } => *sent,
            Error::Decode { .. } | Error::ResponseTooLarge { .. } | Error::Stream { .. } => true,
            _ => false,
        }
    }

    /// The error of whatever else was to be sent, if this one is about all of it: the key is not valid, the quota is used
    /// up, or the caller has canceled.
    pub(crate) fn for_the_rest(&self) -> Option<Error> {
        match self.reason() {
            Error::Api(e) if self.is_quota() || e.status == 401 => Some(Error::Api(Arc::clone(e))),
            Error::Canceled { operation, .. } => Some(Error::Canceled { operation: operation.clone(), sent: false }),
            _ => None,
        }
    }

    /// The id of the asset that it is about: of a wait, or of an upload whose file has arrived or whose session has
    /// begun. With it, the asset can still be waited for, or deleted.
    ///
    /// ```
    /// # fn show(e: twelvelabs::Error) {
    /// if let Some(asset_id) = e.asset_id() {
    ///     eprintln!("{asset_id} is at the platform: wait for it with `assets().wait_for_done`");
    /// }
    /// # }
    /// ```
    pub fn asset_id(&self) -> Option<&str> {
        match self {
            Error::Upload(e) => e.upload.asset_id.as_deref(),
            Error::Failed(e) => (e.resource == "asset").then_some(e.id.as_str()),
            Error::WaitTimeout { resource, id, .. } => (resource == "asset").then_some(id.as_str()),
            _ => None,
        }
    }

    /// The same, about an asset whose file has arrived.
    pub(crate) fn with_asset_id(self, asset_id: &str) -> Self {
        if self.asset_id().is_some() {
            return self;
        }
        Error::from(Box::new(UploadError {
            upload: ResumableUpload { asset_id: Some(asset_id.into()), ..ResumableUpload::default() },
            missing: Vec::new(),
            total_chunks: 0,
            resumable: true,
            mismatch: false,
            cause: Box::new(self),
        }))
    }

    /// The platform's code, such as `resource_not_exist`: of a refusal, of what failed while it was waited for, or of a
    /// stream that the platform ended.
    pub fn code(&self) -> Option<&str> {
        match self.reason() {
            Error::Api(e) => e.code.as_deref(),
            Error::Failed(e) => e.code.as_deref(),
            Error::PreviouslyFailed { code, .. } => code.as_deref(),
            Error::Stream { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// The HTTP status of a refusal, or of a redirect that was not followed.
    pub fn status(&self) -> Option<u16> {
        match self.reason() {
            Error::Api(e) => Some(e.status),
            Error::Redirect { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The kind of a refusal, so that nobody has to remember the numbers.
    ///
    /// ```
    /// use twelvelabs::ApiErrorKind;
    ///
    /// # fn show(e: twelvelabs::Error) {
    /// match e.kind() {
    ///     Some(ApiErrorKind::Conflict) => eprintln!("there is one already: {e}"),
    ///     Some(ApiErrorKind::Unauthorized) => eprintln!("look at the API key: {e}"),
    ///     _ => eprintln!("{e:#}"),
    /// }
    /// # }
    /// ```
    pub fn kind(&self) -> Option<ApiErrorKind> {
        self.api().map(|e| e.kind)
    }

    /// Whether the platform knows nothing under this id (404), or nothing any more (410).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// match client.assets().retrieve("65f…").send() {
    ///     Err(e) if e.is_not_found() => println!("it was deleted"),
    ///     asset => println!("{}", asset?.id),
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn is_not_found(&self) -> bool {
        // What the storage says is about one of its URLs.
        let found = |e: &Arc<ApiError>| matches!(e.status, 404 | 410) && !e.operation.starts_with(STORAGE_OPERATION);
        self.api().is_some_and(found)
    }
}

impl From<Box<ApiError>> for Error {
    fn from(e: Box<ApiError>) -> Self {
        Error::Api(Arc::from(e))
    }
}
