//! An access control list: who may do what with one mailbox (RFC 4314 §2).
//!
//! Identifiers are canonical: the uid of a user as the directory has it, `anyone`, `group=<address of the group>`; a `-`
//! before one takes rights away that others give. The text, in the list and in the mailbox's `store.acl`:
//!
//! ```text
//! acl 1 5f3a09c1            CRC-32 of what follows
//! lrs anyone                rights, a space, the identifier; sorted by identifier
//! w -bob
//! ```

use crate::Rights;

/// Entries of one list at most.
pub const ENTRIES_MAX: usize = 500;
/// Bytes of an identifier at most, with its `-`.
pub const IDENTIFIER_BYTES_MAX: usize = 300;

/// Everybody who can log in.
pub const ANYONE: &str = "anyone";
/// Before the address of a group.
pub const GROUP: &str = "group=";

/// See the head of this file.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Acl {
    /// Sorted by identifier; none without rights.
    entries: Vec<(String, Rights)>,
}

/// Why an entry cannot be in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AclError {
    TooManyEntries,
    BadIdentifier,
}

impl Acl {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Identifiers and their rights, sorted.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Rights)> {
        self.entries.iter().map(|(identifier, rights)| (identifier.as_str(), *rights))
    }

    /// What the entry of this identifier says, the identifier taken literally.
    pub fn of(&self, identifier: &str) -> Rights {
        let place = self.entries.binary_search_by(|(one, _)| one.as_str().cmp(identifier));
        place.map_or(Rights::NONE, |place| self.entries[place].1)
    }

    /// Gives an identifier these rights instead of others; none removes it.
    ///
    /// # Errors
    /// See [`AclError`]; nothing has changed then.
    pub fn set(&mut self, identifier: &str, rights: Rights) -> Result<(), AclError> {
        let name = identifier.strip_prefix('-').unwrap_or(identifier);
        if name.is_empty() || identifier.len() > IDENTIFIER_BYTES_MAX || identifier.contains(char::is_control)
        {
            return Err(AclError::BadIdentifier);
        }
        match self.entries.binary_search_by(|(one, _)| one.as_str().cmp(identifier)) {
            Ok(place) if rights.is_empty() => {
                self.entries.remove(place);
            }
            Ok(place) => self.entries[place].1 = rights,
            Err(_) if rights.is_empty() => {}
            Err(_) if self.entries.len() >= ENTRIES_MAX => return Err(AclError::TooManyEntries),
            Err(place) => self.entries.insert(place, (identifier.to_owned(), rights)),
        }
        Ok(())
    }

    /// What this user may do. `is_member` says whether the user is in a group, by its address; when that is not known, a
    /// group gives nothing and takes all that it would.
    pub fn rights(&self, uid: &str, mut is_member: impl FnMut(&str) -> Option<bool>) -> Rights {
        let (mut given, mut taken) = (Rights::NONE, Rights::NONE);
        for (identifier, rights) in &self.entries {
            let (name, takes) = match identifier.strip_prefix('-') {
                Some(name) => (name, true),
                None => (identifier.as_str(), false),
            };
            let is_meant = match name.strip_prefix(GROUP) {
                Some(group) => is_member(group).unwrap_or(takes),
                None => name == ANYONE || name == uid,
            };
            if is_meant {
                *(if takes { &mut taken } else { &mut given }) |= *rights;
            }
        }
        given & !taken
    }

    /// See the head of this file.
    pub fn encode(&self) -> String {
        let body: String =
            self.entries.iter().map(|(identifier, rights)| format!("{rights} {identifier}\n")).collect();
        format!("acl 1 {:08x}\n{body}", base::crc32(body.as_bytes()))
    }

    /// The inverse of [`Acl::encode`]; nothing when it does not verify.
    pub fn decode(bytes: &[u8]) -> Option<Acl> {
        let (check, body) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        if check != format!("acl 1 {:08x}", base::crc32(body.as_bytes())) {
            return None;
        }
        let mut acl = Acl::default();
        for line in body.lines() {
            let (rights, identifier) = line.split_once(' ')?;
            acl.set(identifier, Rights::parse(rights.as_bytes())?).ok()?;
        }
        Some(acl)
    }

    /// A list as an administrator writes it: identifiers and rights in turn, blanks between: `anyone lrs bob lrswi`.
    pub fn parse(text: &str) -> Option<Acl> {
        let mut acl = Acl::default();
        let mut words = text.split_whitespace();
        while let Some(identifier) = words.next() {
            acl.set(identifier, Rights::parse(words.next()?.as_bytes())?).ok()?;
        }
        Some(acl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rights(acl: &str, uid: &str, groups: &[(&str, Option<bool>)]) -> String {
        let known = |group: &str| groups.iter().find(|(name, _)| *name == group).and_then(|(_, is)| *is);
        Acl::parse(acl).unwrap().rights(uid, known).to_string()
    }

    #[test]
    fn entries_add_up_and_negative_ones_take_away() {
        assert_eq!(rights("anyone l bob r", "bob", &[]), "lr");
        assert_eq!(rights("anyone l bob r", "amy", &[]), "l");
        assert_eq!(rights("anyone lrs -bob r", "bob", &[]), "ls");
        assert_eq!(rights("bob lrs -anyone s", "bob", &[]), "lr");
        assert_eq!(rights("-bob l", "bob", &[]), "");
        assert_eq!(rights("Bob l", "bob", &[]), "");
    }

    #[test]
    fn groups_give_and_take_and_what_is_not_known_counts_against_the_user() {
        let yes = [("g@x", Some(true))];
        assert_eq!(rights("group=g@x lr", "bob", &yes), "lr");
        assert_eq!(rights("group=g@x lr", "bob", &[("g@x", Some(false))]), "");
        assert_eq!(rights("group=g@x lr", "bob", &[("g@x", None)]), "");
        assert_eq!(rights("anyone lr -group=g@x r", "bob", &yes), "l");
        assert_eq!(rights("anyone lr -group=g@x r", "bob", &[("g@x", None)]), "l");
        assert_eq!(rights("anyone lr -group=g@x r", "bob", &[("g@x", Some(false))]), "lr");
    }

    #[test]
    fn any_flipped_bit_is_damage_and_limits_hold() {
        let mut acl = Acl::parse("anyone lrs -bob w group=a@b.example lrswipkxtea").unwrap();
        let text = acl.encode();
        assert_eq!(Acl::decode(text.as_bytes()), Some(acl.clone()));
        for bit in 0..text.len() * 8 {
            let mut damaged = text.clone().into_bytes();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Acl::decode(&damaged), None, "bit {bit}");
        }
        for bad in ["", "-", "a\nb", &"x".repeat(IDENTIFIER_BYTES_MAX + 1)] {
            assert_eq!(acl.set(bad, Rights::READ), Err(AclError::BadIdentifier));
        }
        for number in acl.entries().count()..ENTRIES_MAX {
            acl.set(&format!("u{number}"), Rights::READ).unwrap();
        }
        assert_eq!(acl.set("another", Rights::READ), Err(AclError::TooManyEntries));
        acl.set("u7", Rights::NONE).unwrap();
        assert_eq!(acl.set("another", Rights::READ), Ok(()));
    }

    proptest! {
        #[test]
        fn every_list_is_read_as_it_was_written(
            entries in proptest::collection::vec(("-?[^\\x00-\\x1f\\x7f-\\x9f-][^\\x00-\\x1f\\x7f-\\x9f]{0,20}", 1u16..2048), 0..20),
        ) {
            let mut acl = Acl::default();
            for (identifier, bits) in &entries {
                let letters: Vec<u8> =
                    b"lrswipkxtea".iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0).map(|(_, one)| *one).collect();
                acl.set(identifier, Rights::parse(&letters).unwrap()).unwrap();
            }
            prop_assert_eq!(Acl::decode(acl.encode().as_bytes()), Some(acl));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[a-z -]{0,40}") {
            let _ = Acl::decode(&bytes);
            let _ = Acl::parse(&text);
            let body = text.as_bytes();
            let _ = Acl::decode(&[format!("acl 1 {:08x}\n", base::crc32(body)).as_bytes(), body].concat());
        }
    }
}
