//! The threads that send the chunks of an upload.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::iter;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::call::options::RequestOptions;
use crate::error::{Error, Result};
use crate::file::{ByteRanges, Inspected};
use crate::http::attempt::HeaderMap;
use crate::http::cancel::CancelHandle;
use crate::http::engine::{self, Body, BodyReader, Plan, Policy, STORAGE_OPERATION, Target};
use crate::http::retry::RetryPolicy;
use crate::http::session::Session;
use crate::limits::PROGRESS_TICK;
use crate::resources::multipart_upload::{CompletedChunk, PresignedUrl};
use crate::resumable::ResumableUpload;
use crate::sync::{Sender, lock, wait_timeout};
use crate::text::printable;
use crate::upload::options::Tuning;

/// The maximum number of URLs that the platform returns in one response.
const MAX_URLS: u32 = 50;
/// The minimum remaining validity of a URL. One that expires sooner is not used.
const URL_RESERVE: time::Duration = time::Duration::seconds(30);
/// The time limit for the response after a chunk is sent.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(120);
/// The default number of retries of a chunk.
const CHUNK_RETRIES: u32 = 3;
/// The maximum number of bytes that are read of a response from the storage.
const MAX_RESPONSE: u64 = 64 << 10;

/// An upload from the perspective of its workers.
pub(crate) struct Job<'a> {
    pub client: &'a Session,
    pub source: &'a Inspected,
    pub tuning: &'a Tuning,
    pub upload: Arc<ResumableUpload>,
    pub headers: HeaderMap,
    pub chunk_size: u64,
    pub total_chunks: u32,
    pub length: u64,
    /// The deadline of the whole upload.
    pub deadline: Option<Instant>,
    /// Canceled when no further chunk may be started or retried. Chunks in progress are still finished.
    pub stop: CancelHandle,
    /// The number of bytes that have arrived or are being sent.
    pub sent: AtomicU64,
    pub queue: Mutex<Queue>,
    /// Notified when URLs have arrived or the upload stops.
    pub changed: Condvar,
}

pub(crate) struct Queue {
    /// The chunks that no worker has taken yet.
    pub chunks: VecDeque<u32>,
    pub urls: HashMap<u32, PresignedUrl>,
    /// Whether a thread is requesting URLs.
    pub fetching: bool,
    /// The last chunk whose URL was requested ahead of need. Once is enough, because its worker also requests it.
    pub asked_ahead: u32,
}

/// A message from a worker to the calling thread.
pub(crate) enum Report {
    Done(CompletedChunk),
    Failed(Error),
}

impl Job<'_> {
    /// Sends chunks until none are left.
    pub(crate) fn work(&self, events: &Sender<Report>) {
        let work = || -> Result<()> {
            // A worker that gets no chunk opens no file. It may start after the others have read the last byte, and by
            // then, the file may have been moved or deleted.
            let Some(first) = self.next_chunk() else { return Ok(()) };
            let file = RefCell::new(self.source.byte_ranges()?);
            for index in iter::once(first).chain(iter::from_fn(|| self.next_chunk())) {
                let done = match self.send_chunk(index, &file) {
                    // The storage accepted the chunk without an `ETag`. A second attempt may return one.
                    Err(Error::Decode { .. }) => self.send_chunk(index, &file)?,
                    done => done?,
                };
                // The receiver is gone only if the calling thread has panicked.
                let _ = events.send(Report::Done(done));
            }
            Ok(())
        };
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Error::Transport {
                operation: self.name(),
                message: "a thread that sent chunks has panicked".into(),
                sent: true,
                source: None,
            })
        });
        if let Err(e) = outcome {
            // The failure is sent before the other workers are stopped, so that it arrives before the errors that
            // stopping causes.
            let _ = events.send(Report::Failed(e));
            self.stop();
        }
    }

    /// Returns the name of the upload for messages.
    pub(crate) fn name(&self) -> String {
        format!("upload {}", printable(&self.upload.upload_id, 100))
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Stops the upload: no further chunk is started.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        self.changed.notify_all();
    }

    pub(crate) fn now(&self) -> Instant {
        self.client.settings().clock.now()
    }

    /// Returns the options of a request that begins now. Its time limit is what remains of the upload's.
    pub(crate) fn options(&self) -> RequestOptions {
        let remaining = self.deadline.map(|deadline| deadline.saturating_duration_since(self.now()));
        RequestOptions { deadline: remaining, ..self.tuning.options.clone() }
    }

    /// Takes a chunk that no worker has taken. The lock is released before the chunk is sent. If the upload was
    /// stopped, [`url`](Self::url) refuses to send it.
    fn next_chunk(&self) -> Option<u32> {
        self.queue().chunks.pop_front()
    }

    /// Returns the offset of a chunk in the file, and its length.
    pub(crate) fn place(&self, index: u32) -> (u64, u64) {
        let offset = u64::from(index.saturating_sub(1)).saturating_mul(self.chunk_size);
        (offset, self.chunk_size.min(self.length.saturating_sub(offset)))
    }

    /// Sends a chunk, with a new URL for each attempt.
    fn send_chunk(&self, index: u32, file: &RefCell<ByteRanges>) -> Result<CompletedChunk> {
        let operation = format!("{STORAGE_OPERATION} {index} of {} of {}", self.total_chunks, self.name());
        let (offset, length) = self.place(index);
        let body = Chunk { file, offset, length, sent: &self.sent, taken: Cell::new(0) };
        let options = self.options();
        let mut url = || self.url(index);
        let plan = Plan {
            method: "PUT",
            operation: operation.clone(),
            target: Target::Storage(&mut url),
            headers: self.headers.clone(),
            body: Some(&body),
            idempotent: true,
            policy: Policy {
                max_response_size: MAX_RESPONSE,
                retry: RetryPolicy {
                    max_retries: self.tuning.max_retries.unwrap_or_else(|| options.retries(self.client, CHUNK_RETRIES)),
                    delay: self.tuning.retry_delay,
                    ..options.retry_policy(self.client)
                },
                ..options.policy(self.client, CHUNK_TIMEOUT, false)
            },
            cancel: options.cancel.clone(),
            stop: Some(self.stop.clone()),
        };
        let sent = engine::run(self.client, plan).and_then(|response| {
            if let Some(etag) = response.headers.get("etag").and_then(CompletedChunk::proof_of) {
                return Ok(CompletedChunk::new(index, &etag, length));
            }
            let message = "the storage accepted the chunk but returned no `ETag`".into();
            Err(Error::Decode { operation, message, response: Box::new(self.client.redact(response)) })
        });
        if sent.is_err() {
            body.take_back();
        }
        sent
    }

    /// Returns an unused URL for a chunk.
    fn url(&self, index: u32) -> Result<String> {
        let mut queue = self.queue();
        loop {
            if self.stop.is_canceled() {
                return Err(Error::Canceled { operation: self.name(), sent: false });
            }
            match queue.urls.remove(&index) {
                Some(PresignedUrl { url: Some(url), expires_at, .. }) if !self.is_expired(expires_at) => {
                    return self.checked(url);
                }
                Some(_) => {}
                None if queue.fetching => {
                    // Another thread is already requesting URLs. If this chunk's is not among them, it is requested
                    // next.
                    queue = wait_timeout(&self.changed, queue, PROGRESS_TICK);
                    continue;
                }
                None => {}
            }
            let count = queue.run_without_url(index);
            queue = self.fetch(queue, index, count)?;
            // A URL that was just fetched is used even if it has expired by this machine's clock, which may be wrong.
            if let Some(PresignedUrl { url: Some(url), .. }) = queue.urls.remove(&index) {
                return self.checked(url);
            }
            return Err(self.protocol(format!("the platform returned no URL for chunk {index}")));
        }
    }

    /// Checks that a URL is no less secure than the base URL of the API.
    fn checked(&self, url: String) -> Result<String> {
        let options = &self.client.settings().options;
        if !may_go_to(&url, &options.base_url, options.allow_insecure_storage) {
            let why =
                "the URL of a chunk is not encrypted (http); set `allow_insecure_storage(true)` to send it anyway";
            return Err(self.protocol(why.into()));
        }
        Ok(url)
    }

    pub(crate) fn protocol(&self, message: String) -> Error {
        Error::Protocol { operation: self.name(), message }
    }

    fn is_expired(&self, expires_at: Option<OffsetDateTime>) -> bool {
        let soon = self.client.settings().clock.utc_now().checked_add(URL_RESERVE);
        expires_at.zip(soon).is_some_and(|(expires_at, soon)| expires_at <= soon)
    }

    /// Requests URLs before a worker has to wait for them.
    pub(crate) fn fetch_ahead(&self) {
        let mut queue = self.queue();
        let near = queue.chunks.iter().take(self.tuning.max_workers.saturating_mul(2));
        let Some(next) = near.copied().find(|index| !queue.urls.contains_key(index)) else { return };
        if queue.fetching || queue.asked_ahead == next || self.stop.is_canceled() {
            return;
        }
        queue.asked_ahead = next;
        let count = queue.run_without_url(next);
        // The worker that needs the URLs requests them again, and reports the error if it persists.
        if let Err(e) = self.fetch(queue, next, count) {
            log::debug!("could not fetch URLs in advance: {e}");
        }
    }

    /// Requests the URLs of `count` chunks, and releases the lock in the meantime.
    fn fetch<'s>(&'s self, mut queue: MutexGuard<'s, Queue>, start: u32, count: u32) -> Result<MutexGuard<'s, Queue>> {
        queue.fetching = true;
        drop(queue);
        // The guard resets `fetching` in any case, so that nobody waits for URLs that are not being requested.
        let mut fetching = Fetching(Some(self));
        let call = self.client.multipart_upload().get_additional_presigned_urls(&self.upload.upload_id, start, count);
        let response = call.request_options(self.options()).send();
        let urls = response?.upload_urls.unwrap_or_default();
        fetching.0 = None;
        let mut queue = self.queue();
        queue.fetching = false;
        queue.urls.extend(by_chunk(urls, start..=start.saturating_add(count - 1)));
        self.changed.notify_all();
        Ok(queue)
    }
}

/// Indexes URLs by their chunks. URLs for unrequested chunks are dropped, so no platform can make this keep more URLs
/// than there are chunks.
pub(crate) fn by_chunk(
    urls: Vec<PresignedUrl>,
    asked: RangeInclusive<u32>,
) -> impl Iterator<Item = (u32, PresignedUrl)> {
    urls.into_iter().filter_map(move |url| Some((url.chunk_index.filter(|index| asked.contains(index))?, url)))
}

/// Whether a storage URL may be used: it must be encrypted if the API's is, unless insecure URLs are allowed.
fn may_go_to(url: &str, base_url: &str, allow_insecure: bool) -> bool {
    let clear = |url: &str| url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
    allow_insecure || !clear(url) || clear(base_url)
}

/// Marks URLs as being requested while it lives.
struct Fetching<'a>(Option<&'a Job<'a>>);

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.0 {
            job.queue().fetching = false;
            job.changed.notify_all();
        }
    }
}

impl Queue {
    /// Returns how many consecutive chunks from `index` on are not started and have no URL.
    fn run_without_url(&self, index: u32) -> u32 {
        let open = |n: &u32| self.chunks.contains(n) && !self.urls.contains_key(n);
        let last = (1..MAX_URLS).take_while(|n| open(&index.saturating_add(*n))).last();
        last.unwrap_or(0) + 1
    }
}

/// A chunk of the file as the body of a request.
struct Chunk<'a> {
    file: &'a RefCell<ByteRanges>,
    offset: u64,
    length: u64,
    sent: &'a AtomicU64,
    /// The number of bytes that the current attempt has read.
    taken: Cell<u64>,
}

impl Chunk<'_> {
    /// Subtracts the bytes of a failed attempt from the progress.
    fn take_back(&self) {
        self.sent.fetch_sub(self.taken.replace(0), Ordering::Relaxed);
    }
}

impl Body for Chunk<'_> {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn is_replayable(&self) -> bool {
        true
    }

    fn has_file(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn BodyReader + '_>> {
        self.take_back();
        Ok(Box::new(ChunkReader { chunk: self, offset: self.offset, remaining: self.length, fault: None, ended: None }))
    }
}

struct ChunkReader<'a> {
    chunk: &'a Chunk<'a>,
    offset: u64,
    remaining: u64,
    fault: Option<Error>,
    ended: Option<Instant>,
}

impl ChunkReader<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let mut file = self.chunk.file.borrow_mut();
        let read = file.read_at(self.offset, &mut buffer[..most])?;
        self.offset += read as u64;
        self.remaining -= read as u64;
        if self.remaining == 0 {
            // The check comes before the last bytes are sent, so that a chunk of a changed file is never completed.
            file.check_unchanged()?;
            self.ended = Some(Instant::now());
        }
        self.chunk.sent.fetch_add(read as u64, Ordering::Relaxed);
        self.chunk.taken.set(self.chunk.taken.get() + read as u64);
        Ok(read)
    }
}

impl Read for ChunkReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill(buffer).map_err(|error| {
            self.fault = Some(error);
            io::Error::other("the chunk cannot be read")
        })
    }
}

impl BodyReader for ChunkReader<'_> {
    fn take_fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    fn finished_at(&self) -> Option<Instant> {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::file::FileSource;
    use crate::sync::channel;

    #[test]
    fn a_worker_without_a_chunk_does_not_need_the_file() {
        let client = crate::TwelveLabs::builder().api_key("tlk_test").build().unwrap();
        let path = std::env::temp_dir().join(format!("twelvelabs-worker-{}.mp4", std::process::id()));
        std::fs::write(&path, "content").unwrap();
        let source = FileSource::from(&path).inspect().unwrap();
        std::fs::remove_file(&path).unwrap();
        let work = |chunks: &[u32]| {
            let (chunks, urls) = (chunks.iter().copied().collect(), HashMap::new());
            let job = Job {
                client: &client.0,
                source: &source,
                tuning: &Tuning::default(),
                upload: Arc::new(ResumableUpload::from("u")),
                headers: HeaderMap::new(),
                chunk_size: 7,
                total_chunks: 1,
                length: 7,
                deadline: None,
                stop: CancelHandle::new(),
                sent: AtomicU64::new(0),
                queue: Mutex::new(Queue { chunks, urls, fetching: false, asked_ahead: 0 }),
                changed: Condvar::new(),
            };
            let (sender, events) = channel(usize::MAX);
            job.work(&sender);
            drop(sender);
            events.recv()
        };
        assert!(work(&[]).is_none());
        assert!(matches!(work(&[1]), Some(Report::Failed(Error::File { .. }))));
    }

    #[test]
    fn urls_of_unrequested_chunks_are_dropped() {
        let urls: Vec<PresignedUrl> = (0..10_000)
            .map(|index| serde_json::from_value(json!({"chunk_index": index, "url": "https://s/1"})).unwrap())
            .chain([serde_json::from_value(json!({"url": "https://s/1"})).unwrap()])
            .collect();
        assert_eq!(by_chunk(urls, 3..=5).map(|(index, _)| index).collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[test]
    fn chunks_are_encrypted_if_the_api_is() {
        for (url, base_url, allow_insecure, may) in [
            ("https://s/1", "https://api", false, true),
            ("https://s/1", "http://localhost", false, true),
            ("http://s/1", "http://localhost", false, true),
            ("http://s/1", "https://api", false, false),
            ("HTTP://s/1", "https://api", false, false),
            ("http://s/1", "https://api", true, true),
        ] {
            assert_eq!(may_go_to(url, base_url, allow_insecure), may, "{url} {base_url} {allow_insecure}");
        }
    }
}
