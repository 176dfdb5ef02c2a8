//! deliver: see `admin_tools::deliver`.

fn main() -> std::process::ExitCode {
    admin_tools::deliver::run(
        std::env::args_os(),
        &mut std::io::stdin(),
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    )
    .into()
}
