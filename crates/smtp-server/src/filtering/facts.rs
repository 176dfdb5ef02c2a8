//! What filters can know of a session and a message: the values of sendmail's macros.

use connection::{Io, TlsState};
use smtp_wire::Reply;

use crate::session::Session;
use crate::state::Transaction;

/// Macros by their names on the wire.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(Vec<(&'static str, String)>);

/// What filters tell submission by, as Postfix's documentation has it configured (`milter_macro_daemon_name`).
const SUBMISSION_DAEMON: &str = "ORIGINATING";

impl Facts {
    pub fn value(&self, name: &str) -> Option<String> {
        self.0.iter().rev().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    /// The same with a recipient.
    pub fn of_recipient(mut self, address: &str, is_local: bool) -> Facts {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        self.set("{rcpt_addr}", address);
        self.set("{rcpt_host}", domain);
        self.set("{rcpt_mailer}", mailer(is_local));
        self
    }

    /// The same with a recipient that we refuse, as sendmail tells it: the mailer `error`, enhanced code and text.
    pub fn of_refused_recipient(mut self, reply: &Reply) -> Facts {
        let text = String::from_utf8_lossy(&reply.encode()).trim_end().to_owned();
        let status = reply.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"));
        self.set("{rcpt_addr}", text);
        self.set("{rcpt_host}", status.unwrap_or_default());
        self.set("{rcpt_mailer}", "error");
        self
    }
}

fn mailer(is_local: bool) -> &'static str {
    if is_local { "local" } else { "esmtp" }
}

impl Session {
    /// All that is known now. `name` is the client's that leads back to its address.
    pub(super) fn facts(
        &self,
        name: Option<&str>,
        transaction: Option<&Transaction>,
        id: Option<&str>,
        io: &Io,
    ) -> Facts {
        let mut facts = Facts::default();
        self.add_server(&mut facts, io);
        add_client(&mut facts, name, io);
        if let TlsState::Active { protocol, cipher, bits } = &io.tls {
            facts.set("{tls_version}", *protocol);
            facts.set("{cipher}", cipher.as_str());
            facts.set("{cipher_bits}", bits.to_string());
        }
        if let Some(user) = &self.user {
            facts.set("{auth_type}", self.mechanism.unwrap_or("PLAIN"));
            facts.set("{auth_authen}", user.uid.as_deref().unwrap_or(&user.mail));
        }
        if let Some(sender) = transaction.and_then(|transaction| transaction.sender.as_ref()) {
            facts.set("{mail_addr}", sender.to_string());
            facts.set("{mail_host}", sender.domain.as_str());
            facts.set("{mail_mailer}", mailer(self.settings.domains.contains(&sender.domain)));
        }
        if let Some(id) = id {
            facts.set("i", id);
        }
        facts
    }

    fn add_server(&self, facts: &mut Facts, io: &Io) {
        let host = self.settings.host_name.as_str();
        let local = io.local.ip().to_canonical().to_string();
        let daemon = if self.is_submission(io) { SUBMISSION_DAEMON } else { host };
        facts.set("j", host);
        facts.set("v", concat!("Mailboat ", env!("CARGO_PKG_VERSION")));
        facts.set("{daemon_name}", daemon);
        facts.set("{daemon_addr}", local.as_str());
        facts.set("{daemon_port}", io.local.port().to_string());
        facts.set("{if_name}", host);
        facts.set("{if_addr}", local);
    }
}

fn add_client(facts: &mut Facts, name: Option<&str>, io: &Io) {
    let address = io.peer.ip().to_canonical().to_string();
    facts.set("_", name.map_or(format!("[{address}]"), |name| format!("{name} [{address}]")));
    facts.set("{client_name}", name.unwrap_or("unknown"));
    facts.set("{client_ptr}", name.unwrap_or("unknown"));
    facts.set("{client_resolve}", if name.is_some() { "OK" } else { "FAIL" });
    facts.set("{client_port}", io.peer.port().to_string());
    facts.set("{client_addr}", address);
}
