//! alpine at a terminal of its own: it reads a message, saves it into another mailbox, and expunges.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use black_box::instance::PATIENCE;

use crate::same_state::{Server, both_servers};

struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// What was drawn since the last key.
    drawn: String,
}

impl Terminal {
    fn start(command: &str, home: &std::path::Path) -> Terminal {
        let mut child = Command::new("script")
            .args(["-qefc", &format!("stty rows 40 cols 140; exec {command}"), "/dev/null"])
            .env("HOME", home)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keys, screen, drawn: String::new() }
    }

    /// Waits until this is on the screen, then presses keys.
    fn at(&mut self, text: &str, keys: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.drawn.contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.screen.recv_timeout(left) else {
                panic!("no {text:?} in {:?}", self.drawn);
            };
            self.drawn.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.drawn.clear();
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the first of two messages, `for alpine` and `left there`, saves it to Kept, and expunges.
fn session(server: &Server) {
    let home = tempfile::tempdir().unwrap();
    let at = format!("{{{}:{}/notls/user={}}}", server.host, server.imap, server.user);
    let rc = home.path().join("pinerc");
    let text = format!(
        "personal-name=Bob\nuser-domain=example.test\ninbox-path={at}INBOX\nlast-version-used=9.99\n\
         folder-collections=far {at}[]\nsort-key=Arrival\n\
         feature-list=quit-without-confirm,expunge-without-confirm,expunge-without-confirm-everywhere\n"
    );
    std::fs::write(&rc, text).unwrap();
    let mut alpine = Terminal::start(&format!("alpine -p {} -i", rc.display()), home.path());
    alpine.at("PASSWORD", &format!("{}\r", server.password));
    alpine.at("Preserve password", "n");
    alpine.at("left there", "\r"); // the index, at the first that is new
    alpine.at("body of for alpine", "s");
    alpine.at("SAVE", "Kept\r");
    alpine.at("DEL", "<"); // it is marked there; what is said of the copy differs
    alpine.at("left there", "x");
    alpine.at("xpunge", "q");
    let status = alpine.child.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn alpine_reads_saves_and_expunges_as_with_dovecot() {
    let states = both_servers(|server, imap| {
        for subject in ["for alpine", "left there"] {
            let text = format!("From: A <a@b.test>\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n");
            assert!(imap.append("INBOX", "", &text).starts_with("OK"));
        }
        imap.ok("CREATE Kept");
        session(server);
        assert_eq!((imap.exists("INBOX"), imap.exists("Kept")), (1, 1));
    });
    assert_eq!(states[0], states[1]);
}
