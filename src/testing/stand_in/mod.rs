//! The stand-in: a small platform that serves HTTP on the loopback interface and keeps everything in memory.
//!
//! `server` reads requests and writes answers, `state` finds the answer, and each resource has its own file. To add a
//! resource:
//!
//! - Define a struct for its state, make it a field of [`state::State`], and add its function
//!   `answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer>` to the list in
//!   `State::answer`. The function matches on the method and the path, and returns `None` for a path of another
//!   resource.
//! - Read `request.json()`, `.query()` and `.form()`, and answer with `reply(status, &json)`, `page` (a list), `lines`
//!   (a stream of JSON texts; `Content::Pieces` for any other stream), `error` or `missing`.
//! - Take ids from `state.new_id()`, and dates, if they matter, from the stand-in's clock.
//! - Count the polls of anything that takes the platform time. `state.pace.poll(&mut polls)` returns the result of a
//!   poll, so `polls_until_ready`, `Fault::never_ready` and `Fault::failed` work for it.
//! - Refuse every invalid request. Nothing may panic, overflow, or allocate an amount that the request dictates.

mod analyze;
mod assets;
mod body;
mod connections;
mod embed;
mod entity_collections;
mod fault;
mod form;
mod indexes;
mod knowledge_stores;
mod request;
mod responses;
mod search;
mod server;
mod state;
mod storage;
mod tasks;
mod uploads;

use std::fmt;
use std::io;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use serde_json::Value;

pub use self::body::Body;
use self::fault::Endpoint;
pub use self::fault::Fault;
pub use self::form::Part;
use self::request::Host;
pub use self::request::Request;
use self::server::{Port, Shared};
use self::state::{Scripted, State};
pub use self::uploads::Upload;
use super::TestClock;
use crate::{TwelveLabs, TwelveLabsBuilder};

const API_KEY: &str = "tlk_stand_in";

/// The maximum wait for a request.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A stand-in for the platform that runs inside a test. It stops when its last clone is dropped.
///
/// It keeps state, serves any number of connections, and answers as the platform's documentation says. It also refuses
/// what the documentation says the platform refuses: an asset that is not ready, an image for an index, an item with
/// the wrong `asset_type`, an unsupported schema. Where the documentation is silent, it is strict.
///
/// - **Assets**, uploaded in one request or in chunks, with transcriptions, metadata, HLS streams and thumbnails.
///   Videos and audio files last 12.5 s. A file whose name contains `video_duration_too_short` fails with that code.
/// - **Indexes**, their videos, tasks and searches. The same four sentences are spoken in every video: `Hello there,
///   and welcome to the beach.`, `Look, the dog runs into the water.`, `Now we build a castle of sand.` and `The sun
///   goes down, time to go home.` Clips that contain more words of the query come first. Filters and `group_by` work.
/// - **Analysis**, synchronous, streamed, in tasks and in batches. The answer begins with `You asked: …`, or fits the
///   schema or the segment definitions of the request.
/// - **Responses**, whole or streamed, in sessions that remember the questions. A question that contains `please fail`
///   fails; one that contains `at length` is truncated.
/// - **Connections**, whose users consent immediately, and imports. A file whose id contains `missing` is refused.
/// - **Embeddings**: inputs that share words, in their text or in their file name, are similar. Media with the word
///   `broken` cannot be embedded.
/// - **Entity collections** and entities; **knowledge stores** with items and collections, searched like indexes.
///
/// Everything that takes time on the platform is ready after two polls: see
/// [`polls_until_ready`](Self::polls_until_ready). Retrieving a resource counts as a poll of it. The first page of a
/// list polls every resource in the list. The presigned URLs of chunks lead to a second port, the storage, which takes
/// each chunk once.
///
/// Endpoints are written as `"POST /assets"` or `"GET /assets/{id}"`, where `{…}` is any one segment of the path.
///
/// ```
/// use twelvelabs::assets::UploadMethod;
/// use twelvelabs::testing::StandIn;
///
/// let stand_in = StandIn::start();
/// let client = stand_in.client();
/// let asset = client.assets().create(UploadMethod::url("https://example.com/holiday.mp4")).send()?;
/// let asset = client.assets().wait_for_done(&asset.id).send()?;
/// assert_eq!((asset.filename.as_deref(), asset.duration), (Some("holiday.mp4"), Some(12.5)));
/// # Ok::<(), twelvelabs::Error>(())
/// ```
#[derive(Clone)]
pub struct StandIn(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    /// The ports of the platform and the storage.
    ports: [Port; 2],
    client: TwelveLabs,
    clock: TestClock,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop(&mut self.ports);
    }
}

impl StandIn {
    /// Starts a stand-in on two free ports of the loopback interface.
    ///
    /// # Panics
    ///
    /// If the system has no free port or cannot start a thread. See [`try_start`](Self::try_start).
    #[must_use = "it stops when it is dropped"]
    #[track_caller]
    pub fn start() -> Self {
        match Self::try_start() {
            Ok(stand_in) => stand_in,
            Err(e) => panic!("the stand-in cannot be started: {e}"),
        }
    }

    /// Does the same as [`start`](Self::start), but returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// If the system has no free port or cannot start a thread.
    pub fn try_start() -> io::Result<Self> {
        let clock = TestClock::new();
        let shared = Arc::new(Shared::new(State::new(clock.clone())));
        let ports = [shared.listen(Host::Api)?, shared.listen(Host::Storage)?];
        shared.state().uploads.storage.base = format!("http://127.0.0.1:{}", ports[1].number);
        let client = builder(ports[0].number, &clock).build().map_err(io::Error::other)?;
        Ok(StandIn(Arc::new(Running { shared, ports, client, clock })))
    }

    /// Returns the base URL for a client, with an IP address: `http://127.0.0.1:…/v1.3`.
    pub fn url(&self) -> String {
        url("127.0.0.1", self.0.ports[0].number)
    }

    /// Returns the base URL with a host name: `http://localhost:…/v1.3`. From this call on, presigned URLs use that
    /// name as well.
    pub fn url_by_name(&self) -> String {
        let [api, storage] = &self.0.ports;
        self.state().uploads.storage.base = format!("http://localhost:{}", storage.number);
        url("localhost", api.number)
    }

    /// Returns a client for the stand-in. It uses the stand-in's [`clock`](Self::clock), so its pauses take no time.
    ///
    /// The client does not keep the stand-in running: keep the stand-in in a variable. After `StandIn::start().client()`
    /// in one expression, nothing listens any longer, and each call fails with "could not connect".
    pub fn client(&self) -> TwelveLabs {
        self.0.client.clone()
    }

    /// Returns a builder for that client, for custom settings.
    ///
    /// ```
    /// let stand_in = twelvelabs::testing::StandIn::start();
    /// let client = stand_in.builder().max_retries(0).build()?;
    /// stand_in.fail("GET /assets", 1, 503);
    /// assert!(client.assets().list().send().is_err());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn builder(&self) -> TwelveLabsBuilder {
        builder(self.0.ports[0].number, &self.0.clock)
    }

    /// Returns the clock of the stand-in and its clients. On this clock, presigned URLs expire after 1 hour and upload
    /// sessions after 24 hours.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let stand_in = twelvelabs::testing::StandIn::start();
    /// stand_in.fault("GET /assets", twelvelabs::testing::Fault::status(429).retry_after(20));
    /// stand_in.client().assets().list().send()?;
    /// assert_eq!(stand_in.clock().slept(), [Duration::from_secs(20)]);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn clock(&self) -> TestClock {
        self.0.clock.clone()
    }

    /// Answers the next `times` requests with this status, without effect.
    ///
    /// # Panics
    ///
    /// If the endpoint is not written as `"METHOD /path"`.
    #[track_caller]
    pub fn fail(&self, endpoint: &str, times: usize, status: u16) {
        self.fault(endpoint, Fault::status(status).times(times));
    }

    /// Injects a fault into the next requests to an endpoint. Several faults for one endpoint apply in the order in
    /// which they were added. The endpoint of chunks is `"PUT /storage/{upload_id}/{chunk}"`.
    ///
    /// ```
    /// use twelvelabs::FileSource;
    /// use twelvelabs::testing::{Fault, StandIn};
    ///
    /// let stand_in = StandIn::start();
    /// stand_in.chunks(1000, 10);
    /// stand_in.fault("PUT /storage/{upload_id}/3", Fault::reset_request(500));
    /// let file = FileSource::bytes("holiday.mp4", vec![7; 4500]);
    /// let upload = stand_in.client().multipart_upload().upload_file(file).send()?;
    /// assert_eq!(stand_in.sent_chunks(&upload.upload_id).len(), 6, "one of five is sent twice");
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the endpoint is not written as `"METHOD /path"`.
    #[track_caller]
    pub fn fault(&self, endpoint: &str, fault: Fault) {
        let endpoint = parsed(endpoint);
        self.state().script.push(Scripted { endpoint, fault, met: false });
    }

    /// Answers all requests to this endpoint (`"METHOD /path"`, as in [`fault`](Self::fault)) with status 200 and this
    /// JSON, whether or not the stand-in knows the endpoint. If several answers are set, the last one applies.
    ///
    /// ```
    /// use serde_json::json;
    ///
    /// let stand_in = twelvelabs::testing::StandIn::start();
    /// stand_in.answer("GET /assets/{id}", json!({"_id": "42", "status": "archived"}));
    /// let asset = stand_in.client().assets().retrieve("42").send()?;
    /// assert_eq!(asset.status.unwrap().as_str(), "archived");
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the endpoint is not written as `"METHOD /path"`.
    #[track_caller]
    pub fn answer(&self, endpoint: &str, json: Value) {
        let endpoint = parsed(endpoint);
        self.state().own_answers.push((endpoint, json));
    }

    /// Removes all faults and fixed answers.
    pub fn forgive(&self) {
        let mut state = self.state();
        state.script.clear();
        state.own_answers.clear();
    }

    /// Returns the endpoints of the faults that no request has met. If any remain at the end of a test, the test has
    /// not exercised them.
    ///
    /// ```
    /// let stand_in = twelvelabs::testing::StandIn::start();
    /// stand_in.fail("GET /asset", 1, 503);
    /// stand_in.client().assets().list().send()?;
    /// assert_eq!(stand_in.unmet_faults(), ["GET /asset"]);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn unmet_faults(&self) -> Vec<String> {
        let state = self.state();
        state.script.iter().filter(|scripted| !scripted.met).map(|scripted| scripted.endpoint.text().into()).collect()
    }

    /// Sets how many polls see a resource as unfinished before it is ready. The default is 2.
    pub fn polls_until_ready(&self, polls: u32) {
        self.state().polls_until_ready = polls;
    }

    /// Sets the chunk size of new sessions in bytes (5 MiB by default), and the number of URLs that a new session
    /// contains (10 by default).
    pub fn chunks(&self, chunk_size: u64, first_urls: u32) {
        let uploads = &mut self.state().uploads;
        (uploads.chunk_size, uploads.first_urls) = (chunk_size.max(1), first_urls);
    }

    /// Expires a session, as if its 24 hours had passed.
    pub fn expire_session(&self, upload_id: &str) {
        self.state().uploads.expire(upload_id);
    }

    /// Expires all presigned URLs issued so far, as if their hour had passed.
    pub fn expire_urls(&self) {
        self.state().uploads.storage.expire_urls();
    }

    /// Returns all requests to the platform and to the storage, in order.
    ///
    /// ```
    /// let stand_in = twelvelabs::testing::StandIn::start();
    /// stand_in.client().assets().list().page_limit(5).send()?;
    ///
    /// let request = &stand_in.requests()[0];
    /// assert_eq!((request.method(), request.path()), ("GET", "/assets"));
    /// assert!(request.query().contains(&("page_limit".to_string(), "5".to_string())));
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn requests(&self) -> Vec<Request> {
        self.state().log.clone()
    }

    /// Returns all requests to this endpoint, in order.
    ///
    /// # Panics
    ///
    /// If the endpoint is not written as `"METHOD /path"`.
    #[track_caller]
    pub fn requests_to(&self, endpoint: &str) -> Vec<Request> {
        let endpoint = parsed(endpoint);
        self.state().log.iter().filter(|request| endpoint.is(request.method(), &request.segments())).cloned().collect()
    }

    /// Returns the number of requests to this endpoint.
    ///
    /// # Panics
    ///
    /// If the endpoint is not written as `"METHOD /path"`.
    #[track_caller]
    pub fn count(&self, endpoint: &str) -> usize {
        count(&self.state(), &parsed(endpoint))
    }

    /// Waits until the headers of this many requests to this endpoint have arrived. Returns `false` if they have not
    /// arrived within 30 s.
    ///
    /// ```
    /// use twelvelabs::testing::{Fault, StandIn};
    /// use twelvelabs::{CancelHandle, FileSource};
    ///
    /// let stand_in = StandIn::start();
    /// stand_in.fault("PUT /storage/{upload_id}/{chunk}", Fault::silent(10));
    /// let cancel = CancelHandle::new();
    /// let (remote, other) = (cancel.clone(), stand_in.clone());
    /// std::thread::spawn(move || {
    ///     if other.wait_for("PUT /storage/{upload_id}/{chunk}", 1) {
    ///         remote.cancel();
    ///     }
    /// });
    /// let file = FileSource::bytes("holiday.mp4", vec![7; 4500]);
    /// let upload = stand_in.client().multipart_upload().upload_file(file).cancel_handle(&cancel).send();
    /// assert!(upload.unwrap_err().is_canceled());
    /// ```
    ///
    /// # Panics
    ///
    /// If the endpoint is not written as `"METHOD /path"`.
    #[must_use]
    #[track_caller]
    pub fn wait_for(&self, endpoint: &str, requests: usize) -> bool {
        let endpoint = parsed(endpoint);
        self.0.shared.wait_until(MAX_WAIT, |state| count(state, &endpoint) >= requests)
    }

    /// Returns the files that were uploaded completely, in one request or in chunks, in order.
    ///
    /// ```
    /// use twelvelabs::{FileSource, assets::UploadMethod};
    ///
    /// let stand_in = twelvelabs::testing::StandIn::start();
    /// let file = FileSource::bytes("clip.mp4", "frames");
    /// let asset = stand_in.client().assets().create(UploadMethod::direct(file)).send()?;
    ///
    /// let upload = &stand_in.uploads()[0];
    /// assert_eq!((&upload.asset_id, upload.filename.as_str(), upload.length), (&asset.id, "clip.mp4", 6));
    /// assert!(upload.sha256.as_ref().unwrap().starts_with("594cfd26"));
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn uploads(&self) -> Vec<Upload> {
        let state = self.state();
        state.uploads.uploads(&state.log)
    }

    /// Returns the ids of all upload sessions, oldest first.
    pub fn upload_ids(&self) -> Vec<String> {
        self.state().uploads.ids()
    }

    /// Returns the numbers of the chunks for which a request has begun, in order, including repetitions.
    pub fn sent_chunks(&self, upload_id: &str) -> Vec<u32> {
        let state = self.state();
        state.log.iter().filter_map(storage::place).filter(|(id, _)| id == upload_id).map(|(_, index)| index).collect()
    }

    /// Returns the numbers of the chunks that were reported, in order, including repetitions.
    pub fn reported_chunks(&self, upload_id: &str) -> Vec<u32> {
        self.state().uploads.reported(upload_id)
    }

    /// Returns the bytes of a completed session, unless they are too many to keep: see
    /// [`Body::bytes`](super::Body::bytes).
    pub fn assembled(&self, upload_id: &str) -> Option<Vec<u8>> {
        self.state().uploads.assembled(upload_id)
    }

    /// Returns the number of assets.
    pub fn asset_count(&self) -> usize {
        self.state().assets.count()
    }

    /// Returns the number of connections to the storage.
    pub fn storage_connections(&self) -> usize {
        self.state().uploads.storage.connections
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.shared.state()
    }
}

fn url(host: &str, port: u16) -> String {
    format!("http://{host}:{port}/v1.3")
}

fn builder(port: u16, clock: &TestClock) -> TwelveLabsBuilder {
    TwelveLabs::builder().api_key(API_KEY).base_url(url("127.0.0.1", port)).clock(clock.clone())
}

/// Parses an endpoint. It panics if the endpoint is malformed, because such a fault would never take effect.
#[track_caller]
fn parsed(endpoint: &str) -> Endpoint {
    match Endpoint::parse(endpoint) {
        Ok(endpoint) => endpoint,
        Err(why) => panic!("{why}"),
    }
}

fn count(state: &State, endpoint: &Endpoint) -> usize {
    state.log.iter().filter(|request| endpoint.is(request.method(), &request.segments())).count()
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn").field("url", &self.url()).finish_non_exhaustive()
    }
}
