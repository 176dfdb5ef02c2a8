//! imsconnutil: see `admin_tools::imsconnutil`.

fn main() -> std::process::ExitCode {
    admin_tools::imsconnutil::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
