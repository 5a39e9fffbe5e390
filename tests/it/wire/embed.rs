//! Calls of `embed`.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};
use twelvelabs::embed::{AudioInput, DocumentInput, ImageInput, MultiInput, MultiInputMediaSource, VideoInput};
use twelvelabs::embed::{
    DocumentSegmentation, EmbedInput, EmbedTaskVideo, EmbeddingTaskStatus, EmbeddingType, MediaSegmentation,
    MediaSource, TimeBasedMetadataEntry,
};
use twelvelabs::types::EmbeddingOption;
use twelvelabs::{Error, FileSource};

use crate::server::{Received, Server, Step, answer, client};
use crate::wire::{Args, Row, list, one, to_json};

pub const ROWS: &[Row] = &[
    Row::new("embed.create", |client, args| one(client.embed().create(args.text("model_name")).send())),
    Row::new("embed.tasks.create", |client, args| {
        one(client.embed().tasks().create(args.text("model_name")).video_url(args.text("video_url")).send())
    })
    .id("_id"),
    Row::new("embed.tasks.create_bulk", |client, args| {
        let videos: Vec<Value> = args.value("videos");
        let videos = videos.iter().map(|video| EmbedTaskVideo::video_url(video["video_url"].as_str().expect("a URL")));
        let outcomes = client.embed().tasks().create_bulk(args.text("model_name"), videos).send().expect("outcomes");
        outcomes.into_iter().map(|outcome| outcome.result.map(to_json)).collect()
    })
    .id("_id"),
    Row::new("embed.tasks.list", |client, args| {
        list(
            client
                .embed()
                .tasks()
                .list()
                .when_some(args.get("started_at"), |call, value: String| call.started_at(value))
                .when_some(args.get("ended_at"), |call, value: String| call.ended_at(value))
                .when_some(args.get("status"), |call, value: EmbeddingTaskStatus| call.status(value))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("embed.tasks.retrieve", |client, args| {
        let call = client.embed().tasks().retrieve(&args.text("task_id"));
        let option: Option<Vec<EmbeddingOption>> = args.get("embedding_option");
        one(call.when_some(option, |call, value| call.embedding_option(value)).send())
    })
    .id("_id"),
    Row::new("embed.tasks.status", |client, args| one(client.embed().tasks().status(&args.text("task_id")).send()))
        .id("_id"),
    Row::new("embed.tasks.wait_for_done", |client, args| {
        let interval = Duration::from_secs_f64(args.value("sleep_interval"));
        one(client.embed().tasks().wait_for_done(&args.text("task_id")).sleep_interval(interval).send())
    })
    .last(),
    Row::new("embed.v_2.create", |client, args| {
        one(client.embed().v2().create(input(args), args.text("model_name")).send())
    })
    .id("data"),
    Row::new("embed.v_2.tasks.create", |client, args| {
        one(client.embed().v2().tasks().create(input(args), args.text("model_name")).send())
    })
    .id("_id"),
    Row::new("embed.v_2.tasks.list", |client, args| {
        list(
            client
                .embed()
                .v2()
                .tasks()
                .list()
                .when_some(args.get("started_at"), |call, value: String| call.started_at(value))
                .when_some(args.get("ended_at"), |call, value: String| call.ended_at(value))
                .when_some(args.get("status"), |call, value: EmbeddingTaskStatus| call.status(value))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("embed.v_2.tasks.retrieve", |client, args| {
        one(client.embed().v2().tasks().retrieve(&args.text("task_id")).send())
    })
    .id("_id"),
];

/// Returns the input of a fixture's call.
fn input(args: &Args) -> EmbedInput {
    let kind = args.text("input_type");
    let fields: Value = args.value(&kind);
    let text = || fields["input_text"].as_str().expect("a text");
    match kind.as_str() {
        "text" => EmbedInput::text(text()),
        "multi_input" => EmbedInput::multi_input(MultiInput::new().input_text(text())),
        "image" => {
            EmbedInput::image(MediaSource::asset_id(fields["media_source"]["asset_id"].as_str().expect("an id")))
        }
        "audio" => {
            let number = |name: &str| fields[name].as_f64().expect("a number");
            let list = |name: &str| -> Vec<String> { serde_json::from_value(fields[name].clone()).expect("a list") };
            let source = MediaSource::url(fields["media_source"]["url"].as_str().expect("a URL"));
            let audio = AudioInput::new(source)
                .start_sec(number("start_sec"))
                .end_sec(number("end_sec"))
                .segmentation(MediaSegmentation::fixed(1).temporal())
                .embedding_option(list("embedding_option"))
                .embedding_scope(list("embedding_scope"));
            EmbedInput::audio(audio)
        }
        kind => panic!("no fixture has an input of type {kind}"),
    }
}

fn serve(answers: impl IntoIterator<Item = Value>) -> Server {
    Server::start(answers.into_iter().map(|body| Step::Answer(answer(200, &body))))
}

/// Returns the parts of a form: names with texts or file names.
fn form(received: &Received) -> Vec<(String, String)> {
    let value = |part: &crate::server::Part| part.filename.clone().unwrap_or_else(|| part.text());
    received.parts().iter().map(|part| (part.name.clone(), value(part))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn every_option_of_the_older_call_is_a_form_part() {
    let server = serve([json!({"model_name": "marengo3.0"})]);
    client(&server)
        .0
        .embed()
        .create("marengo3.0")
        .text("a dog")
        .image_url("https://example.com/dog.jpg")
        .image_file(FileSource::bytes("dog.jpg", *b"IMAGE"))
        .audio_url("https://example.com/bark.mp3")
        .audio_file(FileSource::bytes("bark.mp3", *b"AUDIO"))
        .audio_start_offset_sec(1.5)
        .send()
        .unwrap();
    let received = server.finish();
    let expected = [
        ("model_name", "marengo3.0"),
        ("text", "a dog"),
        ("image_url", "https://example.com/dog.jpg"),
        ("audio_url", "https://example.com/bark.mp3"),
        ("audio_start_offset_sec", "1.5"),
        ("image_file", "dog.jpg"),
        ("audio_file", "bark.mp3"),
    ];
    assert_eq!(form(&received[0]), pairs(&expected));
    assert_eq!(received[0].parts()[6].content_type.as_deref(), Some("audio/mpeg"));
}

#[test]
fn every_option_of_the_older_tasks_arrives() {
    let task = json!({"_id": "t1"});
    let page = json!({"data": [], "page_info": {"page": 2, "total_page": 2}});
    let server = serve([task.clone(), page, task.clone(), task]);
    let tasks = client(&server).0.embed().tasks();
    let video = FileSource::bytes("a.mp4", *b"VIDEO");
    tasks
        .create("marengo3.0")
        .video_file(video.clone())
        .video_start_offset_sec(0.0)
        .video_end_offset_sec(30.5)
        .video_clip_length(5.0)
        .video_embedding_scope(["clip", "video"])
        .send()
        .unwrap();
    let (started_at, ended_at) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let _ =
        tasks.list().started_at(started_at).ended_at(ended_at).status("ready").page(2).page_limit(50).send().unwrap();
    tasks.retrieve("t1").embedding_option([EmbeddingOption::VisualText, EmbeddingOption::Audio]).send().unwrap();
    let video = EmbedTaskVideo::video_file(video)
        .video_start_offset_sec(0.0)
        .video_end_offset_sec(30.5)
        .video_clip_length(5.0)
        .video_embedding_scope(["clip", "video"]);
    tasks.create_bulk("marengo3.0", [video]).send().unwrap().remove(0).result.unwrap();

    let received = server.finish();
    let expected = [
        ("model_name", "marengo3.0"),
        ("video_start_offset_sec", "0.0"),
        ("video_end_offset_sec", "30.5"),
        ("video_clip_length", "5.0"),
        ("video_embedding_scope", "clip"),
        ("video_embedding_scope", "video"),
        ("video_file", "a.mp4"),
    ];
    assert_eq!(form(&received[0]), pairs(&expected));
    assert_eq!(form(&received[3]), pairs(&expected), "`create_bulk` sends the same form");
    let expected =
        [("started_at", started_at), ("ended_at", ended_at), ("status", "ready"), ("page", "2"), ("page_limit", "50")];
    assert_eq!(received[1].query, pairs(&expected));
    assert_eq!(received[2].query, pairs(&[("embedding_option", "visual-text"), ("embedding_option", "audio")]));
}

/// Returns the body that is sent for an input.
fn body_of(input: EmbedInput) -> Value {
    let server = serve([json!({"_id": "t1"})]);
    client(&server).0.embed().v2().tasks().create(input, "m").send().unwrap();
    server.finish()[0].json()
}

#[test]
fn every_option_of_every_input_is_in_the_body() {
    let source = || MediaSource::asset_id("a1");
    let entries = || [TimeBasedMetadataEntry::new(0.0, 2.5, "goal")];
    let audio = AudioInput::new(source())
        .start_sec(1.0)
        .end_sec(2.5)
        .segmentation(MediaSegmentation::fixed(6))
        .embedding_option(["audio", "transcription"])
        .embedding_scope(["clip", "local", "asset"])
        .embedding_type(["separate_embedding", "fused_embedding"])
        .time_based_metadata(entries())
        .field("new", 1);
    let video = VideoInput::new(source())
        .start_sec(1.0)
        .end_sec(2.5)
        .segmentation(MediaSegmentation::dynamic(2).temporal())
        .embedding_option(["visual"])
        .embedding_scope(["clip"])
        .embedding_type([EmbeddingType::FusedEmbedding])
        .time_based_metadata(entries());
    let document = |segmentation: DocumentSegmentation| {
        let document = DocumentInput::new(source())
            .segmentation(segmentation)
            .embedding_option(["text"])
            .embedding_type(["separate_embedding"])
            .embedding_scope(["local"]);
        EmbedInput::document(document)
    };
    let image = ImageInput::new(source())
        .embedding_option(["visual"])
        .embedding_type(["separate_embedding"])
        .embedding_scope(["asset"]);
    let media = MultiInputMediaSource::new("image", MediaSource::base64_string("AAAA")).name("coat");
    let multi = MultiInput::new()
        .input_text("in <@coat>")
        .media_sources([media, MultiInputMediaSource::new("video", MediaSource::url("https://example.com/a.mp4"))]);

    let entry = json!([{"start": 0.0, "end": 2.5, "text": "goal"}]);
    let media_source = json!({"asset_id": "a1"});
    let document_of = |segmentation: Value| {
        json!({
            "media_source": media_source, "segmentation": segmentation, "embedding_option": ["text"],
            "embedding_type": ["separate_embedding"], "embedding_scope": ["local"],
        })
    };
    let fields = Map::from_iter([("a".to_string(), json!(1))]);
    for (input, kind, object) in [
        (EmbedInput::text("é"), "text", json!({"input_text": "é"})),
        (
            EmbedInput::text_image("a dog", source()),
            "text_image",
            json!({"input_text": "a dog", "media_source": media_source}),
        ),
        (
            EmbedInput::audio(audio),
            "audio",
            json!({
                "media_source": media_source, "start_sec": 1.0, "end_sec": 2.5, "new": 1,
                "segmentation": {"strategy": "fixed", "fixed": {"duration_sec": 6}},
                "embedding_option": ["audio", "transcription"], "embedding_scope": ["clip", "local", "asset"],
                "embedding_type": ["separate_embedding", "fused_embedding"], "time_based_metadata": entry,
            }),
        ),
        (
            EmbedInput::video(video),
            "video",
            json!({
                "media_source": media_source, "start_sec": 1.0, "end_sec": 2.5,
                "segmentation": {"temporal": {"strategy": "dynamic", "dynamic": {"min_duration_sec": 2}}},
                "embedding_option": ["visual"], "embedding_scope": ["clip"], "embedding_type": ["fused_embedding"],
                "time_based_metadata": entry,
            }),
        ),
        (
            document(DocumentSegmentation::sequential(20, 2)),
            "document",
            document_of(json!({
                "sequential": {"strategy": "sentence", "max_sentences": 20, "overlap_sentences": 2}
            })),
        ),
        (
            document(DocumentSegmentation::spatial("quadrants")),
            "document",
            document_of(json!({"spatial": {"strategy": "quadrants"}})),
        ),
        (document(json!({"new": 1}).into()), "document", document_of(json!({"new": 1}))),
        (
            EmbedInput::image(image),
            "image",
            json!({
                "media_source": media_source, "embedding_option": ["visual"],
                "embedding_type": ["separate_embedding"], "embedding_scope": ["asset"],
            }),
        ),
        (
            EmbedInput::multi_input(multi),
            "multi_input",
            json!({
                "input_text": "in <@coat>",
                "media_sources": [
                    {"media_type": "image", "name": "coat", "base64_string": "AAAA"},
                    {"media_type": "video", "url": "https://example.com/a.mp4"},
                ],
            }),
        ),
        (EmbedInput::other("smell", fields), "smell", json!({"a": 1})),
    ] {
        assert_eq!(body_of(input), json!({"input_type": kind, "model_name": "m", kind: object}));
    }
}

#[test]
fn every_option_of_the_current_calls_arrives() {
    let page = json!({"data": [], "page_info": {"page": 2, "total_page": 2}});
    let server = serve([json!({"data": []}), json!({"_id": "t1"}), page]);
    let v2 = client(&server).0.embed().v2();
    v2.create(EmbedInput::text("a"), "m")
        .auto_truncate(true)
        .embedding_uncertainty(false)
        .embedding_dimension(256)
        .send()
        .unwrap();
    v2.tasks().create(EmbedInput::text("a"), "m").embedding_uncertainty(true).embedding_dimension(512).send().unwrap();
    let (started_at, ended_at) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let _ = v2
        .tasks()
        .list()
        .started_at(started_at)
        .ended_at(ended_at)
        .status("ready")
        .page(2)
        .page_limit(50)
        .send()
        .unwrap();
    let received = server.finish();
    let text = json!({"input_text": "a"});
    assert_eq!(
        received[0].json(),
        json!({
            "input_type": "text", "model_name": "m", "text": text, "auto_truncate": true,
            "embedding_uncertainty": false, "embedding_dimension": 256,
        })
    );
    assert_eq!(
        received[1].json(),
        json!({
            "input_type": "text", "model_name": "m", "text": text, "embedding_uncertainty": true,
            "embedding_dimension": 512,
        })
    );
    let expected =
        [("started_at", started_at), ("ended_at", ended_at), ("status", "ready"), ("page", "2"), ("page_limit", "50")];
    assert_eq!(received[2].query, pairs(&expected));
}

#[test]
fn local_files_are_sent_as_base64() {
    let path = std::env::temp_dir().join(format!("twelvelabs-embed-{}.jpg", std::process::id()));
    let content: Vec<u8> = (0..1_500_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    let source = |name: &str, file: MediaSource| MultiInputMediaSource::new("image", file).name(name);
    let body = body_of(EmbedInput::multi_input(MultiInput::new().media_sources([
        source("path", MediaSource::file(&path)),
        source("bytes", MediaSource::file(FileSource::bytes("b.jpg", *b"BYTES"))),
        source("reader", MediaSource::file(FileSource::reader("c.jpg", &b"READ"[..]))),
    ])));
    std::fs::remove_file(&path).unwrap();
    let sources = &body["multi_input"]["media_sources"];
    let text = |n: usize| sources[n]["base64_string"].as_str().unwrap();
    assert_eq!(BASE64_STANDARD.decode(text(0)).unwrap(), content);
    assert_eq!((text(1), text(2)), ("QllURVM=", "UkVBRA=="));
}

#[test]
fn a_request_with_a_file_is_retried_where_that_is_safe() {
    let busy = json!({"error": {"code": "too_many_requests", "message": "slow down"}});
    let server = Server::start([Step::Answer(answer(429, &busy)), Step::Answer(answer(200, &json!({"data": []})))]);
    let image = MediaSource::file(FileSource::bytes("a.jpg", *b"IMAGE"));
    client(&server).0.embed().v2().create(EmbedInput::image(image), "m").send().unwrap();
    let received = server.finish();
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[0].json()["image"]["media_source"]["base64_string"], "SU1BR0U=");
}

#[test]
fn the_refusal_of_a_large_file_has_a_hint() {
    let server = Server::start([Step::Refuse(answer(413, &json!({"error": {"message": "too large"}})))]);
    let video = MediaSource::file(FileSource::bytes("a.mp4", vec![1; 2_000_000]));
    let error = client(&server).0.embed().v2().create(EmbedInput::video(video), "m").send().unwrap_err().to_string();
    assert!(error.starts_with("too large [413]") && error.contains("36 MB for audio and video"), "{error}");
    assert_eq!(server.finish()[0].header("expect"), Some("100-continue"));
}

#[test]
fn bad_inputs_are_refused_before_anything_is_sent() {
    let server = serve([]);
    let v2 = client(&server).0.embed().v2();
    let send = |input: EmbedInput| v2.create(input, "m").send().unwrap_err();
    let missing = send(EmbedInput::image(MediaSource::file("no/such/file.jpg")));
    assert!(matches!(missing, Error::File { .. }), "{missing:?}");
    assert_eq!(missing.to_string(), "no/such/file.jpg: there is no such file");
    for (input, word) in [
        (EmbedInput::image(MediaSource::file(FileSource::bytes("a.jpg", []))), "empty"),
        (EmbedInput::image(MediaSource::url("dog.jpg")), "`url` must be a public URL"),
        (EmbedInput::image(MediaSource::asset_id("")), "`asset_id` is empty"),
        (EmbedInput::multi_input(MultiInput::new()), "`multi_input` is empty"),
    ] {
        let error = send(input).to_string();
        assert!(error.contains(word), "{error}");
    }
    let tasks = client(&server).0.embed().tasks();
    let neither = tasks.create("m").send().unwrap_err().to_string();
    assert!(neither.starts_with("`video_file` or `video_url` is missing"), "{neither}");
    let both = tasks.create("m").video_file("a.mp4").video_url("https://example.com/a.mp4").send().unwrap_err();
    assert!(both.to_string().starts_with("`video_file` and `video_url` are both set"), "{both}");
    assert!(tasks.create("m").video_url("a.mp4").send().unwrap_err().to_string().starts_with("`video_url` must be"));
    assert!(tasks.create_bulk("m", []).send().unwrap_err().to_string().starts_with("`videos` is empty"));
    server.finish();
}

#[test]
fn create_bulk_returns_one_outcome_for_each_video_in_order() {
    let refusal = json!({"code": "video_duration_too_short", "message": "too short"});
    let server = Server::start([
        Step::Answer(answer(400, &refusal)),
        Step::Answer(answer(200, &json!({"_id": "t2"}))),
        Step::Answer(answer(200, &json!({}))),
        Step::Answer(answer(200, &json!({"_id": "t5"}))),
    ]);
    let outcomes = client(&server)
        .0
        .embed()
        .tasks()
        .create_bulk(
            "marengo3.0",
            [
                EmbedTaskVideo::video_url("https://example.com/1.mp4"),
                EmbedTaskVideo::video_file(FileSource::bytes("2.mp4", *b"VIDEO")),
                EmbedTaskVideo::video_file("no/such/file.mp4"),
                EmbedTaskVideo::video_url("https://example.com/4.mp4"),
                EmbedTaskVideo::video_url("https://example.com/5.mp4"),
            ],
        )
        .send();
    let (sources, outcomes): (Vec<_>, Vec<_>) = outcomes
        .unwrap()
        .into_iter()
        .map(|outcome| (outcome.source, outcome.result.map_or_else(|e| e.to_string(), |task| task.id)))
        .unzip();
    server.finish();
    assert_eq!(
        sources,
        [
            "https://example.com/1.mp4",
            "2.mp4",
            "no/such/file.mp4",
            "https://example.com/4.mp4",
            "https://example.com/5.mp4"
        ]
    );
    assert!(outcomes[0].starts_with("too short [video_duration_too_short, 400]"), "{outcomes:?}");
    assert_eq!(outcomes[1], "t2");
    assert_eq!(outcomes[2], "no/such/file.mp4: there is no such file");
    assert!(outcomes[3].contains("_id"), "{outcomes:?}");
    assert_eq!(outcomes[4], "t5");
}

#[test]
fn waits_end_with_the_vectors_or_the_reason() {
    let at = |status: &str| json!({"_id": "t1", "status": status});
    let ready = json!({"_id": "t1", "status": "ready", "data": [{"embedding": [0.5, -1.0]}]});
    let failed = json!({"_id": "t1", "status": "failed", "error": {"message": "too long"}});
    let server = serve([at("processing"), at("a_new_state"), ready, failed, at("failed")]);
    let (client, pauses) = client(&server);
    let tasks = client.embed().v2().tasks();
    let task = tasks.wait_for_done("t1").send().unwrap();
    assert_eq!(task.data.unwrap()[0].embedding, [0.5, -1.0]);
    assert_eq!(pauses.taken().len(), 2);
    let error = tasks.wait_for_done("t1").send().unwrap_err();
    assert!(matches!(error, Error::Failed(_)));
    assert_eq!(error.to_string(), "embedding task t1 ended as `failed`: too long");
    assert!(matches!(client.embed().tasks().wait_for_done("t1").send().unwrap_err(), Error::Failed(_)));
    let received = server.finish();
    assert_eq!(received[0].path, "/v1.3/embed-v2/tasks/t1");
    assert_eq!(received[4].path, "/v1.3/embed/tasks/t1/status");
}

#[test]
fn both_names_of_the_audio_fields_are_read() {
    let task = |option: &str, scope: &str| json!({"_id": "t1", "audio_embedding": {"metadata": {option: ["audio"], scope: ["clip"]}}});
    let server = serve([
        task("audio_embedding_option", "audio_embedding_scope"),
        task("audio_embedding_options", "audio_embedding_scopes"),
    ]);
    let tasks = client(&server).0.embed().tasks();
    let first = tasks.status("t1").send().unwrap();
    let metadata = first.audio_embedding.as_ref().unwrap().metadata.as_ref().unwrap();
    assert_eq!(metadata.audio_embedding_option.as_deref(), Some(&[EmbeddingOption::Audio][..]));
    assert_eq!(first, tasks.status("t1").send().unwrap());
}

#[test]
fn every_field_of_a_response_is_read() {
    let data = json!([{
        "embedding": [0.5, -1.0], "embedding_uncertainty": [0.25, 2.0], "embedding_option": "a_new_option",
        "embedding_scope": "page", "start_sec": 0.0, "end_sec": 6.5, "start_page_number": 1.0, "end_page_number": 2.0,
        "quadrant": "top_left", "chunk_index": 3.0,
    }]);
    let usage = json!({"input_tokens": {"text": 4.0}, "truncated": true, "truncation_reason": "model_context_window"});
    let metadata = json!({
        "input_type": "video", "input_url": "u", "input_filename": "f", "embedding_options": ["visual"],
        "embedding_scopes": ["local"], "embedding_dimension": 2.0, "duration": 6.5, "start_offset_sec": 0.0,
        "end_offset_sec": 6.5, "clip_length": 6.0,
    });
    let task = json!({
        "_id": "t1", "status": "failed", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:01Z",
        "data": data, "usage": usage, "metadata": metadata, "error": {"message": "no"},
    });
    let result = json!({
        "segments": [{"float": [0.5], "start_offset_sec": 0.0, "end_offset_sec": 6.0, "embedding_option": "visual",
            "embedding_scope": "clip"}],
        "metadata": {
            "input_url": "u", "input_filename": "f", "duration": 6.0, "start_offset_sec": 0.0, "end_offset_sec": 6.0,
            "video_clip_length": 6.0, "video_embedding_option": ["visual"], "video_embedding_scope": ["clip"],
            "audio_embedding_option": ["audio"], "audio_embedding_scope": ["clip"],
            "document_embedding_option": ["text"], "document_embedding_scope": ["local"],
            "image_embedding_option": ["visual"], "image_embedding_scope": ["asset"],
        },
    });
    let older = json!({
        "_id": "t1", "model_name": "m", "status": "ready", "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:01Z", "video_embedding": result, "audio_embedding": result,
        "document_embedding": result, "image_embedding": result,
    });
    let answer = json!({"data": data, "usage": usage, "metadata": metadata});
    let server = serve([task.clone(), older.clone(), answer.clone()]);
    let embed = client(&server).0.embed();
    crate::wire::same(&task, &to_json(embed.v2().tasks().retrieve("t1").send().unwrap()), "task");
    crate::wire::same(&older, &to_json(embed.tasks().retrieve("t1").send().unwrap()), "older task");
    crate::wire::same(&answer, &to_json(embed.v2().create(EmbedInput::text("a"), "m").send().unwrap()), "answer");
}

/// Collects the paths of all values below `value`.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        _ => return,
    };
    for (key, value) in below {
        let at = format!("{at}/{key}");
        places(value, &at, found);
        found.push(at);
    }
}

#[test]
fn a_malformed_field_never_changes_a_vector() {
    let vectors: [Vec<f32>; 2] = [vec![0.5, -1.0, 0.25], vec![2.0, 3.0, 4.0]];
    let data = vectors.clone().map(|vector| {
        json!({"embedding": vector, "embedding_uncertainty": [0.5, 0.5, 0.5], "embedding_option": "visual",
            "embedding_scope": "clip", "start_sec": 0.0, "chunk_index": 1})
    });
    let usage = json!({"input_tokens": {"text": 4}, "truncated": true});
    let task = json!({"_id": "t1", "status": "ready", "data": data, "usage": usage, "metadata": {"duration": 1.5}});
    let mut found = Vec::new();
    places(&task, "", &mut found);
    let malformed: Vec<(String, Value)> = found
        .iter()
        .filter(|place| *place != "/_id")
        .flat_map(|place| [json!(null), json!("?"), json!({}), json!(true)].map(|wrong| (place.clone(), wrong)))
        .collect();
    let answers = malformed.iter().map(|(place, wrong)| {
        let mut task = task.clone();
        *task.pointer_mut(place).unwrap() = wrong.clone();
        task
    });
    let server = serve(answers);
    let tasks = client(&server).0.embed().v2().tasks();
    for (place, wrong) in &malformed {
        let Ok(task) = tasks.retrieve("t1").send() else {
            let is_vector = place.starts_with("/data") && place.split('/').count() <= 3;
            assert!(is_vector || place.contains("/embedding"), "{place} = {wrong} should not be an error");
            continue;
        };
        assert_eq!(task.id, "t1");
        let data = task.data.unwrap_or_default();
        assert!(data.iter().all(|data| vectors.contains(&data.embedding)), "{place} = {wrong} changed a vector");
        assert!(place == "/data" || data.len() == 2, "{place} = {wrong} lost vectors");
    }
    server.finish();
}
