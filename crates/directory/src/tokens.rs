//! Log-ins by the bearer token of an issuer (OAUTHBEARER, RFC 7628; XOAUTH2): a signed JWT (RFC 7519) that names the user.
//!
//! Everything is checked here, with the issuer's key set (RFC 7517) in a file, which is read again when it has changed: no
//! log-in waits for another host. Asymmetric signatures only, of a fixed list (RFC 8725 §3.1): RS256, PS256, ES256, EdDSA;
//! a key is used for the algorithm that it is for, so no token chooses a weaker check of it.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};
use serde_json::Value;
use server_config::parameters::service;
use server_config::{Config, Instance};

/// Bytes of a token; with its frame it must fit into a line of AUTH.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Bytes of the file of keys.
const KEYS_BYTES_MAX: u64 = 256 * 1024;
/// How far the issuer's clock may be from ours.
const SKEW_SECONDS: i64 = 60;
/// RSA keys below are not believed (RFC 7518 §3.3).
const RSA_BITS_MIN: u32 = 2048;

/// Whose tokens are believed.
pub struct Issuer {
    issuer: String,
    /// One of these must be among the token's.
    audiences: Vec<String>,
    /// The claim that is the uid or an address.
    claim: String,
    /// Words that the token's scope must have.
    scope: Vec<String>,
    file: PathBuf,
    keys: Mutex<Option<(SystemTime, Arc<Vec<Key>>)>>,
}

/// Why nobody is let in by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// For the log.
    Bad(&'static str),
    /// The issuer's keys cannot be read: somebody must mend that. One line.
    Keys(String),
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

struct Key {
    id: Option<String>,
    /// RSA serves two, unless the key says which.
    algorithms: Vec<Algorithm>,
    key: PKey<Public>,
}

impl Issuer {
    /// `service.oauthissuer` and what belongs to it; nothing when it is not set.
    ///
    /// # Errors
    /// No audience is set: a token that somebody else was given would be good here.
    pub fn from_config(config: &Config, instance: &Instance) -> Result<Option<Issuer>, String> {
        let issuer = config.get(&service::OAUTH_ISSUER);
        if issuer.is_empty() {
            return Ok(None);
        }
        let audiences = config.get(&service::OAUTH_AUDIENCE);
        if audiences.is_empty() {
            return Err("service.oauthissuer is set, and service.oauthaudience is not".into());
        }
        Ok(Some(Issuer {
            issuer,
            audiences,
            claim: config.get(&service::OAUTH_CLAIM),
            scope: config.get(&service::OAUTH_SCOPE),
            file: instance.root().join(config.get(&service::OAUTH_KEYS)),
            keys: Mutex::new(None),
        }))
    }

    /// What a client is told whose token is not good (RFC 7628 §3.2.2).
    pub fn refusal(&self) -> String {
        let scope = self.scope.join(" ");
        serde_json::json!({ "status": "invalid_token", "scope": scope, "openid-configuration":
            format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/')) })
        .to_string()
    }

    /// The name of the user whose token this is; `now` in seconds since 1970.
    ///
    /// # Errors
    /// It is not believed, or the keys cannot be read.
    pub fn login_of(&self, token: &str, now: i64) -> Result<String, NoToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(NoToken::Bad("the token is too long"));
        }
        const NO_JWT: NoToken = NoToken::Bad("the token is no JWT");
        let (signed, signature) = token.rsplit_once('.').ok_or(NO_JWT)?;
        let (head, claims) = signed.split_once('.').ok_or(NO_JWT)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| NO_JWT);
        let json = |part: &str| -> Result<Value, NoToken> {
            serde_json::from_slice(&decode(part)?).map_err(|_| NO_JWT)
        };
        let (head, signature) = (json(head)?, decode(signature)?);
        if head.get("crit").is_some() {
            return Err(NoToken::Bad("the token has extensions that are not known here")); // RFC 7515 §4.1.11
        }
        let algorithm = head["alg"].as_str().and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(NoToken::Bad("the token's algorithm is not accepted"))?;
        let id = head["kid"].as_str();
        let keys = self.keys().map_err(NoToken::Keys)?;
        let fits =
            |key: &&Key| key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id);
        let mut candidates = keys.iter().filter(fits).peekable();
        if candidates.peek().is_none() {
            return Err(NoToken::Bad("no key of the issuer's fits the token"));
        }
        if !candidates.any(|key| key.verify(algorithm, signed.as_bytes(), &signature).unwrap_or(false)) {
            return Err(NoToken::Bad("the token's signature is wrong"));
        }
        self.believe(&json(claims)?, now).map_err(NoToken::Bad)
    }

    /// Of a token with a good signature.
    fn believe(&self, claims: &Value, now: i64) -> Result<String, &'static str> {
        if claims["iss"].as_str() != Some(self.issuer.as_str()) {
            return Err("the token is of another issuer");
        }
        let is_ours =
            |value: &Value| value.as_str().is_some_and(|one| self.audiences.iter().any(|ours| ours == one));
        let for_us = match &claims["aud"] {
            Value::Array(all) => all.iter().any(is_ours),
            one => is_ours(one),
        };
        if !for_us {
            return Err("the token is for another audience");
        }
        let seconds = |name: &str| {
            let value = &claims[name];
            #[allow(clippy::cast_possible_truncation)]
            // saturates; a NumericDate may have a fraction (RFC 7519 §2)
            value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
        };
        let expires = seconds("exp").ok_or("the token does not say when it ends")?;
        if now >= expires.saturating_add(SKEW_SECONDS) {
            return Err("the token is over");
        }
        if seconds("nbf").is_some_and(|from| from.saturating_sub(SKEW_SECONDS) > now) {
            return Err("the token is not good yet");
        }
        let granted: Vec<&str> = match &claims["scope"] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().unwrap_or_default().split(' ').collect(),
        };
        if !self.scope.iter().all(|word| granted.contains(&word.as_str())) {
            return Err("the token's scope is less than service.oauthscope");
        }
        if self.claim == "email" && claims["email_verified"] == Value::Bool(false) {
            return Err("the token's address is not verified");
        }
        let login = claims[self.claim.as_str()].as_str().filter(|login| !login.is_empty());
        login.map(str::to_owned).ok_or("the token has not the claim of service.oauthclaim")
    }

    fn keys(&self) -> Result<Arc<Vec<Key>>, String> {
        let told = |why: std::io::Error| format!("{}: {why}", self.file.display());
        let written = fs::metadata(&self.file).and_then(|data| {
            if data.len() > KEYS_BYTES_MAX {
                return Err(std::io::Error::other(format!("more than {KEYS_BYTES_MAX} bytes")));
            }
            data.modified()
        });
        let written = written.map_err(told)?;
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, keys)) = known.as_ref().filter(|(of, _)| *of == written) {
            let _ = of;
            return Ok(keys.clone());
        }
        let text = fs::read(&self.file).map_err(told)?;
        let set: Value = serde_json::from_slice(&text)
            .map_err(|_| format!("{}: it is no key set", self.file.display()))?;
        let list =
            set["keys"].as_array().ok_or_else(|| format!("{}: it is no key set", self.file.display()))?;
        // Keys of other kinds are the issuer's for other things (RFC 7517 §5).
        let keys = Arc::new(list.iter().filter_map(|key| Key::read(key).ok().flatten()).collect::<Vec<_>>());
        *known = Some((written, keys.clone()));
        Ok(keys)
    }
}

impl Algorithm {
    fn named(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "PS256" => Some(Algorithm::Ps256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

impl Key {
    /// A key of a set (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2); nothing when it is of no use here.
    fn read(key: &Value) -> Result<Option<Key>, ErrorStack> {
        let number = |name: &str| key[name].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let for_signatures = key["use"].as_str().is_none_or(|usage| usage == "sig");
        let (kind, curve) = (key["kty"].as_str().unwrap_or(""), key["crv"].as_str().unwrap_or(""));
        let (public, all) = match (kind, curve) {
            ("RSA", _) => {
                let (Some(n), Some(e)) = (number("n"), number("e")) else { return Ok(None) };
                let rsa = Rsa::from_public_components(BigNum::from_slice(&n)?, BigNum::from_slice(&e)?)?;
                (PKey::from_rsa(rsa)?, vec![Algorithm::Rs256, Algorithm::Ps256])
            }
            ("EC", "P-256") => {
                let (Some(x), Some(y)) = (number("x"), number("y")) else { return Ok(None) };
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                let mut context = BigNumContext::new()?;
                let mut point = EcPoint::new(&group)?;
                let (x, y) = (BigNum::from_slice(&x)?, BigNum::from_slice(&y)?);
                point.set_affine_coordinates_gfp(&group, &x, &y, &mut context)?;
                (PKey::from_ec_key(EcKey::from_public_key(&group, &point)?)?, vec![Algorithm::Es256])
            }
            ("OKP", "Ed25519") => {
                let Some(x) = number("x") else { return Ok(None) };
                (PKey::public_key_from_raw_bytes(&x, Id::ED25519)?, vec![Algorithm::EdDsa])
            }
            _ => return Ok(None),
        };
        let algorithms = match key["alg"].as_str() {
            None => all,
            Some(name) => all.into_iter().filter(|one| Algorithm::named(name) == Some(*one)).collect(),
        };
        let is_strong = kind != "RSA" || public.bits() >= RSA_BITS_MIN;
        let id = key["kid"].as_str().map(str::to_owned);
        Ok((for_signatures && is_strong && !algorithms.is_empty()).then_some(Key {
            id,
            algorithms,
            key: public,
        }))
    }

    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> Result<bool, ErrorStack> {
        let sha256 = MessageDigest::sha256();
        match algorithm {
            Algorithm::Rs256 => Verifier::new(sha256, &self.key)?.verify_oneshot(signature, signed),
            Algorithm::Ps256 => {
                let mut verifier = Verifier::new(sha256, &self.key)?;
                verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
                verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?; // RFC 7518 §3.5
                verifier.verify_oneshot(signature, signed)
            }
            Algorithm::Es256 => {
                let Some((r, s)) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32) else {
                    return Ok(false); // RFC 7518 §3.4
                };
                let both = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
                Verifier::new(sha256, &self.key)?.verify_oneshot(&both.to_der()?, signed)
            }
            Algorithm::EdDsa => Verifier::new_without_digest(&self.key)?.verify_oneshot(signature, signed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::pkey::Private;
    use openssl::sign::Signer;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn rsa() -> (PKey<Private>, Value) {
        let rsa = Rsa::generate(2048).unwrap();
        let number = |number: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(number.to_vec());
        let key = json!({ "kty": "RSA", "kid": "r1", "n": number(rsa.n()), "e": number(rsa.e()) });
        (PKey::from_rsa(rsa).unwrap(), key)
    }

    fn ed25519() -> (PKey<Private>, Value) {
        let key = PKey::generate_ed25519().unwrap();
        let x = URL_SAFE_NO_PAD.encode(key.raw_public_key().unwrap());
        (key, json!({ "kty": "OKP", "crv": "Ed25519", "kid": "o1", "x": x }))
    }

    fn p256() -> (PKey<Private>, Value) {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        let mut context = BigNumContext::new().unwrap();
        key.public_key().affine_coordinates_gfp(&group, &mut x, &mut y, &mut context).unwrap();
        let number = |number: &BigNum| URL_SAFE_NO_PAD.encode(number.to_vec_padded(32).unwrap());
        let public = json!({ "kty": "EC", "crv": "P-256", "kid": "e1", "x": number(&x), "y": number(&y) });
        (PKey::from_ec_key(key).unwrap(), public)
    }

    fn sign(key: &PKey<Private>, head: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(head), part(claims));
        let signature = match head["alg"].as_str().unwrap() {
            "EdDSA" => {
                Signer::new_without_digest(key).unwrap().sign_oneshot_to_vec(signed.as_bytes()).unwrap()
            }
            "ES256" => {
                let digest = openssl::sha::sha256(signed.as_bytes());
                let made = EcdsaSig::sign(&digest, &key.ec_key().unwrap()).unwrap();
                [made.r().to_vec_padded(32).unwrap(), made.s().to_vec_padded(32).unwrap()].concat()
            }
            name => {
                let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
                if name == "PS256" {
                    signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
                    signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
                }
                signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn issuer(folder: &std::path::Path, keys: &[&Value]) -> Issuer {
        fs::create_dir_all(folder.join("config")).unwrap();
        fs::write(folder.join("config/keys.json"), json!({ "keys": keys }).to_string()).unwrap();
        let text = "service.oauthissuer = https://id.example\nservice.oauthaudience = mail other\n\
                    service.oauthkeys = config/keys.json\nservice.oauthscope = mail\n";
        Issuer::from_config(&Config::from_text(text).unwrap(), &Instance::new(folder)).unwrap().unwrap()
    }

    fn claims() -> Value {
        json!({ "iss": "https://id.example", "aud": ["x", "mail"], "exp": NOW + 300, "nbf": NOW - 10,
                "scope": "openid mail", "email": "joe@x.test" })
    }

    #[test]
    fn each_algorithm_is_verified_with_its_own_kind_of_key() {
        let folder = tempfile::tempdir().unwrap();
        let ((rsa, rsa_public), (ed, ed_public), (ec, ec_public)) = (rsa(), ed25519(), p256());
        let issuer = issuer(folder.path(), &[&rsa_public, &ed_public, &ec_public]);
        for (key, alg, kid) in
            [(&rsa, "RS256", "r1"), (&rsa, "PS256", "r1"), (&ec, "ES256", "e1"), (&ed, "EdDSA", "o1")]
        {
            let token = sign(key, &json!({ "alg": alg, "kid": kid }), &claims());
            assert_eq!(issuer.login_of(&token, NOW).as_deref(), Ok("joe@x.test"), "{alg}");
            let unnamed = sign(key, &json!({ "alg": alg }), &claims());
            assert!(issuer.login_of(&unnamed, NOW).is_ok(), "{alg} without kid");
            let middle = token.find('.').unwrap() + 5;
            let other = if &token[middle..=middle] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
            assert!(issuer.login_of(&changed, NOW).is_err(), "{alg}, changed");
        }
        let (stranger, _) = p256();
        let forged = sign(&stranger, &json!({ "alg": "ES256", "kid": "e1" }), &claims());
        assert_eq!(issuer.login_of(&forged, NOW), Err(NoToken::Bad("the token's signature is wrong")));
    }

    #[test]
    fn what_chooses_its_own_check_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let (ec, public) = p256();
        let issuer = issuer(folder.path(), &[&public]);
        let good = sign(&ec, &json!({ "alg": "ES256" }), &claims());
        assert!(issuer.login_of(&good, NOW).is_ok());
        for head in
            [json!({ "alg": "none" }), json!({ "alg": "HS256" }), json!({}), json!({ "alg": "RS256" })]
        {
            let signed = format!("{}.{}.", part(&head), part(&claims()));
            assert!(issuer.login_of(&signed, NOW).is_err(), "{head}");
        }
        let crit = sign(&ec, &json!({ "alg": "ES256", "crit": ["b64"] }), &claims());
        assert!(issuer.login_of(&crit, NOW).is_err());
        for text in ["", ".", "..", "a.b", "a.b.c", &"x".repeat(10_000), &format!("{good}=")] {
            assert!(issuer.login_of(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn claims_must_be_about_us_now() {
        let folder = tempfile::tempdir().unwrap();
        let (ed, public) = ed25519();
        let issuer = issuer(folder.path(), &[&public]);
        let ask = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            issuer.login_of(&sign(&ed, &json!({ "alg": "EdDSA" }), &claims), NOW)
        };
        for (name, value, why) in [
            ("iss", json!("https://other.example"), "another issuer"),
            ("aud", json!("elsewhere"), "another audience"),
            ("aud", Value::Null, "another audience"),
            ("exp", json!(NOW - 61), "is over"),
            ("exp", Value::Null, "does not say when it ends"),
            ("nbf", json!(NOW + 120), "not good yet"),
            ("scope", json!("openid"), "less than service.oauthscope"),
            ("email", Value::Null, "not the claim"),
            ("email_verified", json!(false), "not verified"),
        ] {
            let Err(NoToken::Bad(said)) = ask(name, value) else { panic!("{name}") };
            assert!(said.contains(why), "{name}: {said}");
        }
        assert!(ask("exp", json!(NOW - 30)).is_ok(), "the clocks differ a little");
        assert!(ask("aud", json!("other")).is_ok() && ask("scope", json!(["mail"])).is_ok());
    }

    /// The issuer changes its keys; the file is replaced while we run.
    #[test]
    fn a_replaced_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let ((first, first_public), (second, second_public)) = (ed25519(), ed25519());
        let issuer = issuer(folder.path(), &[&first_public]);
        let token = |key| sign(key, &json!({ "alg": "EdDSA" }), &claims());
        assert!(
            issuer.login_of(&token(&first), NOW).is_ok() && issuer.login_of(&token(&second), NOW).is_err()
        );
        let path = folder.path().join("config/keys.json");
        let later = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(2);
        fs::write(&path, json!({ "keys": [second_public] }).to_string()).unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(
            issuer.login_of(&token(&first), NOW).is_err() && issuer.login_of(&token(&second), NOW).is_ok()
        );
        fs::remove_file(&path).unwrap();
        assert!(
            matches!(issuer.login_of(&token(&second), NOW), Err(NoToken::Keys(why)) if why.contains("keys.json"))
        );
    }
}
