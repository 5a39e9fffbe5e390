//! Uploading one file in chunks.

use std::time::Duration;

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

/// The builder returned by [`MultipartUploadClient::upload_file`].
#[derive(Debug)]
#[must_use = "nothing is sent before `.send()`"]
pub struct UploadFile {
    client: Session,
    source: FileSource,
    asset: NewAsset,
    settings: TransferSettings,
}

impl UploadFile {
    setters! {
        /// Sets the file name of the asset, instead of the name of the file.
        filename: some into String => asset.filename,
        /// Sets the type of the asset, instead of deriving it from the file name (which falls back to video).
        file_type: some into AssetType => asset.file_type,
        /// Sets whether to create an HLS stream of a video or audio file. The platform's default for chunked uploads is
        /// `false`.
        enable_hls: some bool => asset.enable_hls,
        /// Sets whether to create thumbnails. The platform's default for chunked uploads is `false`.
        enable_thumbnail: some bool => asset.enable_thumbnail,
        /// Sets your own metadata, by which you can find the asset: strings, numbers, booleans or lists of strings. A
        /// resumed upload keeps the metadata with which it was started.
        user_metadata: some metadata => asset.user_metadata,
        /// Sets how many chunks are reported to the platform at a time. The default is 10.
        batch_size: usize => settings.tuning.batch_size,
        /// Sets how many chunks are sent at a time, each on its own connection. The default is 5.
        max_workers: usize => settings.tuning.max_workers,
        /// Sets a function that is called with the progress on the calling thread, once the session is known.
        progress_callback: some boxed(FnMut(&UploadProgress) + Send) => settings.progress,
        /// Sets how often a failed chunk is retried. The default is 3.
        max_retries: some u32 => settings.tuning.max_retries,
        /// Sets the pause before the first retry of a chunk. The default is 1 s. The pause doubles with each further
        /// retry.
        retry_delay: Duration => settings.tuning.retry_delay,
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
        resume: some into ResumableUpload => settings.resume,
        /// Resumes although the file's metadata says that it was changed or replaced since the upload began. The
        /// default is `false`. Use this only if you know that the content is the same, for example after a copy or a
        /// change of permissions.
        resume_anyway: bool => settings.resume_anyway,
    }

    /// Lets another thread stop the upload, which can then be resumed.
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.settings.tuning.options.cancel = Some(cancel_handle.clone());
        self
    }

    /// Applies settings to the requests to the platform. The requests that carry the chunks go to the storage, and only
    /// the time limits apply to them. A `deadline` limits the whole upload, with all its chunks, and the error at its
    /// end can be resumed. Additional query and body parameters are sent only with the request that creates the
    /// session.
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
        self.settings.check()?;
        transfer::upload(&self.client, &self.source, self.asset, self.settings)
    }
}
