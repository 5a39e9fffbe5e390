//! One try of one exchange over the HTTP library.

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use ureq::Agent;
use ureq::config::Config;
use ureq::http::header::{self, HeaderName, HeaderValue};
use ureq::http::{Request, Uri};
use ureq::{AsSendBody, Proxy, SendBody, Timeout};

use crate::clock::{FOREVER, random_hex};
pub(super) use crate::http::connection::Exchange;
use crate::http::connection::{Names, Secret, Stage, connector};
use crate::response::Headers;
use crate::text::printable;

pub(crate) const API_KEY_HEADER: &str = "x-api-key";
/// A larger output buffer than the library's default sends a file a quarter faster.
const OUTPUT_BUFFER: usize = 1 << 20;
/// The room for an answer whose length is not known, and how it grows: at least and at most.
const LITTLE: usize = 16 << 10;
const MUCH: usize = 1 << 20;
/// The most room that is made for an answer because of its announced length alone.
const BELIEVED: usize = 16 << 20;
const CONNECT: Duration = Duration::from_secs(10);
/// The time limit of an answer, if there is no other.
pub(crate) const ANSWER: Duration = Duration::from_secs(60);
/// What the message of an attempt says of a limit. The engine knows how long the limit is, and puts it in its place.
pub(super) const DEADLINE_PASSED: &str = "the deadline of the call has passed";
pub(super) const IN_TIME: &str = "in time";
/// How long a connection may be silent while a body is being sent.
const SILENCE: Duration = Duration::from_secs(60);

/// What is sent in one attempt.
pub(super) struct Attempt<'a> {
    pub method: &'a str,
    pub headers: &'a [(String, String)],
    /// Whether it goes to the API, and so with the key.
    pub is_api: bool,
    /// Whether the body waits until the server says that it takes it.
    pub announce: bool,
    pub body: Option<(&'a mut dyn Read, Option<u64>)>,
    pub limits: Limits,
}

/// The time limits of one attempt.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Limits {
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
pub(crate) struct LiveBody {
    reader: Box<dyn Read + Send + Sync>,
    exchange: Arc<Exchange>,
}

impl Read for LiveBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _entered = self.exchange.enter();
        self.reader.read(buffer)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub kind: FailureKind,
    /// Whether a byte of the request has left.
    pub sent: bool,
    pub message: String,
    pub source: Option<io::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Another attempt would end in the same way.
    Impossible,
    /// The caller's headers cannot be sent.
    Invalid,
    /// There is no connection, or it broke.
    Broke,
    TimedOut,
    Canceled,
    /// The answer is longer than allowed.
    TooLarge,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Failure { kind, sent: true, message: message.into(), source: None }
    }
}

/// Applies the limits to the settings of an agent or a request. A macro because the library's builder has a type of its
/// own for each use.
macro_rules! limited {
    ($config:expr, $limits:expr) => {
        $config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global($limits.total)
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_per_write(Some(SILENCE.min($limits.answer)))
            .timeout_per_read($limits.stream.then_some($limits.answer))
            .timeout_recv_response(Some($limits.answer))
            .timeout_recv_body((!$limits.stream).then_some($limits.answer))
    };
}

/// The connections of a session.
#[derive(Clone)]
pub(super) struct Agents {
    /// For the API: puts in the key where its stand-in is.
    api: Agent,
    /// For the hosts of presigned URLs: knows no key.
    storage: Agent,
    /// The limits that are among their settings, and need not be set for each request.
    limits: Option<Limits>,
    /// What stands for the key.
    stand_in: HeaderValue,
}

impl Agents {
    /// Agents with these settings. That of the API is given something else for the key, since it logs what it sends.
    pub(super) fn new(config: Config, limits: Option<Limits>, api_key: &str) -> Self {
        let names = Names::default();
        let stand_in = random_hex(api_key.len());
        let secret = Secret::new(api_key, &stand_in);
        // Without one, nothing would be sent.
        let mut stand_in = HeaderValue::from_str(&stand_in).unwrap_or(HeaderValue::from_static(""));
        stand_in.set_sensitive(true);
        Agents {
            api: Agent::with_parts(config.clone(), connector(names.clone(), Some(secret)), names.clone()),
            storage: Agent::with_parts(config, connector(names.clone(), None), names),
            limits,
            stand_in,
        }
    }
}

/// The settings of the agents, unless the caller has some. An error is that of the builder's argument of this name.
pub(super) fn config(
    user_agent: &str,
    limits: Limits,
    proxy: Option<&str>,
    root_certificates: Option<&[u8]>,
) -> Result<Config, (&'static str, String)> {
    let mut config = limited!(Agent::config_builder(), limits)
        .output_buffer_size(OUTPUT_BUFFER)
        .max_idle_connections(64)
        .max_idle_connections_per_host(32)
        .user_agent(user_agent);
    if let Some(url) = proxy {
        let proxy = Proxy::new(url).map_err(|_| ("proxy", "is not the URL of a proxy".to_string()))?;
        config = config.proxy(Some(proxy));
    }
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    return Ok(config.tls_config(tls(root_certificates).map_err(|why| ("root_certificates", why))?).build());
    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    match root_certificates {
        Some(_) => Err(("root_certificates", "needs the feature `rustls` or `native-tls`".into())),
        None => Ok(config.build()),
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
fn tls(root_certificates: Option<&[u8]>) -> Result<ureq::tls::TlsConfig, String> {
    use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

    let provider = if cfg!(feature = "rustls") { TlsProvider::Rustls } else { TlsProvider::NativeTls };
    let system = cfg!(feature = "platform-verifier") || !cfg!(feature = "rustls");
    let mut roots = if system { RootCerts::PlatformVerifier } else { RootCerts::WebPki };
    if let Some(pem) = root_certificates {
        let mut certificates = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
                Ok(_) => {}
                Err(e) => return Err(format!("is not PEM: {e}")),
            }
        }
        if certificates.is_empty() {
            return Err("contains no certificate; give the text of a PEM file".into());
        }
        roots = RootCerts::from(certificates);
    }
    Ok(TlsConfig::builder().provider(provider).root_certs(roots).build())
}

pub(super) fn send(agents: &Agents, exchange: &Arc<Exchange>, mut attempt: Attempt<'_>) -> Result<Answer, Failure> {
    attempt.limits.total = attempt.limits.total.map(|total| total.min(FOREVER));
    let result = {
        let _entered = exchange.enter();
        run(agents, attempt, exchange.uri.as_ref())
    };
    exchange.head_read();
    let response = result.and_then(|result| result.map_err(|e| failure(e, exchange)))?;
    let (parts, body) = response.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let reader = Box::new(body.into_with_config().limit(u64::MAX).reader());
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect(),
        body: LiveBody { reader, exchange: exchange.clone() },
    })
}

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

fn run(agents: &Agents, attempt: Attempt<'_>, uri: Option<&Uri>) -> Result<Sent, Failure> {
    let Some(uri) = uri else {
        return Err(Failure {
            sent: false,
            ..Failure::new(FailureKind::Impossible, "the URL of the request is not valid")
        });
    };
    let agent = if attempt.is_api { &agents.api } else { &agents.storage };
    let mut request = Request::builder().method(attempt.method).uri(uri.clone());
    for (name, value) in attempt.headers {
        let value = HeaderValue::from_str(value).map_err(invalid)?;
        request = request.header(HeaderName::try_from(name).map_err(invalid)?, value);
    }
    if attempt.is_api {
        request = request.header(API_KEY_HEADER, agents.stand_in.clone());
    }
    if attempt.announce {
        request = request.header(header::EXPECT, "100-continue");
    }
    let limits = attempt.limits;
    let is_direct = is_direct(agent, uri);
    // Settings of its own, if those of the agent do not fit.
    let settings = (is_direct || agents.limits != Some(limits)).then_some((limits, is_direct));
    match attempt.body {
        // The one kind of request with which the library sends a body only on demand.
        Some((reader, length)) if attempt.method == "DELETE" => {
            let request = request.body(()).map_err(invalid)?;
            let (parts, ()) = request.into_parts();
            let mut builder = agent.delete(parts.uri);
            if let Some(headers) = builder.headers_mut() {
                headers.extend(parts.headers);
                headers.extend(length.map(|length| (header::CONTENT_LENGTH, length.into())));
            }
            let mut config = limited!(builder.force_send_body().config(), limits);
            if is_direct {
                config = config.proxy(None);
            }
            Ok(config.build().send(SendBody::from_reader(reader)))
        }
        Some((reader, length)) => {
            if let Some(length) = length {
                request = request.header(header::CONTENT_LENGTH, length);
            }
            run_with(agent, request.body(SendBody::from_reader(reader)), settings)
        }
        None if matches!(attempt.method, "POST" | "PUT" | "PATCH") => {
            run_with(agent, request.body(&[] as &[u8]), settings)
        }
        None => run_with(agent, request.body(()), settings),
    }
}

fn run_with<B: AsSendBody>(
    agent: &Agent,
    request: Result<Request<B>, ureq::http::Error>,
    settings: Option<(Limits, bool)>,
) -> Result<Sent, Failure> {
    let request = request.map_err(invalid)?;
    let Some((limits, is_direct)) = settings else { return Ok(agent.run(request)) };
    let mut config = limited!(agent.configure_request(request), limits);
    if is_direct {
        config = config.proxy(None);
    }
    Ok(agent.run(config.build()))
}

/// Whether a request goes past the proxy: one of the environment is not asked for what is on this machine.
fn is_direct(agent: &Agent, uri: &Uri) -> bool {
    agent.config().proxy().is_some_and(Proxy::is_from_env) && {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let address: Option<IpAddr> = host.parse().ok();
        host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
    }
}

/// Checks the proxy that the environment names, which the library would pass over in silence if it cannot use it.
pub(super) fn check_proxy(config: &Config, variable: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    const NAMES: [&str; 6] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
    if config.proxy().is_some_and(|proxy| !proxy.is_from_env()) {
        return check_protocol("the proxy", config.proxy());
    }
    let first = NAMES.iter().find_map(|name| Some((name, variable(name).filter(|value| !value.trim().is_empty())?)));
    let Some((name, value)) = first else { return Ok(()) };
    match Proxy::new(&value) {
        // An agent of the caller's that has none goes without.
        Ok(_) if config.proxy().is_none() => Ok(()),
        Ok(proxy) => check_protocol(&format!("the proxy of the variable {name}"), Some(&proxy)),
        Err(_) => Err(format!("the variable {name} is not the URL of a proxy; correct it or remove it")),
    }
}

fn check_protocol(what: &str, proxy: Option<&Proxy>) -> Result<(), String> {
    use ureq::ProxyProtocol::{Socks4, Socks4A, Socks5, Socks5h};
    match proxy.map(Proxy::protocol) {
        Some(Socks4 | Socks4A | Socks5 | Socks5h) if cfg!(not(feature = "socks-proxy")) => {
            Err(format!("{what} is a SOCKS proxy; build with the feature `socks-proxy` to use it"))
        }
        _ => Ok(()),
    }
}

/// Reads the whole body, up to `limit` bytes and until `deadline`.
pub(super) fn read_all(answer: &mut Answer, limit: u64, deadline: Instant) -> Result<Vec<u8>, Failure> {
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
            Err(e) => return Err(answer.body.failure(e)),
            Ok(0) => break,
            Ok(read) => read,
        };
        filled += read;
        if filled == most {
            return Err(Failure::new(FailureKind::TooLarge, ""));
        }
        if Instant::now() > deadline {
            return Err(Failure::new(FailureKind::TimedOut, format!("the answer did not arrive completely {IN_TIME}")));
        }
    }
    body.truncate(filled);
    Ok(body)
}

/// Reads the start of a body, as much of it as comes.
pub(super) fn read_start(answer: &mut Answer, limit: usize, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    let mut buffer = [0; 4096];
    while body.len() < limit && Instant::now() < deadline {
        let room = buffer.len().min(limit - body.len());
        match answer.body.read(&mut buffer[..room]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) | Ok(0) => break,
            Ok(read) => body.extend_from_slice(&buffer[..read]),
        }
    }
    body
}

impl LiveBody {
    /// What a fault while reading it means.
    pub(crate) fn failure(&self, e: io::Error) -> Failure {
        failure(ureq::Error::from(e), &self.exchange)
    }
}

fn invalid(e: impl Into<ureq::http::Error>) -> Failure {
    Failure { sent: false, ..Failure::new(FailureKind::Invalid, format!("cannot be sent: {}", e.into())) }
}

/// What a fault means: whether anything was sent is known from the connection, and the fault itself says the rest.
fn failure(e: ureq::Error, exchange: &Exchange) -> Failure {
    use FailureKind::{Broke, Canceled, Impossible, Invalid, TimedOut};

    let (sent, host) = (exchange.is_sent(), printable(&exchange.contact(), 100));
    if exchange.is_canceled() {
        return Failure { kind: Canceled, sent, message: "canceled".into(), source: None };
    }
    let stage = match exchange.stage() {
        Stage::Ready => format!("nothing was sent to {host}"),
        Stage::Resolving => match host.strip_prefix("the ") {
            Some(proxy) => format!("the name of the {proxy} cannot be resolved; nothing was sent"),
            None => format!("the name {host} cannot be resolved; nothing was sent"),
        },
        Stage::Connecting => format!("could not connect to {host}; nothing was sent"),
        Stage::Securing => format!("no secure connection to {host}; nothing was sent"),
        Stage::Sent => format!("the connection to {host} broke"),
    };
    let (kind, message, source) = match e {
        ureq::Error::Timeout(which) => {
            let message = match which {
                _ if !sent => format!("{stage} in time"),
                Timeout::PerWrite | Timeout::SendRequest | Timeout::SendBody => {
                    format!("{host} stopped taking the request")
                }
                Timeout::Global | Timeout::PerCall => DEADLINE_PASSED.into(),
                _ => format!("{host} did not answer {IN_TIME}"),
            };
            (TimedOut, message, None)
        }
        ureq::Error::BadUri(_) => (Impossible, "the URL of the request is not valid".into(), None),
        ureq::Error::Http(e) => (Impossible, format!("the request cannot be sent: {e}"), None),
        e @ (ureq::Error::TlsRequired | ureq::Error::Tls(_)) => {
            (Impossible, format!("{stage}: {e} (is a TLS feature enabled?)"), None)
        }
        ureq::Error::ConnectProxyFailed(why) => {
            (Broke, format!("{host} could not connect: {}", printable(&why, 200)), None)
        }
        ureq::Error::RequireHttpsOnly(_) => (Impossible, "the agent allows only https".into(), None),
        e if !sent && is_about_certificate(&e) => {
            let message = format!(
                "the certificate of {host} cannot be trusted; nothing was sent; give the one that signed it with \
                 `root_certificates` if it is your own"
            );
            // Of one kind, whatever the library of TLS: see `Error::is_retryable`.
            let cause = match e {
                ureq::Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => e,
                e => io::Error::new(io::ErrorKind::InvalidData, e),
            };
            (Impossible, message, Some(cause))
        }
        // The headers are too large.
        ureq::Error::Io(e) if !sent && e.kind() == io::ErrorKind::InvalidInput => {
            (Invalid, format!("{e}; nothing was sent to {host}"), None)
        }
        // What answers does not speak TLS as this side does.
        ureq::Error::Io(e) if !sent && e.kind() == io::ErrorKind::InvalidData => (Impossible, stage, Some(e)),
        ureq::Error::Io(e) if sent && e.kind() == io::ErrorKind::UnexpectedEof => {
            (Broke, format!("{host} closed the connection too early"), Some(e))
        }
        ureq::Error::Io(e) => (Broke, stage, Some(e)),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => (Broke, stage, None),
        ureq::Error::Decompress(_, e) => (Broke, format!("the answer of {host} cannot be decompressed"), Some(e)),
        ureq::Error::Protocol(e) => (Broke, format!("the answer of {host} is not proper HTTP: {e}"), None),
        ureq::Error::LargeResponseHeader(..) => (Broke, format!("the headers of {host}'s answer are too large"), None),
        e => (Broke, format!("{stage}: {e}"), None),
    };
    Failure { kind, sent, message, source }
}

/// Whether TLS was refused for a certificate: another attempt would end in the same way.
fn is_about_certificate(e: &ureq::Error) -> bool {
    !matches!(e, ureq::Error::Timeout(_)) && e.to_string().to_ascii_lowercase().contains("certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body that is given in these pieces; `None` is an interruption. What is left of it can be looked at.
    #[derive(Clone)]
    struct Pieces(Arc<std::sync::Mutex<Vec<Option<usize>>>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let mut pieces = self.0.lock().unwrap();
            match (!pieces.is_empty()).then(|| pieces.remove(0)) {
                Some(None) => Err(io::ErrorKind::Interrupted.into()),
                Some(Some(0)) => Err(io::ErrorKind::ConnectionReset.into()),
                Some(Some(length)) => {
                    let read = length.min(buffer.len());
                    if read < length {
                        pieces.insert(0, Some(length - read));
                    }
                    buffer[..read].fill(b'x');
                    Ok(read)
                }
                None => Ok(0),
            }
        }
    }

    fn answer(pieces: &[Option<usize>]) -> (Answer, Pieces) {
        let pieces = Pieces(Arc::new(std::sync::Mutex::new(pieces.to_vec())));
        let reader = Box::new(pieces.clone());
        let body = LiveBody { reader, exchange: Exchange::new("http://localhost/", None) };
        (Answer { status: 200, headers: Headers::default(), body }, pieces)
    }

    #[test]
    fn a_body_is_read_whole_or_up_to_its_limit() {
        let later = Instant::now() + CONNECT;
        let read = |pieces: &[Option<usize>], limit, deadline| {
            read_all(&mut answer(pieces).0, limit, deadline).map(|body| body.len()).map_err(|failure| failure.kind)
        };
        assert_eq!(read(&[Some(2), None, Some(3)], 5, later), Ok(5));
        assert_eq!(read(&[Some(2), None, Some(4)], 5, later), Err(FailureKind::TooLarge));
        assert_eq!(read(&[Some(LITTLE), Some(1)], u64::MAX, later), Ok(LITTLE + 1));
        assert_eq!(read(&[Some(2), Some(0)], 5, later), Err(FailureKind::Broke));
        let past = Instant::now() - Duration::from_millis(1);
        assert_eq!(read(&[Some(2)], 5, past), Err(FailureKind::TimedOut));
    }

    #[test]
    fn of_a_refusal_the_start_is_read() {
        let later = Instant::now() + CONNECT;
        for (pieces, limit, deadline, read, left) in [
            (vec![Some(2), None, Some(3)], 10, later, 5, 0),
            (vec![Some(7), Some(7)], 10, later, 10, 4),
            (vec![Some(9000)], 6000, later, 6000, 3000),
            (vec![Some(2), Some(0), Some(3)], 10, later, 2, 3),
            (vec![Some(2)], 10, Instant::now() - Duration::from_millis(1), 0, 2),
        ] {
            let (mut answer, rest) = answer(&pieces);
            assert_eq!(read_start(&mut answer, limit, deadline).len(), read, "{pieces:?}");
            let rest: usize = rest.0.lock().unwrap().iter().flatten().sum();
            assert_eq!(rest, left, "{pieces:?}");
        }
    }

    #[test]
    fn what_a_fault_means() {
        use io::ErrorKind::{ConnectionReset, InvalidData, InvalidInput, UnexpectedEof};

        let io = |kind: io::ErrorKind, text: &'static str| ureq::Error::Io(io::Error::new(kind, text));
        let timeout = ureq::Error::Timeout;
        let no_tls = "no secure connection to api.example; nothing was sent";
        let mistrust = "the certificate of api.example cannot be trusted";
        for (stage, e, kind, message) in [
            (Stage::Ready, timeout(Timeout::Global), FailureKind::TimedOut, "nothing was sent to api.example in time"),
            (Stage::Sent, timeout(Timeout::PerWrite), FailureKind::TimedOut, "api.example stopped taking the request"),
            (Stage::Sent, timeout(Timeout::Global), FailureKind::TimedOut, "the deadline of the call has passed"),
            (Stage::Sent, timeout(Timeout::RecvBody), FailureKind::TimedOut, "api.example did not answer in time"),
            (Stage::Securing, io(InvalidData, "a bad certificate"), FailureKind::Impossible, mistrust),
            (Stage::Securing, io(ConnectionReset, "certificate unknown"), FailureKind::Impossible, mistrust),
            (Stage::Securing, io(InvalidData, "no record"), FailureKind::Impossible, no_tls),
            (Stage::Securing, io(UnexpectedEof, "the end"), FailureKind::Broke, no_tls),
            (Stage::Ready, io(InvalidInput, "too large"), FailureKind::Invalid, "too large; nothing was sent"),
            (Stage::Sent, io(InvalidInput, "odd"), FailureKind::Broke, "the connection to api.example broke"),
            (Stage::Sent, io(InvalidData, "odd"), FailureKind::Broke, "the connection to api.example broke"),
            (Stage::Sent, io(InvalidData, "certificate"), FailureKind::Broke, "the connection to api.example broke"),
            (
                Stage::Sent,
                io(UnexpectedEof, "the end"),
                FailureKind::Broke,
                "api.example closed the connection too early",
            ),
        ] {
            let text = e.to_string();
            let exchange = Exchange::new("https://api.example/", None);
            exchange.reach(stage);
            let failure = failure(e, &exchange);
            assert_eq!((failure.kind, failure.sent), (kind, stage == Stage::Sent), "{text}");
            assert!(failure.message.starts_with(message), "{text}: {}", failure.message);
            if message == mistrust {
                let cause = failure.source.unwrap();
                assert_eq!((cause.kind(), cause.to_string().matches("certificate").count()), (InvalidData, 1));
                assert_eq!(cause.to_string().starts_with("io"), text.contains("unknown"), "{cause}");
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_was_not_sent() {
        let limits = Limits { answer: CONNECT, stream: false, total: None };
        let agents = Agents::new(config("", limits, None, None).unwrap(), None, "key");
        for (url, header, kind) in
            [("http://[", "a", FailureKind::Impossible), ("http://localhost/", "a b", FailureKind::Invalid)]
        {
            let headers = [(header.to_string(), "c".to_string())];
            let attempt =
                Attempt { method: "GET", headers: &headers, is_api: false, announce: false, body: None, limits };
            let result = send(&agents, &Exchange::new(url, None), attempt);
            let failure = result.err().unwrap();
            assert_eq!((failure.kind, failure.sent), (kind, false), "{}", failure.message);
        }
    }
}
