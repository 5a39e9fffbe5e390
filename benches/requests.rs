//! Makes 5,000 small requests on one connection, to a server by address and by name. Compares them with the bare HTTP
//! library.
//!
//! `cargo bench --bench requests` prints ratios of medians.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{Fallible, median, ratio};
use twelvelabs::TwelveLabs;
use twelvelabs::assets::Asset;

const REQUESTS: usize = 5000;
const RUNS: usize = 7;
const BODY: &str = r#"{"_id":"65f0","method":"direct","status":"ready","filename":"holiday.mp4","file_type":"video/mp4","created_at":"2026-01-02T03:04:05Z","size":1048576,"duration":61.5}"#;

fn main() -> Fallible {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || serve(stream).ok());
        }
    });
    for host in ["127.0.0.1", "localhost"] {
        compare(&format!("http://{host}:{port}"), &connections)?;
    }
    Ok(())
}

fn compare(base_url: &str, connections: &AtomicUsize) -> Fallible {
    println!("{base_url}");
    let agent = ureq::Agent::new_with_defaults();
    let url = format!("{base_url}/assets/65f0");
    let client = TwelveLabs::builder().api_key("bench").base_url(base_url).build()?;

    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    let mut used = 0;
    for run in 0..=RUNS {
        let plain = timed(|| {
            let body = agent.get(&url).header("x-api-key", "bench").call()?.body_mut().read_to_vec()?;
            serde_json::from_slice::<Asset>(&body)?;
            Ok(())
        })?;
        let before = connections.load(Ordering::SeqCst);
        let own = timed(|| {
            client.assets().retrieve("65f0").send()?;
            Ok(())
        })?;
        used += connections.load(Ordering::SeqCst) - before;
        if run > 0 {
            bare.push(plain);
            ours.push(own);
        }
    }
    let (bare, ours) = (median(bare), median(ours));
    println!("bare library     {REQUESTS} requests in {bare:?}");
    println!("assets.retrieve  {REQUESTS} requests in {ours:?} on {used} connection(s)");
    println!("ratio            {:.2}", ratio(ours, bare));
    Ok(())
}

fn timed(mut request: impl FnMut() -> Fallible) -> Fallible<std::time::Duration> {
    support::timed(|| (0..REQUESTS).try_for_each(|_| request()))
}

fn serve(mut stream: TcpStream) -> Fallible {
    stream.set_nodelay(true)?;
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    let mut buffer = [0; 4096];
    let mut have = 0;
    loop {
        match stream.read(&mut buffer[have..])? {
            0 => return Ok(()),
            read => have += read,
        }
        if buffer[..have].ends_with(b"\r\n\r\n") {
            stream.write_all(answer.as_bytes())?;
            have = 0;
        }
    }
}
