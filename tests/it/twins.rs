//! Files that the platform cannot distinguish because they share a name and a size, and how their uploads are
//! recognized.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use twelvelabs::assets::{UploadAll, UploadOutcomeKind, UploadState};
use twelvelabs::testing::{Fault, StandIn, TestClock};
use twelvelabs::time::{self, OffsetDateTime};
use twelvelabs::{CancelHandle, Clock, FileSource, TwelveLabs};

use crate::batch::{is_about, until};
use crate::files::{Folder, sha256};

/// A folder with two files of the same name and size and other files, and the stand-in to which they are uploaded.
pub struct Scene {
    pub stand_in: StandIn,
    pub client: TwelveLabs,
    pub folder: Folder,
    pub paths: Vec<PathBuf>,
}

const A: &str = "a/same.mp4";
const B: &str = "b/same.mp4";

impl Scene {
    pub fn new(files: &[&str]) -> Self {
        let (stand_in, folder) = (StandIn::start(), Folder::new("twins"));
        let write = |name: &&str| {
            let _ = fs::create_dir(folder.path(name.split('/').next().unwrap()));
            folder.write(name, name.as_bytes())
        };
        let paths = files.iter().map(write).collect();
        Scene { client: stand_in.client(), stand_in, folder, paths }
    }

    pub fn batch(&self) -> UploadAll {
        self.client.assets().upload_all(&self.paths).manifest(self.manifest())
    }

    pub fn manifest(&self) -> PathBuf {
        self.folder.path("manifest.jsonl")
    }

    /// Returns the manifest's lines about a file.
    pub fn lines(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.manifest()).unwrap();
        text.lines().filter(|line| is_about(line, &[file])).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Removes from the manifest what followed the sending of these files, as if the program had crashed then.
    pub fn kill_while_sending(&self, files: &[&str]) {
        let text = fs::read_to_string(self.manifest()).unwrap();
        let is_kept = |line: &&str| !is_about(line, files) || line.contains("\"sending\"");
        let kept: Vec<&str> = text.lines().filter(is_kept).collect();
        assert!(kept.len() < text.lines().count());
        fs::write(self.manifest(), kept.join("\n") + "\n").unwrap();
    }

    /// Removes from the manifest everything after the start of the last sending, as if the program had crashed then.
    pub fn crash_during_the_last_sending(&self) {
        let text = fs::read_to_string(self.manifest()).unwrap();
        let last = text.rfind("\"sending\"").unwrap();
        let end = last + text[last..].find('\n').unwrap() + 1;
        fs::write(self.manifest(), &text[..end]).unwrap();
    }

    /// Changes how the manifest spells a path, in every line or only in those with this event.
    pub fn respell(&self, from: &str, to: &str, event: &str) {
        let text = fs::read_to_string(self.manifest()).unwrap();
        // The separator of Windows is written as two characters in JSON. A relative path has a slash on every system.
        let on_windows = |path: &str| path.replace('/', r"\\");
        let respell = |line: &str| line.replace(from, to).replace(&on_windows(from), &on_windows(to));
        let respelled = |line: &str| if line.contains(event) { respell(line) } else { line.into() } + "\n";
        let respelled: String = text.lines().map(respelled).collect();
        assert_ne!(respelled, text);
        fs::write(self.manifest(), respelled).unwrap();
    }

    /// Uploads the rest, and checks that each file is on the platform once, as the asset that its outcome names.
    pub fn finish(&self) {
        self.is_done(self.batch());
    }

    pub fn is_done(&self, batch: UploadAll) {
        let found: BTreeMap<PathBuf, String> =
            batch.send().unwrap().map(|outcome| (outcome.path, outcome.result.unwrap().id)).collect();
        let uploads = self.stand_in.uploads();
        assert_eq!((found.len(), self.stand_in.asset_count()), (self.paths.len(), self.paths.len()), "{uploads:?}");
        for (path, asset_id) in &found {
            let upload = uploads.iter().find(|upload| upload.asset_id == *asset_id).unwrap();
            assert_eq!(
                upload.sha256,
                Some(sha256(&fs::read(path).unwrap())),
                "the asset of {} has different content",
                path.display()
            );
        }
    }
}

#[test]
fn an_unknown_outcome_is_settled_before_a_file_with_the_same_name_and_size_is_sent() {
    let scene = Scene::new(&[A, B]);
    let stand_in = &scene.stand_in;
    // The request for the first file is reset before the platform acts, and a search for it fails.
    stand_in.fault("POST /assets", Fault::reset_request(10));
    stand_in.fault("GET /assets", Fault::status(500).after(1).times(3));
    scene.is_done(scene.batch().workers(1));
    let requests: Vec<String> = stand_in.requests().iter().map(|r| format!("{} {}", r.method(), r.path())).collect();
    let sent = |request: &&String| *request == "POST /assets";
    let first = requests.iter().position(|request| sent(&request)).unwrap();
    let looked = requests[first + 1..].iter().take_while(|request| !sent(request)).count();
    assert!(looked > 4, "the batch searched only {looked} times between the two uploads");
    scene.finish();
}

#[test]
fn a_file_in_flight_is_not_confused_with_the_next_one_of_its_name() {
    let scene = Scene::new(&[A, B]);
    scene.stand_in.fault("POST /assets", Fault::reset_request(10).times(2));
    scene.is_done(scene.batch().workers(1));
    // The second file was being sent during a crash, and has arrived.
    scene.kill_while_sending(&[B]);
    scene.finish();
}

#[test]
fn two_files_in_flight_are_both_settled() {
    for killed in [[A, B], [B, A]] {
        let scene = Scene::new(&[A, B]);
        let clock = scene.stand_in.clock();
        for path in killed.map(|name| scene.folder.path(name)) {
            clock.advance(Duration::from_secs(60));
            let batch = scene.client.assets().upload_all([path]).manifest(scene.manifest());
            assert!(batch.send().unwrap().finish().is_complete());
        }
        // For both files, the manifest contains only the start of sending. The first one did not arrive.
        scene.kill_while_sending(&killed);
        scene.client.assets().delete(&scene.stand_in.uploads()[0].asset_id).send().unwrap();
        scene.finish();
    }
}

#[test]
fn a_file_of_an_earlier_batch_is_settled_although_it_is_not_in_this_one() {
    let mut scene = Scene::new(&[A, B]);
    let all = std::mem::take(&mut scene.paths);
    let upload = |scene: &mut Scene, place: usize| {
        scene.paths = vec![all[place].clone()];
        assert!(scene.batch().send().unwrap().finish().is_complete());
    };
    upload(&mut scene, 0);
    scene.kill_while_sending(&[A]);
    upload(&mut scene, 1);
    scene.kill_while_sending(&[B]);
    scene.paths = all;
    scene.finish();
}

#[test]
fn files_with_the_same_name_and_size_are_sent_one_at_a_time_without_blocking_workers() {
    // The first file is sent in chunks, which get no answer.
    let scene = Scene::new(&[A, B, "d/same.mp4", "c/o.mp4"]);
    scene.stand_in.fault("PUT /storage/{upload_id}/{chunk}", Fault::silent(0));
    let cancel = CancelHandle::new();
    let batch = scene.batch().threshold(8).workers(2);
    let mut uploads = batch.cancel_handle(&cancel).send().unwrap();
    let first = uploads.next().unwrap();
    assert!(first.path.ends_with("o.mp4") && first.result.is_ok(), "{first:?}");
    assert!(scene.stand_in.wait_for("POST /assets/multipart-uploads", 1));
    assert_eq!(scene.stand_in.count("POST /assets/multipart-uploads"), 1, "the other files with this name wait");
    cancel.cancel();
    let kinds: Vec<UploadOutcomeKind> = uploads.map(|outcome| outcome.kind).collect();
    assert_eq!(kinds, [UploadOutcomeKind::Failed, UploadOutcomeKind::NotStarted, UploadOutcomeKind::NotStarted]);
    scene.stand_in.forgive();
    scene.finish();
}

#[test]
fn a_file_that_waits_for_its_twin_takes_no_slot_of_the_rate_limit() {
    let scene = Scene::new(&[A, B, "c/o.mp4"]);
    let through = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let batch = scene.batch().workers(2).rate_limit(3, Duration::from_secs(3600)).progress_callback({
        let through = through.clone();
        move |path, progress| match progress.state {
            // The second twin waits while the other file gets through.
            UploadState::Uploading if !path.ends_with("o.mp4") => {
                until("the other file got through", || through.load(std::sync::atomic::Ordering::SeqCst));
            }
            UploadState::Uploaded if path.ends_with("o.mp4") => {
                through.store(true, std::sync::atomic::Ordering::SeqCst);
            }
            _ => {}
        }
    });
    let clock = scene.stand_in.clock();
    scene.is_done(batch);
    let slept: Duration = clock.slept().iter().sum();
    assert!(slept < Duration::from_secs(1800), "three files fit into the limit: {slept:?}");
}

#[test]
fn an_asset_is_matched_with_one_file_without_a_manifest() {
    let scene = Scene::new(&[A, B, "c/other.mp4"]);
    scene.stand_in.fault("POST /assets", Fault::reset_request(10).after(1));
    scene.is_done(scene.client.assets().upload_all(&scene.paths).workers(1));
}

#[test]
fn a_file_whose_callback_panics_while_it_is_sent_is_settled_before_the_next_of_its_name() {
    // The platform has the first file when the callback panics, and the request for the second one is lost.
    let scene = Scene::new(&[A, B, "c/other.mp4"]);
    scene.stand_in.polls_until_ready(0);
    scene.stand_in.fault("POST /assets", Fault::reset_request(10).after(1));
    let panics = |path: &std::path::Path, progress: &twelvelabs::assets::UploadProgress| {
        assert!(!(path.ends_with(A) && progress.state == twelvelabs::assets::UploadState::Uploaded), "on purpose");
    };
    let found: Vec<_> = scene.batch().workers(1).progress_callback(panics).send().unwrap().collect();
    let failed = found.iter().filter(|outcome| outcome.result.is_err()).count();
    assert_eq!((failed, scene.stand_in.asset_count()), (1, 3), "{found:?}");
    scene.finish();
}

#[test]
fn the_time_of_the_first_attempt_counts() {
    let scene = Scene::new(&[A, "c/other.mp4"]);
    scene.stand_in.fault("POST /assets", Fault::reset_request(10).times(3));
    scene.is_done(scene.batch().workers(1));
    let sent: Vec<Value> = scene.lines(A).into_iter().filter(|line| line["event"] == "sending").collect();
    assert!(sent.len() > 1 && sent.iter().all(|line| line["sent_at"] == sent[0]["sent_at"]), "{sent:?}");
}

#[test]
fn a_file_that_was_replaced_after_it_was_sent_is_another_file() {
    let scene = Scene::new(&[A]);
    scene.stand_in.fault("POST /assets", Fault::reset_answer().times(9));
    scene.stand_in.fault("GET /assets", Fault::status(500).after(1).always());
    let _ = scene.batch().max_outage(Duration::ZERO).send().unwrap().finish();
    scene.stand_in.forgive();
    assert_eq!(scene.stand_in.asset_count(), 1);
    // The file has the same size but another time.
    fs::write(&scene.paths[0], "b/same.mp4").unwrap();
    let times = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    fs::File::options().write(true).open(&scene.paths[0]).unwrap().set_times(times).unwrap();
    let outcome = scene.batch().send().unwrap().next().unwrap();
    let asset_id = outcome.result.unwrap().id;
    let upload = scene.stand_in.uploads().into_iter().find(|upload| upload.asset_id == asset_id).unwrap();
    assert_eq!(upload.sha256, Some(sha256(b"b/same.mp4")));
}

/// The stand-in's clock on a machine whose wall clock differs by this duration.
#[derive(Clone)]
struct Shifted(TestClock, time::Duration);

impl Clock for Shifted {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn utc_now(&self) -> OffsetDateTime {
        self.0.utc_now() + self.1
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration);
    }
}

fn shifted(stand_in: &StandIn, hours: i64) -> TwelveLabs {
    let clock = Shifted(stand_in.clock(), time::Duration::hours(hours));
    TwelveLabs::builder().api_key("tlk_1").base_url(stand_in.url()).clock(clock).build().unwrap()
}

#[test]
fn a_file_in_flight_is_found_although_the_clock_was_set_meanwhile() {
    for (before, after) in [(0, -2), (0, 3), (5, 0), (-5, -1)] {
        let mut scene = Scene::new(&[A]);
        scene.client = shifted(&scene.stand_in, before);
        assert!(scene.batch().send().unwrap().finish().is_complete());
        scene.kill_while_sending(&[A]);
        scene.stand_in.clock().advance(Duration::from_secs(60));
        scene.client = shifted(&scene.stand_in, after);
        scene.finish();
        assert_eq!(scene.stand_in.count("POST /assets"), 1, "{before} {after}");

        // The same holds for a single file with a state file.
        let upload = |hours| {
            let client = shifted(&scene.stand_in, hours);
            client
                .assets()
                .upload(scene.folder.path(A))
                .state_file(scene.folder.path("state"))
                .max_wait_time(Duration::ZERO)
        };
        scene.stand_in.fault("GET /assets/{id}", Fault::never_ready());
        scene.stand_in.clock().advance(Duration::from_secs(60));
        upload(before).send().unwrap_err();
        let text = fs::read_to_string(scene.folder.path("state")).unwrap();
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("\"uploaded\"")).collect();
        fs::write(scene.folder.path("state"), kept.join("\n") + "\n").unwrap();
        upload(after).send().unwrap_err();
        assert_eq!(scene.stand_in.count("POST /assets"), 2, "{before} {after}");
    }
}

#[test]
fn after_a_lost_response_the_platforms_clock_counts() {
    for hours in [-3, 3] {
        let stand_in = StandIn::start();
        stand_in.fault("POST /assets", Fault::reset_answer());
        let upload = shifted(&stand_in, hours).assets().upload(FileSource::bytes("a.mp4", *b"data")).send();
        assert!(upload.is_ok_and(|asset| asset.id == stand_in.uploads()[0].asset_id), "{hours}");
    }
}

#[test]
fn a_name_is_found_as_sent_and_as_decoded() {
    let name = "a \"b\"\tc\r\n.mp4";
    for kept in [name, "a %22b%22%09c%0D%0A.mp4"] {
        let stand_in = StandIn::start();
        let now = stand_in.clock().utc_now().format(&time::format_description::well_known::Rfc3339).unwrap();
        let asset = json!({"_id": "1", "filename": kept, "size": 4, "created_at": now, "status": "ready"});
        let info = json!({"page": 1, "limit_per_page": 50, "total_page": 1, "total_results": 1});
        stand_in.answer("GET /assets", json!({"data": [asset], "page_info": info}));
        stand_in.fault("POST /assets", Fault::reset_answer());
        let upload = stand_in.client().assets().upload(FileSource::bytes(name, *b"data")).wait(false).send();
        assert!(upload.as_ref().is_ok_and(|asset| asset.id == "1"), "{kept:?}: {upload:?}");
        let asked = &stand_in.requests_to("GET /assets")[0];
        let query = asked.query();
        let filter = &query.iter().find(|(name, _)| name == "filename").unwrap().1;
        assert!(name.contains(filter) && kept.contains(filter), "both spellings of the name contain {filter:?}");
    }
}
