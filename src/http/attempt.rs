//! One attempt at one HTTP exchange, made with the HTTP library (ureq).

use std::borrow::Cow;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use ureq::Agent;
use ureq::config::Config;
use ureq::http::header;
pub(crate) use ureq::http::{HeaderMap, HeaderName, HeaderValue};
use ureq::http::{Method, Request, Uri};
use ureq::{AsSendBody, Proxy, SendBody};

use crate::clock::random_hex;
pub(super) use crate::http::connection::Exchange;
use crate::http::connection::{
    DnsCache, Environment, Gunzip, ProxyRoute, Secret, Trust, check_protocol, connector, take_gzip,
};
use crate::http::failure::{Failure, FailureKind, TimeLimit, failure, invalid};
use crate::http::url::{basic_auth, parse_proxy};
use crate::limits::FOREVER;
use crate::response::{HttpResponse, Origin};
use crate::text::printable;

pub(crate) const API_KEY_HEADER: &str = "x-api-key";
/// The size of the output buffer. With it, a file is sent a quarter faster than with the library's default.
const OUTPUT_BUFFER: usize = 1 << 20;
/// The size of the first read buffer for a response of unknown length. The buffer grows by this at least, and by
/// `MAX_READ` at most.
const MIN_READ: usize = 16 << 10;
const MAX_READ: usize = 1 << 20;
/// The largest buffer allocated because of an announced length alone: a server may announce any length.
const MAX_PREALLOC: usize = 16 << 20;
const CONNECT: Duration = Duration::from_secs(10);
/// The default time limit for a response.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest silence of a connection while a body is being sent.
const SILENCE: Duration = Duration::from_secs(60);

/// The request of one attempt.
pub(super) struct Attempt<'a> {
    pub method: &'a str,
    pub headers: &'a HeaderMap,
    /// Whether the request goes to the API, and therefore carries the key.
    pub is_api: bool,
    /// Whether the body is held back until the server agrees to receive it (`Expect: 100-continue`).
    pub expect_continue: bool,
    pub body: Option<(&'a mut dyn Read, Option<u64>)>,
    pub limits: Limits,
}

/// The time limits of one attempt.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Limits {
    /// The limit for the whole response once the request is sent, or for the silence between two pieces of a stream.
    pub response: Duration,
    /// Whether `response` limits the silence of a stream instead of the whole response.
    pub stream: bool,
    /// The remaining time until the deadline of the whole call.
    pub total: Option<Duration>,
}

/// The body of a response, read as it arrives.
pub(crate) struct LiveBody {
    reader: Box<dyn Read + Send + Sync>,
    exchange: Arc<Exchange>,
    /// The length that the response announced, unless it is compressed.
    announced: Option<u64>,
    /// The largest number of bytes on the wire that still means an empty body.
    empty: u64,
}

impl Read for LiveBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _guard = self.exchange.enter();
        let result = self.reader.read(buffer);
        match result.map_err(ureq::Error::from) {
            // A response without a body, such as a 204, may still name a coding (RFC 9110, section 8.4). There is
            // nothing to decode then. Servers that compress everything send such responses.
            Err(ureq::Error::Decompress(..)) if self.exchange.raw_body() <= self.empty => Ok(0),
            result => result.map_err(ureq::Error::into_io),
        }
    }
}

/// Applies the limits to the settings of an agent or of a request. This is a macro because the library's builder has a
/// different type for each.
macro_rules! limited {
    ($config:expr, $limits:expr) => {
        $config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global($limits.total)
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_per_write(Some(SILENCE.min($limits.response)))
            .timeout_per_read($limits.stream.then_some($limits.response))
            .timeout_recv_response(Some($limits.response))
            .timeout_recv_body((!$limits.stream).then_some($limits.response))
    };
}

/// The connections of a session.
#[derive(Clone)]
pub(super) struct Agents {
    /// The connections to the API. They replace the stand-in with the key.
    api: Connections,
    /// The connections to the hosts of presigned URLs. They never see the key.
    storage: Connections,
    /// The proxies named by the environment, unless the caller has set one.
    environment: Option<Environment>,
    /// The limits that the agents' settings already contain, so that no request has to set them.
    limits: Option<Limits>,
    /// The placeholder that stands for the key in requests and logs.
    stand_in: HeaderValue,
}

/// An agent, and the trust in its kept connections.
#[derive(Clone)]
struct Connections {
    agent: Agent,
    trust: Trust,
}

impl Connections {
    fn new(config: Config, names: DnsCache, secret: Option<Secret>) -> Self {
        let trust = Trust::default();
        let agent = Agent::with_parts(config, connector(names.clone(), secret, trust.clone()), names);
        Connections { agent, trust }
    }
}

impl Agents {
    /// Creates agents with these settings. The API's agent gets a stand-in for the key, because the library logs what
    /// it sends.
    pub(super) fn new(config: Config, environment: Option<Environment>, limits: Option<Limits>, api_key: &str) -> Self {
        let names = DnsCache::default();
        let stand_in = random_hex(api_key.len());
        let secret = Secret::new(api_key, &stand_in);
        // Without a stand-in, no request would be sent.
        let mut stand_in = HeaderValue::from_str(&stand_in).unwrap_or(HeaderValue::from_static(""));
        stand_in.set_sensitive(true);
        Agents {
            api: Connections::new(config.clone(), names.clone(), Some(secret)),
            storage: Connections::new(config, names, None),
            environment,
            limits,
            stand_in,
        }
    }
}

/// Returns the proxy for this URL: the caller's, otherwise the environment's. The environment is returned with its
/// proxy.
pub(super) fn choose_proxy(
    own: Option<&str>,
    agent: Option<&Agent>,
    base_url: &str,
) -> Result<(Option<Proxy>, Option<Environment>), String> {
    if let Some(url) = own {
        let proxy = parse_proxy(url).ok_or("is not the URL of a proxy")?;
        check_protocol("the proxy", &proxy)?;
        return Ok((Some(proxy), None));
    }
    if let Some(agent) = agent {
        match agent.config().proxy() {
            // An agent without a proxy connects directly.
            None => return Ok((None, None)),
            Some(proxy) if !proxy.is_from_env() => {
                check_protocol("the proxy of the agent", proxy)?;
                return Ok((None, None));
            }
            Some(_) => {}
        }
    }
    let environment = Environment::read(|name| std::env::var_os(name));
    let proxy = match base_url.parse() {
        Ok(uri) => environment.proxy_for(&uri)?.map(|named| named.proxy.clone()),
        Err(_) => None,
    };
    Ok((proxy, Some(environment)))
}

/// Returns the agents' settings: the caller's, otherwise the defaults. An error names the builder's argument at fault.
pub(super) fn config(
    user_agent: &str,
    limits: Limits,
    proxy: Option<Proxy>,
    root_certificates: Option<&[u8]>,
) -> Result<Config, (&'static str, String)> {
    let config = limited!(Agent::config_builder(), limits)
        .output_buffer_size(OUTPUT_BUFFER)
        .max_idle_connections(64)
        .max_idle_connections_per_host(32)
        .user_agent(user_agent)
        .proxy(proxy);
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

/// Sends a request and reads the head of its response.
pub(super) fn send(
    agents: &Agents,
    exchange: &Arc<Exchange>,
    mut attempt: Attempt<'_>,
) -> Result<HttpResponse<LiveBody>, Failure> {
    attempt.limits.total = attempt.limits.total.map(|total| total.min(FOREVER));
    let connections = if attempt.is_api { &agents.api } else { &agents.storage };
    let began = attempt.limits.total.map(|_| Instant::now());
    let _guard = exchange.enter();
    let mut result = run(agents, &connections.agent, &mut attempt, exchange)?;
    if let Err(ureq::Error::Io(_) | ureq::Error::Timeout(_)) = &result
        && exchange.is_on_kept_connection()
        && !exchange.is_canceled()
    {
        // The connection died while it was idle, and so, probably, did the other idle ones.
        connections.trust.withdraw();
        if !exchange.is_sent() && matches!(result, Err(ureq::Error::Io(_))) {
            // No byte of the request has left, so sending it on a fresh connection does not count as another attempt.
            exchange.restart();
            let spent = began.map(|began| began.elapsed()).unwrap_or_default();
            attempt.limits.total = attempt.limits.total.map(|total| total.saturating_sub(spent));
            result = run(agents, &connections.agent, &mut attempt, exchange)?;
        }
    }
    if result.is_ok() {
        exchange.head_read();
    }
    let cut = exchange.take_cut();
    let response = match (result, cut) {
        (Ok(response), Some(cut)) if response.status().is_success() => {
            let message = format!(
                "{} answered with status {} although only a part of the body had been sent",
                printable(&exchange.contact(), 100),
                response.status().as_u16()
            );
            return Err(Failure { source: Some(cut), ..Failure::new(FailureKind::Broke, message) });
        }
        (Ok(response), _) => response,
        (Err(_), Some(cut)) if !exchange.is_canceled() => return Err(failure(ureq::Error::Io(cut), exchange)),
        (Err(e), _) => return Err(failure(e, exchange)),
    };
    let (mut parts, body) = response.into_parts();
    // An empty chunked body is its last chunk alone (RFC 9112, section 7.1). This allows for a longer way of writing
    // it.
    let empty = if parts.headers.contains_key(header::TRANSFER_ENCODING) { b"00;\r\n\r\n".len() as u64 } else { 0 };
    let is_gzip = take_gzip(&mut parts.headers);
    let announced = body.content_length().filter(|_| !is_gzip);
    // This reads the first bytes of a compressed body, so it has to run within the exchange.
    let reader = body.into_with_config().limit(u64::MAX).reader();
    let reader: Box<dyn Read + Send + Sync> = if is_gzip { Box::new(Gunzip::new(reader)) } else { Box::new(reader) };
    Ok(HttpResponse {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(|(name, value)| (name, text(value))).collect(),
        body: Vec::new(),
        origin: Origin::default(),
        data: LiveBody { reader, exchange: exchange.clone(), announced, empty },
    })
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    // Almost all values are ASCII, for which this check is enough.
    value.to_str().map_or_else(|_| String::from_utf8_lossy(value.as_bytes()), Cow::Borrowed)
}

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// A request body as the library reads it. When sending was cut short, it pretends to have been read to its end,
/// because only then does the library look at the response.
struct Outgoing<'a> {
    reader: &'a mut dyn Read,
    remaining: Option<u64>,
    exchange: &'a Exchange,
}

impl Read for Outgoing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = if self.exchange.is_cut_short() {
            // These bytes are not sent anywhere.
            self.remaining.map_or(0, |remaining| usize::try_from(remaining).unwrap_or(usize::MAX).min(buffer.len()))
        } else {
            self.reader.read(buffer)?
        };
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(read as u64));
        Ok(read)
    }
}

fn run(agents: &Agents, agent: &Agent, attempt: &mut Attempt<'_>, exchange: &Exchange) -> Result<Sent, Failure> {
    let impossible = |why: &str, cause: &'static str| Failure {
        sent: false,
        source: Some(io::Error::other(cause)),
        ..Failure::new(FailureKind::Impossible, format!("{why}; nothing was sent"))
    };
    let Some(uri) = &exchange.uri else {
        return Err(impossible("the URL of the request is not valid", "it is malformed, or longer than 65,534 bytes"));
    };
    let method = Method::from_bytes(attempt.method.as_bytes()).map_err(invalid)?;
    let mut headers = attempt.headers.clone();
    let mut add = |name: HeaderName, value: HeaderValue| headers.try_insert(name, value).map(drop).map_err(invalid);
    if let Some(credentials) = basic_auth(uri)
        && !attempt.headers.contains_key(header::AUTHORIZATION)
    {
        let mut value = HeaderValue::from_str(&credentials).map_err(invalid)?;
        value.set_sensitive(true);
        add(header::AUTHORIZATION, value)?;
    }
    if attempt.is_api {
        add(HeaderName::from_static(API_KEY_HEADER), agents.stand_in.clone())?;
    }
    if attempt.expect_continue {
        add(header::EXPECT, HeaderValue::from_static("100-continue"))?;
    }
    let limits = attempt.limits;
    let agents_proxy = agent.config().proxy();
    let (proxy, variable) = match &agents.environment {
        Some(environment) => {
            let named = environment.proxy_for(uri).map_err(|why| impossible(why, "the proxy cannot be used"))?;
            (named.map(|named| &named.proxy), named.map(|named| named.variable.clone()))
        }
        None => (agents_proxy, None),
    };
    exchange.set_route(proxy.map(|proxy| ProxyRoute {
        port: proxy.port(),
        variable,
        has_credentials: proxy.username().is_some(),
    }));
    // The request gets its own settings if those of the agent do not fit.
    let settings = (proxy != agents_proxy || agents.limits != Some(limits)).then_some((limits, proxy));
    let mut body =
        attempt.body.as_mut().map(|(reader, length)| Outgoing { reader: &mut **reader, remaining: *length, exchange });
    if let Some(length) = body.as_ref().and_then(|body| body.remaining) {
        headers.try_insert(header::CONTENT_LENGTH, length.into()).map_err(invalid)?;
    }
    match &mut body {
        // DELETE is the only method used here with which the library sends a body only if told to.
        Some(body) if attempt.method == "DELETE" => {
            let mut builder = agent.delete(uri);
            if let Some(all) = builder.headers_mut() {
                *all = headers;
            }
            let config = limited!(builder.force_send_body().config(), limits).proxy(proxy.cloned());
            Ok(config.build().send(SendBody::from_reader(body)))
        }
        Some(body) => Ok(run_with(agent, request(method, uri, headers, SendBody::from_reader(body)), settings)),
        None if matches!(attempt.method, "POST" | "PUT" | "PATCH") => {
            Ok(run_with(agent, request(method, uri, headers, &[] as &[u8]), settings))
        }
        None => Ok(run_with(agent, request(method, uri, headers, ()), settings)),
    }
}

fn request<B>(method: Method, uri: &Uri, headers: HeaderMap, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    request
}

fn run_with<B: AsSendBody>(agent: &Agent, request: Request<B>, settings: Option<(Limits, Option<&Proxy>)>) -> Sent {
    let Some((limits, proxy)) = settings else { return agent.run(request) };
    let config = limited!(agent.configure_request(request), limits).proxy(proxy.cloned());
    agent.run(config.build())
}

/// Reads the whole body, up to `limit` bytes and until `deadline`.
pub(super) fn read_all(
    response: &mut HttpResponse<LiveBody>,
    limit: u64,
    deadline: Instant,
) -> Result<Vec<u8>, Failure> {
    // One byte more than expected is read, to see that the body ends or that it is too long.
    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let announced = response.data.announced.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let expected = announced.map_or(MIN_READ, |length| length.saturating_add(1));
    let mut body = vec![0; expected.min(most).min(MAX_PREALLOC)];
    let mut filled = 0;
    loop {
        if filled == body.len() {
            body.resize(filled.saturating_add(filled.clamp(MIN_READ, MAX_READ)).min(most), 0);
        }
        let read = match response.data.read(&mut body[filled..]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(response.data.failure(e)),
            Ok(0) => break,
            Ok(read) => read,
        };
        filled += read;
        if filled == most {
            return Err(Failure::new(FailureKind::TooLarge, ""));
        }
        if Instant::now() > deadline {
            let message = "the response did not arrive completely".into();
            return Err(Failure::timed_out(message, Some(TimeLimit::Timeout)));
        }
    }
    body.truncate(filled);
    if filled == 0 {
        // The header names a coding, but there is no body: see `LiveBody::read`.
        response.headers.remove("content-encoding");
    }
    Ok(body)
}

/// Reads the start of a body, as much of it as arrives.
pub(super) fn read_start(response: &mut HttpResponse<LiveBody>, limit: usize, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    let mut buffer = [0; 4096];
    while body.len() < limit && Instant::now() < deadline {
        let room = buffer.len().min(limit - body.len());
        match response.data.read(&mut buffer[..room]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) | Ok(0) => break,
            Ok(read) => body.extend_from_slice(&buffer[..read]),
        }
    }
    body
}

impl LiveBody {
    /// Says what an error while reading this body means.
    pub(crate) fn failure(&self, e: io::Error) -> Failure {
        failure(ureq::Error::from(e), &self.exchange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::Headers;

    /// A body that is read in these pieces; `None` is an interruption. The remaining pieces can be inspected.
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

    fn response(pieces: &[Option<usize>]) -> (HttpResponse<LiveBody>, Pieces) {
        let pieces = Pieces(Arc::new(std::sync::Mutex::new(pieces.to_vec())));
        let reader = Box::new(pieces.clone());
        let data = LiveBody { reader, exchange: Exchange::new("http://localhost/", None), announced: None, empty: 0 };
        (
            HttpResponse {
                data,
                status: 200,
                headers: Headers::default(),
                body: Vec::new(),
                origin: Origin::default(),
            },
            pieces,
        )
    }

    #[test]
    fn a_body_is_read_completely_or_up_to_its_limit() {
        let later = Instant::now() + CONNECT;
        let read = |pieces: &[Option<usize>], limit, deadline| {
            read_all(&mut response(pieces).0, limit, deadline).map(|body| body.len()).map_err(|failure| failure.kind)
        };
        assert_eq!(read(&[Some(2), None, Some(3)], 5, later), Ok(5));
        assert_eq!(read(&[Some(2), None, Some(4)], 5, later), Err(FailureKind::TooLarge));
        assert_eq!(read(&[Some(MIN_READ), Some(1)], u64::MAX, later), Ok(MIN_READ + 1));
        assert_eq!(read(&[Some(2), Some(0)], 5, later), Err(FailureKind::Broke));
        let past = Instant::now() - Duration::from_millis(1);
        assert_eq!(read(&[Some(2)], 5, past), Err(FailureKind::TimedOut));
    }

    #[test]
    fn the_start_of_a_refusal_is_read() {
        let later = Instant::now() + CONNECT;
        for (pieces, limit, deadline, read, left) in [
            (vec![Some(2), None, Some(3)], 10, later, 5, 0),
            (vec![Some(7), Some(7)], 10, later, 10, 4),
            (vec![Some(9000)], 6000, later, 6000, 3000),
            (vec![Some(2), Some(0), Some(3)], 10, later, 2, 3),
            (vec![Some(2)], 10, Instant::now() - Duration::from_millis(1), 0, 2),
        ] {
            let (mut response, rest) = response(&pieces);
            assert_eq!(read_start(&mut response, limit, deadline).len(), read, "{pieces:?}");
            let rest: usize = rest.0.lock().unwrap().iter().flatten().sum();
            assert_eq!(rest, left, "{pieces:?}");
        }
    }

    #[test]
    fn a_kept_connection_that_has_died_uses_no_attempt() {
        use crate::http::connection::fake::{Call, scripted, stream};

        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let whole = Call::Part(usize::MAX);
        // Connections that accept a head and a body, and then die without a sign: they are silent whenever the pool
        // looks.
        let silent = Call::Full(0);
        let dead = [0; 2].map(|_| {
            stream(&[whole, whole, Call::Broken], &[whole, silent, silent, silent, silent, silent, silent], response)
        });
        let fresh = stream(&[], &[], response);
        let limits = Limits { response: CONNECT, stream: false, total: None };
        let trust = Trust::default();
        let connector = scripted(vec![dead[0].clone(), dead[1].clone(), fresh.clone()], trust.clone());
        let agent = Agent::with_parts(config("", limits, None, None).unwrap(), connector, DnsCache::default());
        let api = Connections { agent, trust };
        let stand_in = HeaderValue::from_static("key");
        let agents = Agents { storage: api.clone(), api, environment: None, limits: None, stand_in };
        let post = || {
            // The body can be read only once.
            let mut reader = &b"abc"[..];
            let body: Option<(&mut dyn Read, _)> = Some((&mut reader, Some(3)));
            let attempt = Attempt {
                method: "POST",
                headers: &HeaderMap::new(),
                is_api: false,
                expect_continue: false,
                body,
                limits,
            };
            send(&agents, &Exchange::new("http://127.0.0.1/", None), attempt).unwrap()
        };
        let read = |mut response| read_all(&mut response, 10, Instant::now() + CONNECT).unwrap();
        // Both responses are open at the same time, so two connections are kept.
        let (one, two) = (post(), post());
        assert_eq!((read(one), read(two)), (b"{}".to_vec(), b"{}".to_vec()));
        assert_eq!(read(post()), b"{}");
        let arrived = crate::sync::lock(&fresh.0);
        assert!(arrived.sent.ends_with(b"\r\n\r\nabc"), "{}", String::from_utf8_lossy(&arrived.sent));
        let tried = dead.iter().filter(|stream| crate::sync::lock(&stream.0).writes.is_empty()).count();
        assert_eq!(tried, 1, "the other idle connection is not tried");
    }

    #[test]
    fn an_unsendable_request_counts_as_not_sent() {
        let limits = Limits { response: CONNECT, stream: false, total: None };
        let agents = Agents::new(config("", limits, None, None).unwrap(), None, None, "key");
        let (url, headers) = ("http://[", HeaderMap::new());
        let attempt =
            Attempt { method: "GET", headers: &headers, is_api: false, expect_continue: false, body: None, limits };
        let failure = send(&agents, &Exchange::new(url, None), attempt).err().unwrap();
        assert_eq!((failure.kind, failure.sent), (FailureKind::Impossible, false), "{}", failure.message);
    }
}
