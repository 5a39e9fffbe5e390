//! The report: a line for each file on standard output, and a summary on standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanDuration};
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use twelvelabs::assets::{UploadOutcome, UploadOutcomeKind, UploadStep};
use twelvelabs::{ApiError, Error};

use super::arguments::Arguments;
use super::bars::Bars;
use super::support::with_causes;

/// The maximum number of failures that the summary repeats.
const MAX_FAILURES: usize = 20;

/// The exit code of a run that was stopped early on request.
pub const CANCELED: u8 = 130;

/// The kind of a file's outcome.
#[derive(Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Uploaded,
    Skipped,
    #[default]
    Failed,
    NotStarted,
}

impl Kind {
    const ALL: [(Kind, &str); 4] = [
        (Kind::Uploaded, "uploaded"),
        (Kind::Skipped, "skipped"),
        (Kind::Failed, "failed"),
        (Kind::NotStarted, "not started"),
    ];

    fn of(kind: UploadOutcomeKind) -> Self {
        match kind {
            UploadOutcomeKind::Uploaded => Kind::Uploaded,
            UploadOutcomeKind::Skipped => Kind::Skipped,
            UploadOutcomeKind::NotStarted => Kind::NotStarted,
            _ => Kind::Failed,
        }
    }

    fn label(self) -> &'static str {
        Kind::ALL[self as usize].1
    }
}

/// A file in the output of `--json`.
#[derive(Default, Serialize)]
struct Row {
    path: String,
    kind: Kind,
    bytes: u64,
    asset_id: Option<String>,
    status: Option<String>,
    /// The ids of the indexed assets that are ready.
    indexed_asset_ids: Vec<String>,
    /// The ids of the knowledge store items that are ready.
    item_ids: Vec<String>,
    /// The failed step: `upload`, `process`, `index` or `knowledge_store`.
    failed_at: Option<UploadStep>,
    /// The steps that were left out because of the kind of the file.
    not_applicable: Vec<UploadStep>,
    /// A remaining doubt, for example after a lost answer.
    note: Option<String>,
    error: Option<Reason>,
}

#[derive(Default, Serialize)]
struct Reason {
    message: String,
    code: Option<String>,
    permanent: bool,
    retry_after_seconds: Option<u64>,
    /// The id of a chunked upload that can be resumed.
    upload_id: Option<String>,
    #[serde(skip)]
    advice: Option<&'static str>,
    /// Whether the file was canceled, in which case the summary has nothing to add.
    #[serde(skip)]
    canceled: bool,
}

/// The last line of the `--json` output.
#[derive(Serialize)]
struct Summary<'a> {
    kind: &'static str,
    files: u64,
    uploaded: u64,
    skipped: u64,
    failed: u64,
    not_started: u64,
    bytes_uploaded: u64,
    indexed_assets: usize,
    items: usize,
    seconds: f64,
    /// The reason for stopping: `quota`, `canceled` or `error`.
    stopped: Option<&'static str>,
    retry_at: Option<&'a str>,
    exit_code: u8,
}

/// The reason why not every file was started.
enum Stopped {
    Canceled,
    Quota { reason: String, retry_at: Option<String>, wait: Option<Duration> },
    Fault(String),
}

/// Writes each event as it happens, and counts the outcomes.
pub struct Report {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    bars: Arc<Bars>,
    json: bool,
    quiet: bool,
    manifest: bool,
    began: Instant,
    counts: [(u64, u64); 4],
    /// The number of indexed assets that are ready. `items` counts the items in knowledge stores.
    indexed: usize,
    items: usize,
    /// The number of files that no index accepts.
    not_indexed: u64,
    failures: Vec<Row>,
    stopped: Option<Stopped>,
    /// Whether standard output can no longer be written.
    deaf: bool,
    /// Whether output was lost for another reason than a closed pipe, or an outcome is missing in the manifest.
    lost: bool,
}

impl Report {
    pub fn new(arguments: &Arguments, bars: Arc<Bars>, out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Report {
            out,
            err,
            bars,
            json: arguments.json,
            quiet: arguments.quiet,
            manifest: arguments.manifest.is_some(),
            began: Instant::now(),
            counts: [(0, 0); 4],
            indexed: 0,
            items: 0,
            not_indexed: 0,
            failures: Vec::new(),
            stopped: None,
            deaf: false,
            lost: false,
        }
    }

    /// Writes a message to standard error, unless `--quiet` is set.
    pub fn say(&mut self, text: impl Display) {
        if !self.quiet {
            self.complain(text);
        }
    }

    fn complain(&mut self, text: impl Display) {
        // If standard error fails, there is no other place to report that.
        let _ = self.bars.suspend(|| writeln!(self.err, "{text}"));
    }

    fn write(&mut self, line: impl Display) {
        if self.deaf {
            return;
        }
        let written = self.bars.suspend(|| writeln!(self.out, "{line}").and_then(|()| self.out.flush()));
        if let Err(e) = written {
            self.deaf = true;
            self.lost = e.kind() != io::ErrorKind::BrokenPipe;
            match self.lost {
                true => self.complain(format_args!("cannot write to standard output: {e}; the uploads continue")),
                false => self.say("the reader of standard output has gone; the uploads continue"),
            }
        }
    }

    /// Reports a folder that cannot be read, or an entry that may be a folder.
    pub fn unreadable(&mut self, path: &Path, e: &io::Error) {
        let error = Reason { message: format!("cannot read it: {e}"), ..Reason::default() };
        self.add(path, Kind::Failed, 0, Row { error: Some(error), ..Row::default() });
    }

    /// Reports a finished file of `bytes` bytes.
    pub fn outcome(&mut self, outcome: &UploadOutcome, bytes: u64) {
        let kind = Kind::of(outcome.kind);
        self.not_indexed += u64::from(!outcome.not_applicable.is_empty());
        self.bars.finished(&outcome.path, kind, bytes);
        if let Some(e) = &outcome.manifest_error {
            self.lost = true;
            self.complain(format_args!(
                "{}: not recorded in the manifest, so the next run would upload it again: {e}",
                shown(&outcome.path)
            ));
        }
        let row = match &outcome.result {
            Ok(asset) => Row {
                asset_id: Some(asset.id.clone()),
                status: asset.status.as_ref().map(ToString::to_string),
                ..Row::default()
            },
            Err(e) => {
                self.note_stop(kind, e);
                Row::failed(e, self.manifest)
            }
        };
        let asset = outcome.asset.as_ref();
        let row = Row {
            asset_id: row.asset_id.or_else(|| asset.map(|asset| asset.id.clone())),
            status: row.status.or_else(|| asset?.status.as_ref().map(ToString::to_string)),
            indexed_asset_ids: outcome.indexed_assets.iter().map(|indexed| indexed.id.clone()).collect(),
            item_ids: outcome.items.iter().map(|item| item.id.clone()).collect(),
            failed_at: outcome.failed_at,
            not_applicable: outcome.not_applicable.clone(),
            note: outcome.note.clone(),
            ..row
        };
        self.indexed += outcome.indexed_assets.len();
        self.items += outcome.items.len();
        self.add(&outcome.path, kind, bytes, row);
    }

    fn note_stop(&mut self, kind: Kind, e: &Error) {
        let stopped = if e.is_canceled() {
            Stopped::Canceled
        } else if e.is_quota() {
            let api = api(e);
            Stopped::Quota {
                reason: api.map_or_else(|| e.to_string(), |api| api.message.clone()),
                retry_at: api.and_then(|api| api.retry_at?.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()),
                wait: e.retry_after(),
            }
        } else if kind == Kind::NotStarted {
            Stopped::Fault(e.to_string())
        } else {
            return;
        };
        self.stopped.get_or_insert(stopped);
    }

    fn add(&mut self, path: &Path, kind: Kind, bytes: u64, row: Row) {
        let (files, sum) = &mut self.counts[kind as usize];
        *files += 1;
        *sum += bytes;
        let row = Row { path: path.to_string_lossy().into_owned(), kind, bytes, ..row };
        let line = format!("{:<11}  {:<24}  {}", kind.label(), row.asset_id.as_deref().unwrap_or("-"), shown(path));
        let line = match &row.error {
            Some(error) if kind == Kind::Failed => match row.failed_at {
                Some(step @ (UploadStep::Index | UploadStep::KnowledgeStore)) => {
                    format!("{line}: uploaded, but not in the {}: {}", step.as_str().replace('_', " "), error.message)
                }
                _ => format!("{line}: {}", error.message),
            },
            _ if !row.not_applicable.is_empty() => {
                format!("{line}: not indexed; an index accepts only video and audio")
            }
            _ => line,
        };
        let line = row.note.as_ref().map_or(line.clone(), |note| format!("{line} ({note})"));
        if self.json {
            // The row consists of text, numbers and booleans, so serializing it cannot fail.
            self.write(serde_json::to_string(&row).unwrap_or_default());
            if self.bars.is_hidden() {
                self.say(line);
            }
        } else if !self.quiet || kind == Kind::Failed {
            self.write(line);
        }
        if kind == Kind::Failed && row.error.as_ref().is_some_and(|error| !error.canceled) {
            self.failures.push(row);
        }
    }

    /// Writes the summary, and returns the exit code.
    pub fn end(mut self) -> u8 {
        let [uploaded, skipped, failed, not_started] = self.counts.map(|(files, _)| files);
        if self.json {
            let summary = Summary {
                kind: "summary",
                files: uploaded + skipped + failed + not_started,
                uploaded,
                skipped,
                failed,
                not_started,
                bytes_uploaded: self.counts[Kind::Uploaded as usize].1,
                indexed_assets: self.indexed,
                items: self.items,
                seconds: self.began.elapsed().as_millis() as f64 / 1000.0,
                stopped: self.stopped.as_ref().map(|stopped| match stopped {
                    Stopped::Canceled => "canceled",
                    Stopped::Quota { .. } => "quota",
                    Stopped::Fault(_) => "error",
                }),
                retry_at: match &self.stopped {
                    Some(Stopped::Quota { retry_at, .. }) => retry_at.as_deref(),
                    _ => None,
                },
                exit_code: self.exit_code(),
            };
            let summary = serde_json::to_string(&summary).unwrap_or_default();
            self.write(summary);
        }
        if self.counts.iter().any(|(files, _)| *files > 0) {
            self.say(self.table());
        }
        if let Some(closing) = self.closing(failed + not_started) {
            self.say("");
            self.complain(closing);
        }
        self.exit_code()
    }

    fn exit_code(&self) -> u8 {
        let undone = [Kind::Failed, Kind::NotStarted].iter().any(|kind| self.counts[*kind as usize].0 > 0);
        match &self.stopped {
            Some(Stopped::Canceled) => CANCELED,
            Some(Stopped::Quota { .. }) => 3,
            _ => u8::from(undone || self.lost),
        }
    }

    /// Returns the counts, the bytes, and the failures with advice.
    fn table(&self) -> String {
        let row = |label: &str, files: u64, bytes: u64| {
            format!("{label:<11}  {files:>7}  {:>10}\n", DecimalBytes(bytes).to_string())
        };
        let mut text = format!("\n{:<11}  {:>7}  {:>10}\n", "", "files", "size");
        for ((_, label), (files, bytes)) in Kind::ALL.iter().zip(self.counts) {
            text += &row(label, files, bytes);
        }
        let (files, bytes) = self.counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
        text += &row("total", files, bytes);
        for (what, ready) in [("indexed", self.indexed), ("items", self.items)] {
            if ready > 0 {
                text += &format!("{what:<11}  {ready:>7}\n");
            }
        }
        if self.not_indexed > 0 {
            let files = count(self.not_indexed, "file");
            text += &format!("{files} not indexed; an index accepts only video and audio\n");
        }
        text += &format!("in {}", HumanDuration(self.began.elapsed().max(Duration::from_secs(1))));
        for failure in self.failures.iter().take(MAX_FAILURES) {
            let Some(reason) = &failure.error else { continue };
            text += &format!("\n\n{}\n    {}", shown(Path::new(&failure.path)), reason.message);
            if let Some(advice) = reason.advice {
                text += &format!("\n    > {advice}");
            }
        }
        match self.failures.len().saturating_sub(MAX_FAILURES) {
            0 => {}
            more => text += &format!("\n\nand {more} more failures; see the lines above"),
        }
        text
    }

    /// Returns advice about the whole run, if there is any.
    fn closing(&self, undone: u64) -> Option<String> {
        let uploaded = self.counts[Kind::Uploaded as usize].0;
        let next = match self.manifest {
            true => "\nRun the same command again to resume.",
            false if uploaded > 0 => {
                "\nThere is no manifest, so the same command would upload every file again; name only the remaining files, or \
                 start a manifest with --manifest FILE."
            }
            false => "",
        };
        let left = format!("{} not finished.", count(undone, "file"));
        match &self.stopped {
            Some(Stopped::Canceled) => Some(format!("Stopped on request: {left}{next}")),
            Some(Stopped::Fault(reason)) => Some(format!("Stopped early: {reason}\n{left}{next}")),
            Some(Stopped::Quota { reason, retry_at, wait }) => {
                let when = match (retry_at, wait) {
                    (Some(at), Some(wait)) => format!("Try again at {at}, in {}.", HumanDuration(*wait)),
                    _ => "The platform does not say when to try again.".into(),
                };
                Some(format!("Stopped early by a quota: {reason}\n{left} {when}{next}"))
            }
            None if undone > 0 && !self.manifest && !self.quiet && uploaded > 0 => Some(next.trim_start().into()),
            None => None,
        }
    }
}

impl Row {
    fn failed(e: &Error, manifest: bool) -> Self {
        let (asset_id, status) = match e {
            Error::Failed(e) => (Some(e.id.clone()), Some(e.status.clone())),
            Error::WaitTimeout { id, status, .. } => (Some(id.clone()), Some(status.clone())),
            Error::Upload(e) => (e.upload.asset_id.clone(), None),
            _ => (None, None),
        };
        let message = match e {
            // The line already contains the path, and says that the file was not found.
            Error::File { message, source, .. } => match source {
                Some(source) if source.kind() != io::ErrorKind::NotFound => format!("{message}: {source}"),
                _ => message.clone(),
            },
            Error::PreviouslyFailed { message, .. } => format!("{message} (in an earlier run)"),
            _ => with_causes(e),
        };
        let error = Reason {
            message,
            code: e.code().map(Into::into),
            permanent: e.is_permanent(),
            retry_after_seconds: e.retry_after().map(|wait| wait.as_secs()),
            upload_id: match e {
                Error::Upload(e) if e.resumable => Some(e.upload.upload_id.clone()),
                _ => None,
            },
            advice: advice(e, manifest),
            canceled: e.is_canceled(),
        };
        Row { asset_id, status, error: Some(error), ..Row::default() }
    }
}

/// Returns advice about a failed file, unless the message or the end of the summary already gives it.
fn advice(e: &Error, manifest: bool) -> Option<&'static str> {
    match e {
        Error::PreviouslyFailed { .. } => Some("replace the file, or retry it with --retry-permanent"),
        _ if e.is_permanent() => Some("replace the file; the platform does not accept this one"),
        _ if e.is_canceled() || e.is_quota() => None,
        _ if e.status() == Some(401) => Some("check the API key"),
        Error::Upload(e) if e.resumable && manifest => {
            Some("run the same command again; only the missing chunks are sent")
        }
        Error::WaitTimeout { .. } if manifest => Some("run the same command again to continue waiting"),
        Error::WaitTimeout { .. } => Some("the file has arrived; do not upload it again, but check the asset later"),
        _ if e.is_outcome_unknown() => Some("the file may have arrived; check your assets before you retry it"),
        _ if e.is_retryable() => Some("this may be temporary; retry the file"),
        _ => None,
    }
}

fn api(e: &Error) -> Option<&ApiError> {
    match e {
        Error::Api(e) => Some(e),
        Error::Upload(e) => api(&e.cause),
        _ => None,
    }
}

/// Returns a path on one line, without characters that could control a terminal.
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Returns a count with its noun: `1 file`, `2 files`.
pub fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
