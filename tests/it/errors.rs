//! The contents of errors: the host, the causes, and the classification.

use std::io::Write;
use std::time::Duration;

use crate::server::{Server, Step, answer, answer_of_type, answer_with, builder, client_in_time};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use twelvelabs::assets::UploadMethod;
use twelvelabs::{ApiErrorKind, Error, FileSource, RequestOptions};

#[test]
fn refusals_name_the_host_and_their_kind() {
    for (status, kind) in [
        (400, ApiErrorKind::BadRequest),
        (401, ApiErrorKind::Unauthorized),
        (404, ApiErrorKind::NotFound),
        (409, ApiErrorKind::Conflict),
        (410, ApiErrorKind::Gone),
        (418, ApiErrorKind::Other),
    ] {
        let server = Server::start([(); 2].map(|()| Step::Answer(answer(status, &json!({"message": "No."})))));
        for (url, host) in [(server.url(), "127.0.0.1"), (server.url_by_name(), "localhost")] {
            let client = builder(&server).base_url(url).max_retries(0).build().unwrap();
            let e = client.assets().retrieve("a1").send().unwrap_err();
            assert_eq!(e.to_string(), format!("No. [{status}] (GET /assets/a1 at {host})"));
            assert_eq!((e.kind(), e.status()), (Some(kind), Some(status)));
            assert_eq!(e.is_not_found(), matches!(status, 404 | 410));
            assert!(matches!(&e, Error::Api(e) if e.host == host));
        }
    }
    let server = Server::start([Step::Answer(answer_of_type(502, "text/html", "<title>Bad Gateway</title>"))]);
    let client = builder(&server).max_retries(0).build().unwrap();
    let e = client.assets().retrieve("a1").send().unwrap_err().to_string();
    assert_eq!(e, "127.0.0.1 answered with status 502 and an HTML page: Bad Gateway [502] (GET /assets/a1)");
}

#[test]
fn the_alternate_format_appends_the_causes() {
    // The operating system accepts no path with a NUL byte, and its error is the cause.
    let server = Server::start([]);
    let client = builder(&server).max_retries(0).build().unwrap();
    let file = FileSource::path("no/such\0file.mp4");
    let e = client.assets().create(UploadMethod::direct(file)).send().unwrap_err();
    let cause = std::error::Error::source(&e).expect("a cause").to_string();
    assert!(e.to_string().ends_with("cannot open the file"), "{e}");
    assert_eq!(format!("{e:#}"), format!("{e}: {cause}"));
    // Nothing listens on this port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let client = builder(&server).base_url(format!("http://127.0.0.1:{port}")).max_retries(0).build().unwrap();
    let e = client.assets().retrieve("a1").send().unwrap_err();
    let cause = std::error::Error::source(&e).expect("a cause").to_string();
    assert_eq!(e.to_string(), format!("could not connect to 127.0.0.1:{port}; nothing was sent (GET /assets/a1)"));
    assert_eq!(format!("{e:#}"), format!("{e}: {cause}"));
    assert!(!format!("{e:#}").contains('\n'));
    // The cause has a cause of its own.
    let server = Server::start([Step::Answer(answer_with(500, &[("retry-after", "60")], &json!({"message": "Oh."})))]);
    let (client, _) = client_in_time(&server);
    let options = RequestOptions::new().deadline(Duration::from_secs(10));
    let e = client.assets().retrieve("a1").request_options(options).send().unwrap_err();
    let text = format!("{e:#}");
    let expected = "the deadline of 10 s leaves no time for another attempt (after 1 attempt) (GET /assets/a1): \
                    Oh. [500] (at 127.0.0.1); try again in 1 min, at ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn an_undecodable_content_encoding_is_an_error_that_says_so() {
    let encoded = |status: u16, encoding: &str| {
        let head = format!("HTTP/1.1 {status} Status\r\ncontent-encoding: {encoding}\r\ncontent-length: 5\r\n\r\n");
        Step::Answer([head.as_bytes(), &[0x8b, 0x02, 0x80, 0x7b, 0x03]].concat())
    };
    let server = Server::start([encoded(200, "br"), encoded(400, "br"), encoded(200, "zstd"), encoded(201, "br")]);
    let client = builder(&server).max_retries(0).build().unwrap();
    let text = |status, encoding| format!("127.0.0.1 answered with status {status}, compressed as `{encoding}`");
    let e = client.assets().retrieve("a1").send().unwrap_err();
    assert!(matches!(e, Error::Decode { .. }) && e.to_string().starts_with(&text(200, "br")), "{e}");
    let e = client.assets().retrieve("a1").send().unwrap_err();
    assert!(e.status() == Some(400) && e.to_string().starts_with(&text(400, "br")), "{e}");
    let e = client.analyze_stream().send().unwrap_err();
    assert!(e.to_string().starts_with(&text(200, "zstd")), "{e}");
    let e = client.assets().create(UploadMethod::url("https://example.com/a")).send().unwrap_err();
    assert!(e.is_outcome_unknown(), "{e:?}");
    server.finish();
}

#[test]
fn a_response_in_a_requested_encoding_is_read() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(json!({"_id": "a1"}).to_string().as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    // The names of codings are case-insensitive, and `x-gzip` is another name of `gzip` (RFC 9110, sections 8.4.1 and
    // 8.4.1.3).
    for coding in ["gzip", "GZIP", "x-gzip", "X-GZip"] {
        let encoded = |status: u16, body: &[u8]| {
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} OK\r\ncontent-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n");
            [head.as_bytes(), body].concat()
        };
        let broken = body.iter().copied().take(body.len() - 6).chain([0; 6]).collect::<Vec<_>>();
        let script = [encoded(200, &body), encoded(200, &broken), encoded(400, &body), encoded(200, b"")];
        let server = Server::start(script.map(Step::Answer));
        let client = builder(&server).max_retries(0).build().unwrap();
        let answer = client.assets().retrieve("a1").send_raw().unwrap();
        assert_eq!((answer.data.id.as_str(), answer.body.as_slice()), ("a1", &br#"{"_id":"a1"}"#[..]), "{coding}");
        let e = client.assets().retrieve("a1").send().unwrap_err();
        assert!(matches!(e, Error::Transport { sent: true, .. }), "{coding}: {e:?}");
        assert!(e.to_string().contains("sent a response that cannot be decompressed"), "{coding}: {e}");
        let e = client.assets().retrieve("a1").send().unwrap_err();
        assert!(e.status() == Some(400) && e.to_string().contains(r#"{"_id":"a1"}"#), "{coding}: {e}");
        client.assets().delete("a1").send().unwrap();
    }
}

#[test]
fn an_error_keeps_at_most_64_kib_of_a_body() {
    let mut body = json!({"message": "Too much.", "code": "c"}).to_string();
    body.push_str(&" ".repeat(10 << 20));
    let server = Server::start([Step::Answer(answer_of_type(400, "application/json", &body))]);
    let client = builder(&server).max_retries(0).build().unwrap();
    match client.assets().retrieve("a1").send().unwrap_err() {
        Error::Api(e) => {
            assert_eq!((e.status, e.message.as_str()), (400, "Too much."));
            assert_eq!(e.body.len(), 64 << 10);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_is_cheap_to_share() {
    let server = Server::start([Step::Answer(answer(401, &json!({"message": "x".repeat(20_000)})))]);
    let client = builder(&server).build().unwrap();
    let Err(Error::Api(e)) = client.assets().retrieve("a1").send() else { panic!("it is refused") };
    let copies: Vec<Error> = (0..200_000).map(|_| Error::Api(e.clone())).collect();
    let same = |copy: &Error| matches!(copy, Error::Api(copy) if std::sync::Arc::ptr_eq(copy, &e));
    assert!(copies.iter().all(same));
}

#[test]
fn a_raw_response_reports_its_attempts_and_trace_id() {
    let limits = [("x-trace-id", "t1"), ("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "7")];
    let whole = answer_with(200, &limits, &json!({"_id": "a1"}));
    let server = Server::start([Step::Answer(answer(500, &Value::Null)), Step::Answer(whole)]);
    let (client, _) = client_in_time(&server);
    let answer = client.assets().retrieve("a1").send_raw().unwrap();
    assert_eq!((answer.trace_id(), answer.attempts()), (Some("t1"), 2));
    assert_eq!((answer.rate_limit().limit, answer.rate_limit().remaining), (Some(60), Some(7)));
    let page = json!({"data": [{"_id": "a1"}]});
    server.rewind([Step::Answer(answer_with(200, &limits, &page))]);
    let list = client.assets().list().send_raw().unwrap();
    assert_eq!((list.trace_id(), list.attempts(), list.data.response().attempts()), (Some("t1"), 1, 1));
}

#[test]
fn only_a_call_that_can_succeed_unchanged_is_retryable() {
    for (status, retryable) in [
        (408, true),
        (429, true),
        (500, true),
        (501, false),
        (502, true),
        (503, true),
        (504, true),
        (505, false),
        (529, true),
        (400, false),
        (401, false),
        (404, false),
        (409, false),
    ] {
        let server = Server::start((0..3).map(|_| Step::Answer(answer(status, &json!({"message": "No."})))));
        let e = client_in_time(&server).0.assets().retrieve("a1").send().unwrap_err();
        assert_eq!(e.is_retryable(), retryable, "{status}");
        let attempts = if retryable { 3 } else { 1 };
        assert_eq!(server.received().len(), attempts, "{status}: exactly the retryable errors are retried");
    }
    // The HTTP library refuses a URL of this length.
    let server = Server::start([]);
    let e = client_in_time(&server).0.assets().list().filename("x".repeat(70_000)).send().unwrap_err();
    assert!(!e.is_retryable() && !e.is_outcome_unknown() && e.to_string().contains("URL"), "{e:?}");
    assert!(e.to_string().contains("nothing was sent"), "{e}");
}

#[test]
fn an_id_that_no_request_could_name_is_a_fault_of_the_response() {
    type Call = fn(&twelvelabs::TwelveLabs) -> Result<(), Error>;
    let calls: [(&str, Call); 12] = [
        ("_id", |c| c.assets().create(UploadMethod::url("https://example.com/a")).send().map(drop)),
        ("_id", |c| c.assets().retrieve("a1").send().map(drop)),
        ("_id", |c| c.assets().upload_url("https://example.com/a").send().map(drop)),
        ("_id", |c| {
            c.indexes().create("name", [twelvelabs::indexes::IndexModelInput::new("m", ["visual"])]).send().map(drop)
        }),
        ("_id", |c| c.indexes().retrieve("i1").send().map(drop)),
        ("_id", |c| c.indexes().indexed_assets().create("i1", "a1").send().map(drop)),
        ("_id", |c| c.tasks().retrieve("t1").send().map(drop)),
        ("_id", |c| c.knowledge_stores().retrieve("k1").send().map(drop)),
        ("_id", |c| c.entity_collections().retrieve("e1").send().map(drop)),
        ("_id", |c| c.embed().tasks().retrieve("t1").send().map(drop)),
        ("task_id", |c| c.analyze_async().tasks().retrieve("t1").send().map(drop)),
        ("upload_id", |c| {
            let file_type = twelvelabs::assets::AssetType::Video;
            c.multipart_upload().create("a.mp4", file_type, 5).send().map(drop)
        }),
    ];
    for (n, (field, call)) in calls.into_iter().enumerate() {
        for id in ["", "..", "a\u{0}b"] {
            let body = answer(200, &json!({field: id, "status": "ready", "name": "a", "filename": "a"}));
            let server = Server::start([Step::Answer(body)]);
            let e = call(&client_in_time(&server).0).expect_err(&format!("call {n}"));
            assert!(matches!(e, Error::Decode { .. }), "call {n}, {id:?}: {e:?}");
            let text = e.to_string();
            assert!(
                text.contains(&format!("`{field}`")) && text.contains("cannot be used"),
                "call {n}, {id:?}: {text}"
            );
        }
    }
    // In a list, the other items remain.
    let page = json!({"data": [{"_id": "a1"}, {"_id": ""}, {"_id": "a3"}], "page_info": {}});
    let server = Server::start([Step::Answer(answer(200, &page))]);
    let found: Vec<_> = client_in_time(&server).0.assets().list().send().unwrap().take(3).collect();
    assert_eq!(found.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let e = found[1].as_ref().unwrap_err().to_string();
    assert!(e.contains("item 1 of page 1: `_id`: "), "{e}");
    // An empty optional id does not lose the rest of the response.
    let body = json!({"task_id": "t1", "custom_id": "", "batch_id": "", "status": "ready"});
    let server = Server::start([Step::Answer(answer(200, &body))]);
    assert_eq!(client_in_time(&server).0.analyze_async().tasks().retrieve("t1").send().unwrap().task_id, "t1");
}

#[test]
fn the_text_of_a_cause_has_no_effect_on_a_terminal() {
    struct Fails;
    impl std::io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("\u{1b}[2J\r\nwho\u{202e}ami"))
        }
    }
    struct Stubborn;
    impl serde::Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("\u{1b}[2J\r\nwho\u{202e}ami"))
        }
    }
    let server = Server::start([Step::Close(Vec::new())]);
    let (client, _) = client_in_time(&server);
    let read = client.assets().create(UploadMethod::direct(FileSource::reader("a.mp4", Fails))).send().unwrap_err();
    let sent = client.call("POST", &["things"]).json("a", Stubborn).send().unwrap_err();
    let uploaded = client.assets().upload(FileSource::reader("a.mp4", Fails)).send().unwrap_err();
    for e in [read, sent, uploaded] {
        for text in [format!("{e}"), format!("{e:#}")] {
            assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
        assert!(format!("{e:#}").contains("[2J who"), "{e:#}");
    }
}
