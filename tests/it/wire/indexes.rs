//! Calls of `indexes`, `indexes.indexed_assets` and `indexes.videos`.

use serde_json::{Value, json};
use twelvelabs::indexes::{IndexModelInput, IndexedAssetStatus, ModelOption};
use twelvelabs::types::{EmbeddingOption, SortBy, SortOption};
use twelvelabs::{Error, TwelveLabs};

use crate::server::{Received, Server, Step, answer, client};
use crate::wire::{Args, Row, list, one};

pub const ROWS: &[Row] = &[
    Row::new("indexes.create", |client, args| {
        let models = args.value::<Vec<Value>>("models").into_iter().map(|model| {
            let options: Vec<ModelOption> = serde_json::from_value(model["model_options"].clone()).unwrap();
            IndexModelInput::new(model["model_name"].as_str().unwrap(), options)
        });
        let call = client.indexes().create(args.text("index_name"), models);
        one(call.when_some(args.get("addons"), |call, value: Vec<String>| call.addons(value)).send())
    })
    .id("_id"),
    Row::new("indexes.delete", |client, args| one(client.indexes().delete(&args.text("index_id")).send())),
    Row::new("indexes.list", |client, args| {
        list(
            client
                .indexes()
                .list()
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("sort_by"), |call, value: String| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: String| call.sort_option(value))
                .when_some(args.get("index_name"), |call, value: String| call.index_name(value))
                .when_some(args.get("model_options"), |call, value: String| call.model_options(value))
                .when_some(args.get("model_family"), |call, value: String| call.model_family(value))
                .when_some(args.get("created_at"), |call, value: String| call.created_at(value))
                .when_some(args.get("updated_at"), |call, value: String| call.updated_at(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("indexes.retrieve", |client, args| one(client.indexes().retrieve(&args.text("index_id")).send()))
        .id("_id"),
    Row::new("indexes.update", |client, args| {
        one(client.indexes().update(&args.text("index_id"), args.text("index_name")).send())
    }),
    Row::new("indexes.indexed_assets.create", |client, args| {
        one(client.indexes().indexed_assets().create(&args.text("index_id"), &args.text("asset_id")).send())
    })
    .id("_id"),
    Row::new("indexes.indexed_assets.delete", |client, args| {
        one(client.indexes().indexed_assets().delete(&args.text("index_id"), &args.text("indexed_asset_id")).send())
    }),
    Row::new("indexes.indexed_assets.list", |client, args| {
        list(
            client
                .indexes()
                .indexed_assets()
                .list(&args.text("index_id"))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("sort_by"), |call, value: String| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: String| call.sort_option(value))
                .when_some(args.get("status"), |call, value: Vec<String>| call.status(value))
                .when_some(args.get("filename"), |call, value: String| call.filename(value))
                .when_some(args.get("created_at"), |call, value: String| call.created_at(value))
                .when_some(args.get("updated_at"), |call, value: String| call.updated_at(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("indexes.indexed_assets.list_by_asset", |client, args| {
        list(
            client
                .indexes()
                .indexed_assets()
                .list_by_asset(&args.text("asset_id"))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("indexes.indexed_assets.retrieve", |client, args| {
        one(client
            .indexes()
            .indexed_assets()
            .retrieve(&args.text("index_id"), &args.text("indexed_asset_id"))
            .when_some(embedding_option(args), |call, value| call.embedding_option(value))
            .when_some(args.get("transcription"), |call, value| call.transcription(value))
            .send())
    })
    .id("_id"),
    Row::new("indexes.indexed_assets.update", |client, args| {
        let call = client.indexes().indexed_assets().update(&args.text("index_id"), &args.text("indexed_asset_id"));
        one(call.when_some(args.get("user_metadata"), |call, value: Value| call.user_metadata(value)).send())
    }),
    Row::new("indexes.videos.delete", |client, args| {
        one(client.indexes().videos().delete(&args.text("index_id"), &args.text("video_id")).send())
    }),
    Row::new("indexes.videos.list", |client, args| {
        list(
            client
                .indexes()
                .videos()
                .list(&args.text("index_id"))
                .when_some(args.get("page"), |call, value| call.page(value))
                .when_some(args.get("page_limit"), |call, value| call.page_limit(value))
                .when_some(args.get("sort_by"), |call, value: String| call.sort_by(value))
                .when_some(args.get("sort_option"), |call, value: String| call.sort_option(value))
                .when_some(args.get("filename"), |call, value: String| call.filename(value))
                .when_some(args.get("created_at"), |call, value: String| call.created_at(value))
                .when_some(args.get("updated_at"), |call, value: String| call.updated_at(value))
                .send(),
        )
    })
    .id("_id"),
    Row::new("indexes.videos.retrieve", |client, args| {
        one(client
            .indexes()
            .videos()
            .retrieve(&args.text("index_id"), &args.text("video_id"))
            .when_some(embedding_option(args), |call, value| call.embedding_option(value))
            .when_some(args.get("transcription"), |call, value| call.transcription(value))
            .send())
    })
    .id("_id"),
    Row::new("indexes.videos.update", |client, args| {
        let call = client.indexes().videos().update(&args.text("index_id"), &args.text("video_id"));
        one(call.when_some(args.get("user_metadata"), |call, value: Value| call.user_metadata(value)).send())
    }),
];

fn embedding_option(args: &Args) -> Option<Vec<EmbeddingOption>> {
    args.get("embedding_option")
}

/// Returns the only request of a call.
fn sent(status: u16, body: Value, call: impl FnOnce(&TwelveLabs)) -> Received {
    let server = Server::start([Step::Answer(answer(status, &body))]);
    call(&client(&server).0);
    server.finish().remove(0)
}

fn query(received: &Received) -> Vec<String> {
    received.query.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn empty_page() -> Value {
    json!({"data": [], "page_info": {"page": 3, "total_page": 3}})
}

#[test]
fn every_option_of_an_index() {
    let received = sent(201, json!({"_id": "i1"}), |client| {
        let model = IndexModelInput::new("marengo3.0", [ModelOption::Visual, ModelOption::Audio]).field("new", 1);
        let index = client.indexes().create("films", [model]).addons(["thumbnail"]).send().unwrap();
        assert_eq!(index.id, "i1");
    });
    let model = json!({"model_name": "marengo3.0", "model_options": ["visual", "audio"], "new": 1});
    let body = json!({"index_name": "films", "models": [model], "addons": ["thumbnail"]});
    assert_eq!(received.json(), body);
}

#[test]
fn every_filter_of_the_lists() {
    let expected = |status: &[&str], filters: &[&str]| -> Vec<String> {
        let start = ["page=3", "page_limit=5", "sort_by=updated_at", "sort_option=asc"];
        start.iter().chain(status).chain(filters).map(ToString::to_string).collect()
    };
    let filters = [
        "filename=a&b.mp4",
        "duration[gte]=10.0",
        "duration[lte]=60.0",
        "fps=23.976",
        "width[gte]=1280",
        "height[lte]=1080",
        "size[gte]=1048576",
        "size[lte]=5368709120",
        "created_at=2026-01-02T03:04:05Z",
        "updated_at=2026-01-03T03:04:05Z",
        "batchNumber=5",
        "category=recentlyAdded",
        "needsReview=true",
        "rating=9.3",
    ];
    let metadata = json!({"category": "recentlyAdded", "batchNumber": 5, "rating": 9.3, "needsReview": true});
    // The two lists have the same filters, except for the status.
    macro_rules! filtered {
        ($list:expr) => {
            $list
                .filename("a&b.mp4")
                .duration(10.0..=60.0)
                .fps(23.976)
                .width(1280..)
                .height(..=1080)
                .size(1_048_576..=5_368_709_120_u64)
                .created_at("2026-01-02T03:04:05Z")
                .updated_at("2026-01-03T03:04:05Z")
                .user_metadata(metadata.clone())
                .send()
                .unwrap()
        };
    }
    let received = sent(200, empty_page(), |client| {
        let list = client.indexes().indexed_assets().list("i1").page(3).page_limit(5).sort_by(SortBy::UpdatedAt);
        let states = [IndexedAssetStatus::Ready, IndexedAssetStatus::Validating];
        let _ = filtered!(list.sort_option(SortOption::Asc).status(states));
    });
    assert_eq!(received.path, "/v1.3/indexes/i1/indexed-assets");
    assert_eq!(query(&received), expected(&["status=ready", "status=validating"], &filters));
    let received = sent(200, empty_page(), |client| {
        let list = client.indexes().videos().list("i1").page(3).page_limit(5).sort_by(SortBy::UpdatedAt);
        let _ = filtered!(list.sort_option(SortOption::Asc));
    });
    assert_eq!(received.path, "/v1.3/indexes/i1/videos");
    assert_eq!(query(&received), expected(&[], &filters));
}

#[test]
fn every_option_of_an_indexed_asset() {
    let metadata = json!({"category": "recent", "gone": null});
    let received = sent(202, json!({"_id": "x1"}), |client| {
        let create = client.indexes().indexed_assets().create("i1", "a1").enable_video_stream(true);
        create.user_metadata(metadata.clone()).send().unwrap();
    });
    let body = json!({"asset_id": "a1", "enable_video_stream": true, "user_metadata": metadata});
    assert_eq!(received.json(), body);
    let options = [EmbeddingOption::Visual, EmbeddingOption::VisualText];
    let received = sent(200, json!({"_id": "x1"}), |client| {
        let retrieve = client.indexes().indexed_assets().retrieve("i1", "x1").embedding_option(options);
        retrieve.transcription(false).send().unwrap();
    });
    assert_eq!(query(&received), ["embedding_option=visual", "embedding_option=visual-text", "transcription=false"]);
}

#[test]
fn filters_that_cannot_be_sent_are_refused() {
    let server = Server::start([]);
    let (client, _) = client(&server);
    let list = || client.indexes().indexed_assets().list("i1");
    #[allow(clippy::reversed_empty_ranges)]
    let backwards = list().duration(60..=10).send();
    let refused = [
        (backwards.map(drop), "duration", "the range from 60 to 10"),
        (list().fps(f64::NAN).send().map(drop), "fps", "finite"),
        (list().user_metadata("category").send().map(drop), "user_metadata", "object"),
    ];
    for (result, name, why) in refused {
        let e = result.unwrap_err();
        assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == name), "{e}");
        assert!(e.to_string().contains(why), "{e}");
    }
    assert!(server.finish().is_empty());
}
