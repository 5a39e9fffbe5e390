//! Uploads a file, waits until it is ready, lists, retrieves and deletes it.
//!
//! ```text
//! cargo run --example quickstart                    # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example quickstart -- holiday.mp4
//! ```

#[path = "../tests/support/stand_in/mod.rs"]
mod stand_in;

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stand_in::StandIn;
use twelvelabs::{Asset, TwelveLabs, UploadProgress, UploadState};

const KEY_NAMES: [&str; 3] = ["TWELVELABS_API_KEY", "TWELVE_LABS_API_KEY", "TL_API_KEY"];

fn main() -> Result<(), Box<dyn Error>> {
    let has_key = KEY_NAMES.iter().any(|name| std::env::var_os(name).is_some_and(|key| !key.is_empty()));
    if has_key {
        let path = std::env::args_os().nth(1).ok_or("which file? cargo run --example quickstart -- PATH")?;
        let client = TwelveLabs::from_env()?;
        tour(&client, Path::new(&path), Duration::from_secs(5))
    } else {
        println!("No API key is set: using a stand-in for the platform on this machine.");
        let stand_in = StandIn::start();
        let sample = SampleFile::create()?;
        let client = TwelveLabs::builder().api_key("tlk_stand_in").base_url(stand_in.url()).build()?;
        tour(&client, &sample.0, Duration::from_millis(50))
    }
}

fn tour(client: &TwelveLabs, path: &Path, sleep_interval: Duration) -> Result<(), Box<dyn Error>> {
    println!("Uploading {}", path.display());
    // A small file goes in one request and a large one in chunks. Then it waits until the asset is ready.
    let asset = client.assets().upload(path).sleep_interval(sleep_interval).progress_callback(show_progress).send()?;
    println!("Asset {} is {}", asset.id, status(&asset));

    println!("The first assets of the account:");
    for asset in client.assets().list().page_limit(10).send()?.take(10) {
        let asset = asset?;
        println!("  {}  {}  {}", asset.id, status(&asset), asset.filename.as_deref().unwrap_or("(no name)"));
    }

    let asset = client.assets().retrieve(&asset.id).send()?;
    println!("Retrieved {}: {}", asset.id, status(&asset));

    client.assets().delete(&asset.id).send()?;
    println!("Deleted {}", asset.id);
    Ok(())
}

fn show_progress(progress: &UploadProgress) {
    match progress.state {
        UploadState::Uploading => print!("\r  {} bytes, {:.0} %", progress.sent, progress.percentage()),
        UploadState::Uploaded => println!("\n  uploaded"),
        _ => println!("  {:?}", progress.state),
    }
    // Only the display depends on it.
    let _ = std::io::stdout().flush();
}

fn status(asset: &Asset) -> String {
    asset.status.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

/// A file in the temp folder that goes away with this value.
struct SampleFile(PathBuf);

impl SampleFile {
    fn create() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("twelvelabs-quickstart-{}.mp4", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let sample = Self(path);
        let content: Vec<u8> = (0..256 * 1024_u32).map(|number| (number % 251) as u8).collect();
        file.write_all(&content)?;
        Ok(sample)
    }
}

impl Drop for SampleFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            eprintln!("could not remove {}: {error}", self.0.display());
        }
    }
}
