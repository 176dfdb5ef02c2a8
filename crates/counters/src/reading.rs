//! What all processes together have counted.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::file::{Whole, counter_file};
use crate::{Counter, Definition, Kind, SERVICES};

/// The file of counters, as it is while it is looked at.
pub struct Reading(Whole);

impl Reading {
    /// The file in this folder.
    ///
    /// # Errors
    /// There is none, it is damaged, or may not be opened.
    pub fn open(folder: &Path) -> io::Result<Reading> {
        Reading::open_file(&counter_file(folder))
    }

    /// This file.
    ///
    /// # Errors
    /// As [`Reading::open`].
    pub fn open_file(path: &Path) -> io::Result<Reading> {
        Whole::open(path).map(Reading)
    }

    /// The second since 1970 at which the file was made.
    pub fn made(&self) -> i64 {
        self.0.made()
    }

    /// Processes of a service that count now.
    pub fn live(&self, service: &str) -> usize {
        self.0
            .slots
            .iter()
            .filter(|slot| slot.is_live && SERVICES.get(slot.service) == Some(&service))
            .count()
    }

    /// What a counter is at, of one service or of all.
    pub fn value(&self, definition: &Definition, service: Option<&str>) -> u64 {
        let whole = &self.0;
        let of = |number: usize| service.is_none_or(|wanted| SERVICES.get(number) == Some(&wanted));
        let counts_dead = matches!(definition.kind, Kind::Sum | Kind::Last);
        let slots = whole.slots.iter().filter(|slot| of(slot.service) && (counts_dead || slot.is_live));
        let values =
            slots.filter_map(|slot| Some(whole.word(slot, definition.counter)?.load(Ordering::Relaxed)));
        match definition.kind {
            Kind::Sum | Kind::Now | Kind::Peak => values.fold(0, u64::wrapping_add),
            Kind::Start => values.filter(|second| *second != 0).min().unwrap_or(0),
            Kind::Last => values.max().unwrap_or(0),
        }
    }

    /// Begins a sum at 0 again, of one service or of all. Who counts meanwhile goes on from there.
    pub fn reset(&self, counter: Counter, service: Option<&str>) {
        let of = |number: usize| service.is_none_or(|wanted| SERVICES.get(number) == Some(&wanted));
        for slot in self.0.slots.iter().filter(|slot| of(slot.service)) {
            if let Some(word) = self.0.word(slot, counter) {
                word.store(0, Ordering::Relaxed);
            }
        }
    }
}
