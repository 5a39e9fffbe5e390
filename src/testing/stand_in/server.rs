//! An HTTP/1.1 server on plain threads: one thread accepts connections, and one serves each connection.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::body::Body;
use super::fault::Kind;
use super::form::FormReader;
use super::request::{Host, Request};
use super::state::{Answer, Content, State, error, reply};

use crate::sync::lock;

/// The maximum length of the headers.
const MAX_HEAD: usize = 64 << 10;
/// The maximum number of bytes to keep of a body that is not a form.
const MAX_BODY: usize = 64 << 20;
const BLOCK: usize = 64 << 10;
/// The time for which the server keeps reading from a client whose request was refused early.
const LINGER: Duration = Duration::from_millis(500);
/// The interval at which a thread that waits for a client checks whether the stand-in has stopped. On Unix, shutting
/// down the socket wakes the thread; on Windows it does not.
const STOP_CHECK: Duration = Duration::from_millis(50);
/// The time that `stop` waits for a thread. On Windows, a thread that writes to a client that does not read cannot be
/// woken. It is abandoned, and ends when the client closes the connection.
const MAX_JOIN: Duration = Duration::from_secs(2);

/// The state that all threads of a stand-in share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Notified when a request has arrived.
    arrived: Condvar,
    stopped: Mutex<bool>,
    stopping: Condvar,
    connections: Mutex<Vec<(Weak<TcpStream>, JoinHandle<()>)>>,
}

/// A listening port, and the thread that accepts its connections.
pub(super) struct Port {
    pub(super) number: u16,
    thread: Option<JoinHandle<()>>,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Shared {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
            connections: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Waits until the state satisfies a condition, for a limited time.
    pub(super) fn wait_until(&self, most: Duration, is_so: impl Fn(&State) -> bool) -> bool {
        let waited = self.arrived.wait_timeout_while(self.state(), most, |state| !is_so(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn is_stopped(&self) -> bool {
        *lock(&self.stopped)
    }

    /// Pauses in real time. Returns an error if the stand-in stops.
    fn pause(&self, duration: Duration) -> io::Result<()> {
        let waited = self.stopping.wait_timeout_while(lock(&self.stopped), duration, |stopped| !*stopped);
        match *waited.unwrap_or_else(PoisonError::into_inner).0 {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    /// Accepts connections on a free port of the loopback interface.
    pub(super) fn listen(self: &Arc<Self>, host: Host) -> io::Result<Port> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let number = listener.local_addr()?.port();
        let shared = self.clone();
        let thread = named("twelvelabs-stand-in").spawn(move || shared.accept(&listener, host))?;
        Ok(Port { number, thread: Some(thread) })
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, host: Host) {
        loop {
            let accepted = listener.accept();
            if self.is_stopped() {
                return;
            }
            let Ok((stream, _)) = accepted else {
                // The process may be out of file descriptors, so wait until another connection ends.
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            if host == Host::Storage {
                self.state().uploads.storage.connections += 1;
            }
            let stream = Arc::new(stream);
            let (shared, weak) = (self.clone(), Arc::downgrade(&stream));
            let connection = named("twelvelabs-stand-in-connection").spawn(move || {
                // An error here only means that the client has closed the connection.
                let _ = shared.serve(&stream, host);
            });
            let mut connections = lock(&self.connections);
            connections.retain(|(_, thread)| !thread.is_finished());
            connections.extend(connection.ok().map(|thread| (weak, thread)));
        }
    }

    /// Stops all threads.
    pub(super) fn stop(&self, ports: &mut [Port]) {
        *lock(&self.stopped) = true;
        self.stopping.notify_all();
        for port in ports {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number));
            // A connection wakes the accepting thread, so that it notices the end.
            let woken = TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            if let Some(thread) = port.thread.take().filter(|_| woken) {
                let _ = thread.join();
            }
        }
        let connections = std::mem::take(&mut *lock(&self.connections));
        for (stream, thread) in connections {
            if let Some(stream) = stream.upgrade() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            join(thread);
        }
    }

    /// Answers the requests on one connection.
    fn serve(&self, mut stream: &TcpStream, host: Host) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(STOP_CHECK))?;
        loop {
            let mut incoming = Incoming { shared: self, stream, block: Vec::new() };
            let Some(head) = incoming.head()? else { return Ok(()) };
            let head = match head.and_then(|head| Head::parse(&head)) {
                Ok(head) => head,
                Err(why) => return incoming.refuse(&error(400, "bad_request", why)),
            };
            let mut request = Request::new(host, &head.method, &head.target, head.headers);
            let fault = {
                let mut state = self.state();
                if host == Host::Storage {
                    state.uploads.storage.claim(&mut request);
                }
                let fault = state.begin(&mut request);
                self.arrived.notify_all();
                fault
            };
            let early = match &fault {
                Some(Kind::Status { .. } | Kind::Expired) if head.expects => self.scripted(fault.as_ref()),
                _ => None,
            };
            if let Some(answer) = early {
                incoming.finish_head()?;
                return incoming.refuse(&answer);
            }
            // Closing a connection with unread bytes resets it.
            let is_reset = matches!(fault, Some(Kind::ResetRequest(_) | Kind::ResetAnswer));
            if !(is_reset && head.length == Length::Known(0)) {
                incoming.finish_head()?;
            }
            if head.expects {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let most = match fault {
                Some(Kind::ResetRequest(most) | Kind::Silent(most)) => most,
                _ => u64::MAX,
            };
            match incoming.body(&mut request, head.length, most, is_reset)? {
                Ok(()) => request = self.state().received(request),
                Err(why) => return incoming.refuse(&error(400, "bad_request", why)),
            }
            match fault {
                Some(Kind::ResetRequest(_)) => return Ok(()),
                Some(Kind::Silent(_)) => return self.pause(Duration::from_secs(3600)),
                Some(Kind::Slow(delay)) => self.pause(delay)?,
                _ => {}
            }
            let mut answer =
                self.answer(&request, fault.as_ref()).with_header("x-trace-id", format!("stand-in-{}", request.number));
            if !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
                answer = answer.with_header("date", self.state().assets.http_date());
            }
            match fault {
                Some(Kind::ResetAnswer) => return send_half(stream, &answer),
                Some(Kind::Trickle(pause)) => self.trickle(stream, answer, pause)?,
                _ => send(stream, &answer)?,
            }
            if head.closes {
                return Ok(());
            }
        }
    }

    fn answer(&self, request: &Request, fault: Option<&Kind>) -> Answer {
        if let Some(answer) = self.scripted(fault) {
            return answer;
        }
        let answer = catch_unwind(AssertUnwindSafe(|| self.state().answer(request, fault)));
        let mut answer =
            answer.unwrap_or_else(|_| error(500, "stand_in_panicked", "The stand-in has a bug: it panicked."));
        if let Some(Kind::WithoutHeader(name)) = fault {
            answer.headers.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        }
        answer
    }

    /// Returns the answer of a fault, if it has one.
    fn scripted(&self, fault: Option<&Kind>) -> Option<Answer> {
        match fault? {
            Kind::Expired => Some(super::storage::refusal()),
            Kind::Status { status, code, message, headers, body } => {
                let mut answer = match body {
                    Some(body) => reply(*status, body),
                    None => error(*status, code, message),
                };
                answer.headers.extend(headers.iter().cloned());
                Some(answer)
            }
            _ => None,
        }
    }

    fn trickle(&self, mut stream: &TcpStream, answer: Answer, pause: Duration) -> io::Result<()> {
        let pieces = pieces(answer.content);
        stream.write_all(&head(answer.status, &answer.headers, "transfer-encoding: chunked"))?;
        for piece in pieces {
            stream.write_all(&chunk(&piece))?;
            self.pause(pause)?;
        }
        stream.write_all(b"0\r\n\r\n")
    }
}

/// Waits for a thread, but only for a limited time.
fn join(thread: JoinHandle<()>) {
    let began = Instant::now();
    while !thread.is_finished() && began.elapsed() < MAX_JOIN {
        std::thread::sleep(Duration::from_millis(1));
    }
    if thread.is_finished() {
        let _ = thread.join();
    }
}

fn named(name: &str) -> Builder {
    Builder::new().name(name.into())
}

/// The request line and the headers of a request.
struct Head {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    length: Length,
    expects: bool,
    closes: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Length {
    Known(u64),
    Chunked,
}

impl Head {
    fn parse(head: &str) -> Result<Self, &'static str> {
        let mut lines = head.trim_end().split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, target, version) = (first.next(), first.next(), first.next());
        let (Some(method), Some(target), Some(version), None) = (method, target, version, first.next()) else {
            return Err("The first line is not a request line.");
        };
        if !version.starts_with("HTTP/1.") || method.is_empty() || target.is_empty() {
            return Err("The first line is not a request line.");
        }
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or("A header has no colon.")?;
            headers.push((name.to_string(), value.trim().to_string()));
        }
        let all = |wanted: &str| {
            let named = headers.iter().filter(move |(name, _): &&(String, String)| name.eq_ignore_ascii_case(wanted));
            named.map(|(_, value)| value.to_ascii_lowercase()).collect::<Vec<_>>().join(",")
        };
        let length = match (all("content-length").as_str(), all("transfer-encoding").as_str()) {
            ("", "") => Length::Known(0),
            ("", "chunked") => Length::Chunked,
            (length, "") if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Length::Known(length.parse().map_err(|_| "The content-length is not a number.")?)
            }
            (_, "") => return Err("The content-length is not a number."),
            _ => return Err("The length of the body is ambiguous."),
        };
        let closes = match version {
            "HTTP/1.0" => !all("connection").contains("keep-alive"),
            _ => all("connection").contains("close"),
        };
        let expects = all("expect").contains("100-continue");
        Ok(Head { method: method.into(), target: target.into(), length, expects, closes, headers })
    }
}

/// The incoming bytes of a connection. No byte is taken before it is needed, so that the connection can be reset at any
/// point.
struct Incoming<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
    block: Vec<u8>,
}

impl Incoming<'_> {
    /// Waits until bytes have arrived, and returns them without taking them. This is the only place that waits. It
    /// waits in short intervals, so that the thread notices when the stand-in has stopped. A `peek` that times out
    /// loses nothing, while on Windows a `read` that times out may lose bytes.
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.peek(buffer) {
                // Unix returns one of these kinds for a timeout, and Windows the other.
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if self.shared.is_stopped() {
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Reads up to `most` bytes that have arrived. Returns nothing at the end.
    fn read(&mut self, most: usize) -> io::Result<&[u8]> {
        self.peek(&mut [0])?;
        let read = self.stream.read(&mut self.block[..most])?;
        Ok(&self.block[..read])
    }

    /// Reads the headers without their last byte. Returns `None` if the client has closed the connection.
    fn head(&mut self) -> io::Result<Option<Result<String, &'static str>>> {
        let mut head = Vec::new();
        let mut coming = [0; 4096];
        loop {
            let arrived = self.peek(&mut coming)?;
            if arrived == 0 {
                return Ok(None);
            }
            let before = head.len();
            head.extend_from_slice(&coming[..arrived]);
            // The end of the headers may have begun in the previous bytes.
            let from = before.saturating_sub(3);
            let end = head[from..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 3);
            head.truncate(end.unwrap_or(head.len()));
            self.stream.read_exact(&mut coming[..head.len() - before])?;
            if end.is_some() {
                return Ok(Some(Ok(String::from_utf8_lossy(&head).into_owned())));
            }
            if head.len() > MAX_HEAD {
                return Ok(Some(Err("The headers are too long.")));
            }
        }
    }

    /// Takes the last byte of the headers.
    fn finish_head(&mut self) -> io::Result<()> {
        self.stream.read_exact(&mut [0])
    }

    /// Reads the body up to a limit. With `is_reset`, its last byte is left unread.
    fn body(
        &mut self,
        request: &mut Request,
        length: Length,
        most: u64,
        is_reset: bool,
    ) -> io::Result<Result<(), &'static str>> {
        let mut form = FormReader::new(request.header("content-type").unwrap_or_default());
        let (mut body, mut came) = (Body::new(MAX_BODY), 0);
        let mut take = |bytes: &[u8]| {
            came += bytes.len() as u64;
            match &mut form {
                Some(form) => form.push(bytes),
                None => body.push(bytes),
            }
        };
        let mut left = most;
        match length {
            Length::Known(length) => self.copy(length.min(left), is_reset && left >= length, &mut take)?,
            Length::Chunked => loop {
                let size = self.line()?;
                let size = size.split(';').next().unwrap_or_default().trim();
                // `from_str_radix` would also take a sign.
                let digits = Some(size).filter(|size| size.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let Some(size) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
                    return Ok(Err("A chunk has no size."));
                };
                if size == 0 {
                    // Trailer fields may follow the last chunk, up to an empty line.
                    while !is_reset && !self.line()?.is_empty() {}
                    break;
                }
                self.copy(size.min(left), false, &mut take)?;
                left = left.saturating_sub(size);
                if left == 0 {
                    break;
                }
                if !self.line()?.is_empty() {
                    return Ok(Err("A chunk is longer than its size."));
                }
            },
        }
        request.set_body(came, body, form.map(FormReader::finish).unwrap_or_default());
        Ok(Ok(()))
    }

    /// Takes this many bytes. With `keeps_last`, the last one is read but not taken.
    fn copy(&mut self, length: u64, keeps_last: bool, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut left = length.saturating_sub(u64::from(keeps_last));
        self.block.resize(BLOCK.min(usize::try_from(length).unwrap_or(BLOCK)), 0);
        while left > 0 {
            let most = self.block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.read(most)?;
            if read.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(read);
            left -= read.len() as u64;
        }
        if keeps_last && length > 0 {
            let mut last = [0];
            let seen = self.peek(&mut last)?;
            take(&last[..seen]);
        }
        Ok(())
    }

    /// Reads a line of the chunked encoding.
    fn line(&mut self) -> io::Result<String> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\r\n") {
            self.peek(&mut byte)?;
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
            if line.len() > MAX_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_string())
    }

    /// Answers before the whole request has arrived, and closes the connection once the client has had time to read the
    /// answer.
    fn refuse(&mut self, answer: &Answer) -> io::Result<()> {
        send(self.stream, &answer.clone().with_header("connection", "close"))?;
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.set_read_timeout(Some(LINGER))?;
        self.block.resize(BLOCK, 0);
        let began = Instant::now();
        while began.elapsed() < LINGER && self.stream.read(&mut self.block)? > 0 {}
        Ok(())
    }
}

/// Returns the status line and the headers, including the one that gives the length of the body.
fn head(status: u16, headers: &[(String, String)], length: &str) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", if status < 400 { "OK" } else { "Refused" });
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}"));
    for line in headers.chain([length.to_string()]).filter(|line| !line.is_empty()) {
        // A header value from a test must not start a new line.
        head.extend(line.chars().filter(|c| !matches!(c, '\r' | '\n')));
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

fn pieces(content: Content) -> Vec<Vec<u8>> {
    match content {
        Content::Whole(bytes) => bytes.chunks(bytes.len().div_ceil(8).max(1)).map(<[u8]>::to_vec).collect(),
        Content::Pieces(pieces) => pieces,
    }
}

fn send(mut stream: &TcpStream, answer: &Answer) -> io::Result<()> {
    match &answer.content {
        Content::Whole(_) if answer.status == 204 => stream.write_all(&head(answer.status, &answer.headers, "")),
        Content::Whole(bytes) => {
            let length = format!("content-length: {}", bytes.len());
            stream.write_all(&[&head(answer.status, &answer.headers, &length), &bytes[..]].concat())
        }
        Content::Pieces(pieces) => {
            stream.write_all(&head(answer.status, &answer.headers, "transfer-encoding: chunked"))?;
            for piece in pieces {
                stream.write_all(&chunk(piece))?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
    }
}

/// Ends the answer in the middle of the body, or of the headers if there is no body.
fn send_half(mut stream: &TcpStream, answer: &Answer) -> io::Result<()> {
    let half = match &answer.content {
        Content::Whole(bytes) => {
            let head = head(answer.status, &answer.headers, &format!("content-length: {}", bytes.len()));
            if bytes.is_empty() { head[..head.len() / 2].to_vec() } else { [&head, &bytes[..bytes.len() / 2]].concat() }
        }
        Content::Pieces(pieces) => {
            let head = head(answer.status, &answer.headers, "transfer-encoding: chunked");
            std::iter::once(head).chain(pieces[..pieces.len() / 2].iter().map(|piece| chunk(piece))).flatten().collect()
        }
    };
    stream.write_all(&half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestClock;

    #[test]
    fn a_waiting_thread_ends_without_being_woken() {
        // The connection is left with nothing sent, with half of the headers, half of a body, and half of a chunk size.
        for begun in [
            "",
            "GET / HT",
            "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1",
        ] {
            let shared = Arc::new(Shared::new(State::new(TestClock::new())));
            let mut port = shared.listen(Host::Api).unwrap();
            let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port.number)).unwrap();
            client.write_all(begun.as_bytes()).unwrap();
            let threads = loop {
                let threads = std::mem::take(&mut *lock(&shared.connections));
                if !threads.is_empty() {
                    break threads;
                }
            };
            // This is what `stop` does, except for shutting down the sockets, which wakes a thread only on Unix.
            *lock(&shared.stopped) = true;
            threads.into_iter().for_each(|(_, thread)| thread.join().unwrap());
            shared.stop(std::slice::from_mut(&mut port));
        }
    }
}
