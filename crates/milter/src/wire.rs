//! The protocol as bytes, version 6 (sendmail's `include/libmilter/mfdef.h` and `mfapi.h`, 8.14 and later).
//!
//! ```text
//! packet = length code data          length: 4 bytes, big endian, of code and data together
//! ```
//! Strings end with a NUL. Commands go to the filter, replies come from it. Nothing here has heard of a socket.

pub mod command;
pub mod options;
pub mod reply;

pub use command::{Command, Peer};
pub use options::{Options, Stage, actions, protocol};
pub use reply::{Change, Refusal, Reply};

/// Bytes of a packet that a filter may send: what the largest offered size (`protocol::MDS_1M`) allows, and its code.
pub const PACKET_BYTES_MAX: usize = (1 << 20) + 64;

/// What is wrong with bytes of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// One packet among the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub code: u8,
    pub data: &'a [u8],
    /// Bytes of all of it.
    pub length: usize,
}

/// The first packet of `bytes`; nothing while it is incomplete.
///
/// # Errors
/// Its length is impossible.
pub fn packet(bytes: &[u8]) -> Result<Option<Packet<'_>>, Malformed> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length == 0 || length > PACKET_BYTES_MAX {
        return Err(Malformed("a packet of impossible length"));
    }
    let packet = rest.get(..length).and_then(|packet| packet.split_first());
    Ok(packet.map(|(code, data)| Packet { code: *code, data, length: length.saturating_add(4) }))
}

/// Appends one packet, whose data `fill` writes.
pub(crate) fn write_packet(out: &mut Vec<u8>, code: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, code]);
    fill(out);
    let length = u32::try_from(out.len().saturating_sub(start).saturating_sub(4)).unwrap_or(u32::MAX);
    out[start..][..4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a string with its NUL. A NUL within becomes a blank: it would end the string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
    out.push(0);
}

/// Takes a string off the front of `data`.
pub(crate) fn take_string<'a>(data: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let end = data.iter().position(|byte| *byte == 0).ok_or(Malformed("a string without its end"))?;
    let text = &data[..end];
    *data = &data[end + 1..];
    Ok(text)
}

/// Takes a number of four bytes off the front of `data`.
pub(crate) fn take_number(data: &mut &[u8]) -> Result<u32, Malformed> {
    let (number, rest) = data.split_first_chunk::<4>().ok_or(Malformed("a number that is cut off"))?;
    *data = rest;
    Ok(u32::from_be_bytes(*number))
}

/// Nothing may be left.
pub(crate) fn nothing_left(data: &[u8]) -> Result<(), Malformed> {
    if data.is_empty() { Ok(()) } else { Err(Malformed("bytes behind the end of a packet")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_is_whole_or_awaited_or_impossible() {
        assert_eq!(packet(b"\0\0\0\x03yab-"), Ok(Some(Packet { code: b'y', data: b"ab", length: 7 })));
        assert_eq!(packet(b"\0\0\0\x03ya"), Ok(None));
        assert_eq!(packet(b"\0\0"), Ok(None));
        assert!(packet(b"\0\0\0\0").is_err());
        assert!(packet(b"\x7f\xff\xff\xff").is_err());
        assert!(packet(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_reply_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((code, data)) = bytes.split_first() {
                let _ = Reply::decode(*code, data);
            }
            let _ = packet(&bytes);
        }

        #[test]
        fn any_data_behind_a_known_code_is_a_reply_or_an_error(
            code in proptest::sample::select(b"Oacrtdsp4yfhimbe+-2q".to_vec()),
            data in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..60),
        ) {
            let _ = Reply::decode(code, &data);
        }
    }
}
