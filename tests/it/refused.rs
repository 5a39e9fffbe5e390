//! Arguments that cannot be sent: sending the call is an error, and never sends `null`, nothing, or another value.

use std::collections::BTreeMap;

use crate::server::{Received, Server, Step, answer, client};
use serde::{Serialize, Serializer};
use serde_json::json;
use twelvelabs::analyze::{AnalyzeTimeRange, ResponseFormat, SegmentDefinition, SegmentField, SegmentFieldType};
use twelvelabs::analyze_async::{BatchDefaults, BatchItemRequest};
use twelvelabs::assets::UploadMethod;
use twelvelabs::embed::{AudioInput, EmbedInput, EmbedTaskVideo, MediaSource, TimeBasedMetadataEntry, VideoInput};
use twelvelabs::entity_collections::EntityInput;
use twelvelabs::search::SearchFilter;
use twelvelabs::{Error, FileSource, RequestOptions, Result, TwelveLabs};

/// Makes calls that are all refused. Checks the argument and the reason of each, and that nothing was sent.
fn refused(calls: impl FnOnce(&TwelveLabs) -> Vec<(Result<()>, &'static str, &'static str)>) {
    let server = Server::start([]);
    for (n, (result, name, why)) in calls(&client(&server).0).into_iter().enumerate() {
        let e = result.expect_err(&format!("call {n}, {name}"));
        assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == name), "call {n}: {e}");
        assert!(e.to_string().contains(why), "call {n}: {e}");
    }
    assert!(server.finish().is_empty(), "nothing was sent");
}

/// Returns the only request of a call.
fn sent(call: impl FnOnce(&TwelveLabs)) -> Received {
    let server = Server::start([Step::Answer(answer(200, &json!({"data": [], "page_info": {}})))]);
    call(&client(&server).0);
    server.finish().remove(0)
}

fn query(received: &Received) -> Vec<String> {
    let mut query: Vec<String> = received.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    query.sort();
    query
}

/// A value that no serializer can write.
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("I will not"))
    }
}

#[test]
fn a_body_is_json_or_a_form() {
    let file = || FileSource::bytes("a.mp4", *b"video");
    refused(|client| {
        let call = |method| client.call(method, &["things"]);
        vec![
            (
                call("POST").file("file", file()).form("a", 1).json("b", 2).send().map(drop),
                "b",
                "either JSON or a form",
            ),
            (call("POST").json("a", 1).file("file", file()).send().map(drop), "file", "either JSON or a form"),
            (call("PUT").json("a", 1).form("b", 2).send().map(drop), "b", "either JSON or a form"),
            (call("GET").form("a", 1).send().map(drop), "method", "must not be GET with a body"),
            (call("GET").json("a", 1).send().map(drop), "method", "must not be GET with a body"),
            (call("GET").file("file", file()).send().map(drop), "method", "must not be GET with a body"),
        ]
    });
    let received = sent(|client| drop(client.call("DELETE", &["things"]).json("a", 1).send().unwrap()));
    assert_eq!(received.json(), json!({"a": 1}), "a DELETE may have a body");
}

#[test]
fn chunks_are_numbered_from_1() {
    refused(|client| {
        let urls = |start, count| client.multipart_upload().get_additional_presigned_urls("u", start, count).send();
        let why = "`count` must be at least 1";
        vec![(urls(0, 1).map(drop), "start", why), (urls(1, 0).map(drop), "start", why)]
    });
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let metadata = || BTreeMap::from([("rating", f64::NAN)]);
    refused(|client| {
        let option = |options| client.assets().retrieve("a").request_options(options).send().map(drop);
        let post = || client.call("POST", &["things"]);
        let batch = |request| client.analyze_async().batches().create("pegasus1.5", "general", [request]);
        let item = || BatchItemRequest::new(twelvelabs::analyze::VideoContext::asset_id("a"));
        let segments = |definition: SegmentDefinition| {
            client.analyze().response_format(ResponseFormat::segment_definitions([definition])).send().map(drop)
        };
        let embed = |input| client.embed().v2().create(input, "marengo3.0").send().map(drop);
        let source = || MediaSource::asset_id("a");
        let entities = || client.entity_collections().entities();
        vec![
            (client.analyze().temperature(f64::NAN).send().map(drop), "temperature", "NaN is not finite"),
            (client.analyze().start_time(f64::NEG_INFINITY).send().map(drop), "start_time", "-inf is not finite"),
            (client.tasks().list().duration(f64::NAN).send().map(drop), "duration", "finite"),
            (client.assets().update_user_metadata("a", metadata()).send(), "user_metadata", "finite"),
            (
                client
                    .assets()
                    .list()
                    .filename("x")
                    .request_options(RequestOptions::new().additional_query_parameter("q", f64::INFINITY))
                    .send()
                    .map(drop),
                "q",
                "finite",
            ),
            (option(RequestOptions::new().additional_query_parameter("q", [f32::NAN])), "q", "finite"),
            (option(RequestOptions::new().additional_body_parameter("b", metadata())), "b", "finite"),
            (post().json("a", json!({"b": 1})).json("c", f64::NAN).send().map(drop), "c", "finite"),
            (post().form("a", vec![1.0, f64::INFINITY]).send().map(drop), "a", "finite"),
            (post().query("a", f32::NEG_INFINITY).send().map(drop), "a", "finite"),
            (batch(item().temperature(f64::NAN)).send().map(drop), "requests", "`temperature`: NaN"),
            (
                batch(item()).defaults(BatchDefaults::new().start_time(f64::NAN)).send().map(drop),
                "defaults",
                "`start_time`",
            ),
            (batch(item().field("later", metadata())).send().map(drop), "requests", "`later`"),
            (
                segments(SegmentDefinition::new("a", "b").time_ranges([0.0..=f64::INFINITY])),
                "response_format",
                "`end_time`",
            ),
            (
                segments(SegmentDefinition::new("a", "b").time_ranges([AnalyzeTimeRange::new(f64::NAN, 1.0)])),
                "response_format",
                "`time_ranges`: `start_time`",
            ),
            (
                segments(
                    SegmentDefinition::new("a", "b")
                        .fields([SegmentField::new("c", SegmentFieldType::Number, "d").field("minimum", f64::NAN)]),
                ),
                "response_format",
                "`fields`: `minimum`",
            ),
            (embed(EmbedInput::video(VideoInput::new(source()).start_sec(f64::NAN))), "video", "`start_sec`"),
            (
                embed(EmbedInput::audio(AudioInput::new(source()).time_based_metadata([TimeBasedMetadataEntry::new(
                    0.0,
                    f64::NAN,
                    "a",
                )]))),
                "audio",
                "`time_based_metadata`: `end`",
            ),
            (
                client
                    .embed()
                    .tasks()
                    .create_bulk(
                        "marengo3.0",
                        [EmbedTaskVideo::video_url("https://a.b/c.mp4").video_clip_length(f64::NAN)],
                    )
                    .send()
                    .unwrap()
                    .remove(0)
                    .result
                    .map(drop),
                "videos",
                "`video_clip_length`",
            ),
            (
                entities().create_bulk("c", [EntityInput::new("Ana", ["a"]).metadata(metadata())]).send().map(drop),
                "entities",
                "`metadata`: NaN",
            ),
            (
                client.assets().upload(FileSource::bytes("a.mp4", *b"v")).user_metadata(metadata()).send().map(drop),
                "user_metadata",
                "finite",
            ),
            (
                client
                    .multipart_upload()
                    .upload_file(FileSource::bytes("a.mp4", *b"v"))
                    .user_metadata(metadata())
                    .send()
                    .map(drop),
                "user_metadata",
                "finite",
            ),
            (client.assets().upload_all(["src"]).user_metadata(metadata()).send().map(drop), "user_metadata", "finite"),
        ]
    });
}

#[test]
fn values_that_cannot_be_written_as_json() {
    refused(|client| {
        let list = |options| client.assets().list().request_options(options).send().map(drop);
        vec![
            (client.call("POST", &["a"]).json("b", Stubborn).send().map(drop), "b", "I will not"),
            (client.assets().update_user_metadata("a", Stubborn).send(), "user_metadata", "I will not"),
            (list(RequestOptions::new().additional_query_parameter("q", Stubborn)), "q", "I will not"),
            (list(RequestOptions::new().additional_body_parameter("b", Stubborn)), "b", "I will not"),
            (
                client.assets().upload(FileSource::bytes("a.mp4", *b"v")).user_metadata(Stubborn).send().map(drop),
                "user_metadata",
                "I will not",
            ),
            (
                client
                    .search()
                    .query("i", ["visual"])
                    .filter(SearchFilter::new().field("a", Stubborn))
                    .send()
                    .map(drop),
                "filter",
                "`a`: I will not",
            ),
            (
                client
                    .analyze_async()
                    .batches()
                    .create(
                        "m",
                        "general",
                        [BatchItemRequest::new(twelvelabs::analyze::VideoContext::asset_id("a")).field("b", Stubborn)],
                    )
                    .send()
                    .map(drop),
                "requests",
                "`b`: I will not",
            ),
        ]
    });
}

#[test]
fn metadata_is_an_object_or_the_json_text_of_one() {
    refused(|client| {
        let entity = |metadata| {
            let input = EntityInput::new("Ana", ["a"]).metadata(metadata);
            client.entity_collections().entities().create_bulk("c", [input]).send().map(drop)
        };
        vec![
            (entity(json!("captain")), "entities", "`metadata`: must be an object"),
            (entity(json!([1])), "entities", "`metadata`: must be an object"),
            (client.assets().replace_user_metadata("a", "{\"a\": ").send(), "user_metadata", "must be an object"),
            (
                client.assets().upload_all(["src"]).user_metadata(5).send().map(drop),
                "user_metadata",
                "must be an object",
            ),
        ]
    });
    let text = json!({"captain": true}).to_string();
    let received = sent(|client| client.assets().replace_user_metadata("a", &text).send().unwrap());
    assert_eq!(received.json(), json!({"user_metadata": {"captain": true}}));
    let received = sent(|client| {
        let input = EntityInput::new("Ana", ["a"]).metadata(&text);
        drop(client.entity_collections().entities().create_bulk("c", [input]).send().unwrap());
    });
    assert_eq!(received.json()["entities"][0]["metadata"], json!({"captain": true}));
    let received = sent(|client| {
        drop(client.indexes().indexed_assets().list("i").user_metadata(&text).send().unwrap());
    });
    assert_eq!(query(&received), ["captain=true", "page=1"]);
}

#[test]
fn a_filter_that_would_filter_nothing_is_refused() {
    refused(|client| {
        let assets = || client.assets().list();
        let indexed = |metadata| client.indexes().indexed_assets().list("i").user_metadata(metadata).send().map(drop);
        let videos = |metadata| client.indexes().videos().list("i").user_metadata(metadata).send().map(drop);
        let stores = |filter| client.knowledge_stores().search("k", "a dog").filter(filter).send().map(drop);
        let search = |filter| client.search().query("i", ["visual"]).filter(filter).send().map(drop);
        vec![
            (indexed(json!({"category": null})), "user_metadata", "`category` is null"),
            (videos(json!({"category": []})), "user_metadata", "`category` is an empty list"),
            (indexed(json!({"size": null})), "user_metadata", "`size` is null"),
            (search(json!({"category": null})), "filter", "`category` is null"),
            (stores(json!({"item_id": {"eq": null}})), "filter", "`item_id` is null"),
            (stores(json!({"item_id": {"in": []}})), "filter", "`item_id` is an empty list"),
            (search(json!({"duration": {"gte": null}})), "filter", "`duration` is null"),
            (search(json!({"id": ["a", null]})), "filter", "`id` is null"),
            (assets().asset_ids(Vec::<String>::new()).send().map(drop), "asset_ids", "is an empty list"),
            (assets().asset_types(Vec::<String>::new()).send().map(drop), "asset_types", "is an empty list"),
            (client.call("GET", &["a"]).query("b", None::<i32>).send().map(drop), "b", "is null"),
            (
                assets()
                    .request_options(RequestOptions::new().additional_query_parameter("q", json!([null])))
                    .send()
                    .map(drop),
                "q",
                "is null",
            ),
        ]
    });
}

#[test]
fn a_filter_by_metadata_replaces_the_earlier_one() {
    let received = sent(|client| {
        let list = client.indexes().indexed_assets().list("i").status(["ready"]).user_metadata(json!({"a": 1, "b": 2}));
        drop(list.user_metadata(json!({"b": 3, "status": "new", "page": 7})).page(2).send().unwrap());
    });
    // Additional parameters with the list's own names would be mistaken for them.
    assert_eq!(
        query(&received),
        ["b=3", "page=2", "status=ready", "user_metadata[page]=7", "user_metadata[status]=new"]
    );
    let received = sent(|client| {
        drop(client.indexes().videos().list("i").user_metadata(json!({"status": "new"})).send().unwrap());
    });
    assert_eq!(query(&received), ["page=1", "status=new"], "this list has no `status` filter of its own");
}

#[test]
fn a_refusal_for_size_names_the_documented_limit() {
    let server = Server::start((0..4).map(|_| Step::Answer(answer(413, &json!({"message": "Too large."})))));
    let (client, _) = client(&server);
    let file = || FileSource::bytes("a.mp4", *b"a");
    let by_url = UploadMethod::url("https://example.com/a.mp4");
    for (result, hint) in [
        (client.assets().create(UploadMethod::direct(file())).send().map(drop), "200 MB"),
        (client.assets().create(by_url).send().map(drop), "4 GB for a video"),
        (client.tasks().create("i").video_file(file()).send().map(drop), "indexed_assets().create("),
        (client.embed().tasks().create("m").video_file(file()).send().map(drop), "embed().v2().tasks()"),
    ] {
        let e = result.unwrap_err().to_string();
        assert!(e.starts_with("Too large. [413]") && e.contains(hint), "{e}");
    }
    server.finish();
}
