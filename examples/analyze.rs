//! Asks about a video, and prints the answer as it is written.
//!
//! ```text
//! cargo run --example analyze                       # without a key: against a stand-in on this machine
//! export TWELVELABS_API_KEY=tlk_…
//! cargo run --example analyze -- SOURCE [PROMPT]    # the answer as it is written
//! cargo run --example analyze -- --chapters SOURCE  # chapters, decoded from JSON, a line for each
//! cargo run --example analyze -- --task SOURCE [PROMPT]  # in the background, for videos of more than an hour
//! ```
//!
//! SOURCE is a file, which is uploaded, a URL of the file, or the id of an asset. Answers go to stdout, everything else
//! to stderr. The exit code is 0, or 1 if something failed.

#[path = "../tests/support/stand_in/mod.rs"]
mod stand_in;

use std::error::Error;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use stand_in::StandIn;
use twelvelabs::{AnalyzeEvent, AnalyzeTask, FileSource, FinishReason, TwelveLabs, UploadMethod, VideoContext};

const KEY_NAMES: [&str; 3] = ["TWELVELABS_API_KEY", "TWELVE_LABS_API_KEY", "TL_API_KEY"];
const USAGE: &str = "usage: analyze [--chapters | --task] FILE|URL|ASSET_ID [PROMPT]";
const PROMPT: &str = "What happens in this video? Answer in a few sentences.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe, such as `head`, has seen enough.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  {error}");
                cause = error.source();
            }
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
    let (mode, arguments) = match arguments.split_first() {
        Some((mode @ (&"--chapters" | &"--task"), rest)) => (*mode, rest),
        _ => ("", arguments.as_slice()),
    };
    let has_key = KEY_NAMES.iter().any(|name| std::env::var_os(name).is_some_and(|key| !key.is_empty()));
    let (source, prompt) = match arguments {
        [] if !has_key => (None, PROMPT),
        [source] => (Some(*source), PROMPT),
        [source, prompt] => (Some(*source), *prompt),
        _ => return Err(USAGE.into()),
    };

    let stand_in = (!has_key).then(StandIn::start);
    let (client, pause) = match &stand_in {
        None => (TwelveLabs::from_env()?, Duration::from_secs(5)),
        Some(stand_in) => {
            eprintln!("No API key is set: using a stand-in for the platform on this machine.");
            let client = TwelveLabs::builder().api_key("tlk_stand_in").base_url(stand_in.url()).build()?;
            (client, Duration::from_millis(50))
        }
    };

    let video = match source {
        None => upload(&client, FileSource::bytes("sample.mp4", vec![0; 1000]), pause)?,
        Some(url) if url.starts_with("https://") || url.starts_with("http://") => VideoContext::url(url),
        Some(path) if Path::new(path).exists() => upload(&client, FileSource::path(path), pause)?,
        Some(asset_id) => VideoContext::asset_id(asset_id),
    };
    match mode {
        "--chapters" => chapters(&client, video),
        "--task" => task(&client, video, prompt, pause),
        _ => stream(&client, video, prompt),
    }
}

fn upload(client: &TwelveLabs, file: FileSource, pause: Duration) -> Result<VideoContext, Box<dyn Error>> {
    let asset = client.assets().create(UploadMethod::direct(file)).send()?;
    eprintln!("uploaded asset {}", asset.id);
    let asset = client.assets().wait_for_done(&asset.id).sleep_interval(pause).send()?;
    Ok(VideoContext::asset_id(asset.id))
}

fn stream(client: &TwelveLabs, video: VideoContext, prompt: &str) -> Result<(), Box<dyn Error>> {
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
                    eprintln!("the answer was cut off");
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

fn chapters(client: &TwelveLabs, video: VideoContext) -> Result<(), Box<dyn Error>> {
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

fn task(client: &TwelveLabs, video: VideoContext, prompt: &str, pause: Duration) -> Result<(), Box<dyn Error>> {
    let tasks = client.analyze_async().tasks();
    let task = tasks.create().video(video).prompt(prompt).send()?;
    eprintln!("task {}", task.task_id);
    let task = tasks
        .wait_for_done(&task.task_id)
        .sleep_interval(pause)
        .callback(|task: &AnalyzeTask| {
            eprintln!("  {}", task.status.as_ref().map_or("unknown", |status| status.as_str()));
        })
        .send()?;
    let result = task.result.unwrap_or_default();
    writeln!(std::io::stdout(), "{}", result.data.unwrap_or_default())?;
    Ok(())
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
