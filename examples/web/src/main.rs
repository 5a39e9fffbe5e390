//! A web server that streams an analysis to the browser, and stops it when the browser disconnects.
//!
//! ```text
//! cd examples/web
//! cargo run                        # without a key: one request, against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run
//! curl -N 'http://127.0.0.1:3000/ask/65f…?prompt=What+happens+here?'
//! ```
//!
//! It is a separate package, because it compiles an async runtime.

#[path = "../../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::stream;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::{sync::mpsc, task};
use twelvelabs::analyze::{AnalyzeStream, VideoContext};
use twelvelabs::{AttemptEvent, CancelHandle, FileSource, RequestOptions, TwelveLabs};

use support::{Demo, Result, has_key};

#[derive(Deserialize)]
struct Question {
    prompt: String,
}

type Failure = (StatusCode, String);

/// Cancels when it is dropped.
struct CancelOnDrop(CancelHandle);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs a call on a thread for blocking work.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> twelvelabs::Result<T> + Send + 'static,
) -> std::result::Result<T, Failure> {
    match task::spawn_blocking(call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err((StatusCode::BAD_GATEWAY, format!("{error:#}"))),
        Err(panic) => Err((StatusCode::INTERNAL_SERVER_ERROR, panic.to_string())),
    }
}

/// Returns a whole answer: `GET /summary/{asset_id}`.
async fn summary(
    State(client): State<TwelveLabs>,
    Path(asset_id): Path<String>,
) -> std::result::Result<String, Failure> {
    let cancel = CancelHandle::new();
    let _guard = CancelOnDrop(cancel.clone());
    let request = client
        .analyze()
        .video(VideoContext::asset_id(asset_id))
        .prompt("Summarize the video.")
        .request_options(RequestOptions::new().cancel_handle(&cancel));
    blocking(move || request.send()?.complete()).await
}

/// Streams an answer as the model writes it: `GET /ask/{asset_id}?prompt=…`.
async fn ask(
    State(client): State<TwelveLabs>,
    Path(asset_id): Path<String>,
    Query(question): Query<Question>,
) -> std::result::Result<Body, Failure> {
    let cancel = CancelHandle::new();
    let guard = CancelOnDrop(cancel.clone());
    let request = client
        .analyze_stream()
        .video(VideoContext::asset_id(asset_id))
        .prompt(question.prompt)
        .request_options(RequestOptions::new().cancel_handle(&cancel));
    let events = blocking(move || request.send()).await?;

    let (sender, receiver) = mpsc::channel(16);
    task::spawn_blocking(move || read(events, &sender));
    // The body owns the guard, and is dropped when the client disconnects.
    let pieces = stream::unfold((receiver, guard), |(mut receiver, guard)| async move {
        receiver.recv().await.map(|piece| (piece, (receiver, guard)))
    });
    Ok(Body::from_stream(pieces))
}

/// Reads an answer on a thread for blocking work, and sends its pieces or an error.
fn read(mut events: AnalyzeStream, sender: &mpsc::Sender<twelvelabs::Result<String>>) {
    for event in &mut events {
        if sender.blocking_send(event.map(|event| event.text().to_string())).is_err() {
            return; // the client has disconnected
        }
    }
    if let Err(error) = events.text().and_then(|answer| answer.complete()) {
        let _ = sender.blocking_send(Err(error));
    }
}

fn observe(attempt: &AttemptEvent) {
    tracing::debug!(
        route = attempt.route,
        operation = attempt.operation,
        host = attempt.host,
        attempt = attempt.attempt,
        status = attempt.status,
        error = attempt.error,
        duration_ms = attempt.duration.as_millis() as u64,
        trace_id = attempt.trace_id,
    );
}

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let runtime = tokio::runtime::Runtime::new()?;
    if !has_key() {
        return runtime.block_on(demo());
    }
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).init();
    let client = TwelveLabs::builder().observer(observe).build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:3000").await?;
        println!("listening at http://{}/ask/ASSET_ID?prompt=…", listener.local_addr()?);
        Ok(axum::serve(listener, router(client)).await?)
    })
}

fn router(client: TwelveLabs) -> Router {
    Router::new().route("/ask/{asset_id}", get(ask)).route("/summary/{asset_id}", get(summary)).with_state(client)
}

/// Serves one request, about an asset of a stand-in for the platform, and prints the response.
async fn demo() -> Result {
    let demo = Demo::start()?;
    let asset = demo.client.assets().upload(FileSource::bytes("holiday.mp4", "frames")).send()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async { axum::serve(listener, router(demo.client)).await });
    let path = format!("/ask/{}?prompt=What+happens+here%3F", asset.id);
    println!("{}", task::spawn_blocking(move || fetch(address, &path)).await??);
    server.abort();
    Ok(())
}

/// Sends a GET request and returns the response, with its headers. HTTP/1.0 has no chunks.
fn fetch(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut response = String::new();
    connection.read_to_string(&mut response)?;
    Ok(response)
}
