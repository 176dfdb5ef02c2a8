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
    /// What is to be looked at as it is; there is nothing more to say.
    Claimed(Claim),
    /// Whoever this is knows the password; the client has seen that we do too.
    Proved { authzid: String, authcid: String },
    /// Whoever this is does not.
    Unproved { authcid: String, doubt: Doubt },
    /// The client sent `*`.
    Cancelled,
    /// Not base64, or not the mechanism's form, or too long.
    Syntax,
}

/// What a client says that is no password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// A bearer token. `user` is whom the client wants to be, as far as it says so.
    Token { user: String, token: Secret },
    /// CRAM-MD5: the digest, in hexadecimal, of our challenge with the password of `authcid`.
    Digest { authcid: String, challenge: String, digest: String },
    /// Who the client's certificate names, acting for `authzid` unless it is empty.
    External { authzid: String },
    /// Nobody in particular; who it is by its own word.
    Anonymous { trace: String },
}

enum Waiting {
    Token {
        old: bool,
    },
    Digest {
        challenge: String,
    },
    Anonymous,
    External,
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
        let mut challenge = String::new();
        let waiting = match mechanism {
            Mechanism::Plain => Waiting::Plain,
            Mechanism::Login => {
                challenge.push_str("Username:");
                Waiting::User
            }
            Mechanism::Scram { hash, plus } => Waiting::ScramFirst { hash, plus },
            Mechanism::OAuthBearer => Waiting::Token { old: false },
            Mechanism::XOAuth2 => Waiting::Token { old: true },
            Mechanism::Anonymous => Waiting::Anonymous,
            Mechanism::External => Waiting::External,
            Mechanism::CramMd5 => match (initial, unique()) {
                (None, Some(text)) => {
                    challenge.clone_from(&text);
                    Waiting::Digest { challenge: text }
                }
                // RFC 4954 §4: the server speaks first, so there is no initial response.
                _ => return (Exchange { waiting: Waiting::Over }, Step::Syntax),
            },
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

    /// From now on no proof of SCRAM is right; what is said until then stays as it is.
    pub fn distrust(&mut self) {
        if let Waiting::ScramFinal(challenged) = &mut self.waiting {
            challenged.distrust();
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
            Waiting::Token { old } => token(&response, old).map_or(Step::Syntax, Step::Claimed),
            Waiting::Digest { challenge } => digest(&response, challenge).map_or(Step::Syntax, Step::Claimed),
            Waiting::External => match field(&response) {
                Some(authzid) => Step::Claimed(Claim::External { authzid }),
                None => Step::Syntax,
            },
            Waiting::Anonymous => match field(&response) {
                Some(trace) => Step::Claimed(Claim::Anonymous { trace }),
                None => Step::Syntax,
            },
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

/// OAUTHBEARER: a GS2 header, then `key=value` each behind a %x01 (RFC 7628 §3.1). XOAUTH2 has `user=` and no header.
fn token(response: &[u8], old: bool) -> Option<Claim> {
    let text = std::str::from_utf8(response).ok()?.strip_suffix("\u{1}\u{1}")?;
    let mut parts = text.split('\u{1}');
    let mut user = String::new();
    if !old {
        let header = parts.next()?;
        let rest = header.strip_prefix("n,").or_else(|| header.strip_prefix("y,"))?;
        let name = rest.strip_suffix(',')?; // `a=name`, or nothing
        if !name.is_empty() {
            user = gs2_name(name.strip_prefix("a=")?)?;
        }
    }
    let mut bearer = None;
    for part in parts {
        match part.split_once('=')? {
            ("auth", value) => {
                let (kind, token) = value.split_once(' ')?;
                bearer = Some(token.trim()).filter(|_| kind.eq_ignore_ascii_case("bearer"));
            }
            ("user", value) if old => value.clone_into(&mut user),
            _ => {} // host and port: the connection tells
        }
    }
    let token = bearer.filter(|token| !token.is_empty() && token.is_ascii())?;
    (user.len() <= FIELD_BYTES_MAX).then(|| Claim::Token { user, token: Secret::new(token.to_owned()) })
}

/// `=2C` is a comma and `=3D` an equals sign (RFC 5801 §4).
fn gs2_name(text: &str) -> Option<String> {
    let plain = text.replace("=2C", ",");
    let mut name = String::new();
    let mut rest = plain.as_str();
    while let Some((front, behind)) = rest.split_once('=') {
        name.push_str(front);
        name.push('=');
        rest = behind.strip_prefix("3D")?;
    }
    name.push_str(rest);
    (!name.is_empty()).then_some(name)
}

/// The user's name, a blank, and the digest in lower-case hexadecimal (RFC 2195 §2). A name may have blanks.
fn digest(response: &[u8], challenge: String) -> Option<Claim> {
    let text = field(response)?;
    let (authcid, digest) = text.rsplit_once(' ')?;
    let is_digest = digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && !authcid.is_empty()).then(|| Claim::Digest {
        authcid: authcid.to_owned(),
        challenge,
        digest: digest.to_ascii_lowercase(),
    })
}

/// A challenge in the form of a Message-ID (RFC 2195 §2) that nobody can foresee.
fn unique() -> Option<String> {
    let mut bytes = [0u8; 16];
    openssl::rand::rand_bytes(&mut bytes).ok()?;
    Some(format!("<{:032x}@mailboat.invalid>", u128::from_be_bytes(bytes)))
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
    fn tokens_come_in_two_forms() {
        let claim = |user: &str, token: &str| {
            Step::Claimed(Claim::Token { user: user.into(), token: Secret::new(token.into()) })
        };
        // RFC 7628 §4.1
        let text = "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}";
        let (_, step) = start(Mechanism::OAuthBearer, Some(&encoded(text)));
        assert_eq!(step, claim("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="));
        let (mut exchange, step) = start(Mechanism::OAuthBearer, None);
        assert_eq!(step, Step::Challenge(String::new()));
        assert_eq!(
            exchange.respond(&encoded("n,,\u{1}auth=bearer x.y.z\u{1}\u{1}"), None),
            claim("", "x.y.z")
        );
        let (_, step) =
            start(Mechanism::OAuthBearer, Some(&encoded("n,a=a=2Cb=3Dc,\u{1}auth=Bearer x\u{1}\u{1}")));
        assert_eq!(step, claim("a,b=c", "x"));
        let (_, step) =
            start(Mechanism::XOAuth2, Some(&encoded("user=joe@x.test\u{1}auth=Bearer x\u{1}\u{1}")));
        assert_eq!(step, claim("joe@x.test", "x"));
        for text in [
            "",
            "\u{1}\u{1}",
            "n,a=joe,\u{1}auth=Bearer x\u{1}",
            "n,a=joe,\u{1}\u{1}",
            "p=tls-unique,,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,joe,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,a=j=oe,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}auth=Basic x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer \u{1}\u{1}",
            "n,,\u{1}auth\u{1}\u{1}",
        ] {
            assert_eq!(start(Mechanism::OAuthBearer, Some(&encoded(text))).1, Step::Syntax, "{text:?}");
        }
    }

    #[test]
    fn a_digest_is_of_a_challenge_of_ours() {
        let (mut exchange, step) = start(Mechanism::CramMd5, None);
        let Step::Challenge(first) = step else { panic!("{step:?}") };
        let first = String::from_utf8(BASE64.decode(first).unwrap()).unwrap();
        let digest = "b913a602c7eda7a495b4e6e7334d3890";
        let claim = Claim::Digest { authcid: "tim".into(), challenge: first.clone(), digest: digest.into() };
        assert_eq!(exchange.respond(&encoded(&format!("tim {digest}")), None), Step::Claimed(claim));
        let Step::Challenge(second) = start(Mechanism::CramMd5, None).1 else { panic!() };
        assert_ne!(second, BASE64.encode(first), "each its own");
        assert_eq!(start(Mechanism::CramMd5, Some(b"dGlt")).1, Step::Syntax, "the server speaks first");
        for text in
            ["tim", "tim b913", " b913a602c7eda7a495b4e6e7334d3890", "tim z913a602c7eda7a495b4e6e7334d3890"]
        {
            let (mut exchange, _) = start(Mechanism::CramMd5, None);
            assert_eq!(exchange.respond(&encoded(text), None), Step::Syntax, "{text}");
        }
        let (_, step) = start(Mechanism::Anonymous, Some(&encoded("sirhc")));
        assert_eq!(step, Step::Claimed(Claim::Anonymous { trace: "sirhc".into() }));
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
