//! Everything after acceptance: one file per stage; meets smtp-server only through the queue.
