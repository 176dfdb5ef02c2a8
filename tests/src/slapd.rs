//! A real LDAP server for one test: OpenLDAP's slapd on a loopback address of its own, with the schema of `etc/ldap`.
//!
//! This file is used by the tests of the crate `directory` too, so it knows nothing of its neighbours.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::loopback;

/// Where the entries of tests are.
pub const BASE: &str = "o=example.test";
/// As whom the daemons search; nobody else may read.
pub const BIND_DN: &str = "cn=mailboat,o=example.test";
pub const BIND_SECRET: &str = "mailboat-secret";

/// How long slapd may take to start or to say something.
const PATIENCE: Duration = Duration::from_secs(240);

/// A slapd; killed and deleted when it is dropped.
pub struct Slapd {
    pub address: Ipv4Addr,
    /// It listens there too, and its certificate is not for this one.
    pub other_address: Ipv4Addr,
    pub port: u16,
    /// With a certificate for its address, signed by itself.
    pub tls_port: u16,
    folder: TempDir,
    child: Option<Child>,
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|why| {
        panic!("{command:?}: {why}; the Debian packages of scripts/packages are needed")
    });
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

impl Slapd {
    /// Starts one with these entries below [`BASE`]; the base itself and the reader are added.
    pub fn start(entries: &str) -> Slapd {
        Slapd::start_with(entries, "")
    }

    /// As [`Slapd::start`], with more rules of access before its own.
    pub fn start_with(entries: &str, access: &str) -> Slapd {
        let folder = tempfile::Builder::new().prefix("mailboat-slapd-").tempdir().unwrap();
        let [address, other_address] = loopback::of_process();
        let (port, tls_port) = (loopback::port(), loopback::port());
        let mut slapd = Slapd { address, other_address, port, tls_port, folder, child: None };
        slapd.make_certificate();
        fs::write(slapd.file("slapd.conf"), slapd.configuration(access)).unwrap();
        fs::create_dir(slapd.file("db")).unwrap();
        let base = format!("dn: {BASE}\nobjectClass: top\nobjectClass: organization\no: example.test\n\n");
        let reader = format!(
            "dn: {BIND_DN}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: mailboat\n\
             userPassword: {BIND_SECRET}\n\n"
        );
        let given = entries.trim_start_matches("version: 1").trim_start();
        let base = if given.contains(&format!("dn: {BASE}\n")) { String::new() } else { base };
        // The base comes first, as slapadd wants parents before their children.
        let text =
            if base.is_empty() { format!("{given}\n\n{reader}") } else { format!("{base}{reader}{given}") };
        fs::write(slapd.file("entries.ldif"), text).unwrap();
        run(Command::new("/usr/sbin/slapadd")
            .arg("-q")
            .args(["-f".as_ref(), slapd.file("slapd.conf").as_os_str()])
            .args(["-l".as_ref(), slapd.file("entries.ldif").as_os_str()]));
        slapd.start_again();
        slapd
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.file("server.crt")
    }

    fn make_certificate(&self) {
        let name = format!("subjectAltName=IP:{}", self.address);
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=slapd of a test", "-addext", &name])
            .args(["-keyout".as_ref(), self.file("server.key").as_os_str()])
            .args(["-out".as_ref(), self.file("server.crt").as_os_str()]));
    }

    fn configuration(&self, access: &str) -> String {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("etc/ldap"))
            .find(|path| path.exists())
            .unwrap();
        let mut text = String::new();
        for schema in ["core", "cosine", "inetorgperson", "dyngroup"] {
            text.push_str(&format!("include /etc/ldap/schema/{schema}.schema\n"));
        }
        let folder = self.folder.path().display();
        text.push_str(&format!(
            "include {0}/mailboat.schema\ninclude {0}/configuration.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload argon2\npidfile {folder}/slapd.pid\n\
             TLSCertificateFile {folder}/server.crt\nTLSCertificateKeyFile {folder}/server.key\n\
             database mdb\nmaxsize 67108864\nsuffix \"{BASE}\"\ndirectory {folder}/db\ndbnosync\n\
             rootdn \"cn=root,{BASE}\"\nrootpw root-secret\nindex objectClass,uid,mail,mailAlternateAddress eq\n\
             limits dn.exact=\"{BIND_DN}\" size.prtotal=unlimited\n\
             {access}\
             access to attrs=userPassword by self =xw by anonymous auth by * none\n\
             access to attrs=nswmExtendedUserPrefs,mailForwardingAddress,mailDeliveryOption,mailAutoReplyMode,\
             mailAutoReplyText,vacationStartDate,vacationEndDate,preferredLanguage,mailAppPassword,mailTotpSecret,mailRecoveryCode \
             by dn.exact=\"{BIND_DN}\" write by * none\n\
             access to * by dn.exact=\"{BIND_DN}\" read by * none\n",
            ours.display()
        ));
        text
    }

    /// Starts it after [`Slapd::stop`], on the same ports.
    pub fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.file("log")).unwrap();
        let urls = [self.other_address, self.address]
            .map(|address| format!("ldap://{address}:{}/ ldaps://{address}:{}/", self.port, self.tls_port));
        let child = Command::new("/usr/sbin/slapd")
            .args(["-d", "stats", "-h", &urls.join(" ")])
            .args(["-f".as_ref(), self.file("slapd.conf").as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let give_up = Instant::now() + PATIENCE;
        while TcpStream::connect((self.address, self.tls_port)).is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none() && Instant::now() < give_up, "slapd does not serve: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills it and waits for its end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// `address:port`
    pub fn host(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// Everything it said (`-d stats`): connections, operations, results.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// The searches below [`BASE`] that were asked of it, in order, as their log lines.
    pub fn searches(&self) -> Vec<String> {
        let log = self.log();
        let searches = log.lines().filter(|line| line.contains(" SRCH base=") && line.contains(BASE));
        searches.map(str::to_owned).collect()
    }

    /// A process's connections to it that are established now, as `ss` would show them.
    pub fn connections_of(&self, pid: u32) -> usize {
        let ours = self.sockets();
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
        let targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        let inode = |target: PathBuf| {
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        };
        targets.filter_map(inode).filter(|inode| ours.contains(inode)).count()
    }

    /// The inodes of the clients' sockets.
    fn sockets(&self) -> Vec<String> {
        let [a, b, c, d] = self.address.octets();
        let remote = format!("{:02X}{:02X}{:02X}{:02X}:{:04X}", d, c, b, a, self.port);
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let established =
            fields.filter(|fields| fields.get(2) == Some(&remote.as_str()) && fields.get(3) == Some(&"01"));
        established.filter_map(|fields| fields.get(9).map(|inode| (*inode).to_owned())).collect()
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- slapd {}", self.host());
            tail.into_iter().rev().for_each(|line| eprintln!("{line}"));
        }
        self.stop();
    }
}
