//! Keys that authorize URLs (RFC 4467 §2.2): a table for each user, `store.key` in the folder of the user's INBOX, with a key
//! for each mailbox that the user made URLs for, by the mailbox's id, so that it stays over renames and is nobody else's.
//!
//! ```text
//! keys 1 <crc>
//! <id of the mailbox, 32 digits> <key, 64 digits>
//! ```
//!
//! A key is durable before a URL is given away, and gone durably when its RESETKEY is answered. Keys never leave the store:
//! it makes and checks tokens, `01` and the HMAC-SHA-256 of the URL's rump in hexadecimal digits. `01` says how it was made.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mailbox_list::MailboxName;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::store::Store;
use crate::{Result, Severity, StoreError};

pub const FILE: &str = "store.key";
/// Mailboxes that one user may have keys for.
const KEYS_MAX: usize = 10_000;
const KEY_BYTES: usize = 32;
/// How a token was made.
const ALGORITHM: &str = "01";

type Key = [u8; KEY_BYTES];
type Table = BTreeMap<u128, Key>;

impl Store {
    /// The token that authorizes a URL of this user in the mailbox with this id. A key is made when there is none.
    ///
    /// # Errors
    /// `NotFound` when the user has no INBOX; `TooBig` when there are too many keys; those of the disk.
    pub fn authorize_url(&self, uid: &str, mailbox: u128, rump: &[u8]) -> Result<String> {
        let inbox = MailboxName::inbox(uid)?;
        if let Some(key) = self.table(&self.key_folder(&inbox)?)?.get(&mailbox) {
            return token(key, rump);
        }
        let _lock = self.lock_trees(&[&inbox])?;
        let folder = self.key_folder(&inbox)?;
        let mut table = self.table(&folder)?;
        let count = table.len();
        let key = match table.entry(mailbox) {
            Slot::Occupied(there) => *there.get(), // made meanwhile
            Slot::Vacant(_) if count >= KEYS_MAX => {
                return Err(StoreError::TooBig("10000 mailboxes with keys of URLs; RESETKEY removes keys"));
            }
            Slot::Vacant(place) => *place.insert(new_key()?),
        };
        write(&folder, &table)?;
        token(&key, rump)
    }

    /// Whether the token is that of this URL. Takes as long whatever is wrong with it.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn is_authorized_url(&self, uid: &str, mailbox: u128, rump: &[u8], given: &str) -> Result<bool> {
        let folder =
            match MailboxName::inbox(uid).map_err(StoreError::from).and_then(|inbox| self.key_folder(&inbox))
            {
                Err(StoreError::NotFound | StoreError::CannotCreate(_)) => return Ok(false),
                other => other?,
            };
        let key = self.table(&folder)?.get(&mailbox).copied();
        let right = token(&key.unwrap_or_default(), rump)?;
        let is_same = given.len() == right.len() && memcmp::eq(given.as_bytes(), right.as_bytes());
        Ok(is_same && key.is_some())
    }

    /// No URL that this user made for the mailbox is good any more; nothing: for all mailboxes.
    ///
    /// # Errors
    /// `NotFound` when the user has no INBOX; those of the disk.
    pub fn reset_url_keys(&self, uid: &str, mailbox: Option<u128>) -> Result<()> {
        let inbox = MailboxName::inbox(uid)?;
        let _lock = self.lock_trees(&[&inbox])?;
        let folder = self.key_folder(&inbox)?;
        let mut table = match mailbox {
            Some(_) => self.table(&folder)?,
            None => Table::new(),
        };
        if let Some(mailbox) = mailbox {
            if table.remove(&mailbox).is_none() {
                return Ok(());
            }
        }
        Ok(write(&folder, &table)?)
    }

    fn key_folder(&self, inbox: &MailboxName) -> Result<PathBuf> {
        self.folder_in(&self.selectable(inbox)?.partition, inbox)
    }

    /// A table that does not verify is none: the URLs made with it are good no more.
    fn table(&self, folder: &Path) -> Result<Table> {
        let bytes = match fs::read(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Table::new()),
            other => other?,
        };
        Ok(decode(&bytes).unwrap_or_else(|| {
            let text = format!("{}: {FILE} is damaged; URLs made with it are good no more", folder.display());
            self.shared.log.write(Severity::Error, &text);
            Table::new()
        }))
    }
}

fn new_key() -> Result<Key> {
    let mut key = [0; KEY_BYTES];
    openssl::rand::rand_bytes(&mut key).map_err(|error| StoreError::Io(io::Error::other(error)))?;
    Ok(key)
}

fn token(key: &Key, rump: &[u8]) -> Result<String> {
    let mac = || {
        let key = PKey::hmac(key)?;
        Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(rump)
    };
    let mac = mac().map_err(|error: openssl::error::ErrorStack| StoreError::Io(io::Error::other(error)))?;
    Ok(format!("{ALGORITHM}{}", base::hex::encode(&mac)))
}

/// Durably. An empty table is no file.
fn write(folder: &Path, table: &Table) -> io::Result<()> {
    let path = folder.join(FILE);
    if !table.is_empty() {
        return base::replace::durable_replace(&path, encode(table).as_bytes(), 0o600);
    }
    match fs::remove_file(&path) {
        Ok(()) => os::file::sync_dir(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn encode(table: &Table) -> String {
    let body: String =
        table.iter().map(|(mailbox, key)| format!("{mailbox:032x} {}\n", base::hex::encode(key))).collect();
    format!("keys 1 {:08x}\n{body}", base::crc32(body.as_bytes()))
}

fn decode(bytes: &[u8]) -> Option<Table> {
    let (check, body) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
    if check != format!("keys 1 {:08x}", base::crc32(body.as_bytes())) {
        return None;
    }
    let line = |line: &str| {
        let (mailbox, key) = line.split_once(' ')?;
        Some((u128::from_str_radix(mailbox, 16).ok()?, base::hex::decode(key)?))
    };
    body.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_says_how_it_was_made() {
        let made = token(&[7; KEY_BYTES], b"imap://joe@x/INBOX/;UID=1;URLAUTH=anonymous").unwrap();
        assert_eq!((made.len(), &made[..2]), (66, "01"));
        assert_ne!(made, token(&[8; KEY_BYTES], b"imap://joe@x/INBOX/;UID=1;URLAUTH=anonymous").unwrap());
        assert_ne!(made, token(&[7; KEY_BYTES], b"imap://joe@x/INBOX/;UID=2;URLAUTH=anonymous").unwrap());
    }

    #[test]
    fn any_flipped_bit_of_a_table_is_seen() {
        let table = Table::from([(1, [7; KEY_BYTES]), (u128::MAX, [255; KEY_BYTES])]);
        let bytes = encode(&table).into_bytes();
        assert_eq!(decode(&bytes), Some(table));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn tables_come_back(entries in proptest::collection::btree_map(any::<u128>(), any::<Key>(), 0..20)) {
            let text = encode(&entries);
            prop_assert_eq!(decode(text.as_bytes()), Some(entries));
        }
    }
}
