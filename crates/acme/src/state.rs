//! How orders went, in `state.json`: what keeps a host from asking again and again, over restarts as well.
//!
//! It is written before the authority is asked, as if the attempt had failed already: who is killed in the middle, however often,
//! waits as after any failure.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

const FORMAT: &str = "Mailboat ACME state 1";
const DAY: i64 = 86_400;
/// After the first failure; each further one makes it four times as long. So four attempts fall into the first hour: the largest
/// authority takes five failures of a name in one.
const FIRST_WAIT: i64 = 60;
const WAIT_FACTOR: i64 = 4;
const WAIT_MAX: i64 = DAY;
/// What an authority may ask for by Retry-After.
const ASKED_WAIT_MAX: i64 = 7 * DAY;
/// After an order that went well, whatever the certificate says (a clock may be wrong).
const REST: i64 = 3_600;

/// Seconds are since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What was wanted; when that has changed, failures are forgotten.
    pub wanted: String,
    /// When orders were sent, of the last 24 hours.
    pub orders: Vec<i64>,
    /// One behind the other.
    pub failures: u32,
    /// Nobody asks before, but by hand.
    pub next: i64,
    /// Of the last attempt.
    pub tried: i64,
    /// Why it failed; empty: it did not.
    pub error: String,
}

impl State {
    /// What the file says; one that is not there, or says nothing, is the beginning.
    ///
    /// # Errors
    /// It cannot be read: then nothing is to be ordered.
    pub fn read(folder: &Path) -> io::Result<State> {
        match fs::read(file(folder)) {
            Ok(bytes) => Ok(parse(&bytes).unwrap_or_default()),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(why) => Err(why),
        }
    }

    /// # Errors
    /// The system's.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let text = json!({
            "format": FORMAT,
            "wanted": self.wanted,
            "orders": self.orders,
            "failures": self.failures,
            "next": self.next,
            "tried": self.tried,
            "error": self.error,
        });
        base::replace::durable_replace(&file(folder), format!("{text:#}\n").as_bytes(), 0o600)
    }

    /// Something else is wanted now: what failed before says nothing about it.
    pub fn want(&mut self, wanted: &str) {
        if self.wanted != wanted {
            *self = State {
                wanted: wanted.to_owned(),
                orders: std::mem::take(&mut self.orders),
                ..State::default()
            };
        }
    }

    /// When the next attempt may be; a time that no wait of ours leads to is a wrong clock's.
    pub fn may_try_at(&self, now: i64) -> i64 {
        if self.next > now + ASKED_WAIT_MAX + DAY { now } else { self.next }
    }

    /// When one more order may be sent, if `max` are in 24 hours.
    pub fn may_order_at(&self, now: i64, max: usize) -> i64 {
        let recent: Vec<i64> = self.orders.iter().copied().filter(|at| is_recent(*at, now)).collect();
        match recent.len().checked_sub(max) {
            None => now,
            Some(more) => recent.get(more).map_or(now, |at| at + DAY),
        }
    }

    /// Orders of the last 24 hours.
    pub fn orders_since(&self, now: i64) -> usize {
        self.orders.iter().filter(|at| is_recent(**at, now)).count()
    }

    pub fn ordered(&mut self, now: i64) {
        self.orders.retain(|at| is_recent(*at, now));
        self.orders.push(now);
        self.orders.sort_unstable();
    }

    /// An attempt has failed. `asked`: how long the authority wants to be left alone.
    pub fn failed(&mut self, now: i64, why: &str, asked: Option<Duration>, chance: u8) {
        self.failures = self.failures.saturating_add(1);
        let asked = asked.map_or(0, |asked| i64::try_from(asked.as_secs()).unwrap_or(i64::MAX));
        let wait = wait(self.failures, chance).max(asked.min(ASKED_WAIT_MAX));
        *self = State { tried: now, next: now + wait, error: why.to_owned(), ..std::mem::take(self) };
    }

    /// It went well; the certificate lives so many seconds.
    pub fn went_well(&mut self, now: i64, life: i64) {
        let rest = REST.min(life / 4).max(1);
        *self =
            State { tried: now, next: now + rest, failures: 0, error: String::new(), ..std::mem::take(self) };
    }
}

/// Seconds: a minute, four, sixteen, ... a day, and up to a fifth more, by chance.
fn wait(failures: u32, chance: u8) -> i64 {
    let grown = WAIT_FACTOR.saturating_pow(failures.saturating_sub(1)).saturating_mul(FIRST_WAIT);
    let wait = grown.min(WAIT_MAX);
    wait + wait * i64::from(chance) / (5 * 256)
}

/// A time in the future is a wrong clock's, and counts.
fn is_recent(at: i64, now: i64) -> bool {
    at > now - DAY && at <= now + DAY
}

fn file(folder: &Path) -> PathBuf {
    folder.join("state.json")
}

fn parse(bytes: &[u8]) -> Option<State> {
    let read: Value = serde_json::from_slice(bytes).ok()?;
    let text = |name: &str| read[name].as_str().map(str::to_owned);
    (read["format"] == FORMAT).then_some(())?;
    Some(State {
        wanted: text("wanted")?,
        orders: read["orders"].as_array()?.iter().filter_map(Value::as_i64).take(10_000).collect(),
        failures: u32::try_from(read["failures"].as_u64()?).ok()?,
        next: read["next"].as_i64()?,
        tried: read["tried"].as_i64()?,
        error: text("error")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_grow_to_a_day_and_an_authority_may_ask_for_more() {
        let mut state = State::default();
        let waits: Vec<i64> = (0..8)
            .map(|_| {
                state.failed(1000, "x", None, 0);
                state.next - 1000
            })
            .collect();
        assert_eq!(waits, [60, 240, 960, 3840, 15_360, 61_440, DAY, DAY]);
        state.failed(1000, "x", Some(Duration::from_secs(3 * 86_400)), 255);
        assert_eq!(state.next - 1000, 3 * DAY);
        state.failed(1000, "x", Some(Duration::from_secs(u64::MAX)), 0);
        assert_eq!(state.next - 1000, ASKED_WAIT_MAX);
        state.went_well(1000, 90 * DAY);
        assert_eq!((state.next, state.failures, state.error.as_str()), (1000 + REST, 0, ""));
    }

    #[test]
    fn orders_of_a_day_are_counted_and_older_ones_forgotten() {
        let mut state = State::default();
        for at in [0, 10, 20] {
            assert_eq!(state.may_order_at(at, 3), at);
            state.ordered(at);
        }
        assert_eq!(state.may_order_at(30, 3), DAY);
        assert_eq!(state.may_order_at(30, 2), DAY + 10);
        assert_eq!(state.may_order_at(DAY + 5, 3), DAY + 5);
        state.want("something else");
        assert_eq!(state.orders.len(), 3, "wanting something else makes no more orders");
    }

    #[test]
    fn what_is_written_is_read_again_and_a_damaged_file_is_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::read(folder.path()).unwrap(), State::default());
        let mut state = State::default();
        state.want("a \"b\"");
        state.ordered(5);
        state.failed(7, "no\nanswer", None, 9);
        state.write(folder.path()).unwrap();
        assert_eq!(State::read(folder.path()).unwrap(), state);
        fs::write(file(folder.path()), "{").unwrap();
        assert_eq!(State::read(folder.path()).unwrap(), State::default());
        fs::remove_file(file(folder.path())).unwrap();
        fs::create_dir(file(folder.path())).unwrap();
        assert!(State::read(folder.path()).is_err());
    }

    #[test]
    fn a_clock_that_was_wrong_keeps_nobody_waiting_for_years() {
        let state = State { next: 4_000_000_000, ..State::default() };
        assert_eq!(state.may_try_at(1_700_000_000), 1_700_000_000);
        assert_eq!(State { next: 50, ..State::default() }.may_try_at(10), 50);
    }

    proptest! {
        #[test]
        fn however_it_goes_no_more_than_so_many_orders_are_made_in_a_day(
            steps in proptest::collection::vec((0i64..40_000, any::<bool>(), any::<u8>()), 1..200), max in 1usize..8
        ) {
            let (mut state, mut now, mut sent) = (State::default(), 0, Vec::new());
            for (pause, well, chance) in steps {
                now += pause;
                if state.may_order_at(now, max) > now {
                    continue;
                }
                state.ordered(now);
                sent.push(now);
                if well { state.went_well(now, 90 * DAY) } else { state.failed(now, "x", None, chance) }
                let of_a_day = sent.iter().filter(|at| **at > now - DAY).count();
                prop_assert!(of_a_day <= max, "{of_a_day}");
            }
        }
    }
}
