//! A scanner that locates the values of a JSON text without decoding them.
//!
//! It checks only the punctuation. Strings and words may be malformed, so that one of them does not hide the rest.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// A step from a value to a value inside it. A key is kept as written, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step<'a> {
    Key(&'a [u8]),
    Index(usize),
}

/// The start of an object's member or of a list's item. The scanner is at its value.
pub(crate) struct Member<'a> {
    pub key: Option<&'a [u8]>,
    /// The position at which the member starts, including its key.
    pub start: usize,
}

/// A position in a text from which values are read. If a method returns `None`, the text is not JSON. If `at` is then
/// the end of the text, it is truncated.
pub(crate) struct Scanner<'a> {
    pub text: &'a [u8],
    pub at: usize,
}

impl<'a> Scanner<'a> {
    /// Creates a scanner at the first value of the text.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let mut scanner = Scanner { text, at: 0 };
        scanner.space();
        scanner
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(crate) fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Says whether nothing follows.
    pub(crate) fn is_done(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    /// Reads the string that starts here and returns the bytes between its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        if !self.eat(b'"') {
            return None;
        }
        let start = self.at;
        loop {
            let Some(length) = memchr2(b'"', b'\\', self.text.get(self.at..)?) else {
                self.at = self.text.len();
                return None;
            };
            self.at += length + 1;
            if self.text[self.at - 1] == b'"' {
                return Some(&self.text[start..self.at - 1]);
            }
            // An escaped character never ends the string.
            self.at = (self.at + 1).min(self.text.len());
        }
    }

    fn scalar(&mut self) -> Option<()> {
        if self.peek()? == b'"' {
            return self.string().map(drop);
        }
        let start = self.at;
        while self.peek().is_some_and(is_in_word) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Enters the container that starts here and says whether it is an object.
    pub(crate) fn enter(&mut self) -> Option<bool> {
        let object = match self.peek()? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        self.at += 1;
        Some(object)
    }

    /// Moves to the next value of a container. Returns `Some(None)` and moves past the container if there is none.
    pub(crate) fn member(&mut self, object: bool, first: bool) -> Option<Option<Member<'a>>> {
        self.space();
        if self.eat(if object { b'}' } else { b']' }) {
            return Some(None);
        }
        if !first {
            self.eat(b',').then_some(())?;
            self.space();
        }
        let start = self.at;
        let mut key = None;
        if object {
            key = Some(self.string()?);
            self.space();
            self.eat(b':').then_some(())?;
            self.space();
        }
        Some(Some(Member { key, start }))
    }

    /// Moves past the value that starts here.
    pub(crate) fn skip(&mut self) -> Option<Range<usize>> {
        self.walk(|_, _| {})
    }

    /// Moves past the value that starts here, as [`skip`](Self::skip) does, and calls `show` with each key in it and
    /// the position of the key's value.
    pub(crate) fn walk(&mut self, mut show: impl FnMut(&'a [u8], usize)) -> Option<Range<usize>> {
        let start = self.at;
        let mut open = Vec::new();
        loop {
            let mut first = false;
            if matches!(self.peek()?, b'{' | b'[') {
                open.push(self.enter()?);
                first = true;
            } else {
                self.scalar()?;
            }
            loop {
                let Some(object) = open.last() else { return Some(start..self.at) };
                match self.member(*object, first)? {
                    Some(member) => {
                        member.key.into_iter().for_each(|key| show(key, self.at));
                        break;
                    }
                    None => drop(open.pop()),
                }
                first = false;
            }
        }
    }
}

/// The position at which the punctuation of a text is wrong.
#[derive(Debug)]
pub(crate) struct Broken {
    /// Whether the text ends too early.
    pub cut_off: bool,
    /// The path of the value at which reading stopped.
    pub path: String,
}

/// Checks that a text has the punctuation of exactly one JSON value.
pub(crate) fn check_structure(text: &[u8]) -> Result<(), Broken> {
    let mut scanner = Scanner::new(text);
    if scanner.skip().is_some() && scanner.is_done() {
        return Ok(());
    }
    // The text is scanned once more, this time slowly, to find the path.
    let mut scanner = Scanner::new(text);
    let (mut path, mut open) = (Vec::new(), Vec::new());
    let read = walk_with_path(&mut scanner, &mut path, &mut open);
    Err(Broken { cut_off: read.is_none() && scanner.at == text.len(), path: path_text(&path) })
}

/// Reads a value as far as it is valid, and keeps the path of the scanner's position.
fn walk_with_path<'a>(
    scanner: &mut Scanner<'a>,
    path: &mut Vec<Step<'a>>,
    open: &mut Vec<(bool, usize)>,
) -> Option<()> {
    loop {
        match scanner.enter() {
            Some(object) => open.push((object, 0)),
            None => scanner.scalar()?,
        }
        loop {
            let Some((object, count)) = open.last_mut() else { return Some(()) };
            if *count > 0 {
                path.pop();
            }
            let Some(member) = scanner.member(*object, *count == 0)? else {
                open.pop();
                continue;
            };
            path.push(member.key.map_or(Step::Index(*count), Step::Key));
            *count += 1;
            break;
        }
    }
}

/// Formats a path for an error, such as `data[1].embedding`.
pub(crate) fn path_text(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => text += &format!("{}{}", if text.is_empty() { "" } else { "." }, key_text(key)),
            Step::Index(index) => text += &format!("[{index}]"),
        }
    }
    text
}

/// Says whether a text is one complete object or list.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    matches!(scanner.peek(), Some(b'{' | b'[')) && scanner.skip().is_some() && scanner.is_done()
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Says whether a byte can be part of a number or of a word such as `true`.
fn is_in_word(byte: u8) -> bool {
    !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'[' | b']' | b'{' | b'}' | b'"')
}

/// Decodes a key, which may contain escapes.
pub(crate) fn key_text(key: &[u8]) -> Cow<'_, str> {
    let escaped = || serde_json::from_slice([b"\"", key, b"\""].concat().as_slice()).ok().map(Cow::<str>::Owned);
    key.contains(&b'\\').then(escaped).flatten().unwrap_or_else(|| String::from_utf8_lossy(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn punctuation_is_checked() {
        for bad in ["", "{", "[1", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "\"a\\\"", "[[]", " ", "\"a\\", "[1,"] {
            assert!(check_structure(bad.as_bytes()).is_err_and(|e| e.cut_off), "{bad}");
        }
        for bad in [
            "[1,]",
            "[,1]",
            "[,]",
            "{,}",
            "{\"a\":1,}",
            "{\"a\":}",
            "{\"a\":1}}",
            "[1]]",
            "[1] 2",
            "[1 2]",
            "{a:1}",
            "{\"a\" 1}",
            "]",
            "[1}",
            ":",
            "1 2",
        ] {
            assert!(check_structure(bad.as_bytes()).is_err_and(|e| !e.cut_off), "{bad}");
        }
        assert!(is_whole(b" [{\"a\":[1, 2e999]}] ") && !is_whole(b"5") && !is_whole(b"[1] 2") && !is_whole(b"[1"));
        assert!(check_structure(b" 5 ").is_ok() && check_structure(b"NaN").is_ok());
        let deep = "[".repeat(100_000);
        assert!(check_structure(deep.as_bytes()).is_err_and(|e| e.cut_off));
        assert!(check_structure((deep + &"]".repeat(100_000)).as_bytes()).is_ok());
    }

    #[test]
    fn a_structural_fault_is_reported_with_its_path() {
        for (text, path) in [
            (r#"{"a":"#, "a"),
            (r#"{"a":1,"b":[true,{"c":"x]"},{"d\n": [2,"#, "b[2].d\n[1]"),
            (r#"{"a":1,"b":[true,{"c":"x]"},{"d": [2}]}"#, "b[2].d"),
            (r#"{"a":{"b":[[]]},"c":[{},[0,1 2]]}"#, "c[1]"),
            (r#"[[],{"a":}]"#, "[1].a"),
            ("[1,]", "[1]"),
            ("[1] 2", ""),
        ] {
            assert_eq!(check_structure(text.as_bytes()).unwrap_err().path, path, "{text}");
        }
    }

    proptest! {
        #[test]
        fn valid_json_is_scanned_to_its_end(text in r#"([\[\]{},:]|"a"|"\\"|1|-2e5|null|[ \n]){0,12}"#) {
            let json = serde_json::from_str::<Value>(&text).is_ok();
            let read = check_structure(text.as_bytes());
            prop_assert!(!json || read.is_ok(), "{:?}", read);
            // Only words may be malformed.
            prop_assert!(read.is_err() || json || text.contains(['1', '2', 'n']), "{}", text);
        }

        #[test]
        fn any_bytes_are_scanned_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let read = Scanner::new(&bytes).skip();
            prop_assert!(read.is_none_or(|range| range.end <= bytes.len()));
            drop(check_structure(&bytes));
        }
    }
}
