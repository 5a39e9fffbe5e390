//! The fuzz target for responses that are read as they arrive.

use std::io::{self, Read};

use crate::call::stream::{Lines, Pending};

/// The maximum length of a line or an event.
const LIMIT: u64 = 300;

/// Reads JSON Lines and server-sent events. The result must not depend on how the bytes are split, and nothing may
/// exceed the limit.
pub fn events(data: &[u8]) {
    let Some((step, data)) = data.split_first() else { return };
    let step = usize::from(*step).max(1);
    let (whole, pieces) = (lines(data, usize::MAX), lines(data, step));
    assert_eq!(whole, pieces, "JSON Lines");
    for line in whole.iter().flatten() {
        assert!(!line.iter().all(u8::is_ascii_whitespace), "a blank line was returned");
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r') && line.len() as u64 <= LIMIT);
    }
    let whole = sent(data, usize::MAX);
    assert_eq!(whole, sent(data, step), "pieces and the whole have the same server-sent events");
    assert!(whole.iter().flatten().all(|(_, data, _)| data.len() as u64 <= LIMIT && data != "[DONE]"));
}

fn lines(data: &[u8], step: usize) -> Vec<Result<Vec<u8>, String>> {
    let mut lines = Lines::new(Pieces(data, step), LIMIT);
    all(|| lines.json().map_err(|fault| format!("{fault:?}")))
}

type Sent = (String, String, Option<String>);

fn sent(data: &[u8], step: usize) -> Vec<Result<Sent, String>> {
    let (mut lines, mut pending) = (Lines::new(Pieces(data, step), LIMIT), Pending::default());
    all(|| {
        let event = lines.event(&mut pending).map_err(|fault| format!("{fault:?}"))?;
        Ok(event.map(|event| (event.event, event.data, event.id)))
    })
}

/// Collects all results up to the end or to the first error.
fn all<T>(mut next: impl FnMut() -> Result<Option<T>, String>) -> Vec<Result<T, String>> {
    let mut items = Vec::new();
    while let Some(item) = next().transpose() {
        let ended = item.is_err();
        items.push(item);
        if ended {
            break;
        }
    }
    items
}

/// A reader that returns the given number of bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.1).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}
