//! Evolution without its windows: its mail engine with its own providers of IMAP, POP and SMTP, driven by evolution.py.
//!
//! The engine's library and its description for Python are installed; the providers are in a package that draws in a browser
//! engine, and are taken out of the package file that `scripts/test` has fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use black_box::instance::{IMAP, IMAPS, POP, POPS, SUBMISSION, SUBMISSIONS, top};
use black_box::peer::fetched_package;
use black_box::{Authority, Instance, run};
use serde_json::{Value, json};

use crate::same_state::{Server, both_servers, fill, wait_for_maildrop};

/// One user's Evolution: the folder with its copies, its settings and its providers.
struct Evolution {
    home: tempfile::TempDir,
    account: Value,
}

impl Evolution {
    fn new(account: Value) -> Evolution {
        let home = tempfile::tempdir().unwrap();
        run(Command::new("dpkg-deb")
            .arg("-x")
            .arg(fetched_package("evolution-data-server"))
            .arg(home.path()));
        let mut evolution = Evolution { home, account };
        evolution.account["folder"] = evolution.home.path().join("evolution").to_str().unwrap().into();
        evolution
    }

    fn of(server: &Server) -> Evolution {
        Evolution::new(json!({
            "host": server.host, "imap": server.imap, "plain": server.imap, "pop": server.pop, "smtp": 0,
            "user": server.user, "password": server.password, "security": "none",
        }))
    }

    /// bob's account of an instance.
    fn of_instance(instance: &Instance, [imap, pop, smtp]: [u16; 3], security: &str) -> Evolution {
        let certificate = instance.path("config/certs/server.crt");
        Evolution::new(json!({
            "host": instance.address.to_string(), "imap": imap, "plain": IMAP, "pop": pop, "smtp": smtp,
            "user": "bob", "password": "bob-secret", "security": security, "certificate": certificate.to_str().unwrap(),
        }))
    }

    fn output(&self, what: &str) -> Output {
        let settings = self.home.path().join("account.json");
        fs::write(&settings, self.account.to_string()).unwrap();
        let script = top().join("tests/tests/clients/evolution.py");
        // Debian's own Python: the engine's description is among its packages. The debug text is the protocol, and goes to stdout.
        Command::new("timeout")
            .args(["240", "/usr/bin/python3", "-W", "ignore"])
            .arg(script)
            .arg(what)
            .arg(settings)
            .env("EDS_CAMEL_PROVIDER_DIR", self.providers())
            .env("GSETTINGS_BACKEND", "memory")
            .env("CAMEL_DEBUG", "imapx")
            .env("HOME", self.home.path())
            .output()
            .unwrap()
    }

    fn providers(&self) -> PathBuf {
        self.home.path().join("usr/lib/evolution-data-server/camel-providers")
    }

    /// What it says in the end of one of the script's days, and what it spoke over IMAP.
    fn run(&self, what: &str) -> (Value, String) {
        let output = self.output(what);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {}\n{said}\n{errors}", output.status);
        let answer = fs::read(self.home.path().join("evolution/answer.json")).unwrap();
        (serde_json::from_slice(&answer).unwrap(), said)
    }
}

/// What Evolution shows of INBOX after its day, with the letters of `fill`.
fn shown_after_the_day() -> Value {
    // $Label1 is what Evolution itself calls important.
    json!([
        ["letter 0", []],
        ["letter 1", ["$Work"]],
        ["letter 2", ["\\Answered", "\\Seen"]],
        ["letter 3", ["$Labelimportant"]],
        ["letter 6", []],
    ])
}

/// Folders, messages, flags, moves; then a second start with the copies of the first, while another client works; then an INBOX
/// that is watched; then what POP takes away.
#[test]
fn evolution_ends_as_with_dovecot() {
    let states = both_servers(|server, imap| {
        fill(imap, 7);
        let evolution = Evolution::of(server);
        let (day, _) = evolution.run("day");
        assert_eq!(day["shown"]["INBOX"], shown_after_the_day());
        assert_eq!(
            day["shown"]["Work"],
            json!([
                ["appended 0", []],
                ["appended 2", ["\\Flagged"]],
                ["letter 1", ["$Work"]],
                ["letter 3", ["$Labelimportant"]],
            ])
        );
        assert_eq!(day["shown"]["Käse"], json!([["letter 4", []]]));
        let names: Vec<&str> =
            day["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        for name in ["INBOX", "Käse", "Work", "Work/Older", "with blanks"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.contains(&"Gone") && !names.contains(&"Work/Old"), "{names:?}");

        let (away, spoken) = evolution.run("away");
        assert_eq!(away["kept"], shown_after_the_day());
        assert_eq!(away["looked"], shown_after_the_day());
        let back = json!([
            ["letter 0", []],
            ["letter 1", ["$Work", "\\Flagged"]],
            ["letter 3", ["$Labelimportant"]],
            ["letter 6", []],
            ["meanwhile", ["\\Seen"]],
        ]);
        assert_eq!(away["back"], back);
        assert!(spoken.contains("SELECT INBOX (QRESYNC ("), "{spoken}");
        assert!(spoken.contains("* VANISHED (EARLIER) "), "{spoken}");

        let (watched, spoken) = evolution.run("watched");
        assert_eq!(watched["first"], back);
        let last = json!([
            ["came in", []],
            ["letter 1", ["$Work", "\\Flagged"]],
            ["letter 3", ["$Labelimportant"]],
            ["letter 6", []],
            ["meanwhile", ["\\Seen"]],
        ]);
        assert_eq!(watched["last"], last);
        assert!(spoken.contains(" NOTIFY SET (selected (MessageNew (UID "), "{spoken}");
        assert!(spoken.contains("OK NOTIFY completed") || spoken.contains("OK NOTIFY"), "{spoken}");
        assert!(spoken.contains("Got continuation response for IDLE"), "{spoken}");

        wait_for_maildrop(server);
        let (popped, _) = evolution.run("popped");
        assert_eq!(popped["subjects"], json!(["came in", "letter 1", "letter 3", "letter 6", "meanwhile"]));
        wait_for_maildrop(server);
        assert_eq!((imap.exists("INBOX"), imap.exists("Work"), imap.exists("K&AOQ-se")), (3, 4, 1));
    });
    assert_eq!(states[0], states[1]);
}

/// With STARTTLS and with TLS from the first byte: IMAP, SMTP with AUTH, POP.
#[test]
fn evolution_reads_and_sends_over_tls() {
    for (ports, security, mechanism) in
        [([IMAP, POP, SUBMISSION], "starttls", "PLAIN"), ([IMAPS, POPS, SUBMISSIONS], "tls", "LOGIN")]
    {
        let instance = Instance::start();
        fill(&mut instance.imap("bob"), 7);
        let mut evolution = Evolution::of_instance(&instance, ports, security);
        evolution.account["mechanism"] = mechanism.into();
        let (sent, _) = evolution.run("sent");
        assert_eq!(sent, json!({"sent": true, "trust": 1}), "{security}"); // asked for once, and remembered
        instance.wait_for_messages("bob", 8);
        let mut imap = instance.imap("bob");
        imap.ok("EXAMINE INBOX");
        let (rows, _) = imap.raw("FETCH 8 (BODY.PEEK[TEXT])");
        let text = String::from_utf8_lossy(&rows.concat()).into_owned();
        assert!(text.contains("hello\r\n.dot\r\nFrom here\r\n"), "{text}");
        let (day, _) = evolution.run("day");
        assert_eq!(day["shown"]["INBOX"][0], json!(["by Evolution", []]), "{security}: {day}");
        wait_for_maildrop(&Server {
            host: instance.address.to_string(),
            imap: IMAP,
            pop: POP,
            user: "bob",
            password: "bob-secret",
        });
        let (popped, _) = evolution.run("popped");
        assert_eq!(popped["subjects"].as_array().unwrap().len(), 6, "{security}: {popped}");
    }
}

/// A server with a certificate that the user has not trusted is not told the password.
#[test]
fn evolution_refuses_a_strangers_certificate() {
    let instance = Instance::start();
    let mut evolution = Evolution::of_instance(&instance, [IMAPS, POPS, SUBMISSIONS], "tls");
    let stranger = Authority::new().issue("localhost").leaf.to_pem().unwrap();
    let path: &Path = evolution.home.path();
    fs::write(path.join("stranger.pem"), stranger).unwrap();
    evolution.account["certificate"] = path.join("stranger.pem").to_str().unwrap().into();
    for what in ["sent", "day", "popped"] {
        let output = evolution.output(what);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains("Unacceptable TLS certificate"),
            "{what}: {errors}"
        );
    }
}
