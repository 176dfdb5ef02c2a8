//! Quotas: what users see of theirs, what is refused when, and that what is said is what is there (S45, S113, S114, S158,
//! X7).
#![allow(clippy::unwrap_used)]

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use black_box::instance::{IMAP, SMTP, wait_for};
use black_box::{Imap, Instance, Setup, Smtp, Wire, quick, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const HOUR: u32 = 3600;

fn set_quota(instance: &Instance, user: &str, value: &str) {
    run(instance.tool("dirutil").args(["change", user, "--set", value]));
    std::thread::sleep(std::time::Duration::from_millis(100)); // paced: a daemon looks at the file every 50 ms at most
}

/// Whatever is said by then must be what is there; a change that was interrupted may be mended.
fn assert_exact(instance: &Instance) -> String {
    let said = run(instance.tool("quotacheck").arg("-s"));
    assert!(said.trim_end().ends_with(" 0 differences"), "{said}");
    said
}

/// The QUOTA response of a root, without its beginning.
fn quota(imap: &mut Imap, root: &str) -> String {
    let told = imap.ok(&format!("GETQUOTA \"{root}\""));
    let line = told.iter().find(|line| line.starts_with("* QUOTA ")).unwrap();
    line.strip_prefix(&format!("* QUOTA \"{root}\" ")).unwrap().to_owned()
}

fn text(bytes: usize) -> String {
    let head = "Subject: quota\r\n\r\n";
    let line = format!("{}\r\n", "x".repeat(70));
    let mut text = head.to_owned();
    while text.len() + line.len() < bytes {
        text.push_str(&line);
    }
    text
}

/// Mail from outside, of about this size; the last reply.
fn send(instance: &Instance, to: &str, bytes: usize) -> String {
    let mut smtp: Smtp = instance.smtp();
    smtp.ok("EHLO client.example");
    smtp.send_message("sender@example.test", &[&format!("{to}@example.test")], &text(bytes))
}

fn restart_with_clock(instance: &mut Instance, seconds: u32) {
    instance.kill_all();
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", &seconds.to_string());
    instance.start_all();
}

/// RFC 9208, RFC 2087: the capability, the commands, their refusals.
#[test]
fn quota_commands_follow_the_standard() {
    let mut instance = Setup::default().set("store.quotaenforcement", "yes").create();
    set_quota(&instance, "alice", "mailQuota=102400");
    set_quota(&instance, "alice", "mailMsgQuota=50");
    instance.start_all();
    send(&instance, "alice", 3000);
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    let capability = imap.ok("CAPABILITY").concat();
    for name in [" QUOTA ", " QUOTA=RES-STORAGE ", " QUOTA=RES-MESSAGE ", " QUOTASET "] {
        assert!(capability.contains(name), "{name} in {capability}");
    }
    let told = imap.ok("GETQUOTAROOT INBOX");
    assert_eq!(told[0], "* QUOTAROOT \"INBOX\" \"user/alice\"");
    assert!(
        told[1].starts_with("* QUOTA \"user/alice\" (STORAGE ") && told[1].ends_with(" 100 MESSAGE 1 50)"),
        "{told:?}"
    );
    // RFC 9208 §4.1.2: of a mailbox that is not there, too.
    assert_eq!(imap.ok("GETQUOTAROOT nowhere/yet")[0], "* QUOTAROOT \"nowhere/yet\" \"user/alice\"");
    for (command, code) in [
        ("GETQUOTA \"user/bob\"", "NO [NONEXISTENT]"),
        ("GETQUOTA \"\"", "NO [NONEXISTENT]"),
        ("GETQUOTA \"user/alice/INBOX\"", "NO [NONEXISTENT]"),
        ("GETQUOTAROOT user/bob/INBOX", "NO [NONEXISTENT]"),
        ("SETQUOTA \"user/alice\" ()", "NO [NOPERM]"),
        ("SETQUOTA \"user/alice\" (STORAGE x)", "BAD"),
        ("GETQUOTA", "BAD"),
    ] {
        let said = imap.refused(command);
        assert!(said.starts_with(code), "{command}: {said}");
    }
    let mut admin = instance.imap("admin");
    for (command, code) in [
        ("SETQUOTA \"user/nobody\" ()", "NO [NONEXISTENT]"),
        ("SETQUOTA \"user/alice\" (X-NUM-FOLDERS 4)", "NO [CANNOT]"),
    ] {
        let said = admin.refused(command);
        assert!(said.starts_with(code), "{command}: {said}");
    }
    let told = admin.ok("SETQUOTA \"user/alice\" (STORAGE 7 MESSAGE 3)");
    assert!(
        told[0].starts_with("* QUOTA \"user/alice\" (STORAGE ") && told[0].ends_with(" 7 MESSAGE 1 3)"),
        "{told:?}"
    );
    assert_eq!(quota(&mut imap, "user/alice"), told[0]["* QUOTA \"user/alice\" ".len()..]);
}

/// S113: a change of the directory's value is seen at the next mail that comes, and not before.
#[test]
fn a_new_quota_is_in_force_from_the_next_incoming_message_on() {
    let instance = Setup::default().set("store.quotaenforcement", "yes").start();
    set_quota(&instance, "alice", "mailQuota=1048576");
    send(&instance, "alice", 2000);
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    assert!(quota(&mut imap, "user/alice").ends_with(" 1024)"));
    set_quota(&instance, "alice", "mailQuota=2097152");
    assert!(quota(&mut imap, "user/alice").ends_with(" 1024)"));
    let mut again = instance.imap("alice");
    assert!(quota(&mut again, "user/alice").ends_with(" 1024)"));
    wait_for("a message to bring the new quota", || {
        send(&instance, "alice", 2000); // until smtpd has read the directory again
        instance.wait_for_empty_queue();
        quota(&mut imap, "user/alice").ends_with(" 2048)").then_some(())
    });
    // Who never got mail has the directory's quota from the first log-in on.
    set_quota(&instance, "bob", "mailQuota=4096");
    let mut imap = wait_for("bob's quota", || {
        let mut imap = instance.imap("bob");
        (quota(&mut imap, "user/bob") == "(STORAGE 0 4)").then_some(imap)
    });
    assert!(imap.append("INBOX", "", &text(5000)).contains("NO [OVERQUOTA]"));
}

/// S114: `SETQUOTA "user/x" ()` is unlimited; later mail does not bring the old limit back, a new value of the directory does.
#[test]
fn an_administrators_unlimited_quota_holds_against_the_directorys_old_value() {
    let instance =
        Setup::default().set("store.quotaenforcement", "yes").set("store.quotagraceperiod", "0").start();
    set_quota(&instance, "bob", "mailQuota=4096");
    wait_for("the quota to be in force", || {
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example");
        smtp.ok("MAIL FROM:<x@example.org> SIZE=100000");
        smtp.ask("RCPT TO:<bob@example.test>").starts_with("552").then_some(())
    });
    let mut admin = instance.imap("admin");
    assert_eq!(admin.ok("SETQUOTA \"user/bob\" ()")[0], "* QUOTA \"user/bob\" ()");
    let said = send(&instance, "bob", 100_000);
    assert!(said.starts_with("250"), "{said}");
    instance.wait_for_messages("bob", 1);
    assert_eq!(quota(&mut admin, "user/bob"), "()");
    let mut imap = instance.imap("bob");
    assert!(imap.append("INBOX", "", &text(10_000)).starts_with("OK"));
    set_quota(&instance, "bob", "mailQuota=500000");
    wait_for("a message to bring the new quota", || {
        send(&instance, "bob", 500);
        instance.wait_for_empty_queue();
        quota(&mut admin, "user/bob").ends_with(" 489)").then_some(())
    });
}

/// RFC 9208 §4.3.1: what a client adds must fit; and it is told before it sends the message.
#[test]
fn what_clients_add_over_the_quota_is_refused_whole() {
    let instance = Setup::default().set("store.quotaenforcement", "yes").start();
    let mut admin = instance.imap("admin");
    admin.ok("SETQUOTA \"user/alice\" (STORAGE 10 MESSAGE 5)");
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Work");
    assert!(imap.append("INBOX", "", &text(6000)).starts_with("OK"));
    let refused = imap.append("INBOX", "", &text(6000));
    assert!(refused.contains("NO [OVERQUOTA]") && !refused.starts_with('+'), "{refused}");
    // All or none of several: the second does not fit, and is refused when it is announced.
    let one = text(1000);
    imap.wire.send(format!("m1 APPEND INBOX {{{}+}}\r\n{one} {{9000}}\r\n", one.len()).as_bytes());
    assert!(imap.until_tagged("m1").1.starts_with("NO [OVERQUOTA]"));
    assert_eq!(imap.exists("INBOX"), 1);
    imap.ok("SELECT INBOX");
    assert!(imap.refused("COPY 1 Work").starts_with("NO [OVERQUOTA]"));
    imap.ok("MOVE 1 Work");
    assert_eq!((imap.exists("INBOX"), imap.exists("Work")), (0, 1));
    // Who deletes has room again, at once.
    imap.ok("SELECT Work");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    let status = imap.ok("STATUS Work (DELETED DELETED-STORAGE)").concat();
    assert!(status.contains("(DELETED 1 DELETED-STORAGE 5"), "{status}");
    imap.ok("EXPUNGE");
    assert!(imap.append("INBOX", "", &text(9000)).starts_with("OK"));
    for _ in 0..4 {
        assert!(imap.append("INBOX", "", "Subject: x\r\n\r\n").starts_with("OK"));
    }
    assert!(imap.append("INBOX", "", "Subject: x\r\n\r\n").contains("NO [OVERQUOTA]"), "five messages");
    assert_exact(&instance);
    // Without enforcement quotas are told only.
    let mut instance = instance;
    instance.set("store.quotaenforcement", "no");
    instance.stop("imap");
    instance.start_one("imap");
    let mut imap = instance.imap("alice");
    assert!(imap.append("INBOX", "", &text(90_000)).starts_with("OK"));
    assert!(quota(&mut imap, "user/alice").ends_with("10 MESSAGE 6 5)"));
}

/// `store.quotawarn`: once a session, when a mailbox is selected.
#[test]
fn a_quota_that_is_nearly_used_up_is_told() {
    let instance = Setup::default().set("store.quotaenforcement", "yes").set("store.quotawarn", "80").start();
    let mut admin = instance.imap("admin");
    admin.ok("SETQUOTA \"user/alice\" (MESSAGE 5)");
    let warnings = |imap: &mut Imap| -> Vec<String> {
        let told = imap.ok("SELECT INBOX");
        told.into_iter().filter(|line| line.starts_with("* NO ")).collect()
    };
    let mut imap = instance.imap("alice");
    for _ in 0..3 {
        imap.append("INBOX", "", "Subject: x\r\n\r\n");
    }
    assert!(warnings(&mut imap).is_empty());
    imap.append("INBOX", "", "Subject: x\r\n\r\n");
    let told = warnings(&mut imap);
    assert!(told.len() == 1 && told[0].starts_with("* NO [ALERT] ") && told[0].contains("80%"), "{told:?}");
    assert!(warnings(&mut imap).is_empty(), "once a session");
    admin.ok("SETQUOTA \"user/alice\" (MESSAGE 2)");
    let told = warnings(&mut instance.imap("alice"));
    assert!(
        told.len() == 1 && told[0].starts_with("* NO [OVERQUOTA] ") && told[0].contains("200%"),
        "{told:?}"
    );
}

/// X7: mail over the quota is taken for the grace period, with a notice at most every so many days, in the user's language;
/// then it is refused, at RCPT or by a report (S45).
#[test]
fn mail_over_the_quota_is_taken_for_the_grace_period_and_then_refused() {
    let mut instance = Setup::default()
        .set("store.quotaenforcement", "yes")
        .set("store.quotanotification", "yes")
        .set("store.quotagraceperiod", "5")
        .set("store.quotaexceededmsginterval", "1")
        .create();
    set_quota(&instance, "alice", "mailQuota=10000");
    set_quota(&instance, "alice", "preferredLanguage=de");
    instance.start_all();
    let notices = |instance: &Instance| {
        let mut imap = instance.imap("alice");
        imap.ok("SELECT INBOX");
        imap.ok("SEARCH HEADER Auto-Submitted auto-generated")[0].split(' ').skip(2).count()
    };
    assert!(send(&instance, "alice", 8000).starts_with("250"));
    instance.wait_for_messages("alice", 1);
    assert_eq!(notices(&instance), 0);
    for _ in 0..2 {
        assert!(send(&instance, "alice", 8000).starts_with("250"));
        instance.wait_for_empty_queue();
    }
    instance.wait_for_messages("alice", 4); // three, and one notice of two
    assert_eq!(notices(&instance), 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let notice = imap.ok("FETCH 1:* (BODY.PEEK[HEADER])").concat();
    for field in [
        "Subject: Ihr Postfach ist voll",
        "Content-Language: de",
        "From: Mail Administrator <postmaster@example.test>",
    ] {
        assert!(notice.contains(field), "{field} in {notice}");
    }
    // Nearly over: still taken.
    restart_with_clock(&mut instance, 4 * HOUR);
    assert!(send(&instance, "alice", 2000).starts_with("250"));
    instance.wait_for_messages("alice", 5);
    assert_eq!(notices(&instance), 1);
    // Over: refused where it can be, and a day later she is told again, by what is refused behind RCPT.
    restart_with_clock(&mut instance, 6 * HOUR);
    let said = send_to_rcpt(&instance, "alice");
    assert!(said.starts_with("552 5.2.2"), "{said}");
    instance.stop("smtp");
    instance.set("service.smtp.verifyrcpts", "no");
    instance.start_one("smtp");
    assert!(send(&instance, "alice", 2000).starts_with("250"));
    instance.wait_for_empty_queue();
    instance.wait_for_messages("alice", 5);
    restart_with_clock(&mut instance, 30 * HOUR);
    assert!(send(&instance, "alice", 2000).starts_with("250"));
    instance.wait_for_messages("alice", 6);
    assert_eq!(notices(&instance), 2);
    // Who makes room gets mail again, and a new grace period.
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    for messages in 1..=2 {
        assert!(send(&instance, "alice", 8000).starts_with("250"));
        instance.wait_for_messages("alice", messages);
    }
    assert_exact(&instance);
    let shown = run(instance.tool("mboxutil").args(["-u", "alice"]));
    assert!(shown.contains("alice") && shown.split_whitespace().next() == Some("10"), "{shown}");
}

fn send_to_rcpt(instance: &Instance, user: &str) -> String {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example");
    smtp.ok("MAIL FROM:<x@example.org>");
    smtp.ask(&format!("RCPT TO:<{user}@example.test>"))
}

/// S45: the sum of `quotaexceedactions`. 1 goes to the sender, and makes RCPT refuse; 4 goes to the postmaster, and so RCPT
/// must not.
#[test]
fn what_is_refused_is_reported_as_quotaexceedactions_say() {
    for (actions, sender, postmaster) in [("1", 1, 0), ("4", 0, 1), ("5", 1, 1), ("8", 0, 0)] {
        let instance = Setup::default()
            .set("store.quotaenforcement", "yes")
            .set("store.quotagraceperiod", "0")
            .set("service.smtp.error-handler.quotaexceedactions", actions)
            .set("service.smtp.error-handler.log", "no")
            .create();
        set_quota(&instance, "alice", "mailQuota=1000");
        let mut instance = instance;
        instance.start_all();
        let at_rcpt = send_to_rcpt(&instance, "alice");
        // There is room for a message of unknown size.
        assert!(at_rcpt.starts_with("250"), "{at_rcpt}");
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example");
        let said = smtp.send_message("bob@example.test", &["alice@example.test"], &text(5000));
        assert!(said.starts_with("250"), "{said}");
        instance.wait_for_messages("bob", sender);
        instance.wait_for_messages("postmaster", postmaster);
        instance.wait_for_empty_queue();
        instance.wait_for_messages("alice", 0);
        let mut smtp = instance.smtp();
        smtp.ok("EHLO client.example");
        smtp.ok("MAIL FROM:<bob@example.test> SIZE=5000");
        let said = smtp.ask("RCPT TO:<alice@example.test>");
        let is_refused = actions == "1";
        assert_eq!(said.starts_with("552 5.2.2"), is_refused, "{actions}: {said}");
        if sender == 1 {
            let mut imap = instance.imap("bob");
            imap.ok("SELECT INBOX");
            let report = imap.ok("FETCH 1 BODY[]").concat();
            assert!(report.contains("Status: 5.2.2") && report.contains("User quota exceeded"), "{report}");
        }
        assert_eq!(instance.log("smtp").contains("status=5.2.2"), actions == "8", "{actions}");
    }
}

/// S158: one message to three is one file, and each of the three has its full size.
#[test]
fn each_recipient_of_a_single_copy_has_its_full_size() {
    let instance = Setup::default().users(&["alice", "bob", "carol"]).start();
    let mut admin = instance.imap("admin");
    let users = ["alice", "bob", "carol"];
    for user in users {
        admin.ok(&format!("SETQUOTA \"user/{user}\" (STORAGE 1000)"));
    }
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example");
    let to = ["alice@example.test", "bob@example.test", "carol@example.test"];
    smtp.send_message("x@example.org", &to, &text(50_000));
    for user in users {
        instance.wait_for_messages(user, 1);
        let told = quota(&mut admin, &format!("user/{user}"));
        let used: u32 = told.split(' ').nth(1).unwrap().parse().unwrap();
        assert!((48..=52).contains(&used), "{user}: {told}");
    }
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Copies");
    imap.ok("SELECT INBOX");
    imap.ok("COPY 1 Copies");
    let told = quota(&mut imap, "user/alice");
    let used: u32 = told.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((96..=104).contains(&used), "{told}");
}

/// Folders go between users and away; reconstruct and a mailbox list made anew find what is there (S180).
#[test]
fn after_renames_deletions_and_reconstruct_nothing_is_counted_wrong() {
    let mut instance = Setup::default().start();
    let mut admin = instance.imap("admin");
    let mut imap = instance.imap("alice");
    for mailbox in ["A", "A/B", "C"] {
        imap.ok(&format!("CREATE {mailbox}"));
        assert!(imap.append(mailbox, "", &text(3000)).starts_with("OK"));
    }
    for user in ["alice", "bob"] {
        admin.ok(&format!("SETQUOTA \"user/{user}\" (MESSAGE 100)"));
    }
    admin.ok("RENAME user/alice/A user/bob/From-alice");
    imap.ok("DELETE C");
    assert_eq!(quota(&mut admin, "user/alice"), "(MESSAGE 0 100)");
    assert_eq!(quota(&mut admin, "user/bob"), "(MESSAGE 2 100)");
    assert_exact(&instance);
    run(instance.tool("reconstruct").args(["-r", "user/bob"]));
    let counted = run(instance.tool("reconstruct").args(["-q", "user/bob"]));
    assert_eq!(counted, "1 user, 3 mailboxes, 0 mended, 0 differences\n");
    assert_eq!(quota(&mut admin, "user/bob"), "(MESSAGE 2 100)");
    assert_exact(&instance);
    // The guide's recipe (L973-979): everything comes back from a copy, the list is emptied and made anew, with the quotas.
    instance.kill_all();
    let tar = |arguments: &[&str]| {
        run(std::process::Command::new("tar").current_dir(instance.path("store")).args(arguments));
    };
    tar(&["-cf", "copy.tar", "partition"]);
    for folder in ["partition", "mboxlist"] {
        std::fs::remove_dir_all(instance.path("store").join(folder)).unwrap();
    }
    tar(&["-xf", "copy.tar"]);
    run(instance.tool("reconstruct").arg("-m"));
    instance.start_all();
    let mut admin = instance.imap("admin");
    assert_eq!(quota(&mut admin, "user/bob"), "(MESSAGE 2 100)");
    assert_eq!(admin.exists("user/bob/From-alice"), 1);
    assert_exact(&instance);
}

#[test]
fn deliver_minds_the_quota_unless_it_is_told_not_to() {
    use std::io::Write;
    let instance =
        Setup::default().set("store.quotaenforcement", "yes").set("store.quotagraceperiod", "0").create();
    set_quota(&instance, "alice", "mailQuota=1000");
    let deliver = |arguments: &[&str]| {
        let mut command = instance.tool("deliver");
        command.args(arguments).stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text(3000).as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let refused = deliver(&["alice"]);
    assert_eq!(refused.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("over quota"));
    assert_eq!(deliver(&["-q", "alice"]).status.code(), Some(0));
    assert_eq!(deliver(&["bob"]).status.code(), Some(0));
    let shown = run(instance.tool("quotacheck").args(["-p", "90"]));
    assert!(shown.contains("alice") && !shown.contains("bob") && shown.contains("0 differences"), "{shown}");
}

/// Appends, moves and expunges until the connection ends.
fn disturb(instance: &Instance, user: &str, done: &AtomicU32, stop: &AtomicBool) {
    let ask = |wire: &mut Wire, command: &str| -> Option<bool> {
        wire.try_send(format!("t {command}\r\n").as_bytes()).then_some(())?;
        loop {
            let line = wire.try_line()?;
            if let Some(rest) = line.strip_prefix("t ") {
                return Some(rest.starts_with("OK"));
            }
        }
    };
    let work = || -> Option<()> {
        let stream = TcpStream::connect(instance.at(IMAP)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let mut wire = Wire::plain(stream);
        wire.try_line()?;
        ask(&mut wire, &format!("LOGIN {user} {user}-secret"))?;
        ask(&mut wire, "CREATE Other")?;
        let message = text(900);
        while !stop.load(Ordering::Relaxed) {
            for mailbox in ["INBOX", "Other"] {
                ask(&mut wire, &format!("APPEND {mailbox} {{{}+}}\r\n{message}", message.len()))?;
            }
            ask(&mut wire, "SELECT INBOX")?;
            ask(&mut wire, "COPY 1 Other")?;
            ask(&mut wire, "MOVE 1:2 Other")?;
            ask(&mut wire, "SELECT Other")?;
            ask(&mut wire, "STORE 1:4 +FLAGS.SILENT (\\Deleted)")?;
            ask(&mut wire, "EXPUNGE")?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        Some(())
    };
    while !stop.load(Ordering::Relaxed) {
        if work().is_none() {
            std::thread::yield_now();
        }
    }
}

/// Messages of one round.
const MAIL_MAX: u32 = 40;

fn mail(instance: &Instance, done: &AtomicU32, stop: &AtomicBool) {
    let work = || -> Option<()> {
        let stream = TcpStream::connect(instance.at(SMTP)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let mut wire = Wire::plain(stream);
        wire.try_line()?;
        wire.try_send(b"HELO client.example\r\n").then_some(())?;
        wire.try_line()?;
        while !stop.load(Ordering::Relaxed) {
            // Mail is accepted faster than two mailboxes take it: what piled up in all rounds would not go in time.
            if done.load(Ordering::Relaxed) >= MAIL_MAX {
                std::thread::yield_now();
                continue;
            }
            let start = b"MAIL FROM:<x@example.org>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n";
            wire.try_send(start).then_some(())?;
            for _ in 0..4 {
                wire.try_line()?;
            }
            wire.try_send(format!("{}.\r\n", text(1500)).as_bytes()).then_some(())?;
            wire.try_line()?;
            done.fetch_add(1, Ordering::Relaxed);
        }
        Some(())
    };
    while !stop.load(Ordering::Relaxed) {
        if work().is_none() {
            std::thread::yield_now();
        }
    }
}

/// Two processes of imapd, smtpd and the tools change the same mailboxes, and are killed at any moment.
#[test]
fn usage_is_exact_though_every_daemon_is_killed_under_load() {
    let mut instance = Setup::default()
        .set("service.imap.numprocesses", "2")
        .set("store.defaultmailboxquota", "100000000")
        .start();
    let rounds = if quick() { 6 } else { 40 };
    let mut seed = u64::from(std::process::id()) | 1;
    let mut mended = 0;
    for round in 0..rounds {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let victims: &[&'static str] = match seed % 5 {
            0 => &["smtp"],
            1 | 2 => &["imap"],
            3 => &["store", "imap"],
            _ => &["smtp", "imap", "store", "pop"],
        };
        let stop = AtomicBool::new(false);
        let done = [AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0)];
        std::thread::scope(|scope| {
            let (shared, stop) = (&instance, &stop);
            scope.spawn(|| disturb(shared, "alice", &done[0], stop));
            scope.spawn(|| disturb(shared, "bob", &done[1], stop));
            scope.spawn(|| mail(shared, &done[2], stop));
            wait_for("every client to have done something", || {
                done.iter().all(|done| done.load(Ordering::Relaxed) > 0).then_some(())
            });
            std::thread::sleep(Duration::from_millis(seed % 60)); // paced: the kill comes at a random moment under load
            if round % 3 == 2 {
                assert_exact(shared); // under load, too
            }
            for service in victims {
                let _ = kill(Pid::from_raw(shared.pid(service).unwrap() as i32), Signal::SIGKILL);
            }
            stop.store(true, Ordering::Relaxed);
        });
        for service in victims {
            instance.kill(service);
        }
        let said = assert_exact(&instance);
        mended += usize::from(!said.contains(" 0 mended"));
        instance.start_all();
    }
    eprintln!("in {mended} of {rounds} rounds a change was interrupted");
    instance.wait_for_empty_queue();
    assert_exact(&instance);
    let mut admin = instance.imap("admin");
    for user in ["alice", "bob"] {
        let mut bytes = 0;
        for mailbox in ["INBOX", "Other"] {
            let status = admin.ok(&format!("STATUS user/{user}/{mailbox} (SIZE)")).concat();
            bytes += status.rsplit("SIZE ").next().unwrap().trim_end_matches(')').parse::<u64>().unwrap();
        }
        let told = quota(&mut admin, &format!("user/{user}"));
        assert_eq!(told, format!("(STORAGE {} 97657)", bytes.div_ceil(1024)));
    }
}
