//! Counts the instructions that a call, an item and an event take, and compares the counts with bare `ureq` and
//! `serde_json`.
//!
//! The number of instructions does not depend on the load of the machine, so each row has a fixed limit. `valgrind
//! --tool=callgrind` counts them. If valgrind is not installed, the bench says so and does nothing.
//!
//! ```sh
//! cargo bench --bench instructions                  # all rows
//! cargo bench --bench instructions -- list search   # these rows: small headers list search response ndjson
//! ```
//!
//! To see which functions take the instructions of a row, keep the profile of its last run and read it with
//! `callgrind_annotate`:
//!
//! ```sh
//! CALLGRIND_OUT=/tmp/callgrind.out cargo bench --bench instructions -- list && callgrind_annotate /tmp/callgrind.out
//! ```
//!
//! This program is the server. It runs itself as the client under valgrind, twice for each figure, with more and with
//! less work. The difference leaves out what the program does before its first request.

mod support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;
use support::{Fallible, content_length, head};
use twelvelabs::analyze::AnalyzeEvent;
use twelvelabs::assets::Asset;
use twelvelabs::search::{SearchItem, SearchOption};
use twelvelabs::{RequestOptions, TwelveLabs};

/// The number of requests of a client. The smaller run makes half as many.
const REQUESTS: usize = 60;
/// The number of items or events in a response. The smaller run has none.
const ITEMS: usize = 50;
const HEADERS: usize = 100;

/// The rows of the table: the name, the unit that is counted, and the limit.
const ROWS: [(&str, &str, f64); 6] = [
    ("small", "a small call", 1.1),
    ("headers", "a call with 100 headers", 1.5),
    ("list", "an item of a list", 1.7),
    ("search", "a hit of a search", 2.5),
    ("response", "an event of a streamed response, beside its JSON as `Value`", 2.2),
    ("ndjson", "an event of a streamed analysis, beside its JSON as `Value`", 1.6),
];

fn main() -> Fallible {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [client, row, side, url, requests] = arguments.as_slice()
        && client == "client"
    {
        return run_client(row, side, url, requests.parse()?);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return Ok(());
    }
    let base_url = start_server()?;
    let mut missed = 0;
    for (row, what, bar) in ROWS {
        if !arguments.is_empty() && !arguments.iter().any(|argument| argument == row) {
            continue;
        }
        let [bare, ours] = [count(row, "bare", &base_url)?, count(row, "ours", &base_url)?];
        let ratio = ours / bare;
        let verdict = if ratio <= bar { "" } else { "  MISSED" };
        missed += usize::from(ratio > bar);
        println!("{row:<9} {ratio:.2} (bar {bar}){verdict}: {ours:.0} instructions for {what}; bare {bare:.0}");
    }
    if missed > 0 {
        println!("{missed} bar(s) missed");
    }
    Ok(())
}

/// Returns the number of instructions of one call, item or event.
fn count(row: &str, side: &str, base_url: &str) -> Fallible<f64> {
    let per_request = matches!(row, "small" | "headers");
    let (most, least) = if per_request {
        (run(row, side, base_url, ITEMS, REQUESTS)?, run(row, side, base_url, ITEMS, REQUESTS / 2)?)
    } else {
        // Each run overwrites the profile of the previous one. The larger run comes last, to keep its profile.
        let least = run(row, side, base_url, 0, REQUESTS)?;
        (run(row, side, base_url, ITEMS, REQUESTS)?, least)
    };
    let units = if per_request { REQUESTS / 2 } else { REQUESTS * ITEMS };
    Ok((most - least) / units as f64)
}

/// Returns the number of instructions of a whole client, as counted by callgrind.
fn run(row: &str, side: &str, base_url: &str, items: usize, requests: usize) -> Fallible<f64> {
    let profile = std::env::var("CALLGRIND_OUT").unwrap_or_else(|_| "/dev/null".into());
    let outcome = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={profile}")])
        .arg(std::env::current_exe()?)
        .args(["client", row, side, &format!("{base_url}/{items}"), &requests.to_string()])
        .output()?;
    let told = String::from_utf8_lossy(&outcome.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    match collected {
        Some(collected) if outcome.status.success() => Ok(collected),
        _ => Err(format!("{row} {side}: {told}").into()),
    }
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
}

/// Makes this many requests and reads the responses, with this crate or with the bare libraries.
fn run_client(row: &str, side: &str, base_url: &str, requests: usize) -> Fallible {
    let client = TwelveLabs::builder().api_key("bench-key").base_url(base_url).build()?;
    let agent = ureq::Agent::new_with_defaults();
    let get = |path: &str| agent.get(format!("{base_url}/{path}")).header("x-api-key", "bench-key");
    let post = |path: &str| agent.post(format!("{base_url}/{path}")).header("x-api-key", "bench-key").send("{}");
    let headers: Vec<_> = (0..HEADERS).map(|n| (format!("x-header-{n}"), format!("value {n}"))).collect();
    for _ in 0..requests {
        match (row, side) {
            ("small", "bare") => {
                serde_json::from_slice::<Asset>(&get("assets/65f0").call()?.body_mut().read_to_vec()?)?;
            }
            ("small", _) => {
                client.assets().retrieve("65f0").send()?;
            }
            ("headers", "bare") => {
                let request =
                    headers.iter().fold(get("assets/65f0"), |request, (name, value)| request.header(name, value));
                serde_json::from_slice::<Asset>(&request.call()?.body_mut().read_to_vec()?)?;
            }
            ("headers", _) => {
                let options = headers.iter().fold(RequestOptions::new(), |options, (name, value)| {
                    options.additional_header(name.as_str(), value.as_str())
                });
                client.assets().retrieve("65f0").request_options(options).send()?;
            }
            ("list", "bare") => {
                let body = get("assets?page=1&page_limit=50").call()?.body_mut().read_to_vec()?;
                serde_json::from_slice::<Page<Asset>>(&body)?.data.into_iter().for_each(drop);
            }
            ("list", _) => {
                client.assets().list().page_limit(50).send()?.try_for_each(|asset| asset.map(drop))?;
            }
            ("search", "bare") => {
                let body = post("search")?.body_mut().read_to_vec()?;
                serde_json::from_slice::<Page<SearchItem>>(&body)?.data.into_iter().for_each(drop);
            }
            ("search", _) => {
                let search = client.search().query("i1", [SearchOption::Visual]).query_text("a dog");
                search.send()?.try_for_each(|hit| hit.map(drop))?;
            }
            ("response", "bare") => read_values(post("responses")?, "data: ")?,
            ("response", _) => {
                client.responses().create_stream("ks", "Who?").send()?.try_for_each(|event| event.map(drop))?;
            }
            ("ndjson", "bare") => read_values(post("analyze")?, "")?,
            ("ndjson", _) => {
                let mut events = client.analyze_stream().send()?;
                events.try_for_each(|event: Result<AnalyzeEvent, _>| event.map(drop))?;
            }
            _ => return Err(format!("there is no row {row}").into()),
        }
    }
    Ok(())
}

/// Reads the lines of a stream, and decodes the JSON in those with this prefix.
fn read_values(mut answer: ureq::http::Response<ureq::Body>, prefix: &str) -> Fallible {
    let mut lines = BufReader::new(answer.body_mut().as_reader());
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if let Some(json) = line.strip_prefix(prefix).filter(|json| json.starts_with('{')) {
            serde_json::from_str::<Value>(json)?;
        }
        line.clear();
    }
    Ok(())
}

fn start_server() -> Fallible<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base_url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream).ok());
        }
    });
    Ok(base_url)
}

/// Responds to requests. The first segment of the path is the number of items in the response.
fn serve(stream: TcpStream) -> Fallible {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(head) = head(&mut stream)? {
        let length = content_length(&head)?;
        std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
        let mut path = head.split(' ').nth(1).unwrap_or_default().split(['/', '?']).skip(1);
        let items = path.next().unwrap_or_default().parse()?;
        let (kind, body) = answer(path.next().unwrap_or_default(), path.next(), items)?;
        let mut whole = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
        whole.push_str(&body);
        stream.get_mut().write_all(whole.as_bytes())?;
    }
    Ok(())
}

/// Returns the content type and the text of a response with this many items.
fn answer(resource: &str, id: Option<&str>, items: usize) -> Fallible<(&'static str, String)> {
    let asset = |n: usize| {
        format!(
            r#"{{"_id":"65f0c2d1a4e5b6{n:06}","method":"direct","status":"ready","filename":"holiday-{n}.mp4","file_type":"video/mp4","created_at":"2026-01-02T03:04:05Z","size":1048576,"duration":61.5}}"#
        )
    };
    let list = |item: &dyn Fn(usize) -> String| (0..items).map(item).collect::<Vec<_>>().join(",");
    let mut body = String::new();
    let kind = match resource {
        "assets" if id.is_some_and(|id| id == "65f0") => {
            body = asset(0);
            "application/json"
        }
        "assets" => {
            let page = format!(r#"{{"page":1,"limit_per_page":50,"total_page":1,"total_results":{items}}}"#);
            write!(body, r#"{{"data":[{}],"page_info":{page}}}"#, list(&asset))?;
            "application/json"
        }
        "search" => {
            let hit = |n: usize| {
                format!(
                    r#"{{"start":{n}.75,"end":{n}.99,"video_id":"639963a1ce36463e019{n:05}","rank":{},"thumbnail_url":"https://example.com/thumbnails/{n}.jpg","transcription":"A woman vlogs about her summer day, sharing her experience"}}"#,
                    n + 1
                )
            };
            let page = format!(r#"{{"limit_per_page":50,"total_results":{items}}}"#);
            let pool = r#"{"total_count":10,"total_duration":8731,"index_id":"639961c9e219c90227c371a2"}"#;
            write!(body, r#"{{"search_pool":{pool},"data":[{}],"page_info":{page}}}"#, list(&hit))?;
            "application/json"
        }
        "responses" => {
            body.push_str("event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"status\":\"in_progress\",\"output\":[]}}\n\n");
            body.push_str("event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_0\",\"role\":\"assistant\"}}\n\n");
            for n in 0..items {
                write!(
                    body,
                    "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{n},\"item_id\":\"msg_0\",\"output_index\":0,\"content_index\":0,\"delta\":\" The video captures a moment\"}}\n\n"
                )?;
            }
            body.push_str("event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"status\":\"completed\",\"output\":[]}}\n\ndata: [DONE]\n\n");
            "text/event-stream"
        }
        _ => {
            body.push_str("{\"event_type\":\"stream_start\",\"metadata\":{\"generation_id\":\"g1\"}}\n");
            for n in 0..items {
                writeln!(body, r#"{{"event_type":"text_generation","text":" and here is piece {n} of the text"}}"#)?;
            }
            body.push_str("{\"event_type\":\"stream_end\",\"finish_reason\":\"stop\",\"metadata\":{\"generation_id\":\"g1\",\"usage\":{\"output_tokens\":100}}}\n");
            "application/x-ndjson"
        }
    };
    Ok((kind, body))
}
