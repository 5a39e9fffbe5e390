//! An asset that the platform fetches from a URL: the request that creates it, and the wait until it is ready.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::call::options::RequestOptions;
use crate::call::wait::poll::{MAX_UNKNOWN, Pace};
use crate::error::Result;
use crate::http::cancel::CancelHandle;
use crate::resources::assets::{Asset, AssetsClient, CreateAsset};

type Callback = Box<dyn FnMut(&Asset) + Send>;

/// The builder returned by [`AssetsClient::upload_url`]. Nothing is sent before [`send`](Self::send).
#[must_use = "nothing is sent before `.send()`"]
pub struct UploadUrl {
    client: AssetsClient,
    create: CreateAsset,
    pace: Pace,
    options: RequestOptions,
    callback: Option<Callback>,
}

impl UploadUrl {
    pub(super) fn new(client: &AssetsClient, create: CreateAsset) -> Self {
        let client = client.clone();
        UploadUrl { client, create, pace: Pace::default(), options: RequestOptions::default(), callback: None }
    }

    /// Sets the file name that the platform stores, instead of the one in the URL.
    pub fn filename(mut self, filename: impl Into<String>) -> Self {
        self.create = self.create.filename(filename);
        self
    }

    /// Sets whether to create an HLS stream of video and audio. The platform's default is `true`.
    pub fn enable_hls(mut self, enable_hls: bool) -> Self {
        self.create = self.create.enable_hls(enable_hls);
        self
    }

    /// Sets whether to create thumbnails. The platform's default is `true`.
    pub fn enable_thumbnail(mut self, enable_thumbnail: bool) -> Self {
        self.create = self.create.enable_thumbnail(enable_thumbnail);
        self
    }

    /// Sets your own metadata, by which you can find the asset: strings, numbers, booleans or lists of strings.
    pub fn user_metadata(mut self, user_metadata: impl Serialize) -> Self {
        self.create = self.create.user_metadata(user_metadata);
        self
    }

    setters! {
        /// Sets the time between two polls of the asset. By default, it is 0.5 s, 1 s, 2 s and then 5 s.
        sleep_interval: some Duration => pace.sleep_interval,
        /// Limits the wait for the asset after the platform has accepted the URL. The default is one hour.
        max_wait_time: Duration => pace.max_wait_time,
        /// Sets a function that is called with the asset after each poll.
        callback: some boxed(FnMut(&Asset) + Send) => callback,
    }

    /// Lets another thread stop the upload.
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.options.cancel = Some(cancel_handle.clone());
        self
    }

    /// Applies settings to each request. Additional query and body parameters are sent only with the request that
    /// creates the asset.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        let cancel = self.options.cancel.take().or(request_options.cancel.clone());
        self.options = RequestOptions { cancel, ..request_options };
        self
    }

    when_some!();

    /// Lets the platform fetch the file, and returns the asset once it is ready.
    ///
    /// # Errors
    ///
    /// The errors of [`AssetsClient::create`]. If the platform cannot process the asset, the call returns an
    /// [`Error::Failed`](crate::Error::Failed); if the asset is not ready in time, an
    /// [`Error::WaitTimeout`](crate::Error::WaitTimeout). An error after the asset was created contains its id: see
    /// [`Error::asset_id`](crate::Error::asset_id).
    pub fn send(self) -> Result<Asset> {
        self.pace.check()?;
        let asset = self.create.request_options(self.options.clone()).send()?;
        let mut wait = self.client.wait_for_done(&asset.id).forgive_unknown(MAX_UNKNOWN).pace(self.pace);
        if let Some(callback) = self.callback {
            wait = wait.callback(callback);
        }
        wait.request_options(self.options.without_parameters()).send().map_err(|e| e.with_asset_id(&asset.id))
    }
}

impl fmt::Debug for UploadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadUrl").field("create", &self.create).field("pace", &self.pace).finish_non_exhaustive()
    }
}
