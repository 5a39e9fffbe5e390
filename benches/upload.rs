//! Sends a file to a server on loopback. Compares it with the simplest way to send a file.
//!
//! `cargo bench --bench upload` sends 1 GiB (or `UPLOAD_MIB` MiB). It prints ratios of medians.

mod support;

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};

use support::{BenchFile, Fallible, answer_uploads, copy_file, drain, median, memory, ratio, timed};
use twelvelabs::TwelveLabs;
use twelvelabs::assets::UploadMethod;

const RUNS: usize = 5;

fn main() -> Fallible {
    let mib: u64 = std::env::var("UPLOAD_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1024);
    let file = BenchFile::new("direct.mp4", mib << 20)?;
    let sink = TcpListener::bind("127.0.0.1:0")?;
    let platform = TcpListener::bind("127.0.0.1:0")?;
    let (sink_address, base_url) = (sink.local_addr()?, format!("http://{}", platform.local_addr()?));
    std::thread::spawn(move || sink.incoming().flatten().try_for_each(drain));
    std::thread::spawn(move || platform.incoming().flatten().try_for_each(|stream| answer(stream).or(Ok::<_, ()>(()))));
    let client = TwelveLabs::builder().api_key("bench").base_url(base_url).build()?;

    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let copied = timed(|| copy_file(file.path(), sink_address))?;
        let uploaded = timed(|| {
            client.assets().create(UploadMethod::direct(file.path())).send()?;
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
    println!("ratio          {:.2}", ratio(ours, plain));
    if let Some(peak) = memory("VmHWM:") {
        println!("peak memory    {:.1} MB with the server", peak as f64 / 1e6);
    }
    Ok(())
}

fn answer(stream: TcpStream) -> Fallible {
    stream.set_nodelay(true)?;
    answer_uploads(BufReader::with_capacity(256 << 10, stream))
}
