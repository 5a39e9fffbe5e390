//! Analyses from the upload to the results, against the stand-in.

use std::time::Duration;

use serde_json::json;
use twelvelabs::analyze::{
    AnalyzeModelName, FinishReason, ResponseFormat, Segment, SegmentDefinition, SegmentField, SegmentTimeFormat,
    VideoContext,
};
use twelvelabs::analyze_async::{
    AnalysisMode, AnalyzeTaskStatus, BatchDefaults, BatchItemRequest, BatchItemStatus, BatchStatus,
};
use twelvelabs::assets::UploadMethod;
use twelvelabs::testing::StandIn;
use twelvelabs::{Error, FileSource, TwelveLabs};

use crate::server::{Server, Step, answer, answer_of_type, client};

const PAUSE: Duration = Duration::from_millis(5);

/// Creates a stand-in with a video that is ready.
fn begin() -> (StandIn, TwelveLabs, VideoContext) {
    let stand_in = StandIn::start();
    let client = TwelveLabs::builder().api_key("tlk_test").base_url(stand_in.url()).build().unwrap();
    let asset = client.assets().create(UploadMethod::direct(FileSource::bytes("a.mp4", *b"video"))).send().unwrap();
    client.assets().wait_for_done(&asset.id).sleep_interval(PAUSE).send().unwrap();
    (stand_in, client, VideoContext::asset_id(asset.id))
}

#[test]
fn a_whole_answer_and_a_streamed_answer_are_equal() {
    let (_stand_in, client, video) = begin();
    let at_once = client.analyze().video(video.clone()).prompt("Say something.").send().unwrap();
    let in_pieces = client.analyze_stream().video(video.clone()).prompt("Say something.").send().unwrap();
    let gathered = in_pieces.text().unwrap();
    assert_eq!(at_once.data.as_deref(), Some(gathered.text.as_str()));
    assert_eq!((at_once.finish_reason, at_once.usage), (gathered.finish_reason, gathered.usage));

    let short = client.analyze_stream().video(video.clone()).prompt("Say something.").max_tokens(3);
    assert_eq!(short.send().unwrap().text().unwrap().finish_reason, Some(FinishReason::Length));
    let schema = json!({"type": "array", "items": {"type": "number"}});
    let numbers: Vec<f64> = client.analyze().video(video).prompt("Count.").json(schema).unwrap();
    assert_eq!(numbers, [2.5]);
    let e = client.analyze_stream().prompt("Of what?").send().unwrap_err();
    assert_eq!((e.status(), e.code()), (Some(400), Some("parameter_invalid")));
}

#[test]
fn an_analysis_task_from_creation_to_deletion() {
    let (_stand_in, client, video) = begin();
    let tasks = client.analyze_async().tasks();
    let create = || tasks.create().video(video.clone()).prompt("Say something.").custom_id("mine");
    let task = create().idempotency_key("k").send().unwrap();
    assert_eq!(task.status, Some(AnalyzeTaskStatus::Queued));
    assert_eq!(
        create().idempotency_key("k").send().unwrap().task_id,
        task.task_id,
        "the same key returns the same task"
    );
    assert_eq!(tasks.delete(&task.task_id).send().unwrap_err().status(), Some(409));
    let done = tasks.wait_for_done(&task.task_id).sleep_interval(PAUSE).send().unwrap();
    assert!(done.result.unwrap().data.unwrap().starts_with("You asked: Say something."));
    assert_eq!(done.request_params.unwrap().prompt.as_deref(), Some("Say something."));

    let other = create().send().unwrap();
    assert_eq!(tasks.cancel(&other.task_id).send().unwrap().status, Some(AnalyzeTaskStatus::Canceled));
    let e = tasks.wait_for_done(&other.task_id).send().unwrap_err();
    assert!(matches!(&e, Error::Failed(e) if e.status == "canceled" && e.code.as_deref() == Some("user_canceled")));
    let listed = |status: AnalyzeTaskStatus| -> Vec<String> {
        let tasks = tasks.list().status(status).page_limit(1).send().unwrap();
        tasks.map(|task| task.unwrap().task_id).collect()
    };
    assert_eq!(listed(AnalyzeTaskStatus::Ready), [task.task_id.as_str()]);
    assert_eq!(listed(AnalyzeTaskStatus::Canceled), [other.task_id.as_str()]);
    tasks.delete(&task.task_id).send().unwrap();
    assert_eq!(tasks.retrieve(&task.task_id).send().unwrap_err().status(), Some(404));
}

#[test]
fn an_analysis_batch_from_creation_to_deletion() {
    let (_stand_in, client, video) = begin();
    let batches = client.analyze_async().batches();
    let create = || {
        let requests = ["a", "b"].map(|id| BatchItemRequest::new(video.clone()).custom_id(id));
        let defaults = BatchDefaults::new().prompt("Say something.");
        batches.create(AnalyzeModelName::Pegasus15, AnalysisMode::General, requests).defaults(defaults).send().unwrap()
    };
    let batch = create();
    let made = batch.items.unwrap();
    assert_eq!(made.iter().map(|item| item.custom_id.as_deref()).collect::<Vec<_>>(), [Some("a"), Some("b")]);
    let results = || batches.results(&batch.batch_id).send().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert!(results().iter().all(|result| result.status == Some(BatchItemStatus::Queued) && result.data.is_none()));
    let done = batches.wait_for_done(&batch.batch_id).sleep_interval(PAUSE).send().unwrap();
    assert_eq!((done.ready_items, done.total_items), (Some(2), Some(2)));
    for (result, made) in results().into_iter().zip(made) {
        assert_eq!((&result.task_id, &result.custom_id), (&made.task_id, &made.custom_id));
        assert!(result.data.unwrap().data.unwrap().starts_with("You asked: Say something."));
    }

    let other = create();
    assert_eq!(batches.cancel(&other.batch_id).send().unwrap().status, Some(BatchStatus::Canceled));
    let e = batches.wait_for_done(&other.batch_id).send().unwrap_err();
    assert_eq!(e.to_string(), format!("batch {} ended as `canceled`: 0 of 2 items are ready", other.batch_id));
    let canceled: Vec<_> = batches.list().status([BatchStatus::Canceled]).send().unwrap().collect();
    assert_eq!(canceled.len(), 1);
    batches.delete(&other.batch_id).send().unwrap();
    assert_eq!(batches.retrieve(&other.batch_id).send().unwrap_err().status(), Some(404));
}

#[test]
fn segments_are_decoded_into_a_type() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Goal {
        scorer: String,
        assists: Vec<Assist>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Assist {
        start_time: f64,
        by: String,
    }

    let goals = json!({"goals": [
        {"start_time": "00:01:00.500", "end_time": 72, "metadata": {
            "scorer": "Ada", "assists": [{"start_time": 61.0, "end_time": 62.0, "by": "Bea"}],
        }},
    ]});
    let task = |finish_reason: &str| json!({"task_id": "t", "status": "ready", "result": {"data": goals.to_string(), "finish_reason": finish_reason}});
    let server = Server::start(["stop", "length"].map(|reason| Step::Answer(answer(200, &task(reason)))));
    let (client, _) = client(&server);
    let result = || client.analyze_async().tasks().retrieve("t").send().unwrap().result.unwrap();
    let read = result().segments::<Goal>("goals").unwrap();
    let [goal] = &read[..] else { panic!("{read:?}") };
    assert_eq!((goal.start, goal.end, goal.metadata.scorer.as_str()), (60.5, 72.0, "Ada"));
    assert_eq!(goal.metadata.assists, [Assist { start_time: 61.0, by: "Bea".into() }]);
    assert!(matches!(result().segments::<Goal>("goals"), Err(Error::Truncated { .. })));
}

#[test]
fn segments_have_the_same_times_in_every_format() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Goal {
        scorer: String,
        passes: Vec<String>,
    }

    let (_stand_in, client, video) = begin();
    let tasks = client.analyze_async().tasks();
    let read = |format: SegmentTimeFormat| -> Vec<Segment<Goal>> {
        let passes = SegmentField::new("passes", "array", "The names of those who pass.").items("string");
        let fields = [SegmentField::new("scorer", "string", "The name of the scorer."), passes];
        let goals = SegmentDefinition::new("goals", "From the attack to the goal.").fields(fields);
        let format = ResponseFormat::segment_definitions([goals]).segment_time_format(format);
        let task = tasks.create().video(video.clone()).analysis_mode(AnalysisMode::TimeBasedMetadata);
        let task = task.response_format(format).send().unwrap();
        let task = tasks.wait_for_done(&task.task_id).sleep_interval(PAUSE).send().unwrap();
        let result = task.result.unwrap();
        assert!(result.segments::<Goal>("fouls").unwrap_err().to_string().contains("it has `goals`"));
        result.segments("goals").unwrap()
    };
    let in_seconds = read(SegmentTimeFormat::Seconds);
    assert!(in_seconds.len() == 2 && in_seconds.iter().all(|goal| goal.start < goal.end), "{in_seconds:?}");
    assert!(!in_seconds[0].metadata.scorer.is_empty() && !in_seconds[0].metadata.passes.is_empty());
    assert_eq!(read(SegmentTimeFormat::HhMmSsFff), in_seconds);
    for (rounded, exact) in read(SegmentTimeFormat::HhMmSs).iter().zip(&in_seconds) {
        assert!((rounded.start - exact.start).abs() < 1.0 && (rounded.end - exact.end).abs() < 1.0);
    }
}

#[cfg(feature = "schemars")]
#[test]
fn segments_are_defined_by_a_type() {
    #[derive(schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Scene {
        /// Where it is set.
        place: String,
    }

    #[derive(schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Bare {
        place: String,
    }

    let server = Server::start([Step::Answer(answer(202, &json!({"task_id": "t", "status": "queued"})))]);
    let (client, _) = client(&server);
    let create = |definition| {
        let create = client.analyze_async().tasks().create().video(VideoContext::asset_id("a"));
        create.response_format(ResponseFormat::segment_definitions([definition])).send()
    };
    let e = create(SegmentDefinition::of::<Bare>("scenes", "A scene.")).unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { .. }), "{e:?}");
    assert!(e.to_string().contains("`place` has no description"), "{e}");
    create(SegmentDefinition::of::<Scene>("scenes", "A scene.")).unwrap();
    let definition = &server.received()[0].json()["response_format"]["segment_definitions"][0];
    assert_eq!(
        *definition,
        json!({
            "id": "scenes", "description": "A scene.",
            "fields": [{"name": "place", "type": "string", "description": "Where it is set."}],
        })
    );
}

#[test]
fn an_error_beside_the_text_has_the_same_effect_whole_and_streamed() {
    for (reason, error, is_error) in [
        ("stop", json!({"message": "The model failed."}), true),
        ("stop", json!({"code": "internal"}), true),
        ("stop", json!({}), false),
        ("stop", json!(null), false),
        ("length", json!({"message": "The text is truncated."}), true),
    ] {
        let whole = json!({"id": "g1", "data": "text", "finish_reason": reason, "error": error});
        let pieces = [
            json!({"event_type": "text_generation", "text": "text"}),
            json!({"event_type": "stream_end", "finish_reason": reason, "error": error}),
        ];
        let lines = pieces.map(|piece| format!("{piece}\n")).concat();
        let script = [answer(200, &whole), answer_of_type(200, "application/x-ndjson", &lines)];
        let server = Server::start(script.map(Step::Answer));
        let (client, _) = client(&server);
        let whole = client.analyze().prompt("What?").send().unwrap();
        let whole = whole.complete();
        let streamed = client.analyze_stream().prompt("What?").send().unwrap().text().and_then(|text| text.complete());
        assert_eq!(
            (whole.is_err(), streamed.is_err()),
            (is_error, is_error),
            "{reason} {error}: {whole:?} {streamed:?}"
        );
        if let (Err(e), "stop") = (whole, reason) {
            let said = error["message"].as_str().or(error["code"].as_str()).unwrap();
            assert!(matches!(&e, Error::InvalidOutput { text, .. } if text == "text"), "{e:?}");
            assert!(e.to_string().starts_with(&format!("the platform reported an error: {said}")), "{e}");
        }
    }
    let whole = json!({"data": "5", "finish_reason": "stop", "error": {"message": "The model failed."}});
    let server = Server::start([Step::Answer(answer(200, &whole))]);
    let answer = client(&server).0.analyze().prompt("What?").send().unwrap();
    assert!(answer.json::<u8>().is_err());
}
