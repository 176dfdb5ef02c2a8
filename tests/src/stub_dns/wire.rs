//! DNS messages, byte by byte (RFC 1035 §4).

use std::net::{Ipv4Addr, Ipv6Addr};

/// The number of a record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u16);

impl Kind {
    pub const NS: Kind = Kind(2);
    pub const CNAME: Kind = Kind(5);
    pub const SOA: Kind = Kind(6);
    pub const OPT: Kind = Kind(41);

    const NAMES: [(&'static str, u16); 8] =
        [("A", 1), ("NS", 2), ("CNAME", 5), ("PTR", 12), ("MX", 15), ("TXT", 16), ("AAAA", 28), ("TLSA", 52)];

    pub fn named(name: &str) -> Kind {
        let known = Kind::NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        Kind(known.unwrap_or_else(|| name.strip_prefix("TYPE").unwrap().parse().unwrap()))
    }

    pub fn name(self) -> String {
        let known = Kind::NAMES.iter().find(|(_, number)| *number == self.0);
        known.map_or_else(|| format!("TYPE{}", self.0), |(name, _)| (*name).to_owned())
    }
}

/// The question of a message and what is asked around it.
pub struct Asked {
    pub id: u16,
    pub flags: u16,
    /// Lower case, no final dot.
    pub name: String,
    pub kind: Kind,
    /// Header and question as they came.
    pub bytes: Vec<u8>,
    /// The size that EDNS allows, if it is used.
    pub payload: Option<u16>,
}

impl Asked {
    /// Reads a query; `None` if it is none.
    pub fn read(message: &[u8]) -> Option<Asked> {
        let id = u16_at(message, 0)?;
        let flags = u16_at(message, 2)?;
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*message.get(at)?);
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(message.get(at + 1..at + 1 + length)?).to_ascii_lowercase());
            at += 1 + length;
        }
        let kind = Kind(u16_at(message, at + 1)?);
        let end = at + 5;
        let bytes = message.get(..end)?.to_vec();
        let option =
            (u16_at(message, 10)? > 0 && u16_at(message, end + 1) == Some(Kind::OPT.0)).then_some(end + 3);
        let payload = option.and_then(|at| u16_at(message, at));
        Some(Asked { id, flags, name: labels.join("."), kind, bytes, payload })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]))
}

/// A message that is being written.
pub struct Reply {
    bytes: Vec<u8>,
}

pub const TRUNCATED: u16 = 0x0200;
pub const AUTHENTIC: u16 = 0x0020;

impl Reply {
    /// Says nothing yet: the question again, with these flags and this response code.
    pub fn to(asked: &Asked, flags: u16, code: u16) -> Reply {
        let mut bytes = asked.bytes.clone();
        bytes[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        let mut reply = Reply { bytes };
        // QR and RA; opcode and RD as in the query.
        reply.put(2, 0x8080 | (asked.flags & 0x7900) | flags | code);
        reply
    }

    pub fn set_id(&mut self, id: u16) {
        self.put(0, id);
    }

    fn put(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }

    pub fn answer(&mut self, owner: &str, kind: Kind, ttl: u32, data: &[u8]) {
        self.record(6, owner, kind, 1, ttl, data);
    }

    pub fn authority(&mut self, owner: &str, kind: Kind, ttl: u32, data: &[u8]) {
        self.record(8, owner, kind, 1, ttl, data);
    }

    /// The mark that this side knows EDNS too.
    pub fn edns(&mut self) {
        self.record(10, "", Kind::OPT, 1232, 0, &[]);
    }

    fn record(&mut self, count_at: usize, owner: &str, kind: Kind, class: u16, ttl: u32, data: &[u8]) {
        let count = u16::from_be_bytes([self.bytes[count_at], self.bytes[count_at + 1]]);
        self.put(count_at, count + 1);
        self.bytes.extend(self.owner(owner));
        self.bytes.extend(kind.0.to_be_bytes());
        self.bytes.extend(class.to_be_bytes());
        self.bytes.extend(ttl.to_be_bytes());
        self.bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        self.bytes.extend(data);
    }

    /// The name of the question is pointed to (RFC 1035 §4.1.4), others are written out.
    fn owner(&self, owner: &str) -> Vec<u8> {
        let written = name(owner);
        let asked = self.bytes.get(12..12 + written.len());
        let same = written.len() > 1 && asked.is_some_and(|asked| asked.eq_ignore_ascii_case(&written));
        if same { vec![0xc0, 12] } else { written }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Labels, each with its length (RFC 1035 §3.1).
pub fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// The data of a record as a zone file writes it.
pub fn data(kind: Kind, text: &str) -> Vec<u8> {
    match kind.name().as_str() {
        "A" => text.parse::<Ipv4Addr>().unwrap().octets().to_vec(),
        "AAAA" => text.parse::<Ipv6Addr>().unwrap().octets().to_vec(),
        "CNAME" | "PTR" | "NS" => name(text),
        "MX" => {
            let (preference, host) = text.split_once(' ').unwrap();
            let preference: u16 = preference.parse().unwrap();
            [preference.to_be_bytes().to_vec(), name(host)].concat()
        }
        "TXT" => text.as_bytes().chunks(255).flat_map(|part| [&[part.len() as u8], part].concat()).collect(),
        "TLSA" => {
            let fields: Vec<&str> = text.split(' ').collect();
            let mut bytes: Vec<u8> = fields[..3].iter().map(|field| field.parse().unwrap()).collect();
            bytes.extend(hexadecimal(fields[3]));
            bytes
        }
        _ => hexadecimal(text),
    }
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let digits = text.as_bytes();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// The SOA record that makes "there is none" last for `negative_ttl` seconds (RFC 2308 §5).
pub fn soa(negative_ttl: u32) -> Vec<u8> {
    let mut bytes = [name("ns.test"), name("hostmaster.test")].concat();
    for number in [1, 3600, 600, 86400, negative_ttl] {
        bytes.extend(u32::to_be_bytes(number));
    }
    bytes
}
