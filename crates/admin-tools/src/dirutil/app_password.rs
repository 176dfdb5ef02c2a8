//! dirutil app-password: add, list, remove.

use std::io::Write;

use base::network::Network;
use clap::Subcommand;
use directory::app_passwords::{AppPassword, COUNT_MAX, today};
use directory::{Service, edit};

use super::{Place, changes, find, values};
use crate::site::broken;

const ATTRIBUTE: &str = "mailAppPassword";

#[derive(Subcommand)]
pub enum Job {
    /// Make one and print it: nobody can show it again
    Add {
        /// uid
        who: String,
        /// What it is for, e.g. "Phone"
        #[arg(long)]
        label: String,
        /// For these services only: imap, pop, smtp, http
        #[arg(long, value_delimiter = ',', value_name = "SERVICE")]
        services: Vec<String>,
        /// From these networks only, e.g. 192.0.2.0/24
        #[arg(long, value_delimiter = ',', value_name = "NETWORK")]
        networks: Vec<String>,
        /// For so many days, today included
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=36_500))]
        days: Option<i64>,
    },
    /// Those of a user: id, services, networks, days of the beginning and the end, label
    List {
        /// uid
        who: String,
    },
    /// Take one back; whoever is logged in by it stays until the session ends
    Remove {
        /// uid
        who: String,
        /// As it is listed
        id: String,
    },
}

/// What the audit log says of it.
pub fn audited(job: &Job) -> Option<Vec<(&'static str, String)>> {
    let (result, who) = match job {
        Job::Add { who, .. } => ("made", who),
        Job::Remove { who, .. } => ("removed", who),
        Job::List { .. } => return None,
    };
    Some(vec![("result", result.to_owned()), ("user", who.clone())])
}

/// Does it; the id of the one that was made or removed.
pub fn run(
    place: &Place<'_>,
    job: Job,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Option<String>, String> {
    match job {
        Job::Add { who, label, services, networks, days } => {
            let unknown = |what: &str, word: &str| format!("'{}' is no {what}", base::escape(word));
            let of_four =
                |word: &String| format!("'{}' is none of imap, pop, smtp, http", base::escape(word));
            let service = |word: &String| Service::named(word).ok_or_else(|| of_four(word));
            let network = |word: &String| Network::parse(word).ok_or_else(|| unknown("network", word));
            let services = services.iter().map(service).collect::<Result<Vec<_>, _>>()?;
            let networks = networks.iter().map(network).collect::<Result<Vec<_>, _>>()?;
            let today = today();
            let expires = days.map(|days| today.saturating_add(days));
            let (made, shown) = AppPassword::make(&label, services, networks, today, expires)?;
            if stored(place, &who)?.len() >= COUNT_MAX {
                return Err(format!("{} has {COUNT_MAX} already; remove one first", base::escape(&who)));
            }
            let add = [format!("{ATTRIBUTE}={}", made.to_value())];
            let wanted = changes::Wanted { set: &[], add: &add, remove: &[], force: false };
            changes::change(place, &who, &wanted, err)?;
            let _ = writeln!(err, "its id, and the password, which nobody can show again:");
            writeln!(out, "{} {shown}", made.id).map_err(broken)?;
            Ok(Some(made.id))
        }
        Job::List { who } => {
            for value in stored(place, &who)? {
                let text = match AppPassword::parse(&value) {
                    Some(one) => {
                        let value = one.to_value();
                        let (front, label) = value.split_once(" {SHA256}").unwrap_or((&value, ""));
                        format!("{front} {}", label.split_once(' ').map_or("", |(_, label)| label))
                    }
                    None => format!(
                        "{} (cannot be read: it admits nobody)",
                        value.split(' ').next().unwrap_or("")
                    ),
                };
                writeln!(out, "{}", base::escape(&text)).map_err(broken)?;
            }
            Ok(None)
        }
        Job::Remove { who, id } => {
            let is_it = |value: &String| value.split(' ').next() == Some(id.as_str());
            let value = stored(place, &who)?.into_iter().find(is_it);
            let value = value
                .ok_or_else(|| format!("{} has no app password {}", base::escape(&who), base::escape(&id)))?;
            let remove = [format!("{ATTRIBUTE}={value}")];
            changes::change(
                place,
                &who,
                &changes::Wanted { set: &[], add: &[], remove: &remove, force: false },
                err,
            )?;
            Ok(Some(id))
        }
    }
}

fn stored(place: &Place<'_>, who: &str) -> Result<Vec<String>, String> {
    let records = edit::read(place.file)?;
    let record = find(&records, who, place.domains.default_domain())?;
    if values(record, "uid").next().is_none() {
        return Err(format!("{} is a group", base::escape(who)));
    }
    Ok(values(record, ATTRIBUTE).map(|value| String::from_utf8_lossy(value).into_owned()).collect())
}
