//! msg-tlsreport: how TLS with other hosts went, from the counts that smtpd keeps: a line for each destination, or the
//! report of RFC 8460 about one of them.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use directory::LocalDomains;
use tls_report::{About, Day, Tally, report};

use crate::site::{Site, broken, run_tool};

#[derive(Parser)]
#[command(
    name = "msg-tlsreport",
    version,
    about = "Shows how TLS with other hosts went",
    after_help = "A line has the destination, the policy (tlsa: DANE, sts: MTA-STS, no-policy-found), sessions that went well and\n\
                  sessions that failed. With a destination, the report of RFC 8460 about it is printed (JSON)."
)]
struct Arguments {
    /// The instance; else CONFIGROOT names its config folder
    #[arg(long)]
    instance: Option<PathBuf>,
    /// The day (UTC), such as 2026-11-29; else the newest that there is
    #[arg(long)]
    day: Option<String>,
    /// The days that there are
    #[arg(long)]
    days: bool,
    /// The report about this destination
    domain: Option<String>,
}

/// The command line, for the generated documents.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the tool; the result is the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    run_tool("msg-tlsreport", arguments, out, err, |arguments: Arguments, out, _| {
        let site = Site::open(arguments.instance.as_deref(), "msg-tlsreport")?;
        let folder = site.instance.tls_reports_dir();
        let days = Tally::days(&folder);
        if arguments.days {
            return days.iter().try_for_each(|day| writeln!(out, "{day}").map_err(broken));
        }
        let Some(name) = arguments.day.or_else(|| days.last().cloned()) else {
            return Err("nothing was counted yet".into());
        };
        let day = Tally::read(&folder, &name)
            .ok_or_else(|| format!("there are no counts of {}", base::escape(&name)))?;
        match arguments.domain {
            None => list(&day, out),
            Some(domain) => {
                let organization = LocalDomains::from_config(&site.config).default_domain().to_owned();
                let contact = format!("postmaster@{organization}");
                let about = About { organization: &organization, contact: &contact };
                let text = report(&day, &domain.to_ascii_lowercase(), &about).ok_or_else(|| {
                    format!("no session with {} was counted on {name}", base::escape(&domain))
                })?;
                out.write_all(text.as_bytes()).map_err(broken)
            }
        }
    })
}

fn list(day: &Day, out: &mut dyn Write) -> Result<(), String> {
    day.policies.iter().try_for_each(|((domain, policy), counts)| {
        let (policy, good, bad) = (policy.word(), counts.successes, counts.failures);
        writeln!(out, "{domain} {policy} {good} {bad}").map_err(broken)
    })
}
