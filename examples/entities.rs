//! Adds a person or an object to a collection, from images that show it, and lists the collection.
//!
//! ```text
//! cargo run --example entities                      # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example entities -- COLLECTION_NAME ENTITY_NAME IMAGE_PATH|IMAGE_URL...
//! ```
//!
//! The collection is created if none has this name. The entities go to stdout, everything else to stderr. The exit
//! code is 0, or 1 if something failed.

mod support;

use std::io::Write;
use std::process::ExitCode;

use support::{Demo, Result};
use twelvelabs::assets::UploadMethod;
use twelvelabs::entity_collections::{Entity, EntityCollection};
use twelvelabs::{FileSource, TwelveLabs};

const USAGE: &str = "usage: entities COLLECTION_NAME ENTITY_NAME IMAGE_PATH|IMAGE_URL...";

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = support::arguments()?;
    match arguments.as_slice() {
        [] if !support::has_key() => {
            let demo = Demo::start()?;
            let image = FileSource::bytes("ana.jpg", *b"not really an image");
            let images = vec![UploadMethod::direct(image)];
            add(&demo.client, "Players", "Ana Silva", images)
        }
        [collection, entity, images @ ..] if !images.is_empty() => {
            let images = images.iter().map(|image| support::upload_method(image)).collect();
            add(&TwelveLabs::from_env()?, collection, entity, images)
        }
        _ => Err(USAGE.into()),
    }
}

fn add(client: &TwelveLabs, collection: &str, name: &str, images: Vec<UploadMethod>) -> Result {
    let collection = find_or_create(client, collection)?;
    let mut asset_ids = Vec::new();
    for image in images {
        let asset = client.assets().create(image).send()?;
        eprintln!("Uploaded asset {}", asset.id);
        asset_ids.push(client.assets().wait_for_done(&asset.id).send()?.id);
    }

    let entities = client.entity_collections().entities();
    let entity = entities.create(&collection.id, name, asset_ids).send()?;
    eprintln!("Created entity {}", entity.id);
    entities
        .wait_for_done(&collection.id, &entity.id)
        .callback(|entity: &Entity| eprintln!("  {}", status(entity)))
        .send()?;

    let mut stdout = std::io::stdout().lock();
    for entity in entities.list(&collection.id).page_limit(50).send()? {
        let entity = entity?;
        let assets = entity.asset_ids.as_ref().map_or(0, Vec::len);
        let name = entity.name.as_deref().unwrap_or("(no name)");
        writeln!(stdout, "{}  {:<10}  {assets} assets  {name}", entity.id, status(&entity))?;
    }
    Ok(())
}

/// Finds the collection with exactly this name. The filter of the list may also match longer names.
fn find_or_create(client: &TwelveLabs, name: &str) -> Result<EntityCollection> {
    for collection in client.entity_collections().list().name(name).page_limit(50).send()? {
        let collection = collection?;
        if collection.name.as_deref() == Some(name) {
            eprintln!("Found collection {}", collection.id);
            return Ok(collection);
        }
    }
    let collection = client.entity_collections().create(name).send()?;
    eprintln!("Created collection {}", collection.id);
    Ok(collection)
}

fn status(entity: &Entity) -> &str {
    entity.status.as_ref().map_or("unknown", |status| status.as_str())
}
