//! A list that shows which of many resources are still being processed, so that they need not be polled separately.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use serde::Deserialize;

use crate::call::list::page::PageInfo;
use crate::call::options::RequestOptions;
use crate::call::request::Request;
use crate::call::wait::poll::is_end;
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
/// retrieved, and [`Poll`](crate::call::wait::poll::Poll) decides by that response. So a list that is wrong, or that
/// ignores a filter, adds requests but never causes a wrong result.
pub(crate) struct StatusList {
    request: Request,
    filter: Filter,
    /// The ids and the statuses of all items, in their order, as of the last round.
    before: Option<Vec<(String, String)>>,
    /// The number of rounds that read only the first page, since the last one that read all pages.
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
            let is_unfinished = |status: &str| !ended.contains(&status) && !is_end(status);
            unfinished.extend(page.known().into_iter().filter(|(_, status)| is_unfinished(status)));
        }
        Ok(unfinished)
    }

    fn by_pages(&mut self, ids: &[&str]) -> Result<HashMap<String, String>> {
        let first = fetch(&self.request)?;
        let pages = first.page_info.as_ref().and_then(PageInfo::pages).unwrap_or(1);
        let total = first.page_info.as_ref().and_then(|info| info.total_results);
        let mut read = HashMap::from([(1, first)]);
        let before = self.before.take();
        // A list with so many other resources in it, or so many pages as it claims, takes more requests than it saves.
        if pages > ids.len() as u64 / 2 {
            return Ok(HashMap::new());
        }
        let listed = match (before, total) {
            (Some(before), Some(total)) => self.changed(before, total, pages, &mut read)?,
            _ => None,
        };
        let listed = match listed {
            Some(listed) => listed,
            None => {
                self.short_rounds = 0;
                let mut listed = Vec::new();
                for number in 1..=pages {
                    listed.extend(self.page(number, &mut read)?.known());
                }
                listed
            }
        };
        let wanted: HashSet<&str> = ids.iter().copied().collect();
        let unfinished = listed.iter().filter(|(id, _)| wanted.contains(id.as_str())).cloned().collect();
        self.before = Some(listed);
        Ok(unfinished)
    }

    /// Returns the list as it is now, if as many of its earlier items are missing as it is shorter. The first page and
    /// then the pages from the last one backwards are read, up to the one on which the last missing item is noticed:
    /// resources that were created at the same time also end at about the same time. Returns nothing if the list has
    /// changed in another way.
    fn changed(
        &mut self,
        before: Vec<(String, String)>,
        total: u64,
        pages: u64,
        read: &mut HashMap<u64, Page>,
    ) -> Result<Option<Vec<(String, String)>>> {
        let Some(mut missing) = before.len().checked_sub(usize::try_from(total).unwrap_or(usize::MAX)) else {
            return Ok(None);
        };
        // The items between the pages read from the front and those read from the back.
        let mut rest = VecDeque::from(before);
        let (mut front, mut back) = (Vec::new(), VecDeque::new());
        for number in [1].into_iter().chain((2..=pages).rev()) {
            if number > 1 && missing == 0 {
                break;
            }
            let mut items = VecDeque::from(self.page(number, read)?.known());
            while let Some(item) = if number == 1 { items.pop_front() } else { items.pop_back() } {
                loop {
                    let earlier = if number == 1 { rest.pop_front() } else { rest.pop_back() };
                    match earlier {
                        Some((id, _)) if id == item.0 => break,
                        Some(_) if missing > 0 => missing -= 1,
                        _ => return Ok(None),
                    }
                }
                if number == 1 { front.push(item) } else { back.push_front(item) }
            }
        }
        if read.len() == 1 {
            self.short_rounds += 1;
        }
        let is_sure = missing == 0 && self.short_rounds <= MAX_SHORT_ROUNDS;
        Ok(is_sure.then(|| front.into_iter().chain(rest).chain(back).collect()))
    }

    /// Returns a page, which is fetched unless it was read in this round.
    fn page<'a>(&self, number: u64, read: &'a mut HashMap<u64, Page>) -> Result<&'a Page> {
        Ok(match read.entry(number) {
            Entry::Occupied(page) => page.into_mut(),
            Entry::Vacant(place) => place.insert(fetch(&self.request.with_query("page", &number.to_string()))?),
        })
    }
}

fn fetch(request: &Request) -> Result<Page> {
    let watch = request.watch();
    request.decode(&request.execute()?, &watch)
}

impl Page {
    /// Returns the ids and the statuses of the items that have both.
    fn known(&self) -> Vec<(String, String)> {
        self.data.iter().filter_map(|item| Some((item.id.clone()?, item.status.clone()?))).collect()
    }
}
