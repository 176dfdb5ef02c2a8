//! When users were last here (local.enablelastaccess): kept by each service for who logs in, told by imsconnutil -a.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, POP, WEB, wait_for};
use black_box::{Imap, Instance, Pop, Setup, run};
use serde_json::Value;

/// Of Debian's base system.
const USER: &str = "games";
/// Long ago, as a time that no test writes by itself.
const LONG_AGO: u64 = 1_000_000_000;
const SERVICES: [&str; 3] = ["imap", "pop", "http"];

fn kept() -> Setup {
    Setup::default().set("local.enablelastaccess", "yes")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What `imsconnutil -a --json` tells: by uid, seconds since 1970 of imap, pop and http.
fn told(instance: &Instance, arguments: &[&str]) -> BTreeMap<String, [Option<u64>; 3]> {
    let said = run(instance.tool("imsconnutil").args(["-a", "--json"]).args(arguments));
    let object = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap();
        let times = SERVICES.map(|service| object.get(service).and_then(Value::as_u64));
        (object["uid"].as_str().unwrap().to_owned(), times)
    };
    said.lines().map(object).collect()
}

/// Every file below the folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The last access becomes one of another time. The user's sessions must be over, and all but one that stays.
fn set_last(instance: &Instance, service: &str, user: &str, time: SystemTime) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg(user));
    let file = instance.path("last-access").join(service).join(hash.trim()).join(format!("={user}"));
    File::open(&file).unwrap().set_modified(time).unwrap();
    file
}

fn long_ago() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(LONG_AGO)
}

fn log_in_everywhere(instance: &Instance) {
    instance.imap("alice").ok("LOGOUT");
    instance.pop("alice").ok("QUIT");
    instance.http().sign_in("alice", "alice-secret");
}

/// As the server's own user where that can be: everything that is made, is made within the sandbox.
#[test]
fn each_service_keeps_the_last_log_in_and_log_out_and_imsconnutil_shows_them() {
    let setup = if nix::unistd::geteuid().is_root() { kept().server_user(USER) } else { kept() };
    let mut instance = setup.start();
    instance.start_one(WEB.0);
    let before = now();
    log_in_everywhere(&instance);
    let times = told(&instance, &[])["alice"];
    for (service, time) in SERVICES.iter().zip(times) {
        let time = time.unwrap_or_else(|| panic!("{service}"));
        assert!(time >= before && time <= now(), "{service} {before} {time}");
    }
    assert_eq!(told(&instance, &[]).len(), 1, "bob was not here");
    let folder = fs::metadata(instance.path("last-access")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let all = files(&instance.path("last-access"));
    assert_eq!(all.len(), 3, "{all:?}");
    for file in &all {
        let found = fs::metadata(file).unwrap();
        assert_eq!((found.len(), found.mode() & 0o777, found.uid()), (0, 0o600, folder.uid()), "{file:?}");
    }

    // As people read it: of users and services that are asked for, in the order of the uids.
    let said = run(instance.tool("imsconnutil").args(["-a", "-s", "pop"]));
    let lines: Vec<&str> = said.lines().collect();
    let [head, line] = lines[..] else { panic!("{said}") };
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["POP", "UID"]);
    assert!(line.ends_with("Z alice") && line.starts_with("20"), "{said}");
    let list = instance.path("tmp/uids");
    fs::write(&list, "bob\n\nalice\n").unwrap();
    for arguments in [&["-u", "alice", "-u", "bob"][..], &["-f", list.to_str().unwrap()]] {
        let told = told(&instance, arguments);
        assert!(told["alice"].iter().all(Option::is_some) && told["bob"] == [None; 3], "{told:?}");
    }
    let misuse = instance.tool("imsconnutil").stderr(Stdio::null()).status().unwrap();
    assert_eq!(misuse.code(), Some(2), "what is to be told must be said");

    // A log-out is an access, whether it is said or the client goes away; and so is what comes after a restart.
    instance.stop("imap"); // and with it the sessions that were left
    instance.start_one("imap");
    for says_it in [true, false] {
        let mut imap = instance.imap("alice");
        let file = set_last(&instance, "imap", "alice", long_ago());
        assert_eq!(told(&instance, &["-u", "alice"])["alice"][0], Some(LONG_AGO));
        if says_it {
            imap.ok("LOGOUT");
        }
        drop(imap);
        wait_for("the log-out", || (fs::metadata(&file).unwrap().mtime() as u64 >= before).then_some(()));
    }
    for service in SERVICES {
        instance.stop(service);
        set_last(&instance, service, "alice", long_ago());
        instance.start_one(service);
    }
    assert_eq!(told(&instance, &[])["alice"], [Some(LONG_AGO); 3], "it survives a restart");
    log_in_everywhere(&instance);
    assert!(told(&instance, &[])["alice"].iter().all(|time| time.unwrap() >= before));
}

#[test]
fn within_a_minute_nothing_is_written_again() {
    let mut instance = kept().start();
    instance.imap("alice").ok("LOGOUT");
    instance.stop("imap");
    instance.start_one("imap");
    let young = SystemTime::now() - Duration::from_secs(20);
    let file = set_last(&instance, "imap", "alice", young);
    let stamp = fs::metadata(&file).unwrap();
    for _ in 0..3 {
        instance.imap("alice").ok("NOOP");
    }
    let later = fs::metadata(&file).unwrap();
    let took = young.elapsed().unwrap();
    // Of a machine that stood still meanwhile nothing can be said.
    assert!(stamp.modified().unwrap() == later.modified().unwrap() || took > Duration::from_secs(55));
}

#[test]
fn nothing_is_kept_of_strangers_nor_unless_it_is_wanted() {
    let mut instance = kept().start();
    instance.start_one(WEB.0);
    for user in ["alice", "nobody", "../../x"] {
        Imap::open(instance.connect(IMAP)).refused(&format!("LOGIN \"{user}\" wrong"));
        let mut pop = Pop::open(instance.connect(POP));
        pop.ask(&format!("USER {user}"));
        pop.refused("PASS wrong");
        let refused = instance.http().try_sign_in(user, "wrong", "");
        assert!(refused.status >= 400, "{user}");
    }
    assert_eq!(files(&instance.path("last-access")), Vec::<PathBuf>::new());

    let mut instance = Setup::default().start();
    instance.start_one(WEB.0);
    log_in_everywhere(&instance);
    assert!(!instance.path("last-access").exists());
    let said = instance.tool("imsconnutil").arg("-a").output().unwrap();
    assert!(said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("local.enablelastaccess is off"));
}

#[test]
fn an_unusual_uid_has_a_file_inside_the_folder_and_goes_with_the_users_mailboxes() {
    let mut instance = kept().start();
    instance.start_one(WEB.0);
    let uid = "Ö'b%.X\u{65e5}";
    let mut dirutil: Command = instance.tool("dirutil");
    dirutil.args(["add", "user", uid, "--mail", "odd@example.test", "--password-stdin"]);
    let mut child = dirutil.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"odd-secret\n").unwrap();
    assert!(child.wait().unwrap().success());

    let initial = STANDARD.encode(format!("\0{uid}\0odd-secret"));
    let mut imap = Imap::open(instance.connect(IMAP));
    imap.ok(&format!("AUTHENTICATE PLAIN {initial}"));
    let mut pop = Pop::open(instance.connect(POP));
    pop.ok(&format!("AUTH PLAIN {initial}"));
    pop.ok("QUIT");
    instance.http().sign_in(uid, "odd-secret");
    let times = told(&instance, &[]);
    assert!(times.len() == 1 && times[uid].iter().all(Option::is_some), "{times:?}");
    assert!(told(&instance, &["-u", uid])[uid].iter().all(Option::is_some));
    let odd = files(&instance.path("last-access"));
    assert!(odd.iter().all(|file| file.to_str().unwrap().ends_with("/=Ö'b%p%d+X\u{65e5}")), "{odd:?}");

    instance.imap("alice").ok("LOGOUT");
    run(instance.tool("mboxutil").args(["--force", "-r", "user/alice", "user/carol"]));
    let renamed = told(&instance, &[]);
    assert!(renamed.contains_key("carol") && !renamed.contains_key("alice"), "{renamed:?}");
    run(instance.tool("mboxutil").args(["-d", &format!("user/{uid}")]));
    assert!(!told(&instance, &[]).contains_key(uid));
    // Who is still connected brings back nothing by going.
    drop(imap);
    instance.stop("imap");
    assert!(!told(&instance, &[]).contains_key(uid));
}
