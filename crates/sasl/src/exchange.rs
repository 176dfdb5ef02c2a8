//! One exchange: challenges out, responses in.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::{FIELD_BYTES_MAX, LINE_BYTES_MAX, Secret};

/// Padding is required by RFC 4648 §3.2 and forgotten by clients.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A mechanism that is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// `draft-murchison-sasl-login`: user name and password, asked for one after the other.
    Login,
}

impl Mechanism {
    /// All of them, best first.
    pub const ALL: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

    /// The mechanism of this name, in any case.
    pub fn named(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }
}

/// What comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this (base64, may be empty) and read a line for [`Exchange::respond`].
    Challenge(String),
    /// All is said. `authzid` is empty when the client asked to be nobody else.
    Credentials { authzid: String, authcid: String, password: Secret },
    /// The client sent `*`.
    Cancelled,
    /// Not base64, or not the mechanism's form, or too long.
    Syntax,
}

enum Waiting {
    Plain,
    User,
    Password { user: String },
    Over,
}

/// An exchange under way.
pub struct Exchange {
    waiting: Waiting,
}

impl Exchange {
    /// Begins. `initial` is the initial response as it stood on the command line: base64, or `=` for an empty one.
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> (Exchange, Step) {
        let (waiting, challenge) = match mechanism {
            Mechanism::Plain => (Waiting::Plain, ""),
            Mechanism::Login => (Waiting::User, "Username:"),
        };
        let mut exchange = Exchange { waiting };
        let step = match initial {
            None => Step::Challenge(BASE64.encode(challenge)),
            Some(b"=") => exchange.take(Vec::new()), // RFC 4954 §4: "=" is a zero-length initial response
            Some(line) => exchange.respond(line),
        };
        (exchange, step)
    }

    /// The client's next line, without its CRLF.
    pub fn respond(&mut self, line: &[u8]) -> Step {
        if line == b"*" {
            self.waiting = Waiting::Over;
            return Step::Cancelled;
        }
        if line.len() > LINE_BYTES_MAX {
            self.waiting = Waiting::Over;
            return Step::Syntax;
        }
        match BASE64.decode(line) {
            Ok(response) => self.take(response),
            Err(_) => {
                self.waiting = Waiting::Over;
                Step::Syntax
            }
        }
    }

    fn take(&mut self, response: Vec<u8>) -> Step {
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
            Waiting::Over => Step::Syntax,
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
        let (_, step) = Exchange::start(Mechanism::Plain, Some(&encoded("\0tim\0tanstaaftanstaaf")));
        assert_eq!(step, credentials("", "tim", "tanstaaftanstaaf"));
        let (mut exchange, step) = Exchange::start(Mechanism::Plain, None);
        assert_eq!(step, Step::Challenge(String::new()));
        assert_eq!(
            exchange.respond(&encoded("Ursel\0Kurt\0xipj3plmq")),
            credentials("Ursel", "Kurt", "xipj3plmq")
        );
        assert_eq!(exchange.respond(&encoded("\0a\0b")), Step::Syntax, "it is over");
    }

    #[test]
    fn login_asks_twice() {
        let (mut exchange, step) = Exchange::start(Mechanism::Login, None);
        assert_eq!(step, Step::Challenge("VXNlcm5hbWU6".into()));
        assert_eq!(exchange.respond(&encoded("bob")), Step::Challenge("UGFzc3dvcmQ6".into()));
        assert_eq!(exchange.respond(&encoded("secret")), credentials("", "bob", "secret"));
        let (mut exchange, step) = Exchange::start(Mechanism::Login, Some(&encoded("bob")));
        assert_eq!(step, Step::Challenge("UGFzc3dvcmQ6".into()));
        assert_eq!(exchange.respond(b"*"), Step::Cancelled);
    }

    #[test]
    fn what_is_not_in_form_is_refused() {
        for wrong in ["", "\0", "\0\0", "a\0b", "\0a\0", "\0\0b", "\0a\0b\0c"] {
            let (_, step) = Exchange::start(Mechanism::Plain, Some(&encoded(wrong)));
            assert_eq!(step, Step::Syntax, "{wrong:?}");
        }
        for line in [&b"not base64!"[..], b"====", b"=", b"AAA\xff"] {
            let (mut exchange, _) = Exchange::start(Mechanism::Plain, None);
            assert_eq!(exchange.respond(line), Step::Syntax);
        }
        let (_, step) = Exchange::start(Mechanism::Plain, Some(b"="));
        assert_eq!(step, Step::Syntax, "an empty PLAIN response has no identity");
        let long = encoded(&format!("\0a\0{}", "x".repeat(FIELD_BYTES_MAX + 1)));
        assert_eq!(Exchange::start(Mechanism::Plain, Some(&long)).1, Step::Syntax);
    }

    #[test]
    fn padding_may_be_missing() {
        let (_, step) = Exchange::start(Mechanism::Plain, Some(b"AGEAYg"));
        assert_eq!(step, credentials("", "a", "b"));
    }

    #[test]
    fn a_password_is_never_printed() {
        let shown = format!("{:?}", credentials("", "a", "hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_input_is_too_strange(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 1..5)) {
            for mechanism in Mechanism::ALL {
                let (mut exchange, _) = Exchange::start(mechanism, None);
                for line in &lines {
                    exchange.respond(line);
                }
            }
        }
    }
}
