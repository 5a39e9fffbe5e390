//! Observation of attempts: a log line and the caller's observer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::STORAGE_OPERATION;
use crate::text::printable;

/// One attempt of a request, as passed to the [observer](crate::TwelveLabsBuilder::observer) of a client.
///
/// It contains nothing secret: no key, no URL query, no request data and no body.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AttemptEvent {
    /// The request, such as `GET /assets/65f…`, or `PUT chunk 3 of 5 of upload 68f…` for a chunk.
    pub operation: String,
    /// The endpoint, such as `GET /assets/{asset_id}`, or `PUT chunk` for a chunk. It is the same for all requests of
    /// one kind, so use it to label metrics. A request by [`TwelveLabs::call`](crate::TwelveLabs::call) has one, too.
    pub route: String,
    /// The host that was contacted last: the API host, the storage host, or `the proxy` followed by its host.
    pub host: String,
    /// The number of the attempt within its call, from 1. Redirects count as well.
    pub attempt: u32,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// The reason why the response is missing or incomplete.
    pub error: Option<String>,
    /// The duration of the attempt. For a stream, the time until it began.
    pub duration: Duration,
    /// The number of bytes of the request, including its headers, that were handed to the network.
    pub bytes_sent: u64,
    /// The size of the response's body in bytes, after decompression; 0 for a stream.
    pub bytes_received: u64,
    /// The `x-trace-id` to quote to the platform's support.
    pub trace_id: Option<String>,
    /// The pause before the next attempt, if another one follows after a pause.
    pub retry_in: Option<Duration>,
}

impl fmt::Display for AttemptEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, attempt {} at {}: ", self.operation, self.attempt, self.host)?;
        match (self.status, &self.error) {
            (Some(status), None) => write!(f, "{status}")?,
            (Some(status), Some(error)) => write!(f, "{status}, {}", printable(error, 300))?,
            (None, error) => f.write_str(&printable(error.as_deref().unwrap_or("no response"), 300))?,
        }
        let (sent, received) = (self.bytes_sent, self.bytes_received);
        write!(f, " after {} ms, {sent} bytes sent, {received} received", self.duration.as_millis())?;
        match &self.trace_id {
            Some(id) => write!(f, ", trace id {id}"),
            None => Ok(()),
        }
    }
}

/// The fixed segments in the paths of the API. Any other segment is an id.
const WORDS: [&str; 30] = [
    "add",
    "analyze",
    "assets",
    "batches",
    "bulk",
    "cancel",
    "connections",
    "embed",
    "embed-v2",
    "entities",
    "entity-collections",
    "imports",
    "indexed-assets",
    "indexes",
    "item-collections",
    "items",
    "knowledge-stores",
    "multipart-uploads",
    "picker-token",
    "presigned-urls",
    "redirect-uris",
    "remove",
    "responses",
    "results",
    "search",
    "status",
    "tasks",
    "transcription",
    "user-metadata",
    "videos",
];

/// Returns the endpoint of an operation, such as `GET /assets/{asset_id}` for `GET /assets/65f…`.
pub(super) fn route(operation: &str) -> String {
    if operation.starts_with(STORAGE_OPERATION) {
        return STORAGE_OPERATION.into();
    }
    let Some((method, path)) = operation.split_once(" /") else { return operation.into() };
    let mut route = format!("{method} ");
    let mut before = "";
    for (place, segment) in path.split('/').enumerate() {
        let (name, custom_method) = segment.split_once(':').unwrap_or((segment, ""));
        if place == 0 || WORDS.contains(&name) {
            route.extend(["/", name]);
        } else {
            // The segment before an id names the resource: `indexed-assets` is followed by `{indexed_asset_id}`.
            let thing = before.strip_suffix("ies").map(|stem| format!("{stem}y"));
            let thing = thing.or_else(|| before.strip_suffix("xes").map(|stem| format!("{stem}x")));
            let thing = thing.unwrap_or_else(|| before.strip_suffix('s').unwrap_or(before).to_string());
            route.extend(["/{", thing.replace('-', "_").as_str(), "_id}"]);
        }
        if !custom_method.is_empty() {
            route.extend([":", custom_method]);
        }
        before = name;
    }
    route
}

pub(crate) type Observer = Arc<dyn Fn(&AttemptEvent) + Send + Sync>;

/// A finished attempt. It is reported once, whatever follows.
pub(super) struct ReportOnDrop<'a> {
    pub event: AttemptEvent,
    pub observer: Option<&'a Observer>,
}

impl ReportOnDrop<'_> {
    /// Whether logging or an observer needs the event.
    pub(super) fn is_wanted(observer: Option<&Observer>) -> bool {
        observer.is_some() || log::log_enabled!(log::Level::Debug)
    }
}

impl Drop for ReportOnDrop<'_> {
    fn drop(&mut self) {
        log::debug!("{}", self.event);
        if let Some(observer) = self.observer {
            observer(&self.event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Collects the strings in a value, which include the ids that were passed to a call.
    fn strings<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::String(text) => drop(found.insert(text)),
            Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
            Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
            _ => {}
        }
    }

    #[test]
    fn every_endpoint_has_a_route_without_ids() {
        let mut unused = BTreeSet::from(WORDS);
        let mut seen = 0;
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/doc")).unwrap() {
            let path = file.unwrap().path();
            let fixture: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let mut ids = BTreeSet::new();
            strings(&fixture["args"], &mut ids);
            // The ids in later requests come from responses.
            let request = &fixture["exchanges"][0]["request"];
            let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
            let Some(path) = path.strip_prefix("/v1.3") else { continue };
            let route = route(&format!("{method} {path}"));
            let (method_shown, shown) = route.split_once(' ').unwrap();
            assert_eq!((method_shown, shown.split('/').count()), (method, path.split('/').count()), "{route}");
            for (segment, shown) in path.split('/').zip(shown.split('/')) {
                let segment = if ids.contains(segment) { "{" } else { segment };
                assert!(shown == segment || (segment == "{" && shown.starts_with('{')), "{path}: {route}");
                unused.remove(segment.split(':').next().unwrap_or_default());
            }
            seen += 1;
        }
        assert!(seen > 80, "only {seen} endpoints");
        assert!(unused.is_empty(), "words that occur in no path: {unused:?}");
    }

    #[test]
    fn requests_of_one_kind_have_one_route() {
        for (operation, expected) in [
            ("GET /assets", "GET /assets"),
            ("GET /assets/65f0", "GET /assets/{asset_id}"),
            (
                "POST /assets/multipart-uploads/u1/presigned-urls",
                "POST /assets/multipart-uploads/{multipart_upload_id}/presigned-urls",
            ),
            ("GET /indexes/i1/indexed-assets/a1", "GET /indexes/{index_id}/indexed-assets/{indexed_asset_id}"),
            (
                "PATCH /entity-collections/c1/entities/e1",
                "PATCH /entity-collections/{entity_collection_id}/entities/{entity_id}",
            ),
            ("POST /connections/c1:authorize", "POST /connections/{connection_id}:authorize"),
            ("GET /search/eyJ0b2tlbiI", "GET /search/{search_id}"),
            ("POST /widgets/w1/spin", "POST /widgets/{widget_id}/{w1_id}"),
            ("PUT chunk 3 of 5 of upload 68f of asset 65f", "PUT chunk"),
        ] {
            assert_eq!(route(operation), expected);
        }
    }
}
