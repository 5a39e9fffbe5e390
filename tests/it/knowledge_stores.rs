//! The life of a knowledge store with its items and their collections, against the stand-in.

use std::time::Duration;

use serde_json::json;
use twelvelabs::assets::{Asset, AssetRef, AssetType};
use twelvelabs::knowledge_store_items::KnowledgeStoreItemStatus;
use twelvelabs::knowledge_stores::{
    IngestionConfig, KnowledgeStoreGroupBy, SearchKnowledgeStoreFilter, SearchKnowledgeStoreHit,
};
use twelvelabs::testing::StandIn;
use twelvelabs::{FileSource, Result, TwelveLabs};

use crate::server::{Server, Step, answer, client};

const PAUSE: Duration = Duration::from_millis(1);

#[test]
fn a_store_is_made_filled_searched_and_deleted() -> Result<()> {
    let stand_in = StandIn::start();
    let client = TwelveLabs::builder().api_key("tlk_test").base_url(stand_in.url()).build()?;
    let upload = |name: &str| client.assets().upload(FileSource::bytes(name, *b"media")).send();
    let (video, image) = (upload("beach.mp4")?, upload("dog.jpg")?);

    let config = IngestionConfig::description("Who is at the beach.");
    let store = client.knowledge_stores().create("Holidays").ingestion_config(&config).send()?;
    assert_eq!((&store.ingestion_config, store.item_count), (&Some(config), Some(0)));
    client.knowledge_stores().update(&store.id).metadata(json!({"place": "Lisbon"})).send()?;

    let items = client.knowledge_store_items();
    let clip = items.create(&store, &video).metadata(json!({"year": "2026"})).send()?;
    let photo = items.create(&store, &image).send()?;
    assert_eq!((&clip.status, &photo.asset_type), (&Some(KnowledgeStoreItemStatus::Queued), &Some(AssetType::Image)));
    let search = || client.knowledge_stores().search(&store.id, "the dog runs into the water");
    assert_eq!(search().send()?.count(), 0, "no item is ready yet");
    for id in [&clip.id, &photo.id] {
        let wait = items.wait_for_done(&store.id, id).sleep_interval(PAUSE);
        assert_eq!(wait.send()?.status, Some(KnowledgeStoreItemStatus::Ready));
    }
    assert_eq!(items.list(&store.id).status(["queued", "processing"]).send()?.count(), 0);
    assert_eq!(client.knowledge_stores().retrieve(&store.id).send()?.item_count, Some(2));

    // The stand-in refuses a token with other settings than those of its search.
    let hits: Vec<_> = search().page_size(2).include_metadata(true).send()?.collect::<Result<_>>()?;
    assert_eq!((hits.len(), stand_in.count("POST /knowledge-stores/{id}/search")), (5, 4));
    assert_eq!(hits.iter().map(|hit| hit.rank()).collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(Some));
    assert!(hits[0].matches()[0].transcription.as_deref().is_some_and(|said| said.contains("dog")));
    let SearchKnowledgeStoreHit::Video(first) = &hits[0] else { panic!("{:?}", hits[0]) };
    let user = first.metadata.as_ref().and_then(|metadata| metadata.user.as_ref());
    assert_eq!(user.map(|user| user["year"].clone()), Some(json!("2026")));
    let grouped: Vec<_> = search().group_by(KnowledgeStoreGroupBy::Item).send()?.collect::<Result<_>>()?;
    assert_eq!(grouped.iter().map(|hit| hit.matches().len()).collect::<Vec<_>>(), [4, 0]);
    let images = SearchKnowledgeStoreFilter::new().asset_type(AssetType::Image);
    let images: Vec<_> = search().filter(images).send()?.collect::<Result<_>>()?;
    assert!(matches!(&images[..], [SearchKnowledgeStoreHit::Image(hit)] if hit.item_id == photo.id));
    let other = SearchKnowledgeStoreFilter::new().item_ids(["65f"]);
    assert_eq!(search().filter(other).send()?.count(), 0);

    let collections = client.knowledge_store_item_collections();
    let dogs = collections.create(&store.id, "Dogs").send()?;
    collections.add_items(&store.id, &dogs.id, [&clip.id]).send()?;
    let dogs = collections.add_items(&store.id, &dogs.id, [&clip.id, &photo.id]).send()?;
    assert_eq!(dogs.member_count, Some(2), "an item that is added twice counts once");
    assert!(collections.add_items(&store.id, &dogs.id, ["65f"]).send().is_err());
    collections.remove_items(&store.id, &dogs.id, [&photo.id]).send()?;
    let members: Vec<_> = collections.list_items(&store.id, &dogs.id).send()?.collect::<Result<_>>()?;
    assert_eq!(members.iter().map(|item| &item.id).collect::<Vec<_>>(), [&clip.id]);
    let renamed = collections.update(&store.id, &dogs.id).name("Animals").send()?;
    assert_eq!(collections.retrieve(&store.id, &dogs.id).send()?, renamed);
    items.delete(&store.id, &clip.id).send()?;
    assert!(items.retrieve(&store.id, &clip.id).send().is_err());
    assert_eq!(collections.list_items(&store.id, &dogs.id).send()?.count(), 0);
    assert_eq!(collections.list(&store.id).send()?.count(), 1);
    collections.delete(&store.id, &dogs.id).send()?;
    assert_eq!(collections.list(&store.id).send()?.count(), 0);

    client.knowledge_stores().delete(&store.id).send()?;
    assert!(items.list(&store.id).send().is_err());
    assert_eq!(client.knowledge_stores().list().send()?.count(), 0);
    Ok(())
}

#[test]
fn an_item_is_created_with_the_type_of_its_asset() -> Result<()> {
    let item = json!({"_id": "ksi_1", "status": "queued"});
    let cases = [
        (json!({"_id": "a", "file_type": "image/jpeg"}), Some("image")),
        (json!({"_id": "a", "file_type": "VIDEO/mp4"}), Some("video")),
        (json!({"_id": "a", "file_type": "audio/mpeg"}), Some("audio")),
        (json!({"_id": "a", "file_type": "application/pdf"}), Some("document")),
        (json!({"_id": "a", "technical_metadata": {"file_mime_type": "image/png"}}), Some("image")),
        (json!({"_id": "a"}), None),
    ];
    let server = Server::start((0..cases.len() + 4).map(|_| Step::Answer(answer(202, &item))));
    let (client, _) = client(&server);
    let items = client.knowledge_store_items();
    for (asset, _) in &cases {
        let asset: Asset = serde_json::from_value(asset.clone()).unwrap();
        items.create("ks_1", &asset).send()?;
    }
    items.create("ks_1", "a").send()?;
    items.create("ks_1", "a").asset_type(AssetType::Image).send()?;
    let image: Asset = serde_json::from_value(cases[0].0.clone()).unwrap();
    items.create("ks_1", &image).asset_type(AssetType::Video).send()?;
    items.create("ks_1", AssetRef::from("a").with_type(AssetType::Audio)).send()?;
    let sent = server.received().into_iter().map(|request| {
        assert_eq!(
            (request.path.as_str(), &request.json()["asset_id"]),
            ("/v1.3/knowledge-stores/ks_1/items", &json!("a"))
        );
        request.json().get("asset_type").cloned()
    });
    let expected =
        cases.iter().map(|(_, expected)| *expected).chain([None, Some("image"), Some("video"), Some("audio")]);
    assert_eq!(sent.collect::<Vec<_>>(), expected.map(|kind| kind.map(|kind| json!(kind))).collect::<Vec<_>>());
    Ok(())
}
