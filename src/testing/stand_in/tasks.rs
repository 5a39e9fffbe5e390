//! Tasks of the stand-in. Each task adds a video to an index.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::form::Part;
use super::request::Request;
use super::state::{Answer, State, error, missing, page, reply};

/// The video of each task, by the id of the task.
#[derive(Default)]
pub(super) struct Tasks {
    videos: BTreeMap<String, String>,
}

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    Some(match (request.method(), segments) {
        ("POST", ["tasks"]) => create(state, request),
        ("GET", ["tasks"]) => {
            let ids: Vec<String> = state.tasks.videos.keys().rev().cloned().collect();
            let tasks = ids.iter().filter_map(|id| shown(state, id, request.is_first_page()));
            let fits = |task: &Value| {
                ["index_id", "status"].iter().all(|name| request.admits(name, &task[name]))
                    && request.admits("filename", &task["system_metadata"]["filename"])
            };
            page(request, &tasks.filter(fits).collect::<Vec<_>>())
        }
        ("GET", ["tasks", id]) => shown(state, id, true).map_or_else(|| missing("tasks", id), |task| reply(200, &task)),
        ("DELETE", ["tasks", id]) => match state.tasks.videos.remove(*id) {
            Some(_) => reply(204, &Value::Null),
            None => missing("tasks", id),
        },
        _ => return None,
    })
}

fn create(state: &mut State, request: &Request) -> Answer {
    let text = |name: &str| request.part(name).map(Part::text);
    let index_id = text("index_id").unwrap_or_default();
    if !state.indexes.exists(&index_id) {
        return missing("indexes", &index_id);
    }
    let url = text("video_url");
    let filename = match (request.part("video_file"), &url) {
        (Some(file), _) => file.filename.clone(),
        (None, Some(url)) => url.rsplit('/').next().map(str::to_owned),
        (None, None) => {
            return error(400, "parameter_not_provided", "Provide either the video_file or the video_url parameter.");
        }
    };
    let mut video = json!({"system_metadata": {"filename": filename}});
    if let Some(metadata) = text("user_metadata").and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
        video["user_metadata"] = metadata;
    }
    let (id, video_id) = (state.new_id(), state.new_id());
    state.indexes.add_video(&video_id, &index_id, video);
    let answer = reply(201, &json!({"_id": id, "video_id": video_id}));
    state.tasks.videos.insert(id, video_id);
    answer
}

/// Returns a task. If `polled`, its processing advances first.
fn shown(state: &mut State, id: &str, polled: bool) -> Option<Value> {
    let video_id = state.tasks.videos.get(id)?;
    if polled {
        state.indexes.poll(video_id, &state.pace);
    }
    let video = state.indexes.videos.get(video_id)?;
    Some(json!({
        "_id": id,
        "video_id": video_id,
        "index_id": video.index_id,
        "status": video.shown["status"],
        "created_at": video.shown["created_at"],
        "system_metadata": video.shown["system_metadata"],
    }))
}
