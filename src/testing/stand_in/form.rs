//! Forms, parsed as they arrive.

use super::body::Body;

/// The maximum number of bytes to keep of one part, and of all parts together.
const MAX_PART: usize = 16 << 20;
const MAX_PARTS: usize = 32 << 20;
/// The maximum length of the headers of a part.
const MAX_HEAD: usize = 16 << 10;

/// A part of a form.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Part {
    /// The name of the field.
    pub name: String,
    /// The file name, if the part is a file.
    pub filename: Option<String>,
    /// The declared content type.
    pub content_type: Option<String>,
    /// The content.
    pub body: Body,
}

impl Part {
    /// Returns the content as text. Empty if it is too large to be kept.
    pub fn text(&self) -> String {
        self.body.text()
    }
}

/// Parses a form block by block.
pub(super) struct FormReader {
    delimiter: Vec<u8>,
    pending: Vec<u8>,
    place: Place,
    parts: Vec<Part>,
    kept: usize,
}

/// The parser's place in the form.
enum Place {
    /// Before the first delimiter or in a skipped part: everything up to the next delimiter is ignored.
    Elsewhere,
    Head,
    Content,
    End,
}

impl FormReader {
    /// Creates a parser for a body of this content type, if it is a form.
    pub(super) fn new(content_type: &str) -> Option<Self> {
        let (kind, boundary) = content_type.split_once("boundary=")?;
        let boundary = boundary.split(';').next().unwrap_or_default().trim().trim_matches('"');
        if boundary.is_empty() || !kind.trim_start().to_ascii_lowercase().starts_with("multipart/") {
            return None;
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter has no line break before it, so one is added.
        Some(FormReader { delimiter, pending: b"\r\n".to_vec(), place: Place::Elsewhere, parts: Vec::new(), kept: 0 })
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while self.step() {}
    }

    /// Returns the parts, without a part that has no end.
    pub(super) fn finish(mut self) -> Vec<Part> {
        if matches!(self.place, Place::Content) {
            self.parts.pop();
        }
        self.parts
    }

    /// Advances to the next place. Returns `false` if more bytes must arrive first.
    fn step(&mut self) -> bool {
        match self.place {
            Place::End => {
                self.pending.clear();
                false
            }
            Place::Head => {
                let end = find(&self.pending, b"\r\n\r\n");
                if self.pending.starts_with(b"--") || (end.is_none() && self.pending.len() > MAX_HEAD) {
                    self.place = Place::End;
                    return true;
                }
                let Some(end) = end else { return false };
                let part = part(&String::from_utf8_lossy(&self.pending[..end]), MAX_PARTS.saturating_sub(self.kept));
                self.place = if part.is_some() { Place::Content } else { Place::Elsewhere };
                self.parts.extend(part);
                self.pending.drain(..end + 4);
                true
            }
            Place::Elsewhere | Place::Content => {
                let end = find(&self.pending, &self.delimiter);
                // A delimiter may begin at the end of the bytes that have arrived.
                let length = end.unwrap_or((self.pending.len() + 1).saturating_sub(self.delimiter.len()));
                if let (Place::Content, Some(part)) = (&self.place, self.parts.last_mut()) {
                    part.body.push(&self.pending[..length]);
                    self.kept += end.map_or(0, |_| part.body.kept());
                }
                self.pending.drain(..length + end.map_or(0, |_| self.delimiter.len()));
                if end.is_some() {
                    self.place = Place::Head;
                }
                end.is_some()
            }
        }
    }
}

fn part(head: &str, most: usize) -> Option<Part> {
    let header = |wanted: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let disposition = header("content-disposition")?;
    Some(Part {
        name: quoted(disposition, " name=\"")?,
        filename: quoted(disposition, " filename=\""),
        content_type: header("content-type").map(Into::into),
        body: Body::new(most.min(MAX_PART)),
    })
}

fn quoted(line: &str, before: &str) -> Option<String> {
    let (_, rest) = line.split_once(before)?;
    rest.split_once('"').map(|(value, _)| value.replace("%22", "\""))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, mut from) = (wanted.first()?, 0);
    loop {
        from += bytes.get(from..)?.iter().position(|byte| byte == first)?;
        if bytes[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name, the file name and the content of each part.
    type Read = Vec<(String, Option<String>, Vec<u8>)>;

    fn read(content_type: &str, body: &[u8], block: usize) -> Option<Read> {
        let mut reader = FormReader::new(content_type)?;
        body.chunks(block).for_each(|block| reader.push(block));
        let content = |part: &Part| part.body.bytes().unwrap_or_default().to_vec();
        Some(reader.finish().iter().map(|part| (part.name.clone(), part.filename.clone(), content(part))).collect())
    }

    #[test]
    fn parts_are_found_however_they_arrive() {
        let body = b"before\r\n--b\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\ndirect\r\n--b\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"a%22.mp4\"\r\nContent-Type: video/mp4\r\n\r\n\
            \r\n--\r\n--a\0\r\n--b\r\nno-disposition: 1\r\n\r\nlost\r\n--b\r\n\
            content-disposition: form-data; name=\"empty\"\r\n\r\n\r\n--b--\r\nafter";
        let expected = vec![
            ("method".into(), None, b"direct".to_vec()),
            ("file".into(), Some("a\".mp4".into()), b"\r\n--\r\n--a\0".to_vec()),
            ("empty".into(), None, Vec::new()),
        ];
        for block in 1..body.len() {
            assert_eq!(read("multipart/form-data; boundary=\"b\"", body, block).as_ref(), Some(&expected), "{block}");
        }
    }

    #[test]
    fn a_body_that_is_not_a_form_has_no_parts() {
        assert!(read("application/json", b"{}", 1).is_none());
        assert!(read("multipart/form-data; boundary=", b"", 1).is_none());
        let open = b"--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nnever ends";
        assert_eq!(read("multipart/form-data; boundary=b", open, 7), Some(vec![]));
        let endless = [b"--b\r\n".as_slice(), &b"x".repeat(1 << 20)].concat();
        assert_eq!(read("multipart/form-data; boundary=b", &endless, 1 << 16), Some(vec![]));
    }

    #[test]
    fn a_large_part_is_counted_and_not_kept() {
        let mut reader = FormReader::new("multipart/form-data; boundary=b").unwrap();
        reader.push(b"--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n");
        (0..17).for_each(|_| reader.push(&[b'x'; 1_000_000]));
        assert!(reader.pending.len() < 2_000_000);
        reader.push(b"\r\n--b--\r\n");
        let part = &reader.finish()[0];
        assert_eq!((part.body.len(), part.body.bytes()), (17_000_000, None));
    }

    proptest::proptest! {
        #[test]
        fn no_form_panics(kind in ".*", body in proptest::collection::vec(0u8..=255, 0..300), block in 1usize..50) {
            for kind in [&kind, "multipart/form-data; boundary=b"] {
                read(kind, &[b"--b\r\n", &body[..]].concat(), block);
            }
        }
    }
}
