//! What reaches the log. A process of its own: there is one logger for all of it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;

use twelvelabs::TwelveLabs;

struct Log(Mutex<String>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        *self.0.lock().unwrap() += &format!("{} {}\n", record.target(), record.args());
    }

    fn flush(&self) {}
}

static LOG: Log = Log(Mutex::new(String::new()));

#[test]
fn the_key_is_in_no_log_line_at_the_finest_level() {
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let echo = r#"{"_id":"1","filename":"tlk_secret_key","size":"tlk_secret_key"}"#;
        for (status, body) in [("401 Unauthorized", r#"{"message":"no"}"#), ("200 OK", echo)] {
            let (mut stream, _) = listener.accept().unwrap();
            let head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let client = TwelveLabs::builder().api_key("tlk_secret_key").base_url(url).build().unwrap();
    assert_eq!(client.assets().retrieve("1").send().unwrap_err().status(), Some(401));
    // A malformed field is told of, and here it is the key.
    let asset = client.assets().retrieve("1").send().unwrap();
    assert_eq!((asset.filename.as_deref(), asset.size), (Some("***"), None));
    let log = LOG.0.lock().unwrap();
    assert!(log.contains("GET"), "the log is on: {log}");
    assert!(log.contains("`size`: invalid type: string \"***\""), "{log}");
    let leak = log.lines().find(|line| line.contains("tlk_secret_key"));
    assert_eq!(leak, None);
}
