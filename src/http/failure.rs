//! The reasons why an attempt got no response.

use std::io;
use std::time::Duration;

use ureq::Timeout;

use crate::error::is_temporary;
use crate::http::connection::{Exchange, Stage};
use crate::text::{human, printable};

/// The advice for an untrusted certificate. With the system's TLS, or with `platform-verifier`, the system's
/// certificates are consulted already.
const CERTIFICATE_HINT: &str = if cfg!(feature = "rustls") && !cfg!(feature = "platform-verifier") {
    "if you trust its issuer, pass the issuer's certificate to `root_certificates`, or build with the feature \
     `platform-verifier` to trust what the system trusts"
} else {
    "if you trust its issuer, pass the issuer's certificate to `root_certificates`"
};

/// The reason why an attempt got no response.
#[derive(Debug)]
pub(crate) struct Failure {
    pub kind: FailureKind,
    /// Whether a byte of the request has left this machine.
    pub sent: bool,
    pub message: String,
    pub source: Option<io::Error>,
    /// The caller's limit that the attempt exceeded. The engine, which knows how long it was, adds it to the message.
    pub limit: Option<TimeLimit>,
}

/// A time limit that the caller can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeLimit {
    /// The limit for the response, or for the silence of a stream.
    Timeout,
    /// The deadline of the whole call.
    Deadline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Another attempt would fail in the same way.
    Impossible,
    /// The caller's headers cannot be sent.
    Invalid,
    /// The connection could not be made, or it broke.
    Broke,
    TimedOut,
    Canceled,
    /// The response is longer than the limit.
    TooLarge,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Failure { kind, sent: true, message: message.into(), source: None, limit: None }
    }

    /// Adds the limit that was exceeded to the message.
    pub(crate) fn with_limit(mut self, timeout: Duration, deadline: Option<Duration>) -> Self {
        match self.limit {
            Some(TimeLimit::Timeout) => self.message.push_str(&format!(" within {} (`timeout`)", human(timeout))),
            Some(TimeLimit::Deadline) => {
                self.message.push_str(&format!(" within the deadline of {}", human(deadline.unwrap_or_default())));
            }
            None => {}
        }
        self
    }

    pub(super) fn timed_out(message: String, limit: Option<TimeLimit>) -> Self {
        Failure { limit, ..Failure::new(FailureKind::TimedOut, message) }
    }
}

pub(super) fn invalid(e: impl Into<ureq::http::Error>) -> Failure {
    Failure { sent: false, ..Failure::new(FailureKind::Invalid, format!("cannot be sent: {}", e.into())) }
}

/// Classifies an error. The connection knows whether anything was sent; the error itself says the rest.
pub(super) fn failure(e: ureq::Error, exchange: &Exchange) -> Failure {
    use FailureKind::{Broke, Canceled, Impossible, Invalid};

    let (sent, host) = (exchange.is_sent(), printable(&exchange.address(true), 200));
    if exchange.is_canceled() {
        return Failure { sent, ..Failure::new(Canceled, "canceled") };
    }
    // Says at which stage the attempt failed. `why` is inserted after the fault.
    let stage = |why: &str| match exchange.stage() {
        Stage::Ready => format!("nothing was sent to {host}{why}"),
        Stage::Resolving => {
            let name = printable(&exchange.address(false), 200);
            let of = if name.starts_with("the ") { "of " } else { "" };
            format!("the name {of}{name} cannot be resolved{why}; nothing was sent")
        }
        Stage::Connecting => format!("could not connect to {host}{why}; nothing was sent"),
        Stage::Securing => format!("could not establish a secure connection to {host}{why}; nothing was sent"),
        Stage::Sent => format!("the connection to {host} broke{why}"),
    };
    let (kind, message, source) = match e {
        ureq::Error::Timeout(which) => {
            let (message, limit) = match which {
                _ if !sent => (stage(" in time"), None),
                Timeout::PerWrite | Timeout::SendRequest | Timeout::SendBody => {
                    (format!("{host} stopped reading the request"), None)
                }
                Timeout::Global | Timeout::PerCall if exchange.is_head_read() => {
                    ("no complete response".into(), Some(TimeLimit::Deadline))
                }
                Timeout::Global | Timeout::PerCall => ("no response".into(), Some(TimeLimit::Deadline)),
                Timeout::PerRead => (format!("{host} sent nothing"), Some(TimeLimit::Timeout)),
                _ => (format!("{host} did not respond"), Some(TimeLimit::Timeout)),
            };
            return Failure { sent, ..Failure::timed_out(message, limit) };
        }
        ureq::Error::BadUri(why) => {
            (Impossible, "the URL of the request is not valid; nothing was sent".into(), Some(io::Error::other(why)))
        }
        ureq::Error::Http(e) => {
            (Impossible, format!("the request cannot be sent: {e}; nothing was sent"), Some(io::Error::other(e)))
        }
        e @ (ureq::Error::TlsRequired | ureq::Error::Tls(_)) => {
            (Impossible, format!("{} (is a TLS feature enabled?)", stage(&format!(": {e}"))), Some(e.into_io()))
        }
        ureq::Error::ConnectProxyFailed(why) => proxy_failure(&host, &why, exchange.has_proxy_credentials()),
        e @ ureq::Error::RequireHttpsOnly(_) => {
            (Impossible, "the agent allows only https; nothing was sent".into(), Some(e.into_io()))
        }
        e if !sent && is_about_certificate(&e) => {
            let message = format!("the certificate of {host} cannot be trusted; nothing was sent; {CERTIFICATE_HINT}");
            (Impossible, message, Some(e.into_io()))
        }
        // The headers exceed the library's buffer.
        ureq::Error::Io(e) if !sent && e.kind() == io::ErrorKind::InvalidInput => {
            (Invalid, format!("{e}; nothing was sent to {host}"), None)
        }
        // The peer does not speak TLS, or not a version of it that this side accepts.
        ureq::Error::Io(e) if !sent && e.kind() == io::ErrorKind::InvalidData => (Impossible, stage(""), Some(e)),
        ureq::Error::Io(e) if sent && e.kind() == io::ErrorKind::UnexpectedEof => {
            (Broke, format!("{host} closed the connection too early"), Some(e))
        }
        ureq::Error::Io(e) => (Broke, stage(""), Some(e)),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => (Broke, stage(""), None),
        ureq::Error::Decompress(_, e) => {
            (Broke, format!("{host} sent a response that cannot be decompressed"), Some(e))
        }
        ureq::Error::Protocol(e) => (Broke, format!("{host} sent a response that is not valid HTTP: {e}"), None),
        ureq::Error::LargeResponseHeader(..) => {
            (Broke, format!("{host} sent a response whose headers are too large"), None)
        }
        e => (Broke, stage(&format!(": {e}")), None),
    };
    Failure { kind, sent, message, source, limit: None }
}

/// Explains why a proxy made no connection. The library reports the proxy's status only within a text.
fn proxy_failure(proxy: &str, why: &str, has_credentials: bool) -> (FailureKind, String, Option<io::Error>) {
    let status = why.strip_prefix("proxy server responded ").and_then(|status| status.split('/').next());
    let what = match (status, has_credentials) {
        (Some("407"), false) => {
            "asks for a user name and a password (407); put `user:password@` before its host".into()
        }
        (Some("407"), true) => "refuses the user name or the password (407)".into(),
        (Some(status), _) => format!("could not connect: it answered with status {}", printable(status, 20)),
        (None, _) => format!("could not connect: {}", printable(why, 200)),
    };
    // A proxy that refuses the connection itself (4xx) would refuse it again. With another status, it reports that the
    // server could not be reached.
    let status = status.and_then(|status| status.parse::<u16>().ok());
    let refuses = status.is_some_and(|status| (400..500).contains(&status) && !is_temporary(status));
    let kind = if refuses { FailureKind::Impossible } else { FailureKind::Broke };
    let cause = status.map(|status| io::Error::other(format!("the proxy answered with status {status}")));
    (kind, format!("{proxy} {what}; nothing was sent"), cause)
}

/// Says whether TLS failed because of a certificate, in which case another attempt would fail in the same way.
fn is_about_certificate(e: &ureq::Error) -> bool {
    !matches!(e, ureq::Error::Timeout(_)) && e.to_string().to_ascii_lowercase().contains("certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_classified() {
        use io::ErrorKind::{ConnectionReset, InvalidData, InvalidInput, UnexpectedEof};

        let io = |kind: io::ErrorKind, text: &'static str| ureq::Error::Io(io::Error::new(kind, text));
        let timeout = ureq::Error::Timeout;
        let no_tls = "could not establish a secure connection to api.example:443; nothing was sent";
        let mistrust = "the certificate of api.example:443 cannot be trusted";
        for (stage, e, kind, message) in [
            (
                Stage::Ready,
                timeout(Timeout::Global),
                FailureKind::TimedOut,
                "nothing was sent to api.example:443 in time",
            ),
            (
                Stage::Connecting,
                timeout(Timeout::Connect),
                FailureKind::TimedOut,
                "could not connect to api.example:443 in time; nothing was sent",
            ),
            (
                Stage::Sent,
                timeout(Timeout::PerWrite),
                FailureKind::TimedOut,
                "api.example:443 stopped reading the request",
            ),
            (Stage::Sent, timeout(Timeout::Global), FailureKind::TimedOut, "no response"),
            (Stage::Sent, timeout(Timeout::RecvBody), FailureKind::TimedOut, "api.example:443 did not respond"),
            (Stage::Securing, io(InvalidData, "a bad certificate"), FailureKind::Impossible, mistrust),
            (Stage::Securing, io(ConnectionReset, "certificate unknown"), FailureKind::Impossible, mistrust),
            (Stage::Securing, io(InvalidData, "no record"), FailureKind::Impossible, no_tls),
            (Stage::Securing, io(UnexpectedEof, "the end"), FailureKind::Broke, no_tls),
            (Stage::Ready, io(InvalidInput, "too large"), FailureKind::Invalid, "too large; nothing was sent"),
            (Stage::Sent, io(InvalidInput, "odd"), FailureKind::Broke, "the connection to api.example:443 broke"),
            (Stage::Sent, io(InvalidData, "odd"), FailureKind::Broke, "the connection to api.example:443 broke"),
            (
                Stage::Sent,
                io(InvalidData, "certificate"),
                FailureKind::Broke,
                "the connection to api.example:443 broke",
            ),
            (
                Stage::Sent,
                io(UnexpectedEof, "the end"),
                FailureKind::Broke,
                "api.example:443 closed the connection too early",
            ),
        ] {
            let text = e.to_string();
            let exchange = Exchange::new("https://api.example/", None);
            exchange.set_stage(stage);
            let failure = failure(e, &exchange);
            assert_eq!((failure.kind, failure.sent), (kind, stage == Stage::Sent), "{text}");
            assert!(failure.message.starts_with(message), "{text}: {}", failure.message);
            if message == mistrust {
                assert_eq!(failure.source.unwrap().to_string().matches("certificate").count(), 1);
            }
        }
    }
}
