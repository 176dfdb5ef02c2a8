//! dirutil: see `admin_tools::dirutil`.

fn main() -> std::process::ExitCode {
    admin_tools::dirutil::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
