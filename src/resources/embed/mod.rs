//! Embeddings: vectors that represent text and media. Similar contents have similar vectors.

pub(crate) mod tasks;
pub(crate) mod v2;
pub(crate) mod vectors;

use serde::{Deserialize, Serialize};

use crate::file::FileSource;
use crate::http::session::Session;
use crate::types::{EmbeddingOption, EmbeddingScope, VideoSegment};

pub use tasks::*;
pub use v2::*;
pub use vectors::*;

/// Creates embeddings. Returned by [`TwelveLabs::embed`](crate::TwelveLabs::embed).
#[derive(Debug, Clone)]
pub struct EmbedClient(pub(crate) Session);

impl EmbedClient {
    /// Returns the client for the current embedding calls, which embed text, images, audio, video, documents, and
    /// several of them together.
    pub fn v2(&self) -> EmbedV2Client {
        EmbedV2Client(self.0.clone())
    }

    /// Returns the client for the older embedding tasks, which embed video.
    pub fn tasks(&self) -> EmbedTasksClient {
        EmbedTasksClient(self.0.clone())
    }

    /// Creates embeddings of a text, an image and an audio file, or of some of them, through the older endpoint.
    ///
    /// The platform plans to remove this call. Use [`v2().create`](EmbedV2Client::create) instead. It supports the
    /// model `marengo3.0`. The response contains a result for each kind of input. If an input could not be embedded,
    /// its result has an [`error_message`](EmbeddingResult::error_message) instead of vectors.
    ///
    /// A file that cannot be read returns an [`Error::File`](crate::Error::File).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let answer = client.embed().create("marengo3.0").text("a dog on a beach").image_file("dog.jpg").send()?;
    /// for segment in answer.text_embedding.and_then(|text| text.segments).unwrap_or_default() {
    ///     println!("{:?}", segment.float);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, model_name: impl Into<String>) -> CreateEmbedding {
        let mut request = self.0.post(&["embed"]).slow();
        request.form("model_name", &model_name.into());
        request.into()
    }
}

request! {
    /// The builder returned by [`EmbedClient::create`].
    CreateEmbedding -> EmbeddingResponse {
        /// Sets the text to embed.
        form text: into String,
        /// Sets a public URL of the image to embed.
        form_url image_url: into String,
        /// Sets the image to embed: a path, or any [`FileSource`].
        file image_file: into FileSource,
        /// Sets a public URL of the audio file to embed.
        form_url audio_url: into String,
        /// Sets the audio file to embed: a path, or any [`FileSource`].
        file audio_file: into FileSource,
        /// Sets the start of the part to embed, in seconds. The platform's default is 0.
        form audio_start_offset_sec: f64,
    }
}

/// The embeddings that the older call created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingResponse {
    /// The model that created the embeddings.
    pub model_name: Option<String>,
    /// The result for the text.
    pub text_embedding: Option<EmbeddingResult>,
    /// The result for the image.
    pub image_embedding: Option<EmbeddingResult>,
    /// The result for the audio file.
    pub audio_embedding: Option<EmbeddingResult>,
}

/// The result for one text or file: its vectors, or the reason why there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingResult {
    /// The vectors, each with the segment of the file that it describes.
    pub segments: Option<Vec<VideoSegment>>,
    /// The metadata of the embedding.
    pub metadata: Option<EmbeddingMetadata>,
    /// The reason for missing vectors.
    pub error_message: Option<String>,
}

/// The metadata of an embedding from the older calls. The fields of other kinds of media are `None`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingMetadata {
    /// The URL that was given.
    pub input_url: Option<String>,
    /// The name of the file that was given.
    pub input_filename: Option<String>,
    /// The duration in seconds of video and audio.
    pub duration: Option<f64>,
    /// The start of the embedded part of audio, in seconds.
    pub start_offset_sec: Option<f64>,
    /// The end of the embedded part of audio, in seconds.
    pub end_offset_sec: Option<f64>,
    /// The length in seconds of each clip of a video.
    pub video_clip_length: Option<f64>,
    /// The embedded aspects of a video.
    pub video_embedding_option: Option<Vec<EmbeddingOption>>,
    /// The embedded scopes of a video: clips, the whole, or both.
    pub video_embedding_scope: Option<Vec<EmbeddingScope>>,
    /// The embedded aspects of audio.
    #[serde(alias = "audio_embedding_options")]
    pub audio_embedding_option: Option<Vec<EmbeddingOption>>,
    /// The embedded scopes of audio: clips, the whole, or both.
    #[serde(alias = "audio_embedding_scopes")]
    pub audio_embedding_scope: Option<Vec<EmbeddingScope>>,
    /// The embedded aspects of a document.
    pub document_embedding_option: Option<Vec<EmbeddingOption>>,
    /// The embedded scopes of a document: parts, the whole, or both.
    pub document_embedding_scope: Option<Vec<EmbeddingScope>>,
    /// The embedded aspects of an image.
    pub image_embedding_option: Option<Vec<EmbeddingOption>>,
    /// The scope of an image, which is always whole.
    pub image_embedding_scope: Option<Vec<EmbeddingScope>>,
}

masked_debug! {
    EmbeddingMetadata {
        input_url: masked, input_filename, duration, start_offset_sec, end_offset_sec, video_clip_length,
        video_embedding_option, video_embedding_scope, audio_embedding_option, audio_embedding_scope,
        document_embedding_option, document_embedding_scope, image_embedding_option, image_embedding_scope,
    }
}

open_enum! {
    /// The status of an embedding task.
    EmbeddingTaskStatus {
        /// The platform is creating the vectors.
        Processing = "processing",
        /// The vectors are ready.
        Ready = "ready",
        /// The task failed, and there will be no vectors.
        Failed = "failed",
    }
}
