//! msg-acme: the certificate that is ordered by ACME: how it stands, a new one at once, and a trial.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use acme::{Bound, Challenges, Directory, Outcome, Settings, Status, Wish};
use base::https_url::HttpsUrl;
use clap::{CommandFactory, Parser, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::site::{Site, broken, run_tool};

/// How long somebody else who orders is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(660);
/// The largest authority's, and the one that it has for trials.
const USUAL: &str = "https://acme-v02.api.letsencrypt.org/directory";
const TRIAL: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

#[derive(Parser)]
#[command(
    name = "msg-acme",
    version,
    about = "Shows and orders the certificate that comes by ACME",
    after_help = "stored orders and renews by itself when service.acme.names is set; see the handbook, Certificates."
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// What is in use, when the next is due, how the last attempt went (also without a subcommand)
    Show,
    /// Where the authority's terms of service are
    Terms,
    /// Orders now what is due, whatever failed before
    Order {
        /// Also when the present certificate is good for long
        #[arg(long)]
        force: bool,
    },
    /// Orders from a directory for trials and puts nothing into use
    Try {
        /// Its URL; else Let's Encrypt's own for trials, or service.acme.directory where that is another
        #[arg(long)]
        directory: Option<String>,
        /// The authorities (PEM) of its own certificate; else service.acme.cafile
        #[arg(long)]
        ca_file: Option<PathBuf>,
    },
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("msg-acme", arguments, out, err, |arguments: Arguments, out, _| {
        let site = Site::open(arguments.instance.as_deref(), "msg-acme")?;
        let (errors, _) = Settings::judge(&site.instance, &site.config);
        if let Some(why) = errors.into_iter().next() {
            return Err(why);
        }
        let settings = Settings::from_config(&site.instance, &site.config)?
            .ok_or("service.acme.names is not set: nothing is ordered by ACME")?;
        let what = arguments.what.unwrap_or(What::Show);
        let orders = matches!(what, What::Order { .. } | What::Try { .. });
        let bound = if orders { bind(&site, &settings) } else { None }; // with root's rights, if they are ours
        site.act_as_server()?;
        match what {
            What::Show => show(&settings, out),
            What::Terms => terms(&settings, out),
            What::Order { force } => {
                answer(bound, &settings.challenges)?;
                order(&settings, if force { Wish::Another } else { Wish::Now }, out)
            }
            What::Try { directory, ca_file } => {
                answer(bound, &settings.challenges)?;
                trial(settings, directory, ca_file, out)
            }
        }
    })
}

/// When stored does not run, its port is ours. Else it answers.
fn bind(site: &Site, settings: &Settings) -> Option<Bound> {
    if settings.port == 0 {
        return None;
    }
    let all = dispatcher::daemon::listen_addresses(&site.config).ok()?;
    let addresses: Vec<SocketAddr> = all.into_iter().map(|ip| SocketAddr::new(ip, settings.port)).collect();
    Bound::at(&addresses).ok()
}

fn answer(bound: Option<Bound>, challenges: &Path) -> Result<(), String> {
    let Some(bound) = bound else { return Ok(()) };
    bound.answer(&Challenges::new(challenges)).map_err(|why| format!("service.acme.port: {why}"))
}

fn show(settings: &Settings, out: &mut dyn Write) -> Result<(), String> {
    let now = base::clock::unix_seconds();
    let Status { installed, due, state, next } = acme::status(settings, now)?;
    let mut lines = vec![
        ("names", settings.names.join(" ")),
        ("directory", settings.directory.to_string()),
        ("certificate", settings.place.0.display().to_string()),
    ];
    match &installed {
        None => lines.push(("in use", "none".into())),
        Some(found) => {
            lines.push(("in use", format!("for {}", found.names.join(" "))));
            lines.push(("serial", found.serial.clone()));
            lines.push(("issuer", base::escape(&found.issuer)));
            lines.push(("from", found.directory.as_deref().map_or("elsewhere".into(), base::escape)));
            lines.push(("good", format!("{} to {}", local(found.begins), local(found.ends))));
            lines.push((
                "key",
                if found.fits { "fits".into() } else { "DOES NOT FIT the certificate".into() },
            ));
        }
    }
    let why = if due.1.is_empty() { String::new() } else { format!(", since {}", due.1) };
    lines.push(("due", if due.0 <= now { format!("now{why}") } else { local(due.0) }));
    if !settings.agrees {
        lines.push(("next order", "none before service.acme.agreetos is yes".into()));
    } else {
        lines.push(("next order", if next <= now { "now".into() } else { local(next) }));
    }
    lines.push((
        "orders",
        format!("{} in 24 hours, {} at most", state.orders_since(now), settings.orders_max),
    ));
    lines.push(("failures", state.failures.to_string()));
    if !state.error.is_empty() {
        lines.push(("last failure", format!("{}: {}", local(state.tried), base::escape(&state.error))));
    }
    lines.iter().try_for_each(|(name, value)| writeln!(out, "{name}: {value}").map_err(broken))
}

fn terms(settings: &Settings, out: &mut dyn Write) -> Result<(), String> {
    let directory = Directory::read(settings).map_err(|why| why.why)?;
    let text = directory.terms.unwrap_or_else(|| "the authority has no terms of service".into());
    writeln!(out, "{text}").map_err(broken)
}

fn order(settings: &Settings, wish: Wish, out: &mut dyn Write) -> Result<(), String> {
    match acme::renew(settings, wish, BUSY_WAIT, &|| false) {
        Outcome::NotDue { at } => writeln!(
            out,
            "the certificate is good; the next is due {} (--force orders one all the same)",
            local(at)
        )
        .map_err(broken),
        Outcome::Waits { until, why } => Err(format!("nothing is ordered before {}: {why}", local(until))),
        Outcome::Busy => Err("somebody else is ordering, and does not finish".into()),
        Outcome::Issued(found) => writeln!(
            out,
            "a new certificate for {} is in use, until {}",
            found.names.join(" "),
            local(found.ends)
        )
        .map_err(broken),
        Outcome::Failed { why, .. } => Err(format!("{why}. The present certificate stays in use")),
    }
}

/// The whole way, into a folder that goes away; nothing of it counts for the directory in use.
fn trial(
    settings: Settings,
    directory: Option<String>,
    ca_file: Option<PathBuf>,
    out: &mut dyn Write,
) -> Result<(), String> {
    let usual = settings.directory.to_string();
    let named = directory.unwrap_or_else(|| if usual == USUAL { TRIAL.to_owned() } else { usual });
    let folder = tempfile::tempdir().map_err(|why| why.to_string())?;
    let authorities = ca_file.or_else(|| settings.authorities.clone());
    let trial = Settings {
        directory: HttpsUrl::parse(&named)?,
        authorities,
        folder: folder.path().join("acme"),
        place: (folder.path().join("server.crt"), folder.path().join("server.key")),
        ..settings
    };
    match acme::renew(&trial, Wish::Another, Duration::ZERO, &|| false) {
        Outcome::Issued(found) => writeln!(
            out,
            "{named} issued a certificate for {} (by {}): the names can be proved. It is not put into use",
            found.names.join(" "),
            base::escape(&found.issuer)
        )
        .map_err(broken),
        Outcome::Failed { why, .. } | Outcome::Waits { why, .. } => Err(why),
        Outcome::Busy | Outcome::NotDue { .. } => Err("nothing was ordered".into()),
    }
}

fn local(second: i64) -> String {
    let at = Timestamp::from_second(second).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M:%S %z").to_string()
}
