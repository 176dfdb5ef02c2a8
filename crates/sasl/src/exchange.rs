//! One exchange: challenges out, responses in.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::scram::{Bindings, Challenged, ClientFirst, Doubt, Hash, Verifier};
use crate::{FIELD_BYTES_MAX, LINE_BYTES_MAX, Mechanism, Secret};

/// Padding is required by RFC 4648 §3.2 and forgotten by clients.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this (base64, may be empty) and read a line for [`Exchange::respond`].
    Challenge(String),
    /// All is said. `authzid` is empty when the client asked to be nobody else.
    Credentials { authzid: String, authcid: String, password: Secret },
    /// What is stored of `authcid`'s password is wanted, for [`Exchange::verify_with`].
    Verifier { authcid: String, hash: Hash },
    /// Whoever this is knows the password; the client has seen that we do too.
    Proved { authzid: String, authcid: String },
    /// Whoever this is does not.
    Unproved { authcid: String, doubt: Doubt },
    /// The client sent `*`.
    Cancelled,
    /// Not base64, or not the mechanism's form, or too long.
    Syntax,
}

enum Waiting {
    Plain,
    User,
    Password {
        user: String,
    },
    /// For the client's first message of SCRAM.
    ScramFirst {
        hash: Hash,
        plus: bool,
    },
    /// For what is stored.
    Stored {
        first: Box<ClientFirst>,
        hash: Hash,
    },
    ScramFinal(Box<Challenged>),
    /// For the empty response to what proves the server.
    Acknowledgement {
        authzid: String,
        authcid: String,
    },
    Over,
}

/// An exchange under way.
pub struct Exchange {
    waiting: Waiting,
}

impl Exchange {
    /// Begins. `initial` is the initial response as it stood on the command line: base64, or `=` for an empty one.
    /// `bindings` are those of the connection, if mechanisms with channel binding are offered on it; they are wanted with
    /// each response.
    pub fn start(
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        bindings: Option<Bindings<'_>>,
    ) -> (Exchange, Step) {
        let (waiting, challenge) = match mechanism {
            Mechanism::Plain => (Waiting::Plain, ""),
            Mechanism::Login => (Waiting::User, "Username:"),
            Mechanism::Scram { hash, plus } => (Waiting::ScramFirst { hash, plus }, ""),
        };
        let mut exchange = Exchange { waiting };
        let step = match initial {
            None => Step::Challenge(BASE64.encode(challenge)),
            Some(b"=") => exchange.take(Vec::new(), bindings), // RFC 4954 §4: "=" is a zero-length initial response
            Some(line) => exchange.respond(line, bindings),
        };
        (exchange, step)
    }

    /// Goes on behind [`Step::Verifier`].
    pub fn verify_with(&mut self, verifier: Verifier) -> Step {
        let Waiting::Stored { first, hash } = std::mem::replace(&mut self.waiting, Waiting::Over) else {
            return Step::Syntax;
        };
        match Challenged::new(*first, hash, verifier) {
            Some(challenged) => {
                let step = Step::Challenge(BASE64.encode(challenged.server_first()));
                self.waiting = Waiting::ScramFinal(Box::new(challenged));
                step
            }
            None => Step::Syntax, // no random bytes
        }
    }

    /// The client's next line, without its CRLF.
    pub fn respond(&mut self, line: &[u8], bindings: Option<Bindings<'_>>) -> Step {
        if line == b"*" {
            self.waiting = Waiting::Over;
            return Step::Cancelled;
        }
        if line.len() > LINE_BYTES_MAX {
            self.waiting = Waiting::Over;
            return Step::Syntax;
        }
        match BASE64.decode(line) {
            Ok(response) => self.take(response, bindings),
            Err(_) => {
                self.waiting = Waiting::Over;
                Step::Syntax
            }
        }
    }

    fn take(&mut self, response: Vec<u8>, bindings: Option<Bindings<'_>>) -> Step {
        match std::mem::replace(&mut self.waiting, Waiting::Over) {
            Waiting::Plain => plain(&response).unwrap_or(Step::Syntax),
            Waiting::User => match field(&response) {
                Some(user) if !user.is_empty() => {
                    self.waiting = Waiting::Password { user };
                    Step::Challenge(BASE64.encode("Password:"))
                }
                _ => Step::Syntax,
            },
            Waiting::Password { user } => match field(&response) {
                Some(password) => Step::Credentials {
                    authzid: String::new(),
                    authcid: user,
                    password: Secret::new(password),
                },
                None => Step::Syntax,
            },
            Waiting::ScramFirst { hash, plus } => match ClientFirst::parse(&response, plus, bindings) {
                Some(first) => {
                    let authcid = first.authcid.clone();
                    self.waiting = Waiting::Stored { first: Box::new(first), hash };
                    Step::Verifier { authcid, hash }
                }
                None => Step::Syntax,
            },
            Waiting::ScramFinal(challenged) => self.finish(*challenged, &response),
            Waiting::Acknowledgement { authzid, authcid } if response.is_empty() => {
                Step::Proved { authzid, authcid }
            }
            Waiting::Acknowledgement { .. } | Waiting::Stored { .. } | Waiting::Over => Step::Syntax,
        }
    }

    /// What proves the server goes as one more challenge (RFC 4954 §4, RFC 5034 §4).
    fn finish(&mut self, challenged: Challenged, response: &[u8]) -> Step {
        let result = challenged.finish(response);
        let (authzid, authcid) = (challenged.first.authzid, challenged.first.authcid);
        match result {
            Some(Ok(server_final)) => {
                self.waiting = Waiting::Acknowledgement { authzid, authcid };
                Step::Challenge(BASE64.encode(server_final))
            }
            Some(Err(doubt)) => Step::Unproved { authcid, doubt },
            None => Step::Syntax,
        }
    }
}

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` (RFC 4616 §2)
fn plain(response: &[u8]) -> Option<Step> {
    let mut parts = response.split(|byte| *byte == 0);
    let (authzid, authcid, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || authcid.is_empty() || password.is_empty() {
        return None;
    }
    Some(Step::Credentials {
        authzid: field(authzid)?,
        authcid: field(authcid)?,
        password: Secret::new(field(password)?),
    })
}

fn field(bytes: &[u8]) -> Option<String> {
    if bytes.len() > FIELD_BYTES_MAX || bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> (Exchange, Step) {
        Exchange::start(mechanism, initial, None)
    }

    fn encoded(text: &str) -> Vec<u8> {
        BASE64.encode(text).into_bytes()
    }

    fn credentials(authzid: &str, authcid: &str, password: &str) -> Step {
        Step::Credentials {
            authzid: authzid.into(),
            authcid: authcid.into(),
            password: Secret::new(password.into()),
        }
    }

    #[test]
    fn plain_comes_with_the_command_or_after_an_empty_challenge() {
        let (_, step) = start(Mechanism::Plain, Some(&encoded("\0tim\0tanstaaftanstaaf")));
        assert_eq!(step, credentials("", "tim", "tanstaaftanstaaf"));
        let (mut exchange, step) = start(Mechanism::Plain, None);
        assert_eq!(step, Step::Challenge(String::new()));
        assert_eq!(
            exchange.respond(&encoded("Ursel\0Kurt\0xipj3plmq"), None),
            credentials("Ursel", "Kurt", "xipj3plmq")
        );
        assert_eq!(exchange.respond(&encoded("\0a\0b"), None), Step::Syntax, "it is over");
    }

    #[test]
    fn login_asks_twice() {
        let (mut exchange, step) = start(Mechanism::Login, None);
        assert_eq!(step, Step::Challenge("VXNlcm5hbWU6".into()));
        assert_eq!(exchange.respond(&encoded("bob"), None), Step::Challenge("UGFzc3dvcmQ6".into()));
        assert_eq!(exchange.respond(&encoded("secret"), None), credentials("", "bob", "secret"));
        let (mut exchange, step) = start(Mechanism::Login, Some(&encoded("bob")));
        assert_eq!(step, Step::Challenge("UGFzc3dvcmQ6".into()));
        assert_eq!(exchange.respond(b"*", None), Step::Cancelled);
    }

    #[test]
    fn what_is_not_in_form_is_refused() {
        for wrong in ["", "\0", "\0\0", "a\0b", "\0a\0", "\0\0b", "\0a\0b\0c"] {
            let (_, step) = start(Mechanism::Plain, Some(&encoded(wrong)));
            assert_eq!(step, Step::Syntax, "{wrong:?}");
        }
        for line in [&b"not base64!"[..], b"====", b"=", b"AAA\xff"] {
            let (mut exchange, _) = start(Mechanism::Plain, None);
            assert_eq!(exchange.respond(line, None), Step::Syntax);
        }
        let (_, step) = start(Mechanism::Plain, Some(b"="));
        assert_eq!(step, Step::Syntax, "an empty PLAIN response has no identity");
        let long = encoded(&format!("\0a\0{}", "x".repeat(FIELD_BYTES_MAX + 1)));
        assert_eq!(start(Mechanism::Plain, Some(&long)).1, Step::Syntax);
    }

    #[test]
    fn padding_may_be_missing() {
        let (_, step) = start(Mechanism::Plain, Some(b"AGEAYg"));
        assert_eq!(step, credentials("", "a", "b"));
    }

    #[test]
    fn a_password_is_never_printed() {
        let shown = format!("{:?}", credentials("", "a", "hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    /// The whole of SCRAM, as the lines go.
    #[test]
    fn scram_asks_for_what_is_stored_and_proves_itself_before_it_is_done() {
        let mechanism = Mechanism::named("scram-sha-256").unwrap();
        let (mut exchange, step) = start(mechanism, None);
        assert_eq!(step, Step::Challenge(String::new()));
        let step = exchange.respond(&encoded("n,,n=joe,r=abc"), None);
        assert_eq!(step, Step::Verifier { authcid: "joe".into(), hash: Hash::Sha256 });
        let verifier = Verifier::of(Hash::Sha256, "pencil", b"salt", 4096).unwrap();
        let Step::Challenge(text) = exchange.verify_with(verifier) else { panic!("no challenge") };
        let server_first = String::from_utf8(BASE64.decode(text).unwrap()).unwrap();
        assert!(server_first.starts_with("r=abc") && server_first.ends_with(",s=c2FsdA==,i=4096"));
        let nonce = &server_first[2..server_first.find(',').unwrap()];
        let wrong = format!("c=biws,r={nonce},p={}", BASE64.encode([7; 32]));
        let doubt = Step::Unproved { authcid: "joe".into(), doubt: Doubt::Proof };
        assert_eq!(exchange.respond(&encoded(&wrong), None), doubt);
        assert_eq!(exchange.respond(&encoded(&wrong), None), Step::Syntax, "it is over");
        let (mut exchange, _) = start(mechanism, Some(&encoded("n,,n=joe,r=abc")));
        assert_eq!(exchange.respond(&encoded("n,,n=joe,r=abc"), None), Step::Syntax, "out of turn");
        let (mut exchange, _) = start(Mechanism::Plain, None);
        assert_eq!(exchange.verify_with(Verifier::made_up(Hash::Sha256, b"s", "joe", 4096)), Step::Syntax);
    }

    proptest! {
        #[test]
        fn no_input_is_too_strange(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 1..5)) {
            for mechanism in Mechanism::ALL {
                let (mut exchange, _) = start(mechanism, None);
                for line in &lines {
                    exchange.respond(line, None);
                }
            }
        }
    }
}
