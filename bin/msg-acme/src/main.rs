//! msg-acme: see `admin_tools::msg_acme`.

fn main() -> std::process::ExitCode {
    admin_tools::msg_acme::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
