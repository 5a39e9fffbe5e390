//! Text from outside, made fit to be read: bounded, printable, on one line.

pub(crate) fn looks_like_html(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
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

/// Whether an ASCII text is in a body.
pub(crate) fn contains(body: &[u8], ascii: &str) -> bool {
    match std::str::from_utf8(body) {
        Ok(text) => text.contains(ascii),
        Err(_) => body.utf8_chunks().any(|chunk| chunk.valid().contains(ascii)),
    }
}

/// The start of a body, for a reader's eyes.
pub(crate) fn excerpt(body: &[u8]) -> String {
    // Four bytes a character at the most: what is cut here was not going to be shown.
    printable(&String::from_utf8_lossy(&body[..body.len().min(1200)]), 300)
}

/// `text` on one line, without control or direction characters, of at most `most` characters.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        let space = usize::from(count > 0);
        for c in std::iter::repeat_n(' ', space).chain(word.chars()) {
            if count == most {
                out.push('…');
                return out;
            }
            let hidden = c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
            out.push(if hidden { '\u{fffd}' } else { c });
            count += 1;
        }
    }
    out
}
