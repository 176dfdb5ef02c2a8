//! Configuration that several servers share, in an LDAP server: who wins, and what holds while the directory is away.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use black_box::instance::{IMAP, wait_for};
use black_box::slapd::{BASE, Slapd};
use black_box::{Instance, Setup, Wire, run};
use nix::sys::signal::Signal;

const ALL: &str = "cn=mail,o=example.test";

/// The entries of two servers and what they share; further values of `mailServerSetting` of the shared one.
fn directory(shared: &[&str]) -> Slapd {
    let settings: String = shared.iter().map(|line| format!("mailServerSetting: {line}\n")).collect();
    let mut entries = format!(
        "dn: {ALL}\nobjectClass: organizationalRole\nobjectClass: mailServerConfiguration\ncn: mail\n{settings}\n"
    );
    for name in ["mail1", "mail2"] {
        entries.push_str(&format!(
            "dn: cn={name},{ALL}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
             objectClass: mailServerConfiguration\ncn: {name}\nuserPassword: {name}-secret\n\n"
        ));
    }
    Slapd::start_with(
        &entries,
        &format!(
            "access to dn.subtree=\"{ALL}\" attrs=userPassword by anonymous auth by * none\n\
        access to dn.subtree=\"{ALL}\" by dn.children=\"{ALL}\" write by * none\n"
        ),
    )
}

/// An instance that is the server `name` of the directory.
fn server(slapd: &Slapd, name: &str) -> Instance {
    let instance = Setup::default().create();
    join(&instance, slapd, name);
    instance
}

fn join(instance: &Instance, slapd: &Slapd, name: &str) {
    instance.set("local.ldapbasedn", BASE);
    instance.set("local.ldapconfigdn", "cn=mail");
    instance.set("local.ldapsiedn", &format!("cn={name},{ALL}"));
    instance.set("local.ldapsiecred", &format!("{name}-secret"));
    instance.set("local.ldaphost", &slapd.host());
}

fn value(instance: &Instance, name: &str) -> String {
    run(instance.tool("configutil").args(["-o", name])).trim().to_owned()
}

/// What a run says: whether it succeeded, and on standard error.
fn told(instance: &Instance, arguments: &[&str]) -> (bool, String) {
    let done = instance.tool("configutil").args(arguments).output().unwrap();
    (done.status.success(), String::from_utf8(done.stderr).unwrap())
}

fn greeting(instance: &Instance) -> String {
    Wire::plain(instance.connect(IMAP)).line()
}

fn local_file(instance: &Instance) -> String {
    fs::read_to_string(instance.path("config/local.conf")).unwrap()
}

/// A value for all servers, one for one of them; a daemon obeys after a refresh; the local files say nothing of it.
#[test]
fn what_is_set_for_all_holds_for_all_and_what_is_set_for_one_for_one() {
    let slapd = directory(&["service.imap.banner = \"from the beginning\""]);
    let (mut first, second) = (server(&slapd, "mail1"), server(&slapd, "mail2"));
    assert_eq!(value(&first, "service.imap.banner"), "from the beginning");
    first.start_one("store");
    first.start_one("imap");
    assert!(greeting(&first).contains("from the beginning"), "{}", greeting(&first));
    let (done, said) = told(&first, &["--shared", "-o", "service.imap.banner", "-v", "of everybody"]);
    assert!(done && said.contains("at a refresh"), "{said}");
    assert_eq!(value(&second, "service.imap.banner"), "of everybody");
    let (done, said) = told(&second, &["-o", "service.imap.banner", "-v", "of the second"]);
    assert!(done, "{said}");
    assert_eq!(value(&second, "service.imap.banner"), "of the second");
    assert_eq!(value(&first, "service.imap.banner"), "of everybody");
    first.signal("imap", Signal::SIGHUP);
    wait_for("the new greeting", || greeting(&first).contains("of everybody").then_some(()));
    let (done, said) = told(&second, &["--shared", "-o", "service.imap.banner", "-v", "of all"]);
    assert!(done && said.contains("\"of the second\" stays in force"), "{said}");
    told(&second, &["-o", "service.imap.banner", "-v", ""]);
    assert_eq!(value(&second, "service.imap.banner"), "of all");
    for instance in [&first, &second] {
        assert!(!local_file(instance).contains("banner"), "{}", local_file(instance));
        assert!(run(instance.tool("configutil").args(["-p", "service.imap.banner"])).contains("of all"));
    }
    let (done, said) = told(&first, &["--shared", "-o", "local.hostname", "-v", "x.example"]);
    assert!(!done && said.contains("local file only"), "{said}");
}

/// The local file counts where the directory says nothing, and before it when that is set.
#[test]
fn the_directory_wins_over_the_local_file_unless_it_is_told_not_to() {
    let slapd =
        directory(&["service.imap.banner = theirs", "local.hostname = elsewhere.example", "site.word = 1"]);
    let instance = server(&slapd, "mail1");
    let (done, said) = told(&instance, &["-l", "-o", "service.imap.banner", "-v", "ours"]);
    assert!(done, "{said}");
    assert_eq!(value(&instance, "service.imap.banner"), "theirs");
    assert_ne!(value(&instance, "local.hostname"), "elsewhere.example");
    let (_, said) = told(&instance, &["-o", "service.imap.banner"]);
    assert!(said.contains("local.hostname counts in the local file only"), "{said}");
    assert!(said.contains("site.word: no such parameter"), "{said}");
    assert_eq!(run(instance.tool("configutil").args(["-l", "-o", "service.imap.banner"])).trim(), "ours");
    instance.set("local.ldapuselocal", "yes");
    assert_eq!(value(&instance, "service.imap.banner"), "ours");
}

/// Without the directory: values and daemons go on from the copy, and nothing is set.
#[test]
fn while_the_directory_is_away_its_copy_holds_and_nothing_is_set() {
    let mut slapd = directory(&["service.imap.banner = kept"]);
    let mut instance = server(&slapd, "mail1");
    assert_eq!(value(&instance, "service.imap.banner"), "kept");
    let late = Setup::default().create();
    slapd.stop();
    let before = local_file(&instance);
    let (done, said) = told(&instance, &["-o", "service.imap.banner", "-v", "new"]);
    assert!(!done && said.contains("nothing was set"), "{said}");
    assert_eq!(local_file(&instance), before);
    let (done, said) = told(&instance, &["check"]);
    assert!(done && said.contains("is in force") && !said.contains("mail1-secret"), "{said}");
    instance.start_one("store");
    instance.start_one("imap");
    assert!(greeting(&instance).contains("kept"));
    // Who never had a copy does not start with half a configuration, and can be told where to look.
    join(&late, &slapd, "mail2");
    let (done, said) = told(&late, &["check"]);
    assert!(!done && said.contains("no copy of it yet"), "{said}");
    let refused = late.refused_start("imap");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not there"), "{refused:?}");
    late.set("local.ldaphost", "");
    assert!(told(&late, &["check"]).0);
    slapd.start_again();
    let (done, said) = told(&instance, &["-o", "service.imap.banner", "-v", "new"]);
    assert!(done, "{said}");
    assert_eq!(value(&instance, "service.imap.banner"), "new");
}

/// What cannot be used is not taken, not even a part of it; an entry that cannot be read is not an empty one.
#[test]
fn a_wrong_value_or_a_hidden_entry_leaves_the_former_configuration() {
    let slapd = directory(&["service.imap.banner = good"]);
    let instance = server(&slapd, "mail1");
    assert_eq!(value(&instance, "service.imap.banner"), "good");
    let broken = directory(&["service.imap.banner = bad", "service.imap.maxsessions = many"]);
    instance.set("local.ldaphost", &broken.host());
    let (done, said) = told(&instance, &["-o", "service.imap.banner"]);
    assert!(done && said.contains("service.imap.maxsessions") && said.contains("is in force"), "{said}");
    assert_eq!(value(&instance, "service.imap.banner"), "good");
    instance.set("local.ldaphost", &slapd.host());
    instance.set("local.ldapsiecred", "wrong");
    let (done, said) = told(&instance, &["-o", "service.imap.banner"]);
    assert!(done && said.contains("is in force") && !said.contains("wrong"), "{said}");
    instance.set("local.ldapsiecred", ""); // anonymous: slapd says that there is no such entry
    assert_eq!(value(&instance, "service.imap.banner"), "good");
    let (done, said) = told(&instance, &["-o", "service.imap.banner", "-v", "x"]);
    assert!(!done && said.contains("nothing was set"), "{said}");
}

/// A run that sets reads, sets and reads again over one connection.
#[test]
fn a_change_makes_one_connection() {
    let slapd = directory(&[]);
    let instance = server(&slapd, "mail1");
    let connections = || slapd.log().matches(" ACCEPT from ").count();
    value(&instance, "service.imap.banner");
    let before = connections();
    instance.set("service.imap.banner", "one");
    assert_eq!(connections() - before, 1, "{}", slapd.log());
    assert_eq!(value(&instance, "service.imap.banner"), "one");
}

/// Two who set the same at once, from a value that is there: the entry has one value in the end, and neither was refused.
#[test]
fn writers_at_once_leave_one_value() {
    let slapd = directory(&["service.imap.banner = before"]);
    let servers = [server(&slapd, "mail1"), server(&slapd, "mail2")];
    std::thread::scope(|scope| {
        for (instance, own) in servers.iter().zip(["one", "two"]) {
            scope.spawn(move || {
                for round in 0..8 {
                    let set = format!("{own}{round}");
                    let (done, said) = told(instance, &["--shared", "-o", "service.imap.banner", "-v", &set]);
                    assert!(done, "{said}");
                }
            });
        }
    });
    let stands = run(Command::new("ldapsearch")
        .args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", &format!("ldap://{}", slapd.host())])
        .args(["-D", &format!("cn=mail1,{ALL}"), "-w", "mail1-secret", "-s", "base", "-b", ALL])
        .arg("mailServerSetting"));
    let values: Vec<&str> = stands.lines().filter(|line| line.starts_with("mailServerSetting: ")).collect();
    assert_eq!(values.len(), 1, "{stands}");
    let last = value(&servers[0], "service.imap.banner");
    assert!(["one7", "two7"].contains(&last.as_str()), "{last}");
    assert_eq!(value(&servers[1], "service.imap.banner"), last);
    let output = servers[0].tool("setconf").args(["service.imap.banner", "here"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains(&format!("{last} stays in force")), "{said}");
}
