//! msg-tlsreport: see `admin_tools::msg_tlsreport`.

fn main() -> std::process::ExitCode {
    admin_tools::msg_tlsreport::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr())
        .into()
}
