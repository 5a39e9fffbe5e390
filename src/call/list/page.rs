//! One page of a list as it came, its items not decoded yet.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::json::decode;
use crate::call::json::scan::Scanner;
use crate::call::json::watch::Watch;
use crate::error::{Error, Result};
use crate::hash::Fnv1a;
use crate::response::HttpResponse;
use crate::text::{BOM, KEPT, excerpt, head};

/// The field that has the chunks of an upload session.
pub(crate) const CHUNKS: &str = "uploaded_chunks";

/// Where a page stands in its list. Lists count their pages, searches name them by tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageInfo {
    /// The number of this page, from 1.
    pub page: Option<u64>,
    /// The most items on a page.
    pub limit_per_page: Option<u64>,
    /// How many pages there are.
    pub total_page: Option<u64>,
    /// How many items there are on all pages.
    pub total_results: Option<u64>,
    /// How many clips match a search on all pages.
    pub total_inner_matches: Option<u64>,
    /// The token of the next page of a search. The last page has none.
    pub next_page_token: Option<String>,
    /// The token of the page before, of a search.
    pub prev_page_token: Option<String>,
    /// When the pages of a search can no longer be asked for.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub page_expires_at: Option<OffsetDateTime>,
}

impl PageInfo {
    pub(crate) fn pages(&self) -> Option<u64> {
        let by_items = || Some(self.total_results?.div_ceil(self.limit_per_page.filter(|limit| *limit > 0)?));
        self.total_page.or_else(by_items)
    }
}

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cursor {
    Number(u64),
    /// Of a list whose pages have tokens. The first page has none.
    Token(Option<String>),
}

/// A page, whose items are where they are in its answer.
#[derive(Clone)]
pub(crate) struct Page {
    pub operation: String,
    pub response: HttpResponse<()>,
    pub info: Option<PageInfo>,
    pub cursor: Cursor,
    /// Its number, counted if it has a token.
    pub number: u64,
    /// How many items it has.
    pub count: usize,
    /// Those that were given before or are not wanted, by their place from 0.
    pub repeated: Vec<usize>,
    /// The page after this one.
    pub next: Option<Cursor>,
    /// Whether its items are numbered, as the chunks of a session are.
    numbered: bool,
    /// The identity of the last item before this page.
    pub before: Option<u64>,
    /// Where its first item is, or what is before that.
    start: usize,
}

/// How far the items of a page were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    at: usize,
    /// How many were read.
    pub taken: usize,
}

#[derive(Deserialize)]
struct Next {
    next_page_token: Option<String>,
}

impl Page {
    /// Reads the answer to a request for this page. Its items are in the field `items`.
    pub(crate) fn read(
        operation: String,
        items: &str,
        cursor: Cursor,
        number: u64,
        response: HttpResponse<()>,
    ) -> Result<Self> {
        let fail = |message: String| Err(decode::undecodable(&operation, &response, message));
        let Some(Outline { start, count, info, token }) = outline(&response.body, items) else {
            // Either no JSON at all, which the decoder says well, or of a shape that is no list.
            decode::body::<IgnoredAny>(&|| operation.clone(), &response, &Watch::default())?;
            return fail(format!("this is not a list: {}", excerpt(&response.body)));
        };
        if start.is_none() && info.is_none() {
            return fail(format!("the answer has no `{items}`: {}", excerpt(&response.body)));
        }
        let raw = |range: Option<Range<usize>>| range.map_or(&b"null"[..], |range| &response.body[range]);
        let raw_info = raw(info);
        let mut info: Option<PageInfo> = decode::from_json(raw_info).ok();
        let given = info.as_ref().and_then(|info| info.page);
        if let (Cursor::Number(_), Some(page)) = (&cursor, given.filter(|page| *page != number)) {
            let message = format!("page {number} was asked for, the server gave page {page}");
            return Err(Error::Paging { operation, message });
        }
        let next = match cursor {
            Cursor::Number(number) => {
                let more = info.as_ref().and_then(PageInfo::pages).map_or(count > 0, |pages| number < pages);
                more.then(|| Cursor::Number(number.saturating_add(1)))
            }
            Cursor::Token(_) => {
                // Strictly: a token that cannot be read would end the list silently.
                let within: Option<Next> = match serde_json::from_slice(raw_info) {
                    Ok(next) => next,
                    Err(e) => return fail(format!("`page_info.next_page_token`: {e}")),
                };
                let beside: Option<String> = match serde_json::from_slice(raw(token)) {
                    Ok(token) => token,
                    Err(e) => return fail(format!("`next_page_token`: {e}")),
                };
                if beside.is_some() {
                    info.get_or_insert_default().next_page_token.clone_from(&beside);
                }
                let token = within.and_then(|next| next.next_page_token).or(beside).filter(|token| !token.is_empty());
                token.map(|token| Cursor::Token(Some(token)))
            }
        };
        Ok(Page {
            operation,
            response,
            info,
            cursor,
            number,
            count,
            repeated: Vec::new(),
            next,
            numbered: items == CHUNKS,
            before: None,
            start: start.unwrap_or_default(),
        })
    }

    pub(crate) fn pages(&self) -> Option<u64> {
        self.info.as_ref().and_then(PageInfo::pages)
    }

    pub(crate) fn results(&self) -> Option<u64> {
        self.info.as_ref()?.total_results
    }

    pub(crate) fn reading(&self) -> Reading {
        Reading { at: self.start, taken: 0 }
    }

    /// The next item as it came, and its place from 0.
    pub(crate) fn item(&self, reading: &mut Reading) -> Option<(usize, &[u8])> {
        if reading.taken >= self.count {
            return None;
        }
        let mut scanner = Scanner { text: &self.response.body, at: reading.at };
        scanner.member(false, reading.taken == 0)??;
        let range = scanner.skip()?;
        let index = reading.taken;
        *reading = Reading { at: scanner.at, taken: index + 1 };
        Some((index, &self.response.body[range]))
    }

    /// The next item that was not given before.
    pub(crate) fn new_item(&self, reading: &mut Reading) -> Option<(usize, &[u8])> {
        loop {
            let (index, item) = self.item(reading)?;
            if self.repeated.binary_search(&index).is_err() {
                return Some((index, item));
            }
        }
    }

    /// All items as they came.
    pub(crate) fn items(&self) -> impl Iterator<Item = &[u8]> {
        let mut reading = self.reading();
        std::iter::from_fn(move || self.item(&mut reading).map(|(_, item)| item))
    }

    /// The identity of an item, if it has one.
    pub(crate) fn identity(&self, item: &[u8]) -> Option<u64> {
        const KEYS: [&[u8]; 6] = [b"_id", b"task_id", b"batch_id", b"id", b"upload_id", b"index"];
        let known = match self.cursor {
            Cursor::Number(_) if self.numbered => 6,
            Cursor::Number(_) => 5,
            // The hits of a search are not one for each id.
            Cursor::Token(_) => 3,
        };
        let mut scanner = Scanner::new(item);
        scanner.enter().filter(|object| *object)?;
        let mut found = None;
        let mut first = true;
        while let Some(member) = scanner.member(true, first)? {
            first = false;
            let value = &item[scanner.skip()?];
            let Some(rank) = KEYS[..known].iter().position(|key| member.key == Some(key)) else { continue };
            if value != b"null" && found.is_none_or(|(best, _)| rank < best) {
                found = Some((rank, hash([value])));
            }
        }
        found.map(|(_, identity)| identity)
    }

    /// The identity of the last item of the first `count`.
    pub(crate) fn identity_before(&self, count: usize) -> Option<u64> {
        match count.checked_sub(1) {
            Some(last) => self.items().nth(last).and_then(|item| self.identity(item)),
            None => self.before,
        }
    }

    /// The error of an item that cannot be decoded.
    pub(crate) fn malformed(&self, index: usize, item: &[u8], why: &str) -> Error {
        let HttpResponse { status, headers, origin, .. } = &self.response;
        let (headers, origin) = (headers.clone(), origin.clone());
        let response = HttpResponse { data: (), status: *status, headers, body: head(item, KEPT).to_vec(), origin };
        decode::undecodable(&self.operation, &response, format!("item {index} of page {}: {why}", self.number))
    }
}

/// Where what matters of a page is in its answer.
#[derive(Default)]
struct Outline {
    /// Where the list of items begins, and how many there are.
    start: Option<usize>,
    count: usize,
    info: Option<Range<usize>>,
    /// The token of the next page, which some lists have beside the items.
    token: Option<Range<usize>>,
}

fn outline(body: &[u8], items: &str) -> Option<Outline> {
    let mut scanner = Scanner { text: body, at: if body.starts_with(BOM) { BOM.len() } else { 0 } };
    scanner.space();
    scanner.enter().filter(|object| *object)?;
    let mut outline = Outline::default();
    let mut first = true;
    while let Some(member) = scanner.member(true, first)? {
        first = false;
        if member.key == Some(items.as_bytes()) {
            outline.start = Some(scanner.at + 1);
            outline.count = 0;
            match scanner.enter() {
                Some(false) => {}
                Some(true) => return None,
                // As some servers write an empty list.
                None if body[scanner.skip()?] == *b"null" => continue,
                None => return None,
            }
            while scanner.member(false, outline.count == 0)?.is_some() {
                scanner.skip()?;
                outline.count += 1;
            }
            continue;
        }
        let value = scanner.skip()?;
        match member.key {
            Some(b"page_info") => outline.info = Some(value),
            Some(b"next_page_token") => outline.token = Some(value),
            _ => {}
        }
    }
    scanner.is_done().then_some(outline)
}

/// A hash of the pieces with a line break after each, so that no two lists of pieces are taken for one.
pub(crate) fn hash<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    pieces.into_iter().fold(Fnv1a::new(), |hash, piece| hash.bytes(piece).bytes(b"\n")).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(cursor: Cursor, items: &str) -> Page {
        let number = 1;
        let response = HttpResponse { body: format!("{{\"{items}\":[]}}").into_bytes(), ..HttpResponse::default() };
        Page::read("GET /things".into(), items, cursor, number, response).unwrap()
    }

    #[test]
    fn pages_are_counted_by_what_is_known() {
        for (info, pages) in [
            (r#"{"total_page":3,"total_results":500,"limit_per_page":50}"#, Some(3)),
            (r#"{"total_results":101,"limit_per_page":50}"#, Some(3)),
            (r#"{"total_results":100,"limit_per_page":50}"#, Some(2)),
            (r#"{"total_results":100,"limit_per_page":0}"#, None),
            (r#"{"total_results":100}"#, None),
            ("{}", None),
        ] {
            assert_eq!(serde_json::from_str::<PageInfo>(info).unwrap().pages(), pages, "{info}");
        }
    }

    #[test]
    fn an_item_is_known_by_its_most_telling_id() {
        let numbered = page(Cursor::Number(1), "data");
        let same = |page: &Page, a: &str, b: &str| {
            let (a, b) = (page.identity(a.as_bytes()), page.identity(b.as_bytes()));
            a.is_some() && a == b
        };
        for (a, b, alike) in [
            (r#"{"_id":"1","id":"2"}"#, r#"{"_id":"1"}"#, true),
            (r#"{"id":"2","_id":"1"}"#, r#"{"_id":"1"}"#, true),
            (r#"{"upload_id":"3","id":"2","_id":null}"#, r#"{"id":"2"}"#, true),
            (r#"{"_id":"1","name":"a"}"#, r#"{"_id":"2","name":"a"}"#, false),
        ] {
            assert_eq!(same(&numbered, a, b), alike, "{a} {b}");
        }
        let index = r#"{"index":1}"#;
        assert!(!same(&numbered, index, index), "of something else perhaps");
        assert!(same(&page(Cursor::Number(1), CHUNKS), index, index));
        let hits = page(Cursor::Token(None), "data");
        assert!(same(&hits, r#"{"_id":"1"}"#, r#"{"_id":"1"}"#));
        assert!(!same(&hits, r#"{"id":"1"}"#, r#"{"id":"1"}"#), "many hits may be of one");
    }
}
