//! Files that the platform fetches from a URL, and URLs where a file is expected.

use serde_json::json;
use twelvelabs::assets::UploadMethod;
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs};

use crate::server::{Server, Step, answer, client};

#[test]
fn a_file_at_a_url_is_fetched_and_waited_for() {
    let asset = |status: &str| json!({"_id": "a1", "status": status});
    let server = Server::start([
        Step::Answer(answer(201, &asset("processing"))),
        Step::Answer(answer(404, &json!({"code": "resource_not_exists", "message": "No such asset."}))),
        Step::Answer(answer(200, &asset("processing"))),
        Step::Answer(answer(200, &asset("ready"))),
        Step::Answer(answer(201, &asset("processing"))),
        Step::Answer(answer(200, &asset("failed"))),
    ]);
    let (client, _) = client(&server);
    let options = RequestOptions::new()
        .additional_header("x-extra", "1")
        .additional_query_parameter("extra", 2)
        .additional_body_parameter("extra", 3);
    let upload = client.assets().upload_url("https://example.com/a.mp4").filename("b.mp4").enable_hls(false);
    let asset = upload.user_metadata(json!({"n": 1})).request_options(options).send().unwrap();
    assert_eq!(asset.id, "a1");
    let e = client.assets().upload_url("https://example.com/a.mp4").send().unwrap_err();
    assert!(matches!(&e, Error::Failed(_)) && e.asset_id() == Some("a1"), "{e:?}");

    let requests = server.received();
    let parts: Vec<_> = requests[0].parts().iter().map(|part| (part.name.clone(), part.text())).collect();
    let expected = [
        ("method", "url"),
        ("url", "https://example.com/a.mp4"),
        ("filename", "b.mp4"),
        ("enable_hls", "false"),
        ("user_metadata", r#"{"n":1}"#),
        ("extra", "3"),
    ];
    assert_eq!(parts, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    assert!(requests[..4].iter().all(|request| request.header("x-extra") == Some("1")));
    let queries: Vec<usize> = requests.iter().map(|request| request.query.len()).collect();
    assert_eq!(queries, [1, 0, 0, 0, 0, 0], "parameters belong to the request that creates the asset");
}

#[test]
fn an_asset_that_no_request_can_name_is_the_servers_fault() {
    for id in ["", "..", "a\nb"] {
        let created = || Step::Answer(answer(201, &json!({"_id": id, "status": "processing"})));
        let none = || Step::Answer(answer(200, &json!({"data": [], "page_info": {"page": 1, "total_page": 1}})));
        let server = Server::start([created(), created(), none()]);
        let (client, _) = client(&server);
        let fetched = client.assets().upload_url("https://example.com/a.mp4").send().unwrap_err();
        let sent = client.assets().upload(FileSource::bytes("a.mp4", "frames")).send().unwrap_err();
        for e in [fetched, sent] {
            assert!(matches!(e, Error::Decode { .. }) && e.is_outcome_unknown(), "{e:?}");
            assert!(e.to_string().starts_with("`_id`: the id cannot be used: it "), "{e}");
        }
        assert!(server.received()[..2].iter().all(|request| request.method == "POST"));
    }
}

#[test]
fn a_url_is_not_a_file() {
    let client = TwelveLabs::builder().api_key("key").base_url("http://127.0.0.1:9").build().unwrap();
    let url = "https://example.com/a.mp4";
    let errors = [
        client.assets().upload(url).send().unwrap_err(),
        client.assets().create(UploadMethod::direct(url)).send().unwrap_err(),
        client.multipart_upload().upload_file(url).send().unwrap_err(),
    ];
    for e in errors {
        assert!(e.to_string().contains("is a URL, not a file; use `assets().upload_url("), "{e}");
    }
}
