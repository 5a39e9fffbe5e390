//! Analysis: text about a video or images, whole or as a stream.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::json::decode;
use crate::call::request::Request;
#[cfg(feature = "schemars")]
use crate::call::schema;
use crate::error::{Error, Result};
use crate::generation::{FinishReason, TokenUsage};
use crate::http::session::Session;
use crate::resources::assets::Asset;
use crate::text::{Masked, printable};

pub(crate) use segments::segments;
pub use segments::*;
pub use stream::*;
pub(crate) use stream::{broken, reported};

mod segments;
mod stream;

pub(crate) fn analyze(client: &Session, stream: bool) -> Request {
    let mut request = client.post(&["analyze"]).slow();
    request.json("stream", &stream);
    request
}

/// Declares a request for an analysis, with the options that all of them share and additional ones.
macro_rules! analyze_options {
    ($(#[$meta:meta])* $name:ident -> $output:ty { $($more:tt)* }) => {
        request! {
            $(#[$meta])*
            $name -> $output {
                /// Sets the model. The platform's default is `pegasus1.5`.
                json model_name: into crate::resources::analyze::AnalyzeModelName,
                /// Sets the video: a [`VideoContext`](crate::analyze::VideoContext), or a reference to an
                /// [`Asset`](crate::assets::Asset). Excludes [`image`](Self::image).
                json video: into crate::resources::analyze::VideoContext,
                /// Sets the images, 1 to 20. Requires `pegasus1.6` and a [`prompt`](Self::prompt); excludes
                /// [`video`](Self::video) and [`prompt_v2`](Self::prompt_v2).
                json image: [crate::resources::analyze::AnalyzeImageInput],
                /// Sets the prompt: an instruction, a description or a question. Excludes
                /// [`prompt_v2`](Self::prompt_v2).
                json prompt: into String,
                /// A prompt that refers to images. Excludes [`prompt`](Self::prompt) and [`image`](Self::image).
                json prompt_v2: into crate::resources::analyze::AnalyzePromptV2,
                /// Sets the temperature, from 0 to 1. With a higher value, the model writes more freely. The platform's
                /// default is 0.2.
                json temperature: f64,
                /// Sets the form of the answer: a JSON schema, or in a task also segments.
                json response_format: crate::resources::analyze::ResponseFormat,
                /// Sets the start of the part to analyze, in seconds of the video's own clock.
                json start_time: f64,
                /// Sets the end of the part to analyze, in seconds of the video's own clock: at least 1 s and, in a
                /// task, at most 2 hours after the start.
                json end_time: f64,
                $($more)*
            }
        }
    };
}

pub(crate) use analyze_options;

/// Declares one of the two calls that return the answer itself, which have the same options.
macro_rules! analyze_request {
    ($(#[$meta:meta])* $name:ident -> $output:ty) => {
        analyze_options! {
            $(#[$meta])*
            $name -> $output {
                /// Sets the maximum number of tokens in the answer: 512 to 98,304. The platform's default is 4,096. An
                /// answer that reaches the limit ends with the finish reason `length`.
                json max_tokens: u32,
            }
        }
    };
}

analyze_request! {
    /// The builder returned by [`TwelveLabs::analyze`](crate::TwelveLabs::analyze).
    Analyze -> AnalyzeResponse
}

analyze_request! {
    /// The builder returned by [`TwelveLabs::analyze_stream`](crate::TwelveLabs::analyze_stream).
    StreamAnalyze -> AnalyzeStream
}

impl Analyze {
    /// Sends the request with a JSON schema and decodes the text of the answer into your own type.
    ///
    /// The schema is sent as [`response_format`](Self::response_format). Code fences around the answer are removed.
    ///
    /// The platform supports a part of JSON Schema, without `additionalProperties` and length limits.
    ///
    /// ```no_run
    /// use serde_json::json;
    /// use twelvelabs::analyze::VideoContext;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Summary {
    ///     title: String,
    ///     keywords: Vec<String>,
    /// }
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let summary: Summary = client
    ///     .analyze()
    ///     .video(VideoContext::asset_id("65f…"))
    ///     .prompt("A title and five keywords.")
    ///     .json(json!({
    ///         "type": "object",
    ///         "properties": {
    ///             "title": {"type": "string"},
    ///             "keywords": {"type": "array", "items": {"type": "string"}},
    ///         },
    ///         "required": ["title", "keywords"],
    ///     }))?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for [`send`](Self::send). In addition, [`Error::Truncated`] if the model stopped at the token limit,
    /// and [`Error::InvalidOutput`] if the answer does not fit the type or does not say that it is complete. Both
    /// contain the text.
    pub fn json<T: DeserializeOwned>(mut self, schema: impl Serialize) -> Result<T> {
        let schema = self.0.schema(&schema);
        self.response_format(ResponseFormat::json_schema(schema)).send()?.json()
    }

    /// Like [`json`](Self::json), with a schema generated from the type. The schema contains the doc comments of its
    /// fields, so the model reads them.
    ///
    /// # Errors
    ///
    /// The same as for [`json`](Self::json).
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Summary {
    ///     /// At most ten words.
    ///     title: String,
    ///     keywords: Vec<String>,
    /// }
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let summary: Summary = client.analyze().prompt("A title and keywords.").json_as()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[cfg(feature = "schemars")]
    #[cfg_attr(docsrs, doc(cfg(feature = "schemars")))]
    pub fn json_as<T: DeserializeOwned + schemars::JsonSchema>(self) -> Result<T> {
        self.json(schema::of::<T>())
    }
}

/// Returns the text of an answer if the platform states that it is complete. Completeness is never inferred: only the
/// finish reason states it.
pub(crate) fn complete(text: Option<String>, finish_reason: Option<&FinishReason>) -> Result<String> {
    let text = text.unwrap_or_default();
    let message = match finish_reason {
        Some(FinishReason::Stop) if !text.trim().is_empty() => return Ok(text),
        Some(FinishReason::Stop) => "the answer has no text".into(),
        Some(FinishReason::Length) => return Err(Error::Truncated { text }),
        Some(FinishReason::Other(reason)) => {
            format!("the answer does not say that it is complete: its finish reason is `{}`", printable(reason, 100))
        }
        None => "the answer does not say that it is complete: it has no finish reason".into(),
    };
    Err(Error::InvalidOutput { message, text })
}

/// Returns the failure that the platform reports together with the text of an answer. With a truncated text, an error
/// is only a warning.
fn failure<'a>(error: Option<&'a AnalyzeError>, finish_reason: Option<&FinishReason>) -> Option<&'a str> {
    let AnalyzeError { code, message } = error.filter(|_| finish_reason != Some(&FinishReason::Length))?;
    message.as_deref().or(code.as_deref())
}

/// Decodes the text of a complete answer into `T`.
pub(crate) fn typed<T: DeserializeOwned>(text: Option<&str>, finish_reason: Option<&FinishReason>) -> Result<T> {
    let text = &complete(text.map(Into::into), finish_reason)?;
    let unfit = |message: String| Error::InvalidOutput { message, text: text.into() };
    decode::strictly_from_json(without_fences(text).as_bytes()).map_err(|why| unfit(format!("the answer {why}")))
}

/// Returns the text between the first code fence and the last, unless the text starts as JSON. Models sometimes put
/// JSON into Markdown fences although a schema was given.
fn without_fences(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with(['{', '[']) {
        return text;
    }
    let fenced = || {
        let (_, rest) = text.split_once("```")?;
        let (_, rest) = rest.split_once('\n')?;
        Some(rest.rsplit_once("```").map_or(rest, |(inside, _)| inside))
    };
    fenced().unwrap_or(text)
}

open_enum! {
    /// The models for analysis.
    AnalyzeModelName {
        /// Pegasus 1.6, which also accepts images.
        Pegasus16 = "pegasus1.6",
        /// Pegasus 1.5, the default.
        Pegasus15 = "pegasus1.5",
    }
}

open_enum! {
    /// The kinds of [`ResponseFormat`].
    ResponseFormatType {
        /// JSON that follows a schema.
        JsonSchema = "json_schema",
        /// Segments of the video with your own fields.
        SegmentDefinitions = "segment_definitions",
    }
}

/// The video to analyze. `Debug` shows its URL without the query, which may be a signature, and its base64 as a length.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum VideoContext {
    /// A video at a public URL.
    Url {
        /// The URL, which must be a direct link to the file.
        url: String,
    },
    /// An uploaded asset.
    AssetId {
        /// The asset's id.
        asset_id: String,
    },
    /// A video in the request itself.
    Base64String {
        /// The file in base64.
        base64_string: String,
    },
}

impl fmt::Debug for VideoContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url } => f.debug_struct("Url").field("url", &Masked(url)).finish(),
            Self::AssetId { asset_id } => f.debug_struct("AssetId").field("asset_id", asset_id).finish(),
            Self::Base64String { base64_string } => {
                f.debug_struct("Base64String").field("length", &base64_string.len()).finish()
            }
        }
    }
}

impl VideoContext {
    /// Names a video at a public URL, which must be a direct link to the file.
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url { url: url.into() }
    }

    /// Names an uploaded asset, which must be ready.
    pub fn asset_id(asset_id: impl Into<String>) -> Self {
        Self::AssetId { asset_id: asset_id.into() }
    }

    /// Sends the bytes of a small video, encoded in base64, within the request. Upload larger videos as assets.
    pub fn base64(bytes: impl AsRef<[u8]>) -> Self {
        Self::base64_string(BASE64_STANDARD.encode(bytes))
    }

    /// Sends a file that is already encoded in base64 within the request.
    pub fn base64_string(base64_string: impl Into<String>) -> Self {
        Self::Base64String { base64_string: base64_string.into() }
    }
}

impl From<&Asset> for VideoContext {
    fn from(asset: &Asset) -> Self {
        Self::asset_id(&asset.id)
    }
}

impl From<&VideoContext> for VideoContext {
    fn from(video: &VideoContext) -> Self {
        video.clone()
    }
}

input! {
    /// An image to analyze, with a name of letters, digits and underscores. The prompt refers to it as `<@name>`; it
    /// must refer to all images or to none.
    ///
    /// The platform accepts JPEG, PNG, WebP, GIF and BMP images up to 20 MB and 16,777,216 pixels.
    AnalyzeImageInput(name: String) {}
}

impl AnalyzeImageInput {
    /// Names an image at a public URL that begins with `https://`.
    pub fn url(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self::new(name).field("url", url.into())
    }

    /// Names an uploaded asset.
    pub fn asset_id(name: impl Into<String>, asset_id: impl Into<String>) -> Self {
        Self::new(name).field("asset_id", asset_id.into())
    }

    /// Sends the bytes of an image, encoded in base64, within the request.
    pub fn base64(name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self::base64_string(name, BASE64_STANDARD.encode(bytes))
    }

    /// Sends a file that is already encoded in base64 within the request.
    pub fn base64_string(name: impl Into<String>, base64_string: impl Into<String>) -> Self {
        Self::new(name).field("base64_string", base64_string.into())
    }
}

input! {
    /// An image to which a prompt or a segment definition refers. An [`AnalyzeImageInput`] can be converted into one.
    SmeMediaSource(name: String, media_type: String) {}
}

impl From<AnalyzeImageInput> for SmeMediaSource {
    fn from(image: AnalyzeImageInput) -> Self {
        Self(image.0).field("media_type", "image")
    }
}

input! {
    /// A prompt that can refer to images as `<@name>`. Text alone can be converted into one. In batches, the Python SDK
    /// calls it `BatchPrompt`.
    ///
    /// ```
    /// use twelvelabs::analyze::{AnalyzeImageInput, AnalyzePromptV2};
    ///
    /// let image = AnalyzeImageInput::url("dog", "https://example.com/dog.jpg");
    /// let prompt = AnalyzePromptV2::new("When does <@dog> appear?").media_sources([image]);
    /// ```
    AnalyzePromptV2(input_text: String) {
        /// Sets the images to which the prompt refers, at most 4.
        media_sources: [SmeMediaSource],
    }
}

impl From<&str> for AnalyzePromptV2 {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for AnalyzePromptV2 {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// The form of an answer. The Python SDK calls it `SyncResponseFormat` and `AsyncResponseFormat`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseFormat {
    /// The kind of the form.
    #[serde(rename = "type")]
    pub kind: Option<ResponseFormatType>,
    /// The JSON schema that the answer follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Value>,
    /// The segments to find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_definitions: Option<Vec<SegmentDefinition>>,
    /// The format of the start and the end of a segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_time_format: Option<SegmentTimeFormat>,
}

impl ResponseFormat {
    /// Requests JSON that follows a schema. The platform supports a part of JSON Schema draft 2020-12.
    pub fn json_schema(schema: impl Into<Value>) -> Self {
        let kind = Some(ResponseFormatType::JsonSchema);
        ResponseFormat { kind, json_schema: Some(schema.into()), ..Self::default() }
    }

    /// Requests JSON that follows the schema of a type. Use it in tasks and batches; for a single call,
    /// [`Analyze::json_as`] also decodes the answer.
    #[cfg(feature = "schemars")]
    #[cfg_attr(docsrs, doc(cfg(feature = "schemars")))]
    pub fn json_schema_of<T: schemars::JsonSchema>() -> Self {
        Self::json_schema(schema::of::<T>())
    }

    /// Requests segments of the video, with 1 to 20 definitions. Requires a task or a batch with the mode
    /// [`TimeBasedMetadata`](crate::analyze_async::AnalysisMode::TimeBasedMetadata).
    ///
    /// ```no_run
    /// use twelvelabs::analyze::{ResponseFormat, SegmentDefinition, SegmentField, SegmentFieldType, VideoContext};
    /// use twelvelabs::analyze_async::AnalysisMode;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let scorer = SegmentField::new("scorer", SegmentFieldType::String, "The name of who scored.");
    /// let goals = SegmentDefinition::new("goal", "From the attack to the goal.").fields([scorer]);
    /// let task = client
    ///     .analyze_async()
    ///     .tasks()
    ///     .create()
    ///     .video(VideoContext::asset_id("65f…"))
    ///     .analysis_mode(AnalysisMode::TimeBasedMetadata)
    ///     .response_format(ResponseFormat::segment_definitions([goals]))
    ///     .send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn segment_definitions(segment_definitions: impl IntoIterator<Item = SegmentDefinition>) -> Self {
        let kind = Some(ResponseFormatType::SegmentDefinitions);
        let segment_definitions = Some(segment_definitions.into_iter().collect());
        ResponseFormat { kind, segment_definitions, ..Self::default() }
    }

    /// Sets the format of the start and the end of a segment. The platform's default is seconds.
    pub fn segment_time_format(mut self, segment_time_format: impl Into<SegmentTimeFormat>) -> Self {
        self.segment_time_format = Some(segment_time_format.into());
        self
    }

    when_some!();
}

/// The result of [`TwelveLabs::analyze`](crate::TwelveLabs::analyze).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeResponse {
    /// The id of the answer.
    pub id: Option<String>,
    /// The text.
    pub data: Option<String>,
    /// The reason why the model stopped. [`complete`](Self::complete) returns the text only if this says that it is
    /// complete.
    pub finish_reason: Option<FinishReason>,
    /// The tokens that were used.
    pub usage: Option<TokenUsage>,
    /// The reason why the text is not usable, or a warning that it was truncated.
    pub error: Option<AnalyzeError>,
}

impl AnalyzeResponse {
    /// Returns an error if the platform reports a failure together with the text, as a stream does.
    fn check(&self) -> Result<()> {
        let Some(why) = failure(self.error.as_ref(), self.finish_reason.as_ref()) else { return Ok(()) };
        let message = format!("the platform reported an error: {}", printable(why, 2000));
        Err(Error::InvalidOutput { message, text: self.data.clone().unwrap_or_default() })
    }

    /// Returns the text if it is complete.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// # let asset = client.assets().retrieve("65f…").send()?;
    /// let text = client.analyze().video(&asset).prompt("What happens here?").send()?.complete()?;
    /// println!("{text}");
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`], with the text, if the model stopped at the token limit; [`Error::InvalidOutput`] if there
    /// is no text, if the finish reason does not say that the text is complete, or if the platform reports an
    /// [`error`](Self::error) with it.
    pub fn complete(self) -> Result<String> {
        self.check()?;
        complete(self.data, self.finish_reason.as_ref())
    }

    /// Decodes the text from JSON into your own type, as [`Analyze::json`] does.
    ///
    /// # Errors
    ///
    /// The same as for [`complete`](Self::complete). In addition, [`Error::InvalidOutput`] if the text does not
    /// fit the type. Both errors contain the text.
    ///
    /// ```no_run
    /// # fn read(answer: twelvelabs::analyze::AnalyzeResponse) -> Result<(), twelvelabs::Error> {
    /// let keywords: Vec<String> = answer.json()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        self.check()?;
        typed(self.data.as_deref(), self.finish_reason.as_ref())
    }
}

/// The reason why an analysis failed or was canceled, or a warning about its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeError {
    /// The platform's code for the reason, if it gives one.
    pub code: Option<String>,
    /// The reason as text.
    pub message: Option<String>,
}
