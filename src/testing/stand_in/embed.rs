//! Embeddings of the stand-in.
//!
//! A vector is computed from words: those of a text, of a file's name, or of a file's content if it is text. Inputs
//! that share words are similar. Media with the word `broken` cannot be embedded.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::form::Part;
use super::request::Request;
use super::state::{Answer, Pace, Stage, State, error, missing, page, reply};
use crate::hash::Fnv1a;

/// The duration of every video and audio file in seconds.
const DURATION: f64 = 12.5;
const CLIP: f64 = 6.0;
const DIMENSIONS: usize = 512;
const MAX_DIMENSIONS: usize = 4096;
const BROKEN: &str = "We could not process your media for embedding.";

/// All embedding tasks, by id.
#[derive(Default)]
pub(super) struct Embeddings {
    older: BTreeMap<String, Task>,
    current: BTreeMap<String, Task>,
}

/// A task as the list shows it, and the fields that are added once it is ready.
struct Task {
    task: Value,
    ready: Result<Value, String>,
    polls: u32,
}

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    Some(match (request.method(), segments) {
        ("POST", ["embed"]) => create_older(request),
        ("POST", ["embed", "tasks"]) => create_older_task(state, request),
        ("GET", ["embed", "tasks"]) => list(&mut state.embeddings.older, request, &state.pace),
        ("GET", ["embed", "tasks", id, "status"]) => match state.embeddings.older.get_mut(*id) {
            Some(task) => {
                task.poll(&state.pace);
                reply(200, &task.task)
            }
            None => missing("embedding_tasks", id),
        },
        ("GET", ["embed", "tasks", id]) => match state.embeddings.older.get(*id) {
            Some(task) => reply(200, &task.whole()),
            None => missing("embedding_tasks", id),
        },
        ("POST", ["embed-v2"]) => match embed(state, &request.json()) {
            Ok((_, words)) if is_broken(&words) => refusal(BROKEN),
            Ok((answer, _)) => reply(200, &answer),
            Err(refusal) => refusal,
        },
        ("POST", ["embed-v2", "tasks"]) => create_task(state, request),
        ("GET", ["embed-v2", "tasks"]) => list(&mut state.embeddings.current, request, &state.pace),
        ("GET", ["embed-v2", "tasks", id]) => match state.embeddings.current.get_mut(*id) {
            Some(task) => {
                task.poll(&state.pace);
                reply(200, &task.whole())
            }
            None => missing("embedding_tasks", id),
        },
        _ => return None,
    })
}

impl Task {
    fn new(task: Value, ready: Result<Value, String>) -> Self {
        Task { task, ready, polls: 0 }
    }

    fn poll(&mut self, pace: &Pace) {
        match pace.poll(&mut self.polls) {
            Stage::Working => return,
            Stage::Ready => {}
            Stage::Failed(code) => self.ready = Err(format!("The embedding failed: {code}.")),
        }
        self.task["status"] = json!(if self.ready.is_ok() { "ready" } else { "failed" });
    }

    /// Returns the whole task: if it has ended, with its vectors or the reason for the failure.
    fn whole(&self) -> Value {
        let mut whole = self.task.clone();
        let more = match &self.ready {
            _ if self.task["status"] == "processing" => json!({}),
            Ok(ready) => ready.clone(),
            Err(why) => json!({"error": {"message": why}}),
        };
        for (name, value) in more.as_object().into_iter().flatten() {
            whole[name.as_str()] = value.clone();
        }
        whole
    }
}

fn list(tasks: &mut BTreeMap<String, Task>, request: &Request, pace: &Pace) -> Answer {
    let found = tasks.values_mut().rev().filter_map(|task| {
        if request.is_first_page() {
            task.poll(pace);
        }
        request.admits("status", &task.task["status"]).then(|| task.task.clone())
    });
    page(request, &found.collect::<Vec<_>>())
}

fn create_task(state: &mut State, request: &Request) -> Answer {
    let body = request.json();
    let (answer, words) = match embed(state, &body) {
        Ok(embedded) => embedded,
        Err(refusal) => return refusal,
    };
    let id = state.new_id();
    let kind = body["input_type"].as_str().unwrap_or_default();
    let task = json!({
        "_id": id,
        "model_name": body["model_name"],
        "status": "processing",
        "created_at": "2026-01-02T03:04:05Z",
        format!("{kind}_embedding"): {"metadata": {"duration": DURATION}},
    });
    let ready = if is_broken(&words) { Err(BROKEN.into()) } else { Ok(answer) };
    state.embeddings.current.insert(id.clone(), Task::new(task, ready));
    reply(202, &json!({"_id": id, "status": "processing", "data": null}))
}

/// Returns the answer for an input, and the words from which it was computed.
fn embed(state: &State, body: &Value) -> Result<(Value, String), Answer> {
    let kind = body["input_type"].as_str().ok_or_else(|| refusal("The input_type parameter is missing."))?;
    let model = body["model_name"].as_str().ok_or_else(|| refusal("The model_name parameter is missing."))?;
    let input = &body[kind];
    if !input.is_object() {
        return Err(refusal(&format!("The {kind} parameter is missing.")));
    }
    let text = input["input_text"].as_str().unwrap_or_default();
    let words = match kind {
        "text" => text.to_owned(),
        "image" | "audio" | "video" | "document" => media_words(state, &input["media_source"])?,
        "text_image" => format!("{text} {}", media_words(state, &input["media_source"])?),
        "multi_input" => {
            let sources = input["media_sources"].as_array().into_iter().flatten();
            let words = sources.map(|source| media_words(state, source)).collect::<Result<Vec<_>, _>>()?;
            format!("{text} {}", words.join(" "))
        }
        _ => return Err(refusal("The input_type parameter is not valid.")),
    };
    let dimensions = match body["embedding_dimension"].as_u64() {
        None => DIMENSIONS,
        Some(dimensions) => usize::try_from(dimensions)
            .ok()
            .filter(|dimensions| (1..=MAX_DIMENSIONS).contains(dimensions))
            .ok_or_else(|| refusal("The embedding_dimension parameter is not valid."))?,
    };
    let mut data = match kind {
        "audio" => clips(&words, input, &["audio"], dimensions),
        "video" => clips(&words, input, &["visual", "audio"], dimensions),
        _ => vec![json!({"embedding": vector(&words, dimensions)})],
    };
    if body["embedding_uncertainty"] == true {
        data.iter_mut().for_each(|data| data["embedding_uncertainty"] = json!(vec![0.25; dimensions]));
    }
    let mut answer = json!({"data": data, "metadata": {"input_type": kind}});
    if matches!(kind, "audio" | "video") {
        answer["metadata"]["duration"] = json!(DURATION);
    }
    if model == "marengo3.5" {
        let tokens = words.split_whitespace().count();
        answer["usage"] = json!({"input_tokens": {"text": tokens}, "truncated": false});
    }
    Ok((answer, words))
}

/// Returns the embeddings of audio or video for each requested option and scope.
fn clips(words: &str, input: &Value, options: &[&str], dimensions: usize) -> Vec<Value> {
    let asked = |name: &str, default: &[&str]| -> Vec<String> {
        let given =
            input[name].as_array().map(|items| items.iter().filter_map(Value::as_str).map(Into::into).collect());
        given.unwrap_or_else(|| default.iter().map(ToString::to_string).collect())
    };
    let scopes = asked("embedding_scope", &["clip", "asset"]);
    let segmentation = input["segmentation"].get("temporal").unwrap_or(&input["segmentation"]);
    let length = segmentation["fixed"]["duration_sec"].as_f64().filter(|length| *length >= 1.0).unwrap_or(CLIP);
    let mut data = Vec::new();
    for option in asked("embedding_option", options) {
        let mut add = |words: &str, scope: &str, start: f64, end: f64| {
            data.push(json!({
                "embedding": vector(words, dimensions),
                "embedding_option": option,
                "embedding_scope": scope,
                "start_sec": start,
                "end_sec": end,
            }));
        };
        if scopes.iter().any(|scope| scope == "clip" || scope == "local") {
            let mut start = 0.0;
            while start < DURATION {
                // The start is part of the text, so that every clip has a slightly different vector.
                add(&format!("{words} {option} from{start}"), "clip", start, (start + length).min(DURATION));
                start += length;
            }
        }
        if scopes.iter().any(|scope| scope == "asset") {
            add(&format!("{words} {option}"), "asset", 0.0, DURATION);
        }
    }
    data
}

fn media_words(state: &State, source: &Value) -> Result<String, Answer> {
    match (source["asset_id"].as_str(), source["url"].as_str(), source["base64_string"].as_str()) {
        (Some(id), _, _) => match state.assets.get(id) {
            Some(asset) if asset["status"] == "ready" => Ok(asset["filename"].as_str().unwrap_or_default().to_owned()),
            Some(_) => Err(refusal("The asset is not ready.")),
            None => Err(missing("assets", id)),
        },
        (_, Some(url), _) => Ok(last_segment(url)),
        (_, _, Some(text)) => match BASE64_STANDARD.decode(text) {
            Ok(content) => Ok(String::from_utf8_lossy(&content).into_owned()),
            Err(_) => Err(refusal("The base64_string parameter is not valid.")),
        },
        _ => Err(refusal("The media_source parameter is missing.")),
    }
}

fn create_older(request: &Request) -> Answer {
    let Some(model) = text_of(request, "model_name") else {
        return error(400, "parameter_not_provided", "The model_name parameter is missing.");
    };
    let mut answer = json!({"model_name": model});
    for kind in ["text", "image", "audio"] {
        let words = match kind {
            "text" => text_of(request, "text"),
            kind => older_media(request, kind),
        };
        let Some(words) = words else { continue };
        let mut segment = json!({"float": vector(&words, DIMENSIONS)});
        if kind == "audio" {
            segment["start_offset_sec"] = json!(0.0);
            segment["end_offset_sec"] = json!(CLIP);
        }
        let result = match is_broken(&words) {
            true => json!({"error_message": format!("The {kind} is not valid.")}),
            false => json!({"segments": [segment]}),
        };
        answer[format!("{kind}_embedding")] = result;
    }
    reply(200, &answer)
}

fn create_older_task(state: &mut State, request: &Request) -> Answer {
    let Some(model) = text_of(request, "model_name") else {
        return error(400, "parameter_not_provided", "The model_name parameter is missing.");
    };
    let Some(name) = older_media(request, "video") else {
        return error(400, "parameter_not_provided", "Provide either the video_file or the video_url parameter.");
    };
    let id = state.new_id();
    let metadata = json!({"input_filename": name, "video_clip_length": CLIP, "duration": DURATION});
    let task = json!({
        "_id": id,
        "model_name": model,
        "status": "processing",
        "created_at": "2026-01-02T03:04:05Z",
        "video_embedding": {"metadata": metadata},
    });
    let segments: Vec<Value> = clips(&name, &json!({"embedding_scope": ["clip"]}), &["visual", "audio"], DIMENSIONS)
        .into_iter()
        .map(|clip| {
            json!({
                "float": clip["embedding"],
                "start_offset_sec": clip["start_sec"],
                "end_offset_sec": clip["end_sec"],
                "embedding_option": clip["embedding_option"],
                "embedding_scope": "clip",
            })
        })
        .collect();
    let ready = if is_broken(&name) {
        Err(BROKEN.into())
    } else {
        Ok(json!({"video_embedding": {"metadata": metadata, "segments": segments}}))
    };
    state.embeddings.older.insert(id.clone(), Task::new(task, ready));
    reply(201, &json!({"_id": id}))
}

fn older_media(request: &Request, kind: &str) -> Option<String> {
    let file = request.part(&format!("{kind}_file")).and_then(|part| part.filename.clone());
    text_of(request, &format!("{kind}_url")).map(|url| last_segment(&url)).or(file)
}

fn text_of(request: &Request, name: &str) -> Option<String> {
    request.part(name).map(Part::text)
}

fn last_segment(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn is_broken(text: &str) -> bool {
    words(text).any(|word| word == "broken")
}

fn refusal(message: &str) -> Answer {
    reply(400, &json!({"error": {"code": "parameter_invalid", "message": message}}))
}

/// Returns the words of a text, without those that are too common to distinguish texts.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !matches!(word.as_str(), "" | "a" | "an" | "the" | "in" | "on" | "at" | "of" | "jpg" | "mp4"))
}

/// Returns the sum of one direction per word, scaled to length 1.
///
/// A text without any significant words (`"in the"`, `"?!"`) gets the direction of the whole text. Real vectors are
/// never 0, and a program that divides by the length should not encounter one here.
fn vector(text: &str, dimensions: usize) -> Vec<f64> {
    let mut counted: Vec<String> = words(text).collect();
    if counted.is_empty() {
        counted.push(text.to_lowercase());
    }
    let mut sum = vec![0.0; dimensions];
    for word in counted {
        let mut state = Fnv1a::new().bytes(word.as_bytes()).finish();
        for value in &mut sum {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *value += (state >> 40) as f64 / f64::from(1 << 23) - 1.0;
        }
    }
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    sum.iter().map(|value| if length > 0.0 { (value / length * 1e8).round() / 1e8 } else { 0.0 }).collect()
}
