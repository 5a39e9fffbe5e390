//! The decisions of a wait. Each takes a response and the time, and returns the result, a failure, or the time of the
//! next poll.

use std::time::{Duration, Instant};

use crate::call::typed::Output;
use crate::clock::later;
use crate::error::{Error, FailedError, Result, UNKNOWN_STATUS};

/// The first intervals between polls. They are short, for resources that are ready almost immediately.
const FIRST_INTERVALS: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5)];
pub(crate) const MAX_WAIT_TIME: Duration = Duration::from_secs(3600);
/// The time that a late poll may still take.
pub(super) const LATE_POLL: Duration = Duration::from_secs(1);
/// The number of times that a newly created resource may be unknown to the platform (404).
pub(crate) const MAX_UNKNOWN: u32 = 3;

/// The state of a resource that a call waits for.
pub(crate) enum PollStatus {
    Working,
    Done,
    /// The resource ended in failure, with the platform's reason if there is one.
    Failed(Option<String>),
}

/// A resource that can be waited for.
pub(crate) trait Pollable: Output + serde::Serialize {
    /// The name of the resource in errors.
    const RESOURCE: &'static str;
    /// The time between two polls, after the first faster ones. The platform recommends 5 s for assets and 10 s for
    /// slower resources. Polls count towards the rate limit.
    const INTERVAL: Duration = Duration::from_secs(5);
    /// Returns the status as the platform writes it.
    fn status(&self) -> Option<&str>;
    fn poll_status(&self) -> PollStatus;
}

/// The limits of a wait: its duration and the interval of its polls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The time between two polls, if it was set.
    pub sleep_interval: Option<Duration>,
    pub max_wait_time: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { sleep_interval: None, max_wait_time: MAX_WAIT_TIME }
    }
}

impl Pace {
    pub(crate) fn check(&self) -> Result<()> {
        match self.sleep_interval {
            Some(Duration::ZERO) => Err(Error::invalid("sleep_interval", "must be greater than 0")),
            _ => Ok(()),
        }
    }
}

/// The state of one wait: its beginning, the number of polls, and the last status.
pub(crate) struct Poll {
    resource: &'static str,
    interval: Duration,
    id: String,
    pace: Pace,
    since: Instant,
    polls: usize,
    status: String,
    /// The number of times that the resource may still be unknown to the platform.
    unknown: u32,
}

/// The states that are final for every kind of resource. Without this list, a wait would run until its time limit if,
/// for example, this version of the crate does not know that a resource can be deleted.
const ENDS: [&str; 8] = ["aborted", "canceled", "cancelled", "deleted", "error", "expired", "failed", "rejected"];

/// Whether a state is final even if the resource's type does not list it as such.
pub(super) fn is_end(status: &str) -> bool {
    ENDS.iter().any(|end| status.eq_ignore_ascii_case(end))
}

/// The action after a poll.
#[derive(Debug, PartialEq)]
pub(crate) enum Next<T> {
    Done(T),
    Again(Instant),
}

impl Poll {
    /// Creates the state of a wait. `unknown` is the number of tolerated 404 responses.
    pub(crate) fn new<T: Pollable>(id: &str, pace: Pace, since: Instant, unknown: u32) -> Self {
        Poll {
            resource: T::RESOURCE,
            interval: T::INTERVAL,
            id: id.into(),
            pace,
            since,
            polls: 0,
            status: UNKNOWN_STATUS.into(),
            unknown,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the time limit of a poll that starts now.
    pub(crate) fn time_left(&self, now: Instant) -> Duration {
        self.pace.max_wait_time.saturating_sub(now.saturating_duration_since(self.since)).max(LATE_POLL)
    }

    /// Decides what follows a poll that ended at `now`.
    pub(crate) fn next<T: Pollable>(&mut self, response: Result<T>, now: Instant) -> Result<Next<T>> {
        let fault = match response {
            Ok(seen) => {
                self.status = seen.status().unwrap_or(UNKNOWN_STATUS).into();
                match seen.poll_status() {
                    PollStatus::Done => return Ok(Next::Done(seen)),
                    PollStatus::Working if is_end(&self.status) => {
                        let raw = serde_json::to_value(&seen).unwrap_or_default();
                        let message = raw["error"]["message"].as_str().map(Into::into);
                        return Err(self.failed(message, raw));
                    }
                    PollStatus::Working => None,
                    PollStatus::Failed(message) => {
                        let raw = serde_json::to_value(&seen).unwrap_or_default();
                        return Err(self.failed(message, raw));
                    }
                }
            }
            Err(e) => Some(e),
        };
        self.again(fault, now).map(Next::Again)
    }

    /// Returns the time of the next poll of a resource that a list showed with this status, or did not mention. Returns
    /// an error if the time is up.
    pub(crate) fn seen_working(&mut self, status: Option<&str>, now: Instant) -> Result<Instant> {
        if let Some(status) = status {
            self.status = status.into();
        }
        self.again(None, now)
    }

    /// Returns the time at which the wait ends.
    pub(crate) fn end(&self) -> Instant {
        later(self.since, self.pace.max_wait_time)
    }

    /// Returns the time between the next two polls.
    pub(crate) fn interval(&self) -> Duration {
        self.pace.sleep_interval.unwrap_or_else(|| FIRST_INTERVALS.get(self.polls).copied().unwrap_or(self.interval))
    }

    /// Creates the error of a wait whose time is up.
    pub(crate) fn timed_out(&self, fault: Option<Error>, now: Instant) -> Error {
        Error::WaitTimeout {
            resource: self.resource.into(),
            id: self.id.clone(),
            status: self.status.clone(),
            waited: now.saturating_duration_since(self.since),
            source: fault.map(Box::new),
        }
    }

    /// Returns the time of the next poll.
    fn again(&mut self, fault: Option<Error>, now: Instant) -> Result<Instant> {
        if let Some(e) = &fault {
            let unknown = e.status() == Some(404) && self.unknown > 0;
            self.unknown -= u32::from(unknown);
            if !unknown && !e.is_retryable() {
                return fault.map_or(Ok(now), Err);
            }
        }
        let waited = now.saturating_duration_since(self.since);
        let left = self.pace.max_wait_time.saturating_sub(waited);
        let asked = fault.as_ref().and_then(Error::retry_after).unwrap_or_default();
        if left.is_zero() || asked > left {
            return Err(self.timed_out(fault, now));
        }
        let pause = self.interval().max(asked);
        self.polls += 1;
        // The last poll happens exactly when the time is up.
        Ok(later(now, pause.min(left)))
    }

    fn failed(&self, message: Option<String>, raw: serde_json::Value) -> Error {
        Error::from(Box::new(FailedError {
            resource: self.resource.into(),
            id: self.id.clone(),
            status: self.status.clone(),
            code: raw["error"]["code"].as_str().map(Into::into),
            message: message.unwrap_or_else(|| "the platform gave no reason".into()),
            raw,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error_body::api_error;
    use crate::response::HttpResponse;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing(String);

    impl Pollable for Thing {
        const RESOURCE: &'static str = "thing";

        fn status(&self) -> Option<&str> {
            Some(&self.0)
        }

        fn poll_status(&self) -> PollStatus {
            match self.0.as_str() {
                "ready" => PollStatus::Done,
                "failed" => PollStatus::Failed(Some("because".into())),
                _ => PollStatus::Working,
            }
        }
    }

    fn thing(status: &str) -> Result<Thing> {
        Ok(Thing(status.into()))
    }

    fn refused(status: u16, headers: &[(&str, &str)]) -> Result<Thing> {
        let headers = headers.iter().copied().collect();
        let response = HttpResponse { status, headers, ..HttpResponse::default() };
        Err(Box::new(api_error("GET /things/1".into(), response, time::OffsetDateTime::UNIX_EPOCH)).into())
    }

    struct Scene {
        poll: Poll,
        now: Instant,
        since: Instant,
    }

    impl Scene {
        fn new(sleep_interval: Option<u64>, max_wait_time: u64, unknown: u32) -> Self {
            let now = Instant::now();
            let sleep_interval = sleep_interval.map(Duration::from_secs);
            let pace = Pace { sleep_interval, max_wait_time: Duration::from_secs(max_wait_time) };
            Scene { poll: Poll::new::<Thing>("1", pace, now, unknown), now, since: now }
        }

        /// The milliseconds since the beginning at which the next poll is due.
        fn next(&mut self, response: Result<Thing>) -> Result<u128> {
            match self.poll.next(response, self.now)? {
                Next::Done(_) => panic!("it is not done"),
                Next::Again(at) => self.now = at,
            }
            Ok((self.now - self.since).as_millis())
        }
    }

    #[test]
    fn polls_begin_fast_and_slow_down() {
        let mut scene = Scene::new(None, 16, 0);
        let due: Vec<u128> = (0..6).map(|_| scene.next(thing("busy")).unwrap()).collect();
        assert_eq!(due, [500, 1500, 3500, 8500, 13500, 16000], "the last poll takes place at the time limit");
        match scene.next(thing("busy")) {
            Err(Error::WaitTimeout { status, waited, .. }) => {
                assert_eq!((status.as_str(), waited), ("busy", Duration::from_secs(16)));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_custom_interval_is_kept_unless_the_server_asks_for_more() {
        let mut scene = Scene::new(Some(5), 8, 0);
        assert_eq!(scene.next(refused(429, &[("retry-after", "1")])).unwrap(), 5000);
        assert_eq!(
            scene.next(refused(429, &[("retry-after", "1")])).unwrap(),
            8000,
            "one more poll takes place at the time limit"
        );
        let mut scene = Scene::new(Some(5), 100, 0);
        assert_eq!(scene.next(refused(503, &[("retry-after", "30")])).unwrap(), 30_000);
        let e = scene.next(refused(503, &[("retry-after", "71")])).unwrap_err();
        assert!(matches!(&e, Error::WaitTimeout { source: Some(_), .. }) && e.is_timeout(), "{e:?}");
    }

    #[test]
    fn unknown_resources_are_tolerated_a_limited_number_of_times() {
        let mut scene = Scene::new(Some(1), 100, 2);
        assert_eq!(scene.next(refused(404, &[])).unwrap(), 1000);
        assert_eq!(scene.next(thing("busy")).unwrap(), 2000);
        assert_eq!(scene.next(refused(404, &[])).unwrap(), 3000);
        assert_eq!(scene.next(refused(404, &[])).unwrap_err().status(), Some(404));
        assert_eq!(Scene::new(None, 9, 3).next(refused(403, &[])).unwrap_err().status(), Some(403));
    }

    #[test]
    fn a_wait_ends_with_the_result_or_the_platforms_reason() {
        let mut scene = Scene::new(None, 9, 0);
        assert_eq!(scene.poll.next(thing("ready"), scene.now).unwrap(), Next::Done(Thing("ready".into())));
        let e = scene.poll.next(thing("failed"), scene.now).unwrap_err();
        assert_eq!(e.to_string(), "thing 1 ended as `failed`: because");
        // The type knows neither of these states.
        for status in ["cancelled", "Deleted", "EXPIRED", "error"] {
            let e = scene.poll.next(thing(status), scene.now).unwrap_err();
            assert_eq!(e.to_string(), format!("thing 1 ended as `{status}`: the platform gave no reason"));
        }
        for status in ["canceling", "queued", "errors", "finishing"] {
            assert!(scene.next(thing(status)).is_ok(), "{status}");
        }
    }
}
