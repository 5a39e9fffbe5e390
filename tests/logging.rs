//! The content of the log. This test has its own process, because a process has only one logger.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use twelvelabs::{Clock, FileSource, TwelveLabs};

const KEY: &str = "tlk_secret_key";
const QUERY: &str = "X-Amz-Credential=AKIAEXAMPLE%2F2026&X-Amz-Signature=c0ffee1122334455";

struct Log(Mutex<String>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        let (level, target) = (record.level(), record.target());
        *self.0.lock().unwrap() += &format!("{level} {target} {}\n", record.args());
    }

    fn flush(&self) {}
}

static LOG: Log = Log(Mutex::new(String::new()));

struct Impatient;

impl Clock for Impatient {
    fn sleep(&self, _: Duration) {}

    fn random(&self) -> f64 {
        0.5
    }
}

/// Responds to one request for each of these answers, each on its own connection, and returns the request lines.
fn serve(listener: TcpListener, answers: Vec<String>) -> thread::JoinHandle<Vec<String>> {
    thread::spawn(move || answers.into_iter().map(|answer| play(listener.accept().unwrap().0, &answer)).collect())
}

fn play(mut stream: TcpStream, answer: &str) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let head: Vec<String> = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse::<u64>().ok());
    std::io::copy(&mut reader.take(length.unwrap_or(0)), &mut std::io::sink()).unwrap();
    let _ = stream.write_all(answer.as_bytes());
    head.into_iter().next().unwrap_or_default()
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\nx-trace-id: t1\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Makes a call that is retried and refused, and sends a chunk that is refused. Returns the log at this level.
fn log_at(level: log::LevelFilter) -> String {
    log::set_max_level(level);
    LOG.0.lock().unwrap().clear();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let session = format!(
        r#"{{"upload_id":"u1","asset_id":"a1","chunk_size":1000,"total_chunks":1,
            "upload_urls":[{{"chunk_index":1,"url":"http://{address}/b?{QUERY}"}}]}}"#
    );
    let server = serve(
        listener,
        vec![
            answer("500 Oh", ""),
            answer("401 Unauthorized", r#"{"message":"no"}"#),
            answer("201 Created", &session),
            answer("403 Forbidden", &format!("<html>{QUERY}</html>")),
        ],
    );
    let url = format!("http://user:passw0rd@{address}");
    let client = TwelveLabs::builder().api_key(KEY).base_url(url).clock(Impatient).build().unwrap();
    assert_eq!(client.assets().retrieve("1").send().unwrap_err().status(), Some(401));
    let file = FileSource::bytes("a.mp4", vec![7; 1000]);
    let upload = client.multipart_upload().upload_file(file).max_retries(0);
    assert_eq!(upload.send().unwrap_err().status(), Some(403));
    assert_eq!(server.join().unwrap()[3], format!("PUT /b?{QUERY} HTTP/1.1"));
    LOG.0.lock().unwrap().clone()
}

/// Reads a list whose pages have these items and report this total. Returns the warnings.
fn warnings_of_a_list(pages: &[&str], total: u64) -> Vec<String> {
    LOG.0.lock().unwrap().clear();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let last = pages.len();
    let page = |(n, items): (usize, &&str)| {
        let number = n + 1;
        let info = format!(r#"{{"page":{number},"limit_per_page":2,"total_page":{last},"total_results":{total}}}"#);
        answer("200 OK", &format!(r#"{{"data":[{items}],"page_info":{info}}}"#))
    };
    let server = serve(listener, pages.iter().enumerate().map(page).collect());
    let client = TwelveLabs::builder().api_key(KEY).base_url(url).clock(Impatient).build().unwrap();
    let found = client.assets().list().send().unwrap().map(Result::unwrap).count();
    assert_eq!((found, server.join().unwrap().len()), (pages.concat().matches("_id").count(), last));
    LOG.0.lock().unwrap().lines().filter(|line| line.starts_with("WARN ")).map(String::from).collect()
}

fn a_list_that_ends_early_is_in_the_log() {
    let [two, one] = [r#"{"_id":"1"},{"_id":"2"}"#, r#"{"_id":"3"}"#];
    assert_eq!(warnings_of_a_list(&[two, one], 3), [""; 0]);
    let warnings = warnings_of_a_list(&[two, one], 4);
    let text = "GET /assets: the list ended after 3 items, although the platform reports 4";
    assert!(warnings.len() == 1 && warnings[0].ends_with(text), "{warnings:?}");
}

#[test]
fn the_log_has_a_line_for_each_attempt_and_nothing_secret() {
    log::set_logger(&LOG).unwrap();
    let log = log_at(log::LevelFilter::Debug);
    let ours: Vec<&str> = log.lines().filter(|line| line.contains(" twelvelabs::")).collect();
    let debug = |line: &&&str| line.starts_with("DEBUG ") && line.contains(", attempt ");
    let attempts: Vec<&&str> = ours.iter().filter(debug).collect();
    assert_eq!(attempts.len(), 4, "{ours:#?}");
    for (line, told) in attempts.iter().zip([
        "GET /assets/1, attempt 1 at 127.0.0.1: 500 after ",
        "GET /assets/1, attempt 2 at 127.0.0.1: 401 after ",
        "POST /assets/multipart-uploads, attempt 1 at 127.0.0.1: 201 after ",
        "PUT chunk 1 of 1 of upload u1, attempt 1 at 127.0.0.1: 403 after ",
    ]) {
        assert!(line.contains(told) && line.ends_with("trace id t1"), "{line}");
    }
    let retried: Vec<&&str> = ours.iter().filter(|line| line.starts_with("INFO ")).collect();
    assert_eq!(retried.len(), 1, "{ours:#?}");
    assert!(retried[0].contains("status 500") && retried[0].ends_with("; retrying in 250 ms"), "{}", retried[0]);
    let leak = |log: &str, secret: &str| log.lines().find(|line| line.contains(secret)).map(String::from);
    for secret in [KEY, "passw0rd", "dXNlcjpwYXNzdzByZA", "c0ffee", "AKIAEXAMPLE"] {
        assert_eq!(leak(&log, secret), None, "{secret}");
    }
    // At the finest level, the HTTP library logs whole URLs and bodies, but never the key.
    let log = log_at(log::LevelFilter::Trace);
    assert!(log.contains("TRACE ureq"), "the log lacks the lines of the HTTP library: {log}");
    assert_eq!(leak(&log, KEY), None);
    let ours: String = log.lines().filter(|line| line.contains(" twelvelabs::")).collect();
    assert!(!ours.contains("c0ffee") && !ours.contains("passw0rd"), "{ours}");
    a_list_that_ends_early_is_in_the_log();
}
