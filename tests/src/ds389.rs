//! A real LDAP server for one test: 389 Directory Server on a loopback address of its own, with what `etc/ldap` has for it.
//!
//! Nothing of it is started by its package: the configuration is Debian's template with the places of a temporary folder,
//! and `ns-slapd` runs as whoever runs the test, root or not.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::loopback;
use crate::slapd::{BASE, BIND_DN, BIND_SECRET};

/// Who may write everything.
pub const MANAGER: &str = "cn=root";
pub const MANAGER_SECRET: &str = "root-secret";

const PROGRAM: &str = "/usr/sbin/ns-slapd";
const TEMPLATES: [&str; 2] =
    ["/usr/share/dirsrv/data/template-dse.ldif", "/usr/share/dirsrv/data/template-suffix-db.ldif"];
const FOLDERS: [&str; 10] = ["schema", "lock", "tmp", "cert", "ldif", "bak", "run", "log", "db", "inst"];
/// How long it may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(240);

/// A server; ended and deleted when it is dropped.
pub struct Ds389 {
    pub address: Ipv4Addr,
    pub port: u16,
    folder: TempDir,
    child: Option<Child>,
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|why| {
        panic!("{command:?}: {why}; the Debian packages of scripts/packages are needed")
    });
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}

fn etc(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("etc/ldap").join(name)
}

impl Ds389 {
    /// Starts one with these entries below [`BASE`]; the base itself and the reader are added.
    pub fn start(entries: &str) -> Ds389 {
        let folder = tempfile::Builder::new().prefix("mailboat-389-").tempdir().unwrap();
        let mut server =
            Ds389 { address: loopback::of_process()[0], port: loopback::port(), folder, child: None };
        server.prepare(entries);
        server.start_again();
        server.grant();
        server
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn prepare(&self, entries: &str) {
        for name in FOLDERS {
            fs::create_dir(self.file(name)).unwrap();
        }
        for (from, to) in [
            ("/etc/dirsrv/schema/99user.ldif", "schema/99user.ldif"),
            ("/etc/dirsrv/config/slapd-collations.conf", "slapd-collations.conf"),
        ] {
            fs::copy(from, self.file(to)).unwrap_or_else(|why| {
                panic!("{from}: {why}; the Debian package 389-ds-base of scripts/packages is needed")
            });
        }
        self.make_certificate();
        fs::copy(etc("98mailboat.ldif"), self.file("schema/98mailboat.ldif")).unwrap();
        fs::write(self.file("dse.ldif"), self.configuration()).unwrap();
        let given = entries.trim_start_matches("version: 1").trim_start();
        let base = if given.contains(&format!("dn: {BASE}\n")) {
            String::new()
        } else {
            format!("dn: {BASE}\nobjectClass: top\nobjectClass: organization\no: example.test\n\n")
        };
        let reader = format!(
            "dn: {BIND_DN}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: mailboat\n\
             userPassword: {BIND_SECRET}\n\n"
        );
        fs::write(self.file("entries.ldif"), format!("{base}{given}\n\n{reader}")).unwrap();
        run(Command::new(PROGRAM)
            .args(["ldif2db", "-n", "userRoot", "-D"])
            .arg(self.folder.path())
            .arg("-i")
            .arg(self.file("entries.ldif")));
    }

    /// The certificate, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.file("server.crt")
    }

    /// The server keeps its certificate in a database of NSS, under the name that the template has.
    fn make_certificate(&self) {
        let name = format!("subjectAltName=IP:{}", self.address);
        run(Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=389 of a test",
            ])
            .args(["-addext", &name, "-keyout"])
            .arg(self.file("server.key"))
            .arg("-out")
            .arg(self.certificate()));
        run(Command::new("openssl")
            .args(["pkcs12", "-export", "-name", "Server-Cert", "-passout", "pass:", "-in"])
            .arg(self.certificate())
            .arg("-inkey")
            .arg(self.file("server.key"))
            .arg("-out")
            .arg(self.file("server.p12")));
        let database = format!("sql:{}", self.file("cert").display());
        run(Command::new("certutil").args(["-N", "--empty-password", "-d", &database]));
        run(Command::new("pk12util")
            .args(["-d", &database, "-K", "", "-W", "", "-i"])
            .arg(self.file("server.p12")));
        run(Command::new("certutil").args(["-M", "-n", "Server-Cert", "-t", "CTu,Cu,Cu", "-d", &database]));
    }

    /// Debian's template with everything in this folder.
    fn configuration(&self) -> String {
        let folder = self.folder.path().to_str().unwrap();
        // An empty line or a comment between entries would be an entry to the server.
        let read = |path: &&str| {
            let text = fs::read_to_string(path).unwrap_or_else(|why| panic!("{path}: {why}"));
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            lines.join("\n").trim().to_owned() + "\n\n"
        };
        let text: String = TEMPLATES.iter().map(read).collect();
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().map(|user| user.name);
        let user = user.expect("389 Directory Server runs as a user that has a name");
        let mut text = text
            // The passwords of the configuration are read before there is any scheme but this one.
            .replace("nsslapd-rootpw: %ds_passwd%", &format!(
                "nsslapd-rootpwstoragescheme: CLEAR\nnsslapd-rootpw: {MANAGER_SECRET}\nnsslapd-listenhost: {}\n\
                 nsslapd-securelistenhost: {}\n\
                 nsslapd-threadnumber: 8\nnsslapd-accesslog-logbuffering: off\npasswordStorageScheme: SSHA512\n\
                 nsslapd-security: on\nnsslapd-securePort: {}",
                self.address,
                self.address,
                loopback::port()
            ))
            // Small, and not synced: the entries of a test are few and live as long as it.
            .replace("nsslapd-mode: 600", "nsslapd-mode: 600\nnsslapd-db-durable-transaction: off\n\
                 nsslapd-cache-autosize: 0\nnsslapd-dbcachesize: 4000000\nnsslapd-db-private-import-mem: on");
        for (name, value) in [
            ("%fqdn%", "localhost".to_owned()),
            ("%ds_port%", self.port.to_string()),
            ("%ds_user%", user),
            ("%rootdn%", MANAGER.to_owned()),
            ("%ldapi_enabled%", "off".to_owned()),
            ("%ldapi_autobind%", "off".to_owned()),
            ("%ldapi%", format!("{folder}/ldapi")),
            ("%config_dir%", folder.to_owned()),
            ("%db_home_dir%", format!("{folder}/db")),
            ("%db_lib%", "bdb".to_owned()),
            ("%ds_suffix%", BASE.to_owned()),
            ("%ds_bename%", "userRoot".to_owned()),
        ] {
            text = text.replace(name, &value);
        }
        for name in FOLDERS {
            text = text.replace(&format!("%{name}_dir%"), &format!("{folder}/{name}"));
        }
        assert!(!text.contains("%ds_"), "the template has names that nobody knows");
        text
    }

    /// The access rules that `etc/ldap` has for the site.
    fn grant(&self) {
        let rules = fs::read_to_string(etc("389-access.ldif")).unwrap().replace("o=example.org", BASE);
        let file = self.file("access.ldif");
        fs::write(&file, rules).unwrap();
        run(Command::new("ldapmodify")
            .args(["-x", "-D", MANAGER, "-w", MANAGER_SECRET, "-H", &format!("ldap://{}", self.host()), "-f"])
            .arg(&file));
    }

    /// Starts it after [`Ds389::stop`], on the same port.
    pub fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.file("log/said")).unwrap();
        let child = Command::new(PROGRAM)
            .arg("-D")
            .arg(self.folder.path())
            .arg("-i")
            .arg(self.file("run/pid"))
            .args(["-d", "0"]) // in the foreground
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let give_up = Instant::now() + PATIENCE;
        while TcpStream::connect((self.address, self.port)).is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            let is_late = Instant::now() > give_up;
            assert!(ended.is_none() && !is_late, "ns-slapd does not serve ({ended:?}): {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it and waits for its end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `address:port`
    pub fn host(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// What it complained about.
    pub fn log(&self) -> String {
        ["log/errors", "log/said"]
            .map(|name| fs::read_to_string(self.file(name)).unwrap_or_default())
            .concat()
    }
}

impl Drop for Ds389 {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("--- ns-slapd {}", self.host());
            tail.into_iter().rev().for_each(|line| eprintln!("{line}"));
        }
        self.stop();
        // What it counts stands in memory that outlives it when it is killed.
        let name = self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let counts = format!("sem.{name}.stats");
        let _ = fs::remove_file(Path::new("/dev/shm").join(counts));
    }
}
