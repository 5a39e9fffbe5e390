//! The host of the presigned URLs: another server, where the API key has no business.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// A header without which the storage takes nothing, as the platform's `upload_headers` say.
pub const UPLOAD_HEADER: (&str, &str) = ("x-storage-class", "stand-in");

/// What the storage does wrong on demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StorageFault {
    /// Takes the chunk and answers with this status.
    Status(u16),
    /// Breaks the connection after this many bytes of the chunk.
    Reset(usize),
    /// Takes the chunk and gives no `ETag`.
    NoEtag,
    /// Refuses the URL as if its hour were over.
    Expired,
    /// Takes this many bytes and then falls silent, until the other side goes.
    Silent(usize),
}

/// The running storage. It lives as long as the process.
#[derive(Clone)]
pub struct Storage {
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    urls: BTreeMap<String, Url>,
    chunks: BTreeMap<(String, u32), Chunk>,
    faults: Vec<(Option<u32>, StorageFault)>,
    /// Chunks whose first bytes have come, in order.
    begun: Vec<(String, u32)>,
    connections: usize,
    heads: Vec<String>,
}

struct Url {
    upload_id: String,
    index: u32,
    used: bool,
}

/// A chunk that has arrived completely.
#[derive(Clone)]
pub struct Chunk {
    pub etag: String,
    pub bytes: Vec<u8>,
}

impl Storage {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("the port").port();
        let storage = Storage { port, state: Arc::default() };
        let server = storage.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                server.lock().connections += 1;
                let server = server.clone();
                // A client may go while the server still talks to it.
                std::thread::spawn(move || server.serve(stream).ok());
            }
        });
        storage
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A URL that takes one chunk once.
    pub fn presign(&self, upload_id: &str, index: u32) -> String {
        let mut state = self.lock();
        let signature = format!("s{}", state.urls.len());
        let url = Url { upload_id: upload_id.into(), index, used: false };
        state.urls.insert(signature.clone(), url);
        format!("http://127.0.0.1:{}/bucket/{upload_id}/{index}?X-Amz-Signature={signature}", self.port)
    }

    /// No URL that was given out works any more.
    pub fn expire_urls(&self) {
        self.lock().urls.values_mut().for_each(|url| url.used = true);
    }

    /// Does something wrong with the next request for this chunk, or for any.
    pub fn fault(&self, chunk: Option<u32>, fault: StorageFault) {
        self.lock().faults.push((chunk, fault));
    }

    pub fn chunk(&self, upload_id: &str, index: u32) -> Option<Chunk> {
        self.lock().chunks.get(&(upload_id.to_string(), index)).cloned()
    }

    /// The numbers of the chunks of which something has come, in order, repetitions included.
    pub fn begun(&self, upload_id: &str) -> Vec<u32> {
        self.lock().begun.iter().filter(|(id, _)| id == upload_id).map(|(_, index)| *index).collect()
    }

    /// Waits until something has come of this many chunks.
    pub fn wait_for_begun(&self, count: usize) {
        let begun = |state: &mut State| state.begun.len() < count;
        let guard = self.state.1.wait_timeout_while(self.lock(), Duration::from_secs(30), begun);
        let (state, timeout) = guard.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "only {} chunks came, not {count}", state.begun.len());
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// The heads of all requests as they came.
    pub fn heads(&self) -> Vec<String> {
        self.lock().heads.clone()
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        // Only a guard against a test that would hang.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut output = stream.try_clone()?;
        let mut input = BufReader::with_capacity(64 << 10, stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if input.read_line(&mut head)? == 0 {
                    return Ok(());
                }
            }
            let header = |name: &str| {
                head.lines()
                    .filter_map(|line| line.split_once(':'))
                    .find(|(have, _)| have.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.trim().to_string())
            };
            let length: usize = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            let allowed = header(UPLOAD_HEADER.0).as_deref() == Some(UPLOAD_HEADER.1);
            let signature = head.split(' ').nth(1).and_then(|target| target.split_once("X-Amz-Signature="));
            let signature = signature.map(|(_, signature)| signature.to_string()).unwrap_or_default();
            let (url, fault) = {
                let mut state = self.lock();
                state.heads.push(head.clone());
                let url = state.urls.get_mut(&signature).filter(|_| head.starts_with("PUT ")).and_then(|url| {
                    let fresh = !std::mem::replace(&mut url.used, true);
                    fresh.then(|| (url.upload_id.clone(), url.index))
                });
                let index = url.as_ref().map(|(_, index)| *index);
                let due =
                    state.faults.iter().position(|(chunk, _)| index.is_some() && (chunk.is_none() || *chunk == index));
                let fault = due.map(|place| state.faults.remove(place).1);
                if let Some(url) = &url {
                    state.begun.push(url.clone());
                    self.state.1.notify_all();
                }
                (url, fault)
            };
            match fault {
                Some(StorageFault::Reset(bytes)) => {
                    // Closed with bytes that nobody has read, which is a reset.
                    input.read_exact(&mut vec![0; bytes])?;
                    return Ok(());
                }
                Some(StorageFault::Silent(bytes)) => {
                    input.read_exact(&mut vec![0; bytes])?;
                    std::thread::sleep(Duration::from_secs(30));
                    return Ok(());
                }
                _ => {}
            }
            let mut bytes = vec![0; length];
            input.read_exact(&mut bytes)?;
            let etag: String = Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            let refused =
                "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
            let (status, tag, body) = match (url, fault) {
                (_, Some(StorageFault::Status(status))) => (status, None, ""),
                (None, _) | (_, Some(StorageFault::Expired)) => (403, None, refused),
                _ if !allowed => (403, None, refused),
                (Some(_), Some(StorageFault::NoEtag)) => (200, None, ""),
                (Some(place), _) => {
                    self.lock().chunks.insert(place, Chunk { etag: etag.clone(), bytes });
                    (200, Some(etag), "")
                }
            };
            let tag = tag.map(|etag| format!("ETag: \"{etag}\"\r\n")).unwrap_or_default();
            write!(output, "HTTP/1.1 {status} Status\r\n{tag}content-length: {}\r\n\r\n{body}", body.len())?;
        }
    }
}
