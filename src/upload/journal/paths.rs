//! The paths of a batch: their folders, and what tells one file from another.
//!
//! A file is known by its path, with the folder behind every link. Where one file has several spellings (`clip.mp4` and
//! `CLIP.MP4` on Windows and macOS, in a folder of ext4 with `casefold`, on many shares), the file system is asked:
//! whether it distinguishes names by case depends on the folder, so no rule about the system could say it. It is only
//! asked about paths that are alike but for case and accents: asking about each of a million files costs minutes on a
//! network share.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use crate::file::is_same;

/// The folders that files are in, each looked up once.
#[derive(Default)]
pub(crate) struct Folders {
    canonical: HashMap<PathBuf, PathBuf>,
    /// The folders below which a file is known by its path from there.
    roots: Vec<PathBuf>,
}

impl Folders {
    /// Folders below which a file is known by its path from there, wherever they are mounted.
    pub(crate) fn relative_to(roots: &[PathBuf]) -> Self {
        let canonical = |root: &PathBuf| or_here(root).canonicalize().or_else(|_| std::path::absolute(root));
        let roots = roots.iter().map(|root| canonical(root).unwrap_or_else(|_| root.clone())).collect();
        Folders { roots, ..Folders::default() }
    }

    /// What a file is known by: its path below the first of the roots that it is in, or else its absolute path, as text.
    /// It is the same for every way that leads to the file but a link to the file itself. A path that is not Unicode is
    /// written so that no other is written alike.
    pub(crate) fn key(&mut self, path: &Path) -> String {
        let place = self.place(path);
        let below = self.roots.iter().find_map(|root| place.strip_prefix(root).ok());
        let Some(below) = below.filter(|below| !below.as_os_str().is_empty()) else { return text(&place) };
        // With the same separator on every system.
        let parts: Option<Vec<&str>> = below.iter().map(OsStr::to_str).collect();
        parts.map_or_else(|| text(below), |parts| parts.join("/"))
    }

    /// A file that is known by the same path as another one, below another root.
    pub(crate) fn ambiguous<'a>(&mut self, files: &'a [PathBuf]) -> Option<&'a Path> {
        if self.roots.len() < 2 {
            return None;
        }
        let (mut keys, mut places) = (HashSet::new(), HashSet::new());
        let hasher = RandomState::new();
        let ambiguous = files.iter().find(|file| {
            let is_new = places.insert(hasher.hash_one(self.place(file)));
            !keys.insert(hasher.hash_one(self.key(file))) && is_new
        });
        ambiguous.map(PathBuf::as_path)
    }

    pub(crate) fn place(&mut self, path: &Path) -> PathBuf {
        let place = match (path.parent(), file_name(path)) {
            (Some(folder), Some(name)) => self.canonical(folder).map(|folder| folder.join(name)),
            _ => None,
        };
        place.or_else(|| std::path::absolute(path).ok()).unwrap_or_else(|| path.to_path_buf())
    }

    fn canonical(&mut self, folder: &Path) -> Option<&Path> {
        if !self.canonical.contains_key(folder) {
            self.canonical.insert(folder.into(), or_here(folder).canonicalize().ok()?);
        }
        self.canonical.get(folder).map(PathBuf::as_path)
    }
}

fn text(path: &Path) -> String {
    path.to_str().map_or_else(|| format!("{path:?}"), Into::into)
}

/// The last component of a path, as the system stores it.
///
/// Windows takes the dots and blanks off the end of a name, and gives long names a short one besides (`HOLIDA~1.MP4`),
/// unless the path begins with `\\?\`.
fn file_name(path: &Path) -> Option<Cow<'_, OsStr>> {
    let name = path.file_name()?;
    if cfg!(windows) {
        let is_short = name.to_string_lossy().contains('~') && !path.is_symlink();
        let stored = if is_short { path.canonicalize() } else { std::path::absolute(path) };
        let stored = stored.ok().and_then(|path| path.file_name().map(OsString::from));
        return Some(stored.map_or(Cow::Borrowed(name), Cow::Owned));
    }
    Some(Cow::Borrowed(name))
}

/// The folder of a path that has none is the one that the program is in.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The files of a batch. There may be a million of them, so each is known by 128 bits of a hash that nobody can foresee.
#[derive(Default)]
pub(crate) struct Paths {
    hashers: [RandomState; 2],
    /// The second half of the first id with each first half.
    own: HashMap<u64, u64>,
    /// The ids whose first half another one has as well.
    more: HashSet<PathId>,
    /// The folders below which files are known by their path from there.
    pub(crate) roots: Vec<PathBuf>,
}

/// A path: a hash of what all spellings of a file have in common, and one of the text as it is.
pub(crate) type PathId = [u64; 2];

impl Paths {
    /// Takes each file of a list once, and drops the paths that name a file a second time.
    pub(crate) fn of(files: &mut Vec<PathBuf>, folders: &mut Folders) -> Self {
        let mut paths = Paths { roots: folders.roots.clone(), ..Paths::default() };
        files.retain(|path| paths.insert(&folders.key(path)));
        if paths.more.is_empty() {
            return paths;
        }
        let mut alike: HashMap<u64, Vec<PathBuf>> = paths.more.iter().map(|id| (id[0], Vec::new())).collect();
        files.retain(|path| {
            let Some(others) = alike.get_mut(&paths.id(&folders.key(path))[0]) else { return true };
            let is_new = !others.iter().any(|other| is_same_file(other, path));
            if is_new {
                others.push(path.clone());
            }
            is_new
        });
        paths
    }

    /// Whether this spelling was not among them.
    pub(crate) fn insert(&mut self, key: &str) -> bool {
        let id = self.id(key);
        match self.own.entry(id[0]) {
            Entry::Vacant(entry) => {
                entry.insert(id[1]);
                true
            }
            Entry::Occupied(entry) => *entry.get() != id[1] && self.more.insert(id),
        }
    }

    pub(crate) fn id(&self, key: &str) -> PathId {
        [self.hashers[0].hash_one(&*folded(key)), self.hashers[1].hash_one(key)]
    }

    /// Whether this very spelling is among them.
    pub(crate) fn contains(&self, id: PathId) -> bool {
        self.own.get(&id[0]) == Some(&id[1]) || self.more.contains(&id)
    }

    /// Whether it may be a spelling of one of them.
    pub(crate) fn may_be_own(&self, id: PathId) -> bool {
        self.own.contains_key(&id[0])
    }

    /// Whether two paths are spellings of one file.
    pub(crate) fn is_same(&self, one: &str, other: &str) -> bool {
        one == other || (folded(one) == folded(other) && is_same_file(one.as_ref(), other.as_ref()))
    }

    /// The first spelling of those that have something in common with this one.
    pub(crate) fn first_alike(&self, id: PathId) -> Option<PathId> {
        self.own.get(&id[0]).map(|text| [id[0], *text])
    }
}

/// What all spellings of a path have in common: it is in lower case, and without letters that have an accent, which are
/// one character or two (macOS takes both for the same name).
///
/// Paths that are alike here are not taken for one file, but only compared by [`is_same_file`].
fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        return if is_lower { text.into() } else { text.to_ascii_lowercase().into() };
    }
    let (mut folded, mut has_letter) = (String::with_capacity(text.len()), false);
    // By way of upper case, so that `ß` and `ss` are alike, as they are on macOS.
    for c in text.to_uppercase().to_lowercase().chars() {
        match c {
            // An accent by itself, which goes with its letter.
            '\u{300}'..='\u{36f}' => {
                if std::mem::take(&mut has_letter) {
                    folded.pop();
                }
            }
            // Latin letters with an accent.
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => has_letter = false,
            c => {
                folded.push(c);
                has_letter = true;
            }
        }
    }
    folded.into()
}

/// Whether two paths are spellings of one name of one file. What cannot be found out counts as two files.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (Ok(first), Ok(second)) = (one.symlink_metadata(), other.symlink_metadata()) else { return false };
        // A file with several hard links has several names, and each of them is uploaded.
        is_same(&first, &second) && (first.nlink() < 2 || !are_two_names(one, other))
    }
    #[cfg(not(unix))]
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Whether the paths stand for different entries of folders. Only the listing of a folder tells it.
#[cfg(unix)]
fn are_two_names(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| path.parent().map(|folder| or_here(folder).to_path_buf());
    let is_listed = |path: &Path| {
        let entries = folder(path).and_then(|folder| folder.read_dir().ok());
        entries.is_some_and(|entries| entries.flatten().any(|entry| Some(&*entry.file_name()) == path.file_name()))
    };
    let metadata = |path| folder(path).and_then(|folder| folder.metadata().ok());
    let is_one_folder = matches!((metadata(one), metadata(other)), (Some(one), Some(other)) if is_same(&one, &other));
    let is_one_name = is_one_folder && one.file_name() == other.file_name();
    !is_one_name && is_listed(one) && is_listed(other)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fuzzing::journal::Folder;

    #[test]
    fn spellings_that_a_file_system_may_take_for_one_name_are_alike() {
        for (one, other) in [
            ("/a/clip.mp4", "/A/CLIP.Mp4"),
            ("/caf\u{e9}.mp4", "/CAFE\u{301}.mp4"),
            ("/\u{1ebf}.mp4", "/e\u{302}\u{301}.mp4"),
            ("/stra\u{df}e", "/STRASSE"),
            ("/\u{212a}", "/k"),
            ("/\u{130}", "/I\u{307}"),
            ("/\u{444}", "/\u{424}"),
        ] {
            let paths = Paths::default();
            assert_eq!(folded(one), folded(other));
            let (one, other) = (paths.id(one), paths.id(other));
            assert!(one != other && one[0] == other[0]);
        }
        assert_ne!(folded("/clip.mp4"), folded("/clip2.mp4"));
        assert_ne!(folded("/\u{52d5}\u{753b}"), folded("/\u{97f3}\u{58f0}"));
    }

    #[test]
    fn a_file_is_taken_once_whatever_the_spelling_if_the_file_system_says_so() {
        let folder = Folder::new();
        for name in ["clip.mp4", "CLIP.MP4", "clip.mp4.", "clip.mp4 ", "other.mp4"] {
            fs::write(folder.0.join(name), name).unwrap();
        }
        let names = fs::read_dir(&folder.0).unwrap().count();
        let all = ["clip.mp4", "CLIP.MP4", "clip.mp4.", "./clip.mp4", "clip.mp4 ", "other.mp4", "Clip.mp4"];
        let mut files = all.map(|name| folder.0.join(name)).to_vec();
        files.push(folder.0.join("CLIP.MP4"));
        let mut folders = Folders::default();
        let paths = Paths::of(&mut files, &mut folders);
        // What does not exist is for the upload to say.
        let missing = usize::from(!folder.0.join("Clip.mp4").exists());
        assert_eq!(files.len(), names + missing, "{files:?}");
        assert!(files.iter().all(|file| paths.contains(paths.id(&folders.key(file)))));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_looked_up_once() {
        let folder = Folder::new();
        let (link, mut folders) = (folder.0.join("link"), Folders::default());
        std::os::unix::fs::symlink(&folder.0, &link).unwrap();
        let real = folder.0.canonicalize().unwrap();
        assert_eq!(folders.key(&link.join("a")), real.join("a").to_str().unwrap());
        std::fs::remove_file(&link).unwrap();
        assert_eq!(folders.key(&link.join("b")), real.join("b").to_str().unwrap());
        assert_eq!(
            folders.key(Path::new("Cargo.toml")),
            std::env::current_dir().unwrap().join("Cargo.toml").to_str().unwrap()
        );
    }

    #[cfg(unix)]
    #[test]
    fn hard_links_are_several_files_and_a_file_in_one_folder_is_one() {
        let folder = Folder::new();
        let path = |name: &str| folder.0.join(name);
        fs::create_dir(path("sub")).unwrap();
        std::os::unix::fs::symlink(path("sub"), path("Sub")).unwrap();
        fs::write(path("sub/clip.mp4"), "frames").unwrap();
        assert!(is_same_file(&path("sub/clip.mp4"), &path("Sub/clip.mp4")));
        fs::hard_link(path("sub/clip.mp4"), path("sub/CLIP.mp4")).unwrap();
        assert!(is_same_file(&path("sub/clip.mp4"), &path("Sub/clip.mp4")));
        assert!(!is_same_file(&path("sub/clip.mp4"), &path("sub/CLIP.mp4")));
        assert!(!is_same_file(&path("sub/clip.mp4"), &path("missing")));
    }
}
