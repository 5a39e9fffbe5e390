//! Reads a response with 10,000 vectors of 512 numbers. Compares it with the bare libraries: `ureq`, which reads the
//! response, and `serde_json`, which decodes it into the same struct.
//!
//! `cargo bench --bench decode` prints ratios of medians.

mod support;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use support::{Fallible, median, memory, ratio, reset_peak, timed};
use twelvelabs::TwelveLabs;
use twelvelabs::embed::{EmbedInput, EmbeddingSuccessResponse};

const VECTORS: usize = 10_000;
const DIMENSIONS: usize = 512;
const RUNS: usize = 15;

fn main() -> Fallible {
    let body = Arc::new(body()?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let served = body.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let served = served.clone();
            std::thread::spawn(move || serve(stream, &served).ok());
        }
    });
    let agent = ureq::Agent::new_with_defaults();
    let url = format!("{base_url}/embed-v2");
    let client = TwelveLabs::builder().api_key("bench").base_url(&base_url).build()?;

    let before = memory("VmRSS:");

    let decode = || Ok(serde_json::from_slice::<EmbeddingSuccessResponse>(body.as_bytes())?);
    let read = || {
        let mut answer = agent.post(&url).header("x-api-key", "bench").send("{}")?;
        Ok(answer.body_mut().with_config().limit(u64::MAX).read_to_vec()?)
    };
    let bare = || Ok(serde_json::from_slice::<EmbeddingSuccessResponse>(&read()?)?);
    let ours = || Ok(client.embed().v2().create(EmbedInput::text("a"), "m").send()?);

    let mut times: [Vec<Duration>; 4] = Default::default();
    for run in 0..=RUNS {
        let measured = [timed(decode)?, timed(read)?, timed(bare)?, timed(ours)?];
        // The first run warms up.
        if run > 0 {
            times.iter_mut().zip(measured).for_each(|(times, time)| times.push(time));
        }
    }
    let [decode, read, plain, own] = times.map(median);
    println!("{VECTORS} vectors of {DIMENSIONS} numbers, {} MB of JSON", body.len() / 1_000_000);
    println!("serde_json alone     {decode:?}");
    println!("ureq alone           {read:?}");
    println!("ureq and serde_json  {plain:?}{}", peak_memory(before, bare)?);
    println!("embed.v2.create      {own:?}{}", peak_memory(before, ours)?);
    println!("ratio                {:.2}", ratio(own, plain));
    Ok(())
}

/// Returns the body of the response, with numbers in the platform's format.
fn body() -> Fallible<String> {
    let mut body = String::from(r#"{"data":["#);
    let mut state = 1u32;
    for vector in 0..VECTORS {
        body.push_str(if vector == 0 { r#"{"embedding":["# } else { r#",{"embedding":["# });
        for dimension in 0..DIMENSIONS {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (f64::from(state) / f64::from(u32::MAX) - 0.5) / 5.0;
            write!(body, "{}{number:.9}", if dimension == 0 { "" } else { "," })?;
        }
        let (start, end) = (vector * 6, vector * 6 + 6);
        write!(
            body,
            r#"],"embedding_option":"visual","embedding_scope":"clip","start_sec":{start}.0,"end_sec":{end}.0}}"#
        )?;
    }
    body.push_str(r#"],"metadata":{"input_type":"video","duration":60000.0}}"#);
    Ok(body)
}

/// Returns the peak memory of the process during a run, in MB above `before`, if the system reports it.
fn peak_memory<T>(before: Option<u64>, run: impl Fn() -> Fallible<T>) -> Fallible<String> {
    let reset = reset_peak();
    run()?;
    Ok(match (reset, before, memory("VmHWM:")) {
        (true, Some(before), Some(peak)) => format!(", {} MB at the peak", peak.saturating_sub(before) / 1_000_000),
        _ => String::new(),
    })
}

/// Responds to every request with the same body.
fn serve(mut stream: TcpStream, body: &str) -> Fallible {
    stream.set_nodelay(true)?;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut buffer = [0; 4096];
    let mut have = 0;
    loop {
        match stream.read(&mut buffer[have..])? {
            0 => return Ok(()),
            read => have += read,
        }
        // The bodies of the requests are JSON objects, which contain no other closing brace.
        if buffer[..have].ends_with(b"}") {
            stream.write_all(head.as_bytes())?;
            stream.write_all(body.as_bytes())?;
            have = 0;
        }
    }
}
