//! A stand-in for the platform, a clock that does not wait, and sample data, for tests of your own code.
//!
//! [`StandIn`] is the platform, [`Fault`] a failure to inject, and [`Request`] and [`Upload`] what the stand-in received. [`TestClock`]
//! is a clock on which sleeping takes no time. [`fixtures`] has sample answers for tests that need no platform. The feature adds one
//! small dependency (`hmac-sha256`), which the feature `webhooks` uses as well.
//!
//! [The guide](crate::guide::testing) shows how to use them.

mod clock;
pub mod fixtures;
mod stand_in;

pub use clock::TestClock;
pub use stand_in::{Body, Fault, Part, Request, StandIn, Upload};
