//! A Dovecot of the test's own: another server to compare with, and to take mail from.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};
use tempfile::TempDir;

use crate::addresses::free_port;
use crate::instance::PATIENCE;
use crate::{Authority, Imap};

/// It has a mailbox for whoever logs in with the password `secret`; `master` with `master-secret` may act for anybody.
pub struct Dovecot {
    master: Child,
    pub port: u16,
    pub pop_port: u16,
    folder: TempDir,
}

impl Dovecot {
    /// `location` is a mail_location, in which `{mail}` is a folder; `more` are further settings. TLS is offered, with a
    /// certificate for localhost of [`Dovecot::authority`].
    ///
    /// # Panics
    /// When it is not root who runs the test.
    pub fn start(location: &str, more: &str) -> Dovecot {
        assert!(nix::unistd::geteuid().is_root(), "Dovecot is started by root");
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let owner = User::from_name("mail").unwrap().unwrap();
        let (root, mail) = (folder.path().display(), folder.path().join("mail"));
        fs::create_dir(&mail).unwrap();
        chown(&mail, Some(owner.uid), Some(owner.gid)).unwrap();
        let certificate = Authority::new().issue("localhost");
        fs::write(folder.path().join("cert.pem"), certificate.leaf.to_pem().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.issuer.to_pem().unwrap()).unwrap();
        fs::write(folder.path().join("key.pem"), certificate.key.private_key_to_pem_pkcs8().unwrap())
            .unwrap();
        let (port, pop_port) = (free_port(), free_port());
        let configuration = folder.path().join("dovecot.conf");
        let (mail, uid, gid) = (mail.display().to_string(), owner.uid, owner.gid);
        let location = location.replace("{mail}", &mail);
        let text = format!(
            "base_dir = {root}/run\nstate_dir = {root}/run\nlog_path = {root}/log\nprotocols = imap pop3\nlisten = 127.0.0.1\nssl = yes\nssl_cert = <{root}/cert.pem\nssl_key = <{root}/key.pem\ndisable_plaintext_auth = no\nfirst_valid_uid = 1\nmail_location = {location}\npassdb {{\n driver = static\n args = password=master-secret user=master\n master = yes\n}}\npassdb {{\n driver = static\n args = password=secret\n}}\nuserdb {{\n driver = static\n args = uid={uid} gid={gid} home={mail}/%n\n}}\nservice imap-login {{\n inet_listener imap {{\n  port = {port}\n }}\n inet_listener imaps {{\n  port = 0\n }}\n}}\nservice pop3-login {{\n inet_listener pop3 {{\n  port = {pop_port}\n }}\n inet_listener pop3s {{\n  port = 0\n }}\n}}\n{more}\n"
        );
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new("/usr/sbin/dovecot");
        command.arg("-F").arg("-c").arg(&configuration).env("TZ", "UTC");
        Dovecot { master: command.spawn().unwrap(), port, pop_port, folder }
    }

    /// The certificate of who issued its own.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The folder that `{mail}` stands for.
    pub fn mail(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    /// A client, logged in.
    pub fn imap(&mut self, user: &str) -> Imap {
        let begun = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let mut imap = Imap::open(stream);
                imap.ok(&format!("LOGIN {user} secret"));
                return imap;
            }
            assert_eq!(self.master.try_wait().unwrap(), None, "Dovecot ended");
            assert!(begun.elapsed() < PATIENCE, "Dovecot does not listen");
            std::thread::sleep(Duration::from_millis(50)); // paced: another program tells nobody that it listens
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
        }
        let _ = kill(Pid::from_raw(self.master.id() as i32), Signal::SIGTERM);
        let _ = self.master.wait();
    }
}
