//! Uploading a file in the way that fits its size, and waiting until the asset is ready.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::call::RequestOptions;
use crate::call::wait::poll::{MAX_UNKNOWN, Pace};
use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::body::Progress;
use crate::http::cancel::CancelHandle;
use crate::http::session::Session;
use crate::resources::assets::{Asset, AssetType, LOCAL_LIMIT, UploadMethod};
use crate::resumable::ResumableUpload;
use crate::text::printable;
use crate::upload::chunked::open::is_hopeless;
use crate::upload::chunked::transfer;
use crate::upload::journal::state_file::StateFile;
use crate::upload::options::{NewAsset, SentAt, TransferSettings};
use crate::upload::progress::{Reporter, UploadProgress, UploadState};
use crate::upload::reconcile::{Lost, Ownership, learn_clock};

/// The builder returned by [`AssetsClient::upload`](crate::assets::AssetsClient::upload).
#[must_use = "nothing is sent before `.send()`"]
pub struct UploadAsset {
    client: Session,
    pub(crate) source: FileSource,
    pub(crate) asset: NewAsset,
    pub(crate) threshold: u64,
    wait: bool,
    pace: Pace,
    state_file: Option<PathBuf>,
    /// The time at which the file was first sent in one request whose outcome is unknown.
    pub(crate) sent_at: Option<SentAt>,
    /// Whether an earlier search has shown that the file did not arrive.
    pub(crate) is_absent: bool,
    /// The owners of assets, if other files are uploaded as well.
    pub(crate) owner: Option<Ownership>,
    pub(crate) settings: TransferSettings,
}

impl UploadAsset {
    pub(crate) fn new(client: &Session, source: FileSource) -> Self {
        UploadAsset {
            client: client.clone(),
            source,
            asset: NewAsset::default(),
            threshold: LOCAL_LIMIT,
            wait: true,
            pace: Pace::default(),
            state_file: None,
            sent_at: None,
            is_absent: false,
            owner: None,
            settings: TransferSettings::default(),
        }
    }

    setters! {
        /// Sets the file name of the asset, instead of the name of the file.
        filename: some into String => asset.filename,
        /// Sets the type of the asset, instead of deriving it from the file name. Only a chunked upload uses it.
        file_type: some into AssetType => asset.file_type,
        /// Sets whether to create an HLS stream of a video or audio file. The default is `true`.
        enable_hls: some bool => asset.enable_hls,
        /// Sets whether to create thumbnails. The default is `true`.
        enable_thumbnail: some bool => asset.enable_thumbnail,
        /// Sets your own metadata, by which you can find the asset: strings, numbers, booleans or lists of strings. A
        /// resumed upload keeps the metadata with which it was started.
        user_metadata: some metadata => asset.user_metadata,
        /// Sets the size in bytes above which a file is sent in chunks. The default is 200,000,000, the platform's
        /// documented limit for one request.
        threshold: u64 => threshold,
        /// Sets whether to wait until the asset is ready. The default is `true`. With `false`, the call returns the
        /// asset in its state right after the upload.
        wait: bool => wait,
        /// Sets the time between two polls of the asset. By default, it is 0.5 s, 1 s, 2 s and then 5 s.
        sleep_interval: some Duration => pace.sleep_interval,
        /// Limits the wait for the asset after the file has arrived. The default is one hour.
        max_wait_time: Duration => pace.max_wait_time,
        /// Sets how many chunks are sent at a time, each on its own connection. The default is 5.
        max_workers: usize => settings.tuning.max_workers,
        /// Sets a function that is called with the progress: while the file is sent, when it has arrived, and at each
        /// poll of the asset.
        progress_callback: some boxed(FnMut(&UploadProgress) + Send) => settings.progress,
        /// Resumes an earlier chunked upload of the same file: see
        /// [`UploadFile::resume`](crate::multipart_upload::UploadFile::resume). The file is sent in chunks, whatever
        /// its size.
        resume: some into ResumableUpload => settings.resume,
        /// Resumes although the file's metadata says that it was changed or replaced since the upload began. The
        /// default is `false`. Use this only if you know that the content is the same, for example after a copy or a
        /// change of permissions.
        resume_anyway: bool => settings.resume_anyway,
        /// Keeps the state of the upload in this file, so that it can be resumed after a crash, a failure or a
        /// cancellation. To resume, run the same program again.
        ///
        /// The state file is written to disk after a session has started and before the first chunk is sent. The next
        /// run sends only the missing chunks. If the whole file has already arrived, it only waits for the asset. The
        /// state file is removed when the asset is ready or has failed permanently. With [`wait(false)`](Self::wait),
        /// it remains until a run finds the asset ready. If a crash interrupted an upload in one request, the next run
        /// looks for the asset before it sends the file again.
        ///
        /// A state file belongs to one file on disk. That file is uploaded from the start if it has changed (see
        /// [`resume_anyway`](Self::resume_anyway)). It is locked while in use, and refused if it is something else or
        /// was written with another account or for another base URL, as the
        /// [manifest](crate::assets::UploadAll::manifest) of a batch, whose form it has.
        ///
        /// ```no_run
        /// # let client = twelvelabs::TwelveLabs::from_env()?;
        /// let asset = client.assets().upload("holiday.mp4").state_file("holiday.mp4.upload").send()?;
        /// # Ok::<(), twelvelabs::Error>(())
        /// ```
        state_file: some into PathBuf => state_file,
    }

    /// Lets another thread stop the upload.
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.settings.tuning.options.cancel = Some(cancel_handle.clone());
        self
    }

    /// Applies settings to each request. A `deadline` limits the whole upload of a file in chunks, and otherwise each
    /// request; [`max_wait_time`](Self::max_wait_time) limits the wait after it. Additional query and body parameters
    /// are sent only with the request that creates the asset.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.settings.tuning.set_options(request_options);
        self
    }

    when_some!();

    /// Uploads the file, and returns the asset once it is ready.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if the file cannot be read or changes while it is sent. A chunked upload
    /// that fails returns an [`Error::Upload`](crate::Error::Upload), which can be resumed. If the platform cannot
    /// process the asset, the call returns an [`Error::Failed`](crate::Error::Failed); if the asset is not ready in
    /// time, an [`Error::WaitTimeout`](crate::Error::WaitTimeout). Both contain its id.
    pub fn send(mut self) -> Result<Asset> {
        self.pace.check()?;
        self.settings.check()?;
        let progress = &Reporter::new(self.settings.progress.take());
        let await_ready = AwaitReady {
            client: self.client.clone(),
            wait: self.wait,
            pace: self.pace,
            options: self.settings.tuning.options.without_parameters(),
            length: self.source.size(),
            progress: progress.clone(),
        };
        let Some(path) = self.state_file.take() else {
            let uploaded = self.transfer(progress)?;
            return await_ready.send(uploaded);
        };
        let (state, previous) = StateFile::open(&path, &self.client, &self.source, self.settings.resume_anyway)?;
        self.source = state.of_version(self.source);
        let own = self.settings.resume.is_none();
        if let Some(asset_id) = previous.asset_id.filter(|_| own) {
            match await_ready.send(Uploaded { asset_id, asset: None, length: await_ready.length, note: None }) {
                Err(e) if e.status() == Some(404) => log::warn!("{e}; the file is uploaded again"),
                result => return state.ended(result),
            }
        }
        self.sent_at = previous.sent_at.filter(|_| own);
        self.settings.resume = self.settings.resume.or(previous.upload);
        let again = UploadAsset {
            asset: self.asset.clone(),
            threshold: self.threshold,
            settings: TransferSettings {
                tuning: self.settings.tuning.clone(),
                journal: Some(Box::new(state.clone())),
                ..TransferSettings::default()
            },
            ..UploadAsset::new(&self.client, self.source.clone())
        };
        self.settings.journal = Some(Box::new(state.clone()));
        let result = match self.transfer(progress) {
            Err(e) if own && is_hopeless(&e) => {
                log::warn!("{e}; uploading from the start");
                again.transfer(progress)
            }
            result => result,
        };
        if matches!(&result, Err(Error::Upload(e)) if !e.resumable) {
            state.lost();
        }
        let uploaded = result?;
        state.arrived(&uploaded.asset_id);
        state.ended(await_ready.send(uploaded))
    }

    /// Sends the file and does not wait for the asset.
    pub(crate) fn transfer(self, progress: &Reporter) -> Result<Uploaded> {
        let length = self.source.size();
        if self.settings.resume.is_none() && length.is_none_or(|length| length <= self.threshold) {
            return self.direct(length, progress);
        }
        let settings = TransferSettings { progress: progress.callback(), ..self.settings };
        // The platform creates HLS and thumbnails by default for a file in one request but not for a chunked upload.
        // The size of a file should not change its asset, so both are set here.
        let asset = NewAsset {
            enable_hls: self.asset.enable_hls.or(Some(true)),
            enable_thumbnail: self.asset.enable_thumbnail.or(Some(true)),
            ..self.asset
        };
        let result = transfer::upload(&self.client, &self.source, asset, settings)?;
        Ok(Uploaded { asset_id: result.asset_id, asset: None, length, note: None })
    }

    /// Sends the file in one request, unless an earlier attempt has already delivered it.
    fn direct(mut self, length: Option<u64>, progress: &Reporter) -> Result<Uploaded> {
        let (client, owner) = (self.client.clone(), self.owner.take());
        let options = self.settings.tuning.options.clone();
        let name = self.asset.filename.clone().unwrap_or_else(|| self.source.file_name());
        let lost = Lost { client: &client, name: &name, size: length, owner: owner.as_ref(), options: &options };
        let arrived = |asset: Asset, note| {
            progress.state(UploadState::Uploaded, length, &asset.id);
            Uploaded { asset_id: asset.id.clone(), asset: Some(asset), length, note }
        };
        if let Some(sent_at) = self.sent_at.filter(|_| !self.is_absent)
            && let Some(found) = lost.settle(&[sent_at])?.pop().flatten()
        {
            let note = found.note();
            return Ok(arrived(found.asset, note));
        }
        if self.settings.journal.is_some() && self.sent_at.is_none() {
            learn_clock(&client, &options);
        }
        // The time of the first attempt counts, because that attempt may have created the asset.
        let sent_at = self.sent_at.unwrap_or_else(|| SentAt::now(&client));
        if let Some(journal) = &mut self.settings.journal {
            journal.sending(sent_at)?;
        }
        let report = progress.clone();
        let sent = client
            .assets()
            .create(UploadMethod::direct(self.source))
            .request_options(options.clone())
            .when_some(self.asset.filename, |call, filename| call.filename(filename))
            .when_some(self.asset.enable_hls, |call, enable_hls| call.enable_hls(enable_hls))
            .when_some(self.asset.enable_thumbnail, |call, enable_thumbnail| call.enable_thumbnail(enable_thumbnail))
            .when_some(self.asset.user_metadata, |call, metadata| call.user_metadata(metadata))
            .when_some(progress.is_some().then_some(()), |call, ()| {
                call.progress_callback(move |Progress { sent, total }| {
                    report.sending(sent, total);
                })
            })
            .send();
        match sent {
            Ok(asset) => Ok(arrived(asset, None)),
            // The platform may have received the file although its response was lost, so look for the asset.
            Err(e) if e.is_outcome_unknown() && !e.is_canceled() => match lost.find(sent_at) {
                Ok(Some(found)) => {
                    log::warn!("{e}; the file has arrived as asset {}", printable(&found.asset.id, 100));
                    let note = found.note();
                    Ok(arrived(found.asset, note))
                }
                _ => Err(e),
            },
            Err(e) => Err(e),
        }
    }
}

/// Waits until the asset of an uploaded file is ready, if the caller wants that.
struct AwaitReady {
    client: Session,
    wait: bool,
    pace: Pace,
    options: RequestOptions,
    length: Option<u64>,
    progress: Reporter,
}

impl AwaitReady {
    fn send(&self, uploaded: Uploaded) -> Result<Asset> {
        let Uploaded { asset_id, asset, length, note } = uploaded;
        if let Some(note) = note {
            log::warn!("asset {}: {note}", printable(&asset_id, 100));
        }
        let (assets, options) = (self.client.assets(), self.options.clone());
        let asset = match asset {
            Some(asset) if !self.wait => Ok(asset),
            None if !self.wait => assets.retrieve(&asset_id).request_options(options).send(),
            _ => {
                let (polls, id) = (self.progress.clone(), asset_id.clone());
                assets
                    .wait_for_done(&asset_id)
                    .forgive_unknown(MAX_UNKNOWN)
                    .pace(self.pace)
                    .request_options(options)
                    .callback(move |_| polls.state(UploadState::Processing, length, &id))
                    .send()
            }
        };
        // The file has arrived by now, so every error carries the id of its asset.
        let asset = asset.map_err(|e| e.with_asset_id(&asset_id))?;
        if self.wait {
            self.progress.state(UploadState::Ready, length, &asset_id);
        }
        Ok(asset)
    }
}

/// A file that has arrived at the platform.
pub(crate) struct Uploaded {
    pub asset_id: String,
    /// The asset, if the platform has already returned it.
    pub asset: Option<Asset>,
    pub length: Option<u64>,
    /// A remaining doubt, for the caller.
    pub note: Option<String>,
}

impl fmt::Debug for UploadAsset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadAsset")
            .field("source", &self.source)
            .field("threshold", &self.threshold)
            .field("wait", &self.wait)
            .field("state_file", &self.state_file)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
