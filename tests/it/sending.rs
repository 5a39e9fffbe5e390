//! Files that change while they are sent, and connections that fall silent.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::files::content;
use twelvelabs::assets::UploadMethod;
use twelvelabs::testing::StandIn;
use twelvelabs::{Error, FileSource, RequestOptions, TwelveLabs};

/// A file of 3 MiB that is removed when it is dropped.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("twelvelabs-test-{}-{name}.mp4", std::process::id()));
        fs::write(&path, vec![7; 3 << 20]).unwrap();
        TempFile(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Starts a server that runs `play` on every connection.
fn serve(play: impl Fn(TcpStream) + Send + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let play = play.clone();
            thread::spawn(move || play(stream));
        }
    });
    format!("http://{address}")
}

fn client(base_url: &str) -> TwelveLabs {
    TwelveLabs::builder().api_key("tlk_secret_key").base_url(base_url).max_retries(0).build().unwrap()
}

/// Reads until the headers are complete.
fn head(stream: &mut TcpStream) -> bool {
    let mut have = Vec::new();
    let mut byte = [0];
    while !have.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => have.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Reads everything and never answers.
fn swallow(mut stream: TcpStream) {
    if head(&mut stream) {
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
}

fn upload_while(name: &str, change: impl Fn(&PathBuf) + Send + 'static) -> Error {
    let file = TempFile::new(name);
    let path = file.0.clone();
    let mut changed = false;
    let upload = client(&serve(swallow)).assets().create(UploadMethod::direct(&file.0));
    let callback = move |_| {
        if !std::mem::replace(&mut changed, true) {
            change(&path);
        }
    };
    upload.progress_callback(callback).send().unwrap_err()
}

#[test]
fn a_file_that_grows_is_an_error_that_says_so() {
    let e = upload_while("grows", |path| {
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
    });
    assert!(matches!(e, Error::File { .. }) && e.to_string().contains("grew while it was being sent"), "{e}");
}

#[test]
fn a_file_that_shrinks_is_an_error_that_says_so() {
    let e = upload_while("shrinks", |path| OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap());
    assert!(matches!(e, Error::File { .. }) && e.to_string().contains("shrank while it was being sent"), "{e}");
}

#[test]
fn a_file_that_is_overwritten_in_place_at_the_same_size_is_an_error_that_says_so() {
    let e = upload_while("overwritten", |path| {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(b"other").unwrap();
        // Some file systems store times with a resolution of only 2 seconds.
        file.set_modified(std::time::SystemTime::now() + Duration::from_secs(10)).unwrap();
    });
    assert!(matches!(e, Error::File { .. }) && e.to_string().contains("changed while it was being sent"), "{e}");
}

#[test]
fn a_silent_server_is_a_timeout() {
    let options = RequestOptions::new().timeout(Duration::from_millis(100));
    let e = client(&serve(swallow)).assets().retrieve("1").request_options(options).send().unwrap_err();
    assert!(e.is_timeout(), "{e}");
}

#[test]
fn a_server_that_trickles_its_answer_is_a_timeout() {
    let url = serve(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(2));
        }
    });
    let options = RequestOptions::new().timeout(Duration::from_millis(100));
    let e = client(&url).assets().retrieve("1").request_options(options).send().unwrap_err();
    assert!(e.is_timeout(), "{e}");
}

#[test]
fn the_head_and_the_body_of_an_answer_have_one_time_limit() {
    let url = serve(|mut stream| {
        head(&mut stream);
        // Each pause alone would be within the limit.
        thread::sleep(Duration::from_millis(200));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n");
        for byte in br#"{"_id":"1"}"# {
            thread::sleep(Duration::from_millis(20));
            let _ = stream.write_all(&[*byte]);
        }
    });
    let options = RequestOptions::new().timeout(Duration::from_millis(300)).max_retries(0);
    let e = client(&url).assets().retrieve("1").request_options(options).send().unwrap_err();
    assert!(e.is_timeout(), "{e}");
}

#[test]
fn a_connection_that_the_server_closed_when_idle_is_replaced() {
    let url = serve(|mut stream| {
        if head(&mut stream) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"_id\":\"1\"}");
        }
    });
    let client = client(&url);
    for _ in 0..5 {
        assert_eq!(client.assets().retrieve("1").send().unwrap().id, "1");
        // The server's close must arrive before the next request. On loopback, it arrives as soon as the thread ends.
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn progress_counts_only_the_bytes_of_the_file() {
    let (stand_in, total) = (StandIn::start(), 3_000_001);
    let file = || FileSource::bytes("clip.mp4", content(total as usize));
    type Seen = Mutex<Vec<(u64, Option<u64>)>>;
    let seen: Arc<Seen> = Arc::default();
    let (log, also) = (seen.clone(), seen.clone());
    let create = stand_in.client().assets().create(UploadMethod::direct(file()));
    create.progress_callback(move |progress| log.lock().unwrap().push((progress.sent, progress.total))).send().unwrap();
    let direct = std::mem::take(&mut *seen.lock().unwrap());
    let upload = stand_in.client().assets().upload(file());
    upload
        .progress_callback(move |progress| also.lock().unwrap().push((progress.sent, progress.total)))
        .send()
        .unwrap();
    for seen in [&direct, &*seen.lock().unwrap()] {
        assert!(seen.len() > 1 && seen.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{seen:?}");
        assert!(seen[0].0 < total && seen.iter().all(|(_, all)| *all == Some(total)), "{seen:?}");
        assert_eq!(seen.last(), Some(&(total, Some(total))));
    }
}
