//! Signed requests (RFC 7515) with a key on P-256, ES256 (RFC 7518 §3.4), which every authority takes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use serde_json::{Value, json};

/// Bytes of a coordinate, and of each half of a signature.
const HALF: i32 = 32;

/// base64url without padding, as JOSE has it everywhere.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A new key on P-256.
///
/// # Errors
/// The library's.
pub fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

/// The key of an account.
pub struct AccountKey(EcKey<Private>);

impl AccountKey {
    /// # Errors
    /// It is not on P-256.
    pub fn new(key: &PKey<Private>) -> Result<AccountKey, String> {
        let key = key.ec_key().map_err(|_| "the account's key is none for ES256")?;
        match key.group().curve_name() {
            Some(Nid::X9_62_PRIME256V1) => Ok(AccountKey(key)),
            _ => Err("the account's key is none for ES256".into()),
        }
    }

    fn coordinates(&self) -> Result<(String, String), ErrorStack> {
        let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
        let mut context = BigNumContext::new()?;
        self.0.public_key().affine_coordinates(self.0.group(), &mut x, &mut y, &mut context)?;
        Ok((encode(x.to_vec_padded(HALF)?), encode(y.to_vec_padded(HALF)?)))
    }

    /// The public key (RFC 7518 §6.2.1).
    pub fn jwk(&self) -> Result<Value, ErrorStack> {
        let (x, y) = self.coordinates()?;
        Ok(json!({"crv": "P-256", "kty": "EC", "x": x, "y": y}))
    }

    /// What names the key in a key authorization (RFC 7638 §3: members in their order, no blanks).
    pub fn thumbprint(&self) -> Result<String, ErrorStack> {
        let (x, y) = self.coordinates()?;
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Ok(encode(hash(MessageDigest::sha256(), text.as_bytes())?))
    }

    /// The flattened form (RFC 7515 §7.2.2). No payload: POST-as-GET (RFC 8555 §6.3).
    pub fn sign(&self, protected: &Value, payload: Option<&Value>) -> Result<String, ErrorStack> {
        let protected = encode(protected.to_string());
        let payload = payload.map(|payload| encode(payload.to_string())).unwrap_or_default();
        let digest = hash(MessageDigest::sha256(), format!("{protected}.{payload}").as_bytes())?;
        let signature = EcdsaSig::sign(&digest, &self.0)?;
        let halves = [signature.r().to_vec_padded(HALF)?, signature.s().to_vec_padded(HALF)?].concat();
        Ok(flattened(&protected, &payload, &halves).to_string())
    }
}

/// That an account here is one that the authority knows otherwise (RFC 8555 §7.3.4): our key, signed with theirs (HS256).
pub fn binding(jwk: &Value, kid: &str, key: &[u8], url: &str) -> Result<Value, ErrorStack> {
    let protected = encode(json!({"alg": "HS256", "kid": kid, "url": url}).to_string());
    let payload = encode(jwk.to_string());
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    signer.update(format!("{protected}.{payload}").as_bytes())?;
    Ok(flattened(&protected, &payload, &signer.sign_to_vec()?))
}

fn flattened(protected: &str, payload: &str, signature: &[u8]) -> Value {
    json!({"protected": protected, "payload": payload, "signature": encode(signature)})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 7515 appendix A.3, whose private part makes the same public one.
    fn known() -> AccountKey {
        let number = |text: &str| BigNum::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let x = number("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        let y = number("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let public = EcKey::from_public_key_affine_coordinates(&group, &x, &y).unwrap();
        let private = number("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
        AccountKey(EcKey::from_private_components(&group, &private, public.public_key()).unwrap())
    }

    #[test]
    fn the_key_stands_as_the_standard_has_it() {
        let jwk = known().jwk().unwrap();
        assert_eq!(jwk["x"], "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        assert_eq!(jwk["y"], "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        assert_eq!(known().thumbprint().unwrap().len(), 43);
    }

    #[test]
    fn what_is_signed_verifies() {
        let key = known();
        let text = key.sign(&json!({"alg": "ES256"}), Some(&json!({"a": 1}))).unwrap();
        let parts: Value = serde_json::from_str(&text).unwrap();
        let part = |name: &str| parts[name].as_str().unwrap().to_owned();
        let signature = URL_SAFE_NO_PAD.decode(part("signature")).unwrap();
        assert_eq!(signature.len(), 64);
        let number = |bytes: &[u8]| BigNum::from_slice(bytes).unwrap();
        let signature =
            EcdsaSig::from_private_components(number(&signature[..32]), number(&signature[32..])).unwrap();
        let signed = format!("{}.{}", part("protected"), part("payload"));
        let digest = hash(MessageDigest::sha256(), signed.as_bytes()).unwrap();
        assert!(signature.verify(&digest, &key.0).unwrap());
        let empty: Value = serde_json::from_str(&key.sign(&json!({}), None).unwrap()).unwrap();
        assert_eq!(empty["payload"], "");
    }

    #[test]
    fn another_kind_of_key_is_refused() {
        let rsa = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        assert!(AccountKey::new(&rsa).is_err());
        assert!(AccountKey::new(&new_key().unwrap()).is_ok());
    }
}
