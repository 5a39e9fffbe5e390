//! The state of the current exchange, and its time limits.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::http::Uri;
use ureq::unversioned::transport::time;

use crate::http::cancel::CancelHandle;
use crate::limits::{FOREVER, SLICE};
use crate::sync::{RecvError, channel, lock};

/// The stage that an exchange has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Nothing has happened yet, or a connection that needs no handshake has not accepted any data yet.
    Ready,
    /// The server's name is being resolved.
    Resolving,
    Connecting,
    /// The connection is established. Only the TLS handshake remains.
    Securing,
    /// A byte of the request has left this machine.
    Sent,
}

/// Whether the connection watches for a response while it sends the body. A server may refuse a body early and then
/// stop reading (RFC 9112, section 9.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Watch {
    /// A response has no effect on sending.
    Off,
    /// If sending stalls, the socket checks whether the server has sent something.
    On,
    /// Sending has stalled, and the server has sent something. The layers above have to read it now.
    Noticed,
    /// The layers above read what has arrived. The socket must not wait for more.
    Looking,
}

/// The state of the current exchange, shared with its connection: what the connection must know, and what it reports
/// back.
#[derive(Default)]
pub(crate) struct Exchange {
    cancel: Option<CancelHandle>,
    /// The URL of the request.
    pub(in crate::http) uri: Option<Uri>,
    stage: AtomicU8,
    /// The proxy that was contacted last, or `None` if the server was contacted directly.
    proxy: Mutex<Option<String>>,
    /// The proxy that the request should use, if any.
    route: Mutex<Option<ProxyRoute>>,
    /// Whether the request was handed to the connection. Bytes before that belong to the proxy's handshake.
    pub(super) handed: AtomicBool,
    /// Whether the head of the response is still awaited.
    pub(super) head: AtomicBool,
    /// Whether this crate opened the socket. Only then is it known when a byte has left.
    pub(super) socket: AtomicBool,
    /// Whether a byte of the request has left, for other threads. It is created when one of them first asks for it.
    departed: OnceLock<Arc<AtomicBool>>,
    /// The number of bytes of the request handed to the connection.
    pub(super) bytes: AtomicU64,
    /// The number of bytes received after the head of the response, counted as they were on the wire.
    pub(super) raw_body: AtomicU64,
    canceled: AtomicBool,
    /// Whether the connection had already served another request.
    pub(super) kept: AtomicBool,
    watch: AtomicU8,
    /// The error because of which the rest of a partly sent request could not be sent.
    cut_short: Mutex<Option<io::Error>>,
}

/// The proxy that a request uses.
#[derive(Clone, PartialEq)]
pub(in crate::http) struct ProxyRoute {
    pub port: u16,
    /// The environment variable that set the proxy, if one did.
    pub variable: Option<String>,
    pub has_credentials: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Exchange>>> = const { RefCell::new(None) };
}

/// A guard: while it lives, the connections that this thread uses belong to the exchange.
pub(crate) struct ExchangeGuard(Option<Arc<Exchange>>);

impl Drop for ExchangeGuard {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| current.replace(before));
    }
}

impl Exchange {
    pub(crate) fn new(url: impl Into<String>, cancel: Option<CancelHandle>) -> Arc<Self> {
        Arc::new(Exchange { cancel, uri: url.into().try_into().ok(), head: true.into(), ..Self::default() })
    }

    /// Returns the URL of the request.
    pub(in crate::http) fn url(&self) -> String {
        self.uri.as_ref().map(Uri::to_string).unwrap_or_default()
    }

    /// Says whether a connection to this URL goes to the server and not to a proxy.
    pub(super) fn is_for(&self, uri: &Uri) -> bool {
        let authority = uri.authority().map(|authority| authority.as_str());
        authority.is_some() && authority == self.uri.as_ref().and_then(Uri::authority).map(|target| target.as_str())
    }

    pub(crate) fn enter(self: &Arc<Self>) -> ExchangeGuard {
        ExchangeGuard(CURRENT.with(|current| current.replace(Some(self.clone()))))
    }

    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.with(|current| current.borrow().clone())
    }

    pub(crate) fn stage(&self) -> Stage {
        let stages = [Stage::Ready, Stage::Resolving, Stage::Connecting, Stage::Securing];
        stages.get(usize::from(self.stage.load(Ordering::Relaxed))).copied().unwrap_or(Stage::Sent)
    }

    /// Says whether a byte of the request has left.
    pub(crate) fn is_sent(&self) -> bool {
        self.stage() == Stage::Sent
    }

    /// Says whether the exchange ended because it was canceled.
    pub(crate) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes of the request handed to the connection.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Describes the host that was contacted last.
    pub(crate) fn contact(&self) -> String {
        let host = || self.uri.as_ref().and_then(Uri::host).unwrap_or_default().to_string();
        lock(&self.proxy).as_ref().map_or_else(host, |proxy| format!("the proxy {proxy}"))
    }

    /// Says whether a proxy was contacted last.
    pub(crate) fn is_with_proxy(&self) -> bool {
        lock(&self.proxy).is_some()
    }

    /// Describes the host that was contacted last, with its port if requested and known, and the variable that set a
    /// proxy.
    pub(in crate::http) fn address(&self, with_port: bool) -> String {
        let mut address = self.contact();
        let route = lock(&self.route);
        let proxy = route.as_ref().filter(|_| self.is_with_proxy());
        let own_port = || {
            let uri = self.uri.as_ref()?;
            uri.port_u16().or(if uri.scheme_str() == Some("https") { Some(443) } else { Some(80) })
        };
        if let Some(port) = proxy.map(|proxy| proxy.port).or_else(own_port).filter(|_| with_port) {
            address.push_str(&format!(":{port}"));
        }
        if let Some(variable) = proxy.and_then(|proxy| proxy.variable.as_ref()) {
            address.push_str(&format!(" (from {variable})"));
        }
        address
    }

    /// Records the proxy that the request should use.
    pub(in crate::http) fn set_route(&self, route: Option<ProxyRoute>) {
        *lock(&self.route) = route;
    }

    /// Says whether a user name or a password is sent to the proxy.
    pub(in crate::http) fn has_proxy_credentials(&self) -> bool {
        lock(&self.route).as_ref().is_some_and(|route| route.has_credentials)
    }

    /// Records that the head of the response was read. Everything after it is the body.
    pub(crate) fn head_read(&self) {
        self.head.store(false, Ordering::Relaxed);
    }

    pub(in crate::http) fn is_head_read(&self) -> bool {
        !self.head.load(Ordering::Relaxed)
    }

    /// Returns the flag by which other threads see that a byte of the request has left.
    pub(crate) fn departed(&self) -> &Arc<AtomicBool> {
        self.departed.get_or_init(|| Arc::new(self.is_sent().into()))
    }

    pub(in crate::http) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        if let Some(departed) = self.departed.get().filter(|_| stage == Stage::Sent) {
            departed.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the number of bytes received after the head of the response, counted as they were on the wire.
    pub(in crate::http) fn raw_body(&self) -> u64 {
        self.raw_body.load(Ordering::Relaxed)
    }

    /// Says whether the request was sent on a connection that had already served another one.
    pub(in crate::http) fn is_on_kept_connection(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    /// Prepares the same request for another connection. No byte of it may have left.
    pub(in crate::http) fn restart(&self) {
        self.set_stage(Stage::Ready);
        self.kept.store(false, Ordering::Relaxed);
        self.handed.store(false, Ordering::Relaxed);
        self.set_watch(Watch::Off);
    }

    pub(super) fn watch(&self) -> Watch {
        let states = [Watch::Off, Watch::On, Watch::Noticed];
        states.get(usize::from(self.watch.load(Ordering::Relaxed))).copied().unwrap_or(Watch::Looking)
    }

    pub(super) fn set_watch(&self, watch: Watch) {
        self.watch.store(watch as u8, Ordering::Relaxed);
    }

    /// Records that the rest of the request cannot be sent. The response may have arrived nevertheless.
    pub(super) fn cut_short(&self, why: io::Error) {
        *lock(&self.cut_short) = Some(why);
    }

    /// Says whether only a part of the request was sent.
    pub(in crate::http) fn is_cut_short(&self) -> bool {
        lock(&self.cut_short).is_some()
    }

    /// Takes the error because of which the rest of the request could not be sent.
    pub(in crate::http) fn take_cut(&self) -> Option<io::Error> {
        lock(&self.cut_short).take()
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.cancel.as_ref().is_some_and(CancelHandle::is_canceled) {
            self.canceled.store(true, Ordering::Relaxed);
            return Err(io::Error::other("canceled"));
        }
        Ok(())
    }
}

pub(super) fn is_cancelable() -> bool {
    Exchange::current().is_some_and(|exchange| exchange.cancel.is_some())
}

/// Returns an error if the current exchange was canceled.
pub(in crate::http) fn check() -> io::Result<()> {
    Exchange::current().map_or(Ok(()), |exchange| exchange.check())
}

pub(super) fn set_stage(stage: Stage, uri: &Uri) {
    if let Some(exchange) = Exchange::current() {
        exchange.set_stage(stage);
        let is_proxy = !exchange.is_for(uri);
        *lock(&exchange.proxy) = is_proxy.then(|| uri.host().unwrap_or_default().to_string());
    }
}

/// Runs a call that may block in the operating system on its own thread, so that it can be abandoned when the time is
/// up or the exchange is canceled. If the system has no thread left, the call runs on this one.
pub(super) fn in_background<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> io::Result<T> + Clone + Send + 'static,
) -> io::Result<T> {
    let (sender, result) = channel(1);
    let here = work.clone();
    let thread = std::thread::Builder::new().name("twelvelabs-connect".into());
    if thread.spawn(move || sender.send(work())).is_err() {
        return here();
    }
    let mut limit = Limit::new(time::Duration::Exact(limit), Timeout::Connect);
    loop {
        check()?;
        let Ok(remaining) = limit.remaining() else { return Err(io::ErrorKind::TimedOut.into()) };
        match result.recv_timeout(remaining.min(SLICE)) {
            Ok(result) => return result,
            Err(RecvError::Timeout) => {}
            Err(RecvError::Closed) => return Err(io::Error::other("the connecting thread has ended")),
        }
    }
}

/// A time limit that starts when it is first checked.
pub(super) struct Limit {
    since: Option<Instant>,
    after: Duration,
    reason: Timeout,
}

impl Limit {
    pub(super) fn new(after: time::Duration, reason: Timeout) -> Self {
        let after = match after {
            time::Duration::Exact(after) => after.min(FOREVER),
            time::Duration::NotHappening => FOREVER,
        };
        Limit { since: None, after, reason }
    }

    /// Returns the remaining time, or an error if none remains.
    pub(super) fn remaining(&mut self) -> Result<Duration, ureq::Error> {
        if self.after == FOREVER {
            return Ok(FOREVER);
        }
        let now = Instant::now();
        match self.after.saturating_sub(now - *self.since.get_or_insert(now)) {
            Duration::ZERO => Err(ureq::Error::Timeout(self.reason)),
            left => Ok(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_belongs_to_the_exchange_it_entered_last() {
        let target = || Exchange::current().map(|exchange| exchange.contact());
        let [outer, inner] = ["http://a", "http://b"].map(|url| Exchange::new(url, None));
        let entered = outer.enter();
        let within = inner.enter();
        assert_eq!(target().as_deref(), Some("b"));
        drop(within);
        assert_eq!(target().as_deref(), Some("a"));
        drop(entered);
        assert_eq!(target(), None);
    }

    #[test]
    fn the_state_of_an_exchange() {
        let exchange = Exchange::new("http://a", None);
        let departed = exchange.departed().clone();
        for stage in [Stage::Resolving, Stage::Connecting, Stage::Securing, Stage::Ready] {
            exchange.set_stage(stage);
            assert_eq!((exchange.stage(), exchange.is_sent(), departed.load(Ordering::Relaxed)), (stage, false, false));
        }
        exchange.set_stage(Stage::Sent);
        assert!(exchange.is_sent() && departed.load(Ordering::Relaxed));

        assert!(!is_cancelable() && check().is_ok(), "without an exchange, nothing can be canceled");
        let _entered = exchange.enter();
        assert!(!is_cancelable() && check().is_ok());
        let cancel = CancelHandle::new();
        let cancelable = Exchange::new("http://a", Some(cancel.clone()));
        let _within = cancelable.enter();
        assert!(is_cancelable() && check().is_ok());
        cancel.cancel();
        assert!(check().is_err() && cancelable.is_canceled());
    }

    #[test]
    fn work_in_the_background_ends_when_it_is_canceled_or_out_of_time() {
        let cancel = CancelHandle::new();
        let exchange = Exchange::new("http://a", Some(cancel.clone()));
        let _guard = exchange.enter();
        // This is longer than a name server that does not respond would take.
        let long = Duration::from_secs(600);
        let hang = move || {
            std::thread::sleep(long);
            Ok(())
        };
        let e = in_background(Duration::from_millis(20), hang).unwrap_err();
        assert_eq!((e.kind(), exchange.is_canceled()), (io::ErrorKind::TimedOut, false));
        let canceler = std::thread::spawn(move || cancel.cancel());
        assert!(in_background(long, hang).is_err() && exchange.is_canceled());
        canceler.join().unwrap();
    }
}
