//! SCRAM, the server's half (RFC 5802, RFC 7677): the client proves that it knows the password, the server that it has the
//! keys made of it, and neither says it. With channel binding the proof holds for this TLS connection only (RFC 5929,
//! RFC 9266).
//!
//! What is wrong with a message ends the exchange; nothing is said about why ([`Doubt`] is for the log).

mod verifier;

use base64::Engine;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

pub use verifier::{ITERATIONS_MAX, ITERATIONS_MIN, Verifier};

use crate::FIELD_BYTES_MAX;

/// Strict: what is signed must have one spelling.
const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;
/// Bytes of our half of the nonce, before base64.
const NONCE_BYTES: usize = 18;
/// Bytes of the client's half at most.
const CLIENT_NONCE_MAX: usize = 256;

/// The hash of a mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hash {
    /// RFC 5802; only where the site asks for it.
    Sha1,
    /// RFC 7677.
    Sha256,
}

impl Hash {
    /// As in the names of mechanisms and of the schemes of stored passwords.
    pub fn scheme(self) -> &'static str {
        match self {
            Hash::Sha1 => "SCRAM-SHA-1",
            Hash::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn digest(self) -> MessageDigest {
        match self {
            Hash::Sha1 => MessageDigest::sha1(),
            Hash::Sha256 => MessageDigest::sha256(),
        }
    }

    fn length(self) -> usize {
        self.digest().size()
    }

    /// `H(text)`; empty when the library has no such hash.
    fn of(self, text: &[u8]) -> Vec<u8> {
        openssl::hash::hash(self.digest(), text).map(|hash| hash.to_vec()).unwrap_or_default()
    }

    /// `HMAC(key, text)`; empty when the library has no such hash.
    fn mac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let sign = || {
            let key = PKey::hmac(key)?;
            let mut signer = Signer::new(self.digest(), &key)?;
            signer.update(text)?;
            signer.sign_to_vec()
        };
        sign().unwrap_or_default()
    }
}

/// Why a client was not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The password is wrong, or there is no such user.
    Proof,
    /// The client's end of TLS is another one than ours: somebody is in between.
    Binding,
    /// The client was told that there is no channel binding, which we offer: somebody is in between (RFC 5802 §6).
    Downgrade,
}

/// The bytes of a channel binding, by its name; nothing: this connection has none of that name.
pub type Bindings<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// What the client said first.
pub(crate) struct ClientFirst {
    pub authzid: String,
    pub authcid: String,
    nonce: String,
    /// `gs2-header` and the bytes of the channel binding: what comes back in `c=`.
    bound: Vec<u8>,
    /// `client-first-message-bare`
    bare: String,
    pub doubt: Option<Doubt>,
}

impl ClientFirst {
    /// `gs2-header client-first-message-bare` (RFC 5802 §7). `bindings` is there when mechanisms with channel binding are
    /// offered on this connection.
    pub fn parse(message: &[u8], plus: bool, bindings: Option<Bindings<'_>>) -> Option<ClientFirst> {
        let message = std::str::from_utf8(message).ok()?;
        let (flag, rest) = message.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let mut bound = message.get(..message.len() - bare.len())?.as_bytes().to_vec();
        let mut doubt = None;
        match flag {
            "n" | "y" if plus => return None, // RFC 5802 §6: such a client must not ask for this mechanism
            "n" => {}
            "y" => doubt = bindings.map(|_| Doubt::Downgrade),
            _ => {
                let name = flag.strip_prefix("p=").filter(|_| plus)?;
                bound.extend(bindings?(name)?);
            }
        }
        let authzid = match authzid {
            "" => String::new(),
            _ => sasl_name(authzid.strip_prefix("a=")?)?,
        };
        // A mandatory extension (`m=`) stands before the name; we know none.
        let (name, rest) = bare.strip_prefix("n=")?.split_once(',')?;
        let nonce = rest.split(',').next()?.strip_prefix("r=")?;
        let printable = nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if nonce.is_empty() || nonce.len() > CLIENT_NONCE_MAX || !printable {
            return None;
        }
        Some(ClientFirst {
            authzid,
            authcid: sasl_name(name)?,
            nonce: nonce.to_owned(),
            bound,
            bare: bare.to_owned(),
            doubt,
        })
    }
}

/// `saslname`: `,` and `=` are written `=2C` and `=3D` (RFC 5802 §5.1).
fn sasl_name(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > FIELD_BYTES_MAX || text.contains('\0') {
        return None;
    }
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (char, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        name.push(char);
        name.push_str(rest);
    }
    Some(name)
}

/// An exchange whose challenge was said.
pub(crate) struct Challenged {
    pub first: ClientFirst,
    hash: Hash,
    verifier: Verifier,
    nonce: String,
    server_first: String,
}

impl Challenged {
    /// With a nonce that nobody can foretell; nothing when the system has no random bytes.
    pub fn new(first: ClientFirst, hash: Hash, verifier: Verifier) -> Option<Challenged> {
        let mut random = [0; NONCE_BYTES];
        openssl::rand::rand_bytes(&mut random).ok()?;
        Some(Challenged::with_nonce(first, hash, verifier, &BASE64.encode(random)))
    }

    fn with_nonce(first: ClientFirst, hash: Hash, verifier: Verifier, ours: &str) -> Challenged {
        let nonce = format!("{}{ours}", first.nonce);
        let salt = BASE64.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        Challenged { first, hash, verifier, nonce, server_first }
    }

    /// `server-first-message`
    pub fn server_first(&self) -> &str {
        &self.server_first
    }

    /// From now on no proof is right.
    pub fn distrust(&mut self) {
        self.verifier.distrust();
    }

    /// Takes `client-final-message`; what is said to a client that is believed (`server-final-message`), or why it is not.
    /// Nothing: it is not in form.
    pub fn finish(&self, message: &[u8]) -> Option<Result<String, Doubt>> {
        let message = std::str::from_utf8(message).ok()?;
        let (unproved, proof) = message.rsplit_once(",p=")?;
        let mut parts = unproved.split(',');
        let bound = BASE64.decode(parts.next()?.strip_prefix("c=")?).ok()?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        let proof = BASE64.decode(proof).ok().filter(|proof| proof.len() == self.hash.length())?;
        if nonce != self.nonce {
            return None; // of another exchange
        }
        if let Some(doubt) = self.first.doubt {
            return Some(Err(doubt));
        }
        if bound != self.first.bound {
            return Some(Err(Doubt::Binding));
        }
        let said = format!("{},{},{unproved}", self.first.bare, self.server_first);
        let signature = self.hash.mac(&self.verifier.stored_key, said.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        if !same(&self.hash.of(&client_key), &self.verifier.stored_key) {
            return Some(Err(Doubt::Proof));
        }
        let signature = self.hash.mac(&self.verifier.server_key, said.as_bytes());
        Some(Ok(format!("v={}", BASE64.encode(signature))))
    }
}

/// In a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    !a.is_empty() && a.len() == b.len() && openssl::memcmp::eq(a, b)
}

#[cfg(test)]
mod tests;
