//! Where the messages of one email are: mostly one place, kept without an allocation.

/// Numbers of mailboxes, and slots in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    first: Option<(u16, u32)>,
    more: Vec<(u16, u32)>,
}

impl Places {
    pub fn iter(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        self.first.iter().copied().chain(self.more.iter().copied())
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub fn add(&mut self, mailbox: u16, slot: u32) {
        if self.first.is_none() {
            self.first = Some((mailbox, slot));
        } else {
            self.more.push((mailbox, slot));
        }
    }

    pub fn remove(&mut self, mailbox: u16, slot: u32) {
        if self.first == Some((mailbox, slot)) {
            self.first = self.more.pop();
        } else {
            self.more.retain(|place| *place != (mailbox, slot));
        }
    }
}
