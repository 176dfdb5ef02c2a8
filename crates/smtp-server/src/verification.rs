//! Verification: whether a stranger's message comes from whom it says (SPF, DKIM, ARC, DMARC, the client's name), and what
//! is done about it.
//!
//! What was found is written into one Authentication-Results field on top of the message (RFC 8601); fields of that kind
//! which pretend to come from this host are taken away. Mail of who logged in, of `relaynetworks` and of the exempt networks
//! is left as it is. What is not known in the time for look-ups is a `temperror`, which is never held against the message.
//! The author's domain has a share of its own in it, and its policy is asked for first: domains of a forger's choice that
//! do not answer change nothing about it.

mod author;
mod look_ups;
mod results;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base::network::Network;
use dkim::arc::{Chain, ChainResult};
use dkim::{Checked, Outcome};
use dmarc::{Evaluated, Policy, Proven};
use dns::{DnsError, Resolver};
use server_config::Config;
use server_config::parameters::{service_smtp, service_smtp_modules};
use server_log::{Category, Log};
use smtp_wire::Reply;

use crate::inspection::{Amendment, Edit, Field, Inspected, Inspector, Origin, Verdict};
use look_ups::LookUps;
use results::{FIELD_NAME, Results};

/// How long one name server is waited for, and how many are asked how often: what a look-up may go beyond the time.
const DNS_TIMEOUT_MAX: Duration = Duration::from_secs(3);
const DNS_SERVERS_MAX: usize = 3;
const DNS_TRIES_MAX: u32 = 2;
/// The share of the time that a policy has, all authors together; of SPF of an author's domain; of its keys; and of the
/// last questions about alignment. What belongs to other domains has the whole time, less what these took.
const POLICY_SHARE: u32 = 2;
const PROOF_SHARE: u32 = 4;
/// Shares that may each be a look-up longer: policies and alignment of every author, SPF, keys, and all others.
const SHARES_MAX: usize = 2 * author::DOMAINS_MAX + 3;
/// The method of `doclientdnslookup` in Authentication-Results: none of the registered ones (RFC 8601 §6.2) says this.
const SAID_NAME: &str = "x-helo";
/// Names of one client that are looked at.
const NAMES_MAX: usize = 5;

/// What is done about mail that fails DMARC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// It is not evaluated.
    Off,
    /// It is said in Authentication-Results.
    Report,
    /// And it is refused where the domain wants that.
    Reject,
    /// And it is held where the domain wants quarantine.
    Full,
}

impl Enforcement {
    fn named(word: &str) -> Enforcement {
        match word {
            "report" => Enforcement::Report,
            "reject" => Enforcement::Reject,
            "enforce" => Enforcement::Full,
            _ => Enforcement::Off,
        }
    }
}

/// What an administrator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    pub spf: bool,
    pub dkim: bool,
    pub arc: bool,
    pub reverse_name: bool,
    /// `doclientdnslookup`: whether the name of HELO has the client's address.
    pub said_name: bool,
    pub dmarc: Enforcement,
    /// The name of this host in Authentication-Results (RFC 8601 §2.5).
    pub authserv_id: String,
    /// Clients whose mail is not verified.
    pub exempt: Vec<Network>,
    /// For all look-ups of a message.
    pub timeout: Duration,
    /// Whether a line is logged for each message.
    pub log_messages: bool,
}

impl Settings {
    pub fn from_config(config: &Config, host_name: &str) -> Settings {
        let id = config.get(&service_smtp::AUTHSERV_ID);
        Settings {
            spf: config.get(&service_smtp::VERIFY_SPF),
            dkim: config.get(&service_smtp::VERIFY_DKIM),
            arc: config.get(&service_smtp::VERIFY_ARC),
            reverse_name: config.get(&service_smtp::VERIFY_REVERSE_NAME),
            said_name: config.get(&service_smtp_modules::DO_CLIENT_DNS),
            dmarc: Enforcement::named(&config.get(&service_smtp::VERIFY_DMARC)),
            authserv_id: if id.trim().is_empty() { host_name.to_owned() } else { id.trim().to_owned() },
            exempt: config.get(&service_smtp::VERIFY_EXEMPT),
            timeout: config.get(&service_smtp::VERIFY_TIMEOUT),
            log_messages: config.get(&service_smtp::SMTP_ACCEPT_LOG),
        }
    }

    /// Whether there is anything to do.
    pub fn is_on(&self) -> bool {
        let names = self.reverse_name || self.said_name;
        self.spf || self.dkim || self.arc || names || self.dmarc != Enforcement::Off
    }
}

/// The inspector.
pub struct Verification {
    settings: Settings,
    host_name: String,
    resolver: Resolver,
    /// What the last look-up may take beyond the time.
    grace: Duration,
    log: Log,
}

impl Verification {
    /// Nothing, when nothing is to be verified.
    pub fn from_config(config: &Config, host_name: &str, log: Log) -> Option<Verification> {
        let settings = Settings::from_config(config, host_name);
        settings
            .is_on()
            .then(|| Verification::new(settings, host_name, dns::Settings::from_config(config), log))
    }

    /// It has a resolver of its own, which is less patient than that of deliveries.
    pub fn new(settings: Settings, host_name: &str, mut dns: dns::Settings, log: Log) -> Verification {
        dns.servers.truncate(DNS_SERVERS_MAX);
        dns.timeout = dns.timeout.min(DNS_TIMEOUT_MAX);
        dns.tries = dns.tries.clamp(1, DNS_TRIES_MAX);
        let asked = u32::try_from(dns.servers.len()).unwrap_or(1).saturating_mul(dns.tries);
        // Twice: a cut answer comes by a connection, which has the same time again.
        let grace = dns.timeout.saturating_mul(asked).saturating_mul(2);
        let resolver = Resolver::new(dns, log.clone());
        Verification { settings, host_name: host_name.to_owned(), resolver, grace, log }
    }
}

/// What was found about a message.
struct Found {
    reverse_name: Option<Reverse>,
    said_name: Option<&'static str>,
    helo: Option<spf::Checked>,
    sender: Option<spf::Checked>,
    signatures: Option<Vec<Checked>>,
    chain: Option<Chain>,
    policies: Vec<Evaluated>,
    /// Why there is no domain to have a policy.
    no_author: Option<&'static str>,
}

/// What became of the client's name (RFC 8601 §2.7.3).
struct Reverse {
    verdict: &'static str,
    name: Option<String>,
}

impl Inspector for Verification {
    fn name(&self) -> &str {
        "verification"
    }

    fn patience(&self) -> Duration {
        // Shares of the authors' domains add up to one time and a half, if none of them answers.
        let shares = u32::try_from(SHARES_MAX).unwrap_or(u32::MAX);
        self.settings.timeout.saturating_mul(3).saturating_add(self.grace.saturating_mul(shares))
    }

    /// All: whoever sends it, what pretends to be a result of ours is taken out (RFC 8601 §5).
    fn concerns(&self, _: Origin) -> bool {
        true
    }

    fn inspect(&self, message: &Inspected<'_>) -> Amendment {
        let address = message.peer.address.to_canonical();
        let exempt = self.settings.exempt.iter().any(|network| network.contains(address));
        let forged = results::pretending(message.header, &self.settings.authserv_id);
        let mut edits = Vec::new();
        if !forged.is_empty() {
            edits.push(Edit::RemoveFields(forged));
        }
        if exempt || message.peer.origin != Origin::Stranger {
            return Amendment { edits, ..Amendment::none() };
        }
        let since = Instant::now();
        let found = self.look(message, address, since);
        let verdict = self.judge(&found.policies);
        if self.settings.log_messages {
            self.tell(message, address, &found, since.elapsed());
        }
        let results = self.results(message, address, &found);
        edits.extend(Field::new(FIELD_NAME, results.text()).map(Edit::Prepend));
        Amendment { edits, ..Amendment::verdict(verdict) }
    }
}

impl Verification {
    fn look(&self, message: &Inspected<'_>, address: IpAddr, since: Instant) -> Found {
        let settings = &self.settings;
        let of_dmarc = settings.dmarc != Enforcement::Off;
        let look_ups = LookUps::new(&self.resolver, settings.timeout / PROOF_SHARE);
        let (authors, no_author) = match of_dmarc.then(|| author::domains(message.header)) {
            Some(Ok(authors)) => (authors, None),
            Some(Err(why)) => (Vec::new(), Some(why)),
            None => (Vec::new(), None),
        };
        let of_policy = settings.timeout / POLICY_SHARE / u32::try_from(authors.len().max(1)).unwrap_or(1);
        for author in &authors {
            look_ups.share(Instant::now() + of_policy);
            look_ups.add_author(dmarc::prepare(&look_ups, author));
        }
        let end = since + settings.timeout;
        let (helo, sender) = match settings.spf || of_dmarc {
            true => self.check_spf(&look_ups, message, address, end),
            false => (None, None),
        };
        look_ups.share(end);
        let reverse_name = settings.reverse_name.then(|| reverse(&look_ups, address));
        let said_name = settings.said_name.then(|| said_name(&look_ups, &message.peer.helo, address));
        // Keys have a limit of their own, in which those of the author's domain must find room, too.
        look_ups.share(end.min(Instant::now() + dkim::LOOK_UPS_MAX / 2));
        let (signatures, chain) = self.check_signatures(&look_ups, message);
        let mut found = Found {
            reverse_name,
            said_name,
            helo,
            sender,
            signatures,
            chain,
            policies: Vec::new(),
            no_author,
        };
        let (proven, open) = proofs(&found);
        let evaluate = |author: &String| {
            look_ups.share(Instant::now() + of_policy);
            dmarc::evaluate(&look_ups, author, &proven, &open)
        };
        found.policies = authors.iter().map(evaluate).collect();
        found
    }

    fn check_signatures(
        &self,
        look_ups: &LookUps<'_>,
        message: &Inspected<'_>,
    ) -> (Option<Vec<Checked>>, Option<Chain>) {
        let with_dkim = self.settings.dkim || self.settings.dmarc != Enforcement::Off;
        if !with_dkim && !self.settings.arc {
            return (None, None);
        }
        let now = u64::try_from(base::clock::unix_seconds()).unwrap_or(0);
        let whole = message.whole();
        match (with_dkim, self.settings.arc) {
            (true, true) => {
                let verdicts = dkim::examine(&whole, look_ups, now);
                (Some(verdicts.signatures), Some(verdicts.chain))
            }
            (true, false) => (Some(dkim::verify(&whole, look_ups, now)), None),
            _ => (None, Some(dkim::arc::check(&whole, look_ups, now))),
        }
    }

    /// RFC 7208 §2.3, §2.4: HELO, and MAIL FROM, which is HELO for the null sender. The one that DMARC asks for comes first,
    /// and has a share of its own when it is of an author's domain; the others have until `end`.
    fn check_spf(
        &self,
        look_ups: &LookUps<'_>,
        message: &Inspected<'_>,
        address: IpAddr,
        end: Instant,
    ) -> (Option<spf::Checked>, Option<spf::Checked>) {
        let now = base::clock::unix_seconds();
        let helo = message.peer.helo.as_str();
        let check = |sender: &str| {
            let domain = if sender.is_empty() { helo } else { sender.rsplit('@').next().unwrap_or(sender) };
            let is_of_author = dns::ascii_name(domain).is_some_and(|domain| look_ups.is_of_author(&domain));
            look_ups.share(match is_of_author {
                true => Instant::now() + self.settings.timeout / PROOF_SHARE,
                false => end,
            });
            spf::check(look_ups, &spf::Claim { address, helo, sender, receiver: &self.host_name, now })
        };
        let of_sender = message.envelope.sender.as_deref().map(check);
        (Some(check("")), of_sender)
    }

    /// What is to become of the message: the strictest of what the domains of its From want, as far as it is done here.
    fn judge(&self, policies: &[Evaluated]) -> Verdict {
        let Some(strictest) = policies.iter().max_by_key(|one| one.wanted) else { return Verdict::Accept };
        let author = &strictest.author;
        match (strictest.wanted, self.settings.dmarc) {
            (Policy::Reject, Enforcement::Reject | Enforcement::Full) => {
                // RFC 7372 §3.2
                let text = format!(
                    "Message is not proved to come from {author}, whose policy (DMARC) is to refuse it"
                );
                Verdict::Refuse(Reply::new(550, (5, 7, 26), text))
            }
            (Policy::Quarantine, Enforcement::Full) => Verdict::Quarantine(format!(
                "not proved to come from {author}, whose policy (DMARC) is quarantine"
            )),
            _ => Verdict::Accept,
        }
    }

    fn results(&self, message: &Inspected<'_>, address: IpAddr, found: &Found) -> Results {
        let mut results = Results::new(&self.settings.authserv_id);
        if let Some(reverse) = &found.reverse_name {
            let result = results.add("iprev", reverse.verdict);
            result.property("policy", "iprev", &address.to_string());
            if let Some(name) = &reverse.name {
                result.comment(name);
            }
        }
        if let Some(verdict) = found.said_name {
            results.add(SAID_NAME, verdict).property("smtp", "helo", &message.peer.helo);
        }
        if let Some(checked) = &found.sender {
            let sender = message.envelope.sender.as_deref().unwrap_or("");
            let result = results.add("spf", checked.verdict.name());
            result.reason(checked.why.as_deref());
            result.property("smtp", "mailfrom", sender);
        }
        let of_helo =
            |checked: &&spf::Checked| found.sender.is_none() || checked.verdict != spf::Verdict::None;
        if let Some(checked) = found.helo.as_ref().filter(of_helo) {
            let result = results.add("spf", checked.verdict.name());
            result.reason(checked.why.as_deref());
            result.property("smtp", "helo", &message.peer.helo);
        }
        match found.signatures.as_deref() {
            Some([]) => {
                results.add("dkim", "none");
            }
            Some(signatures) => signatures.iter().for_each(|one| results.signature(one)),
            None => {}
        }
        if let Some(chain) = &found.chain {
            let result = results.add("arc", chain_name(chain));
            if let ChainResult::Fail(why) = &chain.result {
                result.reason(Some(why));
            }
            if chain.result != ChainResult::None {
                result.property("smtp", "remote-ip", &address.to_string());
            }
        }
        if let Some(why) = found.no_author {
            results.add("dmarc", "none").reason(Some(why));
        }
        found.policies.iter().for_each(|one| results.policy(one));
        results
    }

    fn tell(&self, message: &Inspected<'_>, address: IpAddr, found: &Found, took: Duration) {
        let sender = message.envelope.sender.as_deref().unwrap_or("");
        self.log.notice(
            Category::Protocol,
            format_args!(
                "smtp-accept: {} from=<{}> client=[{address}] verified:{} in {} ms",
                message.envelope.id,
                base::escape(sender),
                summary(found),
                took.as_millis()
            ),
        );
    }
}

/// The verdicts in one line, with the domains that matter.
fn summary(found: &Found) -> String {
    let mut line = String::new();
    if let Some(reverse) = &found.reverse_name {
        let _ = write!(line, " iprev={}", reverse.verdict);
    }
    if let Some(verdict) = found.said_name {
        let _ = write!(line, " {SAID_NAME}={verdict}");
    }
    if let Some(checked) = found.sender.as_ref().or(found.helo.as_ref()) {
        let _ = write!(line, " spf={}", checked.verdict);
    }
    if let Some(signatures) = &found.signatures {
        let said: Vec<String> = signatures
            .iter()
            .map(|one| format!("{}({})", one.result.name(), base::escape(&one.domain)))
            .collect();
        let _ = write!(line, " dkim={}", if said.is_empty() { "none".to_owned() } else { said.join(",") });
    }
    if let Some(chain) = &found.chain {
        let _ = write!(line, " arc={}", chain_name(chain));
    }
    if found.no_author.is_some() {
        line.push_str(" dmarc=none");
    }
    for one in &found.policies {
        let _ = write!(line, " dmarc={}({} p={})", one.verdict.name(), one.author, one.policy);
    }
    line
}

fn chain_name(chain: &Chain) -> &'static str {
    match chain.result {
        ChainResult::None => "none",
        ChainResult::Pass => "pass",
        ChainResult::Fail(_) => "fail",
    }
}

/// The domains that were proved, and those that could not be asked about for now.
fn proofs(found: &Found) -> (Proven, Proven) {
    // RFC 9989 §4.4.2: MAIL FROM alone, which is HELO for the null sender.
    let checked = found.sender.as_ref().or(found.helo.as_ref());
    let domain =
        |verdict| checked.filter(|one| one.verdict == verdict).and_then(|one| dns::ascii_name(&one.domain));
    let signed = |wanted: fn(&Outcome) -> bool| {
        let signatures = found.signatures.iter().flatten().filter(|one| wanted(&one.result));
        signatures.map(|one| one.domain.clone()).collect()
    };
    (
        Proven { spf: domain(spf::Verdict::Pass), dkim: signed(|result| matches!(result, Outcome::Pass)) },
        Proven {
            spf: domain(spf::Verdict::TempError),
            dkim: signed(|result| matches!(result, Outcome::TempError(_))),
        },
    )
}

/// Whether a name of the client leads back to it.
fn reverse(look_ups: &LookUps<'_>, address: IpAddr) -> Reverse {
    let none = |verdict| Reverse { verdict, name: None };
    let names = match spf::Records::ptr(look_ups, address) {
        Ok(names) => names,
        Err(DnsError::NoSuchDomain | DnsError::NoData) => return none("permerror"),
        Err(DnsError::Temporary(_)) => return none("temperror"),
    };
    let mut open = false;
    for name in names.into_iter().take(NAMES_MAX) {
        match look_ups.leads_to(&name, address) {
            Ok(true) => return Reverse { verdict: "pass", name: Some(name) },
            Ok(false) => {}
            Err(_) => open = true,
        }
    }
    none(if open { "temperror" } else { "fail" })
}

/// Whether the name that a client said has its address (RFC 5321 §4.1.4); an address literal is looked at as it is.
fn said_name(look_ups: &LookUps<'_>, helo: &str, address: IpAddr) -> &'static str {
    if let Some(literal) = helo.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let number = literal
            .get(..5)
            .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"))
            .map_or(literal, |_| &literal[5..]);
        let said = number.parse::<IpAddr>().map(|said| said.to_canonical());
        return said.map_or("permerror", |said| if said == address { "pass" } else { "fail" });
    }
    let Some(name) = dns::ascii_name(helo) else { return "permerror" };
    match look_ups.leads_to(&name, address) {
        Ok(true) => "pass",
        Ok(false) => "fail",
        Err(_) => "temperror",
    }
}
