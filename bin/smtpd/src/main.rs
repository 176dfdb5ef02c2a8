//! smtpd: the accept module and the stages of the mta in one process, meeting in the queue.

mod inspectors;
mod plugin_host;
mod service;

fn main() -> std::process::ExitCode {
    service::main()
}
