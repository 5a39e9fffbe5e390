//! A lock that keeps two runs from the same journal, and goes with the process that holds it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Result};
use crate::file::{at_once, is_same};
use crate::text::printable_path;

/// What the content of a lock file begins with.
const BEGINNING: &[u8] = b"{\"pid\":";
/// A lock file is never longer than this.
const MOST_CONTENT: u64 = 4096;

/// A lock on a file, held until it is dropped.
///
/// What is locked is a second file beside it: the first is replaced when it is compacted, and on Windows a locked file
/// could not even be read.
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

/// Who holds a lock, for the error of the others.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
}

/// The path with something added to its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Whether the path still leads to this file. Where files have no numbers, whether it leads to any.
pub(crate) fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    match path.metadata() {
        Ok(there) => Ok(is_same(&there, &file.metadata()?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

impl Lock {
    /// Locks a file, which need not be there. If somebody else has it, the error says who.
    pub(crate) fn on(target: &Path, now: OffsetDateTime) -> Result<Self> {
        let path = beside(target, ".lock");
        let fail = |e| Error::file(&path, "cannot make the lock file", Some(e));
        loop {
            let mut options = OpenOptions::new();
            let file =
                at_once(options.read(true).write(true).create(true).truncate(false)).open(&path).map_err(fail)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use(target, &path)),
                Err(TryLockError::Error(e)) => {
                    let message = "it cannot be locked; put it on a file system that has locks";
                    return Err(Error::file(target, message, Some(e)));
                }
            }
            // Whoever had the lock may have removed the file between the two steps.
            if leads_to(&path, &file).map_err(fail)? {
                if !is_own(&file).map_err(fail)? {
                    return Err(Error::file(
                        &path,
                        "this file is in the way of a lock; move it to another place",
                        None,
                    ));
                }
                let lock = Lock { path: path.clone(), file };
                let text = serde_json::to_vec(&Holder { pid: std::process::id(), since: now });
                text.map_err(Into::into).and_then(|text| std::fs::write(signature(&path), text)).map_err(fail)?;
                return Ok(lock);
            }
        }
    }

    /// Whether the lock file is still there, so that nobody else can have it.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        leads_to(&self.path, &self.file)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked, and only where the next one notices that what it has locked was removed.
        let removed = match self.is_in_place() {
            Ok(true) => std::fs::remove_file(if cfg!(unix) { self.path.clone() } else { signature(&self.path) }),
            other => other.map(drop),
        };
        if let Err(e) = removed {
            log::warn!("{}: cannot remove the lock file: {e}", printable_path(&self.path));
        }
    }
}

/// Where the holder is named: the lock file itself, unless the system lets nobody else read it.
fn signature(lock: &Path) -> PathBuf {
    if cfg!(windows) { beside(lock, ".holder") } else { lock.into() }
}

/// Whether a lock file is one, and not something else of this name.
fn is_own(file: &File) -> io::Result<bool> {
    let mut content = Vec::new();
    file.take(BEGINNING.len() as u64).read_to_end(&mut content)?;
    Ok(BEGINNING.starts_with(&content))
}

fn in_use(target: &Path, lock: &Path) -> Error {
    let mut content = Vec::new();
    let read = File::open(signature(lock)).and_then(|file| file.take(MOST_CONTENT).read_to_end(&mut content));
    let who = match read.ok().and_then(|_| serde_json::from_slice::<Holder>(&content).ok()) {
        Some(Holder { pid, since }) => {
            let since = since.replace_nanosecond(0).unwrap_or(since).format(&Rfc3339).unwrap_or_default();
            format!("process {pid} since {since}")
        }
        None => "another process".into(),
    };
    let message = format!("in use by {who}; wait until that is done, or use another file");
    Error::file(target, message, None)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_looked_at_does_not_count_as_gone() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let file = File::open(&own).unwrap();
        assert!(leads_to(&own, &file).unwrap());
        assert!(!leads_to(&own.with_extension("other"), &file).unwrap());
        assert!(leads_to(&own.join("below"), &file).is_err());
    }
}
