//! The untyped walk along the pages of a list. It decides which page comes next, and ensures that no item is lost or
//! returned twice.

use std::collections::VecDeque;

use crate::call::json::watch::Watch;
use crate::call::list::guard::{Guard, Size};
use crate::call::list::page::{Cursor, Page, hash};
use crate::call::list::prefetch::Prefetch;
use crate::call::request::{Paging, Request};
use crate::error::{Error, Result};
use crate::response::HttpResponse;

/// The maximum number of consecutive failures to fetch the same page.
const MAX_FAILURES: u32 = 10;
/// The maximum number of pages searched for the item after which a list continues.
const MAX_AHEAD: u64 = 100;
/// The maximum number of pages read backwards, beyond the pages by which the list shrank. More items may have been
/// deleted than the difference shows, if others were added at the end.
const MAX_BACK: u64 = 10;

const GATHER: &str = "collect the items first (`collect`) and then change the list, or read the list again";

/// A list, and the position up to which it was read.
#[derive(Clone)]
pub(crate) struct List {
    /// The request for the first page.
    request: Request,
    /// The position of the page after the last one fetched.
    next: Option<Cursor>,
    /// Pages that were fetched but not returned yet.
    waiting: VecDeque<Page>,
    /// The number of the first page read.
    lowest: u64,
    /// The size of the list as of the last page fetched.
    last: Option<Size>,
    /// The number of consecutive failures to fetch the next page.
    failures: u32,
    /// Whether the list has ended in an error.
    ended: bool,
    /// Whether the list is read from its first page, and not from a later one.
    is_whole: bool,
    /// The identity of the last item of the last page, or of the item before that page if it is empty.
    last_item: Option<u64>,
    /// The place at which the list continues, until the first page was read.
    start: Option<Start>,
    guard: Guard,
}

/// The place at which a partly read list continues.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Start {
    pub cursor: Cursor,
    /// The identity of the last item returned.
    pub after: Option<u64>,
    /// The number of items of the page that were returned, for pages whose items have no identities.
    pub taken: usize,
    /// The number of items in the list at that time.
    pub results: Option<u64>,
}

impl Start {
    /// Returns the token for this place. `operation` is the request for the first page.
    fn to_token(&self, operation: &str) -> String {
        let list = hash([operation.as_bytes()]);
        let taken = self.taken;
        match &self.cursor {
            Cursor::Number(number) => {
                let results = self.results.map(|results| results.to_string()).unwrap_or_default();
                let after = self.after.map(|after| format!("{after:x}")).unwrap_or_default();
                format!("p.{list:x}.{number}.{taken}.{results}.{after}")
            }
            Cursor::Token(token) => format!("t.{list:x}.{taken}.{}", token.as_deref().unwrap_or_default()),
        }
    }

    /// Parses a token. Returns `None` if it is not a token, or belongs to another list.
    pub(crate) fn from_token(token: &str, operation: &str) -> Option<Self> {
        let (kind, rest) = token.trim().split_once('.')?;
        let (list, rest) = rest.split_once('.')?;
        if list != format!("{:x}", hash([operation.as_bytes()])) {
            return None;
        }
        if kind == "t" {
            let (taken, token) = rest.split_once('.')?;
            let cursor = Cursor::Token(Some(token.to_string()).filter(|token| !token.is_empty()));
            return Some(Start {
                cursor,
                after: None,
                taken: usize::try_from(digits(taken, 10)?).ok()?,
                results: None,
            });
        }
        let [number, taken, results, after] = rest.split('.').collect::<Vec<_>>().try_into().ok()?;
        let number = digits(number, 10).filter(|number| *number > 0 && kind == "p")?;
        let optional = |text: &str, radix| if text.is_empty() { Some(None) } else { digits(text, radix).map(Some) };
        Some(Start {
            cursor: Cursor::Number(number),
            taken: usize::try_from(digits(taken, 10)?).ok()?,
            results: optional(results, 10)?,
            after: optional(after, 16)?,
        })
    }
}

/// Parses a number as this crate writes it in tokens. The standard library would also accept a sign.
fn digits(text: &str, radix: u32) -> Option<u64> {
    let is_plain = text.chars().all(|c| c.is_digit(radix));
    u64::from_str_radix(text, radix).ok().filter(|_| is_plain)
}

impl List {
    pub(crate) fn new(request: Request, start: Option<Start>) -> Self {
        let first = match (&start, request.list.paging) {
            (Some(start), _) => start.cursor.clone(),
            (None, Paging::Number) => {
                Cursor::Number(request.text("page").and_then(|page| page.parse().ok()).unwrap_or(1))
            }
            (None, Paging::Token(_)) => Cursor::Token(None),
        };
        let lowest = match first {
            Cursor::Number(number) if start.is_none() => number,
            _ => 1,
        };
        let results = start.as_ref().and_then(|start| start.results);
        let is_whole = start.is_none() && first == Cursor::Number(1);
        List {
            request,
            next: Some(first),
            waiting: VecDeque::new(),
            lowest,
            last: results.map(|results| Size { results: Some(results), pages: None }),
            failures: 0,
            ended: false,
            is_whole,
            last_item: None,
            guard: Guard::new(start.as_ref().and_then(|start| start.after)),
            start,
        }
    }

    /// Returns the first page, which every list has.
    pub(crate) fn first_page(&mut self) -> Result<Page> {
        match self.advance(None)? {
            Some(page) => Ok(page),
            None => Err(Error::Paging { operation: self.operation(), message: "the list has no page".into() }),
        }
    }

    /// Watches only the cancel handle of the list. Its deadline applies to each request, and items are decoded at any
    /// later time.
    pub(crate) fn watch(&self) -> Watch {
        Watch::cancellation(self.request.options.cancel.as_ref())
    }

    pub(crate) fn operation(&self) -> String {
        self.request.operation()
    }

    /// Says whether there is another page.
    pub(crate) fn has_next(&self) -> bool {
        !self.ended && (self.next.is_some() || !self.waiting.is_empty())
    }

    /// Starts fetching the following pages ahead.
    pub(crate) fn start_prefetch(&self, prefetch: &mut Prefetch) {
        if let Some(next) = &self.next {
            prefetch.start(next, self.last.and_then(|size| size.pages), |cursor| self.request_for(cursor));
        }
    }

    /// Returns the next page. After a temporary error, the next call fetches it again; after any other error, the list
    /// has ended.
    pub(crate) fn advance(&mut self, mut prefetch: Option<&mut Prefetch>) -> Result<Option<Page>> {
        if self.ended {
            return Ok(None);
        }
        if let (true, Some(cursor)) = (self.waiting.is_empty(), self.next.clone()) {
            match self.fetch_next(cursor, prefetch.as_deref_mut()) {
                Ok(()) => self.failures = 0,
                Err(e) => {
                    self.failures += 1;
                    let is_temporary = e.is_retryable() || e.is_quota() || e.is_canceled();
                    self.ended = !is_temporary || self.failures >= MAX_FAILURES;
                    return Err(e);
                }
            }
            if let Some(prefetch) = prefetch {
                self.start_prefetch(prefetch);
            }
        }
        Ok(self.waiting.pop_front())
    }

    /// Returns the token for continuing the list after the first `taken` items of this page.
    pub(crate) fn token(&self, page: &Page, taken: usize) -> Option<String> {
        // A page of which no item was taken counts as read, because its items may have been looked at instead.
        let has_more = taken > 0 && page.wanted(taken).is_some();
        let (cursor, taken) = match (&page.cursor, &self.next) {
            _ if has_more => (page.cursor.clone(), taken),
            (Cursor::Number(number), next) if next.is_some() || !self.waiting.is_empty() => {
                (Cursor::Number(number.saturating_add(1)), 0)
            }
            (Cursor::Token(_), Some(next)) => (next.clone(), 0),
            _ => return None,
        };
        let after = page.identity_before(if has_more { taken } else { page.count() });
        Some(Start { cursor, after, taken, results: page.results() }.to_token(&self.operation()))
    }

    /// Fetches a page, and also earlier or later pages if items have moved there in the meantime.
    fn fetch_next(&mut self, cursor: Cursor, prefetch: Option<&mut Prefetch>) -> Result<()> {
        if self.guard.knows_token(&cursor) {
            let message = "the server returned the token of a page that was already read";
            return Err(self.paging_error(&cursor, message.into()));
        }
        let early = prefetch.and_then(|prefetch| Some((prefetch.take(&cursor)?, prefetch)));
        let page = match early {
            None => self.fetch(&cursor)?,
            Some((response, prefetch)) => {
                let page = self.read(&cursor, response?)?;
                if self.last.is_none_or(|last| last == Size::of(&page)) || matches!(cursor, Cursor::Token(_)) {
                    page
                } else {
                    // The list has changed, and the order in which the server created the prefetched pages is unknown.
                    prefetch.clear();
                    self.fetch(&cursor)?
                }
            }
        };
        let size = Size::of(&page);
        let fewer = self.last.and_then(|last| last.beyond(size)).unwrap_or(0);
        let more = self.last.and_then(|last| size.beyond(last)).unwrap_or(0);
        let pages = match cursor {
            Cursor::Number(_) if fewer > 0 => self.look_back(page, fewer)?,
            Cursor::Number(_) if more > 0 && self.start.is_some() => self.look_ahead(page, more)?,
            _ => vec![page],
        };
        self.admit_all(pages)
    }

    fn request_for(&self, cursor: &Cursor) -> Request {
        match (cursor, self.request.list.paging) {
            (Cursor::Number(number), _) => self.request.with_query("page", &number.to_string()),
            (Cursor::Token(Some(token)), Paging::Token(request)) => request(&self.request, token),
            _ => self.request.clone(),
        }
    }

    fn fetch(&self, cursor: &Cursor) -> Result<Page> {
        self.read(cursor, self.request_for(cursor).execute()?)
    }

    fn read(&self, cursor: &Cursor, response: HttpResponse<()>) -> Result<Page> {
        let request = self.request_for(cursor);
        let number = match cursor {
            Cursor::Number(number) => *number,
            Cursor::Token(_) => self.guard.pages().saturating_add(1),
        };
        Page::read(request.operation(), self.request.list.items, cursor.clone(), number, response)
    }

    fn paging_error(&self, cursor: &Cursor, message: String) -> Error {
        Error::Paging { operation: self.request_for(cursor).operation(), message }
    }

    /// Fetches the pages before this one, back to one that contains a known item, because everything before that item
    /// is known too. It is called when the list has shrunk, since unread items may have moved to those pages.
    fn look_back(&self, page: Page, fewer: u64) -> Result<Vec<Page>> {
        let lost = |page: &Page, why: &str| {
            let message = format!("the list shrank while it was read, and {why}; {GATHER}");
            Err(self.paging_error(&page.cursor, message))
        };
        let moved = self.pages_of(&page, fewer).saturating_add(1);
        let mut pages = VecDeque::from([page]);
        while let Some(page) = pages.front() {
            if self.guard.knows_any(page) {
                break;
            }
            if page.identities().any(|identity| identity.is_none()) {
                return lost(page, "its items have no ids, so items that moved to earlier pages cannot be found");
            }
            if self.start.is_some() && (page.number <= 1 || pages.len() as u64 > moved) {
                return lost(page, "the item to continue after is no longer there");
            }
            if page.number <= 1 {
                break;
            }
            if page.number <= self.lowest {
                return lost(page, "items may have moved to pages before its first page");
            }
            // Each of these pages takes a request. Without this limit, a list that always returns new pages would take
            // more and more.
            if pages.len() as u64 > moved.saturating_add(MAX_BACK) {
                return lost(page, "the earlier pages contain only new items");
            }
            pages.push_front(self.fetch(&Cursor::Number(page.number - 1))?);
        }
        Ok(pages.into())
    }

    /// Fetches the pages after this one, up to the one with the item after which the list continues. The list has grown
    /// since it was left, and that item may have moved on by as much.
    fn look_ahead(&self, page: Page, more: u64) -> Result<Vec<Page>> {
        let moved = self.pages_of(&page, more).min(MAX_AHEAD);
        let mut pages = vec![page];
        for _ in 0..moved {
            let Some(page) = pages.last().filter(|page| !self.guard.knows_any(page)) else { break };
            let Some(next) = &page.next else { break };
            pages.push(self.fetch(next)?);
        }
        Ok(pages)
    }

    /// Converts a difference of sizes to a number of pages.
    fn pages_of(&self, page: &Page, more: u64) -> u64 {
        let limit = page.info.as_ref().and_then(|info| info.limit_per_page).unwrap_or(1).max(1);
        let by_items = page.results().is_some() && self.last.is_some_and(|last| last.results.is_some());
        if by_items { more.div_ceil(limit) } else { more }
    }

    /// Admits pages as the next ones. If the list continues after an item, the items up to it are skipped.
    fn admit_all(&mut self, mut pages: Vec<Page>) -> Result<()> {
        let mut wanted = 0;
        if let Some(start) = self.start.take() {
            let position = |page: &Page| page.identities().position(|identity| identity == start.after);
            let found = start
                .after
                .and_then(|_| pages.iter().enumerate().find_map(|(place, page)| Some((place, position(page)? + 1))));
            let skipped = match found {
                Some((place, skipped)) => {
                    wanted = place;
                    skipped
                }
                None if start.after.is_none() => start.taken,
                None => 0,
            };
            if let Some(page) = pages.get_mut(wanted) {
                page.skipped = (0..skipped.min(page.count())).collect();
            }
        }
        let last = pages.len().saturating_sub(1);
        for (place, page) in pages.into_iter().enumerate() {
            if place == last || (place >= wanted && page.count() > 0) {
                self.admit(page)?;
            }
        }
        Ok(())
    }

    /// Admits a page as the next one, unless it shows that the list cannot be trusted.
    fn admit(&mut self, mut page: Page) -> Result<()> {
        self.guard.admit(&mut page).map_err(|message| self.paging_error(&page.cursor, message))?;
        page.before = self.last_item;
        self.last_item = page.identity_before(page.count());
        self.last = Some(Size::of(&page));
        self.next.clone_from(&page.next);
        // This is only a warning: a server may count items that it does not return, such as deleted ones. An error
        // would then end every reading of such a list.
        if let (None, true, Some((items, results))) = (&self.next, self.is_whole, self.guard.shortfall()) {
            log::warn!(
                "{}: the list ended after {items} items, although the platform reports {results}",
                self.operation()
            );
        }
        self.waiting.push_back(page);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip() {
        let number = Start { cursor: Cursor::Number(7), after: Some(u64::MAX), taken: 0, results: Some(169) };
        let bare = Start { cursor: Cursor::Number(1), after: None, taken: 3, results: None };
        let token = Start { cursor: Cursor::Token(Some("a.b/c".into())), after: None, taken: 2, results: None };
        let first = Start { cursor: Cursor::Token(None), after: None, taken: 2, results: None };
        for start in [number, bare, token, first] {
            let token = start.to_token("GET /assets");
            assert_eq!(Start::from_token(&token, "GET /assets"), Some(start), "{token}");
            assert_eq!(Start::from_token(&token, "GET /indexes"), None, "{token}");
        }
        let list = format!("{:x}", hash([&b"GET /assets"[..]]));
        for bad in
            ["", "7", "p", "p.1.2.3..", &format!("p.{list}.0.0.."), &format!("p.{list}.1.0.x."), &format!("t.{list}")]
        {
            assert_eq!(Start::from_token(bad, "GET /assets"), None, "{bad}");
        }
        for rest in ["+1.0..", "1.+0..", "1.0.+5.", "1.0..+f", "1.0..-f", "1.0.. f", "1.0.-5.", "-1.0.."] {
            assert_eq!(Start::from_token(&format!("p.{list}.{rest}"), "GET /assets"), None, "{rest}");
        }
    }
}
