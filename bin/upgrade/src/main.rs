//! upgrade: see `admin_tools::upgrade`.

fn main() -> std::process::ExitCode {
    admin_tools::upgrade::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
