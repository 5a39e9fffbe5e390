//! The example `batch`: its command line, its output and its exit codes.

#[allow(dead_code)]
#[path = "../examples/batch/main.rs"]
mod batch;
#[path = "support/files.rs"]
mod files;
#[cfg(unix)]
#[path = "support/soak.rs"]
mod soak;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use batch::support::Demo;
use batch::{Arguments, Shard, upload};
use files::{Folder, content};
use serde_json::Value;
use twelvelabs::CancelHandle;
use twelvelabs::testing::{Fault, StandIn};

/// A stand-in, and a folder with three media files and some other files.
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

    /// Uploads the folder with these options. Returns the exit code, stdout and stderr.
    fn run(&self, options: &[&str]) -> (u8, String, String) {
        let (out, err) = (Sink::default(), Sink::default());
        let code = self.run_into(options, Box::new(out.clone()), Box::new(err.clone()));
        (code, out.text(), err.text())
    }

    fn run_into(&self, options: &[&str], out: Box<dyn Write>, err: Box<dyn Write>) -> u8 {
        let mut arguments = parse(options).unwrap();
        arguments.paths.push(self.folder.root().into());
        upload(&self.demo.client, &arguments, &CancelHandle::new(), out, err).unwrap()
    }

    /// Does the same with `--json`. Returns the exit code, the objects of the files, and the summary.
    fn json(&self, options: &[&str]) -> (u8, Vec<Value>, Value) {
        let (code, out, _) = self.run(&[&["--json"], options].concat());
        let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.pop().unwrap();
        assert_eq!((&summary["kind"], &summary["exit_code"]), (&"summary".into(), &code.into()));
        (code, lines, summary)
    }

    fn root(&self) -> &str {
        self.folder.root().to_str().unwrap()
    }

    fn manifest(&self) -> String {
        self.folder.path("uploads.jsonl").to_str().unwrap().into()
    }
}

fn parse(arguments: &[&str]) -> Result<Arguments, String> {
    Arguments::parse(arguments.iter().map(OsString::from)).map_err(|e| e.to_string())
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

/// A writer that fails with this kind of error.
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
    let all = "a --list=l --list - --manifest m --workers 8 --threshold=0 --shard 2/3 -r --no-wait --retry-permanent --index films --index 65a --knowledge-store ks --json -q -- -b";
    let parsed = parse(&all.split(' ').collect::<Vec<_>>()).unwrap();
    let expected = Arguments {
        paths: vec!["a".into(), "-b".into()],
        lists: vec!["l".into(), "-".into()],
        recursive: true,
        shard: Some(Shard { index: 2, count: 3 }),
        manifest: Some("m".into()),
        workers: Some(8),
        threshold: Some(0),
        indexes: vec!["films".into(), "65a".into()],
        knowledge_stores: vec!["ks".into()],
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
fn invalid_arguments_are_explained() {
    for (arguments, reason) in [
        (&["--workers", "0"][..], "--workers must be at least 1"),
        (&["--workers", "many"], "--workers must be a whole number, not `many`"),
        (&["--threshold", "-1"], "--threshold must be a whole number"),
        (&["--manifest"], "--manifest needs a value"),
        (&["--manifest", "--json"], "--manifest needs a value"),
        (&["--manifest="], "--manifest needs a value"),
        (&["--json=yes"], "unexpected argument for option '--json'"),
        (&["--jsonl"], "invalid option '--jsonl'"),
        (&["-x"], "invalid option '-x'"),
        (&["--shard"], "--shard needs a value: --shard K/N"),
        (&["--shard", "8/8"], "K counts from 0, so the last of 8 is 7/8 (Slurm: --array=0-7)"),
        (&["--shard", "0/0"], "N must be at least 1"),
        (&["--shard", "3"], "--shard must be K/N, such as 0/8 for the first of eight, not `3`"),
        (&["--shard", "/8"], "not `/8`"),
        (&["--shard", "-1/8"], "not `-1/8`"),
        (&["-"], "--list -"),
        (&[""], "a PATH is empty"),
    ] {
        let e = parse(arguments).unwrap_err();
        assert!(e.contains(reason), "{arguments:?}: {e}");
    }
}

#[test]
fn a_folder_means_its_media_files() {
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
    assert_eq!((code, names.len()), (0, 5), "each file has one outcome: {names:?}");
    assert!(names.contains(&"d.txt") && names.contains(&"f.mp3"), "{names:?}");
}

/// Only a file that is known not to be a media file may be left out of a folder. A dangling link may lead to a disk
/// that is not mounted, so it is not left out. Nor is a link that leads to itself, which represents all other errors of
/// the system (`EIO`, `ESTALE`).
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_inspected_is_named_and_fails() {
    let scene = Scene::new("links");
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, scene.folder.path(name)).unwrap();
    link("/no/such/disk/mounted.mp4", "mounted.mp4");
    link("loop.mp4", "loop.mp4");
    link("/no/such/disk/notes.txt", "notes.txt");
    let (code, rows, summary) = scene.json(&["--quiet"]);
    assert_eq!((code, &summary["uploaded"], &summary["failed"]), (1, &3.into(), &2.into()));
    let reason = |name: &str| {
        let row = rows.iter().find(|row| row["path"].as_str().unwrap().ends_with(name));
        row.unwrap_or_else(|| panic!("{name} is not in {rows:?}"))["error"]["message"].clone()
    };
    assert_eq!(reason("mounted.mp4"), "there is no such file");
    assert!(reason("loop.mp4").as_str().unwrap().starts_with("cannot open the file: "), "{}", reason("loop.mp4"));
}

/// Returns a command that runs the tool as another user than root, because root has every permission.
#[cfg(unix)]
fn tool_without_permissions(scene: &Scene, arguments: &[&str]) -> Command {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;

    let command = tool(&scene.demo.stand_in, arguments);
    if fs::metadata(scene.folder.root()).unwrap().uid() != 0 {
        return command;
    }
    // The other user may not be able to reach the folder of this program, so the program is copied.
    let copy = scene.folder.path("tool");
    fs::copy(command.get_program(), &copy).unwrap();
    let mut other = Command::new(copy);
    other.args(command.get_args().map(OsString::from).collect::<Vec<_>>());
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).uid(65534).gid(65534);
    other
}

#[cfg(unix)]
#[test]
fn files_and_folders_without_permission_are_named_and_fail() {
    use std::os::unix::fs::PermissionsExt;

    let scene = Scene::new("permissions");
    let allow = |name: &str, mode| {
        fs::set_permissions(scene.folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for folder in ["locked", "listed"] {
        fs::create_dir(scene.folder.path(folder)).unwrap();
        fs::create_dir(scene.folder.path(&format!("{folder}/below"))).unwrap();
        scene.folder.write(&format!("{folder}/g.mp4"), &content(10));
        scene.folder.write(&format!("{folder}/notes.txt"), &content(10));
    }
    // One folder cannot be listed. The other can, but no entry in it can be inspected.
    allow("locked", 0o300);
    allow("listed", 0o444);
    allow("c.png", 0o200);
    let output =
        tool_without_permissions(&scene, &["--json", "--quiet", "--recursive", scene.root()]).output().unwrap();
    allow("locked", 0o700);
    allow("listed", 0o700);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    let rows = out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut failed: Vec<(String, String)> = rows
        .filter(|row| row["kind"] == "failed")
        .map(|row| {
            let path =
                Path::new(row["path"].as_str().unwrap()).strip_prefix(scene.folder.root()).unwrap().to_path_buf();
            (path.to_str().unwrap().into(), row["error"]["message"].as_str().unwrap().into())
        })
        .collect();
    failed.sort();
    let denied = "Permission denied (os error 13)";
    let expected = [
        ("c.png", format!("no permission to read the file: {denied}")),
        ("listed/below", format!("cannot read it: {denied}")),
        ("listed/g.mp4", format!("no permission to read the file: {denied}")),
        ("locked", format!("cannot read it: {denied}")),
    ];
    assert_eq!(failed, expected.map(|(path, message)| (path.to_string(), message)));
    assert_eq!(scene.demo.stand_in.uploads().len(), 3);
}

/// Every form in which a list can be written, and the error for a list that does not consist of lines.
#[test]
fn a_list_is_read_or_refused_as_a_whole() {
    let scene = Scene::new("list");
    let list = scene.folder.path("list");
    let names = ["a.mp4", "c.png"].map(|name| scene.folder.path(name).to_str().unwrap().to_string());
    let upload = |bytes: &[u8]| {
        fs::write(&list, bytes).unwrap();
        let arguments = parse(&["--json", "--list", list.to_str().unwrap()]).unwrap();
        let sink = || Box::new(Sink::default());
        upload(&scene.demo.client, &arguments, &CancelHandle::new(), sink(), sink()).map_err(|e| e.to_string())
    };
    let lines = names.join("\n");
    assert_eq!(upload(format!("\u{feff}{lines}\n").as_bytes()), Ok(0), "a list may begin with a byte order mark");
    assert_eq!(scene.demo.stand_in.uploads().len(), 2);
    let utf_16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
        [mark, &lines.encode_utf16().flat_map(bytes).collect::<Vec<_>>()].concat()
    };
    for (bytes, reason) in [
        (utf_16(&[0xff, 0xfe], u16::to_le_bytes), "it is in UTF-16; save it as UTF-8"),
        (utf_16(&[0xfe, 0xff], u16::to_be_bytes), "it is in UTF-16; save it as UTF-8"),
        (utf_16(&[], u16::to_le_bytes), "it is in UTF-16; save it as UTF-8"),
        (names.join("\0").into_bytes(), "its paths are separated by NUL"),
    ] {
        let e = upload(&bytes).unwrap_err();
        assert!(e.starts_with("cannot read the list ") && e.contains(reason), "{e}");
    }
    assert_eq!(scene.demo.stand_in.uploads().len(), 2);
}

#[test]
fn a_folder_includes_every_known_type_of_media() {
    let scene = Scene::new("types");
    let all = ["wma", "gif", "bmp", "tif", "avif", "heic", "mxf", "vob", "3g2", "TIFF"];
    all.iter()
        .enumerate()
        .for_each(|(number, extension)| drop(scene.folder.write(&format!("{number}.{extension}"), b"1")));
    for document in ["pdf", "md", "json", "exe"] {
        scene.folder.write(&format!("text.{document}"), b"1");
    }
    let (code, rows, _) = scene.json(&["--quiet"]);
    assert_eq!((code, rows.len()), (0, 3 + all.len()));
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
    assert_eq!(scene.demo.stand_in.upload_ids().len(), 1, "one file is above the threshold");

    let (code, out, _) = scene.run(&["--quiet"]);
    assert_eq!((code, out.lines().count()), (1, 1), "{out}");
    assert!(out.starts_with("failed") && out.contains("the file is empty"), "{out}");
}

#[test]
fn a_second_run_skips_finished_files_and_permanent_failures() {
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
fn an_exhausted_quota_has_its_own_exit_code() {
    let scene = Scene::new("quota");
    scene.demo.stand_in.fail("POST /assets", 9, 402);
    let (code, rows, summary) = scene.json(&["--workers", "1"]);
    assert_eq!((code, rows.len(), &summary["stopped"]), (3, 3, &"quota".into()));
    assert_eq!((&summary["failed"], &summary["not_started"]), (&1.into(), &2.into()));
    let (_, _, err) = scene.run(&["--workers", "1", "--quiet"]);
    assert!(err.starts_with("Stopped early by a quota: "), "{err}");
}

#[test]
fn a_closed_standard_output_does_not_stop_the_uploads() {
    let scene = Scene::new("pipe");
    for (kind, expected) in [(io::ErrorKind::BrokenPipe, 0), (io::ErrorKind::StorageFull, 1)] {
        let before = scene.demo.stand_in.asset_count();
        let err = Sink::default();
        let code = scene.run_into(&["--no-wait"], Box::new(Closed(kind)), Box::new(err.clone()));
        assert_eq!((code, scene.demo.stand_in.asset_count() - before), (expected, 3), "{}", err.text());
        assert!(err.text().contains("the uploads continue"), "{}", err.text());
        let closed = || Box::new(Closed(kind));
        assert_eq!(scene.run_into(&["--json"], closed(), closed()), expected);
    }
}

/// The tool as a separate process, as a user starts it. The other tests start this test as a child process.
#[test]
#[ignore = "it is started by other tests"]
fn child_process() {
    let arguments = std::env::var_os("BATCH_ARGUMENTS").expect("not by itself").into_string().unwrap();
    std::process::exit(batch::start(Arguments::parse(arguments.lines().map(OsString::from))).into());
}

fn tool(stand_in: &StandIn, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child_process", "--nocapture"]);
    command.env("BATCH_ARGUMENTS", arguments.join("\n"));
    command.env("TWELVELABS_API_KEY", "tlk_stand_in").env("TWELVELABS_BASE_URL", stand_in.url());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_second_process_with_the_same_manifest_exits_with_code_2() {
    let scene = Scene::new("second");
    let files = ["a.mp4", "c.png"].map(|name| scene.folder.path(name));
    scene.demo.stand_in.polls_until_ready(u32::MAX);
    let first = scene.demo.client.assets().upload_all(files).manifest(scene.manifest()).send().unwrap();
    // Both files have arrived, and nothing is in flight.
    for number in [1, 2] {
        assert!(scene.demo.stand_in.wait_for(&format!("GET /assets/65f00000000000000000000{number}"), 1));
    }
    let mut second = tool(&scene.demo.stand_in, &["--manifest", &scene.manifest(), scene.root()]);
    let output = second.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains(&format!("uploads.jsonl: in use by process {} since 20", std::process::id())), "{err}");
    drop(first);
    scene.demo.stand_in.polls_until_ready(0);
    assert_eq!(second.output().unwrap().status.code(), Some(0));
    assert_eq!(scene.demo.stand_in.asset_count(), 3);
}

#[test]
fn three_simultaneous_shards_upload_each_file_once() {
    let scene = Scene::new("shards");
    scene.demo.stand_in.polls_until_ready(0);
    for number in 0..20 {
        scene.folder.write(&format!("more/{number}.mp4"), &content(400 + number));
    }
    let run = || -> Vec<(Option<i32>, Vec<String>)> {
        let start = |shard: &str| {
            let options = ["--manifest", &scene.manifest(), "--shard", shard, "--json", "-r"];
            tool(&scene.demo.stand_in, &[&options[..], &[scene.root()]].concat()).spawn().unwrap()
        };
        let shards: Vec<Child> = ["0/3", "1/3", "2/3"].into_iter().map(start).collect();
        let outputs = shards.into_iter().map(|child| child.wait_with_output().unwrap());
        let rows = |out: &[u8]| {
            let lines = String::from_utf8_lossy(out).into_owned();
            let rows = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            rows.filter_map(|row| Some(format!("{} {}", row["kind"].as_str()?, row["path"].as_str()?))).collect()
        };
        outputs.map(|output| (output.status.code(), rows(&output.stdout))).collect()
    };
    let all = |shards: &[(Option<i32>, Vec<String>)], kind: &str| {
        assert!(shards.iter().all(|(code, rows)| *code == Some(0) && !rows.is_empty()), "{shards:?}");
        let mut paths: Vec<String> = shards.iter().flat_map(|(_, rows)| rows.clone()).collect();
        assert!(paths.iter().all(|path| path.starts_with(kind)), "{paths:?}");
        paths.sort();
        paths.dedup();
        paths.len()
    };
    let first = run();
    assert_eq!(first.iter().map(|(_, rows)| rows.len()).sum::<usize>(), 24, "{first:?}");
    assert_eq!((all(&first, "uploaded "), scene.demo.stand_in.uploads().len()), (24, 24));
    assert_eq!((all(&run(), "skipped "), scene.demo.stand_in.uploads().len()), (24, 24));
    let manifests = ["uploads.0-of-3.jsonl", "uploads.1-of-3.jsonl", "uploads.2-of-3.jsonl"];
    assert!(scene.folder.names().iter().filter(|name| name.starts_with("uploads")).eq(manifests));
}

#[test]
fn a_folder_goes_into_an_index_and_a_knowledge_store() {
    let scene = Scene::new("places");
    let client = &scene.demo.client;
    let models = [twelvelabs::indexes::IndexModelInput::new("marengo3.0", ["visual"])];
    client.indexes().create("films", models).send().unwrap();
    let store = client.knowledge_stores().create("all").send().unwrap().id;
    for _ in 0..2 {
        let (code, rows, summary) = scene.json(&["--index", "films", "--knowledge-store", &store]);
        assert_eq!((code, &summary["indexed_assets"], &summary["items"]), (0, &2.into(), &3.into()), "{rows:?}");
        let image = rows.iter().find(|row| row["path"].as_str().unwrap().ends_with(".png")).unwrap();
        assert_eq!((&image["failed_at"], image["item_ids"].as_array().unwrap().len()), (&Value::Null, 1));
        assert_eq!(image["not_applicable"], serde_json::json!(["index"]), "{image}");
    }
    let (_, out, err) = scene.run(&["--index", "films"]);
    assert!(out.contains("c.png: not indexed; an index accepts only video and audio"), "{out}");
    assert!(err.contains("1 file not indexed"), "{err}");
    let mut arguments = parse(&["--index", "none"]).unwrap();
    arguments.paths.push(scene.folder.root().into());
    let sink = || Box::new(Sink::default());
    let e = upload(client, &arguments, &CancelHandle::new(), sink(), sink()).unwrap_err();
    assert!(e.to_string().contains("there is no index with the name or the id `none`"), "{e}");
}

#[test]
fn a_file_is_in_the_same_shard_everywhere() {
    let shard = |path: &str| (0..7).find(|index| Shard { index: *index, count: 7 }.has(Path::new(path)));
    let paths = ["a.mp4", "2026/Ümläut.mov", "/mnt/a.mp4", "", "b/a.mp4"];
    assert_eq!(paths.map(shard), [6, 5, 5, 1, 6].map(Some));
    assert_eq!(shard("./2026/./Ümläut.mov"), shard(paths[1]), "`.` is not a part of the path");
    let root: std::path::PathBuf =
        [std::path::Component::RootDir.as_os_str(), "mnt".as_ref(), "a.mp4".as_ref()].iter().collect();
    assert_eq!(shard(root.to_str().unwrap()), Some(5), "the separator of this system counts as a slash");
    for path in (0..500).map(|number| number.to_string()) {
        let has = |index: &u32| Shard { index: *index, count: 3 }.has(Path::new(&path));
        assert_eq!((0..3).filter(has).count(), 1);
    }

    // The path of the given folder does not count, so that the folder may be mounted elsewhere.
    let in_folder = |name: &str| {
        let scene = Scene::new(name);
        let (_, rows, _) = scene.json(&["-r", "--shard", "1/2"]);
        let below = |row: &Value| row["path"].as_str().unwrap().strip_prefix(scene.root()).unwrap().to_string();
        rows.iter().map(below).collect::<Vec<_>>()
    };
    let mut both = ["here", "there"].map(in_folder);
    both.iter_mut().for_each(|paths| paths.sort());
    assert!(both[0] == both[1] && (1..4).contains(&both[0].len()), "{both:?}");
}

/// In each run, every array task finds the folder mounted at a different path.
#[test]
fn an_array_job_finds_its_files_again_where_their_folder_is_mounted_now() {
    let scene = Scene::new("mount");
    let (there, elsewhere) = (scene.folder.path("there"), scene.folder.path("elsewhere"));
    fs::create_dir_all(there.join("deep")).unwrap();
    for number in 0..8 {
        let folder = if number % 2 == 0 { &there } else { &there.join("deep") };
        fs::write(folder.join(format!("{number}.mp4")), content(300 + number)).unwrap();
    }
    let manifest = scene.manifest();
    let run = |folder: &Path| {
        ["0/2", "1/2"].map(|shard| {
            let mut arguments = parse(&["--manifest", &manifest, "--shard", shard, "-r", "--quiet"]).unwrap();
            arguments.paths.push(folder.into());
            let sink = || Box::new(Sink::default());
            upload(&scene.demo.client, &arguments, &CancelHandle::new(), sink(), sink()).unwrap()
        })
    };
    assert_eq!((run(&there), scene.demo.stand_in.uploads().len()), ([0, 0], 8));
    fs::rename(&there, &elsewhere).unwrap();
    assert_eq!((run(&elsewhere), scene.demo.stand_in.uploads().len()), ([0, 0], 8), "nothing is sent again");

    // Two files that a later run could not distinguish are refused before anything is sent.
    fs::create_dir(&there).unwrap();
    fs::write(there.join("0.mp4"), content(5)).unwrap();
    let mut arguments = parse(&["--manifest", &manifest, "--shard", "0/1", "--quiet"]).unwrap();
    for shard in [0, 1] {
        fs::remove_file(scene.folder.path(&format!("uploads.{shard}-of-2.jsonl"))).unwrap();
    }
    arguments.paths.extend([elsewhere, there]);
    let sink = || Box::new(Sink::default());
    let e = upload(&scene.demo.client, &arguments, &CancelHandle::new(), sink(), sink()).unwrap_err();
    assert!(e.to_string().contains("0.mp4` has the same path below its folder as another file"), "{e}");
    assert_eq!(scene.demo.stand_in.uploads().len(), 8);
}

#[test]
fn another_number_of_shards_does_not_upload_everything_again() {
    let scene = Scene::new("number");
    let manifest = scene.manifest();
    let upload = |shard: &[&str]| {
        let mut arguments = parse(&[&["--manifest", &manifest], shard].concat()).unwrap();
        arguments.paths.push(scene.folder.root().into());
        let sink = || Box::new(Sink::default());
        upload(&scene.demo.client, &arguments, &CancelHandle::new(), sink(), sink()).map_err(|e| e.to_string())
    };
    assert_eq!([upload(&["--shard", "0/2"]), upload(&["--shard", "1/2"])], [Ok(0), Ok(0)]);
    for other in [&["--shard", "0/3"][..], &[]] {
        let e = upload(other).unwrap_err();
        assert!(e.contains("of-2.jsonl belongs to another number of shards"), "{e}");
    }

    // The manifests are merged as the guide describes.
    let mut whole = Vec::new();
    for name in ["uploads.0-of-2.jsonl", "uploads.1-of-2.jsonl"] {
        whole.extend(fs::read(scene.folder.path(name)).unwrap());
        fs::remove_file(scene.folder.path(name)).unwrap();
    }
    for shard in ["0/3", "1/3", "2/3"] {
        let name = format!("uploads.{}-of-3.jsonl", &shard[..1]);
        fs::write(scene.folder.path(&name), &whole).unwrap();
        assert_eq!((upload(&["--shard", shard]), scene.demo.stand_in.asset_count()), (Ok(0), 3));
        fs::remove_file(scene.folder.path(&name)).unwrap();
    }
    fs::write(&manifest, &whole).unwrap();
    let e = upload(&["--shard", "0/3"]).unwrap_err();
    assert!(e.contains("uploads.jsonl belongs to another number of shards"), "{e}");
    // Without shards, the batch would not find its files in the manifest.
    let e = upload(&[]).unwrap_err();
    assert!(e.contains("uploads.jsonl belongs to an array job"), "{e}");
    assert_eq!(scene.demo.stand_in.asset_count(), 3);
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "kill {name}");
}

#[cfg(unix)]
#[test]
fn after_ctrl_c_the_next_run_sends_nothing_twice() {
    for name in ["-INT", "-TERM"] {
        let scene = Scene::new("ctrl-c");
        let stand_in = &scene.demo.stand_in;
        stand_in.polls_until_ready(0);
        let options = ["--manifest", &scene.manifest(), "--threshold", "20000", "--workers", "1", scene.root()];
        // One file and two chunks of the next one have arrived, and each of the five workers is sending another chunk.
        stand_in.chunks(5000, 10);
        stand_in.fault("PUT /storage/{upload_id}/{chunk}", Fault::silent(100).after(2).always());
        let child = tool(stand_in, &[&["--no-wait"], &options[..]].concat()).spawn().unwrap();
        assert!(stand_in.wait_for("PUT /storage/{upload_id}/{chunk}", 7));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{err}");
        assert!(
            err.contains("Stopped on request: 2 files not finished.\nRun the same command again to resume"),
            "{err}"
        );
        let [upload_id] = &stand_in.upload_ids()[..] else { panic!("a session") };
        let (before, counted) = (stand_in.uploads().len(), stand_in.reported_chunks(upload_id));

        stand_in.forgive();
        let output = tool(stand_in, &options).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let mut names: Vec<String> = stand_in.uploads().into_iter().map(|upload| upload.filename).collect();
        names.sort();
        assert_eq!((before, names), (1, ["a.mp4", "b.MOV", "c.png"].map(String::from).to_vec()));
        assert_eq!(stand_in.upload_ids().len(), 1, "the session was resumed");
        let sent = stand_in.sent_chunks(upload_id);
        let again: Vec<&u32> =
            counted.iter().filter(|chunk| sent.iter().filter(|sent| sent == chunk).count() > 1).collect();
        assert!(
            counted.len() == 2 && again.is_empty(),
            "of the reported chunks {counted:?}, these were sent again: {again:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_tool_immediately() {
    let scene = Scene::new("second-signal");
    let list = scene.folder.path("list");
    assert!(Command::new("mkfifo").arg(&list).status().unwrap().success());
    let child = tool(&scene.demo.stand_in, &["--list", list.to_str().unwrap()]).spawn().unwrap();
    // The tool is still reading the list, which never ends.
    let open = fs::OpenOptions::new().write(true).open(&list).unwrap();
    signal(&child, "-INT");
    signal(&child, "-TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    drop(open);
}
