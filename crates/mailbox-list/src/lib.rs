//! The mboxlist database: which mailboxes exist, where they live, who subscribes.
