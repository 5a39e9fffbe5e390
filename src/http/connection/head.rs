//! The last link of the connection chain, which sees requests and responses unencrypted. It inserts the key into
//! requests and finds the head of a response after any interim responses.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use memchr::{memchr_iter, memmem};
use ureq::Timeout;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport, time};

use crate::http::connection::exchange::{Exchange, Limit, Stage, Watch};
use crate::http::connection::trust::Trust;
use crate::limits::{FOREVER, SLICE};

/// The limit on the length of a response's head. The library reports an error for a longer one.
const MAX_HEADERS: usize = 64 << 10;
/// The start of the header line that contains the stand-in for the key.
const KEY_FIELD: &str = "x-api-key: ";

/// The key, and the stand-in that the layers above see and log.
#[derive(Clone)]
pub(in crate::http) struct Secret {
    api_key: Arc<str>,
    /// Finds the stand-in, which is as long as the key.
    stand_in: memmem::Finder<'static>,
}

impl Secret {
    pub(in crate::http) fn new(api_key: &str, stand_in: &str) -> Self {
        let stand_in = memmem::Finder::new(&format!("{KEY_FIELD}{stand_in}\r\n")).into_owned();
        Secret { api_key: api_key.into(), stand_in }
    }

    /// Replaces the stand-in in the head of a request with the key. If it is not there, this is an error, because the
    /// stand-in must never be sent.
    fn insert(&self, output: &mut [u8]) -> io::Result<()> {
        let Some(at) = self.stand_in.find(output) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the headers of the request are too large"));
        };
        let start = at + KEY_FIELD.len();
        output[start..start + self.api_key.len()].copy_from_slice(self.api_key.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// Creates the last link of a connection.
#[derive(Debug)]
pub(super) struct RequestConnector {
    pub secret: Option<Secret>,
    pub trust: Trust,
}

impl<In: Transport> Connector<In> for RequestConnector {
    type Out = RequestTransport<In>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let exchange = Exchange::current();
        let is_target = exchange.as_ref().is_some_and(|exchange| exchange.is_for(details.uri));
        let counts = exchange.is_some_and(|exchange| exchange.socket.load(Ordering::Relaxed));
        let secret = self.secret.clone().filter(|_| is_target);
        let (trust, proven) = (self.trust.clone(), self.trust.epoch());
        Ok(chained.map(|inner| RequestTransport {
            inner,
            secret,
            is_target,
            counts,
            offered: (0, 0),
            served: false,
            trust,
            proven,
            looked: None,
            abandoned: false,
        }))
    }
}

#[derive(Debug)]
pub(super) struct RequestTransport<In> {
    inner: In,
    secret: Option<Secret>,
    /// Whether this connection leads to the server itself and not to the proxy on the way.
    is_target: bool,
    /// Whether the socket below counts the bytes that leave.
    counts: bool,
    /// The length of the input when the library was last told of a head in it, and how often it was told in a row.
    offered: (usize, u32),
    /// Whether the connection has already served a request.
    served: bool,
    trust: Trust,
    /// The epoch of trust in which the server was last heard from.
    proven: u64,
    /// When it was last checked whether the server has answered a body that is still being sent.
    looked: Option<Instant>,
    /// Whether the rest of a request was not sent because the server had refused it. No other request can follow.
    abandoned: bool,
}

impl<In: Transport> RequestTransport<In> {
    fn read_more(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
        match self.inner.await_input(timeout) {
            Ok(true) => {
                self.proven = self.trust.epoch();
                Ok(true)
            }
            // The library takes a reset, or TLS that ends without a closing message, for the end of a body of unknown
            // length.
            Err(ureq::Error::Io(e)) if matches!(e.kind(), ConnectionReset | ConnectionAborted | UnexpectedEof) => {
                Err(io::Error::other(e).into())
            }
            other => other,
        }
    }

    /// Ends the sending of the body if a response other than a success has arrived, without waiting for one.
    ///
    /// The library looks for a response only after the whole body, and a server that refuses a body need not read it
    /// (RFC 9112, section 9.5). A success says that the rest is wanted, or will be an error in the end.
    fn look_for_refusal(&mut self, exchange: &Exchange, timeout: NextTimeout) {
        exchange.set_watch(Watch::Looking);
        let (mut watch, mut why) = (Watch::On, None);
        loop {
            match scan(self.inner.buffers().input()) {
                Head::Interim { length, .. } => {
                    self.inner.buffers().input_consume(length);
                    continue;
                }
                Head::Final { status: Some(200..=299), .. } => watch = Watch::Off,
                Head::Final { .. } => why = Some(io::Error::other("the server answered before the end of the body")),
                Head::Incomplete => match self.read_more(timeout) {
                    Ok(true) => continue,
                    Ok(false) => why = Some(io::ErrorKind::UnexpectedEof.into()),
                    Err(e) => why = Some(e.into_io()).filter(|e| e.kind() != io::ErrorKind::WouldBlock),
                },
            }
            break;
        }
        // The library must not see the input before it holds a whole head.
        self.inner.buffers().input_consume(0);
        self.looked = Some(Instant::now());
        exchange.set_watch(watch);
        if let Some(why) = why {
            self.abandoned = true;
            exchange.cut_short(why);
        }
    }
}

impl<In: Transport> Transport for RequestTransport<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let Some(exchange) = Exchange::current().filter(|_| self.is_target) else {
            return self.inner.transmit_output(amount, timeout);
        };
        if exchange.is_cut_short() {
            // Nothing more can be sent. The library reads the response nevertheless.
            return Ok(());
        }
        let is_body = exchange.handed.swap(true, Ordering::Relaxed);
        if !is_body {
            self.looked = None;
            exchange.kept.store(std::mem::replace(&mut self.served, true), Ordering::Relaxed);
            self.offered = (0, 0);
            // The library must not see the input before it holds a whole head. Otherwise, when a head arrives in
            // pieces, it would look for the end of the head without reading any further.
            self.inner.buffers().input_consume(0);
            if let Some(secret) = &self.secret {
                secret.insert(&mut self.inner.buffers().output()[..amount])?;
            }
        }
        if !self.counts {
            exchange.set_stage(Stage::Sent);
        }
        if is_body && self.looked.is_none() {
            self.looked = Some(Instant::now());
            exchange.set_watch(Watch::On);
        }
        self.inner.transmit_output(amount, timeout)?;
        exchange.bytes.fetch_add(amount as u64, Ordering::Relaxed);
        // A server that keeps reading after a refusal is not sent the rest either.
        let is_due = exchange.watch() == Watch::On && self.looked.is_some_and(|looked| looked.elapsed() >= SLICE);
        if is_due || exchange.watch() == Watch::Noticed {
            self.look_for_refusal(&exchange, timeout);
        }
        Ok(())
    }

    /// The library calls this when the input contains nothing usable. It does so only for the body of a response, never
    /// for the head: see `transmit_output`.
    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let Some(exchange) = Exchange::current().filter(|_| self.is_target) else { return self.read_more(timeout) };
        if !exchange.head.load(Ordering::Relaxed) {
            let before = self.inner.buffers().input().len();
            let result = self.read_more(timeout);
            let more = self.inner.buffers().input().len().saturating_sub(before);
            exchange.raw_body.fetch_add(more as u64, Ordering::Relaxed);
            return result;
        }
        let mut limit = Limit::new(timeout.after, timeout.reason);
        loop {
            let buffers = self.inner.buffers();
            match scan(buffers.input()) {
                // The library is told twice at most: once while it waits for 100, and once for the response. After that
                // it needs more input.
                Head::Final { length, .. } if self.offered != (buffers.input().len(), 2) => {
                    let available = buffers.input().len();
                    let before = if self.offered.0 == available { self.offered.1 } else { 0 };
                    self.offered = (available, before + 1);
                    exchange.raw_body.store((available - length) as u64, Ordering::Relaxed);
                    return Ok(true);
                }
                Head::Interim { status, length } => {
                    buffers.input_consume(length);
                    buffers.input_consume(0);
                    if status == 100 && timeout.reason == Timeout::Await100 {
                        // The body may be sent now. The library reads this as if the wait for 100 had timed out.
                        return Err(ureq::Error::Timeout(Timeout::Await100));
                    }
                }
                Head::Final { .. } | Head::Incomplete => {
                    let after = match limit.remaining()? {
                        FOREVER => time::Duration::NotHappening,
                        remaining => time::Duration::Exact(remaining),
                    };
                    if !self.read_more(NextTimeout { after, ..timeout })? {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                }
            }
        }
    }

    fn is_open(&mut self) -> bool {
        !self.abandoned && self.proven == self.trust.epoch() && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// The first thing in the input.
#[derive(Debug, PartialEq)]
pub(crate) enum Head {
    Incomplete,
    /// An interim response (1xx), which is followed by another response.
    Interim {
        status: u16,
        length: usize,
    },
    /// The head of the final response. Its status is unknown if it is not proper HTTP.
    Final {
        status: Option<u16>,
        length: usize,
    },
}

pub(crate) fn scan(input: &[u8]) -> Head {
    let start = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(input.len());
    let head = &input[start..];
    // The head ends at the first empty line. The response after an interim one may use different line endings.
    let end = memchr_iter(b'\n', head).find_map(|at| match &head[at + 1..] {
        [b'\r', b'\n', ..] => Some(at + 3),
        [b'\n', ..] => Some(at + 2),
        _ => None,
    });
    let digits = head[..end.unwrap_or_default()].get(9..12);
    let status = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    match (end, status) {
        (Some(length), Some(status @ (100 | 102..=199))) => Head::Interim { status, length: start + length },
        (Some(length), status) => Head::Final { status, length: start + length },
        (None, status) if input.len() > MAX_HEADERS => Head::Final { status, length: input.len() },
        (None, _) => Head::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_responses() {
        let interim = |status, length| Head::Interim { status, length };
        let last = |status: u16, length| Head::Final { status: Some(status).filter(|status| *status > 0), length };
        for (input, head) in [
            ("", Head::Incomplete),
            ("HTTP/1.1 100 Continue\r\n", Head::Incomplete),
            ("HTTP/1.1 100 Continue\r\n\r\n", interim(100, 25)),
            ("HTTP/1.1 100 Continue\r\nx: y\r\n\r\nHTTP", interim(100, 31)),
            ("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", interim(103, 37)),
            ("HTTP/1.1 101 Switching\r\n\r\n", last(101, 26)),
            ("HTTP/1.1 401 No\r\ncontent-length: 2\r\n", Head::Incomplete),
            ("HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}", last(401, 38)),
            ("\r\n\r\nHTTP/1.1 200 OK\r\n", Head::Incomplete),
            ("\r\nHTTP/1.1 102 Wait\r\n\r\n", interim(102, 23)),
            ("nonsense\n\n", last(0, 10)),
            ("HTTP/1\n\n 103 \n\n", last(0, 8)),
            ("HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\r\n\r\n", interim(100, 23)),
            (&"x".repeat(MAX_HEADERS), Head::Incomplete),
            (&"x".repeat(MAX_HEADERS + 1), last(0, MAX_HEADERS + 1)),
        ] {
            assert_eq!(scan(input.as_bytes()), head, "{input:?}");
        }
    }

    #[test]
    fn the_key_replaces_its_stand_in_or_nothing_is_sent() {
        let secret = Secret::new("tlk_key", "0000000");
        let mut head = *b"GET / HTTP/1.1\r\nx-api-key: 0000000\r\n\r\n";
        secret.insert(&mut head).unwrap();
        assert_eq!(&head, b"GET / HTTP/1.1\r\nx-api-key: tlk_key\r\n\r\n");
        assert!(secret.insert(&mut head).is_err());
        assert_eq!(format!("{secret:?}"), "Secret { .. }");
    }
}
