//! Analyses that run in the background.

pub(crate) mod batches;
pub(crate) mod tasks;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::generation::{FinishReason, TokenUsage};
use crate::http::session::Session;
use crate::resources::analyze::{Segment, complete, segments, typed};
use batches::AnalyzeBatchesClient;
use tasks::AnalyzeTasksClient;

/// Runs analyses in the background. Returned by [`TwelveLabs::analyze_async`](crate::TwelveLabs::analyze_async).
#[derive(Debug, Clone)]
pub struct AnalyzeAsyncClient(pub(crate) Session);

impl AnalyzeAsyncClient {
    /// Returns the client for tasks, each of which analyzes one video or some images.
    pub fn tasks(&self) -> AnalyzeTasksClient {
        AnalyzeTasksClient(self.0.clone())
    }

    /// Returns the client for batches, each of which analyzes many videos with the same options.
    pub fn batches(&self) -> AnalyzeBatchesClient {
        AnalyzeBatchesClient(self.0.clone())
    }
}

open_enum! {
    /// The mode of an analysis.
    AnalysisMode {
        /// Answers a prompt with a text.
        General = "general",
        /// Finds segments with your own fields: see
        /// [`ResponseFormat::segment_definitions`](crate::analyze::ResponseFormat::segment_definitions).
        TimeBasedMetadata = "time_based_metadata",
    }
}

/// The maximum number of tokens in an answer. A number can be converted into one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
#[non_exhaustive]
pub enum MaxTokens {
    /// A limit of this many tokens.
    Tokens(u64),
    /// No limit. Only for [`TimeBasedMetadata`](AnalysisMode::TimeBasedMetadata) with `pegasus1.6`.
    Unlimited,
    /// A value that this version of the crate does not know, as received.
    Other(Value),
}

impl From<u32> for MaxTokens {
    fn from(tokens: u32) -> Self {
        Self::Tokens(tokens.into())
    }
}

impl From<Value> for MaxTokens {
    fn from(value: Value) -> Self {
        let whole = value.as_f64().filter(|tokens| tokens.fract() == 0.0 && *tokens >= 0.0);
        match value.as_u64().or(whole.map(|tokens| tokens as u64)) {
            Some(tokens) => Self::Tokens(tokens),
            None if value == "unlimited" => Self::Unlimited,
            None => Self::Other(value),
        }
    }
}

impl From<MaxTokens> for Value {
    fn from(max_tokens: MaxTokens) -> Self {
        match max_tokens {
            MaxTokens::Tokens(tokens) => tokens.into(),
            MaxTokens::Unlimited => "unlimited".into(),
            MaxTokens::Other(value) => value,
        }
    }
}

/// The result of an analysis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeTaskResult {
    /// The id of the answer.
    pub generation_id: Option<String>,
    /// The text. For segments it is JSON: see [`segments`](Self::segments).
    pub data: Option<String>,
    /// The reason why the model stopped. [`complete`](Self::complete) returns the text only if this says that it is
    /// complete.
    pub finish_reason: Option<FinishReason>,
    /// The tokens that were used.
    pub usage: Option<TokenUsage>,
}

impl AnalyzeTaskResult {
    /// Returns the text if it is complete.
    ///
    /// # Errors
    ///
    /// The same as for [`AnalyzeResponse::complete`](crate::analyze::AnalyzeResponse::complete).
    pub fn complete(self) -> Result<String> {
        complete(self.data, self.finish_reason.as_ref())
    }

    /// Decodes the text from JSON into your own type, as [`Analyze::json`](crate::analyze::Analyze::json) does.
    ///
    /// # Errors
    ///
    /// The same as for [`AnalyzeResponse::json`](crate::analyze::AnalyzeResponse::json).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.analyze_async().tasks().wait_for_done("68f…").send()?;
    /// let keywords: Vec<String> = task.result.unwrap_or_default().json()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        typed(self.data.as_deref(), self.finish_reason.as_ref())
    }

    /// Returns the segments of one definition, with their fields in your own type. Their times are numbers of seconds,
    /// whatever [`segment_time_format`](crate::analyze::ResponseFormat::segment_time_format) the request set.
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize)]
    /// struct Goal {
    ///     scorer: String,
    /// }
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.analyze_async().tasks().wait_for_done("68f…").send()?;
    /// for goal in task.result.unwrap_or_default().segments::<Goal>("goals")? {
    ///     println!("{:.1} to {:.1} s: {}", goal.start, goal.end, goal.metadata.scorer);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for [`json`](Self::json). In addition, [`Error::InvalidOutput`](crate::Error::InvalidOutput) if the
    /// answer has no segments of this definition, or a segment that does not fit the type.
    pub fn segments<T: serde::de::DeserializeOwned>(&self, segment_definition_id: &str) -> Result<Vec<Segment<T>>> {
        segments(self.data.as_deref(), self.finish_reason.as_ref(), segment_definition_id)
    }
}

/// The delivery of a notification to a webhook.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeWebhookInfo {
    /// The URL of the webhook.
    pub url: Option<String>,
    /// Whether a notification was delivered.
    pub delivered: Option<bool>,
    /// The number of attempts.
    pub attempts: Option<u64>,
    /// The reason why the last attempt failed.
    pub last_error: Option<String>,
}

masked_debug! {
    AnalyzeWebhookInfo {
        url: masked, delivered, attempts, last_error,
    }
}
