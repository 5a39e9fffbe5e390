//! Inputs and options of embeddings.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::call::json::encode::Fields;
use crate::call::request::Request;
use crate::file::FileSource;
use crate::resources::assets::{Asset, AssetType};
use crate::text::Masked;
use crate::types::{EmbeddingOption, EmbeddingScope};

const LIMIT: u64 = 32_000_000;
const HINT: &str = "the documented limits are 32 MB for an image, 36 MB for audio and video and 512 MB for a document \
     that is sent as base64; give a larger one by URL, or upload it as an asset and give its id";

/// The source of media. A local file is read when the request is sent, and sent as base64. A path, a
/// [`FileSource`] or a reference to an [`Asset`] can be converted into one.
///
/// ```
/// use twelvelabs::FileSource;
/// use twelvelabs::embed::MediaSource;
///
/// let asset = MediaSource::asset_id("65f…");
/// let url = MediaSource::url("https://example.com/dog.jpg");
/// let path = MediaSource::file("dog.jpg");
/// let bytes = MediaSource::file(FileSource::bytes("dog.jpg", vec![0xff, 0xd8]));
/// ```
///
/// `Debug` shows a URL without its query, which may be a signature.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum MediaSource {
    /// An asset on the platform, which must be ready.
    AssetId(String),
    /// A file that the platform fetches from a public URL, which must link directly to it.
    Url(String),
    /// A file within the request, encoded in base64.
    Base64String(String),
    /// A file that this program sends.
    File(FileSource),
}

impl fmt::Debug for MediaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AssetId(id) => f.debug_tuple("AssetId").field(id).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&Masked(url)).finish(),
            Self::Base64String(text) => f.debug_tuple("Base64String").field(text).finish(),
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
        }
    }
}

impl MediaSource {
    /// Names an asset on the platform, which must be ready.
    pub fn asset_id(asset_id: impl Into<String>) -> Self {
        Self::AssetId(asset_id.into())
    }

    /// Names a file that the platform fetches from a public URL, which must be a direct link to the file.
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url(url.into())
    }

    /// Sends the bytes of a small file within the request. This method encodes them in memory;
    /// [`file`](Self::file), which accepts bytes as well, encodes them while it sends them.
    pub fn base64(bytes: impl AsRef<[u8]>) -> Self {
        Self::base64_string(BASE64_STANDARD.encode(bytes))
    }

    /// Sends a file that is already encoded in base64 within the request.
    pub fn base64_string(base64_string: impl Into<String>) -> Self {
        Self::Base64String(base64_string.into())
    }

    /// Sends a file: a path, or any [`FileSource`]. It is encoded while it is sent, so memory use does not depend on
    /// its size.
    pub fn file(file: impl Into<FileSource>) -> Self {
        Self::File(file.into())
    }

    /// Converts the medium for a request, which reads a local file while it is being sent.
    fn attached(self, request: &mut Request) -> Self {
        let media = match self {
            Self::File(file) => Self::Base64String(request.attach(file)),
            other => other,
        };
        if let Self::Url(url) = &media {
            request.check_url("url", url);
        }
        if let Ok((name, "")) = media.field() {
            request.reject(name, "is empty");
        }
        media
    }

    /// Returns the medium's field on the wire, as name and value.
    fn field(&self) -> Result<(&'static str, &str), &'static str> {
        match self {
            Self::AssetId(asset_id) => Ok(("asset_id", asset_id)),
            Self::Url(url) => Ok(("url", url)),
            Self::Base64String(text) => Ok(("base64_string", text)),
            Self::File(_) => Err("a local file becomes JSON only when it is sent"),
        }
    }
}

/// Converts a local file: a path, or any [`FileSource`].
impl<F: Into<FileSource>> From<F> for MediaSource {
    fn from(file: F) -> Self {
        Self::file(file)
    }
}

impl From<&Asset> for MediaSource {
    fn from(asset: &Asset) -> Self {
        Self::asset_id(&asset.id)
    }
}

impl From<&MediaSource> for MediaSource {
    fn from(media_source: &MediaSource) -> Self {
        media_source.clone()
    }
}

impl Serialize for MediaSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([self.field().map_err(S::Error::custom)?])
    }
}

/// The input to embed: the `input_type` of the Python SDK together with its content.
///
/// ```
/// use twelvelabs::embed::{AudioInput, MultiInput, MultiInputMediaSource};
/// use twelvelabs::embed::{EmbedInput, MediaSource};
///
/// let text = EmbedInput::text("a dog on a beach");
/// let image = EmbedInput::image("dog.jpg");
/// let audio = EmbedInput::audio(AudioInput::new(MediaSource::asset_id("65f…")).end_sec(30.0));
/// let coat = MultiInputMediaSource::new("image", "coat.jpg").name("coat");
/// let several = EmbedInput::multi_input(MultiInput::new().input_text("a dog in <@coat>").media_sources([coat]));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct EmbedInput {
    input_type: String,
    parts: Parts,
}

/// The object of an input: its plain fields and its media. A local file is read when the request is sent.
#[derive(Debug, Clone, Default, PartialEq)]
struct Parts {
    fields: Fields,
    media_source: Option<MediaSource>,
    media_sources: Vec<MultiInputMediaSource>,
    /// Whether the medium is one of the fields instead of an object.
    flat: bool,
}

impl Parts {
    fn set(&mut self, name: &str, value: &impl Serialize) {
        self.fields.set(name, value);
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.media_source.is_none() && self.media_sources.is_empty()
    }

    fn attached(self, request: &mut Request) -> Self {
        Parts {
            media_source: self.media_source.map(|media| media.attached(request)),
            media_sources: self
                .media_sources
                .into_iter()
                .map(|source| MultiInputMediaSource(source.0.attached(request)))
                .collect(),
            ..self
        }
    }
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = self.fields.clone();
        match &self.media_source {
            Some(media) if self.flat => {
                let (name, text) = media.field().map_err(S::Error::custom)?;
                fields.set(name, text);
            }
            Some(media) => fields.set("media_source", media),
            None => {}
        }
        if !self.media_sources.is_empty() {
            fields.set("media_sources", &self.media_sources);
        }
        fields.serialize(serializer)
    }
}

impl EmbedInput {
    /// Embeds a text of up to 500 tokens. Tasks do not accept it.
    pub fn text(input_text: impl Into<String>) -> Self {
        Self::new("text", text(input_text.into(), None))
    }

    /// Embeds an image: a path, an asset, any other [`MediaSource`], or an [`ImageInput`] with options.
    pub fn image(image: impl Into<ImageInput>) -> Self {
        Self::new("image", image.into().0)
    }

    /// Embeds a text of up to 500 tokens and an image in one vector. Tasks do not accept it.
    pub fn text_image(input_text: impl Into<String>, media_source: impl Into<MediaSource>) -> Self {
        Self::new("text_image", text(input_text.into(), Some(media_source.into())))
    }

    /// Embeds audio: a path, an asset, any other [`MediaSource`], or an [`AudioInput`] with options.
    pub fn audio(audio: impl Into<AudioInput>) -> Self {
        Self::new("audio", audio.into().0)
    }

    /// Embeds video: a path, an asset, any other [`MediaSource`], or a [`VideoInput`] with options.
    pub fn video(video: impl Into<VideoInput>) -> Self {
        Self::new("video", video.into().0)
    }

    /// Embeds a PDF, text or Markdown file: a path, an asset, any other [`MediaSource`], or a [`DocumentInput`] with
    /// options. Only tasks accept it.
    pub fn document(document: impl Into<DocumentInput>) -> Self {
        Self::new("document", document.into().0)
    }

    /// Embeds a text and up to 10 media in one vector. Tasks do not accept it.
    pub fn multi_input(multi_input: MultiInput) -> Self {
        Self::new("multi_input", multi_input.0)
    }

    /// Embeds a kind of input that this version of the crate does not know, from the object that belongs to it.
    pub fn other(input_type: impl Into<String>, fields: Map<String, Value>) -> Self {
        Self { input_type: input_type.into(), parts: Parts { fields: fields.into(), ..Parts::default() } }
    }

    /// Returns the label of this input in an outcome: its text, file, URL or asset.
    pub(super) fn label(&self) -> String {
        let text = || self.parts.fields.get("input_text")?.as_str();
        match &self.parts.media_source {
            Some(MediaSource::File(file)) => file.label().display().to_string(),
            Some(MediaSource::Url(name) | MediaSource::AssetId(name)) => name.clone(),
            Some(MediaSource::Base64String(_)) | None => text().unwrap_or(&self.input_type).into(),
        }
    }

    fn new(input_type: &str, parts: Parts) -> Self {
        Self { input_type: input_type.into(), parts }
    }

    /// Writes the input into a request.
    pub(super) fn into_request(self, request: Request, model_name: String) -> Request {
        let mut request = request.size_limit(LIMIT, HINT);
        let parts = self.parts.attached(&mut request);
        if parts.is_empty() && self.input_type == "multi_input" {
            request.reject("multi_input", "is empty; give text, media, or both");
        }
        request.json("input_type", &self.input_type);
        request.json("model_name", &model_name);
        request.json(&self.input_type, &parts);
        request
    }
}

/// Serializes an input as it is sent. An input with a local file is an error here, because files are read only while a
/// request is being sent.
impl Serialize for EmbedInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::default();
        fields.set("input_type", &self.input_type);
        fields.set(&self.input_type, &self.parts);
        fields.serialize(serializer)
    }
}

fn text(input_text: String, media_source: Option<MediaSource>) -> Parts {
    let mut parts = Parts { media_source, ..Parts::default() };
    parts.set("input_text", &input_text);
    parts
}

/// Declares the object of an input, like [`input!`], but with media that may be a local file, which is read while it is
/// being sent.
macro_rules! media_input {
    ($(#[$meta:meta])* $name:ident { $($options:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(transparent)]
        #[must_use]
        pub struct $name(Parts);

        impl $name {
            input!(@options $($options)*);

            /// Sets a field that this version of the crate does not know.
            pub fn field(mut self, name: &str, value: impl Serialize) -> Self {
                self.0.set(name, &value);
                self
            }

            /// Returns the value of a field. The media are not fields.
            pub fn get(&self, name: &str) -> Option<&Value> {
                self.0.fields.get(name)
            }

            when_some!();
        }

        impl From<&$name> for $name {
            fn from(input: &$name) -> Self {
                input.clone()
            }
        }
    };
    ($(#[$meta:meta])* $name:ident(MediaSource) { $($options:tt)* }) => {
        media_input! { $(#[$meta])* $name { $($options)* } }

        impl $name {
            /// Creates the input with the platform's defaults.
            pub fn new(media_source: impl Into<MediaSource>) -> Self {
                Self(Parts { media_source: Some(media_source.into()), ..Parts::default() })
            }
        }

        /// Creates the input with the platform's defaults.
        impl<M: Into<MediaSource>> From<M> for $name {
            fn from(media_source: M) -> Self {
                Self::new(media_source)
            }
        }
    };
}

media_input! {
    /// An image to embed. Only tasks accept its options, and each has one possible value so far.
    ImageInput(MediaSource) {
        /// Sets the aspects to embed: `visual`.
        embedding_option: [EmbeddingOption],
        /// Sets the form of the vectors: `separate_embedding`.
        embedding_type: [EmbeddingType],
        /// Sets the scope of a vector: `asset`.
        embedding_scope: [EmbeddingScope],
    }
}

/// Declares an input of audio or video, with the options of both and additional ones.
macro_rules! timed_media_input {
    ($(#[$meta:meta])* $name:ident { $($more:tt)* }) => {
        media_input! {
            $(#[$meta])*
            $name(MediaSource) {
                /// Sets the start of the part to embed, in seconds. The platform's default is the start of the file.
                start_sec: f64,
                /// Sets the end of the part to embed, in seconds. The platform's default is the end of the file.
                end_sec: f64,
                /// Sets the scopes of the vectors. The default is `clip` and `asset`.
                embedding_scope: [EmbeddingScope],
                /// Sets the form of the vectors for two or more options. The default is `separate_embedding`.
                embedding_type: [EmbeddingType],
                /// Adds your own descriptions of segments to the fused vectors. Requires `marengo3.5`.
                time_based_metadata: [TimeBasedMetadataEntry],
                $($more)*
            }
        }
    };
}

timed_media_input! {
    /// Audio to embed.
    AudioInput {
        /// Sets the segmentation. By default, `marengo3.5` chooses it, and `marengo3.0` splits every 6 s.
        segmentation: into MediaSegmentation,
        /// Sets the aspects to embed: `audio`, and with `marengo3.0` also `transcription`. The default is all of them.
        embedding_option: [EmbeddingOption],
    }
}

timed_media_input! {
    /// Video to embed.
    VideoInput {
        /// Sets the segmentation. The default follows the scenes.
        segmentation: into MediaSegmentation,
        /// Sets the aspects to embed: `visual`, `audio`, and with `marengo3.0` also `transcription`. The default is all
        /// of them.
        embedding_option: [EmbeddingOption],
    }
}

media_input! {
    /// A PDF, text or Markdown file to embed. Requires `marengo3.5`.
    ///
    /// The platform's documented limit is 64 pages for each MB of a PDF.
    DocumentInput(MediaSource) {
        /// Sets the segmentation, which splits the pages of a PDF further or a text into chunks.
        segmentation: into DocumentSegmentation,
        /// Sets the aspects to embed. The default is `visual` for a PDF and `text` for a text.
        embedding_option: [EmbeddingOption],
        /// Sets the form of the vectors: `separate_embedding`.
        embedding_type: [EmbeddingType],
        /// Sets the scope of a vector. The default is `local` (a page) for a PDF, and `asset` for a text. The
        /// aspect `text` of a PDF requires `asset`, and `local` for a text requires a
        /// [`segmentation`](Self::segmentation).
        embedding_scope: [EmbeddingScope],
    }
}

media_input! {
    /// A text and media to embed in one vector.
    ///
    /// Media of different kinds require a text. A PDF must be the only medium.
    #[derive(Default)]
    MultiInput {
        /// Sets the text, of up to 2,000 tokens. It can refer to media by their names, such as `<@coat>`.
        input_text: into String,
    }
}

impl MultiInput {
    /// Creates an empty input. Add a text, media, or both.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the media, up to 10, in this order.
    pub fn media_sources(mut self, media_sources: impl IntoIterator<Item = impl Into<MultiInputMediaSource>>) -> Self {
        self.0.media_sources = media_sources.into_iter().map(Into::into).collect();
        self
    }
}

media_input! {
    /// A medium of a [`MultiInput`]. With `marengo3.5`, it may have up to 32 MB, and up to 30 s of audio or video.
    MultiInputMediaSource {
        /// Sets the name by which the text refers to it.
        name: into String,
    }
}

impl MultiInputMediaSource {
    /// Creates a medium of this kind: `image`, or with `marengo3.5` also `video`, `audio` and `document`.
    pub fn new(media_type: impl Into<AssetType>, media_source: impl Into<MediaSource>) -> Self {
        let mut parts = Parts { media_source: Some(media_source.into()), flat: true, ..Parts::default() };
        parts.set("media_type", &media_type.into());
        Self(parts)
    }
}

input! {
    /// Your own description of a segment of audio or video.
    TimeBasedMetadataEntry(start: f64, end: f64, text: String) {}
}

open_enum! {
    /// The form of the vectors when several options are embedded.
    EmbeddingType {
        /// The platform returns a separate vector for each option.
        SeparateEmbedding = "separate_embedding",
        /// The platform returns one vector for all options. With `marengo3.5`, this requires `time_based_metadata`.
        FusedEmbedding = "fused_embedding",
    }
}

open_enum! {
    /// The segmentation of a PDF page.
    DocumentSpatialStrategy {
        /// The page is not divided and gets one vector.
        Standard = "standard",
        /// The page gets one vector, and so does each quarter of it. This costs five times as much.
        Quadrants = "quadrants",
    }
}

/// The segmentation of audio or video.
///
/// `marengo3.0` accepts this form, `marengo3.5` the form of [`temporal`](Self::temporal). You can also pass your own
/// JSON.
///
/// ```
/// use twelvelabs::embed::MediaSegmentation;
///
/// let for_marengo_3_0 = MediaSegmentation::fixed(6);
/// let for_marengo_3_5 = MediaSegmentation::dynamic(2).temporal();
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
#[must_use]
pub struct MediaSegmentation(Value);

impl MediaSegmentation {
    /// Divides the media into segments of the same length in seconds: 2 to 10.
    pub fn fixed(duration_sec: u32) -> Self {
        Self(json!({"strategy": "fixed", "fixed": {"duration_sec": duration_sec}}))
    }

    /// Divides the media by scenes, into segments of at least this length in seconds: 2 to 5. `marengo3.0` divides only
    /// video this way.
    pub fn dynamic(min_duration_sec: u32) -> Self {
        Self(json!({"strategy": "dynamic", "dynamic": {"min_duration_sec": min_duration_sec}}))
    }

    /// Converts the segmentation to the form that `marengo3.5` requires and `marengo3.0` refuses.
    pub fn temporal(self) -> Self {
        Self(json!({"temporal": self.0}))
    }
}

impl From<Value> for MediaSegmentation {
    fn from(json: Value) -> Self {
        Self(json)
    }
}

/// The segmentation of a document. You can also pass your own JSON.
///
/// ```
/// use twelvelabs::embed::DocumentSegmentation;
///
/// let pdf = DocumentSegmentation::spatial("quadrants");
/// let text = DocumentSegmentation::sequential(20, 2);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
#[must_use]
pub struct DocumentSegmentation(Value);

impl DocumentSegmentation {
    /// Divides the pages of a PDF. Requires the option `visual` and the scope `local`.
    pub fn spatial(strategy: impl Into<DocumentSpatialStrategy>) -> Self {
        Self(json!({"spatial": {"strategy": strategy.into()}}))
    }

    /// Divides a text into chunks of up to `max_sentences` whole sentences. Each chunk begins with the last
    /// `overlap_sentences` sentences of the chunk before it. Requires the option `text` and the scope `local`.
    ///
    /// The task fails if a chunk is longer than the model accepts.
    pub fn sequential(max_sentences: u32, overlap_sentences: u32) -> Self {
        Self(json!({"sequential": {
            "strategy": "sentence",
            "max_sentences": max_sentences,
            "overlap_sentences": overlap_sentences,
        }}))
    }
}

impl From<Value> for DocumentSegmentation {
    fn from(json: Value) -> Self {
        Self(json)
    }
}
