//! The source of time and randomness, which tests can replace.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::limits::FOREVER;

/// The source of time and randomness for retries, waits and deadlines.
///
/// The default is the system's clock. A test can pass its own clock to
/// [`TwelveLabsBuilder::clock`](crate::TwelveLabsBuilder::clock), so that nothing waits in real time. Use
/// `twelvelabs::testing::TestClock` (feature `testing`), or implement the trait:
///
/// ```
/// use std::time::Duration;
/// use twelvelabs::{Clock, TwelveLabs};
///
/// struct Impatient;
/// impl Clock for Impatient {
///     fn sleep(&self, _: Duration) {}
/// }
///
/// let client = TwelveLabs::builder().api_key("tlk_test").clock(Impatient).build()?;
/// # Ok::<(), twelvelabs::Error>(())
/// ```
pub trait Clock: Send + Sync {
    /// Returns a monotonic time, for deadlines.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// Returns the date and time, for `Retry-After` dates.
    fn utc_now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    /// Blocks the calling thread for `duration`.
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    /// Returns a random number from 0 (inclusive) to 1 (exclusive), for the jitter of the backoff.
    fn random(&self) -> f64 {
        (random_bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Adds a duration, at most [`FOREVER`], to a point in time. `Instant + Duration` panics if the result is out of range.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by.min(FOREVER)).unwrap_or(at)
}

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {}

/// Returns 64 unpredictable bits. The standard library seeds every `RandomState` from the system.
pub(crate) fn random_bits() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(0);
    hasher.finish()
}

/// Returns random hexadecimal digits.
pub(crate) fn random_hex(length: usize) -> String {
    std::iter::repeat_with(|| format!("{:016x}", random_bits()))
        .flat_map(|text| text.into_bytes())
        .map(char::from)
        .take(length)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_stay_in_range_and_differ() {
        let numbers: Vec<f64> = (0..100).map(|_| SystemClock.random()).collect();
        assert!(numbers.iter().all(|n| (0.0..1.0).contains(n)));
        assert!(numbers.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
