//! JSON text as it stands: where its values are, without anything made of them.
//!
//! The punctuation is checked. What is between it, texts and words, may be malformed, so that one of them does not hide
//! the rest.

use std::borrow::Cow;
use std::ops::Range;

/// The depth to which a value is searched: beyond what the decoder reads.
const DEEPEST: usize = 200;

/// A step from a value to one in it. A key is as it is written, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step<'a> {
    Key(&'a [u8]),
    Index(usize),
}

/// A value and the way to it.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub path: Vec<Step<'a>>,
    pub value: Range<usize>,
}

/// The begin of a member of an object or of an item of a list. The scanner is at its value.
pub(crate) struct Member<'a> {
    pub key: Option<&'a [u8]>,
    /// Where it begins, its key included.
    pub start: usize,
}

/// Reads a text from a place on. `None` from any method: the text is not JSON, or truncated if `at` is its end.
pub(crate) struct Scanner<'a> {
    pub text: &'a [u8],
    pub at: usize,
}

impl<'a> Scanner<'a> {
    /// At the first value of the text.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let mut scanner = Scanner { text, at: 0 };
        scanner.space();
        scanner
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(crate) fn space(&mut self) {
        self.at += self.text[self.at..].iter().take_while(|byte| is_space(**byte)).count();
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Whether nothing follows.
    pub(crate) fn is_done(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    /// The inside of the text that begins here.
    fn string(&mut self) -> Option<&'a [u8]> {
        if !self.eat(b'"') {
            return None;
        }
        let start = self.at;
        loop {
            let Some(length) = self.text[self.at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
                self.at = self.text.len();
                return None;
            };
            self.at += length + 1;
            if self.text[self.at - 1] == b'"' {
                return Some(&self.text[start..self.at - 1]);
            }
            // Whatever is escaped is not the end.
            self.at = (self.at + 1).min(self.text.len());
        }
    }

    fn scalar(&mut self) -> Option<()> {
        if self.peek()? == b'"' {
            return self.string().map(drop);
        }
        let length = self.text[self.at..].iter().take_while(|byte| is_in_word(**byte)).count();
        self.at += length;
        (length > 0).then_some(())
    }

    /// Steps into the container that begins here: whether it is an object.
    pub(crate) fn enter(&mut self) -> Option<bool> {
        let object = match self.peek()? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        self.at += 1;
        Some(object)
    }

    /// Steps to the next value of a container, or behind its end.
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

    /// Steps behind the value that begins here.
    pub(crate) fn skip(&mut self) -> Option<Range<usize>> {
        self.walk(|_, _| {})
    }

    /// As [`skip`](Self::skip), and shows each key in it with the place of its value.
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

    /// Steps behind the value that begins here, and notes the innermost one in it that begins at `offset`, has it in it
    /// or ends there.
    fn find(&mut self, offset: usize, path: &mut Vec<Step<'a>>, found: &mut Option<Place<'a>>) -> Option<()> {
        let start = self.at;
        let container = matches!(self.peek()?, b'{' | b'[');
        if container && found.is_none() && start != offset && path.len() < DEEPEST {
            let object = self.enter()?;
            let mut index = 0;
            while let Some(member) = self.member(object, index == 0)? {
                path.push(member.key.map_or(Step::Index(index), Step::Key));
                self.find(offset, path, found)?;
                path.pop();
                index += 1;
            }
        } else {
            self.skip()?;
        }
        if found.is_none() && (start..=self.at).contains(&offset) {
            *found = Some(Place { path: path.clone(), value: start..self.at });
        }
        Some(())
    }
}

/// Why there is no such place, and the way to where the reading ended.
#[derive(Debug)]
pub(crate) struct NotJson {
    pub cut_off: bool,
    pub way: String,
}

/// The innermost value that begins at `offset`, has it in it or ends there.
pub(crate) fn locate(text: &[u8], offset: usize) -> Result<Place<'_>, NotJson> {
    let mut scanner = Scanner::new(text);
    let (mut path, mut found) = (Vec::new(), None);
    let read = scanner.find(offset, &mut path, &mut found);
    match found {
        Some(place) if read.is_some() && scanner.is_done() => Ok(place),
        _ => Err(NotJson { cut_off: read.is_none() && scanner.at == text.len(), way: way(&path) }),
    }
}

/// A path as it is written in an error.
pub(crate) fn way(path: &[Step<'_>]) -> String {
    let mut way = String::new();
    for step in path {
        match step {
            Step::Key(key) => way += &format!("{}{}", if way.is_empty() { "" } else { "." }, key_text(key)),
            Step::Index(index) => way += &format!("[{index}]"),
        }
    }
    way
}

/// Whether the text is one object or list with its end.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    matches!(scanner.peek(), Some(b'{' | b'[')) && scanner.skip().is_some() && scanner.is_done()
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a byte may be in a number, `true` and the like.
pub(crate) fn is_in_word(byte: u8) -> bool {
    !is_space(byte) && !b",:[]{}\"".contains(&byte)
}

/// A key as it is meant.
pub(crate) fn key_text(key: &[u8]) -> Cow<'_, str> {
    let escaped = || serde_json::from_slice([b"\"", key, b"\""].concat().as_slice()).ok().map(Cow::<str>::Owned);
    key.contains(&b'\\').then(escaped).flatten().unwrap_or_else(|| String::from_utf8_lossy(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn shown(text: &str, offset: usize) -> String {
        match locate(text.as_bytes(), offset) {
            Ok(place) => format!("{}: {}", way(&place.path), &text[place.value]),
            Err(e) => format!("{e:?}"),
        }
    }

    #[test]
    fn places_are_found_by_their_offset() {
        let text = r#" {"a": 1, "b\"": [true, {"c": "x]"}, []], "d": NaN} "#;
        for (at, place) in [
            ("1", "a: 1"),
            (", \"b", "a: 1"),
            ("true", "b\"[0]: true"),
            ("{\"c", "b\"[1]: {\"c\": \"x]\"}"),
            ("x]", "b\"[1].c: \"x]\""),
            ("}, []", "b\"[1].c: \"x]\""),
            (", []", "b\"[1]: {\"c\": \"x]\"}"),
            ("[]]", "b\"[2]: []"),
            ("]], ", "b\"[2]: []"),
            ("aN", "d: NaN"),
        ] {
            let at = text.find(at).unwrap() + usize::from(at == "]], ");
            assert_eq!(shown(text, at), place, "at {at}");
        }
        assert_eq!(shown(text, 1), format!(": {}", text.trim()), "the whole");
    }

    #[test]
    fn punctuation_is_checked() {
        for bad in ["", "{", "[1", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "\"a\\\"", "[[]", " "] {
            assert!(locate(bad.as_bytes(), 0).is_err_and(|e| e.cut_off), "{bad}");
        }
        for bad in ["[1,]", "[,1]", "{,}", "{\"a\":1,}", "{\"a\":1}}", "[1 2]", "{a:1}", "{\"a\" 1}", "]", "[1}", ":"] {
            assert!(locate(bad.as_bytes(), 0).is_err_and(|e| !e.cut_off), "{bad}");
        }
        assert!(is_whole(b" [{\"a\":[1, 2e999]}] ") && !is_whole(b"5") && !is_whole(b"[1] 2") && !is_whole(b"[1"));
        let deep = "[".repeat(100_000);
        assert!(locate(deep.as_bytes(), 50_000).is_err_and(|e| e.cut_off));
        let deep = deep + &"]".repeat(100_000);
        assert!(locate(deep.as_bytes(), 50_000).is_ok_and(|place| place.path.len() == DEEPEST));
    }

    proptest! {
        #[test]
        fn what_is_json_is_read_to_its_end(text in r#"([\[\]{},:]|"a"|"\\"|1|-2e5|null|[ \n]){0,12}"#, offset in 0usize..30) {
            let json = serde_json::from_str::<Value>(&text).is_ok();
            let place = locate(text.as_bytes(), offset.min(text.trim_end().len()));
            prop_assert!(!json || place.is_ok() || text.starts_with(|c: char| c.is_whitespace()), "{:?}", place);
            if place.is_ok() {
                // Only words may be malformed.
                prop_assert!(json || text.contains(['1', '2', 'n']), "{}", text);
            }
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..60), offset in 0usize..70) {
            if let Ok(place) = locate(&bytes, offset) {
                prop_assert!(place.value.end <= bytes.len());
            }
        }
    }

    #[test]
    fn nothing_may_follow_or_be_missing() {
        for text in ["[1] 2", "[1]]", "[,]", "[1,]", "{\"a\":}", "{\"a\":1}}"] {
            assert!(locate(text.as_bytes(), 1).is_err(), "{text}");
        }
        assert!(locate(b" [1] ", 2).is_ok());
    }
}
