//! Lists that come in pages.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter::FusedIterator;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::call::decode;
use crate::call::request::{Paging, Request};
use crate::call::{Output, sealed};
use crate::error::{Error, Result};
use crate::response::HttpResponse;
use crate::text::excerpt;

/// Pages after which a list without a known end is taken for an endless one.
const MOST_PAGES: u64 = 100_000;

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

/// A list across its pages: an iterator that asks for the next page when the items of this one are used up.
///
/// The items come in order, and one that moves to the next page because others arrived is given once. N pages cost
/// N requests. An item that cannot be decoded is an error in its place and the rest follow; a page that cannot be
/// fetched is one error, and then the list has ended. A server that repeats a page or a token, or never ends, is an
/// error. The settings of the first request, its [`RequestOptions`](crate::RequestOptions) too, hold for all pages.
///
/// ```no_run
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// for asset in client.assets().list().page_limit(50).send()? {
///     println!("{}", asset?.id);
/// }
/// // or page by page
/// for page in client.assets().list().send()?.iter_pages() {
///     println!("{} items", page?.items().len());
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
pub struct SyncPager<T> {
    /// The request for the first page.
    request: Request,
    items: std::vec::IntoIter<Result<T>>,
    info: Option<PageInfo>,
    response: HttpResponse<()>,
    /// The page after this one.
    next: Option<Cursor>,
    trail: Trail,
}

/// Which page is asked for.
#[derive(Clone)]
enum Cursor {
    Number(u64),
    /// Of a list whose pages have tokens. The first page has none.
    Token(Option<String>),
}

/// What is known of the pages so far: the guard against lists that repeat themselves or never end.
#[derive(Clone, Default)]
struct Trail {
    /// The items and tokens that were seen.
    seen: HashSet<u64>,
    /// The number of pages when the list began, and how many were fetched.
    expected: Option<u64>,
    fetched: u64,
    /// The content of the last page.
    content: u64,
}

/// The fields of a page as they came, of which one has the items.
type Page<'a> = HashMap<String, &'a RawValue>;

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(rename = "_id", borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    task_id: Option<&'a RawValue>,
    #[serde(borrow)]
    batch_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Next {
    next_page_token: Option<String>,
}

impl<T: DeserializeOwned + 'static> sealed::Sealed for SyncPager<T> {}

impl<T: DeserializeOwned + 'static> Output for SyncPager<T> {
    fn receive(mut request: Request) -> Result<HttpResponse<Self>> {
        for name in ["page", "page_limit"] {
            if request.text(name) == Some("0") {
                let range = if name == "page" { "pages are counted from 1" } else { "the platform allows 1 to 50" };
                request.reject(name, &format!("0 is not possible, {range}"));
            }
        }
        let first = match request.paging {
            Paging::Number => Cursor::Number(request.text("page").and_then(|page| page.parse().ok()).unwrap_or(1)),
            Paging::Token(_) => Cursor::Token(None),
        };
        let pager = SyncPager::fetch(request, first, Trail::default())?;
        let response = pager.response.clone();
        Ok(response.with(pager))
    }
}

impl<T: DeserializeOwned + 'static> SyncPager<T> {
    fn fetch(first: Request, cursor: Cursor, mut trail: Trail) -> Result<Self> {
        let request = match (&cursor, first.paging) {
            (Cursor::Number(number), _) => first.with_query("page", &number.to_string()),
            (Cursor::Token(Some(token)), Paging::Token(request)) => request(&first, token),
            _ => first.clone(),
        };
        let operation = request.operation();
        let lies = |message: String| Error::Paging { operation: operation.clone(), message };
        if let Cursor::Token(Some(token)) = &cursor {
            if !trail.seen.insert(hash(&("token", token))) {
                return Err(lies("the server gave the token of a page again that was read before".into()));
            }
        }
        let response = request.execute()?;
        let fail = |message: String| Error::Decode {
            operation: operation.clone(),
            message,
            response: Box::new(response.clone()),
        };
        let not_a_list = || {
            // Either no JSON at all, which this says well, or of a shape that is no list.
            let described = decode::body::<Value>(&operation, &response).err();
            described.unwrap_or_else(|| fail(format!("this is not a list: {}", excerpt(&response.body))))
        };
        let page: Page = serde_json::from_slice(&response.body).map_err(|_| not_a_list())?;
        let mut info: Option<PageInfo> =
            page.get("page_info").and_then(|info| decode::from_json(info.get().as_bytes()).ok());
        let raw: Option<Vec<&RawValue>> = match page.get(first.items) {
            Some(items) => serde_json::from_str(items.get()).map_err(|_| not_a_list())?,
            None => None,
        };
        if raw.is_none() && info.is_none() {
            return Err(fail(format!("the answer has no `{}`: {}", first.items, excerpt(&response.body))));
        }
        let raw = raw.unwrap_or_default();
        let number = match cursor {
            Cursor::Number(number) => number,
            Cursor::Token(_) => trail.fetched.saturating_add(1),
        };
        if let Some(page) = info.as_ref().and_then(|info| info.page).filter(|page| *page != number) {
            return Err(lies(format!("page {number} was asked for, the server gave page {page}")));
        }
        let content = hash(&raw.iter().map(|item| item.get()).collect::<Vec<_>>());
        if trail.fetched > 0 && !raw.is_empty() && content == trail.content {
            return Err(lies(format!("the server gave page {} again as page {number}", number - 1)));
        }
        let next = match cursor {
            Cursor::Number(number) => {
                let total = info.as_ref().and_then(total_pages);
                trail.expected = trail.expected.or(total);
                let more = total.map_or(!raw.is_empty(), |total| number < total);
                more.then(|| Cursor::Number(number.saturating_add(1)))
            }
            Cursor::Token(_) => {
                // Strictly: a token that cannot be read would end the list in silence.
                let field = |name: &str| page.get(name).map_or("null", |field| field.get());
                let within: Option<Next> = serde_json::from_str(field("page_info"))
                    .map_err(|e| fail(format!("`page_info.next_page_token`: {e}")))?;
                let beside: Option<String> = serde_json::from_str(field("next_page_token"))
                    .map_err(|e| fail(format!("`next_page_token`: {e}")))?;
                if beside.is_some() {
                    info.get_or_insert_default().next_page_token.clone_from(&beside);
                }
                let token = within.and_then(|next| next.next_page_token).or(beside).filter(|token| !token.is_empty());
                token.map(|token| Cursor::Token(Some(token)))
            }
        };
        if trail.fetched >= trail.expected.map_or(MOST_PAGES, |pages| pages.saturating_mul(2).saturating_add(1000)) {
            return Err(lies(format!("the list does not end, {} pages were read", trail.fetched)));
        }
        let items: Vec<Result<T>> = raw
            .into_iter()
            .enumerate()
            .filter(|(_, item)| is_new(item, &mut trail.seen))
            .map(|(index, item)| {
                decode::from_json(item.get().as_bytes())
                    .map_err(|why| fail(format!("item {index} of page {number}: {why}")))
            })
            .collect();
        trail.fetched += 1;
        trail.content = content;
        Ok(SyncPager { request: first, items: items.into_iter(), info, response, next, trail })
    }

    /// Fetches the page after this one, or gives `None` if this is the last.
    pub fn next_page(&self) -> Result<Option<Self>> {
        let fetch = |next: &Cursor| Self::fetch(self.request.clone(), next.clone(), self.trail.clone());
        self.next.as_ref().map(fetch).transpose()
    }

    /// The pages instead of the items: this one, then the rest.
    pub fn iter_pages(self) -> Pages<T> {
        Pages { next: Some(Ok(self)) }
    }
}

impl<T> SyncPager<T> {
    /// The items of this page that were not taken yet.
    pub fn items(&self) -> &[Result<T>] {
        self.items.as_slice()
    }

    /// Whether there is a page after this one.
    pub fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Where this page stands, if the platform says so.
    pub fn page_info(&self) -> Option<&PageInfo> {
        self.info.as_ref()
    }

    /// The answer that this page came in, as another type.
    pub(crate) fn decode_response<U: DeserializeOwned + 'static>(&self) -> Result<U> {
        decode::body(&self.request.operation(), &self.response)
    }

    /// The answer that this page came in.
    pub fn response(&self) -> &HttpResponse<()> {
        &self.response
    }
}

impl<T: DeserializeOwned + 'static> Iterator for SyncPager<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(item);
            }
            let next = self.next.take()?;
            match Self::fetch(self.request.clone(), next, std::mem::take(&mut self.trail)) {
                Ok(page) => *self = page,
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for SyncPager<T> {}

impl<T> fmt::Debug for SyncPager<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncPager")
            .field("items", &self.items.len())
            .field("page_info", &self.info)
            .finish_non_exhaustive()
    }
}

/// The pages of a list, see [`SyncPager::iter_pages`].
#[derive(Debug)]
pub struct Pages<T> {
    next: Option<Result<SyncPager<T>>>,
}

impl<T: DeserializeOwned + 'static> Iterator for Pages<T> {
    type Item = Result<SyncPager<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        let page = self.next.take()?;
        if let Ok(page) = &page {
            self.next = page.next_page().transpose();
        }
        Some(page)
    }
}

fn total_pages(info: &PageInfo) -> Option<u64> {
    let by_items = || Some(info.total_results?.div_ceil(info.limit_per_page.filter(|limit| *limit > 0)?));
    info.total_page.or_else(by_items)
}

/// Whether the item was not given before. Only an id tells.
fn is_new(item: &RawValue, seen: &mut HashSet<u64>) -> bool {
    let Ok(Identity { id, task_id, batch_id }) = serde_json::from_str(item.get()) else { return true };
    let Some(id) = id.or(task_id).or(batch_id) else { return true };
    seen.insert(hash(id.get()))
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
