//! Searches a knowledge store and prints the hits. If files are given, adds them to the store first.
//!
//! ```text
//! cargo run --example knowledge_store               # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example knowledge_store -- STORE_NAME QUERY [PATH|URL...]
//! ```
//!
//! The knowledge store is created if none has this name. The hits go to stdout, everything else to stderr. The
//! exit code is 0, or 1 if something failed.

mod support;

use std::io::Write;
use std::process::ExitCode;

use support::{Demo, Result};
use twelvelabs::assets::UploadMethod;
use twelvelabs::knowledge_store_items::KnowledgeStoreItem;
use twelvelabs::knowledge_stores::{KnowledgeStore, VideoMatch};
use twelvelabs::subtitles::format_timestamp;
use twelvelabs::{FileSource, TwelveLabs};

const USAGE: &str = "usage: knowledge_store STORE_NAME QUERY [PATH|URL...]";
const MAX_HITS: usize = 20;

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = support::arguments()?;
    match arguments.as_slice() {
        [] if !support::has_key() => {
            let demo = Demo::start()?;
            let files =
                ["beach.mp4", "dog.jpg"].map(|name| UploadMethod::direct(FileSource::bytes(name, *b"no media")));
            search(&demo.client, "Holidays", "a dog in the water", files.into())
        }
        [store, query, sources @ ..] => {
            let sources = sources.iter().map(|source| support::upload_method(source)).collect();
            search(&TwelveLabs::from_env()?, store, query, sources)
        }
        _ => Err(USAGE.into()),
    }
}

/// Adds the files to the knowledge store with this name, and searches it.
fn search(client: &TwelveLabs, name: &str, query: &str, files: Vec<UploadMethod>) -> Result {
    let store = find_or_create(client, name)?;
    add(client, &store, files)?;

    let hits = client.knowledge_stores().search(&store.id, query).page_size(MAX_HITS as u32).send()?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{:>4}  {:<12}  {:<12}  {:<24}  WHAT IS SAID", "RANK", "FROM", "TO", "ITEM")?;
    let mut count = 0_usize;
    for hit in hits.take(MAX_HITS) {
        let hit = hit?;
        count += 1;
        let rank = hit.rank().map_or_else(String::new, |rank| rank.to_string());
        // An image has no clips, so it gets one line without times.
        let whole = [VideoMatch::default()];
        for clip in if hit.matches().is_empty() { &whole } else { hit.matches() } {
            writeln!(
                stdout,
                "{rank:>4}  {:<12}  {:<12}  {:<24}  {}",
                time(clip.start_sec),
                time(clip.end_sec),
                hit.item_id().unwrap_or_default(),
                clip.transcription.as_deref().unwrap_or_default(),
            )?;
        }
    }
    eprintln!("{count} hits for \"{query}\"");
    Ok(())
}

/// Uploads files, adds them to a knowledge store, and waits until all of them can be found.
fn add(client: &TwelveLabs, store: &KnowledgeStore, files: Vec<UploadMethod>) -> Result {
    let items = client.knowledge_store_items();
    let mut added = Vec::new();
    for file in files {
        let asset = client.assets().create(file).send()?;
        let asset = client.assets().wait_for_done(&asset.id).send()?;
        let item = items.create(store, &asset).send()?;
        eprintln!("Added {} as item {}", asset.filename.as_deref().unwrap_or("a file"), item.id);
        added.push(item);
    }
    for item in added {
        let show = |seen: &KnowledgeStoreItem| {
            eprintln!("  {} {}", seen.id, seen.status.as_ref().map_or("unknown", |status| status.as_str()));
        };
        items.wait_for_done(&store.id, &item.id).callback(show).send()?;
    }
    Ok(())
}

/// Finds the first knowledge store with this name.
fn find_or_create(client: &TwelveLabs, name: &str) -> Result<KnowledgeStore> {
    for store in client.knowledge_stores().list().page_limit(50).send()? {
        let store = store?;
        if store.name.as_deref() == Some(name) {
            eprintln!("Found knowledge store {}", store.id);
            return Ok(store);
        }
    }
    let store = client.knowledge_stores().create(name).send()?;
    eprintln!("Created knowledge store {}", store.id);
    Ok(store)
}

fn time(seconds: Option<f64>) -> String {
    seconds.map(format_timestamp).unwrap_or_default()
}
