//! Reads JSON. A response is read strictly first. Only if that fails, malformed values that are not essential are
//! repaired or dropped.
//!
//! To keep programs small, each type compiles only one call of the strict decoder. The repair calls it again with parts
//! of the text.

use std::any::TypeId;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::call::json::fault::{self, Fault};
use crate::call::json::repair::{Cause, Decode, Failure, Mode, Unread, repair};
use crate::call::json::scan::{check_structure, is_space};
use crate::call::json::shape::is_object;
use crate::call::json::watch::Watch;
use crate::error::{Error, Result};
use crate::response::{HttpResponse, describe};
use crate::text::{excerpt, looks_like_html, printable, without_bom};

/// A function that passes texts to the decoder of a type which it does not know.
type Read<'a, E> = dyn Fn(&[u8], &mut Decode) -> Result<(), E> + 'a;

/// Names the request in an error. It is a function, so that the name is built only when it is needed.
type Operation<'a> = &'a dyn Fn() -> String;

/// Decodes a response. `Ok` means that nothing essential is missing.
pub(crate) fn body<T: DeserializeOwned + 'static>(
    operation: Operation,
    response: &HttpResponse<()>,
    watch: &Watch,
) -> Result<T> {
    let nothing = TypeId::of::<T>() == TypeId::of::<()>();
    let text = readable(operation, response, nothing)?;
    if let Some(why) = wrong_shape::<T>(text) {
        return Err(undecodable(&operation(), response, why));
    }
    decode(text, &|text, decode| lenient(text, decode, watch)).map_err(|unread| failed(operation, response, unread))
}

/// Describes a response that is JSON but not the expected object. Without this check, `serde` would read a list as the
/// fields of a struct in their order, and `[]` as a struct with no fields.
fn wrong_shape<T: DeserializeOwned>(text: &[u8]) -> Option<String> {
    let shape = match text.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'[' => "a list",
        b'"' => "a string",
        b'n' => "null",
        b't' | b'f' => "a boolean",
        b'-' | b'0'..=b'9' => "a number",
        _ => return None,
    };
    let is_wrong = is_object::<T>() && serde_json::from_slice::<IgnoredAny>(text).is_ok();
    is_wrong.then(|| format!("the response is {shape} where an object was expected; it begins: {}", excerpt(text)))
}

/// Returns the JSON of a response, or an error if it is plainly something else.
fn readable<'a>(operation: Operation, response: &'a HttpResponse<()>, nothing: bool) -> Result<&'a [u8]> {
    let text = without_bom(&response.body);
    let empty = text.iter().all(u8::is_ascii_whitespace);
    if looks_like_html(text) || (empty && !nothing) {
        return Err(undecodable(&operation(), response, describe(response)));
    }
    Ok(if nothing { b"null" } else { text })
}

fn failed(operation: Operation, response: &HttpResponse<()>, unread: Unread) -> Error {
    match unread {
        Unread::Malformed(why) => {
            undecodable(&operation(), response, format!("{why}; the response begins: {}", excerpt(&response.body)))
        }
        Unread::Stopped(stop) => stop.error(operation()),
    }
}

pub(crate) fn undecodable(operation: &str, response: &HttpResponse<()>, message: String) -> Error {
    Error::Decode { operation: operation.into(), message, response: Box::new(response.abridged()) }
}

/// Decodes one JSON text leniently, or says what is wrong with it. A malformed optional field, or a malformed element
/// of a list in a field, is repaired or dropped with a warning. A malformed required field, id or result is an error,
/// and so is anything that lacks or contains an id.
pub(crate) fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    from_json_watched(text, &Watch::default()).map_err(|unread| match unread {
        Unread::Malformed(why) => why,
        // Without a watch, nothing can stop the decoding.
        Unread::Stopped(_) => "the call was stopped".into(),
    })
}

/// Decodes one JSON text leniently, as [`from_json`] does, until the watch stops it.
pub(crate) fn from_json_watched<T: DeserializeOwned>(text: &[u8], watch: &Watch) -> Result<T, Unread> {
    decode(text, &|text, decode| lenient(text, decode, watch))
}

/// Decodes an already parsed JSON value leniently, as [`from_json`] does.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    from_json(value.to_string().as_bytes())
}

/// Decodes one JSON text without repairs, or says what is wrong with it.
pub(crate) fn strictly_from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    decode(text, &strict)
}

/// Calls `read` with a decoder of the type, and returns the value of the last text that it decoded.
fn decode<T: DeserializeOwned, E: From<String>>(text: &[u8], read: &Read<'_, E>) -> Result<T, E> {
    let mut decoded = None;
    read(without_bom(text), &mut |text| {
        decoded = Some(serde_json::from_slice(text)?);
        Ok(())
    })?;
    decoded.ok_or_else(|| String::from("nothing was decoded").into())
}

impl From<String> for Unread {
    fn from(why: String) -> Self {
        Unread::Malformed(why)
    }
}

fn strict(text: &[u8], decode: &mut Decode) -> Result<(), String> {
    let Err(e) = decode(text) else { return Ok(()) };
    if fault::read(&e) == Fault::Trailing {
        return Err("is not only JSON: more text follows it".into());
    }
    let cause = match check_structure(text) {
        Err(broken) => Cause { path: broken.path, message: fault::message(&e) },
        Ok(()) => match repair(text, Mode::Locate, decode, &Watch::default()) {
            Err(Failure::Fault(cause)) => cause,
            _ => Cause { path: String::new(), message: fault::message(&e) },
        },
    };
    let why = if e.is_data() { "does not fit the type" } else { "is not JSON" };
    Err(format!("{why}: {}", printable(&cause.text(), 300)))
}

fn lenient(text: &[u8], decode: &mut Decode, watch: &Watch) -> Result<(), Unread> {
    let Err(e) = decode(text) else { return Ok(()) };
    let is_utf8 = || std::str::from_utf8(text).is_ok();
    if let Err(broken) = check_structure(text) {
        return Err(
            if is_utf8() { not_json(broken.cut_off, &e) } else { "the response is not valid UTF-8".into() }.into()
        );
    }
    let is_scalar = !matches!(text.iter().find(|byte| !is_space(**byte)), Some(b'{' | b'['));
    if is_scalar && !e.is_data() {
        return Err(not_json(e.is_eof(), &e).into());
    }
    let cause = match repair(text, Mode::Repair, decode, watch) {
        Ok(()) => return Ok(()),
        Err(Failure::Stopped(stop)) => return Err(Unread::Stopped(stop)),
        Err(Failure::Fault(cause)) => cause.text(),
        Err(Failure::TooMuchWork) => "too much of the response is malformed".into(),
    };
    let utf8 = if is_utf8() { "" } else { "the response is not valid UTF-8: " };
    Err(printable(&format!("{utf8}{cause}"), 400).into())
}

fn not_json(cut_off: bool, e: &serde_json::Error) -> String {
    if cut_off {
        "the response is truncated".into()
    } else {
        format!("the response is not JSON: {}", printable(&e.to_string(), 200))
    }
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
    fn values_unknown_to_json_lose_only_their_field() {
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
        // Each element has a different fault.
        let words: Vec<String> = (1..=300).map(|n| format!(r#"{{"start":1,"count":-{n}}}"#)).collect();
        let words =
            from_json::<Transcription>(format!(r#"{{"words":[{}]}}"#, words.join(",")).as_bytes()).unwrap().words;
        assert!(words.len() == 300 && words.iter().all(|word| word.start == Some(1.0) && word.count.is_none()));
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        assert_eq!(word("\u{feff}{\"count\":1}").unwrap().count, Some(1));
        assert_eq!(word("\u{feff}{\"count\":\"1\"}").unwrap().count, Some(1));
        assert_eq!(word("\u{feff}{\"count\"").unwrap_err(), "the response is truncated");
    }

    #[test]
    fn the_last_of_a_repeated_field_counts() {
        assert_eq!(word(r#"{"count":1,"value":"a","count":2}"#).unwrap().count, Some(2));
        assert_eq!(
            word(r#"{"count":1 , "count" :2,"value":"a", "count":"3"}"#).map(|w| (w.count, w.value)),
            Ok((Some(3), Some("a".into())))
        );
    }

    #[test]
    fn a_type_that_refuses_its_decoded_value_affects_only_that_value() {
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
        fn malformed_optional_fields_do_not_affect_the_rest(
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
        fn any_damage_is_handled(
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
    fn a_malformed_element_is_lost_alone_except_in_a_vector() {
        #[derive(Deserialize, Debug, PartialEq)]
        struct Lists {
            asset_ids: Option<Vec<String>>,
            tags: Option<Vec<String>>,
            notes: Option<Vec<Inner>>,
            times: Option<Vec<f32>>,
            owners: Option<Vec<Outer>>,
        }
        let read = |json: &str| from_json::<Lists>(json.as_bytes());
        let lists =
            read(r#"{"asset_ids":["a",5],"tags":["b",{},"c"],"notes":[5,{"message":"m"}],"times":[1.0,"x",2.0]}"#);
        let lists = lists.unwrap();
        assert_eq!([lists.asset_ids.unwrap(), lists.tags.unwrap()], [["a", "5"], ["b", "c"]]);
        assert_eq!(lists.notes.unwrap(), [Inner { message: "m".into() }]);
        assert_eq!(lists.times, None);
        let lists = read(r#"{"notes":[{"message":"m"},{"message":5}],"tags":[{},[]],"times":[null]}"#).unwrap();
        assert_eq!(
            (lists.notes, lists.tags, lists.times),
            (None, None, None),
            "no unreadable list becomes an empty one"
        );
        assert!(read(r#"{"asset_ids":["a",{}]}"#).unwrap_err().starts_with("`asset_ids[1]`: invalid type"));
        let e = read(r#"{"owners":[{"_id":"1"},{"_id":null,"size":1}]}"#).unwrap_err();
        assert!(e.contains("owners[1]._id"), "{e}");
        assert!(read(r#"{"owners":[{"_id":"1"},{"size":1}]}"#).unwrap_err().contains("missing field `_id`"));
        assert_eq!(read(r#"{"owners":[{"_id":"1"},7]}"#).unwrap().owners.unwrap().len(), 1);
        assert!(
            from_json::<Vec<Inner>>(br#"[{"message":"m"},5]"#).is_err(),
            "a response that is itself a list must be complete"
        );
    }

    #[test]
    fn nothing_of_a_result_is_dropped() {
        #[derive(Deserialize, Debug)]
        #[allow(dead_code)]
        struct Results {
            data: Option<Vec<Word>>,
            words: Option<Vec<Word>>,
            #[serde(rename = "float")]
            vector: Option<Vec<f32>>,
            content: Option<Vec<Part>>,
            settings: Option<Settings>,
            thumbnail_urls: Option<Vec<String>>,
            upload_urls: Option<Vec<Part>>,
            uploaded_chunks: Option<Vec<Part>>,
            embedding_uncertainty: Option<Vec<f32>>,
        }
        #[derive(Deserialize, Debug)]
        struct Settings {
            text: Option<u64>,
        }
        #[derive(Deserialize, Debug)]
        struct Part {
            text: Option<String>,
        }
        let read = |json: &str| from_json::<Results>(json.as_bytes());
        for (json, why) in [
            (r#"{"data":[{},null]}"#, "`data[1]`: invalid type: null"),
            (r#"{"data":[1,2]}"#, "`data[0]`: invalid type: integer"),
            (r#"{"words":[{"start":0.5},"?"]}"#, "`words[1]`: invalid type: string"),
            (r#"{"words":5}"#, "`words`: invalid type"),
            (r#"{"words":{"start":5}}"#, "`words`: invalid type"),
            (r#"{"float":[1.0,"x",2.0]}"#, "`float[1]`: invalid type"),
            (r#"{"float":[null,null]}"#, "`float[0]`: invalid type"),
            (r#"{"float":[[0.1,0.2]]}"#, "`float[0]`: invalid type"),
            (r#"{"content":[{"text":"a"},{"text":5}]}"#, "`content[1].text`: invalid type"),
            (r#"{"thumbnail_urls":["a",null]}"#, "`thumbnail_urls[1]`: invalid type"),
            (r#"{"upload_urls":[{},"a"]}"#, "`upload_urls[1]`: invalid type"),
            (r#"{"uploaded_chunks":[5]}"#, "`uploaded_chunks[0]`: invalid type"),
            (r#"{"embedding_uncertainty":[0.5,"NaN"]}"#, "`embedding_uncertainty[1]`: invalid type"),
        ] {
            let e = read(json).unwrap_err();
            assert!(e.starts_with(why), "{json}: {e}");
        }
        let results = read(
            r#"{"data":[{"start":"?","value":"a"}],"words":null,"float":["1.5",2],"content":[{"text":"\ud800"}],"settings":{"text":"?"}}"#,
        );
        let results = results.unwrap();
        assert_eq!(
            results.data.unwrap(),
            [Word { value: Some("a".into()), ..Word::default() }],
            "only the malformed field of a result is dropped"
        );
        let parts: Vec<_> = results.content.unwrap().into_iter().map(|part| part.text.unwrap()).collect();
        assert_eq!((results.vector.unwrap(), parts), (vec![1.5, 2.0], vec!["\u{fffd}".to_string()]));
        assert!(
            results.settings.unwrap().text.is_none(),
            "the settings are no result, so their malformed `text` is dropped"
        );
        assert!(results.words.is_none());
    }

    /// Decodes a response, and returns the result and the number of bytes that the decoder read.
    fn work(text: &str) -> (Result<Response, Unread>, usize) {
        let (mut given, mut response) = (0, None);
        let outcome = lenient(
            text.as_bytes(),
            &mut |text| {
                given += text.len();
                response = Some(serde_json::from_slice::<Response>(text)?);
                Ok(())
            },
            &Watch::default(),
        );
        (outcome.map(|()| response.unwrap()), given)
    }

    #[derive(Deserialize, Debug)]
    struct Response {
        words: Vec<Word>,
        more: Option<serde_json::Map<String, Value>>,
        vectors: Option<Vec<Vector>>,
    }

    #[derive(Deserialize, Debug)]
    struct Vector {
        #[serde(default, deserialize_with = "crate::types::optional_vector")]
        numbers: Option<Vec<f32>>,
    }

    #[test]
    fn the_work_grows_linearly_whatever_is_wrong() {
        type Piece = fn(usize) -> String;
        let fine: Piece = |n| format!(r#"{{"start":{n}.5,"value":"a word that is as it should be"}}"#);
        let none: Piece = |_| String::new();
        // The content of the words, the names and the content of the other fields, and the content of the vectors.
        let responses: [(&str, Piece, Piece, Piece); 9] = [
            ("integers out of range", |n| format!(r#"{{"start":1,"count":-{n}}}"#), none, none),
            ("dates", |n| format!(r#"{{"start":1,"at":"2026-01-{n}"}}"#), none, none),
            ("texts", |n| format!(r#"{{"start":"{n}.5","known":"x{n}"}}"#), none, none),
            ("other types", |n| format!(r#"{{"start":1,"value":[{n}],"known":{{"a":{n}}}}}"#), none, none),
            ("repetitions", |n| format!(r#"{{"start":1,"start":{n},"value":"a","value":"b"}}"#), none, none),
            ("surrogates under different keys", fine, |n| format!(r#""k{n}":"\ud800{n}""#), none),
            ("numbers under different keys", fine, |n| format!(r#""k{n}":{n}e999"#), none),
            ("lists under different keys", fine, |n| format!(r#""k{n}":[[{n}],[{{"a":1e999}}]]"#), none),
            ("vectors out of range", fine, none, |n| format!(r#"{{"numbers":[1e{}]}}"#, 39 + n % 200)),
        ];
        for (what, word, more, vector) in responses {
            for count in [50, 5000] {
                let all = |piece: Piece| {
                    (1..=count).map(piece).filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join(",")
                };
                let text =
                    format!(r#"{{"words":[{}],"more":{{{}}},"vectors":[{}]}}"#, all(word), all(more), all(vector));
                let (response, given) = work(&text);
                let response = response.unwrap_or_else(|e| panic!("{what}: {e:?}"));
                assert!(
                    response.words.len() == count && response.words.iter().all(|word| word.start.is_some()),
                    "{what}"
                );
                let vectors = response.vectors.unwrap();
                assert!(response.more.is_some() && vectors.iter().all(|vector| vector.numbers.is_none()), "{what}");
                assert!(given <= 16 * text.len(), "{what}: {} bytes were read {given} times", text.len());
            }
        }
        // A large response has many faults at its end.
        let words: Vec<_> = (0..100_000).map(fine).collect();
        let faults: Vec<_> = (0..100).map(|n| format!(r#""k{n}":NaN"#)).collect();
        let text = format!(r#"{{"words":[{}],"more":{{{}}}}}"#, words.join(","), faults.join(","));
        let (response, given) = work(&text);
        assert_eq!((response.unwrap().words.len(), given <= 6 * text.len()), (100_000, true), "{given}");
    }

    #[test]
    fn a_very_long_key_above_many_faults_takes_linear_time() {
        for (key, space) in
            [("k".repeat(500_000), ""), (r"\u006b".repeat(80_000), ""), ("é".repeat(99), "\n"), ("k".into(), " ")]
        {
            let faults: Vec<_> = (0..5000).map(|n| format!(r#""k{n}":"\ud800{n}""#)).collect();
            let space = space.repeat(200_000);
            let text = format!(r#"{{"words":[{{"start":"1"}}],"more":{{"{key}"{space}:{{{}}}}}}}"#, faults.join(","));
            let (response, given) = work(&text);
            let more = response.unwrap().more.unwrap();
            let (name, within) = more.iter().next().unwrap();
            assert_eq!(*name, serde_json::from_str::<String>(&format!("\"{key}\"")).unwrap());
            assert!(within["k4999"] == "\u{fffd}4999" && within.as_object().unwrap().len() == 5000);
            assert!(given <= 20 * text.len(), "{}: {given}", text.len());
        }
        // The path of an error shows the beginning of such a key.
        let text = format!(r#"{{"words":[],"more":{{"{}":[{{"video_id":"\ud800"}}]}}}}"#, "k".repeat(5000));
        let Err(Unread::Malformed(why)) = work(&text).0 else { panic!("an id is not dropped") };
        assert!(why.starts_with(&format!("`more.{}[0].video_id`: ", "k".repeat(128))), "{why}");
        // A field with a very long name is recognized as an id as well.
        let text = format!(r#"{{"words":[],"more":{{"{}_id":"\ud800"}}}}"#, "k".repeat(5000));
        assert!(work(&text).0.is_err());
    }

    #[test]
    fn a_response_that_takes_too_much_repair_is_an_error() {
        let faults: Vec<_> = (0..2000).map(|n| format!(r#""k{n}":"\ud800{n}""#)).collect();
        let deep = format!("{{\"{}\":", "k".repeat(100)).repeat(100);
        let text = format!(r#"{{"words":[],"more":{deep}{{{}}}{}}}"#, faults.join(","), "}".repeat(100));
        let (response, given) = work(&text);
        assert!(given <= 65 * text.len() + 4096, "{given}");
        assert!(matches!(response, Err(Unread::Malformed(why)) if why.contains("too much")));
    }

    #[test]
    fn a_repair_ends_at_the_deadline_of_its_call() {
        use crate::call::json::watch::Stop;
        use crate::clock::Clock;
        use crate::http::cancel::CancelHandle;
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU64, Ordering};
        use std::time::{Duration, Instant};

        struct Ticking(Instant, AtomicU64);

        impl Clock for Ticking {
            fn now(&self) -> Instant {
                self.0 + Duration::from_secs(self.1.fetch_add(1, Ordering::SeqCst))
            }
        }

        let words: Vec<String> = (0..500).map(|n| format!(r#"{{"start":1,"count":-{n}}}"#)).collect();
        let text = format!("[{}]", words.join(","));
        let read = |watch: &Watch| from_json_watched::<Vec<Word>>(text.as_bytes(), watch);
        let clock: Arc<dyn Clock> = Arc::new(Ticking(Instant::now(), AtomicU64::new(0)));
        let deadline = |seconds| Watch::new(&clock, Some(Duration::from_secs(seconds)), None);
        assert_eq!(read(&deadline(100)).unwrap_err(), Unread::Stopped(Stop::DeadlinePassed));
        assert!(read(&deadline(1_000_000)).is_ok());
        let cancel = CancelHandle::new();
        let watch = Watch::new(&clock, None, Some(cancel.clone()));
        assert_eq!(read(&watch).map(|words| words.len()), Ok(500));
        cancel.cancel();
        assert_eq!(read(&watch).unwrap_err(), Unread::Stopped(Stop::Canceled));
        assert_eq!(Stop::Canceled.error("GET /x".into()).to_string(), "canceled (GET /x)");
    }

    #[test]
    fn a_response_that_is_not_json_is_described() {
        let read = |text: &str| {
            let response = HttpResponse { body: text.into(), ..HttpResponse::default() };
            body::<serde_json::Value>(&|| "GET /x".into(), &response, &Watch::default()).map_err(|e| e.to_string())
        };
        for (text, why) in
            [("", "an empty body"), (" \n", "an empty body"), ("<html></html>", "an HTML page"), ("{", "truncated")]
        {
            let e = read(text).unwrap_err();
            assert!(e.contains(why), "{e}");
        }
        let nothing = HttpResponse { body: b" ".to_vec(), ..HttpResponse::default() };
        assert!(body::<()>(&|| "DELETE /x".into(), &nothing, &Watch::default()).is_ok());
    }
}
