//! A list across its pages, untyped: which page comes next, and that nothing is lost, given twice or without an end.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::call::list::page::{Cursor, Page, hash};
use crate::call::list::prefetch::Ahead;
use crate::call::request::{Paging, Request};
use crate::error::{Error, Result};
use crate::response::HttpResponse;

/// Pages after which a list without a known end is taken for an endless one.
const MOST_PAGES: u64 = 100_000;
/// How many pages in a row may have nothing on them.
const MOST_EMPTY: u32 = 10;
/// How often the same page may come, if its items have no ids.
const MOST_REPEATS: u32 = 3;
/// How often in a row the same page may fail.
const MOST_FAILURES: u32 = 10;
/// How many pages further the item is searched after which a list goes on.
const MOST_AHEAD: u64 = 100;

const GATHER: &str = "gather the items first (`collect`) and change the list then, or read it again";

/// How large a list is, by its items or by its pages.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size {
    results: Option<u64>,
    pages: Option<u64>,
}

impl Size {
    fn of(page: &Page) -> Self {
        Size { results: page.results(), pages: page.pages() }
    }

    /// By how much it is larger than another one: its items, or its pages.
    fn beyond(self, other: Size) -> Option<u64> {
        let more = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_sub(b?));
        more(self.results, other.results).or_else(|| more(self.pages, other.pages))
    }
}

/// A list, and how far it was read.
#[derive(Clone)]
pub(crate) struct List {
    /// The request for the first page.
    request: Request,
    /// The page after the last one that was fetched.
    next: Option<Cursor>,
    /// Pages that were fetched and not given yet.
    waiting: VecDeque<Page>,
    /// The number of the first page.
    lowest: u64,
    first: Option<Size>,
    last: Option<Size>,
    /// Whether the list has changed while it was read: then items may come again on other pages.
    changed: bool,
    fetched: u64,
    failures: u32,
    /// Whether it has ended in an error.
    ended: bool,
    /// The items and tokens that were seen.
    seen: HashSet<u64>,
    /// The contents of whole pages, each with the last page that had it, and how often it came.
    contents: HashMap<u64, (u64, u32)>,
    /// What was seen again since there was something new, and the empty pages since.
    again: HashSet<u64>,
    empty: u32,
    last_item: Option<u64>,
    /// The last page, if it had items.
    last_page: Option<u64>,
    start: Option<Start>,
}

/// Where a list goes on that was read to some place before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Start {
    pub cursor: Cursor,
    /// The identity of the last item that was given.
    pub after: Option<u64>,
    /// How many items of the page were given, if none of them has an identity.
    pub taken: usize,
    /// How many items the list had.
    pub results: Option<u64>,
}

impl Start {
    /// A text that says the same; `operation` is the request for the first page.
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

    /// `None` if this is no such text, or one of another list.
    pub(crate) fn from_token(token: &str, operation: &str) -> Option<Self> {
        let (kind, rest) = token.trim().split_once('.')?;
        let (list, rest) = rest.split_once('.')?;
        if list != format!("{:x}", hash([operation.as_bytes()])) {
            return None;
        }
        if kind == "t" {
            let (taken, token) = rest.split_once('.')?;
            let cursor = Cursor::Token(Some(token.to_string()).filter(|token| !token.is_empty()));
            return Some(Start { cursor, after: None, taken: taken.parse().ok()?, results: None });
        }
        let [number, taken, results, after] = rest.split('.').collect::<Vec<_>>().try_into().ok()?;
        let number = number.parse().ok().filter(|number| *number > 0 && kind == "p")?;
        let number_in = |text: &str, radix| match text {
            "" => Some(None),
            text => u64::from_str_radix(text, radix).ok().map(Some),
        };
        Some(Start {
            cursor: Cursor::Number(number),
            taken: taken.parse().ok()?,
            results: number_in(results, 10)?,
            after: number_in(after, 16)?,
        })
    }
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
        List {
            request,
            next: Some(first),
            waiting: VecDeque::new(),
            lowest,
            first: None,
            last: results.map(|results| Size { results: Some(results), pages: None }),
            changed: false,
            fetched: 0,
            failures: 0,
            ended: false,
            seen: start.as_ref().and_then(|start| start.after).into_iter().collect(),
            contents: HashMap::new(),
            again: HashSet::new(),
            empty: 0,
            last_item: None,
            last_page: None,
            start,
        }
    }

    /// The error for a list that does not even have a first page.
    pub(crate) fn without_pages(&self) -> Error {
        Error::Paging { operation: self.operation(), message: "the list has no page".into() }
    }

    pub(crate) fn operation(&self) -> String {
        self.request.operation()
    }

    /// Whether a page follows.
    pub(crate) fn has_next(&self) -> bool {
        !self.ended && (self.next.is_some() || !self.waiting.is_empty())
    }

    /// Has the pages that follow fetched before they are asked for.
    pub(crate) fn send_ahead(&self, ahead: &mut Ahead) {
        if let Some(next) = &self.next {
            ahead.send(next, self.last.and_then(|size| size.pages), |cursor| self.request_for(cursor));
        }
    }

    /// The next page. After an error that passes it is fetched again by the next call, after others the list has ended.
    pub(crate) fn advance(&mut self, mut ahead: Option<&mut Ahead>) -> Result<Option<Page>> {
        if self.ended {
            return Ok(None);
        }
        if let (true, Some(cursor)) = (self.waiting.is_empty(), self.next.clone()) {
            match self.turn(cursor, ahead.as_deref_mut()) {
                Ok(()) => self.failures = 0,
                Err(e) => {
                    self.failures += 1;
                    let passes = e.is_retryable() || e.is_quota() || e.is_canceled();
                    self.ended = !passes || self.failures >= MOST_FAILURES;
                    return Err(e);
                }
            }
            if let Some(ahead) = ahead {
                self.send_ahead(ahead);
            }
        }
        Ok(self.waiting.pop_front())
    }

    /// Where the list goes on if so many items of this page were taken.
    pub(crate) fn token(&self, page: &Page, taken: usize) -> Option<String> {
        // Of a page whose items are seen and not taken, nothing is left.
        let mut reading = page.reading();
        let left = taken > 0 && std::iter::from_fn(|| page.new_item(&mut reading)).any(|(index, _)| index >= taken);
        let (cursor, taken) = match (&page.cursor, &self.next) {
            _ if left => (page.cursor.clone(), taken),
            (Cursor::Number(number), next) if next.is_some() || !self.waiting.is_empty() => {
                (Cursor::Number(number.saturating_add(1)), 0)
            }
            (Cursor::Token(_), Some(next)) => (next.clone(), 0),
            _ => return None,
        };
        let after = page.identity_before(if left { taken } else { page.count });
        Some(Start { cursor, after, taken, results: page.results() }.to_token(&self.operation()))
    }

    /// Fetches a page, and with it those before it that have other items by now.
    fn turn(&mut self, cursor: Cursor, ahead: Option<&mut Ahead>) -> Result<()> {
        if let Cursor::Token(Some(token)) = &cursor
            && self.seen.contains(&hash([b"token", token.as_bytes()]))
        {
            let message = "the server gave the token of a page again that was read before";
            return Err(self.lies(&cursor, message.into()));
        }
        let early = ahead.and_then(|ahead| Some((ahead.take(&cursor)?, ahead)));
        let page = match early {
            None => self.fetch(&cursor)?,
            Some((answer, ahead)) => {
                let page = self.read(&cursor, answer?)?;
                if self.last.is_none_or(|last| last == Size::of(&page)) || matches!(cursor, Cursor::Token(_)) {
                    page
                } else {
                    // The list has changed, and nobody knows in which order these pages were made.
                    ahead.clear();
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

    fn read(&self, cursor: &Cursor, answer: HttpResponse<()>) -> Result<Page> {
        let request = self.request_for(cursor);
        let number = match cursor {
            Cursor::Number(number) => *number,
            Cursor::Token(_) => self.fetched.saturating_add(1),
        };
        Page::read(request.operation(), self.request.list.items, cursor.clone(), number, answer)
    }

    fn lies(&self, cursor: &Cursor, message: String) -> Error {
        Error::Paging { operation: self.request_for(cursor).operation(), message }
    }

    /// The list has fewer items than before, so that some may have moved to pages that were read: reads back to a page
    /// with an item that was seen. All before that one was seen, too.
    fn look_back(&self, page: Page, fewer: u64) -> Result<Vec<Page>> {
        let lost = |page: &Page, why: &str| {
            let message = format!("the list got shorter while it was read, and {why}; {GATHER}");
            Err(self.lies(&page.cursor, message))
        };
        let far = self.pages_of(&page, fewer).saturating_add(1);
        let mut pages = VecDeque::from([page]);
        while let Some(page) = pages.front() {
            if page.items().any(|item| self.knows(page, item)) {
                break;
            }
            if page.items().any(|item| page.identity(item).is_none()) {
                return lost(page, "its items have no ids by which to find those that moved to pages before");
            }
            if self.start.is_some() && (page.number <= 1 || pages.len() as u64 > far) {
                return lost(page, "the item to continue after is no longer there");
            }
            if page.number <= 1 {
                break;
            }
            if page.number <= self.lowest {
                return lost(page, "items may have moved to pages before the one it started with");
            }
            pages.push_front(self.fetch(&Cursor::Number(page.number - 1))?);
        }
        Ok(pages.into())
    }

    /// The list has more items than when it was left: those before its place moved on by as much.
    fn look_ahead(&self, page: Page, more: u64) -> Result<Vec<Page>> {
        let far = self.pages_of(&page, more).min(MOST_AHEAD);
        let mut pages = vec![page];
        for _ in 0..far {
            let Some(page) = pages.last().filter(|page| !page.items().any(|item| self.knows(page, item))) else {
                break;
            };
            let Some(next) = &page.next else { break };
            pages.push(self.fetch(next)?);
        }
        Ok(pages)
    }

    /// How many pages so many items, or pages, are.
    fn pages_of(&self, page: &Page, more: u64) -> u64 {
        let limit = page.info.as_ref().and_then(|info| info.limit_per_page).unwrap_or(1).max(1);
        let by_items = page.results().is_some() && self.last.is_some_and(|last| last.results.is_some());
        if by_items { more.div_ceil(limit) } else { more }
    }

    /// Takes pages as those that follow.
    fn admit_all(&mut self, mut pages: Vec<Page>) -> Result<()> {
        let mut wanted = 0;
        if let Some(start) = self.start.take() {
            let is_last = |page: &Page, item| start.after.is_some() && page.identity(item) == start.after;
            let place = pages.iter().position(|page| page.items().any(|item| is_last(page, item)));
            let skipped = match place {
                Some(place) => {
                    pages[place].items().position(|item| is_last(&pages[place], item)).map_or(0, |at| at + 1)
                }
                None if start.after.is_none() => start.taken,
                None => 0,
            };
            wanted = place.unwrap_or(0);
            if let Some(page) = pages.get_mut(wanted) {
                page.repeated = (0..skipped.min(page.count)).collect();
            }
        }
        let last = pages.len().saturating_sub(1);
        for (place, page) in pages.into_iter().enumerate() {
            if place == last || (place >= wanted && page.count > 0) {
                self.admit(page)?;
            }
        }
        Ok(())
    }

    /// Takes a page as the one that follows, unless it shows that the list has no end.
    fn admit(&mut self, mut page: Page) -> Result<()> {
        let size = Size::of(&page);
        let first = *self.first.get_or_insert(size);
        let most = first.pages.map_or(MOST_PAGES, |pages| pages.saturating_mul(2).saturating_add(1000));
        if self.fetched >= most {
            return Err(self.lies(&page.cursor, format!("the list does not end, {} pages were read", self.fetched)));
        }
        if let Cursor::Token(Some(token)) = &page.cursor {
            self.seen.insert(hash([b"token", token.as_bytes()]));
        }
        let content = hash(page.items());
        let (same, times) = self.contents.get(&content).map_or((None, 0), |(page, times)| (Some(*page), *times));
        // Without ids, some hits of a search may be like others.
        let repeats = times >= MOST_REPEATS || same.is_some_and(|page| Some(page) == self.last_page);
        let skipped = std::mem::take(&mut page.repeated);
        let (mut repeated, mut last_item) = (Vec::new(), None);
        let (mut new, mut again) = (page.count == 0 || !skipped.is_empty(), true);
        for (index, item) in page.items().enumerate() {
            last_item = page.identity(item);
            let is_new = match last_item {
                Some(identity) => self.seen.insert(identity),
                None => !repeats,
            };
            new |= is_new;
            if !is_new {
                again &= !self.again.insert(last_item.unwrap_or(content));
            }
            if index < skipped.len() || (!is_new && last_item.is_some()) {
                repeated.push(index);
            }
        }
        self.changed |= size != first;
        if !new && (again || !self.changed) {
            let number = page.number;
            let message = match same {
                Some(before) => format!("the server gave page {before} again as page {number}"),
                None => format!("page {number} has nothing but items that were given before"),
            };
            return Err(self.lies(&page.cursor, message));
        }
        if page.count == 0 {
            self.empty += 1;
            if self.empty > MOST_EMPTY && page.next.is_some() {
                let message = format!("the list does not end, {} pages in a row are empty", self.empty);
                return Err(self.lies(&page.cursor, message));
            }
        } else {
            self.contents.insert(content, (page.number, times + 1));
            self.empty = 0;
            if new {
                self.again.clear();
            }
        }
        self.last_page = (page.count > 0).then_some(page.number);
        page.before = self.last_item;
        self.last_item = last_item.or(self.last_item);
        page.repeated = repeated;
        self.fetched += 1;
        self.last = Some(size);
        self.next.clone_from(&page.next);
        self.waiting.push_back(page);
        Ok(())
    }

    fn knows(&self, page: &Page, item: &[u8]) -> bool {
        page.identity(item).is_some_and(|identity| self.seen.contains(&identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
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
    }
}
