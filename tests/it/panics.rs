//! Caller code that panics, and threads that cannot be started: both end in an error, never in a hang or a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::batch::{CHUNK, KEY, batch, client, outcomes, small_files};
use crate::files::{Folder, content};
use twelvelabs::assets::UploadMethod;
use twelvelabs::embed::EmbedInput;
use twelvelabs::testing::StandIn;
use twelvelabs::{CancelHandle, Clock, Error, FileSource, RequestOptions, TwelveLabs};

/// Creates a client whose observer panics once, at the first request that matches.
fn panicking(stand_in: &StandIn, operation: &'static str) -> TwelveLabs {
    let panics = AtomicBool::new(true);
    let builder = TwelveLabs::builder().api_key(KEY).base_url(stand_in.url()).max_retries(0);
    let client = builder.observer(move |event| {
        let meant = event.operation.contains(operation);
        assert!(!(meant && panics.swap(false, Ordering::SeqCst)), "on purpose");
    });
    client.build().unwrap()
}

#[test]
fn an_upload_whose_worker_panics_can_be_resumed() {
    // The panic is in a thread that sends a chunk, or in a worker that requests URLs for which the others wait.
    for operation in ["PUT chunk 7 of 13", "/presigned-urls"] {
        let (stand_in, file) = (StandIn::start(), FileSource::bytes("a.mp4", content(13 * CHUNK as usize)));
        stand_in.chunks(CHUNK, 3);
        let uploads = panicking(&stand_in, operation).multipart_upload();
        let upload = || uploads.upload_file(file.clone()).max_workers(3);
        let result = catch_unwind(AssertUnwindSafe(|| upload().send()));
        // The calling thread requests URLs as well, in which case the caller gets the panic itself.
        if let Ok(result) = result {
            let Err(Error::Upload(e)) = result else { panic!("{operation}: {result:?}") };
            assert!(e.resumable && !e.missing.is_empty(), "{operation}: {e:?}");
            assert!(e.to_string().contains("a thread that sent chunks has panicked"), "{operation}: {e}");
            upload().resume(&e.upload).send().unwrap();
            assert_eq!(stand_in.assembled(&e.upload.upload_id).unwrap(), content(13 * CHUNK as usize));
        } else {
            assert_eq!(operation, "/presigned-urls");
        }
    }
}

#[test]
fn an_observer_that_panics_fails_at_most_its_file_and_the_next_batch_resumes() {
    // The file of a chunk is retried after the others are done, as after any other temporary failure.
    for (operation, failures) in [("PUT chunk 2", 0), ("POST /assets", 1), ("GET /assets/", 1)] {
        let (stand_in, folder) = (StandIn::start(), Folder::new("observer-panics"));
        stand_in.chunks(CHUNK, 3);
        small_files(&folder, 3);
        folder.write("00-large.mp4", &content(200_000));
        let found = outcomes(batch(&panicking(&stand_in, operation), &folder).workers(1));
        let failed: Vec<_> = found.values().filter_map(|outcome| outcome.result.as_ref().err()).collect();
        assert_eq!(failed.len(), failures, "{operation}: {found:?}");
        assert!(failed.iter().all(|e| e.to_string().contains("interrupted by a panic")), "{operation}: {failed:?}");
        let found = outcomes(batch(&client(&stand_in.url()), &folder));
        assert!(found.values().all(|outcome| outcome.result.is_ok()), "{operation}: {found:?}");
        assert_eq!(stand_in.asset_count(), 4, "{operation}: no file is on the platform twice");
    }
}

#[test]
fn an_observer_that_panics_fails_only_its_own_input() {
    let stand_in = StandIn::start();
    let client = panicking(&stand_in, "POST /embed-v2");
    let inputs = ["one", "two", "three"].map(EmbedInput::text);
    let outcomes = client.embed().v2().create_many(inputs, "marengo3.0").workers(1).send().unwrap();
    let e = outcomes[0].result.as_ref().unwrap_err();
    assert!(e.is_outcome_unknown() && e.to_string().contains("panicked"), "{e}");
    assert!(outcomes[1..].iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
    assert_eq!(stand_in.count("POST /embed-v2"), 3);
}

#[test]
fn a_client_outlives_code_that_panics() {
    struct Panics(AtomicBool);
    impl Clock for Panics {
        fn sleep(&self, _: Duration) {
            assert!(!self.0.swap(false, Ordering::SeqCst), "on purpose");
        }
    }
    let stand_in = StandIn::start();
    let builder = TwelveLabs::builder().api_key("tlk_test").base_url(stand_in.url());
    let builder = builder.clock(Panics(AtomicBool::new(true))).rate_limit(2, Duration::from_nanos(1));
    let client = builder.build().unwrap();
    let file = || UploadMethod::direct(FileSource::bytes("a.mp4", "frames"));
    let create = || client.assets().create(file()).progress_callback(|_| panic!("on purpose")).send();
    for _ in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(create)).is_err(), "a panic of a callback reaches the caller");
    }
    stand_in.fail("GET /assets", 1, 503);
    let list = || client.assets().list().send().map(|assets| assets.count());
    assert!(catch_unwind(AssertUnwindSafe(list)).is_err(), "the clock panics in the pause before the retry");
    client.assets().create(file()).send().unwrap();
    assert_eq!(client.assets().list().send().unwrap().count(), 1, "an upload that panicked did not arrive");
}

/// The child process of the next test, in which no thread can be started.
#[test]
#[ignore = "it is started by another test"]
fn child_process_without_threads() {
    let started = std::thread::Builder::new().spawn(|| {});
    assert!(started.is_err(), "a thread was started despite the limit");
    let client = TwelveLabs::builder().api_key("tlk_test").base_url(std::env::var("STAND_IN_URL").unwrap());
    let client = client.build().unwrap();
    let file = || FileSource::bytes("a.mp4", content(13 * CHUNK as usize));

    let e = client.multipart_upload().upload_file(file()).send().unwrap_err();
    let Error::Upload(upload) = &e else { panic!("{e:?}") };
    assert!(upload.resumable && upload.missing.len() == 13, "{upload:?}");
    assert!(e.to_string().contains("cannot start a thread") && e.is_retryable(), "{e}");

    let e = client.assets().upload_all(["src/lib.rs"]).send().unwrap_err();
    assert!(e.to_string().contains("cannot start a thread; nothing was sent"), "{e}");

    let reader = FileSource::reader("a.mp4", std::io::repeat(7)).length(9);
    let e = client.assets().create(UploadMethod::direct(reader)).send().unwrap_err();
    assert!(matches!(e, Error::File { .. }), "{e:?}");

    // Threads that only make a call faster are optional.
    let options = RequestOptions::new().cancel_handle(&CancelHandle::new());
    client.assets().create(UploadMethod::direct(file())).request_options(options).send().unwrap();
    let assets = client.assets().list().page_limit(1).send().unwrap().prefetch(4);
    assert_eq!(assets.filter_map(Result::ok).count(), 1);
}

/// On Windows, the test harness of the child needs a thread itself.
#[cfg(unix)]
#[test]
fn a_thread_that_cannot_be_started_is_an_error() {
    let stand_in = StandIn::start();
    stand_in.chunks(CHUNK, 3);
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process.args(["--ignored", "--exact", "--test-threads=1", "panics::child_process_without_threads"]);
    // No system has enough memory for a stack of this size, which is most of the address space.
    process.env("RUST_MIN_STACK", (usize::MAX / 8 * 7).to_string()).env("STAND_IN_URL", stand_in.url());
    let output = process.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(stand_in.asset_count(), 1);
}
