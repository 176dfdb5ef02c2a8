//! A message that stands in the journal is lent to the mailboxes that it is delivered to: their own records only name it, and
//! a power cut gives them their files from there.
//!
//! Where it stands is emptied by a checkpoint, which makes files and names durable that are there when it begins. So a
//! checkpoint waits for the deliveries that are under way with a message of its epoch, and behind its beginning no such
//! message is lent any more: who comes then syncs files.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct State {
    /// Deliveries under way, by the epoch of their message's record.
    under_way: HashMap<u64, usize>,
    /// Epochs up to here are being emptied, or were: the oldest goes first.
    ended: u64,
}

/// What is lent of a journal.
#[derive(Default)]
pub(crate) struct Lending {
    state: Mutex<State>,
    returned: Condvar,
}

/// A message of the queue that stands in the journal, as long as this is kept.
pub struct Lent {
    lending: Arc<Lending>,
    epoch: u64,
}

impl Lending {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(self: &Arc<Self>, epoch: u64) -> Option<Lent> {
        let mut state = self.lock();
        if epoch <= state.ended {
            return None;
        }
        *state.under_way.entry(epoch).or_default() += 1;
        Some(Lent { lending: self.clone(), epoch })
    }

    /// Nothing of the epoch is lent when this returns, nor later.
    pub fn end(&self, epoch: u64) {
        let mut state = self.lock();
        state.ended = state.ended.max(epoch);
        while state.under_way.contains_key(&epoch) {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut state = self.lending.lock();
        if let Some(count) = state.under_way.get_mut(&self.epoch) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.under_way.remove(&self.epoch);
                self.lending.returned.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn the_end_of_an_epoch_waits_for_what_is_lent_and_nothing_is_lent_behind_it() {
        let lending = Arc::new(Lending::default());
        let (one, other) = (lending.begin(3).unwrap(), lending.begin(3).unwrap());
        let younger = lending.begin(4).unwrap();
        let (told, heard) = mpsc::channel();
        let ending = lending.clone();
        let end = thread::spawn(move || {
            ending.end(3);
            told.send(()).unwrap();
        });
        while lending.begin(3).is_some() {
            thread::yield_now();
        }
        drop(one);
        assert_eq!(heard.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(other);
        heard.recv().unwrap();
        end.join().unwrap();
        assert!(lending.begin(3).is_none() && lending.begin(4).is_some());
        drop(younger);
        lending.end(4);
    }
}
