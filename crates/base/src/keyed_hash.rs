//! SipHash-2-4 (Aumasson and Bernstein, 2012): short hashes with a key, for tables that strangers fill. Who does not know the
//! key cannot choose what falls together. The value is the same in every process and with every compiler, so it may stand in files.

#![allow(deprecated)] // std's SipHasher is SipHash-2-4; its successor promises no algorithm

use std::hash::{Hasher, SipHasher};

/// 128 bits of chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    /// The hash of several byte strings; where one ends and the next begins counts.
    pub fn hash(self, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher::new_with_keys(self.0, self.1);
        for part in parts {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix A of the paper: key 00 to 0f, message 00 to 0e.
    #[test]
    fn it_is_siphash_2_4() {
        let mut hasher = SipHasher::new_with_keys(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let message: Vec<u8> = (0..15).collect();
        hasher.write(&message);
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn parts_are_apart() {
        let key = HashKey(1, 2);
        assert_ne!(key.hash(&[b"ab", b"c"]), key.hash(&[b"a", b"bc"]));
        assert_ne!(key.hash(&[b"a"]), HashKey(1, 3).hash(&[b"a"]));
        assert_eq!(key.hash(&[b"a"]), key.hash(&[b"a"]));
    }
}
