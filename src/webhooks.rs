//! Webhooks: the notifications that the platform sends to your server when a task ends (feature `webhooks`).
//!
//! A delivery is a POST with a JSON body and the header [`TL-Signature`](SIGNATURE_HEADER). [`Webhook::verify`] checks
//! that it comes from the platform and is recent, and returns the [`WebhookEvent`]. This module contains no server:
//! pass it the bytes and the header from yours.
//!
//! ```no_run
//! use twelvelabs::TwelveLabs;
//! use twelvelabs::webhooks::{Webhook, WebhookEventData};
//!
//! /// `body` is the body as it arrived, `header` the value of `TL-Signature`.
//! fn receive(client: &TwelveLabs, webhook: &Webhook, body: &[u8], header: Option<&str>) -> twelvelabs::Result<()> {
//!     let event = webhook.verify(body, header)?;
//!     match event.data {
//!         WebhookEventData::AnalyzeTaskReady(task) => {
//!             let task = client.analyze_async().tasks().retrieve(&task.id).send()?;
//!             println!("{}", task.result.and_then(|result| result.data).unwrap_or_default());
//!         }
//!         WebhookEventData::AnalyzeTaskFailed(task) => eprintln!("{} failed: {:?}", task.id, task.error),
//!         WebhookEventData::IndexTaskReady(task) => println!("{} can be searched", task.id),
//!         _ => eprintln!("nothing to do for {}", event.kind),
//!     }
//!     Ok(())
//! }
//!
//! // The secret of the endpoint; while it is being replaced, the old one too.
//! let webhook = Webhook::new("whsec_…").secret("whsec_old…");
//! ```
//!
//! # In a server
//!
//! - Pass the body exactly as received. A body that was parsed and serialized again, or converted to another charset,
//!   does not match its signature.
//! - Respond with 400 to a delivery that you refuse, and with 204 to one that you accept, before you begin the work:
//!   the platform redelivers an event if it gets no response in time. A redelivered event has the same
//!   [`id`](WebhookEvent::id), so store the ids of the events that you have handled.
//! - Verify a delivery that waited in a queue with [`Webhook::verify_at`] and the time at which you received it.
//! - An `analyze.task.*` event does not contain the result. Retrieve the task to get it.
//!
//! The example `webhook` does this with a plain `TcpListener`. With `axum`, on which this crate does not depend:
//!
//! ```text
//! async fn deliver(State(app): State<App>, headers: HeaderMap, body: Bytes) -> StatusCode {
//!     let header = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
//!     match app.webhook.verify(&body, header) {
//!         Ok(event) => {
//!             // Calls of this crate block, so they go to a thread for such work.
//!             tokio::task::spawn_blocking(move || work(&app.client, event));
//!             StatusCode::NO_CONTENT
//!         }
//!         Err(error) => {
//!             tracing::warn!("{error}");
//!             StatusCode::BAD_REQUEST
//!         }
//!     }
//! }
//! ```
//!
//! # In a test
//!
//! [`Webhook::sign`] creates the header that the platform would send:
//!
//! ```
//! use twelvelabs::webhooks::{Webhook, WebhookError};
//!
//! let webhook = Webhook::new("whsec_test");
//! let body = br#"{"id": "whe_1", "type": "analyze.task.ready", "data": {"id": "68f1", "status": "ready"}}"#;
//! let header = webhook.sign(body);
//!
//! assert_eq!(webhook.verify(body, header.as_str())?.id, "whe_1");
//! assert_eq!(webhook.verify(b"{}", header.as_str()), Err(WebhookError::WrongSignature));
//! # Ok::<(), WebhookError>(())
//! ```

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use time::OffsetDateTime;

use crate::call::json::decode;
use crate::resources::analyze::AnalyzeError;
use crate::resources::analyze_async::tasks::{AnalyzeTaskStatus, AnalyzeVideoSource};
use crate::resources::tasks::VideoIndexingTaskStatus;
use crate::text::Unsigned;
use crate::types::VideoSystemMetadata;

pub use crate::error::WebhookError;

/// The name of the header with the signature. Header names are case-insensitive.
pub const SIGNATURE_HEADER: &str = "TL-Signature";

const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Verifies the deliveries to one endpoint: see [the module](self).
///
/// ```
/// use std::time::Duration;
/// use twelvelabs::webhooks::Webhook;
///
/// let webhook = Webhook::new("whsec_…").secret("whsec_old…").tolerance(Duration::from_secs(60));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Webhook {
    secrets: Vec<String>,
    tolerance: Duration,
}

impl Webhook {
    /// Creates a verifier from the secret of the endpoint, as the dashboard shows it. With an empty secret, every
    /// verification fails.
    pub fn new(secret: impl Into<String>) -> Self {
        Webhook { secrets: Vec::new(), tolerance: TOLERANCE }.secret(secret)
    }

    /// Also accepts another secret, while the secret of the endpoint is being replaced. It can be called several times.
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        // A secret that was read from a file or a variable often ends with a line break.
        self.secrets.push(secret.into().trim().into());
        self
    }

    /// Sets how much the time of the signature may differ from the time of receipt, in both directions: 5 minutes by
    /// default. `Duration::MAX` accepts any time, including deliveries that someone recorded long ago and replays.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    when_some!();

    /// Verifies a delivery that has just arrived, and decodes its event.
    ///
    /// `body` is the body exactly as received. `header` is the value of [`TL-Signature`](SIGNATURE_HEADER), as a `&str`
    /// or an `Option<&str>`.
    ///
    /// # Errors
    ///
    /// A [`WebhookError`], with a variant for each reason. The signature is checked before the time, and both before
    /// the body. So [`TooOld`](WebhookError::TooOld) and [`NotAnEvent`](WebhookError::NotAnEvent) mean that the sender
    /// knows the secret.
    ///
    /// ```
    /// use twelvelabs::webhooks::Webhook;
    ///
    /// fn status(webhook: &Webhook, body: &[u8], header: Option<&str>) -> u16 {
    ///     match webhook.verify(body, header) {
    ///         Ok(_) => 204,
    ///         Err(_) => 400,
    ///     }
    /// }
    ///
    /// assert_eq!(status(&Webhook::new("whsec_…"), b"{}", None), 400);
    /// ```
    #[inline]
    pub fn verify<'a>(&self, body: &[u8], header: impl Into<Option<&'a str>>) -> Result<WebhookEvent, WebhookError> {
        self.verify_at(body, header, OffsetDateTime::now_utc())
    }

    /// Verifies a delivery that arrived earlier, such as one that waited in a queue.
    ///
    /// `now` is the time at which it arrived. Use your own record of it: a time that is part of the delivery proves
    /// nothing.
    ///
    /// # Errors
    ///
    /// The same as for [`verify`](Self::verify).
    ///
    /// ```
    /// use twelvelabs::time::OffsetDateTime;
    /// use twelvelabs::webhooks::{Webhook, WebhookError, WebhookEvent};
    ///
    /// struct Queued {
    ///     body: Vec<u8>,
    ///     signature: Option<String>,
    ///     received_at: OffsetDateTime,
    /// }
    ///
    /// fn event(webhook: &Webhook, queued: &Queued) -> Result<WebhookEvent, WebhookError> {
    ///     webhook.verify_at(&queued.body, queued.signature.as_deref(), queued.received_at)
    /// }
    /// ```
    #[inline]
    pub fn verify_at<'a>(
        &self,
        body: &[u8],
        header: impl Into<Option<&'a str>>,
        now: OffsetDateTime,
    ) -> Result<WebhookEvent, WebhookError> {
        self.check(body, header.into().unwrap_or_default(), now)?;
        let raw = serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"));
        raw.and_then(WebhookEvent::read).map_err(|message| WebhookError::NotAnEvent { message })
    }

    /// Creates the header that the platform would send with this body now, for tests. It contains a signature for each
    /// secret, as when a secret is being replaced.
    ///
    /// ```
    /// let header = twelvelabs::webhooks::Webhook::new("whsec_test").sign(b"{}");
    /// assert!(header.starts_with("t=") && header.contains(",v1="));
    /// ```
    pub fn sign(&self, body: &[u8]) -> String {
        self.sign_at(body, OffsetDateTime::now_utc())
    }

    /// Like [`sign`](Self::sign), for another time. A time before 1970 is never accepted.
    ///
    /// ```
    /// use twelvelabs::time::OffsetDateTime;
    ///
    /// let header = twelvelabs::webhooks::Webhook::new("whsec_test").sign_at(b"{}", OffsetDateTime::UNIX_EPOCH);
    /// assert!(header.starts_with("t=0,v1="));
    /// ```
    pub fn sign_at(&self, body: &[u8], at: OffsetDateTime) -> String {
        let time = at.unix_timestamp().to_string();
        let hex = |mac: [u8; 32]| mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let signatures = self.secrets.iter().map(|secret| format!(",v1={}", hex(mac(secret, &time, body))));
        format!("t={time}{}", signatures.collect::<String>())
    }

    fn check(&self, body: &[u8], header: &str, now: OffsetDateTime) -> Result<(), WebhookError> {
        if self.secrets.iter().any(|secret| secret.trim().is_empty()) {
            return Err(WebhookError::EmptySecret);
        }
        let (time, signatures) = parse(header)?;
        // Compare every signature with every secret, so that the time taken does not reveal which one matched.
        let mut genuine = false;
        for secret in &self.secrets {
            let expected = mac(secret, time, body);
            for signature in &signatures {
                genuine |= equal(signature, &expected);
            }
        }
        if !genuine {
            return Err(WebhookError::WrongSignature);
        }

        // No time in this header overflows 128 bits.
        const SECOND: u128 = 1_000_000_000;
        let signed_at = i128::from(time.parse().unwrap_or(u64::MAX)) * SECOND as i128;
        let age = now.unix_timestamp_nanos() - signed_at;
        let (apart, tolerance) = (age.unsigned_abs(), self.tolerance);
        if apart <= tolerance.as_nanos() {
            return Ok(());
        }
        let apart = Duration::from_secs(u64::try_from(apart.div_ceil(SECOND)).unwrap_or(u64::MAX));
        Err(match age > 0 {
            true => WebhookError::TooOld { age: apart, tolerance },
            false => WebhookError::FromTheFuture { ahead: apart, tolerance },
        })
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("secrets", &self.secrets.len())
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// Returns the text of the time, because that text was signed, and every well-formed signature. Parts with other names
/// belong to other schemes and are ignored.
fn parse(header: &str) -> Result<(&str, Vec<[u8; 32]>), WebhookError> {
    if header.trim().is_empty() {
        return Err(WebhookError::MissingHeader);
    }
    let malformed = |message: &str| Err(WebhookError::MalformedHeader { message: message.into() });
    let (mut time, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            None => return malformed("a part of it has no `=`"),
            Some(("t", _)) if time.is_some() => return malformed("it contains the time `t` twice"),
            Some(("t", value)) => time = Some(value),
            Some(("v1", value)) => signatures.extend(unhex(value)),
            Some(_) => {}
        }
    }
    match time {
        None => malformed("it has no time `t`"),
        Some(time) if time.is_empty() || !time.bytes().all(|byte| byte.is_ascii_digit()) => {
            malformed("its time `t` is not a number of seconds since 1970")
        }
        Some(_) if signatures.is_empty() => malformed("it has no signature `v1` of 64 lower-case hexadecimal digits"),
        Some(time) => Ok((time, signatures)),
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

fn mac(secret: &str, time: &str, body: &[u8]) -> [u8; 32] {
    let mut mac = hmac_sha256::HMAC::new(secret);
    mac.update(time);
    mac.update(".");
    mac.update(body);
    mac.finalize()
}

/// Compares in constant time, so that an attacker cannot guess a signature byte by byte.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    black_box(a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}

/// An event: a notification that something happened to a task.
///
/// It is serialized as received ([`raw`](Self::raw)) and can be deserialized again, for example from a queue.
///
/// ```
/// use twelvelabs::webhooks::{WebhookEvent, WebhookEventData};
///
/// let json = r#"{"id": "whe_1", "type": "index.task.ready", "data": {"id": "65f1", "tags": ["holiday"]}}"#;
/// let event: WebhookEvent = serde_json::from_str(json)?;
/// if let WebhookEventData::IndexTaskReady(task) = &event.data {
///     println!("{} {:?}", task.id, task.tags);
/// }
/// assert_eq!(event.raw["data"]["tags"][0], "holiday");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct WebhookEvent {
    /// The id, which is the same in all deliveries of an event.
    pub id: String,
    /// The time of creation.
    pub created_at: Option<OffsetDateTime>,
    /// The type, such as `analyze.task.ready`.
    pub kind: String,
    /// The data of the event, which depends on the type.
    pub data: WebhookEventData,
    /// The whole event as received, including fields that this version of the crate does not know.
    pub raw: Value,
}

masked_debug! {
    WebhookEvent {
        id, created_at, kind, data, raw: unsigned,
    }
}

impl WebhookEvent {
    #[inline]
    fn read(raw: Value) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Envelope {
            id: String,
            #[serde(default, with = "time::serde::rfc3339::option")]
            created_at: Option<OffsetDateTime>,
            #[serde(rename = "type")]
            kind: String,
        }
        #[derive(Deserialize)]
        struct Of<T> {
            data: T,
        }
        fn data<T: DeserializeOwned>(raw: &Value) -> Result<T, String> {
            decode::from_value::<Of<T>>(raw).map(|of| of.data)
        }
        let Envelope { id, created_at, kind } = decode::from_value(&raw)?;
        let data = match kind.as_str() {
            "index.task.ready" => WebhookEventData::IndexTaskReady(data(&raw)?),
            "index.task.failed" => WebhookEventData::IndexTaskFailed(data(&raw)?),
            "analyze.task.ready" => WebhookEventData::AnalyzeTaskReady(data(&raw)?),
            "analyze.task.failed" => WebhookEventData::AnalyzeTaskFailed(data(&raw)?),
            "analyze.task.canceled" => WebhookEventData::AnalyzeTaskCanceled(data(&raw)?),
            _ => WebhookEventData::Other(raw.get("data").cloned().unwrap_or_default()),
        };
        Ok(WebhookEvent { id, created_at, kind, data, raw })
    }
}

impl Serialize for WebhookEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WebhookEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The data of an event, by its type. `Debug` shows URLs without their signatures.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum WebhookEventData {
    /// `index.task.ready`: a video can be searched.
    IndexTaskReady(IndexTaskWebhookData),
    /// `index.task.failed`: a video could not be indexed.
    IndexTaskFailed(IndexTaskWebhookData),
    /// `analyze.task.ready`: an analysis has its result.
    AnalyzeTaskReady(AnalyzeTaskWebhookData),
    /// `analyze.task.failed`: an analysis failed.
    AnalyzeTaskFailed(AnalyzeTaskWebhookData),
    /// `analyze.task.canceled`: an analysis was canceled.
    AnalyzeTaskCanceled(AnalyzeTaskWebhookData),
    /// The data, as received, of a type that this version of the crate does not know, such as those of batches.
    Other(Value),
}

impl fmt::Debug for WebhookEventData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, data): (_, &dyn fmt::Debug) = match self {
            Self::IndexTaskReady(data) => ("IndexTaskReady", data),
            Self::IndexTaskFailed(data) => ("IndexTaskFailed", data),
            Self::AnalyzeTaskReady(data) => ("AnalyzeTaskReady", data),
            Self::AnalyzeTaskFailed(data) => ("AnalyzeTaskFailed", data),
            Self::AnalyzeTaskCanceled(data) => ("AnalyzeTaskCanceled", data),
            Self::Other(data) => ("Other", &Unsigned(data)),
        };
        f.debug_tuple(name).field(data).finish()
    }
}

/// The data of an event about an analysis task. Call
/// [`AnalyzeTasksClient::retrieve`](crate::analyze_async::AnalyzeTasksClient::retrieve) for the rest, including the
/// result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeTaskWebhookData {
    /// The id of the task.
    pub id: String,
    /// Your own id, if you gave the task one.
    pub custom_id: Option<String>,
    /// The time at which the task was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
    /// The source of the video.
    pub video_source: Option<AnalyzeVideoSource>,
    /// The status of the task.
    pub status: Option<AnalyzeTaskStatus>,
    /// The reason why it failed, or why the result of a ready task is partial. Not sent for a canceled task.
    pub error: Option<AnalyzeError>,
}

/// The data of an event about a video indexing task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexTaskWebhookData {
    /// The id of the task.
    pub id: String,
    /// The metadata that the platform read from the file, such as its duration.
    pub metadata: Option<VideoSystemMetadata>,
    /// The status of the task.
    pub status: Option<VideoIndexingTaskStatus>,
    /// The models that indexed the video.
    pub models: Option<Vec<WebhookModel>>,
    /// The models, in older events.
    pub engines: Option<Vec<WebhookModel>>,
    /// The tags of the video.
    pub tags: Option<Vec<String>>,
}

/// A model that indexed a video.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WebhookModel {
    /// The name, such as `marengo3.0`.
    pub name: Option<String>,
    /// The options of the model, such as `visual`. Older models have options that
    /// [`ModelOption`](crate::indexes::ModelOption) does not list.
    pub options: Option<Vec<String>>,
}
