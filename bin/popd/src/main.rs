//! popd: POP3 sessions over the message store.

fn main() -> std::process::ExitCode {
    pop3_server::daemon::main()
}
