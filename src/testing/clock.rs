//! A clock whose time passes only by sleeping.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::Clock;
use crate::sync::lock;

/// The maximum total sleep, a century, so that every time has a valid date.
const MAX_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A clock on which sleeping takes no time: a sleep moves the clock forward and is recorded. Clones share the same
/// time.
///
/// Pauses between attempts and polls, and those of rate limits, end immediately, and deadlines pass as they would in
/// real time. Only sleeping and [`advance`](Self::advance) move the clock; the time that a server takes to answer does
/// not count. The random number is always 0.5, so that backoffs are reproducible.
///
/// ```
/// use std::time::Duration;
/// use twelvelabs::testing::{StandIn, TestClock};
///
/// let stand_in = StandIn::start();
/// stand_in.fail("GET /indexes", 2, 500);
/// let clock = TestClock::new();
/// let client = stand_in.builder().clock(clock.clone()).build()?;
///
/// client.indexes().list().send()?;
/// assert_eq!(clock.slept(), [Duration::from_millis(250), Duration::from_millis(500)]);
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    date: OffsetDateTime,
    passed: Mutex<Passed>,
}

#[derive(Debug, Default)]
struct Passed {
    time: Duration,
    slept: Vec<Duration>,
}

impl Passed {
    fn add(&mut self, duration: Duration) {
        self.time = self.time.saturating_add(duration).min(MAX_TIME);
    }
}

impl TestClock {
    /// Creates a clock that starts at the current time.
    pub fn new() -> Self {
        let (start, date) = (Instant::now(), OffsetDateTime::now_utc());
        TestClock(Arc::new(Inner { start, date, passed: Mutex::default() }))
    }

    /// Returns all sleeps so far, in order. A call that can be canceled sleeps in many small steps; for such a call,
    /// use [`passed`](Self::passed).
    pub fn slept(&self) -> Vec<Duration> {
        self.lock().slept.clone()
    }

    /// Returns the time that has passed on this clock.
    pub fn passed(&self) -> Duration {
        self.lock().time
    }

    /// Moves the clock forward without a sleep.
    ///
    /// ```
    /// use std::time::Duration;
    /// use twelvelabs::{Clock, testing::TestClock};
    ///
    /// let clock = TestClock::new();
    /// let before = clock.utc_now();
    /// clock.advance(Duration::from_secs(3600));
    /// assert_eq!((clock.utc_now() - before).whole_minutes(), 60);
    /// assert!(clock.slept().is_empty());
    /// ```
    pub fn advance(&self, duration: Duration) {
        self.lock().add(duration);
    }

    fn lock(&self) -> MutexGuard<'_, Passed> {
        lock(&self.0.passed)
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.0.start + self.passed()
    }

    fn utc_now(&self) -> OffsetDateTime {
        self.0.date + self.passed()
    }

    fn sleep(&self, duration: Duration) {
        let mut passed = self.lock();
        passed.add(duration);
        passed.slept.push(duration);
        drop(passed);
        // Sleeping yields to other threads, so that a loop of sleeps does not starve them.
        std::thread::yield_now();
    }

    fn random(&self) -> f64 {
        0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_a_time_that_only_sleeping_moves() {
        let clock = TestClock::new();
        let (other, now, date) = (clock.clone(), clock.now(), clock.utc_now());
        assert_eq!((clock.now(), clock.utc_now()), (now, date));
        other.sleep(Duration::from_secs(90));
        other.advance(Duration::from_secs(10));
        assert_eq!(
            (clock.now() - now, clock.utc_now() - date),
            (Duration::from_secs(100), time::Duration::seconds(100))
        );
        assert_eq!((clock.slept(), clock.passed()), (vec![Duration::from_secs(90)], Duration::from_secs(100)));
    }

    #[test]
    fn no_sleep_is_too_long() {
        let clock = TestClock::new();
        (0..3).for_each(|_| clock.sleep(Duration::MAX));
        assert_eq!((clock.passed(), clock.slept().len()), (MAX_TIME, 3));
        assert!(clock.now() > Instant::now() && clock.utc_now() > OffsetDateTime::now_utc());
    }
}
