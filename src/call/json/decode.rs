//! Reading JSON: strictly first, and only if that fails without what is malformed and can be spared.
//!
//! What is compiled for each type is one call of the strict decoder. Its error says where it stopped; from there on the
//! text is repaired, and read again.

use std::any::TypeId;
use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::json::repair::{is_malformed, missing_field, repaired};
use crate::call::json::scan::{NotJson, Place, is_in_word, is_space, locate, way};
use crate::error::{Error, Result};
use crate::response::{HttpResponse, describe};
use crate::text::{excerpt, looks_like_html, printable, without_bom};

/// How much may be read to repair one answer, in bytes, and how often a large one is read at least.
const MOST_READ: usize = 1 << 30;
const MOST_TIMES: usize = 64;

/// Decodes one JSON text of a type that is not named.
type Decode<'a> = dyn FnMut(&[u8]) -> Result<(), serde_json::Error> + 'a;

/// How the request is called in an error.
type Operation<'a> = &'a dyn Fn() -> String;

/// Decodes an answer. `Ok` means complete.
pub(crate) fn body<T: DeserializeOwned + 'static>(operation: Operation, response: &HttpResponse<()>) -> Result<T> {
    let nothing = TypeId::of::<T>() == TypeId::of::<()>();
    let text = readable(operation, response, nothing)?;
    from_json(text).map_err(|why| malformed(operation, response, &why))
}

/// The JSON of an answer, if it is not plainly something else.
fn readable<'a>(operation: Operation, response: &'a HttpResponse<()>, nothing: bool) -> Result<&'a [u8]> {
    let text = without_bom(&response.body);
    let empty = text.iter().all(u8::is_ascii_whitespace);
    if looks_like_html(text) || (empty && !nothing) {
        return Err(undecodable(&operation(), response, describe(response)));
    }
    Ok(if nothing { b"null" } else { text })
}

fn malformed(operation: Operation, response: &HttpResponse<()>, why: &str) -> Error {
    undecodable(&operation(), response, format!("{why}; the answer begins: {}", excerpt(&response.body)))
}

pub(crate) fn undecodable(operation: &str, response: &HttpResponse<()>, message: String) -> Error {
    Error::Decode { operation: operation.into(), message, response: Box::new(response.abridged()) }
}

/// Decodes one JSON text leniently, or says what is wrong with it: a malformed optional field, or element of a list in
/// a field, is repaired or dropped with a warning; a required one, an id, or anything that lacks or holds an id is an
/// error.
pub(crate) fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    decode(text, lenient)
}

/// As [`from_json`], of a text that was read already.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    from_json(value.to_string().as_bytes())
}

/// Decodes one JSON text as it is, or says what is wrong with it.
pub(crate) fn strictly_from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    decode(text, strict)
}

fn decode<T: DeserializeOwned>(text: &[u8], read: fn(&[u8], &mut Decode) -> Result<(), String>) -> Result<T, String> {
    let mut decoded = None;
    read(without_bom(text), &mut |text| {
        decoded = Some(serde_json::from_slice(text)?);
        Ok(())
    })?;
    decoded.ok_or_else(|| "nothing was decoded".into())
}

fn strict(text: &[u8], decode: &mut Decode) -> Result<(), String> {
    let Err(e) = decode(text) else { return Ok(()) };
    let message = message(&e);
    if message == "trailing characters" {
        return Err("is not JSON alone: there is something after it".into());
    }
    let way = match culprit(text, &e, &message, decode) {
        Ok(place) => way(&place.path),
        Err(e) => e.way,
    };
    let why = if e.is_data() { "does not fit" } else { "is not JSON" };
    Err(format!("{why}: {}", printable(&at(&way, &message), 300)))
}

fn lenient(text: &[u8], decode: &mut Decode) -> Result<(), String> {
    let mut text = Cow::Borrowed(text);
    let mut times = (MOST_READ / text.len().max(1)).max(MOST_TIMES);
    let mut causes: Vec<(String, String)> = Vec::new();
    loop {
        let Err(e) = decode(&text) else { return Ok(()) };
        let message = message(&e);
        let place = match culprit(&text, &e, &message, decode) {
            Ok(place) => place,
            Err(_) if std::str::from_utf8(&text).is_err() => return Err("the answer is not valid UTF-8".into()),
            Err(NotJson { cut_off, .. }) => return Err(not_json(cut_off, &e)),
        };
        let way = way(&place.path);
        // What lacks a field may have lost it to a repair: then that was what was wrong.
        let lost = missing_field(&message).map(|name| format!("{way}.{name}"));
        let is_in = |way: &str, lost: &str| {
            way.strip_prefix(lost.trim_start_matches('.'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let earlier = lost.and_then(|lost| causes.iter().find(|(way, _)| is_in(way, &lost)));
        let cause = earlier.map_or_else(|| at(&way, &message), |(_, cause)| cause.clone());
        times -= 1;
        if place.path.is_empty() && !e.is_data() {
            return Err(not_json(e.is_eof(), &e));
        }
        let Some(new) = (times > 0).then(|| repaired(&text, &place, &message)).flatten() else {
            let utf8 = if std::str::from_utf8(&text).is_ok() { "" } else { "the answer is not valid UTF-8: " };
            return Err(printable(&format!("{utf8}{cause}"), 400));
        };
        log::warn!("a malformed field of an answer was repaired or left out: {}", printable(&cause, 200));
        if causes.len() < MOST_TIMES {
            causes.push((way, cause));
        }
        text = Cow::Owned(new);
    }
}

fn not_json(cut_off: bool, e: &serde_json::Error) -> String {
    if cut_off {
        "the answer is truncated".into()
    } else {
        format!("the answer is not JSON: {}", printable(&e.to_string(), 200))
    }
}

fn at(way: &str, message: &str) -> String {
    if way.is_empty() { message.into() } else { format!("`{way}`: {message}") }
}

/// What a decoder says, without the position.
fn message(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let position = text.rfind(" at line ").unwrap_or(text.len());
    text[..position].into()
}

/// The value that an error is about. An error that a type raises after its value was read is noticed later: behind the
/// comma that follows, or at the end of what the value is in. If the text up to the value's end gives the same
/// error, it is that value's.
fn culprit<'a>(
    text: &'a [u8],
    e: &serde_json::Error,
    message: &str,
    decode: &mut Decode,
) -> Result<Place<'a>, NotJson> {
    let mut offset = offset(text, e.line(), e.column());
    loop {
        let before = trimmed(text, offset);
        let end = match text[..before].last() {
            Some(b',' | b'}' | b']') => trimmed(text, before - 1),
            _ => break,
        };
        let same = decode(&text[..end]).is_err_and(|e| self::message(&e) == message);
        if !same && (e.is_data() || !is_malformed(last_word(&text[..end]))) {
            break;
        }
        offset = end;
    }
    let container = matches!(text.get(offset), Some(b'{' | b'['));
    locate(text, if container { offset } else { trimmed(text, offset) })
}

fn last_word(text: &[u8]) -> &[u8] {
    let start = text.iter().rposition(|byte| !is_in_word(*byte)).map_or(0, |before| before + 1);
    &text[start..]
}

/// The end of what is before `end`, without the space between.
fn trimmed(text: &[u8], end: usize) -> usize {
    end - text[..end].iter().rev().take_while(|byte| is_space(**byte)).count()
}

/// The offset of a position, whose lines count from 1 and whose columns are the bytes read of a line.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let mut ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let start = line.checked_sub(2).map_or(Some(0), |ends_before| ends.nth(ends_before));
    start.unwrap_or(text.len()).saturating_add(column).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug, PartialEq)]
    struct Inner {
        message: String,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Outer {
        #[serde(rename = "_id")]
        id: String,
        size: Option<u64>,
        error: Option<Inner>,
        owner: Option<Box<Outer>>,
    }

    fn read(json: &str) -> Result<Outer, String> {
        from_json(json.as_bytes())
    }

    #[test]
    fn a_malformed_optional_field_does_not_lose_the_rest() {
        let outer = read(r#"{"_id":"1","size":"big","error":{"message":5}}"#).unwrap();
        assert_eq!(outer, Outer { id: "1".into(), size: None, error: None, owner: None });
        assert_eq!(read(r#"{"_id":"1","size":3.0}"#).unwrap().size, Some(3));
        assert_eq!(read(r#"{"_id":7,"size":-1}"#).unwrap().id, "7");
    }

    #[test]
    fn ids_are_never_hidden() {
        for bad in [r#"{"size":1}"#, r#"{"_id":null}"#, r#"{"_id":{}}"#, "{}", "[]", "5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(r#"{"_id":"1","owner":[{"_id":"2"}]}"#).unwrap_err().contains("owner"));
        assert!(read(r#"{"_id":"1""#).unwrap_err().contains("truncated"));
        assert!(read("no").unwrap_err().contains("not JSON"));
        assert!(from_json::<Outer>(b"{\"_id\":\"\xff\"}").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn a_whole_list_may_have_floats_for_integers_and_numbers_for_ids() {
        #[derive(Deserialize, Debug, PartialEq)]
        struct Page {
            owners: Vec<Outer>,
            asset_ids: Vec<String>,
        }
        let owners: Vec<serde_json::Value> =
            (0..500).map(|n| serde_json::json!({"_id": n, "size": f64::from(n)})).collect();
        let page = serde_json::json!({"owners": owners, "asset_ids": (0..500).collect::<Vec<_>>()});
        let page: Page = from_json(page.to_string().as_bytes()).unwrap();
        assert_eq!((page.owners.len(), page.asset_ids.len()), (500, 500));
        assert_eq!(page.owners[499], Outer { id: "499".into(), size: Some(499), error: None, owner: None });
        assert_eq!(page.asset_ids[499], "499");
    }

    #[derive(Deserialize, Debug, PartialEq, Default)]
    #[serde(default)]
    struct Word {
        start: Option<f64>,
        count: Option<u64>,
        known: Option<bool>,
        value: Option<String>,
        #[serde(with = "time::serde::rfc3339::option")]
        at: Option<time::OffsetDateTime>,
        video_id: Option<String>,
        more: Option<serde_json::Map<String, serde_json::Value>>,
    }

    fn word(json: &str) -> Result<Word, String> {
        from_json(json.as_bytes())
    }

    #[test]
    fn numbers_and_booleans_may_be_texts() {
        let read = word(r#"{"start":"0.5","count":"7","known":"true","value":"8"}"#).unwrap();
        assert_eq!(
            (read.start, read.count, read.known, read.value.as_deref()),
            (Some(0.5), Some(7), Some(true), Some("8"))
        );
        assert_eq!(
            word(r#"{"start":" -1e3 ","count":"3.0"}"#).map(|w| (w.start, w.count)),
            Ok((Some(-1000.0), Some(3)))
        );
        assert_eq!(word(r#"{"start":"NaN","count":"-7","known":"no"}"#).unwrap(), Word::default());
    }

    #[test]
    fn dates_without_a_zone_are_in_utc() {
        for (text, read) in [
            ("2026-01-02T03:04:05", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.123456", "2026-01-02T03:04:05.123456Z"),
            ("2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
            ("2026-01-02 03:04", "2026-01-02T03:04:00Z"),
            ("2026-01-02", "2026-01-02T00:00:00Z"),
            ("2026-01-02T03:04:05+0900", "2026-01-01T18:04:05Z"),
            ("2026-01-02 03:04:05-01:00", "2026-01-02T04:04:05Z"),
        ] {
            let rfc3339 = time::format_description::well_known::Rfc3339;
            let expected = time::OffsetDateTime::parse(read, &rfc3339).unwrap();
            let found = word(&format!(r#"{{"at":"{text}"}}"#)).unwrap().at;
            assert_eq!(found.map(|at| at.to_offset(time::UtcOffset::UTC)), Some(expected), "{text}");
        }
        for text in ["yesterday", "", "2026-13-01", "20260102", "é", "€"] {
            assert_eq!(
                word(&format!(r#"{{"at":"{text}","count":1}}"#)).map(|w| (w.at, w.count)),
                Ok((None, Some(1))),
                "{text}"
            );
        }
    }

    #[test]
    fn what_json_does_not_have_costs_its_field_alone() {
        let digits = "9".repeat(400);
        for number in ["1e999", "-1e999", &digits, "NaN", "Infinity", "-Infinity", "01", "1.", "+1", "undefined", "nil"]
        {
            for field in ["start", "count", "known", "value", "unknown", "at"] {
                let read =
                    word(&format!(r#"{{"video_id":"v", "{field}" : {number} , "more":{{"a":{number},"b":1}} }}"#));
                let read = read.unwrap_or_else(|e| panic!("{field}: {number}: {e}"));
                let more = read.more.as_ref().unwrap();
                assert_eq!((read.video_id.as_deref(), more.get("a"), more["b"].as_i64()), (Some("v"), None, Some(1)));
                assert_eq!(Word { video_id: None, more: None, ..read }, Word::default(), "{field}: {number}");
            }
        }
        for (text, read) in [
            (r"a\ud83d", "a\u{fffd}"),
            (r"\ude00b", "\u{fffd}b"),
            (r"\ud83d\ude00\ud83d\u0041", "😀\u{fffd}A"),
            (r"\ud83dx\n\/\\\u00e9", "\u{fffd}x\n/\\é"),
            (r"\x41\u00g", "\u{fffd}41\u{fffd}00g"),
            (r"\ud83d\r\t\b\f", "\u{fffd}\r\t\u{8}\u{c}"),
            ("tab\there", "tab\there"),
        ] {
            let json = format!(r#"{{"video_id":"v","value":"{text}","more":{{"b":"{text}"}},"unknown":"{text}"}}"#);
            let word = word(&json).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((word.value.as_deref(), word.more.unwrap()["b"].as_str()), (Some(read), Some(read)), "{text}");
        }
        let latin = from_json::<Word>(b"{\"value\":\"caf\xe9\",\"video_id\":\"v\"}").unwrap();
        assert_eq!((latin.value.as_deref(), latin.video_id.as_deref()), (Some("caf\u{fffd}"), Some("v")));
        assert!(word(r#"{"video_id":"\ud800"}"#).unwrap_err().contains("`video_id`: "));
        assert!(word(r#"{"video_id":["v"]}"#).unwrap_err().contains("`video_id`: invalid type"));
        assert_eq!(word(&format!(r#"{{"video_id":{digits}}}"#)).unwrap().video_id, Some(digits));
    }

    #[test]
    fn any_number_of_fields_may_be_malformed() {
        #[derive(Deserialize)]
        struct Transcription {
            words: Vec<Word>,
        }
        let words: Vec<String> = (0..5000)
            .map(|n| match n % 5 {
                0 => format!(r#"{{"start":"{n}.5","value":"w"}}"#),
                1 => format!(r#"{{"start":{n}.5,"value":"w","count":{n}.0,"at":"2026-01-02T03:04:05"}}"#),
                2 => format!(r#"{{"start":{n}.5,"value":"w","count":{n}.5,"at":"never"}}"#),
                3 => format!(r#"{{"start":{n}.5,"value":"w","known":[{n}],"at":"2026-01-02T03:04:05Z"}}"#),
                _ => format!(r#"{{"start":{n}.5,"value":"w","known":{{}},"count":1e999}}"#),
            })
            .collect();
        let json = format!(r#"{{"words":[{}]}}"#, words.join(","));
        let words = from_json::<Transcription>(json.as_bytes()).unwrap().words;
        assert_eq!(words.len(), 5000);
        for (n, word) in words.iter().enumerate() {
            let dated = matches!(n % 5, 1 | 3);
            assert_eq!((word.start, word.at.is_some()), (Some(n as f64 + 0.5), dated), "{n}");
            assert_eq!((word.count, word.known), ((n % 5 == 1).then_some(n as u64), None), "{n}");
        }
        // Each is another fault.
        let words: Vec<String> = (1..=300).map(|n| format!(r#"{{"start":1,"count":-{n}}}"#)).collect();
        let words =
            from_json::<Transcription>(format!(r#"{{"words":[{}]}}"#, words.join(",")).as_bytes()).unwrap().words;
        assert!(words.len() == 300 && words.iter().all(|word| word.start == Some(1.0) && word.count.is_none()));
    }

    #[test]
    fn a_byte_order_mark_is_no_matter() {
        assert_eq!(word("\u{feff}{\"count\":1}").unwrap().count, Some(1));
        assert_eq!(word("\u{feff}{\"count\":\"1\"}").unwrap().count, Some(1));
        assert_eq!(word("\u{feff}{\"count\"").unwrap_err(), "the answer is truncated");
    }

    #[test]
    fn of_a_field_that_came_twice_the_last_counts() {
        assert_eq!(word(r#"{"count":1,"value":"a","count":2}"#).unwrap().count, Some(2));
        assert_eq!(
            word(r#"{"count":1 , "count" :2,"value":"a", "count":"3"}"#).map(|w| (w.count, w.value)),
            Ok((Some(3), Some("a".into())))
        );
    }

    #[test]
    fn a_type_that_refuses_its_value_afterwards_costs_nobody_else_his() {
        #[derive(Deserialize, Debug, PartialEq)]
        #[serde(try_from = "String")]
        struct Even(usize);

        impl TryFrom<String> for Even {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                if text.len().is_multiple_of(2) { Ok(Even(text.len())) } else { Err(format!("{} is odd", text.len())) }
            }
        }

        #[derive(Deserialize, Debug, PartialEq)]
        struct Lists {
            first: Option<Even>,
            list: Option<Vec<Even>>,
            map: Option<std::collections::BTreeMap<String, Even>>,
            last: Option<Even>,
        }
        let read = |json: &str| from_json::<Lists>(json.as_bytes()).unwrap();
        let lists =
            read(r#"{"first":"a" , "list":["aa", "a","aaaa" ,"bb"], "map":{"x":"aa","y":"b","z":"cc"}, "last":"aaa"}"#);
        assert_eq!((lists.first, lists.last), (None, None));
        assert_eq!(lists.list.unwrap(), [Even(2), Even(4), Even(2)]);
        assert_eq!(lists.map.unwrap().keys().collect::<Vec<_>>(), ["x", "z"]);
        let lists = read(r#"{"list":["aa","b"],"map":{"x":"a","y":"bb"},"last":"aa"}"#);
        assert_eq!((lists.list, lists.last), (Some(vec![Even(2)]), Some(Even(2))));
        assert_eq!(lists.map.unwrap().keys().collect::<Vec<_>>(), ["y"]);
    }

    proptest! {
        #[test]
        fn whatever_stands_in_optional_fields_the_rest_is_read(
            junk in proptest::collection::vec(prop_oneof![
                Just("1e999"), Just("-1"), Just("\"x\""), Just("[1,[\"2\"]]"), Just("{\"a\":{}}"), Just("null"), Just("true"),
                Just("\"\\ud800\""), Just("NaN"), Just("\"2026-01-02\""), Just("0.5"), Just("[]"), Just("\"\""), Just("5"),
            ], 6),
            space in "[ \n]{0,2}",
        ) {
            let field = |n: usize, name: &str| format!("{space}\"{name}\"{space}:{space}{}{space}", junk[n]);
            let fields = ["start", "count", "known", "value", "at", "more"].iter().enumerate().map(|(n, name)| field(n, name));
            let json = format!("{{{},\"video_id\":\"v\"{space}}}", fields.collect::<Vec<_>>().join(","));
            prop_assert_eq!(word(&json).map(|word| word.video_id), Ok(Some("v".into())), "{}", json);
        }

        #[test]
        fn no_damage_is_too_strange(
            cut in 0usize..90, length in 0usize..20, junk in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            let json = br#"{"start":0.5,"more":{"a":["b",{"video_id":"x"}]},"at":"2026-01-02","video_id":"v\u00e9"}"#;
            let cut = cut.min(json.len());
            let rest = &json[(cut + length).min(json.len())..];
            drop(from_json::<Word>(&[&json[..cut], &junk, rest].concat()));
            drop(from_json::<serde_json::Value>(&[&json[..cut], &junk, rest].concat()));
        }
    }

    #[test]
    fn one_malformed_element_costs_only_itself_except_in_a_vector() {
        #[derive(Deserialize, Debug, PartialEq)]
        struct Lists {
            asset_ids: Option<Vec<String>>,
            errors: Option<Vec<Inner>>,
            float: Option<Vec<f32>>,
            owners: Option<Vec<Outer>>,
        }
        let read = |json: &str| from_json::<Lists>(json.as_bytes());
        let lists = read(r#"{"asset_ids":[{},"a",5],"errors":[5,{"message":"m"}],"float":[1.0,"x",2.0]}"#).unwrap();
        assert_eq!(lists.asset_ids.unwrap(), ["a", "5"]);
        assert_eq!(lists.errors.unwrap(), [Inner { message: "m".into() }]);
        assert_eq!(lists.float, None);
        let lists = read(r#"{"asset_ids":["a"],"errors":[{"message":"m"},{"message":5}]}"#).unwrap();
        assert_eq!((lists.asset_ids.unwrap().len(), lists.errors), (1, None), "an item is not lost silently");
        let e = read(r#"{"owners":[{"_id":"1"},{"_id":null,"size":1}]}"#).unwrap_err();
        assert!(e.contains("owners[1]._id"), "{e}");
        assert!(read(r#"{"owners":[{"_id":"1"},{"size":1}]}"#).unwrap_err().contains("missing field `_id`"));
        assert_eq!(read(r#"{"owners":[{"_id":"1"},7]}"#).unwrap().owners.unwrap().len(), 1);
        assert!(from_json::<Vec<Inner>>(br#"[{"message":"m"},5]"#).is_err(), "an answer that is a list is whole");
    }

    #[test]
    fn an_answer_that_is_plainly_no_json_is_described() {
        let read = |text: &str| {
            let response = HttpResponse { body: text.into(), ..HttpResponse::default() };
            body::<serde_json::Value>(&|| "GET /x".into(), &response).map_err(|e| e.to_string())
        };
        for (text, why) in
            [("", "an empty body"), (" \n", "status 0"), ("<html></html>", "an HTML page"), ("{", "truncated")]
        {
            let e = read(text).unwrap_err();
            assert!(e.contains(why), "{e}");
        }
        let nothing = HttpResponse { body: b" ".to_vec(), ..HttpResponse::default() };
        assert!(body::<()>(&|| "DELETE /x".into(), &nothing).is_ok());
        assert_eq!((last_word(b"[1, NaN"), last_word(b"NaN"), last_word(b"1,")), (&b"NaN"[..], &b"NaN"[..], &b""[..]));
    }
}
