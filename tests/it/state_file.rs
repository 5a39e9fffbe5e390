//! Single uploads that resume after a crash by means of a state file.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::batch::{CHUNK, client, until};
use crate::files::{Folder, content};
use twelvelabs::assets::{AssetStatus, UploadAsset};
use twelvelabs::testing::{Fault, StandIn};
use twelvelabs::{CancelHandle, Error, FileSource, RequestOptions, TwelveLabs};

const NAME: &str = "large.mp4.upload";

struct Scene {
    stand_in: StandIn,
    folder: Folder,
    content: Vec<u8>,
}

impl Scene {
    fn new(name: &str) -> Self {
        let (stand_in, folder) = (StandIn::start(), Folder::new(name));
        stand_in.chunks(CHUNK, 3);
        let content = content(13 * CHUNK as usize - 5);
        folder.write("large.mp4", &content);
        Scene { stand_in, folder, content }
    }

    fn upload(&self) -> UploadAsset {
        let upload = client(&self.stand_in.url()).assets().upload(self.folder.path("large.mp4")).threshold(100_000);
        upload.state_file(self.folder.path(NAME)).sleep_interval(Duration::from_millis(1)).max_workers(2)
    }

    /// Runs an upload that fails because one of its chunks never succeeds.
    fn interrupted(&self) -> Error {
        self.stand_in.fault("PUT /storage/{upload_id}/7", Fault::status(500).times(4));
        let e = self.upload().send().unwrap_err();
        assert!(self.folder.path(NAME).exists(), "{e}");
        e
    }

    /// Runs the upload to its end, and checks the result.
    fn complete(&self) {
        let asset = self.upload().send().unwrap();
        assert_eq!(asset.status, Some(AssetStatus::Ready));
        let id = self.stand_in.upload_ids().pop().unwrap();
        assert!(self.stand_in.assembled(&id).unwrap() == self.content, "the bytes arrive unchanged");
        assert_eq!(self.folder.names(), ["large.mp4"], "the state file and its lock are removed");
    }
}

/// The child process of the next test.
#[test]
#[ignore = "it is started, and killed, by another test"]
fn child_process() {
    let upload = client(&std::env::var("BATCH_URL").unwrap()).assets().upload(std::env::var("BATCH_FILE").unwrap());
    let state = format!("{}.upload", std::env::var("BATCH_FILE").unwrap());
    upload.threshold(100_000).state_file(state).sleep_interval(Duration::from_millis(20)).send().unwrap();
}

#[test]
fn an_upload_that_is_killed_at_any_point_is_completed_by_the_next() {
    for (stuck, size) in [(Some(1), 0), (Some(9), 0), (Some(13), 0), (None, 0), (None, 3000)] {
        let scene = Scene::new("killed");
        if size > 0 {
            scene.folder.write("large.mp4", &content(size));
        }
        match stuck {
            Some(chunk) => scene.stand_in.fault(&format!("PUT /storage/{{upload_id}}/{chunk}"), Fault::silent(100)),
            None => scene.stand_in.polls_until_ready(u32::MAX),
        }
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--ignored", "--exact", "state_file::child_process"]).stdout(Stdio::null()).stderr(Stdio::null());
        process.env("BATCH_FILE", scene.folder.path("large.mp4")).env("BATCH_URL", scene.stand_in.url());
        let mut process = process.spawn().unwrap();
        match stuck {
            Some(chunk) => until("the chunk is begun", || {
                let ids = scene.stand_in.upload_ids();
                ids.first().is_some_and(|id| scene.stand_in.sent_chunks(id).contains(&chunk))
            }),
            None => until("the asset is waited for", || scene.stand_in.count("GET /assets/{id}") > 3),
        }
        let e = scene.upload().send().unwrap_err();
        assert!(e.to_string().contains(&format!("in use by process {}", process.id())), "{e}");
        process.kill().unwrap();
        process.wait().unwrap();
        scene.stand_in.polls_until_ready(1);
        match size {
            0 => scene.complete(),
            _ => assert_eq!(scene.upload().send().unwrap().status, Some(AssetStatus::Ready)),
        }
        assert_eq!(scene.stand_in.asset_count(), 1, "{stuck:?}");
        assert_eq!(scene.stand_in.upload_ids().len(), usize::from(size == 0), "{stuck:?}: the session was resumed");
    }
}

#[test]
fn the_state_file_exists_until_the_asset_is_ready() {
    // A run is canceled or times out while the asset is processed.
    let scene = Scene::new("processed");
    scene.stand_in.polls_until_ready(u32::MAX);
    let e = scene.upload().max_wait_time(Duration::ZERO).send().unwrap_err();
    assert!(matches!(e, Error::WaitTimeout { .. }), "{e}");
    let cancel = CancelHandle::new();
    let remote = cancel.clone();
    let upload = scene.upload().cancel_handle(&cancel).progress_callback(move |_| remote.cancel());
    assert!(upload.send().unwrap_err().is_canceled());
    let asset = scene.upload().wait(false).send().unwrap();
    assert_eq!(asset.status, Some(AssetStatus::Processing));
    assert!(scene.folder.path(NAME).exists());
    scene.stand_in.polls_until_ready(0);
    assert_eq!(scene.upload().wait(false).send().unwrap().id, asset.id);
    assert_eq!((scene.stand_in.asset_count(), scene.stand_in.upload_ids().len()), (1, 1), "the file was uploaded once");
    assert_eq!(scene.folder.names(), ["large.mp4"]);

    // The asset can never be ready, so the next run has to upload the file again.
    let scene = Scene::new("failed");
    let upload = scene.upload().filename("video_duration_too_short.mp4");
    assert!(matches!(upload.send().unwrap_err(), Error::Failed(_)));
    assert_eq!(scene.folder.names(), ["large.mp4"]);
}

#[test]
fn an_upload_that_cannot_be_resumed_starts_over() {
    type Change = fn(&Scene);
    let changes: [(&str, Change); 4] = [
        ("expired", |scene| scene.stand_in.expire_session(&scene.stand_in.upload_ids()[0])),
        ("changed", |scene| drop(scene.folder.write("large.mp4", &scene.content))),
        ("unusable", |scene| {
            let state = fs::read_to_string(scene.folder.path(NAME)).unwrap();
            fs::write(scene.folder.path(NAME), state.replace(&scene.stand_in.upload_ids()[0], "..")).unwrap();
        }),
        ("torn", |scene| {
            let file = File::options().write(true).open(scene.folder.path(NAME)).unwrap();
            file.set_len(file.metadata().unwrap().len() - 2).unwrap();
        }),
    ];
    for (name, change) in changes {
        let scene = Scene::new(name);
        let e = scene.interrupted();
        assert!(matches!(e, Error::Upload(_)), "{e:?}");
        change(&scene);
        scene.complete();
        assert_eq!(scene.stand_in.upload_ids().len(), 2, "{name}");
    }
    // The session ends during a run. That run fails, and the next one does not use the session again.
    let scene = Scene::new("ends");
    scene.interrupted();
    for endpoint in ["POST /assets/multipart-uploads/{id}", "POST /assets/multipart-uploads/{id}/presigned-urls"] {
        scene.stand_in.fail(endpoint, 100, 410);
    }
    assert!(matches!(scene.upload().send(), Err(Error::Upload(e)) if !e.resumable));
    scene.stand_in.forgive();
    let asked = scene.stand_in.count("GET /assets/multipart-uploads/{id}");
    scene.complete();
    assert_eq!(
        scene.stand_in.count("GET /assets/multipart-uploads/{id}"),
        asked,
        "the upload starts over without asking for the old session"
    );
}

#[cfg(unix)]
#[test]
fn a_file_that_has_taken_the_place_of_the_state_file_is_not_removed() {
    let scene = Scene::new("place");
    let (path, other) = (scene.folder.path(NAME), scene.folder.write("notes", b"my notes"));
    let upload = scene.upload().progress_callback(move |progress| {
        if progress.state == twelvelabs::assets::UploadState::Ready {
            fs::rename(&other, &path).unwrap();
        }
    });
    upload.send().unwrap();
    assert_eq!(fs::read(scene.folder.path(NAME)).unwrap(), b"my notes");
}

#[test]
fn a_deleted_asset_is_uploaded_again() {
    let scene = Scene::new("unknown");
    scene.stand_in.polls_until_ready(u32::MAX);
    let asset = scene.upload().wait(false).send().unwrap();
    client(&scene.stand_in.url()).assets().delete(&asset.id).send().unwrap();
    scene.stand_in.polls_until_ready(0);
    scene.complete();
    assert_eq!(scene.stand_in.upload_ids().len(), 2);
}

#[test]
fn a_file_that_only_looks_changed_is_resumed_on_request() {
    let scene = Scene::new("anyway");
    scene.interrupted();
    scene.folder.write("large.mp4", &scene.content);
    scene.upload().resume_anyway(true).send().unwrap();
    assert_eq!(scene.stand_in.upload_ids().len(), 1);
    assert!(scene.stand_in.assembled(&scene.stand_in.upload_ids()[0]).unwrap() == scene.content);
    assert_eq!(scene.folder.names(), ["large.mp4"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_state_file_belongs_to_one_spelling_where_names_are_case_sensitive() {
    let scene = Scene::new("spelling");
    scene.interrupted();
    let other = scene.folder.write("LARGE.mp4", &scene.content);
    let upload = client(&scene.stand_in.url()).assets().upload(other).state_file(scene.folder.path(NAME));
    let e = upload.send().unwrap_err();
    assert!(e.to_string().contains("this is the state file of") && e.to_string().contains("large.mp4;"), "{e}");
}

#[test]
fn a_state_file_that_is_not_of_this_upload_is_refused_and_not_touched() {
    let scene = Scene::new("other");
    scene.interrupted();
    let client = client(&scene.stand_in.url());
    let path = scene.folder.path(NAME);
    let before = fs::read(&path).unwrap();
    let sent = scene.stand_in.requests().len();
    let other = scene.folder.write("other.mp4", &content(500));
    let e = client.assets().upload(&other).state_file(&path).send().unwrap_err();
    assert!(e.to_string().contains("this is the state file of") && e.to_string().contains("large.mp4;"), "{e}");
    let somebody = TwelveLabs::builder().api_key("tlk_other").base_url(scene.stand_in.url()).build().unwrap();
    let e = somebody.assets().upload(scene.folder.path("large.mp4")).state_file(&path).send().unwrap_err();
    assert!(e.to_string().contains("another API key"), "{e}");
    let e = client.assets().upload_all([&other]).manifest(&path).send().unwrap_err();
    assert!(e.to_string().contains("has the format `twelvelabs-upload`, not `twelvelabs-manifest`"), "{e}");
    let e = client.assets().upload(FileSource::bytes("a", *b"a")).state_file(&path).send().unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "state_file"), "{e}");
    assert_eq!(fs::read(&path).unwrap(), before);

    // The file is something else, or the journal of a batch from before the header line existed.
    let e = scene.upload().state_file(&other).send().unwrap_err();
    assert!(e.to_string().contains("is not a state file"), "{e}");
    assert_eq!(fs::read(&other).unwrap(), content(500));
    let line = String::from_utf8(before).unwrap().lines().last().unwrap().to_string();
    fs::write(&path, &line).unwrap();
    assert!(scene.upload().send().unwrap_err().to_string().contains("is not a state file"));
    assert_eq!(fs::read_to_string(&path).unwrap(), line);
    assert_eq!(scene.stand_in.requests().len(), sent, "nothing was sent");
}

#[test]
fn a_state_file_that_is_the_file_itself_is_refused_and_not_touched() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("itself"));
    for content in [&b""[..], b"frames"] {
        let path = folder.write("holiday.mp4", content);
        let e = stand_in.client().assets().upload(&path).state_file(&path).send().unwrap_err();
        assert!(e.to_string().contains("the state file is itself one of the files to upload"), "{e}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
    assert_eq!(stand_in.asset_count(), 0);
}

#[test]
fn a_file_whose_answer_was_lost_is_looked_for_by_the_next_run() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("state-lost"));
    folder.write("small.mp4", &content(1000));
    let upload = || client(&stand_in.url()).assets().upload(folder.path("small.mp4")).state_file(folder.path(NAME));
    stand_in.fault("POST /assets", Fault::reset_answer());
    stand_in.fault("GET /assets", Fault::status(404).after(1));
    let e = upload().send().unwrap_err();
    assert!(e.is_outcome_unknown(), "{e:?}");
    let state = fs::read_to_string(folder.path(NAME)).unwrap();
    let last = state.lines().last().unwrap();
    assert!(last.contains("\"sent_at\":") && last.contains("\"at\":\""), "{state}");
    assert_eq!(upload().send().unwrap().status, Some(AssetStatus::Ready));
    assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets")), (1, 1));
    assert_eq!(folder.names(), ["small.mp4"], "the state file and its lock are removed");
}

#[test]
fn an_earlier_run_is_found_although_it_spelled_the_path_differently() {
    for size in [1000, 200_000] {
        let (stand_in, folder) = (StandIn::start(), Folder::new("spelled"));
        stand_in.chunks(CHUNK, 3);
        folder.create_with_spelling("sub", "SUB");
        let file = folder.write("sub/clip.mp4", &content(size));
        let state = folder.path(NAME);
        let upload = || client(&stand_in.url()).assets().upload(&file).threshold(100_000).state_file(&state);
        // The response about the small file is lost, and a chunk of the large one never succeeds.
        stand_in.fault("POST /assets", Fault::reset_answer());
        stand_in.fault("GET /assets", Fault::status(404).after(1));
        stand_in.fault("PUT /storage/{upload_id}/7", Fault::status(500).times(4));
        upload().send().unwrap_err();
        let before = fs::read_to_string(&state).unwrap();
        // JSON writes the separator of Windows as two characters.
        let respelled = before.replace("sub/", "SUB/").replace(r"sub\\", r"SUB\\");
        assert_ne!(respelled, before);
        fs::write(&state, respelled).unwrap();
        assert_eq!(upload().send().unwrap().status, Some(AssetStatus::Ready));
        let sessions = stand_in.upload_ids().len();
        assert_eq!((stand_in.asset_count(), stand_in.count("POST /assets") + sessions), (1, 1), "{size}");
        assert!(!state.exists());
    }
}

#[test]
fn an_asset_that_cannot_be_polled_temporarily_is_not_uploaded_again() {
    let scene = Scene::new("not-now");
    scene.stand_in.polls_until_ready(u32::MAX);
    scene.upload().wait(false).send().unwrap();
    scene.stand_in.polls_until_ready(0);
    scene.stand_in.fault("GET /assets/{id}", Fault::status(401));
    assert_eq!(scene.upload().send().unwrap_err().status(), Some(401));
    assert_eq!(scene.upload().send().unwrap().status, Some(AssetStatus::Ready));
    assert_eq!(scene.stand_in.upload_ids().len(), 1);
}

#[test]
fn a_changed_file_is_not_matched_with_its_earlier_asset() {
    let scene = Scene::new("other");
    scene.stand_in.polls_until_ready(u32::MAX);
    let before = scene.upload().wait(false).send().unwrap();
    scene.stand_in.polls_until_ready(0);
    scene.folder.write("large.mp4", &content(200_000));
    assert_ne!(scene.upload().send().unwrap().id, before.id);
    assert_eq!(scene.stand_in.asset_count(), 2);
}

#[test]
fn an_upload_that_starts_over_keeps_its_settings_and_can_be_resumed() {
    let scene = Scene::new("settings");
    let upload = || {
        let options = RequestOptions::new().additional_header("x-run", "7");
        scene.upload().filename("other.mp4").request_options(options)
    };
    for _ in 0..2 {
        scene.stand_in.fault("PUT /storage/{upload_id}/7", Fault::status(500).times(4));
        upload().send().unwrap_err();
        if scene.stand_in.upload_ids().len() == 1 {
            scene.stand_in.expire_session(&scene.stand_in.upload_ids()[0]);
        }
    }
    upload().send().unwrap();
    assert_eq!(scene.stand_in.upload_ids().len(), 2, "the second session is resumed");
    let begun = scene.stand_in.requests_to("POST /assets/multipart-uploads");
    assert_eq!((begun.len(), begun[0].json()["filename"].as_str()), (2, Some("other.mp4")));
    assert_eq!(begun[0].json(), begun[1].json());
    let api = scene.stand_in.requests().into_iter().filter(|request| !request.is_to_storage());
    assert!(api.into_iter().all(|request| request.header("x-run") == Some("7")));
}
