//! Which command does what. Exhaustive on purpose: a new command does not compile until it has its place.

pub mod auth;
pub mod bdat;
pub mod data;
pub mod ehlo;
pub mod etrn;
pub mod expn;
pub mod held;
pub mod mail;
pub mod rcpt;
pub mod starttls;
pub mod xclient;

use connection::Io;
use counters::Counter;
use smtp_wire::command::CommandError;
use smtp_wire::{Command, Reply};

use crate::filtering;
use crate::refusals;
use crate::replies;
use crate::session::{Answer, Session};

/// Reads one line and runs it.
pub fn run_line(session: &mut Session, line: &[u8], io: &mut Io) -> Answer {
    match smtp_wire::parse(line, session.state.is_utf8()) {
        // RFC 6531 §3.7.4: an argument of an extension that is not offered.
        Ok(Command::Vrfy(_, true) | Command::Expn(_, true)) if !session.settings.allow_smtputf8 => {
            Answer::Say(replies::no_such_parameter())
        }
        Ok(command) => run(session, command, line, io),
        Err(error) if error.is_fatal() => Answer::Last(error.reply()),
        Err(CommandError::Unknown) => filtering::unknown(session, line, CommandError::Unknown.reply(), io),
        Err(error) => Answer::Say(error.reply()),
    }
}

fn run(session: &mut Session, command: Command, line: &[u8], io: &mut Io) -> Answer {
    counters::add(Counter::Commands, 1);
    if is_idle_talk(&command) && session.talks_idly() {
        return Answer::Last(replies::too_much_idle_talk(&session.settings.host_name));
    }
    match command {
        // RFC 2920 §3.1: EHLO ends a group; who did not wait for its reply cannot know of PIPELINING.
        Command::Helo(_) | Command::Ehlo(_) | Command::Lhlo(_) if io.more_input => {
            Answer::Last(replies::too_early())
        }
        Command::Helo(_) | Command::Ehlo(_) if session.is_lmtp(io) => Answer::Say(replies::say_lhlo()),
        Command::Lhlo(name) if session.is_lmtp(io) => Answer::Say(ehlo::ehlo(session, name, io)),
        Command::Lhlo(_) => Answer::Say(replies::unknown()),
        Command::Helo(name) => Answer::Say(ehlo::helo(session, name)),
        Command::Ehlo(name) => Answer::Say(ehlo::ehlo(session, name, io)),
        Command::Mail(sender, parameters) => {
            let answer = mail::run(session, sender, parameters, io);
            let answer = filtering::mail(session, line, answer, io);
            if let Answer::Say(reply) | Answer::Last(reply) = &answer
                && reply.is_refusal()
            {
                session.note_refusal(reply, filtering::path_text(line), String::new(), io);
            }
            answer
        }
        Command::Rcpt(recipient, parameters) => {
            let reply =
                filtering::rcpt(session, line, io, |session| rcpt::run(session, recipient, parameters, io));
            if reply.is_refusal()
                && let Some(transaction) = session.state.transaction()
            {
                let from = refusals::path(transaction.sender.as_ref());
                session.note_refusal(&reply, from, filtering::path_text(line), io);
            }
            Answer::Say(reply)
        }
        Command::Data => data::begin(session, io),
        Command::Bdat { size, last } => bdat::begin(session, size, last, io),
        Command::Rset => {
            session.state.reset(); // who logged in stays so (S189)
            Answer::Say(Reply::new(250, (2, 0, 0), "OK"))
        }
        Command::Noop => Answer::Say(Reply::new(250, (2, 0, 0), "OK")),
        Command::Vrfy(..) if session.settings.allow_vrfy => {
            Answer::Say(Reply::new(252, (2, 0, 0), "Cannot verify, but will take mail for it if it exists"))
        }
        Command::Help if session.settings.allow_help => Answer::Say(help(session)),
        Command::Expn(address, utf8) if session.settings.allow_expn => {
            Answer::Say(expn::run(session, address, utf8))
        }
        Command::Etrn(node) if session.settings.allow_etrn => Answer::Say(etrn::run(session, &node)),
        Command::Onex if session.settings.allow_onex => {
            session.one_message = Some(session.messages.saturating_add(1));
            Answer::Say(Reply::new(250, (2, 0, 0), "One message, then no more"))
        }
        Command::Verb if session.settings.allow_verb => {
            session.verbose = true;
            Answer::Say(Reply::new(250, (2, 0, 0), "Verbose mode"))
        }
        Command::Vrfy(..)
        | Command::Help
        | Command::Expn(..)
        | Command::Etrn(_)
        | Command::Onex
        | Command::Verb
        | Command::NotDone(_) => Answer::Say(replies::not_implemented()),
        Command::Held(what, id, domains) => Answer::Say(held::run(session, what, &id, &domains, io)),
        Command::XClient(attributes) => xclient::run(session, &attributes, io),
        Command::NotTrusted => Answer::Say(Reply::new(550, (5, 7, 0), "Not for you")),
        Command::Quit => Answer::Last(replies::farewell(&session.settings.host_name)),
        Command::StartTls => starttls::run(session, io),
        Command::Auth(..) if session.is_lmtp(io) => Answer::Say(replies::not_implemented()),
        Command::Auth(mechanism, initial) => auth::begin(session, &mechanism, initial.as_deref(), io),
        Command::Http => {
            let text = format!("{} This is SMTP, closing", session.settings.host_name);
            Answer::Last(Reply::new(421, (4, 7, 0), text))
        }
    }
}

/// What costs us something and brings no message nearer.
fn is_idle_talk(command: &Command) -> bool {
    matches!(
        command,
        Command::Helo(_)
            | Command::Ehlo(_)
            | Command::Lhlo(_)
            | Command::Noop
            | Command::Rset
            | Command::Vrfy(..)
            | Command::Help
            | Command::Expn(..)
            | Command::Etrn(_)
            | Command::Onex
            | Command::Verb
            | Command::NotDone(_)
            | Command::XClient(_)
            | Command::NotTrusted
    )
}

fn help(session: &Session) -> Reply {
    let settings = &session.settings;
    let mut commands =
        "Commands: HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS AUTH QUIT".to_owned();
    for (name, allowed) in [("EXPN", settings.allow_expn), ("ETRN", settings.allow_etrn)] {
        if allowed {
            commands.push_str(&format!(" {name}"));
        }
    }
    Reply::new(214, (2, 0, 0), commands).line("Trouble with mail? Write to the postmaster")
}
