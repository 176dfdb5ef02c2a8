//! deliver: a message from standard input into a mailbox (original.md 3.6, S182).

use std::ffi::OsString;
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use directory::Memberships;
use message_store::{Acl, Admission, Flags, MailboxName, NewMessage, QuotaPolicy, Rights, Store, StoreError};

use crate::site::{Site, run_tool};

/// Exit status for a trouble that passes (sysexits: EX_TEMPFAIL).
const TRY_AGAIN: u8 = 75;

#[derive(Parser)]
#[command(name = "deliver", version, about = "Puts the message on standard input into mailboxes")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// The mailbox: below the users when they are named, else its full name (user/joe/Work)
    #[arg(short, value_name = "MAILBOX")]
    mailbox: Option<String>,
    /// Make the mailbox when it is missing
    #[arg(short)]
    create: bool,
    /// The envelope sender, for Return-Path
    #[arg(short = 'r', visible_short_alias = 'f', value_name = "ADDRESS")]
    return_path: Option<String>,
    /// A flag to set: \Seen, \Flagged, a keyword
    #[arg(short = 'g', value_name = "FLAG")]
    flags: Vec<String>,
    /// On behalf of this user, who needs the right p (post) on a mailbox that is not the user's; without it the message goes to
    /// the INBOX of the user it is for. Without -a no rights are asked for
    #[arg(short, value_name = "USER")]
    author: Option<String>,
    /// Deliver although the mailbox is over its quota
    #[arg(short = 'q')]
    beyond_quota: bool,
    /// Accepted and without effect (NMS)
    #[arg(short = 'd', hide = true)]
    _d: bool,
    /// Users
    users: Vec<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code. 75 when it may work later.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let mut try_again = false;
    let code = run_tool("deliver", arguments, out, err, |arguments: Arguments, _, _| {
        work(&arguments, input, &mut try_again)
    });
    if code == 1 && try_again { TRY_AGAIN } else { code }
}

fn work(arguments: &Arguments, input: &mut dyn Read, try_again: &mut bool) -> Result<(), String> {
    let targets = targets(arguments)?;
    let return_path = arguments.return_path.as_deref().map(return_path).transpose()?;
    let site = Site::open(arguments.instance.as_deref(), "deliver")?;
    let store = site.store()?;
    let (flags, keywords) = flags(&arguments.flags)?;
    let mut spool = tempfile::tempfile().map_err(|why| why.to_string())?;
    copy_with_crlf(input, &mut spool).map_err(|why| format!("standard input: {why}"))?;
    let size = spool.metadata().map_err(|why| why.to_string())?.len();
    if size == 0 {
        return Err("there is no message on standard input".into());
    }
    let found = |target| if arguments.create { Ok(target) } else { existing(&site, &store, target) };
    let targets = targets.into_iter().map(found).collect::<Result<Vec<_>, _>>()?;
    let post = |target| match &arguments.author {
        Some(author) => posted(&site, &store, author, target),
        None => Ok(target),
    };
    let targets = targets.into_iter().map(post).collect::<Result<Vec<_>, _>>()?;
    for target in targets {
        let message =
            NewMessage { flags, keywords: keywords.clone(), internal_date_ns: base::clock::unix_nanos() };
        let beyond = beyond_quota(&site, &store, &target, arguments, size).map_err(|why| {
            *try_again = true;
            format!("{target}: {why}")
        })?;
        deliver(&store, &target, arguments.create, beyond, return_path.as_deref(), &mut spool, message)
            .map_err(|why| {
                *try_again = matches!(why, StoreError::NoSpace | StoreError::InUse | StoreError::OverQuota);
                format!("{target}: {why}")
            })?;
    }
    Ok(())
}

/// The mailbox, if it is there; the INBOX of a user who has had no mail yet is made, as SMTP makes it.
fn existing(site: &Site, store: &Store, target: MailboxName) -> Result<MailboxName, String> {
    if store.exists(&target).map_err(|why| format!("{target}: {why}"))? {
        return Ok(target);
    }
    let missing = || format!("{target}: it does not exist (-c makes it)");
    let owner = target.owner().ok_or_else(missing)?;
    let Some(user) = site.user(owner)? else { return Err(format!("{owner}: no such user")) };
    let uid = user.uid.as_deref().unwrap_or(owner);
    if !target.is_inbox() {
        return Err(missing());
    }
    store.ensure_user_in(uid, user.partition.as_deref()).map_err(|why| format!("{target}: {why}"))?;
    MailboxName::inbox(uid).map_err(|why| format!("{target}: {why}"))
}

/// The mailbox if this user may post to it, or the INBOX of its owner: mail to that is for everybody (original.md 3.6).
fn posted(site: &Site, store: &Store, author: &str, target: MailboxName) -> Result<MailboxName, String> {
    let user = site.user(author)?.ok_or(format!("{}: no such user", base::escape(author)))?;
    let author = user.uid.as_deref().unwrap_or(author);
    let admins = site.config.get(&server_config::parameters::store::ADMINS);
    if target.is_inbox() || target.owner() == Some(author) || admins.iter().any(|admin| admin == author) {
        return Ok(target);
    }
    let acl = match store.acl(&target) {
        Err(StoreError::NotFound) => Acl::default(), // it is to be made: nobody has rights there yet
        other => other.map_err(|why| format!("{target}: {why}"))?,
    };
    let directory =
        directory::open(&site.config, &site.instance, &site.log).map_err(|why| why.to_string())?;
    let memberships = Memberships::default();
    let rights = acl.rights(author, |group| memberships.is_member(directory.as_ref(), group, author));
    match target.owner() {
        _ if rights.contains(Rights::POST) => Ok(target),
        Some(owner) => MailboxName::inbox(owner).map_err(|why| why.to_string()),
        None => Err(format!("{target}: {author} may not post to it (right p)")),
    }
}

/// Whether the quota does not matter: it is not to, or the grace period of the user is not over. Mail that comes brings the
/// limits of the directory.
fn beyond_quota(
    site: &Site,
    store: &Store,
    target: &MailboxName,
    arguments: &Arguments,
    size: u64,
) -> Result<bool, String> {
    let policy = QuotaPolicy::from_config(&site.config);
    let user = match target.owner().map(|owner| site.user(owner)) {
        Some(user) if policy.enforce && !arguments.beyond_quota => user?,
        _ => return Ok(true),
    };
    let Some(user) = user else { return Ok(false) };
    let uid = user.uid.as_deref().unwrap_or_default();
    store.ensure_user_in(uid, user.partition.as_deref()).map_err(|why| why.to_string())?;
    let limits = policy.limits(user.quota_bytes, user.quota_messages);
    match store.mail_comes(uid, limits, size, policy.grace).map_err(|why| why.to_string())? {
        Admission::Full(_) => Err(StoreError::OverQuota.to_string()),
        Admission::InGrace => Ok(true),
        Admission::Fits(_) => Ok(false),
    }
}

fn targets(arguments: &Arguments) -> Result<Vec<MailboxName>, String> {
    let told = |text: &str, why: message_store::NameError| format!("{}: {why}", base::escape(text));
    match (&arguments.mailbox, arguments.users.as_slice()) {
        (None, []) => Err("name users, or a mailbox with -m".into()),
        (Some(mailbox), []) => Ok(vec![MailboxName::parse(mailbox).map_err(|why| told(mailbox, why))?]),
        (mailbox, users) => users
            .iter()
            .map(|user| {
                let inbox = MailboxName::inbox(user).map_err(|why| told(user, why))?;
                match mailbox {
                    Some(mailbox) => MailboxName::parse(&format!("user/{user}/{mailbox}"))
                        .map_err(|why| told(mailbox, why)),
                    None => Ok(inbox),
                }
            })
            .collect(),
    }
}

fn return_path(address: &str) -> Result<String, String> {
    let bare = address.trim().trim_start_matches('<').trim_end_matches('>');
    if bare.contains(|c: char| c.is_control() || c == ' ') {
        return Err("the address has blanks or control characters".into());
    }
    Ok(format!("Return-Path: <{bare}>\r\n"))
}

fn flags(names: &[String]) -> Result<(Flags, Vec<String>), String> {
    let mut flags = Flags::NONE;
    let mut keywords = Vec::new();
    for name in names {
        match name.strip_prefix('\\').map(str::to_ascii_lowercase).as_deref() {
            Some("seen") => flags |= Flags::SEEN,
            Some("answered") => flags |= Flags::ANSWERED,
            Some("flagged") => flags |= Flags::FLAGGED,
            Some("deleted") => flags |= Flags::DELETED,
            Some("draft") => flags |= Flags::DRAFT,
            Some(_) => return Err(format!("{}: no such flag", base::escape(name))),
            None => keywords.push(name.clone()),
        }
    }
    Ok((flags, keywords))
}

/// Messages are stored with CRLF; what comes from a Unix tool has LF.
fn copy_with_crlf(input: &mut dyn Read, output: &mut impl Write) -> std::io::Result<()> {
    let mut input = std::io::BufReader::new(input);
    let mut output = std::io::BufWriter::new(output);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if line.last() == Some(&b'\n') {
            let end = if line.ends_with(b"\r\n") { line.len() - 2 } else { line.len() - 1 };
            output.write_all(&line[..end])?;
            output.write_all(b"\r\n")?;
        } else {
            output.write_all(&line)?;
            output.write_all(b"\r\n")?;
        }
        line.clear();
    }
    output.flush()
}

fn deliver(
    store: &Store,
    target: &MailboxName,
    create: bool,
    beyond: bool,
    return_path: Option<&str>,
    spool: &mut std::fs::File,
    message: NewMessage,
) -> Result<(), StoreError> {
    use std::io::Seek;
    if create && !store.exists(target)? {
        store.create(target, None)?;
    }
    let mailbox = store.open_mailbox(target)?;
    let mut incoming = mailbox.begin_append()?;
    if beyond {
        incoming = incoming.beyond_quota();
    }
    incoming.write_all(return_path.unwrap_or("").as_bytes())?;
    spool.rewind()?;
    std::io::copy(spool, &mut incoming)?;
    incoming.finish(message).map(drop)
}
