//! The safe face of the operating system; the only crate where `unsafe` is allowed. It has never heard of mail.
#![allow(unsafe_code)] // the one crate that may

pub mod crypt;
pub mod fault;
pub mod file;
pub mod lmdb;
pub mod lock;
pub mod map;
pub mod memory;
pub mod net;
pub mod notify;
pub mod passing;
pub mod privileges;
pub mod process;
pub mod run;
pub mod sandbox;
pub mod syscalls;
pub mod trespass;
pub mod trust;
pub mod user;
