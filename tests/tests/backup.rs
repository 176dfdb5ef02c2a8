//! imsbackup and imsrestore on running suites: what comes back is what was there, whatever happens in between.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use black_box::instance::wait_for;
use black_box::{Instance, Setup, run};

fn backup(instance: &Instance, file: &Path, names: &[&str]) -> String {
    let output = instance.tool("imsbackup").arg("-f").arg(file).args(names).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// Without a gap in the UIDs, so that everything can be compared.
fn restore(instance: &Instance, file: &Path, arguments: &[&str]) -> String {
    run(instance.tool("imsrestore").arg("-f").arg(file).args(["--uid-gap", "0"]).args(arguments))
}

fn refused(instance: &Instance, file: &Path, arguments: &[&str]) -> String {
    let output: Output = instance.tool("imsrestore").arg("-f").arg(file).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Everything that a client sees of a mailbox.
fn listing(instance: &Instance, user: &str, mailbox: &str) -> Vec<String> {
    let mut imap = instance.imap(user);
    let selected = imap.ok(&format!("EXAMINE \"{mailbox}\""));
    let mut lines: Vec<String> = selected
        .into_iter()
        .filter(|line| line.contains("UIDVALIDITY") || line.contains("UIDNEXT"))
        .collect();
    let fetched = imap.ok("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])");
    lines.extend(
        fetched
            .into_iter()
            .filter(|line| line.contains("FETCH"))
            .map(|line| line.replace(" \\Recent", "").replace("\\Recent ", "").replace("\\Recent", "")),
    );
    lines
}

fn folder(instance: &Instance, user: &str) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg(user));
    instance.path("store/partition/primary/=user").join(hash.trim()).join(format!("={user}"))
}

const MAILBOXES: [&str; 4] = ["INBOX", "Archive", "Archive/2002 \u{26}- more", "Work"];

/// Mailboxes with flags, keywords, dates, gaps in the UIDs, and a message that two users have.
fn fill(instance: &Instance) {
    let mut imap = instance.imap("alice");
    for mailbox in &MAILBOXES[1..] {
        imap.ok(&format!("CREATE \"{mailbox}\""));
        imap.ok(&format!("SUBSCRIBE \"{mailbox}\""));
    }
    for mailbox in MAILBOXES {
        for number in 1..=6 {
            let flags = ["\\Flagged $Forwarded ", "\\Seen ", "", "\\Answered \\Draft Junk "][number % 4];
            let arguments = format!("({}) \"0{number}-Feb-2001 10:20:30 +0100\" ", flags.trim());
            imap.append(
                &format!("\"{mailbox}\""),
                &arguments,
                &format!("Subject: {mailbox} {number}\r\n\r\n{}\r\n", "body ".repeat(number * 300)),
            );
        }
        imap.ok(&format!("SELECT \"{mailbox}\""));
        imap.ok("UID STORE 2,6 +FLAGS (\\Deleted)");
        imap.ok("EXPUNGE");
    }
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.com");
    smtp.send_message(
        "sender@example.org",
        &["alice@example.test", "bob@example.test"],
        "Subject: for both\r\n\r\nshared\r\n",
    );
    instance.wait_for_messages("alice", 5);
    instance.wait_for_messages("bob", 1);
    instance.wait_for_empty_queue();
}

fn inode_of_the_shared(instance: &Instance, user: &str) -> u64 {
    let folder = folder(instance, user).join("00");
    let found = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let path = found
        .filter(|path| path.extension().is_some_and(|end| end == "msg"))
        .find(|path| fs::read_to_string(path).unwrap().contains("Subject: for both"))
        .unwrap();
    fs::metadata(path).unwrap().ino()
}

#[test]
fn a_store_comes_back_in_a_fresh_instance_as_it_was() {
    let old = Instance::start();
    fill(&old);
    let tape = old.path("tape.tar");
    backup(&old, &tape, &["/"]);
    // Any tar can list it, and take it apart.
    let listed = run(std::process::Command::new("tar").arg("tf").arg(&tape));
    assert!(listed.contains("primary/user/alice/INBOX/1.msg\n"), "{listed}");
    assert!(listed.contains("primary/user/alice/Archive/\n"), "{listed}");
    assert!(restore(&old, &tape, &["--verify"]).contains(" 0 errors"));
    let new = Instance::start();
    let said = restore(&new, &tape, &[]);
    assert!(said.contains("18 messages restored (0 with new UIDs), 0 were there, 0 errors"), "{said}");
    for mailbox in MAILBOXES {
        assert_eq!(listing(&new, "alice", mailbox), listing(&old, "alice", mailbox), "{mailbox}");
    }
    assert_eq!(listing(&new, "bob", "INBOX"), listing(&old, "bob", "INBOX"));
    let subscribed = |instance: &Instance| instance.imap("alice").ok("LSUB \"\" *");
    assert_eq!(subscribed(&new), subscribed(&old));
    assert_eq!(subscribed(&new).len(), 3);
    assert_eq!(inode_of_the_shared(&new, "alice"), inode_of_the_shared(&new, "bob"), "one file");
    // Once more changes nothing.
    let again = restore(&new, &tape, &[]);
    assert!(again.contains("0 messages restored (0 with new UIDs), 18 were there, 0 errors"), "{again}");
    for mailbox in MAILBOXES {
        assert_eq!(listing(&new, "alice", mailbox), listing(&old, "alice", mailbox), "{mailbox}");
    }
    // Mail goes on behind the old UIDs.
    new.send("alice", "after");
    new.wait_for_messages("alice", 6);
}

#[test]
fn a_user_a_folder_and_a_message_come_back_alone_and_under_another_name() {
    let instance = Instance::start();
    fill(&instance);
    let tape = instance.path("tape.tar");
    backup(&instance, &tape, &["/primary"]);
    let before = listing(&instance, "alice", "Work");
    let mut imap = instance.imap("alice");
    imap.ok("DELETE Work");
    restore(&instance, &tape, &["/primary/user/alice/Work"]);
    assert_eq!(listing(&instance, "alice", "Work"), before, "UIDs and UIDVALIDITY too");
    // One message that was deleted by mistake gets a new UID at the end; the others are not doubled.
    imap.ok("SELECT Work");
    imap.ok("UID STORE 3 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    let looked = restore(&instance, &tape, &["-n", "/primary/user/alice/Work/3.msg"]);
    assert!(looked.contains("1 messages would be restored, 0 are there"), "{looked}");
    assert_eq!(imap.exists("Work"), 3, "-n does nothing");
    let said = restore(&instance, &tape, &["/primary/user/alice/Work/3.msg"]);
    assert!(said.contains("1 messages restored (1 with new UIDs)"), "{said}");
    assert_eq!(imap.exists("Work"), 4);
    let lines = listing(&instance, "alice", "Work");
    assert!(
        lines.last().unwrap().contains("UID 7") && lines.last().unwrap().contains("Subject: Work 3"),
        "{lines:?}"
    );
    // To another folder; and bob's message alone, whose bytes stand at alice's in the stream, through a pipe as well.
    restore(&instance, &tape, &["--to", "user/alice/Found", "user/alice/INBOX"]);
    assert_eq!(imap.exists("Found"), 5);
    for (number, is_pipe) in [false, true].into_iter().enumerate() {
        let name = format!("user/alice/Bobs{number}");
        let mut tool = instance.tool("imsrestore");
        let mut cat = std::process::Command::new("cat").arg(&tape).stdout(Stdio::piped()).spawn().unwrap();
        let pipe = cat.stdout.take().unwrap();
        match is_pipe {
            false => {
                drop(pipe); // cat ends
                tool.arg("-f").arg(&tape)
            }
            true => tool.args(["-f", "-"]).stdin(pipe),
        };
        let output = tool.args(["--to", &name, "/primary/user/bob/INBOX"]).output().unwrap();
        cat.wait().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = listing(&instance, "alice", &format!("Bobs{number}")).join("\n");
        assert!(text.contains("Subject: for both"), "{text}");
    }
    let map = instance.path("names");
    fs::write(&map, "alice=bob\n").unwrap();
    restore(&instance, &tape, &["-m", map.to_str().unwrap(), "user/alice/Archive"]);
    assert_eq!(instance.imap("bob").exists("Archive"), 4);
    assert!(refused(&instance, &tape, &["user/nobody"]).contains("nothing in the stream has this name"));
}

#[test]
fn an_incremental_backup_has_what_came_since() {
    let instance = Instance::start();
    fill(&instance);
    let (full, more) = (instance.path("full.tar"), instance.path("more.tar"));
    backup(&instance, &full, &["/"]);
    let tomorrow = "20990101";
    let nothing = instance.path("nothing.tar");
    backup(&instance, &nothing, &["-d", tomorrow, "/"]);
    assert!(restore(&instance, &nothing, &["-t"]).contains("\n0 messages"));
    // The next second: what came before it is not meant.
    let now = wait_for_next_second();
    instance.send("alice", "since then");
    instance.wait_for_messages("alice", 6);
    backup(&instance, &more, &["-d", &now, "/"]);
    let contents = restore(&instance, &more, &["-t"]);
    assert!(contents.contains("INBOX/8.msg") && contents.ends_with("\n1 messages\n"), "{contents}");
    let new = Instance::start();
    restore(&new, &full, &[]);
    restore(&new, &more, &[]);
    assert_eq!(listing(&new, "alice", "INBOX"), listing(&instance, "alice", "INBOX"));
}

/// `YYYYMMDD:HHMMSS` of a second that has just begun.
fn wait_for_next_second() -> String {
    let now = || run(std::process::Command::new("date").arg("+%Y%m%d:%H%M%S")).trim().to_owned();
    let before = now();
    wait_for("the next second", || Some(now()).filter(|now| *now != before))
}

#[test]
fn a_stream_that_is_damaged_or_cut_is_told_and_the_rest_comes_back() {
    let old = Instance::start();
    fill(&old);
    let tape = old.path("tape.tar");
    backup(&old, &tape, &["/"]);
    let good = fs::read(&tape).unwrap();
    let at = good.windows(14).position(|window| window == b"Subject: Work ").unwrap();
    let new = Instance::start();
    // One byte of one message: it alone does not come.
    let mut bytes = good.clone();
    bytes[at + 30] ^= 1;
    fs::write(&tape, &bytes).unwrap();
    assert!(refused(&new, &tape, &["--verify"]).contains("its bytes are damaged in the stream"));
    let said = refused(&new, &tape, &[]);
    assert!(
        said.contains("user/alice/Work/1.msg: its bytes are damaged in the stream")
            && said.contains("1 error"),
        "{said}"
    );
    assert_eq!(new.imap("alice").exists("Work"), 3);
    assert_eq!(new.imap("alice").exists("INBOX"), 5);
    // Any byte of what is told about a message.
    let at = good.windows(21).position(|window| window == b"MAILBOAT.flags=\\Seen\n").unwrap();
    let mut bytes = good.clone();
    bytes[at + 17] ^= 1;
    fs::write(&tape, &bytes).unwrap();
    let said = refused(&new, &tape, &["--verify"]);
    assert!(said.contains("the entry does not verify") && said.contains("1 entries before"), "{said}");
    // Cut in the middle.
    fs::write(&tape, &good[..good.len() / 2]).unwrap();
    assert!(refused(&new, &tape, &["--verify"]).contains("its end mark is missing"));
    fs::write(&tape, b"no backup").unwrap();
    assert!(refused(&new, &tape, &[]).contains("the stream is empty"));
    fs::write(&tape, vec![7; 4096]).unwrap();
    assert!(refused(&new, &tape, &[]).contains("this is no stream of imsbackup"));
    // With the whole one, the message that was missing comes too.
    fs::write(&tape, &good).unwrap();
    let said = restore(&new, &tape, &[]);
    assert!(said.contains("1 messages restored (1 with new UIDs), 17 were there"), "{said}");
}

#[test]
fn a_restore_that_is_killed_is_run_again() {
    let old = Instance::start();
    let mut imap = old.imap("alice");
    let count = 600;
    for number in 1..=count {
        imap.append("INBOX", "(\\Seen) ", &format!("Subject: {number}\r\n\r\nbody {number}\r\n"));
    }
    let tape = old.path("tape.tar");
    backup(&old, &tape, &["user/alice"]);
    let new = Instance::start();
    let inbox = folder(&new, "alice");
    for _ in 0..3 {
        let mut tool = new.tool("imsrestore");
        let mut child =
            tool.arg("-f").arg(&tape).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let before = fs::read_dir(inbox.join("00")).map_or(0, Iterator::count);
        wait_for("some progress", || {
            let now = fs::read_dir(inbox.join("00")).map_or(0, Iterator::count);
            let is_over = child.try_wait().unwrap().is_some();
            (is_over || now > before || inbox.join("01").exists()).then_some(())
        });
        let _ = child.kill();
        child.wait().unwrap();
    }
    restore(&new, &tape, &[]);
    assert_eq!(listing(&new, "alice", "INBOX"), listing(&old, "alice", "INBOX"));
}

#[test]
fn a_backup_taken_while_mail_flows_is_whole() {
    let old = Instance::start();
    fill(&old);
    let tape = old.path("tape.tar");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut imap = old.imap("alice");
            for number in 1..=40 {
                imap.append("INBOX", "", &format!("Subject: new {number}\r\n\r\nbody\r\n"));
                imap.ok("SELECT INBOX");
                imap.ok("STORE 1 +FLAGS (\\Deleted)");
                imap.ok("EXPUNGE");
            }
        });
        for _ in 0..4 {
            backup(&old, &tape, &["user/alice"]);
            let said = restore(&old, &tape, &["--verify"]);
            assert!(said.contains(" 0 errors"), "{said}");
        }
    });
    let new = Instance::start();
    restore(&new, &tape, &[]);
    assert_eq!(listing(&new, "alice", "Work"), listing(&old, "alice", "Work"));
    let count = new.imap("alice").exists("INBOX");
    assert!((5..=6).contains(&count), "{count}: as many as there were at any moment");
}

#[test]
fn the_quota_limits_what_comes_in_only_when_that_is_wanted() {
    let old = Instance::start();
    fill(&old);
    let tape = old.path("tape.tar");
    backup(&old, &tape, &["user/alice"]);
    let new = Setup::default().set("store.defaultmessagequota", "3").start();
    new.imap("alice").ok("NOOP");
    new.send("alice", "first");
    new.wait_for_messages("alice", 1);
    let said = refused(&new, &tape, &["--within-quota"]);
    assert!(said.contains("over quota"), "{said}");
    assert_eq!(new.imap("alice").exists("INBOX"), 1);
    restore(&new, &tape, &[]);
    assert_eq!(new.imap("alice").exists("INBOX"), 6);
}

#[test]
fn a_full_device_is_told() {
    let instance = Instance::start();
    fill(&instance);
    let output = instance.tool("imsbackup").args(["-f", "/dev/full", "/"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is not whole: No space left"), "{said}");
}

/// Mail that came after the backup and was lost had UIDs that clients remember: none of them is given to other mail, unless the
/// administrator says that more streams follow.
#[test]
fn uids_that_clients_may_have_seen_are_not_given_away_again() {
    let mut old = Instance::start();
    let mut imap = old.imap("alice");
    imap.append("INBOX", "", "Subject: 1\r\n\r\nx\r\n");
    let (full, more) = (old.path("full.tar"), old.path("more.tar"));
    backup(&old, &full, &["/"]);
    imap.append("INBOX", "", "Subject: 2\r\n\r\nx\r\n");
    backup(&old, &more, &["/"]);
    let uid_validity = |instance: &Instance| listing(instance, "alice", "INBOX")[0].clone();
    let validity = uid_validity(&old);
    old.kill_all();
    let bring = |instance: &Instance, file: &Path, arguments: &[&str]| {
        run(instance.tool("imsrestore").arg("-f").arg(file).args(arguments))
    };
    let new = Instance::start();
    bring(&new, &full, &[]);
    assert_eq!(uid_validity(&new), validity);
    let appended = new.imap("alice").append("INBOX", "", "Subject: other\r\n\r\nx\r\n");
    assert!(appended.contains(" 100002]"), "{appended}");
    // Once more makes no second gap, and neither does a mailbox that went on.
    bring(&new, &full, &[]);
    let appended = new.imap("alice").append("INBOX", "", "Subject: another\r\n\r\nx\r\n");
    assert!(appended.contains(" 100003]"), "{appended}");
    // Several streams: UIDs of all of them are kept.
    let other = Instance::start();
    bring(&other, &full, &["--uid-gap", "0"]);
    let said = bring(&other, &more, &[]);
    assert!(said.contains("1 messages restored (0 with new UIDs), 1 were there"), "{said}");
    let appended = other.imap("alice").append("INBOX", "", "Subject: other\r\n\r\nx\r\n");
    assert!(appended.contains(" 100003]"), "{appended}");
}

/// Rights and what each reader has seen come back, on new UIDs and for a user of another name too; what is there is newer.
#[test]
fn rights_and_what_readers_have_seen_come_back() {
    let people = || Setup::default().users(&["alice", "bob", "carol", "dave"]);
    let old = people().start();
    let mut alice = old.imap("alice");
    for folder in ["Work", "Work/Open"] {
        alice.ok(&format!("CREATE {folder}"));
        for number in 1..=5 {
            alice.append(folder, "", &format!("Subject: {number}\r\n\r\nof {folder}\r\n"));
        }
    }
    alice.ok("SETACL Work bob lrsw");
    alice.ok("SETACL Work carol lrs");
    alice.ok("SETACL Work -dave w");
    alice.ok("SELECT Work");
    alice.ok("STORE 1 +FLAGS (\\Seen)");
    run(old.tool("mboxutil").args(["-c", "News"]));
    run(old.tool("readership").args(["-s", "News", "bob", "lrsi"]));
    let mut bob = old.imap("bob");
    let (work, news) = ("\"Shared Folders/User/alice/Work\"", "\"Shared Folders/News\"");
    bob.append(news, "", "Subject: news\r\n\r\nof today\r\n");
    for (mailbox, seen) in [(news, "1"), (work, "2:3,5")] {
        bob.ok(&format!("SELECT {mailbox}"));
        bob.ok(&format!("STORE {seen} +FLAGS (\\Seen)"));
    }
    let mut carol = old.imap("carol");
    carol.ok(&format!("SELECT {work}"));
    carol.ok("STORE 1:4 +FLAGS (\\Seen)");
    let tape = old.path("tape.tar");
    backup(&old, &tape, &["/"]);
    let seen = |instance: &Instance, user: &str, mailbox: &str| {
        let mut imap = instance.imap(user);
        imap.ok(&format!("EXAMINE {mailbox}"));
        imap.ok("SEARCH SEEN").remove(0)
    };
    let acl = |instance: &Instance, mailbox: &str| {
        instance.imap("admin").ok(&format!("GETACL {mailbox}")).remove(0)
    };
    let all = |instance: &Instance| {
        let lists = ["user/alice/INBOX", "user/alice/Work", "user/alice/Work/Open", news];
        let mut told: Vec<String> = lists.iter().map(|mailbox| acl(instance, mailbox)).collect();
        for user in ["bob", "carol"] {
            told.extend([seen(instance, user, work), seen(instance, user, news)]);
        }
        told.push(seen(instance, "alice", "Work"));
        told
    };
    let before = all(&old);
    assert!(before[1].contains("\"-dave\" w \"bob\" lrsw \"carol\" lrs"), "{}", before[1]);
    assert!(before[2].ends_with("\"alice\" lrswipkxteacd"), "below stands an empty list");
    assert_eq!((before[4].as_str(), before[6].as_str()), ("* SEARCH 2 3 5", "* SEARCH 1 2 3 4"));
    let new = people().start();
    restore(&new, &tape, &[]);
    assert_eq!(all(&new), before);
    // What is there stays: who lost rights gets none back, and what became unseen is not seen.
    new.imap("alice").ok("DELETEACL Work bob");
    let mut carol = new.imap("carol");
    carol.ok(&format!("SELECT {work}"));
    carol.ok("STORE 1 -FLAGS (\\Seen)");
    restore(&new, &tape, &[]);
    assert!(!acl(&new, "user/alice/Work").contains("bob"));
    assert_eq!(seen(&new, "carol", work), "* SEARCH 2 3 4");
    // Who lost what was seen has it again of messages that are there, whose UIDs are others than those of the backup.
    let mut alice = new.imap("alice");
    alice.ok("DELETE Work/Open");
    alice.ok("DELETE Work");
    alice.ok("CREATE Work");
    alice.ok("SETACL Work carol lrs");
    alice.append("Work", "", "Subject: 0\r\n\r\nnew\r\n");
    restore(&new, &tape, &["--to", "user/alice/Work", "user/alice/Work"]);
    assert_eq!(seen(&new, "carol", work), "* SEARCH 2 3 4 5");
    run(new.tool("readership").args(["-p", "0", "user/alice/Work"]));
    // To another user: an owner has all rights and no \Seen apart.
    restore(&new, &tape, &["--to", "user/bob/Found", "user/alice/Work"]);
    assert!(acl(&new, "user/bob/Found").ends_with("\"bob\" lrswipkxteacd \"-dave\" w \"carol\" lrs"));
    assert_eq!(seen(&new, "bob", "Found"), "* SEARCH 1");
    assert_eq!(seen(&new, "carol", "\"Shared Folders/User/bob/Found\""), "* SEARCH 1 2 3 4");
    new.prove();
}

/// A name with a slip in it costs nothing of what was there before.
#[test]
fn a_name_that_does_not_exist_leaves_the_old_backup_as_it_was() {
    let instance = Setup::default().start();
    instance.imap("alice").ok("CREATE Work");
    let tape = instance.path("good.tar");
    backup(&instance, &tape, &["user/alice"]);
    let good = fs::read(&tape).unwrap();
    let output = instance.tool("imsbackup").arg("-f").arg(&tape).arg("user/alicee").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("nothing has this name"), "{said}");
    assert_eq!(fs::read(&tape).unwrap(), good);
}
