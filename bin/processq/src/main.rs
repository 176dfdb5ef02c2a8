//! processq: see `admin_tools::processq`.

fn main() -> std::process::ExitCode {
    admin_tools::processq::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
