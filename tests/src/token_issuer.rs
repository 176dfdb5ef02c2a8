//! An issuer of bearer tokens (RFC 6750) that an instance believes: `service.oauthissuer` is `https://id.example`.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use serde_json::{Value, json};

use crate::Instance;

/// An issuer of tokens, whose key set is in the instance.
pub struct Issuer(PKey<Private>);

impl Issuer {
    /// Makes one whose key set the instance has.
    pub fn new(instance: &Instance) -> Issuer {
        let key = PKey::generate_ed25519().unwrap();
        let x = URL_SAFE_NO_PAD.encode(key.raw_public_key().unwrap());
        let set = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": x }] });
        fs::write(instance.path("config/oauth-keys.json"), set.to_string()).unwrap();
        Issuer(key)
    }

    /// A token for ten minutes, with more claims, or others.
    pub fn token(&self, email: &str, more: Value) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut claims =
            json!({ "iss": "https://id.example", "aud": "mail", "exp": now + 600, "email": email });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({ "alg": "EdDSA", "kid": "k" })), part(&claims));
        let signature = Signer::new_without_digest(&self.0).unwrap().sign_oneshot_to_vec(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap()))
    }
}
