//! storecheck: see `admin_tools::storecheck`.

fn main() -> std::process::ExitCode {
    admin_tools::storecheck::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
