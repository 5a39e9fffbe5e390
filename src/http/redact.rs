//! Removal of secrets from responses: the API key, and the signature of a presigned URL.

use crate::http::error_body::ErrorBody;
use crate::response::HttpResponse;
use crate::text::looks_like_html;

/// The minimum length of a real key. Shorter keys occur only in tests.
pub(super) const SHORT_KEY: usize = 8;

/// Returns the text without the key. A very short key, as in a test, is removed only where it is a separate word.
pub(super) fn mask(text: &str, key: &str) -> String {
    if key.len() >= SHORT_KEY {
        return text.replace(key, "***");
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(key) {
        let within = before.chars().next_back().or(out.chars().next_back().filter(|_| before.is_empty()));
        let alone = !within.is_some_and(is_word) && !after.chars().next().is_some_and(is_word);
        out.push_str(before);
        out.push_str(if alone { "***" } else { key });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Removes the parts of the presigned URL and its signature that a response of the storage repeats, because they are
/// secrets. The code and the message of a well-formed refusal remain.
pub(crate) fn scrub(mut response: HttpResponse<()>, url: &str) -> HttpResponse<()> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1)).filter(|value| value.len() >= 8);
    let mut secrets: Vec<String> = values.flat_map(|value| [value.to_string(), percent_decode(value)]).collect();
    // The longest is replaced first, so that no match is cut by another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let masked = |text: &str| secrets.iter().fold(text.to_string(), |text, secret| text.replace(secret, "***"));
    response.headers.map_values(&masked);
    let text = String::from_utf8_lossy(&response.body);
    let words = ErrorBody::read_xml(&text);
    response.body = if words.code.is_some() || words.message.is_some() {
        let tag = |name: &str, text: Option<String>| {
            text.map(|text| format!("<{name}>{}</{name}>", masked(&text))).unwrap_or_default()
        };
        format!("<Error>{}{}</Error>", tag("Code", words.code), tag("Message", words.message)).into_bytes()
    } else if looks_like_html(&response.body) && !text.to_ascii_lowercase().contains("<html") {
        // XML of another shape could contain anything.
        Vec::new()
    } else {
        masked(&text).into_bytes()
    };
    response
}

fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_masked() {
        assert_eq!(mask("key=tlk_secret,tlk_secret1", "tlk_secret"), "key=***,***1");
        assert_eq!(mask("k broken k.kk", "k"), "*** broken ***.kk");
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
        // A secret that contains another one leaves nothing behind.
        let nested = "https://s.example/1?X-Amz-Credential=AKIA1234&X-Amz-Security-Token=AKIA1234abcdefgh";
        let body = HttpResponse { body: "AKIA1234abcdefgh".into(), ..HttpResponse::default() };
        assert_eq!(scrub(body, nested).body, b"***");
        let page = "<html><title>502</title>c0ffee11</html>";
        assert_eq!(scrubbed(&[], page).1, "<html><title>502</title>***</html>");
        let location = "https://t.example/1?X-Amz-Signature=c0ffee11";
        let shown = "https://t.example/1?X-Amz-Signature=***";
        assert_eq!(scrubbed(&[("Location", location)], "").0.as_deref(), Some(shown));
        assert_eq!(percent_decode("a%2Fb%zz%+f%2"), "a/b%zz%+f%2");
    }
}
