//! mshttpd: web mail and JMAP over the message store.

fn main() -> std::process::ExitCode {
    http_server::daemon::main()
}
