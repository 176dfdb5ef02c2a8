//! POP3 sessions over the message store.
