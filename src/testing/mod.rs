//! A platform inside of your tests, a clock that does not wait, and things to test with.
//!
//! [`StandIn`] is the platform, [`Fault`] what goes wrong with it, [`Request`] and [`Upload`] what it has seen. [`TestClock`] is a clock
//! on which sleeping takes no time. [`fixtures`] has answers for tests that need no platform. It all costs one small crate, which the
//! feature `webhooks` has, too.
//!
//! [The guide](crate::guide::testing) shows how to use them.

mod clock;
pub mod fixtures;
mod stand_in;

pub use clock::TestClock;
pub use stand_in::{Body, Fault, Part, Request, StandIn, Upload};
