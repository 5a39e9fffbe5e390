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

/// The code with which a file fails if its name contains it.
const TOO_SHORT: &str = "video_duration_too_short";

struct Stored {
    asset: Value,
    polls: u32,
}

impl Stored {
    /// Advances the processing of the asset by one poll.
    fn poll(&mut self, pace: &Pace) {
        let is_too_short = self.asset["filename"].as_str().is_some_and(|name| name.contains(TOO_SHORT));
        let stage = match pace.poll(&mut self.polls) {
            Stage::Ready if is_too_short => Stage::Failed(TOO_SHORT.into()),
            stage => stage,
        };
        match stage {
            Stage::Working => {}
            Stage::Ready => {
                self.asset["status"] = json!("ready");
                if kind(&self.asset) != "image" {
                    self.asset["duration"] = json!(12.5);
                }
                for (output, url, file) in
                    [("hls", "manifest_url", "playlist.m3u8"), ("thumbnail", "representative_url", "thumbnail.jpg")]
                {
                    if self.asset[output].is_object() {
                        let address =
                            format!("https://example.com/{}/{file}", self.asset["_id"].as_str().unwrap_or("-"));
                        self.asset[output] = json!({ "status": "ready", url: address });
                    }
                }
            }
            Stage::Failed(code) => {
                self.asset["status"] = json!("failed");
                self.asset["error"] = json!({ "message": format!("The asset failed: {code}."), "code": code });
            }
        }
    }
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
        ("GET", ["assets"]) => state.assets.list(request, &state.pace),
        ("GET", ["assets", id]) => state.assets.retrieve(id, &state.pace),
        ("DELETE", ["assets", id]) if state.indexes.refer_to(id) && !request.is_set("force") => {
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

    /// Returns the current time, as a creation date.
    fn now(&self) -> String {
        self.clock.utc_now().format(&Rfc3339).unwrap_or_default()
    }

    /// Returns the current time in the format of the `Date` header.
    pub(super) fn http_date(&self) -> String {
        self.clock.utc_now().format(&Rfc2822).unwrap_or_default().replace("+0000", "GMT")
    }

    pub(super) fn count(&self) -> usize {
        self.stored.len()
    }

    /// Adds the asset of a completed chunked upload.
    pub(super) fn add_uploaded(&mut self, id: &str, filename: &str, size: u64, options: &Value) {
        let mut asset = json!({
            "_id": id,
            "method": "multipart",
            "status": "processing",
            "filename": filename,
            "file_type": file_type(filename),
            "created_at": self.now(),
            "size": size,
            "user_metadata": options["user_metadata"],
        });
        begin_outputs(&mut asset, options["enable_hls"] == true, options["enable_thumbnail"] == true);
        self.stored.entry(id.into()).or_insert(Stored { asset, polls: 0 });
    }

    /// Adds the asset of an imported file, and returns it.
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

    /// Returns the asset with this id, if there is one.
    pub(super) fn get(&self, id: &str) -> Option<&Value> {
        self.stored.get(id).map(|stored| &stored.asset)
    }

    /// Returns the name of an asset's file.
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
            _ => return error(400, "parameter_invalid", "The method parameter must be direct or url."),
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
        let is_enabled = |option: &str| text(option).is_none_or(|value| value == "true");
        begin_outputs(&mut asset, is_enabled("enable_hls"), is_enabled("enable_thumbnail"));
        self.stored.insert(id.into(), Stored { asset: asset.clone(), polls: 0 });
        reply(201, &asset)
    }

    fn list(&mut self, request: &Request, pace: &Pace) -> Answer {
        let mut names = request.values("filename").map(str::to_lowercase).collect::<Vec<_>>();
        if names.is_empty() {
            names.push(String::new());
        }
        let newest_first = self.stored.iter_mut().rev();
        let found = newest_first.filter(|(id, Stored { asset, .. })| {
            let name = asset["filename"].as_str().unwrap_or_default().to_lowercase();
            request.admits("asset_ids", &json!(id))
                && request.admits("asset_types", &json!(kind(asset)))
                && names.iter().any(|wanted| name.contains(wanted))
        });
        let found = found.map(|(_, stored)| {
            if request.is_first_page() {
                stored.poll(pace);
            }
            stored.asset.clone()
        });
        page(request, &found.collect::<Vec<_>>())
    }

    pub(super) fn retrieve(&mut self, id: &str, pace: &Pace) -> Answer {
        let Some(stored) = self.stored.get_mut(id) else {
            return missing("assets", id);
        };
        stored.poll(pace);
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
            (_, None) => return error(400, "parameter_invalid", "The user_metadata parameter must be an object."),
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
        let mut asked: Vec<&str> = request.values("include").flat_map(|value| value.split(',')).collect();
        if asked.is_empty() {
            asked.push("words");
        }
        let sentence = |(start, end, value): &(f64, f64, &str)| json!({ "start": start, "end": end, "value": value });
        for level in asked {
            body[level] = match level {
                "words" => LINES.iter().flat_map(words).collect(),
                "sentences" => LINES.iter().map(sentence).collect(),
                "utterances" => {
                    let turns = LINES.iter().zip(["speaker_0", "speaker_1"].iter().cycle());
                    let turns = turns.map(|(line, speaker)| {
                        let mut turn = sentence(line);
                        turn["speaker"] = json!(speaker);
                        turn
                    });
                    turns.collect()
                }
                _ => return error(400, "parameter_invalid", &format!("The include parameter cannot be {level}.")),
            };
        }
        reply(200, &body)
    }
}

/// The lines spoken in every asset: start and end in seconds, and a sentence. Two speakers alternate.
const LINES: [(f64, f64, &str); 4] = [
    (0.5, 2.9, "Hello there, and welcome to the beach."),
    (3.4, 5.5, "Look, the dog runs into the water."),
    (6.2, 8.6, "Now we build a castle of sand."),
    (9.5, 12.0, "The sun goes down, time to go home."),
];

/// Returns the words of a line. Each word gets a share of the line's time in proportion to its letters.
fn words((start, end, line): &(f64, f64, &str)) -> Vec<Value> {
    let rounded = |seconds: f64| (seconds * 100.0).round() / 100.0;
    let letters = line.len() as f64;
    let mut from = 0;
    let words = line.split_inclusive(' ').map(|word| {
        let to = from + word.len();
        let time = |letter: usize| rounded(start + (end - start) * letter as f64 / letters);
        let entry = json!({ "start": time(from), "end": time(to), "value": word.trim_end() });
        from = to;
        entry
    });
    words.collect()
}

/// Adds the requested HLS stream and thumbnail to a new asset. They are ready when the asset is.
fn begin_outputs(asset: &mut Value, hls: bool, thumbnail: bool) {
    // The platform makes a stream of anything with a duration, and a thumbnail of anything visible.
    let (has_time, has_picture) = (kind(asset) != "image", kind(asset) != "audio");
    for (output, is_made) in [("hls", hls && has_time), ("thumbnail", thumbnail && has_picture)] {
        if is_made {
            asset[output] = json!({ "status": "processing" });
        }
    }
}

/// Returns the first half of an asset's MIME type: `video`, `audio` or `image`.
pub(super) fn kind(asset: &Value) -> &str {
    asset["file_type"].as_str().and_then(|file_type| file_type.split('/').next()).unwrap_or_default()
}

fn file_type(filename: &str) -> &'static str {
    match filename.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "mp3" | "wav" | "flac" | "m4a" | "aac" | "ogg" => "audio/mpeg",
        "png" | "jpg" | "jpeg" | "webp" => "image/jpeg",
        _ => "video/mp4",
    }
}
