//! Commands, by hand, put together from pieces, and changed by chance, are read by [`imap_wire`] and by imap-codec: both accept
//! one or both refuse it, or the difference is one of [`argued::CLASSES`], which has its reason. What both accept means the same:
//! imap-codec writes what it has read in its own way, and `imap_wire` reads the same command from that.
//! `MAILBOAT_SEED` repeats a run, `MAILBOAT_FUZZ_SECONDS` makes it longer.
#![allow(clippy::unwrap_used)]

#[path = "imap_codec/argued.rs"]
mod argued;
#[path = "imap_codec/corpus.rs"]
mod corpus;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fuzz::mutation::{Numbers, mutated};
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::encode::Encoder as _;
use imap_wire::command::append::{self, Announced, Append, Piece, Text, Then};
use imap_wire::{Command, Literal, Naming};

/// Commands by chance, always the same number, so that a seed means the same on a slow machine.
const COMMANDS: u32 = 300_000;

/// What we make of a command.
#[derive(PartialEq, Debug)]
enum Ours {
    Command(Command),
    /// An APPEND, what stands behind its texts, and the texts.
    Append(Append, Vec<Piece>, Vec<Vec<u8>>),
}

/// The first command of a stream as its announcements of literals frame it, without its last line end: where its lines end
/// that announce one, and where it ends. `None`: more would have to come.
fn framed(stream: &[u8]) -> Option<(Vec<usize>, usize)> {
    let mut announcements = Vec::new();
    let mut at = 0;
    loop {
        let end = at + stream.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
        let Some(literal) = Literal::at_end(&stream[at..end]) else { return Some((announcements, end)) };
        announcements.push(end);
        at = end + 2 + usize::try_from(literal.size?).unwrap();
    }
}

fn ours(stream: &[u8]) -> Option<Ours> {
    let (announcements, end) = framed(stream)?;
    let command = &stream[..end];
    if append::is_meant(command) {
        return append(stream, &announcements, end);
    }
    let head = imap_wire::head(command).ok()?;
    imap_wire::parse(command, &head, Naming::ModifiedUtf7).ok().map(Ours::Command)
}

/// An APPEND, as a session reads it: from text to text.
fn append(stream: &[u8], announcements: &[usize], end: usize) -> Option<Ours> {
    let mut stops = announcements.iter().copied().chain([end]);
    let mut texts = Vec::new();
    let first =
        stops.by_ref().find_map(|stop| read(append::parse(&stream[..stop], Naming::ModifiedUtf7), stop))?;
    let (first, mut stop) = (first.0?, first.1);
    let mut then = first.piece.then;
    let mut pieces = Vec::new();
    while let Then::Text(Text { literal, .. }) = then {
        let from = stop + 2;
        let to = from + literal.size? as usize;
        let text = stream[from..to].to_vec();
        if !literal.binary && text.contains(&0) {
            return None; // the session's part: RFC 3501 §4.3
        }
        texts.push(text);
        let behind = match then {
            Then::Text(text) => text,
            Then::End => return None,
        };
        let (piece, at) =
            stops.by_ref().find_map(|stop| read(append::next(&stream[to..stop], behind), stop))?;
        let piece = piece?;
        (then, stop) = (piece.then, at);
        pieces.push(piece);
    }
    Some(Ours::Append(first, pieces, texts))
}

/// Nothing while an argument has to come first; what was read up to `stop`, or that it was refused there.
fn read<T, E>(announced: Result<Announced<T>, E>, stop: usize) -> Option<(Option<T>, usize)> {
    match announced {
        Ok(Announced::Argument) => None,
        Ok(Announced::Read(value)) => Some((Some(value), stop)),
        Err(_) => Some((None, stop)),
    }
}

/// What imap-codec reads, written anew: the whole stream, or it has not accepted it.
fn theirs(stream: &[u8]) -> Option<Vec<u8>> {
    match CommandCodec::default().decode(stream) {
        Ok((b"", command)) => Some(CommandCodec::default().encode(&command).dump()),
        _ => None,
    }
}

/// Who accepts what the other one does not; or both do, and take it for something else.
#[derive(PartialEq, Clone, Copy, Debug)]
enum Accepted {
    Both,
    Neither,
    Ours,
    Theirs,
    Otherwise,
}

/// The first command of `command` and a line end.
fn stream(command: &[u8]) -> Vec<u8> {
    let mut stream = [command, b"\r\n"].concat();
    // One command, and not what may follow: the announcements say where it ends.
    if let Some((_, end)) = framed(&stream) {
        stream.truncate(end + 2);
    }
    stream
}

fn accepted(stream: &[u8]) -> Accepted {
    match (ours(stream), theirs(stream)) {
        (None, None) => Accepted::Neither,
        (Some(_), None) => Accepted::Ours,
        (None, Some(_)) => Accepted::Theirs,
        (Some(read), Some(again)) => match ours(&again) {
            Some(again) if argued::is_same(&again, &read) => Accepted::Both,
            _ => Accepted::Otherwise,
        },
    }
}

/// The classes that explain a difference: with what each takes away, taken away, both accept the command as the same.
fn explained(command: &[u8], classes: &mut Vec<&'static str>) -> bool {
    let verdict = accepted(&stream(command));
    verdict == Accepted::Both
        || classes.len() < 6
            && argued::CLASSES.iter().filter(|class| class.accepted == verdict).any(|class| {
                let Some(mended) = (class.mend)(command).filter(|mended| mended != command) else {
                    return false;
                };
                classes.push(class.name);
                explained(&mended, classes) || {
                    classes.pop();
                    false
                }
            })
}

/// What a run has seen.
#[derive(Default)]
struct Seen {
    both: usize,
    neither: usize,
    classes: BTreeMap<&'static str, usize>,
    unexplained: Vec<String>,
}

impl Seen {
    /// `command`: without its last line end.
    fn compare(&mut self, command: &[u8]) {
        let stream = stream(command);
        match accepted(&stream) {
            Accepted::Both => self.both += 1,
            Accepted::Neither => self.neither += 1,
            verdict => {
                let mut classes = Vec::new();
                if explained(&stream[..stream.len() - 2], &mut classes) {
                    classes.into_iter().for_each(|name| *self.classes.entry(name).or_default() += 1);
                } else {
                    let again = theirs(&stream).unwrap_or_default();
                    let (one, other) = (stream.escape_ascii(), again.escape_ascii());
                    self.unexplained.push(format!("{verdict:?}: b\"{one}\", by imap-codec b\"{other}\""));
                }
            }
        }
    }

    fn prove(&self, seed: u64) {
        let some: Vec<&str> = self.unexplained.iter().take(20).map(String::as_str).collect();
        assert!(
            some.is_empty(),
            "MAILBOAT_SEED={seed}: {} differences\n{}",
            self.unexplained.len(),
            some.join("\n")
        );
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn commands_by_hand_are_read_as_imap_codec_reads_them() {
    let mut seen = Seen::default();
    for command in corpus::ACCEPTED {
        assert!(ours(&[command.as_bytes(), b"\r\n"].concat()).is_some(), "{command:?}");
        seen.compare(command.as_bytes());
    }
    for command in corpus::REFUSED {
        assert!(ours(&[command.as_bytes(), b"\r\n"].concat()).is_none(), "{command:?}");
        seen.compare(command.as_bytes());
    }
    for class in &argued::CLASSES {
        assert!(!class.of.is_empty(), "{}", class.name);
        for command in class.of {
            let mut classes = Vec::new();
            assert!(explained(command, &mut classes), "{}: {classes:?}", command.escape_ascii());
            assert!(classes.contains(&class.name), "{} is a case of {classes:?}", command.escape_ascii());
        }
    }
    println!("{} accepted by both, {} by neither, classes {:?}", seen.both, seen.neither, seen.classes);
    seen.prove(0);
    assert!(seen.both > 100 && seen.neither > 40, "{} {}", seen.both, seen.neither);
}

#[test]
fn commands_by_chance_are_read_as_imap_codec_reads_them() {
    let seed = number("MAILBOAT_SEED").unwrap_or(7);
    let time = Duration::from_secs(number("MAILBOAT_FUZZ_SECONDS").unwrap_or(0));
    let mut numbers = Numbers(seed);
    let mut seen = Seen::default();
    let begun = Instant::now();
    let mut runs = 0;
    while runs < COMMANDS || begun.elapsed() < time {
        let (one, other) = (corpus::generated(&mut numbers), corpus::generated(&mut numbers));
        seen.compare(one.as_bytes());
        for _ in 0..4 {
            seen.compare(&mutated(&mut numbers, one.as_bytes(), other.as_bytes()));
        }
        // One change that is small: most large ones are refused by both.
        let mut bytes = one.into_bytes();
        let at = numbers.below(bytes.len());
        bytes[at] = other.as_bytes()[numbers.below(other.len())];
        seen.compare(&bytes);
        runs += 6;
    }
    println!(
        "{runs} commands, {} accepted by both, {} by neither, classes {:?}",
        seen.both, seen.neither, seen.classes
    );
    seen.prove(seed);
    assert!(seen.both > 100, "only {} were accepted by both", seen.both);
}
