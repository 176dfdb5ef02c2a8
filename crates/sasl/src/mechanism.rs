//! The mechanisms there are, and their names.

use crate::scram::Hash;

/// A mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// RFC 5802, RFC 7677. `plus`: with channel binding.
    Scram { hash: Hash, plus: bool },
    /// RFC 4616.
    Plain,
    /// `draft-murchison-sasl-login`: user name and password, asked for one after the other.
    Login,
}

impl Mechanism {
    /// All of them, best first.
    pub const ALL: [Mechanism; 6] = [
        Mechanism::Scram { hash: Hash::Sha256, plus: true },
        Mechanism::Scram { hash: Hash::Sha256, plus: false },
        Mechanism::Scram { hash: Hash::Sha1, plus: true },
        Mechanism::Scram { hash: Hash::Sha1, plus: false },
        Mechanism::Plain,
        Mechanism::Login,
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
        }
    }

    /// Whether it is bound to the TLS connection.
    pub fn is_bound(self) -> bool {
        matches!(self, Mechanism::Scram { plus: true, .. })
    }
}
