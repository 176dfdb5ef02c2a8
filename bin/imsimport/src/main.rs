//! imsimport: see `admin_tools::imsimport`.

fn main() -> std::process::ExitCode {
    admin_tools::imsimport::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
