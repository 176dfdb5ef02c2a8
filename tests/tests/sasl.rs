//! Log-ins by SASL in all three services: who is let in, what is offered when, and what is not believed.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, IMAPS, POP, POPS, SUBMISSION, SUBMISSIONS, wait_for};
use black_box::sasl_client::{SaslClient as Client, challenge};
use black_box::scram::Scram;
use black_box::{Imap, Instance, Pop, Setup, Smtp, Wire, run};

/// Alice's password is stored for SCRAM; bob's and admin's are not.
fn with_scram() -> Instance {
    scram_setup().start()
}

fn scram_setup() -> Prepared {
    let setup = Setup::default()
        .set("service.saslmechanisms", "SCRAM-SHA-256 PLAIN LOGIN")
        .set("service.scramiterations", "4096");
    Prepared(setup)
}

struct Prepared(Setup);

impl Prepared {
    fn set(self, name: &str, value: &str) -> Prepared {
        Prepared(self.0.set(name, value))
    }

    fn start(self) -> Instance {
        let mut instance = self.0.create();
        instance.set("service.passwordscheme", "SCRAM-SHA-256");
        password(&instance, "alice", "alice-secret");
        instance.start_all();
        instance
    }
}

fn password(instance: &Instance, user: &str, secret: &str) {
    use std::io::Write;
    let mut tool = instance.tool("dirutil");
    tool.args(["password", user, "--password-stdin"]).stdin(Stdio::piped());
    let mut child = tool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// GNU SASL, over TLS.
fn gsasl(instance: &Instance, protocol: &str, port: u16, mechanism: &str, secret: &str) -> Output {
    Command::new("gsasl")
        .args([protocol, "--connect", &instance.at(port).to_string(), "-m", mechanism])
        .args((!mechanism.ends_with("-PLUS")).then_some("--no-cb"))
        .args(["-a", "alice", "-p", secret, "--quiet", "--x509-ca-file"])
        .arg(instance.path("config/certs/ca.pem"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

const SERVICES: [u16; 3] = [SUBMISSIONS, IMAPS, POPS];

#[test]
fn gnu_sasl_logs_in_by_scram_with_and_without_channel_binding() {
    let instance = with_scram();
    for (protocol, port) in [("--imap", IMAP), ("--smtp", SUBMISSION)] {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN"] {
            let good = gsasl(&instance, protocol, port, mechanism, "alice-secret");
            assert!(
                good.status.success(),
                "{protocol} {mechanism} {}",
                String::from_utf8_lossy(&good.stdout)
            );
            let bad = gsasl(&instance, protocol, port, mechanism, "wrong");
            assert!(!bad.status.success(), "{protocol} {mechanism} {bad:?}");
        }
    }
}

#[test]
fn scram_works_in_all_services_and_the_log_names_it() {
    let instance = with_scram();
    for service in SERVICES {
        let mut client = Client::tls(&instance, service);
        assert_eq!(client.offered(), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"], "{service}");
        let answer = client.scram("SCRAM-SHA-256", &mut Scram::new("n,,", b"", "alice", "alice-secret"));
        assert!(Client::is_in(&answer), "{service} {answer}");
        let again = client.begin("PLAIN", &STANDARD.encode("\0alice\0alice-secret"));
        let (refusal, next, goes_on) = match service {
            SUBMISSIONS => ("503 5.5.1 ", "MAIL FROM:<alice@example.test>", "250 "),
            IMAPS => ("a BAD ", "b NOOP", "b OK "),
            _ => ("-ERR You are logged in already", "STAT", "+OK 0 "),
        };
        assert!(again.starts_with(refusal), "{service}: a second AUTH (S190): {again}");
        let after = client.ask(next);
        assert!(after.starts_with(goes_on), "{service}: the session goes on: {after}");
    }
    wait_for("the log lines", || {
        let log = instance.logs();
        let lines = log
            .lines()
            .filter(|line| line.contains("] alice TLS (session ") && line.contains(") SCRAM-SHA-256"));
        (lines.count() == 3).then_some(())
    });
}

/// The same entry for mechanisms that say the password; who has no keys is not told from a wrong password.
#[test]
fn the_same_password_serves_plain_and_who_has_no_keys_is_not_told_from_nobody() {
    let instance = with_scram();
    for service in SERVICES {
        let plain = Client::tls(&instance, service).begin("PLAIN", &STANDARD.encode("\0alice\0alice-secret"));
        assert!(Client::is_in(&plain), "{service} {plain}");
    }
    let mut salts = Vec::new();
    for user in ["alice", "bob", "nobody"] {
        let mut client = Client::tls(&instance, SUBMISSIONS);
        let mut scram = Scram::new("n,,", b"", user, "bob-secret");
        let first = client.begin("SCRAM-SHA-256", &scram.first());
        salts.push(Scram::salt_of(challenge(&first)));
        let answer = client.ask(&scram.last(challenge(&first)));
        assert_eq!(answer, "535 5.7.8 Wrong user name or password", "{user}");
    }
    assert!(salts.iter().all(|salt| salt.len() == salts[0].len() && salt.ends_with(",i=4096")), "{salts:?}");
    let mut instance = instance;
    instance.stop("imap");
    instance.start_one("imap");
    for (user, salt) in
        ["alice", "bob", "nobody", "alice@example.test", "nobody@example.test"].iter().zip([0, 1, 2, 0, 2])
    {
        let mut client = Client::tls(&instance, IMAPS);
        let first = client.begin("SCRAM-SHA-256", &Scram::new("n,,", b"", user, "").first());
        assert_eq!(
            Scram::salt_of(challenge(&first)),
            salts[salt],
            "{user}: in another daemon, started later"
        );
    }
    assert!(instance.logs().contains("] bob no password is stored for this mechanism (session "));
}

#[test]
fn what_is_wrong_cut_or_said_before_is_not_believed() {
    let instance = with_scram();
    for service in SERVICES {
        let mut client = Client::tls(&instance, service);
        let answer = client.scram("SCRAM-SHA-256", &mut Scram::new("n,,", b"", "alice", "wrong"));
        assert!(Client::is_refused(&answer), "{service} {answer}");
        // A replay of what was right elsewhere.
        let mut scram = Scram::new("n,,", b"", "alice", "alice-secret");
        let mut other = Client::tls(&instance, service);
        let first = other.begin("SCRAM-SHA-256", &scram.first());
        let right = scram.last(challenge(&first));
        challenge(&client.begin("SCRAM-SHA-256", &scram.first()));
        let answer = client.ask(&right);
        assert!(!Client::is_in(&answer) && !answer.starts_with(['3', '+']), "{service} {answer}");
        let text = STANDARD.decode(&right).unwrap();
        for cut in [0, 1, text.len() / 2, text.len() - 1] {
            challenge(&client.begin("SCRAM-SHA-256", &scram.first()));
            let answer = client.ask(&STANDARD.encode(&text[..cut]));
            assert!(!Client::is_in(&answer) && !answer.starts_with(['3', '+']), "{service} {cut} {answer}");
        }
        challenge(&client.begin("SCRAM-SHA-256", &scram.first()));
        let cancelled = client.ask("*");
        assert!(!Client::is_in(&cancelled), "{service} {cancelled}");
        // The exchange of the other one is as good as before, and the acknowledgement is needed.
        let proof = other.ask(&right);
        assert!(scram.believes(challenge(&proof)), "{service}");
        let answer = other.ask(&STANDARD.encode("more"));
        assert!(!Client::is_in(&answer), "{service} {answer}");
    }
}

/// RFC 5802 §6: PLUS is offered, and the client was not told.
#[test]
fn a_client_that_was_not_told_of_channel_binding_is_refused() {
    let instance = with_scram();
    for service in SERVICES {
        let mut client = Client::tls(&instance, service);
        let answer = client.scram("SCRAM-SHA-256", &mut Scram::new("y,,", b"", "alice", "alice-secret"));
        assert!(Client::is_refused(&answer), "{service} {answer}");
        let mut elsewhere = Scram::new("p=tls-exporter,,", &[7; 32], "alice", "alice-secret");
        let answer = client.scram("SCRAM-SHA-256-PLUS", &mut elsewhere);
        assert!(Client::is_refused(&answer), "{service} {answer}");
    }
    let log = instance.logs();
    assert!(log.contains("alice offer of channel binding was hidden from the client (session "), "{log}");
    assert!(log.contains("alice channel binding of another connection (session "), "{log}");
    // Without TLS there is none to be hidden.
    let mut near = Client::greeted(Wire::plain(instance.connect(IMAP)), IMAP);
    let answer = near.scram("SCRAM-SHA-256", &mut Scram::new("y,,", b"", "alice", "alice-secret"));
    assert!(Client::is_in(&answer), "{answer}");
}

#[test]
fn what_is_offered_depends_on_tls_and_on_the_site() {
    let instance = scram_setup()
        .set("service.imap.plaintextmincipher", "128")
        .set("service.pop.plaintextmincipher", "128")
        .set("service.smtp.plaintextmincipher", "128")
        .start();
    for (clear, tls) in [(SUBMISSION, SUBMISSIONS), (IMAP, IMAPS), (POP, POPS)] {
        let mut client = Client::greeted(Wire::plain(instance.connect(clear)), clear);
        assert!(client.offered().is_empty(), "{clear}");
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
            let answer = client.begin(mechanism, &Scram::new("n,,", b"", "alice", "x").first());
            let needs = ["538 5.7.11", "a NO [PRIVACYREQUIRED]", "-ERR [AUTH] Encryption"];
            assert!(needs.iter().any(|start| answer.starts_with(start)), "{clear} {answer}");
        }
        assert_eq!(Client::tls(&instance, tls).offered().len(), 4);
    }
    let plain = Instance::start();
    let mut client = Client::tls(&plain, IMAPS);
    assert_eq!(client.offered(), ["PLAIN", "LOGIN"]);
    let answer = client.begin("SCRAM-SHA-256", &Scram::new("n,,", b"", "alice", "x").first());
    assert_eq!(answer, "a NO [CANNOT] No such authentication mechanism");
}

/// S129: in each service, with both names in the log; from listed networks, not for other administrators.
#[test]
fn an_administrator_acts_for_a_user_by_an_authorization_identity() {
    let instance = Setup::default().set("store.admins", "admin bob").start();
    for service in SERVICES {
        let mut client = Client::tls(&instance, service);
        let mut log_in = |authzid: &str, user: &str| {
            client.begin("PLAIN", &STANDARD.encode(format!("{authzid}\0{user}\0{user}-secret")))
        };
        for (authzid, user) in [("bob", "alice"), ("bob", "admin")] {
            let refused = log_in(authzid, user);
            assert!(!Client::is_in(&refused), "{service} {user} for {authzid}: {refused}");
        }
        let accepted = log_in("alice", "admin");
        assert!(Client::is_in(&accepted), "{service} {accepted}");
    }
    let mut own = Client::tls(&instance, POPS);
    assert!(Client::is_in(&own.begin("PLAIN", &STANDARD.encode("alice@example.test\0alice\0alice-secret"))));
    let mut smtp = Client::tls(&instance, SUBMISSIONS);
    assert!(Client::is_in(&smtp.begin("PLAIN", &STANDARD.encode("alice\0admin\0admin-secret"))));
    assert!(smtp.ask("MAIL FROM:<alice@example.test>").starts_with("250"), "with the user's address");
    wait_for("both names in the log", || {
        let log = instance.logs();
        let both = log
            .lines()
            .filter(|line| line.contains("] alice TLS (session ") && line.contains(") PLAIN by admin"));
        (both.count() == 4).then_some(())
    });
    let log = instance.logs();
    assert!(log.contains("] alice not an administrator, but wants to act as another user (session "));
    assert!(log.contains("] admin may not act as another administrator (session "));
    let elsewhere = Setup::default().set("store.adminnetworks", "192.0.2.0/24").start();
    let mut imap = elsewhere.imap("admin");
    assert!(imap.refused("PROXYAUTH alice").starts_with("NO [NOPERM]"));
    let mut client = Client::tls(&elsewhere, IMAPS);
    assert!(!Client::is_in(&client.begin("PLAIN", &STANDARD.encode("alice\0admin\0admin-secret"))));
}

#[test]
fn dirutil_shows_no_keys_and_an_import_of_gnu_sasls_keys_works() {
    let instance = with_scram();
    let shown = run(instance.tool("dirutil").args(["show", "alice"]));
    assert!(shown.contains("userPassword: (set)") && !shown.contains("SCRAM"), "{shown}");
    let made = run(Command::new("gsasl")
        .args(["--mkpasswd", "-m", "SCRAM-SHA-256", "-p", "made elsewhere"])
        .arg("--iteration-count=4096"));
    run(instance
        .tool("dirutil")
        .args(["change", "bob", "--set"])
        .arg(format!("userPassword={}", made.trim())));
    wait_for("the new keys", || {
        let mut client = Client::tls(&instance, IMAPS);
        let answer = client.scram("SCRAM-SHA-256", &mut Scram::new("n,,", b"", "bob", "made elsewhere"));
        Client::is_in(&answer).then_some(())
    });
    // Each daemon reads the file again by itself.
    wait_for("the new password in popd", || {
        let mut pop = Pop::open(instance.connect(POP));
        pop.ok("USER bob");
        pop.ask("PASS made elsewhere").starts_with("+OK").then_some(())
    });
    let mut imap = Imap::open(instance.connect(IMAP));
    imap.ok("LOGIN bob \"made elsewhere\"");
    let plain = STANDARD.encode("\0bob\0made elsewhere");
    wait_for("the new password in smtpd", || {
        let mut smtp = Smtp::open(instance.connect(SUBMISSION));
        smtp.ok("EHLO client.example.org");
        smtp.ask(&format!("AUTH PLAIN {plain}")).starts_with("235").then_some(())
    });
}
