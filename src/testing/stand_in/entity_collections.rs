//! Entity collections and entities of the stand-in.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::request::Request;
use super::state::{Answer, Pace, Stage, State, error, missing, page, reply};

const TIME: &str = "2026-01-02T03:04:05Z";

/// All collections and their entities, by id.
#[derive(Default)]
pub(super) struct EntityCollections {
    collections: BTreeMap<String, Value>,
    entities: BTreeMap<String, Stored>,
}

struct Stored {
    entity: Value,
    polls: u32,
}

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    if let ("GET", ["assets", asset, "entities"]) = (request.method(), segments) {
        let has_asset = |entity: &Value| entity["asset_ids"].as_array().is_some_and(|ids| ids.contains(&json!(asset)));
        return Some(page(request, &state.entity_collections.list(has_asset)));
    }
    let ["entity-collections", rest @ ..] = segments else {
        return None;
    };
    let collections = &mut state.entity_collections.collections;
    Some(match (request.method(), rest) {
        ("GET", []) => page(request, &found(request, collections.values().rev().cloned())),
        ("POST", []) => {
            let id = state.new_id();
            state.entity_collections.create(id, &request.json())
        }
        (_, [id, ..]) if !collections.contains_key(*id) => missing("entity-collections", id),
        ("GET", [id]) => reply(200, &collections[*id]),
        ("PATCH", [id]) => {
            let collection = collections.get_mut(*id)?;
            change(collection, &request.json());
            reply(200, collection)
        }
        ("DELETE", [id]) => {
            collections.remove(*id);
            state.entity_collections.entities.retain(|_, stored| stored.entity["entity_collection_id"] != **id);
            reply(204, &Value::Null)
        }
        ("GET", [id, "entities"]) => {
            let entities = state.entity_collections.list(|entity| entity["entity_collection_id"] == **id);
            page(request, &found(request, entities.into_iter()))
        }
        ("POST", [id, "entities"]) => match create_entity(state, id, &request.json()) {
            Ok(entity) => reply(201, &entity),
            Err(reason) => error(400, "parameter_invalid", &reason),
        },
        ("POST", [id, "entities", "bulk"]) => create_bulk(state, id, &request.json()),
        (method, [_, "entities", id, rest @ ..]) => {
            let Some(stored) = state.entity_collections.entities.get_mut(*id) else {
                return Some(missing("entities", id));
            };
            match (method, rest) {
                ("GET", []) => stored.retrieve(&state.pace),
                ("PATCH", []) => {
                    change(&mut stored.entity, &request.json());
                    reply(200, &stored.entity)
                }
                ("DELETE", []) => {
                    state.entity_collections.entities.remove(*id);
                    reply(204, &Value::Null)
                }
                ("POST" | "DELETE", ["assets"]) => stored.change_assets(method, &request.json()),
                _ => return None,
            }
        }
        _ => return None,
    })
}

impl EntityCollections {
    fn create(&mut self, id: String, body: &Value) -> Answer {
        if !body["name"].is_string() {
            return error(400, "parameter_invalid", "The name parameter is missing.");
        }
        let mut collection = json!({"_id": id, "created_at": TIME, "updated_at": TIME});
        change(&mut collection, body);
        self.collections.insert(id, collection.clone());
        reply(201, &collection)
    }

    /// Returns the entities that match, newest first.
    fn list(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.entities.values().rev().map(|stored| &stored.entity).filter(|entity| wanted(entity)).cloned().collect()
    }
}

impl Stored {
    fn retrieve(&mut self, pace: &Pace) -> Answer {
        match pace.poll(&mut self.polls) {
            Stage::Working => {}
            Stage::Ready => self.entity["status"] = json!("ready"),
            Stage::Failed(_) => self.entity["status"] = json!("failed"),
        }
        reply(200, &self.entity)
    }

    fn change_assets(&mut self, method: &str, body: &Value) -> Answer {
        let given = body["asset_ids"].as_array().cloned().unwrap_or_default();
        let mut ids = self.entity["asset_ids"].as_array().cloned().unwrap_or_default();
        ids.retain(|id| !given.contains(id));
        if method == "POST" {
            ids.extend(given);
        }
        if ids.is_empty() {
            return error(400, "parameter_invalid", "The last asset of an entity cannot be removed.");
        }
        self.entity["asset_ids"] = json!(ids);
        self.entity["status"] = json!("processing");
        self.polls = 0;
        reply(200, &self.entity)
    }
}

fn create_entity(state: &mut State, collection: &str, body: &Value) -> Result<Value, String> {
    let ids = body["asset_ids"].as_array().cloned().unwrap_or_default();
    let name = body["name"].as_str().ok_or("The name parameter is missing.")?;
    if ids.is_empty() {
        return Err(format!("{name} needs at least one asset."));
    }
    if let Some(id) = ids.iter().find(|id| id.as_str().is_none_or(|id| state.assets.get(id).is_none())) {
        return Err(format!("There is no asset {id}."));
    }
    let id = state.new_id();
    let mut entity = json!({
        "_id": id,
        "entity_collection_id": collection,
        "asset_ids": ids,
        "status": "processing",
        "created_at": TIME,
        "updated_at": TIME,
    });
    change(&mut entity, body);
    state.entity_collections.entities.insert(id, Stored { entity: entity.clone(), polls: 0 });
    Ok(entity)
}

fn create_bulk(state: &mut State, collection: &str, body: &Value) -> Answer {
    let (mut entities, mut errors) = (Vec::new(), Vec::new());
    for (index, input) in body["entities"].as_array().into_iter().flatten().enumerate() {
        match create_entity(state, collection, input) {
            Ok(entity) => entities.push(json!({
                "_id": entity["_id"], "name": entity["name"], "status": entity["status"]
            })),
            Err(reason) => errors.push(json!({
                "entity_index": index, "entity_name": input["name"], "error_reason": reason
            })),
        }
    }
    let body = json!({
        "success_count": entities.len(),
        "failed_count": errors.len(),
        "entities": entities,
        "errors": errors,
    });
    reply(201, &body)
}

/// Sets the fields that a request may change.
fn change(thing: &mut Value, body: &Value) {
    for name in ["name", "description", "metadata"] {
        if !body[name].is_null() {
            thing[name] = body[name].clone();
        }
    }
}

/// Returns the items that match the name and the state in the query.
fn found(request: &Request, items: impl Iterator<Item = Value>) -> Vec<Value> {
    let query = request.query();
    let fits = |item: &Value, name: &str| {
        query.iter().find(|(key, _)| key == name).is_none_or(|(_, value)| item[name] == value.as_str())
    };
    items.filter(|item| fits(item, "name") && fits(item, "status")).collect()
}
