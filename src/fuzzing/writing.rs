//! The fuzz target for request bodies.

use std::io::Read;

use super::Input;
use crate::file::FileSource;
use crate::http::body::{Part, Payload, escape};
use crate::http::engine::Body;

/// A field as a parser returns it: its name, its file name and its content.
pub type Field = (Option<String>, Option<String>, Vec<u8>);

/// Writes a form, which `parse` must read back unchanged. `parse` receives the content type, the body, and the number
/// of bytes to consume at a time.
pub fn multipart(data: &[u8], parse: impl FnOnce(&str, &[u8], usize) -> Vec<Field>) {
    let mut input = Input(data);
    let (count, step) = (input.byte() % 5, usize::from(input.byte()).max(1));
    let fields: Vec<(String, String)> = (0..count).map(|_| (input.text(), input.text())).collect();
    let filename = input.text();
    // Parsers disagree about the meaning of a backslash. Browsers send it unescaped, and so does the crate.
    let names = || fields.iter().map(|(name, _)| name).chain([&filename]);
    if names().any(|name| name.is_empty() || name.contains('\\')) || input.0.is_empty() {
        return;
    }
    let content = input.0.to_vec();
    let text = |(name, value): &(String, String)| Part::Text { name: name.clone(), value: value.clone() };
    let mut parts: Vec<Part> = fields.iter().map(text).collect();
    parts.push(Part::File { name: "file".into(), source: FileSource::bytes(filename.as_str(), content.clone()) });

    let payload = Payload::form(&parts).expect("it can be written");
    let mut body = Vec::new();
    payload.open().expect("it can be opened").read_to_end(&mut body).expect("it can be read");
    assert_eq!(payload.length(), Some(body.len() as u64));
    let found = parse(payload.content_type.as_deref().expect("it has a type"), &body, step);
    let text = |(name, value): &(String, String)| (Some(escape(name)), None, value.clone().into_bytes());
    let mut expected: Vec<Field> = fields.iter().map(text).collect();
    expected.push((Some("file".into()), Some(escape(&filename)), content));
    assert_eq!(found, expected);
}
