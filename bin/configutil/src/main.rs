//! configutil: see `admin_tools::configutil`.

fn main() -> std::process::ExitCode {
    admin_tools::configutil::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr()).into()
}
