//! The documented refusals and options of the platform, as the stand-in implements them.

use serde_json::{Value, json};
use twelvelabs::analyze::VideoContext;
use twelvelabs::assets::{Asset, AssetType};
use twelvelabs::embed::EmbedInput;
use twelvelabs::indexes::IndexModelInput;
use twelvelabs::knowledge_stores::IngestionConfig;
use twelvelabs::search::{GroupBy, SearchFilter};
use twelvelabs::testing::StandIn;
use twelvelabs::{Error, FileSource, Result, TwelveLabs};

fn upload(client: &TwelveLabs, name: &str) -> Asset {
    client.assets().upload(FileSource::bytes(name, *b"media")).send().unwrap()
}

/// Returns the status and the code of an error response.
fn refusal<T: std::fmt::Debug>(result: Result<T>) -> (u16, String) {
    match result.unwrap_err() {
        Error::Api(e) => (e.status, e.code.clone().unwrap_or_default()),
        e => panic!("{e:?}"),
    }
}

fn index(client: &TwelveLabs) -> String {
    client.indexes().create("holidays", [IndexModelInput::new("marengo3.0", ["visual"])]).send().unwrap().id
}

#[test]
fn a_store_takes_ready_assets_under_their_own_type() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let store = client.knowledge_stores().create("Holidays").send().unwrap().id;
    let items = client.knowledge_store_items();
    let add = |asset: &str, asset_type: AssetType| items.create(&store, asset).asset_type(asset_type).send();

    let early = client.assets().upload(FileSource::bytes("a.mp4", *b"media")).wait(false).send().unwrap();
    assert_eq!(refusal(add(&early.id, AssetType::Video)), (400, "asset_not_ready".into()));
    let (video, image) = (upload(&client, "a.mp4"), upload(&client, "dog.jpg"));
    assert_eq!(refusal(add(&image.id, AssetType::Video)), (400, "parameter_invalid".into()));
    assert_eq!(refusal(items.create(&store, image.id.as_str()).send()), (400, "parameter_invalid".into()));
    assert_eq!(refusal(add(&video.id, AssetType::Image)), (400, "parameter_invalid".into()));
    let numbers = items.create(&store, video.id.as_str()).metadata(json!({"year": 2026})).send();
    assert_eq!(refusal(numbers), (400, "parameter_invalid".into()));
    assert_eq!(add(&image.id, AssetType::Image).unwrap().asset_type, Some(AssetType::Image));
    assert_eq!(items.create(&store, video.id.as_str()).send().unwrap().asset_type, Some(AssetType::Video));
}

#[test]
fn an_index_takes_no_images() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let (index, image) = (index(&client), upload(&client, "dog.jpg"));
    let refused = client.indexes().indexed_assets().create(&index, &image.id).send();
    assert_eq!(refusal(refused), (400, "unsupported_file_type".into()));
}

#[test]
fn unsupported_schemas_are_refused() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let property = json!({"type": "array", "items": {"type": "object", "properties": {"who": {"type": "string"}}}});
    let schema = json!({"type": "object", "properties": {"people": property}});
    for (schema, is_refused) in [
        (schema.clone(), true),
        (json!({"type": "object", "properties": {"who": {"type": "string", "description": "A name."}}}), false),
    ] {
        let config = IngestionConfig::json_schema(schema);
        let created = client.knowledge_stores().create("Holidays").ingestion_config(&config).send();
        assert_eq!(created.is_err(), is_refused, "{created:?}");
    }

    // An analysis does not need descriptions, but it refuses some keywords.
    let asset = upload(&client, "a.mp4");
    let ask = |schema: &Value| client.analyze().video(&asset).prompt("Who?").json::<Value>(schema.clone());
    assert!(ask(&schema).is_ok());
    let short = json!({"type": "object", "properties": {"who": {"type": "string", "maxLength": 5}}});
    assert_eq!(refusal(ask(&short)), (422, "parameter_invalid".into()));
}

#[test]
fn an_answer_fits_its_schema() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let asset = upload(&client, "a.mp4");
    let schema = json!({
        "type": "object",
        "properties": {
            "mood": {"enum": ["calm", "wild"]},
            "people": {"type": ["integer", "null"], "minimum": 5},
            "place": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Place"}]},
        },
        "$defs": {"Place": {"type": "object", "properties": {"name": {"const": "beach"}}}},
    });
    let answer: Value = client.analyze().video(&asset).prompt("Where?").json(schema).unwrap();
    assert_eq!(answer, json!({"mood": "calm", "people": 5, "place": {"name": "beach"}}));

    let endless = json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}}});
    assert!(
        client.analyze().video(&asset).prompt("Where?").json::<Value>(endless).is_ok(),
        "an endless schema still gets an answer"
    );
}

#[test]
fn segments_have_the_fields_and_the_times_that_were_asked_for() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let asset = upload(&client, "a.mp4");
    let segments = |time_format: Value, fields: Value| {
        let definitions = json!([{"id": "scenes", "description": "A scene.", "fields": fields}]);
        let format = json!({
            "type": "segment_definitions", "segment_definitions": definitions, "segment_time_format": time_format,
        });
        let task = client.call("POST", &["analyze", "tasks"]);
        let task = task.json("video", VideoContext::asset_id(&asset.id)).json("response_format", format);
        let task = task.json("model_name", "pegasus1.5").json("analysis_mode", "time_based_metadata").send()?;
        let task = client.analyze_async().tasks().wait_for_done(task["task_id"].as_str().unwrap()).send()?;
        let text = task.result.unwrap().data.unwrap();
        twelvelabs::Result::Ok(serde_json::from_str::<Value>(&text).unwrap()["scenes"].clone())
    };
    let fields = json!([
        {"name": "mood", "type": "string", "description": "The mood.", "enum": ["calm", "wild"]},
        {"name": "peak", "type": "timestamp", "description": "The peak.", "format": "hh:mm:ss"},
    ]);
    let metadata = json!({"mood": "calm", "peak": "00:00:02"});
    assert_eq!(
        segments(json!("hh:mm:ss.fff"), fields).unwrap(),
        json!([
            {"start_time": "00:00:00.000", "end_time": "00:00:06.250", "metadata": metadata},
            {"start_time": "00:00:06.250", "end_time": "00:00:12.500", "metadata": metadata},
        ])
    );
    let plain = segments(Value::Null, json!([])).unwrap();
    assert_eq!(plain[1], json!({"start_time": 6.25, "end_time": 12.5}));
    let wrong = json!([{"name": "peak", "type": "string", "description": "The peak.", "format": "hh:mm:ss"}]);
    assert_eq!(refusal(segments(Value::Null, wrong)), (400, "parameter_invalid".into()));
}

#[test]
fn searches_group_and_filter() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let index = index(&client);
    let indexed = client.indexes().indexed_assets();
    let add = |name: &str, rating: i64| {
        let asset = upload(&client, name);
        let made = indexed.create(&index, &asset.id).user_metadata(json!({"rating": rating})).send().unwrap();
        indexed.wait_for_done(&index, &made.id).send().unwrap().id
    };
    let (good, bad) = (add("good.mp4", 5), add("bad.mp4", 1));
    let search = || client.search().query(&index, ["visual"]).query_text("the dog runs");

    let videos: Vec<_> = search().group_by(GroupBy::Video).send().unwrap().collect::<Result<_>>().unwrap();
    assert_eq!(videos.len(), 2);
    for video in &videos {
        let clips = video.clips.as_ref().unwrap();
        assert_eq!((clips.len(), clips[0].video_id.as_deref()), (4, video.id.as_deref()));
    }
    let found = |filter: SearchFilter| -> Vec<String> {
        let mut ids: Vec<String> =
            search().filter(filter).send().unwrap().map(|hit| hit.unwrap().video_id.unwrap()).collect();
        ids.dedup();
        ids
    };
    assert_eq!(found(SearchFilter::new().range("rating", 3..)), std::slice::from_ref(&good));
    assert_eq!(found(SearchFilter::new().field("filename", "bad.mp4")), std::slice::from_ref(&bad));
    assert_eq!(found(SearchFilter::new().field("rating", 2)), [] as [String; 0]);
}

#[test]
fn streams_thumbnails_and_transcriptions_are_made_as_asked() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    let file = |name: &str| client.assets().upload(FileSource::bytes(name, *b"media"));
    let both = file("a.mp4").send().unwrap();
    assert!(both.hls.unwrap().manifest_url.is_some() && both.thumbnail.unwrap().representative_url.is_some());
    let none = file("a.mp4").enable_hls(false).enable_thumbnail(false).send().unwrap();
    assert_eq!((none.hls, none.thumbnail), (None, None));
    let image = file("dog.jpg").send().unwrap();
    assert_eq!((image.hls.is_some(), image.thumbnail.is_some(), image.duration), (false, true, None));

    let transcription = client.assets().retrieve_transcription(&both.id).include(["words", "utterances"]).send();
    let transcription = transcription.unwrap();
    let (words, turns) = (transcription.words.unwrap(), transcription.utterances.unwrap());
    assert!(words.windows(2).all(|pair| pair[0].end <= pair[1].start && pair[0].start < pair[0].end), "{words:?}");
    assert_eq!((turns.len(), turns[1].speaker.as_deref()), (4, Some("speaker_1")));
    assert_eq!(transcription.sentences, None);
}

#[test]
fn a_list_counts_as_one_poll_of_everything_in_it() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    for name in ["a.mp4", "b.mp4", "c.mp4"] {
        client.assets().upload(FileSource::bytes(name, *b"media")).wait(false).send().unwrap();
    }
    let ready = || {
        let assets = client.assets().list().page_limit(1).send().unwrap();
        assets.filter(|asset| asset.as_ref().unwrap().status == Some("ready".into())).count()
    };
    assert_eq!([ready(), ready(), ready()], [0, 0, 3], "the assets are ready in the third poll");
}

#[test]
fn no_vector_is_zero() {
    let stand_in = StandIn::start();
    let client = stand_in.client();
    for text in ["in the", "?!", "a dog"] {
        let embedded = client.embed().v2().create(EmbedInput::text(text), "marengo3.0").send().unwrap();
        let vector = embedded.into_embedding().unwrap();
        assert!(vector.iter().any(|value| *value != 0.0), "{text}");
    }
}
