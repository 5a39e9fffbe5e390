//! Responses of the stand-in: whole or streamed, in sessions that remember the questions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::analyze::example;
use super::request::Request;
use super::state::{Answer, Content, State, error, missing, reply};

/// All sessions, by id.
#[derive(Default)]
pub(super) struct Responses {
    sessions: BTreeMap<String, Session>,
}

struct Session {
    knowledge_store_id: String,
    questions: Vec<String>,
}

/// The text that makes a question fail. A question with the other text gets a truncated answer.
const FAILS: &str = "please fail";
const TRUNCATED: &str = "at length";

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    match (request.method(), segments) {
        ("POST", ["responses"]) => Some(respond(state, &request.json())),
        _ => None,
    }
}

/// Returns the text of all messages, with their selections.
fn question(body: &Value) -> Result<String, String> {
    let items = body["input"].as_array().filter(|items| !items.is_empty()).ok_or("The input parameter is missing.")?;
    let mut texts = Vec::new();
    for item in items {
        let text = item["content"].as_str().unwrap_or_default();
        if item["type"] != "message" || item["role"] != "user" || !(1..=10_000).contains(&text.chars().count()) {
            return Err("An input item must be a message of the user with 1 to 10,000 characters.".into());
        }
        texts.push(text);
    }
    let mut question = texts.join("\n");
    for (n, selection) in body["selections"].as_array().into_iter().flatten().enumerate() {
        question = question.replace(&format!("{{{{sel:{n}}}}}"), selection["id"].as_str().unwrap_or_default());
    }
    match question.contains("{{sel:") {
        true => Err("A token refers to no selection.".into()),
        false => Ok(question),
    }
}

fn respond(state: &mut State, body: &Value) -> Answer {
    let invalid = |message: &str| error(400, "parameter_invalid", message);
    let Some(store) = body["knowledge_store_id"].as_str() else {
        return invalid("The knowledge_store_id parameter is missing.");
    };
    if !state.knowledge_stores.has(store) {
        return missing("knowledge-stores", store);
    }
    let question = match question(body) {
        Ok(question) => question,
        Err(why) => return invalid(&why),
    };
    let id = state.new_id();
    let session_id = body["session_id"].as_str().map_or(format!("sess_{id}"), str::to_owned);
    let new = || Session { knowledge_store_id: store.into(), questions: Vec::new() };
    let session = match body["session_id"].as_str() {
        Some(known) => state.responses.sessions.get_mut(known),
        None => Some(state.responses.sessions.entry(session_id.clone()).or_insert_with(new)),
    };
    let Some(session) = session.filter(|session| session.knowledge_store_id == store) else {
        return invalid("The knowledge store has no such session.");
    };
    let text = match body["text"]["format"]["type"].as_str() {
        Some("json_schema") => example(&body["text"]["format"]["schema"]).to_string(),
        _ => text(&question, &session.questions),
    };
    let status = match question.as_str() {
        question if question.contains(FAILS) => "failed",
        question if question.contains(TRUNCATED) => "incomplete",
        _ => "completed",
    };
    session.questions.push(question);
    let response = json!({
        "id": format!("resp_{id}"),
        "type": "response",
        "object": "response",
        "status": status,
        "incomplete_details": (status == "incomplete").then(|| json!({ "reason": "max_output_tokens" })),
        "error": (status == "failed").then(|| json!({ "code": "internal_error", "message": "The question asked for a failure." })),
        "session_id": session_id,
        "knowledge_store_id": store,
        "output": output(&id, status, &text, body),
        "usage": { "input_tokens": 1200, "output_tokens": text.split(' ').count() },
        "created_at": "2026-01-02T03:04:05Z",
    });
    match body["stream"] == json!(true) {
        true => Answer::new(200, "text/event-stream", Content::Pieces(stream(&response))),
        false => reply(200, &response),
    }
}

/// Returns the stand-in's answer about any knowledge store.
fn text(question: &str, before: &[String]) -> String {
    let remembered = before.last().map(|before| format!("Before that, you asked: {before}\n")).unwrap_or_default();
    format!("You asked: {question}\n{remembered}The stand-in has watched nothing, but a dog runs along the beach [1].")
}

/// Returns the items of a response: the intermediate steps if they were requested, and the answer.
fn output(id: &str, status: &str, text: &str, body: &Value) -> Vec<Value> {
    let message = |n: usize, phase: &str, status: &str, part: Value| {
        json!({
            "type": "message", "id": format!("msg_{id}_{n}"), "status": status, "role": "assistant", "phase": phase,
            "content": [part],
        })
    };
    let marker = text.find("[1]").map(|at| text[..at].chars().count());
    let citation = marker.map(|start| {
        json!({
            "type": "video_citation", "start_index": start, "end_index": start + 2, "item_id": "ksi_1",
            "start_sec": 2.0, "end_sec": 7.0, "title": "A dog on the beach", "thumbnail_url": null, "hls_url": null,
        })
    });
    let annotations: Vec<Value> = citation.into_iter().collect();
    let part = json!({ "type": "output_text", "text": text, "annotations": annotations });
    let answer = |n: usize| message(n, "final_answer", if status == "completed" { status } else { "incomplete" }, part);
    let wanted = body["include"].as_array().is_some_and(|include| include.contains(&json!("intermediate_outputs")));
    if !wanted {
        return vec![answer(0)];
    }
    let looks = json!({ "type": "output_text", "text": "I look for it.", "annotations": [] });
    vec![
        message(0, "commentary", "completed", looks),
        json!({
            "type": "function_call", "id": format!("fc_{id}"), "status": "completed", "name": "search",
            "call_id": "call_1", "arguments": "{\"query\":\"dog\"}",
        }),
        json!({
            "type": "function_call_output", "id": format!("fco_{id}"), "status": "completed", "call_id": "call_1",
            "output": "[\"ksi_1\"]",
        }),
        answer(3),
    ]
}

/// Returns a response as a stream of server-sent events.
fn stream(response: &Value) -> Vec<Vec<u8>> {
    let mut begun = response.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    for name in ["usage", "error", "incomplete_details"] {
        begun[name] = Value::Null;
    }
    let mut events = vec![
        json!({ "type": "response.created", "response": begun }),
        json!({ "type": "response.in_progress", "response": begun }),
    ];
    for (n, item) in response["output"].as_array().into_iter().flatten().enumerate() {
        let mut about = |kind: &str, fields: Value| {
            let mut event = json!({ "type": kind, "output_index": n });
            let fields = fields.as_object().cloned().unwrap_or_default();
            event.as_object_mut().into_iter().for_each(|event| event.extend(fields.clone()));
            events.push(event);
        };
        let mut started = item.clone();
        started["status"] = json!("in_progress");
        if item["type"] == "message" {
            started["content"] = json!([]);
        }
        about("response.output_item.added", json!({ "item": started }));
        let id = &item["id"];
        for (m, part) in item["content"].as_array().into_iter().flatten().enumerate() {
            let empty = json!({ "type": "output_text", "text": "", "annotations": [] });
            about("response.content_part.added", json!({ "item_id": id, "content_index": m, "part": empty }));
            let text = part["text"].as_str().unwrap_or_default();
            for piece in text.split_inclusive(' ') {
                about("response.output_text.delta", json!({ "item_id": id, "content_index": m, "delta": piece }));
            }
            about("response.output_text.done", json!({ "item_id": id, "content_index": m, "text": text }));
            about("response.content_part.done", json!({ "item_id": id, "content_index": m, "part": part }));
        }
        if item["type"] == "function_call" {
            let arguments = &item["arguments"];
            about("response.function_call_arguments.done", json!({ "item_id": id, "arguments": arguments }));
            events.push(json!({ "type": "keepalive" }));
        }
        events.push(json!({ "type": "response.output_item.done", "output_index": n, "item": item }));
    }
    let end = if response["status"] == "failed" { "response.failed" } else { "response.completed" };
    events.push(json!({ "type": end, "response": response }));
    let written = events.into_iter().enumerate().map(|(n, mut event)| {
        event["sequence_number"] = json!(n);
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
    });
    written.chain(["data: [DONE]\n\n".into()]).map(String::into_bytes).collect()
}
