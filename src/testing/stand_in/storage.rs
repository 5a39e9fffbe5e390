//! The host of the presigned URLs. It is a separate server, which must never receive the API key.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::body::Body;
use super::request::Request;
use super::state::{Answer, Content, reply};
use crate::Clock;
use crate::testing::TestClock;

/// A header that the storage requires. It is announced in the platform's `upload_headers`.
pub(super) const UPLOAD_HEADER: (&str, &str) = ("x-storage-class", "stand-in");

const REFUSAL: &str =
    "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";

/// The chunks that the storage received, and its presigned URLs.
pub(super) struct Storage {
    /// The base URL of the storage, such as `http://127.0.0.1:1234`.
    pub(super) base: String,
    /// The number of connections.
    pub(super) connections: usize,
    pub(super) clock: TestClock,
    urls: BTreeMap<String, Url>,
    chunks: BTreeMap<(String, u32), Chunk>,
}

struct Url {
    place: (String, u32),
    expires_at: OffsetDateTime,
    used: bool,
}

/// A chunk that has arrived completely.
pub(super) struct Chunk {
    pub(super) etag: String,
    pub(super) body: Arc<Body>,
}

pub(super) fn refusal() -> Answer {
    Answer::new(403, "application/xml", Content::Whole(REFUSAL.into()))
}

pub(super) fn answer(storage: &mut Storage, request: &Request) -> Answer {
    let Some(place) = place(request).filter(|_| request.is_fresh) else { return refusal() };
    if request.header(UPLOAD_HEADER.0) != Some(UPLOAD_HEADER.1) {
        return refusal();
    }
    let body = request.shared_body();
    let mut hasher = DefaultHasher::new();
    match body.bytes() {
        Some(bytes) => hasher.write(bytes),
        None => hasher.write(body.sha256().as_bytes()),
    }
    let etag = format!("{:032x}", hasher.finish());
    storage.chunks.insert(place, Chunk { etag: etag.clone(), body });
    reply(200, &().into()).with_header("etag", format!("\"{etag}\""))
}

/// Returns the upload id and the number of the chunk in a request.
pub(super) fn place(request: &Request) -> Option<(String, u32)> {
    match (request.method(), request.segments().as_slice()) {
        ("PUT", ["storage", upload_id, index]) => Some((upload_id.to_string(), index.parse().ok()?)),
        _ => None,
    }
}

impl Storage {
    pub(super) fn new(clock: TestClock) -> Self {
        Storage { base: String::new(), connections: 0, clock, urls: BTreeMap::new(), chunks: BTreeMap::new() }
    }

    /// Returns a URL that accepts one chunk once, within an hour.
    pub(super) fn presign(&mut self, upload_id: &str, index: u32) -> (String, OffsetDateTime) {
        let signature = format!("s{}", self.urls.len());
        let expires_at = self.clock.utc_now() + Duration::HOUR;
        let url = format!("{}/storage/{upload_id}/{index}?X-Amz-Signature={signature}", self.base);
        self.urls.insert(signature, Url { place: (upload_id.into(), index), expires_at, used: false });
        (url, expires_at)
    }

    /// Marks the URL of a request that has just begun as used.
    pub(super) fn claim(&mut self, request: &mut Request) {
        let signature = request.query().iter().find(|(name, _)| name == "X-Amz-Signature").map(|(_, value)| value);
        let url = signature.and_then(|signature| self.urls.get_mut(signature));
        let now = self.clock.utc_now();
        let Some(url) = url.filter(|url| Some(&url.place) == place(request).as_ref() && url.expires_at > now) else {
            return;
        };
        request.is_fresh = !std::mem::replace(&mut url.used, true);
    }

    /// Expires all URLs issued so far.
    pub(super) fn expire_urls(&mut self) {
        self.urls.values_mut().for_each(|url| url.used = true);
    }

    pub(super) fn chunk(&self, upload_id: &str, index: u32) -> Option<&Chunk> {
        self.chunks.get(&(upload_id.to_string(), index))
    }
}
