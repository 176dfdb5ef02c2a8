//! quotacheck: see `admin_tools::quotacheck`.

fn main() -> std::process::ExitCode {
    admin_tools::quotacheck::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
