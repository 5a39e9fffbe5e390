//! The metadata that the platform reads from the file of an asset.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The metadata that the platform read from a file. Fields that do not apply are `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TechnicalMetadata {
    /// The size of the file in bytes.
    pub file_size_bytes: Option<i64>,
    /// The MIME type.
    pub file_mime_type: Option<String>,
    /// The container format.
    pub file_container_format: Option<String>,
    /// The time at which the container was created, according to the file.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub container_creation_time: Option<OffsetDateTime>,
    /// The video streams.
    pub video_streams: Option<Vec<VideoStream>>,
    /// The video codec.
    pub video_codec: Option<String>,
    /// The video width in pixels.
    pub video_width: Option<i64>,
    /// The video height in pixels.
    pub video_height: Option<i64>,
    /// The video frames per second.
    pub video_fps: Option<f64>,
    /// The video duration in seconds.
    pub video_duration_seconds: Option<f64>,
    /// The video bitrate in bits per second.
    pub video_bitrate_bps: Option<i64>,
    /// The audio streams.
    pub audio_streams: Option<Vec<AudioStream>>,
    /// The audio codec.
    pub audio_codec: Option<String>,
    /// The audio sample rate in hertz.
    pub audio_sample_rate: Option<i64>,
    /// The number of audio channels.
    pub audio_channels: Option<i64>,
    /// The audio duration in seconds.
    pub audio_duration_seconds: Option<f64>,
    /// The timecode at the start.
    pub start_timecode: Option<String>,
    /// The source of the timecode.
    pub timecode_source: Option<String>,
    /// Whether the timecode is a drop-frame timecode.
    pub drop_frame: Option<bool>,
    /// The image width in pixels.
    pub image_width: Option<i64>,
    /// The image height in pixels.
    pub image_height: Option<i64>,
    /// The image format.
    pub image_format: Option<String>,
    /// The orientation of the image.
    pub image_orientation: Option<i64>,
    /// The image color space.
    pub image_color_space: Option<String>,
    /// Bits per color channel.
    pub image_bit_depth: Option<i64>,
    /// Whether the file is HDR.
    pub is_hdr: Option<bool>,
    /// Whether the file has audio.
    pub has_audio: Option<bool>,
    /// Whether the image has an alpha channel.
    pub has_alpha: Option<bool>,
    /// Whether the image is animated.
    pub is_animated: Option<bool>,
    /// The number of video streams.
    pub total_video_streams: Option<i64>,
    /// The number of audio streams.
    pub total_audio_streams: Option<i64>,
    /// The aspect ratio of a stored frame.
    pub storage_aspect_ratio: Option<f64>,
    /// The latitude of the recording, in degrees.
    pub geospatial_latitude: Option<f64>,
    /// The longitude of the recording, in degrees.
    pub geospatial_longitude: Option<f64>,
    /// The altitude of the recording, in meters.
    pub geospatial_altitude_meters: Option<f64>,
    /// The number of pages of the document.
    pub document_page_count: Option<i64>,
    /// The PDF version of the document.
    pub document_pdf_version: Option<String>,
    /// The width of a page in points.
    pub document_page_width_pt: Option<f64>,
    /// The height of a page in points.
    pub document_page_height_pt: Option<f64>,
    /// Whether the document is a tagged PDF.
    pub document_is_tagged: Option<bool>,
    /// Whether the document is encrypted.
    pub document_is_encrypted: Option<bool>,
    /// The document language.
    pub document_language: Option<String>,
    /// The document title.
    pub document_title: Option<String>,
    /// The document author.
    pub document_author: Option<String>,
    /// The document subject.
    pub document_subject: Option<String>,
    /// The document keywords.
    pub document_keywords: Option<String>,
    /// The program in which the document was written.
    pub document_creator_tool: Option<String>,
    /// The program that produced the PDF.
    pub document_producer: Option<String>,
    /// The time at which the document was created.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub document_creation_date: Option<OffsetDateTime>,
    /// The time at which the document was last changed.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub document_modification_date: Option<OffsetDateTime>,
}

/// A video stream of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoStream {
    /// The number of the stream in the file.
    pub index: Option<i64>,
    /// The codec.
    pub codec: Option<String>,
    /// The width in pixels.
    pub width: Option<i64>,
    /// The height in pixels.
    pub height: Option<i64>,
    /// The frames per second.
    pub fps: Option<f64>,
    /// The average frames per second.
    pub avg_fps: Option<f64>,
    /// The duration in seconds.
    pub duration_seconds: Option<f64>,
    /// The bitrate in bits per second.
    pub bitrate_bps: Option<i64>,
    /// The rotation in degrees.
    pub rotation: Option<i64>,
    /// The pixel aspect ratio.
    pub pixel_aspect_ratio: Option<String>,
    /// The display aspect ratio.
    pub display_aspect_ratio: Option<String>,
    /// Whether the video is progressive or interlaced.
    pub scan_type: Option<String>,
    /// The pixel format.
    pub pixel_format: Option<String>,
    /// Bits per sample.
    pub bit_depth: Option<i64>,
    /// The range of the colors, such as `tv` or `pc`.
    pub color_range: Option<String>,
    /// The transfer characteristics of the colors.
    pub color_transfer: Option<String>,
    /// The color space.
    pub color_space: Option<String>,
    /// The color primaries.
    pub color_primaries: Option<String>,
}

/// An audio stream of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AudioStream {
    /// The number of the stream in the file.
    pub index: Option<i64>,
    /// The codec.
    pub codec: Option<String>,
    /// The full name of the codec.
    pub codec_long: Option<String>,
    /// The sample rate in hertz.
    pub sample_rate: Option<i64>,
    /// Bits per sample.
    pub bit_depth: Option<i64>,
    /// The number of channels.
    pub channels: Option<i64>,
    /// The channel layout.
    pub channel_layout: Option<String>,
    /// The bitrate in bits per second.
    pub bitrate_bps: Option<i64>,
    /// The language.
    pub language: Option<String>,
    /// The duration in seconds.
    pub duration_seconds: Option<f64>,
}
