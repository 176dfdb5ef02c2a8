//! What of the configuration is about ACME, as plain values.

use std::path::{Path, PathBuf};

use base::https_url::HttpsUrl;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use server_config::parameters::{service_acme, service_http};
use server_config::{Config, Instance};

/// Names of one certificate: what the largest authorities take.
const NAMES_MAX: usize = 100;

/// What is ordered, where, and where it is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub directory: HttpsUrl,
    /// In lower case; the first is the usual one.
    pub names: Vec<String>,
    /// Mail addresses.
    pub contact: Vec<String>,
    pub agrees: bool,
    pub authorities: Option<PathBuf>,
    /// Key identifier and key of an external account (RFC 8555 §7.3.4).
    pub external: Option<(String, Vec<u8>)>,
    /// Of the certificate's life that is left when a new one is ordered.
    pub renew_percent: i64,
    pub orders_max: usize,
    pub reuse_key: bool,
    /// Where challenges are answered; 0: mshttpd answers.
    pub port: u16,
    /// Everything of ours.
    pub folder: PathBuf,
    pub challenges: PathBuf,
    /// Chain and key, where the daemons look for them.
    pub place: (PathBuf, PathBuf),
}

impl Settings {
    /// `service.acme.*`; nothing when no names are set.
    ///
    /// # Errors
    /// One line: a name that cannot be ordered, or the terms are not agreed to.
    pub fn from_config(instance: &Instance, config: &Config) -> Result<Option<Settings>, String> {
        let names = names(&config.get(&service_acme::NAMES))?;
        if names.is_empty() {
            return Ok(None);
        }
        if let Some(folder) = instance.certificate_among_others(config) {
            return Err(format!(
                "service.acme.names: certificate and key need a folder of their own, which {} is not (local.encryption.certificate, .key)",
                folder.display()
            ));
        }
        let contact = config.get(&service_acme::CONTACT);
        let is_address =
            |text: &&String| text.is_ascii() && text.split_once('@').is_some_and(|(_, d)| !d.is_empty());
        if let Some(wrong) = contact.iter().find(|text| !is_address(text)) {
            return Err(format!("service.acme.contact: '{}' is no mail address", base::escape(wrong)));
        }
        let set = config.get(&service_acme::CA_FILE);
        Ok(Some(Settings {
            directory: config.get(&service_acme::DIRECTORY),
            names,
            contact,
            agrees: config.get(&service_acme::AGREE_TOS),
            authorities: (!set.is_empty()).then(|| instance.root().join(set)),
            external: external(instance.root(), config)?,
            renew_percent: config.get(&service_acme::RENEW_PERCENT),
            orders_max: usize::try_from(config.get(&service_acme::ORDERS_MAX)).unwrap_or(1),
            reuse_key: config.get(&service_acme::REUSE_KEY),
            port: config.get(&service_acme::PORT),
            folder: instance.acme_dir(),
            challenges: instance.acme_challenges_dir(),
            place: instance.certificate_place(config),
        }))
    }

    /// What would keep an order from being made or answered, a line each: errors, and doubts.
    pub fn judge(instance: &Instance, config: &Config) -> (Vec<String>, Vec<String>) {
        let settings = match Settings::from_config(instance, config) {
            Err(why) => return (vec![why], Vec::new()),
            Ok(None) => return (Vec::new(), Vec::new()),
            Ok(Some(settings)) => settings,
        };
        let mut errors = Vec::new();
        if let Some(file) = settings.authorities.filter(|file| !file.is_file()) {
            errors.push(format!("service.acme.cafile: {} is no file", file.display()));
        }
        let mut doubts = Vec::new();
        if !settings.agrees {
            doubts.push("service.acme.names is set, and no certificate is ordered before service.acme.agreetos is yes (msg-acme terms)".into());
        }
        let answers = if settings.port == 0 { config.get(&service_http::PORT) } else { settings.port };
        let is_on = settings.port != 0 || (config.get(&service_http::ENABLE) && answers != 0);
        if !is_on {
            doubts.push("service.acme.names is set, and nobody answers the authority's challenges: mshttpd on service.http.port, or stored on service.acme.port".into());
        } else if answers != 80 {
            doubts.push(format!("challenges of ACME are answered on port {answers}, and authorities ask port 80: something must lead from there to here"));
        }
        (errors, doubts)
    }
}

/// RFC 8555 §7.1.3: names for which http-01 can answer, so no `*`; a name twice is one.
fn names(given: &[String]) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for name in given {
        let told = |why: &str| Err(format!("service.acme.names: '{}' {why}", base::escape(name)));
        if name.contains('*') {
            return told("cannot be proved by http-01, which has no '*'");
        }
        let Some(ascii) = base::idn::to_ascii(name) else { return told("is no host name") };
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if ascii.parse::<std::net::IpAddr>().is_ok() || !ascii.contains('.') || !ascii.split('.').all(is_name)
        {
            return told("is no name that an authority could look up");
        }
        if !names.contains(&ascii) {
            names.push(ascii);
        }
    }
    if names.len() > NAMES_MAX {
        return Err(format!("service.acme.names: more than {NAMES_MAX} names"));
    }
    Ok(names)
}

fn external(root: &Path, config: &Config) -> Result<Option<(String, Vec<u8>)>, String> {
    let (kid, set) = (config.get(&service_acme::EAB_KID), config.get(&service_acme::EAB_KEY));
    if kid.is_empty() {
        return Ok(None);
    }
    let text = match set.strip_prefix("file:") {
        None => set,
        Some(file) => {
            let path = root.join(file);
            std::fs::read_to_string(&path)
                .map_err(|why| format!("service.acme.eabkey: {}: {why}", path.display()))?
        }
    };
    let text = text.trim().trim_end_matches('=');
    let key = URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).unwrap_or_default();
    if key.is_empty() {
        return Err("service.acme.eabkey is not what an authority gives (base64url)".into());
    }
    Ok(Some((kid, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Option<Settings>, String> {
        Settings::from_config(&Instance::new("/i"), &Config::from_text(text).unwrap())
    }

    #[test]
    fn nothing_is_ordered_unless_there_are_names() {
        assert_eq!(settings(""), Ok(None));
        let found =
            settings("service.acme.names = Mail.Example.org imap.example.org mail.example.org\n").unwrap();
        assert_eq!(found.unwrap().names, ["mail.example.org", "imap.example.org"]);
    }

    #[test]
    fn what_cannot_be_ordered_is_told() {
        for (text, why) in [
            ("service.acme.names = *.example.org\n", "http-01"),
            ("service.acme.names = localhost\n", "look up"),
            ("service.acme.names = 192.0.2.1\n", "look up"),
            ("service.acme.names = a..b\n", "a..b"),
            ("service.acme.names = a.b\nlocal.encryption.certificate = config/server.crt\n", "of their own"),
            ("service.acme.names = a.b\nservice.acme.contact = me\n", "mail address"),
            ("service.acme.names = a.b\nservice.acme.eabkid = k\nservice.acme.eabkey = *\n", "eabkey"),
        ] {
            let found = settings(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
        let key = "service.acme.names = a.b\nservice.acme.eabkid = k\nservice.acme.eabkey = AQID\n";
        assert_eq!(settings(key).unwrap().unwrap().external, Some(("k".into(), vec![1, 2, 3])));
    }
}
