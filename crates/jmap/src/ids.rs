//! Ids as clients see them (RFC 8620 §1.2): letters, digits, `-` and `_`, beginning with a letter.
//!
//! Emails and mailboxes have the ids that IMAP tells as EMAILID and MAILBOXID (RFC 8474), so both protocols name the same
//! things alike. A blob is the message of an email, a part of one, or an upload.

/// The id of a mailbox.
pub fn mailbox(id: u128) -> String {
    format!("F{id:032x}")
}

/// The inverse of [`mailbox`].
pub fn mailbox_of(text: &str) -> Option<u128> {
    number(text.strip_prefix('F')?)
}

/// The id of an email: the same for the same bytes.
pub fn email(guid: &[u8; 16]) -> String {
    format!("M{:032x}", u128::from_be_bytes(*guid))
}

/// The inverse of [`email`].
pub fn email_of(text: &str) -> Option<[u8; 16]> {
    number(text.strip_prefix('M')?).map(u128::to_be_bytes)
}

/// The id of a thread.
pub fn thread(id: &[u8; 16]) -> String {
    format!("T{:032x}", u128::from_be_bytes(*id))
}

/// The inverse of [`thread`].
pub fn thread_of(text: &str) -> Option<[u8; 16]> {
    number(text.strip_prefix('T')?).map(u128::to_be_bytes)
}

/// Where the bytes of a blob are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobId {
    /// A message as it is in the store.
    Message([u8; 16]),
    /// The part at this place of its structure, decoded.
    Part([u8; 16], u32),
    /// What this user sent.
    Upload(u128),
    /// A decoded part of a message that was sent so.
    UploadPart(u128, u32),
}

impl BlobId {
    pub fn parse(text: &str) -> Option<BlobId> {
        let (id, place) = match text.split_once('_') {
            Some((id, place)) => {
                let is_plain = place.bytes().all(|byte| byte.is_ascii_digit())
                    && (place == "0" || !place.starts_with('0'));
                (id, Some(place.parse::<u32>().ok().filter(|_| is_plain)?))
            }
            None => (text, None),
        };
        let (kind, id) = id.split_at_checked(1)?;
        let id = number(id)?;
        match (kind, place) {
            ("G", None) => Some(BlobId::Message(id.to_be_bytes())),
            ("G", Some(place)) => Some(BlobId::Part(id.to_be_bytes(), place)),
            ("U", None) => Some(BlobId::Upload(id)),
            ("U", Some(place)) => Some(BlobId::UploadPart(id, place)),
            _ => None,
        }
    }

    /// The blob of a part of this one, which is a message. The parts of a message inside follow it in the structure.
    pub fn part(self, place: u32) -> BlobId {
        let inside = |outer: u32| outer.saturating_add(1).saturating_add(place);
        match self {
            BlobId::Message(guid) => BlobId::Part(guid, place),
            BlobId::Part(guid, outer) => BlobId::Part(guid, inside(outer)),
            BlobId::Upload(id) => BlobId::UploadPart(id, place),
            BlobId::UploadPart(id, outer) => BlobId::UploadPart(id, inside(outer)),
        }
    }

    /// The message that this is a part of, and which.
    pub fn outer(self) -> Option<(BlobId, u32)> {
        match self {
            BlobId::Part(guid, place) => Some((BlobId::Message(guid), place)),
            BlobId::UploadPart(id, place) => Some((BlobId::Upload(id), place)),
            BlobId::Message(_) | BlobId::Upload(_) => None,
        }
    }
}

impl std::fmt::Display for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BlobId::Message(guid) => write!(f, "G{:032x}", u128::from_be_bytes(*guid)),
            BlobId::Part(guid, place) => write!(f, "G{:032x}_{place}", u128::from_be_bytes(*guid)),
            BlobId::Upload(id) => write!(f, "U{id:032x}"),
            BlobId::UploadPart(id, place) => write!(f, "U{id:032x}_{place}"),
        }
    }
}

/// Whether a text can be an id (RFC 8620 §1.2).
pub fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn number(hex: &str) -> Option<u128> {
    let is_ours = hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_ours { u128::from_str_radix(hex, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_and_nothing_else_is_one() {
        let guid = [0xab; 16];
        assert_eq!(email_of(&email(&guid)), Some(guid));
        assert_eq!(thread_of(&thread(&guid)), Some(guid));
        assert_eq!(mailbox_of(&mailbox(7)), Some(7));
        for blob in [
            BlobId::Message(guid),
            BlobId::Part(guid, 0),
            BlobId::Part(guid, 12),
            BlobId::Upload(5),
            BlobId::UploadPart(5, 3),
        ] {
            let text = blob.to_string();
            assert!(is_id(&text));
            assert_eq!(BlobId::parse(&text), Some(blob));
            assert_eq!(BlobId::parse(&text.to_lowercase()), None);
        }
        for foreign in ["", "M", "F", "é", "Gx", "M+0000000000000000000000000000000"] {
            assert_eq!((email_of(foreign), mailbox_of(foreign), BlobId::parse(foreign)), (None, None, None));
        }
        let part = BlobId::Part(guid, 1).to_string();
        for wrong in [
            format!("{part}_1"),
            part.replace("_1", "_01"),
            part.replace("_1", "_+1"),
            part.replace("_1", "_"),
        ] {
            assert_eq!(BlobId::parse(&wrong), None, "{wrong}");
        }
    }
}
