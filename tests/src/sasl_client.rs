//! A client that logs in by SASL, in the way of SMTP (RFC 4954), IMAP (RFC 3501 §6.2.2, RFC 4959) or POP (RFC 5034).

use crate::instance::{IMAP, IMAPS, Instance, SMTP, SUBMISSION, SUBMISSIONS};
use crate::{Wire, scram::Scram};

/// The challenge behind `334 ` or `+ `.
pub fn challenge(line: &str) -> &str {
    line.strip_prefix("334 ").or_else(|| line.strip_prefix("+ ")).unwrap_or_else(|| panic!("{line}"))
}

/// A client of one of the three services that says AUTH in its way.
pub struct SaslClient {
    pub wire: Wire,
    /// The port, which says the protocol.
    pub service: u16,
}

impl SaslClient {
    pub fn tls(instance: &Instance, service: u16) -> SaslClient {
        let wire = Wire::tls(instance.connect(service), &instance.path("config/certs/ca.pem"));
        SaslClient::greeted(wire, service)
    }

    pub fn greeted(mut wire: Wire, service: u16) -> SaslClient {
        wire.line();
        let mut client = SaslClient { wire, service };
        client.offered();
        client
    }

    /// What is offered now.
    pub fn offered(&mut self) -> Vec<String> {
        let (ask, start) = match self.service {
            SUBMISSIONS | SUBMISSION | SMTP => ("EHLO client.example\r\n", "250"),
            IMAPS | IMAP => ("c CAPABILITY\r\n", "* CAPABILITY"),
            _ => ("CAPA\r\n", "SASL"),
        };
        self.wire.send(ask.as_bytes());
        let mut offered = Vec::new();
        loop {
            let line = self.wire.line();
            if line.starts_with(start) {
                let words = line.trim_start_matches("250-").trim_start_matches("250 ").split(' ');
                let words: Vec<&str> = words.collect();
                match words[0] {
                    "AUTH" | "SASL" => offered.extend(words[1..].iter().map(|name| (*name).to_owned())),
                    _ => offered.extend(
                        words.iter().filter_map(|word| word.strip_prefix("AUTH=")).map(str::to_owned),
                    ),
                }
            }
            if line.starts_with("250 ") || line.starts_with("c OK") || line == "." {
                return offered;
            }
        }
    }

    pub fn begin(&mut self, mechanism: &str, initial: &str) -> String {
        let verb = match self.service {
            IMAPS | IMAP => "a AUTHENTICATE",
            _ => "AUTH",
        };
        self.ask(format!("{verb} {mechanism} {initial}").trim_end())
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.wire.send(format!("{line}\r\n").as_bytes());
        self.wire.line()
    }

    pub fn is_in(answer: &str) -> bool {
        ["235 ", "a OK", "+OK"].iter().any(|good| answer.starts_with(good))
    }

    pub fn is_refused(answer: &str) -> bool {
        ["535 5.7.8", "a NO [AUTHENTICATIONFAILED]", "-ERR [AUTH]"].iter().any(|bad| answer.starts_with(bad))
    }

    /// All of SCRAM; the last answer.
    pub fn scram(&mut self, mechanism: &str, scram: &mut Scram) -> String {
        let answer = self.begin(mechanism, &scram.first());
        let last = scram.last(challenge(&answer));
        let answer = self.ask(&last);
        if !answer.starts_with("334 ") && !answer.starts_with("+ ") {
            return answer;
        }
        assert!(scram.believes(challenge(&answer)), "the server must know the password too");
        self.ask("")
    }
}
