//! Calls of `knowledge_stores`, `knowledge_store_items` and `knowledge_store_item_collections`.

use serde_json::{Value, json};
use twelvelabs::assets::AssetType;
use twelvelabs::knowledge_store_item_collections::KnowledgeStoreItemCollectionSortBy;
use twelvelabs::knowledge_store_items::KnowledgeStoreItemStatus;
use twelvelabs::knowledge_stores::{
    IngestionConfig, KnowledgeStoreGroupBy, KnowledgeStoreSearchQuery, SearchKnowledgeStoreFilter,
    SearchKnowledgeStoreHit, SearchKnowledgeStoreOptions, VideoSearchModality,
};
use twelvelabs::types::{SortBy, SortOption};
use twelvelabs::{Error, RequestOptions, TwelveLabs};

use crate::server::{Received, Server, Step, answer, client};
use crate::wire::{Args, Row, list, one, same, to_json};

pub const ROWS: &[Row] = &[
    Row::new("knowledge_stores.create", |client, args| {
        one(client
            .knowledge_stores()
            .create(args.text("name"))
            .when_some(args.get("ingestion_config"), |call, value: Value| call.ingestion_config(value))
            .when_some(args.get("description"), |call, value: String| call.description(value))
            .when_some(args.get("metadata"), |call, value: Value| call.metadata(value))
            .send())
    })
    .id("_id"),
    Row::new("knowledge_stores.delete", |client, args| one(client.knowledge_stores().delete(&store(args)).send())),
    Row::new("knowledge_stores.list", |client, args| {
        list(
            client
                .knowledge_stores()
                .list()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("sort_by"), |call, value: SortBy| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: SortOption| call.sort_option(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("knowledge_stores.retrieve", |client, args| one(client.knowledge_stores().retrieve(&store(args)).send()))
        .id("_id"),
    Row::new("knowledge_stores.search", |client, args| {
        let query: KnowledgeStoreSearchQuery = args.value("query");
        list(
            client
                .knowledge_stores()
                .search(&store(args), query)
                .when_some(args.get("filter"), |call, value: Value| call.filter(value))
                .when_some(args.get("search_options"), |call, value: Value| call.search_options(value))
                .when_some(args.get("group_by"), |call, value: KnowledgeStoreGroupBy| call.group_by(value))
                .when_some(args.get("page_size"), |call, value| call.page_size(value))
                .when_some(args.get("page_token"), |call, value: String| call.page_token(value))
                .when_some(args.get("include_metadata"), |call, value| call.include_metadata(value))
                .send(),
        )
    })
    .id("item_id"),
    Row::new("knowledge_stores.update", |client, args| {
        one(client
            .knowledge_stores()
            .update(&store(args))
            .when_some(args.get("name"), |call, value: String| call.name(value))
            .when_some(args.get("description"), |call, value: String| call.description(value))
            .when_some(args.get("metadata"), |call, value: Value| call.metadata(value))
            .send())
    })
    .id("_id"),
    Row::new("knowledge_store_items.create", |client, args| {
        one(client
            .knowledge_store_items()
            .create(store(args), args.text("asset_id"))
            .when_some(args.get("asset_type"), |call, value: AssetType| call.asset_type(value))
            .when_some(args.get("metadata"), |call, value: Value| call.metadata(value))
            .send())
    })
    .id("_id"),
    Row::new("knowledge_store_items.delete", |client, args| {
        one(client.knowledge_store_items().delete(&store(args), &args.text("item_id")).send())
    }),
    Row::new("knowledge_store_items.list", |client, args| {
        list(
            client
                .knowledge_store_items()
                .list(&store(args))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("sort_by"), |call, value: SortBy| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: SortOption| call.sort_option(value))
                .when_some(args.get("status"), |call, value: Vec<String>| call.status(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("knowledge_store_items.retrieve", |client, args| {
        one(client.knowledge_store_items().retrieve(&store(args), &args.text("item_id")).send())
    })
    .id("_id"),
    Row::new("knowledge_store_item_collections.add_items", |client, args| {
        let item_ids: Vec<String> = args.value("item_ids");
        let collections = client.knowledge_store_item_collections();
        one(collections.add_items(&store(args), &args.text("collection_id"), item_ids).send())
    })
    .id("_id"),
    Row::new("knowledge_store_item_collections.create", |client, args| {
        one(client
            .knowledge_store_item_collections()
            .create(&store(args), args.text("name"))
            .when_some(args.get("description"), |call, value: String| call.description(value))
            .when_some(args.get("metadata"), |call, value: Value| call.metadata(value))
            .send())
    })
    .id("_id"),
    Row::new("knowledge_store_item_collections.delete", |client, args| {
        one(client.knowledge_store_item_collections().delete(&store(args), &args.text("collection_id")).send())
    }),
    Row::new("knowledge_store_item_collections.list", |client, args| {
        list(
            client
                .knowledge_store_item_collections()
                .list(&store(args))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("sort_by"), |call, value: String| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: SortOption| call.sort_option(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("knowledge_store_item_collections.list_items", |client, args| {
        list(
            client
                .knowledge_store_item_collections()
                .list_items(&store(args), &args.text("collection_id"))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("knowledge_store_item_collections.remove_items", |client, args| {
        let item_ids: Vec<String> = args.value("item_ids");
        let collections = client.knowledge_store_item_collections();
        one(collections.remove_items(&store(args), &args.text("collection_id"), item_ids).send())
    }),
    Row::new("knowledge_store_item_collections.retrieve", |client, args| {
        one(client.knowledge_store_item_collections().retrieve(&store(args), &args.text("collection_id")).send())
    })
    .id("_id"),
    Row::new("knowledge_store_item_collections.update", |client, args| {
        one(client
            .knowledge_store_item_collections()
            .update(&store(args), &args.text("collection_id"))
            .when_some(args.get("name"), |call, value: String| call.name(value))
            .when_some(args.get("description"), |call, value: String| call.description(value))
            .when_some(args.get("metadata"), |call, value: Value| call.metadata(value))
            .send())
    })
    .id("_id"),
];

fn store(args: &Args) -> String {
    args.text("knowledge_store_id")
}

/// Returns the only request of a call, such as `POST /knowledge-stores`, with its body or its query.
fn sent(body: &Value, call: impl FnOnce(&TwelveLabs)) -> (String, Value) {
    let server = Server::start([Step::Answer(answer(200, body))]);
    call(&client(&server).0);
    let request = server.finish().remove(0);
    let operation = format!("{} {}", request.method, request.path.strip_prefix("/v1.3").expect("the base"));
    let content = if request.body.is_empty() { query(&request) } else { request.json() };
    (operation, content)
}

fn query(request: &Received) -> Value {
    request.query.iter().map(|(name, value)| json!(format!("{name}={value}"))).collect()
}

fn metadata() -> Value {
    json!({"league": "first", "season": 2026, "rating": 8.5, "final": true, "teams": ["a", "b"]})
}

fn empty_page() -> Value {
    json!({"data": [], "page_info": {"page": 2, "total_page": 2}})
}

// The official SDK 1.3.6 sends the expected values for the same arguments.

#[test]
fn every_option_of_a_knowledge_store_arrives() {
    let schema = json!({"type": "object", "properties": {"player": {"type": "string", "description": "Who."}}});
    let config = json!({"enrichment_config": {"type": "json_schema", "json_schema": schema}});
    let expected = json!({"name": "n", "ingestion_config": config, "description": "d", "metadata": metadata()});
    for made in [to_json(IngestionConfig::json_schema(schema.clone())), config.clone()] {
        let request = sent(&json!({"_id": "k1"}), |client| {
            let create = client.knowledge_stores().create("n").ingestion_config(made);
            create.description("d").metadata(metadata()).send().unwrap();
        });
        assert_eq!(request, ("POST /knowledge-stores".into(), expected.clone()));
    }
    let request = sent(&json!({"_id": "k1"}), |client| {
        client.knowledge_stores().create("n").ingestion_config(IngestionConfig::description("Who.")).send().unwrap();
    });
    let config = json!({"enrichment_config": {"type": "description", "description": "Who."}});
    assert_eq!(request.1, json!({"name": "n", "ingestion_config": config}));

    let request = sent(&json!({"_id": "k1"}), |client| {
        client.knowledge_stores().update("k1").name("n").description("d").metadata(metadata()).send().unwrap();
    });
    let expected = json!({"name": "n", "description": "d", "metadata": metadata()});
    assert_eq!(request, ("PATCH /knowledge-stores/k1".into(), expected));

    let request = sent(&empty_page(), |client| {
        let list = client.knowledge_stores().list().page(2).page_limit(50);
        let _ = list.sort_by(SortBy::UpdatedAt).sort_option(SortOption::Asc).send().unwrap();
    });
    let expected = json!(["page=2", "page_limit=50", "sort_by=updated_at", "sort_option=asc"]);
    assert_eq!(request, ("GET /knowledge-stores".into(), expected));
}

#[test]
fn every_option_of_an_item_arrives() {
    let request = sent(&json!({"_id": "i1"}), |client| {
        let create = client.knowledge_store_items().create("k1", "a1").asset_type(AssetType::Video);
        create.metadata(metadata()).send().unwrap();
    });
    let expected = json!({"asset_type": "video", "asset_id": "a1", "metadata": metadata()});
    assert_eq!(request, ("POST /knowledge-stores/k1/items".into(), expected));

    let request = sent(&empty_page(), |client| {
        let list = client.knowledge_store_items().list("k1").page(2).page_limit(50).sort_by(SortBy::UpdatedAt);
        let status = [KnowledgeStoreItemStatus::Queued, KnowledgeStoreItemStatus::Ready];
        let _ = list.sort_option("asc").status(status).send().unwrap();
    });
    let expected =
        json!(["page=2", "page_limit=50", "sort_by=updated_at", "sort_option=asc", "status=queued", "status=ready"]);
    assert_eq!(request, ("GET /knowledge-stores/k1/items".into(), expected));
    let request = sent(&json!({"data": []}), |client| {
        let _ = client.knowledge_store_items().list("k1").status(["ready"]).send().unwrap();
    });
    assert_eq!(request.1, json!(["status=ready", "page=1"]));
}

#[test]
fn every_option_of_a_collection_of_items_arrives() {
    let collection = json!({"_id": "c1"});
    let request = sent(&collection, |client| {
        let create = client.knowledge_store_item_collections().create("k1", "n");
        create.description("d").metadata(metadata()).send().unwrap();
    });
    let expected = json!({"name": "n", "description": "d", "metadata": metadata()});
    assert_eq!(request, ("POST /knowledge-stores/k1/item-collections".into(), expected));

    let request = sent(&collection, |client| {
        let update = client.knowledge_store_item_collections().update("k1", "c1");
        update.name("n").description("d").metadata(json!({})).send().unwrap();
    });
    let expected = json!({"name": "n", "description": "d", "metadata": {}});
    assert_eq!(request, ("PATCH /knowledge-stores/k1/item-collections/c1".into(), expected));

    let request = sent(&empty_page(), |client| {
        let list = client.knowledge_store_item_collections().list("k1").page(2).page_limit(50);
        let _ = list.sort_by(KnowledgeStoreItemCollectionSortBy::Name).sort_option(SortOption::Desc).send().unwrap();
    });
    let expected = json!(["page=2", "page_limit=50", "sort_by=name", "sort_option=desc"]);
    assert_eq!(request, ("GET /knowledge-stores/k1/item-collections".into(), expected));

    let request = sent(&empty_page(), |client| {
        let _ = client.knowledge_store_item_collections().list_items("k1", "c1").page(2).page_limit(50).send().unwrap();
    });
    let expected = json!(["page=2", "page_limit=50"]);
    assert_eq!(request, ("GET /knowledge-stores/k1/item-collections/c1/items".into(), expected));

    let request = sent(&collection, |client| {
        client.knowledge_store_item_collections().add_items("k1", "c1", ["i1", "i2"]).send().unwrap();
    });
    let expected = json!({"item_ids": ["i1", "i2"]});
    assert_eq!(request, ("POST /knowledge-stores/k1/item-collections/c1/items/add".into(), expected.clone()));
    let request = sent(&json!({}), |client| {
        client.knowledge_store_item_collections().remove_items("k1", "c1", ["i1", "i2"]).send().unwrap();
    });
    assert_eq!(request, ("POST /knowledge-stores/k1/item-collections/c1/items/remove".into(), expected));
}

#[test]
fn posts_that_are_safe_to_repeat_are_retried() {
    let stumbles = || Step::Answer(answer(500, &json!({"message": "later"})));
    let done = || Step::Answer(answer(200, &json!({"_id": "c1"})));
    let server = Server::start([stumbles(), done(), stumbles(), done(), stumbles()]);
    let collections = client(&server).0.knowledge_store_item_collections();
    collections.add_items("k1", "c1", ["i1"]).send().unwrap();
    collections.remove_items("k1", "c1", ["i1"]).send().unwrap();
    collections.create("k1", "n").send().unwrap_err();
    assert_eq!(server.finish().len(), 5);
}

#[test]
fn every_option_of_a_search_arrives() {
    let page = json!({"data": [], "effective_search_options": {}});
    let filter = SearchKnowledgeStoreFilter::new().asset_type(AssetType::Video).item_ids(["i1", "i2"]);
    let options = SearchKnowledgeStoreOptions::new().video([VideoSearchModality::Visual, VideoSearchModality::Audio]);
    let (filter_json, options_json) = (
        json!({"asset_type": {"eq": "video"}, "item_id": {"in": ["i1", "i2"]}}),
        json!({"video": {"modalities": ["visual", "audio"]}}),
    );
    let expected = json!({
        "query": {"text": "a goal"}, "filter": filter_json, "search_options": options_json, "group_by": "item",
        "page_size": 5, "page_token": "t1", "include_metadata": true
    });
    for (filter, options) in [(to_json(filter), to_json(options)), (filter_json, options_json)] {
        let request = sent(&page, |client| {
            let search = client.knowledge_stores().search("k1", "a goal").filter(filter).search_options(options);
            let search = search.group_by(KnowledgeStoreGroupBy::Item).page_size(5).page_token("t1");
            let _ = search.include_metadata(true).send().unwrap();
        });
        assert_eq!(request, ("POST /knowledge-stores/k1/search".into(), expected.clone()));
    }
    let filter = SearchKnowledgeStoreFilter::new().asset_types([AssetType::Video, AssetType::Image]).item_id("i1");
    let request = sent(&page, |client| {
        let query = KnowledgeStoreSearchQuery::new("a goal").field("new", 1);
        let _ =
            client.knowledge_stores().search("k1", query).filter(filter.field("x", json!({"eq": 2}))).send().unwrap();
    });
    let expected = json!({
        "query": {"text": "a goal", "new": 1},
        "filter": {"asset_type": {"in": ["video", "image"]}, "item_id": {"eq": "i1"}, "x": {"eq": 2}}
    });
    assert_eq!(request.1, expected);
}

fn hits(hits: &[Value], next: Option<&str>) -> Step {
    let options = json!({"video": {"modalities": ["visual"]}});
    Step::Answer(answer(200, &json!({"data": hits, "effective_search_options": options, "next_page_token": next})))
}

#[test]
fn the_settings_of_a_search_apply_to_all_its_pages() {
    let clip = |item: &str| json!({"asset_type": "video", "item_id": item, "rank": 1, "matches": []});
    let failed = Step::Answer(answer(500, &json!({"message": "later"})));
    let server =
        Server::start([hits(&[clip("i1")], Some("t2")), hits(&[], Some("t3")), failed, hits(&[clip("i1")], None)]);
    let options = RequestOptions::new()
        .additional_header("x-team", "films")
        .additional_body_parameter("beta", true)
        .additional_body_parameter("page_token", "t1");
    let search = client(&server).0.knowledge_stores().search("k1", "a goal".to_string()).page_size(1);
    let search = search.filter(json!({"asset_type": {"eq": "video"}})).include_metadata(true);
    let mut list = search.request_options(options).send().unwrap();
    assert_eq!(list.page_info().unwrap().next_page_token.as_deref(), Some("t2"));
    let video = list.effective_search_options().unwrap().video.unwrap();
    assert_eq!(video.modalities.unwrap(), [VideoSearchModality::Visual]);
    let found: Vec<_> = list.by_ref().map(|hit| hit.unwrap().item_id().map(str::to_string)).collect();
    assert_eq!(found, [Some("i1".into()), Some("i1".into())], "an item may have hits on several pages");
    assert!(!list.has_next());

    let received = server.finish();
    let tokens: Vec<_> = received.iter().map(|page| page.json()["page_token"].clone()).collect();
    assert_eq!(tokens, ["t1", "t2", "t3", "t3"], "the failed page is requested again");
    for page in received {
        let mut body = page.json();
        body.as_object_mut().unwrap().remove("page_token");
        let filter = json!({"asset_type": {"eq": "video"}});
        let expected = json!({
            "query": {"text": "a goal"}, "page_size": 1, "filter": filter, "include_metadata": true, "beta": true
        });
        assert_eq!((body, page.header("x-team")), (expected, Some("films")));
    }
}

#[test]
fn a_search_is_sent_once_and_invalid_pages_are_errors() {
    let server = Server::start([Step::Answer(answer(500, &json!({"message": "later"})))]);
    client(&server).0.knowledge_stores().search("k1", "a goal").send().unwrap_err();
    assert_eq!(server.finish().len(), 1, "a search that may have been charged is not repeated");

    let image = |item: &str| json!({"asset_type": "image", "item_id": item});
    let expired = Step::Answer(answer(410, &json!({"code": "page_token_expired", "message": "too late"})));
    let unreadable = json!({"data": [image("i2")], "next_page_token": ["t3"]});
    for (second, why) in [
        (expired, "too late"),
        (hits(&[image("i2")], Some("t2")), "token"),
        (hits(&[image("i1")], Some("t3")), "returned page 1 again"),
        (Step::Answer(answer(200, &unreadable)), "next_page_token"),
        (Step::Answer(answer(200, &json!({}))), "no `data`"),
    ] {
        let server = Server::start([hits(&[image("i1")], Some("t2")), second]);
        let list = client(&server).0.knowledge_stores().search("k1", "a goal").send().unwrap();
        let found: Vec<_> = list.take(9).collect();
        let e = found.last().unwrap().as_ref().unwrap_err();
        assert!(e.to_string().contains(why), "{e}");
        assert!(found[0].is_ok());
        server.finish();
    }
}

#[test]
fn hits_of_every_kind_are_kept_as_received() {
    let data = [
        json!({"asset_type": "video", "item_id": "i1", "rank": 1, "matches": [
            {"start_sec": 1, "end_sec": 2.5, "modalities": ["visual", "touch"], "transcription": "Goal!"},
            {"start_sec": 7, "end_sec": 9, "modalities": ["audio"]},
        ], "metadata": {"system": {"duration": 12.5, "size": 9}, "user": metadata()}}),
        json!({"asset_type": "image", "item_id": "i2", "rank": 2, "metadata": {"system": {"width": 854}}}),
        json!({"asset_type": "hologram", "item_id": "i3", "rank": 3, "depth": [1, null]}),
        json!({"asset_type": "video", "item_id": "i4", "rank": "?", "matches": [{"start_sec": "?", "end_sec": 3}]}),
        json!({"asset_type": "image", "rank": 5}),
        json!("i6"),
        json!({"asset_type": "video", "item_id": "i7", "matches": [{"start_sec": 1, "end_sec": 3}, 5]}),
    ];
    let server = Server::start([hits(&data, None)]);
    let list = client(&server).0.knowledge_stores().search("k1", "a goal").send().unwrap();
    let found: Vec<_> = list.collect();
    let kept: Vec<&SearchKnowledgeStoreHit> = found.iter().filter_map(|hit| hit.as_ref().ok()).collect();
    let ranks: Vec<_> = kept.iter().map(|hit| (hit.item_id(), hit.rank(), hit.matches().len())).collect();
    assert_eq!(
        ranks,
        [(Some("i1"), Some(1), 2), (Some("i2"), Some(2), 0), (Some("i3"), Some(3), 0), (Some("i4"), None, 1)]
    );
    for (n, hit) in kept.iter().enumerate().take(3) {
        same(&data[n], &to_json(hit), "hits");
        assert_eq!(serde_json::from_value::<SearchKnowledgeStoreHit>(to_json(hit)).unwrap(), **hit);
    }
    assert!(matches!(kept[2], SearchKnowledgeStoreHit::Other(hit) if *hit == data[2]));
    assert_eq!((kept[3].matches()[0].start_sec, kept[3].matches()[0].end_sec), (None, Some(3.0)));
    assert!(found[4].as_ref().unwrap_err().to_string().contains("`item_id`"));
    assert!(found[5].is_err());
    assert!(found[6].as_ref().unwrap_err().to_string().contains("`matches[1]`"), "no match is left out");
}

#[test]
fn unsendable_arguments_are_refused() {
    let server = Server::start([]);
    let (client, _) = client(&server);
    let (stores, collections) = (client.knowledge_stores(), client.knowledge_store_item_collections());
    let search = || stores.search("k1", "a goal");
    let refused = [
        ("filter", search().filter("asset_type = video").send().map(drop)),
        ("search_options", search().search_options([1]).send().map(drop)),
        ("page_size", search().page_size(0).send().map(drop)),
        ("page_limit", client.knowledge_store_items().list("k1").page_limit(0).send().map(drop)),
        ("ingestion_config", stores.create("n").ingestion_config("Who.").send().map(drop)),
        ("metadata", stores.update("k1").metadata(5).send().map(drop)),
        ("item_ids", collections.add_items("k1", "c1", [""; 0]).send().map(drop)),
        ("item_ids", collections.remove_items("k1", "c1", [""; 0]).send()),
        ("id", client.knowledge_store_items().delete("k1", "..").send()),
    ];
    for (argument, result) in refused {
        let e = result.unwrap_err();
        assert!(matches!(&e, Error::InvalidArgument { argument: have, .. } if have == argument), "{e}");
    }
    assert!(server.finish().is_empty());
}

#[test]
fn a_wait_for_an_item_ends_when_it_is_ready_or_has_failed() {
    let look = |status: &str| json!({"_id": "i1", "status": status});
    let mut looks: Vec<Value> = ["queued", "pending", "processing", "something new", "ready"].map(look).into();
    looks.push(json!({"_id": "i1", "status": "failed", "error": {"code": "broken", "message": "The file is broken."}}));
    looks.push(look("failed"));
    let server = Server::start(looks.iter().map(|look| Step::Answer(answer(200, look))));
    let (client, pauses) = client(&server);
    let wait = || client.knowledge_store_items().wait_for_done("k1", "i1").send();
    assert_eq!(wait().unwrap().status, Some(KnowledgeStoreItemStatus::Ready));
    assert_eq!(pauses.taken().len(), 4);
    let e = wait().unwrap_err();
    assert_eq!(e.to_string(), "knowledge store item i1 ended as `failed`: The file is broken.");
    assert!(matches!(&e, Error::Failed(failed) if failed.code.as_deref() == Some("broken")), "{e:?}");
    let e = wait().unwrap_err();
    assert_eq!(e.to_string(), "knowledge store item i1 ended as `failed`: the platform gave no reason");
    assert!(server.finish().iter().all(|look| look.path == "/v1.3/knowledge-stores/k1/items/i1"));
}
