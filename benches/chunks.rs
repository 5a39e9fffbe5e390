//! Measures chunked uploads and batches, each beside the simplest way to do the same.
//!
//! `cargo bench --bench chunks` sends 1 GiB (or `UPLOAD_MIB` MiB). It prints ratios of medians.

mod support;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{BenchFile, Fallible};
use support::{content_length, copy_file, drain, head, median, memory, ratio, reset_peak, timed, written};
use twelvelabs::TwelveLabs;
use twelvelabs::assets::UploadMethod;

const RUNS: usize = 5;
const WORKERS: usize = 5;
const MIB: u64 = 1 << 20;

fn main() -> Fallible {
    loopback()?;
    slow_line()?;
    many_files()
}

/// Sends a large file over loopback. Compares it with `std::io::copy` of the same file to one socket, and with the same
/// number of threads that use only the HTTP library.
fn loopback() -> Fallible {
    let mib: u64 = std::env::var("UPLOAD_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    let file = BenchFile::new("large.mp4", mib * MIB)?;
    let platform = Platform::start(Line { chunk_size: 8 * MIB, ..Line::default() })?;
    let sink = TcpListener::bind("127.0.0.1:0")?;
    let address = sink.local_addr()?;
    std::thread::spawn(move || sink.incoming().flatten().try_for_each(drain));

    let client = platform.client()?;
    let (mut copied, mut bare, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    let (mut connections, mut peak, mut on_disk) = (0, None, None);
    for run in 0..=RUNS {
        let copy = timed(|| copy_file(file.path(), address))?;
        let threads = timed(|| platform.bare(file.path()))?;
        let before = (platform.connections(), written());
        reset_peak();
        let upload = timed(|| {
            let upload = client.multipart_upload().upload_file(file.path());
            Ok(upload.max_workers(WORKERS).send()?)
        })?;
        peak = peak.max(memory("VmHWM:"));
        connections = connections.max(platform.connections() - before.0);
        on_disk = on_disk.max(written().zip(before.1).map(|(after, before)| after - before));
        // The first run warms the page cache.
        if run > 0 {
            copied.push(copy);
            bare.push(threads);
            ours.push(upload);
        }
    }
    let (copied, bare, ours) = (median(copied), median(bare), median(ours));
    println!("{mib} MiB in chunks of 8 MiB, {WORKERS} workers, on loopback");
    println!("  std::io::copy           {copied:?}");
    println!("  {WORKERS} threads of bare ureq  {bare:?}, ratio {:.2}", ratio(bare, copied));
    println!("  upload_file             {ours:?}, ratio {:.2}", ratio(ours, copied));
    println!("  connections to the storage: {connections}");
    if let (Some(peak), Some(on_disk)) = (peak, on_disk) {
        println!("  peak memory {:.1} MiB with the server, {on_disk} bytes written to disk", peak as f64 / MIB as f64);
    }
    Ok(())
}

/// Sends a file over connections that are limited in speed, so that only more connections help.
fn slow_line() -> Fallible {
    let file = BenchFile::new("slow.mp4", 100 * MIB)?;
    let rate = Some(10_000_000);
    let line = Line { chunk_size: 4 * MIB, latency: Duration::from_millis(50), rate };
    let platform = Platform::start(line)?;
    let client = platform.client()?;
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        for (times, workers) in [(&mut one, 1), (&mut many, WORKERS)] {
            let upload = || client.multipart_upload().upload_file(file.path()).max_workers(workers).send();
            times.push(timed(|| Ok(upload()?))?);
        }
    }
    let (one, many) = (median(one), median(many));
    println!("100 MiB in chunks of 4 MiB at 10 MB/s a connection and 50 ms a round trip");
    println!("  1 worker   {one:?}");
    println!("  {WORKERS} workers  {many:?}, {:.2} times as fast", ratio(one, many));
    Ok(())
}

/// Uploads many small files over a slow round trip.
fn many_files() -> Fallible {
    const FILES: usize = 200;
    let files: Vec<BenchFile> =
        (0..FILES).map(|n| BenchFile::new(&format!("{n}.mp4"), 100 << 10)).collect::<Fallible<_>>()?;
    let platform = Platform::start(Line { latency: Duration::from_millis(50), ..Line::default() })?;
    let client = platform.client()?;
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        one.push(timed(|| {
            for file in &files {
                client.assets().create(UploadMethod::direct(file.path())).send()?;
            }
            Ok(())
        })?);
        many.push(timed(|| {
            let all = client.assets().upload_all(files.iter().map(BenchFile::path)).workers(8).send()?;
            let assets = all.map(|outcome| outcome.result).collect::<Result<Vec<_>, _>>()?;
            assert_eq!(assets.len(), FILES);
            Ok(())
        })?);
    }
    let (one, many) = (median(one), median(many));
    println!("{FILES} files of 100 KiB at 50 ms a round trip");
    println!("  one after another      {one:?}");
    println!("  upload_all, 8 workers  {many:?}, {:.2} times as fast", ratio(one, many));
    Ok(())
}

/// The properties of the connection to the platform.
#[derive(Clone, Copy)]
struct Line {
    chunk_size: u64,
    latency: Duration,
    /// The bytes per second that each connection carries, if that is limited.
    rate: Option<u64>,
}

impl Default for Line {
    fn default() -> Self {
        Line { chunk_size: 8 * MIB, latency: Duration::ZERO, rate: None }
    }
}

/// A platform with a storage that accepts everything and keeps nothing.
struct Platform {
    api: SocketAddr,
    storage: SocketAddr,
    connections: Arc<AtomicUsize>,
    line: Line,
}

impl Platform {
    fn start(line: Line) -> Fallible<Self> {
        let (api, storage) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        let place = storage.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let platform = Platform { api: api.local_addr()?, storage: place, connections: connections.clone(), line };
        let (none, reported) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for (listener, count) in [(api, none), (storage, connections)] {
            let reported = reported.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    count.fetch_add(1, Ordering::SeqCst);
                    let reported = reported.clone();
                    std::thread::spawn(move || serve(stream, place, line, &reported).ok());
                }
            });
        }
        Ok(platform)
    }

    fn client(&self) -> Fallible<TwelveLabs> {
        Ok(TwelveLabs::builder().api_key("bench").base_url(format!("http://{}", self.api)).build()?)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Sends the chunks of a file with only the HTTP library.
    fn bare(&self, path: &Path) -> Fallible {
        let length = path.metadata()?.len();
        let agent = ureq::Agent::new_with_defaults();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..WORKERS).map(|_| scope.spawn(|| self.bare_worker(&agent, path, length, &next))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
        })
        .map_err(|e: String| e.into())
    }

    fn bare_worker(&self, agent: &ureq::Agent, path: &Path, length: u64, next: &AtomicUsize) -> Result<(), String> {
        let put = || -> Fallible {
            loop {
                let offset = next.fetch_add(1, Ordering::SeqCst) as u64 * self.line.chunk_size;
                if offset >= length {
                    return Ok(());
                }
                let mut file = std::fs::File::open(path)?;
                std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(offset))?;
                let size = self.line.chunk_size.min(length - offset);
                let mut body = file.take(size);
                let request = agent.put(format!("http://{}/chunk", self.storage)).header("content-length", size);
                request.send(ureq::SendBody::from_reader(&mut body))?.body_mut().read_to_vec()?;
            }
        };
        put().map_err(|e| e.to_string())
    }
}

fn serve(stream: TcpStream, storage: SocketAddr, line: Line, reported: &AtomicUsize) -> Fallible {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::with_capacity(256 << 10, stream);
    let mut buffer = vec![0; 256 << 10];
    while let Some(head) = head(&mut input)? {
        let length = content_length(&head)?;
        let is_json = head.contains("application/json");
        let (began, mut taken, mut json) = (Instant::now(), 0, Vec::new());
        while taken < length {
            let most = usize::try_from(length - taken)?.min(buffer.len());
            let read = input.read(&mut buffer[..most])?;
            if read == 0 {
                return Ok(());
            }
            taken += read as u64;
            if is_json {
                json.extend_from_slice(&buffer[..read]);
            }
            if let Some(rate) = line.rate {
                let due = Duration::from_secs_f64(taken as f64 / rate as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        std::thread::sleep(line.latency);
        let (etag, body) = match json.is_empty() {
            true => ("etag: \"e\"\r\n", r#"{"_id":"1","status":"ready"}"#.to_string()),
            false => ("", answer(&head, &serde_json::from_slice(&json)?, storage, line.chunk_size, reported)),
        };
        write!(output, "HTTP/1.1 200 OK\r\n{etag}content-length: {}\r\n\r\n{body}", body.len())?;
    }
    Ok(())
}

/// Plays the platform's part in a chunked upload.
fn answer(
    head: &str,
    asked: &serde_json::Value,
    storage: SocketAddr,
    chunk_size: u64,
    reported: &AtomicUsize,
) -> String {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let number = |name: &str| asked[name].as_u64().unwrap_or(0);
    let urls = |start: u64, count: u64| -> Vec<serde_json::Value> {
        let url = format!("http://{storage}/chunk");
        (start..start + count).map(|index| serde_json::json!({"chunk_index": index, "url": url})).collect()
    };
    let answer = if path.ends_with("/presigned-urls") {
        serde_json::json!({"upload_urls": urls(number("start"), number("count"))})
    } else if let Some(size) = asked["total_size"].as_u64() {
        let total = size.div_ceil(chunk_size);
        reported.store(0, Ordering::SeqCst);
        serde_json::json!({
            "upload_id": "1", "asset_id": "1", "chunk_size": chunk_size, "total_chunks": total,
            "upload_urls": urls(1, total.min(10)), "upload_headers": {},
        })
    } else {
        let count = asked["completed_chunks"].as_array().map_or(0, Vec::len);
        serde_json::json!({"asset_id": "1", "total_completed": reported.fetch_add(count, Ordering::SeqCst) + count})
    };
    answer.to_string()
}
