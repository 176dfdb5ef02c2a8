//! msg-setup: makes an instance. It never touches one that is there, nor a folder that holds something else.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use directory::ldif;
use directory::password::Schemes;
use server_config::config::quote;
use server_config::{Config, Instance, edit};

use crate::certificate;
use crate::dirutil::{checks, make_password, user_attributes, user_dn};
use crate::site::{broken, run_tool};

#[derive(Parser)]
#[command(
    name = "msg-setup",
    version,
    about = "Makes an instance: folders, parameters, certificate, directory"
)]
struct Arguments {
    /// The instance's folder
    #[arg(long)]
    instance: PathBuf,
    /// The mail domain: example.org
    #[arg(long)]
    domain: String,
    /// The name of this host: mail.example.org
    #[arg(long)]
    hostname: String,
    /// uid of the store's administrator
    #[arg(long, default_value = "admin")]
    admin: String,
    /// uid of an ordinary user; may be given several times
    #[arg(long = "user", value_name = "UID")]
    users: Vec<String>,
    /// Host or address to listen on; every one when it is not given
    #[arg(long)]
    listen: Option<String>,
    /// uid:password lines; passwords are made up for those who are not in it
    #[arg(long, value_name = "FILE")]
    passwords_file: Option<PathBuf>,
    /// The user of this host whom the daemons become; the instance is given to them. For root only
    #[arg(long, value_name = "NAME")]
    server_user: Option<String>,
    /// Parameters to begin with: a file of etc/profiles
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    #[arg(long, value_name = "PORT", default_value_t = 25)]
    smtp_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 587)]
    submission_port: u16,
    /// 0: off
    #[arg(long, value_name = "PORT", default_value_t = 465)]
    submissions_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 143)]
    imap_port: u16,
    /// 0: off
    #[arg(long, value_name = "PORT", default_value_t = 993)]
    imaps_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 110)]
    pop_port: u16,
    /// 0: off
    #[arg(long, value_name = "PORT", default_value_t = 995)]
    pops_port: u16,
    /// The web mail, without encryption: people sign in there on this host only. 0: off
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    http_port: u16,
    /// 0: off
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    https_port: u16,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code. Prints a line for each account: uid and password.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("msg-setup", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), String> {
    let instance = Instance::new(&arguments.instance);
    if instance.local_conf().exists() {
        return Err(format!("there is an instance in {} already", arguments.instance.display()));
    }
    let settings = parameters(&arguments)?;
    let owner = server_user(&settings)?;
    let accounts = accounts(&arguments)?;
    refuse_foreign(&instance)?;
    make_folders(&instance)?;
    let root = fs::canonicalize(&arguments.instance).map_err(|why| why.to_string())?;
    let instance = Instance::new(root);
    let schemes = Schemes::from_config(&Config::from_text(&settings).map_err(|why| why.to_string())?);
    write_directory(&instance, &arguments, &schemes, &accounts)?;
    certificate::make(&instance.certs_dir(), &arguments.hostname, &addresses(&arguments))?;
    // Last: with it, the folder is an instance.
    write_new(&instance.local_conf(), settings.as_bytes(), 0o640)?;
    if let Some(owner) = owner {
        give_all(instance.root(), owner)?;
        // Programs are run as others by what stands there: the daemons may read it, and only root writes it.
        lchown(instance.local_conf(), Some(0), Some(owner.1)).map_err(|why| why.to_string())?;
    }
    for (uid, password) in &accounts {
        writeln!(out, "{uid} {password}").map_err(broken)?;
    }
    Ok(())
}

/// Whom the instance is for, by the parameters; nothing when whoever makes it is to run it.
fn server_user(settings: &str) -> Result<Option<(u32, u32)>, String> {
    let config = Config::from_text(settings).map_err(|why| why.to_string())?;
    let user = server_config::server_user::numbers(&config)?;
    if user.is_some() && os::process::own_uid() != 0 {
        return Err("only root can make an instance for another user: leave --server-user out".into());
    }
    Ok(user)
}

/// Gives a folder and all in it to a user; links are given, not followed.
fn give_all(path: &Path, (uid, gid): (u32, u32)) -> Result<(), String> {
    let told = |why: std::io::Error| format!("{}: {why}", path.display());
    lchown(path, Some(uid), Some(gid)).map_err(told)?;
    if !fs::symlink_metadata(path).map_err(told)?.is_dir() {
        return Ok(());
    }
    for inside in fs::read_dir(path).map_err(told)? {
        give_all(&inside.map_err(told)?.path(), (uid, gid))?;
    }
    Ok(())
}

fn addresses(arguments: &Arguments) -> Vec<IpAddr> {
    let mut all = vec![IpAddr::from([127, 0, 0, 1])];
    all.extend(arguments.listen.as_deref().and_then(|text| text.parse::<IpAddr>().ok()));
    all.dedup();
    all
}

/// A mail domain is letters, digits and inner hyphens between dots (RFC 5321 §4.1.2), or letters of other scripts (RFC 6531).
fn check_domain(domain: &str) -> Result<(), String> {
    let is_good = |c: char| {
        c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && !c.is_whitespace() && !c.is_control())
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(is_good)
    };
    match domain.len() <= 255 && domain.split('.').all(is_label) {
        true => Ok(()),
        false => Err(format!("--domain {}: this is no domain of mail", base::escape(domain))),
    }
}

/// The text of local.conf, every value checked.
fn parameters(arguments: &Arguments) -> Result<String, String> {
    check_domain(&arguments.domain)?;
    let yes_no = |on: bool| if on { "yes" } else { "no" }.to_owned();
    let mut set: Vec<(String, String)> = Vec::new();
    if let Some(profile) = &arguments.profile {
        // A missing local.conf is an empty one; a missing profile is a mistake.
        fs::File::open(profile).map_err(|why| format!("--profile {}: {why}", profile.display()))?;
        let config = Config::read(profile).map_err(|why| why.to_string())?;
        set.extend(config.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let mut own = |name: &str, value: String| set.push((name.to_owned(), value));
    own("local.hostname", arguments.hostname.clone());
    own("service.smtp.domain", arguments.domain.clone());
    own("service.smtp.defaultdomain", arguments.domain.clone());
    own("service.smtp.smtp-router.localmaildomains", arguments.domain.clone());
    if let Some(listen) = &arguments.listen {
        own("service.listenaddr", listen.clone());
    }
    own("service.smtp.port", arguments.smtp_port.to_string());
    own("local.service.smtp.submissionport", arguments.submission_port.to_string());
    own("local.service.smtp.submissionsport", arguments.submissions_port.to_string());
    own("service.imap.port", arguments.imap_port.to_string());
    own("service.imap.enablesslport", yes_no(arguments.imaps_port != 0));
    own("service.imap.sslport", arguments.imaps_port.to_string());
    own("service.pop.port", arguments.pop_port.to_string());
    own("service.pop.enablesslport", yes_no(arguments.pops_port != 0));
    own("service.pop.sslport", arguments.pops_port.to_string());
    own("service.http.port", arguments.http_port.to_string());
    own("service.http.enablesslport", yes_no(arguments.https_port != 0));
    own("service.http.sslport", arguments.https_port.to_string());
    own("store.admins", arguments.admin.clone());
    if let Some(user) = &arguments.server_user {
        own("local.serveruid", user.clone());
    }
    own("store.quotaenforcement", "yes".to_owned());
    let mut text = String::from(
        "# Parameters of this instance. configutil changes them and knows what each one does:\n# configutil explain NAME\n",
    );
    for (at, (name, value)) in set.iter().enumerate() {
        edit::admit(name, value).map_err(|why| why.to_string())?;
        if !set[at + 1..].iter().any(|(later, _)| later == name) {
            text.push_str(&format!("{name} = {}\n", quote(value)));
        }
    }
    Ok(text)
}

/// Who is made, with passwords: the administrator, the postmaster, the users.
fn accounts(arguments: &Arguments) -> Result<Vec<(String, String)>, String> {
    let given = match &arguments.passwords_file {
        None => Vec::new(),
        Some(path) => fs::read_to_string(path)
            .map_err(|why| format!("{}: {why}", path.display()))?
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(uid, password)| (uid.to_owned(), password.to_owned()))
            .collect(),
    };
    let mut accounts: Vec<(String, String)> = Vec::new();
    let uids = [arguments.admin.as_str(), "postmaster"];
    for uid in uids.into_iter().chain(arguments.users.iter().map(String::as_str)) {
        if accounts.iter().any(|(other, _)| other.eq_ignore_ascii_case(uid)) {
            return Err(format!("{} is named twice", base::escape(uid)));
        }
        checks::uid(uid)?;
        user_dn(uid, &arguments.domain)?; // refused before anything is made
        let known = given.iter().find(|(one, _)| one == uid).map(|(_, password)| password.clone());
        let password = known.map_or_else(make_password, Ok)?;
        accounts.push((uid.to_owned(), password));
    }
    Ok(accounts)
}

/// An instance needs a folder of its own; the `lost+found` of a file system of its own may be there.
fn refuse_foreign(instance: &Instance) -> Result<(), String> {
    let told = |why: std::io::Error| format!("{}: {why}", instance.root().display());
    if instance.mark().exists() {
        let folder = instance.root().display();
        return Err(format!("{folder} holds an instance that was not finished: delete it first"));
    }
    let entries = match fs::read_dir(instance.root()) {
        Ok(entries) => entries,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(told(why)),
    };
    for entry in entries {
        let name = entry.map_err(told)?.file_name();
        if name != "lost+found" {
            let (folder, name) = (instance.root().display(), base::escape(&name.to_string_lossy()));
            return Err(format!(
                "{folder} is not empty: '{name}' is there; an instance needs a folder of its own"
            ));
        }
    }
    Ok(())
}

fn make_folders(instance: &Instance) -> Result<(), String> {
    let mut folders = vec![
        instance.config_dir(),
        instance.certs_dir(),
        instance.run_dir(),
        instance.tmp_dir(),
        instance.queue_dir(),
        instance.store_dir(),
    ];
    folders.extend(["smtp", "imap", "pop", "store", "audit"].map(|service| instance.log_dir(service)));
    let make = |folder: &Path| {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder).map_err(|why| format!("{}: {why}", folder.display()))
    };
    make(instance.root())?;
    write_new(&instance.mark(), Instance::mark_text().as_bytes(), 0o644)?;
    folders.iter().try_for_each(|folder| make(folder))
}

fn write_directory(
    instance: &Instance,
    arguments: &Arguments,
    schemes: &Schemes,
    accounts: &[(String, String)],
) -> Result<(), String> {
    let domain = &arguments.domain;
    let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let mut text = String::from(
        "version: 1\n\n# Users and groups. dirutil changes them; the daemons read this file again when it is another.\n\n",
    );
    let top = format!("o={domain}");
    text.push_str(&ldif::write(
        &top,
        &[pair("objectClass", "top"), pair("objectClass", "organization"), pair("o", domain)],
    ));
    for unit in ["People", "Groups"] {
        let dn = format!("ou={unit},{top}");
        let attributes =
            [pair("objectClass", "top"), pair("objectClass", "organizationalUnit"), pair("ou", unit)];
        text.push_str(&ldif::write(&dn, &attributes));
    }
    for (uid, password) in accounts {
        let attributes = user_attributes(uid, &format!("{uid}@{domain}"), None, &schemes.store(password)?);
        text.push_str(&ldif::write(&user_dn(uid, domain)?, &attributes));
    }
    write_new(&instance.directory_ldif(), text.as_bytes(), 0o600)
}

/// Writes a file that must not be there.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), String> {
    let told = |why: std::io::Error| format!("{}: {why}", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(told)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_domain_of_mail_is_refused() {
        for good in
            ["example.org", "mail-1.example.test", "localhost", "bücher.example", "xn--bcher-kva.example"]
        {
            assert_eq!(check_domain(good), Ok(()));
        }
        for bad in ["", "x_y", "a..b", ".example.org", "-a.org", "a-.org", "a b", "a@b"] {
            assert!(check_domain(bad).is_err(), "{bad}");
        }
    }
}
