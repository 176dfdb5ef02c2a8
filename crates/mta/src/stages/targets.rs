//! The hosts that take mail for a domain, in the order in which they are tried (RFC 5321 §5.1; S57, S58, S67 to S70).

use std::net::{IpAddr, SocketAddr};

use base::next_hop::NextHop;
use dns::{Answer, DnsError, Resolver};
use server_config::parameters::{service_smtp, service_smtp_modules};
use smtp_client::Peer;

use crate::settings::Settings;
use crate::work::Group;

/// Addresses that are tried in one attempt.
const ADDRESSES_MAX: usize = 20;

/// A host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub peer: Peer,
    /// Its MX record is one of this domain, which learns when it fails.
    pub of_domain: bool,
    /// The administrator named the host, or whose MX record it is.
    pub is_named: bool,
    /// The domain whose MX record it is, or the host itself where none was asked for: what policies are about.
    pub next_hop: String,
    /// The domain whose MTA-STS policy is about it (RFC 8461 §3); none for a host that was named itself.
    pub policy_domain: Option<String>,
    /// Below which names its TLSA records count, in this order; none when DNSSEC does not vouch for the way here
    /// (RFC 7672 §2.2).
    pub dane_bases: Vec<String>,
}

/// How hosts of a next hop are tried.
struct Way<'a> {
    next_hop: &'a str,
    port: u16,
    is_named: bool,
    /// It is a domain, whose hosts are looked up.
    is_domain: bool,
}

/// Why there is no host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTarget {
    /// Try again later. A status and a reason.
    Later(String, String),
    /// For good.
    Never(String, String),
    /// Not while the administrator's own parameter names a host that takes no mail: no sender can help that. The reason.
    Misnamed(String),
}

/// Where mail of this group is to be tried.
///
/// # Errors
/// See [`NoTarget`].
pub fn targets(settings: &Settings, resolver: &Resolver, group: &Group) -> Result<Vec<Target>, NoTarget> {
    let own = match &group.hub {
        Some(hubs) => of_hubs(settings, resolver, hubs).map_err(|why| match why {
            NoTarget::Never(_, text) => NoTarget::Misnamed(format!("{}: {text}", named_by(settings, group))),
            later => later,
        }),
        None => {
            let way =
                Way { next_hop: &group.domain, port: settings.remote.port, is_named: false, is_domain: true };
            of_domain(settings, resolver, &way)
        }
    };
    let pseudo = settings.remote.fallback.all(&group.domain);
    let mut fallback = Vec::new();
    for host in pseudo.filter_map(|host| NextHop::parse(host).ok()) {
        let way = Way {
            next_hop: &host.host,
            port: host.port.unwrap_or(settings.remote.port),
            is_named: true,
            is_domain: false,
        };
        fallback.extend(at_addresses(resolver, &way, &host.host, true, false).unwrap_or_default());
    }
    match own {
        Ok(own) => {
            // S69: while all real ones are known to be dead, the pseudo ones lead.
            let dead = group.hub.is_none() && !fallback.is_empty() && resolver.all_failed(&group.domain);
            let mut all = if dead { fallback } else { [own, fallback].concat() };
            all.truncate(ADDRESSES_MAX);
            Ok(all)
        }
        // S70: what would be deferred goes to the fallback.
        Err(NoTarget::Later(..) | NoTarget::Misnamed(_)) if !fallback.is_empty() => Ok(fallback),
        Err(why) => Err(why),
    }
}

/// The parameter that says where mail of the group goes.
fn named_by(settings: &Settings, group: &Group) -> &'static str {
    match settings.host_rewrites.first(&group.domain) {
        Some(_) => service_smtp::HOST_REWRITES.name,
        None => service_smtp_modules::SMART_HOSTS.name,
    }
}

/// Several, separated by blanks, in order.
fn of_hubs(settings: &Settings, resolver: &Resolver, hubs: &str) -> Result<Vec<Target>, NoTarget> {
    let (mut found, mut last) = (Vec::new(), None);
    for hub in hubs.split_ascii_whitespace() {
        match of_hub(settings, resolver, hub) {
            Ok(targets) => found.extend(targets),
            Err(why) => last = Some(why),
        }
    }
    match last {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
    }
}

fn of_hub(settings: &Settings, resolver: &Resolver, hub: &str) -> Result<Vec<Target>, NoTarget> {
    let hop = NextHop::parse(hub).map_err(|why| NoTarget::Later("4.3.5".into(), why))?;
    let way = Way {
        next_hop: &hop.host,
        port: hop.port.unwrap_or(settings.remote.port),
        is_named: true,
        is_domain: !hop.exact,
    };
    let known = || -> Vec<Target> {
        let addresses = dns::of_this_host(&hop.host).into_iter();
        addresses.map(|address| target(&way, &hop.host, address, false, &[])).collect()
    };
    if hop.exact {
        // As for every other program of this host: its own file first.
        return match known() {
            none if none.is_empty() => at_addresses(resolver, &way, &hop.host, true, false),
            known => Ok(known),
        };
    }
    of_domain(settings, resolver, &way)
        .or_else(|why| match known() {
            none if none.is_empty() || matches!(why, NoTarget::Later(..)) => Err(why),
            known => Ok(known),
        })
        .map(|targets| targets.into_iter().map(|target| Target { of_domain: false, ..target }).collect())
}

fn of_domain(settings: &Settings, resolver: &Resolver, way: &Way<'_>) -> Result<Vec<Target>, NoTarget> {
    let domain = way.next_hop;
    if let Some(address) = literal(domain) {
        return Ok(vec![target(way, domain, address, false, &[])]);
    }
    if !settings.remote.use_mx {
        return at_addresses(resolver, way, domain, true, false);
    }
    let Answer { value: mut hosts, secure } = match resolver.mx_answer(domain) {
        Ok(answer) => answer,
        Err(DnsError::NoData) => return at_addresses(resolver, way, domain, true, false),
        Err(why) => return Err(no_answer(domain, &why)),
    };
    if hosts.iter().all(|mx| mx.host.is_empty()) {
        let text = format!("{domain} takes no mail (null MX)"); // RFC 7505
        return Err(NoTarget::Never("5.1.10".into(), text));
    }
    // RFC 5321 §5.1: from ourselves on, everybody would send it back to us.
    let own = hosts.iter().find(|mx| is_own(settings, &mx.host)).map(|mx| mx.preference);
    if let Some(own) = own {
        hosts.retain(|mx| mx.preference < own);
        if hosts.is_empty() {
            let text = format!("mail for {domain} comes back to this host");
            return Err(NoTarget::Never("5.3.5".into(), text));
        }
    }
    let mut found = Vec::new();
    let mut last = None;
    for mx in &hosts {
        match at_addresses(resolver, way, &mx.host, secure, true) {
            Ok(targets) => found.extend(targets),
            Err(why) => last = Some(why),
        }
        if found.len() >= ADDRESSES_MAX {
            break;
        }
    }
    match last {
        Some(why) if found.is_empty() => Err(match why {
            // A host without an address is somebody's mistake that may be mended.
            NoTarget::Never(_, text) => NoTarget::Later("4.4.4".into(), text),
            later => later,
        }),
        _ => Ok(found),
    }
}

/// `is_certain`: nobody can have put another name in the place of this host's.
fn at_addresses(
    resolver: &Resolver,
    way: &Way<'_>,
    host: &str,
    is_certain: bool,
    of_domain: bool,
) -> Result<Vec<Target>, NoTarget> {
    let found = resolver.host(host).map_err(|why| no_answer(host, &why))?;
    // RFC 7672 §2.2.3: the name behind the aliases first.
    let bases: Vec<String> = match is_certain && found.secure {
        true => found.canonical.into_iter().chain([host.to_ascii_lowercase()]).collect(),
        false => Vec::new(),
    };
    Ok(found.addresses.into_iter().map(|address| target(way, host, address, of_domain, &bases)).collect())
}

fn target(way: &Way<'_>, host: &str, address: IpAddr, of_domain: bool, bases: &[String]) -> Target {
    Target {
        peer: Peer { host: host.to_owned(), address: SocketAddr::new(address, way.port) },
        of_domain,
        is_named: way.is_named,
        next_hop: way.next_hop.to_ascii_lowercase(),
        policy_domain: way.is_domain.then(|| way.next_hop.to_ascii_lowercase()),
        dane_bases: bases.to_vec(),
    }
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3)
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    let six = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    if six.is_some() { inner[5..].parse().ok() } else { inner.parse().ok() }
}

fn is_own(settings: &Settings, host: &str) -> bool {
    host.trim_end_matches('.').eq_ignore_ascii_case(&settings.host_name)
}

fn no_answer(name: &str, why: &DnsError) -> NoTarget {
    match why {
        DnsError::NoSuchDomain => NoTarget::Never("5.1.2".into(), format!("{name} does not exist")),
        DnsError::NoData => NoTarget::Never("5.4.4".into(), format!("{name} has no address")),
        DnsError::Temporary(why) => NoTarget::Later("4.4.3".into(), format!("{name}: {why}")),
    }
}
