//! dirutil: users and groups of the embedded directory.

mod app_password;
mod changes;
pub(crate) mod checks;
mod listing;
mod relocation;
mod second_factor;
mod transfer;

use std::ffi::OsString;
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use directory::LocalDomains;
use directory::ldif::Record;
use directory::password::Schemes;
use server_log::Action;

use crate::site::{Site, broken, run_tool};

/// Characters of a password that is made up; about 119 bits.
const PASSWORD_LENGTH: usize = 20;

#[derive(Parser)]
#[command(name = "dirutil", version, about = "Users and groups of the embedded directory")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long, global = true)]
    instance: Option<PathBuf>,
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// A new user or group
    #[command(subcommand)]
    Add(Add),
    /// Other values for a user or group
    Change {
        /// uid of the user, or name or address of the group; "user" or "group" may stand before it
        #[arg(required = true, num_args = 1..=2, value_name = "WHO")]
        who: Vec<String>,
        /// attribute=value, in place of what is there: mailForwardingAddress, mailDeliveryOption, mailUserStatus, cn ...
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<String>,
        /// attribute=value, beside what is there
        #[arg(long, value_name = "NAME=VALUE")]
        add: Vec<String>,
        /// attribute, or attribute=value
        #[arg(long, value_name = "NAME[=VALUE]")]
        remove: Vec<String>,
        /// Attributes that nobody knows, too; also when nobody has the postmaster's address any more
        #[arg(long)]
        force: bool,
    },
    /// A new password, made up and printed unless it is given
    Password {
        /// uid
        #[arg(required = true, num_args = 1..=2, value_name = "WHO")]
        who: Vec<String>,
        /// Read it from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Passwords for one program of a user each, which can be taken back one by one
    #[command(subcommand)]
    AppPassword(app_password::Job),
    /// The second factor of a user's web mail: a code of an authenticator app, or a recovery code. Other services want an app password then
    SecondFactor {
        /// uid
        who: String,
        #[arg(value_enum)]
        switch: second_factor::Switch,
    },
    /// Remove a user or group; mailboxes stay (see mboxutil -d)
    Delete {
        /// uid of the user, or name or address of the group; "user" or "group" may stand before it
        #[arg(required = true, num_args = 1..=2, value_name = "WHO")]
        who: Vec<String>,
        /// Also when nobody has the postmaster's address any more
        #[arg(long)]
        force: bool,
    },
    /// Everybody: uid or address, kind, addresses
    List,
    /// Look for what is wrong in the file, as `configutil check` does
    Check,
    /// The whole directory as LDIF that an LDAP server takes, passwords included
    Export,
    /// Adds the entries of an LDIF file (slapcat, ldapsearch -LLL), all or none
    Import {
        /// - is standard input
        file: PathBuf,
        /// Entries that are there already get the new attributes
        #[arg(long)]
        replace: bool,
    },
    /// Everybody into the configured LDAP server, or from there into the file. Adds what is missing; may be run again
    Move(relocation::Wanted),
    /// All attributes but the password
    Show {
        /// uid of the user, or name or address of the group; "user" or "group" may stand before it
        #[arg(required = true, num_args = 1..=2, value_name = "WHO")]
        who: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Add {
    /// A user; the password is made up and printed unless it is given
    User {
        /// Name to log in with, and of the mailboxes: letters and digits, no @
        uid: String,
        /// Primary address; uid@default-domain when it is not given
        #[arg(long)]
        mail: Option<String>,
        /// Full name
        #[arg(long)]
        name: Option<String>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// attribute=value: mailForwardingAddress, mailAlternateAddress, mailHost ...
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<String>,
        /// Attributes that nobody knows, too
        #[arg(long)]
        force: bool,
    },
    /// A group
    Group {
        /// Its address, or the part before the @
        address: String,
        /// Its members: addresses, or uids
        #[arg(long, num_args = 1.., value_name = "ADDRESS")]
        member: Vec<String>,
    },
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("dirutil", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "dirutil")?;
    if let Job::Move(wanted) = &arguments.job {
        return relocation::run(&site, wanted, out);
    }
    if !matches!(directory::ldap::Settings::from_config(&site.config, &site.instance), Ok(None)) {
        let file = site.directory_file();
        let _ = writeln!(
            err,
            "dirutil: an LDAP server is configured; nobody reads {}, which this is about",
            file.display()
        );
    }
    let file = site.directory_file();
    let domains = LocalDomains::from_config(&site.config);
    let schemes = Schemes::from_config(&site.config);
    let place = Place { file: &file, domains: &domains };
    let mut line = audited(&arguments.job);
    let made = act(arguments.job, &site, &place, &schemes, out, err)?;
    if let (Some((_, fields)), Some(id)) = (&mut line, made) {
        fields.push(("id", id));
    }
    let began_as = os::process::own_uid();
    let lines: Vec<_> = line.into_iter().collect();
    crate::audit::note(&site.instance, &site.config, "dirutil", began_as, &lines, err);
    Ok(())
}

/// What the audit log says of a job when it is done: whose entry, and names, no values.
fn audited(job: &Job) -> Option<crate::audit::Entry> {
    let name = |pair: &String| pair.split('=').next().unwrap_or_default().to_owned();
    let entry = |result: &str, who: &str, more: Vec<String>| {
        let mut fields = vec![("result", result.to_owned()), ("user", who.to_owned())];
        if !more.is_empty() {
            fields.push(("attributes", more.join(",")));
        }
        (Action::Entry, fields)
    };
    Some(match job {
        Job::Add(Add::User { uid, set, .. }) => entry("added", uid, set.iter().map(name).collect()),
        Job::Add(Add::Group { address, .. }) => entry("added", address, Vec::new()),
        Job::Change { who, set, add, remove, .. } => {
            let names = set.iter().chain(add).chain(remove).map(name).collect();
            entry("changed", who.last()?, names)
        }
        Job::Delete { who, .. } => entry("deleted", who.last()?, Vec::new()),
        Job::Import { replace, .. } => {
            let fields = vec![("result", "imported".to_owned()), ("replaced", replace.to_string())];
            (Action::Entry, fields)
        }
        Job::Password { who, .. } => (Action::Password, vec![("user", who.last()?.clone())]),
        Job::AppPassword(job) => (Action::AppPassword, app_password::audited(job)?),
        Job::SecondFactor { who, switch } => {
            let result = switch.result()?.to_owned();
            (Action::SecondFactor, vec![("result", result), ("user", who.clone())])
        }
        Job::List | Job::Check | Job::Show { .. } | Job::Move(_) | Job::Export => return None,
    })
}

/// Does it; the id of an app password that was made or removed.
fn act(
    job: Job,
    site: &Site,
    place: &Place<'_>,
    schemes: &Schemes,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Option<String>, String> {
    let (file, domain) = (place.file, place.domains.default_domain());
    let done = match job {
        Job::Add(Add::User { uid, mail, name, password_stdin, set, force }) => {
            checks::uid(&uid)?;
            let pairs = set.iter().map(|pair| split(pair)).collect::<Result<Vec<_>, _>>()?;
            let dn = user_dn(&uid, domain)?;
            let secret = if password_stdin { read_password()? } else { make_password()? };
            let mail = mail.unwrap_or_else(|| format!("{uid}@{domain}"));
            let stored = schemes.store(&secret)?;
            let mut attributes = user_attributes(&uid, &mail, name.as_deref(), &stored);
            replace(&mut attributes, pairs);
            changes::add_user(place, &dn, attributes, force, err)?;
            if password_stdin { Ok(()) } else { writeln!(out, "{uid} {secret}").map_err(broken) }
        }
        Job::Add(Add::Group { address, member }) => {
            let mail = qualified(&address, domain);
            checks::address(&mail)?;
            let dn = format!("cn={},ou=Groups,{}", escaped(&mail)?, suffix(domain));
            changes::add_group(place, &dn, &mail, &member, err)
        }
        Job::Change { who, set, add, remove, force } => {
            let wanted = changes::Wanted { set: &set, add: &add, remove: &remove, force };
            changes::change(place, one(&who)?, &wanted, err)
        }
        Job::Password { who, password_stdin } => {
            let who = one(&who)?;
            let secret = if password_stdin { read_password()? } else { make_password()? };
            let stored = schemes.store(&secret)?;
            let set: Vec<String> = stored.iter().map(|stored| format!("userPassword={stored}")).collect();
            let wanted = changes::Wanted { set: &set, add: &[], remove: &[], force: false };
            changes::change(place, who, &wanted, err)?;
            if password_stdin { Ok(()) } else { writeln!(out, "{who} {secret}").map_err(broken) }
        }
        Job::AppPassword(job) => return app_password::run(place, job, out, err),
        Job::SecondFactor { who, switch } => {
            let factors = directory::SecondFactors::new(&site.instance);
            second_factor::run(place, &factors, &who, switch, out, err)
        }
        Job::Delete { who, force } => changes::delete(place, one(&who)?, force),
        Job::List => listing::list(file, out),
        Job::Check => check(site, out),
        Job::Show { who } => listing::show(file, one(&who)?, domain, out),
        Job::Move(_) => Ok(()), // done above
        Job::Export => transfer::export(file, out),
        Job::Import { file: from, replace } => {
            let (added, replaced) = transfer::import(file, &read_file(&from)?, replace)?;
            writeln!(out, "{added} added, {replaced} replaced").map_err(broken)
        }
    };
    done.map(|()| None)
}

/// The file, and the domains that its addresses are ours in.
struct Place<'a> {
    file: &'a std::path::Path,
    domains: &'a LocalDomains,
}

/// `WHO`, `user WHO` or `group WHO`.
fn one(who: &[String]) -> Result<&str, String> {
    match who {
        [who] => Ok(who),
        [kind, who] if kind == "user" || kind == "group" => Ok(who),
        _ => Err(format!("one user or group at a time: {}", base::escape(&who.join(" ")))),
    }
}

fn check(site: &Site, out: &mut dyn Write) -> Result<(), String> {
    let findings = crate::check::directory_file(&site.instance, &site.config);
    for warning in &findings.warnings {
        writeln!(out, "warning: {warning}").map_err(broken)?;
    }
    if findings.errors.is_empty() {
        return writeln!(out, "OK").map_err(broken);
    }
    Err(findings.errors.join("\n"))
}

/// Values in place of those that are there under the same names; an objectClass is one more.
fn replace(attributes: &mut Vec<(String, Vec<u8>)>, pairs: Vec<(String, Vec<u8>)>) {
    for (name, _) in pairs.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("objectClass")) {
        attributes.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
    }
    attributes.extend(pairs);
}

/// A user's attributes, as `msg-setup` makes them too. `stored` are the values of userPassword.
pub fn user_attributes(
    uid: &str,
    mail: &str,
    name: Option<&str>,
    stored: &[String],
) -> Vec<(String, Vec<u8>)> {
    let name = name.unwrap_or(uid);
    let surname = name.rsplit(' ').next().unwrap_or(name);
    let fixed = [
        ("objectClass", "top"),
        ("objectClass", "person"),
        ("objectClass", "organizationalPerson"),
        ("objectClass", "inetOrgPerson"),
        ("objectClass", "mailRecipient"),
        ("objectClass", "nsMessagingServerUser"),
        ("uid", uid),
        ("cn", name),
        ("sn", surname),
        ("mail", mail),
        ("mailDeliveryOption", "mailbox"),
    ];
    let passwords = stored.iter().map(|stored| ("userPassword", stored.as_str()));
    let all = fixed.into_iter().chain(passwords);
    all.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect()
}

fn group_attributes(mail: &str, members: &[String]) -> Vec<(String, Vec<u8>)> {
    let mut attributes: Vec<(String, Vec<u8>)> =
        // groupOfURLs is structural and demands nothing: without such a class no LDAP server takes the entry.
        [
            ("objectClass", "top"),
            ("objectClass", "groupOfURLs"),
            ("objectClass", "mailGroup"),
            ("cn", mail),
            ("mail", mail),
        ]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .into();
    for member in members {
        attributes.push(("mgrpRFC822MailMember".into(), member.as_bytes().to_vec()));
    }
    attributes
}

/// `uid=joe,ou=People,o=example.org`
///
/// # Errors
/// The uid cannot be a level of a mailbox name or of a dn.
pub fn user_dn(uid: &str, domain: &str) -> Result<String, String> {
    message_store::MailboxName::inbox(uid).map_err(|why| format!("{}: {why}", base::escape(uid)))?;
    Ok(format!("uid={},ou=People,{}", escaped(uid)?, suffix(domain)))
}

fn suffix(domain: &str) -> String {
    format!("o={domain}")
}

fn escaped(value: &str) -> Result<&str, String> {
    if value.is_empty() || value.contains([',', '=', '+', '"', '\\', '<', '>', ';', '#']) {
        return Err(format!("'{}' has characters that a dn cannot hold", base::escape(value)));
    }
    Ok(value)
}

fn qualified(address: &str, domain: &str) -> String {
    if address.contains('@') { address.to_owned() } else { format!("{address}@{domain}") }
}

/// A password nobody can guess, without characters that look alike.
///
/// # Errors
/// The system has no random bytes.
pub fn make_password() -> Result<String, String> {
    const ALPHABET: &[u8; 64] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.+*%!";
    let mut bytes = [0; PASSWORD_LENGTH];
    openssl::rand::rand_bytes(&mut bytes).map_err(|why| why.to_string())?;
    // Only letters and digits: what goes through a shell needs no quotes.
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 57)])).collect())
}

fn read_password() -> Result<String, String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|why| why.to_string())?;
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err("the password is empty".into()) } else { Ok(secret.to_owned()) }
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(|why| why.to_string())?;
        return Ok(bytes);
    }
    std::fs::read(path).map_err(|why| format!("{}: {why}", path.display()))
}

fn split(pair: &str) -> Result<(String, Vec<u8>), String> {
    let (name, value) =
        pair.split_once('=').ok_or_else(|| format!("'{}' is not attribute=value", base::escape(pair)))?;
    Ok((name.trim().to_owned(), value.as_bytes().to_vec()))
}

fn values<'r>(record: &'r Record, name: &str) -> impl Iterator<Item = &'r [u8]> {
    record
        .attributes
        .iter()
        .filter(move |(one, _)| one.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}

/// By uid, by address, and a group by what stands before the @.
fn find<'r>(records: &'r [Record], who: &str, domain: &str) -> Result<&'r Record, String> {
    let has = |name: &'static str, wanted: &str| {
        let wanted = wanted.to_owned();
        move |record: &&Record| {
            values(record, name).any(|value| value.eq_ignore_ascii_case(wanted.as_bytes()))
        }
    };
    let short = format!("{who}@{domain}");
    let found = records.iter().find(has("uid", who)).or_else(|| records.iter().find(has("mail", who)));
    found
        .or_else(|| records.iter().find(has("mail", &short)))
        .ok_or_else(|| format!("{}: no such user or group", base::escape(who)))
}
