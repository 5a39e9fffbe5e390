//! The platform's refusals.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::response::Headers;
use crate::text::{excerpt, human};

/// A refusal of a request by the platform.
///
/// ```
/// # fn show(e: &twelvelabs::ApiError) {
/// eprintln!("{} (support id {})", e.message, e.trace_id.as_deref().unwrap_or("none"));
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The kind, which corresponds to an error class of the Python SDK.
    pub kind: ApiErrorKind,
    /// The platform's code, such as `resource_not_exist`.
    pub code: Option<String>,
    /// The platform's message, or a description of the response if there is none.
    pub message: String,
    /// The URL of a documentation page about the error.
    pub docs_url: Option<String>,
    /// Further details, if the platform sent any.
    pub details: Option<Value>,
    /// The `x-trace-id` to quote to the platform's support.
    pub trace_id: Option<String>,
    /// The rate limits that the response reports.
    pub rate_limit: RateLimit,
    /// The pause that the platform asks for.
    pub retry_after: Option<Duration>,
    /// The date and time before which a retry is pointless.
    pub retry_at: Option<OffsetDateTime>,
    /// The headers of the response.
    pub headers: Headers,
    /// The body of the response, at most 64 KiB of it.
    pub body: Vec<u8>,
    /// The request, such as `GET /assets/65f…`.
    pub operation: String,
    /// The host that responded: the API host, or the storage host for a chunk.
    pub host: String,
    /// This crate's advice on how to solve the problem.
    pub hint: Option<String>,
    /// Whether the response says that the platform did not act on the request: a 503 with the header `Retry-After`.
    pub(crate) declined: bool,
}

/// The kinds of [`ApiError`], one per error class of the Python SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ApiErrorKind {
    /// 400: the request is invalid.
    BadRequest,
    /// 401: the API key is missing or invalid.
    Unauthorized,
    /// 403: the API key does not allow this.
    Forbidden,
    /// 404: nothing exists under this id.
    NotFound,
    /// 409: the request conflicts with an existing resource, such as a name that is taken.
    Conflict,
    /// 410: the resource was removed permanently.
    Gone,
    /// 413: the request is too large.
    ContentTooLarge,
    /// 422: the request is well-formed, but its content is invalid.
    UnprocessableEntity,
    /// 429: the rate limit or a quota is exhausted.
    TooManyRequests,
    /// 500: the platform failed.
    InternalServer,
    /// 503: the platform cannot accept the request at the moment.
    ServiceUnavailable,
    /// 504: the platform took too long.
    GatewayTimeout,
    /// Any other status.
    Other,
}

names! {
    ApiErrorKind {
        BadRequest = "bad_request",
        Unauthorized = "unauthorized",
        Forbidden = "forbidden",
        NotFound = "not_found",
        Conflict = "conflict",
        Gone = "gone",
        ContentTooLarge = "content_too_large",
        UnprocessableEntity = "unprocessable_entity",
        TooManyRequests = "too_many_requests",
        InternalServer = "internal_server",
        ServiceUnavailable = "service_unavailable",
        GatewayTimeout = "gateway_timeout",
        Other = "other",
    }
}

/// The rate limits that a response reports, in any of the supported families of headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Requests allowed in the window.
    pub limit: Option<u64>,
    /// Requests left in the window.
    pub remaining: Option<u64>,
    /// Requests used in the window.
    pub used: Option<u64>,
    /// The time at which the window ends.
    pub reset: Option<OffsetDateTime>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " [{code}, {}]", self.status)?,
            None => write!(f, " [{}]", self.status)?,
        }
        match self.host.as_str() {
            host if host.is_empty() || self.message.starts_with(host) => write!(f, " ({})", self.operation)?,
            host => write!(f, " ({} at {host})", self.operation)?,
        }
        if let Some(wait) = self.retry_after.filter(|wait| !wait.is_zero()) {
            write!(f, "; try again in {}", human(wait))?;
            let seconds = self.retry_at.and_then(|at| at.replace_nanosecond(0).ok());
            if let Some(at) = seconds.and_then(|at| at.format(&Rfc3339).ok()) {
                write!(f, ", at {at}")?;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("status", &self.status)
            .field("code", &self.code)
            .field("message", &self.message)
            .field("operation", &self.operation)
            .field("host", &self.host)
            .field("trace_id", &self.trace_id)
            .field("retry_after", &self.retry_after)
            .field("rate_limit", &self.rate_limit)
            .field("body", &excerpt(&self.body))
            .finish_non_exhaustive()
    }
}

impl std::error::Error for ApiError {}

/// Whether a request that was answered with this status can succeed later, unchanged. A server that does not know the
/// method (501) or the version of HTTP (505) will not know it the next time either.
pub(crate) fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599) && !matches!(status, 501 | 505)
}

impl ApiErrorKind {
    pub(crate) fn of(status: u16) -> Self {
        match status {
            400 => Self::BadRequest,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            409 => Self::Conflict,
            410 => Self::Gone,
            413 => Self::ContentTooLarge,
            422 => Self::UnprocessableEntity,
            429 => Self::TooManyRequests,
            500 => Self::InternalServer,
            503 => Self::ServiceUnavailable,
            504 => Self::GatewayTimeout,
            _ => Self::Other,
        }
    }
}
