//! One page of a list as it was received. Its items are not decoded yet.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::encode::check_segment;
use crate::call::json::decode;
use crate::call::json::scan::Scanner;
use crate::call::json::watch::Watch;
use crate::error::{Error, Result};
use crate::hash::Fnv1a;
use crate::response::HttpResponse;
use crate::text::{BOM, KEPT, excerpt, head};

/// The field that contains the chunks of an upload session.
pub(crate) const CHUNKS: &str = "uploaded_chunks";

/// The position of a page in its list. Lists number their pages; searches identify them by tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageInfo {
    /// The number of this page, from 1.
    pub page: Option<u64>,
    /// The maximum number of items on a page.
    pub limit_per_page: Option<u64>,
    /// The number of pages in the list.
    pub total_page: Option<u64>,
    /// The number of items on all pages together.
    pub total_results: Option<u64>,
    /// The number of clips that match a search, on all pages together.
    pub total_inner_matches: Option<u64>,
    /// The token of the next page of a search. `None` on the last page.
    pub next_page_token: Option<String>,
    /// The token of the previous page of a search.
    pub prev_page_token: Option<String>,
    /// The time after which the pages of this search can no longer be fetched.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub page_expires_at: Option<OffsetDateTime>,
}

impl PageInfo {
    pub(crate) fn pages(&self) -> Option<u64> {
        let by_items = || Some(self.total_results?.div_ceil(self.limit_per_page.filter(|limit| *limit > 0)?));
        self.total_page.or_else(by_items)
    }
}

/// Identifies the page to request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cursor {
    Number(u64),
    /// The token of the page, in a list whose pages have tokens. The first page has no token.
    Token(Option<String>),
}

/// A page as it was received. Its items stay in the body and are decoded on demand.
#[derive(Clone)]
pub(crate) struct Page {
    pub operation: String,
    pub response: HttpResponse<()>,
    pub info: Option<PageInfo>,
    pub cursor: Cursor,
    /// The number of the page. Pages with tokens are numbered in the order in which they are read.
    pub number: u64,
    items: Vec<Item>,
    /// The indices, in order, of the items to skip: they were returned before or are not wanted.
    pub skipped: Vec<usize>,
    /// The position of the page after this one.
    pub next: Option<Cursor>,
    /// The identity of the last item before this page.
    pub before: Option<u64>,
}

/// The position of an item in the body of its page. It is compact because a page may contain millions of tiny items.
#[derive(Debug, Clone, Copy)]
struct Item {
    start: u32,
    end: u32,
    /// A hash of the item's most specific id, or 0 if it has none.
    identity: u64,
}

#[derive(Deserialize)]
struct Next {
    next_page_token: Option<Token>,
}

/// A token, which is opaque: like an id, it may be a number.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string")]
enum Token {
    Text(String),
    Number(u64),
}

impl Token {
    fn into_text(self) -> String {
        match self {
            Token::Text(text) => text,
            Token::Number(number) => number.to_string(),
        }
    }
}

impl Page {
    /// Reads the response to the request for this page. The field `items` contains its items.
    pub(crate) fn read(
        operation: String,
        items: &str,
        cursor: Cursor,
        number: u64,
        response: HttpResponse<()>,
    ) -> Result<Self> {
        let fail = |message: String| Err(decode::undecodable(&operation, &response, message));
        if u32::try_from(response.body.len()).is_err() {
            return fail("the page is larger than 4 GiB; ask for fewer items with `page_limit`".into());
        }
        let Some(Outline { items: found, info, token }) = outline(&response.body, items, identity_keys(&cursor, items))
        else {
            // The response either is not JSON, for which the decoder has a good error, or does not have the shape of a
            // list.
            decode::body::<IgnoredAny>(&|| operation.clone(), &response, &Watch::default())?;
            return fail(format!("the response is not a list; it begins: {}", excerpt(&response.body)));
        };
        if found.is_none() && info.is_none() {
            return fail(format!("the response has no `{items}`; it begins: {}", excerpt(&response.body)));
        }
        let found = found.unwrap_or_default();
        let raw = |range: Option<Range<usize>>| range.map_or(&b"null"[..], |range| &response.body[range]);
        let raw_info = raw(info);
        let mut info: Option<PageInfo> = decode::from_json(raw_info).ok();
        let given = info.as_ref().and_then(|info| info.page);
        if let (Cursor::Number(_), Some(page)) = (&cursor, given.filter(|page| *page != number)) {
            let message = format!("page {number} was requested, but the server answered with page {page}");
            return Err(Error::Paging { operation, message });
        }
        let next = match cursor {
            Cursor::Number(number) => {
                let is_last = |pages| number >= pages;
                let more = !info.as_ref().and_then(PageInfo::pages).map_or(found.is_empty(), is_last);
                more.then(|| Cursor::Number(number.saturating_add(1)))
            }
            Cursor::Token(_) => {
                // The token is read strictly, because dropping a malformed one would end the list silently.
                let within: Option<Next> = match serde_json::from_slice(raw_info) {
                    Ok(next) => next,
                    Err(e) => return fail(format!("`page_info.next_page_token`: {e}")),
                };
                let beside: Option<Token> = match serde_json::from_slice(raw(token)) {
                    Ok(token) => token,
                    Err(e) => return fail(format!("`next_page_token`: {e}")),
                };
                let beside = beside.map(Token::into_text);
                if beside.is_some() {
                    info.get_or_insert_default().next_page_token.clone_from(&beside);
                }
                let within = within.and_then(|next| next.next_page_token).map(Token::into_text);
                let token = within.or(beside).filter(|token| !token.is_empty());
                if let Some(Err(why)) = token.as_deref().map(check_segment) {
                    return fail(format!("`next_page_token` {why}"));
                }
                token.map(|token| Cursor::Token(Some(token)))
            }
        };
        let (items, skipped) = (found, Vec::new());
        Ok(Page { operation, response, info, cursor, number, items, skipped, next, before: None })
    }

    /// Returns the number of items on the page, including those to skip.
    pub(crate) fn count(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn pages(&self) -> Option<u64> {
        self.info.as_ref().and_then(PageInfo::pages)
    }

    pub(crate) fn results(&self) -> Option<u64> {
        self.info.as_ref()?.total_results
    }

    /// Returns the index and the text of the first item from `taken` on that is not skipped.
    pub(crate) fn wanted(&self, taken: usize) -> Option<(usize, &[u8])> {
        let index = (taken..self.items.len()).find(|index| self.skipped.binary_search(index).is_err())?;
        Some((index, self.item(index)?))
    }

    fn item(&self, index: usize) -> Option<&[u8]> {
        let Item { start, end, .. } = *self.items.get(index)?;
        self.response.body.get(start as usize..end as usize)
    }

    /// Returns the texts of all items.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.items.len()).filter_map(|index| self.item(index))
    }

    /// Returns the identity of each item, if it has one.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Option<u64>> {
        self.items.iter().map(|item| Some(item.identity).filter(|identity| *identity != 0))
    }

    /// Returns the identity of the last of the first `count` items.
    pub(crate) fn identity_before(&self, count: usize) -> Option<u64> {
        match count.checked_sub(1) {
            Some(last) => self.identities().nth(last).flatten(),
            None => self.before,
        }
    }

    /// Creates the error of an item that cannot be decoded.
    pub(crate) fn malformed(&self, index: usize, item: &[u8], why: &str) -> Error {
        let HttpResponse { status, headers, origin, .. } = &self.response;
        let (headers, origin) = (headers.clone(), origin.clone());
        let response = HttpResponse { data: (), status: *status, headers, body: head(item, KEPT).to_vec(), origin };
        decode::undecodable(&self.operation, &response, format!("item {index} of page {}: {why}", self.number))
    }
}

/// Returns the fields that distinguish items, the most specific first.
fn identity_keys(cursor: &Cursor, items: &str) -> &'static [&'static [u8]] {
    const KEYS: [&[u8]; 6] = [b"_id", b"task_id", b"batch_id", b"id", b"upload_id", b"index"];
    match cursor {
        Cursor::Number(_) if items == CHUNKS => &KEYS,
        // The last key, an index, is not unique to one item in many lists.
        Cursor::Number(_) => &KEYS[..5],
        // Several hits of a search may belong to the same resource and share its id.
        Cursor::Token(_) => &KEYS[..3],
    }
}

/// The positions of the parts of a page in its body.
#[derive(Default)]
struct Outline {
    /// The items, if the response contains their field.
    items: Option<Vec<Item>>,
    info: Option<Range<usize>>,
    /// The token of the next page, which some lists put beside the items.
    token: Option<Range<usize>>,
}

/// Scans a page once.
fn outline(body: &[u8], items: &str, keys: &[&[u8]]) -> Option<Outline> {
    let mut scanner = Scanner { text: body, at: if body.starts_with(BOM) { BOM.len() } else { 0 } };
    scanner.space();
    scanner.enter().filter(|object| *object)?;
    let mut outline = Outline::default();
    let mut first = true;
    while let Some(member) = scanner.member(true, first)? {
        first = false;
        if member.key == Some(items.as_bytes()) {
            let found = outline.items.insert(Vec::new());
            match scanner.enter() {
                Some(false) => {}
                Some(true) => return None,
                // Some servers write an empty list as `null`.
                None if body[scanner.skip()?] == *b"null" => continue,
                None => return None,
            }
            while scanner.member(false, found.is_empty())?.is_some() {
                found.push(item(&mut scanner, keys)?);
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

/// Moves past the item that starts here, and records its most specific id.
fn item(scanner: &mut Scanner<'_>, keys: &[&[u8]]) -> Option<Item> {
    let start = scanner.at;
    let mut best = keys.len();
    let mut identity = 0;
    if scanner.peek()? == b'{' {
        scanner.enter()?;
        let mut first = true;
        while let Some(member) = scanner.member(true, first)? {
            first = false;
            let value = &scanner.text[scanner.skip()?];
            let rank = keys[..best].iter().position(|key| member.key == Some(key));
            if let Some(rank) = rank.filter(|_| value != b"null") {
                // The identity is never 0, because 0 means that there is none.
                (best, identity) = (rank, hash([value]).max(1));
            }
        }
    } else {
        scanner.skip()?;
    }
    Some(Item { start: u32::try_from(start).ok()?, end: u32::try_from(scanner.at).ok()?, identity })
}

/// Hashes the pieces with a line break after each, so that no two different lists of pieces are mistaken for each
/// other.
pub(crate) fn hash<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    pieces.into_iter().fold(Fnv1a::new(), |hash, piece| hash.bytes(piece).bytes(b"\n")).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(cursor: Cursor, field: &str, items: &str) -> Page {
        let response = HttpResponse {
            body: format!("{{\"{field}\": [{items}], \"page_info\": {{}}}}").into_bytes(),
            ..HttpResponse::default()
        };
        Page::read("GET /things".into(), field, cursor, 1, response).unwrap()
    }

    #[test]
    fn the_number_of_pages_follows_from_what_is_known() {
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
    fn an_item_is_identified_by_its_most_specific_id() {
        let same = |cursor: Cursor, field: &str, a: &str, b: &str| {
            let identities: Vec<_> = page(cursor, field, &format!("{a} , {b}")).identities().collect();
            identities[0].is_some() && identities[0] == identities[1]
        };
        for (a, b, alike) in [
            (r#"{"_id":"1","id":"2"}"#, r#"{"_id":"1"}"#, true),
            (r#"{"id":"2","_id":"1"}"#, r#"{"_id":"1"}"#, true),
            (r#"{"upload_id":"3","id":"2","_id":null}"#, r#"{"id":"2"}"#, true),
            (r#"{"_id":"1","name":"a"}"#, r#"{"_id":"2","name":"a"}"#, false),
        ] {
            assert_eq!(same(Cursor::Number(1), "data", a, b), alike, "{a} {b}");
        }
        let index = r#"{"index":1}"#;
        assert!(
            !same(Cursor::Number(1), "data", index, index),
            "outside lists of chunks, an `index` does not identify an item"
        );
        assert!(same(Cursor::Number(1), CHUNKS, index, index));
        assert!(same(Cursor::Token(None), "data", r#"{"_id":"1"}"#, r#"{"_id":"1"}"#));
        assert!(
            !same(Cursor::Token(None), "data", r#"{"id":"1"}"#, r#"{"id":"1"}"#),
            "several hits may have the same `id`"
        );
    }

    #[test]
    fn items_are_returned_as_received() {
        let texts = ["{\"a\": [{\"_id\": 1}, \"]\"]}", "null", "[[], {}]", "\"a,\\\"b\"", "-1.5e3", "{ }"];
        let mut page = page(Cursor::Number(1), "data", &texts.join(" ,\n"));
        assert_eq!(page.texts().collect::<Vec<_>>(), texts.map(str::as_bytes));
        assert!(page.count() == 6 && page.identities().all(|identity| identity.is_none()));
        page.skipped = vec![0, 3, 4];
        let wanted: Vec<_> = (0..7).map(|taken| page.wanted(taken).map(|(index, _)| index)).collect();
        assert_eq!(wanted, [Some(1), Some(1), Some(2), Some(5), Some(5), Some(5), None]);
    }
}
