//! guessutil: see `admin_tools::guessutil`.

fn main() -> std::process::ExitCode {
    admin_tools::guessutil::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
