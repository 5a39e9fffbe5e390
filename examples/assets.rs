//! A small command-line tool for assets. It reads the key from the environment.
//!
//! ```text
//! cargo run --example assets                        # without a key: against a stand-in on this machine
//! cargo run --example assets -- create [--no-wait] PATH|URL
//! cargo run --example assets -- list
//! cargo run --example assets -- retrieve ID
//! cargo run --example assets -- delete ID
//! cargo run --example assets -- transcript ID [srt|vtt|text]
//! ```
//!
//! `create` waits until the asset is ready, unless `--no-wait` is given. Ids and transcripts go to stdout, everything else to
//! stderr. The exit code is 0, or 1 if something failed.

mod support;

use std::io::Write;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use support::{Demo, Result};
use twelvelabs::assets::{Asset, TranscriptionInclude, UploadMethod, UploadProgress, UploadState};
use twelvelabs::{FileSource, TwelveLabs};

const USAGE: &str =
    "usage: assets create [--no-wait] PATH|URL | list | retrieve ID | delete ID | transcript ID [srt|vtt|text]";

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = support::arguments()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    match arguments.as_slice() {
        [] if !support::has_key() => demo(),
        ["create", "--no-wait", source] => create(&TwelveLabs::from_env()?, source, false),
        ["create", source] => create(&TwelveLabs::from_env()?, source, true),
        ["list"] => list(&TwelveLabs::from_env()?),
        ["retrieve", id] => retrieve(&TwelveLabs::from_env()?, id),
        ["delete", id] => delete(&TwelveLabs::from_env()?, id),
        ["transcript", id] => transcript(&TwelveLabs::from_env()?, id, "text"),
        ["transcript", id, format @ ("srt" | "vtt" | "text")] => transcript(&TwelveLabs::from_env()?, id, format),
        _ => Err(USAGE.into()),
    }
}

/// Runs each command once.
fn demo() -> Result {
    let Demo { client, stand_in: _stand_in } = Demo::start()?;
    let asset = client.assets().upload(FileSource::bytes("sample.mp4", vec![0; 1000])).send()?;
    list(&client)?;
    retrieve(&client, &asset.id)?;
    transcript(&client, &asset.id, "srt")?;
    delete(&client, &asset.id)
}

fn create(client: &TwelveLabs, source: &str, wait: bool) -> Result {
    let asset = if support::is_url(source) { fetch(client, source, wait) } else { upload(client, source, wait) }?;
    eprintln!("created: {}", describe(&asset));
    writeln!(std::io::stdout(), "{}", asset.id)?;
    Ok(())
}

fn fetch(client: &TwelveLabs, url: &str, wait: bool) -> Result<Asset> {
    let asset = client.assets().create(UploadMethod::url(url)).send()?;
    if !wait {
        return Ok(asset);
    }
    eprintln!("waiting for {}", asset.id);
    Ok(client.assets().wait_for_done(&asset.id).send()?)
}

fn upload(client: &TwelveLabs, path: &str, wait: bool) -> Result<Asset> {
    let style = ProgressStyle::with_template("{bar:30} {decimal_bytes} of {decimal_total_bytes}, {eta} left {msg}")?;
    // The progress is visible only if stderr is a terminal.
    let bar = ProgressBar::new(0).with_style(style);
    let shown = bar.clone();
    let asset = client
        .assets()
        .upload(path)
        .wait(wait)
        .progress_callback(move |progress: &UploadProgress| match progress.state {
            UploadState::Uploading => {
                shown.set_length(progress.total.unwrap_or_default());
                shown.set_position(progress.sent);
            }
            _ => shown.set_message("(processing)"),
        })
        .send();
    bar.finish_and_clear();
    Ok(asset?)
}

fn list(client: &TwelveLabs) -> Result {
    let mut stdout = std::io::stdout().lock();
    let mut count = 0_usize;
    for asset in client.assets().list().page_limit(50).send()? {
        writeln!(stdout, "{}", asset?.id)?;
        count += 1;
    }
    eprintln!("{count} assets");
    Ok(())
}

fn retrieve(client: &TwelveLabs, id: &str) -> Result {
    let asset = client.assets().retrieve(id).send()?;
    eprintln!("{}", describe(&asset));
    writeln!(std::io::stdout(), "{}", asset.id)?;
    Ok(())
}

fn delete(client: &TwelveLabs, id: &str) -> Result {
    client.assets().delete(id).send()?;
    eprintln!("deleted");
    writeln!(std::io::stdout(), "{id}")?;
    Ok(())
}

fn transcript(client: &TwelveLabs, id: &str, format: &str) -> Result {
    let include = [TranscriptionInclude::Sentences, TranscriptionInclude::Utterances];
    let transcription = client.assets().wait_for_transcription(id).include(include).send()?;
    let text = match format {
        "srt" => transcription.to_srt()?,
        "vtt" => transcription.to_vtt()?,
        _ => transcription.to_text()?,
    };
    write!(std::io::stdout(), "{text}")?;
    Ok(())
}

fn describe(asset: &Asset) -> String {
    let status = asset.status.as_ref().map_or("unknown status", |status| status.as_str());
    format!("{} ({status})", asset.filename.as_deref().unwrap_or("asset without a name"))
}
