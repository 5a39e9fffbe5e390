//! When a request may be sent again, and how long to wait before it is.

use std::time::Duration;

/// The backoff before the first retry, unless another is set.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// How an attempt ended that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// No connection: nothing was sent.
    NotSent,
    /// The connection broke after something was sent.
    Broke,
    /// No answer came in time, so often by now.
    Unanswered(u32),
    /// Another attempt would end in the same way.
    Impossible,
    /// The server answered with this status, and with or without a time to wait.
    Status(u16, Option<Duration>),
}

/// Whether the request may be sent again. `repeatable`: doing it twice is the same as doing it once. `is_api`: it goes
/// to the API; the storage is asked again at another URL, for which a refusal of the last one says little.
pub(crate) fn may_repeat(ended: Ended, repeatable: bool, is_api: bool) -> bool {
    match ended {
        Ended::NotSent => true,
        Ended::Broke => repeatable,
        Ended::Unanswered(times) => repeatable && times <= 1,
        Ended::Impossible => false,
        Ended::Status(429 | 408, _) | Ended::Status(503, Some(_)) => true,
        Ended::Status(501, _) => false,
        Ended::Status(500..=599, _) => repeatable,
        Ended::Status(400 | 403 | 404 | 409 | 410 | 412, _) => !is_api,
        Ended::Status(..) => false,
    }
}

/// The backoff before a retry (the first is number 0): exponential from `delay`, up to 10 s or the delay itself, with
/// full jitter.
pub(crate) fn back_off(retry: u32, delay: Duration, random: f64) -> Duration {
    let longest = delay.saturating_mul(2u32.saturating_pow(retry.min(16))).min(LONGEST.max(delay));
    longest.mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        use Ended::*;
        let wait = Some(Duration::from_secs(1));
        for (ended, repeatable, other) in [
            (NotSent, true, true),
            (Broke, true, false),
            (Unanswered(1), true, false),
            (Unanswered(2), false, false),
            (Impossible, false, false),
            (Status(429, None), true, true),
            (Status(408, None), true, true),
            (Status(503, wait), true, true),
            (Status(503, None), true, false),
            (Status(500, wait), true, false),
            (Status(501, None), false, false),
            (Status(504, None), true, false),
            (Status(409, wait), false, false),
            (Status(404, None), false, false),
            (Status(400, None), false, false),
        ] {
            assert_eq!(may_repeat(ended, true, true), repeatable, "{ended:?}");
            assert_eq!(may_repeat(ended, false, true), other, "{ended:?}");
        }
        for (status, again) in [(400, true), (403, true), (404, true), (410, true), (401, false), (413, false)] {
            assert_eq!(may_repeat(Status(status, None), true, false), again, "{status} of the storage");
        }
    }

    #[test]
    fn backoff_doubles_to_its_cap() {
        let wait = |retry, delay: u64| back_off(retry, Duration::from_millis(delay), 1.0).as_millis();
        let waits: Vec<u128> = (0..7).map(|retry| wait(retry, 500)).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!((wait(3, 1000), wait(0, 30_000), wait(u32::MAX, 30_000)), (8000, 30_000, 30_000));
        assert_eq!(back_off(0, RETRY_DELAY, 0.0), Duration::ZERO);
        assert_eq!(back_off(u32::MAX, RETRY_DELAY, 1.0), LONGEST);
    }
}
