//! Embeddings against the stand-in: tasks from their creation to their vectors, and the similarity of vectors.

use std::time::Duration;

use crate::server::{self, Server, Step, answer};
use serde_json::{Value, json};
use twelvelabs::embed::{
    EmbedInput, EmbedTaskVideo, EmbeddingTaskStatus, MediaSegmentation, MediaSource, cosine_similarity,
};
use twelvelabs::embed::{MultiInput, MultiInputMediaSource, VideoInput};
use twelvelabs::testing::StandIn;
use twelvelabs::types::EmbeddingScope;
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs};

const SLEEP: Duration = Duration::from_millis(1);

fn start() -> (StandIn, TwelveLabs) {
    let stand_in = StandIn::start();
    let client = TwelveLabs::builder().api_key("key").base_url(stand_in.url()).build().unwrap();
    (stand_in, client)
}

#[test]
fn similar_inputs_have_similar_vectors() {
    let (_stand_in, client) = start();
    let v2 = client.embed().v2();
    let embedding = |input: EmbedInput| v2.create(input, "marengo3.0").send().unwrap().embedding().unwrap().to_vec();
    let file = |content: &str| MediaSource::file(FileSource::bytes("a.jpg", content));
    let text = embedding(EmbedInput::text("A dog on a beach"));
    let dog = embedding(EmbedInput::image(file("the dog")));
    let city = embedding(EmbedInput::image(MediaSource::url("https://example.com/city-at-night.jpg")));
    let same = MultiInput::new()
        .input_text("dog")
        .media_sources([MultiInputMediaSource::new("image", MediaSource::base64_string("YmVhY2g="))]);
    let same = embedding(EmbedInput::multi_input(same));
    let likeness = |other: &[f32]| cosine_similarity(&text, other).unwrap();
    assert_eq!(text.len(), 512);
    assert!(likeness(&same) > 0.999 && likeness(&dog) > 0.5 && likeness(&city) < 0.2);
    let both = embedding(EmbedInput::text_image("dog", file("beach")));
    assert!(likeness(&both) > 0.999);
}

#[test]
fn many_inputs_have_one_outcome_each_in_their_order() {
    let (stand_in, client) = start();
    let v2 = client.embed().v2();
    let texts: Vec<String> =
        (0..20).map(|n| if n == 7 { "no/such/file.jpg".into() } else { format!("dog {n}") }).collect();
    let inputs =
        || texts.iter().map(|text| if text.contains('/') { EmbedInput::image(text) } else { EmbedInput::text(text) });
    for workers in [1, 3, 100] {
        let before = stand_in.count("POST /embed-v2");
        let outcomes = v2.create_many(inputs(), "marengo3.0").workers(workers).send().unwrap();
        assert_eq!(stand_in.count("POST /embed-v2") - before, 19);
        assert_eq!(outcomes.iter().map(|outcome| outcome.source.as_str()).collect::<Vec<_>>(), texts);
        for (n, outcome) in outcomes.into_iter().enumerate() {
            match outcome.result {
                Ok(answer) => assert_eq!((n != 7, answer.into_embedding().unwrap().len()), (true, 512)),
                Err(e) => assert_eq!((n, e.to_string().as_str()), (7, "no/such/file.jpg: there is no such file")),
            }
        }
    }
    assert!(v2.create_many(inputs(), "marengo3.0").workers(0).send().unwrap_err().to_string().contains("workers"));
    assert!(v2.create_many([], "marengo3.0").send().unwrap().is_empty());
}

#[test]
fn options_of_create_many_apply_to_each_input() {
    let answers = || Step::Answer(answer(200, &serde_json::json!({"data": [{"embedding": [1.0]}]})));
    let server = Server::start([answers(), answers()]);
    let inputs = ["a", "b"].map(EmbedInput::text);
    let many = server::client(&server).0.embed().v2().create_many(inputs, "marengo3.5").auto_truncate(true);
    let options = RequestOptions::new().additional_header("x-team", "films");
    many.embedding_uncertainty(true).embedding_dimension(64).request_options(options).send().unwrap();
    let mut texts = Vec::new();
    for received in server.finish() {
        let body = received.json();
        assert_eq!((&body["auto_truncate"], &body["embedding_uncertainty"]), (&true.into(), &true.into()));
        assert_eq!((body["embedding_dimension"].as_u64(), received.header("x-team")), (Some(64), Some("films")));
        texts.push(body["text"]["input_text"].as_str().unwrap().to_string());
    }
    texts.sort();
    assert_eq!(texts, ["a", "b"]);
}

#[test]
fn an_exhausted_quota_stops_the_remaining_inputs() {
    let quota = || {
        let body = json!({"code": "plan_limit_exceeded", "message": "The plan's hours are used up."});
        Step::Answer(answer(429, &body))
    };
    let text = |n: usize| EmbedInput::text(n.to_string());
    let server = Server::start([Step::Answer(answer(200, &json!({"data": [{"embedding": [1.0]}]}))), quota()]);
    let (client, _) = server::client(&server);
    let outcomes = client.embed().v2().create_many((0..30).map(text), "marengo3.0").workers(1).send().unwrap();
    assert!(outcomes[0].result.is_ok() && outcomes.len() == 30);
    assert!(outcomes[1..].iter().all(|outcome| outcome.result.as_ref().is_err_and(Error::is_quota)));
    assert_eq!(server.finish().len(), 2);

    let key = json!({"code": "api_key_invalid", "message": "The key is not valid."});
    let server = Server::start([Step::Answer(answer(401, &key)), Step::Answer(answer(401, &key))]);
    let (client, _) = server::client(&server);
    let urls = ["https://example.com/a.mp4", "https://example.com/b.mp4"];
    let outcomes = client.tasks().create_bulk("i1").video_urls(urls).send().unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.source.as_str()).collect::<Vec<_>>(), urls);
    let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.result.unwrap_err()).collect();
    assert!(outcomes.iter().all(|e| e.status() == Some(401)));
    let videos = urls.map(EmbedTaskVideo::video_url);
    let outcomes = client.embed().tasks().create_bulk("marengo3.0", videos).send().unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.result.as_ref().is_err_and(|e| e.status() == Some(401))));
    assert_eq!(server.finish().len(), 2, "each call stops after its first request");
}

#[test]
fn a_reader_that_panics_fails_only_its_own_input() {
    struct Panics;
    impl std::io::Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            panic!("a fault of the caller's own")
        }
    }
    let (_stand_in, client) = start();
    let inputs = [EmbedInput::image(FileSource::reader("a.jpg", Panics)), EmbedInput::text("a dog")];
    let outcomes = client.embed().v2().create_many(inputs, "marengo3.0").workers(2).send().unwrap();
    assert!(outcomes[0].result.is_err());
    assert!(outcomes[1].result.is_ok());
}

#[test]
fn vectors_of_a_task_are_kept_with_their_segments() {
    let (_stand_in, client) = start();
    let tasks = client.embed().v2().tasks();
    let task =
        tasks.create(EmbedInput::video(MediaSource::url("https://example.com/dog.mp4")), "marengo3.0").send().unwrap();
    let e = task.clone().into_records("a1", "marengo3.0").unwrap_err();
    assert!(matches!(&e, Error::NotReady { status, .. } if status == "processing"), "{e}");
    let ready = tasks.wait_for_done(&task.id).sleep_interval(SLEEP).send().unwrap();
    let data = ready.data.clone().unwrap();
    let records = ready.into_records("a1", "marengo3.0").unwrap();
    assert!(records.len() == data.len() && !records.is_empty());
    for (n, (record, data)) in records.into_iter().zip(data).enumerate() {
        assert_eq!((record.id, record.dimension), (format!("a1/marengo3.0/{n}"), data.embedding.len()));
        assert_eq!((record.asset_id.as_str(), record.model_name.as_str(), record.data), ("a1", "marengo3.0", data));
    }
}

#[test]
fn similarity_requires_vectors_of_one_model_with_a_direction() {
    assert_eq!(cosine_similarity(&[3.0, 4.0], &[-3.0, -4.0]).unwrap(), -1.0);
    for (a, b) in [(&[][..], &[][..]), (&[0.0], &[1.0]), (&[1.0], &[1.0, 0.0]), (&[f32::NAN], &[1.0])] {
        assert!(cosine_similarity(a, b).is_err());
    }
    assert_eq!(cosine_similarity(&[1e30], &[1e30]).unwrap(), 1.0, "the norm does not overflow");
}

#[test]
fn a_task_gives_its_vectors_when_it_is_ready() {
    let (stand_in, client) = start();
    let tasks = client.embed().v2().tasks();
    let video = VideoInput::new(MediaSource::url("https://example.com/dog.mp4"))
        .segmentation(MediaSegmentation::fixed(5).temporal())
        .embedding_option(["visual"])
        .embedding_scope(["clip"]);
    let task = tasks.create(EmbedInput::video(video), "marengo3.5").embedding_dimension(256).send().unwrap();
    assert_eq!((task.status, task.data), (Some(EmbeddingTaskStatus::Processing), None));
    let ready = tasks.wait_for_done(&task.id).sleep_interval(SLEEP).send().unwrap();
    assert_eq!(stand_in.count("GET /embed-v2/tasks/{id}"), 3);
    let clips = ready.data.unwrap();
    let spans: Vec<_> = clips.iter().map(|clip| (clip.start_sec, clip.end_sec)).collect();
    assert_eq!(spans, [(Some(0.0), Some(5.0)), (Some(5.0), Some(10.0)), (Some(10.0), Some(12.5))]);
    assert!(clips.iter().all(|clip| clip.embedding.len() == 256 && clip.embedding_scope == Some(EmbeddingScope::Clip)));
    assert!(ready.usage.unwrap().input_tokens.is_some());

    let broken = EmbedInput::audio(MediaSource::url("https://example.com/broken.mp3"));
    let broken = tasks.create(broken, "marengo3.0").send().unwrap();
    let error = tasks.wait_for_done(&broken.id).sleep_interval(SLEEP).send().unwrap_err();
    assert!(matches!(&error, Error::Failed(failed) if failed.status == "failed"), "{error:?}");
    assert!(error.to_string().ends_with("We could not process your media for embedding."), "{error}");

    let listed: Vec<_> = tasks.list().send().unwrap().map(|task| task.unwrap().id).collect();
    assert_eq!(listed, [broken.id, task.id.clone()], "the newest task comes first");
    let ready: Vec<_> = tasks.list().status("ready").send().unwrap().map(|task| task.unwrap().id).collect();
    assert_eq!(ready, [task.id]);
}

#[test]
fn the_older_tasks_return_their_vectors_separately() {
    let (_stand_in, client) = start();
    let tasks = client.embed().tasks();
    let videos = ["dog.mp4", "broken.mp4"].map(|name| EmbedTaskVideo::video_file(FileSource::bytes(name, *b"video")));
    let created = tasks.create_bulk("marengo3.0", videos).send().unwrap();
    let ids: Vec<String> = created.into_iter().map(|outcome| outcome.result.unwrap().id).collect();
    let done = tasks.wait_for_done(&ids[0]).sleep_interval(SLEEP).send().unwrap();
    assert_eq!(done.video_embedding.unwrap().segments, None, "the status does not contain vectors");
    let whole = tasks.retrieve(&ids[0]).send().unwrap();
    assert_eq!(whole.video_embedding.unwrap().segments.unwrap().len(), 6);
    assert!(matches!(tasks.wait_for_done(&ids[1]).sleep_interval(SLEEP).send(), Err(Error::Failed(_))));
    let answer = client.embed().create("marengo3.0").text("dog").image_url("https://a.b/broken.jpg").send().unwrap();
    assert!(answer.text_embedding.unwrap().segments.is_some());
    assert!(answer.image_embedding.unwrap().error_message.is_some());
}

#[test]
fn a_ready_task_without_vectors_is_a_failure() {
    for data in [Value::Null, json!({})] {
        let server = Server::start([Step::Answer(answer(200, &json!({"_id": "e", "status": "ready", "data": data})))]);
        let e = server::client(&server).0.embed().v2().tasks().wait_for_done("e").send().unwrap_err();
        assert!(data.is_object() || e.to_string().contains("its embeddings are missing"), "{e}");
    }
}

#[test]
fn a_vector_is_complete_or_an_error_in_every_call() {
    type Body<'a> = &'a dyn Fn(&Value) -> Value;
    type Read = fn(&TwelveLabs) -> Result<Vec<f32>, Error>;
    fn of(segments: Option<Vec<twelvelabs::types::VideoSegment>>) -> Vec<f32> {
        segments.unwrap_or_default().into_iter().flat_map(|segment| segment.float.unwrap_or_default()).collect()
    }
    fn all(data: Vec<twelvelabs::embed::EmbeddingData>) -> Vec<f32> {
        data.into_iter().flat_map(|data| data.embedding).collect()
    }
    let v2 = |vectors: &Value| json!({"_id": "e", "status": "ready", "data": vectors});
    let v1 = |vectors: &Value| {
        let text = vectors.to_string().replace("\"embedding\"", "\"float\"");
        let result = json!({"segments": serde_json::from_str::<Value>(&text).unwrap()});
        json!({"_id": "e", "status": "ready", "text_embedding": result, "video_embedding": result, "embedding": {"video_embedding": result}})
    };
    let calls: [(Body, Read); 8] = [
        (&v2, |client| client.embed().v2().create(EmbedInput::text("a"), "m").send().map(|answer| all(answer.data))),
        (&v2, |client| {
            let mut outcomes = client.embed().v2().create_many([EmbedInput::text("a")], "m").send()?;
            outcomes.remove(0).result.map(|answer| all(answer.data))
        }),
        (&v2, |client| client.embed().v2().tasks().retrieve("e").send().map(|task| all(task.data.unwrap_or_default()))),
        (&v2, |client| {
            client.embed().v2().tasks().wait_for_done("e").send().map(|task| all(task.data.unwrap_or_default()))
        }),
        (&v2, |client| {
            let mut waiting = client.embed().v2().tasks().wait_for_all(["e"]).send()?;
            waiting.next().unwrap().1.map(|task| all(task.data.unwrap_or_default()))
        }),
        (&v1, |client| {
            client.embed().create("m").text("a").send().map(|answer| of(answer.text_embedding.unwrap().segments))
        }),
        (&v1, |client| {
            client.embed().tasks().retrieve("e").send().map(|task| of(task.video_embedding.unwrap().segments))
        }),
        (&v1, |client| {
            let video = client.indexes().indexed_assets().retrieve("x", "e").send()?;
            Ok(of(video.embedding.unwrap().video_embedding.unwrap().segments))
        }),
    ];
    let vector = |vector: Value| json!([{"embedding": [0.5]}, {"embedding": vector}]);
    for (n, (body, read)) in calls.into_iter().enumerate() {
        let read = |vectors: Value| {
            let server = Server::start([Step::Answer(answer(200, &body(&vectors)))]);
            read(&server::client(&server).0)
        };
        assert_eq!(read(vector(json!(["0.25", 1, "-2"]))).unwrap(), [0.5, 0.25, 1.0, -2.0], "{n}");
        for bad in [
            json!([[0.1, 0.2]]),
            json!([null, null]),
            json!([0.1, null]),
            json!(["NaN"]),
            json!(["a", 0.1]),
            json!([0.1, {}]),
            json!([1e39]),
            json!([true]),
            json!("0.1"),
            json!({"0": 0.1}),
            json!(0.1),
            json!(["Infinity"]),
            json!(["1e39"]),
        ] {
            let e = read(vector(bad.clone())).unwrap_err();
            assert!(matches!(e, Error::Decode { .. }) && e.to_string().contains("[1]."), "{n}: {bad}: {e}");
        }
        for bad in [
            json!([null]),
            json!([{"embedding": [0.5]}, null]),
            json!([1, 2]),
            json!([[0.5]]),
            json!(["a"]),
            json!({}),
            json!("a"),
        ] {
            let e = read(bad.clone()).unwrap_err();
            assert!(matches!(e, Error::Decode { .. }), "{n}: {bad}: {e}");
        }
    }
}
