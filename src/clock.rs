//! Time and chance as the crate sees them, so that tests can replace both.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::limits::FOREVER;

/// The time and the randomness that retries, waits and deadlines use.
///
/// The default is the system's. A test of your own program can give its own to
/// [`TwelveLabsBuilder::clock`](crate::TwelveLabsBuilder::clock), so that nothing waits in real time:
/// `twelvelabs::testing::TestClock`, with the feature `testing`, or one like this.
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
    /// A time that only ever grows, for deadlines.
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// The date and time, for `Retry-After` dates.
    fn utc_now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    /// Blocks the calling thread for `duration`.
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    /// A number from 0 (inclusive) to 1 (exclusive), for the jitter of the back-off.
    fn random(&self) -> f64 {
        (random_bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The point in time after `at` by this duration, or by [`FOREVER`] if it is longer: `Instant + Duration` panics where
/// the clock of the system ends.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by.min(FOREVER)).unwrap_or(at)
}

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {}

/// 64 bits nobody can foresee: the standard library seeds every `RandomState` from the system.
pub(crate) fn random_bits() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(0);
    hasher.finish()
}

/// So many random hexadecimal digits, in place of something that is as long.
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
