//! A certificate authority that speaks ACME, for one test: Let's Encrypt's pebble (Debian's package), on a loopback address.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::StubDns;
use crate::instance::{run, wait_for};

/// Its port, on an address that no other server of the test process has.
const PORT: u16 = 14_000;
const MANAGEMENT_PORT: u16 = 15_000;
/// Identifier and key of the only external account that it takes, if it wants one.
pub const EXTERNAL: (&str, &str) =
    ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

/// A pebble; killed and deleted when it is dropped.
pub struct Pebble {
    address: Ipv4Addr,
    folder: TempDir,
    dns: String,
    nonces_refused: u8,
    child: Option<Child>,
}

/// How it is.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Where it asks for challenges.
    pub http_port: u16,
    /// Seconds that a certificate lives.
    pub life: u64,
    /// Percent of good nonces that it refuses.
    pub nonces_refused: u8,
    pub wants_external: bool,
}

impl Pebble {
    /// Made, and not started.
    pub fn create(address: Ipv4Addr, dns: &StubDns, habits: Habits) -> Pebble {
        let folder = tempfile::Builder::new().prefix("mailboat-pebble-").tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let mut request = Command::new("openssl");
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        request.args([
            "-days",
            "9",
            "-subj",
            "/CN=pebble",
            "-addext",
            &format!("subjectAltName=IP:{address}"),
        ]);
        run(request.args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")]));
        let (kid, key) = EXTERNAL;
        let config = json!({"pebble": {
            "listenAddress": format!("{address}:{PORT}"),
            "managementListenAddress": format!("{address}:{MANAGEMENT_PORT}"),
            "certificate": file("cert.pem"),
            "privateKey": file("key.pem"),
            "httpPort": habits.http_port,
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": habits.wants_external,
            "externalAccountMACKeys": {kid: key},
            "certificateValidityPeriod": habits.life,
        }});
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let dns = dns.parameter();
        Pebble { address, folder, dns, nonces_refused: habits.nonces_refused, child: None }
    }

    /// Started, with nothing that it knew before.
    pub fn start(&mut self) {
        let log = File::create(self.log_file()).unwrap();
        let mut command = Command::new("pebble");
        command.arg("-config").arg(self.folder.path().join("config.json")).args(["-dnsserver", &self.dns]);
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", self.nonces_refused.to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let started = command.spawn();
        self.child = Some(started.unwrap_or_else(|why| {
            panic!("pebble: {why}; the Debian packages of scripts/packages are needed")
        }));
        let address = SocketAddr::from((self.address, PORT));
        wait_for("pebble to listen", || TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok());
    }

    /// It is away from now on.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://{}:{PORT}/dir", self.address)
    }

    /// The authority of its own certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// Requests to this path that it has worked on, bad nonces included.
    pub fn requests(&self, path: &str) -> usize {
        let wanted = format!("{path} -> calling handler");
        self.log().lines().filter(|line| line.contains(&wanted)).count()
    }

    /// What it has said since it was started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- pebble\n{}", self.log());
        }
        self.stop();
    }
}
