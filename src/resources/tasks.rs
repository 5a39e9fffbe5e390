//! Tasks: uploading and indexing a video in one go, the older way.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::list::pager::SyncPager;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{Progressing, Waitable};
use crate::call::wait::status_list::StatusList;
use crate::call::{Call, RequestOptions, texts};
use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::body::Progress;
use crate::http::session::Session;
use crate::types::{BulkOutcome, DateFilter, HlsObject, SortBy, SortOption, VideoSystemMetadata};

const LIMIT: u64 = 2_000_000_000;
const HINT: &str = "the platform documents 2 GB for the video of a task; upload a larger one with `assets().upload(…)` \
     and index it with `indexes().indexed_assets().create(…)`";

/// Uploads and indexes videos in one go, see [`TwelveLabs::tasks`](crate::TwelveLabs::tasks).
///
/// The platform plans to remove this way: upload with [`AssetsClient`](crate::assets::AssetsClient) and index with
/// [`IndexedAssetsClient`](crate::indexes::IndexedAssetsClient) instead.
#[derive(Debug, Clone)]
pub struct TasksClient(pub(crate) Session);

impl TasksClient {
    /// Uploads a video and indexes it. Give exactly one of [`video_file`](CreateVideoIndexingTask::video_file) and
    /// [`video_url`](CreateVideoIndexingTask::video_url).
    ///
    /// It returns while the platform is still at work: [`wait_for_done`](Self::wait_for_done) before you search. The
    /// documented limit is 2 GB.
    ///
    /// A file that cannot be read, is empty, or changes while it is sent is an [`Error::File`].
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
    /// There is one outcome for each video, the files first and then the URLs, in the order in which they were given.
    /// A video that fails does not stop the rest.
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

    /// Gets one task.
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

    /// Deletes a task for good.
    ///
    /// The platform deletes only tasks that are ready or failed. Of a ready one, delete the video first:
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
    /// A failed task is an [`Error::Failed`].
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

    /// Waits until all of these tasks are done, on one thread, and gives each as soon as it is: see
    /// [`WaitAll`](crate::WaitAll).
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
    /// Options of [`TasksClient::create`].
    CreateVideoIndexingTask -> VideoIndexingTask {
        /// Whether an HLS stream is kept: see [`VideoIndexingTask::hls`].
        form enable_video_stream: bool,
        /// A video that this program sends: a path, or any [`FileSource`].
        file video_file: into FileSource,
        /// A video that the platform fetches from a public URL.
        form_url video_url: into String,
        /// Your own metadata, to find the video by: strings, numbers, booleans, lists of strings.
        form user_metadata: object,
    }
}

impl CreateVideoIndexingTask {
    /// Called as the file is sent, with the bytes so far. Starts over if the upload is repeated.
    pub fn progress_callback(mut self, progress_callback: impl FnMut(Progress) + Send + 'static) -> Self {
        self.0.progress = Some(Arc::new(Mutex::new(progress_callback)));
        self
    }
}

request! {
    /// Options of [`TasksClient::list`].
    ListVideoIndexingTasks -> SyncPager<VideoIndexingTask> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
        /// What to sort by. The platform's default is the time of creation.
        query sort_by: into SortBy,
        /// The direction. The platform's default is the newest first.
        query sort_option: into SortOption,
        /// Only tasks of this index.
        query index_id: into String,
        /// Only tasks in one of these states.
        query status: [VideoIndexingTaskStatus],
        /// Only tasks of this file name.
        query filename: into String,
        /// Only tasks of videos of exactly this duration, in seconds.
        query duration: f64,
        /// Only tasks of videos of exactly this width, in pixels.
        query width: i64,
        /// Only tasks of videos of exactly this height, in pixels.
        query height: i64,
        /// Only tasks created at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query created_at: into DateFilter,
        /// Only tasks changed at this time or later: an [`OffsetDateTime`], or RFC 3339 text.
        query updated_at: into DateFilter,
    }
}

/// Several videos to upload and index. Nothing happens before [`send`](CreateVideoIndexingTasks::send).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `.send()`"]
pub struct CreateVideoIndexingTasks {
    tasks: TasksClient,
    index_id: String,
    video_files: Vec<FileSource>,
    video_urls: Vec<String>,
    enable_video_stream: Option<bool>,
    request_options: RequestOptions,
}

impl CreateVideoIndexingTasks {
    /// Videos that this program sends: paths, or any [`FileSource`].
    pub fn video_files(mut self, video_files: impl IntoIterator<Item = impl Into<FileSource>>) -> Self {
        self.video_files.extend(video_files.into_iter().map(Into::into));
        self
    }

    /// Videos that the platform fetches from public URLs.
    pub fn video_urls(mut self, video_urls: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.video_urls.extend(texts(video_urls));
        self
    }

    /// Whether HLS streams are kept: see [`VideoIndexingTask::hls`].
    pub fn enable_video_stream(mut self, enable_video_stream: bool) -> Self {
        self.enable_video_stream = Some(enable_video_stream);
        self
    }

    /// Settings for each of the uploads.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.request_options = request_options;
        self
    }

    when_some!();

    /// Uploads all videos, and returns one outcome for each.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if there is no video. What happens to one video is in its outcome.
    #[inline]
    pub fn send(self) -> Result<Vec<BulkOutcome<VideoIndexingTask>>> {
        let CreateVideoIndexingTasks { tasks, index_id, video_files, video_urls, .. } = self;
        if video_files.is_empty() && video_urls.is_empty() {
            return Err(Error::invalid("video_files or video_urls", "are missing; give at least one video"));
        }
        let create = || {
            tasks
                .create(&index_id)
                .when_some(self.enable_video_stream, CreateVideoIndexingTask::enable_video_stream)
                .request_options(self.request_options.clone())
        };
        let files = video_files.into_iter().map(|file| (file.label().display().to_string(), create().video_file(file)));
        let urls = video_urls.into_iter().map(|url| (url.clone(), create().video_url(url)));
        Ok(files.chain(urls).map(|(source, task)| BulkOutcome { source, result: task.send() }).collect())
    }
}

open_enum! {
    /// The status of a video indexing task.
    VideoIndexingTaskStatus {
        /// The video can be searched.
        Ready = "ready",
        /// The platform is fetching the video.
        Uploading = "uploading",
        /// Checked against what the models take.
        Validating = "validating",
        /// Not started.
        Pending = "pending",
        /// Waiting for its turn.
        Queued = "queued",
        /// In progress.
        Indexing = "indexing",
        /// The video could not be indexed.
        Failed = "failed",
    }
}

/// A video that is uploaded and indexed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoIndexingTask {
    /// The id of the task.
    #[serde(rename = "_id")]
    pub id: String,
    /// The video that it makes.
    pub video_id: Option<String>,
    /// The index that the video is for.
    pub index_id: Option<String>,
    /// Its status.
    pub status: Option<VideoIndexingTaskStatus>,
    /// When it was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When its state last changed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// What the platform read from the file.
    pub system_metadata: Option<VideoSystemMetadata>,
    /// The same, in older answers.
    pub metadata: Option<VideoSystemMetadata>,
    /// The HLS stream, if one is kept.
    pub hls: Option<HlsObject>,
}

impl Waitable for VideoIndexingTask {
    const RESOURCE: &'static str = "task";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn progressing(&self) -> Progressing {
        match &self.status {
            Some(VideoIndexingTaskStatus::Ready) => Progressing::Done,
            Some(VideoIndexingTaskStatus::Failed) => Progressing::Failed(None),
            _ => Progressing::Working,
        }
    }
}
