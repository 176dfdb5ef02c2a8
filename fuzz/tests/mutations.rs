//! Every target of this crate with inputs that changed by chance: none panics, and none takes time that grows faster than
//! its input. `MAILBOAT_FUZZ_SECONDS` is how long for each target, one second unless it is set; `MAILBOAT_SEED` repeats a run.
#![allow(clippy::unwrap_used)]

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use fuzz::{TARGETS, Target};

/// Bytes of an input.
const BYTES_MAX: usize = 4096;
/// Two sizes, to see how time grows.
const SIZES: [usize; 2] = [16 << 10, 128 << 10];
/// More than this share of growth is not linear: 8 is, 64 is the square.
const GROWTH_MAX: u128 = 30;
/// What a run of the larger size may always take: the clock is not finer.
const ALWAYS: Duration = Duration::from_millis(60);

/// Inputs of a run whose time is measured.
const UNITS: usize = 10;

/// Pieces that mean something to some parser.
const PIECES: [&str; 40] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    "\"",
    "\\",
    "(",
    ")",
    "<",
    ">",
    "{",
    "}",
    "[",
    "]",
    "@",
    ",",
    ";",
    ":",
    "=",
    "*",
    "%",
    "&",
    "-",
    "--",
    "--b",
    "--b--",
    ".",
    "{3+}\r\n",
    "4294967296",
    "18446744073709551616",
    "=?utf-8?b?",
    "?=",
    "\u{e4}",
    "\u{1f600}",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "NIL",
    "a*0*=",
];

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit.max(1) as u64) as usize
    }
}

fn mutated(numbers: &mut Numbers, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + numbers.below(6) {
        let (at, to) = (numbers.below(bytes.len() + 1), numbers.below(bytes.len() + 1));
        let (at, to) = (at.min(to), at.max(to));
        match numbers.below(6) {
            0 => drop(bytes.drain(at..to)),
            1 => drop(bytes.splice(at..at, PIECES[numbers.below(PIECES.len())].bytes())),
            2 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            3 => {
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let cut = numbers.below(other.len() + 1);
                bytes.splice(at..to, other[cut..].iter().copied());
            }
            _ => bytes.truncate(to),
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

/// The shortest of three runs: others use the machine, too.
fn took(target: &Target, input: &[u8]) -> Duration {
    let one = || {
        let begun = Instant::now();
        (target.run)(input);
        begun.elapsed()
    };
    one().min(one()).min(one())
}

/// Inputs that were worth keeping: those that are not shorter than they were.
fn go_through(target: &Target, seed: u64, time: Duration) {
    let mut numbers = Numbers(seed);
    let mut corpus: Vec<Vec<u8>> = target.seeds.iter().map(|text| text.as_bytes().to_vec()).collect();
    let begun = Instant::now();
    let mut runs = 0u64;
    while begun.elapsed() < time {
        let (one, other) = (numbers.below(corpus.len()), numbers.below(corpus.len()));
        let input = mutated(&mut numbers, &corpus[one], &corpus[other]);
        if catch_unwind(|| (target.run)(&input)).is_err() {
            panic!("{}: MAILBOAT_SEED={seed}, run {runs}: b\"{}\"", target.name, input.escape_ascii());
        }
        match numbers.below(8) {
            0 if corpus.len() < 500 => corpus.push(input),
            1 => {
                let place = numbers.below(corpus.len());
                corpus[place] = input;
            }
            _ => {}
        }
        runs += 1;
    }
    println!("{}: {runs} inputs", target.name);
    corpus.truncate(UNITS);
    corpus.extend(PIECES.iter().map(|piece| piece.as_bytes().to_vec()));
    for unit in corpus.iter().filter(|unit| !unit.is_empty()) {
        grows_with_its_input(target, unit);
    }
}

/// The unit over and over, and behind the first seed.
fn grows_with_its_input(target: &Target, unit: &[u8]) {
    for before in ["", target.seeds[0]] {
        let of = |size: usize| -> Vec<u8> {
            before.bytes().chain(unit.iter().copied().cycle().take(size)).collect()
        };
        let (small, large) = (of(SIZES[0]), of(SIZES[1]));
        let is_slow = || {
            let large = took(target, &large);
            large > ALWAYS && large.as_nanos() > took(target, &small).as_nanos() * GROWTH_MAX
        };
        assert!(
            !(0..4).all(|_| is_slow()),
            "{}: time grows faster than the input: b\"{}\" over and over behind {before:?}",
            target.name,
            unit.escape_ascii()
        );
    }
}

#[test]
fn no_parser_panics_or_takes_time_beyond_its_input() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("MAILBOAT_SEED").unwrap_or(1);
    let time = Duration::from_secs(number("MAILBOAT_FUZZ_SECONDS").unwrap_or(1));
    for target in &TARGETS {
        go_through(target, seed, time);
    }
}
