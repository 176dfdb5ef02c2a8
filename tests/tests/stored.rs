//! stored from outside: its timetable under a shifted clock, lazy unlinking, and what a killed one leaves (S146 to S150,
//! S163).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use black_box::instance::{IMAP, wait_for};
use black_box::{Instance, Setup, Wire, quick, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DAY: i64 = 86_400;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// An instance in UTC, not started.
fn in_utc(parameters: &[(&str, &str)]) -> Instance {
    let setup = parameters.iter().fold(Setup::default(), |setup, (name, value)| setup.set(name, value));
    setup.environment("TZ", "UTC").create()
}

/// The next daemons see this time of tomorrow, in UTC; of the same day, though a midnight has passed meanwhile.
fn set_clock(instance: &mut Instance, hour: i64, minute: i64, second: i64) {
    static MIDNIGHT: OnceLock<i64> = OnceLock::new();
    let midnight = MIDNIGHT.get_or_init(|| (now() / DAY + 1) * DAY);
    let offset = midnight + hour * 3600 + minute * 60 + second - now();
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", &offset.to_string());
}

/// How often stored cleaned up so far, the whole store.
fn clean_ups(instance: &Instance) -> usize {
    instance.log("store").matches("clean-up: ").count()
}

/// Starts stored at this time, with a log of its own.
fn start_at(instance: &mut Instance, hour: i64, minute: i64) {
    instance.remove_log("store");
    set_clock(instance, hour, minute, 0);
    instance.start_one("store");
}

/// stored, started at this time, cleans up at once.
fn cleans_up_at(instance: &mut Instance, hour: i64, minute: i64) {
    start_at(instance, hour, minute);
    wait_for("the clean-up", || (clean_ups(instance) == 1).then_some(()));
    instance.stop("store");
}

/// stored, started at this time, begins no clean-up: it ends only after its first look at the timetable.
fn does_not_clean_up_at(instance: &mut Instance, hour: i64, minute: i64) {
    start_at(instance, hour, minute);
    instance.stop("store");
    let log = instance.log("store");
    assert!(log.contains("stored stopped") && !log.contains("clean-up"), "at {hour}:{minute:02}: {log}");
}

/// S146: hour 23 unless another is set, the whole hour and no other.
#[test]
fn the_clean_up_runs_in_the_hour_that_is_set() {
    let mut instance = in_utc(&[]);
    assert_eq!(run(instance.tool("configutil").args(["-o", "store.expirestart"])).trim(), "23");
    does_not_clean_up_at(&mut instance, 22, 58);
    cleans_up_at(&mut instance, 23, 1);
    does_not_clean_up_at(&mut instance, 3, 1);
    instance.set("store.expirestart", "3");
    does_not_clean_up_at(&mut instance, 2, 58);
    cleans_up_at(&mut instance, 3, 1);
    cleans_up_at(&mut instance, 3, 58);
    does_not_clean_up_at(&mut instance, 4, 1);
    does_not_clean_up_at(&mut instance, 23, 1);
}

/// S146: a stored that runs when the hour comes begins by itself, and once.
#[test]
fn the_clean_up_begins_when_the_hour_comes() {
    let mut instance = in_utc(&[("store.expirestart", "3")]);
    set_clock(&mut instance, 2, 59, 55);
    instance.start_one("store");
    wait_for("the clean-up", || (clean_ups(&instance) == 1).then_some(()));
    let log = instance.log("store");
    let line = log.lines().find(|line| line.contains("clean-up: ")).unwrap();
    assert!(line.contains(":03:0"), "before the hour: {line}");
    instance.stop("store");
    assert_eq!(clean_ups(&instance), 1);
}

/// The message files of alice's INBOX, by UID.
fn files(inbox: &Path) -> Vec<u32> {
    let mut uids: Vec<u32> = fs::read_dir(inbox.join("00"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".msg").unwrap().parse().unwrap())
        .collect();
    uids.sort_unstable();
    uids
}

fn inbox(instance: &Instance, user: &str) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg(user));
    instance.path("store/partition/primary/=user").join(hash.trim()).join(format!("={user}"))
}

/// S147, S150: what is expunged stays on the disk until stored's run, and then still when it was expunged within the last
/// `store.cleanupage` hours.
#[test]
fn expunged_messages_go_in_the_run_that_finds_them_old_enough() {
    let mut instance = in_utc(&[("store.expirestart", "3")]);
    set_clock(&mut instance, 1, 10, 0);
    instance.start_one("store");
    instance.start_one("imap");
    let mut imap = instance.imap("alice");
    for n in 1..=3 {
        assert!(imap.append("INBOX", "", &format!("Subject: {n}\r\n\r\nx\r\n")).starts_with("OK"));
    }
    let expunge = |instance: &Instance, uid: u32| {
        let mut imap = instance.imap("alice");
        imap.ok("SELECT INBOX");
        imap.ok(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
        imap.ok("EXPUNGE");
    };
    expunge(&instance, 1); // two hours before the run
    instance.stop("imap");
    set_clock(&mut instance, 2, 40, 0);
    instance.start_one("imap");
    expunge(&instance, 2); // half an hour before the run
    let folder = inbox(&instance, "alice");
    assert_eq!(files(&folder), [1, 2, 3], "lazily");
    instance.stop("store");
    instance.set("store.cleanupage", "3");
    cleans_up_at(&mut instance, 3, 10);
    assert_eq!(files(&folder), [1, 2, 3], "younger than three hours");
    instance.set("store.cleanupage", "1");
    does_not_clean_up_at(&mut instance, 4, 10);
    assert_eq!(files(&folder), [1, 2, 3], "not in this hour");
    cleans_up_at(&mut instance, 3, 10);
    assert_eq!(files(&folder), [2, 3], "older than an hour");
    instance.start_one("store");
    assert_eq!(instance.imap("alice").exists("INBOX"), 1);
}

/// S148: a night after many deletions; stored's log says how many there were, how long it took and how fast it was.
#[test]
fn a_night_of_many_deletions_is_told_with_its_time_and_rate() {
    let count: usize = if quick() { 1000 } else { 10_000 };
    let mut instance = in_utc(&[("store.expirestart", "3")]);
    set_clock(&mut instance, 1, 10, 0);
    instance.start_one("store");
    instance.start_one("imap");
    let mut imap = instance.imap("alice");
    let hundred = " {16+}\r\nSubject: n\r\n\r\nx\r".repeat(100);
    for _ in 0..count / 100 {
        imap.ok(&format!("APPEND INBOX{hundred}"));
    }
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    imap.ok("CLOSE");
    instance.stop("imap");
    instance.stop("store");
    instance.set("store.cleanupage", "1");
    cleans_up_at(&mut instance, 3, 10);
    let log = instance.log("store");
    let line = log.lines().find(|line| line.contains("clean-up: ")).unwrap();
    let rate = line.split_once(" messages/s").unwrap().0.rsplit_once('(').unwrap().1;
    assert!(line.contains(&format!("{count} messages unlinked")) && line.contains(" failed in "), "{line}");
    assert!(rate.parse::<f64>().unwrap() > 0.0, "{line}");
    assert!(files(&inbox(&instance, "alice")).is_empty());
}

/// Sends commands until one is answered with anything but OK, or not at all.
fn all_ok(wire: &mut Wire, commands: &[String]) -> bool {
    commands.iter().all(|command| {
        if !wire.try_send(command.as_bytes()) {
            return false;
        }
        loop {
            match wire.try_line() {
                Some(line) if line.starts_with("t ") => return line.starts_with("t OK"),
                Some(_) => {}
                None => return false,
            }
        }
    })
}

/// Ends the load, also when the test fails in between.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes, fills, renames and deletes mailboxes of bob's until it is cut off.
fn change_the_tree(instance: &Instance, stop: &AtomicBool) {
    let Ok(stream) = std::net::TcpStream::connect(instance.at(IMAP)) else { return };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut wire = Wire::plain(stream);
    let login = "t LOGIN bob bob-secret\r\n".to_owned();
    if wire.try_line().is_none() || !all_ok(&mut wire, &[login]) {
        return;
    }
    for round in 0.. {
        let commands = [
            format!("t CREATE Temporary{round}\r\n"),
            format!("t APPEND Temporary{round} {{14+}}\r\nSubject: t\r\n\r\n\r\n"),
            "t RENAME Here There\r\n".to_owned(),
            format!("t DELETE Temporary{round}\r\n"),
            "t RENAME There Here\r\n".to_owned(),
        ];
        if stop.load(Ordering::Relaxed) || !all_ok(&mut wire, &commands) {
            return;
        }
    }
}

/// S163: everything is killed while mailboxes are made, renamed and deleted. After the restart every mailbox that the list
/// names can be selected, the renamed one is at one of its two places with all below it, and no trash is left.
#[test]
fn a_store_killed_under_load_recovers_by_itself() {
    let mut instance = Setup::default().start();
    let mut imap = instance.imap("bob");
    imap.ok("CREATE Here/Below");
    imap.ok("CREATE Here");
    for mailbox in ["Here", "Here/Below"] {
        assert!(imap.append(mailbox, "(\\Flagged) ", "Subject: kept\r\n\r\nx\r\n").starts_with("OK"));
    }
    let trash = instance.path("store/partition/primary/trash");
    for round in 0..if quick() { 6 } else { 40 } {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (shared, stop) = (&instance, &stop);
            let end = End(stop);
            scope.spawn(move || change_the_tree(shared, stop));
            // The moment of the crash is the test's input, not a wait for something.
            std::thread::sleep(Duration::from_millis(30 + 17 * round)); // paced: the kill comes at a moment of the load
            for service in ["store", "imap"] {
                kill(Pid::from_raw(shared.pid(service).unwrap() as i32), Signal::SIGKILL).unwrap();
            }
            drop(end);
        });
        instance.kill("imap");
        instance.kill("store");
        instance.start_all();
        assert_eq!(fs::read_dir(&trash).map_or(0, Iterator::count), 0, "round {round}");
        let mut imap = instance.imap("bob");
        let listed = imap.ok("LIST \"\" *");
        let here: Vec<&str> = ["Here", "There"]
            .into_iter()
            .filter(|name| listed.iter().any(|line| line.ends_with(&format!("\"{name}\""))))
            .collect();
        assert_eq!(here.len(), 1, "round {round}: {listed:?}");
        for mailbox in [here[0].to_owned(), format!("{}/Below", here[0])] {
            imap.ok(&format!("SELECT {mailbox}"));
            let fetched = imap.ok("FETCH 1 (FLAGS BODY.PEEK[])").join("");
            assert!(fetched.contains("\\Flagged") && fetched.contains("Subject: kept"), "{fetched}");
        }
        for line in listed.iter().filter(|line| line.contains("\"Temporary")) {
            let name = line.rsplit(' ').next().unwrap();
            imap.ok(&format!("SELECT {name}"));
            imap.ok("CLOSE");
            imap.ok(&format!("DELETE {name}"));
        }
        if here[0] == "There" {
            imap.ok("RENAME There Here");
        }
    }
}

/// S163: a daemon that comes before stored waits, and says so with the name of stored's log; it serves when stored is
/// there.
#[test]
fn a_daemon_that_is_early_says_what_it_waits_for() {
    let mut instance = Setup::default().start();
    instance.send("alice", "before");
    instance.wait_for_messages("alice", 1);
    instance.kill_all();
    instance.begin_one("imap");
    let line = wait_for("the warning", || {
        let log = instance.log("imap");
        log.lines().find(|line| line.contains("not up in time")).map(str::to_owned)
    });
    assert!(line.contains("Store Warning") && line.contains("log/store/store"), "{line}");
    assert!(!instance.is_serving("imap"));
    instance.start_one("store");
    instance.wait_until_serving("imap");
    assert_eq!(instance.imap("alice").exists("INBOX"), 1);
}

/// What a rename killed between folder and list leaves, made by hand.
fn leave_half_a_rename(instance: &Instance) {
    let inbox = inbox(instance, "alice");
    fs::rename(inbox.join("=+Work"), inbox.join("=+Play")).unwrap();
    let mark = instance.path("store/mboxlist/rename-00000000000000000000000000000007");
    fs::write(mark, "4194305\nuser/alice/Work\nuser/alice/Play\n").unwrap();
}

/// S163: whoever meets an interrupted rename first makes it whole: stored at its start, or an imapd while stored runs.
#[test]
fn an_interrupted_rename_is_undone_by_whoever_meets_it() {
    let mut instance = Setup::default().start();
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Work");
    assert!(imap.append("Work", "", "Subject: kept\r\n\r\nx\r\n").starts_with("OK"));
    for services in [["imap"].as_slice(), ["imap", "store"].as_slice()] {
        services.iter().for_each(|service| instance.kill(service));
        leave_half_a_rename(&instance);
        instance.start_all();
        assert_eq!(instance.imap("alice").exists("Work"), 1);
        let logs = instance.log("imap") + &instance.log("store");
        let told = "the rename of user/alice/Work to user/alice/Play was interrupted; it is undone";
        assert_eq!(logs.matches(told).count(), services.len(), "{logs}");
        let marks = fs::read_dir(instance.path("store/mboxlist")).unwrap();
        let left = marks
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("rename-"));
        assert_eq!(left.count(), 0);
    }
}

/// S163: what an interrupted deletion left in the trash goes at stored's start.
#[test]
fn the_rest_of_a_deletion_goes_at_the_next_start() {
    let mut instance = Setup::default().start();
    instance.send("alice", "kept");
    instance.wait_for_messages("alice", 1);
    instance.kill_all();
    let rest = instance.path("store/partition/primary/trash/0123/user/00");
    fs::create_dir_all(&rest).unwrap();
    fs::write(rest.join("1.msg"), "Subject: deleted\r\n\r\n").unwrap();
    instance.start_all();
    assert_eq!(fs::read_dir(instance.path("store/partition/primary/trash")).unwrap().count(), 0);
    assert!(instance.log("store").contains("1 deletions finished"), "{}", instance.log("store"));
    instance.wait_for_messages("alice", 1);
}

/// S142: as much of the list as is said is read ahead, and the log says when that is not all.
#[test]
fn the_mailbox_list_is_read_ahead_as_far_as_its_cache_goes() {
    let mut instance = Setup::default().set("logfile.store.loglevel", "Information").start();
    assert!(instance.log("store").contains(" bytes, read ahead"), "{}", instance.log("store"));
    instance.kill_all();
    instance.set("store.dbcachesize", "4096");
    instance.start_all();
    let log = instance.log("store");
    assert!(log.contains("store.dbcachesize is 4096: not all of it is read ahead"), "{log}");
}

/// S145: imapd is killed while it reads the list; the next change of the list has what it held let go, not the next look
/// at the timetable.
#[test]
fn a_killed_reader_of_the_list_is_let_go_when_the_list_is_written() {
    let mut instance = Setup::default().set("logfile.store.loglevel", "Information").start();
    let mut imap = instance.imap("alice");
    (0..200).for_each(|number| drop(imap.ok(&format!("CREATE F{number}"))));
    drop(imap);
    let cleared = |instance: &Instance| {
        instance
            .log("store")
            .lines()
            .filter(|line| line.ends_with("dead readers cleared") && line.contains("Information"))
            .count()
    };
    for round in 0..20 {
        // Its next look at the timetable is 20 s away: what is found in this round is found because of the write.
        instance.kill("store");
        instance.start_one("store");
        let before = cleared(&instance);
        let answers = std::sync::atomic::AtomicU32::new(0);
        let mut sessions: Vec<_> = (0..4).map(|_| instance.imap("alice")).collect();
        std::thread::scope(|scope| {
            for imap in &mut sessions {
                let answers = &answers;
                scope.spawn(move || {
                    while imap.wire.try_send(b"a LIST \"\" *\r\n") {
                        while let Some(line) = imap.wire.try_line() {
                            if line.starts_with("a ") {
                                answers.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        }
                    }
                });
            }
            wait_for("LISTs", || (answers.load(Ordering::Relaxed) > 8).then_some(()));
            instance.signal("imap", nix::sys::signal::Signal::SIGKILL);
        });
        instance.kill("imap");
        run(instance.tool("mboxutil").arg("-c").arg(format!("user/alice/G{round}")));
        // It may have been killed between two transactions: then nothing comes, and it is tried again.
        let until = std::time::Instant::now() + Duration::from_secs(2);
        while std::time::Instant::now() < until {
            if cleared(&instance) > before {
                return;
            }
            std::thread::sleep(Duration::from_millis(20)); // paced: no event tells that nothing comes
        }
        instance.start_one("imap");
    }
    panic!("no dead reader was found: {}", instance.log("store"));
}
