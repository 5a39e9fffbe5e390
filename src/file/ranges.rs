//! Reading ranges of a file or of bytes, in any order.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use super::Content;
use super::inspected::Inspected;
use super::reader::read_once;
use crate::error::{Error, Result};
use crate::hash::Fnv1a;

/// The number of bytes sampled at the beginning and at the end of a source, and at each place between them.
const SAMPLED: [usize; 2] = [64 << 10, 4 << 10];
/// The number of places between. Each needs a seek, which takes about 10 ms on a disk or over a network.
const PLACES: u64 = 14;

/// A source for reading byte ranges of a file, in any order.
pub(crate) struct ByteRanges {
    source: Inspected,
    file: Option<File>,
}

impl Inspected {
    /// Opens the source for reading byte ranges. Fails for a reader.
    pub(crate) fn byte_ranges(&self) -> Result<ByteRanges> {
        let file = match &self.content {
            Content::Path(path) => Some(self.open_unchanged(path)?),
            Content::Bytes(_) => None,
            Content::Reader { .. } => {
                let message = "only a file or bytes can be uploaded in chunks; a reader is sent in one request";
                return Err(Error::file(&self.label, message, None));
            }
        };
        Ok(ByteRanges { source: self.clone(), file })
    }
}

impl ByteRanges {
    /// Reads up to `buffer.len()` bytes from `offset` on. Fails if the source has changed.
    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let read = match (&mut self.file, &self.source.content) {
            (Some(file), _) => file
                .seek(SeekFrom::Start(offset))
                .and_then(|_| read_once(file, buffer))
                .map_err(|e| Error::file(&self.source.label, "cannot read the file", Some(e)))?,
            (None, Content::Bytes(bytes)) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                read
            }
            (None, _) => 0,
        };
        if read == 0 && !buffer.is_empty() {
            return Err(self.source.changed("the file shrank while it was being sent"));
        }
        Ok(read)
    }

    /// Returns a hash of samples of the content: its beginning, its end, and evenly spaced places between them. It
    /// detects a replaced file where the metadata does not, with a few reads however large the file is.
    pub(crate) fn sample(&mut self) -> Result<u64> {
        let length = self.source.length().unwrap_or_default();
        let [edge, piece] = SAMPLED;
        let end = length.saturating_sub(edge as u64);
        let between = (1..=PLACES).map(|place| (length / (PLACES + 1) * place, piece));
        let mut buffer = vec![0; edge];
        let mut hash = Fnv1a::new();
        for (offset, size) in [(0, edge), (end, edge)].into_iter().chain(between) {
            let size = size.min(usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX));
            let mut filled = 0;
            while filled < size {
                filled += self.read_at(offset + filled as u64, &mut buffer[filled..size])?;
            }
            hash = hash.bytes(&buffer[..size]);
        }
        Ok(hash.finish())
    }

    /// Returns an error if the file has changed since it was inspected.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| self.source.check_unchanged(file))
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileSource;

    fn sample(bytes: &[u8]) -> u64 {
        FileSource::bytes("a", bytes).inspect().unwrap().byte_ranges().unwrap().sample().unwrap()
    }

    #[test]
    fn a_sample_covers_both_ends_and_places_between_for_every_size() {
        for size in [1, 5000, 64 << 10, 100_000, 1 << 20] {
            let mut bytes = vec![7; size];
            let before = sample(&bytes);
            assert_eq!(sample(&bytes), before, "{size} bytes");
            for place in [0, size / 15 * 8, size - 1] {
                bytes[place] = 8;
                assert_ne!(sample(&bytes), before, "byte {place} of {size}");
                bytes[place] = 7;
            }
        }
    }
}
