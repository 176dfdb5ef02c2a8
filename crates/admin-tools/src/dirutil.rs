//! dirutil: users and groups of the embedded directory.

mod transfer;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use directory::edit::{self, Change};
use directory::ldif::Record;
use directory::{LocalDomains, password};

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
        /// uid of the user, or address of the group
        who: String,
        /// attribute=value, in place of what is there
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<String>,
        /// attribute=value, beside what is there
        #[arg(long, value_name = "NAME=VALUE")]
        add: Vec<String>,
        /// attribute, or attribute=value
        #[arg(long, value_name = "NAME[=VALUE]")]
        remove: Vec<String>,
    },
    /// A new password, made up and printed unless it is given
    Password {
        /// uid
        who: String,
        /// Read it from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Remove a user or group; mailboxes stay (see mboxutil -d)
    Delete {
        /// uid of the user, or address of the group
        who: String,
    },
    /// Everybody: uid or address, kind, addresses
    List,
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
    /// All attributes but the password
    Show {
        /// uid of the user, or address of the group
        who: String,
    },
}

#[derive(Subcommand)]
enum Add {
    /// A user; the password is made up and printed unless it is given
    User {
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
        /// attribute=value
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<String>,
    },
    /// A group
    Group {
        /// Its address, or the part before the @
        address: String,
        /// Addresses of its members
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

fn work(arguments: Arguments, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "dirutil")?;
    let file = site.directory_file();
    let domains = LocalDomains::from_config(&site.config);
    match arguments.job {
        Job::Add(Add::User { uid, mail, name, password_stdin, set }) => {
            let secret = if password_stdin { read_password()? } else { make_password()? };
            let mail = mail.unwrap_or_else(|| format!("{uid}@{}", domains.default_domain()));
            let mut attributes = user_attributes(&uid, &mail, name.as_deref(), &secret)?;
            for pair in &set {
                attributes.push(split(pair)?);
            }
            let dn = user_dn(&uid, domains.default_domain())?;
            add(&file, &dn, attributes)?;
            if password_stdin { Ok(()) } else { writeln!(out, "{uid} {secret}").map_err(broken) }
        }
        Job::Add(Add::Group { address, member }) => {
            let mail = qualified(&address, domains.default_domain());
            let dn = format!("cn={},ou=Groups,{}", escaped(&mail)?, suffix(domains.default_domain()));
            add(&file, &dn, group_attributes(&mail, &member))
        }
        Job::Change { who, set, add, remove } => change(&file, &who, &set, &add, &remove),
        Job::Password { who, password_stdin } => {
            let secret = if password_stdin { read_password()? } else { make_password()? };
            let hash = password::hash(&secret)?;
            change(&file, &who, &[format!("userPassword={hash}")], &[], &[])?;
            if password_stdin { Ok(()) } else { writeln!(out, "{who} {secret}").map_err(broken) }
        }
        Job::Delete { who } => {
            let dn = find(&edit::read(&file)?, &who)?.dn.clone();
            edit::change(&file, |_| Ok(Change::Delete { dn: &dn }))
        }
        Job::List => list(&file, out),
        Job::Show { who } => show(&file, &who, out),
        Job::Export => transfer::export(&file, out),
        Job::Import { file: from, replace } => {
            let (added, replaced) = transfer::import(&file, &read_file(&from)?, replace)?;
            writeln!(out, "{added} added, {replaced} replaced").map_err(broken)
        }
    }
}

/// A user's attributes, as `msg-setup` makes them too.
///
/// # Errors
/// The password cannot be hashed.
pub fn user_attributes(
    uid: &str,
    mail: &str,
    name: Option<&str>,
    secret: &str,
) -> Result<Vec<(String, Vec<u8>)>, String> {
    let name = name.unwrap_or(uid);
    let surname = name.rsplit(' ').next().unwrap_or(name);
    Ok([
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
        ("userPassword", &password::hash(secret)?),
    ]
    .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
    .into())
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

fn find<'r>(records: &'r [Record], who: &str) -> Result<&'r Record, String> {
    let is = |record: &&Record| {
        ["uid", "mail"]
            .iter()
            .any(|name| values(record, name).any(|value| value.eq_ignore_ascii_case(who.as_bytes())))
    };
    records.iter().find(is).ok_or_else(|| format!("{}: no such user or group", base::escape(who)))
}

/// Adds an entry whose uid and addresses nobody else has.
fn add(file: &std::path::Path, dn: &str, attributes: Vec<(String, Vec<u8>)>) -> Result<(), String> {
    edit::change(file, |records| {
        let taken = |name: &str, value: &[u8]| {
            records.iter().any(|record| values(record, name).any(|one| one.eq_ignore_ascii_case(value)))
        };
        for (name, value) in &attributes {
            let unique: &[&str] = match name.to_ascii_lowercase().as_str() {
                "uid" => &["uid"],
                "mail" | "mailalternateaddress" => &["mail", "mailAlternateAddress"],
                _ => &[],
            };
            if unique.iter().any(|name| taken(name, value)) {
                return Err(format!("{} is taken", base::escape(&String::from_utf8_lossy(value))));
            }
        }
        Ok(Change::Add { dn, attributes })
    })
}

fn change(
    file: &std::path::Path,
    who: &str,
    set: &[String],
    add: &[String],
    remove: &[String],
) -> Result<(), String> {
    if set.is_empty() && add.is_empty() && remove.is_empty() {
        return Err("say what: --set, --add or --remove".into());
    }
    let records = edit::read(file)?;
    let dn = find(&records, who)?.dn.clone();
    edit::change(file, |records| {
        let record = find(records, who)?;
        let mut attributes = record.attributes.clone();
        for one in remove {
            let (name, value) =
                one.split_once('=').map_or((one.as_str(), None), |(name, value)| (name, Some(value)));
            let before = attributes.len();
            attributes.retain(|(have, is)| {
                !have.eq_ignore_ascii_case(name.trim()) || value.is_some_and(|value| is != value.as_bytes())
            });
            if attributes.len() == before {
                return Err(format!("{}: there is no {}", base::escape(who), base::escape(one)));
            }
        }
        let pairs: Vec<(String, Vec<u8>)> = set.iter().map(|pair| split(pair)).collect::<Result<_, _>>()?;
        for (name, _) in &pairs {
            attributes.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        }
        attributes.extend(pairs);
        for pair in add {
            attributes.push(split(pair)?);
        }
        Ok(Change::Replace { dn: &dn, attributes })
    })
}

fn list(file: &std::path::Path, out: &mut dyn Write) -> Result<(), String> {
    for record in edit::read(file)? {
        let first = |name: &str| {
            values(&record, name).next().map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let Some(mail) = first("mail") else { continue };
        let kind = if first("uid").is_some() { "user" } else { "group" };
        let name = first("uid").unwrap_or_else(|| mail.clone());
        let more: Vec<String> = values(&record, "mailAlternateAddress")
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        writeln!(
            out,
            "{} {kind} {} {}",
            base::escape(&name),
            base::escape(&mail),
            base::escape(&more.join(" "))
        )
        .map_err(broken)?;
    }
    Ok(())
}

fn show(file: &std::path::Path, who: &str, out: &mut dyn Write) -> Result<(), String> {
    let records = edit::read(file)?;
    let record = find(&records, who)?;
    writeln!(out, "dn: {}", base::escape(&record.dn)).map_err(broken)?;
    let mut seen: BTreeMap<String, ()> = BTreeMap::new();
    for (name, value) in &record.attributes {
        if name.eq_ignore_ascii_case("userPassword") {
            if seen.insert("password".into(), ()).is_none() {
                writeln!(out, "userPassword: (set)").map_err(broken)?;
            }
            continue;
        }
        writeln!(out, "{name}: {}", base::escape(&String::from_utf8_lossy(value))).map_err(broken)?;
    }
    Ok(())
}
