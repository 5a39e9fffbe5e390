//! A lock that keeps two runs from using the same journal. It is released when the process that holds it ends.
//!
//! The lock is on a second file beside the journal, because the journal is replaced when it is compacted. A file of
//! that name that is not a lock file may belong to another program: it is not followed (if it is a link), not written
//! to and not removed.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Result};
use crate::file::{is_same, nonblocking};
use crate::text::printable_path;

/// The beginning of a lock file's content. After a crash, any prefix of the content may be on the disk.
const BEGINNING: &[u8] = b"{\"pid\":";
/// The maximum size of a lock file.
const MAX_CONTENT: u64 = 4096;

/// A lock on a file, held until it is dropped.
pub(crate) struct Lock {
    path: PathBuf,
    file: Option<File>,
}

/// The holder of a lock, for the errors of other processes.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
}

/// Returns the path with a suffix appended to its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Returns options for a file that may contain private data, such as headers with a signature: on Unix, only its owner
/// may read it. Opening a pipe with them does not wait for its other end.
pub(crate) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    nonblocking(&mut options);
    options
}

/// Whether the path itself, and not a link, still leads to this file. On systems where files have no inode numbers,
/// only checks that a file exists: there, other programs cannot replace an open file (see
/// [`share_for_reading`](super::sharing::share_for_reading)).
pub(crate) fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(there) => Ok(is_same(&there, &file.metadata()?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The reasons why a lock cannot be acquired.
enum Refusal {
    /// Another process holds the lock.
    InUse,
    /// The file exists and is not a lock file.
    InTheWay,
    /// The file system does not support locks.
    #[cfg(not(windows))]
    NoLocks(io::Error),
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(e: io::Error) -> Self {
        Refusal::Failed(e)
    }
}

impl Lock {
    /// Locks a file, which need not exist. If another process holds the lock, the error names that process.
    pub(crate) fn on(target: &Path, now: OffsetDateTime) -> Result<Self> {
        let path = beside(target, ".lock");
        let file = acquire(&path).map_err(|refusal| match refusal {
            Refusal::InUse => in_use(target, &path),
            Refusal::InTheWay => Error::file(&path, "this file has the name of the lock file; move it elsewhere", None),
            #[cfg(not(windows))]
            Refusal::NoLocks(e) => {
                let message = "cannot lock this file; put it on a file system that supports locks";
                Error::file(target, message, Some(e))
            }
            Refusal::Failed(e) => Error::file(&path, "cannot create the lock file", Some(e)),
        })?;
        // From here on, dropping the lock removes the file if a step fails.
        let lock = Lock { path, file: Some(file) };
        let holder = serde_json::to_vec(&Holder { pid: std::process::id(), since: now });
        let written = holder.map_err(Into::into).and_then(|holder| lock.write(&holder));
        written.map_err(|e| Error::file(&lock.path, "cannot write to the lock file", Some(e)))?;
        Ok(lock)
    }

    /// Replaces the content left by an earlier holder. It writes through the locked handle, because the path might lead
    /// to another file by now.
    fn write(&self, holder: &[u8]) -> io::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        file.set_len(0)?;
        io::Seek::rewind(&mut file)?;
        io::Write::write_all(&mut file, holder)
    }

    /// Whether the lock file is still at its path, so that nobody else can acquire the lock.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        self.file.as_ref().map_or(Ok(false), |file| leads_to(&self.path, file))
    }
}

/// Opens and locks the lock file, and creates it if it is missing.
#[cfg(not(windows))]
fn acquire(path: &Path) -> Result<File, Refusal> {
    use std::fs::TryLockError;

    loop {
        let (file, is_new) = match private_options().read(true).write(true).create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match open_existing(path)? {
                Some(file) => (file, false),
                None => continue,
            },
            Err(e) => return Err(e.into()),
        };
        match uninterrupted(|| file.try_lock(), |e| matches!(e, TryLockError::Error(e) if is_interrupted(e))) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refusal::InUse),
            Err(TryLockError::Error(e)) => {
                if is_new {
                    // If the removal fails as well, an empty file remains. It counts as a lock file, so it blocks
                    // nobody.
                    let _ = std::fs::remove_file(path);
                }
                return Err(Refusal::NoLocks(e));
            }
        }
        // The previous holder may have removed the file after it was opened here and before it was locked.
        if leads_to(path, &file)? {
            return if is_own(&file)? { Ok(file) } else { Err(Refusal::InTheWay) };
        }
    }
}

/// Opens an existing lock file. Returns `None` if it was removed in the meantime.
#[cfg(not(windows))]
fn open_existing(path: &Path) -> Result<Option<File>, Refusal> {
    let opened = path.symlink_metadata().and_then(|there| match there.is_file() {
        true => private_options().read(true).write(true).open(path).map(Some),
        false => Ok(None),
    });
    match opened {
        Ok(Some(file)) => Ok(Some(file)),
        // The path is a link. Following it could write to another file.
        Ok(None) => Err(Refusal::InTheWay),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Opens the lock file in a way that keeps others from writing to it, and creates it if it is missing.
///
/// The open handle is the lock. Windows' region locks (`File::try_lock`) would keep other processes from reading who
/// holds the lock. A file that is opened like this cannot be removed or replaced either.
#[cfg(windows)]
fn acquire(path: &Path) -> Result<File, Refusal> {
    use std::os::windows::fs::OpenOptionsExt;

    use crate::upload::journal::sharing::{ERROR_SHARING_VIOLATION, patiently, share_for_reading};

    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

    let mut options = private_options();
    // A link is opened itself instead of being followed, and is rejected below.
    share_for_reading(options.read(true).write(true).create(true).truncate(false));
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    let file = match patiently(|| options.open(path)) {
        Err(e) if e.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => return Err(Refusal::InUse),
        Err(_) if path.is_dir() => return Err(Refusal::InTheWay),
        opened => opened?,
    };
    if !file.metadata()?.is_file() || !is_own(&file)? {
        return Err(Refusal::InTheWay);
    }
    Ok(file)
}

/// Repeats a call while a signal interrupts it, which happens on NFS and some FUSE file systems.
#[cfg(not(windows))]
fn uninterrupted<E>(mut action: impl FnMut() -> Result<(), E>, is_interrupted: impl Fn(&E) -> bool) -> Result<(), E> {
    loop {
        match action() {
            Err(e) if is_interrupted(&e) => {}
            result => return result,
        }
    }
}

#[cfg(not(windows))]
fn is_interrupted(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::Interrupted
}

impl Drop for Lock {
    fn drop(&mut self) {
        let in_place = self.is_in_place();
        // On Unix the file is removed while it is still locked, so the next holder notices that it has locked a removed
        // file. On Windows an open file cannot be removed, so it is closed first, and it stays if the next holder has
        // opened it.
        let file = self.file.take().filter(|_| cfg!(not(windows)));
        let removed = match in_place {
            Ok(true) => std::fs::remove_file(&self.path),
            other => other.map(drop),
        };
        drop(file);
        if let Err(e) = removed.or_else(|e| if cfg!(windows) { Ok(()) } else { Err(e) }) {
            log::warn!("{}: cannot remove the lock file: {e}", printable_path(&self.path));
        }
    }
}

/// Whether the file is a lock file, judged by its content.
fn is_own(mut file: &File) -> io::Result<bool> {
    let mut content = Vec::new();
    (&mut file).take(BEGINNING.len() as u64).read_to_end(&mut content)?;
    Ok(BEGINNING.starts_with(&content))
}

fn in_use(target: &Path, lock: &Path) -> Error {
    let mut content = Vec::new();
    let opened = nonblocking(OpenOptions::new().read(true)).open(lock);
    let read = opened.and_then(|file| file.take(MAX_CONTENT).read_to_end(&mut content));
    let who = match read.ok().and_then(|_| serde_json::from_slice::<Holder>(&content).ok()) {
        Some(Holder { pid, since }) => {
            let since = since.replace_nanosecond(0).unwrap_or(since).format(&Rfc3339).unwrap_or_default();
            format!("process {pid} since {since}")
        }
        None => "another process".into(),
    };
    let message = format!("in use by {who}; wait until it has ended, or use another file");
    Error::file(target, message, None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fuzzing::journal::Folder;

    fn lock(target: &Path) -> Result<Lock> {
        Lock::on(target, OffsetDateTime::UNIX_EPOCH)
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_cannot_be_inspected_does_not_count_as_removed() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let file = File::open(&own).unwrap();
        assert!(leads_to(&own, &file).unwrap());
        assert!(!leads_to(&own.with_extension("other"), &file).unwrap());
        assert!(leads_to(&own.join("below"), &file).is_err());
    }

    #[test]
    fn a_lock_is_private_and_names_its_holder() {
        let folder = Folder::new();
        let (target, path) = (folder.0.join("m"), folder.0.join("m.lock"));
        // A crash has left a lock file, or a part of one.
        for left in ["", "{\"pi", "{\"pid\":4194304,\"since\":\"2026-01-01T00:00:00Z\",\"more\":\"and more\"}"] {
            fs::write(&path, left).unwrap();
            let held = lock(&target).unwrap();
            let expected = format!("in use by process {} since 1970-01-01T00:00:00Z", std::process::id());
            assert!(lock(&target).err().unwrap().to_string().contains(&expected));
            drop(held);
            assert!(!path.exists());
        }
        let _held = lock(&target).unwrap();
        assert!(path.exists());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap()) & 0o777, 0o600);
    }

    #[test]
    fn an_unrelated_file_at_the_path_of_a_lock_is_not_changed() {
        let folder = Folder::new();
        let (target, path) = (folder.0.join("m"), folder.0.join("m.lock"));
        let refused = || lock(&target).err().unwrap().to_string();
        fs::write(&path, "notes").unwrap();
        assert!(refused().contains("has the name of the lock file"), "{}", refused());
        assert_eq!(fs::read(&path).unwrap(), b"notes");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(refused().contains("has the name of the lock file"), "{}", refused());
        assert!(path.is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_or_a_pipe_in_the_way_of_a_lock_is_left_as_it_is() {
        let folder = Folder::new();
        let (target, path) = (folder.0.join("m"), folder.0.join("m.lock"));
        let refused = || lock(&target).err().unwrap().to_string();
        // A link is not followed: not to an empty file, to a lock file, or to nothing.
        let other = folder.0.join("other");
        std::os::unix::fs::symlink(&other, &path).unwrap();
        for content in [None, Some(""), Some("{\"pid\":1}")] {
            content.into_iter().for_each(|content| fs::write(&other, content).unwrap());
            assert!(refused().contains("has the name of the lock file"), "{}", refused());
            assert_eq!(fs::read_to_string(&other).ok().as_deref(), content);
        }
        fs::remove_file(&path).unwrap();
        // The pipe has no writer, so opening it in blocking mode would hang.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(refused().contains("has the name of the lock file"), "{}", refused());
    }

    #[cfg(not(windows))]
    #[test]
    fn an_interrupted_lock_is_repeated() {
        let mut left = 3;
        let action = || match left {
            0 => Ok(()),
            _ => {
                left -= 1;
                Err(io::Error::from(io::ErrorKind::Interrupted))
            }
        };
        uninterrupted(action, is_interrupted).unwrap();
        assert_eq!(left, 0);
        assert!(uninterrupted(|| Err(io::Error::other("no locks")), is_interrupted).is_err());
    }
}
