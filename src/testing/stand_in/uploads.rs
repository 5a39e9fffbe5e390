//! Chunked uploads of the stand-in.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::body::Body;
use super::request::Request;
use super::state::{Answer, State, error, missing, page, page_of, reply};
use super::storage::{Storage, UPLOAD_HEADER};
use crate::Clock;
use crate::testing::TestClock;

/// A file that was uploaded completely, in one request or in chunks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Upload {
    /// The id of the asset.
    pub asset_id: String,
    /// The id of the upload session, if the file was sent in chunks.
    pub upload_id: Option<String>,
    /// The file name of the asset.
    pub filename: String,
    /// The number of bytes.
    pub length: u64,
    /// The SHA-256 in hexadecimal digits. `None` if the file had more chunks than can be kept.
    pub sha256: Option<String>,
}

/// A complete upload whose hash has not been computed yet.
pub(super) struct Arrived {
    pub(super) asset_id: String,
    pub(super) filename: String,
    pub(super) length: u64,
    pub(super) from: Source,
}

/// The place where the bytes of a complete upload are kept.
pub(super) enum Source {
    /// The bytes are in the request with this number in the log.
    Request(usize),
    Session(String),
}

/// All sessions, by id.
pub(super) struct Uploads {
    sessions: BTreeMap<String, Session>,
    /// The complete files, in order.
    pub(super) arrived: Vec<Arrived>,
    pub(super) storage: Storage,
    /// The chunk size of new sessions.
    pub(super) chunk_size: u64,
    /// The number of URLs in a new session.
    pub(super) first_urls: u32,
}

struct Session {
    asset_id: String,
    filename: String,
    /// The request that began the session.
    request: Value,
    total_size: u64,
    chunk_size: u64,
    total_chunks: u32,
    expires_at: OffsetDateTime,
    status: &'static str,
    /// Each chunk's state, in order.
    chunks: Vec<&'static str>,
    /// Every reported chunk, in order, including repetitions.
    reported: Vec<u32>,
}

/// The maximum number of chunks of a session.
const MAX_CHUNKS: u64 = 100_000;

pub(super) fn answer(state: &mut State, request: &Request, segments: &[&str]) -> Option<Answer> {
    let ["assets", "multipart-uploads", rest @ ..] = segments else { return None };
    state.uploads.let_time_pass();
    Some(match (request.method(), rest) {
        ("POST", []) => {
            let (upload_id, asset_id) = (state.new_id(), state.new_id());
            state.uploads.create(upload_id, asset_id, &request.json())
        }
        ("GET", []) => state.uploads.list(request),
        ("GET", [id]) => state.uploads.status(id, request),
        ("POST", [id, "presigned-urls"]) => state.uploads.presign(id, &request.json()),
        ("POST", [id]) => {
            let (answer, is_completed) = state.uploads.report(id, &request.json());
            if let Some(session) = state.uploads.sessions.get(*id).filter(|_| is_completed) {
                let Session { asset_id, filename, total_size, request, .. } = session;
                state.assets.add_uploaded(asset_id, filename, *total_size, request);
                let (asset_id, filename, from) = (asset_id.clone(), filename.clone(), Source::Session(id.to_string()));
                state.uploads.arrived.push(Arrived { asset_id, filename, length: *total_size, from });
            }
            answer
        }
        _ => return None,
    })
}

fn date(date: OffsetDateTime) -> Value {
    date.format(&Rfc3339).map_or(Value::Null, Value::from)
}

impl Uploads {
    pub(super) fn new(clock: TestClock) -> Self {
        Uploads {
            sessions: BTreeMap::new(),
            arrived: Vec::new(),
            storage: Storage::new(clock),
            chunk_size: 5 << 20,
            first_urls: 10,
        }
    }

    /// Expires the sessions whose 24 hours have passed.
    fn let_time_pass(&mut self) {
        let now = self.storage.clock.utc_now();
        let is_over = |session: &&mut Session| session.status == "active" && session.expires_at <= now;
        self.sessions.values_mut().filter(is_over).for_each(|session| session.status = "expired");
    }

    /// Returns the ids of all sessions, oldest first.
    pub(super) fn ids(&self) -> Vec<String> {
        self.sessions.keys().cloned().collect()
    }

    /// Expires a session, as if its 24 hours had passed.
    pub(super) fn expire(&mut self, id: &str) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.status = "expired";
        }
    }

    /// Returns the reported chunks of a session, in order, including repetitions.
    pub(super) fn reported(&self, id: &str) -> Vec<u32> {
        self.sessions.get(id).map(|session| session.reported.clone()).unwrap_or_default()
    }

    /// Returns the assembled bytes of a completed upload.
    pub(super) fn assembled(&self, id: &str) -> Option<Vec<u8>> {
        let session = self.sessions.get(id).filter(|session| session.status == "completed")?;
        (1..=session.total_chunks).try_fold(Vec::new(), |mut bytes, index| {
            bytes.extend(self.storage.chunk(id, index)?.body.bytes()?);
            Some(bytes)
        })
    }

    /// Returns the complete uploads, with their hashes.
    pub(super) fn uploads(&self, log: &[Request]) -> Vec<Upload> {
        let upload = |arrived: &Arrived| {
            let (upload_id, sha256) = match &arrived.from {
                Source::Request(number) => {
                    (None, log.get(*number).and_then(|request| request.part("file")?.body.sha256().into()))
                }
                Source::Session(id) => (Some(id.clone()), self.sha256(id)),
            };
            let Arrived { asset_id, filename, length, .. } = arrived;
            Upload { asset_id: asset_id.clone(), upload_id, filename: filename.clone(), length: *length, sha256 }
        };
        self.arrived.iter().map(upload).collect()
    }

    fn sha256(&self, id: &str) -> Option<String> {
        let mut whole = Body::new(0);
        for index in 1..=self.sessions.get(id)?.total_chunks {
            whole.push(self.storage.chunk(id, index)?.body.bytes()?);
        }
        Some(whole.sha256())
    }

    fn create(&mut self, upload_id: String, asset_id: String, body: &Value) -> Answer {
        let (Some(filename), Some(total_size)) = (body["filename"].as_str(), body["total_size"].as_u64()) else {
            return error(400, "parameter_not_provided", "filename and total_size are required.");
        };
        if !matches!(body["type"].as_str(), Some("video" | "audio" | "image")) {
            return error(400, "parameter_invalid", "The type parameter must be video, audio or image.");
        }
        let total_chunks = total_size.div_ceil(self.chunk_size);
        let Some(total_chunks) = u32::try_from(total_chunks).ok().filter(|_| total_chunks <= MAX_CHUNKS) else {
            return error(400, "parameter_invalid", "The total_size is too large for the stand-in.");
        };
        let session = Session {
            asset_id,
            filename: filename.into(),
            request: body.clone(),
            total_size,
            chunk_size: self.chunk_size,
            total_chunks,
            expires_at: self.storage.clock.utc_now() + Duration::hours(24),
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
            "expires_at": date(session.expires_at),
        });
        self.sessions.insert(upload_id, session);
        reply(201, &body)
    }

    fn urls(&mut self, upload_id: &str, start: u32, count: u32) -> Vec<Value> {
        let url = |index| {
            let (url, expires_at) = self.storage.presign(upload_id, index);
            json!({ "chunk_index": index, "url": url, "expires_at": date(expires_at) })
        };
        (start..start + count).map(url).collect()
    }

    fn presign(&mut self, id: &str, body: &Value) -> Answer {
        let Some(session) = self.sessions.get(id) else { return missing("uploads", id) };
        if session.status != "active" {
            return error(410, "upload_expired", "The upload session is no longer active.");
        }
        let number = |name: &str| body[name].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let (start, count) = (number("start"), number("count"));
        if start == 0 || count == 0 || count > 50 || start.saturating_add(count - 1) > session.total_chunks {
            return error(
                400,
                "parameter_invalid",
                "start and count must be within the session, and count must be at most 50.",
            );
        }
        let urls = self.urls(id, start, count);
        reply(200, &json!({ "upload_id": id, "start_index": start, "count": count, "upload_urls": urls }))
    }

    /// Handles a report of chunks. Returns the answer, and whether all chunks are complete now.
    fn report(&mut self, id: &str, body: &Value) -> (Answer, bool) {
        let Some(session) = self.sessions.get_mut(id) else { return (missing("uploads", id), false) };
        if session.status == "expired" {
            return (error(410, "upload_expired", "The upload session has expired."), false);
        }
        let (mut processed, mut duplicates) = (0, 0);
        for reported in body["completed_chunks"].as_array().into_iter().flatten() {
            let index = reported["chunk_index"].as_u64().and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
            let Some(state) = (index as usize).checked_sub(1).and_then(|place| session.chunks.get_mut(place)) else {
                return (error(400, "parameter_invalid", "There is no such chunk."), false);
            };
            let chunk = self.storage.chunk(id, index);
            let proven = chunk.is_some_and(|chunk| {
                reported["proof"] == chunk.etag.as_str()
                    && reported["proof_type"] == "etag"
                    && reported["chunk_size"] == chunk.body.len()
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
        let is_complete = completed == session.chunks.len();
        let is_news = is_complete && session.status != "completed";
        if is_complete {
            session.status = "completed";
            body["url"] = json!(format!("https://example.com/{}", session.asset_id));
        }
        (reply(200, &body), is_news)
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
        let mut body = match page_of("uploaded_chunks", request, &chunks) {
            Ok(body) => body,
            Err(answer) => return answer,
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
                    "expires_at": date(session.expires_at),
                })
            })
            .collect();
        page(request, &incomplete)
    }
}
