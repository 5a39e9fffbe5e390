//! The rate limits of an account, which all calls of a session obey together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::clock::later;
use crate::error::ApiError;
use crate::limits::RECHECK;
use crate::sync::lock;

/// The time after which a request that was sent has surely arrived, even without a response.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Delays requests until a time that the platform has named, and limits them to the rate that the caller has set.
#[derive(Default)]
pub(crate) struct RateLimiter {
    state: Mutex<State>,
    rate: Option<RequestRate>,
}

/// The number of requests per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestRate {
    pub requests: u32,
    pub per: Duration,
}

#[derive(Default)]
struct State {
    /// The end of the pause that the platform asked for, and the refusal that named it.
    paused: Option<(Instant, Arc<ApiError>)>,
    /// The requests that count, no more than the rate allows.
    admitted: Vec<Admitted>,
    last: u64,
}

struct Admitted {
    number: u64,
    since: Instant,
    /// Whether the request has left.
    departed: Arc<AtomicBool>,
    /// The time at which it stops counting, if known.
    until: Option<Instant>,
    answered: bool,
}

/// A request that has to wait.
#[derive(Debug)]
pub(crate) struct Held {
    pub until: Instant,
    /// The platform's refusal, if the wait is due to it and not to the caller's rate.
    pub refusal: Option<Arc<ApiError>>,
}

/// A request that was admitted. Dropping it means that the response has arrived.
pub(crate) struct Permit<'a> {
    limiter: &'a RateLimiter,
    number: u64,
    now: &'a dyn Fn() -> Instant,
}

impl Permit<'_> {
    /// Stores the flag that shows whether the request has left.
    pub(crate) fn watch(&self, departed: &Arc<AtomicBool>) {
        if let Some(request) = self.limiter.state().admitted.iter_mut().find(|request| request.number == self.number) {
            request.departed = departed.clone();
        }
    }
}

impl RateLimiter {
    pub(crate) fn new(rate: Option<RequestRate>) -> Self {
        RateLimiter { rate, ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Delays all requests until `until`, because of this refusal.
    pub(crate) fn pause_until(&self, until: Instant, refusal: &Arc<ApiError>) {
        let mut state = self.state();
        if state.paused.as_ref().is_none_or(|(have, _)| *have < until) {
            state.paused = Some((until, refusal.clone()));
        }
    }

    /// Lets a request pass, or says when to ask again.
    ///
    /// The platform counts a request when it arrives, which is some time between sending it and receiving its response.
    /// So a request counts here until the period has passed since its response, or since it has certainly arrived. Then
    /// no period contains more arrivals than allowed, however late some requests arrive.
    pub(crate) fn admit<'a>(&'a self, at: Instant, now: &'a dyn Fn() -> Instant) -> Result<Option<Permit<'a>>, Held> {
        let mut state = self.state();
        if let Some((until, refusal)) = state.paused.as_ref().filter(|(until, _)| *until > at) {
            return Err(Held { until: *until, refusal: Some(refusal.clone()) });
        }
        let Some(rate) = self.rate else { return Ok(None) };
        for request in state.admitted.iter_mut().filter(|request| request.until.is_none()) {
            request.until = request.departed.load(Ordering::Relaxed).then(|| later(later(at, rate.per), ON_ITS_WAY));
        }
        state.admitted.retain(|request| request.until.is_none_or(|until| until > at));
        if state.admitted.len() >= rate.requests as usize {
            let look_again = later(at, RECHECK);
            let next = |request: &Admitted| request.until.filter(|_| request.answered).unwrap_or(look_again);
            return Err(Held { until: state.admitted.iter().map(next).min().unwrap_or(look_again), refusal: None });
        }
        state.last += 1;
        let number = state.last;
        state.admitted.push(Admitted { number, since: at, departed: Arc::default(), until: None, answered: false });
        Ok(Some(Permit { limiter: self, number, now }))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let now = (self.now)();
        let per = self.limiter.rate.map_or(Duration::ZERO, |rate| rate.per);
        let mut state = self.limiter.state();
        if let Some(request) = state.admitted.iter_mut().find(|request| request.number == self.number) {
            // A replaced clock may not advance during pauses, so the request may have been admitted later than now.
            let until = later(request.since.max(now), per);
            request.until = Some(request.until.map_or(until, |have| have.min(until)));
            request.answered = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error_body::api_error;
    use crate::response::HttpResponse;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the time at which a request may pass, if it may not pass now.
    fn held_back(limiter: &RateLimiter, at: Instant) -> Option<Instant> {
        limiter.admit(at, &Instant::now).err().map(|held| held.until)
    }

    #[test]
    fn the_later_of_two_pauses_applies() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        assert_eq!(held_back(&limiter, now), None);
        let later = now + 5 * SECOND;
        let refusal = Arc::new(api_error("GET /a".into(), HttpResponse::default(), time::OffsetDateTime::UNIX_EPOCH));
        limiter.pause_until(later, &refusal);
        limiter.pause_until(now + SECOND, &refusal);
        assert_eq!(held_back(&limiter, now), Some(later));
        assert_eq!(
            held_back(&limiter, later - Duration::from_nanos(1)),
            Some(later),
            "nothing is admitted before the pause has ended"
        );
        assert_eq!(held_back(&limiter, later), None);
    }

    #[test]
    fn a_request_counts_until_the_period_after_its_response() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let limiter = RateLimiter::new(Some(RequestRate { requests: 2, per: SECOND }));
        let (answered, later) = (|| at(300), || at(5000));
        let first = limiter.admit(start, &answered).unwrap();
        let second = limiter.admit(at(10), &later).unwrap().unwrap();
        assert_eq!(
            held_back(&limiter, at(20)),
            Some(at(20) + RECHECK),
            "the limiter checks again soon, because a response may arrive at any time"
        );
        drop(first);
        assert_eq!(held_back(&limiter, at(300)), Some(at(300) + RECHECK));
        assert_eq!(held_back(&limiter, at(1290)), Some(at(1300)), "the slot is free one period after the response");
        let third = limiter.admit(at(1300), &later).unwrap();
        assert!(third.is_some());
        assert!(held_back(&limiter, at(9000)).is_some(), "a request that has not been sent yet may still arrive");
        let departed = Arc::new(AtomicBool::new(false));
        second.watch(&departed);
        assert!(held_back(&limiter, at(9000)).is_some());
        departed.store(true, Ordering::Relaxed);
        assert!(held_back(&limiter, at(9000)).is_some());
        assert!(held_back(&limiter, at(10_999)).is_some());
        assert!(
            limiter.admit(at(11_000), &later).is_ok(),
            "the time is over by which a request without a response has arrived"
        );
    }

    #[test]
    fn without_a_rate_everything_passes() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        assert!((0..1000).all(|_| held_back(&limiter, now).is_none()));
    }

    #[test]
    fn requests_are_distinguished() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Some(RequestRate { requests: 1, per: SECOND }));
        let request = limiter.admit(start, &Instant::now).unwrap().unwrap();
        assert!(held_back(&limiter, start + 9 * SECOND).is_some(), "the request has not been sent");
        request.watch(&Arc::new(AtomicBool::new(true)));
        assert!(held_back(&limiter, start + 9 * SECOND).is_some());
        assert_eq!(held_back(&limiter, start + 11 * SECOND), None);
    }
}
