//! Chunked uploads against the stand-in: what goes wrong on the way, and that nothing is lost over it.

#[path = "support/files.rs"]
mod files;
#[path = "support/stand_in/mod.rs"]
mod stand_in;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use files::{content, Folder};
use stand_in::storage::StorageFault;
use stand_in::StandIn;
use twelvelabs::{
    AssetStatus, CancelHandle, Error, FileSource, ResumableUpload, TwelveLabs, UploadError, UploadFile, UploadProgress,
    UploadState,
};

const KEY: &str = "tlk_never_seen_by_the_storage";
const CHUNK: u64 = 64 << 10;

/// A stand-in with small chunks and few URLs at first, and a file of a dozen chunks and a bit.
struct Scene {
    stand_in: StandIn,
    client: TwelveLabs,
    folder: Folder,
    content: Vec<u8>,
}

impl Scene {
    fn new(name: &str) -> Self {
        let stand_in = StandIn::start();
        stand_in.chunks(CHUNK, 3);
        let client = TwelveLabs::builder().api_key(KEY).base_url(stand_in.url()).build().unwrap();
        let folder = Folder::new(name);
        let content = content(12 * CHUNK as usize + 777);
        folder.write("holiday.mp4", &content);
        Scene { stand_in, client, folder, content }
    }

    fn upload(&self) -> UploadFile {
        let file = self.folder.path("holiday.mp4");
        self.client.multipart_upload().upload_file(file).retry_delay(Duration::from_millis(1))
    }

    fn upload_id(&self) -> String {
        self.stand_in.upload_ids().pop().expect("a session")
    }

    /// The file arrived as it is, and no chunk that was reported was sent again.
    fn check_complete(&self) {
        let id = self.upload_id();
        let assembled = self.stand_in.assembled(&id).expect("the session is complete");
        assert!(assembled == self.content, "the bytes arrive as they are");
        let mut reported = self.stand_in.reported_chunks(&id);
        reported.sort_unstable();
        assert_eq!(reported, (1..=13).collect::<Vec<u32>>(), "every chunk was reported once");
        self.check_secrets();
    }

    fn check_secrets(&self) {
        for head in self.stand_in.storage().heads() {
            assert!(!head.to_lowercase().contains("x-api-key") && !head.contains(KEY), "{head}");
            assert!(head.contains("x-storage-class: stand-in"), "the upload headers are sent: {head}");
        }
    }
}

fn upload_error(e: Error) -> Box<UploadError> {
    match e {
        Error::Upload(e) => e,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_chunk_arrives_once_over_few_connections() {
    let scene = Scene::new("once");
    let seen: Arc<Mutex<Vec<UploadProgress>>> = Arc::default();
    let log = seen.clone();
    let upload = scene.upload().progress_callback(move |progress| log.lock().unwrap().push(progress.clone()));
    let result = upload.max_workers(4).batch_size(5).send().unwrap();
    scene.check_complete();
    assert_eq!(result.upload_id, scene.upload_id());
    assert!(result.asset_url.unwrap().contains(&result.asset_id));
    assert!(scene.stand_in.storage().connections() <= 4, "{} connections", scene.stand_in.storage().connections());
    assert_eq!(scene.stand_in.storage().begun(&result.upload_id).len(), 13);
    assert_eq!(scene.stand_in.requests("POST", "presigned-urls"), 1, "10 chunks without URL are one call");

    let seen = seen.lock().unwrap();
    let first = &seen[0];
    assert_eq!((first.sent, first.total, first.completed_chunks), (0, Some(scene.content.len() as u64), 0));
    assert!(seen
        .iter()
        .all(|p| p.upload_id() == Some(&result.upload_id) && p.asset_id.as_ref() == Some(&result.asset_id)));
    assert!(seen.windows(2).all(|pair| pair[0].completed_chunks <= pair[1].completed_chunks));
    let last = seen.last().unwrap();
    assert_eq!((last.state, last.completed_chunks, last.total_chunks), (UploadState::Uploaded, 13, 13));
    assert_eq!((last.sent, last.percentage()), (scene.content.len() as u64, 100.0));
}

#[test]
fn bytes_go_in_chunks_too_and_readers_do_not() {
    let scene = Scene::new("bytes");
    let uploads = scene.client.multipart_upload();
    uploads.upload_file(FileSource::bytes("a.mp4", scene.content.clone())).send().unwrap();
    scene.check_complete();
    let e = uploads.upload_file(FileSource::reader("a.mp4", std::io::empty())).send().unwrap_err();
    assert!(e.to_string().contains("a reader goes in one request"), "{e}");
    let e = uploads.upload_file(scene.folder.path("missing.mp4")).send().unwrap_err();
    assert!(e.to_string().contains("no such file"), "{e}");
    assert_eq!(scene.stand_in.upload_ids().len(), 1, "no session is begun for what cannot be sent");
}

#[test]
fn passing_faults_cost_no_more_than_the_chunk() {
    for fault in [
        StorageFault::Status(500),
        StorageFault::Status(503),
        StorageFault::Reset(1000),
        StorageFault::Reset(0),
        StorageFault::Expired,
        StorageFault::NoEtag,
    ] {
        let scene = Scene::new("passing");
        scene.stand_in.storage().fault(Some(4), fault);
        scene.upload().send().unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        scene.check_complete();
        let begun = scene.stand_in.storage().begun(&scene.upload_id());
        assert_eq!(begun.len(), 14, "{fault:?}: one chunk is sent twice");
        assert_eq!(begun.iter().filter(|index| **index == 4).count(), 2, "{fault:?}");
    }
}

#[test]
fn urls_that_have_ended_are_replaced() {
    let scene = Scene::new("ended");
    let storage = scene.stand_in.storage();
    let mut ended = false;
    // All URLs of the session end once the first are used.
    let upload = scene.upload().max_workers(2).progress_callback(move |progress| {
        if progress.completed_chunks > 2 && !std::mem::replace(&mut ended, true) {
            storage.expire_urls();
        }
    });
    upload.send().unwrap();
    scene.check_complete();
}

#[test]
fn a_report_that_is_answered_503_is_sent_again() {
    // Once is forgiven within the request, five times only by the report after the next batch.
    for times in [1, 5] {
        let scene = Arc::new(Scene::new("report"));
        let inner = scene.clone();
        let mut told = false;
        let upload = scene.upload().batch_size(3).max_workers(1).progress_callback(move |progress| {
            if !std::mem::replace(&mut told, true) {
                let path = format!("multipart-uploads/{}", progress.upload_id().unwrap());
                inner.stand_in.fail_exactly("POST", &path, times, 503, "unavailable");
            }
        });
        upload.send().unwrap();
        scene.check_complete();
    }
}

#[test]
fn one_chunk_that_never_gets_through_ends_in_an_error_that_can_be_resumed() {
    let scene = Scene::new("never");
    for _ in 0..4 {
        scene.stand_in.storage().fault(Some(6), StorageFault::Status(500));
    }
    let e = scene.upload().max_workers(3).send().unwrap_err();
    let text = e.to_string();
    let failed = upload_error(e);
    assert!(text.starts_with("the server answered with status 500"), "{text}");
    assert!(text.contains("PUT chunk 6 of 13") && text.contains(&failed.upload.upload_id), "{text}");
    assert!(failed.resumable && failed.missing.contains(&6) && failed.total_chunks == 13, "{failed:?}");
    assert!(failed.upload.asset_id.is_some());
    assert!(std::error::Error::source(&*failed).is_none(), "the cause is in the text and not also the source");

    // What had arrived by then was reported.
    let reported: BTreeSet<u32> = scene.stand_in.reported_chunks(&scene.upload_id()).into_iter().collect();
    let missing: BTreeSet<u32> = failed.missing.iter().copied().collect();
    assert_eq!(reported.union(&missing).count(), 13);
    assert!(reported.is_disjoint(&missing));

    scene.upload().resume(&failed.upload).send().unwrap();
    scene.check_complete();
}

#[test]
fn an_upload_is_resumed_by_its_id_alone() {
    let scene = Scene::new("resume-id");
    (0..4).for_each(|_| scene.stand_in.storage().fault(Some(9), StorageFault::Reset(10)));
    let failed = upload_error(scene.upload().send().unwrap_err());
    // The platform tells the headers of the chunks only once: with the id alone they are missing, and that is said.
    let e = scene.upload().resume(failed.upload.upload_id.as_str()).max_retries(0).send().unwrap_err();
    assert!(e.to_string().starts_with("Request has expired [AccessDenied, 403]"), "{e}");
    let mut upload = ResumableUpload::from(&failed.upload.upload_id);
    upload.upload_headers = failed.upload.upload_headers.clone();
    let result = scene.upload().resume(upload).send().unwrap();
    assert_eq!(Some(result.asset_id), failed.upload.asset_id);
    let mut reported = scene.stand_in.reported_chunks(&scene.upload_id());
    reported.sort_unstable();
    assert_eq!(reported, (1..=13).collect::<Vec<u32>>());
}

#[test]
fn another_file_is_refused() {
    let scene = Scene::new("refused");
    (0..4).for_each(|_| scene.stand_in.storage().fault(Some(2), StorageFault::Reset(10)));
    let failed = upload_error(scene.upload().send().unwrap_err());
    scene.folder.write("other.mp4", &content(5000));
    let other = scene.client.multipart_upload().upload_file(scene.folder.path("other.mp4"));
    let e = other.resume(&failed.upload).send().unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "resume"), "{e:?}");
    assert!(e.to_string().contains("other.mp4 has 5000"), "{e}");

    // The right size, but chunks of another size than the session's.
    let upload = ResumableUpload::from(&failed.upload.upload_id);
    let json = serde_json::to_value(&upload).unwrap();
    let mut json = json.as_object().unwrap().clone();
    json.insert("chunk_size".into(), 1000.into());
    let upload: ResumableUpload = serde_json::from_value(json.into()).unwrap();
    let e = scene.upload().resume(upload).send().unwrap_err();
    assert!(e.to_string().contains("has 13 chunks; this file would have 788 of 1000 bytes"), "{e}");

    let e = scene.upload().resume("65f0ffffffffffffffffffff").send().unwrap_err();
    assert!(!upload_error(e).resumable);
}

#[test]
fn a_session_that_has_expired_says_so() {
    let scene = Scene::new("expired");
    (0..4).for_each(|_| scene.stand_in.storage().fault(Some(2), StorageFault::Reset(10)));
    let failed = upload_error(scene.upload().send().unwrap_err());
    scene.stand_in.expire_session(&failed.upload.upload_id);
    let e = scene.upload().resume(&failed.upload).send().unwrap_err();
    assert!(e.to_string().contains("is expired; upload the file anew"), "{e}");
    assert!(!upload_error(e).resumable);

    // Under way: the report finds out.
    let scene = Arc::new(Scene::new("expires"));
    let inner = scene.clone();
    let mut expired = false;
    let upload = scene.upload().batch_size(4).progress_callback(move |progress| {
        if progress.completed_chunks > 0 && !std::mem::replace(&mut expired, true) {
            inner.stand_in.expire_session(progress.upload_id().unwrap());
        }
    });
    let failed = upload_error(upload.send().unwrap_err());
    assert!(!failed.resumable && failed.cause.status() == Some(410), "{failed}");
}

#[test]
fn a_file_that_changes_under_way_is_an_error() {
    for (name, change) in [
        ("grows", (|file| file.write_all(b"more").unwrap()) as fn(&mut fs::File)),
        ("shrinks", |file| file.set_len(100_000).unwrap()),
    ] {
        let scene = Scene::new(name);
        let path = scene.folder.path("holiday.mp4");
        let mut changed = false;
        let upload = scene.upload().max_workers(1).progress_callback(move |progress| {
            if progress.completed_chunks == 2 && !std::mem::replace(&mut changed, true) {
                change(&mut OpenOptions::new().append(true).open(&path).unwrap());
            }
        });
        let e = upload.send().unwrap_err();
        assert!(e.to_string().contains("while it was being sent") && e.to_string().contains("holiday.mp4"), "{e}");
        let failed = upload_error(e);
        assert!(!failed.resumable && matches!(*failed.cause, Error::File { .. }), "{failed:?}");
        assert_eq!(scene.stand_in.assembled(&scene.upload_id()), None, "{name}: never complete");
    }
}

#[test]
fn nothing_is_written_beside_the_source() {
    let scene = Scene::new("read-only");
    scene.folder.read_only(true);
    scene.upload().send().unwrap();
    scene.check_complete();
    assert_eq!(scene.folder.names(), ["holiday.mp4"]);
    scene.folder.read_only(false);
}

#[test]
fn a_canceled_upload_ends_at_once_and_can_be_resumed() {
    let scene = Scene::new("cancel");
    // Every worker gets stuck in the middle of a chunk.
    for chunk in [3, 4, 5] {
        scene.stand_in.storage().fault(Some(chunk), StorageFault::Silent(100));
    }
    let cancel = CancelHandle::new();
    let (remote, storage) = (cancel.clone(), scene.stand_in.storage());
    let canceler = std::thread::spawn(move || {
        storage.wait_for_begun(5);
        remote.cancel();
    });
    let e = scene.upload().max_workers(3).cancel_handle(&cancel).send().unwrap_err();
    canceler.join().unwrap();
    assert!(e.is_canceled() && e.to_string().starts_with("canceled"), "{e}");
    let failed = upload_error(e);
    assert!(failed.resumable && failed.missing.contains(&3), "{failed}");
    let reported: BTreeSet<u32> = scene.stand_in.reported_chunks(&scene.upload_id()).into_iter().collect();
    assert!(reported.len() + failed.missing.len() == 13 && !reported.is_empty(), "what had arrived is reported");
    scene.upload().resume(&failed.upload).send().unwrap();
    scene.check_complete();

    let e = scene.upload().cancel_handle(&cancel).send().unwrap_err();
    assert!(e.is_canceled(), "a handle stays canceled: {e}");
    assert_eq!(scene.stand_in.upload_ids().len(), 1, "nothing is begun");
}

#[test]
fn upload_takes_the_way_that_fits_the_size() {
    let scene = Scene::new("upload");
    let assets = scene.client.assets();
    let path = scene.folder.path("holiday.mp4");
    let states: Arc<Mutex<Vec<UploadState>>> = Arc::default();
    let (direct, chunked) = (states.clone(), states.clone());
    let asset = assets
        .upload(&path)
        .user_metadata(serde_json::json!({"place": "Lisbon"}))
        .sleep_interval(Duration::from_millis(1))
        .progress_callback(move |progress| direct.lock().unwrap().push(progress.state))
        .send()
        .unwrap();
    assert_eq!(asset.status, Some(AssetStatus::Ready));
    assert_eq!(asset.user_metadata.unwrap()["place"], "Lisbon");
    assert!(scene.stand_in.upload_ids().is_empty(), "it went in one request");
    use UploadState::{Processing, Ready, Uploaded, Uploading};
    let mut seen = std::mem::take(&mut *states.lock().unwrap());
    seen.dedup();
    assert_eq!(seen, [Uploading, Uploaded, Processing, Ready]);

    let asset = assets
        .upload(&path)
        .threshold(scene.content.len() as u64 - 1)
        .user_metadata(serde_json::json!({"place": "Porto"}))
        .filename("Holiday.mp4")
        .sleep_interval(Duration::from_millis(1))
        .progress_callback(move |progress| chunked.lock().unwrap().push(progress.state))
        .send()
        .unwrap();
    scene.check_complete();
    assert_eq!((asset.status, asset.filename.as_deref()), (Some(AssetStatus::Ready), Some("Holiday.mp4")));
    assert_eq!(asset.user_metadata.unwrap()["place"], "Porto");
    assert_eq!(assets.retrieve(&asset.id).send().unwrap().user_metadata.unwrap()["place"], "Porto");
    let mut seen = std::mem::take(&mut *states.lock().unwrap());
    seen.dedup();
    assert_eq!(seen, [Uploading, Uploaded, Processing, Ready]);

    let asset = assets.upload(&path).threshold(1).wait(false).send().unwrap();
    assert_eq!(asset.status, Some(AssetStatus::Processing));
    let e = assets.upload(scene.folder.path("missing.mp4")).send().unwrap_err();
    assert!(e.to_string().contains("no such file"), "{e}");
}

#[test]
fn a_direct_upload_that_gets_stuck_is_canceled_at_once() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let cancel = CancelHandle::new();
    let remote = cancel.clone();
    let canceler = std::thread::spawn(move || {
        let connection = silent.accept().unwrap();
        remote.cancel();
        // Kept until the client has gone.
        std::io::copy(&mut &connection.0, &mut std::io::sink()).ok();
    });
    let client = TwelveLabs::builder().api_key(KEY).base_url(url).build().unwrap();
    let bytes = FileSource::bytes("a.mp4", content(100_000));
    let e = client.assets().upload(bytes).cancel_handle(&cancel).send().unwrap_err();
    assert!(e.is_canceled(), "{e}");
    canceler.join().unwrap();
}
