//! The two directory levels under which users, domains and message files are spread (S77, S78).
//!
//! The original's function is not known; ours is FNV-1a 32 over the lower-cased bytes, folded `h ^ (h >> 16)`: the
//! second-lowest byte names the first level, the lowest byte the second, two lower-case hex digits each.

/// `"xx/yy"` for `name`.
pub fn path(name: &str) -> String {
    let hash = name
        .to_lowercase()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let folded = hash ^ (hash >> 16);
    format!("{:02x}/{:02x}", (folded >> 8) & 0xff, folded & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_values_stay() {
        assert_eq!(path("Example.ORG"), path("example.org"));
        assert_eq!(path(""), "1c/d9");
    }
}
