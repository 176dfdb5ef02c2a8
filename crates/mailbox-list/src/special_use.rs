//! What a mailbox is for (RFC 6154 §2).

/// A special-use attribute. One a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SpecialUse {
    All = 1,
    Archive = 2,
    Drafts = 3,
    Flagged = 4,
    Junk = 5,
    Sent = 6,
    Trash = 7,
}

impl SpecialUse {
    pub const ALL: [SpecialUse; 7] = [
        SpecialUse::All,
        SpecialUse::Archive,
        SpecialUse::Drafts,
        SpecialUse::Flagged,
        SpecialUse::Junk,
        SpecialUse::Sent,
        SpecialUse::Trash,
    ];

    /// As IMAP spells it: `\Sent`.
    pub fn attribute(self) -> &'static str {
        match self {
            SpecialUse::All => "\\All",
            SpecialUse::Archive => "\\Archive",
            SpecialUse::Drafts => "\\Drafts",
            SpecialUse::Flagged => "\\Flagged",
            SpecialUse::Junk => "\\Junk",
            SpecialUse::Sent => "\\Sent",
            SpecialUse::Trash => "\\Trash",
        }
    }

    /// The attribute that `text` spells, in any case.
    pub fn parse(text: &str) -> Option<SpecialUse> {
        SpecialUse::ALL.into_iter().find(|one| one.attribute().eq_ignore_ascii_case(text))
    }

    /// The byte on disk; 0 is "none".
    pub fn code(special_use: Option<SpecialUse>) -> u8 {
        special_use.map_or(0, |one| one as u8)
    }

    pub fn from_code(code: u8) -> Option<SpecialUse> {
        SpecialUse::ALL.into_iter().find(|one| *one as u8 == code)
    }
}
