//! Encodes a request: merges what the call sends with what its options add.
//!
//! The same rules apply to headers, query, JSON and form. An option replaces what the call sends under the same name,
//! and the later of two options replaces the earlier one. In a query and in a form, a list repeats its name, and an
//! empty list sends nothing. Only JSON can express `null`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::http::attempt::{HeaderMap, HeaderName, HeaderValue};
use crate::http::body::Part;
use crate::text::printable;

/// The headers that this crate or the HTTP library writes for each request. If one of them occurred twice, two servers
/// could read different requests (RFC 9112, section 6.3) or see different keys.
const OWNED: [(&str, &str); 5] = [
    ("x-api-key", "is the API key of the client; build a client with the other key"),
    ("host", "comes from the `base_url` of the client"),
    ("content-length", "comes from the body"),
    ("transfer-encoding", "comes from the body"),
    ("expect", "depends on the size of the body"),
];

/// Merges headers by their lowercase names, and keeps the last one of each name. A map keeps the time from being
/// quadratic.
pub(super) fn headers<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        let (name, value) = check_own_header(name, value)?;
        insert_header(&mut headers, name, value)?;
    }
    Ok(headers)
}

/// Adds a header, and replaces an earlier one of the same name.
pub(crate) fn insert_header(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<()> {
    headers.try_insert(name, value).map_err(|_| Error::invalid("headers", "are too many"))?;
    Ok(())
}

/// Builds the URL, with the query parameters of the call and of its options.
pub(super) fn url<'a>(
    base_url: &str,
    path: &str,
    own: impl Iterator<Item = &'a (String, String)>,
    options: &[(String, Value)],
) -> String {
    let mut added: Vec<(String, String)> = Vec::new();
    for (name, value) in options {
        added.retain(|(have, _)| !is_same_parameter(have, name));
        query_pairs(name, value, &mut added);
    }
    let is_replaced = |have: &str| options.iter().any(|(name, _)| is_same_parameter(have, name));
    let mut url = String::with_capacity(base_url.len() + path.len());
    url.push_str(base_url);
    url.push_str(path);
    let mut mark = '?';
    let mut push = |(name, value): &(String, String)| {
        url.push(mark);
        percent_encode(name, &mut url);
        url.push('=');
        percent_encode(value, &mut url);
        mark = '&';
    };
    own.filter(|(have, _)| !is_replaced(have)).for_each(&mut push);
    added.iter().for_each(push);
    url
}

/// Merges the fields of a JSON body.
pub(super) fn fields(own: &Map<String, Value>, options: &[(String, Value)]) -> Map<String, Value> {
    let mut fields = own.clone();
    fields.extend(options.iter().cloned());
    fields
}

/// Merges the parts of a form.
pub(super) fn parts(own: &[Part], options: &[(String, Value)]) -> Result<Vec<Part>> {
    let mut parts = own.to_vec();
    for (name, value) in options {
        if has_null(value) {
            return Err(Error::invalid(name, "is null, which a form cannot contain; leave it out"));
        }
        parts.retain(|part| part.name() != name);
        match value {
            Value::Array(items) => parts.extend(items.iter().map(|item| text_part(name, item))),
            value => parts.push(text_part(name, value)),
        }
    }
    Ok(parts)
}

/// Says whether a pair of a query belongs to a parameter: it has the same name, or the name with a condition in
/// brackets.
pub(super) fn is_same_parameter(pair: &str, parameter: &str) -> bool {
    pair.strip_prefix(parameter).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

/// Says whether a value is or contains null, which only JSON can express.
pub(super) fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

pub(super) fn text_part(name: &str, value: &Value) -> Part {
    Part::Text { name: name.into(), value: plain(value) }
}

/// Returns a value as plain text: strings unchanged, null as an empty text, and everything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Adds the query pairs of a value. A list repeats the name, the fields of an object follow it in brackets, and null is
/// left out.
pub(super) fn query_pairs(name: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| query_pairs(name, item, pairs)),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| query_pairs(&format!("{name}[{key}]"), value, pairs));
        }
        value => pairs.push((name.into(), plain(value))),
    }
}

/// The length in bytes of the longest path segment. The library refuses URLs of 64 KiB, and a byte can take three.
const MAX_SEGMENT: usize = 16 * 1024;

/// Refuses a path segment that would lead elsewhere: `delete("../indexes/x")` must not delete an index. Check an id
/// from the platform as soon as it is received: a bad one is a fault of the response, not an invalid argument.
pub(crate) fn check_segment(segment: &str) -> Result<(), String> {
    let shown = || format!("{:?}", printable(segment, 80));
    match segment {
        "" => Err("is empty".into()),
        "." | ".." => Err(format!("must not be {}", shown())),
        _ if has_control(segment) => Err(format!("must not contain control characters: {}", shown())),
        _ if segment.len() > MAX_SEGMENT => Err(format!("must not be longer than {MAX_SEGMENT} bytes: {}", shown())),
        _ => Ok(()),
    }
}

fn has_control(text: &str) -> bool {
    // Almost every id and header is printable ASCII, which is faster to see than to search characters for controls.
    !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.chars().any(char::is_control)
}

/// Refuses a caller's header that would not arrive as a single header, or that this crate writes itself.
pub(crate) fn check_own_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let header = check_header(name, value)?;
    match OWNED.iter().find(|(owned, _)| header.0 == *owned) {
        Some((_, why)) => Err(Error::invalid(printable(name, 80), format!("cannot be set: it {why}"))),
        None => Ok(header),
    }
}

/// Refuses a header that would not arrive as a single header.
pub(crate) fn check_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let invalid = |why: &str| Error::invalid(printable(name, 80), why);
    let field = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| invalid("is not a header name; it may contain letters, digits and hyphens only"))?;
    match HeaderValue::from_str(value) {
        Ok(checked) if !has_control(value) => Ok((field, checked)),
        _ => Err(invalid("must not contain line breaks or control characters")),
    }
}

/// The characters to encode: all except the unreserved ones of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a text, so that it stays one path segment, or one name or value of a query.
pub(super) fn percent_encode(text: &str, out: &mut String) {
    out.extend(utf8_percent_encode(text, RESERVED));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn any_text_is_one_segment_and_decodes_to_itself(text in ".*") {
            let mut out = String::new();
            percent_encode(&text, &mut out);
            prop_assert!(out.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            prop_assert_eq!(percent_encoding::percent_decode_str(&out).decode_utf8().unwrap(), text);
        }
    }

    #[test]
    fn query_values() {
        let mut pairs = Vec::new();
        let value = json!({"gte": 10.0, "lte": 60});
        for (name, value) in
            [("duration", value), ("ids", json!(["a", "b"])), ("none", json!(null)), ("yes", json!(true))]
        {
            query_pairs(name, &value, &mut pairs);
        }
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["duration[gte]=10.0", "duration[lte]=60", "ids=a", "ids=b", "yes=true"]);
    }

    fn options(options: &[(&str, Value)]) -> Vec<(String, Value)> {
        options.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    #[test]
    fn an_option_replaces_what_a_query_has() {
        let own = ["a", "b[gte]", "b[lte]", "bc"].map(|name| (name.to_string(), "1".to_string()));
        for (added, expected) in [
            (vec![], "a=1&b%5Bgte%5D=1&b%5Blte%5D=1&bc=1"),
            (vec![("a", json!(2))], "b%5Bgte%5D=1&b%5Blte%5D=1&bc=1&a=2"),
            (vec![("b", json!({"gte": 2}))], "a=1&bc=1&b%5Bgte%5D=2"),
            (vec![("b[gte]", json!(2))], "a=1&b%5Blte%5D=1&bc=1&b%5Bgte%5D=2"),
            (vec![("b", json!([2, 3])), ("a", json!([])), ("bc", json!(4))], "b=2&b=3&bc=4"),
            (vec![("a", json!(2)), ("a", json!(3))], "b%5Bgte%5D=1&b%5Blte%5D=1&bc=1&a=3"),
        ] {
            assert_eq!(url("http://h", "/p", own.iter(), &options(&added)), format!("http://h/p?{expected}"));
        }
    }

    #[test]
    fn an_option_replaces_what_a_body_has() {
        let own = [text_part("a", &json!(1)), text_part("b", &json!(1)), text_part("a", &json!(2))];
        let added = options(&[("a", json!(["x", {"y": 1}])), ("c", json!([])), ("d", json!(true)), ("d", json!(0))]);
        let form: Vec<String> = parts(&own, &added).unwrap().iter().map(shown).collect();
        assert_eq!(form, ["b=1", "a=x", "a={\"y\":1}", "d=0"]);
        let Value::Object(own) = json!({"a": 1, "b": 1}) else { unreachable!() };
        let json = Value::Object(fields(&own, &options(&[("a", json!(null)), ("c", json!([]))])));
        assert_eq!(json, json!({"a": null, "b": 1, "c": []}));
        for null in [json!(null), json!(["a", null])] {
            let e = parts(&[], &options(&[("a", null)])).unwrap_err();
            assert!(e.to_string().contains("which a form cannot contain"), "{e}");
        }
    }

    fn shown(part: &Part) -> String {
        match part {
            Part::Text { name, value } => format!("{name}={value}"),
            Part::File { name, .. } => name.clone(),
        }
    }

    #[test]
    fn the_last_header_of_a_name_applies() {
        let all = [("X-A", "1"), ("x-b", "2"), ("x-a", "3")];
        let merged = headers(all.into_iter()).unwrap();
        let merged: Vec<_> = merged.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(merged, [("x-a", "3"), ("x-b", "2")]);
    }

    #[test]
    fn headers_cannot_be_injected_or_doubled() {
        assert!(check_own_header("x-a", "b").is_ok());
        for (name, value) in [
            ("x-a", "b\r\nx: y"),
            ("x-a", "\u{7f}"),
            ("x-a", "\u{85}"),
            ("x-a", "\t"),
            ("x a", "b"),
            ("", "b"),
            ("x\n", "b"),
            ("é", "b"),
        ] {
            assert!(check_header(name, value).is_err());
        }
        let many: Vec<String> = (0..40_000).map(|n| format!("x-{n}")).collect();
        assert!(
            headers(many.iter().map(|name| (name.as_str(), ""))).is_err(),
            "too many headers are an error, not a panic"
        );
        for name in ["X-Api-Key", "host", "Content-Length", "transfer-encoding", "Expect"] {
            let e = check_own_header(name, "1").unwrap_err().to_string();
            assert!(e.contains(name) && e.contains("cannot be set: it "), "{e}");
        }
    }
}
