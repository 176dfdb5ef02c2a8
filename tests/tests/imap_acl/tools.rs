//! readership, deliver -a and mboxutil with shared folders (original.md 3.4, 3.6, 3.8).

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use black_box::{Instance, Setup};

use super::{MESSAGE, name, share, tool};

fn refused(instance: &Instance, name: &str, arguments: &[&str]) -> String {
    let output = instance.tool(name).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{name} {arguments:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn deliver(command: &mut Command) -> (bool, String) {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(MESSAGE.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn readership_counts_who_read_lately_sets_rights_and_forgets() {
    let instance = Setup::default().users(&["alice", "bob", "carol"]).start();
    tool(&instance, "mboxutil", &["-c", "News"]);
    let (mut alice, mut bob, mut carol) =
        (instance.imap("alice"), instance.imap("bob"), instance.imap("carol"));
    share(&mut alice, "Work", "lr");
    alice.ok("SELECT Work");
    alice.ok("CREATE Private");
    for imap in [&mut bob, &mut carol] {
        imap.ok("SELECT \"Shared Folders/News\"");
    }
    bob.ok(&format!("EXAMINE {}", name("Work")));
    // The owner is not counted, and what is nobody else's is not there.
    assert_eq!(
        tool(&instance, "readership", &[]),
        "        2         0 News\n        1         1 user/alice/Work\n"
    );
    // carol was there two months ago.
    let file = instance.path("store/partition/primary/=+News/store.seen/=carol");
    let long_ago = SystemTime::now() - Duration::from_secs(61 * 86_400);
    std::fs::File::options().append(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(tool(&instance, "readership", &["News"]), "        1         0 News\n");
    assert_eq!(tool(&instance, "readership", &["-d", "90", "News"]), "        2         0 News\n");
    let listed = tool(&instance, "readership", &["-l", "News"]);
    assert!(listed.contains("read by bob, 0 days ago") && listed.contains("read by carol, 61 days ago"));
    assert!(listed.contains("anyone lrs"), "{listed}");
    assert_eq!(tool(&instance, "readership", &["-p", "3"]), "");
    assert_eq!(tool(&instance, "readership", &["-p", "2"]), "News: 1 reader forgotten\n");
    assert!(!file.exists());
    assert_eq!(tool(&instance, "readership", &["-d", "90", "News"]), "        1         0 News\n");
    // Rights, in force in the session that has it selected.
    assert_eq!(tool(&instance, "readership", &["-s", "News", "bob@example.test", "+w"]), "News: bob w\n");
    carol.ok("SELECT \"Shared Folders/News\"");
    assert_eq!(tool(&instance, "readership", &["-s", "News", "-carol", "r"]), "News: -carol r\n");
    assert!(carol.refused("FETCH 1:* FLAGS").starts_with("NO [NOPERM]"));
    assert_eq!(tool(&instance, "readership", &["-s", "News", "-carol", ""]), "News: -carol has none\n");
    carol.ok("SEARCH ALL");
    for (arguments, why) in [
        (["-s", "News", "nobody", "l"], "no such user or group"),
        (["-s", "News", "bob", "q"], "the rights are"),
        (["-s", "Nowhere", "bob", "l"], "Nowhere"),
        (["-s", "user/alice/Work", "alice", "l"], "the owner has all rights"),
    ] {
        let said = refused(&instance, "readership", &arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    let listed = tool(&instance, "mboxutil", &["-l", "-x", "-p", "News"]);
    assert!(listed.contains("/=+News  [anyone lrs, bob w]\n"), "{listed}");
}

/// Who is forgotten and comes again is told of every later change: the modification sequence numbers do not go down.
#[test]
fn a_forgotten_reader_misses_nothing() {
    let instance = Instance::start();
    let mut alice = instance.imap("alice");
    share(&mut alice, "Work", "lrs");
    let work = name("Work");
    let highest = |imap: &mut black_box::Imap| -> u64 {
        let row = imap.ok(&format!("STATUS {work} (HIGHESTMODSEQ)")).remove(0);
        row.split("HIGHESTMODSEQ ").nth(1).unwrap().trim_end_matches(')').parse().unwrap()
    };
    let mut bob = instance.imap("bob");
    bob.ok(&format!("SELECT {work}"));
    for sign in ["+", "-", "+", "-", "+"] {
        bob.ok(&format!("STORE 1 {sign}FLAGS (\\Seen)"));
    }
    let known = highest(&mut bob);
    bob.ok("UNSELECT");
    let hash = tool(&instance, "hashdir", &["alice"]);
    let users = instance.path("store/partition/primary/=user");
    let file = users.join(hash.trim()).join("=alice/=+Work/store.seen/=bob");
    let long_ago = SystemTime::now() - Duration::from_secs(200 * 86_400);
    std::fs::File::options().append(true).open(file).unwrap().set_modified(long_ago).unwrap();
    let purge = ["-p", "3", "user/alice/Work"];
    assert_eq!(tool(&instance, "readership", &purge), "user/alice/Work: 1 reader forgotten\n");
    assert_eq!(tool(&instance, "readership", &purge), "", "who is forgotten is no reader");
    assert!(!tool(&instance, "readership", &["-l", "user/alice/Work"]).contains("read by"));
    assert!(highest(&mut bob) > known, "it is not seen any more: a change");
    let changed = bob.ok(&format!("SELECT {work} (CONDSTORE)"));
    assert!(!changed.is_empty());
    assert_eq!(bob.ok("SEARCH UNSEEN")[0], "* SEARCH 1");
    let told = bob.ok(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {known})"));
    assert!(told.len() == 1 && !told[0].contains("Seen"), "{told:?}");
    let known = highest(&mut bob);
    alice.ok("SELECT Work");
    alice.ok("STORE 1 +FLAGS (\\Flagged)");
    bob.ok("NOOP");
    let told = bob.ok(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {known})"));
    assert!(told.len() == 1 && told[0].contains("\\Flagged"), "{told:?}");
    assert!(tool(&instance, "readership", &["-l", "user/alice/Work"]).contains("read by bob, 0 days ago"));
}

/// The right p: a message on somebody's behalf goes where it may be posted, and else to the INBOX of the owner.
#[test]
fn deliver_posts_with_the_right_to() {
    let instance = Instance::start();
    tool(&instance, "mboxutil", &["-c", "News"]);
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    alice.ok("CREATE Work");
    let post = |arguments: &[&str]| deliver(instance.tool("deliver").args(arguments));
    let (done, said) = post(&["-a", "bob", "-m", "News"]);
    assert!(!done && said.contains("bob may not post to it"), "{said}");
    tool(&instance, "readership", &["-s", "News", "anyone", "+p"]);
    assert!(post(&["-a", "bob", "-m", "News"]).0);
    assert_eq!(bob.exists("\"Shared Folders/News\""), 1);
    assert!(post(&["-a", "bob", "-m", "Work", "alice"]).0);
    assert_eq!((alice.exists("INBOX"), alice.exists("Work")), (1, 0));
    alice.ok("SETACL Work bob p");
    assert!(post(&["-a", "bob", "-m", "Work", "alice"]).0);
    assert!(post(&["-a", "alice", "-m", "Work", "alice"]).0);
    assert!(post(&["-m", "Work", "alice"]).0);
    assert_eq!((alice.exists("INBOX"), alice.exists("Work")), (1, 3));
    assert!(!post(&["-a", "nobody", "-m", "Work", "alice"]).0);
}
