//! Ways to reach a server: by its name, through a proxy, with a password in its URL, and with custom certificates.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::server::{API_KEY, Server, Step, answer, builder, client, in_child, in_time, is_child};
use serde_json::{Value, json};
use twelvelabs::assets::UploadMethod;
use twelvelabs::{Agent, Error, TwelveLabs};

fn asset(id: &str) -> Value {
    json!({"_id": id, "status": "ready"})
}

fn ready() -> Step {
    Step::Answer(answer(200, &asset("a1")))
}

fn by_url() -> UploadMethod {
    UploadMethod::url("https://example.com/a.mp4")
}

#[test]
fn a_server_is_reached_by_its_name_as_by_its_address() {
    let server = Server::start((0..6).map(|_| ready()));
    for url in [server.url(), server.url_by_name(), server.url_by_name().to_uppercase().replace("/V1.3", "/v1.3")] {
        let client = builder(&server).base_url(url.replace("HTTP", "http")).build().unwrap();
        for _ in 0..2 {
            assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
        }
    }
    for request in server.finish() {
        assert_eq!(request.header("x-api-key"), Some(API_KEY));
    }
}

#[test]
fn a_name_that_does_not_exist_is_an_error_that_names_it() {
    let client = TwelveLabs::builder().api_key(API_KEY).base_url("http://nope.invalid/v1.3").max_retries(0);
    let client = client.build().unwrap();
    let e = in_time(move || client.assets().create(by_url()).send().unwrap_err());
    assert!(e.to_string().contains("the name nope.invalid cannot be resolved; nothing was sent"), "{e}");
    assert!(matches!(e, Error::Transport { sent: false, .. } | Error::Timeout { sent: false, .. }), "{e:?}");
    assert!(e.is_retryable() && !e.is_outcome_unknown());
}

#[test]
fn an_unreachable_server_is_retried_and_named() {
    // A port that was just freed, so that nothing listens on it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        let pauses = crate::server::Pauses::default();
        let client = TwelveLabs::builder().api_key(API_KEY).base_url(format!("http://{host}:{port}"));
        let client = client.clock(pauses.clone()).build().unwrap();
        let e = in_time(move || client.assets().create(by_url()).send().unwrap_err());
        assert!(e.to_string().starts_with(&format!("could not connect to {host}:{port}; nothing was sent")), "{e}");
        assert_eq!(pauses.taken().len(), 2);
    }
}

/// Returns the ids of the threads of this process.
#[cfg(target_os = "linux")]
fn threads() -> std::collections::BTreeSet<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_call_by_name_needs_no_thread_of_its_own() {
    const NAME: &str = "proxies::a_call_by_name_needs_no_thread_of_its_own";
    if !is_child(NAME) {
        return in_child(NAME, &[] as &[(&str, &str)]);
    }
    let server = Server::start((0..101).map(|_| ready()));
    let client = builder(&server).base_url(server.url_by_name()).build().unwrap();
    // The first call resolves the name and opens the connection.
    client.assets().retrieve("a1").send().unwrap();
    let (seen, done) = (Arc::new(Mutex::new(std::collections::BTreeSet::new())), Arc::new(AtomicBool::new(false)));
    let watch = {
        let (seen, done) = (seen.clone(), done.clone());
        thread::spawn(move || {
            while !done.load(Ordering::SeqCst) {
                seen.lock().unwrap().extend(threads());
            }
        })
    };
    while seen.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    let before = threads();
    for _ in 0..100 {
        client.assets().retrieve("a1").send().unwrap();
    }
    done.store(true, Ordering::SeqCst);
    watch.join().unwrap();
    let more: Vec<u32> = seen.lock().unwrap().difference(&before).copied().collect();
    // At most a server thread that was about to end is allowed.
    assert!(more.len() <= 2, "{} threads were started for 100 calls", more.len());
}

/// A proxy that opens tunnels or sends another answer instead, and records what it sees.
pub struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    pub fn start(refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        let seen = proxy.seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                thread::spawn(move || serve(stream, refusal, &seen).ok());
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

fn serve(mut stream: TcpStream, refusal: Option<&str>, seen: &Arc<Mutex<Vec<u8>>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    seen.lock().unwrap().extend_from_slice(&head);
    if let Some(refusal) = refusal {
        return write!(stream, "HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n");
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).expect("a tunnel is asked for");
    let server = TcpStream::connect(target)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, stream.try_clone()?);
    thread::spawn(move || io::copy(&mut from_server, &mut to_client));
    let (mut server, mut buffer) = (server, [0; 4096]);
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        seen.lock().unwrap().extend_from_slice(&buffer[..read]);
        server.write_all(&buffer[..read])?;
    }
}

#[test]
fn requests_go_through_a_proxy() {
    let proxy = Proxy::start(None);
    let server = Server::start((0..4).map(|_| ready()));
    let agent: Agent = Agent::config_builder().proxy(Some(ureq::Proxy::new(&proxy.url()).unwrap())).build().into();
    for client in [builder(&server).proxy(proxy.url()), builder(&server).agent(agent)] {
        let client = client.build().unwrap();
        for _ in 0..2 {
            assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
        }
    }
    let seen = proxy.seen();
    assert_eq!(seen.matches("CONNECT ").count(), 2, "each client opens one tunnel: {seen}");
    // Unencrypted traffic is visible in a tunnel, but the proxy itself must not receive the key.
    for head in seen.split("CONNECT ").skip(1).map(|rest| rest.split("\r\n\r\n").next().unwrap()) {
        assert!(!head.contains(API_KEY) && !head.to_lowercase().contains("x-api-key"), "{head}");
    }
    assert!(server.finish().iter().all(|request| request.header("x-api-key") == Some(API_KEY)));
}

#[test]
fn a_proxy_that_refuses_is_named_and_nothing_was_sent() {
    for refusal in ["407 Proxy Authentication Required", "502 Bad Gateway", "403 Forbidden"] {
        let proxy = Proxy::start(Some(refusal));
        let server = Server::start([]);
        let url = format!("http://user:s3cr3t-word@localhost:{}", proxy.port);
        let client = builder(&server).proxy(&url).max_retries(0).build().unwrap();
        let e = in_time(move || client.assets().create(by_url()).send().unwrap_err());
        let text = format!("{e} {e:?}");
        assert!(
            text.contains(&format!("the proxy localhost:{} ", proxy.port)) && text.contains(&refusal[..3]),
            "{text}"
        );
        assert!(matches!(e, Error::Transport { sent: false, .. }), "{e:?}");
        assert_eq!(
            e.is_retryable(),
            refusal.starts_with("502"),
            "only a proxy that could not reach the server is worth a retry: {e:?}"
        );
        assert!(!text.contains("s3cr3t"), "{text}");
        assert!(proxy.seen().contains("Proxy-Authorization: Basic "), "{}", proxy.seen());
        assert!(!proxy.seen().contains(API_KEY), "{}", proxy.seen());
        assert!(server.finish().is_empty());
    }
}

#[test]
fn an_unreachable_proxy_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start([]);
    for (proxy, text) in [
        (
            format!("http://localhost:{port}"),
            format!("could not connect to the proxy localhost:{port}; nothing was sent"),
        ),
        (
            "http://nope.invalid:3128".into(),
            "the name of the proxy nope.invalid cannot be resolved; nothing was sent".to_string(),
        ),
    ] {
        let client = builder(&server).proxy(proxy).max_retries(0).build().unwrap();
        let e = in_time(move || client.assets().create(by_url()).send().unwrap_err());
        assert!(e.to_string().starts_with(&text), "{e}");
        assert!(matches!(e, Error::Transport { sent: false, .. }) && e.is_retryable(), "{e:?}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_of_the_builder() {
    let proxied = |url: &str| TwelveLabs::builder().api_key(API_KEY).proxy(url).build();
    for url in [
        "",
        "http://",
        "ftp://proxy.example.com",
        "http://a b",
        "://",
        "http://user:s3cr3t@127.0.0.1:99999",
        "127.0.0.1:port",
        ":8080",
    ] {
        let e = proxied(url).unwrap_err();
        assert!(e.to_string().starts_with("`proxy` is not the URL of a proxy"), "{url}: {e}");
    }
    for scheme in ["socks4", "socks4a", "socks5", "socks5h"] {
        let result = proxied(&format!("{scheme}://user:s3cr3t-word@127.0.0.1:1080"));
        assert_eq!(result.is_ok(), cfg!(feature = "socks-proxy"), "{scheme}");
        if let Err(e) = result {
            assert!(e.to_string().contains("socks-proxy") && !format!("{e} {e:?}").contains("s3cr3t"), "{e}");
        }
    }
    let agent: Agent = Agent::config_builder().build().into();
    let both = TwelveLabs::builder().api_key(API_KEY).proxy("http://127.0.0.1:9").agent(agent);
    assert!(both.build().unwrap_err().to_string().starts_with("`agent` has its own proxy and certificates"));
}

/// On Windows, a variable has one name in any case, and an error contains the one that was looked up first. This writes
/// the name as the test does.
fn with_variable(text: &str, name: &str) -> String {
    if cfg!(windows) {
        text.replace(&name.to_lowercase(), name).replace(&name.to_uppercase(), name)
    } else {
        text.into()
    }
}

#[test]
fn a_proxy_of_the_environment_that_cannot_be_used_is_an_error_of_the_builder() {
    const NAME: &str = "proxies::a_proxy_of_the_environment_that_cannot_be_used_is_an_error_of_the_builder";
    if is_child(NAME) {
        let without: Agent = Agent::config_builder().proxy(None).build().into();
        let built = TwelveLabs::builder().api_key(API_KEY).build();
        let own = TwelveLabs::builder().api_key(API_KEY).proxy("http://127.0.0.1:9").build();
        assert!(own.is_ok(), "a proxy set in the program replaces the variable: {own:?}");
        let variable = std::env::var("TWELVELABS_TEST_VARIABLE").unwrap();
        if variable.is_empty() {
            assert!(built.is_ok(), "{built:?}");
        } else {
            let e = built.unwrap_err();
            let text = with_variable(&e.to_string(), &variable);
            assert!(text.contains(&variable) && !text.contains("s3cr3t"), "{e}");
        }
        if std::env::var("ALL_PROXY").is_ok_and(|url| url.starts_with("socks5")) {
            assert!(
                TwelveLabs::builder().api_key(API_KEY).agent(without).build().is_ok(),
                "an agent without a proxy ignores the variable"
            );
        }
        return;
    }
    let socks = if cfg!(feature = "socks-proxy") { "" } else { "ALL_PROXY" };
    let good = ("HTTPS_PROXY", "http://127.0.0.1:9");
    for (variables, told) in [
        (&[("ALL_PROXY", "socks5://user:s3cr3t@127.0.0.1:9")][..], socks),
        (&[("all_proxy", "socks5h://127.0.0.1:9")], &socks.to_lowercase()),
        (&[("all_proxy", "socks5h://127.0.0.1:9"), ("no_proxy", "*")], ""),
        (&[("all_proxy", "socks5h://127.0.0.1:9"), ("NO_PROXY", "other.test, twelvelabs.io")], ""),
        (&[("all_proxy", "socks5h://127.0.0.1:9"), good], ""),
        (&[("ALL_PROXY", "http://")], "ALL_PROXY"),
        (&[("HTTPS_PROXY", "gopher://127.0.0.1:9")], "HTTPS_PROXY"),
        (&[("HTTPS_PROXY", "http://user:s3cr3t@127.0.0.1:99999")], "HTTPS_PROXY"),
        (&[("HTTPS_PROXY", "http://[::1]:9")], ""),
        (&[("HTTPS_PROXY", "127.0.0.1:9")], ""),
        (&[("https_proxy", "no proxy")], "https_proxy"),
        // No request goes to an `http` URL.
        (&[("http_proxy", "no proxy")], ""),
        (&[("ALL_PROXY", "no proxy"), good], ""),
        (&[("ALL_PROXY", " "), good], ""),
        (&[], ""),
    ] {
        let variables: Vec<_> = variables.iter().copied().chain([("TWELVELABS_TEST_VARIABLE", told)]).collect();
        in_child(NAME, &variables);
    }
}

#[test]
#[cfg(unix)]
fn a_proxy_variable_that_is_not_utf_8_is_an_error_of_the_builder() {
    use std::os::unix::ffi::OsStrExt;

    const NAME: &str = "proxies::a_proxy_variable_that_is_not_utf_8_is_an_error_of_the_builder";
    if is_child(NAME) {
        let e = TwelveLabs::builder().api_key(API_KEY).build().unwrap_err();
        assert!(e.to_string().contains("the variable HTTPS_PROXY is not valid UTF-8"), "{e}");
        return;
    }
    let odd = std::ffi::OsStr::from_bytes(b"http://\xff.example:1");
    in_child(NAME, &[("HTTPS_PROXY", odd)]);
}

#[test]
fn a_server_that_no_proxy_covers_is_reached_directly() {
    const NAME: &str = "proxies::a_server_that_no_proxy_covers_is_reached_directly";
    if is_child(NAME) {
        // The names are those of another machine, so that only the variables decide.
        let of = |base_url: &str| {
            let client = TwelveLabs::builder().api_key(API_KEY).base_url(base_url).max_retries(0).build().unwrap();
            in_time(move || client.assets().retrieve("a1").send().unwrap_err()).to_string()
        };
        let direct = of("http://api.direct.invalid/");
        assert!(direct.starts_with("the name api.direct.invalid cannot be resolved"), "{direct}");
        let proxied = of("http://api.proxied.invalid/");
        let proxy = std::env::var("ALL_PROXY").unwrap().replace("http://", "");
        let proxied = with_variable(&proxied, "ALL_PROXY");
        let expected = format!("could not connect to the proxy {proxy} (from ALL_PROXY); nothing was sent");
        assert!(proxied.starts_with(&expected), "{proxied}");
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let proxy = format!("http://127.0.0.1:{port}");
    in_child(NAME, &[("ALL_PROXY", proxy.as_str()), ("NO_PROXY", "other.test , direct.invalid")]);
}

#[test]
fn a_password_in_the_base_url_is_sent_and_never_shown() {
    let moved = |place: &str| Step::Answer(crate::server::answer_with(302, &[("location", place)], &Value::Null));
    let server = Server::start([
        ready(),
        moved("https://user:s3cr3t-word@elsewhere.example/a"),
        Step::Close(Vec::new()),
        Step::Answer(answer(404, &json!({"message": "No such asset."}))),
        Step::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope".to_vec()),
    ]);
    let url = server.url().replace("127.0.0.1", "user:s3cr3t%2Dword@127.0.0.1");
    let a_builder = builder(&server).base_url(&url).max_retries(0);
    let mut shown = vec![format!("{a_builder:?}")];
    let client = a_builder.build().unwrap();
    shown.push(format!("{client:?} {:?} {:?}", client.assets(), client.assets().list()));
    client.assets().retrieve("a1").send().unwrap();
    for _ in 0..4 {
        let e = client.assets().retrieve("a1").send().unwrap_err();
        shown.push(format!("{e} {e:#} {e:?}"));
    }
    let gone = url.replace(&format!(":{}", server.port()), ":1");
    let e = builder(&server).base_url(&gone).max_retries(0).build().unwrap().assets().retrieve("a1").send();
    shown.push(format!("{0} {0:?}", e.unwrap_err()));
    let invalid = builder(&server).base_url("https://user:s3cr3t-w/ord@host:x");
    shown.push(format!("{invalid:?}"));
    let e = invalid.build().unwrap_err();
    shown.push(format!("{e} {e:?}"));
    for text in shown {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
    let received = server.finish();
    assert!(received.iter().all(|request| request.header("authorization") == Some("Basic dXNlcjpzM2NyM3Qtd29yZA==")));
}

#[test]
fn custom_certificates_are_verified() {
    let with = |pem: &[u8]| TwelveLabs::builder().api_key(API_KEY).root_certificates(pem).build();
    if !cfg!(any(feature = "rustls", feature = "native-tls")) {
        assert!(with(b"").unwrap_err().to_string().contains("feature"));
        return;
    }
    let root = include_bytes!("../fixtures/tls/root.pem");
    assert!(with(root).is_ok());
    assert!(with(&[root, &root[..]].concat()).is_ok());
    for pem in [&b""[..], b"nonsense", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &root[..200]] {
        let e = with(pem).unwrap_err();
        assert!(e.to_string().starts_with("`root_certificates` "), "{e}");
    }
    let key = include_bytes!("../fixtures/tls/server.key");
    let e = with(key).unwrap_err();
    assert!(e.to_string().contains("contains no certificate"), "{e}");
}

#[test]
fn a_connection_is_made_once_for_many_calls() {
    let proxy = Proxy::start(None);
    let server = Server::start((0..20).map(|_| ready()));
    let (direct, _) = client(&server);
    let proxied = builder(&server).proxy(proxy.url()).build().unwrap();
    for _ in 0..10 {
        direct.assets().retrieve("a1").send().unwrap();
        proxied.assets().retrieve("a1").send().unwrap();
    }
    assert_eq!(proxy.seen().matches("CONNECT ").count(), 1);
}
