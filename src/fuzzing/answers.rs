//! Fuzz targets for responses: their headers, their JSON, and error responses.

use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Input;
use crate::call::json::decode::from_json;
use crate::error::Error;
use crate::http::error_body::api_error;
use crate::http::rate_limit::parse_date;
use crate::http::redact::scrub;
use crate::http::{Head, scan};
use crate::resources::analyze::AnalyzeResponse;
use crate::resources::assets::{Asset, AssetTranscription};
use crate::resources::embed::EmbeddingTask;
use crate::resources::knowledge_stores::KnowledgeStore;
use crate::resources::search::SearchItem;
use crate::response::{Headers, HttpResponse};

/// Decodes the JSON of a response as the type that the first byte selects. A valid response must be decoded unchanged,
/// and a repaired one must survive being written and read again.
pub fn decode(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    match kind % 8 {
        0 => decode_as::<Asset>(text),
        1 => decode_as::<AssetTranscription>(text),
        2 => decode_as::<EmbeddingTask>(text),
        3 => decode_as::<SearchItem>(text),
        4 => decode_as::<AnalyzeResponse>(text),
        5 => decode_as::<KnowledgeStore>(text),
        6 => decode_as::<Vec<Asset>>(text),
        _ => decode_as::<serde_json::Value>(text),
    }
}

fn decode_as<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(text: &[u8]) {
    let lenient = from_json::<T>(text);
    if let Ok(strict) = serde_json::from_slice::<T>(text) {
        assert_eq!(lenient.as_ref(), Ok(&strict));
    }
    match lenient {
        Ok(value) => {
            let written = serde_json::to_vec(&value).expect("it can be written");
            let read = serde_json::from_slice::<T>(&written);
            assert_eq!(read.ok().as_ref(), Some(&value), "{}", String::from_utf8_lossy(&written));
        }
        Err(why) => assert!(!why.is_empty() && !why.chars().any(char::is_control), "{why:?}"),
    }
}

/// Parses the head of a response as it arrives. A result must not change when more bytes follow.
pub fn head(data: &[u8]) {
    let mut found = Head::Incomplete;
    for length in 0..=data.len().min(300) {
        let now = scan(&data[..length]);
        match found {
            Head::Incomplete => {}
            _ => assert_eq!(now, found, "after {length} bytes"),
        }
        if let Head::Interim { length: end, .. } = now {
            assert!(end <= length);
        }
        found = now;
    }
}

/// Parses an error response with its headers: dates, waits, rate limits, the message, and the redaction of secrets.
///
/// The input is a byte for the status, then header lines, an empty line, and the body.
pub fn refusal(data: &[u8]) {
    let mut input = Input(data);
    let status = [429, 503, 404, 200, 500][usize::from(input.byte()) % 5];
    let text = String::from_utf8_lossy(input.0);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let headers: Headers = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let now = OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);

    for (_, value) in headers.iter() {
        // The RFC 2822 format has no fractions of a second and no years before 1900.
        if let Some(date) = parse_date(value).filter(|date| (1900..9999).contains(&date.year())) {
            let written = date.format(&Rfc2822).expect("it can be written");
            let read = parse_date(&written).expect("it can be read");
            assert_eq!(read.unix_timestamp(), date.unix_timestamp(), "{written}");
        }
    }

    let response = HttpResponse { status, headers, body: body.as_bytes().to_vec(), ..HttpResponse::<()>::default() };
    // A text of the storage's response that serves as the secret in its URL.
    let secret: String = body.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    if secret.len() >= 8 {
        let scrubbed = scrub(response.clone(), &format!("https://storage/a?X-Amz-Signature={secret}&b"));
        assert!(!String::from_utf8_lossy(&scrubbed.body).contains(&secret), "{secret}");
        assert!(scrubbed.headers.iter().all(|(_, value)| !value.contains(&secret)), "{secret}");
    }
    let error = api_error("GET /assets/1".into(), response, now);
    if error.retry_after.is_some_and(|wait| wait.as_secs() < 1 << 32) {
        assert!(error.retry_at.is_some_and(|at| at >= now));
    }
    let shown = Error::Api(error.into());
    for shown in [format!("{shown}"), format!("{shown:#}"), format!("{shown:?}")] {
        assert!(!shown.chars().any(|c| c.is_control()), "{shown:?}");
    }
}
