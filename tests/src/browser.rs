//! The browser tests of `tests/browser`: their packages are installed under `target/`, then node runs them in one process
//! against an instance. What is missing is said, and fails the test: they are never left out silently.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;

use crate::Instance;
use crate::instance::{IMAP, SMTP, SUBMISSION, WEB, run, top};

/// How long the browser tests of one instance may take.
const RUN_MAX: Duration = Duration::from_secs(300);

/// What the packages need; `scripts/packages` installs it.
const PROGRAMS: [&str; 3] = ["chromium", "node", "npm"];

/// One browser at a time: more of them would only wait for each other.
static TURN: Mutex<()> = Mutex::new(());

/// Runs the files of tests whose name contains `wanted` (all when empty); the users are there for tests to take. Prints what
/// node says at the end; the test fails when one of them does.
pub fn run_browser_tests(instance: &Instance, wanted: &str, users: &[String], url: Option<&str>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let modules = installed();
    let world = format!(
        r#"{{"url":{},"address":"{}","smtp":{SMTP},"submission":{SUBMISSION},"imap":{IMAP},"users":[{}],"modules":"{}","artefacts":"{}","root":"{}","web":{}}}"#,
        url.map_or("null".to_owned(), |url| format!("\"{url}\"")),
        instance.address,
        users.iter().map(|user| format!("\"{user}\"")).collect::<Vec<_>>().join(","),
        modules.display(),
        modules.parent().unwrap().join("artefacts").display(),
        instance.root.display(),
        instance.pid(WEB.0).map_or("null".to_owned(), |pid| pid.to_string()),
    );
    let mut node = Command::new("node");
    node.args(["--test-reporter=spec", "--test-reporter-destination=stdout", "run.mjs"])
        .current_dir(source())
        .env("MAILBOAT_WORLD", world)
        .env("MAILBOAT_BROWSER_TESTS", wanted)
        .process_group(0);
    let (status, said) = bounded(&mut node);
    let from = said.iter().rposition(|line| line.contains(" tests ")).unwrap_or(0);
    println!("{}", said[from..].join("\n"));
    assert!(status, "browser tests failed:\n{}", said.join("\n"));
    assert!(from > 0, "node ran no tests:\n{}", said.join("\n"));
}

/// Runs a command in a process group of its own, which ends with it; whether it succeeded, and its lines.
fn bounded(command: &mut Command) -> (bool, Vec<String>) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let group = Pid::from_raw(child.id() as i32);
    let output = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let give_up = Instant::now() + RUN_MAX;
    let mut said = Vec::new();
    let in_time = loop {
        match lines.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            Ok(line) => said.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break true,
            Err(mpsc::RecvTimeoutError::Timeout) => break false,
        }
    };
    if !in_time {
        let _ = killpg(group, Signal::SIGKILL);
        said.push(format!("ended after {} s", RUN_MAX.as_secs()));
    }
    let status = child.wait().unwrap();
    let _ = killpg(group, Signal::SIGKILL); // a browser that node left behind
    (in_time && status.success(), said)
}

fn source() -> PathBuf {
    top().join("tests/browser")
}

/// The folder of node_modules, installed when it is not of this lock file.
fn installed() -> PathBuf {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|name| !is_there(name)).collect();
    assert!(
        missing.is_empty(),
        "the browser tests need {}: apt-get install chromium nodejs npm (node 18 or newer), or run scripts/test",
        missing.join(" and ")
    );
    let folder = crate::program("msg-setup").parent().unwrap().parent().unwrap().join("browser");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
    let is_fresh = ["package.json", "package-lock.json", ".npmrc"]
        .iter()
        .all(|name| fs::read(source().join(name)).ok() == fs::read(folder.join(name)).ok());
    if !is_fresh || !folder.join("node_modules/.package-lock.json").exists() {
        install(&folder);
    }
    folder.join("node_modules")
}

fn install(folder: &Path) {
    let _ = fs::remove_file(folder.join("package-lock.json")); // so that one that fails is tried again
    for name in ["package.json", ".npmrc"] {
        fs::copy(source().join(name), folder.join(name)).unwrap();
    }
    fs::copy(source().join("package-lock.json"), folder.join("package-lock.json")).unwrap();
    run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder));
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}
