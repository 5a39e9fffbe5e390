//! Lists that come in pages.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;

use crate::call::json::decode;
use crate::call::json::watch::Watch;
use crate::call::list::page::{Page, Reading};
use crate::call::list::prefetch::Ahead;
use crate::call::list::walk::{List, Start};
use crate::call::request::Request;
use crate::call::{Output, sealed};
use crate::error::Result;
use crate::response::HttpResponse;

pub use crate::call::list::page::PageInfo;

/// A list across its pages: an iterator that asks for the next page when the items of this one are used up.
///
/// The settings of the first request, its [`RequestOptions`](crate::RequestOptions) too, hold for all pages.
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
/// # What you can rely on
///
/// - The items come in order, and N pages cost N requests. An empty page in the middle is not the end.
/// - An item that cannot be decoded is an error in its place, and the rest follow.
/// - A page that cannot be fetched is one error. If the reason is one that passes (a timeout, a broken connection, a
///   fault of the server, a rate limit, a cancellation), the next call of `next` asks for that page again, up to ten times
///   in a row; otherwise the list has ended. Once it has given `None`, it gives nothing else.
/// - An item that moves to the next page because others arrived is given once.
/// - A list that gets shorter while it is read loses nothing: the items that moved to pages which were read are fetched
///   from there, at the cost of some requests, or the list ends in an [`Error::Paging`](crate::Error::Paging) that
///   says so. It is noticed by the number of items that the platform gives with each page.
/// - A server that repeats pages, lies about their number, or never ends is an
///   [`Error::Paging`](crate::Error::Paging) after a few requests.
///
/// # Changing a list while it is read
///
/// Gather the items first, then change them: that costs the fewest requests.
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
#[must_use = "a list gives nothing before it is iterated over"]
pub struct SyncPager<T> {
    list: Arc<List>,
    page: Page,
    reading: Reading,
    /// The items that are not taken yet, once they were decoded.
    items: OnceLock<std::vec::IntoIter<Result<T>>>,
    ahead: Option<Ahead>,
}

impl<T: DeserializeOwned + 'static> sealed::Sealed for SyncPager<T> {}

impl<T: DeserializeOwned + 'static> Output for SyncPager<T> {
    fn receive(request: Request) -> Result<HttpResponse<Self>> {
        let (list, page) = begin(request)?;
        let response = page.response.clone();
        Ok(response.with(SyncPager::new(Arc::new(list), page)))
    }
}

/// The first page of a list.
fn begin(mut request: Request) -> Result<(List, Page)> {
    for name in ["page", "page_limit"] {
        if request.text(name).as_deref() == Some("0") {
            let range = if name == "page" { "pages are counted from 1" } else { "the platform allows 1 to 50" };
            request.reject(name, &format!("0 is not possible, {range}"));
        }
    }
    let start = request.list.from_token.as_deref().map(|token| Start::from_token(token, &request.operation()));
    if let Some(None) = start {
        request.reject("from_token", "is no token of this list; give what `SyncPager::token` gave for the same call");
    }
    let mut list = List::new(request, start.flatten());
    match list.advance(None)? {
        Some(page) => Ok((list, page)),
        None => Err(list.without_pages()),
    }
}

impl<T> SyncPager<T> {
    fn new(list: Arc<List>, page: Page) -> Self {
        let reading = page.reading();
        SyncPager { list, page, reading, items: OnceLock::new(), ahead: None }
    }

    /// Whether there is a page after this one.
    pub fn has_next(&self) -> bool {
        self.list.has_next()
    }

    /// Where this page stands, if the platform says so.
    pub fn page_info(&self) -> Option<&PageInfo> {
        self.page.info.as_ref()
    }

    /// The answer that this page came in.
    pub fn response(&self) -> &HttpResponse<()> {
        &self.page.response
    }

    /// A text with which the list goes on from here at another time, in another process: `from_token` of the same call
    /// takes it. `None` at the end of the list.
    ///
    /// It goes on after the last item that was taken. If none of this page was, because you go page by page, it goes on
    /// after this page. An item may come twice if the list has changed since; if the place cannot be found any more,
    /// because the items around it were deleted, that is an [`Error::Paging`](crate::Error::Paging). The token of a
    /// search works as long as the platform keeps its pages (see [`PageInfo::page_expires_at`]).
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
        self.list.token(&self.page, self.reading.taken)
    }

    /// Fetches up to `pages` pages before they are asked for, on threads of their own: 32 at the most, 0 for none.
    ///
    /// It costs the same requests as without, in the same number, only earlier. The items and the errors stay in their
    /// places. Searches, and lists that do not say how many pages they have, are fetched one page ahead. Nobody waits
    /// for pages on their way when the list is dropped.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for asset in client.assets().list().page_limit(50).send()?.prefetch(4) {
    ///     println!("{}", asset?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn prefetch(mut self, pages: usize) -> Self {
        let mut ahead = Ahead::new(pages);
        self.list.send_ahead(&mut ahead);
        self.ahead = Some(ahead);
        self
    }
}

impl<T: DeserializeOwned + 'static> SyncPager<T> {
    /// The items of this page that were not taken yet.
    pub fn items(&self) -> &[Result<T>] {
        self.items.get_or_init(|| decoded(&self.page, self.reading).into_iter()).as_slice()
    }

    /// The items of this page that were not taken yet, by value. It asks for no other page.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for asset in client.assets().list().page_limit(50).send()?.into_items() {
    ///     println!("{}", asset?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn into_items(self) -> Vec<Result<T>> {
        match self.items.into_inner() {
            Some(items) => items.collect(),
            None => decoded(&self.page, self.reading),
        }
    }

    /// Fetches the page after this one, or gives `None` if this is the last.
    ///
    /// # Errors
    ///
    /// The page cannot be fetched or is not what it should be. Another call asks for it again.
    pub fn next_page(&self) -> Result<Option<Self>> {
        let mut list = List::clone(&self.list);
        let page = list.advance(None)?;
        Ok(page.map(|page| SyncPager::new(Arc::new(list), page)))
    }

    /// The pages instead of the items: this one, then the rest, each when it is asked for.
    ///
    /// A page that cannot be fetched is an error and can be asked for again, as with the items.
    pub fn iter_pages(mut self) -> Pages<T> {
        let (list, ahead) = (self.list.clone(), self.ahead.take());
        Pages { first: Some(self), list, ahead }
    }

    /// The answer that this page came in, as another type.
    pub(crate) fn decode_response<U: DeserializeOwned + 'static>(&self) -> Result<U> {
        decode::body(&|| self.page.operation.clone(), &self.page.response, &Watch::default())
    }
}

fn decoded<T: DeserializeOwned>(page: &Page, mut reading: Reading) -> Vec<Result<T>> {
    std::iter::from_fn(|| page.new_item(&mut reading)).map(|(index, item)| decode_item(page, index, item)).collect()
}

fn decode_item<T: DeserializeOwned>(page: &Page, index: usize, item: &[u8]) -> Result<T> {
    decode::from_json(item).map_err(|why| page.malformed(index, item, &why))
}

impl<T: DeserializeOwned + 'static> Iterator for SyncPager<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some((index, item)) = self.page.new_item(&mut self.reading) {
                return match self.items.get_mut() {
                    Some(items) => items.next(),
                    None => Some(decode_item(&self.page, index, item)),
                };
            }
            match Arc::make_mut(&mut self.list).advance(self.ahead.as_mut()) {
                Ok(page) => {
                    self.page = page?;
                    self.reading = self.page.reading();
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
            .field("items", &self.page.count)
            .field("taken", &self.reading.taken)
            .field("page_info", &self.page.info)
            .finish_non_exhaustive()
    }
}

/// The pages of a list, see [`SyncPager::iter_pages`].
#[must_use = "the pages after the first are fetched when they are asked for"]
pub struct Pages<T> {
    first: Option<SyncPager<T>>,
    list: Arc<List>,
    ahead: Option<Ahead>,
}

impl<T: DeserializeOwned + 'static> Iterator for Pages<T> {
    type Item = Result<SyncPager<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        // A copy only if a page that was given is still there.
        let page = Arc::make_mut(&mut self.list).advance(self.ahead.as_mut()).transpose()?;
        Some(page.map(|page| SyncPager::new(self.list.clone(), page)))
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for Pages<T> {}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("ended", &(self.first.is_none() && !self.list.has_next())).finish()
    }
}
