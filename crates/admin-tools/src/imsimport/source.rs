//! What mail comes from: folders of messages, each with a key by which it is known again.

use message_store::{Flags, SpecialUse};

use super::taker::Taker;

/// Different keywords of one folder that are known at most; further ones are left out, and told.
const KEYWORDS_MAX: usize = 2000;

/// A folder of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// As the source calls it.
    pub id: String,
    /// Levels of its name; the INBOX is `["INBOX"]`.
    pub levels: Vec<String>,
    pub special_use: Option<SpecialUse>,
    /// Messages, about.
    pub estimate: u64,
}

/// What a source has.
#[derive(Debug, Default)]
pub struct Folders {
    pub folders: Vec<Folder>,
    /// Levels of the names.
    pub subscriptions: Vec<Vec<String>>,
    /// What could not be read, by place.
    pub complaints: Vec<String>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same in each run, of this message only. No tab, no line end.
    pub key: String,
    pub uid: Option<u32>,
    pub marks: Marks,
    /// Seconds since 1970.
    pub date: i64,
    /// Bytes, about.
    pub size: u64,
}

/// Flags, and numbers of keywords, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    pub flags: Flags,
    pub keywords: Vec<u16>,
}

impl Marks {
    pub fn add_keyword(&mut self, number: u16) {
        if let Err(at) = self.keywords.binary_search(&number) {
            self.keywords.insert(at, number);
        }
    }

    /// What is in here and not in `other`.
    pub fn without(&self, other: &Marks) -> Marks {
        Marks {
            flags: self.flags & !other.flags,
            keywords: self.keywords.iter().filter(|one| !other.keywords.contains(one)).copied().collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.flags.is_empty() && self.keywords.is_empty()
    }
}

/// Names of keywords by number; case does not matter (RFC 3501 §2.3.2 leaves it open, the store knows them by any case).
#[derive(Clone, Debug, Default)]
pub struct Keywords {
    pub names: Vec<String>,
    /// Whether some did not come in.
    pub overflow: bool,
}

impl Keywords {
    pub fn number(&mut self, name: &str) -> Option<u16> {
        if let Some(at) = self.names.iter().position(|one| one.eq_ignore_ascii_case(name)) {
            return u16::try_from(at).ok();
        }
        if self.names.len() >= KEYWORDS_MAX {
            self.overflow = true;
            return None;
        }
        self.names.push(name.to_owned());
        u16::try_from(self.names.len() - 1).ok()
    }
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Listing {
    pub uid_validity: Option<u32>,
    /// 0: not known.
    pub uid_next: u32,
    /// 0: not known.
    pub highest_modseq: u64,
    pub keywords: Keywords,
    /// By UID where there are UIDs, else in the order in which they are to come.
    pub messages: Vec<Message>,
    /// What is wrong, by place.
    pub complaints: Vec<String>,
}

/// Why messages could not be read or taken.
#[derive(Debug)]
pub enum Trouble {
    /// Of this folder; others may go.
    Source(String),
    /// Nothing can be taken any more.
    Store(String),
}

pub trait Source {
    /// # Errors
    /// The source cannot be read at all.
    fn folders(&mut self) -> Result<Folders, String>;

    /// # Errors
    /// This folder cannot be read.
    fn list(&mut self, folder: &Folder) -> Result<Listing, String>;

    /// Reads messages of a listing, in any order; each one ends in the taker, as taken or as failed.
    ///
    /// # Errors
    /// None of the rest can be read, or be taken.
    fn read(
        &mut self,
        folder: &Folder,
        listing: &Listing,
        wanted: &[usize],
        taker: &mut Taker<'_>,
    ) -> Result<(), Trouble>;
}

/// What a folder of this name is for, where the source does not say.
pub fn use_of_name(levels: &[String]) -> Option<SpecialUse> {
    const NAMES: [(&str, SpecialUse); 6] = [
        ("Sent", SpecialUse::Sent),
        ("Drafts", SpecialUse::Drafts),
        ("Trash", SpecialUse::Trash),
        ("Junk", SpecialUse::Junk),
        ("Spam", SpecialUse::Junk),
        ("Archive", SpecialUse::Archive),
    ];
    let [only] = levels else { return None };
    NAMES.iter().find(|(known, _)| known == only).map(|(_, special_use)| *special_use)
}
