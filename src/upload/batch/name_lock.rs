//! One at a time of the files that cannot be told apart at the platform: those of one name and one size.
//!
//! If a file is in flight at a kill, the next run looks for it by its name and its size. Two such files in flight at the
//! same time would be taken for each other, and one of them lost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::sync::{lock, wait_timeout};

/// How long somebody waits at the most before it checks whether the batch was stopped.
const SLICE: Duration = Duration::from_millis(20);

/// Who has the turn, by the name and the size of the file: an absolute path as text.
#[derive(Default)]
pub(crate) struct NameLocks {
    owners: Mutex<HashMap<(OsString, u64), String>>,
    changed: Condvar,
}

/// All locks of a file. They end with this.
pub(crate) struct NameLock<'a> {
    locks: &'a NameLocks,
    path: String,
}

impl NameLocks {
    /// Gives a file its turn before anyone asks for it, unless another has it.
    pub(crate) fn reserve(&self, path: &str, size: u64) {
        self.owners().entry(kind(path, size)).or_insert_with(|| path.into());
    }

    /// A file that may have locks.
    pub(crate) fn of(&self, path: String) -> NameLock<'_> {
        NameLock { locks: self, path }
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<(OsString, u64), String>> {
        lock(&self.owners)
    }
}

impl NameLock<'_> {
    /// Waits for its turn, or until it is not needed any more.
    pub(crate) fn wait(&self, size: u64, is_over: impl Fn() -> bool) {
        let mut owners = self.locks.owners();
        while !is_over() {
            match owners.entry(kind(&self.path, size)) {
                Entry::Vacant(entry) => {
                    entry.insert(self.path.clone());
                    return;
                }
                Entry::Occupied(entry) if *entry.get() == self.path => return,
                Entry::Occupied(_) => {
                    owners = wait_timeout(&self.locks.changed, owners, SLICE);
                }
            }
        }
    }
}

impl Drop for NameLock<'_> {
    fn drop(&mut self) {
        self.locks.owners().retain(|_, owner| *owner != self.path);
        self.locks.changed.notify_all();
    }
}

fn kind(path: &str, size: u64) -> (OsString, u64) {
    (Path::new(path).file_name().unwrap_or_default().into(), size)
}
