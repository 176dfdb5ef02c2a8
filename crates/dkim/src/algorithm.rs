//! The algorithms of signatures (RFC 6376 §3.3, RFC 8463 §3).

use std::fmt;

use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::{HasPublic, Id, PKeyRef, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sign::{Signer, Verifier};

/// `a=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    RsaSha256,
    Ed25519Sha256,
    /// Known and never accepted (RFC 8301 §3.1).
    RsaSha1,
}

impl Algorithm {
    pub(crate) fn from_name(name: &[u8]) -> Option<Algorithm> {
        Some(match name {
            b"rsa-sha256" => Algorithm::RsaSha256,
            b"ed25519-sha256" => Algorithm::Ed25519Sha256,
            b"rsa-sha1" => Algorithm::RsaSha1,
            _ => return None,
        })
    }

    /// As `k=` of a key record names it (RFC 6376 §3.6.1).
    pub fn key_type(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 | Algorithm::RsaSha1 => "rsa",
            Algorithm::Ed25519Sha256 => "ed25519",
        }
    }

    /// As `h=` of a key record names it.
    pub(crate) fn hash(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 | Algorithm::Ed25519Sha256 => "sha256",
            Algorithm::RsaSha1 => "sha1",
        }
    }

    /// What a private key signs with.
    pub(crate) fn of_key<T>(key: &PKeyRef<T>) -> Option<Algorithm> {
        match key.id() {
            Id::RSA => Some(Algorithm::RsaSha256),
            Id::ED25519 => Some(Algorithm::Ed25519Sha256),
            _ => None,
        }
    }

    /// Whether `signature` is that of what has this SHA-256 hash. An error of the library means no.
    ///
    /// RFC 8463 §3: with Ed25519 it is the hash that is signed, by the algorithm's pure form.
    pub(crate) fn is_signed<T: HasPublic>(self, key: &PKeyRef<T>, hash: &[u8; 32], signature: &[u8]) -> bool {
        let check = || -> Result<bool, ErrorStack> {
            match self {
                Algorithm::RsaSha256 => {
                    let mut context = PkeyCtx::new(key)?;
                    context.verify_init()?;
                    context.set_rsa_padding(Padding::PKCS1)?;
                    context.set_signature_md(Md::sha256())?;
                    context.verify(hash, signature)
                }
                Algorithm::Ed25519Sha256 => {
                    Verifier::new_without_digest(key)?.verify_oneshot(signature, hash)
                }
                Algorithm::RsaSha1 => Ok(false),
            }
        };
        check().unwrap_or(false)
    }

    /// Signs what has this SHA-256 hash.
    ///
    /// # Errors
    /// The library's.
    pub(crate) fn sign(self, key: &PKeyRef<Private>, hash: &[u8; 32]) -> Result<Vec<u8>, ErrorStack> {
        match self {
            Algorithm::RsaSha256 | Algorithm::RsaSha1 => {
                let mut context = PkeyCtx::new(key)?;
                context.sign_init()?;
                context.set_rsa_padding(Padding::PKCS1)?;
                context.set_signature_md(Md::sha256())?;
                let mut signature = Vec::new();
                context.sign_to_vec(hash, &mut signature)?;
                Ok(signature)
            }
            Algorithm::Ed25519Sha256 => Signer::new_without_digest(key)?.sign_oneshot_to_vec(hash),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
            Algorithm::RsaSha1 => "rsa-sha1",
        })
    }
}
