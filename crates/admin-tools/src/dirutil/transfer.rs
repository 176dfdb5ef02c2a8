//! dirutil export and import: the embedded directory as a file that any LDAP server takes, and back.
//!
//! What goes out: parents before their children (those that the file leaves out are made), a structural class for every
//! group, no password in clear. What comes in: entries as `slapcat` or `ldapsearch -LLL` write them, without the server's
//! own attributes; all of them or none.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::path::Path;

use directory::edit::{self, Attributes, Change};
use directory::embedded::normal_dn;
use directory::ldif::{self, Record};
use directory::password;

use crate::site::broken;

/// Attributes that a server writes itself.
const OPERATIONAL: [&str; 15] = [
    "aci",
    "nssizelimit",
    "nslookthroughlimit",
    "nspagedsizelimit",
    "structuralobjectclass",
    "entryuuid",
    "entrycsn",
    "entrydn",
    "contextcsn",
    "creatorsname",
    "createtimestamp",
    "modifiersname",
    "modifytimestamp",
    "subschemasubentry",
    "hassubordinates",
];
/// Classes one of which a group needs, so that an LDAP server takes it; mailGroup is auxiliary.
const STRUCTURAL: [&str; 4] = ["groupofuniquenames", "groupofnames", "groupofurls", "organizationalrole"];
/// Schemes of passwords in clear, which servers write in other ways.
const CLEAR: [&str; 3] = ["{clear}", "{cleartext}", "{plain}"];

/// Writes everything, ready for `ldapadd` or `slapadd`.
///
/// # Errors
/// The file cannot be read; a parent is missing that cannot be made; nobody reads the output any more.
pub fn export(file: &Path, out: &mut dyn Write) -> Result<(), String> {
    let entries = outgoing_entries(edit::read(file)?)?;
    out.write_all(b"version: 1\n\n").map_err(broken)?;
    for (dn, mut attributes) in entries {
        hash_clear(&mut attributes)?;
        out.write_all(ldif::write(&dn, &attributes).as_bytes()).map_err(broken)?;
    }
    Ok(())
}

/// The entries as an LDAP server takes them: parents first and none missing, groups with a structural class.
///
/// # Errors
/// A parent is missing that cannot be made.
pub fn outgoing_entries(records: Vec<Record>) -> Result<Vec<(String, Attributes)>, String> {
    let mut sorted: BTreeMap<usize, Vec<(String, Attributes)>> = BTreeMap::new();
    let have: HashSet<String> = records.iter().map(|record| normal_dn(&record.dn)).collect();
    let mut made: HashSet<String> = HashSet::new();
    for record in records {
        for parent in parents(&record.dn) {
            if !have.contains(&normal_dn(parent)) && made.insert(normal_dn(parent)) {
                let attributes = parent_attributes(parent)?;
                sorted.entry(depth(parent)).or_default().push((parent.to_owned(), attributes));
            }
        }
        let attributes = outgoing(record.attributes);
        sorted.entry(depth(&record.dn)).or_default().push((record.dn, attributes));
    }
    Ok(sorted.into_values().flatten().collect())
}

fn outgoing(mut attributes: Attributes) -> Attributes {
    let has_class = |attributes: &Attributes, classes: &[&str]| {
        let found = attributes.iter().filter(|(name, _)| name.eq_ignore_ascii_case("objectClass"));
        found
            .map(|(_, value)| value)
            .any(|value| classes.iter().any(|class| value.eq_ignore_ascii_case(class.as_bytes())))
    };
    if has_class(&attributes, &["mailgroup", "inetmailgroup"]) && !has_class(&attributes, &STRUCTURAL) {
        attributes.insert(0, ("objectClass".into(), b"groupOfURLs".to_vec()));
    }
    attributes
}

/// Passwords in clear, which servers write in other ways.
fn hash_clear(attributes: &mut Attributes) -> Result<(), String> {
    for (name, value) in attributes {
        if !name.eq_ignore_ascii_case("userPassword") {
            continue;
        }
        let text = String::from_utf8_lossy(value).into_owned();
        let lower = text.to_ascii_lowercase();
        if let Some(scheme) = CLEAR.iter().find(|scheme| lower.starts_with(**scheme)) {
            *value = password::hash(&text[scheme.len()..])?.into_bytes();
        }
    }
    Ok(())
}

/// The dn's above this one, the nearest first.
fn parents(dn: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(above(dn), |dn| above(dn))
}

/// What is behind the first comma that is no part of a value (RFC 4514 §3).
fn above(dn: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, c) in dn.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => return Some(dn[at + 1..].trim_start()),
            _ => {}
        }
    }
    None
}

fn depth(dn: &str) -> usize {
    parents(dn).count()
}

/// What a container is made of.
///
/// # Errors
/// Its dn does not say what it is.
pub fn parent_attributes(dn: &str) -> Result<Attributes, String> {
    let (name, value) = dn.split(',').next().and_then(|first| first.split_once('=')).unwrap_or((dn, ""));
    let class = match name.trim().to_ascii_lowercase().as_str() {
        "o" => "organization",
        "ou" => "organizationalUnit",
        "dc" => "domain",
        "c" => "country",
        _ => return Err(format!("{}: an entry below it is there, but not itself", base::escape(dn))),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    Ok(vec![pair("objectClass", "top"), pair("objectClass", class), pair(name.trim(), value.trim())])
}

/// Adds the entries of an LDIF text; how many were added, and how many replaced.
///
/// # Errors
/// The text is no LDIF; an entry is there already and `replace` does not hold; a uid or address would be two entries'.
pub fn import(file: &Path, text: &[u8], replace: bool) -> Result<(usize, usize), String> {
    let records = ldif::parse(text).map_err(|why| why.to_string())?;
    let entries: Vec<(String, Attributes)> =
        records.into_iter().map(|record| (record.dn, incoming(record.attributes))).collect();
    let mut counts = (0, 0);
    edit::change(file, |present| {
        let there: HashSet<String> = present.iter().map(|record| normal_dn(&record.dn)).collect();
        let mut new: HashSet<String> = HashSet::new();
        for (dn, _) in &entries {
            let normal = normal_dn(dn);
            if there.contains(&normal) && !replace {
                return Err(format!("{} is there already; --replace takes the new one", base::escape(dn)));
            }
            if !new.insert(normal) {
                return Err(format!("{} stands twice in the new entries", base::escape(dn)));
            }
        }
        check_unique(present, &entries, &new)?;
        let replaced = new.iter().filter(|dn| there.contains(*dn)).count();
        counts = (entries.len() - replaced, replaced);
        Ok(Change::Merge(entries.clone()))
    })?;
    Ok(counts)
}

/// Without what the server writes itself.
pub fn incoming(attributes: Attributes) -> Attributes {
    let own = |name: &str| OPERATIONAL.iter().any(|own| name.eq_ignore_ascii_case(own));
    attributes.into_iter().filter(|(name, _)| !own(name)).collect()
}

/// No uid and no address belongs to two entries, counting those that stay.
///
/// # Errors
/// Which one would.
pub fn check_unique(
    present: &[Record],
    entries: &[(String, Attributes)],
    new: &HashSet<String>,
) -> Result<(), String> {
    let stay = present.iter().filter(|record| !new.contains(&normal_dn(&record.dn)));
    let stay = stay.map(|record| (record.dn.as_str(), &record.attributes));
    let come = entries.iter().map(|(dn, attributes)| (dn.as_str(), attributes));
    let mut owners: HashMap<(bool, String), &str> = HashMap::new();
    for (dn, attributes) in stay.chain(come) {
        for (name, value) in attributes {
            let is_uid = name.eq_ignore_ascii_case("uid");
            let is_address =
                name.eq_ignore_ascii_case("mail") || name.eq_ignore_ascii_case("mailAlternateAddress");
            if !is_uid && !is_address {
                continue;
            }
            let value = base::idn::comparable(&String::from_utf8_lossy(value));
            match owners.insert((is_uid, value.clone()), dn) {
                Some(owner) if owner != dn => {
                    return Err(format!("{} would belong to two entries", base::escape(&value)));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_is_whole_and_what_comes_in_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("directory.ldif");
        std::fs::write(
            &file,
            "dn: uid=a,ou=People,o=x\nobjectClass: mailRecipient\nuid: a\nmail: a@x.test\nuserPassword: {CLEAR}pw\n\n\
             dn: cn=g\\, h,ou=Groups,o=x\nobjectClass: mailGroup\nmail: g@x.test\n",
        )
        .unwrap();
        let mut out = Vec::new();
        export(&file, &mut out).unwrap();
        let records = ldif::parse(&out).unwrap();
        let dns: Vec<&str> = records.iter().map(|record| record.dn.as_str()).collect();
        assert_eq!(
            dns,
            ["o=x", "ou=People,o=x", "ou=Groups,o=x", "uid=a,ou=People,o=x", "cn=g\\, h,ou=Groups,o=x"]
        );
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(text.contains("objectClass: groupOfURLs") && !text.contains("{CLEAR}"), "{text}");

        let other = folder.path().join("other.ldif");
        let dump = text.replace("uid: a\n", "uid: a\nentryUUID: 1-2-3\nmodifyTimestamp: 20260101000000Z\n");
        assert_eq!(import(&other, dump.as_bytes(), false), Ok((5, 0)));
        assert!(!std::fs::read_to_string(&other).unwrap().contains("entryUUID"));
        assert!(import(&other, dump.as_bytes(), false).unwrap_err().contains("--replace"));
        assert_eq!(import(&other, dump.as_bytes(), true), Ok((0, 5)));
        let taken = "dn: uid=b,o=x\nuid: b\nmailAlternateAddress: G@x.test\n";
        assert!(import(&other, taken.as_bytes(), false).unwrap_err().contains("two entries"));
        let twice = "dn: uid=b,o=x\nuid: b\n\ndn: UID=b, o=x\nuid: c\n";
        assert!(import(&other, twice.as_bytes(), false).unwrap_err().contains("twice"));
        assert!(!std::fs::read_to_string(&other).unwrap().contains("uid=b"), "all or none");
    }
}
