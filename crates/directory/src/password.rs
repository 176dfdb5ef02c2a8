//! Stored passwords: `{SCHEME}` and its text (RFC 2307 §5.3), or SCRAM's keys as an authPassword has them (RFC 5803). New
//! ones are Argon2id or SCRAM's keys ([`Schemes`]); the other schemes are verified.
//!
//! Slow hashes run as many at a time as there are processors, at most eight, so that a flood of log-ins takes no more than
//! 160 MB. Daemons make them in threads of their own ([`crate::log_ins`]).

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, Params};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use sasl::scram::{Hash, ITERATIONS_MIN, Verifier};
use server_config::Config;
use server_config::parameters::service;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Slow hashes at the same time, at most.
const SLOW_AT_ONCE_MAX: usize = 8;
/// Iterations of PBKDF2 that are believed; more is an attack on the processor.
const PBKDF2_ITERATIONS_MAX: usize = 10_000_000;
/// How the names of schemes begin whose hashes are slow on purpose.
const SLOW: [&str; 4] = ["ARGON2", "SCRAM-", "PBKDF2-", "CRYPT"];
/// 19 MiB, two passes, one lane: OWASP's recommendation for Argon2id; 33 ms here.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// The text to store for a password: `{ARGON2}$argon2id$...`.
///
/// # Errors
/// The system has no random bytes, or the password cannot be hashed.
pub fn hash(password: &str) -> Result<String, String> {
    let mut salt = [0u8; 16];
    openssl::rand::rand_bytes(&mut salt).map_err(|why| why.to_string())?;
    let salt = SaltString::encode_b64(&salt).map_err(|why| why.to_string())?;
    let _turn = Turn::take();
    let hash = ours().hash_password(password.as_bytes(), &salt).map_err(|why| why.to_string())?;
    Ok(format!("{{ARGON2}}{hash}"))
}

/// How new passwords are stored (`service.passwordscheme`): in each of these forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schemes {
    names: Vec<String>,
    scram_iterations: u32,
}

impl Schemes {
    pub fn from_config(config: &Config) -> Schemes {
        Schemes {
            names: config.get(&service::PASSWORD_SCHEME),
            scram_iterations: u32::try_from(config.get(&service::SCRAM_ITERATIONS)).unwrap_or(ITERATIONS_MIN),
        }
    }

    /// The values of userPassword for a password.
    ///
    /// # Errors
    /// As [`hash`].
    pub fn store(&self, password: &str) -> Result<Vec<String>, String> {
        let scram = |hash: Hash| {
            let verifier = Verifier::new(hash, password, self.scram_iterations)?;
            Ok(format!("{{{}}}{}", hash.scheme(), verifier.to_text()))
        };
        let stored = self.names.iter().map(|name| match name.as_str() {
            "SCRAM-SHA-256" => scram(Hash::Sha256),
            "SCRAM-SHA-1" => scram(Hash::Sha1),
            _ => hash(password),
        });
        let stored = stored.collect::<Result<Vec<String>, String>>()?;
        if stored.is_empty() { Ok(vec![hash(password)?]) } else { Ok(stored) }
    }
}

/// Scheme and text of a stored password. One in clear says so, or it is none.
fn parts(stored: &str) -> Option<(&str, &str)> {
    match stored.strip_prefix('{') {
        Some(rest) => rest.split_once('}'),
        None => stored.split_once('$').filter(|(scheme, _)| scheme.trim().starts_with("SCRAM-")), // RFC 5803 §2
    }
}

/// What SCRAM needs, from stored passwords; nothing when none of them has it.
pub fn scram_keys(stored: &[String], hash: Hash) -> Option<Verifier> {
    stored.iter().find_map(|stored| {
        let (scheme, text) = parts(stored)?;
        let text = text.replace(' ', "");
        if scheme.trim().eq_ignore_ascii_case(hash.scheme()) { Verifier::parse(hash, &text) } else { None }
    })
}

fn scram(hash: Hash, text: &str, given: &str) -> bool {
    let Some(verifier) = Verifier::parse(hash, &text.replace(' ', "")) else { return false };
    let _turn = Turn::take();
    verifier.is_of(hash, given)
}

/// Whether `given` is the password stored as `stored`. A scheme that is not known is nobody's password.
pub fn verify(stored: &str, given: &str) -> bool {
    let Some((scheme, text)) = parts(stored) else { return false };
    match scheme.trim().to_ascii_uppercase().as_str() {
        "ARGON2" | "ARGON2ID" => argon2id(text, given),
        "SSHA" | "SHA" => salted(MessageDigest::sha1(), 20, text, given),
        "SSHA256" | "SHA256" => salted(MessageDigest::sha256(), 32, text, given),
        "SSHA512" | "SHA512" => salted(MessageDigest::sha512(), 64, text, given),
        "PBKDF2-SHA256" => pbkdf2(MessageDigest::sha256(), text, given),
        "PBKDF2-SHA512" => pbkdf2(MessageDigest::sha512(), text, given),
        "SCRAM-SHA-256" => scram(Hash::Sha256, text, given),
        "SCRAM-SHA-1" => scram(Hash::Sha1, text, given),
        "CRYPT" => {
            let _turn = Turn::take();
            os::crypt::crypt(given, text).is_some_and(|hash| equal(hash.as_bytes(), text.as_bytes()))
        }
        "CLEAR" | "CLEARTEXT" | "PLAIN" => equal(text.as_bytes(), given.as_bytes()),
        _ => false,
    }
}

/// The scheme of a stored password, in capitals; one in clear may have none.
pub fn scheme(stored: &str) -> Option<String> {
    parts(stored).map(|(scheme, _)| scheme.trim().to_ascii_uppercase())
}

/// `secret` as it would be stored in the way in which `like` is, method of crypt(3) and iterations included: with it a server is
/// asked whether it knows that way. Nothing for a scheme that is not known here.
pub fn sample(like: &str, secret: &str) -> Option<String> {
    let (name, text) = parts(like)?;
    let mut salt = [0u8; 16];
    openssl::rand::rand_bytes(&mut salt).ok()?;
    let salted = |digest: MessageDigest, salt: &[u8]| {
        let hash = openssl::hash::hash(digest, &[secret.as_bytes(), salt].concat()).ok()?;
        Some(BASE64.encode([&*hash, salt].concat()))
    };
    let pbkdf2 = |digest: MessageDigest| {
        let iterations = text.split('$').next()?.parse::<usize>().ok()?;
        let mut hash = vec![0; digest.size()];
        openssl::pkcs5::pbkdf2_hmac(secret.as_bytes(), &salt, iterations, digest, &mut hash).ok()?;
        let encoded = |bytes: &[u8]| BASE64.encode(bytes).trim_end_matches('=').replace('+', ".");
        Some(format!("{iterations}${}${}", encoded(&salt), encoded(&hash)))
    };
    let new = match scheme(like)?.as_str() {
        "ARGON2" | "ARGON2ID" => hash(secret).ok()?.split_once('}')?.1.to_owned(),
        "SSHA" => salted(MessageDigest::sha1(), &salt)?,
        "SHA" => salted(MessageDigest::sha1(), &[])?,
        "SSHA256" => salted(MessageDigest::sha256(), &salt)?,
        "SHA256" => salted(MessageDigest::sha256(), &[])?,
        "SSHA512" => salted(MessageDigest::sha512(), &salt)?,
        "SHA512" => salted(MessageDigest::sha512(), &[])?,
        "PBKDF2-SHA256" => pbkdf2(MessageDigest::sha256())?,
        "PBKDF2-SHA512" => pbkdf2(MessageDigest::sha512())?,
        "CRYPT" => os::crypt::crypt(secret, text).filter(|hash| !hash.starts_with('*'))?,
        "CLEAR" | "CLEARTEXT" | "PLAIN" => secret.to_owned(),
        _ => return None,
    };
    Some(format!("{{{}}}{new}", name.trim()))
}

/// Whether `digest` (lower-case hexadecimal) is CRAM-MD5's of the challenge with a password that is stored in clear
/// (RFC 2195 §2). Without one it takes as long.
pub fn is_digest_of(stored: &[String], challenge: &str, digest: &str) -> bool {
    let clear = stored.iter().find_map(|stored| {
        let (scheme, text) = parts(stored)?;
        let is_clear =
            ["CLEAR", "CLEARTEXT", "PLAIN"].iter().any(|name| scheme.trim().eq_ignore_ascii_case(name));
        is_clear.then_some(text)
    });
    let mac = || -> Result<Vec<u8>, openssl::error::ErrorStack> {
        let key = PKey::hmac(clear.unwrap_or("nobody").as_bytes())?;
        let mut signer = Signer::new(MessageDigest::md5(), &key)?;
        signer.update(challenge.as_bytes())?;
        signer.sign_to_vec()
    };
    let Ok(mac) = mac() else { return false };
    let expected: String = base::hex::encode(&mac);
    equal(expected.as_bytes(), digest.as_bytes()) && clear.is_some()
}

/// Takes as long as the verification of `usual`, or else of an Argon2id of ours.
pub fn verify_nobody(usual: Option<&str>, given: &str) {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let stored = usual.unwrap_or_else(|| NOBODY.get_or_init(|| hash("nobody").unwrap_or_default()));
    std::hint::black_box(verify(stored, given));
}

/// One of the slow scheme that most of these have.
pub fn usual<'a>(stored: impl Iterator<Item = &'a String>) -> Option<String> {
    let mut of_scheme: BTreeMap<&str, (usize, &String)> = BTreeMap::new();
    for stored in stored {
        let Some((scheme, _)) = parts(stored) else { continue };
        if SLOW.iter().any(|slow| scheme.trim().to_ascii_uppercase().starts_with(slow)) {
            let (count, _) = of_scheme.entry(scheme).or_insert((0, stored));
            *count = count.saturating_add(1);
        }
    }
    of_scheme.into_values().max_by_key(|(count, _)| *count).map(|(_, stored)| stored.clone())
}

fn ours() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
}

fn argon2id(text: &str, given: &str) -> bool {
    let Ok(hash) = PasswordHash::new(text) else { return false };
    let modest =
        Params::try_from(&hash).is_ok_and(|params| params.m_cost() <= 1 << 18 && params.t_cost() <= 64);
    if !modest {
        return false; // a stored hash that would take more than 256 MiB is no hash of ours
    }
    let _turn = Turn::take();
    Argon2::default().verify_password(given.as_bytes(), &hash).is_ok()
}

/// `base64(digest(password salt) salt)`
fn salted(digest: MessageDigest, length: usize, text: &str, given: &str) -> bool {
    let Ok(bytes) = BASE64.decode(text.trim()) else { return false };
    let Some((hash, salt)) = bytes.split_at_checked(length) else { return false };
    let mut all = given.as_bytes().to_vec();
    all.extend_from_slice(salt);
    openssl::hash::hash(digest, &all).is_ok_and(|computed| equal(&computed, hash))
}

/// OpenLDAP's `iterations$salt$hash`, base64 with `.` for `+` and without padding.
fn pbkdf2(digest: MessageDigest, text: &str, given: &str) -> bool {
    let mut parts = text.split('$');
    let (Some(iterations), Some(salt), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let decode = |text: &str| BASE64.decode(text.replace('.', "+")).ok();
    let (Ok(iterations), Some(salt), Some(hash)) = (iterations.parse::<usize>(), decode(salt), decode(hash))
    else {
        return false;
    };
    if !(1..=PBKDF2_ITERATIONS_MAX).contains(&iterations) || hash.len() < 16 || hash.len() > 64 {
        return false;
    }
    let _turn = Turn::take();
    let mut computed = vec![0; hash.len()];
    openssl::pkcs5::pbkdf2_hmac(given.as_bytes(), &salt, iterations, digest, &mut computed).is_ok()
        && equal(&computed, &hash)
}

/// In a time that does not tell where they differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && openssl::memcmp::eq(a, b)
}

static BUSY: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// Slow hashes that run at the same time in this process.
pub fn slow_at_once() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(SLOW_AT_ONCE_MAX)
    })
}

/// The right to hash slowly; waits for its turn.
struct Turn;

impl Turn {
    fn take() -> Turn {
        let busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        let mut busy =
            FREED.wait_while(busy, |busy| *busy >= slow_at_once()).unwrap_or_else(PoisonError::into_inner);
        *busy += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        *busy = busy.saturating_sub(1);
        drop(busy);
        FREED.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_hash_is_argon2id_and_fits_only_its_password() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.starts_with("{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify(&stored, "correct horse"));
        assert!(!verify(&stored, "correct horse "));
        assert_ne!(stored, hash("correct horse").unwrap(), "a salt of its own");
    }

    /// Values made with OpenSSL, slappasswd and mkpasswd.
    #[test]
    fn the_schemes_of_other_directories_are_verified() {
        let ssha = |digest: MessageDigest, salt: &[u8]| {
            let mut bytes = openssl::hash::hash(digest, &[b"secret", salt].concat()).unwrap().to_vec();
            bytes.extend_from_slice(salt);
            BASE64.encode(bytes)
        };
        let mut derived = [0u8; 32];
        openssl::pkcs5::pbkdf2_hmac(b"secret", b"saltsalt", 1000, MessageDigest::sha256(), &mut derived)
            .unwrap();
        let pbkdf2 = format!(
            "{{PBKDF2-SHA256}}1000${}${}",
            BASE64.encode(b"saltsalt").replace('+', ".").trim_end_matches('='),
            BASE64.encode(derived).replace('+', ".").trim_end_matches('=')
        );
        for stored in [
            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=".to_owned(),
            format!("{{SSHA}}{}", ssha(MessageDigest::sha1(), b"1234")),
            format!("{{ssha256}}{}", ssha(MessageDigest::sha256(), b"12345678")),
            format!("{{SSHA512}}{}", ssha(MessageDigest::sha512(), b"x")),
            pbkdf2,
            format!("{{CRYPT}}{}", os::crypt::crypt("secret", "$6$abcdefgh$").unwrap()),
            "{CLEAR}secret".to_owned(),
        ] {
            assert!(verify(&stored, "secret"), "{stored}");
            assert!(!verify(&stored, "Secret"), "{stored}");
            assert!(!verify(&stored, ""), "{stored}");
        }
    }

    /// The example of RFC 2195 §3.
    #[test]
    fn a_digest_is_of_a_password_in_clear() {
        let (challenge, digest) =
            ("<1896.697170952@postoffice.reston.mci.net>", "b913a602c7eda7a495b4e6e7334d3890");
        let stored = ["{SSHA}x".to_owned(), "{CLEAR}tanstaaftanstaaf".to_owned()];
        assert!(is_digest_of(&stored, challenge, digest));
        assert!(!is_digest_of(&stored[..1], challenge, digest) && !is_digest_of(&[], challenge, digest));
        assert!(!is_digest_of(&stored, "<1897.x>", digest));
    }

    /// The same entry serves PLAIN and SCRAM, in either form.
    #[test]
    fn a_password_for_scram_is_verified_too() {
        let text =
            "service.passwordscheme = SCRAM-SHA-256 ARGON2 SCRAM-SHA-1\nservice.scramiterations = 4096\n";
        let schemes = Schemes::from_config(&Config::from_text(text).unwrap());
        let stored = schemes.store("correct horse").unwrap();
        let of = ["{SCRAM-SHA-256}4096,", "{ARGON2}$argon2id", "{SCRAM-SHA-1}4096,"];
        assert!(
            stored.len() == 3 && stored.iter().zip(of).all(|(stored, of)| stored.starts_with(of)),
            "{stored:?}"
        );
        for stored in &stored {
            assert!(verify(stored, "correct horse") && !verify(stored, "correct"), "{stored}");
        }
        let keys = scram_keys(&stored, Hash::Sha256).unwrap();
        let parts: Vec<&str> = stored[0]["{SCRAM-SHA-256}".len()..].split(',').collect();
        let rfc5803 = format!("SCRAM-SHA-256 $ {}:{} $ {}:{}", parts[0], parts[1], parts[2], parts[3]);
        assert!(verify(&rfc5803, "correct horse") && !verify(&rfc5803, "horse"));
        assert!(scram_keys(&[rfc5803], Hash::Sha256) == Some(keys));
        assert!(scram_keys(&stored[1..2], Hash::Sha256).is_none());
        let standard = Schemes::from_config(&Config::from_text("").unwrap());
        assert!(standard.store("x").unwrap()[0].starts_with("{ARGON2}"));
    }

    #[test]
    fn nobodys_password_is_of_the_scheme_that_most_have() {
        let stored =
            ["{CLEAR}a", "{CLEAR}b", "{CLEAR}c", "{SCRAM-SHA-256}1", "{ARGON2}x", "{SCRAM-SHA-256}2"];
        let stored = stored.map(str::to_owned);
        assert_eq!(usual(stored.iter()).as_deref(), Some("{SCRAM-SHA-256}1"));
        assert_eq!(usual(stored[..3].iter()), None, "quick ones are no measure");
    }

    #[test]
    fn nonsense_is_nobodys_password() {
        for stored in [
            "",
            "secret",
            "{",
            "{}",
            "{X}secret",
            "{SSHA}",
            "{SSHA}!!!",
            "{SSHA}AAAA",
            "{ARGON2}x",
            "{CRYPT}",
            "{SCRAM-SHA-256}",
            "{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA",
            "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
            "{PBKDF2-SHA256}0$AAAA$AAAA",
            "{PBKDF2-SHA256}99999999999$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
            "{ARGON2}$argon2id$v=19$m=4000000,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(!verify(stored, "secret"), "{stored}");
        }
    }

    #[test]
    fn a_sample_is_stored_in_the_same_way_and_is_the_secret() {
        let crypt = format!("{{CRYPT}}{}", os::crypt::crypt("other", "$6$saltstring").unwrap());
        let likes = [
            hash("other").unwrap(),
            crypt,
            "{SSHA}x".into(),
            "{sha}x".into(),
            "{SSHA512}x".into(),
            "{PBKDF2-SHA256}1000$c2FsdA$aGFzaA".into(),
            "{PBKDF2-SHA512}1000$c2FsdA$aGFzaA".into(),
            "{CLEAR}other".into(),
        ];
        for like in likes {
            let made = sample(&like, "secret").unwrap_or_else(|| panic!("{like}"));
            assert_eq!(scheme(&made), scheme(&like));
            assert!(verify(&made, "secret") && !verify(&made, "other"), "{made}");
        }
        assert_eq!(sample("{SMD5}x", "secret"), None);
        assert_eq!(sample("in clear", "secret"), None);
    }
}
