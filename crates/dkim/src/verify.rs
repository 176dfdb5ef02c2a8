//! Checks the signatures of a message (RFC 6376 §6.1).

use openssl::sha::sha256;

use crate::algorithm::Algorithm;
use crate::arc::{self, Chain};
use crate::body::{self, Digest, Wanted};
use crate::fields::{Field, Message};
use crate::key_record::{self, PublicKey};
use crate::keys::{Keys, LookUps};
use crate::signature::{self, Signature, is_within};

/// DKIM-Signature fields that are looked at, from the top; what is below is passed over.
pub const SIGNATURES_MAX: usize = 10;

/// What became of a signature, in the words of RFC 8601 §2.7.1. The text is one clause that says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    /// It does not fit the message.
    Fail(String),
    /// It is not acceptable, whether it fits or not: SHA-1, a short key (RFC 8301).
    Policy(String),
    /// It makes no sense, or it does not fit and its domain is only testing (`t=y`).
    Neutral(String),
    /// Nobody could tell; later perhaps.
    TempError(String),
    /// There is no key for it.
    PermError(String),
}

impl Outcome {
    /// Why it is so; empty when it is good.
    pub fn reason(&self) -> &str {
        match self {
            Outcome::Pass => "",
            Outcome::Fail(why)
            | Outcome::Policy(why)
            | Outcome::Neutral(why)
            | Outcome::TempError(why)
            | Outcome::PermError(why) => why,
        }
    }

    /// As Authentication-Results names it (RFC 8601 §2.7.1).
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail(_) => "fail",
            Outcome::Policy(_) => "policy",
            Outcome::Neutral(_) => "neutral",
            Outcome::TempError(_) => "temperror",
            Outcome::PermError(_) => "permerror",
        }
    }
}

/// One signature. Texts are empty where it could not be read; they are a stranger's, so quote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// `d=`, lower case.
    pub domain: String,
    /// `s=`, lower case.
    pub selector: String,
    /// `i=`, if it is said.
    pub identity: Option<String>,
    pub algorithm: Option<Algorithm>,
    /// Bits of the key, once it is found.
    pub bits: Option<u32>,
    /// The first eight characters of `b=`, which tell signatures apart (RFC 6008 §4).
    pub start: String,
    pub result: Outcome,
}

/// Everything that is signed about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// In the order of the header.
    pub signatures: Vec<Checked>,
    pub chain: Chain,
}

/// The signatures of `message` from the top. `now` is in seconds since 1970.
pub fn verify(message: &[u8], keys: &dyn Keys, now: u64) -> Vec<Checked> {
    run(message, keys, now, true, false).signatures
}

/// Signatures and chain, with one reading of the body for both.
pub fn examine(message: &[u8], keys: &dyn Keys, now: u64) -> Verdicts {
    run(message, keys, now, true, true)
}

pub(crate) fn run(message: &[u8], keys: &dyn Keys, now: u64, of_dkim: bool, of_arc: bool) -> Verdicts {
    let message = match Message::read(message) {
        Ok(message) => message,
        Err(why) => {
            let chain = if of_arc { Chain::failed(0, why) } else { Chain::none() };
            return Verdicts { signatures: Vec::new(), chain };
        }
    };
    let mut look_ups = LookUps::new(keys);
    let mut signatures: Vec<Open<'_>> = match of_dkim {
        true => message
            .named("dkim-signature")
            .take(SIGNATURES_MAX)
            .map(|(place, field)| Open::dkim(place, field, &mut look_ups, now))
            .collect(),
        false => Vec::new(),
    };
    let chain = if of_arc { arc::begin(&message, &mut look_ups, now) } else { Err(Chain::none()) };
    // What needs the body, in the order in which the hashes are given out below.
    let ours = signatures.iter().chain(chain.iter().map(|begun| &begun.message_signature));
    let wanted: Vec<Wanted> = ours.filter_map(Open::wanted).collect();
    let mut hashes = body::hashes(message.body, &wanted).into_iter();
    let checked = signatures.drain(..).map(|open| open.finish(&message, &mut hashes).0).collect();
    let chain = match chain {
        Err(chain) => chain,
        Ok(begun) => begun.finish(&message, &mut hashes, &mut look_ups),
    };
    Verdicts { signatures: checked, chain }
}

/// A signature of which everything but the message has been looked at.
pub(crate) struct Open<'m> {
    place: usize,
    field: Field<'m>,
    checked: Checked,
    /// `None`: the result stands already.
    ready: Option<(Signature<'m>, PublicKey)>,
}

impl<'m> Open<'m> {
    fn dkim(place: usize, field: Field<'m>, look_ups: &mut LookUps<'_>, now: u64) -> Open<'m> {
        Open::new(place, field, look_ups, now, true)
    }

    /// `is_dkim`: not that of a message within ARC.
    pub(crate) fn new(
        place: usize,
        field: Field<'m>,
        look_ups: &mut LookUps<'_>,
        now: u64,
        is_dkim: bool,
    ) -> Open<'m> {
        let checked = Checked {
            domain: String::new(),
            selector: String::new(),
            identity: None,
            algorithm: None,
            bits: None,
            start: String::new(),
            result: Outcome::Pass,
        };
        let mut open = Open { place, field, checked, ready: None };
        match open.prepare(look_ups, now, is_dkim) {
            Ok(ready) => open.ready = Some(ready),
            Err(result) => open.checked.result = result,
        }
        open
    }

    fn prepare(
        &mut self,
        look_ups: &mut LookUps<'_>,
        now: u64,
        is_dkim: bool,
    ) -> Result<(Signature<'m>, PublicKey), Outcome> {
        let tags = signature::tags(&self.field)?;
        let start = tags.find("b").unwrap_or_default().iter().filter(|byte| byte.is_ascii_graphic());
        self.checked.start = start.take(8).map(|byte| char::from(*byte)).collect();
        if let Ok(stamp) = signature::stamp(&tags) {
            self.checked.domain = stamp.domain;
            self.checked.selector = stamp.selector;
            self.checked.algorithm = Some(stamp.algorithm);
        }
        let signature = if is_dkim { Signature::read(&tags)? } else { Signature::read_signed(&tags)? };
        self.checked.identity.clone_from(&signature.identity);
        if signature.stamp.algorithm == Algorithm::RsaSha1 {
            return Err(Outcome::Policy("rsa-sha1 is not accepted".into())); // RFC 8301 §3.1
        }
        if signature.expires.is_some_and(|expires| expires < now) {
            return Err(Outcome::PermError("the signature has expired".into()));
        }
        let stamp = &signature.stamp;
        let key = key_record::find(look_ups, &stamp.domain, &stamp.selector, stamp.algorithm)?;
        self.checked.bits = Some(key.bits);
        let of_the_very_domain = |identity: &String| {
            identity.rsplit_once('@').is_some_and(|(_, domain)| is_within(&stamp.domain, domain))
        };
        if key.strict && !signature.identity.as_ref().is_none_or(of_the_very_domain) {
            return Err(Outcome::PermError("i= is below d=, which the key does not allow".into()));
        }
        Ok((signature, key))
    }

    /// Which hash of the body it needs.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        let (signature, _) = self.ready.as_ref()?;
        Some(Wanted { canonical: signature.body, limit: signature.limit })
    }

    /// The end of the matter; takes its hash of the body, if it wanted one. Also says which fields were signed.
    pub(crate) fn finish(
        mut self,
        message: &Message<'m>,
        hashes: &mut impl Iterator<Item = Option<Digest>>,
    ) -> (Checked, Vec<&'m [u8]>) {
        let Some((signature, key)) = self.ready.take() else { return (self.checked, Vec::new()) };
        let body_hash = hashes.next().flatten();
        self.checked.result = match self.compare(&signature, &key, message, body_hash) {
            Ok(()) => Outcome::Pass,
            // RFC 6376 §3.6.1: it counts as not signed.
            Err(why) if key.testing => Outcome::Neutral(format!("{why}, and the domain is testing")),
            Err(why) => Outcome::Fail(why.to_owned()),
        };
        (self.checked, signature.names)
    }

    fn compare(
        &self,
        signature: &Signature<'m>,
        key: &PublicKey,
        message: &Message<'m>,
        body_hash: Option<Digest>,
    ) -> Result<(), &'static str> {
        let body_hash = body_hash.ok_or("the body is shorter than was signed")?;
        if signature.body_hash != body_hash {
            return Err("the body has been changed");
        }
        let mut signed = Vec::new();
        for field in message.selected(signature.names.iter().copied(), Some(self.place)) {
            signature.header.add_field(&field, &mut signed);
        }
        signature.header.add_own(&self.field, signature.stamp.own.clone(), &mut signed);
        match signature.stamp.algorithm.is_signed(&key.key, &sha256(&signed), &signature.stamp.signature) {
            true => Ok(()),
            false => Err("the signature does not fit the header"),
        }
    }
}
