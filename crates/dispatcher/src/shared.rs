//! What workers, wakers and the event loop have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::Instant;

use crate::pool::Pool;
use crate::slot::{Job, Slot};
use crate::wheel;

/// What the loop is told.
#[derive(Default)]
pub struct Notes {
    /// Slots that are free.
    pub finished: Vec<usize>,
    /// Timers to arm: slot, its number, tick.
    pub arm: Vec<(usize, u64, u64)>,
}

pub struct Shared {
    origin: Instant,
    waker: mio::Waker,
    /// The loop was woken and has not looked yet.
    woken: AtomicBool,
    notes: Mutex<Notes>,
    /// The loop wants to know at once when a slot is free.
    pub tell_finished: AtomicBool,
    pub stop: AtomicBool,
    pool: OnceLock<Arc<Pool<Job>>>,
    slots: RwLock<Vec<Weak<Slot>>>,
}

impl Shared {
    pub fn new(origin: Instant, waker: mio::Waker) -> Arc<Shared> {
        Arc::new(Shared {
            origin,
            waker,
            woken: AtomicBool::new(false),
            notes: Mutex::default(),
            tell_finished: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            pool: OnceLock::new(),
            slots: RwLock::default(),
        })
    }

    pub fn set_pool(&self, pool: Arc<Pool<Job>>) {
        let _ = self.pool.set(pool);
    }

    /// The workers.
    pub fn pool(&self) -> Option<Arc<Pool<Job>>> {
        self.pool.get().cloned()
    }

    pub fn tick_of(&self, moment: Instant) -> u64 {
        wheel::tick_of(self.origin, moment)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the loop, once until it looks.
    pub fn wake_loop(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            let _ = self.waker.wake();
        }
    }

    /// For the loop: what was noted since the last time.
    pub fn take_notes(&self, into: &mut Notes) {
        self.woken.store(false, Ordering::SeqCst);
        let mut notes = self.notes();
        std::mem::swap(&mut notes.finished, &mut into.finished);
        std::mem::swap(&mut notes.arm, &mut into.arm);
    }

    pub fn finished(&self, index: usize) {
        self.notes().finished.push(index);
        if self.tell_finished.load(Ordering::SeqCst) {
            self.wake_loop();
        }
    }

    pub fn arm(&self, index: usize, number: u64, tick: u64) {
        self.notes().arm.push((index, number, tick));
        self.wake_loop();
    }

    pub fn push_one(&self, job: Job) {
        if let Some(pool) = self.pool.get() {
            pool.push_one(job);
        }
    }

    /// For the loop: which slot is at an index now.
    pub fn remember(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if slots.len() <= slot.index {
            slots.resize_with(slot.index + 1, Weak::new);
        }
        slots[slot.index] = Arc::downgrade(slot);
    }

    /// The counted form of a slot, if it still lives in its place.
    pub fn own(&self, slot: &Slot) -> Option<Arc<Slot>> {
        self.slot(slot.index).filter(|found| found.number == slot.number)
    }

    /// The slot at an index, if the low half of its number is this one: an event may be told late.
    pub fn slot_of(&self, index: usize, number: u32) -> Option<Arc<Slot>> {
        self.slot(index).filter(|found| found.number & u64::from(u32::MAX) == u64::from(number))
    }

    fn slot(&self, index: usize) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(index)?.upgrade()
    }
}
