//! The effect of call options: the requests of a workflow that they reach, and the values that they replace.

use serde_json::{Value, json};
use twelvelabs::indexes::IndexModelInput;
use twelvelabs::multipart_upload::ResumableUpload;
use twelvelabs::search::SearchOption;
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs};

use crate::server::{API_KEY, Received, Server, Step, answer, answer_with, builder, client};

fn options() -> RequestOptions {
    RequestOptions::new()
        .additional_header("x-extra", "1")
        .additional_query_parameter("extra", "2")
        .additional_body_parameter("extra", "3")
}

fn ok(body: Value) -> Step {
    Step::Answer(answer(200, &body))
}

/// Returns which requests contain the additional header and the query parameter.
fn reached(requests: &[Received]) -> (Vec<bool>, Vec<bool>) {
    let in_query = |request: &Received| request.query.iter().any(|(name, _)| name == "extra");
    (
        requests.iter().map(|request| request.header("x-extra").is_some()).collect(),
        requests.iter().map(in_query).collect(),
    )
}

fn form(request: &Received) -> Vec<(String, String)> {
    request.parts().iter().filter(|part| part.filename.is_none()).map(|part| (part.name.clone(), part.text())).collect()
}

#[test]
fn an_upload_in_one_request_sends_parameters_only_with_the_file() {
    let asset = |status: &str| json!({"_id": "a1", "status": status});
    let server = Server::start([ok(asset("processing")), ok(asset("processing")), ok(asset("ready"))]);
    let (client, _) = client(&server);
    let file = FileSource::bytes("a.mp4", *b"video");
    client.assets().upload(file).request_options(options()).send().unwrap();
    let requests = server.received();
    assert_eq!(reached(&requests), (vec![true; 3], vec![true, false, false]));
    assert!(form(&requests[0]).contains(&("extra".into(), "3".into())));
    assert!(requests[1..].iter().all(|request| request.body.is_empty()));
}

/// Returns the requests of a chunked upload of 8 bytes in two chunks, resumed or not.
fn chunked(resumed: bool) -> Vec<Received> {
    let session = |port: u16| {
        let url = |index: u32| json!({"chunk_index": index, "url": format!("http://127.0.0.1:{port}/put/{index}")});
        json!({
            "upload_id": "u1", "asset_id": "a1", "chunk_size": 4, "total_chunks": 2, "upload_urls": [url(1), url(2)],
        })
    };
    let stored = || Step::Answer(answer_with(200, &[("etag", "\"e\"")], &Value::Null));
    let server = Server::start_with(|port| {
        let begin = if resumed {
            let chunk = |index: u32| json!({"index": index, "status": "pending"});
            let page = json!({"page": 1, "total_page": 1, "total_results": 2});
            vec![
                ok(json!({
                    "upload_id": "u1", "status": "active", "total_size": 8, "uploaded_chunks": [chunk(1), chunk(2)],
                    "page_info": page,
                })),
                ok(json!({"upload_id": "u1", "upload_urls": session(port)["upload_urls"]})),
            ]
        } else {
            vec![ok(session(port))]
        };
        begin.into_iter().chain([stored(), stored(), ok(json!({"total_completed": 2}))])
    });
    let (client, _) = client(&server);
    let source = FileSource::bytes("a.mp4", b"12345678".as_slice());
    let upload = client.multipart_upload().upload_file(source).max_workers(1).request_options(options());
    let upload = if resumed {
        let state = json!({"upload_id": "u1", "asset_id": "a1", "chunk_size": 4});
        upload.resume(serde_json::from_value::<ResumableUpload>(state).unwrap())
    } else {
        upload
    };
    upload.send().unwrap();
    server.received()
}

#[test]
fn a_chunked_upload_sends_parameters_only_with_the_session() {
    let requests = chunked(false);
    assert_eq!(requests[0].json()["extra"], "3");
    // The storage receives none of these options.
    let (headers, query) = reached(&requests);
    assert_eq!((headers, query), (vec![true, false, false, true], vec![true, false, false, false]));
    assert_eq!(requests[3].json().get("extra"), None);
}

#[test]
fn a_resumed_upload_creates_nothing_and_sends_no_parameters() {
    let requests = chunked(true);
    let (_, query) = reached(&requests);
    assert!(!query.contains(&true), "{requests:?}");
    let to_api: Vec<_> = requests.iter().filter(|request| !request.path.starts_with("/put/")).collect();
    assert!(to_api.iter().all(|request| request.header("x-extra") == Some("1")));
    assert!(to_api.iter().all(|request| !String::from_utf8_lossy(&request.body).contains("extra")));
}

#[test]
fn ensure_sends_parameters_with_the_index_that_it_creates() {
    let index = json!({"_id": "i1", "index_name": "a"});
    let server = Server::start([ok(json!({"data": []})), ok(json!({"_id": "i1"})), ok(index)]);
    let (client, _) = client(&server);
    let ensure = client.indexes().ensure("a", [IndexModelInput::new("marengo3.0", ["visual"])]);
    assert!(ensure.request_options(options()).send().unwrap().created);
    let requests = server.received();
    assert_eq!(reached(&requests), (vec![true; 3], vec![false, true, false]));
    assert_eq!(requests[1].json()["extra"], "3");
}

#[test]
fn an_option_replaces_what_the_call_sends() {
    let server = Server::start((0..4).map(|_| ok(json!({"data": [], "_id": "x"}))));
    let (client, _) = client(&server);
    let more = RequestOptions::new()
        .additional_body_parameter("query_text", "b")
        .additional_body_parameter("search_options", ["audio", "visual"])
        .additional_body_parameter("group_by", Vec::<String>::new());
    let search = client.search().create("i1", [SearchOption::Transcription]).query_text("a").group_by("video");
    search.request_options(more).send().unwrap();
    let more = RequestOptions::new()
        .additional_query_parameter("filename", "b")
        .additional_query_parameter("asset_ids", Vec::<String>::new())
        .additional_query_parameter("page", 3)
        .additional_header("accept-encoding", "identity")
        .additional_header("X-Team", "films");
    let mut list = client.assets().list().filename("a").asset_ids(["a1"]).page_limit(5).request_options(more);
    list = list.when_some(None::<u32>, |list, page| list.page(page));
    assert_eq!(list.send().unwrap().count(), 0);
    let more =
        RequestOptions::new().additional_body_parameter("name", "b").additional_body_parameter("more", json!(null));
    client.knowledge_stores().create("a").request_options(more).send().unwrap();

    let requests = server.received();
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    let sent = form(&requests[0]);
    let mut expected = vec![pair("index_id", "i1"), pair("query_text", "b")];
    expected.extend([pair("search_options", "audio"), pair("search_options", "visual")]);
    assert_eq!(sent, expected);
    let mut query = requests[1].query.clone();
    query.sort();
    assert_eq!(query, [pair("filename", "b"), pair("page", "3"), pair("page_limit", "5")]);
    for name in ["accept-encoding", "x-team"] {
        let count = requests[1].headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).count();
        assert_eq!(count, 1, "{name}: {:?}", requests[1].headers);
    }
    assert_eq!(requests[2].json(), json!({"name": "b", "more": null}));
}

#[test]
fn a_header_that_belongs_to_the_request_is_refused_and_never_doubled() {
    let server = Server::start([]);
    let (client, _) = client(&server);
    for name in ["x-api-key", "X-Api-Key", "Host", "content-length", "Transfer-Encoding", "expect"] {
        let options = RequestOptions::new().additional_header(name, "1");
        let e = client.assets().retrieve("a1").request_options(options).send().unwrap_err();
        assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument.contains(name)), "{e:?}");
        let e = builder(&server).header(name, "1").build().unwrap_err();
        assert!(e.to_string().contains("cannot be set"), "{e}");
    }
    assert!(server.received().is_empty());
}

#[test]
fn a_form_and_a_query_have_no_null() {
    let client = TwelveLabs::builder().api_key(API_KEY).base_url("http://127.0.0.1:9").build().unwrap();
    let null = RequestOptions::new().additional_body_parameter("extra", json!(["a", null]));
    let e = client.search().create("i1", ["visual"]).query_text("a").request_options(null).send().unwrap_err();
    assert!(e.to_string().starts_with("`extra` is null"), "{e}");
    let null = RequestOptions::new().additional_query_parameter("extra", json!({"a": null}));
    let e = client.assets().list().request_options(null).send().unwrap_err();
    assert!(e.to_string().starts_with("`extra` is null"), "{e}");
}
