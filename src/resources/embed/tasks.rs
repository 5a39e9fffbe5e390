//! The older embedding tasks: vectors of a video, made in the background.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::call::json::encode::Fields;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::call::wait::status_list::StatusList;
use crate::call::{Call, RequestOptions};
use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::session::Session;
use crate::resources::assets::UploadMethod;
use crate::types::{BulkOutcome, DateFilter, EmbeddingOption, EmbeddingScope, in_bulk};

use super::{EmbeddingResult, EmbeddingTaskStatus};

const LIMIT: u64 = 2_000_000_000;
const HINT: &str = "the documented limit for the video of an embedding task is 2 GB; \
     upload a larger one as an asset and embed it with `embed().v2().tasks()`";

/// Creates and manages embedding tasks through the platform's older endpoints. Returned by
/// [`EmbedClient::tasks`](super::EmbedClient::tasks).
///
/// The platform plans to remove these endpoints. Use [`v2().tasks()`](super::EmbedV2TasksClient) instead. The platform
/// keeps vectors for seven days.
#[derive(Debug, Clone)]
pub struct EmbedTasksClient(pub(crate) Session);

impl EmbedTasksClient {
    /// Lists the tasks, newest first: those of the last seven days, if no times are given.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for task in client.embed().tasks().list().status("ready").send()? {
    ///     println!("{}", task?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListEmbedTasks {
        self.0.get(&["embed", "tasks"]).into()
    }

    /// Starts embedding a video. Set exactly one of [`video_file`](CreateEmbedTask::video_file) and
    /// [`video_url`](CreateEmbedTask::video_url). The platform's documented limit is 2 GB.
    ///
    /// The call returns before the vectors exist. Call [`wait_for_done`](Self::wait_for_done), then
    /// [`retrieve`](Self::retrieve). A file that cannot be read, is empty, or changes while it is being sent returns an
    /// [`Error::File`].
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let tasks = client.embed().tasks();
    /// let task = tasks.create("marengo3.0").video_file("holiday.mp4").video_clip_length(5.0).send()?;
    /// tasks.wait_for_done(&task.id).send()?;
    /// let vectors = tasks.retrieve(&task.id).send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, model_name: impl Into<String>) -> CreateEmbedTask {
        let request = self.0.post(&["embed", "tasks"]).slow().size_limit(LIMIT, HINT);
        let mut request = request.one_of(["video_file", "video_url"]);
        request.form("model_name", &model_name.into());
        request.into()
    }

    /// Starts embedding several videos, one after the other.
    ///
    /// Returns one outcome for each video, in the order given. A video that fails does not stop the rest.
    ///
    /// ```no_run
    /// use twelvelabs::embed::EmbedTaskVideo;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let videos = ["a.mp4", "b.mp4"].map(|path| EmbedTaskVideo::video_file(path).video_clip_length(5.0));
    /// for outcome in client.embed().tasks().create_bulk("marengo3.0", videos).send()? {
    ///     match outcome.result {
    ///         Ok(task) => println!("{}: task {}", outcome.source, task.id),
    ///         Err(e) => eprintln!("{}: {e}", outcome.source),
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn create_bulk(
        &self,
        model_name: impl Into<String>,
        videos: impl IntoIterator<Item = EmbedTaskVideo>,
    ) -> CreateEmbedTasks {
        CreateEmbedTasks {
            tasks: self.clone(),
            model_name: model_name.into(),
            videos: videos.into_iter().collect(),
            request_options: RequestOptions::new(),
        }
    }

    /// Gets the status of a task, without its vectors.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// println!("{:?}", client.embed().tasks().status("66f…").send()?.status);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn status(&self, task_id: &str) -> Call<MediaEmbeddingTask> {
        self.0.get(&["embed", "tasks", task_id, "status"]).into()
    }

    /// Gets a task with its vectors, once it is ready.
    ///
    /// ```no_run
    /// use twelvelabs::types::EmbeddingOption;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.embed().tasks().retrieve("66f…").embedding_option([EmbeddingOption::Visual]).send()?;
    /// for clip in task.video_embedding.and_then(|video| video.segments).unwrap_or_default() {
    ///     println!("{:?} to {:?}: {:?}", clip.start_offset_sec, clip.end_offset_sec, clip.float);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, task_id: &str) -> RetrieveEmbedTask {
        self.0.get(&["embed", "tasks", task_id]).into()
    }

    /// Waits until a task is ready, and returns its status. [`retrieve`](Self::retrieve) returns the vectors.
    ///
    /// A task that fails returns an [`Error::Failed`].
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.embed().tasks().wait_for_done("66f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, task_id: &str) -> Wait<MediaEmbeddingTask> {
        Wait::new(self.0.get(&["embed", "tasks", task_id, "status"]), task_id)
    }

    /// Waits for several tasks on one thread and yields each as soon as it is done. See [`WaitAll`](crate::WaitAll).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (id, result) in client.embed().tasks().wait_for_all(["65f…", "660…"]).send()? {
    ///     println!("{id}: {}", if result.is_ok() { "ready" } else { "failed" });
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_all<I: AsRef<str>>(&self, ids: impl IntoIterator<Item = I>) -> WaitAll<MediaEmbeddingTask> {
        let list = StatusList::by_status(self.0.get(&["embed", "tasks"]), &["processing"]);
        WaitAll::new(&self.0, ids, |id| self.0.get(&["embed", "tasks", id, "status"])).with_list(list)
    }
}

request! {
    /// The builder returned by [`EmbedTasksClient::list`] and [`EmbedV2TasksClient::list`](super::EmbedV2TasksClient::list).
    ListEmbedTasks -> SyncPager<MediaEmbeddingTask> {
        /// Restricts the results to tasks created after this time: an [`OffsetDateTime`], or RFC 3339 text.
        query started_at: into DateFilter,
        /// Restricts the results to tasks created before this time: an [`OffsetDateTime`], or RFC 3339 text.
        query ended_at: into DateFilter,
        /// Restricts the results to tasks in this state.
        query status: into EmbeddingTaskStatus,
        paging,
    }
}

request! {
    /// The builder returned by [`EmbedTasksClient::create`].
    CreateEmbedTask -> MediaEmbeddingTask {
        /// Sets a video that this program sends: a path, or any [`FileSource`].
        file video_file: into FileSource,
        /// Sets a video that the platform fetches from a public URL.
        form_url video_url: into String,
        /// Sets the start of the part to embed, in seconds. The platform's default is 0. It also requires the end.
        form video_start_offset_sec: f64,
        /// Sets the end of the part to embed, in seconds. The platform also requires the start.
        form video_end_offset_sec: f64,
        /// Sets the length of a clip in seconds: 2 to 10. The platform's default is 6.
        form video_clip_length: f64,
        /// Sets the scopes of the vectors: clips, which is the platform's default, or also the whole video.
        form video_embedding_scope: [EmbeddingScope],
    }
}

request! {
    /// The builder returned by [`EmbedTasksClient::retrieve`].
    RetrieveEmbedTask -> MediaEmbeddingTask {
        /// Sets the vectors to return. By default, the platform returns all of them.
        query embedding_option: [EmbeddingOption],
    }
}

/// Several videos to embed. Nothing is sent before [`send`](CreateEmbedTasks::send).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `.send()`"]
pub struct CreateEmbedTasks {
    tasks: EmbedTasksClient,
    model_name: String,
    videos: Vec<EmbedTaskVideo>,
    request_options: RequestOptions,
}

impl CreateEmbedTasks {
    setters! {
        /// Applies settings to each call.
        request_options: RequestOptions => request_options,
    }

    when_some!();

    /// Sends all videos and returns one outcome for each.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if there is no video. The error of a single video is in its outcome.
    #[inline]
    pub fn send(self) -> Result<Vec<BulkOutcome<MediaEmbeddingTask>>> {
        if self.videos.is_empty() {
            return Err(Error::invalid("videos", "is empty; give at least one video"));
        }
        let create = |video: EmbedTaskVideo| {
            let task = self.tasks.create(self.model_name.as_str()).request_options(self.request_options.clone());
            let (source, mut task) = match video.1 {
                UploadMethod::Direct(file) => (file.label().display().to_string(), task.video_file(file)),
                UploadMethod::Url(url) => (url.clone(), task.video_url(url)),
            };
            match video.0.checked() {
                // The options have the same order as in a call for a single video.
                Ok(fields) => VIDEO_OPTIONS.iter().for_each(|name| {
                    fields.get(*name).into_iter().for_each(|value| task.0.form(name, value));
                }),
                Err(why) => task.0.reject("videos", why),
            }
            (source, || task.send())
        };
        Ok(in_bulk(self.videos.into_iter().map(create)))
    }
}

const VIDEO_OPTIONS: [&str; 4] =
    ["video_start_offset_sec", "video_end_offset_sec", "video_clip_length", "video_embedding_scope"];

/// A video for [`EmbedTasksClient::create_bulk`], with its own options.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct EmbedTaskVideo(Fields, UploadMethod);

impl EmbedTaskVideo {
    /// Names a video that this program sends: a path, or any [`FileSource`].
    pub fn video_file(video_file: impl Into<FileSource>) -> Self {
        Self(Fields::default(), UploadMethod::direct(video_file))
    }

    /// Names a video that the platform fetches from a public URL.
    pub fn video_url(video_url: impl Into<String>) -> Self {
        Self(Fields::default(), UploadMethod::url(video_url))
    }

    input!(@options
        /// See [`CreateEmbedTask::video_start_offset_sec`].
        video_start_offset_sec: f64,
        /// See [`CreateEmbedTask::video_end_offset_sec`].
        video_end_offset_sec: f64,
        /// See [`CreateEmbedTask::video_clip_length`].
        video_clip_length: f64,
        /// See [`CreateEmbedTask::video_embedding_scope`].
        video_embedding_scope: [EmbeddingScope],
    );

    /// Returns the value of an option.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    when_some!();
}

/// An embedding task, as the older calls and the lists return it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MediaEmbeddingTask {
    /// The id of the task.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The model that creates the vectors.
    pub model_name: Option<String>,
    /// The status of the task.
    pub status: Option<EmbeddingTaskStatus>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// The result for a video. [`retrieve`](EmbedTasksClient::retrieve) returns its vectors here.
    pub video_embedding: Option<EmbeddingResult>,
    /// The result for an audio file.
    pub audio_embedding: Option<EmbeddingResult>,
    /// The result for a document.
    pub document_embedding: Option<EmbeddingResult>,
    /// The result for an image.
    pub image_embedding: Option<EmbeddingResult>,
}

impl Pollable for MediaEmbeddingTask {
    const RESOURCE: &'static str = "embedding task";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(EmbeddingTaskStatus::Ready) => PollStatus::Done,
            Some(EmbeddingTaskStatus::Failed) => PollStatus::Failed(None),
            _ => PollStatus::Working,
        }
    }
}
