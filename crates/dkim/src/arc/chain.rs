//! Whether a chain holds (RFC 8617 §5.2).

use openssl::sha::Sha256;

use super::sets::{self, Found, NoSets, SealTags, Set};
use crate::algorithm::Algorithm;
use crate::body::Digest;
use crate::fields::Message;
use crate::key_record;
use crate::keys::LookUps;
use crate::verify::{Open, Outcome};

/// The validation status (RFC 8617 §4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainResult {
    /// Nobody has sealed the message.
    None,
    Pass,
    /// Why it does not hold; one clause.
    Fail(String),
}

/// A chain, and what was found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub result: ChainResult,
    /// The highest instance that occurs; 0: there is none.
    pub instance: u32,
    /// The domains of the seals, the first sealer's first. Only of a chain that holds.
    pub sealers: Vec<String>,
    /// It failed because nobody could tell a key; later perhaps.
    pub temporary: bool,
}

impl Chain {
    pub(crate) fn none() -> Chain {
        Chain { result: ChainResult::None, instance: 0, sealers: Vec::new(), temporary: false }
    }

    pub(crate) fn failed(instance: u32, why: &str) -> Chain {
        Chain { result: ChainResult::Fail(why.to_owned()), instance, ..Chain::none() }
    }

    fn without(instance: u32, outcome: &Outcome, what: &str) -> Chain {
        let temporary = matches!(outcome, Outcome::TempError(_));
        Chain { temporary, ..Chain::failed(instance, &format!("{what}: {}", outcome.reason())) }
    }
}

/// A chain that is well formed, and the latest signature of the message.
pub(crate) struct Begun<'m> {
    pub(crate) message_signature: Open<'m>,
    sets: Vec<(Set<'m>, SealTags)>,
    instance: u32,
}

/// # Errors
/// There is no chain, or it fails at once.
pub(crate) fn begin<'m>(
    message: &Message<'m>,
    look_ups: &mut LookUps<'_>,
    now: u64,
) -> Result<Begun<'m>, Chain> {
    let sets = sets::read(message).map_err(|why| match why {
        NoSets::Absent => Chain::none(),
        NoSets::Broken(instance, why) => Chain::failed(instance, why),
    })?;
    let instance = u32::try_from(sets.len()).unwrap_or(u32::MAX);
    let mut read = Vec::with_capacity(sets.len());
    for (before, set) in sets.into_iter().enumerate() {
        let seal = set.seal_tags().map_err(|why| Chain::failed(instance, why))?;
        match (seal.found, before) {
            (Found::Fail, _) => return Err(Chain::failed(instance, "a sealer found that it had failed")),
            (Found::None, 0) | (Found::Pass, 1..) => read.push((set, seal)),
            _ => return Err(Chain::failed(instance, "a seal says what cannot be (cv=)")),
        }
    }
    let Some((latest, _)) = read.last() else { return Err(Chain::none()) };
    let (place, field) = latest.signature;
    let message_signature = Open::new(place, field, look_ups, now, false);
    Ok(Begun { message_signature, sets: read, instance })
}

impl<'m> Begun<'m> {
    pub(crate) fn finish(
        self,
        message: &Message<'m>,
        hashes: &mut impl Iterator<Item = Option<Digest>>,
        look_ups: &mut LookUps<'_>,
    ) -> Chain {
        let (checked, names) = self.message_signature.finish(message, hashes);
        if checked.result != Outcome::Pass {
            return Chain::without(self.instance, &checked.result, "the latest signature of the message");
        }
        if names.iter().any(|name| name.eq_ignore_ascii_case(b"arc-seal")) {
            return Chain::failed(self.instance, "the latest signature of the message covers a seal");
        }
        let mut hash = Sha256::new();
        let mut sealed = Vec::with_capacity(self.sets.len());
        for (set, seal) in &self.sets {
            let mut own = hash.clone();
            set.add_sealed(seal.stamp.own.clone(), &mut own);
            sealed.push(own.finish());
            set.add_whole(&mut hash);
        }
        // The latest first, so that a forgery costs the fewest look-ups.
        for (at, ((_, seal), hash)) in self.sets.iter().zip(&sealed).enumerate().rev() {
            if let Err(outcome) = check_seal(seal, hash, look_ups) {
                return Chain::without(self.instance, &outcome, &format!("seal {}", at + 1));
            }
        }
        Chain {
            result: ChainResult::Pass,
            instance: self.instance,
            sealers: self.sets.into_iter().map(|(_, seal)| seal.stamp.domain).collect(),
            temporary: false,
        }
    }
}

fn check_seal(seal: &SealTags, hash: &Digest, look_ups: &mut LookUps<'_>) -> Result<(), Outcome> {
    let stamp = &seal.stamp;
    if stamp.algorithm == Algorithm::RsaSha1 {
        return Err(Outcome::Policy("rsa-sha1 is not accepted".into()));
    }
    let key = key_record::find(look_ups, &stamp.domain, &stamp.selector, stamp.algorithm)?;
    match stamp.algorithm.is_signed(&key.key, hash, &stamp.signature) {
        true => Ok(()),
        false => Err(Outcome::Fail("it does not fit".into())),
    }
}
