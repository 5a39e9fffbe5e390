//! Adds a person or a thing to a collection, from images that show it, and lists the collection.
//!
//! ```text
//! cargo run --example entities                      # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example entities -- COLLECTION_NAME ENTITY_NAME IMAGE_PATH|IMAGE_URL...
//! ```
//!
//! The collection is made if there is none of that name. The entities go to stdout, everything else to stderr. The exit
//! code is 0, or 1 if something failed.

#[path = "../tests/support/stand_in/mod.rs"]
mod stand_in;

use std::error::Error;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use stand_in::StandIn;
use twelvelabs::{Entity, EntityCollection, FileSource, TwelveLabs, UploadMethod};

const KEY_NAMES: [&str; 3] = ["TWELVELABS_API_KEY", "TWELVE_LABS_API_KEY", "TL_API_KEY"];
const USAGE: &str = "usage: entities COLLECTION_NAME ENTITY_NAME IMAGE_PATH|IMAGE_URL...";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe, such as `head`, has seen enough.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = std::env::args_os()
        .skip(1)
        .map(|argument| argument.into_string().map_err(|_| "the arguments have to be valid Unicode"))
        .collect::<Result<Vec<String>, _>>()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let has_key = KEY_NAMES.iter().any(|name| std::env::var_os(name).is_some_and(|key| !key.is_empty()));
    match arguments.as_slice() {
        [] if !has_key => {
            eprintln!("No API key is set: using a stand-in for the platform on this machine.");
            let stand_in = StandIn::start();
            let client = TwelveLabs::builder().api_key("tlk_stand_in").base_url(stand_in.url()).build()?;
            let image = FileSource::bytes("ana.jpg", *b"not really an image");
            let images = vec![UploadMethod::direct(image)];
            add(&client, "Players", "Ana Silva", images, Duration::from_millis(50))
        }
        [collection, entity, images @ ..] if !images.is_empty() => {
            let images = images.iter().map(|image| method(image)).collect();
            add(&TwelveLabs::from_env()?, collection, entity, images, Duration::from_secs(5))
        }
        _ => Err(USAGE.into()),
    }
}

fn method(image: &str) -> UploadMethod {
    let is_url = image.starts_with("https://") || image.starts_with("http://");
    if is_url {
        UploadMethod::url(image)
    } else {
        UploadMethod::direct(image)
    }
}

fn add(
    client: &TwelveLabs,
    collection: &str,
    name: &str,
    images: Vec<UploadMethod>,
    sleep_interval: Duration,
) -> Result<(), Box<dyn Error>> {
    let collection = find_or_create(client, collection)?;
    let mut asset_ids = Vec::new();
    for image in images {
        let asset = client.assets().create(image).send()?;
        eprintln!("Uploaded asset {}", asset.id);
        asset_ids.push(client.assets().wait_for_done(&asset.id).sleep_interval(sleep_interval).send()?.id);
    }

    let entities = client.entity_collections().entities();
    let entity = entities.create(&collection.id, name, asset_ids).send()?;
    eprintln!("Created entity {}", entity.id);
    entities
        .wait_for_done(&collection.id, &entity.id)
        .sleep_interval(sleep_interval)
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

/// The collection of exactly this name. The filter of the list may find others too.
fn find_or_create(client: &TwelveLabs, name: &str) -> Result<EntityCollection, Box<dyn Error>> {
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

fn status(entity: &Entity) -> String {
    entity.status.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
