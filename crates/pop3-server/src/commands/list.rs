//! LIST and UIDL: one message, or all, however many there are.

use connection::Io;
use pop3_wire::answer;

use crate::commands::refuse;
use crate::session::{More, Outcome, Session};
use crate::state::State;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Sizes,
    UniqueIds,
}

/// A listing, and the number that comes next.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    what: What,
    next: u32,
}

pub fn run(session: &mut Session, number: Option<u32>, what: What, io: &mut Io) -> Outcome {
    let State::Transaction { maildrop, .. } = &session.state else {
        return refuse("Log in first", io);
    };
    match number {
        Some(number) => {
            let value = match what {
                What::Sizes => maildrop.size(number).map(|size| size.to_string()),
                What::UniqueIds => maildrop.unique_id(number),
            };
            match value {
                Some(value) => io.output.push(&answer::ok(&format!("{number} {value}"))),
                None => return refuse("No such message", io),
            }
            Outcome::Done
        }
        None => {
            let (count, octets) = maildrop.totals();
            io.output.push(&answer::ok(&format!("{count} messages ({octets} octets)")));
            go_on(session, Listing { what, next: 1 }, io)
        }
    }
}

pub fn go_on(session: &mut Session, mut listing: Listing, io: &mut Io) -> Outcome {
    let State::Transaction { maildrop, .. } = &session.state else {
        return Outcome::Last;
    };
    while listing.next <= maildrop.last() {
        if io.output.is_full() {
            session.more = Some(More::Listing(listing));
            return Outcome::More;
        }
        let number = listing.next;
        let value = match listing.what {
            What::Sizes => maildrop.size(number).map(|size| size.to_string()),
            What::UniqueIds => maildrop.unique_id(number),
        };
        if let Some(value) = value {
            io.output.push(format!("{number} {value}\r\n").as_bytes());
        }
        listing.next += 1;
    }
    io.output.push(b".\r\n");
    Outcome::Done
}
