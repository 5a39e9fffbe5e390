//! What one upload needs to survive a kill: a journal of one file, which goes when its work is done.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::session::Session;
use crate::resources::assets::{Asset, AssetStatus};
use crate::resumable::ResumableUpload;
use crate::sync::lock;
use crate::text::printable;
use crate::upload::chunked::open::is_of;
use crate::upload::journal::JournalFile;
use crate::upload::journal::entry::{Entry, Event, FileKey, Kind};
use crate::upload::journal::paths::{Folders, Paths};
use crate::upload::options::{Journal, SentAt};

/// An open state file. Clones are the same one.
#[derive(Clone)]
pub(crate) struct StateFile {
    client: Session,
    manifest: Arc<Mutex<JournalFile>>,
    file: FileKey,
}

/// How far an earlier run has come with the file.
#[derive(Default)]
pub(crate) struct PreviousRun {
    /// The file has arrived as this asset.
    pub asset_id: Option<String>,
    /// Some of its chunks have.
    pub upload: Option<ResumableUpload>,
    /// It was sent in one request whose outcome is unknown.
    pub sent_at: Option<SentAt>,
}

impl StateFile {
    /// Opens it, and says how far an earlier run has come: with this file as it is now, or `anyway`.
    pub(crate) fn open(
        path: &Path,
        client: &Session,
        source: &FileSource,
        anyway: bool,
    ) -> Result<(Self, PreviousRun)> {
        let Some(place) = source.as_path() else {
            return Err(Error::invalid("state_file", "a later run can resume only the upload of a file on disk"));
        };
        let file = FileKey::of(place, &Mutex::new(Folders::default()))?;
        let mut paths = Paths::default();
        paths.insert(&file.path);
        let mut manifest = JournalFile::open(Kind::StateFile, path, client, paths)?;
        if let Some(other) = manifest.other() {
            let other = printable(other, 1000);
            let message = format!("it is the state of {other}; use one for each file, or remove it if it is of no use");
            return Err(Error::file(path, message, None));
        }
        let left = match manifest.take_any(&file.path)? {
            Some(line) if anyway || line.file == file => {
                let sent_at = line.sent_at();
                let upload = line.upload.filter(|upload| anyway || is_of(upload, place));
                PreviousRun { asset_id: line.asset_id, upload, sent_at }
            }
            Some(_) => {
                log::warn!("{}: the file has changed; it is uploaded from the start", printable(&file.path, 1000));
                PreviousRun::default()
            }
            None => PreviousRun::default(),
        };
        Ok((StateFile { client: client.clone(), manifest: Arc::new(Mutex::new(manifest)), file }, left))
    }

    /// The file has arrived. If that cannot be kept, a later run uploads it again, but this one goes on.
    pub(crate) fn arrived(&self, asset_id: &str) {
        let line = Entry { asset_id: Some(asset_id.into()), ..Entry::new(Event::Uploaded, &self.file) };
        if let Err(e) = self.write(line) {
            log::error!("{e}; asset {} is not in it", printable(asset_id, 100));
        }
    }

    /// The session is of no use any more.
    pub(crate) fn lost(&self) {
        if let Err(e) = self.write(Entry::new(Event::Failed, &self.file)) {
            log::error!("{e}");
        }
    }

    /// Removes it if the asset is ready or never will be.
    pub(crate) fn ended(&self, result: Result<Asset>) -> Result<Asset> {
        match &result {
            Ok(asset) if asset.status == Some(AssetStatus::Ready) => self.remove(),
            Err(Error::Failed(_)) => self.remove(),
            _ => {}
        }
        result
    }

    /// There is nothing to resume.
    fn remove(&self) {
        // What it says is still true: a later run finds out that there is nothing to do.
        if let Err(e) = self.manifest().remove() {
            log::warn!("{e}");
        }
    }

    fn write(&self, line: Entry) -> Result<()> {
        self.manifest().write(&Entry { at: Some(self.client.settings().clock.utc_now()), ..line })
    }

    fn manifest(&self) -> MutexGuard<'_, JournalFile> {
        lock(&self.manifest)
    }
}

impl Journal for StateFile {
    fn sending(&mut self, sent_at: SentAt) -> Result<()> {
        self.write(Entry::new(Event::Sending, &self.file).with_sent_at(Some(sent_at)))
    }

    fn session(&mut self, upload: &ResumableUpload) -> Result<()> {
        self.write(Entry { upload: Some(upload.clone()), ..Entry::new(Event::Session, &self.file) })
    }
}
