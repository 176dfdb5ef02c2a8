//! A hierarchical timer wheel: arming costs the same however many timers there are, and nothing ticks in between.
//!
//! Six levels of 64 slots; a tick is ten milliseconds. An entry cannot be removed: who armed it recognises a stale one.

use std::time::{Duration, Instant};

const LEVELS: usize = 6;
const SLOT_BITS: usize = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const TICK: Duration = Duration::from_millis(10);
/// Farthest tick ahead; later ones come early and are armed again.
const SPAN: u64 = (1 << (LEVELS * SLOT_BITS)) - 1;

struct Level<T> {
    occupied: u64,
    slots: Vec<Vec<(u64, T)>>,
}

/// Timers with a value each.
pub struct Wheel<T> {
    origin: Instant,
    elapsed: u64,
    levels: Vec<Level<T>>,
}

impl<T> Wheel<T> {
    pub fn new(origin: Instant) -> Wheel<T> {
        let level = || Level { occupied: 0, slots: (0..SLOTS).map(|_| Vec::new()).collect() };
        Wheel { origin, elapsed: 0, levels: (0..LEVELS).map(|_| level()).collect() }
    }

    /// The first tick that is not before `moment`.
    pub fn tick_of(&self, moment: Instant) -> u64 {
        tick_of(self.origin, moment)
    }

    /// Arms `value` for `tick`; one that has passed comes with the next [`Wheel::advance`], and is told as it was armed.
    pub fn arm(&mut self, tick: u64, value: T) {
        let place = tick.clamp(self.elapsed.saturating_add(1), self.elapsed.saturating_add(SPAN / 2));
        let different = (self.elapsed ^ place) | (SLOTS as u64 - 1);
        let level = ((63 - different.leading_zeros()) as usize / SLOT_BITS).min(LEVELS - 1);
        let slot = slot_of(place, level);
        self.levels[level].occupied |= 1 << slot;
        self.levels[level].slots[slot].push((tick, value));
    }

    /// When [`Wheel::advance`] is worth while next.
    pub fn next(&self) -> Option<Instant> {
        self.next_slot()
            .map(|(tick, _, _)| self.origin + TICK.saturating_mul(u32::try_from(tick).unwrap_or(u32::MAX)))
    }

    /// The first occupied slot: the tick at which it begins, its level, its number.
    fn next_slot(&self) -> Option<(u64, usize, usize)> {
        let mut first: Option<(u64, usize, usize)> = None;
        for (number, level) in self.levels.iter().enumerate() {
            if level.occupied == 0 {
                continue;
            }
            let now = slot_of(self.elapsed, number);
            let ahead = level.occupied.rotate_right(now as u32).trailing_zeros() as usize;
            let slot = (now + ahead) % SLOTS;
            let width = 1_u64 << (number * SLOT_BITS);
            let turn = width << SLOT_BITS;
            let mut tick = (self.elapsed / turn) * turn + slot as u64 * width;
            if tick < self.elapsed {
                tick += turn;
            }
            if first.is_none_or(|(best, _, _)| tick < best) {
                first = Some((tick, number, slot));
            }
        }
        first
    }

    /// Moves every timer that is due at `now` to `due`, with the tick it was armed for.
    pub fn advance(&mut self, now: Instant, due: &mut Vec<(u64, T)>) {
        let since = now.saturating_duration_since(self.origin).as_millis() / TICK.as_millis();
        let until = u64::try_from(since).unwrap_or(u64::MAX);
        while let Some((tick, level, slot)) = self.next_slot().filter(|(tick, _, _)| *tick <= until) {
            self.elapsed = self.elapsed.max(tick);
            self.levels[level].occupied &= !(1 << slot);
            for (tick, value) in std::mem::take(&mut self.levels[level].slots[slot]) {
                if tick <= self.elapsed { due.push((tick, value)) } else { self.arm(tick, value) }
            }
        }
        self.elapsed = self.elapsed.max(until);
    }
}

fn slot_of(tick: u64, level: usize) -> usize {
    (tick >> (level * SLOT_BITS)) as usize & (SLOTS - 1)
}

/// The first tick after `origin` that is not before `moment`.
pub fn tick_of(origin: Instant, moment: Instant) -> u64 {
    let ticks = moment.saturating_duration_since(origin).as_millis() / TICK.as_millis();
    u64::try_from(ticks).unwrap_or(u64::MAX - 1).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_comes_once_and_in_its_time() {
        let origin = Instant::now();
        let mut wheel = Wheel::new(origin);
        let ticks: Vec<u64> = (1..4000).map(|n: u64| (n * n * 7) % 300_000 + 1).collect();
        for tick in &ticks {
            wheel.arm(*tick, *tick);
        }
        let mut seen = Vec::new();
        let mut before = 0;
        while let Some(next) = wheel.next() {
            let mut due = Vec::new();
            wheel.advance(next, &mut due);
            let now = u64::try_from((next - origin).as_millis()).unwrap() / 10;
            for (tick, value) in due {
                assert_eq!(tick, value);
                assert!(tick > before && tick <= now, "{tick} came between {before} and {now}");
                seen.push(tick);
            }
            before = now;
        }
        let mut expected = ticks;
        expected.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_timer_of_the_past_comes_with_the_next_tick() {
        let origin = Instant::now();
        let mut wheel = Wheel::new(origin);
        let mut due = Vec::new();
        wheel.advance(origin + Duration::from_secs(100), &mut due);
        wheel.arm(5, "late");
        wheel.advance(origin + Duration::from_millis(100_020), &mut due);
        assert_eq!(due, [(5, "late")], "who armed it must know it again");
    }
}
