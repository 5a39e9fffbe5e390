//! One HTTP attempt. The only file that names the HTTP library.

use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use ureq::Agent;
use ureq::http::header::{HeaderName, HeaderValue};
use ureq::http::{Request, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{AsSendBody, Proxy, SendBody, Timeout};

use crate::response::Headers;

/// A larger output buffer than the library's default sends a file a quarter faster.
const OUTPUT_BUFFER: usize = 1 << 20;
/// Headers are never longer than this.
const MOST_HEADERS: usize = 1 << 17;
/// The room for an answer whose length is not known, and how it grows: at least and at most.
const LITTLE: usize = 16 << 10;
const MUCH: usize = 1 << 20;
/// The most room that is made for an answer because of its announced length alone.
const BELIEVED: usize = 16 << 20;
const CONNECT: Duration = Duration::from_secs(10);
/// A time limit as good as none, to which no clock is too small to add it.
pub(crate) const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a connection may be silent while a body is being sent.
const SILENCE: Duration = Duration::from_secs(60);

/// What is sent in one attempt.
pub(crate) struct Exchange<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    pub body: Option<(&'a mut dyn Read, Option<u64>)>,
    pub limits: Limits,
}

/// The time limits of one attempt.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// For the whole answer once the request is sent, or for silence in a stream.
    pub answer: Duration,
    /// Whether `answer` limits silence instead.
    pub stream: bool,
    /// What is left of the deadline of the whole call.
    pub total: Option<Duration>,
}

/// The start of an answer and the rest to read.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: LiveBody,
}

/// A body that is read as it arrives.
pub(crate) type LiveBody = Box<dyn Read + Send + Sync>;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub kind: FailureKind,
    pub message: String,
    pub source: Option<io::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Nothing was sent, and trying again may help.
    NotSent,
    /// Nothing was sent, and trying again does not help.
    Impossible,
    /// The connection broke after something was sent.
    Broke,
    /// It took too long; `sent` as far as is known.
    TimedOut { sent: bool },
    /// The answer is longer than allowed.
    TooLarge,
}

/// An agent that puts `api_key` in the place of `stand_in`, which is what the layers above it see and log.
pub(crate) fn agent(user_agent: &str, api_key: &str, stand_in: &str) -> Agent {
    let secret = Secret { api_key: api_key.into(), stand_in: format!("x-api-key: {stand_in}\r\n").into() };
    Agent::with_parts(config(user_agent), DefaultConnector::default().chain(secret), DefaultResolver::default())
}

/// An agent that knows no key.
pub(crate) fn plain_agent(user_agent: &str) -> Agent {
    Agent::new_with_config(config(user_agent))
}

fn config(user_agent: &str) -> ureq::config::Config {
    let config = Agent::config_builder()
        .output_buffer_size(OUTPUT_BUFFER)
        .max_idle_connections(64)
        .max_idle_connections_per_host(32)
        .user_agent(user_agent);
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    let config = config.tls_config(tls());
    config.build()
}

/// The last link of a connection: the library logs what it sends at the finest level, so it never has the key.
#[derive(Clone)]
struct Secret {
    api_key: Arc<str>,
    stand_in: Arc<str>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

impl<In: Transport> Connector<In> for Secret {
    type Out = SecretTransport<In>;

    fn connect(&self, _: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|inner| SecretTransport { inner, secret: self.clone() }))
    }
}

#[derive(Debug)]
struct SecretTransport<In> {
    inner: In,
    secret: Secret,
}

impl<In: Transport> Transport for SecretTransport<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let output = &mut self.inner.buffers().output()[..amount];
        let stand_in = self.secret.stand_in.as_bytes();
        // Bodies are sent apart from the headers, and only headers end in an empty line and have the stand-in.
        if output.ends_with(b"\r\n\r\n") && output.len() <= MOST_HEADERS {
            if let Some(at) = output.windows(stand_in.len()).position(|window| window == stand_in) {
                let start = at + "x-api-key: ".len();
                output[start..start + self.secret.api_key.len()].copy_from_slice(self.secret.api_key.as_bytes());
            }
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[cfg(feature = "platform-verifier")]
fn tls() -> ureq::tls::TlsConfig {
    ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build()
}

#[cfg(all(feature = "native-tls", not(feature = "rustls")))]
fn tls() -> ureq::tls::TlsConfig {
    ureq::tls::TlsConfig::builder()
        .provider(ureq::tls::TlsProvider::NativeTls)
        .root_certs(ureq::tls::RootCerts::PlatformVerifier)
        .build()
}

#[cfg(all(feature = "rustls", not(feature = "platform-verifier")))]
fn tls() -> ureq::tls::TlsConfig {
    ureq::tls::TlsConfig::default()
}

/// Applies the limits and the route to a request. A macro because the library's builder has a type of its own for each use.
macro_rules! limited {
    ($config:expr, $limits:expr, $route:expr) => {
        $config
            .proxy($route.proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global($limits.total)
            .timeout_connect(Some(CONNECT))
            .timeout_resolve($route.resolve)
            .timeout_per_write(Some(SILENCE.min($limits.answer)))
            .timeout_per_read($limits.stream.then_some($limits.answer))
            .timeout_recv_response(Some($limits.answer))
            .timeout_recv_body((!$limits.stream).then_some($limits.answer))
            .build()
    };
}

pub(crate) fn send(agent: &Agent, mut exchange: Exchange<'_>) -> Result<Answer, Failure> {
    exchange.limits.total = exchange.limits.total.map(|total| total.min(FOREVER));
    let mut request = Request::builder().method(exchange.method).uri(exchange.url);
    for (name, value) in exchange.headers {
        let mut value = HeaderValue::from_str(value).map_err(impossible)?;
        value.set_sensitive(name == crate::http::session::API_KEY_HEADER);
        request = request.header(HeaderName::try_from(name).map_err(impossible)?, value);
    }
    let result = match exchange.body {
        // The one kind of request that the library has to be told to send a body with.
        Some((reader, length)) if exchange.method == "DELETE" => {
            let request = request.body(()).map_err(impossible)?;
            let (parts, ()) = request.into_parts();
            let route = Route::to(&parts.uri, agent);
            let mut builder = agent.delete(parts.uri);
            if let Some(headers) = builder.headers_mut() {
                headers.extend(parts.headers);
                headers.extend(length.map(|length| (ureq::http::header::CONTENT_LENGTH, length.into())));
            }
            let config = builder.force_send_body().config();
            limited!(config, exchange.limits, route).send(SendBody::from_reader(reader))
        }
        Some((reader, length)) => {
            if let Some(length) = length {
                request = request.header(ureq::http::header::CONTENT_LENGTH, length);
            }
            run(agent, request.body(SendBody::from_reader(reader)), exchange.limits)?
        }
        None if matches!(exchange.method, "POST" | "PUT" | "PATCH") => {
            run(agent, request.body(&[] as &[u8]), exchange.limits)?
        }
        None => run(agent, request.body(()), exchange.limits)?,
    };
    let response = result.map_err(failure)?;
    let (parts, body) = response.into_parts();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: Box::new(body.into_with_config().limit(u64::MAX).reader()),
    })
}

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

fn run<B: AsSendBody>(
    agent: &Agent,
    request: Result<Request<B>, ureq::http::Error>,
    limits: Limits,
) -> Result<Sent, Failure> {
    let request = request.map_err(impossible)?;
    let route = Route::to(request.uri(), agent);
    Ok(agent.run(limited!(agent.configure_request(request), limits, route)))
}

/// How a host is reached.
struct Route {
    /// A limit makes the library look names up in a thread of its own: not for what is an address already.
    resolve: Option<Duration>,
    /// A proxy of the environment is not asked for what is on this machine.
    proxy: Option<Proxy>,
}

impl Route {
    fn to(uri: &Uri, agent: &Agent) -> Self {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let address: Option<IpAddr> = host.parse().ok();
        let is_here = host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback());
        let proxy = agent.config().proxy().filter(|proxy| !(is_here && proxy.is_from_env()));
        Route { resolve: address.is_none().then_some(CONNECT), proxy: proxy.cloned() }
    }
}

/// Reads the whole body, up to `limit` bytes and until `deadline`.
pub(crate) fn read_all(answer: &mut Answer, limit: u64, deadline: Instant) -> Result<Vec<u8>, Failure> {
    // One byte more than is expected, so that the end is seen, or that there is too much.
    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let announced = answer.headers.get("content-length").and_then(|text| text.parse::<usize>().ok());
    let expected = announced.map_or(LITTLE, |length| length.saturating_add(1));
    let mut body = vec![0; expected.min(most).min(BELIEVED)];
    let mut filled = 0;
    loop {
        if filled == body.len() {
            body.resize(filled.saturating_add(filled.clamp(LITTLE, MUCH)).min(most), 0);
        }
        let read = match answer.body.read(&mut body[filled..]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(read_failure(e)),
            Ok(0) => break,
            Ok(read) => read,
        };
        filled += read;
        if filled == most {
            return Err(Failure { kind: FailureKind::TooLarge, message: String::new(), source: None });
        }
        if Instant::now() > deadline {
            return Err(too_slow(true, "the answer did not arrive completely in time"));
        }
    }
    body.truncate(filled);
    Ok(body)
}

/// What a fault while reading a body means.
pub(crate) fn read_failure(e: io::Error) -> Failure {
    failure(ureq::Error::from(e))
}

fn too_slow(sent: bool, message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::TimedOut { sent }, message: message.into(), source: None }
}

fn impossible(e: impl Into<ureq::http::Error>) -> Failure {
    let message = format!("the request cannot be sent: {}", e.into());
    Failure { kind: FailureKind::Impossible, message, source: None }
}

fn failure(e: ureq::Error) -> Failure {
    use FailureKind::{Broke, Impossible, NotSent};
    use io::ErrorKind as Io;

    let (kind, message, source) = match e {
        ureq::Error::Timeout(which) => {
            return match which {
                Timeout::Resolve | Timeout::Connect => too_slow(false, "could not connect in time; nothing was sent"),
                Timeout::PerWrite | Timeout::SendRequest | Timeout::SendBody => {
                    too_slow(true, "the server stopped taking the request")
                }
                Timeout::Global | Timeout::PerCall => too_slow(true, "the deadline of the call has passed"),
                _ => too_slow(true, "the server did not answer in time"),
            };
        }
        ureq::Error::Io(e) if e.to_string().starts_with("failed to lookup address") => {
            (NotSent, "the server's name cannot be resolved; nothing was sent".into(), Some(e))
        }
        ureq::Error::Io(e) => match e.kind() {
            Io::ConnectionRefused
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::NetworkDown
            | Io::AddrNotAvailable => (NotSent, "could not connect; nothing was sent".into(), Some(e)),
            Io::InvalidData => (Impossible, "no secure connection to the server; nothing was sent".into(), Some(e)),
            Io::TimedOut => return too_slow(true, "the connection timed out"),
            Io::UnexpectedEof => (Broke, "the server closed the connection too early".into(), Some(e)),
            _ => (Broke, "the connection broke".into(), Some(e)),
        },
        ureq::Error::HostNotFound => (NotSent, "the server's name cannot be resolved; nothing was sent".into(), None),
        ureq::Error::ConnectionFailed => (NotSent, "could not connect; nothing was sent".into(), None),
        ureq::Error::ConnectProxyFailed(why) => {
            (NotSent, format!("the proxy could not connect: {}", crate::text::printable(&why, 200)), None)
        }
        ureq::Error::BadUri(_) => (Impossible, "the URL of the request is not valid".into(), None),
        ureq::Error::Decompress(_, e) => (Broke, "the answer cannot be decompressed".into(), Some(e)),
        ureq::Error::Protocol(e) => (Broke, format!("the answer is not proper HTTP: {e}"), None),
        ureq::Error::LargeResponseHeader(..) => (Broke, "the answer's headers are too large".into(), None),
        e @ (ureq::Error::TlsRequired | ureq::Error::Tls(_)) => {
            (Impossible, format!("no secure connection to the server: {e} (is a TLS feature enabled?)"), None)
        }
        e => (Broke, e.to_string(), None),
    };
    Failure { kind, message, source }
}

/// Checks the base of all URLs: http or https with a host, and nothing behind the path.
pub(crate) fn check_base_url(url: &str) -> Result<(), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "this is not a valid URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("the URL must begin with http:// or https://");
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("the URL names no host");
    }
    if uri.query().is_some() || url.contains('#') {
        return Err("the URL must not have a query or a fragment");
    }
    Ok(())
}

/// Where a redirect leads, if it stays within the same scheme, host and port.
pub(crate) fn same_origin(from: &str, location: &str) -> Option<String> {
    let base: Uri = from.parse().ok()?;
    let origin = format!("{}://{}", base.scheme_str()?, base.authority()?);
    let location = location.split('#').next()?;
    let target = if location.starts_with("//") {
        format!("{}:{location}", base.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{origin}{location}")
    } else if location.contains("://") {
        location.to_string()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{origin}{folder}/{location}")
    };
    let uri: Uri = target.parse().ok()?;
    let port = |uri: &Uri| uri.port_u16().or_else(|| Some(if uri.scheme_str()? == "https" { 443 } else { 80 }));
    let same = uri.scheme_str() == base.scheme_str()
        && uri.host().zip(base.host()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        && port(&uri) == port(&base)
        && uri.authority()?.as_str().contains('@') == base.authority()?.as_str().contains('@');
    same.then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_at_home() {
        let from = "https://api.example.com/v1.3/assets?page=1";
        for (location, target) in [
            ("/v2/assets", Some("https://api.example.com/v2/assets")),
            ("other?x=1", Some("https://api.example.com/v1.3/other?x=1")),
            ("https://API.example.com:443/a#top", Some("https://API.example.com:443/a")),
            ("//api.example.com/a", Some("https://api.example.com/a")),
            ("http://api.example.com/a", None),
            ("https://api.example.com:8443/a", None),
            ("https://evil.example/a", None),
            ("//evil.example/a", None),
            ("https://api.example.com@evil.example/a", None),
            ("https://u:p@api.example.com/a", None),
            ("https://api.example.com.evil.example/", None),
            ("", Some("https://api.example.com/v1.3/")),
            ("ftp://x", None),
        ] {
            assert_eq!(same_origin(from, location).as_deref(), target, "{location}");
        }
    }

    #[test]
    fn base_urls() {
        for good in ["https://api.twelvelabs.io/v1.3", "http://127.0.0.1:9", "http://[::1]:9/x"] {
            assert_eq!(check_base_url(good), Ok(()), "{good}");
        }
        for bad in ["", "api.twelvelabs.io", "ftp://x", "https://", "https://x/?a=1", "https://x/#a", "https://x y/"] {
            assert!(check_base_url(bad).is_err(), "{bad}");
        }
    }
}
