//! Receives the notification of a finished analysis, verifies it, and prints the result.
//!
//! ```text
//! cargo run --example webhook                       # without a key: against a stand-in on this machine
//! export TWELVELABS_API_KEY=tlk_… TWELVELABS_WEBHOOK_SECRET=…
//! cargo run --example webhook -- 127.0.0.1:8080     # the address to which your tunnel or proxy forwards deliveries
//! ```
//!
//! It ends after the first genuine delivery. It responds to any other with 400. The result goes to stdout, everything
//! else to stderr. The exit code is 0, or 1 if something failed.

mod support;

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::{Demo, Result};
use twelvelabs::analyze::VideoContext;
use twelvelabs::webhooks::{SIGNATURE_HEADER, Webhook, WebhookEvent, WebhookEventData};
use twelvelabs::{FileSource, TwelveLabs};

const USAGE: &str = "usage: webhook ADDRESS:PORT, with the secret of the endpoint in TWELVELABS_WEBHOOK_SECRET";
const LARGEST_HEAD: u64 = 64 << 10;
const LARGEST_BODY: usize = 1 << 20;
const SILENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = support::arguments()?;
    match arguments.as_slice() {
        [] if !support::has_key() => demo(),
        [address] => {
            let client = TwelveLabs::from_env()?;
            let webhook = Webhook::new(env::var("TWELVELABS_WEBHOOK_SECRET").map_err(|_| USAGE)?);
            let listener = TcpListener::bind(address)?;
            eprintln!("listening on {}", listener.local_addr()?);
            handle(&client, receive(&listener, &webhook)?)
        }
        _ => Err(USAGE.into()),
    }
}

/// Analyzes a video on the stand-in, then delivers a forged event and the genuine one.
fn demo() -> Result {
    let Demo { client, stand_in: _stand_in } = Demo::start()?;
    let asset = client.assets().upload(FileSource::bytes("sample.mp4", vec![0; 1000])).send()?;
    let tasks = client.analyze_async().tasks();
    let task = tasks.create().video(VideoContext::asset_id(asset.id)).prompt("What happens here?").send()?;
    let task = tasks.wait_for_done(&task.task_id).send()?;

    let webhook = Webhook::new("whsec_demo");
    let body = json!({
        "id": "whe_demo",
        "created_at": "2026-01-02T03:04:05Z",
        "type": "analyze.task.ready",
        "data": {"id": task.task_id, "custom_id": null, "status": "ready"},
    });
    let body = body.to_string();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let sender = thread::spawn(move || {
        deliver(address, &Webhook::new("a guess").sign(body.as_bytes()), &body)?;
        deliver(address, &Webhook::new("whsec_demo").sign(body.as_bytes()), &body)
    });
    let event = receive(&listener, &webhook)?;
    sender.join().map_err(|_| "the delivery failed")??;
    handle(&client, event)
}

fn deliver(address: SocketAddr, signature: &str, body: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let head = format!("POST /webhook HTTP/1.1\r\n{SIGNATURE_HEADER}: {signature}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    eprintln!("  response to a delivery: {}", answer.trim());
    Ok(())
}

/// Handles an event. A server that keeps running would do this on another thread, and store the ids of the events it
/// has handled, because the platform may redeliver an event.
fn handle(client: &TwelveLabs, event: WebhookEvent) -> Result {
    eprintln!("event {} of type {}", event.id, event.kind);
    match event.data {
        WebhookEventData::AnalyzeTaskReady(task) => {
            let task = client.analyze_async().tasks().retrieve(&task.id).send()?;
            writeln!(io::stdout(), "{}", task.result.unwrap_or_default().data.unwrap_or_default())?;
        }
        WebhookEventData::AnalyzeTaskFailed(task) => {
            let reason = task.error.and_then(|error| error.message).unwrap_or_default();
            return Err(format!("task {} failed: {reason}", task.id).into());
        }
        _ => eprintln!("this event needs no action"),
    }
    Ok(())
}

/// Responds to deliveries until one is genuine, and returns its event.
fn receive(listener: &TcpListener, webhook: &Webhook) -> Result<WebhookEvent> {
    loop {
        let (mut stream, _) = listener.accept()?;
        match read(&stream).and_then(|(signature, body)| Ok(webhook.verify(&body, signature.as_deref())?)) {
            Ok(event) => {
                // Answers before the work begins, so that the platform does not wait.
                answer(&mut stream, "204 No Content")?;
                return Ok(event);
            }
            Err(error) => {
                eprintln!("  refused: {error}");
                // The sender may have disconnected.
                let _ = answer(&mut stream, "400 Bad Request");
            }
        }
    }
}

fn answer(stream: &mut TcpStream, status: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// Reads the signature and the body of a request: a minimal HTTP reader.
fn read(stream: &TcpStream) -> Result<(Option<String>, Vec<u8>)> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream);
    let (mut signature, mut length) = (None, None);
    for line in reader.by_ref().take(LARGEST_HEAD).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case(SIGNATURE_HEADER) {
            signature = Some(value.trim().to_string());
        } else if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
    let length = length.filter(|length| *length <= LARGEST_BODY).ok_or("the body has no length, or is too long")?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((signature, body))
}
