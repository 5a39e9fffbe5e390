//! A state file: the journal of one upload, which lets it resume after a crash and is removed when the upload is done.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::session::Session;
use crate::resources::assets::{Asset, AssetStatus};
use crate::resumable::ResumableUpload;
use crate::sync::lock;
use crate::text::printable;
use crate::upload::journal::JournalFile;
use crate::upload::journal::entry::{Entry, Event, FileKey, Kind};
use crate::upload::journal::paths::{Folders, Paths};
use crate::upload::options::{Journal, SentAt};

/// An open state file. Clones share the same file.
#[derive(Clone)]
pub(crate) struct StateFile {
    client: Session,
    /// The journal, or `None` once it is removed.
    journal: Arc<Mutex<Option<JournalFile>>>,
    file: FileKey,
}

/// The progress of an earlier run with the file.
#[derive(Default)]
pub(crate) struct PreviousRun {
    /// The id of the asset, if the file has arrived.
    pub asset_id: Option<String>,
    /// The chunked upload to resume, if some chunks have arrived.
    pub upload: Option<ResumableUpload>,
    /// The time at which the file was sent in one request whose outcome is unknown.
    pub sent_at: Option<SentAt>,
}

impl StateFile {
    /// Opens a state file, and returns the progress of an earlier run with this version of the file. With `anyway`,
    /// progress with any version of the file counts.
    pub(crate) fn open(
        path: &Path,
        client: &Session,
        source: &FileSource,
        anyway: bool,
    ) -> Result<(Self, PreviousRun)> {
        let Some(place) = source.as_path() else {
            return Err(Error::invalid(
                "state_file",
                "needs a file on disk; only its upload can be resumed by a later run",
            ));
        };
        let file = FileKey::of(place, &Mutex::new(Folders::default()))?;
        let mut paths = Paths::default();
        paths.insert(&file.path);
        let mut journal = JournalFile::open(Kind::StateFile, path, client, &[place.to_path_buf()], paths)?;
        let entry = journal.take_any(&file.path)?;
        // The lines about this file have been taken, so any line that remains is about another file.
        if let Some(other) = journal.other()? {
            let other = printable(&other, 1000);
            let message = format!(
                "this is the state file of {other}; use a separate one for each file, or remove it if you do not need it"
            );
            return Err(Error::file(path, message, None));
        }
        let previous = match entry {
            Some(entry) if anyway || entry.file.is_version(&file) => {
                let sent_at = entry.sent_at();
                PreviousRun { asset_id: entry.asset_id, upload: entry.upload, sent_at }
            }
            Some(_) => {
                log::warn!("{}: the file has changed; it is uploaded from the start", printable(&file.path, 1000));
                PreviousRun::default()
            }
            None => PreviousRun::default(),
        };
        let journal = Arc::new(Mutex::new(Some(journal)));
        Ok((StateFile { client: client.clone(), journal, file }, previous))
    }

    /// Makes the source refuse any other version of the file than the one in the state file.
    pub(crate) fn of_version(&self, source: FileSource) -> FileSource {
        source.version(self.file.size, self.file.modified)
    }

    /// Records that the file has arrived. If that fails, a later run may upload the file again, but this run is not
    /// affected.
    pub(crate) fn arrived(&self, asset_id: &str) {
        let entry = Entry { asset_id: Some(asset_id.into()), ..Entry::new(Event::Uploaded, &self.file) };
        if let Err(e) = self.write(entry) {
            log::error!("{e}; it does not contain asset {}", printable(asset_id, 100));
        }
    }

    /// Records that the session can no longer be resumed.
    pub(crate) fn lost(&self) {
        if let Err(e) = self.write(Entry::new(Event::Failed, &self.file)) {
            log::error!("{e}");
        }
    }

    /// Removes the state file if the asset is ready or has failed permanently.
    pub(crate) fn ended(&self, result: Result<Asset>) -> Result<Asset> {
        match &result {
            Ok(asset) if asset.status == Some(AssetStatus::Ready) => self.remove(),
            Err(Error::Failed(_)) => self.remove(),
            _ => {}
        }
        result
    }

    /// Removes the state file, because nothing is left to resume.
    fn remove(&self) {
        // If the removal fails, the content is still true: a later run finds that nothing is left to do.
        if let Some(Err(e)) = lock(&self.journal).take().map(JournalFile::remove) {
            log::warn!("{e}");
        }
    }

    fn write(&self, entry: Entry) -> Result<()> {
        let entry = Entry { at: Some(self.client.settings().clock.utc_now()), ..entry };
        lock(&self.journal).as_mut().map_or(Ok(()), |journal| journal.write(&entry))
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
