//! Waiting until something is done, the same way for everything.

use std::fmt;
use std::time::Duration;

use crate::call::request::Request;
use crate::call::{Call, Output, RequestOptions};
use crate::error::{Error, FailedError, Result};

pub(crate) const SLEEP_INTERVAL: Duration = Duration::from_secs(5);
pub(crate) const MAX_WAIT_TIME: Duration = Duration::from_secs(3600);

/// The status of what does not say.
pub(crate) const UNKNOWN: &str = "unknown";

type Callback<T> = Box<dyn FnMut(&T) + Send>;

/// How something that is waited for is doing.
pub(crate) enum Progressing {
    Working,
    Done,
    /// It ended badly: the reason, where the platform gave one.
    Failed(Option<String>),
}

/// Something that can be waited for.
pub(crate) trait Waitable: Output + serde::Serialize {
    /// What errors call it.
    const RESOURCE: &'static str;
    /// The status as the platform writes it.
    fn status(&self) -> Option<&str>;
    fn progressing(&self) -> Progressing;
}

/// A wait: polls the status until it is done. Nothing happens before [`send`](Wait::send).
///
/// ```no_run
/// use std::time::Duration;
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let asset = client
///     .assets()
///     .wait_for_done("65f…")
///     .sleep_interval(Duration::from_secs(2))
///     .max_wait_time(Duration::from_secs(600))
///     .callback(|asset| eprintln!("{:?}", asset.status))
///     .send()?;
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[must_use = "nothing is sent before `.send()`"]
pub struct Wait<T> {
    request: Request,
    id: String,
    sleep_interval: Duration,
    max_wait_time: Duration,
    callback: Option<Callback<T>>,
    resource: &'static str,
    status: fn(&T) -> String,
    is_done: fn(&str, &T) -> Result<bool>,
}

impl<T: Output> Wait<T> {
    pub(crate) fn new(request: Request, id: &str) -> Self
    where
        T: Waitable,
    {
        Wait {
            request,
            id: id.into(),
            sleep_interval: SLEEP_INTERVAL,
            max_wait_time: MAX_WAIT_TIME,
            callback: None,
            resource: T::RESOURCE,
            status,
            is_done,
        }
    }

    /// The time between two polls: 5 s by default.
    pub fn sleep_interval(mut self, sleep_interval: Duration) -> Self {
        self.sleep_interval = sleep_interval;
        self
    }

    /// The most time to wait: one hour by default. The wait never lasts longer.
    pub fn max_wait_time(mut self, max_wait_time: Duration) -> Self {
        self.max_wait_time = max_wait_time;
        self
    }

    /// Called with the result of each poll, from the first on.
    pub fn callback(mut self, callback: impl FnMut(&T) + Send + 'static) -> Self {
        self.callback = Some(Box::new(callback));
        self
    }

    /// Settings for each poll.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.request.options = request_options;
        self
    }

    when_some!();

    /// Waits, and gives what was waited for once it is done.
    ///
    /// Fails with [`Error::Failed`] if it ended badly and with [`Error::WaitTimeout`] at the deadline. A poll that
    /// fails for a passing reason does not end the wait.
    pub fn send(mut self) -> Result<T> {
        if self.sleep_interval.is_zero() {
            return Err(Error::invalid("sleep_interval", "must be greater than 0"));
        }
        let client = self.request.client().clone();
        let clock = &*client.settings().clock;
        let began = clock.now();
        let mut last = UNKNOWN.to_string();
        loop {
            let left = self.max_wait_time.saturating_sub(clock.now() - began);
            let mut request = self.request.clone();
            let deadline = request.options.deadline.map_or(left, |own| own.min(left));
            request.options.deadline = Some(deadline.max(Duration::from_millis(1)));
            let fault = match Call::<T>::from(request).send() {
                Ok(seen) => {
                    if let Some(callback) = &mut self.callback {
                        callback(&seen);
                    }
                    last = (self.status)(&seen);
                    if (self.is_done)(&self.id, &seen)? {
                        return Ok(seen);
                    }
                    None
                }
                Err(e) if e.is_retryable() => Some(e),
                Err(e) => return Err(e),
            };
            let asked = fault.as_ref().and_then(Error::retry_after).unwrap_or_default();
            let pause = self.sleep_interval.max(asked);
            let waited = clock.now() - began;
            if waited.saturating_add(pause) > self.max_wait_time {
                // One more poll at the deadline would come too late to be of use if there is no time before it.
                let left = self.max_wait_time.saturating_sub(waited);
                if left.is_zero() || !asked.is_zero() {
                    return Err(ran_out(self.resource, self.id, last, waited, fault));
                }
                client.settings().pause(left, || self.request.operation())?;
                if clock.now() - began >= self.max_wait_time {
                    return Err(ran_out(self.resource, self.id, last, self.max_wait_time, fault));
                }
                continue;
            }
            client.settings().pause(pause, || self.request.operation())?;
        }
    }
}

/// The end of a wait that took too long, with the last status and the last fault.
pub(crate) fn ran_out(resource: &str, id: String, status: String, waited: Duration, fault: Option<Error>) -> Error {
    Error::WaitTimeout { resource: resource.into(), id, status, waited, source: fault.map(Box::new) }
}

/// Whether a wait for this is over; an error if it ended badly.
pub(crate) fn is_done<T: Waitable>(id: &str, seen: &T) -> Result<bool> {
    match seen.progressing() {
        Progressing::Done => Ok(true),
        Progressing::Working => Ok(false),
        Progressing::Failed(message) => {
            let raw = serde_json::to_value(seen).unwrap_or_default();
            Err(Error::from(Box::new(FailedError {
                resource: T::RESOURCE.into(),
                id: id.into(),
                status: status(seen),
                code: raw["error"]["code"].as_str().map(Into::into),
                message: message.unwrap_or_else(|| "the platform gave no reason".into()),
                raw,
            })))
        }
    }
}

/// The status for a text.
pub(crate) fn status<T: Waitable>(seen: &T) -> String {
    seen.status().unwrap_or(UNKNOWN).into()
}

impl<T> fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("request", &self.request)
            .field("sleep_interval", &self.sleep_interval)
            .field("max_wait_time", &self.max_wait_time)
            .finish_non_exhaustive()
    }
}
