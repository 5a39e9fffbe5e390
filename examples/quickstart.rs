//! Uploads a file and waits until the asset is ready; then lists, retrieves and deletes it.
//!
//! ```text
//! cargo run --example quickstart                    # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example quickstart -- holiday.mp4
//! ```

mod support;

use std::io::{Write, stdout};
use std::process::ExitCode;

use support::{Demo, Result};
use twelvelabs::assets::{Asset, UploadProgress, UploadState};
use twelvelabs::{FileSource, TwelveLabs};

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let file = std::env::args_os().nth(1).map(FileSource::path);
    if support::has_key() {
        let file = file.ok_or("which file? cargo run --example quickstart -- PATH")?;
        return tour(&TwelveLabs::from_env()?, file);
    }
    let demo = Demo::start()?;
    tour(&demo.client, file.unwrap_or_else(|| FileSource::bytes("sample.mp4", vec![7; 256 * 1024])))
}

fn tour(client: &TwelveLabs, file: FileSource) -> Result {
    let mut out = stdout();
    // Sends a small file in one request and a large one in chunks, and waits until the asset is ready.
    writeln!(out, "Uploading")?;
    let asset = client.assets().upload(file).progress_callback(show_progress).send()?;
    writeln!(out, "Asset {} is {}", asset.id, status(&asset))?;

    writeln!(out, "The first assets of the account:")?;
    for asset in client.assets().list().page_limit(10).send()?.take(10) {
        let asset = asset?;
        writeln!(out, "  {}  {}  {}", asset.id, status(&asset), asset.filename.as_deref().unwrap_or("(no name)"))?;
    }

    let asset = client.assets().retrieve(&asset.id).send()?;
    writeln!(out, "Retrieved {}: {}", asset.id, status(&asset))?;

    client.assets().delete(&asset.id).send()?;
    writeln!(out, "Deleted {}", asset.id)?;
    Ok(())
}

fn show_progress(progress: &UploadProgress) {
    let mut out = stdout();
    // This changes only the display.
    let _ = match progress.state {
        UploadState::Uploading => write!(out, "\r  {} bytes, {:.0} %", progress.sent, progress.percentage()),
        UploadState::Uploaded => writeln!(out, "\n  uploaded"),
        _ => writeln!(out, "  {:?}", progress.state),
    };
    let _ = out.flush();
}

fn status(asset: &Asset) -> &str {
    asset.status.as_ref().map_or("unknown", |status| status.as_str())
}
