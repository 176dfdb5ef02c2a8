//! Which command is legal when, and what it does.

pub mod auth;
pub mod capa;
pub mod lang;
pub mod list;
pub mod quit;
pub mod retr;
pub mod user;

pub use list::Listing;
pub use retr::Sending;

use connection::{Io, TlsState};
use counters::Counter;
use pop3_wire::{Command, answer};

use crate::maildrop::Maildrop;
use crate::session::{More, Outcome, Session};
use crate::state::State;

/// Exhaustive on purpose: a new command does not compile until it has its place.
pub fn run(session: &mut Session, command: Command, io: &mut Io) -> Outcome {
    counters::add(Counter::Commands, 1);
    match command {
        Command::User(name) => user::user(session, name, io),
        Command::Pass(password) => user::pass(session, password, io),
        Command::Auth(Some((mechanism, initial))) => auth::begin(session, &mechanism, initial.as_deref(), io),
        Command::Auth(None) => auth::list(session, io),
        Command::Capa => capa::run(session, io),
        Command::Stls => stls(session, io),
        Command::Utf8 => utf8(session, io),
        Command::Lang(range) => lang::run(range.as_deref(), io),
        Command::Quit => quit::run(session, io),
        Command::Stat => with_maildrop(session, io, |maildrop, io| {
            let (count, octets) = maildrop.totals();
            io.output.push(&answer::ok(&format!("{count} {octets}")));
        }),
        Command::List(number) => list::run(session, number, list::What::Sizes, io),
        Command::Uidl(number) => list::run(session, number, list::What::UniqueIds, io),
        Command::Retr(number) => retr::run(session, number, None, io),
        Command::Top(number, lines) => retr::run(session, number, Some(lines), io),
        Command::Dele(number) => with_maildrop(session, io, |maildrop, io| {
            let said = if maildrop.is_read_only() {
                answer::err("[AUTH] Nothing is deleted without a password of the account")
            } else if maildrop.delete(number) {
                answer::ok(&format!("message {number} deleted"))
            } else {
                answer::err("No such message")
            };
            io.output.push(&said);
        }),
        Command::Noop => with_maildrop(session, io, |_, io| io.output.push(&answer::ok(""))),
        Command::Rset => with_maildrop(session, io, |maildrop, io| {
            maildrop.reset();
            let (count, octets) = maildrop.totals();
            io.output.push(&answer::ok(&format!("{count} messages ({octets} octets)")));
        }),
    }
}

/// Goes on with an answer for which there was no room.
pub fn go_on(session: &mut Session, io: &mut Io) -> Outcome {
    match session.more.take() {
        Some(More::Listing(listing)) => list::go_on(session, listing, io),
        Some(More::Message(sending)) => retr::go_on(session, sending, io),
        None => Outcome::Done,
    }
}

/// In the transaction state only.
pub fn with_maildrop(
    session: &mut Session,
    io: &mut Io,
    work: impl FnOnce(&mut Maildrop, &mut Io),
) -> Outcome {
    match &mut session.state {
        State::Transaction { maildrop, .. } => work(maildrop, io),
        _ => io.output.push(&answer::err("Log in first")),
    }
    Outcome::Done
}

/// STLS (RFC 2595 §4).
fn stls(session: &mut Session, io: &mut Io) -> Outcome {
    if session.utf8 {
        return refuse("STLS comes before UTF8", io); // RFC 6856 §2.1
    }
    let legal = matches!(session.state, State::Authorization { .. });
    match (&io.tls, legal) {
        (TlsState::Available, true) => {
            io.output.push(&answer::ok("Begin TLS"));
            Outcome::StartTls
        }
        (TlsState::Active { .. }, _) => refuse("TLS is active already", io),
        (TlsState::Unavailable, _) => refuse("TLS is not available", io),
        (TlsState::Available, false) => refuse("STLS comes before the log-in", io),
    }
}

/// UTF8 (RFC 6856 §2.1): messages come as they are, whatever is in their headers.
fn utf8(session: &mut Session, io: &mut Io) -> Outcome {
    if !matches!(session.state, State::Authorization { .. }) {
        return refuse("UTF8 comes before the log-in", io);
    }
    session.utf8 = true;
    io.output.push(&answer::ok("UTF-8 enabled"));
    Outcome::Done
}

pub fn refuse(text: &str, io: &mut Io) -> Outcome {
    io.output.push(&answer::err(text));
    Outcome::Done
}
