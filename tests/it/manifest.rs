//! The manifest of a batch: its owner, its lock, and the limits of what it reveals.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::batch::{CHUNK, KEY, batch, child, client, kinds, outcomes, small_files, until};
use crate::files::{Folder, content};
use UploadOutcomeKind::{Failed, NotStarted, Skipped, Uploaded};
use serde_json::{Value, json};
use twelvelabs::assets::{UploadMethod, UploadOutcomeKind};
use twelvelabs::testing::{Fault, StandIn};
use twelvelabs::{CancelHandle, Error, TwelveLabs};

const NAME: &str = "manifest.jsonl";

fn lines(folder: &Folder) -> Vec<String> {
    fs::read_to_string(folder.path(NAME)).unwrap().lines().map(Into::into).collect()
}

/// Returns a line about a file in its current version.
fn line(folder: &Folder, name: &str, event: Value) -> String {
    let path = folder.path(name).canonicalize().unwrap();
    let metadata = path.metadata().unwrap();
    // Windows resolves a path to one with a prefix, which a manifest lacks.
    let path = path.to_str().unwrap().trim_start_matches(r"\\?\");
    let since = metadata.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut line = json!({"path": path, "size": metadata.len(), "modified": since.as_nanos() as i64});
    for (name, value) in event.as_object().unwrap() {
        line[name] = value.clone();
    }
    line.to_string()
}

#[test]
fn a_second_batch_in_the_same_program_is_told_who_has_the_manifest() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("locked"));
    small_files(&folder, 2);
    stand_in.polls_until_ready(u32::MAX);
    let client = client(&stand_in.url());
    let cancel = CancelHandle::new();
    let first = batch(&client, &folder).cancel_handle(&cancel).send().unwrap();
    let looked_at = || {
        let looks = stand_in.requests_to("GET /assets/{id}");
        looks.iter().map(|look| look.path().to_string()).collect::<HashSet<_>>().len()
    };
    until("both are waited for", || looked_at() == 2);
    let e = batch(&client, &folder).send().unwrap_err();
    let us = format!("in use by process {} since 20", std::process::id());
    assert!(matches!(e, Error::File { .. }) && e.to_string().contains(&us), "{e}");
    cancel.cancel();
    // The manifest is free after the last outcome, even if the batch still exists.
    let mut first = first;
    assert_eq!(first.by_ref().count(), 2);
    stand_in.polls_until_ready(0);
    assert!(outcomes(batch(&client, &folder)).values().all(|outcome| outcome.kind == Uploaded));
    drop(first);
    assert_eq!(stand_in.count("POST /assets"), 2, "each file was uploaded once");
    assert_eq!(folder.names(), ["00.mp4", "01.mp4", NAME], "the lock file is removed");
}

#[test]
fn a_second_process_is_refused_until_the_first_has_ended() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("processes"));
    stand_in.chunks(CHUNK, 3);
    folder.write("large.mp4", &content(200_000));
    folder.write("small.mp4", &content(3000));
    stand_in.polls_until_ready(u32::MAX);
    let mut process = child(&stand_in, &folder).spawn().unwrap();
    until("the assets are waited for", || stand_in.asset_count() == 2 && stand_in.count("GET /assets/{id}") > 5);
    let e = batch(&client(&stand_in.url()), &folder).send().unwrap_err();
    assert!(e.to_string().contains(&format!("in use by process {} since 20", process.id())), "{e}");
    assert!(!child(&stand_in, &folder).status().unwrap().success(), "another process is refused, too");
    assert_eq!((stand_in.asset_count(), stand_in.upload_ids().len()), (2, 1));

    process.kill().unwrap();
    process.wait().unwrap();
    stand_in.polls_until_ready(0);
    let found = outcomes(batch(&client(&stand_in.url()), &folder));
    assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{found:?}");
    assert_eq!(stand_in.asset_count(), 2, "nothing was uploaded again");
    assert_eq!(folder.names(), ["large.mp4", NAME, "small.mp4"]);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_manifest_is_followed() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("link"));
    let real = Folder::new("behind");
    small_files(&folder, 1);
    std::os::unix::fs::symlink(real.path("real.jsonl"), folder.path(NAME)).unwrap();
    fs::write(real.path("real.jsonl"), "").unwrap();
    let client = client(&stand_in.url());
    stand_in.polls_until_ready(u32::MAX);
    let cancel = CancelHandle::new();
    let first = batch(&client, &folder).manifest(real.path("real.jsonl")).cancel_handle(&cancel).send().unwrap();
    assert!(batch(&client, &folder).send().unwrap_err().to_string().contains("in use by"));
    cancel.cancel();
    drop(first);
    stand_in.polls_until_ready(0);
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Uploaded)]);
    assert!(folder.path(NAME).is_symlink(), "the link is not replaced by a file");
    assert!(fs::read_to_string(real.path("real.jsonl")).unwrap().contains("00.mp4"));
    assert_eq!(real.names(), ["real.jsonl"]);
}

#[cfg(unix)]
#[test]
fn a_manifest_behind_a_dangling_link_is_refused() {
    // The manifest may be on a volume that is not mounted.
    let (stand_in, folder, volume) = (StandIn::start(), Folder::new("dangling"), Folder::new("volume"));
    small_files(&folder, 1);
    let client = client(&stand_in.url());
    let target = volume.path("folder/real.jsonl");
    std::os::unix::fs::symlink(&target, folder.path(NAME)).unwrap();
    for missing in ["folder", "file"] {
        let e = batch(&client, &folder).send().unwrap_err();
        assert!(e.to_string().contains("folder/real.jsonl, which does not exist"), "{missing}: {e}");
        let upload = client.assets().upload(folder.path("00.mp4")).state_file(folder.path(NAME));
        let e = upload.send().unwrap_err();
        assert!(e.to_string().contains("the state file is a link"), "{missing}: {e}");
        assert!(folder.path(NAME).is_symlink() && folder.names() == ["00.mp4", NAME]);
        fs::create_dir_all(volume.path("folder")).unwrap();
    }
    fs::write(&target, "").unwrap();
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Uploaded)]);
    assert!(folder.path(NAME).is_symlink() && fs::read_to_string(target).unwrap().contains("00.mp4"));
}

#[cfg(unix)]
#[test]
fn a_manifest_is_readable_only_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let (stand_in, folder) = (StandIn::start(), Folder::new("private"));
    small_files(&folder, 1);
    stand_in.polls_until_ready(u32::MAX);
    let client = client(&stand_in.url());
    let mode = |name: &str| folder.path(name).metadata().unwrap().permissions().mode() & 0o777;
    let cancel = CancelHandle::new();
    let running = batch(&client, &folder).cancel_handle(&cancel).send().unwrap();
    assert_eq!([mode(NAME), mode("manifest.jsonl.lock")], [0o600, 0o600]);
    cancel.cancel();
    drop(running);
    let upload = client.assets().upload(folder.path("00.mp4")).state_file(folder.path("state"));
    upload.wait(false).send().unwrap();
    assert_eq!(mode("state"), 0o600);
}

#[test]
fn an_unrelated_file_at_the_path_of_the_lock_is_not_changed() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("foreign-lock"));
    small_files(&folder, 1);
    let path = folder.write("manifest.jsonl.lock", b"my notes");
    let e = batch(&client(&stand_in.url()), &folder).send().unwrap_err();
    assert!(e.to_string().contains("this file has the name of the lock file"), "{e}");
    assert_eq!(fs::read(path).unwrap(), b"my notes");
    assert_eq!(folder.names(), ["00.mp4", "manifest.jsonl.lock"]);
    assert_eq!(stand_in.count("POST /assets"), 0);
}

#[test]
fn a_manifest_that_cannot_be_rewritten_is_used_as_it_is_or_refused() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("rewrite"));
    small_files(&folder, 1);
    let client = client(&stand_in.url());
    outcomes(batch(&client, &folder));
    let first = lines(&folder);
    let long = line(&folder, "00.mp4", json!({"event": "failed", "message": "x".repeat(900)}));
    let large = format!("{}\n{}{}\n", first[0], format!("{long}\n").repeat(1500), first[first.len() - 1]);
    let fresh = folder.path("manifest.jsonl.new");
    type Block = fn(&Path);
    let blocks: [(&str, Block); 2] = [
        ("folder", |path| fs::create_dir(path).unwrap()),
        #[cfg(unix)]
        ("pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
        #[cfg(not(unix))]
        ("file", |path| fs::write(path, "mine").unwrap()),
    ];
    for (name, block) in blocks {
        fs::write(folder.path(NAME), &large).unwrap();
        block(&fresh);
        // A manifest with a first line can be used without being compacted.
        assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Skipped)], "{name}");
        assert!(fs::read_to_string(folder.path(NAME)).unwrap() == large, "{name}");
        // A manifest without a first line cannot, and a new one cannot be created.
        for old in [Some(&first[1]), None] {
            match old {
                Some(old) => fs::write(folder.path(NAME), old).unwrap(),
                None => fs::remove_file(folder.path(NAME)).unwrap(),
            }
            let e = batch(&client, &folder).send().unwrap_err();
            assert!(format!("{e:#}").contains("manifest.jsonl.new is in the way"), "{name}: {e:#}");
            assert_eq!(fs::read_to_string(folder.path(NAME)).ok().as_ref(), old, "{name}");
        }
        fs::remove_dir(&fresh).or_else(|_| fs::remove_file(&fresh)).unwrap();
        assert_eq!(folder.names(), ["00.mp4"], "{name}");
    }
    assert_eq!(stand_in.count("POST /assets"), 1);
}

/// The child process of the next test.
#[test]
#[ignore = "it is started by another test"]
fn child_process_that_cannot_compact() {
    let folder = std::path::PathBuf::from(std::env::var_os("BATCH_FOLDER").unwrap());
    let all = client(&std::env::var("BATCH_URL").unwrap()).assets().upload_all([folder.join("00.mp4")]);
    let found: Vec<_> = all.manifest(folder.join(NAME)).send().unwrap().collect();
    assert_eq!(found[0].kind, Skipped, "{found:?}");
}

#[cfg(unix)]
#[test]
fn a_failed_compaction_leaves_nothing_behind() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("halfway"));
    small_files(&folder, 1);
    let client = client(&stand_in.url());
    outcomes(batch(&client, &folder));
    let first = lines(&folder);
    let message = "x".repeat(900);
    let other =
        |n: u32| json!({"event": "failed", "path": format!("/{n}"), "size": 1, "message": message}).to_string() + "\n";
    let others: String = (0..500).map(other).collect();
    let large = format!("{}\n{}{}\n", first[0], others.repeat(4), first[first.len() - 1]);
    fs::write(folder.path(NAME), &large).unwrap();
    let mut limited = Command::new("bash");
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 200; exec "$@""#, "limited"]).arg(std::env::current_exe().unwrap());
    limited.args(["--ignored", "--exact", "manifest::child_process_that_cannot_compact"]);
    limited.env("BATCH_FOLDER", folder.root()).env("BATCH_URL", stand_in.url()).stderr(Stdio::null());
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(fs::read_to_string(folder.path(NAME)).unwrap() == large);
    assert_eq!(folder.names(), ["00.mp4", NAME]);
    // The manifest is compacted where that is possible.
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", Skipped)]);
    assert!(folder.path(NAME).metadata().unwrap().len() < large.len() as u64 / 2);
}

#[test]
fn a_file_that_is_not_a_manifest_is_refused_and_not_changed() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("foreign"));
    small_files(&folder, 1);
    let client = client(&stand_in.url());
    let newer = r#"{"format":"twelvelabs-manifest","version":2,"base_url":"u","account":"a"}"#;
    let state = r#"{"format":"twelvelabs-upload","version":1,"base_url":"u","account":"a"}"#;
    let other = r#"{"format":"another","version":1,"base_url":"u","account":"a"}"#;
    for (text, why) in [
        (&b"\0\0\0\x20ftypmp42\0\0\0\0mp42mp41"[..], "is not a manifest"),
        (b"{}\n", "is not a manifest"),
        (b"[1, 2]\n", "is not a manifest"),
        (b"a,b\n1,2\n", "is not a manifest"),
        (b"{\"event\":\"done\"}\n", "is not a manifest"),
        (b"{\"event\":\"ended\",\"path\":\"/a\",\"size\":1}\n", "is not a manifest"),
        (b"{\"format\":\"twelvelabs-manifest\"}\n", "is not a manifest"),
        (b"\xff", "is not a manifest"),
        (other.as_bytes(), "is not a manifest"),
        (newer.as_bytes(), "update the program"),
        (state.as_bytes(), "has the format `twelvelabs-upload`"),
    ] {
        let path = folder.write(NAME, text);
        let modified = path.metadata().unwrap().modified().unwrap();
        let e = batch(&client, &folder).send().unwrap_err();
        assert!(matches!(e, Error::File { .. }) && e.to_string().contains(why), "{e}");
        assert_eq!(fs::read(&path).unwrap(), text);
        assert_eq!(path.metadata().unwrap().modified().unwrap(), modified);
        assert_eq!(folder.names(), ["00.mp4", NAME]);
    }
    let missing = client.assets().upload_all([folder.path("00.mp4")]).manifest(folder.path("no folder/manifest.jsonl"));
    let e = missing.send().unwrap_err();
    assert!(e.to_string().contains("cannot open the manifest"), "{e}");
    assert_eq!(stand_in.count("POST /assets"), 0);
}

#[test]
fn a_manifest_among_the_files_is_not_uploaded() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("itself"));
    small_files(&folder, 2);
    fs::create_dir(folder.path("inner")).unwrap();
    let client = client(&stand_in.url());
    // The batch gets everything in the folder, both before and after the first run.
    for run in 0..2 {
        let paths = folder.names().into_iter().filter(|name| name.contains('.')).map(|name| folder.path(&name));
        let paths: Vec<_> = paths.chain((run == 0).then(|| folder.path("inner/../manifest.jsonl"))).collect();
        let e = client.assets().upload_all(paths).manifest(folder.path(NAME)).send().unwrap_err();
        assert!(e.to_string().contains("the manifest is itself one of the files to upload"), "{e}");
        assert_eq!(stand_in.count("POST /assets"), 2 * run, "nothing was sent");
        outcomes(batch(&client, &folder));
    }
}

#[test]
fn an_endless_line_is_refused() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("endless"));
    small_files(&folder, 1);
    let client = client(&stand_in.url());
    outcomes(batch(&client, &folder));
    // A GiB of zeros in a sparse file, which takes no space on the disk.
    let file = File::options().write(true).open(folder.path(NAME)).unwrap();
    file.set_len(1 << 30).unwrap();
    // Windows refuses a manifest that another program has open for writing.
    drop(file);
    let e = batch(&client, &folder).send().unwrap_err();
    assert!(e.to_string().contains("line 5 is longer than any line of a manifest"), "{e}");
    assert_eq!(folder.path(NAME).metadata().unwrap().len(), 1 << 30);
}

#[test]
fn another_account_and_another_base_url_are_refused() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("account"));
    small_files(&folder, 1);
    let url = stand_in.url().replace("http://", "http://user:pass@");
    let other = |key: &str, url: &str| TwelveLabs::builder().api_key(key).base_url(url).build().unwrap();
    assert_eq!(kinds(&outcomes(batch(&other(KEY, &url), &folder))), [("00.mp4", Uploaded)]);
    let before = fs::read(folder.path(NAME)).unwrap();
    let first: Value = serde_json::from_str(&lines(&folder)[0]).unwrap();
    assert_eq!((&first["format"], &first["version"]), (&json!("twelvelabs-manifest"), &json!(1)));
    assert_eq!(first["base_url"], json!(stand_in.url()), "the manifest does not contain the password");
    let account = first["account"].as_str().unwrap();
    assert!(account.len() == 8 && !KEY.contains(account), "the fingerprint has 32 bits and is not a part of the key");

    for (client, why) in [
        (other("tlk_of_somebody_else", &url), "remove the first line"),
        (other(KEY, &format!("{}/v1.3", stand_in.url())), "use a separate manifest for each"),
    ] {
        let e = batch(&client, &folder).send().unwrap_err();
        assert!(matches!(e, Error::File { .. }) && e.to_string().contains(why), "{e}");
        assert!(!e.to_string().contains("tlk_") && !e.to_string().contains(KEY), "{e}");
        assert_eq!(fs::read(folder.path(NAME)).unwrap(), before);
    }
    // The account has a new key, and the user does what the error suggests.
    fs::write(folder.path(NAME), lines(&folder)[1..].join("\n")).unwrap();
    let renewed = other("tlk_renewed", &stand_in.url());
    assert_eq!(kinds(&outcomes(batch(&renewed, &folder))), [("00.mp4", Skipped)]);
    assert!(batch(&other(KEY, &stand_in.url()), &folder).send().is_err());
    assert_eq!(stand_in.count("POST /assets"), 1);
}

#[test]
fn a_manifest_without_a_header_is_accepted_once() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("old"));
    small_files(&folder, 2);
    let client = client(&stand_in.url());
    outcomes(batch(&client, &folder));
    let all = lines(&folder);
    let old = format!("{}\n{{\"event\":\"se", all[1..].join("\n"));
    for mark in ["", "\u{feff}"] {
        fs::write(folder.path(NAME), format!("{mark}{old}")).unwrap();
        for _ in 0..2 {
            let found = outcomes(batch(&client, &folder));
            assert_eq!(kinds(&found), [("00.mp4", Skipped), ("01.mp4", Skipped)], "{mark:?}");
            let now = fs::read_to_string(folder.path(NAME)).unwrap();
            assert_eq!(now, format!("{}\n{old}", all[0]), "{mark:?}");
        }
    }
    // Blank lines come first, and the header is further down.
    for start in ["\n\n".to_string(), format!("{}\n", all[1])] {
        fs::write(folder.path(NAME), start + &all.join("\n") + "\n").unwrap();
        assert!(outcomes(batch(&client, &folder)).values().all(|outcome| outcome.kind == Skipped));
        assert_eq!(lines(&folder).iter().find(|line| !line.is_empty()), Some(&all[0]));
    }
    // The manifest consists only of a torn first line.
    fs::write(folder.path(NAME), "{\"event\":\"ses").unwrap();
    outcomes(batch(&client, &folder));
    assert_eq!(lines(&folder)[..2], [all[0].as_str(), "{\"event\":\"ses"]);
    assert!(outcomes(batch(&client, &folder)).values().all(|outcome| outcome.kind == Skipped));
}

#[test]
fn removing_the_manifest_during_a_batch_ends_the_batch() {
    type Change = fn(&Path) -> std::io::Result<()>;
    let changes: [(&str, Change); 5] = [
        ("removed", |path| fs::remove_file(path)),
        ("replaced", |path| {
            fs::copy(path, path.with_extension("copy"))?;
            fs::rename(path.with_extension("copy"), path)
        }),
        ("renamed", |path| fs::rename(path, path.with_extension("other"))),
        ("unlocked", |path| fs::remove_file(path.with_extension("jsonl.lock"))),
        ("lock replaced", |path| {
            fs::remove_file(path.with_extension("jsonl.lock"))?;
            fs::write(path.with_extension("jsonl.lock"), "my notes")
        }),
    ];
    // On Windows, other programs cannot do any of this.
    let is_prevented = cfg!(windows);
    for (name, change) in changes {
        let (stand_in, folder) = (StandIn::start(), Folder::new(name));
        small_files(&folder, 3);
        let change = Mutex::new(Some((change, folder.path(NAME))));
        let all = batch(&client(&stand_in.url()), &folder).workers(1).progress_callback(move |_, _| {
            if let Some((change, path)) = change.lock().unwrap().take() {
                assert_eq!(change(&path).is_err(), is_prevented, "{name}");
            }
        });
        let found = outcomes(all);
        if is_prevented {
            assert!(found.values().all(|outcome| outcome.kind == Uploaded), "{name}: {found:?}");
            continue;
        }
        let why = found["00.mp4"].manifest_error.as_deref().unwrap();
        assert!(why.contains("was removed or replaced while it was in use"), "{name}: {why}");
        assert_eq!(kinds(&found)[1..], [("01.mp4", NotStarted), ("02.mp4", NotStarted)], "{name}");
        let e = found["01.mp4"].result.as_ref().unwrap_err();
        assert!(e.to_string().ends_with("no further file was started"), "{name}: {e}");
        assert_eq!(stand_in.count("POST /assets"), 1, "{name}");
        let notes = fs::read_to_string(folder.path("manifest.jsonl.lock")).ok();
        assert_eq!(
            notes.as_deref(),
            (name == "lock replaced").then_some("my notes"),
            "an unrelated file is not removed"
        );
    }
}

#[cfg(windows)]
#[test]
fn a_journal_in_a_stream_of_another_file_is_refused() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("stream"));
    small_files(&folder, 1);
    let (file, stream, client) = (folder.path("00.mp4"), folder.path("00.mp4:manifest"), client(&stand_in.url()));
    let of_batch = client.assets().upload_all([&file]).manifest(&stream).send().map(drop);
    let of_file = client.assets().upload(&file).state_file(&stream).send().map(drop);
    for (result, what) in [(of_batch, "the manifest must be a file"), (of_file, "the state file must be a file")] {
        let e = result.unwrap_err();
        assert!(e.to_string().contains(what), "{e}");
    }
    assert_eq!((folder.names().len(), stand_in.asset_count()), (1, 0));
}

#[cfg(windows)]
#[test]
fn a_manifest_that_another_program_has_open_for_a_moment_is_replaced() {
    use std::os::windows::fs::OpenOptionsExt;

    const FILE_SHARE_READ_AND_WRITE: u32 = 3;
    let (stand_in, folder) = (StandIn::start(), Folder::new("scanned"));
    small_files(&folder, 1);
    // An empty manifest gets its first line by a replacement, which the scanner prevents.
    let path = folder.write(NAME, b"");
    let scanner = File::options().read(true).share_mode(FILE_SHARE_READ_AND_WRITE).open(path).unwrap();
    let new = folder.path(&format!("{NAME}.new"));
    let scan = std::thread::spawn(move || {
        while !new.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The replacement fails at least once. The time is real, because the system decides.
        std::thread::sleep(Duration::from_millis(20));
        drop(scanner);
    });
    let found = outcomes(batch(&client(&stand_in.url()), &folder));
    scan.join().unwrap();
    assert_eq!((found["00.mp4"].kind, found["00.mp4"].manifest_error.as_deref()), (Uploaded, None));
    assert!(lines(&folder)[0].contains("twelvelabs-manifest"), "{:?}", lines(&folder));

    // The scanner has a file open that was left by a crash, and there is no manifest yet.
    let (stand_in, folder) = (StandIn::start(), Folder::new("scanned-leftover"));
    small_files(&folder, 1);
    let new = folder.write(&format!("{NAME}.new"), br#"{"format":"twelvelabs-"#);
    let scanner = File::options().read(true).share_mode(FILE_SHARE_READ_AND_WRITE).open(new).unwrap();
    let scan = std::thread::spawn(move || {
        // In real time, as above: shorter than the batch keeps retrying, and longer than it takes to start.
        std::thread::sleep(Duration::from_millis(400));
        drop(scanner);
    });
    assert_eq!(outcomes(batch(&client(&stand_in.url()), &folder))["00.mp4"].kind, Uploaded);
    scan.join().unwrap();
    assert_eq!(folder.names(), ["00.mp4", NAME]);
}

/// The child process of the next test, whose file size is limited.
#[test]
#[ignore = "it is started by another test"]
fn child_process_with_a_full_disk() {
    let folder = std::path::PathBuf::from(std::env::var_os("BATCH_FOLDER").unwrap());
    let paths = ["large.mp4", "small.mp4"].map(|name| folder.join(name));
    let all = client(&std::env::var("BATCH_URL").unwrap()).assets().upload_all(paths).threshold(100_000);
    let found: Vec<_> = all.manifest(folder.join(NAME)).workers(1).send().unwrap().collect();
    assert_eq!((found[0].kind, found[1].kind), (Failed, NotStarted), "{found:?}");
    let Err(Error::Upload(e)) = &found[0].result else { panic!("{found:?}") };
    assert!(e.resumable && e.missing.len() == 13 && e.to_string().contains("cannot write to the manifest"), "{e}");
    assert!(found[0].manifest_error.as_deref().unwrap().contains("cannot write"), "{found:?}");
}

#[cfg(unix)]
#[test]
fn no_chunk_is_sent_before_its_session_is_in_the_manifest() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("before"));
    stand_in.chunks(CHUNK, 3);
    folder.write("large.mp4", &content(13 * CHUNK as usize));
    let client = client(&stand_in.url());
    stand_in.fault("PUT /storage/{upload_id}/1", Fault::silent(10));
    let cancel = CancelHandle::new();
    let uploads = batch(&client, &folder).cancel_handle(&cancel).send().unwrap();
    assert!(stand_in.wait_for("PUT /storage/{upload_id}/1", 1));
    let noted: Value = serde_json::from_str(&lines(&folder)[1]).unwrap();
    assert_eq!((&noted["event"], &noted["upload"]["upload_id"]), (&json!("session"), &json!(stand_in.upload_ids()[0])));
    cancel.cancel();
    drop(uploads);

    // If the manifest cannot be written, no file is sent.
    let (stand_in, folder) = (StandIn::start(), Folder::new("full"));
    stand_in.chunks(CHUNK, 3);
    let client = crate::batch::client(&stand_in.url());
    outcomes(batch(&client, &folder));
    let mut text = fs::read_to_string(folder.path(NAME)).unwrap();
    text.push_str(&"x".repeat(2047 - text.len()));
    fs::write(folder.path(NAME), text + "\n").unwrap();
    folder.write("large.mp4", &content(13 * CHUNK as usize));
    folder.write("small.mp4", &content(3000));
    let mut limited = Command::new("bash");
    limited.args(["-c", r#"trap "" XFSZ; ulimit -f 2; exec "$@""#, "limited"]).arg(std::env::current_exe().unwrap());
    limited.args(["--ignored", "--exact", "manifest::child_process_with_a_full_disk"]);
    limited.env("BATCH_FOLDER", folder.root()).env("BATCH_URL", stand_in.url()).stderr(Stdio::null());
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(stand_in.count("PUT /storage/{upload_id}/{chunk}"), 0, "no chunk was sent");
    assert_eq!(folder.path(NAME).metadata().unwrap().len(), 2048);
}

#[test]
fn a_large_manifest_is_compacted() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("compacted"));
    small_files(&folder, 3);
    let client = client(&stand_in.url());
    outcomes(batch(&client, &folder).workers(1));
    let first = lines(&folder);
    let strange = r#"{"event":"archived","path":"/elsewhere"}"#;
    let failed = |n: usize| line(&folder, "01.mp4", json!({"event": "failed", "message": "x".repeat(900), "at": n}));
    let mut text = format!("{}\n{strange}\n{strange}\n", first.join("\n"));
    (0..2000).for_each(|n| text += &format!("{}\n", failed(n)));
    let is_done = |line: &&String| line.contains(r#""event":"done""#);
    let (done, others) = first.iter().filter(is_done).partition::<Vec<_>, _>(|line| line.contains("01.mp4"));
    let done = done[0];
    text += &format!("{done}\n{strange}");
    let path = folder.path(NAME);
    // The first file was left by a crash, and the second is an unrelated file.
    for (left, compacted) in [("{\"format\":\"twelve", true), ("mine", false), ("", true)] {
        fs::write(&path, &text).unwrap();
        folder.write("manifest.jsonl.new", left.as_bytes());
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let mode = path.metadata().unwrap().permissions();
        let found = outcomes(batch(&client, &folder));
        assert!(found.values().all(|outcome| outcome.kind == Skipped), "{left:?}: {found:?}");
        let now = lines(&folder);
        assert_eq!(path.metadata().unwrap().permissions(), mode);
        if compacted {
            assert_eq!(now, [&first[0], others[0], others[1], strange, strange, done, strange], "{left:?}");
        } else {
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::read_to_string(folder.path("manifest.jsonl.new")).unwrap(), left);
        }
        fs::remove_file(folder.path("manifest.jsonl.new")).ok();
    }
    // Lines that are written afterwards can be read as well.
    folder.write("03.mp4", &content(99));
    outcomes(batch(&client, &folder));
    assert!(outcomes(batch(&client, &folder)).values().all(|outcome| outcome.kind == Skipped));
    assert_eq!(stand_in.count("POST /assets"), 4);
}

#[test]
fn in_merged_manifests_the_newest_line_about_a_file_counts() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("merged"));
    small_files(&folder, 2);
    let client = client(&stand_in.url());
    stand_in.fault("POST /assets", Fault::status(400).always());
    assert!(outcomes(batch(&client, &folder)).values().all(|outcome| outcome.kind == Failed));
    stand_in.forgive();
    // Each of two batches continues its own copy, as after a change of the number of shards.
    let common = fs::read(folder.path(NAME)).unwrap();
    let copies = ["00.mp4", "01.mp4"].map(|name| {
        fs::write(folder.path(NAME), &common).unwrap();
        let all = client.assets().upload_all([folder.path(name)]).manifest(folder.path(NAME));
        assert!(all.send().unwrap().finish().is_complete());
        fs::read(folder.path(NAME)).unwrap()
    });
    for parts in [[0, 1], [1, 0]] {
        fs::write(folder.path(NAME), parts.map(|part| copies[part].clone()).concat()).unwrap();
        let found = outcomes(batch(&client, &folder));
        assert!(found.values().all(|outcome| outcome.kind == Skipped), "{parts:?}: {found:?}");
    }
    // Within one part, the position counts, because the clock may have been set back.
    let set_back: Vec<String> = String::from_utf8(copies[0].clone())
        .unwrap()
        .lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            if matches!(line["event"].as_str(), Some("uploaded" | "done")) {
                line["at"] = json!("2001-01-01T00:00:00Z");
            }
            line.to_string() + "\n"
        })
        .collect();
    fs::write(folder.path(NAME), [copies[1].clone(), set_back.concat().into_bytes()].concat()).unwrap();
    let found = outcomes(batch(&client, &folder));
    assert!(found.values().all(|outcome| outcome.kind == Skipped), "{found:?}");
    assert_eq!(stand_in.asset_count(), 2);
    // A part that belongs to another account is refused, as a whole manifest would be.
    let foreign = String::from_utf8(copies[1].clone()).unwrap().replacen("\"account\":\"", "\"account\":\"f", 1);
    fs::write(folder.path(NAME), [copies[0].clone(), foreign.into_bytes()].concat()).unwrap();
    let e = batch(&client, &folder).send().unwrap_err();
    assert!(e.to_string().contains("another API key"), "{e}");
}

#[test]
fn a_path_relative_to_several_folders_must_be_the_path_of_one_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("roots"));
    ["a", "b"].iter().for_each(|name| fs::create_dir(folder.path(name)).unwrap());
    let [a, b, c] = ["a/x.mp4", "b/x.mp4", "b/y.mp4"].map(|name| folder.write(name, name.as_bytes()));
    let all = |files: &[&PathBuf], roots: [&Path; 2]| {
        let all = client(&stand_in.url()).assets().upload_all(files.iter().copied()).manifest(folder.path(NAME));
        all.relative_to(roots[0]).relative_to(roots[1]).send()
    };
    let folders = [&*folder.path("a"), &*folder.path("b")];
    let e = all(&[&a, &b], folders).unwrap_err();
    assert!(matches!(&e, Error::InvalidArgument { argument, .. } if argument == "relative_to"), "{e:?}");
    assert_eq!(stand_in.count("POST /assets"), 0);
    // A file that is listed twice is still one file, and a folder may itself be a file.
    for kind in [Uploaded, Skipped] {
        let summary = |uploads: twelvelabs::assets::Uploads| uploads.map(|outcome| outcome.kind).collect::<Vec<_>>();
        assert_eq!(summary(all(&[&a, &a, &c], folders).unwrap()), [kind; 2]);
        assert_eq!(summary(all(&[&a, &b], [&a, &b]).unwrap()), [kind; 2]);
    }
}

#[test]
fn a_changed_size_or_modification_time_makes_another_file() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("changed"));
    let client = client(&stand_in.url());
    let path = folder.write("00.mp4", &content(1000));
    let file = File::options().write(true).open(&path).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (size, seconds, kind) in
        [(1000, 0, Uploaded), (1000, 0, Skipped), (1000, 1, Uploaded), (1001, 1, Uploaded), (1001, 1, Skipped)]
    {
        file.set_len(size).unwrap();
        file.set_modified(time + Duration::from_secs(seconds)).unwrap();
        assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("00.mp4", kind)], "{size} bytes, at {seconds}");
    }
    assert_eq!(stand_in.count("POST /assets"), 3);
}

#[cfg(unix)]
#[test]
fn a_file_is_recognized_by_every_path_that_leads_to_it() {
    let (stand_in, folder, ways) = (StandIn::start(), Folder::new("ways"), Folder::new("more-ways"));
    let client = client(&stand_in.url());
    folder.write("00.mp4", &content(1000));
    std::os::unix::fs::symlink(folder.root(), ways.path("link")).unwrap();
    fs::create_dir(folder.path("sub")).unwrap();
    let all =
        |path| client.assets().upload_all([path]).manifest(ways.path(NAME)).sleep_interval(Duration::from_millis(1));
    assert_eq!(kinds(&outcomes(all(folder.path("00.mp4")))), [("00.mp4", Uploaded)]);
    for way in [ways.path("link/00.mp4"), folder.path("sub/../00.mp4"), folder.path("./00.mp4")] {
        assert_eq!(kinds(&outcomes(all(way))), [("00.mp4", Skipped)]);
    }
    let twice = [folder.path("00.mp4"), ways.path("link/00.mp4")];
    assert_eq!(client.assets().upload_all(twice).send().unwrap().count(), 1);
}

#[test]
fn a_file_of_several_spellings_is_uploaded_once() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("spellings"));
    let client = client(&stand_in.url());
    let spellings = ["clip.mp4", "CLIP.MP4", "clip.mp4.", "clip.mp4 "];
    // The file system decides whether these are four files or one.
    folder.write("clip.mp4", &content(1000));
    let is_one = folder.path("CLIP.MP4").exists();
    for name in spellings.iter().filter(|name| !folder.path(name).exists()).collect::<Vec<_>>() {
        folder.write(name, &content(1000));
    }
    let files = folder.names().len();
    let upload = |paths: Vec<std::path::PathBuf>| {
        let all = client.assets().upload_all(paths).manifest(folder.path(NAME));
        all.sleep_interval(Duration::from_millis(1)).send().unwrap().map(|outcome| outcome.kind).collect::<Vec<_>>()
    };
    let all = || spellings.map(|name| folder.path(name)).to_vec();
    assert_eq!((upload(all()), stand_in.asset_count()), (vec![Uploaded; files], files));
    assert_eq!(upload(all()), vec![Skipped; files]);
    // In a later run, the file and the manifest are spelled differently.
    for name in spellings.iter().rev() {
        assert_eq!(upload(vec![folder.path(name)]), [Skipped], "{name}");
    }
    assert_eq!(stand_in.asset_count(), files);
    let e = client.assets().upload_all([folder.path("MANIFEST.jsonl")]).manifest(folder.path(NAME)).send();
    assert_eq!(e.is_err_and(|e| e.to_string().contains("is itself one of the files")), is_one);
}

#[cfg(unix)]
#[test]
fn the_last_line_about_a_file_counts_whatever_its_spelling() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("respelled"));
    let client = client(&stand_in.url());
    fs::create_dir(folder.path("sub")).unwrap();
    // The link imitates a folder whose names are not case-sensitive.
    std::os::unix::fs::symlink(folder.path("sub"), folder.path("SUB")).unwrap();
    folder.write("sub/00.mp4", &content(1000));
    let upload = || {
        let all = client.assets().upload_all([folder.path("sub/00.mp4")]).manifest(folder.path(NAME));
        all.sleep_interval(Duration::from_millis(1)).send().unwrap().next().unwrap().kind
    };
    assert_eq!(upload(), Uploaded);
    let known = lines(&folder);
    let done = known.last().unwrap();
    let respelled = |text: &str| text.replace("/sub/00.mp4", "/SUB/00.mp4");
    let failed = line(&folder, "sub/00.mp4", json!({"event": "failed", "permanent": true, "message": "too short"}));
    for (first, second, kind) in [
        (respelled(done), String::new(), Skipped),
        (failed.clone(), respelled(done), Skipped),
        (respelled(done), failed.clone(), Failed),
        (respelled(&failed), done.clone(), Skipped),
        (done.clone(), respelled(&failed), Failed),
    ] {
        fs::write(folder.path(NAME), format!("{}\n{first}\n{second}\n", known[0])).unwrap();
        assert_eq!(upload(), kind, "{first} {second}");
    }
    assert_eq!(stand_in.asset_count(), 1);
    // If names are case-sensitive, it is another file, even if its content is the same.
    fs::remove_file(folder.path("SUB")).unwrap();
    fs::create_dir(folder.path("SUB")).unwrap();
    fs::copy(folder.path("sub/00.mp4"), folder.path("SUB/00.mp4")).unwrap();
    fs::write(folder.path(NAME), format!("{}\n{}\n", known[0], respelled(done))).unwrap();
    assert_eq!(upload(), Uploaded);
}

#[test]
fn unusable_ids_do_not_fail_a_file_in_every_run() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("unusable"));
    stand_in.chunks(CHUNK, 3);
    folder.write("large.mp4", &content(200_000));
    let client = client(&stand_in.url());
    stand_in.fail("GET /assets/multipart-uploads/refused", usize::MAX, 400);
    let upload = |id: &str| json!({"upload_id": id, "chunk_size": CHUNK});
    for known in [
        json!({"event": "session", "upload": upload("..")}),
        json!({"event": "session", "upload": upload("")}),
        json!({"event": "failed", "upload": upload("a\nb")}),
        json!({"event": "session", "upload": upload("refused")}),
        json!({"event": "session", "upload": upload("65f0ffffffffffffffffffff")}),
        json!({"event": "session", "upload": {"upload_id": "65f0", "chunk_size": 0}}),
        json!({"event": "session", "upload": {"upload_id": "65f0", "upload_headers": {"a b": "c"}}}),
        json!({"event": "session", "upload": 5}),
        json!({"event": "uploaded", "asset_id": ".."}),
        json!({"event": "failed", "asset_id": "a\u{1b}"}),
        json!({"event": "done", "asset": {"_id": "..", "status": "ready"}}),
        json!({"event": "done", "asset": "none", "code": [], "message": 1}),
        json!({"event": "done", "at": "yesterday"}),
    ] {
        fs::write(folder.path(NAME), line(&folder, "large.mp4", known.clone())).unwrap();
        let sent = stand_in.upload_ids().len();
        let found = outcomes(batch(&client, &folder));
        assert_eq!(kinds(&found), [("large.mp4", Uploaded)], "{known}: {found:?}");
        assert_eq!(stand_in.upload_ids().len(), sent + 1, "{known}");
    }
}

/// Windows does not report that a file was replaced by one of the same size and time: see the guide.
#[cfg(unix)]
#[test]
fn chunks_of_a_file_that_was_replaced_are_not_mixed_with_those_of_the_other() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("mixed"));
    stand_in.chunks(CHUNK, 20);
    let path = folder.write("large.mp4", &content(200_000));
    let client = client(&stand_in.url());
    stand_in.fault("PUT /storage/{upload_id}/5", Fault::status(500).times(4));
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("large.mp4", Failed)]);
    // The replacement has the same size and the same modification time.
    let modified = path.metadata().unwrap().modified().unwrap();
    let other: Vec<u8> = content(200_000).into_iter().rev().collect();
    folder.write("other", &other);
    File::options().write(true).open(folder.path("other")).unwrap().set_modified(modified).unwrap();
    fs::rename(folder.path("other"), &path).unwrap();
    assert_eq!(kinds(&outcomes(batch(&client, &folder))), [("large.mp4", Uploaded)]);
    let last = stand_in.upload_ids().pop().unwrap();
    assert!(stand_in.assembled(&last).unwrap() == other);
}

#[test]
fn a_poll_that_is_not_answered_is_repeated_if_the_batch_waits() {
    for (wait, kind) in [(true, Uploaded), (false, Failed)] {
        let (stand_in, folder) = (StandIn::start(), Folder::new("unanswered"));
        let client = client(&stand_in.url());
        small_files(&folder, 1);
        let asset = client.assets().create(UploadMethod::direct(folder.path("00.mp4"))).send().unwrap();
        let known = json!({"event": "uploaded", "asset_id": asset.id});
        fs::write(folder.path(NAME), line(&folder, "00.mp4", known)).unwrap();
        stand_in.fault("GET /assets/{id}", Fault::status(500).times(3));
        let found = outcomes(batch(&client, &folder).wait(wait));
        assert_eq!(kinds(&found), [("00.mp4", kind)], "{found:?}");
        assert_eq!(stand_in.count("POST /assets"), 1);
    }
}
