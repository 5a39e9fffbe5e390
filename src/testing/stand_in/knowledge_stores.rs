//! Knowledge stores of the stand-in, with their items and item collections.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::indexes::SCENES;
use super::request::Request;
use super::state::{Answer, Pace, Stage, State, error, missing, page, reply};

const TIME: &str = "2026-01-02T03:04:05Z";

/// All knowledge stores, items and collections, by id.
#[derive(Default)]
pub(super) struct KnowledgeStores {
    stores: BTreeMap<String, Value>,
    items: BTreeMap<String, Item>,
    collections: BTreeMap<String, Collection>,
    /// The bodies of the searches so far, without their tokens.
    searches: Vec<Value>,
}

struct Item {
    store: String,
    shown: Value,
    polls: u32,
}

struct Collection {
    store: String,
    shown: Value,
    members: Vec<String>,
}

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    let ["knowledge-stores", rest @ ..] = segments else {
        return None;
    };
    let known = &mut state.knowledge_stores;
    Some(match (request.method(), rest) {
        ("GET", []) => page(request, &known.stores.keys().rev().map(|id| known.store(id)).collect::<Vec<_>>()),
        ("POST", []) => {
            let id = state.new_id();
            let mut store = json!({"_id": id, "created_at": TIME, "updated_at": TIME});
            let body = request.json();
            let schema = &body["ingestion_config"]["enrichment_config"]["json_schema"];
            if let Some(name) = undescribed(schema) {
                return Some(error(422, "parameter_invalid", &format!("The property {name} has no description.")));
            }
            if !change(&mut store, &body, &["name", "description", "metadata", "ingestion_config"]) {
                return Some(no_name());
            }
            state.knowledge_stores.stores.insert(id.clone(), store);
            reply(201, &state.knowledge_stores.store(&id))
        }
        (_, [store, ..]) if !known.stores.contains_key(*store) => missing("knowledge-stores", store),
        ("GET", [store]) => reply(200, &known.store(store)),
        ("PATCH", [store]) => {
            change(known.stores.get_mut(*store)?, &request.json(), &["name", "description", "metadata"]);
            reply(200, &known.store(store))
        }
        ("DELETE", [store]) => {
            known.stores.remove(*store);
            known.items.retain(|_, item| item.store != **store);
            known.collections.retain(|_, collection| collection.store != **store);
            reply(204, &Value::Null)
        }
        ("POST", [store, "search"]) => known.search(store, request.json()),
        ("GET", [store, "items"]) => known.list_items(store, request, &state.pace),
        ("POST", [store, "items"]) => add_item(state, store, &request.json()),
        (method, [store, "items", id]) => match (method, known.items.get_mut(*id).filter(|item| item.store == **store))
        {
            (_, None) => missing("items", id),
            ("GET", Some(item)) => {
                item.poll(&state.pace);
                reply(200, &item.shown)
            }
            ("DELETE", Some(_)) => {
                known.items.remove(*id);
                known.collections.values_mut().for_each(|collection| collection.members.retain(|member| member != id));
                reply(204, &Value::Null)
            }
            _ => return None,
        },
        ("GET", [store, "item-collections"]) => {
            let collections = known.collections.values().rev().filter(|collection| collection.store == **store);
            page(request, &collections.map(Collection::shown).collect::<Vec<_>>())
        }
        ("POST", [store, "item-collections"]) => {
            let id = state.new_id();
            let shown = json!({"_id": id, "knowledge_store_id": store, "created_at": TIME, "updated_at": TIME});
            let mut collection = Collection { store: store.to_string(), shown, members: Vec::new() };
            if !change(&mut collection.shown, &request.json(), &["name", "description", "metadata"]) {
                return Some(no_name());
            }
            let answer = reply(201, &collection.shown());
            state.knowledge_stores.collections.insert(id, collection);
            answer
        }
        (method, [store, "item-collections", id, rest @ ..]) => known.collection(method, store, id, rest, request)?,
        _ => return None,
    })
}

fn add_item(state: &mut State, store: &str, body: &Value) -> Answer {
    let asset_id = body["asset_id"].as_str().unwrap_or_default();
    let Some(asset) = state.assets.get(asset_id) else {
        return missing("assets", asset_id);
    };
    let kind = super::assets::kind(asset);
    if !["video", "image"].contains(&kind) {
        return error(400, "unsupported_file_type", "A knowledge store accepts videos and images.");
    }
    let named = body["asset_type"].as_str().unwrap_or("video");
    if named != kind {
        let message = format!(
            "The asset_type parameter is {named} (video if it is not set), but the type of the asset is {kind}."
        );
        return error(400, "parameter_invalid", &message);
    }
    if asset["status"] != "ready" {
        return error(400, "asset_not_ready", "The asset must be ready before it can be added.");
    }
    if body["metadata"].as_object().is_some_and(|metadata| !metadata.values().all(Value::is_string)) {
        return error(400, "parameter_invalid", "The values of the metadata parameter must be strings.");
    }
    // The documentation does not say what happens if an asset is added again. The stand-in creates a second item, so
    // that a test can detect that a program added an asset twice.
    let system = json!({"asset_type": kind, "filename": asset["filename"], "size": asset["size"]});
    let mut shown = json!({
        "asset_type": kind,
        "asset_id": asset_id,
        "status": "queued",
        "system_metadata": system,
        "created_at": TIME,
        "updated_at": TIME,
    });
    change(&mut shown, body, &["metadata"]);
    let id = state.new_id();
    shown["_id"] = json!(id);
    state.knowledge_stores.items.insert(id, Item { store: store.into(), shown: shown.clone(), polls: 0 });
    reply(202, &shown)
}

impl Item {
    /// Advances the processing of the item by one poll.
    fn poll(&mut self, pace: &Pace) {
        let (status, is_ready) = match pace.poll(&mut self.polls) {
            Stage::Working => ("processing", false),
            Stage::Ready => ("ready", true),
            Stage::Failed(_) => ("failed", false),
        };
        self.shown["status"] = json!(status);
        if is_ready && self.shown["asset_type"] == "video" {
            self.shown["system_metadata"]["duration"] = json!(3800.0);
        }
    }

    /// Returns the hits of a search in the item: an image as a whole, and the scenes of a video that contain a query
    /// word.
    fn hits(&self, words: &[&str], by_item: bool) -> Vec<(usize, Value)> {
        let hit = |matches: Value| {
            let system = &self.shown["system_metadata"];
            let mut hit = json!({
                "asset_type": self.shown["asset_type"],
                "item_id": self.shown["_id"],
                "metadata": {
                    "system": {"duration": system["duration"], "size": system["size"]},
                    "user": self.shown["metadata"],
                },
            });
            if !matches.is_null() {
                hit["matches"] = matches;
            }
            hit
        };
        let score = |said: &str| words.iter().filter(|word| said.to_lowercase().contains(**word)).count();
        if self.shown["asset_type"] == "image" {
            let score = score(self.shown["system_metadata"]["filename"].as_str().unwrap_or_default());
            return vec![(score, hit(Value::Null))];
        }
        let mut clips: Vec<(usize, Value)> = SCENES
            .map(|(start, end, said)| {
                let clip = json!({"start_sec": start, "end_sec": end, "modalities": ["visual"], "transcription": said});
                (score(said), clip)
            })
            .into();
        clips.sort_by_key(|(score, _)| Reverse(*score));
        match by_item {
            true => {
                let best = clips[0].0;
                vec![(best, hit(clips.into_iter().map(|(_, clip)| clip).collect()))]
            }
            false => clips.into_iter().map(|(score, clip)| (score, hit(json!([clip])))).collect(),
        }
    }
}

impl Collection {
    fn shown(&self) -> Value {
        let mut shown = self.shown.clone();
        shown["member_count"] = json!(self.members.len());
        shown
    }
}

impl KnowledgeStores {
    /// Whether a store with this id exists.
    pub(super) fn has(&self, id: &str) -> bool {
        self.stores.contains_key(id)
    }

    /// Returns a knowledge store with its counts.
    fn store(&self, id: &str) -> Value {
        let mut store = self.stores[id].clone();
        store["item_count"] = json!(self.items.values().filter(|item| item.store == id).count());
        store
    }

    /// Returns the items in the requested states, newest first.
    fn list_items(&mut self, store: &str, request: &Request, pace: &Pace) -> Answer {
        let newest_first = self.items.values_mut().rev().filter(|item| item.store == store);
        let found = newest_first.filter_map(|item| {
            if request.is_first_page() {
                item.poll(pace);
            }
            request.admits("status", &item.shown["status"]).then(|| item.shown.clone())
        });
        page(request, &found.collect::<Vec<_>>())
    }

    fn collection(&mut self, method: &str, store: &str, id: &str, rest: &[&str], request: &Request) -> Option<Answer> {
        let Some(collection) = self.collections.get_mut(id).filter(|collection| collection.store == store) else {
            return Some(missing("item-collections", id));
        };
        Some(match (method, rest) {
            ("GET", []) => reply(200, &collection.shown()),
            ("PATCH", []) => {
                change(&mut collection.shown, &request.json(), &["name", "description", "metadata"]);
                reply(200, &collection.shown())
            }
            ("DELETE", []) => {
                self.collections.remove(id);
                reply(204, &Value::Null)
            }
            ("GET", ["items"]) => {
                let members = collection.members.iter().filter_map(|id| self.items.get(id));
                page(request, &members.map(|item| item.shown.clone()).collect::<Vec<_>>())
            }
            ("POST", ["items", action @ ("add" | "remove")]) => {
                let body = request.json();
                let ids: Vec<&str> =
                    body["item_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                collection.members.retain(|member| !ids.contains(&member.as_str()));
                if *action == "remove" {
                    return Some(reply(204, &Value::Null));
                }
                if let Some(unknown) = ids.iter().find(|id| self.items.get(**id).is_none_or(|item| item.store != store))
                {
                    return Some(missing("items", unknown));
                }
                collection.members.extend(ids.iter().map(ToString::to_string));
                reply(200, &collection.shown())
            }
            _ => return None,
        })
    }

    fn search(&mut self, store: &str, mut body: Value) -> Answer {
        let token = body.as_object_mut().and_then(|fields| fields.remove("page_token"));
        let query = body["query"]["text"].as_str().unwrap_or_default().to_lowercase();
        let page_size = body["page_size"].as_u64().unwrap_or(10).min(50) as usize;
        if query.is_empty() || page_size == 0 {
            return error(400, "parameter_invalid", "A query and a positive page_size are required.");
        }
        // A page token is only valid with the settings of its search.
        let (search, from) = match token.as_ref().map(|token| token.as_str().unwrap_or_default().split_once('-')) {
            None => {
                self.searches.push(body.clone());
                (self.searches.len() - 1, 0)
            }
            Some(token) => {
                let token = token.and_then(|(search, from)| Some((search.parse().ok()?, from.parse().ok()?)));
                match token.filter(|(search, _)| self.searches.get(*search) == Some(&body)) {
                    Some(token) => token,
                    None => return error(400, "page_token_invalid", "The page token belongs to another search."),
                }
            }
        };
        let fits = |filter: &Value, value: &Value| {
            let is_listed = filter["in"].as_array().is_some_and(|values| values.contains(value));
            filter.is_null() || filter["eq"] == *value || is_listed
        };
        let filter = &body["filter"];
        let words: Vec<&str> = query.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2).collect();
        let by_item = body["group_by"] == "item";
        let mut found: Vec<(usize, Value)> = self
            .items
            .values()
            .filter(|item| item.store == store && item.shown["status"] == "ready")
            .filter(|item| fits(&filter["asset_type"], &item.shown["asset_type"]))
            .filter(|item| fits(&filter["item_id"], &item.shown["_id"]))
            .flat_map(|item| item.hits(&words, by_item))
            .collect();
        found.sort_by_key(|(score, _)| Reverse(*score));
        let total = found.len();
        let hits = found.into_iter().enumerate().skip(from).take(page_size).map(|(number, (_, mut hit))| {
            hit["rank"] = json!(number + 1);
            if let Some(fields) = hit.as_object_mut().filter(|_| body["include_metadata"] != true) {
                fields.remove("metadata");
            }
            hit
        });
        let options = if body["search_options"].is_null() {
            json!({"video": {"modalities": ["visual"]}})
        } else {
            body["search_options"].clone()
        };
        let mut answer = json!({"data": hits.collect::<Value>(), "effective_search_options": options});
        let next = from.saturating_add(page_size);
        if next < total {
            answer["next_page_token"] = json!(format!("{search}-{next}"));
        }
        reply(200, &answer)
    }
}

/// Returns the first property of a schema that has no description, at any depth. The platform refuses such a schema.
pub(super) fn undescribed(schema: &Value) -> Option<&str> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let own =
        properties.clone().find(|(_, property)| !property["description"].is_string()).map(|(name, _)| name.as_str());
    own.or_else(|| properties.map(|(_, property)| property).chain([&schema["items"]]).find_map(undescribed_below))
}

/// Applies [`undescribed`] to a part of a schema, which may be absent.
fn undescribed_below(schema: &Value) -> Option<&str> {
    schema.is_object().then(|| undescribed(schema)).flatten()
}

/// Sets the given fields, and returns whether the thing has a name afterwards.
fn change(thing: &mut Value, body: &Value, fields: &[&str]) -> bool {
    for name in fields.iter().filter(|name| !body[**name].is_null()) {
        thing[*name] = body[*name].clone();
    }
    thing["name"].is_string()
}

fn no_name() -> Answer {
    error(400, "parameter_invalid", "The name parameter is missing.")
}
