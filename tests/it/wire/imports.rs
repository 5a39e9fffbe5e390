//! Calls of `imports`.

use serde_json::{Value, json};
use twelvelabs::Error;
use twelvelabs::imports::ImportItemInput;

use crate::server::{Server, Step, answer, client};
use crate::wire::{Row, list, one};

pub const ROWS: &[Row] = &[
    Row::new("imports.import_files", |client, args| {
        let items: Vec<ImportItemInput> = args.value("items");
        one(client.imports().import_files(&args.text("connection_id"), items).send())
    })
    .id("_id"),
    Row::new("imports.list_imports", |client, args| {
        list(
            client
                .imports()
                .list_imports(&args.text("connection_id"))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("imports.retrieve_import", |client, args| {
        one(client.imports().retrieve_import(&args.text("connection_id"), &args.text("import_id")).send())
    })
    .id("_id"),
];

#[test]
fn files_are_named_by_their_ids_at_the_provider() {
    let server = Server::start([(); 2].map(|()| Step::Answer(answer(202, &json!({"_id": "i1"})))));
    let (client, _) = client(&server);
    client.imports().import_files("c/1", ["a", "b"]).send().unwrap();
    client.imports().import_files("c1", [ImportItemInput::new("a").field("title", "A")]).send().unwrap();
    let e = client.imports().import_files("c1", [] as [&str; 0]).send().unwrap_err();
    assert!(e.to_string().starts_with("`items` is empty"), "{e}");
    let received = server.finish();
    assert_eq!(received[0].path, "/v1.3/connections/c%2F1/imports");
    assert_eq!(received[0].json(), json!({"items": [{"source_id": "a"}, {"source_id": "b"}]}));
    assert_eq!(received[1].json(), json!({"items": [{"source_id": "a", "title": "A"}]}));
}

#[test]
fn a_wait_ends_with_the_last_file_and_drops_none() {
    let import = |items: Value| Step::Answer(answer(200, &json!({"_id": "i1", "item_count": 9, "items": items})));
    let rejected = json!({
        "source_id": "c", "action": "rejected", "error": {"code": "source_unavailable", "message": "It is not there."},
    });
    let server = Server::start([
        import(Value::Null),
        import(json!([{"source_id": "a", "status": "processing", "asset_id": "1"}, rejected])),
        import(json!([{"source_id": "a", "status": "pondering", "asset_id": "1"}, rejected])),
        import(json!([{"source_id": "a"}, rejected])),
        Step::Answer(answer(500, &Value::Null)),
        import(json!([
            {"source_id": "a", "status": "ready", "asset_id": "1"},
            {"source_id": "b", "status": "failed", "asset_id": "2"},
            rejected,
            {"source_id": "d", "action": "rejected"},
            {"source_id": "e", "status": "failed"},
            {"source_id": "f", "status": "ready"},
        ])),
        import(json!([])),
    ]);
    let (client, pauses) = client(&server);
    let import = client.imports().wait_for_done("c1", "i1").send().unwrap();
    assert_eq!(pauses.taken().len(), 5);
    let items = import.items.unwrap();
    let outcomes: Vec<String> = items
        .iter()
        .map(|item| match item.outcome().unwrap() {
            Ok(asset_id) => asset_id.to_string(),
            Err(Error::Failed(e)) => {
                assert_eq!(e.raw["source_id"], e.id);
                format!("{e} {:?}", e.code)
            }
            Err(e) => panic!("{e}"),
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "1",
            "file b ended as `failed`: retrieve asset 2 for the reason None",
            "file c ended as `rejected`: It is not there. Some(\"source_unavailable\")",
            "file d ended as `rejected`: the platform gave no reason None",
            "file e ended as `failed`: the platform gave no reason None",
            "file f ended as `ready`: the platform returned no asset id None",
        ]
    );
    assert_eq!(client.imports().wait_for_done("c1", "i1").send().unwrap().items.unwrap(), [], "all files were deleted");
    assert!(server.finish().iter().all(|request| request.path == "/v1.3/connections/c1/imports/i1"));
}
