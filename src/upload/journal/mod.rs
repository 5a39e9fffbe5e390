//! The journal of a batch, or of one upload: the outcome of each file, one JSON text a line.
//!
//! The first line says whose it is. Every event is written at once and completely, and the last line about a file says
//! all that is known of it. A line that was torn by a crash is passed over.

pub(crate) mod compact;
pub(crate) mod entry;
pub(crate) mod lock;
pub(crate) mod paths;
pub(crate) mod read;
pub(crate) mod state_file;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::http::session::Session;
use crate::text::{printable_path, without_bom};
use crate::upload::journal::compact::{rewrite, sync_folder};
use crate::upload::journal::entry::{Entry, FileKey, Header, Kind, MAX_LINE};
use crate::upload::journal::lock::{Lock, leads_to};
use crate::upload::journal::paths::{Folders, PathId, Paths};
use crate::upload::journal::read::Content;

/// An open journal, which nobody else has open.
pub(crate) struct JournalFile {
    kind: Kind,
    path: PathBuf,
    file: File,
    /// Whether the last line was torn, and has to be ended before the next.
    torn: bool,
    paths: Paths,
    /// Where the last line about each path of its own is, until it is taken.
    known: HashMap<PathId, Range<u64>>,
    /// A path that is not its own, if it has any.
    other: Option<String>,
    /// Where the lines about files are that were sent in one request whose outcome is unknown, its own or not.
    in_flight: Vec<Range<u64>>,
    lock: Lock,
}

impl JournalFile {
    /// Opens a journal, or begins one. What is known of paths other than these is passed over.
    pub(crate) fn open(kind: Kind, path: &Path, client: &Session, paths: Paths) -> Result<Self> {
        let what = kind.name();
        let fail = |e| Error::file(path, format!("cannot open the {what}"), Some(e));
        // Behind every link, so that two names of one file are one lock, and no link is replaced by a file.
        let path = &match path.canonicalize() {
            Err(e) if e.kind() == ErrorKind::NotFound => Folders::default().place(path),
            canonical => canonical.map_err(fail)?,
        };
        if paths.own.contains(&paths.id(&Folders::default().key(path))) {
            let message =
                format!("the {what} is itself one of the files to upload: name another, or leave it out of them");
            return Err(Error::file(path, message, None));
        }
        match path.metadata() {
            Ok(metadata) if !metadata.is_file() => {
                return Err(Error::file(path, format!("the {what} has to be a file"), None));
            }
            Err(e) if e.kind() != ErrorKind::NotFound || !path.parent().is_some_and(Path::is_dir) => {
                return Err(fail(e));
            }
            _ => {}
        }
        let settings = client.settings();
        let lock = Lock::on(path, settings.clock.utc_now())?;
        let header = Header::of(kind, settings);
        let old = match OpenOptions::new().read(true).append(true).open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            old => Some(old.map_err(fail)?),
        };
        let mut content = match &old {
            Some(old) => Content::read(old, kind, &header, &paths, path)?,
            None => Content::default(),
        };
        let file = match old {
            Some(old) if content.has_header && !content.is_old() => old,
            old => match rewrite(path, &header, old.as_ref(), &content.kept()) {
                Ok((file, moved)) => {
                    content.last.values_mut().for_each(|place| moved.apply(place));
                    file
                }
                Err(e) => match old.filter(|_| content.has_header) {
                    Some(old) => {
                        log::warn!("{}: the {what} cannot be compacted: {e}", printable_path(path));
                        old
                    }
                    None => return Err(fail(e)),
                },
            },
        };
        let Content { mut last, torn, other, in_flight, .. } = content;
        let in_flight = in_flight.iter().filter_map(|id| last.get(id).cloned()).collect();
        last.retain(|id, _| paths.own.contains(id));
        last.shrink_to_fit();
        Ok(JournalFile { kind, path: path.clone(), file, torn, paths, known: last, other, in_flight, lock })
    }

    /// A path that it knows and that is not among its own.
    pub(crate) fn other(&self) -> Option<&str> {
        self.other.as_deref()
    }

    /// What earlier runs noted of files that they sent in one request whose outcome is unknown.
    pub(crate) fn in_flight(&mut self) -> Result<Vec<Entry>> {
        let places = std::mem::take(&mut self.in_flight);
        places.into_iter().filter_map(|place| self.entry(place).transpose()).collect()
    }

    /// Whether it has this asset for any file.
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
                let own_id = entry.asset_id.as_deref() == Some(asset_id);
                own_id || entry.asset.is_some_and(|asset| asset.id == asset_id)
            };
            let may_be = line.windows(asset_id.len()).any(|part| part == asset_id.as_bytes());
            if may_be && serde_json::from_slice(line.trim_ascii()).is_ok_and(is_it) {
                return Ok(true);
            }
        }
    }

    /// What earlier runs knew of this file, unless it has changed since. It is given once.
    pub(crate) fn take(&mut self, file: &FileKey) -> Result<Option<Entry>> {
        Ok(self.take_any(&file.path)?.filter(|line| line.file == *file))
    }

    /// What earlier runs knew of this path, however the file was.
    pub(crate) fn take_any(&mut self, path: &str) -> Result<Option<Entry>> {
        let Some(place) = self.known.remove(&self.paths.id(path)) else { return Ok(None) };
        Ok(self.entry(place)?.filter(|line| line.file.path == path))
    }

    fn entry(&mut self, place: Range<u64>) -> Result<Option<Entry>> {
        let fail = |e| Error::file(&self.path, format!("cannot read the {}", self.kind.name()), Some(e));
        let mut text = Vec::new();
        self.file.seek(SeekFrom::Start(place.start)).map_err(fail)?;
        (&self.file).take(place.end - place.start).read_to_end(&mut text).map_err(fail)?;
        match serde_json::from_slice::<Entry>(without_bom(&text)) {
            Ok(line) => Ok(Some(line.usable())),
            Err(e) => {
                log::warn!("{}: a line is passed over: {e}", printable_path(&self.path));
                Ok(None)
            }
        }
    }

    /// Writes an event, and returns once it is on the disk.
    pub(crate) fn write(&mut self, line: &Entry) -> Result<()> {
        let fail = |e| Error::file(&self.path, format!("cannot write to the {}", self.kind.name()), Some(e));
        let mut json = serde_json::to_string(line).map_err(|e| fail(e.into()))?;
        if json.len() as u64 >= MAX_LINE {
            // With its id, the asset can be asked for again.
            json = serde_json::to_string(&Entry { asset: None, ..line.clone() }).map_err(|e| fail(e.into()))?;
        }
        let text = format!("{}{json}\n", if self.torn { "\n" } else { "" });
        self.torn = true;
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).map_err(fail)?;
        self.torn = false;
        let in_place = leads_to(&self.path, &self.file).and_then(|there| Ok(there && self.lock.is_in_place()?));
        match in_place.map_err(fail)? {
            true => Ok(()),
            false => {
                let message = format!("the {} was removed or replaced while it was in use", self.kind.name());
                Err(Error::file(&self.path, message, None))
            }
        }
    }

    /// Removes the journal: there is nothing left to resume.
    pub(crate) fn remove(&self) -> Result<()> {
        let removed = match leads_to(&self.path, &self.file) {
            Ok(true) => std::fs::remove_file(&self.path).and_then(|()| sync_folder(&self.path)),
            other => other.map(drop),
        };
        removed.map_err(|e| Error::file(&self.path, format!("cannot remove the {}", self.kind.name()), Some(e)))
    }
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
    fn an_event_that_cannot_be_written_is_an_error_and_spoils_no_other() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        manifest.write(&line("a")).unwrap();
        let writable = std::mem::replace(&mut manifest.file, File::open(&manifest.path).unwrap());
        let e = manifest.write(&line("b")).unwrap_err();
        assert!(e.to_string().ends_with("cannot write to the manifest"), "{e}");
        // As if a part of it had been written.
        manifest.file = writable;
        manifest.file.write_all(b"{\"event\":").unwrap();
        manifest.write(&line("c")).unwrap();
        drop(manifest);

        let mut manifest = folder.open(&["a", "b", "c"]).unwrap();
        assert_eq!(["a", "b", "c"].map(|name| is_known(&mut manifest, name)), [true, false, true]);
        assert!(!is_known(&mut manifest, "a"), "it is given once");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_event_that_is_not_on_the_disk_is_not_written() {
        let mut manifest = Folder::new().open(&[]).unwrap();
        // Takes everything, and cannot be synced.
        manifest.file = OpenOptions::new().append(true).open("/dev/null").unwrap();
        let Error::File { message, source, .. } = manifest.write(&line("a")).unwrap_err() else { panic!() };
        assert_eq!(
            (message.as_str(), source.unwrap().kind()),
            ("cannot write to the manifest", ErrorKind::InvalidInput)
        );
    }

    #[test]
    fn only_what_is_its_own_is_kept_in_memory() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        ["a", "b", "c", "b"].iter().for_each(|name| manifest.write(&line(name)).unwrap());
        drop(manifest);
        let mut manifest = folder.open(&["b", "d"]).unwrap();
        assert_eq!((manifest.known.len(), manifest.other()), (1, Some("a")));
        assert!(is_known(&mut manifest, "b") && !is_known(&mut manifest, "d"));
        assert!(!is_known(&mut manifest, "a"), "it is not its own");
    }

    #[test]
    fn a_line_is_never_longer_than_a_line_may_be() {
        let folder = Folder::new();
        let mut manifest = folder.open(&[]).unwrap();
        let asset = format!(r#"{{"_id":"a1","filename":"{}"}}"#, "x".repeat(MAX_LINE as usize));
        let asset = Some(serde_json::from_str(&asset).unwrap());
        manifest.write(&Entry { asset_id: Some("a1".into()), asset, ..line("a") }).unwrap();
        drop(manifest);
        let line = folder.open(&["a"]).unwrap().take(&key("a")).unwrap().unwrap();
        assert_eq!((line.asset_id.as_deref(), line.asset.is_none()), (Some("a1"), true));
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

    /// Bytes that are, or nearly are, a journal.
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
        fn any_bytes_are_read_or_refused_and_then_not_touched(bytes in journals()) {
            crate::fuzzing::manifest(&bytes);
        }
    }
}
