//! The body of a request: kept if it is small, otherwise counted and hashed as it arrives.

use std::fmt;

use hmac_sha256::Hash;

/// The body of a request, or the content of a part of a form.
///
/// A body that is too large to keep still has its length and its SHA-256.
#[derive(Clone)]
pub struct Body {
    bytes: Vec<u8>,
    length: u64,
    /// The maximum number of bytes to keep.
    most: usize,
    /// The hash of a body that is not kept.
    hash: Option<Hash>,
}

impl Body {
    pub(super) fn new(most: usize) -> Self {
        Body { bytes: Vec::new(), length: 0, most, hash: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if self.hash.is_none() && self.bytes.len() + bytes.len() <= self.most {
            return self.bytes.extend_from_slice(bytes);
        }
        let mut hash = self.hash();
        hash.update(bytes);
        (self.bytes, self.hash) = (Vec::new(), Some(hash));
    }

    fn hash(&self) -> Hash {
        self.hash.unwrap_or_else(|| {
            let mut hash = Hash::new();
            hash.update(&self.bytes);
            hash
        })
    }

    /// Returns the body without its bytes.
    pub(super) fn without_bytes(&self) -> Self {
        Body { bytes: Vec::new(), length: self.length, most: 0, hash: Some(self.hash()) }
    }

    /// Returns the number of bytes that are kept.
    pub(super) fn kept(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the bytes, if they were kept. A stand-in keeps at most 16 MiB of a part of a form, and at most 64 MiB in
    /// total.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.hash.is_none().then_some(&self.bytes)
    }

    /// Returns the bytes as text, with `\u{fffd}` for invalid UTF-8. Empty if the bytes were not kept.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Returns the number of bytes received.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Returns whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the SHA-256 of the whole body, in hexadecimal digits. Without compiler optimization, this is slow for a
    /// large body.
    ///
    /// ```
    /// # use twelvelabs::{FileSource, assets::UploadMethod, testing::StandIn};
    /// let stand_in = StandIn::start();
    /// let file = FileSource::bytes("clip.mp4", "frames");
    /// stand_in.client().assets().create(UploadMethod::direct(file)).send()?;
    ///
    /// let request = &stand_in.requests_to("POST /assets")[0];
    /// let file = request.part("file").unwrap();
    /// assert_eq!(file.body.bytes(), Some(&b"frames"[..]));
    /// assert!(file.body.sha256().starts_with("594cfd26"));
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn sha256(&self) -> String {
        self.hash().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("len", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_kept_are_hashed() {
        let content = vec![7; 1000];
        let (mut kept, mut counted) = (Body::new(1000), Body::new(999));
        for piece in content.chunks(300) {
            kept.push(piece);
            counted.push(piece);
        }
        assert_eq!((kept.bytes(), counted.bytes()), (Some(&content[..]), None));
        assert_eq!((kept.len(), counted.len()), (1000, 1000));
        assert_eq!(kept.sha256(), counted.sha256());
        let other = kept.without_bytes();
        assert_eq!((other.bytes(), other.kept(), other.sha256()), (None, 0, counted.sha256()));
        assert!(Body::new(0).sha256().starts_with("e3b0c442"));
    }
}
