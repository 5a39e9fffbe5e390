//! The details of a text that a model has generated.

use serde::{Deserialize, Serialize};

open_enum! {
    /// The reason why a model stopped.
    FinishReason {
        /// The text is complete.
        Stop = "stop",
        /// It reached the token limit, so the text is truncated.
        Length = "length",
    }
}

/// The tokens that were used for an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenUsage {
    /// The tokens of the text.
    pub output_tokens: Option<u64>,
    /// The tokens of the prompt and the media.
    pub input_tokens: Option<u64>,
}

/// The details of an answer that a stream had sent before it failed. Part of [`Error::Stream`](crate::Error::Stream).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Generation {
    /// The id of the answer.
    pub generation_id: Option<String>,
    /// The tokens that were used.
    pub usage: Option<TokenUsage>,
    /// The reason why the model stopped.
    pub finish_reason: Option<FinishReason>,
}
