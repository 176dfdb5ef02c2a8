//! dirutil list and show: what the file holds, without credentials.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use directory::edit;

use super::{find, values};
use crate::site::broken;

/// Attributes whose values are not shown.
const SECRET: [&str; 5] =
    ["userPassword", "authPassword", "mailAppPassword", "mailTotpSecret", "mailRecoveryCode"];

pub fn list(file: &Path, out: &mut dyn Write) -> Result<(), String> {
    for record in edit::read(file)? {
        let first = |name: &str| {
            values(&record, name).next().map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let Some(mail) = first("mail") else { continue };
        let group = values(&record, "objectClass").any(|class| {
            class.eq_ignore_ascii_case(b"mailGroup") || class.eq_ignore_ascii_case(b"inetMailGroup")
        });
        let kind = if group { "group" } else { "user" };
        let mut words = vec![first("uid").unwrap_or_else(|| mail.clone()), kind.to_owned(), mail];
        let more = values(&record, "mailAlternateAddress");
        words.extend(more.map(|value| String::from_utf8_lossy(value).into_owned()));
        writeln!(out, "{}", base::escape(&words.join(" "))).map_err(broken)?;
    }
    Ok(())
}

pub fn show(file: &Path, who: &str, domain: &str, out: &mut dyn Write) -> Result<(), String> {
    let records = edit::read(file)?;
    let record = find(&records, who, domain)?;
    writeln!(out, "dn: {}", base::escape(&record.dn)).map_err(broken)?;
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (name, value) in &record.attributes {
        if let Some(secret) = SECRET.iter().find(|secret| name.eq_ignore_ascii_case(secret)) {
            if seen.insert(secret) {
                writeln!(out, "{secret}: (set)").map_err(broken)?;
            }
            continue;
        }
        writeln!(out, "{name}: {}", base::escape(&String::from_utf8_lossy(value))).map_err(broken)?;
    }
    Ok(())
}
