//! dkimutil: see `admin_tools::dkimutil`.

fn main() -> std::process::ExitCode {
    admin_tools::dkimutil::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
