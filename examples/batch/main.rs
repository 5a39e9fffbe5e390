//! Uploads files and folders, several files at a time. It is made for nightly jobs.
//!
//! ```text
//! cargo run --example batch                         # without a key: samples, to a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example batch -- --manifest uploads.jsonl FOLDER
//! cargo run --example batch -- --help
//! ```
//!
//! Ctrl-C or a SIGTERM stops it, and the same command resumes the upload. `--shard` is for array jobs.
//!
//! Standard output gets a line for each file (a JSON object with `--json`). Progress bars and a summary go to standard
//! error. `--help` lists the options and the exit codes.
//!
//! [`upload`] does the work; the rest is arguments, progress bars and output.

mod arguments;
mod bars;
mod files;
mod list;
mod report;
mod shard;
#[path = "../support/mod.rs"]
pub mod support;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use arguments::Arguments;
use bars::Bars;
use files::Files;
use log::{LevelFilter, Log, Metadata, Record};
use report::{CANCELED, Report};
pub use shard::Shard;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use support::{Demo, KEY_NAMES, Result, has_key, with_causes};
use twelvelabs::assets::UploadAll;
use twelvelabs::{CancelHandle, TwelveLabs};

fn main() -> ExitCode {
    ExitCode::from(start(Arguments::parse(std::env::args_os().skip(1))))
}

/// Runs the program, and returns the exit code.
pub fn start(arguments: Result<Arguments, lexopt::Error>) -> u8 {
    let result = match &arguments {
        Ok(Arguments { help: true, .. }) => {
            // Printing the help fails only if standard output is closed, which needs no report.
            let _ = io::stdout().write_all(arguments::HELP.as_bytes());
            Ok(0)
        }
        Ok(arguments) => run(arguments),
        Err(e) => Err(format!("{e}; see --help").into()),
    };
    result.unwrap_or_else(|e| {
        tell(&format!("batch: {}", with_causes(e.as_ref())));
        2
    })
}

/// Uploads to the platform, or to the stand-in if there is no API key.
fn run(arguments: &Arguments) -> Result<u8> {
    let is_given = !arguments.paths.is_empty() || !arguments.lists.is_empty();
    if arguments.stand_in || !(has_key() || is_given) {
        return run_on_stand_in(arguments, is_given);
    }
    if !has_key() {
        let names = KEY_NAMES.join(", ");
        return Err(format!("no API key is set ({names}); use --stand-in to try this without the platform").into());
    }
    if !is_given {
        return Err("there are no files to upload; name a PATH or a --list (see --help)".into());
    }
    upload(&TwelveLabs::from_env()?, arguments, &stopped_by_signals()?, Box::new(io::stdout()), Box::new(io::stderr()))
}

/// Returns a handle that the first signal cancels. A second signal ends the program.
fn stopped_by_signals() -> io::Result<CancelHandle> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, CANCELED.into(), stop.clone())?;
        flag::register(signal, stop.clone())?;
    }
    Ok(stop.into())
}

fn run_on_stand_in(arguments: &Arguments, is_given: bool) -> Result<u8> {
    if !arguments.quiet {
        tell("Using a stand-in for the platform on this machine: nothing is really uploaded.");
    }
    let demo = Demo::start_silently()?;
    let samples = if is_given { None } else { Some(Samples::create()?) };
    let mut arguments = arguments.clone();
    if let Some(samples) = &samples {
        demo.stand_in.chunks(256 * 1024, 4);
        arguments.paths.push(samples.0.clone());
        arguments.threshold = arguments.threshold.or(Some(1_000_000));
    }
    upload(&demo.client, &arguments, &stopped_by_signals()?, Box::new(io::stdout()), Box::new(io::stderr()))
}

/// Uploads the files given by the arguments, and returns the exit code.
pub fn upload(
    client: &TwelveLabs,
    arguments: &Arguments,
    cancel: &CancelHandle,
    out: Box<dyn Write>,
    err: Box<dyn Write>,
) -> Result<u8> {
    let manifest = arguments.manifest.as_ref().map(|all| shard::manifest(all, arguments.shard)).transpose()?;
    let files = Files::collect(arguments)?;
    let size = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
    let sizes: HashMap<PathBuf, u64> = files.found.iter().map(|path| (path.clone(), size(path))).collect();
    let bars = Arc::new(Bars::new(arguments.quiet, sizes.len(), sizes.values().sum())?);
    show_warnings(&bars, arguments.quiet);
    let mut report = Report::new(arguments, bars.clone(), out, err);
    files.notes.iter().for_each(|note| report.say(note));
    if files.found.is_empty() && files.unreadable.is_empty() {
        report.say("There is nothing to upload.");
    }

    let progress_bars = bars.clone();
    let mut upload = client
        .assets()
        .upload_all(files.found)
        .wait(!arguments.no_wait)
        .retry_permanent(arguments.retry_permanent)
        .cancel_handle(cancel);
    if arguments.shard.is_some() {
        // In an array job, a file is identified by its path relative to the given folder, both in the manifest and for
        // the shard.
        upload = files.roots.into_iter().fold(upload, UploadAll::relative_to);
    }
    for name in &arguments.indexes {
        upload = upload.index(index_id(client, name)?);
    }
    for store in &arguments.knowledge_stores {
        upload = upload.knowledge_store(store);
    }
    let mut uploads = upload
        .when_some(manifest, |upload, manifest| upload.manifest(manifest))
        .when_some(arguments.workers, |upload, workers| upload.workers(workers))
        .when_some(arguments.threshold, |upload, threshold| upload.threshold(threshold))
        .progress_callback(move |path, progress| progress_bars.progress(path, progress))
        .send()?;
    files.unreadable.iter().for_each(|(folder, e)| report.unreadable(folder, e));
    for outcome in &mut uploads {
        report.outcome(&outcome, sizes.get(&outcome.path).copied().unwrap_or_default());
    }
    bars.clear();
    Ok(report.end())
}

/// Returns the id of the index with this name or this id.
fn index_id(client: &TwelveLabs, name: &str) -> Result<String> {
    for index in client.indexes().list().index_name(name).page_limit(50).send()? {
        let index = index?;
        if index.index_name.as_deref() == Some(name) {
            return Ok(index.id);
        }
    }
    match client.indexes().retrieve(name).send() {
        Ok(index) => Ok(index.id),
        Err(e) if e.is_not_found() => Err(format!("there is no index with the name or the id `{name}`").into()),
        Err(e) => Err(e.into()),
    }
}

/// Shows the library's warnings, such as a retried chunk or an unreadable line of the manifest.
struct Warnings(Arc<Bars>);

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("twelvelabs")
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            self.0.suspend(|| tell(&format!("warning: {}", record.args())));
        }
    }

    fn flush(&self) {}
}

fn show_warnings(bars: &Arc<Bars>, quiet: bool) {
    if log::set_logger(Box::leak(Box::new(Warnings(bars.clone())))).is_ok() {
        log::set_max_level(if quiet { LevelFilter::Error } else { LevelFilter::Warn });
    }
}

fn tell(text: &str) {
    // If standard error fails, there is no other place to report that.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A temporary folder with sample files. It is removed when this value is dropped.
struct Samples(PathBuf);

impl Samples {
    fn create() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("twelvelabs-batch-{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        let samples = Samples(folder);
        // The first file is large enough to be sent in chunks.
        let sizes =
            [("beach.mp4", 3_000_000), ("interview.mp3", 400_000), ("poster.jpg", 60_000), ("walk.mov", 700_000)];
        for (name, size) in sizes {
            let content: Vec<u8> = (0..size as u32).map(|number| (number % 251) as u8).collect();
            std::fs::write(samples.0.join(name), content)?;
        }
        std::fs::write(samples.0.join("notes.txt"), "not a media file")?;
        Ok(samples)
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            tell(&format!("could not remove {}: {e}", self.0.display()));
        }
    }
}
