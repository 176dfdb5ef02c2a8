//! imsrestore: see `admin_tools::imsrestore`.

fn main() -> std::process::ExitCode {
    admin_tools::imsrestore::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
