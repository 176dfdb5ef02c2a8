//! The load generator behind scripts/bench: plain sockets, so that the same bytes go to every peer.
//!
//! It prints `name value` lines; scripts/bench.py runs the peers in turn and computes the ratios.

mod client;
mod workloads;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[derive(Clone, Copy, ValueEnum)]
enum Workload {
    /// SMTP in: until the last 250, and until the last message lies in its mailbox.
    Smtp,
    /// IMAP APPEND.
    Append,
    /// IMAP as a client does it: log in, select, list, read, flag, log out.
    Imap,
    /// POP: log in, UIDL, RETR of everything, QUIT.
    Pop,
    /// IMAP sessions that are selected and idle, until standard input ends.
    Idle,
    /// Fills one mailbox of `u<clients>` by all clients, then SELECT and FETCH of everything.
    Large,
    /// No server: as many files of this size, each with its own fdatasync, by as many threads.
    Disk,
}

/// What is asked of a server.
#[derive(Clone, Parser)]
#[command(about, version)]
pub struct Plan {
    workload: Workload,
    #[arg(long)]
    smtp: Option<SocketAddr>,
    #[arg(long)]
    imap: Option<SocketAddr>,
    #[arg(long)]
    pop: Option<SocketAddr>,
    /// Domain of the recipients.
    #[arg(long, default_value = "example.test")]
    domain: String,
    /// Clients at a time; client n is the user `u<n>` with the password `pw-u<n>`.
    #[arg(long, default_value_t = 10)]
    clients: usize,
    /// Messages of all clients together.
    #[arg(long, default_value_t = 1000)]
    messages: usize,
    /// Bytes of a message.
    #[arg(long, default_value_t = 4096)]
    bytes: usize,
    /// With `disk`: the folder.
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let plan = Plan::parse();
    let done = match plan.workload {
        Workload::Smtp => workloads::smtp(&plan),
        Workload::Append => workloads::append(&plan),
        Workload::Imap => workloads::imap(&plan),
        Workload::Pop => workloads::pop(&plan),
        Workload::Idle => workloads::idle(&plan),
        Workload::Large => workloads::large(&plan),
        Workload::Disk => workloads::disk(&plan),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load-generator: {error}");
            ExitCode::FAILURE
        }
    }
}
