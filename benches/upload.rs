//! Uploads a file in one request to a server on loopback. Compares it with three other ways to send a file:
//! `std::io::copy` to a socket, the bare HTTP library with the same buffer, and `curl` if it is installed.
//!
//! `cargo bench --bench upload` sends 1 GiB (or `UPLOAD_MIB` MiB). It prints ratios of medians. At the end, an upload over
//! a slow line shows how much CPU time the waiting costs.

mod support;

use std::fs::File;
use std::io::{BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{BenchFile, Fallible, answer_uploads, copy_file, cpu_time, drain, median, memory, ratio, timed};
use twelvelabs::TwelveLabs;
use twelvelabs::assets::UploadMethod;

const RUNS: usize = 5;
/// The size of the output buffer that the crate gives the HTTP library.
const BUFFER: usize = 1 << 20;

fn main() -> Fallible {
    let mib: u64 = std::env::var("UPLOAD_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    let file = BenchFile::new("direct.mp4", mib << 20)?;
    let sink = TcpListener::bind("127.0.0.1:0")?;
    let sink_address = sink.local_addr()?;
    std::thread::spawn(move || sink.incoming().flatten().try_for_each(drain));
    let base_url = platform(None)?;
    let client = TwelveLabs::builder().api_key("bench").base_url(&base_url).build()?;
    let agent: ureq::Agent = ureq::Agent::config_builder().output_buffer_size(BUFFER).build().into();
    let has_curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok();

    let (mut copied, mut bare, mut curled, mut ours) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let times = [
            timed(|| copy_file(file.path(), sink_address))?,
            timed(|| post(&agent, &base_url, file.path()))?,
            if has_curl { timed(|| curl(&base_url, file.path()))? } else { Duration::ZERO },
            timed(|| {
                client.assets().create(UploadMethod::direct(file.path())).send()?;
                Ok(())
            })?,
        ];
        // The first run warms the page cache.
        if run > 0 {
            for (all, time) in [&mut copied, &mut bare, &mut curled, &mut ours].into_iter().zip(times) {
                all.push(time);
            }
        }
    }
    let ours = median(ours);
    println!("assets.create  {mib} MiB in {ours:?}");
    for (name, times) in [("std::io::copy", copied), ("bare ureq", bare), ("curl", curled)] {
        let time = median(times);
        if time > Duration::ZERO {
            println!("{name:<14} {mib} MiB in {time:?}, ratio {:.2}", ratio(ours, time));
        }
    }
    if let Some(peak) = memory("VmHWM:") {
        println!("peak memory    {:.1} MB with the server", peak as f64 / 1e6);
    }
    slow_line()
}

/// Uploads over a line of 1 MB/s, and prints how much of a core that takes, the server included.
fn slow_line() -> Fallible {
    const LENGTH: u64 = 12 << 20;
    let file = BenchFile::new("slow.mp4", LENGTH)?;
    let client = TwelveLabs::builder().api_key("bench").base_url(platform(Some(1_000_000))?).build()?;
    let (Some(before), began) = (cpu_time(), Instant::now()) else { return Ok(()) };
    client.assets().create(UploadMethod::direct(file.path())).send()?;
    let used = cpu_time().unwrap_or_default().saturating_sub(before);
    println!("at 1 MB/s      {:.1} % of a core with the server", 100.0 * ratio(used, began.elapsed()));
    Ok(())
}

/// Sends the file as the body of a request, with nothing but the HTTP library.
fn post(agent: &ureq::Agent, base_url: &str, path: &Path) -> Fallible {
    let file = File::open(path)?;
    let request = agent.post(format!("{base_url}/assets")).header("content-length", file.metadata()?.len());
    request.send(file)?.body_mut().read_to_vec()?;
    Ok(())
}

fn curl(base_url: &str, path: &Path) -> Fallible {
    let status = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--form", "method=direct"])
        .args(["--form", &format!("file=@{}", path.display())])
        .arg(format!("{base_url}/assets"))
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("curl ended with {status}").into()) }
}

/// Starts a platform that reads this many bytes a second from each connection, if that is limited. Returns its URL.
fn platform(rate: Option<u64>) -> Fallible<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base_url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, rate).ok());
        }
    });
    Ok(base_url)
}

fn answer(stream: TcpStream, rate: Option<u64>) -> Fallible {
    stream.set_nodelay(true)?;
    answer_uploads(BufReader::with_capacity(256 << 10, Paced { stream, rate }))
}

/// A stream from which a limited number of bytes is read in a second.
struct Paced {
    stream: TcpStream,
    rate: Option<u64>,
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(rate) = self.rate else { return self.stream.read(buffer) };
        let part = buffer.len().min(20_000);
        let read = self.stream.read(&mut buffer[..part])?;
        std::thread::sleep(Duration::from_secs_f64(read as f64 / rate as f64));
        Ok(read)
    }
}

impl std::io::Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}
