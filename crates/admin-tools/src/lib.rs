//! The command-line tools, one module each.
pub mod configutil;
pub mod docs;
pub mod getconf;
pub mod setconf;
