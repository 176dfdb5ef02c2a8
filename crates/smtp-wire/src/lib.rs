//! The SMTP protocol as text: bytes to typed command, typed reply to bytes.
