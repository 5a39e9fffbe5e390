//! Batches during an outage or with lost answers: no file is lost, and none is sent twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use serde_json::{Value, json};
use twelvelabs::assets::UploadOutcomeKind::{Failed, NotStarted, Uploaded};
use twelvelabs::assets::{UploadMethod, UploadState};
use twelvelabs::testing::{Fault, StandIn};
use twelvelabs::time::OffsetDateTime;
use twelvelabs::time::format_description::well_known::Rfc3339;
use twelvelabs::{Clock, Error, FileSource};

use crate::batch::{CHUNK, batch, is_about, kinds, outcomes, small_files, until};
use crate::files::{Folder, content};
use crate::server::{Server, Step, answer, answer_with, builder};

#[test]
fn an_outage_fails_no_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("outage"));
    small_files(&folder, 12);
    // Every request fails for a while.
    stand_in.fault("POST /assets", Fault::status(503).times(20));
    stand_in.fault("GET /assets", Fault::status(503).times(10));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(8));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{:?}", kinds(&found));
    assert_eq!(stand_in.asset_count(), 12);
}

#[test]
fn each_outage_has_its_own_time_limit() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("outages"));
    small_files(&folder, 6);
    stand_in.fault("POST /assets", Fault::status(503).times(3));
    stand_in.fault("POST /assets", Fault::status(503).after(1).times(3));
    let (clock, through) = (stand_in.clock(), AtomicBool::new(false));
    let all = batch(&stand_in.client(), &folder).workers(1).max_outage(Duration::from_secs(60));
    let all = all.progress_callback(move |_, progress| {
        if progress.state == UploadState::Uploaded && !through.swap(true, SeqCst) {
            clock.advance(Duration::from_secs(120));
        }
    });
    let found = outcomes(all);
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{:?}", kinds(&found));
}

#[test]
fn a_callback_that_panics_during_an_outage_does_not_end_the_probes() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("probe-panic"));
    small_files(&folder, 5);
    stand_in.fault("POST /assets", Fault::status(503).times(3));
    let (requests, told) = (stand_in.clone(), AtomicBool::new(false));
    let all = batch(&stand_in.client(), &folder).workers(1).progress_callback(move |_, _| {
        assert!(requests.count("POST /assets") < 3 || told.swap(true, SeqCst), "on purpose");
    });
    let found = outcomes(all);
    let failed = found.values().filter(|outcome| outcome.kind == Failed).count();
    assert!(failed == 1 && found.values().all(|outcome| outcome.kind != NotStarted), "{:?}", kinds(&found));
}

#[test]
fn the_last_file_is_tried_again_while_an_asset_is_processed() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("last"));
    stand_in.polls_until_ready(5);
    small_files(&folder, 2);
    stand_in.fault("POST /assets", Fault::status(500).after(1));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(1));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{:?}", kinds(&found));
}

#[test]
fn an_outage_of_only_the_uploads_fails_no_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("half-outage"));
    small_files(&folder, 12);
    stand_in.fault("POST /assets", Fault::status(503).times(20));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(4));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{:?}", kinds(&found));
    assert_eq!(stand_in.asset_count(), 12);
}

#[test]
fn an_outage_of_the_storage_fails_no_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("storage-outage"));
    stand_in.chunks(CHUNK, 3);
    for name in ["a.mp4", "b.mp4", "c.mp4", "d.mp4"] {
        folder.write(name, &content(100_001));
    }
    stand_in.fault("PUT /storage/{upload_id}/{chunk}", Fault::status(503).times(100));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(2));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{:?}", kinds(&found));
    assert_eq!((stand_in.asset_count(), stand_in.upload_ids().len()), (4, 4), "every session was resumed");
}

#[test]
fn a_refusal_by_the_storage_does_not_stop_the_batch() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("storage-refusal"));
    stand_in.chunks(CHUNK, 3);
    folder.write("00-large.mp4", &content(100_001));
    small_files(&folder, 2);
    for status in [401, 429] {
        stand_in.fault("PUT /storage/{upload_id}/{chunk}", Fault::status(status).always());
        let found = outcomes(batch(&stand_in.client(), &folder).workers(1));
        let e = found["00-large.mp4"].result.as_ref().unwrap_err();
        assert_eq!(e.status(), Some(status), "{e}");
        assert!(["00.mp4", "01.mp4"].iter().all(|name| found[*name].result.is_ok()), "{status}: {:?}", kinds(&found));
        stand_in.forgive();
    }
}

#[test]
fn an_outage_that_lasts_ends_the_batch_with_the_rest_not_started() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("long-outage"));
    small_files(&folder, 6);
    stand_in.fault("POST /assets", Fault::status(503).always());
    stand_in.fault("GET /assets", Fault::status(503).always());
    let all = batch(&stand_in.client(), &folder).workers(1).max_outage(Duration::from_secs(60));
    let summary = all.send().unwrap().finish();
    assert_eq!((summary.uploaded, summary.failed, summary.not_started), (0, 1, 5), "{summary:?}");
    assert!(!summary.is_complete());
    let why = summary.stopped.unwrap().to_string();
    assert!(why.contains("no upload has succeeded for"), "{why}");
    // There are probes after 1, 2, 5 and then every 10 s until the 60 s are over, each with a search for the file.
    let looks = stand_in.count("GET /assets");
    assert!((20..=37).contains(&looks), "{looks}");
    let waited = stand_in.clock().passed();
    assert!((60..62).contains(&waited.as_secs()), "{waited:?}");

    // After the outage, the next batch uploads the rest.
    stand_in.forgive();
    let summary = batch(&stand_in.client(), &folder).send().unwrap().finish();
    assert!(summary.is_complete() && summary.uploaded == 6, "{summary:?}");
    assert_eq!(stand_in.asset_count(), 6);
}

#[test]
fn a_single_file_that_keeps_failing_does_not_delay_the_others() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("poison"));
    small_files(&folder, 5);
    stand_in.fault("POST /assets", Fault::status(500).times(1));
    stand_in.fault("POST /assets", Fault::status(500).after(4).times(1));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(1));
    let failed: Vec<_> = kinds(&found).into_iter().filter(|(_, kind)| *kind == Failed).collect();
    assert_eq!(failed, [("00.mp4", Failed)], "the file was sent twice, at the beginning and at the end");
    assert_eq!(stand_in.asset_count(), 4);
}

#[test]
fn the_probes_of_an_outage_do_not_count_as_attempts() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("probes"));
    stand_in.chunks(CHUNK, 3);
    stand_in.polls_until_ready(20);
    folder.write("large.mp4", &content(200_000));
    folder.write("small.mp4", &content(3000));
    // The small file fails twice in an outage, and once more after the large one has got through.
    stand_in.fault("POST /assets", Fault::status(503).times(3));
    // The first attempt asks for the platform's time unless it is known, looks for the small file and probes the platform.
    // The following searches fail as well, until the faults are used up.
    stand_in.fault("GET /assets", Fault::status(503).times(6));
    let client = stand_in.builder().max_retries(0).build().unwrap();
    let (third, through) = (AtomicBool::new(false), AtomicBool::new(false));
    let attempts = AtomicUsize::new(0);
    let all = batch(&client, &folder).workers(2);
    let all = all.progress_callback(move |path, progress| match (path.ends_with("large.mp4"), progress.state) {
        (true, UploadState::Uploading) => until("the third attempt begins", || third.load(SeqCst)),
        // `Processing` is reported after the batch has recorded that the file arrived.
        (true, UploadState::Processing) => through.store(true, SeqCst),
        (false, UploadState::Uploading) if progress.sent == 3000 && attempts.fetch_add(1, SeqCst) == 2 => {
            third.store(true, SeqCst);
            until("the large file got through", || through.load(SeqCst));
        }
        _ => {}
    });
    let found = outcomes(all);
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{found:?}");
    assert_eq!(stand_in.count("POST /assets"), 4);
}

#[test]
fn after_a_lost_response_the_file_is_found_and_not_resent() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("lost"));
    small_files(&folder, 3);
    stand_in.fault("POST /assets", Fault::reset_answer());
    let found = outcomes(batch(&stand_in.client(), &folder).workers(1));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded && outcome.note.is_none()), "{found:?}");
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (3, 3));

    let client = stand_in.client();
    stand_in.fault("POST /assets", Fault::reset_answer());
    let asset = client.assets().upload(FileSource::bytes("single.mp4", "frames")).send().unwrap();
    assert_eq!(asset.filename.as_deref(), Some("single.mp4"));
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (4, 4));
}

#[test]
fn after_a_response_lost_by_a_proxy_the_file_is_found() {
    let created = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
    let asset = json!({"_id": "a1", "filename": "single.mp4", "size": 6, "status": "ready", "created_at": created});
    for (status, headers, is_unknown) in [(504, &[][..], true), (500, &[], true), (503, &[("retry-after", "0")], false)]
    {
        let lost = Step::Answer(answer_with(status, headers, &json!({"message": "Try again."})));
        let page = json!({"data": [asset], "page_info": {"page": 1, "total_page": 1}});
        let server = Server::start([lost, Step::Answer(answer(200, &page))]);
        let client = builder(&server).max_retries(0).build().unwrap();
        let upload = || client.assets().upload(FileSource::bytes("single.mp4", "frames")).wait(false).send();
        match upload() {
            Ok(asset) => assert!(is_unknown && asset.id == "a1", "{status}"),
            Err(e) => assert!(!is_unknown && !e.is_outcome_unknown(), "{status}: {e}"),
        }
        assert_eq!(server.received().len(), 1 + usize::from(is_unknown), "{status}");
    }
}

#[test]
fn a_file_that_did_not_arrive_is_resent_by_a_batch_and_an_error_for_a_single_upload() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("way"));
    small_files(&folder, 3);
    stand_in.fault("POST /assets", Fault::reset_request(100));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(1));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{found:?}");
    assert_eq!(stand_in.asset_count(), 3);

    stand_in.fault("POST /assets", Fault::reset_request(100));
    let file = FileSource::bytes("single.mp4", vec![7; 1000]);
    let e = stand_in.client().assets().upload(file).send().unwrap_err();
    assert!(e.is_outcome_unknown() && matches!(e, Error::Transport { .. }), "{e:?}");
    assert_eq!(stand_in.asset_count(), 3);
}

#[test]
fn the_only_file_of_a_batch_is_settled_after_a_lost_response() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("only"));
    small_files(&folder, 1);
    stand_in.fault("POST /assets", Fault::reset_request(100));
    let found = outcomes(batch(&stand_in.client(), &folder));
    assert_eq!(kinds(&found), [("00.mp4", Uploaded)], "{found:?}");
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (1, 2));
    // The file is sent twice at most.
    let folder = Folder::new("only-once");
    folder.write("other.mp4", b"frames");
    stand_in.fault("POST /assets", Fault::reset_request(5).times(9));
    let found = outcomes(batch(&stand_in.client(), &folder));
    assert_eq!(kinds(&found), [("other.mp4", Failed)], "{found:?}");
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (1, 4));
    stand_in.forgive();
}

#[test]
fn a_file_in_flight_at_a_crash_is_looked_for_before_it_is_resent() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("flight"));
    small_files(&folder, 2);
    let client = stand_in.client();
    assert!(batch(&client, &folder).workers(1).send().unwrap().finish().is_complete());
    as_killed_while_sending(&folder, &["01.mp4"]);
    let found = outcomes(batch(&client, &folder));
    assert_eq!(found["01.mp4"].kind, Uploaded);
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (2, 2), "nothing is sent twice");
}

/// Truncates the manifest to what a crash would have left while these files were being sent.
fn as_killed_while_sending(folder: &Folder, files: &[&str]) {
    let path = folder.path("manifest.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap();
    let is_kept = |line: &&str| !is_about(line, files) || line.contains("\"sending\"");
    let kept: String = lines.lines().filter(is_kept).fold(String::new(), |all, line| all + line + "\n");
    assert!(kept.contains("\"sending\""), "{lines}");
    std::fs::write(&path, kept).unwrap();
}

#[test]
fn a_file_sent_a_moment_ago_is_looked_for_repeatedly() {
    // The first request asks for the platform's time.
    for (later, looks) in [(0, 1 + 4), (7200, 1 + 1)] {
        let (stand_in, folder) = (StandIn::start(), Folder::new("late"));
        small_files(&folder, 1);
        let client = stand_in.client();
        assert!(batch(&client, &folder).send().unwrap().finish().is_complete());
        as_killed_while_sending(&folder, &["00.mp4"]);
        client.assets().delete(&stand_in.uploads()[0].asset_id).send().unwrap();
        stand_in.clock().advance(Duration::from_secs(later));
        assert!(batch(&client, &folder).send().unwrap().finish().is_complete());
        assert_eq!((stand_in.count("GET /assets"), stand_in.count("POST /assets")), (looks, 2));
    }
}

#[test]
fn files_with_the_same_name_and_size_are_not_confused() {
    let names = ["a/same.mp4", "b/same.mp4", "c/same.mp4"];
    for (in_flight, has_arrived) in [("b/same.mp4", false), ("c/same.mp4", true), ("c/same.mp4", false)] {
        let (stand_in, folder) = (StandIn::start(), Folder::new("same"));
        let paths = names.map(|name| {
            std::fs::create_dir(folder.path(&name[..1])).unwrap();
            folder.write(name, name.as_bytes())
        });
        let client = stand_in.client();
        let upload = |workers| -> BTreeMap<PathBuf, String> {
            let batch = client.assets().upload_all(&paths).manifest(folder.path("manifest.jsonl")).workers(workers);
            batch.send().unwrap().map(|outcome| (outcome.path, outcome.result.unwrap().id)).collect()
        };
        let content = |assets: &BTreeMap<PathBuf, String>| -> Vec<Option<String>> {
            let uploads = stand_in.uploads();
            let of = |id: &String| uploads.iter().find(|upload| upload.asset_id == *id).unwrap().sha256.clone();
            assets.values().map(of).collect()
        };
        let first = upload(3);
        as_killed_while_sending(&folder, &[in_flight]);
        if !has_arrived {
            client.assets().delete(&first[&folder.path(in_flight)]).send().unwrap();
        }
        let second = upload(3);
        assert_eq!(content(&second), content(&first), "{in_flight} {has_arrived}");
        assert_eq!(stand_in.asset_count(), 3);
    }
}

#[test]
fn files_in_flight_at_a_crash_are_looked_for_before_anything_is_sent() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("first"));
    let client = stand_in.client();
    small_files(&folder, 3);
    let paths = ["00.mp4", "01.mp4", "02.mp4"].map(|name| folder.path(name));
    let upload = |paths: &[PathBuf]| {
        let batch = client.assets().upload_all(paths).manifest(folder.path("manifest.jsonl")).workers(1);
        assert!(batch.send().unwrap().finish().is_complete());
    };
    upload(&paths[2..]);
    as_killed_while_sending(&folder, &["02.mp4"]);
    let before = stand_in.requests().len();
    upload(&paths);
    let requests = stand_in.requests();
    assert_eq!((requests[before].method(), requests[before].path()), ("GET", "/assets"));
    assert_eq!(stand_in.asset_count(), 3);
}

#[test]
fn an_invalid_key_takes_one_request_and_fails_all_files() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("key"));
    small_files(&folder, 50);
    stand_in.fault("POST /assets", Fault::status(401).always());
    let found = outcomes(batch(&stand_in.client(), &folder).workers(2));
    let not_started = found.values().filter(|outcome| outcome.kind == NotStarted).count();
    assert!((48..50).contains(&not_started), "{not_started}");
    assert!(found.values().all(|outcome| outcome.result.as_ref().unwrap_err().status() == Some(401)));
    assert!(stand_in.count("POST /assets") <= 2);
}

#[test]
fn a_platform_that_answers_other_requests_is_not_in_an_outage() {
    // Each status that the platform answers to a probe, with the outcome of the only file.
    for (status, kind) in [(404, Failed), (499, Failed), (500, Uploaded), (503, Uploaded)] {
        let (stand_in, folder) = (StandIn::start(), Folder::new("reachable"));
        small_files(&folder, 1);
        // Outside an outage, the file is tried twice.
        stand_in.fault("POST /assets", Fault::status(503).times(2));
        // Before the first probe, the platform is asked for its time, and a search does not find the file.
        stand_in.fault("GET /assets", Fault::status(status).after(2));
        let found = outcomes(batch(&stand_in.client(), &folder));
        assert_eq!(kinds(&found), [("00.mp4", kind)], "{status}");
    }
}

#[test]
fn files_that_fail_while_others_succeed_are_tried_twice() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("poisons"));
    small_files(&folder, 6);
    stand_in.fault("POST /assets", Fault::status(500).times(2));
    stand_in.fault("POST /assets", Fault::status(500).after(4).times(2));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(1));
    let failed: Vec<_> = kinds(&found).into_iter().filter(|(_, kind)| *kind == Failed).collect();
    assert_eq!(failed, [("00.mp4", Failed), ("01.mp4", Failed)]);
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (4, 8));
}

#[test]
fn a_refused_probe_is_followed_by_a_probe_with_the_next_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("refusal"));
    small_files(&folder, 5);
    stand_in.fault("POST /assets", Fault::status(503).times(3));
    stand_in.fault("POST /assets", Fault::status(400));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(1));
    assert_eq!(kinds(&found).iter().filter(|(_, kind)| *kind == Failed).count(), 1, "{found:?}");
    assert_eq!(stand_in.asset_count(), 4);
}

#[test]
fn the_next_batch_looks_for_files_that_may_have_arrived() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("may-have"));
    small_files(&folder, 1);
    let client = stand_in.client();
    stand_in.fault("POST /assets", Fault::status(502).times(2));
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Failed)]);
    let lines = std::fs::read_to_string(folder.path("manifest.jsonl")).unwrap();
    assert!(lines.lines().last().unwrap().contains("\"message\":"), "{lines}");
    // The platform has received the file nevertheless.
    client.assets().create(UploadMethod::direct(folder.path("00.mp4"))).send().unwrap();
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Uploaded)]);
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (1, 3));
}

/// Creates a stand-in that loses the answer to an upload of `a.mp4` with 4 bytes, and then has these assets, each with
/// a name, a size, and the number of seconds after the upload at which it was created.
fn lost(assets: &[(&str, &str, Option<u64>, Option<i64>)]) -> StandIn {
    let stand_in = StandIn::start();
    let now = stand_in.clock().utc_now();
    let at = |seconds| (now + time::Duration::seconds(seconds)).format(&Rfc3339).unwrap();
    let asset = |(id, filename, size, seconds): &(&str, &str, Option<u64>, Option<i64>)| json!({"_id": id, "filename": filename, "size": size, "created_at": seconds.map(at), "status": "ready"});
    let data: Vec<Value> = assets.iter().map(asset).collect();
    let info = json!({"page": 1, "limit_per_page": 50, "total_page": 1, "total_results": data.len()});
    stand_in.answer("GET /assets", json!({"data": data, "page_info": info}));
    stand_in.fault("POST /assets", Fault::reset_answer());
    stand_in
}

#[test]
fn a_lost_file_is_found_by_its_name_size_and_time() {
    let (name, size, now) = ("a.mp4", Some(4), Some(0));
    for (assets, found) in [
        (vec![], None),
        (vec![("1", name, size, now)], Some("1")),
        (vec![("1", name, None, now)], Some("1")),
        (vec![("1", "b.mp4", size, now), ("2", name, size, now)], Some("2")),
        (vec![("1", "b.mp4", None, now)], None),
        (vec![("1", name, Some(5), now), ("2", name, size, now)], Some("2")),
        (vec![("1", name, size, None), ("2", name, size, now)], Some("2")),
        (vec![("1", name, size, Some(3600)), ("2", name, size, now)], Some("1")),
        (vec![("1", name, size, Some(-60)), ("2", name, size, now)], None),
    ] {
        let client = lost(&assets);
        let upload = client.client().assets().upload(FileSource::bytes(name, *b"data")).wait(false);
        match (upload.send(), found) {
            (Ok(asset), Some(id)) => assert_eq!(asset.id, id, "{assets:?}"),
            (Err(e), None) => assert!(e.is_outcome_unknown(), "{e:?}"),
            (result, _) => panic!("{assets:?}: {result:?}"),
        }
    }
}

#[test]
fn the_size_of_an_asset_that_is_not_ready_may_not_be_final() {
    for (assets, found) in [
        (vec![("1", "processing", Some(0))], Some("1")),
        (vec![("1", "processing", None)], Some("1")),
        (vec![("1", "processing", Some(4))], Some("1")),
        (vec![("1", "processing", Some(5))], None),
        (vec![("1", "ready", Some(0))], None),
        (vec![("1", "processing", Some(0)), ("2", "ready", Some(4))], Some("2")),
    ] {
        let stand_in = lost(&[]);
        let created = stand_in.clock().utc_now().format(&Rfc3339).unwrap();
        let asset = |(id, status, size): &(&str, &str, Option<u64>)| json!({"_id": id, "filename": "a.mp4", "size": size, "created_at": created, "status": status});
        let data: Vec<Value> = assets.iter().map(asset).collect();
        let info = json!({"page": 1, "limit_per_page": 50, "total_page": 1, "total_results": data.len()});
        stand_in.forgive();
        stand_in.answer("GET /assets", json!({"data": data, "page_info": info}));
        stand_in.fault("POST /assets", Fault::reset_answer());
        let upload = stand_in.client().assets().upload(FileSource::bytes("a.mp4", *b"data")).wait(false).send();
        assert_eq!(upload.as_ref().ok().map(|asset| asset.id.as_str()), found, "{assets:?}: {upload:?}");
    }
}

#[test]
fn a_lost_file_that_may_be_another_is_noted() {
    let same = |id| (id, "a.mp4", Some(4), Some(0));
    for (assets, note) in [(vec![same("1")], None), (vec![same("1"), same("2"), same("3")], Some("2 more assets"))] {
        let (stand_in, folder) = (lost(&assets), Folder::new("note"));
        folder.write("a.mp4", b"data");
        let found = outcomes(batch(&stand_in.client(), &folder).wait(false));
        assert_eq!(found["a.mp4"].result.as_ref().unwrap().id, "1");
        assert_eq!(found["a.mp4"].note.is_some(), note.is_some());
        assert!(note.is_none_or(|note| found["a.mp4"].note.as_ref().unwrap().contains(note)), "{found:?}");
    }
}

#[test]
fn the_states_of_an_upload_are_reported_in_their_order() {
    use twelvelabs::assets::UploadState::{self, Processing, Ready, Uploaded, Uploading};

    let (stand_in, folder) = (StandIn::start(), Folder::new("states"));
    stand_in.polls_until_ready(2);
    folder.write("a.mp4", b"data");
    let expected = [Uploading, Uploaded, Processing, Ready].map(|state| (state, 4, Some(4)));
    type Seen = std::sync::Mutex<Vec<(UploadState, u64, Option<u64>)>>;
    let seen: std::sync::Arc<Seen> = Default::default();
    let log = seen.clone();
    let upload = stand_in.client().assets().upload(folder.path("a.mp4"));
    let log_one = move |progress: &twelvelabs::assets::UploadProgress| {
        log.lock().unwrap().push((progress.state, progress.sent, progress.total));
    };
    upload.progress_callback(log_one).send().unwrap();
    let reported = |seen: &Seen| {
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.dedup();
        seen
    };
    assert_eq!(reported(&seen), expected);

    let log = seen.clone();
    let all = batch(&stand_in.client(), &folder).progress_callback(move |_, progress| {
        log.lock().unwrap().push((progress.state, progress.sent, progress.total))
    });
    outcomes(all);
    assert_eq!(reported(&seen), expected);
}

#[test]
fn a_summary_counts_every_kind_of_outcome() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("summary"));
    let client = stand_in.client();
    small_files(&folder, 1);
    assert!(batch(&client, &folder).send().unwrap().finish().is_complete());
    folder.write("01.mp4", b"data");
    stand_in.fault("POST /assets", Fault::status(400));
    let summary = batch(&client, &folder).send().unwrap().finish();
    assert_eq!((summary.skipped, summary.failed, summary.failures.len()), (1, 1, 1), "{summary:?}");
    assert!(summary.stopped.is_none() && !summary.is_complete());

    for number in 2..6 {
        folder.write(&format!("{number:02}.mp4"), b"data");
    }
    stand_in.fault("POST /assets", Fault::status(401).always());
    let summary = batch(&client, &folder).workers(1).retry_permanent(true).send().unwrap().finish();
    let counts = (summary.uploaded, summary.skipped, summary.failed, summary.not_started);
    assert_eq!((counts, summary.failures.len()), ((0, 1, 1, 4), 1), "{summary:?}");
    assert_eq!(summary.stopped.as_ref().and_then(Error::status), Some(401));
    assert!(!summary.is_complete());
}
