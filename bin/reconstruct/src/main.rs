//! reconstruct: see `admin_tools::reconstruct`.

fn main() -> std::process::ExitCode {
    admin_tools::reconstruct::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
