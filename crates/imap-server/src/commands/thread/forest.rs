//! Threads as trees: who is below whom, in what order, and as text (RFC 5256 §4, `thread-data`).

use connection::Output;

use super::Found;
use crate::answer;
use crate::commands::Progress;

const NONE: u32 = u32::MAX;

/// Nodes are the messages found, by their places, then dummies, which have no parent.
#[derive(Debug)]
pub struct Forest {
    messages: u32,
    parents: Vec<u32>,
    /// Nodes that are no more: a dummy whose children went elsewhere.
    gone: Vec<bool>,
    /// Roots and children in order, once they are sorted.
    roots: Vec<u32>,
    /// The children of node `n` are `children[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    children: Vec<u32>,
}

impl Forest {
    /// So many messages, all of them roots.
    pub fn of(messages: usize) -> Forest {
        Forest {
            messages: messages as u32,
            parents: vec![NONE; messages],
            gone: vec![false; messages],
            roots: Vec::new(),
            starts: Vec::new(),
            children: Vec::new(),
        }
    }

    pub fn add_dummy(&mut self) -> u32 {
        self.parents.push(NONE);
        self.gone.push(false);
        (self.parents.len() - 1) as u32
    }

    pub fn is_dummy(&self, node: u32) -> bool {
        node >= self.messages
    }

    /// The caller sees to it that there is no loop.
    pub fn put_below(&mut self, node: u32, parent: u32) {
        self.parents[node as usize] = parent;
    }

    /// The children of one dummy become those of another.
    pub fn move_children(&mut self, moved: &[(u32, u32)]) {
        if moved.is_empty() {
            return;
        }
        let mut targets: Vec<u32> = (0..self.parents.len() as u32).collect();
        for (from, to) in moved {
            targets[*from as usize] = *to;
            self.gone[*from as usize] = true;
        }
        for parent in self.parents.iter_mut().filter(|parent| **parent != NONE) {
            *parent = targets[*parent as usize];
        }
    }

    /// A dummy with one child gives its place to the child (RFC 5256 §3, step 3).
    pub fn dissolve_dummies_of_one(&mut self) {
        let mut counts = vec![0u32; self.parents.len()];
        for parent in self.parents.iter().filter(|parent| **parent != NONE) {
            counts[*parent as usize] += 1;
        }
        for node in 0..self.messages as usize {
            let parent = self.parents[node];
            if parent != NONE && self.is_dummy(parent) && counts[parent as usize] == 1 {
                self.parents[node] = NONE;
            }
        }
        for (gone, count) in self.gone.iter_mut().zip(&counts).skip(self.messages as usize) {
            *gone |= *count < 2;
        }
    }

    /// Nodes without parents, by the sent date of each or, for a dummy, of its first child, then by place; with the message
    /// that stands for them.
    pub fn roots_by_date(&self, found: &[Found]) -> Vec<(u32, u32)> {
        let mut first = vec![NONE; self.parents.len()];
        for node in 0..self.messages {
            let parent = self.parents[node as usize];
            if parent != NONE && self.is_dummy(parent) {
                let earliest = &mut first[parent as usize];
                if *earliest == NONE || date(found, node) < date(found, *earliest) {
                    *earliest = node;
                }
            }
        }
        let nodes = 0..self.parents.len() as u32;
        let is_root = |node: &u32| self.parents[*node as usize] == NONE && !self.gone[*node as usize];
        let stands_for = |node: u32| if self.is_dummy(node) { first[node as usize] } else { node };
        let mut roots: Vec<(u32, u32)> = nodes.filter(is_root).map(|node| (node, stands_for(node))).collect();
        roots.sort_unstable_by_key(|(node, message)| (date(found, *message), *node));
        roots
    }

    /// Siblings by their sent dates (RFC 5256 §3, steps 4 and 6).
    pub fn sorted(mut self, found: &[Found]) -> Forest {
        self.roots = self.roots_by_date(found).into_iter().map(|(node, _)| node).collect();
        self.sort_children(found);
        self
    }

    /// Siblings by their sent dates, threads by that of their newest message (THREAD=REFS).
    pub fn by_newest(self, found: &[Found]) -> Forest {
        let mut forest = self.sorted(found);
        let mut newest: Vec<(i64, u32)> = Vec::with_capacity(forest.roots.len());
        let mut stack = Vec::new();
        for root in &forest.roots {
            let mut latest = i64::MIN;
            stack.push(*root);
            while let Some(node) = stack.pop() {
                latest = latest.max(found.get(node as usize).map_or(i64::MIN, |found| found.sent));
                stack.extend_from_slice(forest.children_of(node));
            }
            newest.push((latest, *root));
        }
        // Equal ones by their roots, dummies before messages, as Dovecot has it.
        newest.sort_unstable_by_key(|(latest, root)| (*latest, !forest.is_dummy(*root), *root));
        forest.roots = newest.into_iter().map(|(_, root)| root).collect();
        forest
    }

    fn sort_children(&mut self, found: &[Found]) {
        let nodes = self.parents.len();
        let mut rows: Vec<u32> =
            (0..self.messages).filter(|node| self.parents[*node as usize] != NONE).collect();
        rows.sort_unstable_by_key(|node| (self.parents[*node as usize], date(found, *node)));
        self.starts = vec![0; nodes + 1];
        for node in &rows {
            self.starts[self.parents[*node as usize] as usize + 1] += 1;
        }
        for node in 0..nodes {
            self.starts[node + 1] += self.starts[node];
        }
        self.children = rows;
        self.parents = Vec::new();
    }

    fn children_of(&self, node: u32) -> &[u32] {
        &self.children[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }
}

fn date(found: &[Found], node: u32) -> (i64, u32) {
    (found.get(node as usize).map_or(0, |found| found.sent), node)
}

/// What is to be written next.
enum Piece {
    /// A thread, or a branch of one.
    Open(u32),
    /// The node, after what is before it.
    Node(u32),
    /// Behind the branches of a node.
    Close,
}

/// A forest as it is written: whenever there is room, from where it stopped.
pub struct Walk {
    forest: Forest,
    root: usize,
    stack: Vec<Piece>,
    begun: bool,
}

impl Walk {
    pub fn new(forest: Forest) -> Walk {
        Walk { forest, root: 0, stack: Vec::new(), begun: false }
    }

    /// ` (2)(3 6 (4 23)(44 7 96))` and the end of the line, until the queue is full.
    pub fn tell(&mut self, found: &[Found], out: &mut Output) -> Progress {
        if !std::mem::replace(&mut self.begun, true) && !self.forest.roots.is_empty() {
            out.push(b" ");
        }
        loop {
            if out.is_full() {
                return Progress::More;
            }
            match self.stack.pop() {
                Some(piece) => self.piece(piece, found, out),
                None => match self.forest.roots.get(self.root) {
                    Some(root) => {
                        self.stack.push(Piece::Open(*root));
                        self.root += 1;
                    }
                    None => break,
                },
            }
        }
        out.push(b"\r\n");
        Progress::Done
    }

    fn piece(&mut self, piece: Piece, found: &[Found], out: &mut Output) {
        let node = match piece {
            Piece::Close => return out.push(b")"),
            Piece::Open(node) => {
                out.push(b"(");
                node
            }
            Piece::Node(node) => node,
        };
        let message = found.get(node as usize);
        if let Some(message) = message {
            answer::digits(out, message.number.into());
        }
        let children = self.forest.children_of(node);
        if message.is_some() && !children.is_empty() {
            out.push(b" ");
        }
        match children {
            [] => out.push(b")"),
            [child] => self.stack.push(Piece::Node(*child)),
            children => {
                self.stack.push(Piece::Close);
                self.stack.extend(children.iter().rev().map(|child| Piece::Open(*child)));
            }
        }
    }
}
