//! How smtpd listens: mail from other servers, submission with STARTTLS, submission with TLS, LMTP.

use std::sync::Arc;
use std::time::Duration;

use base::access::Service;
use dispatcher::daemon::Site;
use dispatcher::{CrowdLimits, Listener, LocalListener, TlsMode};
use mail_queue::Queue;
use server_config::parameters::{service, service_smtp, service_smtp_modules};
use server_config::run_count;
use server_log::Category;

/// Role of the listener for mail from other servers.
pub const ROLE_MX: u16 = 25;
/// Roles of the two submission listeners.
pub const ROLE_SUBMISSION: u16 = 587;
pub const ROLE_SUBMISSIONS: u16 = 465;

/// Role of the Unix socket by which a daemon of this host submits for its users, whom it names itself (XCLIENT).
pub const ROLE_SUBMISSION_LOCAL: u16 = 586;

/// Roles of LMTP, by a port and by a Unix socket.
pub const ROLE_LMTP: u16 = 24;
pub const ROLE_LMTP_LOCAL: u16 = 23;

/// The service as the filters of clients call it.
pub fn service_of(role: u16) -> Service {
    if role == ROLE_SUBMISSIONS { Service::Smtps } else { Service::Smtp }
}

/// How long a client may leave its replies unread.
const STALL_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a message under way may go on after SIGTERM.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Control files above which new connections are slowed down when nothing is set (S49, S52).
const THROTTLE_DEFAULT: usize = 2000;
/// The delay at the threshold, and the longest one.
const THROTTLE_STEP: Duration = Duration::from_millis(200);
const THROTTLE_MAX: Duration = Duration::from_secs(5);

/// The dispatcher's settings. The queue is asked before each accept, once there is one.
///
/// # Errors
/// `service.listenaddr` cannot be resolved.
pub fn listening(
    site: &Site,
    queue: Arc<std::sync::OnceLock<Queue>>,
) -> Result<dispatcher::Settings, String> {
    let config = site.config.now();
    let certificate = site.certificate();
    let plain = if certificate.is_some() { TlsMode::StartTls } else { TlsMode::Plain };
    let mut listeners = Vec::new();
    for (port, tls, role) in [
        (config.get(&service_smtp::PORT), plain, ROLE_MX),
        (config.get(&service_smtp::SUBMISSION_PORT), plain, ROLE_SUBMISSION),
        (config.get(&service_smtp::SUBMISSIONS_PORT), TlsMode::Implicit, ROLE_SUBMISSIONS),
        (config.get(&service_smtp_modules::LMTP_PORT), TlsMode::Plain, ROLE_LMTP),
    ] {
        for address in site.sockets(port)? {
            listeners.push(Listener { address, tls, role });
        }
    }
    let threshold = config.get(&service_smtp::THROTTLE_THRESHOLD);
    let threshold = threshold.and_then(|n| usize::try_from(n).ok()).unwrap_or(THROTTLE_DEFAULT);
    let delay = move || queue.get().map_or(Duration::ZERO, |queue| throttle(queue.depth(), threshold));
    Ok(dispatcher::Settings {
        service: site.program.service,
        program: site.program.name,
        listeners,
        local: local(site)?,
        max_threads: usize::try_from(run_count::of_network(
            &config,
            &service_smtp::SMTP_ACCEPT_MIN_RUN_COUNT,
        ))
        .unwrap_or(1),
        max_sessions: None, // S22: there is none for SMTP
        processes: 1,       // NMS: there is only ever one smtpd (guide L579)
        thread_name: "smtp-accept",
        fixed_threads: true,
        certificate,
        telemetry: None,
        accessed: None,
        run_dir: site.instance.run_dir(),
        crowd: CrowdLimits::from_config(&config),
        proxies: config.get_in(&service::PROXY_NETWORKS, site.program.service),
        too_many: "421 4.7.0 Too many connections from your network, try again later\r\n",
        accept_delay: Some(Arc::new(delay)),
        alpn: None,
        stall_timeout: STALL_TIMEOUT,
        drain_timeout: DRAIN_TIMEOUT,
    })
}

/// Bytes of a Unix socket's path at most (`sockaddr_un`).
const SOCKET_PATH_MAX: usize = 107;

/// The Unix sockets: of submission for users of this host, and of LMTP, if there is to be one.
fn local(site: &Site) -> Result<Vec<LocalListener>, String> {
    let config = site.config.now();
    let mut all = Vec::new();
    let submission = site.instance.submission_socket();
    if submission.as_os_str().len() <= SOCKET_PATH_MAX {
        // Whoever may write there sends as any user: the server's user and root.
        all.push(LocalListener { path: submission, mode: 0o600, role: ROLE_SUBMISSION_LOCAL });
    } else {
        let path = submission.display();
        site.log.warning(
            Category::General,
            format_args!("{path} is too long for a socket: the web mail cannot send"),
        );
    }
    let path = config.get(&service_smtp_modules::LMTP_SOCKET);
    if path.trim().is_empty() {
        return Ok(all);
    }
    let mode = config.get(&service_smtp_modules::LMTP_SOCKET_MODE);
    let bits = u32::from_str_radix(mode.trim(), 8).ok().filter(|bits| *bits <= 0o777);
    let mode = bits.ok_or(format!("local.service.lmtp.socketmode: '{mode}' is not of the form 0660"))?;
    all.push(LocalListener { path: site.instance.root().join(path.trim()), mode, role: ROLE_LMTP_LOCAL });
    Ok(all)
}

/// The longer the queue, the slower new connections come in; none is refused.
fn throttle(depth: usize, threshold: usize) -> Duration {
    if depth < threshold.max(1) {
        return Duration::ZERO;
    }
    let times = u32::try_from(depth / threshold.max(1)).unwrap_or(u32::MAX);
    THROTTLE_STEP.saturating_mul(times).min(THROTTLE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S49, S52.
    #[test]
    fn connections_are_slowed_from_the_threshold_on_and_never_for_long() {
        assert_eq!(throttle(1999, 2000), Duration::ZERO);
        assert_eq!(throttle(2000, 2000), THROTTLE_STEP);
        assert_eq!(throttle(6000, 2000), THROTTLE_STEP * 3);
        assert_eq!(throttle(usize::MAX, 1), THROTTLE_MAX);
    }
}
