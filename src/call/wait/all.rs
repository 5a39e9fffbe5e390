//! Waiting for many things of one kind, on one thread.

use std::fmt;
use std::time::{Duration, Instant};

use crate::call::options::RequestOptions;
use crate::call::request::Request;
use crate::call::typed::Output;
use crate::call::wait::poll::{Next, Pace, Poll, Waitable};
use crate::error::Result;
use crate::http::engine;
use crate::http::session::Session;

/// A wait for many things of one kind. Nothing happens before [`send`](WaitAll::send).
///
/// ```no_run
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// for (asset_id, asset) in client.assets().wait_for_all(["65f…", "660…"]).send()? {
///     match asset {
///         Ok(asset) => println!("{asset_id} is ready: {:?} s", asset.duration),
///         Err(e) => eprintln!("{asset_id}: {e}"),
///     }
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[must_use = "nothing is sent before `.send()`"]
pub struct WaitAll<T> {
    session: Session,
    requests: Vec<(String, Request)>,
    pace: Pace,
    options: RequestOptions,
    poll: fn(&str, Pace, Instant, u32) -> Poll,
    next: fn(&mut Poll, Result<T>, Instant) -> Result<Next<T>>,
}

impl<T: Output> WaitAll<T> {
    /// `request`: the poll of one id.
    pub(crate) fn new<I: AsRef<str>>(
        session: &Session,
        ids: impl IntoIterator<Item = I>,
        request: impl Fn(&str) -> Request,
    ) -> Self
    where
        T: Waitable,
    {
        WaitAll {
            session: session.clone(),
            requests: ids.into_iter().map(|id| (id.as_ref().to_string(), request(id.as_ref()))).collect(),
            pace: Pace::default(),
            options: RequestOptions::default(),
            poll: Poll::new::<T>,
            next: Poll::next::<T>,
        }
    }

    /// The time between two polls of the same thing: by default 0.5 s, 1 s, 2 s and then 5 s.
    pub fn sleep_interval(mut self, sleep_interval: Duration) -> Self {
        self.pace.sleep_interval = Some(sleep_interval);
        self
    }

    /// The most time to wait for all of them: one hour by default. What is not done then is an
    /// [`Error::WaitTimeout`](crate::Error::WaitTimeout) each.
    pub fn max_wait_time(mut self, max_wait_time: Duration) -> Self {
        self.pace.max_wait_time = max_wait_time;
        self
    }

    /// Settings for each poll.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.options = request_options;
        self
    }

    when_some!();

    /// Begins to wait. Each id comes once with its result, as soon as that is known.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if the interval is zero. What is wrong with one id is in
    /// its result.
    pub fn send(self) -> Result<Waiting<T>> {
        self.pace.check()?;
        let now = self.session.settings().clock.now();
        let pending = self.requests.into_iter().map(|(id, mut request)| {
            request.options = self.options.clone();
            Pending { poll: (self.poll)(&id, self.pace, now, 0), request, due: now }
        });
        Ok(Waiting { session: self.session, pending: pending.collect(), now, next: self.next })
    }
}

struct Pending {
    request: Request,
    poll: Poll,
    due: Instant,
}

/// The results of a wait for many things as they come: see [`WaitAll`]. Dropping it ends the wait.
#[must_use = "it polls only while it is iterated over"]
pub struct Waiting<T> {
    session: Session,
    pending: Vec<Pending>,
    /// A pause counts, also on a clock that does not show it.
    now: Instant,
    next: fn(&mut Poll, Result<T>, Instant) -> Result<Next<T>>,
}

impl<T: Output> Iterator for Waiting<T> {
    type Item = (String, Result<T>);

    fn next(&mut self) -> Option<Self::Item> {
        let clock = self.session.settings().clock.clone();
        loop {
            let place = self.pending.iter().enumerate().min_by_key(|(_, pending)| pending.due)?.0;
            let mut pending = self.pending.remove(place);
            let id = pending.poll.id().to_string();
            let pause = pending.due.saturating_duration_since(self.now);
            let (cancel, operation) = (pending.request.options.cancel.as_ref(), pending.request.operation());
            if let Err(e) = engine::pause(&self.session, pause, cancel, &operation) {
                return Some((id, Err(e)));
            }
            self.now = self.now.max(pending.due).max(clock.now());
            let mut request = pending.request.clone();
            let left = pending.poll.time_left(self.now);
            request.options.deadline = Some(request.options.deadline.map_or(left, |own| own.min(left)));
            let answer = T::receive(request).map(|response| response.data);
            self.now = self.now.max(clock.now());
            match (self.next)(&mut pending.poll, answer, self.now) {
                Ok(Next::Done(done)) => return Some((id, Ok(done))),
                Ok(Next::Again(due)) => {
                    pending.due = due;
                    self.pending.push(pending);
                }
                Err(e) => return Some((id, Err(e))),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.pending.len(), Some(self.pending.len()))
    }
}

impl<T> fmt::Debug for WaitAll<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitAll").field("ids", &self.requests.len()).field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("left", &self.pending.len()).finish_non_exhaustive()
    }
}
