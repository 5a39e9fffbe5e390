//! The rules of the engine for redirects, retries, deadlines and the rate limiter, judged by the requests that the
//! server receives.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::files::content;
use crate::server::{
    LIMITS, Moving, Received, Server, Step, answer, answer_of_type, answer_with, builder, client, client_in_time,
    in_time, read_body,
};
use serde_json::{Value, json};
use twelvelabs::assets::UploadMethod;
use twelvelabs::{Clock, Error, FileSource, RequestOptions, TwelveLabs};

fn asset(id: &str) -> Value {
    json!({"_id": id, "status": "ready"})
}

fn ready() -> Step {
    Step::Answer(answer(200, &asset("a1")))
}

fn status(status: u16) -> Step {
    Step::Answer(answer(status, &Value::Null))
}

fn too_many(retry_after: &str) -> Step {
    Step::Answer(answer_with(429, &[("retry-after", retry_after)], &json!({"message": "Slow down."})))
}

fn by_url() -> UploadMethod {
    UploadMethod::url("https://example.com/a.mp4")
}

fn seconds(seconds: &[f64]) -> Vec<Duration> {
    seconds.iter().copied().map(Duration::from_secs_f64).collect()
}

/// A step that reads the request and never answers.
fn silent() -> Step {
    Step::Talk(Box::new(|stream, request| {
        read_body(stream, request)?;
        stream.read(&mut [0]).map(|_| false)
    }))
}

// Redirects.

fn moved(status: u16, place: &str) -> Step {
    Step::Answer(answer_with(status, &[("location", place)], &Value::Null))
}

fn methods(received: &[Received]) -> Vec<String> {
    received.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

#[test]
fn a_redirect_of_a_get_within_the_server_is_followed() {
    for code in [301, 302, 303, 307, 308] {
        let server = Server::start_with(|port| {
            let whole = format!("http://127.0.0.1:{port}/v1.3/b?x=1");
            [
                moved(code, "/v1.3/a"),
                moved(code, &whole),
                ready(),
                moved(code, "assets/c"),
                Step::Answer(answer(200, &json!({"data": []}))),
            ]
        });
        let (client, pauses) = client(&server);
        let answer = client.assets().retrieve("a1").send_raw().unwrap();
        assert_eq!((answer.data.id.as_str(), answer.attempts()), ("a1", 3));
        drop(client.assets().list().send().unwrap());
        let received = server.finish();
        let paths = ["GET /v1.3/assets/a1", "GET /v1.3/a", "GET /v1.3/b", "GET /v1.3/assets", "GET /v1.3/assets/c"];
        assert_eq!(methods(&received), paths, "{code}");
        assert_eq!(received[2].query, [("x".to_string(), "1".to_string())]);
        assert!(received.iter().all(|request| request.header("x-api-key").is_some()));
        assert!(pauses.taken().is_empty());
    }
}

#[test]
fn only_a_redirect_that_keeps_the_method_is_followed_with_a_body() {
    for code in [307, 308] {
        let server = Server::start([moved(code, "/v1.3/b"), ready(), moved(code, "/v1.3/c"), status(204)]);
        let (client, _) = client(&server);
        let file = FileSource::bytes("clip.mp4", content(50_000));
        client.assets().create(UploadMethod::direct(file)).send().unwrap();
        client.assets().delete("a1").send().unwrap();
        let received = server.finish();
        assert_eq!(methods(&received)[1], "POST /v1.3/b");
        assert_eq!(methods(&received)[3], "DELETE /v1.3/c");
        assert!(received[1].file().bytes == content(50_000) && received[0].body == received[1].body);
    }
    for code in [300, 301, 302, 303, 304, 305] {
        let server = Server::start([moved(code, "/v1.3/b"), moved(code, "/v1.3/c"), moved(code, "/v1.3/d")]);
        let (client, pauses) = client(&server);
        let errors = [
            client.assets().create(by_url()).send().unwrap_err(),
            client.assets().delete("a1").send().unwrap_err(),
            client.assets().update_user_metadata("a1", json!({"a": 1})).send().unwrap_err(),
        ];
        for (e, place) in errors.iter().zip(["/v1.3/b", "/v1.3/c", "/v1.3/d"]) {
            assert!(matches!(e, Error::Redirect { location, .. } if location == place), "{code}: {e:?}");
            assert_eq!(e.status(), Some(code));
            assert!(e.to_string().starts_with(&format!("127.0.0.1 redirects to {place} (status {code})")), "{e}");
        }
        assert_eq!(server.finish().len(), 3, "no request is sent again");
        assert!(pauses.taken().is_empty());
    }
}

#[test]
fn a_reader_that_was_used_does_not_follow_a_redirect() {
    let server = Server::start([moved(307, "/v1.3/b")]);
    let (client, _) = client(&server);
    let reader = FileSource::reader("clip.mp4", io::Cursor::new(content(50_000)));
    let e = client.assets().create(UploadMethod::direct(reader)).send().unwrap_err();
    assert!(matches!(e, Error::Redirect { status: 307, .. }), "{e:?}");
    assert_eq!(server.finish().len(), 1);
}

#[test]
fn a_redirect_to_a_presigned_url_does_not_show_its_signature() {
    let place = "https://s3.example/a.mp4?X-Amz-Credential=AKIA99&X-Amz-Signature=c0ffee1122334455";
    let server = Server::start([moved(302, place)]);
    let (client, _) = client(&server);
    let e = get(&client).unwrap_err();
    assert!(matches!(&e, Error::Redirect { location, .. } if location == "https://s3.example/a.mp4?…"), "{e:?}");
    assert!(!format!("{e} {e:#} {e:?}").contains("c0ffee"), "{e:?}");
}

#[test]
fn endless_redirects_end_in_an_error() {
    let server = Server::start((0..9).map(|n| moved(302, &format!("/v1.3/{n}"))));
    let (client, _) = client(&server);
    let e = client.assets().retrieve("a1").send().unwrap_err();
    assert!(matches!(e, Error::Redirect { .. }), "{e:?}");
    assert_eq!(server.received().len(), 6, "one request and five redirects are sent");
}

/// Runs an upload whose only chunk goes to the server itself, and returns the error.
fn chunk_to(server: &Server, query: &str, max_retries: u32) -> Error {
    let (client, _) = client(server);
    let url = format!("http://127.0.0.1:{}/storage{query}", server.port());
    let session = json!({
        "upload_id": "u1", "asset_id": "a1", "chunk_size": 1000, "total_chunks": 1,
        "upload_urls": [{"chunk_index": 1, "url": url}],
    });
    let script = [Step::Answer(answer(201, &session))].into_iter().chain(server.script());
    server.rewind(script.collect::<Vec<_>>());
    let file = FileSource::bytes("clip.mp4", content(1000));
    let upload = client.multipart_upload().upload_file(file).max_retries(max_retries);
    upload.send().unwrap_err()
}

#[test]
fn a_redirect_of_the_storage_is_an_error_that_names_the_target_without_its_query() {
    let elsewhere = Server::start([]);
    let place = format!("http://127.0.0.1:{}/b", elsewhere.port());
    for code in [301, 302, 307, 308] {
        let server = Server::start([moved(code, &format!("{place}?X-Amz-Signature=c0ffee1122334455"))]);
        let e = chunk_to(&server, "?X-Amz-Signature=c0ffee1122334455", 2);
        assert_eq!(e.status(), Some(code), "{e:?}");
        assert!(e.to_string().contains(&format!("127.0.0.1 redirects to {place}?… (status {code})")), "{e}");
        assert!(!format!("{e} {e:#} {e:?}").contains("c0ffee"), "{e:?}");
        assert_eq!(server.finish().len(), 2);
    }
    assert!(elsewhere.received().is_empty());
}

// Retries.

/// Runs a call that first meets this step and then a server that answers properly. Returns its pauses, or the error.
fn after(first: Step, call: impl Fn(&TwelveLabs) -> twelvelabs::Result<()>) -> Result<Vec<Duration>, Error> {
    let server = Server::start([first, ready()]);
    let (client, clock) = client_in_time(&server);
    call(&client).map(|()| clock.taken())
}

fn get(client: &TwelveLabs) -> twelvelabs::Result<()> {
    client.assets().retrieve("a1").send().map(drop)
}

fn post(client: &TwelveLabs) -> twelvelabs::Result<()> {
    client.assets().create(by_url()).send().map(drop)
}

#[test]
fn the_table_of_retries() {
    let wait: &[(&str, &str)] = &[("retry-after", "7")];
    let answered = |status: u16, headers: &[(&str, &str)]| Step::Answer(answer_with(status, headers, &Value::Null));
    for (status, headers, get_again, post_again) in [
        (429, &[][..], true, true),
        (429, wait, true, true),
        (408, &[], true, true),
        (503, &[], true, false),
        (503, wait, true, true),
        (500, &[], true, false),
        (502, wait, true, false),
        (504, &[], true, false),
        (501, &[], false, false),
        (409, wait, false, false),
        (400, &[], false, false),
        (404, &[], false, false),
        (422, &[], false, false),
    ] {
        let pause = if headers.is_empty() { 0.5 } else { 7.0 };
        let scene = format!("{status} {headers:?}");
        for (again, result) in
            [(get_again, after(answered(status, headers), get)), (post_again, after(answered(status, headers), post))]
        {
            match result {
                Ok(pauses) => assert_eq!((again, pauses), (true, seconds(&[pause])), "{scene}"),
                Err(e) => assert_eq!((again, e.status()), (false, Some(status)), "{scene}"),
            }
        }
    }
    // A time in a message or in rate limit headers is only a hint. It does not prove that the platform did not act.
    let in_message = json!({"message": "Overloaded until 2020-01-01T00:00:00Z."});
    for hint in [
        answer_with(503, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")], &Value::Null),
        answer_with(503, &[("retry-after-ms", "20")], &Value::Null),
        answer_with(503, &[("retry-after", "soon")], &Value::Null),
        answer_with(503, &[], &in_message),
    ] {
        assert!(after(Step::Answer(hint.clone()), get).is_ok());
        let e = after(Step::Answer(hint), post).unwrap_err();
        assert!(e.status() == Some(503) && e.is_outcome_unknown(), "{e:?}");
    }
    // Requests that are retried after a broken connection: a GET, and a POST that is safe to repeat.
    assert!(after(Step::Close(Vec::new()), get).is_ok());
    assert!(after(Step::Close(Vec::new()), post).unwrap_err().is_outcome_unknown());
    let keyed = RequestOptions::new().additional_header("Idempotency-Key", "k1");
    assert!(
        after(Step::Close(Vec::new()), |c| {
            c.assets().create(by_url()).request_options(keyed.clone()).send().map(drop)
        })
        .is_ok()
    );
}

/// The same holds for every method: `is_outcome_unknown` is about what the platform may have done with the request.
#[test]
fn an_error_says_whether_the_platform_may_have_acted() {
    let delete = |client: &TwelveLabs| client.assets().delete("a1").send();
    type Send = fn(&TwelveLabs) -> twelvelabs::Result<()>;
    let calls: [Send; 3] = [get, post, delete];
    let half = || answer(200, &asset("a1")).into_iter().rev().skip(3).rev().collect::<Vec<u8>>();
    let refusal = |status, headers: &[(&str, &str)]| Step::Answer(answer_with(status, headers, &Value::Null));
    let steps: [(bool, &dyn Fn() -> Step); 18] = [
        (true, &|| Step::Close(Vec::new())),
        (true, &|| Step::Close(half())),
        (true, &|| Step::Close(b"no HTTP at all\r\n\r\n".to_vec())),
        (true, &|| Step::Answer(answer(200, &json!({"_id": "a1", "filename": "x".repeat(5000)})))),
        (true, &silent),
        (true, &|| refusal(500, &[])),
        (true, &|| refusal(500, &[("retry-after", "1")])),
        (true, &|| refusal(502, &[])),
        (true, &|| refusal(503, &[])),
        (true, &|| refusal(504, &[])),
        (true, &|| refusal(599, &[])),
        (false, &|| refusal(501, &[])),
        (false, &|| refusal(503, &[("retry-after", "1")])),
        (false, &|| refusal(499, &[])),
        (false, &|| refusal(429, &[])),
        (false, &|| refusal(408, &[])),
        (false, &|| refusal(404, &[])),
        (false, &|| moved(307, "https://elsewhere.example/")),
    ];
    for (number, (unknown, step)) in steps.into_iter().enumerate() {
        for (place, call) in calls.into_iter().enumerate() {
            let server = Server::start([step()]);
            let client = builder(&server).max_retries(0).max_response_size(4000).timeout(Duration::from_millis(500));
            let e = call(&client.build().unwrap()).unwrap_err();
            assert_eq!(e.is_outcome_unknown(), unknown, "step {number}, call {place}: {e:?}");
        }
    }
    for call in [get, post] {
        let server = Server::start([Step::Answer(answer_of_type(201, "application/json", "not JSON"))]);
        let e = call(&builder(&server).build().unwrap()).unwrap_err();
        assert!(matches!(e, Error::Decode { .. }) && e.is_outcome_unknown(), "{e:?}");
    }
    // Nothing was sent.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = TwelveLabs::builder().api_key("tlk_1").base_url(format!("http://127.0.0.1:{port}")).max_retries(0);
    let nobody = nobody.build().unwrap();
    for call in calls {
        let e = call(&nobody).unwrap_err();
        assert!(matches!(e, Error::Transport { sent: false, .. }) && !e.is_outcome_unknown(), "{e:?}");
    }
}

#[test]
fn the_backoff_grows_and_has_jitter() {
    let mut clock = Moving::default();
    clock.random = 0.5;
    let server = Server::start((0..7).map(|_| status(500)));
    let client = builder(&server).clock(clock.clone()).max_retries(6).build().unwrap();
    assert_eq!(get(&client).unwrap_err().status(), Some(500));
    assert_eq!(
        clock.taken(),
        seconds(&[0.25, 0.5, 1.0, 2.0, 4.0, 5.0]),
        "the pauses are half of 0.5, 1, 2, 4, 8 and 10 s"
    );
    server.finish();
}

#[test]
fn a_clock_with_unusable_random_numbers_does_not_panic() {
    for (random, pause) in [(f64::NAN, 0.0), (f64::INFINITY, 0.5), (f64::NEG_INFINITY, 0.0), (-1.0, 0.0), (7.0, 0.5)] {
        let server = Server::start([status(500), ready()]);
        let mut clock = Moving::default();
        clock.random = random;
        get(&builder(&server).clock(clock.clone()).build().unwrap()).unwrap();
        assert_eq!(clock.taken().iter().sum::<Duration>(), Duration::from_secs_f64(pause), "{random}");
        server.finish();
    }
}

#[test]
fn a_limit_that_ends_an_unencrypted_attempt_does_not_mention_tls() {
    let server = Server::start([]);
    let client = builder(&server).timeout(Duration::ZERO).max_retries(0).build().unwrap();
    let e = get(&client).unwrap_err();
    assert!(e.is_timeout() && !e.is_outcome_unknown(), "{e}");
    assert!(e.to_string().starts_with(&format!("nothing was sent to 127.0.0.1:{} in time", server.port())), "{e}");
}

#[test]
fn a_retry_after_of_zero_still_backs_off() {
    let server = Server::start((0..4).map(|_| too_many("0")));
    let clock = Moving::default();
    let client = builder(&server).clock(clock.clone()).max_retries(3).build().unwrap();
    assert_eq!(get(&client).unwrap_err().status(), Some(429));
    assert_eq!(clock.taken(), seconds(&[0.5, 1.0, 2.0]));
    server.finish();
}

#[test]
fn max_retry_after_is_honored() {
    for (most, asked, waits) in [(60, "60", true), (60, "61", false), (5, "6", false), (300, "299", true)] {
        let server = Server::start([too_many(asked), ready()]);
        let clock = Moving::default();
        let client = builder(&server).clock(clock.clone()).max_retry_after(Duration::from_secs(most)).build().unwrap();
        match get(&client) {
            Ok(()) => assert_eq!((waits, clock.taken()), (true, seconds(&[asked.parse().unwrap()]))),
            Err(e) => {
                assert_eq!((waits, e.retry_after()), (false, Some(Duration::from_secs(asked.parse().unwrap()))));
                assert!(clock.taken().is_empty());
            }
        }
    }
}

#[test]
fn a_request_without_a_response_is_retried_once_at_most() {
    let server = Server::start([silent(), silent(), ready()]);
    let client = builder(&server).timeout(Duration::from_millis(300)).max_retries(5).clock(Moving::default());
    let client = client.build().unwrap();
    let scene = client.clone();
    let e = in_time(move || get(&scene).unwrap_err());
    assert!(matches!(e, Error::Timeout { sent: true, .. }) && e.is_timeout(), "{e:?}");
    let text = format!("127.0.0.1:{} did not respond within 300 ms (`timeout`)", server.port());
    assert!(e.to_string().starts_with(&text), "{e}");
    assert_eq!(server.received().len(), 2);
    // A POST is never sent again.
    server.rewind([silent(), ready()]);
    let e = in_time(move || post(&client).unwrap_err());
    assert!(e.is_timeout() && e.is_outcome_unknown(), "{e:?}");
    assert_eq!(server.received().len(), 1);
}

#[test]
fn a_delete_that_gets_404_after_a_broken_attempt_has_succeeded() {
    for first in [Step::Close(Vec::new()), Step::Reset(0), status(500), status(502)] {
        let server = Server::start([first, status(404)]);
        let (client, _) = client(&server);
        client.assets().delete("a1").send().unwrap();
        server.finish();
    }
    let server = Server::start([silent(), status(404)]);
    let client_of_silence =
        builder(&server).timeout(Duration::from_millis(200)).clock(Moving::default()).build().unwrap();
    in_time(move || client_of_silence.assets().delete("a1").send().unwrap());
    server.finish();
    // The asset did not exist in the first place.
    for first in [vec![], vec![too_many("1")]] {
        let server = Server::start(first.into_iter().chain([status(404)]));
        let (client, _) = client(&server);
        let e = client.assets().delete("a1").send().unwrap_err();
        assert!(e.is_not_found(), "{e:?}");
        server.finish();
    }
    let server = Server::start([Step::Close(Vec::new()), status(404)]);
    let (client, _) = client(&server);
    assert!(get(&client).unwrap_err().is_not_found(), "a GET deletes nothing");
}

// Deadlines.

fn within(deadline: Duration) -> RequestOptions {
    RequestOptions::new().deadline(deadline)
}

/// Returns the error of a call whose deadline passes in the state that this text describes. If a deadline passes before the
/// call has got that far, the next one is tried.
fn past_deadline(text: &str, call: impl Fn(RequestOptions) -> Error) -> Error {
    let mut errors = LIMITS.iter().map(|(deadline, _)| call(within(*deadline)));
    errors.find(|e| e.to_string().contains(text)).expect(text)
}

#[test]
fn the_deadline_applies_between_attempts() {
    let server = Server::start([status(500), status(500), status(500), ready()]);
    let clock = Moving::default();
    let client = builder(&server).clock(clock.clone()).max_retries(9).build().unwrap();
    let options = within(Duration::from_millis(2200));
    let e = client.assets().retrieve("a1").request_options(options).send().unwrap_err();
    match &e {
        Error::Timeout { message, source: Some(source), .. } => {
            assert!(message.contains("no time for another attempt"), "{e}");
            assert_eq!(source.status(), Some(500));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(clock.taken(), seconds(&[0.5, 1.0]), "a pause of 2 s would outlast the deadline");
    assert_eq!(server.received().len(), 3);
    // A pause that would end exactly at the deadline does not fit either.
    let server = Server::start([status(500), ready()]);
    let (client, clock) = client_in_time(&server);
    let exact = within(Duration::from_millis(500));
    let e = client.assets().retrieve("a1").request_options(exact).send().unwrap_err();
    assert!(e.to_string().contains("no time for another attempt") && clock.taken().is_empty(), "{e}");
    // A deadline that has passed already sends nothing.
    let server = Server::start([]);
    let (client, _) = client_in_time(&server);
    let e = client.assets().retrieve("a1").request_options(within(Duration::ZERO)).send().unwrap_err();
    assert!(e.is_timeout() && e.to_string().contains("has passed; nothing was sent"), "{e}");
}

#[test]
fn the_deadline_applies_while_the_rate_limiter_pauses() {
    let server = Server::start([too_many("30"), ready()]);
    let (client, clock) = client_in_time(&server);
    let other = client.clone();
    // One call closes the limiter, and another one meets it.
    let none = RequestOptions::new().max_retries(0);
    client.assets().retrieve("a1").request_options(none).send().unwrap_err();
    let e = other.assets().retrieve("a1").request_options(within(Duration::from_secs(5))).send().unwrap_err();
    assert!(e.is_timeout() && !e.is_outcome_unknown(), "{e:?}");
    assert!(
        e.to_string().contains("the rate limit allows the next request in 30 s, and the deadline leaves 5 s"),
        "{e}"
    );
    assert_eq!((clock.passed(), server.received().len()), (Duration::ZERO, 1));
    // With enough time, the call waits, but no longer than necessary.
    other.assets().retrieve("a1").request_options(within(Duration::from_secs(31))).send().unwrap();
    assert_eq!(clock.passed(), Duration::from_secs(30));
}

#[test]
fn the_deadline_applies_while_a_body_is_sent_on_a_slow_line() {
    // The server reads 100 KB/s, so that the file would take minutes. The pace is in real time, because the deadline is
    // that of sockets. It lasts only while the client takes part, because the kernel buffers a lot that would otherwise
    // be read at this pace.
    let over = Arc::new(AtomicBool::new(false));
    let ended = over.clone();
    let slow = Step::Talk(Box::new(move |stream, request| {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        let mut buffer = [0; 5000];
        while !ended.load(Ordering::SeqCst)
            && let Ok(read @ 1..) = stream.read(&mut buffer)
        {
            request.body.extend_from_slice(&buffer[..read]);
            thread::sleep(Duration::from_millis(50));
        }
        Ok(false)
    }));
    let server = Server::start([slow]);
    let client = builder(&server).max_retries(0).build().unwrap();
    let file = FileSource::bytes("clip.mp4", content(20 << 20));
    let e = in_time(move || {
        let upload = client.assets().create(UploadMethod::direct(file));
        upload.request_options(within(Duration::from_millis(700))).send().unwrap_err()
    });
    over.store(true, Ordering::SeqCst);
    assert!(matches!(e, Error::Timeout { sent: true, .. }) && e.is_outcome_unknown(), "{e:?}");
    assert!(e.to_string().contains("no response within the deadline of "), "{e}");
    assert!(server.received()[0].body.len() < 20 << 20);
}

#[test]
fn a_server_that_reads_nothing_of_a_body_counts_as_silent() {
    let (over, wait) = mpsc::channel();
    let deaf = Step::Talk(Box::new(move |stream, _| {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        let _ = wait.recv_timeout(Duration::from_secs(20));
        Ok(false)
    }));
    let server = Server::start([deaf]);
    let client = builder(&server).max_retries(0).timeout(Duration::from_millis(400)).build().unwrap();
    let file = FileSource::bytes("clip.mp4", content(30 << 20));
    let e = in_time(move || client.assets().create(UploadMethod::direct(file)).send().unwrap_err());
    over.send(()).unwrap();
    assert!(matches!(e, Error::Timeout { sent: true, .. }), "{e:?}");
    let text = format!("127.0.0.1:{} stopped reading the request", server.port());
    assert!(e.to_string().starts_with(&text), "{e}");
}

#[test]
fn the_deadline_applies_while_a_response_arrives_slowly() {
    let trickle = || {
        Step::Live(Box::new(|stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }))
    };
    let head = || {
        Step::Live(Box::new(|stream| {
            while stream.write_all(b"H").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }))
    };
    let slow: [(&dyn Fn() -> Step, &str); 2] =
        [(&trickle, "no complete response within the deadline of "), (&head, "no response within the deadline of ")];
    for (step, text) in slow {
        let e = past_deadline(text, |options| {
            let server = Server::start([step()]);
            let client = builder(&server).max_retries(0).build().unwrap();
            in_time(move || client.assets().retrieve("a1").request_options(options).send().unwrap_err())
        });
        assert!(matches!(e, Error::Timeout { sent: true, .. }), "{e:?}");
    }
}

#[test]
fn a_deadline_that_passes_says_that_the_outcome_is_unknown() {
    let e = past_deadline("no response within the deadline", |options| {
        let server = Server::start([silent(), silent()]);
        let client = builder(&server).build().unwrap();
        in_time(move || {
            client.assets().update_user_metadata("a1", json!({"a": 1})).request_options(options).send().unwrap_err()
        })
    });
    assert!(e.is_timeout() && e.is_outcome_unknown(), "{e:?}");
}

// The rate limiter.

#[test]
fn all_threads_wait_after_a_429_but_not_forever() {
    const THREADS: usize = 8;
    let clock = Moving::default();
    let seen: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let at_answer = |answer: Vec<u8>| {
        let (seen, clock) = (seen.clone(), clock.clone());
        Step::Talk(Box::new(move |stream, request| {
            read_body(stream, request)?;
            seen.lock().unwrap().push(clock.passed());
            stream.write_all(&answer).map(|()| true)
        }))
    };
    let refusal = answer_with(429, &[("retry-after", "40")], &json!({"message": "Slow down."}));
    let script = [at_answer(refusal)].into_iter().chain((0..THREADS).map(|_| at_answer(answer(200, &asset("a1")))));
    let server = Server::start(script.collect::<Vec<_>>());
    let client = builder(&server).clock(clock.clone()).build().unwrap();
    // One thread closes the limiter with a call that is not retried.
    let none = RequestOptions::new().max_retries(0);
    client.assets().retrieve("a1").request_options(none).send().unwrap_err();
    let barrier = Arc::new(Barrier::new(THREADS));
    let calls: Vec<_> = (0..THREADS)
        .map(|_| {
            let (client, barrier) = (client.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                get(&client)
            })
        })
        .collect();
    in_time(move || calls.into_iter().for_each(|call| call.join().unwrap().unwrap()));
    server.finish();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], Duration::ZERO);
    assert!(seen[1..].iter().all(|at| *at >= Duration::from_secs(40)), "no request arrived too early: {seen:?}");
    assert!(
        clock.taken().iter().all(|pause| *pause <= Duration::from_secs(40)),
        "no pause was too long: {:?}",
        clock.taken()
    );
}

/// A clock that runs an action at the first sleep on it.
#[derive(Clone, Default)]
struct Interrupted(Moving, Arc<Mutex<Option<Interruption>>>);

type Interruption = Box<dyn FnOnce() + Send>;

impl Clock for Interrupted {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) {
        let interruption = self.1.lock().unwrap().take();
        if let Some(interrupt) = interruption {
            interrupt();
        }
        self.0.sleep(duration);
    }
}

#[test]
fn a_call_waits_for_the_pause_of_another_no_longer_than_for_its_own() {
    let folder = crate::files::Folder::new("pause");
    let file = folder.write("a.mp4", &content(100));
    let server = Server::start([too_many("300"), Step::Answer(answer(201, &asset("a1"))), ready()]);
    let clock = Interrupted::default();
    let client = builder(&server).clock(clock.clone()).build().unwrap();
    // A batch has agreed to wait for 300 s, and another call is made meanwhile.
    let (caller, result) = (client.clone(), Arc::new(Mutex::new(None)));
    let kept = result.clone();
    *clock.1.lock().unwrap() = Some(Box::new(move || {
        *kept.lock().unwrap() = Some(caller.assets().retrieve("a9").send().unwrap_err());
    }));
    let outcomes: Vec<_> = client.assets().upload_all([file]).workers(1).send().unwrap().collect();
    assert!(outcomes[0].result.is_ok(), "{outcomes:?}");
    let e = result.lock().unwrap().take().expect("the call was made");
    assert_eq!((e.status(), e.retry_after()), (Some(429), Some(Duration::from_secs(300))));
    assert!(e.is_retryable() && !e.is_outcome_unknown(), "{e:?}");
    let text = e.to_string();
    assert!(text.starts_with("Slow down. [429] (GET /assets/a9 at ") && text.contains("try again in 5 min"), "{e}");
    assert!(text.ends_with("this request was not sent, because another request of this client was refused"), "{e}");
    assert_eq!(methods(&server.received()), ["POST /v1.3/assets", "POST /v1.3/assets"]);
    get(&client).unwrap();
    server.finish();
}

#[test]
fn a_pause_after_a_429_holds_for_every_call_and_is_taken_once() {
    // The refusal names no time, so the pause is the client's own back-off.
    let refusal = || Step::Answer(answer_with(429, &[], &json!({"message": "Slow down."})));
    let server = Server::start([refusal(), ready(), ready()]);
    let clock = Interrupted::default();
    let patient = builder(&server).clock(clock.clone()).build().unwrap();
    let caller = patient.clone();
    *clock.1.lock().unwrap() = Some(Box::new(move || caller.assets().delete("other").send().unwrap()));
    get(&patient).unwrap();
    let paths = methods(&server.finish());
    assert_eq!(paths[1], "DELETE /v1.3/assets/other");
    let taken = clock.0.taken();
    assert!(taken.len() == 2 && !taken[0].is_zero(), "both calls wait before they send: {taken:?}");

    let server = Server::start([too_many("3"), ready()]);
    let (still, pauses) = client(&server);
    get(&still).unwrap();
    assert_eq!(pauses.taken(), seconds(&[3.0]), "the pause is taken once, although this clock does not advance");
}

#[test]
fn a_quota_does_not_close_the_rate_limiter() {
    let quota = |headers: &[(&str, &str)], code: &str| {
        Step::Answer(answer_with(429, headers, &json!({"code": code, "message": "Used up."})))
    };
    for refusal in [
        quota(&[("retry-after", "11382")], "too_many_requests"),
        quota(&[("retry-after", "30")], "plan_limit_exceeded"),
        quota(&[("retry-after", "90")], "too_many_requests"),
    ] {
        let server = Server::start([refusal, ready()]);
        let (client, clock) = client_in_time(&server);
        assert_eq!(get(&client).unwrap_err().status(), Some(429));
        get(&client).unwrap();
        assert!(clock.taken().is_empty(), "{:?}", clock.taken());
        server.finish();
    }
}

#[test]
fn all_threads_share_the_rate_limit() {
    // This takes about a second of real time. It tests that threads that wait for the same clock do not overtake it.
    const CALLS: usize = 120;
    const MAX_REQUESTS: usize = 20;
    let per = Duration::from_millis(200);
    let (times, refused): (Arc<Mutex<Vec<Instant>>>, Arc<AtomicUsize>) = Default::default();
    let step = |_| {
        let (times, refused) = (times.clone(), refused.clone());
        Step::Talk(Box::new(move |stream, request| {
            read_body(stream, request)?;
            let now = Instant::now();
            let recent = |at: &&Instant| now.saturating_duration_since(**at) < per;
            let is_too_much = {
                let mut times = times.lock().unwrap();
                let is_too_much = times.iter().filter(recent).count() >= MAX_REQUESTS;
                times.extend((!is_too_much).then_some(now));
                is_too_much
            };
            refused.fetch_add(usize::from(is_too_much), Ordering::SeqCst);
            let answer = match is_too_much {
                true => answer_with(429, &[("retry-after", "0.2")], &Value::Null),
                false => answer(200, &asset("a1")),
            };
            stream.write_all(&answer).map(|()| true)
        }))
    };
    let server = Server::start((0..CALLS * 2).map(step).collect::<Vec<_>>());
    let client = builder(&server).rate_limit(MAX_REQUESTS as u32, per).max_retries(9).build().unwrap();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || (0..CALLS / 8).for_each(|_| get(&client).unwrap()))
        })
        .collect();
    in_time(move || calls.into_iter().for_each(|call| call.join().unwrap()));
    assert_eq!(refused.load(Ordering::SeqCst), 0);
    assert_eq!(server.received().len(), CALLS);
}

#[test]
fn the_rate_limit_honors_the_deadline_and_must_be_positive() {
    let server = Server::start([ready(), ready()]);
    let clock = Moving::default();
    let client = builder(&server).clock(clock.clone()).rate_limit(1, Duration::from_secs(60)).build().unwrap();
    get(&client).unwrap();
    let hasty = client.assets().retrieve("a1").request_options(within(Duration::from_secs(10)));
    let e = hasty.send().unwrap_err();
    assert!(e.is_timeout() && !e.is_outcome_unknown(), "{e:?}");
    assert_eq!((clock.passed(), server.received().len()), (Duration::ZERO, 1));
    get(&client).unwrap();
    assert_eq!(clock.passed(), Duration::from_secs(60));
    for (requests, per) in [(0, 1), (1, 0)] {
        let e = builder(&server).rate_limit(requests, Duration::from_secs(per)).build().unwrap_err();
        assert!(e.to_string().starts_with("`rate_limit` "), "{e}");
    }
}

#[test]
fn no_duration_is_too_long() {
    let server = Server::start([ready(), too_many("1e300"), ready()]);
    let clock = Moving::default();
    let client =
        builder(&server).clock(clock.clone()).rate_limit(1, Duration::MAX).timeout(Duration::MAX).build().unwrap();
    client.assets().retrieve("a1").request_options(within(Duration::MAX)).send().unwrap();
    let e = client.assets().retrieve("a1").request_options(within(Duration::from_secs(9))).send().unwrap_err();
    assert!(e.is_timeout(), "{e}");
    let client = builder(&server).clock(clock).max_retry_after(Duration::MAX).build().unwrap();
    let e = client.assets().retrieve("a1").request_options(within(Duration::from_secs(9))).send().unwrap_err();
    assert!(e.is_timeout() || e.is_quota(), "{e}");
    let e = client.assets().wait_for_done("a1").max_wait_time(Duration::MAX).sleep_interval(Duration::MAX);
    e.send().unwrap();
}

#[test]
fn an_upload_that_takes_longer_than_the_time_for_its_answer_succeeds() {
    // The server reads 10 MB/s, so that the file takes 2 s.
    let slow = Step::Talk(Box::new(|stream, _| {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        let mut buffer = vec![0; 500_000];
        let mut left: usize = 20 << 20;
        while left > 0 {
            let wanted = left.min(buffer.len());
            stream.read_exact(&mut buffer[..wanted])?;
            left -= wanted;
            thread::sleep(Duration::from_millis(50));
        }
        // The end of the form.
        let read = stream.read(&mut buffer)?;
        assert!(read > 0);
        stream.write_all(&answer(201, &asset("a1"))).map(|()| false)
    }));
    let server = Server::start([slow]);
    let client = builder(&server).max_retries(0).timeout(Duration::from_millis(1500)).build().unwrap();
    let file = FileSource::bytes("clip.mp4", content(20 << 20));
    let result = in_time(move || client.assets().create(UploadMethod::direct(file)).send());
    assert_eq!(result.unwrap().id, "a1");
}

#[test]
fn a_delete_may_have_a_body() {
    let server = Server::start([Step::Answer(answer(200, &json!({})))]);
    client_in_time(&server).0.call("DELETE", &["things"]).json("ids", ["a", "b"]).send().unwrap();
    let received = server.finish().remove(0);
    assert_eq!((received.method.as_str(), received.json()), ("DELETE", json!({"ids": ["a", "b"]})));
    assert!(received.header("content-length").is_some() && received.header("x-api-key").is_some());
}

#[test]
fn a_redirect_needs_a_location() {
    for (status, headers) in [(304, &[][..]), (300, &[]), (404, &[("location", "/elsewhere")])] {
        let e = after(Step::Answer(answer_with(status, headers, &Value::Null)), get).unwrap_err();
        assert!(matches!(&e, Error::Api(e) if e.status == status), "{status}: {e:?}");
    }
}
