//! The same users in each kind of directory: the embedded file, OpenLDAP, 389 Directory Server.
//!
//! A test that is written once for a [`Site`] holds for all three ([`crate::in_every_directory`]).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::ds389::{self, Ds389};
use crate::slapd::{BASE, BIND_DN, BIND_SECRET, Slapd};
use crate::{Instance, Setup, run};

/// Which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    OpenLdap,
    Ds389,
}

/// The server, if there is one.
pub enum Server {
    OpenLdap(Slapd),
    Ds389(Ds389),
}

impl Server {
    pub fn host(&self) -> String {
        match self {
            Server::OpenLdap(slapd) => slapd.host(),
            Server::Ds389(server) => server.host(),
        }
    }

    /// Name and password of who may write everything.
    pub fn manager(&self) -> (String, &'static str) {
        match self {
            Server::OpenLdap(_) => (format!("cn=root,{BASE}"), "root-secret"),
            Server::Ds389(_) => (ds389::MANAGER.to_owned(), ds389::MANAGER_SECRET),
        }
    }

    pub fn stop(&mut self) {
        match self {
            Server::OpenLdap(slapd) => slapd.stop(),
            Server::Ds389(server) => server.stop(),
        }
    }

    pub fn start_again(&mut self) {
        match self {
            Server::OpenLdap(slapd) => slapd.start_again(),
            Server::Ds389(server) => server.start_again(),
        }
    }

    /// What `ldapsearch` or another of its family prints, asked as the manager.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let (dn, secret) = self.manager();
        let url = format!("ldap://{}", self.host());
        run(Command::new(program).args(["-x", "-H", &url, "-D", &dn, "-w", secret]).args(arguments))
    }
}

/// An instance, and the server that its users are in, if it is one.
pub struct Site {
    pub instance: Instance,
    pub server: Option<Server>,
}

/// The daemons of an instance ask this server.
pub fn use_server(instance: &Instance, host: &str) {
    for (name, value) in [
        ("local.ugldaphost", host),
        ("local.ugldapuselocal", "yes"),
        ("local.ugldapbasedn", BASE),
        ("local.ugldapbinddn", BIND_DN),
        ("local.ugldapbindcred", "file:config/ldap.credential"),
    ] {
        instance.set(name, value);
    }
    let credential = instance.path("config/ldap.credential");
    fs::write(&credential, format!("{BIND_SECRET}\n")).unwrap();
    fs::set_permissions(&credential, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The text with everybody's password in clear, as the tests know it: each server stores it in its own way.
fn with_known_passwords(text: &str) -> String {
    let (mut new, mut uid, mut gone) = (String::new(), "", false);
    for line in text.lines() {
        if gone && line.starts_with(' ') {
            continue; // the rest of a long hash
        }
        gone = line.starts_with("userPassword:");
        if let Some(dn) = line.strip_prefix("dn: uid=") {
            uid = dn.split(',').next().unwrap();
        }
        let known = format!("userPassword: {uid}-secret");
        new.push_str(if gone { &known } else { line });
        new.push('\n');
    }
    new
}

impl Site {
    /// An instance with alice, bob, admin and postmaster, and what `prepare` makes of its embedded directory, in a directory
    /// of this kind. No daemon runs yet.
    pub fn create(kind: Kind, setup: Setup, prepare: impl FnOnce(&Instance)) -> Site {
        Site::create_with(kind, setup, "", prepare)
    }

    /// As [`Site::create`], with more rules of access before those of OpenLDAP's server.
    pub fn create_with(kind: Kind, setup: Setup, access: &str, prepare: impl FnOnce(&Instance)) -> Site {
        let instance = setup.create();
        prepare(&instance);
        if kind == Kind::Embedded {
            return Site { instance, server: None };
        }
        let entries = with_known_passwords(&run(instance.tool("dirutil").arg("export")));
        fs::remove_file(instance.path("config/directory.ldif")).unwrap();
        let server = match kind {
            Kind::OpenLdap => Server::OpenLdap(Slapd::start_with(&entries, access)),
            _ => Server::Ds389(Ds389::start(&entries)),
        };
        use_server(&instance, &server.host());
        if let Server::Ds389(server) = &server {
            // It changes no password on a connection in clear.
            instance.set("local.ugldapstarttls", "yes");
            instance.set("local.ugldapcafile", server.certificate().to_str().unwrap());
        }
        Site { instance, server: Some(server) }
    }

    /// As [`Site::create`]; all daemons run, the web mail's too.
    pub fn start(kind: Kind, setup: Setup, prepare: impl FnOnce(&Instance)) -> Site {
        let mut site = Site::create(kind, setup, prepare);
        site.instance.start_all();
        site.instance.start_one("http");
        site
    }

    /// What a user's entry holds, as sorted `name: value` lines of LDIF, each unfolded; without passwords and without what
    /// servers write themselves.
    pub fn entry(&self, uid: &str) -> BTreeSet<String> {
        let text = match &self.server {
            None => fs::read_to_string(self.instance.path("config/directory.ldif")).unwrap(),
            Some(server) => server.ask("ldapsearch", &["-LLL", "-b", BASE, &format!("(uid={uid})")]),
        };
        let text = text.replace("\n ", "");
        let start = format!("dn: uid={uid},");
        let record = text.split("\n\n").find(|record| record.lines().any(|line| line.starts_with(&start)));
        let record = record.unwrap_or_else(|| panic!("{uid} is not in {text}"));
        let lines = record.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.filter(|line| !line.starts_with("userPassword:")).map(str::to_owned).collect()
    }
}

/// Makes of each function of a [`Kind`] a test for every kind of directory.
#[macro_export]
macro_rules! in_every_directory {
    ($($name:ident)*) => {
        mod embedded {
            $(#[test] fn $name() { super::$name($crate::directories::Kind::Embedded); })*
        }
        mod openldap {
            $(#[test] fn $name() { super::$name($crate::directories::Kind::OpenLdap); })*
        }
        mod ds389 {
            $(#[test] fn $name() { super::$name($crate::directories::Kind::Ds389); })*
        }
    };
}
