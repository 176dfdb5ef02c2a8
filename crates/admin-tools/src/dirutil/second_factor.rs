//! dirutil second-factor: on and off, and the recovery codes.

use std::io::Write;

use clap::ValueEnum;
use directory::{SecondFactors, edit, recovery_codes};

use super::{Place, changes, find, values};
use crate::site::broken;

const ATTRIBUTE: &str = "mailTotpSecret";
const CODES: &str = "mailRecoveryCode";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// A new secret, printed for the user's authenticator app, and ten recovery codes; former ones are none any more
    On,
    Off,
    /// How many recovery codes are left
    Codes,
    /// Ten new recovery codes, printed; former ones are none any more
    RenewCodes,
    /// No recovery codes any more
    ClearCodes,
}

impl Switch {
    /// What the audit log calls it; nothing when nothing is changed.
    pub fn result(self) -> Option<&'static str> {
        match self {
            Switch::On => Some("on"),
            Switch::Off => Some("off"),
            Switch::Codes => None,
            Switch::RenewCodes => Some("codes-renewed"),
            Switch::ClearCodes => Some("codes-cleared"),
        }
    }
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
    let record = find(&records, who, domain)?;
    let uid = values(record, "uid").next().map(|uid| String::from_utf8_lossy(uid).into_owned());
    let uid = uid.ok_or_else(|| format!("{} is a group", base::escape(who)))?;
    let is_on = values(record, ATTRIBUTE).next().is_some();
    let left = values(record, CODES).count();
    if !is_on && matches!(switch, Switch::Codes | Switch::RenewCodes) {
        return Err(format!("{} has no second factor", base::escape(&uid)));
    }
    match switch {
        Switch::On => turn_on(place, factors, &uid, who, out, err),
        Switch::Off => changed(place, who, &[], &gone(left), err),
        Switch::Codes => writeln!(out, "{left}").map_err(broken),
        Switch::RenewCodes => {
            let made = recovery_codes::make(&uid)?;
            changed(place, who, &stored(&made), &[], err)?;
            print_codes(&made, out, err)
        }
        Switch::ClearCodes if left == 0 => Ok(()),
        Switch::ClearCodes => changed(place, who, &[], &[CODES.to_owned()], err),
    }
}

fn turn_on(
    place: &Place<'_>,
    factors: &SecondFactors,
    uid: &str,
    who: &str,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), String> {
    let (made, codes) = (factors.make(uid, place.domains.default_domain())?, recovery_codes::make(uid)?);
    let mut set = vec![format!("{ATTRIBUTE}={}", made.sealed)];
    set.extend(stored(&codes));
    changed(place, who, &set, &[], err)?;
    let _ = writeln!(
        err,
        "for the authenticator app of {}; IMAP, POP and SMTP take app passwords alone from now on (dirutil app-password)",
        base::escape(uid)
    );
    writeln!(out, "{}\n{}", made.text, made.url).map_err(broken)?;
    print_codes(&codes, out, err)
}

/// Off: both go. The codes of a factor that is gone would open nothing, but stand there when the next one is set up elsewhere.
fn gone(codes_left: usize) -> Vec<String> {
    let codes = (codes_left > 0).then(|| CODES.to_owned());
    std::iter::once(ATTRIBUTE.to_owned()).chain(codes).collect()
}

fn stored(made: &recovery_codes::NewCodes) -> Vec<String> {
    made.stored.iter().map(|value| format!("{CODES}={value}")).collect()
}

fn changed(
    place: &Place<'_>,
    who: &str,
    set: &[String],
    remove: &[String],
    err: &mut dyn Write,
) -> Result<(), String> {
    changes::change(place, who, &changes::Wanted { set, add: &[], remove, force: false }, err)
}

fn print_codes(
    made: &recovery_codes::NewCodes,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), String> {
    let _ = writeln!(
        err,
        "recovery codes, each good once in place of a code of the app; nobody can show them again:"
    );
    writeln!(out, "{}", made.shown.join("\n")).map_err(broken)
}
