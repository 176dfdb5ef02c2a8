//! The mechanisms there are, and their names.

use crate::scram::Hash;

/// A mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// RFC 5802, RFC 7677. `plus`: with channel binding.
    Scram { hash: Hash, plus: bool },
    /// RFC 4616.
    Plain,
    /// RFC 4422 appendix A: who the client is, TLS has shown.
    External,
    /// RFC 7628: a bearer token.
    OAuthBearer,
    /// The same in the older form that clients of large providers say.
    XOAuth2,
    /// RFC 2195: a digest of a challenge with the password, which must be stored in clear.
    CramMd5,
    /// RFC 4505.
    Anonymous,
    /// `draft-murchison-sasl-login`: user name and password, asked for one after the other.
    Login,
}

impl Mechanism {
    /// All of them, best first.
    pub const ALL: [Mechanism; 11] = [
        Mechanism::External,
        Mechanism::Scram { hash: Hash::Sha256, plus: true },
        Mechanism::Scram { hash: Hash::Sha256, plus: false },
        Mechanism::Scram { hash: Hash::Sha1, plus: true },
        Mechanism::Scram { hash: Hash::Sha1, plus: false },
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::CramMd5,
        Mechanism::Anonymous,
    ];

    /// The mechanism of this name, in any case.
    pub fn named(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Scram { hash: Hash::Sha256, plus: true } => "SCRAM-SHA-256-PLUS",
            Mechanism::Scram { hash: Hash::Sha256, plus: false } => "SCRAM-SHA-256",
            Mechanism::Scram { hash: Hash::Sha1, plus: true } => "SCRAM-SHA-1-PLUS",
            Mechanism::Scram { hash: Hash::Sha1, plus: false } => "SCRAM-SHA-1",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::External => "EXTERNAL",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::Anonymous => "ANONYMOUS",
        }
    }

    /// Whether it is bound to the TLS connection.
    pub fn is_bound(self) -> bool {
        matches!(self, Mechanism::Scram { plus: true, .. })
    }
}
