//! Decompression of responses whose coding the HTTP library does not recognize.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use ureq::http::HeaderMap;
use ureq::http::header;

/// Says whether a body is compressed with gzip although the library did not recognize it, and removes the headers that
/// no longer apply once it is decompressed. The library knows only `gzip` in lowercase. The names of codings are
/// case-insensitive, and `x-gzip` is another name for this one (RFC 9110, sections 8.4.1 and 8.4.1.3).
pub(in crate::http) fn take_gzip(headers: &mut HeaderMap) -> bool {
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok()).unwrap_or_default();
    let is_gzip = ["gzip", "x-gzip"].iter().any(|name| coding.trim().eq_ignore_ascii_case(name));
    if is_gzip {
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
    }
    is_gzip
}

/// Decompresses a body, with the errors of the library's own decoder.
pub(in crate::http) struct Gunzip<R>(MultiGzDecoder<R>);

impl<R: Read> Gunzip<R> {
    pub(in crate::http) fn new(reader: R) -> Self {
        Gunzip(MultiGzDecoder::new(reader))
    }
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|e| match ureq::Error::from(e) {
            ureq::Error::Io(e) => ureq::Error::Decompress("gzip", e).into_io(),
            e => e.into_io(),
        })
    }
}
