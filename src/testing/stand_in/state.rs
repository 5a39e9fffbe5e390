//! The state of the stand-in, its dispatch of requests, and the answers of its resources.

use serde_json::{Value, json};

use super::fault::{Endpoint, Fault, Kind};
use super::request::{Host, Request};
use super::{analyze, assets, connections, embed, entity_collections, indexes, knowledge_stores};
use super::{responses, search, storage, tasks, uploads};
use crate::testing::TestClock;

/// The maximum number of bytes of bodies to keep.
const MAX_KEPT: usize = 64 << 20;

/// The whole state of the stand-in, resource by resource.
pub(super) struct State {
    pub(super) analyses: analyze::Analyses,
    pub(super) assets: assets::Assets,
    pub(super) connections: connections::Connections,
    pub(super) entity_collections: entity_collections::EntityCollections,
    pub(super) embeddings: embed::Embeddings,
    pub(super) uploads: uploads::Uploads,
    pub(super) indexes: indexes::Indexes,
    pub(super) knowledge_stores: knowledge_stores::KnowledgeStores,
    pub(super) responses: responses::Responses,
    pub(super) searches: search::Searches,
    pub(super) tasks: tasks::Tasks,
    pub(super) polls_until_ready: u32,
    /// The progress of the resource that the current request polls.
    pub(super) pace: Pace,
    /// All requests, in order.
    pub(super) log: Vec<Request>,
    pub(super) script: Vec<Scripted>,
    pub(super) own_answers: Vec<(Endpoint, Value)>,
    kept: usize,
    most_kept: usize,
    created: u64,
}

/// A fault that a test has injected.
pub(super) struct Scripted {
    pub(super) endpoint: Endpoint,
    pub(super) fault: Fault,
    pub(super) met: bool,
}

/// The progress of a polled resource.
#[derive(Debug, Clone)]
pub(super) enum Pace {
    /// The resource is still being processed for this many polls.
    After(u32),
    Never,
    Fails(String),
}

/// The result of a poll.
pub(super) enum Stage {
    Working,
    Ready,
    /// The resource has failed with this code.
    Failed(String),
}

impl Pace {
    /// Returns the result of one more poll.
    pub(super) fn poll(&self, polls: &mut u32) -> Stage {
        match self {
            Pace::After(most) if *polls >= *most => Stage::Ready,
            Pace::Fails(code) => Stage::Failed(code.clone()),
            _ => {
                *polls = polls.saturating_add(1);
                Stage::Working
            }
        }
    }
}

/// The content of an answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Whole(Vec<u8>),
    /// The pieces of a stream, each sent in one write.
    Pieces(Vec<Vec<u8>>),
}

impl Answer {
    pub(super) fn new(status: u16, content_type: &str, content: Content) -> Self {
        Answer { status, headers: vec![("content-type".into(), content_type.into())], content }
    }

    pub(super) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Returns an answer with a JSON body, or with no body for null.
pub(super) fn reply(status: u16, body: &Value) -> Answer {
    let content = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Answer::new(status, "application/json", Content::Whole(content))
}

/// Returns a stream with one JSON text per line.
pub(super) fn lines(status: u16, lines: &[Value]) -> Answer {
    let lines = lines.iter().map(|line| format!("{line}\n").into_bytes()).collect();
    Answer::new(status, "application/x-ndjson", Content::Pieces(lines))
}

pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    reply(status, &json!({ "code": code, "message": message }))
}

pub(super) fn missing(collection: &str, id: &str) -> Answer {
    error(404, "resource_not_exist", &format!("Resource with id '{id}' does not exist in collection '{collection}'"))
}

/// Returns the requested page of all items.
pub(super) fn page(request: &Request, all: &[Value]) -> Answer {
    match page_of("data", request, all) {
        Ok(body) => reply(200, &body),
        Err(answer) => answer,
    }
}

/// Returns the requested page of all items, in a field with this name.
pub(super) fn page_of(field: &str, request: &Request, all: &[Value]) -> Result<Value, Answer> {
    let number = |name: &str, default: u64| match request.query().iter().find(|(key, _)| key == name) {
        None => Ok(default),
        Some((_, text)) => text.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
            error(400, "parameter_invalid", &format!("The {name} parameter must be a positive number."))
        }),
    };
    let page = number("page", 1)?;
    let Some(limit) = usize::try_from(number("page_limit", 10)?).ok().filter(|limit| *limit <= 50) else {
        return Err(error(400, "parameter_invalid", "The page_limit parameter must be at most 50."));
    };
    // A page number may be larger than a pointer of 32 bits.
    let skipped = usize::try_from(page - 1).unwrap_or(usize::MAX).saturating_mul(limit);
    let items: Vec<&Value> = all.iter().skip(skipped).take(limit).collect();
    Ok(json!({
        field: items,
        "page_info": {
            "page": page,
            "limit_per_page": limit,
            "total_page": all.len().div_ceil(limit),
            "total_results": all.len(),
        },
    }))
}

impl State {
    pub(super) fn new(clock: TestClock) -> Self {
        State {
            analyses: Default::default(),
            assets: assets::Assets::new(clock.clone()),
            connections: Default::default(),
            entity_collections: Default::default(),
            embeddings: Default::default(),
            uploads: uploads::Uploads::new(clock),
            indexes: Default::default(),
            knowledge_stores: Default::default(),
            responses: Default::default(),
            searches: Default::default(),
            tasks: Default::default(),
            polls_until_ready: 2,
            pace: Pace::Never,
            log: Vec::new(),
            script: Vec::new(),
            own_answers: Vec::new(),
            kept: 0,
            most_kept: MAX_KEPT,
            created: 0,
        }
    }

    /// Records a request whose headers have arrived, and returns the fault that affects it.
    pub(super) fn begin(&mut self, request: &mut Request) -> Option<Kind> {
        request.number = self.log.len();
        self.log.push(request.clone());
        let segments = request.segments();
        for scripted in self.script.iter_mut().filter(|scripted| scripted.endpoint.is(request.method(), &segments)) {
            match (scripted.fault.after.checked_sub(1), scripted.fault.times) {
                (Some(left), _) => scripted.fault.after = left,
                (None, 0) => {}
                (None, times) => {
                    scripted.fault.times = times - usize::from(times < usize::MAX);
                    scripted.met = true;
                    return Some(scripted.fault.kind.clone());
                }
            }
        }
        None
    }

    /// Records a request with its body, and returns the request to answer. A request to the storage is returned without
    /// its bytes, which its answer does not need.
    pub(super) fn received(&mut self, request: Request) -> Request {
        let mut noted = request.clone();
        if self.kept + noted.kept() > self.most_kept {
            noted.let_go();
        }
        self.kept += noted.kept();
        if let Some(entry) = self.log.get_mut(request.number) {
            *entry = noted.clone();
        }
        if request.is_to_storage() { noted } else { request }
    }

    pub(super) fn answer(&mut self, request: &Request, fault: Option<&Kind>) -> Answer {
        if request.host == Host::Storage {
            return storage::answer(&mut self.uploads.storage, request);
        }
        if request.header("x-api-key").is_none() {
            return error(401, "api_key_invalid", "The API key is missing.");
        }
        let segments = request.segments();
        if let Some((_, body)) = self.own_answers.iter().rev().find(|(own, _)| own.is(request.method(), &segments)) {
            return reply(200, body);
        }
        self.pace = match fault {
            Some(Kind::NeverReady) => Pace::Never,
            Some(Kind::Failed(code)) => Pace::Fails(code.clone()),
            _ => Pace::After(self.polls_until_ready),
        };
        // The first resource that recognizes the path answers.
        let resources = [
            analyze::answer,
            uploads::answer,
            assets::answer,
            connections::answer,
            embed::answer,
            entity_collections::answer,
            indexes::answer,
            knowledge_stores::answer,
            responses::answer,
            search::answer,
            tasks::answer,
        ];
        resources.iter().find_map(|answer| answer(self, request, &segments)).unwrap_or_else(|| {
            let (method, path) = (request.method(), request.path());
            error(404, "endpoint_not_found", &format!("There is no {method} {path} in the stand-in."))
        })
    }

    /// Returns a unique id. Ids increase, so that a map keeps the order of creation.
    pub(super) fn new_id(&mut self) -> String {
        self.created += 1;
        format!("65f0{:020x}", self.created)
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::Body;
    use super::*;

    #[test]
    fn a_limited_number_of_bytes_is_kept_and_uploads_keep_their_hashes() {
        let mut state = State::new(TestClock::new());
        state.most_kept = 100;
        let mut came = |host: Host| {
            let mut request = Request::new(host, "POST", "/indexes", Vec::new());
            state.begin(&mut request);
            let mut body = Body::new(1000);
            body.push(&[b'x'; 60]);
            request.set_body(60, body, Vec::new());
            let answered = state.received(request);
            let noted = &state.log[answered.number];
            assert_eq!((noted.length(), noted.body().sha256()), (60, answered.body().sha256()));
            (noted.body().bytes().is_some(), answered.body().bytes().is_some())
        };
        assert_eq!(came(Host::Storage), (true, true));
        assert_eq!(came(Host::Storage), (false, false));
        assert_eq!(came(Host::Api), (false, true));
    }
}
