//! Searches of the stand-in: the scenes with the most words of the query come first.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::form::Part;
use super::indexes::{SCENES, Video};
use super::request::Request;
use super::state::{Answer, State, error, missing, reply};

/// The results of each search, kept for requests for further pages.
#[derive(Default)]
pub(super) struct Searches {
    made: Vec<Search>,
}

struct Search {
    index_id: String,
    hits: Vec<Value>,
    /// The number of clips in the hits.
    clips: usize,
    /// The number of searched videos.
    videos: usize,
    page_limit: usize,
}

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    Some(match (request.method(), segments) {
        ("POST", ["search"]) => create(state, request),
        ("GET", ["search", token]) => {
            let include = request.query().iter().any(|(key, value)| key == "include_user_metadata" && value == "true");
            let numbers = token.strip_prefix("page-").and_then(|token| token.split_once('-'));
            match numbers.and_then(|(search, page)| Some((search.parse().ok()?, page.parse().ok()?))) {
                Some((search, page)) => state.searches.page(search, page, include),
                None => error(400, "page_token_invalid", "There is no page with this token."),
            }
        }
        _ => return None,
    })
}

fn create(state: &mut State, request: &Request) -> Answer {
    let parts = request.form();
    let text = |name: &str| request.part(name).map(Part::text);
    let index_id = text("index_id").unwrap_or_default();
    if !state.indexes.exists(&index_id) {
        return missing("indexes", &index_id);
    }
    if !parts.iter().any(|part| part.name == "search_options") {
        return error(400, "parameter_not_provided", "The search_options parameter is missing.");
    }
    let has_media = parts.iter().any(|part| part.name.starts_with("query_media_"));
    let query = text("query_text").unwrap_or_default().to_lowercase();
    if query.is_empty() && !has_media {
        return error(400, "parameter_not_provided", "The query has neither a text nor media.");
    }
    let words: Vec<&str> = query.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 2).collect();
    let filter = match text("filter").map(|text| serde_json::from_str::<Value>(&text)) {
        None => Value::Null,
        Some(Ok(filter)) if filter.is_object() => filter,
        Some(_) => return error(400, "parameter_invalid", "The filter parameter must be the text of a JSON object."),
    };
    let by_video = match text("group_by").as_deref() {
        None | Some("clip") => false,
        Some("video") => true,
        Some(_) => return error(400, "parameter_invalid", "The group_by parameter must be clip or video."),
    };
    let is_searched = |video: &Video| video.index_id == index_id && video.shown["status"] == "ready";
    let videos = state.indexes.videos.values().filter(|video| is_searched(video)).count();
    let ready = state.indexes.videos.iter();
    let ready = ready.filter(|(id, video)| is_searched(video) && fits(id, &video.shown, &filter));
    let mut found: Vec<(usize, Value)> = ready
        .flat_map(|(id, video)| {
            SCENES.map(|(start, end, said)| {
                let lower = said.to_lowercase();
                let score = words.iter().filter(|word| lower.contains(**word)).count();
                let hit = json!({
                    "video_id": id, "start": start, "end": end, "transcription": said,
                    "thumbnail_url": format!("https://example.com/{id}/{start}.jpg"),
                    "user_metadata": video.shown["user_metadata"],
                });
                (score, hit)
            })
        })
        .collect();
    found.sort_by_key(|(score, _)| Reverse(*score));
    let mut ranked: Vec<Value> = found
        .into_iter()
        .enumerate()
        .map(|(number, (_, mut hit))| {
            hit["rank"] = json!(number + 1);
            hit
        })
        .collect();
    let clips = ranked.len();
    if by_video {
        ranked = grouped(ranked);
    }
    let page_limit = text("page_limit").and_then(|text| text.parse().ok()).unwrap_or(10).min(50);
    state.searches.made.push(Search { index_id, hits: ranked, clips, videos, page_limit });
    let include = text("include_user_metadata").as_deref() == Some("true");
    state.searches.page(state.searches.made.len() - 1, 1, include)
}

/// Whether a video matches a filter. Every field of the filter must match, whether a system field or user metadata.
fn fits(id: &str, shown: &Value, filter: &Value) -> bool {
    filter.as_object().into_iter().flatten().all(|(name, wanted)| {
        let value = match name.as_str() {
            "id" => &json!(id),
            "filename" | "duration" | "size" | "width" | "height" => &shown["system_metadata"][name],
            _ => &shown["user_metadata"][name],
        };
        match wanted {
            Value::Array(values) => values.contains(value),
            Value::Object(range) => value.as_f64().is_some_and(|value| {
                let bound = |name: &str| range.get(name).and_then(Value::as_f64);
                bound("gte").is_none_or(|least| value >= least) && bound("lte").is_none_or(|most| value <= most)
            }),
            wanted => value == wanted || value.as_f64().is_some_and(|value| wanted.as_f64() == Some(value)),
        }
    })
}

/// Groups the hits by video, in the order of each video's best hit.
fn grouped(hits: Vec<Value>) -> Vec<Value> {
    let mut videos: Vec<Value> = Vec::new();
    for mut hit in hits {
        let id = hit["video_id"].clone();
        let metadata = hit.as_object_mut().and_then(|hit| hit.remove("user_metadata"));
        let at = videos.iter().position(|video| video["id"] == id).unwrap_or_else(|| {
            videos.push(json!({ "id": id, "clips": [], "user_metadata": metadata }));
            videos.len() - 1
        });
        if let Some(clips) = videos[at]["clips"].as_array_mut() {
            clips.push(hit);
        }
    }
    videos
}

impl Searches {
    fn page(&self, number: usize, page: usize, include_user_metadata: bool) -> Answer {
        let Some(search) = self.made.get(number).filter(|search| page > 0 && search.page_limit > 0) else {
            return error(400, "page_token_invalid", "There is no page with this token.");
        };
        let first = (page - 1).saturating_mul(search.page_limit);
        let mut hits: Vec<Value> = search.hits.iter().skip(first).take(search.page_limit).cloned().collect();
        for hit in hits.iter_mut().filter_map(Value::as_object_mut).filter(|_| !include_user_metadata) {
            hit.remove("user_metadata");
        }
        let token = |page: usize| {
            (page > 0 && (page - 1).saturating_mul(search.page_limit) < search.hits.len())
                .then(|| format!("page-{number}-{page}"))
        };
        let body = json!({
            "data": hits,
            "page_info": {
                "limit_per_page": search.page_limit,
                "total_results": search.hits.len(),
                "total_inner_matches": search.clips,
                "page_expires_at": "2026-01-03T03:04:05Z",
                "next_page_token": token(page.saturating_add(1)),
                "prev_page_token": token(page - 1),
            },
            "search_pool": {
                "index_id": search.index_id,
                "total_count": search.videos,
                "total_duration": 3800.0 * search.videos as f64,
            },
        });
        reply(200, &body)
    }
}
