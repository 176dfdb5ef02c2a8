//! mshttpd: from the configuration to a running service.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use connection::{Access, Accessed};
use directory::{Authenticator, LogIns, SecondFactors};
use dispatcher::daemon::{self, Program, Site};
use dispatcher::{CrowdLimits, Listener, Service, TlsMode};
use dns::Resolver;
use jmap::{Jmap, Parts};
use message_store::{LastAccess, Store, StoreLog, StoreSettings};
use server_config::parameters::{local, service, service_http};
use server_log::Category;

use crate::aside::Aside;
use crate::image_proxy::ImageProxy;
use crate::refusals::Refusals;
use crate::routes::events::Streams;
use crate::session::{Desk, HttpService};
use crate::settings::{ROLE_PLAIN, ROLE_TLS, Settings};
use crate::tickets::Tickets;
use crate::visitor::Entries;
use crate::web_sessions::WebSessions;

const PROGRAM: Program = Program {
    service: "http",
    name: "mshttpd",
    about: "serves the web mail, and mailboxes to JMAP clients",
    before: None,
};
/// How long a client may leave its answers unread.
const STALL_TIMEOUT: Duration = Duration::from_secs(300);
/// How long requests may go on after SIGTERM.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs mshttpd from its arguments to its end.
pub fn main() -> ExitCode {
    daemon::main(PROGRAM, listening, service)
}

/// How it listens: `service.http.port`, and with TLS from the first byte `service.http.sslport`.
fn listening(site: &Site) -> Result<dispatcher::Settings, String> {
    let config = site.config.now();
    let offers_tls = config.get(&service_http::SSL_USE_SSL);
    let ssl_port = if offers_tls && config.get(&service_http::ENABLE_SSL_PORT) {
        config.get(&service_http::SSL_PORT)
    } else {
        0
    };
    let mut listeners = Vec::new();
    let ports = [
        (config.get(&service_http::PORT), TlsMode::Plain, ROLE_PLAIN),
        (ssl_port, TlsMode::Implicit, ROLE_TLS),
    ];
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
        max_threads: count(config.get(&service_http::MAX_THREADS)),
        max_sessions: Some(count(config.get(&service_http::MAX_SESSIONS))),
        processes: count(config.get(&service_http::NUM_PROCESSES)),
        thread_name: PROGRAM.service,
        fixed_threads: false,
        certificate: site.certificate().filter(|_| offers_tls),
        alpn: Some("http/1.1"),
        telemetry: Some(site.recording(&local::FORCE_TELEMETRY_HTTP)),
        accessed: accessed(site),
        run_dir: site.instance.run_dir(),
        crowd: CrowdLimits::from_config(&config),
        proxies: config.get_in(&service::PROXY_NETWORKS, site.program.service),
        too_many: "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        accept_delay: None,
        stall_timeout: STALL_TIMEOUT,
        drain_timeout: DRAIN_TIMEOUT,
    })
}

/// What keeps the last access, if that is on.
fn last_access(site: &Site) -> Option<LastAccess> {
    LastAccess::from_config(&site.config.now(), &site.instance, PROGRAM.service, &site.log)
}

/// Who is told of log-ins and log-outs: what keeps the last access.
fn accessed(site: &Site) -> Option<Accessed> {
    let kept = last_access(site)?;
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
    let log_ins =
        LogIns::new(Authenticator::new(directory.clone(), &config), &config, &site.instance, &site.log)?;
    let log_ins = Arc::new(log_ins);
    let jmap = Jmap::new(&Parts {
        store: store.clone(),
        directory,
        log_ins: log_ins.clone(),
        config: config.clone(),
        instance: site.instance.clone(),
        log: site.log.clone(),
    })?;
    let clients = dns::Clients::new(dns::Settings::from_config(&config), site.log.clone());
    let sessions =
        WebSessions::open(&site.instance.run_dir()).map_err(|why| format!("run/web-sessions: {why}"))?;
    let tickets = Tickets::open(&site.instance.run_dir()).map_err(|why| format!("run/web-tickets: {why}"))?;
    let settings = Settings::from_config(&config);
    let (swept, lifetime) = (sessions.clone(), settings.session);
    // Beside the service: a site may have a million folders. What is over is none in any case.
    let sweeping = std::thread::Builder::new().name("sweep".into()).spawn(move || swept.sweep(lifetime));
    if let Err(why) = sweeping {
        site.log.warning(Category::General, format_args!("run/web-sessions is not swept: {why}"));
    }
    let directory = log_ins.authenticator().directory().clone();
    let refusals = Refusals::new(directory, sessions.clone(), site.log.clone());
    let desk = Desk {
        store,
        log_ins,
        clients,
        refusals,
        sessions,
        tickets,
        entries: Entries::default(),
        aside: Aside::default(),
        jmap,
        images: images(site)?,
        factors: SecondFactors::new(&site.instance),
        streams: Streams::default(),
        challenges: acme::Challenges::new(&site.instance.acme_challenges_dir()),
        load: Arc::default(),
        last_access: last_access(site),
        log: site.log.clone(),
    };
    let reread = site.clone();
    let reload = move || reread.read_again().map(|config| Settings::from_config(&config));
    Ok(Arc::new(HttpService::new(desk, settings, Box::new(reload))))
}

/// The image proxy, if it is on.
fn images(site: &Site) -> Result<Option<ImageProxy>, String> {
    let config = site.config.now();
    if !config.get(&service_http::IMAGE_PROXY) {
        return Ok(None);
    }
    let resolver = Resolver::new(dns::Settings::from_config(&config), site.log.clone());
    let admitted = config.get(&service_http::IMAGE_PROXY_NETWORKS);
    ImageProxy::open(&site.instance.run_dir(), resolver, admitted)
        .map(Some)
        .map_err(|why| format!("run/image-proxy.key: {why}"))
}
