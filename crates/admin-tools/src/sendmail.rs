//! sendmail: how programs of this host hand in a message (S92 to S95).
//!
//! A drop-in for what cron, mailx and git call `/usr/lib/sendmail`: the message comes on standard input, the recipients on
//! the command line or, with `-t`, from To, Cc and Bcc. It is completed (Date, Message-ID, From), kept in a temporary file
//! and not in memory, and submitted by SMTP to the smtpd of the instance; where that listens is looked up at each run.
//! `-bs` passes SMTP through, `-bv` asks whether addresses can be written to, `-bp` is mailq, `-q` msg-queue flush.
//!
//! Exit statuses are those of sysexits(3). A status of 0 means that smtpd has taken responsibility for every recipient.
//! // NMS: the look-up chains of the guide, L538 to L550; the options of the original's sendmail (`-t -f -i -bs -bp -F -v`).

mod arguments;
mod exit;
mod message;
mod recipients;
mod submission;
mod target;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use clap::{CommandFactory, Parser};
use directory::LocalDomains;
use mail_queue::Verb;
use server_config::parameters::local;
use server_config::{Config, Instance};
use smtp_wire::Address;
use smtp_wire::address::AddressError;

use crate::msg_queue::change::{self, Targets};
use crate::selection::Selection;
use crate::site::Site;
use arguments::Arguments;
use exit::Failure;
use message::Author;
use submission::{Submission, Wishes};

/// The instance when neither `--instance` nor CONFIGROOT names one: that of the service units in `etc/systemd`.
const USUAL_INSTANCE: &str = "/var/lib/mailboat";

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments::prepared(arguments)) {
        Ok(arguments) => arguments,
        Err(stop) if !stop.use_stderr() => {
            let _ = write!(out, "{stop}");
            return exit::OK;
        }
        Err(stop) => return tell(&Failure::new(exit::USAGE, arguments::first_line(&stop)), err),
    };
    match work(&arguments, input, out, err) {
        Ok(code) => code,
        Err(why) => tell(&why, err),
    }
}

fn tell(why: &Failure, err: &mut dyn Write) -> u8 {
    let _ = writeln!(err, "sendmail: {}", base::escape(&why.text));
    why.code
}

fn work(
    arguments: &Arguments,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let place = Place::find(arguments.instance.as_deref())?;
    if let Some(what) = &arguments.queue_run {
        return queue_run(what, &place, out);
    }
    match arguments.mode() {
        "m" => submit(arguments, &place, input, out, err),
        "v" => verify(arguments, &place, out),
        "s" => {
            submission::pass_through(&target::addresses(&place.config)?, out)?;
            Ok(exit::OK)
        }
        "p" => Ok(queue_listing(arguments, &place, out, err)),
        // Aliases are entries of the directory: there is no table to make.
        "i" => Ok(exit::OK),
        "d" | "D" => Err(Failure::new(exit::UNAVAILABLE, "start-msg smtp starts the server")),
        other => Err(Failure::new(exit::USAGE, format!("-b{other}: there is no such mode"))),
    }
}

fn queue_listing(arguments: &Arguments, place: &Place, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut line: Vec<OsString> = vec!["mailq".into()];
    if let Some(instance) = &place.instance {
        line.extend(["--instance".into(), instance.root().into()]);
    }
    if arguments.verbose {
        line.push("--list".into());
    }
    match crate::mailq::run(line, out, err) {
        0 => exit::OK,
        2 => exit::USAGE,
        _ => exit::UNAVAILABLE,
    }
}

/// `-q`: what `msg-queue flush` does.
fn queue_run(what: &str, place: &Place, out: &mut dyn Write) -> Result<u8, Failure> {
    let around = |text: &str| vec![format!("*{text}*")];
    let mut selection = Selection::default();
    match what.split_at_checked(1) {
        None => {}
        Some(("R", text)) => selection.recipient = around(text),
        Some(("S", text)) => selection.sender = around(text),
        Some(("I", text)) => {
            let id = crate::selection::id(text).map_err(|why| Failure::new(exit::USAGE, why))?;
            selection.id = vec![id];
        }
        _ => return Err(Failure::new(exit::USAGE, format!("-q{what}: smtpd looks at its queue by itself"))),
    }
    let root = place.instance.as_ref().map(Instance::root);
    let site = Site::open(root, "sendmail").map_err(|why| Failure::new(exit::CONFIG, why))?;
    change::run(&site, Verb::Flush, &Targets::of(selection), out)
        .map_err(|why| Failure::new(exit::UNAVAILABLE, why))?;
    Ok(exit::OK)
}

/// Where this runs: the instance, if there is one, and what follows from its configuration.
struct Place {
    instance: Option<Instance>,
    config: Config,
    /// The name of this host.
    host: String,
    /// The domain of addresses that have none.
    domain: String,
    /// Why nothing of the configuration is known.
    unread: Option<String>,
}

impl Place {
    fn find(named: Option<&Path>) -> Result<Place, Failure> {
        let instance = match Instance::find(named) {
            Some(instance) if instance.local_conf().exists() || is_closed(&instance) => Some(instance),
            Some(instance) => {
                let text = format!("{}: there is no instance", instance.local_conf().display());
                return Err(Failure::new(exit::CONFIG, text));
            }
            None => Some(Instance::new(USUAL_INSTANCE))
                .filter(|usual| usual.local_conf().exists() || is_closed(usual)),
        };
        let unread = instance.as_ref().filter(|instance| is_closed(instance));
        let unread = unread.map(|instance| format!("{} may not be read", instance.local_conf().display()));
        let config = match &instance {
            Some(_) if unread.is_some() => Config::empty(),
            Some(instance) => {
                Config::load(instance).map_err(|why| Failure::new(exit::CONFIG, why.to_string()))?
            }
            None => Config::empty(),
        };
        let set = config.get(&local::HOST_NAME);
        let host = if set.is_empty() { message::system_name() } else { set };
        let default = LocalDomains::from_config(&config).default_domain().to_owned();
        let domain = if default.is_empty() { host.clone() } else { default };
        Ok(Place { instance, config, host, domain, unread })
    }
}

/// The instance may be there, and its configuration is not for us: then the last of each look-up chain counts.
fn is_closed(instance: &Instance) -> bool {
    std::fs::File::open(instance.local_conf())
        .is_err_and(|why| why.kind() == std::io::ErrorKind::PermissionDenied)
}

fn submit(
    arguments: &Arguments,
    place: &Place,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Failure> {
    let author = Author::of(arguments, place)?;
    let mut named = recipients::of_words(&arguments.recipients, &place.domain)?;
    if named.is_empty() && !arguments.from_header {
        return Err(Failure::new(exit::USAGE, "name recipients, or give -t"));
    }
    let mut message = message::Message::read(input, !arguments.dots_are_text())?;
    if arguments.from_header {
        recipients::of_header(&message, &place.domain, &mut named)?;
        if named.is_empty() {
            return Err(Failure::new(exit::USAGE, "the message has no recipients in To, Cc or Bcc"));
        }
    }
    message.complete(&author, &place.host);
    let wishes = Wishes {
        notify: arguments.notify.clone(),
        ret: arguments.ret.clone(),
        envid: arguments.envelope_id.clone(),
    };
    let refused = with_smtpd(arguments, place, out, |server| {
        server.send(author.sender.as_ref(), &named, &wishes, &mut message)
    })?;
    for (recipient, why) in &refused {
        tell(&Failure::new(why.code, format!("{recipient}: {}", why.text)), err);
    }
    // Who tries again after a passing failure would send twice to those who were accepted: the permanent one counts.
    let permanent = refused.iter().map(|(_, why)| why.code).find(|code| *code != exit::TEMPFAIL);
    Ok(permanent.or(refused.first().map(|(_, why)| why.code)).unwrap_or(exit::OK))
}

/// `-bv`: whether smtpd would take these recipients.
fn verify(arguments: &Arguments, place: &Place, out: &mut dyn Write) -> Result<u8, Failure> {
    let author = Author::of(arguments, place)?;
    let named = recipients::of_words(&arguments.recipients, &place.domain)?;
    if named.is_empty() {
        return Err(Failure::new(exit::USAGE, "name the addresses"));
    }
    let answers = with_smtpd(arguments, place, &mut std::io::sink(), |server| {
        server.verify(author.sender.as_ref(), &named)
    })?;
    let mut code = exit::OK;
    for (address, answer) in named.iter().zip(answers) {
        let text = match answer {
            Ok(()) => "deliverable".to_owned(),
            Err(why) => {
                code = why.code;
                why.text
            }
        };
        writeln!(out, "{address}... {}", base::escape(&text))
            .map_err(|why| Failure::new(exit::IOERR, why.to_string()))?;
    }
    Ok(code)
}

fn with_smtpd<T>(
    arguments: &Arguments,
    place: &Place,
    out: &mut dyn Write,
    run: impl FnOnce(&mut Submission) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transcript = arguments.verbose.then_some(out);
    let opened = Submission::open(&target::addresses(&place.config)?, &place.host, transcript);
    let mut server = opened.map_err(|why| match &place.unread {
        Some(unread) => Failure::new(why.code, format!("{} ({unread}: this is the usual place)", why.text)),
        None => why,
    })?;
    let result = run(&mut server);
    server.quit();
    result
}

/// An address of the command line or of a header, with its domain.
fn qualified(text: &str, domain: &str) -> Result<Address, Failure> {
    Address::parse(text.as_bytes(), true, true).map(|address| address.qualified(domain)).map_err(|why| {
        let reason = match why {
            AddressError::Syntax => "not an address",
            AddressError::DomainTooLong => "the domain is too long",
            AddressError::NeedsUtf8 => "the address is not in UTF-8",
        };
        Failure::new(exit::DATAERR, format!("{text}: {reason}"))
    })
}
