//! Asks about a video, and prints the answer while the model writes it.
//!
//! ```text
//! cargo run --example analyze                       # without a key: against a stand-in on this machine
//! export TWELVELABS_API_KEY=tlk_…
//! cargo run --example analyze -- SOURCE [PROMPT]    # the answer, while it is written
//! cargo run --example analyze -- --chapters SOURCE  # chapters, decoded from JSON, a line for each
//! cargo run --example analyze -- --task SOURCE [PROMPT]  # in the background, for videos of more than an hour
//! ```
//!
//! SOURCE is a file (it is uploaded), the URL of a file, or the id of an asset. Answers go to stdout, everything else to
//! stderr. The exit code is 0, or 1 if something failed.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use support::{Demo, Result};
use twelvelabs::analyze::{AnalyzeEvent, FinishReason, VideoContext};
use twelvelabs::analyze_async::AnalyzeTask;
use twelvelabs::{FileSource, TwelveLabs};

const USAGE: &str = "usage: analyze [--chapters | --task] FILE|URL|ASSET_ID [PROMPT]";
const PROMPT: &str = "What happens in this video? Answer in a few sentences.";

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = support::arguments()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mode, arguments) = match arguments.split_first() {
        Some((mode @ (&"--chapters" | &"--task"), rest)) => (*mode, rest),
        _ => ("", arguments.as_slice()),
    };
    let (source, prompt) = match arguments {
        [] if !support::has_key() => (None, PROMPT),
        [source] => (Some(*source), PROMPT),
        [source, prompt] => (Some(*source), *prompt),
        _ => return Err(USAGE.into()),
    };

    let demo = if support::has_key() { None } else { Some(Demo::start()?) };
    let client = match &demo {
        Some(demo) => demo.client.clone(),
        None => TwelveLabs::from_env()?,
    };
    let video = match source {
        None => upload(&client, FileSource::bytes("sample.mp4", vec![0; 1000]))?,
        Some(url) if support::is_url(url) => VideoContext::url(url),
        Some(path) if Path::new(path).exists() => upload(&client, FileSource::path(path))?,
        Some(asset_id) => VideoContext::asset_id(asset_id),
    };
    match mode {
        "--chapters" => chapters(&client, video),
        "--task" => task(&client, video, prompt),
        _ => stream(&client, video, prompt),
    }
}

fn upload(client: &TwelveLabs, file: FileSource) -> Result<VideoContext> {
    let asset = client.assets().upload(file).send()?;
    eprintln!("uploaded asset {}", asset.id);
    Ok(VideoContext::asset_id(asset.id))
}

fn stream(client: &TwelveLabs, video: VideoContext, prompt: &str) -> Result {
    let mut stdout = std::io::stdout().lock();
    for event in client.analyze_stream().video(video).prompt(prompt).send()? {
        match event? {
            AnalyzeEvent::TextGeneration(piece) => {
                stdout.write_all(piece.text.as_bytes())?;
                stdout.flush()?;
            }
            AnalyzeEvent::StreamEnd(end) => {
                writeln!(stdout)?;
                if end.finish_reason == Some(FinishReason::Length) {
                    eprintln!("the answer was truncated");
                }
                if let Some(tokens) = end.metadata.and_then(|metadata| metadata.usage?.output_tokens) {
                    eprintln!("{tokens} tokens");
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Chapters {
    chapters: Vec<Chapter>,
}

#[derive(serde::Deserialize)]
struct Chapter {
    start: f64,
    title: String,
}

fn chapters(client: &TwelveLabs, video: VideoContext) -> Result {
    let chapter = json!({
        "type": "object",
        "properties": {"start": {"type": "number"}, "title": {"type": "string"}},
        "required": ["start", "title"],
    });
    let schema = json!({
        "type": "object",
        "properties": {"chapters": {"type": "array", "items": chapter}},
        "required": ["chapters"],
    });
    let prompt = "Divide the video into chapters: where each starts, in seconds, and a title.";
    let answer: Chapters = client.analyze().video(video).prompt(prompt).json(schema)?;
    let mut stdout = std::io::stdout().lock();
    for chapter in answer.chapters {
        writeln!(stdout, "{:8.1}  {}", chapter.start, chapter.title)?;
    }
    Ok(())
}

fn task(client: &TwelveLabs, video: VideoContext, prompt: &str) -> Result {
    let tasks = client.analyze_async().tasks();
    let task = tasks.create().video(video).prompt(prompt).send()?;
    eprintln!("task {}", task.task_id);
    let task = tasks
        .wait_for_done(&task.task_id)
        .callback(|task: &AnalyzeTask| {
            eprintln!("  {}", task.status.as_ref().map_or("unknown", |status| status.as_str()));
        })
        .send()?;
    let result = task.result.unwrap_or_default();
    writeln!(std::io::stdout(), "{}", result.complete()?)?;
    Ok(())
}
