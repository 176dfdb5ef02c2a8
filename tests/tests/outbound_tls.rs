//! Relays with a log-in, and how much TLS another host must show.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use black_box::instance::{SUBMISSIONS, wait_for};
use black_box::{
    Act, Authority, Certificate, Instance, Setup, Smtp, Step, StubHttps, StubMta, Wire, World, run,
};

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
    instance.log("smtp")
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

/// What an administrator named and nobody can find is his to mend: no mail comes back for it.
#[test]
fn a_relay_that_does_not_exist_leaves_mail_waiting_and_the_log_names_the_parameter() {
    for (parameter, value) in [
        ("local.service.smtp.smtp-deliver.smarthosts", "[typo.relay.test]"),
        ("local.service.smtp.smtp-deliver.smarthosts", "typo.relay.test"),
        ("service.smtp.smtp-router.hostrewrites", "remote.test:typo.relay.test"),
    ] {
        let world = World::new();
        let mut instance = world.setup().set(parameter, value).create();
        instance.start_all();
        send(&instance, "x@remote.test");
        let envelope = deferred(&instance);
        assert!(envelope.contains("4.4.4") && envelope.contains("typo.relay.test"), "{envelope}");
        let log = log(&instance);
        let told = format!("Network Error: mail waits: {parameter}: typo.relay.test does not exist");
        assert!(log.contains(&told), "{log}");
    }
}

/// `localhost` stands in /etc/hosts, and in no name server's answer.
#[test]
fn a_relay_may_be_named_as_this_host_knows_it() {
    let world = World::new();
    let relay = StubMta::new().start();
    let hosts = format!("localhost:{}", relay.address().port());
    let mut instance = world.setup().set("local.service.smtp.smtp-deliver.smarthosts", &hosts).create();
    instance.start_all();
    send(&instance, "x@remote.test");
    assert_eq!(relay.wait_for(1)[0].recipients(), ["x@remote.test"]);
}

/// A relay that wants a log-in for which there is no line: the line is missing, not the recipient.
#[test]
fn a_relay_without_its_line_of_log_ins_leaves_mail_waiting_and_the_log_says_which() {
    for (reply, line, waits) in [
        ("530 5.7.0 Authentication is required", Some("other.test shop secret"), true),
        ("530 5.7.0 Authentication is required", None, true),
        ("550 5.7.1 Log in first", Some("other.test shop secret"), true),
        ("550 5.7.1 Not from you", Some("[relay.test] shop secret"), false),
    ] {
        let world = World::new();
        let relay = StubMta::new().at(world.host("relay.test")).offers(&["AUTH PLAIN"]);
        let _relay = relay.on(Step::Mail, &[Act::say(reply)]).start();
        let setup = world.setup().set("local.service.smtp.smtp-deliver.smarthosts", "[relay.test]");
        let mut instance = if line.is_some() { with_log_ins(setup) } else { setup }.create();
        log_ins(&instance, line.unwrap_or_default(), 0o600);
        instance.start_all();
        send(&instance, "x@remote.test");
        if !waits {
            wait_for("a failure", || log(&instance).contains(": failed (").then_some(()));
            continue;
        }
        let envelope = deferred(&instance);
        assert!(envelope.contains("4.7.0"), "{envelope}");
        let missing = match line {
            Some(_) => "config/log-ins is about relay.test or its port",
            None => "local.service.smtp.smtp-deliver.credentials is not set",
        };
        let log = log(&instance);
        let told = log.lines().find(|line| line.contains("Network Error")).unwrap_or_default();
        assert!(told.contains(missing) && told.contains(reply), "{log}");
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

fn tlsa_name(world: &World, host: &str) -> String {
    format!("_{}._tcp.{host}", world.port)
}

/// RFC 7672: with validated records the host must fit one, encryption at least when none is usable; records that are not
/// validated are none. At the usual level.
#[test]
fn validated_tlsa_records_decide_who_gets_mail() {
    let nobody = Authority::new();
    let good = Authority::new().issue("another.name.test");
    let other = Authority::new().issue(MX);
    let unusable = good.tlsa().replace("3 1 1", "1 1 1");
    let world = |certificate: Option<&Certificate>, records: &[&str], validates: bool| {
        let world = Encrypted::new(certificate, &nobody);
        for record in records {
            world.world.dns.add(&tlsa_name(&world.world, MX), "TLSA", 60, record);
        }
        world.world.dns.validate(validates);
        world
    };
    for (certificate, records, validates, tls) in [
        (Some(&good), &[good.tlsa().as_str()][..], true, true),
        (Some(&good), &[other.tlsa().as_str(), good.tlsa().as_str()], true, true),
        (Some(&other), &[unusable.as_str()], true, true),
        (Some(&other), &[good.tlsa().as_str()], false, true),
        (None, &[good.tlsa().as_str()], false, false),
        (None, &[], true, false),
    ] {
        let world = world(certificate, records, validates);
        assert_eq!(world.arrives(world.setup("dane")), tls, "{records:?} {validates}");
    }
    for (certificate, records, why) in [
        (Some(&other), good.tlsa(), "fits no TLSA record"),
        (None, good.tlsa(), "does not offer TLS"),
        (None, unusable, "does not offer TLS"),
    ] {
        let world = world(certificate, &[&records], true);
        world.waits(world.setup("dane"), why);
    }
    // What cannot be looked up may be there.
    let world = world(Some(&good), &[], true);
    world.world.dns.fail(&tlsa_name(&world.world, MX));
    let instance = world.waits(world.setup("dane"), "its TLSA records");
    assert_eq!(world.mx.seen().connections, 0, "{}", log(&instance));
}

/// The next host is tried; and the records of an alias are those of the host's own name (RFC 7672 §2.2.3).
#[test]
fn a_host_that_fits_no_record_is_passed_over_for_the_next() {
    let (bad, good) = (Authority::new().issue(MX), Authority::new().issue("own.name.test"));
    let nobody = Authority::new();
    let world = Encrypted::new(Some(&bad), &nobody);
    let dns = &world.world.dns;
    dns.add(&tlsa_name(&world.world, MX), "TLSA", 60, &good.tlsa());
    dns.add("remote.test", "MX", 60, "20 alias.remote.test");
    dns.add("alias.remote.test", "CNAME", 60, "own.name.test");
    dns.add(&tlsa_name(&world.world, "own.name.test"), "TLSA", 60, &good.tlsa());
    dns.validate(true);
    let second = StubMta::new().at(world.world.host("own.name.test")).tls(&good).start();
    let instance = world.setup("dane").start();
    send(&instance, "x@remote.test");
    assert!(second.wait_for(1)[0].tls);
    instance.wait_for_empty_queue();
    assert!(world.mx.seen().connections == 1 && world.mx.seen().received.is_empty());
}

/// A domain with a policy, fetched from a host of its own.
struct Strict {
    at: Encrypted,
    https: StubHttps,
}

impl Strict {
    fn new(certificate: Option<&Certificate>, ours: &Authority, policy: &str) -> Strict {
        let at = Encrypted::new(certificate, ours);
        at.world.dns.add("_mta-sts.remote.test", "TXT", 1, "v=STSv1; id=1;");
        let host = at.world.host("mta-sts.remote.test");
        let https = StubHttps::start(host, &ours.issue("mta-sts.remote.test"), policy);
        Strict { at, https }
    }

    fn setup(&self) -> Setup {
        let port = self.at.world.port.to_string();
        self.at
            .setup("dane")
            .set("local.service.smtp.smtp-deliver.mtastsport", &port)
            .set("local.service.smtp.smtp-deliver.mtastsinternal", "127.0.0.0/8")
    }
}

fn policy(mode: &str, mx: &str, max_age: u32) -> String {
    format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {max_age}\r\n")
}

/// RFC 8461 §5: who does not keep to a policy that is enforced gets nothing; one that is tried out hinders nobody.
#[test]
fn a_policy_of_mta_sts_is_enforced_where_it_says_so() {
    let (ours, strange) = (Authority::new(), Authority::new());
    let (good, bad) = (ours.issue(MX), strange.issue(MX));
    for (certificate, text, tls) in [
        (Some(&good), policy("enforce", "*.remote.test", 86_400), true),
        (Some(&bad), policy("testing", MX, 86_400), true),
        (None, policy("testing", MX, 86_400), false),
        (Some(&bad), policy("none", MX, 86_400), true),
        (Some(&bad), "nonsense".to_owned(), true),
    ] {
        let world = Strict::new(certificate, &ours, &text);
        assert_eq!(world.at.arrives(world.setup()), tls, "{text}");
        let line = format!(
            "GET /.well-known/mta-sts.txt HTTP/1.1 Host: mta-sts.remote.test:{}",
            world.at.world.port
        );
        assert_eq!(world.https.requests(), [line]);
    }
    for (certificate, text, why) in [
        (Some(&bad), policy("enforce", MX, 86_400), "certificate is refused"),
        (None, policy("enforce", MX, 86_400), "does not offer TLS"),
        (Some(&good), policy("enforce", "mx.other.test", 86_400), "no host of the MTA-STS policy"),
    ] {
        let world = Strict::new(certificate, &ours, &text);
        world.at.waits(world.setup(), why);
    }
    // DANE outranks it, whatever authorities say of the certificate.
    let world = Strict::new(Some(&bad), &ours, &policy("enforce", MX, 86_400));
    world.at.world.dns.add(&tlsa_name(&world.at.world, MX), "TLSA", 60, &bad.tlsa());
    world.at.world.dns.validate(true);
    assert!(world.at.arrives(world.setup()));
}

/// A fetch that fails stops no mail, and changes nothing about a policy that is kept and still good.
#[test]
fn a_policy_is_kept_for_its_age_and_no_longer() {
    let ours = Authority::new();
    let bad = Authority::new().issue(MX);
    // Nothing is kept, and nothing can be fetched: by a wrong certificate, by a redirection.
    let world = Strict::new(Some(&bad), &ours, "");
    world.https.say("HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.test/\r\nContent-Length: 0\r\n\r\n");
    let instance = world.setup().start();
    send(&instance, "x@remote.test");
    world.at.mx.wait_for(1);
    instance.wait_for_empty_queue();
    assert!(log(&instance).contains("MTA-STS of remote.test") && log(&instance).contains("status 301"));
    // The domain is told that it failed, and not what was seen at the host that it named.
    let folder = instance.path("tls-reports");
    let counts = wait_for("the counts", || {
        let text: String = fs::read_dir(&folder)
            .ok()?
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
            .collect();
        text.contains("sts-policy-fetch-error").then_some(text)
    });
    assert!(!counts.contains("301"), "{counts}");
    let mode = |path: &str| fs::metadata(instance.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tls-reports"), mode("run/smtp.lock")), (0o700, 0o600));
    send(&instance, "x@remote.test");
    world.at.mx.wait_for(2);
    assert_eq!(world.https.requests().len(), 1, "not asked again at once");
    drop(instance);

    // Kept: it holds on although the host of the policy is gone, and smtpd was started anew.
    let world = Strict::new(Some(&bad), &ours, &policy("enforce", MX, 86_400));
    let mut instance = world.at.waits(world.setup(), "certificate is refused");
    let kept = fs::read_to_string(instance.path("mta-sts/remote.test")).unwrap();
    assert_eq!(fs::metadata(instance.path("mta-sts")).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(kept.contains("mode: enforce") && kept.contains("Id: 1"), "{kept}");
    world.https.say("HTTP/1.1 404 Gone\r\n\r\n");
    world.at.world.dns.remove("_mta-sts.remote.test");
    instance.kill("smtp");
    instance.start_one("smtp");
    send(&instance, "y@remote.test");
    let waits = |instance: &Instance, count: usize| {
        wait_for("attempts to end", || {
            let log = log(instance);
            (log.matches("certificate is refused").count() >= count).then_some(())
        });
    };
    waits(&instance, 2);
    assert!(world.at.mx.seen().received.is_empty());

    // Over: with the policy's age it is forgotten.
    let world = Strict::new(Some(&bad), &ours, &policy("enforce", MX, 1));
    let instance = world.at.waits(world.setup(), "certificate is refused");
    world.at.world.dns.remove("_mta-sts.remote.test");
    world.https.say("HTTP/1.1 404 Gone\r\n\r\n");
    wait_for("mail to go out once the policy is over", || {
        let attempts = || log(&instance).matches("SMTP-Deliver:").count();
        let before = attempts();
        send(&instance, "z@remote.test");
        wait_for("the attempt to end", || (attempts() > before).then_some(()));
        (!world.at.mx.seen().received.is_empty()).then_some(())
    });
}

/// RFC 8460: what went well and what failed is counted for each destination, and told as the standard has it.
#[test]
fn how_tls_went_is_counted_and_reported() {
    let ours = Authority::new();
    let expired = ours.issue_expired(MX);
    let world = Strict::new(Some(&expired), &ours, &policy("testing", MX, 86_400));
    let instance = world.setup().start();
    let plain = world.at.world.served("plain.test", StubMta::new());
    send(&instance, "x@remote.test");
    send(&instance, "x@plain.test");
    world.at.mx.wait_for(1);
    plain.wait_for(1);
    let list = wait_for("the counts", || {
        let output = instance.tool("msg-tlsreport").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (text.lines().count() == 2).then_some(text)
    });
    assert_eq!(list, "plain.test no-policy-found 0 1\nremote.test sts 0 1\n");
    let report = run(instance.tool("msg-tlsreport").arg("remote.test"));
    for member in [
        "\"policy-type\": \"sts\"",
        "\"mode: testing\"",
        "\"mx-host\": [\"mx.remote.test\"]",
        "\"total-failure-session-count\": 1",
        "\"result-type\": \"certificate-expired\"",
        "\"receiving-mx-hostname\": \"mx.remote.test\"",
        "\"contact-info\": \"postmaster@example.test\"",
    ] {
        assert!(report.contains(member), "{member}\n{report}");
    }
    let report = run(instance.tool("msg-tlsreport").arg("plain.test"));
    assert!(report.contains("\"result-type\": \"starttls-not-supported\""), "{report}");
}

/// A message of alice that is to go on under TLS only.
fn send_required(instance: &Instance, to: &str) {
    let wire = Wire::tls(instance.connect(SUBMISSIONS), &instance.path("config/certs/ca.pem"));
    let mut smtp = Smtp::over(wire);
    smtp.log_in("alice", "alice-secret");
    assert!(smtp.ok("EHLO client.example.org").contains("REQUIRETLS"));
    smtp.ok("MAIL FROM:<alice@example.test> REQUIRETLS");
    smtp.ok(&format!("RCPT TO:<{to}>"));
    smtp.ok("DATA");
    smtp.ok("Subject: secret\r\n\r\nconfidential\r\n.");
}

/// RFC 8689 §4.2.1: it goes to a host that proves itself, by DANE or by an authority, and takes REQUIRETLS.
#[test]
fn requiretls_goes_to_a_proved_host_that_takes_it() {
    let ours = Authority::new();
    for by_dane in [false, true] {
        let world = World::new();
        let certificate = if by_dane { Authority::new().issue("other.test") } else { ours.issue(MX) };
        let mx = world.served("remote.test", StubMta::new().offers(&["REQUIRETLS", "DSN"]).tls(&certificate));
        let at = Encrypted { mx, folder: tempfile::tempdir().unwrap(), world };
        fs::write(at.folder.path().join("ca.pem"), ours.pem()).unwrap();
        if by_dane {
            at.world.dns.add(&tlsa_name(&at.world, MX), "TLSA", 60, &certificate.tlsa());
            at.world.dns.validate(true);
        }
        let instance = at.setup("dane").start();
        assert!(!instance.smtp().ok("EHLO client.example.org").contains("REQUIRETLS"), "§2: under TLS only");
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example.org");
        assert!(smtp.ask("MAIL FROM:<alice@example.test> REQUIRETLS").starts_with("555"));
        send_required(&instance, "x@remote.test");
        let message = &at.mx.wait_for(1)[0];
        assert!(message.tls && message.mail.ends_with(" REQUIRETLS"), "{}", message.mail);
        instance.wait_for_empty_queue();
        // Another message on its way to the same host does not ask for it.
        send(&instance, "y@remote.test");
        assert!(!at.mx.wait_for(2)[1].mail.contains("REQUIRETLS"));
    }
}

/// Else it comes back at once, its content left out (RFC 8689 §4.4), whatever TLS there would be.
#[test]
fn requiretls_comes_back_from_where_it_cannot_be_kept() {
    let (ours, strange) = (Authority::new(), Authority::new());
    for (offers, certificate) in [
        (&["DSN"][..], Some(ours.issue(MX))),
        (&["REQUIRETLS"], Some(strange.issue(MX))),
        (&["REQUIRETLS"], None),
    ] {
        let world = World::new();
        let script = StubMta::new().offers(offers);
        let script = match &certificate {
            Some(certificate) => script.tls(certificate),
            None => script,
        };
        let mx = world.served("remote.test", script);
        let at = Encrypted { mx, folder: tempfile::tempdir().unwrap(), world };
        fs::write(at.folder.path().join("ca.pem"), ours.pem()).unwrap();
        let instance = at.setup("dane").start();
        send_required(&instance, "x@remote.test");
        instance.wait_for_messages("alice", 1);
        let mut imap = instance.imap("alice");
        imap.ok("SELECT INBOX");
        let text = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
        assert!(text.contains("Status: 5.7.30"), "{text}");
        assert!(text.contains("Subject: secret") && !text.contains("confidential"), "{text}");
        assert!(at.mx.seen().received.is_empty());
        instance.wait_for_empty_queue();
    }
}

/// RFC 8689 §5: `TLS-Required: No` gets past what the destination publishes, and past nothing of the administrator's.
#[test]
fn a_sender_may_do_without_what_the_destination_publishes() {
    let ours = Authority::new();
    let (bad, good) = (ours.issue(MX), Authority::new().issue(MX));
    let text = "TLS-Required: No\r\nSubject: s\r\n\r\nx\r\n";
    let at = Encrypted::new(Some(&bad), &ours);
    at.world.dns.add(&tlsa_name(&at.world, MX), "TLSA", 60, &good.tlsa());
    at.world.dns.validate(true);
    let instance = at.waits(at.setup("dane"), "fits no TLSA record");
    send_text(&instance, "", "x@remote.test", text);
    assert!(at.mx.wait_for(1)[0].text().contains("TLS-Required: No"));
    send(&instance, "y@remote.test");
    wait_for("a third attempt to end", || {
        (log(&instance).matches("fits no TLSA record").count() >= 2).then_some(())
    });
    assert_eq!(at.mx.seen().received.len(), 1, "the connection was for that message alone");

    let at = Encrypted::new(None, &ours);
    let instance = at.setup("encrypt").start();
    send_text(&instance, "", "x@remote.test", text);
    assert!(deferred(&instance).contains(" 4.7."));
}
