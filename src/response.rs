//! Raw responses.

use std::fmt;
use std::sync::Arc;

use memchr::memmem;

use crate::text::{KEPT, excerpt, head, html_title, looks_like_html, printable, without_signatures};

/// The headers of a response. Names are case-insensitive.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Arc<Fields>);

/// All names and values in one text: separate strings would be most of the allocations of a small response.
#[derive(Default, PartialEq, Eq)]
struct Fields {
    text: String,
    /// The positions in `text` at which each name and its value end.
    ends: Vec<(usize, usize)>,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &str| printable(&without_signatures(value), 1000);
        f.debug_list().entries(self.iter().map(|(name, value)| (name, shown(value)))).finish()
    }
}

impl Headers {
    /// Returns the first value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        let Fields { text, ends } = &*self.0;
        let mut start = 0;
        ends.iter().find_map(|&(end, next)| {
            // Most names differ in length, so the lengths are compared before anything is sliced.
            let is_this = end - start == name.len() && text[start..end].eq_ignore_ascii_case(name);
            start = next;
            is_this.then(|| &text[end..next])
        })
    }

    /// Returns all headers, in the order in which they were received.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.0.ends.iter().map(move |&(name, value)| {
            let field = (&self.0.text[start..name], &self.0.text[name..value]);
            start = value;
            field
        })
    }

    /// Says whether a header contains this text. The result is also true for a text that begins in one header and ends
    /// in the next.
    pub(crate) fn may_contain(&self, text: &memmem::Finder<'_>) -> bool {
        text.find(self.0.text.as_bytes()).is_some()
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if self.get(name).is_some() {
            *self = self.iter().filter(|(have, _)| !have.eq_ignore_ascii_case(name)).collect();
        }
    }

    /// Replaces each value with the result of the function.
    pub(crate) fn map_values(&mut self, change: &dyn Fn(&str) -> String) {
        *self = self.iter().map(|(name, value)| (name, change(value))).collect();
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let headers = headers.into_iter();
        let fields = headers.size_hint().0;
        let mut all = Fields { text: String::with_capacity(fields * 40), ends: Vec::with_capacity(fields) };
        for (name, value) in headers {
            all.text.push_str(name.as_ref());
            let name = all.text.len();
            all.text.push_str(value.as_ref());
            all.ends.push((name, all.text.len()));
        }
        Headers(Arc::new(all))
    }
}

/// A response with its status, headers and raw body, as returned by [`send_raw`](crate::Call::send_raw).
///
/// ```no_run
/// # let client = twelvelabs::TwelveLabs::from_env()?;
/// let response = client.assets().retrieve("65f…").send_raw()?;
/// println!("{} {:?}", response.status, response.headers.get("x-trace-id"));
/// let everything: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct HttpResponse<T> {
    /// The decoded body.
    pub data: T,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The raw body, decompressed.
    pub body: Vec<u8>,
    pub(crate) origin: Origin,
}

/// The origin of a response.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The host that sent it.
    pub host: Arc<str>,
    /// The number of attempts.
    pub attempts: u32,
}

impl<T> HttpResponse<T> {
    pub(crate) fn with<U>(self, data: U) -> HttpResponse<U> {
        HttpResponse { data, status: self.status, headers: self.headers, body: self.body, origin: self.origin }
    }

    /// Returns the `x-trace-id` to quote to the platform's support.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let response = client.assets().retrieve("65f…").send_raw()?;
    /// println!("{} after {} attempts", response.trace_id().unwrap_or("no id"), response.attempts());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn trace_id(&self) -> Option<&str> {
        self.headers.get("x-trace-id")
    }

    /// Returns the number of attempts that the response took, from 1. Redirects count as well.
    pub fn attempts(&self) -> u32 {
        self.origin.attempts
    }
}

impl HttpResponse<()> {
    /// Returns a copy with as much of the body as an error keeps.
    pub(crate) fn abridged(&self) -> Self {
        HttpResponse {
            data: (),
            status: self.status,
            headers: self.headers.clone(),
            body: head(&self.body, KEPT).to_vec(),
            origin: self.origin.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for HttpResponse<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("data", &self.data)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &excerpt(&self.body))
            .finish()
    }
}

/// Describes a response that contains no message.
pub(crate) fn describe(response: &HttpResponse<()>) -> String {
    let answered = match &*response.origin.host {
        "" => format!("the server answered with status {}", response.status),
        host => format!("{} answered with status {}", printable(host, 100), response.status),
    };
    if let Some(encoding) = response.headers.get("content-encoding") {
        return format!("{answered}, compressed as `{}`, which was not requested", printable(encoding, 80));
    }
    if response.body.trim_ascii().is_empty() {
        return format!("{answered} and an empty body");
    }
    let text = String::from_utf8_lossy(head(&response.body, KEPT));
    if looks_like_html(&response.body) {
        return match html_title(&text) {
            Some(title) => format!("{answered} and an HTML page: {title}"),
            None => format!("{answered} and an HTML page"),
        };
    }
    format!("{answered}: {}", printable(&text, 300))
}
