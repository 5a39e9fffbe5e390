//! Many embeddings in parallel.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{CreateEmbeddingV2, EmbedInput, EmbedV2Client, EmbeddingSuccessResponse};
use crate::call::RequestOptions;
use crate::error::{Error, Result};
use crate::sync::lock;
use crate::types::BulkOutcome;

/// Many inputs to embed: see [`EmbedV2Client::create_many`]. Nothing is sent before
/// [`send`](CreateManyEmbeddings::send).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `.send()`"]
pub struct CreateManyEmbeddings {
    client: EmbedV2Client,
    inputs: Vec<EmbedInput>,
    model_name: String,
    workers: usize,
    auto_truncate: Option<bool>,
    embedding_uncertainty: Option<bool>,
    embedding_dimension: Option<u32>,
    request_options: RequestOptions,
}

impl CreateManyEmbeddings {
    pub(super) fn new(client: &EmbedV2Client, inputs: Vec<EmbedInput>, model_name: String) -> Self {
        CreateManyEmbeddings {
            client: client.clone(),
            inputs,
            model_name,
            workers: 4,
            auto_truncate: None,
            embedding_uncertainty: None,
            embedding_dimension: None,
            request_options: RequestOptions::new(),
        }
    }

    setters! {
        /// Sets the number of inputs that are sent at a time, each on its own connection. The default is 4.
        workers: usize => workers,
        /// See [`CreateEmbeddingV2::auto_truncate`].
        auto_truncate: some bool => auto_truncate,
        /// See [`CreateEmbeddingV2::embedding_uncertainty`].
        embedding_uncertainty: some bool => embedding_uncertainty,
        /// See [`CreateEmbeddingV2::embedding_dimension`].
        embedding_dimension: some u32 => embedding_dimension,
        /// Applies settings to each call.
        request_options: RequestOptions => request_options,
    }

    when_some!();

    /// Sends all inputs and returns one outcome for each, in the order of the inputs.
    ///
    /// An invalid key, an exhausted quota or a cancellation stops the run. The inputs that were not sent by then get
    /// the same error.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the number of workers is 0. The error of a single input is in its outcome.
    #[inline]
    pub fn send(self) -> Result<Vec<BulkOutcome<EmbeddingSuccessResponse>>> {
        if self.workers == 0 {
            return Err(Error::invalid("workers", "must be at least 1"));
        }
        let create = |input: EmbedInput| {
            self.client
                .create(input, self.model_name.as_str())
                .when_some(self.auto_truncate, CreateEmbeddingV2::auto_truncate)
                .when_some(self.embedding_uncertainty, CreateEmbeddingV2::embedding_uncertainty)
                .when_some(self.embedding_dimension, CreateEmbeddingV2::embedding_dimension)
                .request_options(self.request_options.clone())
        };
        // The caller's code may panic, for instance in an observer.
        let lost = || Error::Transport {
            operation: "POST /embed-v2".into(),
            message: "the thread that sent the request panicked; it is unknown whether the platform acted".into(),
            sent: true,
            source: None,
        };
        let outcomes = self.inputs.iter().map(|input| BulkOutcome { source: input.label(), result: Err(lost()) });
        let outcomes = Mutex::new(outcomes.collect::<Vec<_>>());
        let queue = Mutex::new(self.inputs.iter().enumerate());
        // The reason why no more inputs are sent.
        let stopped: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some((place, input)) = { lock(&queue).next() } {
                let refused = lock(&stopped).as_ref().and_then(Error::for_the_rest);
                let send = AssertUnwindSafe(|| create(input.clone()).send());
                let result = match refused {
                    Some(e) => Err(e),
                    None => catch_unwind(send).unwrap_or_else(|_| Err(lost())),
                };
                if let Some(e) = result.as_ref().err().and_then(Error::for_the_rest) {
                    *lock(&stopped) = Some(e);
                }
                if let Some(outcome) = lock(&outcomes).get_mut(place) {
                    outcome.result = result;
                }
            }
        };
        thread::scope(|scope| {
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let workers = self.workers.min(self.inputs.len());
            let threads: Vec<_> = (0..workers).map_while(spawn).collect();
            if threads.is_empty() {
                work();
            }
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        Ok(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}
