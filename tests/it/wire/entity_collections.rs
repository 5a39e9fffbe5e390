//! Calls of `entity_collections` and of its `entities`.

use serde_json::{Map, Value, json};
use twelvelabs::Error;
use twelvelabs::entity_collections::{EntityInput, EntitySortBy, EntityStatus};

use crate::server::{Received, Server, Step, answer, client};
use crate::wire::{Row, list, one};

pub const ROWS: &[Row] = &[
    Row::new("entity_collections.create", |client, args| {
        let call = client.entity_collections().create(args.text("name"));
        one(call.when_some(args.get("description"), |call, value: String| call.description(value)).send())
    })
    .id("_id"),
    Row::new("entity_collections.delete", |client, args| {
        one(client.entity_collections().delete(&args.text("entity_collection_id")).send())
    }),
    Row::new("entity_collections.list", |client, args| {
        list(
            client
                .entity_collections()
                .list()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("name"), |call, value: String| call.name(value))
                .when_some(args.get("sort_by"), |call, value: EntitySortBy| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: String| call.sort_option(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("entity_collections.retrieve", |client, args| {
        one(client.entity_collections().retrieve(&args.text("entity_collection_id")).send())
    })
    .id("_id"),
    Row::new("entity_collections.update", |client, args| {
        let call = client.entity_collections().update(&args.text("entity_collection_id"));
        one(call
            .when_some(args.get("name"), |call, value: String| call.name(value))
            .when_some(args.get("description"), |call, value: String| call.description(value))
            .send())
    })
    .id("_id"),
    Row::new("entity_collections.entities.create", |client, args| {
        let asset_ids: Vec<String> = args.value("asset_ids");
        let entities = client.entity_collections().entities();
        one(entities
            .create(&args.text("entity_collection_id"), args.text("name"), asset_ids)
            .when_some(args.get("description"), |call, value: String| call.description(value))
            .when_some(args.get("metadata"), |call, value: Value| call.metadata(value))
            .send())
    })
    .id("_id"),
    Row::new("entity_collections.entities.create_assets", |client, args| {
        let asset_ids: Vec<String> = args.value("asset_ids");
        let (collection, entity) = (args.text("entity_collection_id"), args.text("entity_id"));
        one(client.entity_collections().entities().create_assets(&collection, &entity, asset_ids).send())
    })
    .id("_id"),
    Row::new("entity_collections.entities.create_bulk", |client, args| {
        let entities: Vec<Map<String, Value>> = args.value("entities");
        let entities = entities.iter().map(|entity| {
            let ids = entity["asset_ids"].as_array().expect("a list of ids");
            let ids: Vec<String> = ids.iter().map(|id| id.as_str().expect("an id").to_string()).collect();
            EntityInput::new(entity["name"].as_str().expect("a name"), ids)
        });
        one(client.entity_collections().entities().create_bulk(&args.text("entity_collection_id"), entities).send())
    }),
    Row::new("entity_collections.entities.delete", |client, args| {
        let (collection, entity) = (args.text("entity_collection_id"), args.text("entity_id"));
        one(client.entity_collections().entities().delete(&collection, &entity).send())
    }),
    Row::new("entity_collections.entities.delete_assets", |client, args| {
        let asset_ids: Vec<String> = args.value("asset_ids");
        let (collection, entity) = (args.text("entity_collection_id"), args.text("entity_id"));
        one(client.entity_collections().entities().delete_assets(&collection, &entity, asset_ids).send())
    })
    .id("_id"),
    Row::new("entity_collections.entities.list", |client, args| {
        list(
            client
                .entity_collections()
                .entities()
                .list(&args.text("entity_collection_id"))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("name"), |call, value: String| call.name(value))
                .when_some(args.get("status"), |call, value: EntityStatus| call.status(value))
                .when_some(args.get("sort_by"), |call, value: EntitySortBy| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: String| call.sort_option(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("entity_collections.entities.list_by_asset", |client, args| {
        list(
            client
                .entity_collections()
                .entities()
                .list_by_asset(&args.text("asset_id"))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("entity_collections.entities.retrieve", |client, args| {
        let (collection, entity) = (args.text("entity_collection_id"), args.text("entity_id"));
        one(client.entity_collections().entities().retrieve(&collection, &entity).send())
    })
    .id("_id"),
    Row::new("entity_collections.entities.update", |client, args| {
        let (collection, entity) = (args.text("entity_collection_id"), args.text("entity_id"));
        one(client
            .entity_collections()
            .entities()
            .update(&collection, &entity)
            .when_some(args.get("name"), |call, value: String| call.name(value))
            .when_some(args.get("description"), |call, value: String| call.description(value))
            .when_some(args.get("metadata"), |call, value: Value| call.metadata(value))
            .send())
    })
    .id("_id"),
];

/// Returns the only request of a call.
fn sent(body: &Value, call: impl FnOnce(&twelvelabs::TwelveLabs)) -> Received {
    let server = Server::start([Step::Answer(answer(200, body))]);
    call(&client(&server).0);
    server.finish().remove(0)
}

fn query(request: &Received) -> Vec<(&str, &str)> {
    request.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn every_option_of_a_collection_arrives() {
    let id = json!({"_id": "c1"});
    let request = sent(&id, |client| {
        client.entity_collections().create("Players é").description("Our \"first\" team").send().unwrap();
    });
    assert_eq!(request.json(), json!({"name": "Players é", "description": "Our \"first\" team"}));

    let request = sent(&id, |client| {
        client.entity_collections().update("c1").name("n").description("").send().unwrap();
    });
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PATCH", "/v1.3/entity-collections/c1"));
    assert_eq!(request.json(), json!({"name": "n", "description": ""}));

    let request = sent(&json!({"data": [], "page_info": {"page": 2, "total_page": 2}}), |client| {
        let list = client.entity_collections().list().page(2).page_limit(50).name("a&b=é");
        let _ = list.sort_by(EntitySortBy::UpdatedAt).sort_option("asc").send().unwrap();
    });
    let expected =
        [("page", "2"), ("page_limit", "50"), ("name", "a&b=é"), ("sort_by", "updated_at"), ("sort_option", "asc")];
    assert_eq!(query(&request), expected);
}

#[test]
fn every_option_of_an_entity_arrives() {
    let id = json!({"_id": "e1"});
    let metadata = json!({"sport": "soccer", "teamId": 42, "performanceScore": 8.7, "isActive": true});
    let request = sent(&id, |client| {
        let entities = client.entity_collections().entities();
        let call = entities.create("c1", "Ana", ["a1", "a2"]).description("Goalkeeper").metadata(&metadata);
        call.send().unwrap();
    });
    let expected =
        json!({"name": "Ana", "asset_ids": ["a1", "a2"], "description": "Goalkeeper", "metadata": &metadata});
    assert_eq!(request.json(), expected);

    let request = sent(&id, |client| {
        let entities = client.entity_collections().entities();
        entities.update("c1", "e1").name("n").description("d").metadata(&metadata).send().unwrap();
    });
    assert_eq!(request.json(), json!({"name": "n", "description": "d", "metadata": &metadata}));

    let page = json!({"data": [], "page_info": {"page": 3, "total_page": 3}});
    let request = sent(&page, |client| {
        let list = client.entity_collections().entities().list("c1").page(3).page_limit(1).name("Ana");
        let _ = list.status(EntityStatus::Ready).sort_by("name").sort_option("desc").send().unwrap();
    });
    let expected = [
        ("page", "3"),
        ("page_limit", "1"),
        ("name", "Ana"),
        ("status", "ready"),
        ("sort_by", "name"),
        ("sort_option", "desc"),
    ];
    assert_eq!(query(&request), expected);

    let request = sent(&page, |client| {
        let _ = client.entity_collections().entities().list_by_asset("a1").page(3).page_limit(9).send().unwrap();
    });
    assert_eq!(query(&request), [("page", "3"), ("page_limit", "9")]);

    let fields = metadata.as_object().unwrap().clone();
    let request = sent(&json!({}), |client| {
        let ana = EntityInput::new("Ana", ["a1"]).description("Goalkeeper").metadata(fields);
        client.entity_collections().entities().create_bulk("c1", [ana]).send().unwrap();
    });
    let expected = json!({"name": "Ana", "asset_ids": ["a1"], "description": "Goalkeeper", "metadata": &metadata});
    assert_eq!(request.json(), json!({"entities": [expected]}));
}

#[test]
fn create_bulk_returns_an_outcome_for_each_entity() {
    let body = json!({
        "success_count": 1,
        "failed_count": 2,
        "entities": [{"_id": "e1", "name": "Ana", "status": "processing"}],
        "errors": [
            {"entity_index": 1, "entity_name": "Rita", "error_reason": "there is no asset a9"},
            {"entity_index": 2},
        ],
    });
    sent(&body, |client| {
        let inputs = ["Ana", "Rita", "Eva"].map(|name| EntityInput::new(name, ["a9"]));
        let created = client.entity_collections().entities().create_bulk("c1", inputs).send().unwrap();
        assert_eq!((created.success_count, created.failed_count), (Some(1), Some(2)));
        assert_eq!(created.entities.unwrap()[0].id, "e1");
        let errors = created.errors.unwrap();
        assert_eq!(errors.iter().map(|error| error.entity_index).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert_eq!(errors[0].error_reason.as_deref(), Some("there is no asset a9"));
    });
}

#[test]
fn requests_that_the_platform_must_refuse_are_not_sent() {
    let server = Server::start([]);
    let (client, _) = client(&server);
    let entities = client.entity_collections().entities();
    let refused = [
        ("asset_ids", entities.create("c1", "Ana", [""; 0]).send().unwrap_err()),
        ("asset_ids", entities.create_assets("c1", "e1", [""; 0]).send().unwrap_err()),
        ("asset_ids", entities.delete_assets("c1", "e1", [""; 0]).send().unwrap_err()),
        ("entities", entities.create_bulk("c1", []).send().unwrap_err()),
        ("metadata", entities.create("c1", "Ana", ["a1"]).metadata("tall").send().unwrap_err()),
        ("metadata", entities.update("c1", "e1").metadata([1]).send().unwrap_err()),
        ("id", entities.delete("c1", "").send().unwrap_err()),
    ];
    for (argument, e) in refused {
        assert!(matches!(e, Error::InvalidArgument { .. }), "{e:?}");
        assert!(e.to_string().contains(argument), "{e} names {argument}");
    }
    assert_eq!(server.finish().len(), 0);
}

#[test]
fn a_wait_for_an_entity_ends_when_it_is_ready() {
    let states = ["processing", "something new", "ready"].map(|status| json!({"_id": "e1", "status": status}));
    let server = Server::start(states.map(|state| Step::Answer(answer(200, &state))));
    let (client, pauses) = client(&server);
    let entity = client.entity_collections().entities().wait_for_done("c1", "e1").send().unwrap();
    assert_eq!(entity.status, Some(EntityStatus::Ready));
    assert_eq!(pauses.taken().len(), 2);
    let received = server.finish();
    assert!(received.iter().all(|request| request.path == "/v1.3/entity-collections/c1/entities/e1"));
}
