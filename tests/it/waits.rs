//! Waits on different kinds of clocks, and the possible results of a poll.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use twelvelabs::{CancelHandle, Clock, Error, RequestOptions, TwelveLabs};

use crate::server::{LIMITS, Server, Step, answer, answer_with, in_time};

/// A clock that never advances.
#[derive(Clone, Default)]
struct Frozen(Arc<Mutex<Duration>>);

impl Clock for Frozen {
    fn now(&self) -> Instant {
        static BEGINNING: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *BEGINNING.get_or_init(Instant::now)
    }

    fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

fn client(server: &Server, clock: impl Clock + 'static) -> TwelveLabs {
    TwelveLabs::builder().api_key("tlk_test").base_url(server.url()).clock(clock).build().unwrap()
}

fn asset(status: &str) -> Step {
    Step::Answer(answer(200, &json!({"_id": "a1", "status": status})))
}

#[test]
fn a_wait_ends_on_a_clock_that_does_not_advance() {
    let clock = Frozen::default();
    let server = Server::start((0..20).map(|_| asset("processing")));
    let wait = client(&server, clock.clone()).assets().wait_for_done("a1").max_wait_time(Duration::from_secs(30));
    let e = wait.send().unwrap_err();
    assert!(matches!(&e, Error::WaitTimeout { waited, .. } if waited.as_secs() == 30), "{e:?}");
    assert_eq!(e.asset_id(), Some("a1"));
    assert_eq!(*clock.0.lock().unwrap(), Duration::from_secs(30));
}

#[test]
fn a_wait_for_an_asset_that_was_never_created_is_an_error() {
    let server = Server::start([Step::Answer(answer(404, &json!({"message": "no such asset"})))]);
    let e = client(&server, Frozen::default()).assets().wait_for_done("a1").send().unwrap_err();
    assert_eq!(e.status(), Some(404));
    assert_eq!(server.finish().len(), 1);
}

#[test]
fn an_upload_tolerates_a_platform_that_does_not_know_the_asset_yet() {
    let unknown = || Step::Answer(answer(404, &json!({"message": "no such asset"})));
    let created = Step::Answer(answer(201, &json!({"_id": "a1", "status": "processing"})));
    let server = Server::start([created, unknown(), unknown(), unknown(), asset("ready")]);
    let file = twelvelabs::FileSource::bytes("a.mp4", "frames");
    let uploaded = client(&server, Frozen::default()).assets().upload(file).send().unwrap();
    assert_eq!(uploaded.id, "a1");
    assert_eq!(server.finish().len(), 5);
}

#[test]
fn the_retry_after_of_a_poll_counts_towards_the_wait() {
    let busy = || Step::Close(answer_with(503, &[("retry-after", "7"), ("connection", "close")], &Value::Null));
    let server = Server::start([busy(), asset("ready")]);
    let clock = Frozen::default();
    let wait = client(&server, clock.clone()).assets().wait_for_done("a1").max_wait_time(Duration::from_secs(8));
    let options = RequestOptions::new().max_retries(0);
    wait.sleep_interval(Duration::from_secs(5)).request_options(options).send().unwrap();
    assert_eq!(*clock.0.lock().unwrap(), Duration::from_secs(7));
}

#[test]
fn a_wait_can_be_canceled_between_two_polls() {
    let cancel = CancelHandle::new();
    let server = Server::start([asset("processing"), asset("ready")]);
    let remote = cancel.clone();
    let wait = client(&server, Frozen::default()).assets().wait_for_done("a1").callback(move |_| remote.cancel());
    let e = wait.request_options(RequestOptions::new().cancel_handle(&cancel)).send().unwrap_err();
    assert!(e.is_canceled(), "{e:?}");
    assert_eq!(server.received().len(), 1, "there is only one poll");
}

#[test]
fn a_wait_for_many_yields_each_resource_once_on_one_thread() {
    let poll = |id: &str, status: &str| Step::Answer(answer(200, &json!({"_id": id, "status": status})));
    let failed = json!({"_id": "a2", "status": "failed", "error": {"message": "too short"}});
    let server = Server::start([
        poll("a1", "processing"),
        Step::Answer(answer(200, &failed)),
        poll("a3", "ready"),
        poll("a1", "ready"),
    ]);
    let clock = Frozen::default();
    let results: Vec<_> =
        client(&server, clock.clone()).assets().wait_for_all(["a1", "a2", "a3"]).send().unwrap().collect();
    let seen: Vec<_> = results.iter().map(|(id, result)| (id.as_str(), result.is_ok())).collect();
    assert_eq!(seen, [("a2", false), ("a3", true), ("a1", true)]);
    assert!(results[0].1.as_ref().unwrap_err().to_string().contains("too short"));
    assert_eq!(*clock.0.lock().unwrap(), Duration::from_millis(500));
    assert_eq!(server.finish().len(), 4);
}

#[test]
fn a_wait_for_many_says_how_many_are_left() {
    let server = Server::start([asset("ready"), asset("ready")]);
    let mut waiting = client(&server, Frozen::default()).assets().wait_for_all(["a1", "a2"]).send().unwrap();
    for left in [2, 1] {
        assert_eq!(waiting.size_hint(), (left, Some(left)));
        assert!(waiting.next().unwrap().1.is_ok());
    }
    assert_eq!(waiting.size_hint(), (0, Some(0)));
    assert!(waiting.next().is_none());
}

#[test]
fn a_silent_server_ends_a_wait_when_its_time_is_over() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Without a limit of its own, a poll could wait a minute for its answer.
    let e = in_time(move || {
        let client = TwelveLabs::builder().api_key("tlk_test").base_url(url).build().unwrap();
        client.assets().wait_for_done("a1").max_wait_time(Duration::from_millis(200)).send().unwrap_err()
    });
    assert!(matches!(&e, Error::WaitTimeout { .. }), "{e:?}");
    drop(listener);
}

#[test]
fn a_poll_keeps_to_the_deadline_of_its_options() {
    // The first poll is never answered: the server waits until the client closes the connection, longer than `in_time`.
    // The answer to all others is an asset, and also a page of a list.
    let script = || {
        let silent = Step::Live(Box::new(|stream| {
            stream.set_read_timeout(None)?;
            std::io::Read::read(stream, &mut [0]).map(drop)
        }));
        let ready = json!({"_id": "a1", "status": "ready", "data": [], "page_info": {"total_page": 1}});
        std::iter::once(silent).chain((0..100).map(move |_| Step::Answer(answer(200, &ready))))
    };
    // A wait for one asset, and for so many assets that their list is polled as well.
    for ids in [None, Some(&["a1"][..]), Some(&["a1", "a2", "a3", "a4"])] {
        // A poll that fails temporarily does not end the wait. If all polls miss the deadline, the next one is tried.
        let are_ready = |(deadline, _): &(Duration, &str)| {
            let server = Server::start(script());
            let assets = client(&server, Frozen::default()).assets();
            let (limit, options) = (Duration::from_secs(60), RequestOptions::new().deadline(*deadline).max_retries(0));
            in_time(move || match ids {
                None => assets.wait_for_done("a1").max_wait_time(limit).request_options(options).send().is_ok(),
                Some(ids) => {
                    let wait = assets.wait_for_all(ids).max_wait_time(limit).request_options(options);
                    wait.send().unwrap().all(|(_, result)| result.is_ok())
                }
            })
        };
        assert!(LIMITS.iter().any(are_ready), "{ids:?}");
    }
}
