//! Searches an index for a text, after indexing a video if one is given, and prints the moments that fit.
//!
//! ```text
//! cargo run --example search                        # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example search -- INDEX_NAME QUERY [VIDEO_PATH|VIDEO_URL]
//! ```
//!
//! The index is made if there is none of that name, and the video is uploaded unless the index has one of its name.
//! The hits go to stdout, everything else to stderr. The exit code is 0, or 1 if something failed.

#[path = "../tests/support/stand_in/mod.rs"]
mod stand_in;

use std::error::Error;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use stand_in::StandIn;
use twelvelabs::{FileSource, IndexModelInput, IndexedAsset, ModelOption, SearchOption, TwelveLabs, UploadMethod};

const KEY_NAMES: [&str; 3] = ["TWELVELABS_API_KEY", "TWELVE_LABS_API_KEY", "TL_API_KEY"];
const USAGE: &str = "usage: search INDEX_NAME QUERY [VIDEO_PATH|VIDEO_URL]";
const MOST_HITS: usize = 20;
const SLEEP_INTERVAL: Duration = Duration::from_secs(5);

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
            let content = FileSource::bytes("beach.mp4", *b"not really a video");
            let video = Video { name: "beach.mp4".into(), method: UploadMethod::direct(content) };
            search(&client, "holidays", "a dog in the water", Some(video), Duration::from_millis(50))
        }
        [index, query] => search(&TwelveLabs::from_env()?, index, query, None, SLEEP_INTERVAL),
        [index, query, video] => {
            search(&TwelveLabs::from_env()?, index, query, Some(Video::given(video)), SLEEP_INTERVAL)
        }
        _ => Err(USAGE.into()),
    }
}

/// A video to search in.
struct Video {
    name: String,
    method: UploadMethod,
}

impl Video {
    fn given(source: &str) -> Self {
        let is_url = source.starts_with("https://") || source.starts_with("http://");
        let (place, method) = if is_url {
            // The name is in the path, before a query.
            (source.split(['?', '#']).next().unwrap_or(source), UploadMethod::url(source))
        } else {
            (source, UploadMethod::direct(source))
        };
        let name =
            Path::new(place).file_name().map_or_else(|| place.into(), |name| name.to_string_lossy().into_owned());
        Video { name, method }
    }
}

fn search(
    client: &TwelveLabs,
    index_name: &str,
    query: &str,
    video: Option<Video>,
    sleep_interval: Duration,
) -> Result<(), Box<dyn Error>> {
    let model = IndexModelInput::new("marengo3.0", [ModelOption::Visual, ModelOption::Audio]);
    let ensured = client.indexes().ensure(index_name, [model]).send()?;
    let index_id = ensured.index.id;
    eprintln!("index {index_id} ({index_name}) {}", if ensured.created { "was made" } else { "was there" });

    if let Some(video) = video {
        index(client, &index_id, video, sleep_interval)?;
    }

    let options = [SearchOption::Visual, SearchOption::Audio, SearchOption::Transcription];
    let hits = client.search().query(&index_id, options).query_text(query).page_limit(MOST_HITS as u32).send()?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{:>4}  {:<12}  {:<12}  {:<24}  WHAT IS SAID", "RANK", "FROM", "TO", "VIDEO")?;
    let mut count = 0_usize;
    for hit in hits.take(MOST_HITS) {
        let hit = hit?;
        count += 1;
        writeln!(
            stdout,
            "{:>4}  {:<12}  {:<12}  {:<24}  {}",
            hit.rank.map_or_else(String::new, |rank| rank.to_string()),
            timestamp(hit.start),
            timestamp(hit.end),
            hit.video_id.as_deref().unwrap_or_default(),
            hit.transcription.as_deref().unwrap_or_default(),
        )?;
    }
    eprintln!("{count} hits for \"{query}\"");
    Ok(())
}

/// Uploads and indexes a video, unless the index has one of its name.
fn index(client: &TwelveLabs, index_id: &str, video: Video, sleep_interval: Duration) -> Result<(), Box<dyn Error>> {
    let Video { name, method } = video;
    let indexed = client.indexes().indexed_assets();
    let there = indexed.list(index_id).filename(&name).send()?.next().transpose()?;
    let id = match there {
        Some(there) => there.id,
        None => {
            let asset = client.assets().create(method).filename(&name).send()?;
            let asset = client.assets().wait_for_done(&asset.id).sleep_interval(sleep_interval).send()?;
            indexed.create(index_id, &asset.id).send()?.id
        }
    };
    let show = move |seen: &IndexedAsset| {
        eprintln!("{name}: {}", seen.status.as_ref().map_or("unknown", |status| status.as_str()));
    };
    indexed.wait_for_done(index_id, &id).sleep_interval(sleep_interval).callback(show).send()?;
    Ok(())
}

/// Seconds as `hh:mm:ss.mmm`.
fn timestamp(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return String::new() };
    let millis = (seconds * 1000.0).round() as u64;
    let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", millis % 1000)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
