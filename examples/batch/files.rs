//! Which files there are to upload.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::arguments::Arguments;
use super::report::{count, shown};
use super::shard::Shard;

/// What a folder stands for. Any other file is uploaded if it is named.
const EXTENSIONS: [&str; 30] = [
    "mp4", "m4v", "mov", "qt", "mkv", "webm", "avi", "mpg", "mpeg", "wmv", "flv", "ts", "mts", "m2ts", "3gp",
    "ogv", // video
    "mp3", "wav", "flac", "m4a", "aac", "ogg", "oga", "opus", "aif", "aiff", // audio
    "jpg", "jpeg", "png", "webp", // images
];

/// The files to upload, each once, in the order in which they were named, without those of other shards.
#[derive(Default)]
pub struct Files {
    pub found: Vec<PathBuf>,
    /// Folders that cannot be read.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// What was left out, for the reader's eyes.
    pub notes: Vec<String>,
    seen: HashSet<PathBuf>,
    shard: Option<Shard>,
}

impl Files {
    /// Fails if a list cannot be read. What is wrong with a file is seen when it is uploaded.
    pub fn collect(arguments: &Arguments) -> Result<Self, String> {
        let mut files = Files { shard: arguments.shard, ..Files::default() };
        let mut named = arguments.paths.clone();
        for list in &arguments.lists {
            named.extend(read_list(list).map_err(|e| format!("cannot read the list {}: {e}", list.display()))?);
        }
        for path in named {
            match path.is_dir() {
                true => files.add_folder(path.clone(), arguments.recursive, &path),
                false => files.add(path, Path::new("")),
            }
        }
        if let Some(shard) = arguments.shard {
            files.notes.push(format!(
                "shard {shard}: {} of {}",
                files.found.len(),
                count(files.seen.len() as u64, "file")
            ));
        }
        Ok(files)
    }

    /// Adds a file. Below a folder that was named, it is the way from there that decides about its shard.
    fn add(&mut self, path: PathBuf, below: &Path) {
        let name = path.file_name().unwrap_or_default();
        let folder = path.parent().and_then(|parent| Path::new(".").join(parent).canonicalize().ok());
        let is_new = self.seen.insert(folder.map_or_else(|| path.clone(), |folder| folder.join(name)));
        if is_new && self.shard.is_none_or(|shard| shard.has(path.strip_prefix(below).unwrap_or(&path))) {
            self.found.push(path);
        }
    }

    /// Links to files are followed, links to folders are not, and what is hidden stays so.
    fn add_folder(&mut self, folder: PathBuf, recursive: bool, below: &Path) {
        let mut paths: Vec<PathBuf> = match std::fs::read_dir(&folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>())
        {
            Ok(paths) => paths,
            Err(e) => return self.unreadable.push((folder, e)),
        };
        paths.sort();
        let (mut taken, mut others, mut folders) = (0, 0, 0);
        for path in paths {
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            match path.is_dir() {
                true if recursive && !path.is_symlink() => self.add_folder(path, recursive, below),
                true => folders += 1,
                false if is_media(&path) => {
                    taken += 1;
                    self.add(path, below);
                }
                false => others += 1,
            }
        }
        if others > 0 || folders > 0 || (taken == 0 && !recursive) {
            let mut note = format!("{}: {}", shown(&folder), count(taken, "media file"));
            if others > 0 {
                note += &format!(", {} left out (name what you mean)", count(others, "other file"));
            }
            if folders > 0 {
                let why = if recursive { "a link" } else { "see --recursive" };
                note += &format!(", {} left out ({why})", count(folders, "folder"));
            }
            self.notes.push(note);
        }
    }
}

fn is_media(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) && path.is_file()
}

fn read_list(list: &Path) -> io::Result<Vec<PathBuf>> {
    let reader: Box<dyn BufRead> = match list.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(list)?)),
    };
    let mut paths = Vec::new();
    for line in reader.split(b'\n') {
        let mut line = line?;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !line.is_empty() {
            paths.push(path_of(line)?.into());
        }
    }
    Ok(paths)
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> io::Result<OsString> {
    Ok(std::os::unix::ffi::OsStringExt::from_vec(bytes))
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> io::Result<OsString> {
    String::from_utf8(bytes).map(OsString::from).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
