//! Password hashes of the C library.
