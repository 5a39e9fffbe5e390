//! What the fuzz targets in `fuzz/` do with their input, see CONTRIBUTING.md. It is compiled for them and for tests alone.
//!
//! Each takes any bytes, and panics if what it looks after does not hold.

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

/// Input that is taken piece by piece. What is missing at its end is empty.
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

    /// A text of at most 255 bytes, whose length comes before it.
    fn text(&mut self) -> String {
        let length = self.byte();
        String::from_utf8_lossy(self.bytes(length.into())).into_owned()
    }
}
