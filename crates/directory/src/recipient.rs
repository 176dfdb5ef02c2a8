//! Who gets mail for an address of ours, when nobody has it as it stands (`fallbacksearchmethod`).

use crate::{Found, LocalDomains, Result};

/// What is asked of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// Who has this address.
    Address(&'a str),
    /// Who has this uid.
    Uid(&'a str),
}

/// Where else is looked, a sum: NMS: `fallbacksearchmethod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback(pub u8);

impl Default for Fallback {
    fn default() -> Fallback {
        Fallback(4)
    }
}

impl Fallback {
    /// The local part may be a uid.
    fn by_uid(self) -> bool {
        self.0 & 1 != 0
    }

    /// The first label of the domain may be a server's name.
    fn without_host(self) -> bool {
        self.0 & 2 != 0
    }

    /// Somebody may take everything of the domain: `@domain` as an alternate address.
    fn vanity(self) -> bool {
        self.0 & 4 != 0
    }
}

/// Who gets mail for `local@domain`, and the sub-address when it is one: the owner of the address, else of what stands
/// before the `+`, else, for a postmaster, the one of the default domain (RFC 5321 §4.5.1), else, as `domains` says, the
/// owner in the domain without the server's name, the user of that uid, who takes everything of the domain.
///
/// # Errors
/// As `look_up`.
pub fn recipient(
    local: &str,
    domain: &str,
    domains: &LocalDomains,
    mut look_up: impl FnMut(Question<'_>) -> Result<Found>,
) -> Result<(Found, Option<String>)> {
    let found = look_up(Question::Address(&format!("{local}@{domain}")))?;
    let parts = [Some((local, None)), local.split_once('+').map(|(base, detail)| (base, Some(detail)))];
    let parts = || parts.into_iter().flatten();
    let mut first = Some(found.clone());
    if let Some(owner) = owner(parts(), domain, &mut first, &mut look_up)? {
        return Ok(owner);
    }
    if local.eq_ignore_ascii_case("postmaster") {
        let postmaster = look_up(Question::Address(&format!("postmaster@{}", domains.default_domain())))?;
        if !matches!(postmaster, Found::Nobody) {
            return Ok((postmaster, None));
        }
    }
    let fallback = domains.fallback();
    let above = domain.split_once('.').map(|(_, above)| above).filter(|above| domains.contains(above));
    if let Some(above) = above.filter(|_| fallback.without_host())
        && let Some(owner) = owner(parts(), above, &mut None, &mut look_up)?
    {
        return Ok(owner);
    }
    if fallback.by_uid() {
        for (uid, detail) in parts() {
            let user = look_up(Question::Uid(uid))?;
            if !matches!(user, Found::Nobody) {
                return Ok((user, detail.map(str::to_owned)));
            }
        }
    }
    // Whom the directory named without his having the address takes everything.
    Ok((if fallback.vanity() { found } else { Found::Nobody }, None))
}

/// Who has one of these in this domain; `first` is what is known of the first.
fn owner<'a>(
    parts: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    domain: &str,
    first: &mut Option<Found>,
    look_up: &mut impl FnMut(Question<'_>) -> Result<Found>,
) -> Result<Option<(Found, Option<String>)>> {
    for (local, detail) in parts {
        let address = format!("{local}@{domain}");
        let found = match first.take() {
            Some(found) => found,
            None => look_up(Question::Address(&address))?,
        };
        if found.is_owner_of(&address) {
            return Ok(Some((found, detail.map(str::to_owned))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entry;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn user(uid: &str, mail: &str) -> Found {
        let attributes = [("objectclass", "mailRecipient"), ("uid", uid), ("mail", mail)];
        let all: BTreeMap<String, Vec<String>> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
        Found::One(Arc::new(Entry::from_attributes(&format!("uid={uid}"), all).unwrap()))
    }

    /// Whom `address` leads to with this sum, his uid, and the sub-address.
    fn uid_of(fallback: u8, address: &str) -> Option<(String, Option<String>)> {
        let names = ["example.test", "host.example.test", "vain.test"].map(str::to_owned);
        let domains = LocalDomains::new(names, "example.test").falling_back(Fallback(fallback));
        let (local, domain) = address.split_once('@').unwrap();
        let directory = |question: Question<'_>| {
            Ok(match question {
                Question::Address("first.last@example.test") => user("flast", "first.last@example.test"),
                Question::Address(address) if address.ends_with("@vain.test") => {
                    user("vain", "v@example.test")
                }
                Question::Uid("flast") => user("flast", "first.last@example.test"),
                _ => Found::Nobody,
            })
        };
        match recipient(local, domain, &domains, directory).unwrap() {
            (Found::One(entry), detail) => Some((entry.uid.clone().unwrap(), detail)),
            _ => None,
        }
    }

    #[test]
    fn each_search_is_done_when_it_is_in_the_sum() {
        let found = |uid: &str, detail: Option<&str>| Some((uid.to_owned(), detail.map(str::to_owned)));
        for fallback in 0..=7 {
            let has = |bit: u8| fallback & bit != 0;
            let flast = found("flast", None);
            assert_eq!(uid_of(fallback, "first.last@example.test"), flast);
            assert_eq!(uid_of(fallback, "first.last+x@example.test"), found("flast", Some("x")));
            assert_eq!(uid_of(fallback, "flast@example.test"), flast.clone().filter(|_| has(1)));
            assert_eq!(
                uid_of(fallback, "flast+x@example.test"),
                found("flast", Some("x")).filter(|_| has(1))
            );
            assert_eq!(uid_of(fallback, "first.last@host.example.test"), flast.filter(|_| has(2)));
            assert_eq!(uid_of(fallback, "any@vain.test"), found("vain", None).filter(|_| has(4)));
            assert_eq!(uid_of(fallback, "nobody@host.example.test"), None);
        }
    }
}
