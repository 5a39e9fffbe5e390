//! The type of asset that a file becomes.

use std::path::Path;

use crate::file::mime_type;
use crate::resources::assets::AssetType;

impl AssetType {
    /// Returns the type of asset that a file becomes, according to its extension. `None` if the crate does not know the
    /// extension.
    ///
    /// The type is derived from the name alone and no file is read, so a folder called `clips.mp4` counts as a video.
    ///
    /// ```
    /// use twelvelabs::assets::AssetType;
    ///
    /// assert_eq!(AssetType::from_path("holiday.MP4"), Some(AssetType::Video));
    /// assert_eq!(AssetType::from_path("notes.docx"), None);
    /// ```
    pub fn from_path(path: impl AsRef<Path>) -> Option<Self> {
        Self::from_mime_type(mime_type(path.as_ref()))
    }

    pub(crate) fn from_mime_type(mime_type: &str) -> Option<Self> {
        let mime_type = mime_type.to_ascii_lowercase();
        match mime_type.split('/').next()? {
            "video" => Some(Self::Video),
            "audio" => Some(Self::Audio),
            "image" => Some(Self::Image),
            "text" | "document" => Some(Self::Document),
            "application" => match mime_type.as_str() {
                // MXF is the only video container that is not registered as `video/…` (RFC 4539).
                "application/mxf" => Some(Self::Video),
                "application/octet-stream" => None,
                _ => Some(Self::Document),
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_of_asset_for_each_mime_type() {
        for (mime_type, expected) in [
            ("video/mp4", Some(AssetType::Video)),
            ("audio/mpeg", Some(AssetType::Audio)),
            ("image/png", Some(AssetType::Image)),
            ("text/plain", Some(AssetType::Document)),
            ("application/mxf", Some(AssetType::Video)),
            ("application/pdf", Some(AssetType::Document)),
            ("Application/JSON", Some(AssetType::Document)),
            ("application/octet-stream", None),
            ("", None),
        ] {
            assert_eq!(AssetType::from_mime_type(mime_type), expected, "{mime_type}");
        }
    }
}
