//! A list that shows which of many resources are still being processed, so that they need not be polled separately.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::call::json::decode;
use crate::call::list::page::PageInfo;
use crate::call::options::RequestOptions;
use crate::call::request::Request;
use crate::error::Result;

/// The maximum number of items on a page that the platform allows, and of ids in one request. With 50 ids, a URL stays
/// below 2 KB.
const PAGE: usize = 50;
/// The maximum number of consecutive rounds that may conclude from the first page alone that nothing has changed. If
/// resources end while as many others start on a later page, the first full round afterwards notices.
const MAX_SHORT_ROUNDS: u32 = 5;

/// A list of the platform whose items report their status.
///
/// The list only saves requests and decides nothing. A resource that it does not report as being processed is
/// retrieved, and [`Poll`](crate::call::wait::poll::Poll) decides by that answer. So a list that is wrong, or that
/// ignores a filter, adds requests but never causes a wrong result.
pub(crate) struct StatusList {
    request: Request,
    filter: Filter,
    /// The first page of the last round that read all pages.
    before: Option<Page>,
    /// The number of rounds since then that read only the first page.
    short_rounds: u32,
}

enum Filter {
    /// The list filters by id, in this query parameter. A resource with one of the statuses in `ended` has ended.
    Ids { parameter: &'static str, ended: &'static [&'static str] },
    /// The list filters by status, and contains everything that is still being processed.
    Status,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Item>,
    page_info: Option<PageInfo>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "_id")]
    id: Option<String>,
    status: Option<String>,
}

impl StatusList {
    /// The number of resources from which the list saves requests. Fewer are polled separately.
    pub(crate) const WORTHWHILE: usize = 4;

    /// Creates a list that filters by id.
    pub(crate) fn by_ids(list: Request, parameter: &'static str, ended: &'static [&'static str]) -> Self {
        Self::new(list, Filter::Ids { parameter, ended })
    }

    /// Creates a list that filters by status. `unfinished` contains all statuses that the filter accepts and that do
    /// not end a wait.
    pub(crate) fn by_status(mut list: Request, unfinished: &'static [&'static str]) -> Self {
        list.query("status", unfinished);
        Self::new(list, Filter::Status)
    }

    fn new(mut list: Request, filter: Filter) -> Self {
        list.query("page_limit", &PAGE);
        StatusList { request: list, filter, before: None, short_rounds: 0 }
    }

    /// Returns those of `ids` that are still being processed, with their status. The caller must retrieve the others,
    /// because they have ended or the list does not know them. It takes one request for every 50 ids, and less while
    /// nothing changes.
    ///
    /// # Errors
    ///
    /// The error of a page. In that case, nothing is known about any id.
    pub(crate) fn unfinished(&mut self, ids: &[&str], options: &RequestOptions) -> Result<HashMap<String, String>> {
        self.request.options = options.clone();
        // Additional query parameters belong to the requests for the resources themselves.
        self.request.options.query.clear();
        match self.filter {
            Filter::Ids { parameter, ended } => self.by_groups(ids, parameter, ended),
            Filter::Status => self.by_pages(ids),
        }
    }

    fn by_groups(&self, ids: &[&str], parameter: &str, ended: &[&str]) -> Result<HashMap<String, String>> {
        let mut unfinished = HashMap::new();
        for group in ids.chunks(PAGE) {
            let mut request = self.request.clone();
            request.query(parameter, group);
            let page = fetch(&request)?;
            let known = page.data.iter().filter_map(Item::known);
            unfinished.extend(known.filter(|(_, status)| !ended.contains(&status.as_str())));
        }
        Ok(unfinished)
    }

    fn by_pages(&mut self, ids: &[&str]) -> Result<HashMap<String, String>> {
        let first = fetch(&self.request)?;
        let unchanged = self.before.as_ref().is_some_and(|before| before.is_like(&first));
        if unchanged && self.short_rounds < MAX_SHORT_ROUNDS {
            self.short_rounds += 1;
            return Ok(ids.iter().map(|id| (id.to_string(), first.status_of(id))).collect());
        }
        let pages = first.page_info.as_ref().and_then(PageInfo::pages).unwrap_or(1);
        self.before = None;
        // A list with so many other resources in it takes more requests than it saves.
        if pages > ids.len() as u64 / 2 {
            return Ok(HashMap::new());
        }
        let wanted: HashSet<&str> = ids.iter().copied().collect();
        let mut unfinished = HashMap::new();
        let mut take = |page: &Page| {
            let known = page.data.iter().filter_map(Item::known);
            unfinished.extend(known.filter(|(id, _)| wanted.contains(id.as_str())));
        };
        take(&first);
        for number in 2..=pages {
            take(&fetch(&self.request.with_query("page", &number.to_string()))?);
        }
        // A resource that is not in the list may end at any time, and the list's first page would not show it.
        self.before = (unfinished.len() == ids.len()).then_some(first);
        self.short_rounds = 0;
        Ok(unfinished)
    }
}

fn fetch(request: &Request) -> Result<Page> {
    let watch = request.watch();
    decode::body(&|| request.operation(), &request.execute()?, &watch)
}

impl Page {
    /// Says whether nothing has changed since the other page: it contains the same items and reports the same total.
    fn is_like(&self, other: &Page) -> bool {
        let total = |page: &Page| page.page_info.as_ref()?.total_results;
        let ids = |page: &Page| page.data.iter().map(|item| item.id.clone()).collect::<Vec<_>>();
        total(self).is_some() && total(self) == total(other) && ids(self) == ids(other)
    }

    fn status_of(&self, id: &str) -> String {
        let item = self.data.iter().find(|item| item.id.as_deref() == Some(id));
        item.and_then(|item| item.status.clone()).unwrap_or_default()
    }
}

impl Item {
    /// Returns the item's id and status, if it has both.
    fn known(&self) -> Option<(String, String)> {
        Some((self.id.clone()?, self.status.clone()?))
    }
}
