//! The paths of a batch: their folders, and how files are distinguished.
//!
//! A file is identified by its path, with every link in its folder resolved. One file may have several spellings
//! (`clip.mp4` and `CLIP.MP4` on Windows and macOS, in an ext4 folder with `casefold`, on many shares). Whether names
//! are case-sensitive depends on the folder, so no rule per operating system is right, and the file system is asked
//! instead. It is asked only about paths that differ in nothing but case and accents, because asking about each of a
//! million files takes minutes on a network share.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use crate::file::is_same;
use crate::text::path_text;

/// The folders that contain the files. Each one is resolved once.
#[derive(Default)]
pub(crate) struct Folders {
    canonical: HashMap<PathBuf, PathBuf>,
    /// The root folders. A file below one of them is identified by its path relative to it.
    roots: Vec<PathBuf>,
}

impl Folders {
    /// Creates folders that identify each file below one of the roots by its relative path, wherever the root is
    /// mounted.
    pub(crate) fn relative_to(roots: &[PathBuf]) -> Self {
        let canonical = |root: &PathBuf| or_here(root).canonicalize().or_else(|_| std::path::absolute(root));
        let roots = roots.iter().map(|root| canonical(root).unwrap_or_else(|_| root.clone())).collect();
        Folders { roots, ..Folders::default() }
    }

    /// Returns the text that identifies a file: its path relative to the first root that contains it, or else its
    /// absolute path. The key is the same for every path that leads to the file, except a link to the file itself. A
    /// path that is not Unicode is escaped, so that no other path has the same key.
    pub(crate) fn key(&mut self, path: &Path) -> String {
        let place = self.place(path);
        let below = self.roots.iter().find_map(|root| place.strip_prefix(root).ok());
        let Some(below) = below.filter(|below| !below.as_os_str().is_empty()) else { return text(&place) };
        // The separator is the same on every system, so a manifest can move between systems.
        let parts: Option<Vec<&str>> = below.iter().map(OsStr::to_str).collect();
        parts.map_or_else(|| text(below), |parts| parts.join("/"))
    }

    /// Returns a file whose key is also the key of another file below another root.
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
    path_text(path).map_or_else(|| format!("{path:?}"), Cow::into_owned)
}

/// Returns the last component of a path as the system stores it.
///
/// Unless the path begins with `\\?\`, Windows strips trailing dots and blanks from a name, and a long name also has
/// a short one (`HOLIDA~1.MP4`).
fn file_name(path: &Path) -> Option<Cow<'_, OsStr>> {
    let name = path.file_name()?;
    // `clip.mp4/` is not the file `clip.mp4`, although the standard library reads the same name from both: the system
    // refuses to open it.
    if path.as_os_str().as_encoded_bytes().last().is_some_and(|last| std::path::is_separator(char::from(*last))) {
        return None;
    }
    if cfg!(windows) {
        let is_short = name.to_string_lossy().contains('~') && !path.is_symlink();
        let stored = if is_short { path.canonicalize() } else { std::path::absolute(path) };
        let stored = stored.ok().and_then(|path| path.file_name().map(OsString::from));
        return Some(stored.map_or(Cow::Borrowed(name), Cow::Owned));
    }
    Some(Cow::Borrowed(name))
}

/// Returns the folder, or the current directory if the path has none.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The files of a batch. There may be a million, so each is stored as 128 bits of a hash with a random key.
#[derive(Default)]
pub(crate) struct Paths {
    hashers: [RandomState; 2],
    /// The second half of the first id with each first half.
    own: HashMap<u64, u64>,
    /// The ids that share their first half with another id.
    more: HashSet<PathId>,
    /// The root folders below which files are identified by their relative path.
    pub(crate) roots: Vec<PathBuf>,
}

/// The id of a path: a hash of what all spellings of a file have in common, and a hash of the exact text.
pub(crate) type PathId = [u64; 2];

impl Paths {
    /// Collects the files of a list, and removes the paths that name a file a second time.
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

    /// Adds a path. Returns whether this exact spelling is new.
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

    /// Whether a path with this id may be a spelling of a file in the list.
    pub(crate) fn may_be_own(&self, id: PathId) -> bool {
        self.own.contains_key(&id[0])
    }

    /// Whether two keys are spellings of one file.
    pub(crate) fn is_same(&self, one: &str, other: &str) -> bool {
        let below = |root: &Path| is_same_file(&root.join(one), &root.join(other));
        // Joining an absolute path to a root gives that path.
        let is_one_file =
            || if self.roots.is_empty() { below("".as_ref()) } else { self.roots.iter().any(|r| below(r)) };
        one == other || (folded(one) == folded(other) && is_one_file())
    }

    /// Returns the first spelling in the list that has the same folded path as this one.
    pub(crate) fn first_alike(&self, id: PathId) -> Option<PathId> {
        self.own.get(&id[0]).map(|text| [id[0], *text])
    }
}

/// Returns what all spellings of a path have in common: the path in lower case, without accented letters. macOS treats
/// an accented letter as the same whether it is stored as one character or two.
///
/// Paths with the same result are not assumed to be one file; they are compared by [`is_same_file`].
fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        return if is_lower { text.into() } else { text.to_ascii_lowercase().into() };
    }
    let (mut folded, mut has_letter) = (String::with_capacity(text.len()), false);
    // Going through upper case makes `ß` and `ss` equal, as they are on macOS.
    for c in text.to_uppercase().to_lowercase().chars() {
        match c {
            // A combining accent is removed together with the letter before it.
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

/// Whether two paths are spellings of one name of one file. If that cannot be determined, they count as two files.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (Ok(first), Ok(second)) = (one.symlink_metadata(), other.symlink_metadata()) else { return false };
        // Each hard link to a file counts as a file of its own and is uploaded.
        is_same(&first, &second) && (first.nlink() < 2 || !are_two_names(one, other))
    }
    #[cfg(not(unix))]
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Whether the paths are different directory entries. Only the listing of the folder shows that.
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
    fn possible_spellings_of_one_name_are_folded_alike() {
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
    fn spellings_of_one_file_count_once_if_the_file_system_says_so() {
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
        // A missing file is kept in the list, so that the upload reports it.
        let missing = usize::from(!folder.0.join("Clip.mp4").exists());
        assert_eq!(files.len(), names + missing, "{files:?}");
        assert!(files.iter().all(|file| paths.may_be_own(paths.id(&folders.key(file)))));
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
    fn hard_links_are_different_files_and_links_to_a_folder_are_not() {
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
