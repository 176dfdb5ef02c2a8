//! dirutil add, change, delete: everything that can be refused is looked at under the file's lock, then one change is
//! written.

use std::io::Write;

use directory::edit::{self, Change};
use directory::ldif::Record;

use super::{Place, checks, find, group_attributes, replace, split};

type Attributes = Vec<(String, Vec<u8>)>;

/// What `dirutil change` was asked for.
pub struct Wanted<'a> {
    pub set: &'a [String],
    pub add: &'a [String],
    pub remove: &'a [String],
    pub force: bool,
}

/// Adds a user whose uid and addresses nobody else has.
pub fn add_user(
    place: &Place<'_>,
    dn: &str,
    attributes: Attributes,
    force: bool,
    err: &mut dyn Write,
) -> Result<(), String> {
    checks::attributes(&attributes, force)?;
    edit::change(place.file, |records| {
        checks::untaken(records, None, &attributes)?;
        warn_of_nobody(place, records, &attributes, err);
        Ok(Change::Add { dn, attributes })
    })
}

/// Adds a group whose address nobody else has.
pub fn add_group(
    place: &Place<'_>,
    dn: &str,
    mail: &str,
    members: &[String],
    err: &mut dyn Write,
) -> Result<(), String> {
    edit::change(place.file, |records| {
        let members =
            members.iter().map(|member| checks::member(records, member)).collect::<Result<Vec<_>, _>>()?;
        let attributes = group_attributes(mail, &members);
        checks::untaken(records, None, &attributes)?;
        warn_of_nobody(place, records, &attributes, err);
        Ok(Change::Add { dn, attributes })
    })
}

/// Other values for an entry.
pub fn change(place: &Place<'_>, who: &str, wanted: &Wanted<'_>, err: &mut dyn Write) -> Result<(), String> {
    if wanted.set.is_empty() && wanted.add.is_empty() && wanted.remove.is_empty() {
        return Err("say what: --set, --add or --remove".into());
    }
    let pairs = |list: &[String]| list.iter().map(|pair| split(pair)).collect::<Result<Attributes, _>>();
    let (set, add) = (pairs(wanted.set)?, pairs(wanted.add)?);
    let given = [set.clone(), add.clone()].concat();
    checks::attributes(&given, wanted.force)?;
    let domain = place.domains.default_domain();
    let dn = find(&edit::read(place.file)?, who, domain)?.dn.clone();
    edit::change(place.file, |records| {
        let record = records.iter().find(|record| record.dn == dn);
        let record = record.ok_or_else(|| format!("{}: no such user or group", base::escape(who)))?;
        let mut attributes = record.attributes.clone();
        for one in wanted.remove {
            take_away(&mut attributes, one).map_err(|why| format!("{}: {why}", base::escape(who)))?;
        }
        replace(&mut attributes, set);
        attributes.extend(add);
        checks::untaken(records, Some(&dn), &given)?;
        if !wanted.force {
            checks::postmaster_stays(records, record, &attributes, place.domains)?;
        }
        warn_of_nobody(place, records, &given, err);
        Ok(Change::Replace { dn: &dn, attributes })
    })
}

/// Removes an entry.
pub fn delete(place: &Place<'_>, who: &str, force: bool) -> Result<(), String> {
    let dn = find(&edit::read(place.file)?, who, place.domains.default_domain())?.dn.clone();
    edit::change(place.file, |records| {
        if let Some(record) = records.iter().find(|record| record.dn == dn && !force) {
            checks::postmaster_stays(records, record, &[], place.domains)?;
        }
        Ok(Change::Delete { dn: &dn })
    })
}

/// `attribute`, or `attribute=value`.
fn take_away(attributes: &mut Attributes, one: &str) -> Result<(), String> {
    let (name, value) = one.split_once('=').map_or((one, None), |(name, value)| (name, Some(value)));
    let before = attributes.len();
    attributes.retain(|(have, is)| {
        !have.eq_ignore_ascii_case(name.trim()) || value.is_some_and(|value| is != value.as_bytes())
    });
    if attributes.len() == before { Err(format!("there is no {}", base::escape(one))) } else { Ok(()) }
}

/// Mail to them would bounce; they may be made later.
fn warn_of_nobody(place: &Place<'_>, records: &[Record], attributes: &Attributes, err: &mut dyn Write) {
    let own = |address: &str| {
        attributes.iter().any(|(name, value)| {
            name.to_ascii_lowercase().starts_with("mail")
                && !name.eq_ignore_ascii_case("mailForwardingAddress")
                && value.eq_ignore_ascii_case(address.as_bytes())
        })
    };
    for (name, value) in attributes {
        let leads_on = ["mailForwardingAddress", "mgrpRFC822MailMember", "rfc822MailMember"];
        let address = String::from_utf8_lossy(value);
        if leads_on.iter().any(|one| one.eq_ignore_ascii_case(name))
            && !own(&address)
            && checks::is_nobody(records, &address, place.domains)
        {
            let _ = writeln!(err, "dirutil: warning: nobody has the address {}", base::escape(&address));
        }
    }
}
