//! The journal of a batch: what became of each file, one JSON text a line.
//!
//! Every event is written at once and completely, and the last line about a file says all that is known of it. A line
//! that was torn by a crash is passed over.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::resources::assets::Asset;
use crate::resumable::ResumableUpload;

/// A file as it was: another size or time means another file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileKey {
    /// The absolute path.
    pub path: String,
    pub size: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub modified: Option<i64>,
}

impl FileKey {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let fail = |e| Error::file(path, "cannot look at the file", Some(e));
        let metadata = path.metadata().map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::file(path, "there is no such file", Some(e)),
            _ => fail(e),
        })?;
        Ok(FileKey {
            path: path_key(path),
            size: metadata.len(),
            modified: metadata.modified().ok().and_then(nanoseconds),
        })
    }
}

/// The absolute path as text, the same for every way that leads to the file but a link to the file itself. One that is
/// not Unicode is written so that no other is written alike.
pub(crate) fn path_key(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let absolute = match (absolute.parent().and_then(|folder| folder.canonicalize().ok()), absolute.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => absolute,
    };
    absolute.to_str().map_or_else(|| format!("{absolute:?}"), Into::into)
}

fn nanoseconds(time: SystemTime) -> Option<i64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|n| -n),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// A chunked upload has begun.
    Session,
    /// The file has arrived; the asset is not known to be ready.
    Uploaded,
    /// Nothing is left to do.
    Done,
    Failed,
}

/// One line: the state of a file from then on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    pub event: Event,
    #[serde(flatten)]
    pub file: FileKey,
    /// A chunked upload that can be gone on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<ResumableUpload>,
    /// An asset that may become ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<Asset>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the file can never succeed.
    #[serde(default)]
    pub permanent: bool,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub at: Option<OffsetDateTime>,
}

impl Line {
    pub(crate) fn new(event: Event, file: &FileKey) -> Self {
        Line {
            event,
            file: file.clone(),
            upload: None,
            asset_id: None,
            asset: None,
            code: None,
            message: None,
            permanent: false,
            at: None,
        }
    }
}

/// The open journal.
pub(crate) struct Manifest {
    path: PathBuf,
    file: File,
    /// Whether the last line was torn, and has to be ended before the next.
    torn: bool,
    /// The last line about each file, until it is taken.
    known: HashMap<String, Line>,
}

impl Manifest {
    /// Opens the journal, or begins one.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let fail = |e| Error::file(path, "cannot open the manifest", Some(e));
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(Error::file(path, "the manifest has to be a file", None));
        }
        let mut reader = BufReader::new(&file);
        let (mut known, mut line, mut torn) = (HashMap::new(), Vec::new(), false);
        for number in 1u64.. {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(fail)? == 0 {
                break;
            }
            torn = !line.ends_with(b"\n");
            match serde_json::from_slice::<Line>(&line) {
                Ok(line) => drop(known.insert(line.file.path.clone(), line)),
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(e) => log::warn!("{}: line {number} is passed over: {e}", path.display()),
            }
        }
        Ok(Manifest { path: path.to_path_buf(), file, torn, known })
    }

    /// What earlier batches knew of this file, unless it has changed since. It is given once.
    pub(crate) fn take(&mut self, file: &FileKey) -> Option<Line> {
        self.known.remove(&file.path).filter(|line| line.file == *file)
    }

    /// Writes an event, and returns once it is on the disk.
    pub(crate) fn write(&mut self, line: &Line) -> Result<()> {
        let fail = |path: &Path, e| Error::file(path, "cannot write to the manifest", Some(e));
        let json = serde_json::to_string(line).map_err(|e| fail(&self.path, e.into()))?;
        let text = format!("{}{json}\n", if self.torn { "\n" } else { "" });
        self.torn = true;
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).map_err(|e| fail(&self.path, e))?;
        self.torn = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_cannot_be_written_is_an_error_and_spoils_no_other() {
        let path = std::env::temp_dir().join(format!("twelvelabs-manifest-{}.jsonl", std::process::id()));
        let key = |name: &str| FileKey { path: name.into(), size: 1, modified: Some(-1) };
        let mut manifest = Manifest::open(&path).unwrap();
        let line = |name: &str| Line::new(Event::Done, &key(name));
        manifest.write(&line("a")).unwrap();
        let writable = std::mem::replace(&mut manifest.file, File::open(&path).unwrap());
        let e = manifest.write(&line("b")).unwrap_err();
        assert!(e.to_string().ends_with("cannot write to the manifest"), "{e}");
        // As if a part of it had been written.
        manifest.file = writable;
        manifest.file.write_all(b"{\"event\":").unwrap();
        manifest.write(&line("c")).unwrap();

        let mut manifest = Manifest::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let known = ["a", "b", "c"].map(|name| manifest.take(&key(name)).is_some());
        assert_eq!(known, [true, false, true]);
        assert!(manifest.take(&key("a")).is_none(), "it is given once");
    }
}
