//! The fuzz target for manifests.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::client::TwelveLabs;
use crate::error::{Error, Result};
use crate::text::without_bom;
use crate::upload::journal::JournalFile;
use crate::upload::journal::entry::{Entry, Event, FileKey, Kind};
use crate::upload::journal::paths::Paths;

const OWN: [&str; 2] = ["a", "b"];

/// A temporary folder that is removed when it is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("twelvelabs-fuzz-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder");
        Folder(path)
    }

    pub(crate) fn open(&self, own: &[&str]) -> Result<JournalFile> {
        let mut paths = Paths::default();
        own.iter().for_each(|name| assert!(paths.insert(name)));
        let client = TwelveLabs::builder().api_key("tlk_1").base_url("http://h").build().expect("a client");
        let files: Vec<_> = own.iter().map(PathBuf::from).collect();
        JournalFile::open(Kind::Manifest, &self.0.join("m"), &client.0, &files, paths)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn key(name: &str) -> FileKey {
    FileKey { path: name.into(), size: 1, modified: Some(-1) }
}

pub(crate) fn is_known(manifest: &mut JournalFile, name: &str) -> bool {
    manifest.take(&key(name)).expect("it can be read").is_some()
}

/// Opens a file that may be a manifest. It must either be read, or be refused and left unchanged, and a write must not
/// lose any of its content.
pub fn manifest(data: &[u8]) {
    let folder = Folder::new();
    let path = folder.0.join("m");
    fs::write(&path, data).expect("a file");
    match folder.open(&OWN) {
        Err(e) => {
            assert!(matches!(e, Error::File { .. }), "{e:?}");
            assert_eq!(fs::read(&path).expect("the file"), data);
        }
        Ok(mut manifest) => {
            let before = is_known(&mut manifest, "a");
            manifest.write(&Entry::new(Event::Done, &key("b"))).expect("it can be written to");
            drop(manifest);
            let now = fs::read(&path).expect("the file");
            let old = without_bom(data);
            assert!(
                now.windows(old.len().max(1)).any(|part| old.is_empty() || part == old),
                "a line of the old journal is missing"
            );
            let mut manifest = folder.open(&OWN).expect("it can be opened again");
            assert_eq!((is_known(&mut manifest, "a"), is_known(&mut manifest, "b")), (before, true));
        }
    }
    assert_eq!(fs::read_dir(&folder.0).expect("the folder").count(), 1, "another file remains next to the journal");
}
