//! No secret reaches a message, a log or a `Debug` text, whatever a server does with it.

use std::sync::{Arc, Mutex};

use crate::files::content;
use crate::server::{Server, Step, answer, answer_of_type, answer_with, builder};
use serde_json::{Value, json};
use twelvelabs::assets::Asset;
use twelvelabs::testing::{Fault, StandIn};
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs};

const KEY: &str = "tlk_2D7FA7BQ1K3X9Z";

fn client(server: &Server) -> TwelveLabs {
    builder(server).api_key(KEY).max_retries(0).build().unwrap()
}

fn is_clean(text: &str) {
    assert!(!text.contains(KEY) && !text.contains("2D7FA7BQ"), "{text}");
}

#[test]
fn a_success_that_echoes_the_key_does_not_show_it() {
    let words = json!({"_id": "a1", "status": "ready", "filename": format!("of {KEY}.mp4"), "new": [KEY]});
    let echo = answer_with(200, &[("x-echo", &format!("key={KEY}")), ("x-trace-id", KEY)], &words);
    let server = Server::start([Step::Answer(echo.clone()), Step::Answer(echo)]);
    let client = client(&server);
    let response = client.assets().retrieve("a1").send_raw().unwrap();
    is_clean(&format!("{response:?} {:?}", response.trace_id()));
    is_clean(&String::from_utf8(response.body).unwrap());
    assert_eq!(response.data.filename.as_deref(), Some("of ***.mp4"));
    assert_eq!(response.headers.get("x-echo"), Some("key=***"));
    let response = client.call("GET", &["x"]).send_raw().unwrap();
    is_clean(&format!("{response:?}"));
    assert_eq!(response.data["new"], json!(["***"]));
    assert!(server.finish().iter().all(|request| request.header("x-api-key") == Some(KEY)));
}

#[test]
fn a_very_short_key_is_not_removed_from_data() {
    let words = json!({"_id": "a1", "filename": "test.mp4"});
    let refusal = json!({"message": "The key test is not valid."});
    let server = Server::start([Step::Answer(answer(200, &words)), Step::Answer(answer(401, &refusal))]);
    let client = builder(&server).api_key("test").build().unwrap();
    assert_eq!(client.assets().retrieve("a1").send().unwrap().filename.as_deref(), Some("test.mp4"));
    let e = client.assets().retrieve("a1").send().unwrap_err();
    assert!(e.to_string().starts_with("The key *** is not valid."), "{e}");
}

#[test]
fn an_answer_that_cannot_be_read_does_not_show_the_key() {
    let html = format!("<html><title>{KEY}</title>{KEY}</html>");
    let mut binary = answer_of_type(200, "application/json", &format!("xx{KEY}"));
    let at = binary.len() - KEY.len() - 2;
    binary[at] = 0xff;
    for bytes in [
        answer_of_type(200, "application/json", &format!("{{\"_id\": {KEY}}}")),
        answer_of_type(200, "application/json", &format!("{{\"_id\": [\"{KEY}\"]}}")),
        answer_of_type(200, "text/html", &html),
        answer_of_type(500, "text/html", &html),
        answer_of_type(401, "application/json", &format!("{{\"message\":\"The key {KEY} is not valid.\"}}")),
        answer_with(302, &[("location", &format!("https://other.example/?key={KEY}"))], &Value::Null),
        answer_with(404, &[("x-echo", KEY)], &json!({"code": KEY, "details": {"key": KEY}, "docs_url": KEY})),
        binary,
    ] {
        let server = Server::start([Step::Answer(bytes)]);
        let e = client(&server).assets().retrieve("a1").send().unwrap_err();
        is_clean(&format!("{e} {e:#} {e:?}"));
        match &e {
            Error::Api(e) => {
                is_clean(&format!("{:?} {:?} {:?}", e.headers, e.details, String::from_utf8_lossy(&e.body)))
            }
            Error::Decode { response, .. } => is_clean(&String::from_utf8_lossy(&response.body)),
            _ => {}
        }
    }
}

#[test]
fn pages_streams_and_failures_do_not_show_the_key() {
    let page = json!({"data": [{"_id": "a1", "filename": KEY}, {"_id": 7, "filename": KEY}], "page_info": {"page": 1, "total_page": 1}});
    let text = json!({"event_type": "text_generation", "text": KEY});
    let error = json!({"event_type": "error", "error": {"message": format!("The key {KEY} is used up."), "code": KEY}});
    let lines = format!("{{\"task_id\":\"{KEY}\"}}\nno json {KEY}\n");
    let failed = json!({"_id": "a1", "status": "failed", "error": {"message": KEY, "code": KEY}, "raw": KEY});
    let server = Server::start([
        Step::Answer(answer(200, &page)),
        Step::Answer(answer_of_type(200, "application/x-ndjson", &format!("{text}\n{error}\n"))),
        Step::Answer(answer_of_type(200, "application/jsonl", &lines)),
        Step::Answer(answer_of_type(200, "text/event-stream", &format!("event: {KEY}\nid: {KEY}\ndata: {KEY}\n\n"))),
        Step::Answer(answer_of_type(200, &format!("text/{KEY}"), KEY)),
        Step::Answer(answer(200, &failed)),
    ]);
    let client = client(&server);
    let list = client.assets().list().send().unwrap();
    is_clean(&format!("{:?}", list.response()));
    for item in list {
        is_clean(&format!("{item:?}"));
    }
    for event in client.analyze_stream().send().unwrap() {
        is_clean(&format!("{event:?}"));
    }
    for result in client.analyze_async().batches().results("b").send().unwrap() {
        is_clean(&format!("{result:?}"));
    }
    for event in client.call("GET", &["x"]).send_events().unwrap() {
        is_clean(&format!("{event:?}"));
    }
    is_clean(&format!("{:?}", client.call("GET", &["x"]).send_events().unwrap_err()));
    let e = client.assets().wait_for_done("a1").send().unwrap_err();
    is_clean(&format!("{e} {e:?}"));
    match e {
        Error::Failed(e) => is_clean(&e.raw.to_string()),
        other => panic!("{other:?}"),
    }
    server.finish();
}

#[test]
fn a_failure_is_short_in_debug() {
    let failed =
        json!({"_id": "a1", "status": "failed", "error": {"message": "x".repeat(1 << 20)}, "y": "y".repeat(1 << 20)});
    let server = Server::start([Step::Answer(answer(200, &failed))]);
    let e = client(&server).assets().wait_for_done("a1").send().unwrap_err();
    assert!(format!("{e:?}").len() < 10_000 && e.to_string().len() < 10_000, "{}", format!("{e:?}").len());

    // An error about thousands of chunks is short as well, as `main` prints it.
    let stand_in = StandIn::start();
    stand_in.chunks(1, 1);
    stand_in.fault("PUT /storage/{upload_id}/{chunk}", Fault::status(400).always());
    let e = stand_in.client().multipart_upload().upload_file(FileSource::bytes("a.mp4", content(50_000)));
    let e = e.max_retries(0).send().unwrap_err();
    let text = format!("{e:?}");
    assert!(matches!(&e, Error::Upload(e) if e.missing.len() == 50_000) && text.len() < 5000, "{}", text.len());
    assert!(text.contains("missing: [1, 2, 3, ") && text.contains("total_chunks: 50000"), "{text}");
}

/// Returns the documented answer of a storage to a signature that does not match.
fn signature_does_not_match(signature: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>The request \
         signature we calculated does not match the signature you provided.</Message><AWSAccessKeyId>AKIAIOSFODNN7\
         </AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\n20261124T000000Z\n</StringToSign><SignatureProvided>\
         {signature}</SignatureProvided><StringToSignBytes>41 57 53 34</StringToSignBytes><CanonicalRequest>PUT\n/b\n\
         X-Amz-Security-Token=IQoJb3JpZ2lu</CanonicalRequest><RequestId>R1</RequestId><HostId>H1</HostId></Error>"
    )
}

#[test]
fn a_refusal_of_the_storage_shows_neither_signature_nor_access_key() {
    const SIGNATURE: &str = "c0ffee1122334455667788990011";
    const CREDENTIAL: &str = "AKIAIOSFODNN7%2F20261124%2Fus-east-1";
    let query = format!("X-Amz-Credential={CREDENTIAL}&X-Amz-Signature={SIGNATURE}&X-Amz-Security-Token=IQoJb3JpZ2lu");
    let bodies = [
        ("application/xml", signature_does_not_match(SIGNATURE)),
        ("text/html", format!("<html><title>403</title>no /b?{query}</html>")),
        (
            "application/json",
            json!({"message": "denied", "query": query, "id": "AKIAIOSFODNN7/20261124/us-east-1"}).to_string(),
        ),
        ("application/xml", "<Fault><StringToSign>AWS4-HMAC-SHA256</StringToSign></Fault>".to_string()),
    ];
    for (kind, body) in bodies {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nx-amz-url: /b?{query}\r\n\r\n"
        );
        let refusal = [head.into_bytes(), body.into_bytes()].concat();
        let server = Server::start_with(|port| {
            let session = json!({
                "upload_id": "u1", "asset_id": "a1", "chunk_size": 1000, "total_chunks": 1,
                "upload_urls": [{"chunk_index": 1, "url": format!("http://127.0.0.1:{port}/b?{query}")}],
            });
            [Step::Answer(answer(201, &session)), Step::Answer(refusal)]
        });
        let file = FileSource::bytes("clip.mp4", content(1000));
        let e = client(&server).multipart_upload().upload_file(file).max_retries(0).send().unwrap_err();
        let mut shown = format!("{e} {e:#} {e:?}");
        let cause = match &e {
            Error::Upload(e) => &*e.cause,
            other => other,
        };
        match cause {
            Error::Api(e) => {
                shown += &format!("{:?} {:?} {}", e.headers, e.details, String::from_utf8_lossy(&e.body));
                assert_eq!((e.status, e.host.as_str()), (403, "127.0.0.1"));
                if kind.contains("xml") && e.code.is_some() {
                    assert_eq!(e.code.as_deref(), Some("SignatureDoesNotMatch"));
                    assert!(e.message.contains("does not match the signature you provided"), "{}", e.message);
                }
            }
            other => panic!("{other:?}"),
        }
        for secret in [SIGNATURE, CREDENTIAL, "AKIA", "AWS4-HMAC", "41 57 53", "IQoJb3JpZ2lu"] {
            assert!(!shown.contains(secret), "{kind}: {secret} in {shown}");
        }
        let request = &server.finish()[1];
        assert_eq!(request.path, "/b");
        assert!(
            request.query.contains(&("X-Amz-Signature".into(), SIGNATURE.into())),
            "the query itself is sent unchanged"
        );
        assert!(request.header("x-api-key").is_none());
    }
}

#[test]
fn an_observer_receives_nothing_secret() {
    let server = Server::start([
        Step::Answer(answer_with(200, &[("x-trace-id", KEY)], &json!({"_id": "a1"}))),
        Step::Answer(answer(401, &json!({"message": KEY}))),
    ]);
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let events = seen.clone();
    let client = builder(&server).api_key(KEY).observer(move |event| {
        events.lock().unwrap().push(format!("{event} {event:?}"));
    });
    let client = client.build().unwrap();
    let asset: Asset = client.assets().retrieve("a1").send().unwrap();
    client.assets().retrieve(&asset.id).send().unwrap_err();
    seen.lock().unwrap().iter().for_each(|text| is_clean(text));
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn debug_output_names_the_type_and_hides_the_key() {
    let event = answer_of_type(200, "text/event-stream", "data: a\n\n");
    let lines = answer_of_type(200, "application/jsonl", "{}\n");
    let page = answer(200, &json!({"data": [], "page_info": {"page": 1, "total_page": 1}}));
    let steps = [event, lines, page.clone(), page].map(Step::Answer);
    let server = Server::start(steps);
    let client = client(&server);
    let events = client.call("GET", &["x"]).send_events().unwrap();
    let results = client.analyze_async().batches().results("b").send().unwrap();
    let list = client.assets().list().send().unwrap();
    let mut pages = client.assets().list().send().unwrap().iter_pages();
    let fresh = format!("{pages:?}");
    while pages.next().is_some() {}
    assert_eq!((fresh.as_str(), format!("{pages:?}").as_str()), ("Pages { ended: false }", "Pages { ended: true }"));
    let waits = client.assets().wait_for_all(["a1"]);
    let batch = client.assets().upload_all(["no/such/file.mp4"]);
    for (name, text) in [
        ("Events", format!("{events:?}")),
        ("JsonLines", format!("{results:?}")),
        ("SyncPager", format!("{list:?}")),
        ("Call", format!("{:?}", client.assets().retrieve("a1"))),
        ("Wait", format!("{:?}", client.assets().wait_for_done("a1"))),
        ("WaitAll", format!("{waits:?}")),
        ("Waiting", format!("{:?}", waits.send().unwrap())),
        ("UploadAsset", format!("{:?}", client.assets().upload("a.mp4"))),
        ("UploadAll", format!("{batch:?}")),
        ("Uploads", format!("{:?}", batch.send().unwrap())),
    ] {
        assert!(text.starts_with(name), "{name}: {text}");
        is_clean(&text);
    }
}

#[test]
fn debug_shows_no_signature_of_a_url_and_json_keeps_it() {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    fn check<T: std::fmt::Debug + Serialize + DeserializeOwned>(json: Value) {
        let value: T = serde_json::from_value(json.clone()).unwrap();
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            assert!(!text.contains("s3cr3t") && text.contains("https://h/p?…"), "{text}");
        }
        assert!(serde_json::to_string(&value).unwrap().contains("s3cr3t"), "{json}");
    }

    let url = "https://h/p?X-Amz-Signature=s3cr3t&sig=s3cr3t";
    check::<Asset>(json!({"_id": "a", "url": url}));
    check::<Asset>(json!({"_id": "a", "hls": {"manifest_url": url}}));
    check::<Asset>(json!({"_id": "a", "thumbnail": {"representative_url": url}}));
    check::<Asset>(json!({"_id": "a", "source": {"details": {"source_link": url}}}));
    check::<twelvelabs::types::HlsObject>(json!({"video_url": url}));
    check::<twelvelabs::types::HlsObject>(json!({"thumbnail_urls": [url]}));
    check::<twelvelabs::search::SearchItem>(json!({"thumbnail_url": url}));
    check::<twelvelabs::search::SearchItem>(json!({"clips": [{"thumbnail_url": url}]}));
    check::<twelvelabs::multipart_upload::PresignedUrls>(json!({"upload_urls": [{"url": url}]}));
    check::<twelvelabs::multipart_upload::ChunkReport>(json!({"url": url}));
    check::<twelvelabs::multipart_upload::UploadResult>(json!({"asset_id": "a", "asset_url": url, "upload_id": "u"}));
    check::<twelvelabs::embed::EmbeddingMediaMetadata>(json!({"input_url": url}));
    check::<twelvelabs::embed::EmbeddingMetadata>(json!({"input_url": url}));
    check::<twelvelabs::analyze_async::AnalyzeTask>(json!({"task_id": "t", "video_source": {"url": url}}));
    check::<twelvelabs::analyze_async::AnalyzeTask>(json!({"task_id": "t", "webhooks": [{"url": url}]}));
    check::<twelvelabs::responses::ResponseAnnotation>(json!({"hls_url": url}));
    check::<twelvelabs::responses::ResponseAnnotation>(json!({"thumbnail_url": url}));
    check::<twelvelabs::analyze::VideoContext>(json!({"type": "url", "url": url}));
    check::<twelvelabs::analyze::AnalyzeImageInput>(json!({"name": "dog", "url": url}));
    check::<twelvelabs::knowledge_stores::SearchKnowledgeStoreHit>(
        json!({"asset_type": "map", "images": [{"url": url}]}),
    );
    let event = json!({"id": "w", "type": "batch.ready", "data": {"urls": [url]}});
    check::<twelvelabs::webhooks::WebhookEvent>(event);
    check::<twelvelabs::ServerSentEvent>(json!({"event": "", "data": url, "id": null}));
}

#[test]
fn debug_of_what_is_sent_and_streamed_shows_no_signature_and_no_additional_header() {
    use twelvelabs::analyze::VideoContext;
    use twelvelabs::assets::UploadMethod;
    use twelvelabs::embed::{EmbedInput, EmbedTaskVideo, MediaSource};

    let url = "https://h/p?X-Amz-Signature=s3cr3t&sig=s3cr3t";
    let inside = json!({"url": url, "text": format!("see {url} now")}).to_string();
    let item = json!({"id": "i", "type": "function_call_output", "output": inside});
    let events = [
        json!({"type": "response.output_item.done", "item": item}),
        json!({"type": "response.new", "list": [{"url": url}], "text": inside}),
    ];
    let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let line = format!("{}\n", json!({"event_type": "new", "url": url, "text": inside}));
    let event_stream = || Step::Answer(answer_of_type(200, "text/event-stream", &events));
    let server = Server::start([
        event_stream(),
        event_stream(),
        Step::Answer(answer_of_type(200, "application/x-ndjson", &line)),
    ]);
    let client = client(&server);
    let mut texts = Vec::new();
    let mut response = client.responses().create_stream("k", "?").send().unwrap();
    texts.extend([response.next(), response.next()].map(|event| format!("{:?}", event.unwrap().unwrap())));
    texts.push(format!("{response:?}"));
    let events = client.call("GET", &["x"]).query("url", url).send_events().unwrap();
    texts.extend(events.map(|event| format!("{:#?}", event.unwrap())));
    texts.push(format!("{:?}", client.analyze_stream().send().unwrap().next().unwrap().unwrap()));
    let v2 = client.embed().v2();
    let image = || EmbedInput::image(MediaSource::url(url));
    let options = RequestOptions::new()
        .additional_header("authorization", "s3cr3t")
        .additional_query_parameter("url", url)
        .additional_body_parameter("more", json!({"url": [url]}));
    texts.extend([
        format!("{:?}", client.analyze().video(VideoContext::url(url)).prompt(format!("What is in {url}?"))),
        format!("{:?}", client.assets().create(UploadMethod::url(url))),
        format!("{:?}", UploadMethod::url(url)),
        format!("{:?}", client.call("POST", &["x"]).query("url", url).json("url", url)),
        format!("{:#?}", client.call("POST", &["x"]).form("url", [url])),
        format!("{:?}", client.responses().conversation("k").ask(url)),
        format!("{:?}", client.analyze_async().tasks().list().video_url(url)),
        format!("{:?}", image()),
        format!("{:?}", v2.create(image(), "marengo3.0")),
        format!("{:?}", v2.create_many([image()], "marengo3.0")),
        format!("{:?}", EmbedTaskVideo::video_url(url)),
        format!("{options:?}"),
        format!("{:?}", client.assets().upload_url(url)),
    ]);
    for text in texts {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
    assert!(format!("{options:?}").contains("authorization") && format!("{:?}", image()).contains("https://h/p?…"));
}
