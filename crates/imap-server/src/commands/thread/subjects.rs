//! Threads by subject: THREAD=ORDEREDSUBJECT, and step 5 of THREAD=REFERENCES (RFC 5256 §3).

use std::collections::HashMap;

use super::forest::Forest;
use super::{Found, Hash};

/// Messages of one base subject: the first is the parent of all others.
pub fn ordered(found: &[Found]) -> Forest {
    let mut forest = Forest::of(found.len());
    let mut order: Vec<u32> = (0..found.len() as u32).collect();
    order.sort_by_key(|node| found[*node as usize].sent);
    let mut firsts: HashMap<Option<Hash>, u32> = HashMap::new();
    for node in order {
        let first = *firsts.entry(found[node as usize].subject.hash).or_insert(node);
        if first != node {
            forest.put_below(node, first);
        }
    }
    forest.sorted(found)
}

/// Step 5: threads of the same subject come together, in the order of their dates.
pub fn gather(forest: &mut Forest, found: &[Found]) {
    let roots = forest.roots_by_date(found);
    let mut table = table(forest, found, &roots);
    let mut moved = Vec::new();
    for (node, message) in roots {
        let subject = found[message as usize].subject;
        let Some(entry) = subject.hash.and_then(|hash| table.get_mut(&hash)) else { continue };
        if entry.node == node {
            continue;
        }
        if forest.is_dummy(node) && forest.is_dummy(entry.node) {
            moved.push((node, entry.node));
        } else if forest.is_dummy(entry.node) || (subject.is_reply_or_forward && !entry.is_reply_or_forward) {
            forest.put_below(node, entry.node);
        } else {
            let dummy = forest.add_dummy();
            forest.put_below(entry.node, dummy);
            forest.put_below(node, dummy);
            *entry = Entry { node: dummy, is_reply_or_forward: false };
        }
    }
    forest.move_children(&moved);
}

/// Who stands for a subject.
struct Entry {
    node: u32,
    is_reply_or_forward: bool,
}

/// Step 5.B: a dummy before a message, a message before a reply, the earlier before the later.
fn table(forest: &Forest, found: &[Found], roots: &[(u32, u32)]) -> HashMap<Hash, Entry> {
    let mut table: HashMap<Hash, Entry> = HashMap::new();
    for (node, message) in roots {
        let subject = found[*message as usize].subject;
        let Some(hash) = subject.hash else { continue };
        let new = Entry { node: *node, is_reply_or_forward: subject.is_reply_or_forward };
        match table.get_mut(&hash) {
            None => drop(table.insert(hash, new)),
            Some(entry) => {
                let gives_way =
                    forest.is_dummy(*node) || (entry.is_reply_or_forward && !new.is_reply_or_forward);
                if !forest.is_dummy(entry.node) && gives_way {
                    *entry = new;
                }
            }
        }
    }
    table
}
