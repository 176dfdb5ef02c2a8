//! Mail for other hosts: smtp-router, smtp-deliver and the deferred queue, with a name server and mail servers of the tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use black_box::instance::{PATIENCE, wait_for};
use black_box::{Act, Instance, Step, StubMta, World, run};

fn send(instance: &Instance, to: &[&str], subject: &str) {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    let text = format!("From: alice@example.test\r\nSubject: {subject}\r\n\r\n.dot\r\n{subject}\r\n");
    smtp.send_message("alice@example.test", to, &text);
}

/// Envelope files below `queue/deferred`.
fn deferred(instance: &Instance) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![instance.path("queue/deferred")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with("env-") {
                found.push(entry.path());
            }
        }
    }
    found
}

fn wait_for_deferred(instance: &Instance, count: usize) -> Vec<PathBuf> {
    wait_for("deferred mail", || {
        let found = deferred(instance);
        (found.len() == count && control(instance).is_empty()).then_some(found)
    })
}

/// Envelope files in `queue/control`.
fn control(instance: &Instance) -> Vec<PathBuf> {
    fs::read_dir(instance.path("queue/control")).unwrap().flatten().map(|entry| entry.path()).collect()
}

#[test]
fn mail_for_another_host_arrives_there_as_it_was_sent() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let instance = world.setup().start();
    send(&instance, &["x@remote.test", "y@remote.test"], "hello");
    let message = &mx.wait_for(1)[0];
    assert_eq!(message.sender(), "alice@example.test");
    assert_eq!(message.recipients(), ["x@remote.test", "y@remote.test"]);
    let text = message.text();
    assert!(text.starts_with("Received: from "), "no Return-Path in transit: {text}");
    assert!(text.ends_with("Subject: hello\r\n\r\n.dot\r\nhello\r\n"), "{text}");
    instance.wait_for_empty_queue();
}

#[test]
fn a_stranger_may_not_relay_and_a_user_may() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let instance = world.setup().set("local.service.smtp.smtp-accept.relaynetworks", "192.0.2.0/24").start();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO a.example");
    smtp.ok("MAIL FROM:<a@a.example>");
    assert!(smtp.ask("RCPT TO:<x@remote.test>").starts_with("550 5.7.1"));
    let mut smtp = instance.submission("alice");
    smtp.send_message(
        "alice@example.test",
        &["x@remote.test", "bob@example.test"],
        "Subject: s\r\n\r\nx\r\n",
    );
    assert_eq!(mx.wait_for(1)[0].recipients(), ["x@remote.test"]);
    instance.wait_for_messages("bob", 1);
    instance.wait_for_empty_queue();
}

/// S77, S78, S79, S74: where a deferred message lies, and what its envelope says. S47: others wait with it.
#[test]
fn mail_for_a_dead_domain_waits_in_its_folder_and_others_wait_with_it() {
    let world = World::new();
    let dead = world.host("mx.down.test");
    world.dns.add("down.test", "MX", 60, "10 mx.down.test");
    let instance = world.setup().start();
    send(&instance, &["x@down.test"], "first");
    let found = wait_for_deferred(&instance, 1);
    let hashed = run(instance.tool("hashdir").arg("down.test"));
    let folder = instance.path("queue/deferred/SMTP-Deliver").join(hashed.trim()).join("down.test");
    assert_eq!(found[0].parent().unwrap(), folder);
    let id = found[0].file_name().unwrap().to_str().unwrap().strip_prefix("env-").unwrap().to_owned();
    let hashed = run(instance.tool("hashdir").arg(&id));
    assert!(folder.join(hashed.trim()).join(&id).is_file(), "the message is two hash levels below");
    assert_eq!(fs::read_dir(instance.path("queue/messages")).unwrap().count(), 0);
    let envelope = fs::read_to_string(&found[0]).unwrap();
    assert!(
        envelope.contains("Sender: <alice@example.test>") && envelope.contains("Recipient: <x@down.test>")
    );
    assert!(envelope.contains("attempt 0 ") && envelope.contains("mx.down.test"), "{envelope}");
    // A listener now would see an attempt; the second message makes none.
    let mx = StubMta::new().at(dead).start();
    send(&instance, &["y@down.test"], "second");
    wait_for_deferred(&instance, 2);
    assert!(mx.seen().received.is_empty());
    assert_eq!(mx.seen().connections, 0, "S47: no attempt while others wait");
}

/// S47 off: new mail is tried although other mail waits.
#[test]
fn with_checkdeferredqueue_off_new_mail_is_tried() {
    let world = World::new();
    let dead = world.host("mx.down.test");
    world.dns.add("down.test", "MX", 60, "10 mx.down.test");
    let instance = world.setup().set("service.smtp.smtp-deliver.checkdeferredqueue", "no").start();
    send(&instance, &["x@down.test"], "first");
    wait_for_deferred(&instance, 1);
    let mx = StubMta::new().at(dead).start();
    send(&instance, &["y@down.test"], "second");
    assert_eq!(mx.wait_for(1)[0].recipients(), ["y@down.test"]);
    wait_for_deferred(&instance, 1);
}

/// S84: nothing is tried at start; one deferredperiod later it is. S75, S80.
#[test]
fn deferred_mail_is_tried_one_period_after_the_start_and_arrives() {
    let world = World::new();
    let dead = world.host("mx.down.test");
    world.dns.add("down.test", "MX", 60, "10 mx.down.test");
    let mut instance = world.setup().start();
    for number in 0..5 {
        send(&instance, &[&format!("x{number}@down.test")], "waits");
    }
    wait_for_deferred(&instance, 5);
    instance.stop("smtp");
    let mx = StubMta::new().at(dead).start();
    instance.set("service.smtp.deferredperiod", "3");
    instance.start_one("smtp");
    assert_eq!(mx.seen().connections, 0, "S84");
    let messages = mx.wait_for(5);
    assert_eq!(messages.len(), 5);
    wait_for("the folder to go", || deferred(&instance).is_empty().then_some(()));
}

/// X1: after maxqueuetime the sender gets it back.
#[test]
fn mail_that_waited_too_long_goes_back_to_its_sender() {
    let world = World::new();
    world.host("mx.down.test");
    world.dns.add("down.test", "MX", 60, "10 mx.down.test");
    let instance = world.setup().set("service.smtp.maxqueuetime", "0").start();
    send(&instance, &["x@down.test"], "too late");
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(text.contains("Action: failed") && text.contains("Status: 4.4.7"), "{text}");
    assert!(text.contains("rfc822; x@down.test") || text.contains("rfc822;x@down.test"), "{text}");
    instance.wait_for_empty_queue();
}

/// S55: with a table that catches all, two domains are two transactions to the hub; with `together`, one.
#[test]
fn recipients_are_split_by_domain_before_they_are_routed() {
    for (together, transactions) in [("no", 2), ("yes", 1)] {
        let world = World::new();
        let hub = world.host("hub.test");
        let mx = StubMta::new().at(hub).start();
        let instance = world
            .setup()
            .set("service.smtp.smtp-router.hostrewrites", "*:hub.test")
            .set("local.service.smtp.smtp-router.together", together)
            .start();
        send(&instance, &["x@one.test", "y@two.test"], "split");
        let messages = mx.wait_for(transactions);
        instance.wait_for_empty_queue();
        assert_eq!(mx.seen().received.len(), transactions);
        assert_eq!(messages.iter().map(|message| message.recipients().len()).sum::<usize>(), 2);
    }
}

/// S67, S68, S70: when every host of the domain is dead, the fallback takes it, at whichever of its addresses lives.
#[test]
fn the_fallback_host_takes_what_no_other_does() {
    let world = World::new();
    let dead = world.host("mx.down.test");
    world.dns.add("down.test", "MX", 60, "10 mx.down.test");
    world.host("fallback.test"); // the first address: nobody is there
    let second = world.host("fallback.test");
    let mx = StubMta::new().at(second).start();
    let instance = world.setup().set("service.smtp.smtp-deliver.fallbackhosts", "*:fallback.test").start();
    send(&instance, &["x@down.test"], "fallback");
    assert_eq!(mx.wait_for(1)[0].recipients(), ["x@down.test"]);
    // S69: within the TTL the dead host is not asked again.
    let again = StubMta::new().at(dead).start();
    send(&instance, &["y@down.test"], "again");
    assert_eq!(mx.wait_for(2).len(), 2);
    assert_eq!(again.seen().connections, 0);
    instance.wait_for_empty_queue();
}

#[test]
fn what_the_other_host_refuses_goes_back_and_the_rest_arrives() {
    let world = World::new();
    let address = world.host("mx.remote.test");
    world.dns.add("remote.test", "MX", 60, "10 mx.remote.test");
    let mx = StubMta::new()
        .at(address)
        .on_text(Step::Rcpt, "<nobody@", &[Act::say("550 5.1.1 no such user")])
        .on_text(Step::Rcpt, "<full@", &[Act::say("452 4.2.2 mailbox full")])
        .start();
    let instance = world.setup().start();
    send(&instance, &["good@remote.test", "nobody@remote.test", "full@remote.test"], "three");
    assert_eq!(mx.wait_for(1)[0].recipients(), ["good@remote.test"]);
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(text.contains("nobody@remote.test") && text.contains("Status: 5.1.1"), "{text}");
    assert!(!text.contains("good@remote.test"), "{text}");
    let found = wait_for_deferred(&instance, 1);
    let envelope = fs::read_to_string(&found[0]).unwrap();
    assert!(envelope.contains("full@remote.test") && envelope.contains("4.2.2"), "{envelope}");
    // One recipient's trouble is not the domain's: new mail is tried.
    send(&instance, &["good@remote.test"], "next");
    mx.wait_for(2);
}

#[test]
fn a_domain_that_does_not_exist_or_takes_no_mail_is_an_error_at_once() {
    let world = World::new();
    world.dns.add("null.test", "MX", 60, "0 .");
    world.host("localhost");
    world.dns.add("loop.test", "MX", 60, "10 localhost");
    let instance = world.setup().start();
    for (number, (domain, status)) in
        [("nowhere.test", "5.1.2"), ("null.test", "5.1.10"), ("loop.test", "5.3.5")].into_iter().enumerate()
    {
        send(&instance, &[&format!("x@{domain}")], domain);
        let count = u32::try_from(number + 1).unwrap();
        instance.wait_for_messages("alice", count);
        let mut imap = instance.imap("alice");
        imap.ok("SELECT INBOX");
        let text = imap.ok(&format!("FETCH {count} BODY.PEEK[]")).join("\n");
        assert!(text.contains(&format!("Status: {status}")), "{domain}: {text}");
    }
    instance.wait_for_empty_queue();
}

/// S64: a relay whose destination never greets keeps accepting, and other destinations are served.
#[test]
fn a_destination_that_never_greets_holds_up_nobody_else() {
    let world = World::new();
    let address = world.host("mx.silent.test");
    world.dns.add("silent.test", "MX", 60, "10 mx.silent.test");
    let silent = StubMta::new().at(address).on(Step::Greeting, &[Act::Silence]).start();
    let good = world.served("good.test", StubMta::new());
    let instance = world.setup().start();
    for number in 0..20 {
        send(&instance, &[&format!("x{number}@silent.test")], "stuck");
    }
    wait_for("a connection to the silent host", || (silent.seen().connections > 0).then_some(()));
    for number in 0..20 {
        send(&instance, &[&format!("x{number}@good.test")], "flows");
    }
    assert_eq!(good.wait_for(20).len(), 20);
    assert!(silent.seen().connections <= 2, "an unproved site gets two connections");
}

/// S64, measured: with more destinations that never greet than there are threads at first, a relay accepts as fast as ever
/// and others are served at once.
#[test]
fn destinations_that_never_greet_hold_up_neither_clients_nor_others() {
    let world = World::new();
    let silent: Vec<StubMta> = (0..12)
        .map(|number| {
            let script = StubMta::new().on(Step::Greeting, &[Act::Silence]);
            world.served(&format!("silent{number}.test"), script)
        })
        .collect();
    let good = world.served("good.test", StubMta::new());
    let instance = world.setup().set("service.smtp.smtp-deliver.minruncount", "4").start();
    for number in 0..24 {
        send(&instance, &[&format!("x@silent{}.test", number % 12)], "stuck");
    }
    for stub in &silent {
        stub.wait_until("both connections", |seen| seen.open >= 1);
    }
    let begun = std::time::Instant::now();
    let mut slowest = std::time::Duration::ZERO;
    for number in 0..40 {
        let one = std::time::Instant::now();
        let domain = if number % 2 == 0 { "good.test" } else { "silent1.test" };
        send(&instance, &[&format!("x{number}@{domain}")], "flows");
        slowest = slowest.max(one.elapsed());
    }
    assert_eq!(good.wait_for(20).len(), 20);
    println!("40 accepted, 20 sent on in {:?}, the slowest in {slowest:?}", begun.elapsed());
    // Whoever waited for one that is silent would wait as long as it is.
    assert!(begun.elapsed() < PATIENCE / 2, "{slowest:?} {:?}", begun.elapsed());
    assert!(silent.iter().all(|stub| stub.seen().open <= 2), "an unproved site gets two connections");
}

/// A host that takes so many connections and no more keeps them busy, and nobody waits who need not.
#[test]
fn a_host_that_refuses_a_further_connection_gets_its_mail_over_those_it_has() {
    let world = World::new();
    let slow = [Act::Held, Act::say("250 taken at last")];
    let script = StubMta::new().once(Step::Content, &slow).once(Step::Content, &slow);
    let mx = world.served("busy.test", script);
    let instance = world.setup().start();
    for number in 0..12 {
        send(&instance, &[&format!("x{number}@busy.test")], "more");
    }
    mx.wait_until("two connections", |seen| seen.open >= 2);
    mx.from_now_on(Step::Greeting, &[Act::say("421 4.7.0 too many connections")]);
    mx.release();
    assert_eq!(mx.wait_for(12).len(), 12);
    instance.wait_for_empty_queue();
    assert!(deferred(&instance).is_empty());
}

/// Not a message is lost or, for local users, doubled when smtpd is killed while it sends and defers.
#[test]
fn a_kill_while_sending_and_deferring_loses_nothing() {
    let world = World::new();
    let good = world.served("good.test", StubMta::new());
    world.host("mx.down.test");
    world.dns.add("down.test", "MX", 60, "10 mx.down.test");
    let mut instance = world.setup().start();
    let rounds: usize = if black_box::instance::quick() { 5 } else { 25 };
    for round in 0..rounds {
        for number in 0..4 {
            let subject = format!("r{round}n{number}");
            send(
                &instance,
                &[&format!("{subject}@good.test"), &format!("{subject}@down.test"), "bob@example.test"],
                &subject,
            );
        }
        instance.kill("smtp");
        instance.start_one("smtp");
    }
    let total = rounds * 4;
    instance.wait_for_messages("bob", u32::try_from(total).unwrap());
    // One that was killed between its attempt and the move waits where it was until it is due.
    let waiting_at_all = || [control(&instance), deferred(&instance)].concat();
    wait_for("everything else to end", || (waiting_at_all().len() == total).then_some(()));
    // An entry that is on its way counts for one that waits.
    good.wait_until("every recipient of the good domain to have it", |seen| {
        let all: std::collections::HashSet<String> =
            seen.received.iter().flat_map(|message| message.recipients()).collect();
        all.len() == total
    });
    wait_for("everything else to end", || (waiting_at_all().len() == total).then_some(()));
    let mut waiting = std::collections::HashSet::new();
    for envelope in waiting_at_all() {
        let text = fs::read_to_string(envelope).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("Recipient:"));
        waiting.extend(lines.filter(|line| line.contains("@down.test>")).map(str::to_owned));
    }
    assert_eq!(waiting.len(), total, "every recipient of the dead domain waits, once");
    instance.wait_for_messages("bob", u32::try_from(total).unwrap());
    assert!(fs::read_dir(instance.path("queue/lost+found")).unwrap().count() == 0);
}

/// S61, S62, S63: an answer is kept for its TTL; with the cache off every message asks, and the log says so.
#[test]
fn dns_answers_are_kept_unless_the_cache_is_off() {
    for (size, queries) in [("1000", 1), ("-1", 2)] {
        let world = World::new();
        let mx = world.served("remote.test", StubMta::new());
        let instance = world.setup().set("service.smtp.dnscachesize", size).start();
        for number in 1..=2 {
            send(&instance, &["x@remote.test"], "look up");
            mx.wait_for(number);
            instance.wait_for_empty_queue();
            // The connection ends before the next message, so that the hosts are needed again.
            mx.wait_until("the connection to end", |seen| seen.open == 0);
        }
        assert_eq!(world.dns.count("remote.test", "MX"), queries, "dnscachesize {size}");
        let log = instance.log("smtp");
        let said = log.contains("General Notice: DNS cache is disabled");
        assert_eq!(said, size == "-1");
    }
}

/// S58: a better host that failed is left alone within the TTL.
#[test]
fn a_dead_better_host_is_tried_once_within_the_ttl() {
    let world = World::new();
    let (first, second) = (world.host("mx1.remote.test"), world.host("mx2.remote.test"));
    world.dns.add("remote.test", "MX", 60, "10 mx1.remote.test");
    world.dns.add("remote.test", "MX", 60, "20 mx2.remote.test");
    let dead = StubMta::new().at(first).on(Step::Greeting, &[Act::Close]).start();
    let good = StubMta::new().at(second).start();
    let instance = world.setup().start();
    for number in 1..=3 {
        send(&instance, &["x@remote.test"], "better");
        good.wait_for(number);
        good.wait_until("the connection to end", |seen| seen.open == 0);
    }
    assert_eq!(dead.seen().connections, 1);
}

/// S71, S72: a domain that matches is remote, whoever is here.
#[test]
fn remotemaildomains_are_remote_though_somebody_is_here() {
    let world = World::new();
    let mx = world.served("example.test", StubMta::new());
    let instance = world
        .setup()
        .set("service.smtp.smtp-router.remotemaildomains", "(!*.mydom && !*.otherdom && !localhost)")
        .start();
    send(&instance, &["bob@example.test"], "elsewhere");
    assert_eq!(mx.wait_for(1)[0].recipients(), ["bob@example.test"]);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("bob").exists("INBOX"), 0);
}

/// S35: who does not greet in time is given up, and the message waits.
#[test]
fn a_host_that_does_not_greet_in_time_is_given_up_and_the_message_waits() {
    let world = World::new();
    let address = world.host("mx.silent.test");
    world.dns.add("silent.test", "MX", 60, "10 mx.silent.test");
    let silent = StubMta::new().at(address).on(Step::Greeting, &[Act::Silence]).start();
    let instance = world.setup().set("service.smtp.smtp-deliver.timeoutgreet", "1").start();
    send(&instance, &["x@silent.test"], "patience");
    let found = wait_for_deferred(&instance, 1);
    let envelope = fs::read_to_string(&found[0]).unwrap();
    assert!(envelope.contains("greeting"), "{envelope}");
    assert_eq!(silent.seen().connections, 1);
}

/// What waits for a site goes over the connection that is there.
#[test]
fn a_connection_is_used_for_more_than_one_message() {
    let world = World::new();
    let address = world.host("mx.slow.test");
    world.dns.add("slow.test", "MX", 60, "10 mx.slow.test");
    let mx = StubMta::new().at(address).on(Step::Greeting, &[Act::Held, Act::say("220 at last")]).start();
    let instance = world.setup().set("local.service.smtp.smtp-deliver.maxconnections", "2").start();
    for number in 0..10 {
        send(&instance, &[&format!("x{number}@slow.test")], "together");
    }
    mx.release();
    assert_eq!(mx.wait_for(10).len(), 10);
    assert!(mx.seen().connections <= 3, "{} connections", mx.seen().connections);
}

/// S25: whether smtp-deliver logs its messages.
#[test]
fn smtp_deliver_logs_its_messages_when_it_is_told_to() {
    for log in ["yes", "no"] {
        let world = World::new();
        let mx = world.served("remote.test", StubMta::new());
        let instance = world.setup().set("service.smtp.smtp-deliver.log", log).start();
        send(&instance, &["x@remote.test"], "logged");
        mx.wait_for(1);
        instance.wait_for_empty_queue();
        let text = instance.log("smtp");
        assert_eq!(text.contains("General Notice: SMTP-Deliver:"), log == "yes", "{text}");
    }
}

/// A user whose mailbox is on another host of the site: the address becomes one of that host.
#[test]
fn mail_of_a_user_on_another_host_goes_there() {
    let world = World::new();
    let mx = world.served("other.test", StubMta::new());
    let mut instance = world.setup().create();
    run(instance.tool("dirutil").args(["change", "bob", "--set", "mailHost=other.test"]));
    instance.start_all();
    send(&instance, &["bob@example.test"], "there");
    assert_eq!(mx.wait_for(1)[0].recipients(), ["bob@other.test"]);
    instance.wait_for_empty_queue();
}

/// What the address of such a user becomes, by the sum in `enveloperewritemethod`; what is not there is passed over.
#[test]
fn enveloperewritemethod_says_what_an_address_becomes_on_the_users_host() {
    let with = ["--set", "mailRoutingAddress=r.bob@inside.test"];
    let cases: [(&str, &[&str], &str); 7] = [
        ("1", &with, "robert@other.test"),
        ("2", &with, "bob@other.test"),
        ("3", &[], "bob@other.test"),
        ("4", &with, "r.bob@inside.test"),
        ("4", &[], "robert@other.test"),
        ("6", &[], "bob@other.test"),
        ("7", &with, "r.bob@inside.test"),
    ];
    for (method, attributes, expected) in cases {
        let world = World::new();
        let hosts = ["other.test", "inside.test"].map(|name| world.served(name, StubMta::new()));
        let setup = world.setup().set("service.smtp.smtp-router.enveloperewritemethod", method);
        let mut instance = setup.create();
        let mut tool = instance.tool("dirutil");
        tool.args(["change", "bob", "--set", "mailHost=other.test"]);
        tool.args(["--set", "mailAlternateAddress=robert@example.test"]);
        run(tool.args(attributes));
        instance.start_all();
        send(&instance, &["robert@example.test"], "there");
        instance.wait_for_empty_queue();
        let taken: Vec<String> =
            hosts.iter().flat_map(|host| host.seen().received).flat_map(|one| one.recipients()).collect();
        assert_eq!(taken, [expected], "{method} {attributes:?}");
    }
}

/// `routingattribute` says which attribute bit 4 means.
#[test]
fn the_routing_attribute_may_be_another() {
    let world = World::new();
    let mx = world.served("inside.test", StubMta::new());
    let setup = world.setup().set("service.smtp.smtp-router.enveloperewritemethod", "4");
    let mut instance = setup.set("service.smtp.smtp-router.routingattribute", "roomNumber").create();
    let mut tool = instance.tool("dirutil");
    tool.args(["change", "bob", "--set", "mailHost=other.test"]);
    run(tool.args(["--set", "roomNumber=bob2@inside.test"]));
    instance.start_all();
    send(&instance, &["bob@example.test"], "there");
    assert_eq!(mx.wait_for(1)[0].recipients(), ["bob2@inside.test"]);
    instance.wait_for_empty_queue();
}

/// X4, and S25 for smtp-deliver: what this host answers by itself goes out with the null sender; a user who forwards to
/// another host, keeps a copy and is away does all of it once.
#[test]
fn an_answer_goes_to_another_host_with_the_null_sender() {
    for logs in ["yes", "no"] {
        let world = World::new();
        let mx = world.served("remote.test", StubMta::new());
        let mut instance = world.setup().set("service.smtp.smtp-deliver.log", logs).create();
        let mut tool = instance.tool("dirutil");
        tool.args(["change", "bob", "--set", "mailAutoReplyMode=vacation"]);
        run(tool.args(["--set", "mailForwardingAddress=copy@remote.test"]));
        instance.start_all();
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example.org");
        let text = "To: bob@example.test\r\nSubject: lunch\r\n\r\nx\r\n";
        smtp.send_message("s@remote.test", &["bob@example.test"], text);
        let messages = mx.wait_for(2);
        let of = |to: &str| messages.iter().find(|message| message.recipients() == [to]).unwrap();
        assert_eq!(of("copy@remote.test").sender(), "s@remote.test");
        let answer = of("s@remote.test");
        assert_eq!(answer.sender(), "");
        let answer = answer.text();
        assert!(answer.starts_with("Received: by "), "no Return-Path in transit: {answer}");
        assert!(answer.contains("\r\nAuto-Submitted: auto-replied\r\n"), "{answer}");
        instance.wait_for_empty_queue();
        instance.wait_for_messages("bob", 1);
        assert_eq!(mx.seen().received.len(), 2);
        let log = instance.log("smtp");
        assert_eq!(log.contains("SMTP-Deliver:"), logs == "yes", "{log}");
    }
}
