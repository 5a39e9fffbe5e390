//! Analyses of the stand-in: synchronous, in tasks and in batches.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::request::Request;
use super::state::{Answer, Pace, Stage, State, error, lines, missing, page, reply};

/// All tasks and batches, by id.
#[derive(Default)]
pub(super) struct Analyses {
    tasks: BTreeMap<String, Task>,
    batches: BTreeMap<String, Value>,
    /// The answers to requests with an idempotency key.
    keys: BTreeMap<String, Value>,
}

struct Task {
    task: Value,
    polls: u32,
}

const CREATED_AT: &str = "2026-01-02T03:04:05Z";

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    Some(match (request.method(), segments) {
        ("POST", ["analyze"]) => analyze(state, &request.json()),
        ("POST", ["analyze", "tasks"]) => create_task(state, request),
        ("GET", ["analyze", "tasks"]) => state.analyses.list_tasks(request, &state.pace),
        ("GET", ["analyze", "tasks", id]) => state.analyses.retrieve_task(id, &state.pace),
        ("DELETE", ["analyze", "tasks", id]) => state.analyses.delete_task(id),
        ("POST", ["analyze", "tasks", id, "cancel"]) => state.analyses.cancel_task(id),
        ("POST", ["analyze", "batches"]) => create_batch(state, &request.json()),
        ("GET", ["analyze", "batches"]) => state.analyses.list_batches(request, &state.pace),
        ("GET", ["analyze", "batches", id]) => state.analyses.retrieve_batch(id, &state.pace),
        ("DELETE", ["analyze", "batches", id]) => state.analyses.delete_batch(id),
        ("GET", ["analyze", "batches", id, "results"]) => state.analyses.results(id),
        ("POST", ["analyze", "batches", id, "cancel"]) => state.analyses.cancel_batch(id),
        _ => return None,
    })
}

/// Returns the answer that refuses the input of an analysis, if the input is invalid.
fn refusal(state: &State, body: &Value) -> Option<Answer> {
    let invalid = |message: &str| Some(error(400, "parameter_invalid", message));
    if body["video"].is_null() == body["image"].is_null() {
        return invalid("Provide either the video or the image parameter.");
    }
    let format = &body["response_format"];
    if let Some(keyword) = unsupported(&format["json_schema"]) {
        return Some(error(422, "parameter_invalid", &format!("The keyword {keyword} is not supported in a schema.")));
    }
    if format["type"] == "segment_definitions" && body["analysis_mode"] != "time_based_metadata" {
        return invalid("Segments require the analysis_mode time_based_metadata.");
    }
    let definitions = format["segment_definitions"].as_array().into_iter().flatten();
    let mut fields = definitions.flat_map(|definition| definition["fields"].as_array().into_iter().flatten());
    if fields.any(|field| (field["type"] == "timestamp") != field["format"].is_string()) {
        return invalid("A field must have a format if its type is timestamp, and no format otherwise.");
    }
    if body["prompt"].is_null() && body["prompt_v2"].is_null() && body["analysis_mode"] != "time_based_metadata" {
        return invalid("The prompt parameter is missing.");
    }
    let id = body["video"]["asset_id"].as_str()?;
    match state.assets.get(id) {
        None => Some(missing("assets", id)),
        Some(asset) if asset["status"] != "ready" => invalid("The asset is not ready."),
        Some(_) => None,
    }
}

/// Returns the stand-in's answer about any video: JSON if the request has a schema or segments.
fn text(body: &Value) -> String {
    let prompt = body["prompt"].as_str().or(body["prompt_v2"]["input_text"].as_str()).unwrap_or_default();
    match body["response_format"]["type"].as_str() {
        Some("json_schema") => {
            format!("```json\n{}\n```", example(&body["response_format"]["json_schema"]))
        }
        Some("segment_definitions") => segments(body).to_string(),
        _ => format!(
            "You asked: {prompt}\nThe stand-in has watched nothing, but it can say what a video has: a beginning, \
             a middle and an end. At 0:02 a dog runs along the beach. At 0:07 it finds a ball."
        ),
    }
}

/// Returns two segments for each definition, with a value for each requested field.
fn segments(body: &Value) -> Value {
    let format = &body["response_format"];
    let written = |seconds: f64| moment(seconds, &format["segment_time_format"]);
    let from = body["start_time"].as_f64().unwrap_or(0.0);
    let to = body["end_time"].as_f64().unwrap_or(12.5).max(from);
    let middle = (from + to) / 2.0;
    let definitions = format["segment_definitions"].as_array().into_iter().flatten();
    let found = definitions.filter_map(|definition| {
        let fields = definition["fields"].as_array().into_iter().flatten();
        let metadata: Map<String, Value> =
            fields.filter_map(|field| Some((field["name"].as_str()?.to_owned(), example(field)))).collect();
        let segment = |(start, end): (f64, f64)| {
            let mut segment = json!({ "start_time": written(start), "end_time": written(end) });
            if !metadata.is_empty() {
                segment["metadata"] = json!(metadata);
            }
            segment
        };
        Some((definition["id"].as_str()?.to_owned(), [(from, middle), (middle, to)].map(segment).into()))
    });
    Value::Object(found.collect())
}

/// Returns a time in the requested format, by default as a number of seconds.
fn moment(seconds: f64, format: &Value) -> Value {
    let format = format.as_str().unwrap_or("seconds");
    if format == "seconds" {
        return json!(seconds);
    }
    let millis = (seconds.max(0.0) * 1000.0).round() as u64;
    let whole = if format == "hh:mm:ss.fff" { millis / 1000 } else { (millis + 500) / 1000 };
    let clock = format!("{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
    match format {
        "hh:mm:ss.fff" => json!(format!("{clock}.{:03}", millis % 1000)),
        _ => json!(clock),
    }
}

/// The keywords that the platform is documented to refuse in the schema of an analysis.
const UNSUPPORTED: [&str; 5] = ["minLength", "maxLength", "additionalProperties", "uniqueItems", "maxItems"];

/// Returns the first keyword in a schema that the platform refuses, at any depth.
fn unsupported(schema: &Value) -> Option<&'static str> {
    let own = UNSUPPORTED.into_iter().find(|keyword| !schema[*keyword].is_null());
    let below = ["properties", "$defs"].iter().filter_map(|name| schema[*name].as_object()).flat_map(Map::values);
    own.or_else(|| below.chain(schema.get("items")).find_map(unsupported))
}

/// The maximum depth of an example. It is needed because a schema may refer to itself.
const MAX_DEPTH: usize = 16;

/// Returns a value that fits a schema.
pub(super) fn example(schema: &Value) -> Value {
    example_within(schema, schema, MAX_DEPTH)
}

/// Returns a value that fits `schema`, which is a part of `root`. References are resolved in `root`.
fn example_within(schema: &Value, root: &Value, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    let part = |schema: &Value| example_within(schema, root, depth);
    if let Some(target) = schema["$ref"].as_str() {
        return part(root.pointer(target.trim_start_matches('#')).unwrap_or(&Value::Null));
    }
    if !schema["const"].is_null() {
        return schema["const"].clone();
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    for union in ["anyOf", "oneOf"] {
        if let Some(kinds) = schema[union].as_array() {
            return part(kinds.iter().find(|kind| kind["type"] != "null").unwrap_or(&Value::Null));
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let fields = parts.iter().map(part).filter_map(|value| value.as_object().cloned()).flatten();
        return Value::Object(fields.collect());
    }
    // `Option<u32>` is `["integer", "null"]`.
    let kinds = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let kind = schema["type"].as_str().or_else(|| kinds.into_iter().find(|kind| *kind != "null"));
    match kind {
        Some("object") => {
            let properties = schema["properties"].as_object();
            properties.into_iter().flatten().map(|(name, schema)| (name.clone(), part(schema))).collect()
        }
        Some("array") => json!([part(&schema["items"])]),
        Some("integer") => json!(within(schema, 3.0) as i64),
        Some("number") => json!(within(schema, 2.5)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("timestamp") => moment(2.0, &schema["format"]),
        _ => json!("a dog on the beach"),
    }
}

/// Returns the number closest to `number` that the bounds of a schema allow.
fn within(schema: &Value, number: f64) -> f64 {
    let bound = |inclusive: &str, exclusive: &str, step: f64| {
        schema[inclusive].as_f64().or(schema[exclusive].as_f64().map(|bound| bound + step))
    };
    let least = bound("minimum", "exclusiveMinimum", 1.0).unwrap_or(f64::MIN);
    number.min(bound("maximum", "exclusiveMaximum", -1.0).unwrap_or(f64::MAX)).max(least)
}

/// Returns the text, the reason why it ended, and its token counts. Here, each word is a token.
fn generated(body: &Value) -> (String, &'static str, Value) {
    let whole = text(body);
    let words: Vec<&str> = whole.split_inclusive(' ').collect();
    let most = body["max_tokens"].as_u64().map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let text: String = words.iter().take(most).copied().collect();
    let finish_reason = if words.len() > most { "length" } else { "stop" };
    (text, finish_reason, json!({ "input_tokens": 1200, "output_tokens": words.len().min(most) }))
}

fn analyze(state: &mut State, body: &Value) -> Answer {
    if let Some(refusal) = refusal(state, body) {
        return refusal;
    }
    let id = state.new_id();
    let (text, finish_reason, usage) = generated(body);
    if body["stream"] == json!(false) {
        return reply(200, &json!({ "id": id, "data": text, "finish_reason": finish_reason, "usage": usage }));
    }
    let start = json!({ "event_type": "stream_start", "metadata": { "generation_id": id } });
    let pieces = text.split_inclusive(' ').map(|word| json!({ "event_type": "text_generation", "text": word }));
    let end = json!({
        "event_type": "stream_end",
        "finish_reason": finish_reason,
        "metadata": { "generation_id": id, "usage": usage },
    });
    lines(200, &std::iter::once(start).chain(pieces).chain([end]).collect::<Vec<_>>())
}

fn create_task(state: &mut State, request: &Request) -> Answer {
    let body = request.json();
    let key = request.header("idempotency-key");
    if let Some(made) = key.and_then(|key| state.analyses.keys.get(key)) {
        return reply(202, made);
    }
    if let Some(refusal) = refusal(state, &body) {
        return refusal;
    }
    let made = new_task(state, &body, None);
    if let Some(key) = key {
        state.analyses.keys.insert(key.into(), made.clone());
    }
    reply(202, &made)
}

/// Creates a task, and returns the platform's answer for a new task.
fn new_task(state: &mut State, body: &Value, batch_id: Option<&str>) -> Value {
    let id = state.new_id();
    let mut task = json!({
        "task_id": id,
        "custom_id": body["custom_id"],
        "status": "queued",
        "created_at": CREATED_AT,
        "video_source": body["video"],
        "request_params": body,
    });
    if let Some(batch_id) = batch_id {
        task["batch_id"] = json!(batch_id);
    }
    state.analyses.tasks.insert(id.clone(), Task { task, polls: 0 });
    json!({ "task_id": id, "custom_id": body["custom_id"], "status": "queued" })
}

impl Task {
    /// Advances the task by one poll.
    fn proceed(&mut self, pace: &Pace) {
        if self.has_ended() {
            return;
        }
        match pace.poll(&mut self.polls) {
            Stage::Working => self.task["status"] = json!("processing"),
            Stage::Ready => {
                let (text, finish_reason, usage) = generated(&self.task["request_params"]);
                self.task["status"] = json!("ready");
                self.task["completed_at"] = json!(CREATED_AT);
                self.task["result"] = json!({
                    "generation_id": self.task["task_id"], "data": text, "finish_reason": finish_reason, "usage": usage,
                });
            }
            Stage::Failed(code) => {
                self.task["status"] = json!("failed");
                self.task["error"] = json!({ "message": format!("The analysis failed: {code}."), "code": code });
            }
        }
    }

    fn cancel(&mut self, code: &str) {
        self.task["status"] = json!("canceled");
        self.task["error"] = json!({ "code": code, "message": "The task was canceled." });
    }

    fn has_ended(&self) -> bool {
        matches!(self.task["status"].as_str(), Some("ready" | "failed" | "canceled"))
    }
}

impl Analyses {
    fn list_tasks(&mut self, request: &Request, pace: &Pace) -> Answer {
        let found = self.tasks.values_mut().rev().filter_map(|task| {
            if request.is_first_page() {
                task.proceed(pace);
            }
            let task = &task.task;
            let mode = match &task["request_params"]["analysis_mode"] {
                Value::Null => json!("general"),
                mode => mode.clone(),
            };
            let fits = request.admits("status", &task["status"])
                && request.admits("asset_id", &task["video_source"]["asset_id"])
                && request.admits("video_url", &task["video_source"]["url"])
                && request.admits("video_id", &task["video_source"]["video_id"])
                && request.admits("analysis_mode", &mode);
            fits.then(|| task.clone())
        });
        page(request, &found.collect::<Vec<_>>())
    }

    fn retrieve_task(&mut self, id: &str, pace: &Pace) -> Answer {
        let Some(task) = self.tasks.get_mut(id) else {
            return missing("analyze_tasks", id);
        };
        task.proceed(pace);
        reply(200, &task.task)
    }

    fn delete_task(&mut self, id: &str) -> Answer {
        match self.tasks.get(id) {
            None => missing("analyze_tasks", id),
            Some(task) if !task.has_ended() => error(409, "task_in_process", "The task is in process."),
            Some(_) => {
                self.tasks.remove(id);
                reply(204, &Value::Null)
            }
        }
    }

    fn cancel_task(&mut self, id: &str) -> Answer {
        match self.tasks.get_mut(id) {
            None => missing("analyze_tasks", id),
            Some(task) if matches!(task.task["status"].as_str(), Some("ready" | "failed")) => {
                error(409, "task_has_ended", "The task has ended.")
            }
            Some(task) => {
                task.cancel("user_canceled");
                reply(200, &json!({ "task_id": id, "status": "canceled" }))
            }
        }
    }

    /// Returns the tasks of a batch, in the order of its requests.
    fn of_batch<'a>(&'a mut self, id: &'a str) -> impl Iterator<Item = &'a mut Task> {
        self.tasks.values_mut().filter(move |task| task.task["batch_id"] == id)
    }

    fn list_batches(&mut self, request: &Request, pace: &Pace) -> Answer {
        if request.is_first_page() {
            self.tasks
                .values_mut()
                .filter(|task| task.task["batch_id"].is_string())
                .for_each(|task| task.proceed(pace));
        }
        let ids: Vec<String> = self.batches.keys().rev().cloned().collect();
        ids.iter().for_each(|id| drop(self.batch(id)));
        let found = self
            .batches
            .values()
            .rev()
            .filter(|batch| ["status", "analysis_mode"].iter().all(|name| request.admits(name, &batch[name])));
        page(request, &found.cloned().collect::<Vec<_>>())
    }

    fn retrieve_batch(&mut self, id: &str, pace: &Pace) -> Answer {
        self.of_batch(id).for_each(|task| task.proceed(pace));
        self.batch(id)
    }

    /// Returns a batch with updated counts of its items.
    fn batch(&mut self, id: &str) -> Answer {
        let ended = self.of_batch(id).all(|task| task.has_ended());
        let states: Vec<Value> = self.of_batch(id).map(|task| task.task["status"].clone()).collect();
        let Some(batch) = self.batches.get_mut(id) else {
            return missing("analyze_batches", id);
        };
        for state in ["queued", "processing", "ready", "failed", "canceled"] {
            batch[format!("{state}_items")] = json!(states.iter().filter(|have| *have == state).count());
        }
        batch["status"] = json!(match (batch["status"].as_str(), ended) {
            (Some("canceling" | "canceled"), false) => "canceling",
            (Some("canceling" | "canceled"), true) => "canceled",
            (_, true) => "completed",
            (_, false) => "processing",
        });
        reply(200, batch)
    }

    fn delete_batch(&mut self, id: &str) -> Answer {
        match self.batches.get(id).map(|batch| batch["status"].as_str()) {
            None => missing("analyze_batches", id),
            Some(Some("completed" | "canceled")) => {
                self.batches.remove(id);
                self.tasks.retain(|_, task| task.task["batch_id"] != id);
                reply(204, &Value::Null)
            }
            Some(_) => error(409, "batch_in_process", "The batch is in process."),
        }
    }

    fn results(&mut self, id: &str) -> Answer {
        if !self.batches.contains_key(id) {
            return missing("analyze_batches", id);
        }
        let results = self.of_batch(id).map(|Task { task, .. }| {
            let mut line =
                json!({ "task_id": task["task_id"], "custom_id": task["custom_id"], "status": task["status"] });
            for (name, have) in [("data", "result"), ("error", "error")] {
                if !task[have].is_null() {
                    line[name] = task[have].clone();
                }
            }
            line
        });
        lines(200, &results.collect::<Vec<_>>())
    }

    fn cancel_batch(&mut self, id: &str) -> Answer {
        for task in self.of_batch(id).filter(|task| task.task["status"] == "queued") {
            task.cancel("batch_canceled");
        }
        if let Some(batch) = self.batches.get_mut(id) {
            batch["status"] = json!("canceling");
        }
        let mut answer = self.batch(id);
        if answer.status == 200 {
            answer.status = 202;
        }
        answer
    }
}

fn create_batch(state: &mut State, body: &Value) -> Answer {
    let merged: Vec<Value> = body["requests"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|request| {
            let mut merged = body["defaults"].as_object().cloned().unwrap_or_default();
            merged.extend(request.as_object().cloned().unwrap_or_default());
            let mut merged = Value::Object(merged);
            merged["analysis_mode"] = body["analysis_mode"].clone();
            // In a batch, prompts are objects.
            merged["prompt_v2"] = merged["prompt"].take();
            merged
        })
        .collect();
    if merged.is_empty() {
        return error(400, "parameter_invalid", "The requests parameter is empty.");
    }
    if let Some(refusal) = merged.iter().find_map(|request| refusal(state, request)) {
        return refusal;
    }
    let id = state.new_id();
    let items: Vec<Value> = merged.iter().map(|request| new_task(state, request, Some(&id))).collect();
    let batch = json!({
        "batch_id": id,
        "analysis_mode": body["analysis_mode"],
        "model_name": body["model_name"],
        "status": "pending",
        "total_items": items.len(),
        "created_at": CREATED_AT,
        "expires_at": "2026-01-03T03:04:05Z",
    });
    state.analyses.batches.insert(id, batch.clone());
    let mut created = batch;
    created["items"] = json!(items);
    reply(201, &created)
}
