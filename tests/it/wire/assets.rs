//! Calls of `assets`.

use serde_json::{Value, json};
use twelvelabs::FileSource;
use twelvelabs::assets::{AssetType, UploadMethod};

use crate::server::{Server, Step, answer, client};
use crate::wire::{Row, list, one};

pub const ROWS: &[Row] = &[
    Row::new("assets.create", |client, _| {
        let file = FileSource::bytes("small.mp4", *b"not really a video");
        one(client.assets().create(UploadMethod::direct(file)).send())
    })
    .id("_id"),
    Row::new("assets.delete", |client, args| {
        let call = client.assets().delete(&args.text("asset_id"));
        one(call.when_some(args.get("force"), |call, value: bool| call.force(value)).send())
    }),
    Row::new("assets.delete_user_metadata", |client, args| {
        one(client.assets().delete_user_metadata(&args.text("asset_id")).send())
    }),
    Row::new("assets.list", |client, args| {
        list(
            client
                .assets()
                .list()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("asset_ids"), |call, value: Vec<String>| call.asset_ids(value))
                .when_some(args.get("asset_types"), |call, value: Vec<AssetType>| call.asset_types(value))
                .when_some(args.get("filename"), |call, value: String| call.filename(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("assets.replace_user_metadata", |client, args| {
        let metadata: Value = args.value("user_metadata");
        one(client.assets().replace_user_metadata(&args.text("asset_id"), metadata).send())
    }),
    Row::new("assets.retrieve", |client, args| one(client.assets().retrieve(&args.text("asset_id")).send())).id("_id"),
    Row::new("assets.retrieve_transcription", |client, args| {
        let call = client.assets().retrieve_transcription(&args.text("asset_id"));
        one(call.when_some(args.get("include"), |call, value: Vec<String>| call.include(value)).send())
    }),
    Row::new("assets.update_user_metadata", |client, args| {
        let metadata: Value = args.value("user_metadata");
        one(client.assets().update_user_metadata(&args.text("asset_id"), metadata).send())
    }),
];

#[test]
fn every_option_of_an_upload_is_a_form_part() {
    let server = Server::start([Step::Answer(answer(201, &json!({"_id": "a1"})))]);
    let (client, _) = client(&server);
    let metadata = json!({"category": "holiday", "rating": 9.3, "seen": true});
    let asset = client
        .assets()
        .create(UploadMethod::url("https://example.com/a%20b.mp4?x=1&y=é&z=--"))
        .filename("Holiday é.mp4")
        .enable_hls(true)
        .enable_thumbnail(false)
        .user_metadata(metadata.clone())
        .send()
        .unwrap();
    assert_eq!(asset.id, "a1");
    let received = server.finish();
    let parts = received[0].parts();
    let text = |name: &str| {
        let mut found = parts.iter().filter(|part| part.name == name);
        let part = found.next().unwrap_or_else(|| panic!("there is no part {name}"));
        assert!(found.next().is_none(), "there is one part {name}");
        assert_eq!(part.filename, None, "{name} is not a file");
        part.text()
    };
    assert_eq!(text("method"), "url");
    assert_eq!(text("url"), "https://example.com/a%20b.mp4?x=1&y=é&z=--");
    assert_eq!(text("filename"), "Holiday é.mp4");
    assert_eq!(text("enable_hls"), "true");
    assert_eq!(text("enable_thumbnail"), "false");
    assert_eq!(serde_json::from_str::<Value>(&text("user_metadata")).unwrap(), metadata);
    assert_eq!(parts.len(), 6);
}
