//! A policy on disk, for as long as it says (RFC 8461 §3.3); see `docs/formats/mta-sts.md`.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base::replace::durable_replace;

use crate::Policy;

/// Bytes of a file at most: a policy and what stands before it.
const BYTES_MAX: u64 = 128 * 1024;

/// A policy, and when it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Of the TXT record.
    pub id: String,
    /// Seconds since 1970.
    pub fetched: i64,
    pub policy: Policy,
}

impl Kept {
    /// Whether it still holds.
    pub fn is_good(&self, now: i64) -> bool {
        now < self.end()
    }

    /// Whether it is time to fetch it anew although its id has not changed (§3.3): each day, or at half its age.
    pub fn is_old(&self, now: i64) -> bool {
        let half = i64::try_from(self.policy.max_age / 2).unwrap_or(i64::MAX);
        now >= self.fetched.saturating_add(half.min(86_400))
    }

    fn end(&self) -> i64 {
        self.fetched.saturating_add(i64::try_from(self.policy.max_age).unwrap_or(i64::MAX))
    }

    pub fn encode(&self, domain: &str) -> String {
        let mut text =
            format!("Mailboat-STS: 1\nDomain: {domain}\nId: {}\nFetched: {}\n\n", self.id, self.fetched);
        for line in self.policy.lines() {
            text.push_str(&line);
            text.push('\n');
        }
        let check = base::crc32(text.as_bytes());
        text.push_str(&format!("End: {check:08x}\n"));
        text
    }

    pub fn decode(text: &str, domain: &str) -> Option<Kept> {
        let (content, end) = text.strip_suffix('\n')?.rsplit_once("End: ")?;
        if u32::from_str_radix(end, 16).ok()? != base::crc32(content.as_bytes()) {
            return None;
        }
        let (head, policy) = content.split_once("\n\n")?;
        let mut lines = head.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned);
        if field("Mailboat-STS")? != "1" || field("Domain")? != domain {
            return None;
        }
        Some(Kept {
            id: field("Id")?,
            fetched: field("Fetched")?.parse().ok()?,
            policy: Policy::parse(policy).ok()?,
        })
    }
}

/// The file of a domain; nothing for what cannot be the name of one.
pub(crate) fn path(folder: &Path, domain: &str) -> Option<PathBuf> {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    let is_name =
        (1..=253).contains(&domain.len()) && domain.bytes().all(is_plain) && !domain.starts_with('.');
    is_name.then(|| folder.join(domain))
}

/// What is on disk for a domain and whole.
pub(crate) fn read(path: &Path, domain: &str) -> Option<Kept> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    Kept::decode(&text, domain)
}

/// # Errors
/// The system's; what was there before is still there.
pub(crate) fn write(path: &Path, domain: &str, kept: &Kept) -> io::Result<()> {
    durable_replace(path, kept.encode(domain).as_bytes(), 0o600)
}

/// Removes what does not hold any more, or is no policy, and counts the rest.
pub(crate) fn sweep(folder: &Path, now: i64) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if read(&path, &name).is_some_and(|kept| kept.is_good(now)) {
            count += 1;
        } else {
            let _ = fs::remove_file(&path);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;

    fn kept(fetched: i64, max_age: u64) -> Kept {
        let policy = Policy { mode: Mode::Enforce, mx: vec!["*.a.test".into()], max_age };
        Kept { id: "x1".into(), fetched, policy }
    }

    #[test]
    fn any_flipped_bit_makes_the_file_nothing() {
        let text = kept(1000, 500).encode("a.test");
        assert_eq!(Kept::decode(&text, "a.test"), Some(kept(1000, 500)));
        assert_eq!(Kept::decode(&text, "b.test"), None);
        for bit in 0..(text.len() - 1) * 8 {
            let mut damaged = text.clone().into_bytes();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = String::from_utf8(damaged).ok().and_then(|text| Kept::decode(&text, "a.test"));
            // The case of a digit of the check does not matter.
            assert!(read.is_none() || read == Some(kept(1000, 500)), "bit {bit}");
        }
    }

    #[test]
    fn it_holds_for_its_age_and_is_fetched_anew_before() {
        let one = kept(1000, 500);
        assert!(one.is_good(1499) && !one.is_good(1500));
        assert!(!one.is_old(1249) && one.is_old(1250));
        assert!(!kept(1000, 604_800).is_old(87_399) && kept(1000, 604_800).is_old(87_400));
    }

    #[test]
    fn names_are_no_paths_and_what_is_over_is_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        for wrong in ["", "..", ".x", "a/b", "A.test", "a\0"] {
            assert_eq!(path(folder.path(), wrong), None, "{wrong}");
        }
        for (domain, one) in [("a.test", kept(1000, 500)), ("b.test", kept(1000, 5000))] {
            write(&path(folder.path(), domain).unwrap(), domain, &one).unwrap();
        }
        fs::write(folder.path().join("c.test"), "nonsense").unwrap();
        assert_eq!(sweep(folder.path(), 2000), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(read(&folder.path().join("b.test"), "b.test"), Some(kept(1000, 5000)));
    }
}
