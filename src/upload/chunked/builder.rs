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
    /// Uploads a file in parallel chunks, which are read directly from the file.
    ///
    /// A failed chunk is retried, each time with a new URL. Any error that remains is an
    /// [`Error::Upload`](crate::Error::Upload), which contains what is needed to [`resume`](UploadFile::resume). The
    /// file must not change during the upload. The call does not wait until the asset is ready: call
    /// [`wait_for_done`](crate::assets::AssetsClient::wait_for_done) afterwards, or use
    /// [`upload`](crate::assets::AssetsClient::upload), which does both.
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
    /// Sets the file name of the asset, instead of the name of the file.
    pub fn filename(mut self, filename: impl Into<String>) -> Self {
        self.asset.filename = Some(filename.into());
        self
    }

    /// Sets the type of the asset, instead of deriving it from the file name (which falls back to video).
    pub fn file_type(mut self, file_type: impl Into<AssetType>) -> Self {
        self.asset.file_type = Some(file_type.into());
        self
    }

    /// Sets whether to create an HLS stream of a video or audio file. The platform's default for chunked uploads is
    /// `false`.
    pub fn enable_hls(mut self, enable_hls: bool) -> Self {
        self.asset.enable_hls = Some(enable_hls);
        self
    }

    /// Sets whether to create thumbnails. The platform's default for chunked uploads is `false`.
    pub fn enable_thumbnail(mut self, enable_thumbnail: bool) -> Self {
        self.asset.enable_thumbnail = Some(enable_thumbnail);
        self
    }

    /// Sets your own metadata, by which you can find the asset: strings, numbers, booleans or lists of strings. A
    /// resumed upload keeps the metadata with which it was started.
    pub fn user_metadata(mut self, user_metadata: impl Serialize) -> Self {
        self.asset.user_metadata = Some(Metadata::new(&user_metadata));
        self
    }

    /// Sets how many chunks are reported to the platform at a time. The default is 10.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.settings.tuning.batch_size = batch_size;
        self
    }

    /// Sets how many chunks are sent at a time, each on its own connection. The default is 5.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.settings.tuning.max_workers = max_workers;
        self
    }

    /// Sets a function that is called with the progress on the calling thread, once the session is known.
    pub fn progress_callback(mut self, progress_callback: impl FnMut(&UploadProgress) + Send + 'static) -> Self {
        self.settings.progress = Some(Box::new(progress_callback));
        self
    }

    /// Sets how often a failed chunk is retried. The default is 3.
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.settings.tuning.max_retries = Some(max_retries);
        self
    }

    /// Sets the pause before the first retry of a chunk. The default is 1 s. The pause doubles with each further retry.
    pub fn retry_delay(mut self, retry_delay: Duration) -> Self {
        self.settings.tuning.retry_delay = retry_delay;
        self
    }

    /// Resumes an earlier upload of the same file, and sends only the missing chunks.
    ///
    /// Pass the [`ResumableUpload`] from the progress or the error. An `upload_id` works as well, but lacks details
    /// that the platform sends only once. The upload is refused if the size of the file or the number of its chunks
    /// does not match. With a [`ResumableUpload`], it is also refused if the file was changed or replaced since the
    /// upload began, because the asset would mix chunks of two files. See [`resume_anyway`](Self::resume_anyway).
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

    /// Resumes although the file's metadata says that it was changed or replaced since the upload began. The default is
    /// `false`. Use this only if you know that the content is the same, for example after a copy or a change of
    /// permissions.
    pub fn resume_anyway(mut self, resume_anyway: bool) -> Self {
        self.settings.resume_anyway = resume_anyway;
        self
    }

    /// Lets another thread stop the upload, which can then be resumed.
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.settings.tuning.options.cancel = Some(cancel_handle.clone());
        self
    }

    /// Applies settings to the requests to the platform. The requests that carry the chunks go to the storage, and only
    /// the time limit applies to them. Additional query and body parameters are sent only with the request that creates
    /// the session.
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
    /// session has started is an [`Error::Upload`](crate::Error::Upload), which contains what is needed to resume the
    /// upload.
    pub fn send(self) -> Result<UploadResult> {
        transfer::upload(&self.client, &self.source, self.asset, self.settings)
    }
}
