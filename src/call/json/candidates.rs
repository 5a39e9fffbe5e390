//! Proposes what a malformed value may have been meant to be. The decoder then decides whether it accepts a proposal.

use std::ops::Range;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::call::json::scan::{Scanner, key_text};

/// 2^53. Below it, an `f64` represents every whole number exactly.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ValueKind {
    Text,
    /// A text that is not valid Unicode, or that uses an escape which JSON does not have.
    MalformedText,
    Integer,
    Float,
    Boolean,
    Null,
    /// A number out of range, `NaN`, or anything else that is not JSON.
    NotJson,
    List,
    Object,
}

impl ValueKind {
    pub(crate) fn of(value: &[u8]) -> Self {
        match value {
            [b'{', ..] => ValueKind::Object,
            [b'[', ..] => ValueKind::List,
            [b'"', ..] => text(value).map_or(ValueKind::MalformedText, |_| ValueKind::Text),
            b"true" | b"false" => ValueKind::Boolean,
            b"null" => ValueKind::Null,
            _ if serde_json::from_slice::<u64>(value).is_ok() => ValueKind::Integer,
            _ if serde_json::from_slice::<i64>(value).is_ok() => ValueKind::Integer,
            _ if serde_json::from_slice::<f64>(value).is_ok() => ValueKind::Float,
            _ => ValueKind::NotJson,
        }
    }
}

fn text(value: &[u8]) -> Option<String> {
    serde_json::from_slice(value).ok()
}

/// Lists the possible meanings of a refused value, the most likely first.
///
/// A number becomes a text only if the field is an id, because a server may have changed its ids from numbers to texts.
/// In any other field, the wording matters. The text of an id is never changed.
pub(crate) fn candidates(value: &[u8], is_id: bool) -> Vec<Vec<u8>> {
    let found = match ValueKind::of(value) {
        ValueKind::Text if is_id => [None, None, None],
        ValueKind::Text => {
            let plain = unquoted(value);
            let is_float = |plain: &&[u8]| ValueKind::of(plain) == ValueKind::Float;
            let integer = plain.as_deref().filter(is_float).and_then(whole);
            [plain, integer, text(value).and_then(|date| utc(&date))]
        }
        ValueKind::MalformedText if !is_id => [unicode(value), None, None],
        ValueKind::Integer | ValueKind::Float if is_id => [Some(quoted(value)), None, None],
        ValueKind::Float => [whole(value), None, None],
        ValueKind::NotJson if is_id && value.iter().all(u8::is_ascii_digit) => [Some(quoted(value)), None, None],
        _ => [None, None, None],
    };
    found.into_iter().flatten().collect()
}

fn quoted(value: &[u8]) -> Vec<u8> {
    [b"\"", value, b"\""].concat()
}

/// Returns the number or boolean in a text, such as `"1.5"`.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let inside = text(value)?.trim().as_bytes().to_vec();
    let plain = matches!(ValueKind::of(&inside), ValueKind::Integer | ValueKind::Float | ValueKind::Boolean);
    plain.then_some(inside)
}

/// Returns an integer that was written as a float, such as `1.0`.
fn whole(value: &[u8]) -> Option<Vec<u8>> {
    // The standard library parses exactly, which `serde_json` does not promise.
    let number: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    let whole = number.fract() == 0.0 && number.abs() < FIRST_INEXACT;
    whole.then(|| (number as i64).to_string().into_bytes())
}

/// Rewrites a date of a similar form as RFC 3339, section 5.6, requires. A date without a zone, such as Python's
/// `isoformat()` writes, counts as UTC.
fn utc(date: &str) -> Option<Vec<u8>> {
    let date = date.trim().replacen(' ', "T", 1);
    let colon = date.len().checked_sub(2).and_then(|at| date.split_at_checked(at)).map(|(a, b)| format!("{a}:{b}"));
    let forms = [Some(format!("{date}Z")), Some(format!("{date}:00Z")), Some(format!("{date}T00:00:00Z")), colon];
    let read = |form: &String| OffsetDateTime::parse(form, &Rfc3339).is_ok();
    let found = forms.into_iter().flatten().chain([date]).find(read)?;
    Some(format!("\"{found}\"").into_bytes())
}

/// Replaces everything in a text that is not Unicode with `U+FFFD`: bytes that are not UTF-8, and unpaired surrogates.
/// A server that truncates texts by UTF-16 units produces the latter.
fn unicode(value: &[u8]) -> Option<Vec<u8>> {
    let inside = String::from_utf8_lossy(value.strip_prefix(b"\"")?.strip_suffix(b"\"")?);
    let mut units = Vec::new();
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        let c = if c == '\\' {
            rest.next()?
        } else {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            continue;
        };
        units.push(match c {
            'n' => 10,
            'r' => 13,
            't' => 9,
            'b' => 8,
            'f' => 12,
            'u' => {
                let digits = rest.as_str().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
                if unit.is_some() {
                    rest = rest.as_str().get(4..)?.chars();
                }
                unit.unwrap_or(0xfffd)
            }
            '"' | '\\' | '/' => c as u16,
            _ => 0xfffd,
        });
    }
    serde_json::to_vec(&String::from_utf16_lossy(&units)).ok()
}

/// Removes all fields of this name from an object except the last, which `JSON.parse` and Python's `json` keep as well.
/// Returns `None` if the name is not repeated.
pub(crate) fn without_repetitions(object: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut scanner = Scanner::new(object);
    scanner.enter()?;
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut first = true;
    while let Some(member) = scanner.member(true, first)? {
        first = false;
        scanner.skip()?;
        if member.key.is_some_and(|key| key_text(key) == name) {
            found.push(member.start..scanner.at);
        }
    }
    found.pop().filter(|_| !found.is_empty())?;
    let mut out = Vec::with_capacity(object.len());
    let mut copied = 0;
    for field in found {
        out.extend_from_slice(&object[copied..field.start]);
        // At least the last of the repetitions follows, so a comma does too.
        copied = field.end + object[field.end..].iter().position(|byte| *byte == b',')? + 1;
    }
    out.extend_from_slice(&object[copied..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_values() {
        for (value, kind) in [
            ("{}", ValueKind::Object),
            ("[1]", ValueKind::List),
            (r#""a""#, ValueKind::Text),
            (r#""\ud800""#, ValueKind::MalformedText),
            ("true", ValueKind::Boolean),
            ("false", ValueKind::Boolean),
            ("null", ValueKind::Null),
            ("7", ValueKind::Integer),
            ("18446744073709551615", ValueKind::Integer),
            ("-7", ValueKind::Integer),
            ("7.5", ValueKind::Float),
            ("NaN", ValueKind::NotJson),
            ("1e999", ValueKind::NotJson),
        ] {
            assert_eq!(ValueKind::of(value.as_bytes()), kind, "{value}");
        }
    }

    #[test]
    fn candidates_for_malformed_values() {
        for (value, is_id, meant) in [
            (r#"" 7 ""#, false, &["7"][..]),
            (r#""7.5""#, false, &["7.5"]),
            (r#""7.0""#, false, &["7.0", "7"]),
            (r#""true""#, false, &["true"]),
            (r#""null""#, false, &[]),
            (r#""seven""#, false, &[]),
            (r#""7""#, true, &[]),
            (r#""2026-01-02""#, false, &["\"2026-01-02T00:00:00Z\""]),
            (r#""soon""#, false, &[]),
            ("7.0", false, &["7"]),
            ("-7.0", false, &["-7"]),
            ("7.5", false, &[]),
            ("9007199254740991.0", false, &["9007199254740991"]),
            ("9007199254740992.0", false, &[]),
            ("1e300", false, &[]),
            ("7", false, &[]),
            ("7", true, &["\"7\""]),
            ("7.5", true, &["\"7.5\""]),
            ("99999999999999999999999999", true, &["\"99999999999999999999999999\""]),
            ("1e999", true, &[]),
            (r#""a\ud800""#, false, &["\"a\u{fffd}\""]),
            (r#""a\ud800""#, true, &[]),
            ("null", false, &[]),
            ("{}", false, &[]),
        ] {
            let found: Vec<String> =
                candidates(value.as_bytes(), is_id).into_iter().map(|text| String::from_utf8(text).unwrap()).collect();
            assert_eq!(found, meant, "{value}, {is_id}");
        }
    }

    #[test]
    fn the_last_of_a_repeated_field_is_kept() {
        let read =
            |object: &str| without_repetitions(object.as_bytes(), "a").map(|text| String::from_utf8(text).unwrap());
        assert_eq!((read(r#"{"a":1,"b":2,"b":3}"#), read("{}")), (None, None));
        assert_eq!(
            read(r#"{"a":1 , "b" : [2, {"a":3}],"\u0061":4,"c":5,"a":6}"#).as_deref(),
            Some(r#"{ "b" : [2, {"a":3}],"c":5,"a":6}"#)
        );
    }
}
