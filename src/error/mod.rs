//! Errors of calls, with the platform's own reason where it gives one.

mod api;
mod display;
mod upload;
#[cfg(feature = "webhooks")]
mod webhook;

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

pub(crate) use api::is_temporary;
pub use api::{ApiError, ApiErrorKind, RateLimit};
use display::{file, invalid_argument, stream, timeout, transport, wait_timeout, way_out};
pub use upload::UploadError;
#[cfg(feature = "webhooks")]
pub use webhook::WebhookError;

/// The longest `Retry-After` that counts as congestion. A longer one means that a quota is exhausted.
const QUOTA: Duration = Duration::from_secs(600);

/// The prefix of the `operation` of a request to the storage.
pub(crate) const STORAGE_OPERATION: &str = "PUT chunk";

/// The status of a resource that no poll has seen.
pub(crate) const UNKNOWN_STATUS: &str = "unknown";

/// The platform's codes for faults of the file itself, which no retry can repair.
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

/// The result of every call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a call failed.
///
/// The message starts with the reason, in the platform's own words where available, and ends with the request.
/// [`source`](std::error::Error::source) returns the underlying cause, which the message does not repeat. `{:#}`
/// appends all causes on the same line.
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

    /// No data was transferred within the time limit, or the deadline of the call has passed.
    #[error(fmt = timeout)]
    Timeout {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// The operation that took too long, and whether the platform may have acted.
        message: String,
        /// Whether the request may have reached the platform. If so, it is unknown whether the platform acted.
        sent: bool,
        /// The error of the last attempt before the deadline, if there was one.
        source: Option<Box<Error>>,
    },

    /// The connection could not be established, or it broke.
    #[error(fmt = transport)]
    Transport {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// The reason, and whether the platform may have acted.
        message: String,
        /// Whether the request may have reached the platform. If so, it is unknown whether the platform acted.
        sent: bool,
        /// The error of the operating system.
        source: Option<io::Error>,
    },

    /// The response cannot be decoded: it is cut short, is not JSON, lacks an id, or has another shape.
    #[error("{message} ({operation})")]
    Decode {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// The fault and its position, with the beginning of the response.
        message: String,
        /// The response, with at most 64 KiB of its body. If the error concerns one item of a list or one line of a
        /// stream, the body is that item or line.
        response: Box<HttpResponse<()>>,
    },

    /// The platform violated its own protocol: the upload session is inconsistent, chunks are lost, or a URL is
    /// missing.
    #[error("{message} ({operation})")]
    Protocol {
        /// The request or the upload.
        operation: String,
        /// A description of the violation.
        message: String,
    },

    /// The response is larger than the limit: see [`max_response_size`](crate::TwelveLabsBuilder::max_response_size).
    #[error("the response is larger than {limit} bytes; raise `max_response_size` if that is expected ({operation})")]
    ResponseTooLarge {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// The limit, in bytes after decompression.
        limit: u64,
    },

    /// The response is a redirect that the client does not follow, for example because it leads to another host, which
    /// must not receive the API key.
    #[error(
        "{host} redirects to {location} (status {status}), which is not followed{} ({operation})",
        way_out(operation)
    )]
    Redirect {
        /// The request, such as `GET /assets/65f…`.
        operation: String,
        /// The host that sent the redirect.
        host: String,
        /// The target of the redirect.
        location: String,
        /// The status of the response.
        status: u16,
    },

    /// A file could not be read, or changed while it was being sent.
    #[error(fmt = file)]
    File {
        /// The file.
        path: PathBuf,
        /// The fault and its remedy.
        message: String,
        /// The error of the operating system.
        source: Option<io::Error>,
    },

    /// An argument is invalid. Nothing was sent.
    #[error(fmt = invalid_argument)]
    InvalidArgument {
        /// The argument's name, or `a and b` or `a or b` for two arguments.
        argument: String,
        /// The fault and the allowed values. It continues a sentence that begins with the argument's name, such as
        /// `must be at least 1`, or is a sentence by itself.
        message: String,
    },

    /// A resource ended in failure while the call waited for it.
    #[error(transparent)]
    Failed(#[from] Box<FailedError>),

    /// A resource was not ready within the time limit of the wait. The platform continues to work on it.
    #[error(fmt = wait_timeout)]
    WaitTimeout {
        /// The kind of resource, such as `asset`.
        resource: String,
        /// The id of the resource.
        id: String,
        /// The last state seen, or `unknown` if no poll succeeded.
        status: String,
        /// The duration of the wait.
        waited: Duration,
        /// The error of the last poll, if it failed.
        source: Option<Box<Error>>,
    },

    /// A chunked upload failed. The error contains what is needed to resume it.
    #[error(transparent)]
    Upload(#[from] Box<UploadError>),

    /// A [`CancelHandle`](crate::CancelHandle) stopped the call.
    #[error("canceled ({operation})")]
    Canceled {
        /// The request, such as `POST /assets`.
        operation: String,
        /// Whether the request may have reached the platform. If so, it is unknown whether the platform acted.
        sent: bool,
    },

    /// The file failed permanently in an earlier run of the batch and was not retried.
    #[error("{}{} (in an earlier run; `retry_permanent(true)` retries it)", printable(message, 2000), code.as_ref().map(|code| format!(" [{}]", printable(code, 100))).unwrap_or_default())]
    PreviouslyFailed {
        /// The platform's code, such as `video_duration_too_short`.
        code: Option<String>,
        /// The message of the earlier error.
        message: String,
    },

    /// A stream broke off before its end, or the platform ended it with an error.
    #[error(fmt = stream)]
    Stream {
        /// The request, such as `POST /analyze`.
        operation: String,
        /// The platform's reason, or a statement that the stream broke off.
        message: String,
        /// The platform's code for the reason, where it gave one.
        code: Option<String>,
        /// The text received so far.
        text: String,
        /// The details received so far: the id, the token usage and the finish reason.
        generation: Box<Generation>,
        /// The cause of the break. `None` if the platform ended the stream.
        source: Option<Box<Error>>,
    },

    /// The resource is not ready for this operation. For example, an unfinished transcription has no subtitles.
    #[error("the {resource} is `{}`: {}", printable(status, 100), printable(message, 2000))]
    NotReady {
        /// The kind of resource, such as `transcription`.
        resource: String,
        /// The status of the resource, such as `processing`.
        status: String,
        /// The remedy, or the platform's reason if the resource failed.
        message: String,
    },

    /// The answer is incomplete because the model reached its token limit: `finish_reason` is `length`, or the `status`
    /// of a response is `incomplete`.
    #[error("the answer was cut off at the token limit after {} characters; ask for a shorter answer, or raise `max_tokens` if the call has that option", text.chars().count())]
    Truncated {
        /// The incomplete answer.
        text: String,
    },

    /// A model's answer, or the data of an event, is not JSON or does not fit the requested type.
    #[error("{message}{}", beginning(text))]
    InvalidOutput {
        /// A description of the mismatch and its position.
        message: String,
        /// The text as received. Empty if there is none.
        text: String,
    },

    /// A webhook delivery cannot be trusted or cannot be read.
    #[cfg(feature = "webhooks")]
    #[error(transparent)]
    Webhook(#[from] WebhookError),

    /// The pages of a list are inconsistent: a page repeats, has the wrong number, or the list never ends.
    #[error("{message} ({operation})")]
    Paging {
        /// The request, such as `GET /assets`.
        operation: String,
        /// A description of the inconsistency.
        message: String,
    },
}

/// The failure of a resource that a call waited for.
#[derive(Clone, thiserror::Error)]
#[error("{resource} {} ended as `{}`: {}", printable(id, 100), printable(status, 100), printable(message, 2000))]
#[non_exhaustive]
pub struct FailedError {
    /// The kind of resource, such as `asset`.
    pub resource: String,
    /// The id of the resource.
    pub id: String,
    /// The state it ended in, such as `failed` or `canceled`.
    pub status: String,
    /// The platform's code for the reason.
    pub code: Option<String>,
    /// The platform's reason.
    pub message: String,
    /// The whole resource as received.
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

/// Whether the process, or the whole system, has too many files open. That is a temporary shortage on this machine.
pub(crate) fn is_out_of_handles(e: &io::Error) -> bool {
    // EMFILE and ENFILE have the same numbers on every Unix. On Windows, 4 is ERROR_TOO_MANY_OPEN_FILES.
    let codes: &[i32] = if cfg!(windows) { &[4] } else { &[24, 23] };
    e.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Returns the clause that quotes the beginning of a text after a message.
fn beginning(text: &str) -> String {
    match excerpt(text.as_bytes()) {
        beginning if beginning.is_empty() => beginning,
        beginning => format!("; the text begins: {beginning}"),
    }
}

impl Error {
    pub(crate) fn invalid(argument: impl Into<String>, message: impl Into<String>) -> Self {
        Error::InvalidArgument { argument: printable(&argument.into(), 80), message: message.into() }
    }

    pub(crate) fn file(path: &Path, message: impl Into<String>, source: Option<io::Error>) -> Self {
        Error::File { path: path.to_path_buf(), message: message.into(), source }
    }

    /// Returns the cause of a failed chunked upload, or the error itself.
    pub(crate) fn reason(&self) -> &Error {
        match self {
            Error::Upload(e) => e.cause.reason(),
            other => other,
        }
    }

    /// Returns the reason without the code and the request.
    pub(crate) fn message(&self) -> String {
        match self.reason() {
            Error::Api(e) => e.message.clone(),
            Error::Failed(e) => e.message.clone(),
            other => other.to_string(),
        }
    }

    /// Returns the platform's refusal, if that is the reason.
    pub(crate) fn api(&self) -> Option<&Arc<ApiError>> {
        match self.reason() {
            Error::Api(e) => Some(e),
            _ => None,
        }
    }

    /// Returns whether a [`CancelHandle`](crate::CancelHandle) stopped the call.
    pub fn is_canceled(&self) -> bool {
        match self.reason() {
            Error::Canceled { .. } => true,
            Error::Stream { source, .. } => source.as_ref().is_some_and(|e| e.is_canceled()),
            _ => false,
        }
    }

    /// Returns whether the same file will always fail, as with `video_duration_too_short`. A retry is pointless.
    pub fn is_permanent(&self) -> bool {
        self.code().is_some_and(|code| PERMANENT.contains(&code))
    }

    /// Returns whether the call exceeded a time limit: that of a silent connection, its deadline, or that of a wait.
    pub fn is_timeout(&self) -> bool {
        match self {
            Error::Timeout { .. } | Error::WaitTimeout { .. } => true,
            Error::Api(e) => matches!(e.status, 408 | 504),
            Error::Upload(e) => e.cause.is_timeout(),
            Error::Stream { source, .. } => source.as_ref().is_some_and(|e| e.is_timeout()),
            _ => false,
        }
    }

    /// Returns whether the same call can succeed later, unchanged.
    ///
    /// This does not mean that a retry is safe: the platform may have carried out a POST whose connection broke. See
    /// [`is_outcome_unknown`](Error::is_outcome_unknown).
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Api(e) => is_temporary(e.status) && !self.is_quota(),
            // The engine gives this kind to causes that another attempt would meet again: an unusable URL, a
            // certificate that is not trusted, a proxy that asks for a password.
            Error::Transport { sent: false, source: Some(e), .. } => e.kind() != io::ErrorKind::InvalidData,
            Error::Timeout { .. } | Error::Transport { .. } | Error::WaitTimeout { .. } => true,
            Error::File { source: Some(e), .. } => is_out_of_handles(e),
            Error::Upload(e) => e.resumable && e.cause.is_retryable(),
            Error::Stream { source, .. } => source.as_ref().is_some_and(|e| e.is_retryable()),
            _ => false,
        }
    }

    /// Returns whether a quota is exhausted for longer than a few minutes. A retry is pointless before
    /// [`retry_after`](Error::retry_after).
    pub fn is_quota(&self) -> bool {
        let Error::Api(e) = self.reason() else { return false };
        let code = e.code.as_deref().unwrap_or_default();
        e.status == 402
            || code.contains("plan_limit")
            || code.contains("usage_limit")
            || (e.status == 429 && e.retry_after.is_some_and(|wait| wait > QUOTA))
    }

    /// Returns the pause that the platform asks for before the next attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.reason() {
            Error::Api(e) => e.retry_after,
            Error::Timeout { source, .. } | Error::WaitTimeout { source, .. } => source.as_ref()?.retry_after(),
            _ => None,
        }
    }

    /// Returns whether the platform may have carried out the request although the call failed. This includes most 5xx
    /// responses, because a proxy can send one when it loses the platform's response.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Error::Api(e) => match e.status {
                501 | 505 => false,
                503 => !e.declined,
                status => status >= 500,
            },
            Error::Transport { sent, .. } | Error::Timeout { sent, .. } | Error::Canceled { sent, .. } => *sent,
            Error::Decode { .. } | Error::ResponseTooLarge { .. } | Error::Stream { .. } => true,
            _ => false,
        }
    }

    /// Returns the error for all remaining requests if this error affects them too: the key is invalid, the quota is
    /// exhausted, or the caller has canceled.
    pub(crate) fn for_the_rest(&self) -> Option<Error> {
        match self.reason() {
            Error::Api(e) if self.is_quota() || e.status == 401 => Some(Error::Api(Arc::clone(e))),
            Error::Canceled { operation, .. } => Some(Error::Canceled { operation: operation.clone(), sent: false }),
            _ => None,
        }
    }

    /// Returns the id of the affected asset, from a wait, or from an upload whose session has begun or whose file has
    /// arrived. Use it to wait for the asset or to delete it.
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

    /// Adds the id of an asset whose file has arrived.
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

    /// Returns the platform's code, such as `resource_not_exist`, from a refusal, a failed wait or a stream that the
    /// platform ended.
    pub fn code(&self) -> Option<&str> {
        match self.reason() {
            Error::Api(e) => e.code.as_deref(),
            Error::Failed(e) => e.code.as_deref(),
            Error::PreviouslyFailed { code, .. } => code.as_deref(),
            Error::Stream { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// Returns the HTTP status of a refusal or of a redirect that was not followed.
    pub fn status(&self) -> Option<u16> {
        match self.reason() {
            Error::Api(e) => Some(e.status),
            Error::Redirect { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns the kind of a refusal, which names the HTTP status.
    ///
    /// ```
    /// use twelvelabs::ApiErrorKind;
    ///
    /// # fn show(e: twelvelabs::Error) {
    /// match e.kind() {
    ///     Some(ApiErrorKind::Conflict) => eprintln!("there is one already: {e}"),
    ///     Some(ApiErrorKind::Unauthorized) => eprintln!("check the API key: {e}"),
    ///     _ => eprintln!("{e:#}"),
    /// }
    /// # }
    /// ```
    pub fn kind(&self) -> Option<ApiErrorKind> {
        self.api().map(|e| e.kind)
    }

    /// Returns whether nothing exists under this id (404), or nothing exists there any longer (410).
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
        // A 404 or 410 from the storage concerns one of its URLs, not the resource.
        let found = |e: &Arc<ApiError>| matches!(e.status, 404 | 410) && !e.operation.starts_with(STORAGE_OPERATION);
        self.api().is_some_and(found)
    }
}

impl From<Box<ApiError>> for Error {
    fn from(e: Box<ApiError>) -> Self {
        Error::Api(Arc::from(e))
    }
}
