//! S179: a snapshot of the file system, taken while mail flows, and put back. All that was acknowledged before it is there,
//! once, without reconstruct -r.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use black_box::instance::{IMAP, PATIENCE, SMTP, is_root, wait_for};
use black_box::{Imap, Instance, Setup, Smtp, run};
use tempfile::TempDir;

/// A file with a file system in it, mounted.
struct Disk {
    image: PathBuf,
    at: PathBuf,
    _folder: TempDir,
}

impl Disk {
    fn make() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let (image, at) = (folder.path().join("image"), folder.path().join("disk"));
        fs::create_dir(&at).unwrap();
        fs::File::create(&image).unwrap().set_len(192 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let disk = Disk { image, at, _folder: folder };
        disk.mount();
        disk
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.at));
    }

    /// Behind the daemons: what they started ends by itself when they have ended, a moment later.
    fn unmount(&self) {
        wait_for("nobody to use the disk", || {
            Command::new("umount").arg(&self.at).output().unwrap().status.success().then_some(())
        });
    }

    /// As LVM and storage systems do it: the file system stands still while its blocks are copied.
    fn snapshot(&self) -> PathBuf {
        let copy = self.image.with_extension("snapshot");
        run(Command::new("fsfreeze").arg("-f").arg(&self.at));
        let copied = fs::copy(&self.image, &copy);
        run(Command::new("fsfreeze").arg("-u").arg(&self.at));
        copied.unwrap();
        copy
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-q", "-l"]).arg(&self.at).status();
    }
}

/// What was answered with 250 or OK.
#[derive(Default)]
struct Acknowledged {
    sent: Mutex<Vec<String>>,
    flagged: Mutex<Vec<String>>,
}

impl Acknowledged {
    fn all(&self) -> (Vec<String>, Vec<String>) {
        (self.sent.lock().unwrap().clone(), self.flagged.lock().unwrap().clone())
    }

    fn wait_for(&self, count: usize) {
        wait_for("mail", || {
            let (sent, flagged) = self.all();
            (sent.len() >= count && flagged.len() >= count).then_some(())
        });
    }
}

fn connect(instance: &Instance, port: u16) -> TcpStream {
    let stream = instance.connect(port);
    stream.set_read_timeout(Some(PATIENCE + Duration::from_secs(60))).unwrap(); // it stands still meanwhile
    stream
}

fn send(instance: &Instance, acknowledged: &Acknowledged, stop: &AtomicBool) {
    let mut smtp = Smtp::open(connect(instance, SMTP));
    smtp.ok("EHLO client.example.org");
    for number in 0.. {
        if number % 40 == 39 {
            smtp = Smtp::open(connect(instance, SMTP)); // a connection has so many messages at most
            smtp.ok("EHLO client.example.org");
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let token = format!("sent-{number}");
        let text = format!("Subject: {token}\r\n\r\n{}\r\n", "x".repeat(500));
        smtp.send_message("s@example.org", &["alice@example.test", "bob@example.test"], &text);
        acknowledged.sent.lock().unwrap().push(token);
    }
}

/// Tokens whose flag was acknowledged as well.
fn append(instance: &Instance, acknowledged: &Acknowledged, stop: &AtomicBool) {
    let mut imap = Imap::open(connect(instance, IMAP));
    imap.ok("LOGIN alice alice-secret");
    imap.ok("SELECT Work");
    for number in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let token = format!("appended-{number}");
        let answer = imap.append("Work", "", &format!("Subject: {token}\r\n\r\nx\r\n"));
        assert!(answer.starts_with("OK"), "{answer}");
        imap.ok(&format!("UID STORE {number} +FLAGS (\\Flagged mark)"));
        acknowledged.flagged.lock().unwrap().push(token);
    }
}

/// What a client sees, by subject.
fn seen(instance: &Instance, user: &str, mailbox: &str) -> BTreeMap<String, Vec<String>> {
    let mut imap = instance.imap(user);
    imap.ok(&format!("EXAMINE {mailbox}"));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in imap.ok("FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])") {
        if let Some((head, rest)) = line.split_once("Subject: ") {
            let head = head.replace("\\Recent", "").replace(" )", ")").replace("( ", "(");
            found.entry(rest.lines().next().unwrap().to_owned()).or_default().push(head);
        }
    }
    found
}

fn check(instance: &Instance, sent: &[String], flagged: &[String]) {
    for user in ["alice", "bob"] {
        let there = seen(instance, user, "INBOX");
        for token in sent {
            assert_eq!(there.get(token).map_or(0, Vec::len), 1, "{user}: {token}");
        }
    }
    let there = seen(instance, "alice", "Work");
    for token in flagged {
        let heads = there.get(token).unwrap_or_else(|| panic!("{token} is not there"));
        assert!(
            heads.len() == 1 && heads[0].contains("\\Flagged") && heads[0].contains("mark"),
            "{token}: {heads:?}"
        );
    }
}

fn everything(instance: &Instance) -> Vec<BTreeMap<String, Vec<String>>> {
    [("alice", "INBOX"), ("alice", "Work"), ("bob", "INBOX")]
        .map(|(user, name)| seen(instance, user, name))
        .to_vec()
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

#[test]
fn a_snapshot_taken_while_mail_flows_is_put_back_and_has_all_that_was_acknowledged() {
    if !is_root("only root mounts file systems") {
        return;
    }
    let disk = Disk::make();
    let mut instance = Setup::default().inside(&disk.at).start();
    instance.imap("alice").ok("CREATE Work");
    let acknowledged = Acknowledged::default();
    let stop = AtomicBool::new(false);
    let (snapshot, sent, flagged) = std::thread::scope(|scope| {
        scope.spawn(|| send(&instance, &acknowledged, &stop));
        scope.spawn(|| append(&instance, &acknowledged, &stop));
        acknowledged.wait_for(40);
        let (sent, flagged) = acknowledged.all();
        let snapshot = disk.snapshot();
        acknowledged.wait_for(sent.len().max(flagged.len()) + 20); // what came later is lost with the disk
        stop.store(true, Ordering::Relaxed);
        (snapshot, sent, flagged)
    });
    instance.kill_all();
    disk.unmount();
    fs::rename(&snapshot, &disk.image).unwrap();
    disk.mount();
    instance.start_all();
    instance.wait_for_empty_queue();
    check(&instance, &sent, &flagged);
    let later = acknowledged.all().1.pop().unwrap();
    assert!(!seen(&instance, "alice", "Work").contains_key(&later), "it is the snapshot");
    instance.prove();
    // The guide's way: the list is emptied, and made anew. Nothing else is needed after a snapshot (S179).
    let before = everything(&instance);
    instance.kill_all();
    empty(&instance.path("store/mboxlist"));
    run(instance.tool("reconstruct").arg("-m"));
    instance.start_all();
    assert_eq!(everything(&instance), before);
    check(&instance, &sent, &flagged);
    // Mail goes on.
    instance.send("alice", "afterwards");
    wait_for("mail behind it", || seen(&instance, "alice", "INBOX").contains_key("afterwards").then_some(()));
    instance.kill_all();
}
