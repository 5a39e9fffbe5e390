//! Assets of the stand-in.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::format_description::well_known::{Rfc2822, Rfc3339};

use super::form::Part;
use super::request::Request;
use super::state::{Answer, Pace, Stage, State, error, missing, page, reply};
use super::uploads::{Arrived, Source};
use crate::Clock;
use crate::testing::TestClock;

/// All assets, by id.
pub(super) struct Assets {
    stored: BTreeMap<String, Stored>,
    clock: TestClock,
}

/// A file whose name says so fails with this code.
const TOO_SHORT: &str = "video_duration_too_short";

struct Stored {
    asset: Value,
    polls: u32,
}

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    Some(match (request.method(), segments) {
        ("POST", ["assets"]) => {
            let id = state.new_id();
            let answer = state.assets.create(&id, request);
            if let (201, Some(file)) = (answer.status, request.part("file")) {
                let filename = state.assets.filename(&id).unwrap_or_default().into();
                let (length, from) = (file.body.len(), Source::Request(request.number));
                state.uploads.arrived.push(Arrived { asset_id: id, filename, length, from });
            }
            answer
        }
        ("GET", ["assets"]) => state.assets.list(request),
        ("GET", ["assets", id]) => state.assets.retrieve(id, &state.pace),
        ("DELETE", ["assets", id]) if state.indexes.refer_to(id) && !forced(request) => {
            error(409, "asset_in_use", "An index refers to the asset. Set force to delete it anyway.")
        }
        ("DELETE", ["assets", id]) => state.assets.delete(id),
        ("GET", ["assets", id, "transcription"]) => state.assets.transcription(id, request),
        ("PUT" | "PATCH" | "DELETE", ["assets", id, "user-metadata"]) => state.assets.change_metadata(id, request),
        _ => return None,
    })
}

impl Assets {
    pub(super) fn new(clock: TestClock) -> Self {
        Assets { stored: BTreeMap::new(), clock }
    }

    /// When something is created now.
    fn now(&self) -> String {
        self.clock.utc_now().format(&Rfc3339).unwrap_or_default()
    }

    /// The time of an answer, as a header has it.
    pub(super) fn http_date(&self) -> String {
        self.clock.utc_now().format(&Rfc2822).unwrap_or_default().replace("+0000", "GMT")
    }

    pub(super) fn count(&self) -> usize {
        self.stored.len()
    }

    /// Adds the asset of a completed chunked upload.
    pub(super) fn add_uploaded(&mut self, id: &str, filename: &str, size: u64, user_metadata: &Value) {
        let asset = json!({
            "_id": id,
            "method": "multipart",
            "status": "processing",
            "filename": filename,
            "file_type": file_type(filename),
            "created_at": self.now(),
            "size": size,
            "user_metadata": user_metadata,
        });
        self.stored.entry(id.into()).or_insert(Stored { asset, polls: 0 });
    }

    /// Adds the asset of a file that is imported, and gives it.
    pub(super) fn add_imported(&mut self, id: String, filename: &str) -> Value {
        let asset = json!({
            "_id": id,
            "method": "connector",
            "status": "processing",
            "filename": filename,
            "file_type": file_type(filename),
            "created_at": self.now(),
        });
        self.stored.insert(id, Stored { asset: asset.clone(), polls: 0 });
        asset
    }

    /// The asset, if there is one with this id.
    pub(super) fn get(&self, id: &str) -> Option<&Value> {
        self.stored.get(id).map(|stored| &stored.asset)
    }

    /// The name of an asset's file.
    pub(super) fn filename(&self, id: &str) -> Option<&str> {
        self.get(id)?["filename"].as_str()
    }

    fn create(&mut self, id: &str, request: &Request) -> Answer {
        let text = |name: &str| request.part(name).map(Part::text);

        let method = text("method").unwrap_or_default();
        let (own_name, size) = match (method.as_str(), request.part("file"), text("url")) {
            ("direct", Some(file), _) => (file.filename.clone(), Some(file.body.len())),
            ("url", _, Some(url)) => (url.rsplit('/').next().map(str::to_owned), None),
            ("direct", None, _) => return error(400, "parameter_invalid", "The file parameter is missing."),
            ("url", _, None) => return error(400, "parameter_invalid", "The url parameter is missing."),
            _ => return error(400, "parameter_invalid", "The method parameter has to be direct or url."),
        };
        let filename = text("filename").or(own_name).unwrap_or_default();

        let mut asset = json!({
            "_id": id,
            "method": method,
            "status": "processing",
            "filename": filename,
            "file_type": file_type(&filename),
            "created_at": self.now(),
        });
        if let Some(size) = size {
            asset["size"] = json!(size);
        }
        if let Some(metadata) = text("user_metadata").and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
            asset["user_metadata"] = metadata;
        }
        self.stored.insert(id.into(), Stored { asset: asset.clone(), polls: 0 });
        reply(201, &asset)
    }

    fn list(&self, request: &Request) -> Answer {
        let query = request.query();
        let all = |name: &str| -> Vec<&str> {
            query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
        };
        let (ids, types, names) = (all("asset_ids"), all("asset_types"), all("filename"));

        let found: Vec<Value> = self
            .stored
            .values()
            .rev() // newest first
            .map(|stored| &stored.asset)
            .filter(|asset| {
                let field = |name: &str| asset[name].as_str().unwrap_or_default();
                let kind = field("file_type").split('/').next().unwrap_or_default();
                (ids.is_empty() || ids.contains(&field("_id")))
                    && (types.is_empty() || types.contains(&kind))
                    && (names.is_empty()
                        || names.iter().any(|name| field("filename").to_lowercase().contains(&name.to_lowercase())))
            })
            .cloned()
            .collect();
        page(request, &found)
    }

    pub(super) fn retrieve(&mut self, id: &str, pace: &Pace) -> Answer {
        let Some(stored) = self.stored.get_mut(id) else {
            return missing("assets", id);
        };
        let is_too_short = stored.asset["filename"].as_str().is_some_and(|name| name.contains(TOO_SHORT));
        let stage = match pace.poll(&mut stored.polls) {
            Stage::Ready if is_too_short => Stage::Failed(TOO_SHORT.into()),
            stage => stage,
        };
        match stage {
            Stage::Working => {}
            Stage::Ready => {
                stored.asset["status"] = json!("ready");
                stored.asset["duration"] = json!(12.5);
            }
            Stage::Failed(code) => {
                stored.asset["status"] = json!("failed");
                stored.asset["error"] = json!({ "message": format!("The asset failed: {code}."), "code": code });
            }
        }
        reply(200, &stored.asset)
    }

    fn delete(&mut self, id: &str) -> Answer {
        match self.stored.remove(id) {
            Some(_) => reply(204, &Value::Null),
            None => missing("assets", id),
        }
    }

    fn change_metadata(&mut self, id: &str, request: &Request) -> Answer {
        let Some(stored) = self.stored.get_mut(id) else {
            return missing("assets", id);
        };
        let body = request.json();
        let metadata = &mut stored.asset["user_metadata"];
        match (request.method(), body["user_metadata"].as_object()) {
            ("DELETE", _) => *metadata = json!({}),
            (_, None) => return error(400, "parameter_invalid", "The user_metadata parameter has to be an object."),
            ("PUT", Some(new)) => *metadata = json!(new),
            (_, Some(new)) => {
                let mut merged = metadata.as_object().cloned().unwrap_or_default();
                merged.extend(new.clone());
                *metadata = json!(merged);
            }
        }
        reply(204, &Value::Null)
    }

    fn transcription(&self, id: &str, request: &Request) -> Answer {
        let Some(stored) = self.stored.get(id) else {
            return missing("assets", id);
        };
        if stored.asset["status"] != "ready" {
            return reply(200, &json!({ "status": "processing" }));
        }
        let mut body = json!({ "status": "ready" });
        let asked = request.query();
        let asked: Vec<&str> =
            asked.iter().filter(|(key, _)| key == "include").flat_map(|(_, value)| value.split(',')).collect();
        let asked = if asked.is_empty() { vec!["words"] } else { asked };
        let levels = [
            (
                "words",
                json!([
                    { "start": 0.5, "end": 0.9, "value": "Hello" },
                    { "start": 0.9, "end": 1.2, "value": "there." },
                    { "start": 2.0, "end": 2.6, "value": "Welcome." },
                ]),
            ),
            (
                "sentences",
                json!([
                    { "start": 0.5, "end": 1.2, "value": "Hello there." },
                    { "start": 2.0, "end": 2.6, "value": "Welcome." },
                ]),
            ),
            ("utterances", json!([{ "start": 0.5, "end": 2.6, "value": "Hello there. Welcome." }])),
        ];
        for (level, lines) in levels {
            if asked.contains(&level) {
                body[level] = lines;
            }
        }
        reply(200, &body)
    }
}

fn forced(request: &Request) -> bool {
    request.query().iter().any(|(key, value)| key == "force" && value == "true")
}

fn file_type(filename: &str) -> &'static str {
    match filename.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "mp3" | "wav" | "flac" | "m4a" | "aac" | "ogg" => "audio/mpeg",
        "png" | "jpg" | "jpeg" | "webp" => "image/jpeg",
        _ => "video/mp4",
    }
}
