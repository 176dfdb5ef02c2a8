//! What the daemons may do once they run: as whom, with which rights, and what they cannot reach.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command};

use black_box::instance::{self, wait_for};
use black_box::{Instance, Setup, program, run};
use tempfile::TempDir;

/// Of Debian's base system.
const USER: &str = "games";
const DAEMONS: [(&str, &str); 5] =
    [("imapd", "imap"), ("popd", "pop"), ("smtpd", "smtp"), ("mshttpd", "http"), ("stored", "store")];

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn number_of(user: &str) -> u32 {
    nix::unistd::User::from_name(user).unwrap().unwrap().uid.as_raw()
}

/// The lines of /proc/PID/status.
fn status(pid: u32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Every file below a folder, links not followed. What the daemons take away meanwhile is not there.
fn below(folder: &Path, found: &mut Vec<(String, u32)>) {
    let is_gone = |why: &std::io::Error| why.kind() == std::io::ErrorKind::NotFound;
    let entries = match fs::read_dir(folder) {
        Err(why) if is_gone(&why) => return,
        entries => entries.unwrap(),
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let data = match fs::symlink_metadata(&path) {
            Err(why) if is_gone(&why) => continue,
            data => data.unwrap(),
        };
        found.push((path.display().to_string(), data.uid()));
        if data.is_dir() {
            below(&path, found);
        }
    }
}

/// What a stranger would find: a folder that anybody may read and write, with a secret, a port that takes connections, and
/// a process.
struct Foreign {
    folder: TempDir,
    _listener: TcpListener,
    victim: Child,
}

impl Foreign {
    fn new() -> Foreign {
        let folder = tempfile::Builder::new().prefix("foreign-").tempdir().unwrap();
        chmod(folder.path(), 0o777);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let victim = Command::new("sleep").arg("1000").spawn().unwrap();
        let put = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        put("secret", "a secret\n".into());
        put("port", listener.local_addr().unwrap().port().to_string());
        put("victim", victim.id().to_string());
        chmod(&folder.path().join("secret"), 0o666);
        Foreign { folder, _listener: listener, victim }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

/// What is tried in every daemon.
const TRIES: usize = 31;
/// What only some have business with.
const OWN: usize = 5;

/// What many a machine refuses to root as well: a container without CAP_SYS_ADMIN, CAP_SYS_MODULE or CAP_SYS_TIME, or with a
/// filter of its own; a kernel with `kernel.io_uring_disabled`, or one without bpf(2) or keys.
const PRIVILEGED: [&str; 15] = [
    "unshare",
    "mount",
    "read keys",
    "load a program into the kernel",
    "load a module into the kernel",
    "set up a ring of orders",
    "set the clock",
    "make a socket of another family",
    "enter a namespace",
    "make a process in a namespace",
    "change the root folder",
    "end swapping",
    "count the kernel's events",
    "open a file by its handle",
    "hold up page faults",
];

/// What a daemon says that it can do.
fn tried(instance: &Instance, daemon: &str, foreign: &Foreign) -> BTreeMap<String, bool> {
    let output = instance.tool(daemon).arg("--try-privileges").arg(foreign.folder.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let all = said(text.lines());
    let own = all.keys().filter(|what| what.starts_with("own: ")).count();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((all.len() - own, own), (TRIES, OWN), "{daemon}: {text} {told}");
    // A refused call is an error that is told, and not the end of the process.
    let code = if is_refused(&all) { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{daemon}: {text}");
    all
}

/// The lines of a self-test: what was tried, and whether it was allowed.
fn said<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, bool> {
    lines
        .filter_map(|line| line.rsplit_once(": allowed").or_else(|| line.split_once(": refused: ")))
        .map(|(what, why)| (what.to_owned(), why.is_empty()))
        .collect()
}

/// Whether all was refused that is not the process's business.
fn is_refused(all: &BTreeMap<String, bool>) -> bool {
    all.iter().all(|(what, allowed)| what.starts_with("own: ") || !*allowed)
}

/// What the process for deliveries apart says that it can do, and what a program that it runs for a user.
fn tried_apart(instance: &Instance, foreign: &Foreign) -> (BTreeMap<String, bool>, BTreeMap<String, bool>) {
    let mut tool = instance.tool("smtpd");
    tool.arg("--deliveries-apart").arg(instance.path("")).arg("--try-privileges").arg(foreign.folder.path());
    let output = tool.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    let (of_program, own): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("program: "));
    let apart = said(own.into_iter());
    let program = said(of_program.into_iter().map(|line| &line["program: ".len()..]));
    for all in [&apart, &program] {
        assert_eq!(all.len(), TRIES + OWN, "{text} {told}");
    }
    let code = if is_refused(&apart) && is_refused(&program) { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(code), "{text} {told}");
    (apart, program)
}

/// The process that delivers outside of the store for this smtpd.
fn apart_of(smtpd: u32) -> u32 {
    let found = fs::read_dir("/proc").unwrap().find_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let asked = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?.contains("--deliveries-apart");
        (asked && status(pid).get("PPid") == Some(&smtpd.to_string())).then_some(pid)
    });
    found.unwrap()
}

/// `local.serveruid`: root starts the suite, and nothing of it that strangers talk to stays root. Mail flows; programs get
/// the identity that is set for them, and native mailboxes belong to their users; tools that root runs leave nothing in the
/// store that the daemons could not use.
#[test]
fn started_by_root_the_daemons_become_the_servers_user_and_mail_flows() {
    assert!(is_root(), "the tests of privileges need root");
    let (uid, outside) = (number_of(USER), tempfile::Builder::new().prefix("outside-").tempdir().unwrap());
    chmod(outside.path(), 0o755);
    let (programs, out, spool) =
        (outside.path().join("bin"), outside.path().join("out"), outside.path().join("spool"));
    for (folder, mode) in [(&programs, 0o755), (&out, 0o1777), (&spool, 0o755)] {
        fs::create_dir(folder).unwrap();
        chmod(folder, mode);
    }
    let script = format!("#!/bin/sh\nid -u > {0}/tmp\ncat >> {0}/tmp\nmv {0}/tmp {0}/kept\n", out.display());
    fs::write(programs.join("keep"), script).unwrap();
    chmod(&programs.join("keep"), 0o755);
    // A lock of old that another user forgot.
    let lock = fs::File::create(spool.join("daemon.lock")).unwrap();
    lock.set_modified(std::time::UNIX_EPOCH).unwrap();
    std::os::unix::fs::fchown(&lock, Some(65_534), Some(65_534)).unwrap();
    let mut instance = Setup::default()
        .users(&["alice", "bob", "daemon"])
        .server_user(USER)
        .set("local.sandbox", "require")
        .set("service.smtp.prog-deliver.shellpath", programs.to_str().unwrap())
        .set("service.smtp.prog-deliver.defaultuid", "65534")
        .set("service.smtp.prog-deliver.defaultgid", "65534")
        .set("local.service.smtp.unix-deliver.mailspool", spool.to_str().unwrap())
        .create();
    let change = |uid: &str, attribute: &str, value: &str| {
        run(instance.tool("dirutil").args(["change", uid, attribute, value]));
    };
    change("bob", "--add", "mailDeliveryOption=program");
    change("bob", "--set", "mailProgramDeliveryInfo=keep");
    change("daemon", "--set", "mailDeliveryOption=native");
    run(instance.tool("mboxutil").args(["-c", "user/alice/Made by root"]));
    instance.start_all();
    instance.start_one("http");
    for service in ["store", "smtp", "imap", "pop", "http"] {
        let status = status(instance.pid(service).unwrap());
        let all_four = vec![uid.to_string(); 4].join(" ");
        assert_eq!(status["Uid"], all_four, "{service}");
        assert!(!status["Gid"].split(' ').any(|gid| gid == "0"), "{service}: {}", status["Gid"]);
        assert_eq!(status["Groups"].split(' ').count(), 1, "{service}: {}", status["Groups"]);
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status[set], "0000000000000000", "{service} {set}");
        }
        assert_eq!(status["NoNewPrivs"], "1", "{service}");
        assert_eq!(status["Seccomp"], "2", "{service}: system calls by a filter");
        let log = instance.log(service);
        assert!(
            log.contains(&format!("Privileges: user {USER}, capabilities none, no gain of rights")),
            "{log}"
        );
    }
    for user in ["alice", "bob", "daemon"] {
        instance.send(user, "to everybody");
    }
    instance.wait_for_messages("alice", 1);
    instance.wait_for_messages("bob", 1);
    instance.wait_for_empty_queue();
    let mut imap = instance.imap("alice");
    imap.ok("SELECT \"Made by root\"");
    imap.ok("SELECT INBOX");
    imap.ok("COPY 1 \"Made by root\"");
    let kept = wait_for("the program's output", || fs::read_to_string(out.join("kept")).ok());
    assert!(kept.starts_with("65534\n") && kept.contains("Subject: to everybody"), "{kept}");
    let native = spool.join("daemon");
    assert!(fs::read_to_string(&native).unwrap().contains("Subject: to everybody"));
    assert_eq!(fs::metadata(&native).unwrap().uid(), number_of("daemon"));
    // It is the user's now, and nobody else's to write.
    instance.send("daemon", "once more");
    instance.wait_for_empty_queue();
    assert!(fs::read_to_string(&native).unwrap().contains("Subject: once more"));
    run(instance.tool("reconstruct").args(["-r", "user/alice"]));
    instance.set("service.imap.idletimeout", "40"); // configutil as root: the file is still theirs
    instance.stop("imap");
    instance.start_one("imap");
    let mut all = Vec::new();
    below(&instance.path(""), &mut all);
    let strange: Vec<_> =
        all.iter().filter(|(_, owner)| *owner != uid).map(|(path, _)| path.as_str()).collect();
    let conf = instance.path("config/local.conf");
    assert_eq!(strange, [conf.to_str().unwrap()], "what is not the server's");
    assert_eq!(fs::metadata(&conf).unwrap().mode() & 0o777, 0o640);
}

/// The process that runs programs for smtpd is root: it goes by nothing that the server's user could have written.
#[test]
fn a_configuration_that_is_not_roots_runs_no_program() {
    assert!(is_root(), "the tests of privileges need root");
    let outside = tempfile::Builder::new().prefix("outside-").tempdir().unwrap();
    chmod(outside.path(), 0o777);
    fs::create_dir(outside.path().join("bin")).unwrap();
    let made = outside.path().join("made");
    fs::write(outside.path().join("bin/keep"), format!("#!/bin/sh\ntouch {}\n", made.display())).unwrap();
    for path in [outside.path().join("bin"), outside.path().join("bin/keep")] {
        chmod(&path, 0o755);
    }
    chmod(outside.path(), 0o755);
    let mut instance = Setup::default()
        .users(&["bob"])
        .server_user(USER)
        .set("service.smtp.prog-deliver.shellpath", outside.path().join("bin").to_str().unwrap())
        .create();
    run(instance.tool("dirutil").args(["change", "bob", "--set", "mailDeliveryOption=program"]));
    run(instance.tool("dirutil").args(["change", "bob", "--set", "mailProgramDeliveryInfo=keep"]));
    let conf = instance.path("config/local.conf");
    std::os::unix::fs::chown(&conf, Some(number_of(USER)), None).unwrap();
    instance.start_all();
    instance.send("bob", "to a program");
    wait_for("the refusal in the log", || {
        instance.log("smtp").contains("must belong to root and be writable by nobody else").then_some(())
    });
    assert!(!made.exists());
}

/// An smtpd that could run no program any more ends, so that its supervisor starts both anew.
#[test]
fn smtpd_ends_with_the_process_that_runs_its_programs() {
    let mut instance = Instance::start();
    let smtpd = instance.pid("smtp").unwrap();
    let apart = nix::unistd::Pid::from_raw(apart_of(smtpd) as i32);
    nix::sys::signal::kill(apart, nix::sys::signal::Signal::SIGKILL).unwrap();
    instance.wait_for_end("smtp");
    assert!(instance.log("smtp").contains("the process for deliveries apart has ended"));
}

/// A filter through a pipe, a named pipe, a sub-process in the background, the message in the user's home.
const PIPELINE: &str = r#"#!/bin/sh
set -e
cd HOME
sed -n 's/^Subject: //p' | tr a-z A-Z | sort | head -n 1 > tmp
mkfifo through
echo behind > through &
cat through >> tmp
wait
grep -E '^(Uid|Groups|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\t ' ' ' >> tmp
mv tmp pipeline
"#;
/// As who writes a maildir: a file by two names, a lock; and a program behind a program.
const MAILDIR: &str = r#"#!/usr/bin/perl
use strict; use Fcntl ':flock'; use IO::Socket::INET;
chdir 'HOME' or die; mkdir $_ or die for 'new', 'cur';
my $port = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "socket: $!";
open my $file, '>', 'cur/1' or die; flock $file, LOCK_EX or die;
print $file $_ while <STDIN>; close $file or die;
chmod 0600, 'cur/1' or die; utime 1, 1, 'cur/1' or die;
link 'cur/1', 'new/1' or die "link: $!"; unlink 'cur/1' or die;
open my $lines, '-|', 'grep', '-c', '^Subject:', 'new/1' or die; my $count = <$lines>; close $lines or die;
rename 'new/1', "cur/$count" =~ s/\n//r or die "rename: $!";
"#;
/// What each answers goes into a file: nothing but EPERM (1) of ptrace(2) is from the list alone, for anybody may be traced.
const TRYING: &str = r#"#!/usr/bin/perl
chdir 'HOME' or die;
open my $file, '>', 'tmp' or die;
my $call = `uname -m` =~ /x86_64/ ? 101 : 117;
syscall($call, 0, 0, 0, 0) == -1 and print $file 'ptrace ', $! + 0, "\n";
print $file 'unshare ', system("unshare -U true 2>unshare") == 0 ? 'done' : 'refused', "\n";
print $file 'mount ', system("mount -t tmpfs none . 2>mount") == 0 ? 'done' : 'refused', "\n";
close $file or die; rename 'tmp', 'tried' or die;
"#;
const PYTHON: &str = r#"#!/usr/bin/python3
import email, json, os, subprocess, sys, tempfile, threading
message = email.message_from_binary_file(sys.stdin.buffer)
said = subprocess.run(["tr", "a-z", "A-Z"], input=message["Subject"].encode(), capture_output=True, check=True)
thread = threading.Thread(target=os.getpid); thread.start(); thread.join()
with tempfile.NamedTemporaryFile("w", dir="HOME", delete=False) as file:
    json.dump(said.stdout.decode(), file)
os.rename(file.name, "HOME/python")
"#;

/// The process that runs programs has no rights but those that it needs, and the programs none; what users' programs
/// do, they do; what only attackers do is refused.
#[test]
fn users_programs_run_behind_a_list_of_what_is_refused() {
    assert!(is_root(), "the tests of privileges need root");
    let outside = tempfile::Builder::new().prefix("outside-").tempdir().unwrap();
    chmod(outside.path(), 0o755);
    let (programs, home) = (outside.path().join("bin"), outside.path().join("home"));
    fs::create_dir(&programs).unwrap();
    chmod(&programs, 0o755);
    fs::create_dir(&home).unwrap();
    chmod(&home, 0o700);
    std::os::unix::fs::chown(&home, Some(65_534), Some(65_534)).unwrap();
    let mut all = vec![("bob", PIPELINE, "pipeline"), ("carol", MAILDIR, "cur/1"), ("dave", TRYING, "tried")];
    if Path::new("/usr/bin/python3").exists() {
        all.push(("erin", PYTHON, "python"));
    } else {
        instance::left_out("a program in Python: there is no /usr/bin/python3");
    }
    let users: Vec<&str> = all.iter().map(|(user, _, _)| *user).collect();
    let mut instance = Setup::default()
        .users(&users)
        .server_user(USER)
        .set("local.sandbox", "require")
        .set("service.smtp.prog-deliver.shellpath", programs.to_str().unwrap())
        .set("service.smtp.prog-deliver.defaultuid", "65534")
        .set("service.smtp.prog-deliver.defaultgid", "65534")
        .create();
    for (user, script, _) in &all {
        fs::write(programs.join(user), script.replace("HOME", home.to_str().unwrap())).unwrap();
        chmod(&programs.join(user), 0o755);
        let change = ["change", user, "--set", "mailDeliveryOption=program"];
        run(instance.tool("dirutil").args(change));
        let program = format!("mailProgramDeliveryInfo={user}");
        run(instance.tool("dirutil").args(["change", user, "--set", &program]));
    }
    instance.start_all();
    let apart = status(apart_of(instance.pid("smtp").unwrap()));
    // chown, dac_override, kill, setgid, setuid
    let rights = format!("{:016x}", 0b1110_0011);
    assert_eq!((&apart["CapPrm"], &apart["CapEff"], &apart["CapBnd"]), (&rights, &rights, &rights));
    let behind = |of: &BTreeMap<String, String>| {
        ["Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters"].map(|name| of[name].clone())
    };
    assert_eq!(behind(&apart), ["", "1", "2", "3"]);
    let log = instance.log("smtp");
    let told = "Privileges of deliveries apart: user root, capabilities chown dac_override kill setgid setuid, \
                no further groups, no gain of rights, ";
    assert!(log.contains(told) && log.contains(" system calls refused"), "{log}");
    for (user, _, _) in &all {
        instance.send(user, "to everybody");
    }
    instance.wait_for_empty_queue();
    let kept = |name: &str| match fs::read_to_string(home.join(name)) {
        Ok(text) => text,
        Err(why) => panic!("{name}: {why}; {}", instance.log("smtp")),
    };
    for (_, _, made) in &all {
        assert!(!kept(made).is_empty());
    }
    let expected = format!(
        "TO EVERYBODY\nbehind\nUid: 65534 65534 65534 65534\nGroups: 65534 \nCapPrm: {:016x}\nCapBnd: {rights}\nNoNewPrivs: 1\nSeccomp: 2\n",
        0
    );
    assert_eq!(kept("pipeline").replace("Groups: \n", "Groups: 65534 \n"), expected);
    assert!(kept("cur/1").contains("Subject: to everybody"));
    assert_eq!(kept("tried"), "ptrace 1\nunshare refused\nmount refused\n", "{}", kept("mount"));
    assert!(kept("unshare").contains("not permitted"), "{}", kept("unshare"));
}

/// The process for deliveries apart, and a program that it has started for a user, try what a stranger who took them over
/// would. Without the list some of it is allowed to both, so that this test can fail.
#[test]
fn deliveries_apart_can_do_nothing_that_is_not_their_business() {
    assert!(is_root(), "the tests of privileges need root");
    let foreign = Foreign::new();
    let instance = Setup::default()
        .server_user(USER)
        .set("local.sandbox", "require")
        .set("service.smtp.prog-deliver.defaultuid", "65534")
        .set("service.smtp.prog-deliver.defaultgid", "65534")
        .create();
    let (apart, program) = tried_apart(&instance, &foreign);
    assert!(is_refused(&apart), "{apart:?}");
    assert!(is_refused(&program), "a program: {program:?}");
    let business =
        ["read a foreign file", "run a program", "listen on a port", "connect to a foreign port", "execute"];
    for what in business.map(|what| format!("own: {what}")) {
        assert!(apart[&what] && program[&what], "{what}: {apart:?} {program:?}");
    }
    assert!(apart["own: become root"] && !program["become root"] && !program["signal a process"]);
    instance.set("local.sandbox", "off");
    let (apart, program) = tried_apart(&instance, &foreign);
    for (who, all) in [("the process apart", apart), ("a program", program)] {
        for what in ["look into memory", "type into a terminal"] {
            assert!(all[what], "{who}, not confined: {what} is refused all the same");
        }
        // To these the rights are missing that a daemon has as root, or the machine refuses them.
        for what in PRIVILEGED.iter().filter(|what| !all[**what]) {
            instance::left_out(&format!("\"{what}\" proves nothing of {who}"));
        }
    }
}

/// Worker processes give up by themselves what their parent had to keep: to start programs.
#[test]
fn each_of_several_processes_is_confined() {
    assert!(is_root(), "the tests of privileges need root");
    let mut instance = Setup::default()
        .server_user(USER)
        .set("local.sandbox", "require")
        .set("service.imap.numprocesses", "2")
        .create();
    instance.start_one("store");
    instance.start_one("imap");
    let parent = instance.pid("imap").unwrap().to_string();
    let workers = wait_for("two workers that serve", || {
        let all =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let workers: Vec<u32> = all.filter(|pid: &u32| status(*pid).get("PPid") == Some(&parent)).collect();
        let confined =
            instance.log("imap").matches("files and ports fully confined, system calls limited").count();
        (workers.len() == 2 && confined == 3).then_some(workers)
    });
    for worker in workers {
        let status = status(worker);
        assert_eq!(
            (status["Seccomp"].as_str(), status["Seccomp_filters"].as_str()),
            ("2", "4"),
            "its own two, beside the parent's"
        );
        assert_eq!(status["CapEff"], "0000000000000000");
    }
    assert!(!instance.log("imap").contains("not limited"));
    instance.imap("alice").ok("SELECT INBOX");
}

/// A port below 1024 is bound before root is given up.
#[test]
fn a_low_port_is_bound_before_root_is_given_up() {
    assert!(is_root(), "the tests of privileges need root");
    let mut instance = Setup::default().server_user(USER).create();
    let free = |address: std::net::IpAddr| {
        (600..1000).find(|port| TcpListener::bind((address, *port)).is_ok()).unwrap()
    };
    let port: u16 = free(instance.at(1).ip());
    instance.set("service.imap.port", &port.to_string());
    instance.begin_one("store");
    instance.begin_one("imap");
    wait_for("the greeting", || {
        let mut stream = std::net::TcpStream::connect(instance.at(port)).ok()?;
        let mut greeting = [0; 4];
        std::io::Read::read_exact(&mut stream, &mut greeting).ok()?;
        (greeting == *b"* OK").then_some(())
    });
    assert_ne!(status(instance.pid("imap").unwrap())["Uid"].split(' ').next(), Some("0"));
}

/// Each daemon, confined, tries what a stranger who took it over would: all is refused. Without confinement root may do
/// the same, so that this test can fail; what this machine refuses even then is noted, for it proves nothing.
#[test]
fn a_confined_daemon_can_do_nothing_that_is_not_its_business() {
    let foreign = Foreign::new();
    let instance = Setup::default().create();
    let compares = instance::is_root("what daemons can do that are not confined");
    for (daemon, service) in DAEMONS {
        instance.set("local.sandbox", "best-effort");
        let all = tried(&instance, daemon, &foreign);
        let fully = instance.log(service).contains("files and ports fully confined");
        for (what, allowed) in all.iter().filter(|(what, _)| !what.starts_with("own: ")) {
            let expected = match what.as_str() {
                // a kernel before 6.7 knows nothing of ports; smtpd connects to everybody, from a port of its choice
                "listen on a port" => !fully && daemon != "stored" || daemon == "smtpd",
                "connect to a foreign port" => !fully || daemon == "smtpd",
                _ => false,
            };
            assert_eq!(*allowed, expected, "{daemon}: {what}; {}", instance.log(service));
        }
        if compares {
            can_do_it_unconfined(&instance, daemon, &foreign);
        }
    }
}

fn can_do_it_unconfined(instance: &Instance, daemon: &str, foreign: &Foreign) {
    instance.set("local.sandbox", "off");
    let all = tried(instance, daemon, foreign);
    for name in PRIVILEGED {
        assert!(all.contains_key(name), "{daemon}: nothing tries to {name}");
    }
    let refused = all.iter().filter(|(what, allowed)| !**allowed && *what != "become root");
    let (machine, wrong): (Vec<_>, Vec<_>) =
        refused.map(|(what, _)| what.as_str()).partition(|what| PRIVILEGED.contains(what));
    assert!(wrong.is_empty(), "{daemon}, not confined: {wrong:?}");
    for what in machine {
        instance::left_out(&format!(
            "\"{what}\" proves nothing: this machine refuses it without confinement"
        ));
    }
}

/// Root reads everything, so the check that root runs judges by owner and mode what the daemons will be able to read.
#[test]
fn rules_and_plug_ins_that_only_root_can_read_are_found_before_a_start() {
    assert!(is_root(), "the tests of privileges need root");
    let instance = Setup::default().server_user(USER).create();
    let check = || {
        let output = instance.tool("configutil").arg("check").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (name, text) in [("filter.cfg", "Subject spam DROP\n"), ("plugins.cfg", "# none\n")] {
        let path = instance.path("config").join(name);
        fs::write(&path, text).unwrap();
        chmod(&path, 0o644);
        assert_eq!(check(), (Some(0), String::new()), "{name}");
        chmod(&path, 0o600);
        let (code, said) = check();
        assert!(
            code == Some(1) && said.contains(&format!("{name}: local.serveruid cannot read it")),
            "{said}"
        );
        chmod(&path, 0o644);
    }
}

/// Each daemon has a list of system calls of its own: what one has business with is refused to another.
#[test]
fn each_daemon_has_a_list_of_system_calls_of_its_own() {
    let foreign = Foreign::new();
    let instance = Setup::default().create();
    for (daemon, service) in DAEMONS {
        let all = tried(&instance, daemon, &foreign);
        let allowed: Vec<_> = all
            .iter()
            .filter_map(|(what, allowed)| what.strip_prefix("own: ").filter(|_| *allowed))
            .collect();
        let expected: &[&str] = match daemon {
            "smtpd" => &["listen", "set a mode", "watch files"],
            "imapd" | "mshttpd" => &["listen", "watch files"],
            "popd" => &["listen"],
            _ => &["watch files"],
        };
        assert_eq!(allowed, expected, "{daemon}");
        let log = instance.log(service);
        let counted = log.contains("system calls limited to the ") && log.contains(&format!(" of {daemon}"));
        assert!(counted, "{log}");
    }
    // With a certificate to order, stored waits for the authority, and puts a link in the place of the last certificate.
    instance.set("service.acme.names", "mail.example.test");
    let all = tried(&instance, "stored", &foreign);
    assert!(all["own: listen"] && all["own: make a link"] && !all["own: set a mode"], "{all:?}");
}

/// `local.sandbox` = require does not run as root, and says so; a wrong user is one clear line.
#[test]
fn what_cannot_be_had_is_said_in_one_line() {
    assert!(is_root(), "the tests of privileges need root");
    let mut instance = Setup::default().set("local.sandbox", "require").create();
    let said = |instance: &Instance| {
        let output = instance.refused_start("imap");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let text = said(&instance);
    assert!(text.contains("local.serveruid is not set") && text.lines().count() == 1, "{text}");
    instance.set("local.sandbox", "best-effort");
    let set = |tool: &str, arguments: &[&str]| instance.tool(tool).args(arguments).output().unwrap();
    let refused = set("configutil", &["-o", "local.serveruid", "-v", "nosuchuser"]);
    assert_eq!(refused.status.code(), Some(1), "nothing could take it back");
    assert!(set("setconf", &["--force", "local.serveruid", "nosuchuser"]).status.success());
    let text = said(&instance);
    assert!(text.contains("there is no user nosuchuser") && text.lines().count() == 1, "{text}");
    let setup = std::process::Command::new(program("msg-setup"))
        .args([
            "--instance",
            "/nonexistent/x",
            "--domain",
            "a.test",
            "--hostname",
            "a.test",
            "--server-user",
            "root",
        ])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&setup.stderr).contains("cannot be root"));
    instance.kill_all();
}
