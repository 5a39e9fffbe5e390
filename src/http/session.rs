//! What every request of a client shares: the key, the connections, the limits, the clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, random_bits};
use crate::http::attempt::{self, Agent};
use crate::http::cancel::{CancelHandle, Gate};

pub(crate) const API_KEY_HEADER: &str = "x-api-key";
const USER_AGENT: &str = concat!("twelvelabs-rust/", env!("CARGO_PKG_VERSION"));

/// The settings and connections of a client; clones share them.
#[derive(Clone)]
pub struct Session(Arc<Settings>);

#[derive(Clone)]
pub(crate) struct Settings {
    pub api_key: String,
    pub base_url: String,
    pub timeout: Option<Duration>,
    pub max_retries: u32,
    pub max_retry_after: Duration,
    pub max_response_size: u64,
    pub headers: Vec<(String, String)>,
    pub clock: Arc<dyn Clock>,
    pub agent: Agent,
    /// What is given to the agent as the key: the key itself if the agent is not this crate's.
    pub key_header: String,
    /// For the hosts of presigned URLs, which never get the key.
    pub storage: Agent,
    /// Whether both agents are this crate's, and may be shut down if nobody else has them.
    pub own_agents: bool,
    pub cancel: Option<CancelHandle>,
    pub gate: Option<Arc<Gate>>,
}

impl Session {
    pub(crate) fn new(settings: Settings) -> Self {
        Session(Arc::new(settings))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0
    }

    /// The same session, to be stopped by `cancel` and held back by `gate`.
    pub(crate) fn derived(&self, cancel: Option<CancelHandle>, gate: Option<Arc<Gate>>) -> Self {
        let mut settings = Settings::clone(&self.0);
        if cancel.is_some() && settings.own_agents {
            (settings.agent, settings.key_header, settings.storage) = make_agents(&settings.api_key);
        }
        settings.cancel = cancel.or(settings.cancel);
        settings.gate = gate.or(settings.gate);
        Session(Arc::new(settings))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("base_url", &self.0.base_url).finish_non_exhaustive()
    }
}

impl Settings {
    /// Breaks off everything that these connections are busy with.
    pub(crate) fn shut_down(&self) {
        if self.own_agents {
            self.agent.clone().shutdown();
            self.storage.clone().shutdown();
        }
    }
}

/// This crate's agents: the one that puts in the key, with what it is given for it, and the one for the storage.
pub(crate) fn make_agents(api_key: &str) -> (Agent, String, Agent) {
    let stand_in = stand_in(api_key.len());
    (attempt::agent(USER_AGENT, api_key, &stand_in), stand_in, attempt::plain_agent(USER_AGENT))
}

/// Random hexadecimal digits, as many as the key has characters.
fn stand_in(length: usize) -> String {
    std::iter::repeat_with(|| format!("{:016x}", random_bits()))
        .flat_map(|text| text.into_bytes())
        .map(char::from)
        .take(length)
        .collect()
}
