//! What an answer says about a name: records, an alias to ask about instead, that there is none, or nothing of use.

use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};

use crate::answer::{Mx, Negative, Record, Tlsa};

/// Aliases that are followed for one look-up; more are taken for a circle.
pub(crate) const ALIASES_MAX: usize = 10;
/// Records of one answer that are looked at; a connection carries some thousands.
const RECORDS_MAX: usize = 200;

/// What an answer comes to. The seconds are the shortest TTL on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Found(Vec<Record>, u32),
    /// The name is another name's, about which the answer says nothing; and how many aliases led there.
    Alias(Name, u32, usize),
    /// There is none; for how long, where a SOA record says it (RFC 2308 §5).
    None(Negative, Option<u32>),
    Circle,
    /// The server cannot or will not answer; ask another one.
    Useless(String),
}

/// Reads what `message` says of the records of type `kind` at `name`.
pub(crate) fn read(message: &Message, name: &Name, kind: RecordType) -> Reading {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Reading::Useless(code.to_str().to_owned());
    }
    let mut name = name.clone();
    let mut ttl = u32::MAX;
    let mut aliases = 0;
    while let Some((target, its_ttl)) = alias_of(message, &name) {
        aliases += 1;
        if aliases > ALIASES_MAX {
            return Reading::Circle;
        }
        ttl = ttl.min(its_ttl);
        name = target;
    }
    let (mut records, its_ttl) = records_of(message, &name, kind);
    if !records.is_empty() {
        if aliases > 0 {
            records.push(Record::Canonical(text(&name)));
        }
        return Reading::Found(records, ttl.min(its_ttl));
    }
    let negative_ttl = negative_ttl(message).map(|negative| negative.min(ttl));
    // The code of a chain of aliases is that of its end (RFC 6604 §3).
    match (code, negative_ttl) {
        (ResponseCode::NXDomain, _) => Reading::None(Negative::NoSuchDomain, negative_ttl),
        (_, Some(_)) => Reading::None(Negative::NoData, negative_ttl),
        _ if aliases > 0 => Reading::Alias(name, ttl, aliases),
        // RFC 2308 §2.2: name servers instead of a SOA are a referral, and no answer.
        _ if message.authorities.iter().any(|record| record.record_type() == RecordType::NS) => {
            Reading::Useless("a referral".to_owned())
        }
        _ => Reading::None(Negative::NoData, None),
    }
}

fn alias_of(message: &Message, name: &Name) -> Option<(Name, u32)> {
    message.answers.iter().take(RECORDS_MAX).filter(|record| record.name == *name).find_map(|record| {
        match &record.data {
            RData::CNAME(target) => Some((target.0.clone(), sane(record.ttl))),
            _ => None,
        }
    })
}

/// The records of the type at the name, and their shortest TTL.
fn records_of(message: &Message, name: &Name, kind: RecordType) -> (Vec<Record>, u32) {
    let mut ttl = u32::MAX;
    let mut records = Vec::new();
    for record in message.answers.iter().take(RECORDS_MAX) {
        let fits = record.name == *name && record.record_type() == kind && record.dns_class == DNSClass::IN;
        if let Some(ours) = fits.then(|| ours(&record.data)).flatten() {
            ttl = ttl.min(sane(record.ttl));
            records.push(ours);
        }
    }
    (records, ttl)
}

fn ours(data: &RData) -> Option<Record> {
    Some(match data {
        RData::MX(mx) => Record::Mx(Mx { preference: mx.preference, host: text(&mx.exchange) }),
        RData::A(address) => Record::Address(IpAddr::V4(address.0)),
        RData::AAAA(address) => Record::Address(IpAddr::V6(address.0)),
        // RFC 7208 §3.3: the strings of one record belong together.
        RData::TXT(text) => Record::Text(text.txt_data.concat()),
        RData::TLSA(tlsa) => Record::Tlsa(Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        RData::PTR(name) => Record::Name(text(&name.0)),
        _ => return None,
    })
}

/// Lower case, without the final dot; bytes that are no letters are escaped.
pub(crate) fn text(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// RFC 2308 §5: the lesser of the SOA record's own TTL and the number in it.
fn negative_ttl(message: &Message) -> Option<u32> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(sane(record.ttl).min(sane(soa.minimum))),
        _ => None,
    })
}

/// RFC 2181 §8: a TTL with the highest bit set is 0.
fn sane(ttl: u32) -> u32 {
    if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl }
}
