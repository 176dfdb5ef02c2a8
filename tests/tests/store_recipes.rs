//! The guide's store recipes (S159 to S185), by the tools, on a running suite.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use black_box::{Instance, run};

fn reconstruct(instance: &Instance, arguments: &[&str]) -> String {
    run(instance.tool("reconstruct").args(arguments))
}

fn mboxutil(instance: &Instance, arguments: &[&str]) -> String {
    run(instance.tool("mboxutil").args(arguments))
}

/// The user's folder, found the way an administrator does: by hashdir.
fn user_folder(instance: &Instance, user: &str) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg(user));
    let folder = instance.path("store/partition/primary/=user").join(hash.trim()).join(format!("={user}"));
    assert!(folder.is_dir(), "{}", folder.display());
    folder
}

/// The message files of a mailbox folder, in the order of their UIDs.
fn messages(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.file_name().unwrap().as_encoded_bytes().starts_with(b"="))
        .flat_map(|hash| fs::read_dir(hash).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|end| end == "msg"))
        .collect();
    found.sort();
    found
}

fn copy_messages(from: &Path, to: &Path) {
    for message in messages(from) {
        let hash = to.join(message.parent().unwrap().file_name().unwrap());
        fs::create_dir_all(&hash).unwrap();
        fs::copy(&message, hash.join(message.file_name().unwrap())).unwrap();
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn fill(instance: &Instance, mailbox: &str, count: u32) {
    let mut imap = instance.imap("alice");
    for number in 1..=count {
        imap.append(mailbox, "(\\Seen) ", &format!("Subject: {mailbox} {number}\r\n\r\nbody {number}\r\n"));
    }
}

fn uids_and_flags(instance: &Instance, mailbox: &str) -> Vec<String> {
    let mut imap = instance.imap("alice");
    imap.ok(&format!("SELECT {mailbox}"));
    let mut lines = imap.ok("UID FETCH 1:* (UID FLAGS BODY.PEEK[TEXT])");
    lines.retain(|line| line.contains("FETCH"));
    for line in &mut lines {
        *line = line.replace(" \\Recent", "").replace("\\Recent ", "").replace("\\Recent", "");
    }
    lines
}

#[test]
fn one_damaged_folder_is_rebuilt_from_its_messages_while_the_suite_runs() {
    // S159, S160
    let instance = Instance::start();
    fill(&instance, "INBOX", 3);
    let before = uids_and_flags(&instance, "INBOX");
    assert_eq!(before.len(), 3);
    let index = user_folder(&instance, "alice").join("store.idx");
    fs::write(&index, b"this is no index").unwrap();
    reconstruct(&instance, &["user/alice/INBOX"]);
    assert_eq!(uids_and_flags(&instance, "INBOX"), before);
    assert!(instance.imap("bob").exists("INBOX") == 0);
}

#[test]
fn the_whole_store_is_rebuilt_with_r() {
    // S161
    let instance = Instance::start();
    instance.imap("alice").ok("CREATE Work");
    instance.imap("alice").ok("CREATE Work/Old");
    let mailboxes = ["INBOX", "Work", "Work/Old"];
    let before: Vec<_> = mailboxes
        .iter()
        .map(|mailbox| {
            fill(&instance, mailbox, 2);
            uids_and_flags(&instance, mailbox)
        })
        .collect();
    let folder = user_folder(&instance, "alice");
    for index in
        [folder.join("store.idx"), folder.join("=+Work/store.idx"), folder.join("=+Work/=+Old/store.idx")]
    {
        fs::remove_file(index).unwrap();
    }
    reconstruct(&instance, &["-r"]);
    let after: Vec<_> = mailboxes.iter().map(|mailbox| uids_and_flags(&instance, mailbox)).collect();
    assert_eq!(after, before);
}

#[test]
fn a_folder_that_the_list_does_not_know_is_found_by_the_two_steps() {
    // S162, S166, S167, S168, S184: the folder comes back from the tape under the user's folder
    let instance = Instance::start();
    fill(&instance, "INBOX", 2);
    let folder = user_folder(&instance, "alice");
    let restored = folder.join("=inbox.old");
    fs::create_dir(&restored).unwrap();
    copy_messages(&folder, &restored);
    let mut imap = instance.imap("alice");
    assert!(imap.refused("SELECT inbox.old").contains("NONEXISTENT"), "the list is what counts");
    let output = instance.tool("reconstruct").arg("user/alice/inbox.old").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("does not exist") && said.contains("reconstruct -m"), "{said}");
    reconstruct(&instance, &["-m"]);
    reconstruct(&instance, &["-r", "user/alice/inbox.old"]);
    assert_eq!(imap.exists("inbox.old"), 2, "the open session sees it too");
    assert_eq!(imap.exists("INBOX"), 2);
}

#[test]
fn without_its_list_the_store_stays_closed_and_m_makes_it_anew() {
    // S165, S169: stop, delete the list, reconstruct -m, reconstruct -r, start
    let mut instance = Instance::start();
    instance.imap("alice").ok("CREATE Work");
    fill(&instance, "Work", 2);
    let before = uids_and_flags(&instance, "Work");
    let listed = mboxutil(&instance, &["-l", "-s"]);
    for service in ["pop", "imap", "smtp", "store"] {
        instance.stop(service);
    }
    let list = instance.path("store/mboxlist");
    for entry in fs::read_dir(&list).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    reconstruct(&instance, &["-m"]);
    reconstruct(&instance, &["-r"]);
    instance.start_all();
    assert_eq!(mboxutil(&instance, &["-l", "-s"]), listed);
    assert_eq!(uids_and_flags(&instance, "Work"), before);
}

#[test]
fn a_single_message_is_restored_with_deliver() {
    // S182
    let instance = Instance::start();
    fill(&instance, "INBOX", 1);
    let message = messages(&user_folder(&instance, "alice")).pop().unwrap();
    mboxutil(&instance, &["-c", "user/alice/found"]);
    let mut deliver = instance.tool("deliver");
    deliver.args(["-m", "found", "alice"]).stdin(fs::File::open(message).unwrap());
    assert!(deliver.status().unwrap().success());
    let mut imap = instance.imap("alice");
    assert_eq!(imap.exists("found"), 1);
    imap.ok("SELECT found");
    let text = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    assert!(text.contains("body 1"), "{text}");
}

#[test]
fn an_inbox_is_restored_beside_the_present_one() {
    // S183: the tape's INBOX, with its store files, goes into a mailbox made for it
    let instance = Instance::start();
    fill(&instance, "INBOX", 3);
    let folder = user_folder(&instance, "alice");
    let tape = instance.path("tape");
    copy_tree(&folder, &tape);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1:* +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    mboxutil(&instance, &["-c", "user/alice/inbox-old"]);
    copy_tree(&tape, &folder.join("=inbox-old"));
    reconstruct(&instance, &["-r", "user/alice/inbox-old"]);
    assert_eq!(imap.exists("inbox-old"), 3);
    assert_eq!(imap.exists("INBOX"), 0);
}

#[test]
fn messages_copied_into_a_new_folder_are_recovered() {
    // S185: only the hash folders and the message files, not the store files
    let instance = Instance::start();
    instance.imap("alice").ok("CREATE Main");
    fill(&instance, "Main", 3);
    mboxutil(&instance, &["-c", "user/alice/restored"]);
    let folder = user_folder(&instance, "alice");
    copy_messages(&folder.join("=+Main"), &folder.join("=restored"));
    reconstruct(&instance, &["user/alice/restored"]);
    let bodies = |mailbox: &str| uids_and_flags(&instance, mailbox).len();
    assert_eq!((bodies("restored"), bodies("Main")), (3, 3));
    let mut imap = instance.imap("alice");
    imap.append("restored", "", "Subject: new\r\n\r\nafter\r\n");
    assert_eq!(imap.exists("restored"), 4, "new messages come after the recovered ones");
}

#[test]
fn a_copy_made_by_file_tools_while_mail_arrives_can_be_restored() {
    // S179, S181: a live backup is restored with reconstruct -r
    let instance = Instance::start();
    fill(&instance, "INBOX", 5);
    let folder = user_folder(&instance, "alice");
    let tape = instance.path("tape");
    std::thread::scope(|scope| {
        scope.spawn(|| fill(&instance, "INBOX", 20));
        copy_tree(&folder, &tape);
    });
    mboxutil(&instance, &["-c", "user/alice/backup"]);
    copy_tree(&tape, &folder.join("=backup"));
    reconstruct(&instance, &["-r", "user/alice/backup"]);
    let in_copy = messages(&tape).len();
    assert!(in_copy >= 5);
    assert_eq!(uids_and_flags(&instance, "backup").len(), in_copy, "every message file of the copy is there");
    assert_eq!(instance.imap("alice").exists("INBOX"), 25);
}

#[test]
fn orphans_are_deleted_by_the_commands_that_reconstruct_writes() {
    // S171, S172, S173
    let instance = Instance::start();
    for user in ["alice", "bob"] {
        instance.send(user, "hello");
        instance.wait_for_messages(user, 1);
    }
    instance.imap("bob").ok("CREATE Work");
    let file = instance.path("orphans-cmd-file");
    let find = || {
        reconstruct(&instance, &["-o", "-d", file.to_str().unwrap()]);
        fs::read_to_string(&file).unwrap()
    };
    assert_eq!(find(), "", "everybody is in the directory");
    let folder = user_folder(&instance, "bob");
    run(instance.tool("dirutil").args(["delete", "bob"]));
    assert_eq!(find(), "mboxutil -d /user/bob/INBOX\n");
    let tools = black_box::program("mboxutil").parent().unwrap().to_owned();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut shell = instance.tool("mboxutil"); // for its environment
    let settings: Vec<_> =
        shell.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    shell = std::process::Command::new("sh");
    run(shell.arg(&file).envs(settings).env("PATH", path));
    assert!(!folder.exists());
    assert_eq!(mboxutil(&instance, &["-l", "-s"]), "user/alice/INBOX\n");
    assert_eq!(instance.imap("alice").exists("INBOX"), 1);
    assert_eq!(find(), "");
}

#[test]
fn the_list_of_one_user_is_compared_alone() {
    let instance = Instance::start();
    for user in ["alice", "bob"] {
        instance.imap(user).ok("NOOP");
        instance.send(user, "hello");
        instance.wait_for_messages(user, 1);
        let folder = user_folder(&instance, user);
        fs::create_dir(folder.join("=old")).unwrap();
        copy_messages(&folder, &folder.join("=old"));
    }
    let said = reconstruct(&instance, &["-m", "-u", "alice"]);
    assert_eq!(said, "added user/alice/old\n2 mailboxes on disk, 1 added to the list, 0 removed from it\n");
    assert_eq!(mboxutil(&instance, &["-l", "-s", "-p", "user/bob/*"]), "user/bob/INBOX\n");
    let output = instance.tool("reconstruct").args(["-m", "-p", "second"]).output().unwrap();
    assert!(!output.status.success());
    fs::remove_dir_all(user_folder(&instance, "alice").join("=old")).unwrap();
    let said = reconstruct(&instance, &["-m", "-p", "primary"]);
    assert!(said.contains("added user/bob/old\nremoved user/alice/old"), "{said}");
}

#[test]
fn n_says_what_is_not_right_and_changes_nothing() {
    let instance = Instance::start();
    fill(&instance, "INBOX", 3);
    assert_eq!(
        reconstruct(&instance, &["-n", "user/alice/INBOX"]).lines().next(),
        Some("user/alice/INBOX: 3 messages")
    );
    let folder = user_folder(&instance, "alice").join("00");
    fs::remove_file(folder.join("2.msg")).unwrap();
    fs::write(folder.join("9.msg"), "Subject: found\r\n\r\nx\r\n").unwrap();
    for _ in 0..2 {
        let output = instance.tool("reconstruct").args(["-n", "-r"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success());
        assert!(
            said.contains(
                "user/alice/INBOX: 2 messages right, 0 damaged, 1 without a record, 1 without their file"
            ),
            "{said}"
        );
    }
    reconstruct(&instance, &["user/alice/INBOX"]);
    reconstruct(&instance, &["-n", "-r"]);
    assert_eq!(uids_and_flags(&instance, "INBOX").len(), 3);
}
