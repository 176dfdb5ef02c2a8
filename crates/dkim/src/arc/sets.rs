//! The sets of a chain: what belongs together by its instance (RFC 8617 §4.2).

use std::ops::Range;

use openssl::sha::Sha256;

use crate::canonical::Canonical;
use crate::fields::{Field, Message};
use crate::signature::{self, Stamp};
use crate::tags::{number, trim};

/// RFC 8617 §4.2.1
pub(crate) const INSTANCES_MAX: u32 = 50;

const RESULTS: &str = "ARC-Authentication-Results";
const SIGNATURE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";

/// One set, whole.
pub(crate) struct Set<'m> {
    pub(crate) results: Field<'m>,
    /// With its place in the header.
    pub(crate) signature: (usize, Field<'m>),
    pub(crate) seal: Field<'m>,
}

/// `cv=`: what the sealer found of the chain before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    None,
    Pass,
    Fail,
}

/// What a seal says.
pub(crate) struct SealTags {
    pub(crate) stamp: Stamp,
    pub(crate) found: Found,
}

/// Why there is no chain.
pub(crate) enum NoSets {
    /// There is nothing of it.
    Absent,
    /// There is something that is none; with the highest instance that occurs.
    Broken(u32, &'static str),
}

/// The sets from the first on.
pub(crate) fn read<'m>(message: &Message<'m>) -> Result<Vec<Set<'m>>, NoSets> {
    let mut highest = 0;
    let mut broken = None;
    let mut of_name = |name: &str| -> Vec<(u32, usize, Field<'m>)> {
        let mut fields = Vec::new();
        // One more than there may be is enough to know that there are too many.
        for (place, field) in message.named(name).take(INSTANCES_MAX as usize + 1) {
            match instance(&field) {
                Some(instance) => {
                    highest = highest.max(instance);
                    fields.push((instance, place, field));
                }
                None => broken = Some("an instance is missing or wrong"),
            }
        }
        fields.sort_unstable_by_key(|(instance, ..)| *instance);
        fields
    };
    let (results, signatures, seals) = (of_name(RESULTS), of_name(SIGNATURE), of_name(SEAL));
    if let Some(why) = broken {
        return Err(NoSets::Broken(highest, why));
    }
    if results.is_empty() && signatures.is_empty() && seals.is_empty() {
        return Err(NoSets::Absent);
    }
    let is_whole =
        |fields: &[(u32, usize, Field<'m>)]| fields.iter().map(|(instance, ..)| *instance).eq(1..=highest);
    if !(is_whole(&results) && is_whole(&signatures) && is_whole(&seals)) {
        return Err(NoSets::Broken(highest, "its sets are not whole"));
    }
    let sets = results.into_iter().zip(signatures).zip(seals);
    Ok(sets
        .map(|((results, signature), seal)| Set {
            results: results.2,
            signature: (signature.1, signature.2),
            seal: seal.2,
        })
        .collect())
}

/// `i=`, which is the first tag of the results and any of the others.
fn instance(field: &Field<'_>) -> Option<u32> {
    let value = field.value();
    let text = if field.is(RESULTS) {
        let first = value.split(|byte| *byte == b';').next()?;
        let equals = memchr::memchr(b'=', first)?;
        (trim(&first[..equals]) == b"i").then(|| trim(&first[equals + 1..]))?
    } else {
        signature::tags(field).ok()?.find("i")?
    };
    let instance = number(text).filter(|_| text.len() <= 2)?;
    u32::try_from(instance).ok().filter(|instance| (1..=INSTANCES_MAX).contains(instance))
}

impl Set<'_> {
    /// # Errors
    /// What is wrong with the seal.
    pub(crate) fn seal_tags(&self) -> Result<SealTags, &'static str> {
        let tags = signature::tags(&self.seal).map_err(|_| "a seal cannot be read")?;
        if tags.find("h").is_some() {
            return Err("a seal has h="); // RFC 8617 §4.1.3
        }
        let found = match tags.find("cv") {
            Some(b"none") => Found::None,
            Some(b"pass") => Found::Pass,
            Some(b"fail") => Found::Fail,
            _ => return Err("a seal does not say what it found"),
        };
        let stamp = signature::stamp(&tags).map_err(|_| "a seal cannot be read")?;
        Ok(SealTags { stamp, found })
    }

    /// What its seal signs, as far as it is of this set (RFC 8617 §5.1.1).
    pub(crate) fn add_sealed(&self, own: Range<usize>, hash: &mut Sha256) {
        let mut text = Vec::new();
        Canonical::Relaxed.add_field(&self.results, &mut text);
        Canonical::Relaxed.add_field(&self.signature.1, &mut text);
        Canonical::Relaxed.add_own(&self.seal, own, &mut text);
        hash.update(&text);
    }

    /// What later seals sign of it.
    pub(crate) fn add_whole(&self, hash: &mut Sha256) {
        let mut text = Vec::new();
        for field in [&self.results, &self.signature.1, &self.seal] {
            Canonical::Relaxed.add_field(field, &mut text);
        }
        hash.update(&text);
    }
}
