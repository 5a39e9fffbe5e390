//! TLS: a server with its own certificate, handshakes that fail, and records that are malformed.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::files::content;
use crate::server::{
    self, API_KEY, Pauses, Received, Step, answer, answer_of_type, answer_with, in_time, read_head, read_request,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use twelvelabs::assets::UploadMethod;
use twelvelabs::{Agent, Error, FileSource, TwelveLabs, TwelveLabsBuilder};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const ROOT: &[u8] = include_bytes!("../fixtures/tls/root.pem");
const OTHER_ROOT: &[u8] = include_bytes!("../fixtures/tls/other_root.pem");

type Secure = StreamOwned<ServerConnection, TcpStream>;

type Conversation = dyn FnOnce(&mut Secure) -> io::Result<()> + Send;

/// The server's script for one connection.
enum Play {
    /// Takes over before the handshake.
    Raw(Box<dyn FnOnce(TcpStream) + Send>),
    /// Takes over after the handshake. It decides whether the connection ends with a TLS closure alert.
    Talk(Box<Conversation>),
}

struct Server {
    port: u16,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    connections: usize,
    handshakes: Vec<HandshakeKind>,
    received: Vec<Received>,
}

fn config() -> Arc<ServerConfig> {
    let chain = [CertificateDer::from_pem_slice(include_bytes!("../fixtures/tls/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../fixtures/tls/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(chain.to_vec(), key).unwrap())
}

impl Server {
    /// Plays one script for each connection, and then gives this answer to everything.
    fn start(
        script: impl IntoIterator<Item = Play>,
        answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server { port: listener.local_addr().unwrap().port(), log: Arc::default() };
        let (config, answer, log) = (config(), Arc::new(answer), server.log.clone());
        let mut script: VecDeque<Play> = script.into_iter().collect();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                log.lock().unwrap().connections += 1;
                let (play, config, answer, log) = (script.pop_front(), config.clone(), answer.clone(), log.clone());
                thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    let talk = match play {
                        Some(Play::Raw(play)) => return play(stream),
                        Some(Play::Talk(talk)) => Some(talk),
                        None => None,
                    };
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    while stream.conn.is_handshaking() {
                        if stream.conn.complete_io(&mut stream.sock).is_err() {
                            return;
                        }
                    }
                    log.lock().unwrap().handshakes.extend(stream.conn.handshake_kind());
                    if let Some(talk) = talk {
                        return drop(talk(&mut stream));
                    }
                    while let Ok(request) = read_request(&mut stream) {
                        let bytes = answer(&request);
                        log.lock().unwrap().received.push(request);
                        if stream.write_all(&bytes).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/v1.3", self.port)
    }

    /// Returns a builder for a client that trusts only this certificate.
    fn builder(&self, root: &[u8]) -> (TwelveLabsBuilder, Pauses) {
        let roots = RootCerts::from([Certificate::from_pem(root).unwrap()]);
        let tls = TlsConfig::builder().root_certs(roots).build();
        let agent: Agent = Agent::config_builder().tls_config(tls).build().into();
        let pauses = Pauses::default();
        let builder = TwelveLabs::builder().api_key(API_KEY).base_url(self.url()).agent(agent);
        (builder.max_retries(2).clock(pauses.clone()), pauses)
    }

    fn client(&self) -> (TwelveLabs, Pauses) {
        let (builder, pauses) = self.builder(ROOT);
        (builder.build().unwrap(), pauses)
    }

    fn received(&self) -> Vec<Received> {
        self.log.lock().unwrap().received.clone()
    }

    fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }
}

fn asset(id: &str) -> Value {
    json!({"_id": id, "status": "ready"})
}

fn ready(_: &Received) -> Vec<u8> {
    answer(200, &asset("a1"))
}

fn by_url() -> UploadMethod {
    UploadMethod::url("https://example.com/a.mp4")
}

#[test]
fn normal_use_keeps_its_connection() {
    let server = Server::start([], ready);
    let (client, pauses) = server.client();
    let file = content(3 << 20);
    for _ in 0..3 {
        assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
    }
    let source = FileSource::bytes("clip.mp4", file.clone());
    client.assets().create(UploadMethod::direct(source)).send().unwrap();
    let received = server.received();
    assert!(received.iter().all(|request| request.header("x-api-key") == Some(API_KEY)));
    assert!(received[3].file().bytes == file, "the bytes arrive unchanged");
    assert_eq!(received[3].header("expect"), Some("100-continue"));
    assert_eq!((server.connections(), pauses.taken().len()), (1, 0));
}

#[test]
fn a_new_connection_resumes_the_session() {
    let one = || {
        Play::Talk(Box::new(|stream| {
            read_request(stream)?;
            stream.write_all(&answer_with(200, &[("connection", "close")], &asset("a1")))?;
            stream.conn.send_close_notify();
            stream.flush()
        }))
    };
    let server = Server::start([one(), one(), one()], ready);
    let (client, _) = server.client();
    for _ in 0..3 {
        assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
    }
    let handshakes = server.log.lock().unwrap().handshakes.clone();
    assert_eq!(handshakes, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
}

#[test]
fn a_handshake_that_is_cut_has_sent_nothing() {
    let cut = |taken: usize| {
        Play::Raw(Box::new(move |mut stream| {
            let _ = stream.read_exact(&mut vec![0; taken]);
        }))
    };
    let garbled = || {
        Play::Raw(Box::new(|mut stream| {
            let _ = stream.read(&mut [0; 1000]);
            // The server sends the beginning of a record and then nothing.
            let _ = stream.write_all(&[22, 3, 3, 0, 90, 2]);
            let _ = stream.shutdown(Shutdown::Both);
        }))
    };
    for second in [cut(1), garbled()] {
        let server = Server::start([cut(0), second], ready);
        let (client, pauses) = server.client();
        let created = in_time(move || client.assets().create(by_url()).send());
        assert_eq!(created.unwrap().id, "a1");
        assert_eq!((server.connections(), server.received().len(), pauses.taken().len()), (3, 1, 2));
    }
    let server = Server::start([cut(0), cut(5), garbled()], ready);
    let (client, _) = server.client();
    let e = in_time(move || client.assets().create(by_url()).send().unwrap_err());
    assert!(matches!(e, Error::Transport { sent: false, .. }) && e.is_retryable(), "{e:?}");
    assert!(e.to_string().contains("localhost") && e.to_string().contains("nothing was sent"), "{e}");
}

#[test]
fn a_foreign_certificate_is_refused_without_a_retry() {
    let server = Server::start([], ready);
    // One certificate has another issuer, and the other does not contain the name.
    for (root, host) in [(OTHER_ROOT, "localhost"), (ROOT, "127.0.0.1")] {
        let (builder, pauses) = server.builder(root);
        let client = builder.base_url(format!("https://{host}:{}", server.port)).build().unwrap();
        let e = in_time(move || client.assets().create(by_url()).send().unwrap_err());
        assert!(matches!(e, Error::Transport { sent: false, .. }), "{e:?}");
        assert!(!e.is_retryable() && !e.is_outcome_unknown() && pauses.taken().is_empty(), "{e:?}");
        let text = e.to_string();
        let expected = format!("the certificate of {host}:{} cannot be trusted; nothing was sent", server.port);
        assert!(text.starts_with(&expected) && text.contains("`root_certificates`"), "{text}");
        let may_ask_the_system = cfg!(any(feature = "platform-verifier", not(feature = "rustls")));
        assert_eq!(text.contains("`platform-verifier`"), !may_ask_the_system, "{text}");
        let cause = std::error::Error::source(&e).unwrap().to_string();
        assert!(cause.contains("certificate") && !text.contains(&cause), "{text}: {cause}");
    }
    assert!(server.received().is_empty());
}

#[test]
fn a_proxy_sees_nothing_of_encrypted_traffic() {
    let server = Server::start([], ready);
    let proxy = crate::proxies::Proxy::start(None);
    let client = TwelveLabs::builder().api_key(API_KEY).base_url(server.url()).proxy(proxy.url());
    let client = client.root_certificates(ROOT).build().unwrap();
    assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
    let source = FileSource::bytes("clip.mp4", content(2 << 20));
    client.assets().create(UploadMethod::direct(source)).send().unwrap();
    let seen = proxy.seen();
    assert!(seen.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", server.port)), "{}", &seen[..100]);
    assert!(!seen.contains(API_KEY) && !seen.contains("x-api-key") && !seen.contains("clip.mp4"));
    assert!(server.received().iter().all(|request| request.header("x-api-key") == Some(API_KEY)));
    // An error of the server is not attributed to the proxy.
    let (other, _) = (TwelveLabs::builder().api_key(API_KEY).base_url(server.url()).proxy(proxy.url()), ());
    let e = other.root_certificates(OTHER_ROOT).build().unwrap().assets().retrieve("a1").send().unwrap_err();
    assert!(
        e.to_string().starts_with(&format!("the certificate of localhost:{} cannot be trusted", server.port)),
        "{e}"
    );
}

#[test]
fn a_server_without_tls_is_an_error_that_says_so() {
    let plain = || {
        Play::Raw(Box::new(|mut stream| {
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }))
    };
    let server = Server::start([plain()], ready);
    let (client, pauses) = server.client();
    let e = in_time(move || client.assets().create(by_url()).send().unwrap_err());
    assert!(
        e.to_string()
            .starts_with(&format!("could not establish a secure connection to localhost:{}; nothing", server.port)),
        "{e}"
    );
    assert!(!e.is_retryable() && pauses.taken().is_empty(), "{e:?}");
}

/// A script that reads the request and answers with bytes that are not a TLS record.
fn broken_record() -> Play {
    Play::Talk(Box::new(|stream| {
        read_request(stream)?;
        stream.sock.write_all(&[23, 3, 3, 0, 20])?;
        stream.sock.write_all(&[0x5a; 20])?;
        stream.sock.read(&mut [0; 100]).map(drop)
    }))
}

#[test]
fn a_record_that_breaks_after_a_post_leaves_the_outcome_unknown() {
    let server = Server::start([broken_record(), broken_record()], ready);
    let (client, pauses) = server.client();
    let scene = client.clone();
    let e = in_time(move || scene.assets().create(by_url()).send().unwrap_err());
    assert!(matches!(e, Error::Transport { sent: true, .. }) && e.is_outcome_unknown(), "{e:?}");
    assert!(e.to_string().contains("it is unknown whether the platform acted"), "{e}");
    assert!(e.to_string().contains("localhost") && pauses.taken().is_empty(), "{e}");
    // A GET is retried.
    assert_eq!(in_time(move || client.assets().retrieve("a1").send().unwrap().id), "a1");
    assert_eq!((server.connections(), pauses.taken().len()), (3, 1));
}

/// A script that writes these bytes and closes the connection, with or without a TLS closure alert.
fn answer_and_close(bytes: Vec<u8>, properly: bool) -> Play {
    Play::Talk(Box::new(move |stream| {
        read_request(stream)?;
        stream.write_all(&bytes)?;
        if properly {
            stream.conn.send_close_notify();
        }
        stream.flush()?;
        stream.sock.shutdown(Shutdown::Both)
    }))
}

#[test]
fn a_response_without_a_length_needs_a_tls_closure_alert() {
    let json = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}", asset("a1")).into_bytes();
    let lines = b"HTTP/1.1 200 OK\r\ncontent-type: application/jsonl\r\n\r\n{\"task_id\":\"1\"}\n".to_vec();
    let events = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n".to_vec();
    for properly in [true, false] {
        let script = [&json, &lines, &events].map(|bytes| answer_and_close(bytes.clone(), properly));
        let server = Server::start(script, ready);
        let client = server.builder(ROOT).0.max_retries(0).build().unwrap();
        let (asset, lines, events) = in_time(move || {
            let asset = client.assets().retrieve("a1").send();
            let lines: Vec<_> = client.analyze_async().batches().results("b").send().unwrap().collect();
            let events: Vec<_> = client.call("GET", &["x"]).send_events().unwrap().collect();
            (asset, lines, events)
        });
        if properly {
            assert_eq!((asset.unwrap().id.as_str(), lines.len(), events.len()), ("a1", 1, 1));
            continue;
        }
        for e in [
            asset.unwrap_err(),
            lines.into_iter().nth(1).unwrap().unwrap_err(),
            events.into_iter().nth(1).unwrap().unwrap_err(),
        ] {
            assert!(matches!(e, Error::Transport { sent: true, .. }) && e.is_retryable(), "{e:?}");
        }
    }
    // The length shows that the answer is complete.
    let server = Server::start([answer_and_close(answer(200, &asset("a1")), false)], ready);
    assert_eq!(server.client().0.assets().retrieve("a1").send().unwrap().id, "a1");
}

#[test]
fn an_early_refusal_is_read_over_tls_too() {
    let refuse = Play::Talk(Box::new(|stream| {
        read_head(stream)?;
        for piece in answer_with(413, &[], &json!({"message": "Too large."})).chunks(20) {
            stream.write_all(piece)?;
            thread::sleep(Duration::from_millis(5));
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{} bytes of the body arrived", rest.len());
        Ok(())
    }));
    let server = Server::start([refuse], ready);
    let (client, _) = server.client();
    let source = FileSource::bytes("clip.mp4", content(3 << 20));
    let e = in_time(move || client.assets().create(UploadMethod::direct(source)).send().unwrap_err());
    assert_eq!(e.status(), Some(413), "{e:?}");
    assert!(e.to_string().starts_with("Too large."), "{e}");
}

/// A script that reads the headers of a request and a part of its body, refuses it, and closes the connection or stays
/// until the test is over.
fn refuses_within_the_body(over: Option<mpsc::Receiver<()>>) -> Play {
    Play::Talk(Box::new(move |stream| {
        if read_head(stream)?.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        stream.read_exact(&mut [0; 10_000])?;
        stream.write_all(&answer_with(413, &[("connection", "close")], &json!({"message": "Too large."})))?;
        let _ = over.map(|over| over.recv_timeout(Duration::from_secs(20)));
        Ok(())
    }))
}

#[test]
fn a_refusal_within_the_body_is_read_over_tls_too() {
    for stays in [false, true] {
        let (over, wait) = mpsc::channel();
        let server = Server::start([refuses_within_the_body(stays.then_some(wait))], ready);
        let (client, _) = server.client();
        let source = FileSource::bytes("clip.mp4", vec![7; 12 << 20]);
        let e = in_time(move || client.assets().create(UploadMethod::direct(source)).send().unwrap_err());
        drop(over);
        assert_eq!(e.status(), Some(413), "{e:?}");
        assert!(e.to_string().starts_with("Too large."), "{e}");
    }
}

#[test]
fn a_stall_over_tls_changes_no_byte() {
    // The session tickets of TLS 1.3 lie unread while the server reads nothing, and are no refusal.
    let received = Arc::new(Mutex::new(Vec::new()));
    let body = received.clone();
    let stall = Play::Talk(Box::new(move |stream| {
        let mut request = read_head(stream)?;
        for _ in 0..3 {
            // In real time, so that the client stalls.
            thread::sleep(Duration::from_millis(200));
            stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n")?;
            let mut part = vec![0; 3 << 20];
            stream.read_exact(&mut part)?;
            request.body.extend_from_slice(&part);
        }
        let mut rest =
            vec![0; request.header("content-length").unwrap().parse::<usize>().unwrap() - request.body.len()];
        stream.read_exact(&mut rest)?;
        request.body.extend_from_slice(&rest);
        *body.lock().unwrap() = request.body;
        stream.write_all(&answer(200, &json!({})))
    }));
    let server = Server::start([stall], ready);
    let (client, _) = server.client();
    let text: String = content(12 << 20).iter().map(|byte| char::from(byte % 64 + b' ')).collect();
    let sent = text.clone();
    in_time(move || client.call("POST", &["x"]).json("text", sent).send().unwrap());
    let received: Value = serde_json::from_slice(&received.lock().unwrap()).unwrap();
    assert!(received == json!({"text": text}), "the body arrives completely");
}

/// Plays the platform for one chunked upload, and its storage if both have the same host.
fn uploads(storage: &str, size: usize, request: &Received) -> Vec<u8> {
    const CHUNK: usize = 1 << 20;
    let total = size.div_ceil(CHUNK);
    let url =
        |index: usize| json!({"chunk_index": index, "url": format!("{storage}/storage/{index}?signature=secret")});
    let path = request.path.trim_start_matches("/v1.3");
    match (request.method.as_str(), path) {
        ("POST", "/assets/multipart-uploads") => answer(
            201,
            &json!({
                "upload_id": "u1", "asset_id": "a1", "chunk_size": CHUNK, "total_chunks": total,
                "upload_urls": (1..=total).map(url).collect::<Vec<_>>(),
            }),
        ),
        ("PUT", _) => answer_with(200, &[("etag", "\"tag\"")], &Value::Null),
        ("POST", "/assets/multipart-uploads/u1") => answer(
            200,
            &json!({"asset_id": "a1", "total_completed": total, "processed_chunks": total, "url": "https://example.com/a1"}),
        ),
        _ => answer_of_type(404, "text/plain", "unknown"),
    }
}

#[test]
fn a_chunked_upload_goes_over_tls_and_the_storage_sees_no_key() {
    let file = content((5 << 20) + 99);
    let (port, size) = (Arc::new(Mutex::new(0)), file.len());
    let known = port.clone();
    let server = Server::start([], move |request| {
        uploads(&format!("https://localhost:{}", known.lock().unwrap()), size, request)
    });
    *port.lock().unwrap() = server.port;
    let (client, _) = server.client();
    let source = FileSource::bytes("clip.mp4", file.clone());
    let result = in_time(move || client.multipart_upload().upload_file(source).batch_size(100).send().unwrap());
    assert_eq!((result.asset_id.as_str(), result.upload_id.as_str()), ("a1", "u1"));
    let mut chunks: Vec<_> = server.received().into_iter().filter(|request| request.method == "PUT").collect();
    chunks.sort_by_key(|request| request.path.clone());
    assert!(chunks.iter().all(|request| request.header("x-api-key").is_none()));
    assert!(chunks.iter().flat_map(|request| request.body.clone()).eq(file), "the bytes arrive unchanged");
}

#[test]
fn chunks_go_unencrypted_only_if_that_is_allowed() {
    let file = content(1 << 20);
    let step = || Step::Answer(answer_with(200, &[("etag", "\"tag\"")], &Value::Null));
    let storage = server::Server::start([step()]);
    for scheme in ["http", "HTTP"] {
        let (place, size) = (format!("{scheme}://localhost:{}", storage.port()), file.len());
        let server = Server::start([], move |request| uploads(&place, size, request));
        let upload = |client: &TwelveLabs| {
            let upload = client.multipart_upload().upload_file(FileSource::bytes("clip.mp4", file.clone()));
            in_time(move || upload.send())
        };
        let (builder, _) = server.builder(ROOT);
        let e = upload(&builder.build().unwrap()).unwrap_err();
        let Error::Upload(e) = &e else { panic!("{e:?}") };
        assert!(matches!(&*e.cause, Error::Protocol { .. }) && e.missing == [1], "{e:?}");
        let text = format!("{e} {e:?} {}", e.cause);
        assert!(text.contains("allow_insecure_storage(true)") && !text.contains("secret"), "{text}");
        assert!(storage.received().is_empty(), "nothing was sent unencrypted");

        storage.rewind([step()]);
        let (builder, _) = server.builder(ROOT);
        upload(&builder.allow_insecure_storage(true).build().unwrap()).unwrap();
        let received = storage.finish();
        assert!(received.len() == 1 && received[0].body == file, "{scheme}");
        assert_eq!(received[0].header("x-api-key"), None);
        storage.rewind([step()]);
    }
}
