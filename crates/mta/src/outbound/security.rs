//! What is demanded of one host before it gets mail: the administrator's level, or what the destination publishes.
//!
//! DANE (RFC 7672) counts where DNSSEC vouches for the way to the host: the MX records, its addresses, its TLSA records. It
//! outranks everything else that is published. A look-up of TLSA records that fails leaves the host untried: what is
//! published may be there (§2.1.2). Nothing that was published is ever given up for a host that does not keep to it.

use dns::DnsError;
use smtp_client::{TlsUse, Tlsa, Verify};

use crate::outbound::{Level, Outbound};
use crate::stages::targets::Target;

/// TLS before the greeting (RFC 8314 §3.3).
const SUBMISSIONS: u16 = 465;

/// How a session is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    pub tls: TlsUse,
    pub verify: Verify,
    /// What is wrong is noted only.
    pub lenient: bool,
}

/// A message's own wish about TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// REQUIRETLS (RFC 8689 §4.2.1).
    pub required: bool,
    /// `TLS-Required: No` (RFC 8689 §5): what the destination publishes does not count.
    pub relaxed: bool,
}

/// Why a host is not to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotThere {
    pub text: String,
}

/// What is demanded of `target`; `logs_in`: it will be shown a password.
///
/// # Errors
/// The host is not to be tried.
pub fn of(outbound: &Outbound, target: &Target, logs_in: bool, wish: Wish) -> Result<Security, NotThere> {
    let named = outbound.tls.named(&target.next_hop);
    let level = named.unwrap_or(outbound.tls.usual);
    let implicit = target.peer.address.port() == SUBMISSIONS;
    let required = if implicit { TlsUse::Implicit } else { TlsUse::Required };
    let proved = |verify: Verify| Security { tls: required, verify, lenient: false };
    let here = target.peer.address.ip().is_loopback();
    Ok(match level {
        Level::Verify => proved(Verify::Name),
        Level::Secure => {
            proved(Verify::Names(vec![target.next_hop.clone(), format!(".{}", target.next_hop)]))
        }
        _ if wish.required => match published(outbound, target)? {
            Some(tlsa) if usable(&tlsa) => proved(tlsa),
            _ => proved(Verify::Name),
        },
        // A password is shown to nobody who has not proved who he is, unless the table says so.
        _ if logs_in && named.is_none() && !here => proved(Verify::Name),
        Level::Encrypt => proved(Verify::None),
        Level::Dane if !wish.relaxed => match published(outbound, target)? {
            Some(tlsa) => proved(tlsa),
            None => opportunistic(implicit),
        },
        Level::May | Level::Dane => opportunistic(implicit),
        Level::None if implicit => opportunistic(implicit),
        Level::None => Security { tls: TlsUse::Never, verify: Verify::None, lenient: false },
    })
}

fn opportunistic(implicit: bool) -> Security {
    let tls = if implicit { TlsUse::Implicit } else { TlsUse::Opportunistic };
    Security { tls, verify: Verify::None, lenient: false }
}

fn usable(verify: &Verify) -> bool {
    matches!(verify, Verify::Dane { records, .. } if records.iter().any(Tlsa::is_usable))
}

/// The validated TLSA records of a host (RFC 7672 §2.2.3); nothing when there are none.
fn published(outbound: &Outbound, target: &Target) -> Result<Option<Verify>, NotThere> {
    for base in &target.dane_bases {
        let name = format!("_{}._tcp.{base}", target.peer.address.port());
        match outbound.resolver.tlsa(&name) {
            Ok(answer) if answer.secure && !answer.value.is_empty() => {
                let records = answer.value.into_iter().map(|one| Tlsa {
                    usage: one.usage,
                    selector: one.selector,
                    matching: one.matching,
                    data: one.data,
                });
                let mut names = vec![base.clone()];
                if !names.contains(&target.next_hop) {
                    names.push(target.next_hop.clone());
                }
                return Ok(Some(Verify::Dane { records: records.collect(), names }));
            }
            Ok(_) | Err(DnsError::NoSuchDomain | DnsError::NoData) => {}
            Err(DnsError::Temporary(why)) => {
                return Err(NotThere { text: format!("{}: its TLSA records: {why}", target.peer) });
            }
        }
    }
    Ok(None)
}
