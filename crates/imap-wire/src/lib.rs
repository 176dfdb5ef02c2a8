//! The IMAP protocol as text: bytes to typed command, typed response to bytes.
