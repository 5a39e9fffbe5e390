//! Lists that come in pages.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter::FusedIterator;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::Value;

use crate::call::{sealed, HttpResponse, Output};
use crate::decode;
use crate::error::{excerpt, Error, Result};
use crate::request::Request;

/// Pages after which a list without a known end is taken for an endless one.
const MOST_PAGES: u64 = 100_000;

/// Where a page stands in its list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A list across its pages: an iterator that asks for the next page when the items of this one are used up.
///
/// The items come in order, and one that moves to the next page because others arrived is given once. N pages cost
/// N requests. An item that cannot be decoded is an error in its place and the rest follow; a page that cannot be
/// fetched is one error, and then the list has ended. A server that repeats a page or never ends is an error.
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
    request: Request,
    items: std::vec::IntoIter<Result<T>>,
    info: Option<PageInfo>,
    response: HttpResponse<()>,
    number: u64,
    /// The number of pages when the list began, and how many were fetched: the guard against endless lists.
    expected: Option<u64>,
    fetched: u64,
    empty: bool,
    seen: HashSet<u64>,
    content: u64,
    ended: bool,
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

impl<T: DeserializeOwned + 'static> sealed::Sealed for SyncPager<T> {}

impl<T: DeserializeOwned + 'static> Output for SyncPager<T> {
    fn receive(mut request: Request) -> Result<HttpResponse<Self>> {
        for name in ["page", "page_limit"] {
            if request.query_value(name) == Some("0") {
                let range = if name == "page" { "pages are counted from 1" } else { "the platform allows 1 to 50" };
                request.reject(name, &format!("0 is not possible, {range}"));
            }
        }
        let number = request.query_value("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        let pager = SyncPager::fetch(request, number, HashSet::new(), None)?;
        let response = pager.response.clone();
        Ok(response.with(pager))
    }
}

impl<T: DeserializeOwned + 'static> SyncPager<T> {
    fn fetch(
        request: Request,
        number: u64,
        mut seen: HashSet<u64>,
        before: Option<(u64, u64, Option<u64>)>,
    ) -> Result<Self> {
        let request = request.with_query("page", &number.to_string());
        let operation = request.operation();
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
        let info: Option<PageInfo> =
            page.get("page_info").and_then(|info| decode::from_json(info.get().as_bytes()).ok());
        let raw: Option<Vec<&RawValue>> = match page.get(request.items) {
            Some(items) => serde_json::from_str(items.get()).map_err(|_| not_a_list())?,
            None => None,
        };
        if raw.is_none() && info.is_none() {
            return Err(fail(format!("the answer has no `{}`: {}", request.items, excerpt(&response.body))));
        }
        let raw = raw.unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        raw.iter().for_each(|item| item.get().hash(&mut hasher));
        let content = hasher.finish();
        let (fetched, last_content, expected) = before.unwrap_or((0, 0, None));
        let lies = |message: String| Error::Paging { operation: operation.clone(), message };
        if let Some(page) = info.and_then(|info| info.page).filter(|page| *page != number) {
            return Err(lies(format!("page {number} was asked for, the server gave page {page}")));
        }
        if fetched > 0 && !raw.is_empty() && content == last_content {
            return Err(lies(format!("the server gave page {} again as page {number}", number - 1)));
        }
        let expected = expected.or(info.and_then(|info| total_pages(&info)));
        if fetched >= expected.map_or(MOST_PAGES, |pages| pages.saturating_mul(2).saturating_add(1000)) {
            return Err(lies(format!("the list does not end, {fetched} pages were read")));
        }
        let empty = raw.is_empty();
        let items: Vec<Result<T>> = raw
            .into_iter()
            .enumerate()
            .filter(|(_, item)| is_new(item, &mut seen))
            .map(|(index, item)| {
                decode::from_json(item.get().as_bytes())
                    .map_err(|why| fail(format!("item {index} of page {number}: {why}")))
            })
            .collect();
        Ok(SyncPager {
            request,
            items: items.into_iter(),
            info,
            response,
            number,
            expected,
            fetched: fetched + 1,
            empty,
            seen,
            content,
            ended: false,
        })
    }

    /// Fetches the page after this one, or gives `None` if this is the last.
    pub fn next_page(&self) -> Result<Option<Self>> {
        if !self.has_next() {
            return Ok(None);
        }
        let before = (self.fetched, self.content, self.expected);
        Self::fetch(self.request.clone(), self.number.saturating_add(1), self.seen.clone(), Some(before)).map(Some)
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
        if self.ended {
            return false;
        }
        match self.info.and_then(|info| total_pages(&info)) {
            Some(total) => self.number < total,
            None => !self.empty,
        }
    }

    /// Where this page stands, if the platform says so.
    pub fn page_info(&self) -> Option<&PageInfo> {
        self.info.as_ref()
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
            match self.next_page() {
                Ok(Some(page)) => *self = page,
                Ok(None) => return None,
                Err(e) => {
                    self.ended = true;
                    return Some(Err(e));
                }
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
    let mut hasher = DefaultHasher::new();
    id.get().hash(&mut hasher);
    seen.insert(hasher.finish())
}
