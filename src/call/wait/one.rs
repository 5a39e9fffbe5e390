//! A wait for one resource.

use std::fmt;
use std::time::{Duration, Instant};

use crate::call::options::RequestOptions;
use crate::call::request::Request;
use crate::call::typed::Output;
use crate::call::wait::poll::{Next, Pace, Poll, Pollable};
use crate::error::Result;
use crate::http::engine;

type Callback<T> = Box<dyn FnMut(&T) + Send>;

/// A wait: polls the status until it is done. Nothing happens before [`send`](Wait::send).
///
/// ```no_run
/// use std::time::{Duration, Instant};
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
    pace: Pace,
    unknown: u32,
    callback: Option<Callback<T>>,
    poll: fn(&str, Pace, Instant, u32) -> Poll,
    next: fn(&mut Poll, Result<T>, Instant) -> Result<Next<T>>,
}

impl<T: Output> Wait<T> {
    pub(crate) fn new(request: Request, id: &str) -> Self
    where
        T: Pollable,
    {
        Wait {
            request,
            id: id.into(),
            pace: Pace::default(),
            unknown: 0,
            callback: None,
            poll: Poll::new::<T>,
            next: Poll::next::<T>,
        }
    }

    /// Sets how many 404 responses are tolerated for a resource that was created a moment ago.
    pub(crate) fn forgive_unknown(mut self, times: u32) -> Self {
        self.unknown = times;
        self
    }

    /// Changes the request of each poll.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Request)) -> Self {
        change(&mut self.request);
        self
    }

    setters! {
        /// Sets the time between two polls. By default, it is 0.5 s, 1 s, 2 s and then 5 s.
        sleep_interval: some Duration => pace.sleep_interval,
        /// Limits the wait. The default is one hour, with a last poll at its end.
        max_wait_time: Duration => pace.max_wait_time,
    }

    pub(crate) fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    setters! {
        /// Sets a function that is called with the result of each poll, including the first.
        callback: some boxed(FnMut(&T) + Send) => callback,
        /// Applies settings to each poll.
        request_options: RequestOptions => request.options,
    }

    when_some!();

    /// Waits until the resource is done, and returns it. A poll that fails temporarily does not end the wait.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`](crate::Error::Failed) if the resource ended in failure,
    /// [`Error::WaitTimeout`](crate::Error::WaitTimeout) if it is not done in time, and the error of a poll that failed
    /// permanently.
    pub fn send(mut self) -> Result<T> {
        self.pace.check()?;
        let session = self.request.session().clone();
        let clock = &*session.settings().clock;
        // Pauses are added to the time, because a replaced clock may not advance during them.
        let mut now = clock.now();
        let mut poll = (self.poll)(&self.id, self.pace, now, self.unknown);
        loop {
            let mut request = self.request.clone();
            let remaining = poll.time_left(now);
            request.options.deadline = Some(request.options.deadline.map_or(remaining, |own| own.min(remaining)));
            let response = T::receive(request).map(|response| response.data);
            if let (Some(callback), Ok(seen)) = (&mut self.callback, &response) {
                callback(seen);
            }
            now = now.max(clock.now());
            match (self.next)(&mut poll, response, now)? {
                Next::Done(done) => return Ok(done),
                Next::Again(at) => {
                    let cancel = self.request.options.cancel.as_ref();
                    engine::pause(&session, at - now, cancel, &self.request.operation())?;
                    now = at.max(clock.now());
                }
            }
        }
    }
}

impl<T> fmt::Debug for Wait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("request", &self.request).field("pace", &self.pace).finish_non_exhaustive()
    }
}
