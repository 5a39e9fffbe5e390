//! The addresses of servers.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::http::connection::exchange::{Limit, Stage, in_background, reach};
use crate::sync::lock;

/// How long the addresses of a name are kept.
const KEPT: Duration = Duration::from_secs(30);
/// The most names that are kept.
const MOST_NAMES: usize = 1000;

/// The addresses of names, kept for a short time: the library asks for them before each request, on kept connections too.
#[derive(Clone, Default)]
pub(in crate::http) struct Names(Arc<Mutex<HashMap<String, Addresses>>>);

/// When they were looked up, and what was found.
type Addresses = (Instant, Vec<SocketAddr>);

impl Names {
    pub(super) fn forget(&self, uri: &Uri) {
        if let Some((host, port)) = host_and_port(uri) {
            lock(&self.0).remove(&format!("{host}:{port}"));
        }
    }

    fn look_up(&self, host: &str, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, ureq::Error> {
        let name = format!("{host}:{port}");
        let known = lock(&self.0).get(&name).filter(|(at, _)| at.elapsed() < KEPT).cloned();
        if let Some((_, addresses)) = known {
            return Ok(addresses);
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
        let mut found = self.empty();
        // There is room for sixteen.
        let mut keep = |addresses: &[SocketAddr]| {
            for address in config.ip_family().keep_wanted(addresses.iter().copied()).take(16) {
                found.push(address);
            }
        };
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => keep(&[SocketAddr::new(address, port)]),
            Err(_) => {
                reach(Stage::Resolving, uri);
                let addresses = self.look_up(host, port, timeout)?;
                reach(Stage::Ready, uri);
                keep(&addresses);
            }
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
    use ureq::unversioned::transport::time;

    use super::*;

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
        names.look_up("localhost", 10, timeout).unwrap();
        assert_eq!(lock(&names.0).len(), 2);
        assert_eq!(format!("{names:?}"), "Names { .. }");
        lock(&names.0).extend((0..MOST_NAMES).map(|n| (n.to_string(), (Instant::now(), Vec::new()))));
        names.look_up("localhost", 11, timeout).unwrap();
        assert_eq!(lock(&names.0).len(), 1, "there are never more than so many");
        names.look_up("localhost", 9, timeout).unwrap();
        lock(&names.0).remove("localhost:11");
        names.forget(&uri);
        assert!(lock(&names.0).is_empty());
    }
}
