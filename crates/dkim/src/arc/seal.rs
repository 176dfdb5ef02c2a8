//! Puts a set on top of a message that goes on (RFC 8617 §5.1).

use openssl::sha::Sha256;

use super::chain::ChainResult;
use super::sets::{self, Found, INSTANCES_MAX, NoSets, Set};
use crate::fields::{Field, Message};
use crate::keyring::SigningKey;
use crate::sign::{self, SignError};

/// What a seal says.
#[derive(Clone, Debug)]
pub struct Seal<'s> {
    /// What was found of the chain when the message arrived.
    pub chain: &'s ChainResult,
    /// What was found of the message, as in Authentication-Results behind the colon: `host; spf=pass ...`. One line, or
    /// folded.
    pub results: &'s str,
    /// Seconds since 1970.
    pub now: u64,
}

/// The fields to put in front of `message`, each with its line end. `None`: a chain that has failed for somebody before us,
/// or that is full, is left alone (RFC 8617 §5.1).
///
/// # Errors
/// The message cannot be read, or the library fails.
pub fn seal(message: &[u8], key: &SigningKey, seal: &Seal<'_>) -> Result<Option<Vec<u8>>, SignError> {
    let message = Message::read(message).map_err(SignError::Message)?;
    let (sets, highest, found) = match (sets::read(&message), seal.chain) {
        (Err(NoSets::Absent), _) => (Vec::new(), 0, Found::None),
        (Err(NoSets::Broken(highest, _)), _) => (Vec::new(), highest, Found::Fail),
        (Ok(sets), ChainResult::Pass) => {
            let highest = u32::try_from(sets.len()).unwrap_or(u32::MAX);
            (sets, highest, Found::Pass)
        }
        (Ok(sets), _) => (Vec::new(), u32::try_from(sets.len()).unwrap_or(u32::MAX), Found::Fail),
    };
    if highest >= INSTANCES_MAX || (found == Found::Fail && has_failed_before(&message)) {
        return Ok(None);
    }
    let instance = highest + 1;
    let results = format!("ARC-Authentication-Results: i={instance}; {}\r\n", seal.results.trim());
    let names = sign::names(&message, true)?;
    let head = format!("ARC-Message-Signature: i={instance}; ");
    let body_hash = sign::body_hash(&message);
    let signature = sign::signed_field(&head, &message, &names, &body_hash, key, seal.now, None)?;
    let status = match found {
        Found::None => "none",
        Found::Pass => "pass",
        Found::Fail => "fail",
    };
    let head = format!(
        "ARC-Seal: i={instance}; a={}; t={}; cv={status};\r\n\td={}; s={};\r\n\tb=",
        key.algorithm(),
        seal.now,
        key.domain(),
        key.selector()
    );
    let (results_field, signature_field) = (field(&results)?, field(&signature)?);
    let own = Set { results: results_field, signature: (0, signature_field), seal: field(&head)? };
    let mut hash = Sha256::new();
    for set in &sets {
        set.add_whole(&mut hash);
    }
    let at = own.seal.value().len();
    own.add_sealed(at..at, &mut hash);
    let sealed = sign::with_signature(&head, &hash.finish(), key)?;
    Ok(Some([sealed.as_bytes(), signature.as_bytes(), results.as_bytes()].concat()))
}

/// Whether the latest seal says that the chain had failed before it.
fn has_failed_before(message: &Message<'_>) -> bool {
    let says_fail = |field: &Field<'_>| {
        crate::signature::tags(field).is_ok_and(|tags| tags.find("cv") == Some(&b"fail"[..]))
    };
    message.named("arc-seal").take(INSTANCES_MAX as usize).any(|(_, field)| says_fail(&field))
}

fn field(text: &str) -> Result<Field<'_>, SignError> {
    Field::read(text.as_bytes()).ok_or(SignError::Message("a field of ours cannot be read"))
}
