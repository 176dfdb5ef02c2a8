//! Passwords for one program, and the second factor: what they open, from where, how long, and what they never open.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, POP, SUBMISSION, wait_for};
use black_box::{Imap, Instance, Setup, Wire, run};

/// Printed by `dirutil app-password add`: id and password.
fn add(instance: &Instance, user: &str, more: &[&str]) -> (String, String) {
    let mut tool = instance.tool("dirutil");
    let printed = run(tool.args(["app-password", "add", user, "--label", "Phone of hers"]).args(more));
    let (id, password) = printed.trim().split_once(' ').unwrap();
    (id.to_owned(), password.to_owned())
}

fn plain(authzid: &str, user: &str, password: &str) -> String {
    STANDARD.encode(format!("{authzid}\0{user}\0{password}"))
}

/// Whether AUTH PLAIN succeeds there.
fn is_in(instance: &Instance, port: u16, authzid: &str, user: &str, password: &str) -> bool {
    let mut wire = Wire::plain(instance.connect(port));
    wire.line();
    let initial = plain(authzid, user, password);
    let line = match port {
        IMAP => format!("a AUTHENTICATE PLAIN {initial}\r\n"),
        POP => format!("AUTH PLAIN {initial}\r\n"),
        _ => {
            wire.send(b"EHLO client.example\r\n");
            while !wire.line().starts_with("250 ") {}
            format!("AUTH PLAIN {initial}\r\n")
        }
    };
    wire.send(line.as_bytes());
    loop {
        let line = wire.line();
        if !line.starts_with("* ") {
            return ["235 ", "a OK", "+OK"].iter().any(|good| line.starts_with(good));
        }
    }
}

#[test]
fn one_opens_its_services_from_its_networks_until_it_is_over_or_taken_back() {
    let mut instance = Instance::start();
    let (_, everything) = add(&instance, "alice", &[]);
    let (id, mail) = add(&instance, "alice", &["--services", "imap,smtp"]);
    let (_, elsewhere) = add(&instance, "alice", &["--networks", "192.0.2.0/24"]);
    let (_, today) = add(&instance, "alice", &["--days", "1"]);
    let opens = |instance: &Instance, password: &str| {
        [IMAP, POP, SUBMISSION].map(|port| is_in(instance, port, "", "alice", password))
    };
    assert_eq!(opens(&instance, "alice-secret"), [true; 3], "the password itself goes on");
    wait_for("the daemons to know it", || (opens(&instance, &everything) == [true; 3]).then_some(()));
    assert_eq!(opens(&instance, &everything.replace('-', "").to_uppercase()), [true; 3], "as it is typed");
    assert_eq!(opens(&instance, &mail), [true, false, true]);
    assert_eq!(opens(&instance, &mail), [true, false, true], "and so again, when it is remembered");
    assert_eq!(opens(&instance, &elsewhere), [false; 3]);
    assert_eq!(opens(&instance, &today), [true; 3]);
    assert!(!is_in(&instance, IMAP, "", "bob", &everything), "it is alice's");
    let list = run(instance.tool("dirutil").args(["app-password", "list", "alice"]));
    assert!(list.contains(&format!("{id} imap,smtp * ")) && list.contains("Phone of hers"), "{list}");
    assert!(!list.contains("SHA256"), "{list}");
    let shown = run(instance.tool("dirutil").args(["show", "alice"]));
    assert!(shown.contains("mailAppPassword: (set)") && !shown.contains("SHA256"), "{shown}");
    run(instance.tool("dirutil").args(["app-password", "remove", "alice", &id]));
    wait_for("it to be over", || (opens(&instance, &mail) == [false; 3]).then_some(()));
    assert_eq!(opens(&instance, &everything), [true; 3], "the others stay");
    // Two days later, for the daemons.
    instance.stop("imap");
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", "172800");
    instance.start_one("imap");
    assert!(is_in(&instance, IMAP, "", "alice", &everything));
    assert!(!is_in(&instance, IMAP, "", "alice", &today));
}

/// Neither by an authorization identity nor by PROXYAUTH; nor are the mailboxes of others an administrator's then.
#[test]
fn an_administrators_one_acts_for_nobody() {
    let instance = Setup::default().set("store.admins", "admin").start();
    let (_, password) = add(&instance, "admin", &[]);
    assert!(is_in(&instance, IMAP, "alice", "admin", "admin-secret"), "the password itself does");
    wait_for("imapd to know it", || is_in(&instance, IMAP, "", "admin", &password).then_some(()));
    for port in [IMAP, POP, SUBMISSION] {
        assert!(!is_in(&instance, port, "alice", "admin", &password), "{port}");
        assert!(is_in(&instance, port, "admin", "admin", &password), "{port}: for itself");
    }
    let mut imap = Imap::open(instance.connect(IMAP));
    assert!(imap.command(&format!("LOGIN admin {password}")).1.starts_with("OK"));
    assert!(imap.command("PROXYAUTH alice").1.starts_with("NO"));
    assert!(imap.command("SELECT user/alice").1.starts_with("NO"));
    let mut imap = Imap::open(instance.connect(IMAP));
    assert!(imap.command("LOGIN admin admin-secret").1.starts_with("OK"));
    assert!(imap.command("SELECT user/alice").1.starts_with("OK"));
    assert!(instance.log("imap").contains("an app password acts for nobody else"));
}

/// With a second factor the password opens web mail alone, and nothing tells that it is right elsewhere.
#[test]
fn with_a_second_factor_other_services_want_an_app_password() {
    let instance = Instance::start();
    let (_, phone) = add(&instance, "alice", &[]);
    let printed = run(instance.tool("dirutil").args(["second-factor", "alice", "on"]));
    assert!(printed.contains("otpauth://totp/") && printed.contains(":alice?secret="), "{printed}");
    let stored = std::fs::read_to_string(instance.path("config/directory.ldif")).unwrap();
    let secret = printed.lines().next().unwrap();
    assert!(stored.contains("mailTotpSecret") && !stored.contains(secret), "sealed");
    for port in [IMAP, POP, SUBMISSION] {
        let refused = || (!is_in(&instance, port, "", "alice", "alice-secret")).then_some(());
        wait_for("the password to be refused", refused);
        assert!(is_in(&instance, port, "", "alice", &phone), "{port}");
        assert!(is_in(&instance, port, "", "bob", "bob-secret"), "{port}: others are as before");
    }
    let mut imap = Imap::open(instance.connect(IMAP));
    let said = imap.command("LOGIN alice alice-secret").1;
    let mut imap = Imap::open(instance.connect(IMAP));
    assert_eq!(said, imap.command("LOGIN alice wrong").1, "right or wrong, it is the same");
    // To whom the host belongs, it is not.
    let reason = "right password, but the account has a second factor: an app password is wanted here";
    for service in ["imap", "pop", "smtp"] {
        let log = instance.log(service);
        let line = format!("badlogin: [127.0.0.1] alice {reason} (session ");
        assert!(log.contains(&line), "{service}: {log}");
    }
    let (log, audit) = (instance.log("imap"), instance.log("audit"));
    let wrong = "badlogin: [127.0.0.1] alice wrong user name or password";
    assert_eq!(log.matches(wrong).count(), 1, "the one that was wrong: {log}");
    let reason = format!(" reason={}\n", reason.replace(' ', "%20"));
    let refused = |program: &str| {
        audit.lines().filter(|line| line.contains(&format!(" {program}["))).any(|line| {
            line.contains("log-in result=refused user=alice ") && format!("{line}\n").ends_with(&reason)
        })
    };
    for program in ["imapd", "popd", "smtpd"] {
        assert!(refused(program), "{program}: {audit}");
    }
    run(instance.tool("dirutil").args(["second-factor", "alice", "off"]));
    wait_for("the password to be enough", || {
        is_in(&instance, IMAP, "", "alice", "alice-secret").then_some(())
    });
}
