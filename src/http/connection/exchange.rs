//! The state of the current exchange, and its time limits.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::http::Uri;
use ureq::unversioned::transport::time;

use crate::http::cancel::CancelHandle;
use crate::limits::{FOREVER, SLICE};
use crate::sync::{RecvError, channel, lock};

/// The progress of an exchange.
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

/// The information that a connection needs about the current exchange, and its reports.
#[derive(Default)]
pub(crate) struct Exchange {
    cancel: Option<CancelHandle>,
    /// Where the request goes.
    pub(in crate::http) uri: Option<Uri>,
    stage: AtomicU8,
    /// The proxy that was contacted last, unless the server itself was.
    proxy: Mutex<Option<String>>,
    /// The proxy that the request is to go through, if there is one.
    route: Mutex<Option<ProxyRoute>>,
    /// Whether the request was handed to the connection; before that, its bytes are those of a proxy.
    pub(super) handed: AtomicBool,
    /// Whether the answer's head is still awaited.
    pub(super) head: AtomicBool,
    /// Whether a socket of this crate was opened: it knows when a byte has left.
    pub(super) socket: AtomicBool,
    /// Whether a byte of the request has departed, for others to look at.
    departed: Arc<AtomicBool>,
    /// The number of bytes of the request that were handed to the connection.
    pub(super) bytes: AtomicU64,
    /// How many bytes have come after the head of the answer, as they were on the wire.
    pub(super) raw_body: AtomicU64,
    canceled: AtomicBool,
    /// Whether the connection had served another request before this one.
    pub(super) kept: AtomicBool,
    /// The reason why the rest of a partly sent request could not be sent.
    cut_short: Mutex<Option<io::Error>>,
}

/// The proxy of a request.
#[derive(Clone, PartialEq)]
pub(in crate::http) struct ProxyRoute {
    pub port: u16,
    /// The environment variable that names it.
    pub variable: Option<String>,
    pub has_credentials: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Exchange>>> = const { RefCell::new(None) };
}

/// While this lives, the connections that this thread uses belong to the exchange.
pub(crate) struct ExchangeGuard(Option<Arc<Exchange>>);

impl Drop for ExchangeGuard {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| current.replace(before));
    }
}

impl Exchange {
    pub(crate) fn new(url: &str, cancel: Option<CancelHandle>) -> Arc<Self> {
        Arc::new(Exchange { cancel, uri: url.parse().ok(), head: true.into(), ..Self::default() })
    }

    /// Whether a connection to this URL is one to the server, and not to a proxy.
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

    /// Whether a byte of the request has left.
    pub(crate) fn is_sent(&self) -> bool {
        self.stage() == Stage::Sent
    }

    /// Whether it ended because it was canceled.
    pub(crate) fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Relaxed)
    }

    /// The number of bytes of the request that were handed to the connection.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The host that was contacted last, in words.
    pub(crate) fn contact(&self) -> String {
        let host = || self.uri.as_ref().and_then(Uri::host).unwrap_or_default().to_string();
        lock(&self.proxy).as_ref().map_or_else(host, |proxy| format!("the proxy {proxy}"))
    }

    /// The host that was contacted last, with its port if there is one to say, and the variable that set a proxy.
    pub(in crate::http) fn address(&self, with_port: bool) -> String {
        let mut address = self.contact();
        let route = lock(&self.route);
        let proxy = route.as_ref().filter(|_| lock(&self.proxy).is_some());
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

    /// Notes the proxy that the request is to go through.
    pub(in crate::http) fn set_route(&self, route: Option<ProxyRoute>) {
        *lock(&self.route) = route;
    }

    /// Whether a user name or a password is sent to the proxy.
    pub(in crate::http) fn has_proxy_credentials(&self) -> bool {
        lock(&self.route).as_ref().is_some_and(|route| route.has_credentials)
    }

    /// The head of the answer is there; what follows is its body.
    pub(crate) fn head_read(&self) {
        self.head.store(false, Ordering::Relaxed);
    }

    /// Where others see that a byte of the request has departed.
    pub(crate) fn departed(&self) -> &Arc<AtomicBool> {
        &self.departed
    }

    pub(in crate::http) fn set_stage(&self, stage: Stage) {
        if stage == Stage::Sent {
            self.departed.store(true, Ordering::Relaxed);
        }
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// How many bytes have come after the head of the answer, as they were on the wire.
    pub(in crate::http) fn raw_body(&self) -> u64 {
        self.raw_body.load(Ordering::Relaxed)
    }

    /// Whether the request went out on a connection that had served another one before.
    pub(in crate::http) fn is_on_kept_connection(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    /// Prepares the same request for another connection. Nothing of it has departed.
    pub(in crate::http) fn restart(&self) {
        self.set_stage(Stage::Ready);
        self.kept.store(false, Ordering::Relaxed);
        self.handed.store(false, Ordering::Relaxed);
    }

    /// Notes that the rest of the request cannot be sent. The answer may be there all the same.
    pub(super) fn cut_short(&self, why: io::Error) {
        *lock(&self.cut_short) = Some(why);
    }

    /// Whether only a part of the request was sent.
    pub(in crate::http) fn is_cut_short(&self) -> bool {
        lock(&self.cut_short).is_some()
    }

    /// Why the rest of the request could not be sent.
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

/// An error if the exchange under way is canceled.
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

/// Does something that the system cannot be kept from waiting for. On a thread of its own it can be abandoned when the
/// time is over or the exchange is canceled; if the system has no thread left, it is done here.
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

/// A time limit that runs from when it is first asked for.
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

    /// The time that remains. An error if that is none.
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
    fn a_thread_is_of_the_exchange_that_it_entered_last() {
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
    fn what_is_known_of_an_exchange() {
        let exchange = Exchange::new("http://a", None);
        let departed = exchange.departed().clone();
        for stage in [Stage::Resolving, Stage::Connecting, Stage::Securing, Stage::Ready] {
            exchange.set_stage(stage);
            assert_eq!((exchange.stage(), exchange.is_sent(), departed.load(Ordering::Relaxed)), (stage, false, false));
        }
        exchange.set_stage(Stage::Sent);
        assert!(exchange.is_sent() && departed.load(Ordering::Relaxed));

        assert!(!is_cancelable() && check().is_ok(), "there is no exchange");
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
        // As long as a server of names that does not answer would take.
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
