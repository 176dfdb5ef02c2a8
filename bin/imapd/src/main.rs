//! imapd: IMAP sessions over the message store.

fn main() -> std::process::ExitCode {
    imap_server::daemon::main()
}
