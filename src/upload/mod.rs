//! Upload workflows: one file, many files, chunks, and the journal that survives a crash.

pub(crate) mod batch;
pub(crate) mod chunked;
pub(crate) mod journal;
mod options;
pub(crate) mod outcome;
pub(crate) mod progress;
mod reconcile;
mod threads;
pub(crate) mod upload_asset;
pub(crate) mod upload_url;

use std::path::PathBuf;

use crate::file::FileSource;
use crate::http::session::Session;
use crate::resources::assets::{AssetsClient, UploadMethod};
use crate::resources::multipart_upload::MultipartUploadClient;
use crate::upload::batch::builder::UploadAll;
use crate::upload::upload_asset::UploadAsset;
use crate::upload::upload_url::UploadUrl;

impl AssetsClient {
    /// Uploads a file in the way that fits its size, and waits until the asset is ready.
    ///
    /// A file of up to 200 MB is sent in one request. A larger file is sent in parallel chunks, and its upload can be
    /// resumed. Bytes and readers can be uploaded as well; a reader is always sent in one request. For a file at a URL,
    /// use [`upload_url`](Self::upload_url).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let asset = client
    ///     .assets()
    ///     .upload("holiday.mp4")
    ///     .progress_callback(|progress| eprintln!("{:?} {:.0} %", progress.state, progress.percentage()))
    ///     .send()?;
    /// println!("{} is ready", asset.id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn upload(&self, file: impl Into<FileSource>) -> UploadAsset {
        UploadAsset::new(&self.0, file.into())
    }

    /// Lets the platform fetch a file from a public URL, and waits until the asset is ready. The platform's documented
    /// limits are 4 GB for video and audio, 512 MB for a document and 32 MB for an image. The URL must be a direct link
    /// to a raw media file.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let asset = client.assets().upload_url("https://example.com/holiday.mp4").send()?;
    /// println!("{} is ready", asset.id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn upload_url(&self, url: impl Into<String>) -> UploadUrl {
        UploadUrl::new(self, self.create(UploadMethod::url(url)))
    }

    /// Uploads several files at a time, and yields one outcome for each file as soon as it is finished.
    ///
    /// With a [`manifest`](UploadAll::manifest), a later run resumes the batch after a crash or a failure. When the
    /// rate limit is reached, all workers pause together. An exhausted quota ends the batch, with an outcome for every
    /// file.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let files = ["monday.mp4", "tuesday.mp4"];
    /// for outcome in client.assets().upload_all(files).manifest("uploads.jsonl").send()? {
    ///     match outcome.result {
    ///         Ok(asset) => println!("{} is asset {}", outcome.path.display(), asset.id),
    ///         Err(e) => eprintln!("{}: {e}", outcome.path.display()),
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn upload_all<P: Into<PathBuf>>(&self, paths: impl IntoIterator<Item = P>) -> UploadAll {
        UploadAll::new(&self.0, paths.into_iter().map(Into::into).collect())
    }
}

impl Session {
    fn assets(&self) -> AssetsClient {
        AssetsClient(self.clone())
    }

    fn multipart_upload(&self) -> MultipartUploadClient {
        MultipartUploadClient(self.clone())
    }
}
