//! Searches across pages, indexes that are found or created, and waits for indexed assets.

use std::time::Duration;

use crate::server::{Server, Step, answer, client};
use serde_json::{Value, json};
use twelvelabs::indexes::{IndexModelInput, IndexedAssetStatus, ModelOption};
use twelvelabs::search::SearchOption;
use twelvelabs::testing::StandIn;
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs};

fn ok(body: Value) -> Step {
    Step::Answer(answer(200, &body))
}

fn refused(status: u16, code: &str) -> Step {
    Step::Answer(answer(status, &json!({"code": code, "message": "refused"})))
}

/// Returns a page of hits in these videos, with the token of the next page.
fn hits(videos: &[&str], next: Option<&str>) -> Step {
    let data: Vec<Value> = videos.iter().map(|video| json!({"video_id": video, "start": 1, "end": 2.5})).collect();
    ok(json!({"data": data, "page_info": {"limit_per_page": 2, "total_results": 9, "next_page_token": next}}))
}

fn videos(server: &Server) -> Vec<String> {
    let list = client(server).0.search().query("i1", [SearchOption::Visual]).query_text("a dog").send().unwrap();
    list.map(|hit| hit.map_or_else(|e| format!("error: {e}"), |hit| hit.video_id.unwrap())).take(20).collect()
}

#[test]
fn all_pages_are_read_with_the_settings_of_the_first() {
    let server = Server::start([hits(&["v1", "v2"], Some("t/2")), hits(&[], Some("t3")), hits(&["v1"], None)]);
    let options = RequestOptions::new()
        .additional_header("x-team", "films")
        .additional_query_parameter("trace", 1)
        .additional_body_parameter("beta", true);
    let mut list = client(&server)
        .0
        .search()
        .query("i1", [SearchOption::Visual])
        .query_media_type("image")
        .query_media_file(FileSource::reader("dog.jpg", &b"an image"[..]))
        .include_user_metadata(true)
        .request_options(options)
        .send()
        .unwrap();
    assert!(list.has_next());
    assert_eq!(list.page_info().unwrap().next_page_token.as_deref(), Some("t/2"));
    let found: Vec<_> = list.by_ref().map(|hit| hit.unwrap().video_id.unwrap()).collect();
    assert_eq!(found, ["v1", "v2", "v1"], "an empty page is not the end, and a video may have more than one hit");
    assert!(!list.has_next() && list.next().is_none());
    let received = server.finish();
    let paths: Vec<_> = received.iter().map(|received| format!("{} {}", received.method, received.path)).collect();
    assert_eq!(paths, ["POST /v1.3/search", "GET /v1.3/search/t%2F2", "GET /v1.3/search/t3"]);
    assert!(received.iter().all(|received| received.header("x-team") == Some("films")));
    for page in &received[1..] {
        let query = [("include_user_metadata", "true"), ("trace", "1")].map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!((page.query.as_slice(), page.body.as_slice()), (&query[..], &b""[..]));
    }
}

#[test]
fn a_failed_page_is_an_error_and_not_a_silent_end() {
    let server = Server::start([hits(&["v1"], Some("t2")), refused(400, "page_token_expired")]);
    assert_eq!(videos(&server), ["v1", "error: refused [page_token_expired, 400] (GET /search/t2 at 127.0.0.1)"]);
    server.finish();
    // A GET may be retried, and is.
    let server = Server::start([hits(&["v1"], Some("t2")), refused(500, "x"), hits(&["v2"], None)]);
    assert_eq!(videos(&server), ["v1", "v2"]);
    server.finish();
}

#[test]
fn a_server_that_repeats_a_token_or_a_page_ends_the_list() {
    let server = Server::start([hits(&["v1"], Some("t2")), hits(&["v2"], Some("t3")), hits(&["v3"], Some("t2"))]);
    let found = videos(&server);
    assert_eq!(found[..3], ["v1", "v2", "v3"]);
    assert!(found.len() == 4 && found[3].contains("token") && found[3].contains("GET /search/t2"), "{found:?}");
    server.finish();
    let server = Server::start([hits(&["v1"], Some("t2")), hits(&["v1"], Some("t3"))]);
    let found = videos(&server);
    assert!(found.len() == 2 && found[1].contains("returned page 1 again as page 2"), "{found:?}");
    server.finish();
    // No request can name such a page. This is the server's fault, not that of an argument.
    for token in ["..", ".", "a\nb", &"t".repeat(70_000)] {
        let server = Server::start([hits(&["v1"], Some("t2")), hits(&["v2"], Some(token))]);
        let list = client(&server).0.search().query("i1", ["visual"]).query_text("a dog").send().unwrap();
        let found: Vec<_> = list.collect();
        assert!(matches!(found[..], [Ok(_), Err(Error::Decode { .. })]), "{found:?}");
        server.finish();
    }
    let unreadable = json!({"data": [{"video_id": "v2"}], "page_info": {"next_page_token": ["t3"]}});
    let server = Server::start([hits(&["v1"], Some("t2")), ok(unreadable)]);
    let found = videos(&server);
    assert!(found.len() == 2 && found[1].contains("next_page_token"), "{found:?}");
    server.finish();
}

#[test]
fn pages_of_a_search_one_by_one() {
    let server = Server::start([hits(&["v1"], Some("t2")), hits(&["v2", "v3"], None)]);
    let list = client(&server).0.search().query("i1", ["visual"]).query_text("a dog").send().unwrap();
    let sizes: Vec<usize> = list.iter_pages().map(|page| page.unwrap().items().len()).collect();
    assert_eq!(sizes, [1, 2]);
    server.finish();
    let server = Server::start([]);
    let e = client(&server).0.search().query("i1", ["visual"]).page_limit(0).send().unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "page_limit"), "{e}");
}

#[test]
fn an_item_that_cannot_be_decoded_is_an_error_in_its_place() {
    let bad = json!({"data": [{"video_id": "v1", "start": "?"}, 5], "page_info": {"next_page_token": "t2"}});
    let server = Server::start([ok(bad), hits(&["v2"], None)]);
    let found = videos(&server);
    assert_eq!((found.len(), found[0].as_str(), found[2].as_str()), (3, "v1", "v2"));
    assert!(found[1].contains("item 1 of page 1"), "{found:?}");
}

/// Returns a page of indexes with these names, from which the ids are derived.
fn indexes(names: &[&str], page: u32, total: u32) -> Step {
    let data: Vec<Value> =
        names.iter().map(|name| json!({"_id": format!("id of {name}"), "index_name": name, "models": []})).collect();
    ok(json!({"data": data, "page_info": {"page": page, "total_page": total}}))
}

fn ensure(server: &Server) -> Result<(String, bool), Error> {
    let model = IndexModelInput::new("marengo3.0", [ModelOption::Visual]);
    let options = RequestOptions::new().additional_header("x-team", "films");
    let ensure = client(server).0.indexes().ensure("films", [model]).addons(["thumbnail"]).request_options(options);
    let ensured = ensure.send()?;
    assert_eq!(ensured.index.index_name.as_deref(), Some("films"));
    Ok((ensured.index.id, ensured.created))
}

#[test]
fn an_index_is_found_by_its_exact_name_on_any_page() {
    let server = Server::start([indexes(&["films of 2026", "Films"], 1, 2), indexes(&["old films", "films"], 2, 2)]);
    assert_eq!(ensure(&server).unwrap(), ("id of films".into(), false));
    for (number, received) in server.finish().iter().enumerate() {
        let query: Vec<_> = received.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(query, ["index_name=films", "page_limit=50", &format!("page={}", number + 1)]);
    }
}

#[test]
fn a_missing_index_is_created() {
    let created = Step::Answer(answer(201, &json!({"_id": "NEW"})));
    let retrieved = ok(json!({"_id": "NEW", "index_name": "films", "models": [{"model_name": "marengo3.0"}]}));
    let server = Server::start([indexes(&["film"], 1, 1), created, retrieved]);
    assert_eq!(ensure(&server).unwrap(), ("NEW".into(), true));
    let received = server.finish();
    let models = json!([{"model_name": "marengo3.0", "model_options": ["visual"]}]);
    assert_eq!(received[1].json(), json!({"index_name": "films", "models": models, "addons": ["thumbnail"]}));
    assert!(received.iter().all(|received| received.header("x-team") == Some("films")));
}

#[test]
fn an_index_that_another_program_creates_first_is_found() {
    let taken = || refused(409, "index_name_already_exists");
    let server = Server::start([indexes(&[], 1, 1), taken(), indexes(&["other"], 1, 2), indexes(&["films"], 2, 2)]);
    assert_eq!(ensure(&server).unwrap(), ("id of films".into(), false));
    let received = server.finish();
    assert!(received[2].query.iter().all(|(name, _)| name != "index_name"), "the second search reads all indexes");
    // A conflict about something else is returned as an error.
    let server = Server::start([indexes(&[], 1, 1), taken(), indexes(&["other"], 1, 1)]);
    assert_eq!(ensure(&server).unwrap_err().code(), Some("index_name_already_exists"));
    server.finish();
    let server = Server::start([indexes(&[], 1, 1), refused(400, "parameter_invalid")]);
    assert_eq!(ensure(&server).unwrap_err().status(), Some(400));
    server.finish();
    // An index that no request can name is the server's fault, not that of an argument.
    let server = Server::start([indexes(&[], 1, 1), ok(json!({"_id": ".."}))]);
    let e = ensure(&server).unwrap_err();
    assert!(matches!(&e, Error::Decode { .. }) && e.to_string().contains("the id cannot be used"), "{e}");
    server.finish();
}

#[test]
fn waits_end_when_it_is_indexed_or_has_failed() {
    let look = |status: &str| ok(json!({"_id": "x1", "status": status}));
    let states = ["validating", "pending", "queued", "indexing", "dreaming", "ready"];
    let server = Server::start(states.map(look));
    let (wait, _) = client(&server);
    let indexed = wait.indexes().indexed_assets().wait_for_done("i1", "x1").send().unwrap();
    assert_eq!(indexed.status, Some(IndexedAssetStatus::Ready));
    let received = server.finish();
    assert!(received.iter().all(|received| received.path == "/v1.3/indexes/i1/indexed-assets/x1"));

    let server = Server::start([look("queued"), look("failed"), look("uploading"), look("failed")]);
    let (wait, _) = client(&server);
    let e = wait.indexes().indexed_assets().wait_for_done("i1", "x1").send().unwrap_err();
    assert_eq!(e.to_string(), "indexed asset x1 ended as `failed`: the platform gave no reason");
    let e = wait.tasks().wait_for_done("x1").send().unwrap_err();
    assert_eq!(e.to_string(), "task x1 ended as `failed`: the platform gave no reason");
    server.finish();
}

#[test]
fn a_video_of_a_task_is_found() {
    let stand_in = StandIn::start();
    let client = TwelveLabs::builder().api_key("k").base_url(stand_in.url()).build().unwrap();
    let model = || IndexModelInput::new("marengo3.0", [ModelOption::Visual]);
    let index_id = client.indexes().ensure("films", [model()]).send().unwrap().index.id;
    assert!(!client.indexes().ensure("films", [model()]).send().unwrap().created);
    let create = client.tasks().create(&index_id).video_url("https://example.com/a.mp4");
    let task = create.user_metadata(json!({"category": "recent"})).send().unwrap();
    let task = client.tasks().wait_for_done(&task.id).sleep_interval(Duration::from_millis(1)).send().unwrap();
    let search = client.search().query(&index_id, ["transcription"]).query_text("castle").page_limit(1);
    let hits: Vec<_> = search.include_user_metadata(true).send().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(stand_in.count("GET /search/{token}"), hits.len() - 1);
    assert!(hits[0].transcription.as_deref().unwrap().contains("castle"));
    for (number, hit) in hits.iter().enumerate() {
        assert_eq!((hit.video_id.as_deref(), hit.rank), (task.video_id.as_deref(), Some(number as i64 + 1)));
        assert_eq!(hit.user_metadata.as_ref().unwrap()["category"], "recent");
    }
}
