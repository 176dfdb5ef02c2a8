//! `dirutil move`: everybody from the embedded directory into OpenLDAP and 389 Directory Server, and back again.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::directories::{Kind, Server, Site, use_server};
use black_box::ds389::Ds389;
use black_box::instance::IMAP;
use black_box::slapd::{BASE, Slapd};
use black_box::{Imap, Instance, Setup, run};

const USERS: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// Whether it succeeded, and all that it said.
fn relocate(site: &Site, way: &str, arguments: &[&str]) -> (bool, String) {
    let (dn, secret) = site.server.as_ref().unwrap().manager();
    let mut tool = site.instance.tool("dirutil");
    tool.args(["move", way, "--bind-dn", &dn, "--credential", "env:MOVER"]).args(arguments);
    let done = tool.env("MOVER", secret).output().unwrap();
    (done.status.success(), String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
}

fn moved(site: &Site, way: &str, arguments: &[&str]) -> String {
    let (done, said) = relocate(site, way, arguments);
    assert!(done, "{way} {arguments:?}: {said}");
    said
}

/// Replaces what the file has of a user's password.
fn store(instance: &Instance, user: &str, stored: &str) {
    run(instance.tool("dirutil").args(["change", user, "--set", &format!("userPassword={stored}")]));
}

/// An instance whose users have passwords of several schemes, beside a server that has nobody.
fn site(kind: Kind) -> Site {
    let instance = Setup::default().users(&USERS).create();
    let digest = openssl::hash::hash(openssl::hash::MessageDigest::sha1(), b"bob-secretsalt").unwrap();
    store(&instance, "bob", &format!("{{SSHA}}{}", STANDARD.encode([&*digest, b"salt"].concat())));
    store(&instance, "carol", "{CLEAR}carol-secret");
    let crypt =
        run(std::process::Command::new("openssl").args(["passwd", "-6", "-salt", "mailboat", "dave-secret"]));
    store(&instance, "dave", &format!("{{CRYPT}}{}", crypt.trim()));
    store(&instance, "erin", "{SCRAM-SHA-256}4096,c2FsdA==,c3RvcmVk,c2VydmVy");
    let more = ["mailAutoReplyText;lang-ja=不在", "description= blanks kept? $ # <", "mailQuota=5000000"];
    for value in more {
        run(instance.tool("dirutil").args(["change", "alice", "--add", value]));
    }
    run(instance.tool("dirutil").args(["add", "group", "team", "--member", "alice", "bob"]));
    let server = match kind {
        Kind::OpenLdap => Server::OpenLdap(Slapd::start("")),
        _ => Server::Ds389(Ds389::start("")),
    };
    use_server(&instance, &server.host());
    if let Server::Ds389(server) = &server {
        instance.set("local.ugldapstarttls", "yes");
        instance.set("local.ugldapcafile", server.certificate().to_str().unwrap());
    }
    Site { instance, server: Some(server) }
}

fn opens(instance: &Instance, user: &str, password: &str) -> bool {
    Imap::open(instance.connect(IMAP)).command(&format!("LOGIN {user} {password}")).1.starts_with("OK")
}

/// A later run takes away what the file has no more, and a password from before a change that cannot go along.
fn what_was_revoked_is_revoked_there(site: &Site) {
    let change = |arguments: &[&str]| run(site.instance.tool("dirutil").args(["change"]).args(arguments));
    let stored =
        |site: &Site| site.server.as_ref().unwrap().ask("ldapsearch", &["-LLL", "-b", BASE, "(uid=bob)"]);
    let of_bob = fs::read_to_string(site.instance.path("config/directory.ldif")).unwrap();
    let of_bob = of_bob.split("\n\n").find(|record| record.contains("dn: uid=bob,")).unwrap();
    let before = of_bob.lines().find_map(|line| line.strip_prefix("userPassword: ")).unwrap();
    for value in ["mailForwardingAddress=away@example.test", "nsmsgDisallowAccess=pop"] {
        change(&["bob", "--add", value]);
    }
    moved(site, "to-ldap", &["--replace"]);
    assert!(stored(site).contains("mailForwardingAddress: away@"), "{}", stored(site));
    for name in ["mailForwardingAddress", "nsmsgDisallowAccess"] {
        change(&["bob", "--remove", name]);
    }
    let (done, said) = relocate(site, "to-ldap", &[]);
    let names = "uid=bob,ou=People,o=example.test: mailforwardingaddress, nsmsgdisallowaccess\n";
    assert!(!done && said.contains(names), "{said}");
    assert!(moved(site, "to-ldap", &["--replace"]).starts_with("0 added, 1 replaced, 10 the same"));
    let now = stored(site);
    assert!(!now.contains("mailForwardingAddress") && !now.contains("nsmsgDisallowAccess"), "{now}");

    // Stored in a way that no server knows: the one from before must not stay valid there.
    assert!(now.contains("userPassword"), "{now}");
    store(&site.instance, "bob", "{SCRAM-SHA-256}4096,c2FsdA==,c3RvcmVk,c2VydmVy");
    let (done, said) = relocate(site, "to-ldap", &[]);
    assert!(!done && said.contains("uid=bob,ou=People,o=example.test: userpassword\n"), "{said}");
    assert!(said.contains("2 need a new password, the server cannot check {SCRAM-SHA-256}: "), "{said}");
    assert!(stored(site).contains("userPassword"), "left until it is asked for");
    let said = moved(site, "to-ldap", &["--replace"]);
    assert!(said.starts_with("0 added, 1 replaced, 10 the same"), "{said}");
    assert!(!stored(site).contains("userPassword"), "{}", stored(site));
    store(&site.instance, "bob", before);
    assert!(moved(site, "to-ldap", &["--replace"]).starts_with("0 added, 1 replaced, 10 the same"));
}

fn everybody_moves_there_and_back(kind: Kind) {
    let mut site = site(kind);
    let file = site.instance.path("config/directory.ldif");
    let embedded = Site { instance: site.instance, server: None };
    let before = USERS.map(|user| embedded.entry(user));
    site.instance = embedded.instance;
    let there = |site: &Site, filter: &str| -> BTreeSet<String> {
        let found = site.server.as_ref().unwrap().ask("ldapsearch", &["-LLL", "-b", BASE, filter, "1.1"]);
        found.lines().filter(|line| line.starts_with("dn: ")).map(str::to_owned).collect()
    };

    // Who may not write changes nothing, and hears why; a dry run writes nothing either.
    let refused = site.instance.tool("dirutil").args(["move", "to-ldap"]).output().unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.to_lowercase().contains("access") && said.lines().count() == 1, "{said}");
    let said = moved(&site, "to-ldap", &["--dry-run"]);
    assert!(
        said.starts_with("10 would be added, 0 would be replaced, 1 the same, 0 differ, 1 only there"),
        "{said}"
    );
    assert!(there(&site, "(uid=*)").is_empty());

    let said = moved(&site, "to-ldap", &[]);
    assert!(said.starts_with("10 added, 0 replaced, 1 the same, 0 differ, 1 only there\n"), "{said}");
    assert!(
        said.contains("1 need a new password, the server cannot check {SCRAM-SHA-256}: uid=erin"),
        "{said}"
    );
    let knows_argon2 = kind == Kind::OpenLdap;
    let told = said.contains("3 need a new password, the server cannot check {ARGON2}: uid=");
    assert_eq!(told, !knows_argon2, "{said}");
    assert!(there(&site, "(cn=mailboat-password-trial)").is_empty(), "the trial's entry is gone");
    // Once more is the same end; so is a run after one that was interrupted.
    let said = moved(&site, "to-ldap", &[]);
    assert!(said.starts_with("0 added, 0 replaced, 11 the same, 0 differ, 1 only there\n"), "{said}");
    let server = site.server.as_ref().unwrap();
    let gone = ["uid=dave,ou=People,o=example.test", "cn=team@example.test,ou=Groups,o=example.test"];
    server.ask("ldapdelete", &gone);
    let said = moved(&site, "to-ldap", &[]);
    assert!(said.starts_with("2 added, 0 replaced, 9 the same"), "{said}");

    // What is another one there is told and left, until it is asked for.
    run(site.instance.tool("dirutil").args(["change", "bob", "--set", "cn=Robert"]));
    let (done, said) = relocate(&site, "to-ldap", &[]);
    assert!(!done && said.contains("differs: uid=bob,ou=People,o=example.test: cn\n"), "{said}");
    assert!(there(&site, "(cn=Robert)").is_empty());
    assert!(moved(&site, "to-ldap", &["--replace"]).starts_with("0 added, 1 replaced, 10 the same"));
    assert_eq!(there(&site, "(cn=Robert)").len(), 1);

    what_was_revoked_is_revoked_there(&site);

    // Everything but the passwords is there as it was.
    for (user, before) in USERS.iter().zip(&before).filter(|(user, _)| **user != "bob") {
        assert_eq!(&site.entry(user), before, "{user}");
    }
    fs::rename(&file, file.with_extension("away")).unwrap();
    site.instance.start_one("store");
    site.instance.start_one("imap");
    let all_but = |site: &Site| USERS.map(|user| opens(&site.instance, user, &format!("{user}-secret")));
    assert_eq!(all_but(&site), [knows_argon2, true, true, true, false]);
    // What cannot go along is not there under another meaning.
    let old = fs::read_to_string(file.with_extension("away")).unwrap().replace("\n ", "");
    for user in ["alice", "erin"] {
        let record =
            old.split("\n\n").find(|record| record.starts_with(&format!("dn: uid={user},"))).unwrap();
        let hash = record.lines().find_map(|line| line.strip_prefix("userPassword: ")).unwrap();
        assert!(!opens(&site.instance, user, &format!("\"{hash}\"")), "{hash}");
    }
    site.instance.kill_all();

    // And back, into a file that is not there.
    let said = moved(&site, "from-ldap", &["--dry-run"]);
    assert!(said.starts_with("12 would be added") && !file.exists(), "{said}");
    let said = moved(&site, "from-ldap", &[]);
    assert!(said.starts_with("12 added, 0 replaced, 0 the same, 0 differ, 0 only there\n"), "{said}");
    let said = moved(&site, "from-ldap", &[]);
    assert!(said.starts_with("0 added, 0 replaced, 12 the same"), "{said}");
    site.instance.set("local.ugldaphost", "");
    let server = site.server.take();
    drop(server);
    for (user, before) in USERS.iter().zip(&before).filter(|(user, _)| **user != "bob") {
        assert_eq!(&site.entry(user), before, "{user}");
    }
    site.instance.start_one("store");
    site.instance.start_one("imap");
    assert_eq!(all_but(&site), [knows_argon2, true, true, true, false]);
}

mod openldap {
    #[test]
    fn everybody_moves_there_and_back() {
        super::everybody_moves_there_and_back(black_box::directories::Kind::OpenLdap);
    }
}

mod ds389 {
    #[test]
    fn everybody_moves_there_and_back() {
        super::everybody_moves_there_and_back(black_box::directories::Kind::Ds389);
    }
}
