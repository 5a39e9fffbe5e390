//! The stand-in for users' tests: its protocol, its injected faults, and its records.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::files::{content, sha256};
use serde_json::{Value, json};
use twelvelabs::analyze::VideoContext;
use twelvelabs::assets::{AssetStatus, AssetType, UploadMethod};
use twelvelabs::embed::{EmbedInput, MediaSource};
use twelvelabs::indexes::{IndexModelInput, IndexedAssetStatus};
use twelvelabs::testing::{Fault, StandIn};
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs};

const CHUNK: &str = "PUT /storage/{upload_id}/{chunk}";

fn host(url: &str) -> String {
    url.trim_start_matches("http://").split('/').next().unwrap().to_string()
}

fn connect(stand_in: &StandIn) -> TcpStream {
    let stream = TcpStream::connect(host(&stand_in.url())).unwrap();
    // The timeout only guards against a test that would hang.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends these bytes, and returns everything that arrives until the connection ends.
fn say(stand_in: &StandIn, bytes: &[u8]) -> String {
    let mut stream = connect(stand_in);
    let mut answer = Vec::new();
    // The stand-in may have refused the request and closed the connection before reading everything.
    let _ = stream.write_all(bytes);
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// Returns the next answer on a connection that stays open.
fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let mut text = String::from_utf8(text).unwrap();
    let length = text.split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    text.push_str(&String::from_utf8(body).unwrap());
    text
}

fn upload(client: &TwelveLabs, name: &str, bytes: impl Into<Vec<u8>>) -> twelvelabs::Result<String> {
    let file = FileSource::bytes(name, bytes);
    client.assets().create(UploadMethod::direct(file)).send().map(|asset| asset.id)
}

fn index(client: &TwelveLabs) -> String {
    client.indexes().create("holidays", [IndexModelInput::new("marengo3.0", ["visual"])]).send().unwrap().id
}

#[test]
fn requests_follow_each_other_on_one_connection_in_every_framing() {
    let stand_in = StandIn::start();
    let mut stream = connect(&stand_in);
    stream
        .write_all(
            b"GET /v1.3/assets HTTP/1.1\r\nx-api-key: k\r\n\r\nGET /v1.3/indexes HTTP/1.1\r\nX-API-Key: k\r\n\r\n",
        )
        .unwrap();
    assert!(answer(&mut stream).starts_with("HTTP/1.1 200 "));
    assert!(answer(&mut stream).contains("\"total_results\":0"));

    let chunks = "6\r\n{\"name\r\n9;a=b\r\n\":\"cats\"}\r\n0\r\ntrailer: 1\r\n\r\n";
    let head = "POST /v1.3/entity-collections HTTP/1.1\r\nx-api-key: k\r\ntransfer-encoding: Chunked\r\n\r\n";
    stream.write_all(format!("{head}{chunks}").as_bytes()).unwrap();
    assert!(answer(&mut stream).starts_with("HTTP/1.1 201 "));

    let head =
        "POST /v1.3/entity-collections HTTP/1.1\r\nx-api-key: k\r\ncontent-length: 15\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert!(answer(&mut stream).starts_with("HTTP/1.1 100 "));
    stream.write_all(b"{\"name\":\"dogs\"}").unwrap();
    let created = answer(&mut stream);
    assert!(created.starts_with("HTTP/1.1 201 ") && created.contains("\"name\":\"dogs\""), "{created}");

    stream.write_all(b"GET /v1.3/assets HTTP/1.0\r\nx-api-key: k\r\n\r\n").unwrap();
    answer(&mut stream);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "HTTP/1.0 ends the connection");
    assert_eq!(stand_in.requests_to("POST /entity-collections")[0].json(), json!({"name": "cats"}));
    assert_eq!(stand_in.requests().len(), 5);
}

#[test]
fn malformed_requests_are_refused_and_others_continue() {
    let stand_in = StandIn::start();
    let long = format!("GET /assets HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(100_000));
    for bytes in [
        "nonsense\r\n\r\n",
        "\r\n\r\n",
        "GET /assets HTTP/2\r\n\r\n",
        "GET /assets HTTP/1.1\r\nno colon\r\n\r\n",
        "POST /assets HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        "POST /assets HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "POST /assets HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /assets HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /assets HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
        "POST /assets HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        "POST /assets HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n+0\r\n\r\n",
        "POST /assets HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
        &long,
    ] {
        let answer = say(&stand_in, bytes.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{:?}: {answer}", &bytes[..bytes.len().min(100)]);
    }
    // Each connection ends before its request is complete.
    for part in ["GET /ass", "POST /assets HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc"] {
        connect(&stand_in).write_all(part.as_bytes()).unwrap();
    }
    assert!(say(&stand_in, b"GET /assets HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 401 "));
    assert!(say(&stand_in, b"GET /nothing HTTP/1.0\r\nx-api-key: k\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert_eq!(stand_in.client().assets().list().send().unwrap().count(), 0);
}

#[test]
fn out_of_range_numbers_are_refused() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let status = |method: &str, path: &[&str], query: &[(&str, &str)], body: Value| {
        let call = query.iter().fold(client.call(method, path), |call, (name, value)| call.query(name, *value));
        let call = if body.is_null() {
            call
        } else {
            body.as_object().unwrap().iter().fold(call, |call, (name, value)| call.json(name, value))
        };
        call.send().unwrap_err().status()
    };
    let huge = u64::MAX;
    let session = json!({"filename": "a.mp4", "type": "video", "total_size": huge});
    assert_eq!(status("POST", &["assets", "multipart-uploads"], &[], session), Some(400));
    let embed =
        json!({"input_type": "text", "model_name": "m", "text": {"input_text": "a"}, "embedding_dimension": huge});
    assert_eq!(status("POST", &["embed-v2"], &[], embed), Some(400));
    assert_eq!(status("GET", &["assets"], &[("page", "0")], Value::Null), Some(400));
    assert_eq!(status("GET", &["search", &format!("page-0-{huge}")], &[], Value::Null), Some(400));

    stand_in.chunks(0, 1);
    let small = client.multipart_upload().create("a.mp4", AssetType::Video, 3).send().unwrap();
    let id = small.upload_id.as_str();
    let urls = json!({"start": u32::MAX, "count": 50});
    assert_eq!(status("POST", &["assets", "multipart-uploads", id, "presigned-urls"], &[], urls), Some(400));
    assert_eq!(status("GET", &["assets"], &[("page_limit", "51")], Value::Null), Some(400));
    let page = client.call("GET", &["assets"]).query("page", huge.to_string()).query("page_limit", 50);
    assert_eq!(page.send().unwrap()["data"], json!([]));
}

#[test]
fn requests_are_taken_at_the_same_time() {
    let stand_in = StandIn::start();
    // No request is complete before the last connection is open.
    let mut open: Vec<TcpStream> = (0..16).map(|_| connect(&stand_in)).collect();
    for stream in &mut open {
        stream
            .write_all(b"POST /entity-collections HTTP/1.1\r\nx-api-key: k\r\ncontent-length: 12\r\n\r\n{\"name\"")
            .unwrap();
    }
    assert!(stand_in.wait_for("POST /entity-collections", 16));
    for stream in &mut open {
        stream.write_all(b":\"a\"}").unwrap();
        assert!(answer(stream).starts_with("HTTP/1.1 201 "));
    }
}

#[test]
fn the_stand_in_stops_with_its_last_clone() {
    let stand_in = StandIn::start();
    let (clone, url) = (stand_in.clone(), host(&stand_in.url()));
    drop(stand_in);
    let (mut idle, mut half) = (connect(&clone), connect(&clone));
    half.write_all(b"POST /assets HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc").unwrap();
    clone.fault("GET /assets", Fault::slow(Duration::from_secs(3600)));
    let mut slow = connect(&clone);
    slow.write_all(b"GET /assets HTTP/1.1\r\nx-api-key: k\r\n\r\n").unwrap();
    assert!(clone.wait_for("GET /assets", 1) && clone.wait_for("POST /assets", 1));
    drop(clone);
    for stream in [&mut idle, &mut half, &mut slow] {
        let end = stream.read(&mut [0]).map_err(|e| e.kind());
        assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
    }
    assert!(TcpStream::connect(url).is_err(), "the stand-in still listens");
}

#[test]
fn requests_are_recorded_without_the_key() {
    let stand_in = StandIn::start();
    let bytes = content(300_000);
    let client = stand_in.builder().api_key("tlk_secret").build().unwrap();
    let id = upload(&client, "large.mp4", bytes.clone()).unwrap();
    let request = &stand_in.requests()[0];
    assert_eq!((request.method(), request.path(), request.is_to_storage()), ("POST", "/assets", false));
    assert!(request.header("x-api-key").is_some() && !format!("{request:?}").contains("secret"));
    assert_eq!(request.part("method").unwrap().text(), "direct");
    let file = request.part("file").unwrap();
    assert_eq!((file.filename.as_deref(), file.content_type.as_deref()), (Some("large.mp4"), Some("video/mp4")));
    assert_eq!((file.body.bytes(), file.body.sha256()), (Some(&bytes[..]), sha256(&bytes)));
    assert!(request.body().is_empty() && request.length() > 300_000);
    assert_eq!(stand_in.client().assets().retrieve(&id).send().unwrap().size, Some(300_000));

    stand_in.chunks(100_000, 2);
    let chunked = client.multipart_upload().upload_file(FileSource::bytes("chunks.mp4", bytes.clone())).send().unwrap();
    let uploads: Vec<_> = stand_in.uploads();
    let shown: Vec<_> = uploads.iter().map(|upload| (&upload.asset_id, &*upload.filename, upload.length)).collect();
    assert_eq!(shown, [(&id, "large.mp4", 300_000), (&chunked.asset_id, "chunks.mp4", 300_000)]);
    assert!(uploads.iter().all(|upload| upload.sha256 == Some(sha256(&bytes))));
    assert_eq!((&uploads[0].upload_id, &uploads[1].upload_id), (&None, &Some(chunked.upload_id.clone())));
    let second = &stand_in.requests_to(&format!("PUT /storage/{}/2", chunked.upload_id))[0];
    assert!(second.is_to_storage() && second.header("x-api-key").is_none());
    assert_eq!(second.body().bytes(), Some(&bytes[100_000..200_000]));
}

#[test]
fn the_stand_in_is_reached_by_name_as_well() {
    let stand_in = StandIn::start();
    let url = stand_in.url_by_name();
    assert!(url.starts_with("http://localhost:"), "{url}");
    let client = stand_in.builder().base_url(url).build().unwrap();
    let bytes = content(100_000);
    client.multipart_upload().upload_file(FileSource::bytes("a.mp4", bytes.clone())).send().unwrap();
    let hosts: Vec<_> = stand_in.requests().iter().map(|r| r.header("host").unwrap_or_default().to_string()).collect();
    assert!(hosts.len() > 2 && hosts.iter().all(|host| host.starts_with("localhost:")), "{hosts:?}");
    assert_eq!(stand_in.assembled(&stand_in.upload_ids()[0]), Some(bytes));
}

#[test]
fn a_status_is_returned_the_given_number_of_times() {
    let stand_in = StandIn::start();
    let client = stand_in.builder().max_retries(0).build().unwrap();
    let assets = || client.assets().list().send().map(|_| ()).map_err(|e| e.status());
    stand_in.fault("GET /assets", Fault::status(503).after(1).times(2));
    stand_in.fail("GET /assets", 1, 500);
    stand_in.fail("GET /assets/{id}", 1, 500);
    let seen: Vec<_> = (0..5).map(|_| assets()).collect();
    assert_eq!(seen, [Err(Some(500)), Err(Some(503)), Err(Some(503)), Ok(()), Ok(())]);
    assert_eq!(stand_in.unmet_faults(), ["GET /assets/{id}"]);

    let fault = Fault::status(400).code("video_file_broken").message("Broken.").header("x-more", "1").always();
    stand_in.fault("GET /assets", fault);
    let e = client.assets().list().send().unwrap_err();
    assert_eq!((e.code(), e.to_string().starts_with("Broken. ")), (Some("video_file_broken"), true), "{e}");
    stand_in.forgive();
    assert_eq!((assets(), stand_in.unmet_faults().len()), (Ok(()), 0));
    stand_in.fault("GET /assets", Fault::status(418).body(json!({"message": "Mine."})));
    assert!(client.assets().list().send().unwrap_err().to_string().starts_with("Mine. "));
}

#[test]
fn a_rate_limit_is_obeyed_on_the_clock_of_the_stand_in() {
    let stand_in = StandIn::start();
    stand_in.fault("POST /assets", Fault::status(429).retry_after(30).times(2));
    // The request expects a 100, so it is refused before its body is sent.
    upload(&stand_in.client(), "a.mp4", content(2 << 20)).unwrap();
    assert_eq!(stand_in.clock().slept(), [Duration::from_secs(30); 2]);
    let lengths: Vec<u64> = stand_in.requests_to("POST /assets").iter().map(|request| request.length()).collect();
    assert!(lengths[..2] == [0, 0] && lengths[2] > 2 << 20, "{lengths:?}");
}

#[test]
fn a_reset_request_has_no_effect_and_a_reset_answer_has_one() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let refused = |fault: Fault| {
        stand_in.fault("POST /assets", fault);
        upload(&client, "a.mp4", content(100_000)).unwrap_err()
    };
    let e = refused(Fault::reset_request(1000));
    assert!(matches!(e, Error::Transport { sent: true, .. }), "{e:?}");
    assert_eq!((stand_in.asset_count(), stand_in.requests()[0].length()), (0, 1000));
    let e = refused(Fault::reset_request(u64::MAX));
    assert!(matches!(e, Error::Transport { sent: true, .. }) && stand_in.asset_count() == 0, "{e:?}");
    let e = refused(Fault::reset_answer());
    assert!(matches!(e, Error::Transport { sent: true, .. }) && stand_in.asset_count() == 1, "{e:?}");
    assert!(stand_in.clock().slept().is_empty(), "a POST whose outcome is unknown is not repeated");

    stand_in.fault("GET /assets", Fault::reset_answer());
    stand_in.fault("GET /assets", Fault::reset_request(0));
    assert_eq!(client.assets().list().send().unwrap().count(), 1);
    assert_eq!(stand_in.count("GET /assets"), 3);
}

#[test]
fn a_stream_breaks_off_or_comes_slowly() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let id = upload(&client, "a.mp4", "frames").unwrap();
    client.assets().wait_for_done(&id).send().unwrap();
    let stream = || {
        let video = VideoContext::asset_id(&id);
        let events = client.analyze_stream().video(video).prompt("What happens?").send().unwrap();
        events.map(|event| event.map(|event| event.text().to_string())).collect::<Vec<_>>()
    };
    let whole = stream();
    assert!(whole.iter().all(Result::is_ok));
    stand_in.fault("POST /analyze", Fault::trickle(Duration::from_micros(10)));
    stand_in.fault("POST /analyze", Fault::slow(Duration::from_micros(10)));
    for _ in 0..2 {
        assert_eq!(
            stream().into_iter().map(Result::unwrap).collect::<String>(),
            whole.iter().flatten().cloned().collect::<String>()
        );
    }
    stand_in.fault("POST /analyze", Fault::reset_answer());
    let broken = stream();
    assert!(broken.last().unwrap().is_err() && broken.len() > 2 && broken.len() < whole.len(), "{broken:?}");
}

#[test]
fn a_silent_server_ends_at_the_time_limit() {
    let stand_in = StandIn::start();
    stand_in.fault("GET /assets", Fault::silent(0).always());
    let options = RequestOptions::new().timeout(Duration::from_millis(20)).max_retries(0);
    let e = stand_in.client().assets().list().request_options(options).send().unwrap_err();
    assert!(e.is_timeout(), "{e}");
}

#[test]
fn the_storage_takes_each_chunk_once_from_its_url_within_the_hour() {
    let stand_in = StandIn::start();
    stand_in.chunks(3, 10);
    let uploads = stand_in.client().multipart_upload();
    let session = uploads.create("a.mp4", AssetType::Video, 12).send_raw().unwrap();
    let upload: Value = serde_json::from_slice(&session.body).unwrap();
    let url = |chunk: usize| upload["upload_urls"][chunk - 1]["url"].as_str().unwrap();
    let (name, value) = upload["upload_headers"].as_object().unwrap().iter().next().unwrap();
    let header = format!("{name}: {}\r\n", value.as_str().unwrap());
    let put = |url: &str, header: &str| {
        let mut stream = TcpStream::connect(host(url)).unwrap();
        let path = url.split_once("/storage").unwrap().1;
        let head = format!("PUT /storage{path} HTTP/1.1\r\ncontent-length: 3\r\n{header}connection: close\r\n\r\nabc");
        stream.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split(' ').nth(1).unwrap().to_string()
    };
    assert_eq!(put(&url(1).replace("/1?", "/2?"), &header), "403", "a URL does not accept another chunk");
    assert_eq!(put(url(2), ""), "403", "a chunk without the header of the session is refused");
    assert_eq!(put(url(1), &header), "200");
    assert_eq!(put(url(1), &header), "403", "a URL can be used only once");
    stand_in.clock().advance(Duration::from_secs(3600));
    assert_eq!(put(url(3), &header), "403", "a URL expires after an hour");
    let more = || uploads.get_additional_presigned_urls(&session.data.upload_id, 4, 1).send();
    assert!(more().is_ok());
    stand_in.expire_urls();
    stand_in.clock().advance(Duration::from_secs(23 * 3600));
    assert_eq!(more().unwrap_err().status(), Some(410), "a session expires after a day");
}

#[test]
fn failed_chunks_are_sent_again() {
    let stand_in = StandIn::start();
    stand_in.chunks(1000, 10);
    stand_in.fault(CHUNK, Fault::expired_url());
    stand_in.fault(CHUNK, Fault::without_header("ETag"));
    let file = FileSource::bytes("a.mp4", content(5000));
    let result = stand_in.client().multipart_upload().upload_file(file).send().unwrap();
    assert_eq!(stand_in.sent_chunks(&result.upload_id).len(), 7, "two of five are sent twice");
    assert_eq!(stand_in.assembled(&result.upload_id), Some(content(5000)));
}

#[test]
fn a_wait_for_a_resource_that_is_never_ready_takes_no_time() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let id = upload(&client, "a.mp4", "frames").unwrap();
    stand_in.fault("GET /assets/{id}", Fault::never_ready());
    let wait = client.assets().wait_for_done(&id).sleep_interval(Duration::from_secs(60));
    let e = wait.max_wait_time(Duration::from_secs(600)).send().unwrap_err();
    assert!(matches!(&e, Error::WaitTimeout { status, .. } if status == "processing"), "{e:?}");
    assert_eq!(stand_in.clock().passed(), Duration::from_secs(600));
    stand_in.forgive();
    stand_in.polls_until_ready(0);
    assert_eq!(client.assets().retrieve(&id).send().unwrap().status, Some(AssetStatus::Ready));
}

#[test]
fn every_awaited_resource_can_be_made_to_fail() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let asset = client.assets().wait_for_done(&upload(&client, "a.mp4", "frames").unwrap()).send().unwrap().id;
    let index = index(&client);
    let fail = |endpoint: &str| stand_in.fault(endpoint, Fault::failed("video_file_broken"));
    let check = |e: Error, says_code: bool| match e {
        Error::Failed(e) => {
            assert_eq!(e.status, "failed");
            assert!(!says_code || e.code.as_deref() == Some("video_file_broken"), "{e:?}");
        }
        other => panic!("{other:?}"),
    };
    fail("GET /indexes/{index}/indexed-assets/{id}");
    let video = client.indexes().indexed_assets().create(&index, &asset).send().unwrap().id;
    check(client.indexes().indexed_assets().wait_for_done(&index, &video).send().unwrap_err(), false);
    fail("GET /analyze/tasks/{id}");
    let prompt = client.analyze_async().tasks().create().video(VideoContext::asset_id(&asset)).prompt("What?");
    let task = prompt.send().unwrap().task_id;
    check(client.analyze_async().tasks().wait_for_done(&task).send().unwrap_err(), true);
    fail("GET /embed-v2/tasks/{id}");
    let input = EmbedInput::audio(MediaSource::url("https://example.com/a.mp3"));
    let task = client.embed().v2().tasks().create(input, "marengo3.0").send().unwrap().id;
    check(client.embed().v2().tasks().wait_for_done(&task).send().unwrap_err(), false);
    fail("GET /assets/{id}");
    check(client.assets().wait_for_done(&asset).send().unwrap_err(), true);
    stand_in.forgive();
    let again = client.indexes().indexed_assets().create(&index, &asset).send();
    assert_eq!(again.unwrap_err().status(), Some(400), "a failed asset cannot be indexed");
    let video = client.indexes().indexed_assets().wait_for_done(&index, &video).send().unwrap();
    assert_eq!(video.status, Some(IndexedAssetStatus::Ready), "the video is ready once the fault is used up");
}

#[test]
fn fixed_answers_take_precedence_and_the_last_one_applies() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    stand_in.answer("GET /assets/{id}", json!({"_id": "first"}));
    stand_in.answer("GET /assets/42", json!({"_id": "second"}));
    stand_in.answer("POST /dreams", json!({"dream": "of sheep"}));
    let id = |id: &str| client.assets().retrieve(id).send().map(|asset| asset.id).map_err(|e| e.status());
    assert_eq!((id("41"), id("42")), (Ok("first".into()), Ok("second".into())));
    assert_eq!(client.call("POST", &["dreams"]).send().unwrap()["dream"], "of sheep");
    stand_in.fail("GET /assets/{id}", 9, 404);
    assert_eq!(id("42"), Err(Some(404)));
    stand_in.forgive();
    assert_eq!(id("42"), Err(Some(404)), "`forgive` also removes the fixed answers");
}

#[test]
#[should_panic(expected = "\"POST assets\" is not an endpoint")]
fn a_malformed_endpoint_panics_immediately() {
    StandIn::start().fail("POST assets", 1, 503);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_stop_it(bytes in proptest::collection::vec(0u8..=255, 0..200), start in 0usize..4) {
        let stand_in = StandIn::start();
        let start = ["", "POST /assets HTTP/1.1\r\nx-api-key: k\r\n", "PUT /storage/a/1?", "GET /search/page-0-1?page="][start];
        let mut stream = connect(&stand_in);
        stream.write_all(&[start.as_bytes(), &bytes, b"\r\n\r\n"].concat()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(stand_in.client().assets().list().send().unwrap().count(), 0);
    }
}
