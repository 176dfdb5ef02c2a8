//! A Mailboat instance for one test.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::{Http, Imap, Pop, Smtp};

/// How long anything may take before a test gives up: what takes a few seconds here takes a minute on a small machine that others
/// use, too.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// The ports of every instance; the address differs.
pub const SMTP: u16 = 2525;
pub const SUBMISSION: u16 = 2587;
pub const SUBMISSIONS: u16 = 2465;
pub const IMAP: u16 = 2143;
pub const IMAPS: u16 = 2993;
pub const POP: u16 = 2110;
pub const POPS: u16 = 2995;
pub const HTTP: u16 = 2080;
pub const HTTPS: u16 = 2443;

/// Bytes of the queue's journal.
const JOURNAL_BYTES: u64 = 2 << 20;

/// Whether only the short form of long tests is wanted (`scripts/test quick`).
pub fn quick() -> bool {
    std::env::var_os("MAILBOAT_TEST_QUICK").is_some()
}

/// Whether this runs as root. If not, what a test leaves out for it is noted: `scripts/test` names it at its end.
pub fn is_root(what: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        left_out(what);
    }
    is_root
}

/// Notes what a test leaves out here, and why, in `target/left-out`.
pub fn left_out(what: &str) {
    eprintln!("left out: {what}");
    let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let folder = top().join(folder);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("left-out");
    let line = format!("{}: {what}\n", std::thread::current().name().unwrap_or_default());
    let file = fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
}

/// The path of one of our programs, beside the test's own program folder.
pub fn program(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run cargo build --workspace --bins", path.display());
    path
}

/// The checkout's top folder.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs a command and gives what it printed; the test fails when the command fails.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Waits until `condition` gives something; the test fails after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// For what a fault prevents each time, and a loaded machine now and then: it has to come to pass in one of ten tries.
pub fn in_one_of_ten(what: &str, mut comes_to_pass: impl FnMut() -> bool) {
    assert!((0..10).any(|_| comes_to_pass()), "in none of ten tries: {what}");
}

/// What an instance is made with.
pub struct Setup {
    users: Vec<String>,
    parameters: Vec<(String, String)>,
    folder: Option<PathBuf>,
    environment: Vec<(String, String)>,
    server_user: Option<String>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            users: vec!["alice".into(), "bob".into()],
            parameters: Vec::new(),
            folder: None,
            environment: Vec::new(),
            server_user: None,
        }
    }
}

impl Setup {
    /// These users instead of alice and bob. Passwords are the names with `-secret`.
    pub fn users(mut self, users: &[&str]) -> Setup {
        self.users = users.iter().map(|user| (*user).to_owned()).collect();
        self
    }

    /// Sets a parameter with configutil before the first start.
    pub fn set(mut self, name: &str, value: &str) -> Setup {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes the instance inside this folder (for example a small file system).
    pub fn inside(mut self, folder: &Path) -> Setup {
        self.folder = Some(folder.to_owned());
        self
    }

    /// An environment variable for the daemons.
    pub fn environment(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The user whom the daemons become; needs root.
    pub fn server_user(mut self, name: &str) -> Setup {
        self.server_user = Some(name.to_owned());
        self
    }

    /// Makes the instance without starting anything.
    pub fn create(self) -> Instance {
        let temporary = match &self.folder {
            Some(folder) => tempfile::Builder::new().prefix("mailboat-").tempdir_in(folder).unwrap(),
            None => tempfile::Builder::new().prefix("mailboat-").tempdir().unwrap(),
        };
        let root = temporary.path().join("instance");
        let address = crate::addresses::of_instance();
        let passwords = temporary.path().join("passwords");
        let mut lines = String::from("admin:admin-secret\npostmaster:postmaster-secret\n");
        for user in &self.users {
            lines.push_str(&format!("{user}:{user}-secret\n"));
        }
        fs::write(&passwords, lines).unwrap();
        let mut setup = Command::new(program("msg-setup"));
        setup.arg("--instance").arg(&root).args(["--domain", "example.test", "--hostname", "localhost"]);
        setup
            .args(["--admin", "admin", "--listen", &address.to_string(), "--passwords-file"])
            .arg(&passwords);
        for user in &self.users {
            setup.args(["--user", user]);
        }
        for (flag, port) in [
            ("--smtp-port", SMTP),
            ("--submission-port", SUBMISSION),
            ("--submissions-port", SUBMISSIONS),
            ("--imap-port", IMAP),
            ("--imaps-port", IMAPS),
            ("--pop-port", POP),
            ("--pops-port", POPS),
            ("--http-port", HTTP),
            ("--https-port", HTTPS),
        ] {
            setup.args([flag, &port.to_string()]);
        }
        if let Some(user) = &self.server_user {
            setup.args(["--server-user", user]);
            fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o711)).unwrap();
        }
        run(&mut setup);
        // Small, so that it is quickly made, and often full.
        let mut conf = fs::OpenOptions::new().append(true).open(root.join("config/local.conf")).unwrap();
        writeln!(conf, "local.service.smtp.journalsize = {JOURNAL_BYTES}").unwrap();
        writeln!(conf, "local.store.journalsize = {JOURNAL_BYTES}").unwrap();
        // A disk that is nearly full here is no matter of the test's, and asking the services makes connections.
        for alarm in ["diskavail", "serverresponse"] {
            writeln!(conf, "alarm.{alarm}.msgalarmstatinterval = 0").unwrap();
        }
        let instance = Instance {
            root,
            address,
            daemons: Vec::new(),
            environment: self.environment,
            file_limit: None,
            errors: None,
            _temporary: temporary,
        };
        for (name, value) in &self.parameters {
            instance.set(name, value);
        }
        instance
    }

    /// Makes the instance and starts all daemons.
    pub fn start(self) -> Instance {
        let mut instance = self.create();
        instance.start_all();
        instance
    }
}

/// A running instance; everything is killed and deleted when it is dropped.
pub struct Instance {
    /// The instance's folder.
    pub root: PathBuf,
    /// The loopback address that only this instance listens on.
    pub address: Ipv4Addr,
    daemons: Vec<(&'static str, Child)>,
    environment: Vec<(String, String)>,
    file_limit: Option<u32>,
    errors: Option<PathBuf>,
    _temporary: TempDir,
}

/// Service name and program, in starting order.
pub const DAEMONS: [(&str, &str); 4] =
    [("store", "stored"), ("smtp", "smtpd"), ("imap", "imapd"), ("pop", "popd")];
/// Started by the tests that need it.
pub const WEB: (&str, &str) = ("http", "mshttpd");

impl Instance {
    /// A running instance with alice and bob.
    pub fn start() -> Instance {
        Setup::default().start()
    }

    /// An environment variable for the daemons and tools started from now on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.retain(|(one, _)| one != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The daemons started from now on may open so many files.
    pub fn limit_files(&mut self, most: u32) {
        self.file_limit = Some(most);
    }

    /// What the daemons started from now on say on their standard output and error goes to the end of this file.
    pub fn errors_to(&mut self, file: &Path) {
        self.errors = Some(file.to_owned());
    }

    /// Starts every daemon that does not run.
    pub fn start_all(&mut self) {
        for (service, _) in DAEMONS {
            if self.pid(service).is_none() {
                self.start_one(service);
            }
        }
    }

    /// Starts the store and the web mail, and no other daemon.
    pub fn start_web(&mut self) {
        for service in ["store", WEB.0] {
            self.start_one(service);
        }
    }

    /// Starts one daemon (by its service name) and waits until it serves.
    pub fn start_one(&mut self, service: &'static str) {
        self.begin_one(service);
        self.wait_until_serving(service);
    }

    /// Starts one daemon and does not wait.
    pub fn begin_one(&mut self, service: &'static str) {
        let child = self.spawn(service, Stdio::inherit());
        self.daemons.retain(|(name, _)| *name != service);
        self.daemons.push((service, child));
    }

    /// Whether a daemon that was begun serves by now; the test fails when it has ended.
    pub fn is_serving(&mut self, service: &str) -> bool {
        if let Some((_, child)) = self.daemons.iter_mut().find(|(name, _)| *name == service) {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{service} ended at start: {status}; {}", self.logs());
            }
        }
        let pid = self.pid(service).unwrap().to_string();
        let pid_file = self.root.join("run").join(format!("{service}.pid"));
        fs::read_to_string(&pid_file).is_ok_and(|text| text.trim() == pid)
    }

    /// Waits until a daemon that was begun serves.
    pub fn wait_until_serving(&mut self, service: &str) {
        wait_for(&format!("{service} to serve"), || self.is_serving(service).then_some(()));
    }

    /// A service's log so far, with what was rolled over: under a shifted clock a log is soon a day old.
    pub fn log(&self, service: &str) -> String {
        let folder = self.path(&format!("log/{service}"));
        let sequence = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix(service)?
                .strip_prefix('.')?
                .split_once('.')?
                .0
                .parse::<u32>()
                .ok()
                .zip(Some(entry.path()))
        };
        let rolled_over = || {
            let mut files: Vec<_> =
                fs::read_dir(&folder).into_iter().flatten().flatten().filter_map(sequence).collect();
            files.sort();
            files
        };
        loop {
            let files = rolled_over();
            let paths = files.iter().map(|(_, path)| path.clone()).chain([folder.join(service)]);
            let text = paths.map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
            if rolled_over() == files {
                return text; // none was rolled over meanwhile
            }
        }
    }

    /// Forgets what a service that does not run has logged.
    pub fn remove_log(&self, service: &str) {
        fs::remove_dir_all(self.path(&format!("log/{service}"))).unwrap();
        fs::create_dir(self.path(&format!("log/{service}"))).unwrap();
    }

    /// Runs a daemon that is expected to refuse to start; its output.
    pub fn refused_start(&self, service: &str) -> Output {
        self.spawn(service, Stdio::piped()).wait_with_output().unwrap()
    }

    fn spawn(&self, service: &str, errors: Stdio) -> Child {
        let (_, name) = DAEMONS.iter().chain([&WEB]).find(|(known, _)| *known == service).unwrap();
        let mut command = match self.file_limit {
            None => Command::new(program(name)),
            Some(most) => {
                let mut limited = Command::new("prlimit");
                limited.arg(format!("--nofile={most}:{most}")).arg(program(name));
                limited
            }
        };
        command.arg("--instance").arg(&self.root).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(errors);
        if let Some(path) = &self.errors {
            let file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            command.stdout(file.try_clone().unwrap()).stderr(file);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.spawn().unwrap()
    }

    /// The pid of a daemon started by this test.
    pub fn pid(&self, service: &str) -> Option<u32> {
        self.daemons.iter().find(|(name, _)| *name == service).map(|(_, child)| child.id())
    }

    /// Kills a daemon as a crash would, and waits for its end. Its worker processes die with it.
    pub fn kill(&mut self, service: &str) {
        if let Some(place) = self.daemons.iter().position(|(name, _)| *name == service) {
            let (_, mut child) = self.daemons.swap_remove(place);
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until a daemon has ended by itself; how it did.
    pub fn wait_for_end(&mut self, service: &str) -> ExitStatus {
        let place = self.daemons.iter().position(|(name, _)| *name == service).unwrap();
        let status = wait_for(&format!("{service} to end"), || self.daemons[place].1.try_wait().unwrap());
        self.daemons.swap_remove(place);
        status
    }

    /// Kills every daemon at once.
    pub fn kill_all(&mut self) {
        for (_, child) in &mut self.daemons {
            let _ = child.kill();
        }
        for (_, mut child) in self.daemons.drain(..) {
            let _ = child.wait();
        }
    }

    /// Asks a daemon to end and waits until it has.
    pub fn stop(&mut self, service: &str) {
        if let Some(place) = self.daemons.iter().position(|(name, _)| *name == service) {
            let (_, mut child) = self.daemons.swap_remove(place);
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
            let _ = child.wait();
        }
    }

    /// Sends a signal to a daemon.
    pub fn signal(&self, service: &str, signal: Signal) {
        kill(Pid::from_raw(self.pid(service).unwrap() as i32), signal).unwrap();
    }

    /// One of our tools, told which instance it serves.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.env("CONFIGROOT", self.root.join("config"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Sets a parameter with configutil.
    pub fn set(&self, name: &str, value: &str) {
        run(self.tool("configutil").args(["-o", name, "-v", value]));
    }

    /// A path inside the instance.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// The address of a port of this instance.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), port)
    }

    /// A plain connection to a port.
    pub fn connect(&self, port: u16) -> TcpStream {
        let stream = TcpStream::connect(self.at(port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The same from another loopback address than the system's choice.
    pub fn connect_from(&self, address: [u8; 4], port: u16) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect(&self.at(port).into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// An HTTP client without encryption.
    pub fn http(&self) -> Http {
        Http::open(self.connect(HTTP))
    }

    /// An HTTP client under TLS.
    pub fn https(&self) -> Http {
        Http::tls(self.connect(HTTPS), &self.path("config/certs/ca.pem"))
    }

    /// An SMTP client on port 25's stand-in, greeted.
    pub fn smtp(&self) -> Smtp {
        Smtp::open(self.connect(SMTP))
    }

    /// A submission client, greeted and logged in.
    pub fn submission(&self, user: &str) -> Smtp {
        let mut smtp = Smtp::open(self.connect(SUBMISSION));
        smtp.log_in(user, &format!("{user}-secret"));
        smtp
    }

    /// An IMAP client, logged in.
    pub fn imap(&self, user: &str) -> Imap {
        let mut imap = Imap::open(self.connect(IMAP));
        imap.ok(&format!("LOGIN {user} {user}-secret"));
        imap
    }

    /// A POP client, logged in.
    pub fn pop(&self, user: &str) -> Pop {
        let mut pop = Pop::open(self.connect(POP));
        pop.ok(&format!("USER {user}"));
        pop.ok(&format!("PASS {user}-secret"));
        pop
    }

    /// Sends a small message from outside to a local user by port 25; returns when it was answered with 250.
    pub fn send(&self, to: &str, subject: &str) {
        let mut smtp = self.smtp();
        smtp.ok("EHLO client.example.org");
        smtp.send_message(
            "sender@example.org",
            &[&format!("{to}@example.test")],
            &format!("Subject: {subject}\r\n\r\nbody of {subject}\r\n"),
        );
        smtp.ok("QUIT");
    }

    /// Waits until the user's INBOX holds this many messages.
    pub fn wait_for_messages(&self, user: &str, count: u32) {
        let mut imap = self.imap(user);
        wait_for(&format!("{count} messages for {user}"), || (imap.exists("INBOX") >= count).then_some(()));
        assert_eq!(imap.exists("INBOX"), count, "more messages than expected for {user}");
    }

    /// What IMAP answers for the whole of a message of the user's INBOX, which is the last one: it is waited for.
    pub fn received(&self, user: &str, number: u32) -> String {
        self.wait_for_messages(user, number);
        let mut imap = self.imap(user);
        imap.ok("SELECT INBOX");
        imap.ok(&format!("FETCH {number} BODY.PEEK[]")).concat()
    }

    /// The store and the queue's links are proven by storecheck, every message being read: 0 differences. What it said.
    pub fn prove(&self) -> String {
        let said = run(self.tool("storecheck").arg("--contents"));
        assert!(said.contains(", 0 differences"), "{said}");
        said
    }

    /// Appends to the INBOX until the journal of imapd takes a message: it is made beside the first change.
    pub fn wait_for_journal(&self, imap: &mut Imap) {
        let mut number = 0;
        wait_for("the journal of imapd", || {
            number += 1;
            let token = format!("until it is journaled {number}.");
            assert!(imap.append("INBOX", "", &format!("Subject: {token}\r\n\r\nx\r\n")).starts_with("OK"));
            let segments = [1, 2].map(|one| fs::read(self.path(&format!("store/journal/1/{one}"))));
            let holds = |bytes: &Vec<u8>| bytes.windows(token.len()).any(|part| part == token.as_bytes());
            let is_there = segments.iter().flatten().any(holds);
            if !is_there {
                std::thread::sleep(Duration::from_millis(10)); // each try costs two syncs
            }
            is_there.then_some(())
        });
    }

    /// Waits until nothing is queued any more.
    pub fn wait_for_empty_queue(&self) {
        let control = self.path("queue/control");
        self.wait_for_queue("an empty queue", || fs::read_dir(&control).ok()?.next().is_none().then_some(()));
    }

    /// Waits until this is so of the files of the queue, and there is no entry that has no files yet.
    pub fn wait_for_queue<T>(&self, what: &str, wanted: impl Fn() -> Option<T>) -> T {
        wait_for(what, || {
            let before = self.queue_counts();
            let found = (before.1 == 0).then(&wanted).flatten()?;
            // One that was committed meanwhile may have been in neither place.
            (self.queue_counts() == before).then_some(found)
        })
    }

    /// Entries committed so far, and those without files.
    fn queue_counts(&self) -> (u64, u64) {
        let bytes = fs::read(self.path("queue/counts")).unwrap_or_default();
        let number = |at: usize| {
            bytes.get(at..at + 8).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
        };
        (number(0), number(8))
    }

    /// The tails of all logs, for failure messages.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for (service, _) in DAEMONS.into_iter().chain([WEB]) {
            if let Ok(log) = fs::read_to_string(self.root.join("log").join(service).join(service)) {
                let from = log.len().saturating_sub(2000);
                text.push_str(&format!("--- {service}\n{}\n", log.get(from..).unwrap_or(&log)));
            }
        }
        text
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        self.kill_all();
    }
}
