//! Indexes of the stand-in and the videos in them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::request::Request;
use super::state::{Answer, Pace, Stage, State, error, missing, page, reply};

/// All indexes, by id, and all videos, by id.
#[derive(Default)]
pub(super) struct Indexes {
    stored: BTreeMap<String, Value>,
    pub(super) videos: BTreeMap<String, Video>,
}

pub(super) struct Video {
    pub(super) index_id: String,
    /// The video as an answer shows it.
    pub(super) shown: Value,
    polls: u32,
}

/// The scenes of every video: start, end, and the spoken sentence.
pub(super) const SCENES: [(f64, f64, &str); 4] = [
    (0.5, 4.25, "Hello there, and welcome to the beach."),
    (61.0, 68.75, "Look, the dog runs into the water."),
    (130.5, 141.0, "Now we build a castle of sand."),
    (3725.0, 3731.5, "The sun goes down, time to go home."),
];

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    if let ["indexes", id, _, ..] = segments
        && !state.indexes.exists(id)
    {
        return Some(missing("indexes", id));
    }
    Some(match (request.method(), segments) {
        ("POST", ["indexes"]) => {
            let id = state.new_id();
            state.indexes.create(id, request)
        }
        ("GET", ["indexes"]) => state.indexes.list(request),
        ("GET", ["indexes", id]) => state.indexes.retrieve(id),
        ("PUT", ["indexes", id]) => state.indexes.rename(id, request),
        ("DELETE", ["indexes", id]) => state.indexes.delete(id),
        ("POST", ["indexes", id, "indexed-assets"]) => create_video(state, id, request),
        ("GET", ["indexes", id, "indexed-assets" | "videos"]) => state.indexes.list_videos(id, request, &state.pace),
        ("GET", ["indexes", id, "indexed-assets" | "videos", video]) => {
            state.indexes.look_at(id, video, request, &state.pace)
        }
        ("PATCH", ["indexes", id, "indexed-assets" | "videos", video]) => state.indexes.change(id, video, request),
        ("DELETE", ["indexes", id, "indexed-assets" | "videos", video]) => state.indexes.delete_video(id, video),
        ("GET", ["assets", asset, "indexed-assets"]) => state.indexes.list_by_asset(asset, request),
        _ => return None,
    })
}

fn create_video(state: &mut State, index_id: &str, request: &Request) -> Answer {
    let body = request.json();
    let asset_id = body["asset_id"].as_str().unwrap_or_default();
    let Some(asset) = state.assets.get(asset_id) else {
        return missing("assets", asset_id);
    };
    if asset["status"] != "ready" {
        return error(400, "asset_not_ready", "The asset must be ready before it can be indexed.");
    }
    let kind = super::assets::kind(asset);
    if !["video", "audio"].contains(&kind) {
        return error(
            400,
            "unsupported_file_type",
            &format!("An index accepts videos and audio files, not files of the type {kind}."),
        );
    }
    let mut shown = json!({
        "asset_id": asset_id,
        "system_metadata": {"filename": asset["filename"], "size": asset["size"]},
    });
    if body["user_metadata"].is_object() {
        shown["user_metadata"] = body["user_metadata"].clone();
    }
    let id = state.new_id();
    state.indexes.add_video(&id, index_id, shown);
    reply(202, &json!({ "_id": id, "asset_id": asset_id }))
}

impl Video {
    /// Advances the processing of the video by one poll.
    fn poll(&mut self, pace: &Pace) {
        match pace.poll(&mut self.polls) {
            Stage::Working => self.shown["status"] = json!("indexing"),
            Stage::Ready => {
                self.shown["status"] = json!("ready");
                self.shown["indexed_at"] = json!("2026-01-02T03:09:05Z");
                self.shown["system_metadata"]["duration"] = json!(3800.0);
            }
            // The platform does not report a reason.
            Stage::Failed(_) => self.shown["status"] = json!("failed"),
        }
    }
}

impl Indexes {
    pub(super) fn exists(&self, id: &str) -> bool {
        self.stored.contains_key(id)
    }

    /// Whether an index contains a video made from this asset.
    pub(super) fn refer_to(&self, asset_id: &str) -> bool {
        self.videos.values().any(|video| video.shown["asset_id"] == asset_id)
    }

    pub(super) fn add_video(&mut self, id: &str, index_id: &str, mut shown: Value) {
        shown["_id"] = json!(id);
        shown["status"] = json!("pending");
        shown["created_at"] = json!("2026-01-02T03:04:05Z");
        self.videos.insert(id.into(), Video { index_id: index_id.into(), shown, polls: 0 });
    }

    /// Advances the indexing of a video by one poll, and returns the video.
    pub(super) fn poll(&mut self, id: &str, pace: &Pace) -> Option<&Value> {
        let video = self.videos.get_mut(id)?;
        video.poll(pace);
        Some(&video.shown)
    }

    fn create(&mut self, id: String, request: &Request) -> Answer {
        let body = request.json();
        let (Some(name), Some(models)) = (body["index_name"].as_str(), body["models"].as_array()) else {
            return error(400, "parameter_invalid", "The index_name and models parameters are required.");
        };
        if self.stored.values().any(|index| index["index_name"] == name) {
            return error(409, "index_name_already_exists", &format!("The index name {name} is taken."));
        }
        let index = json!({
            "_id": id,
            "index_name": name,
            "models": models,
            "addons": body["addons"],
            "created_at": "2026-01-02T03:04:05Z",
            "updated_at": "2026-01-02T03:04:05Z",
        });
        self.stored.insert(id.clone(), index);
        reply(201, &json!({ "_id": id }))
    }

    fn list(&self, request: &Request) -> Answer {
        let query = request.query();
        let name = query.iter().find(|(key, _)| key == "index_name").map_or("", |(_, value)| value);
        let named = |id: &&String| self.stored[*id]["index_name"].as_str().unwrap_or_default().contains(name);
        let found: Vec<Value> = self.stored.keys().rev().filter(named).map(|id| self.shown(id)).collect();
        page(request, &found)
    }

    fn retrieve(&self, id: &str) -> Answer {
        if self.exists(id) { reply(200, &self.shown(id)) } else { missing("indexes", id) }
    }

    /// Returns an index with its counts.
    fn shown(&self, id: &str) -> Value {
        let mut index = self.stored[id].clone();
        let count = self.videos.values().filter(|video| video.index_id == id).count();
        index["video_count"] = json!(count);
        index["total_duration"] = json!(3800.0 * count as f64);
        index
    }

    fn rename(&mut self, id: &str, request: &Request) -> Answer {
        match self.stored.get_mut(id) {
            Some(index) => index["index_name"] = request.json()["index_name"].clone(),
            None => return missing("indexes", id),
        }
        reply(204, &Value::Null)
    }

    fn delete(&mut self, id: &str) -> Answer {
        if self.stored.remove(id).is_none() {
            return missing("indexes", id);
        }
        self.videos.retain(|_, video| video.index_id != id);
        reply(204, &Value::Null)
    }

    fn list_videos(&mut self, index_id: &str, request: &Request, pace: &Pace) -> Answer {
        let newest_first = self.videos.values_mut().rev().filter(|video| video.index_id == index_id);
        let found = newest_first.filter_map(|video| {
            if request.is_first_page() {
                video.poll(pace);
            }
            let Video { shown, .. } = video;
            let fits = request.admits("status", &shown["status"])
                && request.admits("filename", &shown["system_metadata"]["filename"]);
            fits.then(|| shown.clone())
        });
        page(request, &found.collect::<Vec<_>>())
    }

    fn list_by_asset(&self, asset_id: &str, request: &Request) -> Answer {
        let found: Vec<Value> = self
            .videos
            .values()
            .filter(|video| video.shown["asset_id"] == asset_id)
            .map(|video| {
                let name = &self.stored[&video.index_id]["index_name"];
                json!({"_id": video.shown["_id"], "index": {"_id": video.index_id, "name": name}})
            })
            .collect();
        page(request, &found)
    }

    fn video(&mut self, index_id: &str, id: &str) -> Option<&mut Video> {
        self.videos.get_mut(id).filter(|video| video.index_id == index_id)
    }

    fn look_at(&mut self, index_id: &str, id: &str, request: &Request, pace: &Pace) -> Answer {
        if self.video(index_id, id).is_none() {
            return missing("indexed-assets", id);
        }
        let mut shown = self.poll(id, pace).cloned().unwrap_or_default();
        let query = request.query();
        if shown["status"] == "ready" && request.is_set("transcription") {
            let lines = SCENES.map(|(start, end, value)| json!({"start": start, "end": end, "value": value}));
            shown["transcription"] = json!(lines);
        }
        let options = query.iter().filter(|(key, _)| key == "embedding_option");
        let segments: Vec<Value> = options
            .map(|(_, option)| {
                json!({
                    "float": [0.25, -0.5, 0.125], "start_offset_sec": 0.0, "end_offset_sec": 6.0,
                    "embedding_option": option, "embedding_scope": "clip",
                })
            })
            .collect();
        if !segments.is_empty() {
            shown["embedding"] = json!({"model_name": "marengo3.0", "video_embedding": {"segments": segments}});
        }
        reply(200, &shown)
    }

    fn change(&mut self, index_id: &str, id: &str, request: &Request) -> Answer {
        let Some(video) = self.video(index_id, id) else {
            return missing("indexed-assets", id);
        };
        let mut metadata: Map<String, Value> = video.shown["user_metadata"].as_object().cloned().unwrap_or_default();
        for (name, value) in request.json()["user_metadata"].as_object().into_iter().flatten() {
            metadata.insert(name.clone(), value.clone());
        }
        metadata.retain(|_, value| !value.is_null());
        video.shown["user_metadata"] = json!(metadata);
        reply(204, &Value::Null)
    }

    fn delete_video(&mut self, index_id: &str, id: &str) -> Answer {
        if self.video(index_id, id).is_none() {
            return missing("indexed-assets", id);
        }
        self.videos.remove(id);
        reply(204, &Value::Null)
    }
}
