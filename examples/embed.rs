//! Embeds a text and some media, and prints the similarity of each to the text, the most similar first.
//!
//! ```text
//! cargo run --example embed                         # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example embed -- TEXT MEDIA...
//! ```
//!
//! MEDIA is an image or a video: a path, a URL, or `asset:ID` for an existing asset. A video is divided into clips, and
//! its most similar clip counts. The similarities go to stdout, everything else to stderr. The
//! exit code is 0, or 1 if something failed.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use support::{Demo, Result};
use twelvelabs::embed::VideoInput;
use twelvelabs::embed::{EmbedInput, EmbeddingData, MediaSource, cosine_similarity};
use twelvelabs::{FileSource, TwelveLabs};

const USAGE: &str = "usage: embed TEXT MEDIA..., where MEDIA is a path, a URL, or asset:ID";
const MODEL: &str = "marengo3.0";

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = support::arguments()?;
    match arguments.as_slice() {
        [] if !support::has_key() => {
            let demo = Demo::start()?;
            let media = samples(&demo.client)?;
            compare(&demo.client, "a dog on a beach", media)
        }
        [text, media @ ..] if !media.is_empty() => {
            let client = TwelveLabs::from_env()?;
            let media = media.iter().map(|name| Media::given(&client, name)).collect::<Result<_, _>>()?;
            compare(&client, text, media)
        }
        _ => Err(USAGE.into()),
    }
}

/// An image or a video, and its source.
struct Media {
    name: String,
    is_video: bool,
    source: MediaSource,
}

impl Media {
    fn new(name: &str, source: MediaSource) -> Self {
        let extension =
            Path::new(support::file_name(name)).extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let is_video = matches!(extension.as_deref(), Some("mp4" | "m4v" | "mov" | "mkv" | "webm" | "avi" | "m3u8"));
        Media { name: name.into(), is_video, source }
    }

    fn given(client: &TwelveLabs, name: &str) -> Result<Self> {
        if let Some(id) = name.strip_prefix("asset:") {
            let asset = client.assets().retrieve(id).send()?;
            let is_video = asset.file_type.is_some_and(|kind| kind.starts_with("video"));
            return Ok(Media { name: name.into(), is_video, source: MediaSource::asset_id(id) });
        }
        let source = if support::is_url(name) { MediaSource::url(name) } else { MediaSource::file(name) };
        Ok(Media::new(name, source))
    }
}

fn compare(client: &TwelveLabs, text: &str, media: Vec<Media>) -> Result {
    eprintln!("Embedding the text: {text}");
    let text = client.embed().v2().create(EmbedInput::text(text), MODEL).send()?.into_embedding()?;

    let mut found = Vec::new();
    for media in media {
        eprintln!("Embedding {}", media.name);
        let embeddings = if media.is_video {
            embed_video(client, media.source)?
        } else {
            client.embed().v2().create(EmbedInput::image(media.source), MODEL).send()?.data
        };
        let similarities = embeddings.iter().map(|data| Ok((cosine_similarity(&text, &data.embedding)?, data)));
        let (similarity, data) = similarities
            .collect::<Result<Vec<_>>>()?
            .into_iter()
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

/// Embeds a video with a task, because it takes the platform a while.
fn embed_video(client: &TwelveLabs, source: MediaSource) -> Result<Vec<EmbeddingData>> {
    let video = VideoInput::new(source).embedding_option(["visual"]).embedding_scope(["clip"]);
    let tasks = client.embed().v2().tasks();
    let task = tasks.create(EmbedInput::video(video), MODEL).send()?;
    eprintln!("  task {}", task.id);
    let task = tasks.wait_for_done(&task.id).send()?;
    Ok(task.data.unwrap_or_default())
}

/// Sample media. The stand-in takes the words of a file's name or content for what the file shows.
fn samples(client: &TwelveLabs) -> Result<Vec<Media>> {
    let video = FileSource::bytes("dog-and-waves-on-a-beach.mp4", *b"not really a video");
    let asset = client.assets().upload(video).send()?;
    let photo = FileSource::bytes("photo.jpg", *b"a dog sleeps on a sofa");
    Ok(vec![
        Media::new("photo.jpg", MediaSource::file(photo)),
        Media::new("dog-and-waves-on-a-beach.mp4", MediaSource::from(&asset)),
        Media::new("a-city-at-night.jpg", MediaSource::url("https://example.com/a-city-at-night.jpg")),
    ])
}
