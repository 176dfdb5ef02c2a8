//! dkimutil: the keys that sign mail (RFC 6376), and what is to be published of them.
//!
//! `config/dkim/<domain>/<selector>.key` signs; `.next` waits for its record to be published; `.old` signs no more
//! (`docs/formats/dkim.md`). What a verb does is one rename, or two of which each leaves keys that work.

mod check;
mod files;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use dkim::{Algorithm, SigningKey};

use crate::site::{Site, broken, run_tool};
use files::{KeyFile, State};

/// Characters of one string of a TXT record (RFC 1035 §3.3).
const STRING_MAX: usize = 255;

#[derive(Parser)]
#[command(name = "dkimutil", version, about = "The keys that sign mail, and their DNS records")]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long, global = true)]
    instance: Option<PathBuf>,
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// The first key of a domain, or one beside others: it signs from the next refresh-msg on
    Create {
        /// As in addresses: example.org
        domain: String,
        /// Name of the key in DNS; made of algorithm and month when it is not given
        selector: Option<String>,
        #[command(flatten)]
        kind: KeyKind,
    },
    /// All keys: domain, selector, algorithm, bits, state
    List {
        /// Those of one domain
        domain: Option<String>,
    },
    /// The TXT records to publish, as a zone file has them
    ShowDns {
        domain: String,
        /// One key's; else all of the domain
        selector: Option<String>,
    },
    /// Asks DNS whether the published keys are these; the exit status is 1 when one is not
    Check {
        /// Those of one domain
        domain: Option<String>,
        /// One key
        selector: Option<String>,
    },
    /// A new key beside the one that signs: publish it, then say "dkimutil activate"
    Rotate {
        domain: String,
        /// Name of the new key in DNS; made of algorithm and month when it is not given
        selector: Option<String>,
        #[command(flatten)]
        kind: KeyKind,
    },
    /// Signs with a key that is published now; those of the same algorithm before it are kept and sign no more
    Activate {
        domain: String,
        selector: String,
        /// Without asking DNS whether it is published
        #[arg(long)]
        unchecked: bool,
    },
    /// Removes a key for good; its record may stay in DNS for some days, for mail on its way
    Delete {
        domain: String,
        selector: String,
        /// Also one that signs
        #[arg(long)]
        force: bool,
    },
}

#[derive(clap::Args)]
struct KeyKind {
    /// rsa is understood by everybody; ed25519 is short, and many do not check it yet: best beside rsa
    #[arg(long, value_enum, default_value = "rsa")]
    algorithm: Kind,
    /// Bits of an RSA key: 1024 to 4096 (RFC 8301)
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1024..=4096))]
    bits: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Rsa,
    Ed25519,
}

impl Kind {
    fn algorithm(self) -> Algorithm {
        match self {
            Kind::Rsa => Algorithm::RsaSha256,
            Kind::Ed25519 => Algorithm::Ed25519Sha256,
        }
    }
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("dkimutil", arguments, out, err, work)
}

fn work(arguments: Arguments, out: &mut dyn Write, _: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(arguments.instance.as_deref(), "dkimutil")?;
    let root = site.instance.dkim_dir();
    match arguments.job {
        Job::Create { domain, selector, kind } => {
            let made = make(&site, &domain, selector, &kind, State::Signs)?;
            say(out, &format!("{} signs after refresh-msg smtp. Publish this record:", made.path.display()))?;
            say(out, record(&made.load()?)?.trim_end())
        }
        Job::Rotate { domain, selector, kind } => {
            let made = make(&site, &domain, selector, &kind, State::Next)?;
            let (domain, selector) = (&made.domain, &made.selector);
            say(out, &format!("{} does not sign yet. Publish this record:", made.path.display()))?;
            say(out, record(&made.load()?)?.trim_end())?;
            say(out, &format!("Then: dkimutil activate {domain} {selector}"))
        }
        Job::List { domain } => list(&root, domain.as_deref(), out),
        Job::ShowDns { domain, selector } => {
            for key in files::some(&root, Some(&domain), selector.as_deref())? {
                say(out, record(&key.load()?)?.trim_end())?;
            }
            Ok(())
        }
        Job::Check { domain, selector } => {
            let keys = files::some(&root, domain.as_deref(), selector.as_deref())?;
            check::run(&site, &keys, out)
        }
        Job::Activate { domain, selector, unchecked } => {
            activate(&site, &root, &domain, &selector, unchecked, out)
        }
        Job::Delete { domain, selector, force } => delete(&root, &domain, &selector, force, out),
    }
}

fn say(out: &mut dyn Write, line: &str) -> Result<(), String> {
    writeln!(out, "{line}").map_err(broken)
}

fn make(
    site: &Site,
    domain: &str,
    selector: Option<String>,
    kind: &KeyKind,
    state: State,
) -> Result<KeyFile, String> {
    let algorithm = kind.algorithm.algorithm();
    let domain = files::domain_name(domain)?;
    let selector = match selector {
        Some(selector) => files::selector_name(&selector)?,
        None => String::new(),
    };
    let root = site.instance.dkim_dir();
    let all = files::all(&root)?;
    let selector = match selector.is_empty() {
        true => free_selector(&format!("{}-{}", algorithm.key_type(), month()), |name| {
            all.iter().any(|key| key.is(&domain, name))
        }),
        false => selector,
    };
    if let Some(there) = all.iter().find(|key| key.is(&domain, &selector)) {
        return Err(format!("{} is there already; give another selector", there.path.display()));
    }
    let key = SigningKey::generate(&domain, &selector, algorithm, kind.bits)
        .map_err(|why| format!("OpenSSL: {why}"))?;
    files::write(site, &key, state)
}

/// The usual name, or with a letter behind it from the second key of a month on.
fn free_selector(usual: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let lettered = ('b'..='z').map(|letter| format!("{usual}{letter}"));
    let mut names = std::iter::once(usual.to_owned()).chain(lettered);
    names.find(|name| !is_taken(name)).unwrap_or_else(|| usual.to_owned())
}

/// `202611`
fn month() -> String {
    let now = jiff::Timestamp::from_second(base::clock::unix_seconds()).unwrap_or_default();
    now.strftime("%Y%m").to_string()
}

fn list(root: &Path, domain: Option<&str>, out: &mut dyn Write) -> Result<(), String> {
    let keys = match domain {
        None => files::all(root)?,
        Some(domain) => files::some(root, Some(domain), None)?,
    };
    for key in keys {
        let (kind, bits) = match key.load() {
            Ok(loaded) => (loaded.algorithm().key_type().to_owned(), loaded.bits().to_string()),
            Err(why) => (format!("not used: {why}"), String::new()),
        };
        let line = format!("{} {} {} {kind} {bits}", key.domain, key.selector, key.state.word());
        say(out, line.trim_end())?;
    }
    Ok(())
}

/// One record as a zone file has it: the text in strings that are not too long (RFC 6376 §3.6.2.2).
fn record(key: &SigningKey) -> Result<String, String> {
    let text = key.record().map_err(|why| format!("OpenSSL: {why}"))?;
    let strings: Vec<String> = text
        .as_bytes()
        .chunks(STRING_MAX)
        .map(|piece| format!("\"{}\"", String::from_utf8_lossy(piece)))
        .collect();
    Ok(format!("{}. IN TXT ( {} )", key.record_name(), strings.join("\n    ")))
}

fn activate(
    site: &Site,
    root: &Path,
    domain: &str,
    selector: &str,
    unchecked: bool,
    out: &mut dyn Write,
) -> Result<(), String> {
    let key = files::one(root, domain, selector)?;
    let loaded = key.load()?;
    if !unchecked {
        check::published(site, &loaded).map_err(|why| {
            format!("{}: {why}; publish it first, or say --unchecked", loaded.record_name())
        })?;
    }
    let same = |other: &KeyFile| {
        other.state == State::Signs
            && other.selector != key.selector
            && other.load().is_ok_and(|other| other.algorithm() == loaded.algorithm())
    };
    let before: Vec<KeyFile> = files::some(root, Some(&key.domain), None)?.into_iter().filter(same).collect();
    // For a moment both sign, never none.
    key.turn_into(State::Signs)?;
    for old in before {
        old.turn_into(State::Old)?;
        say(
            out,
            &format!("{} signs no more; \"dkimutil delete\" when no mail of it is on its way", old.selector),
        )?;
    }
    say(out, &format!("{} signs after refresh-msg smtp", key.selector))
}

fn delete(root: &Path, domain: &str, selector: &str, force: bool, out: &mut dyn Write) -> Result<(), String> {
    let key = files::one(root, domain, selector)?;
    if key.state == State::Signs && !force {
        return Err(format!("{} signs mail: \"dkimutil rotate\" first, or say --force", key.path.display()));
    }
    key.remove()?;
    say(out, &format!("{} is gone; smtpd forgets it at refresh-msg smtp", key.path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_key_of_a_month_has_a_letter() {
        let taken = ["rsa-202611", "rsa-202611b"];
        assert_eq!(free_selector("rsa-202611", |name| taken.contains(&name)), "rsa-202611c");
        assert_eq!(free_selector("rsa-202612", |name| taken.contains(&name)), "rsa-202612");
    }
}
