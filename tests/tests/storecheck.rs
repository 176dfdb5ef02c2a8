//! storecheck on a running suite: it proves what is sound, finds what is not, and names the command that mends it; and what
//! reconstruct -e, -i and -f are for.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use black_box::{Instance, quick, run};

fn user_folder(instance: &Instance, user: &str) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg(user));
    instance.path("store/partition/primary/=user").join(hash.trim()).join(format!("={user}"))
}

fn fill(instance: &Instance, mailbox: &str, count: u32) {
    let mut imap = instance.imap("alice");
    for number in 1..=count {
        imap.append(mailbox, "(\\Seen) ", &format!("Subject: {mailbox} {number}\r\n\r\nbody {number}\r\n"));
    }
}

fn storecheck(instance: &Instance, arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, .. } = instance.tool("storecheck").args(arguments).output().unwrap();
    (status.success(), String::from_utf8_lossy(&stdout).into_owned())
}

#[test]
fn a_sound_store_is_proven_and_each_damage_is_named_with_its_cure() {
    let instance = Instance::start();
    instance.imap("alice").ok("CREATE Work");
    instance.imap("alice").ok("SUBSCRIBE Work");
    fill(&instance, "INBOX", 3);
    fill(&instance, "Work", 2);
    for arguments in [&[] as &[&str], &["--contents", "--strict", "--rate", "100"], &["-u", "alice"]] {
        let (proven, said) = storecheck(&instance, arguments);
        assert!(proven, "{said}");
        assert!(said.starts_with("verified 2 folders, 5 messages, 0 queue entries, 0 differences"), "{said}");
    }
    let (_, said) = storecheck(&instance, &["user/alice/Work"]);
    assert!(said.starts_with("verified 1 folders, 2 messages"), "{said}");

    let folder = user_folder(&instance, "alice");
    fs::remove_file(folder.join("00/2.msg")).unwrap();
    let (proven, said) = storecheck(&instance, &[]);
    let line = "user/alice/INBOX: UID 2: its file is missing; mend: reconstruct 'user/alice/INBOX'\n";
    assert!(!proven && said.starts_with(line) && said.contains(", 1 difference"), "{said}");
    let (_, said) = storecheck(&instance, &["--json"]);
    assert!(
        said.starts_with("{\"kind\":\"difference\",\"place\":\"user/alice/INBOX\",\"what\":\"UID 2:"),
        "{said}"
    );
    assert!(said.lines().last().unwrap().contains("\"differences\":1,"), "{said}");
    // The cure is what the line says, to be run by sh.
    let cure = line.split("mend: reconstruct ").nth(1).unwrap().trim().trim_matches('\'');
    let said = run(instance.tool("reconstruct").arg(cure));
    assert!(said.contains("user/alice/INBOX: 2 messages, 0 without a record, 1 lost"), "{said}");
    instance.prove();

    let message = folder.join("=+Work/00/1.msg");
    let bytes = fs::read_to_string(&message).unwrap();
    fs::write(&message, bytes.replace("body 1", "b0dy 1")).unwrap();
    assert!(storecheck(&instance, &[]).0, "names and sizes are as they were");
    let (proven, said) = storecheck(&instance, &["-c"]);
    assert!(
        !proven && said.contains("user/alice/Work: UID 1: its bytes are not those that came in"),
        "{said}"
    );
    let cure = said.lines().next().unwrap().split("mend: reconstruct -f ").nth(1).unwrap().trim_matches('\'');
    let said = run(instance.tool("reconstruct").args(["-f", cure]));
    assert!(said.contains("2 messages, 0 without a record, 0 lost, 1 changed"), "{said}");
    instance.prove();

    fs::create_dir_all(folder.join("=+Old/00")).unwrap();
    fs::write(folder.join("=+Old/00/1.msg"), "Subject: old\r\n\r\nx\r\n").unwrap();
    let (proven, said) = storecheck(&instance, &[]);
    assert!(
        !proven
            && said.contains(
                "user/alice/Old: it is in partition primary and not in the list; mend: reconstruct -m"
            ),
        "{said}"
    );
    run(instance.tool("reconstruct").arg("-m"));
    let said = run(instance.tool("reconstruct").arg("-r"));
    assert!(said.contains("user/alice/Old: 1 messages"), "{said}");
    instance.prove();
    let (found, _) = storecheck(&instance, &["user/alice/None"]);
    assert!(!found);
}

/// While mail comes and goes, mailboxes are made, renamed and deleted: not one difference.
#[test]
fn a_store_is_proven_while_it_is_used() {
    let instance = Instance::start();
    instance.imap("alice").ok("NOOP");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (instance, stop) = (&instance, &stop);
        scope.spawn(move || {
            for number in 0.. {
                instance.send("alice", &format!("message {number}"));
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        scope.spawn(move || {
            let mut imap = instance.imap("alice");
            while !stop.load(Ordering::Relaxed) {
                imap.ok("CREATE A");
                imap.append("A", "", "Subject: a\r\n\r\nx\r\n");
                imap.ok("SELECT INBOX");
                imap.command("UID STORE 1:* +FLAGS (\\Deleted \\Flagged mark)");
                imap.command("UID COPY 1:* A");
                imap.ok("EXPUNGE");
                imap.ok("RENAME A B");
                imap.ok("DELETE B");
            }
        });
        for _ in 0..if quick() { 5 } else { 30 } {
            let said = storecheck(instance, &["-c", "-v"]);
            if !said.0 {
                stop.store(true, Ordering::Relaxed);
            }
            assert!(said.0, "{}", said.1);
        }
        stop.store(true, Ordering::Relaxed);
    });
    instance.wait_for_empty_queue();
    instance.prove();
}

/// S159: -e brings back what was expunged and is not removed yet; -i does without the index; a sound mailbox is left alone.
#[test]
fn what_was_expunged_comes_back_and_the_index_is_not_needed() {
    let instance = Instance::start();
    let reconstruct = |arguments: &[&str]| run(instance.tool("reconstruct").args(arguments));
    fill(&instance, "INBOX", 4);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 2 +FLAGS (\\Flagged mark)");
    imap.ok("UID STORE 2:3 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    let said = reconstruct(&["-e", "user/alice/INBOX"]);
    assert!(said.contains("user/alice/INBOX: 2 expunged messages brought back\n"), "{said}");
    imap.ok("NOOP");
    let lines = imap.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").join("\n");
    assert!(lines.contains("UID 5") && lines.contains("UID 6") && !lines.contains("UID 2"), "{lines}");
    let back = lines.lines().find(|line| line.contains("UID 5")).unwrap();
    assert!(back.contains("\\Flagged") && back.contains("mark") && !back.contains("\\Deleted"), "{back}");
    assert!(lines.contains("Subject: INBOX 2"), "{lines}");
    let said = reconstruct(&["-e", "user/alice/INBOX"]);
    assert!(said.contains("0 expunged messages brought back"), "once: {said}");
    instance.prove();

    let index = user_folder(&instance, "alice").join("store.idx");
    let inode = |path: &PathBuf| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&index);
    reconstruct(&["user/alice/INBOX"]);
    assert_eq!(inode(&index), before, "it is sound");
    let lines = |imap: &mut black_box::Imap| {
        imap.ok("SELECT INBOX");
        imap.ok("UID FETCH 1:* (FLAGS)")
            .iter()
            .filter(|line| line.contains("FETCH"))
            .cloned()
            .collect::<Vec<_>>()
    };
    let flags = lines(&mut instance.imap("alice"));
    for _ in 0..2 {
        reconstruct(&["-i", "user/alice/INBOX"]);
        assert_ne!(inode(&index), before);
        assert_eq!(lines(&mut instance.imap("alice")), flags);
    }
    fs::remove_file(&index).unwrap();
    let said = reconstruct(&["-f", "user/alice/INBOX"]);
    assert_eq!(lines(&mut instance.imap("alice")), flags, "{said}");
    instance.prove();
}
