//! Measures the memory that a response takes, whatever is wrong with it. Each response is read by its own process,
//! whose peak memory is compared with the size of the response.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::num::NonZero;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use twelvelabs::assets::Asset;
use twelvelabs::{Error, Result, TwelveLabs};

const SIZE: usize = 20 << 20;
/// The size of responses with many small items, which is smaller so that the test does not take long.
const SMALL: usize = 2 << 20;
/// The memory that does not depend on the response: the program, connection buffers and the allocator.
const REST: u64 = 16 << 20;
const KEPT: usize = 64 << 10;
const URL: &str = "TWELVELABS_MEMORY_TEST_URL";
const CASE: &str = "TWELVELABS_MEMORY_TEST_CASE";

struct Case {
    name: &'static str,
    status: u16,
    answer: fn() -> String,
    call: fn(&TwelveLabs) -> Result<()>,
}

fn asset(size: &str, rest: &str) -> String {
    format!(r#"{{"_id":"1","size":{size},"filename":"{}"{rest}}}"#, "x".repeat(SIZE))
}

fn words(first: &str) -> String {
    let word = |n| format!(r#"{{"start":{n}.25,"end":{n}.75,"value":"a word of {n} and several others"}}"#);
    format!(r#"{{"_id":"1","words":[{first},{}]}}"#, repeated(SIZE, word))
}

fn page(items: &str) -> String {
    format!(r#"{{"data":[{items}],"page_info":{{"page":1,"total_page":1}}}}"#)
}

/// Returns pieces of this size in total, separated by commas.
fn repeated(size: usize, piece: impl Fn(usize) -> String) -> String {
    let mut all = piece(0);
    let mut n = 1;
    while all.len() < size {
        all += ",";
        all += &piece(n);
        n += 1;
    }
    all
}

fn retrieve(client: &TwelveLabs) -> Result<Asset> {
    client.assets().retrieve("1").send()
}

/// Returns the error of a call that must fail, and checks that the error keeps little of the response.
fn failed<T>(outcome: Result<T>) -> Error {
    let Err(e) = outcome else { panic!("it has to fail") };
    let kept = match &e {
        Error::Decode { response, .. } => response.body.capacity(),
        Error::Api(e) => e.body.capacity(),
        other => panic!("{other}"),
    };
    assert!(kept <= KEPT, "the error keeps {kept} bytes");
    e
}

fn transcription(client: &TwelveLabs) -> Result<()> {
    let read = client.assets().retrieve_transcription("1").send()?;
    assert!(read.words.is_some_and(|words| words.len() > 200_000));
    Ok(())
}

fn list(client: &TwelveLabs) -> Result<Vec<Result<Asset>>> {
    Ok(client.assets().list().send()?.collect())
}

const CASES: [Case; 15] = [
    Case {
        name: "proper",
        status: 200,
        answer: || asset("5", ""),
        call: |client| {
            assert_eq!(retrieve(client)?.size, Some(5));
            Ok(())
        },
    },
    Case {
        name: "one bad field",
        status: 200,
        answer: || asset("[5]", ""),
        call: |client| {
            assert_eq!(retrieve(client)?.size, None);
            Ok(())
        },
    },
    Case {
        name: "several bad fields",
        status: 200,
        answer: || {
            asset("5.5", r#","created_at":"2026-01-02","duration":"5","status":7,"user_metadata":[1],"x":1e999"#)
        },
        call: |client| {
            assert!(retrieve(client)?.created_at.is_some());
            Ok(())
        },
    },
    Case {
        name: "cut off",
        status: 200,
        answer: || asset("5", "")[..SIZE].into(),
        call: |client| {
            assert!(failed(retrieve(client)).to_string().contains("truncated"));
            Ok(())
        },
    },
    Case {
        name: "no id",
        status: 200,
        answer: || asset("5", "").replacen("_id", "id", 1),
        call: |client| {
            failed(retrieve(client));
            Ok(())
        },
    },
    Case {
        name: "one bad field and the key",
        status: 200,
        answer: || asset("[5]", r#","x":"tlk_test_key""#),
        call: |client| {
            assert_eq!(retrieve(client)?.size, None);
            Ok(())
        },
    },
    Case {
        name: "a refusal",
        status: 400,
        answer: || format!(r#"{{"message":"no","details":[{}]}}"#, repeated(SIZE, |n| format!(r#"{{"a":{n}}}"#))),
        call: |client| {
            failed(retrieve(client));
            Ok(())
        },
    },
    Case {
        name: "HTML",
        status: 200,
        answer: || format!("<html>{}", "x".repeat(SIZE)),
        call: |client| {
            failed(retrieve(client));
            Ok(())
        },
    },
    Case { name: "many words", status: 200, answer: || words(r#"{"start":0.5}"#), call: transcription },
    Case { name: "many words, one bad", status: 200, answer: || words(r#"{"start":"?"}"#), call: transcription },
    Case {
        name: "many words, all bad",
        status: 200,
        answer: || {
            let word = |n| format!(r#"{{"start":"?{n}","end":{n},"value":"a word of {n} and several others"}}"#);
            format!(r#"{{"_id":"1","words":[{}]}}"#, repeated(SMALL, word))
        },
        call: |client| {
            let words = client.assets().retrieve_transcription("1").send()?.words.unwrap_or_default();
            assert!(words.len() > 25_000 && words.iter().all(|word| word.start.is_none() && word.end.is_some()));
            Ok(())
        },
    },
    Case {
        name: "a bad field in each of 1000 items",
        status: 200,
        answer: || {
            let name = "n".repeat(20_000);
            page(&repeated(SIZE, |n| format!(r#"{{"_id":"{n}","size":"?","filename":"{name}"}}"#)))
        },
        call: |client| {
            let items = list(client)?;
            assert!(items.len() > 1000 && items.iter().all(Result::is_ok));
            Ok(())
        },
    },
    Case {
        name: "1000 undecodable items",
        status: 200,
        answer: || {
            let name = "n".repeat(20_000);
            page(&repeated(SIZE, |n| format!(r#"{{"size":{n},"filename":"{name}"}}"#)))
        },
        call: |client| {
            let items = list(client)?;
            assert!(items.len() > 1000);
            items.into_iter().for_each(|item| drop(failed(item)));
            Ok(())
        },
    },
    Case {
        name: "many small items",
        status: 200,
        answer: || page(&repeated(SMALL, |n| format!(r#"{{"_id":"{n}"}}"#))),
        call: |client| {
            assert!(client.assets().list().send()?.filter(Result::is_ok).count() > 100_000);
            Ok(())
        },
    },
    Case {
        name: "many small items that cannot be decoded",
        status: 200,
        answer: || page(&repeated(SMALL, |_| "{}".into())),
        call: |client| {
            assert!(client.assets().list().send()?.filter(Result::is_err).count() > 500_000);
            Ok(())
        },
    },
];

/// Responds to every request with this status and this body.
fn serve(status: u16, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(std::result::Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(std::result::Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let head = format!("HTTP/1.1 {status} S\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(&body));
        }
    });
    url
}

/// Reads the response of a case in a process of its own, and says whether that took too much memory. `None` if this
/// system does not report how much memory a process uses.
fn takes_too_much(case: &Case) -> Option<bool> {
    let body = (case.answer)().into_bytes();
    let size = body.len() as u64;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "reads_one_answer", "--ignored", "--nocapture"]);
    let outcome = child.env(URL, serve(case.status, body)).env(CASE, case.name).output().unwrap();
    let told = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success(), "{}: {told}{}", case.name, String::from_utf8_lossy(&outcome.stderr));
    let peak: u64 = told.lines().find_map(|line| line.split_once("peak ")?.1.parse().ok())?;
    println!("{}: {:.2} times {} KB", case.name, peak as f64 / size as f64, size / 1000);
    Some(peak > 4 * size + REST)
}

#[test]
fn a_response_takes_a_small_multiple_of_its_size() {
    let (cases, over) = (Mutex::new(CASES.iter()), Mutex::new(Vec::new()));
    let next = || cases.lock().unwrap().next();
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(4);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = next() {
                    match takes_too_much(case) {
                        Some(true) => over.lock().unwrap().push(case.name),
                        Some(false) => {}
                        None => return eprintln!("this system does not report memory: {} is NOT tested", case.name),
                    }
                }
            });
        }
    });
    let over = over.into_inner().unwrap();
    assert!(over.is_empty(), "these take more than 4 times their size: {over:?}");
}

#[test]
#[ignore = "it is the process that the other test starts"]
fn reads_one_answer() {
    let (Ok(url), Ok(name)) = (std::env::var(URL), std::env::var(CASE)) else { return };
    let case = CASES.into_iter().find(|case| case.name == name).unwrap();
    let client = TwelveLabs::builder().api_key("tlk_test_key").base_url(url).max_retries(0).build().unwrap();
    (case.call)(&client).unwrap();
    // This is the peak of the whole process. `REST` accounts for everything except the response.
    if let Some(peak) = memory("VmHWM:") {
        println!("\npeak {peak}");
    }
}

/// Reads one of the memory figures of this process, in bytes.
fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = status.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok())?;
    Some(kib * 1024)
}
