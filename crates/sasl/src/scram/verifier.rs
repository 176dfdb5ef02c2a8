//! What is stored of a password so that SCRAM can check it (RFC 5802 §3), in the forms in which directories have it.

use base64::Engine;

use super::{BASE64, Hash, same};
use crate::prepare::prepared;

/// RFC 7677 §4.
pub const ITERATIONS_MIN: u32 = 4096;
/// More is an attack on the processor: ours for PLAIN, the client's for SCRAM.
pub const ITERATIONS_MAX: u32 = 10_000_000;
/// Bytes of a new salt.
const SALT_BYTES: usize = 16;
/// Bytes of a salt at most.
const SALT_MAX: usize = 256;

/// Salt, count of iterations, StoredKey and ServerKey.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
    pub(super) stored_key: Vec<u8>,
    pub(super) server_key: Vec<u8>,
}

/// Not the keys: whoever has them can play the server, and guess.
impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<verifier>")
    }
}

impl Verifier {
    /// Of a new password, with a salt of its own.
    ///
    /// # Errors
    /// The system has no random bytes; the library has no such hash.
    pub fn new(hash: Hash, password: &str, iterations: u32) -> Result<Verifier, String> {
        let mut salt = vec![0; SALT_BYTES];
        openssl::rand::rand_bytes(&mut salt).map_err(|why| why.to_string())?;
        Verifier::of(hash, password, &salt, iterations).ok_or_else(|| format!("no {} here", hash.scheme()))
    }

    /// Of this password with this salt; as slow as its iterations.
    pub fn of(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Option<Verifier> {
        let mut salted = vec![0; hash.length()];
        let password = prepared(password);
        let count = usize::try_from(iterations).ok()?;
        openssl::pkcs5::pbkdf2_hmac(password.reveal().as_bytes(), salt, count, hash.digest(), &mut salted)
            .ok()?;
        let stored_key = hash.of(&hash.mac(&salted, b"Client Key"));
        let server_key = hash.mac(&salted, b"Server Key");
        (!stored_key.is_empty() && !server_key.is_empty()).then(|| Verifier {
            salt: salt.to_vec(),
            iterations,
            stored_key,
            server_key,
        })
    }

    /// For somebody who has none: always the same for a name, and of no password. `secret` is the site's.
    pub fn made_up(hash: Hash, secret: &[u8], name: &str, iterations: u32) -> Verifier {
        let part = |what: &str| hash.mac(secret, format!("{what}\0{name}").as_bytes());
        let mut salt = part("salt");
        salt.truncate(SALT_BYTES);
        Verifier { salt, iterations, stored_key: part("stored"), server_key: part("server") }
    }

    /// Makes the StoredKey the hash of no ClientKey that anybody could find.
    pub(super) fn distrust(&mut self) {
        self.stored_key.fill(0);
    }

    /// `iterations,salt,StoredKey,ServerKey` behind the scheme of a userPassword, or RFC 5803's
    /// `iterations:salt$StoredKey:ServerKey`, all but the first in base64.
    pub fn parse(hash: Hash, text: &str) -> Option<Verifier> {
        let parts: Vec<&str> =
            if text.contains('$') { text.split(['$', ':']).collect() } else { text.split(',').collect() };
        let [iterations, salt, stored_key, server_key] = parts[..] else { return None };
        let key = |text: &str| BASE64.decode(text).ok().filter(|key| key.len() == hash.length());
        Some(Verifier {
            iterations: iterations.parse().ok().filter(|count| (1..=ITERATIONS_MAX).contains(count))?,
            salt: BASE64.decode(salt).ok().filter(|salt| !salt.is_empty() && salt.len() <= SALT_MAX)?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// What [`Verifier::parse`] takes, in the form that has commas.
    pub fn to_text(&self) -> String {
        let encode = |bytes: &[u8]| BASE64.encode(bytes);
        format!(
            "{},{},{},{}",
            self.iterations,
            encode(&self.salt),
            encode(&self.stored_key),
            encode(&self.server_key)
        )
    }

    /// Whether it is of this password; as slow as its iterations.
    pub fn is_of(&self, hash: Hash, password: &str) -> bool {
        Verifier::of(hash, password, &self.salt, self.iterations)
            .is_some_and(|other| same(&other.stored_key, &self.stored_key))
    }
}
