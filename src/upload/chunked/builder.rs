//! Uploading one file in chunks.

use std::time::Duration;

use serde::Serialize;

use crate::call::json::encode::Metadata;
use crate::call::options::RequestOptions;
use crate::error::Result;
use crate::file::FileSource;
use crate::http::cancel::CancelHandle;
use crate::http::session::Session;
use crate::resources::assets::AssetType;
use crate::resources::multipart_upload::MultipartUploadClient;
use crate::resumable::ResumableUpload;
use crate::upload::chunked::transfer;
use crate::upload::options::{NewAsset, TransferSettings};
use crate::upload::progress::{UploadProgress, UploadResult};

impl MultipartUploadClient {
    /// Uploads a file in chunks, several at a time, straight from the file.
    ///
    /// A chunk that fails is sent again, each time to a new URL. A passing fault costs no more than that, and whatever
    /// else goes wrong ends in an [`Error::Upload`](crate::Error::Upload) that has what it takes to
    /// [`resume`](UploadFile::resume). The file must not change meanwhile. It does not wait until the asset is ready:
    /// [`wait_for_done`](crate::assets::AssetsClient::wait_for_done), or [`upload`](crate::assets::AssetsClient::upload) in place of both.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let result = client
    ///     .multipart_upload()
    ///     .upload_file("holiday.mp4")
    ///     .max_workers(8)
    ///     .progress_callback(|progress| eprintln!("{:.0} %", progress.percentage()))
    ///     .send()?;
    /// println!("{}", result.asset_id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn upload_file(&self, file: impl Into<FileSource>) -> UploadFile {
        UploadFile {
            client: self.0.clone(),
            source: file.into(),
            asset: NewAsset::default(),
            settings: TransferSettings::default(),
        }
    }
}

/// Options of [`MultipartUploadClient::upload_file`].
#[derive(Debug)]
#[must_use = "nothing is sent before `.send()`"]
pub struct UploadFile {
    client: Session,
    source: FileSource,
    asset: NewAsset,
    settings: TransferSettings,
}

impl UploadFile {
    /// The name the platform keeps, instead of the file's.
    pub fn filename(mut self, filename: impl Into<String>) -> Self {
        self.asset.filename = Some(filename.into());
        self
    }

    /// The type of the asset, instead of the one that the file's name stands for (a video if it does not say).
    pub fn file_type(mut self, file_type: impl Into<AssetType>) -> Self {
        self.asset.file_type = Some(file_type.into());
        self
    }

    /// Whether an HLS stream is made of video and audio. The platform's default here is `false`.
    pub fn enable_hls(mut self, enable_hls: bool) -> Self {
        self.asset.enable_hls = Some(enable_hls);
        self
    }

    /// Whether thumbnails are made. The platform's default here is `false`.
    pub fn enable_thumbnail(mut self, enable_thumbnail: bool) -> Self {
        self.asset.enable_thumbnail = Some(enable_thumbnail);
        self
    }

    /// Your own metadata, to find the asset by: strings, numbers, booleans, lists of strings. A resumed upload
    /// has those that it was started with.
    pub fn user_metadata(mut self, user_metadata: impl Serialize) -> Self {
        self.asset.user_metadata = Some(Metadata::new(&user_metadata));
        self
    }

    /// How many chunks are reported at a time: 10 by default.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.settings.tuning.batch_size = batch_size;
        self
    }

    /// How many chunks are sent at a time, each on a connection of its own: 5 by default.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.settings.tuning.max_workers = max_workers;
        self
    }

    /// Called on this thread with the progress, from the moment on at which the session is known.
    pub fn progress_callback(mut self, progress_callback: impl FnMut(&UploadProgress) + Send + 'static) -> Self {
        self.settings.progress = Some(Box::new(progress_callback));
        self
    }

    /// How often a chunk that fails is sent again: 3 times by default.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.settings.tuning.max_retries = Some(max_retries);
        self
    }

    /// The pause before a chunk is sent again: 1 s by default, and twice as long each further time.
    pub fn retry_delay(mut self, retry_delay: Duration) -> Self {
        self.settings.tuning.retry_delay = retry_delay;
        self
    }

    /// Goes on with an earlier upload of the same file and sends only the chunks that the platform lacks.
    ///
    /// Takes an `upload_id`, or better the [`ResumableUpload`] that progress and errors have: it also has what the
    /// platform does not say again. Refused if the size of the file or the number of its chunks does not match, and,
    /// with a [`ResumableUpload`], if the file was changed or replaced since: its chunks would be mixed with those of
    /// another file. See [`resume_anyway`](Self::resume_anyway).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let result = client.multipart_upload().upload_file("holiday.mp4").resume("65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn resume(mut self, upload: impl Into<ResumableUpload>) -> Self {
        self.settings.resume = Some(upload.into());
        self
    }

    /// Whether to go on although the file was changed or replaced since the upload began, as far as its times show: no
    /// by default. Only if you know that its content is the same, as after a copy or a change of its permissions.
    pub fn resume_anyway(mut self, resume_anyway: bool) -> Self {
        self.settings.resume_anyway = resume_anyway;
        self
    }

    /// Lets another thread stop it. What has arrived by then can be resumed.
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.settings.tuning.options.cancel = Some(cancel_handle.clone());
        self
    }

    /// Settings of the requests to the platform. Those that carry the chunks go elsewhere, and only the time limit holds
    /// for them. Additional parameters of the query and the body reach the request that creates the session alone.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.settings.tuning.set_options(request_options);
        self
    }

    when_some!();

    /// Uploads the file.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if an argument cannot be used, and
    /// [`Error::File`](crate::Error::File) if the file cannot be read or changes while it is sent. An error after the
    /// session has started is an [`Error::Upload`](crate::Error::Upload), which carries what is needed to resume it.
    pub fn send(self) -> Result<UploadResult> {
        transfer::upload(&self.client, &self.source, self.asset, self.settings)
    }
}
