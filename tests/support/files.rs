//! Temporary files and folders for tests.

#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::digest::{SHA256, digest};

/// A temporary folder for one test. It is removed when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("twelvelabs-test-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn root(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file");
        path
    }

    /// Returns the names of the files in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder");
        let mut names: Vec<_> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Creates a folder whose name has another spelling. Where names are case-sensitive, the other spelling is a link.
    pub fn create_with_spelling(&self, name: &str, spelling: &str) {
        let _ = fs::create_dir(self.path(name));
        #[cfg(unix)]
        if !self.path(spelling).exists() {
            std::os::unix::fs::symlink(self.path(name), self.path(spelling)).expect("a link");
        }
        assert!(self.path(spelling).exists());
    }

    pub fn read_only(&self, read_only: bool) {
        let mut permissions = fs::metadata(&self.0).expect("the folder").permissions();
        permissions.set_readonly(read_only);
        fs::set_permissions(&self.0, permissions).expect("the permissions");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns bytes without repetitions, so that a chunk in the wrong place is noticed.
pub fn content(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8 ^ (n >> 13) as u8).collect()
}

/// Returns the SHA-256 of some bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
