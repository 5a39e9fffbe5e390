//! Calls of `analyze`, `analyze_async.tasks` and `analyze_async.batches`.

use serde_json::{Value, json};
use twelvelabs::RequestOptions;
use twelvelabs::analyze::{
    AnalyzeImageInput, AnalyzeModelName, AnalyzePromptV2, ResponseFormat, SegmentDefinition, SegmentField,
    SegmentFieldItems, SegmentFieldType, SegmentTimeFormat, VideoContext,
};
use twelvelabs::analyze_async::{AnalysisMode, BatchDefaults, BatchItemRequest, BatchStatus, MaxTokens};

use crate::server::{Received, Server, Step, answer, answer_of_type, client};
use crate::wire::{Outcome, Row, list, one, same, to_json};

/// Returns the items of a stream.
pub fn stream<T: serde::Serialize>(items: twelvelabs::Result<impl Iterator<Item = twelvelabs::Result<T>>>) -> Outcome {
    match items {
        Ok(items) => items.map(|item| item.map(to_json)).collect(),
        Err(e) => vec![Err(e)],
    }
}

pub const ROWS: &[Row] = &[
    Row::new("analyze", |client, _| one(client.analyze().send())),
    Row::new("analyze_stream", |client, _| stream(client.analyze_stream().send())),
    Row::new("analyze_async.tasks.list", |client, args| {
        list(
            client
                .analyze_async()
                .tasks()
                .list()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("status"), |call, value: String| call.status(value))
                .when_some(args.get("video_url"), |call, value: String| call.video_url(value))
                .when_some(args.get("asset_id"), |call, value: String| call.asset_id(value))
                .when_some(args.get("analysis_mode"), |call, value: AnalysisMode| call.analysis_mode(value))
                .send(),
        )
    })
    .id("task_id"),
    Row::new("analyze_async.tasks.create", |client, args| {
        one(client
            .analyze_async()
            .tasks()
            .create()
            .when_some(args.get("custom_id"), |call, value: String| call.custom_id(value))
            .when_some(args.get("video"), |call, value: VideoContext| call.video(value))
            .when_some(args.get("prompt"), |call, value: String| call.prompt(value))
            .when_some(args.get("temperature"), |call, value| call.temperature(value))
            .when_some(args.get("max_tokens"), |call, value: u32| call.max_tokens(value))
            .send())
    })
    .id("task_id"),
    Row::new("analyze_async.tasks.retrieve", |client, args| {
        one(client.analyze_async().tasks().retrieve(&args.text("task_id")).send())
    })
    .id("task_id"),
    Row::new("analyze_async.tasks.delete", |client, args| {
        one(client.analyze_async().tasks().delete(&args.text("task_id")).send())
    }),
    Row::new("analyze_async.tasks.cancel", |client, args| {
        one(client.analyze_async().tasks().cancel(&args.text("task_id")).send())
    })
    .id("task_id"),
    Row::new("analyze_async.batches.list", |client, args| {
        list(
            client
                .analyze_async()
                .batches()
                .list()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("status"), |call, value: Vec<BatchStatus>| call.status(value))
                .when_some(args.get("analysis_mode"), |call, value: Vec<String>| call.analysis_mode(value))
                .send(),
        )
    })
    .id("batch_id"),
    Row::new("analyze_async.batches.create", |client, args| {
        let requests: Vec<BatchItemRequest> = args.value("requests");
        let call =
            client.analyze_async().batches().create(args.text("model_name"), args.text("analysis_mode"), requests);
        one(call.when_some(args.get("defaults"), |call, value: BatchDefaults| call.defaults(value)).send())
    })
    .id("batch_id"),
    Row::new("analyze_async.batches.retrieve", |client, args| {
        one(client.analyze_async().batches().retrieve(&args.text("batch_id")).send())
    })
    .id("batch_id"),
    Row::new("analyze_async.batches.delete", |client, args| {
        one(client.analyze_async().batches().delete(&args.text("batch_id")).send())
    }),
    Row::new("analyze_async.batches.results", |client, args| {
        stream(client.analyze_async().batches().results(&args.text("batch_id")).send())
    })
    .id("task_id"),
    Row::new("analyze_async.batches.cancel", |client, args| {
        one(client.analyze_async().batches().cancel(&args.text("batch_id")).send())
    })
    .id("batch_id"),
];

/// Makes a call that receives this answer, and returns its only request.
fn request(step: Vec<u8>, call: impl FnOnce(&twelvelabs::TwelveLabs)) -> Received {
    let server = Server::start([Step::Answer(step)]);
    let (client, _) = client(&server);
    call(&client);
    server.finish().remove(0)
}

fn prompt_v2() -> AnalyzePromptV2 {
    AnalyzePromptV2::new("Is there a <@tiger>?").media_sources([
        AnalyzeImageInput::url("tiger", "https://example.com/tiger.jpg"),
        AnalyzeImageInput::asset_id("lion", "a2"),
        AnalyzeImageInput::base64("cat", b"\xff\xd8\xff"),
    ])
}

fn prompt_v2_json() -> Value {
    json!({
        "input_text": "Is there a <@tiger>?",
        "media_sources": [
            {"name": "tiger", "media_type": "image", "url": "https://example.com/tiger.jpg"},
            {"name": "lion", "media_type": "image", "asset_id": "a2"},
            {"name": "cat", "media_type": "image", "base64_string": "/9j/"},
        ],
    })
}

/// The options that both synchronous calls have.
macro_rules! all_options {
    ($call:expr) => {
        $call
            .model_name(AnalyzeModelName::Pegasus16)
            .video(VideoContext::base64(b"\x00\x01"))
            .image([
                AnalyzeImageInput::url("before", "https://example.com/1.png"),
                AnalyzeImageInput::asset_id("after", "a3"),
                AnalyzeImageInput::base64("later", [0xfb]),
            ])
            .prompt("Compare.")
            .prompt_v2(prompt_v2())
            .temperature(0.2)
            .response_format(ResponseFormat::json_schema(json!({"type": "object"})))
            .max_tokens(2000)
            .start_time(1.5)
            .end_time(60.0)
    };
}

fn all_options_json(stream: bool) -> Value {
    json!({
        "model_name": "pegasus1.6",
        "video": {"type": "base64_string", "base64_string": "AAE="},
        "image": [
            {"name": "before", "url": "https://example.com/1.png"},
            {"name": "after", "asset_id": "a3"},
            {"name": "later", "base64_string": "+w=="},
        ],
        "prompt": "Compare.",
        "prompt_v2": prompt_v2_json(),
        "temperature": 0.2,
        "response_format": {"type": "json_schema", "json_schema": {"type": "object"}},
        "max_tokens": 2000,
        "start_time": 1.5,
        "end_time": 60.0,
        "stream": stream,
    })
}

#[test]
fn every_option_of_an_analysis() {
    let received = request(answer(200, &json!({"data": "x"})), |client| {
        all_options!(client.analyze()).send().unwrap();
    });
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1.3/analyze"));
    same(&all_options_json(false), &received.json(), "analyze");
    let lines = "{\"event_type\":\"stream_end\"}\n";
    let received = request(answer_of_type(200, "application/x-ndjson", lines), |client| {
        all_options!(client.analyze_stream()).send().unwrap().text().unwrap();
    });
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1.3/analyze"));
    same(&all_options_json(true), &received.json(), "analyze_stream");
    assert_eq!(received.header("accept-encoding"), Some("identity"), "a compressed stream would arrive late");
}

fn segments() -> ResponseFormat {
    let events = SegmentFieldItems::new(SegmentFieldType::Object).fields([SegmentField::new(
        "kind",
        SegmentFieldType::String,
        "What it is.",
    )
    .enum_values(["goal", "foul"])]);
    ResponseFormat::segment_definitions([SegmentDefinition::new("play", "A stretch of play.")
        .fields([
            SegmentField::new("at", SegmentFieldType::Timestamp, "The highlight.").format(SegmentTimeFormat::HhMmSs),
            SegmentField::new("events", SegmentFieldType::TimeArray, "What happens.").items(events),
        ])
        .media_sources([AnalyzeImageInput::asset_id("ball", "a4")])
        .time_ranges([2.0..=10.5, 20.0..=30.0])])
    .segment_time_format(SegmentTimeFormat::HhMmSsFff)
}

fn segments_json() -> Value {
    json!({
        "type": "segment_definitions",
        "segment_definitions": [{
            "id": "play",
            "description": "A stretch of play.",
            "fields": [
                {"name": "at", "type": "timestamp", "description": "The highlight.", "format": "hh:mm:ss"},
                {"name": "events", "type": "time_array", "description": "What happens.", "items": {
                    "type": "object",
                    "fields": [{
                        "name": "kind", "type": "string", "description": "What it is.", "enum": ["goal", "foul"],
                    }],
                }},
            ],
            "media_sources": [{"name": "ball", "media_type": "image", "asset_id": "a4"}],
            "time_ranges": [
                {"start_time": 2.0, "end_time": 10.5},
                {"start_time": 20.0, "end_time": 30.0},
            ],
        }],
        "segment_time_format": "hh:mm:ss.fff",
    })
}

#[test]
fn every_option_of_a_task() {
    let received = request(answer(202, &json!({"task_id": "t1", "status": "queued"})), |client| {
        client
            .analyze_async()
            .tasks()
            .create()
            .model_name("pegasus1.5")
            .custom_id("mine-1")
            .video(VideoContext::url("https://example.com/a.mp4"))
            .image([AnalyzeImageInput::asset_id("one", "a1")])
            .prompt("Summarise.")
            .prompt_v2(prompt_v2())
            .analysis_mode(AnalysisMode::TimeBasedMetadata)
            .temperature(0.0)
            .max_tokens(MaxTokens::Unlimited)
            .response_format(segments())
            .min_segment_duration(2.0)
            .max_segment_duration(30.5)
            .start_time(0.0)
            .end_time(7200.0)
            .idempotency_key("once")
            // The idempotency key is not one of these settings, so it remains.
            .request_options(RequestOptions::new().max_retries(0))
            .send()
            .unwrap();
    });
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1.3/analyze/tasks"));
    assert_eq!(received.header("idempotency-key"), Some("once"));
    let expected = json!({
        "model_name": "pegasus1.5",
        "custom_id": "mine-1",
        "video": {"type": "url", "url": "https://example.com/a.mp4"},
        "image": [{"name": "one", "asset_id": "a1"}],
        "prompt": "Summarise.",
        "prompt_v2": prompt_v2_json(),
        "analysis_mode": "time_based_metadata",
        "temperature": 0.0,
        "max_tokens": "unlimited",
        "response_format": segments_json(),
        "min_segment_duration": 2.0,
        "max_segment_duration": 30.5,
        "start_time": 0.0,
        "end_time": 7200.0,
    });
    same(&expected, &received.json(), "create");
}

#[test]
fn every_option_of_a_batch() {
    let created = json!({"batch_id": "b1", "items": [{"task_id": "t1", "custom_id": "x"}]});
    let received = request(answer(201, &created), |client| {
        let item = BatchItemRequest::new(VideoContext::asset_id("a1"))
            .custom_id("x")
            .prompt(prompt_v2())
            .response_format(segments())
            .temperature(0.1)
            .max_tokens(4096)
            .min_segment_duration(2.0)
            .max_segment_duration(9.0)
            .start_time(1.0)
            .end_time(2.0);
        let defaults = BatchDefaults::new()
            .prompt("Summarise.")
            .response_format(ResponseFormat::json_schema(json!({})))
            .temperature(0.3)
            .max_tokens(1024)
            .min_segment_duration(3.0)
            .max_segment_duration(8.0)
            .start_time(0.5)
            .end_time(99.0);
        let batches = client.analyze_async().batches();
        let batch = batches
            .create(AnalyzeModelName::Pegasus15, AnalysisMode::General, [item])
            .defaults(defaults)
            .send()
            .unwrap();
        assert_eq!(batch.items.unwrap()[0].task_id, "t1");
    });
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/v1.3/analyze/batches"));
    let expected = json!({
        "model_name": "pegasus1.5",
        "analysis_mode": "general",
        "requests": [{
            "video": {"type": "asset_id", "asset_id": "a1"},
            "custom_id": "x",
            "prompt": prompt_v2_json(),
            "response_format": segments_json(),
            "temperature": 0.1,
            "max_tokens": 4096,
            "min_segment_duration": 2.0,
            "max_segment_duration": 9.0,
            "start_time": 1.0,
            "end_time": 2.0,
        }],
        "defaults": {
            "prompt": {"input_text": "Summarise."},
            "response_format": {"type": "json_schema", "json_schema": {}},
            "temperature": 0.3,
            "max_tokens": 1024,
            "min_segment_duration": 3.0,
            "max_segment_duration": 8.0,
            "start_time": 0.5,
            "end_time": 99.0,
        },
    });
    same(&expected, &received.json(), "create");
    let server = Server::start([]);
    let (client, _) = client(&server);
    let e = client.analyze_async().batches().create("pegasus1.5", "general", []).send().unwrap_err();
    assert!(e.to_string().starts_with("`requests` is empty"), "{e}");
}

/// Returns the idempotency keys of the received requests. Each request must have exactly one.
fn keys(server: &Server) -> Vec<String> {
    let key = |request: &Received| {
        let mut keys = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        let (key, more) = (keys.next().expect("a key"), keys.next());
        assert_eq!(more, None, "a request has exactly one key");
        key.1.clone()
    };
    server.finish().iter().map(key).collect()
}

#[test]
fn a_broken_create_is_retried_with_the_same_idempotency_key() {
    let breaks = || {
        [
            Step::Close(Vec::new()),
            Step::Answer(answer(500, &Value::Null)),
            Step::Answer(answer(202, &json!({"task_id": "t1"}))),
        ]
    };
    let server = Server::start(breaks().into_iter().chain(breaks()));
    let (client, _) = client(&server);
    let create = || client.analyze_async().tasks().create().prompt("Summarise.");
    assert_eq!(create().send().unwrap().task_id, "t1");
    assert_eq!(create().send().unwrap().task_id, "t1");
    let random = keys(&server);
    assert!(random[0].len() == 32 && random[0].bytes().all(|byte| byte.is_ascii_hexdigit()), "{random:?}");
    assert!(random[..3].iter().all(|key| *key == random[0]) && random[3..].iter().all(|key| *key == random[3]));
    assert_ne!(random[0], random[3], "each call has a key of its own");

    server.rewind(breaks());
    assert_eq!(create().idempotency_key("once").send().unwrap().task_id, "t1");
    assert_eq!(keys(&server), ["once"; 3]);
    server.rewind(breaks());
    let options = RequestOptions::new().additional_header("Idempotency-Key", "twice");
    assert_eq!(create().request_options(options).send().unwrap().task_id, "t1");
    assert_eq!(keys(&server), ["twice"; 3]);
    let e = create().idempotency_key("a\nb").send().unwrap_err();
    assert!(e.to_string().starts_with("`idempotency-key` must not contain line breaks"), "{e}");
}

#[test]
fn the_callers_idempotency_key_is_kept() {
    let server = Server::start([Step::Answer(answer(202, &json!({"task_id": "t1"})))]);
    let client =
        twelvelabs::TwelveLabs::builder().api_key("k").base_url(server.url()).header("Idempotency-Key", "mine");
    client.build().unwrap().analyze_async().tasks().create().prompt("Summarise.").send().unwrap();
    assert_eq!(keys(&server), ["mine"]);
}

#[test]
fn waits_for_tasks_and_batches() {
    let states = |id: &str, states: &[&str]| {
        let steps = states.iter().map(|state| {
            Step::Answer(answer(
                200,
                &json!({id: "x", "status": state, "error": {"code": "c", "message": "Why."},
                "ready_items": 1, "total_items": 3}),
            ))
        });
        Server::start(steps.collect::<Vec<_>>())
    };
    for (seen, outcome) in [
        (&["queued", "pending", "processing", "pondering", "ready"][..], "Ok(x)"),
        (&["failed"], "analyze task x ended as `failed`: Why."),
        (&["processing", "canceled"], "analyze task x ended as `canceled`: Why."),
    ] {
        let server = states("task_id", seen);
        let (client, pauses) = client(&server);
        match client.analyze_async().tasks().wait_for_done("x").send() {
            Ok(task) => assert_eq!(outcome, format!("Ok({})", task.task_id)),
            Err(e) => assert_eq!((e.to_string().as_str(), e.code()), (outcome, Some("c"))),
        }
        assert_eq!(pauses.taken().len(), seen.len() - 1);
        assert!(server.finish().iter().all(|request| request.path == "/v1.3/analyze/tasks/x"));
    }
    for (seen, outcome) in [
        (&["pending", "processing", "canceling", "pondering", "completed"][..], "Ok(x)"),
        (&["canceling", "canceled"], "batch x ended as `canceled`: 1 of 3 items are ready"),
        (&["expired"], "batch x ended as `expired`: 1 of 3 items are ready"),
    ] {
        let server = states("batch_id", seen);
        let (client, _) = client(&server);
        match client.analyze_async().batches().wait_for_done("x").send() {
            Ok(batch) => assert_eq!(outcome, format!("Ok({})", batch.batch_id)),
            Err(e) => assert_eq!(e.to_string(), outcome),
        }
        assert!(server.finish().iter().all(|request| request.path == "/v1.3/analyze/batches/x"));
    }
}

#[test]
fn the_parameters_of_a_task_are_returned_as_sent() {
    let params = json!({
        "analysis_mode": "time_based_metadata",
        "prompt_v2": prompt_v2_json(),
        "image": [{"name": "one", "media_type": "image"}, {"name": "two", "asset_id": "a1"}],
        "response_format": segments_json(),
        "max_tokens": "unlimited",
    });
    let task = |params: &Value| answer(200, &json!({"task_id": "t1", "request_params": params}));
    let other = json!({"max_tokens": {"up to": "you"}, "response_format": {"type": "verse"}});
    let server = Server::start([Step::Answer(task(&params)), Step::Answer(task(&other))]);
    let (client, _) = client(&server);
    let retrieve = || client.analyze_async().tasks().retrieve("t1").send().unwrap().request_params.unwrap();
    let sent = retrieve();
    same(&params, &to_json(&sent), "retrieve");
    assert_eq!((sent.prompt_v2.clone(), sent.response_format.clone()), (Some(prompt_v2()), Some(segments())));
    assert_eq!(sent.max_tokens, Some(MaxTokens::Unlimited));
    assert_eq!(sent.prompt_v2.unwrap().get("input_text"), Some(&json!("Is there a <@tiger>?")));
    same(&other, &to_json(retrieve()), "retrieve");
}
