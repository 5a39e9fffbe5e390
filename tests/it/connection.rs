//! Answers that arrive early, in between or incompletely, and what the connection then knows about the request.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::server::{
    Pauses, Received, Server, Step, answer, answer_of_type, answer_with, builder, client, in_time, read_body,
};
use serde_json::{Value, json};
use twelvelabs::assets::{Asset, UploadMethod};
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs};

/// A size above which the client expects a 100, and below what the buffers of a socket hold.
const LARGE: usize = (1 << 20) + 12_345;

fn asset(id: &str) -> Value {
    json!({"_id": id, "status": "ready"})
}

fn file() -> FileSource {
    FileSource::bytes("clip.mp4", crate::files::content(LARGE))
}

fn upload(client: &TwelveLabs, file: FileSource) -> twelvelabs::Result<Asset> {
    client.assets().create(UploadMethod::direct(file)).send()
}

/// Writes the bytes in this many pieces.
fn in_pieces(stream: &mut TcpStream, bytes: &[u8], pieces: usize) -> io::Result<()> {
    for piece in bytes.chunks(bytes.len().div_ceil(pieces).max(1)) {
        stream.write_all(piece)?;
        // The pause is in real time, so that the pieces arrive one by one.
        if pieces > 1 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

/// A step that answers the request for a 100, and records any part of the body that arrives nevertheless.
fn instead_of_100(bytes: Vec<u8>, pieces: usize, stays_open: bool) -> Step {
    Step::Talk(Box::new(move |stream, request| {
        in_pieces(stream, &bytes, pieces)?;
        if stays_open {
            let _ = stream.read_to_end(&mut request.body);
        }
        Ok(false)
    }))
}

fn is_announced(request: &Received) -> bool {
    request.header("expect") == Some("100-continue")
}

#[test]
fn an_early_refusal_is_read_before_the_body_is_sent() {
    let words = json!({"code": "c", "message": "Not this one."});
    let soon: &[(&str, &str)] = &[("retry-after", "1")];
    for (status, headers, tries) in
        [(401, &[][..], 1), (413, &[], 1), (429, soon, 2), (503, &[], 1), (503, soon, 2), (417, &[], 2), (400, &[], 1)]
    {
        for (kept, stays_open, pieces) in
            [(false, false, 1), (false, true, 1), (true, false, 1), (true, true, 1), (false, true, 7), (true, true, 7)]
        {
            let scene = format!("{status} {headers:?}, kept: {kept}, stays open: {stays_open}, {pieces} pieces");
            let mut script = vec![instead_of_100(answer_with(status, headers, &words), pieces, stays_open)];
            if kept {
                script.insert(0, Step::Answer(answer(200, &asset("a0"))));
            }
            if tries == 2 {
                script.push(Step::Answer(answer(201, &asset("a1"))));
            }
            let server = Server::start(script);
            let (client, pauses) = client(&server);
            if kept {
                client.assets().retrieve("a0").send().unwrap();
            }
            let result = in_time(move || upload(&client, file()));
            let received = server.finish();
            let received = &received[usize::from(kept)..];
            assert!(is_announced(&received[0]) && received[0].body.is_empty(), "{scene}: {}", received[0].body.len());
            if tries == 1 {
                match result {
                    Err(Error::Api(e)) => assert_eq!((e.status, e.message.as_str()), (status, "Not this one.")),
                    other => panic!("{scene}: {other:?}"),
                }
                continue;
            }
            assert_eq!(result.unwrap().id, "a1", "{scene}");
            assert!(
                received[1].file().bytes == crate::files::content(LARGE),
                "{scene}: the retry sends the same bytes"
            );
            assert_eq!(is_announced(&received[1]), status != 417, "{scene}");
            assert_eq!(pauses.taken().len(), usize::from(status != 417), "{scene}");
        }
    }
}

/// A step that writes this while the client waits for a 100, then reads the body and answers.
fn before_the_body(interim: &'static str, pieces: usize, then: Vec<u8>) -> Step {
    Step::Talk(Box::new(move |stream, request| {
        in_pieces(stream, interim.as_bytes(), pieces)?;
        read_body(stream, request)?;
        stream.write_all(&then)?;
        Ok(true)
    }))
}

#[test]
fn interim_answers_are_not_taken_for_the_answer() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nx-request: 1\r\ndate: now\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\na: b\r\n\r\n",
        // No 100 arrives at all, so the body is sent after a while.
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
        "",
    ] {
        for pieces in [1, 4] {
            if pieces > 1 && !interim.contains("100 Continue") {
                continue;
            }
            let created = answer(201, &asset("a1"));
            let late = [b"HTTP/1.1 100 Continue\r\n\r\n", &created[..]].concat();
            let server = Server::start([
                before_the_body(interim, pieces, created.clone()),
                before_the_body(interim, pieces, late),
            ]);
            // The client waits this long for a 100 that does not arrive.
            let agent = twelvelabs::Agent::config_builder().timeout_await_100(Some(Duration::from_millis(200)));
            let client = builder(&server).agent(agent.build().into()).build().unwrap();
            in_time(move || {
                for _ in 0..2 {
                    assert_eq!(upload(&client, file()).unwrap().id, "a1", "{interim:?}");
                }
            });
            for request in server.finish() {
                assert!(request.file().bytes == crate::files::content(LARGE), "{interim:?}");
            }
        }
    }
}

#[test]
fn interim_answers_may_come_before_any_answer() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    let whole = [interim.as_bytes(), &answer(200, &asset("a1"))].concat();
    let refused = [interim.as_bytes(), &answer(404, &json!({"message": "No such asset."}))].concat();
    let slowly =
        |bytes: Vec<u8>| Step::Talk(Box::new(move |stream, _| in_pieces(stream, &bytes, bytes.len()).map(|()| true)));
    let server = Server::start([Step::Answer(whole.clone()), slowly(whole), Step::Answer(refused)]);
    let (client, _) = client(&server);
    in_time(move || {
        assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
        assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
        let e = client.assets().retrieve("a1").send().unwrap_err();
        assert_eq!(e.status(), Some(404), "{e}");
        assert!(e.to_string().starts_with("No such asset."), "{e}");
    });
    server.finish();
}

#[test]
fn a_success_in_place_of_100_is_an_error() {
    for stays_open in [false, true] {
        let server = Server::start([instead_of_100(answer(201, &asset("a1")), 1, stays_open)]);
        let (client, pauses) = client(&server);
        let e = in_time(move || upload(&client, file()).unwrap_err());
        assert!(e.is_outcome_unknown() && matches!(e, Error::Transport { sent: true, .. }), "{e:?}");
        assert!(e.to_string().contains("without accepting any of the body"), "{e}");
        assert!(pauses.taken().is_empty());
        assert_eq!(server.finish().len(), 1);
    }
}

#[test]
fn a_reader_is_not_sent_twice_after_a_late_417() {
    let late = || before_the_body("HTTP/1.1 100 Continue\r\n\r\n", 1, answer(417, &Value::Null));
    let server = Server::start([late()]);
    let (one_client, pauses) = client(&server);
    let reader = FileSource::reader("clip.mp4", io::Cursor::new(crate::files::content(LARGE)));
    let e = in_time(move || upload(&one_client, reader).unwrap_err());
    assert_eq!(e.status(), Some(417), "{e:?}");
    assert!(pauses.taken().is_empty());
    assert!(server.finish()[0].file().bytes == crate::files::content(LARGE));
    // A body that can be read again is sent again, but only once.
    let server = Server::start([late(), Step::Answer(answer(417, &Value::Null))]);
    let (client, _) = client(&server);
    let e = in_time(move || upload(&client, file()).unwrap_err());
    assert_eq!(e.status(), Some(417), "{e:?}");
    assert!(server.finish().iter().all(|request| request.file().bytes == crate::files::content(LARGE)));
}

/// Returns a complete answer without a length, which ends with its connection.
fn without_length(kind: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n{body}").into_bytes()
}

#[test]
fn an_answer_without_a_length_that_ends_in_a_reset_is_not_complete() {
    let body = asset("a1").to_string();
    let whole = without_length("application/json", &body);
    let server =
        Server::start([Step::Close(whole.clone()), Step::AnswerAndReset(whole.clone()), Step::AnswerAndReset(whole)]);
    let client = builder(&server).max_retries(0).build().unwrap();
    assert_eq!(
        client.assets().retrieve("a1").send().unwrap().id,
        "a1",
        "a closed connection is a proper end of the body"
    );
    let e = client.assets().retrieve("a1").send().unwrap_err();
    assert!(matches!(e, Error::Transport { sent: true, .. }) && e.is_retryable(), "{e:?}");
    let e = client.assets().create(UploadMethod::url("https://example.com/a.mp4")).send().unwrap_err();
    assert!(e.is_outcome_unknown(), "{e:?}");
    server.finish();
}

#[test]
fn a_stream_that_ends_in_a_reset_is_not_complete() {
    let results = "{\"task_id\":\"1\"}\n{\"task_id\":\"2\"}\n";
    let events = "data: 1\n\ndata: 2\n\n";
    let text = "{\"event_type\":\"text_generation\",\"text\":\"one\"}\n";
    let server = Server::start([
        Step::AnswerAndReset(without_length("application/jsonl", results)),
        Step::AnswerAndReset(without_length("text/event-stream", events)),
        Step::AnswerAndReset(without_length("application/x-ndjson", text)),
        Step::Close(without_length("application/jsonl", results)),
        Step::Close(without_length("text/event-stream", events)),
    ]);
    let (client, _) = client(&server);
    let results = || client.analyze_async().batches().results("b").send().unwrap().collect::<Vec<_>>();
    let events = || client.call("GET", &["x"]).send_events().unwrap().collect::<Vec<_>>();
    let reset = |e: &Error| matches!(e, Error::Transport { sent: true, .. });
    let broken = results();
    assert!(broken.len() == 3 && broken[2].as_ref().is_err_and(reset), "{broken:?}");
    let broken = events();
    assert!(broken.len() == 3 && broken[2].as_ref().is_err_and(reset), "{broken:?}");
    match client.analyze_stream().send().unwrap().text() {
        Err(Error::Stream { text, source: Some(e), .. }) => assert!(text == "one" && reset(&e), "{text} {e:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!((results().len(), events().len()), (2, 2), "a closed connection is a proper end of the body");
    server.finish();
}

#[test]
fn a_kept_connection_with_unread_bytes_is_not_reused() {
    // The server sends an unsolicited answer, or closes the connection, after the client has read its own answer. Only
    // a check of the idle connection can notice it.
    let evil = answer(200, &asset("evil"));
    let idle = answer_with(408, &[("connection", "close")], &json!({"message": "You were idle."}));
    for late in [evil, idle] {
        let ((is_read, wait), (written, go_on)) = (mpsc::channel(), mpsc::channel());
        let first = Step::Talk(Box::new(move |stream, _| {
            stream.write_all(&answer(200, &asset("a1")))?;
            let _ = wait.recv_timeout(Duration::from_secs(20));
            stream.write_all(&late)?;
            let _ = written.send(());
            // The next request must not use this connection.
            Ok(stream.read(&mut [0])? > 0)
        }));
        let server = Server::start([first, Step::Answer(answer(200, &asset("a2")))]);
        let (client, pauses) = client(&server);
        assert_eq!(client.assets().retrieve("a1").send().unwrap().id, "a1");
        is_read.send(()).unwrap();
        go_on.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(client.assets().retrieve("a2").send().unwrap().id, "a2");
        assert!(pauses.taken().is_empty());
        server.finish();
    }
}

#[test]
fn only_one_of_many_dead_kept_connections_is_used() {
    const KEPT: usize = 8;
    let (first, together) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(Barrier::new(KEPT)));
    let step = |number: usize| {
        let (first, together) = (first.clone(), together.clone());
        Step::Talk(Box::new(move |stream, _| {
            let peer = stream.peer_addr()?;
            if number < KEPT {
                first.lock().unwrap().insert(peer);
                together.wait();
            } else if first.lock().unwrap().contains(&peer) {
                // The server is silent, like a NAT that has forgotten its connections.
                return Ok(false);
            }
            stream.write_all(&answer(200, &asset("a1"))).map(|()| true)
        }))
    };
    let server = Server::start((0..KEPT + 2).map(step));
    let client = builder(&server).max_retries(1).clock(Pauses::default()).build().unwrap();
    let calls: Vec<_> = (0..KEPT)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.assets().retrieve("a1").send().unwrap())
        })
        .collect();
    calls.into_iter().for_each(|call| drop(call.join().unwrap()));
    let answer = client.assets().retrieve("a1").send_raw().unwrap();
    assert_eq!(answer.attempts(), 2, "the second attempt uses a new connection");
    server.finish();
}

/// The size of a body that no socket buffer can take as a whole.
const ENDLESS: usize = 12 << 20;

/// A step that reads a part of the body, answers, and closes the connection while the rest is being sent.
fn hangs_up_within_the_body(bytes: Vec<u8>) -> Step {
    Step::Talk(Box::new(move |stream, request| {
        if is_announced(request) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        stream.read_exact(&mut [0; 10_000])?;
        stream.write_all(&bytes)?;
        Ok(false)
    }))
}

#[test]
fn a_refusal_during_the_body_is_read_although_the_server_disconnects() {
    let words = json!({"code": "c", "message": "Not this one."});
    for status in [403, 413] {
        let refusal = || hangs_up_within_the_body(answer_with(status, &[("connection", "close")], &words));
        let server = Server::start([refusal(), refusal(), refusal()]);
        let (client, pauses) = client(&server);
        in_time(move || {
            let form = upload(&client, FileSource::bytes("clip.mp4", vec![7; ENDLESS])).map(drop);
            let endless = FileSource::reader("clip.mp4", io::repeat(7).take(ENDLESS as u64));
            let chunked = upload(&client, endless).map(drop);
            let json = client.call("POST", &["x"]).json("text", "x".repeat(ENDLESS)).send().map(drop);
            for result in [form, chunked, json] {
                match result {
                    Err(Error::Api(e)) => assert_eq!((e.status, e.message.as_str()), (status, "Not this one.")),
                    other => panic!("{status}: {other:?}"),
                }
            }
        });
        assert!(pauses.taken().is_empty());
        server.finish();
    }
}

/// The server's behavior after it has refused a body that is still being sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    /// It reads nothing more.
    Deaf,
    /// It reads the rest, so slowly that it would take minutes.
    Slow,
    /// It reads nothing more, and has already sent something that is not the answer.
    Interim,
}

/// A step that reads a part of the body, answers, and keeps the connection open until the test is over. It records
/// whether the whole body has arrived.
fn refuses_and_stays(bytes: Vec<u8>, after: After, over: mpsc::Receiver<()>) -> Step {
    Step::Talk(Box::new(move |stream, request| {
        if is_announced(request) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        stream.read_exact(&mut [0; 10_000])?;
        if after == After::Interim {
            // The pauses are in real time: the client must first read what is no answer, and then stall again.
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 4")?;
            thread::sleep(Duration::from_millis(300));
            stream.write_all(&bytes[b"HTTP/1.1 4".len()..])?;
        } else {
            stream.write_all(&bytes)?;
        }
        let mut buffer = [0; 5000];
        // The pace is in real time, and ends with the client.
        while over.recv_timeout(Duration::from_millis(50)) == Err(mpsc::RecvTimeoutError::Timeout) {
            if after == After::Slow {
                let read = stream.read(&mut buffer)?;
                request.body.extend_from_slice(&buffer[..read]);
            }
        }
        Ok(false)
    }))
}

#[test]
fn a_refusal_during_the_body_is_read_while_the_connection_stays_open() {
    let words = json!({"code": "c", "message": "Not this one."});
    type Send = fn(&TwelveLabs) -> twelvelabs::Result<()>;
    let bodies: [(&str, Send); 4] = [
        ("form", |client| upload(client, FileSource::bytes("clip.mp4", vec![7; ENDLESS])).map(drop)),
        ("reader", |client| {
            upload(client, FileSource::reader("clip.mp4", io::repeat(7).take(ENDLESS as u64))).map(drop)
        }),
        ("json", |client| client.call("POST", &["x"]).json("text", "x".repeat(ENDLESS)).send().map(drop)),
        ("put", |client| client.call("PUT", &["x"]).json("text", "x".repeat(ENDLESS)).send().map(drop)),
    ];
    for after in [After::Deaf, After::Slow, After::Interim] {
        for (name, send) in bodies {
            let (over, wait) = mpsc::channel();
            let refusal = refuses_and_stays(answer(413, &words), after, wait);
            let server = Server::start([refusal, Step::Answer(answer(200, &json!({})))]);
            let (client, pauses) = client(&server);
            let again = client.clone();
            // The time limit of an answer is longer than the patience of this test.
            let result = in_time(move || send(&client));
            match result {
                Err(Error::Api(e)) => assert_eq!((e.status, e.message.as_str()), (413, "Not this one."), "{name}"),
                other => panic!("{after:?}, {name}: {other:?}"),
            }
            // The connection has an unfinished request, so that it cannot carry another.
            again.call("GET", &["x"]).send().unwrap();
            drop(over);
            assert!(pauses.taken().is_empty());
            assert!(server.finish()[0].body.len() < ENDLESS, "{after:?}, {name}");
        }
    }
}

#[test]
fn a_success_before_the_end_of_the_body_does_not_stop_the_upload() {
    let step = Step::Talk(Box::new(|stream, request| {
        stream.write_all(&answer(201, &asset("a1")))?;
        // In real time, so that the client stalls while the answer is there.
        thread::sleep(Duration::from_millis(300));
        read_body(stream, request)?;
        Ok(true)
    }));
    let server = Server::start([step]);
    let (client, _) = client(&server);
    let text = "x".repeat(ENDLESS);
    let sent = text.clone();
    in_time(move || client.call("POST", &["x"]).json("text", sent).send().unwrap());
    assert!(server.finish()[0].json() == json!({"text": text}), "the body arrives completely");
}

#[test]
fn a_stall_without_a_refusal_changes_no_byte() {
    // The server repeatedly sends something that is not an answer, and reads a part of what has arrived.
    let step = Step::Talk(Box::new(|stream, request| {
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        while request.body.len() < length {
            // In real time, so that the client stalls.
            thread::sleep(Duration::from_millis(120));
            stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n")?;
            let mut part = vec![0; (length - request.body.len()).min(4 << 20)];
            stream.read_exact(&mut part)?;
            request.body.extend_from_slice(&part);
        }
        stream.write_all(&answer(200, &json!({})))?;
        Ok(true)
    }));
    let server = Server::start([step, Step::Answer(answer(200, &json!({})))]);
    let (client, _) = client(&server);
    let text: String = crate::files::content(ENDLESS).iter().map(|byte| char::from(byte % 64 + b' ')).collect();
    let sent = text.clone();
    in_time(move || {
        client.call("POST", &["x"]).json("text", sent).send().unwrap();
        client.call("GET", &["x"]).send().unwrap();
    });
    assert!(server.finish()[0].json() == json!({"text": text}), "the body arrives completely");
}

/// Returns the error of an upload in chunks whose only chunk meets this step, and the server.
fn chunk_meets(step: impl FnOnce() -> Step) -> (Error, Server) {
    let server = Server::start_with(|port| {
        let session = json!({
            "upload_id": "u1", "asset_id": "a1", "chunk_size": ENDLESS, "total_chunks": 1,
            "upload_urls": [{"chunk_index": 1, "url": format!("http://127.0.0.1:{port}/storage/1")}],
        });
        [Step::Answer(answer(201, &session)), step()]
    });
    let (client, _) = client(&server);
    let source = FileSource::bytes("clip.mp4", vec![7; ENDLESS]);
    let e = in_time(move || client.multipart_upload().upload_file(source).send().unwrap_err());
    (e, server)
}

#[test]
fn a_refusal_within_a_chunk_is_read_although_the_storage_stays() {
    for after in [After::Deaf, After::Slow, After::Interim] {
        let (over, wait) = mpsc::channel();
        let refusal = answer_of_type(413, "application/xml", "<Error><Code>EntityTooLarge</Code></Error>");
        let (e, server) = chunk_meets(|| refuses_and_stays(refusal, after, wait));
        drop(over);
        assert_eq!((e.status(), server.received().len()), (Some(413), 2), "{after:?}: {e:?}");
        assert!(e.to_string().contains("EntityTooLarge"), "{e}");
    }
}

#[test]
fn a_success_during_the_body_is_an_error() {
    let server = Server::start([hangs_up_within_the_body(answer(201, &asset("a1")))]);
    let (client, pauses) = client(&server);
    let e = in_time(move || upload(&client, FileSource::bytes("clip.mp4", vec![7; ENDLESS])).unwrap_err());
    assert!(e.is_outcome_unknown() && matches!(e, Error::Transport { sent: true, .. }), "{e:?}");
    assert!(e.to_string().contains("only a part of the body had been sent"), "{e}");
    assert!(pauses.taken().is_empty());
    server.finish();
}

#[test]
fn a_disconnect_during_the_body_without_a_response_is_a_broken_connection() {
    let server = Server::start([hangs_up_within_the_body(Vec::new())]);
    let (client, _) = client(&server);
    let e = in_time(move || upload(&client, FileSource::bytes("clip.mp4", vec![7; ENDLESS])).unwrap_err());
    let text = format!("the connection to 127.0.0.1:{} broke", server.port());
    assert!(e.is_outcome_unknown() && e.to_string().starts_with(&text), "{e:?}");
    server.finish();
}

#[test]
fn a_response_without_a_body_may_have_a_content_encoding() {
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} Status\r\n{more}\r\n").into_bytes();
    for coding in ["gzip", "br", "identity"] {
        let coding = format!("content-encoding: {coding}\r\n");
        for whole in [
            head(204, &coding),
            head(200, &format!("{coding}content-length: 0\r\n")),
            [head(200, &format!("{coding}transfer-encoding: chunked\r\n")), b"0\r\n\r\n".to_vec()].concat(),
        ] {
            let server = Server::start([Step::Answer(whole.clone()), Step::Answer(whole.clone())]);
            let (client, pauses) = client(&server);
            let told = String::from_utf8(whole).unwrap();
            client.assets().delete("a1").send().unwrap_or_else(|e| panic!("{told}: {e:?}"));
            client.call("PATCH", &["x"]).json("a", 1).send_raw().unwrap_or_else(|e| panic!("{told}: {e:?}"));
            assert!(pauses.taken().is_empty());
            server.finish();
        }
    }
    // A body that is not empty must match its content encoding.
    let server = Server::start([Step::Answer(
        [head(200, "content-encoding: gzip\r\ncontent-length: 2\r\n"), b"{}".to_vec()].concat(),
    )]);
    let client = builder(&server).max_retries(0).build().unwrap();
    let e = client.assets().retrieve("a1").send().unwrap_err();
    assert!(e.to_string().contains("cannot be decompressed"), "{e}");
}

#[test]
fn a_connection_is_kept_after_refusals_too() {
    let refusal = || Step::Answer(answer(404, &json!({"message": "No such asset."})));
    let connections = std::sync::Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let seen = connections.clone();
    let peer = Step::Talk(Box::new(move |stream, _| {
        seen.lock().unwrap().insert(stream.peer_addr()?);
        stream.write_all(&answer(404, &Value::Null)).map(|()| true)
    }));
    let seen = connections.clone();
    let again = Step::Talk(Box::new(move |stream, _| {
        seen.lock().unwrap().insert(stream.peer_addr()?);
        stream.write_all(&answer(404, &Value::Null)).map(|()| true)
    }));
    let server = Server::start([peer, refusal(), refusal(), again]);
    let (client, _) = client(&server);
    for _ in 0..4 {
        assert_eq!(client.assets().retrieve("a1").send().unwrap_err().status(), Some(404));
    }
    server.finish();
    assert_eq!(connections.lock().unwrap().len(), 1);
}

#[test]
fn a_response_that_is_not_http_is_an_error_that_names_the_host() {
    for nonsense in
        ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "\0\0\0\0\n\n", "HTTP/9.9 200 OK\r\n\r\n"]
    {
        let server = Server::start([Step::Close(nonsense.into())]);
        let client = builder(&server).max_retries(0).build().unwrap();
        let e = in_time(move || client.assets().retrieve("a1").send().unwrap_err());
        assert!(matches!(e, Error::Transport { sent: true, .. }), "{nonsense:?}: {e:?}");
        assert!(e.to_string().contains("127.0.0.1"), "{e}");
    }
}

#[test]
fn endless_headers_are_an_error() {
    let endless = Step::Live(Box::new(|stream| {
        let mut stream = std::io::BufWriter::new(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        for n in 0..1_000_000 {
            write!(stream, "x-{n}: {n}\r\n")?;
        }
        stream.flush()
    }));
    let server = Server::start([endless]);
    let client = builder(&server).max_retries(0).build().unwrap();
    let e = in_time(move || client.assets().retrieve("a1").send().unwrap_err());
    assert!(matches!(e, Error::Transport { sent: true, .. }), "{e:?}");
}

#[test]
fn request_headers_of_any_size_are_sent_with_the_key_or_not_at_all() {
    let server = Server::start([]);
    let (client, _) = client(&server);
    let mut arrived = 0;
    for kib in [100, 130, 200, 600, 1100, 3000] {
        let options = || {
            let value = "v".repeat(50 << 10);
            (0..kib / 50).fold(RequestOptions::new(), |options, n| options.additional_header(format!("x-{n}"), &value))
        };
        server.rewind([Step::Answer(answer(200, &asset("a1")))]);
        match client.assets().retrieve("a1").request_options(options()).send() {
            Ok(_) => arrived += 1,
            Err(e) => {
                assert!(e.to_string().contains("headers of the request are too large"), "{kib}: {e}");
                assert!(!e.is_outcome_unknown() && !e.is_retryable(), "{kib}: {e:?}");
            }
        }
        for request in server.received() {
            assert_eq!(request.header("x-api-key"), Some(crate::server::API_KEY), "{kib}");
        }
    }
    assert!(arrived >= 3, "{arrived}");
    // The buffers of the caller's own agent are smaller.
    let agent: twelvelabs::Agent = twelvelabs::Agent::config_builder().output_buffer_size(2000).build().into();
    let client = builder(&server).agent(agent).build().unwrap();
    let options =
        RequestOptions::new().additional_header("x-a", "v".repeat(1500)).additional_header("x-b", "v".repeat(900));
    server.rewind([Step::Answer(answer(200, &asset("a1")))]);
    let result = client.assets().retrieve("a1").request_options(options).send();
    match server.received().first() {
        Some(request) => assert_eq!(request.header("x-api-key"), Some(crate::server::API_KEY)),
        None => assert!(result.unwrap_err().to_string().contains("headers of the request are too large")),
    }
}

#[test]
fn an_answer_in_pieces_of_one_byte_is_whole() {
    let bytes = answer_of_type(200, "application/json", &asset("a1").to_string());
    let server =
        Server::start([Step::Talk(Box::new(move |stream, _| in_pieces(stream, &bytes, bytes.len()).map(|()| true)))]);
    let (client, _) = client(&server);
    assert_eq!(in_time(move || client.assets().retrieve("a1").send().unwrap().id), "a1");
    server.finish();
}
