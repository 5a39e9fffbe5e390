//! Test your own code.
//!
//! The feature `testing` brings a platform that runs inside of your test: no key, no network, no runtime, and nothing
//! is waited for in real time. It is for `[dev-dependencies]`, where it costs one small crate:
//!
//! ```toml
//! [dev-dependencies]
//! twelvelabs = { version = "0.1", features = ["testing"] }
//! ```
//!
//! Let the code that you test take a [`TwelveLabs`](crate::TwelveLabs), such as this, which uploads a file and waits
//! until it can be used:
//!
//! ```
//! use twelvelabs::assets::{Asset, UploadMethod};
//! use twelvelabs::{FileSource, TwelveLabs};
//!
//! fn publish(client: &TwelveLabs, file: FileSource) -> twelvelabs::Result<Asset> {
//!     let asset = client.assets().create(UploadMethod::direct(file)).send()?;
//!     client.assets().wait_for_done(&asset.id).send()
//! }
//! ```
//!
//! # With the stand-in
//!
//! [`StandIn`] behaves as the platform is documented to, and shows what has come:
//!
//! ```
//! # use twelvelabs::assets::{Asset, UploadMethod};
//! # use twelvelabs::{FileSource, TwelveLabs};
//! # fn publish(client: &TwelveLabs, file: FileSource) -> twelvelabs::Result<Asset> {
//! #     let asset = client.assets().create(UploadMethod::direct(file)).send()?;
//! #     client.assets().wait_for_done(&asset.id).send()
//! # }
//! use twelvelabs::assets::AssetStatus;
//! use twelvelabs::testing::StandIn;
//!
//! let stand_in = StandIn::start();
//! let asset = publish(&stand_in.client(), FileSource::bytes("holiday.mp4", "frames"))?;
//!
//! assert_eq!(asset.status, Some(AssetStatus::Ready));
//! assert_eq!(stand_in.uploads()[0].filename, "holiday.mp4");
//! assert_eq!(stand_in.count("GET /assets/{id}"), 3, "it was not ready at once");
//! # Ok::<(), twelvelabs::Error>(())
//! ```
//!
//! # With a fault
//!
//! What is hard to provoke at the platform comes when you want it: see [`Fault`] for all that can go wrong. The pauses
//! that it costs are on the [`TestClock`] of the stand-in, and take no time.
//!
//! ```
//! # use twelvelabs::assets::{Asset, UploadMethod};
//! # use twelvelabs::{FileSource, TwelveLabs};
//! # fn publish(client: &TwelveLabs, file: FileSource) -> twelvelabs::Result<Asset> {
//! #     let asset = client.assets().create(UploadMethod::direct(file)).send()?;
//! #     client.assets().wait_for_done(&asset.id).send()
//! # }
//! use std::time::Duration;
//! use twelvelabs::Error;
//! use twelvelabs::testing::{Fault, StandIn};
//!
//! let stand_in = StandIn::start();
//! stand_in.fault("POST /assets", Fault::status(429).retry_after(30));
//! stand_in.fault("GET /assets/{id}", Fault::failed("video_file_broken").after(1));
//! let error = publish(&stand_in.client(), FileSource::bytes("holiday.mp4", "frames")).unwrap_err();
//!
//! assert!(matches!(&error, Error::Failed(e) if e.code.as_deref() == Some("video_file_broken")), "{error}");
//! assert_eq!(stand_in.clock().slept()[0], Duration::from_secs(30), "it came again when it was told to");
//! assert_eq!(stand_in.uploads().len(), 1, "what was refused had no effect");
//! assert!(stand_in.unmet_faults().is_empty());
//! ```
//!
//! # With `mockito`
//!
//! For a single endpoint, and for answers that you write yourself, any server for tests will do. Give the client its
//! address, and a [`TestClock`] so that nothing waits:
//!
//! ```
//! use twelvelabs::TwelveLabs;
//! use twelvelabs::testing::TestClock;
//!
//! let mut server = mockito::Server::new();
//! let mock = server
//!     .mock("GET", "/assets/42")
//!     .match_header("x-api-key", "tlk_test")
//!     .with_body(r#"{"_id": "42", "status": "ready"}"#)
//!     .create();
//! let client = TwelveLabs::builder().api_key("tlk_test").base_url(server.url()).clock(TestClock::new()).build()?;
//!
//! assert_eq!(client.assets().retrieve("42").send()?.id, "42");
//! mock.assert();
//! # Ok::<(), twelvelabs::Error>(())
//! ```
//!
//! # Without a server
//!
//! Functions of assets, hits or transcriptions need none of this: [`fixtures`] has some to begin with.

mod clock;
pub mod fixtures;
mod stand_in;

pub use clock::TestClock;
pub use stand_in::{Body, Fault, Part, Request, StandIn, Upload};
