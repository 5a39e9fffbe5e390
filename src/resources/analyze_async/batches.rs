//! Batches: analyses of many videos with the same options.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{AnalysisMode, AnalyzeTaskResult, AnalyzeWebhookInfo};
use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::call::stream::JsonLines;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::http::session::Session;
use crate::resources::analyze::{AnalyzeError, AnalyzeModelName, AnalyzePromptV2, ResponseFormat, VideoContext};

/// Analyzes many videos in the background. Returned by
/// [`AnalyzeAsyncClient::batches`](crate::analyze_async::AnalyzeAsyncClient::batches).
#[derive(Debug, Clone)]
pub struct AnalyzeBatchesClient(pub(crate) Session);

impl AnalyzeBatchesClient {
    /// Lists the batches of the account, newest first.
    ///
    /// ```no_run
    /// use twelvelabs::analyze_async::BatchStatus;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for batch in client.analyze_async().batches().list().status([BatchStatus::Processing]).send()? {
    ///     let batch = batch?;
    ///     println!("{} {:?} of {:?}", batch.batch_id, batch.ready_items, batch.total_items);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListAnalyzeBatches {
        self.0.get(&["analyze", "batches"]).into()
    }

    /// Starts the analysis of many videos, with one task for each.
    ///
    /// The platform's documented limits are 1 to 1,000 requests and 2,000 hours of video in a batch, and 5 batches at a
    /// time. It cancels items that are not done after 24 hours, and keeps the results for 30 days.
    ///
    /// ```no_run
    /// use twelvelabs::analyze::{AnalyzeModelName, VideoContext};
    /// use twelvelabs::analyze_async::{AnalysisMode, BatchDefaults, BatchItemRequest};
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let requests = ["65f…", "660…"].map(|id| BatchItemRequest::new(VideoContext::asset_id(id)).custom_id(id));
    /// let batch = client
    ///     .analyze_async()
    ///     .batches()
    ///     .create(AnalyzeModelName::Pegasus15, AnalysisMode::General, requests)
    ///     .defaults(BatchDefaults::new().prompt("Summarise it in three sentences."))
    ///     .send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(
        &self,
        model_name: impl Into<AnalyzeModelName>,
        analysis_mode: impl Into<AnalysisMode>,
        requests: impl IntoIterator<Item = BatchItemRequest>,
    ) -> CreateAnalyzeBatch {
        let requests: Vec<BatchItemRequest> = requests.into_iter().collect();
        let mut request = self.0.post(&["analyze", "batches"]);
        if requests.is_empty() {
            request.reject("requests", "is empty; a batch takes 1 to 1,000 requests");
        }
        request.json("model_name", &model_name.into());
        request.json("analysis_mode", &analysis_mode.into());
        request.json("requests", &requests);
        request.into()
    }

    /// Gets a batch with the number of its items in each state.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let batch = client.analyze_async().batches().retrieve("68f…").send()?;
    /// println!("{:?}: {:?} failed", batch.status, batch.failed_items);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, batch_id: &str) -> Call<AnalyzeBatch> {
        self.0.get(&["analyze", "batches", batch_id]).into()
    }

    /// Deletes a finished batch and its tasks permanently.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.analyze_async().batches().delete("68f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete(&self, batch_id: &str) -> Call<()> {
        self.0.delete(&["analyze", "batches", batch_id]).into()
    }

    /// Returns an iterator over the results of a batch as they arrive. A batch in progress also returns results, each
    /// with its own status.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for result in client.analyze_async().batches().results("68f…").send()? {
    ///     let result = result?;
    ///     match (result.data, result.error) {
    ///         (Some(answer), _) => println!("{}: {}", result.task_id, answer.data.unwrap_or_default()),
    ///         (None, Some(error)) => eprintln!("{}: {}", result.task_id, error.message.unwrap_or_default()),
    ///         (None, None) => eprintln!("{}: {:?}", result.task_id, result.status),
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn results(&self, batch_id: &str) -> Call<JsonLines<BatchResultItem>> {
        self.0.get(&["analyze", "batches", batch_id, "results"]).into()
    }

    /// Cancels a batch. The platform cancels queued items and finishes those in progress.
    ///
    /// The batch is `canceling` until then. A [wait](Self::wait_for_done) for it returns an
    /// [`Error::Failed`](crate::Error::Failed) with the status `canceled`. The existing results can still be read.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let batch = client.analyze_async().batches().cancel("68f…").send()?;
    /// println!("{:?}", batch.status);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn cancel(&self, batch_id: &str) -> Call<AnalyzeBatch> {
        self.0.post(&["analyze", "batches", batch_id, "cancel"]).into()
    }

    /// Waits until a batch is completed, and returns it.
    ///
    /// `completed` means that every item has ended, not that every item succeeded. Check
    /// [`failed_items`](AnalyzeBatch::failed_items) and the status of each of the [`results`](Self::results). A batch
    /// that was canceled or has expired returns an [`Error::Failed`](crate::Error::Failed).
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let day = Duration::from_secs(24 * 3600);
    /// let batch = client.analyze_async().batches().wait_for_done("68f…").max_wait_time(day).send()?;
    /// println!("{:?} of {:?} are ready", batch.ready_items, batch.total_items);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, batch_id: &str) -> Wait<AnalyzeBatch> {
        Wait::new(self.0.get(&["analyze", "batches", batch_id]), batch_id)
    }
}

request! {
    /// The builder returned by [`AnalyzeBatchesClient::list`].
    ListAnalyzeBatches -> SyncPager<AnalyzeBatch> {
        paging,
        /// Restricts the results to batches in one of these states.
        query status: [BatchStatus],
        /// Restricts the results to batches of one of these modes.
        query analysis_mode: [AnalysisMode],
    }
}

request! {
    /// The builder returned by [`AnalyzeBatchesClient::create`].
    CreateAnalyzeBatch -> AnalyzeBatch {
        /// Sets the default options for the requests. A request's own options take precedence.
        json defaults: BatchDefaults,
    }
}

/// Declares an input of a batch, with the options of one analysis and additional ones.
macro_rules! batch_options {
    ($(#[$meta:meta])* $name:ident($($required:ident: $type:tt),*) { $($more:tt)* }) => {
        input! {
            $(#[$meta])*
            $name($($required: $type),*) {
                $($more)*
                /// Sets the prompt.
                prompt: into AnalyzePromptV2,
                /// Sets the form of the answer.
                response_format: ResponseFormat,
                /// Sets the temperature, from 0 to 1. With a higher value, the model writes more freely.
                temperature: f64,
                /// Sets the maximum number of tokens in the answer.
                max_tokens: u32,
                /// Sets the length of the shortest segment in seconds, at least 2.
                min_segment_duration: f64,
                /// Sets the length of the longest segment in seconds, at least 2.
                max_segment_duration: f64,
                /// Sets the start of the part to analyze, in seconds of the video's own clock.
                start_time: f64,
                /// Sets the end of the part to analyze, in seconds of the video's own clock.
                end_time: f64,
            }
        }
    };
}

batch_options! {
    /// A request for one video of a batch. The platform accepts only assets. Unset options come from the
    /// [`BatchDefaults`].
    BatchItemRequest(video: VideoContext) {
        /// Sets your own id, which is returned with the result: 1 to 64 letters, digits, hyphens and underscores. It
        /// must be unique within the batch.
        custom_id: into String,
    }
}

batch_options! {
    /// The default options for the requests of a batch. A request's own options take precedence.
    BatchDefaults() {}
}

open_enum! {
    /// The status of a batch.
    BatchStatus {
        /// The batch has not started yet.
        Pending = "pending",
        /// The batch is in progress.
        Processing = "processing",
        /// The batch is being canceled. The platform still finishes the items in progress.
        Canceling = "canceling",
        /// The batch was canceled.
        Canceled = "canceled",
        /// Every item has ended, successfully or not.
        Completed = "completed",
        /// The batch was not done after 24 hours, and its remaining items were canceled.
        Expired = "expired",
    }
}

open_enum! {
    /// The status of an item of a batch.
    BatchItemStatus {
        /// The platform has not started to process the item yet.
        Queued = "queued",
        /// The platform is processing the item.
        Processing = "processing",
        /// The result is ready.
        Ready = "ready",
        /// The item failed: see [`BatchResultItem::error`].
        Failed = "failed",
        /// The item was canceled.
        Canceled = "canceled",
    }
}

/// A batch: many analyses with the same options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeBatch {
    /// The id of the batch.
    #[serde(deserialize_with = "usable")]
    pub batch_id: String,
    /// The mode of the analyses.
    pub analysis_mode: Option<AnalysisMode>,
    /// The model.
    pub model_name: Option<String>,
    /// The status of the batch.
    pub status: Option<BatchStatus>,
    /// The number of items.
    pub total_items: Option<u64>,
    /// The number of queued items.
    pub queued_items: Option<u64>,
    /// The number of items in progress.
    pub processing_items: Option<u64>,
    /// The number of items with a result.
    pub ready_items: Option<u64>,
    /// The number of failed items.
    pub failed_items: Option<u64>,
    /// The number of canceled items.
    pub canceled_items: Option<u64>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time at which the batch expires, 24 hours after its creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
    /// The time at which it was completed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
    /// The time at which it was canceled.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub canceled_at: Option<OffsetDateTime>,
    /// The time at which it expired.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expired_at: Option<OffsetDateTime>,
    /// The task of each request. Only in the response that creates the batch.
    pub items: Option<Vec<CreatedBatchItem>>,
    /// The deliveries of the notifications to webhooks.
    pub webhooks: Option<Vec<AnalyzeWebhookInfo>>,
}

impl Pollable for AnalyzeBatch {
    const RESOURCE: &'static str = "batch";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(BatchStatus::Completed) => PollStatus::Done,
            Some(BatchStatus::Canceled | BatchStatus::Expired) => {
                let counts = self.ready_items.zip(self.total_items);
                PollStatus::Failed(counts.map(|(ready, total)| format!("{ready} of {total} items are ready")))
            }
            _ => PollStatus::Working,
        }
    }
}

/// The task of a request of a batch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CreatedBatchItem {
    /// The id of the task.
    #[serde(deserialize_with = "usable")]
    pub task_id: String,
    /// Your own id.
    pub custom_id: Option<String>,
}

/// The result of one item of a batch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchResultItem {
    /// The id of the task.
    pub task_id: String,
    /// Your own id.
    pub custom_id: Option<String>,
    /// The status of the item.
    pub status: Option<BatchItemStatus>,
    /// The result, if there is one.
    pub data: Option<AnalyzeTaskResult>,
    /// The reason why it failed or was canceled.
    pub error: Option<AnalyzeError>,
}
