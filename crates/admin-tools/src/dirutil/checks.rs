//! What dirutil refuses before it writes: what is no uid and no address, what is taken, what nobody understands, and the
//! loss of the postmaster.

use directory::ldif::Record;
use directory::{LocalDomains, schema};
use smtp_wire::Address;

use super::values;

/// What an entry may be called by, alone: its addresses.
const ADDRESSES: [&str; 2] = ["mail", "mailAlternateAddress"];

/// Refuses what is no uid: it becomes a mailbox name, and an address.
///
/// # Errors
/// One line, with what was meant if that can be guessed.
pub fn uid(uid: &str) -> Result<(), String> {
    if let Some((name, domain)) = uid.split_once('@') {
        let (uid, name, domain) = (base::escape(uid), base::escape(name), base::escape(domain));
        return Err(format!(
            "'{uid}' is an address and no uid: the uid would be '{name}', and the address belongs behind --mail if {domain} is not the default domain"
        ));
    }
    if Address::parse(uid.as_bytes(), true, true).is_err() || uid.starts_with('"') {
        let uid = base::escape(uid);
        return Err(format!(
            "'{uid}' is no uid: letters, digits, and dots, dashes or underscores between them"
        ));
    }
    Ok(())
}

/// Refuses what is no address: `joe@example.org`.
///
/// # Errors
/// One line.
pub fn address(text: &str) -> Result<(), String> {
    match Address::parse(text.as_bytes(), false, true) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("'{}' is no address, which has the form name@domain", base::escape(text))),
    }
}

/// Whether the attributes are ones that an entry may have, and the values ones that they may have. `forced`: any attribute.
///
/// # Errors
/// The first that is not.
pub fn attributes(pairs: &[(String, Vec<u8>)], forced: bool) -> Result<(), String> {
    for (name, value) in pairs {
        let lower = name.to_ascii_lowercase();
        let text = String::from_utf8_lossy(value);
        match lower.as_str() {
            // `@domain` takes what nobody else has.
            "mailalternateaddress" if text.starts_with('@') => address(&format!("any{text}"))?,
            "mail" | "mailalternateaddress" | "mailforwardingaddress" => address(&text)?,
            _ if forced => {}
            _ => schema::admit(name, value).map_err(|why| {
                if why.contains("no such attribute") {
                    format!("{why} (--force takes it all the same)")
                } else {
                    why
                }
            })?,
        }
    }
    Ok(())
}

/// Whether uid and addresses are nobody else's: `own` is the dn of the entry that is changed.
///
/// # Errors
/// The first that is taken, and by whom.
pub fn untaken(records: &[Record], own: Option<&str>, pairs: &[(String, Vec<u8>)]) -> Result<(), String> {
    for (name, value) in pairs {
        let unique: &[&str] = match name.to_ascii_lowercase().as_str() {
            "uid" => &["uid"],
            "mail" | "mailalternateaddress" => &ADDRESSES,
            _ => continue,
        };
        let has = |record: &Record| {
            unique.iter().any(|name| values(record, name).any(|one| one.eq_ignore_ascii_case(value)))
        };
        let others = || records.iter().filter(|record| own.is_none_or(|own| record.dn != own));
        if let Some(other) = others().find(|record| has(record)) {
            let (value, dn) = (base::escape(&String::from_utf8_lossy(value)), base::escape(&other.dn));
            return Err(format!("{value} is taken: {dn} has it"));
        }
    }
    Ok(())
}

/// Refuses a change after which nobody has the postmaster's address: smtpd would not start again (S54).
///
/// # Errors
/// One line that says what to do instead.
pub fn postmaster_stays(
    records: &[Record],
    changed: &Record,
    after: &[(String, Vec<u8>)],
    domains: &LocalDomains,
) -> Result<(), String> {
    let address = format!("postmaster@{}", domains.default_domain());
    let is = |name: &str, value: &[u8]| {
        ADDRESSES.iter().any(|one| one.eq_ignore_ascii_case(name))
            && base::idn::same(&String::from_utf8_lossy(value), &address)
    };
    let has = |attributes: &[(String, Vec<u8>)]| attributes.iter().any(|(name, value)| is(name, value));
    let lost = has(&changed.attributes) && !has(after);
    if !lost || records.iter().any(|record| record.dn != changed.dn && has(&record.attributes)) {
        return Ok(());
    }
    Err(format!(
        "nobody would have the address {address}, and smtpd would not start again; --force does it all the same, and then: dirutil change WHO --add mailAlternateAddress={address}"
    ))
}

/// The address of a member: as it is, or that of a user named by uid.
///
/// # Errors
/// A bare name that is no user's, or what is no address.
pub fn member(records: &[Record], text: &str) -> Result<String, String> {
    if text.contains('@') {
        return address(text).map(|()| text.to_owned());
    }
    let user = records
        .iter()
        .find(|record| values(record, "uid").any(|uid| uid.eq_ignore_ascii_case(text.as_bytes())));
    let mail = user.and_then(|record| values(record, "mail").next());
    mail.map(|mail| String::from_utf8_lossy(mail).into_owned())
        .ok_or_else(|| format!("{}: no such user, and no address", base::escape(text)))
}

/// Whether an address of a domain of ours is nobody's.
pub fn is_nobody(records: &[Record], address: &str, domains: &LocalDomains) -> bool {
    let Some((_, domain)) = address.rsplit_once('@') else { return false };
    let everything = format!("@{domain}");
    let has = |record: &Record, address: &str| {
        ADDRESSES.iter().any(|name| {
            values(record, name).any(|one| base::idn::same(&String::from_utf8_lossy(one), address))
        })
    };
    domains.contains(domain) && !records.iter().any(|record| has(record, address) || has(record, &everything))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_a_name_and_an_address_is_an_address() {
        for good in ["dave", "d.smith", "j_doe-2", "jörg", "daemon"] {
            uid(good).unwrap();
        }
        for (bad, word) in [
            ("dave@example.test", "the uid would be 'dave'"),
            ("dave smith", "no uid"),
            ("", "no uid"),
            (".x", "no uid"),
            ("\"a b\"", "no uid"),
            ("a,b", "no uid"),
        ] {
            let why = uid(bad).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
        address("d.smith+x@example.test").unwrap();
        for bad in ["dave", "dave@", "dave smith@example.test", "a@b@c", "@x.test"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_postmaster_stays() {
        let text =
            "dn: uid=p,o=x\nuid: p\nmail: Postmaster@x.test\n\ndn: uid=a,o=x\nuid: a\nmail: a@x.test\n";
        let mut records = directory::ldif::parse(text.as_bytes()).unwrap();
        let domains = LocalDomains::new(["x.test".to_owned()], "x.test");
        assert!(postmaster_stays(&records, &records[0], &[], &domains).unwrap_err().contains("smtpd"));
        assert!(postmaster_stays(&records, &records[1], &[], &domains).is_ok());
        records[1].attributes.push(("mailAlternateAddress".into(), b"postmaster@x.test".to_vec()));
        assert!(postmaster_stays(&records, &records[0], &[], &domains).is_ok());
        assert!(
            is_nobody(&records, "z@x.test", &domains) && !is_nobody(&records, "z@elsewhere.test", &domains)
        );
    }
}
