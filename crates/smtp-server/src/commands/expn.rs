//! EXPN: who is behind an address (RFC 5321 §3.5). Off unless `allowexpn` is on. An address that cannot be told in ASCII is
//! told only to who said SMTPUTF8 (RFC 6531 §3.7.4.2).

use directory::{Found, Kind};
use smtp_wire::{Address, Reply};

use crate::commands::rcpt::{LookUps, find};
use crate::replies;
use crate::session::Session;

/// Members that are told; of a larger group nobody.
const MEMBERS_MAX: usize = 1000;

pub fn run(session: &Session, address: Address, utf8: bool) -> Reply {
    let address = address.qualified(session.settings.domains.default_domain());
    if !session.settings.domains.contains(&address.domain) {
        return Reply::new(550, (5, 1, 2), "Not a domain of this host");
    }
    let entry = match find(session, &address, &mut LookUps::new()) {
        Ok(Found::One(entry)) => entry,
        Ok(Found::Nobody) => return Reply::new(550, (5, 1, 1), "No such user here"),
        Ok(Found::Several(_)) => return Reply::new(553, (5, 1, 4), "The address is ambiguous here"),
        Err(_) => return replies::directory_down(),
    };
    let single = [entry.mail.clone()];
    let members: &[String] = match entry.kind {
        Kind::Group => &entry.members,
        Kind::User => &single,
    };
    if members.len() > MEMBERS_MAX {
        return Reply::new(252, (2, 1, 5), "Too many to be told, but will take mail for them");
    }
    let told: Option<Vec<_>> = members
        .iter()
        .map(|member| if utf8 { Some(member.into()) } else { base::idn::downgraded(member) })
        .collect();
    let Some(told) = told else {
        return Reply::new(252, (2, 6, 8), "Cannot be told without SMTPUTF8, but will take mail for them");
    };
    let mut lines = told.iter().map(|member| format!("<{member}>"));
    let Some(first) = lines.next() else { return Reply::new(550, (5, 1, 1), "The group has no members") };
    lines.fold(Reply::new(250, (2, 1, 5), first), Reply::line)
}
