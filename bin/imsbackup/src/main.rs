//! imsbackup: see `admin_tools::imsbackup`.

fn main() -> std::process::ExitCode {
    admin_tools::imsbackup::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
