//! The platform's refusals.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::response::Headers;
use crate::text::{excerpt, human};

/// The platform's refusal, as much of it as came.
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
    /// The status by its name in the Python SDK.
    pub kind: ApiErrorKind,
    /// The platform's code, such as `resource_not_exist`.
    pub code: Option<String>,
    /// The platform's message; where it gave none, a description of its answer.
    pub message: String,
    /// A page of the documentation about it.
    pub docs_url: Option<String>,
    /// Further details, where the platform gave any.
    pub details: Option<Value>,
    /// The `x-trace-id` to quote to the platform's support.
    pub trace_id: Option<String>,
    /// What the answer said about rate limits.
    pub rate_limit: RateLimit,
    /// How long the platform asked to wait.
    pub retry_after: Option<Duration>,
    /// The date and time before which a repetition is pointless.
    pub retry_at: Option<OffsetDateTime>,
    /// The headers of the answer.
    pub headers: Headers,
    /// The body of the answer, at most 64 KiB of it.
    pub body: Vec<u8>,
    /// The request, such as `GET /assets/65f…`.
    pub operation: String,
    /// The host that answered: the API's, or the storage's for a chunk.
    pub host: String,
    /// What this crate knows about the way out.
    pub hint: Option<String>,
    /// Whether it states that the platform did not act on the request: a 503 with the header `Retry-After`.
    pub(crate) declined: bool,
}

/// The kinds of [`ApiError`], one per error class of the Python SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ApiErrorKind {
    /// 400: something in the request is not valid.
    BadRequest,
    /// 401: the API key is missing or not valid.
    Unauthorized,
    /// 403: the API key does not allow this.
    Forbidden,
    /// 404: there is nothing under this id.
    NotFound,
    /// 409: something else stands against it, such as a name that is taken.
    Conflict,
    /// 410: it was removed for good.
    Gone,
    /// 413: the request is too large.
    ContentTooLarge,
    /// 422: the request is well-formed, but its content is not valid.
    UnprocessableEntity,
    /// 429: the rate limit or a quota is used up.
    TooManyRequests,
    /// 500: a fault of the platform.
    InternalServer,
    /// 503: the platform cannot take it at the moment.
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

/// What an answer says about rate limits, from whichever family of headers it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Requests allowed in the window.
    pub limit: Option<u64>,
    /// Requests left in the window.
    pub remaining: Option<u64>,
    /// Requests used in the window.
    pub used: Option<u64>,
    /// When the window ends.
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
