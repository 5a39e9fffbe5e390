//! Batches when the platform is away, or its answers are lost: no file is lost, and none is sent twice.

use std::time::Duration;

use twelvelabs::assets::UploadOutcomeKind::{Failed, NotStarted, Uploaded};
use twelvelabs::testing::{Fault, StandIn};
use twelvelabs::{Error, FileSource};

use crate::batch::{batch, kinds, outcomes, small_files};
use crate::files::Folder;

#[test]
fn an_outage_fails_no_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("outage"));
    small_files(&folder, 12);
    // Nothing gets through for a while, whatever is asked.
    stand_in.fault("POST /assets", Fault::status(503).times(20));
    stand_in.fault("GET /assets", Fault::status(503).times(10));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(8));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{:?}", kinds(&found));
    assert_eq!(stand_in.asset_count(), 12);
}

#[test]
fn an_outage_of_uploads_alone_fails_no_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("half-outage"));
    small_files(&folder, 12);
    stand_in.fault("POST /assets", Fault::status(503).times(20));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(4));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{:?}", kinds(&found));
    assert_eq!(stand_in.asset_count(), 12);
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
    assert!(why.contains("nothing got through for"), "{why}");
    let waited: Duration = stand_in.clock().slept().iter().sum();
    assert!(waited >= Duration::from_secs(60), "{waited:?}");

    // When it is over, the next batch does the rest.
    stand_in.forgive();
    let summary = batch(&stand_in.client(), &folder).send().unwrap().finish();
    assert!(summary.is_complete() && summary.uploaded == 6, "{summary:?}");
    assert_eq!(stand_in.asset_count(), 6);
}

#[test]
fn a_file_that_alone_does_not_get_through_fails_and_the_others_do_not_wait_for_it() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("poison"));
    small_files(&folder, 5);
    stand_in.fault("POST /assets", Fault::status(500).times(1));
    stand_in.fault("POST /assets", Fault::status(500).after(4).times(1));
    let found = outcomes(batch(&stand_in.client(), &folder).workers(1));
    let failed: Vec<_> = kinds(&found).into_iter().filter(|(_, kind)| *kind == Failed).collect();
    assert_eq!(failed, [("00.mp4", Failed)], "it was tried twice, at the beginning and at the end");
    assert_eq!(stand_in.asset_count(), 4);
}

#[test]
fn a_lost_answer_is_looked_for_and_the_file_is_not_sent_again() {
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
fn what_was_lost_on_the_way_is_sent_again_by_a_batch_and_an_error_for_one_file() {
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
fn a_file_that_was_in_flight_at_a_kill_is_looked_for_before_it_is_sent_again() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("flight"));
    small_files(&folder, 2);
    let client = stand_in.client();
    assert!(batch(&client, &folder).workers(1).send().unwrap().finish().is_complete());
    // As if the program had been killed after the platform had the file and before the answer came.
    let path = folder.path("manifest.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap();
    let kept: String = lines
        .lines()
        .filter(|line| !line.contains("01.mp4") || line.contains("\"sending\""))
        .fold(String::new(), |all, line| all + line + "\n");
    assert!(kept.contains("\"sending\""), "{lines}");
    std::fs::write(&path, kept).unwrap();
    let found = outcomes(batch(&client, &folder));
    assert_eq!(found["01.mp4"].kind, Uploaded);
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (2, 2), "nothing is sent twice");
}

#[test]
fn a_key_that_is_not_valid_costs_one_request_and_one_error_for_all() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("key"));
    small_files(&folder, 50);
    stand_in.fault("POST /assets", Fault::status(401).always());
    let found = outcomes(batch(&stand_in.client(), &folder).workers(2));
    let not_started = found.values().filter(|outcome| outcome.kind == NotStarted).count();
    assert!((48..50).contains(&not_started), "{not_started}");
    assert!(found.values().all(|outcome| outcome.result.as_ref().unwrap_err().status() == Some(401)));
    assert!(stand_in.count("POST /assets") <= 2);
}
