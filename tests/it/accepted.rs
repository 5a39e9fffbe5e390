//! Code that must compile: arguments of many types, and types that can be compared, named and stored.

// The test is about the references.
#![allow(clippy::needless_borrows_for_generic_args, clippy::useless_vec, clippy::cloned_ref_to_slice_refs)]

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::server::{Received, Server, Step, answer, client};
use serde_json::json;
use twelvelabs::analyze::{AnalyzeImageInput, SegmentDefinition, SegmentField, VideoContext};
use twelvelabs::assets::{Asset, AssetStatus, AssetType, UploadMethod, UploadOutcomeKind, UploadState};
use twelvelabs::embed::{DocumentInput, EmbedInput, ImageInput, MediaSource, MultiInputMediaSource, VideoInput};
use twelvelabs::entity_collections::EntityInput;
use twelvelabs::indexes::IndexModelInput;
use twelvelabs::search::{SearchFilter, SearchItem, SearchOption};
use twelvelabs::time::{OffsetDateTime, UtcOffset};
use twelvelabs::types::SortBy;
use twelvelabs::{ApiErrorKind, FileSource, RequestOptions, TwelveLabs};

/// Returns the requests of calls that are all answered with an empty page.
fn sent(number: usize, calls: impl FnOnce(&TwelveLabs)) -> Vec<Received> {
    let page = answer(200, &json!({"_id": "1", "data": [], "page_info": {}}));
    let server = Server::start((0..number).map(|_| Step::Answer(page.clone())));
    calls(&client(&server).0);
    server.finish()
}

fn query(received: &Received) -> Vec<String> {
    let pairs = received.query.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.filter(|pair| pair != "page=1").collect()
}

fn asset() -> Asset {
    serde_json::from_value(json!({"_id": "a1", "status": "ready"})).unwrap()
}

#[test]
fn paths_of_every_kind() {
    let text = String::from("a.mp4");
    let path = Path::new("a.mp4");
    let expected = FileSource::from("a.mp4");
    for source in [
        FileSource::from(&text),
        FileSource::from(text.clone()),
        FileSource::from(&"a.mp4"),
        FileSource::from(OsString::from("a.mp4")),
        FileSource::from(&OsString::from("a.mp4")),
        FileSource::from(OsStr::new("a.mp4")),
        FileSource::from(path),
        FileSource::from(path.to_path_buf()),
        FileSource::from(&path.to_path_buf()),
        FileSource::from(Cow::Borrowed(path)),
        FileSource::from(&expected),
    ] {
        assert_eq!(source, expected);
    }
    assert_ne!(expected, FileSource::bytes("a.mp4", *b"a"));
    assert_ne!(FileSource::from("a.mp4").name("b"), expected);
    let (reader, other) = (FileSource::reader("a", &b"a"[..]), FileSource::reader("a", &b"a"[..]));
    assert!(reader == reader.clone() && reader != other);
    let client = TwelveLabs::new("k").unwrap();
    let assets = client.assets();
    drop((
        assets.upload(&text),
        assets.upload(OsString::from("a")),
        assets.upload(OsStr::new("a")),
        assets.upload(path),
    ));
    drop((assets.upload_all(&["a.mp4"]), assets.upload_all(&vec![PathBuf::from("a.mp4")])));
    drop((assets.wait_for_all(&["a1"]), assets.wait_for_all(&vec!["a1".to_string()])));
    drop(client.tasks().create_bulk("i").video_files(&["a.mp4"]).video_urls(&["https://a.b/c.mp4".to_string()]));
}

#[test]
fn lists_by_reference() {
    let options = vec![SearchOption::Visual, SearchOption::Audio];
    let ids = vec!["a1".to_string(), "a2".to_string()];
    let requests = sent(9, |client| {
        drop(client.search().query("i", &options).send().unwrap());
        drop(client.search().query("i", &["visual", "audio"]).send().unwrap());
        drop(client.search().query("i", &["visual".to_string(), "audio".to_string()]).send().unwrap());
        drop(client.assets().list().asset_ids(&["a1", "a2"]).send().unwrap());
        drop(client.assets().list().asset_ids(&ids).send().unwrap());
        drop(client.assets().list().asset_ids(["a1", "a2"]).asset_types(&[AssetType::Video]).send().unwrap());
        drop(client.assets().list().asset_ids(ids.clone()).send().unwrap());
        drop(client.assets().list().asset_ids(ids.iter().filter(|id| *id != "a3")).send().unwrap());
        drop(client.assets().list().asset_ids(ids.as_slice()).send().unwrap());
    });
    for received in &requests[..3] {
        let parts = received.parts();
        let options = parts.iter().filter(|part| part.name == "search_options").map(|part| part.text());
        assert_eq!(options.collect::<Vec<_>>(), ["visual", "audio"]);
    }
    for received in &requests[3..] {
        assert_eq!(query(received)[..2], ["asset_ids=a1", "asset_ids=a2"]);
    }
    let model = IndexModelInput::new("marengo3.0", &["visual"]);
    assert_eq!(EntityInput::new("Ana", &ids).get("asset_ids"), Some(&json!(["a1", "a2"])));
    assert_eq!(SearchFilter::new().id(&ids).get("id"), Some(&json!(["a1", "a2"])));
    let field = SegmentField::new("scorer", "string", "Who scored.");
    let definition = SegmentDefinition::new("goal", "A goal.").fields(&[field.clone()]);
    assert_eq!(definition, SegmentDefinition::new("goal", "A goal.").fields([field]));
    let requests =
        sent(1, |client| drop(client.indexes().create("films", [model]).addons(&["thumbnail"]).send().unwrap()));
    assert_eq!(requests[0].json()["addons"], json!(["thumbnail"]));
}

#[test]
fn an_asset_can_be_passed_instead_of_its_id() {
    let asset = asset();
    assert_eq!(VideoContext::from(&asset), VideoContext::asset_id("a1"));
    assert_eq!(EmbedInput::video(&asset), EmbedInput::video(MediaSource::asset_id("a1")));
    assert_eq!(asset, asset.clone());
    // The answer does not fit this call, so its result is ignored.
    let requests = sent(1, |client| drop(client.analyze().video(&asset).send()));
    assert_eq!(requests[0].json()["video"], json!({"type": "asset_id", "asset_id": "a1"}));
}

#[test]
fn a_path_can_be_passed_as_media() {
    let file = || MediaSource::file("a.jpg");
    assert_eq!(EmbedInput::image("a.jpg"), EmbedInput::image(ImageInput::new(file())));
    assert_eq!(EmbedInput::image(Path::new("a.jpg")), EmbedInput::image(file()));
    assert_eq!(EmbedInput::image(FileSource::from("a.jpg")), EmbedInput::image(&file()));
    assert_eq!(EmbedInput::document("a.jpg".to_string()), EmbedInput::document(DocumentInput::new("a.jpg")));
    assert_eq!(EmbedInput::text_image("b", "a.jpg"), EmbedInput::text_image("b", file()));
    assert_eq!(MultiInputMediaSource::new("image", "a.jpg"), MultiInputMediaSource::new("image", file()));
    assert_ne!(EmbedInput::image("a.jpg"), EmbedInput::image("b.jpg"));
}

#[test]
fn every_media_input_takes_raw_bytes_and_base64() {
    assert_eq!(VideoContext::base64([0, 1]), VideoContext::base64_string("AAE="));
    assert_eq!(AnalyzeImageInput::base64("a", [0, 1]), AnalyzeImageInput::base64_string("a", "AAE="));
    assert_eq!(MediaSource::base64([0, 1]), MediaSource::base64_string("AAE="));
}

#[test]
fn inputs_return_their_fields() {
    let source = || MediaSource::url("https://a.b/c.mp4");
    let video =
        VideoInput::new(source()).when_some(Some(2.0), VideoInput::start_sec).when_some(None, VideoInput::end_sec);
    assert_eq!((video.get("start_sec"), video.get("end_sec")), (Some(&json!(2.0)), None));
    let whole = json!({"media_source": {"url": "https://a.b/c.mp4"}, "start_sec": 2.0});
    assert_eq!(serde_json::to_value(&video).unwrap(), whole);
    assert_eq!(
        serde_json::to_value(EmbedInput::video(&video)).unwrap(),
        json!({"input_type": "video", "video": whole})
    );
    let coat = MultiInputMediaSource::new("image", source()).name("coat");
    let flat = json!({"media_type": "image", "name": "coat", "url": "https://a.b/c.mp4"});
    assert_eq!(serde_json::to_value(&coat).unwrap(), flat);
    let e = serde_json::to_value(EmbedInput::image("a.jpg")).unwrap_err().to_string();
    assert!(e.contains("`image`: `media_source`: a local file"), "{e}");
    let filter = SearchFilter::new().when_some(Some(60..=600), SearchFilter::duration).range("rating", 7.5..);
    assert_eq!(
        serde_json::to_value(&filter).unwrap(),
        json!({"duration": {"gte": 60, "lte": 600}, "rating": {"gte": 7.5}})
    );
    let read: SearchFilter = serde_json::from_value(json!({"width": 5})).unwrap();
    assert_eq!(read.get("width"), Some(&json!(5)));
}

#[test]
fn every_builder_has_when_some() {
    let retries = Some(0);
    let client =
        TwelveLabs::builder().api_key("k").when_some(retries, |builder, n| builder.max_retries(n)).build().unwrap();
    let options = RequestOptions::new().when_some(retries, RequestOptions::max_retries);
    drop(FileSource::from("a").when_some(Some("b"), FileSource::name));
    drop(client.embed().v2().create_many([EmbedInput::text("a")], "m").when_some(Some(2), |many, n| many.workers(n)));
    drop(
        client
            .indexes()
            .ensure("a", [IndexModelInput::new("m", ["visual"])])
            .when_some(Some(options), |e, o| e.request_options(o)),
    );
}

#[test]
fn a_cloned_call_can_be_sent_twice() {
    let requests = sent(6, |client| {
        let list = client.assets().list().page_limit(5);
        let retrieve = client.assets().retrieve("a1");
        let custom = client.call("GET", &["assets"]).query("page", 2);
        for _ in 0..2 {
            drop((list.clone().send().unwrap(), retrieve.clone().send().unwrap(), custom.clone().send().unwrap()));
        }
    });
    let paths: Vec<String> =
        requests.iter().map(|request| format!("{}?{}", request.path, query(request).join("&"))).collect();
    assert_eq!(paths[..3], ["/v1.3/assets?page_limit=5", "/v1.3/assets/a1?", "/v1.3/assets?page=2"]);
    assert_eq!(paths[..3], paths[3..]);
}

#[test]
fn each_send_of_a_call_has_its_own_idempotency_key() {
    let requests = sent(4, |client| {
        let create = client.analyze_async().tasks().create().prompt("a");
        drop((create.clone().send(), create.clone().send()));
        let own = create.idempotency_key("mine");
        drop((own.clone().send(), own.send()));
    });
    let keys: Vec<_> = requests.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[2..], ["mine", "mine"]);
}

#[test]
fn date_filters_are_sent_unchanged() {
    let at =
        OffsetDateTime::from_unix_timestamp(1_767_323_045).unwrap().to_offset(UtcOffset::from_hms(9, 0, 0).unwrap());
    let requests = sent(6, |client| {
        drop(client.indexes().list().created_at(at).updated_at("2026-01-02").send().unwrap());
        drop(client.indexes().indexed_assets().list("i").created_at(at).updated_at(at).send().unwrap());
        drop(client.indexes().videos().list("i").created_at(at).send().unwrap());
        drop(client.tasks().list().created_at(at).send().unwrap());
        drop(client.embed().tasks().list().started_at(at).send().unwrap());
        drop(client.embed().v2().tasks().list().ended_at(&"2026".to_string()).send().unwrap());
    });
    let written = "2026-01-02T03:04:05Z";
    assert_eq!(query(&requests[0]), [format!("created_at={written}"), "updated_at=2026-01-02".into()]);
    assert_eq!(query(&requests[1]), [format!("created_at={written}"), format!("updated_at={written}")]);
    assert_eq!(query(&requests[2]), [format!("created_at={written}")]);
    assert_eq!(query(&requests[3]), [format!("created_at={written}")]);
    assert_eq!(query(&requests[4]), [format!("started_at={written}")]);
    assert_eq!(query(&requests[5]), ["ended_at=2026"]);
}

#[test]
fn names_are_read_written_and_sorted() {
    assert_eq!("ready".parse(), Ok(AssetStatus::Ready));
    assert_eq!("frozen".parse(), Ok(AssetStatus::Other("frozen".into())));
    let mut sorted = [SortBy::UpdatedAt, SortBy::Other("z".into()), SortBy::CreatedAt];
    sorted.sort();
    assert_eq!(sorted, [SortBy::CreatedAt, SortBy::UpdatedAt, SortBy::Other("z".into())]);
    assert_eq!(format!("{:>7}", AssetStatus::Ready), "  ready");
    assert_eq!(UploadOutcomeKind::NotStarted.to_string(), "not_started");
    assert_eq!(format!("{:<10}|", UploadState::Processing), "processing|");
    assert_eq!(ApiErrorKind::TooManyRequests.as_str(), "too_many_requests");
    let json = json!([UploadOutcomeKind::Skipped, UploadState::Ready, ApiErrorKind::NotFound]);
    assert_eq!(json, json!(["skipped", "ready", "not_found"]));
    assert!(UploadState::Uploading < UploadState::Ready && ApiErrorKind::BadRequest < ApiErrorKind::Other);
    assert!(UploadOutcomeKind::Uploaded < UploadOutcomeKind::NotStarted);
}

#[test]
fn a_hit_has_the_asset_id_if_the_platform_returns_it() {
    let hit = |json| serde_json::from_value::<SearchItem>(json).unwrap();
    assert_eq!(hit(json!({"video_id": "x1", "asset_id": "a1"})).asset_id.as_deref(), Some("a1"));
    assert_eq!(hit(json!({"video_id": "x1"})).asset_id, None);
}

#[test]
fn a_session_takes_any_name() {
    let requests = sent(2, |client| {
        let name = "a.mp4".to_string();
        let create = |name: String| client.multipart_upload().create(name, AssetType::Video, 5).send().map(drop);
        assert!(create(name.clone()).is_err(), "the response is not a session");
        drop(client.multipart_upload().create(&name, "video", 5).send());
    });
    assert_eq!(requests[0].json(), requests[1].json());
    drop(UploadMethod::direct(&"a.mp4".to_string()));
}
