//! sendmail: see `admin_tools::sendmail`.

fn main() -> std::process::ExitCode {
    admin_tools::sendmail::run(
        std::env::args_os(),
        &mut std::io::stdin(),
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
    .into()
}
