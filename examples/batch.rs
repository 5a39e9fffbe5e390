//! Uploads all media files of a folder, several at a time, and goes on when one fails. It reads the key from the
//! environment.
//!
//! ```text
//! cargo run --example batch -- FOLDER [AT_A_TIME]
//! ```
//!
//! A line for each file goes to stdout: `ok`, the id and the path, or `failed`, the path and the reason. The exit code
//! is 1 if any file failed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use twelvelabs::{TwelveLabs, UploadMethod};

const AT_A_TIME: usize = 4;

const EXTENSIONS: [&str; 18] = [
    "mp4", "mov", "mkv", "webm", "avi", "m4v", "mpg", "mpeg", "mp3", "wav", "flac", "m4a", "aac", "ogg", "jpg", "jpeg",
    "png", "webp",
];

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Uploads everything and returns how many files failed.
fn run() -> Result<usize, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments.next().map(PathBuf::from).ok_or("usage: batch FOLDER [AT_A_TIME]")?;
    let at_a_time = match arguments.next() {
        None => AT_A_TIME,
        Some(number) => number
            .to_str()
            .and_then(|number| number.parse().ok())
            .filter(|number| *number > 0)
            .ok_or("AT_A_TIME has to be a positive number")?,
    };
    let files = media_files(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let client = TwelveLabs::from_env()?;

    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // The client is shared: each thread takes the next file until none is left.
    thread::scope(|scope| {
        for _ in 0..at_a_time.min(files.len()) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match client.assets().create(UploadMethod::direct(file)).send() {
                        Ok(asset) => println!("ok      {}  {}", asset.id, file.display()),
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("failed  {}: {error}", file.display());
                        }
                    }
                }
            });
        }
    });

    let failed = failed.into_inner();
    println!("{} uploaded, {failed} failed", files.len() - failed);
    Ok(failed)
}

/// The media files directly in `folder`, by name.
fn media_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_media = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)));
        if is_media && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
