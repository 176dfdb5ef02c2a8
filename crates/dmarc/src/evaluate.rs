//! Policy discovery, alignment and the verdict (§5.3).

use dns::DnsError;

use crate::record::{Record, SuffixFlag};
use crate::walk::{Walker, organization};
use crate::{Policy, Records, Verdict};

/// What was proved of a message.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    /// The domain of MAIL FROM, when SPF passed.
    pub spf: Option<String>,
    /// The domains of signatures that are good.
    pub dkim: Vec<String>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluated {
    pub verdict: Verdict,
    /// The domain of the From field, lower case.
    pub author: String,
    /// The domain whose record counts, if there is one.
    pub holder: Option<String>,
    /// What the record says of mail that fails, before `t`.
    pub policy: Policy,
    /// What is to be done with this message if the domain has its way: `None` unless the verdict is `Fail`.
    pub wanted: Policy,
    /// Why nobody could tell.
    pub why: Option<String>,
}

/// Evaluates a message whose From field has the domain `author` (ASCII). `open` is what could not be found out for now: it
/// may be true yet, so a message that it would prove is not failed (§5.3.6). What has nothing to do with the author's
/// domain does not count there either, or a forger would only need a domain whose name servers are silent.
pub fn evaluate(records: &dyn Records, author: &str, proven: &Proven, open: &Proven) -> Evaluated {
    let author = author.trim_end_matches('.').to_ascii_lowercase();
    let mut evaluated = Evaluated {
        verdict: Verdict::None,
        author: author.clone(),
        holder: None,
        policy: Policy::None,
        wanted: Policy::None,
        why: None,
    };
    if let Err(why) = run(&Walker::new(records), records, [proven, open], &mut evaluated) {
        (evaluated.verdict, evaluated.why) = (Verdict::TempError, Some(why));
    }
    evaluated
}

/// What an evaluation of `author` asks about whatever is proved, so that it can be asked for first; and the organizational
/// domain of `author` (§4.10.2), or itself where nobody could tell.
pub fn prepare(records: &dyn Records, author: &str) -> String {
    let author = author.trim_end_matches('.').to_ascii_lowercase();
    let _ = evaluate(records, &author, &Proven::default(), &Proven::default());
    Walker::new(records).organization(&author).unwrap_or(author)
}

/// Whether `domain` is `above` or below it (both lower case ASCII without a dot at the end).
pub fn is_within(domain: &str, above: &str) -> bool {
    domain == above || domain.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'))
}

fn run(
    walker: &Walker<'_>,
    records: &dyn Records,
    [proven, open]: [&Proven; 2],
    evaluated: &mut Evaluated,
) -> Result<(), String> {
    let author = evaluated.author.clone();
    let Some((holder, record)) = discover(walker, &author)? else { return Ok(()) };
    evaluated.policy = policy_for(&author, &holder, &record, records)?;
    evaluated.holder = Some(holder);
    if is_aligned(walker, &author, &record, proven)? {
        evaluated.verdict = Verdict::Pass;
        return Ok(());
    }
    if is_aligned(walker, &author, &record, open)? {
        evaluated.verdict = Verdict::TempError;
        evaluated.why = Some("an aligned domain could not be checked".into());
        return Ok(());
    }
    evaluated.verdict = Verdict::Fail;
    evaluated.wanted = if record.is_testing { evaluated.policy.lowered() } else { evaluated.policy };
    Ok(())
}

/// The record that applies (§4.10.1): of the author's domain, its organization, or the suffix above that.
fn discover(walker: &Walker<'_>, author: &str) -> Result<Option<(String, Record)>, String> {
    if let Some(record) = walker.record(author)? {
        return Ok(Some((author.to_owned(), record)));
    }
    let found = walker.walk(author)?;
    let organization = organization(author, &found);
    let of_organization = found.iter().find(|(holder, _)| *holder == organization);
    let of_suffix = || found.iter().find(|(_, record)| record.suffix == SuffixFlag::Suffix);
    Ok(of_organization.or_else(of_suffix).cloned())
}

fn policy_for(author: &str, holder: &str, record: &Record, records: &dyn Records) -> Result<Policy, String> {
    if author == holder {
        return Ok(record.policy);
    }
    let below = record.subdomains.unwrap_or(record.policy);
    match record.nonexistent {
        None => Ok(below),
        Some(nonexistent) if nonexistent == below => Ok(below),
        Some(nonexistent) => match records.exists(author) {
            Ok(true) => Ok(below),
            Ok(false) => Ok(nonexistent),
            Err(DnsError::Temporary(why)) => Err(why),
            Err(_) => Ok(nonexistent),
        },
    }
}

/// Whether something that was proved has to do with the author's domain (§4.4, §4.10.2).
fn is_aligned(walker: &Walker<'_>, author: &str, record: &Record, proven: &Proven) -> Result<bool, String> {
    let spf = proven.spf.iter().map(|domain| (domain, record.strict_spf));
    let dkim = proven.dkim.iter().map(|domain| (domain, record.strict_dkim));
    let mut names: Vec<(String, bool)> = spf
        .chain(dkim)
        .map(|(domain, strict)| (domain.trim_end_matches('.').to_ascii_lowercase(), strict))
        .collect();
    if names.iter().any(|(domain, _)| domain == author) {
        return Ok(true);
    }
    names.retain(|(_, strict)| !strict);
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok(false);
    }
    let ours = walker.organization(author)?;
    let mut open = None;
    // A domain elsewhere has another organization, whatever its records say.
    for (domain, _) in names.iter().filter(|(domain, _)| is_within(domain, &ours)) {
        match walker.organization(domain) {
            Ok(theirs) if theirs == ours => return Ok(true),
            Ok(_) => {}
            Err(why) => open = Some(why),
        }
    }
    open.map_or(Ok(false), Err)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    /// TXT records by name; a record `TIMEOUT` is no answer. What has or is above a record exists.
    struct Zone {
        records: BTreeMap<String, Vec<String>>,
        asked: RefCell<Vec<String>>,
    }

    fn zone(records: &[(&str, &str)]) -> Zone {
        let mut zone = Zone { records: BTreeMap::new(), asked: RefCell::default() };
        for (name, text) in records {
            zone.records.entry((*name).to_owned()).or_default().push((*text).to_owned());
        }
        zone
    }

    impl Records for Zone {
        fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
            self.asked.borrow_mut().push(name.to_owned());
            match self.records.get(name) {
                None => Err(DnsError::NoSuchDomain),
                Some(texts) if texts.iter().any(|text| text == "TIMEOUT") => {
                    Err(DnsError::Temporary("no answer".into()))
                }
                Some(texts) => Ok(texts.iter().map(|text| text.clone().into_bytes()).collect()),
            }
        }

        fn exists(&self, name: &str) -> Result<bool, DnsError> {
            Ok(self.records.keys().any(|known| is_within(known, name)))
        }
    }

    fn by_spf(domain: &str) -> Proven {
        Proven { spf: Some(domain.to_owned()), ..Proven::default() }
    }

    fn by_dkim(domains: &[&str]) -> Proven {
        Proven { dkim: domains.iter().map(|domain| (*domain).to_owned()).collect(), ..Proven::default() }
    }

    fn verdict(zone: &Zone, author: &str, proven: &Proven) -> &'static str {
        evaluate(zone, author, proven, &Proven::default()).verdict.name()
    }

    #[test]
    fn without_a_record_there_is_nothing_to_say() {
        let nobody = zone(&[("_dmarc.x.example", "v=spf1 -all")]);
        assert_eq!(verdict(&nobody, "x.example", &by_spf("x.example")), "none");
        let twice = zone(&[("_dmarc.x.example", "v=DMARC1; p=reject"), ("_dmarc.x.example", "v=DMARC1")]);
        assert_eq!(verdict(&twice, "x.example", &Proven::default()), "none");
    }

    #[test]
    fn what_is_proved_must_have_to_do_with_the_author() {
        let zone = zone(&[("_dmarc.x.example", "v=DMARC1; p=reject")]);
        for (proven, expected) in [
            (by_spf("X.example"), "pass"),
            (by_spf("bounces.x.example"), "pass"),
            (by_spf("other.example"), "fail"),
            (by_spf("example"), "fail"),
            (by_spf("notx.example"), "fail"),
            (by_dkim(&["other.example", "x.example"]), "pass"),
            (by_dkim(&["mail.x.example"]), "pass"),
            (by_dkim(&["other.example"]), "fail"),
            (Proven::default(), "fail"),
        ] {
            assert_eq!(verdict(&zone, "x.example", &proven), expected, "{proven:?}");
            let below = evaluate(&zone, "news.x.example", &proven, &Proven::default());
            assert_eq!(below.verdict.name(), expected, "{proven:?}");
            assert_eq!(below.holder.as_deref(), Some("x.example"));
        }
        let failed = evaluate(&zone, "x.example", &Proven::default(), &Proven::default());
        assert_eq!((failed.policy, failed.wanted), (Policy::Reject, Policy::Reject));
    }

    #[test]
    fn strict_alignment_wants_the_very_domain() {
        let zone = zone(&[("_dmarc.x.example", "v=DMARC1; p=reject; aspf=s; adkim=r")]);
        assert_eq!(verdict(&zone, "x.example", &by_spf("mail.x.example")), "fail");
        assert_eq!(verdict(&zone, "x.example", &by_dkim(&["mail.x.example"])), "pass");
        assert_eq!(verdict(&zone, "x.example", &by_spf("x.example")), "pass");
    }

    /// §4.7: `sp` for what exists below, `np` for what does not, `t` for one level less.
    #[test]
    fn the_policy_is_that_of_the_place() {
        let zone = zone(&[
            ("_dmarc.x.example", "v=DMARC1; p=reject; sp=quarantine; np=none"),
            ("there.x.example", "something"),
            ("_dmarc.own.x.example", "v=DMARC1; p=none; sp=reject"),
            ("_dmarc.test.example", "v=DMARC1; p=reject; t=y"),
        ]);
        let policy = |author: &str| evaluate(&zone, author, &Proven::default(), &Proven::default()).wanted;
        assert_eq!(policy("x.example"), Policy::Reject);
        assert_eq!(policy("there.x.example"), Policy::Quarantine);
        assert_eq!(policy("missing.x.example"), Policy::None);
        assert_eq!(policy("own.x.example"), Policy::None);
        assert_eq!(policy("test.example"), Policy::Quarantine);
        assert_eq!(
            evaluate(&zone, "test.example", &Proven::default(), &Proven::default()).policy,
            Policy::Reject
        );
    }

    /// The examples of §4.10.2.
    #[test]
    fn organizations_are_found_by_the_walk() {
        let records = |records: &[(&str, &str)]| zone(records);
        let organization = |zone: &Zone| Walker::new(zone).organization("a.mail.example.com").unwrap();
        let plain = records(&[("_dmarc.mail.example.com", "v=DMARC1"), ("_dmarc.example.com", "v=DMARC1")]);
        assert_eq!(organization(&plain), "example.com");
        let marked =
            records(&[("_dmarc.mail.example.com", "v=DMARC1; psd=n"), ("_dmarc.example.com", "v=DMARC1")]);
        assert_eq!(organization(&marked), "mail.example.com");
        let suffix = records(&[("_dmarc.com", "v=DMARC1; psd=y")]);
        assert_eq!(organization(&suffix), "example.com");
        assert_eq!(organization(&records(&[])), "a.mail.example.com");
    }

    /// A suffix speaks for organizations that say nothing, and two of them are not one.
    #[test]
    fn a_public_suffix_joins_nobody() {
        let zone =
            zone(&[("_dmarc.bank", "v=DMARC1; p=reject; psd=y"), ("_dmarc.b.bank", "v=DMARC1; p=none")]);
        let silent = evaluate(&zone, "a.bank", &by_spf("b.bank"), &Proven::default());
        assert_eq!((silent.verdict, silent.wanted), (Verdict::Fail, Policy::Reject));
        assert_eq!(silent.holder.as_deref(), Some("bank"));
        assert_eq!(verdict(&zone, "a.bank", &by_spf("mail.a.bank")), "pass");
        assert_eq!(verdict(&zone, "b.bank", &by_spf("a.bank")), "fail");
        let below = evaluate(&zone, "x.b.bank", &Proven::default(), &Proven::default());
        assert_eq!((below.holder.as_deref(), below.wanted), (Some("b.bank"), Policy::None));
    }

    #[test]
    fn what_nobody_could_tell_is_not_held_against_the_message() {
        let silent = zone(&[("_dmarc.x.example", "TIMEOUT")]);
        let evaluated = evaluate(&silent, "x.example", &Proven::default(), &Proven::default());
        assert_eq!((evaluated.verdict, evaluated.wanted), (Verdict::TempError, Policy::None));
        let zone = zone(&[("_dmarc.x.example", "v=DMARC1; p=reject")]);
        for (open, expected) in [
            (by_spf("x.example"), Verdict::TempError),
            (by_dkim(&["mail.x.example"]), Verdict::TempError),
            (by_spf("forger.example"), Verdict::Fail),
        ] {
            let evaluated = evaluate(&zone, "x.example", &by_spf("other.example"), &open);
            assert_eq!(evaluated.verdict, expected, "{open:?}");
            assert_eq!(evaluated.wanted == Policy::Reject, expected == Verdict::Fail);
            let good = evaluate(&zone, "x.example", &by_spf("x.example"), &open);
            assert_eq!(good.verdict, Verdict::Pass);
        }
    }

    /// A thousand signatures of strangers, and one more domain below each label, cost no look-up more.
    #[test]
    fn look_ups_are_few_whatever_comes() {
        let zone = zone(&[("_dmarc.x.example", "v=DMARC1; p=reject")]);
        let many: Vec<String> = (0..1000).map(|number| format!("s{number}.other.example")).collect();
        let proven = Proven { dkim: many, spf: None };
        let author = format!("{}x.example", "a.".repeat(100));
        assert_eq!(verdict(&zone, &author, &proven), "fail");
        assert!(zone.asked.borrow().len() <= 8, "{:?}", zone.asked.borrow());
    }
}
