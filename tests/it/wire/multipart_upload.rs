//! Calls of `multipart_upload`.

use std::time::Duration;

use serde_json::{Value, json};
use twelvelabs::assets::AssetType;
use twelvelabs::multipart_upload::{CompletedChunk, UploadResult};
use twelvelabs::{Error, FileSource};

use crate::server::{Server, Step, answer, answer_with, client};
use crate::wire::{Row, list, one, to_json};

pub const ROWS: &[Row] = &[
    Row::new("multipart_upload.create", |client, args| {
        let (filename, kind) = (args.text("filename"), args.text("type"));
        one(client
            .multipart_upload()
            .create(&filename, kind, args.value("total_size"))
            .when_some(args.get("enable_hls"), |call, value| call.enable_hls(value))
            .when_some(args.get("enable_thumbnail"), |call, value| call.enable_thumbnail(value))
            .when_some(args.get("user_metadata"), |call, value: Value| call.user_metadata(value))
            .send())
    })
    .id("upload_id"),
    Row::new("multipart_upload.get_additional_presigned_urls", |client, args| {
        let uploads = client.multipart_upload();
        let (start, count) = (args.value("start"), args.value("count"));
        one(uploads.get_additional_presigned_urls(&args.text("upload_id"), start, count).send())
    }),
    Row::new("multipart_upload.get_status", |client, args| {
        list(
            client
                .multipart_upload()
                .get_status(&args.text("upload_id"))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    }),
    Row::new("multipart_upload.list_incomplete_uploads", |client, args| {
        list(
            client
                .multipart_upload()
                .list_incomplete_uploads()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("upload_id"),
    Row::new("multipart_upload.report_chunk_batch", |client, args| {
        let chunks: Vec<CompletedChunk> = args.value("completed_chunks");
        one(client.multipart_upload().report_chunk_batch(&args.text("upload_id"), chunks).send())
    }),
    Row::new("multipart_upload.upload_file", |client, args| {
        // A single worker makes the order of the chunks predictable.
        let file = args.file("file_path").expect("a file");
        let upload = client.multipart_upload().upload_file(file).max_workers(1).send();
        // The result is formed from the platform's last response.
        one(upload
            .map(|UploadResult { asset_id, asset_url, .. }| to_json(json!({"asset_id": asset_id, "url": asset_url}))))
    })
    .only(&["asset_id", "url"]),
    Row::new("multipart_upload.wait_for_upload_completion", |client, args| {
        let seconds = |name| args.get(name).map(Duration::from_secs_f64);
        one(client
            .multipart_upload()
            .wait_for_upload_completion(&args.text("upload_id"))
            .when_some(seconds("sleep_interval"), |wait, value| wait.sleep_interval(value))
            .when_some(seconds("max_wait_time"), |wait, value| wait.max_wait_time(value))
            .send())
    })
    .last(),
];

#[test]
fn every_option_of_a_session_is_in_the_body() {
    let server = Server::start([Step::Answer(answer(201, &json!({"upload_id": "u1"})))]);
    let (client, _) = client(&server);
    let create = || client.multipart_upload().create("a.mp4", AssetType::Video, 5_368_709_120);
    let metadata = json!({"category": "recent", "tags": ["a", "b"], "rating": 9.3, "gone": null});
    let call = create().enable_hls(true).enable_thumbnail(false).user_metadata(&metadata);
    assert_eq!(call.send().unwrap().upload_id, "u1");
    let body = json!({
        "filename": "a.mp4", "type": "video", "total_size": 5_368_709_120_u64, "enable_hls": true,
        "enable_thumbnail": false, "user_metadata": metadata,
    });
    let e = create().user_metadata("recent").send().unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "user_metadata"), "{e}");
    assert_eq!(server.finish()[0].json(), body);
}

#[test]
fn an_asset_is_the_same_whatever_the_size_of_its_file() {
    for hls in [None, Some(false)] {
        let server = Server::start_with(|port| {
            let url = format!("http://127.0.0.1:{port}/_s3/1");
            let session = json!({"upload_id": "u1", "asset_id": "a1", "chunk_size": 9, "total_chunks": 1,
                "upload_urls": [{"chunk_index": 1, "url": url}]});
            [
                Step::Answer(answer(201, &session)),
                Step::Answer(answer_with(200, &[("etag", "\"e\"")], &Value::Null)),
                Step::Answer(answer(200, &json!({"asset_id": "a1", "total_completed": 1}))),
                Step::Answer(answer(200, &json!({"_id": "a1", "status": "processing"}))),
            ]
        });
        let (client, _) = client(&server);
        let upload = client.assets().upload(FileSource::bytes("a.mp4", *b"a video")).threshold(1).wait(false);
        let upload = upload.user_metadata(json!({"place": "Porto"}));
        upload.when_some(hls, |upload, hls| upload.enable_hls(hls)).send().unwrap();
        let created = server.finish()[0].json();
        assert_eq!(created["enable_hls"], hls.unwrap_or(true));
        assert_eq!(created["enable_thumbnail"], true);
        assert_eq!(created["user_metadata"], json!({"place": "Porto"}));
    }
}
