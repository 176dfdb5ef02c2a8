//! Mail that goes on: rewritten senders (SRS), what comes back to them, and seals (ARC).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use black_box::peer_dkim::{look, records};
use black_box::{Act, Instance, Setup, Smtp, Step, StubMta, World, run};

/// bob forwards to `away@remote.test` and keeps nothing.
fn forwarding(setup: Setup) -> Instance {
    let instance = setup.set("local.service.smtp.smtp-accept.relaynetworks", "192.0.2.0/24").create();
    run(instance.tool("dirutil").args(["change", "bob", "--set", "mailForwardingAddress=away@remote.test"]));
    run(instance.tool("dirutil").args(["change", "bob", "--remove", "mailDeliveryOption"]));
    instance
}

fn with_srs(world: &World) -> Setup {
    world.setup().set("local.service.smtp.srs.enable", "yes")
}

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp
}

const TEXT: &str = "From: Joe <joe@sender.test>\r\nTo: bob@example.test\r\nSubject: hello\r\n\r\nhi\r\n";

fn from_joe(instance: &Instance, to: &str, text: &str) {
    greeted(instance).send_message("joe@sender.test", &[to], text);
}

/// The whole circle: the forwarded mail bounces at its end, and joe hears of it through us.
#[test]
fn a_forwarded_sender_is_ours_and_a_report_comes_back_to_who_sent_it() {
    let world = World::new();
    let remote = world.served("remote.test", StubMta::new());
    let sender = world.served("sender.test", StubMta::new());
    let mut instance = forwarding(with_srs(&world));
    instance.start_all();
    let secrets = instance.path("config/srs.secrets");
    assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o600);
    from_joe(&instance, "bob@example.test", TEXT);
    let forwarded = remote.wait_for(1)[0].clone();
    let rewritten = forwarded.sender();
    assert!(
        rewritten.starts_with("SRS0=") && rewritten.ends_with("=sender.test=joe@example.test"),
        "{rewritten}"
    );
    assert_eq!(forwarded.recipients(), ["away@remote.test"]);
    assert!(forwarded.text().contains("From: Joe <joe@sender.test>\r\n"));
    // A report comes back, in another case, and across a restart with the same secret.
    instance.stop("smtp");
    instance.start_one("smtp");
    let mut smtp = greeted(&instance);
    smtp.ok("MAIL FROM:<>");
    smtp.ok(&format!("RCPT TO:<{}>", rewritten.to_lowercase()));
    assert!(smtp.ask("DATA").starts_with("354"));
    smtp.wire.send(b"Subject: Undelivered\r\n\r\nsorry\r\n.\r\n");
    assert!(smtp.reply().starts_with("250"));
    let report = sender.wait_for(1)[0].clone();
    assert_eq!((report.sender(), report.recipients()), (String::new(), vec!["joe@sender.test".to_owned()]));
    assert!(report.text().contains("sorry"));
    instance.wait_for_empty_queue();
}

#[test]
fn what_is_forged_old_or_no_report_is_refused() {
    let world = World::new();
    let remote = world.served("remote.test", StubMta::new());
    let mut instance = forwarding(with_srs(&world));
    instance.start_all();
    from_joe(&instance, "bob@example.test", TEXT);
    let rewritten = remote.wait_for(1)[0].sender();
    let mut smtp = greeted(&instance);
    smtp.ok("MAIL FROM:<>");
    for (address, why) in [
        (rewritten.replace("=joe", "=jim"), "not made here"),
        (rewritten.replace("=sender.test", "=other.test"), "not made here"),
        ("SRS0=AAAA=BB=sender.test=joe@example.test".into(), "not made here"),
        ("SRS1=AAAA=x==BBBB=CC=sender.test=joe@example.test".into(), "not made here"),
        ("SRS0=AAAA@example.test".into(), "no rewritten address"),
    ] {
        let said = smtp.ask(&format!("RCPT TO:<{address}>"));
        assert!(said.starts_with("550 5.1.1") && said.contains(why), "{address}: {said}");
    }
    smtp.ok("RSET");
    smtp.ok("MAIL FROM:<x@elsewhere.test>");
    let said = smtp.ask(&format!("RCPT TO:<{rewritten}>"));
    assert!(said.starts_with("550 5.7.1") && said.contains("reports only"), "{said}");
    // With another secret it is not ours any more; the account-handler says the same of what a user forwards to.
    instance.stop("smtp");
    fs::write(instance.path("config/srs.secrets"), "another\n").unwrap();
    run(instance.tool("dirutil").args([
        "change",
        "bob",
        "--set",
        &format!("mailForwardingAddress={rewritten}"),
    ]));
    instance.start_one("smtp");
    let mut smtp = greeted(&instance);
    smtp.ok("MAIL FROM:<>");
    assert!(smtp.ask(&format!("RCPT TO:<{rewritten}>")).starts_with("550 5.1.1"), "another secret");
    instance.submission("alice").send_message("alice@example.test", &["bob@example.test"], TEXT);
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let report = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(report.contains("Status: 5.1.1") && report.contains("was not made here"), "{report}");
}

/// What is ours, and what goes where it was sent to, keeps its sender; so does everything when SRS is off.
#[test]
fn only_forwarded_senders_from_elsewhere_are_rewritten() {
    let world = World::new();
    let remote = world.served("remote.test", StubMta::new());
    let mut instance = forwarding(with_srs(&world));
    instance.set("local.service.smtp.smtp-accept.relaynetworks", "127.0.0.0/8");
    instance.start_all();
    let mut smtp = greeted(&instance);
    // One envelope: one is forwarded, the other is not; so they go apart.
    smtp.send_message("joe@sender.test", &["bob@example.test", "direct@remote.test"], TEXT);
    smtp.send_message("alice@example.test", &["bob@example.test"], TEXT);
    smtp.send_message("", &["bob@example.test"], TEXT);
    let mut seen: Vec<String> = remote
        .wait_for(4)
        .iter()
        .map(|one| format!("{} {}", one.sender(), one.recipients().join(" ")))
        .collect();
    seen.sort();
    assert_eq!(seen[0], " away@remote.test", "the null sender stays");
    assert!(seen[1].starts_with("SRS0=") && seen[1].ends_with("@example.test away@remote.test"), "{seen:?}");
    assert_eq!(seen[2..], ["alice@example.test away@remote.test", "joe@sender.test direct@remote.test"]);
    instance.stop("smtp");
    instance.set("local.service.smtp.srs.enable", "no");
    instance.start_one("smtp");
    from_joe(&instance, "bob@example.test", TEXT);
    assert_eq!(remote.wait_for(5)[4].sender(), "joe@sender.test");
}

/// Reports made here go to the sender himself; and a secret that others may read, or a domain that is not ours, is an error.
#[test]
fn a_refused_forwarding_is_reported_to_the_sender_and_bad_settings_are_told() {
    let world = World::new();
    let sender = world.served("sender.test", StubMta::new());
    let _remote =
        world.served("remote.test", StubMta::new().on(Step::Rcpt, &[Act::say("550 5.1.1 no such user")]));
    let mut instance = forwarding(with_srs(&world));
    instance.start_all();
    from_joe(&instance, "bob@example.test", TEXT);
    let report = sender.wait_for(1)[0].clone();
    assert_eq!((report.sender(), report.recipients()), (String::new(), vec!["joe@sender.test".to_owned()]));
    instance.stop("smtp");
    let secrets = instance.path("config/srs.secrets");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o644)).unwrap();
    let said = String::from_utf8_lossy(&instance.refused_start("smtp").stderr).into_owned();
    assert!(said.contains("srs.secrets: others may read it (mode 0644)"), "{said}");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    instance.set("local.service.smtp.srs.domain", "elsewhere.test");
    let said = String::from_utf8_lossy(&instance.refused_start("smtp").stderr).into_owned();
    assert!(
        said.contains("local.service.smtp.srs.domain is elsewhere.test, which is not among the domains"),
        "{said}"
    );
}

/// RFC 8617: a set on top of what is forwarded, and on top of what another sealed before; none on what is not.
/// What was found of the chain when it came is known from the results, or else found when it goes.
#[test]
fn forwarded_mail_is_sealed_and_a_chain_goes_on() {
    chain("yes");
    chain("no");
}

fn chain(verified: &str) {
    let world = World::new();
    let remote = world.served("remote.test", StubMta::new());
    let setup = world
        .setup()
        .set("local.service.smtp.verification.spf", "yes")
        .set("local.service.smtp.verification.arc", verified)
        .set("local.service.smtp.verification.exempt", "192.0.2.0/24");
    let mut instance = forwarding(setup);
    let zone = records(&run(instance.tool("dkimutil").args(["create", "example.test", "k"])));
    world.dns.add(&zone[0].0, "TXT", 60, &zone[0].1);
    instance.start_all();
    let large = format!("{TEXT}{}", "many lines  of text\r\n".repeat(20_000));
    from_joe(&instance, "bob@example.test", &large);
    let first = remote.wait_for(1)[0].clone();
    assert_eq!(first.sender(), "joe@sender.test", "without SRS");
    assert!(first.text().starts_with("ARC-Seal: i=1; "), "{}", &first.text()[..300]);
    assert_eq!(look(&first.content, &zone), ["arc pass"]);
    let header = first.text().split_once("\r\n\r\n").unwrap().0.to_owned();
    assert!(header.contains("ARC-Authentication-Results: i=1; "), "{header}");
    assert!(header.contains("cv=none") && header.contains("Authentication-Results: localhost"), "{header}");
    let told = header.split("\r\nARC-Authentication-Results: i=1; ").nth(1).unwrap();
    assert!(told.starts_with("localhost;\r\n\tspf=none"), "what was found at arrival: {told}");
    // It comes again: another set.
    from_joe(&instance, "bob@example.test", &first.text());
    let second = remote.wait_for(2)[1].clone();
    assert!(second.text().starts_with("ARC-Seal: i=2; ") && second.text().contains("cv=pass"));
    assert_eq!(look(&second.content, &zone), ["arc pass"]);
    // It was changed on the way: a set that says so.
    from_joe(&instance, "bob@example.test", &first.text().replacen("Subject: hello", "Subject: goodbye", 1));
    let third = remote.wait_for(3)[2].clone();
    assert!(
        third.text().starts_with("ARC-Seal: i=2; ") && third.text().contains("cv=fail"),
        "{}",
        &third.text()[..300]
    );
    assert_eq!(look(&third.content, &zone), ["arc fail"]);
    // What a user sends is signed and not sealed, to whomever it goes.
    instance.submission("alice").send_message(
        "alice@example.test",
        &["bob@example.test", "x@remote.test"],
        "From: alice@example.test\r\n\r\nx\r\n",
    );
    for message in &remote.wait_for(4)[3..] {
        assert_eq!(look(&message.content, &zone), ["dkim example.test k pass", "arc none"]);
    }
}

#[test]
fn a_group_s_copies_are_sealed_too_unless_that_is_off() {
    for (value, expected) in [("yes", "arc pass"), ("no", "arc none")] {
        let world = World::new();
        let remote = world.served("remote.test", StubMta::new());
        let mut instance = forwarding(
            with_srs(&world)
                .set("local.service.smtp.arc.seal", value)
                .set("local.service.smtp.arc.domain", "example.test"),
        );
        let zone = records(&run(instance.tool("dkimutil").args(["create", "example.test", "k"])));
        run(instance.tool("dirutil").args([
            "add",
            "group",
            "team",
            "--member",
            "x@remote.test",
            "y@remote.test",
        ]));
        instance.start_all();
        from_joe(&instance, "team@example.test", TEXT);
        let copy = remote.wait_for(1)[0].clone();
        assert!(copy.text().contains("Resent-From: team@example.test"), "{}", copy.text());
        assert!(copy.sender().starts_with("SRS0="), "{}", copy.sender());
        assert_eq!(look(&copy.content, &zone), [expected], "{}", copy.text());
    }
}
