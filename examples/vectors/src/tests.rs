//! Tests of both commands against the stand-in.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use twelvelabs::testing::Fault;

use super::store::{Known, Video};
use super::*;

const CREATE: &str = "POST /embed-v2/tasks";
const POLL: &str = "GET /embed-v2/tasks/{id}";

/// A stand-in, and a folder with two videos and a database.
struct Scene {
    demo: Demo,
    folder: PathBuf,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Scene {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("twelvelabs-vectors-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let scene = Scene { demo: Demo::start_silently().unwrap(), folder: std::env::temp_dir().join(name) };
        fs::create_dir(&scene.folder).unwrap();
        scene.write("a-dog-on-a-beach.mp4", "1");
        scene.write("a-city-at-night.MOV", "2");
        scene.write("a-dog-that-is-no-video.txt", "3");
        scene
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.join(name), content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let arguments = Arguments { db: self.folder.join("vectors.db"), ..Arguments::parse(arguments)? };
        let mut out = Vec::new();
        run_command(&self.demo.client, &arguments, arguments.command.as_ref().unwrap(), &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    fn add(&self) -> Result<String> {
        self.run(&["add", self.folder.to_str().unwrap()])
    }

    /// Returns the file names of the found clips, and their similarities.
    fn ask(&self, arguments: &[&str]) -> Vec<(String, f64)> {
        let out = self.run(arguments).unwrap();
        let lines = out.lines().map(|line| {
            let (similarity, rest) = line.trim_start().split_once(' ').unwrap();
            (rest.rsplit(['/', '\\']).next().unwrap().to_string(), similarity.parse().unwrap())
        });
        lines.collect()
    }

    fn made(&self) -> (usize, usize) {
        (self.demo.stand_in.asset_count(), self.demo.stand_in.count(CREATE))
    }
}

#[test]
fn what_is_like_the_text_is_found_first() {
    let scene = Scene::new();
    scene.add().unwrap();
    let hits = scene.ask(&["ask", "dog beach"]);
    assert_eq!(hits.len(), 5, "{hits:?}");
    assert!(hits[..3].iter().all(|(name, similarity)| name == "a-dog-on-a-beach.mp4" && *similarity > 0.5), "{hits:?}");
    assert!(hits[3..].iter().all(|(name, similarity)| name == "a-city-at-night.MOV" && *similarity < 0.3), "{hits:?}");
    assert_eq!(scene.ask(&["-n", "1", "ask", "a city"])[0].0, "a-city-at-night.MOV");
    let out = scene.run(&["-n1", "ask", "dog beach from6"]).unwrap();
    assert!(out.contains(" 00:00:06.000 to 00:00:12.000 "), "{out}");
}

#[test]
fn only_what_is_new_is_embedded() {
    let scene = Scene::new();
    scene.add().unwrap();
    assert_eq!(scene.made(), (2, 2));
    scene.add().unwrap();
    assert_eq!(scene.made(), (2, 2));
    scene.write("waves.webm", "4");
    scene.add().unwrap();
    assert_eq!(scene.made(), (3, 3));
    assert_eq!(scene.ask(&["ask", "waves"])[0].0, "waves.webm");
}

#[test]
fn a_video_that_has_changed_takes_the_place_of_the_old_one() {
    let scene = Scene::new();
    scene.add().unwrap();
    let before = scene.ask(&["-n", "100", "ask", "dog"]).len();
    let file = fs::File::options().append(true).open(scene.folder.join("a-dog-on-a-beach.mp4")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    scene.add().unwrap();
    assert_eq!(scene.made(), (3, 3));
    assert_eq!(scene.ask(&["-n", "100", "ask", "dog"]).len(), before);
}

#[test]
fn a_task_that_was_not_waited_for_is_not_made_again() {
    let scene = Scene::new();
    scene.demo.stand_in.fault(POLL, Fault::status(400).always());
    let e = scene.add().unwrap_err().to_string();
    assert!(e.starts_with("2 of the videos failed"), "{e}");
    assert!(scene.ask(&["ask", "dog"]).is_empty());
    scene.demo.stand_in.forgive();
    scene.add().unwrap();
    assert_eq!(scene.made(), (2, 2));
    assert_eq!(scene.ask(&["ask", "dog"]).len(), 5);
}

#[test]
fn a_video_that_fails_keeps_no_other_and_is_tried_again() {
    let scene = Scene::new();
    scene.demo.stand_in.fault(CREATE, Fault::status(400).times(1));
    assert!(scene.add().unwrap_err().to_string().starts_with("1 of the videos failed"));
    assert_eq!(scene.made(), (2, 2));
    scene.add().unwrap();
    assert_eq!(scene.made(), (2, 3), "the file was already uploaded in the first run");

    scene.write("broken.mp4", "5");
    assert!(scene.add().is_err());
    assert!(scene.add().is_err());
    assert_eq!(scene.made(), (3, 5), "a failed task is replaced by a new one");
}

#[test]
fn models_and_lengths_are_not_mixed() {
    let scene = Scene::new();
    assert!(scene.run(&["--model", "marengo3.5", "add", "no/such/folder"]).is_err());
    scene.run(&["--model", "marengo3.0", "add", scene.folder.to_str().unwrap()]).expect("nothing was in it yet");
    for arguments in [["--model=marengo3.5", "ask", "dog"], ["--model=marengo3.5", "add", "."]] {
        let e = scene.run(&arguments).unwrap_err().to_string();
        assert!(e.contains("has vectors of marengo3.0, which cannot be compared with those of marengo3.5"), "{e}");
    }
    assert_eq!(scene.ask(&["--model=marengo3.0", "ask", "dog"]).len(), 5);

    let mut store = Store::open(&scene.folder.join("vectors.db"), None).unwrap();
    let e = store.nearest(&[1.0; 256], 1).unwrap_err().to_string();
    assert!(e.ends_with("have 512 numbers, but this one has 256"), "{e}");
    let video = Video { path: "/v.mp4".into(), size: 1, modified: 1 };
    store.begin(&video, "a", "t").unwrap();
    let record = r#"{"id": "", "asset_id": "", "model_name": "", "dimension": 1, "embedding": [1.0]}"#;
    assert!(store.keep(&video, &[serde_json::from_str(record).unwrap()]).is_err());
    assert_eq!(store.known(&video).unwrap(), Known::Task("t".into()));
}

#[test]
fn the_model_of_a_database_is_known() {
    let scene = Scene::new();
    scene.run(&["--model", "marengo3.5", "add", scene.folder.to_str().unwrap()]).unwrap();
    assert_eq!(scene.ask(&["ask", "dog beach"])[0].0, "a-dog-on-a-beach.mp4");
    let request = &scene.demo.stand_in.requests_to("POST /embed-v2")[0].json();
    assert_eq!((&request["model_name"], &request["input_type"]), (&"marengo3.5".into(), &"multi_input".into()));
}

#[test]
fn what_is_wrong_is_said() {
    let scene = Scene::new();
    let e = scene.run(&["ask", "dog"]).unwrap_err().to_string();
    assert!(e.ends_with("start with `vectors add DIR`") && !scene.folder.join("vectors.db").exists(), "{e}");
    let e = scene.run(&["add", "no/such/folder"]).unwrap_err().to_string();
    assert!(e.starts_with("cannot read the folder no/such/folder: "), "{e}");
    scene.write(
        "vectors.db",
        "not SQLite, but long enough to be looked at as if it were, which takes a hundred bytes …",
    );
    assert!(scene.add().unwrap_err().to_string().contains("vectors.db: "));
    for wrong in [&["add"] as &[&str], &["add", "a", "b"], &["remove", "a"], &["-n0", "ask", "a"], &["--what"]] {
        assert!(Arguments::parse(wrong).is_err(), "{wrong:?}");
    }
    let parsed = Arguments::parse(["ask", "--db=a.db", "a dog", "-n", "7"]).unwrap();
    assert_eq!((parsed.command, parsed.most), (Some(Command::Ask("a dog".into())), 7));
    assert_eq!(parsed.db, PathBuf::from("a.db"));
}

#[test]
fn the_demonstration_finds_the_dog() {
    let mut out = Vec::new();
    demo(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.lines().next().unwrap().ends_with("a-dog-runs-on-the-beach.mp4"), "{out}");
}

#[cfg(unix)]
#[test]
fn a_video_that_cannot_be_looked_at_is_reported_and_the_others_are_added() {
    let scene = Scene::new();
    std::os::unix::fs::symlink("/no/such/disk/a.mp4", scene.folder.join("a.mp4")).unwrap();
    let e = scene.add().unwrap_err();
    assert!(e.to_string().starts_with("1 of the videos failed"), "{e}");
    assert_eq!(scene.made(), (2, 2));
}
