//! The frames between smtpd and pluginhost.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | length of what follows, little-endian |
//! | 1 | kind |
//! | 4 + n, again and again | a field: its length, little-endian, and its bytes |
//!
//! | kind | who says it | fields |
//! | --- | --- | --- |
//! | `M` | smtpd | stage, path of the message's file, `name=value` of the envelope, an empty field, recipients |
//! | `m` | host | what came of it (`2`, `4`, or `!` with the reason), reason, sender, recipients |
//! | `L` | smtpd | session, `new` or `old`, command line, `name=value` of the session |
//! | `d` | host | a line for the server below the stack |
//! | `R` | smtpd | the server's reply, lines apart by CR LF, and `close` or nothing |
//! | `a` | host | `done`, `close`, `lost` or `!`, and the reply |
//! | `F` | smtpd | session: it has ended; there is no answer |

use std::io::{self, Read, Write};

/// Bytes of a frame behind its length.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// Fields of a frame.
const FIELDS_MAX: usize = 100_000;

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub fields: Vec<Vec<u8>>,
}

impl Frame {
    pub fn new(kind: u8, fields: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Frame {
        Frame { kind, fields: fields.into_iter().map(Into::into).collect() }
    }

    /// A field, or nothing as text.
    pub fn field(&self, at: usize) -> &[u8] {
        self.fields.get(at).map_or(&[], Vec::as_slice)
    }

    /// A field as text.
    pub fn text(&self, at: usize) -> String {
        String::from_utf8_lossy(self.field(at)).into_owned()
    }

    /// # Errors
    /// It is too large, or the system's.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let length = 1 + self.fields.iter().map(|field| 4 + field.len()).sum::<usize>();
        if length > FRAME_BYTES_MAX || self.fields.len() > FIELDS_MAX {
            return Err(invalid());
        }
        let mut bytes = Vec::with_capacity(4 + length);
        bytes.extend(number(length)?);
        bytes.push(self.kind);
        for field in &self.fields {
            bytes.extend(number(field.len())?);
            bytes.extend_from_slice(field);
        }
        to.write_all(&bytes)
    }

    /// # Errors
    /// What comes is no frame, or the system's.
    pub fn read(from: &mut impl Read) -> io::Result<Frame> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| invalid())?;
        if length == 0 || length > FRAME_BYTES_MAX {
            return Err(invalid());
        }
        let mut bytes = Vec::new();
        from.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Frame::decode(&bytes).ok_or_else(invalid)
    }

    fn decode(bytes: &[u8]) -> Option<Frame> {
        let (kind, mut rest) = bytes.split_first()?;
        let mut fields = Vec::new();
        while let Some((length, more)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (field, behind) = more.split_at_checked(length)?;
            fields.push(field.to_vec());
            rest = behind;
            if fields.len() > FIELDS_MAX {
                return None;
            }
        }
        rest.is_empty().then_some(Frame { kind: *kind, fields })
    }
}

fn number(length: usize) -> io::Result<[u8; 4]> {
    u32::try_from(length).map(u32::to_le_bytes).map_err(|_| invalid())
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no frame of the plug-in protocol")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(kind: u8, fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let frame = Frame { kind, fields };
            let mut bytes = Vec::new();
            frame.write(&mut bytes).unwrap();
            prop_assert_eq!(Frame::read(&mut &bytes[..]).unwrap(), frame);
            for end in 0..bytes.len() {
                prop_assert!(Frame::read(&mut &bytes[..end]).is_err());
            }
        }

        #[test]
        fn nonsense_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Frame::read(&mut &bytes[..]);
            let _ = Frame::decode(&bytes);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_not_waited_for() {
        assert_eq!(Frame::read(&mut &[0xff; 8][..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(Frame::read(&mut &[0; 8][..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
