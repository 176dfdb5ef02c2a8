//! readership: see `admin_tools::readership`.

fn main() -> std::process::ExitCode {
    admin_tools::readership::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
