//! msg-setup: see `admin_tools::setup`.

fn main() -> std::process::ExitCode {
    admin_tools::setup::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
