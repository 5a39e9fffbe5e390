//! The files to upload.

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use twelvelabs::assets::AssetType;

use super::arguments::Arguments;
use super::list::read_list;
use super::report::{count, shown};
use super::shard::Shard;

/// The files to upload, each one once, in the order in which they were given, without the files of other shards.
///
/// Nothing is skipped because the system could not determine what it is. A media file that cannot be inspected is in
/// `found`, so that its upload fails with the reason. Anything else that cannot be inspected is in `unreadable`.
#[derive(Default)]
pub struct Files {
    pub found: Vec<PathBuf>,
    /// The folders below which files are identified by their relative path.
    pub roots: Vec<PathBuf>,
    /// Folders that could not be read completely, and entries that may be folders, with the errors.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// Notes about what was skipped.
    pub notes: Vec<String>,
    seen: HashSet<PathBuf>,
    shard: Option<Shard>,
}

/// The kind of a folder entry.
enum Entry {
    Media,
    Folder,
    FolderLink,
    Other,
    Unknown(io::Error),
}

impl Files {
    /// Collects the files. Fails if a list cannot be read. A problem with a single file is reported by its upload.
    pub fn collect(arguments: &Arguments) -> Result<Self, String> {
        let mut files = Files { shard: arguments.shard, ..Files::default() };
        let mut named = arguments.paths.clone();
        for list in &arguments.lists {
            named.extend(read_list(list).map_err(|e| format!("cannot read the list {}: {e}", list.display()))?);
        }
        for path in named {
            match path.is_dir() {
                true => {
                    files.add_folder(path.clone(), arguments.recursive, &path);
                    files.roots.push(path);
                }
                // A path that cannot be inspected is treated as a file, so that its upload fails with the reason.
                false => files.add(path, Path::new("")),
            }
        }
        // A file that was given by a relative path is identified by that path.
        files.roots.push(".".into());
        if let Some(shard) = arguments.shard {
            files.notes.push(format!(
                "shard {shard}: {} of {}",
                files.found.len(),
                count(files.seen.len() as u64, "file")
            ));
        }
        Ok(files)
    }

    /// Adds a file. If it was found in a given folder, its path relative to that folder determines its shard.
    fn add(&mut self, path: PathBuf, root: &Path) {
        let name = path.file_name().unwrap_or_default();
        let folder = path.parent().and_then(|parent| Path::new(".").join(parent).canonicalize().ok());
        let is_new = self.seen.insert(folder.map_or_else(|| path.clone(), |folder| folder.join(name)));
        if is_new && self.shard.is_none_or(|shard| shard.has(path.strip_prefix(root).unwrap_or(&path))) {
            self.found.push(path);
        }
    }

    /// Adds the media files of a folder. Links to files are followed, links to folders are not, and hidden entries are
    /// skipped.
    fn add_folder(&mut self, folder: PathBuf, recursive: bool, root: &Path) {
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(e) => return self.unreadable.push((folder, e)),
        };
        let mut entries = Vec::new();
        for entry in listing {
            match entry {
                Ok(entry) => entries.push(entry),
                // Files that were listed before the error are still uploaded.
                Err(e) => self.unreadable.push((folder.clone(), e)),
            }
        }
        entries.sort_by_key(DirEntry::file_name);
        let (mut taken, mut others, mut folders) = (0, 0, 0);
        for entry in entries {
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            match kind(&entry) {
                Entry::Folder if recursive => self.add_folder(entry.path(), recursive, root),
                Entry::Folder | Entry::FolderLink => folders += 1,
                Entry::Media => {
                    taken += 1;
                    self.add(entry.path(), root);
                }
                Entry::Other => others += 1,
                Entry::Unknown(e) => self.unreadable.push((entry.path(), e)),
            }
        }
        if others > 0 || folders > 0 || (taken == 0 && !recursive) {
            let mut note = format!("{}: {}", shown(&folder), count(taken, "media file"));
            if others > 0 {
                note += &format!(", {} left out (name a file to upload it)", count(others, "other file"));
            }
            if folders > 0 {
                let why = if recursive { "a link" } else { "see --recursive" };
                note += &format!(", {} left out ({why})", count(folders, "folder"));
            }
            self.notes.push(note);
        }
    }
}

/// Returns the kind of an entry. The listing itself gives the kind of most entries, even if an entry cannot be
/// inspected (no permission to enter the folder, a failing disk, a stale handle of a network file system).
fn kind(entry: &DirEntry) -> Entry {
    let (path, listed) = (entry.path(), entry.file_type());
    let is_media = is_media(&path);
    match &listed {
        Ok(listed) if listed.is_dir() => return Entry::Folder,
        Ok(listed) if !is_media && !listed.is_symlink() => return Entry::Other,
        _ => {}
    }
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() && listed.is_ok() => Entry::FolderLink,
        Ok(metadata) if metadata.is_dir() => Entry::Folder,
        Ok(metadata) if is_media && metadata.is_file() => Entry::Media,
        Ok(_) => Entry::Other,
        // A dangling link may lead to a disk that is not mounted. The upload fails and reports the reason.
        Err(_) if is_media => Entry::Media,
        // A link to a folder is never followed, and a file with another extension is skipped.
        Err(_) if listed.is_ok() => Entry::Other,
        Err(e) => Entry::Unknown(e),
    }
}

/// Whether a file with this name is uploaded when its folder is given. Any other file must be given by itself.
fn is_media(path: &Path) -> bool {
    matches!(AssetType::from_path(path), Some(AssetType::Video | AssetType::Audio | AssetType::Image))
}
