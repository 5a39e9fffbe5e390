//! Sources of bytes: pipes, devices, silent readers, and names that could control a terminal.

use std::io::{self, Read};
use std::sync::mpsc;

use crate::batch::client;
use crate::files::Folder;
use crate::server::{Server, Step, answer};
use serde_json::json;
use twelvelabs::assets::UploadMethod;
use twelvelabs::testing::StandIn;
use twelvelabs::{CancelHandle, Error, FileSource};

/// A reader that returns the blocks that are sent to it.
struct Slow(mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.send(()).map_err(io::Error::other)?;
        let Ok(bytes) = self.0.recv() else { return Ok(0) };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

#[test]
fn a_reader_that_falls_silent_can_be_canceled() {
    let server = Server::start([Step::Live(Box::new(|stream| io::copy(stream, &mut io::sink()).map(drop)))]);
    let (client, _) = crate::server::client(&server);
    let ((bytes, receiver), (asks, asked)) = (mpsc::channel(), mpsc::channel());
    let cancel = CancelHandle::new();
    let remote = cancel.clone();
    bytes.send(b"some".to_vec()).unwrap();
    let canceler = std::thread::spawn(move || {
        // The reader has returned a block, and is asked for more.
        asked.iter().take(2).for_each(drop);
        remote.cancel();
        asked
    });
    let source = FileSource::reader("a.mp4", Slow(receiver, asks));
    let e = client.assets().upload(source).cancel_handle(&cancel).send().unwrap_err();
    assert!(e.is_canceled(), "{e:?}");
    drop((canceler.join().unwrap(), bytes));
}

#[test]
fn nothing_is_read_beyond_the_length() {
    let server = Server::start([Step::Answer(answer(201, &json!({"_id": "a1"})))]);
    let (client, _) = crate::server::client(&server);
    // The reader would block forever at the next byte.
    let ((bytes, receiver), (asks, asked)) = (mpsc::channel(), mpsc::channel());
    bytes.send(b"four".to_vec()).unwrap();
    let source = FileSource::reader("a.mp4", Slow(receiver, asks)).length(4);
    client.assets().create(UploadMethod::direct(source)).send().unwrap();
    assert_eq!(server.finish()[0].file().bytes, b"four");
    assert_eq!(asked.try_iter().count(), 1);
}

/// A reader that claims to have written more than its buffer can hold, and then ends.
struct Boasts(bool);

impl Read for Boasts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(if std::mem::take(&mut self.0) { buffer.len() + 1 } else { 0 })
    }
}

#[test]
fn a_reader_that_claims_more_than_fits_is_an_error() {
    let stand_in = StandIn::start();
    let client = client(&stand_in.url());
    for source in [FileSource::reader("a.mp4", Boasts(true)), FileSource::reader("a.mp4", Boasts(true)).length(1000)] {
        let e = client.assets().create(UploadMethod::direct(source)).send().unwrap_err();
        assert!(format!("{e:#}").contains("more bytes than fit into its buffer"), "{e:#}");
    }
    assert_eq!(stand_in.asset_count(), 0);
}

#[test]
fn an_empty_source_creates_no_asset() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("empty"));
    let client = client(&stand_in.url());
    let empty = folder.write("empty.mp4", b"");
    let mut sources = vec![FileSource::from(empty), FileSource::reader("a.mp4", io::empty())];
    if cfg!(unix) {
        sources.push(FileSource::from("/dev/null"));
    }
    for source in sources {
        let e = client.assets().upload(source).send().unwrap_err();
        assert!(matches!(e, Error::File { .. }) && e.to_string().contains("there is nothing to upload"), "{e}");
    }
    assert_eq!(stand_in.asset_count(), 0);
}

#[test]
fn names_have_no_effect_on_a_terminal() {
    let (stand_in, folder) = (StandIn::start(), Folder::new("names"));
    let client = client(&stand_in.url());
    let path = folder.path("a\u{1b}[2J\r\nb.mp4");
    let outcome = client.assets().upload_all([&path]).manifest(folder.path("m\u{1b}/m")).send().unwrap_err();
    let missing = client.assets().upload(&path).send().unwrap_err();
    let chunked = client.multipart_upload().upload_file(&path).send().unwrap_err();
    for e in [outcome, missing, chunked] {
        let text = e.to_string();
        assert!(matches!(e, Error::File { .. }) && !text.contains(['\u{1b}', '\r', '\n']), "{text:?}");
    }
}

#[cfg(unix)]
mod pipes {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::batch::{CHUNK, outcomes, until};
    use crate::files::content;

    fn pipe(folder: &Folder, name: &str) -> PathBuf {
        let path = folder.path(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    /// Whether a process has opened the pipe for reading, or is waiting to.
    fn has_reader(path: &Path) -> bool {
        let nonblocking = if cfg!(target_os = "linux") { 0x800 } else { 0x4 };
        OpenOptions::new().write(true).custom_flags(nonblocking).open(path).is_ok()
    }

    #[test]
    fn an_operation_that_needs_a_file_refuses_other_sources() {
        let (stand_in, folder) = (StandIn::start(), Folder::new("pipes"));
        let client = client(&stand_in.url());
        let pipe = pipe(&folder, "pipe.mp4");
        let file = folder.write("file.mp4", &content(500));
        for manifest in [None, Some(folder.path("manifest.jsonl"))] {
            let all = client.assets().upload_all([&pipe, &file]).sleep_interval(Duration::from_millis(1));
            let found = outcomes(all.when_some(manifest, |all, manifest| all.manifest(manifest)));
            let e = found["pipe.mp4"].result.as_ref().unwrap_err();
            assert!(matches!(e, Error::File { .. }) && e.to_string().contains("a pipe or a device"), "{e}");
            assert!(found["file.mp4"].result.is_ok());
        }
        let e = client.multipart_upload().upload_file(&pipe).send().unwrap_err();
        assert!(e.to_string().contains("only a file or bytes can be uploaded in chunks"), "{e}");
        let e = client.assets().upload(&pipe).state_file(folder.path("state")).send().unwrap_err();
        assert!(e.to_string().contains("a pipe or a device"), "{e}");
        let e = client.assets().upload_all([&file]).manifest(&pipe).send().unwrap_err();
        assert!(e.to_string().contains("the manifest must be a regular file"), "{e}");
    }

    #[test]
    fn a_file_that_becomes_a_pipe_has_changed() {
        let (stand_in, folder) = (StandIn::start(), Folder::new("becomes"));
        stand_in.chunks(CHUNK, 3);
        let path = folder.write("large.mp4", &content(13 * CHUNK as usize));
        let (other, target) = (pipe(&folder, "pipe"), path.clone());
        let mut renamed = false;
        let upload = client(&stand_in.url()).multipart_upload().upload_file(&path).progress_callback(move |_| {
            if !std::mem::replace(&mut renamed, true) {
                fs::rename(&other, &target).unwrap();
            }
        });
        let e = upload.send().unwrap_err();
        assert!(e.to_string().contains("this is no longer a file"), "{e}");
    }

    #[test]
    fn a_pipe_is_read_to_its_end() {
        let (stand_in, folder) = (StandIn::start(), Folder::new("read"));
        let client = client(&stand_in.url());
        let path = pipe(&folder, "pipe.mp4");
        let target = path.clone();
        let bytes = content(300_000);
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(target).unwrap();
            for part in sent.chunks(70_000) {
                pipe.write_all(part).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let asset = client.assets().create(UploadMethod::direct(path)).send().unwrap();
        writer.join().unwrap();
        assert_eq!(asset.size, Some(bytes.len() as u64));
    }

    #[test]
    fn an_empty_pipe_creates_no_asset() {
        let (stand_in, folder) = (StandIn::start(), Folder::new("nothing"));
        let path = pipe(&folder, "pipe.mp4");
        let target = path.clone();
        let writer = std::thread::spawn(move || drop(OpenOptions::new().write(true).open(target).unwrap()));
        let e = client(&stand_in.url()).assets().upload(path).send().unwrap_err();
        assert!(e.to_string().contains("the reader is empty"), "{e}");
        writer.join().unwrap();
        assert_eq!(stand_in.asset_count(), 0);
    }

    #[test]
    fn an_upload_of_a_silent_pipe_is_canceled_and_takes_nothing_afterwards() {
        for has_writer in [false, true] {
            let (stand_in, folder) = (StandIn::start(), Folder::new("silent"));
            let client = client(&stand_in.url());
            let path = pipe(&folder, "pipe.mp4");
            let (cancel, target) = (CancelHandle::new(), path.clone());
            let remote = cancel.clone();
            let canceler = std::thread::spawn(move || {
                // The pause is long enough for the thread to wait for a writer, or to have a silent one.
                std::thread::sleep(Duration::from_millis(50));
                let writer = has_writer.then(|| OpenOptions::new().write(true).open(&target).unwrap());
                std::thread::sleep(Duration::from_millis(50));
                remote.cancel();
                writer
            });
            let e = client.assets().upload(&path).cancel_handle(&cancel).send().unwrap_err();
            assert!(e.is_canceled(), "{e:?}");
            drop(canceler.join().unwrap());
            until("nobody has the pipe open", || !has_reader(&path));
            let target = path.clone();
            let writer = std::thread::spawn(move || fs::write(target, content(100)).unwrap());
            let asset = client.assets().create(UploadMethod::direct(&path)).send().unwrap();
            writer.join().unwrap();
            assert_eq!(asset.size, Some(100), "the whole pipe was read, from the start");
        }
    }
}

#[cfg(unix)]
mod few_files {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::batch::{CHUNK, small_files};
    use crate::files::content;

    /// The child process of the next test, which may have only a few files open.
    #[test]
    #[ignore = "it is started by another test"]
    fn child_process_with_few_files() {
        let open = || (0..24).map(|_| std::fs::File::open("/dev/null")).collect::<io::Result<Vec<_>>>();
        assert_eq!(open().unwrap_err().raw_os_error(), Some(24), "the limit of open files was not set");
        let client = client(&std::env::var("STAND_IN_URL").unwrap());
        let folder = std::path::PathBuf::from(std::env::var("TEST_FOLDER").unwrap());
        let paths = (0..32).map(|number| folder.join(format!("{number:02}.mp4"))).chain([folder.join("large.mp4")]);
        let all = client.assets().upload_all(paths).threshold(100_000).sleep_interval(Duration::from_millis(1));
        let summary = all.workers(16).max_workers(16).send().unwrap().finish();
        assert!(summary.is_complete() && summary.uploaded == 33, "{summary:?}");
        // A single upload says what to do, and that it can be repeated.
        let kept: Vec<_> = (0..24).map_while(|_| std::fs::File::open("/dev/null").ok()).collect();
        let e = client.assets().upload(folder.join("00.mp4")).send().unwrap_err();
        drop(kept);
        assert!(e.is_retryable() && e.to_string().contains("too many files are open; "), "{e:?}");
    }

    #[test]
    fn a_batch_with_more_workers_than_open_files_fails_no_file() {
        let (stand_in, folder) = (StandIn::start(), Folder::new("few"));
        stand_in.chunks(CHUNK, 3);
        small_files(&folder, 32);
        folder.write("large.mp4", &content(200_000));
        let child = Command::new("sh")
            .args(["-c", "ulimit -n 24 && exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "sources::few_files::child_process_with_few_files", "--ignored", "--nocapture"])
            .env("STAND_IN_URL", stand_in.url())
            .env("TEST_FOLDER", folder.root())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        let errors = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && told.contains("1 passed"), "{told}{errors}");
        assert_eq!(stand_in.asset_count(), 33);
    }
}
