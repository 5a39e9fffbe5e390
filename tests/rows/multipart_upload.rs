//! Calls of `multipart_upload`.

use std::time::Duration;

use twelvelabs::{CompletedChunk, UploadResult};

use crate::{list, one, to_json, Row};

pub const ROWS: &[Row] = &[
    Row::new("multipart_upload.create", |client, args| {
        let (filename, kind) = (args.text("filename"), args.text("type"));
        one(client.multipart_upload().create(&filename, kind, args.value("total_size")).send())
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
        // One worker, so that the order of the chunks is certain.
        let file = args.file("file_path").expect("a file");
        let upload = client.multipart_upload().upload_file(file).max_workers(1).send();
        // The last answer of the platform is what the result is made of.
        one(upload.map(|UploadResult { asset_id, asset_url, .. }| {
            to_json(serde_json::json!({"asset_id": asset_id, "url": asset_url}))
        }))
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
