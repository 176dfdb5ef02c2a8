//! The same mailbox in Dovecot: the same answers to SORT and THREAD.

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};
use tempfile::TempDir;

use super::*;

const COMMANDS: [&str; 17] = [
    "SORT (DATE) UTF-8 ALL",
    "SORT (REVERSE DATE) UTF-8 ALL",
    "SORT (ARRIVAL) UTF-8 ALL",
    "SORT (SIZE) UTF-8 ALL",
    "SORT (SUBJECT) UTF-8 ALL",
    "SORT (REVERSE SUBJECT DATE) UTF-8 ALL",
    "SORT (FROM) UTF-8 ALL",
    "SORT (TO CC) UTF-8 ALL",
    "SORT (DISPLAYFROM) UTF-8 ALL",
    "SORT (DISPLAYTO REVERSE ARRIVAL) UTF-8 ALL",
    "UID SORT RETURN (ALL) (CC SIZE) UTF-8 ALL",
    "SORT RETURN (PARTIAL 5:9) (DATE) UTF-8 ALL",
    "SORT (DATE) UTF-8 FROM zoe",
    "THREAD REFERENCES UTF-8 ALL",
    "UID THREAD REFERENCES UTF-8 20:90",
    "THREAD REFS UTF-8 ALL",
    "THREAD ORDEREDSUBJECT UTF-8 ALL",
];
const SUBJECTS: [&str; 17] = [
    "alpha",
    "Re: alpha",
    "[list] Beta",
    "Fwd: beta",
    "=?utf-8?q?=C3=A4pfel?=",
    "",
    "Re:",
    "gamma (fwd)",
    "gamma",
    "[fwd: Re: delta]",
    "delta",
    "zeta [x]",
    "  Re: [a] [b]: c",
    "ALPHA",
    "AW: alpha",
    "[a][b]",
    "Fw : [x] Re[2]: alpha",
];
const ADDRESSES: [&str; 7] = [
    "amy@a.test",
    "Zed <bill@a.test>",
    "=?utf-8?q?=C3=84nne?= <zoe@b.test>",
    "\"Quoted, Name\" <Carl@c.test>",
    "",
    "Group: x@y;",
    "bob",
];

/// A Dovecot of its own, with a mailbox for whoever logs in.
struct Dovecot {
    master: Child,
    port: u16,
    _folder: TempDir,
}

impl Dovecot {
    fn start() -> Dovecot {
        assert!(nix::unistd::geteuid().is_root(), "Dovecot is started by root");
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let owner = User::from_name("mail").unwrap().unwrap();
        let (root, mail) = (folder.path().display(), folder.path().join("mail"));
        fs::create_dir(&mail).unwrap();
        chown(&mail, Some(owner.uid), Some(owner.gid)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = folder.path().join("dovecot.conf");
        let (mail, uid, gid) = (mail.display(), owner.uid, owner.gid);
        let text = format!(
            "base_dir = {root}/run\nstate_dir = {root}/run\nlog_path = {root}/log\nprotocols = imap\nlisten = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\nfirst_valid_uid = 1\nmail_location = sdbox:{mail}/%n\npassdb {{\n driver = static\n args = password=secret\n}}\nuserdb {{\n driver = static\n args = uid={uid} gid={gid} home={mail}/%n\n}}\nservice imap-login {{\n inet_listener imap {{\n  port = {port}\n }}\n inet_listener imaps {{\n  port = 0\n }}\n}}\n"
        );
        fs::write(&configuration, text).unwrap();
        let master =
            Command::new("/usr/sbin/dovecot").arg("-F").arg("-c").arg(&configuration).spawn().unwrap();
        Dovecot { master, port, _folder: folder }
    }

    fn imap(&mut self) -> Imap {
        let begun = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let mut imap = Imap::open(stream);
                imap.ok("LOGIN alice secret");
                return imap;
            }
            assert_eq!(self.master.try_wait().unwrap(), None, "Dovecot ended");
            assert!(begun.elapsed() < Duration::from_secs(60), "Dovecot does not listen");
            std::thread::sleep(Duration::from_millis(50)); // paced: another program tells nobody that it listens
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.master.id() as i32), Signal::SIGTERM);
        let _ = self.master.wait();
    }
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    /// Message `number`: some have no subject, no date, no id or somebody else's; references to those before and behind.
    fn message(&mut self, number: u64) -> String {
        let mut text = String::new();
        if self.below(10) > 0 {
            write!(text, "Subject: {}\r\n", self.one_of(&SUBJECTS)).unwrap();
        }
        for field in ["From", "To", "Cc"] {
            write!(text, "{field}: {}\r\n", self.one_of(&ADDRESSES)).unwrap();
        }
        if self.below(6) > 0 {
            let (day, hour) = (1 + self.below(28), self.below(24));
            let zone = self.one_of(&["+0000", "-0800", "+0200"]);
            write!(text, "Date: {day:02} Mar 2025 {hour:02}:00:00 {zone}\r\n").unwrap();
        }
        if self.below(10) > 0 {
            let id = if self.below(15) == 0 { self.below(number + 1) } else { number };
            write!(text, "Message-ID: <{id}@t>\r\n").unwrap();
        }
        match self.below(5) {
            0 | 1 => {
                text.push_str("References:");
                for _ in 0..1 + self.below(3) {
                    write!(text, " <{}@t>", self.below(140)).unwrap();
                }
                text.push_str("\r\n");
            }
            2 => write!(text, "In-Reply-To: <{}@t>\r\n", self.below(140)).unwrap(),
            _ => {}
        }
        write!(text, "\r\n{}\r\n", "x".repeat(self.below(500) as usize)).unwrap();
        text
    }
}

/// What is answered to a command; the tag in it left out.
fn answer(imap: &mut Imap, command: &str) -> String {
    let line = imap.ok(command).pop().unwrap();
    match line.split_once("\") ") {
        Some((_, rest)) => rest.to_owned(),
        None => line,
    }
}

#[test]
fn dovecot_says_the_same() {
    let mut dovecot = Dovecot::start();
    let instance = Instance::start();
    let (mut ours, mut theirs) = (instance.imap("alice"), dovecot.imap());
    let mut numbers = Numbers(11);
    for number in 0..120 {
        let message = numbers.message(number);
        let arguments = format!("\"{:02}-Apr-2025 10:00:00 +0000\" ", 1 + numbers.below(28));
        for imap in [&mut ours, &mut theirs] {
            assert!(imap.append("INBOX", &arguments, &message).starts_with("OK"));
        }
    }
    ours.ok("SELECT INBOX");
    theirs.ok("SELECT INBOX");
    for command in COMMANDS {
        assert_eq!(answer(&mut ours, command), answer(&mut theirs, command), "{command}");
    }
}
