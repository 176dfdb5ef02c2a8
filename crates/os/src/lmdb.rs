//! Opening an LMDB environment.
