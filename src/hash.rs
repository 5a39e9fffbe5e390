//! A hash that is the same in every build and on every system.

/// FNV-1a with 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>).
///
/// `std::hash::DefaultHasher` may change with any release of Rust, and what is hashed here is stored: in the tokens of
/// lists, and in the fingerprint of an account at the head of a manifest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv1a(u64);

impl Fnv1a {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    #[must_use]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    pub(crate) const fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_matches_the_published_values() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(Fnv1a::new().bytes(text.as_bytes()).finish(), hash, "{text}");
        }
    }
}
