//! The example `batch`: what it reads from the command line, what it writes, and its exit codes.

#[allow(dead_code)]
#[path = "../examples/batch/main.rs"]
mod batch;
#[path = "support/files.rs"]
mod files;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::process::Command;
use std::rc::Rc;

use batch::support::Demo;
use batch::{Arguments, upload};
use files::{Folder, content};
use serde_json::Value;
use twelvelabs::testing::Fault;

/// A stand-in, and a folder with three media files and some others.
struct Scene {
    demo: Demo,
    folder: Folder,
}

impl Scene {
    fn new(name: &str) -> Self {
        let demo = Demo::start_silently().unwrap();
        demo.stand_in.chunks(10_000, 2);
        let folder = Folder::new(name);
        fs::create_dir(folder.path("more")).unwrap();
        for (file, length) in [("a.mp4", 1000), ("b.MOV", 50_000), ("c.png", 2000), ("d.txt", 9), (".e.mp4", 9)] {
            folder.write(file, &content(length));
        }
        folder.write("more/f.mp3", &content(300));
        Scene { demo, folder }
    }

    /// Uploads the folder with these options: the exit code, stdout and stderr.
    fn run(&self, options: &[&str]) -> (u8, String, String) {
        let (out, err) = (Sink::default(), Sink::default());
        let code = self.run_into(options, Box::new(out.clone()), Box::new(err.clone()));
        (code, out.text(), err.text())
    }

    fn run_into(&self, options: &[&str], out: Box<dyn Write>, err: Box<dyn Write>) -> u8 {
        let mut arguments = parse(options).unwrap();
        arguments.paths.push(self.folder.root().into());
        upload(&self.demo.client, &arguments, out, err).unwrap()
    }

    /// The same with `--json`: the exit code, the objects of the files and the last one.
    fn json(&self, options: &[&str]) -> (u8, Vec<Value>, Value) {
        let (code, out, _) = self.run(&[&["--json"], options].concat());
        let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.pop().unwrap();
        assert_eq!((&summary["kind"], &summary["exit_code"]), (&"summary".into(), &code.into()));
        (code, lines, summary)
    }

    fn manifest(&self) -> String {
        self.folder.path("uploads.jsonl").to_str().unwrap().into()
    }
}

fn parse(arguments: &[&str]) -> Result<Arguments, String> {
    Arguments::parse(arguments.iter().map(OsString::from))
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A place where nothing can be written.
struct Closed(io::ErrorKind);

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn arguments_are_read() {
    let all =
        "a --list=l --list - --manifest m --workers 8 --threshold=0 -r --no-wait --retry-permanent --json -q -- -b";
    let parsed = parse(&all.split(' ').collect::<Vec<_>>()).unwrap();
    let expected = Arguments {
        paths: vec!["a".into(), "-b".into()],
        lists: vec!["l".into(), "-".into()],
        recursive: true,
        manifest: Some("m".into()),
        workers: Some(8),
        threshold: Some(0),
        no_wait: true,
        retry_permanent: true,
        json: true,
        quiet: true,
        ..Arguments::default()
    };
    assert_eq!(parsed, expected);
    assert!(parse(&["--help"]).unwrap().help);
    assert_eq!(parse(&["a=b.mp4"]).unwrap().paths, [std::path::PathBuf::from("a=b.mp4")]);
}

#[test]
fn what_is_wrong_with_the_arguments_is_said() {
    for (arguments, reason) in [
        (&["--workers", "0"][..], "--workers has to be at least 1"),
        (&["--workers", "many"], "--workers has to be a whole number, not `many`"),
        (&["--threshold", "-1"], "--threshold has to be a whole number"),
        (&["--manifest"], "--manifest needs a value"),
        (&["--manifest", "--json"], "--manifest needs a value"),
        (&["--manifest="], "--manifest needs a value"),
        (&["--json=yes"], "--json takes no value"),
        (&["--jsonl"], "there is no option --jsonl"),
        (&["-x"], "there is no option -x"),
        (&["-"], "--list -"),
        (&[""], "a PATH is empty"),
    ] {
        let e = parse(arguments).unwrap_err();
        assert!(e.contains(reason), "{arguments:?}: {e}");
    }
}

#[test]
fn a_folder_stands_for_its_media_files() {
    let scene = Scene::new("media");
    let (code, out, err) = scene.run(&[]);
    assert_eq!((code, out.lines().count()), (0, 3), "{out}");
    assert!(err.contains("3 media files, 1 other file left out") && err.contains("1 folder left out"), "{err}");

    let list = scene.folder.path("list");
    let named = [scene.folder.path("d.txt"), scene.folder.path("more/../a.mp4")];
    fs::write(&list, format!("{}\r\n\n{}", named[0].display(), named[1].display())).unwrap();
    let (code, rows, _) = scene.json(&["--recursive", "--list", list.to_str().unwrap()]);
    let names: Vec<&str> =
        rows.iter().map(|row| row["path"].as_str().unwrap().rsplit(['/', '\\']).next().unwrap()).collect();
    assert_eq!((code, names.len()), (0, 5), "each file once: {names:?}");
    assert!(names.contains(&"d.txt") && names.contains(&"f.mp3"), "{names:?}");
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let scene = Scene::new("bad");
    scene.folder.write("empty.mp4", b"");
    let (code, rows, summary) = scene.json(&["--threshold", "20000"]);
    assert_eq!((code, rows.len()), (1, 4));
    assert_eq!(
        (&summary["uploaded"], &summary["failed"], &summary["bytes_uploaded"]),
        (&3.into(), &1.into(), &53_000.into())
    );
    for row in &rows {
        let failed = row["path"].as_str().unwrap().ends_with("empty.mp4");
        assert_eq!(row["kind"], if failed { "failed" } else { "uploaded" });
        assert_eq!(row["status"], if failed { Value::Null } else { "ready".into() });
        assert_eq!((row["asset_id"].is_string(), row["error"].is_object()), (!failed, failed), "{row}");
    }
    assert_eq!(scene.demo.stand_in.upload_ids().len(), 1, "one is above the threshold");

    let (code, out, _) = scene.run(&["--quiet"]);
    assert_eq!((code, out.lines().count()), (1, 1), "{out}");
    assert!(out.starts_with("failed") && out.contains("the file is empty"), "{out}");
}

#[test]
fn a_second_run_skips_what_is_done_and_leaves_alone_what_is_hopeless() {
    let scene = Scene::new("again");
    let manifest = scene.manifest();
    let options = ["--manifest", manifest.as_str(), "--workers", "1"];
    scene.demo.stand_in.fault("POST /assets", Fault::status(400).code("video_file_broken"));
    let (code, rows, _) = scene.json(&options);
    assert_eq!(code, 1);
    let error = &rows.iter().find(|row| row["kind"] == "failed").unwrap()["error"];
    assert_eq!((&error["code"], &error["permanent"]), (&"video_file_broken".into(), &true.into()));

    let (code, rows, summary) = scene.json(&options);
    assert_eq!((code, &summary["skipped"], &summary["failed"]), (1, &2.into(), &1.into()));
    assert_eq!(rows.iter().find(|row| row["kind"] == "failed").unwrap()["error"]["code"], "video_file_broken");
    let (_, _, err) = scene.run(&options);
    assert!(err.contains("--retry-permanent"), "{err}");

    let (code, _, summary) = scene.json(&[&options[..], &["--retry-permanent"]].concat());
    assert_eq!((code, &summary["uploaded"], &summary["skipped"]), (0, &1.into(), &2.into()));
    assert_eq!(scene.demo.stand_in.asset_count(), 3);
}

#[test]
fn a_quota_ends_it_with_an_exit_code_of_its_own() {
    let scene = Scene::new("quota");
    scene.demo.stand_in.fail("POST /assets", 9, 402);
    let (code, rows, summary) = scene.json(&["--workers", "1"]);
    assert_eq!((code, rows.len(), &summary["stopped"]), (3, 3, &"quota".into()));
    assert_eq!((&summary["failed"], &summary["not_started"]), (&1.into(), &2.into()));
    let (_, _, err) = scene.run(&["--workers", "1", "--quiet"]);
    assert!(err.starts_with("Stopped early by a quota: "), "{err}");
}

#[test]
fn a_reader_that_goes_away_does_not_stop_it() {
    let scene = Scene::new("pipe");
    for (kind, expected) in [(io::ErrorKind::BrokenPipe, 0), (io::ErrorKind::StorageFull, 1)] {
        let before = scene.demo.stand_in.asset_count();
        let err = Sink::default();
        let code = scene.run_into(&["--no-wait"], Box::new(Closed(kind)), Box::new(err.clone()));
        assert_eq!((code, scene.demo.stand_in.asset_count() - before), (expected, 3), "{}", err.text());
        assert!(err.text().contains("the uploads go on"), "{}", err.text());
        let closed = || Box::new(Closed(kind));
        assert_eq!(scene.run_into(&["--json"], closed(), closed()), expected);
    }
}

/// The other process of the next test: the tool as it is started by hand.
#[test]
#[ignore = "it is started by another test"]
fn child_process() {
    let folder = std::env::var("BATCH_FOLDER").unwrap();
    let code = batch::start(parse(&["--manifest", &format!("{folder}/uploads.jsonl"), &folder]));
    std::process::exit(code.into());
}

#[test]
fn a_second_run_with_the_same_manifest_ends_at_once_with_exit_code_2() {
    let scene = Scene::new("second");
    let files = ["a.mp4", "c.png"].map(|name| scene.folder.path(name));
    scene.demo.stand_in.polls_until_ready(u32::MAX);
    let first = scene.demo.client.assets().upload_all(files).manifest(scene.manifest()).send().unwrap();
    let mut second = Command::new(std::env::current_exe().unwrap());
    second.args(["--ignored", "--exact", "child_process", "--nocapture"]).env("BATCH_FOLDER", scene.folder.root());
    second.env("TWELVELABS_API_KEY", "tlk_stand_in").env("TWELVELABS_BASE_URL", scene.demo.stand_in.url());
    let output = second.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains(&format!("uploads.jsonl: in use by process {} since 20", std::process::id())), "{err}");
    drop(first);
    scene.demo.stand_in.polls_until_ready(0);
    assert_eq!(second.output().unwrap().status.code(), Some(0));
    assert_eq!(scene.demo.stand_in.asset_count(), 3);
}
