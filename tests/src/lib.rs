//! The black-box suite: real programs, real sockets, no crate of ours imported.
//!
//! [`Instance`] makes an instance in a temporary folder on a loopback address of its own, so suites run in parallel
//! without sharing a port; [`client`] speaks the protocols line by line; [`stub_mta`] is the other host, scripted, and
//! [`stub_dns`] the name server that knows it, [`slapd`] and [`ds389`] are LDAP servers, [`directories`] any of them.
//! Everything is stopped when it is dropped.
#![allow(clippy::unwrap_used)] // a test fails by panicking

pub mod addresses;
pub mod browser;
pub mod certificates;
pub mod client;
pub mod directories;
pub mod dovecot;
pub mod ds389;
pub mod faults;
pub mod halted;
pub mod http;
pub mod imap_value;
pub mod injection;
pub mod instance;
pub mod loopback;
pub mod pebble;
pub mod peer;
pub mod peer_dkim;
pub mod sasl_client;
pub mod scram;
pub mod slapd;
pub mod spool;
pub mod strace;
pub mod stub_dns;
pub mod stub_https;
pub mod stub_milter;
pub mod stub_mta;
pub mod token_issuer;
pub mod vigil;
pub mod web_client;
pub mod world;

pub use certificates::{Authority, Certificate};
pub use client::{Imap, Pop, Smtp, Wire};
pub use dovecot::Dovecot;
pub use halted::Halted;
pub use http::{Http, HttpResponse};
pub use imap_value::Value;
pub use injection::{Became, Upgrade};
pub use instance::{Instance, Setup, program, quick, run};
pub use pebble::Pebble;
pub use peer::{Maker, Peer};
pub use strace::{Call, Trace};
pub use stub_dns::StubDns;
pub use stub_https::StubHttps;
pub use stub_milter::StubMilter;
pub use stub_mta::{Act, Received, Step, StubMta};
pub use vigil::Vigil;
pub use web_client::WebClient;
pub use world::World;
