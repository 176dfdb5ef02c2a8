//! hashdir: see `admin_tools::hashdir`.

fn main() -> std::process::ExitCode {
    admin_tools::hashdir::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
