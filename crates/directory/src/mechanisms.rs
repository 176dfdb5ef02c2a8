//! Which SASL mechanisms the site offers, and what SCRAM tells those who have no keys.
//!
//! Nobody learns from SCRAM who exists: who is unknown, or has no password that is stored for it, gets a salt all the same,
//! always the same for a name. It comes from a secret of the site, `store/scram.secret`, that all processes share and that
//! outlives them. It is made at the first start with SCRAM; without it, other salts would be made up, which tells who is
//! made up, and nothing else.

use std::sync::Arc;

use connection::ClientCertificate;
use sasl::Mechanism;
use sasl::scram::{Hash, Verifier};
use server_config::parameters::{encryption, service, service_http, service_imap, service_pop};
use server_config::{Config, Instance};

use crate::LocalDomains;
use crate::entry::Service;
use crate::site_secret;
use crate::tokens::Issuer;

/// What is offered.
#[derive(Clone, Debug)]
pub struct Mechanisms {
    /// Best first. What is bound to TLS is offered under TLS only.
    offered: Vec<Mechanism>,
    made_up: MadeUp,
    /// Whose tokens are believed.
    issuer: Option<Arc<Issuer>>,
    /// The uid of the account that ANONYMOUS opens.
    anonymous: Option<String>,
    /// The services where that account is also opened by the name `anonymous` and whatever password.
    anonymous_by_name: Vec<Service>,
    /// What of a client's certificate is the user, in order.
    certificate_names: Vec<String>,
}

/// Of what keys are made up.
#[derive(Clone)]
struct MadeUp {
    secret: Vec<u8>,
    iterations: u32,
    default_domain: String,
}

impl std::fmt::Debug for MadeUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeUp").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// PLAIN and LOGIN.
impl Default for Mechanisms {
    fn default() -> Mechanisms {
        let made_up = MadeUp { secret: Vec::new(), iterations: 4096, default_domain: String::new() };
        Mechanisms {
            offered: vec![Mechanism::Plain, Mechanism::Login],
            made_up,
            issuer: None,
            anonymous: None,
            anonymous_by_name: Vec::new(),
            certificate_names: Vec::new(),
        }
    }
}

impl Mechanisms {
    /// `service.saslmechanisms`.
    ///
    /// # Errors
    /// A mechanism is offered that lacks what it needs: SCRAM's secret, which can be neither read nor made, the issuer of
    /// tokens, the account of ANONYMOUS; one line.
    pub fn from_config(config: &Config, instance: &Instance) -> Result<Mechanisms, String> {
        let names = config.get(&service::SASL_MECHANISMS);
        let is_named = |name: &str| names.iter().any(|named| named == name);
        let offered: Vec<Mechanism> = Mechanism::ALL
            .into_iter()
            .filter(|mechanism| is_named(mechanism.name().trim_end_matches("-PLUS")))
            .collect();
        let scram = offered.iter().any(|mechanism| matches!(mechanism, Mechanism::Scram { .. }));
        let secret = if scram { site_secret::load_or_make(&instance.scram_secret())? } else { Vec::new() };
        let iterations = u32::try_from(config.get(&service::SCRAM_ITERATIONS)).unwrap_or(u32::MAX);
        let default_domain = LocalDomains::from_config(config).default_domain().to_owned();
        let issuer = Issuer::from_config(config, instance)?.map(Arc::new);
        let anonymous = Some(config.get(&service::ANONYMOUS_USER)).filter(|uid| !uid.is_empty());
        for mechanism in &offered {
            let lacks = match mechanism {
                Mechanism::OAuthBearer | Mechanism::XOAuth2 if issuer.is_none() => "service.oauthissuer",
                Mechanism::External if config.get(&encryption::CLIENT_AUTHORITIES).is_empty() => {
                    "local.encryption.clientauthorities"
                }
                Mechanism::Anonymous if anonymous.is_none() => "service.anonymoususer",
                _ => continue,
            };
            return Err(format!("service.saslmechanisms has {}, and {lacks} is not set", mechanism.name()));
        }
        let by_name = [
            (Service::Imap, &service_imap::ALLOW_ANONYMOUS_LOGIN),
            (Service::Pop, &service_pop::ALLOW_ANONYMOUS_LOGIN),
            (Service::Http, &service_http::ALLOW_ANONYMOUS_LOGIN),
        ];
        let by_name = by_name.into_iter().filter(|(_, switch)| config.get(*switch));
        let anonymous_by_name = by_name.map(|(service, _)| service).collect();
        let made_up = MadeUp { secret, iterations, default_domain };
        let certificate_names = config.get(&encryption::CLIENT_NAMES);
        Ok(Mechanisms { offered, made_up, issuer, anonymous, anonymous_by_name, certificate_names })
    }

    /// Those that a client of a service may use on a connection.
    pub fn on(&self, service: Service, safety: Safety) -> impl Iterator<Item = Mechanism> {
        let is_there = move |mechanism: &Mechanism| is_for(service, *mechanism) && safety.admits(*mechanism);
        self.offered.iter().copied().filter(is_there)
    }

    /// What the client asks for, if it may use it.
    pub fn named(&self, service: Service, name: &str, safety: Safety) -> Choice {
        let is_there =
            |mechanism: &Mechanism| is_for(service, *mechanism) && self.offered.contains(mechanism);
        match Mechanism::named(name).filter(is_there) {
            None => Choice::Unknown,
            Some(mechanism) if safety.admits(mechanism) => Choice::Offered(mechanism),
            Some(_) => Choice::Unsafe,
        }
    }

    pub(crate) fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_deref()
    }

    /// The uid of the account that ANONYMOUS opens in a service; nothing where it opens none.
    pub(crate) fn anonymous(&self, service: Service) -> Option<&str> {
        self.anonymous.as_deref().filter(|_| is_for(service, Mechanism::Anonymous))
    }

    /// Whether this login needs no password here: `service.*.allowanonymouslogin`, and there is an account for it.
    pub(crate) fn opens_by_name(&self, service: Service, login: &str) -> bool {
        // NMS: the user is called so, whatever the account is.
        login.eq_ignore_ascii_case("anonymous")
            && self.anonymous.is_some()
            && self.anonymous_by_name.contains(&service)
    }

    /// Whom a certificate may name: the first of these that is a user's is the user.
    pub(crate) fn names_of(&self, certificate: &ClientCertificate) -> Vec<String> {
        let of = |kind: &String| match kind.to_ascii_lowercase().as_str() {
            "mail" => certificate.mail.clone(),
            "uid" => certificate.uid.clone(),
            "cn" => certificate.cn.clone(),
            _ => Vec::new(),
        };
        self.certificate_names.iter().flat_map(of).filter(|name| !name.is_empty()).collect()
    }

    /// Keys of nobody's password, for a login. Who can say the name in two ways, with the default domain and without, gets
    /// the same for both, as users do.
    pub(crate) fn made_up(&self, hash: Hash, login: &str) -> Verifier {
        let made_up = &self.made_up;
        let name = login.to_lowercase();
        let short = name.strip_suffix(&made_up.default_domain).and_then(|name| name.strip_suffix('@'));
        let name = short.filter(|name| !name.is_empty()).unwrap_or(&name);
        Verifier::made_up(hash, &made_up.secret, name, made_up.iterations)
    }
}

/// Who submits mail is somebody: a server that took it from anybody would be an open relay (RFC 4505 §4).
fn is_for(service: Service, mechanism: Mechanism) -> bool {
    mechanism != Mechanism::Anonymous || service != Service::Smtp
}

/// What a connection is safe for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Safety {
    /// A password may be said: `plaintextmincipher`.
    pub says_password: bool,
    pub encrypted: bool,
    /// There are channel bindings.
    pub bound: bool,
    /// The client has shown a certificate that is believed.
    pub certified: bool,
}

impl Safety {
    /// Without TLS a proof is as little use as a password: whoever listens in reads the mail.
    fn admits(self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::Plain | Mechanism::Login => self.says_password,
            // A token in clear is as good as a password to who listens; a digest lets them guess at leisure.
            Mechanism::OAuthBearer | Mechanism::XOAuth2 | Mechanism::CramMd5 => {
                self.says_password || self.encrypted
            }
            Mechanism::Anonymous => true,
            Mechanism::External => self.certified,
            Mechanism::Scram { plus, .. } => (self.says_password || self.encrypted) && (self.bound || !plus),
        }
    }
}

/// What a mechanism's name means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Offered(Mechanism),
    /// There is no such mechanism, or the site does not offer it.
    Unknown,
    /// Not without TLS.
    Unsafe,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const TLS: Safety = Safety { says_password: true, encrypted: true, bound: true, certified: false };

    fn names(mechanisms: &Mechanisms, safety: Safety) -> Vec<&'static str> {
        mechanisms.on(Service::Imap, safety).map(Mechanism::name).collect()
    }

    fn open(folder: &Path, text: &str) -> Mechanisms {
        Mechanisms::from_config(&Config::from_text(text).unwrap(), &Instance::new(folder)).unwrap()
    }

    #[test]
    fn what_is_offered_depends_on_the_site_and_on_tls() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("store")).unwrap();
        let standard = open(folder.path(), "");
        assert_eq!(names(&standard, TLS), ["PLAIN", "LOGIN"]);
        assert_eq!(fs::read_dir(folder.path().join("store")).unwrap().count(), 0, "no secret without SCRAM");
        let scram = open(folder.path(), "service.saslmechanisms = plain scram-sha-256\n");
        assert_eq!(names(&scram, TLS), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"]);
        assert_eq!(
            names(&scram, Safety { says_password: false, ..TLS }),
            ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
        );
        let near = Safety { encrypted: false, bound: false, ..TLS };
        assert_eq!(names(&scram, near), ["SCRAM-SHA-256", "PLAIN"]);
        let clear = Safety { says_password: false, ..near };
        assert!(names(&scram, clear).is_empty());
        assert_eq!(scram.named(Service::Imap, "scram-sha-256", clear), Choice::Unsafe);
        assert_eq!(scram.named(Service::Imap, "SCRAM-SHA-256-PLUS", near), Choice::Unsafe);
        assert_eq!(scram.named(Service::Imap, "LOGIN", TLS), Choice::Unknown);
        assert_eq!(scram.named(Service::Imap, "SCRAM-SHA-1", TLS), Choice::Unknown);
    }

    #[test]
    fn nobody_submits_mail_without_being_somebody() {
        let folder = tempfile::tempdir().unwrap();
        let text = "service.saslmechanisms = PLAIN ANONYMOUS\nservice.anonymoususer = guest\n";
        let mechanisms = open(folder.path(), text);
        for service in [Service::Imap, Service::Pop, Service::Http] {
            assert_eq!(mechanisms.anonymous(service), Some("guest"));
            assert_eq!(mechanisms.named(service, "ANONYMOUS", TLS), Choice::Offered(Mechanism::Anonymous));
        }
        assert_eq!(mechanisms.anonymous(Service::Smtp), None);
        assert_eq!(mechanisms.named(Service::Smtp, "ANONYMOUS", TLS), Choice::Unknown);
        assert_eq!(mechanisms.on(Service::Smtp, TLS).collect::<Vec<_>>(), [Mechanism::Plain]);
    }

    #[test]
    fn what_is_made_up_outlives_a_process_and_is_another_ones_at_another_site() {
        let text = "service.saslmechanisms = SCRAM-SHA-256\nlocal.hostname = x.test\n";
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for folder in &folders {
            fs::create_dir(folder.path().join("store")).unwrap();
        }
        let keys = |folder: &Path, login: &str| open(folder, text).made_up(Hash::Sha256, login).to_text();
        let first = keys(folders[0].path(), "joe");
        assert_eq!(first, keys(folders[0].path(), "JOE"));
        assert_eq!(first, keys(folders[0].path(), "joe@x.test"), "as a user's own");
        assert_ne!(first, keys(folders[0].path(), "joe@y.test"));
        assert_ne!(first, keys(folders[0].path(), "jim"));
        assert_ne!(first, keys(folders[1].path(), "joe"));
        assert_eq!(
            fs::read_dir(folders[0].path().join("store")).unwrap().count(),
            1,
            "nothing is left aside"
        );
        fs::write(folders[0].path().join("store/scram.secret"), "short").unwrap();
        let config = Config::from_text(text).unwrap();
        assert!(Mechanisms::from_config(&config, &Instance::new(folders[0].path())).is_err());
    }
}
