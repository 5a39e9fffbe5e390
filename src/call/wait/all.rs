//! A wait for many resources of one kind, on one thread.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use crate::call::options::RequestOptions;
use crate::call::request::Request;
use crate::call::typed::Output;
use crate::call::wait::poll::{LATE_POLL, Next, Pace, Poll, Pollable};
use crate::call::wait::status_list::StatusList;
use crate::clock::later;
use crate::error::{Error, Result};
use crate::http::engine;
use crate::http::session::Session;

/// The number of consecutive temporary failures of the list after which each resource is polled separately.
const MAX_LIST_FAILURES: u32 = 5;

/// A wait for many resources of one kind. Nothing happens before [`send`](WaitAll::send).
///
/// Where the platform has a list that reports the status of many resources, the wait polls that list: for assets,
/// indexed assets, knowledge store items, tasks and embedding tasks. A round of polls then takes one request for every
/// 50 resources. If the list can filter by status, a round takes one request in total while nothing changes, and often
/// two when a resource has ended. Each resource is retrieved once when it has ended. For example, 50 assets that take
/// 10 minutes need about 180 requests (122 rounds of one request, and 50 to retrieve the assets), and 240 knowledge
/// store items 310 to 400, depending on the order in which they end. Fewer than four resources, and resources without
/// such a list, are polled one by one.
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
    list: Option<StatusList>,
    pace: Pace,
    options: RequestOptions,
    poll: fn(&str, Pace, Instant, u32) -> Poll,
    next: fn(&mut Poll, Result<T>, Instant) -> Result<Next<T>>,
}

impl<T: Output> WaitAll<T> {
    /// Creates the wait. `request` returns the poll of one id.
    pub(crate) fn new<I: AsRef<str>>(
        session: &Session,
        ids: impl IntoIterator<Item = I>,
        request: impl Fn(&str) -> Request,
    ) -> Self
    where
        T: Pollable,
    {
        WaitAll {
            session: session.clone(),
            requests: ids.into_iter().map(|id| (id.as_ref().to_string(), request(id.as_ref()))).collect(),
            list: None,
            pace: Pace::default(),
            options: RequestOptions::default(),
            poll: Poll::new::<T>,
            next: Poll::next::<T>,
        }
    }

    /// Uses this list to find out which of many resources are still being processed.
    pub(crate) fn with_list(mut self, list: StatusList) -> Self {
        self.list = Some(list);
        self
    }

    setters! {
        /// Sets the time between two polls of the same resource. By default, it is 0.5 s, 1 s, 2 s and then 5 s, or 10
        /// s for knowledge store items.
        sleep_interval: some Duration => pace.sleep_interval,
        /// Limits the whole wait. The default is one hour. Each resource that is not done by then yields an
        /// [`Error::WaitTimeout`](crate::Error::WaitTimeout).
        max_wait_time: Duration => pace.max_wait_time,
        /// Applies settings to each poll. A poll that fails temporarily is repeated when it is due again, not
        /// [`max_retries`](RequestOptions::max_retries) times before, because that would delay the other polls.
        request_options: RequestOptions => options,
    }

    when_some!();

    /// Starts the wait. The iterator yields each id once, as soon as its result is known.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if the interval is zero. The error of a single id is
    /// in its result.
    pub fn send(self) -> Result<Waiting<T>> {
        self.pace.check()?;
        let now = self.session.settings().clock.now();
        let options = self.options.clone().max_retries(0);
        let pending = self.requests.into_iter().enumerate().map(|(number, (id, request))| Pending {
            due: now,
            number,
            poll: (self.poll)(&id, self.pace, now, 0),
            request,
        });
        Ok(Waiting {
            session: self.session,
            pending: pending.map(Reverse).collect(),
            due: VecDeque::new(),
            list: self.list,
            list_failures: 0,
            options,
            now,
            last_polls_until: None,
            next: self.next,
        })
    }
}

/// A resource that is waited for. Pending resources are ordered by due time, and then by the order in which they were
/// given.
struct Pending {
    due: Instant,
    number: usize,
    poll: Poll,
    request: Request,
}

impl Pending {
    fn order(&self) -> (Instant, usize) {
        (self.due, self.number)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// The results of a wait for many resources, as they become known: see [`WaitAll`]. Dropping it ends the wait.
#[must_use = "it polls only while it is iterated over"]
pub struct Waiting<T> {
    session: Session,
    /// The resources to poll later. A heap, because there may be tens of thousands.
    pending: BinaryHeap<Reverse<Pending>>,
    /// The resources to retrieve now, and those whose time is over.
    due: VecDeque<(Pending, Option<Error>)>,
    list: Option<StatusList>,
    /// The number of consecutive failures of the list.
    list_failures: u32,
    options: RequestOptions,
    /// The current time, including all pauses: a replaced clock may not advance during a pause.
    now: Instant,
    /// The time by which all final polls together must end, once the wait is over.
    last_polls_until: Option<Instant>,
    next: fn(&mut Poll, Result<T>, Instant) -> Result<Next<T>>,
}

impl<T> Waiting<T> {
    /// Pauses until a resource is due, and collects the due ones. If there is a list, only those that it does not
    /// report as unfinished are polled.
    fn gather(&mut self) -> Result<(), Box<(String, Error)>> {
        let Some(Reverse(first)) = self.pending.peek() else { return Ok(()) };
        let (due, slack) = (first.due, first.poll.interval() / 4);
        let pause = due.saturating_duration_since(self.now);
        let cancel = self.options.cancel.as_ref();
        let paused = match pause.is_zero() {
            true => engine::check_canceled(cancel, &first.request.operation()),
            false => engine::pause(&self.session, pause, cancel, &first.request.operation()),
        };
        if let Err(e) = paused {
            let id = first.poll.id().to_string();
            self.pending.pop();
            return Err(Box::new((id, e)));
        }
        self.now = self.now.max(due).max(self.session.settings().clock.now());
        let until = match &self.list {
            // Resources that are due a little later join the same round.
            Some(_) if self.pending.len() >= StatusList::WORTHWHILE => later(self.now, slack),
            _ => due,
        };
        let mut round = Vec::new();
        while self.pending.peek().is_some_and(|Reverse(pending)| pending.due <= until) {
            round.extend(self.pending.pop().map(|Reverse(pending)| pending));
        }
        if round.len() < StatusList::WORTHWHILE || !self.survey(&mut round) {
            self.due.extend(round.into_iter().map(|pending| (pending, None)));
        }
        Ok(())
    }

    /// Asks the list about a round of resources. Returns `false` if each must be polled separately.
    fn survey(&mut self, round: &mut Vec<Pending>) -> bool {
        let limit = self.poll_limit(&round[0].poll);
        let (Some(list), Some(limit)) = (&mut self.list, limit) else { return false };
        let mut options = self.options.clone();
        options.deadline = Some(options.deadline.map_or(limit, |own| own.min(limit)));
        let ids: Vec<&str> = round.iter().map(|pending| pending.poll.id()).collect();
        let response = list.unfinished(&ids, &options);
        self.now = self.now.max(self.session.settings().clock.now());
        let (unfinished, asked) = match response {
            Ok(unfinished) => {
                self.list_failures = 0;
                (Some(unfinished), Duration::ZERO)
            }
            Err(e) if e.is_retryable() && self.list_failures < MAX_LIST_FAILURES => {
                self.list_failures += 1;
                (None, e.retry_after().unwrap_or_default())
            }
            Err(e) => {
                log::info!("{e}; each is polled separately from now on");
                self.list = None;
                return false;
            }
        };
        for mut pending in round.drain(..) {
            let status = unfinished.as_ref().map(|unfinished| unfinished.get(pending.poll.id()).map(String::as_str));
            let due = match status {
                // The resource has ended, or the list does not know it.
                Some(None) => {
                    self.due.push_back((pending, None));
                    continue;
                }
                Some(status) => pending.poll.seen_working(status, self.now),
                None => pending.poll.seen_working(None, self.now),
            };
            match due {
                Ok(due) => {
                    pending.due = due.max(later(self.now, asked)).min(pending.poll.end().max(due));
                    self.pending.push(Reverse(pending));
                }
                Err(e) => self.due.push_back((pending, Some(e))),
            }
        }
        true
    }

    /// Returns the time limit of a poll that starts now. Once the wait is over, all final polls together have one
    /// second. With one second each, a thousand polls of a silent server would take a thousand seconds.
    fn poll_limit(&mut self, poll: &Poll) -> Option<Duration> {
        if self.now < poll.end() {
            return Some(poll.end() - self.now);
        }
        let until = *self.last_polls_until.get_or_insert(later(self.now, LATE_POLL));
        Some(until.saturating_duration_since(self.now)).filter(|limit| !limit.is_zero())
    }
}

impl<T: Output> Iterator for Waiting<T> {
    type Item = (String, Result<T>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((mut pending, error)) = self.due.pop_front() else {
                if self.pending.is_empty() {
                    return None;
                }
                match self.gather() {
                    Ok(()) => continue,
                    Err(failed) => {
                        let (id, e) = *failed;
                        return Some((id, Err(e)));
                    }
                }
            };
            let id = pending.poll.id().to_string();
            if let Some(e) = error {
                return Some((id, Err(e)));
            }
            let Some(limit) = self.poll_limit(&pending.poll) else {
                return Some((id, Err(pending.poll.timed_out(None, self.now))));
            };
            let mut request = pending.request.clone();
            request.options = self.options.clone();
            request.options.deadline = Some(request.options.deadline.map_or(limit, |own| own.min(limit)));
            let response = T::receive(request).map(|response| response.data);
            self.now = self.now.max(self.session.settings().clock.now());
            match (self.next)(&mut pending.poll, response, self.now) {
                Ok(Next::Done(done)) => return Some((id, Ok(done))),
                Ok(Next::Again(due)) => {
                    pending.due = due;
                    self.pending.push(Reverse(pending));
                }
                Err(e) => return Some((id, Err(e))),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.pending.len() + self.due.len();
        (count, Some(count))
    }
}

impl<T> fmt::Debug for WaitAll<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitAll").field("ids", &self.requests.len()).field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("remaining", &(self.pending.len() + self.due.len())).finish_non_exhaustive()
    }
}
