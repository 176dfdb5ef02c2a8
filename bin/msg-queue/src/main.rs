//! msg-queue: see `admin_tools::msg_queue`.

fn main() -> std::process::ExitCode {
    admin_tools::msg_queue::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
