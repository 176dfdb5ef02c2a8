//! `configutil filter`: whether the rules of the UBE filter are right, and which of them fire on a message.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use mail_format::header::{header_fields, header_length};
use server_config::{Config, Instance};
use ube_filter::{Control, Filter, HEADER_BYTES_MAX, Mail, Mistake, Origin, Reports, Verdict};

/// What `configutil filter` is asked.
#[derive(clap::Args)]
pub struct Asked {
    /// Say which rules fire on this message, and what becomes of it; - is standard input
    message: Option<PathBuf>,
    /// Other rules than those of config/filter.cfg
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// The envelope sender
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    from: String,
    /// A recipient; may stand several times
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// The client: name [address]
    #[arg(long, value_name = "NAME", default_value = "localhost [127.0.0.1]")]
    client: String,
    /// The uid of who logged in
    #[arg(long, value_name = "UID")]
    user: Option<String>,
}

/// Checks the rules, and has them judge the message, if there is one.
///
/// # Errors
/// What is wrong, a line each.
pub fn run(asked: &Asked, instance: Option<&Path>, out: &mut dyn Write) -> Result<(), String> {
    let path = match &asked.rules {
        Some(path) => path.clone(),
        None => Instance::open(instance)?.filter_cfg(),
    };
    let text = |why: io::Error| why.to_string();
    let shown = path.display();
    let Some(filter) = read(&path).map_err(|mistakes| mistakes.join("\n"))? else {
        if asked.rules.is_some() {
            return Err(format!("{shown}: there is no such file"));
        }
        return writeln!(out, "{shown} is not there: mail is not filtered").map_err(text);
    };
    let Some(message) = &asked.message else {
        return writeln!(out, "{shown}: {} rules, OK", filter.len()).map_err(text);
    };
    let message = content(message).map_err(|why| format!("{}: {why}", message.display()))?;
    let header = &message[..header_length(&message).min(HEADER_BYTES_MAX)];
    let judgement = filter.judge(&Mail { header, controls: controls(asked, header, message.len()) });
    for fired in &judgement.fired {
        writeln!(out, "{fired}").map_err(text)?;
    }
    let end = match judgement.verdict {
        Verdict::Pass => "delivered".to_owned(),
        Verdict::Drop => "dropped".to_owned(),
        Verdict::Hold => "held".to_owned(),
        Verdict::Reject(_) => rejected(asked, instance, header)?,
    };
    writeln!(out, "{end}").map_err(text)
}

/// What REJECT comes to: a report, or none to a sender who may be forged. As the instance has it, if there is one.
fn rejected(asked: &Asked, instance: Option<&Path>, header: &[u8]) -> Result<String, String> {
    let config = match Instance::open(instance) {
        Ok(instance) => Config::load(&instance).map_err(|why| why.to_string())?,
        Err(why) if instance.is_some() => return Err(why),
        Err(_) => Config::empty(),
    };
    let (has_sender, is_logged_in) = (!asked.from.is_empty(), asked.user.is_some());
    let origin = Origin { has_sender, is_logged_in, client: &asked.client };
    Ok(match Reports::from_config(&config).tells(&origin, header) {
        Ok(()) => format!("rejected: a report goes to <{}>", base::escape(&asked.from)),
        Err(why) => format!("dropped without a report: {why}"),
    })
}

/// The rules of a file; nothing when there is none.
///
/// # Errors
/// Each mistake, with file and line.
pub fn read(path: &Path) -> Result<Option<Filter>, Vec<String>> {
    let told = |mistake: &Mistake| match mistake.line {
        0 => format!("{}: {mistake}", path.display()),
        _ => format!("{} {mistake}", path.display()),
    };
    Filter::read(path).map_err(|mistakes| mistakes.iter().map(told).collect())
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return fs::read(path);
    }
    let mut message = Vec::new();
    io::stdin().read_to_end(&mut message)?;
    Ok(message)
}

fn controls(asked: &Asked, header: &[u8], size: usize) -> Vec<(Control, String)> {
    let hops = header_fields(header).filter(|(name, _)| name.eq_ignore_ascii_case(b"Received")).count();
    let mut controls = vec![
        (Control::HostFrom, asked.client.clone()),
        (Control::UserFrom, format!("<{}>", asked.from)),
        (Control::MtaHops, hops.to_string()),
        (Control::MessageSize, size.to_string()),
    ];
    controls.extend(asked.user.iter().map(|uid| (Control::AuthSender, uid.clone())));
    controls.extend(asked.to.iter().map(|address| (Control::ChannelTo, format!("<{address}>"))));
    controls
}
