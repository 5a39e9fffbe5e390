//! The bodies of the fuzz targets in `fuzz/`, see CONTRIBUTING.md. This module is compiled only for them and for tests.
//!
//! Each target accepts any bytes and panics if its property does not hold.

#![allow(clippy::missing_panics_doc)]

mod answers;
#[cfg(test)]
pub(crate) mod form;
pub(crate) mod journal;
mod streams;
mod subtitles;
#[cfg(test)]
mod tests;
mod writing;

pub use answers::{decode, head, refusal};
pub use journal::manifest;
pub use streams::events;
pub use subtitles::subtitles;
pub use writing::{Field, multipart};

/// Input that is consumed piece by piece. Anything read past its end is empty.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Returns a text of at most 255 bytes, which is preceded by its length.
    fn text(&mut self) -> String {
        let length = self.byte();
        String::from_utf8_lossy(self.bytes(length.into())).into_owned()
    }
}
