//! getconf: see `admin_tools::getconf`.

fn main() -> std::process::ExitCode {
    admin_tools::getconf::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
