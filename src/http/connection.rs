//! The connection below the HTTP library: sockets whose waits are short enough to be canceled, names that are looked up
//! once, and what is known of the request under way.
//!
//! Everything blocks, so the thread that runs an exchange is the one that uses its connection. [`Exchange::enter`] tells
//! the connection which exchange that is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, time,
};

use crate::http::cancel::CancelHandle;

/// The longest wait of the operating system before cancellation is checked again.
const SLICE: Duration = Duration::from_millis(50);
/// How long the addresses of a name are kept.
const NAMES_KEPT: Duration = Duration::from_secs(30);
/// The most names that are kept.
const MOST_NAMES: usize = 1000;
/// A longer head of an answer is an error of the library's.
const MOST_HEADERS: usize = 64 << 10;
/// The stand-in for the key goes by this name.
const KEY_FIELD: &str = "x-api-key: ";

/// How far an exchange has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Nothing was done yet, or a kept connection has taken nothing yet.
    Ready,
    /// The name of the server is being looked up.
    Resolving,
    Connecting,
    /// The connection stands; what is left is the handshake of TLS, if there is one.
    Securing,
    /// A byte of the request has left.
    Sent,
}

/// What the connection has to know of the exchange under way, and reports about it.
#[derive(Default)]
pub(crate) struct Exchange {
    cancel: Option<CancelHandle>,
    /// The authority of the request's URL: a proxy's connection is not to be taken for one to it.
    target: String,
    stage: AtomicU8,
    /// The host that was contacted last, in words: the target or a proxy.
    contact: Mutex<String>,
    /// Whether the request was handed to the connection; before that, its bytes are those of a proxy.
    handed: AtomicBool,
    /// Whether the answer's head is still awaited.
    head: AtomicBool,
    /// Whether a socket of this crate was opened: it knows when a byte has left.
    socket: AtomicBool,
    /// Whether a byte of the request has left, for others to look at.
    left: Arc<AtomicBool>,
    /// How many bytes of the request were handed to the connection.
    bytes: AtomicU64,
    canceled: AtomicBool,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Exchange>>> = const { RefCell::new(None) };
}

/// While this lives, the connections that this thread uses belong to the exchange.
pub(crate) struct Entered(Option<Arc<Exchange>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| current.replace(before));
    }
}

impl Exchange {
    pub(crate) fn new(uri: Option<&Uri>, cancel: Option<CancelHandle>) -> Arc<Self> {
        let target = uri.and_then(Uri::authority).map(|authority| authority.to_string()).unwrap_or_default();
        let contact = uri.and_then(Uri::host).unwrap_or_default().to_string();
        Arc::new(Exchange { cancel, contact: contact.into(), target, head: true.into(), ..Self::default() })
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        Entered(CURRENT.with(|current| current.replace(Some(self.clone()))))
    }

    fn current() -> Option<Arc<Self>> {
        CURRENT.with(|current| current.borrow().clone())
    }

    pub(crate) fn stage(&self) -> Stage {
        let stages = [Stage::Ready, Stage::Resolving, Stage::Connecting, Stage::Securing];
        stages.get(usize::from(self.stage.load(Ordering::Relaxed))).copied().unwrap_or(Stage::Sent)
    }

    /// Whether a byte of the request has left.
    pub(crate) fn is_sent(&self) -> bool {
        self.stage() == Stage::Sent
    }

    /// Whether it ended because it was canceled.
    pub(crate) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Relaxed)
    }

    /// How many bytes of the request were handed to the connection.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The host that was contacted last, in words.
    pub(crate) fn contact(&self) -> String {
        lock(&self.contact).clone()
    }

    /// The head of the answer is there; what follows is its body.
    pub(crate) fn head_read(&self) {
        self.head.store(false, Ordering::Relaxed);
    }

    /// Where others see that a byte of the request has left.
    pub(crate) fn left(&self) -> &Arc<AtomicBool> {
        &self.left
    }

    fn reach(&self, stage: Stage) {
        if stage == Stage::Sent {
            self.left.store(true, Ordering::Relaxed);
        }
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.cancel.as_ref().is_some_and(CancelHandle::is_canceled) {
            self.canceled.store(true, Ordering::Relaxed);
            return Err(io::Error::other("canceled"));
        }
        Ok(())
    }
}

fn is_cancelable() -> bool {
    Exchange::current().is_some_and(|exchange| exchange.cancel.is_some())
}

/// An error if the exchange under way is canceled.
pub(super) fn check() -> io::Result<()> {
    Exchange::current().map_or(Ok(()), |exchange| exchange.check())
}

fn reach(stage: Stage, uri: &Uri) {
    if let Some(exchange) = Exchange::current() {
        exchange.reach(stage);
        let host = uri.host().unwrap_or_default();
        let is_target = uri.authority().is_some_and(|authority| authority.as_str() == exchange.target);
        *lock(&exchange.contact) = if is_target { host.into() } else { format!("the proxy {host}") };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connector for sockets of this crate, with TLS and proxies as the features say. `secret` puts in the key.
pub(super) fn connector(names: Names, secret: Option<Secret>) -> impl Connector<(), Out: Transport> {
    #[cfg(feature = "socks-proxy")]
    let chain = ureq::unversioned::transport::SocksConnector::default().chain(ConnectProxyConnector::default());
    #[cfg(not(feature = "socks-proxy"))]
    let chain = ConnectProxyConnector::default();
    let chain = chain.chain(SocketConnector(names));
    #[cfg(feature = "rustls")]
    let chain = chain.chain(ureq::unversioned::transport::RustlsConnector::default());
    #[cfg(feature = "native-tls")]
    let chain = chain.chain(ureq::unversioned::transport::NativeTlsConnector::default());
    OfTheAgent(chain.chain(RequestConnector(secret)))
}

/// Says that the settings of a connection are those of the agent, since no request has others for its TLS: so that the
/// library prepares them once, and TLS sessions are resumed.
#[derive(Debug)]
struct OfTheAgent<C>(C);

impl<C: Connector<()>> Connector<()> for OfTheAgent<C> {
    type Out = C::Out;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
        let details = ConnectionDetails {
            request_level: false,
            uri: details.uri,
            addrs: details.addrs.clone(),
            resolver: details.resolver,
            config: details.config,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        self.0.connect(&details, chained)
    }
}

/// Opens a socket, unless a proxy's connection is there already.
#[derive(Debug)]
struct SocketConnector(Names);

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = Either<In, Socket>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        if let Some(chained) = chained {
            reach(Stage::Securing, details.uri);
            return Ok(Some(Either::A(chained)));
        }
        reach(Stage::Connecting, details.uri);
        let stream = connect(details).inspect_err(|_| self.0.forget(details.uri))?;
        stream.set_nodelay(details.config.no_delay())?;
        reach(Stage::Securing, details.uri);
        if let Some(exchange) = Exchange::current() {
            exchange.socket.store(true, Ordering::Relaxed);
        }
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Socket { stream, buffers, read_timeout: None, write_timeout: None })))
    }
}

/// Tries the addresses one after the other, the first one for half of the time, and so on.
fn connect(details: &ConnectionDetails) -> Result<TcpStream, ureq::Error> {
    let limit = Limit::new(details.timeout.after, details.timeout.reason);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in details.addrs.iter().enumerate() {
        let left = limit.left()?;
        let share = if tried + 1 == details.addrs.len() { left } else { left / 2 };
        let address = *address;
        let open = move || TcpStream::connect_timeout(&address, share);
        // The system waits by itself; only cancellation needs a thread.
        match if is_cancelable() { in_background(share, open) } else { open() } {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
        check()?;
    }
    match last.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Err(ureq::Error::Timeout(Timeout::Connect)),
        _ => Err(last.into()),
    }
}

/// Does something that the system cannot be kept from waiting for. On a thread of its own it can be abandoned when the
/// time is over or the exchange is canceled; if the system has no thread left, it is done here.
fn in_background<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> io::Result<T> + Clone + Send + 'static,
) -> io::Result<T> {
    let (sender, result) = mpsc::sync_channel(1);
    let here = work.clone();
    let thread = std::thread::Builder::new().name("twelvelabs-connect".into());
    if thread.spawn(move || sender.send(work())).is_err() {
        return here();
    }
    let limit = Limit::new(time::Duration::Exact(limit), Timeout::Connect);
    loop {
        check()?;
        let Ok(left) = limit.left() else { return Err(io::ErrorKind::TimedOut.into()) };
        match result.recv_timeout(left.min(SLICE)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("the connecting thread has ended")),
        }
    }
}

/// As good as no limit, and small enough to be added to a point in time.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A time limit from now on.
struct Limit {
    since: Instant,
    after: Duration,
    reason: Timeout,
}

impl Limit {
    fn new(after: time::Duration, reason: Timeout) -> Self {
        let after = match after {
            time::Duration::Exact(after) => after.min(NEVER),
            time::Duration::NotHappening => NEVER,
        };
        Limit { since: Instant::now(), after, reason }
    }

    fn left(&self) -> Result<Duration, ureq::Error> {
        if self.after == NEVER {
            return Ok(NEVER);
        }
        match self.after.saturating_sub(self.since.elapsed()) {
            Duration::ZERO => Err(ureq::Error::Timeout(self.reason)),
            left => Ok(left),
        }
    }
}

/// A TCP connection that never waits longer than [`SLICE`] at a time.
struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// What the socket is set to.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let exchange = Exchange::current();
        let whole = Limit::new(timeout.after, timeout.reason);
        let silence = || Limit::new(timeout.per_write.unwrap_or(time::Duration::NotHappening), Timeout::PerWrite);
        let (mut written, mut silent) = (0, silence());
        while written < amount {
            if let Some(exchange) = &exchange {
                exchange.check()?;
            }
            let slice = whole.left()?.min(silent.left()?).min(SLICE);
            if self.write_timeout != Some(slice) {
                self.stream.set_write_timeout(Some(slice))?;
                self.write_timeout = Some(slice);
            }
            match self.stream.write(&self.buffers.output()[written..amount]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(more) => {
                    written += more;
                    silent = silence();
                    if let Some(exchange) = exchange.as_ref().filter(|exchange| exchange.handed.load(Ordering::Relaxed))
                    {
                        exchange.reach(Stage::Sent);
                    }
                }
                Err(e) if is_slice(&e) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let exchange = Exchange::current();
        let timeout = timeout.for_read();
        let limit = Limit::new(timeout.after, timeout.reason);
        loop {
            if let Some(exchange) = &exchange {
                exchange.check()?;
            }
            let slice = limit.left()?.min(SLICE);
            if self.read_timeout != Some(slice) {
                self.stream.set_read_timeout(Some(slice))?;
                self.read_timeout = Some(slice);
            }
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(e) if is_slice(&e) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // Open is what has nothing to say: no bytes that nobody asked for, and no end.
        let quiet = self.stream.set_nonblocking(true).is_ok()
            && matches!(self.stream.peek(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).is_ok() && quiet
    }
}

/// Whether only the slice of a wait is over.
fn is_slice(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("peer", &self.stream.peer_addr().ok()).finish()
    }
}

/// The key, and what the layers above see and log in its place.
#[derive(Clone)]
pub(super) struct Secret {
    api_key: Arc<str>,
    /// As long as the key.
    stand_in: Arc<str>,
}

impl Secret {
    pub(super) fn new(api_key: &str, stand_in: &str) -> Self {
        Secret { api_key: api_key.into(), stand_in: format!("{KEY_FIELD}{stand_in}\r\n").into() }
    }

    /// Puts the key into the head of a request. An error if it cannot be found there: the stand-in is never sent.
    fn put_in(&self, output: &mut [u8]) -> io::Result<()> {
        let stand_in = self.stand_in.as_bytes();
        let Some(at) = output.windows(stand_in.len()).position(|window| window == stand_in) else {
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

/// The last link of a connection, which sees requests and answers in clear.
#[derive(Debug)]
struct RequestConnector(Option<Secret>);

impl<In: Transport> Connector<In> for RequestConnector {
    type Out = RequestTransport<In>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let authority = details.uri.authority().map(|authority| authority.as_str());
        let exchange = Exchange::current();
        let is_target = exchange.as_ref().is_some_and(|exchange| authority == Some(exchange.target.as_str()));
        let counts = exchange.is_some_and(|exchange| exchange.socket.load(Ordering::Relaxed));
        let secret = self.0.clone().filter(|_| is_target);
        Ok(chained.map(|inner| RequestTransport { inner, secret, is_target, counts, offered: (0, 0) }))
    }
}

#[derive(Debug)]
struct RequestTransport<In> {
    inner: In,
    secret: Option<Secret>,
    /// Whether this is a connection to the server, and not one to the proxy that leads there.
    is_target: bool,
    /// Whether the socket below counts what leaves.
    counts: bool,
    /// How long the input was when the library was last told of a head in it, and how often in a row.
    offered: (usize, u32),
}

impl<In: Transport> RequestTransport<In> {
    fn read_more(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
        match self.inner.await_input(timeout) {
            // The library takes a reset, and TLS that ends without saying so, for the end of a body without a length.
            Err(ureq::Error::Io(e)) if matches!(e.kind(), ConnectionReset | ConnectionAborted | UnexpectedEof) => {
                Err(io::Error::other(e).into())
            }
            other => other,
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
        if !exchange.handed.swap(true, Ordering::Relaxed) {
            self.offered = (0, 0);
            // Nothing of the input is of use before there is a whole head: else, the library would look for the end of
            // a head that comes in pieces without reading more of it.
            self.inner.buffers().input_consume(0);
            if let Some(secret) = &self.secret {
                secret.put_in(&mut self.inner.buffers().output()[..amount])?;
            }
        }
        if !self.counts {
            exchange.reach(Stage::Sent);
        }
        self.inner.transmit_output(amount, timeout)?;
        exchange.bytes.fetch_add(amount as u64, Ordering::Relaxed);
        Ok(())
    }

    /// What is called when the library finds nothing of use in the input: it looks there itself for the body of an
    /// answer, and never for the head, for which see `transmit_output`.
    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let awaits_head = |exchange: Arc<Exchange>| exchange.head.load(Ordering::Relaxed);
        if !self.is_target || !Exchange::current().is_some_and(awaits_head) {
            return self.read_more(timeout);
        }
        let limit = Limit::new(timeout.after, timeout.reason);
        loop {
            let buffers = self.inner.buffers();
            match scan(buffers.input()) {
                // Once while it waits for 100 and once for the answer: more often, the library needs more to read it.
                Head::Final if self.offered != (buffers.input().len(), 2) => {
                    let length = buffers.input().len();
                    let before = if self.offered.0 == length { self.offered.1 } else { 0 };
                    self.offered = (length, before + 1);
                    return Ok(true);
                }
                Head::Interim { status, length } => {
                    buffers.input_consume(length);
                    buffers.input_consume(0);
                    if status == 100 && timeout.reason == Timeout::Await100 {
                        // The body may be sent: the same as if nothing had come for long enough.
                        return Err(ureq::Error::Timeout(Timeout::Await100));
                    }
                }
                Head::Final | Head::Incomplete => {
                    let after = match limit.left()? {
                        NEVER => time::Duration::NotHappening,
                        left => time::Duration::Exact(left),
                    };
                    if !self.read_more(NextTimeout { after, ..timeout })? {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                }
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// What the start of the input is.
#[derive(Debug, PartialEq)]
enum Head {
    Incomplete,
    /// An answer of 1xx, after which another one comes.
    Interim {
        status: u16,
        length: usize,
    },
    Final,
}

fn scan(input: &[u8]) -> Head {
    let start = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(input.len());
    let head = &input[start..];
    let crlf = head.windows(3).position(|window| window == b"\n\r\n").map(|at| at + 3);
    let lf = || head.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok());
    match (crlf.or_else(lf), status) {
        (Some(length), Some(status @ (100 | 102..=199))) => Head::Interim { status, length: start + length },
        (Some(_), _) => Head::Final,
        (None, _) if input.len() > MOST_HEADERS => Head::Final,
        (None, _) => Head::Incomplete,
    }
}

/// The addresses of names, kept for a short time: the library asks for them before each request, on kept connections too.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, Addresses>>>);

/// When they were looked up, and what was found.
type Addresses = (Instant, Vec<SocketAddr>);

impl Names {
    fn forget(&self, uri: &Uri) {
        if let Some((host, port)) = host_and_port(uri) {
            lock(&self.0).remove(&format!("{host}:{port}"));
        }
    }

    fn look_up(&self, host: &str, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, ureq::Error> {
        let name = format!("{host}:{port}");
        if let Some((at, addresses)) = lock(&self.0).get(&name)
            && at.elapsed() < NAMES_KEPT
        {
            return Ok(addresses.clone());
        }
        let limit = Limit::new(timeout.after, timeout.reason).left()?;
        let asked = name.clone();
        let addresses = match in_background(limit, move || asked.to_socket_addrs()) {
            Err(e) if e.kind() == io::ErrorKind::TimedOut => return Err(ureq::Error::Timeout(Timeout::Resolve)),
            other => other?.collect::<Vec<_>>(),
        };
        let mut names = lock(&self.0);
        if names.len() >= MOST_NAMES {
            names.clear();
        }
        names.insert(name, (Instant::now(), addresses.clone()));
        Ok(addresses)
    }
}

fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let port = uri.port_u16().or_else(|| match uri.scheme_str()? {
        "https" => Some(443),
        "http" => Some(80),
        scheme => scheme.starts_with("socks").then_some(1080),
    })?;
    Some((uri.host()?, port))
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (host, port) = host_and_port(uri).ok_or(ureq::Error::HostNotFound)?;
        let addresses = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                reach(Stage::Resolving, uri);
                let addresses = self.look_up(host, port, timeout)?;
                reach(Stage::Ready, uri);
                addresses
            }
        };
        let mut found = self.empty();
        // There is room for sixteen.
        for address in config.ip_family().keep_wanted(addresses.into_iter()).take(16) {
            found.push(address);
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_answers() {
        let interim = |status, length| Head::Interim { status, length };
        for (input, head) in [
            ("", Head::Incomplete),
            ("HTTP/1.1 100 Continue\r\n", Head::Incomplete),
            ("HTTP/1.1 100 Continue\r\n\r\n", interim(100, 25)),
            ("HTTP/1.1 100 Continue\r\nx: y\r\n\r\nHTTP", interim(100, 31)),
            ("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", interim(103, 37)),
            ("HTTP/1.1 101 Switching\r\n\r\n", Head::Final),
            ("HTTP/1.1 401 No\r\ncontent-length: 2\r\n", Head::Incomplete),
            ("HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}", Head::Final),
            ("\r\n\r\nHTTP/1.1 200 OK\r\n", Head::Incomplete),
            ("\r\nHTTP/1.1 102 Wait\r\n\r\n", interim(102, 23)),
            ("nonsense\n\n", Head::Final),
        ] {
            assert_eq!(scan(input.as_bytes()), head, "{input:?}");
        }
    }

    #[test]
    fn the_key_takes_the_place_of_its_stand_in_or_nothing_is_sent() {
        let secret = Secret::new("tlk_key", "0000000");
        let mut head = *b"GET / HTTP/1.1\r\nx-api-key: 0000000\r\n\r\n";
        secret.put_in(&mut head).unwrap();
        assert_eq!(&head, b"GET / HTTP/1.1\r\nx-api-key: tlk_key\r\n\r\n");
        assert!(secret.put_in(&mut head).is_err());
        assert!(!format!("{secret:?}").contains("tlk"));
    }

    #[test]
    fn names_are_looked_up_once_and_forgotten_on_request() {
        let names = Names::default();
        let uri: Uri = "http://localhost:9/".parse().unwrap();
        let timeout =
            NextTimeout { after: time::Duration::from_secs(5), reason: Timeout::Resolve, ..Default::default() };
        let first = names.look_up("localhost", 9, timeout).unwrap();
        assert!(first.iter().all(|address| address.ip().is_loopback() && address.port() == 9));
        let before = lock(&names.0)["localhost:9"].0;
        names.look_up("localhost", 9, timeout).unwrap();
        assert_eq!(lock(&names.0)["localhost:9"].0, before);
        names.forget(&uri);
        assert!(lock(&names.0).is_empty());
    }
}
