//! Other people's mail servers, from Debian's packages: Postfix, Exim, OpenSMTPD.
//!
//! The packages cannot be installed together, so each is unpacked over this system in a root of its own (`tests/peers/enter`)
//! and started by its script there. It ends, with all its processes and files, when it is dropped. It takes mail for
//! `one`, `two` and `three` of its domain into Maildirs, and passes everything else on to the instance.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::instance::{PATIENCE, SMTP, program, run, top, wait_for};
use crate::{Instance, Smtp};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Postfix,
    Exim,
    OpenSmtpd,
}

impl Maker {
    /// Its script in `tests/peers`.
    fn script(self) -> &'static str {
        match self {
            Maker::Postfix => "postfix",
            Maker::Exim => "exim",
            Maker::OpenSmtpd => "opensmtpd",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Maker::Postfix => &["postfix"],
            Maker::Exim => &["exim4-daemon-light", "exim4-base"],
            Maker::OpenSmtpd => &["opensmtpd"],
        }
    }

    /// The package files, which `scripts/test` has fetched.
    fn files(self) -> Vec<PathBuf> {
        self.packages().iter().map(|name| fetched_package(name)).collect()
    }
}

/// The file of a package that `scripts/test` has fetched and not installed.
///
/// # Panics
/// When it is not there.
pub fn fetched_package(name: &str) -> PathBuf {
    let folder = program("smtpd").ancestors().nth(2).unwrap().join("peers");
    let start = format!("{name}_");
    let mut found = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let found =
        found.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)));
    found.unwrap_or_else(|| panic!("{name} is not in {}: scripts/test fetches it", folder.display()))
}

/// A running server.
pub struct Peer {
    pub maker: Maker,
    pub domain: String,
    address: SocketAddr,
    child: Child,
    scratch: TempDir,
}

impl Peer {
    /// Starts one for this domain at this address, with `instance` as its way to everybody else; returns when it greets.
    pub fn start(maker: Maker, domain: &str, address: SocketAddr, instance: &Instance) -> Peer {
        let scratch = tempfile::Builder::new().prefix("mailboat-peer-").tempdir().unwrap();
        let share = scratch.path().join("share");
        fs::create_dir(&share).unwrap();
        let head = format!(
            "set -eu\nDOMAIN={domain} ADDRESS={} PORT={} NEXT={} NEXT_PORT={SMTP}\nexec >>/peer/log 2>&1\nmkdir -p /peer/mail\n\
             chown nobody:nogroup /peer/mail\n\
             openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=mx.{domain} -keyout /peer/key -out /peer/certificate\n",
            address.ip(),
            address.port(),
            instance.address
        );
        let script = fs::read_to_string(top().join("tests/peers").join(maker.script())).unwrap();
        fs::write(share.join("start"), head + &script).unwrap();
        // Everybody in there may look for its certificate and write its log.
        for folder in [scratch.path(), &share] {
            fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let child = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--", "sh"])
            .arg(top().join("tests/peers/enter"))
            .args([scratch.path(), &share.join("start")])
            .args(maker.files())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut peer = Peer { maker, domain: domain.to_owned(), address, child, scratch };
        wait_for("the peer to greet", || {
            let ended = peer.child.try_wait().unwrap();
            assert!(ended.is_none(), "{maker:?} ended at start: {ended:?}\n{}", peer.log());
            TcpStream::connect(peer.address).ok().map(drop)
        });
        peer
    }

    /// A client of it, greeted, its EHLO answered.
    pub fn smtp(&self) -> Smtp {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut smtp = Smtp::open(stream);
        smtp.ok("EHLO client.example.org");
        smtp
    }

    fn share(&self) -> PathBuf {
        self.scratch.path().join("share")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.share().join("log")).unwrap_or_default()).into_owned()
    }

    /// The messages in a user's Maildir, oldest first, their line ends LF.
    pub fn messages(&self, user: &str) -> Vec<Vec<u8>> {
        let folder = self.share().join("mail").join(user).join("new");
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        // Their names say the second; two of one second may stand in any order.
        paths.sort_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).unwrap());
        paths.iter().map(|path| fs::read(path).unwrap()).collect()
    }

    /// Waits until a user has this many messages; the last one as text.
    pub fn wait_for_message(&self, user: &str, count: usize) -> Vec<u8> {
        let patience = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(&format!("message {count} of {user} at {:?}", self.maker), || {
                let found = self.messages(user);
                (found.len() >= count).then(|| found[count - 1].clone())
            })
        }));
        patience.unwrap_or_else(|why| {
            eprintln!("{}", self.log());
            std::panic::resume_unwind(why)
        })
    }

    /// Makes it try everything that waits.
    pub fn flush(&self) {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let first = children.split_whitespace().next().unwrap();
        run(Command::new("nsenter").args(["--target", first, "--mount", "--pid", "--root", "--wd"]).args([
            "--",
            "/bin/sh",
            "/peer/flush",
        ]));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(4000);
            eprintln!("--- {:?}\n{}", self.maker, log.get(from..).unwrap_or(&log));
        }
        let _ = self.child.kill(); // and with it all others
        let _ = self.child.wait();
    }
}
