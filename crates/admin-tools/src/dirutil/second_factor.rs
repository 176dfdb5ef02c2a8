//! dirutil second-factor: on and off.

use std::io::Write;

use clap::ValueEnum;
use directory::{SecondFactors, edit};

use super::{Place, changes, find, values};
use crate::site::broken;

const ATTRIBUTE: &str = "mailTotpSecret";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// A new secret, printed for the user's authenticator app; a former one is none any more
    On,
    Off,
}

pub fn run(
    place: &Place<'_>,
    factors: &SecondFactors,
    who: &str,
    switch: Switch,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), String> {
    let records = edit::read(place.file)?;
    let domain = place.domains.default_domain();
    let uid = values(find(&records, who, domain)?, "uid")
        .next()
        .map(|uid| String::from_utf8_lossy(uid).into_owned());
    let uid = uid.ok_or_else(|| format!("{} is a group", base::escape(who)))?;
    if switch == Switch::Off {
        let remove = [ATTRIBUTE.to_owned()];
        return changes::change(
            place,
            who,
            &changes::Wanted { set: &[], add: &[], remove: &remove, force: false },
            err,
        );
    }
    let made = factors.make(&uid, domain)?;
    let set = [format!("{ATTRIBUTE}={}", made.sealed)];
    changes::change(place, who, &changes::Wanted { set: &set, add: &[], remove: &[], force: false }, err)?;
    let _ = writeln!(
        err,
        "for the authenticator app of {}; IMAP, POP and SMTP take app passwords alone from now on (dirutil app-password)",
        base::escape(&uid)
    );
    writeln!(out, "{}\n{}", made.text, made.url).map_err(broken)
}
