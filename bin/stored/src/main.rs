//! stored: the keeper of the message store.

fn main() -> std::process::ExitCode {
    store_maintenance::daemon::main()
}
