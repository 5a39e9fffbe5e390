//! Cancellation from another thread, in every phase of a call.

use std::io::{Read, Write};
#[cfg(target_os = "linux")]
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::files::content;
use crate::server::{Pauses, Server, Step, answer, answer_with, builder, client, read_body, within};
use serde_json::{Value, json};
use twelvelabs::assets::UploadMethod;
use twelvelabs::{CancelHandle, Clock, Error, FileSource, RequestOptions};

fn asset(id: &str) -> Value {
    json!({"_id": id, "status": "processing"})
}

fn ready() -> Step {
    Step::Answer(answer(200, &asset("a1")))
}

fn options(cancel: &CancelHandle) -> RequestOptions {
    RequestOptions::new().cancel_handle(cancel)
}

/// An event that one thread waits for and another one triggers.
#[derive(Clone, Default)]
struct Moment(Arc<(Mutex<bool>, Condvar)>);

impl Moment {
    fn come(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let come = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(come, |come| !*come).unwrap());
    }
}

/// Runs a call, cancels it at that moment, and returns its error.
fn canceled_at(
    moment: &Moment,
    cancel: &CancelHandle,
    call: impl FnOnce() -> twelvelabs::Result<()> + Send + 'static,
) -> Error {
    let (moment, cancel) = (moment.clone(), cancel.clone());
    thread::spawn(move || {
        moment.wait();
        cancel.cancel();
    });
    // The limit is shorter than the time after which connecting would end by itself.
    let e = within(Duration::from_secs(8), move || call().unwrap_err());
    assert!(e.is_canceled() && !e.is_retryable() && !e.is_timeout(), "{e:?}");
    e
}

/// A step that reads the request, writes these bytes, signals the moment, and then stays silent.
fn falls_silent(start: Vec<u8>, moment: &Moment) -> Step {
    let moment = moment.clone();
    Step::Talk(Box::new(move |stream, request| {
        read_body(stream, request)?;
        stream.write_all(&start)?;
        moment.come();
        stream.read(&mut [0]).map(|_| false)
    }))
}

fn scene() -> (Moment, CancelHandle) {
    (Moment::default(), CancelHandle::new())
}

#[test]
fn a_call_that_was_canceled_before_it_began_sends_nothing() {
    let server = Server::start([]);
    let (client, pauses) = client(&server);
    let cancel = CancelHandle::new();
    cancel.cancel();
    let with = || options(&cancel);
    let errors = [
        client.assets().retrieve("a1").request_options(with()).send().map(drop),
        client.assets().create(UploadMethod::url("https://example.com/a")).request_options(with()).send().map(drop),
        client.assets().list().request_options(with()).send().map(drop),
        client.assets().wait_for_done("a1").request_options(with()).send().map(drop),
        client.analyze_stream().request_options(with()).send().map(drop),
        client.call("GET", &["x"]).request_options(with()).send().map(drop),
        client.assets().upload(FileSource::bytes("a.mp4", *b"a")).cancel_handle(&cancel).send().map(drop),
        client
            .multipart_upload()
            .upload_file(FileSource::bytes("a.mp4", *b"a"))
            .cancel_handle(&cancel)
            .send()
            .map(drop),
    ];
    for result in errors {
        let e = result.unwrap_err();
        assert!(e.is_canceled() && !e.is_outcome_unknown(), "{e:?}");
    }
    assert!(server.finish().is_empty() && pauses.taken().is_empty());
}

#[test]
fn the_cancel_handle_of_an_upload_takes_precedence_over_that_of_its_options() {
    let server = Server::start([]);
    let (client, _) = client(&server);
    let (canceled, other) = (CancelHandle::new(), CancelHandle::new());
    canceled.cancel();
    let file = || FileSource::bytes("a.mp4", b"a".as_slice());
    let upload = client.assets().upload(file()).cancel_handle(&canceled).request_options(options(&other));
    assert!(upload.send().unwrap_err().is_canceled());
    let chunks =
        client.multipart_upload().upload_file(file()).cancel_handle(&canceled).request_options(options(&other));
    assert!(chunks.send().unwrap_err().is_canceled());
    assert!(server.received().is_empty());
}

#[test]
fn while_the_answer_is_awaited() {
    let (moment, cancel) = scene();
    let server = Server::start([falls_silent(Vec::new(), &moment), falls_silent(Vec::new(), &moment)]);
    let (one, with) = (client(&server).0, options(&cancel));
    let e = canceled_at(&moment, &cancel, move || one.assets().retrieve("a1").request_options(with).send().map(drop));
    assert!(matches!(e, Error::Canceled { sent: true, .. }), "{e:?}");
    assert!(e.to_string().contains("GET /assets/a1"), "{e}");
    assert_eq!(server.received().len(), 1, "the request is not sent again");
}

#[test]
fn while_the_answer_is_read() {
    for start in ["HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "HTTP/1.1 500 Oh\r\ncontent-length: 9\r\n\r\n{"] {
        let (moment, cancel) = scene();
        let server = Server::start([falls_silent(start.into(), &moment)]);
        let (one, with) = (client(&server).0, options(&cancel));
        canceled_at(&moment, &cancel, move || one.assets().retrieve("a1").request_options(with).send().map(drop));
        assert_eq!(server.received().len(), 1);
    }
}

#[test]
fn while_a_body_is_sent() {
    let (moment, cancel) = scene();
    let come = moment.clone();
    let deaf = Step::Talk(Box::new(move |stream, _| {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.read_exact(&mut [0; 1000])?;
        come.come();
        // The client does not wait for this, because it leaves first.
        thread::sleep(Duration::from_secs(2));
        Ok(false)
    }));
    let server = Server::start([deaf]);
    let (one, with) = (client(&server).0, options(&cancel));
    let file = FileSource::bytes("clip.mp4", content(40 << 20));
    let e = canceled_at(&moment, &cancel, move || {
        one.assets().create(UploadMethod::direct(file)).request_options(with).send().map(drop)
    });
    assert!(e.is_outcome_unknown(), "{e:?}");
}

#[test]
fn while_100_is_awaited() {
    let (moment, cancel) = scene();
    let come = moment.clone();
    // The 100 is late, so that only cancellation can end the wait for it or for the answer.
    let late = Step::Talk(Box::new(move |stream, _| {
        come.come();
        stream.read_to_end(&mut Vec::new()).map(|_| false)
    }));
    let server = Server::start([late]);
    let (one, with) = (client(&server).0, options(&cancel));
    let file = FileSource::bytes("clip.mp4", content(40 << 20));
    canceled_at(&moment, &cancel, move || {
        one.assets().create(UploadMethod::direct(file)).request_options(with).send().map(drop)
    });
}

/// A clock that signals when a thread sleeps on it, and sleeps only long enough to be noticed.
#[derive(Clone)]
struct Sleeper(Moment);

impl Clock for Sleeper {
    fn sleep(&self, duration: Duration) {
        self.0.come();
        thread::sleep(duration.min(Duration::from_millis(50)));
    }
}

#[test]
fn while_a_retry_pauses() {
    let (moment, cancel) = scene();
    let refusal = answer_with(429, &[("retry-after", "50")], &Value::Null);
    let server = Server::start([Step::Answer(refusal), ready()]);
    let one = builder(&server).clock(Sleeper(moment.clone())).build().unwrap();
    let with = options(&cancel);
    canceled_at(&moment, &cancel, move || one.assets().retrieve("a1").request_options(with).send().map(drop));
    assert_eq!(server.received().len(), 1);
}

#[test]
fn while_the_rate_limiter_pauses() {
    let (moment, cancel) = scene();
    let refusal = answer_with(429, &[("retry-after", "50")], &Value::Null);
    let server = Server::start([Step::Answer(refusal), ready()]);
    let one = builder(&server).clock(Sleeper(moment.clone())).max_retries(0).build().unwrap();
    one.assets().retrieve("a1").send().unwrap_err();
    let with = options(&cancel);
    let e = canceled_at(&moment, &cancel, move || one.assets().retrieve("a1").request_options(with).send().map(drop));
    assert!(!e.is_outcome_unknown(), "{e:?}");
    assert_eq!(server.received().len(), 1);
    // The caller has set its own rate limit.
    let (moment, cancel) = scene();
    let server = Server::start([ready(), ready()]);
    let one = builder(&server).clock(Sleeper(moment.clone())).rate_limit(1, Duration::from_secs(50)).build().unwrap();
    one.assets().retrieve("a1").send().unwrap();
    let with = options(&cancel);
    canceled_at(&moment, &cancel, move || one.assets().retrieve("a1").request_options(with).send().map(drop));
    assert_eq!(server.received().len(), 1);
}

#[test]
fn while_a_stream_is_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let line = "{\"event_type\":\"text_generation\",\"text\":\"one\"}\n";
    let start = format!("{head}{:x}\r\n{line}\r\n", line.len());
    let (moment, cancel) = scene();
    let never = Moment::default();
    let server = Server::start([falls_silent(start.into_bytes(), &never)]);
    let (one, with) = (client(&server).0, options(&cancel));
    let come = moment.clone();
    let e = canceled_at(&moment, &cancel, move || {
        let mut stream = one.analyze_stream().request_options(with).send()?;
        assert_eq!(stream.next().unwrap()?.text(), "one");
        come.come();
        stream.next().unwrap().map(drop)
    });
    assert!(e.to_string().contains("POST /analyze"), "{e}");
    let events = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
    let (moment, cancel) = scene();
    let server = Server::start([falls_silent(events.into(), &never)]);
    let (one, with) = (client(&server).0, options(&cancel));
    let come = moment.clone();
    canceled_at(&moment, &cancel, move || {
        let mut events = one.call("GET", &["x"]).request_options(with).send_events()?;
        assert_eq!(events.next().unwrap()?.data, "1");
        come.come();
        events.next().unwrap().map(drop)
    });
}

#[test]
fn while_the_next_page_of_a_list_is_awaited() {
    let page = json!({"data": [asset("a1")], "page_info": {"page": 1, "total_page": 2}});
    let (moment, cancel) = scene();
    let server = Server::start([Step::Answer(answer(200, &page)), falls_silent(Vec::new(), &moment)]);
    let (one, with) = (client(&server).0, options(&cancel));
    canceled_at(&moment, &cancel, move || {
        let mut list = one.assets().list().request_options(with).send()?;
        assert_eq!(list.next().unwrap()?.id, "a1");
        list.next().unwrap().map(drop)
    });
    assert_eq!(server.received().len(), 2);
}

#[test]
fn while_a_wait_polls() {
    // The wait is canceled between two polls.
    let (moment, cancel) = scene();
    let server = Server::start([ready()]);
    let one = builder(&server).clock(Sleeper(moment.clone())).build().unwrap();
    let with = options(&cancel);
    let wait = one.assets().wait_for_done("a1").sleep_interval(Duration::from_secs(50)).request_options(with);
    let e = canceled_at(&moment, &cancel, move || wait.send().map(drop));
    assert!(matches!(e, Error::Canceled { sent: false, .. }), "{e:?}");
    assert_eq!(server.received().len(), 1);
    // The wait is canceled during a poll.
    let (moment, cancel) = scene();
    let server = Server::start([ready(), falls_silent(Vec::new(), &moment)]);
    let one = builder(&server).clock(Pauses::default()).build().unwrap();
    let with = options(&cancel);
    canceled_at(&moment, &cancel, move || one.assets().wait_for_done("a1").request_options(with).send().map(drop));
}

/// Returns a listener that accepts no more connections, and the connections that fill its queue.
#[cfg(target_os = "linux")]
fn full() -> Option<(TcpListener, SocketAddr, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut streams = Vec::new();
    while streams.len() < 900 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            Ok(stream) => streams.push(stream),
            Err(e) if e.kind() == std::io::ErrorKind::TimedOut => return Some((listener, address, streams)),
            Err(_) => return None,
        }
    }
    None
}

#[test]
#[cfg(target_os = "linux")]
fn while_connecting() {
    let Some((listener, address, streams)) = full() else {
        eprintln!("skipped: the queue of a listener cannot be filled here");
        return;
    };
    for host in ["127.0.0.1", "localhost"] {
        let (moment, cancel) = scene();
        let with = options(&cancel);
        let url = format!("http://{host}:{}", address.port());
        let one =
            twelvelabs::TwelveLabs::builder().api_key("tlk_secret_key").base_url(url).max_retries(0).build().unwrap();
        let come = moment.clone();
        let e = canceled_at(&moment, &cancel, move || {
            thread::spawn(move || {
                // Connecting has begun by then or is about to. In both cases, it must end.
                thread::sleep(Duration::from_millis(200));
                come.come();
            });
            one.assets().create(UploadMethod::url("https://example.com/a")).request_options(with).send().map(drop)
        });
        assert!(matches!(e, Error::Canceled { sent: false, .. }), "{e:?}");
    }
    drop((listener, streams));
}

#[test]
fn a_chunked_upload_can_be_canceled_while_its_chunk_is_sent() {
    let (moment, cancel) = scene();
    let come = moment.clone();
    let server = Server::start_with(|port| {
        let url = format!("http://127.0.0.1:{port}/storage/1");
        let session = json!({
            "upload_id": "u1", "asset_id": "a1", "chunk_size": 40 << 20, "total_chunks": 1,
            "upload_urls": [{"chunk_index": 1, "url": url}],
        });
        let deaf = Step::Talk(Box::new(move |stream, _| {
            stream.read_exact(&mut [0; 1000])?;
            come.come();
            thread::sleep(Duration::from_secs(2));
            Ok(false)
        }));
        [Step::Answer(answer(201, &session)), deaf]
    });
    let (one, handle) = (client(&server).0, cancel.clone());
    let file = FileSource::bytes("clip.mp4", content(40 << 20));
    let e = canceled_at(&moment, &cancel, move || {
        one.multipart_upload().upload_file(file).cancel_handle(&handle).send().map(drop)
    });
    assert_eq!(e.asset_id(), Some("a1"), "{e:?}");
}
