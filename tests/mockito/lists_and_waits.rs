//! The contracts of lists and waits, the limits of answers, and the handling of malformed answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use in_time::in_time;
use mockito::{Matcher, Mock, Server, ServerGuard};
use twelvelabs::assets::{Asset, AssetStatus};
use twelvelabs::{Clock, Error, TwelveLabs};

#[path = "../support/in_time.rs"]
mod in_time;

/// A clock on which only sleeping takes time.
#[derive(Clone)]
struct FakeClock {
    start: Instant,
    slept: Arc<Mutex<Vec<Duration>>>,
}

impl FakeClock {
    fn new() -> Self {
        FakeClock { start: Instant::now(), slept: Arc::default() }
    }

    fn slept(&self) -> Duration {
        self.slept.lock().unwrap().iter().sum()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Instant {
        self.start + self.slept()
    }

    fn sleep(&self, duration: Duration) {
        self.slept.lock().unwrap().push(duration);
    }

    fn random(&self) -> f64 {
        0.5
    }
}

fn client(server: &ServerGuard, clock: &FakeClock) -> TwelveLabs {
    TwelveLabs::builder().api_key("tlk_test").base_url(server.url()).clock(clock.clone()).build().unwrap()
}

fn page(server: &mut ServerGuard, number: u32, body: &str) -> Mock {
    server
        .mock("GET", "/assets")
        .match_query(Matcher::UrlEncoded("page".into(), number.to_string()))
        .with_body(body)
        .expect(1)
        .create()
}

fn ids(client: &TwelveLabs) -> Vec<Result<String, String>> {
    let list = client.assets().list().send().unwrap();
    list.map(|asset| asset.map(|asset| asset.id).map_err(|e| e.to_string())).take(50).collect()
}

fn texts(ids: &[Result<String, String>]) -> Vec<&str> {
    ids.iter().map(|id| id.as_deref().unwrap_or("error")).collect()
}

#[test]
fn an_empty_page_is_not_the_end_and_no_page_is_requested_past_the_end() {
    let mut server = Server::new();
    let pages = [
        page(&mut server, 1, r#"{"data":[{"_id":"1"},{"_id":"2"}],"page_info":{"page":1,"total_page":3}}"#),
        page(&mut server, 2, r#"{"data":[],"page_info":{"page":2,"total_page":3}}"#),
        page(&mut server, 3, r#"{"data":[{"_id":"2"},{"_id":"3"}],"page_info":{"page":3,"total_page":3}}"#),
    ];
    let ids = ids(&client(&server, &FakeClock::new()));
    assert_eq!(texts(&ids), ["1", "2", "3"], "an item that moved to a later page is returned once");
    pages.iter().for_each(Mock::assert);
}

#[test]
fn without_page_info_an_empty_page_is_the_end() {
    let mut server = Server::new();
    let pages = [page(&mut server, 1, r#"{"data":[{"_id":"1"}]}"#), page(&mut server, 2, r#"{"data":[]}"#)];
    assert_eq!(texts(&ids(&client(&server, &FakeClock::new()))), ["1"]);
    pages.iter().for_each(Mock::assert);
}

#[test]
fn an_item_that_cannot_be_decoded_is_an_error_in_its_place() {
    let mut server = Server::new();
    page(
        &mut server,
        1,
        r#"{"data":[{"_id":"1","size":"?"},{"name":"no id"},5,{"_id":"3"}],"page_info":{"total_page":1}}"#,
    );
    let ids = ids(&client(&server, &FakeClock::new()));
    assert_eq!(texts(&ids), ["1", "error", "error", "3"]);
    assert!(ids[1].as_ref().unwrap_err().contains("item 1 of page 1"), "{ids:?}");
    assert!(ids[1].as_ref().unwrap_err().contains("_id"), "{ids:?}");
}

#[test]
fn servers_that_lie_or_repeat_end_the_list() {
    for (second, why) in [
        (r#"{"data":[{"_id":"1"}],"page_info":{"page":2,"total_page":9}}"#, "again"),
        (r#"{"data":[{"_id":"2"}],"page_info":{"page":1,"total_page":9}}"#, "was requested"),
        (r#"<html>"#, "HTML"),
        (r#"{}"#, "no `data`"),
        (r#"[]"#, "not a list"),
    ] {
        let mut server = Server::new();
        let _pages = [
            page(&mut server, 1, r#"{"data":[{"_id":"1"}],"page_info":{"page":1,"total_page":9}}"#),
            page(&mut server, 2, second),
        ];
        let ids = ids(&client(&server, &FakeClock::new()));
        assert_eq!(texts(&ids), ["1", "error"], "{second}");
        assert!(ids[1].as_ref().unwrap_err().contains(why), "{ids:?}");
    }
}

#[test]
fn pages_are_read_as_in_python() {
    let mut server = Server::new();
    page(&mut server, 1, r#"{"data":[{"_id":"1"}],"page_info":{"page":1,"total_page":2,"total_results":2}}"#);
    page(&mut server, 2, r#"{"data":[{"_id":"2"}],"page_info":{"page":2,"total_page":2,"total_results":2}}"#);
    let client = client(&server, &FakeClock::new());
    let first = client.assets().list().send().unwrap();
    assert!(first.has_next());
    assert_eq!((first.items().len(), first.page_info().unwrap().total_results), (1, Some(2)));
    assert_eq!(first.response().status, 200);
    let pages: Vec<_> = first.iter_pages().collect::<Result<_, _>>().unwrap();
    assert_eq!(pages.len(), 2);
    assert!(!pages[1].has_next() && pages[1].next_page().unwrap().is_none());
}

#[test]
fn a_page_limit_of_zero_is_refused() {
    let server = Server::new();
    let e = client(&server, &FakeClock::new()).assets().list().page_limit(0).send().unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "page_limit"));
    assert!(e.to_string().contains("between 1 and 50"), "{e}");
}

/// Answers poll number n with the n-th body, and every later poll with the last one.
fn looks(server: &mut ServerGuard, bodies: &'static [&'static str]) -> (Mock, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let mock = server
        .mock("GET", "/assets/1")
        .with_body_from_request(move |_| {
            let look = counter.fetch_add(1, Ordering::SeqCst);
            bodies[look.min(bodies.len() - 1)].into()
        })
        .create();
    (mock, count)
}

#[test]
fn a_wait_reports_every_poll_from_the_first() {
    let mut server = Server::new();
    let bodies = &[r#"{"_id":"1","status":"processing"}"#, r#"{"_id":"1","status":"ready"}"#];
    let (_mock, _) = looks(&mut server, bodies);
    let clock = FakeClock::new();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = seen.clone();
    let callback = move |asset: &Asset| log.lock().unwrap().push(asset.status.as_ref().unwrap().to_string());
    let asset = client(&server, &clock).assets().wait_for_done("1").callback(callback).send().unwrap();
    assert_eq!(asset.status, Some(AssetStatus::Ready));
    assert_eq!(*seen.lock().unwrap(), ["processing", "ready"]);
    assert_eq!(clock.slept(), Duration::from_millis(500));
}

#[test]
fn a_wait_for_a_transcription_sends_its_include_option() {
    let mut server = Server::new();
    let include = Matcher::Regex("^include=sentences&include=words$".into());
    let looks: [&'static str; 2] =
        [r#"{"status":"processing"}"#, r#"{"status":"ready","sentences":[{"start":1,"value":"Hello"}]}"#];
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let mock = server
        .mock("GET", "/assets/1/transcription")
        .match_query(include)
        .with_body_from_request(move |_| looks[counted.fetch_add(1, Ordering::SeqCst)].into())
        .expect(2)
        .create();
    let client = client(&server, &FakeClock::new());
    let wait = client.assets().wait_for_transcription("1").include(["utterances"]).include(["sentences", "words"]);
    let srt = wait.send().unwrap().to_srt().unwrap();
    assert!(srt.ends_with("\nHello\n\n"), "{srt}");
    mock.assert();
    let failed = r#"{"status":"failed","error":{"message":"No speech."}}"#;
    server.mock("GET", "/assets/2/transcription").with_body(failed).create();
    let e = client.assets().wait_for_transcription("2").send().unwrap_err();
    assert_eq!(e.to_string(), "transcription 2 ended as `failed`: No speech.");
}

#[test]
fn a_failed_asset_is_an_error_with_the_platforms_reason() {
    let mut server = Server::new();
    let (_mock, _) = looks(&mut server, &[r#"{"_id":"1","status":"failed","error":{"message":"too short"}}"#]);
    let e = client(&server, &FakeClock::new()).assets().wait_for_done("1").send().unwrap_err();
    assert_eq!(e.to_string(), "asset 1 ended as `failed`: too short");
}

#[test]
fn an_unknown_state_ends_at_the_deadline_and_never_later() {
    let mut server = Server::new();
    let (_mock, count) = looks(&mut server, &[r#"{"_id":"1","status":"meditating"}"#]);
    let clock = FakeClock::new();
    let wait = client(&server, &clock).assets().wait_for_done("1").max_wait_time(Duration::from_secs(12));
    let e = wait.send().unwrap_err();
    assert!(e.is_timeout() && e.to_string().contains("`meditating`"), "{e}");
    assert_eq!(clock.slept(), Duration::from_secs(12));
    // The polls are after 0, 0.5, 1.5, 3.5, 8.5 and 12 s.
    assert_eq!(count.load(Ordering::SeqCst), 6);
}

/// Returns how a wait for a resource in this state ends, within 12 s.
fn end(status: &str, wait: fn(&TwelveLabs) -> Result<(), Error>) -> &'static str {
    let mut server = Server::new();
    let ids = r#""_id":"1","task_id":"1","batch_id":"1","upload_id":"1""#;
    let body = format!(r#"{{{ids},"status":"{status}","data":[]}}"#);
    server.mock("GET", Matcher::Any).with_body(body).create();
    let clock = FakeClock::new();
    let result = wait(&client(&server, &clock));
    // The last poll may be repeated for a second, which happens if a busy machine answers late.
    assert!(clock.slept() <= Duration::from_secs(13), "{status}: the call ends by its deadline");
    match result {
        Ok(()) => "done",
        Err(Error::Failed(e)) if e.status == status => "failed",
        Err(Error::WaitTimeout { status: last, .. }) if last == status => "goes on",
        Err(e) => panic!("{status}: {e}"),
    }
}

#[test]
fn every_state_that_ends_a_wait() {
    macro_rules! wait {
        ($client:ident => $wait:expr) => {
            |$client: &TwelveLabs| $wait.max_wait_time(Duration::from_secs(12)).send().map(drop)
        };
    }
    type Ends = (fn(&TwelveLabs) -> Result<(), Error>, &'static [&'static str], &'static [&'static str]);
    // Each wait, with the states in which it is done and those in which it has failed.
    let waits: [Ends; 10] = [
        (wait!(client => client.assets().wait_for_done("1")), &["ready"], &["failed"]),
        (wait!(client => client.assets().wait_for_transcription("1")), &["ready"], &["failed"]),
        (wait!(client => client.indexes().indexed_assets().wait_for_done("1", "1")), &["ready"], &["failed"]),
        (wait!(client => client.tasks().wait_for_done("1")), &["ready"], &["failed"]),
        (wait!(client => client.embed().tasks().wait_for_done("1")), &["ready"], &["failed"]),
        (wait!(client => client.embed().v2().tasks().wait_for_done("1")), &["ready"], &["failed"]),
        (wait!(client => client.analyze_async().tasks().wait_for_done("1")), &["ready"], &["failed", "canceled"]),
        (
            wait!(client => client.analyze_async().batches().wait_for_done("1")),
            &["completed"],
            &["canceled", "expired"],
        ),
        (wait!(client => client.entity_collections().entities().wait_for_done("1", "1")), &["ready"], &[]),
        (
            wait!(client => client.multipart_upload().wait_for_upload_completion("1")),
            &["completed"],
            &["failed", "expired"],
        ),
    ];
    for (n, (wait, done, failed)) in waits.into_iter().enumerate() {
        for status in ["processing", "pending", "queued", "indexing", "canceling", "active", "meditating"] {
            assert_eq!(end(status, wait), "goes on", "wait {n} at {status}");
        }
        done.iter().for_each(|status| assert_eq!(end(status, wait), "done", "wait {n} at {status}"));
        failed.iter().for_each(|status| assert_eq!(end(status, wait), "failed", "wait {n} at {status}"));
    }
}

#[test]
fn a_poll_that_hangs_does_not_outlast_the_wait() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let client = TwelveLabs::builder().api_key("tlk_test").base_url(url).build().unwrap();
    // Without the limit, the poll would last a minute, which is longer than `in_time` allows.
    let wait = client.assets().wait_for_done("1").max_wait_time(Duration::from_millis(300));
    let e = in_time(move || wait.sleep_interval(Duration::from_millis(50)).send().unwrap_err());
    assert!(matches!(&e, Error::WaitTimeout { status, .. } if status == "unknown"), "{e}");
    assert!(std::error::Error::source(&e).is_some(), "the source is the error of the last poll");
}

#[test]
fn a_wait_survives_temporary_faults_but_not_lasting_ones() {
    let mut server = Server::new();
    let broken = server.mock("GET", "/assets/1").with_status(500).expect(3).create();
    let (_mock, _) = looks(&mut server, &[r#"{"_id":"1","status":"ready"}"#]);
    // The first mock answers until its count is reached, then the second does.
    let asset = client(&server, &FakeClock::new()).assets().wait_for_done("1").send().unwrap();
    assert_eq!(asset.id, "1");
    broken.assert();
    server.mock("GET", "/assets/2").with_status(404).with_body(r#"{"message":"gone"}"#).expect(1).create();
    let e = client(&server, &FakeClock::new()).assets().wait_for_done("2").send().unwrap_err();
    assert_eq!(e.status(), Some(404));
}

#[test]
fn an_answer_beyond_the_limit_is_an_error() {
    let mut server = Server::new();
    server.mock("GET", "/assets/1").with_body("x".repeat(5000)).create();
    let client = TwelveLabs::builder().api_key("k").base_url(server.url()).max_response_size(4096).build().unwrap();
    let e = client.assets().retrieve("1").send().unwrap_err();
    assert!(matches!(e, Error::ResponseTooLarge { limit: 4096, .. }), "{e}");
}

#[test]
fn a_compressed_bomb_is_stopped_at_the_limit() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    (0..64).for_each(|_| std::io::Write::write_all(&mut gzip, &vec![b' '; 1 << 20]).unwrap());
    let bomb = gzip.finish().unwrap();
    let mut server = Server::new();
    server.mock("GET", "/assets/1").with_header("content-encoding", "gzip").with_body(&bomb).create();
    let limit = bomb.len() as u64 * 4;
    let client = TwelveLabs::builder().api_key("k").base_url(server.url()).max_response_size(limit).build().unwrap();
    let e = client.assets().retrieve("1").send().unwrap_err();
    assert!(matches!(e, Error::ResponseTooLarge { .. }), "{e}");
}

#[test]
fn a_long_retry_after_ends_the_call_immediately() {
    let mut server = Server::new();
    let mock = server.mock("GET", "/assets/1").with_status(429).with_header("retry-after", "11382").expect(1).create();
    let clock = FakeClock::new();
    let e = client(&server, &clock).assets().retrieve("1").send().unwrap_err();
    assert!(e.is_quota() && e.retry_after() == Some(Duration::from_secs(11382)));
    assert_eq!(clock.slept(), Duration::ZERO);
    mock.assert();
}

#[test]
fn text_from_the_server_never_contains_the_key() {
    let mut server = Server::new();
    server
        .mock("GET", "/assets/1")
        .with_status(401)
        .with_header("x-trace-id", "for tlk_test")
        .with_body(r#"{"message":"the key tlk_test is not valid"}"#)
        .create();
    let e = client(&server, &FakeClock::new()).assets().retrieve("1").send().unwrap_err();
    assert!(e.to_string().starts_with("the key *** is not valid"), "{e}");
    assert!(!format!("{e:?}").contains("tlk_test"));
    let Error::Api(e) = e else { panic!("{e}") };
    assert!(!String::from_utf8_lossy(&e.body).contains("tlk_test") && e.trace_id.as_deref() == Some("for ***"));
}
