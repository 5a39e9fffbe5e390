//! A small HTTP server for tests. It plays a script with one step for each request, in order.

#![allow(dead_code)]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use twelvelabs::{Clock, TwelveLabs, TwelveLabsBuilder};

#[path = "../../support/in_time.rs"]
mod in_time;

pub use in_time::{in_time, within};

pub const API_KEY: &str = "test-key";

/// Time limits with their texts, to be tried one after the other: on a busy machine, a short one may pass before the
/// server has received the call.
pub const LIMITS: [(Duration, &str); 3] =
    [(Duration::from_millis(350), "350 ms"), (Duration::from_secs(3), "3 s"), (Duration::from_secs(20), "20 s")];

/// A function that writes an answer in any form.
pub type Writer = dyn FnOnce(&mut TcpStream) -> io::Result<()> + Send;

/// A function that takes over after the headers of a request. If it returns `true`, the connection is kept.
pub type Talk = dyn FnOnce(&mut TcpStream, &mut Received) -> io::Result<bool> + Send;

/// The server's action for one request.
pub enum Step {
    /// Reads the whole request, then answers.
    Answer(Vec<u8>),
    /// Reads the whole request, writes these bytes and closes the connection.
    Close(Vec<u8>),
    /// Reads the whole request, lets this function write to the connection, and closes it.
    Live(Box<Writer>),
    /// Reads only the headers, answers immediately and closes the connection.
    Refuse(Vec<u8>),
    /// Reads only the headers, and leaves the rest to this function.
    Talk(Box<Talk>),
    /// Reads the headers except for their last byte, writes these bytes and resets the connection.
    AnswerAndReset(Vec<u8>),
    /// Reads this many bytes from the last line feed of the headers on, and resets the connection by closing it while
    /// it contains unread bytes.
    Reset(usize),
}

/// A request as received.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    /// The path as received, still encoded.
    pub path: String,
    /// The query as decoded pairs.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A part of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub name: String,
    pub filename: Option<String>,
    pub content_type: Option<String>,
    pub bytes: Vec<u8>,
}

impl Part {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).expect("a text part is UTF-8")
    }
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "the body is {kind:?}, not JSON");
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Returns the parts of the form in the body.
    pub fn parts(&self) -> Vec<Part> {
        let kind = self.header("content-type").unwrap_or_default();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("the body is a form");
        let mark = format!("\r\n--{}", boundary.trim_matches('"')).into_bytes();
        // The first delimiter has no line break before it.
        let body = [b"\r\n", &self.body[..]].concat();
        let mut at = find(&body, &mark).expect("the form has a boundary");
        assert_eq!(at, 0, "nothing comes before the first boundary");
        let mut parts = Vec::new();
        loop {
            let rest = &body[at + mark.len()..];
            if rest.starts_with(b"--") {
                assert!(matches!(&rest[2..], b"" | b"\r\n"), "nothing comes after the last boundary");
                return parts;
            }
            let rest = rest.strip_prefix(b"\r\n").expect("a line end follows the boundary");
            let end = find(rest, &mark).expect("the form is closed");
            parts.push(part(&rest[..end]));
            at = body.len() - rest.len() + end;
        }
    }

    pub fn file(&self) -> Part {
        let mut files: Vec<Part> = self.parts().into_iter().filter(|part| part.filename.is_some()).collect();
        assert_eq!(files.len(), 1, "the form has one file");
        files.remove(0)
    }
}

fn part(bytes: &[u8]) -> Part {
    let end = find(bytes, b"\r\n\r\n").expect("a part has headers");
    let head = std::str::from_utf8(&bytes[..end]).expect("the headers of a part are UTF-8");
    let disposition = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))
        .expect("a part has a disposition");
    let attribute = |name: &str| {
        let (_, value) = disposition.split_once(&format!("; {name}=\""))?;
        Some(value.split_once('"')?.0.to_string())
    };
    Part {
        name: attribute("name").expect("a part has a name"),
        filename: attribute("filename"),
        content_type: head
            .lines()
            .find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-type")))
            .map(|(_, value)| value.trim().to_string()),
        bytes: bytes[end + 4..].to_vec(),
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Returns an answer with a JSON body, or with no body for null.
pub fn answer(status: u16, body: &Value) -> Vec<u8> {
    answer_with(status, &[], body)
}

/// Returns the same with additional headers.
pub fn answer_with(status: u16, headers: &[(&str, &str)], body: &Value) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if body.is_null() {
        if status != 204 {
            text.push_str("content-length: 0\r\n");
        }
        text.push_str("\r\n");
    } else {
        let body = body.to_string();
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    }
    text.into_bytes()
}

/// Returns an answer with a text body of this content type.
pub fn answer_of_type(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Status\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A running server.
pub struct Server {
    port: u16,
    script: Arc<Mutex<VecDeque<Step>>>,
    received: Arc<Mutex<Vec<Received>>>,
    /// The number of requests that a step is still handling.
    talks: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(script: impl IntoIterator<Item = Step>) -> Self {
        Self::start_with(|_| script)
    }

    /// Starts a server whose script depends on its port.
    pub fn start_with<S: IntoIterator<Item = Step>>(script: impl FnOnce(u16) -> S) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("the port").port();
        let script = Arc::new(Mutex::new(script(port).into_iter().collect()));
        let server = Server { port, script, received: Arc::default(), talks: Arc::default() };
        let (script, received, talks) = (server.script.clone(), server.received.clone(), server.talks.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (script, received, talks) = (script.clone(), received.clone(), talks.clone());
                // A client may disconnect while the server still writes. This is not a failure of the test.
                thread::spawn(move || serve(stream, &script, &received, &talks).ok());
            }
        });
        server
    }

    /// Returns the base URL for a client.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1.3", self.port)
    }

    /// Returns the base URL with a host name instead of an address.
    pub fn url_by_name(&self) -> String {
        format!("http://localhost:{}/v1.3", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Removes and returns the rest of the script.
    pub fn script(&self) -> Vec<Step> {
        self.script.lock().unwrap().drain(..).collect()
    }

    /// Replaces the rest of the script, and forgets the received requests.
    pub fn rewind(&self, script: impl IntoIterator<Item = Step>) {
        *self.script.lock().unwrap() = script.into_iter().collect();
        self.received.lock().unwrap().clear();
    }

    /// Returns the requests received so far.
    pub fn received(&self) -> Vec<Received> {
        // A client may receive its answer before the server has recorded the whole request.
        while self.talks.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        self.received.lock().unwrap().clone()
    }

    /// Checks that every step of the script was played, and returns the received requests.
    pub fn finish(&self) -> Vec<Received> {
        let left = self.script.lock().unwrap().len();
        let received = self.received();
        assert_eq!(left, 0, "{left} steps were never used; {} requests arrived", received.len());
        received
    }
}

fn serve(
    mut stream: TcpStream,
    script: &Mutex<VecDeque<Step>>,
    received: &Mutex<Vec<Received>>,
    talks: &AtomicUsize,
) -> io::Result<()> {
    // The timeout only guards against a test that would hang.
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    loop {
        let head = head(&mut stream)?;
        let mut request = parse(std::str::from_utf8(&head).expect("the headers are UTF-8"));
        let step = script.lock().unwrap().pop_front();
        if let Some(Step::Reset(bytes)) = step {
            received.lock().unwrap().push(request);
            stream.read_exact(&mut vec![0; bytes])?;
            return Ok(());
        }
        if let Some(Step::AnswerAndReset(bytes)) = step {
            received.lock().unwrap().push(request);
            stream.write_all(&bytes)?;
            // The client reads what was written before the reset arrives.
            thread::sleep(Duration::from_millis(50));
            return Ok(());
        }
        byte(&mut stream)?;
        if let Some(Step::Talk(talk)) = step {
            let place = {
                let mut received = received.lock().unwrap();
                received.push(request.clone());
                received.len() - 1
            };
            talks.fetch_add(1, Ordering::SeqCst);
            let kept = catch_unwind(AssertUnwindSafe(|| talk(&mut stream, &mut request)));
            if let Some(received) = received.lock().unwrap().get_mut(place) {
                *received = request;
            }
            talks.fetch_sub(1, Ordering::SeqCst);
            match kept.unwrap_or_else(|panic| resume_unwind(panic))? {
                true => continue,
                false => return Ok(()),
            }
        }
        if let Some(Step::Refuse(bytes)) = step {
            received.lock().unwrap().push(request);
            return stream.write_all(&bytes);
        }
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        read_body(&mut stream, &mut request)?;
        received.lock().unwrap().push(request);
        match step {
            Some(Step::Answer(bytes)) => stream.write_all(&bytes)?,
            Some(Step::Live(write)) => {
                write(&mut stream)?;
                return stream.shutdown(Shutdown::Both);
            }
            Some(Step::Close(bytes)) => {
                stream.write_all(&bytes)?;
                return stream.shutdown(Shutdown::Both);
            }
            _ => {
                let message = serde_json::json!({"code": "script_ended", "message": "the script has no step left"});
                stream.write_all(&answer(400, &message))?;
            }
        }
    }
}

/// Reads the headers except for their last byte, so that a reset can leave one byte unread.
fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut head, mut coming) = (Vec::new(), [0; 4096]);
    loop {
        let (before, arrived) = (head.len(), stream.peek(&mut coming)?);
        head.extend_from_slice(&coming[..arrived]);
        let end = find(&head, b"\r\n\r\n").map(|at| at + 3);
        head.truncate(end.unwrap_or(head.len()));
        stream.read_exact(&mut coming[..head.len() - before])?;
        if end.is_some() {
            return Ok(head);
        }
        if arrived == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn byte(stream: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(byte(stream)?);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_string())
}

/// Reads the headers of a request.
pub fn read_head(stream: &mut impl Read) -> io::Result<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(stream)?);
    }
    Ok(parse(std::str::from_utf8(&head).expect("the headers are UTF-8")))
}

/// Reads a request on a connection that is not reset.
pub fn read_request(stream: &mut (impl Read + Write)) -> io::Result<Received> {
    let mut request = read_head(stream)?;
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    read_body(stream, &mut request)?;
    Ok(request)
}

fn parse(head: &str) -> Received {
    let mut lines = head.trim_end().lines();
    let mut first = lines.next().expect("a request line").split(' ');
    let method = first.next().expect("a method").to_string();
    let target = first.next().expect("a target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Received {
        method,
        path: path.to_string(),
        query: query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect(),
        headers: lines
            .map(|line| line.split_once(':').expect("a header"))
            .map(|(name, value)| (name.to_string(), value.trim().to_string()))
            .collect(),
        body: Vec::new(),
    }
}

pub fn read_body(stream: &mut impl Read, request: &mut Received) -> io::Result<()> {
    if request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = usize::from_str_radix(&line(stream)?, 16).expect("the size of a chunk");
            let start = request.body.len();
            request.body.resize(start + size, 0);
            stream.read_exact(&mut request.body[start..])?;
            assert_eq!(line(stream)?, "", "a chunk ends with a line end");
            if size == 0 {
                return Ok(());
            }
        }
    }
    let length = request.header("content-length").map_or(0, |value| value.parse().expect("a length"));
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body)
}

/// Decodes a part of a query, in which `+` is a space.
pub fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text).decode_utf8().expect("the text is UTF-8").into_owned()
}

/// A clock on which pauses take no time and are recorded.
#[derive(Clone, Default)]
pub struct Pauses(Arc<Mutex<Vec<Duration>>>);

impl Pauses {
    pub fn taken(&self) -> Vec<Duration> {
        self.0.lock().unwrap().clone()
    }
}

impl Clock for Pauses {
    fn sleep(&self, duration: Duration) {
        self.0.lock().unwrap().push(duration);
    }
}

/// A clock that only sleeping moves. All threads share its time.
#[derive(Clone)]
pub struct Moving {
    start: Instant,
    slept: Arc<Mutex<Vec<Duration>>>,
    /// The value returned instead of a random number.
    pub random: f64,
}

impl Default for Moving {
    fn default() -> Self {
        Moving { start: Instant::now(), slept: Arc::default(), random: 1.0 }
    }
}

impl Moving {
    pub fn taken(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }

    /// Returns the time that has passed.
    pub fn passed(&self) -> Duration {
        self.slept.lock().unwrap().iter().sum()
    }
}

impl Clock for Moving {
    fn now(&self) -> Instant {
        self.start + self.passed()
    }

    fn sleep(&self, duration: Duration) {
        self.slept.lock().unwrap().push(duration);
        thread::yield_now();
    }

    fn random(&self) -> f64 {
        self.random
    }
}

/// Returns a builder for a client of the server.
pub fn builder(server: &Server) -> TwelveLabsBuilder {
    TwelveLabs::builder().api_key(API_KEY).base_url(server.url())
}

/// Returns a client of the server, and the record of its pauses.
pub fn client(server: &Server) -> (TwelveLabs, Pauses) {
    let pauses = Pauses::default();
    (builder(server).max_retries(2).clock(pauses.clone()).build().expect("a client"), pauses)
}

/// Returns a client of the server with a clock that only its pauses move.
pub fn client_in_time(server: &Server) -> (TwelveLabs, Moving) {
    let clock = Moving::default();
    (builder(server).clock(clock.clone()).build().expect("a client"), clock)
}

/// Runs one test of this program in a separate process with these environment variables. The test detects by
/// `TWELVELABS_TEST_CHILD` that it is the child.
pub fn in_child(test: &str, variables: &[(&str, impl AsRef<std::ffi::OsStr>)]) {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", test, "--nocapture"]).env("TWELVELABS_TEST_CHILD", test);
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        child.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    let outcome = child.envs(variables.iter().map(|(name, value)| (name, value))).output().expect("the program runs");
    let told = String::from_utf8_lossy(&outcome.stdout);
    assert!(
        outcome.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
}

/// Returns whether this process is the child that `in_child` started for this test.
pub fn is_child(test: &str) -> bool {
    std::env::var("TWELVELABS_TEST_CHILD").is_ok_and(|name| name == test)
}
