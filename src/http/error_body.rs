//! Decoding of error responses, in any of the shapes that the platform, the storage and proxies use.

use serde_json::Value;
use time::OffsetDateTime;

use crate::error::{ApiError, ApiErrorKind};
use crate::http::rate_limit;
use crate::response::{HttpResponse, describe};
use crate::text::{printable, without_bom};

/// Converts a response to this operation into an error. `now` is this machine's time.
pub(crate) fn api_error(operation: String, response: HttpResponse<()>, now: OffsetDateTime) -> ApiError {
    let response = response.abridged();
    let said = ErrorBody::read(&response.body);
    let declined = response.status == 503 && rate_limit::has_retry_after(&response.headers, now);
    let retry_after = rate_limit::retry_after(response.status, &response.headers, said.message.as_deref(), now);
    ApiError {
        status: response.status,
        kind: ApiErrorKind::of(response.status),
        message: said.message.map(|message| printable(&message, 2000)).unwrap_or_else(|| describe(&response)),
        host: printable(&response.origin.host, 100),
        code: said.code.map(|code| printable(&code, 100)),
        docs_url: said.docs_url,
        details: said.details,
        trace_id: response.headers.get("x-trace-id").map(|id| printable(id, 200)),
        rate_limit: rate_limit::read(&response.headers, now),
        retry_after,
        retry_at: retry_after.and_then(|wait| now.checked_add(wait.try_into().ok()?)),
        headers: response.headers,
        body: response.body,
        operation,
        hint: None,
        declined,
    }
}

/// The content of an error body, in any of the shapes that the platform and its proxies use.
#[derive(Default)]
pub(crate) struct ErrorBody {
    pub code: Option<String>,
    pub message: Option<String>,
    docs_url: Option<String>,
    details: Option<Value>,
}

impl ErrorBody {
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
        ErrorBody {
            code: text(&["code", "error_code"]),
            message: text(&["message", "error_message", "error", "detail", "title"]),
            docs_url: text(&["docs_url"]),
            details: inner.get("details").filter(|details| !details.is_null()).cloned(),
        }
    }

    /// The response of a storage host: `<Error><Code>…</Code><Message>…</Message>`.
    pub(super) fn read_xml(body: &str) -> Self {
        let text = |tag: &str| {
            let (_, rest) = body.split_once(&format!("<{tag}>"))?;
            let (text, _) = rest.split_once(&format!("</{tag}>"))?;
            (!text.trim().is_empty()).then(|| text.trim().to_string())
        };
        match body.contains("<Error>") {
            true => ErrorBody { code: text("Code"), message: text("Message"), ..Self::default() },
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
        api_error("GET /assets/1".into(), response, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn the_message_of_the_platform_comes_first() {
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
    fn every_shape_of_error_body_has_a_message() {
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
    fn an_exhausted_quota_says_when_to_retry() {
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
            "slow down [too_many_requests, 429] (GET /assets/1); try again in 3 h 10 min, at 1970-01-01T03:09:42Z"
        );
    }
}
