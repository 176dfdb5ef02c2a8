//! setconf: see `admin_tools::setconf`.

fn main() -> std::process::ExitCode {
    admin_tools::setconf::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
