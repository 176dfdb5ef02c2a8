//! Ageing by rules (S115, S116): what goes, what stays, and when.
#![allow(clippy::unwrap_used)]

use black_box::instance::wait_for;
use black_box::{Imap, Instance, Setup, run};

const DAY: i64 = 86_400;

/// Recovery, ageing and clean-up once, while the others serve.
fn age(instance: &mut Instance) {
    instance.stop("store");
    run(instance.tool("stored").arg("-1"));
    instance.start_one("store");
}

/// An old message and a new one.
fn two(imap: &mut Imap, mailbox: &str) {
    for arguments in ["\"01-Jan-2020 10:00:00 +0000\" ", ""] {
        let said = imap.append(mailbox, arguments, "Subject: x\r\n\r\nx\r\n");
        assert!(said.starts_with("OK"), "{said}");
    }
}

fn many(imap: &mut Imap, mailbox: &str, count: usize) {
    let message = "Subject: x\r\n\r\n";
    for tag in 0..count {
        imap.wire.send(format!("m{tag} APPEND {mailbox} {{{}+}}\r\n{message}\r\n", message.len()).as_bytes());
    }
    for tag in 0..count {
        let said = imap.until_tagged(&format!("m{tag}")).1;
        assert!(said.starts_with("OK"), "{said}");
    }
}

/// S115: 7 days for all of bob's mailboxes; joe's stay. Whoever has one selected is told.
#[test]
fn a_rule_for_one_user_by_a_pattern_removes_old_mail_in_all_his_folders() {
    let mut instance = Setup::default()
        .users(&["bob", "joe"])
        .set("store.expirerule.bob.folderpattern", "/user/bob/*")
        .set("store.expirerule.bob.messagedays", "7")
        .start();
    let (mut bob, mut joe) = (instance.imap("bob"), instance.imap("joe"));
    for imap in [&mut bob, &mut joe] {
        imap.ok("CREATE Work");
        two(imap, "INBOX");
        two(imap, "Work");
    }
    bob.ok("SELECT INBOX");
    for (user, promised) in [("bob", "EXPIRE 7"), ("joe", "EXPIRE NEVER")] {
        let offered = instance.pop(user).lines("CAPA");
        assert!(offered.iter().any(|line| line == promised), "RFC 2449 §6.7: {promised}, {offered:?}");
    }
    age(&mut instance);
    assert!(bob.ok("NOOP").contains(&"* 1 EXPUNGE".to_owned()));
    assert_eq!((bob.exists("INBOX"), bob.exists("Work")), (1, 1));
    assert_eq!((joe.exists("INBOX"), joe.exists("Work")), (2, 2));
    let log = instance.log("store");
    assert!(log.contains("user/bob/Work: 1 messages aged out (bob)"), "{log}");
    assert!(log.contains("ageing: 2 mailboxes, 2 messages expunged, 0 failed"), "{log}");
    assert!(run(instance.tool("quotacheck").arg("-s")).contains(" 0 differences"));
}

/// S116: a limit is for each mailbox: 60 and 60 are not 120; 101 are one too many.
#[test]
fn a_count_is_of_one_folder_and_not_of_all_together() {
    let mut instance = Setup::default()
        .users(&["bob"])
        .set("store.expirerule.few.folderpattern", "user/bob/*")
        .set("store.expirerule.few.messagecount", "100")
        .start();
    let mut bob = instance.imap("bob");
    for (mailbox, count) in [("A", 60), ("B", 60), ("C", 101)] {
        bob.ok(&format!("CREATE {mailbox}"));
        many(&mut bob, mailbox, count);
    }
    age(&mut instance);
    assert_eq!([bob.exists("A"), bob.exists("B"), bob.exists("C")], [60, 60, 100]);
    bob.ok("SELECT C");
    assert_eq!(bob.ok("UID SEARCH UID 1:2"), ["* SEARCH 2"], "the oldest went");
}

/// The hour is `store.expirestart`'s; age in the folder is not age of the message; an exclusive rule keeps others out.
#[test]
fn rules_run_in_the_hour_that_is_set_and_count_days_in_the_folder() {
    let mut instance = Setup::default()
        .users(&["bob", "joe"])
        .set("store.expirestart", "3")
        .set("store.expirerule.trash.folderpattern", "user/%/Trash")
        .set("store.expirerule.trash.savedays", "30")
        .set("store.expirerule.joe.folderpattern", "user/joe/*")
        .set("store.expirerule.joe.exclusive", "yes")
        .environment("TZ", "UTC")
        .create();
    let now =
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs())
            .unwrap();
    let at = |days: i64, hour: i64| ((now / DAY + days) * DAY + hour * 3600 + 60 - now).to_string();
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", &at(1, 12));
    instance.start_all();
    for user in ["bob", "joe"] {
        let mut imap = instance.imap(user);
        imap.ok("CREATE Trash");
        two(&mut imap, "Trash");
        two(&mut imap, "INBOX");
    }
    for (days, hour, left) in [(2, 3, 2), (40, 12, 2), (40, 3, 0)] {
        instance.kill_all();
        instance.remove_log("store");
        instance.set_environment("MAILBOAT_CLOCK_OFFSET", &at(days, hour));
        instance.start_all();
        if hour == 3 {
            wait_for("the clean-up", || instance.log("store").contains("clean-up: ").then_some(()));
        }
        let exists = |user: &str, mailbox: &str| instance.imap(user).exists(mailbox);
        assert_eq!(exists("bob", "Trash"), left, "day {days}, hour {hour}");
        assert_eq!((exists("bob", "INBOX"), exists("joe", "Trash")), (2, 2));
    }
}
