//! The one loop that everything goes through: an API call, a page, a poll, a stream, a chunk to the storage.
//!
//! It alone decides about retries, redirects, the waits that servers ask for, deadlines, cancellation and the rate
//! limiter. [`retry`](crate::http::retry) is the pure function that it asks.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use crate::error::STORAGE_OPERATION;
use crate::error::{Error, Result};
use crate::http::attempt::{self, Answer, Attempt, Exchange, FOREVER, Failure, FailureKind, Limits, LiveBody};
use crate::http::cancel::CancelHandle;
use crate::http::error_body::api_error;
use crate::http::limiter::Permit;
use crate::http::observe::{AttemptEvent, Seen};
use crate::http::redact::scrub;
use crate::http::retry::{self, Ended};
use crate::http::session::Session;
use crate::http::url::{same_origin, without_password};
use crate::response::{HttpResponse, Origin, describe};
use crate::text::printable;

/// A body above this size announces itself, so that a refusal arrives with its reason.
const ANNOUNCED: u64 = 1 << 20;
const MOST_REDIRECTS: u32 = 5;
/// No more is kept of the body of a refusal.
const MOST_REFUSAL: usize = 64 << 10;
/// How often a patient call may be refused for a rate limit.
const MOST_HELD_BACK: u32 = 50;
/// How often a pause checks whether it was canceled.
const SLICE: Duration = Duration::from_millis(50);

/// What is to be sent, and how patiently.
pub(crate) struct Plan<'a> {
    pub method: &'static str,
    /// The request in an error's text.
    pub operation: String,
    pub target: Target<'a>,
    pub headers: Vec<(String, String)>,
    pub body: Option<&'a dyn Body>,
    /// Whether doing it twice is the same as doing it once.
    pub repeatable: bool,
    pub policy: Policy,
    pub cancel: Option<CancelHandle>,
    /// Set when no further attempt is to be made, while the one under way continues.
    pub stop: Option<CancelHandle>,
}

/// Where a request goes.
pub(crate) enum Target<'a> {
    /// To the API, with the key.
    Api(String),
    /// To the storage, without the key. A new URL is asked for on each attempt.
    Storage(&'a mut dyn FnMut() -> Result<String>),
}

/// The limits of a call.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// For the whole answer once the request is sent, or for silence in a stream.
    pub timeout: Duration,
    /// Whether the answer is read as it arrives.
    pub stream: bool,
    /// For the whole call.
    pub deadline: Option<Duration>,
    pub max_retries: u32,
    /// The backoff before the first retry, before jitter.
    pub retry_delay: Duration,
    /// The longest wait that a server may ask for.
    pub max_retry_after: Duration,
    pub max_response_size: u64,
    /// Whether a rate limit is nobody's fault, and does not count as a retry.
    pub patient: bool,
}

/// A body that can be sent.
pub(crate) trait Body {
    /// Its size in bytes, if it is known.
    fn length(&self) -> Option<u64>;
    /// Whether every byte can (still) be sent from the start.
    fn is_fresh(&self) -> bool;
    /// Whether it has a file in it.
    fn has_file(&self) -> bool;
    fn open(&self) -> Result<Box<dyn BodyReader + '_>>;
}

/// A body while it is sent.
pub(crate) trait BodyReader: Read {
    /// Why it could not be read.
    fn take_fault(&mut self) -> Option<Error>;
    /// When the last byte was taken.
    fn ended(&self) -> Option<Instant>;
}

/// How an attempt ended without an answer.
enum Tried {
    /// By this side: there is no other attempt.
    Stopped(Error),
    Failed(Failure),
}

/// Sends a request, again where that is safe, and gives the answer if it is a success: complete, unless it is a stream.
pub(crate) fn run(session: &Session, mut plan: Plan<'_>) -> Result<HttpResponse<LiveBody>> {
    let settings = session.settings();
    let clock = &*settings.clock;
    let now = || clock.now();
    let mut call = Call {
        session,
        operation: std::mem::take(&mut plan.operation),
        cancel: plan.cancel.clone(),
        since: clock.now(),
        paused_until: None,
    };
    let large = |body: &&dyn Body| body.has_file() && body.length().is_none_or(|length| length > ANNOUNCED);
    let is_api = matches!(plan.target, Target::Api(_));
    // A chunk does not announce itself at first: that would cost a round trip each.
    let mut announce = is_api && plan.body.as_ref().is_some_and(large);
    let mut redirected: Option<String> = None;
    let (mut attempts, mut retries, mut redirects, mut held_back, mut unanswered) = (0, 0, 0, 0, 0);
    // Whether an attempt may have been carried out although it gave no answer.
    let mut unsure = false;
    loop {
        call.check_canceled()?;
        let permit = if is_api { call.admit(plan.policy.deadline, &now)? } else { None };
        let left = call.left(plan.policy.deadline)?;
        let url = match (&mut plan.target, &redirected) {
            (_, Some(url)) => Ok(url.clone()),
            (Target::Api(url), None) => Ok(url.clone()),
            (Target::Storage(url), None) => url(),
        };
        let (tried, mut seen) = match url {
            Ok(url) => {
                attempts += 1;
                let (tried, seen) = attempt(&call, &plan, &url, announce, left, attempts, permit);
                if let (Ok(answer), true) = (&tried, is_api) {
                    session.learn_time(&answer.headers);
                }
                (tried.map(|answer| (url, answer)), seen)
            }
            Err(e) => (Err(Tried::Stopped(e)), None),
        };
        let fresh = plan.body.is_none_or(|body| body.is_fresh());
        let (error, ended) = match tried {
            Ok((_, response)) if (200..300).contains(&response.status) => return call.success(response),
            // The try before it has deleted it, or somebody else has.
            Ok((_, mut response)) if response.status == 404 && plan.method == "DELETE" && unsure => {
                (response.status, response.body) = (204, Vec::new());
                return Ok(response);
            }
            Ok((_, response)) if response.status == 417 && announce && fresh => {
                announce = false;
                continue;
            }
            Ok((url, response)) if is_redirect(&response) => {
                let follow = is_api && fresh && redirects < MOST_REDIRECTS;
                redirected = Some(call.redirect(plan.method, &url, response, follow)?);
                redirects += 1;
                continue;
            }
            Ok((url, response)) => {
                let mut response = session.redact(response);
                if !is_api {
                    response = scrub(response, &url);
                }
                let e = api_error(call.operation.clone(), response, clock.utc_now());
                let ended = Ended::Status(e.status, e.retry_after);
                (Error::from(Arc::new(e)), ended)
            }
            // The URL of a chunk could not be had for now.
            Err(Tried::Stopped(e)) if !is_api && e.is_retryable() => (e, Ended::NotSent),
            Err(Tried::Stopped(e)) => return Err(e),
            Err(Tried::Failed(failure)) => {
                let ended = match (failure.kind, failure.sent) {
                    (FailureKind::Broke | FailureKind::TimedOut, false) => Ended::NotSent,
                    (FailureKind::Broke, true) => Ended::Broke,
                    (FailureKind::TimedOut, true) => {
                        unanswered += 1;
                        Ended::Unanswered(unanswered)
                    }
                    _ => Ended::Impossible,
                };
                (call.failed(failure, &plan), ended)
            }
        };
        redirected = None;
        unsure |= matches!(ended, Ended::Broke | Ended::Unanswered(_) | Ended::Status(500..=599, _));
        if !is_api {
            // What broke is announced the next time, so that the reason of an early refusal is read.
            announce |= ended == Ended::Broke;
        }
        let asked = error.retry_after().unwrap_or_default();
        let limited = is_api && matches!(ended, Ended::Status(429, _)) && !error.is_quota();
        if limited && asked <= plan.policy.max_retry_after {
            // The limit is the account's: every call waits, whether this one is tried again or not.
            settings.limiter.pause_until(clock.now() + asked);
        }
        let stopped = || plan.stop.as_ref().is_some_and(CancelHandle::is_canceled);
        if !fresh || stopped() || error.is_quota() || !retry::may_repeat(ended, plan.repeatable, is_api) {
            return Err(error);
        }
        let counts = !(limited && plan.policy.patient && held_back < MOST_HELD_BACK);
        if (counts && retries >= plan.policy.max_retries) || asked > plan.policy.max_retry_after {
            return Err(error);
        }
        let tries = if counts { &mut retries } else { &mut held_back };
        // A URL that has ended says nothing about the next one.
        let at_once = !is_api && *tries == 0 && matches!(ended, Ended::Status(403 | 404 | 410, _));
        let delay = if at_once { Duration::ZERO } else { plan.policy.retry_delay };
        let wait = asked.max(retry::back_off(*tries, delay, clock.random()));
        *tries += 1;
        call.check_canceled()?;
        match call.left(plan.policy.deadline) {
            Err(_) => return Err(call.timeout("the deadline of the call has passed", Some(error))),
            Ok(Some(left)) if wait >= left => {
                return Err(call.timeout("the deadline of the call leaves no time for another attempt", Some(error)));
            }
            Ok(_) => {}
        }
        if let Some(seen) = &mut seen {
            seen.event.retry_in = Some(wait);
        }
        drop(seen);
        log::info!("{error}; trying again in {} ms", wait.as_millis());
        let until = clock.now() + wait.min(FOREVER);
        if limited {
            settings.limiter.pause_until(until);
        }
        call.pause(wait, plan.stop.as_ref())?;
        call.paused_until = Some(until);
        if plan.stop.as_ref().is_some_and(CancelHandle::is_canceled) {
            return Err(error);
        }
    }
}

fn is_redirect<T>(response: &HttpResponse<T>) -> bool {
    (300..400).contains(&response.status) && response.headers.get("location").is_some()
}

/// One try: an answer, complete unless it is the start of a stream, and what is seen of it.
fn attempt<'a>(
    call: &Call<'a>,
    plan: &Plan<'_>,
    url: &str,
    announce: bool,
    total: Option<Duration>,
    number: u32,
    permit: Option<Permit<'_>>,
) -> (Result<HttpResponse<LiveBody>, Tried>, Option<Seen<'a>>) {
    let session = call.session;
    let exchange = Exchange::new(url, plan.cancel.clone());
    if let Some(permit) = &permit {
        permit.watch(exchange.left());
    }
    let started = Instant::now();
    let mut result = send(session, plan, &exchange, announce, total);
    let bytes_received = result.as_ref().map_or(0, |response| response.body.len() as u64);
    if let Ok(response) = &mut result {
        response.origin = Origin { host: exchange.contact(), attempts: number };
        session.redact_success(response);
    }
    let observer = session.settings().options.observer.as_ref();
    if !Seen::is_wanted(observer) {
        return (result, None);
    }
    let response = result.as_ref().ok();
    let error = match &result {
        Ok(_) => None,
        Err(Tried::Stopped(e)) => Some(e.to_string()),
        Err(Tried::Failed(failure)) if failure.kind == FailureKind::TooLarge => Some("the answer is too large".into()),
        Err(Tried::Failed(failure)) => Some(failure.message.clone()),
    };
    let event = AttemptEvent {
        operation: call.operation.clone(),
        host: printable(&exchange.contact(), 100),
        attempt: number,
        status: response.map(|response| response.status),
        error,
        duration: started.elapsed(),
        bytes_sent: exchange.bytes_sent(),
        bytes_received,
        trace_id: response.and_then(HttpResponse::trace_id).map(|id| printable(id, 200)),
        retry_in: None,
    };
    (result, Some(Seen { event, observer }))
}

fn send(
    session: &Session,
    plan: &Plan<'_>,
    exchange: &Arc<Exchange>,
    announce: bool,
    total: Option<Duration>,
) -> Result<HttpResponse<LiveBody>, Tried> {
    let settings = session.settings();
    let policy = &plan.policy;
    let is_api = matches!(plan.target, Target::Api(_));
    let answer = policy.timeout.min(FOREVER);
    let started = Instant::now();
    let mut reader = plan.body.map(|body| body.open()).transpose().map_err(Tried::Stopped)?;
    let body = reader.as_mut().map(|reader| (reader as &mut dyn Read, plan.body.and_then(|body| body.length())));
    let limits = Limits { answer, stream: policy.stream, total };
    let result = attempt::send(
        &settings.agents,
        exchange,
        Attempt { method: plan.method, headers: &plan.headers, is_api, announce, body, limits },
    );
    if let Some(fault) = reader.as_mut().and_then(|reader| reader.take_fault()) {
        return Err(Tried::Stopped(fault));
    }
    let mut response: Answer = result.map_err(Tried::Failed)?;
    let success = (200..300).contains(&response.status);
    let ended = reader.map_or(Some(started), |reader| reader.ended());
    if success && ended.is_none() {
        let (host, status) = (exchange.contact(), response.status);
        let message = format!("{host} answered with status {status} and took none of the body");
        return Err(Tried::Failed(Failure::new(FailureKind::Broke, message)));
    }
    let deadline = ended.unwrap_or(started) + answer;
    let body = match success {
        true if policy.stream => Vec::new(),
        true => attempt::read_all(&mut response, policy.max_response_size, deadline).map_err(Tried::Failed)?,
        // The status counts, whatever becomes of the rest.
        false => attempt::read_start(&mut response, MOST_REFUSAL, deadline),
    };
    let Answer { status, headers, body: data } = response;
    Ok(HttpResponse { data, status, headers, body, origin: Origin::default() })
}

/// A call on its way through the loop.
struct Call<'a> {
    session: &'a Session,
    operation: String,
    cancel: Option<CancelHandle>,
    since: Instant,
    /// Until when it has paused itself, also on a clock that does not show it.
    paused_until: Option<Instant>,
}

impl Call<'_> {
    /// What is left until the deadline. An error if that is nothing.
    fn left(&self, deadline: Option<Duration>) -> Result<Option<Duration>> {
        let Some(deadline) = deadline else { return Ok(None) };
        let spent = self.session.settings().clock.now().saturating_duration_since(self.since);
        match deadline.saturating_sub(spent) {
            Duration::ZERO => Err(self.timeout("the deadline of the call has passed", None)),
            left => Ok(Some(left)),
        }
    }

    /// Waits while the rate limiter holds requests back.
    fn admit<'s>(&self, deadline: Option<Duration>, clock: &'s dyn Fn() -> Instant) -> Result<Option<Permit<'s>>>
    where
        Self: 's,
    {
        let limiter = &self.session.settings().limiter;
        // A pause is taken once, also on a clock that does not show it.
        let mut now = clock();
        now = self.paused_until.map_or(now, |until| until.max(now));
        loop {
            let until = match limiter.admit(now, clock) {
                Ok(permit) => return Ok(permit),
                Err(until) => until,
            };
            let wait = until - now;
            if self.left(deadline)?.is_some_and(|left| wait >= left) {
                let message = format!("the rate limit lasts {} s longer than the deadline of the call", wait.as_secs());
                return Err(self.timeout(&message, None));
            }
            self.pause(wait, None)?;
            now = until;
        }
    }

    fn pause(&self, duration: Duration, stop: Option<&CancelHandle>) -> Result<()> {
        pause_until(self.session, duration, self.cancel.as_ref(), stop, &self.operation)
    }

    fn check_canceled(&self) -> Result<()> {
        check_canceled(self.cancel.as_ref(), &self.operation)
    }

    fn timeout(&self, message: &str, source: Option<Error>) -> Error {
        Error::Timeout {
            operation: self.operation.clone(),
            message: message.into(),
            sent: source.as_ref().is_some_and(Error::is_outcome_unknown),
            source: source.map(Box::new),
        }
    }

    /// A success, if it can be read.
    fn success(&self, response: HttpResponse<LiveBody>) -> Result<HttpResponse<LiveBody>> {
        // What can be decompressed has been, and says nothing of it any more.
        let encoding = response.headers.get("content-encoding").unwrap_or_default().trim();
        if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
            return Ok(response);
        }
        let response = response.with(());
        let (operation, message) = (self.operation.clone(), describe(&response));
        Err(Error::Decode { operation, message, response: Box::new(response) })
    }

    /// Where a redirect leads, if it may be followed.
    fn redirect<T>(&self, method: &str, from: &str, response: HttpResponse<T>, follow: bool) -> Result<String> {
        let response = self.session.redact(response);
        let location = response.headers.get("location").unwrap_or_default();
        let keeps_method =
            matches!(response.status, 307 | 308) || (matches!(response.status, 301..=303) && method == "GET");
        match same_origin(from, location) {
            Some(url) if keeps_method && follow => Ok(url),
            _ => Err(Error::Redirect {
                operation: self.operation.clone(),
                host: printable(&response.origin.host, 100),
                location: self.place(location),
                status: response.status,
            }),
        }
    }

    /// A place that a server has named, as it may be shown: that of the storage without its query, which is as good as
    /// a password.
    fn place(&self, location: &str) -> String {
        let is_storage = self.operation.starts_with(STORAGE_OPERATION);
        let shown = if is_storage { location.split('?').next().unwrap_or_default() } else { location };
        printable(&without_password(shown), 300)
    }

    fn failed(&self, failure: Failure, plan: &Plan<'_>) -> Error {
        failed(failure, self.operation.clone(), plan.policy.max_response_size, plan.repeatable)
    }
}

/// The error for an attempt without an answer.
pub(crate) fn failed(failure: Failure, operation: String, limit: u64, repeatable: bool) -> Error {
    let Failure { kind, sent, mut message, source } = failure;
    if sent && !repeatable {
        message.push_str("; it is unknown whether the platform acted: check before you repeat it");
    }
    match kind {
        FailureKind::TimedOut => Error::Timeout { operation, message, sent, source: None },
        FailureKind::TooLarge => Error::ResponseTooLarge { operation, limit },
        FailureKind::Canceled => Error::Canceled { operation, sent },
        FailureKind::Invalid => Error::invalid("headers", message),
        FailureKind::Impossible | FailureKind::Broke => Error::Transport { operation, message, sent, source },
    }
}

/// An error if the call was canceled.
pub(crate) fn check_canceled(cancel: Option<&CancelHandle>, operation: &str) -> Result<()> {
    match cancel {
        Some(cancel) if cancel.is_canceled() => Err(Error::Canceled { operation: operation.into(), sent: false }),
        _ => Ok(()),
    }
}

/// Sleeps. An error if the call is canceled meanwhile.
pub(crate) fn pause(
    session: &Session,
    duration: Duration,
    cancel: Option<&CancelHandle>,
    operation: &str,
) -> Result<()> {
    pause_until(session, duration, cancel, None, operation)
}

/// Sleeps, but no longer than until `stop`. An error if the call is canceled meanwhile.
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
    let mut left = duration;
    loop {
        check_canceled(cancel, operation)?;
        if left.is_zero() || stop.is_some_and(CancelHandle::is_canceled) {
            return Ok(());
        }
        let slice = left.min(SLICE);
        clock.sleep(slice);
        left -= slice;
    }
}
