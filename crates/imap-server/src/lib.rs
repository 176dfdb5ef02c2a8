//! IMAP sessions over the message store.
