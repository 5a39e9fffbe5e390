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

/// Analyses that run in the background, see [`TwelveLabs::analyze_async`](crate::TwelveLabs::analyze_async).
#[derive(Debug, Clone)]
pub struct AnalyzeAsyncClient(pub(crate) Session);

impl AnalyzeAsyncClient {
    /// Analyses of one video or some images each.
    pub fn tasks(&self) -> AnalyzeTasksClient {
        AnalyzeTasksClient(self.0.clone())
    }

    /// Analyses of many videos with the same settings.
    pub fn batches(&self) -> AnalyzeBatchesClient {
        AnalyzeBatchesClient(self.0.clone())
    }
}

open_enum! {
    /// What an analysis makes of a video.
    AnalysisMode {
        /// A text that answers a prompt.
        General = "general",
        /// Segments with fields of your own: see
        /// [`ResponseFormat::segment_definitions`](crate::analyze::ResponseFormat::segment_definitions).
        TimeBasedMetadata = "time_based_metadata",
    }
}

/// The most tokens of an answer: a number becomes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
#[non_exhaustive]
pub enum MaxTokens {
    /// So many tokens.
    Tokens(u64),
    /// No limit: for [`TimeBasedMetadata`](AnalysisMode::TimeBasedMetadata) with `pegasus1.6` alone.
    Unlimited,
    /// A value that this version of the crate does not know, as it came.
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
    /// The text; for segments it is JSON.
    pub data: Option<String>,
    /// Why the model stopped: [`complete`](Self::complete) gives the text only if it is all of it.
    pub finish_reason: Option<FinishReason>,
    /// The tokens that it took.
    pub usage: Option<TokenUsage>,
}

impl AnalyzeTaskResult {
    /// The text, if the model has said everything.
    ///
    /// # Errors
    ///
    /// As [`AnalyzeResponse::complete`](crate::analyze::AnalyzeResponse::complete).
    pub fn complete(self) -> Result<String> {
        complete(self.data, self.finish_reason.as_ref())
    }

    /// The text, decoded from JSON into a type of your own as by [`Analyze::json`](crate::analyze::Analyze::json).
    ///
    /// # Errors
    ///
    /// As [`AnalyzeResponse::json`](crate::analyze::AnalyzeResponse::json).
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

    /// The segments of one definition, with their fields in a type of your own. Their times are numbers, whatever
    /// [`segment_time_format`](crate::analyze::ResponseFormat::segment_time_format) was asked for.
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
    /// As [`json`](Self::json); [`Error::InvalidOutput`](crate::Error::InvalidOutput) also if the answer has no segments
    /// of this definition, or a segment that does not fit the type.
    pub fn segments<T: serde::de::DeserializeOwned>(&self, segment_definition_id: &str) -> Result<Vec<Segment<T>>> {
        segments(self.data.as_deref(), self.finish_reason.as_ref(), segment_definition_id)
    }
}

/// The delivery of a notification to a webhook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeWebhookInfo {
    /// Where they went.
    pub url: Option<String>,
    /// Whether one arrived.
    pub delivered: Option<bool>,
    /// How often it was tried.
    pub attempts: Option<u64>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}
