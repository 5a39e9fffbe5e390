//! Sends a file to a server on loopback and holds it against the plainest way to send a file.
//!
//! `cargo bench --bench upload` sends 1 GiB (or `UPLOAD_MIB` MiB); the figures are ratios of the medians.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use twelvelabs::{TwelveLabs, UploadMethod};

const RUNS: usize = 5;
type Fallible<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible {
    let mib: u64 = std::env::var("UPLOAD_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    let path = std::env::temp_dir().join(format!("twelvelabs-bench-{}.mp4", std::process::id()));
    let result = make_file(&path, mib).and_then(|()| measure(&path, mib));
    std::fs::remove_file(&path)?;
    result
}

fn measure(path: &Path, mib: u64) -> Fallible {
    let sink = TcpListener::bind("127.0.0.1:0")?;
    let platform = TcpListener::bind("127.0.0.1:0")?;
    let (sink_address, base_url) = (sink.local_addr()?, format!("http://{}", platform.local_addr()?));
    std::thread::spawn(move || sink.incoming().flatten().try_for_each(drain));
    std::thread::spawn(move || platform.incoming().flatten().try_for_each(|stream| answer(stream).or(Ok::<_, ()>(()))));
    let client = TwelveLabs::builder().api_key("bench").base_url(base_url).build()?;

    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let copied = timed(|| {
            let mut stream = TcpStream::connect(sink_address)?;
            io::copy(&mut File::open(path)?, &mut stream)?;
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new())?;
            Ok(())
        })?;
        let uploaded = timed(|| {
            client.assets().create(UploadMethod::direct(path)).send()?;
            Ok(())
        })?;
        // The first run warms the page cache.
        if run > 0 {
            plain.push(copied);
            ours.push(uploaded);
        }
    }
    let (plain, ours) = (median(plain), median(ours));
    println!("std::io::copy  {mib} MiB in {plain:?}");
    println!("assets.create  {mib} MiB in {ours:?}");
    println!("ratio          {:.2}", ours.as_secs_f64() / plain.as_secs_f64());
    if let Some(peak) = peak_memory() {
        println!("peak memory    {peak}");
    }
    Ok(())
}

fn make_file(path: &Path, mib: u64) -> Fallible {
    let mut file = File::create(path)?;
    let block: Vec<u8> = (0..1u32 << 20).map(|n| n.wrapping_mul(2_654_435_761) as u8).collect();
    (0..mib).try_for_each(|_| file.write_all(&block))?;
    Ok(())
}

fn timed(run: impl FnOnce() -> Fallible) -> Fallible<Duration> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Reads until the other side is done.
fn drain(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 18];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Answers uploads: reads the headers, asks for the body if it was offered, reads it, and gives an asset.
fn answer(mut stream: TcpStream) -> Fallible {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 18];
    let mut have = 0;
    loop {
        let head = loop {
            if let Some(at) = buffer[..have].windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut buffer[have..])? {
                0 => return Ok(()),
                read => have += read,
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or("0");
        let mut left = length.trim().parse::<usize>()?.saturating_sub(have - head);
        if text.contains("100-continue") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while left > 0 {
            left -= stream.read(&mut buffer)?.max(1).min(left);
        }
        have = 0;
        let body = r#"{"_id":"1"}"#;
        let answer = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes())?;
    }
}

/// The most memory this process has had, where the system tells.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_string())
}
