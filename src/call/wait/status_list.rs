//! A list that shows which of many resources are still being processed, so that they need not be polled one by one.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::call::json::decode;
use crate::call::list::page::PageInfo;
use crate::call::options::RequestOptions;
use crate::call::request::Request;
use crate::error::Result;

/// The most items that the platform puts on a page, and the most ids that one request asks for: their URL stays below
/// 2 KB then.
const PAGE: usize = 50;
/// How many rounds in a row may conclude from the first page that nothing has changed. Things that end while as many
/// others begin on a later page are seen in the round after these.
const MAX_SHORT_ROUNDS: u32 = 5;

/// A list of the platform with what its items say about their status.
///
/// It only spares requests and decides nothing: what it does not name as being processed is retrieved, and
/// [`Poll`](crate::call::wait::poll::Poll) decides by that answer. So a list that lies, or that does not know a filter,
/// costs requests and never a wrong result.
pub(crate) struct StatusList {
    request: Request,
    filter: Filter,
    /// The first page of the last round that read all pages.
    before: Option<Page>,
    /// How many rounds have read only the first page since then.
    short_rounds: u32,
}

enum Filter {
    /// By ids in this query parameter. Things with one of these statuses have ended.
    Ids { parameter: &'static str, ended: &'static [&'static str] },
    /// By status: the list has everything that is still being processed.
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
    /// Below this number, a request for each thing costs as little.
    pub(crate) const WORTHWHILE: usize = 4;

    /// A list with a filter for ids.
    pub(crate) fn by_ids(list: Request, parameter: &'static str, ended: &'static [&'static str]) -> Self {
        Self::new(list, Filter::Ids { parameter, ended })
    }

    /// A list with a filter for the status. `unfinished`: all statuses that the filter knows and that end no wait.
    pub(crate) fn by_status(mut list: Request, unfinished: &'static [&'static str]) -> Self {
        list.query("status", unfinished);
        Self::new(list, Filter::Status)
    }

    fn new(mut list: Request, filter: Filter) -> Self {
        list.query("page_limit", &PAGE);
        StatusList { request: list, filter, before: None, short_rounds: 0 }
    }

    /// Those of `ids` that are still being processed, with their status. The others have ended, or the list does not
    /// know: they are to be retrieved. Costs one request for each 50 ids, and less while nothing changes.
    ///
    /// # Errors
    ///
    /// The error of a page. In that case, nothing is known of any id.
    pub(crate) fn unfinished(&mut self, ids: &[&str], options: &RequestOptions) -> Result<HashMap<String, String>> {
        self.request.options = options.clone();
        // They belong to the requests for the things themselves.
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
        // A list with so much from others in it costs more than it spares.
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
        // What the list does not have may end at any time, and its first page would not tell.
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
    /// Whether it tells of no change: the same things on it, and as many in all.
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
    /// Its id and its status, if it has both.
    fn known(&self) -> Option<(String, String)> {
        Some((self.id.clone()?, self.status.clone()?))
    }
}
