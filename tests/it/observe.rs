//! The events that an observer receives: each attempt exactly once, whatever its outcome.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::files::content;
use crate::server::{Moving, Server, Step, answer, answer_of_type, answer_with, builder, in_time};
use serde_json::{Value, json};
use twelvelabs::assets::UploadMethod;
use twelvelabs::{AttemptEvent, CancelHandle, FileSource, RequestOptions, TwelveLabs};

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<AttemptEvent>>>);

impl Events {
    fn take(&self) -> Vec<AttemptEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Returns the operation, the number and the status of each attempt, and whether another attempt follows.
    fn short(&self) -> Vec<(String, u32, Option<u16>, bool)> {
        self.take().into_iter().map(|e| (e.operation, e.attempt, e.status, e.retry_in.is_some())).collect()
    }
}

fn watched(server: &Server) -> (TwelveLabs, Events) {
    let events = Events::default();
    let seen = events.clone();
    let client = builder(server).clock(Moving::default()).observer(move |event| {
        seen.0.lock().unwrap().push(event.clone());
    });
    (client.build().unwrap(), events)
}

fn status(status: u16) -> Step {
    Step::Answer(answer_with(status, &[("x-trace-id", &format!("t{status}"))], &Value::Null))
}

fn ready() -> Step {
    Step::Answer(answer_with(200, &[("x-trace-id", "t200")], &json!({"_id": "a1", "status": "ready"})))
}

#[test]
fn each_attempt_of_a_retried_call_is_seen_once() {
    let server = Server::start([status(500), Step::Close(Vec::new()), ready()]);
    let (client, events) = watched(&server);
    client.assets().retrieve("a1").send().unwrap();
    let seen = events.take();
    assert_eq!(seen.len(), 3);
    for (n, event) in seen.iter().enumerate() {
        assert_eq!((event.operation.as_str(), event.host.as_str()), ("GET /assets/a1", "127.0.0.1"));
        assert_eq!(event.attempt, n as u32 + 1);
        assert!(event.bytes_sent > 50 && event.bytes_sent < 1000, "{event:?}");
    }
    assert_eq!(seen.iter().map(|event| event.status).collect::<Vec<_>>(), [Some(500), None, Some(200)]);
    assert_eq!(
        seen.iter().map(|event| event.trace_id.as_deref()).collect::<Vec<_>>(),
        [Some("t500"), None, Some("t200")]
    );
    let pauses: Vec<_> = seen.iter().map(|event| event.retry_in).collect();
    assert_eq!(pauses, [Some(Duration::from_millis(500)), Some(Duration::from_secs(1)), None]);
    assert!(
        seen[1].error.as_deref().is_some_and(|error| error.contains("closed the connection too early")),
        "{seen:?}"
    );
    assert_eq!(seen[2].bytes_received, json!({"_id": "a1", "status": "ready"}).to_string().len() as u64);
    assert!(seen[0].error.is_none() && seen[2].error.is_none());
    server.finish();
}

#[test]
fn attempts_that_end_a_call_are_observed() {
    let page = answer(200, &json!({"data": [{"_id": "1"}], "page_info": {"page": 1, "total_page": 2}}));
    let last = answer(200, &json!({"data": [{"_id": "2"}], "page_info": {"page": 2, "total_page": 2}}));
    let moved = |place: &str| Step::Answer(answer_with(302, &[("location", place)], &Value::Null));
    let get = |status, retried| ("GET /assets/a1".to_string(), 1, Some(status), retried);
    // The attempts: an error response, a redirect that is followed, one that is not, and a success that cannot be
    // decoded.
    let server = Server::start([
        status(404),
        moved("/v1.3/b"),
        ready(),
        moved("https://elsewhere.example/"),
        Step::Answer(answer_of_type(200, "application/json", "nope")),
        Step::Answer(page),
        Step::Answer(last),
    ]);
    let (client, events) = watched(&server);
    client.assets().retrieve("a1").send().unwrap_err();
    assert_eq!(events.short(), [get(404, false)]);
    client.assets().retrieve("a1").send().unwrap();
    assert_eq!(events.short(), [get(302, false), ("GET /assets/a1".into(), 2, Some(200), false)]);
    client.assets().retrieve("a1").send().unwrap_err();
    assert_eq!(events.short(), [get(302, false)]);
    client.assets().retrieve("a1").send().unwrap_err();
    assert_eq!(events.short(), [get(200, false)]);
    assert_eq!(client.assets().list().send().unwrap().count(), 2);
    let pages = events.short();
    assert_eq!(pages, [("GET /assets".to_string(), 1, Some(200), false), ("GET /assets".into(), 1, Some(200), false)]);
    // An attempt that is not sent is not observed.
    let cancel = CancelHandle::new();
    cancel.cancel();
    client.assets().retrieve("a1").request_options(RequestOptions::new().cancel_handle(&cancel)).send().unwrap_err();
    client.assets().retrieve("..").send().unwrap_err();
    assert!(events.take().is_empty());
    server.finish();
}

#[test]
fn a_body_and_a_stream_are_counted() {
    let refuse = Step::Refuse(answer_with(413, &[("connection", "close")], &Value::Null));
    let stream = answer_of_type(200, "application/x-ndjson", "{\"event_type\":\"stream_end\"}\n");
    let server = Server::start([ready(), refuse, Step::Answer(stream)]);
    let (client, events) = watched(&server);
    let upload = |size| {
        let file = FileSource::bytes("clip.mp4", content(size));
        client.assets().create(UploadMethod::direct(file)).send()
    };
    upload(3 << 20).unwrap();
    let sent = events.take()[0].bytes_sent;
    assert!((3 << 20..(3 << 20) + 2000).contains(&sent), "{sent}");
    upload(3 << 20).unwrap_err();
    let sent = events.take()[0].bytes_sent;
    assert!(sent < 2000, "only the head was sent: {sent}");
    client.analyze_stream().send().unwrap().for_each(drop);
    let seen = events.take();
    assert_eq!((seen.len(), seen[0].status, seen[0].bytes_received), (1, Some(200), 0));
    server.finish();
}

#[test]
fn each_chunk_is_observed_once() {
    const CHUNK: usize = 1000;
    let server = Server::start_with(|port| {
        let url = |index: u32| json!({"chunk_index": index, "url": format!("http://127.0.0.1:{port}/storage/{index}?signature=c0ffee")});
        let session = json!({
            "upload_id": "u1", "asset_id": "a1", "chunk_size": CHUNK, "total_chunks": 3,
            "upload_urls": [url(1), url(2), url(3)],
        });
        let more = json!({"upload_urls": [url(2)]});
        let taken = || Step::Answer(answer_with(200, &[("etag", "\"e\"")], &Value::Null));
        let report = json!({"asset_id": "a1", "total_completed": 3});
        [
            Step::Answer(answer(201, &session)),
            taken(),
            status(500),
            Step::Answer(answer(201, &more)),
            taken(),
            taken(),
            Step::Answer(answer(200, &report)),
        ]
    });
    let (client, events) = watched(&server);
    let file = FileSource::bytes("clip.mp4", content(3 * CHUNK));
    let upload = client.multipart_upload().upload_file(file).max_workers(1).retry_delay(Duration::from_millis(1));
    in_time(move || upload.send().unwrap());
    let seen = events.take();
    let chunks: Vec<_> = seen.iter().filter(|event| event.operation.starts_with("PUT chunk")).collect();
    let short: Vec<_> = chunks.iter().map(|event| (&event.operation[..11], event.attempt, event.status)).collect();
    let expected = [
        ("PUT chunk 1", 1, Some(200)),
        ("PUT chunk 2", 1, Some(500)),
        ("PUT chunk 2", 2, Some(200)),
        ("PUT chunk 3", 1, Some(200)),
    ];
    assert_eq!(short, expected);
    assert!(chunks.iter().all(|event| event.bytes_sent > CHUNK as u64));
    assert!(seen.iter().all(|event| !format!("{event} {event:?}").contains("c0ffee")));
    assert_eq!(seen.len(), server.finish().len());
}

#[test]
fn an_event_fits_on_a_line() {
    let server = Server::start([ready(), status(500)]);
    let (client, events) = watched(&server);
    client.assets().retrieve("a1").send().unwrap();
    let none = RequestOptions::new().max_retries(0);
    client.assets().retrieve("a1").request_options(none).send().unwrap_err();
    let lines: Vec<String> = events
        .take()
        .into_iter()
        .map(|mut event| {
            (event.duration, event.bytes_sent) = (Duration::from_millis(12), 300);
            event.to_string()
        })
        .collect();
    assert_eq!(
        lines[0],
        "GET /assets/a1, attempt 1 at 127.0.0.1: 200 after 12 ms, 300 bytes sent, 29 received, trace id t200"
    );
    assert_eq!(
        lines[1],
        "GET /assets/a1, attempt 1 at 127.0.0.1: 500 after 12 ms, 300 bytes sent, 0 received, trace id t500"
    );
}
