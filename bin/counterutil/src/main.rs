//! counterutil: see `admin_tools::counterutil`.

fn main() -> std::process::ExitCode {
    admin_tools::counterutil::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
