//! The second factor of web mail: a code of six digits that changes each half minute (TOTP, RFC 6238), from an
//! authenticator app. Who has one logs in to web mail with password and code, and to all else with passwords for one
//! program each ([`crate::app_passwords`]): the password alone opens nothing any more.
//!
//! The secret is in the directory (`mailTotpSecret`), sealed with a key of the site, `store/totp.key` (AES-256-GCM; the
//! uid is part of what is sealed, so nobody's secret works for somebody else). So who reads the directory cannot make
//! codes. Hosts that share a directory share this file.
//!
//! A code is good for its own half minute and the ones beside it (RFC 6238 §5.2, §6), once: each that was used leaves an
//! empty file in `run/totp`, made with O_EXCL, which all processes see.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use server_config::Instance;

use crate::{Entry, site_secret};

/// The attribute, in lower case.
pub const ATTRIBUTE: &str = "mailtotpsecret";
/// RFC 6238 §4.1: X.
const STEP_SECONDS: u64 = 30;
const DIGITS: usize = 6;
/// RFC 4226 §4: R6 wants 128 bits at least and recommends 160.
const SECRET_BYTES: usize = 20;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What is made of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Right,
    Wrong,
    /// It was right, and has been used.
    Used,
}

/// A new secret, for the user's app. It is shown once.
pub struct NewSecret {
    /// What the directory stores.
    pub sealed: String,
    /// Base32, to be typed.
    pub text: String,
    /// `otpauth://totp/..`, to be scanned.
    pub url: String,
}

/// Checks codes and makes secrets.
pub struct SecondFactors {
    key_file: PathBuf,
    used: PathBuf,
}

impl SecondFactors {
    pub fn new(instance: &Instance) -> SecondFactors {
        SecondFactors { key_file: instance.totp_key(), used: instance.run_dir().join("totp") }
    }

    /// A secret for a user; the site's key is made when there is none.
    ///
    /// # Errors
    /// One line: no random bytes, or the key can be neither read nor made.
    pub fn make(&self, uid: &str, site: &str) -> Result<NewSecret, String> {
        let mut secret = [0u8; SECRET_BYTES];
        openssl::rand::rand_bytes(&mut secret).map_err(|why| why.to_string())?;
        let sealed = seal(&site_secret::load_or_make(&self.key_file)?, uid, &secret)?;
        let text = base32(&secret);
        let escape = |text: &str| -> String {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            text.bytes()
                .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect()
        };
        let (site, uid) = (escape(site), escape(uid));
        let url = format!("otpauth://totp/{site}:{uid}?secret={text}&issuer={site}&digits=6&period=30");
        Ok(NewSecret { sealed, text, url })
    }

    /// Looks at a code, and uses it up when it is right.
    ///
    /// # Errors
    /// One line: the key or the secret cannot be read, or what was used cannot be noted. Nobody gets in then.
    pub fn check(&self, entry: &Entry, code: &str) -> Result<Code, String> {
        self.check_at(entry, code, u64::try_from(base::clock::unix_seconds()).unwrap_or(0))
    }

    fn check_at(&self, entry: &Entry, code: &str, seconds: u64) -> Result<Code, String> {
        let (Some(sealed), Some(uid)) = (&entry.second_factor, &entry.uid) else {
            return Err("there is no second factor".into());
        };
        let secret = unseal(&site_secret::load(&self.key_file)?, uid, sealed).ok_or_else(|| {
            format!("the {ATTRIBUTE} of {uid} is not sealed with {}", self.key_file.display())
        })?;
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let now = seconds / STEP_SECONDS;
        let mut right = None;
        for step in [now.saturating_sub(1), now, now.saturating_add(1)] {
            let expected = code_of(&secret, step)?;
            // All three are compared: the time tells nothing.
            if expected.len() == code.len() && openssl::memcmp::eq(expected.as_bytes(), code.as_bytes()) {
                right = Some(step);
            }
        }
        match right {
            None => Ok(Code::Wrong),
            Some(step) => {
                self.use_up(uid, step, now).map_err(|why| format!("{}: {why}", self.used.display()))
            }
        }
    }

    fn use_up(&self, uid: &str, step: u64, now: u64) -> io::Result<Code> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.used)?;
        for entry in fs::read_dir(&self.used)?.flatten() {
            let name = entry.file_name();
            let of = name
                .to_str()
                .and_then(|name| name.rsplit_once('-'))
                .and_then(|(_, step)| step.parse::<u64>().ok());
            if of.is_none_or(|of| of.saturating_add(2) < now) {
                let _ = fs::remove_file(entry.path()); // too old to be used again
            }
        }
        let uid = openssl::sha::sha256(uid.to_lowercase().as_bytes());
        let name: String = base::hex::encode(&uid[..16]);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.used.join(format!("{name}-{step}")))
        {
            Ok(_) => Ok(Code::Right),
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(Code::Used),
            Err(why) => Err(why),
        }
    }
}

/// RFC 4226 §5.3 with the counter of RFC 6238 §4.2; HMAC-SHA-1, which every app knows.
fn code_of(secret: &[u8], step: u64) -> Result<String, String> {
    let mac = || {
        let mut signer = Signer::new(MessageDigest::sha1(), &*PKey::hmac(secret)?)?;
        signer.update(&step.to_be_bytes())?;
        signer.sign_to_vec()
    };
    let mac = mac().map_err(|why: openssl::error::ErrorStack| why.to_string())?;
    let offset = usize::from(mac[mac.len() - 1] & 15);
    let bytes: [u8; 4] = mac[offset..offset + 4].try_into().map_err(|_| "a short MAC".to_owned())?;
    let number = (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000;
    Ok(format!("{number:0width$}", width = DIGITS))
}

fn seal(key: &[u8], uid: &str, secret: &[u8]) -> Result<String, String> {
    let mut nonce = [0u8; NONCE_BYTES];
    let mut tag = [0u8; TAG_BYTES];
    openssl::rand::rand_bytes(&mut nonce).map_err(|why| why.to_string())?;
    let bound = uid.to_lowercase();
    let sealed = encrypt_aead(Cipher::aes_256_gcm(), key, Some(&nonce), bound.as_bytes(), secret, &mut tag)
        .map_err(|why| why.to_string())?;
    Ok(format!("{{AES-256-GCM}}{}", STANDARD.encode([&nonce[..], &tag, &sealed].concat())))
}

fn unseal(key: &[u8], uid: &str, sealed: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(sealed.trim().strip_prefix("{AES-256-GCM}")?).ok()?;
    let (nonce, rest) = bytes.split_at_checked(NONCE_BYTES)?;
    let (tag, sealed) = rest.split_at_checked(TAG_BYTES)?;
    let bound = uid.to_lowercase();
    decrypt_aead(Cipher::aes_256_gcm(), key, Some(nonce), bound.as_bytes(), sealed, tag).ok()
}

/// RFC 4648 §6, without padding: 20 bytes need none.
fn base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0u32, 0u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(BASE32[((held >> bits) & 31) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// RFC 6238 appendix B, SHA-1, of whose eight digits the last six are ours.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59u64, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(code_of(b"12345678901234567890", seconds / STEP_SECONDS).unwrap(), code);
        }
        assert_eq!(base32(b"12345678901234567890"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    fn user(uid: &str, sealed: &str) -> Entry {
        let text =
            [("objectclass", "mailRecipient"), ("uid", uid), ("mail", "x@a.test"), (ATTRIBUTE, sealed)];
        let attributes: BTreeMap<String, Vec<String>> =
            text.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
        let entry = Entry::from_attributes("uid=x", attributes).unwrap();
        assert!(!entry.attributes.contains_key(ATTRIBUTE));
        entry
    }

    #[test]
    fn a_code_is_good_once_for_its_user_and_beside_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let factors =
            SecondFactors { key_file: folder.path().join("totp.key"), used: folder.path().join("used") };
        let made = factors.make("joe", "mail.a.test").unwrap();
        assert!(made.url.contains(&made.text) && !made.sealed.contains(&made.text));
        let joe = user("Joe", &made.sealed);
        let secret = unseal(&site_secret::load(&factors.key_file).unwrap(), "joe", &made.sealed).unwrap();
        let code = |step: u64| code_of(&secret, step).unwrap();
        let at = |step: u64| step * STEP_SECONDS + 7;
        let look = |code: &str, step: u64| factors.check_at(&joe, code, at(step)).unwrap();
        assert_eq!(look(&code(1000), 1000), Code::Right);
        assert_eq!(look(&code(1000), 1000), Code::Used);
        assert_eq!(look(&code(1000), 1001), Code::Used, "the file is still there");
        assert_eq!(look(&code(1002), 1001), Code::Right, "a clock that is ahead");
        assert_eq!(look(&code(1000), 1003), Code::Wrong, "too old");
        for wrong in ["", "12345", "1234567", "abcdef"] {
            assert_eq!(look(wrong, 1005), Code::Wrong);
        }
        assert_eq!(look(&code(2000), 2000), Code::Right);
        assert_eq!(fs::read_dir(&factors.used).unwrap().count(), 1, "old ones are removed");
        let other = user("kim", &made.sealed);
        assert!(factors.check_at(&other, &code(1000), at(1000)).is_err(), "joe's secret is nobody else's");
    }
}
