//! Code that the benches share.

#![allow(dead_code)]

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub type Fallible<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Measures the duration of a run, without the time to drop its result.
pub fn timed<T>(run: impl FnOnce() -> Fallible<T>) -> Fallible<Duration> {
    let began = Instant::now();
    let result = run()?;
    let time = began.elapsed();
    drop(result);
    Ok(time)
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

pub fn ratio(time: Duration, beside: Duration) -> f64 {
    time.as_secs_f64() / beside.as_secs_f64()
}

/// Reads one of the memory figures of this process, in bytes.
pub fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok())?;
    Some(kib * 1024)
}

/// Resets the peak memory of this process to its current memory.
pub fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Returns the CPU time of this process so far, which does not depend on the load of the machine.
pub fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(") ").next()?.split(' ').skip(11);
    // The unit is 10 ms on every common Linux system.
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Returns the number of bytes that this process has written to disks so far.
pub fn written() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok())
}

/// A file that is removed when it is dropped.
pub struct BenchFile(pub PathBuf);

impl BenchFile {
    pub fn new(name: &str, bytes: u64) -> Fallible<Self> {
        let file = BenchFile(std::env::temp_dir().join(format!("twelvelabs-bench-{}-{name}", std::process::id())));
        let mut output = File::create(&file.0)?;
        let block: Vec<u8> = (0..1u32 << 20).map(|n| n.wrapping_mul(2_654_435_761) as u8).collect();
        let mut left = bytes;
        while left > 0 {
            let part = left.min(block.len() as u64);
            output.write_all(&block[..part as usize])?;
            left -= part;
        }
        output.sync_all()?;
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for BenchFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Reads until the other side closes the connection.
pub fn drain(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 18];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Sends a file in the simplest way: copies it to a socket, and waits until the other side has received everything.
pub fn copy_file(path: &Path, address: std::net::SocketAddr) -> Fallible {
    let mut stream = TcpStream::connect(address)?;
    io::copy(&mut File::open(path)?, &mut stream)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Reads the head of a request. Returns nothing if the other side has closed the connection.
pub fn head(input: &mut impl BufRead) -> Fallible<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

/// Returns the length of the body of a request.
pub fn content_length(head: &str) -> Fallible<u64> {
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    Ok(length.unwrap_or("0").trim().parse()?)
}

/// Responds to uploads: sends `100 Continue` if the client expects it, reads the body, and returns an asset.
pub fn answer_uploads<S: Read + Write>(mut stream: io::BufReader<S>) -> Fallible {
    let mut buffer = vec![0; 256 << 10];
    while let Some(head) = head(&mut stream)? {
        if head.to_ascii_lowercase().contains("100-continue") {
            stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut left = content_length(&head)?;
        while left > 0 {
            let most = usize::try_from(left)?.min(buffer.len());
            match stream.read(&mut buffer[..most])? {
                0 => return Ok(()),
                read => left -= read as u64,
            }
        }
        stream.get_mut().write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 11\r\n\r\n{\"_id\":\"1\"}")?;
    }
    Ok(())
}
