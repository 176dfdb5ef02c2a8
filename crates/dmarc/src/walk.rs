//! The walk up the DNS tree (§4.10): from a domain to the records above it, and to its organization.

use std::cell::RefCell;
use std::collections::HashMap;

use dns::DnsError;

use crate::Records;
use crate::record::{Record, SuffixFlag, is_record};

/// Labels of a domain from which on the walk leaves some out (§4.10, step 4).
const LABELS_MAX: usize = 8;

/// The records of one evaluation: each is looked up once.
pub(crate) struct Walker<'a> {
    records: &'a dyn Records,
    known: RefCell<HashMap<String, Option<Record>>>,
}

/// A record and the domain that has it.
pub(crate) type Published = (String, Record);

impl<'a> Walker<'a> {
    pub(crate) fn new(records: &'a dyn Records) -> Walker<'a> {
        Walker { records, known: RefCell::default() }
    }

    /// The one record of a domain. Several count as none.
    pub(crate) fn record(&self, domain: &str) -> Result<Option<Record>, String> {
        if let Some(known) = self.known.borrow().get(domain) {
            return Ok(known.clone());
        }
        let texts = match self.records.txt(&format!("_dmarc.{domain}")) {
            Ok(texts) => texts,
            Err(DnsError::NoSuchDomain | DnsError::NoData) => Vec::new(),
            Err(DnsError::Temporary(why)) => return Err(why),
        };
        let mut found = texts.iter().filter(|text| is_record(text));
        let record = match (found.next(), found.next()) {
            (Some(text), None) => Record::parse(text),
            _ => None,
        };
        self.known.borrow_mut().insert(domain.to_owned(), record.clone());
        Ok(record)
    }

    /// The records from `start` upwards, up to one that says where it is.
    pub(crate) fn walk(&self, start: &str) -> Result<Vec<Published>, String> {
        let mut found = Vec::new();
        for domain in steps(start) {
            let Some(record) = self.record(domain)? else { continue };
            let is_end = record.suffix != SuffixFlag::Unsaid;
            found.push((domain.to_owned(), record));
            if is_end {
                break;
            }
        }
        Ok(found)
    }

    /// The organization of a domain (§4.10.2).
    pub(crate) fn organization(&self, domain: &str) -> Result<String, String> {
        Ok(organization(domain, &self.walk(domain)?))
    }
}

/// §4.10.2, of the records that a walk from `domain` found.
pub(crate) fn organization(domain: &str, found: &[Published]) -> String {
    for (holder, record) in found {
        match record.suffix {
            SuffixFlag::Organization => return holder.clone(),
            SuffixFlag::Suffix if holder != domain => return one_label_below(domain, holder),
            _ => {}
        }
    }
    found.last().map_or(domain, |(holder, _)| holder).to_owned()
}

/// The name on the way from `domain` to `above` that is the nearest to it.
pub(crate) fn one_label_below(domain: &str, above: &str) -> String {
    let inner = domain.len().saturating_sub(above.len() + 1);
    let begins = domain.get(..inner).and_then(|inner| inner.rfind('.')).map_or(0, |dot| dot + 1);
    domain.get(begins..).unwrap_or(domain).to_owned()
}

/// The domains that are asked about, `domain` first.
fn steps(domain: &str) -> impl Iterator<Item = &str> {
    let labels = domain.split('.').count();
    let first_above = if labels >= LABELS_MAX { labels - (LABELS_MAX - 1) } else { 1 };
    let above = std::iter::successors(Some((domain, 0)), |(name, dropped)| {
        name.split_once('.').map(|(_, parent)| (parent, dropped + 1))
    });
    above.filter(move |(_, dropped)| *dropped == 0 || *dropped >= first_above).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_takes_eight_steps_at_most() {
        let of = |domain| steps(domain).collect::<Vec<_>>();
        assert_eq!(
            of("a.mail.example.com"),
            ["a.mail.example.com", "mail.example.com", "example.com", "com"]
        );
        assert_eq!(of("com"), ["com"]);
        // The example of §4.10.
        assert_eq!(
            of("a.b.c.d.e.f.g.h.i.j.mail.example.com"),
            [
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com"
            ]
        );
        for labels in 1..130 {
            let domain = vec!["a"; labels].join(".");
            assert_eq!(steps(&domain).count(), labels.min(8), "{labels}");
        }
    }

    #[test]
    fn the_name_below_a_suffix() {
        assert_eq!(one_label_below("a.mail.example.com", "com"), "example.com");
        assert_eq!(one_label_below("example.co.uk", "co.uk"), "example.co.uk");
        assert_eq!(one_label_below("b.a.example.co.uk", "co.uk"), "example.co.uk");
    }
}
