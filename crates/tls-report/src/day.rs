//! The counts of one day (UTC), in memory and on disk; see `docs/formats/tls-report.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Destinations of one day at most; further ones are not counted.
const POLICIES_MAX: usize = 10_000;
/// Kinds of failures of one destination at most; further ones count for the last.
const FAILURES_MAX: usize = 50;
/// Lines of a policy, and bytes of each text, at most.
const LINES_MAX: usize = 100;
const TEXT_BYTES_MAX: usize = 300;

/// What held for a session (RFC 8460 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyType {
    /// DANE
    Tlsa,
    /// MTA-STS
    Sts,
    None,
}

impl PolicyType {
    /// The word of the standard.
    pub fn word(self) -> &'static str {
        match self {
            PolicyType::Tlsa => "tlsa",
            PolicyType::Sts => "sts",
            PolicyType::None => "no-policy-found",
        }
    }

    fn of(word: &str) -> Option<PolicyType> {
        [PolicyType::Tlsa, PolicyType::Sts, PolicyType::None].into_iter().find(|one| one.word() == word)
    }
}

/// How a session failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failed {
    /// `certificate-expired` and the like (RFC 8460 §4.3).
    pub result: String,
    /// The name of the host; empty when there was none.
    pub mx: String,
    /// Its address; empty when there was none.
    pub ip: String,
    /// In our words; empty when there is nothing to add.
    pub text: String,
}

/// The counts of one destination under one kind of policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub successes: u64,
    pub failures: u64,
    /// The lines of the policy.
    pub strings: Vec<String>,
    /// The hosts that it names.
    pub mx_hosts: Vec<String>,
    pub failed: BTreeMap<Failed, u64>,
}

/// One day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// `2026-11-29`
    pub name: String,
    pub policies: BTreeMap<(String, PolicyType), Counts>,
}

impl Day {
    pub fn new(name: &str) -> Day {
        Day { name: name.to_owned(), policies: BTreeMap::new() }
    }

    /// The counts of a destination; nothing when there are too many.
    pub fn of(&mut self, domain: &str, policy: PolicyType) -> Option<&mut Counts> {
        let key = (word(domain), policy);
        if self.policies.len() >= POLICIES_MAX && !self.policies.contains_key(&key) {
            return None;
        }
        Some(self.policies.entry(key).or_default())
    }

    /// The text of the file.
    pub fn encode(&self) -> String {
        let mut text = format!("Mailboat-TLS-Report: 1\nDay: {}\n", self.name);
        for ((domain, policy), counts) in &self.policies {
            let (successes, failures) = (counts.successes, counts.failures);
            let _ = writeln!(text, "Policy: {domain} {} {successes} {failures}", policy.word());
            for line in &counts.strings {
                let _ = writeln!(text, "String: {line}");
            }
            for host in &counts.mx_hosts {
                let _ = writeln!(text, "Mx: {host}");
            }
            for (failed, count) in &counts.failed {
                let Failed { result, mx, ip, text: why } = failed;
                let some = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
                let _ = writeln!(text, "Failure: {result} {count} {} {} {why}", some(mx), some(ip));
            }
        }
        let check = base::crc32(text.as_bytes());
        let _ = writeln!(text, "End: {check:08x}");
        text
    }

    /// Reads that text; nothing when it is damaged.
    pub fn decode(text: &str) -> Option<Day> {
        let (content, end) = text.strip_suffix('\n')?.rsplit_once("End: ")?;
        if u32::from_str_radix(end, 16).ok()? != base::crc32(content.as_bytes()) {
            return None;
        }
        let mut lines = content.lines();
        if lines.next()? != "Mailboat-TLS-Report: 1" {
            return None;
        }
        let mut day = Day::new(lines.next()?.strip_prefix("Day: ")?);
        let mut key = None;
        for line in lines {
            let (name, value) = line.split_once(": ")?;
            if name == "Policy" {
                let words: Vec<&str> = value.split(' ').collect();
                let [domain, policy, successes, failures] = words.as_slice() else { return None };
                let this = ((*domain).to_owned(), PolicyType::of(policy)?);
                let counts = day.policies.entry(this.clone()).or_default();
                (counts.successes, counts.failures) = (successes.parse().ok()?, failures.parse().ok()?);
                key = Some(this);
                continue;
            }
            let counts = day.policies.get_mut(key.as_ref()?)?;
            match name {
                "String" => counts.strings.push(value.to_owned()),
                "Mx" => counts.mx_hosts.push(value.to_owned()),
                "Failure" => {
                    let mut words = value.splitn(5, ' ');
                    let result = words.next()?.to_owned();
                    let count = words.next()?.parse().ok()?;
                    let mut some = || words.next().map(|word| if word == "-" { "" } else { word }.to_owned());
                    let (mx, ip) = (some()?, some()?);
                    let text = words.next().unwrap_or("").to_owned();
                    counts.failed.insert(Failed { result, mx, ip, text }, count);
                }
                _ => return None,
            }
        }
        Some(day)
    }
}

impl Counts {
    /// One session that failed.
    pub fn fail(&mut self, failed: &Failed) {
        self.failures += 1;
        let failed = Failed {
            result: word(&failed.result),
            mx: word(&failed.mx),
            ip: word(&failed.ip),
            text: line(&failed.text),
        };
        if let Some(count) = self.failed.get_mut(&failed) {
            *count += 1;
        } else if self.failed.len() < FAILURES_MAX {
            self.failed.insert(failed, 1);
        } else if let Some(mut last) = self.failed.last_entry() {
            *last.get_mut() += 1;
        }
    }

    /// What the policy says, the last time.
    pub fn say(&mut self, strings: &[String], mx_hosts: &[String]) {
        self.strings = strings.iter().take(LINES_MAX).map(|text| line(text)).collect();
        self.mx_hosts = mx_hosts.iter().take(LINES_MAX).map(|text| word(text)).collect();
    }
}

/// Without what would end a word.
fn word(text: &str) -> String {
    line(text).replace(char::is_whitespace, "_")
}

/// Without what would end a line, and not too long.
fn line(text: &str) -> String {
    let mut text = base::escape(text);
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn failed(result: &str) -> Failed {
        Failed {
            result: result.into(),
            mx: "mx.a.test".into(),
            ip: String::new(),
            text: "why it \"was\"".into(),
        }
    }

    pub fn day() -> Day {
        let mut day = Day::new("2026-11-29");
        let counts = day.of("a.test", PolicyType::Sts).unwrap();
        counts.successes = 7;
        counts.say(&["version: STSv1".into(), "mode: testing".into()], &["*.a.test".into()]);
        counts.fail(&failed("certificate-expired"));
        counts.fail(&failed("certificate-expired"));
        day.of("b.test", PolicyType::None).unwrap().successes = 1;
        day
    }

    #[test]
    fn a_day_is_read_as_it_was_written() {
        assert_eq!(Day::decode(&day().encode()), Some(day()));
        assert_eq!(Day::decode(&day().encode().replace('7', "8")), None);
    }

    #[test]
    fn a_day_and_its_failures_have_limits() {
        let mut day = Day::new("2026-11-29");
        for number in 0..POLICIES_MAX {
            day.of(&format!("d{number}.test"), PolicyType::None).unwrap().successes += 1;
        }
        assert!(day.of("one-more.test", PolicyType::None).is_none());
        let counts = day.of("d1.test", PolicyType::None).unwrap();
        for number in 0..1000 {
            counts.fail(&failed(&format!("kind-{number}")));
        }
        assert_eq!((counts.failures, counts.failed.len()), (1000, FAILURES_MAX));
        assert_eq!(counts.failed.values().sum::<u64>(), 1000);
    }

    proptest! {
        #[test]
        fn whatever_it_is_told_it_reads_again(domain in "\\PC{0,20}", mx in ".{0,20}", text in ".{0,400}") {
            let mut day = Day::new("2026-11-29");
            let counts = day.of(&format!("d{domain}"), PolicyType::Tlsa).unwrap();
            counts.say(std::slice::from_ref(&text), std::slice::from_ref(&mx));
            counts.fail(&Failed { result: "validation-failure".into(), mx, ip: "::1".into(), text });
            let read = Day::decode(&day.encode());
            prop_assert!(read.is_some());
            prop_assert_eq!(read.unwrap().policies.len(), 1);
        }
    }
}
