//! The table of file name extensions and their MIME types.

use std::path::Path;

const OTHER: &str = "application/octet-stream";

/// MIME types, each with its file name extensions. If a container can hold audio or video (`ogg`, `m4a`), the extension
/// decides.
const TYPES: [(&str, &[&str]); 41] = [
    ("video/mp4", &["mp4", "m4v", "f4v"]),
    ("video/quicktime", &["mov", "qt"]),
    ("video/webm", &["webm"]),
    ("video/x-matroska", &["mkv"]),
    ("video/x-msvideo", &["avi", "divx"]),
    ("video/mpeg", &["mpg", "mpeg", "mpe", "m1v", "m2v", "vob"]),
    ("video/mp2t", &["ts", "mts", "m2ts", "m2t"]),
    ("video/x-ms-wmv", &["wmv"]),
    ("video/x-ms-asf", &["asf"]),
    ("video/x-flv", &["flv"]),
    ("video/3gpp", &["3gp", "3gpp"]),
    ("video/3gpp2", &["3g2", "3gp2"]),
    ("video/ogg", &["ogv", "ogm"]),
    ("video/x-dv", &["dv"]),
    ("application/mxf", &["mxf"]),
    ("audio/mpeg", &["mp3", "mp2", "mpga"]),
    ("audio/wav", &["wav", "wave"]),
    ("audio/mp4", &["m4a", "m4b"]),
    ("audio/aac", &["aac"]),
    ("audio/flac", &["flac"]),
    ("audio/ogg", &["ogg", "oga"]),
    ("audio/opus", &["opus"]),
    ("audio/webm", &["weba"]),
    ("audio/x-matroska", &["mka"]),
    ("audio/x-ms-wma", &["wma"]),
    ("audio/aiff", &["aif", "aiff", "aifc"]),
    ("audio/amr", &["amr"]),
    ("audio/ac3", &["ac3"]),
    ("image/jpeg", &["jpg", "jpeg", "jpe", "jfif"]),
    ("image/png", &["png"]),
    ("image/gif", &["gif"]),
    ("image/webp", &["webp"]),
    ("image/bmp", &["bmp"]),
    ("image/tiff", &["tif", "tiff"]),
    ("image/heic", &["heic"]),
    ("image/heif", &["heif"]),
    ("image/avif", &["avif"]),
    ("application/pdf", &["pdf"]),
    ("text/plain", &["txt"]),
    ("text/markdown", &["md", "markdown"]),
    ("application/json", &["json"]),
];

/// Returns the MIME type of a file by the extension of its name, in upper or lower case.
pub(crate) fn mime_type(path: &Path) -> &'static str {
    let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else { return OTHER };
    let has = |extensions: &&[&str]| extensions.iter().any(|known| known.eq_ignore_ascii_case(extension));
    TYPES.iter().find(|(_, extensions)| has(extensions)).map_or(OTHER, |(mime_type, _)| mime_type)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_extension_decides_in_upper_or_lower_case() {
        for (path, expected) in [
            ("a/b/Holiday.MP4", "video/mp4"),
            ("a.tar.Ts", "video/mp2t"),
            ("camera.mxf", "application/mxf"),
            ("DVD/VTS_01_1.VOB", "video/mpeg"),
            ("phone.3g2", "video/3gpp2"),
            (".mp4", OTHER),
            ("mp4", OTHER),
            ("a.exe", OTHER),
            ("", OTHER),
        ] {
            assert_eq!(mime_type(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn each_extension_is_in_the_table_once_and_in_lower_case() {
        let mut seen = HashSet::new();
        for extension in TYPES.iter().flat_map(|(_, extensions)| *extensions) {
            assert!(seen.insert(extension), "{extension} is in the table twice");
            assert_eq!(*extension, extension.to_ascii_lowercase());
        }
    }
}
