//! `check_host()` (§4): a record is found, read and evaluated, and so are those it names.

use std::cell::{Cell, OnceCell};
use std::net::IpAddr;

use dns::DnsError;

use crate::domain::{is_checkable, is_name, is_within};
use crate::macros::{MacroString, Values};
use crate::network::{Lengths, matches, matches_four, matches_six};
use crate::record::{Mechanism, Record, is_policy};
use crate::{Claim, Records, Verdict};

/// Terms that look something up (§4.6.4).
const LOOK_UPS_MAX: u32 = 10;
/// Terms that find nothing (§4.6.4).
const VOID_MAX: u32 = 2;
/// Hosts of an `mx` (§4.6.4); more of them are an error.
const MX_HOSTS_MAX: usize = 10;
/// Names of a `ptr` and of `%{p}` (§4.6.4); more of them are passed over.
const PTR_NAMES_MAX: usize = 10;
/// Bytes of an explanation that are passed on.
const EXPLANATION_MAX: usize = 400;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub verdict: Verdict,
    /// The domain that was asked about: that of the sender, or HELO.
    pub domain: String,
    /// The term that decided, as it was written; a stranger's text.
    pub term: Option<String>,
    /// What the domain says of a failure (§6.2), printable ASCII in one line; a stranger's text.
    pub explanation: Option<String>,
    /// Of an error: one clause.
    pub why: Option<String>,
}

/// Whether the domain of `claim` lets its address send its mail.
pub fn check(records: &dyn Records, claim: &Claim<'_>) -> Checked {
    let (local, domain) = match claim.sender {
        "" => ("postmaster", claim.helo), // §2.4
        sender => sender.rsplit_once('@').unwrap_or(("", sender)),
    };
    // RFC 8616 §4: the domain as DNS has it.
    let in_ascii = if domain.is_ascii() { None } else { dns::ascii_name(domain) };
    let domain = in_ascii.as_deref().unwrap_or(domain);
    // §4.3
    let local = if local.is_empty() { "postmaster" } else { local };
    let mut checked = Checked {
        verdict: Verdict::None,
        domain: domain.to_owned(),
        term: None,
        explanation: None,
        why: None,
    };
    if !is_checkable(domain) {
        return checked;
    }
    let checker = Checker {
        records,
        claim,
        address: claim.address.to_canonical(),
        sender: format!("{local}@{domain}"),
        local,
        sender_domain: domain,
        look_ups: Cell::new(0),
        voids: Cell::new(0),
        names: OnceCell::new(),
    };
    match checker.evaluate(domain) {
        Ok(found) => {
            checked.verdict = found.verdict;
            checked.term = found.term;
            if found.verdict == Verdict::Fail {
                checked.explanation = found.explanation.and_then(|(spec, at)| checker.explain(&spec, &at));
            }
        }
        Err(Stop::Temporary(why)) => {
            (checked.verdict, checked.why) = (Verdict::TempError, Some(why));
        }
        Err(Stop::Permanent(why)) => {
            (checked.verdict, checked.why) = (Verdict::PermError, Some(why));
        }
    }
    checked
}

/// Why there is no verdict.
enum Stop {
    Temporary(String),
    Permanent(String),
}

fn permanent<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Permanent(why.into()))
}

/// What the evaluation of a record gives.
struct Found {
    verdict: Verdict,
    term: Option<String>,
    /// Where its explanation is, and the domain whose record says so.
    explanation: Option<(MacroString, String)>,
}

struct Checker<'a> {
    records: &'a dyn Records,
    claim: &'a Claim<'a>,
    address: IpAddr,
    sender: String,
    local: &'a str,
    sender_domain: &'a str,
    look_ups: Cell<u32>,
    voids: Cell<u32>,
    /// The names of the client that lead back to it.
    names: OnceCell<Vec<String>>,
}

impl Checker<'_> {
    /// §4.4 to §4.7. It calls itself for other domains, as deep as terms may look something up.
    fn evaluate(&self, domain: &str) -> Result<Found, Stop> {
        if !is_name(domain) {
            return Ok(Found { verdict: Verdict::None, term: None, explanation: None });
        }
        let nothing = Found { verdict: Verdict::None, term: None, explanation: None };
        let Some(record) = self.policy(domain)? else { return Ok(nothing) };
        for directive in &record.directives {
            if self.does_match(&directive.mechanism, domain)? {
                return Ok(Found {
                    verdict: directive.verdict,
                    term: Some(directive.text.clone()),
                    explanation: record.explanation.map(|spec| (spec, domain.to_owned())),
                });
            }
        }
        let Some(target) = &record.redirect else {
            return Ok(Found { verdict: Verdict::Neutral, ..nothing });
        };
        // §6.1
        self.count_look_up()?;
        let target = self.expanded(target, domain);
        match self.evaluate(&target)? {
            Found { verdict: Verdict::None, .. } => {
                permanent(format!("redirect to {target}, which has no policy"))
            }
            found => Ok(found),
        }
    }

    /// The one policy of a domain (§4.5).
    fn policy(&self, domain: &str) -> Result<Option<Record>, Stop> {
        let texts = match self.records.txt(domain) {
            Ok(texts) => texts,
            Err(DnsError::NoSuchDomain | DnsError::NoData) => return Ok(None),
            Err(DnsError::Temporary(why)) => return Err(Stop::Temporary(why)),
        };
        let mut policies = texts.iter().filter(|text| is_policy(text));
        match (policies.next(), policies.next()) {
            (None, _) => Ok(None),
            (Some(_), Some(_)) => permanent(format!("{domain} has several policies")),
            (Some(text), None) => match Record::parse(text) {
                Some(record) => Ok(Some(record)),
                None => permanent(format!("the policy of {domain} cannot be read")),
            },
        }
    }

    fn does_match(&self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        let target = |spec: &Option<MacroString>| match spec {
            Some(spec) => self.expanded(spec, domain),
            None => domain.to_owned(),
        };
        match mechanism {
            Mechanism::All => return Ok(true),
            Mechanism::Ip4(network, bits) => {
                return Ok(matches!(self.address, IpAddr::V4(own) if matches_four(own, *network, *bits)));
            }
            Mechanism::Ip6(network, bits) => {
                return Ok(matches!(self.address, IpAddr::V6(own) if matches_six(own, *network, *bits)));
            }
            _ => self.count_look_up()?,
        }
        match mechanism {
            Mechanism::Include(spec) => self.includes(&self.expanded(spec, domain)),
            Mechanism::A(spec, lengths) => {
                let found = self.addresses(&target(spec))?;
                Ok(self.noted(found)?.iter().any(|one| matches(self.address, *one, *lengths)))
            }
            Mechanism::Mx(spec, lengths) => self.has_mx(&target(spec), *lengths),
            Mechanism::Exists(spec) => {
                let name = self.expanded(spec, domain);
                // §5.7: always A
                let found = self.ask(&name, |name| self.records.ipv4(name))?;
                Ok(!self.noted(found)?.is_empty())
            }
            Mechanism::Ptr(spec) => self.has_name_within(&target(spec)),
            Mechanism::All | Mechanism::Ip4(..) | Mechanism::Ip6(..) => Ok(false),
        }
    }

    /// §5.2
    fn includes(&self, target: &str) -> Result<bool, Stop> {
        match self.evaluate(target)?.verdict {
            Verdict::Pass => Ok(true),
            Verdict::None => permanent(format!("include of {target}, which has no policy")),
            _ => Ok(false),
        }
    }

    /// §5.4
    fn has_mx(&self, target: &str, lengths: Lengths) -> Result<bool, Stop> {
        let found = self.ask(target, |name| self.records.mx(name))?;
        let hosts = self.noted(found)?;
        if hosts.len() > MX_HOSTS_MAX {
            return permanent(format!("{target} has more than {MX_HOSTS_MAX} mail exchangers"));
        }
        for host in hosts.iter().filter(|host| !host.is_empty()) {
            if self.addresses(host)?.iter().any(|one| matches(self.address, *one, lengths)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// §5.5
    fn has_name_within(&self, target: &str) -> Result<bool, Stop> {
        let names = self.validated_names();
        if names.is_empty() {
            self.count_void()?;
        }
        Ok(names.iter().any(|name| is_within(name, target)))
    }

    /// The names of the client that lead back to it; errors count as none (§5.5).
    fn validated_names(&self) -> &[String] {
        self.names.get_or_init(|| {
            let names = self.records.ptr(self.address).unwrap_or_default();
            let leads_back =
                |name: &String| self.addresses(name).is_ok_and(|found| found.contains(&self.address));
            names.into_iter().take(PTR_NAMES_MAX).filter(leads_back).collect()
        })
    }

    /// §7.3: of the domain itself, else below it, else any.
    fn validated_name(&self, domain: &str) -> String {
        let names = self.validated_names();
        let exact = names.iter().find(|name| name.eq_ignore_ascii_case(domain));
        let below = || names.iter().find(|name| is_within(name, domain));
        exact.or_else(below).or(names.first()).cloned().unwrap_or_else(|| "unknown".to_owned())
    }

    /// Of the client's kind.
    fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Stop> {
        match self.address {
            IpAddr::V4(_) => {
                Ok(self.ask(name, |name| self.records.ipv4(name))?.into_iter().map(IpAddr::V4).collect())
            }
            IpAddr::V6(_) => {
                Ok(self.ask(name, |name| self.records.ipv6(name))?.into_iter().map(IpAddr::V6).collect())
            }
        }
    }

    /// What DNS has; nothing where it has nothing or cannot have anything.
    fn ask<T>(&self, name: &str, ask: impl FnOnce(&str) -> Result<Vec<T>, DnsError>) -> Result<Vec<T>, Stop> {
        // RFC 8616 §4: local parts beyond ASCII match nothing.
        if !is_name(name) || !name.is_ascii() {
            return Ok(Vec::new());
        }
        match ask(name) {
            Ok(found) => Ok(found),
            Err(DnsError::NoSuchDomain | DnsError::NoData) => Ok(Vec::new()),
            Err(DnsError::Temporary(why)) => Err(Stop::Temporary(why)),
        }
    }

    fn count_look_up(&self) -> Result<(), Stop> {
        self.look_ups.set(self.look_ups.get() + 1);
        match self.look_ups.get() > LOOK_UPS_MAX {
            true => permanent(format!("more than {LOOK_UPS_MAX} terms look something up")),
            false => Ok(()),
        }
    }

    fn count_void(&self) -> Result<(), Stop> {
        self.voids.set(self.voids.get() + 1);
        match self.voids.get() > VOID_MAX {
            true => permanent(format!("more than {VOID_MAX} terms find nothing")),
            false => Ok(()),
        }
    }

    /// What a term found, counted when it is nothing.
    fn noted<T>(&self, found: Vec<T>) -> Result<Vec<T>, Stop> {
        if found.is_empty() {
            self.count_void()?;
        }
        Ok(found)
    }

    fn expanded(&self, spec: &MacroString, domain: &str) -> String {
        spec.expand_domain(&self.values(domain, &|| self.validated_name(domain)))
    }

    fn values<'v>(&'v self, domain: &'v str, validated: &'v dyn Fn() -> String) -> Values<'v> {
        Values {
            address: self.address,
            sender: &self.sender,
            local: self.local,
            sender_domain: self.sender_domain,
            domain,
            helo: self.claim.helo,
            receiver: self.claim.receiver,
            now: self.claim.now,
            validated,
        }
    }

    /// §6.2: anything wrong, and there is no explanation.
    fn explain(&self, spec: &MacroString, domain: &str) -> Option<String> {
        let name = self.expanded(spec, domain);
        let texts = is_name(&name).then(|| self.records.txt(&name).ok()).flatten()?;
        let [text] = texts.as_slice() else { return None };
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
        let explanation = MacroString::parse_explanation(text)?;
        let mut said = explanation.expand(&self.values(domain, &|| self.validated_name(domain)));
        said.retain(|c| matches!(c, ' '..='~'));
        said.truncate(EXPLANATION_MAX);
        Some(said).filter(|said| !said.trim().is_empty())
    }
}
