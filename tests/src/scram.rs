//! SCRAM's other half (RFC 5802, RFC 7677), which can also be played wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// A client of SCRAM that has a password.
pub struct Scram {
    digest: MessageDigest,
    gs2: String,
    binding: Vec<u8>,
    bare: String,
    password: String,
    proved: Vec<u8>,
}

fn mac(digest: MessageDigest, key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = PKey::hmac(key).unwrap();
    let mut signer = Signer::new(digest, &key).unwrap();
    signer.update(text).unwrap();
    signer.sign_to_vec().unwrap()
}

impl Scram {
    /// `gs2` is the header, such as `n,,`; `binding` what a bound exchange is bound to.
    pub fn new(gs2: &str, binding: &[u8], user: &str, password: &str) -> Scram {
        let bare = format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL");
        Scram {
            digest: MessageDigest::sha256(),
            gs2: gs2.into(),
            binding: binding.into(),
            bare,
            password: password.into(),
            proved: Vec::new(),
        }
    }

    /// The same for SCRAM-SHA-1.
    pub fn of_sha1(self) -> Scram {
        Scram { digest: MessageDigest::sha1(), ..self }
    }

    /// The first message, in base64.
    pub fn first(&self) -> String {
        STANDARD.encode(format!("{}{}", self.gs2, self.bare))
    }

    /// Salt and count in a challenge.
    pub fn salt_of(challenge: &str) -> String {
        let text = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
        text.split_once(",s=").unwrap().1.to_owned()
    }

    /// The answer to the first challenge, in base64.
    pub fn last(&mut self, challenge: &str) -> String {
        let server_first = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
        let part = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        let salt = STANDARD.decode(part("s=")).unwrap();
        let digest = self.digest;
        let mut salted = vec![0; digest.size()];
        let count = part("i=").parse().unwrap();
        openssl::pkcs5::pbkdf2_hmac(self.password.as_bytes(), &salt, count, digest, &mut salted).unwrap();
        let bound = STANDARD.encode([self.gs2.as_bytes(), &self.binding].concat());
        let unproved = format!("c={bound},r={}", part("r="));
        let said = format!("{},{server_first},{unproved}", self.bare);
        let key = mac(digest, &salted, b"Client Key");
        let signature = mac(digest, &hash(digest, &key).unwrap(), said.as_bytes());
        let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        self.proved = mac(digest, &mac(digest, &salted, b"Server Key"), said.as_bytes());
        STANDARD.encode(format!("{unproved},p={}", STANDARD.encode(proof)))
    }

    /// Whether the second challenge proves the server.
    pub fn believes(&self, challenge: &str) -> bool {
        STANDARD.decode(challenge).unwrap() == format!("v={}", STANDARD.encode(&self.proved)).into_bytes()
    }
}
