//! CAPA: what is offered in this state (RFC 2449 §5).

use connection::{Io, TlsState};
use directory::Service;
use message_store::MailboxName;
use message_store::ageing_rules::{self, Rule, Stay};
use pop3_wire::answer;

use crate::commands::user::safety;
use crate::session::{Outcome, Session};
use crate::settings::Settings;
use crate::state::State;

const SECONDS_A_DAY: u64 = 86_400;

pub fn run(session: &Session, io: &mut Io) -> Outcome {
    let mut lines = vec!["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8", "LANG"];
    let user = match &session.state {
        State::Transaction { uid, .. } => Some(uid.as_str()),
        _ => None,
    };
    let expire = expire(&session.settings.ageing, user);
    lines.extend(expire.as_deref());
    let delay = login_delay(&session.settings);
    lines.extend(delay.as_deref());
    let safety = safety(session, io);
    if safety.says_password {
        lines.push("USER");
    }
    let offered = session.desk.log_ins.mechanisms().on(Service::Pop, safety).map(sasl::Mechanism::name);
    let sasl = offered.fold("SASL".to_owned(), |line, name| line + " " + name);
    if sasl.contains(' ') {
        lines.push(&sasl);
    }
    if io.tls == TlsState::Available && user.is_none() && !session.utf8 {
        lines.push("STLS");
    }
    io.output.push(&answer::ok("Capabilities follow"));
    for line in lines {
        io.output.push(format!("{line}\r\n").as_bytes());
    }
    io.output.push(format!("IMPLEMENTATION Mailboat-{}\r\n.\r\n", env!("CARGO_PKG_VERSION")).as_bytes());
    Outcome::Done
}

/// The least time between two log-ins, the same for every user (RFC 2449 §6.5).
fn login_delay(settings: &Settings) -> Option<String> {
    let seconds = settings.min_poll.as_secs();
    (seconds > 0).then(|| format!("LOGIN-DELAY {seconds}"))
}

/// How long the ageing rules leave what a client does not delete (RFC 2449 §6.7): for this user, and before the log-in the
/// least that any user is sure of. Nothing where a message may go at any time: `EXPIRE 0` would say that none may stay.
fn expire(rules: &[Rule], user: Option<&str>) -> Option<String> {
    let (applying, each): (Vec<&Rule>, &str) = match user {
        Some(uid) => (ageing_rules::applying(rules, &MailboxName::inbox(uid).ok()?), ""),
        None => (rules.iter().collect(), " USER"),
    };
    match ageing_rules::stay(&applying) {
        Stay::Forever => Some("EXPIRE NEVER".to_owned()),
        Stay::For(age) => Some(format!("EXPIRE {}{each}", age.as_secs() / SECONDS_A_DAY)),
        Stay::Unsure => None,
    }
}

#[cfg(test)]
mod tests {
    use server_config::Config;
    use server_log::Log;

    use super::*;

    #[test]
    fn expire_is_what_the_rules_promise() {
        let rules = "store.expirerule.all.folderpattern = *\nstore.expirerule.all.messagedays = 60\n\
             store.expirerule.bob.folderpattern = user/bob/*\nstore.expirerule.bob.savedays = 14\n\
             store.expirerule.bob.exclusive = yes\n\
             store.expirerule.boss.folderpattern = user/boss/*\nstore.expirerule.boss.exclusive = yes\n";
        let count =
            "store.expirerule.few.folderpattern = user/few/*\nstore.expirerule.few.messagecount = 9\n";
        let of = |text: &str| ageing_rules::from_config(&Config::from_text(text).unwrap(), &Log::discard());
        let without = of(rules);
        for (user, said) in [
            (None, Some("EXPIRE 14 USER")),
            (Some("alice"), Some("EXPIRE 60")),
            (Some("bob"), Some("EXPIRE 14")),
            (Some("boss"), Some("EXPIRE NEVER")),
        ] {
            assert_eq!(expire(&without, user).as_deref(), said, "{user:?}");
        }
        let with = of(&format!("{rules}{count}"));
        assert_eq!(expire(&with, None), None);
        assert_eq!(expire(&with, Some("few")), None);
        assert_eq!(expire(&with, Some("bob")).as_deref(), Some("EXPIRE 14"));
        assert_eq!(expire(&[], None).as_deref(), Some("EXPIRE NEVER"));
    }
}
