//! The rate limit of an account, which all calls of a session obey together.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Holds requests back until a time that the platform has named.
#[derive(Default)]
pub(crate) struct RateLimiter(Mutex<Option<Instant>>);

impl RateLimiter {
    /// Nothing is sent before `until`.
    pub(crate) fn pause_until(&self, until: Instant) {
        let mut paused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = Some(paused.map_or(until, |have| have.max(until)));
    }

    /// When the next request may be sent, if not now.
    pub(crate) fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_later_of_two_pauses_counts() {
        let (limiter, now) = (RateLimiter::default(), Instant::now());
        assert_eq!(limiter.paused_until(now), None);
        let later = now + Duration::from_secs(5);
        limiter.pause_until(later);
        limiter.pause_until(now + Duration::from_secs(1));
        assert_eq!(limiter.paused_until(now), Some(later));
        assert_eq!(limiter.paused_until(later), None);
    }
}
