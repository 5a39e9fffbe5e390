//! Repairs of a JSON text at one place, and at the same place of all other items of the lists on the way to it.

use std::ops::Range;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::call::json::scan::{Place, Scanner, Step, key_text};

const INTEGERS: [&str; 12] = ["i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128", "usize"];
/// The largest number, and all below it, that a float has exactly.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// The text without the fault that `message` says is at this place; `None` if it cannot be spared.
pub(crate) fn repaired(text: &[u8], place: &Place<'_>, message: &str) -> Option<Vec<u8>> {
    let missing = missing_field(message);
    if missing.is_some_and(is_id) {
        return None;
    }
    let rule = Rule::new(&text[place.value.clone()], key_of(&place.path), message)?;
    let mut repair = Repair {
        scanner: Scanner::new(text),
        rule: &rule,
        incomplete: missing.is_some(),
        out: Vec::with_capacity(text.len() + text.len() / 64),
        copied: 0,
        changed: false,
    };
    repair.value(&place.path, None)?;
    repair.copy_to(text.len());
    repair.changed.then_some(repair.out)
}

/// The field that is missing, if that is what a message says.
pub(crate) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

fn key_of<'a>(path: &[Step<'a>]) -> Option<&'a [u8]> {
    path.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(*key) } else { None })
}

/// What is wrong with a value, and so with others at the same place.
enum Rule<'a> {
    /// A number or a boolean, written as a text.
    Unquote,
    /// A float for an integer.
    Whole,
    /// A number for an id, which may have been one once.
    Quote,
    /// A text that is no date with a zone.
    Date,
    /// A text that is not Unicode, or escaped as JSON does not.
    Unicode,
    /// The same field several times in an object: the last one counts.
    Repeated(&'a str),
    /// Not of the type.
    Type(Kind),
    /// Something else about this very value.
    Same(&'a [u8]),
}

enum Change {
    Keep,
    Drop,
    Replace(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    MalformedText,
    Integer,
    Float,
    Boolean,
    Null,
    /// A number that is out of range, `NaN`, or anything else that JSON does not have.
    NotJson,
    List,
    Object,
}

impl Kind {
    fn of(value: &[u8]) -> Self {
        let is_number = || serde_json::from_slice::<f64>(value).is_ok();
        match value {
            [b'{', ..] => Kind::Object,
            [b'[', ..] => Kind::List,
            [b'"', ..] => text(value).map_or(Kind::MalformedText, |_| Kind::Text),
            b"true" | b"false" => Kind::Boolean,
            b"null" => Kind::Null,
            _ if serde_json::from_slice::<u64>(value).is_ok() => Kind::Integer,
            _ if serde_json::from_slice::<i64>(value).is_ok() => Kind::Integer,
            _ if is_number() => Kind::Float,
            _ => Kind::NotJson,
        }
    }
}

/// Whether a word is none of JSON's.
pub(crate) fn is_malformed(word: &[u8]) -> bool {
    !word.is_empty() && Kind::of(word) == Kind::NotJson
}

fn text(value: &[u8]) -> Option<String> {
    serde_json::from_slice(value).ok()
}

impl<'a> Rule<'a> {
    /// `None` for an id that would be hidden.
    fn new(value: &'a [u8], key: Option<&[u8]>, message: &'a str) -> Option<Self> {
        let id = key.is_some_and(|key| is_id(&key_text(key)));
        let kind = Kind::of(value);
        let expected = message.rsplit_once("expected ").map_or("", |(_, expected)| expected);
        let integer = INTEGERS.contains(&expected.rsplit(' ').next().unwrap_or_default());
        let wrong_type = message.starts_with("invalid type: ");
        Some(match kind {
            _ if message.starts_with("duplicate field `") => Rule::Repeated(message.split('`').nth(1)?),
            Kind::MalformedText if id => return None,
            Kind::Text if id && wrong_type => return None,
            Kind::List if id && wrong_type && inside(value) == Some(b'"') => return None,
            Kind::MalformedText => Rule::Unicode,
            Kind::Integer | Kind::Float if id && wrong_type => Rule::Quote,
            Kind::NotJson if id && value.iter().all(u8::is_ascii_digit) => Rule::Quote,
            Kind::NotJson => Rule::Type(kind),
            Kind::Float if integer => Rule::Whole,
            Kind::Text if wrong_type && (integer || matches!(expected, "f64" | "f32" | "a boolean")) => Rule::Unquote,
            Kind::Text if !wrong_type && is_date_error(value, message) => Rule::Date,
            _ if wrong_type => Rule::Type(kind),
            _ => Rule::Same(value),
        })
    }

    fn change(&self, value: &[u8]) -> Change {
        let or_drop = |new: Option<Vec<u8>>| new.map_or(Change::Drop, Change::Replace);
        match (self, Kind::of(value)) {
            (Rule::Unquote, Kind::Text) => or_drop(unquoted(value)),
            (Rule::Whole, Kind::Float) => or_drop(whole(value)),
            (Rule::Quote, Kind::Integer | Kind::Float | Kind::NotJson) => {
                Change::Replace([b"\"", value, b"\""].concat())
            }
            (Rule::Date, Kind::Text) => match text(value) {
                Some(date) if OffsetDateTime::parse(&date, &Rfc3339).is_err() => or_drop(utc(&date)),
                _ => Change::Keep,
            },
            (Rule::Unicode, Kind::MalformedText) => or_drop(unicode(value)),
            (Rule::Repeated(name), Kind::Object) => last_only(value, name).map_or(Change::Keep, Change::Replace),
            (Rule::Type(kind), found) if *kind == found => Change::Drop,
            (Rule::Same(same), _) if *same == value => Change::Drop,
            _ => Change::Keep,
        }
    }
}

/// Whether a message is what the decoder of dates says to this text.
fn is_date_error(value: &[u8], message: &str) -> bool {
    let error = text(value).and_then(|date| OffsetDateTime::parse(&date, &Rfc3339).err());
    error.is_some_and(|e| message == e.to_string())
}

/// The number or boolean that was written as a text.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let inside = text(value)?.trim().as_bytes().to_vec();
    let plain = matches!(Kind::of(&inside), Kind::Integer | Kind::Float) || inside == b"true" || inside == b"false";
    plain.then_some(inside)
}

/// The integer that was written as `1.0`.
fn whole(value: &[u8]) -> Option<Vec<u8>> {
    // Exactly, which `serde_json` does not promise.
    let number: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    let whole = number.fract() == 0.0 && number.abs() < LARGEST_WHOLE;
    whole.then(|| (number as i64).to_string().into_bytes())
}

/// A date without a zone, or not quite in the form of RFC 3339: it is in UTC.
fn utc(date: &str) -> Option<Vec<u8>> {
    let date = date.trim().replacen(' ', "T", 1);
    let colon = date.len().checked_sub(2).and_then(|at| date.split_at_checked(at)).map(|(a, b)| format!("{a}:{b}"));
    let forms = [Some(format!("{date}Z")), Some(format!("{date}:00Z")), Some(format!("{date}T00:00:00Z")), colon];
    let read = |form: &String| OffsetDateTime::parse(form, &Rfc3339).is_ok();
    let found = forms.into_iter().flatten().chain([date]).find(read)?;
    Some(format!("\"{found}\"").into_bytes())
}

/// A text with `U+FFFD` for what is not Unicode.
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

/// An object without any but the last of the fields of this name.
fn last_only(object: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut scanner = Scanner::new(object);
    scanner.enter()?;
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut first = true;
    while let Some(member) = scanner.member(true, first)? {
        first = false;
        scanner.skip()?;
        if member.key.is_some_and(|key| key_text(key) == name) {
            // Something follows it, at least the last one, and so does a comma.
            found.push(member.start..scanner.at);
        }
    }
    found.pop().filter(|_| !found.is_empty())?;
    let mut out = Vec::with_capacity(object.len());
    let mut copied = 0;
    for field in found {
        out.extend_from_slice(&object[copied..field.start]);
        copied = field.end + object[field.end..].iter().position(|byte| *byte == b',')? + 1;
    }
    out.extend_from_slice(&object[copied..]);
    Some(out)
}

/// A text on its way to another one.
struct Repair<'a> {
    scanner: Scanner<'a>,
    rule: &'a Rule<'a>,
    /// What is there lacks a required field.
    incomplete: bool,
    out: Vec<u8>,
    /// Up to where the old text is in the new one.
    copied: usize,
    changed: bool,
}

impl<'a> Repair<'a> {
    fn copy_to(&mut self, end: usize) {
        if self.copied < end {
            self.out.extend_from_slice(&self.scanner.text[self.copied..end]);
            self.copied = end;
        }
    }

    /// Steps behind the value that begins here, and repairs what is at `path` in it. Whether the value is to be removed.
    fn value(&mut self, path: &[Step<'_>], key: Option<&'a [u8]>) -> Option<bool> {
        let text = self.scanner.text;
        let Some((step, rest)) = path.split_first() else {
            let range = self.scanner.skip()?;
            return Some(match self.rule.change(&text[range.clone()]) {
                Change::Keep => false,
                Change::Drop => may_go(&text[range], key),
                Change::Replace(new) => {
                    self.copy_to(range.start);
                    self.out.extend_from_slice(&new);
                    self.copied = range.end;
                    self.changed = true;
                    false
                }
            });
        };
        let object = matches!(step, Step::Key(_));
        if self.scanner.peek()? != if object { b'{' } else { b'[' } {
            self.scanner.skip()?;
            return Some(false);
        }
        let before = (self.scanner.at, self.out.len(), self.copied, self.changed);
        self.scanner.enter()?;
        let (mut left, mut gone) = (0, 0);
        let (mut numbers, mut objects_gone) = (true, false);
        let mut end = self.scanner.at;
        while let Some(member) = self.scanner.member(object, left + gone == 0)? {
            if left == 0 && gone > 0 {
                // The comma belongs to what was removed.
                self.copied = member.start;
            }
            let start = self.scanner.at;
            let goes = match step {
                Step::Key(wanted) if member.key != Some(wanted) => {
                    self.scanner.skip()?;
                    false
                }
                _ => self.value(rest, member.key.or(key))?,
            };
            if goes {
                self.copy_to(end);
                self.copied = self.scanner.at;
                self.changed = true;
                objects_gone |= text[start] == b'{';
                gone += 1;
            } else {
                numbers &= matches!(text[start], b'-' | b'0'..=b'9');
                left += 1;
            }
            end = self.scanner.at;
        }
        // An item that cannot be without what it lacks goes with its whole list, so that it is noticed; and a vector
        // that lacks a number would be another vector.
        let vector = left > 0 && numbers;
        if object || gone == 0 || !(vector || (self.incomplete && objects_gone)) {
            return Some(false);
        }
        let start = before.0;
        self.out.truncate(before.1);
        (self.copied, self.changed) = (before.2, before.3);
        Some(may_go(&text[start..self.scanner.at], key))
    }
}

/// Whether a value can be spared: it is in a field, and no id is in it.
fn may_go(value: &[u8], key: Option<&[u8]>) -> bool {
    let mut holds_id = false;
    Scanner::new(value).walk(|key, at| {
        let nothing = value[at..].starts_with(b"null") || (value[at] == b'[' && inside(&value[at..]) == Some(b']'));
        holds_id |= !nothing && is_id(&key_text(key));
    });
    key.is_some() && !holds_id
}

/// What comes first in the list that begins here, or its end.
fn inside(list: &[u8]) -> Option<u8> {
    list.iter().skip(1).find(|byte| !byte.is_ascii_whitespace()).copied()
}

pub(crate) fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("_id") || key.ends_with("_ids")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_values() {
        for (value, kind) in [
            ("{}", Kind::Object),
            ("[1]", Kind::List),
            (r#""a""#, Kind::Text),
            (r#""\ud800""#, Kind::MalformedText),
            ("true", Kind::Boolean),
            ("false", Kind::Boolean),
            ("null", Kind::Null),
            ("7", Kind::Integer),
            ("18446744073709551615", Kind::Integer),
            ("-7", Kind::Integer),
            ("7.5", Kind::Float),
            ("NaN", Kind::NotJson),
            ("1e999", Kind::NotJson),
        ] {
            assert_eq!(Kind::of(value.as_bytes()), kind, "{value}");
            assert_eq!(is_malformed(value.as_bytes()), kind == Kind::NotJson, "{value}");
        }
        assert!(!is_malformed(b""));
    }

    #[test]
    fn what_a_value_was_meant_to_be() {
        let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8(value).unwrap());
        for (value, meant) in [
            (r#"" 7 ""#, Some("7")),
            (r#""7.5""#, Some("7.5")),
            (r#""true""#, Some("true")),
            (r#""false""#, Some("false")),
            (r#""seven""#, None),
            (r#""null""#, None),
        ] {
            assert_eq!(text(unquoted(value.as_bytes())).as_deref(), meant, "{value}");
        }
        for (value, meant) in [
            ("7.0", Some("7")),
            ("-7.0", Some("-7")),
            ("7.5", None),
            ("9007199254740991.0", Some("9007199254740991")),
            ("9007199254740992.0", None),
            ("1e300", None),
        ] {
            assert_eq!(text(whole(value.as_bytes())).as_deref(), meant, "{value}");
        }
        assert!(matches!(Rule::Date.change(br#""2026-01-02T03:04:05Z""#), Change::Keep));
        assert!(matches!(Rule::Date.change(br#""2026-01-02""#), Change::Replace(_)));
        assert!(matches!(Rule::Date.change(br#""soon""#), Change::Drop));
    }

    #[test]
    fn what_holds_no_id_may_go() {
        for (value, may) in [
            (r#"{"name":"a"}"#, true),
            (r#"{"a_id":"1"}"#, false),
            (r#"{"a_id":"]"}"#, false),
            (r#"{"a_id":null,"b_ids":[ ]}"#, true),
            (r#"{"b_ids":["1"]}"#, false),
            (r#"{"a":{"id":1}}"#, false),
        ] {
            assert_eq!(may_go(value.as_bytes(), Some(b"field")), may, "{value}");
            assert!(!may_go(value.as_bytes(), None), "an element of a list");
        }
    }
}
