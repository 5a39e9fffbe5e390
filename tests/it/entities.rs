//! The life of a collection and its entities, against the stand-in.

use std::time::Duration;

use twelvelabs::assets::UploadMethod;
use twelvelabs::entity_collections::{EntityInput, EntityStatus};
use twelvelabs::testing::StandIn;
use twelvelabs::{FileSource, Result, TwelveLabs};

#[test]
fn a_collection_is_made_filled_changed_and_deleted() -> Result<()> {
    let stand_in = StandIn::start();
    let client = TwelveLabs::builder().api_key("tlk_test").base_url(stand_in.url()).build()?;
    let upload = |name: &str| client.assets().create(UploadMethod::direct(FileSource::bytes(name, *b"image"))).send();
    let (front, side) = (upload("front.jpg")?.id, upload("side.jpg")?.id);

    let collection = client.entity_collections().create("Players").send()?;
    client.entity_collections().create("Coaches").send()?;
    let updated = client.entity_collections().update(&collection.id).description("The first team").send()?;
    assert_eq!((updated.name.as_deref(), updated.description.as_deref()), (Some("Players"), Some("The first team")));
    let named: Vec<_> = client.entity_collections().list().name("Players").send()?.collect::<Result<_>>()?;
    assert_eq!(named, [updated]);

    let entities = client.entity_collections().entities();
    let ana = entities.create(&collection.id, "Ana", [&front]).metadata(serde_json::json!({"number": 1})).send()?;
    assert_eq!(ana.status, Some(EntityStatus::Processing));
    let pause = Duration::from_millis(1);
    let ana = entities.wait_for_done(&collection.id, &ana.id).sleep_interval(pause).send()?;
    assert_eq!(ana.status, Some(EntityStatus::Ready));
    assert!(
        entities.delete_assets(&collection.id, &ana.id, [&front]).send().is_err(),
        "the last asset cannot be removed"
    );
    entities.create_assets(&collection.id, &ana.id, [&side]).send()?;
    let ana = entities.delete_assets(&collection.id, &ana.id, [&front]).send()?;
    assert_eq!(ana.asset_ids, Some(vec![side.clone()]));
    assert_eq!(entities.list_by_asset(&front).send()?.count(), 0);
    assert_eq!(entities.list_by_asset(&side).send()?.count(), 1);

    let inputs = [("Rita", &front), ("Eva", &"65f".to_string()), ("Zoe", &side)];
    let inputs = inputs.map(|(name, asset)| EntityInput::new(name, [asset.clone()]));
    let created = entities.create_bulk(&collection.id, inputs).send()?;
    assert_eq!((created.success_count, created.failed_count), (Some(2), Some(1)));
    let errors = created.errors.unwrap_or_default();
    assert_eq!((errors[0].entity_index, errors[0].entity_name.as_deref()), (Some(1), Some("Eva")));
    let rita = &created.entities.unwrap_or_default()[0];
    assert_eq!(entities.update(&collection.id, &rita.id).name("Rita C.").send()?.name.as_deref(), Some("Rita C."));
    entities.delete(&collection.id, &rita.id).send()?;
    assert!(entities.retrieve(&collection.id, &rita.id).send().is_err());
    let listed = entities.list(&collection.id).page_limit(1).send()?;
    assert_eq!(listed.collect::<Result<Vec<_>>>()?.len(), 2);

    client.entity_collections().delete(&collection.id).send()?;
    assert!(client.entity_collections().retrieve(&collection.id).send().is_err());
    assert_eq!(client.entity_collections().list().send()?.count(), 1);
    Ok(())
}
