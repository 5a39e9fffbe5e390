//! Repairs a response that the decoder refuses, by descending to the malformed values.
//!
//! Each part of the response is tested separately: the decoder reads only the path to the part and the part itself,
//! such as `{"words":[{"start":"0.5"`. Any error other than the missing rest is an error of that part. A part that can
//! be read is kept unchanged. In a part that cannot be read, each of its own parts is tested in the same way. A text is
//! therefore read once for each level above a fault, however many faults there are, and the repair needs to know
//! neither the type nor the decoder's messages. The alternatives are worse: repairing one fault at a time and reading
//! everything again is quadratic, and a deserializer that records the path would compile each type twice.

use std::ops::Range;

use crate::call::json::candidates::{ValueKind, candidates, without_repetitions};
use crate::call::json::fault::{self, Fault};
use crate::call::json::scan::{Scanner, Step, key_text, path_text};
use crate::call::json::watch::{Stop, Watch};
use crate::text::printable;

/// The limit of the work: all readings together may read this many times the length of the text. A fault takes two
/// readings for each level above it, and responses are not nested that deeply.
const MAX_READINGS: usize = 64;
/// The bytes that may be read beyond that limit, so that short texts with long paths can be repaired.
const MIN_BUDGET: usize = 4096;
/// The nesting depth at which `serde_json` gives up.
const MAX_DEPTH: usize = 128;
/// The maximum number of logged repairs for each response.
const MAX_LOGGED: usize = 16;
/// The maximum number of bytes of a key that are kept. Fields of responses have shorter names. A longer key is foreign
/// data, and reading all of it again with each value behind it would take quadratic time.
const MAX_KEY: usize = 128;
/// The stand-in for a longer key in the texts that the decoder reads. It is not the name of a field either.
const LONG_KEY: &[u8] = "…".as_bytes();
/// The maximum number of dropped fields remembered for each object. They explain why a required field is missing.
const MAX_CAUSES: usize = 64;
/// The maximum number of characters shown of a path.
const MAX_SHOWN: usize = 400;

/// The fields that hold the result of a call. Anything unreadable in them is an error and never dropped or shortened,
/// because `Ok` means complete. Descriptive fields, such as the streams of a file or the models of an index, are not
/// listed.
const RESULTS: [&str; 26] = [
    "arguments",
    "audio_embedding",
    "clips",
    "content",
    "data",
    "document_embedding",
    "embedding",
    "embedding_uncertainty",
    "entities",
    "errors",
    "float",
    "image_embedding",
    "items",
    "matches",
    "output",
    "result",
    "segments",
    "sentences",
    "text_embedding",
    "thumbnail_urls",
    "transcription",
    "upload_urls",
    "uploaded_chunks",
    "utterances",
    "video_embedding",
    "words",
];

/// Decodes one JSON text as a type which the repair does not know.
pub(crate) type Decode<'a> = dyn FnMut(&[u8]) -> Result<(), serde_json::Error> + 'a;

/// The reason why a response could not be read.
#[derive(Debug, PartialEq)]
pub(crate) enum Unread {
    /// A fault that cannot be repaired or dropped, with its path.
    Malformed(String),
    Stopped(Stop),
}

/// The purpose of a walk: to repair, or only to find the first fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// Repair or drop malformed values where that is safe.
    Repair,
    /// Stop at the first fault.
    Locate,
}

/// The fault of a value, as a path and the decoder's message.
#[derive(Debug)]
pub(crate) struct Cause {
    pub path: String,
    pub message: String,
}

impl Cause {
    pub(crate) fn text(&self) -> String {
        match self.path.as_str() {
            "" => self.message.clone(),
            path => format!("`{path}`: {}", self.message),
        }
    }
}

/// The reason why a walk ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    Fault(Cause),
    TooMuchWork,
    Stopped(Stop),
}

/// The outcome for a value: it stays, repaired or not, or it is dropped.
enum Fate {
    Stays,
    Goes(Cause),
    /// The value is dropped because of something in it, although it has the right type itself.
    GoesIncomplete(Cause),
}

/// The position of a value: as a member of an object, or as an item of a list in one.
#[derive(Clone, Copy)]
struct Slot<'a> {
    /// The key of the innermost field that contains the value, abridged if it is very long.
    key: Option<&'a [u8]>,
    /// Whether that field is an id, or a list of ids.
    is_id: bool,
    is_item: bool,
}

/// Repairs a text, or finds its first fault. The punctuation of the text must be valid.
///
/// On success, the last text that the decoder has read is the repaired one.
pub(crate) fn repair(text: &[u8], mode: Mode, decode: &mut Decode<'_>, watch: &Watch) -> Result<(), Failure> {
    let mut repair = Repair {
        text,
        mode,
        decode,
        watch,
        out: Vec::with_capacity(text.len() + text.len() / 64 + 1),
        prefix: Vec::new(),
        path: Vec::new(),
        budget: text.len().saturating_mul(MAX_READINGS).saturating_add(MIN_BUDGET),
        logged: 0,
    };
    let range = Scanner::new(text).skip().ok_or(Failure::TooMuchWork)?;
    match repair.value(range, Slot { key: None, is_id: false, is_item: false })? {
        Fate::Stays => Ok(()),
        Fate::Goes(cause) | Fate::GoesIncomplete(cause) => Err(Failure::Fault(cause)),
    }
}

/// A walk along a text that writes the repaired text as it goes.
struct Repair<'a, 'd> {
    text: &'a [u8],
    mode: Mode,
    decode: &'d mut Decode<'d>,
    watch: &'d Watch,
    /// The repaired text written so far.
    out: Vec<u8>,
    /// The keys and open brackets that the decoder must read first, so that it expects the right type for the next
    /// value.
    prefix: Vec<u8>,
    path: Vec<Step<'a>>,
    /// The number of bytes that the decoder may still read.
    budget: usize,
    logged: usize,
}

impl<'a> Repair<'a, '_> {
    /// Lets the decoder read `out` from `start` on as the next value, and returns its error, if any.
    fn attempt(&mut self, start: usize) -> Result<Option<serde_json::Error>, Failure> {
        self.watch.check().map_err(Failure::Stopped)?;
        // `out` contains at least the keys and brackets of the prefix before `start`, so the prefix fits there. It is
        // swapped in for a moment, which saves a copy of the value.
        let begin = start.checked_sub(self.prefix.len()).ok_or(Failure::TooMuchWork)?;
        self.budget = self.budget.checked_sub(self.out.len() - begin).ok_or(Failure::TooMuchWork)?;
        self.out[begin..start].swap_with_slice(&mut self.prefix);
        // The space ends a number or a word, which might otherwise continue.
        self.out.push(b' ');
        let read = (self.decode)(&self.out[begin..]);
        self.out.pop();
        self.out[begin..start].swap_with_slice(&mut self.prefix);
        Ok(read.err().filter(|e| fault::read(e) != Fault::CutOff))
    }

    /// Writes the next value, repaired if necessary, or nothing if it is dropped.
    fn value(&mut self, range: Range<usize>, slot: Slot<'a>) -> Result<Fate, Failure> {
        let start = self.out.len();
        let value = &self.text[range.clone()];
        self.out.extend_from_slice(value);
        let Some(error) = self.attempt(start)? else { return Ok(Fate::Stays) };
        self.out.truncate(start);
        if matches!(value.first(), Some(b'{' | b'[')) && self.path.len() < MAX_DEPTH {
            // If the bracket alone is refused, the container has the wrong type and its contents do not matter.
            self.out.push(value[0]);
            let refused = self.attempt(start)?;
            self.out.truncate(start);
            return match refused {
                Some(error) => self.spare(range, slot, self.cause(&error)).map(Fate::Goes),
                None if value[0] == b'{' => self.object(range, slot),
                None => self.list(range, slot),
            };
        }
        if self.mode == Mode::Repair {
            for candidate in candidates(value, slot.is_id) {
                self.out.extend_from_slice(&candidate);
                if self.attempt(start)?.is_none() {
                    self.log("repaired");
                    return Ok(Fate::Stays);
                }
                self.out.truncate(start);
            }
        }
        self.spare(range, slot, self.cause(&error)).map(Fate::Goes)
    }

    fn object(&mut self, range: Range<usize>, slot: Slot<'a>) -> Result<Fate, Failure> {
        let start = self.out.len();
        self.open(b'{');
        let mut scanner = Scanner { text: self.text, at: range.start + 1 };
        let mut lost: Vec<(&[u8], Cause)> = Vec::new();
        let mut first = true;
        while let Some(member) = scanner.member(true, first).ok_or(Failure::TooMuchWork)? {
            first = false;
            let (before, prefix) = (self.out.len(), self.prefix.len());
            let head = &self.text[member.start..scanner.at];
            let (key, value) = (member.key.unwrap_or_default(), scanner.skip().ok_or(Failure::TooMuchWork)?);
            let is_id = is_id_key(key);
            let (key, name) = if key.len() > MAX_KEY { (&key[..MAX_KEY], LONG_KEY) } else { (key, key) };
            self.comma(start);
            self.out.extend_from_slice(head);
            // Spaces around the colon are left out, because there may be any number of them.
            self.prefix.extend([b"\"", name, b"\":"].concat());
            self.path.push(Step::Key(key));
            let fate = self.value(value, Slot { key: Some(key), is_id, is_item: false })?;
            self.path.pop();
            self.prefix.truncate(prefix);
            if let Fate::Goes(cause) | Fate::GoesIncomplete(cause) = fate {
                self.out.truncate(before);
                if lost.len() < MAX_CAUSES {
                    lost.push((key, cause));
                }
            }
        }
        self.close(b'}');
        let mut error = self.attempt(start)?;
        while let (Some(e), Mode::Repair) = (&error, self.mode) {
            let Fault::Repeated(name) = fault::read(e) else { break };
            let Some(new) = without_repetitions(&self.out[start..], &name) else { break };
            self.out.truncate(start);
            self.out.extend_from_slice(&new);
            self.log("repaired");
            error = self.attempt(start)?;
        }
        let Some(error) = error else { return Ok(Fate::Stays) };
        self.out.truncate(start);
        let Fault::Missing(name) = fault::read(&error) else {
            return self.spare(range, slot, self.cause(&error)).map(Fate::GoesIncomplete);
        };
        // A missing field may have been dropped by the repair. In that case, the reason for the drop is the fault to
        // report.
        let lost = lost.into_iter().find(|(key, _)| key_text(key) == name).map(|(_, cause)| cause);
        let cause = lost.unwrap_or_else(|| self.cause(&error));
        if is_id(&name) {
            return Err(Failure::Fault(cause));
        }
        self.spare(range, slot, cause).map(Fate::GoesIncomplete)
    }

    fn list(&mut self, range: Range<usize>, slot: Slot<'a>) -> Result<Fate, Failure> {
        let start = self.out.len();
        self.open(b'[');
        let mut scanner = Scanner { text: self.text, at: range.start + 1 };
        let mut index = 0;
        let (mut numbers, mut incomplete) = (true, false);
        let mut lost = None;
        while scanner.member(false, index == 0).ok_or(Failure::TooMuchWork)?.is_some() {
            let before = self.out.len();
            let value = scanner.skip().ok_or(Failure::TooMuchWork)?;
            let head = self.text[value.start];
            self.comma(start);
            self.path.push(Step::Index(index));
            let fate = self.value(value, Slot { is_item: true, ..slot })?;
            self.path.pop();
            index += 1;
            incomplete |= matches!(fate, Fate::GoesIncomplete(_));
            if let Fate::Goes(cause) | Fate::GoesIncomplete(cause) = fate {
                self.out.truncate(before);
                lost.get_or_insert(cause);
            } else {
                numbers &= matches!(head, b'-' | b'0'..=b'9');
            }
        }
        self.close(b']');
        // A vector without one of its numbers is a different vector. A list of which nothing can be read is not an
        // empty list, and also counts as a vector. An object dropped for a missing field takes its whole list with it,
        // so that the loss is noticed.
        let fault = match lost {
            Some(cause) if numbers || incomplete => Some(cause),
            _ => self.attempt(start)?.map(|error| self.cause(&error)),
        };
        let Some(cause) = fault else { return Ok(Fate::Stays) };
        self.out.truncate(start);
        self.spare(range, slot, cause).map(Fate::Goes)
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.prefix.push(bracket);
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.prefix.pop();
    }

    /// Writes a comma, unless the container that starts at `start` is still empty.
    fn comma(&mut self, start: usize) {
        if self.out.len() > start + 1 {
            self.out.push(b',');
        }
    }

    /// Drops a value if that is safe: it is in a field, but not in one of the results, and contains no id.
    fn spare(&mut self, range: Range<usize>, slot: Slot<'a>, cause: Cause) -> Result<Cause, Failure> {
        let value = &self.text[range];
        let is_spared = |key: &[u8]| {
            let key = key_text(key);
            let hides_id = slot.is_id && (slot.is_item || is_like_an_id(value));
            // The model's output is the `text` of an event or of a part in a list. Elsewhere, `text` is a setting or a
            // number.
            let is_part = key == "text" && matches!(self.path[..], [Step::Key(_)] | [.., Step::Index(_), Step::Key(_)]);
            !hides_id && !is_part && !RESULTS.contains(&&*key) && !holds_id(value)
        };
        if self.mode == Mode::Locate || !slot.key.is_some_and(is_spared) {
            return Err(Failure::Fault(cause));
        }
        self.log("left out");
        Ok(cause)
    }

    fn cause(&self, error: &serde_json::Error) -> Cause {
        Cause { path: path_text(&self.path), message: fault::message(error) }
    }

    /// Logs a repair without the decoder's message, which may quote the model's output.
    fn log(&mut self, done: &str) {
        self.logged += 1;
        if self.logged <= MAX_LOGGED {
            let path = printable(&path_text(&self.path), MAX_SHOWN);
            log::warn!("a malformed field of a response was {done}: `{path}`");
        }
    }
}

/// Says whether the value of an id field may be an id or a list of ids.
fn is_like_an_id(value: &[u8]) -> bool {
    match ValueKind::of(value) {
        ValueKind::List => first_byte_of_list(value) == Some(b'"'),
        kind => !matches!(kind, ValueKind::Object | ValueKind::Boolean | ValueKind::Null | ValueKind::NotJson),
    }
}

/// Says whether a value contains an id.
fn holds_id(value: &[u8]) -> bool {
    let mut holds_id = false;
    Scanner::new(value).walk(|key, at| {
        let is_empty_list = value[at] == b'[' && first_byte_of_list(&value[at..]) == Some(b']');
        holds_id |= !value[at..].starts_with(b"null") && !is_empty_list && is_id_key(key);
    });
    holds_id
}

/// Returns the first byte of the list's first item, or of the closing bracket.
fn first_byte_of_list(list: &[u8]) -> Option<u8> {
    list.iter().skip(1).find(|byte| !byte.is_ascii_whitespace()).copied()
}

fn is_id_key(key: &[u8]) -> bool {
    is_id(&key_text(key))
}

fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("_id") || key.ends_with("_ids")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_contain_an_id_are_recognized() {
        for (value, holds) in [
            (r#"{"name":"a"}"#, false),
            (r#"{"a_id":"1"}"#, true),
            (r#"{"a_id":"]"}"#, true),
            (r#"{"a_id":null,"b_ids":[ ]}"#, false),
            (r#"{"b_ids":["1"]}"#, true),
            (r#"{"a":{"id":1}}"#, true),
            (r#"{"a":[{"\u0069d":1}]}"#, true),
        ] {
            assert_eq!(holds_id(value.as_bytes()), holds, "{value}");
        }
    }

    #[test]
    fn possible_ids_are_not_dropped() {
        for (value, may_be) in [("\"a\"", true), ("5", true), ("5.5", true), ("[\"a\"]", true), ("\"\\ud800\"", true)]
            .into_iter()
            .chain(["{}", "[]", "[5]", "true", "null", "NaN"].map(|value| (value, false)))
        {
            assert_eq!(is_like_an_id(value.as_bytes()), may_be, "{value}");
        }
    }
}
