//! mboxutil: see `admin_tools::mboxutil`.

fn main() -> std::process::ExitCode {
    admin_tools::mboxutil::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
