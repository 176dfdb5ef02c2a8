//! What the tools that change something say to the audit log, when it is done: as the daemons' user, as nobody else may.

use std::io::Write;
use std::path::Path;

use server_config::config::canonical;
use server_config::{Config, Instance, server_user};
use server_log::{Action, Log, LogSettings};

/// Parts of names of parameters whose values are secrets.
const SECRETS: [&str; 4] = ["cred", "password", "secret", "token"];

/// What a line says: the action, and its fields.
pub type Entry = (Action, Vec<(&'static str, String)>);

/// The audit log as a tool writes it.
pub struct Auditor {
    program: String,
    by: String,
    log: Result<Log, String>,
}

impl Auditor {
    /// `uid` is who began the tool. The tool is the daemons' user from now on.
    pub fn open(instance: &Instance, config: &Config, program: &str, uid: u32) -> Auditor {
        let log = server_user::become_it(config).and_then(|()| {
            let settings = LogSettings::of_audit(config, instance);
            Log::to_stderr(program).with_audit(program, settings).map_err(|why| why.to_string())
        });
        Auditor { program: program.to_owned(), by: format!("uid:{uid}"), log }
    }

    /// Something was done. What cannot be written is said: the change stands.
    pub fn note(&self, (action, fields): &Entry, err: &mut dyn Write) {
        match &self.log {
            Err(why) => {
                let program = &self.program;
                let _ = writeln!(err, "{program}: it is done, but the audit log cannot be written: {why}");
            }
            Ok(log) => {
                let mut all: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                all.push(("by", &self.by));
                log.audit(*action, &all);
            }
        }
    }
}

/// One line for each of `lines`, as [`Auditor`] writes it.
pub fn note(
    instance: &Instance,
    config: &Config,
    program: &str,
    uid: u32,
    lines: &[Entry],
    err: &mut dyn Write,
) {
    if lines.is_empty() {
        return;
    }
    let auditor = Auditor::open(instance, config, program, uid);
    lines.iter().for_each(|line| auditor.note(line, err));
}

/// Parameters that were set in this file, if it is an instance's. A value is shown if everybody may know it.
pub fn configuration(path: &Path, changes: &[(String, String)], program: &str, err: &mut dyn Write) {
    let Some(instance) = path.parent().and_then(Path::parent).map(Instance::new) else { return };
    if instance.local_conf() != path || !instance.mark().exists() {
        return;
    }
    let Ok(config) = Config::read(path) else { return };
    let lines: Vec<Entry> = changes
        .iter()
        .map(|(name, value)| {
            let name = canonical(name);
            let mut fields = vec![("parameter", name.clone())];
            match value.as_str() {
                "" => fields.push(("result", "cleared".to_owned())),
                value => {
                    fields.push(("result", "set".to_owned()));
                    if is_public(&name) {
                        fields.push(("value", value.to_owned()));
                    }
                }
            }
            (Action::Configuration, fields)
        })
        .collect();
    note(&instance, &config, program, os::process::own_uid(), &lines, err);
}

/// What nobody knows may be anything.
fn is_public(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    server_config::find(&name).is_some() && !SECRETS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for secret in [
            "local.ugldapbindcred",
            "service.ldapbindcred",
            "local.ldapsiecred",
            "local.service.smtp.smtp-deliver.credentials",
            "local.unheard.of",
        ] {
            assert!(!is_public(secret), "{secret}");
        }
        assert!(is_public("service.imap.idletimeout") && is_public("store.admins"));
    }
}
