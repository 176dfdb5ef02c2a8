//! start-msg, stop-msg, refresh-msg, status-msg (X9).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Command, Output};

use black_box::instance::{IMAP, program, top, wait_for};
use black_box::{Imap, Instance, Setup};

struct Suite(Instance);

impl Suite {
    fn script(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(top().join("scripts").join(name));
        command.args(arguments).env("CONFIGROOT", self.0.path("config"));
        command.env("BINDIR", program("stored").parent().unwrap());
        command.output().unwrap()
    }

    fn pid(&self, service: &str) -> i32 {
        fs::read_to_string(self.0.path("run").join(format!("{service}.pid"))).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        self.script("stop-msg", &[]);
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn alive(pid: i32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

#[test]
fn the_suite_starts_in_order_with_one_line_per_daemon_and_stops_without_orphans() {
    let suite = Suite(Setup::default().create());
    let started = suite.script("start-msg", &[]);
    assert!(started.status.success(), "{}", text(&started));
    let lines: Vec<String> = text(&started).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    for (line, title) in lines.iter().zip(["store", "SMTP", "IMAP", "POP", "HTTP"]) {
        let start = format!("{}: Starting {title} daemon ", suite.0.root.display());
        assert!(line.starts_with(&start), "{line}");
        let (dots, pid) = line[start.len()..].split_once(" done: ").unwrap();
        assert!(dots.bytes().all(|byte| byte == b'.'), "{line}");
        assert!(alive(pid.parse().unwrap()));
    }
    assert!(suite.script("status-msg", &[]).status.success());
    let again = suite.script("start-msg", &[]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));
    assert!(text(&again).contains("already running"), "{}", text(&again));
    let pids: Vec<i32> =
        ["store", "smtp", "imap", "pop", "http"].iter().map(|service| suite.pid(service)).collect();
    let stopped = suite.script("stop-msg", &[]);
    assert!(stopped.status.success(), "{}", text(&stopped));
    let said = text(&stopped);
    assert!(said.lines().all(|line| line.contains(": Stopping ") && line.contains(" done: ")), "{said}");
    assert!(pids.iter().all(|pid| !alive(*pid)));
    assert_eq!(suite.script("status-msg", &[]).status.code(), Some(1));
}

/// Who upgrades may have another web server on the port of the web mail: mail is not to stop for that.
#[test]
fn mail_goes_on_when_the_web_mail_cannot_start() {
    let suite = Suite(Setup::default().create());
    let _other = std::net::TcpListener::bind(suite.0.at(black_box::instance::HTTP)).unwrap();
    let started = suite.script("start-msg", &[]);
    let said = text(&started);
    assert_eq!(started.status.code(), Some(1), "{said}");
    assert!(said.contains("mail goes on without it"), "{said}");
    for service in ["store", "smtp", "imap", "pop"] {
        assert!(alive(suite.pid(service)), "{service}: {said}");
    }
}

/// S164: a recovery that takes long is waited for and not disturbed, whoever asks meanwhile.
#[test]
fn a_recovering_stored_is_left_alone() {
    let suite = Suite(Setup::default().create());
    // The recovery reads the notes of interrupted renames; this one does not come to an end before the test says so.
    let note = suite.0.path("store/mboxlist/rename-slow");
    fs::create_dir_all(note.parent().unwrap()).unwrap();
    nix::unistd::mkfifo(&note, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR).unwrap();
    let mut command = Command::new(top().join("scripts/start-msg"));
    command.arg("store").env("CONFIGROOT", suite.0.path("config"));
    command.env("BINDIR", program("stored").parent().unwrap()).stdout(std::process::Stdio::piped());
    let starting = command.spawn().unwrap();
    let log = suite.0.path("log/store/store");
    let recovering = || {
        let text = fs::read_to_string(&log).ok()?;
        let line = text.lines().find(|line| line.contains("recovering the store"))?.to_owned();
        line.split_once("stored[")?.1.split_once(']')?.0.parse::<i32>().ok()
    };
    let pid = wait_for("the recovery to begin", recovering);
    let again = suite.script("start-msg", &["store"]);
    assert!(again.status.success() && text(&again).contains("recovering"), "{}", text(&again));
    let status = suite.script("status-msg", &["store"]);
    assert!(!status.status.success() && text(&status).contains("starting"), "{}", text(&status));
    assert!(alive(pid));
    drop(fs::OpenOptions::new().write(true).open(&note).unwrap());
    let said = starting.wait_with_output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.trim_end().ends_with(&format!("done: {pid}")), "{said}");
    assert_eq!(suite.pid("store"), pid);
}

#[test]
fn a_daemon_that_dies_is_started_again() {
    let suite = Suite(Setup::default().create());
    assert!(suite.script("start-msg", &[]).status.success());
    let first = suite.pid("imap");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_for("a new imapd", || {
        let text = fs::read_to_string(suite.0.path("run/imap.pid")).ok()?;
        let pid: i32 = text.trim().parse().ok()?;
        (pid != first && alive(pid)).then_some(())
    });
    let mut imap = Imap::open(suite.0.connect(IMAP));
    imap.ok("LOGIN alice alice-secret");
    let log = suite.0.log("imap");
    let noted =
        format!("General Error: imapd was started again: the former process {first} was ended by signal 9");
    assert!(log.contains(&noted), "{log}");
    let second = suite.pid("imap");
    let running = text(&suite.script("status-msg", &["imap"]));
    assert!(running.ends_with(&format!(": IMAP daemon is running: {second}\n")), "{running}");
    let supervisor: i32 =
        fs::read_to_string(suite.0.path("run/imap.supervisor")).unwrap().trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    wait_for("the supervisor's end", || {
        text(&suite.script("status-msg", &["imap"])).contains("nobody restarts it").then_some(())
    });
}

/// In a checkout `bin/stored` is a folder of source: the scripts must find the programs all the same.
#[test]
fn the_scripts_take_no_source_folder_for_a_program() {
    let checkout = tempfile::tempdir().unwrap();
    let inside = |path: &str| checkout.path().join(path);
    fs::create_dir_all(inside("target")).unwrap();
    fs::create_dir(inside("scripts")).unwrap();
    for script in ["msg-common", "msg-supervise", "refresh-msg", "start-msg", "status-msg", "stop-msg"] {
        fs::copy(top().join("scripts").join(script), inside("scripts").join(script)).unwrap();
    }
    for name in ["stored", "configutil"] {
        fs::create_dir_all(inside("bin").join(name)).unwrap();
    }
    let suite = Suite(Setup::default().create());
    let status = || {
        let mut command = Command::new(inside("scripts/refresh-msg"));
        command.env("CONFIGROOT", suite.0.path("config")).env_remove("BINDIR").output().unwrap()
    };
    let unbuilt = text(&status());
    assert!(unbuilt.contains("not built"), "{unbuilt}");
    std::os::unix::fs::symlink(program("stored").parent().unwrap(), inside("target/release")).unwrap();
    let built = text(&status());
    assert_eq!(built, "refresh-msg: none of these runs: store smtp imap pop http\n");
}

#[test]
fn one_service_can_be_started_and_stopped_by_name() {
    let suite = Suite(Setup::default().create());
    assert!(suite.script("start-msg", &["store", "imap"]).status.success());
    assert!(suite.script("status-msg", &["store", "imap"]).status.success());
    assert!(!suite.script("status-msg", &["smtp"]).status.success());
    assert!(suite.script("stop-msg", &["imap"]).status.success());
    assert!(!suite.script("status-msg", &["imap"]).status.success());
    assert!(suite.script("status-msg", &["store"]).status.success());
}

#[test]
fn a_wrong_value_gives_one_clear_line_and_nothing_is_started() {
    let suite = Suite(Setup::default().create());
    let conf = suite.0.path("config/local.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}service.imap.maxthreads = many\n")).unwrap();
    let refused = suite.script("start-msg", &[]);
    assert!(!refused.status.success());
    assert!(text(&refused).contains("service.imap.maxthreads"), "{}", text(&refused));
    assert!(!suite.script("status-msg", &[]).status.success());
    assert!(fs::metadata(suite.0.path("run/store.pid")).is_err());
}

#[test]
fn refresh_makes_the_daemons_read_their_configuration_again() {
    let suite = Suite(Setup::default().set("service.imap.banner", "first %h").create());
    assert!(suite.script("start-msg", &["store", "imap"]).status.success());
    assert!(Imap::open(suite.0.connect(IMAP)).greeting.contains("first"));
    suite.0.set("service.imap.banner", "second %h");
    let said = suite.script("refresh-msg", &["imap"]);
    assert!(said.status.success(), "{}", text(&said));
    assert!(text(&said).ends_with(" done\n"), "{}", text(&said));
    assert!(Imap::open(suite.0.connect(IMAP)).greeting.contains("second"), "done is done");
}

#[test]
fn a_refresh_waits_for_every_worker_process() {
    let set_up =
        Setup::default().set("service.imap.banner", "first %h").set("service.imap.numprocesses", "3");
    let suite = Suite(set_up.create());
    assert!(suite.script("start-msg", &["store", "imap"]).status.success());
    // At once: a worker that has hardly begun is told, or begins anew.
    suite.0.set("service.imap.banner", "second %h");
    let said = suite.script("refresh-msg", &["imap"]);
    assert!(said.status.success(), "{}", text(&said));
    for _ in 0..6 {
        assert!(Imap::open(suite.0.connect(IMAP)).greeting.contains("second"));
    }
}

/// service.readtimeout: a daemon that does not answer holds nobody up for longer.
#[test]
fn a_refresh_waits_for_an_answer_as_long_as_was_said() {
    let suite = Suite(Setup::default().set("service.readtimeout", "2").create());
    assert!(suite.script("start-msg", &["store", "imap"]).status.success());
    let pid = fs::read_to_string(suite.0.path("run/imap.pid")).unwrap();
    let halted = black_box::Halted::new(pid.trim().parse().unwrap());
    let said = suite.script("refresh-msg", &["imap"]);
    drop(halted);
    assert_eq!(said.status.code(), Some(1), "{}", text(&said));
    assert!(text(&said).contains(" no answer: see log/imap/imap"), "{}", text(&said));
    let dots = text(&said).matches('.').count();
    assert!((3..20).contains(&dots), "two a second, of two seconds and not of thirty: {}", text(&said));
}

/// What the check before a refresh cannot see, the daemon itself reports: here a file that only it may not read.
#[test]
fn a_refresh_says_what_a_daemon_did_not_take() {
    let suite = Suite(Setup::default().create());
    assert!(suite.script("start-msg", &["store", "imap"]).status.success());
    let key = suite.0.path("config/certs/server.key");
    let good = fs::read(&key).unwrap();
    fs::write(&key, "nonsense").unwrap();
    let before = suite.script("refresh-msg", &[]);
    assert_eq!(before.status.code(), Some(1));
    let said = text(&before);
    assert!(said.contains("server.key") && said.contains("nothing was refreshed"), "{said}");
    assert!(!said.contains(" done"), "{said}");
    // The check passes, the daemon reads another configuration: a stand-in for configutil agrees to everything.
    let tools = tempfile::tempdir().unwrap();
    let agree = tools.path().join("configutil");
    fs::write(&agree, "#!/bin/sh\nexit 0\n").unwrap();
    std::os::unix::fs::symlink(program("stored"), tools.path().join("stored")).unwrap();
    std::os::unix::fs::symlink(program("imapd"), tools.path().join("imapd")).unwrap();
    fs::set_permissions(&agree, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(top().join("scripts/refresh-msg"));
    command.env("CONFIGROOT", suite.0.path("config")).env("BINDIR", tools.path()).arg("imap");
    let refused = command.output().unwrap();
    let said = text(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(" refused") && said.contains("the former one stays in use"), "{said}");
    fs::write(&key, good).unwrap();
    assert!(suite.script("refresh-msg", &[]).status.success());
}
