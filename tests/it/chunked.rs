//! Chunked uploads against the stand-in: everything that can fail on the way, and that nothing is lost.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::files::{Folder, content};
use crate::server::{Server, Step, answer, answer_with};
use serde_json::{Value, json};
use twelvelabs::assets::{AssetStatus, AssetType, UploadProgress, UploadState};
use twelvelabs::multipart_upload::{PresignedUrls, ResumableUpload, UploadFile, UploadSession};
use twelvelabs::testing::{Fault, Request, StandIn};
use twelvelabs::{CancelHandle, Clock, Error, FileSource, RequestOptions, TwelveLabs, UploadError};

const KEY: &str = "tlk_never_seen_by_the_storage";
const CHUNK: u64 = 64 << 10;
const URLS: &str = "POST /assets/multipart-uploads/{upload_id}/presigned-urls";

/// A stand-in with small chunks and few initial URLs, and a file of a little more than a dozen chunks.
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

    /// Checks that the file arrived unchanged, and that no reported chunk was sent again.
    fn check_complete(&self) {
        let id = self.upload_id();
        let assembled = self.stand_in.assembled(&id).expect("the session is complete");
        assert!(assembled == self.content, "the bytes arrive unchanged");
        let mut reported = self.stand_in.reported_chunks(&id);
        reported.sort_unstable();
        assert_eq!(reported, (1..=13).collect::<Vec<u32>>(), "every chunk was reported once");
        let mut requests = to_storage(&self.stand_in).into_iter();
        assert!(requests.all(|request| request.header("x-storage-class").is_some()), "the upload headers are sent");
    }
}

fn to_storage(stand_in: &StandIn) -> Vec<Request> {
    stand_in.requests().into_iter().filter(Request::is_to_storage).collect()
}

/// At the end of every test, checks that the storage has never received the API key.
impl Drop for Scene {
    fn drop(&mut self) {
        for request in to_storage(&self.stand_in) {
            let leaks = request.header("x-api-key").is_some() || format!("{request:?}").contains(KEY);
            assert!(!leaks || std::thread::panicking(), "{request:?}");
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
    assert!(scene.stand_in.storage_connections() <= 4, "{} connections", scene.stand_in.storage_connections());
    assert_eq!(scene.stand_in.sent_chunks(&result.upload_id).len(), 13);
    assert_eq!(scene.stand_in.count(URLS), 1, "URLs for 10 chunks take one call");

    let seen = seen.lock().unwrap();
    let first = &seen[0];
    assert_eq!((first.sent, first.total, first.completed_chunks), (0, Some(scene.content.len() as u64), 0));
    assert!(
        seen.iter().all(|p| p.upload_id() == Some(&result.upload_id) && p.asset_id.as_ref() == Some(&result.asset_id))
    );
    assert!(seen.windows(2).all(|pair| pair[0].completed_chunks <= pair[1].completed_chunks));
    let last = seen.last().unwrap();
    assert_eq!((last.state, last.completed_chunks, last.total_chunks), (UploadState::Uploaded, 13, 13));
    assert_eq!((last.sent, last.percentage()), (scene.content.len() as u64, 100.0));
}

#[test]
fn bytes_are_sent_in_chunks_and_readers_are_not() {
    let scene = Scene::new("bytes");
    let uploads = scene.client.multipart_upload();
    uploads.upload_file(FileSource::bytes("a.mp4", scene.content.clone())).send().unwrap();
    scene.check_complete();
    let e = uploads.upload_file(FileSource::reader("a.mp4", std::io::empty())).send().unwrap_err();
    assert!(e.to_string().contains("a reader is sent in one request"), "{e}");
    let e = uploads.upload_file(scene.folder.path("missing.mp4")).send().unwrap_err();
    assert!(e.to_string().contains("no such file"), "{e}");
    assert_eq!(scene.stand_in.upload_ids().len(), 1, "no session is created for a source that cannot be sent");
}

#[test]
fn temporary_faults_affect_only_their_chunk() {
    for fault in [
        Fault::status(500),
        Fault::status(503),
        Fault::reset_request(1000),
        Fault::reset_request(0),
        Fault::reset_answer(),
        Fault::expired_url(),
        Fault::without_header("etag"),
    ] {
        let scene = Scene::new("passing");
        scene.stand_in.fault("PUT /storage/{upload_id}/4", fault.clone());
        let sent: Arc<Mutex<Vec<u64>>> = Arc::default();
        let log = sent.clone();
        let upload = scene.upload().progress_callback(move |progress| log.lock().unwrap().push(progress.sent));
        upload.send().unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        scene.check_complete();
        let (sent, total) = (sent.lock().unwrap(), scene.content.len() as u64);
        assert!(
            sent.iter().all(|sent| *sent <= total),
            "{fault:?}: bytes that did not arrive are not counted: {sent:?}"
        );
        assert_eq!(sent.last(), Some(&total), "{fault:?}");
        let begun = scene.stand_in.sent_chunks(&scene.upload_id());
        assert_eq!(begun.len(), 14, "{fault:?}: one chunk is sent twice");
        assert_eq!(begun.iter().filter(|index| **index == 4).count(), 2, "{fault:?}");
    }
}

#[test]
fn expired_urls_are_replaced() {
    let scene = Scene::new("ended");
    let stand_in = scene.stand_in.clone();
    let mut ended = false;
    // All URLs of the session expire once the first ones are used.
    let upload = scene.upload().max_workers(2).progress_callback(move |progress| {
        if progress.completed_chunks > 2 && !std::mem::replace(&mut ended, true) {
            stand_in.expire_urls();
        }
    });
    upload.send().unwrap();
    scene.check_complete();
}

/// Creates an upload on the clock of the stand-in, with one worker.
fn on_its_clock(scene: &Scene) -> UploadFile {
    let file = scene.folder.path("holiday.mp4");
    scene.stand_in.client().multipart_upload().upload_file(file).max_workers(1)
}

#[test]
fn urls_that_have_expired_are_not_used() {
    // The URLs of the session last an hour, and nothing is sent before the first progress event. A URL that expires
    // within seconds is not used either.
    for age in [2 * 3600, 3600 - 20] {
        let scene = Scene::new("expired-urls");
        let (clock, mut began) = (scene.stand_in.clock(), false);
        let upload = on_its_clock(&scene).progress_callback(move |_| {
            if !std::mem::replace(&mut began, true) {
                clock.advance(Duration::from_secs(age));
            }
        });
        upload.send().unwrap();
        scene.check_complete();
        assert_eq!(to_storage(&scene.stand_in).len(), 13, "the storage refused no chunk");
        assert!(scene.stand_in.count(URLS) > 1, "{age}: the first URLs are replaced as well");
    }
}

#[test]
fn retries_of_a_chunk_honor_retry_after() {
    let scene = Scene::new("retry-after");
    scene.stand_in.fault("PUT /storage/{upload_id}/4", Fault::status(503).retry_after(40));
    on_its_clock(&scene).send().unwrap();
    scene.check_complete();
    let waited = scene.stand_in.clock().passed();
    assert!((Duration::from_secs(40)..Duration::from_secs(60)).contains(&waited), "{waited:?}");
}

#[test]
fn chunks_are_reported_after_a_while_even_if_the_batch_is_not_full() {
    let scene = Scene::new("late");
    scene.stand_in.fault("PUT /storage/{upload_id}/3", Fault::silent(10));
    let (cancel, stand_in) = (CancelHandle::new(), scene.stand_in.clone());
    let reported: Arc<Mutex<Vec<u32>>> = Arc::default();
    let (remote, log, mut ticks) = (cancel.clone(), reported.clone(), 0);
    let upload = on_its_clock(&scene).batch_size(100).cancel_handle(&cancel).progress_callback(move |progress| {
        let id = stand_in.upload_ids().pop().unwrap();
        if progress.completed_chunks < 2 || !stand_in.sent_chunks(&id).contains(&3) {
            return;
        }
        if ticks == 0 {
            stand_in.clock().advance(Duration::from_secs(6));
        }
        ticks += 1;
        *log.lock().unwrap() = stand_in.reported_chunks(&id);
        if ticks == 20 || !log.lock().unwrap().is_empty() {
            remote.cancel();
        }
    });
    assert!(upload.send().unwrap_err().is_canceled());
    assert_eq!(*reported.lock().unwrap(), [1, 2], "the first two are reported while the third is in flight");
}

#[cfg(unix)]
#[test]
fn a_file_that_was_replaced_once_its_last_byte_was_read_is_an_error() {
    let scene = Scene::new("replaced");
    let (path, other) = (scene.folder.path("holiday.mp4"), scene.folder.write("other.mp4", &scene.content));
    let total = scene.content.len() as u64;
    let upload = scene.upload().progress_callback(move |progress| {
        if progress.sent == total && other.exists() {
            fs::rename(&other, &path).unwrap();
        }
    });
    let e = upload.send().unwrap_err();
    assert!(e.to_string().contains("changed since the upload began"), "{e}");
    assert!(!upload_error(e).resumable);
}

#[test]
fn a_file_that_is_moved_or_deleted_once_its_last_byte_was_read_is_uploaded() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 2] = [
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("moved", |path| fs::rename(path, path.with_extension("moved")).unwrap()),
    ];
    for (name, change) in changes {
        for whole in [false, true] {
            let scene = Scene::new(name);
            let (path, total) = (scene.folder.path("holiday.mp4"), scene.content.len() as u64);
            let mut watched = Some(path.clone());
            let on_progress = move |progress: &UploadProgress| {
                // Where a deleted file exists until it is closed, it cannot be deleted a second time.
                if progress.sent == total
                    && let Some(path) = watched.take()
                {
                    change(&path);
                }
            };
            match whole {
                false => drop(scene.upload().progress_callback(on_progress).send().unwrap()),
                true => {
                    let state = scene.folder.path("state");
                    let upload = scene.client.assets().upload(&path).threshold(1).state_file(&state);
                    upload.sleep_interval(Duration::from_millis(1)).progress_callback(on_progress).send().unwrap();
                    assert!(!state.exists(), "{name}: nothing is left to resume");
                }
            }
            assert!(!path.exists());
            scene.check_complete();
        }
    }
}

#[test]
fn a_report_is_retried_after_a_503() {
    // One failure is retried within the request. After five, the report is repeated after the next batch.
    for times in [1, 5] {
        let scene = Arc::new(Scene::new("report"));
        let inner = scene.clone();
        let mut told = false;
        let upload = scene.upload().batch_size(3).max_workers(1).progress_callback(move |_| {
            if !std::mem::replace(&mut told, true) {
                inner.stand_in.fail("POST /assets/multipart-uploads/{upload_id}", times, 503);
            }
        });
        upload.send().unwrap();
        scene.check_complete();
        let reports = scene.stand_in.requests().into_iter().map(|request| request.json()["completed_chunks"].take());
        let longest = reports.filter_map(|chunks| chunks.as_array().map(Vec::len)).max();
        assert_eq!(longest, Some(3), "no report has more chunks than `batch_size`");
    }
}

#[test]
fn a_chunk_that_never_succeeds_ends_in_a_resumable_error() {
    let scene = Scene::new("never");
    scene.stand_in.fault("PUT /storage/{upload_id}/6", Fault::status(500).body(Value::Null).times(4));
    let e = scene.upload().max_workers(1).send().unwrap_err();
    let text = e.to_string();
    let failed = upload_error(e);
    assert!(text.starts_with("127.0.0.1 answered with status 500"), "{text}");
    assert!(text.contains("PUT chunk 6 of 13") && text.contains(&failed.upload.upload_id), "{text}");
    assert!(failed.resumable && failed.total_chunks == 13, "{failed:?}");
    assert!(failed.upload.asset_id.is_some());
    assert!(std::error::Error::source(&*failed).is_none(), "the text contains the cause, so there is no source");

    // The chunks that had arrived by then were reported, although their batch was not full.
    assert_eq!(scene.stand_in.reported_chunks(&scene.upload_id()), [1, 2, 3, 4, 5]);
    assert_eq!(failed.missing, Vec::from_iter(6..=13));

    let mut first = None;
    let (log, seen) = std::sync::mpsc::channel();
    let resumed = scene.upload().resume(&failed.upload).progress_callback(move |progress| {
        first.get_or_insert_with(|| log.send((progress.sent, progress.completed_chunks)).unwrap());
    });
    resumed.send().unwrap();
    assert_eq!(seen.recv().unwrap(), (5 * CHUNK, 5), "the progress begins with the chunks that have arrived");
    scene.check_complete();
}

#[test]
fn an_upload_is_resumed_by_its_id_alone() {
    let scene = Scene::new("resume-id");
    scene.stand_in.fault("PUT /storage/{upload_id}/9", Fault::reset_request(10).times(4));
    let failed = upload_error(scene.upload().send().unwrap_err());
    // The platform sends the headers of the chunks only once. With the id alone they are missing, and the error says
    // so.
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
    scene.stand_in.fault("PUT /storage/{upload_id}/2", Fault::reset_request(10).times(4));
    let failed = upload_error(scene.upload().send().unwrap_err());
    scene.folder.write("other.mp4", &content(5000));
    let other = scene.client.multipart_upload().upload_file(scene.folder.path("other.mp4"));
    let e = other.resume(&failed.upload).send().unwrap_err();
    let e = upload_error(e);
    assert!(e.resumable && e.upload == failed.upload, "the upload can still be resumed with the right file: {e:?}");
    assert!(e.to_string().contains("other.mp4: this is not the file that the upload was started with"), "{e}");

    // The id alone contains no state of the file, but the platform knows its size.
    let sent = to_storage(&scene.stand_in).len();
    let other = scene.client.multipart_upload().upload_file(scene.folder.path("other.mp4"));
    let e = other.resume(&failed.upload.upload_id).send().unwrap_err();
    let expected = format!("this file has 5000 bytes, but upload {} is for a file of", failed.upload.upload_id);
    assert!(e.to_string().contains(&expected), "{e}");
    let e = upload_error(e);
    assert!(e.resumable, "{e:?}");
    assert_eq!(to_storage(&scene.stand_in).len(), sent, "no chunk of the other file was sent");

    // The size is right, but the session has chunks of another size.
    let upload = ResumableUpload::from(&failed.upload.upload_id);
    let json = serde_json::to_value(&upload).unwrap();
    let mut json = json.as_object().unwrap().clone();
    json.insert("chunk_size".into(), 1000.into());
    let upload: ResumableUpload = serde_json::from_value(json.into()).unwrap();
    let e = scene.upload().resume(upload).send().unwrap_err();
    assert!(e.to_string().contains("this file would have 788 chunks of 1000 bytes, but upload"), "{e}");

    let e = scene.upload().resume("65f0ffffffffffffffffffff").send().unwrap_err();
    assert!(!upload_error(e).resumable);
}

#[test]
fn another_file_of_the_same_size_is_refused_without_resume_anyway() {
    fn set_back(path: &Path, time: SystemTime) {
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    type Change = fn(&Path, SystemTime);
    let changes: [(&str, Change); 3] = [
        ("it has been modified since then", |path, time| set_back(path, time + Duration::from_secs(1))),
        ("another file has replaced it", |path, time| {
            let other = path.with_extension("other");
            fs::copy(path, &other).unwrap();
            set_back(&other, time);
            fs::rename(other, path).unwrap();
        }),
        ("the file, its name or its permissions have changed", |path, time| set_back(path, time)),
    ];
    for (why, change) in &changes[..if cfg!(unix) { 3 } else { 1 }] {
        let scene = Scene::new("same-size");
        scene.stand_in.fault("PUT /storage/{upload_id}/9", Fault::reset_request(10).times(4));
        let failed = upload_error(scene.upload().send().unwrap_err());
        let path = scene.folder.path("holiday.mp4");
        change(&path, path.metadata().unwrap().modified().unwrap());

        let came = scene.stand_in.requests().len();
        let assets = scene.client.assets();
        for e in [
            scene.upload().resume(&failed.upload).send().unwrap_err(),
            assets.upload(&path).resume(&failed.upload).send().unwrap_err(),
        ] {
            assert!(e.to_string().contains(why) && e.to_string().contains("resume_anyway(true)"), "{e}");
            let refused = upload_error(e);
            assert!(refused.resumable && matches!(*refused.cause, Error::File { .. }), "{why}: {refused:?}");
            assert_eq!(refused.upload, failed.upload);
        }
        assert_eq!(scene.stand_in.requests().len(), came, "{why}");

        // A state saved before this field existed can still be resumed.
        let mut old = serde_json::to_value(&failed.upload).unwrap();
        old.as_object_mut().unwrap().remove("file").unwrap();
        let old: ResumableUpload = serde_json::from_value(old).unwrap();
        assert_eq!(old.file, None);
        scene.stand_in.fault("PUT /storage/{upload_id}/9", Fault::reset_request(10));
        let now = upload_error(scene.upload().max_retries(0).resume(old).send().unwrap_err()).upload;
        assert_ne!(now.file, failed.upload.file, "the state of the file is recorded from now on");
        scene.upload().resume(&failed.upload).resume_anyway(true).send().unwrap();
        scene.check_complete();
    }
}

/// Without inode numbers (Windows, FAT), and for bytes in memory, only the content distinguishes two files with the
/// same size and time.
#[test]
fn other_content_of_the_same_size_and_time_is_refused_even_with_resume_anyway() {
    let scene = Scene::new("same-time");
    scene.stand_in.fault("PUT /storage/{upload_id}/9", Fault::reset_request(10).times(8));
    let other: Vec<u8> = scene.content.iter().map(|byte| !byte).collect();
    let path = scene.folder.path("holiday.mp4");
    let uploads = scene.client.multipart_upload();
    let bytes = |content: &[u8]| uploads.upload_file(FileSource::bytes("holiday.mp4", content)).max_retries(0);

    let failed = upload_error(bytes(&scene.content).send().unwrap_err());
    let of_bytes = failed.upload;
    let failed = upload_error(scene.upload().max_retries(0).send().unwrap_err());
    let mut of_file = failed.upload;
    let file = of_file.file.as_mut().unwrap();
    (file.inode, file.changed) = (None, None);
    let time = path.metadata().unwrap().modified().unwrap();
    fs::write(&path, &other).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();

    for anyway in [false, true] {
        for e in [
            bytes(&other).resume(&of_bytes).resume_anyway(anyway).send().unwrap_err(),
            scene.upload().resume(&of_file).resume_anyway(anyway).send().unwrap_err(),
        ] {
            assert!(e.to_string().contains("its content is different"), "{e}");
            assert!(matches!(*upload_error(e).cause, Error::File { .. }));
        }
    }
    assert!(bytes(&scene.content).max_retries(9).resume(&of_bytes).send().is_ok());
}

#[test]
fn signatures_and_headers_are_not_shown() {
    let session: UploadSession = serde_json::from_value(json!({
        "upload_id": "u1", "asset_id": "a1", "chunk_size": 4, "upload_headers": {"x-token": "SECRET"},
        "upload_urls": [{"chunk_index": 1, "url": "https://user:SECRET@h/bucket/1?X-Amz-Signature=SECRET"}],
    }))
    .unwrap();
    let urls: PresignedUrls = serde_json::from_value(json!({"upload_urls": session.upload_urls})).unwrap();
    let upload = ResumableUpload::from(&session);
    for (shown, whole) in [(format!("{session:?}"), 3), (format!("{urls:?}"), 1), (format!("{upload:?}"), 2)] {
        assert!(!shown.contains("SECRET"), "{shown}");
        let found = ["https://h/bucket/1?…", "x-token", "a1"].iter().filter(|text| shown.contains(**text)).count();
        assert_eq!(found, whole, "{shown}");
    }
    let kept = serde_json::to_string(&upload).unwrap();
    assert!(kept.contains("SECRET") && serde_json::from_str::<ResumableUpload>(&kept).unwrap() == upload);
    // The `Debug` text of an answer shows neither of them.
    let server = Server::start_with(|_| [say(serde_json::to_value(&session).unwrap()), say(json!({"upload_urls": 5}))]);
    let (client, _) = crate::server::client(&server);
    let answer = client.multipart_upload().create("a.mp4", AssetType::Video, 8).send_raw().unwrap();
    assert!(!format!("{answer:?}").contains("Signature=SECRET"), "{answer:?}");
}

#[test]
fn an_expired_session_is_an_error_that_says_so() {
    let scene = Scene::new("expired");
    scene.stand_in.fault("PUT /storage/{upload_id}/2", Fault::reset_request(10).times(4));
    let failed = upload_error(scene.upload().send().unwrap_err());
    scene.stand_in.expire_session(&failed.upload.upload_id);
    let e = scene.upload().resume(&failed.upload).send().unwrap_err();
    assert!(e.to_string().contains("the session is expired"), "{e}");
    assert!(!upload_error(e).resumable);
    // An upload that the platform refuses for another reason may be resumed later.
    scene.stand_in.fault("GET /assets/multipart-uploads/{upload_id}", Fault::status(401));
    let e = scene.upload().resume(&failed.upload).send().unwrap_err();
    assert!(e.status() == Some(401) && upload_error(e).resumable);

    // The session expires during the upload, and the report notices it.
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
fn a_file_that_changes_during_the_upload_is_an_error() {
    for (name, change) in [
        ("grows", (|file, _| file.write_all(b"more").unwrap()) as fn(&mut fs::File, &Path)),
        ("shrinks", |file, _| file.set_len(100_000).unwrap()),
        ("is overwritten", |_, path| {
            // The content changes at the same size, as when a program updates a header in place.
            let mut file = File::options().write(true).open(path).unwrap();
            file.write_all(b"other").unwrap();
        }),
    ] {
        let scene = Scene::new(name);
        let path = scene.folder.path("holiday.mp4");
        // Some file systems store times with a resolution of only 2 seconds.
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(10)).unwrap();
        let mut changed = false;
        let upload = scene.upload().max_workers(1).progress_callback(move |progress| {
            if progress.completed_chunks == 2 && !std::mem::replace(&mut changed, true) {
                change(&mut OpenOptions::new().append(true).open(&path).unwrap(), &path);
            }
        });
        let e = upload.send().unwrap_err();
        assert!(e.to_string().contains("while it was being sent") && e.to_string().contains("holiday.mp4"), "{e}");
        let failed = upload_error(e);
        assert!(!failed.resumable && matches!(*failed.cause, Error::File { .. }), "{failed:?}");
        assert_eq!(scene.stand_in.assembled(&scene.upload_id()), None, "{name}: the upload is not complete");
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
fn a_canceled_upload_ends_promptly_and_can_be_resumed() {
    let scene = Scene::new("cancel");
    // Every worker gets stuck in the middle of a chunk.
    for chunk in [3, 4, 5] {
        scene.stand_in.fault(&format!("PUT /storage/{{upload_id}}/{chunk}"), Fault::silent(100));
    }
    let cancel = CancelHandle::new();
    let (remote, stand_in) = (cancel.clone(), scene.stand_in.clone());
    let canceler = std::thread::spawn(move || {
        assert!(stand_in.wait_for("PUT /storage/{upload_id}/{chunk}", 5));
        remote.cancel();
    });
    let e = scene.upload().max_workers(3).cancel_handle(&cancel).send().unwrap_err();
    canceler.join().unwrap();
    assert!(e.is_canceled() && e.to_string().starts_with("canceled"), "{e}");
    let failed = upload_error(e);
    assert!(failed.resumable && failed.missing.contains(&3), "{failed}");
    let reported: BTreeSet<u32> = scene.stand_in.reported_chunks(&scene.upload_id()).into_iter().collect();
    assert!(
        reported.len() + failed.missing.len() == 13 && !reported.is_empty(),
        "the chunks that had arrived were reported"
    );
    scene.upload().resume(&failed.upload).send().unwrap();
    scene.check_complete();

    let e = scene.upload().cancel_handle(&cancel).send().unwrap_err();
    assert!(e.is_canceled(), "a handle stays canceled: {e}");
    assert_eq!(scene.stand_in.upload_ids().len(), 1, "no session is created");
}

#[test]
fn upload_chooses_one_request_or_chunks_by_size() {
    let scene = Scene::new("upload");
    let assets = scene.client.assets();
    let path = scene.folder.path("holiday.mp4");
    let states: Arc<Mutex<Vec<UploadState>>> = Arc::default();
    let (direct, chunked) = (states.clone(), states.clone());
    let asset = assets
        .upload(&path)
        .threshold(scene.content.len() as u64)
        .user_metadata(serde_json::json!({"place": "Lisbon"}))
        .sleep_interval(Duration::from_millis(1))
        .progress_callback(move |progress| direct.lock().unwrap().push(progress.state))
        .send()
        .unwrap();
    assert_eq!(asset.status, Some(AssetStatus::Ready));
    assert_eq!(asset.user_metadata.unwrap()["place"], "Lisbon");
    assert!(scene.stand_in.upload_ids().is_empty(), "the file was sent in one request");
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
    assert_eq!(scene.stand_in.count("PATCH /assets/{id}/user-metadata"), 0, "the session creates the metadata");
    let mut seen = std::mem::take(&mut *states.lock().unwrap());
    seen.dedup();
    assert_eq!(seen, [Uploading, Uploaded, Processing, Ready]);

    let asset = assets.upload(&path).threshold(1).wait(false).send().unwrap();
    assert_eq!(asset.status, Some(AssetStatus::Processing));

    // A resumed upload is sent in chunks, whatever its size.
    scene.stand_in.fault("PUT /storage/{upload_id}/2", Fault::status(401));
    let failed = upload_error(assets.upload(&path).threshold(1).send().unwrap_err());
    let sent = (scene.stand_in.count("POST /assets"), scene.stand_in.upload_ids().len());
    let asset = assets.upload(&path).resume(&failed.upload).wait(false).send().unwrap();
    assert_eq!(Some(asset.id), failed.upload.asset_id);
    let e = assets.upload(&path).sleep_interval(Duration::ZERO).send().unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "sleep_interval"), "{e:?}");
    assert_eq!((scene.stand_in.count("POST /assets"), scene.stand_in.upload_ids().len()), sent);
    let e = assets.upload(scene.folder.path("missing.mp4")).send().unwrap_err();
    assert!(e.to_string().contains("no such file"), "{e}");
}

#[test]
fn a_stuck_direct_upload_is_canceled_promptly() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let cancel = CancelHandle::new();
    let remote = cancel.clone();
    let canceler = std::thread::spawn(move || {
        let connection = silent.accept().unwrap();
        remote.cancel();
        // The connection is kept open until the client has closed it.
        std::io::copy(&mut &connection.0, &mut std::io::sink()).ok();
    });
    let client = TwelveLabs::builder().api_key(KEY).base_url(url).build().unwrap();
    let bytes = FileSource::bytes("a.mp4", content(100_000));
    let e = client.assets().upload(bytes).cancel_handle(&cancel).send().unwrap_err();
    assert!(e.is_canceled(), "{e}");
    canceler.join().unwrap();
}

#[test]
fn progress_decreases_only_when_a_chunk_is_resent() {
    let scene = Scene::new("progress");
    let bytes = content(400 * 1000);
    scene.stand_in.chunks(1000, 400);
    let seen: Arc<Mutex<Vec<(u64, u32)>>> = Arc::default();
    let log = seen.clone();
    let source = FileSource::bytes("a.mp4", bytes.clone());
    let upload = scene.client.multipart_upload().upload_file(source).max_workers(8).batch_size(100);
    let upload = upload.progress_callback(move |p| log.lock().unwrap().push((p.sent, p.completed_chunks)));
    upload.send().unwrap();
    let seen = seen.lock().unwrap();
    for pair in seen.windows(2) {
        assert!(pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1, "{pair:?}");
    }
    assert_eq!(seen.last(), Some(&(bytes.len() as u64, 400)));
}

/// A clock on which no pause takes time.
struct Impatient;

impl Clock for Impatient {
    fn sleep(&self, _: Duration) {}
}

/// Creates an upload that is stuck at a chunk and is canceled after 20 progress events.
fn linger(scene: &Scene, stuck: u32) -> UploadFile {
    let client = TwelveLabs::builder().api_key(KEY).base_url(scene.stand_in.url()).clock(Impatient).build().unwrap();
    scene.stand_in.fault(&format!("PUT /storage/{{upload_id}}/{stuck}"), Fault::silent(10));
    let cancel = CancelHandle::new();
    let upload = client.multipart_upload().upload_file(scene.folder.path("holiday.mp4")).cancel_handle(&cancel);
    let mut told = 0;
    upload.max_workers(1).progress_callback(move |_| {
        told += 1;
        if told == 20 {
            cancel.cancel();
        }
    })
}

#[test]
fn a_platform_without_urls_is_not_asked_repeatedly() {
    let scene = Scene::new("no-urls");
    scene.stand_in.chunks(CHUNK, 1);
    scene.stand_in.fail(URLS, usize::MAX, 403);
    assert!(linger(&scene, 1).send().unwrap_err().is_canceled());
    assert_eq!(scene.stand_in.count(URLS), 1);
}

#[test]
fn a_platform_that_refuses_reports_is_not_asked_repeatedly() {
    let scene = Scene::new("no-reports");
    let reports = "POST /assets/multipart-uploads/{upload_id}";
    scene.stand_in.fail(reports, usize::MAX, 503);
    assert!(linger(&scene, 3).batch_size(1).send().unwrap_err().is_canceled());
    let reports = scene.stand_in.count(reports);
    assert!(reports <= 12, "{reports} requests: a report is sent 3 times, and again after 5 seconds");
}

#[test]
fn urls_are_requested_fifty_at_a_time() {
    let stand_in = StandIn::start();
    stand_in.chunks(1000, 0);
    let file = FileSource::bytes("a.mp4", content(120_000));
    stand_in.client().multipart_upload().upload_file(file).max_workers(1).send().unwrap();
    let counts = stand_in.requests().into_iter().filter(|request| request.path().ends_with("/presigned-urls"));
    assert_eq!(counts.map(|request| request.json()["count"].as_u64()).max(), Some(Some(50)));
}

#[test]
fn an_unknown_session_is_not_asked_for_urls_again() {
    let scene = Scene::new("gone");
    scene.stand_in.chunks(CHUNK, 0);
    scene.stand_in.fail(URLS, usize::MAX, 410);
    let failed = upload_error(scene.upload().max_workers(1).send().unwrap_err());
    assert!(!failed.resumable && failed.cause.status() == Some(410), "{failed}");
    let asked = scene.stand_in.count(URLS);
    assert!(asked <= 2, "the URLs were requested {asked} times, not just in advance and by the worker");
}

#[test]
fn the_storage_gets_no_key_even_with_the_callers_own_agent() {
    let scene = Scene::new("own-agent");
    let agent = twelvelabs::Agent::new_with_defaults();
    let builder = TwelveLabs::builder().api_key(KEY).base_url(scene.stand_in.url()).agent(agent);
    let client = builder.header("x-team", "tlk_team").build().unwrap();
    let options = RequestOptions::new().additional_header("x-once", "tlk_once");
    let upload = client.multipart_upload().upload_file(scene.folder.path("holiday.mp4"));
    upload.request_options(options).send().unwrap();
    scene.check_complete();
    for request in to_storage(&scene.stand_in) {
        let head = format!("{request:?}");
        assert!(!head.contains("tlk_") && !head.contains("x-team") && !head.contains("x-once"), "{head}");
    }
}

/// Returns the platform's answer that creates a session of two chunks of 4 bytes.
fn session(port: u16) -> Value {
    let url = |index: u32| json!({"chunk_index": index, "url": format!("http://127.0.0.1:{port}/put/{index}")});
    json!({
        "upload_id": "u1", "asset_id": "a1", "chunk_size": 4, "total_chunks": 2, "upload_urls": [url(1), url(2)],
    })
}

fn with(mut value: Value, name: &str, field: Value) -> Value {
    value[name] = field;
    value
}

fn stored() -> Step {
    Step::Answer(answer_with(200, &[("etag", "\"e\"")], &Value::Null))
}

fn say(body: Value) -> Step {
    Step::Answer(answer(200, &body))
}

/// Uploads 8 bytes with one worker.
fn eight_bytes(server: &Server) -> (UploadFile, crate::server::Pauses) {
    let (client, pauses) = crate::server::client(server);
    let source = FileSource::bytes("a.mp4", b"12345678".as_slice());
    (client.multipart_upload().upload_file(source).max_workers(1), pauses)
}

#[test]
fn headers_of_the_session_cannot_break_or_redirect_the_requests() {
    let headers = json!({
        "Host": "elsewhere.example", "Content-Length": "3", "Transfer-Encoding": "chunked", "Connection": "close",
        "X-API-Key": "leak", "Content-Type": "video/mp4", "x-extra": "yes",
    });
    let server = Server::start_with(|port| {
        let begun = with(session(port), "upload_headers", headers);
        [say(begun), stored(), stored(), say(json!({"total_completed": 2}))]
    });
    eight_bytes(&server).0.send().unwrap();
    let received = server.finish();
    for put in &received[1..3] {
        assert_eq!((put.header("content-type"), put.header("x-extra")), (Some("video/mp4"), Some("yes")));
        assert_eq!((put.header("content-length"), put.body.len()), (Some("4"), 4));
        assert_eq!((put.header("x-api-key"), put.header("transfer-encoding")), (None, None));
        assert!(put.header("host").unwrap().starts_with("127.0.0.1"));
    }

    // Headers that cannot be sent are an error immediately.
    let server = Server::start_with(|port| [say(with(session(port), "upload_headers", json!({"a b": "c"})))]);
    let (upload, pauses) = eight_bytes(&server);
    let e = upload.send().unwrap_err();
    assert!(e.to_string().starts_with("the platform returned a header that cannot be sent: `a b` is not"), "{e}");
    let e = upload_error(e);
    assert!(!e.resumable && pauses.taken().is_empty());
    assert!(matches!(*e.cause, Error::Protocol { .. }), "the error does not blame the caller's arguments: {e:?}");
    server.finish();
}

#[test]
fn an_inconsistent_session_is_an_error() {
    for (field, value, expected) in [
        ("chunk_size", json!(0), "returned no chunk size"),
        ("chunk_size", Value::Null, "returned no chunk size"),
        ("total_chunks", json!(3), "announced 3 chunks, but 8 bytes in chunks of 4 bytes make 2"),
        ("chunk_size", json!(u64::MAX), "bytes make 1"),
    ] {
        let server = Server::start_with(|port| [say(with(session(port), field, value))]);
        let e = eight_bytes(&server).0.send().unwrap_err();
        assert!(e.to_string().contains(expected) && !e.to_string().contains("of 0 chunks"), "{e}");
        assert!(!upload_error(e).resumable);
        server.finish();
    }
    for id in ["", ".."] {
        let server = Server::start_with(|port| [say(with(session(port), "upload_id", json!(id)))]);
        let e = eight_bytes(&server).0.send().unwrap_err();
        assert!(matches!(e, Error::Decode { .. }) && e.to_string().contains("the id cannot be used"), "{e}");
        server.finish();
    }
    for id in ["a\nb", ""] {
        let server = Server::start_with(|port| [say(with(session(port), "asset_id", json!(id)))]);
        let e = upload_error(eight_bytes(&server).0.send().unwrap_err());
        assert!(matches!(*e.cause, Error::Protocol { .. }) && e.cause.to_string().contains("cannot be used"), "{e}");
        assert!(!e.resumable);
        server.finish();
    }
    // The session has chunks of one byte.
    let server = Server::start([say(json!({"upload_id": "u1", "chunk_size": 1}))]);
    let source = FileSource::bytes("a.mp4", vec![0; 1_000_001]);
    let e = crate::server::client(&server).0.multipart_upload().upload_file(source).send().unwrap_err();
    assert!(e.to_string().contains("1000001 bytes would need more than 1000000 chunks of 1 bytes"), "{e}");
}

#[test]
fn unusable_urls_are_an_error() {
    for url in ["", "/put/1", "http://", "ftp://127.0.0.1/1", "http://127.0.0.1/a\r\nx-a: b", "no url at all"] {
        let server = Server::start_with(|port| {
            let urls = json!([{"chunk_index": 1, "url": url}, {"chunk_index": 9}, {"chunk_index": 2}, {}]);
            [say(with(session(port), "upload_urls", urls)), say(json!({})), say(json!({}))]
        });
        let e = eight_bytes(&server).0.max_retries(0).send().unwrap_err();
        assert!(upload_error(e).resumable, "{url}");
    }
}

#[test]
fn a_long_refusal_of_the_storage_is_read() {
    let long = json!({"message": "x".repeat(200_000)});
    let server = Server::start_with(|port| {
        let url = json!([{"chunk_index": 1, "url": format!("http://127.0.0.1:{port}/put/again")}]);
        let refused = Step::Answer(answer(403, &long));
        [
            say(session(port)),
            refused,
            say(json!({"upload_urls": url})),
            stored(),
            stored(),
            say(json!({"total_completed": 2})),
        ]
    });
    let (upload, pauses) = eight_bytes(&server);
    upload.send().unwrap();
    assert!(pauses.taken().iter().all(Duration::is_zero), "a refused URL is replaced without a pause");
    server.finish();
}

#[test]
fn a_redirect_of_the_storage_is_not_followed() {
    let server = Server::start_with(|port| {
        let there = format!("http://127.0.0.1:{port}/elsewhere");
        [say(session(port)), Step::Answer(answer_with(307, &[("location", &there)], &Value::Null))]
    });
    let e = eight_bytes(&server).0.max_retries(0).send().unwrap_err();
    assert_eq!(e.status(), Some(307), "{e}");
    server.finish();
}

#[test]
fn settings_and_ids_that_cannot_be_used_are_refused_before_anything_is_sent() {
    type Change = fn(UploadFile) -> UploadFile;
    let changes: [(&str, Change); 5] = [
        ("batch_size", |upload| upload.batch_size(0)),
        ("max_workers", |upload| upload.max_workers(0)),
        ("user_metadata", |upload| upload.user_metadata(5)),
        ("user_metadata", |upload| upload.user_metadata(5).resume("u1")),
        ("resume", |upload| upload.resume("")),
    ];
    let server = Server::start([]);
    for (argument, change) in changes {
        let e = change(eight_bytes(&server).0).send().unwrap_err();
        assert!(matches!(&e, Error::InvalidArgument { argument: name, .. } if name == argument), "{argument}: {e:?}");
    }
    for id in ["..", "a\nb"] {
        assert!(!upload_error(eight_bytes(&server).0.resume(id).send().unwrap_err()).resumable, "{id:?}");
    }
    assert!(server.received().is_empty());
}

#[test]
fn the_details_of_a_resumed_session_come_from_the_platform() {
    let folder = Folder::new("resumed");
    let file = folder.write("a.mp4", b"12345678");
    let status = json!({
        "upload_id": "u1", "status": "active", "total_size": 8, "uploaded_chunks": [],
        "chunks_completed": 0, "chunks_failed": 0, "chunks_pending": 0, "page_info": {"page": 1, "total_page": 1},
    });
    let with_chunk =
        |index: u32| with(status.clone(), "uploaded_chunks", json!([{"index": index, "status": "pending"}]));
    let listed = |total: Value| {
        let known = json!({
            "upload_id": "u1", "chunk_size": 4, "total_chunks": total, "expires_at": "2030-01-02T03:04:05Z",
        });
        json!({"data": [{"upload_id": "u0", "chunk_size": 1, "total_chunks": 8}, known], "page_info": {}})
    };
    for (status, total, expected) in [
        (status.clone(), Value::Null, "No."),
        (status.clone(), json!(2), "No."),
        (status.clone(), json!(3), "this file would have 2 chunks of 4 bytes, but upload u1 has 3 chunks"),
        (with_chunk(2), json!(2), "No."),
        (with_chunk(3), json!(2), "upload u1 has a chunk 3, but this file has chunks 1 to 2"),
    ] {
        let refused = Step::Answer(answer(403, &json!({"message": "No."})));
        let server = Server::start([say(status), say(listed(total)), refused]);
        let (client, _) = crate::server::client(&server);
        let upload = client.multipart_upload().upload_file(file.as_path()).resume("u1").max_workers(1).max_retries(0);
        let e = upload.send().unwrap_err();
        assert!(e.to_string().starts_with(expected) || e.to_string().contains(expected), "{expected}: {e}");
        if expected == "No." {
            let upload = upload_error(e).upload;
            assert_eq!((upload.chunk_size, upload.expires_at.map(|at| at.year())), (Some(4), Some(2030)));
            assert_eq!(
                serde_json::to_value(&upload).unwrap()["file"]["size"],
                8,
                "a later run recognizes another file"
            );
        }
    }
    // A session that is reported as complete lacks nothing, whatever its list says.
    let server = Server::start([say(with(with_chunk(1), "status", json!("completed")))]);
    let upload: ResumableUpload =
        serde_json::from_value(json!({"upload_id": "u1", "asset_id": "a1", "chunk_size": 4})).unwrap();
    assert_eq!(eight_bytes(&server).0.resume(&upload).send().unwrap().asset_id, "a1");
    server.finish();
    // A session that the platform no longer knows is complete if its asset is ready and has the file's size.
    for (asset, is_complete) in [
        (json!({"_id": "a1", "status": "ready", "size": 8}), true),
        (json!({"_id": "a1", "status": "ready"}), true),
        (json!({"_id": "a1", "status": "ready", "size": 9}), false),
        (json!({"_id": "a1", "status": "processing", "size": 8}), false),
    ] {
        let server = Server::start([Step::Answer(answer(404, &json!({"message": "No."}))), say(asset.clone())]);
        match eight_bytes(&server).0.resume(&upload).send() {
            Ok(result) => assert!(is_complete && result.asset_id == "a1", "{asset}"),
            Err(e) => assert!(!is_complete && !upload_error(e).resumable, "{asset}"),
        }
        server.finish();
    }
}

#[test]
fn the_clock_of_the_storage_is_not_taken_for_that_of_the_platform() {
    let folder = Folder::new("clock");
    let date = [("etag", "\"e\""), ("date", "Tue, 14 Nov 2123 22:14:20 GMT")];
    let stored = || Step::Answer(answer_with(200, &date, &Value::Null));
    let server = Server::start_with(|port| {
        let uploaded = [say(session(port)), stored(), stored(), say(json!({"total_completed": 2}))];
        let rest = [say(json!({"data": [], "page_info": {}})), say(json!({"_id": "a2", "status": "ready"}))];
        uploaded.into_iter().chain(rest)
    });
    let (client, _) = crate::server::client(&server);
    let file = FileSource::bytes("a.mp4", b"12345678".as_slice());
    client.multipart_upload().upload_file(file).max_workers(1).send().unwrap();
    // The platform's time is still unknown, so an upload that may have to be looked for asks for it.
    let upload = client.assets().upload(folder.write("b.mp4", b"b")).state_file(folder.path("state"));
    upload.wait(false).send().unwrap();
    let received = server.finish();
    assert_eq!(received.iter().filter(|request| request.method == "GET").count(), 1);
}

#[test]
fn wrong_counts_of_chunks_are_refused() {
    let lies = json!({
        "upload_id": "u1", "status": "active", "total_size": 8, "chunks_completed": u32::MAX,
        "chunks_failed": u32::MAX, "chunks_pending": u32::MAX, "uploaded_chunks": [],
    });
    let server = Server::start([say(lies)]);
    let upload: ResumableUpload = serde_json::from_value(json!({"upload_id": "u1", "chunk_size": 4})).unwrap();
    let e = eight_bytes(&server).0.resume(upload).send().unwrap_err();
    assert!(
        e.to_string().contains("this file would have 2 chunks of 4 bytes, but upload u1 has 12884901885 chunks"),
        "{e}"
    );
}

#[test]
fn chunks_that_the_platform_did_not_count_are_resent_once() {
    let chunks = |status: &str| {
        json!({
            "status": "active",
            "uploaded_chunks": [{"index": 2, "status": status}, {"index": 1, "status": "completed"}, {}, {"index": 7}],
            "page_info": {"page": 1, "total_page": 1},
        })
    };
    let fresh = |port: u16| json!({"upload_urls": [{"chunk_index": 2, "url": format!("http://127.0.0.1:{port}/x")}]});
    let begin = |port: u16| vec![say(session(port)), stored(), stored(), say(json!({"total_completed": 1}))];
    let again = |port: u16| vec![say(chunks("failed")), say(fresh(port)), stored()];
    let server = Server::start_with(|port| {
        let counted = vec![say(json!({"total_completed": 99})), say(chunks("completed"))];
        [begin(port), again(port), counted].into_iter().flatten()
    });
    assert_eq!(eight_bytes(&server).0.send().unwrap().asset_id, "a1");
    let received = server.finish();
    assert_eq!((received[2].body.as_slice(), received[6].body.as_slice()), (b"5678".as_slice(), b"5678".as_slice()));

    // A session that is reported as complete has no missing chunks, whatever its list says. An error contains the
    // asset's id.
    let complete = with(chunks("failed"), "status", json!("completed"));
    let server = Server::start_with(|port| [begin(port), vec![say(complete)]].into_iter().flatten());
    assert_eq!(eight_bytes(&server).0.send().unwrap().asset_id, "a1");
    server.finish();
    let server = Server::start_with(|port| {
        let counted = say(json!({"total_completed": 1, "asset_id": "a2"}));
        vec![say(session(port)), stored(), stored(), counted, Step::Answer(answer(400, &Value::Null))]
    });
    let e = upload_error(eight_bytes(&server).0.send().unwrap_err());
    assert_eq!(e.upload.asset_id.as_deref(), Some("a2"));
    server.finish();

    // A chunk that is still not counted, or a session that has failed, is never a success.
    for (last, expected) in
        [(chunks("failed"), "lacks 1 of them"), (with(chunks("completed"), "status", json!("failed")), "failed")]
    {
        let server = Server::start_with(|port| {
            let rest = vec![say(json!({"total_completed": 1})), say(last)];
            [begin(port), again(port), rest].into_iter().flatten()
        });
        let e = eight_bytes(&server).0.send().unwrap_err();
        assert!(e.to_string().contains(expected), "{e}");
        server.finish();
    }
}

#[test]
fn resuming_a_complete_session_by_its_id_is_an_error_that_says_so() {
    let scene = Scene::new("complete");
    let result = scene.upload().send().unwrap();
    let e = scene.upload().resume(&result.upload_id).send().unwrap_err();
    assert!(e.to_string().contains("is already complete"), "{e}");
    // The state contains everything, and nothing is left to do.
    let json = json!({"upload_id": result.upload_id, "chunk_size": CHUNK, "asset_id": result.asset_id});
    let upload: ResumableUpload = serde_json::from_value(json).unwrap();
    assert_eq!(scene.upload().resume(upload).send().unwrap().asset_id, result.asset_id);
    assert_eq!(scene.stand_in.sent_chunks(&result.upload_id).len(), 13);
}

/// The platform announces a billion pages of chunks for a file of two.
#[test]
fn the_list_of_chunks_is_read_only_while_it_makes_progress() {
    let page = |number: u32, chunks: Value| {
        say(json!({
            "upload_id": "u1", "status": "active", "total_size": 8, "uploaded_chunks": chunks,
            "page_info": {"page": number, "limit_per_page": 50, "total_page": 1_000_000_000},
        }))
    };
    let upload =
        || serde_json::from_value::<ResumableUpload>(json!({"upload_id": "u1", "asset_id": "a1", "chunk_size": 4}));
    let done = json!({"index": 1, "status": "completed"});
    // Reading stops when all chunks were listed, or after two pages without a new one.
    let whole = || page(1, json!([done.clone(), {"index": 2, "status": "completed"}]));
    let server = Server::start([whole(), whole()]);
    assert_eq!(eight_bytes(&server).0.resume(upload().unwrap()).send().unwrap().asset_id, "a1");
    assert_eq!(
        server.finish().len(),
        2,
        "the status is read on resuming, and again because no report has counted the chunks"
    );

    let server = Server::start_with(|port| {
        let url = json!({"chunk_index": 2, "url": format!("http://127.0.0.1:{port}/put/2")});
        let pages = [page(1, json!([done])), page(2, json!([])), page(3, json!([]))];
        let rest = [say(json!({"upload_urls": [url]})), stored(), say(json!({"total_completed": 2}))];
        pages.into_iter().chain(rest)
    });
    assert_eq!(eight_bytes(&server).0.resume(upload().unwrap()).send().unwrap().asset_id, "a1");
    assert_eq!(server.finish().len(), 6);
}

#[test]
fn a_platform_that_gives_no_url_for_a_chunk_ends_the_upload_and_is_named() {
    let server = Server::start_with(|port| {
        let begun = with(session(port), "upload_urls", json!([]));
        // The answer contains another chunk's URL and a chunk without one. URLs are requested ahead of need and by the
        // worker.
        let urls = json!({"upload_urls": [{"chunk_index": 7, "url": "http://h/7"}, {"chunk_index": 1}]});
        [say(begun), say(urls.clone()), say(urls)]
    });
    let e = eight_bytes(&server).0.max_retries(0).send().unwrap_err();
    assert!(e.to_string().contains("the platform returned no URL for chunk 1"), "{e}");
    let failed = upload_error(e);
    assert!(failed.resumable && failed.missing == [1, 2], "{failed:?}");
}

#[test]
fn a_chunk_has_the_limits_of_the_upload() {
    // The storage receives a chunk and does not answer.
    let server = Server::start_with(|port| {
        [say(session(port)), Step::Live(Box::new(|stream| std::io::copy(stream, &mut std::io::sink()).map(drop)))]
    });
    // This waits in real time. The limit also applies to the request before the chunk, which a slow system answers late.
    let options = RequestOptions::new().timeout(Duration::from_secs(3));
    let e = eight_bytes(&server).0.max_retries(0).request_options(options).send().unwrap_err();
    assert!(e.is_timeout() && upload_error(e).resumable);

    // The storage asks to wait for 40 s, and the upload has only 30 s.
    let scene = Scene::new("deadline");
    scene.stand_in.fault("PUT /storage/{upload_id}/4", Fault::status(503).retry_after(40));
    let options = RequestOptions::new().deadline(Duration::from_secs(30));
    let failed = upload_error(on_its_clock(&scene).request_options(options.clone()).send().unwrap_err());
    assert!(failed.resumable && failed.missing.contains(&4), "{failed:?}");
    assert!(scene.stand_in.clock().passed() <= Duration::from_secs(30), "{:?}", scene.stand_in.clock().passed());

    // The deadline applies to the whole upload and not to each request. Each of these pauses alone would fit into it.
    let scene = Scene::new("deadlines");
    for chunk in [2, 4, 6] {
        scene.stand_in.fault(&format!("PUT /storage/{{upload_id}}/{chunk}"), Fault::status(503).retry_after(20));
    }
    let failed = upload_error(on_its_clock(&scene).request_options(options).send().unwrap_err());
    assert!(failed.resumable && failed.missing.contains(&4) && !failed.missing.contains(&2), "{failed:?}");
}

/// Sizes and positions that do not fit into 32 bits. The file is sparse, so that it takes no space.
#[cfg(unix)]
#[test]
fn a_file_over_4_gib_is_sent_from_the_right_position() {
    let (folder, end) = (Folder::new("giant"), content(777));
    let length = (5 << 30) + end.len() as u64;
    let path = folder.path("giant.mp4");
    let file = File::create(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &end, length - end.len() as u64).unwrap();
    // The storage has all chunks but the last. A chunk may also be larger than 4 GiB.
    for (chunk_size, last) in [(1u64 << 30, 6), (5 << 30, 2)] {
        let chunks: Vec<Value> = (1..last).map(|index| json!({"index": index, "status": "completed"})).collect();
        let status = json!({
            "upload_id": "u1", "status": "active", "total_size": length, "uploaded_chunks": chunks,
            "page_info": {"page": 1, "total_page": 1},
        });
        let server = Server::start_with(|port| {
            let url = json!({"chunk_index": last, "url": format!("http://127.0.0.1:{port}/put/last")});
            [say(status), say(json!({"upload_urls": [url]})), stored(), say(json!({"total_completed": last}))]
        });
        let upload = json!({"upload_id": "u1", "asset_id": "a1", "chunk_size": chunk_size});
        let upload: ResumableUpload = serde_json::from_value(upload).unwrap();
        let (client, _) = crate::server::client(&server);
        client.multipart_upload().upload_file(&path).resume(upload).send().unwrap();
        let received = server.finish();
        assert!(received[2].path == "/put/last" && received[2].body == end, "{chunk_size}");
        let reported = &received[3].json()["completed_chunks"][0];
        assert_eq!((&reported["chunk_index"], &reported["chunk_size"]), (&json!(last), &json!(end.len())));
    }
    let server = Server::start([Step::Refuse(answer(413, &json!({"message": "Too large."})))]);
    let upload = crate::server::client(&server).0.assets().upload(&path).threshold(u64::MAX).wait(false);
    assert_eq!(upload.send().unwrap_err().status(), Some(413));
    let announced: u64 = server.finish()[0].header("content-length").unwrap().parse().unwrap();
    assert!((1..1000).contains(&announced.saturating_sub(length)), "{announced}");
}

#[test]
fn asset_options_are_sent_by_every_kind_of_upload() {
    let scene = Scene::new("options");
    let source = FileSource::from(scene.folder.path("holiday.mp4")).content_type("image/png");
    scene.client.multipart_upload().upload_file(&source).send().unwrap();
    let uploads =
        scene.client.multipart_upload().upload_file(&source).filename("Other.mov").file_type(AssetType::Audio);
    uploads.enable_hls(true).enable_thumbnail(false).send().unwrap();
    let upload = || scene.client.assets().upload(&source).wait(false);
    upload().threshold(1).send().unwrap();
    let all = |upload: twelvelabs::assets::UploadAsset| {
        let upload = upload.filename("Other.mov").file_type(AssetType::Audio);
        upload.enable_hls(false).enable_thumbnail(true).send().unwrap();
    };
    all(upload().threshold(1));
    let begun: Vec<Value> =
        scene.stand_in.requests_to("POST /assets/multipart-uploads").iter().map(Request::json).collect();
    let fields = |request: &Value| {
        ["filename", "type", "enable_hls", "enable_thumbnail"]
            .map(|name| request.get(name).cloned().unwrap_or_default())
    };
    assert_eq!(fields(&begun[0]), [json!("holiday.mp4"), json!("image"), Value::Null, Value::Null]);
    assert_eq!(fields(&begun[1]), [json!("Other.mov"), json!("audio"), json!(true), json!(false)]);
    assert_eq!(fields(&begun[2]), [json!("holiday.mp4"), json!("image"), json!(true), json!(true)]);
    assert_eq!(fields(&begun[3]), [json!("Other.mov"), json!("audio"), json!(false), json!(true)]);

    // For a file in one request, the platform determines the type itself.
    all(upload());
    let requests = scene.stand_in.requests_to("POST /assets");
    let form = requests.last().unwrap();
    let text = |name: &str| form.part(name).map(|part| part.text());
    assert_eq!(
        ["filename", "enable_hls", "enable_thumbnail"].map(text),
        ["Other.mov", "false", "true"].map(|text| Some(text.to_string()))
    );
    assert_eq!(form.part("file").unwrap().content_type.as_deref(), Some("image/png"));
}

#[test]
fn endless_limits_and_waits_do_not_panic() {
    let scene = Scene::new("endless");
    let options = RequestOptions::new().timeout(Duration::MAX).deadline(Duration::MAX);
    let upload = scene.client.assets().upload(scene.folder.path("holiday.mp4")).threshold(1);
    let upload = upload.request_options(options).max_wait_time(Duration::MAX);
    upload.sleep_interval(Duration::from_millis(1)).send().unwrap();

    let server = Server::start([Step::Answer(answer_with(503, &[("retry-after", "1e30")], &json!({})))]);
    let (client, _) = crate::server::client(&server);
    let e = client.assets().wait_for_done("a1").send().unwrap_err();
    assert!(matches!(e, Error::WaitTimeout { .. }), "{e:?}");
}

#[test]
fn a_temporarily_unreadable_file_does_not_restart_the_upload() {
    let scene = Scene::new("away");
    let (path, away) = (scene.folder.path("holiday.mp4"), scene.folder.path("away"));
    let (from, to) = (path.clone(), away.clone());
    let e = scene.upload().progress_callback(move |_| drop(fs::rename(&from, &to))).send().unwrap_err();
    assert!(e.to_string().contains("there is no such file"), "{e}");
    let failed = upload_error(e);
    assert!(failed.resumable && failed.missing.len() == 13, "{failed}");
    fs::rename(&away, &path).unwrap();
    if cfg!(unix) {
        // This cannot be distinguished from a change that hides itself. Only Unix has the time of such a change.
        let e = scene.upload().resume(&failed.upload).send().unwrap_err();
        assert!(e.to_string().contains("its name or its permissions have changed"), "{e}");
    }
    scene.upload().resume(&failed.upload).resume_anyway(cfg!(unix)).send().unwrap();
    scene.check_complete();
}

#[test]
fn a_callback_that_panics_ends_the_upload_and_leaves_it_resumable() {
    let scene = Scene::new("panics");
    let noted: Arc<Mutex<Option<ResumableUpload>>> = Arc::default();
    let note = noted.clone();
    let upload = scene.upload().batch_size(1).progress_callback(move |progress| {
        *note.lock().unwrap() = progress.upload.as_deref().cloned();
        assert!(progress.completed_chunks < 4, "on purpose");
    });
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| upload.send())).is_err());
    let upload = noted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone().unwrap();
    scene.upload().resume(upload).send().unwrap();
    scene.check_complete();
}

#[test]
fn text_from_the_server_is_printable_in_errors() {
    let spoilt = "\u{1b}[2J\r\n\u{202e}".repeat(3000);
    let server = Server::start_with(|port| {
        let begun = with(with(session(port), "upload_id", json!(spoilt)), "asset_id", json!(spoilt));
        [say(begun), Step::Answer(answer(400, &json!({"code": spoilt, "message": spoilt})))]
    });
    let upload = eight_bytes(&server).0.max_retries(0).send().unwrap_err();

    let asset = |status: &str| json!({"_id": "1", "status": status, "error": {"code": spoilt, "message": spoilt}});
    let server = Server::start([say(asset("failed")), say(asset(&spoilt))]);
    let (client, _) = crate::server::client(&server);
    let failed = client.assets().wait_for_done("1").send().unwrap_err();
    let waited = client.assets().wait_for_done(&spoilt).max_wait_time(Duration::from_nanos(1)).send().unwrap_err();
    for e in [upload, failed, waited] {
        let text = e.to_string();
        assert!(text.len() < 20_000 && !text.contains(['\u{1b}', '\r', '\n', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn a_cancellation_ends_every_phase() {
    // Each request in turn gets no answer, or a long `Retry-After`: the session, the URLs, two chunks, their report,
    // the asset.
    for (stuck, silent) in (0..6).flat_map(|phase| [(phase, true), (phase, false)]) {
        let cancel = CancelHandle::new();
        let remote = cancel.clone();
        let server = Server::start_with(|port| {
            let begun = session(port);
            let urls = begun["upload_urls"].clone();
            let mut script = vec![
                say(with(begun, "upload_urls", json!([]))),
                say(json!({"upload_urls": urls})),
                stored(),
                stored(),
                say(json!({"total_completed": 2})),
                say(json!({"_id": "a1", "status": "processing"})),
            ];
            script.truncate(stuck);
            script.push(Step::Live(Box::new(move |stream| {
                if !silent {
                    stream.write_all(&answer_with(503, &[("retry-after", "50")], &json!({})))?;
                }
                remote.cancel();
                if silent {
                    // The connection is kept open until the client has closed it.
                    std::io::copy(stream, &mut std::io::sink())?;
                }
                Ok(())
            })));
            script
        });
        let client = TwelveLabs::builder().api_key(KEY).base_url(server.url()).build().unwrap();
        let upload = client.assets().upload(FileSource::bytes("a.mp4", b"12345678".as_slice())).threshold(1);
        let e = upload.max_workers(1).cancel_handle(&cancel).send().unwrap_err();
        assert!(e.is_canceled(), "phase {stuck}: {e:?}");
        match e {
            Error::Upload(e) => {
                assert!((1..=5).contains(&stuck) && e.resumable, "phase {stuck}: {e}");
                assert_eq!(e.upload.asset_id.as_deref(), Some("a1"), "phase {stuck}: the error contains the asset id");
            }
            _ => assert!(stuck == 0, "phase {stuck}: {e:?}"),
        }
    }
}

#[test]
fn a_dead_url_is_replaced_immediately_and_a_broken_chunk_asks_first() {
    for (fault, tries, announced, pauses) in [
        (Fault::expired_url(), 2, false, false),
        (Fault::expired_url().times(2), 3, false, true),
        (Fault::status(500), 2, false, true),
        (Fault::reset_request(1000), 2, true, true),
    ] {
        let stand_in = StandIn::start();
        stand_in.chunks(CHUNK, 20);
        stand_in.fault("PUT /storage/{upload_id}/2", fault.clone());
        let file = FileSource::bytes("a.mp4", content(3 * CHUNK as usize));
        stand_in.client().multipart_upload().upload_file(file).max_workers(1).send().unwrap();
        let sent = stand_in.requests_to("PUT /storage/{upload_id}/2");
        let expects: Vec<bool> = sent.iter().map(|request| request.header("expect").is_some()).collect();
        assert_eq!((expects.len(), expects[0], expects[1]), (tries, false, announced), "{fault:?}");
        assert_eq!(!stand_in.clock().slept().is_empty(), pauses, "{fault:?}");
    }
}

#[test]
fn a_chunk_waits_while_the_platform_returns_no_urls() {
    let stand_in = StandIn::start();
    stand_in.chunks(CHUNK, 1);
    stand_in.fault(URLS, Fault::status(500).times(4));
    let file = FileSource::bytes("a.mp4", content(3 * CHUNK as usize));
    let result = stand_in.client().multipart_upload().upload_file(file).max_workers(1).send();
    assert!(result.is_ok(), "{result:?}");
    assert!(stand_in.unmet_faults().is_empty());
}

#[test]
fn no_chunk_is_started_after_a_permanent_failure() {
    let stand_in = StandIn::start();
    stand_in.chunks(1000, 200);
    // Either a chunk or the report of a chunk is refused.
    for refused in ["PUT /storage/{upload_id}/1", "POST /assets/multipart-uploads/{upload_id}"] {
        stand_in.fault(refused, Fault::status(401));
        let file = FileSource::bytes("a.mp4", content(200_000));
        let upload = stand_in.client().multipart_upload().upload_file(file).max_workers(2).batch_size(1);
        assert_eq!(upload.send().unwrap_err().status(), Some(401));
        let sent = stand_in.sent_chunks(&stand_in.upload_ids().pop().unwrap());
        assert!(sent.len() < 200, "{refused}: {}", sent.len());
    }
}

#[test]
fn the_retry_delay_of_an_upload_applies_to_its_chunks() {
    for (delay, paused) in [(None, 1 + 2), (Some(3), 3 + 6)] {
        let (stand_in, clock) = (StandIn::start(), crate::server::Moving::default());
        stand_in.chunks(CHUNK, 20);
        stand_in.fault("PUT /storage/{upload_id}/2", Fault::status(500).times(2));
        let client = stand_in.builder().clock(clock.clone()).build().unwrap();
        let upload = client.multipart_upload().upload_file(FileSource::bytes("a.mp4", content(3 * CHUNK as usize)));
        let upload = upload.max_workers(1).when_some(delay.map(Duration::from_secs), UploadFile::retry_delay);
        upload.send().unwrap();
        assert_eq!(clock.passed(), Duration::from_secs(paused));
    }
}
