//! Tasks: analyses of one video or some images each.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{AnalysisMode, AnalyzeTaskResult, AnalyzeWebhookInfo, MaxTokens};
use crate::call::Call;
use crate::call::list::pager::SyncPager;
use crate::call::request::IDEMPOTENCY_KEY;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{Progressing, Waitable};
use crate::http::session::Session;
use crate::resources::analyze::{
    AnalyzeError, AnalyzeImageInput, AnalyzeModelName, AnalyzePromptV2, ResponseFormat, SmeMediaSource, VideoContext,
};

/// Analyses videos and images in the background, see
/// [`AnalyzeAsyncClient::tasks`](crate::analyze_async::AnalyzeAsyncClient::tasks).
#[derive(Debug, Clone)]
pub struct AnalyzeTasksClient(pub(crate) Session);

impl AnalyzeTasksClient {
    /// Lists the tasks of the account, newest first.
    ///
    /// ```no_run
    /// use twelvelabs::analyze_async::AnalyzeTaskStatus;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for task in client.analyze_async().tasks().list().status(AnalyzeTaskStatus::Failed).send()? {
    ///     let task = task?;
    ///     println!("{} {:?}", task.task_id, task.error);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListAnalyzeTasks {
        self.0.get(&["analyze", "tasks"]).into()
    }

    /// Starts the analysis of a video or of some images.
    ///
    /// It returns at once: [`wait_for_done`](Self::wait_for_done) returns the result. The platform takes videos of up
    /// to 2 hours, or of 4 hours of which 2 are analysed, and 1 to 20 images.
    ///
    /// It is retried where a POST otherwise is not: every call has a random key by which the platform makes one task
    /// of all attempts. With an [`idempotency_key`](CreateAnalyzeTask::idempotency_key) of your own it makes one of several
    /// calls, too.
    ///
    /// ```no_run
    /// use twelvelabs::analyze::VideoContext;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client
    ///     .analyze_async()
    ///     .tasks()
    ///     .create()
    ///     .video(VideoContext::asset_id("65f…"))
    ///     .prompt("Summarise it in three sentences.")
    ///     .max_tokens(1000)
    ///     .idempotency_key("summary-of-65f…")
    ///     .send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self) -> CreateAnalyzeTask {
        self.0.post(&["analyze", "tasks"]).idempotent().into()
    }

    /// Gets a task, with its result once it is ready.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.analyze_async().tasks().retrieve("68f…").send()?;
    /// println!("{:?} {:?}", task.status, task.result);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, task_id: &str) -> Call<AnalyzeTask> {
        self.0.get(&["analyze", "tasks", task_id]).into()
    }

    /// Deletes a task for good. The platform refuses it while the task is in process:
    /// [`cancel`](Self::cancel) it first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.analyze_async().tasks().delete("68f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, task_id: &str) -> Call<()> {
        self.0.delete(&["analyze", "tasks", task_id]).into()
    }

    /// Cancels a task that is not done, for good. A task that was canceled before is no error.
    ///
    /// A task of a batch is canceled with [its batch](crate::analyze_async::AnalyzeBatchesClient::cancel).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.analyze_async().tasks().cancel("68f…").send()?;
    /// println!("{:?}", task.status);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn cancel(&self, task_id: &str) -> Call<AnalyzeTask> {
        self.0.post(&["analyze", "tasks", task_id, "cancel"]).into()
    }

    /// Waits until a task is ready, and returns it with its result.
    ///
    /// A task that failed or was canceled is an [`Error::Failed`](crate::Error::Failed) with the platform's reason. An
    /// [`error`](AnalyzeTask::error) of a task that is ready is a warning, for example that segments are missing.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.analyze_async().tasks().wait_for_done("68f…").send()?;
    /// println!("{}", task.result.and_then(|result| result.data).unwrap_or_default());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, task_id: &str) -> Wait<AnalyzeTask> {
        Wait::new(self.0.get(&["analyze", "tasks", task_id]), task_id)
    }

    /// Waits until all of these tasks are done, on one thread, and gives each as soon as it is: see
    /// [`WaitAll`](crate::WaitAll).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (id, result) in client.analyze_async().tasks().wait_for_all(["65f…", "660…"]).send()? {
    ///     println!("{id}: {}", if result.is_ok() { "ready" } else { "failed" });
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_all<I: AsRef<str>>(&self, ids: impl IntoIterator<Item = I>) -> WaitAll<AnalyzeTask> {
        WaitAll::new(&self.0, ids, |id| self.0.get(&["analyze", "tasks", id]))
    }
}

request! {
    /// Options of [`AnalyzeTasksClient::list`].
    ListAnalyzeTasks -> SyncPager<AnalyzeTask> {
        /// The first page to fetch, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
        /// Only tasks in this state.
        query status: into AnalyzeTaskStatus,
        /// Only tasks whose video came from exactly this URL.
        query video_url: into String,
        /// Only tasks about this asset.
        query asset_id: into String,
        /// Only tasks of this mode.
        query analysis_mode: into AnalysisMode,
    }
}

request! {
    /// Options of [`AnalyzeTasksClient::create`].
    CreateAnalyzeTask -> AnalyzeTask {
        /// The model. The platform's default is `pegasus1.5`.
        json model_name: into AnalyzeModelName,
        /// An id of your own, that comes back with the task: 1 to 64 letters, digits, hyphens and underscores. It need
        /// not be the only one of its kind.
        json custom_id: into String,
        /// The video: a [`VideoContext`], or a reference to an [`Asset`](crate::assets::Asset). Excludes
        /// [`image`](Self::image).
        json video: into VideoContext,
        /// The images, 1 to 20. Needs `pegasus1.6` and a [`prompt`](Self::prompt); excludes [`video`](Self::video) and
        /// [`prompt_v2`](Self::prompt_v2).
        json image: [AnalyzeImageInput],
        /// What to write, in the mode [`General`](AnalysisMode::General). Excludes [`prompt_v2`](Self::prompt_v2).
        json prompt: into String,
        /// A prompt that refers to images. Excludes [`prompt`](Self::prompt) and [`image`](Self::image).
        json prompt_v2: into AnalyzePromptV2,
        /// What to make of the video. The platform's default is [`General`](AnalysisMode::General).
        json analysis_mode: into AnalysisMode,
        /// How freely the model writes, 0 to 1. The platform's default is 0.2.
        json temperature: f64,
        /// The most tokens of the answer: 512 to 98,304 and 4,096 by default in the mode
        /// [`General`](AnalysisMode::General), 2,048 to 98,304 and 32,768 by default for segments.
        json max_tokens: into MaxTokens,
        /// The form of the answer: a JSON schema, or segments.
        json response_format: ResponseFormat,
        /// The shortest segment in seconds, 2 at least.
        json min_segment_duration: f64,
        /// The longest segment in seconds, 2 at least.
        json max_segment_duration: f64,
        /// The start of the part to analyse, in seconds of the video's own clock.
        json start_time: f64,
        /// The end of the part to analyse, in seconds of the video's own clock; 1 s to 2 hours after the start.
        json end_time: f64,
    }
}

impl CreateAnalyzeTask {
    /// A key of your own in place of a random one: the platform makes one task of all requests with the same key. It is
    /// sent as the header `Idempotency-Key`.
    pub fn idempotency_key(mut self, idempotency_key: impl Into<String>) -> Self {
        self.0.header(IDEMPOTENCY_KEY, &idempotency_key.into());
        self
    }
}

open_enum! {
    /// The status of an analysis task.
    AnalyzeTaskStatus {
        /// Not started.
        Queued = "queued",
        /// About to start.
        Pending = "pending",
        /// In process.
        Processing = "processing",
        /// There is a result.
        Ready = "ready",
        /// There is none: see [`AnalyzeTask::error`].
        Failed = "failed",
        /// It was canceled.
        Canceled = "canceled",
    }
}

/// An analysis of one video or some images.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeTask {
    /// The id.
    pub task_id: String,
    /// Your own id.
    pub custom_id: Option<String>,
    /// The batch that it belongs to.
    pub batch_id: Option<String>,
    /// Where the video came from.
    pub video_source: Option<AnalyzeVideoSource>,
    /// What was asked for.
    pub request_params: Option<AnalyzeTaskParams>,
    /// Its status.
    pub status: Option<AnalyzeTaskStatus>,
    /// When it was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
    /// The result, once it is ready.
    pub result: Option<AnalyzeTaskResult>,
    /// Why it failed or was canceled; of a task that is ready, a warning.
    pub error: Option<AnalyzeError>,
    /// How the notifications of its end went.
    pub webhooks: Option<Vec<AnalyzeWebhookInfo>>,
}

impl Waitable for AnalyzeTask {
    const RESOURCE: &'static str = "analyze task";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn progressing(&self) -> Progressing {
        match &self.status {
            Some(AnalyzeTaskStatus::Ready) => Progressing::Done,
            Some(AnalyzeTaskStatus::Failed | AnalyzeTaskStatus::Canceled) => {
                Progressing::Failed(self.error.as_ref().and_then(|e| e.message.clone()))
            }
            _ => Progressing::Working,
        }
    }
}

/// Where the video of a task came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeVideoSource {
    /// The kind of source: `url`, `asset_id`, `base64_string` or `video_id`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The URL.
    pub url: Option<String>,
    /// The asset.
    pub asset_id: Option<String>,
    /// The video of an index.
    pub video_id: Option<String>,
    /// The index.
    pub index_id: Option<String>,
    /// What the platform read from the file.
    pub system_metadata: Option<AnalyzeVideoMetadata>,
}

/// What the platform read from the video of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeVideoMetadata {
    /// Its duration in seconds.
    pub duration: Option<f64>,
}

/// What a task was asked for, as in [`CreateAnalyzeTask`]. Media that were sent in base64 do not come back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeTaskParams {
    /// What to make of the video.
    pub analysis_mode: Option<AnalysisMode>,
    /// What to write.
    pub prompt: Option<String>,
    /// A prompt that refers to images.
    pub prompt_v2: Option<AnalyzePromptV2>,
    /// The images.
    pub image: Option<Vec<SmeMediaSource>>,
    /// The form of the answer.
    pub response_format: Option<ResponseFormat>,
    /// How freely the model writes.
    pub temperature: Option<f64>,
    /// The most tokens of the answer.
    pub max_tokens: Option<MaxTokens>,
    /// The shortest segment in seconds.
    pub min_segment_duration: Option<f64>,
    /// The longest segment in seconds.
    pub max_segment_duration: Option<f64>,
    /// The start of the part that was analysed, in seconds.
    pub start_time: Option<f64>,
    /// The end of the part that was analysed, in seconds.
    pub end_time: Option<f64>,
}
