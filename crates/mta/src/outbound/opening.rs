//! From recipients of one domain to an open connection: the hosts in turn, each as it must be.

use std::time::Instant;

use server_config::parameters::service_smtp_modules;
use server_log::Category;
use smtp_client::{Credentials, Kind, Outcome, Refused, Session, TlsUse, Transaction, Verify};

use crate::mta::Desk;
use crate::outbound::counting::result_of;
use crate::outbound::credentials;
use crate::outbound::security::{self, Security, Wish};
use crate::stages::targets::{NoTarget, Target, targets};
use crate::work::Group;

/// An open connection and what it was used for.
pub struct Connection {
    pub session: Session,
    /// Name, address and port of the other host.
    pub relay: String,
    pub messages: usize,
    pub since: Instant,
    /// It was opened for a message that does not care about what the destination publishes; others do.
    pub relaxed: bool,
    /// The host was named by the administrator, and nothing says as whom to log in there: what would have to be written.
    missing_log_in: Option<String>,
}

impl Connection {
    /// Whether it is what REQUIRETLS asks for (RFC 8689 §4.2.1).
    pub fn is_proved(&self) -> bool {
        self.session.is_verified() && self.session.offers().require_tls && self.session.fault().is_none()
    }

    /// A host that wants to know who we are (530 of RFC 4954 §6; some say 5.7.0 or 5.7.1 to MAIL), where nothing says it:
    /// that is ours to mend, and no mail comes back for it.
    pub fn excuse_missing_log_in(&self, desk: &Desk, transaction: &mut Transaction) {
        let Some(missing) = &self.missing_log_in else { return };
        let mut said = None;
        for one in &mut transaction.recipients {
            let Outcome::Failed { status, text } = &*one else { continue };
            let to_mail = transaction.mail_refused && matches!(status.as_str(), "5.7.0" | "5.7.1");
            if to_mail || text.contains(" said: 530") {
                let text = format!("{text} ({missing})");
                said = Some(text.clone());
                *one = Outcome::Later { status: "4.7.0".into(), text };
            }
        }
        if let Some(text) = said {
            desk.log.error(Category::Network, format_args!("log-in at another host: {text}"));
        }
    }
}

/// Why there is no connection.
pub struct Refusal {
    pub outcome: Outcome,
    /// It is the same for all mail of the domain.
    pub unreachable: bool,
    /// Hosts were there, and did not keep to what is demanded of them.
    pub untrusted: bool,
}

/// Why one host does not take us.
struct Failure {
    kind: Kind,
    text: String,
}

/// Connects to the first host that takes us.
///
/// # Errors
/// None does.
pub fn open(desk: &Desk, group: &Group, wish: Wish) -> Result<Connection, Refusal> {
    let targets = targets(&desk.settings, &desk.outbound.resolver, group).map_err(|none| match none {
        NoTarget::Later(status, text) => {
            Refusal { outcome: Outcome::Later { status, text }, unreachable: true, untrusted: false }
        }
        NoTarget::Misnamed(text) => {
            desk.log.error(Category::Network, format_args!("mail waits: {text}"));
            let outcome = Outcome::Later { status: "4.4.4".into(), text };
            Refusal { outcome, unreachable: true, untrusted: false }
        }
        NoTarget::Never(status, text) => {
            Refusal { outcome: Outcome::Failed { status, text }, unreachable: false, untrusted: false }
        }
    })?;
    let mut last = Failure { kind: Kind::Connect, text: format!("{} has no host", group.domain) };
    let mut all_untrusted = !targets.is_empty();
    for target in &targets {
        match connect(desk, target, wish) {
            Ok((session, missing_log_in)) => {
                let relay = target.peer.to_string();
                let (since, relaxed) = (Instant::now(), wish.relaxed);
                return Ok(Connection { session, relay, messages: 0, since, relaxed, missing_log_in });
            }
            Err(failure) => {
                if target.of_domain && failure.kind != Kind::Tls {
                    desk.outbound.resolver.host_failed(&group.domain, &target.peer.host); // S58
                }
                all_untrusted &= failure.kind == Kind::Tls;
                // A host that cannot be trusted says more about the domain than one that cannot be reached.
                if last.kind != Kind::Tls || failure.kind == Kind::Tls {
                    last = failure;
                }
            }
        }
    }
    Err(refusal(last, wish, all_untrusted))
}

fn refusal(Failure { kind, text }: Failure, wish: Wish, all_untrusted: bool) -> Refusal {
    let later = |status: &str, text| Outcome::Later { status: status.into(), text };
    let untrusted = kind == Kind::Tls;
    match kind {
        // RFC 8689 §4.2.1: no host can be what the message asks for.
        Kind::Tls if wish.required && all_untrusted => {
            let outcome = Outcome::Failed { status: "5.7.30".into(), text };
            Refusal { outcome, unreachable: false, untrusted }
        }
        // Another message may ask for less, or more: each is tried by itself.
        Kind::Tls => Refusal { outcome: later("4.7.5", text), unreachable: false, untrusted },
        Kind::Auth => Refusal { outcome: later("4.7.8", text), unreachable: true, untrusted },
        Kind::Connect | Kind::Later | Kind::Permanent => {
            Refusal { outcome: later("4.4.1", text), unreachable: true, untrusted }
        }
    }
}

/// The session, and what [`Connection::excuse_missing_log_in`] has to know.
fn connect(desk: &Desk, target: &Target, wish: Wish) -> Result<(Session, Option<String>), Failure> {
    let who = log_in(desk, target)?;
    let security = security::of(&desk.outbound, &desk.log, target, who.is_some(), wish)
        .map_err(|text| Failure { kind: Kind::Tls, text })?;
    let missing_log_in = (target.is_named && who.is_none()).then(|| missing_log_in(desk, target));
    let first = begin(desk, target, &security, who.clone());
    count(desk, target, &security, &first);
    let session =
        first.or_else(|refused| less(desk, target, &security, who, refused)).map_err(|refused| {
            if refused.kind == Kind::Auth {
                desk.log.error(Category::Network, format_args!("log-in at another host: {refused}"));
            }
            Failure { kind: refused.kind, text: refused.text }
        })?;
    if wish.required && !session.offers().require_tls {
        session.quit();
        let text = format!("the message came with REQUIRETLS, which {} does not have", target.peer);
        return Err(Failure { kind: Kind::Tls, text });
    }
    Ok((session, missing_log_in))
}

fn missing_log_in(desk: &Desk, target: &Target) -> String {
    let port = target.peer.address.port();
    match &desk.outbound.credentials {
        Some(file) => {
            format!("no line of {} is about {} or its port {port}", file.path.display(), target.next_hop)
        }
        None => format!("{} is not set", service_smtp_modules::SMART_CREDENTIALS.name),
    }
}

/// Once more with less, and then without TLS, where TLS does not work and nobody asks for it (RFC 7435).
fn less(
    desk: &Desk,
    target: &Target,
    security: &Security,
    who: Option<Credentials>,
    refused: Refused,
) -> Result<Session, Refused> {
    if refused.kind != Kind::Tls || security.tls != TlsUse::Opportunistic {
        return Err(refused);
    }
    let mut less = Security { verify: Verify::None, lenient: false, ..security.clone() };
    if security.verify != Verify::None {
        match begin(desk, target, &less, who.clone()) {
            Err(again) if again.kind == Kind::Tls => {}
            other => return other,
        }
    }
    less.tls = TlsUse::Never;
    begin(desk, target, &less, who)
}

/// For the reports of RFC 8460; what did not come as far as TLS says nothing about it.
fn count(desk: &Desk, target: &Target, security: &Security, first: &Result<Session, Refused>) {
    let Some(counted) = &security.counted else { return };
    let outbound = &desk.outbound;
    match first {
        Err(refused) if refused.kind == Kind::Tls => {
            counted.note(outbound, target, Some((result_of(refused.fault), &refused.text)));
        }
        Err(_) => {}
        Ok(session) => match (session.fault(), &security.flaw) {
            (Some((fault, text)), _) => counted.note(outbound, target, Some((result_of(Some(*fault)), text))),
            (None, Some((result, text))) => counted.note(outbound, target, Some((result, text))),
            (None, None) => counted.note(outbound, target, None),
        },
    }
}

fn begin(
    desk: &Desk,
    target: &Target,
    security: &Security,
    who: Option<Credentials>,
) -> Result<Session, Refused> {
    let settings = desk.outbound.settings(security.tls, security.lenient);
    Session::connect(&target.peer, &settings, security.verify.clone(), who)
}

/// As whom to log in; only hosts that the administrator named are told.
fn log_in(desk: &Desk, target: &Target) -> Result<Option<Credentials>, Failure> {
    let Some(file) = desk.outbound.credentials.as_ref().filter(|_| target.is_named) else { return Ok(None) };
    credentials::find(file, &target.next_hop, target.peer.address.port()).map_err(|text| {
        desk.log.error(Category::Network, format_args!("log-ins at other hosts: {text}"));
        Failure { kind: Kind::Auth, text: format!("{}: the log-in cannot be read, see the log", target.peer) }
    })
}
