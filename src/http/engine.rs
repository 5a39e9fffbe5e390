//! The loop that sends every request: API calls, pages, polls, streams and chunks.
//!
//! The loop sends and waits. [`RetryState`] decides whether and when a request is sent again. Deadlines, cancellation
//! and the rate limiter are handled here, because they need the clock.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::later;
pub(crate) use crate::error::STORAGE_OPERATION;
use crate::error::{ApiError, Error, Result};
use crate::http::attempt::{self, Attempt, Exchange, HeaderMap, Limits, LiveBody};
use crate::http::cancel::CancelHandle;
use crate::http::error_body::api_error;
use crate::http::failure::{Failure, FailureKind, TimeLimit};
use crate::http::limiter::Permit;
use crate::http::observe::{AttemptEvent, Observer, ReportOnDrop, route};
use crate::http::redact::scrub;
use crate::http::retry::{AttemptOutcome, Decision, Refusal, RequestKind, RetryPolicy, RetryState};
use crate::http::session::Session;
use crate::http::url::same_origin;
use crate::limits::{FOREVER, SLICE};
use crate::response::{HttpResponse, Origin, describe};
use crate::text::{human, printable, public_url};

/// The size above which a body is sent with `Expect: 100-continue`, so that a refusal arrives with its reason.
const EXPECT_CONTINUE_ABOVE: u64 = 1 << 20;
/// The maximum size of a refusal's body that is kept.
const MAX_ERROR_BODY: usize = 64 << 10;
const OUTCOME_UNKNOWN: &str = "it is unknown whether the platform acted, so check before you repeat it";

/// A request to send, with its retry policy.
pub(crate) struct Plan<'a> {
    pub method: &'static str,
    /// The name of the request in errors.
    pub operation: String,
    pub target: Target<'a>,
    pub headers: HeaderMap,
    pub body: Option<&'a dyn Body>,
    /// Whether sending it twice has the same effect as sending it once.
    pub idempotent: bool,
    pub policy: Policy,
    pub cancel: Option<CancelHandle>,
    /// Set when no further attempt is to be made, while the one under way continues.
    pub stop: Option<CancelHandle>,
}

/// The target of a request.
pub(crate) enum Target<'a> {
    /// The API. The request carries the key.
    Api(String),
    /// The storage. The request carries no key, and each attempt requests a new URL.
    Storage(&'a mut dyn FnMut() -> Result<String>),
}

/// The limits of a call.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// The limit for the whole response once the request is sent, or for silence in a stream.
    pub timeout: Duration,
    /// Whether the response is read as it arrives.
    pub stream: bool,
    /// The limit for the whole call.
    pub deadline: Option<Duration>,
    pub max_response_size: u64,
    pub retry: RetryPolicy,
}

/// A body that can be sent.
pub(crate) trait Body {
    /// Returns the size in bytes, if it is known.
    fn length(&self) -> Option<u64>;
    /// Whether every byte can (still) be sent from the start.
    fn is_replayable(&self) -> bool;
    /// Whether the body contains a file.
    fn has_file(&self) -> bool;
    fn open(&self) -> Result<Box<dyn BodyReader + '_>>;
}

/// A body that is being sent.
pub(crate) trait BodyReader: Read {
    /// The reason why it could not be read.
    fn take_fault(&mut self) -> Option<Error>;
    /// The time at which the last byte was read.
    fn finished_at(&self) -> Option<Instant>;
}

/// The reason why an attempt has no response.
enum AttemptError {
    /// The client ended the attempt, because the body could not be read or there is no URL.
    Stopped(Error),
    Failed(Failure),
}

/// Sends a request, with retries where they are safe, and returns the response if it is a success. The response is
/// complete unless it is a stream.
pub(crate) fn run(session: &Session, plan: Plan<'_>) -> Result<HttpResponse<LiveBody>> {
    let settings = session.settings();
    let clock = &*settings.clock;
    let now = || clock.now();
    let mut call = Call::new(session, plan);
    let mut retry = call.retry_state();
    let mut redirected = None;
    loop {
        call.check_canceled()?;
        let permit = call.admit(&now)?;
        let (result, mut report) = call.attempt(redirected.take(), retry.expect_continue, permit);
        let is_replayable = call.is_replayable();
        let (error, outcome) = match result {
            Ok((_, response)) if (200..300).contains(&response.status) => return call.success(response),
            Ok((_, response)) if retry.has_deleted(response.status) => return Ok(no_content(response)),
            Ok((exchange, response)) if is_redirect(&response) => {
                let (error, outcome, target) = call.redirect(&exchange.url(), response);
                redirected = target;
                (error, outcome)
            }
            Ok((exchange, response)) => call.refused(&exchange.url(), response),
            Err(AttemptError::Stopped(e)) => call.stopped(e)?,
            Err(AttemptError::Failed(failure)) => call.failed(failure),
        };
        call.share_rate_limit(&error, outcome, Duration::ZERO);
        let wait = match retry.next(outcome, is_replayable, &call.plan.policy.retry, clock.random()) {
            Decision::Redirect => continue,
            Decision::RetryAfter(wait) if !call.is_stopped() => wait,
            Decision::RetryAfter(_) | Decision::Return => return Err(error),
        };
        redirected = None;
        call.check_canceled()?;
        let error = call.check_time_for_retry(wait, error)?;
        if let Some(report) = &mut report {
            report.event.retry_in = Some(wait);
        }
        drop(report);
        log::info!("{error}; retrying in {} ms", wait.as_millis());
        call.share_rate_limit(&error, outcome, wait);
        call.pause_before_retry(wait)?;
        if call.is_stopped() {
            return Err(error);
        }
    }
}

fn is_redirect<T>(response: &HttpResponse<T>) -> bool {
    (300..400).contains(&response.status) && response.headers.get("location").is_some()
}

/// The response to a DELETE whose earlier attempt has deleted the resource.
fn no_content<T>(mut response: HttpResponse<T>) -> HttpResponse<T> {
    (response.status, response.body) = (204, Vec::new());
    response
}

/// The response to an attempt, its exchange, and the report for the observer, if there is one.
type Attempted<'a> = (Result<(Arc<Exchange>, HttpResponse<LiveBody>), AttemptError>, Option<ReportOnDrop<'a>>);

/// The state of a call in the loop.
struct Call<'a, 'p> {
    session: &'a Session,
    plan: Plan<'p>,
    is_api: bool,
    since: Instant,
    attempts: u32,
    /// The end of its last pause, also on a clock that does not show it.
    paused_until: Option<Instant>,
}

impl<'a, 'p> Call<'a, 'p> {
    fn new(session: &'a Session, plan: Plan<'p>) -> Self {
        let is_api = matches!(plan.target, Target::Api(_));
        let since = session.settings().clock.now();
        Call { session, plan, is_api, since, attempts: 0, paused_until: None }
    }

    fn retry_state(&self) -> RetryState {
        let Plan { method, idempotent, body, .. } = &self.plan;
        let large =
            |body: &&dyn Body| body.has_file() && body.length().is_none_or(|length| length > EXPECT_CONTINUE_ABOVE);
        // A chunk does not send `Expect` on its first attempt, because that would cost a round trip for each chunk, and
        // one second if the storage ignores the header.
        let expect_continue = self.is_api && body.as_ref().is_some_and(large);
        RetryState::new(RequestKind { method, idempotent: *idempotent, is_api: self.is_api }, expect_continue)
    }

    fn is_replayable(&self) -> bool {
        self.plan.body.is_none_or(|body| body.is_replayable())
    }

    /// Whether no further attempt may be made.
    fn is_stopped(&self) -> bool {
        self.plan.stop.as_ref().is_some_and(CancelHandle::is_canceled)
    }

    fn check_canceled(&self) -> Result<()> {
        check_canceled(self.plan.cancel.as_ref(), &self.plan.operation)
    }

    /// Returns the time that remains until the deadline.
    fn remaining(&self) -> Option<Duration> {
        let deadline = self.plan.policy.deadline?;
        let spent = self.session.settings().clock.now().saturating_duration_since(self.since);
        Some(deadline.saturating_sub(spent))
    }

    /// Waits while the rate limiter holds requests back.
    fn admit<'s>(&self, now: &'s dyn Fn() -> Instant) -> Result<Option<Permit<'s>>>
    where
        'a: 's,
    {
        // A pause is taken once, also on a clock that does not show it.
        let mut at = self.paused_until.map_or(now(), |until| until.max(now()));
        loop {
            let held = match self.session.settings().limiter.admit(at, now) {
                _ if !self.is_api => return Ok(None),
                Ok(permit) => return Ok(permit),
                Err(held) => held,
            };
            let wait = held.until.saturating_duration_since(at);
            if let Some(refusal) = held.refusal.filter(|_| wait > self.plan.policy.retry.max_retry_after) {
                return Err(self.rate_limited_elsewhere(&refusal, wait));
            }
            if let Some(remaining) = self.remaining().filter(|remaining| wait >= *remaining) {
                let (wait, remaining) = (human(wait), human(remaining));
                let message = format!(
                    "the rate limit allows the next request in {wait}, and the deadline leaves {remaining}; \
                     nothing was sent"
                );
                return Err(self.timeout(message, None));
            }
            self.pause(wait, None)?;
            at = held.until;
        }
    }

    /// Returns the refusal of a rate limit for which another call agreed to wait longer than this call would.
    fn rate_limited_elsewhere(&self, refusal: &ApiError, wait: Duration) -> Error {
        Error::from(Arc::new(ApiError {
            operation: self.plan.operation.clone(),
            retry_after: Some(wait),
            hint: Some("this request was not sent, because another request of this client was refused".into()),
            ..refusal.clone()
        }))
    }

    /// The limit is the account's: every call of the session waits for it, whether this one is sent again or not.
    fn share_rate_limit(&self, error: &Error, outcome: AttemptOutcome, wait: Duration) {
        let AttemptOutcome::Refused(Refusal { status: 429, is_quota: false, retry_after, .. }) = outcome else {
            return;
        };
        let Error::Api(refusal) = error else { return };
        if self.is_api && retry_after <= self.plan.policy.retry.max_retry_after {
            let settings = self.session.settings();
            settings.limiter.pause_until(later(settings.clock.now(), wait.max(retry_after)), refusal);
        }
    }

    /// Makes one attempt. The response is complete unless it is the start of a stream.
    fn attempt(&mut self, url: Option<String>, expect_continue: bool, permit: Option<Permit<'_>>) -> Attempted<'a> {
        let remaining = self.remaining();
        if remaining.is_some_and(|remaining| remaining.is_zero()) {
            let deadline = human(self.plan.policy.deadline.unwrap_or_default());
            let message = format!("the deadline of {deadline} has passed; nothing was sent");
            return (Err(AttemptError::Stopped(self.timeout(message, None))), None);
        }
        let url = match (url, &mut self.plan.target) {
            (Some(url), _) => url,
            (None, Target::Api(url)) => url.clone(),
            (None, Target::Storage(url)) => match url() {
                Ok(url) => url,
                Err(e) => return (Err(AttemptError::Stopped(e)), None),
            },
        };
        self.attempts += 1;
        let exchange = Exchange::new(url, self.plan.cancel.clone());
        if let Some(permit) = &permit {
            permit.watch(exchange.departed());
        }
        let started = ReportOnDrop::is_wanted(self.observer()).then(Instant::now);
        let result = send(self.session, &self.plan, &exchange, expect_continue, remaining);
        let mut result = result.map_err(|e| match e {
            AttemptError::Failed(failure) => AttemptError::Failed(self.with_limit(failure)),
            e => e,
        });
        let bytes_received = result.as_ref().map_or(0, |response| response.body.len() as u64);
        if let Ok(response) = &mut result {
            let host = match self.is_api && !exchange.is_with_proxy() {
                true => self.session.settings().api_host.clone(),
                false => exchange.contact().into(),
            };
            response.origin = Origin { host, attempts: self.attempts };
            self.session.redact_success(response);
            if self.is_api {
                self.session.learn_time(&response.headers);
            }
        }
        let report = self.report(&exchange, &result, started, bytes_received);
        (result.map(|response| (exchange, response)), report)
    }

    fn observer(&self) -> Option<&'a Observer> {
        self.session.settings().options.observer.as_ref()
    }

    /// Returns the report of an attempt, if there is an observer or logging is enabled.
    fn report(
        &self,
        exchange: &Exchange,
        result: &Result<HttpResponse<LiveBody>, AttemptError>,
        started: Option<Instant>,
        bytes_received: u64,
    ) -> Option<ReportOnDrop<'a>> {
        let started = started?;
        let response = result.as_ref().ok();
        let error = result.as_ref().err().map(|e| match e {
            AttemptError::Stopped(e) => e.to_string(),
            AttemptError::Failed(failure) if failure.kind == FailureKind::TooLarge => {
                "the response is too large".into()
            }
            AttemptError::Failed(failure) => failure.message.clone(),
        });
        let event = AttemptEvent {
            operation: self.plan.operation.clone(),
            route: route(&self.plan.operation),
            host: printable(&exchange.contact(), 100),
            attempt: self.attempts,
            status: response.map(|response| response.status),
            error,
            duration: started.elapsed(),
            bytes_sent: exchange.bytes_sent(),
            bytes_received,
            trace_id: response.and_then(HttpResponse::trace_id).map(|id| printable(id, 200)),
            retry_in: None,
        };
        Some(ReportOnDrop { event, observer: self.observer() })
    }

    /// Returns a successful response, unless its body is encoded in a way that was not requested.
    fn success(&self, response: HttpResponse<LiveBody>) -> Result<HttpResponse<LiveBody>> {
        // The HTTP library removes `content-encoding` from a body that it decompresses.
        let encoding = response.headers.get("content-encoding").unwrap_or_default().trim();
        if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
            return Ok(response);
        }
        let response = response.with(());
        let (operation, message) = (self.plan.operation.clone(), describe(&response));
        Err(unreadable(Error::Decode { operation, message, response: Box::new(response) }, self.plan.idempotent))
    }

    /// Returns the error for a redirect, and its target if that is the same server.
    fn redirect<T>(&self, from: &str, response: HttpResponse<T>) -> (Error, AttemptOutcome, Option<String>) {
        let response = self.session.redact(response);
        let location = response.headers.get("location").unwrap_or_default();
        let target = same_origin(from, location);
        let status = response.status;
        let error = Error::Redirect {
            operation: self.plan.operation.clone(),
            host: printable(&response.origin.host, 100),
            // A query can be a secret, like that of a presigned URL.
            location: printable(&public_url(location), 300),
            status,
        };
        (error, AttemptOutcome::Redirect { status, same_origin: target.is_some() }, target)
    }

    fn refused<T>(&self, url: &str, response: HttpResponse<T>) -> (Error, AttemptOutcome) {
        let mut response = self.session.redact(response);
        if !self.is_api {
            response = scrub(response, url);
        }
        let e = api_error(self.plan.operation.clone(), response, self.session.settings().clock.utc_now());
        let (status, declined, retry_after) = (e.status, e.declined, e.retry_after.unwrap_or_default());
        let mut error = Error::from(Arc::new(e));
        if let (true, Error::Api(e)) = (error.is_outcome_unknown() && !self.plan.idempotent, &mut error) {
            Arc::make_mut(e).hint = Some(OUTCOME_UNKNOWN.into());
        }
        let is_quota = error.is_quota();
        (error, AttemptOutcome::Refused(Refusal { status, retry_after, declined, is_quota }))
    }

    /// Handles an attempt that the client ended. No other attempt follows, unless the URL of a chunk is temporarily
    /// unavailable.
    fn stopped(&self, e: Error) -> Result<(Error, AttemptOutcome)> {
        match !self.is_api && e.is_retryable() {
            true => Ok((e, AttemptOutcome::NotSent)),
            false => Err(e),
        }
    }

    fn failed(&self, failure: Failure) -> (Error, AttemptOutcome) {
        let outcome = match (failure.kind, failure.sent) {
            (FailureKind::Broke | FailureKind::TimedOut, false) => AttemptOutcome::NotSent,
            (FailureKind::Broke, true) => AttemptOutcome::Broke,
            (FailureKind::TimedOut, true) => AttemptOutcome::TimedOut,
            _ => AttemptOutcome::Impossible,
        };
        let Plan { operation, policy, idempotent, .. } = &self.plan;
        (failed(failure, operation.clone(), policy.max_response_size, *idempotent), outcome)
    }

    /// Returns the number of attempts for a message.
    fn count_of_attempts(&self) -> String {
        if self.attempts == 1 { "1 attempt".into() } else { format!("{} attempts", self.attempts) }
    }

    /// Adds the limit that ended an attempt to its message.
    fn with_limit(&self, failure: Failure) -> Failure {
        let mut failure = failure.with_limit(self.plan.policy.timeout, self.plan.policy.deadline);
        if failure.limit == Some(TimeLimit::Deadline) {
            failure.message.push_str(&format!(" ({})", self.count_of_attempts()));
        }
        failure
    }

    /// Returns the error of the last attempt, if the deadline leaves time for another attempt after this pause.
    fn check_time_for_retry(&self, wait: Duration, error: Error) -> Result<Error> {
        match self.remaining() {
            // The error already names the deadline.
            Some(Duration::ZERO) if error.is_timeout() => Err(error),
            Some(remaining) if wait >= remaining => {
                let deadline = human(self.plan.policy.deadline.unwrap_or_default());
                let attempts = self.count_of_attempts();
                let message =
                    format!("the deadline of {deadline} leaves no time for another attempt (after {attempts})");
                Err(self.timeout(message, Some(error)))
            }
            _ => Ok(error),
        }
    }

    fn timeout(&self, message: String, source: Option<Error>) -> Error {
        Error::Timeout {
            operation: self.plan.operation.clone(),
            message,
            sent: source.as_ref().is_some_and(Error::is_outcome_unknown),
            source: source.map(Box::new),
        }
    }

    fn pause_before_retry(&mut self, wait: Duration) -> Result<()> {
        let until = later(self.session.settings().clock.now(), wait);
        if !wait.is_zero() {
            self.pause(wait, self.plan.stop.as_ref())?;
        }
        self.paused_until = Some(until);
        Ok(())
    }

    fn pause(&self, duration: Duration, stop: Option<&CancelHandle>) -> Result<()> {
        pause_until(self.session, duration, self.plan.cancel.as_ref(), stop, &self.plan.operation)
    }
}

fn send(
    session: &Session,
    plan: &Plan<'_>,
    exchange: &Arc<Exchange>,
    expect_continue: bool,
    total: Option<Duration>,
) -> Result<HttpResponse<LiveBody>, AttemptError> {
    let settings = session.settings();
    let policy = &plan.policy;
    let is_api = matches!(plan.target, Target::Api(_));
    let timeout = policy.timeout.min(FOREVER);
    let started = Instant::now();
    let mut reader = plan.body.map(|body| body.open()).transpose().map_err(AttemptError::Stopped)?;
    let body = reader.as_mut().map(|reader| (reader as &mut dyn Read, plan.body.and_then(|body| body.length())));
    let limits = Limits { response: timeout, stream: policy.stream, total };
    let result = attempt::send(
        &settings.agents,
        exchange,
        Attempt { method: plan.method, headers: &plan.headers, is_api, expect_continue, body, limits },
    );
    if let Some(fault) = reader.as_mut().and_then(|reader| reader.take_fault()) {
        return Err(AttemptError::Stopped(fault));
    }
    let mut response = result.map_err(AttemptError::Failed)?;
    let success = (200..300).contains(&response.status);
    let finished_at = reader.map_or(Some(started), |reader| reader.finished_at());
    if success && finished_at.is_none() {
        let (host, status) = (exchange.contact(), response.status);
        let message = format!("{host} answered with status {status} without accepting any of the body");
        return Err(AttemptError::Failed(Failure::new(FailureKind::Broke, message)));
    }
    // A response that refuses a body early has only begun to arrive.
    let deadline = later(finished_at.unwrap_or_else(Instant::now), timeout);
    response.body = match success {
        true if policy.stream => Vec::new(),
        true => attempt::read_all(&mut response, policy.max_response_size, deadline).map_err(AttemptError::Failed)?,
        // The status is what counts, even if the rest cannot be read.
        false => attempt::read_start(&mut response, MAX_ERROR_BODY, deadline),
    };
    Ok(response)
}

/// Marks the cause of a failure that every further attempt would meet again. `Error::is_retryable` recognizes it by its
/// kind.
fn permanent(cause: Option<io::Error>) -> io::Error {
    match cause {
        Some(e) if e.kind() == io::ErrorKind::InvalidData => e,
        Some(e) => io::Error::new(io::ErrorKind::InvalidData, e),
        None => io::ErrorKind::InvalidData.into(),
    }
}

/// Notes in the error of an unreadable response that the platform may have acted.
pub(crate) fn unreadable(mut e: Error, idempotent: bool) -> Error {
    if let (Error::Decode { message, .. } | Error::Timeout { message, .. }, false) = (&mut e, idempotent) {
        message.push_str("; ");
        message.push_str(OUTCOME_UNKNOWN);
    }
    e
}

/// The error for an attempt without a response.
pub(crate) fn failed(failure: Failure, operation: String, limit: u64, idempotent: bool) -> Error {
    let Failure { kind, sent, mut message, source, .. } = failure;
    if sent && !idempotent {
        message.push_str("; ");
        message.push_str(OUTCOME_UNKNOWN);
    }
    let source = if kind == FailureKind::Impossible { Some(permanent(source)) } else { source };
    match kind {
        FailureKind::TimedOut => Error::Timeout { operation, message, sent, source: None },
        FailureKind::TooLarge => Error::ResponseTooLarge { operation, limit },
        FailureKind::Canceled => Error::Canceled { operation, sent },
        FailureKind::Invalid => Error::invalid("headers", message),
        FailureKind::Impossible | FailureKind::Broke => Error::Transport { operation, message, sent, source },
    }
}

/// Returns an error if the call was canceled.
pub(crate) fn check_canceled(cancel: Option<&CancelHandle>, operation: &str) -> Result<()> {
    match cancel {
        Some(cancel) if cancel.is_canceled() => Err(Error::Canceled { operation: operation.into(), sent: false }),
        _ => Ok(()),
    }
}

/// Sleeps. Returns an error if the call is canceled during the sleep.
pub(crate) fn pause(
    session: &Session,
    duration: Duration,
    cancel: Option<&CancelHandle>,
    operation: &str,
) -> Result<()> {
    pause_until(session, duration, cancel, None, operation)
}

/// Sleeps, at most until `stop`. Returns an error if the call is canceled during the sleep.
fn pause_until(
    session: &Session,
    duration: Duration,
    cancel: Option<&CancelHandle>,
    stop: Option<&CancelHandle>,
    operation: &str,
) -> Result<()> {
    let clock = &session.settings().clock;
    if cancel.is_none() && stop.is_none() {
        clock.sleep(duration);
        return Ok(());
    }
    let mut remaining = duration;
    loop {
        check_canceled(cancel, operation)?;
        if remaining.is_zero() || stop.is_some_and(CancelHandle::is_canceled) {
            return Ok(());
        }
        let slice = remaining.min(SLICE);
        clock.sleep(slice);
        remaining -= slice;
    }
}
