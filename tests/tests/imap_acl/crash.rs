//! kill -9 at each step of a change of an access control list: it is as it was or as it was to be, in the folder and in the
//! list of mailboxes alike, and what readers have seen stays.

use std::fs;
use std::path::{Path, PathBuf};

use black_box::{Instance, Setup};

use super::{flags, name, share, tool};

/// Each step of the sources that belongs to a list.
const STEPS: [&str; 3] = ["acl: noted", "acl: in the folder", "acl: in the list"];

fn folder(instance: &Instance) -> PathBuf {
    let hash = black_box::run(instance.tool("hashdir").arg("alice"));
    instance.path("store/partition/primary/=user").join(hash.trim()).join("=alice/=+Work")
}

fn notes(instance: &Instance) -> usize {
    let entries = fs::read_dir(instance.path("store/mboxlist")).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("acl-")).count()
}

/// The entries in the file of the folder.
fn in_the_folder(folder: &Path) -> String {
    fs::read_to_string(folder.join("store.acl")).unwrap().lines().skip(1).collect::<Vec<_>>().join(", ")
}

/// A tool that is to change the list ends at the step; then bob may do so.
fn crash_at(step: &str, expected: &str) {
    let mut instance = Setup::default().users(&["alice", "bob"]).start();
    share(&mut instance.imap("alice"), "Work", "lrs");
    let mut bob = instance.imap("bob");
    bob.ok(&format!("SELECT {}", name("Work")));
    bob.ok("STORE 1 +FLAGS.SILENT (\\Seen)");
    drop(bob);
    let seen = fs::read(folder(&instance).join("store.seen/=bob")).unwrap();
    let mut change = instance.tool("readership");
    change.env("MAILBOAT_CRASH_AT", step).args(["-s", "user/alice/Work", "bob", "lrsw"]);
    let ended = change.output().unwrap().status;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{step}");
    assert_eq!(notes(&instance), 1, "{step}");
    // Whoever starts finishes it; the note goes, and with it the change can not come back.
    instance.kill_all();
    instance.start_all();
    // Any change of the tree is behind it, too.
    instance.imap("alice").ok("CREATE Other");
    assert_eq!(notes(&instance), 0, "{step}");
    let mut bob = instance.imap("bob");
    let told = bob.ok(&format!("MYRIGHTS {}", name("Work"))).remove(0);
    assert!(told.ends_with(&format!(" {expected}")), "{step}: {told}");
    assert_eq!(in_the_folder(&folder(&instance)), format!("{expected} bob"), "{step}");
    assert!(flags(&mut bob, &name("Work")).contains("\\Seen"), "{step}");
    assert_eq!(fs::read(folder(&instance).join("store.seen/=bob")).unwrap(), seen, "{step}");
    // The list that is made anew says the same.
    tool(&instance, "reconstruct", &["-m"]);
    let told = bob.ok(&format!("MYRIGHTS {}", name("Work"))).remove(0);
    assert!(told.ends_with(&format!(" {expected}")), "{step}: {told}");
    instance.prove();
}

#[test]
fn a_list_survives_a_kill_at_each_step_of_its_change() {
    for (step, expected) in STEPS.iter().zip(["lrs", "lrsw", "lrsw"]) {
        eprintln!("{step}");
        crash_at(step, expected);
    }
}

/// The steps above are those of the sources.
#[test]
fn the_steps_of_a_list_are_those_of_the_sources() {
    let text =
        fs::read_to_string(black_box::instance::top().join("crates/message-store/src/acl.rs")).unwrap();
    let named: Vec<&str> =
        text.split("crash::step(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(named, STEPS);
}
