//! Searches an index for a text and prints the matching moments. If a video is given, indexes it first.
//!
//! ```text
//! cargo run --example search                        # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example search -- INDEX_NAME QUERY [VIDEO_PATH|VIDEO_URL]
//! ```
//!
//! The index is created if none has this name. The video is uploaded unless the index has one with the same file name.
//! The hits go to stdout, everything else to stderr. The exit code is 0, or 1 if something failed.

mod support;

use std::io::Write;
use std::process::ExitCode;

use support::{Demo, Result};
use twelvelabs::assets::UploadMethod;
use twelvelabs::indexes::{IndexModelInput, IndexedAsset, ModelOption};
use twelvelabs::search::SearchOption;
use twelvelabs::subtitles::format_timestamp;
use twelvelabs::{FileSource, TwelveLabs};

const USAGE: &str = "usage: search INDEX_NAME QUERY [VIDEO_PATH|VIDEO_URL]";
const MAX_HITS: usize = 20;

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = support::arguments()?;
    match arguments.as_slice() {
        [] if !support::has_key() => {
            let demo = Demo::start()?;
            let content = FileSource::bytes("beach.mp4", *b"not really a video");
            let video = ("beach.mp4", UploadMethod::direct(content));
            search(&demo.client, "holidays", "a dog in the water", Some(video))
        }
        [index, query] => search(&TwelveLabs::from_env()?, index, query, None),
        [index, query, source] => {
            let video = (support::file_name(source), support::upload_method(source));
            search(&TwelveLabs::from_env()?, index, query, Some(video))
        }
        _ => Err(USAGE.into()),
    }
}

/// Adds the video, if one is given, to the index with this name, and searches the index.
fn search(client: &TwelveLabs, index_name: &str, query: &str, video: Option<(&str, UploadMethod)>) -> Result {
    let model = IndexModelInput::new("marengo3.0", [ModelOption::Visual, ModelOption::Audio]);
    let ensured = client.indexes().ensure(index_name, [model]).send()?;
    let index_id = ensured.index.id;
    eprintln!("index {index_id} ({index_name}) {}", if ensured.created { "was created" } else { "was found" });

    if let Some((name, method)) = video {
        index(client, &index_id, name, method)?;
    }

    let options = [SearchOption::Visual, SearchOption::Audio, SearchOption::Transcription];
    let hits = client.search().query(&index_id, options).query_text(query).page_limit(MAX_HITS as u32).send()?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{:>4}  {:<12}  {:<12}  {:<24}  WHAT IS SAID", "RANK", "FROM", "TO", "VIDEO")?;
    let mut count = 0_usize;
    for hit in hits.take(MAX_HITS) {
        let hit = hit?;
        count += 1;
        writeln!(
            stdout,
            "{:>4}  {:<12}  {:<12}  {:<24}  {}",
            hit.rank.map_or_else(String::new, |rank| rank.to_string()),
            time(hit.start),
            time(hit.end),
            hit.video_id.as_deref().unwrap_or_default(),
            hit.transcription.as_deref().unwrap_or_default(),
        )?;
    }
    eprintln!("{count} hits for \"{query}\"");
    Ok(())
}

/// Uploads and indexes a video, unless the index has one with the same file name.
fn index(client: &TwelveLabs, index_id: &str, name: &str, method: UploadMethod) -> Result {
    let indexed = client.indexes().indexed_assets();
    let there = indexed.list(index_id).filename(name).send()?.next().transpose()?;
    let id = match there {
        Some(there) => there.id,
        None => {
            let asset = client.assets().create(method).filename(name).send()?;
            let asset = client.assets().wait_for_done(&asset.id).send()?;
            indexed.create(index_id, &asset.id).send()?.id
        }
    };
    let show = |seen: &IndexedAsset| {
        eprintln!("  {}", seen.status.as_ref().map_or("unknown", |status| status.as_str()));
    };
    eprintln!("indexing {name}");
    indexed.wait_for_done(index_id, &id).callback(show).send()?;
    Ok(())
}

fn time(seconds: Option<f64>) -> String {
    seconds.map(format_timestamp).unwrap_or_default()
}
