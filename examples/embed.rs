//! Embeds a text and some media, and prints how alike they are to the text, the most alike first.
//!
//! ```text
//! cargo run --example embed                         # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example embed -- TEXT MEDIA...
//! ```
//!
//! Media are images or videos: a path, a URL, or `asset:ID` for what is on the platform already. A video is cut into
//! clips, of which the one that is the most alike counts. The similarities go to stdout, everything else to stderr. The
//! exit code is 0, or 1 if something failed.

#[path = "../tests/support/stand_in/mod.rs"]
mod stand_in;

use std::error::Error;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use stand_in::StandIn;
use twelvelabs::{
    cosine_similarity, EmbedInput, EmbeddingData, FileSource, MediaSource, TwelveLabs, UploadMethod, VideoInput,
};

const KEY_NAMES: [&str; 3] = ["TWELVELABS_API_KEY", "TWELVE_LABS_API_KEY", "TL_API_KEY"];
const USAGE: &str = "usage: embed TEXT MEDIA..., where MEDIA is a path, a URL, or asset:ID";
const MODEL: &str = "marengo3.0";

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
    let has_key = KEY_NAMES.iter().any(|name| std::env::var_os(name).is_some_and(|key| !key.is_empty()));
    match arguments.as_slice() {
        [] if !has_key => {
            eprintln!("No API key is set: using a stand-in for the platform on this machine.");
            let stand_in = StandIn::start();
            let client = TwelveLabs::builder().api_key("tlk_stand_in").base_url(stand_in.url()).build()?;
            let sleep_interval = Duration::from_millis(50);
            let media = samples(&client, sleep_interval)?;
            compare(&client, "a dog on a beach", media, sleep_interval)
        }
        [text, media @ ..] if !media.is_empty() => {
            let client = TwelveLabs::from_env()?;
            let media = media.iter().map(|name| Media::given(&client, name)).collect::<Result<_, _>>()?;
            compare(&client, text, media, Duration::from_secs(5))
        }
        _ => Err(USAGE.into()),
    }
}

/// An image or a video, and where it is.
struct Media {
    name: String,
    is_video: bool,
    source: MediaSource,
}

impl Media {
    fn new(name: &str, source: MediaSource) -> Self {
        let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let is_video = matches!(extension.as_deref(), Some("mp4" | "m4v" | "mov" | "mkv" | "webm" | "avi" | "m3u8"));
        Media { name: name.into(), is_video, source }
    }

    fn given(client: &TwelveLabs, name: &str) -> Result<Self, Box<dyn Error>> {
        if let Some(id) = name.strip_prefix("asset:") {
            let asset = client.assets().retrieve(id).send()?;
            let is_video = asset.file_type.is_some_and(|kind| kind.starts_with("video"));
            return Ok(Media { name: name.into(), is_video, source: MediaSource::asset_id(id) });
        }
        let is_url = name.starts_with("https://") || name.starts_with("http://");
        let source = if is_url { MediaSource::url(name) } else { MediaSource::file(name) };
        // The extension of a URL is before its query.
        let place = if is_url { name.split(['?', '#']).next().unwrap_or(name) } else { name };
        Ok(Media { name: name.into(), ..Media::new(place, source) })
    }
}

fn compare(client: &TwelveLabs, text: &str, media: Vec<Media>, sleep_interval: Duration) -> Result<(), Box<dyn Error>> {
    eprintln!("Embedding the text: {text}");
    let answer = client.embed().v2().create(EmbedInput::text(text), MODEL).send()?;
    let text = answer.embedding().ok_or("the platform gave no vector for the text")?;

    let mut found = Vec::new();
    for media in media {
        eprintln!("Embedding {}", media.name);
        let embeddings = if media.is_video {
            embed_video(client, media.source, sleep_interval)?
        } else {
            client.embed().v2().create(EmbedInput::image(media.source), MODEL).send()?.data
        };
        let similarities = embeddings.iter().map(|data| (cosine_similarity(text, &data.embedding), data));
        let (similarity, data) = similarities
            .filter_map(|(similarity, data)| Some((similarity?, data)))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))
            .ok_or_else(|| format!("{}: there is no vector to compare", media.name))?;
        let clip = data.start_sec.zip(data.end_sec).map(|(start, end)| format!("  {start:.1} s to {end:.1} s"));
        found.push((similarity, format!("{}{}", media.name, clip.unwrap_or_default())));
    }

    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut stdout = std::io::stdout().lock();
    for (similarity, name) in found {
        writeln!(stdout, "{similarity:6.3}  {name}")?;
    }
    Ok(())
}

/// A video takes the platform a while, so it is a task.
fn embed_video(
    client: &TwelveLabs,
    source: MediaSource,
    sleep_interval: Duration,
) -> Result<Vec<EmbeddingData>, Box<dyn Error>> {
    let video = VideoInput::new(source).embedding_option(["visual"]).embedding_scope(["clip"]);
    let tasks = client.embed().v2().tasks();
    let task = tasks.create(EmbedInput::video(video), MODEL).send()?;
    eprintln!("  task {}", task.id);
    let task = tasks.wait_for_done(&task.id).sleep_interval(sleep_interval).send()?;
    Ok(task.data.unwrap_or_default())
}

/// Media for the stand-in, which takes the words of a file's name or content for what it shows.
fn samples(client: &TwelveLabs, sleep_interval: Duration) -> Result<Vec<Media>, Box<dyn Error>> {
    let content = FileSource::bytes("dog-and-waves-on-a-beach.mp4", *b"not really a video");
    let asset = client.assets().create(UploadMethod::direct(content)).send()?;
    let asset = client.assets().wait_for_done(&asset.id).sleep_interval(sleep_interval).send()?;
    let photo = FileSource::bytes("photo.jpg", *b"a dog sleeps on a sofa");
    Ok(vec![
        Media::new("photo.jpg", MediaSource::file(photo)),
        Media::new("dog-and-waves-on-a-beach.mp4", MediaSource::asset_id(asset.id)),
        Media::new("a-city-at-night.jpg", MediaSource::url("https://example.com/a-city-at-night.jpg")),
    ])
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
