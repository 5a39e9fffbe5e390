//! Batches: one outcome for each file, a manifest that survives every failure, and limits shared by all workers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use crate::files::{Folder, content};
use UploadOutcomeKind::{Failed, NotStarted, Skipped, Uploaded};
use twelvelabs::assets::{AssetStatus, UploadAll, UploadOutcome, UploadOutcomeKind, Uploads};
use twelvelabs::testing::{Fault, StandIn, TestClock};
use twelvelabs::time::OffsetDateTime;
use twelvelabs::{CancelHandle, Clock, Error, RequestOptions, TwelveLabs};

pub const KEY: &str = "tlk_never_seen_by_the_storage";
pub const CHUNK: u64 = 16 << 10;

/// A clock on which a pause takes a hundredth of its time.
struct Fast;

impl Clock for Fast {
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration / 100);
    }
}

pub fn client(url: &str) -> TwelveLabs {
    TwelveLabs::builder().api_key(KEY).base_url(url).clock(Fast).build().unwrap()
}

/// Creates a batch of everything in the folder except the manifest. Files above 100 KB are sent in chunks.
pub fn batch(client: &TwelveLabs, folder: &Folder) -> UploadAll {
    let names = folder.names();
    let paths = names.iter().filter(|name| !name.starts_with("manifest.jsonl")).map(|name| folder.path(name));
    let all = client.assets().upload_all(paths).threshold(100_000).sleep_interval(Duration::from_millis(1));
    all.manifest(folder.path("manifest.jsonl"))
}

/// Returns the outcomes by file name.
pub fn outcomes(all: UploadAll) -> BTreeMap<String, UploadOutcome> {
    let uploads = all.send().unwrap();
    let expected = uploads.len();
    let mut found = BTreeMap::new();
    for outcome in uploads {
        let name = outcome.path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(found.insert(name.clone(), outcome).is_none(), "{name} has one outcome");
    }
    assert_eq!(found.len(), expected, "every file has an outcome");
    found
}

pub fn kinds(outcomes: &BTreeMap<String, UploadOutcome>) -> Vec<(&str, UploadOutcomeKind)> {
    outcomes.iter().map(|(name, outcome)| (name.as_str(), outcome.kind)).collect()
}

/// Whether a line of a manifest is about one of these files, whatever separates the parts of a path on this system.
pub fn is_about(line: &str, files: &[&str]) -> bool {
    let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let path = entry["path"].as_str().map(Path::new);
    path.is_some_and(|path| files.iter().any(|file| path.ends_with(file)))
}

pub fn small_files(folder: &Folder, count: usize) {
    for number in 0..count {
        folder.write(&format!("{number:02}.mp4"), &content(1000 + number));
    }
}

#[test]
fn every_file_has_one_outcome_as_it_is_finished() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("outcomes"));
    stand_in.chunks(CHUNK, 3);
    small_files(&folder, 9);
    folder.write("large.mp4", &content(200_000));
    folder.write("empty.mp4", b"");
    fs::create_dir(folder.path("folder.mp4")).unwrap();
    let client = client(&stand_in.url());
    let mut paths: Vec<PathBuf> = folder.names().iter().map(|name| folder.path(name)).collect();
    paths.push(folder.path("missing.mp4"));
    paths.push(folder.path("00.mp4"));
    let seen: Arc<Mutex<BTreeSet<PathBuf>>> = Arc::default();
    let log = seen.clone();
    let all = client.assets().upload_all(paths).threshold(100_000).sleep_interval(Duration::from_millis(1));
    let found = outcomes(all.progress_callback(move |path: &Path, _| {
        log.lock().unwrap().insert(path.into());
    }));
    assert_eq!(found.len(), 13, "a path that is listed twice is one file");
    for (name, outcome) in &found {
        match name.as_str() {
            "empty.mp4" | "folder.mp4" | "missing.mp4" => {
                assert!(matches!(&outcome.result, Err(Error::File { .. })) && outcome.kind == Failed, "{outcome:?}");
            }
            _ => {
                let asset = outcome.result.as_ref().unwrap();
                assert_eq!((outcome.kind, &asset.status), (Uploaded, &Some(AssetStatus::Ready)), "{name}");
                assert_eq!(asset.filename.as_deref(), Some(name.as_str()));
                assert!(seen.lock().unwrap().contains(&outcome.path), "{name} has reported its progress");
            }
        }
    }
    assert_eq!(stand_in.asset_count(), 10);
    assert_eq!(stand_in.assembled(&stand_in.upload_ids()[0]).unwrap(), content(200_000));
}

#[test]
fn a_second_run_does_only_the_remaining_work() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("again"));
    stand_in.chunks(CHUNK, 3);
    small_files(&folder, 3);
    folder.write("large.mp4", &content(200_000));
    folder.write("short-video_duration_too_short.mp4", &content(500));
    let client = client(&stand_in.url());
    // One file is refused once, and one chunk of the large file fails, also when it is retried at the end.
    stand_in.fail("POST /assets", 1, 400);
    stand_in.fault("PUT /storage/{upload_id}/5", Fault::status(500).times(8));
    let first = outcomes(batch(&client, &folder).workers(1));
    assert_eq!(
        kinds(&first),
        [
            ("00.mp4", Failed),
            ("01.mp4", Uploaded),
            ("02.mp4", Uploaded),
            ("large.mp4", Failed),
            ("short-video_duration_too_short.mp4", Failed)
        ]
    );
    let short = first["short-video_duration_too_short.mp4"].result.as_ref().unwrap_err();
    assert!(short.is_permanent() && matches!(short, Error::Failed(_)), "{short}");
    let upload = stand_in.upload_ids()[0].clone();
    let reported = stand_in.reported_chunks(&upload);

    let second = outcomes(batch(&client, &folder));
    assert_eq!(
        kinds(&second),
        [
            ("00.mp4", Uploaded),
            ("01.mp4", Skipped),
            ("02.mp4", Skipped),
            ("large.mp4", Uploaded),
            ("short-video_duration_too_short.mp4", Failed)
        ]
    );
    let (before, after) = (first["01.mp4"].result.as_ref().unwrap(), second["01.mp4"].result.as_ref().unwrap());
    assert_eq!(before.id, after.id);
    let short = second["short-video_duration_too_short.mp4"].result.as_ref().unwrap_err();
    assert!(
        matches!(short, Error::PreviouslyFailed { .. }) && short.code() == Some("video_duration_too_short"),
        "{short}"
    );
    assert_eq!(stand_in.upload_ids(), std::slice::from_ref(&upload), "the large file was resumed");
    assert_eq!(stand_in.assembled(&upload).unwrap(), content(200_000));
    let begun = stand_in.sent_chunks(&upload);
    for index in reported {
        assert_eq!(begun.iter().filter(|begun| **begun == index).count(), 1, "chunk {index} was sent once");
    }

    // A changed file counts as another file. A permanent failure is retried on request.
    folder.write("01.mp4", &content(2000));
    let third = outcomes(batch(&client, &folder).retry_permanent(true));
    assert_eq!((third["01.mp4"].kind, third["02.mp4"].kind), (Uploaded, Skipped));
    let short = third["short-video_duration_too_short.mp4"].result.as_ref().unwrap_err();
    assert!(matches!(short, Error::Failed(_)), "{short}");
}

#[test]
fn a_second_run_waits_for_an_asset_that_was_not_ready() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("not-ready"));
    small_files(&folder, 2);
    let client = client(&stand_in.url());
    let first = outcomes(batch(&client, &folder).max_wait_time(Duration::ZERO));
    for outcome in first.values() {
        assert!(matches!(outcome.result, Err(Error::WaitTimeout { .. })), "{outcome:?}");
    }
    let second = outcomes(batch(&client, &folder).wait(false));
    assert!(second.values().all(|outcome| outcome.kind == Uploaded), "{second:?}");
    let third = outcomes(batch(&client, &folder));
    assert!(third.values().all(|o| o.result.as_ref().unwrap().status == Some(AssetStatus::Ready)), "{third:?}");
    assert!(outcomes(batch(&client, &folder)).values().all(|outcome| outcome.kind == Skipped));
    assert_eq!(stand_in.count("POST /assets"), 2, "each file was uploaded once");
}

#[test]
fn a_file_is_uploaded_although_its_path_is_also_given_with_a_trailing_separator() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("separator"));
    let path = folder.write("clip.mp4", &content(10));
    let wrong = PathBuf::from(format!("{}/", path.display()));
    let outcomes: Vec<_> = stand_in.client().assets().upload_all([wrong, path]).send().unwrap().collect();
    let uploaded = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    assert_eq!((outcomes.len(), uploaded, stand_in.asset_count()), (2, 1, 1), "{outcomes:?}");
}

#[test]
fn an_asset_that_is_listed_late_is_not_uploaded_twice() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("late"));
    stand_in.chunks(CHUNK, 3);
    folder.write("large.mp4", &content(200_000));
    let client = client(&stand_in.url());
    stand_in.fail("GET /assets/{id}", 2, 404);
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("large.mp4", Uploaded)]);
    assert_eq!(stand_in.upload_ids().len(), 1);
    // A file whose asset was deleted is uploaded again by the batch after the one that notices.
    folder.write("other.mp4", &content(1000));
    outcomes(batch(&client, &folder).max_wait_time(Duration::ZERO));
    stand_in.fail("GET /assets/{id}", 1, 404);
    assert_eq!(kinds(&outcomes(batch(&client, &folder)))[1], ("other.mp4", Failed));
    assert_eq!(kinds(&outcomes(batch(&client, &folder)))[1], ("other.mp4", Uploaded));
    assert_eq!(stand_in.count("POST /assets"), 2);
}

#[test]
fn an_expired_session_is_replaced_by_a_new_one() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("expired"));
    stand_in.chunks(CHUNK, 3);
    folder.write("large.mp4", &content(200_000));
    let client = client(&stand_in.url());
    stand_in.fault("PUT /storage/{upload_id}/2", Fault::status(500).times(4));
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("large.mp4", Failed)]);
    stand_in.expire_session(&stand_in.upload_ids()[0]);
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("large.mp4", Uploaded)]);
    let ids = stand_in.upload_ids();
    assert_eq!(ids.len(), 2);
    assert_eq!(stand_in.assembled(&ids[1]).unwrap(), content(200_000));
}

/// A clock that removes a folder from the second time on that the date is read.
struct Away {
    asked: AtomicUsize,
    folder: PathBuf,
    place: PathBuf,
}

impl Clock for Away {
    fn utc_now(&self) -> OffsetDateTime {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 1 {
            fs::rename(&self.folder, &self.place).unwrap();
        }
        OffsetDateTime::now_utc()
    }
}

#[test]
fn a_session_is_resumed_after_the_file_was_unreadable_for_a_while() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("away"));
    stand_in.chunks(CHUNK, 3);
    let (here, place) = (folder.path("disk"), folder.path("elsewhere"));
    fs::create_dir(&here).unwrap();
    folder.write("disk/large.mp4", &content(200_000));
    let run = |client: &TwelveLabs| {
        let all = client.assets().upload_all([here.join("large.mp4")]).threshold(100_000);
        outcomes(all.sleep_interval(Duration::from_millis(1)).manifest(folder.path("manifest.jsonl")))
    };
    stand_in.fault("PUT /storage/{upload_id}/2", Fault::status(500).times(4));
    assert_eq!(kinds(&run(&client(&stand_in.url()))), [("large.mp4", Failed)]);
    // The date is read when the manifest is locked, and then between the inspection of the file and its upload.
    let away = Away { asked: AtomicUsize::new(0), folder: here.clone(), place: place.clone() };
    let builder = TwelveLabs::builder().api_key(KEY).base_url(stand_in.url()).clock(away);
    let found = run(&builder.build().unwrap());
    assert!(found["large.mp4"].result.as_ref().unwrap_err().to_string().contains("no such file"), "{found:?}");
    fs::rename(&place, &here).unwrap();
    assert_eq!(kinds(&run(&client(&stand_in.url()))), [("large.mp4", Uploaded)]);
    assert_eq!(stand_in.upload_ids().len(), 1, "the session was resumed");
}

#[test]
fn an_exhausted_quota_ends_the_batch_with_an_outcome_for_every_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("quota"));
    small_files(&folder, 12);
    let client = client(&stand_in.url());
    // The first two files succeed.
    let asset = |outcome: &UploadOutcome| outcome.result.as_ref().ok().map(|asset| asset.id.clone());
    stand_in.fault("POST /assets", Fault::status(402).after(2).always());
    let found = outcomes(batch(&client, &folder).workers(2));
    let count = |kind| found.values().filter(|outcome| outcome.kind == kind).count();
    assert_eq!(count(Uploaded), 2);
    assert!((1..=2).contains(&count(Failed)), "{found:?}");
    assert_eq!(count(Uploaded) + count(Failed) + count(NotStarted), 12);
    for outcome in found.values().filter(|outcome| asset(outcome).is_none()) {
        let e = outcome.result.as_ref().unwrap_err();
        assert!(e.is_quota() && e.code() == Some("plan_limit_exceeded"), "{e}");
    }
    assert!(stand_in.count("POST /assets") <= 4, "no file was started after the quota was known to be exhausted");
    stand_in.forgive();
    let again = outcomes(batch(&client, &folder));
    assert_eq!(again.values().filter(|outcome| outcome.kind == Skipped).count(), 2);
    assert_eq!(again.values().filter(|outcome| outcome.kind == Uploaded).count(), 10);
}

#[test]
fn a_rate_limit_pauses_all_workers_together() {
    const FILES: usize = 40;
    const WORKERS: usize = 4;
    let clock = TestClock::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // The time of each request on the client's clock, and whether it was refused.
    let requests: Arc<Mutex<Vec<(Duration, bool)>>> = Arc::default();
    let (log, time, count) = (requests.clone(), clock.clone(), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (log, time, count) = (log.clone(), time.clone(), count.clone());
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut output = stream.try_clone()?;
                let mut input = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if input.read_line(&mut head)? == 0 {
                            return Ok(());
                        }
                    }
                    let length = head.to_lowercase().split("content-length: ").nth(1).unwrap().to_string();
                    let length = length.lines().next().unwrap().parse().unwrap();
                    input.read_exact(&mut vec![0; length])?;
                    let number = count.fetch_add(1, Ordering::SeqCst);
                    let refused = number == 10;
                    log.lock().unwrap().push((time.passed(), refused));
                    if number > 10 {
                        // Requests in flight are held until the pause has begun.
                        until("the pause begins", || time.passed() > Duration::ZERO);
                    }
                    let (head, body) = match refused {
                        true => ("429 Slow Down\r\nretry-after: 30", r#"{"message":"slow down"}"#),
                        false => ("201 Created", r#"{"_id":"1","status":"ready"}"#),
                    };
                    write!(output, "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
                }
            });
        }
    });
    let folder = Folder::new("rate");
    small_files(&folder, FILES);
    let client = TwelveLabs::builder().api_key(KEY).base_url(url).max_retries(0).clock(clock).build().unwrap();
    let paths = folder.names().into_iter().map(|name| folder.path(&name));
    let found = outcomes(client.assets().upload_all(paths).workers(WORKERS));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{found:?}");
    let requests = requests.lock().unwrap();
    assert_eq!(requests.len(), FILES + 1, "the refused request was repeated, although `max_retries` is 0");
    let refused = requests.iter().position(|(_, refused)| *refused).unwrap();
    let until = requests[refused].0 + Duration::from_secs(30);
    let early = requests[refused + 1..].iter().filter(|(at, _)| *at < until).count();
    assert!(early < WORKERS, "only requests already in flight arrived during the pause: {early}");
}

#[test]
fn a_rate_limit_counts_from_the_start_of_each_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("slots"));
    stand_in.polls_until_ready(0);
    small_files(&folder, 3);
    // The first file takes 20 s, so the third may start 40 s after the second.
    stand_in.fault("POST /assets", Fault::status(503).retry_after(20));
    let all = batch(&stand_in.client(), &folder).workers(1).rate_limit(2, Duration::from_secs(60));
    assert!(all.send().unwrap().finish().is_complete());
    let passed = stand_in.clock().passed().as_secs();
    assert!((60..70).contains(&passed), "{passed}");
}

/// A clock on which no pause takes any time.
struct Impatient(Arc<Mutex<Duration>>);

impl Clock for Impatient {
    fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

#[test]
fn a_batch_works_on_a_clock_that_does_not_advance() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("impatient"));
    small_files(&folder, 3);
    stand_in.fail("POST /assets", 1, 429);
    let slept: Arc<Mutex<Duration>> = Arc::default();
    let client = TwelveLabs::builder().api_key(KEY).base_url(stand_in.url()).clock(Impatient(slept.clone()));
    let all = batch(&client.build().unwrap(), &folder).workers(1).sleep_interval(Duration::from_secs(3600));
    let found = outcomes(all.max_wait_time(Duration::from_secs(10_800)));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{found:?}");
    // Two polls find the assets not ready, and an hour is slept before each of the next.
    assert!(*slept.lock().unwrap() >= Duration::from_secs(3600), "{slept:?}");
}

#[test]
fn a_canceled_batch_has_an_outcome_for_every_file_and_can_be_resumed() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("cancel"));
    stand_in.chunks(CHUNK, 3);
    folder.write("00-large.mp4", &content(200_000));
    small_files(&folder, 5);
    stand_in.fault("PUT /storage/{upload_id}/1", Fault::silent(10));
    let cancel = CancelHandle::new();
    let (remote, stand_in_too) = (cancel.clone(), stand_in.clone());
    let canceler = std::thread::spawn(move || {
        assert!(stand_in_too.wait_for("PUT /storage/{upload_id}/1", 1));
        remote.cancel();
    });
    let client = client(&stand_in.url());
    let found = outcomes(batch(&client, &folder).workers(1).cancel_handle(&cancel));
    canceler.join().unwrap();
    assert!(found.values().all(|outcome| outcome.result.as_ref().is_err_and(Error::is_canceled)), "{found:?}");
    assert_eq!(found.values().filter(|outcome| outcome.kind == NotStarted).count(), 5);
    let again = outcomes(batch(&client, &folder));
    assert!(again.values().all(|outcome| outcome.kind == Uploaded), "{again:?}");
    assert_eq!(stand_in.upload_ids().len(), 1, "the session was resumed");
}

#[test]
fn a_cancel_handle_in_the_request_options_stops_a_batch() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("cancel-options"));
    small_files(&folder, 5);
    let cancel = CancelHandle::new();
    cancel.cancel();
    let options = RequestOptions::new().cancel_handle(&cancel);
    let found = outcomes(batch(&client(&stand_in.url()), &folder).request_options(options));
    assert!(found.values().all(|outcome| outcome.kind == NotStarted), "{found:?}");
    assert_eq!(stand_in.count("POST /assets"), 0);
}

#[test]
fn a_batch_that_is_dropped_stops() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("dropped"));
    small_files(&folder, 30);
    let mut uploads = batch(&client(&stand_in.url()), &folder).workers(1).send().unwrap();
    assert!(uploads.next().is_some());
    drop(uploads);
    let sent = stand_in.count("POST /assets");
    assert!(sent < 30, "the batch did not stop: {sent} files were sent");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(stand_in.count("POST /assets"), sent, "nothing is sent after the batch was dropped");
}

#[test]
fn a_callback_that_drops_its_batch_waits_for_no_other_worker() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("dropped-inside"));
    small_files(&folder, 8);
    let client = client(&stand_in.url());
    let held: Arc<Mutex<Option<Uploads>>> = Arc::default();
    let (theirs, met, calls) = (held.clone(), Barrier::new(2), AtomicUsize::new(0));
    let all = batch(&client, &folder).workers(2).progress_callback(move |_: &Path, _| {
        // Both workers are here at the same time, so that the other one waits for the mutex while the batch is dropped.
        if calls.fetch_add(1, Ordering::SeqCst) < 2 {
            met.wait();
        }
        drop(theirs.lock().unwrap().take());
    });
    *held.lock().unwrap() = Some(all.send().unwrap());
    until("both workers end", || Arc::strong_count(&held) == 1);
    let again = outcomes(batch(&client, &folder));
    assert!(again.values().all(|outcome| outcome.kind == Uploaded), "the manifest is free: {again:?}");
    assert_eq!(stand_in.asset_count(), 8, "no file is on the platform twice");
}

#[test]
fn an_observer_that_drops_its_batch_does_not_wait_for_itself() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("dropped-observed"));
    stand_in.chunks(CHUNK, 3);
    folder.write("large.mp4", &content(200_000));
    let held: Arc<Mutex<Option<Uploads>>> = Arc::default();
    let theirs = held.clone();
    let builder = TwelveLabs::builder().api_key(KEY).base_url(stand_in.url()).observer(move |event| {
        // The batch is dropped on the thread that sends a chunk, for which the batch waits.
        if event.operation.starts_with("PUT chunk") {
            drop(theirs.lock().unwrap().take());
        }
    });
    // The value lives as long as the lock of the batch.
    let (observed, ended) = (builder.build().unwrap(), Arc::new(()));
    let lasts = ended.clone();
    let all = batch(&observed, &folder).progress_callback(move |_: &Path, _| drop(lasts.clone()));
    *held.lock().unwrap() = Some(all.send().unwrap());
    until("the batch ends", || Arc::strong_count(&ended) == 1);
    assert_eq!(kinds(&outcomes(batch(&client(&stand_in.url()), &folder))), [("large.mp4", Uploaded)]);
    assert_eq!(stand_in.upload_ids().len(), 1, "the session was resumed");
}

#[test]
fn the_workers_of_a_batch_that_is_dropped_have_ended() {
    let (stand_in, folder, held) = (StandIn::start(), Folder::new("ended"), Arc::new(()));
    small_files(&folder, 2);
    stand_in.fault("POST /assets", Fault::silent(0).always());
    let clone = held.clone();
    let all = batch(&client(&stand_in.url()), &folder).progress_callback(move |_, _| drop(clone.clone()));
    let uploads = all.send().unwrap();
    assert!(stand_in.wait_for("POST /assets", 1));
    drop(uploads);
    assert_eq!(Arc::strong_count(&held), 1, "the callback is still referenced");
}

#[test]
fn a_callback_that_panics_fails_only_its_own_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("panics"));
    small_files(&folder, 6);
    let all = batch(&client(&stand_in.url()), &folder).workers(3);
    let found = outcomes(all.progress_callback(|path: &Path, _| assert!(!path.ends_with("02.mp4"), "on purpose")));
    let e = found["02.mp4"].result.as_ref().unwrap_err();
    assert!(e.to_string().contains("panic"), "{e}");
    assert_eq!(found.values().filter(|outcome| outcome.kind == Uploaded).count(), 5);
}

#[test]
fn a_manifest_that_cannot_be_written_is_an_error_before_anything_is_sent() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("unwritable"));
    small_files(&folder, 1);
    let never_ends = Path::new("/dev/full");
    for path in [folder.root()].into_iter().chain(never_ends.exists().then_some(never_ends)) {
        let e = batch(&client(&stand_in.url()), &folder).manifest(path).send().unwrap_err();
        assert!(matches!(&e, Error::File { .. }) && e.to_string().contains("manifest"), "{e}");
    }
    assert_eq!(stand_in.count("POST /assets"), 0);
}

#[test]
fn a_manifest_cut_off_at_any_byte_loses_only_its_last_line() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("torn"));
    small_files(&folder, 2);
    let client = client(&stand_in.url());
    let path = folder.path("manifest.jsonl");
    assert!(outcomes(batch(&client, &folder).workers(1)).values().all(|outcome| outcome.kind == Uploaded));
    let whole = fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 7, "the manifest has a header and three events for each file");
    assert!(String::from_utf8_lossy(lines[6]).contains(r#""event":"done""#));
    let last = lines[6].len();
    for kept in 0..=last {
        fs::write(&path, &whole[..whole.len() - last + kept]).unwrap();
        let sent = stand_in.count("POST /assets");
        let found = outcomes(batch(&client, &folder));
        // If only the line break is missing, the line still counts. Otherwise, the previous line says that the file was
        // uploaded.
        let complete = kept >= last - 1;
        let skipped = found.values().filter(|outcome| outcome.kind == Skipped).count();
        assert_eq!(skipped, if complete { 2 } else { 1 }, "with {kept} bytes of the manifest");
        assert!(found.values().all(|outcome| outcome.result.is_ok()), "with {kept} bytes of the manifest: {found:?}");
        assert_eq!(
            stand_in.count("POST /assets"),
            sent,
            "with {kept} bytes of the manifest: nothing is uploaded again"
        );
        // Lines that were written after the torn one can be read.
        let again = outcomes(batch(&client, &folder));
        assert!(again.values().all(|outcome| outcome.kind == Skipped), "with {kept} bytes of the manifest");
    }
}

/// The child process of the next test. It uploads the folder as a batch until it is done or killed.
#[test]
#[ignore = "it is started, and killed, by another test"]
fn child_process() {
    let folder = PathBuf::from(std::env::var_os("BATCH_FOLDER").unwrap());
    let paths = ["large.mp4", "small.mp4"].map(|name| folder.join(name));
    let all = client(&std::env::var("BATCH_URL").unwrap()).assets().upload_all(paths).threshold(100_000);
    let all = all.manifest(folder.join("manifest.jsonl")).workers(1).sleep_interval(Duration::from_millis(20));
    let failed = all.send().unwrap().filter(|outcome| outcome.result.is_err()).count();
    assert_eq!(failed, 0);
}

pub fn child(stand_in: &StandIn, folder: &Folder) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "batch::child_process"]);
    command.env("BATCH_FOLDER", folder.root()).env("BATCH_URL", stand_in.url());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits until a condition holds.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_batch_killed_at_any_point_is_completed_by_the_next_run() {
    const CHUNKS: usize = 25;
    let large = content(CHUNKS * CHUNK as usize - 5);
    // The upload is stuck in the middle of one of these chunks, or while it waits for the asset.
    for stuck in [Some(1), Some(7), Some(14), Some(25), None] {
        let (stand_in, folder) = (StandIn::start(), Folder::new("killed"));
        stand_in.chunks(CHUNK, 3);
        folder.write("large.mp4", &large);
        folder.write("small.mp4", &content(3000));
        match stuck {
            Some(chunk) => stand_in.fault(&format!("PUT /storage/{{upload_id}}/{chunk}"), Fault::silent(100)),
            None => stand_in.polls_until_ready(u32::MAX),
        }
        let mut process = child(&stand_in, &folder).spawn().unwrap();
        match stuck {
            Some(chunk) => until("the chunk is begun", || {
                let ids = stand_in.upload_ids();
                let begun = ids.first().map(|id| stand_in.sent_chunks(id)).unwrap_or_default();
                // The chunks include those that the other workers can send in the meantime.
                begun.contains(&chunk) && (begun.len() >= CHUNKS.min(chunk as usize + 4))
            }),
            None => until("the asset is waited for", || stand_in.count("GET /assets/{id}") > 3),
        }
        process.kill().unwrap();
        assert!(!process.wait().unwrap().success());

        let id = stand_in.upload_ids().pop().unwrap();
        let before = stand_in.reported_chunks(&id);
        let begun_before = stand_in.sent_chunks(&id).len();
        stand_in.polls_until_ready(1);
        assert!(
            child(&stand_in, &folder).status().unwrap().success(),
            "{stuck:?}: the second run completes everything"
        );
        assert_eq!(stand_in.upload_ids(), std::slice::from_ref(&id), "{stuck:?}: the session was resumed");
        assert!(stand_in.assembled(&id).unwrap() == large, "{stuck:?}: the bytes arrive unchanged");
        let again: BTreeSet<u32> = stand_in.sent_chunks(&id)[begun_before..].iter().copied().collect();
        assert!(
            before.iter().all(|index| !again.contains(index)),
            "{stuck:?}: of the chunks {before:?}, some were sent again: {again:?}"
        );
        assert_eq!(stand_in.asset_count(), 2, "{stuck:?}: each file is one asset");
        for request in stand_in.requests().iter().filter(|request| request.is_to_storage()) {
            assert!(request.header("x-api-key").is_none() && !format!("{request:?}").contains(KEY), "{request:?}");
        }
        assert_eq!(folder.names(), ["large.mp4", "manifest.jsonl", "small.mp4"], "no other file is written");
    }
}

#[test]
fn the_only_worker_outlives_a_callback_that_panics() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("survives"));
    small_files(&folder, 4);
    // The first file is uploaded but not ready when the second one panics.
    let all = batch(&client(&stand_in.url()), &folder).workers(1).sleep_interval(Duration::from_millis(100));
    let found = outcomes(all.progress_callback(|path: &Path, _| assert!(!path.ends_with("01.mp4"), "on purpose")));
    assert_eq!(kinds(&found), [("00.mp4", Uploaded), ("01.mp4", Failed), ("02.mp4", Uploaded), ("03.mp4", Uploaded)]);
}

#[test]
fn assets_that_are_not_ready_do_not_delay_files() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("starving"));
    small_files(&folder, 5);
    stand_in.polls_until_ready(u32::MAX);
    let cancel = CancelHandle::new();
    // With this interval, a poll of an asset is always due.
    let all = batch(&client(&stand_in.url()), &folder).workers(1).sleep_interval(Duration::from_nanos(1));
    let uploads = all.cancel_handle(&cancel).send().unwrap();
    until("every file is sent", || stand_in.count("POST /assets") == 5);
    cancel.cancel();
    assert_eq!(uploads.count(), 5);
}

#[test]
fn an_asset_gets_a_last_poll_even_if_its_time_is_up() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("late"));
    small_files(&folder, 2);
    stand_in.polls_until_ready(0);
    let clock = TestClock::new();
    let builder = TwelveLabs::builder().api_key(KEY).base_url(stand_in.url()).clock(clock.clone());
    let hours = Duration::from_secs(7200);
    let all = batch(&builder.build().unwrap(), &folder).workers(1).sleep_interval(Duration::from_secs(5));
    // The only worker is busy with the second file for hours.
    let found = outcomes(all.progress_callback(move |path: &Path, progress| {
        if path.ends_with("01.mp4") && progress.state == twelvelabs::assets::UploadState::Uploaded {
            clock.advance(hours);
        }
    }));
    assert_eq!(kinds(&found), [("00.mp4", Uploaded), ("01.mp4", Uploaded)], "{found:?}");
}

#[test]
fn asset_options_are_sent_in_one_request_and_in_chunks() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("asked"));
    stand_in.chunks(CHUNK, 3);
    folder.write("large.mp4", &content(200_000));
    folder.write("small.mp4", &content(3000));
    let client = client(&stand_in.url());
    let all = batch(&client, &folder).enable_hls(false).enable_thumbnail(false);
    let found = outcomes(all.user_metadata(serde_json::json!({"job": 7})));
    assert!(found.values().all(|outcome| outcome.result.is_ok()), "{found:?}");
    let session = stand_in.requests_to("POST /assets/multipart-uploads")[0].json();
    assert_eq!((&session["enable_hls"], &session["enable_thumbnail"]), (&false.into(), &false.into()), "{session}");
    assert_eq!(session["user_metadata"]["job"], 7, "{session}");
    let form = &stand_in.requests_to("POST /assets")[0];
    let text = |name: &str| form.part(name).map(|part| part.text());
    let asked = ["enable_hls", "enable_thumbnail", "user_metadata"].map(text);
    assert_eq!(asked, ["false", "false", r#"{"job":7}"#].map(|text| Some(text.to_string())));
}

#[test]
fn a_poll_has_the_time_limit_of_its_wait() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("poll-limit"));
    small_files(&folder, 1);
    stand_in.polls_until_ready(u32::MAX);
    // The platform asks to wait for longer than the batch waits for an asset.
    stand_in.fault("GET /assets/{id}", Fault::status(503).retry_after(50).after(1));
    let all = batch(&stand_in.client(), &folder).max_wait_time(Duration::from_secs(20));
    let outcome = outcomes(all).remove("00.mp4").unwrap();
    assert!(matches!(outcome.result, Err(Error::WaitTimeout { .. })), "{outcome:?}");
    assert!(stand_in.clock().passed() <= Duration::from_secs(21), "{:?}", stand_in.clock().passed());
}

#[test]
fn an_endless_wait_does_not_panic() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("endless"));
    small_files(&folder, 1);
    let found = outcomes(batch(&client(&stand_in.url()), &folder).max_wait_time(Duration::MAX));
    assert_eq!(kinds(&found), [("00.mp4", Uploaded)], "{found:?}");
}

#[test]
fn invalid_options_are_refused_before_anything_is_sent() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("options"));
    small_files(&folder, 1);
    let client = client(&stand_in.url());
    let all = || batch(&client, &folder);
    for (all, name) in [
        (all().workers(0), "workers"),
        (all().max_workers(0), "max_workers"),
        (all().sleep_interval(Duration::ZERO), "sleep_interval"),
        (all().user_metadata("text"), "user_metadata"),
    ] {
        let e = all.send().unwrap_err();
        assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == name), "{e:?}");
    }
    assert_eq!(folder.names(), ["00.mp4"], "no manifest is created");
}

#[test]
fn unknown_lines_of_a_manifest_are_skipped_and_kept() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("strange"));
    small_files(&folder, 1);
    let client = client(&stand_in.url());
    let path = folder.path("manifest.jsonl");
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Uploaded)]);
    let known = fs::read_to_string(&path).unwrap();
    let (first, known) = known.split_once('\n').unwrap();
    let newer = known.lines().last().unwrap().replace(r#""event":"done""#, r#""event":"archived""#);
    let with_more = known.lines().last().unwrap().replacen('{', r#"{"version":9,"more":{"a":[1]},"#, 1);
    let mut strange = first.as_bytes().to_vec();
    strange.extend(b"\nnull\n[]\n42\n{}\n\n\n\"text\"\n{\"event\":\"done\"}\n\xff\xfe\0\n");
    strange.extend([b"x".repeat(3 << 20), b"[".repeat(100_000)].join(&b'\n'));
    strange.extend(format!("\r\n{newer}\n{known}{with_more}\r\n{newer}\n").into_bytes());
    fs::write(&path, &strange).unwrap();
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Skipped)]);
    folder.write("01.mp4", &content(99));
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Skipped), ("01.mp4", Uploaded)]);
    assert!(fs::read(&path).unwrap().starts_with(&strange), "its content is not changed");
    assert_eq!(stand_in.count("POST /assets"), 2);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode_are_distinguished_and_found_again() {
    use std::os::unix::ffi::OsStrExt;
    let (stand_in, folder) = (StandIn::start(), Folder::new("bytes"));
    let paths: Vec<PathBuf> = [b"a\xff.mp4".as_slice(), b"a\xfe.mp4", b"a\\xff.mp4"]
        .iter()
        .map(|name| folder.root().join(std::ffi::OsStr::from_bytes(name)))
        .collect();
    paths.iter().for_each(|path| fs::write(path, content(100)).unwrap());
    let client = client(&stand_in.url());
    for kind in [Uploaded, Skipped] {
        let all = client.assets().upload_all(&paths).manifest(folder.path("manifest.jsonl"));
        let found: Vec<UploadOutcome> = all.sleep_interval(Duration::from_millis(1)).send().unwrap().collect();
        assert!(found.len() == 3 && found.iter().all(|outcome| outcome.kind == kind), "{found:?}");
    }
    assert_eq!(stand_in.asset_count(), 3);
}

#[test]
fn a_canceled_batch_records_nothing_more_about_awaited_assets() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("waits"));
    small_files(&folder, 3);
    stand_in.polls_until_ready(u32::MAX);
    let client = client(&stand_in.url());
    let cancel = CancelHandle::new();
    let uploads = batch(&client, &folder).cancel_handle(&cancel).send().unwrap();
    let path = folder.path("manifest.jsonl");
    let lines = || fs::read_to_string(&path).unwrap().lines().count();
    // There is the header line, and two lines for each file.
    until("every file is at the platform", || lines() == 7);
    cancel.cancel();
    assert!(uploads.into_iter().all(|outcome| outcome.result.is_err_and(|e| e.is_canceled())));
    assert_eq!(lines(), 7);
    stand_in.polls_until_ready(0);
    assert!(outcomes(batch(&client, &folder)).values().all(|outcome| outcome.kind == Uploaded));
    assert_eq!(stand_in.count("POST /assets"), 3, "nothing was uploaded again");
}
