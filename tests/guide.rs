//! The examples of the guide. Each compiles exactly as it is on its page, and all except those marked `no_run` run
//! against the stand-in.
//!
//! `cargo test --test guide upload` runs the examples of `src/guide/upload.md`. A test is named after the line of its
//! block.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use twelvelabs::TwelveLabs;
use twelvelabs::assets::Asset;
use twelvelabs::indexes::IndexModelInput;
use twelvelabs::testing::StandIn;

/// The files that the examples use.
const FILES: [&str; 8] =
    ["a.mp4", "b.mp4", "beach.jpg", "coat.jpg", "dog.jpg", "holiday.mp4", "match.mp4", "recordings/a.mp4"];

thread_local! {
    static STAND_IN: RefCell<Option<StandIn>> = const { RefCell::new(None) };
    /// The ids that replace the placeholders.
    static IDS: RefCell<BTreeMap<&'static str, String>> = const { RefCell::new(BTreeMap::new()) };
}

/// Runs an example in its own folder. The working directory belongs to the process, so only one example runs at a time.
fn run(example: fn() -> Result<(), Box<dyn Error>>) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("recordings")).unwrap();
    env::set_current_dir(&folder).unwrap();
    for file in FILES {
        fs::write(file, file).unwrap();
    }
    STAND_IN.set(Some(StandIn::start()));
    IDS.take();
    let outcome = example();
    STAND_IN.set(None);
    outcome.unwrap();
}

/// Replaces `TwelveLabs::from_env()` in the examples.
fn from_env() -> twelvelabs::Result<TwelveLabs> {
    Ok(STAND_IN.with_borrow(|stand_in| stand_in.as_ref().unwrap().client()))
}

/// Returns the id that replaces a placeholder. The resource is created in the stand-in when an example first uses it.
fn id(placeholder: &'static str) -> &'static str {
    let known = IDS.with_borrow(|ids| ids.get(placeholder).cloned());
    let id = known.unwrap_or_else(|| make(placeholder).unwrap());
    IDS.with_borrow_mut(|ids| ids.insert(placeholder, id.clone()));
    id.leak()
}

fn make(placeholder: &str) -> twelvelabs::Result<String> {
    let client = from_env()?;
    match placeholder {
        "ASSET_ID" => Ok(upload(&client, "holiday.mp4")?.id),
        "IMAGE_ID" => Ok(upload(&client, "dog.jpg")?.id),
        "INDEX_ID" => {
            let model = IndexModelInput::new("marengo3.0", ["visual", "audio"]);
            let index = client.indexes().ensure("films", [model]).send()?.index;
            let videos = client.indexes().indexed_assets();
            let video = videos.create(&index.id, &upload(&client, "holiday.mp4")?.id).send()?;
            videos.wait_for_done(&index.id, &video.id).send()?;
            Ok(index.id)
        }
        "STORE_ID" => {
            let store = client.knowledge_stores().create("Matches").send()?;
            let item = client.knowledge_store_items().create(&store.id, id("ASSET_ID")).send()?;
            client.knowledge_store_items().wait_for_done(&store.id, &item.id).send()?;
            Ok(store.id)
        }
        "COLLECTION_ID" => Ok(client.entity_collections().create("Players").send()?.id),
        _ => panic!("{placeholder} is not in this table"),
    }
}

fn upload(client: &TwelveLabs, file: &str) -> twelvelabs::Result<Asset> {
    client.assets().upload(file).send()
}

#[allow(unused, clippy::all)]
mod pages {
    guide_blocks::guide_blocks!();
}
