//! mailq: see `admin_tools::mailq`.

fn main() -> std::process::ExitCode {
    admin_tools::mailq::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
