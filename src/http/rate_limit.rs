//! Headers about time: the pause before a retry, the rate limit, and the server's clock.

use std::time::Duration;

use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{Date, Month, OffsetDateTime};

use crate::error::RateLimit;
use crate::response::{Headers, HttpResponse};

/// The families of headers about a rate limit.
const FAMILIES: [&str; 4] = ["x-ratelimit-", "x-ratelimit-request-", "x-ratelimit-duration-", "ratelimit-"];
/// The limit below which a reset is a number of seconds from now instead of a date.
const SECONDS_AT_MOST: f64 = 1e9;

/// Returns the pause that the server asks for: from `retry-after-ms`, from `Retry-After` in seconds or as a date, from
/// the reset of the exhausted rate limit, or from the message of a 429. `now` is this machine's time; a `Date` in the
/// response gives the server's time.
pub(crate) fn retry_after(
    status: u16,
    headers: &Headers,
    message: Option<&str>,
    now: OffsetDateTime,
) -> Option<Duration> {
    let now = server_time(headers).unwrap_or(now);
    if let Some(ms) = headers.get("retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok()) {
        return seconds(ms / 1000.0);
    }
    if let Some(wait) = header(headers, now) {
        return Some(wait);
    }
    if !matches!(status, 429 | 503) {
        return None;
    }
    reset_time(headers, now)
        .or_else(|| message?.split_whitespace().find_map(|word| parse_date(word.trim_end_matches(['.', ',', ')']))))
        .map(|date| until(date, now))
}

/// Whether the response has the header `Retry-After`, in a form that can be read.
pub(crate) fn has_retry_after(headers: &Headers, now: OffsetDateTime) -> bool {
    header(headers, now).is_some()
}

/// The header `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
fn header(headers: &Headers, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get("retry-after")?.trim();
    text.parse().ok().and_then(seconds).or_else(|| Some(until(parse_date(text)?, now)))
}

/// Returns the time from `now` until a date, or zero if it has passed.
fn until(date: OffsetDateTime, now: OffsetDateTime) -> Duration {
    Duration::try_from(date - now).unwrap_or_default()
}

fn seconds(seconds: f64) -> Option<Duration> {
    seconds.is_finite().then(|| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// Returns the server's time.
pub(crate) fn server_time(headers: &Headers) -> Option<OffsetDateTime> {
    parse_date(headers.get("date")?.trim())
}

/// A number of a family of headers.
fn number(headers: &Headers, field: &str) -> Option<u64> {
    let read = |family: &&str| headers.get(&format!("{family}{field}"))?.trim().parse().ok();
    // If several families are present, the exhausted one applies.
    let used_up = FAMILIES.iter().filter(|family| is_used_up(headers, family) == Some(true));
    used_up.chain(&FAMILIES).find_map(read)
}

/// Whether the headers say that a limit is used up.
fn is_used_up(headers: &Headers, family: &str) -> Option<bool> {
    let remaining: f64 = headers.get(&format!("{family}remaining"))?.trim().parse().ok()?;
    Some(remaining <= 0.0)
}

/// Returns the end of the window of the exhausted rate limit, or the latest end if several are exhausted.
fn reset_time(headers: &Headers, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let reset = |family: &&str| {
        let text = headers.get(&format!("{family}reset"))?.trim();
        match text.parse::<f64>() {
            Ok(number) if !number.is_finite() => None,
            Ok(number) if number < SECONDS_AT_MOST => now.checked_add(seconds(number)?.try_into().ok()?),
            Ok(number) => OffsetDateTime::from_unix_timestamp(number.ceil() as i64).ok(),
            Err(_) => parse_date(text),
        }
    };
    let latest = |wanted: Option<bool>| {
        FAMILIES.iter().filter(|family| is_used_up(headers, family) == wanted).filter_map(reset).max()
    };
    latest(Some(true)).or_else(|| latest(None))
}

/// A date in any of the forms that HTTP allows, or as the platform writes it.
pub(crate) fn parse_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc2822)
        .or_else(|_| OffsetDateTime::parse(text, &Rfc3339))
        .ok()
        .or_else(|| parse_old_date(text))
}

/// `Sunday, 06-Nov-94 08:49:37 GMT` (RFC 850) or `Sun Nov  6 08:49:37 1994` (asctime).
fn parse_old_date(text: &str) -> Option<OffsetDateTime> {
    let parts: Vec<&str> = text.split([' ', ',', '-', ':']).filter(|part| !part.is_empty()).collect();
    let (day, month, year, clock) = match *parts.as_slice() {
        [_, day, month, year, hour, minute, second, "GMT"] => (day, month, year, [hour, minute, second]),
        [_, month, day, hour, minute, second, year] => (day, month, year, [hour, minute, second]),
        _ => return None,
    };
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? as u8 + 1;
    let year = match year.parse::<i32>().ok()? {
        short @ 0..70 => 2000 + short,
        short @ 70..100 => 1900 + short,
        year => year,
    };
    let [hour, minute, second] = clock.map(|number| number.parse::<u8>().ok());
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day.parse().ok()?).ok()?;
    Some(date.with_hms(hour?, minute?, second?).ok()?.assume_utc())
}

impl<T> HttpResponse<T> {
    /// Returns the rate limits that the response reports. Successful responses report them as well.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let response = client.assets().retrieve("65f…").send_raw()?;
    /// if response.rate_limit().remaining == Some(0) {
    ///     eprintln!("the next request has to wait until {:?}", response.rate_limit().reset);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn rate_limit(&self) -> RateLimit {
        let now = server_time(&self.headers).unwrap_or_else(OffsetDateTime::now_utc);
        read(&self.headers, now)
    }
}

/// Returns the rate limits in the headers. If several families are present, the exhausted one applies.
pub(crate) fn read(headers: &Headers, now: OffsetDateTime) -> RateLimit {
    RateLimit {
        limit: number(headers, "limit"),
        remaining: number(headers, "remaining"),
        used: number(headers, "used"),
        reset: reset_time(headers, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_exhausted_limit_counts() {
        let hours = |left: &'static str| {
            [
                ("x-ratelimit-request-remaining", "0"),
                ("x-ratelimit-request-reset", "1700000002"),
                ("x-ratelimit-duration-remaining", left),
                ("x-ratelimit-duration-reset", "1700040000"),
            ]
        };
        assert_eq!(wait(429, &hours("7"), None), Some(2.0));
        assert_eq!(
            wait(429, &hours("0"), None),
            Some(40_000.0),
            "if both limits are exhausted, the later reset counts"
        );
        assert_eq!(wait(429, &[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "1700040000")], None), None);
        assert_eq!(wait(429, &[("ratelimit-reset", "30")], None), Some(30.0));
        assert_eq!(wait(429, &[("ratelimit-reset", "nan")], None), None);
        let limit = |left: &[(&str, &str)]| number(&left.iter().copied().collect(), "limit");
        let (request, duration) = (("x-ratelimit-request-limit", "50"), ("x-ratelimit-duration-limit", "900"));
        for (left, expected) in [("0", Some(900)), ("3", Some(50))] {
            let left = [("x-ratelimit-request-remaining", "3"), ("x-ratelimit-duration-remaining", left)];
            assert_eq!(limit(&[request, duration, left[0], left[1]]), expected);
        }
    }

    #[test]
    fn the_servers_own_clock_counts() {
        let date = ("Date", "Tue, 14 Nov 2023 23:13:20 GMT");
        assert_eq!(
            wait(429, &[date, ("x-ratelimit-reset", "1700003602")], None),
            Some(2.0),
            "the server's clock is an hour ahead of ours"
        );
        assert_eq!(wait(503, &[date, ("Retry-After", "Tue, 14 Nov 2023 23:13:25 GMT")], None), Some(5.0));
    }

    #[test]
    fn every_form_of_a_date_is_read() {
        for text in [
            "Tue, 14 Nov 2023 22:14:20 GMT",
            "Tuesday, 14-Nov-23 22:14:20 GMT",
            "Tue Nov 14 22:14:20 2023",
            "2023-11-14T22:14:20Z",
        ] {
            assert_eq!(wait(503, &[("Retry-After", text)], None), Some(60.0), "{text}");
        }
        for (text, year) in [("Sunday, 06-Nov-94 08:49:37 GMT", 1994), ("Tuesday, 06-Nov-69 08:49:37 GMT", 2069)] {
            assert_eq!(parse_date(text).unwrap().year(), year);
        }
        for text in ["Tue Nov 31 22:14:20 2023", "Tue Nix 14 22:14:20 2023", "14 Nov", "Tuesday, 14-Nov-23 22:14 GMT"] {
            assert_eq!(wait(503, &[("Retry-After", text)], None), None, "{text}");
        }
    }

    fn wait(status: u16, headers: &[(&str, &str)], message: Option<&str>) -> Option<f64> {
        let headers = headers.iter().copied().collect();
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        retry_after(status, &headers, message, now).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn every_form_of_retry_after() {
        assert_eq!(wait(429, &[("Retry-After", "7")], None), Some(7.0));
        assert_eq!(wait(429, &[("Retry-After", " 1.5 ")], None), Some(1.5));
        assert_eq!(wait(429, &[("Retry-After", "-3")], None), Some(0.0));
        assert_eq!(wait(429, &[("Retry-After", "soon")], None), None);
        assert_eq!(wait(429, &[("Retry-After", "nan")], None), None);
        assert_eq!(wait(429, &[("retry-after-ms", "250"), ("retry-after", "9")], None), Some(0.25));
        assert_eq!(wait(503, &[("Retry-After", "Tue, 14 Nov 2023 22:14:20 GMT")], None), Some(60.0));
        assert_eq!(wait(503, &[("Retry-After", "Tue, 14 Nov 2023 22:00:00 GMT")], None), Some(0.0));
        assert_eq!(wait(429, &[("X-Ratelimit-Reset", "1700000030")], None), Some(30.0));
        assert_eq!(wait(503, &[("X-Ratelimit-Reset", "1700000030")], None), Some(30.0));
        assert_eq!(
            wait(429, &[("X-Ratelimit-Reset", "1700000029.5")], None),
            Some(30.0),
            "the pause is rounded up, so that it does not end too early"
        );
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
