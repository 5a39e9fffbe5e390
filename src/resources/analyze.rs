//! Analysis: text about a video or about images, at once or as it is written.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::RangeInclusive;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::decode;
use crate::call::events::{Fault, Stream};
use crate::call::request::Request;
#[cfg(feature = "schemars")]
use crate::call::schema;
use crate::call::{Output, sealed};
use crate::error::{Error, Result};
use crate::generation::{FinishReason, Generation, TokenUsage};
use crate::http::refusal::Words;
use crate::http::session::Session;
use crate::resources::assets::Asset;
use crate::response::HttpResponse;
use crate::text::printable;

pub(crate) fn analyze(client: &Session, stream: bool) -> Request {
    let mut request = client.post(&["analyze"]).slow();
    request.json("stream", &stream);
    request
}

/// The two calls that analyse at once have the same options.
macro_rules! analyze_request {
    ($(#[$meta:meta])* $name:ident -> $output:ty) => {
        request! {
            $(#[$meta])*
            $name -> $output {
                /// The model. The platform's default is `pegasus1.5`.
                json model_name: into AnalyzeModelName,
                /// The video: a [`VideoContext`], or a reference to an [`Asset`]. Excludes [`image`](Self::image).
                json video: into VideoContext,
                /// The images, 1 to 20. Needs `pegasus1.6` and a [`prompt`](Self::prompt); excludes
                /// [`video`](Self::video) and [`prompt_v2`](Self::prompt_v2).
                json image: [AnalyzeImageInput],
                /// What to write: an instruction, a description or a question. Excludes
                /// [`prompt_v2`](Self::prompt_v2).
                json prompt: into String,
                /// A prompt that refers to images. Excludes [`prompt`](Self::prompt) and [`image`](Self::image).
                json prompt_v2: into AnalyzePromptV2,
                /// How freely the model writes, 0 to 1. The platform's default is 0.2.
                json temperature: f64,
                /// The form of the answer: only a JSON schema is possible here.
                json response_format: ResponseFormat,
                /// The most tokens of the answer: 512 to 98,304, 4,096 by default. One that reaches it ends with the
                /// finish reason `length`.
                json max_tokens: u32,
                /// The start of the part to analyse, in seconds of the video's own clock.
                json start_time: f64,
                /// The end of the part to analyse, in seconds of the video's own clock; at least 1 s after the start.
                json end_time: f64,
            }
        }
    };
}

analyze_request! {
    /// Options of [`TwelveLabs::analyze`](crate::TwelveLabs::analyze).
    Analyze -> AnalyzeResponse
}

analyze_request! {
    /// Options of [`TwelveLabs::analyze_stream`](crate::TwelveLabs::analyze_stream).
    StreamAnalyze -> AnalyzeStream
}

impl Analyze {
    /// Sends the request with a JSON schema, and decodes the text of the answer into a type of your own.
    ///
    /// The schema is sent as the [`response_format`](Self::response_format). Code fences around the answer are removed.
    ///
    /// The platform knows a part of JSON Schema: no `additionalProperties`, no limits of a length.
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
    /// As [`send`](Self::send); [`Error::Truncated`] if the model stopped at the limit of tokens, and
    /// [`Error::InvalidOutput`] if the answer does not fit the type. Both have the text.
    pub fn json<T: DeserializeOwned>(mut self, schema: impl Serialize) -> Result<T> {
        let schema = self.0.schema(&schema);
        self.response_format(ResponseFormat::json_schema(schema)).send()?.json()
    }

    /// As [`json`](Self::json), with the schema made from the type. What doc comments say of its fields is in the schema,
    /// and so the model reads it.
    ///
    /// # Errors
    /// As [`json`](Self::json).
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

/// The text that a model answered, if it is all of it.
pub(crate) fn complete(text: Option<String>, finish_reason: Option<&FinishReason>) -> Result<String> {
    let text = text.unwrap_or_default();
    match finish_reason {
        Some(FinishReason::Length) => Err(Error::Truncated { text }),
        _ if text.trim().is_empty() => Err(Error::InvalidOutput { message: "the answer has no text".into(), text }),
        _ => Ok(text),
    }
}

/// Decodes the text that a model answered into `T`.
pub(crate) fn typed<T: DeserializeOwned>(text: Option<&str>, finish_reason: Option<&FinishReason>) -> Result<T> {
    let text = &complete(text.map(Into::into), finish_reason)?;
    let unfit = |message: String| Error::InvalidOutput { message, text: text.into() };
    decode::strictly_from_json(without_fences(text).as_bytes()).map_err(|why| unfit(format!("the answer {why}")))
}

/// What is between the first code fence and the last, if the text does not begin as JSON.
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
    /// The models that analyse.
    AnalyzeModelName {
        /// Pegasus 1.6, the one that takes images.
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
        /// Segments of the video with fields of your own.
        SegmentDefinitions = "segment_definitions",
    }
}

open_enum! {
    /// How times are written in an answer.
    SegmentTimeFormat {
        /// A number of seconds.
        Seconds = "seconds",
        /// Text, to the second.
        HhMmSs = "hh:mm:ss",
        /// Text, to the millisecond.
        HhMmSsFff = "hh:mm:ss.fff",
    }
}

open_enum! {
    /// The types of a [`SegmentField`] and of its items.
    SegmentFieldType {
        /// Text.
        String = "string",
        /// Yes or no.
        Boolean = "boolean",
        /// Any number.
        Number = "number",
        /// A whole number.
        Integer = "integer",
        /// A list: see [`SegmentField::items`].
        Array = "array",
        /// A time in the video: see [`SegmentField::format`].
        Timestamp = "timestamp",
        /// A list of events within the segment: its items are objects. Needs `pegasus1.6`.
        TimeArray = "time_array",
        /// The items of a `time_array`.
        Object = "object",
    }
}

/// The video to analyse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum VideoContext {
    /// At a public URL.
    Url {
        /// The URL: a direct link to the file.
        url: String,
    },
    /// An asset.
    AssetId {
        /// The asset's id.
        asset_id: String,
    },
    /// In the request itself.
    Base64String {
        /// The file in base64.
        base64_string: String,
    },
}

impl VideoContext {
    /// A video at a public URL: a direct link to the file.
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url { url: url.into() }
    }

    /// An uploaded asset. It has to be ready.
    pub fn asset_id(asset_id: impl Into<String>) -> Self {
        Self::AssetId { asset_id: asset_id.into() }
    }

    /// The bytes of a small video, sent with the request: this encodes them. For anything large, upload an asset.
    pub fn base64(bytes: impl AsRef<[u8]>) -> Self {
        Self::base64_string(BASE64_STANDARD.encode(bytes))
    }

    /// Base64 that you have already.
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
    /// An image to analyse, with a name that the prompt can refer to as `<@name>`: all images or none. Names have
    /// letters, digits and underscores.
    ///
    /// The platform takes JPEG, PNG, WebP, GIF and BMP up to 20 MB and 16,777,216 pixels.
    AnalyzeImageInput(name: String) {}
}

impl AnalyzeImageInput {
    /// An image at a public URL that begins with `https://`.
    pub fn url(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self::new(name).field("url", url.into())
    }

    /// An uploaded asset.
    pub fn asset_id(name: impl Into<String>, asset_id: impl Into<String>) -> Self {
        Self::new(name).field("asset_id", asset_id.into())
    }

    /// The bytes of an image, sent with the request: this encodes them.
    pub fn base64(name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self::base64_string(name, BASE64_STANDARD.encode(bytes))
    }

    /// Base64 that you have already.
    pub fn base64_string(name: impl Into<String>, base64_string: impl Into<String>) -> Self {
        Self::new(name).field("base64_string", base64_string.into())
    }
}

input! {
    /// An image that a prompt or a segment definition refers to. An [`AnalyzeImageInput`] becomes one.
    SmeMediaSource(name: String, media_type: String) {}
}

impl From<AnalyzeImageInput> for SmeMediaSource {
    fn from(image: AnalyzeImageInput) -> Self {
        Self(image.0).field("media_type", "image")
    }
}

input! {
    /// A prompt that can refer to images as `<@name>`: `BatchPrompt` in batches of the Python SDK. Text alone becomes
    /// one, too.
    ///
    /// ```
    /// use twelvelabs::analyze::{AnalyzeImageInput, AnalyzePromptV2};
    ///
    /// let image = AnalyzeImageInput::url("dog", "https://example.com/dog.jpg");
    /// let prompt = AnalyzePromptV2::new("When does <@dog> appear?").media_sources([image]);
    /// ```
    AnalyzePromptV2(input_text: String) {
        /// The images it refers to, 4 at the most.
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

/// The form of an answer: `SyncResponseFormat` and `AsyncResponseFormat` in the Python SDK.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResponseFormat {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: Option<ResponseFormatType>,
    /// The schema that the answer follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Value>,
    /// The segments to find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_definitions: Option<Vec<SegmentDefinition>>,
    /// How the start and the end of a segment are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_time_format: Option<SegmentTimeFormat>,
}

impl ResponseFormat {
    /// JSON that follows a schema. The platform knows a part of the draft 2020-12.
    pub fn json_schema(schema: impl Into<Value>) -> Self {
        let kind = Some(ResponseFormatType::JsonSchema);
        ResponseFormat { kind, json_schema: Some(schema.into()), ..Self::default() }
    }

    /// The same with the schema made from a type, for tasks and batches: see [`Analyze::json_as`].
    #[cfg(feature = "schemars")]
    #[cfg_attr(docsrs, doc(cfg(feature = "schemars")))]
    pub fn json_schema_of<T: schemars::JsonSchema>() -> Self {
        Self::json_schema(schema::of::<T>())
    }

    /// Segments of the video, 1 to 20 kinds of them, for tasks and batches with the mode
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

    /// How the start and the end of a segment are written. The platform's default is seconds.
    pub fn segment_time_format(mut self, segment_time_format: impl Into<SegmentTimeFormat>) -> Self {
        self.segment_time_format = Some(segment_time_format.into());
        self
    }

    when_some!();
}

input! {
    /// A kind of segment to find in a video: its id, and a description that the model goes by.
    SegmentDefinition(id: String, description: String) {
        /// What to say of each segment.
        fields: [SegmentField],
        /// Images that help to recognise such a segment, 4 at the most.
        media_sources: [SmeMediaSource],
        /// The parts to search: ranges of at least 2 s that do not overlap. Excludes a start, an end and durations.
        time_ranges: [AnalyzeTimeRange],
    }
}

input! {
    /// Something to say of each segment: its name, its type, and a description that the model goes by.
    ///
    /// `start_time`, `end_time` and `metadata` are not free as names.
    SegmentField(name: String, kind = "type": SegmentFieldType, description: String) {
        /// How a `timestamp` is written, which needs it.
        format: into SegmentTimeFormat,
        /// The values allowed, 100 at the most.
        enum_values = "enum": [String],
        /// The items of an `array` or a `time_array`, which need it.
        items: into SegmentFieldItems,
    }
}

input! {
    /// The items of a list: a simple type for an `array`, `object` for a `time_array`.
    SegmentFieldItems(kind = "type": SegmentFieldType) {
        /// What to say of each event of a `time_array`.
        fields: [SegmentField],
    }
}

input! {
    /// A part of a video, in seconds of the video's own clock. A range such as `10.0..=60.0` becomes one too.
    AnalyzeTimeRange(start_time: f64, end_time: f64) {}
}

impl From<RangeInclusive<f64>> for AnalyzeTimeRange {
    fn from(range: RangeInclusive<f64>) -> Self {
        Self::new(*range.start(), *range.end())
    }
}

/// What [`TwelveLabs::analyze`](crate::TwelveLabs::analyze) returns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeResponse {
    /// The id of the answer.
    pub id: Option<String>,
    /// The text.
    pub data: Option<String>,
    /// Why the model stopped: [`complete`](Self::complete) gives the text only if it is all of it.
    pub finish_reason: Option<FinishReason>,
    /// The tokens that it took.
    pub usage: Option<TokenUsage>,
    /// A warning, for example that the text was truncated.
    pub error: Option<AnalyzeError>,
}

impl AnalyzeResponse {
    /// The text, if the model has said everything.
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
    /// [`Error::Truncated`], with the text, if the model stopped at the limit of tokens; [`Error::InvalidOutput`] if
    /// there is no text.
    pub fn complete(self) -> Result<String> {
        complete(self.data, self.finish_reason.as_ref())
    }

    /// The text, decoded from JSON into a type of your own as by [`Analyze::json`].
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] if the model stopped at the limit of tokens, [`Error::InvalidOutput`] if the text does not
    /// fit. Both have the text.
    ///
    /// ```no_run
    /// # fn read(answer: twelvelabs::analyze::AnalyzeResponse) -> Result<(), twelvelabs::Error> {
    /// let keywords: Vec<String> = answer.json()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        typed(self.data.as_deref(), self.finish_reason.as_ref())
    }
}

/// Why an analysis failed or was canceled, or what is wrong with its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeError {
    /// A code for the reason, where the platform gives one.
    pub code: Option<String>,
    /// The reason, as text.
    pub message: Option<String>,
}

/// One event of an analysis as it is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event_type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AnalyzeEvent {
    /// The model starts.
    StreamStart(StreamStart),
    /// A piece of the text.
    TextGeneration(TextGeneration),
    /// The answer is complete.
    StreamEnd(StreamEnd),
    /// An event that this version of the crate does not know, as it came.
    #[serde(untagged)]
    Other(Value),
}

impl AnalyzeEvent {
    /// The piece of text in it; empty for any event but [`TextGeneration`](Self::TextGeneration).
    #[inline]
    pub fn text(&self) -> &str {
        match self {
            Self::TextGeneration(piece) => &piece.text,
            _ => "",
        }
    }

    /// Takes over what it says of the answer as a whole.
    #[inline]
    fn add_to(&self, generation: &mut Generation) {
        let metadata = match self {
            Self::StreamStart(start) => &start.metadata,
            Self::StreamEnd(end) => {
                generation.finish_reason = end.finish_reason.clone();
                &end.metadata
            }
            _ => return,
        };
        let StreamMetadata { generation_id, usage } = metadata.clone().unwrap_or_default();
        generation.generation_id = generation_id.or(generation.generation_id.take());
        generation.usage = usage.or(generation.usage.take());
    }

    /// Reads an event, or the error that there is in its place.
    #[inline]
    fn read(stream: &Stream, line: Vec<u8>, generation: &mut Generation) -> Result<Self> {
        let event: Value = match decode::from_json(&line) {
            Ok(event) => event,
            Err(why) => return Err(stream.malformed(&why, line)),
        };
        let event = match event["event_type"].as_str() {
            Some("stream_start") => decode::from_json(&line).map(Self::StreamStart),
            Some("text_generation") => decode::from_json(&line).map(Self::TextGeneration),
            Some("stream_end") => decode::from_json(&line).map(Self::StreamEnd),
            Some(other) if other != "error" => Ok(Self::Other(event)),
            _ => return Err(reported(stream, line)),
        };
        let event = match event {
            Ok(event) => event,
            Err(why) => return Err(stream.malformed(&why, line)),
        };
        event.add_to(generation);
        match &event {
            Self::StreamEnd(end) if end.is_failure() => Err(reported(stream, line)),
            _ => Ok(event),
        }
    }
}

/// The error that the platform ends a stream with.
pub(crate) fn reported(stream: &Stream, line: Vec<u8>) -> Error {
    let words = Words::read(&line);
    match words.message.or_else(|| words.code.clone()) {
        Some(message) => Error::Stream {
            operation: stream.operation(),
            message: printable(&message, 2000),
            code: words.code.map(|code| printable(&code, 100)),
            text: String::new(),
            generation: Box::default(),
            source: None,
        },
        None => stream.malformed("this is no event", line),
    }
}

/// The start of an analysis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamStart {
    /// What it belongs to.
    pub metadata: Option<StreamMetadata>,
}

/// A piece of text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TextGeneration {
    /// The text, to be put after the pieces before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The end of an analysis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamEnd {
    /// Why the model stopped: [`Length`](FinishReason::Length) if the text is truncated.
    pub finish_reason: Option<FinishReason>,
    /// What it belongs to, and the tokens that it took.
    pub metadata: Option<StreamMetadata>,
    /// The warning that comes with a truncated text.
    pub error: Option<AnalyzeError>,
}

impl StreamEnd {
    /// An error beside a truncated text is a warning, any other is a failure.
    fn is_failure(&self) -> bool {
        let says_something = |e: &AnalyzeError| e.code.is_some() || e.message.is_some();
        self.error.as_ref().is_some_and(says_something) && self.finish_reason != Some(FinishReason::Length)
    }
}

/// What is said of an analysis around its text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamMetadata {
    /// The id of the answer.
    pub generation_id: Option<String>,
    /// The tokens that it took, at its end.
    pub usage: Option<TokenUsage>,
}

/// The events of an analysis as they arrive, see [`TwelveLabs::analyze_stream`](crate::TwelveLabs::analyze_stream).
///
/// It ends with [`StreamEnd`](AnalyzeEvent::StreamEnd). Before that, an error that the platform reports, a stream that
/// breaks off and a line that is no event are an [`Error::Stream`], which has the text so far, and then it has ended.
/// Dropping it closes the connection.
///
/// [`text`](Self::text) gathers all of it.
#[must_use = "the answer comes as it is read: iterate over it, or call `.text()`"]
pub struct AnalyzeStream {
    stream: Option<Stream>,
    text: String,
    generation: Generation,
}

impl sealed::Sealed for AnalyzeStream {}

impl Output for AnalyzeStream {
    #[inline]
    fn receive(request: Request) -> Result<HttpResponse<Self>> {
        let stream = Stream::open(request)?;
        let response = stream.response().clone();
        let generation = Generation::default();
        Ok(response.with(AnalyzeStream { stream: Some(stream), text: String::new(), generation }))
    }
}

impl AnalyzeStream {
    /// Waits for the end and returns the whole text, together with what was said of it.
    ///
    /// # Errors
    ///
    /// [`Error::Stream`], with the text so far, if the stream does not come to its end.
    ///
    /// ```no_run
    /// use twelvelabs::analyze::VideoContext;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let video = VideoContext::asset_id("65f…");
    /// let answer = client.analyze_stream().video(video).prompt("What happens here?").send()?.text()?;
    /// println!("{} {:?}", answer.text, answer.finish_reason);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    #[inline]
    pub fn text(mut self) -> Result<AnalyzeText> {
        let mut error = None;
        for event in &mut self {
            if let AnalyzeEvent::StreamEnd(end) = event? {
                error = end.error;
            }
        }
        let Generation { generation_id, usage, finish_reason } = self.generation;
        Ok(AnalyzeText { text: self.text, finish_reason, usage, generation_id, error })
    }
}

impl Iterator for AnalyzeStream {
    type Item = Result<AnalyzeEvent>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let stream = self.stream.as_mut()?;
        let line = stream.json_line().and_then(|line| line.ok_or_else(|| stream.failed(Fault::Truncated)));
        let event = line.and_then(|line| AnalyzeEvent::read(stream, line, &mut self.generation)).and_then(|event| {
            self.text.push_str(event.text());
            stream.check_size(self.text.len())?;
            Ok(event)
        });
        let event = event.map_err(|e| broken(stream.operation(), e, &self.text, &self.generation));
        if matches!(event, Err(_) | Ok(AnalyzeEvent::StreamEnd(_))) {
            self.stream = None;
        }
        Some(event)
    }
}

/// The error of a stream, with what came before it.
pub(crate) fn broken(operation: String, e: Error, text: &str, generation: &Generation) -> Error {
    let (message, code, source) = match e {
        Error::Stream { message, code, source, .. } => (message, code, source),
        e => {
            let message = match e {
                Error::Timeout { .. } => "the stream did not reach its end in time",
                Error::Transport { .. } => "the stream broke off before its end",
                Error::ResponseTooLarge { .. } => "the stream is larger than allowed",
                Error::Canceled { .. } => "canceled before the end of the stream",
                _ => "the stream has a line that is no event",
            };
            (message.into(), None, Some(Box::new(e)))
        }
    };
    Error::Stream { operation, message, code, text: text.into(), generation: Box::new(generation.clone()), source }
}

impl FusedIterator for AnalyzeStream {}

impl fmt::Debug for AnalyzeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnalyzeStream")
            .field("text", &self.text)
            .field("ended", &self.stream.is_none())
            .finish_non_exhaustive()
    }
}

/// All of an analysis that came as a stream, see [`AnalyzeStream::text`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnalyzeText {
    /// The text.
    pub text: String,
    /// Why the model stopped: [`complete`](Self::complete) gives the text only if it is all of it.
    pub finish_reason: Option<FinishReason>,
    /// The tokens that it took.
    pub usage: Option<TokenUsage>,
    /// The id of the answer.
    pub generation_id: Option<String>,
    /// The warning that comes with a truncated text.
    pub error: Option<AnalyzeError>,
}

impl AnalyzeText {
    /// The text, if the model has said everything.
    ///
    /// # Errors
    ///
    /// As [`AnalyzeResponse::complete`].
    pub fn complete(self) -> Result<String> {
        complete(Some(self.text), self.finish_reason.as_ref())
    }

    /// The text, decoded from JSON into a type of your own as by [`Analyze::json`].
    ///
    /// # Errors
    ///
    /// As [`AnalyzeResponse::json`].
    ///
    /// ```no_run
    /// # fn read(answer: twelvelabs::analyze::AnalyzeText) -> Result<(), twelvelabs::Error> {
    /// let keywords: Vec<String> = answer.json()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        typed(Some(&self.text), self.finish_reason.as_ref())
    }
}
