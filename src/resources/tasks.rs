//! Tasks: the older way to upload and index a video in one call.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::call::wait::status_list::StatusList;
use crate::call::{Call, RequestOptions, texts};
use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::body::Progress;
use crate::http::session::Session;
use crate::types::{BulkOutcome, DateFilter, HlsObject, SortBy, SortOption, VideoSystemMetadata, in_bulk};

const LIMIT: u64 = 2_000_000_000;
const HINT: &str = "the documented limit for the video of a task is 2 GB; upload a larger one with \
     `assets().upload(…)` and index it with `indexes().indexed_assets().create(…)`";

/// Uploads and indexes videos in one call each. Returned by [`TwelveLabs::tasks`](crate::TwelveLabs::tasks).
///
/// The platform plans to remove these endpoints. Upload with [`AssetsClient`](crate::assets::AssetsClient) and index
/// with [`IndexedAssetsClient`](crate::indexes::IndexedAssetsClient) instead.
#[derive(Debug, Clone)]
pub struct TasksClient(pub(crate) Session);

impl TasksClient {
    /// Uploads and indexes a video. Set exactly one of [`video_file`](CreateVideoIndexingTask::video_file) and
    /// [`video_url`](CreateVideoIndexingTask::video_url).
    ///
    /// The call returns before the video is indexed. Call [`wait_for_done`](Self::wait_for_done) before you search. The
    /// platform's documented limit is 2 GB.
    ///
    /// A file that cannot be read, is empty, or changes while it is being sent returns an [`Error::File`].
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.tasks().create("65a…").video_file("holiday.mp4").send()?;
    /// let task = client.tasks().wait_for_done(&task.id).send()?;
    /// println!("{:?}", task.video_id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, index_id: &str) -> CreateVideoIndexingTask {
        let request = self.0.post(&["tasks"]).slow().size_limit(LIMIT, HINT);
        let mut request = request.one_of(["video_file", "video_url"]);
        request.form("index_id", index_id);
        request.into()
    }

    /// Uploads and indexes several videos, one after the other.
    ///
    /// The result has one outcome for each video: first the files, then the URLs, each in the order given. A video that
    /// fails does not stop the others, unless the platform would refuse all of them: see [`BulkOutcome`].
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for outcome in client.tasks().create_bulk("65a…").video_files(["a.mp4", "b.mp4"]).send()? {
    ///     match outcome.result {
    ///         Ok(task) => println!("{}: task {}", outcome.source, task.id),
    ///         Err(e) => eprintln!("{}: {e}", outcome.source),
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn create_bulk(&self, index_id: &str) -> CreateVideoIndexingTasks {
        CreateVideoIndexingTasks {
            tasks: self.clone(),
            index_id: index_id.into(),
            video_files: Vec::new(),
            video_urls: Vec::new(),
            enable_video_stream: None,
            request_options: RequestOptions::new(),
        }
    }

    /// Lists the tasks of the account, newest first.
    ///
    /// ```no_run
    /// use twelvelabs::tasks::VideoIndexingTaskStatus;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for task in client.tasks().list().index_id("65a…").status([VideoIndexingTaskStatus::Failed]).send()? {
    ///     println!("{}", task?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListVideoIndexingTasks {
        self.0.get(&["tasks"]).into()
    }

    /// Gets a task.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.tasks().retrieve("65f…").send()?;
    /// println!("{:?}", task.status);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, task_id: &str) -> Call<VideoIndexingTask> {
        self.0.get(&["tasks", task_id]).into()
    }

    /// Deletes a task permanently.
    ///
    /// The platform deletes only tasks that are ready or failed. Delete the video of a ready task first, with
    /// [`VideosClient::delete`](crate::indexes::VideosClient::delete).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.tasks().delete("65f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, task_id: &str) -> Call<()> {
        self.0.delete(&["tasks", task_id]).into()
    }

    /// Waits until a video is indexed, and returns its task.
    ///
    /// A task that fails returns an [`Error::Failed`].
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.tasks().wait_for_done("65f…").callback(|task| eprintln!("{:?}", task.status)).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, task_id: &str) -> Wait<VideoIndexingTask> {
        Wait::new(self.0.get(&["tasks", task_id]), task_id)
    }

    /// Waits for several tasks on one thread and yields each as soon as it is done. See [`WaitAll`](crate::WaitAll).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (id, result) in client.tasks().wait_for_all(["65f…", "660…"]).send()? {
    ///     println!("{id}: {}", if result.is_ok() { "ready" } else { "failed" });
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_all<I: AsRef<str>>(&self, ids: impl IntoIterator<Item = I>) -> WaitAll<VideoIndexingTask> {
        let list = self.0.get(&["tasks"]);
        let unfinished = &["uploading", "validating", "pending", "queued", "indexing"];
        WaitAll::new(&self.0, ids, |id| self.0.get(&["tasks", id])).with_list(StatusList::by_status(list, unfinished))
    }
}

request! {
    /// The builder returned by [`TasksClient::create`].
    CreateVideoIndexingTask -> VideoIndexingTask {
        /// Sets whether to keep an HLS stream: see [`VideoIndexingTask::hls`].
        form enable_video_stream: bool,
        /// Sets a video that this program sends: a path, or any [`FileSource`].
        file video_file: into FileSource,
        /// Sets a video that the platform fetches from a public URL.
        form_url video_url: into String,
        /// Sets your own metadata, to find the video by: strings, numbers, booleans or lists of strings.
        form user_metadata: object,
    }
}

impl CreateVideoIndexingTask {
    /// Sets a function that is called with the number of bytes sent so far while the file is being sent. The count
    /// restarts if the request is retried.
    pub fn progress_callback(mut self, progress_callback: impl FnMut(Progress) + Send + 'static) -> Self {
        self.0 = self.0.progress(progress_callback);
        self
    }
}

request! {
    /// The builder returned by [`TasksClient::list`].
    ListVideoIndexingTasks -> SyncPager<VideoIndexingTask> {
        paging,
        /// Sets the field to sort by. The platform's default is the time of creation.
        query sort_by: into SortBy,
        /// Sets the sort direction. The platform's default is newest first.
        query sort_option: into SortOption,
        /// Restricts the results to tasks of this index.
        query index_id: into String,
        /// Restricts the results to tasks in one of these states.
        query status: [VideoIndexingTaskStatus],
        /// Restricts the results to tasks with this file name.
        query filename: into String,
        /// Restricts the results to tasks of videos of exactly this duration, in seconds.
        query duration: f64,
        /// Restricts the results to tasks of videos of exactly this width, in pixels.
        query width: i64,
        /// Restricts the results to tasks of videos of exactly this height, in pixels.
        query height: i64,
        /// Restricts the results to tasks created at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query created_at: into DateFilter,
        /// Restricts the results to tasks changed at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query updated_at: into DateFilter,
    }
}

/// Several videos to upload and index. Nothing is sent before [`send`](CreateVideoIndexingTasks::send). `Debug` shows
/// URLs without their queries, which may be signatures.
#[derive(Clone)]
#[must_use = "nothing is sent before `.send()`"]
pub struct CreateVideoIndexingTasks {
    tasks: TasksClient,
    index_id: String,
    video_files: Vec<FileSource>,
    video_urls: Vec<String>,
    enable_video_stream: Option<bool>,
    request_options: RequestOptions,
}

masked_debug! {
    CreateVideoIndexingTasks {
        tasks, index_id, video_files, video_urls: masked, enable_video_stream, request_options,
    }
}

impl CreateVideoIndexingTasks {
    /// Adds videos that this program sends: paths, or any [`FileSource`].
    pub fn video_files(mut self, video_files: impl IntoIterator<Item = impl Into<FileSource>>) -> Self {
        self.video_files.extend(video_files.into_iter().map(Into::into));
        self
    }

    /// Adds videos that the platform fetches from public URLs.
    pub fn video_urls(mut self, video_urls: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.video_urls.extend(texts(video_urls));
        self
    }

    setters! {
        /// Sets whether to keep HLS streams: see [`VideoIndexingTask::hls`].
        enable_video_stream: some bool => enable_video_stream,
        /// Applies settings to each upload.
        request_options: RequestOptions => request_options,
    }

    when_some!();

    /// Uploads all videos, and returns one outcome for each.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if there is no video. The error of a single video is in its outcome.
    #[inline]
    pub fn send(self) -> Result<Vec<BulkOutcome<VideoIndexingTask>>> {
        let CreateVideoIndexingTasks { tasks, index_id, video_files, video_urls, .. } = self;
        if video_files.is_empty() && video_urls.is_empty() {
            return Err(Error::invalid("video_files or video_urls", "must contain at least one video"));
        }
        let create = || {
            tasks
                .create(&index_id)
                .when_some(self.enable_video_stream, CreateVideoIndexingTask::enable_video_stream)
                .request_options(self.request_options.clone())
        };
        let files = video_files.into_iter().map(|file| (file.label().display().to_string(), create().video_file(file)));
        let urls = video_urls.into_iter().map(|url| (url.clone(), create().video_url(url)));
        Ok(in_bulk(files.chain(urls).map(|(source, task)| (source, || task.send()))))
    }
}

open_enum! {
    /// The status of a video indexing task.
    VideoIndexingTaskStatus {
        /// The video can be searched.
        Ready = "ready",
        /// The platform is fetching the video.
        Uploading = "uploading",
        /// The platform is checking the video against the limits of the models.
        Validating = "validating",
        /// The indexing has not started yet.
        Pending = "pending",
        /// The indexing is queued.
        Queued = "queued",
        /// The indexing is in progress.
        Indexing = "indexing",
        /// The video could not be indexed.
        Failed = "failed",
    }
}

/// The upload and indexing of a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoIndexingTask {
    /// The id of the task.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The id of the resulting video.
    pub video_id: Option<String>,
    /// The index that the video is for.
    pub index_id: Option<String>,
    /// The status of the task.
    pub status: Option<VideoIndexingTaskStatus>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change of the status.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// The metadata that the platform read from the file.
    pub system_metadata: Option<VideoSystemMetadata>,
    /// The same as `system_metadata`, in older responses.
    pub metadata: Option<VideoSystemMetadata>,
    /// The HLS stream, if there is one.
    pub hls: Option<HlsObject>,
}

impl Pollable for VideoIndexingTask {
    const RESOURCE: &'static str = "task";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(VideoIndexingTaskStatus::Ready) => PollStatus::Done,
            Some(VideoIndexingTaskStatus::Failed) => PollStatus::Failed(None),
            _ => PollStatus::Working,
        }
    }
}
