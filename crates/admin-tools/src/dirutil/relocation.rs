//! dirutil move: the users of the embedded directory into an LDAP server, or back.
//!
//! An entry is missing on the other side, the same there, or another one. What is missing is added; another one is told with
//! the attributes that differ and stays as it is, unless `--replace` is given. Of what only the other side has, entries and
//! attributes of others stay in any case; the mail system's own attributes differ when they are missing on this side, so
//! what was revoked here is revoked there ([`GoneFrom`]).
//! So a run that was interrupted is finished by the next one, and a run after that has nothing to do. Passwords go along
//! where the other side checks passwords that are stored so ([`Schemes`] is tried, not assumed); the others are told by name.

mod passwords;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;

use clap::{Args, ValueEnum};
use directory::edit::{self, Attributes, Change};
use directory::embedded::normal_dn;
use directory::ldap::{Credential, Identity, Settings, Whole};
use directory::ldif::Record;
use directory::password::Schemes;
use directory::schema;

use super::transfer::{check_unique, incoming, outgoing_entries, parent_attributes};
use crate::site::{Site, broken};
use passwords::{Known, PASSWORD};

/// Names that a line of the report has at most.
const NAMES_TOLD: usize = 20;

/// Which way.
#[derive(Clone, Copy, ValueEnum)]
pub enum Way {
    /// From the file into the LDAP server
    ToLdap,
    /// From the LDAP server into the file
    FromLdap,
}

#[derive(Args)]
pub struct Wanted {
    #[arg(value_enum)]
    way: Way,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Entries that are another one there get what they are here
    #[arg(long)]
    replace: bool,
    /// Who may write (or read passwords); else local.ugldapbinddn
    #[arg(long, value_name = "DN", requires = "credential")]
    bind_dn: Option<String>,
    /// That one's password: file:PATH, env:NAME
    #[arg(long, value_name = "WHERE", requires = "bind_dn")]
    credential: Option<String>,
}

/// Attributes that a name may be forbidden to read, so that an entry which shows none may have some.
const SECRETS: [&str; 3] = ["mailAppPassword", "mailTotpSecret", "mailRecoveryCode"];

/// What it means that the entry which is moved lacks an attribute.
#[derive(Clone, Copy)]
struct GoneFrom {
    /// It had a password, which does not go along: one that is there is an older one.
    password: bool,
    /// It shows its secrets, if it has any.
    secrets: bool,
}

impl GoneFrom {
    /// Whether this attribute (lower-case, with its options) is to be gone from the other side too.
    fn is_gone(self, name: &str) -> bool {
        if is_password(name) {
            return self.password;
        }
        let is_secret = SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name));
        schema::is_of_mail(name) && (self.secrets || !is_secret)
    }
}

/// What became of the entries, by dn.
#[derive(Default)]
struct Report {
    added: usize,
    same: usize,
    replaced: usize,
    /// Those that are another one there, and their attributes.
    differ: Vec<(String, Vec<String>)>,
    /// Only on the side that is written to.
    only_there: usize,
    /// Whose passwords cannot go along, by why.
    without_password: BTreeMap<String, Vec<String>>,
}

impl Report {
    fn write(&self, dry_run: bool, out: &mut dyn Write) -> Result<(), String> {
        let would = if dry_run { "would be " } else { "" };
        writeln!(
            out,
            "{} {would}added, {} {would}replaced, {} the same, {} differ, {} only there",
            self.added,
            self.replaced,
            self.same,
            self.differ.len(),
            self.only_there
        )
        .map_err(broken)?;
        for (dn, names) in self.differ.iter().take(NAMES_TOLD) {
            writeln!(out, "differs: {}: {}", base::escape(dn), names.join(", ")).map_err(broken)?;
        }
        if self.differ.len() > NAMES_TOLD {
            writeln!(out, "differs: and {} more", self.differ.len() - NAMES_TOLD).map_err(broken)?;
        }
        for (why, who) in &self.without_password {
            let names: Vec<&str> = who.iter().take(NAMES_TOLD).map(String::as_str).collect();
            let more = if who.len() > NAMES_TOLD { ", ..." } else { "" };
            writeln!(
                out,
                "{} need a new password, {why}: {}{more}",
                who.len(),
                base::escape(&names.join(", "))
            )
            .map_err(broken)?;
        }
        Ok(())
    }

    fn outcome(&self, dry_run: bool) -> Result<(), String> {
        if self.differ.is_empty() || dry_run {
            return Ok(());
        }
        Err(format!(
            "{} entries differ and were left as they are; --replace takes the others",
            self.differ.len()
        ))
    }
}

/// Runs the move.
///
/// # Errors
/// One line; what was written by then stays, and the next run goes on.
pub fn run(site: &Site, wanted: &Wanted, out: &mut dyn Write) -> Result<(), String> {
    let settings = Settings::from_config(&site.config, &site.instance)?;
    let mut settings = settings.ok_or("no LDAP server is configured: set local.ugldaphost first")?;
    if let (Some(dn), Some(credential)) = (&wanted.bind_dn, &wanted.credential) {
        let credential = Credential::parse(credential, &site.instance);
        settings.identity = Some(Identity { dn: dn.clone(), credential });
    }
    let mut server = Whole::open(settings)?;
    let file = site.directory_file();
    match wanted.way {
        Way::ToLdap => to_server(&mut server, &file, wanted, out),
        Way::FromLdap => from_server(&mut server, &file, wanted, &Schemes::from_config(&site.config), out),
    }
}

fn to_server(server: &mut Whole, file: &Path, wanted: &Wanted, out: &mut dyn Write) -> Result<(), String> {
    let mut entries = outgoing_entries(edit::read(file)?)?;
    let base = normal_dn(server.base());
    let below = |dn: &str| normal_dn(dn) == base || normal_dn(dn).ends_with(&format!(",{base}"));
    entries.retain(|(dn, _)| below(dn) || !base.ends_with(&format!(",{}", normal_dn(dn)))); // parents of the base
    if let Some((dn, _)) = entries.iter().find(|(dn, _)| !below(dn)) {
        return Err(format!(
            "{} is not below {}, the base of the LDAP server",
            base::escape(dn),
            server.base()
        ));
    }
    let there = by_dn(server.read()?);
    let mut report = Report::default();
    let known = if wanted.dry_run {
        Known::untried()
    } else {
        let dn = server.base().to_owned();
        if !there.contains_key(&base) {
            let own = entries.iter().find(|(dn, _)| normal_dn(dn) == base).map(|(_, own)| own.clone());
            let attributes = own.map_or_else(|| parent_attributes(&dn), Ok)?;
            server.add(&Record { dn: dn.clone(), attributes, line: 0 })?;
            report.added += 1;
            entries.retain(|(dn, _)| normal_dn(dn) != base);
        }
        Known::by_trying(server, entries.iter().flat_map(|(_, attributes)| passwords::of(attributes)))?
    };
    report.only_there = there.len();
    for (dn, attributes) in entries {
        let present = there.get(&normal_dn(&dn));
        report.only_there -= usize::from(present.is_some());
        let has_password = passwords::of(&attributes).next().is_some();
        let gone = GoneFrom { password: has_password && !wanted.dry_run, secrets: true };
        let attributes = known.outgoing(attributes, present, |why| {
            report.without_password.entry(why).or_default().push(dn.clone());
        })?;
        let Some(present) = present else {
            let is_new = wanted.dry_run || server.add(&Record { dn, attributes, line: 0 })?;
            report.added += usize::from(is_new);
            continue;
        };
        let differ = differences(&attributes, &present.attributes, gone);
        match (differ.is_empty(), wanted.replace) {
            (true, _) => report.same += 1,
            (false, false) => report.differ.push((dn, differ)),
            (false, true) => {
                if !wanted.dry_run {
                    server.replace(&present.dn, &values_of(&attributes, &differ))?;
                }
                report.replaced += 1;
            }
        }
    }
    report.write(wanted.dry_run, out)?;
    report.outcome(wanted.dry_run)
}

fn from_server(
    server: &mut Whole,
    file: &Path,
    wanted: &Wanted,
    schemes: &Schemes,
    out: &mut dyn Write,
) -> Result<(), String> {
    let records = server.read()?;
    if records.is_empty() {
        return Err(format!("the LDAP server shows nothing below {}", server.base()));
    }
    let mut report = Report::default();
    let decide = |present: &[Record]| {
        report = Report::default();
        let here = by_dn(present.to_vec());
        report.only_there = here.len();
        let mut come = Vec::new();
        for record in &records {
            let own = here.get(&normal_dn(&record.dn));
            report.only_there -= usize::from(own.is_some());
            // Who may read the password is taken to be one that may read the other secrets.
            let shown = passwords::of(&record.attributes).next().is_some();
            let gone = GoneFrom { password: shown, secrets: shown };
            let attributes = passwords::incoming(incoming(record.attributes.clone()), own, schemes, |why| {
                report.without_password.entry(why).or_default().push(record.dn.clone());
            })?;
            let Some(own) = own else {
                report.added += 1;
                come.push((record.dn.clone(), attributes));
                continue;
            };
            let differ = differences(&attributes, &own.attributes, gone);
            match (differ.is_empty(), wanted.replace) {
                (true, _) => report.same += 1,
                (false, false) => report.differ.push((record.dn.clone(), differ)),
                (false, true) => {
                    report.replaced += 1;
                    come.push((own.dn.clone(), with_values(&own.attributes, &attributes, &differ)));
                }
            }
        }
        let new = come.iter().map(|(dn, _)| normal_dn(dn)).collect();
        check_unique(present, &come, &new)?;
        Ok(Change::Merge(come))
    };
    if wanted.dry_run {
        let present = if file.exists() { edit::read(file)? } else { Vec::new() };
        let mut decide = decide;
        decide(&present)?;
    } else {
        edit::change(file, decide)?;
    }
    report.write(wanted.dry_run, out)?;
    report.outcome(wanted.dry_run)
}

fn by_dn(records: Vec<Record>) -> HashMap<String, Record> {
    records.into_iter().map(|record| (normal_dn(&record.dn), record)).collect()
}

/// The values of each attribute, by lower-case name. Object classes are compared without case.
fn sorted(attributes: &Attributes) -> BTreeMap<String, BTreeSet<Vec<u8>>> {
    let mut sorted: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (name, value) in attributes {
        let name = name.to_ascii_lowercase();
        let value = if name == "objectclass" { value.to_ascii_lowercase() } else { value.clone() };
        sorted.entry(name).or_default().insert(value);
    }
    sorted
}

/// The attributes that `wanted` names and `present` has with other values, and those that are to be gone. A server may have
/// more object classes.
fn differences(wanted: &Attributes, present: &Attributes, gone: GoneFrom) -> Vec<String> {
    let (wanted, present) = (sorted(wanted), sorted(present));
    let none = BTreeSet::new();
    let differs = |name: &String, values: &BTreeSet<Vec<u8>>| {
        let have = present.get(name).unwrap_or(&none);
        if name == "objectclass" { !values.is_subset(have) } else { values != have }
    };
    let others = wanted.iter().filter(|(name, values)| differs(name, values)).map(|(name, _)| name);
    let revoked = present.keys().filter(|name| !wanted.contains_key(*name) && gone.is_gone(name));
    others.chain(revoked).cloned().collect()
}

/// The values of these attributes, those that are to be gone first: a server may call by one name what we call by two.
fn values_of(attributes: &Attributes, names: &[String]) -> Vec<(String, Vec<Vec<u8>>)> {
    let of = |name: &String| {
        let values = attributes.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name));
        (name.clone(), values.map(|(_, value)| value.clone()).collect())
    };
    let mut values: Vec<(String, Vec<Vec<u8>>)> = names.iter().map(of).collect();
    values.sort_by_key(|(_, values)| !values.is_empty());
    values
}

/// `own` with the values of these attributes from `new`.
fn with_values(own: &Attributes, new: &Attributes, names: &[String]) -> Attributes {
    let named = |have: &str| names.iter().any(|name| name.eq_ignore_ascii_case(have));
    let stay = own.iter().filter(|(have, _)| !named(have));
    let come = new.iter().filter(|(have, _)| named(have));
    stay.chain(come).cloned().collect()
}

/// Whether this attribute holds a password.
fn is_password(name: &str) -> bool {
    name.eq_ignore_ascii_case(PASSWORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    }

    const SHOWN: GoneFrom = GoneFrom { password: false, secrets: true };

    #[test]
    fn what_is_named_here_is_compared_and_what_is_only_there_stays() {
        let here =
            attributes(&[("objectClass", "mailGroup"), ("cn", "A"), ("cn", "B"), ("text;lang-ja", "x")]);
        let there = attributes(&[
            ("objectclass", "TOP"),
            ("objectClass", "mailgroup"),
            ("CN", "B"),
            ("cn", "A"),
            ("l", "Bonn"),
        ]);
        assert_eq!(differences(&here, &there, SHOWN), ["text;lang-ja"]);
        let done = with_values(&there, &here, &differences(&here, &there, SHOWN));
        assert!(differences(&here, &done, SHOWN).is_empty());
        assert!(done.contains(&("l".to_owned(), b"Bonn".to_vec())));
        let other = attributes(&[("cn", "a"), ("cn", "B")]);
        assert_eq!(differences(&here, &other, SHOWN), ["cn", "objectclass", "text;lang-ja"]);
        assert_eq!(values_of(&here, &["cn".to_owned()])[0].1.len(), 2);
    }

    #[test]
    fn what_was_revoked_here_is_to_be_gone_there() {
        let here = attributes(&[("uid", "joe"), ("rfc822MailMember", "a@x.test")]);
        let there = attributes(&[
            ("uid", "joe"),
            ("l", "Bonn"),
            ("mgrpRFC822MailMember", "a@x.test"),
            ("mailAutoReplyText;lang-ja", "x"),
            ("mailTotpSecret", "s"),
            ("userPassword", "{SSHA}x"),
        ]);
        let all = ["rfc822mailmember", "mailautoreplytext;lang-ja", "mailtotpsecret", "mgrprfc822mailmember"];
        assert_eq!(differences(&here, &there, SHOWN), all);
        let hidden = GoneFrom { password: false, secrets: false };
        assert!(!differences(&here, &there, hidden).contains(&"mailtotpsecret".to_owned()));
        let lost = GoneFrom { password: true, secrets: true };
        let differ = differences(&here, &there, lost);
        assert_eq!(differ.last().unwrap(), "userpassword");
        let values = values_of(&here, &differ);
        assert_eq!(values.last().unwrap(), &("rfc822mailmember".to_owned(), vec![b"a@x.test".to_vec()]));
        assert!(values.iter().rev().skip(1).all(|(_, values)| values.is_empty()), "{values:?}");
        let done = with_values(&there, &here, &differ);
        assert!(differences(&here, &done, lost).is_empty() && done.len() == 3, "{done:?}");
    }
}
