//! imapd: from the configuration to a running service.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use connection::{Access, Accessed};
use directory::{Authenticator, LogIns};
use dispatcher::daemon::{self, Program, Site};
use dispatcher::{CrowdLimits, Listener, Service, TlsMode};
use message_store::{LastAccess, Store, StoreLog, StoreSettings};
use server_config::parameters::{local, service, service_imap};

use crate::settings::{ROLE_PLAIN, ROLE_TLS};
use crate::{ImapService, Server, Settings};

const PROGRAM: Program =
    Program { service: "imap", name: "imapd", about: "serves mailboxes to IMAP clients", before: None };
/// How long a client may leave its responses unread (RFC 3501 has no word on it).
const STALL_TIMEOUT: Duration = Duration::from_secs(300);
/// How long commands may go on after SIGTERM.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs imapd from its arguments to its end.
pub fn main() -> ExitCode {
    daemon::main(PROGRAM, listening, service)
}

/// How it listens: `service.imap.port`, and with TLS from the first byte `service.imap.sslport`.
fn listening(site: &Site) -> Result<dispatcher::Settings, String> {
    let config = site.config.now();
    let offers_tls = config.get(&service_imap::SSL_USE_SSL);
    let certificate = site.certificate().filter(|_| offers_tls);
    let plain = if certificate.is_some() { TlsMode::StartTls } else { TlsMode::Plain };
    let ssl_port = if offers_tls && config.get(&service_imap::ENABLE_SSL_PORT) {
        config.get(&service_imap::SSL_PORT)
    } else {
        0
    };
    let mut listeners = Vec::new();
    let ports =
        [(config.get(&service_imap::PORT), plain, ROLE_PLAIN), (ssl_port, TlsMode::Implicit, ROLE_TLS)];
    for (port, tls, role) in ports {
        for address in site.sockets(port)? {
            listeners.push(Listener { address, tls, role });
        }
    }
    let count = |value: i64| usize::try_from(value).unwrap_or(1);
    Ok(dispatcher::Settings {
        service: PROGRAM.service,
        program: PROGRAM.name,
        listeners,
        local: Vec::new(),
        max_threads: count(config.get(&service_imap::MAX_THREADS)),
        max_sessions: Some(count(config.get(&service_imap::MAX_SESSIONS))),
        processes: count(config.get(&service_imap::NUM_PROCESSES)),
        thread_name: PROGRAM.service,
        fixed_threads: false,
        certificate,
        telemetry: Some(site.recording(&local::FORCE_TELEMETRY_IMAP)),
        accessed: accessed(site),
        run_dir: site.instance.run_dir(),
        crowd: CrowdLimits::from_config(&config),
        proxies: config.get_in(&service::PROXY_NETWORKS, site.program.service),
        too_many: "* BYE Too many connections from your network\r\n",
        accept_delay: None,
        alpn: None,
        stall_timeout: STALL_TIMEOUT,
        drain_timeout: DRAIN_TIMEOUT,
    })
}

/// Who is told of log-ins and log-outs: what keeps the last access, if that is on.
fn accessed(site: &Site) -> Option<Accessed> {
    let kept = LastAccess::from_config(&site.config.now(), &site.instance, PROGRAM.service, &site.log)?;
    Some(Arc::new(move |access, uid: &str| kept.note(access == Access::LogIn, uid)))
}

/// Opens store and directory.
fn service(site: &Arc<Site>) -> Result<Arc<dyn Service>, String> {
    let config = site.config.now();
    let store = Store::open(StoreSettings::from_config(&config, &site.instance), StoreLog::to(&site.log))
        .map_err(|why| format!("store: {why}"))?;
    store.begin_own_journal();
    let directory =
        directory::open(&config, &site.instance, &site.log).map_err(|why| format!("directory: {why}"))?;
    let log_ins = LogIns::new(Authenticator::new(directory, &config), &config, &site.instance, &site.log)?;
    let reread = site.clone();
    let reload = move || reread.read_again().map(|config| Settings::from_config(&config));
    let settings = Settings::from_config(&config);
    let clients = dns::Clients::new(dns::Settings::from_config(&config), site.log.clone());
    let server = Server::new(settings, store, log_ins, clients, site.log.clone(), Box::new(reload));
    Ok(Arc::new(ImapService(Arc::new(server))))
}
