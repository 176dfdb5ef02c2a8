//! A signature as its field says it (RFC 6376 §3.5); that of a message within ARC is one too (RFC 8617 §4.1.2).

use std::ops::Range;

use crate::algorithm::Algorithm;
use crate::canonical::Canonical;
use crate::fields::Field;
use crate::tags::{Tags, base64, colon_list, is_fws, number};
use crate::verify::Outcome;

/// Bytes of one field, folds and copied fields (`z=`) and all.
const FIELD_BYTES_MAX: usize = 64 << 10;

/// What DKIM-Signature, ARC-Message-Signature and ARC-Seal have in common.
pub(crate) struct Stamp {
    pub(crate) algorithm: Algorithm,
    /// Lower case.
    pub(crate) domain: String,
    pub(crate) selector: String,
    pub(crate) signature: Vec<u8>,
    /// Where the value of `b=` is in the field's value.
    pub(crate) own: Range<usize>,
}

/// A signature of header fields and a body.
pub(crate) struct Signature<'m> {
    pub(crate) stamp: Stamp,
    pub(crate) header: Canonical,
    pub(crate) body: Canonical,
    pub(crate) body_hash: Vec<u8>,
    /// `l=`
    pub(crate) limit: Option<u64>,
    /// `i=`, decoded.
    pub(crate) identity: Option<String>,
    pub(crate) names: Vec<&'m [u8]>,
    pub(crate) expires: Option<u64>,
}

/// # Errors
/// What is wrong with it.
pub(crate) fn tags<'m>(field: &Field<'m>) -> Result<Tags<'m>, Outcome> {
    if field.raw.len() > FIELD_BYTES_MAX {
        return Err(neutral("it is too long"));
    }
    Tags::read(field.value()).map_err(|why| neutral(&why))
}

/// RFC 8601 §2.7.1: `neutral` is for syntax errors.
fn neutral(why: &str) -> Outcome {
    Outcome::Neutral(why.to_owned())
}

fn missing(name: &str) -> Outcome {
    neutral(&format!("{name}= is missing or wrong"))
}

/// # Errors
/// It has no algorithm, signer or signature that makes sense.
pub(crate) fn stamp(tags: &Tags<'_>) -> Result<Stamp, Outcome> {
    let algorithm = tags.find("a").ok_or_else(|| missing("a"))?;
    let algorithm = Algorithm::from_name(algorithm).ok_or_else(|| neutral("its algorithm is not known"))?;
    let signature = tags.find("b").and_then(base64).filter(|bytes| !bytes.is_empty());
    let name = |tag: &str| tags.find(tag).and_then(domain_name).ok_or_else(|| missing(tag));
    Ok(Stamp {
        algorithm,
        domain: name("d")?,
        selector: name("s")?,
        signature: signature.ok_or_else(|| missing("b"))?,
        own: tags.span("b").ok_or_else(|| missing("b"))?,
    })
}

impl<'m> Signature<'m> {
    /// # Errors
    /// It makes no sense.
    pub(crate) fn read(tags: &Tags<'m>) -> Result<Signature<'m>, Outcome> {
        if tags.find("v") != Some(b"1") {
            return Err(neutral("its version is not 1"));
        }
        let mut signature = Signature::read_signed(tags)?;
        signature.identity = match tags.find("i") {
            None => None,
            Some(identity) => Some(decoded(identity).ok_or_else(|| missing("i"))?),
        };
        if let Some(identity) = &signature.identity {
            let (_, domain) = identity.rsplit_once('@').ok_or_else(|| missing("i"))?;
            if !is_within(domain, &signature.stamp.domain) {
                return Err(neutral("i= is of another domain than d="));
            }
        }
        if let Some(ways) = tags.find("q")
            && !colon_list(ways).any(|way| way == b"dns/txt")
        {
            return Err(neutral("its key is to be found in no way that is known"));
        }
        Ok(signature)
    }

    /// That of a message within ARC: no version, and `i=` is something else.
    ///
    /// # Errors
    /// It makes no sense.
    pub(crate) fn read_signed(tags: &Tags<'m>) -> Result<Signature<'m>, Outcome> {
        let stamp = stamp(tags)?;
        let (header, body) = canonicalizations(tags.find("c").unwrap_or(b"simple"))?;
        let names: Vec<&[u8]> = colon_list(tags.find("h").ok_or_else(|| missing("h"))?).collect();
        if !names.iter().any(|name| name.eq_ignore_ascii_case(b"from")) {
            return Err(neutral("From is not signed"));
        }
        let optional = |name: &str| match tags.find(name) {
            None => Ok(None),
            Some(value) => number(value).map(Some).ok_or_else(|| missing(name)),
        };
        let (made, expires, limit) = (optional("t")?, optional("x")?, optional("l")?);
        if let (Some(made), Some(expires)) = (made, expires)
            && expires < made
        {
            return Err(neutral("it expires before it is made"));
        }
        Ok(Signature {
            body_hash: tags.find("bh").and_then(base64).ok_or_else(|| missing("bh"))?,
            identity: None,
            stamp,
            header,
            body,
            limit,
            names,
            expires,
        })
    }
}

/// `c=`: header, and body after a slash; the body is `simple` when it is not said.
fn canonicalizations(value: &[u8]) -> Result<(Canonical, Canonical), Outcome> {
    let mut parts = value.splitn(2, |byte| *byte == b'/');
    let header = parts.next().and_then(|name| Canonical::from_name(crate::tags::trim(name)));
    let body = match parts.next() {
        None => Some(Canonical::Simple),
        Some(name) => Canonical::from_name(crate::tags::trim(name)),
    };
    header.zip(body).ok_or_else(|| neutral("its canonicalization is not known"))
}

/// What can be a name in DNS; whether it is, the look-up finds out.
fn domain_name(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || !c.is_ascii();
    let fits = !text.is_empty() && text.len() <= 1012 && text.chars().all(|c| fits(c) && !c.is_control());
    fits.then(|| text.to_lowercase())
}

/// Whether `domain` is `above` or below it.
pub(crate) fn is_within(domain: &str, above: &str) -> bool {
    let (domain, above) = (domain.to_lowercase(), above.to_lowercase());
    domain == above || domain.strip_suffix(&above).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

/// `dkim-quoted-printable` (RFC 6376 §2.11), of one line of text.
fn decoded(value: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.iter().copied().filter(|byte| !is_fws(*byte));
    while let Some(byte) = rest.next() {
        match byte {
            b'=' => {
                bytes.push(base::hex::digit(rest.next()?)? << 4 | base::hex::digit(rest.next()?)?);
            }
            _ => bytes.push(byte),
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, Outcome> {
        let field = Field::read(text.as_bytes()).unwrap();
        let tags = tags(&field)?;
        Signature::read(&tags).map(|signature| {
            format!(
                "{:?}/{:?} {} {}",
                signature.header,
                signature.body,
                signature.identity.unwrap_or_default(),
                signature.names.len()
            )
        })
    }

    const GOOD: &str = "S: v=1; a=rsa-sha256; d=A.example; s=x; h=from:to; bh=AA==; b=AAAA";

    #[test]
    fn what_is_said_is_read_and_what_is_not_is_the_default() {
        assert_eq!(read(GOOD).unwrap(), "Simple/Simple  2");
        assert_eq!(read(&format!("{GOOD}; c=relaxed;")).unwrap(), "Relaxed/Simple  2");
        assert_eq!(read(&format!("{GOOD}; c=simple/relaxed")).unwrap(), "Simple/Relaxed  2");
        assert_eq!(
            read(&format!("{GOOD}; i=j=20=\r\n 6F@b.a.EXAMPLE")).unwrap(),
            "Simple/Simple j o@b.a.EXAMPLE 2"
        );
        assert!(read(&format!("{GOOD}; q=x/y:dns/txt; z=From:a|To:b; n=1")).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_neutral() {
        for name in ["v", "a", "d", "s", "h", "bh", "b"] {
            let left: Vec<&str> =
                GOOD[3..].split("; ").filter(|tag| !tag.starts_with(&format!("{name}="))).collect();
            assert!(matches!(read(&format!("S: {}", left.join("; "))), Err(Outcome::Neutral(_))), "{name}");
        }
        for (from, to) in
            [("v=1", "v=2"), ("rsa-sha256", "dsa-sha9"), ("from:", "form:"), ("A.ex", "a b"), ("AAAA", "!")]
        {
            assert!(matches!(read(&GOOD.replace(from, to)), Err(Outcome::Neutral(_))), "{to}");
        }
        for more in [
            "c=odd",
            "c=simple/odd",
            "i=a",
            "i=@b.example",
            "i=@xa.example",
            "i=a=0D@a.example",
            "i=a=@a.example",
            "l=-1",
            "l=x",
            "x=y",
            "t=2; x=1",
            "q=dns/x",
            "b=AAAA",
        ] {
            assert!(matches!(read(&format!("{GOOD}; {more}")), Err(Outcome::Neutral(_))), "{more}");
        }
        assert!(read(&format!("{GOOD}; z={}", "x".repeat(FIELD_BYTES_MAX))).is_err());
    }

    #[test]
    fn a_domain_is_within_itself_and_those_above() {
        assert!(is_within("A.b", "a.B") && is_within("x.a.b", "a.b"));
        assert!(!is_within("xa.b", "a.b") && !is_within("b", "a.b") && !is_within(".a.b", "a.b"));
    }
}
