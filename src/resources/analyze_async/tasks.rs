//! Tasks: analyses of one video or some images each.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{AnalysisMode, AnalyzeTaskResult, AnalyzeWebhookInfo, MaxTokens};
use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::request::IDEMPOTENCY_KEY;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::http::session::Session;
use crate::resources::analyze::{AnalyzeError, AnalyzePromptV2, ResponseFormat, SmeMediaSource, analyze_options};

/// Analyzes videos and images in the background. Returned by
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
    /// The call returns immediately; [`wait_for_done`](Self::wait_for_done) returns the result. The platform's
    /// documented limits are 2 hours of video, or 4 hours of which 2 are analyzed, and 1 to 20 images.
    ///
    /// Unlike most POSTs, this call is safe to retry: it sends a random idempotency key, so the platform
    /// creates one task for all attempts. With your own [`idempotency_key`](CreateAnalyzeTask::idempotency_key), it
    /// also creates only one task for several calls.
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
        self.0.post(&["analyze", "tasks"]).with_idempotency_key().into()
    }

    /// Gets a task, with its result if it is ready.
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

    /// Deletes a task permanently. The platform refuses to delete a task in progress: [`cancel`](Self::cancel) it
    /// first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.analyze_async().tasks().delete("68f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, task_id: &str) -> Call<()> {
        self.0.delete(&["analyze", "tasks", task_id]).into()
    }

    /// Cancels a task that has not ended. Canceling a canceled task is not an error.
    ///
    /// To cancel a task of a batch, [cancel the batch](crate::analyze_async::AnalyzeBatchesClient::cancel).
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
    /// A task that fails or is canceled returns an [`Error::Failed`](crate::Error::Failed) with the platform's reason.
    /// An [`error`](AnalyzeTask::error) in a task that is ready is a warning, such as that segments are missing.
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

    /// Waits for several tasks on one thread and yields each as soon as it is done. See [`WaitAll`](crate::WaitAll).
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
    /// The builder returned by [`AnalyzeTasksClient::list`].
    ListAnalyzeTasks -> SyncPager<AnalyzeTask> {
        paging,
        /// Restricts the results to tasks in this state.
        query status: into AnalyzeTaskStatus,
        /// Restricts the results to tasks whose video came from exactly this URL.
        query video_url: into String,
        /// Restricts the results to tasks about this asset.
        query asset_id: into String,
        /// Restricts the results to tasks with this mode.
        query analysis_mode: into AnalysisMode,
    }
}

analyze_options! {
    /// The builder returned by [`AnalyzeTasksClient::create`].
    CreateAnalyzeTask -> AnalyzeTask {
        /// Sets your own id, which is returned with the task: 1 to 64 letters, digits, hyphens and underscores. It need
        /// not be unique.
        json custom_id: into String,
        /// Sets the mode of the analysis. The platform's default is [`General`](AnalysisMode::General).
        json analysis_mode: into AnalysisMode,
        /// Sets the maximum number of tokens in the answer. In the mode [`General`](AnalysisMode::General), it is 512
        /// to 98,304, with a default of 4,096. For segments, it is 2,048 to 98,304, with a default of 32,768.
        json max_tokens: into MaxTokens,
        /// Sets the length of the shortest segment in seconds, at least 2.
        json min_segment_duration: f64,
        /// Sets the length of the longest segment in seconds, at least 2.
        json max_segment_duration: f64,
    }
}

impl CreateAnalyzeTask {
    /// Sets your own idempotency key instead of a random one. The platform creates one task for all requests with the
    /// same key. It is sent in the header `Idempotency-Key`.
    pub fn idempotency_key(mut self, idempotency_key: impl Into<String>) -> Self {
        self.0.header(IDEMPOTENCY_KEY, &idempotency_key.into());
        self
    }
}

open_enum! {
    /// The status of an analysis task.
    AnalyzeTaskStatus {
        /// The task has not started yet.
        Queued = "queued",
        /// The task is about to start.
        Pending = "pending",
        /// The task is in progress.
        Processing = "processing",
        /// The result is ready.
        Ready = "ready",
        /// The task failed: see [`AnalyzeTask::error`].
        Failed = "failed",
        /// The task was canceled.
        Canceled = "canceled",
    }
}

/// An analysis of one video or some images.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeTask {
    /// The id of the task.
    #[serde(deserialize_with = "usable")]
    pub task_id: String,
    /// Your own id.
    pub custom_id: Option<String>,
    /// The id of the batch to which the task belongs.
    pub batch_id: Option<String>,
    /// The source of the video.
    pub video_source: Option<AnalyzeVideoSource>,
    /// The parameters of the request.
    pub request_params: Option<AnalyzeTaskParams>,
    /// The status of the task.
    pub status: Option<AnalyzeTaskStatus>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time at which the task ended.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
    /// The result, once the task is ready.
    pub result: Option<AnalyzeTaskResult>,
    /// The reason why the task failed or was canceled. In a task that is ready, this is a warning.
    pub error: Option<AnalyzeError>,
    /// The deliveries of the notifications to webhooks.
    pub webhooks: Option<Vec<AnalyzeWebhookInfo>>,
}

impl Pollable for AnalyzeTask {
    const RESOURCE: &'static str = "analyze task";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(AnalyzeTaskStatus::Ready) => PollStatus::Done,
            Some(AnalyzeTaskStatus::Failed | AnalyzeTaskStatus::Canceled) => {
                PollStatus::Failed(self.error.as_ref().and_then(|e| e.message.clone()))
            }
            _ => PollStatus::Working,
        }
    }
}

/// The source of the video of a task.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeVideoSource {
    /// The kind of source: `url`, `asset_id`, `base64_string` or `video_id`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The URL.
    pub url: Option<String>,
    /// The id of the asset.
    pub asset_id: Option<String>,
    /// The id of a video of an index.
    pub video_id: Option<String>,
    /// The id of the index.
    pub index_id: Option<String>,
    /// The metadata that the platform read from the file.
    pub system_metadata: Option<AnalyzeVideoMetadata>,
}

masked_debug! {
    AnalyzeVideoSource {
        kind, url: masked, asset_id, video_id, index_id, system_metadata,
    }
}

/// The metadata that the platform read from the video of a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeVideoMetadata {
    /// The duration of the video in seconds.
    pub duration: Option<f64>,
}

/// The parameters of a task, as in [`CreateAnalyzeTask`]. Media that were sent in base64 are not included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeTaskParams {
    /// The mode of the analysis.
    pub analysis_mode: Option<AnalysisMode>,
    /// The prompt.
    pub prompt: Option<String>,
    /// A prompt that refers to images.
    pub prompt_v2: Option<AnalyzePromptV2>,
    /// The images.
    pub image: Option<Vec<SmeMediaSource>>,
    /// The form of the answer.
    pub response_format: Option<ResponseFormat>,
    /// The temperature. With a higher value, the model writes more freely.
    pub temperature: Option<f64>,
    /// The maximum number of tokens in the answer.
    pub max_tokens: Option<MaxTokens>,
    /// The shortest segment in seconds.
    pub min_segment_duration: Option<f64>,
    /// The longest segment in seconds.
    pub max_segment_duration: Option<f64>,
    /// The start of the part that was analyzed, in seconds.
    pub start_time: Option<f64>,
    /// The end of the part that was analyzed, in seconds.
    pub end_time: Option<f64>,
}
