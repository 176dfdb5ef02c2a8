//! Who is whose reply: steps 1 to 3 of THREAD=REFERENCES (RFC 5256 §3).

use std::collections::HashMap;

use super::forest::Forest;
use super::{Found, Hash};
use crate::refusal::Refusal;

/// References of one message that count: the first ones.
pub const PER_MESSAGE_MAX: usize = 1000;
/// Message ids that one command may keep, about 60 bytes each.
const IDS_MAX: usize = 4_000_000;
/// How many ancestors are looked at for the sake of one message, lest it makes a loop: a link that would take more, which only
/// one of a message with replies can, is not made.
const ANCESTORS_MAX: u64 = 10_000;
const NONE: u32 = u32::MAX;

/// Every message id heard of, whether there is such a message or not.
#[derive(Default)]
pub struct References {
    by_id: HashMap<Hash, u32>,
    ids: Vec<Id>,
    messages: u32,
    /// Ancestors looked at so far.
    pub steps: u64,
    steps_max: u64,
}

#[derive(Clone, Copy)]
struct Id {
    parent: u32,
    /// Its place among those found; `NONE` for a dummy.
    message: u32,
    /// Whether it ever was anybody's parent.
    has_children: bool,
}

impl References {
    /// Takes in the next message: steps 1.A and 1.B. The second message of an id is treated as if it had its own.
    ///
    /// # Errors
    /// More ids than one command may keep.
    pub fn add(&mut self, own: Option<Hash>, parents: &[Hash]) -> Result<(), Refusal> {
        if self.ids.len() + parents.len() >= IDS_MAX {
            return Err(Refusal::Limit("Too many message ids to thread; thread fewer messages"));
        }
        self.steps_max = self.steps + ANCESTORS_MAX;
        let mut last = None;
        for parent in parents {
            let parent = self.id(parent);
            if let Some(before) = last.filter(|_| self.ids[parent as usize].parent == NONE) {
                self.link(before, parent);
            }
            last = Some(parent);
        }
        let own = match own.map(|own| self.id(&own)) {
            Some(own) if self.ids[own as usize].message == NONE => own,
            _ => self.new_id(),
        };
        self.ids[own as usize].message = self.messages;
        self.messages += 1;
        self.ids[own as usize].parent = NONE; // what others said of it gives way to what it says itself
        if let Some(last) = last {
            self.link(last, own);
        }
        Ok(())
    }

    fn id(&mut self, hash: &Hash) -> u32 {
        if let Some(id) = self.by_id.get(hash) {
            return *id;
        }
        let id = self.new_id();
        self.by_id.insert(*hash, id);
        id
    }

    fn new_id(&mut self) -> u32 {
        self.ids.push(Id { parent: NONE, message: NONE, has_children: false });
        (self.ids.len() - 1) as u32
    }

    /// Makes `child` a reply to `parent`, unless that made a loop.
    fn link(&mut self, parent: u32, child: u32) {
        if !self.descends(parent, child) {
            self.ids[child as usize].parent = parent;
            self.ids[parent as usize].has_children = true;
        }
    }

    /// Whether `id` is `ancestor` or below it, as far as that is looked into.
    fn descends(&mut self, id: u32, ancestor: u32) -> bool {
        if id == ancestor {
            return true;
        }
        if !self.ids[ancestor as usize].has_children {
            return false;
        }
        let mut at = id;
        while self.steps < self.steps_max {
            self.steps += 1;
            at = self.ids[at as usize].parent;
            if at == NONE || at == ancestor {
                return at == ancestor;
            }
        }
        true
    }

    /// The forest without dummies but those at the root that hold several replies together: steps 2 and 3.
    pub fn into_forest(mut self, found: &[Found]) -> Forest {
        self.by_id = HashMap::new();
        let mut forest = Forest::of(found.len());
        let mut dummies: HashMap<u32, u32> = HashMap::new();
        for id in 0..self.ids.len() as u32 {
            let Id { message, parent, .. } = self.ids[id as usize];
            if message == NONE || parent == NONE {
                continue;
            }
            let above = self.nearest_message(parent);
            let node = match self.ids[above as usize].message {
                NONE => *dummies.entry(above).or_insert_with(|| forest.add_dummy()),
                parent => parent,
            };
            forest.put_below(message, node);
        }
        forest.dissolve_dummies_of_one();
        forest
    }

    /// The nearest message at or above `id`, or the dummy at the root. Dummies on the way get there directly from now on.
    fn nearest_message(&mut self, id: u32) -> u32 {
        let mut above = id;
        while let Id { parent, message: NONE, .. } = self.ids[above as usize] {
            if parent == NONE {
                break;
            }
            above = parent;
        }
        let mut at = id;
        while at != above {
            at = std::mem::replace(&mut self.ids[at as usize].parent, above);
        }
        above
    }
}
