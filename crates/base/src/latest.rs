//! A value in whose place another one is put while many threads use it, without a lock and without what others would pay for it: who
//! had the former one keeps it, and who asks gets the latest. For what is replaced hardly ever, such as the map of a file that was
//! damaged; the former ones stay in memory.

use std::sync::OnceLock;

/// So many values may follow one another.
const REPLACED_MAX: usize = 64;

/// See the head of this file.
pub struct Latest<T> {
    value: T,
    next: OnceLock<Box<Latest<T>>>,
}

impl<T> Latest<T> {
    pub const fn new(value: T) -> Latest<T> {
        Latest { value, next: OnceLock::new() }
    }

    /// The latest value.
    #[inline]
    pub fn get(&self) -> &T {
        if self.next.get().is_none() { &self.value } else { &self.last().0.value }
    }

    /// The latest, and how many there were before it.
    fn last(&self) -> (&Latest<T>, usize) {
        let (mut last, mut before) = (self, 0);
        while let Some(next) = last.next.get() {
            (last, before) = (next, before + 1);
        }
        (last, before)
    }

    /// Puts a value in the place of the latest one. It is given back when there were too many.
    ///
    /// # Errors
    /// There were too many.
    pub fn replace(&self, value: T) -> Result<(), T> {
        let mut new = Box::new(Latest::new(value));
        loop {
            let (last, before) = self.last();
            if before >= REPLACED_MAX {
                return Err(new.value);
            }
            match last.next.set(new) {
                Ok(()) => return Ok(()),
                Err(mine) => new = mine, // somebody else came first
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_gets_the_latest_and_who_has_a_former_one_keeps_it() {
        let latest = Latest::new(0);
        let former = latest.get();
        for number in 1..=REPLACED_MAX {
            latest.replace(number).unwrap();
            assert_eq!((*latest.get(), *former), (number, 0));
        }
        assert_eq!(latest.replace(7), Err(7));
    }

    #[test]
    fn none_of_those_that_come_at_once_is_lost() {
        let latest = Latest::new(0);
        std::thread::scope(|scope| {
            for number in 1..=8 {
                let latest = &latest;
                scope.spawn(move || latest.replace(number).unwrap());
            }
        });
        assert_eq!(latest.last().1, 8);
    }
}
