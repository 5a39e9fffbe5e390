//! Errors of webhook deliveries.

use std::time::Duration;

/// The reason why a webhook delivery was refused. No message contains a secret or a signature.
///
/// ```
/// use twelvelabs::webhooks::{Webhook, WebhookError};
///
/// match Webhook::new("whsec_…").verify(b"{}", None) {
///     Ok(event) => println!("{}", event.id),
///     Err(e @ (WebhookError::TooOld { .. } | WebhookError::FromTheFuture { .. })) => eprintln!("is the clock right? {e}"),
///     Err(e) => eprintln!("{e}"),
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// A secret is empty. Verification is refused, because anyone could sign with an empty secret.
    #[error("a secret of the webhook is empty; copy it from the dashboard, and check how this program reads it")]
    EmptySecret,

    /// The signature is missing, so the sender may not be the platform.
    #[error("the delivery has no header `TL-Signature`")]
    MissingHeader,

    /// The header does not have the form `t=<seconds>,v1=<signature>`.
    #[error("the header `TL-Signature` is malformed: {message}")]
    MalformedHeader {
        /// A description of the fault.
        message: String,
    },

    /// The delivery was signed too long ago: it is a replay, it was delayed, or this machine's clock is fast.
    #[error("the delivery was signed {} s ago, and at most {} s are accepted; if it waited in a queue, use `verify_at` with the time it was received; otherwise check this machine's clock", age.as_secs(), tolerance.as_secs_f64())]
    TooOld {
        /// The time since the signature, in whole seconds, rounded up.
        age: Duration,
        /// The accepted maximum.
        tolerance: Duration,
    },

    /// The delivery was signed too far in the future. This machine's clock is probably slow.
    #[error("the delivery was signed {} s in the future, and at most {} s are accepted; check this machine's clock", ahead.as_secs(), tolerance.as_secs_f64())]
    FromTheFuture {
        /// The time until the signature, in whole seconds, rounded up.
        ahead: Duration,
        /// The accepted maximum.
        tolerance: Duration,
    },

    /// No signature in the header matches this body and one of the secrets.
    #[error(
        "no signature of the delivery matches; check that the secret belongs to this endpoint and that the body is exactly as received"
    )]
    WrongSignature,

    /// The signature is right, but the body is not an event that this crate can read.
    #[error("the delivery is signed, but is not an event: {message}")]
    NotAnEvent {
        /// A description of the fault and its position.
        message: String,
    },
}
