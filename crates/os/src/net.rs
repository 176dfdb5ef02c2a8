//! Listening sockets and their options.
