//! The connection below the HTTP library: sockets with waits short enough to be canceled, a DNS cache, proxies, and the
//! state of the current request.
//!
//! Everything blocks, so the thread that runs an exchange is the one that uses its connection. [`Exchange::enter`]
//! tells the connection which exchange that is.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::unversioned::transport::{
    ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, Transport,
};

pub(super) use crate::http::connection::dns_cache::DnsCache;
pub(super) use crate::http::connection::exchange::{Exchange, ProxyRoute, Stage, check};
use crate::http::connection::exchange::{Limit, is_cancelable, set_stage};
pub(super) use crate::http::connection::gzip::{Gunzip, take_gzip};
use crate::http::connection::head::RequestConnector;
pub(super) use crate::http::connection::head::Secret;
#[cfg(any(fuzzing, test))]
pub(crate) use crate::http::connection::head::{Head, scan};
pub(super) use crate::http::connection::proxy::{Environment, check_protocol};
use crate::http::connection::transport::Socket;
#[cfg(test)]
pub(super) use crate::http::connection::transport::fake;
pub(super) use crate::http::connection::trust::Trust;
use crate::limits::{FOREVER, NEXT_ADDRESS, NEXT_ADDRESS_ALONE, SLICE};
use crate::sync::{Receiver, RecvError, channel};

mod dns_cache;
mod exchange;
mod gzip;
mod head;
mod proxy;
mod transport;
mod trust;

/// Returns a connector for the sockets of this crate, with the TLS and proxies of the enabled features. `secret`
/// inserts the key.
pub(super) fn connector(names: DnsCache, secret: Option<Secret>, trust: Trust) -> impl Connector<(), Out: Transport> {
    #[cfg(feature = "socks-proxy")]
    let chain = ureq::unversioned::transport::SocksConnector::default().chain(ConnectProxyConnector::default());
    #[cfg(not(feature = "socks-proxy"))]
    let chain = ConnectProxyConnector::default();
    let chain = chain.chain(SocketConnector(names));
    #[cfg(feature = "rustls")]
    let chain = chain.chain(ureq::unversioned::transport::RustlsConnector::default());
    #[cfg(feature = "native-tls")]
    let chain = chain.chain(ureq::unversioned::transport::NativeTlsConnector::default());
    AgentLevel(chain.chain(RequestConnector { secret, trust }))
}

/// Marks the settings of a connection as those of the agent, because no request has its own TLS settings. The library
/// then prepares the settings once, and TLS sessions are resumed.
#[derive(Debug)]
struct AgentLevel<C>(C);

impl<C: Connector<()>> Connector<()> for AgentLevel<C> {
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

/// Opens a socket, unless a connection to a proxy is open already.
#[derive(Debug)]
struct SocketConnector(DnsCache);

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = Either<In, Socket>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        // Without TLS, the connection is ready to send as soon as it is open.
        let opened = if details.needs_tls() { Stage::Securing } else { Stage::Ready };
        if let Some(chained) = chained {
            set_stage(opened, details.uri);
            return Ok(Some(Either::A(chained)));
        }
        set_stage(Stage::Connecting, details.uri);
        let limit = Limit::new(details.timeout.after, details.timeout.reason);
        let open = |address: SocketAddr, limit| TcpStream::connect_timeout(&address, limit);
        let (address, stream) = connect(&details.addrs, limit, open).inspect_err(|_| self.0.forget(details.uri))?;
        self.0.prefer(details.uri, address);
        stream.set_nodelay(details.config.no_delay())?;
        set_stage(opened, details.uri);
        if let Some(exchange) = Exchange::current() {
            exchange.socket.store(true, Ordering::Relaxed);
        }
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Socket::new(stream, buffers))))
    }
}

/// Connects to the address that responds first ("happy eyeballs", RFC 8305, section 5). Each address has a head start
/// over the next one, which is tried immediately if an earlier one has failed.
///
/// The system blocks while it connects, and only `unsafe` code could avoid that. So each address takes a thread until
/// the system returns. A single address takes a thread only if the call can be canceled.
fn connect<T: Send + 'static>(
    addresses: &[SocketAddr],
    mut limit: Limit,
    open: impl Fn(SocketAddr, Duration) -> io::Result<T> + Clone + Send + 'static,
) -> Result<(SocketAddr, T), ureq::Error> {
    let (sender, outcomes) = channel(addresses.len().max(1));
    let (mut waiting, mut running) = (addresses.iter().copied().peekable(), 0);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let needs_thread = addresses.len() > 1 || is_cancelable();
    loop {
        if let Some(address) = waiting.next() {
            let remaining = limit.remaining()?;
            let (task, outcome) = (open.clone(), sender.clone());
            let attempt = move || outcome.send((address, task(address, remaining)));
            let thread = needs_thread.then(|| thread::Builder::new().name("twelvelabs-connect".into()).spawn(attempt));
            if !matches!(thread, Some(Ok(_))) {
                let is_last = waiting.peek().is_none() && running == 0;
                let patience = if is_last { remaining } else { remaining.min(NEXT_ADDRESS_ALONE) };
                let _ = sender.send((address, open(address, patience)));
            }
            running += 1;
        }
        if running == 0 {
            return match last.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Err(ureq::Error::Timeout(Timeout::Connect)),
                _ => Err(last.into()),
            };
        }
        let head_start = if waiting.peek().is_some() { NEXT_ADDRESS } else { FOREVER };
        match next_outcome(&outcomes, head_start, &mut limit)? {
            Some((address, Ok(stream))) => return Ok((address, stream)),
            Some((_, Err(e))) => {
                running -= 1;
                last = e;
            }
            None => {}
        }
    }
}

/// Waits for an outcome, at most for `wait`. Returns an error if the exchange is canceled or its time is up.
fn next_outcome<T>(outcomes: &Receiver<T>, wait: Duration, limit: &mut Limit) -> Result<Option<T>, ureq::Error> {
    let began = Instant::now();
    loop {
        check()?;
        let remaining = wait.saturating_sub(began.elapsed());
        match outcomes.recv_timeout(limit.remaining()?.min(remaining).min(SLICE)) {
            Ok(outcome) => return Ok(Some(outcome)),
            Err(RecvError::Timeout) if remaining > Duration::ZERO => {}
            Err(RecvError::Timeout) => return Ok(None),
            Err(RecvError::Closed) => return Err(io::Error::other("the connecting thread has ended").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ureq::unversioned::transport::time;

    use super::*;
    use crate::http::cancel::CancelHandle;

    const SILENT: u16 = 1;
    const REFUSING: u16 = 2;
    const LISTENING: u16 = 3;

    /// Connects to the first of these addresses that listens. Returns the result and the ports that were tried.
    fn race(ports: &[u16], limit: Duration) -> (Result<u16, ureq::Error>, Vec<u16>) {
        let tried = Arc::new(Mutex::new(Vec::new()));
        let addresses: Vec<_> = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
        let noted = tried.clone();
        let open = move |address: SocketAddr, limit: Duration| {
            noted.lock().unwrap().push(address.port());
            match address.port() {
                SILENT => {
                    thread::sleep(limit);
                    Err(io::ErrorKind::TimedOut.into())
                }
                REFUSING => Err(io::ErrorKind::ConnectionRefused.into()),
                _ => Ok(()),
            }
        };
        let limit = Limit::new(time::Duration::Exact(limit), Timeout::Connect);
        let result = connect(&addresses, limit, open).map(|(address, ())| address.port());
        let tried = tried.lock().unwrap().clone();
        (result, tried)
    }

    #[test]
    fn a_silent_or_refusing_address_does_not_block_the_next_one() {
        // The silent address would take the whole limit.
        let limit = Duration::from_secs(600);
        for (ports, tried) in [
            (&[LISTENING, SILENT][..], &[LISTENING][..]),
            (&[SILENT, LISTENING], &[SILENT, LISTENING]),
            (&[REFUSING, REFUSING, LISTENING], &[REFUSING, REFUSING, LISTENING]),
            (&[SILENT, REFUSING, LISTENING], &[SILENT, REFUSING, LISTENING]),
            (&[LISTENING], &[LISTENING]),
        ] {
            let (result, seen) = race(ports, limit);
            assert_eq!((result.unwrap(), seen.as_slice()), (LISTENING, tried), "{ports:?}");
        }
    }

    #[test]
    fn if_no_address_answers_connecting_fails_or_times_out() {
        let (result, tried) = race(&[REFUSING, REFUSING], Duration::from_secs(600));
        assert!(matches!(result, Err(ureq::Error::Io(e)) if e.kind() == io::ErrorKind::ConnectionRefused));
        assert_eq!(tried.len(), 2);
        for ports in [&[SILENT][..], &[REFUSING, SILENT]] {
            let (result, _) = race(ports, Duration::from_millis(10));
            assert!(matches!(result, Err(ureq::Error::Timeout(Timeout::Connect))), "{ports:?}: {result:?}");
        }
        assert!(matches!(race(&[], Duration::from_secs(600)).0, Err(ureq::Error::Io(_))));
    }

    #[test]
    fn connecting_ends_when_it_is_canceled() {
        for ports in [&[SILENT][..], &[SILENT, SILENT]] {
            let cancel = CancelHandle::new();
            let exchange = Exchange::new("http://a", Some(cancel.clone()));
            let _guard = exchange.enter();
            let canceler = thread::spawn(move || cancel.cancel());
            // A wait for the silent address would take that long.
            let (result, _) = race(ports, Duration::from_secs(600));
            assert!(result.is_err() && exchange.is_canceled());
            canceler.join().unwrap();
        }
    }
}
