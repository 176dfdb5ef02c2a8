//! What `configutil check` looks at: everything that could keep the suite from starting, and what it would start with to
//! no good. `start-msg` and `refresh-msg` ask before they touch a daemon.

use std::path::Path;

use connection::{Certificates, Tls};
use directory::{Directory, Embedded, Found, LocalDomains, ldap};
use server_config::parameters::{
    local, milters, service_acme, service_http, service_imap, service_pop, service_smtp,
};
use server_config::{Config, ConfigError, Instance};
use server_log::Log;

use crate::{advice, reach};

/// What was found, a line each.
#[derive(Debug, Default)]
pub struct Findings {
    /// A daemon would not start, or not take it.
    pub errors: Vec<String>,
    /// It would start all the same.
    pub warnings: Vec<String>,
}

/// The parameters by themselves: values, names, ports.
pub fn parameters(config: &Config) -> Findings {
    let mut found = Findings::default();
    if let Err(why) = config.check() {
        found.errors.push(why.to_string());
    }
    for unknown in config.unknown() {
        match unknown {
            // A name forced in by setconf that resembles none of ours belongs to something else.
            ConfigError::Unknown(_, None) => found.warnings.push(unknown.to_string()),
            _ => found.errors.push(unknown.to_string()),
        }
    }
    if found.errors.is_empty() {
        found.errors.extend(shared_ports(config));
        found.errors.extend(unplaced_filters(config));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    found.warnings.extend(advice::on_parameters(config, processors));
    found
}

/// The parameters, and the files that they lead to: directory, certificate, rules of the UBE filter, plug-ins.
pub fn whole(instance: &Instance, config: &Config) -> Findings {
    let mut found = parameters(config);
    if !found.errors.is_empty() {
        return found;
    }
    found.warnings.extend(advice::on_machine(instance));
    reach::judge(instance, config, &mut found);
    if let Some(certificates) = Certificates::from_config(instance, config)
        && let Err(why) = Tls::open(Some(certificates))
    {
        found.errors.push(format!("certificate {why}"));
    }
    if instance.certificate(config).is_none() {
        let usual = instance.certs_dir().join("server.crt");
        let told = |port| format!("{port} is on and there is no certificate: {} is missing", usual.display());
        found.errors.extend(tls_listeners(config).into_iter().map(told));
    }
    let (errors, doubts) = acme::Settings::judge(instance, config);
    found.errors.extend(errors);
    found.warnings.extend(doubts);
    found.errors.extend(crate::filter::read(&instance.filter_cfg()).err().unwrap_or_default());
    found.errors.extend(plugins::Plugins::load(instance, config).err());
    match ldap::Settings::from_config(config, instance) {
        Err(why) => found.errors.push(why),
        Ok(Some(_)) => {} // the servers may be away for a while
        Ok(None) => embedded(instance, config, &mut found),
    }
    found
}

/// The file of the embedded directory.
pub fn directory_file(instance: &Instance, config: &Config) -> Findings {
    let mut found = Findings::default();
    embedded(instance, config, &mut found);
    found
}

fn embedded(instance: &Instance, config: &Config, found: &mut Findings) {
    let set = config.get(&local::DIRECTORY_LDIF);
    let path = if set.is_empty() { instance.directory_ldif() } else { instance.root().join(set) };
    let directory = match Embedded::open(&path, Log::discard()) {
        Ok(directory) => directory,
        Err(why) => return found.errors.push(why.to_string()),
    };
    found.warnings.extend(directory.shared_names().map(|line| format!("{}: {line}", path.display())));
    found.warnings.extend(entries(&path));
    if config.get(&service_smtp::ENABLE)
        && let Err(why) = postmaster(&directory, &LocalDomains::from_config(config))
    {
        found.errors.push(why);
    }
}

/// What entries of the file say that nobody will understand.
fn entries(path: &Path) -> Vec<String> {
    let records = directory::edit::read(path).unwrap_or_default();
    let of = |record: &directory::ldif::Record| -> Vec<String> {
        let told = |why: String| format!("{} line {}: {why}", path.display(), record.line);
        directory::schema::doubts(record).into_iter().map(told).collect()
    };
    records.iter().flat_map(of).collect()
}

/// S54: exactly one entry has the postmaster's address.
fn postmaster(directory: &dyn Directory, domains: &LocalDomains) -> Result<(), String> {
    if domains.default_domain().is_empty() {
        return Err("service.smtp.domain and local.hostname are not set: configutil -o service.smtp.domain -v example.org, as msg-setup does".into());
    }
    let address = format!("postmaster@{}", domains.default_domain());
    match directory.by_address(&address) {
        Ok(Found::One(_)) | Err(_) => Ok(()),
        Ok(Found::Nobody) => Err(format!(
            "nobody has the address {address}: dirutil add user postmaster, or dirutil change WHO --add mailAlternateAddress={address}"
        )),
        Ok(Found::Several(count)) => {
            Err(format!("{count} entries have the address {address}: exactly one must"))
        }
    }
}

/// Filters that a list names and of which nobody knows where they are: smtpd would go on without the list.
fn unplaced_filters(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in
        [&milters::FILTERS, &milters::SUBMISSION_FILTERS].into_iter().flat_map(|list| config.get(list))
    {
        if name != "none" && config.get_in(&milters::ADDRESS, &name).is_none() && !names.contains(&name) {
            names.push(name);
        }
    }
    let told = |name: String| {
        let parameter = milters::ADDRESS.name.replace('*', &name);
        format!("milter {}: {} is not set", base::escape(&name), base::escape(&parameter))
    };
    names.into_iter().map(told).collect()
}

/// The parameters that open ports with TLS from the first byte, of services that are on.
fn tls_listeners(config: &Config) -> Vec<&'static str> {
    let smtp = config.get(&service_smtp::ENABLE) && config.get(&service_smtp::SUBMISSIONS_PORT) != 0;
    let imap = config.get(&service_imap::ENABLE)
        && config.get(&service_imap::SSL_USE_SSL)
        && config.get(&service_imap::ENABLE_SSL_PORT)
        && config.get(&service_imap::SSL_PORT) != 0;
    let pop = config.get(&service_pop::ENABLE)
        && config.get(&service_pop::SSL_USE_SSL)
        && config.get(&service_pop::ENABLE_SSL_PORT)
        && config.get(&service_pop::SSL_PORT) != 0;
    let http = config.get(&service_http::ENABLE)
        && config.get(&service_http::SSL_USE_SSL)
        && config.get(&service_http::ENABLE_SSL_PORT)
        && config.get(&service_http::SSL_PORT) != 0;
    let all = [
        (smtp, service_smtp::SUBMISSIONS_PORT.name),
        (imap, service_imap::ENABLE_SSL_PORT.name),
        (pop, service_pop::ENABLE_SSL_PORT.name),
        (http, service_http::ENABLE_SSL_PORT.name),
    ];
    all.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name).collect()
}

/// Changes after which nothing could be started, not even what would take them back.
///
/// # Errors
/// What is wrong with them.
pub fn judge(before: &Config, changes: &[(String, String)]) -> Result<(), String> {
    let mut after = before.clone();
    let mut changed = Vec::new();
    for (name, value) in changes {
        let name = server_config::config::canonical(name);
        after.put(&name, value);
        if before.text(&name).unwrap_or("") != value {
            changed.push(name);
        }
    }
    judge_server_user(&after, &changed)?;
    judge_ports(&after, &changed)
}

/// Daemons and tools become this user: one that there is not stops all of them.
fn judge_server_user(after: &Config, changed: &[String]) -> Result<(), String> {
    let is_asked =
        changed.iter().any(|name| [local::SERVERUID.name, local::SERVERGID.name].contains(&name.as_str()));
    if !is_asked || after.get(&local::SERVERUID).trim().is_empty() {
        return Ok(());
    }
    server_config::server_user::numbers(after).map(drop).map_err(|why| format!("{why}; nothing was set"))
}

/// No parameter that is changed may have the port of another listener.
fn judge_ports(after: &Config, changed: &[String]) -> Result<(), String> {
    let is_changed = |name: &str| changed.iter().any(|changed| changed == name);
    match clashes(after).into_iter().find(|(one, other, _)| is_changed(one) || is_changed(other)) {
        None => Ok(()),
        Some((one, other, port)) => Err(format!(
            "{one} and {other} would both be {port}; nothing was set. configutil -i sets both at once, setconf --force one all \
             the same"
        )),
    }
}

fn shared_ports(config: &Config) -> Vec<String> {
    let told = |(one, other, port)| format!("{one} and {other} are both {port}");
    clashes(config).into_iter().map(told).collect()
}

/// Two listeners on one port: the second could not bind. Services that are off, and port 0, do not count.
fn clashes(config: &Config) -> Vec<(&'static str, &'static str, u16)> {
    let mut listening: Vec<(&'static str, u16)> = Vec::new();
    if config.get(&service_smtp::ENABLE) {
        for port in [&service_smtp::PORT, &service_smtp::SUBMISSION_PORT, &service_smtp::SUBMISSIONS_PORT] {
            listening.push((port.name, config.get(port)));
        }
    }
    for (on, tls_on, ports) in [
        (
            &service_imap::ENABLE,
            &service_imap::ENABLE_SSL_PORT,
            [&service_imap::PORT, &service_imap::SSL_PORT],
        ),
        (&service_pop::ENABLE, &service_pop::ENABLE_SSL_PORT, [&service_pop::PORT, &service_pop::SSL_PORT]),
        (
            &service_http::ENABLE,
            &service_http::ENABLE_SSL_PORT,
            [&service_http::PORT, &service_http::SSL_PORT],
        ),
    ] {
        if config.get(on) {
            listening.push((ports[0].name, config.get(ports[0])));
            if config.get(tls_on) {
                listening.push((ports[1].name, config.get(ports[1])));
            }
        }
    }
    if !config.get(&service_acme::NAMES).is_empty() {
        listening.push((service_acme::PORT.name, config.get(&service_acme::PORT)));
    }
    let mut shared = Vec::new();
    for (at, (name, port)) in listening.iter().enumerate() {
        let other = listening[..at].iter().find(|(_, other)| other == port && *port != 0);
        if let Some((other, _)) = other {
            shared.push((*name, *other, *port));
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        parameters(&Config::from_text(text).unwrap()).errors
    }

    #[test]
    fn two_services_on_one_port_are_noticed_and_what_is_off_is_not() {
        assert!(errors("").is_empty());
        let two = errors("service.imap.port = 110");
        assert_eq!(two, ["service.pop.port and service.imap.port are both 110"]);
        assert!(errors("service.imap.port = 110\nservice.pop.enable = no").is_empty());
        assert!(errors("service.imap.port = 0\nservice.pop.port = 0").is_empty());
        assert!(errors("service.imap.sslport = 110").is_empty(), "that port is not open");
        let submission = errors("local.service.smtp.submissionport = 25");
        assert!(submission[0].contains("are both 25"), "{submission:?}");
    }

    #[test]
    fn a_user_that_there_is_not_is_refused_where_they_are_set() {
        let judge = |before: &str, name: &str, value: &str| {
            super::judge(&Config::from_text(before).unwrap(), &[(name.to_owned(), value.to_owned())])
        };
        let why = judge("", "local.ServerUID", "no-such-user").unwrap_err();
        assert_eq!(why, "local.serveruid: there is no user no-such-user; nothing was set");
        assert!(judge("", "local.serveruid", "nobody").is_ok());
        assert!(judge("local.serveruid = nobody", "local.servergid", "no-such-group").is_err());
        // The group first, or what is wrong is taken back, or it was wrong before.
        assert!(judge("", "local.servergid", "nogroup").is_ok());
        assert!(judge("local.serveruid = no-such-user", "local.serveruid", "").is_ok());
        assert!(judge("local.serveruid = no-such-user", "service.imap.banner", "x").is_ok());
    }

    #[test]
    fn a_port_of_another_service_is_refused_where_it_is_set() {
        let judge = |before: &str, changes: &[(&str, &str)]| {
            let changes: Vec<(String, String)> =
                changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            super::judge(&Config::from_text(before).unwrap(), &changes)
        };
        let why = judge("", &[("service.imap.port", "110")]).unwrap_err();
        assert!(
            why.starts_with("service.pop.port and service.imap.port would both be 110; nothing"),
            "{why}"
        );
        assert!(judge("service.pop.port = 9", &[("service.pop.port", "")]).is_ok());
        assert!(judge("service.pop.port = 9\nservice.imap.port = 110", &[("service.pop.port", "")]).is_err());
        let exchanged = [("service.imap.port", "110"), ("service.pop.port", "143")];
        assert!(judge("", &exchanged).is_ok());
        let clash = "service.imap.port = 110";
        assert!(judge(clash, &[("service.imap.banner", "x")]).is_ok(), "that clash was there before");
        assert!(judge(clash, &[("service.imap.port", "110")]).is_ok(), "nothing changes");
        assert!(judge(clash, &[("service.imap.port", "143")]).is_ok(), "it is mended");
    }

    #[test]
    fn ports_with_tls_that_are_on_are_known() {
        let of = |text: &str| tls_listeners(&Config::from_text(text).unwrap());
        assert!(of("").is_empty());
        let both = "service.imap.enablesslport = yes\nservice.pop.enablesslport = yes\nlocal.service.smtp.submissionsport = 465";
        assert_eq!(of(both).len(), 3);
        assert_eq!(
            of(&format!("{both}\nservice.imap.enable = no\nservice.pop.sslport = 0")),
            ["local.service.smtp.submissionsport"]
        );
    }

    #[test]
    fn a_filter_without_an_address_and_a_host_name_with_a_blank_are_noticed() {
        let text = "local.service.smtp.milters = \"spam virus\"\nlocal.service.smtp.submissionmilters = none\n\
                    local.service.smtp.milter.virus.address = inet:8891@localhost\n";
        assert_eq!(errors(text), ["milter spam: local.service.smtp.milter.spam.address is not set"]);
        for bad in ["bad host", "a@b", "a/b"] {
            let why = errors(&format!("local.hostname = \"{bad}\"\n"));
            assert!(why[0].contains("local.hostname") && why[0].contains("is no host name"), "{why:?}");
        }
        assert!(errors("local.hostname = mail.example.org\n").is_empty());
    }
}
