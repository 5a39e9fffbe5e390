//! Calls of `tasks`.

use std::time::Duration;

use serde_json::{Value, json};
use twelvelabs::tasks::VideoIndexingTaskStatus;
use twelvelabs::types::{SortBy, SortOption};
use twelvelabs::{Error, FileSource};

use crate::server::{Server, Step, answer, client};
use crate::wire::{Row, list, one, to_json};

pub const ROWS: &[Row] = &[
    Row::new("tasks.create", |client, args| {
        let call = client.tasks().create(&args.text("index_id"));
        one(call
            .when_some(args.file("video_file"), |call, value| call.video_file(value))
            .when_some(args.get("video_url"), |call, value: String| call.video_url(value))
            .send())
    })
    .id("_id"),
    Row::new("tasks.create_bulk", |client, args| {
        let urls: Vec<String> = args.value("video_urls");
        let outcomes = client.tasks().create_bulk(&args.text("index_id")).video_urls(urls).send().unwrap();
        outcomes.into_iter().map(|outcome| outcome.result.map(to_json)).collect()
    })
    .id("_id"),
    Row::new("tasks.delete", |client, args| one(client.tasks().delete(&args.text("task_id")).send())),
    Row::new("tasks.list", |client, args| {
        list(
            client
                .tasks()
                .list()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("sort_by"), |call, value: SortBy| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: SortOption| call.sort_option(value))
                .when_some(args.get("index_id"), |call, value: String| call.index_id(value))
                .when_some(args.get("status"), |call, value: Vec<VideoIndexingTaskStatus>| call.status(value))
                .when_some(args.get("filename"), |call, value: String| call.filename(value))
                .when_some(args.get("duration"), |call, value| call.duration(value))
                .when_some(args.get("width"), |call, value| call.width(value))
                .when_some(args.get("height"), |call, value| call.height(value))
                .when_some(args.get("created_at"), |call, value: String| call.created_at(value))
                .when_some(args.get("updated_at"), |call, value: String| call.updated_at(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("tasks.retrieve", |client, args| one(client.tasks().retrieve(&args.text("task_id")).send())).id("_id"),
    Row::new("tasks.wait_for_done", |client, args| {
        let interval = Duration::from_secs_f64(args.value("sleep_interval"));
        one(client.tasks().wait_for_done(&args.text("task_id")).sleep_interval(interval).send())
    })
    .last(),
];

#[test]
fn every_option_of_a_task_is_a_form_part() {
    let server = Server::start([Step::Answer(answer(200, &json!({"_id": "t1", "video_id": "v1"})))]);
    let (client, _) = client(&server);
    let metadata = json!({"category": "recent", "tags": ["a", "b"]});
    let task = client
        .tasks()
        .create("i1")
        .video_file(FileSource::bytes("a.mp4", *b"video"))
        .enable_video_stream(true)
        .user_metadata(metadata.clone())
        .send()
        .unwrap();
    assert_eq!((task.id.as_str(), task.video_id.as_deref()), ("t1", Some("v1")));
    let received = server.finish();
    let parts = received[0].parts();
    let text = |name: &str| parts.iter().find(|part| part.name == name).map(|part| part.text()).unwrap_or_default();
    assert_eq!(
        (text("index_id"), text("enable_video_stream"), text("video_file")),
        ("i1".into(), "true".into(), "video".into())
    );
    assert_eq!(serde_json::from_str::<Value>(&text("user_metadata")).unwrap(), metadata);
    assert_eq!(parts.len(), 4);
}

#[test]
fn a_setter_that_is_called_again_replaces_what_was_set() {
    let page = json!({"data": [], "page_info": {"page": 2, "total_page": 2}});
    let answers = [json!({"_id": "t1"}), page.clone(), page].map(|body| Step::Answer(answer(200, &body)));
    let server = Server::start(answers);
    let (client, _) = client(&server);
    let create = client.tasks().create("i1").video_file(FileSource::bytes("a.mp4", *b"a")).enable_video_stream(true);
    let create = create.user_metadata(json!({"a": 1})).video_file(FileSource::bytes("b.mp4", *b"b"));
    create.user_metadata(json!({"b": 2})).enable_video_stream(false).send().unwrap();
    let _ = client.tasks().list().page(1).status(["ready", "failed"]).page(2).status(["queued"]).send().unwrap();
    let _ = client.indexes().videos().list("i1").page(2).duration(1..=9).fps(24).duration(5..).send().unwrap();
    let received = server.finish();
    let mut parts: Vec<(String, String)> =
        received[0].parts().iter().map(|part| (part.name.clone(), part.text())).collect();
    parts.sort();
    let pairs = |expected: &[(&str, &str)]| -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let expected =
        [("enable_video_stream", "false"), ("index_id", "i1"), ("user_metadata", "{\"b\":2}"), ("video_file", "b")];
    assert_eq!(parts, pairs(&expected));
    assert_eq!(received[1].query, pairs(&[("page", "2"), ("status", "queued")]));
    assert_eq!(received[2].query, pairs(&[("page", "2"), ("fps", "24"), ("duration[gte]", "5")]));
}

#[test]
fn a_task_takes_a_file_or_a_url() {
    let server = Server::start([]);
    let (client, _) = client(&server);
    let create = || client.tasks().create("i1");
    let url = "https://example.com/a.mp4";
    for (result, argument) in [
        (create().send(), "video_file or video_url"),
        (create().video_url(url).video_file(FileSource::bytes("a.mp4", *b"a")).send(), "video_file and video_url"),
        (create().video_url("a.mp4").send(), "video_url"),
    ] {
        let e = result.unwrap_err();
        assert!(matches!(&e, Error::InvalidArgument { argument: named, .. } if named == argument), "{e}");
    }
    assert!(client.tasks().create_bulk("i1").send().unwrap_err().to_string().contains("at least one"));
    assert!(server.finish().is_empty());
}

#[test]
fn create_bulk_has_an_outcome_for_every_video() {
    let ok = |id: &str| Step::Answer(answer(200, &json!({"_id": id})));
    let refused = Step::Answer(answer(400, &json!({"code": "video_file_broken", "message": "cannot be read"})));
    let server = Server::start([ok("t1"), refused, ok("t4")]);
    let (client, _) = client(&server);
    let outcomes = client
        .tasks()
        .create_bulk("i1")
        .video_urls(["https://example.com/3.mp4", "https://example.com/4.mp4"])
        .video_files([FileSource::bytes("1.mp4", *b"one"), FileSource::from("no/such/2.mp4")])
        .enable_video_stream(false)
        .send()
        .unwrap();
    let outcomes: Vec<(String, Result<String, String>)> = outcomes
        .into_iter()
        .map(|outcome| (outcome.source, outcome.result.map(|task| task.id).map_err(|e| e.to_string())))
        .collect();
    let sources: Vec<&str> = outcomes.iter().map(|(source, _)| source.as_str()).collect();
    assert_eq!(sources, ["1.mp4", "no/such/2.mp4", "https://example.com/3.mp4", "https://example.com/4.mp4"]);
    assert_eq!((&outcomes[0].1, &outcomes[3].1), (&Ok("t1".into()), &Ok("t4".into())));
    assert!(outcomes[1].1.as_ref().unwrap_err().contains("no/such/2.mp4"), "{outcomes:?}");
    assert!(outcomes[2].1.as_ref().unwrap_err().starts_with("cannot be read"), "{outcomes:?}");
    for received in server.finish() {
        let parts = received.parts();
        assert!(parts.iter().any(|part| part.name == "enable_video_stream" && part.text() == "false"));
    }
}
