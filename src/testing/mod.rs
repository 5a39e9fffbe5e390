//! Test your own code.
//!
//! The feature `testing` brings a platform that runs inside of your test: no key, no network, no runtime, and nothing
//! is waited for in real time. [The guide](crate::guide::testing) has three tests to begin with: with the
//! [stand-in](StandIn), with a [fault](Fault), and with `mockito` and a [`TestClock`]. Functions of assets, hits or
//! transcriptions need none of this: [`fixtures`] has some to begin with.
//!
//! ```
//! use twelvelabs::FileSource;
//! use twelvelabs::testing::StandIn;
//!
//! let stand_in = StandIn::start();
//! let asset = stand_in.client().assets().upload(FileSource::bytes("holiday.mp4", "frames")).send()?;
//! assert_eq!(stand_in.uploads()[0].filename, "holiday.mp4");
//! # Ok::<(), twelvelabs::Error>(())
//! ```

mod clock;
pub mod fixtures;
mod stand_in;

pub use clock::TestClock;
pub use stand_in::{Body, Fault, Part, Request, StandIn, Upload};
