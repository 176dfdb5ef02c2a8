//! Signs what this host vouches for, with the keys of who wrote it.

use std::sync::{Arc, PoisonError, RwLock};

use dns::DnsError;
use mail_format::{Item, address_list};

use crate::fields::Message;
use crate::keyring::{Keyring, SigningKey};
use crate::keys::Keys;
use crate::sign::{SignError, Signing, sign_message};
use crate::verify::{Outcome, verify};

/// Shared by all who sign; the keys are replaced as a whole.
#[derive(Debug, Default)]
pub struct Signer {
    keyring: RwLock<Arc<Keyring>>,
    /// Whether the key of a domain signs for those below it that have none.
    below: bool,
}

impl Signer {
    pub fn new(keyring: Keyring, below: bool) -> Signer {
        Signer { keyring: RwLock::new(Arc::new(keyring)), below }
    }

    pub fn replace(&self, keyring: Keyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
    }

    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys that sign for `domain`.
    pub fn keys(&self, domain: &str) -> Vec<SigningKey> {
        self.keyring().of_domain(domain, self.below).to_vec()
    }

    /// The fields to put in front of a message of ours, whose header, with or without its empty line, may lie apart from its
    /// body: by the domain of its first author. Nothing when an author (From) is of a domain that has no key, or for which
    /// `may` does not say yes: a signature would have us vouch for all of them. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// There is a key and the message cannot be signed with it.
    pub fn signatures(
        &self,
        header: &[u8],
        body: &[u8],
        now: u64,
        may: impl Fn(&str) -> bool,
    ) -> Result<Option<Vec<u8>>, SignError> {
        let keyring = self.keyring();
        if keyring.is_empty() {
            return Ok(None);
        }
        let message = Message::of(header, body).map_err(SignError::Message)?;
        let authors = author_domains(&message);
        let is_ours = |domain: &String| may(domain) && !keyring.of_domain(domain, self.below).is_empty();
        let Some(first) = authors.first().filter(|_| authors.iter().all(is_ours)) else { return Ok(None) };
        let keys = keyring.of_domain(first, self.below);
        sign_message(&message, keys, Signing { now, lifetime: None }).map(Some)
    }

    /// Whether this host has signed the message, for its author, and nothing that was signed has been changed since. Asks
    /// nobody.
    pub fn vouches_for(&self, message: &[u8], now: u64) -> bool {
        let keyring = self.keyring();
        let Ok(read) = Message::read(message) else { return false };
        if keyring.is_empty() || read.named("dkim-signature").next().is_none() {
            return false;
        }
        let authors = author_domains(&read);
        let Some(domain) = authors.first() else { return false };
        let keys = keyring.of_domain(domain, self.below);
        let Some(first) = keys.first() else { return false };
        let ours = |one: crate::Checked| one.domain == first.domain() && one.result == Outcome::Pass;
        verify(message, &Own(keys), now).into_iter().any(ours)
    }
}

/// Our own keys, as if they were looked up.
struct Own<'k>(&'k [SigningKey]);

impl Keys for Own<'_> {
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        let ours = self.0.iter().filter(|key| key.record_name() == name);
        let records: Vec<Vec<u8>> =
            ours.filter_map(|key| key.record().ok()).map(String::into_bytes).collect();
        if records.is_empty() { Err(DnsError::NoSuchDomain) } else { Ok(records) }
    }
}

/// The domains of the addresses in From, the first one first. None of a message with several From fields, which is no message
/// (RFC 5322 §3.6), or with a domain that cannot be read.
fn author_domains(message: &Message<'_>) -> Vec<String> {
    let mut from = message.named("from");
    let (Some((_, field)), None) = (from.next(), from.next()) else { return Vec::new() };
    let domain = |item: &Item| match item {
        Item::Mailbox { domain, .. } => Some(std::str::from_utf8(domain).ok().and_then(dns::ascii_name)),
        Item::GroupStart(_) | Item::GroupEnd => None,
    };
    address_list(field.value()).iter().filter_map(domain).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    const NOW: u64 = 1_700_000_000;

    fn signer() -> (tempfile::TempDir, Signer) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for domain in ["a.example", "xn--bcher-kva.example"] {
            let key = SigningKey::generate(domain, "s", Algorithm::Ed25519Sha256, 0).unwrap();
            let path = folder.path().join(domain).join("s.key");
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            std::fs::write(&path, key.to_pem().unwrap()).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let signer = Signer::new(Keyring::load(folder.path()).0, true);
        (folder, signer)
    }

    #[test]
    fn the_author_s_domain_says_whose_key_signs() {
        let (_folder, signer) = signer();
        let signed_by = |from: &str| {
            let fields = signer.signatures(from.as_bytes(), b"x\r\n", NOW, |_| true).unwrap();
            let text = String::from_utf8(fields.unwrap_or_default()).unwrap();
            text.split("d=").nth(1).map_or(String::new(), |rest| rest.split(';').next().unwrap().to_owned())
        };
        for (from, domain) in [
            ("From: joe@A.example", "a.example"),
            ("From: \"x@b.example\" <joe@sub.a.example>\r\n", "a.example"),
            ("From: x: joe@a.example, y@sub.a.example;\r\n\r\n", "a.example"),
            ("From: joe@a.example, ceo@b.example", ""),
            ("From: x: joe@a.example, y@b.example;\r\n\r\n", ""),
            ("From: joe@b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("From: joe@b.example, y@a.example", ""),
            ("From: joe", ""),
            ("From: joe@a.example\r\nFrom: joe@a.example", ""),
            ("Sender: joe@a.example", ""),
        ] {
            assert_eq!(signed_by(from), domain, "{from}");
        }
        let refused = signer.signatures(b"From: joe@a.example", b"", NOW, |domain| domain != "a.example");
        assert!(refused.unwrap().is_none());
    }

    #[test]
    fn it_vouches_for_what_it_signed_itself_and_was_not_changed() {
        let (_folder, signer) = signer();
        let text = "From: joe@a.example\r\nSubject: x\r\n\r\nbody\r\n";
        assert!(!signer.vouches_for(text.as_bytes(), NOW));
        let fields = signer.signatures(&text.as_bytes()[..33], b"body\r\n", NOW, |_| true).unwrap().unwrap();
        let signed = String::from_utf8(fields).unwrap() + text;
        assert!(signer.vouches_for(format!("Received: x\r\n{signed}").as_bytes(), NOW));
        assert!(!signer.vouches_for(signed.replace("body", "Body").as_bytes(), NOW));
        assert!(!signer.vouches_for(signed.replace("joe@a", "joe@b").as_bytes(), NOW));
        signer.replace(Keyring::default());
        assert!(!signer.vouches_for(signed.as_bytes(), NOW), "the key has gone");
    }
}
