//! The client's behavior when the server or the network misbehaves.

use std::io::{self, Read};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::server::{Server, Step, answer, answer_with, client, in_time};
use serde_json::{Value, json};
use twelvelabs::assets::UploadMethod;
use twelvelabs::{Error, FileSource};

/// Returns bytes that contain every value, and line breaks and dashes as in the boundary of a form.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 256) as u8).chain(*b"\r\n--\r\n").collect()
}

fn asset(id: &str) -> Value {
    json!({"_id": id, "status": "ready"})
}

fn too_many(retry_after: &str) -> Vec<u8> {
    let body = json!({"code": "too_many_requests", "message": "Slow down."});
    answer_with(429, &[("retry-after", retry_after), ("connection", "close")], &body)
}

#[test]
fn an_upload_is_sent_again_after_429_with_the_same_bytes() {
    let content = content(200 << 10);
    let server = Server::start([Step::Close(too_many("3")), Step::Answer(answer(201, &asset("a1")))]);
    let (client, pauses) = client(&server);
    let file = FileSource::bytes("clip.mp4", content.clone());
    let created = client.assets().create(UploadMethod::direct(file)).send().unwrap();
    assert_eq!(created.id, "a1");
    assert_eq!(pauses.taken(), [Duration::from_secs(3)]);
    let received = server.finish();
    assert_eq!(received.len(), 2);
    for request in &received {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1.3/assets"));
        let file = request.file();
        assert_eq!(file.filename.as_deref(), Some("clip.mp4"));
        assert!(file.bytes == content, "the bytes of the file arrive unchanged");
    }
}

#[test]
fn a_large_upload_that_is_refused_with_429_sends_no_body() {
    let content = content(3 << 20);
    let server = Server::start([Step::Refuse(too_many("1")), Step::Answer(answer(201, &asset("a1")))]);
    let (client, pauses) = client(&server);
    let file = FileSource::bytes("clip.mp4", content.clone());
    let created = client.assets().create(UploadMethod::direct(file)).send().unwrap();
    assert_eq!(created.id, "a1");
    assert_eq!(pauses.taken(), [Duration::from_secs(1)]);
    let received = server.finish();
    assert!(received.iter().all(|request| request.header("expect") == Some("100-continue")));
    assert!(received[1].file().bytes == content, "the bytes of the file arrive unchanged");
}

#[test]
fn only_a_large_file_is_announced_with_expect() {
    let server = Server::start([200; 3].map(|status| Step::Answer(answer(status, &asset("a1")))));
    let (client, _) = client(&server);
    for size in [1 << 20, (1 << 20) + 1] {
        let file = FileSource::bytes("clip.mp4", content(size - 400));
        client.assets().create(UploadMethod::direct(file)).send().unwrap();
    }
    // A server without support for `Expect` delays every such request by a second.
    client.call("POST", &["x"]).json("text", "x".repeat(3 << 20)).send().unwrap();
    let received = server.finish();
    assert!(received.iter().all(|request| request.header("expect").is_none()), "{received:?}");
}

#[test]
fn a_refusal_of_a_large_upload_arrives_with_its_message() {
    let message = "The file is larger than your plan allows.";
    let refusal = answer_with(413, &[("connection", "close")], &json!({"code": "file_too_large", "message": message}));
    let server = Server::start([Step::Refuse(refusal)]);
    let (client, pauses) = client(&server);
    let file = FileSource::bytes("clip.mp4", content(3 << 20));
    match client.assets().create(UploadMethod::direct(file)).send() {
        Err(Error::Api(e)) => {
            assert_eq!(e.status, 413);
            assert_eq!(e.code.as_deref(), Some("file_too_large"));
            assert_eq!(e.message, message);
        }
        other => panic!("{other:?}"),
    }
    assert!(pauses.taken().is_empty());
    let received = server.finish();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("expect"), Some("100-continue"));
}

#[test]
fn a_post_that_broke_in_its_body_is_not_retried() {
    let server = Server::start([Step::Reset(1000)]);
    let (client, pauses) = client(&server);
    let file = FileSource::bytes("clip.mp4", content(512 << 10));
    let e = client.assets().create(UploadMethod::direct(file)).send().unwrap_err();
    assert!(matches!(e, Error::Transport { sent: true, .. }), "{e:?}");
    assert!(e.is_outcome_unknown());
    assert!(pauses.taken().is_empty());
    assert_eq!(server.finish().len(), 1);
}

#[test]
fn a_connection_that_breaks_during_a_large_body_is_an_immediate_error() {
    let server = Server::start([Step::Reset(1000)]);
    let (client, _) = client(&server);
    // The file is larger than the buffers of the sockets.
    let file = FileSource::bytes("large.mp4", vec![7; 32 << 20]);
    let e = in_time(move || client.assets().create(UploadMethod::direct(file)).send().unwrap_err());
    assert!(matches!(e, Error::Transport { sent: true, .. }), "{e:?}");
}

#[test]
fn a_broken_get_is_retried() {
    let server = Server::start([Step::Reset(0), Step::Close(Vec::new()), Step::Answer(answer(200, &asset("a1")))]);
    let (client, pauses) = client(&server);
    assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
    assert_eq!(pauses.taken().len(), 2);
    assert_eq!(server.finish().len(), 3);
}

#[test]
fn a_get_is_not_retried_forever() {
    let server = Server::start([Step::Reset(0), Step::Reset(0), Step::Reset(0)]);
    let (client, pauses) = client(&server);
    let e = client.assets().retrieve("a1").send().unwrap_err();
    assert!(matches!(e, Error::Transport { sent: true, .. }), "{e:?}");
    assert_eq!(pauses.taken().len(), 2);
    assert_eq!(server.finish().len(), 3);
}

#[test]
fn a_truncated_response_is_fetched_again() {
    let whole = answer(200, &asset("a1"));
    let half = whole[..whole.len() - 5].to_vec();
    let server = Server::start([Step::Close(half), Step::Answer(whole)]);
    let (client, pauses) = client(&server);
    assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
    assert_eq!(pauses.taken().len(), 1);
    assert_eq!(server.finish().len(), 2);
}

#[test]
fn a_truncated_answer_to_a_post_is_an_error() {
    let whole = answer(201, &asset("a1"));
    let half = whole[..whole.len() - 5].to_vec();
    let server = Server::start([Step::Close(half)]);
    let (client, pauses) = client(&server);
    let e = client.assets().create(UploadMethod::url("https://example.com/a.mp4")).send().unwrap_err();
    assert!(e.is_outcome_unknown(), "{e:?}");
    assert!(pauses.taken().is_empty());
    assert_eq!(server.finish().len(), 1);
}

#[test]
fn a_redirect_to_another_host_is_an_error_and_does_not_get_the_key() {
    let stranger = Server::start([]);
    let port = stranger.port();
    for status in [301, 302, 303, 307, 308] {
        for host in ["127.0.0.1", "localhost"] {
            let place = format!("http://{host}:{port}/v1.3/assets/a1");
            let redirect = || Step::Answer(answer_with(status, &[("location", &place)], &Value::Null));
            let server = Server::start([redirect(), redirect()]);
            let (client, pauses) = client(&server);
            let file = FileSource::bytes("clip.mp4", content(1000));
            let errors = [
                client.assets().retrieve("a1").send().unwrap_err(),
                client.assets().create(UploadMethod::direct(file)).send().unwrap_err(),
            ];
            for e in errors {
                match &e {
                    Error::Redirect { location, status: told, .. } => {
                        assert_eq!(location, &place);
                        assert_eq!(*told, status);
                    }
                    other => panic!("{other:?}"),
                }
                assert!(e.to_string().contains(&place), "{e}");
            }
            assert!(pauses.taken().is_empty());
            assert_eq!(server.finish().len(), 2);
        }
    }
    assert!(stranger.received().is_empty(), "nothing was sent to the other host");
}

/// A source that can be read once, and counts the bytes that were taken from it.
struct Once {
    content: io::Cursor<Vec<u8>>,
    taken: Arc<AtomicUsize>,
}

impl Read for Once {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.taken.fetch_add(read, Ordering::SeqCst);
        Ok(read)
    }
}

fn once(content: &[u8]) -> (FileSource, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let reader = Once { content: io::Cursor::new(content.to_vec()), taken: taken.clone() };
    (FileSource::reader("clip.mp4", reader), taken)
}

#[test]
fn a_reader_that_was_read_from_is_not_sent_again() {
    let content = content(100_000);
    let server = Server::start([Step::Close(too_many("1"))]);
    let (client, pauses) = client(&server);
    let (file, taken) = once(&content);
    match client.assets().create(UploadMethod::direct(file)).send() {
        Err(Error::Api(e)) => assert_eq!((e.status, e.message.as_str()), (429, "Slow down.")),
        other => panic!("{other:?}"),
    }
    assert_eq!(taken.load(Ordering::SeqCst), content.len());
    assert!(pauses.taken().is_empty());
    let received = server.finish();
    assert_eq!(received.len(), 1);
    assert!(received[0].file().bytes == content, "the bytes of the file arrive unchanged");
}

#[test]
fn an_unread_reader_is_sent_again() {
    let content = content(100_000);
    let server = Server::start([Step::Refuse(too_many("1")), Step::Answer(answer(201, &asset("a1")))]);
    let (client, pauses) = client(&server);
    let (file, taken) = once(&content);
    let created = client.assets().create(UploadMethod::direct(file)).send().unwrap();
    assert_eq!(created.id, "a1");
    assert_eq!(taken.load(Ordering::SeqCst), content.len());
    assert_eq!(pauses.taken().len(), 1);
    assert!(server.finish()[1].file().bytes == content, "the bytes of the file arrive unchanged");
}

#[test]
fn a_page_that_cannot_be_fetched_is_one_error_and_the_end() {
    let page = json!({
        "data": [asset("a1"), asset("a2")],
        "page_info": {"page": 1, "limit_per_page": 2, "total_page": 3, "total_results": 6},
    });
    let fault = json!({"code": "parameter_invalid", "message": "Not this page."});
    let server = Server::start([Step::Answer(answer(200, &page)), Step::Answer(answer(400, &fault))]);
    let (client, _) = client(&server);
    let mut assets = client.assets().list().send().unwrap();
    assert_eq!(assets.next().unwrap().unwrap().id, "a1");
    assert_eq!(assets.next().unwrap().unwrap().id, "a2");
    match assets.next() {
        Some(Err(Error::Api(e))) => assert_eq!((e.status, e.message.as_str()), (400, "Not this page.")),
        other => panic!("{other:?}"),
    }
    for _ in 0..3 {
        assert!(assets.next().is_none());
    }
    let pages: Vec<_> = server.finish().into_iter().map(|request| request.query).collect();
    assert_eq!(pages, [[("page".to_string(), "1".to_string())], [("page".to_string(), "2".to_string())]]);
}

#[test]
fn an_id_is_one_segment_of_the_path() {
    let id = "a/b?c#d%é";
    let server = Server::start([
        Step::Answer(answer(200, &asset(id))),
        Step::Answer(answer(204, &Value::Null)),
        Step::Answer(answer(204, &Value::Null)),
    ]);
    let (client, _) = client(&server);
    assert_eq!(client.assets().retrieve(id).send().unwrap().id, id);
    client.assets().delete(id).send().unwrap();
    client.assets().delete_user_metadata(id).send().unwrap();
    let received = server.finish();
    let encoded = "/v1.3/assets/a%2Fb%3Fc%23d%25%C3%A9";
    assert_eq!(received[0].path, encoded);
    assert_eq!(received[1].path, encoded);
    assert_eq!(received[2].path, format!("{encoded}/user-metadata"));
    assert!(received.iter().all(|request| request.query.is_empty()));
}

#[test]
fn an_id_that_would_lead_elsewhere_is_refused_before_anything_is_sent() {
    let server = Server::start([]);
    let (client, pauses) = client(&server);
    for id in ["", ".", "..", "a\nb"] {
        let refused = [
            client.assets().retrieve(id).send().map(drop),
            client.assets().delete(id).force(true).send(),
            client.assets().retrieve_transcription(id).send().map(drop),
            client.assets().replace_user_metadata(id, json!({"a": 1})).send(),
            client.assets().update_user_metadata(id, json!({"a": 1})).send(),
            client.assets().delete_user_metadata(id).send(),
        ];
        for result in refused {
            assert!(matches!(result, Err(Error::InvalidArgument { .. })), "{id:?}: {result:?}");
        }
    }
    assert!(pauses.taken().is_empty());
    assert!(server.finish().is_empty());
}

#[test]
fn a_proxy_of_the_environment_is_not_used_for_this_machine() {
    // The test runs in a process of its own, because all tests of this one share the environment.
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "faults::a_broken_get_is_retried"]).env_remove("NO_PROXY").env_remove("no_proxy");
    let outcome = test.env("ALL_PROXY", "http://127.0.0.1:9").output().unwrap();
    let told = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success() && told.contains("1 passed"), "{told}");
}
