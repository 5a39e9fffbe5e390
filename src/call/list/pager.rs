//! Iterators over lists that the platform returns in pages.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;

use crate::call::json::decode;
use crate::call::json::repair::Unread;
use crate::call::list::page::Page;
use crate::call::list::prefetch::Prefetch;
use crate::call::list::walk::{List, Start};
use crate::call::request::Request;
use crate::call::{Output, sealed};
use crate::error::Result;
use crate::response::HttpResponse;

pub use crate::call::list::page::PageInfo;

/// A list across all pages: an iterator over items that fetches the next page when it reaches the end of the current
/// one.
///
/// The settings of the first request, including its [`RequestOptions`](crate::RequestOptions), apply to all pages.
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
///
/// # Guarantees
///
/// - Items come in order, and N pages take N requests. An empty page in the middle does not end the list.
/// - An item that cannot be decoded is an error in its place, and the remaining items follow.
/// - A page that cannot be fetched is one error. If the cause is temporary (a timeout, a broken connection, a server
///   error, a rate limit, a cancellation), the next call of `next` requests that page again, up to ten times in a row;
///   otherwise the list has ended. Once `next` has returned `None`, it keeps returning `None`.
/// - An item that moves to the next page because others were added is returned once.
/// - A list that shrinks while it is read loses nothing: items that moved to pages which were already read are fetched
///   from there with a few more requests, or the list ends with an [`Error::Paging`](crate::Error::Paging) that says
///   so. The pager notices it by the number of items that the platform reports with each page.
/// - A server that repeats pages, reports a wrong number of them, or never ends the list leads to an
///   [`Error::Paging`](crate::Error::Paging) after a few requests.
///
/// # Changing a list while reading it
///
/// Collect the items first, then change them. This takes the fewest requests.
///
/// ```no_run
/// use twelvelabs::assets::Asset;
///
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let assets: Vec<Asset> = client.assets().list().page_limit(50).send()?.collect::<Result<_, _>>()?;
/// for asset in assets {
///     client.assets().delete(&asset.id).send()?;
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[must_use = "a list does nothing until it is iterated over"]
pub struct SyncPager<T> {
    list: Arc<List>,
    page: Page,
    /// The number of items taken from the page, including skipped ones.
    taken: usize,
    /// The decoded items that have not been taken yet, once they were looked at.
    items: OnceLock<std::vec::IntoIter<Result<T>>>,
    prefetch: Option<Prefetch>,
}

impl<T: DeserializeOwned + 'static> sealed::Sealed for SyncPager<T> {}

impl<T: DeserializeOwned + 'static> Output for SyncPager<T> {
    fn receive(request: Request) -> Result<HttpResponse<Self>> {
        let (list, page) = begin(request)?;
        let response = page.response.clone();
        Ok(response.with(SyncPager::new(Arc::new(list), page)))
    }
}

/// Fetches the first page of a list.
fn begin(mut request: Request) -> Result<(List, Page)> {
    for (name, range) in [("page", "must be at least 1"), ("page_limit", "must be between 1 and 50")] {
        if request.text(name).as_deref() == Some("0") {
            request.reject(name, &format!("{range}, not 0"));
        }
    }
    let start = request.list.from_token.as_deref().map(|token| Start::from_token(token, &request.operation()));
    if let Some(None) = start {
        request.reject(
            "from_token",
            "is not a token of this list; pass what `SyncPager::token` returned for the same call",
        );
    }
    let mut list = List::new(request, start.flatten());
    let page = list.first_page()?;
    Ok((list, page))
}

impl<T> SyncPager<T> {
    fn new(list: Arc<List>, page: Page) -> Self {
        SyncPager { list, page, taken: 0, items: OnceLock::new(), prefetch: None }
    }

    /// Returns whether there is a page after this one.
    pub fn has_next(&self) -> bool {
        self.list.has_next()
    }

    /// Returns the position of this page in the list, if the platform reports it.
    pub fn page_info(&self) -> Option<&PageInfo> {
        self.page.info.as_ref()
    }

    /// Returns the response that contained this page.
    pub fn response(&self) -> &HttpResponse<()> {
        &self.page.response
    }

    /// Returns a token with which the list can be continued from here later, also by another process: pass it to
    /// `from_token` of the same call. `None` at the end of the list.
    ///
    /// The list continues after the last item that was taken. If no item of this page was taken, because you go page by
    /// page, it continues after this page. An item may be returned twice if the list has changed in the meantime. If
    /// the place cannot be found because the items around it were deleted, the list returns an
    /// [`Error::Paging`](crate::Error::Paging). The token of a search works as long as the platform keeps its pages
    /// (see [`PageInfo::page_expires_at`]).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let mut assets = client.assets().list().page_limit(50).send()?;
    /// for asset in assets.by_ref().take(1000) {
    ///     println!("{}", asset?.id);
    /// }
    /// let token = assets.token();
    /// // another day
    /// if let Some(token) = token {
    ///     for asset in client.assets().list().page_limit(50).from_token(token).send()? {
    ///         println!("{}", asset?.id);
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn token(&self) -> Option<String> {
        self.list.token(&self.page, self.taken)
    }

    /// Fetches up to `pages` pages ahead on background threads: at most 32, 0 for none.
    ///
    /// The list makes the same requests, only earlier. Items and errors keep their order. Searches, and lists that do
    /// not report their number of pages, are fetched one page ahead. Dropping the list does not wait for pages that are
    /// being fetched.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for asset in client.assets().list().page_limit(50).send()?.prefetch(4) {
    ///     println!("{}", asset?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn prefetch(mut self, pages: usize) -> Self {
        let mut prefetch = Prefetch::new(pages);
        self.list.start_prefetch(&mut prefetch);
        self.prefetch = Some(prefetch);
        self
    }
}

impl<T: DeserializeOwned + 'static> SyncPager<T> {
    /// Returns the items of this page that have not been taken yet.
    pub fn items(&self) -> &[Result<T>] {
        self.items.get_or_init(|| self.decode_items().into_iter()).as_slice()
    }

    /// Returns the items of this page that have not been taken yet, by value. It fetches no other page.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for asset in client.assets().list().page_limit(50).send()?.into_items() {
    ///     println!("{}", asset?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn into_items(self) -> Vec<Result<T>> {
        match self.items.get() {
            None => self.decode_items(),
            Some(_) => self.items.into_inner().into_iter().flatten().collect(),
        }
    }

    /// Fetches the page after this one, or returns `None` if this is the last.
    ///
    /// # Errors
    ///
    /// The errors of the request, and [`Error::Paging`](crate::Error::Paging) if the page does not belong to the list.
    /// Calling it again requests the page again.
    pub fn next_page(&self) -> Result<Option<Self>> {
        let mut list = List::clone(&self.list);
        let page = list.advance(None)?;
        Ok(page.map(|page| SyncPager::new(Arc::new(list), page)))
    }

    /// Returns an iterator over pages instead of items: this page, then the following ones, each fetched when it is
    /// reached.
    ///
    /// A page that cannot be fetched is an error and can be requested again, as with the items.
    pub fn iter_pages(mut self) -> Pages<T> {
        let (list, prefetch) = (self.list.clone(), self.prefetch.take());
        Pages { first: Some(self), list, prefetch }
    }

    /// Decodes the response that contained this page as another type.
    pub(crate) fn decode_response<U: DeserializeOwned + 'static>(&self) -> Result<U> {
        decode::body(&|| self.page.operation.clone(), &self.page.response, &self.list.watch())
    }

    fn decode_items(&self) -> Vec<Result<T>> {
        let mut taken = self.taken;
        std::iter::from_fn(|| {
            let (index, item) = self.page.wanted(taken)?;
            taken = index + 1;
            Some(self.decode_item(index, item))
        })
        .collect()
    }

    fn decode_item(&self, index: usize, item: &[u8]) -> Result<T> {
        decode::from_json_watched(item, &self.list.watch()).map_err(|unread| match unread {
            Unread::Malformed(why) => self.page.malformed(index, item, &why),
            Unread::Stopped(stop) => stop.error(self.page.operation.clone()),
        })
    }
}

impl<T: DeserializeOwned + 'static> Iterator for SyncPager<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some((index, item)) = self.page.wanted(self.taken) {
                self.taken = index + 1;
                return match self.items.get_mut() {
                    Some(items) => items.next(),
                    None => Some(self.decode_item(index, item)),
                };
            }
            match Arc::make_mut(&mut self.list).advance(self.prefetch.as_mut()) {
                Ok(page) => {
                    self.page = page?;
                    self.taken = 0;
                    self.items = OnceLock::new();
                }
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for SyncPager<T> {}

impl<T> fmt::Debug for SyncPager<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncPager")
            .field("items", &self.page.count())
            .field("taken", &self.taken)
            .field("page_info", &self.page.info)
            .finish_non_exhaustive()
    }
}

/// The pages of a list: see [`SyncPager::iter_pages`].
#[must_use = "the pages after the first are fetched when they are reached"]
pub struct Pages<T> {
    first: Option<SyncPager<T>>,
    list: Arc<List>,
    prefetch: Option<Prefetch>,
}

impl<T: DeserializeOwned + 'static> Iterator for Pages<T> {
    type Item = Result<SyncPager<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        // The list is copied only if the caller still holds an earlier page.
        let page = Arc::make_mut(&mut self.list).advance(self.prefetch.as_mut()).transpose()?;
        Some(page.map(|page| SyncPager::new(self.list.clone(), page)))
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for Pages<T> {}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("ended", &(self.first.is_none() && !self.list.has_next())).finish()
    }
}
