//! A batch of uploads: what can be set, and what comes out of it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::call::json::encode::Metadata;
use crate::call::options::RequestOptions;
use crate::call::wait::poll::Pace;
use crate::error::{Error, Result};
use crate::file::FileSource;
use crate::http::cancel::CancelHandle;
use crate::http::session::Session;
use crate::resources::assets::{AssetRef, LOCAL_LIMIT};
use crate::sync::{Receiver, channel};
use crate::text::printable_path;
use crate::upload::batch::job::File;
use crate::upload::batch::name_lock::{NameLocks, Unsettled};
use crate::upload::batch::scheduler::Batch;
use crate::upload::journal::JournalFile;
use crate::upload::journal::entry::Kind;
use crate::upload::journal::paths::{Folders, Paths};
use crate::upload::journal::placement::Destination;
use crate::upload::options::{BatchOptions, NewAsset};
use crate::upload::outcome::{UploadOutcome, UploadOutcomeKind, UploadSummary};
use crate::upload::progress::UploadProgress;
use crate::upload::threads::no_thread;

const MAX_OUTAGE: Duration = Duration::from_secs(300);

/// Options of [`AssetsClient::upload_all`](crate::assets::AssetsClient::upload_all).
#[must_use = "nothing is sent before `.send()`"]
pub struct UploadAll {
    client: Session,
    paths: Vec<PathBuf>,
    /// What is there already, and is only brought to its destinations.
    assets: Vec<AssetRef>,
    workers: usize,
    manifest: Option<PathBuf>,
    relative_to: Vec<PathBuf>,
    cancel: Option<CancelHandle>,
    pub(crate) options: BatchOptions,
}

impl UploadAll {
    pub(crate) fn new(client: &Session, paths: Vec<PathBuf>) -> Self {
        UploadAll {
            client: client.clone(),
            paths,
            assets: Vec::new(),
            workers: 4,
            manifest: None,
            relative_to: Vec::new(),
            cancel: None,
            options: BatchOptions {
                asset: NewAsset::default(),
                threshold: LOCAL_LIMIT,
                max_workers: 5,
                wait: true,
                pace: Pace::default(),
                retry_permanent: false,
                destinations: Vec::new(),
                rate_limit: None,
                deadline: None,
                max_outage: MAX_OUTAGE,
                progress: None,
                request_options: RequestOptions::default(),
            },
        }
    }

    /// A batch of assets that exist.
    pub(crate) fn of_assets(client: &Session, assets: Vec<AssetRef>) -> Self {
        UploadAll { assets, ..UploadAll::new(client, Vec::new()) }
    }

    /// How many files are uploaded at a time: 4 by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Keeps a journal in this file, which is made if it is not there: JSON Lines, on the disk after every event.
    ///
    /// A later batch with the same manifest skips a file that is done, as long as its size and its time of change are
    /// the same; resumes a chunked upload that is still alive; waits for an asset that was not ready; tries a failed
    /// file again; and leaves alone what can never succeed, such as a video that is too short. Before a file that was
    /// being sent in one request when the program was killed is sent again, the batch searches the assets for it.
    ///
    /// Only one batch at a time can use a manifest. `NAME.lock` beside it marks it as in use and ends with the process,
    /// however it ends; [`send`](Self::send) of a second batch fails with an error that names the process. A file that
    /// does not begin as a manifest is refused and not changed, and so is another file at `NAME.lock`. If the manifest
    /// is removed or replaced while it is in use, no further file is started, and the outcomes say why. On Unix only its
    /// owner can read it. [Upload many files](crate::guide::batches) says where a manifest can be kept, and what makes a
    /// file the same file.
    ///
    /// # Format
    ///
    /// The first line says whose it is. With another API key or another base URL the manifest is refused, since the ids
    /// in it mean nothing there; `account` is 32 bits of a hash, from which nobody can guess a key. A manifest without
    /// such a line is taken over once, and has one from then on.
    ///
    /// ```json
    /// {"format":"twelvelabs-manifest","version":1,"base_url":"https://api.twelvelabs.io/v1.3","account":"5f0c19d2"}
    /// ```
    ///
    /// Each further line is an event, and the last one about a path counts:
    ///
    /// | field | |
    /// |---|---|
    /// | `event` | `sending` (the file is being sent in one request), `session` (a chunked upload has started), `uploaded` (the file has arrived), `done` or `failed` |
    /// | `path`, `size`, `modified` | the file: its absolute path (or that below the folder of [`relative_to`](Self::relative_to)), its bytes, when it was changed (in ns since 1970) |
    /// | `upload` | what it takes to resume a chunked upload: a [`ResumableUpload`](crate::multipart_upload::ResumableUpload), whose headers may be secret |
    /// | `sent_at` | when the file was first sent in one request whose outcome is unknown |
    /// | `clock_offset` | by how many milliseconds the platform's clock was ahead of this machine's then |
    /// | `asset_id`, `asset` | the asset, as far as it is known |
    /// | `placements` | the indexes and knowledge stores: the id of each, the `id` of the asset in it, or that it is `in_flight`, and what is known of it there |
    /// | `code`, `message`, `permanent` | why it failed, and whether for good |
    /// | `at` | when this was written |
    ///
    /// Lines that are not understood are skipped and kept. No line is longer than 16 MiB. If most of a large manifest is
    /// superseded, it is compacted when a batch begins: what still counts is written to `NAME.new`, which then takes its
    /// place.
    pub fn manifest(mut self, path: impl Into<PathBuf>) -> Self {
        self.manifest = Some(path.into());
        self
    }

    /// Knows the files below this folder by their path from there, in the manifest, in place of their absolute path.
    ///
    /// So a later batch can use the manifest although the folder is mounted elsewhere. Call it once for each folder. Files
    /// that are in none of them are known by their absolute path. Two files that have the same path below two folders are
    /// an error of [`send`](Self::send). A manifest that was begun with it is of no use without it: the batch would not
    /// find its files in it, and would upload them again.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let files = ["/mnt/nas/2026/monday.mp4", "/mnt/nas/2026/tuesday.mp4"];
    /// let uploads = client.assets().upload_all(files).manifest("uploads.jsonl").relative_to("/mnt/nas").send()?;
    /// println!("{} uploaded", uploads.finish().uploaded);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn relative_to(mut self, folder: impl Into<PathBuf>) -> Self {
        self.relative_to.push(folder.into());
        self
    }

    /// Tries again what failed for good in an earlier batch: no by default.
    pub fn retry_permanent(mut self, retry_permanent: bool) -> Self {
        self.options.retry_permanent = retry_permanent;
        self
    }

    /// Whether HLS streams are made of video and audio: yes by default.
    pub fn enable_hls(mut self, enable_hls: bool) -> Self {
        self.options.asset.enable_hls = Some(enable_hls);
        self
    }

    /// Whether thumbnails are made: yes by default.
    pub fn enable_thumbnail(mut self, enable_thumbnail: bool) -> Self {
        self.options.asset.enable_thumbnail = Some(enable_thumbnail);
        self
    }

    /// Your own metadata for every asset: strings, numbers, booleans, lists of strings.
    pub fn user_metadata(mut self, user_metadata: impl serde::Serialize) -> Self {
        self.options.asset.user_metadata = Some(Metadata::new(&user_metadata));
        self
    }

    /// The size in bytes above which a file goes in chunks: 200,000,000 by default.
    pub fn threshold(mut self, bytes: u64) -> Self {
        self.options.threshold = bytes;
        self
    }

    /// How many chunks of one file are sent at a time: 5 by default.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.options.max_workers = max_workers;
        self
    }

    /// Whether a file counts as done only when its asset is ready: yes by default.
    pub fn wait(mut self, wait: bool) -> Self {
        self.options.wait = wait;
        self
    }

    /// The time between two polls of an asset: by default 0.5 s, 1 s, 2 s and then 5 s.
    pub fn sleep_interval(mut self, sleep_interval: Duration) -> Self {
        self.options.pace.sleep_interval = Some(sleep_interval);
        self
    }

    /// The most time to wait for each asset once its file has arrived: one hour by default.
    pub fn max_wait_time(mut self, max_wait_time: Duration) -> Self {
        self.options.pace.max_wait_time = max_wait_time;
        self
    }

    /// How long to wait when nothing gets through any more, because the network or the platform is down: 5 minutes by
    /// default. Meanwhile one file at a time is tried. After that the batch ends, with the rest not started.
    pub fn max_outage(mut self, max_outage: Duration) -> Self {
        self.options.max_outage = max_outage;
        self
    }

    /// Indexes each asset in this index once it is ready, and waits until it is indexed. Called again, it names a further
    /// index.
    ///
    /// Every step is in the [`manifest`](Self::manifest) before the next, so that a batch that was killed, or one with
    /// further indexes or knowledge stores, does only what is missing. An asset that this run has not uploaded itself is
    /// looked for in the index before it is added; that costs one request for each
    /// ([`list_by_asset`](crate::indexes::IndexedAssetsClient::list_by_asset)).
    ///
    /// An image or a document cannot be indexed: the outcome of its file is an error, before anything is asked of the
    /// index. With [`wait(false)`](Self::wait), a file is done once its asset is added.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let batch = client.assets().upload_all(["monday.mp4", "poster.jpg"]).index("65a…").knowledge_store("ks_069e…");
    /// for outcome in batch.manifest("uploads.jsonl").send()? {
    ///     println!("{}: {} items", outcome.path.display(), outcome.items.len());
    ///     if let (Some(step), Err(e)) = (outcome.failed_at, &outcome.result) {
    ///         eprintln!("failed to {step}: {e}");
    ///     }
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn index(self, index_id: impl Into<String>) -> Self {
        self.destination(Destination::Index(index_id.into()))
    }

    /// Adds each asset to this knowledge store once it is ready, as a video or an image, and waits until it is processed.
    /// Called again, it names a further store. See [`index`](Self::index).
    ///
    /// The items of a store cannot be filtered by their asset: if some of the assets are not new, all items of the store
    /// are listed once, which costs one request for each 50.
    pub fn knowledge_store(self, knowledge_store_id: impl Into<String>) -> Self {
        self.destination(Destination::KnowledgeStore(knowledge_store_id.into()))
    }

    fn destination(mut self, to: Destination) -> Self {
        if !self.options.destinations.contains(&to) {
            self.options.destinations.push(to);
        }
        self
    }

    /// Sends at most this many files in this time, over all workers. The platform limits uploads for the whole account: to
    /// 60 a minute on the free plan. Polls do not count, as they do in
    /// [`TwelveLabsBuilder::rate_limit`](crate::TwelveLabsBuilder::rate_limit).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let batch = client.assets().upload_all(["monday.mp4"]).rate_limit(60, Duration::from_secs(60));
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn rate_limit(mut self, files: u32, per: Duration) -> Self {
        self.options.rate_limit = Some((files, per));
        self
    }

    /// The most time for the whole batch. Then it is stopped as by its [`cancel_handle`](Self::cancel_handle): what is on its
    /// way is interrupted, the rest is [`NotStarted`](UploadOutcomeKind::NotStarted), and a later batch with the same
    /// manifest resumes.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Called with the progress of each file, by the thread that uploads it.
    pub fn progress_callback(
        mut self,
        progress_callback: impl Fn(&Path, &UploadProgress) + Send + Sync + 'static,
    ) -> Self {
        self.options.progress = Some(Arc::new(progress_callback));
        self
    }

    /// Lets another thread stop it. There is an outcome for every file all the same.
    pub fn cancel_handle(mut self, cancel_handle: &CancelHandle) -> Self {
        self.cancel = Some(cancel_handle.clone());
        self
    }

    /// Settings of each request. Additional query and body parameters are sent only with the requests that create
    /// assets.
    pub fn request_options(mut self, request_options: RequestOptions) -> Self {
        self.options.request_options = request_options;
        self
    }

    when_some!();

    /// Starts the workers. The outcomes come as the files are finished; a path that is given twice has one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if an option cannot be used for any file, and [`Error::File`] if the manifest cannot be
    /// opened or another batch uses it. What is wrong with one file is in its outcome.
    pub fn send(self) -> Result<Uploads> {
        let rate_limit = self.options.rate_limit.map_or(1, |(files, _)| files);
        for (name, is_zero) in [
            ("workers", self.workers == 0),
            ("max_workers", self.options.max_workers == 0),
            ("rate_limit", rate_limit == 0),
        ] {
            if is_zero {
                return Err(Error::invalid(name, "must be at least 1"));
            }
        }
        self.options.pace.check()?;
        self.options.asset.check()?;
        let (mut folders, mut paths) = (Folders::relative_to(&self.relative_to), self.paths);
        if let Some(path) = folders.ambiguous(&paths) {
            let why = format!(
                "`{}` has the same path below its folder as another file; name a folder that both are in",
                printable_path(path)
            );
            return Err(Error::invalid("relative_to", why));
        }
        let known_by = Paths::of(&mut paths, &mut folders);
        let open = |path: &PathBuf| JournalFile::open(Kind::Manifest, path, &self.client, &paths, known_by);
        let mut manifest = self.manifest.as_ref().map(open).transpose()?;
        let names = NameLocks::default();
        let in_flight = manifest.as_mut().map_or(Ok(Vec::new()), JournalFile::in_flight)?;
        let mut own: HashMap<String, PathBuf> = HashMap::new();
        if !in_flight.is_empty() {
            // What was in flight at a kill comes first.
            let is_in_flight: HashSet<&str> = in_flight.iter().map(|entry| &*entry.file.path).collect();
            let (first, rest): (Vec<_>, _) =
                paths.into_iter().partition(|path| is_in_flight.contains(&*folders.key(path)));
            own.extend(first.iter().map(|path| (folders.key(path), path.clone())));
            paths = first.into_iter().chain(rest).collect();
        }
        for entry in in_flight {
            let Some(sent_at) = entry.sent_at() else { continue };
            // A path that is not Unicode is not in the manifest as it is.
            let path = own.get(&entry.file.path).cloned().unwrap_or_else(|| entry.file.path.clone().into());
            let name = (FileSource::path(path).file_name(), entry.file.size);
            names.add_unsettled(&name, Unsettled { file: entry.file, sent_at, by_earlier: true });
        }
        let mut options = self.options;
        let cancel = self.cancel.or(options.request_options.cancel.take()).unwrap_or_default().child();
        options.request_options.cancel = Some(cancel.clone());
        options.request_options.waits_out_rate_limits = true;
        let deadline = options.deadline;
        let (sender, outcomes) = channel(usize::MAX);
        let mut ids = HashSet::new();
        let assets = self.assets.into_iter().filter(|asset| ids.insert(asset.id.clone())).map(File::of_asset);
        let files: Vec<File> = paths.into_iter().map(File::new).chain(assets).collect();
        let total = files.len();
        let workers = self.workers.min(total);
        let batch = Batch::new(self.client, files, manifest, folders, names, options, cancel.clone());
        let mut uploads = Uploads { outcomes, left: total, batch: batch.clone(), cancel, threads: Vec::new() };
        for _ in 0..workers {
            let (worker, sender) = (batch.clone(), sender.clone());
            let thread =
                std::thread::Builder::new().name("twelvelabs-batch".into()).spawn(move || worker.work(&sender));
            match thread {
                Ok(thread) => uploads.threads.push(thread),
                // Fewer workers do it too, as long as there is one.
                Err(e) if uploads.threads.is_empty() => return Err(no_thread(e)),
                Err(e) => {
                    log::warn!("only {} workers: {e}", uploads.threads.len());
                    break;
                }
            }
        }
        if let Some(deadline) = deadline {
            let watch = move || batch.watch_deadline(deadline);
            std::thread::Builder::new().name("twelvelabs-deadline".into()).spawn(watch).map_err(no_thread)?;
        }
        Ok(uploads)
    }
}

impl fmt::Debug for UploadAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadAll")
            .field("paths", &self.paths.len())
            .field("workers", &self.workers)
            .field("manifest", &self.manifest)
            .finish_non_exhaustive()
    }
}

/// The outcomes of a batch as they come: one for each file. Dropped before its end, it stops the batch, and waits until
/// its threads have ended, unless that is in a callback.
///
/// Take them one by one, or let [`finish`](Self::finish) count them.
#[must_use = "dropping it stops the batch: iterate over the outcomes, or call `.finish()`"]
pub struct Uploads {
    outcomes: Receiver<UploadOutcome>,
    left: usize,
    batch: Arc<Batch>,
    cancel: CancelHandle,
    threads: Vec<JoinHandle<()>>,
}

impl Uploads {
    /// Waits for all files, and counts their outcomes.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let summary = client.assets().upload_all(["monday.mp4", "tuesday.mp4"]).send()?.finish();
    /// for failure in &summary.failures {
    ///     eprintln!("{}: {:?}", failure.path.display(), failure.result);
    /// }
    /// std::process::exit(if summary.is_complete() { 0 } else { 1 });
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn finish(self) -> UploadSummary {
        let mut summary = UploadSummary::default();
        for outcome in self {
            match outcome.kind {
                UploadOutcomeKind::Uploaded => summary.uploaded += 1,
                UploadOutcomeKind::Skipped => summary.skipped += 1,
                UploadOutcomeKind::Failed => summary.failed += 1,
                UploadOutcomeKind::NotStarted => summary.not_started += 1,
            }
            let unnoted = outcome.manifest_error.is_some();
            if outcome.kind == UploadOutcomeKind::Failed || unnoted {
                summary.failures.push(outcome);
            } else if outcome.kind == UploadOutcomeKind::NotStarted && summary.stopped.is_none() {
                summary.stopped = outcome.result.err();
            }
        }
        summary
    }
}

impl Iterator for Uploads {
    type Item = UploadOutcome;

    fn next(&mut self) -> Option<UploadOutcome> {
        let outcome = self.outcomes.recv().or_else(|| {
            // The workers have ended. What they left is made into outcomes as it is asked for.
            self.join();
            self.batch.not_started()
        });
        self.left = self.left.saturating_sub(usize::from(outcome.is_some()));
        outcome
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Uploads {}

impl Uploads {
    /// With the end of the workers, the manifest is free for the next batch.
    fn join(&mut self) {
        let threads = std::mem::take(&mut self.threads);
        if std::thread::current().name().is_some_and(|name| name.starts_with("twelvelabs-")) {
            // A callback drops this. Another worker may wait for what it holds: they end by themselves, and the manifest
            // is free once the last one has.
            return;
        }
        for thread in threads {
            // What a callback does to it is in the outcome of its file.
            let _ = thread.join();
        }
        self.batch.close();
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.join();
    }
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploads").field("left", &self.left).finish_non_exhaustive()
    }
}
