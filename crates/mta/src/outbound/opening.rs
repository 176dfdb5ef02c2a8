//! From recipients of one domain to an open connection: the hosts in turn, each as it must be.

use std::time::Instant;

use server_log::Category;
use smtp_client::{Credentials, Kind, Outcome, Session, TlsUse};

use crate::mta::Desk;
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
}

/// Why there is no connection.
pub struct Refusal {
    pub outcome: Outcome,
    /// It is the same for all mail of the domain.
    pub unreachable: bool,
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
            Refusal { outcome: Outcome::Later { status, text }, unreachable: true }
        }
        NoTarget::Never(status, text) => {
            Refusal { outcome: Outcome::Failed { status, text }, unreachable: false }
        }
    })?;
    let mut last = Failure { kind: Kind::Connect, text: format!("{} has no host", group.domain) };
    for target in &targets {
        match connect(desk, target, wish) {
            Ok(session) => {
                let relay = target.peer.to_string();
                let relaxed = wish.relaxed;
                return Ok(Connection { session, relay, messages: 0, since: Instant::now(), relaxed });
            }
            Err(failure) => {
                if target.of_domain && failure.kind != Kind::Tls {
                    desk.outbound.resolver.host_failed(&group.domain, &target.peer.host); // S58
                }
                // A host that cannot be trusted says more about the domain than one that cannot be reached.
                if last.kind != Kind::Tls || failure.kind == Kind::Tls {
                    last = failure;
                }
            }
        }
    }
    let Failure { kind, text } = last;
    let later = |status: &str, text| Outcome::Later { status: status.into(), text };
    Err(match kind {
        // Another message may ask for less, or more: each is tried by itself.
        Kind::Tls => Refusal { outcome: later("4.7.5", text), unreachable: false },
        Kind::Auth => Refusal { outcome: later("4.7.8", text), unreachable: true },
        Kind::Connect | Kind::Later | Kind::Permanent => {
            Refusal { outcome: later("4.4.1", text), unreachable: true }
        }
    })
}

fn connect(desk: &Desk, target: &Target, wish: Wish) -> Result<Session, Failure> {
    let outbound = &desk.outbound;
    let who = log_in(desk, target)?;
    let logs_in = who.is_some();
    let security = security::of(outbound, target, logs_in, wish)
        .map_err(|why| Failure { kind: Kind::Tls, text: why.text })?;
    match begin(desk, target, &security, who.clone()) {
        // Without TLS where TLS does not work and nobody asks for it (RFC 7435).
        Err(refused) if refused.kind == Kind::Tls && security.tls == TlsUse::Opportunistic => {
            begin(desk, target, &Security { tls: TlsUse::Never, ..security }, who)
        }
        other => other,
    }
    .map_err(|refused| {
        if refused.kind == Kind::Auth {
            desk.log.error(Category::Network, format_args!("log-in at another host: {refused}"));
        }
        Failure { kind: refused.kind, text: refused.text }
    })
}

fn begin(
    desk: &Desk,
    target: &Target,
    security: &Security,
    who: Option<Credentials>,
) -> Result<Session, smtp_client::Refused> {
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
