//! The decision whether and when a request is sent again. It is pure: [`RetryState`] takes the outcome of an attempt
//! and returns the engine's next action.

use std::time::Duration;

use crate::error::is_temporary;

/// The default backoff before the first retry.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: u32 = 5;
/// The number of rate limit refusals that a patient call accepts.
const MAX_RATE_LIMITED: u32 = 50;

/// The retry policy of a call.
#[derive(Clone, Debug)]
pub(crate) struct RetryPolicy {
    pub max_retries: u32,
    /// The backoff before the first retry, before jitter.
    pub delay: Duration,
    /// The longest pause that a server may ask for.
    pub max_retry_after: Duration,
    /// Whether a refusal for a rate limit does not count as a retry, as in a batch.
    pub waits_out_rate_limits: bool,
}

/// The properties of a request that decide about retries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestKind {
    pub method: &'static str,
    /// Whether sending it twice has the same effect as sending it once.
    pub idempotent: bool,
    /// Whether it goes to the API, and not to the storage.
    pub is_api: bool,
}

/// The outcome of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum AttemptOutcome {
    /// No byte of the request left.
    NotSent,
    /// The connection broke after a part of the request had left.
    Broke,
    /// No response arrived in time.
    TimedOut,
    /// Another attempt would end in the same way.
    Impossible,
    /// The server redirected the request. `same_origin` says whether the target has the same scheme, host and port.
    Redirect {
        status: u16,
        same_origin: bool,
    },
    Refused(Refusal),
}

/// A response that is neither a success nor a redirect.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Refusal {
    pub status: u16,
    /// The pause that the server asks for, in any form.
    pub retry_after: Duration,
    /// Whether the response states that the platform did not act on the request: a 503 with the header `Retry-After`. A
    /// server that temporarily accepts no requests sends that header (RFC 9110, section 10.2.3). A reset of a rate
    /// limit or a date in a message says only when to come back: a proxy may have lost the response of a platform that
    /// did act.
    pub declined: bool,
    /// Whether an exhausted quota lasts longer than any retry.
    pub is_quota: bool,
}

/// The engine's action after an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Decision {
    /// Returns the error to the caller.
    Return,
    /// Sends the request to the target of the redirect.
    Redirect,
    /// Sends the request again after this time.
    RetryAfter(Duration),
}

/// The state of the retries of one call.
#[derive(Debug)]
pub(crate) struct RetryState {
    request: RequestKind,
    retries: u32,
    redirects: u32,
    /// The number of refusals for a rate limit that the call waits out.
    rate_limited: u32,
    timeouts: u32,
    /// Whether the platform may have carried out an attempt whose response is unknown.
    outcome_unknown: bool,
    /// Whether the next attempt sends its body only once the server has agreed to take it.
    pub expect_continue: bool,
}

impl RetryState {
    pub(crate) fn new(request: RequestKind, expect_continue: bool) -> Self {
        RetryState {
            request,
            retries: 0,
            redirects: 0,
            rate_limited: 0,
            timeouts: 0,
            outcome_unknown: false,
            expect_continue,
        }
    }

    /// Whether this response means that an earlier attempt, whose outcome was unknown, has deleted the resource.
    pub(crate) fn has_deleted(&self, status: u16) -> bool {
        status == 404 && self.request.method == "DELETE" && self.outcome_unknown
    }

    /// Decides what to do after this outcome. `is_replayable` says whether every byte of the body can be sent again.
    /// `random` is the jitter, from 0 to 1.
    pub(crate) fn next(
        &mut self,
        outcome: AttemptOutcome,
        is_replayable: bool,
        policy: &RetryPolicy,
        random: f64,
    ) -> Decision {
        use AttemptOutcome::{Broke, Impossible, NotSent, Redirect, Refused, TimedOut};

        self.timeouts += u32::from(outcome == TimedOut);
        self.outcome_unknown |=
            matches!(outcome, Broke | TimedOut | Refused(Refusal { status: 500..=599, declined: false, .. }));
        let (idempotent, is_api) = (self.request.idempotent, self.request.is_api);
        let may_repeat = match outcome {
            Impossible => false,
            NotSent => true,
            Broke => idempotent,
            TimedOut => idempotent && self.timeouts <= 1,
            Redirect { status, same_origin } => {
                let keeps_method = matches!(status, 307 | 308) || (status <= 303 && self.request.method == "GET");
                // A redirect of the storage is not followed: each attempt gets its own URL from the platform.
                let follow = same_origin && keeps_method && is_api && is_replayable && self.redirects < MAX_REDIRECTS;
                self.redirects += 1;
                return if follow { Decision::Redirect } else { Decision::Return };
            }
            Refused(Refusal { status: 417, .. }) if self.expect_continue && is_replayable => {
                // The server does not know `Expect` (RFC 9110, section 10.1.1): without it, it may take the request.
                self.expect_continue = false;
                return Decision::RetryAfter(Duration::ZERO);
            }
            Refused(Refusal { is_quota: true, .. }) => false,
            Refused(Refusal { status: 429 | 408, .. } | Refusal { status: 503, declined: true, .. }) => true,
            Refused(Refusal { status: status @ 500..=599, .. }) => idempotent && is_temporary(status),
            // A chunk is sent to another URL the next time, and the refusal of one says little about the next.
            Refused(Refusal { status: 400 | 403 | 404 | 409 | 410 | 412, .. }) => !is_api,
            Refused(_) => false,
        };
        let asked = match outcome {
            Refused(refusal) => refusal.retry_after,
            _ => Duration::ZERO,
        };
        if !may_repeat || !is_replayable || asked > policy.max_retry_after {
            return Decision::Return;
        }
        let is_rate_limit = is_api && matches!(outcome, Refused(Refusal { status: 429, .. }));
        let waits_out = is_rate_limit && policy.waits_out_rate_limits && self.rate_limited < MAX_RATE_LIMITED;
        if !waits_out && self.retries >= policy.max_retries {
            return Decision::Return;
        }
        // An early refusal of a chunk can be lost with its connection. The next attempt asks first and reads it.
        self.expect_continue |= !is_api && outcome == Broke;
        let count = if waits_out { &mut self.rate_limited } else { &mut self.retries };
        // The first URL of a chunk that has expired or was used says nothing about a fresh one: there is nothing to
        // wait for.
        let is_dead_url = !is_api && *count == 0 && matches!(outcome, Refused(Refusal { status: 403 | 404 | 410, .. }));
        let delay = if is_dead_url { Duration::ZERO } else { policy.delay };
        let wait = asked.max(backoff(*count, delay, random));
        *count += 1;
        Decision::RetryAfter(wait)
    }
}

/// The backoff before a retry (the first is number 0): exponential from `delay`, up to 10 s or the delay itself, with
/// full jitter.
pub(crate) fn backoff(retry: u32, delay: Duration, random: f64) -> Duration {
    let longest = delay.saturating_mul(2u32.saturating_pow(retry.min(16))).min(MAX_BACKOFF.max(delay));
    // The number comes from the caller's clock, which may return anything. `clamp` would keep NaN.
    let jitter = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
    longest.mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::AttemptOutcome::{Broke, Impossible, NotSent, Redirect, Refused, TimedOut};
    use super::*;

    const GET: RequestKind = RequestKind { method: "GET", idempotent: true, is_api: true };
    const DELETE: RequestKind = RequestKind { method: "DELETE", ..GET };
    const POST: RequestKind = RequestKind { method: "POST", idempotent: false, is_api: true };
    /// A POST with an idempotency key, or one that only reads.
    const SAFE_POST: RequestKind = RequestKind { method: "POST", ..GET };
    const CHUNK: RequestKind = RequestKind { method: "PUT", idempotent: true, is_api: false };

    const SECOND: Duration = Duration::from_secs(1);
    const RETURN: Decision = Decision::Return;
    /// The backoff before the first retry.
    const AGAIN: Decision = Decision::RetryAfter(RETRY_DELAY);
    const AFTER_7: Decision = Decision::RetryAfter(Duration::from_secs(7));
    const AT_ONCE: Decision = Decision::RetryAfter(Duration::ZERO);

    fn policy() -> RetryPolicy {
        RetryPolicy { max_retries: 2, delay: RETRY_DELAY, max_retry_after: 60 * SECOND, waits_out_rate_limits: false }
    }

    fn status(status: u16) -> AttemptOutcome {
        Refused(Refusal { status, ..Refusal::default() })
    }

    /// Returns a refusal that only hints at a pause of `seconds`.
    fn hint(status: u16, seconds: u32) -> AttemptOutcome {
        Refused(Refusal { status, retry_after: seconds * SECOND, ..Refusal::default() })
    }

    /// Returns a refusal that asks for a pause in the header `Retry-After`.
    fn header(status: u16, seconds: u32) -> AttemptOutcome {
        let declined = status == 503;
        Refused(Refusal { status, retry_after: seconds * SECOND, declined, ..Refusal::default() })
    }

    fn first(request: RequestKind, outcome: AttemptOutcome) -> Decision {
        RetryState::new(request, false).next(outcome, true, &policy(), 1.0)
    }

    #[test]
    fn the_table() {
        let quota = Refused(Refusal { status: 429, is_quota: true, ..Refusal::default() });
        let redirect = |status| Redirect { status, same_origin: true };
        let follow = Decision::Redirect;
        // The outcome, and the decisions for a GET (and PUT, PATCH, DELETE), a POST and a chunk.
        for (outcome, get, post, chunk) in [
            (NotSent, AGAIN, AGAIN, AGAIN),
            (Broke, AGAIN, RETURN, AGAIN),
            (TimedOut, AGAIN, RETURN, AGAIN),
            (Impossible, RETURN, RETURN, RETURN),
            (status(429), AGAIN, AGAIN, AGAIN),
            (header(429, 7), AFTER_7, AFTER_7, AFTER_7),
            (hint(429, 7), AFTER_7, AFTER_7, AFTER_7),
            (header(429, 61), RETURN, RETURN, RETURN),
            (quota, RETURN, RETURN, RETURN),
            (status(408), AGAIN, AGAIN, AGAIN),
            (header(408, 7), AFTER_7, AFTER_7, AFTER_7),
            (status(503), AGAIN, RETURN, AGAIN),
            (hint(503, 7), AFTER_7, RETURN, AFTER_7),
            (header(503, 7), AFTER_7, AFTER_7, AFTER_7),
            (header(503, 0), AGAIN, AGAIN, AGAIN),
            (header(503, 61), RETURN, RETURN, RETURN),
            (status(500), AGAIN, RETURN, AGAIN),
            (header(500, 7), AFTER_7, RETURN, AFTER_7),
            (status(502), AGAIN, RETURN, AGAIN),
            (status(504), AGAIN, RETURN, AGAIN),
            (status(501), RETURN, RETURN, RETURN),
            (status(505), RETURN, RETURN, RETURN),
            (status(529), AGAIN, RETURN, AGAIN),
            (status(400), RETURN, RETURN, AGAIN),
            (status(401), RETURN, RETURN, RETURN),
            (status(402), RETURN, RETURN, RETURN),
            (status(403), RETURN, RETURN, AT_ONCE),
            (status(404), RETURN, RETURN, AT_ONCE),
            (status(409), RETURN, RETURN, AGAIN),
            (header(409, 7), RETURN, RETURN, AFTER_7),
            (status(410), RETURN, RETURN, AT_ONCE),
            (status(412), RETURN, RETURN, AGAIN),
            (status(413), RETURN, RETURN, RETURN),
            (status(417), RETURN, RETURN, RETURN),
            (status(422), RETURN, RETURN, RETURN),
            (redirect(301), follow, RETURN, RETURN),
            (redirect(302), follow, RETURN, RETURN),
            (redirect(303), follow, RETURN, RETURN),
            (redirect(304), RETURN, RETURN, RETURN),
            (redirect(307), follow, follow, RETURN),
            (redirect(308), follow, follow, RETURN),
            (Redirect { status: 307, same_origin: false }, RETURN, RETURN, RETURN),
        ] {
            assert_eq!(first(GET, outcome), get, "{outcome:?}");
            assert_eq!(first(POST, outcome), post, "{outcome:?}");
            assert_eq!(first(CHUNK, outcome), chunk, "{outcome:?}");
            if !matches!(outcome, Redirect { .. }) {
                assert_eq!(first(SAFE_POST, outcome), get, "{outcome:?}");
                assert_eq!(first(DELETE, outcome), get, "{outcome:?}");
            }
            let mut state = RetryState::new(SAFE_POST, true);
            assert_eq!(
                state.next(outcome, false, &policy(), 1.0),
                RETURN,
                "{outcome:?} with a body that cannot be sent again"
            );
        }
        assert_eq!(first(DELETE, redirect(302)), RETURN);
        assert_eq!(first(DELETE, redirect(308)), follow);
    }

    /// Returns the decisions after these outcomes.
    fn decisions(request: RequestKind, policy: &RetryPolicy, outcomes: &[AttemptOutcome]) -> Vec<Decision> {
        let mut state = RetryState::new(request, false);
        outcomes.iter().map(|outcome| state.next(*outcome, true, policy, 1.0)).collect()
    }

    #[test]
    fn attempts_are_counted() {
        let after = |millis| Decision::RetryAfter(Duration::from_millis(millis));
        let decisions = |request, outcomes: &[_]| decisions(request, &policy(), outcomes);
        assert_eq!(decisions(GET, &[status(500); 3]), [AGAIN, after(1000), RETURN]);
        assert_eq!(decisions(GET, &[header(429, 0); 3]), [AGAIN, after(1000), RETURN]);
        assert_eq!(decisions(GET, &[TimedOut, TimedOut]), [AGAIN, RETURN], "a timeout is retried only once");
        assert_eq!(decisions(GET, &[TimedOut, status(500), TimedOut]), [AGAIN, after(1000), RETURN]);
        assert_eq!(decisions(CHUNK, &[status(403), status(403), status(403)]), [AT_ONCE, after(1000), RETURN]);
        let redirect = Redirect { status: 302, same_origin: true };
        let follow = Decision::Redirect;
        assert_eq!(decisions(GET, &[redirect; 6]), [follow, follow, follow, follow, follow, RETURN]);
        assert_eq!(decisions(GET, &[redirect, status(500)]), [follow, AGAIN], "a redirect does not count as a retry");
    }

    #[test]
    fn waiting_out_a_rate_limit_is_not_a_retry() {
        let patient = RetryPolicy { waits_out_rate_limits: true, max_retry_after: 600 * SECOND, ..policy() };
        let after = |seconds: u32| Decision::RetryAfter(seconds * SECOND);
        let many = decisions(POST, &patient, &[header(429, 300); 53]);
        assert!(many[..52].iter().all(|decision| *decision == after(300)), "50 times, and 2 retries");
        assert_eq!(many[52], RETURN, "retries end even if every response is a 429");
        assert_eq!(decisions(GET, &patient, &[header(429, 601)]), [RETURN]);
        let mixed = [header(429, 9), status(500), header(429, 9), status(500), header(429, 9), status(500)];
        assert_eq!(decisions(GET, &patient, &mixed), [after(9), AGAIN, after(9), after(1), after(9), RETURN]);
        assert_eq!(decisions(GET, &patient, &[header(503, 9); 3]), [after(9), after(9), RETURN]);
        // A rate limit of the storage is not the account's.
        assert_eq!(decisions(CHUNK, &patient, &[header(429, 9); 3]), [after(9), after(9), RETURN]);
    }

    #[test]
    fn a_delete_that_gets_404_after_an_unknown_outcome_has_succeeded() {
        for (outcome, deleted) in [
            (Broke, true),
            (TimedOut, true),
            (status(500), true),
            (status(502), true),
            (status(503), true),
            (hint(503, 7), true),
            (header(503, 7), false),
            (NotSent, false),
            (status(429), false),
            (status(408), false),
        ] {
            let mut state = RetryState::new(DELETE, false);
            assert!(!state.has_deleted(404), "a 404 to the first attempt is not a success");
            state.next(outcome, true, &policy(), 1.0);
            assert_eq!(state.has_deleted(404), deleted, "{outcome:?}");
            assert!(!state.has_deleted(410) && !state.has_deleted(409));
            let mut state = RetryState::new(GET, false);
            state.next(outcome, true, &policy(), 1.0);
            assert!(!state.has_deleted(404), "a GET deletes nothing");
        }
    }

    #[test]
    fn a_417_drops_the_expectation() {
        let mut state = RetryState::new(POST, true);
        assert_eq!(state.next(status(417), true, &policy(), 1.0), AT_ONCE);
        assert!(!state.expect_continue);
        assert_eq!(state.next(status(417), true, &policy(), 1.0), RETURN);
        let mut state = RetryState::new(CHUNK, false);
        state.next(status(500), true, &policy(), 1.0);
        assert!(!state.expect_continue);
        state.next(Broke, true, &policy(), 1.0);
        assert!(state.expect_continue, "the retry expects 100, so that it reads the reason for a refusal");
        let mut state = RetryState::new(GET, false);
        state.next(Broke, true, &policy(), 1.0);
        assert!(!state.expect_continue);
    }

    #[test]
    fn the_backoff_doubles_to_its_cap() {
        let wait = |retry, delay: u64| backoff(retry, Duration::from_millis(delay), 1.0).as_millis();
        let waits: Vec<u128> = (0..7).map(|retry| wait(retry, 500)).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!((wait(3, 1000), wait(0, 30_000), wait(u32::MAX, 30_000)), (8000, 30_000, 30_000));
        assert_eq!(backoff(0, RETRY_DELAY, 0.0), Duration::ZERO);
        assert_eq!(backoff(u32::MAX, RETRY_DELAY, 1.0), MAX_BACKOFF);
    }
}
