//! Connections, redirect URIs and imports of the stand-in. Its users consent immediately.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::request::Request;
use super::state::{Answer, State, error, missing, page, reply};

const TIME: &str = "2026-01-02T03:04:05Z";
/// The text in a file's id that makes the file be refused.
const MISSING: &str = "missing";
const MAX_FILES: usize = 100;

#[derive(Default)]
pub(super) struct Connections {
    connections: BTreeMap<String, Value>,
    redirect_uris: BTreeMap<String, Value>,
    imports: BTreeMap<String, Value>,
    /// The asset of each imported file, by the file's id.
    files: BTreeMap<String, String>,
}

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    let method = request.method();
    if let ("POST", ["connections:authorize"]) = (method, segments) {
        return Some(authorize(state, &request.json()));
    }
    let ["connections", rest @ ..] = segments else { return None };
    let known = &mut state.connections;
    Some(match (method, rest) {
        ("GET", []) => page(request, &newest(&known.connections)),
        ("GET", ["redirect-uris"]) => page(request, &newest(&known.redirect_uris)),
        ("POST", ["redirect-uris"]) => register(state, &request.json()["redirect_uri"]),
        ("DELETE", ["redirect-uris", id]) => match known.redirect_uris.remove(*id) {
            Some(_) => reply(204, &Value::Null),
            None => missing("redirect_uris", id),
        },
        (_, [id, ..]) if !known.connections.contains_key(*id) => missing("connections", id),
        ("GET", [id]) => reply(200, &known.connections[*id]),
        ("DELETE", [id]) => {
            known.connections.remove(*id);
            reply(204, &Value::Null)
        }
        ("POST", [_, "picker-token"]) => {
            let token = json!({ "access_token": "ya29.stand-in", "expires_in": 3600, "scope": "drive.readonly" });
            reply(200, &token)
        }
        ("POST", [id, "imports"]) => import(state, id, &request.json()["items"]),
        ("GET", [id, "imports"]) => {
            let mut imports = newest(&known.imports);
            imports.retain(|import| import["connection_id"] == **id);
            imports.iter_mut().filter_map(Value::as_object_mut).for_each(|import| drop(import.remove("items")));
            page(request, &imports)
        }
        ("GET", [_, "imports", id]) => retrieve_import(state, id),
        _ => return None,
    })
}

fn newest(all: &BTreeMap<String, Value>) -> Vec<Value> {
    all.values().rev().cloned().collect()
}

/// Returns the URL to which the browser would be redirected after the user has consented.
fn authorize(state: &mut State, body: &Value) -> Answer {
    let (Some("google_drive"), Some(redirect_uri)) = (body["provider"].as_str(), body["redirect_uri"].as_str()) else {
        return error(400, "parameter_invalid", "The provider or the redirect_uri parameter is not valid.");
    };
    let registered = &state.connections.redirect_uris;
    if !registered.is_empty() && !registered.values().any(|uri| uri["redirect_uri"] == redirect_uri) {
        return error(400, "redirect_uri_not_allowed", "The redirect URI is not registered.");
    }
    let id = state.new_id();
    let connection = json!({
        "_id": id,
        "provider": "google_drive",
        "status": "active",
        "custom_id": body["custom_id"],
        "account": { "external_id": "42", "display_name": "ana@example.com" },
        "scopes": ["drive.readonly"],
        "connected_at": TIME,
    });
    state.connections.connections.insert(id.clone(), connection);
    let end = if redirect_uri.contains('?') { '&' } else { '?' };
    let url = format!("{redirect_uri}{end}connection_id={id}&status=ok");
    reply(200, &json!({ "authorize_url": url, "state": "c3RhdGU" }))
}

fn register(state: &mut State, redirect_uri: &Value) -> Answer {
    let Some(uri) = redirect_uri.as_str().filter(|uri| uri.starts_with("https://") && !uri.contains('*')) else {
        return error(422, "redirect_uri_invalid", "A redirect URI must begin with https:// and contain no wildcards.");
    };
    if state.connections.redirect_uris.values().any(|have| have["redirect_uri"] == uri) {
        return error(409, "redirect_uri_already_exists", "The redirect URI is already registered.");
    }
    let id = state.new_id();
    let made = json!({ "_id": id, "redirect_uri": uri, "created_at": TIME });
    state.connections.redirect_uris.insert(id, made.clone());
    reply(201, &made)
}

fn import(state: &mut State, connection_id: &str, files: &Value) -> Answer {
    let files: Vec<&str> =
        files.as_array().into_iter().flatten().filter_map(|file| file["source_id"].as_str()).collect();
    let mut distinct = files.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if files.is_empty() || files.len() > MAX_FILES || distinct.len() < files.len() {
        return error(400, "parameter_invalid", "An import must have 1 to 100 different files.");
    }
    let items: Vec<Value> = files.iter().map(|file| import_file(state, file)).collect();
    let id = state.new_id();
    let created = json!({
        "_id": id,
        "connection_id": connection_id,
        "provider": "google_drive",
        "item_count": items.len(),
        "created_at": TIME,
        "items": items,
    });
    state.connections.imports.insert(id.clone(), created);
    let has_failures = items.iter().any(|item| !item["error"].is_null());
    reply(202, &json!({ "_id": id, "has_failures": has_failures, "items": items }))
}

fn import_file(state: &mut State, source_id: &str) -> Value {
    if source_id.contains(MISSING) {
        let error = json!({ "code": "source_unavailable", "message": "The file does not exist." });
        return json!({ "source_id": source_id, "action": "rejected", "error": error });
    }
    let there = state.connections.files.get(source_id).and_then(|id| state.assets.get(id)).cloned();
    let (action, asset) = match there {
        Some(asset) => ("skipped", asset),
        None => {
            let id = state.new_id();
            state.connections.files.insert(source_id.into(), id.clone());
            ("created", state.assets.add_imported(id, source_id))
        }
    };
    json!({ "source_id": source_id, "action": action, "asset_id": asset["_id"], "status": asset["status"] })
}

/// Returns an import without the files whose assets no longer exist.
fn retrieve_import(state: &mut State, id: &str) -> Answer {
    let Some(mut import) = state.connections.imports.get(id).cloned() else {
        return missing("imports", id);
    };
    let items = import["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let now = items.into_iter().filter_map(|mut item| {
        let Some(asset_id) = item["asset_id"].as_str().map(str::to_owned) else { return Some(item) };
        state.assets.retrieve(&asset_id, &state.pace); // a poll of the import is one of its assets
        item["status"] = state.assets.get(&asset_id)?["status"].clone();
        Some(item)
    });
    import["items"] = now.collect();
    reply(200, &import)
}
