//! What can be wrong with a delivery to a webhook.

use std::time::Duration;

/// Why a delivery to a webhook was refused. No text of it has a secret or a signature.
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
    /// A secret is empty: with it, everyone could sign. Nothing is verified then.
    #[error("a secret of the webhook is empty; take it from the dashboard, and check how this program reads it")]
    EmptySecret,

    /// There is no signature. Whoever sent it need not be the platform.
    #[error("the delivery has no header `TL-Signature`")]
    MissingHeader,

    /// The header does not have the form `t=<seconds>,v1=<signature>`.
    #[error("the header `TL-Signature` is malformed: {message}")]
    MalformedHeader {
        /// What is wrong with it.
        message: String,
    },

    /// It was signed too long ago: it is a recorded one, it waited somewhere, or this machine's clock is fast.
    #[error("the delivery was signed {} s ago, which is more than {} s; verify one that waited in a queue with `verify_at` and the time of its receipt, otherwise check this machine's clock", age.as_secs(), tolerance.as_secs_f64())]
    TooOld {
        /// How long ago, in whole seconds, rounded up.
        age: Duration,
        /// The most that is accepted.
        tolerance: Duration,
    },

    /// It was signed too far in the future: this machine's clock is slow.
    #[error("the delivery was signed {} s in the future, which is more than {} s; check this machine's clock", ahead.as_secs(), tolerance.as_secs_f64())]
    FromTheFuture {
        /// How far, in whole seconds, rounded up.
        ahead: Duration,
        /// The most that is accepted.
        tolerance: Duration,
    },

    /// No signature of the header was made with one of the secrets over this body.
    #[error(
        "no signature of the delivery fits; if it comes from the platform, the secret has to be this endpoint's and the body the bytes as they arrived"
    )]
    WrongSignature,

    /// The signature is right, but the body is not an event that this crate can read.
    #[error("the delivery is signed, but is not an event: {message}")]
    NotAnEvent {
        /// What is wrong with it, and where.
        message: String,
    },
}
