//! The paths of a batch: their folders, and what tells one from another.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

/// The folders that files are in, each looked up once.
#[derive(Default)]
pub(crate) struct Folders(HashMap<PathBuf, PathBuf>);

impl Folders {
    /// The absolute path as text, the same for every way that leads to the file but a link to the file itself. One that
    /// is not Unicode is written so that no other is written alike.
    pub(crate) fn key(&mut self, path: &Path) -> String {
        let place = self.place(path);
        place.to_str().map_or_else(|| format!("{place:?}"), Into::into)
    }

    pub(crate) fn place(&mut self, path: &Path) -> PathBuf {
        let place = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => self.canonical(folder).map(|folder| folder.join(name)),
            _ => None,
        };
        place.or_else(|| std::path::absolute(path).ok()).unwrap_or_else(|| path.to_path_buf())
    }

    fn canonical(&mut self, folder: &Path) -> Option<&Path> {
        if !self.0.contains_key(folder) {
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            self.0.insert(folder.into(), here.canonicalize().ok()?);
        }
        self.0.get(folder).map(PathBuf::as_path)
    }
}

/// The paths of a batch. There may be a million of them, so that each is known by 128 bits of a hash that nobody can
/// foresee.
#[derive(Default)]
pub(crate) struct Paths {
    hashers: [RandomState; 2],
    pub(crate) own: HashSet<PathId>,
}

pub(crate) type PathId = [u64; 2];

impl Paths {
    /// Whether it was not among them.
    pub(crate) fn insert(&mut self, key: &str) -> bool {
        self.own.insert(self.id(key))
    }

    pub(crate) fn id(&self, key: &str) -> PathId {
        [self.hashers[0].hash_one(key), self.hashers[1].hash_one(key)]
    }
}
