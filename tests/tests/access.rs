//! Who may connect, who must log in, and from where a user may: clients are told apart by their loopback addresses.
#![allow(clippy::unwrap_used)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, IMAPS, PATIENCE, POP, SMTP, wait_for};
use black_box::{Imap, Instance, Pop, Setup, Smtp, StubDns, Wire, run};
use nix::sys::signal::Signal;

fn smtp(instance: &Instance, address: [u8; 4]) -> Smtp {
    Smtp::open(instance.connect_from(address, SMTP))
}

fn plain(user: &str) -> String {
    STANDARD.encode(format!("\0{user}\0{user}-secret"))
}

/// The answer to MAIL of a client that says EHLO first.
fn mail(instance: &Instance, address: [u8; 4]) -> String {
    let mut smtp = smtp(instance, address);
    smtp.ok("EHLO client.example.org");
    smtp.ask("MAIL FROM:<sender@example.org>")
}

/// S132 to S135.
#[test]
fn listed_peers_must_log_in_before_they_send() {
    let list = "127.9. !127.9.0.3 !127.9.1.0/24 127.8.16.0\t255.255.240.0 127.77";
    let instance = Setup::default()
        .set("service.smtp.authmaildomain", list)
        .set("local.service.smtp.smtp-accept.relaynetworks", "127.0.0.0/8")
        .start();
    for (address, must) in [
        ([127, 9, 0, 2], true),
        ([127, 9, 0, 3], false),
        ([127, 9, 0, 33], true),
        ([127, 9, 1, 7], false),
        ([127, 90, 0, 2], false),
        ([127, 8, 31, 1], true),
        ([127, 8, 32, 1], false),
        ([127, 77, 0, 1], true),
    ] {
        let reply = mail(&instance, address);
        assert!(reply.starts_with(if must { "530 5.7.0" } else { "250" }), "{address:?}: {reply}");
    }
    // The null sender is no way around it, and logging in is the way.
    let mut smtp = smtp(&instance, [127, 9, 0, 2]);
    smtp.ok("EHLO client.example.org");
    assert!(smtp.ask("MAIL FROM:<>").starts_with("530"));
    smtp.ok(&format!("AUTH PLAIN {}", plain("alice")));
    smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: x\r\n\r\nx\r\n");
    instance.wait_for_messages("bob", 1);
}

/// X2: 5xx, then QUIT is waited for, whatever else is said.
#[test]
fn a_refused_smtp_client_is_told_and_may_say_quit() {
    let instance = Setup::default().set("service.smtp.domainnotallowed", "127.9. EXCEPT 127.9.0.3").start();
    let mut refused = smtp(&instance, [127, 9, 0, 2]);
    assert!(refused.greeting.starts_with("554 "), "{}", refused.greeting);
    for said in ["EHLO client.example.org", "MAIL FROM:<a@example.org>", "STARTTLS", "nonsense"] {
        assert!(refused.ask(said).starts_with("503 5.5.1"), "{said}");
    }
    assert!(refused.ask("quit").starts_with("221 "));
    assert!(refused.wire.is_closed());
    assert!(instance.log("smtp").contains("refused: [127.9.0.2] by the filters"), "{}", instance.log("smtp"));
    for address in [[127, 9, 0, 3], [127, 10, 0, 2]] {
        assert!(smtp(&instance, address).greeting.starts_with("220 "), "{address:?}");
    }
    // Who goes on talking is cut off too.
    let mut talker = smtp(&instance, [127, 9, 0, 2]);
    (0..10).for_each(|_| assert!(talker.ask("NOOP").starts_with("503")));
    assert!(talker.wire.is_closed());
}

/// X2: the wait for QUIT ends, and holds no worker.
#[test]
fn a_refused_smtp_client_that_stays_is_closed_after_ten_seconds_and_holds_no_worker() {
    let instance = Setup::default()
        .set("service.smtp.smtp-accept.minruncount", "1")
        .set("service.smtp.domainnotallowed", "127.9.")
        .start();
    let begin = Instant::now();
    let mut silent: Vec<Smtp> = (0..3).map(|_| smtp(&instance, [127, 9, 0, 2])).collect();
    assert!(mail(&instance, [127, 10, 0, 2]).starts_with("250"));
    assert!(begin.elapsed() < Duration::from_secs(9), "they did not wait for each other");
    for smtp in &mut silent {
        let farewell = smtp.wire.try_line();
        assert!(farewell.is_none_or(|line| line.starts_with("421 ")));
    }
    let waited = begin.elapsed();
    assert!(waited >= Duration::from_secs(9) && waited < PATIENCE, "{waited:?}");
}

#[test]
fn refused_imap_and_pop_clients_are_told_and_closed() {
    let instance = Setup::default()
        .set("service.imap.domainallowed", "imap:127.9.$imaps:127.8.")
        .set("service.pop.domainallowed", "127.9.0.2, 127.10.0.0/16")
        .set("service.pop.domainnotallowed", "127.9.")
        .start();
    let imap = |address: [u8; 4]| Imap::open(instance.connect_from(address, IMAP));
    let pop = |address: [u8; 4]| Pop::open(instance.connect_from(address, POP));
    let mut refused = imap([127, 8, 0, 1]);
    assert!(refused.greeting.starts_with("* BYE "), "{}", refused.greeting);
    assert!(refused.wire.is_closed());
    let mut allowed = imap([127, 9, 0, 1]);
    assert!(allowed.greeting.starts_with("* OK "), "{}", allowed.greeting);
    allowed.ok("LOGIN alice alice-secret");
    // The port with TLS is another service.
    let ca = instance.path("config/certs/server.crt");
    let imaps = |address: [u8; 4]| Imap::over(Wire::tls(instance.connect_from(address, IMAPS), &ca)).greeting;
    assert!(imaps([127, 9, 0, 1]).starts_with("* BYE "));
    assert!(imaps([127, 8, 0, 1]).starts_with("* OK "));
    let mut refused = pop([127, 9, 0, 1]);
    assert!(refused.greeting.starts_with("-ERR "), "{}", refused.greeting);
    assert!(refused.wire.is_closed());
    for address in [[127, 9, 0, 2], [127, 10, 0, 1], [127, 11, 0, 1]] {
        assert!(pop(address).greeting.starts_with("+OK"), "{address:?}");
    }
}

/// Host names by the verified PTR, and by nothing else.
#[test]
fn filters_with_names_believe_a_name_that_leads_back() {
    let dns = StubDns::with(&[
        ("2.0.9.127.in-addr.arpa", "PTR", 60, "mail.partner.test"),
        ("mail.partner.test", "A", 60, "127.9.0.2"),
        ("3.0.9.127.in-addr.arpa", "PTR", 60, "mail.partner.test"),
    ]);
    let instance = Setup::default()
        .set("service.smtp.dnsservers", &dns.parameter())
        .set("service.smtp.domainallowed", ".partner.test")
        .start();
    assert!(smtp(&instance, [127, 9, 0, 2]).greeting.starts_with("220 "));
    assert!(smtp(&instance, [127, 9, 0, 3]).greeting.starts_with("554 "));
    assert!(smtp(&instance, [127, 9, 0, 4]).greeting.starts_with("554 "));
}

#[test]
fn rules_that_cannot_be_read_are_refused_and_changed_ones_come_with_sighup() {
    let instance = Setup::default().start();
    for (name, value, word) in [
        ("service.imap.domainallowed", "imapp:ALL", "'imapp' is no service"),
        ("service.pop.domainnotallowed", "127.0", "'127.0' is no address"),
        ("service.smtp.domainallowed", "-ALL", "domainnotallowed"),
        ("service.smtp.authmaildomain", "mail.example.com", "is no address"),
    ] {
        let mut tool = instance.tool("configutil");
        let output = tool.args(["-o", name, "-v", value]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && said.contains(word), "{name}: {said}");
    }
    let greeting = || smtp(&instance, [127, 9, 0, 2]).greeting;
    assert!(greeting().starts_with("220 "));
    instance.set("service.smtp.domainnotallowed", "127.9.");
    instance.signal("smtp", Signal::SIGHUP);
    wait_for("the new rule", || greeting().starts_with("554 ").then_some(()));
}

fn change(instance: &Instance, user: &str, filter: &str) {
    let value = format!("mailAccessDomain={filter}");
    run(instance.tool("dirutil").args(["change", user, "--set", &value, "--force"]));
}

/// Logs a user in from an address; the answer.
type LogIn = fn(&Instance, &str, [u8; 4]) -> String;

fn imap_answer(instance: &Instance, user: &str, address: [u8; 4]) -> String {
    Imap::open(instance.connect_from(address, IMAP)).command(&format!("LOGIN {user} {user}-secret")).1
}

fn pop_answer(instance: &Instance, user: &str, address: [u8; 4]) -> String {
    let mut pop = Pop::open(instance.connect_from(address, POP));
    pop.ok(&format!("USER {user}"));
    pop.ask(&format!("PASS {user}-secret"))
}

fn smtp_answer(instance: &Instance, user: &str, address: [u8; 4]) -> String {
    let mut smtp = smtp(instance, address);
    smtp.ok("EHLO client.example.org");
    smtp.ask(&format!("AUTH PLAIN {}", plain(user)))
}

/// S136, S137: the guide's own example.
#[test]
fn the_guides_imap_only_user_has_imap_and_neither_imaps_nor_pop() {
    let instance = Setup::default().start();
    change(&instance, "alice", "+imap imapmmp:ALL$-pop popmmp:ALL");
    let here = [127, 9, 0, 2];
    wait_for("the filter", || pop_answer(&instance, "alice", here).starts_with("-ERR [AUTH]").then_some(()));
    assert!(imap_answer(&instance, "alice", here).starts_with("OK"));
    let ca = instance.path("config/certs/server.crt");
    let mut imaps = Imap::over(Wire::tls(instance.connect_from(here, IMAPS), &ca));
    assert!(imaps.refused("LOGIN alice alice-secret").starts_with("NO [CONTACTADMIN]"));
    assert!(smtp_answer(&instance, "alice", here).starts_with("235"), "no filter speaks of sending");
    assert!(pop_answer(&instance, "bob", here).starts_with("+OK"), "another user");
    let log = instance.log("pop");
    assert!(log.contains("badlogin: [127.9.0.2] alice not allowed from there (mailAccessDomain)"), "{log}");
}

/// S138, S139: rules for a site whose users come by way of a multiplexor, as the store sees it: a client's own address and the
/// multiplexor's.
#[test]
fn a_store_behind_a_multiplexor_lets_in_whom_the_rules_name() {
    let instance = Setup::default().users(&["alice", "bob"]).create();
    let (client, multiplexor) = ([127, 9, 0, 2], [127, 9, 0, 3]);
    change(&instance, "alice", "+popmmp:127.9.0.2$+pop:127.9.0.3$-pop popmmp:ALL");
    change(&instance, "bob", "+popmmp imapmmp:127.9.1.$+pop imap:ALL");
    let mut instance = instance;
    instance.start_all();
    assert!(pop_answer(&instance, "alice", multiplexor).starts_with("+OK"), "by way of it");
    assert!(pop_answer(&instance, "alice", client).starts_with("-ERR [AUTH]"), "not past it");
    assert!(imap_answer(&instance, "alice", multiplexor).starts_with("NO"), "no rule lets in by IMAP");
    // The multiplexor alone is for a network; the store is open.
    for address in [client, multiplexor] {
        assert!(pop_answer(&instance, "bob", address).starts_with("+OK"), "{address:?}");
        assert!(imap_answer(&instance, "bob", address).starts_with("OK"), "{address:?}");
    }
}

/// S136, S138: addresses in all three protocols; what cannot be read lets nobody in.
#[test]
fn a_user_may_log_in_from_the_places_of_the_filter_only() {
    let instance = Setup::default().start();
    change(&instance, "alice", "+pop imap smtp:127.9.0. EXCEPT 127.9.0.3$-ALL:ALL");
    let answers: [(&str, LogIn); 3] = [("OK", imap_answer), ("+OK", pop_answer), ("235", smtp_answer)];
    wait_for("the filter", || {
        (!imap_answer(&instance, "alice", [127, 8, 0, 1]).starts_with("OK")).then_some(())
    });
    for (good, ask) in answers {
        for (address, allowed) in [([127, 9, 0, 2], true), ([127, 9, 0, 3], false), ([127, 8, 0, 1], false)] {
            let said = ask(&instance, "alice", address);
            assert_eq!(said.starts_with(good), allowed, "{address:?}: {said}");
        }
    }
    assert!(smtp_answer(&instance, "alice", [127, 8, 0, 1]).starts_with("535 5.7.1"));
    change(&instance, "bob", "imap ALL");
    wait_for("the broken filter", || {
        (!imap_answer(&instance, "bob", [127, 9, 0, 2]).starts_with("OK")).then_some(())
    });
    for (good, ask) in answers {
        let said = ask(&instance, "bob", [127, 9, 0, 2]);
        assert!(!said.starts_with(good), "{said}");
    }
    assert!(instance.log("imap").contains("mailAccessDomain cannot be read"), "{}", instance.log("imap"));
    // dirutil does not write it unforced.
    let mut tool = instance.tool("dirutil");
    let output = tool.args(["change", "bob", "--set", "mailAccessDomain=+imapp:ALL"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("'imapp' is no service"));
}

#[test]
fn a_network_has_so_many_connections_at_once_and_others_are_not_affected() {
    let instance = Setup::default()
        .set("local.service.networkconnections", "3")
        .set("local.service.networkexempt", "127.10.0.0/16")
        .start();
    let here = [127, 9, 0, 2];
    let mut held: Vec<Smtp> = (0..3).map(|_| smtp(&instance, here)).collect();
    assert!(held.iter().all(|smtp| smtp.greeting.starts_with("220 ")));
    let mut fourth = smtp(&instance, here);
    assert!(fourth.greeting.starts_with("421 4.7.0"), "{}", fourth.greeting);
    assert!(fourth.wire.is_closed());
    assert!(instance.log("smtp").contains("refused: [127.9.0.2] too many connections"));
    assert!(smtp(&instance, [127, 9, 0, 3]).greeting.starts_with("220 "));
    let exempt: Vec<Smtp> = (0..5).map(|_| smtp(&instance, [127, 10, 0, 2])).collect();
    assert!(exempt.iter().all(|smtp| smtp.greeting.starts_with("220 ")));
    held.pop();
    wait_for("a free place", || smtp(&instance, here).greeting.starts_with("220 ").then_some(()));
    let imaps: Vec<Imap> = (0..4).map(|_| Imap::open(instance.connect_from(here, IMAP))).collect();
    assert!(imaps[2].greeting.starts_with("* OK") && imaps[3].greeting.starts_with("* BYE"));
    let pops: Vec<Pop> = (0..4).map(|_| Pop::open(instance.connect_from(here, POP))).collect();
    assert!(pops[2].greeting.starts_with("+OK") && pops[3].greeting.starts_with("-ERR [SYS/TEMP]"));
}

#[test]
fn a_network_makes_so_many_connections_in_a_minute() {
    let instance = Setup::default()
        .set("local.service.networkrate", "5")
        .set("local.service.networkexempt", "127.10.0.0/16")
        .start();
    let greetings: Vec<bool> =
        (0..8).map(|_| smtp(&instance, [127, 9, 0, 2]).greeting.starts_with("220 ")).collect();
    assert_eq!(greetings.iter().filter(|let_in| **let_in).count(), 5, "{greetings:?}");
    assert!(smtp(&instance, [127, 9, 0, 3]).greeting.starts_with("220 "));
}
