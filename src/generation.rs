//! What the platform says of a text that a model has written.

use serde::{Deserialize, Serialize};

open_enum! {
    /// Why a model stopped.
    FinishReason {
        /// It had said everything.
        Stop = "stop",
        /// It reached the limit of tokens: the text is truncated.
        Length = "length",
    }
}

/// The tokens that an answer took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenUsage {
    /// Those of the text.
    pub output_tokens: Option<u64>,
    /// Those of the prompt and the media.
    pub input_tokens: Option<u64>,
}

/// What is known of an answer besides its text, as far as a stream has said it: in
/// [`Error::Stream`](crate::Error::Stream).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Generation {
    /// The id of the answer.
    pub generation_id: Option<String>,
    /// The tokens that it took.
    pub usage: Option<TokenUsage>,
    /// Why the model stopped.
    pub finish_reason: Option<FinishReason>,
}
