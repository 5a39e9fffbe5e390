//! Chunked uploads of the stand-in.

use std::collections::BTreeMap;

use mockito::Request;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::storage::{Storage, UPLOAD_HEADER};
use super::{Answer, State, error, json_body, missing, page_of, reply};

/// All sessions, by id.
pub struct Uploads {
    sessions: BTreeMap<String, Session>,
    pub storage: Storage,
    /// How large the chunks of new sessions are.
    pub chunk_size: u64,
    /// How many URLs come with a new session.
    pub first_urls: u32,
}

impl Default for Uploads {
    fn default() -> Self {
        Uploads { sessions: BTreeMap::new(), storage: Storage::start(), chunk_size: 5 << 20, first_urls: 10 }
    }
}

struct Session {
    asset_id: String,
    filename: String,
    user_metadata: Value,
    total_size: u64,
    chunk_size: u64,
    total_chunks: u32,
    status: &'static str,
    /// Each chunk's state, in order.
    chunks: Vec<&'static str>,
    /// Every chunk that was ever reported, in order, repetitions included.
    reported: Vec<u32>,
}

pub fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    let ["assets", "multipart-uploads", rest @ ..] = segments else { return None };
    Some(match (request.method(), rest) {
        ("POST", []) => {
            let (upload_id, asset_id) = (state.new_id(), state.new_id());
            state.uploads.create(upload_id, asset_id, &json_body(request))
        }
        ("GET", []) => state.uploads.list(request),
        ("GET", [id]) => state.uploads.status(id, request),
        ("POST", [id, "presigned-urls"]) => state.uploads.presign(id, &json_body(request)),
        ("POST", [id]) => {
            let answer = state.uploads.report(id, &json_body(request));
            if let Some(session) = state.uploads.sessions.get(*id).filter(|session| session.status == "completed") {
                state.assets.add_uploaded(
                    &session.asset_id,
                    &session.filename,
                    session.total_size,
                    &session.user_metadata,
                );
            }
            answer
        }
        _ => return None,
    })
}

fn in_hours(hours: i64) -> Value {
    let at = OffsetDateTime::now_utc() + Duration::hours(hours);
    at.format(&Rfc3339).map_or(Value::Null, Value::from)
}

impl Uploads {
    /// The ids of all sessions, oldest first.
    pub fn ids(&self) -> Vec<String> {
        self.sessions.keys().cloned().collect()
    }

    /// The session's 24 hours are over.
    pub fn expire(&mut self, id: &str) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.status = "expired";
        }
    }

    /// What was reported of a session, in order, repetitions included.
    pub fn reported(&self, id: &str) -> Vec<u32> {
        self.sessions.get(id).map(|session| session.reported.clone()).unwrap_or_default()
    }

    /// The bytes of a completed upload, put together.
    pub fn assembled(&self, id: &str) -> Option<Vec<u8>> {
        let session = self.sessions.get(id).filter(|session| session.status == "completed")?;
        (1..=session.total_chunks).try_fold(Vec::new(), |mut bytes, index| {
            bytes.extend(self.storage.chunk(id, index)?.bytes);
            Some(bytes)
        })
    }

    fn create(&mut self, upload_id: String, asset_id: String, body: &Value) -> Answer {
        let (Some(filename), Some(total_size)) = (body["filename"].as_str(), body["total_size"].as_u64()) else {
            return error(400, "parameter_not_provided", "filename and total_size are required.");
        };
        if !matches!(body["type"].as_str(), Some("video" | "audio" | "image")) {
            return error(400, "parameter_invalid", "The type parameter has to be video, audio or image.");
        }
        let total_chunks = total_size.div_ceil(self.chunk_size) as u32;
        let session = Session {
            asset_id,
            filename: filename.into(),
            user_metadata: body["user_metadata"].clone(),
            total_size,
            chunk_size: self.chunk_size,
            total_chunks,
            status: "active",
            chunks: vec!["pending"; total_chunks as usize],
            reported: Vec::new(),
        };
        let body = json!({
            "upload_id": upload_id,
            "asset_id": session.asset_id,
            "upload_urls": self.urls(&upload_id, 1, self.first_urls.min(total_chunks)),
            "upload_headers": { UPLOAD_HEADER.0: UPLOAD_HEADER.1 },
            "chunk_size": session.chunk_size,
            "total_chunks": total_chunks,
            "expires_at": in_hours(24),
        });
        self.sessions.insert(upload_id, session);
        reply(201, &body)
    }

    fn urls(&self, upload_id: &str, start: u32, count: u32) -> Vec<Value> {
        let url = |index| json!({ "chunk_index": index, "url": self.storage.presign(upload_id, index), "expires_at": in_hours(1) });
        (start..start + count).map(url).collect()
    }

    fn presign(&self, id: &str, body: &Value) -> Answer {
        let Some(session) = self.sessions.get(id) else { return missing("uploads", id) };
        if session.status != "active" {
            return error(410, "upload_expired", "The upload session is no longer active.");
        }
        let number = |name: &str| body[name].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let (start, count) = (number("start"), number("count"));
        if start == 0 || count == 0 || count > 50 || start + count - 1 > session.total_chunks {
            return error(400, "parameter_invalid", "start and count have to be within the session, count at most 50.");
        }
        let urls = self.urls(id, start, count);
        reply(200, &json!({ "upload_id": id, "start_index": start, "count": count, "upload_urls": urls }))
    }

    fn report(&mut self, id: &str, body: &Value) -> Answer {
        let storage = self.storage.clone();
        let Some(session) = self.sessions.get_mut(id) else { return missing("uploads", id) };
        if session.status == "expired" {
            return error(410, "upload_expired", "The upload session has expired.");
        }
        let (mut processed, mut duplicates) = (0, 0);
        for reported in body["completed_chunks"].as_array().into_iter().flatten() {
            let index = reported["chunk_index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
            let Some(state) = (index as usize).checked_sub(1).and_then(|place| session.chunks.get_mut(place)) else {
                return error(400, "parameter_invalid", "There is no such chunk.");
            };
            let chunk = storage.chunk(id, index);
            let proven = chunk.is_some_and(|chunk| {
                reported["proof"] == chunk.etag.as_str()
                    && reported["proof_type"] == "etag"
                    && reported["chunk_size"] == chunk.bytes.len()
            });
            session.reported.push(index);
            match (*state, proven) {
                ("completed", _) => duplicates += 1,
                (_, true) => {
                    *state = "completed";
                    processed += 1;
                }
                (_, false) => *state = "failed",
            }
        }
        let completed = session.chunks.iter().filter(|state| **state == "completed").count();
        let mut body = json!({
            "asset_id": session.asset_id,
            "processed_chunks": processed,
            "duplicate_chunks": duplicates,
            "total_completed": completed,
        });
        if completed == session.chunks.len() {
            session.status = "completed";
            body["url"] = json!(format!("https://example.com/{}", session.asset_id));
        }
        reply(200, &body)
    }

    fn status(&self, id: &str, request: &Request) -> Answer {
        let Some(session) = self.sessions.get(id) else { return missing("uploads", id) };
        let chunks: Vec<Value> = session
            .chunks
            .iter()
            .enumerate()
            .map(|(place, state)| json!({ "index": place + 1, "status": state }))
            .collect();
        let count = |wanted: &str| session.chunks.iter().filter(|state| **state == wanted).count();
        let Ok(mut body) = page_of("uploaded_chunks", request, &chunks) else {
            return error(400, "parameter_invalid", "page and page_limit have to be positive numbers.");
        };
        body["upload_id"] = json!(id);
        body["status"] = json!(session.status);
        body["chunks_completed"] = json!(count("completed"));
        body["chunks_failed"] = json!(count("failed"));
        body["chunks_pending"] = json!(count("pending"));
        body["total_size"] = json!(session.total_size);
        reply(200, &body)
    }

    fn list(&self, request: &Request) -> Answer {
        let incomplete: Vec<Value> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.status == "active")
            .map(|(id, session)| {
                json!({
                    "upload_id": id,
                    "status": session.status,
                    "total_size": session.total_size,
                    "chunk_size": session.chunk_size,
                    "total_chunks": session.total_chunks,
                    "expires_at": in_hours(24),
                })
            })
            .collect();
        super::page(request, &incomplete)
    }
}
