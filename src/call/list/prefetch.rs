//! Fetches pages before they are requested.

use std::collections::VecDeque;
use std::thread;

use crate::call::list::page::Cursor;
use crate::call::request::Request;
use crate::error::Result;
use crate::response::HttpResponse;
use crate::sync::{Receiver, channel};

/// The maximum number of pages fetched at the same time. It equals the number of idle connections kept to one host.
const MAX_PAGES: usize = 32;

type Response = Result<HttpResponse<()>>;

/// Pages that are being fetched, each on its own thread, which ends with its response. Dropping this does not wait for
/// them.
pub(crate) struct Prefetch {
    /// The maximum number of pages fetched at the same time.
    pages: usize,
    /// The pages being fetched, in order.
    responses: VecDeque<(Cursor, Receiver<Response>)>,
}

impl Prefetch {
    pub(crate) fn new(pages: usize) -> Self {
        Prefetch { pages: pages.min(MAX_PAGES), responses: VecDeque::new() }
    }

    /// Starts fetching the pages from `next` up to the last one that is known to exist.
    pub(crate) fn start(&mut self, next: &Cursor, last: Option<u64>, request: impl Fn(&Cursor) -> Request) {
        let Cursor::Number(first) = *next else {
            // In a list with tokens, only one page can be fetched ahead, because its response contains the token of the
            // next.
            if self.pages > 0 && self.responses.is_empty() {
                self.spawn(next.clone(), request(next));
            }
            return;
        };
        let end = first.saturating_add(self.pages as u64).min(last.unwrap_or(first).max(first).saturating_add(1));
        // The pages before `next` were taken or abandoned, so fetching continues from there.
        let from = match self.responses.back() {
            Some((Cursor::Number(number), _)) => number.saturating_add(1),
            _ => first,
        };
        for number in from..end {
            let cursor = Cursor::Number(number);
            let request = request(&cursor);
            if !self.spawn(cursor, request) {
                break;
            }
        }
    }

    /// Fetches a page on its own thread. Returns `false` if the system has no thread left.
    fn spawn(&mut self, cursor: Cursor, request: Request) -> bool {
        let (sender, receiver) = channel(1);
        let fetch = move || drop(sender.send(request.execute()));
        let started = thread::Builder::new().name("twelvelabs-page".into()).spawn(fetch).is_ok();
        if started {
            self.responses.push_back((cursor, receiver));
        }
        started
    }

    /// Abandons the pages that are being fetched.
    pub(crate) fn clear(&mut self) {
        self.responses.clear();
    }

    /// Waits for the response to the request for a page, if it is being fetched.
    pub(crate) fn take(&mut self, cursor: &Cursor) -> Option<Response> {
        self.responses.front().filter(|(sent_for, _)| sent_for == cursor)?;
        let (_, receiver) = self.responses.pop_front()?;
        receiver.recv()
    }
}
