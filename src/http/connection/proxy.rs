//! The proxies that the environment names, chosen for each URL as `curl` and `httpx` choose them.
//!
//! The HTTP library has different rules. It prefers `ALL_PROXY` to the variable of the scheme and applies it to every
//! URL, ignores a variable that it cannot read, and does not trim the entries of `NO_PROXY`. So this module chooses the
//! proxy for it.

use std::ffi::OsString;
use std::net::IpAddr;

use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use crate::http::url::parse_proxy;

/// The proxies named by the environment. An unusable variable is an error as soon as it would apply, and the client
/// never connects around it, because a proxy is often the only permitted route.
#[derive(Clone)]
pub(in crate::http) struct Environment {
    http: Choice,
    https: Choice,
    exceptions: Result<Vec<Exception>, String>,
}

/// The proxy for the URLs of a scheme, if any, or the reason why it cannot be used.
type Choice = Result<Option<NamedProxy>, String>;

/// A proxy, and the name of the variable that set it. Errors name the variable, so that the user knows what to correct.
#[derive(Clone)]
pub(in crate::http) struct NamedProxy {
    pub variable: String,
    pub proxy: Proxy,
}

impl Environment {
    /// Reads the variables. For an `https` URL, `https_proxy` takes precedence over `all_proxy`, and a lowercase name
    /// over the uppercase one. An empty variable counts as unset.
    pub(in crate::http) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| {
                let value = variable(name).filter(|value| !value.is_empty())?;
                match value.into_string() {
                    Ok(text) if text.trim().is_empty() => None,
                    Ok(text) => Some(Ok((name.to_string(), text.trim().to_string()))),
                    Err(_) => Some(Err(format!("the variable {name} is not valid UTF-8; correct it or remove it"))),
                }
            })
        };
        let choice = |names: &[&str]| {
            let Some((name, url)) = first(names).transpose()? else { return Ok(None) };
            let why = || format!("the variable {name} is not the URL of a proxy; correct it or remove it");
            let proxy = parse_proxy(&url).ok_or_else(why)?;
            check_protocol(&format!("the proxy of the variable {name}"), &proxy)?;
            Ok(Some(NamedProxy { variable: name, proxy }))
        };
        let exceptions = match first(&["no_proxy", "NO_PROXY"]) {
            Some(Ok((_, list))) => {
                Ok(list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).map(Exception::new).collect())
            }
            Some(Err(why)) => Err(why),
            None => Ok(Vec::new()),
        };
        Environment {
            http: choice(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https: choice(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            exceptions,
        }
    }

    /// Returns the proxy for this URL. Hosts on this machine are reached directly.
    pub(in crate::http) fn proxy_for(&self, uri: &Uri) -> Result<Option<&NamedProxy>, &str> {
        let choice = if uri.scheme_str() == Some("https") { &self.https } else { &self.http };
        if matches!(choice, Ok(None)) || is_on_this_machine(uri) {
            return Ok(None);
        }
        if self.exceptions.as_ref().map_err(String::as_str)?.iter().any(|exception| exception.covers(uri)) {
            return Ok(None);
        }
        Ok(choice.as_ref().map_err(String::as_str)?.as_ref())
    }
}

/// Returns an error if this build does not support the proxy's protocol.
pub(in crate::http) fn check_protocol(what: &str, proxy: &Proxy) -> Result<(), String> {
    use ProxyProtocol::{Socks4, Socks4A, Socks5, Socks5h};
    match proxy.protocol() {
        Socks4 | Socks4A | Socks5 | Socks5h if cfg!(not(feature = "socks-proxy")) => {
            Err(format!("{what} is a SOCKS proxy; build with the feature `socks-proxy` to use it"))
        }
        _ => Ok(()),
    }
}

fn host_of(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.')
}

fn is_on_this_machine(uri: &Uri) -> bool {
    let host = host_of(uri);
    let address: Option<IpAddr> = host.parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

/// An entry of `NO_PROXY`: the hosts that it covers, and the port if it names one.
#[derive(Debug, Clone, PartialEq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq)]
enum Hosts {
    All,
    /// A name and all its subdomains, in lowercase.
    Domain(String),
    /// An address or a network, such as `10.0.0.0/8`, with the number of significant bits.
    Network(IpAddr, u32),
}

impl Exception {
    fn new(entry: &str) -> Self {
        let (host, port) = match entry.rsplit_once(':') {
            // Several colons mean an IPv6 address, which can have a port only after a closing bracket.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
            _ => (entry, None),
        };
        let host = host.trim_matches(['[', ']']);
        let (address, bits) = host.split_once('/').map_or((host, None), |(address, bits)| (address, bits.parse().ok()));
        let hosts = match address.parse::<IpAddr>() {
            Ok(address) => Hosts::Network(address, bits.unwrap_or(u32::MAX)),
            Err(_) if host == "*" => Hosts::All,
            Err(_) => {
                let domain = host.trim_start_matches('*').trim_matches('.');
                Hosts::Domain(domain.to_ascii_lowercase())
            }
        };
        Exception { hosts, port }
    }

    fn covers(&self, uri: &Uri) -> bool {
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        if self.port.is_some_and(|port| port != uri.port_u16().unwrap_or(default)) {
            return false;
        }
        let host = host_of(uri);
        match &self.hosts {
            Hosts::All => true,
            Hosts::Network(network, bits) => host.parse().is_ok_and(|address| is_within(address, *network, *bits)),
            Hosts::Domain(domain) => {
                let host = host.to_ascii_lowercase();
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                    && !domain.is_empty()
            }
        }
    }
}

/// Says whether the first `bits` bits of an address equal those of the network.
fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let shift = 32u32.saturating_sub(bits);
            (address.to_bits() ^ network.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let shift = 128u32.saturating_sub(bits);
            (address.to_bits() ^ network.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(*value))
        })
    }

    /// Returns the host of the proxy for the URL, or the error.
    fn proxy(environment: &Environment, url: &str) -> Result<Option<String>, String> {
        let uri = url.parse().unwrap();
        environment.proxy_for(&uri).map(|proxy| proxy.map(|named| named.proxy.host().into())).map_err(str::to_string)
    }

    #[test]
    fn the_variable_of_the_scheme_takes_precedence_over_all_proxy() {
        let all = ("ALL_PROXY", "http://all:1");
        for (variables, https, http) in [
            (&[all][..], Some("all"), Some("all")),
            (&[all, ("HTTPS_PROXY", "http://secure:1")], Some("secure"), Some("all")),
            (&[all, ("http_proxy", "plain:1"), ("HTTP_PROXY", "http://capital:1")], Some("all"), Some("plain")),
            (&[("all_proxy", "http://small:1"), all], Some("small"), Some("small")),
            (&[all, ("https_proxy", " ")], Some("all"), Some("all")),
            (&[("HTTPS_PROXY", " http://secure:1\n")], Some("secure"), None),
            (&[], None, None),
        ] {
            let environment = environment(variables);
            assert_eq!(proxy(&environment, "https://api.example/").unwrap().as_deref(), https, "{variables:?}");
            assert_eq!(proxy(&environment, "http://api.example/").unwrap().as_deref(), http, "{variables:?}");
        }
    }

    #[test]
    fn hosts_covered_by_no_proxy() {
        let api = "https://api.example.com/v1";
        for (no_proxy, url, is_direct) in [
            ("api.example.com", api, true),
            ("example.com", api, true),
            (".example.com", api, true),
            ("*.example.com", api, true),
            ("com.", api, true),
            ("API.Example.COM", api, true),
            (" other.test , example.com ", api, true),
            ("other.test example.com", api, true),
            ("*", api, true),
            ("other.test,*", api, true),
            ("ample.com", api, false),
            ("api.example", api, false),
            ("example.com:443", api, true),
            ("example.com:8443", api, false),
            ("example.com:8443", "https://api.example.com:8443/", true),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("10.1.2.3", "http://10.1.2.3:9/", true),
            ("10.1.2.3:8", "http://10.1.2.3:9/", false),
            ("0.0.0.0/0", "http://11.1.2.3/", true),
            ("2001:db8::/32", "http://[2001:db8::7]/", true),
            ("2001:db8::7", "http://[2001:db8::7]/", true),
            ("[2001:db8::7]:9", "http://[2001:db8::7]:9/", true),
            ("[2001:db8::7]:8", "http://[2001:db8::7]:9/", false),
            ("10.0.0.0/8", "http://[2001:db8::7]/", false),
            (",", api, false),
            (".", api, false),
            ("", "http://localhost:9/", true),
            ("", "http://127.0.0.2/", true),
            ("", "http://[::1]/", true),
        ] {
            let environment = environment(&[("ALL_PROXY", "http://all:1"), ("NO_PROXY", no_proxy)]);
            assert_eq!(proxy(&environment, url).unwrap().is_none(), is_direct, "{no_proxy} {url}");
        }
        let environment = environment(&[("ALL_PROXY", "http://all:1"), ("NO_PROXY", ""), ("no_proxy", "example.com")]);
        assert_eq!(proxy(&environment, api), Ok(None), "an empty variable does not hide another one");
    }

    #[test]
    fn an_unusable_variable_is_an_error_where_it_applies() {
        let api = "https://api.example/";
        for (name, value) in [("ALL_PROXY", "http://"), ("HTTPS_PROXY", "gopher://a:1"), ("https_proxy", "no proxy")] {
            let why = proxy(&environment(&[(name, value)]), api).unwrap_err();
            assert!(why.contains(&format!("the variable {name} is not the URL of a proxy")), "{why}");
        }
        let good = ("HTTPS_PROXY", "http://good:1");
        assert_eq!(proxy(&environment(&[("ALL_PROXY", "http://"), good]), api), Ok(Some("good".into())));
        assert_eq!(proxy(&environment(&[("ALL_PROXY", "http://"), ("NO_PROXY", "*")]), api), Ok(None));
        assert_eq!(proxy(&environment(&[("HTTP_PROXY", "http://")]), api), Ok(None));
        let socks = proxy(&environment(&[("all_proxy", "socks5://a:1")]), api);
        assert_eq!(socks.is_ok(), cfg!(feature = "socks-proxy"), "{socks:?}");
    }

    #[test]
    #[cfg(unix)]
    fn a_variable_that_is_not_utf_8_is_an_error_where_it_applies() {
        use std::os::unix::ffi::OsStringExt;

        let odd = || OsString::from_vec(b"http://\xff:1".to_vec());
        for odd_one in ["ALL_PROXY", "https_proxy", "NO_PROXY"] {
            let environment = Environment::read(|name| match name {
                name if name == odd_one => Some(odd()),
                "HTTPS_PROXY" => Some("http://good:1".into()),
                _ => None,
            });
            let result = proxy(&environment, "https://api.example/");
            match odd_one {
                "ALL_PROXY" => assert_eq!(result, Ok(Some("good".into()))),
                _ => assert!(result.unwrap_err().contains(&format!("{odd_one} is not valid UTF-8"))),
            }
        }
    }
}
