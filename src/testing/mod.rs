//! A stand-in for the platform, a test clock and example responses.
//!
//! [`StandIn`] is the stand-in, a [`Fault`] is a failure to inject, and [`Request`] and [`Upload`] are the stand-in's
//! records. [`TestClock`] is a clock on which sleeping takes no time. [`fixtures`] contains example responses for tests
//! without a server. The module adds one small dependency, `hmac-sha256`, which the feature `webhooks` also uses.
//!
//! [The guide](crate::guide::testing) shows how to use them.

mod clock;
pub mod fixtures;
mod stand_in;

pub use clock::TestClock;
pub use stand_in::{Body, Fault, Part, Request, StandIn, Upload};
