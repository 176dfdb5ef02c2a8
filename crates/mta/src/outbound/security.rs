//! What is demanded of one host before it gets mail: the administrator's level, or what the destination publishes.
//!
//! DANE (RFC 7672) counts where DNSSEC vouches for the way to the host: the MX records, its addresses, its TLSA records. It
//! outranks MTA-STS (RFC 8461 §2). A look-up of TLSA records that fails leaves the host untried: what is published may be
//! there (RFC 7672 §2.1.2). Nothing that was published is ever given up for a host that does not keep to it.

use dns::DnsError;
use mta_sts::{Lookups, Mode};
use server_log::{Category, Log};
use smtp_client::{TlsUse, Tlsa, Verify};

use crate::outbound::counting::{Counted, result_of_fetch};
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
    /// What the session is counted under; nothing when only the administrator asks for something.
    pub counted: Option<Counted>,
    /// A failure that is known before the session begins, and does not hinder it.
    pub flaw: Option<(&'static str, String)>,
}

/// A message's own wish about TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// REQUIRETLS (RFC 8689 §4.2.1).
    pub required: bool,
    /// `TLS-Required: No` (RFC 8689 §5): what the destination publishes does not count.
    pub relaxed: bool,
}

/// What is demanded of `target`; `logs_in`: it will be shown a password.
///
/// # Errors
/// The host is not to be tried, and why.
pub fn of(
    outbound: &Outbound,
    log: &Log,
    target: &Target,
    logs_in: bool,
    wish: Wish,
) -> Result<Security, String> {
    let named = outbound.tls.named(&target.next_hop);
    let level = named.unwrap_or(outbound.tls.usual);
    let form = Form { implicit: target.peer.address.port() == SUBMISSIONS };
    let here = target.peer.address.ip().is_loopback();
    Ok(match level {
        Level::Verify => form.proved(Verify::Name),
        Level::Secure => {
            form.proved(Verify::Names(vec![target.next_hop.clone(), format!(".{}", target.next_hop)]))
        }
        _ if wish.required => match by_dane(outbound, target, form)? {
            Some(dane) if dane.flaw.is_none() => dane,
            _ => match by_sts(outbound, log, target, form)? {
                Some(sts) if !sts.lenient && sts.tls != TlsUse::Opportunistic => sts,
                _ => form.proved(Verify::Name),
            },
        },
        // A password is shown to nobody who has not proved who he is, unless the table says so.
        _ if logs_in && named.is_none() && !here => form.proved(Verify::Name),
        Level::Encrypt => form.proved(Verify::None),
        Level::Dane if !wish.relaxed => match by_dane(outbound, target, form)? {
            Some(dane) => dane,
            None => by_sts(outbound, log, target, form)?.unwrap_or_else(|| form.opportunistic()),
        },
        Level::May | Level::Dane => form.opportunistic(),
        Level::None if form.implicit => form.opportunistic(),
        Level::None => Security { tls: TlsUse::Never, counted: None, ..form.opportunistic() },
    })
}

/// STARTTLS, or TLS from the first byte.
#[derive(Clone, Copy)]
struct Form {
    implicit: bool,
}

impl Form {
    fn proved(self, verify: Verify) -> Security {
        let tls = if self.implicit { TlsUse::Implicit } else { TlsUse::Required };
        Security { tls, verify, lenient: false, counted: None, flaw: None }
    }

    fn opportunistic(self) -> Security {
        let tls = if self.implicit { TlsUse::Implicit } else { TlsUse::Opportunistic };
        let counted = Some(Counted::no_policy());
        Security { tls, verify: Verify::None, lenient: false, counted, flaw: None }
    }
}

/// By the validated TLSA records of a host (RFC 7672 §2.2.3); nothing when there are none.
fn by_dane(outbound: &Outbound, target: &Target, form: Form) -> Result<Option<Security>, String> {
    for base in &target.dane_bases {
        let name = format!("_{}._tcp.{base}", target.peer.address.port());
        match outbound.resolver.tlsa(&name) {
            Ok(answer) if answer.secure && !answer.value.is_empty() => {
                return Ok(Some(of_records(answer.value, base, target, form)));
            }
            Ok(_) | Err(DnsError::NoSuchDomain | DnsError::NoData) => {}
            Err(DnsError::Temporary(why)) => {
                Counted::tlsa(&[]).note(outbound, target, Some(("dnssec-invalid", &why)));
                return Err(format!("{}: its TLSA records: {why}", target.peer));
            }
        }
    }
    Ok(None)
}

fn of_records(records: Vec<dns::Tlsa>, base: &str, target: &Target, form: Form) -> Security {
    let records: Vec<Tlsa> = records
        .into_iter()
        .map(|one| Tlsa { usage: one.usage, selector: one.selector, matching: one.matching, data: one.data })
        .collect();
    let mut names = vec![base.to_owned()];
    if !names.contains(&target.next_hop) {
        names.push(target.next_hop.clone());
    }
    let counted = Some(Counted::tlsa(&records));
    // §2.2: TLS without proof.
    let none_is_usable = !records.iter().any(Tlsa::is_usable);
    let flaw = none_is_usable.then(|| ("tlsa-invalid", "no TLSA record is usable".to_owned()));
    Security { counted, flaw, ..form.proved(Verify::Dane { records, names }) }
}

/// By the policy of the domain (RFC 8461 §5); nothing when there is none.
fn by_sts(outbound: &Outbound, log: &Log, target: &Target, form: Form) -> Result<Option<Security>, String> {
    let (Some(sts), Some(domain)) = (&outbound.sts, &target.policy_domain) else { return Ok(None) };
    let found = sts.of(
        domain,
        &Lookups {
            txt: &|name| outbound.resolver.txt(name).unwrap_or_default(),
            addresses: &|host| outbound.resolver.addresses(host).map_err(|why| why.to_string()),
        },
    );
    if let Some((fault, why)) = &found.fault {
        log.warning(Category::Network, format_args!("MTA-STS of {domain}: {why}"));
        // The report goes to whoever the domain names: what the system said of a host of its choice is not for them.
        Counted::no_policy().note_domain(outbound, domain, result_of_fetch(*fault), "");
    }
    let Some(policy) = found.policy else { return Ok(None) };
    let counted = Counted::sts(&policy);
    let is_named = policy.names(&target.peer.host);
    let unnamed = || format!("{} is no host of the MTA-STS policy of {domain}", target.peer);
    Ok(Some(match (policy.mode, is_named) {
        (Mode::Enforce, true) => Security { counted: Some(counted), ..form.proved(Verify::Name) },
        (Mode::Enforce, false) => {
            counted.note(outbound, target, Some(("validation-failure", "the host is not in the policy")));
            return Err(unnamed());
        }
        (_, true) => {
            Security { verify: Verify::Name, lenient: true, counted: Some(counted), ..form.opportunistic() }
        }
        (_, false) => {
            let flaw = Some(("validation-failure", unnamed()));
            Security { counted: Some(counted), flaw, ..form.opportunistic() }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use server_config::{Config, Instance};
    use smtp_client::Peer;

    /// What is demanded of `relay.test` at this address, of whom nothing is published.
    fn demanded(config: &str, address: &str, logs_in: bool, wish: Wish) -> (TlsUse, Verify) {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::from_text(config).unwrap();
        let outbound = Outbound::from_config(&config, &Instance::new(folder.path()), &Log::discard());
        let target = Target {
            peer: Peer { host: "mx.relay.test".into(), address: address.parse().unwrap() },
            of_domain: false,
            is_named: true,
            next_hop: "relay.test".into(),
            policy_domain: None,
            dane_bases: Vec::new(),
        };
        let found = of(&outbound, &Log::discard(), &target, logs_in, wish).unwrap();
        (found.tls, found.verify)
    }

    const LEVEL: &str = "local.service.smtp.smtp-deliver.tlslevel";
    const POLICY: &str = "local.service.smtp.smtp-deliver.tlspolicy";
    const AFAR: &str = "192.0.2.1:587";

    #[test]
    fn a_password_goes_to_nobody_who_has_not_proved_who_he_is() {
        let usual = Wish::default();
        for level in ["none", "may", "encrypt", "dane"] {
            let config = format!("{LEVEL} = {level}");
            assert_eq!(demanded(&config, AFAR, true, usual), (TlsUse::Required, Verify::Name), "{level}");
            // On this host nobody listens on the way.
            assert_ne!(demanded(&config, "127.0.0.1:587", true, usual).1, Verify::Name, "{level}");
        }
        // The administrator may ask for less of one host, by name.
        let named = format!("{POLICY} = \"relay.test:encrypt\"");
        assert_eq!(demanded(&named, AFAR, true, usual), (TlsUse::Required, Verify::None));
        let names = Verify::Names(vec!["relay.test".into(), ".relay.test".into()]);
        assert_eq!(demanded(&format!("{LEVEL} = secure"), AFAR, true, usual), (TlsUse::Required, names));
    }

    #[test]
    fn port_465_is_tls_from_the_first_byte_at_every_level() {
        for level in ["none", "may", "encrypt", "dane", "verify", "secure"] {
            let config = format!("{LEVEL} = {level}");
            for logs_in in [false, true] {
                let (tls, _) = demanded(&config, "192.0.2.1:465", logs_in, Wish::default());
                assert_eq!(tls, TlsUse::Implicit, "{level}");
            }
        }
    }

    #[test]
    fn what_a_message_asks_for_is_added_to_the_level_and_what_it_waives_is_not_the_administrator_s() {
        let required = Wish { required: true, relaxed: false };
        let relaxed = Wish { required: false, relaxed: true };
        for level in ["none", "may", "encrypt", "dane"] {
            let config = format!("{LEVEL} = {level}");
            assert_eq!(demanded(&config, AFAR, false, required), (TlsUse::Required, Verify::Name), "{level}");
        }
        for (level, tls, verify) in [
            ("encrypt", TlsUse::Required, Verify::None),
            ("verify", TlsUse::Required, Verify::Name),
            ("dane", TlsUse::Opportunistic, Verify::None),
        ] {
            assert_eq!(
                demanded(&format!("{LEVEL} = {level}"), AFAR, false, relaxed),
                (tls, verify),
                "{level}"
            );
        }
    }
}
