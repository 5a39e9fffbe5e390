//! The state that all requests of a client share: the key, the connections, the limits and the clock.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memchr::memmem;
use time::OffsetDateTime;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::http::attempt::{self, Agent, Agents, Limits};
use crate::http::limiter::{RateLimiter, RequestRate};
use crate::http::observe::Observer;
use crate::http::rate_limit::server_time;
use crate::http::redact::{SHORT_KEY, mask};
use crate::http::url::{host_of, without_password};
use crate::limits::FOREVER;
use crate::response::{Headers, HttpResponse};
use crate::sync::lock;

/// The largest response that is held in memory, unless the caller has set another limit.
const MAX_RESPONSE_SIZE: u64 = 128 << 20;
/// The difference between the advance of the date and that of the monotonic time above which the clock was set.
const MAX_CLOCK_DRIFT: time::Duration = time::Duration::SECOND;
const USER_AGENT: &str = concat!("twelvelabs-rust/", env!("CARGO_PKG_VERSION"));

/// The settings and connections of a client; clones share them.
#[derive(Clone)]
pub struct Session(Arc<Settings>);

/// The caller's settings, as collected by the builder of a client.
#[derive(Default)]
pub(crate) struct Options {
    pub api_key: String,
    pub base_url: String,
    pub timeout: Option<Duration>,
    pub max_retries: Option<u32>,
    pub max_retry_after: Option<Duration>,
    pub max_response_size: Option<u64>,
    pub headers: Vec<(String, String)>,
    pub clock: Option<Arc<dyn Clock>>,
    /// Whether chunks may be sent unencrypted although the API is encrypted.
    pub allow_insecure_storage: bool,
    /// The agent whose settings replace the standard ones.
    pub agent: Option<Agent>,
    /// The URL of a proxy, which replaces the environment's.
    pub proxy: Option<String>,
    /// The trusted certificates in PEM, which replace the standard ones.
    pub root_certificates: Option<Vec<u8>>,
    pub rate_limit: Option<RequestRate>,
    pub observer: Option<Observer>,
}

pub(crate) struct Settings {
    pub options: Options,
    pub clock: Arc<dyn Clock>,
    pub max_response_size: u64,
    /// The host of the base URL.
    pub api_host: Arc<str>,
    pub limiter: RateLimiter,
    /// The offset of the API's clock from this machine's, if known, and both of this machine's times at that moment.
    server_clock: Mutex<Option<(time::Duration, Instant, OffsetDateTime)>>,
    pub(super) agents: Agents,
    /// The searcher for the key in responses.
    key: memmem::Finder<'static>,
}

impl Session {
    /// Returns an error if the proxy or the certificates cannot be used.
    pub(crate) fn new(options: Options) -> Result<Self> {
        let (own_proxy, roots) = (options.proxy.as_deref(), options.root_certificates.as_deref());
        let timeout = options.timeout.unwrap_or(attempt::DEFAULT_TIMEOUT).min(FOREVER);
        let limits = Limits { response: timeout, stream: false, total: None };
        if options.agent.is_some() && (own_proxy.is_some() || roots.is_some()) {
            let why = "has its own proxy and certificates; set them there, or leave out the agent";
            return Err(Error::invalid("agent", why));
        }
        let (proxy, environment) = attempt::choose_proxy(own_proxy, options.agent.as_ref(), &options.base_url)
            .map_err(|why| Error::invalid("proxy", why))?;
        let config = match &options.agent {
            Some(agent) => agent.config().clone(),
            None => {
                attempt::config(USER_AGENT, limits, proxy, roots).map_err(|(name, why)| Error::invalid(name, why))?
            }
        };
        let limits = options.agent.is_none().then_some(limits);
        let agents = Agents::new(config, environment, limits, &options.api_key);
        let clock = options.clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        let limiter = RateLimiter::new(options.rate_limit);
        let key = memmem::Finder::new(&options.api_key).into_owned();
        let max_response_size = options.max_response_size.unwrap_or(MAX_RESPONSE_SIZE);
        let api_host = host_of(&options.base_url).into();
        let server_clock = Mutex::default();
        let settings = Settings { options, clock, max_response_size, api_host, limiter, server_clock, agents, key };
        Ok(Session(Arc::new(settings)))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0
    }

    /// Updates the offset of the API's clock from a response.
    pub(super) fn learn_time(&self, headers: &Headers) {
        if let Some(there) = server_time(headers) {
            let (now, here) = (self.0.clock.now(), self.0.clock.utc_now());
            *lock(&self.0.server_clock) = Some((there - here, now, here));
        }
    }

    /// Converts a time of this machine's clock to the API's clock.
    pub(crate) fn server_time(&self, here: OffsetDateTime) -> OffsetDateTime {
        here.saturating_add(self.clock_offset().unwrap_or_default())
    }

    /// Returns the offset of the API's clock from this machine's, once a response has contained a date.
    ///
    /// The offset is unknown again once this machine's clock was set, or stood still while the machine slept: then
    /// the date and the monotonic time have advanced differently.
    pub(crate) fn clock_offset(&self) -> Option<time::Duration> {
        let (offset, since, here) = (*lock(&self.0.server_clock))?;
        let passed = self.0.clock.now().saturating_duration_since(since);
        let advanced = self.0.clock.utc_now() - here;
        let difference = advanced.saturating_sub(passed.try_into().ok()?).abs();
        (difference <= MAX_CLOCK_DRIFT).then_some(offset)
    }

    /// The base URL without a password.
    pub(crate) fn public_base_url(&self) -> String {
        without_password(&self.0.options.base_url)
    }

    /// Removes the API key from an error response, before any of it becomes text.
    pub(crate) fn redact<T>(&self, response: HttpResponse<T>) -> HttpResponse<()> {
        let mut response = response.with(());
        self.take_out_key(&mut response);
        response
    }

    /// Removes the API key from a successful response. A very short key, as in a test, is not a secret and could be a
    /// word of the result, so it stays.
    pub(crate) fn redact_success<T>(&self, response: &mut HttpResponse<T>) {
        if self.0.options.api_key.len() >= SHORT_KEY {
            self.take_out_key(response);
        }
    }

    fn take_out_key<T>(&self, response: &mut HttpResponse<T>) {
        let key = &self.0.options.api_key;
        if response.headers.may_contain(&self.0.key) {
            response.headers.map_values(&|value| mask(value, key));
        }
        if self.0.key.find(&response.body).is_some() {
            response.body = mask(&String::from_utf8_lossy(&response.body), key).into_bytes();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("base_url", &self.public_base_url()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(base_url: &str) -> Session {
        crate::client::TwelveLabs::builder().api_key("tlk_secret").base_url(base_url).build().unwrap().0
    }

    #[test]
    fn a_base_url_is_shown_without_its_password() {
        assert_eq!(session("http://user:secret@h/v1").public_base_url(), "http://***@h/v1");
        let debug = format!("{:?}", session("http://user:secret@h"));
        assert!(debug.starts_with("Session") && !debug.contains("secret"), "{debug}");
    }

    #[test]
    fn the_servers_clock_is_learned_from_its_responses() {
        let (session, here) = (session("http://h"), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(session.server_time(here), here);
        session.learn_time(&[("date", "Tue, 14 Nov 2123 22:14:20 GMT")].into_iter().collect());
        assert!(session.server_time(here).year() > 2050);
    }
}
