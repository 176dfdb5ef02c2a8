//! Every target of this crate with inputs that changed by chance: none panics, and none takes time that grows faster than
//! its input. `MAILBOAT_FUZZ_SECONDS` is how long for each target, one second unless it is set; `MAILBOAT_SEED` repeats a run.
#![allow(clippy::unwrap_used)]

use std::panic::catch_unwind;
use std::time::Duration;

use fuzz::mutation::{Numbers, PIECES, mutated};
use fuzz::{TARGETS, Target};
use nix::time::{ClockId, clock_gettime};

/// Two sizes, to see how time grows.
const SIZES: [usize; 2] = [16 << 10, 128 << 10];
/// More than this share of growth is not linear: 8 is, 64 is the square.
const GROWTH_MAX: u128 = 30;
/// What a run of the larger size may always take.
const ALWAYS: Duration = Duration::from_millis(60);

/// Inputs of a run whose time is measured.
const UNITS: usize = 10;

/// What this thread had of a processor: others use the machine, too.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// The shortest of three runs, in the processor's time.
fn took(target: &Target, input: &[u8]) -> Duration {
    let one = || {
        let begun = processor_time();
        (target.run)(input);
        processor_time() - begun
    };
    one().min(one()).min(one())
}

/// Inputs that were worth keeping: those that are not shorter than they were.
fn go_through(target: &Target, seed: u64, time: Duration) {
    let mut numbers = Numbers(seed);
    let mut corpus: Vec<Vec<u8>> = target.seeds.iter().map(|text| text.as_bytes().to_vec()).collect();
    let begun = processor_time();
    let mut runs = 0u64;
    while processor_time() - begun < time {
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
