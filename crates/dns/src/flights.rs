//! One look-up at a time for one question: who asks what is already being asked waits for that answer.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::cache::{Key, Outcome};

/// An outcome, or why nobody could tell.
pub(crate) type Told = Result<Arc<Outcome>, String>;

#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, Arc<Flight>>>);

#[derive(Default)]
struct Flight {
    told: Mutex<Option<Told>>,
    landed: Condvar,
}

impl Flights {
    /// What `ask` says, or what another thread is told that was the first to ask; that is waited for until then.
    pub(crate) fn share(&self, key: &Key, until: Option<Instant>, ask: impl FnOnce() -> Told) -> Told {
        let mut flying = lock(&self.0);
        if let Some(flight) = flying.get(key).map(Arc::clone) {
            drop(flying);
            return flight.wait(until);
        }
        let flight = Arc::new(Flight::default());
        flying.insert(key.clone(), Arc::clone(&flight));
        drop(flying);
        let landing = Landing { flights: self, key, flight };
        let told = ask();
        *lock(&landing.flight.told) = Some(told.clone());
        told
    }
}

impl Flight {
    fn wait(&self, until: Option<Instant>) -> Told {
        let mut told = lock(&self.told);
        loop {
            if let Some(told) = told.as_ref() {
                return told.clone();
            }
            told = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.landed.wait(told).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Err("the time for it is over".into()),
                Some(left) => self.landed.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

/// Wakes who waits, also when the asking thread panicked.
struct Landing<'a> {
    flights: &'a Flights,
    key: &'a Key,
    flight: Arc<Flight>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        lock(&self.flights.0).remove(self.key);
        lock(&self.flight.told).get_or_insert_with(|| Err("the look-up was broken off".into()));
        self.flight.landed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
