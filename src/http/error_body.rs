//! A refusal: what an error answer says, in any of the shapes that the platform, the storage and proxies use.

use serde_json::Value;
use time::OffsetDateTime;

use crate::error::{ApiError, ApiErrorKind, RateLimit};
use crate::http::retry;
use crate::response::{Headers, HttpResponse, describe};
use crate::text::{looks_like_html, printable, without_bom};

impl ApiError {
    pub(crate) fn new(operation: String, response: HttpResponse<()>, now: OffsetDateTime) -> Self {
        let response = response.abridged();
        let words = Words::read(&response.body);
        let retry_after = retry::retry_after(response.status, &response.headers, words.message.as_deref(), now);
        ApiError {
            status: response.status,
            kind: ApiErrorKind::of(response.status),
            message: words.message.map(|message| printable(&message, 2000)).unwrap_or_else(|| describe(&response)),
            host: printable(&response.origin.host, 100),
            code: words.code.map(|code| printable(&code, 100)),
            docs_url: words.docs_url,
            details: words.details,
            trace_id: response.headers.get("x-trace-id").map(|id| printable(id, 200)),
            rate_limit: RateLimit::read(&response.headers, now),
            retry_after,
            retry_at: retry_after.and_then(|wait| now.checked_add(wait.try_into().ok()?)),
            headers: response.headers,
            body: response.body,
            operation,
            hint: None,
        }
    }
}

impl<T> HttpResponse<T> {
    /// What the answer says about rate limits. Successes say it, too.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let answer = client.assets().retrieve("65f…").send_raw()?;
    /// if answer.rate_limit().remaining == Some(0) {
    ///     eprintln!("the next request has to wait until {:?}", answer.rate_limit().reset);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn rate_limit(&self) -> RateLimit {
        let now = retry::server_time(&self.headers).unwrap_or_else(OffsetDateTime::now_utc);
        RateLimit::read(&self.headers, now)
    }
}

impl RateLimit {
    /// Reads the headers of an answer: of several families, the one that is used up.
    pub(crate) fn read(headers: &Headers, now: OffsetDateTime) -> Self {
        RateLimit {
            limit: retry::rate_limit(headers, "limit"),
            remaining: retry::rate_limit(headers, "remaining"),
            used: retry::rate_limit(headers, "used"),
            reset: retry::reset_time(headers, now),
        }
    }
}

/// What an error body says, in any of the shapes the platform and the proxies before it use.
#[derive(Default)]
pub(crate) struct Words {
    pub code: Option<String>,
    pub message: Option<String>,
    docs_url: Option<String>,
    details: Option<Value>,
}

impl Words {
    pub(crate) fn read(body: &[u8]) -> Self {
        let Ok(Value::Object(outer)) = serde_json::from_slice(without_bom(body)) else {
            return Self::read_xml(&String::from_utf8_lossy(body));
        };
        let inner = match outer.get("error") {
            Some(Value::Object(inner)) => inner.clone(),
            _ => outer,
        };
        let text = |names: &[&str]| {
            names.iter().find_map(|name| match inner.get(*name)? {
                Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
        };
        Words {
            code: text(&["code", "error_code"]),
            message: text(&["message", "error_message", "error", "detail", "title"]),
            docs_url: text(&["docs_url"]),
            details: inner.get("details").filter(|details| !details.is_null()).cloned(),
        }
    }
}

/// Takes out of an answer of the storage what it repeats of the URL, whose query is as good as a password, and of its
/// signature. Of a proper refusal, the code and the message stay.
pub(crate) fn scrub(mut response: HttpResponse<()>, url: &str) -> HttpResponse<()> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1)).filter(|value| value.len() >= 8);
    let mut secrets: Vec<String> = values.flat_map(|value| [value.to_string(), percent_decode(value)]).collect();
    // The longest first, so that none is cut by another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let masked = |text: &str| secrets.iter().fold(text.to_string(), |text, secret| text.replace(secret, "***"));
    for value in response.headers.values_mut() {
        *value = masked(value);
    }
    let text = String::from_utf8_lossy(&response.body);
    let words = Words::read_xml(&text);
    response.body = if words.code.is_some() || words.message.is_some() {
        let tag = |name: &str, text: Option<String>| {
            text.map(|text| format!("<{name}>{}</{name}>", masked(&text))).unwrap_or_default()
        };
        format!("<Error>{}{}</Error>", tag("Code", words.code), tag("Message", words.message)).into_bytes()
    } else if looks_like_html(&response.body) && !text.to_ascii_lowercase().contains("<html") {
        // XML of another shape: nobody knows what is in it.
        Vec::new()
    } else {
        masked(&text).into_bytes()
    };
    response
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Words {
    /// The answer of a storage host: `<Error><Code>…</Code><Message>…</Message>`.
    fn read_xml(body: &str) -> Self {
        let text = |tag: &str| {
            let (_, rest) = body.split_once(&format!("<{tag}>"))?;
            let (text, _) = rest.split_once(&format!("</{tag}>"))?;
            (!text.trim().is_empty()).then(|| text.trim().to_string())
        };
        match body.contains("<Error>") {
            true => Words { code: text("Code"), message: text("Message"), ..Self::default() },
            false => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::response::Origin;

    fn error(status: u16, headers: &[(&str, &str)], body: &str) -> ApiError {
        let response = HttpResponse {
            data: (),
            status,
            headers: headers.iter().copied().collect(),
            body: body.as_bytes().to_vec(),
            origin: Origin::default(),
        };
        ApiError::new("GET /assets/1".into(), response, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_platforms_words_come_first() {
        let e = error(
            404,
            &[("X-Trace-Id", "t1")],
            r#"{"code":"resource_not_exist","message":"asset 1 does not exist","docs_url":"https://docs"}"#,
        );
        assert_eq!(e.to_string(), "asset 1 does not exist [resource_not_exist, 404] (GET /assets/1)");
        assert_eq!((e.trace_id.as_deref(), e.docs_url.as_deref()), (Some("t1"), Some("https://docs")));
        assert_eq!(e.kind, ApiErrorKind::NotFound);
    }

    #[test]
    fn every_shape_of_body_gives_a_message() {
        for (body, message, code) in [
            (r#"{"error":{"code":"c","message":"nested","details":{"a":1}}}"#, "nested", Some("c")),
            (r#"{"message":"no details","details":null}"#, "no details", None),
            (r#"{"error_code":"c","message":"search"}"#, "search", Some("c")),
            (r#"{"error":"only text"}"#, "only text", None),
            (r#"{"code":502,"message":"a number"}"#, "a number", Some("502")),
            ("", "the server answered with status 502 and an empty body", None),
            (
                "<html><head><TITLE>502\nBad Gateway</TITLE>",
                "the server answered with status 502 and an HTML page: 502 Bad Gateway",
                None,
            ),
            ("upstream gone", "the server answered with status 502: upstream gone", None),
            ("{}", "the server answered with status 502: {}", None),
            (r#"{"message":"  "}"#, r#"the server answered with status 502: {"message":" "}"#, None),
        ] {
            let e = error(502, &[], body);
            assert_eq!((e.message.as_str(), e.code.as_deref()), (message, code), "{body}");
            assert_eq!(e.details.is_some(), message == "nested", "{body}");
        }
    }

    #[test]
    fn text_from_the_server_is_bounded_and_printable() {
        let e = error(500, &[], &"\u{1b}[31m\u{202e}x\0y ".repeat(10_000));
        assert!(e.to_string().chars().count() < 500);
        assert!(!e.to_string().chars().any(|c| c.is_control() || c == '\u{202e}'));
    }

    #[test]
    fn the_storage_does_not_repeat_its_urls() {
        let url = "https://s.example/1?X-Amz-Signature=c0ffee11&X-Amz-Credential=AKIA1234%2F2026&part=7";
        let scrubbed = |headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().copied().collect();
            let response = HttpResponse { status: 403, headers, body: body.into(), ..HttpResponse::default() };
            let response = scrub(response, url);
            (response.headers.get("location").map(String::from), String::from_utf8(response.body).unwrap())
        };
        let refusal = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>It is c0ffee11.</Message>\
             <AWSAccessKeyId>AKIA</AWSAccessKeyId><StringToSign>AWS4\n2026</StringToSign></Error>";
        let kept = "<Error><Code>SignatureDoesNotMatch</Code><Message>It is ***.</Message></Error>";
        assert_eq!(scrubbed(&[], refusal).1, kept);
        let message = "<Error><Message>It is c0ffee11.</Message><Key>AKIA</Key></Error>";
        assert_eq!(scrubbed(&[], message).1, "<Error><Message>It is ***.</Message></Error>");
        assert_eq!(scrubbed(&[], "<Fehler><StringToSign>x</StringToSign></Fehler>").1, "");
        assert_eq!(scrubbed(&[], "no c0ffee11 or AKIA1234/2026 or AKIA1234%2F2026, 7").1, "no *** or *** or ***, 7");
        let page = "<html><title>502</title>c0ffee11</html>";
        assert_eq!(scrubbed(&[], page).1, "<html><title>502</title>***</html>");
        let location = "https://t.example/1?X-Amz-Signature=c0ffee11";
        let shown = "https://t.example/1?X-Amz-Signature=***";
        assert_eq!(scrubbed(&[("Location", location)], "").0.as_deref(), Some(shown));
        assert_eq!(percent_decode("a%2Fb%zz%2"), "a/b%zz%2");
    }

    #[test]
    fn a_quota_says_when_to_come_back() {
        let e = error(
            429,
            &[("retry-after", "11382"), ("x-ratelimit-limit", "50"), ("x-ratelimit-reset", "11382")],
            r#"{"code":"too_many_requests","message":"slow down"}"#,
        );
        assert_eq!(e.rate_limit.limit, Some(50));
        let e = Error::from(Box::new(e));
        assert!(e.is_quota() && !e.is_retryable());
        assert_eq!(
            e.to_string(),
            "slow down [too_many_requests, 429] (GET /assets/1); try again in 11382 s, at 1970-01-01T03:09:42Z"
        );
    }
}
