//! Relays with a log-in, and how much TLS another host must show.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use black_box::instance::wait_for;
use black_box::{Act, Authority, Certificate, Instance, Setup, Step, StubMta, World};

fn send(instance: &Instance, to: &str) {
    send_text(instance, "", to, "Subject: s\r\n\r\nx\r\n");
}

fn send_text(instance: &Instance, parameters: &str, to: &str, text: &str) {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.ok(&format!("MAIL FROM:<alice@example.test>{parameters}"));
    smtp.ok(&format!("RCPT TO:<{to}>"));
    assert!(smtp.ask("DATA").starts_with("354"));
    assert!(smtp.ask(&format!("{text}.")).starts_with("250"));
}

/// The envelope of the one message that waits for another host, when its attempt has ended.
fn deferred(instance: &Instance) -> String {
    fn find(folder: PathBuf, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                find(entry.path(), found);
            } else if entry.file_name().to_string_lossy().starts_with("env-") {
                found.push(entry.path());
            }
        }
    }
    wait_for("a deferred message", || {
        let mut found = Vec::new();
        find(instance.path("queue/deferred"), &mut found);
        let text = found.first().and_then(|path| fs::read_to_string(path).ok())?;
        text.contains("attempt 0 ").then_some(text)
    })
}

fn log(instance: &Instance) -> String {
    fs::read_to_string(instance.path("log/smtp/smtp")).unwrap()
}

/// A file of log-ins beside the configuration.
fn log_ins(instance: &Instance, text: &str, mode: u32) {
    let path = instance.path("config/log-ins");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn with_log_ins(setup: Setup) -> Setup {
    setup.set("local.service.smtp.smtp-deliver.credentials", "file:config/log-ins")
}

/// Everything for others goes to the first host that takes it, whatever the domain's own hosts are, after a log-in.
#[test]
fn a_relay_that_asks_for_a_log_in_gets_all_mail_for_others() {
    for (offer, said) in [
        ("AUTH PLAIN LOGIN", "AUTH PLAIN AHNob3AAY29ycmVjdCBob3JzZQ=="),
        ("AUTH LOGIN", "Y29ycmVjdCBob3JzZQ=="),
    ] {
        let world = World::new();
        world.host("dead.relay.test");
        let own = world.served("remote.test", StubMta::new());
        let relay = StubMta::new().at(world.host("relay.test")).offers(&[offer, "PIPELINING"]).start();
        let hosts = format!("[dead.relay.test] relay.test:{}", world.port);
        let mut instance =
            with_log_ins(world.setup()).set("local.service.smtp.smtp-deliver.smarthosts", &hosts).create();
        log_ins(&instance, "# us\nrelay.test shop correct horse\n", 0o600);
        instance.start_all();
        send(&instance, "x@remote.test");
        send(&instance, "y@nowhere.test");
        relay.wait_for(2);
        instance.wait_for_empty_queue();
        let seen = relay.seen();
        assert!(seen.commands.iter().any(|line| line == said), "{:?}", seen.commands);
        assert_eq!(own.seen().connections, 0);
        assert!(!log(&instance).contains("horse") && !log(&instance).contains("Y29ycmVjdCBob3JzZ"));
    }
}

/// A row of `hostrewrites` names the relay of one destination, and comes before the relay of all.
#[test]
fn a_destination_may_have_a_relay_of_its_own() {
    let world = World::new();
    let all = StubMta::new().at(world.host("relay.test")).start();
    let partner = StubMta::new().at(world.host("partner-relay.test")).offers(&["AUTH PLAIN"]).start();
    let row = format!("*.partner.test:partner-relay.test:{}", world.port);
    let mut instance = with_log_ins(world.setup())
        .set("local.service.smtp.smtp-deliver.smarthosts", "[relay.test]")
        .set("service.smtp.smtp-router.hostrewrites", &row)
        .create();
    log_ins(&instance, "partner-relay.test us secret\n", 0o600);
    instance.start_all();
    send(&instance, "x@a.partner.test");
    send(&instance, "x@b.test");
    assert_eq!(partner.wait_for(1)[0].recipients(), ["x@a.partner.test"]);
    assert_eq!(all.wait_for(1)[0].recipients(), ["x@b.test"]);
    assert!(all.seen().commands.iter().all(|line| !line.starts_with("AUTH")), "nobody is told unasked");
}

#[test]
fn a_password_that_is_refused_or_cannot_be_kept_secret_leaves_mail_waiting_and_says_so() {
    for (mode, told) in [(0o600, "535 5.7.8 who are you"), (0o644, "others may read or write it (mode 644)")]
    {
        let world = World::new();
        let relay = StubMta::new()
            .at(world.host("relay.test"))
            .offers(&["AUTH PLAIN"])
            .on(Step::Auth, &[Act::say("535 5.7.8 who are you")])
            .start();
        let mut instance = with_log_ins(world.setup())
            .set("local.service.smtp.smtp-deliver.smarthosts", "[relay.test]")
            .create();
        log_ins(&instance, "relay.test shop geheim\n", mode);
        instance.start_all();
        send(&instance, "x@remote.test");
        let envelope = deferred(&instance);
        assert!(envelope.contains("4.7.8"), "{envelope}");
        let log = log(&instance);
        let line = log.lines().find(|line| line.contains("Network Error")).unwrap_or_default();
        assert!(line.contains(told), "{log}");
        assert!(!log.contains("geheim") && !envelope.contains("geheim"));
        assert!(relay.seen().received.is_empty());
    }
}

/// A world where `remote.test` has a host with this certificate, and an instance that trusts this authority.
struct Encrypted {
    world: World,
    mx: StubMta,
    folder: tempfile::TempDir,
}

impl Encrypted {
    fn new(certificate: Option<&Certificate>, trusted: &Authority) -> Encrypted {
        let world = World::new();
        let script = match certificate {
            Some(certificate) => StubMta::new().tls(certificate),
            None => StubMta::new(),
        };
        let mx = world.served("remote.test", script);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), trusted.pem()).unwrap();
        Encrypted { world, mx, folder }
    }

    fn setup(&self, level: &str) -> Setup {
        let file = self.folder.path().join("ca.pem");
        self.world
            .setup()
            .set("local.service.smtp.smtp-deliver.tlslevel", level)
            .set("local.service.smtp.smtp-deliver.cafile", file.to_str().unwrap())
    }

    fn arrives(&self, setup: Setup) -> bool {
        let instance = setup.start();
        send(&instance, "x@remote.test");
        let tls = self.mx.wait_for(1)[0].tls;
        instance.wait_for_empty_queue();
        tls
    }

    /// It waits with a status of the class of security, and nothing of it was said to the host.
    fn waits(&self, setup: Setup, why: &str) -> Instance {
        let instance = setup.start();
        send(&instance, "x@remote.test");
        let envelope = deferred(&instance);
        assert!(envelope.contains(" 4.7.") && envelope.contains(why), "{why}: {envelope}");
        assert!(self.mx.seen().commands.iter().all(|line| !line.starts_with("MAIL")), "{why}");
        instance
    }
}

const MX: &str = "mx.remote.test";

#[test]
fn each_level_of_tls_takes_what_it_says() {
    let (ours, strange) = (Authority::new(), Authority::new());
    let (good, named) = (ours.issue(MX), ours.issue("other.test"));
    let world = |certificate: Option<&Certificate>| Encrypted::new(certificate, &ours);
    for (level, certificate, tls) in [
        ("none", Some(&good), false),
        ("may", None, false),
        ("may", Some(&strange.issue(MX)), true),
        ("encrypt", Some(&strange.issue(MX)), true),
        ("verify", Some(&good), true),
        ("secure", Some(&good), true),
        ("dane", Some(&strange.issue(MX)), true),
    ] {
        let world = world(certificate);
        assert_eq!(world.arrives(world.setup(level)), tls, "{level}");
    }
    for (level, certificate, why) in [
        ("encrypt", None, "does not offer TLS"),
        ("verify", None, "does not offer TLS"),
        ("verify", Some(&strange.issue(MX)), "certificate is refused"),
        ("verify", Some(&named), "certificate is refused"),
        ("verify", Some(&ours.issue_expired(MX)), "expired"),
        ("secure", Some(&named), "not for remote.test"),
    ] {
        let world = world(certificate);
        world.waits(world.setup(level), why);
    }
}

#[test]
fn a_row_of_the_policy_table_counts_for_its_destination_alone() {
    let ours = Authority::new();
    let world = Encrypted::new(None, &ours);
    let other = world.world.served("other.test", StubMta::new());
    let policy = "*.nothing.test:none$remote.test:encrypt";
    let instance =
        world.waits(world.setup("may").set("local.service.smtp.smtp-deliver.tlspolicy", policy), "required");
    send(&instance, "x@other.test");
    other.wait_for(1);
}
