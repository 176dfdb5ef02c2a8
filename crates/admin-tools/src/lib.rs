//! The command-line tools, one module each.
pub mod configutil;
pub mod getconf;
pub mod setconf;
