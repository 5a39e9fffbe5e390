//! The guard of a list. It checks that the list ends and that each page contains something new.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};

use crate::call::list::page::{Cursor, Page, hash};

/// The number of pages after which a list of unknown length counts as endless.
const MAX_PAGES: u64 = 100_000;
/// The maximum number of pages of a list that reports its length, whatever it reports. It amounts to 50 million items.
const MAX_KNOWN_PAGES: u64 = 1_000_000;
/// The maximum number of consecutive empty pages.
const MAX_EMPTY: u32 = 10;
/// The maximum number of times that the same page may be returned, if its items have no ids.
const MAX_REPEATS: u32 = 3;

/// The size of a list, as one of its pages reports it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size {
    pub results: Option<u64>,
    pub pages: Option<u64>,
}

impl Size {
    pub(crate) fn of(page: &Page) -> Self {
        Size { results: page.results(), pages: page.pages() }
    }

    /// Returns by how much this size exceeds the other, in items if known and otherwise in pages. It is 0 if it does
    /// not.
    pub(crate) fn beyond(self, other: Size) -> Option<u64> {
        let more = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_sub(b?));
        more(self.results, other.results).or_else(|| more(self.pages, other.pages))
    }
}

/// The pages that a list has returned so far, remembered to recognize repetitions.
#[derive(Clone, Default)]
pub(crate) struct Guard {
    first: Option<Size>,
    /// The number of pages after which the list counts as endless.
    max_pages: u64,
    /// The number of pages admitted.
    pages: u64,
    /// The number of items on the admitted pages that were not returned before.
    items: u64,
    /// Whether the size of the list changed while it was read. If so, items may be returned again on other pages.
    changed: bool,
    /// The identities of items and the hashes of tokens.
    seen: HashSet<u64>,
    /// The contents of whole pages: for each, the last page that had it, and how often it was returned.
    contents: HashMap<u64, (u64, u32)>,
    /// The items that were repeated since the last new one.
    again: HashSet<u64>,
    /// The number of consecutive empty pages.
    empty: u32,
    /// The number of the last page.
    last_page: u64,
}

impl Guard {
    /// Creates the guard of a list, with the item that the list continues after, if any.
    pub(crate) fn new(after: Option<u64>) -> Self {
        Guard { seen: after.into_iter().collect(), ..Guard::default() }
    }

    /// Returns the number of pages admitted.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// Returns the number of items read, and the number that the list reported on every page, if that is larger.
    pub(crate) fn shortfall(&self) -> Option<(u64, u64)> {
        let results = self.first?.results.filter(|_| !self.changed)?;
        (self.items < results).then_some((self.items, results))
    }

    /// Says whether any item of the page was seen before.
    pub(crate) fn knows_any(&self, page: &Page) -> bool {
        page.identities().flatten().any(|identity| self.seen.contains(&identity))
    }

    /// Says whether the page with this token was read before.
    pub(crate) fn knows_token(&self, cursor: &Cursor) -> bool {
        token_hash(cursor).is_some_and(|token| self.seen.contains(&token))
    }

    /// Admits a page as the next one and marks its repeated items to be skipped, or says why the list cannot be
    /// trusted.
    pub(crate) fn admit(&mut self, page: &mut Page) -> Result<(), String> {
        self.check_end(page)?;
        self.seen.extend(token_hash(&page.cursor));
        let has_news = self.note_items(page)?;
        if page.count() == 0 {
            self.empty += 1;
            if self.empty > MAX_EMPTY && page.next.is_some() {
                return Err(format!("the list does not end: {} pages in a row are empty", self.empty));
            }
        } else {
            self.empty = 0;
            if has_news {
                self.again.clear();
            }
        }
        self.last_page = page.number;
        self.pages += 1;
        self.items += (page.count() - page.skipped.len()) as u64;
        Ok(())
    }

    /// Checks that the list is not longer than its first page allows.
    fn check_end(&mut self, page: &Page) -> Result<(), String> {
        let size = Size::of(page);
        let first = *self.first.get_or_insert_with(|| {
            self.max_pages = max_pages(page);
            size
        });
        self.changed |= size != first;
        if self.pages >= self.max_pages {
            return Err(format!("the list does not end: {} pages were read", self.pages));
        }
        Ok(())
    }

    /// Records the items of a page, and says whether any of them is new or the page is empty. If none is new and no
    /// change of the list explains it, this is an error.
    fn note_items(&mut self, page: &mut Page) -> Result<bool, String> {
        let skipped = page.skipped.len();
        let content = content_hash(page);
        let (before, times) = self.contents.get(&content).map_or((None, 0), |(page, times)| (Some(*page), *times));
        // Items without ids, such as the hits of a search, may legitimately be equal to others.
        let repeats = times >= MAX_REPEATS || before == Some(self.last_page);
        let mut has_news = page.count() == 0 || skipped > 0;
        let (mut all_again, mut known) = (true, Vec::new());
        for (index, identity) in page.identities().enumerate() {
            let is_new = match identity {
                Some(identity) => self.seen.insert(identity),
                None => !repeats,
            };
            has_news |= is_new;
            if !is_new {
                all_again &= !self.again.insert(identity.unwrap_or(content));
            }
            if index < skipped || (!is_new && identity.is_some()) {
                known.push(index);
            }
        }
        page.skipped = known;
        if !has_news && (all_again || !self.changed) {
            let number = page.number;
            return Err(match before {
                Some(before) => format!("the server returned page {before} again as page {number}"),
                None => format!("page {number} contains only items of earlier pages"),
            });
        }
        if page.count() > 0 {
            self.contents.insert(content, (page.number, times + 1));
        }
        Ok(has_news)
    }
}

/// Hashes the items of a page: their identities, or their texts if they have none.
fn content_hash(page: &Page) -> u64 {
    // The hash is compared only within this process, so the standard hasher, which is faster than a stable one, will
    // do.
    let mut hasher = DefaultHasher::new();
    for (identity, text) in page.identities().zip(page.texts()) {
        match identity {
            Some(identity) => hasher.write_u64(identity),
            None => hasher.write(text),
        }
        hasher.write_u8(b'\n');
    }
    hasher.finish()
}

/// Returns the maximum number of pages that a list can have according to its first page. There is room for the list to
/// double, and some more, while it is read. A reported number of pages counts only up to what the number of items
/// implies, because some servers report a constant.
fn max_pages(page: &Page) -> u64 {
    let limit = page.info.as_ref().and_then(|info| info.limit_per_page).filter(|limit| *limit > 0);
    let by_items = limit.and_then(|limit| Some(page.results()?.div_ceil(limit)));
    match [page.pages(), by_items].into_iter().flatten().min() {
        Some(pages) => pages.saturating_mul(2).saturating_add(1000).min(MAX_KNOWN_PAGES),
        None => MAX_PAGES,
    }
}

fn token_hash(cursor: &Cursor) -> Option<u64> {
    match cursor {
        Cursor::Token(Some(token)) => Some(hash([b"token", token.as_bytes()])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::HttpResponse;

    fn page(info: &str) -> Page {
        numbered(1, "", info)
    }

    fn numbered(number: u64, items: &str, info: &str) -> Page {
        let body = format!("{{\"data\": [{items}], \"page_info\": {info}}}").into_bytes();
        let response = HttpResponse { body, ..HttpResponse::default() };
        Page::read("GET /things".into(), "data", Cursor::Number(number), number, response).unwrap()
    }

    #[test]
    fn a_page_without_ids_may_recur_but_not_in_a_row() {
        let (a, b) = (r#"{"rank": 1}"#, r#"{"rank": 2}"#);
        for (pages, expected) in [
            (vec![a, a], "the server returned page 1 again as page 2"),
            (vec![a, b, b], "the server returned page 2 again as page 3"),
            (vec![a, b, a, b, a, b, a], "the server returned page 5 again as page 7"),
        ] {
            let mut guard = Guard::default();
            let mut admit = |number, items| guard.admit(&mut numbered(number, items, "{}"));
            let results: Vec<_> = (1..).zip(pages).map(|(number, items)| admit(number, items)).collect();
            let (last, earlier) = results.split_last().unwrap();
            assert!(earlier.iter().all(Result::is_ok), "{earlier:?}");
            assert_eq!(last, &Err(expected.to_string()));
        }
    }

    #[test]
    fn the_guard_limits_a_list_by_its_reported_size() {
        for (info, max) in [
            ("{}", MAX_PAGES),
            (r#"{"total_page": 18446744073709551615}"#, MAX_KNOWN_PAGES),
            (r#"{"total_page": 1000000000, "total_results": 4, "limit_per_page": 10}"#, 1002),
            (r#"{"total_page": 1000000000, "total_results": 4}"#, MAX_KNOWN_PAGES),
            (r#"{"total_page": 3, "total_results": 101, "limit_per_page": 50}"#, 1006),
            (r#"{"total_page": 3, "total_results": 1000000, "limit_per_page": 50}"#, 1006),
            (r#"{"total_results": 101, "limit_per_page": 50}"#, 1006),
            (r#"{"total_results": 101, "limit_per_page": 0}"#, MAX_PAGES),
        ] {
            assert_eq!(max_pages(&page(info)), max, "{info}");
        }
        let mut guard = Guard::default();
        guard.admit(&mut page("{}")).unwrap();
        guard.pages = MAX_PAGES - 1;
        guard.empty = 0;
        guard.admit(&mut page("{}")).unwrap();
        let e = guard.admit(&mut page("{}")).unwrap_err();
        assert_eq!(e, "the list does not end: 100000 pages were read");
    }
}
