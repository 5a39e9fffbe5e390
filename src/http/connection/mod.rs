//! The connection below the HTTP library: sockets whose waits are short enough to be canceled, names that are looked up
//! once, and what is known of the request under way.
//!
//! Everything blocks, so the thread that runs an exchange is the one that uses its connection. [`Exchange::enter`] tells
//! the connection which exchange that is.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ureq::Timeout;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, time,
};

pub(super) use crate::http::connection::dns_cache::Names;
pub(super) use crate::http::connection::exchange::{Exchange, Stage, check};
use crate::http::connection::exchange::{Limit, SLICE, in_background, is_cancelable, reach};
use crate::http::connection::head::RequestConnector;
pub(super) use crate::http::connection::head::Secret;
#[cfg(any(fuzzing, test))]
pub(crate) use crate::http::connection::head::{Head, scan};

mod dns_cache;
mod exchange;
mod head;

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
    let mut limit = Limit::new(details.timeout.after, details.timeout.reason);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in details.addrs.iter().enumerate() {
        let share = share(limit.left()?, details.addrs.len() - tried);
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

/// How long the first of so many addresses may take.
fn share(left: Duration, addresses: usize) -> Duration {
    if addresses > 1 { left / 2 } else { left }
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
        let mut whole = Limit::new(timeout.after, timeout.reason);
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
        let mut limit = Limit::new(timeout.after, timeout.reason);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leaves_time_for_the_next() {
        let shares = [3, 2, 1].map(|addresses| share(Duration::from_secs(8), addresses).as_secs());
        assert_eq!(shares, [4, 4, 8]);
    }
}
