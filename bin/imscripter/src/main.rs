//! imscripter: see `admin_tools::imscripter`.

fn main() -> std::process::ExitCode {
    admin_tools::imscripter::run(
        std::env::args_os(),
        &mut std::io::stdin().lock(),
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
    .into()
}
