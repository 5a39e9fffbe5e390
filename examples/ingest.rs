//! Adds a folder of videos and images to an index and a knowledge store, and asks a question about it.
//!
//! ```text
//! cargo run --example ingest                     # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example ingest -- FOLDER INDEX_ID KNOWLEDGE_STORE_ID QUESTION
//! ```
//!
//! Run it again after a failure or a crash: `FOLDER.jsonl` records what is done. The answer goes to stdout, everything
//! else to stderr. The exit code is 0, or 1 if something failed.

mod support;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use support::{Demo, Result};
use twelvelabs::TwelveLabs;
use twelvelabs::indexes::IndexModelInput;

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    match support::arguments()?.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] if !support::has_key() => {
            let Demo { client, stand_in: _stand_in } = Demo::start()?;
            let folder = std::env::temp_dir().join(format!("twelvelabs-ingest-{}", std::process::id()));
            fs::create_dir(&folder)?;
            ["beach.mp4", "dog.mp4", "poster.jpg"].iter().try_for_each(|name| fs::write(folder.join(name), name))?;
            let index = client.indexes().create("Holidays", [IndexModelInput::new("marengo3.0", ["visual"])]).send()?;
            let store = client.knowledge_stores().create("Holidays").send()?;
            let result = ingest(&client, &folder, &index.id, &store.id, "What happens on the beach?");
            fs::remove_dir_all(&folder)?;
            fs::remove_file(folder.with_extension("jsonl"))?;
            result
        }
        [folder, index, store, question] => ingest(&TwelveLabs::from_env()?, folder.as_ref(), index, store, question),
        _ => Err("usage: ingest FOLDER INDEX_ID KNOWLEDGE_STORE_ID QUESTION".into()),
    }
}

fn ingest(client: &TwelveLabs, folder: &Path, index: &str, store: &str, question: &str) -> Result {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let batch = client.assets().upload_all(files).index(index).knowledge_store(store);
    let batch = batch.manifest(folder.with_extension("jsonl")).rate_limit(60, Duration::from_secs(60));
    for outcome in batch.send()? {
        let path = outcome.path.display();
        match (&outcome.result, outcome.failed_at) {
            // An index accepts no images, so they are only in the store.
            (Ok(asset), _) if !outcome.not_applicable.is_empty() => {
                eprintln!("{path} is asset {}, not indexed", asset.id)
            }
            (Ok(asset), _) => eprintln!("{path} is asset {}", asset.id),
            (Err(e), step) => eprintln!("{path}: {step:?} failed: {e}"),
        }
    }
    let answer = client.responses().conversation(store).ask(question).send()?;
    println!("{}", answer.complete()?);
    Ok(())
}
