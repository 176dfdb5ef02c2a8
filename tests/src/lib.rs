//! The black-box suite: real programs, real sockets, no crate of ours imported.
