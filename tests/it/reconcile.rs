//! Files that may have arrived: a later attempt or a later run finds them, whatever has happened in between.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use twelvelabs::assets::UploadOutcomeKind::{Failed, Skipped, Uploaded};
use twelvelabs::assets::{UploadAll, UploadState};
use twelvelabs::testing::{Fault, StandIn, TestClock};
use twelvelabs::time::OffsetDateTime;
use twelvelabs::time::format_description::well_known::Rfc3339;
use twelvelabs::{Clock, TwelveLabs};

use crate::files::Folder;
use crate::server::{Server, Step, answer, builder};
use crate::twins::Scene;

/// Creates a scene in which the folder `sub` is also called `SUB`.
fn case_insensitive(files: &[&str]) -> Scene {
    let scene = Scene::new(files);
    scene.folder.create_with_spelling("sub", "SUB");
    scene
}

#[test]
fn a_file_in_flight_is_found_although_its_path_is_spelled_differently() {
    for is_relative in [false, true] {
        for files in [&["sub/same.mp4"][..], &["low/same.mp4", "sub/same.mp4"], &["sub/same.mp4", "low/same.mp4"]] {
            let scene = case_insensitive(files);
            let batch = || match is_relative {
                true => scene.batch().relative_to(scene.folder.root()),
                false => scene.batch(),
            };
            let only = |batch: UploadAll| assert!(batch.send().unwrap().finish().is_complete());
            let one = scene.client.assets().upload_all([scene.folder.path("sub/same.mp4")]).manifest(scene.manifest());
            only(if is_relative { one.relative_to(scene.folder.root()) } else { one });
            scene.kill_while_sending(&["sub/same.mp4"]);
            scene.respell("sub/same.mp4", "SUB/same.mp4", "");
            scene.is_done(batch());
            assert_eq!(scene.stand_in.count("POST /assets"), files.len(), "{is_relative} {files:?}");
            let before = scene.stand_in.requests().len();
            scene.is_done(batch());
            assert_eq!(
                scene.stand_in.requests().len(),
                before,
                "{is_relative} {files:?}: the second run has nothing to do"
            );

            // A finished file is found under another spelling as well.
            scene.respell("sub/same.mp4", "SUB/same.mp4", "");
            scene.is_done(batch());
            assert_eq!(scene.stand_in.requests().len(), before, "{is_relative} {files:?}");
        }
    }
}

#[test]
fn a_file_that_was_settled_under_another_spelling_is_no_longer_in_flight() {
    let mut scene = case_insensitive(&["low/same.mp4", "sub/same.mp4"]);
    let all = std::mem::take(&mut scene.paths);
    scene.paths = vec![all[1].clone()];
    scene.finish();
    scene.respell("sub/same.mp4", "SUB/same.mp4", "\"sending\"");
    // The other file of this name is sent without the first one, then with it.
    scene.paths = vec![all[0].clone()];
    assert!(scene.batch().send().unwrap().finish().is_complete());
    scene.paths = all;
    scene.finish();
}

/// Returns the asset of a file, as the platform lists it.
fn asset(id: &str, name: &str, clock: &TestClock) -> Value {
    let created = clock.utc_now().format(&Rfc3339).unwrap();
    json!({"_id": id, "filename": name, "size": 4, "created_at": created, "status": "ready"})
}

fn list(assets: &[&Value]) -> Step {
    let info = json!({"page": 1, "limit_per_page": 50, "total_page": 1, "total_results": assets.len()});
    Step::Answer(answer(200, &json!({"data": assets, "page_info": info})))
}

#[test]
fn a_file_whose_asset_is_listed_late_is_not_sent_again_by_the_same_batch() {
    let (clock, folder) = (TestClock::new(), Folder::new("late"));
    let paths = ["a.mp4", "b.mp4"].map(|name| folder.write(name, b"data"));
    let (a, b) = (asset("a1", "a.mp4", &clock), asset("b1", "b.mp4", &clock));
    let server = Server::start([
        // The answer to the first file is lost. Its asset is not listed yet, and the platform answers a probe.
        Step::Answer(answer(502, &json!({}))),
        list(&[]),
        list(&[]),
        Step::Answer(answer(201, &b)),
        // The first file is retried.
        list(&[&b]),
        list(&[&b]),
        list(&[&b, &a]),
    ]);
    let client = builder(&server).clock(clock).build().unwrap();
    let uploads = client.assets().upload_all(paths).workers(1).wait(false).send().unwrap();
    let mut ids: Vec<String> = uploads.map(|outcome| outcome.result.unwrap().id).collect();
    ids.sort();
    assert_eq!(ids, ["a1", "b1"]);
    let sent = server.finish().iter().filter(|request| request.method == "POST").count();
    assert_eq!(sent, 2);
}

/// Writes two files with the same name, of 4 and 5 bytes.
fn clips_of_different_sizes(folder: &Folder) -> [PathBuf; 2] {
    [("a", "data"), ("b", "other")].map(|(below, content)| {
        fs::create_dir(folder.path(below)).unwrap();
        folder.write(&format!("{below}/clip.mp4"), content.as_bytes())
    })
}

#[test]
fn files_of_one_name_and_different_sizes_are_not_confused_before_their_sizes_are_known() {
    let (clock, folder) = (TestClock::new(), Folder::new("sizes"));
    let paths = clips_of_different_sizes(&folder);
    let created = clock.utc_now().format(&Rfc3339).unwrap();
    let with_size = |id: &str, size: Option<usize>| {
        let status = if size.is_some() { "ready" } else { "processing" };
        json!({"_id": id, "filename": "clip.mp4", "size": size, "created_at": created, "status": status})
    };
    let (a, b) = (with_size("a1", None), with_size("b1", None));
    let (whole_a, whole_b) = (with_size("a1", Some(4)), with_size("b1", Some(5)));
    let server = Server::start([
        // The answers to both files are lost. The asset of the first is listed when the second is looked for.
        Step::Answer(answer(502, &json!({}))),
        list(&[]),
        list(&[]),
        Step::Answer(answer(502, &json!({}))),
        list(&[&a]),
        list(&[]),
        // The first file is looked for until its size is known, and then the second.
        list(&[&b, &a]),
        list(&[&whole_b, &whole_a]),
        list(&[&whole_b, &whole_a]),
    ]);
    let client = builder(&server).clock(clock).build().unwrap();
    let uploads = client.assets().upload_all(&paths).workers(1).wait(false).send().unwrap();
    let mut ids: Vec<_> = uploads.map(|outcome| (outcome.path, outcome.result.map(|asset| asset.id).ok())).collect();
    ids.sort();
    let [first, second] = paths;
    assert_eq!(ids, [(first, Some("a1".into())), (second, Some("b1".into()))]);
    assert_eq!(server.finish().iter().filter(|request| request.method == "POST").count(), 2);
}

#[test]
fn the_only_file_of_its_name_is_found_before_its_size_is_known() {
    let (clock, folder) = (TestClock::new(), Folder::new("no-size"));
    let path = folder.write("clip.mp4", b"data");
    let created = clock.utc_now().format(&Rfc3339).unwrap();
    let asset = json!({"_id": "a1", "filename": "clip.mp4", "created_at": created, "status": "processing"});
    let server = Server::start([Step::Answer(answer(502, &json!({}))), list(&[&asset])]);
    let client = builder(&server).clock(clock).build().unwrap();
    let outcome = client.assets().upload_all([path]).wait(false).send().unwrap().next().unwrap();
    assert_eq!(outcome.result.unwrap().id, "a1");
    assert_eq!(server.finish().len(), 2);
}

#[test]
fn an_asset_is_not_guessed_while_the_platform_reports_no_size() {
    let (clock, folder) = (TestClock::new(), Folder::new("no-sizes"));
    let paths = clips_of_different_sizes(&folder);
    let created = clock.utc_now().format(&Rfc3339).unwrap();
    let asset = |id: &str| json!({"_id": id, "filename": "clip.mp4", "created_at": created, "status": "processing"});
    let stand_in = StandIn::start();
    let info = json!({"page": 1, "limit_per_page": 50, "total_page": 1, "total_results": 2});
    stand_in.answer("GET /assets", json!({"data": [asset("b1"), asset("a1")], "page_info": info}));
    stand_in.fault("POST /assets", Fault::reset_answer().times(2));
    let manifest = folder.path("manifest.jsonl");
    let client = stand_in.builder().clock(clock).build().unwrap();
    // Both files are being sent before either is looked for.
    let (started, both) = (Mutex::new(BTreeSet::new()), Barrier::new(2));
    let batch = client.assets().upload_all(&paths).workers(2).manifest(&manifest).wait(false);
    let batch = batch.progress_callback(move |path, progress| {
        let is_first = || started.lock().unwrap().insert(path.to_path_buf());
        if progress.state == UploadState::Uploading && is_first() {
            both.wait();
        }
    });
    for outcome in batch.send().unwrap() {
        let e = outcome.result.unwrap_err();
        assert!(e.is_outcome_unknown() && e.to_string().contains("which of the assets named"), "{e}");
    }
    assert_eq!(stand_in.count("POST /assets"), 2, "neither file is sent again");
    // The next run finds both.
    let sent = fs::read_to_string(&manifest).unwrap();
    assert_eq!(sent.lines().filter(|line| line.contains("\"failed\"") && line.contains("sent_at")).count(), 2);
}

#[test]
fn an_asset_whose_addition_is_listed_late_is_not_added_again_by_the_same_batch() {
    for to_store in [false, true] {
        let scene = Scene::new(&["a/a.mp4"]);
        let models = [twelvelabs::indexes::IndexModelInput::new("marengo3.0", ["visual"])];
        let index = scene.client.indexes().create("one", models).send().unwrap().id;
        let store = scene.client.knowledge_stores().create("one").send().unwrap().id;
        let (add, list) = match to_store {
            true => ("POST /knowledge-stores/{id}/items", "GET /knowledge-stores/{id}/items"),
            false => ("POST /indexes/{id}/indexed-assets", "GET /indexed-assets"),
        };
        // The answer is lost, and the first three lists do not show the addition.
        let info = json!({"page": 1, "limit_per_page": 50, "total_page": 1, "total_results": 0});
        scene.stand_in.answer(list, json!({"data": [], "page_info": info}));
        scene.stand_in.fault(add, Fault::reset_answer());
        let (looks, stand_in) = (AtomicUsize::new(0), Arc::new(Mutex::new(None::<StandIn>)));
        let theirs = stand_in.clone();
        let look = list.replace("{id}", &store);
        let client = scene.stand_in.builder().observer(move |event| {
            if event.operation.starts_with(&look) && looks.fetch_add(1, Ordering::SeqCst) == 2 {
                theirs.lock().unwrap().as_ref().unwrap().forgive();
            }
        });
        let client = client.build().unwrap();
        let Scene { stand_in: real, paths, folder: _folder, .. } = scene;
        *stand_in.lock().unwrap() = Some(real);
        let batch = client.assets().upload_all(paths);
        let batch = if to_store { batch.knowledge_store(&store) } else { batch.index(&index) };
        let outcome = batch.send().unwrap().next().unwrap();
        assert!(outcome.result.is_ok(), "{outcome:?}");
        assert_eq!(stand_in.lock().unwrap().as_ref().unwrap().count(add), 1, "{add}");
    }
}

#[test]
fn the_asset_of_a_session_is_not_mistaken_for_another_file() {
    let mut scene = Scene::new(&["a/same.mp4", "b/same.mp4"]);
    let all = std::mem::take(&mut scene.paths);
    // The first file was sent in chunks, and the program crashed before it knew that the asset exists.
    scene.paths = vec![all[0].clone()];
    scene.is_done(scene.batch().threshold(8));
    let text = fs::read_to_string(scene.manifest()).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| line.contains("format") || line.contains("\"session\"")).collect();
    fs::write(scene.manifest(), kept.join("\n") + "\n").unwrap();
    // The second file was being sent in one request, and did not arrive.
    scene.stand_in.fault("POST /assets", Fault::reset_request(10).always());
    scene.paths = vec![all[1].clone()];
    assert!(!scene.batch().max_outage(Duration::ZERO).send().unwrap().finish().is_complete());
    scene.stand_in.forgive();
    scene.paths = all.into_iter().rev().collect();
    scene.finish();
}

#[test]
fn a_file_in_chunks_is_not_looked_for_by_its_name() {
    let scene = Scene::new(&["a/a.mp4"]);
    scene.stand_in.fault("POST /assets/multipart-uploads", Fault::reset_answer().always());
    let batch = || scene.batch().threshold(1).max_outage(Duration::ZERO);
    assert!(!batch().send().unwrap().finish().is_complete());
    assert!(scene.lines("a.mp4").iter().all(|line| line.get("sent_at").is_none()), "{:?}", scene.lines("a.mp4"));
    scene.stand_in.forgive();
    scene.is_done(batch());
}

#[test]
fn a_session_that_is_gone_although_its_asset_is_ready_is_not_begun_anew() {
    for status in [404, 410] {
        let scene = Scene::new(&["a/a.mp4"]);
        let session = "GET /assets/multipart-uploads/{id}";
        scene.is_done(scene.batch().threshold(1));
        // The program crashed before the upload was known to be complete, and the session ended before the next run.
        let text = fs::read_to_string(scene.manifest()).unwrap();
        let kept: Vec<&str> =
            text.lines().filter(|line| line.contains("format") || line.contains("\"session\"")).collect();
        fs::write(scene.manifest(), kept.join("\n") + "\n").unwrap();
        scene.stand_in.fault(session, Fault::status(status).always());
        scene.is_done(scene.batch().threshold(1));
        assert_eq!(scene.stand_in.upload_ids().len(), 1, "{status}");

        // The asset of an incomplete session does not exist, so that upload starts over.
        scene.stand_in.forgive();
        fs::write(scene.manifest(), kept.join("\n") + "\n").unwrap();
        scene.client.assets().delete(&scene.stand_in.uploads()[0].asset_id).send().unwrap();
        scene.stand_in.fault(session, Fault::status(status).always());
        assert!(scene.batch().threshold(1).send().unwrap().finish().is_complete());
        assert_eq!((scene.stand_in.upload_ids().len(), scene.stand_in.asset_count()), (2, 1), "{status}");
    }
}

/// The stand-in's clock on a machine whose wall clock is set during the run.
#[derive(Clone)]
struct Settable(TestClock, Arc<AtomicI64>);

impl Clock for Settable {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn utc_now(&self) -> OffsetDateTime {
        self.0.utc_now() + twelvelabs::time::Duration::hours(self.1.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) {
        self.0.sleep(duration);
    }
}

#[test]
fn a_lost_answer_is_looked_for_although_the_clock_was_set_during_the_run() {
    for hours in [-3, 3] {
        let mut scene = Scene::new(&["a/first.mp4", "b/second.mp4"]);
        let clock = Settable(scene.stand_in.clock(), Arc::default());
        scene.client = scene.stand_in.builder().clock(clock.clone()).build().unwrap();
        scene.stand_in.fault("POST /assets", Fault::reset_answer().after(1));
        let batch = scene.batch().workers(1).progress_callback(move |path, progress| {
            if path.ends_with("first.mp4") && progress.state == twelvelabs::assets::UploadState::Uploaded {
                clock.1.store(hours, Ordering::SeqCst);
            }
        });
        scene.is_done(batch);
        assert_eq!(scene.stand_in.count("POST /assets"), 2, "{hours}");
    }
}

/// Changes the file once the platform is asked for its time, which happens after the batch has inspected the file.
fn changed_before_it_is_sent(scene: &Scene, change: fn(&PathBuf)) -> TwelveLabs {
    let path = Mutex::new(Some(scene.paths[0].clone()));
    let client = scene.stand_in.builder().observer(move |event| {
        if event.operation.starts_with("GET ")
            && let Some(path) = path.lock().unwrap().take()
        {
            change(&path);
        }
    });
    client.build().unwrap()
}

#[test]
fn a_file_that_changes_before_it_is_sent_is_not_recorded_as_its_earlier_version() {
    let changes: [fn(&PathBuf); 3] = [
        |path| fs::write(path, "a longer file than before").unwrap(),
        |path| fs::write(path, "a").unwrap(),
        |path| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        for threshold in [1, 1000] {
            let mut scene = Scene::new(&["a/a.mp4"]);
            scene.client = changed_before_it_is_sent(&scene, change);
            let outcome = scene.batch().threshold(threshold).send().unwrap().next().unwrap();
            let e = outcome.result.unwrap_err();
            assert!(outcome.kind == Failed && e.to_string().contains("changed since the upload began"), "{e}");
            let outcome = scene.batch().threshold(threshold).send().unwrap().next().unwrap();
            assert_eq!(outcome.kind, Uploaded, "{number} {threshold}");
            let outcome = scene.batch().threshold(threshold).send().unwrap().next().unwrap();
            assert_eq!((outcome.kind, scene.stand_in.asset_count()), (Skipped, 1), "{number} {threshold}");
        }
    }
}

#[test]
fn a_single_file_that_changes_before_it_is_sent_is_not_recorded_as_its_earlier_version() {
    for threshold in [1, 1000] {
        let scene = Scene::new(&["a/a.mp4"]);
        let state = scene.folder.path("state");
        // With a state, the platform is asked about the asset of the earlier run first. It no longer exists.
        let upload =
            |client: &TwelveLabs| client.assets().upload(&scene.paths[0]).threshold(threshold).state_file(&state);
        upload(&scene.client).max_wait_time(Duration::ZERO).send().unwrap_err();
        scene.client.assets().delete(&scene.stand_in.uploads()[0].asset_id).send().unwrap();
        let changed = changed_before_it_is_sent(&scene, |path| fs::write(path, "a longer file than before").unwrap());
        let e = upload(&changed).send().unwrap_err();
        assert!(e.to_string().contains("changed since the upload began"), "{e}");
        assert_eq!(scene.stand_in.asset_count(), 0);
        upload(&scene.client).send().unwrap();
        assert_eq!((scene.stand_in.asset_count(), state.exists()), (1, false));
    }
}

/// The files of one name and size are recognized in any number, on any number of workers, and after any fault.
#[test]
fn three_files_of_one_name_and_size_arrive_once_each_whatever_breaks() {
    let files = ["a/same.mp4", "b/same.mp4", "c/same.mp4"];
    let faults = [Fault::reset_request(10), Fault::reset_answer(), Fault::status(500), Fault::status(503)];
    for (threshold, request) in [(8, "PUT /storage/{upload_id}/{chunk}"), (8, "POST /assets/multipart-uploads/{id}")]
        .into_iter()
        .chain([(1000, "POST /assets")])
    {
        for fault in &faults {
            for (after, workers) in [(0, 1), (1, 3), (2, 2)] {
                let scene = Scene::new(&files);
                let label = format!("{request} {fault:?} {after} {workers}");
                scene.stand_in.chunks(4, 1);
                scene.stand_in.fault(request, fault.clone().after(after).times(2));
                scene.stand_in.fault("GET /assets", Fault::status(500).after(1).times(2));
                let batch = || scene.batch().threshold(threshold).workers(workers);
                let _ = batch().send().unwrap().finish();
                scene.stand_in.forgive();
                if threshold == 1000 {
                    // With several workers, any of the files may be the last. A crash that forgets a file and remembers
                    // one that was sent later does not exist.
                    scene.crash_during_the_last_sending();
                }
                scene.is_done(batch());
                assert!(batch().send().unwrap().all(|outcome| outcome.kind == Skipped), "{label}");
            }
        }
    }
}
