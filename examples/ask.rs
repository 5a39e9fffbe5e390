//! Asks questions about a knowledge store in one conversation, and prints the answers while the model writes them.
//!
//! ```text
//! cargo run --example ask                     # without a key: against a stand-in on this machine
//! TWELVELABS_API_KEY=tlk_… cargo run --example ask -- KNOWLEDGE_STORE_ID QUESTION [QUESTION…]
//! ```
//!
//! Answers go to stdout, everything else to stderr. The exit code is 0, or 1 if something failed.

mod support;

use std::io::Write;
use std::process::ExitCode;

use support::{Demo, Result};
use twelvelabs::TwelveLabs;
use twelvelabs::responses::{ResponseObject, ResponseStatus};

const USAGE: &str = "usage: ask KNOWLEDGE_STORE_ID QUESTION [QUESTION…]";

fn main() -> ExitCode {
    support::finish(run())
}

fn run() -> Result {
    let arguments = support::arguments()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] if !support::has_key() => {
            let demo = Demo::start()?;
            let store = demo.client.knowledge_stores().create("Holidays").send()?;
            ask(&demo.client, &store.id, &["What happens on the beach?", "And who finds the ball?"])
        }
        [knowledge_store_id, questions @ ..] if !questions.is_empty() => {
            ask(&TwelveLabs::from_env()?, knowledge_store_id, questions)
        }
        _ => Err(USAGE.into()),
    }
}

fn ask(client: &TwelveLabs, knowledge_store_id: &str, questions: &[&str]) -> Result {
    let mut stdout = std::io::stdout().lock();
    let conversation = client.responses().conversation(knowledge_store_id);
    for question in questions {
        eprintln!("> {question}");
        let mut stream = conversation.ask(*question).stream()?;
        for delta in stream.text_deltas() {
            stdout.write_all(delta?.as_bytes())?;
            stdout.flush()?;
        }
        writeln!(stdout)?;
        sources(&stream.finish()?);
    }
    if let Some(session_id) = conversation.session_id() {
        eprintln!("session {session_id}");
    }
    Ok(())
}

/// Prints what the answer is based on, and warns if it is truncated.
fn sources(response: &ResponseObject) {
    if response.status == Some(ResponseStatus::Incomplete) {
        eprintln!("the answer was truncated");
    }
    for part in response.output.iter().flatten().flat_map(|item| item.content.iter().flatten()) {
        let text = part.text.as_deref().unwrap_or_default();
        for annotation in part.annotations.iter().flatten() {
            let marker = annotation.range_in(text).map_or("", |range| &text[range]);
            let title = annotation.title.as_deref().or(annotation.item_id.as_deref()).unwrap_or_default();
            let times = annotation.start_sec.zip(annotation.end_sec);
            eprintln!(
                "{marker} {title}{}",
                times.map_or(String::new(), |(start, end)| format!(", {start} to {end} s"))
            );
        }
    }
    if let Some(tokens) = response.usage.as_ref().and_then(|usage| usage.output_tokens) {
        eprintln!("{tokens} tokens");
    }
}
