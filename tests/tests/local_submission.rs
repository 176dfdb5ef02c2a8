//! The socket by which daemons of this host submit for their users, and what they ask about what was accepted: what the web
//! mail's undo of sending stands on.
#![allow(clippy::unwrap_used)]

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use black_box::instance::SUBMISSION;
use black_box::{Act, Instance, Smtp, Step, StubMta, World, run};

/// Greeted, as this user.
fn as_user(instance: &Instance, user: &str) -> Smtp {
    let stream = UnixStream::connect(instance.path("run/submission")).unwrap();
    let mut smtp = Smtp::open(TcpStream::from(OwnedFd::from(stream)));
    smtp.ok(&format!("XCLIENT LOGIN={user}"));
    smtp.ok("EHLO localhost");
    smtp
}

/// Submits as alice; the id.
fn submit(instance: &Instance, mail: &str, to: &str) -> String {
    let mut smtp = as_user(instance, "alice");
    smtp.ok(&format!("MAIL FROM:<alice@example.test> {mail}"));
    smtp.ok(&format!("RCPT TO:<{to}>"));
    smtp.ok("DATA");
    smtp.ok("Subject: later\r\n\r\nbody\r\n.").split(' ').nth(2).unwrap().to_owned()
}

fn count(instance: &Instance, user: &str) -> String {
    instance.imap(user).ok("STATUS INBOX (MESSAGES)").join("")
}

#[test]
fn only_who_owns_the_server_gets_there_and_sends_as_a_user_by_the_rules_of_submission() {
    let instance = Instance::start();
    let mode = instance.path("run/submission").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stream = UnixStream::connect(instance.path("run/submission")).unwrap();
    let mut nobody = Smtp::open(TcpStream::from(OwnedFd::from(stream)));
    nobody.ok("EHLO localhost");
    assert!(nobody.ask("MAIL FROM:<alice@example.test>").starts_with("530 "), "a user must be named");
    assert!(nobody.ask("XCLIENT LOGIN=mallory").starts_with("501 "));
    let mut alice = as_user(&instance, "alice");
    assert!(alice.ask("MAIL FROM:<bob@example.test>").starts_with("553 "), "own addresses only");
    submit(&instance, "", "bob@example.test");
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(text.contains("with ESMTPA id") && text.contains("Message-ID:"), "{text}");
}

/// Elsewhere these words are no commands.
#[test]
fn nobody_else_asks_about_what_was_accepted() {
    let instance = Instance::start();
    let id = submit(&instance, "HOLDFOR=3600", "bob@example.test");
    for mut smtp in [instance.smtp(), Smtp::open(instance.connect(SUBMISSION)), instance.submission("alice")]
    {
        assert!(smtp.ask(&format!("XHELD {id}")).starts_with("500 "));
        assert!(smtp.ask(&format!("XUNDO {id}")).starts_with("500 "));
    }
    let mut bob = as_user(&instance, "bob");
    for asked in ["XHELD", "XUNDO"] {
        assert!(bob.ask(&format!("{asked} {id}")).starts_with("550 "), "another's message is not there");
        assert!(bob.ask(&format!("{asked} ../{id}")).starts_with("550 "));
        assert!(bob.ask(asked).starts_with("501 "));
    }
    assert!(as_user(&instance, "alice").ok(&format!("XHELD {id}")).starts_with("250 2.0.0 held 1"));
}

#[test]
fn what_is_undone_is_gone_and_what_is_under_way_is_not_touched() {
    let world = World::new();
    let _slow = world.served("slow.test", StubMta::new().on(Step::Rcpt, &[Act::say("450 4.2.0 later\r\n")]));
    let mut instance = world.setup().start();
    let undone = submit(&instance, "HOLDFOR=3600", "bob@example.test");
    let kept = submit(&instance, "HOLDFOR=3600", "bob@example.test");
    let mut alice = as_user(&instance, "alice");
    alice.ok(&format!("XUNDO {undone}"));
    assert!(alice.ask(&format!("XUNDO {undone}")).starts_with("550 "), "it is there no more");
    assert!(alice.ask(&format!("XHELD {undone}")).starts_with("550 "));
    // Durably, and nothing else.
    instance.kill("smtp");
    instance.start_one("smtp");
    let mut alice = as_user(&instance, "alice");
    assert!(alice.ask(&format!("XHELD {undone}")).starts_with("550 "));
    assert!(alice.ask(&format!("XHELD {kept}")).starts_with("250 2.0.0 held "));
    run(instance.tool("msg-queue").args(["release", &kept]));
    instance.wait_for_messages("bob", 1);
    assert!(alice.ask(&format!("XUNDO {kept}")).starts_with("550 "));
    // Deferred: on its way, whoever asks.
    let deferred = submit(&instance, "", "x@slow.test");
    let told = instance.wait_for_queue("the deferred queue", || {
        let said = as_user(&instance, "alice").ask(&format!("XHELD {deferred} slow.test"));
        said.contains("pending x@slow.test").then_some(said)
    });
    assert!(told.starts_with("250-2.0.0 queued"), "{told}");
    assert!(!alice.ask(&format!("XUNDO {deferred}")).starts_with("250 "));
    assert!(count(&instance, "bob").contains("MESSAGES 1"));
}

/// Who was killed before the id was known finds it by the ENVID.
#[test]
fn what_waits_is_found_by_its_envid_and_by_its_user_alone() {
    let instance = Instance::start();
    let id = submit(&instance, "HOLDFOR=3600 ENVID=S+2B1", "bob@example.test");
    let mut alice = as_user(&instance, "alice");
    let said = alice.ok("XHELD envid=S+2B1");
    assert!(said.starts_with("250 2.0.0 held 1") && said.trim_end().ends_with(&id), "{said}");
    assert!(alice.ask("XHELD envid=S1").starts_with("550 "));
    assert!(alice.ask("XHELD envid=+ZZ").starts_with("550 "));
    assert!(as_user(&instance, "bob").ask("XHELD envid=S+2B1").starts_with("550 "));
    alice.ok(&format!("XUNDO {id}"));
    assert!(alice.ask("XHELD envid=S+2B1").starts_with("550 "));
}

/// The client that gave it may be gone: as long as smtpd is taking it, "there is none" would have it sent twice.
#[test]
fn what_is_being_taken_is_not_said_to_be_missing() {
    let instance = Instance::start();
    let begin = || {
        let mut smtp = as_user(&instance, "alice");
        smtp.ok("MAIL FROM:<alice@example.test> HOLDFOR=3600 ENVID=S9");
        smtp.ok("RCPT TO:<bob@example.test>");
        smtp
    };
    let mut asking = as_user(&instance, "alice");
    let mut first = begin();
    assert!(asking.ask("XHELD envid=S9").starts_with("451 "), "it may come");
    assert!(asking.ask("XHELD envid=S8").starts_with("550 "));
    assert!(as_user(&instance, "bob").ask("XHELD envid=S9").starts_with("550 "));
    first.ok("RSET");
    assert!(asking.ask("XHELD envid=S9").starts_with("550 "), "that one ended");
    let mut broken = begin();
    broken.ok("DATA");
    assert!(asking.ask("XHELD envid=S9").starts_with("451 "));
    drop(broken);
    black_box::instance::wait_for("smtpd to see that the client is gone", || {
        asking.ask("XHELD envid=S9").starts_with("550 ").then_some(())
    });
    let mut whole = begin();
    whole.ok("DATA");
    let id = whole.ok("Subject: once\r\n\r\nbody\r\n.").split(' ').nth(2).unwrap().to_owned();
    // The connection is open still, the transaction is not.
    let said = asking.ok("XHELD envid=S9");
    assert!(said.starts_with("250 2.0.0 held 1") && said.trim_end().ends_with(&id), "{said}");
}

/// The message is sent once or not at all, however close the two come.
#[test]
fn undo_and_the_end_of_the_hold_agree() {
    let instance = Instance::start();
    let (mut undone, mut sent) = (0, 0);
    for _ in 0..6 {
        let id = submit(&instance, "HOLDFOR=1", "bob@example.test");
        std::thread::sleep(std::time::Duration::from_millis(700)); // paced: near the end of the hold
        let mut alice = as_user(&instance, "alice");
        loop {
            let said = alice.ask(&format!("XUNDO {id}"));
            match said.get(..3) {
                Some("250") => undone += 1,
                Some("554") => continue, // under way: it ends
                _ => sent += 1,
            }
            break;
        }
    }
    instance.wait_for_empty_queue();
    instance.wait_for_messages("bob", sent);
    assert_eq!(undone + sent, 6);
}
