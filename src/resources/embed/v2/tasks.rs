//! Embedding tasks: media embedded in the background.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::wait::all::WaitAll;
use crate::call::wait::one::Wait;
use crate::call::wait::poll::{PollStatus, Pollable};
use crate::call::wait::status_list::StatusList;
use crate::http::session::Session;
use crate::resources::embed::{EmbeddingTaskStatus, ListEmbedTasks};

use super::{EmbedInput, EmbeddingData, EmbeddingMediaMetadata, EmbeddingUsage};

/// Creates and manages embedding tasks. Returned by [`EmbedV2Client::tasks`](super::EmbedV2Client::tasks). The platform
/// keeps vectors for seven days.
#[derive(Debug, Clone)]
pub struct EmbedV2TasksClient(pub(crate) Session);

impl EmbedV2TasksClient {
    /// Lists the tasks, newest first. Without a time filter, these are the tasks of the last seven days.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for task in client.embed().v2().tasks().list().status("ready").send()? {
    ///     println!("{}", task?.id);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list(&self) -> ListEmbedTasks {
        self.0.get(&["embed-v2", "tasks"]).into()
    }

    /// Starts embedding audio or video, and with `marengo3.5` also an image or a document.
    ///
    /// The call returns before the vectors exist; [`wait_for_done`](Self::wait_for_done) returns them. Unusable media
    /// may be reported only then. A local file is sent as base64, up to 36 MB for audio or video, 32 MB for an image
    /// and 512 MB for a document. The platform accepts larger files by URL or as an asset.
    ///
    /// A local file that cannot be read, is empty, or changes while it is being sent returns an
    /// [`Error::File`](crate::Error::File).
    ///
    /// ```no_run
    /// use twelvelabs::embed::VideoInput;
    /// use twelvelabs::embed::{EmbedInput, MediaSegmentation, MediaSource};
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let video = VideoInput::new(MediaSource::asset_id("65f…"))
    ///     .segmentation(MediaSegmentation::fixed(5).temporal())
    ///     .embedding_option(["visual"])
    ///     .embedding_scope(["clip"]);
    /// let tasks = client.embed().v2().tasks();
    /// let task = tasks.create(EmbedInput::video(video), "marengo3.5").send()?;
    /// for clip in tasks.wait_for_done(&task.id).send()?.data.unwrap_or_default() {
    ///     println!("{:?} to {:?}: {} dimensions", clip.start_sec, clip.end_sec, clip.embedding.len());
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create(&self, input: EmbedInput, model_name: impl Into<String>) -> CreateEmbedV2Task {
        input.into_request(self.0.post(&["embed-v2", "tasks"]).slow(), model_name.into()).into()
    }

    /// Gets a task: its status, and its vectors once it is ready.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.embed().v2().tasks().retrieve("66f…").send()?;
    /// println!("{:?}, {} embeddings", task.status, task.data.unwrap_or_default().len());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve(&self, task_id: &str) -> Call<EmbeddingTask> {
        self.0.get(&["embed-v2", "tasks", task_id]).into()
    }

    /// Waits until a task is ready, and returns it with its vectors.
    ///
    /// A task that fails returns an [`Error::Failed`](crate::Error::Failed) with the platform's reason.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let task = client.embed().v2().tasks().wait_for_done("66f…").send()?;
    /// println!("{} embeddings", task.data.unwrap_or_default().len());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_done(&self, task_id: &str) -> Wait<EmbeddingTask> {
        Wait::new(self.0.get(&["embed-v2", "tasks", task_id]), task_id)
    }

    /// Waits for several tasks on one thread and yields each as soon as it is done. See [`WaitAll`](crate::WaitAll).
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for (id, result) in client.embed().v2().tasks().wait_for_all(["65f…", "660…"]).send()? {
    ///     println!("{id}: {}", if result.is_ok() { "ready" } else { "failed" });
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn wait_for_all<I: AsRef<str>>(&self, ids: impl IntoIterator<Item = I>) -> WaitAll<EmbeddingTask> {
        let list = StatusList::by_status(self.0.get(&["embed-v2", "tasks"]), &["processing"]);
        WaitAll::new(&self.0, ids, |id| self.0.get(&["embed-v2", "tasks", id])).with_list(list)
    }
}

request! {
    /// The builder returned by [`EmbedV2TasksClient::create`].
    CreateEmbedV2Task -> EmbeddingTask {
        /// Sets whether to return the uncertainty of each dimension: see [`EmbeddingData::embedding_uncertainty`].
        /// Requires `marengo3.5`, and only the scope `clip` for audio and video or `local` for a text. Not available
        /// for a PDF.
        json embedding_uncertainty: bool,
        /// Sets the number of dimensions of a vector. The default is 512. A smaller vector consists of the first of the
        /// 512 dimensions. Requires `marengo3.5`.
        json embedding_dimension: u32,
    }
}

/// An embedding task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingTask {
    /// The id of the task.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The status of the task.
    pub status: Option<EmbeddingTaskStatus>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The time of the last change.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// The embeddings, once the task is ready.
    pub data: Option<Vec<EmbeddingData>>,
    /// The tokens used. Only with `marengo3.5`.
    pub usage: Option<EmbeddingUsage>,
    /// The input and the options.
    pub metadata: Option<EmbeddingMediaMetadata>,
    /// The reason for the failure.
    pub error: Option<EmbeddingTaskError>,
}

/// The reason for the failure of an embedding task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EmbeddingTaskError {
    /// The reason, as text.
    pub message: Option<String>,
}

impl Pollable for EmbeddingTask {
    const RESOURCE: &'static str = "embedding task";

    fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.as_str())
    }

    fn poll_status(&self) -> PollStatus {
        match &self.status {
            Some(EmbeddingTaskStatus::Ready) if self.data.is_none() => {
                PollStatus::Failed(Some("it is ready, but its embeddings are missing or cannot be read".into()))
            }
            Some(EmbeddingTaskStatus::Ready) => PollStatus::Done,
            Some(EmbeddingTaskStatus::Failed) => {
                PollStatus::Failed(self.error.as_ref().and_then(|e| e.message.clone()))
            }
            _ => PollStatus::Working,
        }
    }
}
