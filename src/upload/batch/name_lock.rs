//! Locks on file names: the platform cannot distinguish files with the same name and size, so only one is sent at a
//! time.
//!
//! If the response to an upload is lost or the program crashes, the file is looked for by its name and size. Two such
//! files with unknown outcomes at the same time could be mistaken for each other, and one would be lost. Therefore a
//! name is locked while one of its files is sent, and an unknown outcome is settled before the next file is sent.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::file::FileSource;
use crate::resources::assets::Asset;
use crate::sync::lock;
use crate::upload::batch::job::File;
use crate::upload::journal::entry::{Entry, FileKey};
use crate::upload::journal::paths::Folders;
use crate::upload::options::SentAt;

/// The file name sent to the platform, and the size.
pub(crate) type Name = (String, u64);

/// A file that may have arrived.
#[derive(Clone)]
pub(crate) struct Unsettled {
    pub file: FileKey,
    /// The name with which the file was sent. An earlier run may have spelled it differently.
    pub sent_as: String,
    pub sent_at: SentAt,
}

/// The outcome of a file that may have arrived.
pub(crate) enum Settled {
    Arrived { asset: Box<Asset>, note: Option<String> },
    Absent,
}

/// The names that are locked, or that have files with an unknown outcome.
#[derive(Default)]
pub(crate) struct NameLocks(Mutex<HashMap<Name, State>>);

#[derive(Default)]
struct State {
    is_held: bool,
    unsettled: Vec<Unsettled>,
    /// The outcomes that were settled while another file held the name.
    settled: Vec<(FileKey, Settled)>,
    /// The files that wait for the name. They do not occupy a worker.
    waiting: VecDeque<File>,
}

impl NameLocks {
    /// Locks a name for a file and returns the file, or queues the file until the name is free.
    pub(crate) fn hold(&self, name: &Name, file: File) -> Option<File> {
        let mut names = lock(&self.0);
        let state = names.entry(name.clone()).or_default();
        if state.is_held {
            state.waiting.push_back(file);
            return None;
        }
        state.is_held = true;
        Some(file)
    }

    /// Unlocks a name, and returns the next file that waits for it.
    pub(crate) fn release(&self, name: &Name) -> Option<File> {
        let mut names = lock(&self.0);
        let state = names.get_mut(name)?;
        state.is_held = false;
        let next = state.waiting.pop_front();
        if state.unsettled.is_empty() && state.settled.is_empty() && state.waiting.is_empty() {
            names.remove(name);
        }
        next
    }

    /// Whether a file with the same name and a different size is being sent, or may have arrived. Until the platform
    /// knows the size of an asset, it may belong to either of them.
    pub(crate) fn has_other_size(&self, (name, size): &Name) -> bool {
        let in_flight = |state: &State| state.is_held || !state.unsettled.is_empty();
        lock(&self.0).iter().any(|((other, its_size), state)| other == name && its_size != size && in_flight(state))
    }

    pub(crate) fn has_waiting(&self) -> bool {
        lock(&self.0).values().any(|state| !state.waiting.is_empty())
    }

    /// Returns a file that is still waiting after all workers have ended.
    pub(crate) fn take_waiting(&self) -> Option<File> {
        lock(&self.0).values_mut().find_map(|state| state.waiting.pop_front())
    }

    /// Records a file that an earlier run was sending when it ended. `own` is its path in this run, if it has one.
    pub(crate) fn add_in_flight(&self, entry: Entry, own: Option<PathBuf>, folders: &mut Folders) {
        let Some(sent_at) = entry.sent_at() else { return };
        let name = |path: &Path| FileSource::path(path).file_name();
        let mut file = entry.file;
        let mut sent_as = name(file.path.as_ref());
        let mut own_name = sent_as.clone();
        if let Some(own) = own {
            let key = folders.key(&own);
            own_name = name(&own);
            // The manifest holds an escaped form of a path that is not Unicode, so the name is taken from the original.
            if key == file.path {
                sent_as.clone_from(&own_name);
            }
            file.path = key;
        }
        self.add_unsettled(&(own_name, file.size), Unsettled { file, sent_as, sent_at });
    }

    /// Records that a file may have arrived. Only the first attempt to send it counts.
    pub(crate) fn add_unsettled(&self, name: &Name, unsettled: Unsettled) {
        let mut names = lock(&self.0);
        let state = names.entry(name.clone()).or_default();
        if !state.unsettled.iter().any(|other| other.file == unsettled.file) {
            state.unsettled.push(unsettled);
        }
    }

    pub(crate) fn unsettled(&self, name: &Name) -> Vec<Unsettled> {
        lock(&self.0).get(name).map(|state| state.unsettled.clone()).unwrap_or_default()
    }

    pub(crate) fn settle(&self, name: &Name, settled: Vec<(FileKey, Settled)>) {
        if let Some(state) = lock(&self.0).get_mut(name) {
            state.unsettled.retain(|unsettled| !settled.iter().any(|(file, _)| *file == unsettled.file));
            state.settled.extend(settled);
        }
    }

    /// Returns the outcome of this file, if it is settled.
    pub(crate) fn take_settled(&self, name: &Name, file: &FileKey) -> Option<Settled> {
        let mut names = lock(&self.0);
        let settled = &mut names.get_mut(name)?.settled;
        let place = settled.iter().position(|(other, _)| other == file)?;
        Some(settled.swap_remove(place).1)
    }
}
