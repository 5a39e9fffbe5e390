//! A cache of the addresses of servers.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::iter;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::Timeout;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::http::connection::exchange::{Limit, Stage, in_background, set_stage};
use crate::sync::lock;

/// The time for which addresses are cached. The library resolves the name before each request, even on a kept
/// connection, so a server that moves is found again within this time.
const MAX_AGE: Duration = Duration::from_secs(30);
/// The maximum number of names in the cache.
const MAX_NAMES: usize = 1000;

/// A cache of the addresses of server names. Entries are kept for a short time.
#[derive(Clone, Default)]
pub(in crate::http) struct DnsCache(Arc<Mutex<HashMap<String, Entry>>>);

struct Entry {
    looked_up: Instant,
    addresses: Vec<SocketAddr>,
    /// The address of the last successful connection. It is tried first, even after the name was resolved again.
    worked: Option<SocketAddr>,
}

impl DnsCache {
    pub(super) fn forget(&self, uri: &Uri) {
        if let Some(name) = name_of(uri) {
            lock(&self.0).remove(&name);
        }
    }

    /// Records that this address worked, so that the next connection to this name tries it first.
    pub(super) fn prefer(&self, uri: &Uri, address: SocketAddr) {
        let mut names = lock(&self.0);
        if let Some(entry) = name_of(uri).and_then(|name| names.get_mut(&name)) {
            entry.worked = Some(address);
            move_to_front(&mut entry.addresses, address);
        }
    }

    fn look_up(&self, host: &str, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, ureq::Error> {
        let name = format!("{host}:{port}");
        let mut worked = None;
        if let Some(entry) = lock(&self.0).get(&name) {
            if entry.looked_up.elapsed() < MAX_AGE {
                return Ok(entry.addresses.clone());
            }
            worked = entry.worked;
        }
        let limit = Limit::new(timeout.after, timeout.reason).remaining()?;
        let asked = name.clone();
        let mut addresses = match in_background(limit, move || asked.to_socket_addrs()) {
            Err(e) if e.kind() == io::ErrorKind::TimedOut => return Err(ureq::Error::Timeout(Timeout::Resolve)),
            other => alternate(other?),
        };
        if let Some(worked) = worked {
            move_to_front(&mut addresses, worked);
        }
        let mut names = lock(&self.0);
        if names.len() >= MAX_NAMES {
            names.clear();
        }
        names.insert(name, Entry { looked_up: Instant::now(), addresses: addresses.clone(), worked });
        Ok(addresses)
    }
}

fn move_to_front(addresses: &mut [SocketAddr], address: SocketAddr) {
    if let Some(at) = addresses.iter().position(|other| *other == address) {
        addresses[..=at].rotate_right(1);
    }
}

/// Alternates the addresses between IPv4 and IPv6, starting with the family of the first one (RFC 8305, section 4). If
/// one family does not work at all, the second attempt already uses the other.
fn alternate(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses.peekable();
    let first_is_ipv4 = addresses.peek().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv4() == first_is_ipv4);
    let mut second = second.into_iter();
    let mut all: Vec<_> = first.into_iter().flat_map(|address| iter::once(address).chain(second.next())).collect();
    all.extend(second);
    all
}

fn name_of(uri: &Uri) -> Option<String> {
    let (host, port) = host_and_port(uri)?;
    Some(format!("{host}:{port}"))
}

fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let port = uri.port_u16().or_else(|| match uri.scheme_str()? {
        "https" => Some(443),
        "http" => Some(80),
        scheme => scheme.starts_with("socks").then_some(1080),
    })?;
    Some((uri.host()?, port))
}

/// Returns the address that a URL contains instead of a host name.
fn literal(uri: &Uri) -> Option<SocketAddr> {
    let has_port = uri.authority().and_then(|authority| authority.as_str().parse().ok());
    has_port.or_else(|| {
        let (host, port) = host_and_port(uri)?;
        Some(SocketAddr::new(host.trim_matches(['[', ']']).parse().ok()?, port))
    })
}

impl Resolver for DnsCache {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        // The library's list holds at most sixteen addresses.
        let mut keep = |addresses: &[SocketAddr]| {
            for address in config.ip_family().keep_wanted(addresses.iter().copied()).take(16) {
                found.push(address);
            }
        };
        match literal(uri) {
            Some(address) => keep(&[address]),
            None => {
                let (host, port) = host_and_port(uri).ok_or(ureq::Error::HostNotFound)?;
                set_stage(Stage::Resolving, uri);
                let addresses = self.look_up(host, port, timeout)?;
                set_stage(Stage::Ready, uri);
                keep(&addresses);
            }
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

impl fmt::Debug for DnsCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ureq::unversioned::transport::time;

    use super::*;

    fn timeout() -> NextTimeout {
        NextTimeout { after: time::Duration::from_secs(5), reason: Timeout::Resolve, ..Default::default() }
    }

    #[test]
    fn names_are_looked_up_once_and_forgotten_on_request() {
        let names = DnsCache::default();
        let uri: Uri = "http://localhost:9/".parse().unwrap();
        let first = names.look_up("localhost", 9, timeout()).unwrap();
        assert!(first.iter().all(|address| address.ip().is_loopback() && address.port() == 9));
        let looked_up = || lock(&names.0)["localhost:9"].looked_up;
        let before = looked_up();
        names.look_up("localhost", 9, timeout()).unwrap();
        assert_eq!(looked_up(), before);
        names.look_up("localhost", 10, timeout()).unwrap();
        assert_eq!(lock(&names.0).len(), 2);
        assert_eq!(format!("{names:?}"), "DnsCache { .. }");
        let none = || Entry { looked_up: Instant::now(), addresses: Vec::new(), worked: None };
        lock(&names.0).extend((0..MAX_NAMES).map(|n| (n.to_string(), none())));
        names.look_up("localhost", 11, timeout()).unwrap();
        assert_eq!(lock(&names.0).len(), 1, "the cache never holds more names than its limit");
        names.look_up("localhost", 9, timeout()).unwrap();
        lock(&names.0).remove("localhost:11");
        names.forget(&uri);
        assert!(lock(&names.0).is_empty());
    }

    #[test]
    fn cached_addresses_expire() {
        let names = DnsCache::default();
        let moved: SocketAddr = "192.0.2.1:9".parse().unwrap();
        // Just before the entry expires, and just after.
        for (age, is_kept) in [(MAX_AGE / 2, true), (MAX_AGE, false)] {
            let Some(looked_up) = Instant::now().checked_sub(age) else { continue };
            let old = Entry { looked_up, addresses: vec![moved], worked: Some(moved) };
            lock(&names.0).insert("localhost:9".into(), old);
            let found = names.look_up("localhost", 9, timeout()).unwrap();
            assert_eq!(found.contains(&moved), is_kept, "{age:?}");
        }
    }

    #[test]
    fn the_address_that_worked_is_tried_first() {
        let names = DnsCache::default();
        let uri: Uri = "http://localhost:9/".parse().unwrap();
        let [a, b, c] = ["127.0.0.1:9", "127.0.0.2:9", "127.0.0.3:9"].map(|text| text.parse::<SocketAddr>().unwrap());
        let entry = Entry { looked_up: Instant::now(), addresses: vec![a, b, c], worked: None };
        lock(&names.0).insert("localhost:9".into(), entry);
        let addresses = || names.look_up("localhost", 9, timeout()).unwrap();
        names.prefer(&uri, c);
        assert_eq!(addresses(), [c, a, b]);
        names.prefer(&uri, "192.0.2.1:9".parse().unwrap());
        assert_eq!(addresses(), [c, a, b], "an unknown address does not change the order");
        let mut again = [a, b, c];
        move_to_front(&mut again, b);
        assert_eq!(again, [b, a, c]);
    }

    #[test]
    fn a_connection_records_the_address_that_worked() {
        use crate::http::connection::{Trust, connector};

        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = server.local_addr().unwrap();
        // Nothing listens at the second address of this port, because the server listens at the first only.
        let closed: SocketAddr = format!("127.0.0.2:{}", open.port()).parse().unwrap();
        let (names, name) = (DnsCache::default(), format!("localhost:{}", open.port()));
        let entry = Entry { looked_up: Instant::now(), addresses: vec![closed, open], worked: None };
        lock(&names.0).insert(name.clone(), entry);
        let agent =
            ureq::Agent::with_parts(Config::default(), connector(names.clone(), None, Trust::default()), names.clone());
        let answering = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 1000]).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        });
        agent.get(format!("http://{name}/")).call().unwrap();
        answering.join().unwrap();
        assert_eq!(lock(&names.0)[&name].addresses, [open, closed]);
    }

    #[test]
    fn the_address_families_alternate() {
        let parse = |text: &str| text.split(' ').map(|address| address.parse().unwrap()).collect::<Vec<SocketAddr>>();
        for (found, tried) in [
            ("[::1]:1 [::2]:1 [::3]:1 1.0.0.1:1", "[::1]:1 1.0.0.1:1 [::2]:1 [::3]:1"),
            ("1.0.0.1:1 1.0.0.2:1 [::1]:1 [::2]:1 [::3]:1", "1.0.0.1:1 [::1]:1 1.0.0.2:1 [::2]:1 [::3]:1"),
            ("1.0.0.1:1", "1.0.0.1:1"),
        ] {
            assert_eq!(alternate(parse(found).into_iter()), parse(tried), "{found}");
        }
    }
}
