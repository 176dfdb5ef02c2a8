//! Which clients are let in: TCP-wrapper style filters (original.md 6.6, S136 to S139).
//!
//! ```text
//! value   = filter *( "$" filter )
//! filter  = [ "+" / "-" ] services ":" clients
//! clients = item *( item ) [ "EXCEPT" clients ]        items are separated by blanks or commas
//! ```
//! Pure functions over parsed rules. The name of a client is asked for only when a rule needs it. What an unverified or
//! missing name means is in [`Host`]; nothing here ever trusts a name that does not lead back to its address.

pub mod clients;
pub mod filter;
pub mod must_log_in;

use std::cell::OnceCell;
use std::net::IpAddr;

pub use filter::{Filter, Filters, Service};

/// What the DNS says about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Names that lead back to the address.
    Named(Vec<String>),
    /// It has none.
    Unknown,
    /// It has a name, and the name has other addresses.
    Spoofer,
    /// Nobody could tell now.
    Unanswered,
}

/// A client at one of our services.
pub struct Visitor<'a> {
    pub service: Service,
    pub address: IpAddr,
    ask: &'a dyn Fn(IpAddr) -> Host,
    host: OnceCell<Host>,
}

impl<'a> Visitor<'a> {
    /// `ask` looks a name up, at most once.
    pub fn new(service: Service, address: IpAddr, ask: &'a dyn Fn(IpAddr) -> Host) -> Visitor<'a> {
        Visitor { service, address: address.to_canonical(), ask, host: OnceCell::new() }
    }

    fn host(&self) -> &Host {
        self.host.get_or_init(|| (self.ask)(self.address))
    }

    fn refused(&self) -> Verdict {
        match self.host.get() {
            Some(Host::Unanswered) => Verdict::RefusedForNow,
            _ => Verdict::Refused,
        }
    }
}

/// What rules come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Refused,
    /// A rule needed the client's name, and nobody could tell it: another time it may be allowed.
    RefusedForNow,
}

/// `domainallowed` and `domainnotallowed` of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub allowed: Filters,
    pub denied: Filters,
    /// Why they cannot be used, if they cannot: then nobody is let in.
    pub broken: Option<String>,
}

impl Rules {
    /// An allow filter that matches lets in; else a deny filter that matches keeps out; else everybody is let in, unless
    /// there are allow filters alone (original.md 6.6).
    pub fn decide(&self, visitor: &Visitor<'_>) -> Verdict {
        if self.broken.is_some() {
            return Verdict::Refused;
        }
        if self.allowed.any_matches(visitor) {
            return Verdict::Allowed;
        }
        let only_allowed = self.denied.is_empty() && !self.allowed.is_empty();
        if only_allowed || self.denied.any_matches(visitor) { visitor.refused() } else { Verdict::Allowed }
    }
}

/// `mailAccessDomain`, all values of a user together.
///
/// Filters that name none of the services of the same group (mailbox access, or sending) say nothing about a client of it.
/// Of the others: an allow filter that matches lets in, else a deny filter that matches keeps out; what none matches is
/// kept out when there is an allow filter, as the guide's example has it: `+imap imapmmp:ALL$-pop popmmp:ALL` is imap and
/// imapmmp and nothing else (guide L732-733).
///
/// # Errors
/// A value that cannot be read; the caller lets nobody in.
pub fn user_verdict(values: &[String], visitor: &Visitor<'_>) -> Result<Verdict, String> {
    let mut filters = Vec::new();
    for value in values {
        filters.extend(Filters::parse(value, filter::Form::Whole)?.0);
    }
    let about = |filter: &&Filter| filter.concerns_group_of(visitor.service);
    let (allowing, denying): (Vec<&Filter>, Vec<&Filter>) =
        filters.iter().filter(about).partition(|filter| filter.allows);
    let matches = |filters: &[&Filter]| filters.iter().any(|filter| filter.matches(visitor));
    if matches(&allowing) {
        return Ok(Verdict::Allowed);
    }
    let refused = matches(&denying) || !allowing.is_empty();
    Ok(if refused { visitor.refused() } else { Verdict::Allowed })
}

#[cfg(test)]
mod tests;
