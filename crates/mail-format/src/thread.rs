//! Which conversation a message belongs to, as a function of the message alone.
//!
//! The id must never change (RFC 8621 §4.1.1, RFC 8474 §5.2), so it cannot depend on which other messages there are. All that
//! is written as an answer says in References where the conversation began, so the first message id there names it; what only
//! has In-Reply-To belongs to what it answers, and what has neither began one. Two parts of a conversation that do not
//! know of each other's beginning stay apart.

use crate::header::header_field;
use crate::message_id::message_ids;

/// Bytes of a field that are looked at for its first id.
const FIELD_BYTES_MAX: usize = 64 * 1024;

/// 16 bytes that are the same for all messages of a conversation; `own` stands for a message that has no id at all.
pub fn thread_id(header: &[u8], own: &[u8; 16]) -> [u8; 16] {
    let first = |name: &str| {
        let value = header_field(header, name)?;
        message_ids(&value[..value.len().min(FIELD_BYTES_MAX)]).next()
    };
    let root = first("References").or_else(|| first("In-Reply-To")).or_else(|| first("Message-ID"));
    root.map_or(*own, |root| digest(&root))
}

/// FNV-1a of 128 bits. Nobody gains by a message whose id comes to the same: it would do to name the other in References.
fn digest(text: &[u8]) -> [u8; 16] {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let fold = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
    text.iter().fold(BASIS, fold).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 16] = [9; 16];

    fn id(header: &str) -> [u8; 16] {
        thread_id(header.as_bytes(), &OWN)
    }

    #[test]
    fn what_answers_one_message_is_one_conversation() {
        let first = id("Message-ID: <a@x>\r\n\r\n");
        for other in [
            "Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\n\r\n",
            "Message-ID: <c@x>\r\nIn-Reply-To: <b@x>\r\nReferences: <a@x> <b@x>\r\n\r\n",
            "References:\r\n <a@x>\r\n <b@x>\r\n\r\n",
            "references: nonsense <\"a\"@x>\r\n\r\n",
        ] {
            assert_eq!(id(other), first, "{other}");
        }
        for other in [
            "Message-ID: <b@x>\r\n\r\n",
            "In-Reply-To: joe's\r\nMessage-ID: <A@x>\r\n\r\n",
            "Subject: a@x\r\n\r\n",
        ] {
            assert_ne!(id(other), first, "{other}");
        }
        assert_eq!(id("Message-ID: none\r\n\r\n"), OWN);
    }

    /// FNV-1a of 128 bits, as its authors publish it.
    #[test]
    fn the_digest_never_changes() {
        assert_eq!(u128::from_be_bytes(digest(b"")), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(u128::from_be_bytes(digest(b"a")), 0xd228cb696f1a8caf78912b704e4a8964);
    }
}
