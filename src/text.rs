//! Text from outside, made fit to be read: bounded, printable, on one line.

use std::path::Path;

/// The most characters of a path that are shown.
const MOST_PATH: usize = 1000;
/// What the signature of a presigned URL stands behind, whoever signed it.
const SIGNATURE: &str = "signature=";
/// How much of a body an error keeps, in bytes.
pub(crate) const KEPT: usize = 64 << 10;

/// The byte order mark that some programs begin their texts with.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

pub(crate) fn without_bom(text: &[u8]) -> &[u8] {
    text.strip_prefix(BOM).unwrap_or(text)
}

pub(crate) fn looks_like_html(body: &[u8]) -> bool {
    without_bom(body).iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

pub(crate) fn html_title(text: &str) -> Option<String> {
    let start = find_ignoring_case(text, "<title")?;
    let text = text.get(start..)?;
    let text = text.get(text.find('>')? + 1..)?;
    let title = printable(text.get(..find_ignoring_case(text, "</title")?)?, 200);
    (!title.is_empty()).then_some(title)
}

fn find_ignoring_case(text: &str, ascii: &str) -> Option<usize> {
    text.as_bytes().windows(ascii.len()).position(|window| window.eq_ignore_ascii_case(ascii.as_bytes()))
}

/// The start of a body, for a reader's eyes.
pub(crate) fn excerpt(body: &[u8]) -> String {
    // Four bytes a character at the most: what is cut here was not going to be shown.
    printable(&without_signatures(&String::from_utf8_lossy(head(without_bom(body), 1200))), 300)
}

/// The text without the signatures of the URLs in it.
fn without_signatures(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = find_ignoring_case(rest, SIGNATURE) {
        let (before, after) = rest.split_at(at + SIGNATURE.len());
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || "%+/=_-.~".contains(c))).unwrap_or(after.len());
        out.extend([before, "…"]);
        rest = &after[end..];
    }
    out + rest
}

/// At most the first `most` bytes.
pub(crate) fn head(body: &[u8], most: usize) -> &[u8] {
    &body[..body.len().min(most)]
}

/// `text` on one line, without control or direction characters, of at most `most` characters.
pub(crate) fn printable(text: &str, most: usize) -> String {
    if text.len() <= most && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.into();
    }
    let mut out = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        let space = usize::from(count > 0);
        for c in std::iter::repeat_n(' ', space).chain(word.chars()) {
            if count == most {
                out.push('…');
                return out;
            }
            out.push(visible(c));
            count += 1;
        }
    }
    out
}

fn visible(c: char) -> char {
    let hidden = c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if hidden { '\u{fffd}' } else { c }
}

/// A path as a text. Its spaces stay as they are, since they distinguish it from others.
pub(crate) fn printable_path(path: &Path) -> String {
    let mut name = path.to_string_lossy();
    if name.chars().count() > MOST_PATH {
        // Its end says more than its start.
        let cut = name.chars().count() - MOST_PATH;
        name = format!("…{}", name.chars().skip(cut).collect::<String>()).into();
    }
    name.chars().map(visible).collect()
}

/// A URL without a password, and without its query, which may be a signature.
pub(crate) fn public_url(url: &str) -> String {
    let (url, hidden) = match url.find(['?', '#']) {
        Some(at) => (&url[..at], "?…"),
        None => (url, ""),
    };
    let Some((scheme, rest)) = url.split_once("://") else { return format!("{url}{hidden}") };
    let end = rest.find('/').unwrap_or(rest.len());
    let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}{hidden}", &rest[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_on_one_line_and_without_effects() {
        let path = Path::new("a  b/\u{1b}[31mred\r\n\u{2028}c.mp4");
        assert_eq!(printable_path(path), "a  b/\u{fffd}[31mred\u{fffd}\u{fffd}\u{fffd}c.mp4");
        let long = format!("{}.mp4", "ä".repeat(5000));
        let shown = printable_path(Path::new(&long));
        assert!(shown.starts_with('…') && shown.ends_with("ä.mp4") && shown.chars().count() == MOST_PATH + 1);
    }

    #[test]
    fn an_excerpt_shows_no_signatures() {
        let body = r#"{"é": ["https://h/1?X-Amz-Signature=0aF%2b&a=b", "https://h/2?signature="], "b": "Signature=x"}"#;
        let shown = r#"{"é": ["https://h/1?X-Amz-Signature=…&a=b", "https://h/2?signature=…"], "b": "Signature=…"}"#;
        assert_eq!(excerpt(body.as_bytes()), shown);
    }

    #[test]
    fn urls_are_shown_without_what_is_secret_in_them() {
        for (url, shown) in [
            ("https://h/v1", "https://h/v1"),
            ("https://user:p@ss@h:1/a@b?X-Amz-Signature=s#x", "https://h:1/a@b?…"),
            ("https://u:p@h", "https://h"),
            ("https://h/#s", "https://h/?…"),
            ("?s", "?…"),
            ("", ""),
        ] {
            assert_eq!(public_url(url), shown);
        }
    }
}
