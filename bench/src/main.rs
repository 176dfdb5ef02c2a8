//! The load generator behind scripts/bench: plain sockets, so that the same bytes go to every peer.
//!
//! It prints `name value` lines; scripts/bench.py runs the peers in turn and computes the ratios. Before the measured part
//! it prints `prepared`, after it `worked`, and waits each time for a line on standard input or its end, so that the caller
//! can look at the server.

mod client;
mod sink;
mod workloads;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[derive(Clone, Copy, ValueEnum)]
enum Workload {
    /// Each user once, one after the other: log in, select, append one message; log in by POP. So that mailboxes exist.
    Warm,
    /// SMTP in: until the last 250, and until the last message lies in its mailbox.
    Smtp,
    /// SMTP in for another host, until a server inside this program (`--sink`) has each message.
    Relay,
    /// IMAP APPEND.
    Append,
    /// IMAP as a client does it: log in, select, list, read, flag, log out.
    Imap,
    /// POP: log in, UIDL, RETR of everything, QUIT.
    Pop,
    /// POP: log in, RETR and DELE of everything, QUIT; the messages are put there before.
    PopDelete,
    /// IMAP sessions that are selected and idle.
    Idle,
    /// The same inside TLS.
    IdleTls,
    /// SMTP sessions that said EHLO.
    IdleSmtp,
    /// Fills one mailbox of `u<clients>` by all clients, then SELECT and FETCH of everything.
    Large,
    /// A mailbox of very many small messages, for `scripts/bench-scale`.
    Scale,
    /// How soon those hear of new mail who wait for it, while `--messages` wait.
    Wake,
    /// `--messages` hostile connections of all kinds, while `--clients` are served.
    Hostile,
    /// The same by POP.
    HostilePop,
    /// `--messages` log-ins by IMAP, of `--users` users in turn.
    LogInImap,
    /// The same by POP.
    LogInPop,
    /// `--messages` recipients that are looked up, and get nothing.
    Recipients,
    /// No server: the messages of `large` as files `0`, `1`, ... in `--folder`, for a server that can take those.
    Letters,
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
    imaps: Option<SocketAddr>,
    #[arg(long)]
    pop: Option<SocketAddr>,
    /// With `relay`: where the server that takes everything listens.
    #[arg(long)]
    sink: Option<SocketAddr>,
    /// With `idle-tls`: the authority that is believed (PEM).
    #[arg(long)]
    authority: Option<std::path::PathBuf>,
    /// Domain of the recipients.
    #[arg(long, default_value = "example.test")]
    domain: String,
    /// Clients at a time; client n is the user `u<first + n>` with the password `pw-u<first + n>`.
    #[arg(long, default_value_t = 10)]
    clients: usize,
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// With `imap` and `pop`: sessions of each client, one after the other.
    #[arg(long, default_value_t = 5)]
    passes: usize,
    /// Messages of all clients together.
    #[arg(long, default_value_t = 1000)]
    messages: usize,
    /// Bytes of a message.
    #[arg(long, default_value_t = 4096)]
    bytes: usize,
    /// With `smtp` and `relay`: of each message.
    #[arg(long, default_value_t = 1)]
    recipients: usize,
    /// With `hostile`, `log-in-imap`, `log-in-pop` and `recipients`: of how many users the clients are.
    #[arg(long, default_value_t = 64)]
    users: usize,
    /// With `hostile`: only those of this kind, 0 to 5.
    #[arg(long)]
    kind: Option<usize>,
    /// With `large`: the messages are there already.
    #[arg(long)]
    filled: bool,
    /// With `disk` and `letters`: the folder.
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let plan = Plan::parse();
    let done = match plan.workload {
        Workload::Warm => workloads::imap::warm(&plan),
        Workload::Smtp => workloads::smtp::smtp(&plan),
        Workload::Relay => workloads::smtp::relay(&plan),
        Workload::Append => workloads::imap::append(&plan),
        Workload::Imap => workloads::imap::imap(&plan),
        Workload::Pop => workloads::pop::pop(&plan),
        Workload::PopDelete => workloads::pop::pop_delete(&plan),
        Workload::Idle => workloads::idle::idle(&plan),
        Workload::IdleTls => workloads::idle::idle_tls(&plan),
        Workload::IdleSmtp => workloads::idle::idle_smtp(&plan),
        Workload::Large => workloads::imap::large(&plan),
        Workload::Scale => workloads::scale::scale(&plan),
        Workload::Wake => workloads::wake::wake(&plan),
        Workload::Hostile => workloads::hostile::hostile(&plan, false),
        Workload::HostilePop => workloads::hostile::hostile(&plan, true),
        Workload::LogInImap => workloads::logins::imap(&plan),
        Workload::LogInPop => workloads::logins::pop(&plan),
        Workload::Recipients => workloads::logins::recipients(&plan),
        Workload::Letters => workloads::imap::letters(&plan),
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
