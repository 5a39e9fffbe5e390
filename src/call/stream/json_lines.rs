//! JSON Lines: one value on each line.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::call::json::repair::Unread;
use crate::call::request::Request;
use crate::call::stream::Stream;
use crate::call::{Output, sealed};
use crate::error::Result;
use crate::response::HttpResponse;
use crate::text::looks_like_html;

/// An iterator over the items of a response in JSON Lines, as they arrive. Dropping it closes the connection.
///
/// A line that cannot be decoded is yielded as an error, and the other lines follow. If the connection breaks, the
/// response ends within a line, or a line is larger than
/// [`max_response_size`](crate::TwelveLabsBuilder::max_response_size), the iterator yields an error and then ends.
///
/// ```no_run
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// for result in client.analyze_async().batches().results("68f…").send()? {
///     match result {
///         Ok(result) => println!("{} {:?}", result.task_id, result.status),
///         Err(e) => eprintln!("{e}"),
///     }
/// }
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[must_use = "nothing is read until it is iterated over, and dropping it closes the connection"]
pub struct JsonLines<T> {
    stream: Option<Stream>,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + 'static> sealed::Sealed for JsonLines<T> {}

impl<T: DeserializeOwned + 'static> Output for JsonLines<T> {
    fn receive(request: Request) -> Result<HttpResponse<Self>> {
        let stream = Stream::open(request)?;
        Ok(stream.response().clone().with(JsonLines { stream: Some(stream), item: PhantomData }))
    }
}

impl<T: DeserializeOwned + 'static> Iterator for JsonLines<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let stream = self.stream.as_mut()?;
        let item = match stream.json_line() {
            Ok(Some(line)) => {
                let item = stream.decode(&line);
                let is_last = looks_like_html(&line) || matches!(item, Err(Unread::Stopped(_)));
                let item = item.map_err(|unread| stream.unread(unread, line));
                if is_last {
                    self.stream = None;
                }
                return Some(item);
            }
            Ok(None) => None,
            Err(e) => Some(Err(e)),
        };
        self.stream = None;
        item
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for JsonLines<T> {}

impl<T> fmt::Debug for JsonLines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("ended", &self.stream.is_none()).finish_non_exhaustive()
    }
}
