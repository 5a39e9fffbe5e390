//! Preparation of foreign text for messages: bounded, printable and on one line.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

/// The maximum number of characters of a path in a message.
const MAX_PATH: usize = 1000;
/// The ends of the names of query parameters that are secret in a presigned URL: `X-Amz-Signature`,
/// `X-Amz-Credential`, `X-Amz-Security-Token`, `X-Goog-Signature`, `Signature` (CloudFront), `sig` (Azure).
const SECRET_PARAMETERS: [&str; 4] = ["signature", "token", "credential", "accesskeyid"];
/// The maximum size of the body that an error keeps, in bytes.
pub(crate) const KEPT: usize = 64 << 10;

/// The byte order mark with which some programs begin their files.
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

/// Returns the start of a body, for a message.
pub(crate) fn excerpt(body: &[u8]) -> String {
    // A character has at most four bytes, so nothing that would be shown is cut off here.
    printable(&without_signatures(&String::from_utf8_lossy(head(without_bom(body), 1200))), 300)
}

/// Returns the text without the signatures of the URLs in it.
pub(crate) fn without_signatures(text: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('=') {
        out.extend([before, "="]);
        rest = after;
        let name = before.rsplit(|c| !is_name(c)).next().unwrap_or_default();
        // In JSON, an ampersand may be written as `\u0026`.
        let name = name.strip_prefix("u0026").unwrap_or(name).to_ascii_lowercase();
        let is_secret = name == "sig" || SECRET_PARAMETERS.iter().any(|end| name.ends_with(end));
        if is_secret {
            let end =
                after.find(|c: char| !(c.is_ascii_alphanumeric() || "%+/=_-.~".contains(c))).unwrap_or(after.len());
            out.push('…');
            rest = &after[end..];
        }
    }
    out + rest
}

/// Returns at most the first `most` bytes.
pub(crate) fn head(body: &[u8], most: usize) -> &[u8] {
    &body[..body.len().min(most)]
}

/// Returns `text` on one line, without control or direction characters, cut to at most `most` characters.
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

/// Returns the character, or U+FFFD if it is invisible and could change or hide text: the Unicode categories Cc, Zl, Zp
/// and Cf (except for the few of Cf that have a glyph), and other invisible characters.
fn visible(c: char) -> char {
    let hidden = c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            // Characters without a glyph: Hangul fillers, and Mongolian and other variation selectors.
            | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
            | '\u{ffa0}');
    if hidden { '\u{fffd}' } else { c }
}

/// Formats a duration for people, rounded to its two largest units: `500 ms`, `1.5 s`, `3 min`, `3 h 10 min`.
pub(crate) fn human(duration: Duration) -> String {
    let millis = duration.as_millis();
    let two = |large: u128, unit: &str, small: u128, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    // The value is rounded up, so that a caller who waits that long is not too early.
    let seconds = millis.div_ceil(1000);
    let minutes = seconds.div_ceil(60);
    match millis {
        0 if !duration.is_zero() => "less than 1 ms".into(),
        0..1000 => format!("{millis} ms"),
        1000..60_000 if millis == seconds * 1000 => format!("{seconds} s"),
        1000..10_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        10_000..60_000 => format!("{seconds} s"),
        _ if seconds < 3600 => two(seconds / 60, "min", seconds % 60, "s"),
        _ if minutes < 48 * 60 => two(minutes / 60, "h", minutes % 60, "min"),
        _ => two(minutes / 1440, "days", minutes % 1440 / 60, "h"),
    }
}

/// Returns the text of a path, or `None` if it is not Unicode. Windows resolves a path to one that begins with `\\?\`;
/// the text is without this prefix, as people and other programs write paths.
pub(crate) fn path_text(path: &Path) -> Option<Cow<'_, str>> {
    path.to_str().map(|text| if cfg!(windows) { without_verbatim_prefix(text) } else { text.into() })
}

fn without_verbatim_prefix(path: &str) -> Cow<'_, str> {
    let Some(rest) = path.strip_prefix(r"\\?\") else { return path.into() };
    match rest.strip_prefix(r"UNC\") {
        Some(share) => format!(r"\\{share}").into(),
        None if rest.as_bytes().get(1) == Some(&b':') => rest.into(),
        // A volume without a drive letter has no other name.
        None => path.into(),
    }
}

/// Formats a path. Spaces are kept, because they distinguish paths.
pub(crate) fn printable_path(path: &Path) -> String {
    let mut name = path_text(path).unwrap_or_else(|| path.to_string_lossy());
    if name.chars().count() > MAX_PATH {
        // The end of a path is more informative than its start.
        let cut = name.chars().count() - MAX_PATH;
        name = format!("…{}", name.chars().skip(cut).collect::<String>()).into();
    }
    name.chars().map(visible).collect()
}

/// Returns a URL without its password and its query, which may be a signature.
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

/// The URLs of a field, shown by `Debug` without their queries, which may be signatures.
pub(crate) struct Masked<'a, T>(pub &'a T);

impl fmt::Debug for Masked<'_, String> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        public_url(self.0).fmt(f)
    }
}

impl<T> fmt::Debug for Masked<'_, Option<T>>
where
    for<'a> Masked<'a, T>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map(Masked).fmt(f)
    }
}

impl<T> fmt::Debug for Masked<'_, Vec<T>>
where
    for<'a> Masked<'a, T>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(Masked)).finish()
    }
}

/// A value that may contain URLs, for `Debug`: without the signatures in its texts.
pub(crate) struct Unsigned<'a, T>(pub &'a T);

impl fmt::Debug for Unsigned<'_, String> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_url =
            self.0.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
        let is_url = is_url && !self.0.contains(char::is_whitespace);
        if is_url { public_url(self.0).fmt(f) } else { without_signatures(self.0).fmt(f) }
    }
}

impl fmt::Debug for Unsigned<'_, Option<String>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map(Unsigned).fmt(f)
    }
}

impl<T> fmt::Debug for Unsigned<'_, Vec<(String, T)>>
where
    for<'a> Unsigned<'a, T>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, value)| (name, Unsigned(value)))).finish()
    }
}

impl fmt::Debug for Unsigned<'_, Value> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) => f.debug_tuple("String").field(&Unsigned(text)).finish(),
            Value::Array(items) => {
                f.write_str("Array ")?;
                f.debug_list().entries(items.iter().map(Unsigned)).finish()
            }
            Value::Object(fields) => {
                f.write_str("Object ")?;
                Unsigned(fields).fmt(f)
            }
            value => value.fmt(f),
        }
    }
}

impl fmt::Debug for Unsigned<'_, Map<String, Value>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, Unsigned(value)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_without_the_prefix_of_a_resolved_one() {
        for (resolved, written) in [
            (r"\\?\C:\clips\a.mp4", r"C:\clips\a.mp4"),
            (r"\\?\UNC\nas\clips\a.mp4", r"\\nas\clips\a.mp4"),
            (r"\\?\Volume{4c1b}\a.mp4", r"\\?\Volume{4c1b}\a.mp4"),
            (r"C:\clips\a.mp4", r"C:\clips\a.mp4"),
            ("/clips/a.mp4", "/clips/a.mp4"),
        ] {
            assert_eq!(without_verbatim_prefix(resolved), written);
            let printed = if cfg!(windows) { written } else { resolved };
            assert_eq!(printable_path(Path::new(resolved)), printed);
        }
    }

    #[test]
    fn invisible_characters_are_made_visible() {
        for c in [
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{180e}',
            '\u{200b}',
            '\u{200d}',
            '\u{2028}',
            '\u{202e}',
            '\u{2064}',
            '\u{2066}',
            '\u{206f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{13430}',
            '\u{1bca3}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
            '\u{115f}',
            '\u{3164}',
            '\u{ffa0}',
        ] {
            let text = format!("a{c}b");
            let shown = printable(&text, 10);
            assert!(!shown.contains(c), "U+{:X}: {shown:?}", c as u32);
            assert!(!printable_path(Path::new(&text)).contains(c), "U+{:X}", c as u32);
        }
        let kept = "Zo\u{eb} \u{645}\u{6dd} \u{1f3ac}\u{fe0f} \u{d55c}\u{ae00}";
        assert_eq!(printable(kept, 50), kept);
    }

    #[test]
    fn paths_are_shown_on_one_line_without_control_characters() {
        let path = Path::new("a  b/\u{1b}[31mred\r\n\u{2028}c.mp4");
        assert_eq!(printable_path(path), "a  b/\u{fffd}[31mred\u{fffd}\u{fffd}\u{fffd}c.mp4");
        let long = format!("{}.mp4", "ä".repeat(5000));
        let shown = printable_path(Path::new(&long));
        assert!(shown.starts_with('…') && shown.ends_with("ä.mp4") && shown.chars().count() == MAX_PATH + 1);
    }

    #[test]
    fn durations_are_formatted_in_fitting_units() {
        for (millis, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (1500, "1.5 s"),
            (2050, "2.0 s"),
            (10_001, "11 s"),
            (59_001, "60 s"),
            (60_000, "1 min"),
            (90_000, "1 min 30 s"),
            (3_600_000, "1 h"),
            (11_382_000, "3 h 10 min"),
            (86_400_000, "24 h"),
            (200_000_000, "2 days 7 h"),
        ] {
            assert_eq!(human(Duration::from_millis(millis)), text, "{millis} ms");
        }
        assert_eq!(human(Duration::from_nanos(1)), "less than 1 ms");
        assert!(human(Duration::MAX).ends_with(" days 7 h"), "{}", human(Duration::MAX));
    }

    #[test]
    fn an_excerpt_shows_no_signatures() {
        let body = r#"{"é": ["https://h/1?X-Amz-Signature=0aF%2b&a=b", "https://h/2?signature="], "b": "Signature=x"}"#;
        let shown = r#"{"é": ["https://h/1?X-Amz-Signature=…&a=b", "https://h/2?signature=…"], "b": "Signature=…"}"#;
        assert_eq!(excerpt(body.as_bytes()), shown);
        for (text, shown) in [
            ("https://h/c?sv=2024&sig=aB%2F%3D&se=1", "https://h/c?sv=2024&sig=…&se=1"),
            (r"https:\/\/h\/c?sv=1\u0026sig=aB", r"https:\/\/h\/c?sv=1\u0026sig=…"),
            ("?X-Amz-Security-Token=Fwo%2B&X-Amz-Credential=AK%2F1&b", "?X-Amz-Security-Token=…&X-Amz-Credential=…&b"),
            ("?GoogleAccessId=a&X-Goog-Signature=b", "?GoogleAccessId=a&X-Goog-Signature=…"),
            ("?AWSAccessKeyId=A&Signature=b&Expires=1", "?AWSAccessKeyId=…&Signature=…&Expires=1"),
            ("design=good, é=1, =", "design=good, é=1, ="),
        ] {
            assert_eq!(without_signatures(text), shown);
        }
    }

    #[test]
    fn urls_are_shown_without_their_secrets() {
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
