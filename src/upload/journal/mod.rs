//! The journal of a batch (a manifest) or of one upload (a state file): JSON Lines with the state of each file.
//!
//! The first line identifies the account and the base URL. Each event is written completely, and is on the disk, before
//! the step that it announces. The last line about a file contains everything that is known about it. A crash at any
//! moment therefore loses at most the line that was being written. Such a torn line is skipped by readers, and the next
//! line starts after a line break of its own.
//!
//! A database was rejected: lines can be read by people and concatenated by scripts, and need no dependency.

pub(crate) mod compact;
pub(crate) mod entry;
pub(crate) mod lenient;
pub(crate) mod lock;
pub(crate) mod paths;
pub(crate) mod placement;
pub(crate) mod read;
pub(crate) mod sharing;
pub(crate) mod state_file;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::http::session::Session;
use crate::text::printable_path;
use crate::upload::journal::compact::{NotRewritten, open_journal, rewrite, sync_folder};
use crate::upload::journal::entry::{Entry, FileKey, Header, Kind, MAX_LINE};
use crate::upload::journal::lock::{Lock, leads_to};
use crate::upload::journal::paths::{Folders, PathId, Paths, is_same_file};
use crate::upload::journal::read::Content;
use crate::upload::journal::sharing::patiently;

/// An open journal, locked for this process.
pub(crate) struct JournalFile {
    kind: Kind,
    path: PathBuf,
    file: File,
    /// Whether the last line is torn, so that a line break must precede the next one.
    torn: bool,
    /// The files of this run.
    paths: Paths,
    /// The position of the last line about each spelling of a file of this run, until it is taken.
    known: HashMap<PathId, Range<u64>>,
    /// The spellings in `known` that are not the first of their file, indexed by what all its spellings have in common.
    spellings: HashMap<u64, Vec<PathId>>,
    /// A path in the journal that is not a file of this run, if there is one.
    other: Option<String>,
    /// The positions of lines about files that were sent in one request whose outcome is unknown, of this run or not.
    /// Each comes with the positions of the later lines that may be about the same file under another spelling.
    in_flight: Vec<(Range<u64>, Vec<Range<u64>>)>,
    lock: Lock,
}

impl JournalFile {
    /// Opens a journal, or creates one. `files` are the files of this run, and `paths` are their keys. Lines about
    /// other files are skipped.
    pub(crate) fn open(kind: Kind, path: &Path, client: &Session, files: &[PathBuf], paths: Paths) -> Result<Self> {
        let what = kind.name();
        let fail = |e| Error::file(path, format!("cannot open the {what}"), Some(e));
        if path.as_os_str().is_empty() {
            return Err(Error::file(path, format!("the path of the {what} is empty"), None));
        }
        let path = &behind_links(kind, path)?;
        if is_among(path, files, &paths) {
            let message = format!("the {what} is itself one of the files to upload; name another, or do not upload it");
            return Err(Error::file(path, message, None));
        }
        if is_alternate_stream(path) {
            let message =
                format!("the {what} must be a file; writing to a stream of another file would change that file's time");
            return Err(Error::file(path, message, None));
        }
        match path.metadata() {
            Ok(metadata) if !metadata.is_file() => {
                return Err(Error::file(path, format!("the {what} must be a regular file"), None));
            }
            Err(e) if e.kind() != ErrorKind::NotFound || !path.parent().is_some_and(Path::is_dir) => {
                return Err(fail(e));
            }
            _ => {}
        }
        let settings = client.settings();
        let lock = Lock::on(path, settings.clock.utc_now())?;
        let header = Header::of(kind, settings);
        let old = match open_journal(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            old => Some(old.map_err(fail)?),
        };
        let mut content = match &old {
            Some(old) => Content::read(old, kind, &header, &paths, path)?,
            None => Content::default(),
        };
        let file = match old {
            Some(old) if content.has_header && !content.is_old() => old,
            old => match rewrite(path, &header, old, &content.kept()) {
                Ok((file, moved)) => {
                    content.last.values_mut().for_each(|place| moved.apply(place));
                    file
                }
                Err(NotRewritten { error, old: Some(old) }) if content.has_header => {
                    log::warn!("{}: the {what} cannot be compacted: {error}", printable_path(path));
                    old
                }
                Err(NotRewritten { error, .. }) => return Err(fail(error)),
            },
        };
        let Content { last: mut known, torn, other, in_flight, .. } = content;
        let in_flight = with_later_lines(&in_flight, &known);
        known.retain(|id, _| paths.may_be_own(*id));
        known.shrink_to_fit();
        let mut spellings = HashMap::<u64, Vec<PathId>>::new();
        for id in known.keys().filter(|id| paths.first_alike(**id) != Some(**id)) {
            spellings.entry(id[0]).or_default().push(*id);
        }
        Ok(JournalFile { kind, path: path.clone(), file, torn, paths, known, spellings, other, in_flight, lock })
    }

    /// Returns a path in the journal that is not a file of this run. Entries that were taken are not considered.
    pub(crate) fn other(&mut self) -> Result<Option<String>> {
        if self.other.is_none()
            && let Some(place) = self.known.values().next().cloned()
        {
            return Ok(self.entry_at(place)?.map(|entry| entry.file.path));
        }
        Ok(self.other.clone())
    }

    /// Returns the entries of earlier runs about files that were sent in one request whose outcome is unknown.
    pub(crate) fn in_flight(&mut self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (place, later) in std::mem::take(&mut self.in_flight) {
            let Some(entry) = self.entry_at(place)? else { continue };
            let mut is_superseded = false;
            for place in later {
                let later = self.entry_at(place)?;
                is_superseded |= later.is_some_and(|later| self.paths.is_same(&later.file.path, &entry.file.path));
            }
            if !is_superseded {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// Returns the file of this run that each entry is about, if there is one. An earlier run may have spelled the
    /// path differently.
    pub(crate) fn files_of(&self, entries: &[Entry], files: &[PathBuf], folders: &mut Folders) -> Vec<Option<PathBuf>> {
        let id = |key: &str| self.paths.id(key)[0];
        let keys = files.iter().map(|file| {
            let key = folders.key(file);
            (id(&key), (key, file))
        });
        let alike = group_alike(entries.iter().map(|entry| id(&entry.file.path)), keys);
        let file_of = |entry: &Entry| {
            let path = &entry.file.path;
            let is_it = |(key, _): &&(String, &PathBuf)| self.paths.is_same(path, key);
            alike.get(&id(path))?.iter().find(is_it).map(|(_, file)| file.to_path_buf())
        };
        entries.iter().map(file_of).collect()
    }

    /// Whether the journal contains this asset for any file, or as the future asset of an upload session.
    pub(crate) fn has_asset(&mut self, asset_id: &str) -> Result<bool> {
        let fail = |e| Error::file(&self.path, format!("cannot read the {}", self.kind.name()), Some(e));
        self.file.seek(SeekFrom::Start(0)).map_err(fail)?;
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(fail)? == 0 {
                return Ok(false);
            }
            let is_it = |entry: Entry| {
                let of_session = entry.upload.and_then(|upload| upload.asset_id);
                let has_id = [entry.asset_id, of_session].iter().any(|id| id.as_deref() == Some(asset_id));
                has_id || entry.asset.is_some_and(|asset| asset.id == asset_id)
            };
            let may_be = line.windows(asset_id.len()).any(|part| part == asset_id.as_bytes());
            if may_be && serde_json::from_slice(line.trim_ascii()).is_ok_and(is_it) {
                return Ok(true);
            }
        }
    }

    /// Returns what earlier runs recorded about this file, unless it has changed since. Each entry is returned once.
    pub(crate) fn take(&mut self, file: &FileKey) -> Result<Option<Entry>> {
        Ok(self.take_any(&file.path)?.filter(|entry| entry.file.is_version(file)))
    }

    /// Returns what earlier runs recorded about the file at this path, whatever its version.
    ///
    /// Earlier runs may have spelled the path differently. Of all lines about the same file, the last one counts.
    pub(crate) fn take_any(&mut self, path: &str) -> Result<Option<Entry>> {
        let id = self.paths.id(path);
        let others = self.spellings.get(&id[0]).cloned().unwrap_or_default();
        let mut last = None;
        for id in self.paths.first_alike(id).into_iter().chain(others) {
            let Some(place) = self.known.get(&id).cloned() else { continue };
            let Some(entry) = self.entry_at(place.clone())? else { continue };
            if !self.paths.is_same(&entry.file.path, path) {
                continue;
            }
            self.known.remove(&id);
            if last.as_ref().is_none_or(|(start, _)| *start < place.start) {
                last = Some((place.start, entry));
            }
        }
        Ok(last.map(|(_, entry)| entry))
    }

    /// Reads the entry at this position, or returns `None` if it cannot be parsed.
    fn entry_at(&mut self, place: Range<u64>) -> Result<Option<Entry>> {
        let fail = |e| Error::file(&self.path, format!("cannot read the {}", self.kind.name()), Some(e));
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(place.start)).map_err(fail)?;
        (&self.file).take(place.end - place.start).read_to_end(&mut text).map_err(fail)?;
        match serde_json::from_slice::<Entry>(&text) {
            Ok(entry) => Ok(Some(entry.usable())),
            Err(e) => {
                log::warn!("{}: a line is skipped: {e}", printable_path(&self.path));
                Ok(None)
            }
        }
    }

    /// Writes an event, and returns once it is on the disk.
    pub(crate) fn write(&mut self, entry: &Entry) -> Result<()> {
        let fail = |e| Error::file(&self.path, format!("cannot write to the {}", self.kind.name()), Some(e));
        let mut json = serde_json::to_string(entry).map_err(|e| fail(e.into()))?;
        if json.len() as u64 >= MAX_LINE {
            // The line would be too long with the whole asset, and the asset can be retrieved again by its id.
            json = serde_json::to_string(&Entry { asset: None, ..entry.clone() }).map_err(|e| fail(e.into()))?;
        }
        let text = format!("{}{json}\n", if self.torn { "\n" } else { "" });
        // The line counts as torn until all of it is on the disk, because a failure may leave a part of it.
        self.torn = true;
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).map_err(fail)?;
        self.torn = false;
        // The check comes after the write. Before it, the file could still be replaced between the check and the write.
        let in_place = leads_to(&self.path, &self.file).and_then(|there| Ok(there && self.lock.is_in_place()?));
        match in_place.map_err(fail)? {
            true => Ok(()),
            false => {
                let message = format!("the {} was removed or replaced while it was in use", self.kind.name());
                Err(Error::file(&self.path, message, None))
            }
        }
    }

    /// Removes the journal, because nothing is left to resume.
    pub(crate) fn remove(self) -> Result<()> {
        // The lock is held until the end. The file is closed first, because Windows cannot remove an open file.
        let JournalFile { kind, path, file, lock, .. } = self;
        let in_place = leads_to(&path, &file);
        drop(file);
        let removed = match in_place {
            Ok(true) => patiently(|| std::fs::remove_file(&path)).and_then(|()| sync_folder(&path)),
            other => other.map(drop),
        };
        drop(lock);
        removed.map_err(|e| Error::file(&path, format!("cannot remove the {}", kind.name()), Some(e)))
    }
}

/// Groups items by the hash of their path that ignores its spelling, for these hashes alone.
fn group_alike<T>(hashes: impl Iterator<Item = u64>, items: impl Iterator<Item = (u64, T)>) -> HashMap<u64, Vec<T>> {
    let mut alike: HashMap<u64, Vec<T>> = hashes.map(|hash| (hash, Vec::new())).collect();
    if !alike.is_empty() {
        for (hash, item) in items {
            if let Some(group) = alike.get_mut(&hash) {
                group.push(item);
            }
        }
    }
    alike
}

/// Returns the position of the last line about each of these files, with the positions of later lines about paths that
/// differ only in their spelling.
fn with_later_lines(ids: &HashSet<PathId>, last: &HashMap<PathId, Range<u64>>) -> Vec<(Range<u64>, Vec<Range<u64>>)> {
    let alike = group_alike(ids.iter().map(|id| id[0]), last.iter().map(|(id, place)| (id[0], place)));
    let with_later = |id: &PathId| {
        let place: &Range<u64> = last.get(id)?;
        let later = alike.get(&id[0])?.iter().filter(|other| other.start > place.start);
        Some((place.clone(), later.map(|place| (*place).clone()).collect()))
    };
    ids.iter().filter_map(with_later).collect()
}

/// Resolves every link on the way to the journal. Two names of one file then share one lock, and compacting replaces
/// the file instead of a link to it.
fn behind_links(kind: Kind, path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Err(e) if e.kind() == ErrorKind::NotFound => match path.read_link() {
            // The target may be on a volume that is not mounted. Its content is needed, so creating a new journal would
            // be wrong.
            Ok(target) => {
                let target = printable_path(&target);
                let message = format!(
                    "the {} is a link to {target}, which does not exist; mount its volume, or create an empty file there",
                    kind.name()
                );
                Err(Error::file(path, message, None))
            }
            Err(_) => Ok(Folders::default().place(path)),
        },
        // Some virtual drives of Windows cannot say where a path leads. A path that is itself no link is used as it is.
        Err(_) if path.symlink_metadata().is_ok_and(|there| !there.is_symlink()) => Ok(Folders::default().place(path)),
        real => real.map_err(|e| Error::file(path, format!("cannot open the {}", kind.name()), Some(e))),
    }
}

/// Whether a path leads to an alternate data stream of a file (`clip.mp4:name` on NTFS).
fn is_alternate_stream(path: &Path) -> bool {
    cfg!(windows) && path.file_name().is_some_and(|name| name.to_string_lossy().contains(':'))
}

/// Whether the path of a journal is one of the files to upload.
fn is_among(path: &Path, files: &[PathBuf], paths: &Paths) -> bool {
    let mut folders = Folders::relative_to(&paths.roots);
    let id = paths.id(&folders.key(path));
    paths.may_be_own(id)
        && files.iter().any(|file| {
            // If neither exists yet, the two paths might become the same file.
            let may_be = || is_same_file(file, path) || !file.exists() && !path.exists();
            paths.id(&folders.key(file))[0] == id[0] && may_be()
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, any, prop, prop_oneof, proptest};

    use super::*;
    use crate::fuzzing::journal::{Folder, is_known, key};
    use crate::text::BOM;
    use crate::upload::journal::entry::{Event, VERSION, fingerprint};

    fn line(name: &str) -> Entry {
        Entry::new(Event::Done, &key(name))
    }

    #[test]
    fn an_event_that_cannot_be_written_is_an_error_and_harms_no_other() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        manifest.write(&line("a")).unwrap();
        let writable = std::mem::replace(&mut manifest.file, File::open(&manifest.path).unwrap());
        let e = manifest.write(&line("b")).unwrap_err();
        assert!(e.to_string().ends_with("cannot write to the manifest"), "{e}");
        // This imitates a line of which only a part was written.
        manifest.file = writable;
        manifest.file.write_all(b"{\"event\":").unwrap();
        manifest.write(&line("c")).unwrap();
        drop(manifest);

        let mut manifest = folder.open(&["a", "b", "c"]).unwrap();
        assert_eq!(["a", "b", "c"].map(|name| is_known(&mut manifest, name)), [true, false, true]);
        assert!(!is_known(&mut manifest, "a"), "an entry is returned only once");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_event_that_is_not_on_the_disk_is_not_written() {
        let mut manifest = Folder::new().open(&[]).unwrap();
        // `/dev/null` accepts everything, but cannot be synced.
        manifest.file = File::options().append(true).open("/dev/null").unwrap();
        let Error::File { message, source, .. } = manifest.write(&line("a")).unwrap_err() else { panic!() };
        assert_eq!(
            (message.as_str(), source.unwrap().kind()),
            ("cannot write to the manifest", ErrorKind::InvalidInput)
        );
    }

    #[test]
    fn only_lines_about_the_files_of_the_run_are_kept_in_memory() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        ["a", "b", "c", "b"].iter().for_each(|name| manifest.write(&line(name)).unwrap());
        drop(manifest);
        let mut manifest = folder.open(&["b", "d"]).unwrap();
        assert_eq!((manifest.known.len(), manifest.other().unwrap().as_deref()), (1, Some("a")));
        assert!(is_known(&mut manifest, "b") && !is_known(&mut manifest, "d"));
        assert!(!is_known(&mut manifest, "a"), "`a` is not a file of this run");
    }

    #[test]
    fn a_written_line_never_exceeds_the_maximum_length() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        let asset = format!(r#"{{"_id":"a1","filename":"{}"}}"#, "x".repeat(MAX_LINE as usize));
        let asset = Some(serde_json::from_str(&asset).unwrap());
        manifest.write(&Entry { asset_id: Some("a1".into()), asset, ..line("a") }).unwrap();
        drop(manifest);
        let line = folder.open(&["a"]).unwrap().take(&key("a")).unwrap().unwrap();
        assert_eq!((line.asset_id.as_deref(), line.asset.is_none()), (Some("a1"), true));
    }

    /// A strategy for bytes that form a journal, or almost do.
    fn journals() -> impl prop::strategy::Strategy<Value = Vec<u8>> {
        use prop::strategy::Strategy;
        let header = serde_json::to_vec(&Header {
            format: Kind::Manifest.format().into(),
            version: VERSION,
            base_url: "http://h".into(),
            account: fingerprint("tlk_1"),
        });
        let piece = prop_oneof![
            Just(header.unwrap()),
            Just(serde_json::to_vec(&line("a")).unwrap()),
            Just(serde_json::to_vec(&line("é\n")).unwrap()),
            Just(b"\n".to_vec()),
            Just(BOM.to_vec()),
            Just(br#"{"event":"done","path":"a","size":1,"modified":-1,"asset":{"_id":".."}}"#.to_vec()),
            "[\\PC\n]{0,20}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        (prop::collection::vec(piece, 0..8), any::<bool>(), any::<prop::sample::Index>()).prop_map(
            |(pieces, cut, at)| {
                let mut bytes = pieces.join(&b"\n"[..]);
                if cut {
                    bytes.truncate(at.index(bytes.len() + 1));
                }
                bytes
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn any_bytes_are_read_or_refused_unchanged(bytes in journals()) {
            crate::fuzzing::manifest(&bytes);
        }
    }
}
