//! What std lacks: durable replace, checksums, a clock that tests can set, steps at which they can end a process, hashdir, base 36, how far
//! apart two words are.

pub mod access;
pub mod base36;
pub mod clock;
pub mod content;
pub mod crash;
mod distance;
pub mod endpoint;
pub mod hashdir;
pub mod hex;
pub mod host_name;
pub mod https_url;
pub mod idn;
pub mod json;
pub mod keyed_hash;
pub mod latest;
pub mod network;
pub mod next_hop;
pub mod pattern;
pub mod replace;
pub mod timed_stream;

pub use distance::distance;

/// CRC-32 (IEEE) of `bytes`, as every record on disk carries it.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Whether a character makes text be shown in another order, or is shown as nothing: the directional marks, embeddings, overrides
/// and isolates of Unicode (UAX #9 §2), with which a line can be made to read as another.
pub fn is_directional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with control characters, directional ones and backslashes escaped, so that it can stand in a log line or a header (X6).
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c.is_control() || is_directional(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}
