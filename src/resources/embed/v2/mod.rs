//! The current embedding calls.

pub(crate) mod input;
pub(crate) mod many;
pub(crate) mod tasks;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::http::session::Session;
use crate::types::{EmbeddingOption, EmbeddingScope, optional_vector, vector};

pub use input::*;
pub use many::*;
pub use tasks::*;

/// Creates embeddings. Returned by [`EmbedClient::v2`](super::EmbedClient::v2).
#[derive(Debug, Clone)]
pub struct EmbedV2Client(pub(crate) Session);

impl EmbedV2Client {
    /// Returns the client for embedding tasks, which embed media of any length in the background.
    pub fn tasks(&self) -> EmbedV2TasksClient {
        EmbedV2TasksClient(self.0.clone())
    }

    /// Creates embeddings and returns them in the response. Use it for queries and short media.
    ///
    /// The platform decides which inputs a model accepts: `marengo3.5` accepts only
    /// [`multi_input`](EmbedInput::multi_input), with up to 30 s of audio or video; `marengo3.0` accepts the others,
    /// with up to 10 minutes. Use [`tasks`](Self::tasks) for longer media. A local file is sent as base64, up to 32 MB
    /// for an image and 36 MB for audio or video; give larger ones by URL or as an asset.
    ///
    /// A local file that cannot be read, is empty, or changes while it is being sent returns an
    /// [`Error::File`](crate::Error::File).
    ///
    /// ```no_run
    /// use twelvelabs::embed::EmbedInput;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let v2 = client.embed().v2();
    /// let text = v2.create(EmbedInput::text("a dog on a beach"), "marengo3.0").send()?.into_embedding()?;
    /// let image = v2.create(EmbedInput::image("dog.jpg"), "marengo3.0").send()?.into_embedding()?;
    /// println!("{}", twelvelabs::embed::cosine_similarity(&text, &image)?);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, input: EmbedInput, model_name: impl Into<String>) -> CreateEmbeddingV2 {
        input.into_request(self.0.post(&["embed-v2"]).slow(), model_name.into()).into()
    }

    /// Creates embeddings of many inputs, several at a time, with one [`create`](Self::create) for each.
    ///
    /// Returns one outcome for each input, in the order of the inputs. An input that fails does not stop the rest.
    ///
    /// ```no_run
    /// use twelvelabs::embed::EmbedInput;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let texts = ["a dog on a beach", "a castle"].map(EmbedInput::text);
    /// for outcome in client.embed().v2().create_many(texts, "marengo3.0").workers(8).send()? {
    ///     match outcome.result {
    ///         Ok(answer) => println!("{}: {:?}", outcome.source, answer.into_embedding()?),
    ///         Err(e) => eprintln!("{}: {e}", outcome.source),
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_many(
        &self,
        inputs: impl IntoIterator<Item = EmbedInput>,
        model_name: impl Into<String>,
    ) -> CreateManyEmbeddings {
        CreateManyEmbeddings::new(self, inputs.into_iter().collect(), model_name.into())
    }
}

request! {
    /// The builder returned by [`EmbedV2Client::create`].
    CreateEmbeddingV2 -> EmbeddingSuccessResponse {
        /// Sets whether to truncate a text of more than 2,000 tokens instead of refusing it.
        /// [`EmbeddingUsage::truncated`] reports a truncation. Requires `marengo3.5`.
        json auto_truncate: bool,
        /// Sets whether to return the uncertainty of each dimension: see [`EmbeddingData::embedding_uncertainty`].
        /// Requires `marengo3.5`, and either a text or media, but not a document.
        json embedding_uncertainty: bool,
        /// Sets the number of dimensions of a vector. The default is 512. A smaller vector consists of the first of the
        /// 512 dimensions. Requires `marengo3.5`.
        json embedding_dimension: u32,
    }
}

/// The embeddings of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingSuccessResponse {
    /// The embeddings: one for a text, an image or several inputs together; for audio and video, one for each clip,
    /// option and scope.
    pub data: Vec<EmbeddingData>,
    /// The tokens used. Only with `marengo3.5`.
    pub usage: Option<EmbeddingUsage>,
    /// The metadata of the embedding.
    pub metadata: Option<EmbeddingMediaMetadata>,
}

impl EmbeddingSuccessResponse {
    /// Returns the first vector. For a text, an image, or several inputs together, it is the only one.
    pub fn embedding(&self) -> Option<&[f32]> {
        self.data.first().map(|data| data.embedding.as_slice())
    }
}

/// A vector and the part of the input that it describes. Fields that do not apply are `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingData {
    /// The vector.
    #[serde(deserialize_with = "vector")]
    pub embedding: Vec<f32>,
    /// The uncertainty of each dimension, if requested. Higher values are less certain.
    #[serde(default, deserialize_with = "optional_vector", skip_serializing_if = "Option::is_none")]
    pub embedding_uncertainty: Option<Vec<f32>>,
    /// The kind of content that was embedded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_option: Option<EmbeddingOption>,
    /// The scope of the vector: the part of the file that it describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_scope: Option<EmbeddingScope>,
    /// The start of the segment, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_sec: Option<f64>,
    /// The end of the segment, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_sec: Option<f64>,
    /// The first page of a PDF that the vector describes, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_page_number: Option<u64>,
    /// The last page of a PDF that the vector describes, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_page_number: Option<u64>,
    /// The quarter of the page that the vector describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quadrant: Option<EmbeddingQuadrant>,
    /// The index of the chunk in its text, from 0. The embeddings may come in another order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_index: Option<u64>,
}

open_enum! {
    /// A quarter of a page.
    EmbeddingQuadrant {
        /// The upper left.
        TopLeft = "top_left",
        /// The upper right.
        TopRight = "top_right",
        /// The lower left.
        BottomLeft = "bottom_left",
        /// The lower right.
        BottomRight = "bottom_right",
    }
}

open_enum! {
    /// The reason for the truncation of an input.
    EmbeddingTruncationReason {
        /// The input was longer than the context window of the model.
        ModelContextWindow = "model_context_window",
    }
}

/// The tokens that an embedding used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingUsage {
    /// The tokens used, by the kind of content: `text`, `image`, `audio`, `video`, `document`.
    pub input_tokens: Option<BTreeMap<String, u64>>,
    /// Whether the input was truncated.
    pub truncated: Option<bool>,
    /// The reason for the truncation.
    pub truncation_reason: Option<EmbeddingTruncationReason>,
}

/// The metadata of the embedding. Fields that do not apply are `None`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingMediaMetadata {
    /// The kind of input, such as `video` or `multi_input`.
    pub input_type: Option<String>,
    /// The URL of the input, if it was given as one.
    pub input_url: Option<String>,
    /// The file name of the input, if it was given as a file.
    pub input_filename: Option<String>,
    /// The kind of content that was embedded.
    pub embedding_options: Option<Vec<EmbeddingOption>>,
    /// The scopes that were requested.
    pub embedding_scopes: Option<Vec<EmbeddingScope>>,
    /// The length of the vectors. Only with `marengo3.5`.
    pub embedding_dimension: Option<u64>,
    /// The duration in seconds of video and audio.
    pub duration: Option<f64>,
    /// The start of the embedded part, in seconds.
    pub start_offset_sec: Option<f64>,
    /// The end of the embedded part, in seconds.
    pub end_offset_sec: Option<f64>,
    /// The length of each clip in seconds, if all have the same.
    pub clip_length: Option<f64>,
}

masked_debug! {
    EmbeddingMediaMetadata {
        input_type, input_url: masked, input_filename, embedding_options, embedding_scopes, embedding_dimension,
        duration, start_offset_sec, end_offset_sec, clip_length,
    }
}
