//! When a request may be sent again, and how long to wait before it is.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::response::Headers;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// How a try ended that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// No connection: nothing was sent.
    NotSent,
    /// The connection broke or fell silent after something was sent.
    Broke,
    /// The server answered with this status, and with or without a time to wait.
    Status(u16, Option<Duration>),
}

/// Whether the request may be sent again. `repeatable`: doing it twice is the same as doing it once.
pub(crate) fn may_repeat(ended: Ended, repeatable: bool) -> bool {
    match ended {
        Ended::NotSent => true,
        Ended::Broke => repeatable,
        Ended::Status(429 | 408, _) | Ended::Status(503, Some(_)) => true,
        Ended::Status(500..=599, _) => repeatable,
        Ended::Status(..) => false,
    }
}

/// The wait before try number `retry` (the first repetition is 0): exponential with full jitter.
pub(crate) fn back_off(retry: u32, random: f64) -> Duration {
    let longest = FIRST.saturating_mul(2u32.saturating_pow(retry.min(16))).min(LONGEST);
    longest.mul_f64(random.clamp(0.0, 1.0))
}

/// How long the server asks to wait: `retry-after-ms`, `Retry-After` in seconds or as a date, the reset of the
/// rate limit, or the time named in the message of a 429.
pub(crate) fn retry_after(
    status: u16,
    headers: &Headers,
    message: Option<&str>,
    now: OffsetDateTime,
) -> Option<Duration> {
    let until = |date: OffsetDateTime| Duration::try_from(date - now).unwrap_or_default();
    let seconds = |seconds: f64| {
        seconds.is_finite().then(|| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
    };
    if let Some(ms) = headers.get("retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok()) {
        return seconds(ms / 1000.0);
    }
    if let Some(text) = headers.get("retry-after").map(str::trim) {
        if let Some(wait) = text.parse().ok().and_then(seconds) {
            return Some(wait);
        }
        if let Some(date) = parse_date(text) {
            return Some(until(date));
        }
    }
    if !matches!(status, 429 | 503) {
        return None;
    }
    reset_time(headers)
        .or_else(|| message?.split_whitespace().find_map(|word| parse_date(word.trim_end_matches(['.', ',', ')']))))
        .map(until)
}

/// The end of the rate limit's window, the latest of those given.
pub(crate) fn reset_time(headers: &Headers) -> Option<OffsetDateTime> {
    ["x-ratelimit-reset", "x-ratelimit-request-reset", "x-ratelimit-duration-reset"]
        .iter()
        .filter_map(|name| {
            let text = headers.get(name)?.trim();
            match text.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() => OffsetDateTime::from_unix_timestamp(seconds.ceil() as i64).ok(),
                _ => parse_date(text),
            }
        })
        .max()
}

fn parse_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc2822).or_else(|_| OffsetDateTime::parse(text, &Rfc3339)).ok()
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
            (Status(429, None), true, true),
            (Status(408, None), true, true),
            (Status(503, wait), true, true),
            (Status(503, None), true, false),
            (Status(500, wait), true, false),
            (Status(504, None), true, false),
            (Status(409, wait), false, false),
            (Status(404, None), false, false),
            (Status(400, None), false, false),
        ] {
            assert_eq!(may_repeat(ended, true), repeatable, "{ended:?}");
            assert_eq!(may_repeat(ended, false), other, "{ended:?}");
        }
    }

    #[test]
    fn back_off_doubles_to_its_cap() {
        let waits: Vec<u128> = (0..7).map(|n| back_off(n, 1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(back_off(0, 0.0), Duration::ZERO);
        assert_eq!(back_off(u32::MAX, 1.0), LONGEST);
    }

    fn wait(status: u16, headers: &[(&str, &str)], message: Option<&str>) -> Option<f64> {
        let headers = headers.iter().copied().collect();
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        retry_after(status, &headers, message, now).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn every_way_to_ask_for_a_wait() {
        assert_eq!(wait(429, &[("Retry-After", "7")], None), Some(7.0));
        assert_eq!(wait(429, &[("Retry-After", " 1.5 ")], None), Some(1.5));
        assert_eq!(wait(429, &[("Retry-After", "-3")], None), Some(0.0));
        assert_eq!(wait(429, &[("Retry-After", "soon")], None), None);
        assert_eq!(wait(429, &[("Retry-After", "nan")], None), None);
        assert_eq!(wait(429, &[("retry-after-ms", "250"), ("retry-after", "9")], None), Some(0.25));
        assert_eq!(wait(503, &[("Retry-After", "Tue, 14 Nov 2023 22:14:20 GMT")], None), Some(60.0));
        assert_eq!(wait(503, &[("Retry-After", "Tue, 14 Nov 2023 22:00:00 GMT")], None), Some(0.0));
        assert_eq!(wait(429, &[("X-Ratelimit-Reset", "1700000030")], None), Some(30.0));
        assert_eq!(wait(404, &[("X-Ratelimit-Reset", "1700000030")], None), None);
        assert_eq!(wait(429, &[], Some("Please try again later after 2023-11-14T22:13:30Z.")), Some(10.0));
        assert!(wait(429, &[("Retry-After", "1e300")], None).is_some_and(|wait| wait > 1e18));
    }

    proptest::proptest! {
        #[test]
        fn any_header_text_is_read_without_panic(text in ".*", number in proptest::num::f64::ANY) {
            for text in [text, number.to_string()] {
                for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset"] {
                    wait(429, &[(name, &text)], Some(&text));
                }
            }
        }

        #[test]
        fn seconds_and_dates_agree(seconds in 0u32..1_000_000) {
            let date = OffsetDateTime::from_unix_timestamp(1_700_000_000 + i64::from(seconds)).unwrap();
            let date = date.format(&Rfc2822).unwrap().replace("+0000", "GMT");
            proptest::prop_assert_eq!(wait(503, &[("retry-after", &date)], None), Some(f64::from(seconds)));
            proptest::prop_assert_eq!(wait(503, &[("retry-after", &seconds.to_string())], None), Some(f64::from(seconds)));
        }
    }
}
