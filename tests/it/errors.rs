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
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
    let whole = [head.as_bytes(), &body].concat();
    let broken = whole.iter().copied().take(whole.len() - 6).chain([0; 6]).collect::<Vec<_>>();
    let server = Server::start([Step::Answer(whole), Step::Answer(broken)]);
    let client = builder(&server).max_retries(0).build().unwrap();
    let answer = client.assets().retrieve("a1").send_raw().unwrap();
    assert_eq!((answer.data.id.as_str(), answer.body.as_slice()), ("a1", &br#"{"_id":"a1"}"#[..]));
    let e = client.assets().retrieve("a1").send().unwrap_err();
    assert!(matches!(e, Error::Transport { sent: true, .. }), "{e:?}");
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
